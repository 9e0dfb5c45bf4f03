/* SPDX-License-Identifier: ISC */
/* A certificate as text: names, times, key and signature.
 * Every byte of a peer passes esc() here. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/bytestring.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "bellbird/log.h"
#include "bellbird/str.h"

#include "internal.h"

/* Days since 1970 of a date in the Gregorian calendar. */
static int64_t
days_of(int64_t y, int64_t m, int64_t d)
{
	int64_t era, yoe, doy;

	y -= m <= 2;
	era = y / 400;
	yoe = y - era * 400;
	doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

int
tls_x509_time(const ASN1_TIME *t, int64_t *out)
{
	ASN1_GENERALIZEDTIME *g;
	/* Year in two halves: str_int reads two digits at a time. */
	int64_t f[7];
	const char *s;
	int err = E_PARSE;

	if (t == NULL || (g = ASN1_TIME_to_generalizedtime(t, NULL)) == NULL) {
		tls_err_drop();
		return E_PARSE;
	}
	s = (const char *)ASN1_STRING_get0_data(g);
	/* RFC 5280 4.1.2.5.2: seconds are there, fractions and zones not. */
	if (ASN1_STRING_length(g) != 15 || s[14] != 'Z')
		goto out;
	for (size_t i = 0; i < 7; i++) {
		if (str_int((struct slice){ s + 2 * i, 2 }, 0, 99, &f[i]) != 0)
			goto out;
	}
	*out = days_of(f[0] * 100 + f[1], f[2], f[3]) * 86400 + f[4] * 3600 +
	    f[5] * 60 + f[6];
	err = 0;
out:
	ASN1_STRING_free(g);
	return err;
}

void
tls_x509_name(const X509_NAME *n, char *out, size_t size)
{
	/* Readable, not RFC 2253: this is for people, and escaped below. */
	const unsigned long flags =
	    ASN1_STRFLGS_UTF8_CONVERT | XN_FLAG_SEP_CPLUS_SPC | XN_FLAG_FN_SN;
	const uint8_t *p;
	size_t len;
	BIO *b;

	out[0] = '\0';
	if ((b = BIO_new(BIO_s_mem())) == NULL) {
		tls_err_drop();
		return;
	}
	if (X509_NAME_print_ex(b, n, 0, flags) >= 0 &&
	    BIO_mem_contents(b, &p, &len))
		ignore_err(str_copy(out, size, esc_n(p, len)),
		    "a long name is cut for display");
	tls_err_drop();
	BIO_free(b);
}

/* "EC P-256", "RSA 2048". */
static void
key_print(X509 *c, char *out, size_t size)
{
	EVP_PKEY *k = X509_get_pubkey(c);
	const EC_KEY *ec;
	const char *curve;

	if (k == NULL) {
		tls_err_drop();
		snprintf(out, size, "unknown");
		return;
	}
	switch (EVP_PKEY_id(k)) {
	case EVP_PKEY_RSA:
		snprintf(out, size, "RSA %d", EVP_PKEY_bits(k));
		break;
	case EVP_PKEY_EC:
		ec = EVP_PKEY_get0_EC_KEY(k);
		switch (EC_GROUP_get_curve_name(EC_KEY_get0_group(ec))) {
		case NID_X9_62_prime256v1:
			curve = "P-256";
			break;
		case NID_secp384r1:
			curve = "P-384";
			break;
		case NID_secp521r1:
			curve = "P-521";
			break;
		default:
			curve = "P-224";
			break;
		}
		snprintf(out, size, "EC %s", curve);
		break;
	case EVP_PKEY_ED25519:
		snprintf(out, size, "Ed25519");
		break;
	default:
		snprintf(out, size, "unknown");
		break;
	}
	EVP_PKEY_free(k);
}

void
tls_x509_brief(X509 *c, struct tls_cert_brief *out)
{
	uint8_t md[SHA256_DIGEST_LENGTH];
	unsigned int n;
	const char *sig;

	memset(out, 0, sizeof(*out));
	tls_x509_name(
	    X509_get_subject_name(c), out->subject, sizeof(out->subject));
	tls_x509_name(
	    X509_get_issuer_name(c), out->issuer, sizeof(out->issuer));
	if (tls_x509_time(X509_get0_notBefore(c), &out->not_before_s) != 0 ||
	    tls_x509_time(X509_get0_notAfter(c), &out->not_after_s) != 0)
		out->not_before_s = out->not_after_s = 0;
	if (X509_digest(c, EVP_sha256(), md, &n))
		str_hex(out->sha256, md, sizeof(md));
	key_print(c, out->key, sizeof(out->key));
	sig = OBJ_nid2ln(X509_get_signature_nid(c));
	ignore_err(
	    str_copy(out->sig, sizeof(out->sig), sig != NULL ? sig : "unknown"),
	    "a long name is cut for display");
	tls_err_drop();
}

int
tls_x509_cn(const X509 *c, char *out, size_t size)
{
	X509_NAME *n = X509_get_subject_name(c);
	const ASN1_STRING *s;
	unsigned char *utf8;
	int i = -1, last = -1, len;

	while ((i = X509_NAME_get_index_by_NID(n, NID_commonName, i)) >= 0)
		last = i;
	if (last < 0)
		return E_PARSE;
	s = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(n, last));
	if ((len = ASN1_STRING_to_UTF8(&utf8, s)) < 0) {
		tls_err_drop();
		return E_PARSE;
	}
	ignore_err(str_copy(out, size, esc_n(utf8, (size_t)len)),
	    "a long name is cut");
	OPENSSL_free(utf8);
	return 0;
}

