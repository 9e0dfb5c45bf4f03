/* SPDX-License-Identifier: ISC */
/* What becomes of a received message: responses go to their transaction,
 * requests are judged (RFC 3261 8.2, 12.2.2) and served. */
#include <stdio.h>
#include <string.h>

#include "bellbird/log.h"
#include "internal.h"

/* RFC 4028 5: no shorter session interval is ever agreed to. */
enum { MIN_SE_S = 90 };

/* A refusal with its header lines. */
struct verdict {
	int code; /* 0: none */
	char headers[512];
};

/* RFC 3261 8.2.7: without a transaction the tag of an answer comes from the
 * request, so that a copy of it gets the same. */
static void
tag_of(const struct sip_stack *s, const struct sip_msg *m,
    char tag[static SIPC_TAG_LEN + 1])
{
	uint64_t key = sip_req_key(s, m, m->method), h;
	/* Not the key itself: it says where in our tables things are. */
	struct slice parts[2] = { { (const char *)&key, sizeof(key) },
		slice_of("tag") };

	h = sip_hash(&s->hkey, parts, 2);
	str_hex(tag, (const uint8_t *)&h, SIPC_TAG_LEN / 2);
}

void
sip_reject(struct sip_stack *s, const struct sip_src *src,
    const struct sip_msg *m, int code, const char *headers)
{
	char tag[SIPC_TAG_LEN + 1];
	struct sip_rsp rsp = { .code = code,
		.to_tag = tag,
		.headers = headers,
		.server = s->user_agent,
		.from = &src->from };
	struct sip_flow *f;
	struct buf b;

	if (sip_msg_is(m, "ACK"))
		return;
	/* To the address of the source alone: nobody can be made a target of
	 * it.  The port may be another one, if Via can be read. */
	if (sip_answer_flow(&f, s, src, m) != 0 &&
	    sip_flow_udp(&f, s, src->sock, &src->from) != 0)
		return;
	tag_of(s, m, tag);
	buf_init(&b, SIPC_MSG_MAX);
	sip_write_response(&b, m, &rsp);
	if (b.err == 0)
		ignore_err(sip_flow_send(f, b.p, b.n), "a refusal, no more");
	buf_clear(&b);
}

/* Is somebody who may not call told so? */
static bool
is_told(const struct sip_stack *s, const struct sip_src *src)
{
	if (s->refuse == SIPC_REFUSE_AUTO)
		return src->flow != NULL && src->flow->t != SIPC_UDP;
	return s->refuse == SIPC_REFUSE_ANSWER;
}

/* May this request come in?  In a dialog its peer may. */
static bool
may_enter(struct sip_stack *s, const struct sip_src *src,
    const struct sip_msg *m, struct sip_call *c)
{
	if (c != NULL ? sip_call_is_peer(c, src) : sip_may_call(s, src))
		return true;
	s->stats.refused++;
	log_info(LOGC_SIP, src->flow != NULL ? src->flow->id : 0,
	    "request refused method=%s from=%s", esc(m->method),
	    esc_n(m->from_uri.p, m->from_uri.n));
	if (is_told(s, src))
		sip_reject(s, src, m, 403, NULL);
	return false;
}

/* Extensions that must be understood and are not. */
static bool
extensions_judge(
    const struct sip_stack *s, const struct sip_msg *m, struct verdict *v)
{
	struct slice list, one;
	const char *field;
	size_t n = 0;
	int k;

	for (size_t i = 0; (field = sip_msg_get(m, SIPH_REQUIRE, i)) != NULL;
	     i++) {
		list = slice_of(field);
		while (sip_list_next(&list, &one)) {
			if (slice_case_is(one, "timer") ||
			    slice_case_is(one, "answermode") ||
			    slice_case_is(one, "replaces") ||
			    slice_case_is(one, "norefersub") ||
			    (slice_case_is(one, "100rel") &&
				s->rules.rel != SIP_REL_OFF))
				continue;
			k = snprintf(v->headers + n, sizeof(v->headers) - n,
			    "Unsupported: " SLICE_FMT "\r\n", SLICE_ARG(one));
			if (k < 0 || (size_t)k >= sizeof(v->headers) - n) {
				v->headers[n] = '\0';
				return false;
			}
			n += (size_t)k;
		}
	}
	return n == 0;
}

