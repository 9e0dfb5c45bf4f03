/* SPDX-License-Identifier: ISC */
/* Digest authentication, server side, for the lab's registrar and tests: the
 * nonces are stateless, bound to time, source, realm and algorithm. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <osipparser2/osip_parser.h>

#include "bellbird/clock.h"
#include "bellbird/mem.h"
#include "internal.h"

enum {
	/* A nonce is good for 5 minutes: longer than any exchange, shorter
	 * than a registration lasts. */
	NONCE_S = 300,
	NONCE_MAC_LEN = 20,
	NONCE_LEN = 16 + 2 * NONCE_MAC_LEN
};

/* The nonce of a point in time. */
static int
nonce_make(const struct sip_req *req, const char *realm, enum tls_hash_alg alg,
    int64_t at_s, char out[static NONCE_LEN + 1])
{
	struct tls_hmac *h = NULL;
	uint8_t mac[NONCE_MAC_LEN];
	char ip[ADDR_STR_MAX], text[512];
	int err, n;

	addr_print_ip(&req->from, ip);
	n = snprintf(text, sizeof(text), "%lld|%s|%d|%.256s", (long long)at_s,
	    ip, (int)alg, realm);
	if (n < 0 || (size_t)n >= sizeof(text))
		return E_LIMIT;
	if ((err = tls_hmac_sha1_new(&h)) != 0)
		return err;
	if ((err = tls_hmac_set_key(
		 h, req->s->nonce_key, sizeof(req->s->nonce_key))) == 0 &&
	    (err = tls_hmac_start(h)) == 0 &&
	    (err = tls_hmac_update(h, (const uint8_t *)text, (size_t)n)) == 0)
		err = tls_hmac_final(h, mac);
	tls_hmac_free(h);
	if (err != 0)
		return err;
	(void)snprintf(out, 17, "%016llx", (unsigned long long)at_s);
	str_hex(out + 16, mac, sizeof(mac));
	return 0;
}

/* Is it a nonce of ours for this request?  `*stale`: but an old one. */
static int
nonce_check(const struct sip_req *req, const char *realm, enum tls_hash_alg alg,
    const char *nonce, bool *stale)
{
	int64_t now_s = clock_mono_us() / SIPC_S, at_s = 0;
	char want[NONCE_LEN + 1];
	uint8_t raw[8];
	size_t n = 0;
	int err;

	if (strlen(nonce) != NONCE_LEN ||
	    str_unhex((struct slice){ nonce, 16 }, raw, sizeof(raw), &n) != 0)
		return E_SIP_AUTH;
	for (size_t i = 0; i < n; i++)
		at_s = (int64_t)((uint64_t)at_s << 8 | raw[i]);
	if ((err = nonce_make(req, realm, alg, at_s, want)) != 0)
		return err;
	if (!mem_equal(want, nonce, NONCE_LEN))
		return E_SIP_AUTH;
	if (now_s - at_s > NONCE_S) {
		*stale = true;
		return E_SIP_AUTH;
	}
	return 0;
}

/* What an Authorization field says, unquoted. */
struct creds {
	char user[SIPC_USER_MAX + 1], realm[257], nonce[257], uri[SIPC_URI_MAX],
	    response[2 * TLS_HASH_MAX + 1], cnonce[257], alg[24], qop[16],
	    nc[16];
};

/* Copies a value without its quotes; absent ones become "". */
static int
copy_unquoted(char *dst, size_t size, const char *src)
{
	struct slice s = slice_trim(slice_of(src));
	size_t n = 0;

	if (s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"')
		s = (struct slice){ s.p + 1, s.n - 2 };
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\\' && i + 1 < s.n)
			i++;
		if (n + 1 >= size)
			return E_SIP_AUTH;
		dst[n++] = s.p[i];
	}
	dst[n] = '\0';
	return 0;
}

/* Reads an Authorization field. */
static int
creds_read(struct creds *c, const char *value)
{
	osip_authorization_t *a = NULL;
	int err;

	if (osip_authorization_init(&a) != 0)
		return ENOMEM;
	err = sip_err_of_osip(osip_authorization_parse(a, value));
	if (err == 0 &&
	    (a->auth_type == NULL ||
		!slice_case_is(slice_of(a->auth_type), "Digest")))
		err = E_SIP_AUTH;
	if (err == 0 &&
	    (copy_unquoted(c->user, sizeof(c->user), a->username) != 0 ||
		copy_unquoted(c->realm, sizeof(c->realm), a->realm) != 0 ||
		copy_unquoted(c->nonce, sizeof(c->nonce), a->nonce) != 0 ||
		copy_unquoted(c->uri, sizeof(c->uri), a->uri) != 0 ||
		copy_unquoted(c->response, sizeof(c->response), a->response) !=
		    0 ||
		copy_unquoted(c->cnonce, sizeof(c->cnonce), a->cnonce) != 0 ||
		copy_unquoted(c->alg, sizeof(c->alg), a->algorithm) != 0 ||
		copy_unquoted(c->qop, sizeof(c->qop), a->message_qop) != 0 ||
		copy_unquoted(c->nc, sizeof(c->nc), a->nonce_count) != 0))
		err = E_SIP_AUTH;
	osip_authorization_free(a);
	return err == ENOMEM ? ENOMEM : err != 0 ? E_SIP_AUTH : 0;
}

