/* SPDX-License-Identifier: ISC */
/* Transfer and digits: what the verbs ask for, what peers ask for, and who may.
 * The messages are sipcore's (bellbird/sip_refer.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellbird/sip_refer.h"
#include "ua.h"

enum { SAME_DIGIT_MS = 400 }; /* both ways at once: one key */

/* ---- digits ---- */

/* phone.dtmf.src: does it take digits by that way? */
static bool
takes(const struct call *c, bool info)
{
	const char *src = prov_get(c->ua->app->store, "phone.dtmf.src");

	return strcmp(src, "auto") == 0 ||
	    strcmp(src, info ? "sip-info" : "rtp-telev") == 0;
}

void
call_digit(struct call *c, char digit, unsigned int duration_ms, bool info)
{
	int64_t now = clock_mono_us();
	char text[2] = { digit, '\0' };
	struct jv *f;
	bool twice = digit == c->last_digit && info != c->last_info &&
	    now - c->digit_us < SAME_DIGIT_MS * 1000;

	if (!takes(c, info) || twice)
		return;
	c->last_digit = digit;
	c->last_info = info;
	c->digit_us = now;
	f = call_fields(c);
	jv_set_str(f, "digit", text);
	jv_set_str(f, "by", info ? "info" : "rtp");
	if (duration_ms != 0)
		jv_set_int(f, "duration_ms", duration_ms);
	app_event(c->ua->app, "call.dtmf", f);
}

void
call_digit_lost(struct call *c, const struct sip_call_info *info)
{
	char text[2] = { info->digit, '\0' };
	struct jv *f = call_fields(c);

	log_warn(LOGC_SIP, 0,
	    "call=%s: digits from %s on not sent: the peer says %d %s", c->id,
	    text, info->code, info->reason);
	jv_set_str(f, "digit", text);
	jv_set_int(f, "code", info->code);
	jv_set_str(f, "reason", info->reason);
	app_event(c->ua->app, "call.dtmf_lost", f);
}

/* By which way digits go: as asked, else as phone.dtmf.src says. */
static const char *
way_of(const struct call *c, const char *by)
{
	if (by != NULL)
		return by;
	return takes(c, false) ? "rtp" : "info";
}

enum ctl_exit
ua_dtmf(struct ua *ua, const char *id, const char *digits, const char *by,
    char out[static 16], char *why, size_t why_size)
{
	struct call *c = ua_call_find(ua, id);
	int err;

	if (c == NULL || c->established_us == 0) {
		(void)snprintf(why, why_size, "no such call is established");
		return CTL_FAIL;
	}
	by = way_of(c, by);
	if (strcmp(by, "rtp") == 0)
		err = media_sess_dtmf(c->media, digits);
	else if (strcmp(by, "info") == 0 || strcmp(by, "dtmf") == 0)
		err = sip_call_dtmf(c->sip, digits, by[0] == 'd');
	else
		err = EINVAL;
	if (err == 0) {
		(void)snprintf(out, 16, "%s", c->id);
		return CTL_OK;
	}
	if (err == EINVAL)
		(void)snprintf(why, why_size,
		    "--by %s: rtp, info (application/dtmf-relay) or dtmf "
		    "(application/dtmf)",
		    esc(by));
	else if (err == E_PARSE)
		(void)snprintf(why, why_size,
		    "%s has characters that are no DTMF (0-9 * # A-D)",
		    esc(digits));
	else
		(void)snprintf(
		    why, why_size, "digits not sent: %s", err_str(err));
	return err == EINVAL || err == E_PARSE ? CTL_USAGE : CTL_FAIL;
}

/* ---- we are transferred ---- */

/* sip.transfer.accept: registered (by the account's server), any, never. */
static bool
may_transfer(const struct call *c, const struct sip_refer_info *r)
{
	const char *v = prov_get(c->ua->app->store, "sip.transfer.accept");

	return strcmp(v, "any") == 0 ||
	    (strcmp(v, "registered") == 0 && r->registered);
}

