/* SPDX-License-Identifier: ISC */
/* Server transactions that wait for their answer (RFC 3261 17.2, RFC 4320);
 * also the raw face of a request for the program. */
#include <stdlib.h>
#include <string.h>

#include "bellbird/clock.h"
#include "bellbird/log.h"
#include "internal.h"

/* Most responses fit, with an SDP. */
enum { RESPONSE_USUAL = 1000 };

bool
sip_has_cookie(const struct sip_msg *m)
{
	return m->branch.n >= 7 &&
	    slice_case_is((struct slice){ m->branch.p, 7 }, "z9hG4bK");
}

uint64_t
sip_req_key(
    const struct sip_stack *s, const struct sip_msg *m, const char *method)
{
	struct slice parts[4] = { m->branch, m->sent_by, slice_of(method) };
	uint64_t h;

	if (sip_has_cookie(m))
		return sip_hash(&s->hkey, parts, 3);
	/* RFC 3261 17.2.3, second list.  An ACK has To with our tag, hence
	 * without that; the number goes for the CSeq. */
	parts[0] = slice_of(m->via);
	parts[1] = m->from_tag;
	parts[2] = slice_of(m->call_id);
	parts[3] = slice_of(m->uri);
	h = sip_hash(&s->hkey, parts, 4);
	parts[0] = (struct slice){ (const char *)&h, sizeof(h) };
	parts[1] = (struct slice){ (const char *)&m->cseq, sizeof(m->cseq) };
	parts[2] = slice_of(method);
	return sip_hash(&s->hkey, parts, 3);
}

struct sip_req *
sip_req_find(const struct sip_stack *s, uint64_t key, const struct addr *from)
{
	struct sip_hnode *n = sip_htab_first(&s->reqs, key);
	struct sip_req *r;

	for (; n != NULL; n = sip_hnode_next(n)) {
		r = SIP_OBJ(n, struct sip_req, node);
		if (addr_eq(&r->from, from))
			return r;
	}
	return NULL;
}

int
sip_answer_flow(struct sip_flow **out, struct sip_stack *s,
    const struct sip_src *src, const struct sip_msg *m)
{
	struct addr to = src->from;
	struct slice host, rport;
	uint16_t port = 5060;

	if (src->flow != NULL && src->flow->t != SIPC_UDP) {
		*out = src->flow;
		return 0;
	}
	if (!sip_param(m->via_params, "rport", &rport)) {
		if (addr_split(m->sent_by, &host, &port) != 0 || port == 0)
			return E_SIP_PARSE;
		addr_set_port(&to, port);
	}
	return sip_flow_udp(out, s, src->sock, &to);
}

int
sip_req_new(struct sip_req **out, struct sip_stack *s,
    const struct sip_src *src, struct sip_msg **m)
{
	struct sip_req *r;
	struct sip_flow *f;
	int err;

	if ((err = sip_answer_flow(&f, s, src, *m)) != 0)
		return err;
	if ((r = calloc(1, sizeof(*r))) == NULL)
		return ENOMEM;
	if ((err = sip_peer_take(&r->peer, s, &src->from)) != 0) {
		free(r);
		return err;
	}
	r->s = s;
	r->msg = *m;
	*m = NULL;
	r->from = src->from;
	r->born_us = clock_mono_us();
	r->invite = sip_msg_is(r->msg, "INVITE");
	/* In a dialog the tag is there already. */
	if (r->msg->to_tag.n == 0)
		sip_token(r->to_tag, SIPC_TAG_LEN);
	sip_watch_set(&r->w, f, NULL, NULL);
	sip_htab_add(
	    &s->reqs, &r->node, sip_req_key(s, r->msg, r->msg->method));
	LIST_INSERT_HEAD(&s->all_reqs, r, link);
	*out = r;
	return 0;
}

void
sip_req_free(struct sip_req *r)
{
	if (r == NULL)
		return;
	if (r->call != NULL && r->call->req == r)
		r->call->req = NULL;
	if (r->call != NULL && r->call->refer_req == r)
		r->call->refer_req = NULL;
	if (r->call != NULL && r->call->upd == r)
		r->call->upd = NULL;
	sip_peer_drop(r->peer);
	sip_htab_del(&r->s->reqs, &r->node);
	LIST_REMOVE(r, link);
	sip_watch_clear(&r->w);
	sip_msg_free(r->msg);
	free(r->last);
	free(r);
}

