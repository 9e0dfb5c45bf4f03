/* SPDX-License-Identifier: ISC */
/* The calls of the endpoint: who is answered how, who is called by which way.
 * What each hears is in ua_media.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ua.h"

/* ---- life ---- */

int
ua_new(struct ua **out, struct app *a)
{
	struct ua *ua = calloc(1, sizeof(*ua));

	if (ua == NULL)
		return ENOMEM;
	ua->app = a;
	TAILQ_INIT(&ua->calls);
	TAILQ_INIT(&ua->ending);
	ua_conf_read(a, &ua->conf);
	*out = ua;
	return 0;
}

void
ua_reload(struct ua *ua)
{
	ua_conf_read(ua->app, &ua->conf);
	sip_stack_set_max_calls(ua->app->sip, ua_max_calls(ua));
	ua_speaker(ua);
}

unsigned int
ua_max_calls(const struct ua *ua)
{
	return (unsigned int)ua->conf.max_calls + UA_ALERTS_MAX;
}

/* Takes a call off its list, and out of the counts. */
static void
call_unlist(struct call *c)
{
	call_set_rings(c, false);
	if (!c->is_over)
		c->ua->num_calls--;
	TAILQ_REMOVE(c->is_over ? &c->ua->ending : &c->ua->calls, c, link);
}

/* Frees everything a call owns; nobody is told. */
static void
call_free(struct call *c)
{
	call_unlist(c);
	load_drop(&c->ua->load, c->ua->app->loop);
	dns_stop(&c->dns);
	if (c->transfer_req != NULL)
		ctl_req_on_gone(c->transfer_req, NULL, NULL);
	ua_ring_stop(c);
	timer_stop(&c->limit);
	call_refer_report(c, 487);
	sip_call_free(&c->sip);
	media_sess_free(c->media);
	if (c->play_fd >= 0)
		close(c->play_fd);
	if (c->record_fd >= 0)
		close(c->record_fd);
	loop_undefer(&c->fail);
	jv_free(c->ended);
	free(c->uri);
	free(c->headers);
	free(c);
}

void
ua_free(struct ua *ua)
{
	struct call *c;

	if (ua == NULL)
		return;
	while ((c = TAILQ_FIRST(&ua->calls)) != NULL ||
	    (c = TAILQ_FIRST(&ua->ending)) != NULL)
		call_free(c);
	load_clear(&ua->load);
	free(ua);
}

struct call *
call_new(struct ua *ua, bool incoming)
{
	struct call *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->ua = ua;
	c->incoming = incoming;
	c->state = incoming ? CALL_RINGING : CALL_CALLING;
	c->play_fd = c->record_fd = -1;
	c->srtp = -1;
	c->started_us = clock_mono_us();
	c->number = ++ua->last_id;
	(void)snprintf(c->id, sizeof(c->id), "c%u", c->number);
	TAILQ_INSERT_TAIL(&ua->calls, c, link);
	ua->num_calls++;
	load_add(&ua->load);
	return c;
}

struct call *
ua_call_find(struct ua *ua, const char *id)
{
	struct call *c;

	TAILQ_FOREACH (c, &ua->calls, link)
		if (id == NULL || strcmp(c->id, id) == 0)
			return c;
	return NULL;
}

size_t
ua_num_calls(const struct ua *ua)
{
	return ua->load.num;
}

bool
ua_uses_account(const struct ua *ua, const char *id)
{
	const struct call *c;

	TAILQ_FOREACH (c, &ua->calls, link)
		if (strcmp(c->account, id) == 0)
			return true;
	return false;
}

/* ---- events ---- */

struct jv *
call_fields(const struct call *c)
{
	struct jv *f = jv_obj();

	jv_set_str(f, "call", c->id);
	return f;
}

/* Notes the verdict of the newest connection that failed. */
static void
on_verdict(const struct tls_verdict *v, void *arg)
{
	const char **class = arg;

	if (*class == NULL && !v->ok && v->class[0] != '\0')
		*class = v->class;
}

