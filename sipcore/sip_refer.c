/* SPDX-License-Identifier: ISC */
/* Transfer, as the one who asks for it (RFC 3515): REFER in the dialog, and
 * what the peer then reports. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellbird/log.h"
#include "internal.h"

enum { TRIES_MAX = 2 /* challenges to one REFER */ };

struct sip_refer {
	char *headers; /* owned: whole lines */
	struct sip_ctxn *txn;
	uint32_t cseq; /* of the REFER: the id of its subscription */
	unsigned int tries;
	bool running;
	int code; /* last reported; 0: none */
	struct timer timer;
};

static const struct slice none = { NULL, 0 };

void
sip_refer_free(struct sip_refer *n)
{
	if (n == NULL)
		return;
	sip_ctxn_stop(&n->txn);
	timer_stop(&n->timer);
	free(n->headers);
	free(n);
}

/* Tells the owner; the last thing its caller does. */
static void
tell(struct sip_call *c, int code, bool final, const char *reason)
{
	struct sip_call_info info = { .event = SIP_CALL_REFERRED,
		.code = code,
		.err = final ? sip_err_of_code(code) : 0,
		.final = final,
		.reason = reason != NULL ? reason : "" };

	if (final) {
		c->refer->running = false;
		timer_stop(&c->refer->timer);
	}
	if (c->cb != NULL)
		c->cb(&info, c->arg);
}

/* Nothing was heard for too long. */
static void
on_timeout(void *arg)
{
	tell(arg, 408, true, "The peer does not say how the transfer went");
}

/* ---- REFER ---- */

static void on_answer(struct sip_msg **rsp, int err, void *arg);

static int
refer_send(struct sip_call *c)
{
	struct sip_call_rq rq = {
		.method = "REFER", .headers = c->refer->headers, .cb = on_answer
	};
	int err = sip_call_request(c, &c->refer->txn, &rq);

	if (err == 0)
		c->refer->cseq = c->dlg.lcseq;
	return err;
}

/* 2xx: reports follow, unless both agreed on none (RFC 4488 4). */
static void
on_accepted(struct sip_call *c, const struct sip_msg *m)
{
	const char *sub = sip_msg_find(m, "Refer-Sub", 0);
	struct slice value, params;

	if (c->auth != NULL)
		sip_auth_ok(c->auth);
	(void)slice_cut(slice_of(sub), ';', &value, &params);
	if (!c->refer->running)
		return; /* the last report was faster */
	tell(c, m->code, slice_case_is(slice_trim(value), "false"),
	    sip_phrase(m->code));
}

/* sip_ctxn_cb. */
static void
on_answer(struct sip_msg **rsp, int err, void *arg)
{
	struct sip_call *c = arg;
	const struct sip_msg *m = *rsp;
	struct sip_auth_rule rule;

	if (m == NULL) {
		tell(c, err == ETIMEDOUT ? 408 : 503, true, err_str(err));
	} else if (m->code < 200) {
		return;
	} else if (m->code < 300) {
		on_accepted(c, m);
	} else if (m->code == 401 || m->code == 407) {
		ignore_err(str_copy(rule.why, sizeof(rule.why),
			       "The peer refuses our password"),
		    "fits");
		if (c->refer->tries++ < TRIES_MAX &&
		    sip_call_challenged(c, m, &rule) == 0 && refer_send(c) == 0)
			return;
		tell(c, m->code, true, rule.why);
	} else {
		tell(c, m->code, true, esc(m->reason));
	}
}

/* The address of the peer of `t`, for others: where a proxy stands between us
 * its Contact means nothing to them, unless it is a GRUU (RFC 5589 7.2). */
static int
peer_of(const struct sip_call *t, struct sip_uri *u)
{
	struct sip_name_addr na;
	struct slice gr, params = slice_of(strchr(t->dlg.target, ';'));

	if (t->reg == NULL || sip_param(params, "gr", &gr))
		return sip_uri_parse(u, slice_of(t->dlg.target));
	if (sip_name_addr(&na, slice_of(t->dlg.remote)) != 0)
		return E_PARSE;
	return sip_uri_parse(u, na.uri);
}

/* Is the call one that must stay on sips (RFC 5630)? */
static bool
is_sips(const struct sip_call *c)
{
	struct sip_name_addr na;
	struct sip_uri u;

	return sip_name_addr(&na, slice_of(c->dlg.remote)) == 0 &&
	    sip_uri_parse(&u, na.uri) == 0 && u.sips;
}

