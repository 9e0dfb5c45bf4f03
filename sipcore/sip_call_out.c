/* SPDX-License-Identifier: ISC */
/* Outgoing calls: find a way, send INVITE, follow its answers. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellbird/log.h"
#include "internal.h"

/* A proxy's timer C: nothing new for 3 minutes means nobody will answer. */
#define RING_US (180 * SIPC_S)
/* One odd number of a server must not shut it out for a day. */
enum { RETRY_AFTER_MAX_S = 3600 };

/* Longer sessions that 422 answers make us ask for, one after another. */
enum { SESSION_TRIES_MAX = 3 };

static const struct slice none = { NULL, 0 };

static void on_answer(struct sip_msg **rsp, int err, void *arg);

/* Ends the call: nobody was reached, or refused. */
static void
fail(struct sip_call *c, int code, int err, bool by_peer, const char *reason)
{
	timer_stop(&c->timer);
	c->state = SIP_C_OVER;
	sip_call_end_set(c, code, err, by_peer, reason);
	sip_call_over(c);
}

/* ---- INVITE ---- */

/* Our From, known once the flow is. */
static int
from_make(struct sip_call *c, const struct sip_flow *f)
{
	struct sip_call_setup *u = c->setup;
	char ip[ADDR_STR_MAX];
	struct buf b;

	if (c->dlg.local != NULL)
		return 0;
	buf_init(&b, SIPC_HEAD_MAX / 4);
	if (c->reg != NULL) {
		ignore_err(
		    buf_puts(&b, sip_reg_from(c->reg)), "sticks in the buf");
	} else {
		struct addr bare = f->local;

		addr_print_ip(&bare, ip);
		ignore_err(buf_puts(&b, u->uri.sips ? "<sips:" : "<sip:"),
		    "sticks in the buf");
		sip_user_put(
		    &b, u->from_user != NULL ? u->from_user : "bellbird");
		ignore_err(
		    buf_printf(&b, "@%s%s%s>",
			u->from_host == NULL && strchr(ip, ':') ? "[" : "",
			u->from_host != NULL ? u->from_host : ip,
			u->from_host == NULL && strchr(ip, ':') ? "]" : ""),
		    "sticks in the buf");
	}
	ignore_err(
	    buf_printf(&b, ";tag=%s", c->dlg.local_tag), "sticks in the buf");
	if ((c->dlg.local = buf_take(&b)) == NULL)
		return ENOMEM;
	return sip_call_names(c);
}

int
sip_call_send_invite(struct sip_call *c)
{
	struct sip_call_rq rq = {
		.method = "INVITE", .sdp = { c->sdp, c->sdp_n }, .cb = on_answer
	};
	struct sip_flow *f = c->w.flow;
	struct buf headers;
	int err;

	if (f == NULL || !f->up)
		return E_CLOSED;
	if ((err = from_make(c, f)) != 0 ||
	    (err = sip_call_contact(c, f,
		 c->setup->from_user != NULL ? c->setup->from_user : "")) != 0)
		return err;
	/* A new INVITE, new dialogs. */
	sip_earlies_clear(c);
	c->ring_code = 0;
	c->dlg.secure = f->t == SIPC_TLS;
	buf_init(&headers, SIPC_HEAD_MAX);
	sip_session_invite(c, &headers);
	if (c->setup->headers != NULL)
		ignore_err(
		    buf_puts(&headers, c->setup->headers), "sticks in the buf");
	if (headers.n > 0)
		rq.headers = buf_str(&headers);
	if ((err = headers.err) == 0)
		err = sip_call_request(c, &c->inv, &rq);
	buf_clear(&headers);
	if (err != 0)
		return err;
	c->inv_cseq = c->ack_cseq = c->dlg.lcseq;
	c->state = SIP_C_CALLING;
	return 0;
}

/* ---- ways ---- */

/* sip_watch_cb: while connecting. */
static void
on_connect(enum sip_watch_ev ev, int err, void *arg)
{
	struct sip_call *c = arg;

	if (ev == SIP_FLOW_UP) {
		sip_call_flow_set(c, c->w.flow);
		err = sip_call_send_invite(c);
		if (err == 0)
			return;
		sip_watch_clear(&c->w);
	}
	sip_call_next_target(c, err);
}