void
call_referred(struct call *c, const struct sip_refer_info *r)
{
	struct app *a = c->ua->app;
	struct ua_dial d = { .uri = r->to,
		.headers = r->headers,
		.account = c->account[0] != '\0' ? c->account : NULL,
		.tls_only = r->secure,
		.play_fd = -1,
		.record_fd = -1 };
	/* The request that `r` points into is gone once it is answered. */
	char by[160], place[160], id[16] = "", why[WHY_SIZE] = "";
	struct jv *f = call_fields(c);
	struct call *to = NULL;

	(void)snprintf(by, sizeof(by), "%s", esc(r->by));
	(void)snprintf(place, sizeof(place), "%s", esc(r->to));
	jv_set_str(f, "to", esc(r->to));
	jv_set_str(f, "by", esc(r->by));
	jv_set_bool(f, "attended", r->replaces);
	if (!may_transfer(c, r)) {
		(void)snprintf(
		    why, sizeof(why), "sip.transfer.accept does not allow it");
		sip_call_refer_reject(c->sip, 603);
	} else if (ua_dial(a->ua, &d, id, why, sizeof(why)) != CTL_OK) {
		sip_call_refer_reject(c->sip, 503);
	} else if ((to = ua_call_find(a->ua, id)) != NULL &&
	    sip_call_refer_accept(c->sip, &to->referral) != 0) {
		(void)snprintf(why, sizeof(why), "out of memory");
		sip_call_refer_reject(c->sip, 500);
		ua_call_hangup(to);
		to = NULL;
	}
	jv_set_bool(f, "accepted", to != NULL);
	jv_set_str(f, "new_call", id);
	jv_set_str(f, "reason", why);
	log_line(to != NULL ? LOGL_INFO : LOGL_WARN, LOGC_SIP, 0,
	    "transfer asked for call=%s by=%s to=%s new=%s %s", c->id, by,
	    place, id, why);
	app_event(a, "call.refer", f);
}

void
call_refer_report(struct call *c, int code)
{
	sip_referral_report(&c->referral, code);
}

/* ---- somebody takes the place of our peer ---- */

struct call *
call_replaced(const struct call *c)
{
	const struct sip_call *old = sip_call_replaces(c->sip);
	struct call *o;

	if (old == NULL)
		return NULL;
	TAILQ_FOREACH (o, &c->ua->calls, link)
		if (o->sip == old)
			return o;
	return NULL;
}

void
call_replace(struct call *c, struct call *old)
{
	struct jv *f = call_fields(c);

	jv_set_str(f, "replaces", old->id);
	log_info(
	    LOGC_SIP, 0, "call=%s takes the place of call=%s", c->id, old->id);
	app_event(c->ua->app, "call.replaced", f);
	ua_call_hangup(old);
}

/* ---- we transfer ---- */

/* The client of the verb went away: the transfer goes on. */
static void
on_gone(struct ctl_req *r, void *arg)
{
	struct call *c = arg;

	(void)r;
	c->transfer_req = NULL;
}

/* The exit code of a transfer that the peer refused, or that failed. */
static enum ctl_exit
exit_of(int code)
{
	if (code == 401 || code == 407)
		return CTL_AUTH;
	return code == 408 ? CTL_TIMEOUT : CTL_REFUSED;
}

/* Replies to the verb, if it still waits. */
static void
transfer_reply(struct call *c, int code, const char *reason, bool confirmed)
{
	struct ctl_req *r = c->transfer_req;
	struct jv *o;
	char text[200];

	c->transfer_req = NULL;
	if (r == NULL)
		return;
	o = call_fields(c);
	jv_set_int(o, "code", code);
	jv_set_str(o, "reason", reason);
	jv_set_bool(o, "confirmed", confirmed);
	if (code >= 200 && code < 300) {
		ctl_reply(r, o);
		return;
	}
	(void)snprintf(
	    text, sizeof(text), "the transfer failed: %d %s", code, reason);
	ctl_fail(r, exit_of(code), text, o);
}

