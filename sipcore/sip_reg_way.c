/* SPDX-License-Identifier: ISC */
/* The way of a registration to its server: which of them, which of its
 * addresses, and on to the next where one fails (RFC 3263 4.3). */
#include <stdio.h>
#include <string.h>

#include "bellbird/clock.h"
#include "bellbird/log.h"
#include "reg_internal.h"

/* A registrar that sends us on is followed so often. */
enum { ELSEWHERE_MAX = 3 };

static void server_next(struct sip_reg *r, int err);

const struct reg_server *
reg_server(const struct sip_reg *r)
{
	return &r->servers[r->server];
}

/* The target in use, or NULL. */
static const struct sip_target *
target_now(const struct sip_reg *r)
{
	return r->next > 0 && r->next <= r->num_targets
	    ? &r->targets[r->next - 1]
	    : NULL;
}

enum sip_transport
reg_transport(const struct sip_reg *r)
{
	return r->w.flow != NULL ? r->w.flow->t : r->attempt;
}

void
reg_accepted(struct sip_reg *r)
{
	const struct sip_target *t = target_now(r);

	if (t == NULL)
		return;
	sip_target_good(r->s, t);
	r->last = *t;
	r->last_server = r->server;
}

int64_t
reg_limit_us(const struct sip_reg *r)
{
	unsigned int all = (1u << r->num_servers) - 1;
	bool more = r->next < r->num_targets || (all & ~r->tried) != 0 ||
	    (r->left_out & ~r->second) != 0;

	return more ? SIPC_TRY_S * SIPC_S : 0;
}

/* UDP needs no connection: the flow is there at once. */
static int
use_udp(struct sip_reg *r, const struct sip_target *t)
{
	struct sip_flow *f;
	int err;

	if ((err = sip_flow_udp(&f, r->s, NULL, &t->a)) != 0)
		return err;
	sip_watch_set(&r->w, f, reg_on_flow, r);
	return reg_send(r);
}

/* Starts a connection to `t`. */
static int
use_stream(struct sip_reg *r, const struct sip_target *t)
{
	const char *host = reg_server(r)->host;
	struct tls_policy policy;
	struct sip_flow_conf fc = { .t = t->t,
		.remote = t->a,
		.host = host,
		.dns_us = r->dns_us,
		.limit_us = reg_limit_us(r) };
	int err;

	if (t->t == SIPC_TLS) {
		if (r->policy == NULL)
			return E_TLS_PARAM;
		if ((err = r->policy(host, &policy, r->policy_arg)) != 0)
			return err;
		fc.policy = &policy;
	}
	return sip_flow_connect(r->s, &fc, &r->w, reg_on_flow, r);
}

/* Goes on to the next address; false if there is none. */
static bool
connect_next(struct sip_reg *r, int *err)
{
	const struct sip_target *t;

	while (r->next < r->num_targets) {
		t = &r->targets[r->next++];
		r->tries++;
		r->attempt = t->t;
		*err = t->t == SIPC_UDP ? use_udp(r, t) : use_stream(r, t);
		if (*err == 0) {
			reg_enter(r,
			    t->t == SIPC_UDP ? SIP_REG_TRYING
					     : SIP_REG_CONNECTING);
			return true;
		}
		reg_flow_drop(r);
	}
	return false;
}

void
reg_next_target(struct sip_reg *r, int err, const char *text, int64_t min_us)
{
	const struct sip_target *t = target_now(r);

	if (!reg_keeps_reason(r, err))
		reg_reason_set(r, err, text != NULL ? text : err_str(err));
	if (t != NULL && !r->unregistering)
		sip_target_bad(r->s, t, min_us);
	if (r->unregistering || reg_flow_busy(r)) {
		reg_wait(r, min_us);
		return;
	}
	sip_ctxn_stop(&r->txn);
	reg_flow_drop(r);
	r->min_us = min_us;
	if (!connect_next(r, &err))
		server_next(r, 0);
}

