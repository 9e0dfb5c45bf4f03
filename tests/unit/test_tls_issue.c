/* SPDX-License-Identifier: ISC */
/* Requests for certificates, and answers of a CA: a good one, and all the bad
 * ones that must not take the place of what we have. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/bytestring.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pkcs7.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "bellbird/clock.h"
#include "bellbird/file.h"
#include "bellbird/log.h"
#include "bellbird/tls_cert.h"
#include "bellbird/tls_issue.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

enum { NOW = 1800000000, HOUR = 3600 };

static struct {
	EVP_PKEY *ca_key, *other_key;
	X509 *ca;
	struct buf der, key; /* of a request */
	X509_REQ *req;
} w;

static void
quiet(enum log_level lv, enum log_cat cat, uint64_t id, const char *line,
    void *arg)
{
	(void)lv, (void)cat, (void)id, (void)line, (void)arg;
}

static EVP_PKEY *
key_make(void)
{
	EVP_PKEY *k = EVP_PKEY_new();
	EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);

	assert_true(EC_KEY_generate_key(ec) && EVP_PKEY_set1_EC_KEY(k, ec));
	EC_KEY_free(ec);
	return k;
}

/* What is wrong with a certificate. */
struct fault {
	const char *eku, *usage, *basic;
	int64_t from, to; /* from now */
	bool other_key;   /* it is for another key */
	bool bad_sign;    /* by another CA key than the one that comes along */
	bool sha1, sha224;
};

static void
ext(X509 *c, int nid, const char *value)
{
	X509_EXTENSION *x =
	    X509V3_EXT_nconf_nid(NULL, NULL, nid, (char *)(uintptr_t)value);

	assert_non_null(x);
	assert_true(X509_add_ext(c, x, -1));
	X509_EXTENSION_free(x);
}

static X509 *
cert_make(const char *cn, X509_NAME *issuer, EVP_PKEY *key, EVP_PKEY *signer,
    const struct fault *f)
{
	X509 *c = X509_new();

	assert_true(X509_set_version(c, 2));
	ASN1_INTEGER_set(X509_get_serialNumber(c), 7);
	assert_true(X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN",
	    MBSTRING_UTF8, (const uint8_t *)cn, -1, -1, 0));
	assert_true(X509_set_issuer_name(
	    c, issuer != NULL ? issuer : X509_get_subject_name(c)));
	assert_non_null(ASN1_TIME_set(X509_get_notBefore(c), NOW + f->from));
	assert_non_null(ASN1_TIME_set(X509_get_notAfter(c), NOW + f->to));
	assert_true(X509_set_pubkey(c, key));
	if (f->basic != NULL)
		ext(c, NID_basic_constraints, f->basic);
	if (f->usage != NULL)
		ext(c, NID_key_usage, f->usage);
	if (f->eku != NULL)
		ext(c, NID_ext_key_usage, f->eku);
	assert_true(X509_sign(c, signer,
			f->sha1         ? EVP_sha1()
			    : f->sha224 ? EVP_sha224()
					: EVP_sha256()) > 0);
	return c;
}

static int
set_up(void **state)
{
	static const struct fault ca = {
		.basic = "critical,CA:TRUE", .from = -HOUR, .to = 1000 * HOUR
	};
	const struct tls_request q = { .cn = "0022ee112233",
		.sans = "URI:urn:dev:mac:0022ee112233,DNS:a.example" };
	const uint8_t *p;

	(void)state;
	log_set_sink(quiet, NULL);
	clock_fake(NOW);
	w.ca_key = key_make();
	w.other_key = key_make();
	w.ca = cert_make("A CA", NULL, w.ca_key, w.ca_key, &ca);
	buf_init(&w.der, 8192);
	buf_init_secret(&w.key, 8192);
	assert_int_equal(tls_request_make(NULL, &q, &w.der, &w.key), 0);
	p = w.der.p;
	w.req = d2i_X509_REQ(NULL, &p, (long)w.der.n);
	assert_non_null(w.req);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	EVP_PKEY_free(w.ca_key);
	EVP_PKEY_free(w.other_key);
	X509_free(w.ca);
	X509_REQ_free(w.req);
	buf_clear(&w.der);
	buf_clear(&w.key);
	clock_real();
	log_set_sink(NULL, NULL);
	return 0;
}

