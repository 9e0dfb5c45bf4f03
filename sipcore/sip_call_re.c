/* SPDX-License-Identifier: ISC */
/* Offers within a call: re-INVITE and UPDATE, ours and the peer's, and what
 * happens when they meet (RFC 3261 14, RFC 3311). */
#include <stdlib.h>
#include <string.h>

#include "bellbird/log.h"
#include "internal.h"

static const struct slice none = { NULL, 0 };

static void on_answer(struct sip_msg **rsp, int err, void *arg);

/* ---- the peer's ---- */

/* Answers a request that cannot be taken now. */
static void
refuse(struct sip_req *r, int code, const char *headers)
{
	ignore_err(sip_req_reply(r, code, NULL, headers, NULL, none),
	    "the peer asks again");
}

void
sip_call_on_offer(struct sip_call *c, struct sip_req *r)
{
	const struct sip_msg *m = r->msg;

	if (c->state == SIP_C_BYE || c->state == SIP_C_OVER) {
		refuse(r, 481, NULL);
		return;
	}
	if (c->re != NULL) {
		refuse(r, 491, NULL); /* RFC 3261 14.2: both at once */
		return;
	}
	if (c->req != NULL || c->ok.n > 0 || c->state != SIP_C_UP) {
		refuse(r, 500, "Retry-After: 3\r\n");
		return;
	}
	sip_dlg_retarget(&c->dlg, m);
	sip_call_peer_set(c);
	c->req = r;
	r->call = c;
	if (!r->invite && m->body.n == 0) {
		/* A session refresh. */
		ignore_err(sip_call_answer_req(c, 200, NULL, none),
		    "the peer asks again");
		sip_session_start(c);
		return;
	}
	sip_call_emit(c, SIP_CALL_OFFER, 0, NULL, m->body);
}

int
sip_call_accept(struct sip_call *c, struct slice sdp)
{
	bool invite;
	int err;

	if (c->req == NULL || c->state != SIP_C_UP)
		return E_SIP_STATE;
	if (sdp.n == 0)
		return EINVAL;
	if ((err = sip_call_sdp_set(c, sdp)) != 0)
		return err;
	invite = c->req->invite;
	if ((err = sip_call_answer_req(c, 200, NULL, sdp)) == 0 && !invite)
		sip_session_start(c);
	return err;
}

void
sip_call_reject(struct sip_call *c, int code)
{
	if (c->req == NULL || c->state != SIP_C_UP)
		return;
	ignore_err(sip_call_answer_req(
		       c, code < 300 || code > 699 ? 488 : code, NULL, none),
	    "the peer asks again");
}

/* ---- ours ---- */

/* Sends our offer. */
static int
offer_send(struct sip_call *c)
{
	char session[80];
	struct sip_call_rq rq = { .method = "INVITE",
		.headers = session,
		.sdp = { c->sdp, c->sdp_n },
		.cb = on_answer };
	int err;

	sip_session_ask(c, session, sizeof(session));
	if ((err = sip_call_request(c, &c->re, &rq)) == 0)
		c->ack_cseq = c->dlg.lcseq;
	return err;
}

/* May an offer of ours go out now? */
static bool
may_offer(const struct sip_call *c)
{
	return c->state == SIP_C_UP && c->re == NULL && c->req == NULL &&
	    c->ok.n == 0 && !timer_is_armed(&c->re_timer);
}

int
sip_call_reinvite(struct sip_call *c, struct slice sdp)
{
	int err;

	if (!may_offer(c))
		return E_SIP_STATE;
	if (sdp.n == 0)
		return EINVAL;
	if ((err = sip_call_sdp_set(c, sdp)) != 0)
		return err;
	c->re_refresh = false;
	return offer_send(c);
}

int
sip_call_refresh(struct sip_call *c)
{
	char session[80];
	struct sip_call_rq rq = {
		.method = "UPDATE", .headers = session, .cb = on_answer
	};

	if (!may_offer(c))
		return E_SIP_STATE;
	c->re_refresh = true;
	if (c->no_update && c->sdp_n > 0)
		return offer_send(c);
	sip_session_ask(c, session, sizeof(session));
	return sip_call_request(c, &c->re, &rq);
}

/* Says how our offer ended; a refresh is nobody's business. */
static void
offer_end(struct sip_call *c, int code, const char *reason, struct slice sdp)
{
	if (c->re_refresh)
		return;
	sip_call_emit(c, SIP_CALL_ANSWERED, code, reason, sdp);
}

/* After a 491: once more (RFC 3261 14.1). */
static void
on_retry(void *arg)
{
	struct sip_call *c = arg;

	if (!may_offer(c) || offer_send(c) != 0)
		offer_end(c, 491, sip_phrase(491), none);
}

/* Waits as the RFC says: who owns the Call-ID waits longer. */
static int
retry_later(struct sip_call *c)
{
	int64_t us = (int64_t)(tls_random_id() % 200) * 10 * SIPC_MS;

	if (!c->incoming)
		us = 2100 * SIPC_MS +
		    (int64_t)(tls_random_id() % 190) * 10 * SIPC_MS;
	return timer_start(&c->re_timer, c->s->conf.loop, us, on_retry, c);
}

/* 2xx. */
static void
on_accepted(struct sip_call *c, struct sip_msg **rsp)
{
	struct sip_msg *m = *rsp;
	int err;

	sip_dlg_retarget(&c->dlg, m);
	sip_call_peer_set(c);
	sip_session_agree(c, m);
	if (c->auth != NULL)
		sip_auth_ok(c->auth);
	if (sip_msg_is(m, "INVITE") &&
	    (err = sip_call_send_ack(c, none)) != 0) {
		log_info(LOGC_SIP, 0, "ACK not sent: %s", err_str(err));
		return; /* the 2xx comes again */
	}
	sip_session_start(c);
	offer_end(c, m->code, NULL, m->body);
}

/* The dialog does not exist for the peer (RFC 3261 12.2.1.2, 14.1). */
static void
on_dead(struct sip_call *c, int code)
{
	sip_call_end_set(c, code, code == 481 ? E_SIP_REFUSED : ETIMEDOUT, true,
	    "The peer does not know the call any more");
	sip_call_send_bye(c);
}

/* sip_ctxn_cb. */
static void
on_answer(struct sip_msg **rsp, int err, void *arg)
{
	struct sip_call *c = arg;
	const struct sip_msg *m = *rsp;
	bool update = m != NULL && sip_msg_is(m, "UPDATE");
	struct sip_auth_rule rule;

	if (m == NULL && err == ETIMEDOUT) {
		on_dead(c, 408);
	} else if (m == NULL) {
		offer_end(c, 503, err_str(err), none);
	} else if (m->code < 200) {
		return;
	} else if (m->code < 300) {
		on_accepted(c, rsp);
	} else if (m->code == 401 || m->code == 407) {
		if (sip_call_challenged(c, m, &rule) != 0)
			offer_end(c, m->code, rule.why, none);
		else if ((update ? sip_call_refresh(c) : offer_send(c)) != 0)
			offer_end(c, m->code, esc(m->reason), none);
	} else if (m->code == 408 || m->code == 481) {
		on_dead(c, m->code);
	} else if (m->code == 491 && !update && retry_later(c) == 0) {
		return;
	} else {
		if (m->code == 405 || m->code == 501)
			c->no_update |= update;
		offer_end(c, m->code, esc(m->reason), none);
	}
}