/* The failure class of a call that ended with `err`. */
static const char *
class_of(const struct call *c, int err)
{
	const char *class = NULL;

	if (c->class != NULL)
		return c->class;
	if (err < E_TLS_PARAM || err > E_TLS_PEER_REFUSED)
		return err == E_SIP_AUTH ? "auth.refused" : "";
	tls_env_each_verdict(c->ua->app->tls, on_verdict, &class);
	return class != NULL ? class : "tls";
}

/* Says that a call is over, and forgets it; timer_cb. */
static void
call_over(void *arg)
{
	struct call *c = arg;
	struct app *a = c->ua->app;

	app_event(a, "call.ended", jv_ref(c->ended));
	call_free(c);
	app_stop_check(a);
}

/* Ends a call.  Whoever hears of it finds the recording whole. */
static void
call_end(struct call *c, const struct sip_call_info *info)
{
	struct jv *f = call_fields(c);
	struct media_stats st;
	int64_t from = c->established_us;

	if (from != 0)
		from = clock_mono_us() - from;
	call_transfer_end(c);
	call_refer_report(c, info->code >= 300 ? info->code : 487);
	jv_set_int(f, "code", c->code != 0 ? c->code : info->code);
	jv_set_str(f, "reason", c->why[0] != '\0' ? c->why : info->reason);
	jv_set_bool(f, "by_peer", info->by_peer);
	jv_set_num(f, "duration_s", (double)from / 1e6);
	call_end_fields(c, info, f);
	jv_set_str(f, "class", class_of(c, info->err));
	if (c->media != NULL) {
		media_sess_get_stats(c->media, &st);
		jv_set(f, "media", ua_stats_json(&st));
		log_info(LOGC_SIP, 0,
		    "call ended call=%s code=%d tx=%llu rx=%llu lost=%llu",
		    c->id, info->code, (unsigned long long)st.tx_packets,
		    (unsigned long long)st.rx_packets,
		    (unsigned long long)st.rx_lost);
	} else {
		jv_set(f, "media", jv_null());
		log_info(LOGC_SIP, 0, "call ended call=%s code=%d reason=%s",
		    c->id, info->code, esc(info->reason));
	}
	sip_call_free(&c->sip);
	loop_undefer(&c->fail);
	ua_ring_stop(c);
	timer_stop(&c->limit);
	call_unlist(c);
	TAILQ_INSERT_TAIL(&c->ua->ending, c, link);
	c->is_over = true;
	c->ended = f;
	if (c->media != NULL)
		media_sess_stop(c->media); /* the speaker is free now */
	ua_speaker(c->ua);
	if (c->media == NULL || !media_sess_finish(c->media, call_over, c))
		call_over(c);
}

/* Audio may flow both ways: the call stands. */
void
call_established(struct call *c)
{
	struct jv *f;
	struct media_stats st;
	int err;

	if ((err = media_sess_start(c->media)) != 0) {
		call_fail(c, "media.start", "the audio cannot start: %s",
		    err_str(err));
		return;
	}
	if (c->established_us != 0)
		return;
	c->established_us = clock_mono_us();
	c->state = CALL_ESTABLISHED;
	ua_limit(c);
	ua_speaker(c->ua);
	call_refer_report(c, 200);
	media_sess_get_stats(c->media, &st);
	f = call_fields(c);
	jv_set_str(f, "direction", c->incoming ? "in" : "out");
	jv_set_str(f, "remote", sip_call_remote(c->sip));
	jv_set_str(f, "signalling", call_signalling(c));
	jv_set_str(f, "security", st.suite[0] != '\0' ? "srtp" : "clear");
	jv_set_str(f, "codec", st.codec);
	jv_set_str(f, "suite", st.suite);
	app_event(c->ua->app, "call.established", f);
	log_info(LOGC_SIP, 0,
	    "call established call=%s codec=%s security=%s signalling=%s",
	    c->id, st.codec, st.suite[0] != '\0' ? st.suite : "clear",
	    call_signalling(c));
	if (c->hangup_asked)
		sip_call_hangup(c->sip, 0);
}