/* Tries one address. */
static int
target_use(struct sip_call *c, const struct sip_target *t)
{
	struct sip_call_setup *u = c->setup;
	struct sip_flow_conf fc = { .t = t->t,
		.remote = t->a,
		.host = u->uri.host,
		.dns_us = u->dns_us,
		.limit_us = sip_call_limit_us(c) };
	struct tls_policy policy;
	struct sip_flow *f;
	int err;

	if (t->t == SIPC_UDP) {
		if ((err = sip_flow_udp(&f, c->s, NULL, &t->a)) != 0)
			return err;
		sip_call_flow_set(c, f);
		return sip_call_send_invite(c);
	}
	if (t->t == SIPC_TLS) {
		if (u->policy == NULL)
			return E_TLS_PARAM;
		if ((err = u->policy(u->uri.host, &policy, u->policy_arg)) != 0)
			return err;
		fc.policy = &policy;
	}
	return sip_flow_connect(c->s, &fc, &c->w, on_connect, c);
}

int64_t
sip_call_limit_us(const struct sip_call *c)
{
	const struct sip_call_setup *u = c->setup;

	return u != NULL && u->next < u->num_targets ? SIPC_TRY_S * SIPC_S : 0;
}

/* What the target in use turned out to be: `ok`, it answered; else avoid it,
 * for `min_us` at least. */
static void
target_judge(const struct sip_call *c, bool ok, int64_t min_us)
{
	const struct sip_call_setup *u = c->setup;

	if (u == NULL || u->next == 0)
		return; /* on a flow that was there before */
	if (ok)
		sip_target_good(c->s, &u->targets[u->next - 1]);
	else
		sip_target_bad(c->s, &u->targets[u->next - 1], min_us);
}

/* What the verdict of a failed connection says, else the error. */
static const char *
why_of(const struct sip_call *c, int err)
{
	const struct sip_flow *f = c->s->dying;
	const struct tls_verdict *v = f != NULL ? sip_flow_verdict(f) : NULL;

	if (v != NULL && v->class[0] != '\0' && v->text[0] != '\0')
		return v->text;
	return err_str(err);
}

void
sip_call_next_target(struct sip_call *c, int err)
{
	struct sip_call_setup *u = c->setup;
	const char *why = why_of(c, err);

	if (err != E_SIP_REFUSED)
		target_judge(c, false, 0);
	c->state = SIP_C_ROUTING;
	sip_watch_clear(&c->w);
	while (u->next < u->num_targets) {
		if ((err = target_use(c, &u->targets[u->next++])) == 0)
			return;
		why = err_str(err);
		sip_watch_clear(&c->w);
	}
	if (sip_redirect_next(c))
		return;
	if (u->last_code != 0)
		fail(c, u->last_code, E_SIP_REFUSED, true,
		    sip_phrase(u->last_code));
	else
		fail(c, err == ETIMEDOUT ? 408 : 0, err, false, why);
}

void
sip_call_on_route(int err, const struct sip_target *ts, size_t num_ts,
    int64_t took_us, void *arg)
{
	struct sip_call *c = arg;
	struct sip_call_setup *u = c->setup;

	if (err != 0) {
		fail(c, 0, err, false, err_str(err));
		return;
	}
	u->dns_us = took_us;
	u->num_targets = u->next = 0;
	for (size_t i = 0; i < num_ts; i++) {
		if (sip_redirect_may(c, &ts[i].a))
			u->targets[u->num_targets++] = ts[i];
	}
	(void)sip_targets_order(c->s, u->targets, u->num_targets, NULL);
	sip_call_next_target(c, E_SIP_NO_ROUTE);
}

/* ---- answers ---- */

/* It has rung for too long. */
static void
on_ring_end(void *arg)
{
	struct sip_call *c = arg;

	sip_call_end_set(c, 408, ETIMEDOUT, true, "Nobody answered");
	sip_call_set_reason(c, 408, "No answer");
	sip_call_hangup(c, 0);
}

/* 1xx. */
static void
on_provisional(struct sip_call *c, const struct sip_msg *m)
{
	struct slice sdp;

	target_judge(c, true, 0);
	if (c->state == SIP_C_CANCELLING) {
		ignore_err(sip_ctxn_cancel(c->inv, c->reason_line),
		    "the limit ends it");
		return;
	}
	c->ring_code = m->code;
	ignore_err(
	    timer_start(&c->timer, c->s->conf.loop, RING_US, on_ring_end, c),
	    "the owner may hang up");
	if (m->code > 100 && sip_early_take(c, m, &sdp))
		sip_call_emit(
		    c, SIP_CALL_RINGING, m->code, esc(m->reason), sdp);
}

