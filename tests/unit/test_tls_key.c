/* SPDX-License-Identifier: ISC */
/* Identities: what belongs together is loaded, all else is refused with a
 * sentence and leaves in use what was. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/bio.h>
#include <openssl/ec_key.h>
#include <openssl/pem.h>
#include <openssl/pkcs8.h>
#include <openssl/rsa.h>

#include "oom.h"
#include "test_tls.h"

static char last_line[512];
static size_t num_lines;

static void
on_line(enum log_level lv, enum log_cat cat, uint64_t id, const char *line,
    void *arg)
{
	(void)lv;
	(void)cat;
	(void)id;
	(void)arg;
	(void)snprintf(last_line, sizeof(last_line), "%s", line);
	num_lines++;
}

/* What a file holds. */
static void
slot_get(struct tls_slot *s, const char *from)
{
	char why[200];
	struct buf b;

	memset(s, 0, sizeof(*s));
	buf_init(&b, PEM_MAX);
	get(from, &b);
	assert_int_equal(tls_slot_parse(s, b.p, b.n, why, sizeof(why)), 0);
	buf_clear(&b);
}

/* Splits a minted file; the form of the key is that of old tools (SEC 1,
 * PKCS #1). */
static void
split(const char *from, const char *cert, const char *key)
{
	struct tls_slot s;
	BIO *bio = BIO_new(BIO_s_mem());
	const uint8_t *p;
	X509 *c = cert_of(from, 0);
	size_t n;

	slot_get(&s, from);
	if (EVP_PKEY_id(s.key) == EVP_PKEY_EC)
		assert_int_equal(
		    PEM_write_bio_ECPrivateKey(bio, EVP_PKEY_get0_EC_KEY(s.key),
			NULL, NULL, 0, NULL, NULL),
		    1);
	else
		assert_int_equal(
		    PEM_write_bio_RSAPrivateKey(bio, EVP_PKEY_get0_RSA(s.key),
			NULL, NULL, 0, NULL, NULL),
		    1);
	assert_true(BIO_mem_contents(bio, &p, &n));
	put(key, p, n);
	BIO_free(bio);
	bio = BIO_new(BIO_s_mem());
	assert_int_equal(PEM_write_bio_X509(bio, c), 1);
	assert_true(BIO_mem_contents(bio, &p, &n));
	put(cert, p, n);
	BIO_free(bio);
	X509_free(c);
	tls_slot_clear(&s);
}

