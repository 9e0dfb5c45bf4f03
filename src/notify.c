/* SPDX-License-Identifier: ISC */
/* What servers tell or ask outside of calls: message waiting (RFC 3842), text
 * (RFC 3428), and check-sync, which has us fetch the settings. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bellbird/sip_sub.h"
#include "internal.h"

/* field.md 1.4: whoever may ask, may once a minute. */
#define ASK_US     INT64_C(60000000)
/* A restart waits for calls to end, but not for ever. */
#define RESTART_US INT64_C(3600000000)
#define LOOK_US    INT64_C(1000000)

#define EVENTS "message-summary, check-sync, resync, refer"

/* Message waiting at one account. */
struct mwi {
	LIST_ENTRY(mwi) link;
	struct notify *n; /* borrowed */
	char account[ACCOUNT_ID_SIZE];
	struct sip_sub *sub; /* owned slot; NULL: not asked for */
	struct jv *last;     /* owned: what was told last, or NULL */
};

/* A MESSAGE of ours; the verb waits. */
struct text {
	LIST_ENTRY(text) link;
	struct sip_text *sip;
	struct ctl_req *req; /* NULL: its client went away */
	struct app *a;
};

struct notify {
	struct app *a;
	LIST_HEAD(, mwi) mwis;
	LIST_HEAD(, text) texts;
	int64_t asked_us; /* the last check-sync that counted; 0: none */
	struct timer restart;
	int64_t restart_until_us;
};

int
notify_new(struct app *a)
{
	struct notify *n = calloc(1, sizeof(*n));

	if (n == NULL)
		return ENOMEM;
	n->a = a;
	a->notify = n;
	return 0;
}

static void
mwi_free(struct mwi *m)
{
	LIST_REMOVE(m, link);
	sip_sub_stop(&m->sub);
	jv_free(m->last);
	free(m);
}

static void
text_free(struct text *t)
{
	LIST_REMOVE(t, link);
	sip_text_stop(&t->sip);
	if (t->req != NULL)
		ctl_req_on_gone(t->req, NULL, NULL);
	free(t);
}

void
notify_free(struct notify *n)
{
	if (n == NULL)
		return;
	while (!LIST_EMPTY(&n->mwis))
		mwi_free(LIST_FIRST(&n->mwis));
	while (!LIST_EMPTY(&n->texts))
		text_free(LIST_FIRST(&n->texts));
	timer_stop(&n->restart);
	free(n);
}

void
notify_quiet(struct notify *n)
{
	struct mwi *m;

	LIST_FOREACH (m, &n->mwis, link)
		sip_sub_stop(&m->sub);
}

/* ---- message waiting ---- */

static struct mwi *
mwi_find(const struct notify *n, const char *account)
{
	struct mwi *m;

	LIST_FOREACH (m, &n->mwis, link)
		if (strcmp(m->account, account) == 0)
			return m;
	return NULL;
}

/* .. made, if it is not there; NULL when out of memory. */
static struct mwi *
mwi_of(struct notify *n, const char *account)
{
	struct mwi *m = mwi_find(n, account);

	if (m != NULL || (m = calloc(1, sizeof(*m))) == NULL)
		return m;
	m->n = n;
	ignore_err(
	    str_copy(m->account, sizeof(m->account), account), "same size");
	LIST_INSERT_HEAD(&n->mwis, m, link);
	return m;
}

/* "2/8 (0/1)": new, old, and of these the urgent ones. */
static void
counts_read(struct jv *o, struct slice v)
{
	static const char *const names[] = { "new", "old", "urgent_new",
		"urgent_old" };
	int64_t x[4] = { 0 };
	size_t k = 0, i = 0, from;

	while (k < 4 && i < v.n) {
		if (v.p[i] < '0' || v.p[i] > '9') {
			i++;
			continue;
		}
		for (from = i; i < v.n && v.p[i] >= '0' && v.p[i] <= '9'; i++)
			;
		if (str_int((struct slice){ v.p + from, i - from }, 0,
			INT32_MAX, &x[k]) != 0)
			x[k] = INT32_MAX;
		k++;
	}
	for (k = 0; k < 4; k++)
		jv_set_int(o, names[k], x[k]);
}