/* Nobody sent the ACK that a late offer needs. */
static void
on_late_end(void *arg)
{
	struct sip_call *c = arg;

	sip_call_end_set(c, 408, ETIMEDOUT, false, "No answer to the offer");
	sip_call_hangup(c, 0);
}

/* 2xx for a call that nobody wants any more. */
static void
too_late(struct sip_call *c)
{
	ignore_err(sip_call_send_ack(c, none), "BYE says it all");
	sip_call_send_bye(c);
}

/* 2xx: the dialog stands. */
static void
on_accepted(struct sip_call *c, struct sip_msg **rsp)
{
	struct sip_msg *m = *rsp;
	struct slice sdp = m->body;
	char *early_sdp = NULL;
	size_t early_n = 0;
	int code = m->code;
	bool agreed;
	int err;

	timer_stop(&c->timer);
	target_judge(c, true, 0);
	agreed = sip_early_win(c, m, &early_sdp, &early_n);
	/* RFC 3261 13.2.1: the answer in a reliable 1xx holds; a 2xx without
	 * SDP means the one before, whatever that was. */
	if (agreed || (sdp.n == 0 && !c->late))
		sdp = (struct slice){ early_sdp, early_n };
	err = sip_dlg_out(&c->dlg, m);
	c->dlg.secure = c->w.flow != NULL && c->w.flow->t == SIPC_TLS;
	c->no_update = !sip_msg_has(m, SIPH_ALLOW, "UPDATE");
	sip_call_peer_set(c);
	sip_session_agree(c, m);
	if (c->auth != NULL)
		sip_auth_ok(c->auth);
	c->ref = m;
	*rsp = NULL;
	sip_call_setup_free(c->setup);
	c->setup = NULL;
	if (err != 0)
		sip_call_end_set(c, 0, err, false, err_str(err));
	if (err != 0 || c->state == SIP_C_CANCELLING) {
		free(early_sdp);
		too_late(c);
		return;
	}
	c->ev_agreed = agreed;
	if (c->late && !agreed) {
		c->state = SIP_C_LATE;
		ignore_err(timer_start(&c->timer, c->s->conf.loop, SIPC_T1X64,
			       on_late_end, c),
		    "the owner may hang up");
	} else {
		c->state = SIP_C_UP;
		ignore_err(sip_call_send_ack(c, none), "the 2xx comes again");
		sip_session_start(c);
	}
	sip_call_emit(c, SIP_CALL_ANSWERED, code, NULL, sdp);
	free(early_sdp);
}

int
sip_call_ack(struct sip_call *c, struct slice sdp)
{
	int err;

	if (c->state == SIP_C_CALLING && c->due != NULL)
		return sip_early_answer(c, sdp);
	if (c->state != SIP_C_LATE)
		return E_SIP_STATE;
	if ((err = sip_call_sdp_set(c, sdp)) != 0 ||
	    (err = sip_call_send_ack(c, sdp)) != 0)
		return err;
	timer_stop(&c->timer);
	c->state = SIP_C_UP;
	sip_session_start(c);
	return 0;
}

/* No answer at all. */
static void
on_silence(struct sip_call *c, int err)
{
	bool heard = c->ring_code != 0;

	sip_earlies_clear(c);
	if (c->state == SIP_C_CANCELLING) {
		fail(c, 487, 0, false, "hung up");
		return;
	}
	/* The account's flow was lost before anything came back. */
	if (c->reg != NULL && err != ETIMEDOUT && !heard &&
	    sip_reg_is_back_soon(c->reg) && sip_call_wait_flow(c) == 0)
		return;
	sip_call_next_target(c, err);
}

