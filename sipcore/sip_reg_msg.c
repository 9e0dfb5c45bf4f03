/* SPDX-License-Identifier: ISC */
/* The messages of a registration: REGISTER out, its answers in; and what calls
 * need to know of an account. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellbird/clock.h"
#include "bellbird/log.h"
#include "reg_internal.h"

enum {
	/* Shorter grants would be a request loop. */
	GRANT_MIN_S = 10,
	/* The same of keep-alives. */
	PING_MIN_S = 5,
	GRANT_MAX_S = 86400,
	/* A NAT that gives a new port to each packet is not chased: so many
	 * changes in an hour without one REGISTER that was seen as before. */
	MOVES_MAX = 3,
	MOVES_S = 3600,
	/* One odd number of a server must not keep a device away for a day:
	 * it asks each hour. */
	RETRY_AFTER_MAX_S = 3600
};

/* ---- REGISTER ---- */

/* Our Contact URI on the flow of now. */
static int
contact_make(struct sip_reg *r, char *out, size_t size)
{
	char hp[ADDR_STR_MAX];
	struct buf b;
	int err;

	sip_host_port(r->w.flow->t == SIPC_UDP && addr_is_set(&r->public)
		? &r->public
		: &r->w.flow->local,
	    hp);
	buf_init(&b, size - 1);
	ignore_err(
	    buf_puts(&b, r->sips ? "sips:" : "sip:"), "sticks in the buf");
	sip_user_put(&b, r->user);
	ignore_err(buf_printf(&b, "@%s", hp), "sticks in the buf");
	if (r->w.flow->t != SIPC_UDP)
		ignore_err(buf_printf(&b, ";transport=%s",
			       sip_transport_name(r->w.flow->t)),
		    "sticks in the buf");
	if (r->instance != NULL)
		ignore_err(buf_puts(&b, ";ob"), "sticks in the buf");
	if ((err = b.err) == 0)
		err = str_copy(out, size, buf_str(&b));
	buf_clear(&b);
	return err;
}

/* Appends the Contact fields. */
static void
contacts_put(struct sip_reg *r, struct buf *b, unsigned int expires_s)
{
	if (r->old_contact[0] != '\0')
		ignore_err(buf_printf(b, "Contact: <%s>;expires=0\r\n",
			       r->old_contact),
		    "sticks in the buf");
	ignore_err(
	    buf_printf(b, "Contact: <%s>", r->contact), "sticks in the buf");
	if (r->instance != NULL)
		ignore_err(buf_printf(b, ";+sip.instance=\"<%s>\";reg-id=1",
			       r->instance),
		    "sticks in the buf");
	ignore_err(
	    buf_printf(b, ";expires=%u\r\n", expires_s), "sticks in the buf");
}

static void on_response(struct sip_msg **rsp, int err, void *arg);

/* Composes REGISTER. */
static int
register_write(struct sip_reg *r, struct buf *b, const char *branch)
{
	struct sip_cred cred = { r->auth_user, r->password };
	unsigned int expires_s = r->unregistering ? 0 : r->expires_s;
	char via[ADDR_STR_MAX], uri[SIPC_HOST_MAX + 16];
	int err;

	(void)snprintf(
	    uri, sizeof(uri), "%s:%s", r->sips ? "sips" : "sip", r->domain);
	sip_host_port(&r->w.flow->local, via);
	ignore_err(buf_printf(b,
		       "REGISTER %s SIP/2.0\r\n"
		       "Via: SIP/2.0/%s %s;branch=%s;rport;keep\r\n"
		       "Max-Forwards: 70\r\n%s"
		       "From: %s;tag=%s\r\nTo: %s\r\nCall-ID: %s\r\n"
		       "CSeq: %u REGISTER\r\nUser-Agent: %s\r\n"
		       "Supported: path, outbound\r\n"
		       "Allow: " SIPC_ALLOW "\r\n",
		       uri, sip_via_proto(r->w.flow->t), via, branch,
		       reg_server(r)->route != NULL ? reg_server(r)->route : "",
		       r->from, r->tag, r->from, r->call_id, ++r->cseq,
		       r->s->user_agent),
	    "sticks in the buf");
	contacts_put(r, b, expires_s);
	ignore_err(
	    buf_printf(b, "Expires: %u\r\n", expires_s), "sticks in the buf");
	err = sip_auth_write(
	    &r->auth, b, &cred, "REGISTER", uri, (struct slice){ NULL, 0 });
	sip_write_body(b, NULL, (struct slice){ NULL, 0 });
	return err != 0 ? err : b->err;
}