/* Reads a body of application/simple-message-summary; NULL if it is none. */
static struct jv *
summary_read(struct slice body)
{
	struct slice line, name, value;
	struct jv *o = jv_obj();
	bool any = false;

	jv_set_str(o, "mailbox", "");
	counts_read(o, (struct slice){ NULL, 0 });
	while (slice_line(&body, &line)) {
		if (!slice_cut(line, ':', &name, &value))
			continue;
		name = slice_trim(name);
		value = slice_trim(value);
		if (slice_case_is(name, "Messages-Waiting")) {
			any = true;
			jv_set_bool(o, "waiting", slice_case_is(value, "yes"));
		} else if (slice_case_is(name, "Message-Account")) {
			jv_set_str(o, "mailbox", esc_n(value.p, value.n));
		} else if (slice_case_is(name, "Voice-Message")) {
			counts_read(o, value);
		}
	}
	if (any)
		return o;
	jv_free(o);
	return NULL;
}

/* Takes a summary; false if it is none. */
static bool
mwi_take(
    struct notify *n, const char *account, struct slice body, bool solicited)
{
	struct jv *o = summary_read(body), *f;
	struct mwi *m;

	if (o == NULL || (m = mwi_of(n, account)) == NULL) {
		jv_free(o);
		return false;
	}
	jv_set_bool(o, "solicited", solicited);
	jv_free(m->last);
	m->last = o;
	f = jv_copy(o);
	jv_set_str(f, "account", account);
	app_event(n->a, "mwi", f);
	return true;
}

struct jv *
notify_mwi_json(const struct notify *n, const char *account)
{
	const struct mwi *m = n != NULL ? mwi_find(n, account) : NULL;

	return m != NULL && m->last != NULL ? jv_copy(m->last) : jv_null();
}

/* sip_sub_cb. */
static void
on_sub(const struct sip_sub_info *info, void *arg)
{
	struct mwi *m = arg;
	struct jv *f;

	if (info->notify && info->body.n > 0 &&
	    !mwi_take(m->n, m->account, info->body, true))
		log_info(LOGC_SIP, 0,
		    "notification without a message summary account=%s",
		    m->account);
	if (info->notify)
		return;
	f = jv_obj();
	jv_set_str(f, "account", m->account);
	jv_set_str(f, "event_package", "message-summary");
	jv_set_str(f, "state", sip_sub_state_name(info->state));
	jv_set_int(f, "code", info->code);
	jv_set_str(f, "reason", info->reason);
	app_event(m->n->a, "sub.state", f);
}

void
notify_registered(struct notify *n, const struct account *ac)
{
	bool wanted = prov_get_bool(n->a->store, "sip.mwi.subs") &&
	    account_kind(ac) == ACCOUNT_PAGE;
	struct sip_sub_conf c = { .reg = account_reg(ac),
		.event = "message-summary",
		.accept = "application/simple-message-summary" };
	struct mwi *m =
	    wanted ? mwi_of(n, account_id(ac)) : mwi_find(n, account_id(ac));

	if (m == NULL)
		return;
	if (m->sub != NULL && (!wanted || !sip_sub_is_of(m->sub, c.reg)))
		sip_sub_stop(&m->sub);
	if (!wanted)
		return;
	if (m->sub != NULL)
		sip_sub_kick(m->sub);
	else if (sip_sub_start(&m->sub, n->a->sip, &c, on_sub, m) != 0)
		log_warn(LOGC_SIP, 0,
		    "message waiting is not watched: out of memory");
}

/* ---- check-sync ---- */

/* timer_cb: once the fetch is done and no call is up. */
static void
on_restart(void *arg)
{
	struct notify *n = arg;
	struct app *a = n->a;

	if (!provision_is_running(a->provision) && ua_num_calls(a->ua) == 0) {
		log_warn(LOGC_APP, 0, "restarting, as check-sync asked");
		app_stop(a, CTL_RESTART);
	} else if (clock_mono_us() > n->restart_until_us) {
		log_warn(LOGC_APP, 0,
		    "no restart: calls did not end within an hour");
	} else {
		ignore_err(
		    timer_start(&n->restart, a->loop, LOOK_US, on_restart, n),
		    "the next check-sync asks again");
	}
}