/* Says no. */
static void
refuse(struct verdict *v, int code, const char *headers)
{
	v->code = code;
	ignore_err(str_copy(v->headers, sizeof(v->headers), headers),
	    "constants that fit");
}

/* Is the body in plain? */
static bool
coding_fits(const struct sip_msg *m)
{
	struct slice coding = sip_msg_hdr(m, SIPH_CONTENT_ENCODING);

	return m->body.n == 0 || coding.n == 0 ||
	    slice_case_is(coding, "identity");
}

/* Does a media range cover SDP? */
static bool
range_has_sdp(struct slice range)
{
	struct slice type, params, q;

	(void)slice_cut(range, ';', &type, &params);
	type = slice_trim(type);
	if (!slice_case_is(type, "application/sdp") &&
	    !slice_case_is(type, "application/*") &&
	    !slice_case_is(type, "*/*"))
		return false;
	params = (struct slice){ type.p + type.n,
		(size_t)(range.p + range.n - type.p - (ptrdiff_t)type.n) };
	/* q = 0, 0.0, 0.00: that one not (RFC 3261 20.1). */
	if (!sip_param(slice_trim(params), "q", &q) || q.n == 0)
		return true;
	for (size_t i = 0; i < q.n; i++) {
		if (q.p[i] != '0' && q.p[i] != '.')
			return true;
	}
	return false;
}

/* May the answer hold SDP? */
static bool
accepts_sdp(const struct sip_msg *m)
{
	struct slice list, one;
	const char *field;

	if (sip_msg_find(m, "Accept", 0) == NULL)
		return true; /* RFC 3261 20.1 */
	for (size_t i = 0; (field = sip_msg_find(m, "Accept", i)) != NULL;
	     i++) {
		list = slice_of(field);
		while (sip_list_next(&list, &one)) {
			if (range_has_sdp(one))
				return true;
		}
	}
	return false;
}

/* RFC 3261 8.2.2.2: the same INVITE by another way. */
static bool
is_merged(const struct sip_stack *s, const struct sip_msg *m)
{
	return sip_htab_first(&s->merges,
		   sip_merge_hash(
		       s, slice_of(m->call_id), m->from_tag, m->cseq)) != NULL;
}

/* Is it the name of some scheme (RFC 3986 3.1)? */
static bool
is_scheme(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) &&
		    (i == 0 ||
			!((c >= '0' && c <= '9') || c == '+' || c == '-' ||
			    c == '.')))
			return false;
	}
	return s.n > 0;
}

/* Whom the Request-URI names. */
static void
uri_judge(struct sip_stack *s, const struct sip_src *src,
    const struct sip_msg *m, struct verdict *v)
{
	struct slice uri = slice_of(m->uri), scheme, rest;
	struct sip_uri u;

	if (!slice_cut(uri, ':', &scheme, &rest) || !is_scheme(scheme))
		refuse(v, 400, "");
	else if (!slice_case_is(scheme, "sip") &&
	    !slice_case_is(scheme, "sips"))
		refuse(v, 416, "");
	else if (uri.n > SIPC_URI_MAX)
		refuse(v, 414, "");
	/* RFC 3261 19.1.1: no headers in a Request-URI. */
	else if (sip_uri_parse(&u, uri) != 0 || u.headers)
		refuse(v, 400, "");
	/* RFC 5630 4.1: sips is for TLS alone. */
	else if (u.sips && (src->flow == NULL || src->flow->t != SIPC_TLS))
		refuse(v, 416, "");
	else if (sip_msg_is(m, "OPTIONS") || u.user[0] == '\0')
		return;
	else if (src->flow != NULL && src->flow->trusted > 0 &&
	    !sip_reg_knows_user(s, src->flow, u.user))
		refuse(v, 404, "");
}

/* Judges the fields that do not depend on a dialog (RFC 3261 8.2.2.3, 8.2.3).
 * Max-Forwards is not among them: 0 is for proxies (RFC 4475 3.3.11). */
