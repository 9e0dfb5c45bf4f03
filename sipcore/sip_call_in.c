/* SPDX-License-Identifier: ISC */
/* Incoming calls: the INVITE, our answer and its ACK, CANCEL and BYE. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellbird/clock.h"
#include "bellbird/log.h"
#include "internal.h"

/* RFC 3261 13.3.1.1: a provisional answer is repeated each minute. */
#define RING_AGAIN_US (60 * SIPC_S)

/* .. for so long where the caller named no time: a proxy's timer C. */
#define RING_US (180 * SIPC_S)

static const struct slice none = { NULL, 0 };

/* ---- answers ---- */

/* No ACK yet: the 2xx again (RFC 3261 13.3.1.4), on every transport. */
static void
on_ok_again(void *arg)
{
	struct sip_call *c = arg;
	int64_t left = c->give_up_us - clock_mono_us();
	struct sip_flow *f = c->w.flow; /* the way of the answer */

	if (left <= 0) {
		buf_clear(&c->ok);
		log_info(LOGC_SIP, 0, "call without ACK id=%s", c->id_esc);
		sip_call_end_set(c, 408, ETIMEDOUT, true,
		    "The peer did not acknowledge our answer");
		sip_call_send_bye(c);
		return;
	}
	if (f != NULL || sip_call_way(c, &f) == 0)
		ignore_err(
		    sip_flow_send(f, c->ok.p, c->ok.n), "it is sent again");
	c->retry_us = c->retry_us * 2 < SIPC_T2 ? c->retry_us * 2 : SIPC_T2;
	if (timer_start(&c->timer, c->s->conf.loop,
		c->retry_us < left ? c->retry_us : left, on_ok_again, c) != 0)
		log_warn(LOGC_SIP, 0, "200 not repeated: out of memory");
}

/* Header lines of an answer in the dialog. */
static int
answer_headers(struct sip_call *c, int code, bool rel, struct buf *b)
{
	if (code <= 100 || code >= 300)
		return 0;
	ignore_err(buf_printf(b,
		       "Contact: %s\r\nAllow: " SIPC_ALLOW
		       "\r\nSupported: " SIPC_SUPPORTED "%s\r\n",
		       c->dlg.contact, c->rel.can ? ", 100rel" : ""),
	    "sticks in the buf");
	if (code < 200 && rel)
		sip_rel_put(c, b);
	if (code >= 200)
		sip_session_answer(c, c->req->msg, b);
	return b->err;
}

/* The 2xx is out: wait for its ACK. */
static int
ok_wait(struct sip_call *c)
{
	c->retry_us = SIPC_T1;
	c->give_up_us = clock_mono_us() + SIPC_T1X64;
	return timer_start(&c->timer, c->s->conf.loop, SIPC_T1, on_ok_again, c);
}

/* What a 2xx settles before it is sent. */
static void
accept_note(struct sip_call *c, const struct sip_req *r, bool offers)
{
	if (r->invite) {
		c->ok_cseq = r->msg->cseq;
		c->offered = r->msg->body.n == 0 && offers;
	}
	/* RFC 6141 4.9: the new target holds as soon as it is accepted. */
	if (c->state != SIP_C_INCOMING) {
		sip_dlg_retarget(&c->dlg, r->msg);
		sip_call_peer_set(c);
	}
}

int
sip_call_answer_req(
    struct sip_call *c, int code, const char *reason, struct slice sdp)
{
	struct sip_req *r = c->req;
	bool keep = r->invite && code >= 200 && code < 300;
	bool first = c->state == SIP_C_INCOMING;
	bool rel =
	    first && code > 100 && code < 200 && sip_rel_wants(c, sdp.n > 0);
	struct sip_msg *msg = NULL;
	struct sip_rsp rsp = { .code = code,
		.reason = reason,
		.type = "application/sdp",
		.body = sdp };
	struct buf headers;
	int err;

	buf_init(&headers, SIPC_HEAD_MAX);
	if ((err = answer_headers(c, code, rel, &headers)) != 0) {
		buf_clear(&headers);
		return err;
	}
	rsp.headers = headers.n > 0 ? buf_str(&headers) : NULL;
	if (code >= 200 && code < 300)
		accept_note(c, r, sdp.n > 0);
	if (code >= 200)
		c->req = NULL;
	err = sip_req_send(r, &rsp,
	    keep      ? &c->ok
		: rel ? &c->rel.msg
		      : NULL,
	    first && code >= 200 ? &msg : NULL);
	buf_clear(&headers);
	if (msg != NULL) {
		sip_msg_free(c->ref);
		c->ref = msg;
	}
	if (err == 0 && rel)
		err = sip_rel_sent(c, sdp.n > 0);
	return err == 0 && keep ? ok_wait(c) : err;
}

/* Says no more than that it came. */
static int
answer_trying(struct sip_call *c)
{
	if (c->ring_code == 0)
		c->ring_code = 100;
	return sip_call_answer_req(c, 100, NULL, none);
}