/* Writes one subject alternative name; false for kinds nobody looks at. */
static bool
san_print(const GENERAL_NAME *g, char *out, size_t size)
{
	char ip[INET6_ADDRSTRLEN];
	const ASN1_STRING *s;
	const char *kind;
	int n;

	switch (g->type) {
	case GEN_DNS:
		kind = "DNS";
		s = g->d.dNSName;
		break;
	case GEN_URI:
		kind = "URI";
		s = g->d.uniformResourceIdentifier;
		break;
	case GEN_IPADD:
		n = ASN1_STRING_length(g->d.iPAddress);
		if ((n != 4 && n != 16) ||
		    inet_ntop(n == 4 ? AF_INET : AF_INET6,
			ASN1_STRING_get0_data(g->d.iPAddress), ip,
			sizeof(ip)) == NULL)
			return false;
		snprintf(out, size, "IP:%s", ip);
		return true;
	default:
		return false;
	}
	snprintf(out, size, "%s:%s", kind,
	    esc_n(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s)));
	return true;
}

size_t
tls_x509_sans(X509 *c, char (*out)[128], size_t max)
{
	GENERAL_NAMES *gs;
	size_t n = 0;

	gs = X509_get_ext_d2i(c, NID_subject_alt_name, NULL, NULL);
	if (gs == NULL) {
		tls_err_drop();
		return 0;
	}
	for (size_t i = 0; i < sk_GENERAL_NAME_num(gs) && n < max; i++) {
		if (san_print(sk_GENERAL_NAME_value(gs, i), out[n], 128))
			n++;
	}
	GENERAL_NAMES_free(gs);
	return n;
}

X509 *
tls_x509_of(const CRYPTO_BUFFER *b)
{
	return tls_der_cert(CRYPTO_BUFFER_data(b), CRYPTO_BUFFER_len(b));
}

bool
tls_x509_is_self_signed(X509 *x)
{
	EVP_PKEY *k;
	bool yes;

	if (X509_NAME_cmp(X509_get_subject_name(x), X509_get_issuer_name(x)) !=
	    0)
		return false;
	k = X509_get_pubkey(x);
	yes = k != NULL && X509_verify(x, k) == 1;
	EVP_PKEY_free(k);
	tls_err_drop();
	return yes;
}

/* The digest of an RSA-PSS signature (RFC 4055 3.1: SHA-1 if absent). */
static int
pss_digest(X509 *x)
{
	const X509_ALGOR *alg;
	const ASN1_STRING *s;
	const void *value;
	CBS in, seq, tag, id, oid;
	int type;

	X509_get0_signature(NULL, &alg, x);
	X509_ALGOR_get0(NULL, &type, &value, alg);
	if (type != V_ASN1_SEQUENCE)
		return NID_sha1;
	s = value;
	CBS_init(&in, ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
	if (!CBS_get_asn1(&in, &seq, CBS_ASN1_SEQUENCE) ||
	    !CBS_get_asn1(&seq, &tag,
		CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 0) ||
	    !CBS_get_asn1(&tag, &id, CBS_ASN1_SEQUENCE) ||
	    !CBS_get_asn1(&id, &oid, CBS_ASN1_OBJECT))
		return NID_sha1;
	return OBJ_cbs2nid(&oid);
}

enum tls_sig
tls_x509_sig(X509 *x)
{
	int sig = X509_get_signature_nid(x), md = NID_undef;

	if (sig == NID_rsassaPss)
		md = pss_digest(x);
	else if (!OBJ_find_sigid_algs(sig, &md, NULL))
		return TLS_SIG_BROKEN;
	switch (md) {
	case NID_sha256:
	case NID_sha384:
	case NID_sha512:
		return TLS_SIG_GOOD;
	case NID_sha1:
		return TLS_SIG_SHA1;
	default:
		return sig == NID_ED25519 ? TLS_SIG_GOOD : TLS_SIG_BROKEN;
	}
}
