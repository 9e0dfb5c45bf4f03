/* SPDX-License-Identifier: ISC */
/* Requests that ask us to do something, or tell us something, outside of
 * calls: who sent them, and what is in them. */
#include <stdlib.h>
#include <string.h>

#include "bellbird/log.h"
#include "reg_internal.h"

struct slice
sip_req_body(const struct sip_req *req, struct slice *type)
{
	struct slice rest;

	(void)slice_cut(
	    sip_msg_hdr(req->msg, SIPH_CONTENT_TYPE), ';', type, &rest);
	*type = slice_trim(*type);
	return req->msg->body;
}

/* Is it text that can be shown: UTF-8 without NUL? */
static bool
is_text(struct slice s)
{
	uint32_t cp;
	size_t n;

	for (; s.n > 0; s.p += n, s.n -= n) {
		if ((n = str_utf8(s.p, s.n, &cp)) == 0 || cp == 0)
			return false;
	}
	return true;
}

bool
sip_text_fits(struct slice s)
{
	return is_text(s);
}

char *
sip_req_text(const struct sip_req *req, int *code)
{
	const struct sip_msg *m = req->msg;
	const char *type = sip_msg_get(m, SIPH_CONTENT_TYPE, 0);
	struct slice charset;
	char *text;

	*code = 415;
	if (type == NULL || !sip_msg_is_type(m, "text/plain"))
		return NULL;
	if (sip_param(
		slice_of(type + strcspn(type, ";")), "charset", &charset) &&
	    !slice_case_is(charset, "utf-8") &&
	    !slice_case_is(charset, "us-ascii"))
		return NULL;
	*code = 413;
	if (m->body.n > SIPC_TEXT_MAX)
		return NULL;
	*code = 400;
	if (!is_text(m->body))
		return NULL;
	*code = 500;
	if ((text = slice_dup(m->body)) != NULL)
		*code = 200;
	return text;
}

bool
sip_req_is_registered(const struct sip_req *req)
{
	const struct sip_flow *f = sip_req_flow_of(req);

	return f != NULL && f->trusted > 0;
}

bool
sip_req_is_verified(const struct sip_req *req)
{
	const struct sip_flow *f = sip_req_flow_of(req);
	const struct tls_verdict *v;

	if (f == NULL || f->trusted == 0 || f->t != SIPC_TLS)
		return false;
	v = sip_flow_verdict(f);
	return v != NULL && v->peer_verified;
}

struct sip_reg *
sip_req_account(const struct sip_req *req)
{
	const char *user = sip_req_user(req, "uri");
	struct sip_reg *r;

	if (sip_req_is_registered(req))
		return sip_reg_find(req->s, sip_req_flow_of(req), user);
	LIST_FOREACH (r, &req->s->regs, link) {
		if (strcmp(r->user, user) == 0)
			return r;
	}
	return NULL;
}

/* A nonce proves something once: whoever saw it go by could use it again. */
static bool
nonce_is_used(struct sip_stack *s, uint64_t h)
{
	for (size_t i = 0; i < SIPC_NONCES_USED; i++) {
		if (s->used_nonces[i] == h)
			return true;
	}
	return false;
}

int
sip_req_prove(struct sip_req *req, const struct sip_reg *reg)
{
	struct sip_stack *s = req->s;
	unsigned int algs = 1u << TLS_SHA256 | 1u << TLS_SHA512_256;
	struct sip_auth_rule rule;
	struct sip_cred cred;
	const char *realm;
	bool stale = false;

	sip_reg_auth_rule(reg, false, &rule);
	if (rule.allow_md5)
		algs |= 1u << TLS_MD5;
	realm = rule.num_realms > 0 ? rule.realms[0] : reg->host;
	sip_reg_cred(reg, &cred);
	/* Without a password there is nothing to prove. */
	if (cred.password[0] != '\0' &&
	    sip_auth_check(req, realm, cred.user, cred.password, &stale) == 0) {
		if (!nonce_is_used(s, req->nonce)) {
			s->used_nonces[s->used_next++ % SIPC_NONCES_USED] =
			    req->nonce;
			return 0;
		}
		stale = true;
	}
	ignore_err(
	    sip_auth_challenge(req, realm, algs, stale), "the peer asks again");
	return E_SIP_AUTH;
}