int
reg_send(struct sip_reg *r)
{
	char branch[SIPC_BRANCH_LEN + 1];
	struct sip_ctxn_conf xc = { .flow = r->w.flow,
		.method = "REGISTER",
		.branch = branch,
		.cb = on_response,
		.arg = r };
	struct buf b;
	int err;

	if (r->w.flow == NULL)
		return E_CLOSED;
	r->answered = false;
	if ((err = contact_make(r, r->contact, sizeof(r->contact))) != 0)
		return err;
	sip_ctxn_stop(&r->txn);
	sip_branch(branch);
	buf_init(&b, SIPC_MSG_MAX);
	if ((err = register_write(r, &b, branch)) == 0) {
		xc.msg = &b;
		err = sip_ctxn_start(&r->txn, &xc);
	}
	buf_clear(&b);
	return err;
}

/* ---- answers ---- */

/* How long the server keeps our binding (RFC 3261 10.2.4). */
static unsigned int
granted(const struct sip_reg *r, const struct sip_msg *m)
{
	int64_t v = sip_msg_uint(m, SIPH_EXPIRES, UINT32_MAX, r->expires_s);
	struct slice list, one, p;
	struct sip_name_addr na;
	const char *field;

	for (size_t i = 0; (field = sip_msg_get(m, SIPH_CONTACT, i)) != NULL;
	     i++) {
		list = slice_of(field);
		while (sip_list_next(&list, &one)) {
			if (sip_name_addr(&na, one) != 0 ||
			    !slice_case_is(na.uri, r->contact) ||
			    !sip_param(na.params, "expires", &p) ||
			    str_int(p, 0, UINT32_MAX, &v) != 0)
				continue;
		}
	}
	if (v < GRANT_MIN_S)
		v = GRANT_MIN_S;
	return (unsigned int)(v < GRANT_MAX_S ? v : GRANT_MAX_S);
}

/* Route lines for calls: outbound proxy, then Service-Route (RFC 3608). */
static void
routes_take(struct sip_reg *r, const struct sip_msg *m)
{
	const char *v;
	struct buf b;

	buf_init(&b, SIPC_HEAD_MAX);
	if (reg_server(r)->route != NULL)
		ignore_err(
		    buf_puts(&b, reg_server(r)->route), "sticks in the buf");
	for (size_t i = 0; (v = sip_msg_get(m, SIPH_SERVICE_ROUTE, i)) != NULL;
	     i++)
		ignore_err(
		    buf_printf(&b, "Route: %s\r\n", v), "sticks in the buf");
	free(r->routes);
	r->routes = b.n > 0 ? buf_take(&b) : NULL;
	buf_clear(&b);
}

/* UDP behind a NAT: how the server saw us (RFC 3581).  True: register again
 * with that address; not twice in a row. */
static bool
public_learn(struct sip_reg *r, const struct sip_msg *m, bool again)
{
	int64_t now = clock_mono_us();
	struct slice ip, port;
	struct addr seen;
	int64_t n;

	if (r->w.flow->t != SIPC_UDP ||
	    !sip_param(m->via_params, "rport", &port) ||
	    str_int(port, 1, UINT16_MAX, &n) != 0)
		return false;
	seen = addr_is_set(&r->public) ? r->public : r->w.flow->local;
	if (sip_param(m->via_params, "received", &ip) &&
	    addr_parse(&seen, ip, 0) != 0)
		return false;
	addr_set_port(&seen, (uint16_t)n);
	if (addr_eq(&seen,
		addr_is_set(&r->public) ? &r->public : &r->w.flow->local)) {
		r->moves = 0; /* it holds */
		return false;
	}
	if (now - r->moved_us >= MOVES_S * SIPC_S)
		r->moves = 0;
	if (again || r->moves >= MOVES_MAX)
		return false;
	if (r->moves++ == 0)
		r->moved_us = now;
	r->public = seen;
	ignore_err(str_copy(r->old_contact, sizeof(r->old_contact), r->contact),
	    "same size");
	return true;
}

