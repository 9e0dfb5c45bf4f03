/* SPDX-License-Identifier: ISC */
/* Offers and answers of a call, before and after it stands: early media, what
 * the peer changes, and hold by either side. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ua.h"

/* SDP of the peer answers our offer. */
static int
take_answer(struct call *c, struct slice sdp)
{
	int err;

	if (sdp.n == 0)
		err = E_MEDIA_SDP;
	else
		err = media_sess_accept(c->media, sdp, c->why, sizeof(c->why));
	if (err == 0)
		c->why[0] = '\0';
	return err;
}

/* ---- hold ---- */

/* Says what holds now: the audio of both sides, and who switched it off. */
static void
note_hold(struct call *c)
{
	struct media_stats st;
	bool held, remote;
	struct jv *f;

	media_sess_get_stats(c->media, &st);
	/* We do not send: the peer does not listen, or wants to be heard
	 * alone. */
	remote = !st.sending;
	held = !(st.sending && st.receiving);
	if (held == (c->state == CALL_HELD) && remote == c->held_remote &&
	    c->hold == c->held_local)
		return;
	c->held_remote = remote;
	c->held_local = c->hold;
	c->state = held ? CALL_HELD : CALL_ESTABLISHED;
	ua_speaker(c->ua);
	f = call_fields(c);
	jv_set_bool(f, "held", held);
	jv_set_bool(f, "local", c->hold);
	jv_set_bool(f, "remote", remote);
	app_event(c->ua->app, "call.held", f);
}

/* The media offer what they offered before: the answer to a refresh of the
 * session is read against the last offer. */
static void
offer_restore(struct call *c)
{
	struct buf sdp;

	media_sess_hold(c->media, c->hold);
	buf_init(&sdp, UA_SDP_MAX);
	ignore_err(
	    media_sess_offer(c->media, &sdp), "what is agreed stays as it is");
	buf_clear(&sdp);
}

/* Our hold or resume came to nothing: all is as it was (RFC 6141 3). */
static void
hold_refused(struct call *c, int code, const char *reason)
{
	struct jv *f = call_fields(c);

	c->holding = false;
	c->hold = !c->hold;
	offer_restore(c);
	log_info(LOGC_SIP, 0, "%s refused call=%s code=%d",
	    c->hold ? "resume" : "hold", c->id, code);
	jv_set_bool(f, "hold", !c->hold);
	jv_set_int(f, "code", code);
	jv_set_str(f, "reason", reason);
	app_event(c->ua->app, "call.hold_refused", f);
}

/* The call that a hold or resume is for: the named one, else the first that
 * stands and is not that way already. */
static struct call *
hold_find(struct ua *ua, const char *id, bool hold)
{
	struct call *c;

	TAILQ_FOREACH (c, &ua->calls, link) {
		if (id != NULL ? strcmp(c->id, id) == 0
			       : c->established_us != 0 && c->hold != hold)
			return c;
	}
	return NULL;
}

enum ctl_exit
ua_hold(struct ua *ua, const char *id, bool hold, char out[static 16],
    char *why, size_t why_size)
{
	struct call *c = hold_find(ua, id, hold);
	struct buf sdp;
	int err;

	if (c == NULL || c->established_us == 0 || c->sip == NULL) {
		(void)snprintf(why, why_size, "no such call is %s",
		    hold ? "established" : "on hold");
		return CTL_FAIL;
	}
	(void)snprintf(out, 16, "%s", c->id);
	if (c->hold == hold)
		return CTL_OK;
	if (c->holding) {
		(void)snprintf(why, why_size,
		    "a hold or resume of call %s is under way; try again "
		    "when call.held came",
		    c->id);
		return CTL_FAIL;
	}
	buf_init(&sdp, UA_SDP_MAX);
	media_sess_hold(c->media, hold);
	if ((err = media_sess_offer(c->media, &sdp)) == 0)
		err = sip_call_reinvite(
		    c->sip, (struct slice){ buf_str(&sdp), sdp.n });
	buf_clear(&sdp);
	if (err == 0) {
		c->hold = hold;
		c->holding = true;
		return CTL_OK;
	}
	offer_restore(c);
	if (err == E_SIP_STATE)
		(void)snprintf(why, why_size,
		    "another change of call %s is under way; try again", c->id);
	else
		(void)snprintf(why, why_size, "call %s cannot be changed: %s",
		    c->id, err_str(err));
	return CTL_FAIL;
}