/* Does it ask for a restart, and may it? */
static bool
wants_restart(const struct app *a, const char *event)
{
	const char *at = strchr(event, ';');
	bool asked = false;
	struct slice rest = slice_of(at), one, key, value;

	while (rest.n > 0) {
		(void)slice_cut(rest, ';', &one, &rest);
		if (slice_cut(one, '=', &key, &value) &&
		    slice_case_is(slice_trim(key), "reboot"))
			asked = slice_case_is(slice_trim(value), "true");
	}
	if (strcmp(prov_get(a->store, "sip.interop.checksync"),
		"always-reboot") == 0)
		asked = true;
	return asked && prov_get_bool(a->store, "prov.checksync.allow_reboot");
}

static void
reply(struct sip_req *req, int code, const char *headers)
{
	ignore_err(sip_req_reply(req, code, NULL, headers, NULL,
		       (struct slice){ NULL, 0 }),
	    "the peer asks again");
}

/* Fetches the settings. */
static void
check_sync(struct notify *n, struct sip_req *req, const char *event)
{
	struct app *a = n->a;
	struct sip_reg *reg = sip_req_account(req);
	bool flow = sip_req_is_verified(req), restart;
	char why[WHY_SIZE] = "", from[160], name[32], headers[48];
	int64_t now = clock_mono_us();
	struct jv *f;
	int err;

	if (!flow && reg == NULL) {
		reply(req, 403, NULL);
		return;
	}
	if (!flow && sip_req_prove(req, reg) != 0)
		return; /* challenged */
	if (n->asked_us != 0 && now - n->asked_us < ASK_US) {
		(void)snprintf(headers, sizeof(headers),
		    "Retry-After: %lld\r\n",
		    (long long)((ASK_US - (now - n->asked_us)) / 1000000 + 1));
		reply(req, 480, headers);
		return;
	}
	n->asked_us = now;
	restart = wants_restart(a, event);
	(void)snprintf(
	    from, sizeof(from), "%s", esc(sip_req_header(req, "From", 0)));
	(void)snprintf(
	    name, sizeof(name), "%.*s", (int)strcspn(event, "; \t"), event);
	reply(req, 200, NULL);
	err = provision_start(a->provision, false, why, sizeof(why));
	log_warn(LOGC_PROV, 0, "%s from %s (%s): %s%s", name, from,
	    flow ? "the registrar" : "by password",
	    err == 0 ? "fetching the settings" : why,
	    restart ? ", then a restart" : "");
	f = jv_obj();
	jv_set_str(f, "from", from);
	jv_set_str(f, "event_package", name);
	jv_set_str(f, "by", flow ? "flow" : "digest");
	jv_set_bool(f, "fetching", err == 0);
	jv_set_bool(f, "restart", restart);
	jv_set_str(f, "reason", why);
	app_event(a, "prov.checksync", f);
	if (!restart)
		return;
	n->restart_until_us = now + RESTART_US;
	ignore_err(timer_start(&n->restart, a->loop, LOOK_US, on_restart, n),
	    "the next check-sync asks again");
}

/* ---- requests ---- */

/* The id of the account a request is for; "" if it is none of ours. */
static const char *
account_for(const struct app *a, const struct sip_req *req)
{
	const struct sip_reg *reg = sip_req_account(req);
	const struct account *ac = NULL;

	while (reg != NULL && (ac = accounts_next(a->accounts, ac)) != NULL)
		if (account_reg(ac) == reg)
			return account_id(ac);
	return "";
}

/* A NOTIFY that nobody subscribed to. */
static void
notified(struct notify *n, struct sip_req *req)
{
	const char *event = sip_req_header(req, "Event", 0);
	struct slice type, body, name = { event, 0 };

	if (event == NULL) {
		reply(req, 400, NULL);
		return;
	}
	name.n = strcspn(event, "; \t");
	if (slice_case_is(name, "check-sync") ||
	    slice_case_is(name, "resync")) {
		check_sync(n, req, event);
	} else if (!slice_case_is(name, "message-summary")) {
		reply(req, 489, "Allow-Events: " EVENTS "\r\n");
	} else if (!sip_req_is_registered(req)) {
		reply(req, 403, NULL);
	} else {
		body = sip_req_body(req, &type);
		if (!slice_case_is(type, "application/simple-message-summary"))
			reply(req, 415,
			    "Accept: application/simple-message-summary\r\n");
		else
			reply(req,
			    mwi_take(n, account_for(n->a, req), body, false)
				? 200
				: 400,
			    NULL);
	}
}

