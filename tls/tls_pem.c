/* SPDX-License-Identifier: ISC */
/* PEM and DER files, block by block.
 * One bad block is reported and the next one read. */
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "internal.h"

/* More blocks than any trust bundle has: a bound for hostile files. */
enum { PEM_BLOCKS_MAX = 8192 };

int
tls_pem_each(const void *p, size_t n, tls_pem_cb *cb, void *arg)
{
	struct tls_pem_block b;
	char *label, *header;
	unsigned char *data;
	long len;
	BIO *bio;
	int err = 0;

	if (n > INT32_MAX || (bio = BIO_new_mem_buf(p, (int)n)) == NULL) {
		tls_err_drop();
		return ENOMEM;
	}
	for (int i = 0; i < PEM_BLOCKS_MAX && err == 0; i++) {
		label = header = NULL;
		data = NULL;
		memset(&b, 0, sizeof(b));
		if (!PEM_read_bio(bio, &label, &header, &data, &len)) {
			uint32_t e = ERR_peek_last_error();
			bool end = BIO_pending(bio) == 0 ||
			    (ERR_GET_LIB(e) == ERR_LIB_PEM &&
				ERR_GET_REASON(e) == PEM_R_NO_START_LINE);

			tls_err_drop();
			if (end && ERR_GET_REASON(e) == PEM_R_NO_START_LINE)
				break;
			b.label = "";
			err = cb(&b, arg);
			if (end)
				break;
			continue;
		}
		b.label = label;
		b.encrypted = strstr(header, "ENCRYPTED") != NULL ||
		    strncmp(label, "ENCRYPTED", strlen("ENCRYPTED")) == 0;
		b.der = data;
		b.n = (size_t)len;
		err = cb(&b, arg);
		OPENSSL_free(label);
		OPENSSL_free(header);
		OPENSSL_free(data); /* BoringSSL wipes what it frees */
	}
	BIO_free(bio);
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
