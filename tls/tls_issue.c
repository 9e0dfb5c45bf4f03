/* SPDX-License-Identifier: ISC */
/* Certificates that a CA issues for keys made here: the request (PKCS#10), and
 * whether what came for it may be put to use. */
#include <stdio.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "bellbird/clock.h"
#include "bellbird/log.h"
#include "bellbird/str.h"
#include "bellbird/tls_cert.h"
#include "bellbird/tls_issue.h"

#include "internal.h"

/* ---- the request ---- */

/* Appends the request in DER. */
static int
request_print(X509_REQ *r, struct buf *der)
{
	uint8_t *p = NULL;
	int n = i2d_X509_REQ(r, &p), err = ENOMEM;

	if (n > 0)
		err = buf_add(der, p, (size_t)n);
	OPENSSL_free(p);
	return err;
}

int
tls_request_make(const struct tls_env *e, const struct tls_request *q,
    struct buf *der, struct buf *key)
{
	struct tls_req what = { .cn = q->cn, .sans = q->sans };
	bool again = q->again != TLS_ID_NONE;
	X509_REQ *r = NULL;
	EVP_PKEY *k = NULL;
	int err;

	if (again && !tls_env_has_identity(e, q->again))
		return E_TLS_KEY;
	if (!again &&
	    (q->cn == NULL || q->cn[0] == '\0' ||
		tls_mint_check(q->sans, NULL, 0) != 0))
		return EINVAL;
	if (again &&
	    (what.old = tls_x509_of(e->slots[q->again].certs[0])) == NULL)
		return ENOMEM;
	if ((err = tls_mint_key(0, &k)) == 0 &&
	    (err = tls_req_make(&what, k, &r)) == 0 &&
	    (err = request_print(r, der)) == 0)
		err = tls_mint_pem_key(k, key);
	X509_free(what.old);
	X509_REQ_free(r);
	EVP_PKEY_free(k);
	tls_err_drop();
	return err;
}

/* ---- what came ---- */

/* Appends every certificate in PEM. */
static int
all_print(STACK_OF(X509) * sk, struct buf *pem)
{
	int err = 0;

	for (size_t i = 0; err == 0 && i < sk_X509_num(sk); i++)
		err = tls_mint_pem_cert(sk_X509_value(sk, i), pem);
	return err;
}

int
tls_p7_read(const void *p7, size_t n, struct buf *pem,
    struct tls_cert_brief *out, size_t max, size_t *num)
{
	STACK_OF(X509) *sk = tls_der_pkcs7(p7, n);
	size_t before = pem->n;
	int err;

	if (sk == NULL)
		return E_PARSE;
	if ((err = all_print(sk, pem)) == 0) {
		*num = sk_X509_num(sk) < max ? sk_X509_num(sk) : max;
		for (size_t i = 0; i < *num; i++)
			tls_x509_brief(sk_X509_value(sk, i), &out[i]);
	} else {
		buf_cut(pem, before);
	}
	sk_X509_pop_free(sk, X509_free);
	return err;
}

/* Refuses with a clause. */
static int
refuse(char *why, size_t why_size, const char *clause)
{
	ignore_err(str_copy(why, why_size, clause), "a hint");
	return E_TLS_CERT;
}

/* RFC 5280 4.2.1.3, 4.2.1.12: may a TLS client use it? */
static const char *
use_judge(X509 *c)
{
	uint32_t flags = X509_get_extension_flags(c);

	if ((flags & EXFLAG_INVALID) != 0)
		return "has an extension that is malformed";
	if ((flags & EXFLAG_CA) != 0)
		return "is that of a CA";
	if ((flags & EXFLAG_KUSAGE) != 0 &&
	    (X509_get_key_usage(c) & KU_DIGITAL_SIGNATURE) == 0)
		return "does not allow signatures (key usage)";
	if ((flags & EXFLAG_XKUSAGE) != 0 &&
	    (X509_get_extended_key_usage(c) & (XKU_SSL_CLIENT | XKU_ANYEKU)) ==
		0)
		return "is not for TLS clients (extended key usage)";
	/* As that of a peer is judged. */
	if (tls_x509_sig(c) != TLS_SIG_GOOD)
		return "is signed with a hash that is broken (MD5, SHA-1)";
	return NULL;
}

