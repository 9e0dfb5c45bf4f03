/* SPDX-License-Identifier: ISC */
/* Asks servers whether they are there: a better one than that in use, to go
 * back to it; and the one in use, where its silence would not be noticed. */
#include <stdio.h>
#include <string.h>

#include "bellbird/clock.h"
#include "bellbird/log.h"
#include "reg_internal.h"

static void on_poll(void *arg);
static void ask_next(struct sip_reg *r);

void
reg_poll_stop(struct sip_reg *r)
{
	struct reg_poll *p = &r->poll;

	timer_stop(&p->timer);
	sip_route_stop(&p->route);
	sip_ctxn_stop(&p->txn);
	sip_watch_clear(&p->w);
}

void
reg_poll_start(struct sip_reg *r)
{
	struct reg_poll *p = &r->poll;
	int64_t us = p->every_us;

	reg_poll_stop(r);
	/* Who needs neither has no timer. */
	if (us == 0 || (!p->active && (!p->failback || r->server == 0)))
		return;
	/* Spread, so that not all devices ask in the same second. */
	us -= (int64_t)(tls_random_id() % (uint64_t)(us / 10 + 1));
	if (timer_start(&p->timer, r->s->conf.loop, us, on_poll, r) != 0)
		log_warn(LOGC_SIP, 0, "servers are not polled: no memory");
}

/* ---- the question ---- */

/* Composes it; whatever the answer, it shows that somebody is there. */
static void
question_write(
    struct sip_reg *r, struct sip_flow *f, const char *branch, struct buf *b)
{
	const char *method = r->poll.notify ? "NOTIFY" : "OPTIONS";
	char via[ADDR_STR_MAX], id[SIPC_CALL_ID_LEN + 1];

	sip_host_port(&f->local, via);
	sip_token(id, SIPC_CALL_ID_LEN);
	ignore_err(buf_printf(b,
		       "%s %s:%s SIP/2.0\r\n"
		       "Via: SIP/2.0/%s %s;branch=%s;rport\r\n"
		       "Max-Forwards: 70\r\n"
		       "From: %s;tag=%.16s\r\nTo: <%s:%s>\r\nCall-ID: %s\r\n"
		       "CSeq: 1 %s\r\nUser-Agent: %s\r\n%s",
		       method, r->sips ? "sips" : "sip", r->domain,
		       sip_via_proto(f->t), via, branch, r->from, id,
		       r->sips ? "sips" : "sip", r->domain, id, method,
		       r->s->user_agent,
		       r->poll.notify ? "Event: keep-alive\r\n"
				      : "Accept: application/sdp\r\n"),
	    "sticks in the buf");
	sip_write_body(b, NULL, (struct slice){ NULL, 0 });
}

/* Sends it over `f`. */
static int
question_send(struct sip_reg *r, struct sip_flow *f, sip_ctxn_cb *cb)
{
	char branch[SIPC_BRANCH_LEN + 1];
	struct buf b;
	struct sip_ctxn_conf xc = { .flow = f,
		.method = r->poll.notify ? "NOTIFY" : "OPTIONS",
		.branch = branch,
		.msg = &b,
		.limit_us = SIPC_TRY_S * SIPC_S,
		.cb = cb,
		.arg = r };
	int err;

	sip_branch(branch);
	buf_init(&b, SIPC_MSG_MAX);
	question_write(r, f, branch, &b);
	sip_ctxn_stop(&r->poll.txn);
	err = sip_ctxn_start(&r->poll.txn, &xc);
	buf_clear(&b);
	return err;
}

/* ---- a better server ---- */

/* It answered: back to it, unless that would cut calls off. */
static void
go_back(struct sip_reg *r)
{
	const struct reg_poll *p = &r->poll;

	if (reg_flow_busy(r)) {
		reg_poll_start(r);
		return;
	}
	log_info(LOGC_SIP, 0, "back to the server %s, which answers again",
	    esc(r->servers[p->server].host));
	sip_target_good(r->s, &p->targets[p->next - 1]);
	/* The order of the settings counts again, not who took us last. */
	memset(&r->last, 0, sizeof(r->last));
	reg_flow_drop(r);
	reg_begin(r);
}

/* This address is not it: the next, or the next server. */
static void
target_failed(struct sip_reg *r)
{
	sip_ctxn_stop(&r->poll.txn);
	sip_watch_clear(&r->poll.w);
	ask_next(r);
}

