/* SPDX-License-Identifier: ISC */
/* Session timers (RFC 4028): we ask for one if the rules say so, and keep what
 * the peer wants; a call that is not refreshed ends. */
#include <stdio.h>
#include <string.h>

#include "bellbird/clock.h"
#include "internal.h"

enum {
	SESSION_MIN_S = 90,    /* RFC 4028 5 */
	SESSION_MAX_S = 86400, /* more is as good as none */
	BUSY_S = 10            /* it did not work now: look again */
};

/* Reads Session-Expires; 0 if there is none. */
static unsigned int
session_read(const struct sip_msg *m, struct slice *refresher)
{
	struct slice v = sip_msg_hdr(m, SIPH_SESSION_EXPIRES), head, rest;
	int64_t s = sip_msg_uint(m, SIPH_SESSION_EXPIRES, INT32_MAX, 0);

	*refresher = (struct slice){ NULL, 0 };
	if (slice_cut(v, ';', &head, &rest)) {
		rest.p--; /* with its semicolon */
		rest.n++;
		if (!sip_param(rest, "refresher", refresher))
			*refresher = (struct slice){ NULL, 0 };
	}
	if (s <= 0)
		return 0;
	if (s < SESSION_MIN_S)
		s = SESSION_MIN_S;
	return (unsigned int)(s < SESSION_MAX_S ? s : SESSION_MAX_S);
}

/* The longer one, not below the shortest that may be (RFC 4028 5). */
static unsigned int
longest(unsigned int a, unsigned int b)
{
	unsigned int s = a > b ? a : b;

	return s > SESSION_MIN_S ? s : SESSION_MIN_S;
}

void
sip_session_answer(
    struct sip_call *c, const struct sip_msg *req, struct buf *headers)
{
	const struct sip_call_rules *r = &c->s->rules;
	struct slice refresher;
	bool peer;

	c->session_s = session_read(req, &refresher);
	peer = sip_msg_has(req, SIPH_SUPPORTED, "timer") ||
	    sip_msg_has(req, SIPH_REQUIRE, "timer");
	if (c->session_s == 0 && peer && r->session_s > 0) {
		/* The peer did not ask; we do. */
		c->session_s = longest(r->session_s,
		    (unsigned int)sip_msg_uint(
			req, SIPH_MIN_SE, SESSION_MAX_S, 0));
		peer = r->session_peer;
	}
	if (c->session_s == 0)
		return;
	/* Table 2: who asks refreshes, unless he said or can otherwise. */
	if (refresher.n > 0)
		peer = peer && !slice_case_is(refresher, "uas");
	c->session_ours = !peer;
	ignore_err(buf_printf(headers, "Session-Expires: %u;refresher=%s\r\n%s",
		       c->session_s, peer ? "uac" : "uas",
		       peer ? "Require: timer\r\n" : ""),
	    "sticks in the buf");
}

void
sip_session_agree(struct sip_call *c, const struct sip_msg *rsp)
{
	struct slice refresher;

	c->session_s = session_read(rsp, &refresher);
	c->session_ours = !slice_case_is(refresher, "uas");
}

void
sip_session_invite(struct sip_call *c, struct buf *headers)
{
	const struct sip_call_rules *r = &c->s->rules;

	if (r->session_s == 0 && c->min_se_s == 0)
		return;
	/* After a 422 it is longer already. */
	c->session_s = longest(r->session_s, c->min_se_s);
	if (r->min_se_s > SESSION_MIN_S && c->min_se_s < r->min_se_s) {
		c->min_se_s = r->min_se_s;
		c->session_s = longest(c->session_s, c->min_se_s);
	}
	ignore_err(buf_printf(headers, "Session-Expires: %u%s\r\n",
		       c->session_s, r->session_peer ? ";refresher=uas" : ""),
	    "sticks in the buf");
	if (c->min_se_s > 0)
		ignore_err(buf_printf(headers, "Min-SE: %u\r\n", c->min_se_s),
		    "sticks in the buf");
}

void
sip_session_ask(const struct sip_call *c, char *out, size_t size)
{
	int n;

	out[0] = '\0';
	if (c->session_s == 0)
		return;
	n = snprintf(out, size, "Session-Expires: %u;refresher=%s\r\n",
	    c->session_s, c->session_ours ? "uac" : "uas");
	/* RFC 4028 7.4: once a 422 has told it. */
	if (c->min_se_s > 0 && n > 0 && (size_t)n < size)
		(void)snprintf(
		    out + n, size - (size_t)n, "Min-SE: %u\r\n", c->min_se_s);
}

/* Nobody refreshed it (RFC 4028 10). */
static void
session_end(struct sip_call *c, const char *why)
{
	sip_call_end_set(c, 408, ETIMEDOUT, true, why);
	sip_call_set_reason(c, 408, "Session expired");
	sip_call_send_bye(c);
}

/* Time to refresh, or nobody did. */
static void
on_session(void *arg)
{
	struct sip_call *c = arg;

	if (c->state != SIP_C_UP)
		return;
	if (!c->session_ours)
		session_end(c, "The peer did not refresh the session");
	else if (clock_mono_us() >= c->session_end_us)
		session_end(c, "The session could not be refreshed");
	else if (sip_call_refresh(c) != 0)
		sip_session_retry(c, 0);
}

void
sip_session_retry(struct sip_call *c, int64_t us)
{
	int64_t left = c->session_end_us - clock_mono_us();

	if (c->session_s == 0)
		return;
	if (us <= 0)
		us = BUSY_S * SIPC_S;
	if (us > left)
		us = left > 0 ? left : 0;
	ignore_err(timer_start(&c->session, c->s->conf.loop, us, on_session, c),
	    "the peer ends it then");
}

bool
sip_session_longer(struct sip_call *c, const struct sip_msg *rsp)
{
	int64_t s = sip_msg_uint(rsp, SIPH_MIN_SE, SESSION_MAX_S, 0);

	if (s <= c->session_s)
		return false; /* we ask for that already */
	c->session_s = c->min_se_s = (unsigned int)s;
	return true;
}

void
sip_session_start(struct sip_call *c)
{
	unsigned int s = c->session_s, wait, end;

	timer_stop(&c->session);
	if (s == 0)
		return;
	/* RFC 4028 10: refresh at half; end a bit before it runs out. */
	end = s - (s / 3 < 32 ? s / 3 : 32);
	wait = c->session_ours ? s / 2 : end;
	c->session_end_us = clock_mono_us() + end * SIPC_S;
	ignore_err(timer_start(&c->session, c->s->conf.loop, wait * SIPC_S,
		       on_session, c),
	    "the peer ends it then");
}
