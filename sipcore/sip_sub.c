/* SPDX-License-Identifier: ISC */
/* A subscription of an account (RFC 6665): SUBSCRIBE, its NOTIFYs, refresh,
 * and a new one when the notifier ends it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bellbird/clock.h"
#include "bellbird/log.h"
#include "internal.h"

enum {
	EXPIRES_S = 3600,
	EXPIRES_MAX_S = 86400,
	TRIES_MAX = 3,   /* challenges and 423 to one SUBSCRIBE */
	WAIT_MIN_S = 30, /* back-off where it cannot be had .. */
	WAIT_MAX_S = 1800,
	AGAIN_S = 1, /* .. and where the notifier ends it for a new one */
	CALM_S = 60, /* one that lived shorter did not count */
	REFRESH_MIN_S = 5
};

struct sip_sub {
	LIST_ENTRY(sip_sub) link;
	struct sip_sub **slot;
	struct sip_stack *s;
	struct sip_reg *reg; /* borrowed; NULL: stopped, this rests */
	sip_sub_cb *cb;
	void *arg;
	char *event, *accept; /* owned */
	unsigned int asked_s, expires_s;
	enum sip_sub_state state;
	struct sip_dlg dlg;
	bool notified; /* since the last 2xx */
	struct sip_auth auth;
	struct sip_ctxn *txn;
	bool in_dialog; /* that SUBSCRIBE is a refresh */
	unsigned int tries, fails;
	uint64_t flow; /* by which it was sent */
	int64_t begun_us;
	struct timer timer;   /* refresh, or try again */
	struct timer timer_n; /* RFC 6665 4.1.2.4 */
};

static const struct slice none = { NULL, 0 };

static void begin(struct sip_sub *n);
static void on_timer(void *arg);

const char *
sip_sub_state_name(enum sip_sub_state st)
{
	static const char *const names[] = { "trying", "pending", "active",
		"waiting", "refused" };

	return names[st];
}

/* ---- life ---- */

static void
sub_free(struct sip_sub *n)
{
	LIST_REMOVE(n, link);
	if (n->slot != NULL)
		*n->slot = NULL;
	timer_stop(&n->timer);
	timer_stop(&n->timer_n);
	sip_ctxn_stop(&n->txn);
	sip_auth_clear(&n->auth);
	sip_dlg_clear(n->s, &n->dlg);
	free(n->event);
	free(n->accept);
	free(n);
}

void
sip_subs_free(struct sip_stack *s)
{
	while (!LIST_EMPTY(&s->subs))
		sub_free(LIST_FIRST(&s->subs));
}

void
sip_sub_reg_gone(struct sip_stack *s, const struct sip_reg *r)
{
	struct sip_sub *n;

	LIST_FOREACH (n, &s->subs, link) {
		if (n->reg != r)
			continue;
		n->reg = NULL;
		timer_stop(&n->timer);
		timer_stop(&n->timer_n);
		sip_ctxn_stop(&n->txn);
	}
}

bool
sip_sub_is_of(const struct sip_sub *n, const struct sip_reg *reg)
{
	return reg != NULL && n->reg == reg;
}

/* ---- telling; each the last thing its caller does ---- */

static void
tell(struct sip_sub *n, int code, const char *reason)
{
	struct sip_sub_info info = {
		.state = n->state, .code = code, .reason = reason
	};

	log_info(LOGC_SIP, n->flow, "subscription %s %s code=%d %s", n->event,
	    sip_sub_state_name(n->state), code, reason);
	n->cb(&info, n->arg);
}

/* ---- waiting ---- */

static void
timer_set(struct sip_sub *n, int64_t us)
{
	if (timer_start(&n->timer, n->s->conf.loop, us, on_timer, n) != 0)
		log_warn(LOGC_SIP, 0, "subscription %s not kept: out of memory",
		    n->event);
}

/* Waits for another attempt: at least `min_us`, longer each time. */
static void
wait_again(struct sip_sub *n, int64_t min_us)
{
	int64_t s = WAIT_MIN_S;

	for (unsigned int i = 0; i < n->fails && s < WAIT_MAX_S; i++)
		s *= 2;
	if (s > WAIT_MAX_S)
		s = WAIT_MAX_S;
	n->fails++;
	s = s * SIPC_S / 100 * (80 + (int64_t)(tls_random_id() % 41));
	timer_stop(&n->timer_n);
	sip_ctxn_stop(&n->txn);
	sip_dlg_clear(n->s, &n->dlg);
	n->state = SIP_SUB_WAITING;
	timer_set(n, s > min_us ? s : min_us);
}

