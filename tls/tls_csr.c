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

/* ---- composing ---- */

/* Appends one attribute to the subject. */
static bool
name_add(X509_REQ *r, const char *attr, const char *value)
{
	return X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(r), attr,
		   MBSTRING_UTF8, (const uint8_t *)value, -1, -1, 0) == 1;
}

/* The subject: that of the certificate before, or what is asked for. */
static bool
subject_set(X509_REQ *r, const struct tls_req *q)
{
	if (q->old != NULL)
		return X509_REQ_set_subject_name(
			   r, X509_get_subject_name(q->old)) == 1;
	return name_add(r, "CN", q->cn) &&
	    (q->serial == NULL || name_add(r, "serialNumber", q->serial));
}

/* Pushes an extension; takes it. */
static bool
ext_push(STACK_OF(X509_EXTENSION) * sk, X509_EXTENSION *x)
{
	if (x != NULL && sk_X509_EXTENSION_push(sk, x) != 0)
		return true;
	X509_EXTENSION_free(x);
	return false;
}

/* Pushes one that is written as text. */
static bool
ext_text(STACK_OF(X509_EXTENSION) * sk, int nid, const char *text)
{
	return ext_push(sk, X509V3_EXT_nconf_nid(NULL, NULL, nid, text));
}

/* The alternative names, if there are any. */
static bool
ext_names(STACK_OF(X509_EXTENSION) * sk, const struct tls_req *q)
{
	int at;

	if (q->old == NULL)
		return q->sans == NULL || q->sans[0] == '\0' ||
		    ext_text(sk, NID_subject_alt_name, q->sans);
	at = X509_get_ext_by_NID(q->old, NID_subject_alt_name, -1);
	return at < 0 ||
	    ext_push(sk, X509_EXTENSION_dup(X509_get_ext(q->old, at)));
}

/* What the CA is asked to put in beside the name. */
static bool
extensions_add(X509_REQ *r, const struct tls_req *q)
{
	STACK_OF(X509_EXTENSION) *sk = sk_X509_EXTENSION_new_null();
	bool ok;

	ok = sk != NULL &&
	    ext_text(sk, NID_basic_constraints, "critical,CA:FALSE") &&
	    ext_text(sk, NID_key_usage, "critical,digitalSignature") &&
	    ext_text(sk, NID_ext_key_usage, "clientAuth") && ext_names(sk, q) &&
	    X509_REQ_add_extensions(r, sk) == 1;
	sk_X509_EXTENSION_pop_free(sk, X509_EXTENSION_free);
	return ok;
}

int
tls_req_make(const struct tls_req *q, EVP_PKEY *k, X509_REQ **out)
{
	X509_REQ *r = X509_REQ_new();
	int err = ENOMEM;

	if (r == NULL || !X509_REQ_set_version(r, X509_REQ_VERSION_1) ||
	    !X509_REQ_set_pubkey(r, k))
		goto out;
	err = EINVAL;
	if (!subject_set(r, q) || !extensions_add(r, q))
		goto out;
	err = E_TLS_KEY;
	if (X509_REQ_sign(r, k, EVP_sha256()) == 0)
		goto out;
	*out = r;
	r = NULL;
	err = 0;
out:
	X509_REQ_free(r);
	tls_err_drop();
	return err;
}

/* ---- for a CA elsewhere ---- */

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

int
tls_csr(const struct tls_csr *c, struct buf *csr, struct buf *key, char *why,
    size_t why_size)
{
	char sans[SANS_MAX];
	/* 802.1AR 8.6: the serial number of the device in its name. */
	struct tls_req q = { .cn = c->mac != NULL ? c->mac : c->cn,
		.serial = c->mac,
		.sans = sans };
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
	if ((err = tls_req_make(&q, k, &r)) == EINVAL)
		snprintf(why, why_size,
		    "a name cannot be written into a request: the common name "
		    "has at most 64 characters, and addresses are addresses");
	if (err != 0)
		goto out;
	err = ENOMEM;
	if ((b = BIO_new(BIO_s_mem())) != NULL && PEM_write_bio_X509_REQ(b, r))
		err = tls_mint_bio_take(b, csr);
	if (err == 0 && key != NULL)
		err = tls_mint_pem_key(k, key);
out:
	BIO_free(b);
	X509_REQ_free(r);
	EVP_PKEY_free(k);
	tls_err_drop();
	return err;
}