/* A time between two, at random: not all devices at once. */
static int64_t
between_us(int64_t min_us, int64_t max_us)
{
	return min_us +
	    (int64_t)(tls_random_id() % (uint64_t)(max_us - min_us + 1));
}

/* How often to ping, and whether the server is going to answer: it says so by
 * Require: outbound, Flow-Timer (RFC 5626) or a value of our keep (RFC 6223).
 */
static void
keepalive_learn(struct sip_reg *r, const struct sip_msg *m)
{
	int64_t timer_s = sip_msg_uint(m, SIPH_FLOW_TIMER, GRANT_MAX_S, 0);
	bool udp = r->w.flow->t == SIPC_UDP;
	struct slice keep = { NULL, 0 };
	int64_t keep_s = 0;

	if (sip_param(m->via_params, "keep", &keep) && keep.n > 0 &&
	    str_int(keep, 0, GRANT_MAX_S, &keep_s) != 0)
		keep.n = 0;
	r->pong_owed = timer_s > 0 || keep.n > 0 ||
	    sip_msg_has(m, SIPH_REQUIRE, "outbound");
	if (timer_s == 0)
		timer_s = keep_s;
	if (timer_s > 0 && timer_s < PING_MIN_S)
		timer_s = PING_MIN_S;
	if (r->keepalive_us < 0) {
		r->ping_us = 0;
		return;
	}
	if (r->keepalive_us > 0) {
		/* What was set counts, but a flow that the server gives up
		 * before is of no use to anybody. */
		r->ping_us = r->keepalive_us;
		if (timer_s > 0 && timer_s * SIPC_S < r->ping_us)
			r->ping_us = timer_s * SIPC_S / 10 * 9;
		return;
	}
	/* The same as before, unless something else holds now. */
	if (timer_s == r->timer_s && r->ping_us > 0)
		return;
	r->timer_s = timer_s;
	if (timer_s > 0)
		r->ping_us =
		    between_us(timer_s * SIPC_S / 10 * 8, timer_s * SIPC_S);
	else if (udp)
		r->ping_us = between_us(24 * SIPC_S, 29 * SIPC_S);
	else
		r->ping_us = between_us(95 * SIPC_S, 120 * SIPC_S);
}

/* 2xx. */
static void
on_registered(struct sip_reg *r, const struct sip_msg *m)
{
	bool again;

	if (r->unregistering) {
		reg_gone(r);
		return;
	}
	routes_take(r, m);
	sip_auth_next(&r->auth, m);
	again = r->old_contact[0] != '\0';
	r->old_contact[0] = '\0';
	if (public_learn(r, m, again) && reg_send(r) == 0)
		return;
	keepalive_learn(r, m);
	reg_ok(r, granted(r, m));
}

/* 401, 407: answer it or give up for a while. */
static void
on_challenge(struct sip_reg *r, const struct sip_msg *m)
{
	struct sip_auth_rule rule = { .allow_md5 = r->allow_md5,
		.any_realm = r->realm == NULL,
		.num_realms = r->realm != NULL,
		.realms = { r->realm } };
	int err = sip_auth_take(&r->auth, m, &rule);

	if (err == 0)
		err = reg_send(r);
	if (err != 0)
		reg_fail(r, err, err == E_SIP_AUTH ? rule.why : NULL, 0);
}

/* 423: RFC 3261 10.2.8. */
static void
on_too_brief(struct sip_reg *r, const struct sip_msg *m)
{
	int64_t min_s = sip_msg_uint(m, SIPH_MIN_EXPIRES, GRANT_MAX_S, 0);
	int err = E_SIP_REFUSED;

	if (min_s > r->expires_s) {
		r->expires_s = (unsigned int)min_s;
		err = reg_send(r);
	}
	if (err != 0)
		reg_fail(r, err, NULL, 0);
}