/* A new one soon, unless the last did not live either. */
static void
anew(struct sip_sub *n)
{
	if (clock_mono_us() - n->begun_us < CALM_S * SIPC_S) {
		wait_again(n, 0);
		return;
	}
	n->fails = 0;
	timer_stop(&n->timer_n);
	sip_ctxn_stop(&n->txn);
	sip_dlg_clear(n->s, &n->dlg);
	n->state = SIP_SUB_WAITING;
	timer_set(n, AGAIN_S * SIPC_S);
}

/* It is not to be had here. */
static void
give_up(struct sip_sub *n)
{
	timer_stop(&n->timer);
	timer_stop(&n->timer_n);
	sip_ctxn_stop(&n->txn);
	sip_dlg_clear(n->s, &n->dlg);
	n->state = SIP_SUB_REFUSED;
}

/* Refreshes in time. */
static void
refresh_set(struct sip_sub *n, int64_t s)
{
	int64_t at = s > 120 ? s - 60 : s / 2;

	timer_set(n, (at > REFRESH_MIN_S ? at : REFRESH_MIN_S) * SIPC_S);
}

/* 64*T1 and no NOTIFY. */
static void
on_timer_n(void *arg)
{
	struct sip_sub *n = arg;

	wait_again(n, 0);
	tell(n, 0, "The server accepted, but sends no notification");
}

/* ---- SUBSCRIBE ---- */

static void on_answer(struct sip_msg **rsp, int err, void *arg);

static int
subscribe(struct sip_sub *n, unsigned int expires_s, sip_ctxn_cb *cb)
{
	char headers[256];
	struct sip_reg_rq rq = {
		.method = "SUBSCRIBE", .headers = headers, .cb = cb, .arg = n
	};
	const struct sip_flow *f = n->reg != NULL ? sip_reg_flow(n->reg) : NULL;
	struct buf b;

	(void)snprintf(headers, sizeof(headers),
	    "Event: %s\r\nAccept: %s\r\nExpires: %u\r\n", n->event, n->accept,
	    expires_s);
	if (f == NULL)
		return E_SIP_NO_ROUTE;
	buf_init(&b, SIPC_HEAD_MAX / 4);
	ignore_err(buf_printf(&b, "<%s>", sip_reg_contact(n->reg, f)),
	    "sticks in the buf");
	free(n->dlg.contact);
	if ((n->dlg.contact = buf_take(&b)) == NULL)
		return ENOMEM;
	n->flow = f->id;
	n->in_dialog = n->dlg.remote_tag != NULL;
	sip_ctxn_stop(&n->txn);
	return sip_reg_request(
	    n->reg, &n->dlg, &n->auth, &rq, cb != NULL ? &n->txn : NULL);
}

/* A new subscription. */
static void
begin(struct sip_sub *n)
{
	struct sip_name_addr na;
	char *aor = NULL;
	int err = E_PARSE;

	if (n->reg == NULL)
		return;
	sip_dlg_clear(n->s, &n->dlg);
	n->begun_us = clock_mono_us();
	n->tries = 0;
	n->notified = false;
	if (sip_name_addr(&na, slice_of(sip_reg_from(n->reg))) == 0)
		err = (aor = slice_dup(na.uri)) != NULL ? 0 : ENOMEM;
	if (err == 0)
		err = sip_dlg_begin(&n->dlg, n->reg, aor);
	free(aor);
	if (err == 0)
		err = subscribe(n, n->asked_s, on_answer);
	if (err == 0)
		n->state = SIP_SUB_TRYING;
	else
		wait_again(n, 0);
}

/* timer_cb: refresh, or try again. */
static void
on_timer(void *arg)
{
	struct sip_sub *n = arg;

	n->tries = 0;
	if (n->dlg.remote_tag == NULL)
		begin(n);
	else if (subscribe(n, n->asked_s, on_answer) != 0)
		anew(n);
}

/* 2xx. */
static void
on_accepted(struct sip_sub *n, const struct sip_msg *m)
{
	int64_t s = sip_msg_uint(m, SIPH_EXPIRES, EXPIRES_MAX_S, n->asked_s);

	sip_auth_ok(&n->auth);
	if (n->dlg.remote_tag == NULL && m->to_tag.n > 0 &&
	    sip_dlg_out(&n->dlg, m) != 0) {
		wait_again(n, 0);
		return;
	}
	if (s == 0) {
		anew(n);
		return;
	}
	n->expires_s = (unsigned int)s;
	refresh_set(n, s);
	if (n->state == SIP_SUB_TRYING && !n->notified) {
		n->state = SIP_SUB_PENDING;
		ignore_err(timer_start(&n->timer_n, n->s->conf.loop, SIPC_T1X64,
			       on_timer_n, n),
		    "the refresh comes");
	}
	tell(n, m->code, sip_phrase(m->code));
}

