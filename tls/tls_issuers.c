/* SPDX-License-Identifier: ISC */
/* What a server has to be given so that it accepts our certificates. */
#include <string.h>
#include <unistd.h>

#include <openssl/mem.h>
#include <openssl/x509.h>

#include "bellbird/file.h"
#include "bellbird/tls_cert.h"

#include "internal.h"

/* Prints them, the nearest first; at least one. */
static int
issuers_print(STACK_OF(X509) * all, struct tls_issuers *out, struct buf *pem,
    struct buf *der)
{
	struct tls_issuers got = { .num = 0 };
	uint8_t *p = NULL;
	X509 *x = NULL;
	int n, err = 0;

	for (size_t i = 0; err == 0 && i < sk_X509_num(all); i++) {
		x = sk_X509_value(all, i);
		if (got.num == TLS_CHAIN_MAX)
			return E_LIMIT;
		tls_x509_brief(x, &got.cert[got.num++]);
		err = tls_mint_pem_cert(x, pem);
	}
	if (err != 0)
		return err;
	if ((n = i2d_X509(x, &p)) <= 0) {
		tls_err_drop();
		return ENOMEM;
	}
	err = buf_add(der, p, (size_t)n);
	OPENSSL_free(p);
	got.complete = tls_x509_is_self_signed(x);
	if (err == 0)
		*out = got;
	return err;
}

/* Appends what a slot keeps of one certificate. */
static int
slot_add(STACK_OF(X509) * all, const CRYPTO_BUFFER *b)
{
	X509 *x = tls_x509_of(b);

	if (x == NULL || sk_X509_push(all, x) == 0) {
		X509_free(x);
		tls_err_drop();
		return ENOMEM;
	}
	return 0;
}

int
tls_env_issuers(const struct tls_env *e, enum tls_identity id,
    struct tls_issuers *out, struct buf *pem, struct buf *der)
{
	STACK_OF(X509) * all;
	const struct tls_slot *s;
	int err = 0;

	if (!tls_env_has_identity(e, id))
		return E_TLS_KEY;
	s = &e->slots[id];
	if ((all = sk_X509_new_null()) == NULL)
		return ENOMEM;
	for (size_t i = 1; err == 0 && i < s->num; i++)
		err = slot_add(all, s->certs[i]);
	if (err == 0 && s->root != NULL)
		err = slot_add(all, s->root);
	/* One that signed itself is its own CA. */
	if (err == 0 && sk_X509_num(all) == 0 &&
	    strcmp(s->brief.subject, s->brief.issuer) == 0)
		err = slot_add(all, s->certs[0]);
	if (err == 0)
		err = sk_X509_num(all) > 0 ? issuers_print(all, out, pem, der)
					   : E_TLS_TRUST;
	sk_X509_pop_free(all, X509_free);
	return err;
}

int
tls_ca_issuers(const char *dir, struct tls_issuers *out, struct buf *pem,
    struct buf *der, char *why, size_t why_size)
{
	char ca[4096], root[4096];
	STACK_OF(X509) * all;
	int err;

	why[0] = '\0';
	if ((err = path_join(ca, sizeof(ca), dir, "ca.pem")) != 0 ||
	    (err = path_join(root, sizeof(root), dir, "root.pem")) != 0)
		return err;
	if ((all = sk_X509_new_null()) == NULL)
		return ENOMEM;
	err = tls_cert_stack(ca, all, why, why_size);
	if (err == 0 && access(root, F_OK) == 0)
		err = tls_cert_stack(root, all, why, why_size);
	if (err == 0)
		err = issuers_print(all, out, pem, der);
	sk_X509_pop_free(all, X509_free);
	return err;
}