static void
fields_judge(
    const struct sip_stack *s, const struct sip_msg *m, struct verdict *v)
{
	bool offer = sip_msg_is(m, "INVITE") || sip_msg_is(m, "UPDATE") ||
	    sip_msg_is(m, "PRACK");
	unsigned int min_se = s->rules.min_se_s;

	if (min_se < MIN_SE_S)
		min_se = MIN_SE_S;
	if (!extensions_judge(s, m, v))
		v->code = 420;
	else if (!coding_fits(m))
		refuse(v, 415, "Accept-Encoding: identity\r\n");
	else if (offer && m->body.n > 0 && !sip_msg_is_sdp(m))
		refuse(v, 415, "Accept: application/sdp\r\n");
	else if (offer && !accepts_sdp(m))
		refuse(v, 406, "");
	else if (offer &&
	    sip_msg_uint(m, SIPH_SESSION_EXPIRES, INT32_MAX, min_se) < min_se) {
		v->code = 422;
		(void)snprintf(
		    v->headers, sizeof(v->headers), "Min-SE: %u\r\n", min_se);
	}
}

/* Has it a Contact that is no address? */
static bool
contact_is_bad(const struct sip_msg *m)
{
	struct slice list, one;
	struct sip_name_addr na;
	const char *field;

	for (size_t i = 0; (field = sip_msg_get(m, SIPH_CONTACT, i)) != NULL;
	     i++) {
		list = slice_of(field);
		while (sip_list_next(&list, &one)) {
			if (!slice_is(one, "*") &&
			    (sip_name_addr(&na, one) != 0 ||
				!sip_params_fit(na.params)))
				return true;
		}
	}
	return false;
}

/* The methods of RFC 3261 and its extensions; all others are unknown. */
static bool
is_known_method(const struct sip_msg *m)
{
	static const char *const known[] = { "INVITE", "ACK", "BYE", "CANCEL",
		"OPTIONS", "REGISTER", "INFO", "UPDATE", "PRACK", "SUBSCRIBE",
		"NOTIFY", "REFER", "MESSAGE", "PUBLISH" };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (sip_msg_is(m, known[i]))
			return true;
	}
	return false;
}

/* Is it for us, and new (RFC 3261 8.2.2)?  Outside of dialogs. */
static void
target_judge(struct sip_stack *s, const struct sip_src *src,
    const struct sip_msg *m, struct verdict *v)
{
	uri_judge(s, src, m, v);
	if (v->code == 0 && sip_msg_is(m, "INVITE") && is_merged(s, m))
		refuse(v, 482, "");
}

/* Judges a request that may come in, in the order of RFC 3261 8.2; v->code 0
 * lets it pass. */
static void
request_judge(struct sip_stack *s, const struct sip_src *src,
    const struct sip_msg *m, struct sip_call *c, struct verdict *v)
{
	const struct sip_dlg *d;

	v->code = 0;
	v->headers[0] = '\0';
	/* RFC 4475 3.2.1: a branch that says it identifies, and does not. */
	if (m->branch.n == 7 && sip_has_cookie(m))
		refuse(v, 400, "");
	if (v->code != 0 || sip_msg_is(m, "CANCEL"))
		return;
	/* RFC 3261 12.2.2; an equal number is an old copy. */
	d = c != NULL ? sip_call_dlg_of(c, m) : NULL;
	if (d != NULL && d->rcseq_set && m->cseq <= d->rcseq)
		refuse(v, 500, "");
	else if (c == NULL && m->to_tag.n > 0 && sip_sub_of(s, m) == NULL)
		refuse(v, 481, "");
	else if (c == NULL && sip_peer_is_full(s, &src->from))
		refuse(v, 503, "Retry-After: 2\r\n");
	/* Whoever serves it, or says 501, does so before all else. */
	if (v->code != 0 || !is_known_method(m))
		return;
	if (contact_is_bad(m))
		refuse(v, 400, "");
	else if (c == NULL)
		target_judge(s, src, m, v);
	if (v->code == 0)
		fields_judge(s, m, v);
}

/* Answers without a body. */
static void
answer(struct sip_req *r, int code, const char *headers)
{
	ignore_err(sip_req_reply(
		       r, code, NULL, headers, NULL, (struct slice){ NULL, 0 }),
	    "the peer asks again");
}