/* 3xx..6xx. */
static void
on_refused(struct sip_call *c, const struct sip_msg *m)
{
	struct sip_call_setup *u = c->setup;
	int err = sip_err_of_code(m->code);
	struct sip_auth_rule rule;
	char reason[96];

	sip_earlies_clear(c);
	sip_reason_read(&c->cause, m);
	if (c->state == SIP_C_CANCELLING) {
		if (c->end_code == 0)
			c->end_code = m->code;
		fail(c, m->code, 0, false, "hung up");
		return;
	}
	if (m->code == 401 || m->code == 407) {
		if (sip_call_challenged(c, m, &rule) != 0)
			fail(c, m->code, err, true, rule.why);
		else if ((err = sip_call_send_invite(c)) != 0)
			fail(c, m->code, err, false, err_str(err));
		return;
	}
	target_judge(c, m->code != 503, sip_msg_retry_us(m, RETRY_AFTER_MAX_S));
	if (m->code == 422 && c->session_tries < SESSION_TRIES_MAX &&
	    sip_session_longer(c, m)) {
		c->session_tries++;
		if ((err = sip_call_send_invite(c)) != 0)
			fail(c, m->code, err, false, err_str(err));
		return;
	}
	if (sip_redirect_take(c, m))
		return;
	if (m->code == 503 && u->next < u->num_targets) {
		u->last_code = m->code;
		sip_call_next_target(c, E_SIP_REFUSED); /* RFC 3263 4.3 */
		return;
	}
	/* RFC 3261 8.1.3.4: the next of the places we were sent to; a 6xx
	 * speaks for all of them. */
	if (m->code < 600 && u->num_more > 0 && sip_redirect_next(c))
		return;
	ignore_err(str_copy(reason, sizeof(reason), esc(m->reason)),
	    "a phrase may be cut");
	fail(c, m->code, err, true, reason);
}

/* sip_ctxn_cb. */
static void
on_answer(struct sip_msg **rsp, int err, void *arg)
{
	struct sip_call *c = arg;
	const struct sip_msg *m = *rsp;

	if (m == NULL)
		on_silence(c, err);
	else if (m->code < 200)
		on_provisional(c, m);
	else if (m->code < 300)
		on_accepted(c, rsp);
	else
		on_refused(c, m);
}

/* sip_ctxn_cb: of a BYE to a fork. */
static void
on_stray_bye(struct sip_msg **rsp, int err, void *arg)
{
	struct sip_stack *s = arg;

	(void)err;
	if (*rsp == NULL || (*rsp)->code >= 200)
		s->num_strays--;
}

/* A temporary dialog made of a 2xx that belongs to no call of ours. */
static void
stray_end(struct sip_stack *s, struct sip_flow *f, const struct sip_msg *m)
{
	char branch[SIPC_BRANCH_LEN + 1];
	struct sip_dlg d = { .lcseq = m->cseq };
	struct sip_dlg_req q = {
		.method = "ACK", .cseq = m->cseq, .flow = f, .branch = branch
	};
	struct sip_ctxn_conf xc = { .flow = f,
		.method = "BYE",
		.branch = branch,
		.cb = on_stray_bye,
		.arg = s };
	struct buf b;

	buf_init(&b, SIPC_MSG_MAX);
	d.call_id = strdup(m->call_id);
	d.local = strdup(m->from);
	if (d.call_id == NULL || d.local == NULL || sip_dlg_out(&d, m) != 0 ||
	    d.target == NULL)
		goto out;
	sip_branch(branch);
	if (sip_dlg_write(s, &d, &q, &b) != 0 ||
	    sip_flow_send(f, b.p, b.n) != 0)
		goto out;
	if (s->num_strays >= SIPC_STRAYS_MAX)
		goto out;
	buf_reset(&b);
	sip_branch(branch);
	q.method = "BYE";
	q.cseq++;
	xc.msg = &b;
	if (sip_dlg_write(s, &d, &q, &b) == 0 && sip_ctxn_start(NULL, &xc) == 0)
		s->num_strays++; /* else the other end expires */
out:
	buf_clear(&b);
	sip_dlg_clear(s, &d);
}

void
sip_call_stray_2xx(
    struct sip_stack *s, struct sip_flow *f, const struct sip_msg *m)
{
	struct sip_call *c = sip_call_of(s, m);
	struct sip_flow *way;

	if (f == NULL)
		return;
	if (c == NULL) {
		stray_end(s, f, m); /* RFC 3261 13.2.2.4: a fork */
		return;
	}
	if (c->ack.n > 0 && m->cseq == c->ack_cseq &&
	    sip_call_way(c, &way) == 0)
		ignore_err(sip_flow_send(way, c->ack.p, c->ack.n),
		    "the 2xx comes again");
}
