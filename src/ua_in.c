/* SPDX-License-Identifier: ISC */
/* Calls that come in: what is known of them goes to ua_decide(), and what that
 * says is done. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellbird/tls_verdict.h"
#include "ua.h"

static const struct slice none = { NULL, 0 };

/* ---- answering ---- */

/* Answers with 200 and our SDP, or refuses with 488. */
static enum ctl_exit
answer_now(struct call *c, char *why, size_t why_size)
{
	struct slice offer = sip_call_offer(c->sip);
	struct buf sdp;
	int err;

	ua_ring_stop(c);
	call_set_rings(c, false);
	buf_init(&sdp, UA_SDP_MAX);
	if (c->early_out) {
		err = 0; /* the 183 had it all */
	} else if ((err = call_open_media(c)) != 0) {
		(void)snprintf(
		    c->why, sizeof(c->why), "no audio: %s", err_str(err));
	} else if (offer.n != 0) {
		err = media_sess_answer(
		    c->media, offer, &sdp, c->why, sizeof(c->why));
	} else {
		err = media_sess_offer(c->media, &sdp);
		c->offer_out = true;
	}
	if (err == 0)
		err = sip_call_answer(
		    c->sip, 200, "OK", (struct slice){ buf_str(&sdp), sdp.n });
	else {
		(void)snprintf(why, why_size, "%s",
		    c->why[0] != '\0' ? c->why : err_str(err));
		c->class = err == E_MEDIA_SRTP_REQUIRED ? "srtp.required"
							: "media.refused";
		log_warn(LOGC_MEDIA, 0, "call refused call=%s remote=%s: %s",
		    c->id, sip_call_remote(c->sip), why);
		ignore_err(sip_call_answer(
			       c->sip, err == ENOMEM ? 500 : 488, NULL, none),
		    "the call ends by its own deadline then");
	}
	buf_clear(&sdp);
	if (err == 0) {
		c->answered = true;
		ua_speaker(c->ua);
	}
	return err == 0 ? CTL_OK : CTL_MEDIA;
}

/* timer_cb: the caller wanted an answer after some seconds. */
static void
on_answer_due(void *arg)
{
	struct call *c = arg;
	char why[WHY_SIZE];

	c->automatic = true;
	(void)answer_now(c, why, sizeof(why));
}

enum ctl_exit
ua_answer(struct ua *ua, const char *id, char out[static 16], char *why,
    size_t why_size)
{
	struct call *c;

	TAILQ_FOREACH (c, &ua->calls, link) {
		if (!c->incoming || c->answered || c->state != CALL_RINGING ||
		    (id != NULL ? strcmp(id, c->id) != 0 : c->alert))
			continue;
		(void)snprintf(out, 16, "%s", c->id);
		return answer_now(c, why, why_size);
	}
	(void)snprintf(why, why_size, "no call is ringing%s%s",
	    id != NULL ? " under the id " : "", id != NULL ? esc(id) : "");
	return CTL_FAIL;
}

/* ---- what is known ---- */

/* The headers that may ask for an answer. */
static void
ask_read(const struct sip_call *call, struct ua_ask *ask)
{
	const char *v;

	for (size_t h = 0; ua_ask_headers[h] != NULL; h++)
		for (size_t i = 0; (v = sip_call_header_at(
					call, ua_ask_headers[h], i)) != NULL;
		     i++)
			ua_ask_read(ask, ua_ask_headers[h], v);
}

/* Everything that counts for the new call `c`. */
static void
in_fill(const struct call *c, struct ua_in *in)
{
	const struct ua_conf *conf = &c->ua->conf;
	const struct call *other;

	memset(in, 0, sizeof(*in));
	in->stopping = c->ua->app->stopping;
	in->alert = c->alert;
	in->mode = conf->mode;
	in->may_ask = conf->may_ask;
	in->asker = c->account[0] != '\0'       ? UA_ASKER_ACCOUNT
	    : sip_call_peer_is_verified(c->sip) ? UA_ASKER_TLS
						: UA_ASKER_ANY;
	ask_read(c->sip, &in->ask);
	in->single = conf->single;
	in->max_calls = conf->max_calls;
	/* The ranks count where one is heard, alerts where some ring. */
	in->num_calls = c->ua->num_calls - 1;
	if (!conf->single && c->ua->num_ringing == 0)
		return;
	in->num_calls = 0;
	TAILQ_FOREACH (other, &c->ua->calls, link) {
		if (other == c)
			continue;
		if (other->alert)
			in->num_alerts++;
		else
			in->num_calls++;
		if (ua_rank_of(other) > in->top)
			in->top = ua_rank_of(other);
	}
}

