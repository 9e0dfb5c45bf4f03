/* SPDX-License-Identifier: ISC */
/* Offers within a call: re-INVITE and UPDATE, ours and the peer's, and what
 * happens when they meet (RFC 3261 14, RFC 3311). */
#include <stdio.h>
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
	char later[40];

	if (c->state == SIP_C_BYE || c->state == SIP_C_OVER) {
		refuse(r, 481, NULL);
		return;
	}
	if (!r->invite &&
	    (c->state == SIP_C_CALLING || c->state == SIP_C_INCOMING)) {
		sip_early_offered(c, r);
		return;
	}
	/* RFC 3261 14.2, RFC 3311 5.2: both at once; what offers nothing does
	 * not meet an offer. */
	if (c->re != NULL && (r->invite || m->body.n > 0)) {
		refuse(r, 491, NULL);
		return;
	}
	if (c->req != NULL || c->ok.n > 0 || c->upd != NULL ||
	    c->state != SIP_C_UP) {
		(void)snprintf(later, sizeof(later), "Retry-After: %u\r\n",
		    (unsigned int)(tls_random_id() % 11));
		refuse(r, 500, later);
		return;
	}
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

/* What we said last and the peer has taken; a refresh says it again. */
static void
sdp_keep(struct sip_call *c, char *sdp, size_t n)
{
	free(c->sdp);
	c->sdp = sdp;
	c->sdp_n = n;
}

int
sip_call_accept(struct sip_call *c, struct slice sdp)
{
	bool invite;
	char *copy;
	int err;

	if (c->upd == NULL && (c->req == NULL || c->state != SIP_C_UP))
		return E_SIP_STATE;
	if (sdp.n == 0)
		return EINVAL;
	if (sdp.n > SIPC_BODY_MAX)
		return E_LIMIT;
	if ((copy = slice_dup(sdp)) == NULL)
		return ENOMEM;
	if (c->upd != NULL) {
		if ((err = sip_early_reply(c, 200, sdp)) != 0)
			free(copy);
		else
			sdp_keep(c, copy, sdp.n);
		return err;
	}
	invite = c->req->invite;
	if ((err = sip_call_answer_req(c, 200, NULL, sdp)) != 0) {
		free(copy);
		return err;
	}
	sdp_keep(c, copy, sdp.n);
	if (!invite)
		sip_session_start(c);
	return 0;
}

void
sip_call_reject(struct sip_call *c, int code)
{
	if (c->upd != NULL) {
		ignore_err(sip_early_reply(
			       c, code < 300 || code > 699 ? 488 : code, none),
		    "the peer asks again");
		return;
	}
	if (c->req == NULL || c->state != SIP_C_UP)
		return;
	ignore_err(sip_call_answer_req(
		       c, code < 300 || code > 699 ? 488 : code, NULL, none),
	    "the peer asks again");
}

/* ---- ours ---- */

/* Sends our offer: a new one, or the old one to refresh the session. */
static int
offer_send(struct sip_call *c)
{
	char session[80] = "";
	struct sip_call_rq rq = { .method = "INVITE",
		.headers = session,
		.sdp = { c->sdp, c->sdp_n },
		.cb = on_answer };
	int err;

	if (c->offer != NULL)
		rq.sdp = (struct slice){ c->offer, c->offer_n };
	if (c->re_early != NULL)
		rq.dlg = &c->re_early->dlg;
	if (c->state == SIP_C_UP)
		sip_session_ask(c, session, sizeof(session));
	if (c->offer != NULL && c->re_update)
		rq.method = "UPDATE";
	err = sip_call_request(c, &c->re, &rq);
	if (err == 0 && (c->offer == NULL || !c->re_update))
		c->ack_cseq = c->dlg.lcseq;
	return err;
}

/* May an offer of ours go out now? */
static bool
may_offer(const struct sip_call *c)
{
	return c->state == SIP_C_UP && c->re == NULL && c->req == NULL &&
	    c->upd == NULL && c->ok.n == 0 && !timer_is_armed(&c->re_timer);
}

/* May an UPDATE of ours offer, before the call stands? */
static bool
may_offer_early(const struct sip_call *c, const struct sip_early *e)
{
	if (c->re != NULL || c->upd != NULL || timer_is_armed(&c->re_timer))
		return false;
	if (c->state == SIP_C_INCOMING)
		return c->agreed && !c->rel.waiting && !c->no_update;
	return c->state == SIP_C_CALLING && e != NULL;
}

/* Forgets an offer that came to nothing. */
static void
offer_drop(struct sip_call *c)
{
	free(c->offer);
	c->offer = NULL;
	c->offer_n = 0;
}

/* Sends a new offer. */
static int
offer_new(struct sip_call *c, struct slice sdp)
{
	int err;

	if (sdp.n == 0)
		return EINVAL;
	if (sdp.n > SIPC_BODY_MAX)
		return E_LIMIT;
	if ((c->offer = slice_dup(sdp)) == NULL)
		return ENOMEM;
	c->offer_n = sdp.n;
	c->re_refresh = false;
	if ((err = offer_send(c)) != 0)
		offer_drop(c);
	return err;
}

int
sip_call_reinvite(struct sip_call *c, struct slice sdp)
{
	if (!may_offer(c))
		return E_SIP_STATE;
	c->re_update = false;
	return offer_new(c, sdp);
}

