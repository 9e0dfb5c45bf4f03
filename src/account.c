/* SPDX-License-Identifier: ISC */
/* One account: the registration that the settings ask for, and what became
 * of it.  Which accounts there are is in accounts.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accounts.h"

int
account_new(struct account **out, struct app *a, const char *id)
{
	struct account *ac = calloc(1, sizeof(*ac));

	if (ac == NULL)
		return ENOMEM;
	ac->app = a;
	ac->kind = strncmp(id, "alert", 5) == 0 ? ACCOUNT_ALERT : ACCOUNT_PAGE;
	ignore_err(str_copy(ac->id, sizeof(ac->id), id), "alert99 fits");
	*out = ac;
	return 0;
}

void
account_free(struct account *ac)
{
	if (ac == NULL)
		return;
	sip_reg_stop(&ac->reg);
	free(ac);
}

/* The value of sip.<id>.<field>. */
static const char *
own(const struct account *ac, const char *field)
{
	char key[64];

	(void)snprintf(key, sizeof(key), "sip.%s.%s", ac->id, field);
	return prov_get(ac->app->store, key);
}

/* The server of the account: its own, else the common one. */
static const char *
domain_of(const struct account *ac)
{
	const char *v = own(ac, "proxy");

	return v[0] != '\0' ? v : prov_get(ac->app->store, "sip.proxy");
}

/* The TLS policy of the account's next hop (sip_policy_cb). */
static int
on_policy(const char *peer, struct tls_policy *out, void *arg)
{
	struct account *ac = arg;
	int err;

	err = settings_policy(ac->app, TLS_USE_SIP, TLS_CLIENT, ac->id, peer,
	    out, ac->why, sizeof(ac->why));
	if (err != 0)
		log_err(LOGC_SIP, 0, "account %s: %s", ac->id, ac->why);
	return err;
}

/* Tells the event stream of a change; the same state twice is one event. */
static void
tell(struct account *ac, const struct sip_reg_status *st)
{
	struct jv *f;

	if (ac->told && ac->last_state == st->state &&
	    ac->last_code == st->code && st->state != SIP_REG_WAITING)
		return;
	ac->told = true;
	ac->last_state = st->state;
	ac->last_code = st->code;
	if ((f = jv_obj()) == NULL)
		return;
	jv_set_str(f, "account", ac->id);
	jv_set_str(f, "aor", st->aor);
	jv_set_str(f, "state", sip_reg_state_name(st->state));
	jv_set_int(f, "code", st->code);
	jv_set_str(f, "reason", st->reason);
	jv_set_str(f, "class", st->verdict != NULL ? st->verdict->class : "");
	app_event(ac->app, "reg.state", f);
}

/* sip_reg_cb. */
static void
on_reg(const struct sip_reg_status *st, void *arg)
{
	struct account *ac = arg;
	struct app *a = ac->app;
	char note[300];

	if (st->state == SIP_REG_OK)
		log_info(LOGC_SIP, 0,
		    "registered account=%s aor=%s expires=%us over=%s", ac->id,
		    st->aor, st->expires_s, sip_transport_name(st->transport));
	else if (st->state == SIP_REG_WAITING)
		log_warn(LOGC_SIP, 0, "not registered account=%s aor=%s: %s",
		    ac->id, st->aor, st->reason);
	(void)snprintf(note, sizeof(note), "STATUS=%s %s",
	    sip_reg_state_name(st->state), st->aor);
	guard_notify(note);
	tell(ac, st);
	if (st->state == SIP_REG_OK)
		notify_registered(a->notify, ac);
	if (st->state == SIP_REG_GONE) {
		ac->gone = true;
		app_stop_check(a); /* may free the account */
	}
}

/* +sip.instance (RFC 5626 4.1): a UUID that stays the same for this device. */
static void
instance_of(const char *mac, char *out, size_t size)
{
	(void)snprintf(out, size, "urn:uuid:00000000-0000-1000-8000-%s", mac);
}

/* What is said of the common server, and of no other one: its proxy, its realm
 * and who stands in for it (sip.ssr.*). */
static void
servers_of(const struct prov_store *s, struct sip_reg_conf *c)
{
	c->obproxy = prov_get(s, "sip.obproxy");
	if (c->obproxy[0] == '\0')
		c->obproxy = NULL;
	c->realm = prov_get(s, "sip.auth.realm");
	if (!prov_get_bool(s, "sip.ssr.use"))
		return;
	c->poll_s = (unsigned int)prov_get_int(s, "sip.ssr.interval");
	c->poll_active = prov_get_bool(s, "sip.ssr.chkact");
	c->poll_notify = strcmp(prov_get(s, "sip.ssr.method"), "1") == 0;
	c->failback = !prov_get_bool(s, "sip.ssr.nofb");
	c->backups[0] = prov_get(s, "sip.bkproxy1");
	c->backups[1] = prov_get(s, "sip.bkproxy2");
}