/* sip_ctxn_cb. */
static void
on_answer(struct sip_msg **rsp, int err, void *arg)
{
	struct sip_reg *r = arg;
	const struct sip_msg *m = *rsp;

	(void)err;
	if (m != NULL && m->code < 200)
		return;
	if (m == NULL || m->code == 503 || m->code == 408)
		target_failed(r);
	else
		go_back(r);
}

/* sip_watch_cb. */
static void
on_flow(enum sip_watch_ev ev, int err, void *arg)
{
	struct sip_reg *r = arg;

	(void)err;
	if (ev == SIP_FLOW_UP &&
	    question_send(r, r->poll.w.flow, on_answer) == 0)
		return;
	/* The transaction tells of the end of a flow that it runs on. */
	if (ev == SIP_FLOW_UP || r->poll.txn == NULL)
		target_failed(r);
}

/* Asks at one address. */
static int
target_ask(struct sip_reg *r, const struct sip_target *t)
{
	struct reg_poll *p = &r->poll;
	const char *host = r->servers[p->server].host;
	struct sip_flow_conf fc = { .t = t->t,
		.remote = t->a,
		.host = host,
		.limit_us = SIPC_TRY_S * SIPC_S };
	struct tls_policy policy;
	struct sip_flow *f;
	int err;

	if (t->t == SIPC_UDP) {
		if ((err = sip_flow_udp(&f, r->s, NULL, &t->a)) != 0)
			return err;
		sip_watch_set(&p->w, f, on_flow, r);
		return question_send(r, f, on_answer);
	}
	if (t->t == SIPC_TLS) {
		if (r->policy == NULL)
			return E_TLS_PARAM;
		if ((err = r->policy(host, &policy, r->policy_arg)) != 0)
			return err;
		fc.policy = &policy;
	}
	return sip_flow_connect(r->s, &fc, &p->w, on_flow, r);
}

/* sip_route_cb. */
static void
on_route(int err, const struct sip_target *ts, size_t num_ts, int64_t took_us,
    void *arg)
{
	struct sip_reg *r = arg;
	struct reg_poll *p = &r->poll;

	(void)took_us;
	p->next = p->num_targets = 0;
	if (err == 0) {
		memcpy(p->targets, ts, num_ts * sizeof(ts[0]));
		p->num_targets = num_ts;
	}
	ask_next(r);
}

/* Goes on to the next address, or the next better server, or waits. */
static void
ask_next(struct sip_reg *r)
{
	struct reg_poll *p = &r->poll;
	struct sip_route_conf rc = {
		.sips = r->sips, .cb = on_route, .arg = r
	};

	while (p->next < p->num_targets) {
		if (target_ask(r, &p->targets[p->next++]) == 0)
			return;
		sip_watch_clear(&p->w);
	}
	p->num_targets = p->next = 0;
	while (p->asked < r->server) {
		p->server = p->asked++;
		rc.host = r->servers[p->server].host;
		rc.port = r->servers[p->server].port;
		rc.t = r->servers[p->server].t;
		if (sip_route_start(&p->route, r->s, &rc) == 0)
			return;
	}
	reg_poll_start(r);
}

/* ---- the server in use ---- */

/* sip_ctxn_cb. */
static void
on_active_answer(struct sip_msg **rsp, int err, void *arg)
{
	struct sip_reg *r = arg;
	const struct sip_msg *m = *rsp;

	if (m != NULL && m->code < 200)
		return;
	/* Of a flow that ends the registration hears itself. */
	if (m == NULL && err == ETIMEDOUT) {
		reg_next_target(
		    r, err, "The server does not answer any more", 0);
		return;
	}
	if (m == NULL)
		return;
	r->poll.asked = 0;
	if (r->poll.failback)
		ask_next(r);
	else
		reg_poll_start(r);
}

/* timer_cb. */
static void
on_poll(void *arg)
{
	struct sip_reg *r = arg;
	struct reg_poll *p = &r->poll;

	if (p->active && r->w.flow != NULL &&
	    question_send(r, r->w.flow, on_active_answer) == 0)
		return;
	p->asked = 0;
	p->num_targets = p->next = 0;
	if (p->failback)
		ask_next(r);
	else
		reg_poll_start(r);
}
