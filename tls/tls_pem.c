/* SPDX-License-Identifier: ISC */
/* PEM and DER files, block by block.
 * One bad block is reported and the next one read. */
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <openssl/pkcs7.h>
#include <openssl/x509.h>

#include "internal.h"

/* More blocks than any trust bundle has: a bound for hostile files. */
enum { PEM_BLOCKS_MAX = 8192 };

/* Where the next block begins, at the start of a line only (RFC 7468 2). */
static const char *
block_find(const char *all, const char *from, const char *end)
{
	static const char begin[] = "-----BEGIN ";
	const char *p = from;

	while ((p = memmem(p, (size_t)(end - p), begin, sizeof(begin) - 1)) !=
	    NULL) {
		if (p == all || p[-1] == '\n' || p[-1] == '\r')
			return p;
		p++;
	}
	return NULL;
}

/* Decodes one block and hands it on, or that it is damaged. */
static int
block_read(const char *p, size_t n, tls_pem_cb *cb, void *arg)
{
	struct tls_pem_block b = { .label = "" };
	char *label = NULL, *header = NULL;
	unsigned char *data = NULL;
	uint32_t e;
	long len;
	BIO *bio;
	int err = 0;

	if ((bio = BIO_new_mem_buf(p, (int)n)) == NULL) {
		tls_err_drop();
		return ENOMEM;
	}
	if (PEM_read_bio(bio, &label, &header, &data, &len)) {
		b.label = label;
		b.encrypted = strstr(header, "ENCRYPTED") != NULL ||
		    strncmp(label, "ENCRYPTED", strlen("ENCRYPTED")) == 0;
		b.der = data;
		b.n = (size_t)len;
		err = cb(&b, arg);
		OPENSSL_free(label);
		OPENSSL_free(header);
		OPENSSL_free(data); /* BoringSSL wipes what it frees */
	} else {
		e = ERR_peek_last_error();
		tls_err_drop();
		/* Words that look like a beginning are none. */
		if (ERR_GET_REASON(e) != PEM_R_NO_START_LINE)
			err = cb(&b, arg);
	}
	BIO_free(bio);
	return err;
}

int
tls_pem_each(const void *p, size_t n, tls_pem_cb *cb, void *arg)
{
	const char *all = p, *end = all + n, *at, *next;
	int err = 0;

	if (n == 0 || n > INT32_MAX)
		return n == 0 ? 0 : ENOMEM;
	at = block_find(all, all, end);
	for (int i = 0; i < PEM_BLOCKS_MAX && at != NULL && err == 0; i++) {
		/* A block that was cut off must not swallow the next one. */
		next = block_find(all, at + 1, end);
		err = block_read(
		    at, (size_t)((next != NULL ? next : end) - at), cb, arg);
		at = next;
	}
	return err;
}

X509 *
tls_der_cert(const uint8_t *p, size_t n)
{
	const uint8_t *at = p;
	X509 *c;

	/* Anchors and chains are far below 64 KiB. */
	if (n == 0 || n > 65536 || (c = d2i_X509(NULL, &at, (long)n)) == NULL) {
		tls_err_drop();
		return NULL;
	}
	if (at != p + n) {
		X509_free(c);
		return NULL; /* bytes behind it: not a certificate */
	}
	return c;
}

STACK_OF(X509) * tls_der_pkcs7(const uint8_t *p, size_t n)
{
	STACK_OF(X509) *sk = sk_X509_new_null();
	CBS in;

	CBS_init(&in, p, n);
	if (sk == NULL || !PKCS7_get_certificates(sk, &in) ||
	    CBS_len(&in) != 0 || sk_X509_num(sk) == 0) {
		tls_err_drop();
		sk_X509_pop_free(sk, X509_free);
		return NULL;
	}
	return sk;
}
