/* SPDX-License-Identifier: ISC */
/* Certificates that are minted, and certificate files that are read. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "oom.h"
#include "test_tls.h"

/* 9999-12-31T23:59:59Z and 2049-12-31T23:59:59Z. */
#define FOREVER_S   INT64_C(253402300799)
#define UTC_TIMES_S INT64_C(2524607999)

static int
group_setup(void **state)
{
	(void)state;
	scratch_open();
	ca("ca", "Test CA");
	sub_ca("ca", "sub", "Test Issuer");
	mint("ca", TLS_MINT_DEVICE, MAC, NULL, "device.pem");
	mint("ca", TLS_MINT_SERVER, "sip.example",
	    "DNS:sip.example,URI:sip:example.com,IP:192.0.2.7", "server.pem");
	put_der("server.pem", 0, "server.der");
	return 0;
}

static int
group_teardown(void **state)
{
	(void)state;
	scratch_close();
	return 0;
}

/* True if `c` carries the signature of `issuer`. */
static bool
is_signed_by(X509 *c, X509 *issuer)
{
	EVP_PKEY *k = X509_get_pubkey(issuer);
	bool ok = X509_verify(c, k) == 1 &&
	    X509_NAME_cmp(
		X509_get_issuer_name(c), X509_get_subject_name(issuer)) == 0;

	EVP_PKEY_free(k);
	tls_err_drop();
	return ok;
}

/* The one purpose of a certificate. */
static int
purpose_of(X509 *c)
{
	EXTENDED_KEY_USAGE *u =
	    X509_get_ext_d2i(c, NID_ext_key_usage, NULL, NULL);
	int nid;

	assert_non_null(u);
	assert_int_equal(sk_ASN1_OBJECT_num(u), 1);
	nid = OBJ_obj2nid(sk_ASN1_OBJECT_value(u, 0));
	EXTENDED_KEY_USAGE_free(u);
	return nid;
}