/* Does it hold at some time that may be now? */
static int
time_judge(const struct tls_cert_brief *b, const struct tls_clock *clock,
    char *why, size_t why_size)
{
	bool good = clock->trusted && clock->wall_s >= clock->floor_s;
	/* As a peer is judged (struct tls_span). */
	struct tls_span span = { good ? clock->wall_s : clock->floor_s,
		clock->wall_s > clock->floor_s ? clock->wall_s
					       : clock->floor_s };
	char from[32], to[32];

	clock_iso(from, sizeof(from), b->not_before_s * 1000000);
	clock_iso(to, sizeof(to), b->not_after_s * 1000000);
	if (b->not_after_s <= b->not_before_s || b->not_after_s < span.lo_s) {
		(void)snprintf(why, why_size, "ended already, at %.19sZ", to);
		return E_TLS_CERT;
	}
	if (b->not_before_s > span.hi_s) {
		(void)snprintf(why, why_size,
		    "begins only at %.19sZ: look at the clocks here and there",
		    from);
		return E_TLS_CERT;
	}
	return 0;
}

/* Did each certificate of the chain sign the one below it? */
static bool
chain_holds(const struct tls_slot *s)
{
	bool ok = true;

	for (size_t i = 0; ok && i + 1 < s->num; i++) {
		X509 *c = tls_x509_of(s->certs[i]);
		X509 *issuer = tls_x509_of(s->certs[i + 1]);
		EVP_PKEY *k = issuer != NULL ? X509_get_pubkey(issuer) : NULL;

		ok = c != NULL && k != NULL && X509_verify(c, k) == 1;
		EVP_PKEY_free(k);
		X509_free(c);
		X509_free(issuer);
		tls_err_drop();
	}
	return ok;
}

/* Appends the chain of a slot, leaf first, and the key. */
static int
slot_print(const struct tls_slot *s, struct buf *pem)
{
	int err = 0;

	for (size_t i = 0; err == 0 && i < s->num; i++) {
		X509 *c = tls_x509_of(s->certs[i]);

		err = c != NULL ? tls_mint_pem_cert(c, pem) : ENOMEM;
		X509_free(c);
	}
	return err != 0 ? err : tls_mint_pem_key(s->key, pem);
}

/* Judges the certificate of the key. */
static int
leaf_judge(const struct tls_slot *s, const struct tls_clock *clock, char *why,
    size_t why_size)
{
	X509 *c = tls_x509_of(s->certs[0]);
	const char *wrong;
	int err;

	if (c == NULL)
		return ENOMEM;
	wrong = use_judge(c);
	X509_free(c);
	if (wrong != NULL)
		return refuse(why, why_size, wrong);
	if ((err = time_judge(&s->brief, clock, why, why_size)) != 0)
		return err;
	if (!chain_holds(s))
		return refuse(why, why_size,
		    "was not signed by the CA certificate that came with it");
	return 0;
}

int
tls_issued_check(const struct tls_issued *i, struct buf *pem,
    struct tls_cert_brief *leaf, char *why, size_t why_size)
{
	STACK_OF(X509) *sk = tls_der_pkcs7(i->p7, i->p7_len);
	size_t before = pem->n;
	struct tls_slot s;
	struct buf all;
	char detail[160];
	int err;

	if (sk == NULL) {
		ignore_err(str_copy(why, why_size,
			       "is no PKCS#7 with a certificate in it"),
		    "a hint");
		return E_PARSE;
	}
	memset(&s, 0, sizeof(s));
	buf_init_secret(&all, TLS_ISSUE_MAX);
	if ((err = all_print(sk, &all)) != 0 ||
	    (err = buf_add(&all, i->key.p, i->key.n)) != 0)
		goto out;
	err = tls_slot_parse(&s, all.p, all.n, detail, sizeof(detail));
	if (err == E_TLS_KEY)
		ignore_err(str_copy(why, why_size,
			       "is not for the key that was asked for"),
		    "a hint");
	else if (err == E_LIMIT)
		ignore_err(str_copy(why, why_size,
			       "came with more certificates than a chain has"),
		    "a hint");
	if (err == 0)
		err = leaf_judge(&s, &i->clock, why, why_size);
	if (err == 0 && (err = slot_print(&s, pem)) != 0)
		buf_cut(pem, before);
	if (err == 0)
		*leaf = s.brief;
out:
	if (err == ENOMEM)
		ignore_err(str_copy(why, why_size, err_str(err)), "a hint");
	tls_slot_clear(&s);
	buf_clear(&all);
	sk_X509_pop_free(sk, X509_free);
	return err;
}