/* It still rings: say so again. */
static void
on_ring_again(void *arg)
{
	struct sip_call *c = arg;

	if (!c->rel.waiting)
		ignore_err(sip_call_answer_req(c, c->ring_code, NULL, none),
		    "the next minute comes");
	ignore_err(timer_start(&c->timer, c->s->conf.loop, RING_AGAIN_US,
		       on_ring_again, c),
	    "a courtesy to proxies");
}

/* 101..199. */
static int
answer_ringing(
    struct sip_call *c, int code, const char *reason, struct slice sdp)
{
	bool late = c->req->msg->body.n == 0;
	int err;

	/* RFC 3262 5: the first reliable answer to an INVITE without an offer
	 * has to make one; RFC 3261 13.2.1: one that is not reliable may not.
	 */
	if (late && !c->agreed && sdp.n > 0 && !c->rel.can)
		return E_SIP_STATE;
	if (late && !c->agreed && sdp.n == 0 && c->rel.must)
		return answer_trying(c);
	if (c->agreed)
		sdp = none; /* a new offer would go by UPDATE */
	if (sdp.n > 0 && (err = sip_call_sdp_set(c, sdp)) != 0)
		return err;
	if ((err = sip_call_answer_req(c, code, reason, sdp)) != 0)
		return err;
	c->early_sdp = c->early_sdp || sdp.n > 0;
	c->ring_code = code;
	return timer_start(
	    &c->timer, c->s->conf.loop, RING_AGAIN_US, on_ring_again, c);
}

int
sip_call_answer(
    struct sip_call *c, int code, const char *reason, struct slice sdp)
{
	int err;

	if (c->state != SIP_C_INCOMING || c->req == NULL)
		return E_SIP_STATE;
	if (code <= 100 || code > 699 || (code > 200 && code < 300))
		return EINVAL;
	if (code == 200 && sdp.n == 0 && !c->early_sdp)
		return EINVAL;
	if (c->rel.waiting && code < 300)
		return sip_rel_queue(c, code, reason, sdp);
	if (code < 200)
		return answer_ringing(c, code, reason, sdp);
	sip_rel_clear(&c->rel);
	timer_stop(&c->timer);
	timer_stop(&c->deadline);
	if (code >= 300) {
		err = sip_call_answer_req(c, code, reason, none);
		sip_call_end_set(c, code, 0, false,
		    reason != NULL ? esc(reason) : sip_phrase(code));
		sip_call_over_later(c);
		return err;
	}
	/* What was said early holds: again, or once if that was reliable. */
	if (!c->early_sdp && (err = sip_call_sdp_set(c, sdp)) != 0)
		return err;
	sdp = c->agreed ? none : (struct slice){ c->sdp, c->sdp_n };
	if ((err = sip_call_answer_req(c, 200, reason, sdp)) != 0) {
		if (c->req == NULL) { /* the answer could not be sent */
			sip_call_end_set(c, 0, err, false, err_str(err));
			sip_call_over_later(c);
		}
		return err;
	}
	c->state = SIP_C_ANSWERED;
	return 0;
}

void
sip_call_own(
    struct sip_call *call, struct sip_call **slot, sip_call_cb *cb, void *arg)
{
	call->slot = slot;
	call->cb = cb;
	call->arg = arg;
	*slot = call;
}

/* ---- INVITE ---- */

/* Nobody answered. */
static void
give_up(struct sip_call *c, int code)
{
	timer_stop(&c->timer);
	sip_rel_clear(&c->rel);
	if (c->req != NULL)
		ignore_err(
		    sip_call_answer_req(c, code, NULL, none), "the call ends");
	c->state = SIP_C_OVER;
	sip_call_end_set(c, code, ETIMEDOUT, false, "Nobody answered");
	sip_call_over(c);
}

/* The time of the invitation is over (RFC 3261 13.3.1). */
static void
on_expired(void *arg)
{
	give_up(arg, 487);
}

/* We have rung for long enough. */
static void
on_ring_end(void *arg)
{
	give_up(arg, 480);
}

/* Rings no longer than the caller wants. */
static int
ring_limit(struct sip_call *c, const struct sip_msg *m)
{
	int64_t s = sip_msg_uint(m, SIPH_EXPIRES, UINT32_MAX, -1);
	int64_t us = s < 0 ? RING_US : s * SIPC_S;
	bool ours = s < 0 || s > SIPC_RING_MAX_S;

	if (s > SIPC_RING_MAX_S)
		us = SIPC_RING_MAX_S * SIPC_S;
	return timer_start(&c->deadline, c->s->conf.loop, us,
	    ours ? on_ring_end : on_expired, c);
}