/* The nonce count: eight hex digits. */
static int
nc_read(const char *s, uint32_t *out)
{
	uint8_t raw[4];
	size_t n;

	if (strlen(s) != 8 || str_unhex(slice_of(s), raw, sizeof(raw), &n) != 0)
		return E_SIP_AUTH;
	*out = (uint32_t)raw[0] << 24 | (uint32_t)raw[1] << 16 |
	    (uint32_t)raw[2] << 8 | raw[3];
	return 0;
}

/* Judges one field of credentials. */
static int
creds_check(const struct sip_req *req, const struct creds *c,
    const struct sip_cred *want, const char *realm, bool *stale)
{
	struct sip_digest d = { .alg = TLS_MD5,
		.user = want->user,
		.realm = realm,
		.password = want->password,
		.nonce = c->nonce,
		.cnonce = c->cnonce,
		.qop = c->qop,
		.method = req->msg->method,
		.uri = c->uri,
		.body = req->msg->body };
	char response[2 * TLS_HASH_MAX + 1];
	int err;

	if (strcmp(c->user, want->user) != 0 || strcmp(c->realm, realm) != 0 ||
	    strcmp(c->uri, req->msg->uri) != 0)
		return E_SIP_AUTH;
	if (c->alg[0] != '\0' && sip_alg_parse(c->alg, &d.alg, &d.sess) != 0)
		return E_SIP_AUTH;
	if (c->qop[0] != '\0' && strcmp(c->qop, "auth") != 0 &&
	    strcmp(c->qop, "auth-int") != 0)
		return E_SIP_AUTH;
	if (c->qop[0] != '\0' && nc_read(c->nc, &d.nc) != 0)
		return E_SIP_AUTH;
	if ((err = sip_digest_response(&d, response)) != 0)
		return err;
	if (strlen(c->response) != strlen(response) ||
	    !mem_equal(c->response, response, strlen(response)))
		return E_SIP_AUTH;
	/* Only who knows the password learns that a nonce is merely old. */
	return nonce_check(req, realm, d.alg, c->nonce, stale);
}

int
sip_auth_check(struct sip_req *req, const char *realm, const char *user,
    const char *password, bool *stale)
{
	struct sip_cred want = { user, password };
	struct creds c;
	const char *v;
	int err = E_SIP_AUTH;

	*stale = false;
	for (size_t i = 0; err == E_SIP_AUTH &&
	     (v = sip_msg_get(req->msg, SIPH_AUTHORIZATION, i)) != NULL;
	     i++) {
		if ((err = creds_read(&c, v)) == 0)
			err = creds_check(req, &c, &want, realm, stale);
	}
	if (err != 0)
		return err;
	*stale = false;
	req->nonce = sip_hash(&req->s->hkey,
			 &(struct slice){ c.nonce, strlen(c.nonce) }, 1) |
	    1;
	return 0;
}

int
sip_auth_challenge(
    struct sip_req *req, const char *realm, unsigned int algs, bool stale)
{
	static const enum tls_hash_alg order[] = { TLS_SHA512_256, TLS_SHA256,
		TLS_MD5 };
	int64_t now_s = clock_mono_us() / SIPC_S;
	char nonce[NONCE_LEN + 1];
	struct buf b;
	int err = 0;

	buf_init(&b, SIPC_HEAD_MAX / 4);
	for (size_t i = 0; err == 0 && i < sizeof(order) / sizeof(order[0]);
	     i++) {
		if ((algs & 1u << order[i]) == 0)
			continue;
		err = nonce_make(req, realm, order[i], now_s, nonce);
		if (err == 0)
			err = buf_printf(&b,
			    "WWW-Authenticate: Digest realm=\"%s\","
			    "nonce=\"%s\",algorithm=%s,qop=\"auth\"%s\r\n",
			    realm, nonce, sip_alg_name(order[i]),
			    stale ? ",stale=true" : "");
	}
	if (err == 0)
		err = sip_req_reply(req, 401, NULL, buf_str(&b), NULL,
		    (struct slice){ NULL, 0 });
	else
		ignore_err(sip_req_reply(req, 500, NULL, NULL, NULL,
			       (struct slice){ NULL, 0 }),
		    "the first error counts");
	buf_clear(&b);
	return err;
}