/* ---- answers of the peer ---- */

/* A re-INVITE or UPDATE of ours was answered. */
static void
on_changed(struct call *c, const struct sip_call_info *info)
{
	bool ours = c->holding && !info->refresh;

	if (info->code >= 300) {
		if (ours)
			hold_refused(c, info->code, info->reason);
		return;
	}
	if (take_answer(c, info->sdp) != 0) {
		/* What was agreed stays.  Our last SDP may have been an
		 * answer, which cannot be answered. */
		log_info(LOGC_SIP, 0, "answer to %s not used call=%s: %s",
		    info->refresh ? "a refresh" : "an offer", c->id, c->why);
		c->why[0] = '\0';
		if (ours)
			hold_refused(c, 488, "the answer cannot be used");
		return;
	}
	if (ours)
		c->holding = false;
	note_hold(c);
}

/* Our offer was left to the peer, who made one: answer it. */
static int
late_answer(struct call *c, struct slice offer)
{
	struct buf sdp;
	int err;

	buf_init(&sdp, UA_SDP_MAX);
	err = media_sess_answer(c->media, offer, &sdp, c->why, sizeof(c->why));
	if (err == 0) {
		c->why[0] = '\0';
		err = sip_call_ack(
		    c->sip, (struct slice){ buf_str(&sdp), sdp.n });
	}
	buf_clear(&sdp);
	return err;
}

/* The peer's SDP of the 2xx, as far as the media do not have it already. */
static int
answer_use(struct call *c, const struct sip_call_info *info)
{
	if (info->agreed && c->early && info->early == c->fork)
		return 0;
	if (c->late)
		return info->agreed ? E_MEDIA_SDP : late_answer(c, info->sdp);
	return take_answer(c, info->sdp);
}

void
call_on_answered(struct call *c, const struct sip_call_info *info)
{
	char why[sizeof(c->why)];

	if (c->established_us != 0 || c->incoming) {
		on_changed(c, info);
		return;
	}
	if (info->code >= 300)
		return; /* an UPDATE before the answer: as it was */
	if (answer_use(c, info) == 0) {
		call_established(c);
		return;
	}
	ignore_err(str_copy(why, sizeof(why), c->why), "only text");
	c->code = 488;
	sip_call_set_reason(c->sip, 488, "Not Acceptable Here");
	call_fail(c, "media.refused", "the peer's answer cannot be used: %s",
	    why[0] != '\0' ? why : "it has no SDP");
}

void
call_on_confirmed(struct call *c, const struct sip_call_info *info)
{
	if (c->offer_out) {
		c->offer_out = false;
		if (take_answer(c, info->sdp) != 0) {
			sip_call_set_reason(c->sip, 488, "Not Acceptable Here");
			call_fail(c, "media.refused",
			    "the peer's ACK has no usable answer to our offer");
			return;
		}
		if (c->established_us != 0)
			note_hold(c);
	}
	call_established(c);
}

void
call_on_pracked(struct call *c, const struct sip_call_info *info)
{
	c->offer_out = false;
	if (take_answer(c, info->sdp) != 0) {
		call_fail(c, "media.refused",
		    "the peer's PRACK has no usable answer to our offer");
		return;
	}
	ignore_err(media_sess_start(c->media),
	    "early media is a courtesy; the 200 decides");
}