/* A text for us. */
static void
text_in(struct app *a, struct sip_req *req)
{
	struct jv *f;
	int code;
	char *text = sip_req_text(req, &code);

	if (text != NULL) {
		f = jv_obj();
		jv_set_str(f, "account", account_for(a, req));
		jv_set_str(f, "from", esc(sip_req_header(req, "From", 0)));
		jv_set_str(f, "text", text);
		app_event(a, "message.in", f);
		log_info(LOGC_SIP, 0, "message from %s, %zu bytes",
		    esc(sip_req_header(req, "From", 0)), strlen(text));
		free(text);
	}
	reply(req, code, code == 415 ? "Accept: text/plain\r\n" : NULL);
}

bool
notify_request(struct notify *n, struct sip_req *req)
{
	const char *method = sip_req_method(req);

	if (strcmp(method, "NOTIFY") == 0)
		notified(n, req);
	else if (strcmp(method, "MESSAGE") == 0)
		text_in(n->a, req);
	else if (strcmp(method, "SUBSCRIBE") == 0)
		reply(req, 489, "Allow-Events: " EVENTS "\r\n");
	else
		return false;
	return true;
}

/* ---- text of ours ---- */

/* The client of the verb went away: the text is on its way. */
static void
on_gone(struct ctl_req *r, void *arg)
{
	struct text *t = arg;

	(void)r;
	t->req = NULL;
}

/* sip_text_cb. */
static void
on_sent(int err, int code, const char *reason, void *arg)
{
	struct text *t = arg;
	struct jv *o = jv_obj();
	char why[200];

	jv_set_int(o, "code", code);
	jv_set_str(o, "reason", reason);
	if (t->req == NULL) {
		jv_free(o);
	} else if (err == 0) {
		ctl_reply(t->req, o);
	} else {
		(void)snprintf(
		    why, sizeof(why), "not delivered: %d %s", code, reason);
		ctl_fail(t->req,
		    err == E_SIP_AUTH ? CTL_AUTH
			: code == 408 ? CTL_TIMEOUT
			: code >= 300 ? CTL_REFUSED
				      : CTL_FAIL,
		    why, o);
	}
	t->req = NULL; /* answered, or gone */
	text_free(t);
}

enum ctl_exit
notify_send_text(struct notify *n, const char *account, const char *to,
    const char *body, struct ctl_req *r, char *why, size_t why_size)
{
	struct account *ac = account != NULL
	    ? accounts_find(n->a->accounts, account)
	    : accounts_caller(n->a->accounts);
	struct text *t;
	int err;

	if (ac == NULL || account_reg(ac) == NULL) {
		(void)snprintf(why, why_size,
		    "a message goes by an account, and %s is set up",
		    account != NULL ? "that one is not" : "none");
		return CTL_USAGE;
	}
	if ((t = calloc(1, sizeof(*t))) == NULL) {
		(void)snprintf(why, why_size, "%s", err_str(ENOMEM));
		return CTL_FAIL;
	}
	t->a = n->a;
	LIST_INSERT_HEAD(&n->texts, t, link);
	err = sip_text_send(&t->sip, account_reg(ac), to, body, on_sent, t);
	if (err == 0) {
		t->req = r;
		ctl_req_on_gone(r, on_gone, t);
		return CTL_OK;
	}
	text_free(t);
	if (err == E_PARSE)
		(void)snprintf(why, why_size,
		    "%s is no SIP address, or the text is empty or not UTF-8",
		    esc(to));
	else if (err == E_LIMIT)
		(void)snprintf(why, why_size,
		    "the text is longer than a message may be (RFC 3428 8)");
	else if (err == E_SIP_NO_ROUTE)
		(void)snprintf(why, why_size, "account %s is not registered",
		    account_id(ac));
	else
		(void)snprintf(why, why_size, "%s", err_str(err));
	return err == E_PARSE || err == E_LIMIT ? CTL_USAGE
	    : err == E_SIP_NO_ROUTE             ? CTL_AUTH
						: CTL_FAIL;
}
