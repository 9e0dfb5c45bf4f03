/* SPDX-License-Identifier: ISC */
/* The messages of a registration: REGISTER out, its answers in. */
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
	if (reg_outbound(r))
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
	ignore_err(
	    buf_printf(b, "Contact: <%s>", r->contact), "sticks in the buf");
	if (r->instance != NULL)
		ignore_err(
		    buf_printf(b, ";+sip.instance=\"<%s>\"", r->instance),
		    "sticks in the buf");
	if (reg_outbound(r))
		ignore_err(buf_printf(b, ";reg-id=%u", r->reg_id),
		    "sticks in the buf");
	ignore_err(
	    buf_printf(b, ";expires=%u\r\n", expires_s), "sticks in the buf");
	if (r->old_contact[0] != '\0')
		ignore_err(buf_printf(b, "Contact: <%s>;expires=0\r\n",
			       r->old_contact),
		    "sticks in the buf");
}

static void on_response(struct sip_msg **rsp, int err, void *arg);

/* Composes REGISTER. */
static int
register_write(struct sip_reg *r, struct buf *b, const char *branch)
{
	struct sip_cred cred = { r->auth_user, r->password };
	unsigned int expires_s = r->unregistering ? 0 : r->expires_s;
	char via[ADDR_STR_MAX], uri[SIPC_HOST_MAX + 32];
	int err;

	(void)snprintf(uri, sizeof(uri), "%s:%s", r->sips ? "sips" : "sip",
	    r->elsewhere.host[0] != '\0' ? r->elsewhere.uri : r->domain);
	sip_host_port(&r->w.flow->local, via);
	ignore_err(buf_printf(b,
		       "REGISTER %s SIP/2.0\r\n"
		       "Via: SIP/2.0/%s %s;branch=%s;rport;keep\r\n"
		       "Max-Forwards: 70\r\n%s"
		       "From: %s;tag=%s\r\nTo: %s\r\nCall-ID: %s\r\n"
		       "CSeq: %u REGISTER\r\nUser-Agent: %s\r\n"
		       "Supported: path%s%s\r\n"
		       "Allow: " SIPC_ALLOW "\r\n",
		       uri, sip_via_proto(r->w.flow->t), via, branch,
		       reg_server(r)->route != NULL ? reg_server(r)->route : "",
		       r->from, r->tag, r->from, r->call_id, ++r->cseq,
		       r->s->user_agent, reg_outbound(r) ? ", outbound" : "",
		       r->gruu && r->instance != NULL ? ", gruu" : ""),
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
		.limit_us = reg_limit_us(r),
		.cb = on_response,
		.arg = r };
	struct buf b;
	int err;

	if (r->w.flow == NULL)
		return E_CLOSED;
	r->answered = false;
	if ((err = contact_make(r, r->contact, sizeof(r->contact))) != 0)
		return err;
	/* A binding that no reg-id replaces would last until it expires, and
	 * calls go to a connection that is gone. */
	if (r->bound[0] != '\0' && !r->server_outbound &&
	    r->old_contact[0] == '\0' && strcmp(r->bound, r->contact) != 0)
		ignore_err(
		    str_copy(r->old_contact, sizeof(r->old_contact), r->bound),
		    "same size");
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

/* Is this Contact of an answer the binding of our flow? */
static bool
is_ours(const struct sip_reg *r, const struct sip_name_addr *na)
{
	struct slice id;
	int64_t n;

	if (slice_case_is(na->uri, r->contact))
		return true;
	/* Some servers write the URI anew. */
	return r->instance != NULL &&
	    sip_param(na->params, "+sip.instance", &id) &&
	    id.n == strlen(r->instance) + 2 &&
	    slice_case_is((struct slice){ id.p + 1, id.n - 2 }, r->instance) &&
	    (!sip_param(na->params, "reg-id", &id) ||
		(str_int(id, 0, UINT16_MAX, &n) == 0 && n == r->reg_id));
}

/* The parameters of our binding in an answer. */
static bool
binding_find(
    const struct sip_reg *r, const struct sip_msg *m, struct slice *params)
{
	struct slice list, one;
	struct sip_name_addr na;
	const char *field;

	for (size_t i = 0; (field = sip_msg_get(m, SIPH_CONTACT, i)) != NULL;
	     i++) {
		list = slice_of(field);
		while (sip_list_next(&list, &one)) {
			if (sip_name_addr(&na, one) == 0 && is_ours(r, &na)) {
				*params = na.params;
				return true;
			}
		}
	}
	return false;
}

/* How long the server keeps our binding (RFC 3261 10.2.4). */
static unsigned int
granted(const struct sip_reg *r, const struct sip_msg *m)
{
	int64_t v = sip_msg_uint(m, SIPH_EXPIRES, UINT32_MAX, r->expires_s);
	struct slice params, p;

	if (binding_find(r, m, &params) && sip_param(params, "expires", &p))
		ignore_err(str_int(p, 0, UINT32_MAX, &v), "as asked for then");
	if (v < GRANT_MIN_S)
		v = GRANT_MIN_S;
	return (unsigned int)(v < GRANT_MAX_S ? v : GRANT_MAX_S);
}

/* A GRUU (RFC 5627) of the answer, "" if there is none that we may use. */
static void
gruu_take(const struct sip_reg *r, struct slice params, const char *name,
    char *out, size_t size)
{
	struct sip_uri u;
	struct slice v;

	out[0] = '\0';
	if (!r->gruu || !sip_param(params, name, &v) ||
	    sip_uri_parse(&u, v) != 0 || (r->sips && !u.sips))
		return;
	if (str_copy(out, size, u.text) != 0)
		out[0] = '\0';
}

/* What the answer says of our binding, and of the server. */
static void
binding_take(struct sip_reg *r, const struct sip_msg *m)
{
	struct slice params = { NULL, 0 };

	(void)binding_find(r, m, &params);
	gruu_take(r, params, "pub-gruu", r->pub_gruu, sizeof(r->pub_gruu));
	gruu_take(r, params, "temp-gruu", r->temp_gruu, sizeof(r->temp_gruu));
	r->server_outbound = sip_msg_has(m, SIPH_REQUIRE, "outbound");
	ignore_err(
	    str_copy(r->bound, sizeof(r->bound), r->contact), "same size");
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
	binding_take(r, m);
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

/* 439: a proxy on the way does not know RFC 5626 (11.6): without it then. */
static void
on_no_outbound(struct sip_reg *r)
{
	int err;

	log_info(LOGC_SIP, 0, "registration goes on without outbound");
	r->no_outbound = true;
	if ((err = reg_send(r)) != 0)
		reg_fail(r, err, NULL, 0);
}

/* 3xx: the registrar is elsewhere (RFC 3261 8.1.3.4). */
static void
on_redirected(struct sip_reg *r, const struct sip_msg *m)
{
	int err = E_SIP_REFUSED;
	struct slice uri;

	if (sip_msg_contact(m, &uri) == 0)
		err = reg_elsewhere(r, uri);
	if (err == E_SIP_INSECURE)
		reg_fail(r, E_SIP_REFUSED,
		    "The server sends us to one without TLS", 0);
	else if (err != 0)
		reg_fail(r, E_SIP_REFUSED,
		    "The server sends us elsewhere, but not to a place we can "
		    "go to",
		    0);
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
	else if (m->code < 400 && !r->unregistering)
		on_redirected(r, m);
	else if (m->code == 439 && reg_outbound(r))
		on_no_outbound(r);
	else
		on_refused(r, m);
}