/* ---- what is done ---- */

/* Says no; the call ends from the loop. */
static void
refuse(struct call *c, const struct ua_verdict *v)
{
	if (v->class[0] != '\0')
		c->class = v->class;
	ignore_err(str_copy(c->why, sizeof(c->why), v->why), "it fits");
	log_info(LOGC_SIP, 0, "call refused call=%s remote=%s code=%d: %s",
	    c->id, sip_call_remote(c->sip), v->code, v->why);
	ignore_err(sip_call_answer(c->sip, v->code, NULL, none),
	    "the call ends by its own deadline then");
}

/* Rings, and answers after `delay_s` if that is not 0. */
static void
ring(struct call *c, unsigned int delay_s)
{
	if (!c->ua->conf.early || c->alert || call_ring_early(c) != 0)
		ignore_err(sip_call_answer(c->sip, 180, NULL, none),
		    "ringing is a courtesy");
	ua_limit(c);
	call_set_rings(c, true);
	ua_speaker(c->ua);
	if (delay_s != 0 &&
	    timer_start(&c->later, c->ua->app->loop, (int64_t)delay_s * 1000000,
		on_answer_due, c) != 0)
		log_warn(LOGC_SIP, 0, "call=%s: %s", c->id, err_str(ENOMEM));
}

/* Tells of the call and of what is done about it. */
static void
tell(const struct call *c, const struct ua_in *in, const struct ua_verdict *v)
{
	static const char *const acts[] = { "refuse", "ring", "alert",
		"answer" };
	struct jv *f = call_fields(c);

	jv_set_str(f, "account", c->account);
	jv_set_str(f, "remote", sip_call_remote(c->sip));
	jv_set_str(f, "remote_name", sip_call_remote_name(c->sip));
	jv_set_str(f, "action", acts[v->act]);
	jv_set_str(f, "asked_by", in->ask.header != NULL ? in->ask.header : "");
	app_event(c->ua->app, "call.incoming", f);
}

void
ua_on_call(struct sip_call *call, void *arg)
{
	struct app *a = arg;
	struct call *c = call_new(a->ua, true), *old;
	const struct account *ac;
	struct ua_verdict v;
	struct ua_in in;
	char why[WHY_SIZE];

	if (c == NULL) {
		ignore_err(sip_call_answer(call, 500, NULL, none),
		    "out of memory: the transaction will time out");
		return;
	}
	sip_call_own(call, &c->sip, call_on_sip, c);
	if ((ac = accounts_of(a->accounts, call)) != NULL) {
		c->alert = account_kind(ac) == ACCOUNT_ALERT;
		ignore_err(
		    str_copy(c->account, sizeof(c->account), account_id(ac)),
		    "same size");
	}
	in_fill(c, &in);
	ua_decide(&in, &v);
	/* What takes the place of a call is neither busy nor asked for: nobody
	 * has to answer again (RFC 3891 3). */
	if ((old = call_replaced(c)) != NULL && !in.stopping)
		v.act = UA_ACT_ANSWER;
	tell(c, &in, &v);
	switch (v.act) {
	case UA_ACT_REFUSE:
		refuse(c, &v);
		break;
	case UA_ACT_RING:
	case UA_ACT_ALERT:
		ring(c, v.delay_s);
		break;
	case UA_ACT_ANSWER:
		/* What replaces a call that somebody answered, or made, goes
		 * on as that: it is no page. */
		c->automatic = old == NULL || old->automatic;
		if (answer_now(c, why, sizeof(why)) == CTL_OK && old != NULL)
			call_replace(c, old);
		break;
	}
}
