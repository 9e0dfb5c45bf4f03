/* SPDX-License-Identifier: ISC */
/* Requests for certificates (PKCS #10, RFC 2986), with their keys. */
#include <stdio.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "bellbird/log.h"
#include "bellbird/str.h"
#include "bellbird/tls_cert.h"

#include "internal.h"

enum { SANS_MAX = 1024 };

/* Appends one attribute to the subject. */
static bool
name_add(X509_REQ *r, const char *attr, const char *value)
{
	return X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(r), attr,
		   MBSTRING_UTF8, (const uint8_t *)value, -1, -1, 0) == 1;
}

/* What the CA is asked to put in beside the name; `sans` may be empty. */
static bool
extensions_add(X509_REQ *r, const char *sans)
{
	const struct {
		int nid;
		const char *value;
	} all[] = {
		{ NID_basic_constraints, "critical,CA:FALSE" },
		{ NID_key_usage, "critical,digitalSignature" },
		{ NID_ext_key_usage, "clientAuth" },
		{ NID_subject_alt_name, sans },
	};
	STACK_OF(X509_EXTENSION) *sk = sk_X509_EXTENSION_new_null();
	X509V3_CTX ctx;
	bool ok = sk != NULL;

	X509V3_set_ctx(&ctx, NULL, NULL, r, NULL, 0);
	for (size_t i = 0; ok && i < sizeof(all) / sizeof(all[0]); i++) {
		X509_EXTENSION *x;

		if (all[i].value[0] == '\0')
			continue;
		x = X509V3_EXT_nconf_nid(NULL, &ctx, all[i].nid, all[i].value);
		ok = x != NULL && sk_X509_EXTENSION_push(sk, x) != 0;
		if (!ok)
			X509_EXTENSION_free(x);
	}
	ok = ok && X509_REQ_add_extensions(r, sk) == 1;
	sk_X509_EXTENSION_pop_free(sk, X509_EXTENSION_free);
	return ok;
}

/* Judges what is asked for and prints the alternative names. */
static int
request_check(
    const struct tls_csr *c, char sans[SANS_MAX], char *why, size_t why_size)
{
	char norm[13];
	bool some = c->sans != NULL && c->sans[0] != '\0';
	int n;

	if (c->mac != NULL &&
	    (str_mac_norm(slice_of(c->mac), norm) != 0 ||
		strcmp(c->mac, norm) != 0)) {
		snprintf(why, why_size,
		    "%s is no MAC address of 12 lower-case hex digits",
		    esc(c->mac));
		return EINVAL;
	}
	if (c->mac == NULL && (c->cn == NULL || c->cn[0] == '\0')) {
		snprintf(why, why_size, "the common name is missing");
		return EINVAL;
	}
	if (tls_mint_check(c->sans, why, why_size) != 0)
		return EINVAL;
	n = snprintf(sans, SANS_MAX, "%s%s%s%s", some ? c->sans : "",
	    some && c->mac != NULL ? "," : "",
	    c->mac != NULL ? "URI:urn:dev:mac:" : "",
	    c->mac != NULL ? c->mac : "");
	if (n < 0 || n >= SANS_MAX) {
		snprintf(why, why_size, "there are too many names");
		return E_LIMIT;
	}
	return 0;
}

/* Composes and signs the request. */
static int
request_make(X509_REQ *r, const struct tls_csr *c, const char *sans,
    EVP_PKEY *k, char *why, size_t why_size)
{
	const char *cn = c->mac != NULL ? c->mac : c->cn;

	if (!X509_REQ_set_version(r, X509_REQ_VERSION_1) ||
	    !X509_REQ_set_pubkey(r, k))
		return ENOMEM;
	/* 802.1AR 8.6: the serial number of the device in its name. */
	if (!name_add(r, "CN", cn) ||
	    (c->mac != NULL && !name_add(r, "serialNumber", c->mac)) ||
	    !extensions_add(r, sans)) {
		snprintf(why, why_size,
		    "a name cannot be written into a request: the common name "
		    "has at most 64 characters, and addresses are addresses");
		return EINVAL;
	}
	return X509_REQ_sign(r, k, EVP_sha256()) != 0 ? 0 : E_TLS_KEY;
}

int
tls_csr(const struct tls_csr *c, struct buf *csr, struct buf *key, char *why,
    size_t why_size)
{
	char sans[SANS_MAX];
	X509_REQ *r = NULL;
	EVP_PKEY *k = NULL;
	BIO *b = NULL;
	int err;

	if ((err = request_check(c, sans, why, why_size)) != 0)
		return err;
	if (c->key.n > 0)
		err = tls_key_parse(&k, c->key.p, c->key.n, why, why_size);
	else
		err = tls_mint_key(0, &k);
	if (err != 0)
		return err;
	err = ENOMEM;
	if ((r = X509_REQ_new()) == NULL || (b = BIO_new(BIO_s_mem())) == NULL)
		goto out;
	if ((err = request_make(r, c, sans, k, why, why_size)) != 0)
		goto out;
	err = PEM_write_bio_X509_REQ(b, r) ? tls_mint_bio_take(b, csr) : ENOMEM;
	if (err == 0 && key != NULL)
		err = tls_mint_pem_key(k, key);
out:
	BIO_free(b);
	X509_REQ_free(r);
	EVP_PKEY_free(k);
	tls_err_drop();
	return err;
}