/* 423: longer, as the notifier wants it. */
static bool
on_too_brief(struct sip_sub *n, const struct sip_msg *m)
{
	int64_t s = sip_msg_uint(m, SIPH_MIN_EXPIRES, EXPIRES_MAX_S, 0);

	if (s <= n->asked_s || n->tries++ >= TRIES_MAX)
		return false;
	n->asked_s = (unsigned int)s;
	return subscribe(n, n->asked_s, on_answer) == 0;
}

/* 401, 407. */
static bool
on_challenge(struct sip_sub *n, const struct sip_msg *m)
{
	struct sip_auth_rule rule;

	if (n->tries++ >= TRIES_MAX ||
	    sip_reg_challenged(n->reg, &n->auth, m, n->in_dialog, &rule) != 0)
		return false;
	return subscribe(n, n->asked_s, on_answer) == 0;
}

/* 300..699 that could not be mended. */
static void
on_refused(struct sip_sub *n, const struct sip_msg *m)
{
	switch (m->code) {
	case 403:
	case 404:
	case 405:
	case 410:
	case 489:
	case 501:
	case 604:
		if (!n->in_dialog) {
			give_up(n);
			break;
		}
		__attribute__((fallthrough));
	case 481:
	case 401:
	case 407:
		if (n->in_dialog) {
			/* RFC 6665 4.1.2.2: gone there; a new one may be
			 * asked for with a password. */
			anew(n);
			break;
		}
		__attribute__((fallthrough));
	default:
		wait_again(n, sip_msg_retry_us(m, WAIT_MAX_S));
		break;
	}
	tell(n, m->code, esc(m->reason));
}

/* sip_ctxn_cb. */
static void
on_answer(struct sip_msg **rsp, int err, void *arg)
{
	struct sip_sub *n = arg;
	const struct sip_msg *m = *rsp;

	if (m == NULL) {
		wait_again(n, 0);
		tell(n, 0, err_str(err));
	} else if (m->code < 200) {
		return;
	} else if (m->code < 300) {
		on_accepted(n, m);
	} else if ((m->code == 423 && on_too_brief(n, m)) ||
	    ((m->code == 401 || m->code == 407) && on_challenge(n, m))) {
		return;
	} else {
		on_refused(n, m);
	}
}

/* ---- NOTIFY ---- */

struct sip_sub *
sip_sub_of(const struct sip_stack *s, const struct sip_msg *m)
{
	struct sip_sub *n;

	LIST_FOREACH (n, &s->subs, link) {
		if (n->reg != NULL && n->dlg.call_id != NULL &&
		    strcmp(n->dlg.call_id, m->call_id) == 0 &&
		    slice_is(m->to_tag, n->dlg.local_tag) &&
		    (n->dlg.remote_tag == NULL ||
			slice_is(m->from_tag, n->dlg.remote_tag)))
			return n;
	}
	return NULL;
}

/* The first NOTIFY makes the dialog (RFC 6665 4.4.1), if the 2xx was slower. */
static int
dialog_take(struct sip_sub *n, const struct sip_msg *m)
{
	struct sip_dlg d = { .rcseq = 0 };
	int err;

	if (n->dlg.remote_tag != NULL) {
		sip_dlg_retarget(&n->dlg, m);
		return 0;
	}
	if ((err = sip_dlg_in(&d, m, n->dlg.local_tag)) != 0) {
		sip_dlg_clear(n->s, &d);
		return err;
	}
	/* In From and To of ours nothing changes but their tag. */
	free(d.local);
	free(d.call_id);
	free(n->dlg.target);
	free(n->dlg.routes);
	free(n->dlg.remote);
	n->dlg.target = d.target;
	n->dlg.routes = d.routes;
	n->dlg.remote = d.remote;
	n->dlg.remote_tag = d.remote_tag;
	return 0;
}

/* How it goes on after Subscription-State: terminated (RFC 6665 4.1.3). */
static void
on_terminated(struct sip_sub *n, struct slice params)
{
	struct slice reason = none, after = none;
	int64_t s = 0;

	ignore_err(
	    sip_param(params, "reason", &reason) ? 0 : ENOENT, "stays empty");
	if (sip_param(params, "retry-after", &after) &&
	    str_int(after, 0, WAIT_MAX_S, &s) != 0)
		s = 0;
	if (slice_case_is(reason, "rejected") ||
	    slice_case_is(reason, "noresource") ||
	    slice_case_is(reason, "invariant"))
		give_up(n);
	else if (slice_case_is(reason, "deactivated") ||
	    slice_case_is(reason, "timeout"))
		anew(n);
	else
		wait_again(n, s * SIPC_S);
}

