/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_SIP_AUTH_H
#define BELLBIRD_SIP_AUTH_H

#include "bellbird/sip_stack.h"
#include "bellbird/tls_hash.h"

/* Credentials of an account; `password` is a secret: wiped when its owner
 * goes. */
struct sip_cred {
	const char *user; /* authentication name */
	const char *password;
};

/*
 * sip_auth_check judges the digest credentials (RFC 7616, 8760) of `req`
 * against `password`, with nonces of ours (stateless: time, HMAC, source).
 * Returns 0; E_SIP_AUTH with `*stale` if only the nonce is old; E_SIP_AUTH.
 */
MUST_CHECK int sip_auth_check(struct sip_req *req, const char *realm,
    const char *user, const char *password, bool *stale);
/*
 * sip_auth_challenge replies 401 with one challenge per algorithm in `algs`
 * (bits: 1 << enum tls_hash_alg), best first.  It ends the life of `req`.
 */
int sip_auth_challenge(
    struct sip_req *req, const char *realm, unsigned int algs, bool stale);

/*
 * The pure core (for tests with the vectors of RFC 7616 3.9): the response of
 * one request.  `qop` "", "auth" or "auth-int" (body counts then).
 */
struct sip_digest {
	enum tls_hash_alg alg;
	bool sess;
	const char *user, *realm, *password, *nonce, *cnonce, *qop, *method,
	    *uri;
	uint32_t nc;
	struct slice body;
};
/* sip_digest_response writes lower-case hex to `out`; E_SIP_AUTH for an
 * algorithm that digest does not know, ENOMEM. */
MUST_CHECK int sip_digest_response(
    const struct sip_digest *d, char out[static 2 * TLS_HASH_MAX + 1]);

#endif