/* The answer of a CA: the certificate, and ours above it; a DER to free. */
static uint8_t *
answer(const struct fault *f, bool with_ca, size_t *n)
{
	STACK_OF(X509) *sk = sk_X509_new_null();
	EVP_PKEY *pub = X509_REQ_get_pubkey(w.req);
	X509 *mid, *c;
	static const struct fault inter = {
		.basic = "critical,CA:TRUE", .from = -HOUR, .to = 500 * HOUR
	};
	EVP_PKEY *mid_key = key_make();
	uint8_t *out;
	CBB cbb;

	mid = cert_make("Issuing CA", X509_get_subject_name(w.ca), mid_key,
	    w.ca_key, &inter);
	c = cert_make("0022ee112233", X509_get_subject_name(mid),
	    f->other_key ? w.other_key : pub,
	    f->bad_sign ? w.other_key : mid_key, f);
	if (with_ca)
		assert_true(sk_X509_push(sk, mid) != 0);
	else
		X509_free(mid);
	assert_true(sk_X509_push(sk, c) != 0);
	assert_true(CBB_init(&cbb, 4096) &&
	    PKCS7_bundle_certificates(&cbb, sk) && CBB_finish(&cbb, &out, n));
	sk_X509_pop_free(sk, X509_free);
	EVP_PKEY_free(pub);
	EVP_PKEY_free(mid_key);
	return out;
}

static int
check(const struct fault *f, bool with_ca, struct buf *pem, char why[200])
{
	struct tls_cert_brief leaf;
	size_t n;
	uint8_t *p7 = answer(f, with_ca, &n);
	const struct tls_issued i = { .p7 = p7,
		.p7_len = n,
		.key = { buf_str(&w.key), w.key.n },
		.clock = { NOW, NOW - 1000 * HOUR, true } };
	int err;

	why[0] = '\0';
	err = tls_issued_check(&i, pem, &leaf, why, 200);
	OPENSSL_free(p7);
	return err;
}

/* The request says who, what for, and is signed with the key that came. */
static void
a_request_asks_for_what_was_wanted(void **state)
{
	char cn[64];
	EVP_PKEY *pub;
	X509_EXTENSIONS *xs;

	(void)state;
	pub = X509_REQ_get_pubkey(w.req);
	assert_int_equal(X509_REQ_verify(w.req, pub), 1);
	EVP_PKEY_free(pub);
	assert_int_equal(
	    X509_NAME_get_text_by_NID(X509_REQ_get_subject_name(w.req),
		NID_commonName, cn, sizeof(cn)),
	    12);
	assert_string_equal(cn, "0022ee112233");
	xs = X509_REQ_get_extensions(w.req);
	assert_true(X509v3_get_ext_by_NID(xs, NID_subject_alt_name, -1) >= 0);
	assert_true(X509v3_get_ext_by_NID(xs, NID_ext_key_usage, -1) >= 0);
	sk_X509_EXTENSION_pop_free(xs, X509_EXTENSION_free);
	assert_non_null(strstr(buf_str(&w.key), "PRIVATE KEY"));
}

static void
names_that_cannot_be_asked_for_are_refused(void **state)
{
	static const struct tls_request v[] = {
		{ .cn = "" },
		{ .cn = NULL },
		{ .cn = "a", .sans = "a.example" },
		{ .cn = "a", .sans = "DNS:a,@section" },
		{ .cn = "a name that is longer than the sixty-four characters "
			"that X.520 has for it" },
	};
	struct buf der, key;

	(void)state;
	buf_init(&der, 8192);
	buf_init_secret(&key, 8192);
	for (size_t i = 0; i < LEN(v); i++)
		assert_int_equal(
		    tls_request_make(NULL, &v[i], &der, &key), EINVAL);
	assert_int_equal(der.n + key.n, 0);
	buf_clear(&der);
	buf_clear(&key);
}