/* .. and keeps the request. */
static void
answer_taking(struct sip_req *r, int code, struct sip_msg **m)
{
	struct sip_rsp rsp = { .code = code };

	ignore_err(sip_req_send(r, &rsp, NULL, m), "the peer asks again");
}

/* What we can do, as OPTIONS wants to know (RFC 3261 11.2). */
static void
answer_options(struct sip_req *r)
{
	answer(r, 200,
	    r->s->rules.rel == SIP_REL_OFF
		? "Allow: " SIPC_ALLOW "\r\nAccept: application/sdp\r\n"
		  "Supported: " SIPC_SUPPORTED "\r\n"
		: "Allow: " SIPC_ALLOW "\r\nAccept: application/sdp\r\n"
		  "Supported: " SIPC_SUPPORTED ", 100rel\r\n");
}

/* A method nobody serves. */
static void
answer_unserved(struct sip_req *r)
{
	answer(r, is_known_method(r->msg) ? 405 : 501,
	    "Allow: " SIPC_ALLOW "\r\n");
}

/* A request in a dialog. */
static void
serve_in_dialog(struct sip_call *c, struct sip_req *r)
{
	const struct sip_msg *m = r->msg;

	struct sip_dlg *d = sip_call_dlg_of(c, m);

	d->rcseq = m->cseq;
	d->rcseq_set = true;
	if (sip_msg_is(m, "BYE"))
		sip_call_on_bye(c, r);
	else if (sip_msg_is(m, "INVITE") || sip_msg_is(m, "UPDATE"))
		sip_call_on_offer(c, r);
	else if (sip_msg_is(m, "PRACK"))
		sip_call_on_prack(c, r);
	else if (sip_msg_is(m, "INFO"))
		sip_info_in(c, r);
	else if (sip_msg_is(m, "OPTIONS"))
		answer_options(r);
	else if (sip_msg_is(m, "NOTIFY"))
		sip_refer_notified(c, r);
	else if (sip_msg_is(m, "REFER"))
		sip_refer_in(c, r);
	else if (sip_msg_is(m, "MESSAGE") && c->s->conf.on_req != NULL &&
	    c->s->conf.on_req(r, c->s->conf.arg))
		return;
	else
		answer_unserved(r);
}

/* A request outside of dialogs. */
static void
serve(struct sip_stack *s, struct sip_req *r)
{
	const struct sip_msg *m = r->msg;
	struct sip_sub *sub = m->to_tag.n > 0 ? sip_sub_of(s, m) : NULL;

	if (sub != NULL) {
		sip_sub_notified(sub, r);
		return;
	}
	if (sip_msg_is(m, "INVITE")) {
		sip_call_invited(s, r);
		return;
	}
	/* Nobody has us call out of the blue. */
	if (sip_msg_is(m, "REFER")) {
		answer(r, 403, NULL);
		return;
	}
	if (sip_msg_is(m, "OPTIONS")) {
		answer_options(r);
		return;
	}
	if (sip_msg_is(m, "BYE") || sip_msg_is(m, "UPDATE") ||
	    sip_msg_is(m, "INFO") || sip_msg_is(m, "PRACK")) {
		answer(r, 481, NULL);
		return;
	}
	if (s->conf.on_req != NULL && s->conf.on_req(r, s->conf.arg))
		return;
	if (!s->dead)
		answer_unserved(r);
}

/* ACK: of a refusal it ends a transaction, of a 2xx it is the call's. */
static void
ack_in(struct sip_stack *s, const struct sip_src *src, struct sip_msg *m)
{
	struct sip_call *c;

	if (src->flow == NULL || src->flow->t == SIPC_UDP) {
		if (sip_done_input(s, src, m, sip_req_key(s, m, "INVITE")))
			return;
	}
	c = m->to_tag.n > 0 ? sip_call_of(s, m) : NULL;
	if (c != NULL && sip_call_is_peer(c, src))
		sip_call_on_ack(c, m);
}

/* CANCEL: RFC 3261 9.2.  What is answered cannot be cancelled, but 481 would
 * say that it never came. */
