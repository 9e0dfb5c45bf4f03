/* SPDX-License-Identifier: ISC */
/* Transfer, as the one who is asked to call somebody (RFC 3515 2.4): the REFER
 * is judged, and its sender hears by NOTIFY how the call goes; also once the
 * call with it is over (RFC 5057). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bellbird/clock.h"
#include "bellbird/log.h"
#include "internal.h"

enum { TRIES_MAX = 2 /* challenges to one NOTIFY */ };

struct sip_referral {
	LIST_ENTRY(sip_referral) link;
	struct sip_stack *s;
	struct sip_referral **slot; /* of the owner; NULL: it has ended */
	struct sip_call *c;         /* borrowed; NULL: over, then: */
	struct sip_dlg dlg;         /* .. what is left of its dialog */
	struct sip_reg *reg;
	struct sip_watch w;
	uint32_t id; /* CSeq of the REFER; 0: it needs none */
	int code;    /* to be reported */
	bool silent, due;
	unsigned int tries;
	struct sip_ctxn *txn;
	struct timer timer;
	int64_t end_us;
};

static const struct slice none = { NULL, 0 };

static void notify(struct sip_referral *n);

/* ---- life ---- */

static void
referral_free(struct sip_referral *n)
{
	if (n->slot != NULL)
		*n->slot = NULL;
	if (n->c != NULL)
		n->c->referral = NULL;
	LIST_REMOVE(n, link);
	timer_stop(&n->timer);
	sip_ctxn_stop(&n->txn);
	sip_watch_clear(&n->w);
	sip_dlg_clear(n->s, &n->dlg);
	free(n);
}

/* Frees it if there is nothing more to say, and nobody to say it. */
static void
referral_rest(struct sip_referral *n)
{
	if (n->slot == NULL && n->txn == NULL && !n->due)
		referral_free(n);
}

/* The peer has waited long enough: it hears no more. */
static void
on_timeout(void *arg)
{
	struct sip_referral *n = arg;

	if (n->code < 200)
		n->code = 408;
	n->due = true;
	notify(n);
	n->silent = true;
	referral_rest(n);
}

void
sip_referral_call_gone(struct sip_call *c)
{
	struct sip_referral *n = c->referral;
	struct sip_flow *f;

	if (n == NULL)
		return;
	c->referral = NULL;
	n->c = NULL;
	/* A NOTIFY under way would answer to the call. */
	n->due = n->due || n->txn != NULL;
	sip_ctxn_stop(&n->txn);
	n->reg = c->reg;
	f = c->w2.flow != NULL ? c->w2.flow : c->w.flow;
	if (f != NULL)
		sip_watch_set(&n->w, f, NULL, NULL);
	sip_htab_del(&c->s->dlgs, &c->dlg.node);
	n->dlg = c->dlg;
	memset(&c->dlg, 0, sizeof(c->dlg));
	if (n->due)
		notify(n);
	referral_rest(n);
}

void
sip_referral_reg_gone(struct sip_stack *s, const struct sip_reg *r)
{
	struct sip_referral *n;

	LIST_FOREACH (n, &s->referrals, link) {
		if (n->reg == r)
			n->reg = NULL;
	}
}

void
sip_referrals_free(struct sip_stack *s)
{
	while (!LIST_EMPTY(&s->referrals))
		referral_free(LIST_FIRST(&s->referrals));
}

/* ---- NOTIFY ---- */

/* sip_ctxn_cb. */
static void
on_answer(struct sip_msg **rsp, int err, void *arg)
{
	struct sip_referral *n = arg;
	const struct sip_msg *m = *rsp;
	struct sip_auth_rule rule;

	(void)err;
	if (m != NULL && m->code < 200)
		return;
	if (m != NULL && m->code == 407 && n->c != NULL &&
	    n->tries++ < TRIES_MAX &&
	    sip_call_challenged(n->c, m, &rule) == 0) {
		n->due = true;
	} else if (m == NULL || m->code >= 300) {
		/* RFC 6665 4.2.2: who refuses a NOTIFY wants no more. */
		n->silent = true;
		n->due = false;
	} else {
		n->tries = 0;
	}
	if (n->due)
		notify(n);
	referral_rest(n);
}

/* The flow of what is left of the dialog. */
static int
way_of(const struct sip_referral *n, struct sip_flow **out)
{
	struct sip_flow *f = n->w.flow;

	if ((f == NULL || !f->up || f->fail_err != 0) && n->reg != NULL)
		f = sip_reg_flow(n->reg);
	if (f == NULL || !f->up || f->fail_err != 0)
		return E_CLOSED;
	if (n->dlg.secure && f->t != SIPC_TLS)
		return E_SIP_INSECURE;
	*out = f;
	return 0;
}