/* Refer-To, Referred-By and what belongs to them. */
static int
headers_make(char **out, struct sip_call *c, const struct sip_refer_conf *conf,
    const struct sip_uri *u)
{
	struct sip_name_addr na;
	struct buf b;

	if (sip_name_addr(&na, slice_of(c->dlg.local)) != 0)
		return E_PARSE;
	buf_init(&b, SIPC_HEAD_MAX);
	ignore_err(
	    buf_printf(&b, "Refer-To: <%s", u->text), "sticks in the buf");
	if (conf->replaces != NULL) {
		ignore_err(buf_puts(&b, "?Replaces="), "sticks in the buf");
		sip_replaces_put(&b, conf->replaces);
	}
	ignore_err(
	    buf_printf(&b, ">\r\nReferred-By: <" SLICE_FMT ">\r\n%s",
		SLICE_ARG(na.uri), conf->no_sub ? "Refer-Sub: false\r\n" : ""),
	    "sticks in the buf");
	*out = buf_take(&b);
	buf_clear(&b);
	return *out != NULL ? 0 : ENOMEM;
}

/* Composes what the REFER says. */
static int
refer_make(
    char **headers, struct sip_call *c, const struct sip_refer_conf *conf)
{
	struct sip_uri u;
	int err;

	if (conf->to == NULL && conf->replaces == NULL)
		return E_PARSE;
	err = conf->to != NULL ? sip_uri_complete(&u, c->reg, conf->to)
			       : peer_of(conf->replaces, &u);
	if (err != 0)
		return err;
	if (u.headers)
		return E_PARSE;
	if (is_sips(c) && !u.sips)
		return E_SIP_INSECURE;
	return headers_make(headers, c, conf, &u);
}

int
sip_call_refer(struct sip_call *c, const struct sip_refer_conf *conf)
{
	const struct sip_call *t = conf->replaces;
	struct sip_refer *n = c->refer;
	char *headers = NULL;
	int err;

	if (c->state != SIP_C_UP || (n != NULL && n->running) || t == c ||
	    (t != NULL && t->state != SIP_C_UP))
		return E_SIP_STATE;
	if ((err = refer_make(&headers, c, conf)) != 0)
		return err;
	if (n == NULL && (n = c->refer = calloc(1, sizeof(*n))) == NULL) {
		free(headers);
		return ENOMEM;
	}
	free(n->headers);
	n->headers = headers;
	n->tries = 0;
	n->code = 0;
	/* Its last report may have been faster than the answer. */
	sip_ctxn_stop(&n->txn);
	if ((err = refer_send(c)) == 0)
		err = timer_start(&n->timer, c->s->conf.loop,
		    SIPC_REFER_S * SIPC_S, on_timeout, c);
	n->running = err == 0;
	if (err != 0)
		sip_ctxn_stop(&n->txn);
	return err;
}

/* ---- its reports ---- */

/* The code in a body of message/sipfrag: "SIP/2.0 180 Ringing"; 0: none. */
static int
frag_code(const struct sip_msg *m)
{
	struct slice rest = m->body, line, version, tail, num;
	int64_t code;

	if (!sip_msg_is_type(m, "message/sipfrag") ||
	    !slice_line(&rest, &line) ||
	    !slice_cut(line, ' ', &version, &tail) ||
	    !slice_case_is(version, "SIP/2.0"))
		return 0;
	(void)slice_cut(slice_trim(tail), ' ', &num, &rest);
	return str_int(num, 100, 699, &code) == 0 ? (int)code : 0;
}

/* Is it about the REFER that runs?  Without an id it is. */
static bool
is_about(const struct sip_refer *n, const struct sip_msg *m)
{
	struct slice value, params, id;
	const char *v = sip_msg_find(m, "Event", 0);
	size_t at;
	int64_t cseq;

	if (n == NULL || v == NULL)
		return false;
	at = strcspn(v, ";");
	value = slice_trim((struct slice){ v, at });
	params = slice_of(v + at);
	if (!slice_case_is(value, "refer"))
		return false;
	return !sip_param(params, "id", &id) ||
	    (str_int(id, 0, UINT32_MAX, &cseq) == 0 && cseq == n->cseq);
}

void
sip_refer_notified(struct sip_call *c, struct sip_req *r)
{
	const char *state = sip_msg_find(r->msg, "Subscription-State", 0);
	struct slice word, params;
	bool over;
	int code;

	if (!is_about(c->refer, r->msg) || state == NULL) {
		ignore_err(sip_req_reply(r, state == NULL ? 400 : 481, NULL,
			       NULL, NULL, none),
		    "the peer asks again");
		return;
	}
	(void)slice_cut(slice_of(state), ';', &word, &params);
	over = slice_case_is(slice_trim(word), "terminated");
	code = frag_code(r->msg);
	ignore_err(sip_req_reply(r, 200, NULL, NULL, NULL, none),
	    "the peer asks again");
	if (!c->refer->running)
		return;
	if (code != 0)
		c->refer->code = code;
	code = c->refer->code;
	if (code >= 200)
		tell(c, code, true, sip_phrase(code));
	else if (over)
		tell(c, code, true, "The peer ended the report");
	else if (code != 0)
		tell(c, code, false, sip_phrase(code));
}
