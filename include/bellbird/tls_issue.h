/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_TLS_ISSUE_H
#define BELLBIRD_TLS_ISSUE_H

#include "bellbird/buf.h"
#include "bellbird/tls_conn.h"

/*
 * Certificates that a CA issues for keys made here: the request, and what a CA
 * sent for it.  Ceilings for the buffers: a request has 1 KiB, an answer some
 * 20 KiB (EST, RFC 7030).
 */
enum { TLS_ISSUE_MAX = 256 * 1024 };

/* What is asked for. */
struct tls_request {
	/* A slot whose certificate is to be issued again: subject and SAN are
	 * its own, byte for byte (RFC 7030 4.2.2); TLS_ID_NONE: the two below
	 */
	enum tls_identity again;
	const char *cn;   /* as text */
	const char *sans; /* "DNS:a,URI:sip:b" (tls_mint_check), or NULL */
};
/*
 * tls_request_make makes a key (EC P-256) and a PKCS#10 request (RFC 2986)
 * signed with it: `der` gets the request in DER, `key` the key in PEM.  EINVAL
 * for names that cannot be asked for, E_TLS_KEY if the slot is empty.
 */
MUST_CHECK int tls_request_make(const struct tls_env *e,
    const struct tls_request *q, struct buf *der, struct buf *key);

/*
 * tls_issued_check judges what a CA sent (PKCS#7 certs-only, DER) for `key`
 * (PEM): one certificate is for this key, holds at this time, may be used by a
 * TLS client and is strong enough; those above it signed what is below them.
 * Then `pem` gets certificate, chain and key, as an identity's file has them,
 * and `leaf` what it is.  E_PARSE for no PKCS#7, else E_TLS_KEY or E_TLS_CERT,
 * with a clause about "it" in `why`.
 */
struct tls_issued {
	const void *p7; /* borrowed */
	size_t p7_len;
	struct slice key; /* PEM; borrowed */
	struct tls_clock clock;
};
MUST_CHECK int tls_issued_check(const struct tls_issued *i, struct buf *pem,
    struct tls_cert_brief *leaf, char *why, size_t why_size);

/* tls_p7_read appends all certificates of a PKCS#7 as PEM and stores up to
 * `max` of them; E_PARSE if it is none or has none. */
MUST_CHECK int tls_p7_read(const void *p7, size_t n, struct buf *pem,
    struct tls_cert_brief *out, size_t max, size_t *num);

#endif