/* A slot again: subject and SAN byte for byte (RFC 7030 4.2.2), a fresh key. */
static void
a_renewal_asks_for_the_same_names(void **state)
{
	char dir[] = "/tmp/bb_issue.XXXXXX", path[64];
	const struct tls_mint m = { .kind = TLS_MINT_DEVICE,
		.cn = "0022ee112233",
		.sans = "URI:sip:1001@bb.test" };
	const struct tls_request q = { .again = TLS_ID_SIP_OWNER };
	const struct tls_request none = { .again = TLS_ID_FACTORY };
	struct tls_env_conf conf = { .builtin_file = "",
		.sip_owner_file = path };
	struct tls_cert_brief b;
	struct buf pem, der, key;
	struct tls_env *e;
	struct loop *l;
	X509_EXTENSIONS *xs;
	X509_EXTENSION *san;
	X509_REQ *r;
	const uint8_t *p;
	char cn[64];

	(void)state;
	clock_real();
	assert_non_null(mkdtemp(dir));
	assert_int_equal(path_join(path, sizeof(path), dir, "own.pem"), 0);
	buf_init_secret(&pem, 65536);
	assert_int_equal(tls_mint(&m, &pem), 0);
	assert_int_equal(file_write(path, pem.p, pem.n, 0600), 0);
	assert_int_equal(loop_new(&l), 0);
	assert_int_equal(tls_env_new(&e, l, &conf), 0);
	assert_int_equal(tls_env_identity_brief(e, TLS_ID_SIP_OWNER, &b), 0);
	buf_init(&der, 8192);
	buf_init_secret(&key, 8192);
	assert_int_equal(tls_request_make(e, &none, &der, &key), E_TLS_KEY);
	assert_int_equal(tls_request_make(e, &q, &der, &key), 0);
	p = der.p;
	assert_non_null(r = d2i_X509_REQ(NULL, &p, (long)der.n));
	assert_int_equal(
	    X509_NAME_entry_count(X509_REQ_get_subject_name(r)), 2);
	assert_true(X509_NAME_get_text_by_NID(X509_REQ_get_subject_name(r),
			NID_serialNumber, cn, sizeof(cn)) == 12);
	xs = X509_REQ_get_extensions(r);
	san = X509v3_get_ext(
	    xs, X509v3_get_ext_by_NID(xs, NID_subject_alt_name, -1));
	assert_non_null(
	    memmem(ASN1_STRING_get0_data(X509_EXTENSION_get_data(san)),
		(size_t)ASN1_STRING_length(X509_EXTENSION_get_data(san)),
		"sip:1001@bb.test", 16));
	assert_null(strstr(buf_str(&pem), buf_str(&key)));
	sk_X509_EXTENSION_pop_free(xs, X509_EXTENSION_free);
	X509_REQ_free(r);
	buf_clear(&pem);
	buf_clear(&der);
	buf_clear(&key);
	tls_env_free(e);
	loop_free(l);
	unlink(path);
	rmdir(dir);
}

static void
a_good_answer_becomes_an_identity(void **state)
{
	static const struct fault good = { .eku = "clientAuth,serverAuth",
		.usage = "critical,digitalSignature",
		.from = -60,
		.to = HOUR };
	static const struct fault plain = { .from = -60, .to = HOUR };
	char dir[] = "/tmp/bb_issue.XXXXXX", path[64], why[200];
	struct buf pem;

	(void)state;
	buf_init_secret(&pem, 65536);
	assert_non_null(mkdtemp(dir));
	assert_int_equal(path_join(path, sizeof(path), dir, "own.pem"), 0);
	for (int i = 0; i < 4; i++) {
		buf_reset(&pem);
		assert_int_equal(
		    check(i & 1 ? &good : &plain, i > 1, &pem, why), 0);
		assert_int_equal(file_write(path, pem.p, pem.n, 0600), 0);
		assert_int_equal(tls_identity_check(path, why, sizeof(why)), 0);
		/* The intermediate, if it came, and the leaf before it. */
		assert_int_equal(strstr(strstr(buf_str(&pem), "-----END"),
				     "-----BEGIN CERTIFICATE") != NULL,
		    i > 1);
	}
	unlink(path);
	rmdir(dir);
	buf_clear(&pem);
}