/* Ends a call for a reason of our own; the sentence goes into its event. */
void
call_fail(struct call *c, const char *class, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(c->why, sizeof(c->why), fmt, ap);
	va_end(ap);
	c->class = class;
	log_warn(LOGC_SIP, 0, "call=%s: %s", c->id, c->why);
	if (c->sip != NULL)
		sip_call_hangup(c->sip, 0);
}

/* ---- what the peer did ---- */

void
call_on_sip(const struct sip_call_info *info, void *arg)
{
	struct call *c = arg;

	switch (info->event) {
	case SIP_CALL_RINGING:
		call_on_ringing(c, info);
		break;
	case SIP_CALL_ANSWERED:
		call_on_answered(c, info);
		break;
	case SIP_CALL_PRACKED:
		call_on_pracked(c, info);
		break;
	case SIP_CALL_CONFIRMED:
		call_on_confirmed(c, info);
		break;
	case SIP_CALL_OFFER:
		call_on_offer(c, info);
		break;
	case SIP_CALL_DTMF:
		call_digit(c, info->digit, info->duration_ms, true);
		break;
	case SIP_CALL_DTMF_LOST:
		call_digit_lost(c, info);
		break;
	case SIP_CALL_REFER:
		call_referred(c, info->refer);
		break;
	case SIP_CALL_REFERRED:
		call_refer_told(c, info);
		break;
	case SIP_CALL_ENDED:
		call_end(c, info);
		break;
	}
}

/* ---- outgoing ---- */

/* Places the INVITE of a call whose media is ready. */
static int
call_invite(struct call *c)
{
	struct sip_call_conf conf = { .to = c->uri, .headers = c->headers };
	char whole[DNS_NAME_MAX + 16];
	struct buf sdp;
	int err;

	buf_init(&sdp, UA_SDP_MAX);
	/* A flow has no domain that would complete a bare user part. */
	if (c->flow != 0 && strchr(c->uri, ':') == NULL) {
		(void)snprintf(
		    whole, sizeof(whole), "sip:%.200s@localhost", c->uri);
		conf.to = whole;
	}
	if ((err = call_open_media(c)) != 0)
		goto out;
	if ((err = media_sess_offer(c->media, &sdp)) != 0)
		goto out;
	if (!c->late)
		conf.sdp = (struct slice){ buf_str(&sdp), sdp.n };
	conf.flow = c->flow;
	if (c->flow == 0 && c->account[0] != '\0')
		conf.reg = account_reg(
		    accounts_find(c->ua->app->accounts, c->account));
	conf.tls_only = c->on_tls && conf.reg != NULL;
	conf.policy = ua_direct_policy;
	conf.policy_arg = c->ua->app;
	err = sip_call_invite(&c->sip, c->ua->app->sip, &conf, call_on_sip, c);
out:
	buf_clear(&sdp);
	return err;
}

/* Ends, from the loop, a call that never became a SIP call. */
static void
on_fail(void *arg)
{
	struct call *c = arg;
	struct sip_call_info info = { .event = SIP_CALL_ENDED, .err = c->err };

	info.reason = err_str(c->err);
	call_end(c, &info);
}

/* dns_addr_cb: the peer of a direct call; which address of ours faces it? */
static void
on_resolved(int err, const struct addr *as, size_t num_as, void *arg)
{
	struct call *c = arg;

	if (err == 0 && num_as > 0)
		err = addr_local_for(&as[0], &c->local);
	if (err == 0)
		err = call_invite(c);
	if (err == 0)
		return;
	if (c->why[0] == '\0')
		(void)snprintf(c->why, sizeof(c->why), "cannot call %s: %s",
		    esc(c->uri), err_str(err));
	c->err = err;
	loop_defer(c->ua->app->loop, &c->fail, on_fail, c);
}