struct sip_flow *
sip_req_flow_of(const struct sip_req *r)
{
	return r->w.flow;
}

void
sip_req_again(struct sip_req *r)
{
	if (r->last != NULL && r->w.flow != NULL)
		ignore_err(sip_flow_send(r->w.flow, r->last, r->last_n),
		    "UDP loses, too");
}

/* Keeps a provisional answer for retransmissions. */
static void
last_keep(struct sip_req *r, const struct buf *b)
{
	char *p;

	if (r->w.flow->t != SIPC_UDP || (p = malloc(b->n)) == NULL)
		return;
	memcpy(p, b->p, b->n);
	free(r->last);
	r->last = p;
	r->last_n = b->n;
}

int
sip_req_send(struct sip_req *r, const struct sip_rsp *rsp, struct buf *copy,
    struct sip_msg **msg)
{
	struct sip_flow *f = r->w.flow;
	struct sip_rsp full = *rsp;
	struct buf b;
	int err = 0;

	buf_init(&b, SIPC_MSG_MAX);
	buf_reserve(&b, RESPONSE_USUAL);
	full.from = &r->from;
	full.to_tag = r->to_tag;
	full.server = r->s->user_agent;
	/* RFC 4320 4.2: an answer this late only does harm. */
	if (!r->invite && clock_mono_us() - r->born_us > SIPC_T1X64)
		err = ETIMEDOUT;
	else if (f == NULL)
		err = E_CLOSED;
	if (err == 0) {
		sip_write_response(&b, r->msg, &full);
		err = b.err;
	}
	if (err == 0)
		err = sip_flow_send(f, b.p, b.n);
	if (err == 0 && rsp->code < 200)
		last_keep(r, &b);
	if (err == 0 && rsp->code >= 200)
		/* The 2xx of an INVITE is the call's to repeat. */
		sip_done_add(r, f, rsp->code,
		    (struct slice){ (const char *)b.p,
			r->invite && rsp->code < 300 ? 0 : b.n });
	if (err == 0 && copy != NULL) {
		buf_clear(copy);
		*copy = b;
		buf_init(&b, 0);
	}
	if (rsp->code >= 200) {
		if (msg != NULL) {
			*msg = r->msg;
			r->msg = NULL;
		}
		sip_req_free(r);
	}
	buf_clear(&b);
	return err;
}

int
sip_req_reply(struct sip_req *req, int code, const char *reason,
    const char *headers, const char *body_type, struct slice body)
{
	struct sip_rsp rsp = { .code = code,
		.reason = reason,
		.headers = headers,
		.type = body_type,
		.body = body };

	return sip_req_send(req, &rsp, NULL, NULL);
}

/* ---- facts ---- */

const char *
sip_req_method(const struct sip_req *req)
{
	return req->msg->method;
}

const char *
sip_req_header(const struct sip_req *req, const char *name, size_t i)
{
	return sip_msg_find(req->msg, name, i);
}

/* The URI that `which` names, parsed into one of four rotating places. */
static const struct sip_uri *
uri_of(const struct sip_req *req, const char *which)
{
	static struct sip_uri rooms[4];
	static unsigned int turn;
	struct sip_uri *u = &rooms[turn++ % 4];
	struct slice s = { NULL, 0 };

	if (strcmp(which, "uri") == 0)
		s = slice_of(req->msg->uri);
	else if (strcmp(which, "from") == 0)
		s = req->msg->from_uri;
	else if (strcmp(which, "to") == 0)
		s = req->msg->to_uri;
	else
		ignore_err(sip_msg_contact(req->msg, &s), "stays empty");
	return sip_uri_parse(u, s) == 0 ? u : NULL;
}

const char *
sip_req_user(const struct sip_req *req, const char *which)
{
	const struct sip_uri *u = uri_of(req, which);

	return u != NULL ? u->user : "";
}

uint64_t
sip_req_flow(const struct sip_req *req)
{
	return req->w.flow != NULL ? req->w.flow->id : 0;
}
