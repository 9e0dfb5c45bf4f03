/* SPDX-License-Identifier: ISC */
/* Session timers (RFC 4028): we never ask for one, but keep what the peer
 * wants; a call that is not refreshed ends. */
#include <stdio.h>
#include <string.h>

#include "internal.h"

enum {
	SESSION_MIN_S = 90,    /* RFC 4028 5 */
	SESSION_MAX_S = 86400, /* more is as good as none */
	BUSY_S = 10            /* an offer is under way: look again */
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

void
sip_session_answer(
    struct sip_call *c, const struct sip_msg *req, struct buf *headers)
{
	struct slice refresher;
	bool peer;

	c->session_s = session_read(req, &refresher);
	if (c->session_s == 0)
		return;
	/* Table 2: who asks refreshes, unless he said or can otherwise. */
	peer = sip_msg_has(req, SIPH_SUPPORTED, "timer") ||
	    sip_msg_has(req, SIPH_REQUIRE, "timer");
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
sip_session_ask(const struct sip_call *c, char *out, size_t size)
{
	out[0] = '\0';
	if (c->session_s > 0)
		(void)snprintf(out, size,
		    "Session-Expires: %u;refresher=%s\r\n", c->session_s,
		    c->session_ours ? "uac" : "uas");
}

/* Time to refresh, or nobody did. */
static void
on_session(void *arg)
{
	struct sip_call *c = arg;
	int err;

	if (c->state != SIP_C_UP)
		return;
	if (!c->session_ours) {
		sip_call_end_set(c, 408, ETIMEDOUT, true,
		    "The peer did not refresh the session");
		sip_call_send_bye(c);
		return;
	}
	if ((err = sip_call_refresh(c)) == 0)
		return;
	if (err == E_SIP_STATE &&
	    timer_start(&c->session, c->s->conf.loop, BUSY_S * SIPC_S,
		on_session, c) == 0)
		return;
	sip_call_end_set(c, 0, err, false, "The session cannot be refreshed");
	sip_call_send_bye(c);
}

void
sip_session_start(struct sip_call *c)
{
	unsigned int s = c->session_s, wait;

	timer_stop(&c->session);
	if (s == 0)
		return;
	/* RFC 4028 10: refresh at half; end a bit before it runs out. */
	wait = c->session_ours ? s / 2 : s - (s / 3 < 32 ? s / 3 : 32);
	ignore_err(timer_start(&c->session, c->s->conf.loop, wait * SIPC_S,
		       on_session, c),
	    "the peer ends it then");
}