static void
a_ca_signs_and_is_not_replaced(void **state)
{
	struct tls_cert_brief b;
	struct stat st;
	X509 *c = cert_of("ca/ca.pem", 0);

	(void)state;
	assert_int_equal(X509_check_ca(c), 1);
	assert_true((X509_get_key_usage(c) & KU_KEY_CERT_SIGN) != 0);
	assert_true(is_signed_by(c, c));
	tls_x509_brief(c, &b);
	assert_string_equal(b.subject, "CN=Test CA");
	assert_string_equal(b.key, "EC P-256");
	assert_string_equal(b.sig, "ecdsa-with-SHA256");
	assert_true(b.not_after_s - clock_wall_s() > 29 * DAY_S);
	X509_free(c);
	assert_int_equal(stat(at("ca/ca.key"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(tls_ca_init(at("ca"), "Again", 30), EEXIST);
	/* A key alone is one too: it may have signed already. */
	folder("half");
	JOIN("half/ca.key", "ca/ca.key");
	assert_int_equal(tls_ca_init(at("half"), "Again", 30), EEXIST);
}

static void
a_ca_of_nonsense_is_refused(void **state)
{
	static const struct {
		const char *why, *cn;
		int days;
	} v[] = {
		{ "no name", "", 30 },
		{ "no name at all", NULL, 30 },
		{ "no days", "A", 0 },
		{ "days before now", "A", -1 },
		{ "more than a century", "A", 36501 },
		{ "a name beyond X.520",
		    "0123456789012345678901234567890123456789"
		    "0123456789012345678901234",
		    30 },
	};

	(void)state;
	for (size_t i = 0; i < LEN(v); i++) {
		print_message("refuses: %s\n", v[i].why);
		assert_int_equal(
		    tls_ca_init(at("none"), v[i].cn, v[i].days), EINVAL);
		assert_int_equal(access(at("none/ca.key"), F_OK), -1);
	}
}

/* 802.1AR: the MAC in CN, serial number and SAN; no end of validity. */
static void
a_device_certificate_carries_its_mac(void **state)
{
	X509 *c = cert_of("device.pem", 0), *issuer = cert_of("ca/ca.pem", 0);
	struct tls_cert_brief b;
	char cn[64], sans[4][128];

	(void)state;
	assert_int_equal(tls_x509_cn(c, cn, sizeof(cn)), 0);
	assert_string_equal(cn, MAC);
	assert_int_equal(tls_x509_sans(c, sans, 4), 1);
	assert_string_equal(sans[0], "URI:urn:dev:mac:" MAC);
	tls_x509_brief(c, &b);
	assert_string_equal(b.subject, "CN=" MAC ", serialNumber=" MAC);
	assert_string_equal(b.issuer, "CN=Test CA");
	assert_int_equal(b.not_after_s, FOREVER_S);
	assert_int_equal(purpose_of(c), NID_client_auth);
	assert_int_equal(X509_check_ca(c), 0);
	assert_true(is_signed_by(c, issuer));
	X509_free(issuer);
	X509_free(c);
}

static void
a_server_certificate_carries_its_names(void **state)
{
	X509 *c = cert_of("server.pem", 0), *issuer = cert_of("ca/ca.pem", 0);
	struct tls_cert_brief b;
	char sans[4][128];

	(void)state;
	assert_int_equal(tls_x509_sans(c, sans, 4), 3);
	assert_string_equal(sans[0], "DNS:sip.example");
	assert_string_equal(sans[1], "URI:sip:example.com");
	assert_string_equal(sans[2], "IP:192.0.2.7");
	assert_int_equal(tls_x509_sans(c, sans, 2), 2);
	tls_x509_brief(c, &b);
	assert_int_equal(purpose_of(c), NID_server_auth);
	assert_true(b.not_after_s - clock_wall_s() <= 825 * DAY_S);
	assert_true(b.not_after_s - clock_wall_s() > 824 * DAY_S);
	assert_int_equal(X509_check_ca(c), 0);
	assert_true(is_signed_by(c, issuer));
	X509_free(issuer);
	X509_free(c);
}

/* What an intermediate signs brings it along; the root stays at home. */
static void
the_chain_is_minted_without_its_root(void **state)
{
	struct tls_cert_brief b[4];
	char sans[2][128], why[200];
	size_t n, num_sans;
	bool has_key;
	X509 *sub = cert_of("sub/ca.pem", 0);

	(void)state;
	assert_int_equal(X509_check_ca(sub), 1);
	assert_int_equal(X509_get_pathlen(sub), 0);
	X509_free(sub);
	mint("sub", TLS_MINT_BOTH, "both.example", "DNS:both.example",
	    "both.pem");
	assert_int_equal(tls_cert_read(at("both.pem"), b, 4, &n, sans, 2,
			     &num_sans, &has_key, why, sizeof(why)),
	    0);
	assert_int_equal(n, 2);
	assert_string_equal(b[0].subject, "CN=both.example");
	assert_string_equal(b[0].issuer, b[1].subject);
	assert_string_equal(b[1].subject, "CN=Test Issuer");
	assert_string_equal(b[1].issuer, "CN=Test CA");
	assert_true(has_key);
	assert_int_equal(tls_identity_check(at("both.pem"), why, 200), 0);
}

static void
knobs_of_minting_do_what_they_say(void **state)
{
	struct tls_mint m = { .kind = TLS_MINT_SERVER,
		.cn = "old.example",
		.sans = "DNS:old.example",
		.not_before_s = UTC_TIMES_S - DAY_S,
		.not_after_s = UTC_TIMES_S + 1,
		.rsa_bits = 1024,
		.sha1 = true,
		.aia = "http://ca.example/ca.cer" };
	struct tls_cert_brief b;
	X509 *c;

	(void)state;
	mint_as(m, NULL, "old.pem");
	c = cert_of("old.pem", 0);
	assert_true(is_signed_by(c, c)); /* no CA: signs itself */
	tls_x509_brief(c, &b);
	assert_string_equal(b.key, "RSA 1024");
	assert_string_equal(b.sig, "sha1WithRSAEncryption");
	/* RFC 5280 4.1.2.5: two forms of time, one to 2049, one after. */
	assert_int_equal(b.not_before_s, UTC_TIMES_S - DAY_S);
	assert_int_equal(b.not_after_s, UTC_TIMES_S + 1);
	assert_int_equal(
	    ASN1_STRING_type(X509_get0_notBefore(c)), V_ASN1_UTCTIME);
	assert_int_equal(
	    ASN1_STRING_type(X509_get0_notAfter(c)), V_ASN1_GENERALIZEDTIME);
	assert_true(X509_get_ext_by_NID(c, NID_info_access, -1) >= 0);
	X509_free(c);
}

/* A lab made with a dead battery still works once the clock is right. */
static void
fresh_certificates_are_valid_at_clock_and_floor(void **state)
{
	static const int64_t years[] = { -20, 0, 5 };
	struct tls_cert_brief b;
	int64_t now, floor = clock_floor_s();
	X509 *c;

	(void)state;
	for (size_t i = 0; i < LEN(years); i++) {
		now = floor + years[i] * 365 * DAY_S;
		clock_fake(now);
		mint(NULL, TLS_MINT_SERVER, "a", "DNS:a", "fresh.pem");
		clock_real();
		c = cert_of("fresh.pem", 0);
		tls_x509_brief(c, &b);
		assert_true(b.not_before_s < now && b.not_before_s < floor);
		assert_true(b.not_after_s > now && b.not_after_s > floor);
		X509_free(c);
	}
}

static void
names_are_checked_before_they_are_minted(void **state)
{
	static const struct {
		const char *sans, *bad; /* NULL: none */
	} v[] = {
		{ NULL, NULL },
		{ "", NULL },
		{ "DNS:a.example", NULL },
		{ "DNS:*.a.example, IP:::1 ,URI:sip:u@a,email:a@b", NULL },
		{ "@foo", "@foo" },
		{ "DNS:a,@foo", "@foo" },
		{ "dirName:x", "dirName:x" },
		{ "email:copy", "email:copy" },
		{ "critical,DNS:a", "critical" },
		{ "a.example", "a.example" },
		{ "DNS:", "DNS:" },
		{ "dns:a", "dns:a" },
		{ "DNS:a,,DNS:b", " is no name" },
		{ "DNS:a\n", NULL },
		{ "x\n\x1b", "x\\x0a\\x1b" },
	};
	char why[200];

	(void)state;
	for (size_t i = 0; i < LEN(v); i++) {
		print_message("%s\n", v[i].sans != NULL ? v[i].sans : "none");
		why[0] = '\0';
		assert_int_equal(tls_mint_check(v[i].sans, why, sizeof(why)),
		    v[i].bad != NULL ? EINVAL : 0);
		if (v[i].bad != NULL && strstr(why, v[i].bad) == NULL)
			fail_msg("%s", why);
		assert_int_equal(v[i].bad == NULL, why[0] == '\0');
	}
}

static void
minting_nonsense_leaves_the_buffer_alone(void **state)
{
	static char long_sans[1200];
	const struct {
		const char *why;
		struct tls_mint m;
		int err;
	} v[] = {
		{ "no name", { .cn = "" }, EINVAL },
		{ "no name at all", { .cn = NULL }, EINVAL },
		{ "an unknown kind", { .cn = "a", .kind = 9 }, EINVAL },
		{ "RSA too small", { .cn = "a", .rsa_bits = 512 }, EINVAL },
		{ "RSA too large", { .cn = "a", .rsa_bits = 8192 }, EINVAL },
		{ "ends before it begins",
		    { .cn = "a", .not_before_s = 20, .not_after_s = 10 },
		    EINVAL },
		{ "names that are none", { .cn = "a", .sans = "rubbish" },
		    EINVAL },
		{ "a section of no file", { .cn = "a", .sans = "@foo" },
		    EINVAL },
		{ "a section behind a name",
		    { .cn = "a", .sans = "DNS:a,dirName:x" }, EINVAL },
		{ "other names", { .cn = "a", .sans = "otherName:1.2;@x" },
		    EINVAL },
		{ "names in DER", { .cn = "a", .sans = "DER:30:00" }, EINVAL },
		{ "an issuer that is more than a URL",
		    { .cn = "a", .aia = "http://a/,OCSP;dirName:x" }, EINVAL },
		{ "an address that is none",
		    { .cn = "a", .sans = "IP:1.2.3.400" }, EINVAL },
		{ "too many names", { .cn = "a", .sans = long_sans }, E_LIMIT },
		{ "no such CA", { .cn = "a", .ca_dir = "/nonexistent" },
		    ENOENT },
	};
	struct buf pem;

	(void)state;
	memset(long_sans, 'x', sizeof(long_sans) - 1);
	memcpy(long_sans, "DNS:", 4);
	buf_init(&pem, PEM_MAX);
	assert_int_equal(buf_puts(&pem, "before"), 0);
	for (size_t i = 0; i < LEN(v); i++) {
		print_message("refuses: %s\n", v[i].why);
		assert_int_equal(tls_mint(&v[i].m, &pem), v[i].err);
		assert_string_equal(buf_str(&pem), "before");
	}
	buf_clear(&pem);
	buf_init(&pem, 100); /* too small for a certificate */
	assert_int_equal(
	    tls_mint(&(struct tls_mint){ .cn = "a" }, &pem), E_LIMIT);
	assert_int_equal(pem.n, 0);
	buf_clear(&pem);
}

static void
pem_and_der_read_the_same(void **state)
{
	static const struct {
		const char *file;
		bool has_key;
	} v[] = { { "server.pem", true }, { "server.der", false } };
	struct tls_cert_brief b[2];
	char sans[8][128], why[200];
	size_t n, num_sans;
	bool has_key;

	(void)state;
	for (size_t i = 0; i < LEN(v); i++) {
		print_message("reads: %s\n", v[i].file);
		assert_int_equal(
		    tls_cert_read(at(v[i].file), &b[i], 1, &n, sans, 8,
			&num_sans, &has_key, why, sizeof(why)),
		    0);
		assert_int_equal(n, 1);
		assert_int_equal(num_sans, 3);
		assert_string_equal(sans[1], "URI:sip:example.com");
		assert_int_equal(has_key, v[i].has_key);
	}
	assert_memory_equal(&b[0], &b[1], sizeof(b[0]));
}

static void
the_good_certificates_of_a_damaged_file_are_read(void **state)
{
	struct tls_cert_brief b[4];
	char sans[2][128], why[200];
	size_t n, num_sans;
	bool has_key;
	struct buf f;

	(void)state;
	put_text("bad.pem",
	    "-----BEGIN CERTIFICATE-----\nMIIB\n"
	    "-----END CERTIFICATE-----\n");
	/* Cut off in the middle, as by a download that broke. */
	buf_init(&f, PEM_MAX);
	get("ca/ca.pem", &f);
	put("cut.pem", f.p, f.n / 2);
	buf_clear(&f);
	put_text("nl", "\n");
	JOIN("mixed.pem", "bad.pem", "server.pem", "cut.pem", "nl",
	    "device.pem");
	assert_int_equal(tls_cert_read(at("mixed.pem"), b, 4, &n, sans, 2,
			     &num_sans, &has_key, why, sizeof(why)),
	    0);
	assert_int_equal(n, 2);
	assert_string_equal(b[0].subject, "CN=sip.example");
	assert_non_null(strstr(b[1].subject, MAC));
	assert_int_equal(num_sans, 2); /* room for two of three */
	/* No more than there is room for. */
	assert_int_equal(tls_cert_read(at("mixed.pem"), b, 1, &n, sans, 0,
			     &num_sans, &has_key, why, sizeof(why)),
	    0);
	assert_int_equal(n, 1);
	assert_int_equal(num_sans, 0);
}

static void
broken_files_are_named(void **state)
{
	static const struct {
		const char *why, *file;
		int err;
	} v[] = {
		{ "not there", "absent.pem", ENOENT },
		{ "empty", "empty.pem", E_TLS_KEY },
		{ "no certificate at all", "words.pem", E_TLS_KEY },
		{ "a damaged block", "bad64.pem", E_TLS_KEY },
		{ "a block that does not end", "endless.pem", E_TLS_KEY },
		{ "a key only", "key.pem", E_TLS_KEY },
		{ "DER cut short", "short.der", E_TLS_KEY },
		{ "DER with something behind it", "long.der", E_TLS_KEY },
		{ "a folder", "ca", EISDIR },
	};
	struct tls_cert_brief b;
	char sans[1][128], why[300];
	size_t n = 7, num_sans = 7;
	bool has_key;
	struct buf der;

	(void)state;
	put_text("empty.pem", "");
	put_text("words.pem", "the dog ate my certificate\n");
	put_text("bad64.pem",
	    "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n");
	put_text("endless.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n");
	JOIN("key.pem", "ca/ca.key");
	buf_init(&der, PEM_MAX);
	get("server.der", &der);
	put("short.der", der.p, der.n - 1);
	assert_int_equal(buf_puts(&der, "x"), 0);
	put("long.der", der.p, der.n);
	buf_clear(&der);
	for (size_t i = 0; i < LEN(v); i++) {
		print_message("names: %s\n", v[i].why);
		why[0] = '\0';
		assert_int_equal(tls_cert_read(at(v[i].file), &b, 1, &n, sans,
				     1, &num_sans, &has_key, why, sizeof(why)),
		    v[i].err);
		assert_non_null(strstr(why, v[i].file));
		assert_int_equal(n, 7); /* untouched */
		assert_int_equal(num_sans, 7);
	}
}

static void
names_of_peers_are_escaped(void **state)
{
	char cn[64];
	struct tls_cert_brief b;
	X509 *c;

	(void)state;
	mint(NULL, TLS_MINT_SERVER, "a\x1b[2Jb\"\n", NULL, "esc.pem");
	c = cert_of("esc.pem", 0);
	tls_x509_brief(c, &b);
	assert_int_equal(tls_x509_cn(c, cn, sizeof(cn)), 0);
	for (const char *p = b.subject; *p != '\0'; p++)
		assert_true(*p >= ' ' && *p < 0x7f);
	for (const char *p = cn; *p != '\0'; p++)
		assert_true(*p >= ' ' && *p < 0x7f);
	X509_free(c);
}

static int
mint_once(void *arg)
{
	struct tls_mint m = {
		.ca_dir = arg, .kind = TLS_MINT_DEVICE, .cn = MAC
	};
	struct buf pem;
	int err;

	buf_init_secret(&pem, PEM_MAX);
	err = tls_mint(&m, &pem);
	buf_clear(&pem);
	return err;
}

static void
drop_line(enum log_level lv, enum log_cat cat, uint64_t id, const char *line,
    void *arg)
{
	(void)lv;
	(void)cat;
	(void)id;
	(void)line;
	(void)arg;
}

static void
minting_survives_every_failed_allocation(void **state)
{
	char dir[128];

	(void)state;
	(void)snprintf(dir, sizeof(dir), "%s", at("ca"));
	log_set_sink(drop_line, NULL); /* that the issuer could not be read */
	assert_true(oom_each(mint_once, dir) >= 2);
	log_set_sink(NULL, NULL);
}

/* The request that tls_csr() makes, read back; the caller frees it. */
static X509_REQ *
request_of(const struct tls_csr *c, struct buf *key)
{
	char why[200] = "";
	struct buf csr;
	X509_REQ *r;
	BIO *b;

	buf_init(&csr, PEM_MAX);
	if (tls_csr(c, &csr, key, why, sizeof(why)) != 0)
		fail_msg("%s", why);
	b = BIO_new_mem_buf(csr.p, (int)csr.n);
	r = PEM_read_bio_X509_REQ(b, NULL, NULL, NULL);
	assert_non_null(r);
	BIO_free(b);
	buf_clear(&csr);
	return r;
}

static void
a_request_is_signed_by_its_key(void **state)
{
	struct tls_csr c = { .mac = MAC };
	EVP_PKEY *k, *in;
	char why[200], subject[200];
	struct buf key, again;
	X509_REQ *r;

	(void)state;
	buf_init_secret(&key, PEM_MAX);
	r = request_of(&c, &key);
	tls_x509_name(X509_REQ_get_subject_name(r), subject, sizeof(subject));
	assert_string_equal(subject, "CN=" MAC ", serialNumber=" MAC);
	assert_int_equal(tls_key_parse(&k, key.p, key.n, why, 200), 0);
	in = X509_REQ_get_pubkey(r);
	assert_int_equal(X509_REQ_verify(r, in), 1);
	assert_int_equal(EVP_PKEY_cmp(in, k), 1);
	EVP_PKEY_free(in);
	X509_REQ_free(r);
	/* The same key again, for somebody else. */
	c.mac = NULL;
	c.cn = "owner";
	c.key = (struct slice){ (const char *)key.p, key.n };
	buf_init_secret(&again, PEM_MAX);
	r = request_of(&c, &again);
	tls_x509_name(X509_REQ_get_subject_name(r), subject, sizeof(subject));
	assert_string_equal(subject, "CN=owner");
	in = X509_REQ_get_pubkey(r);
	assert_int_equal(EVP_PKEY_cmp(in, k), 1);
	assert_string_equal(buf_str(&key), buf_str(&again));
	EVP_PKEY_free(in);
	EVP_PKEY_free(k);
	X509_REQ_free(r);
	/* It need not be written once more. */
	X509_REQ_free(request_of(&c, NULL));
	buf_clear(&again);
	buf_clear(&key);
}

static void
a_request_of_nonsense_is_refused_with_a_sentence(void **state)
{
	static char long_cn[80], long_sans[1100];
	static const char words[] = "the dog ate my key";
	const struct {
		const char *why;
		struct tls_csr c;
		int err;
		const char *word;
	} v[] = {
		{ "a MAC with colons", { .mac = "00:15:6d:00:00:01" }, EINVAL,
		    "12 lower-case" },
		{ "a MAC in capitals", { .mac = "00156D000001" }, EINVAL,
		    "12 lower-case" },
		{ "nobody", { .cn = "" }, EINVAL, "missing" },
		{ "names that are none", { .cn = "a", .sans = "x" }, EINVAL,
		    "no name" },
		{ "an address that is none", { .cn = "a", .sans = "IP:1.2" },
		    EINVAL, "addresses" },
		{ "a name longer than X.520 lets", { .cn = long_cn }, EINVAL,
		    "64" },
		{ "too many names", { .cn = "a", .sans = long_sans }, E_LIMIT,
		    "too many" },
		{ "a key that is none",
		    { .cn = "a", .key = { words, sizeof(words) } }, E_TLS_KEY,
		    "no private key" },
	};
	char why[200];
	struct buf csr, key;

	(void)state;
	memset(long_cn, 'x', sizeof(long_cn) - 1);
	memset(long_sans, 'x', sizeof(long_sans) - 1);
	memcpy(long_sans, "DNS:", 4);
	buf_init(&csr, PEM_MAX);
	buf_init_secret(&key, PEM_MAX);
	for (size_t i = 0; i < LEN(v); i++) {
		print_message("refuses: %s\n", v[i].why);
		why[0] = '\0';
		assert_int_equal(
		    tls_csr(&v[i].c, &csr, &key, why, sizeof(why)), v[i].err);
		assert_non_null(strstr(why, v[i].word));
		assert_int_equal(csr.n, 0);
		assert_int_equal(key.n, 0);
	}
	buf_clear(&csr);
	buf_clear(&key);
}

static int
csr_once(void *arg)
{
	struct tls_csr c = { .mac = arg };
	struct buf csr, key;
	char why[200];
	int err;

	buf_init(&csr, PEM_MAX);
	buf_init_secret(&key, PEM_MAX);
	err = tls_csr(&c, &csr, &key, why, sizeof(why));
	buf_clear(&csr);
	buf_clear(&key);
	return err;
}

static void
a_request_survives_every_failed_allocation(void **state)
{
	static char mac[] = MAC;

	(void)state;
	assert_true(oom_each(csr_once, mac) >= 1);
}

/* The ends that matter: of 32-bit time_t, of UTCTime, of all time (RFC 5280
 * 4.1.2.5); also in a build where time_t has 32 bits. */
static void
dates_are_right_at_every_boundary(void **state)
{
	static const struct {
		const char *why;
		int64_t s;
		int type;
		const char *text;
	} v[] = {
		{ "the last second of 32 bits", INT64_C(2147483647),
		    V_ASN1_UTCTIME, "380119031407Z" },
		{ "the first beyond", INT64_C(2147483648), V_ASN1_UTCTIME,
		    "380119031408Z" },
		{ "the last of UTCTime", UTC_TIMES_S, V_ASN1_UTCTIME,
		    "491231235959Z" },
		{ "the first of GeneralizedTime", UTC_TIMES_S + 1,
		    V_ASN1_GENERALIZEDTIME, "20500101000000Z" },
		{ "thirty years from 2026", INT64_C(2742336000),
		    V_ASN1_GENERALIZEDTIME, "20561125000000Z" },
		{ "beyond 32 bits without a sign", INT64_C(4294967296),
		    V_ASN1_GENERALIZEDTIME, "21060207062816Z" },
		{ "a leap day of a century", INT64_C(13574563200),
		    V_ASN1_GENERALIZEDTIME, "24000229000000Z" },
		{ "no end", FOREVER_S, V_ASN1_GENERALIZEDTIME,
		    "99991231235959Z" },
	};
	struct tls_cert_brief b;
	const ASN1_TIME *t;
	X509 *c;

	(void)state;
	for (size_t i = 0; i < LEN(v); i++) {
		print_message("dates: %s\n", v[i].why);
		mint_as((struct tls_mint){ .kind = TLS_MINT_DEVICE,
			    .cn = MAC,
			    .not_after_s = v[i].s },
		    "ca", "dates.pem");
		c = cert_of("dates.pem", 0);
		t = X509_get0_notAfter(c);
		assert_int_equal(ASN1_STRING_type(t), v[i].type);
		assert_int_equal(ASN1_STRING_length(t), strlen(v[i].text));
		assert_memory_equal(
		    ASN1_STRING_get0_data(t), v[i].text, strlen(v[i].text));
		tls_x509_brief(c, &b);
		assert_true(b.not_after_s == v[i].s);
		X509_free(c);
	}
}

static void
a_ca_of_tiers_issues_from_the_lowest(void **state)
{
	static const char *const names[3][3] = { { "ca" }, { "root", "ca" },
		{ "root", "policy", "ca" } };
	struct tls_ca c = { .cn = "Tiers" };
	struct tls_issuers got;
	struct buf pem, der;
	char dir[128], file[64], why[200];
	struct stat st;
	X509 *x, *above;

	(void)state;
	for (c.tiers = 1; c.tiers <= 3; c.tiers++) {
		(void)snprintf(file, sizeof(file), "tiers%d", c.tiers);
		(void)snprintf(dir, sizeof(dir), "%s", at(file));
		c.dir = dir;
		c.key_bits = c.tiers == 2 ? 384 : 0;
		assert_int_equal(tls_ca_make(&c), 0);
		assert_int_equal(stat(dir, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0700);
		above = NULL;
		for (int i = 0; i < c.tiers; i++) {
			(void)snprintf(file, sizeof(file), "tiers%d/%s.pem",
			    c.tiers, names[c.tiers - 1][i]);
			x = cert_of(file, 0);
			assert_int_equal(X509_check_ca(x), 1);
			assert_int_equal(X509_get_pathlen(x),
			    c.tiers == 1 ? -1 : c.tiers - 1 - i);
			assert_int_equal(X509_get_key_usage(x),
			    KU_KEY_CERT_SIGN | KU_CRL_SIGN);
			assert_true(is_signed_by(x, above != NULL ? above : x));
			assert_int_equal(X509_get_signature_nid(x),
			    c.tiers == 2 ? NID_ecdsa_with_SHA384
					 : NID_ecdsa_with_SHA256);
			X509_free(above);
			above = x;
		}
		(void)snprintf(file, sizeof(file), "tiers%d", c.tiers);
		mint(file, TLS_MINT_DEVICE, MAC, NULL, "tiered.pem");
		x = cert_of("tiered.pem", 0);
		assert_true(is_signed_by(x, above));
		X509_free(x);
		X509_free(above);
		buf_init(&pem, PEM_MAX);
		buf_init(&der, PEM_MAX);
		assert_int_equal(
		    tls_ca_issuers(dir, &got, &pem, &der, why, sizeof(why)), 0);
		assert_int_equal(got.num, c.tiers);
		assert_true(got.complete);
		assert_true(pem.n > 0 && der.n > 0);
		buf_clear(&pem);
		buf_clear(&der);
		assert_int_equal(tls_ca_make(&c), EEXIST);
	}
	/* A policy CA alone is in the way too. */
	folder("half3");
	JOIN("half3/policy.key", "tiers3/policy.key");
	(void)snprintf(dir, sizeof(dir), "%s", at("half3"));
	c.dir = dir;
	c.tiers = 3;
	assert_int_equal(tls_ca_make(&c), EEXIST);
	c.tiers = 4;
	assert_int_equal(tls_ca_make(&c), EINVAL);
	assert_int_equal(
	    tls_ca_issuers(at("none"), &got, &pem, &der, why, sizeof(why)),
	    ENOENT);
	assert_non_null(strstr(why, "ca.pem"));
}

static int
tiers_once(void *arg)
{
	struct tls_ca c = { .dir = arg, .cn = "OOM", .tiers = 3 };
	static const char *const files[] = { "root", "policy", "ca", "chain" };
	char path[200];

	for (size_t i = 0; i < LEN(files); i++) {
		(void)snprintf(
		    path, sizeof(path), "%s/%s.pem", c.dir, files[i]);
		(void)unlink(path);
		(void)snprintf(
		    path, sizeof(path), "%s/%s.key", c.dir, files[i]);
		(void)unlink(path);
	}
	return tls_ca_make(&c);
}

static void
a_ca_survives_every_failed_allocation(void **state)
{
	char dir[128];

	(void)state;
	(void)snprintf(dir, sizeof(dir), "%s", at("oom"));
	assert_true(oom_each(tiers_once, dir) >= 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ca_signs_and_is_not_replaced),
		cmocka_unit_test(a_ca_of_nonsense_is_refused),
		cmocka_unit_test(a_device_certificate_carries_its_mac),
		cmocka_unit_test(a_server_certificate_carries_its_names),
		cmocka_unit_test(the_chain_is_minted_without_its_root),
		cmocka_unit_test(knobs_of_minting_do_what_they_say),
		cmocka_unit_test(
		    fresh_certificates_are_valid_at_clock_and_floor),
		cmocka_unit_test(names_are_checked_before_they_are_minted),
		cmocka_unit_test(minting_nonsense_leaves_the_buffer_alone),
		cmocka_unit_test(pem_and_der_read_the_same),
		cmocka_unit_test(
		    the_good_certificates_of_a_damaged_file_are_read),
		cmocka_unit_test(broken_files_are_named),
		cmocka_unit_test(names_of_peers_are_escaped),
		cmocka_unit_test(minting_survives_every_failed_allocation),
		cmocka_unit_test(dates_are_right_at_every_boundary),
		cmocka_unit_test(a_ca_of_tiers_issues_from_the_lowest),
		cmocka_unit_test(a_ca_survives_every_failed_allocation),
		cmocka_unit_test(a_request_is_signed_by_its_key),
		cmocka_unit_test(
		    a_request_of_nonsense_is_refused_with_a_sentence),
		cmocka_unit_test(a_request_survives_every_failed_allocation),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