void
call_refer_told(struct call *c, const struct sip_call_info *info)
{
	bool good = info->code >= 200 && info->code < 300;
	struct jv *f = call_fields(c);

	c->transfer_code = info->code;
	jv_set_int(f, "code", info->code);
	jv_set_str(f, "reason", info->reason);
	jv_set_bool(f, "final", info->final);
	log_info(LOGC_SIP, 0, "transfer call=%s code=%d %s%s", c->id,
	    info->code, info->reason, info->final ? " (final)" : "");
	app_event(c->ua->app, "call.transfer", f);
	if (!info->final)
		return;
	c->transferring = false;
	transfer_reply(c, info->code, info->reason, !c->transfer_no_sub);
	if (good) /* our part is done (RFC 5589 6) */
		ua_call_hangup(c);
}

void
call_transfer_end(struct call *c)
{
	struct jv *f;

	if (!c->transferring)
		return;
	c->transferring = false;
	/* Who hangs up after 202 has gone where it was sent, as far as we
	 * will ever know. */
	f = call_fields(c);
	jv_set_int(f, "code", c->transfer_code);
	jv_set_str(f, "reason", "the call ended before the last report");
	jv_set_bool(f, "final", true);
	app_event(c->ua->app, "call.transfer", f);
	if (c->transfer_code > 100 && c->transfer_code < 300)
		transfer_reply(c, 202,
		    "accepted; the call ended before the last report", false);
	else
		transfer_reply(c, 487, "the call ended", false);
}

/* The call that `t` is about, and for an attended one the other; a sentence
 * if there is none. */
static struct call *
transfer_calls(struct ua *ua, const struct ua_transfer *t, struct call **with,
    char *why, size_t why_size)
{
	struct call *c = ua_call_find(ua, t->call);

	*with = NULL;
	if (c == NULL || c->established_us == 0) {
		(void)snprintf(why, why_size, "no such call is established");
		return NULL;
	}
	if (t->with == NULL)
		return c;
	*with = ua_call_find(ua, t->with);
	if (*with == NULL || *with == c || (*with)->established_us == 0) {
		(void)snprintf(why, why_size,
		    "%s is no other call that is established", esc(t->with));
		return NULL;
	}
	return c;
}

/* Why it could not be asked for. */
static enum ctl_exit
transfer_fault(int err, const char *to, char *why, size_t why_size)
{
	if (err == E_PARSE)
		(void)snprintf(why, why_size,
		    "%s is no SIP address to transfer to (headers behind a "
		    "? are not allowed)",
		    esc(to));
	else if (err == E_SIP_INSECURE)
		(void)snprintf(why, why_size,
		    "the call is on sips: transfer it to a sips address");
	else if (err == E_SIP_STATE)
		(void)snprintf(why, why_size,
		    "the call cannot be transferred now (it does not stand, "
		    "or a transfer is under way)");
	else
		(void)snprintf(why, why_size, "%s", err_str(err));
	return err == E_PARSE ? CTL_USAGE : CTL_FAIL;
}

enum ctl_exit
ua_transfer(struct ua *ua, const struct ua_transfer *t, struct ctl_req *r,
    char *why, size_t why_size)
{
	struct call *with, *c = transfer_calls(ua, t, &with, why, why_size);
	struct sip_refer_conf conf = { .to = t->to, .no_sub = t->no_sub };
	int err;

	if (c == NULL)
		return CTL_FAIL;
	if ((t->to == NULL) == (with == NULL)) {
		(void)snprintf(why, why_size,
		    "name an address, or the other call by --with");
		return CTL_USAGE;
	}
	if (with != NULL)
		conf.replaces = with->sip;
	if ((err = sip_call_refer(c->sip, &conf)) != 0)
		return transfer_fault(
		    err, t->to != NULL ? t->to : "", why, why_size);
	c->transferring = true;
	c->transfer_no_sub = t->no_sub;
	c->transfer_code = 0;
	c->transfer_req = r;
	ctl_req_on_gone(r, on_gone, c);
	return CTL_OK;
}