/* All other refusals. */
static void
on_refused(struct sip_reg *r, const struct sip_msg *m)
{
	int64_t wait = sip_msg_retry_us(m, RETRY_AFTER_MAX_S);
	char text[96];

	(void)snprintf(text, sizeof(text), "The server answered %d %.64s",
	    m->code, esc(m->reason));
	if (m->code == 408 || m->code >= 500)
		reg_next_target(
		    r, m->code == 408 ? ETIMEDOUT : E_SIP_REFUSED, text, wait);
	else
		reg_fail(r, E_SIP_REFUSED, text, wait);
}

/* sip_ctxn_cb. */
static void
on_response(struct sip_msg **rsp, int err, void *arg)
{
	struct sip_reg *r = arg;
	const struct sip_msg *m = *rsp;

	if (m == NULL && r->s->dying != NULL && r->s->dying == r->w.flow) {
		/* The transaction heard of it before us. */
		reg_flow_down(r, err);
		return;
	}
	if (m == NULL) {
		r->code = 0; /* the last answer is not about this */
		/* A flow that is silent is dead, whatever TCP thinks. */
		reg_next_target(r, err,
		    err == ETIMEDOUT ? "The server did not answer REGISTER"
				     : NULL,
		    0);
		return;
	}
	if (m->code < 200)
		return;
	r->code = m->code;
	r->answered = true;
	if (m->code < 300)
		on_registered(r, m);
	else if (m->code == 401 || m->code == 407)
		on_challenge(r, m);
	else if (m->code == 423 && !r->unregistering)
		on_too_brief(r, m);
	else
		on_refused(r, m);
}

/* ---- for calls ---- */

struct sip_flow *
sip_reg_flow(const struct sip_reg *r)
{
	return r->trusted && r->w.flow != NULL && r->w.flow->up ? r->w.flow
								: NULL;
}

bool
sip_reg_is_ok(const struct sip_reg *r)
{
	return r->state == SIP_REG_OK && sip_reg_flow(r) != NULL;
}

struct sip_reg *
sip_reg_find(
    const struct sip_stack *s, const struct sip_flow *f, const char *user)
{
	struct sip_reg *r, *any = NULL;

	LIST_FOREACH (r, &s->regs, link) {
		if (r->w.flow != f)
			continue;
		if (strcmp(r->user, user) == 0)
			return r;
		any = r;
	}
	return any;
}

bool
sip_reg_knows_user(
    const struct sip_stack *s, const struct sip_flow *f, const char *user)
{
	const struct sip_reg *r = sip_reg_find(s, f, user);

	return r != NULL &&
	    (strcmp(r->user, user) == 0 || strcmp(r->auth_user, user) == 0);
}

const char *
sip_reg_contact(const struct sip_reg *r)
{
	return r->contact;
}

const char *
sip_reg_routes(const struct sip_reg *r)
{
	return r->routes;
}

const char *
sip_reg_from(const struct sip_reg *r)
{
	return r->from;
}

const char *
sip_reg_domain(const struct sip_reg *r)
{
	return r->domain;
}

bool
sip_reg_sips(const struct sip_reg *r)
{
	return r->sips;
}

void
sip_reg_auth_rule(
    const struct sip_reg *r, bool in_dialog, struct sip_auth_rule *out)
{
	size_t n = 0;

	memset(out, 0, sizeof(*out));
	out->allow_md5 = r->allow_md5 && (!in_dialog || r->indialog_md5);
	for (int i = 0; i < 2; i++) {
		if (r->known[i].realm == NULL)
			continue;
		out->realms[n++] = r->known[i].realm;
		/* Who can do better is not asked for less.  The two of the
		 * SHA-2 family are equals. */
		out->allow_md5 &= r->known[i].alg == TLS_MD5;
	}
	if (r->realm != NULL) {
		n = 0;
		out->realms[n++] = r->realm;
	} else if (!in_dialog) {
		/* A proxy may ask in the name of the domain for calls,
		 * whatever the registrar calls itself. */
		out->realms[n++] = r->domain;
		out->realms[n++] = r->host;
	}
	out->num_realms = n;
}

void
sip_reg_cred(const struct sip_reg *r, struct sip_cred *out)
{
	out->user = r->auth_user;
	out->password = r->password;
}