/* sip_route_cb. */
static void
on_route(int err, const struct sip_target *ts, size_t num_ts, int64_t took_us,
    void *arg)
{
	struct sip_reg *r = arg;
	bool second = (r->second & 1u << r->server) != 0;

	r->dns_us = took_us;
	if (err != 0) {
		server_next(r, err);
		return;
	}
	memcpy(r->targets, ts, num_ts * sizeof(ts[0]));
	r->num_targets = num_ts;
	r->next = 0;
	if (!sip_targets_order(r->s, r->targets, num_ts,
		addr_is_set(&r->last.a) ? &r->last : NULL) &&
	    !second && r->num_servers > 1) {
		/* Another server first; this one if that fails, too. */
		r->left_out |= 1u << r->server;
		server_next(r, 0);
		return;
	}
	err = E_SIP_NO_ROUTE;
	if (!connect_next(r, &err))
		server_next(r, err);
}

/* Chooses the server to try now: the one that accepted us, then in order; in
 * the second pass those left out.  False if all were tried. */
static bool
server_choose(struct sip_reg *r)
{
	unsigned int *done = &r->tried;
	unsigned int todo = ((1u << r->num_servers) - 1) & ~r->tried;

	if (todo == 0) {
		done = &r->second;
		todo = r->left_out & ~r->second;
	}
	if (todo == 0)
		return false;
	r->server = 0;
	if (addr_is_set(&r->last.a) && (todo & 1u << r->last_server) != 0)
		r->server = r->last_server;
	else
		while ((todo & 1u << r->server) == 0)
			r->server++;
	*done |= 1u << r->server;
	return true;
}

/* Goes on to the next server, or waits; `err` (0: said already) is why not the
 * one before. */
static void
server_next(struct sip_reg *r, int err)
{
	struct sip_route_conf rc = {
		.sips = r->sips, .cb = on_route, .arg = r
	};

	r->num_targets = r->next = 0;
	do {
		if (err != 0 && !reg_keeps_reason(r, err))
			reg_reason_set(r, err, err_str(err));
		if (!server_choose(r)) {
			reg_wait(r, r->min_us);
			return;
		}
		/* Where the server before has sent us is not its place. */
		r->elsewhere.host[0] = '\0';
		rc.host = reg_server(r)->host;
		rc.port = reg_server(r)->port;
		rc.t = reg_server(r)->t;
		err = sip_route_start(&r->route, r->s, &rc);
	} while (err != 0);
	reg_enter(r, SIP_REG_RESOLVING);
}

void
reg_begin(struct sip_reg *r)
{
	timer_stop(&r->timer);
	sip_auth_clear(&r->auth);
	r->due_us = 0;
	r->min_us = 0;
	r->tried = r->left_out = r->second = r->tries = 0;
	r->no_outbound = false;
	memset(&r->elsewhere, 0, sizeof(r->elsewhere));
	server_next(r, 0);
}

int
reg_elsewhere(struct sip_reg *r, struct slice uri)
{
	struct sip_route_conf rc = {
		.sips = r->sips, .cb = on_route, .arg = r
	};
	struct sip_uri u;
	char port[8] = "";
	bool secure = reg_transport(r) == SIPC_TLS || r->sips;
	bool v6;
	int err;

	if (sip_uri_parse(&u, uri) != 0 || u.transport == -2)
		return E_PARSE;
	rc.t = u.sips          ? SIPC_TLS
	    : u.transport >= 0 ? (enum sip_transport)u.transport
			       : reg_transport(r);
	if (secure && rc.t != SIPC_TLS)
		return E_SIP_INSECURE;
	if (r->elsewhere.n++ >= ELSEWHERE_MAX)
		return E_LIMIT;
	ignore_err(
	    str_copy(r->elsewhere.host, sizeof(r->elsewhere.host), u.host),
	    "same size");
	v6 = strchr(u.host, ':') != NULL;
	if (u.port != 0)
		(void)snprintf(port, sizeof(port), ":%u", u.port);
	(void)snprintf(r->elsewhere.uri, sizeof(r->elsewhere.uri), "%s%s%s%s",
	    v6 ? "[" : "", u.host, v6 ? "]" : "", port);
	log_info(LOGC_SIP, 0, "registrar sends us to %s over %s",
	    esc(r->elsewhere.uri), sip_transport_name(rc.t));
	sip_ctxn_stop(&r->txn);
	reg_flow_drop(r);
	sip_auth_clear(&r->auth);
	r->num_targets = r->next = 0;
	rc.host = r->elsewhere.host;
	rc.port = u.port;
	if ((err = sip_route_start(&r->route, r->s, &rc)) == 0)
		reg_enter(r, SIP_REG_RESOLVING);
	return err;
}