/* Sends it without the call. */
static int
send_alone(struct sip_referral *n, const char *headers, struct slice body)
{
	char branch[SIPC_BRANCH_LEN + 1];
	struct sip_dlg_req q = { .method = "NOTIFY",
		.cseq = n->dlg.lcseq + 1,
		.headers = headers,
		.type = "message/sipfrag;version=2.0",
		.body = body,
		.branch = branch };
	struct sip_ctxn_conf xc = {
		.method = "NOTIFY", .branch = branch, .cb = on_answer, .arg = n
	};
	struct buf b;
	int err;

	if ((err = way_of(n, &q.flow)) != 0)
		return err;
	sip_branch(branch);
	buf_init(&b, SIPC_MSG_MAX);
	if ((err = sip_dlg_write(n->s, &n->dlg, &q, &b)) == 0) {
		xc.flow = q.flow;
		xc.msg = &b;
		err = sip_ctxn_start(&n->txn, &xc);
	}
	if (err == 0)
		n->dlg.lcseq = q.cseq;
	buf_clear(&b);
	return err;
}

/* Reports n->code, or leaves it for the answer to the last report. */
static void
notify(struct sip_referral *n)
{
	int64_t left_s = (n->end_us - clock_mono_us()) / SIPC_S;
	char headers[160], body[96], id[24] = "", state[64];
	struct sip_call_rq rq = { .method = "NOTIFY",
		.headers = headers,
		.type = "message/sipfrag;version=2.0",
		.cb = on_answer,
		.arg = n };
	int err;

	if (n->silent) {
		n->due = false;
		return;
	}
	n->due = true;
	if (n->txn != NULL)
		return;
	n->due = false;
	if (n->id != 0)
		(void)snprintf(id, sizeof(id), ";id=%u", n->id);
	(void)snprintf(state, sizeof(state), "active;expires=%lld",
	    (long long)(left_s > 0 ? left_s : 0));
	(void)snprintf(headers, sizeof(headers),
	    "Event: refer%s\r\nSubscription-State: %s\r\n", id,
	    n->code >= 200 ? "terminated;reason=noresource" : state);
	(void)snprintf(body, sizeof(body), "SIP/2.0 %d %s\r\n", n->code,
	    sip_phrase(n->code));
	rq.sdp = slice_of(body);
	if (n->c != NULL)
		err = sip_call_request(n->c, &n->txn, &rq);
	else
		err = send_alone(n, headers, rq.sdp);
	if (err != 0) {
		log_info(LOGC_SIP, 0, "report of a transfer not sent: %s",
		    err_str(err));
		n->silent = true;
	}
}

/* ---- the owner ---- */

int
sip_call_refer_accept(struct sip_call *c, struct sip_referral **slot)
{
	struct sip_req *r = c->refer_req;
	struct sip_referral *n;
	struct slice sub;
	int err;

	if (r == NULL)
		return E_SIP_STATE;
	if ((n = calloc(1, sizeof(*n))) == NULL)
		return ENOMEM;
	sub = slice_of(sip_msg_find(r->msg, "Refer-Sub", 0));
	n->s = c->s;
	n->silent = slice_case_is(slice_trim(sub), "false");
	/* RFC 3515 2.4.6: more than one needs names. */
	if (c->num_refers++ > 0)
		n->id = r->msg->cseq;
	n->end_us = clock_mono_us() + SIPC_REFER_S * SIPC_S;
	c->refer_req = NULL;
	err = sip_req_reply(r, 202, NULL,
	    n->silent ? "Refer-Sub: false\r\n" : NULL, NULL, none);
	if (err == 0)
		err = timer_start(&n->timer, c->s->conf.loop,
		    SIPC_REFER_S * SIPC_S, on_timeout, n);
	if (err != 0) {
		free(n);
		return err;
	}
	n->c = c;
	c->referral = n;
	n->slot = slot;
	*slot = n;
	LIST_INSERT_HEAD(&c->s->referrals, n, link);
	n->code = 100;
	notify(n);
	return 0;
}

void
sip_call_refer_reject(struct sip_call *c, int code)
{
	struct sip_req *r = c->refer_req;

	c->refer_req = NULL;
	if (r != NULL)
		ignore_err(
		    sip_req_reply(r, code < 300 || code > 699 ? 603 : code,
			NULL, NULL, NULL, none),
		    "the peer asks again");
}

void
sip_referral_report(struct sip_referral **slot, int code)
{
	struct sip_referral *n = *slot;

	if (n == NULL || code <= 100 || code > 699)
		return;
	if (n->code < 200 && n->code != code) {
		n->code = code;
		notify(n);
	}
	if (code < 200)
		return;
	*slot = NULL;
	n->slot = NULL;
	/* A report under way still gets its answer, and its repetitions. */
	referral_rest(n);
}

/* ---- REFER ---- */

/* Removes the escapes of a URI header; false for what cannot be in a line. */
static bool
unescape(struct buf *b, struct slice s)
{
	uint8_t c;
	size_t n;

	for (size_t i = 0; i < s.n; i++) {
		c = (uint8_t)s.p[i];
		if (c == '%') {
			if (i + 2 >= s.n ||
			    str_unhex((struct slice){ s.p + i + 1, 2 }, &c, 1,
				&n) != 0)
				return false;
			i += 2;
		}
		if (c < ' ' || c == 0x7f)
			return false;
		ignore_err(buf_add(b, &c, 1), "sticks in the buf");
	}
	return b->err == 0;
}