/* What Subscription-State says. */
static void
state_take(struct sip_sub *n, const char *value)
{
	size_t at = strcspn(value, ";");
	struct slice word = slice_trim((struct slice){ value, at });
	struct slice params = slice_of(value + at), expires;
	int64_t s;

	timer_stop(&n->timer_n);
	n->notified = true;
	if (slice_case_is(word, "terminated")) {
		on_terminated(n, params);
		return;
	}
	n->fails = 0;
	n->state =
	    slice_case_is(word, "pending") ? SIP_SUB_PENDING : SIP_SUB_ACTIVE;
	if (sip_param(params, "expires", &expires) &&
	    str_int(expires, 1, EXPIRES_MAX_S, &s) == 0 && n->txn == NULL)
		refresh_set(n, s);
}

/* May it be taken?  The code to refuse it with, or 0. */
static int
notify_judge(const struct sip_sub *n, const struct sip_req *r)
{
	const struct sip_msg *m = r->msg;
	const char *event = sip_msg_get(m, SIPH_EVENT, 0);
	size_t len = event != NULL ? strcspn(event, "; \t") : 0;

	if (!sip_msg_is(m, "NOTIFY"))
		return 405;
	if (!sip_reg_has_flow(n->reg, sip_req_flow_of(r)))
		return 403; /* only the account's server speaks for it */
	if (n->dlg.rcseq_set && m->cseq <= n->dlg.rcseq)
		return 500;
	if (len != strlen(n->event) || strncasecmp(event, n->event, len) != 0)
		return 489;
	return sip_msg_find(m, "Subscription-State", 0) == NULL ? 400 : 0;
}

void
sip_sub_notified(struct sip_sub *n, struct sip_req *r)
{
	const struct sip_msg *m = r->msg;
	const char *type = sip_msg_get(m, SIPH_CONTENT_TYPE, 0);
	struct sip_sub_info info = { .notify = true, .reason = "" };
	int code = notify_judge(n, r);
	char *body = NULL, *type_copy = NULL;

	if (code == 0 && dialog_take(n, m) != 0)
		code = 400;
	if (code == 0 && m->body.n > 0 && type != NULL &&
	    ((body = slice_dup(m->body)) == NULL ||
		(type_copy = strdup(type)) == NULL))
		code = 500;
	if (code == 0) {
		n->dlg.rcseq = m->cseq;
		n->dlg.rcseq_set = true;
		info.body =
		    (struct slice){ body, body != NULL ? m->body.n : 0 };
		info.type = type_copy;
		state_take(n, sip_msg_find(m, "Subscription-State", 0));
		info.state = n->state;
	}
	ignore_err(
	    sip_req_reply(r, code == 0 ? 200 : code, NULL, NULL, NULL, none),
	    "the notifier sends it again");
	if (code == 0)
		n->cb(&info, n->arg);
	free(body);
	free(type_copy);
}

/* ---- the owner ---- */

int
sip_sub_start(struct sip_sub **slot, struct sip_stack *s,
    const struct sip_sub_conf *conf, sip_sub_cb *cb, void *arg)
{
	struct sip_sub *n = calloc(1, sizeof(*n));

	if (n == NULL)
		return ENOMEM;
	n->s = s;
	LIST_INSERT_HEAD(&s->subs, n, link);
	n->event = strdup(conf->event);
	n->accept = strdup(conf->accept);
	if (n->event == NULL || n->accept == NULL) {
		sub_free(n);
		return ENOMEM;
	}
	n->reg = conf->reg;
	n->asked_s = conf->expires_s != 0 ? conf->expires_s : EXPIRES_S;
	n->cb = cb;
	n->arg = arg;
	n->slot = slot;
	*slot = n;
	begin(n);
	return 0;
}

void
sip_sub_stop(struct sip_sub **slot)
{
	struct sip_sub *n = *slot;

	if (n == NULL)
		return;
	if (n->dlg.remote_tag != NULL)
		ignore_err(subscribe(n, 0, NULL), "it expires there");
	sub_free(n);
}

void
sip_sub_reg_moved(struct sip_stack *s, const struct sip_reg *r)
{
	struct sip_sub *n, *next;

	for (n = LIST_FIRST(&s->subs); n != NULL; n = next) {
		next = LIST_NEXT(n, link);
		if (n->reg == r)
			sip_sub_kick(n);
	}
}

void
sip_sub_kick(struct sip_sub *n)
{
	const struct sip_flow *f = n->reg != NULL ? sip_reg_flow(n->reg) : NULL;

	if (f == NULL || f->id == n->flow || n->txn != NULL)
		return;
	if (n->dlg.remote_tag == NULL || n->state == SIP_SUB_REFUSED ||
	    n->state == SIP_SUB_WAITING)
		begin(n);
	else if (subscribe(n, n->asked_s, on_answer) != 0)
		anew(n);
}