/* May the account carry a call now?  If not, why, and with what exit code. */
static enum ctl_exit
account_may_call(
    const struct account *ac, struct addr *local, char *why, size_t why_size)
{
	struct sip_reg_status st;

	account_status(ac, &st);
	if (st.state == SIP_REG_OK) {
		*local = st.local;
		return CTL_OK;
	}
	/* Its connection is being restored: the call waits for that. */
	if (st.back_soon && addr_is_set(&st.remote) &&
	    addr_local_for(&st.remote, local) == 0)
		return CTL_OK;
	(void)snprintf(why, why_size, "account %s is not registered%s%s",
	    account_id(ac), st.reason[0] != '\0' ? ": " : " yet", st.reason);
	if (st.err >= E_TLS_PARAM && st.err <= E_TLS_PEER_REFUSED)
		return CTL_TLS;
	return CTL_AUTH;
}

/* The word of --srtp; -1 where the setting decides, -2 if it is unknown. */
static int
srtp_of(const char *word)
{
	if (word == NULL)
		return -1;
	for (int m = MEDIA_SRTP_DISABLED; m <= MEDIA_SRTP_STANDARD; m++)
		if (strcmp(word,
			media_srtp_mode_name((enum media_srtp_mode)m)) == 0)
			return m;
	return -2;
}

/* Copies what the caller wants; descriptors are taken at the very end. */
static struct call *
dial_new(struct ua *ua, const struct ua_dial *d)
{
	struct call *c = call_new(ua, false);

	if (c == NULL)
		return NULL;
	c->uri = strdup(d->uri);
	if (d->headers != NULL)
		c->headers = strdup(d->headers);
	if (c->uri == NULL || (d->headers != NULL && c->headers == NULL)) {
		call_free(c);
		return NULL;
	}
	return c;
}

/* Which way a call goes. */
struct way {
	struct addr local;             /* set: known without asking DNS */
	uint64_t flow;                 /* lab: the connection of the callee */
	const struct account *account; /* borrowed; NULL: none */
	struct ua_target target;
	bool tls;
};

/* The account that a call is to go by; NULL in `*ac`: none.  The one that was
 * named must be there. */
static enum ctl_exit
way_account(const struct app *a, const char *id, const struct account **ac,
    char *why, size_t why_size)
{
	*ac = id != NULL ? accounts_find(a->accounts, id)
			 : accounts_caller(a->accounts);
	if (id == NULL || (*ac != NULL && account_reg(*ac) != NULL))
		return CTL_OK;
	(void)snprintf(why, why_size,
	    "account %s is not set up; bellbird status names those that are",
	    esc(id));
	return CTL_USAGE;
}

/* By an account, on a flow of the lab, or directly. */
static enum ctl_exit
way_of(struct ua *ua, const struct ua_dial *d, struct way *w, char *why,
    size_t why_size)
{
	const struct app *a = ua->app;
	const char *uri = d->uri;
	struct sip_reg_status st;
	enum ctl_exit code;

	memset(w, 0, sizeof(*w));
	if (a->hooks != NULL && a->hooks->flow != NULL) {
		w->tls = true;
		w->flow = a->hooks->flow(uri, a->hooks->arg);
		if (w->flow != 0)
			return addr_parse(
				   &w->local, slice_of("127.0.0.1"), 0) == 0
			    ? CTL_OK
			    : CTL_FAIL;
		(void)snprintf(
		    why, why_size, "nobody is registered as %s", esc(uri));
		return CTL_FAIL;
	}
	code = way_account(a, d->account, &w->account, why, why_size);
	if (code != CTL_OK)
		return code;
	if (w->account != NULL) {
		/* What the flow is, which a changed setting is not yet. */
		account_status(w->account, &st);
		w->tls = st.transport == SIPC_TLS;
		return account_may_call(w->account, &w->local, why, why_size);
	}
	if (ua_target_parse(&w->target, uri) == 0) {
		w->tls = w->target.tls;
		return CTL_OK;
	}
	(void)snprintf(why, why_size,
	    "%s is not a SIP URI (no account is set "
	    "up, so a whole address like sip:bob@192.0.2.1 is needed)",
	    esc(uri));
	return CTL_USAGE;
}