static void
bad_answers_are_refused_with_the_reason(void **state)
{
	static const struct {
		struct fault f;
		int err;
		const char *why;
	} v[] = {
		{ { .from = -60, .to = HOUR, .other_key = true }, E_TLS_KEY,
		    "not for the key" },
		{ { .from = -2 * HOUR, .to = -HOUR }, E_TLS_CERT,
		    "ended already, at 2027-01-15T07:00:00Z" },
		{ { .from = HOUR, .to = 2 * HOUR }, E_TLS_CERT,
		    "begins only at 2027-01-15T09:00:00Z" },
		{ { .from = -60, .to = -60 }, E_TLS_CERT, "ended already" },
		{ { .from = -60, .to = HOUR, .eku = "serverAuth" }, E_TLS_CERT,
		    "not for TLS clients" },
		{ { .from = -60, .to = HOUR, .usage = "keyEncipherment" },
		    E_TLS_CERT, "key usage" },
		{ { .from = -60, .to = HOUR, .basic = "CA:TRUE" }, E_TLS_CERT,
		    "of a CA" },
		{ { .from = -60, .to = HOUR, .sha1 = true }, E_TLS_CERT,
		    "SHA-1" },
		{ { .from = -60, .to = HOUR, .sha224 = true }, E_TLS_CERT,
		    "signed with a hash that is broken" },
		{ { .from = -60, .to = HOUR, .bad_sign = true }, E_TLS_CERT,
		    "was not signed by" },
	};
	char why[200];
	struct buf pem;

	(void)state;
	buf_init_secret(&pem, 65536);
	for (size_t i = 0; i < LEN(v); i++) {
		print_message("refuses: %s\n", v[i].why);
		assert_int_equal(check(&v[i].f, true, &pem, why), v[i].err);
		if (strstr(why, v[i].why) == NULL)
			fail_msg("%s: %s", v[i].why, why);
		assert_int_equal(pem.n, 0);
	}
	buf_clear(&pem);
}

/* While the clock is not confirmed the span from the floor counts. */
static void
an_unconfirmed_clock_is_no_reason_to_refuse(void **state)
{
	static const struct fault f = { .from = -60, .to = HOUR };
	size_t n;
	uint8_t *p7 = answer(&f, true, &n);
	struct tls_issued i = { .p7 = p7,
		.p7_len = n,
		.key = { buf_str(&w.key), w.key.n },
		.clock = { NOW + 2 * HOUR, NOW - HOUR, false } };
	struct tls_cert_brief leaf;
	struct buf pem;
	char why[200];

	(void)state;
	buf_init_secret(&pem, 65536);
	assert_int_equal(
	    tls_issued_check(&i, &pem, &leaf, why, sizeof(why)), 0);
	i.clock.trusted = true;
	assert_int_equal(
	    tls_issued_check(&i, &pem, &leaf, why, sizeof(why)), E_TLS_CERT);
	buf_clear(&pem);
	OPENSSL_free(p7);
}

static void
what_is_no_pkcs7_is_refused(void **state)
{
	/* SignedData without certificates: what /cacerts must not be. */
	static const uint8_t empty[] = { 0x30, 0x23, 0x06, 0x09, 0x2a, 0x86,
		0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02, 0xa0, 0x16, 0x30,
		0x14, 0x02, 0x01, 0x01, 0x31, 0x00, 0x30, 0x0b, 0x06, 0x09,
		0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01, 0x31,
		0x00 };
	static const struct fault f = { .from = -60, .to = HOUR };
	struct tls_cert_brief leaf, some[4];
	struct tls_issued i = { .p7 = empty,
		.p7_len = sizeof(empty),
		.key = { buf_str(&w.key), w.key.n },
		.clock = { NOW, NOW, true } };
	struct buf pem;
	char why[200];
	size_t n, num = 0;
	uint8_t *p7;

	(void)state;
	buf_init_secret(&pem, 65536);
	assert_int_equal(
	    tls_issued_check(&i, &pem, &leaf, why, sizeof(why)), E_PARSE);
	assert_int_equal(
	    tls_p7_read(empty, sizeof(empty), &pem, some, 4, &num), E_PARSE);
	p7 = answer(&f, true, &n);
	i.p7 = p7;
	/* Cut at any byte it is none any more. */
	for (i.p7_len = 0; i.p7_len < n; i.p7_len++)
		assert_int_equal(
		    tls_issued_check(&i, &pem, &leaf, why, sizeof(why)),
		    E_PARSE);
	assert_int_equal(tls_p7_read(p7, n, &pem, some, 4, &num), 0);
	assert_int_equal(num, 2);
	/* A SET has no order. */
	assert_true(strcmp(some[0].subject, "CN=Issuing CA") == 0 ||
	    strcmp(some[1].subject, "CN=Issuing CA") == 0);
	buf_clear(&pem);
	OPENSSL_free(p7);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    a_request_asks_for_what_was_wanted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    names_that_cannot_be_asked_for_are_refused, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(
		    a_renewal_asks_for_the_same_names, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    a_good_answer_becomes_an_identity, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    bad_answers_are_refused_with_the_reason, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    an_unconfirmed_clock_is_no_reason_to_refuse, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(
		    what_is_no_pkcs7_is_refused, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