/* Fills in a new call. */
static int
call_fill(struct sip_call *c, struct sip_req *r)
{
	struct sip_flow *f = sip_req_flow_of(r);
	struct sip_uri u;
	int err;

	if (f == NULL)
		return E_CLOSED;
	if (sip_uri_parse(&u, slice_of(r->msg->uri)) != 0)
		return E_SIP_PARSE;
	c->incoming = true;
	c->state = SIP_C_INCOMING;
	if (f->trusted > 0)
		c->reg = sip_reg_find(c->s, f, u.user);
	c->pinned = c->reg != NULL;
	if ((err = sip_dlg_in(&c->dlg, r->msg, r->to_tag)) != 0)
		return err;
	c->dlg.secure = f->t == SIPC_TLS;
	/* 2^31 - 1 is the limit of CSeq: start low. */
	c->dlg.lcseq = 0;
	c->no_update = !sip_msg_has(r->msg, SIPH_ALLOW, "UPDATE");
	sip_rel_init(c, r->msg);
	sip_call_flow_set(c, f);
	sip_call_peer_set(c);
	if ((err = sip_call_contact(c, f, u.user)) != 0 ||
	    (err = sip_call_names(c)) != 0 ||
	    (err = ring_limit(c, r->msg)) != 0)
		return err;
	sip_call_index(c);
	c->req = r;
	r->call = c;
	return 0;
}

/* The program did not take the call. */
static void
call_unowned(struct sip_call *c)
{
	c->told = true;
	if (c->counted)
		c->s->num_calls--;
	c->counted = false;
	if (c->state == SIP_C_ANSWERED || c->later.queued)
		sip_call_hangup(c, 0);
	else
		sip_call_rest(c);
}

void
sip_call_invited(struct sip_stack *s, struct sip_req *r)
{
	struct sip_call *c = NULL, *old;
	int err = ENOMEM, code = sip_replaces_judge(s, r, &old);

	if (code != 0)
		log_info(LOGC_SIP, r->msg->flow,
		    "INVITE with Replaces answered code=%d", code);
	else if (s->conf.on_call == NULL)
		code = 480;
	/* One that takes the place of another needs none of its own. */
	else if (s->num_calls >= s->conf.max_calls + (old != NULL))
		code = 486;
	else if ((err = sip_call_new(&c, s)) != 0 ||
	    (err = call_fill(c, r)) != 0)
		code = err == E_SIP_PARSE || err == E_SIP_INSECURE ? 400 : 500;
	if (code != 0) {
		if (c != NULL)
			sip_call_drop(c);
		ignore_err(sip_req_reply(r, code, NULL, NULL, NULL, none),
		    "the peer asks again");
		return;
	}
	log_info(LOGC_SIP, c->w.flow->id, "call in id=%s from=%s", c->id_esc,
	    c->remote_esc);
	if (old != NULL)
		sip_replaces_set(c, old);
	s->fresh = c;
	s->conf.on_call(c, s->conf.arg);
	if (s->dead || s->fresh != c)
		return;
	s->fresh = NULL;
	if (c->slot == NULL)
		call_unowned(c);
	else if (c->req != NULL && c->ring_code == 0)
		ignore_err(sip_call_answer_req(c, 100, NULL, none),
		    "the INVITE is sent again");
}

/* ---- what follows ---- */

void
sip_call_on_cancel(struct sip_call *c, const struct sip_msg *m)
{
	bool call = c->state == SIP_C_INCOMING;

	if (c->req == NULL || !c->req->invite)
		return;
	timer_stop(&c->timer);
	ignore_err(
	    sip_call_answer_req(c, 487, NULL, none), "the peer cancelled it");
	if (!call)
		return; /* a re-INVITE: the call goes on */
	sip_rel_clear(&c->rel);
	c->state = SIP_C_OVER;
	sip_reason_read(&c->cause, m);
	sip_call_end_set(c, 487, 0, true,
	    c->cause.sip == 200 ? "Another device took the call"
				: "The caller hung up");
	sip_call_over(c);
}

void
sip_call_on_ack(struct sip_call *c, const struct sip_msg *m)
{
	struct slice sdp = c->offered ? m->body : none;
	bool first = c->state == SIP_C_ANSWERED;

	if (c->ok.n == 0 || m->cseq != c->ok_cseq)
		return;
	timer_stop(&c->timer);
	buf_clear(&c->ok);
	if (c->bye_due) {
		sip_call_send_bye(c);
		return;
	}
	if (!first && c->state != SIP_C_UP)
		return;
	c->state = SIP_C_UP;
	sip_session_start(c);
	if (first || c->offered) {
		c->offered = false;
		sip_call_emit(c, SIP_CALL_CONFIRMED, 0, NULL, sdp);
	}
}

void
sip_call_on_bye(struct sip_call *c, struct sip_req *r)
{
	/* RFC 3261 15: the one who was called may not, before it answered. */
	if (!c->incoming && c->state < SIP_C_LATE) {
		ignore_err(sip_req_reply(r, 481, NULL, NULL, NULL, none),
		    "the peer asks again");
		return;
	}
	sip_reason_read(&c->cause, r->msg);
	ignore_err(sip_req_reply(r, 200, NULL, NULL, NULL, none),
	    "the peer asks again");
	if (c->req != NULL)
		ignore_err(
		    sip_call_answer_req(c, 487, NULL, none), "the call ends");
	timer_stop(&c->timer);
	c->state = SIP_C_OVER;
	c->bye_due = false;
	sip_ctxn_detach(&c->bye);
	sip_ctxn_stop(&c->inv);
	sip_call_end_set(c, 0, 0, true, "The peer hung up");
	sip_call_over(c);
}