/* What a REFER wants, as far as it was read. */
struct wish {
	struct sip_uri to;
	struct buf headers;
	bool replaces;
};

/* Takes Replaces out of "Replaces=..&X=.."; all else is nothing that a peer
 * may have us say (RFC 3261 19.1.5). */
static int
headers_read(struct wish *w, struct slice list)
{
	struct slice one, name, value, rest;
	struct sip_replaces rep;
	struct buf b;
	int code = 0;

	for (; code == 0 && list.n > 0; list = rest) {
		(void)slice_cut(list, '&', &one, &rest);
		(void)slice_cut(one, '=', &name, &value);
		if (!slice_case_is(name, "Replaces")) {
			log_info(LOGC_SIP, 0,
			    "header of a Refer-To not taken: %s",
			    esc_n(name.p, name.n));
			continue;
		}
		buf_init(&b, SIPC_REPLACES_MAX);
		if (w->replaces || !unescape(&b, value) ||
		    sip_replaces_parse(
			&rep, (struct slice){ buf_str(&b), b.n }) != 0)
			code = 400;
		else
			ignore_err(buf_printf(&w->headers, "Replaces: %s\r\n",
				       buf_str(&b)),
			    "sticks in the buf");
		w->replaces = true;
		buf_clear(&b);
	}
	return code;
}

/* Cuts the parameter `method` off, which is not for a Request-URI; the code to
 * refuse with if it is another one than INVITE. */
static int
method_cut(struct sip_uri *u)
{
	char *at = strchr(u->text, '@'), *semi, *end;
	struct slice value;

	semi = strchr(at != NULL ? at : u->text, ';');
	if (semi == NULL || !sip_param(slice_of(semi), "method", &value))
		return 0;
	if (!slice_case_is(value, "INVITE"))
		return 403;
	end = (char *)(uintptr_t)(value.p + value.n);
	while (*semi != '\0' && strncasecmp(semi, ";method=", 8) != 0)
		semi++;
	if (*semi != '\0')
		memmove(semi, end, strlen(end) + 1);
	return 0;
}

/* Does a call on TLS stay there?  An account's calls go by its own flow. */
static bool
stays_secure(const struct sip_call *c, const struct sip_uri *u)
{
	struct sip_name_addr na;
	struct sip_uri ours;

	if (sip_name_addr(&na, slice_of(c->dlg.local)) == 0 &&
	    sip_uri_parse(&ours, na.uri) == 0 && ours.sips && !u->sips)
		return false;
	return c->reg != NULL || !c->dlg.secure || u->sips ||
	    u->transport == SIPC_TLS;
}

/* Reads Refer-To; the code to refuse the REFER with, or 0. */
static int
wish_read(const struct sip_call *c, const struct sip_msg *m, struct wish *w)
{
	const char *to = sip_msg_find(m, "Refer-To", 0);
	struct slice uri, list;
	struct sip_name_addr na;
	int code;

	if (to == NULL || sip_msg_find(m, "Refer-To", 1) != NULL ||
	    sip_name_addr(&na, slice_of(to)) != 0)
		return 400;
	if (sip_uri_parse(&w->to, na.uri) != 0)
		return 416;
	(void)slice_cut(na.uri, '?', &uri, &list);
	if ((code = method_cut(&w->to)) != 0 ||
	    (code = headers_read(w, list)) != 0)
		return code;
	if (stays_secure(c, &w->to))
		return 0;
	log_warn(LOGC_SIP, 0, "REFER refused: it would leave TLS id=%s to=%s",
	    c->id_esc, esc(w->to.text));
	return 403;
}

void
sip_refer_in(struct sip_call *c, struct sip_req *r)
{
	const struct sip_msg *m = r->msg;
	const char *by = sip_msg_find(m, "Referred-By", 0);
	struct wish w = { .replaces = false };
	struct sip_refer_info refer = { .to = w.to.text };
	struct sip_call_info info = {
		.event = SIP_CALL_REFER, .refer = &refer, .reason = ""
	};
	int code;

	if (c->cb == NULL || c->state != SIP_C_UP)
		code = 481;
	else if (c->refer_req != NULL || c->referral != NULL)
		code = 491;
	else
		code = 0;
	buf_init(&w.headers, SIPC_HEAD_MAX / 4);
	if (code == 0)
		code = wish_read(c, m, &w);
	if (code == 0 && by != NULL && sip_clean(by))
		ignore_err(buf_printf(&w.headers, "Referred-By: %s\r\n", by),
		    "sticks in the buf");
	if (code == 0 && w.headers.err != 0)
		code = w.headers.err == E_LIMIT ? 400 : 500;
	if (code != 0) {
		ignore_err(sip_req_reply(r, code, NULL, NULL, NULL, none),
		    "the peer asks again");
	} else {
		c->refer_req = r;
		r->call = c;
		refer.headers = w.headers.n > 0 ? buf_str(&w.headers) : NULL;
		refer.replaces = w.replaces;
		refer.registered = c->pinned && c->reg != NULL;
		refer.secure = c->dlg.secure;
		refer.by = by != NULL ? by : m->from;
		c->cb(&info, c->arg);
	}
	buf_clear(&w.headers);
}
