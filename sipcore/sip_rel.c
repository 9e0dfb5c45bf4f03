/* SPDX-License-Identifier: ISC */
/* Reliable provisional answers of ours (RFC 3262 3): one at a time, repeated
 * until its PRACK; what follows waits for that. */
#include <stdlib.h>
#include <string.h>

#include "bellbird/clock.h"
#include "bellbird/log.h"
#include "internal.h"

static const struct slice none = { NULL, 0 };

void
sip_rel_init(struct sip_call *c, const struct sip_msg *inv)
{
	struct sip_rel *l = &c->rel;

	buf_init(&l->msg, SIPC_MSG_MAX);
	if (c->s->rules.rel == SIP_REL_OFF)
		return;
	l->must = sip_msg_has(inv, SIPH_REQUIRE, "100rel");
	l->can = l->must || sip_msg_has(inv, SIPH_SUPPORTED, "100rel");
	/* 1 to 2^31 - 1, and there is room above. */
	l->rseq = 1 + (uint32_t)(tls_random_id() % 0x3fffffff);
}

/* Forgets what waits. */
static void
next_clear(struct sip_rel *l)
{
	free(l->next_reason);
	free(l->next_sdp);
	l->next_reason = l->next_sdp = NULL;
	l->next_code = 0;
	l->next_n = 0;
}

void
sip_rel_clear(struct sip_rel *l)
{
	timer_stop(&l->timer);
	buf_clear(&l->msg);
	next_clear(l);
	l->waiting = false;
}

bool
sip_rel_wants(const struct sip_call *c, bool sdp)
{
	return c->rel.must || (c->rel.can && sdp);
}

void
sip_rel_put(struct sip_call *c, struct buf *headers)
{
	ignore_err(buf_printf(headers, "Require: 100rel\r\nRSeq: %u\r\n",
		       ++c->rel.rseq),
	    "sticks in the buf");
}

/* No PRACK: again, and in the end no more (RFC 3262 3). */
static void
on_again(void *arg)
{
	struct sip_call *c = arg;
	struct sip_rel *l = &c->rel;
	int64_t left = l->give_up_us - clock_mono_us();
	struct sip_flow *f = c->req != NULL ? sip_req_flow_of(c->req) : NULL;

	if (left <= 0 || f == NULL) {
		log_info(LOGC_SIP, 0, "provisional answer without PRACK id=%s",
		    c->id_esc);
		sip_rel_clear(l);
		timer_stop(&c->timer);
		timer_stop(&c->deadline);
		if (c->req != NULL)
			ignore_err(sip_call_answer_req(c, 504, NULL, none),
			    "the call ends");
		c->state = SIP_C_OVER;
		sip_call_end_set(c, 504, ETIMEDOUT, true,
		    "The peer did not acknowledge our provisional answer");
		sip_call_over(c);
		return;
	}
	ignore_err(sip_flow_send(f, l->msg.p, l->msg.n), "it is sent again");
	l->interval_us *= 2;
	if (timer_start(&l->timer, c->s->conf.loop,
		l->interval_us < left ? l->interval_us : left, on_again,
		c) != 0)
		log_warn(LOGC_SIP, 0, "1xx not repeated: out of memory");
}

int
sip_rel_sent(struct sip_call *c, bool sdp)
{
	struct sip_rel *l = &c->rel;

	l->waiting = true;
	l->sdp = sdp;
	l->offer =
	    sdp && c->req != NULL && c->req->msg->body.n == 0 && !c->agreed;
	l->interval_us = SIPC_T1;
	l->give_up_us = clock_mono_us() + SIPC_T1X64;
	return timer_start(&l->timer, c->s->conf.loop, SIPC_T1, on_again, c);
}

int
sip_rel_queue(
    struct sip_call *c, int code, const char *reason, struct slice sdp)
{
	struct sip_rel *l = &c->rel;
	char *reason_copy = NULL, *sdp_copy = NULL;

	if (l->next_code >= 200)
		return E_SIP_STATE;
	if ((reason != NULL && (reason_copy = strdup(reason)) == NULL) ||
	    (sdp.n > 0 && (sdp_copy = slice_dup(sdp)) == NULL)) {
		free(reason_copy);
		return ENOMEM;
	}
	next_clear(l);
	l->next_code = code;
	l->next_reason = reason_copy;
	l->next_sdp = sdp_copy;
	l->next_n = sdp.n;
	return 0;
}

void
sip_rel_next(struct sip_call *c)
{
	struct sip_rel *l = &c->rel;
	struct sip_rel now = *l;

	if (l->waiting || c->upd != NULL || l->next_code == 0 ||
	    c->state != SIP_C_INCOMING)
		return;
	l->next_code = 0;
	l->next_reason = l->next_sdp = NULL;
	l->next_n = 0;
	if (sip_call_answer(c, now.next_code, now.next_reason,
		(struct slice){ now.next_sdp, now.next_n }) != 0)
		log_info(LOGC_SIP, 0, "answer %d not sent id=%s", now.next_code,
		    c->id_esc);
	free(now.next_reason);
	free(now.next_sdp);
}

/* Does the RAck name what waits? */
static bool
rack_fits(const struct sip_call *c, const struct sip_msg *m)
{
	const char *v = sip_msg_find(m, "RAck", 0);
	struct slice rseq, cseq, method, rest;
	int64_t r, n;

	if (v == NULL || !c->rel.waiting || c->req == NULL)
		return false;
	(void)slice_cut(slice_trim(slice_of(v)), ' ', &rseq, &rest);
	(void)slice_cut(slice_trim(rest), ' ', &cseq, &method);
	return str_int(rseq, 0, UINT32_MAX, &r) == 0 &&
	    str_int(cseq, 0, UINT32_MAX, &n) == 0 && r == c->rel.rseq &&
	    n == c->req->msg->cseq && slice_is(slice_trim(method), "INVITE");
}

void
sip_call_on_prack(struct sip_call *c, struct sip_req *r)
{
	struct sip_rel *l = &c->rel;
	struct slice sdp = r->msg->body;
	bool answers;
	char *copy;

	if (c->state != SIP_C_INCOMING || !rack_fits(c, r->msg)) {
		ignore_err(sip_req_reply(r, 481, NULL, NULL, NULL, none),
		    "the peer gives up");
		return;
	}
	timer_stop(&l->timer);
	buf_clear(&l->msg);
	l->waiting = false;
	answers = l->offer;
	if (l->sdp)
		c->agreed = true; /* from here on */
	if (sdp.n > 0 && !answers && c->agreed) {
		/* RFC 3262 5: a new offer, answered by the 200 of PRACK. */
		c->upd = r;
		c->upd_early = NULL;
		r->call = c;
		sip_call_emit(c, SIP_CALL_OFFER, 0, NULL, sdp);
		return;
	}
	copy = answers && sdp.n > 0 ? slice_dup(sdp) : NULL;
	ignore_err(sip_req_reply(r, sdp.n > 0 && !answers ? 488 : 200, NULL,
		       NULL, NULL, none),
	    "the peer asks again");
	sip_rel_next(c);
	if (answers)
		sip_call_emit(c, SIP_CALL_PRACKED, 0, NULL,
		    (struct slice){ copy, copy != NULL ? sdp.n : 0 });
	free(copy);
}