/* The settings of the account, as the registration wants them. */
static void
conf_of(struct account *ac, struct sip_reg_conf *c, char *instance,
    size_t instance_size)
{
	const struct prov_store *s = ac->app->store;
	const char *ka = prov_get(s, "sip.interop.ka.interval");
	const char *outbound = prov_get(s, "sip.outbound");

	memset(c, 0, sizeof(*c));
	c->user = own(ac, "user");
	c->domain = domain_of(ac);
	c->auth_user = own(ac, "auth");
	c->password = own(ac, "pwd");
	c->display = own(ac, "dname");
	if (strcmp(c->domain, prov_get(s, "sip.proxy")) == 0)
		servers_of(s, c);
	c->gruu = prov_get_bool(s, "sip.gruu");
	if (c->obproxy != NULL)
		c->obproxy2 = prov_get(s, "sip.obproxy2");
	c->transport = settings_transport(ac->app);
	c->sips = prov_get_bool(s, "sip.sips");
	c->allow_md5 = prov_get_bool(s, "sip.auth.md5");
	c->indialog_md5 = prov_get_bool(s, "sip.auth.indialog");
	c->expires_s = (unsigned int)prov_get_int(s, "sip.regexp");
	if (ka[0] != '\0')
		c->keepalive_s =
		    (unsigned int)prov_get_int(s, "sip.interop.ka.interval");
	c->no_keepalive = ka[0] != '\0' && c->keepalive_s == 0;
	/* RFC 5626 where it is asked for; unset means: on for TLS. */
	if (outbound[0] != '\0'
		? strcmp(outbound, "1") == 0
		: c->transport == SIPC_TLS || c->transport == SIPC_AUTO) {
		instance_of(ac->app->mac, instance, instance_size);
		c->instance = instance;
	}
	c->policy = on_policy;
	c->policy_arg = ac;
}

bool
account_is_configured(const struct account *ac)
{
	const struct prov_store *s = ac->app->store;

	if (strcmp(ac->id, "u1") == 0 && !prov_get_bool(s, "sip.page.use"))
		return false;
	return prov_get_bool(s, "sip.register.use") &&
	    strcmp(own(ac, "use"), "1") == 0 && domain_of(ac)[0] != '\0' &&
	    own(ac, "user")[0] != '\0';
}

void
account_start(struct account *ac)
{
	struct sip_reg_conf c;
	char instance[64];
	int err;

	sip_reg_stop(&ac->reg);
	ac->why[0] = '\0';
	ac->told = ac->gone = ac->leaving = ac->changed = false;
	if (!account_is_configured(ac))
		return;
	conf_of(ac, &c, instance, sizeof(instance));
	err = sip_reg_start(&ac->reg, ac->app->sip, &c, on_reg, ac);
	if (err == 0)
		return;
	(void)snprintf(ac->why, sizeof(ac->why),
	    "account %s cannot register with %s: %s. Check sip.proxy, "
	    "sip.obproxy and sip.%s.user.",
	    ac->id, esc(c.domain), err_str(err), ac->id);
	log_err(LOGC_SIP, 0, "%s", ac->why);
}

void
account_unregister(struct account *ac)
{
	if (ac->leaving)
		return;
	ac->leaving = true;
	if (ac->reg != NULL)
		sip_reg_unregister(ac->reg);
}

bool
account_is_gone(const struct account *ac)
{
	return ac->reg == NULL || ac->gone;
}

const char *
account_id(const struct account *ac)
{
	return ac->id;
}

enum account_kind
account_kind(const struct account *ac)
{
	return ac->kind;
}

struct sip_reg *
account_reg(const struct account *ac)
{
	return ac->reg;
}

void
account_status(const struct account *ac, struct sip_reg_status *out)
{
	memset(out, 0, sizeof(*out));
	if (ac->reg != NULL)
		sip_reg_get_status(ac->reg, out);
}

/* "" for an address that is not known yet. */
static void
set_addr(struct jv *o, const char *key, const struct addr *a)
{
	char s[ADDR_STR_MAX] = "";

	if (addr_is_set(a))
		addr_print(a, s);
	jv_set_str(o, key, s);
}

struct jv *
account_json(const struct account *ac)
{
	struct sip_reg_status st;
	struct jv *o = jv_obj();

	if (o == NULL)
		return NULL;
	account_status(ac, &st);
	jv_set_str(o, "id", ac->id);
	jv_set_str(o, "role", ac->kind == ACCOUNT_ALERT ? "alert" : "page");
	jv_set_str(o, "aor", st.aor);
	jv_set_str(
	    o, "state", ac->reg != NULL ? sip_reg_state_name(st.state) : "off");
	jv_set_str(o, "reason", ac->reg != NULL ? st.reason : ac->why);
	jv_set_int(o, "code", st.code);
	jv_set_str(o, "transport", sip_transport_name(st.transport));
	set_addr(o, "local", &st.local);
	set_addr(o, "remote", &st.remote);
	jv_set_str(o, "contact", st.contact);
	jv_set_int(o, "flows", st.num_flows);
	jv_set_int(o, "expires_s", st.expires_s);
	jv_set_str(o, "digest", st.digest_alg);
	jv_set(o, "mwi", notify_mwi_json(ac->app->notify, ac->id));
	jv_set(o, "tls",
	    st.verdict != NULL ? tls_verdict_json(st.verdict) : jv_null());
	return o;
}