int
sip_call_update(struct sip_call *c, struct slice sdp)
{
	struct sip_early *e = sip_early_for_offer(c);
	int err;

	if (c->state == SIP_C_UP ? !may_offer(c) || c->no_update
				 : !may_offer_early(c, e))
		return E_SIP_STATE;
	c->re_update = true;
	c->re_early = c->state == SIP_C_CALLING ? e : NULL;
	if ((err = offer_new(c, sdp)) != 0)
		c->re_early = NULL;
	return err;
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

/* Our offer came to nothing: the call is as it was. */
static void
offer_fail(struct sip_call *c, int code, const char *reason)
{
	offer_drop(c);
	c->re_early = NULL;
	if (c->re_refresh)
		sip_session_retry(c, 0);
	else
		sip_call_emit(c, SIP_CALL_ANSWERED, code, reason, none);
}

/* After a 491: once more. */
static void
on_retry(void *arg)
{
	struct sip_call *c = arg;

	bool may = c->state == SIP_C_UP ? may_offer(c)
					: may_offer_early(c, c->re_early);

	if (!may || offer_send(c) != 0)
		offer_fail(c, 491, sip_phrase(491));
}

/* How long to wait after a 491 (RFC 3261 14.1, RFC 3311 5.3): who owns the
 * Call-ID waits longer. */
static int64_t
glare_us(const struct sip_call *c)
{
	int64_t ms = (int64_t)(tls_random_id() % 200) * 10;

	if (!c->incoming)
		ms = 2100 + (int64_t)(tls_random_id() % 190) * 10;
	return ms * SIPC_MS;
}

/* 2xx. */
static void
on_accepted(struct sip_call *c, const struct sip_msg *m)
{
	bool invite = sip_msg_is(m, "INVITE"), up = c->state == SIP_C_UP;
	int err;

	c->ev_early = c->re_early != NULL ? c->re_early->id : 0;
	sip_dlg_retarget(c->re_early != NULL ? &c->re_early->dlg : &c->dlg, m);
	c->re_early = NULL;
	if (up) {
		sip_call_peer_set(c);
		sip_session_agree(c, m);
	}
	if (c->auth != NULL)
		sip_auth_ok(c->auth);
	if (invite && (err = sip_call_send_ack(c, none)) != 0)
		log_info(LOGC_SIP, 0, "ACK not sent: %s", err_str(err));
	if (c->offer != NULL) {
		sdp_keep(c, c->offer, c->offer_n);
		c->offer = NULL;
	}
	if (up)
		sip_session_start(c);
	/* A refresh is nobody's business, but by INVITE the peer may say
	 * that its media are elsewhere now. */
	if (!c->re_refresh || (invite && sip_msg_is_sdp(m)))
		sip_call_emit(c, SIP_CALL_ANSWERED, m->code, NULL, m->body);
}

/* The dialog does not exist for the peer (RFC 3261 12.2.1.2, 14.1). */
static void
on_dead(struct sip_call *c, int code)
{
	sip_call_end_set(c, code, code == 481 ? E_SIP_REFUSED : ETIMEDOUT, true,
	    "The peer does not know the call any more");
	sip_call_send_bye(c);
}

/* A refresh was refused: mend what can be mended, else try again later; the
 * session has half of its time left (RFC 4028 10). */
static void
refresh_refused(struct sip_call *c, const struct sip_msg *m, bool update)
{
	int64_t us = sip_msg_retry_us(m, INT32_MAX);

	log_info(LOGC_SIP, 0, "refresh of a session refused code=%d id=%s",
	    m->code, c->id_esc);
	if (update && (m->code == 405 || m->code == 501)) {
		c->no_update = true;
		if (c->sdp_n > 0 && offer_send(c) == 0)
			return;
	} else if (m->code == 422 && sip_session_longer(c, m)) {
		if (sip_call_refresh(c) == 0)
			return;
	} else if (m->code == 491) {
		us = glare_us(c);
	}
	sip_session_retry(c, us);
}

/* 300..699. */
static void
on_refused(struct sip_call *c, const struct sip_msg *m)
{
	bool update = sip_msg_is(m, "UPDATE");
	struct sip_auth_rule rule;

	if (m->code == 401 || m->code == 407) {
		if (sip_call_challenged(c, m, &rule) != 0)
			offer_fail(c, m->code, rule.why);
		else if ((update && c->offer == NULL ? sip_call_refresh(c)
						     : offer_send(c)) != 0)
			offer_fail(c, m->code, esc(m->reason));
	} else if (c->state == SIP_C_UP && (m->code == 408 || m->code == 481)) {
		on_dead(c, m->code);
	} else if (c->re_refresh) {
		refresh_refused(c, m, update);
	} else if (update && c->state == SIP_C_UP &&
	    (m->code == 405 || m->code == 501)) {
		/* Not by this method, then. */
		c->no_update = true;
		c->re_update = false;
		if (offer_send(c) != 0)
			offer_fail(c, m->code, esc(m->reason));
	} else if (m->code != 491 ||
	    timer_start(
		&c->re_timer, c->s->conf.loop, glare_us(c), on_retry, c) != 0) {
		offer_fail(c, m->code, esc(m->reason));
	}
}

/* sip_ctxn_cb. */
static void
on_answer(struct sip_msg **rsp, int err, void *arg)
{
	struct sip_call *c = arg;
	const struct sip_msg *m = *rsp;

	if (m == NULL && err == ETIMEDOUT && c->state == SIP_C_UP)
		on_dead(c, 408);
	else if (m == NULL)
		offer_fail(c, 503, err_str(err));
	else if (m->code < 200)
		return;
	else if (m->code < 300)
		on_accepted(c, m);
	else
		on_refused(c, m);
}