static void
cancel_in(struct sip_stack *s, const struct sip_src *src, struct sip_msg **m)
{
	uint64_t key = sip_req_key(s, *m, "INVITE");
	struct sip_req *inv, *r;
	struct sip_call *c = NULL, *late = NULL;
	struct sip_msg *cancel = NULL;
	bool known;

	inv = sip_req_find(s, key, &src->from);
	if (inv != NULL)
		c = inv->call;
	else if ((late = sip_call_invited_by(s, *m)) != NULL &&
	    !sip_call_is_peer(late, src))
		late = NULL;
	/* The account's flow was replaced since the INVITE came. */
	if (late != NULL && late->state == SIP_C_INCOMING)
		c = late;
	known = c != NULL || late != NULL || sip_done_has(s, src, key);
	if (sip_req_new(&r, s, src, m) != 0)
		return;
	/* The same tag as the INVITE's answers. */
	if (inv != NULL)
		memcpy(r->to_tag, inv->to_tag, sizeof(r->to_tag));
	else if (late != NULL)
		memcpy(r->to_tag, late->dlg.local_tag, sizeof(r->to_tag));
	answer_taking(r, known ? 200 : 481, &cancel);
	if (c != NULL)
		sip_call_on_cancel(c, cancel);
	sip_msg_free(cancel);
}

/* Serves a request that may come in, or refuses it. */
static void
request_take(struct sip_stack *s, const struct sip_src *src,
    struct sip_msg **mp, struct sip_call *c)
{
	struct sip_msg *m = *mp;
	struct sip_req *r;
	struct verdict v;

	request_judge(s, src, m, c, &v);
	if (v.code != 0) {
		log_info(LOGC_SIP, src->flow->id, "%s answered code=%d",
		    esc(m->method), v.code);
		sip_reject(s, src, m, v.code, v.headers);
	} else if (sip_msg_is(m, "CANCEL")) {
		cancel_in(s, src, mp);
	} else if (sip_req_new(&r, s, src, mp) != 0) {
		sip_reject(s, src, m, 503, NULL);
	} else if (c != NULL) {
		serve_in_dialog(c, r);
	} else {
		serve(s, r);
	}
}

/* All other requests. */
static void
request_in(struct sip_stack *s, struct sip_src *src, struct sip_msg **mp)
{
	struct sip_watch hold = { .flow = NULL };
	struct sip_msg *m = *mp;
	uint64_t key = sip_req_key(s, m, m->method);
	struct sip_req *r = sip_req_find(s, key, &src->from);
	struct sip_call *c;

	if (r != NULL) {
		sip_req_again(r);
		return;
	}
	if (src->sock != NULL && sip_done_input(s, src, m, key))
		return;
	c = m->to_tag.n > 0 ? sip_call_of(s, m) : NULL;
	if (!may_enter(s, src, m, c))
		return;
	if (src->flow == NULL &&
	    sip_flow_udp(&src->flow, s, src->sock, &src->from) != 0)
		return;
	/* The way of the answer may be another one, and making room for it
	 * must not take this one. */
	if (src->flow->t == SIPC_UDP)
		sip_watch_set(&hold, src->flow, NULL, NULL);
	request_take(s, src, mp, c);
	sip_watch_clear(&hold); /* it is clear already if all is gone */
}

/* A request with a fault: who may call is told, all others are not. */
static void
fault_in(
    struct sip_stack *s, const struct sip_src *src, const struct sip_msg *m)
{
	s->stats.rx_bad++;
	log_info(LOGC_SIP, m->flow, "request answered code=%d why=%s method=%s",
	    m->fault, m->fault_why, esc(m->method));
	if (sip_may_call(s, src))
		sip_reject(s, src, m, m->fault, NULL);
	else
		s->stats.refused++;
}

void
sip_dispatch(struct sip_stack *s, const struct sip_src *src, struct sip_msg *m)
{
	struct sip_src at = *src;

	m->flow = src->flow != NULL ? src->flow->id : 0;
	if (m->fault != 0) {
		fault_in(s, src, m);
	} else if (!m->is_req) {
		if (!sip_ctxn_input(s, src, &m))
			log_debug(LOGC_SIP, 0, "response to nothing code=%d",
			    m->code);
	} else if (sip_msg_is(m, "ACK")) {
		ack_in(s, src, m);
	} else {
		request_in(s, &at, &m);
	}
	sip_msg_free(m);
}