void
call_on_offer(struct call *c, const struct sip_call_info *info)
{
	struct buf sdp;
	int err;

	buf_init(&sdp, UA_SDP_MAX);
	if (info->sdp.n != 0)
		err = media_sess_answer(
		    c->media, info->sdp, &sdp, c->why, sizeof(c->why));
	else
		err = media_sess_offer(c->media, &sdp);
	if (err != 0) {
		log_info(LOGC_SIP, 0, "re-INVITE refused call=%s: %s", c->id,
		    c->why);
		c->why[0] = '\0';
		sip_call_reject(c->sip, 488);
	} else {
		c->offer_out = info->sdp.n == 0;
		err = sip_call_accept(
		    c->sip, (struct slice){ buf_str(&sdp), sdp.n });
		if (err == 0 && info->early != 0)
			c->fork = info->early;
		if (err == 0 && !c->offer_out && c->established_us != 0)
			note_hold(c);
	}
	buf_clear(&sdp);
}

void
call_end_fields(
    const struct call *c, const struct sip_call_info *info, struct jv *f)
{
	/* Nobody here took it, and nobody here refused it. */
	bool missed = c->incoming && c->established_us == 0 &&
	    !info->elsewhere && (info->by_peer || info->err == ETIMEDOUT);

	jv_set_int(f, "cause", info->cause);
	jv_set_int(f, "q850", info->q850);
	jv_set_str(
	    f, "cause_text", info->cause_text != NULL ? info->cause_text : "");
	jv_set_bool(f, "elsewhere", info->elsewhere);
	jv_set_bool(f, "missed", missed);
}

/* ---- early media ---- */

/* The peer's SDP of a 1xx.  Of several branches the last one that spoke is
 * heard; the 200 decides. */
static void
early_take(struct call *c, const struct sip_call_info *info)
{
	int err;

	if (c->early && info->early == c->fork)
		return;
	err =
	    info->offer ? late_answer(c, info->sdp) : take_answer(c, info->sdp);
	if (err != 0) {
		c->why[0] = '\0'; /* the 200 may bring a better one */
		return;
	}
	c->early = true;
	c->fork = info->early;
	ua_speaker(c->ua);
	ignore_err(media_sess_start(c->media),
	    "early media is a courtesy; the 200 decides");
}

void
call_on_ringing(struct call *c, const struct sip_call_info *info)
{
	struct jv *f;

	if (info->sdp.n != 0)
		early_take(c, info);
	if (c->state == CALL_CALLING)
		ua_limit(c);
	c->state = CALL_RINGING;
	call_refer_report(c, info->code);
	f = call_fields(c);
	jv_set_int(f, "code", info->code);
	jv_set_bool(f, "early_media", c->early);
	app_event(c->ua->app, "call.ringing", f);
}

/* Our side of it: 183 with SDP, and the audio flows; else it rings. */
int
call_ring_early(struct call *c)
{
	struct slice offer = sip_call_offer(c->sip);
	char why[WHY_SIZE];
	struct buf sdp;
	int err;

	buf_init(&sdp, UA_SDP_MAX);
	if ((err = call_open_media(c)) == 0)
		err = offer.n != 0
		    ? media_sess_answer(c->media, offer, &sdp, why, sizeof(why))
		    : media_sess_offer(c->media, &sdp);
	if (err == 0)
		err = sip_call_answer(
		    c->sip, 183, NULL, (struct slice){ buf_str(&sdp), sdp.n });
	buf_clear(&sdp);
	if (err != 0)
		return err;
	c->early_out = true;
	c->offer_out = offer.n == 0;
	if (offer.n != 0)
		ignore_err(media_sess_start(c->media),
		    "early media is a courtesy; the 200 decides");
	return 0;
}

/* ---- settings ---- */

void
app_set_call_rules(struct app *a)
{
	const struct prov_store *s = a->store;
	const char *rel = prov_get(s, "sip.100rel");
	struct sip_call_rules r = {
		.rel = strcmp(rel, "off") == 0     ? SIP_REL_OFF
		    : strcmp(rel, "required") == 0 ? SIP_REL_REQUIRED
						   : SIP_REL_ON,
		.session_s =
		    (unsigned int)prov_get_int(s, "sip.session.expires"),
		.min_se_s = (unsigned int)prov_get_int(s, "sip.session.min"),
		.session_peer =
		    strcmp(prov_get(s, "sip.session.refresher"), "peer") == 0,
		.no_redirect = !prov_get_bool(s, "sip.redirect"),
	};

	sip_stack_set_rules(a->sip, &r);
}
