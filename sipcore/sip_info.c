/* SPDX-License-Identifier: ISC */
/* DTMF by INFO (RFC 6086 and what came before it): application/dtmf-relay and
 * application/dtmf, sent and received. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellbird/log.h"
#include "internal.h"

enum {
	DURATION_MS = 160,       /* of a digit that we send */
	DURATION_MAX_MS = 60000, /* nobody holds a key for longer */
	TRIES_MAX = 2            /* challenges to one digit */
};

struct sip_info {
	char queue[SIPC_DTMF_MAX];
	size_t num;
	bool bare; /* application/dtmf */
	struct sip_ctxn *txn;
	unsigned int tries;
};

static const struct slice none = { NULL, 0 };
static const char digits16[] = "0123456789*#ABCD";

bool
sip_msg_is_type(const struct sip_msg *m, const char *type)
{
	struct slice head, rest;

	(void)slice_cut(sip_msg_hdr(m, SIPH_CONTENT_TYPE), ';', &head, &rest);
	return m->body.n > 0 && slice_case_is(slice_trim(head), type);
}

void
sip_info_free(struct sip_info *n)
{
	if (n == NULL)
		return;
	sip_ctxn_stop(&n->txn);
	free(n);
}

/* ---- received ---- */

/* A digit as peers write it: "5", "*", "a", "11"; 0: none. */
static char
digit_of(struct slice s)
{
	int64_t n;
	char c;

	s = slice_trim(s);
	if (s.n == 2 && str_int(s, 10, 15, &n) == 0)
		return digits16[n];
	if (s.n != 1)
		return 0;
	c = s.p[0];
	if (c >= 'a' && c <= 'd')
		c = (char)(c - 'a' + 'A');
	return c != '\0' && strchr(digits16, c) != NULL ? c : 0;
}

/* Reads "Signal=5", "Duration=160"; false if it holds no digit. */
static bool
relay_read(struct slice body, char *digit, unsigned int *ms)
{
	struct slice line, key, value;
	int64_t v;

	while (slice_line(&body, &line)) {
		if (!slice_cut(line, '=', &key, &value))
			continue;
		key = slice_trim(key);
		if (slice_case_is(key, "Signal"))
			*digit = digit_of(value);
		else if (slice_case_is(key, "Duration") &&
		    str_int(slice_trim(value), 0, DURATION_MAX_MS, &v) == 0)
			*ms = (unsigned int)v;
	}
	return *digit != 0;
}

void
sip_info_in(struct sip_call *c, struct sip_req *r)
{
	const struct sip_msg *m = r->msg;
	struct sip_call_info info = { .event = SIP_CALL_DTMF, .reason = "" };
	const char *headers = NULL;
	int code = 200;

	if (sip_msg_is_type(m, "application/dtmf-relay")) {
		if (!relay_read(m->body, &info.digit, &info.duration_ms))
			code = 400;
	} else if (sip_msg_is_type(m, "application/dtmf")) {
		/* Some write the long form here, too. */
		info.digit = digit_of(m->body);
		if (info.digit == 0 &&
		    !relay_read(m->body, &info.digit, &info.duration_ms))
			code = 400;
	} else if (m->body.n > 0) {
		code = 415;
		headers = "Accept: application/dtmf-relay, "
			  "application/dtmf\r\n";
	}
	ignore_err(sip_req_reply(r, code, NULL, headers, NULL, none),
	    "the peer asks again");
	if (info.digit != 0 && c->cb != NULL)
		c->cb(&info, c->arg);
}

/* ---- sent ---- */

static void on_answer(struct sip_msg **rsp, int err, void *arg);

/* Sends the first digit of the queue. */
static int
digit_send(struct sip_call *c)
{
	const struct sip_info *n = c->info;
	char body[64];
	struct sip_call_rq rq = { .method = "INFO",
		.type = n->bare ? "application/dtmf" : "application/dtmf-relay",
		.cb = on_answer };

	if (n->bare)
		(void)snprintf(body, sizeof(body), "%c", n->queue[0]);
	else
		(void)snprintf(body, sizeof(body),
		    "Signal=%c\r\nDuration=%d\r\n", n->queue[0], DURATION_MS);
	rq.sdp = slice_of(body);
	return sip_call_request(c, &c->info->txn, &rq);
}

/* The peer takes no digits this way; the rest would come out of order. */
static void
lost(struct sip_call *c, int code, const char *reason)
{
	struct sip_call_info info = { .event = SIP_CALL_DTMF_LOST,
		.code = code,
		.digit = c->info->queue[0],
		.reason = reason };

	c->info->num = 0;
	if (c->cb != NULL)
		c->cb(&info, c->arg);
}

/* sip_ctxn_cb. */
static void
on_answer(struct sip_msg **rsp, int err, void *arg)
{
	struct sip_call *c = arg;
	struct sip_info *n = c->info;
	const struct sip_msg *m = *rsp;
	struct sip_auth_rule rule;

	if (m != NULL && m->code < 200)
		return;
	if (m == NULL) {
		lost(c, err == ETIMEDOUT ? 408 : 503, err_str(err));
		return;
	}
	if (m->code == 401 || m->code == 407) {
		if (n->tries++ < TRIES_MAX &&
		    sip_call_challenged(c, m, &rule) == 0 && digit_send(c) == 0)
			return;
		lost(c, m->code, sip_phrase(m->code));
		return;
	}
	if (m->code >= 300) {
		lost(c, m->code, esc(m->reason));
		return;
	}
	if (c->auth != NULL)
		sip_auth_ok(c->auth);
	n->tries = 0;
	memmove(n->queue, n->queue + 1, --n->num);
	if (n->num > 0 && (err = digit_send(c)) != 0)
		lost(c, 503, err_str(err));
}

int
sip_call_dtmf(struct sip_call *c, const char *digits, bool bare)
{
	size_t n = strlen(digits);
	struct sip_info *i = c->info;
	int err;

	if (c->state != SIP_C_UP)
		return E_SIP_STATE;
	for (size_t k = 0; k < n; k++) {
		if (digit_of((struct slice){ digits + k, 1 }) == 0)
			return E_PARSE;
	}
	if (n == 0)
		return E_PARSE;
	if (i == NULL && (i = c->info = calloc(1, sizeof(*i))) == NULL)
		return ENOMEM;
	if (n > SIPC_DTMF_MAX - i->num)
		return E_LIMIT;
	for (size_t k = 0; k < n; k++)
		i->queue[i->num++] = digit_of((struct slice){ digits + k, 1 });
	if (i->num > n)
		return 0; /* some are under way: in the same form */
	i->bare = bare;
	if ((err = digit_send(c)) != 0)
		i->num = 0;
	return err;
}