/* Is there room, and are the words right? */
static enum ctl_exit
dial_check(struct ua *ua, const struct ua_dial *d, char *why, size_t why_size)
{
	int64_t max = prov_get_int(ua->app->store, "call.max");
	enum ctl_exit code = ua_check_uri(d->uri, why, why_size);

	if (code == CTL_OK && d->headers != NULL)
		code = ua_check_headers(d->headers, why, why_size);
	if (code != CTL_OK)
		return code;
	if (srtp_of(d->srtp) == -2) {
		(void)snprintf(why, why_size,
		    "--srtp %s: disabled, optional or standard", esc(d->srtp));
		return CTL_USAGE;
	}
	if (ua_num_calls(ua) >= (size_t)max) {
		(void)snprintf(why, why_size,
		    "%lld calls are up, call.max allows no more",
		    (long long)max);
		return CTL_FAIL;
	}
	return CTL_OK;
}

enum ctl_exit
ua_dial(struct ua *ua, const struct ua_dial *d, char id[static 16], char *why,
    size_t why_size)
{
	enum ctl_exit code = dial_check(ua, d, why, why_size);
	struct way w;
	struct call *c;
	int err;

	if (code == CTL_OK)
		code = way_of(ua, d, &w, why, why_size);
	if (code == CTL_OK && d->tls_only && !w.tls) {
		(void)snprintf(
		    why, why_size, "%s would leave TLS", esc(d->uri));
		code = CTL_FAIL;
	}
	c = code == CTL_OK ? dial_new(ua, d) : NULL;
	if (c == NULL) {
		if (d->play_fd >= 0)
			close(d->play_fd);
		if (d->record_fd >= 0)
			close(d->record_fd);
		return code != CTL_OK ? code : CTL_FAIL;
	}
	c->local = w.local;
	c->flow = w.flow;
	if (w.account != NULL)
		ignore_err(str_copy(c->account, sizeof(c->account),
			       account_id(w.account)),
		    "same size");
	c->srtp = srtp_of(d->srtp);
	c->late = d->late;
	c->play_fd = d->play_fd;
	c->record_fd = d->record_fd;
	c->on_tls = w.tls;
	if (addr_is_set(&w.local))
		err = call_invite(c);
	else
		err = dns_addr(&c->dns, ua->app->dns, w.target.host,
		    w.target.port, on_resolved, c);
	if (err != 0) {
		(void)snprintf(why, why_size, "cannot call %s: %s", esc(d->uri),
		    c->why[0] != '\0' ? c->why : err_str(err));
		call_free(c);
		return err == E_PARSE ? CTL_USAGE : CTL_FAIL;
	}
	(void)snprintf(id, 16, "%s", c->id);
	return CTL_OK;
}

/* ---- what may be done to a call ---- */

void
ua_call_hangup(struct call *c)
{
	c->hangup_asked = true;
	if (c->sip != NULL) {
		sip_call_hangup(c->sip, 0);
		return;
	}
	dns_stop(&c->dns);
	c->err = E_STOPPED;
	loop_defer(c->ua->app->loop, &c->fail, on_fail, c);
}

enum ctl_exit
ua_hangup(struct ua *ua, const char *id, struct jv *out)
{
	struct call *c;
	bool any = false;

	TAILQ_FOREACH (c, &ua->calls, link) {
		if (id != NULL && strcmp(id, c->id) != 0)
			continue;
		any = true;
		jv_add(out, jv_str(c->id));
		ua_call_hangup(c);
	}
	return any || id == NULL ? CTL_OK : CTL_FAIL;
}

void
ua_hangup_all(struct ua *ua)
{
	struct call *c;

	TAILQ_FOREACH (c, &ua->calls, link)
		ua_call_hangup(c);
}