static int
group_setup(void **state)
{
	struct tls_mint rsa = {
		.kind = TLS_MINT_DEVICE, .cn = MAC, .rsa_bits = 2048
	};

	(void)state;
	scratch_open();
	ca("ca", "Test CA");
	sub_ca("ca", "sub", "Test Issuer");
	mint("ca", TLS_MINT_DEVICE, MAC, NULL, "ec.pem");
	mint("ca", TLS_MINT_DEVICE, "00156d000002", NULL, "other.pem");
	mint("sub", TLS_MINT_DEVICE, MAC, NULL, "chain.pem");
	mint_as(rsa, "ca", "rsa.pem");
	split("ec.pem", "ec.crt", "ec.key");
	split("other.pem", "other.crt", "other.key");
	split("rsa.pem", "rsa.crt", "rsa.key");
	split("chain.pem", "chain.crt", "chain.key");
	split("sub/ca.pem", "sub.crt", "sub.key");
	put_text("encrypted.key",
	    "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n"
	    "-----END ENCRYPTED PRIVATE KEY-----\n");
	put_text("old-encrypted.key",
	    "-----BEGIN EC PRIVATE KEY-----\n"
	    "Proc-Type: 4,ENCRYPTED\n"
	    "DEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\n"
	    "MIIB\n-----END EC PRIVATE KEY-----\n");
	put_text("broken.key",
	    "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n");
	put_text("bad64.key",
	    "-----BEGIN PRIVATE KEY-----\n%%%%\n-----END PRIVATE KEY-----\n");
	put_text("public.key",
	    "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n");
	put_text("broken.crt",
	    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
	put_text("words", "The dog ate my certificate.\n");
	put_text("empty", "");
	put_text("params",
	    "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n"
	    "-----END EC PARAMETERS-----\n");
	return 0;
}

static int
group_teardown(void **state)
{
	(void)state;
	scratch_close();
	return 0;
}

/* Joins the files of a case; returns the path. */
static const char *
assemble(const char *const *files)
{
	join("case.pem", files);
	return at("case.pem");
}

/* Parses the files of a case. */
static int
parse(struct tls_slot *s, const char *const *files, char why[200])
{
	struct buf b;
	int err;

	(void)assemble(files);
	buf_init(&b, PEM_MAX);
	get("case.pem", &b);
	why[0] = '\0';
	err = tls_slot_parse(s, b.p, b.n, why, 200);
	buf_clear(&b);
	return err;
}

static void
what_belongs_together_loads_in_any_order(void **state)
{
	static const struct {
		const char *why;
		const char *files[6];
		const char *cn;
		size_t num; /* certificates to send */
		int type;
	} v[] = {
		{ "as minted", { "ec.pem" }, MAC, 1, EVP_PKEY_EC },
		{ "certificate, key", { "ec.crt", "ec.key" }, MAC, 1,
		    EVP_PKEY_EC },
		{ "key, certificate", { "ec.key", "ec.crt" }, MAC, 1,
		    EVP_PKEY_EC },
		{ "as openssl ecparam -genkey prints it",
		    { "params", "ec.key", "ec.crt" }, MAC, 1, EVP_PKEY_EC },
		{ "RSA", { "rsa.key", "rsa.crt" }, MAC, 1, EVP_PKEY_RSA },
		{ "words between", { "words", "ec.crt", "words", "ec.key" },
		    MAC, 1, EVP_PKEY_EC },
		{ "with its chain", { "chain.pem" }, MAC, 2, EVP_PKEY_EC },
		{ "the chain first, and the root, which is not sent",
		    { "ca/ca.pem", "sub.crt", "chain.key", "chain.crt" }, MAC,
		    2, EVP_PKEY_EC },
		{ "a certificate of somebody else beside it",
		    { "other.crt", "ec.crt", "ec.key" }, MAC, 1, EVP_PKEY_EC },
		{ "the first key counts", { "ec.key", "other.key", "ec.crt" },
		    MAC, 1, EVP_PKEY_EC },
		{ "an encrypted copy of the key beside it",
		    { "encrypted.key", "ec.pem" }, MAC, 1, EVP_PKEY_EC },
	};
	struct tls_slot s;
	char why[200];

	(void)state;
	memset(&s, 0, sizeof(s));
	for (size_t i = 0; i < LEN(v); i++) {
		print_message("loads: %s\n", v[i].why);
		if (parse(&s, v[i].files, why) != 0)
			fail_msg("%s", why);
		assert_string_equal(s.cn, v[i].cn);
		assert_int_equal(s.num, v[i].num);
		assert_int_equal(EVP_PKEY_id(s.key), v[i].type);
		assert_non_null(strstr(s.brief.subject, v[i].cn));
		assert_string_equal(s.error, "");
		assert_int_equal(
		    tls_identity_check(assemble(v[i].files), why, 200), 0);
	}
	tls_slot_clear(&s);
}

static void
what_does_not_is_refused_by_its_class(void **state)
{
	static const struct {
		const char *why;
		const char *files[4];
		const char *class, *word;
	} v[] = {
		{ "the key of another certificate", { "ec.crt", "other.key" },
		    "[key.mismatch]", "do not belong together" },
		{ "an RSA key, an EC certificate", { "ec.crt", "rsa.key" },
		    "[key.mismatch]", "issued for this key" },
		{ "an EC key, an RSA certificate", { "rsa.crt", "ec.key" },
		    "[key.mismatch]", "issued for this key" },
		{ "the key of the issuer", { "chain.crt", "sub.key" },
		    "[key.mismatch]", "issued for this key" },
		{ "encrypted, PKCS #8", { "ec.crt", "encrypted.key" },
		    "[key.encrypted]", "passphrase" },
		{ "encrypted, the old form", { "ec.crt", "old-encrypted.key" },
		    "[key.encrypted]", "passphrase" },
		{ "a public key", { "ec.crt", "public.key" },
		    "[key.unreadable]", "no private key" },
		{ "no key", { "ec.crt" }, "[key.unreadable]",
		    "no private key" },
		{ "no certificate", { "ec.key" }, "[key.unreadable]",
		    "no certificate" },
		{ "a key that is none", { "ec.crt", "broken.key" },
		    "[key.unreadable]", "damaged" },
		{ "a key that is not base64", { "ec.crt", "bad64.key" },
		    "[key.unreadable]", "damaged" },
		{ "a damaged certificate beside a good pair",
		    { "ec.pem", "broken.crt" }, "[key.unreadable]", "damaged" },
		{ "words", { "words" }, "[key.unreadable]", "no certificate" },
		{ "nothing", { "empty" }, "[key.unreadable]",
		    "no certificate" },
	};
	struct tls_slot s;
	char why[200];

	(void)state;
	memset(&s, 0, sizeof(s));
	assert_int_equal(
	    parse(&s, (const char *const[]){ "other.pem", NULL }, why), 0);
	for (size_t i = 0; i < LEN(v); i++) {
		print_message("refuses: %s\n", v[i].why);
		assert_int_equal(parse(&s, v[i].files, why), E_TLS_KEY);
		assert_non_null(strstr(why, v[i].class));
		assert_non_null(strstr(why, v[i].word));
		/* What was loaded before stays. */
		assert_string_equal(s.cn, "00156d000002");
		why[0] = '\0';
		assert_int_equal(
		    tls_identity_check(assemble(v[i].files), why, 200),
		    E_TLS_KEY);
		assert_non_null(strstr(why, v[i].class));
	}
	tls_slot_clear(&s);
}

static void
a_file_that_cannot_be_read_is_named(void **state)
{
	char why[200] = "";

	(void)state;
	assert_int_equal(
	    tls_identity_check(at("absent.pem"), why, sizeof(why)), ENOENT);
	assert_non_null(strstr(why, "absent.pem"));
}

static void
too_many_certificates_are_refused(void **state)
{
	const char *files[19];
	struct tls_slot s;
	char why[200];

	(void)state;
	memset(&s, 0, sizeof(s));
	for (size_t i = 0; i < 17; i++)
		files[i] = "other.crt";
	files[17] = "ec.pem";
	files[18] = NULL;
	assert_int_equal(parse(&s, files, why), E_LIMIT);
	assert_non_null(strstr(why, "too many"));
	assert_int_equal(s.num, 0);
}

/* Two files, as many tools leave them; the sentence names the right one. */
static void
two_files_make_one_identity(void **state)
{
	struct tls_slot s;

	(void)state;
	memset(&s, 0, sizeof(s));
	log_set_sink(on_line, NULL);
	assert_int_equal(tls_slot_load(&s, at("ec.crt"), at("ec.key")), 0);
	assert_string_equal(s.cn, MAC);
	assert_int_equal(
	    tls_slot_load(&s, at("ec.crt"), at("other.key")), E_TLS_KEY);
	assert_non_null(strstr(s.error, "other.key"));
	assert_non_null(strstr(s.error, "[key.mismatch]"));
	assert_non_null(strstr(last_line, "[key.mismatch]"));
	assert_int_equal(
	    tls_slot_load(&s, at("ec.crt"), at("absent.key")), E_TLS_KEY);
	assert_non_null(strstr(s.error, "absent.key"));
	assert_non_null(strstr(s.error, "[key.unreadable]"));
	assert_string_equal(s.cn, MAC); /* still in use */
	assert_int_equal(s.num, 1);
	/* Loaded again: no error any more. */
	assert_int_equal(tls_slot_load(&s, at("ec.crt"), at("ec.key")), 0);
	assert_string_equal(s.error, "");
	/* The certificate is gone: so is the identity. */
	assert_int_equal(
	    tls_slot_load(&s, at("absent.crt"), at("ec.key")), ENOENT);
	assert_int_equal(s.num, 0);
	assert_null(s.key);
	log_set_sink(NULL, NULL);
}

static void
a_key_that_others_may_read_is_reported(void **state)
{
	struct tls_slot s;

	(void)state;
	memset(&s, 0, sizeof(s));
	JOIN("open.pem", "ec.pem");
	log_set_level(LOGL_WARN);
	log_set_sink(on_line, NULL);
	num_lines = 0;
	assert_int_equal(tls_slot_load(&s, at("open.pem"), NULL), 0);
	assert_int_equal(num_lines, 0);
	assert_int_equal(chmod(at("open.pem"), 0640), 0);
	assert_int_equal(tls_slot_load(&s, at("open.pem"), NULL), 0);
	assert_int_equal(num_lines, 1);
	assert_non_null(strstr(last_line, "open.pem"));
	assert_non_null(strstr(last_line, "0640"));
	log_set_sink(NULL, NULL);
	log_set_level(LOGL_ERR);
	tls_slot_clear(&s);
}

/* Loads a device identity into an environment, then spoils it. */
static void
a_bad_upload_leaves_the_identity_in_use(void **state)
{
	struct tls_env_conf c = { .builtin_file = "" };
	struct tls_cert_brief b;
	struct tls_env *e;
	struct loop *l;
	char id[128], cn[64];

	(void)state;
	folder("id");
	(void)snprintf(id, sizeof(id), "%s", at("id"));
	c.identity_dir = id;
	JOIN("id/device.crt", "ec.crt");
	JOIN("id/device.key", "ec.key");
	log_set_sink(on_line, NULL);
	assert_int_equal(loop_new(&l), 0);
	assert_int_equal(tls_env_new(&e, l, &c), 0);
	assert_true(tls_env_has_identity(e, TLS_ID_FACTORY));
	assert_false(tls_env_has_identity(e, TLS_ID_SIP_OWNER));
	assert_false(tls_env_has_identity(e, TLS_ID_MAX));
	assert_int_equal(
	    tls_env_identity_cn(e, TLS_ID_FACTORY, cn, sizeof(cn)), 0);
	assert_string_equal(cn, MAC);
	assert_int_equal(
	    tls_env_identity_cn(e, TLS_ID_SIP_OWNER, cn, sizeof(cn)),
	    E_TLS_KEY);
	assert_int_equal(
	    tls_env_identity_brief(e, TLS_ID_SERVER, &b), E_TLS_KEY);
	JOIN("id/device.key", "other.key");
	tls_env_reload(e);
	assert_non_null(strstr(
	    tls_env_identity_error(e, TLS_ID_FACTORY), "[key.mismatch]"));
	assert_int_equal(
	    tls_env_identity_cn(e, TLS_ID_FACTORY, cn, sizeof(cn)), 0);
	assert_string_equal(cn, MAC);
	/* One file wins over two. */
	JOIN("id/device.pem", "other.pem");
	tls_env_reload(e);
	assert_string_equal(tls_env_identity_error(e, TLS_ID_FACTORY), "");
	assert_int_equal(tls_env_identity_brief(e, TLS_ID_FACTORY, &b), 0);
	assert_non_null(strstr(b.subject, "00156d000002"));
	assert_string_equal(b.issuer, "CN=Test CA");
	tls_env_free(e);
	loop_free(l);
	log_set_sink(NULL, NULL);
}

static void
what_servers_need_is_kept_beside_what_is_sent(void **state)
{
	static const struct {
		const char *why;
		const char *files[4];
		int err;
		size_t num;
		bool complete;
	} v[] = {
		{ "with the root", { "chain.pem", "ca/ca.pem" }, 0, 2, true },
		{ "root first", { "ca/ca.pem", "chain.pem" }, 0, 2, true },
		{ "without", { "chain.pem" }, 0, 1, false },
		{ "the root alone above", { "ec.pem", "ca/ca.pem" }, 0, 1,
		    true },
		{ "a leaf alone", { "ec.pem" }, E_TLS_TRUST, 0, false },
		{ "signed by itself", { "self.pem" }, 0, 1, true },
	};
	struct tls_env_conf c = { .builtin_file = "" };
	struct tls_issuers got;
	struct buf pem, der;
	struct tls_env *e;
	struct loop *l;
	char id[128];

	(void)state;
	mint(NULL, TLS_MINT_DEVICE, MAC, NULL, "self.pem");
	folder("needs");
	(void)snprintf(id, sizeof(id), "%s", at("needs"));
	c.identity_dir = id;
	assert_int_equal(loop_new(&l), 0);
	assert_int_equal(tls_env_new(&e, l, &c), 0);
	buf_init(&pem, PEM_MAX);
	buf_init(&der, PEM_MAX);
	assert_int_equal(
	    tls_env_issuers(e, TLS_ID_FACTORY, &got, &pem, &der), E_TLS_KEY);
	for (size_t i = 0; i < LEN(v); i++) {
		print_message("needs: %s\n", v[i].why);
		join("needs/device.pem", v[i].files);
		tls_env_reload(e);
		buf_reset(&pem);
		buf_reset(&der);
		memset(&got, 0, sizeof(got));
		assert_int_equal(
		    tls_env_issuers(e, TLS_ID_FACTORY, &got, &pem, &der),
		    v[i].err);
		assert_int_equal(got.num, v[i].num);
		assert_int_equal(got.complete, v[i].complete);
		assert_int_equal(pem.n > 0 && der.n > 0, v[i].err == 0);
	}
	buf_clear(&pem);
	buf_clear(&der);
	tls_env_free(e);
	loop_free(l);
}

/* Writes the identity of `from` as PKCS #12, as old and new tools do. */
static void
put_p12_rounds(
    const char *from, const char *password, int nid, int rounds, const char *to)
{
	STACK_OF(X509) *sk = sk_X509_new_null();
	BIO *bio = BIO_new(BIO_s_mem());
	const uint8_t *p;
	struct tls_slot s;
	X509 *leaf = cert_of(from, 0);
	PKCS12 *p12;
	size_t n;

	slot_get(&s, from);
	for (size_t i = 1; i < s.num; i++)
		assert_true(sk_X509_push(sk, tls_x509_of(s.certs[i])) != 0);
	p12 = PKCS12_create(
	    password, NULL, s.key, leaf, sk, nid, nid, rounds, rounds, 0);
	assert_non_null(p12);
	assert_int_equal(i2d_PKCS12_bio(bio, p12), 1);
	assert_true(BIO_mem_contents(bio, &p, &n));
	put(to, p, n);
	PKCS12_free(p12);
	X509_free(leaf);
	BIO_free(bio);
	sk_X509_pop_free(sk, X509_free);
	tls_slot_clear(&s);
}

static void
put_p12(const char *from, const char *password, int nid, const char *to)
{
	put_p12_rounds(from, password, nid, 0, to);
}

/* The loop waits for what opens a PKCS #12 file: little of it, and once. */
static void
pkcs12_does_not_hold_the_loop(void **state)
{
	static const struct {
		int rounds;
		uint64_t sum;
		const char *word;
	} v[] = {
		{ 2048, 3 * 2048, NULL },
		{ 6666, 19998, NULL },
		{ 6667, 20001, "takes 20001 rounds" },
		{ 1000000, 3000000, "cert import takes it" },
	};
	static const char indefinite[] = "\x30\x80\x02\x01\x03\0\0";
	struct tls_slot s;
	EVP_PKEY *key;
	uint64_t sum;
	struct buf b;

	(void)state;
	memset(&s, 0, sizeof(s));
	folder("rounds");
	put_text("rounds/me.pass", "x");
	log_set_sink(on_line, NULL);
	for (size_t i = 0; i < LEN(v); i++) {
		put_p12_rounds("chain.pem", "x",
		    NID_pbe_WithSHA1And3_Key_TripleDES_CBC, v[i].rounds,
		    "rounds/me.p12");
		buf_init(&b, 65536);
		assert_int_equal(file_read(at("rounds/me.p12"), &b), 0);
		assert_int_equal(tls_p12_rounds(b.p, b.n, &sum), 0);
		assert_int_equal(sum, v[i].sum);
		for (size_t n = 0; n < b.n; n++)
			assert_int_equal(tls_p12_rounds(b.p, n, &sum), E_PARSE);
		buf_clear(&b);
		s.error[0] = '\0';
		key = s.key;
		assert_int_equal(tls_slot_load_forms(&s, at("rounds/me.pem")),
		    v[i].word != NULL ? E_TLS_KEY : 0);
		if (v[i].word != NULL) {
			assert_non_null(strstr(s.error, v[i].word));
			assert_ptr_equal(s.key, key);
			continue;
		}
		key = s.key;
		assert_int_equal(
		    tls_slot_load_forms(&s, at("rounds/me.pem")), 0);
		assert_ptr_equal(s.key, key); /* not opened again */
	}
	put_text("rounds/me.pass", "y");
	put("rounds/me.p12", indefinite, sizeof(indefinite) - 1);
	assert_int_equal(
	    tls_slot_load_forms(&s, at("rounds/me.pem")), E_TLS_KEY);
	assert_non_null(strstr(s.error, "not DER"));
	log_set_sink(NULL, NULL);
	tls_slot_clear(&s);
}

static void
the_first_form_that_is_there_counts(void **state)
{
	static const struct {
		const char *why;
		const char *from, *to; /* a file that is put there, or .. */
		const char *gone;      /* .. one that is removed */
		int err;
		const char *cn, *word;
	} v[] = {
		{ "nothing", NULL, NULL, NULL, ENOENT, "", "" },
		{ "a pair", "ec.crt", "forms/me.crt", NULL, E_TLS_KEY, "",
		    "[key.unreadable]" },
		{ "with its key", "ec.key", "forms/me.key", NULL, 0, MAC, "" },
		{ "PKCS #12 without password", "three.p12", "forms/me.p12",
		    NULL, E_TLS_KEY, MAC, "me.pass" },
		{ "with another", "words", "forms/me.pass", NULL, E_TLS_KEY,
		    MAC, "[key.encrypted]" },
		{ "with its own", "sesame", "forms/me.pass", NULL, 0, MAC, "" },
		{ "one that is damaged", "words", "forms/me.p12", NULL,
		    E_TLS_KEY, MAC, "[key.unreadable]" },
		{ "PEM before it", "other.pem", "forms/me.pem", NULL, 0,
		    "00156d000002", "" },
		{ "without it", NULL, NULL, "forms/me.pem", E_TLS_KEY,
		    "00156d000002", "[key.unreadable]" },
		{ "the pair again", NULL, NULL, "forms/me.p12", 0, MAC, "" },
	};
	struct tls_slot s;

	(void)state;
	memset(&s, 0, sizeof(s));
	folder("forms");
	put_text("sesame", "open sesame\r\n");
	put_p12("chain.pem", "open sesame",
	    NID_pbe_WithSHA1And3_Key_TripleDES_CBC, "three.p12");
	log_set_sink(on_line, NULL);
	for (size_t i = 0; i < LEN(v); i++) {
		print_message("forms: %s\n", v[i].why);
		if (v[i].from != NULL)
			JOIN(v[i].to, v[i].from);
		if (v[i].gone != NULL)
			assert_int_equal(unlink(at(v[i].gone)), 0);
		s.error[0] = '\0';
		assert_int_equal(
		    tls_slot_load_forms(&s, at("forms/me.pem")), v[i].err);
		assert_string_equal(s.cn, v[i].cn);
		assert_non_null(strstr(s.error, v[i].word));
	}
	log_set_sink(NULL, NULL);
	tls_slot_clear(&s);
}

static int
load_forms_once(void *arg)
{
	struct tls_slot s;
	int err;

	memset(&s, 0, sizeof(s));
	err = tls_slot_load_forms(&s, arg);
	tls_slot_clear(&s);
	return err;
}

static void
pkcs12_survives_every_failed_allocation(void **state)
{
	char path[128];

	(void)state;
	folder("p12oom");
	JOIN("p12oom/me.p12", "three.p12");
	JOIN("p12oom/me.pass", "sesame");
	(void)snprintf(path, sizeof(path), "%s", at("p12oom/me.pem"));
	log_set_sink(on_line, NULL);
	assert_true(oom_each(load_forms_once, path) >= 1);
	log_set_sink(NULL, NULL);
}

static int
load_once(void *arg)
{
	struct tls_slot s;
	int err;

	memset(&s, 0, sizeof(s));
	err = tls_slot_load(&s, arg, NULL);
	tls_slot_clear(&s);
	return err;
}

static void
loading_survives_every_failed_allocation(void **state)
{
	char path[128];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s", at("chain.pem"));
	log_set_sink(on_line, NULL);
	assert_true(oom_each(load_once, path) >= 1);
	log_set_sink(NULL, NULL);
}

#define URI "pkcs11:token=t;object=o?pin-source=/p"

static void
a_uri_takes_the_place_of_a_key(void **state)
{
	static const struct {
		const char *files[4];
		const char *word; /* of the refusal; NULL: loaded */
	} v[] = {
		{ { "ec.crt", "uri" }, NULL },
		{ { "uri", "chain.crt" }, NULL },
		{ { "ec.crt", "pin-in-uri" }, "has the PIN in it" },
		{ { "ec.crt", "bad-uri" }, "says twice 'token'" },
		{ { "uri" }, "no certificate" },
	};
	struct tls_slot s;
	char why[200], path[128];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s", at("token.pem"));
	put_text("uri", "\n \t" URI " \r\n");
	put_text("pin-in-uri", "pkcs11:token=t?pin-value=4711\n");
	put_text("bad-uri", "pkcs11:token=t;token=u\n");
	memset(&s, 0, sizeof(s));
	for (size_t i = 0; i < LEN(v); i++) {
		bool good = v[i].word == NULL;

		assert_int_equal(
		    parse(&s, v[i].files, why), good ? 0 : E_TLS_KEY);
		if (!good && strstr(why, v[i].word) == NULL)
			fail_msg("row %zu: %s", i, why);
		assert_null(strstr(why, "4711"));
		assert_null(s.key);
		assert_string_equal(s.uri, URI);
		assert_true(s.num > 0);
	}
	/* The key itself is there too: it is used. */
	assert_int_equal(
	    parse(&s, (const char *const[]){ "uri", "ec.pem", NULL }, why), 0);
	assert_non_null(s.key);
	assert_null(s.uri);
	tls_slot_clear(&s);
	JOIN("token.pem", "ec.crt", "uri");
	log_set_sink(on_line, NULL);
	assert_true(oom_each(load_once, path) >= 1);
	log_set_sink(NULL, NULL);
}

#ifdef HAVE_PKCS11
/* What is wrong with a token shows in its slot; one that nobody asks is shown,
 * and not used. */
static void
a_token_that_cannot_be_asked_is_told_of(void **state)
{
	struct tls_env_conf c = { .builtin_file = "" };
	struct tls_env *e;
	struct loop *l;

	(void)state;
	folder("tok");
	JOIN("tok/device.crt", "ec.crt");
	put_text("tok/device.key", URI "\n");
	c.identity_dir = at("tok");
	log_set_sink(on_line, NULL);
	assert_int_equal(loop_new(&l), 0);
	assert_int_equal(tls_env_new(&e, l, &c), 0);
	assert_true(tls_env_has_identity(e, TLS_ID_FACTORY));
	assert_string_equal(tls_env_identity_token(e, TLS_ID_FACTORY), URI);
	assert_string_equal(tls_env_identity_error(e, TLS_ID_FACTORY), "");
	tls_env_free(e);

	c.pkcs11_module = "/nowhere/p11-kit-client.so";
	c.pkcs11_server = "unix:path=/nowhere";
	assert_int_equal(tls_env_new(&e, l, &c), 0);
	assert_int_equal(loop_run(l), 0);
	assert_false(tls_env_has_identity(e, TLS_ID_FACTORY));
	assert_string_equal(tls_env_identity_token(e, TLS_ID_FACTORY), "");
	assert_non_null(
	    strstr(tls_env_identity_error(e, TLS_ID_FACTORY), "[key.token]"));
	assert_non_null(strstr(last_line, "key in token cannot be used"));
	/* A reload asks again; to free it all meanwhile is safe. */
	tls_env_reload(e);
	tls_env_free(e);
	loop_free(l);
	log_set_sink(NULL, NULL);
}
#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_belongs_together_loads_in_any_order),
		cmocka_unit_test(what_does_not_is_refused_by_its_class),
		cmocka_unit_test(a_file_that_cannot_be_read_is_named),
		cmocka_unit_test(too_many_certificates_are_refused),
		cmocka_unit_test(two_files_make_one_identity),
		cmocka_unit_test(a_key_that_others_may_read_is_reported),
		cmocka_unit_test(a_bad_upload_leaves_the_identity_in_use),
		cmocka_unit_test(what_servers_need_is_kept_beside_what_is_sent),
		cmocka_unit_test(pkcs12_does_not_hold_the_loop),
		cmocka_unit_test(the_first_form_that_is_there_counts),
		cmocka_unit_test(pkcs12_survives_every_failed_allocation),
		cmocka_unit_test(loading_survives_every_failed_allocation),
		cmocka_unit_test(a_uri_takes_the_place_of_a_key),
#ifdef HAVE_PKCS11
		cmocka_unit_test(a_token_that_cannot_be_asked_is_told_of),
#endif
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
