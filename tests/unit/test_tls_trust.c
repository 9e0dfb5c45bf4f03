/* SPDX-License-Identifier: ISC */
/* Trust sets, and what a chain is judged by under them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/bio.h>
#include <openssl/pem.h>

#include "oom.h"
#include "test_tls.h"

#define NAME "sip.example"
#define SAN  "DNS:" NAME

static struct loop *loop;

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

/* Signs the CA's certificate again with another end of validity: the same
 * name and key, as when a root is renewed. */
static void
renew_ca(const char *ca_name, int64_t from, int64_t to, const char *out)
{
	char pem[64], key[64];
	struct tls_slot s;
	const uint8_t *p;
	BIO *bio = BIO_new(BIO_s_mem());
	X509 *c;
	size_t n;

	memset(&s, 0, sizeof(s));
	(void)snprintf(pem, sizeof(pem), "%s/ca.pem", ca_name);
	(void)snprintf(key, sizeof(key), "%s/ca.key", ca_name);
	assert_int_equal(tls_slot_load(&s, at(pem), at(key)), 0);
	c = cert_of(pem, 0);
	assert_non_null(ASN1_TIME_set(X509_getm_notBefore(c), from));
	assert_non_null(ASN1_TIME_set(X509_getm_notAfter(c), to));
	assert_true(X509_sign(c, s.key, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_bio_X509(bio, c), 1);
	assert_true(BIO_mem_contents(bio, &p, &n));
	put(out, p, n);
	BIO_free(bio);
	X509_free(c);
	tls_slot_clear(&s);
}

/* Certificates out of time, and weak ones. */
static void
mint_bad(void)
{
	int64_t now = clock_wall_s();
	struct tls_mint m = {
		.kind = TLS_MINT_SERVER, .cn = NAME, .sans = SAN
	};
	struct tls_mint t = m;

	t.not_before_s = now - 2 * DAY_S;
	t.not_after_s = now - DAY_S;
	mint_as(t, "ca", "expired.pem");
	t.not_before_s = now + DAY_S;
	t.not_after_s = now + 2 * DAY_S;
	mint_as(t, "ca", "early.pem");
	t = m;
	t.rsa_bits = 1024;
	mint_as(t, "ca", "rsa1024.pem");
	t.rsa_bits = 2048;
	mint_as(t, "ca", "rsa2048.pem");
	t = m;
	t.sha1 = true;
	mint_as(t, "ca", "sha1.pem");
	t = m;
	t.aia = "http://ca.example/ca.cer";
	mint_as(t, "sub", "aia-chain.pem");
	put_der("aia-chain.pem", 0, "aia.der");
	t = m;
	t.sans = NULL;
	mint_as(t, "ca", "nosan.pem");
	t = m;
	t.kind = TLS_MINT_DEVICE;
	mint_as(t, "ca", "client.pem");
}

static int
group_setup(void **state)
{
	int64_t now = clock_wall_s();
	struct buf der;

	(void)state;
	scratch_open();
	ca("ca", "Test CA");
	ca("other", "Other CA");
	ca("twin", "Test CA"); /* the same name, another key */
	sub_ca("ca", "sub", "Test Issuer");
	sub_ca("sub", "subsub", "Below Issuer"); /* pathlen:0 forbids it */
	mint("ca", TLS_MINT_SERVER, NAME, SAN, "server.pem");
	mint("sub", TLS_MINT_SERVER, NAME, SAN, "chain.pem");
	mint("subsub", TLS_MINT_SERVER, NAME, SAN, "deep.pem");
	mint("other", TLS_MINT_SERVER, NAME, SAN, "foreign.pem");
	JOIN("complete.pem", "foreign.pem", "other/ca.pem");
	mint(NULL, TLS_MINT_SERVER, NAME, SAN, "self.pem");
	put_der("chain.pem", 0, "leaf.der");
	/* A server that plays CA. */
	folder("leafca");
	JOIN("leafca/ca.pem", "server.pem");
	JOIN("leafca/ca.key", "server.pem");
	mint("leafca", TLS_MINT_SERVER, "below.example", SAN, "byleaf.pem");
	put_der("server.pem", 0, "server.der");
	buf_init(&der, PEM_MAX);
	get("server.der", &der);
	der.p[der.n - 1] ^= 1; /* in the signature */
	put("forged.der", der.p, der.n);
	buf_clear(&der);
	renew_ca("ca", now - 9 * DAY_S, now - DAY_S, "old-root.pem");
	renew_ca("ca", now - 2 * DAY_S, now + 9 * DAY_S, "new-root.pem");
	JOIN("both-roots.pem", "old-root.pem", "new-root.pem");
	mint_bad();
	put_text("none.pem", "nothing here\n");
	put_text("bad.pem",
	    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n");
	put_text("bad64.pem",
	    "-----BEGIN CERTIFICATE-----\n****\n-----END CERTIFICATE-----\n");
	put_text("words.pem", "# a comment, as bundles have\n\n");
	buf_init(&der, PEM_MAX);
	get("other/ca.pem", &der);
	put("cut.pem", der.p, der.n / 2);
	put_text("nl", "\n");
	buf_clear(&der);
	assert_int_equal(loop_new(&loop), 0);
	return 0;
}

static int
group_teardown(void **state)
{
	(void)state;
	loop_free(loop);
	scratch_close();
	return 0;
}

/* How many anchors of the set have the subject of that certificate. */
static size_t
count(const struct trust_set *s, const char *file)
{
	STACK_OF(X509) *sk = sk_X509_new_null();
	X509 *c = cert_of(file, 0);
	size_t n;

	tls_trust_find(s, X509_get_subject_name(c), sk);
	n = sk_X509_num(sk);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(
		    X509_NAME_cmp(X509_get_subject_name(sk_X509_value(sk, i)),
			X509_get_subject_name(c)),
		    0);
	sk_X509_pop_free(sk, X509_free);
	X509_free(c);
	return n;
}

/* Is this very certificate in the set? */
static bool
has(const struct trust_set *s, const char *file)
{
	X509 *c = cert_of(file, 0);
	bool is = tls_trust_has(s, c);

	X509_free(c);
	return is;
}

static void
the_good_anchors_of_a_bundle_count(void **state)
{
	struct trust_set s;

	(void)state;
	JOIN("bundle.pem", "words.pem", "ca/ca.pem", "bad.pem", "words.pem",
	    "cut.pem", "nl", "other/ca.pem", "bad64.pem", "twin/ca.pem",
	    "cut.pem");
	tls_trust_init(&s, "builtin");
	assert_int_equal(tls_trust_load_bundle(&s, at("bundle.pem"), NULL), 0);
	assert_int_equal(s.num, 3);
	assert_int_equal(count(&s, "ca/ca.pem"), 2); /* and its twin */
	assert_int_equal(count(&s, "other/ca.pem"), 1);
	assert_int_equal(count(&s, "sub/ca.pem"), 0);
	assert_true(has(&s, "ca/ca.pem") && has(&s, "twin/ca.pem"));
	assert_false(has(&s, "sub/ca.pem"));
	tls_trust_clear(&s);
	assert_int_equal(s.num, 0);
	/* The subject alone does not make it an anchor. */
	assert_int_equal(tls_trust_load_bundle(&s, at("twin/ca.pem"), NULL), 0);
	assert_int_equal(count(&s, "ca/ca.pem"), 1);
	assert_false(has(&s, "ca/ca.pem"));
	tls_trust_clear(&s);
}

static void
a_bundle_that_is_none_is_an_error(void **state)
{
	static char big[1024 * 1024 + 1];
	struct trust_set s;
	static const struct {
		const char *why, *file;
		int err;
	} v[] = {
		{ "not there", "absent.pem", ENOENT },
		{ "a folder", "ca", EINVAL },
		{ "too large", "big.pem", E_LIMIT },
	};

	(void)state;
	memset(big, '\n', sizeof(big));
	put("big.pem", big, sizeof(big));
	for (size_t i = 0; i < LEN(v); i++) {
		print_message("refuses: %s\n", v[i].why);
		tls_trust_init(&s, "builtin");
		assert_int_equal(
		    tls_trust_load_bundle(&s, at(v[i].file), NULL), v[i].err);
		assert_int_equal(s.num, 0);
		tls_trust_clear(&s);
	}
}

static void
a_folder_of_uploads_is_read_whole(void **state)
{
	struct trust_set s;

	(void)state;
	folder("up");
	JOIN(
	    "up/a.pem", "bad.pem", "ca/ca.pem", "cut.pem", "nl", "twin/ca.pem");
	JOIN("up/b.CRT", "ca/ca.pem"); /* again: counts once */
	put_der("other/ca.pem", 0, "up/c.der");
	JOIN("up/d.cer", "bad.pem");
	JOIN("up/e.txt", "self.pem");   /* not a certificate's name */
	JOIN("up/.f.pem", "self.pem");  /* hidden */
	JOIN("up/g.crt", "sub/ca.pem"); /* with its key, which is passed over */
	put_text("up/h.pem", "");
	tls_trust_init(&s, "trusted");
	log_set_sink(drop_line, NULL);
	assert_int_equal(tls_trust_load_files(&s, at("up"), NULL), 0);
	assert_int_equal(s.num, 4);
	assert_int_equal(count(&s, "ca/ca.pem"), 2);
	assert_int_equal(count(&s, "other/ca.pem"), 1);
	assert_int_equal(count(&s, "sub/ca.pem"), 1);
	assert_int_equal(count(&s, "self.pem"), 0);
	assert_true(has(&s, "ca/ca.pem") && has(&s, "other/ca.pem"));
	assert_false(has(&s, "self.pem"));
	tls_trust_clear(&s);
	/* A folder or a file that is not there is an empty set. */
	assert_int_equal(
	    tls_trust_load_files(&s, at("absent"), at("absent.pem")), 0);
	assert_int_equal(s.num, 0);
	log_set_sink(NULL, NULL);
	tls_trust_clear(&s);
}

static void
note_index(const char *path, const char *name, void *arg)
{
	(void)name;
	(void)snprintf(arg, 128, "%s", path);
}

/* The index saves parsing; whatever is wrong with it, it is made again. */
static void
the_index_is_trusted_only_whole(void **state)
{
	struct trust_set s, again;
	char path[128] = "", cache[128];
	struct stat st;
	struct buf b;
	int64_t mtime;

	(void)state;
	folder("cache");
	put_text("cache/ca-1-2.idx", "of a bundle that is gone");
	put_text("cache/mine.idx", "not ours");
	(void)snprintf(cache, sizeof(cache), "%s", at("cache"));
	JOIN("bundle.pem", "ca/ca.pem", "bad.pem", "other/ca.pem");
	tls_trust_init(&s, "builtin");
	assert_int_equal(tls_trust_load_bundle(&s, at("bundle.pem"), cache), 0);
	assert_int_equal(access(at("cache/ca-1-2.idx"), F_OK), -1);
	assert_int_equal(access(at("cache/mine.idx"), F_OK), 0);
	assert_int_equal(file_remove(at("cache/mine.idx")), 0);
	assert_int_equal(file_list(cache, note_index, path), 0);
	assert_string_not_equal(path, "");
	assert_int_equal(stat(at("bundle.pem"), &st), 0);
	mtime = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;

	tls_trust_init(&again, "builtin");
	assert_int_equal(tls_index_load(&again, path, st.st_size, mtime), 0);
	assert_int_equal(again.num, s.num);
	assert_memory_equal(again.refs, s.refs, s.num * sizeof(*s.refs));
	tls_trust_clear(&again);
	assert_int_equal(
	    tls_index_load(&again, path, st.st_size + 1, mtime), E_PARSE);
	assert_int_equal(
	    tls_index_load(&again, path, st.st_size, mtime + 1), E_PARSE);

	buf_init(&b, PEM_MAX);
	assert_int_equal(file_read(path, &b), 0);
	for (size_t i = 0; i < b.n; i++) {
		b.p[i] ^= 0x10;
		assert_int_equal(file_write(path, b.p, b.n, 0644), 0);
		assert_int_equal(
		    tls_index_load(&again, path, st.st_size, mtime), E_PARSE);
		b.p[i] ^= 0x10;
	}
	assert_int_equal(file_write(path, b.p, b.n - 1, 0644), 0);
	assert_int_equal(
	    tls_index_load(&again, path, st.st_size, mtime), E_PARSE);
	buf_clear(&b);
	/* Loading with the broken one mends it. */
	assert_int_equal(
	    tls_trust_load_bundle(&again, at("bundle.pem"), cache), 0);
	assert_int_equal(again.num, 2);
	tls_trust_clear(&again);
	assert_int_equal(tls_index_load(&again, path, st.st_size, mtime), 0);
	tls_trust_clear(&again);
	/* The bundle under the same name changed: found by size or time. */
	tls_trust_clear(&s);
	JOIN("bundle.pem", "ca/ca.pem");
	assert_int_equal(tls_trust_load_bundle(&s, at("bundle.pem"), cache), 0);
	assert_int_equal(s.num, 1);
	tls_trust_clear(&s);
	/* The same, ahead of time. */
	assert_true(tls_index_is_made(at("bundle.pem"), cache));
	JOIN("bundle.pem", "ca/ca.pem", "other/ca.pem");
	assert_false(tls_index_is_made(at("bundle.pem"), cache));
	assert_int_equal(tls_index_make(at("bundle.pem"), cache), 0);
	assert_true(tls_index_is_made(at("bundle.pem"), cache));
	assert_true(tls_index_is_made(at("nowhere.pem"), cache));
	assert_int_equal(tls_index_make(at("nowhere.pem"), cache), ENOENT);
}

/* Judges a file as a server's chain, with `anchors` as the only trust. */
static int
judge(const char *file, const char *anchors, unsigned int allow,
    enum tls_dir dir, struct tls_verdict *v)
{
	struct tls_env_conf c = { .builtin_file = "" };
	struct tls_settings s;
	struct tls_policy p;
	struct tls_env *e;
	char path[128];
	int err;

	(void)snprintf(path, sizeof(path), "%s", at(anchors));
	c.siptrusted_file = path;
	assert_int_equal(tls_env_new(&e, loop, &c), 0);
	settings(&s, TLS_USE_SIP);
	s.trust = TLS_TRUST_SIPTRUSTED;
	s.allow = allow;
	s.require_client = dir == TLS_SERVER;
	decide(&p, TLS_USE_SIP, dir, dir == TLS_CLIENT ? NAME : NULL, &s);
	err = tls_cert_judge(e, &p, at(file), v);
	tls_env_free(e);
	return err;
}

/* A listener may let callers show what was made for servers (sip proxies). */
static void
a_server_certificate_of_a_caller(void **state)
{
	static const struct {
		const char *file;
		bool tolerate, ok;
	} v[] = {
		{ "server.pem", false, false }, { "server.pem", true, true },
		{ "client.pem", true, true },
		{ "expired.pem", true, false }, /* nothing else is let pass */
	};
	struct tls_env_conf c = { .builtin_file = "" };
	struct tls_verdict *r = calloc(1, sizeof(*r));
	struct tls_settings s;
	struct tls_policy p;
	struct tls_env *e;

	(void)state;
	assert_non_null(r);
	folder("anchors");
	JOIN("anchors/ca.pem", "ca/ca.pem");
	c.trusted_dir = at("anchors");
	assert_int_equal(tls_env_new(&e, loop, &c), 0);
	for (size_t i = 0; i < LEN(v); i++) {
		settings(&s, TLS_USE_SIP);
		s.require_client = true;
		s.serverauth_client = v[i].tolerate;
		decide(&p, TLS_USE_SIP, TLS_SERVER, NULL, &s);
		memset(r, 0, sizeof(*r));
		r->policy = p;
		assert_int_equal(
		    tls_cert_judge(e, &p, at(v[i].file), r) == 0, v[i].ok);
		assert_int_equal(
		    r->num_findings, i == 1); /* it is noted where it counts */
	}
	tls_env_free(e);
	free(r);
}

static void
chains_end_at_what_was_uploaded(void **state)
{
	static const struct {
		const char *why, *file, *anchors;
		unsigned int allow;
		size_t num_built;
		const char *finding;
	} v[] = {
		{ "below the root", "server.pem", "ca/ca.pem", 0, 2, NULL },
		{ "with an intermediate that was sent", "chain.pem",
		    "ca/ca.pem", 0, 3, NULL },
		{ "with an intermediate that is the anchor", "chain.pem",
		    "sub/ca.pem", 0, 2, NULL },
		{ "an intermediate as anchor, and not sent", "leaf.der",
		    "sub/ca.pem", 0, 2, NULL },
		{ "a self-signed server that is the anchor", "self.pem",
		    "self.pem", 0, 1, NULL },
		{ "a certificate pinned itself, its root unknown", "server.pem",
		    "server.pem", 0, 1, NULL },
		{ "an expired root does not hide its successor", "server.pem",
		    "both-roots.pem", 0, 2, NULL },
		{ "RSA of 2048 bits", "rsa2048.pem", "ca/ca.pem", 0, 2, NULL },
		{ "RSA of 1024 bits, allowed", "rsa1024.pem", "ca/ca.pem",
		    TLS_ALLOW_RSA1024, 2, "cert.weak_key" },
		{ "SHA-1, allowed", "sha1.pem", "ca/ca.pem", TLS_ALLOW_SHA1, 2,
		    "cert.weak_sig" },
	};
	struct tls_verdict r;

	(void)state;
	for (size_t i = 0; i < LEN(v); i++) {
		print_message("trusts: %s\n", v[i].why);
		if (judge(v[i].file, v[i].anchors, v[i].allow, TLS_CLIENT,
			&r) != 0)
			fail_msg("%s", r.text);
		assert_true(r.ok);
		assert_true(r.peer_verified);
		assert_string_equal(r.class, "");
		assert_string_equal(r.anchor_set, "siptrusted");
		assert_string_equal(r.matched, SAN);
		assert_int_equal(r.num_built, v[i].num_built);
		assert_int_equal(r.num_findings, v[i].finding != NULL);
		if (v[i].finding != NULL)
			assert_string_equal(r.findings[0], v[i].finding);
	}
}

static void
what_does_not_hold_has_its_class(void **state)
{
	static const struct {
		const char *why, *file, *anchors;
		enum tls_dir dir;
		const char *class;
	} v[] = {
		{ "no anchor at all", "server.pem", "none.pem", TLS_CLIENT,
		    "trust.empty" },
		{ "a CA nobody knows", "foreign.pem", "ca/ca.pem", TLS_CLIENT,
		    "cert.unknown_root" },
		{ "its root was sent too", "complete.pem", "ca/ca.pem",
		    TLS_CLIENT, "cert.untrusted_root" },
		{ "signed by itself", "self.pem", "ca/ca.pem", TLS_CLIENT,
		    "cert.self_signed" },
		{ "the intermediate was not sent", "leaf.der", "ca/ca.pem",
		    TLS_CLIENT, "cert.unknown_root" },
		{ "not sent, though its place is known", "aia.der", "ca/ca.pem",
		    TLS_CLIENT, "cert.missing_intermediate" },
		{ "a CA of the same name", "server.pem", "twin/ca.pem",
		    TLS_CLIENT, "cert.bad_signature" },
		{ "a forged signature", "forged.der", "ca/ca.pem", TLS_CLIENT,
		    "cert.bad_signature" },
		{ "issued by a server, which is no issuer at all", "byleaf.pem",
		    "ca/ca.pem", TLS_CLIENT, "cert.invalid" },
		{ "issued below an intermediate that may not", "deep.pem",
		    "ca/ca.pem", TLS_CLIENT, "cert.invalid" },
		{ "expired", "expired.pem", "ca/ca.pem", TLS_CLIENT,
		    "cert.expired" },
		{ "expired, though uploaded itself", "expired.pem",
		    "expired.pem", TLS_CLIENT, "cert.expired" },
		{ "an expired root alone", "server.pem", "old-root.pem",
		    TLS_CLIENT, "cert.expired" },
		{ "not valid yet", "early.pem", "ca/ca.pem", TLS_CLIENT,
		    "cert.not_yet_valid" },
		{ "RSA of 1024 bits", "rsa1024.pem", "ca/ca.pem", TLS_CLIENT,
		    "cert.weak_key" },
		{ "signed with SHA-1", "sha1.pem", "ca/ca.pem", TLS_CLIENT,
		    "cert.weak_sig" },
		{ "no SAN", "nosan.pem", "ca/ca.pem", TLS_CLIENT,
		    "cert.cn_only" },
		{ "a client's certificate as a server's", "client.pem",
		    "ca/ca.pem", TLS_CLIENT, "cert.eku" },
		{ "a server's certificate as a client's", "server.pem",
		    "ca/ca.pem", TLS_SERVER, "cert.eku" },
		{ "a file without certificates", "none.pem", "ca/ca.pem",
		    TLS_CLIENT, "key.unreadable" },
	};
	struct tls_verdict r;
	char tail[40];

	(void)state;
	log_set_sink(drop_line, NULL);
	for (size_t i = 0; i < LEN(v); i++) {
		print_message("refuses: %s\n", v[i].why);
		assert_int_not_equal(
		    judge(v[i].file, v[i].anchors, 0, v[i].dir, &r), 0);
		assert_string_equal(r.class, v[i].class);
		assert_false(r.ok);
		assert_false(r.peer_verified);
		if (strcmp(v[i].class, "cert.expired") == 0 ||
		    strcmp(v[i].class, "cert.not_yet_valid") == 0)
			assert_non_null(strstr(r.text, "Z; the time here is "));
		/* The class ends the sentence. */
		(void)snprintf(tail, sizeof(tail), " [%s]", v[i].class);
		assert_string_equal(
		    r.text + strlen(r.text) - strlen(tail), tail);
	}
	log_set_sink(NULL, NULL);
}

static void
keep_line(enum log_level lv, enum log_cat cat, uint64_t id, const char *line,
    void *arg)
{
	(void)lv;
	(void)cat;
	(void)id;
	(void)snprintf(arg, 512, "%s", line);
}

/* A set that could not be read is logged with its own file. */
static void
a_set_that_fails_is_named_with_its_file(void **state)
{
	struct tls_env_conf c[2] = { { .builtin_file = "" } };
	char line[512] = "", file[128];
	struct tls_env *e;

	(void)state;
	folder("no-file"); /* a folder is no file */
	(void)snprintf(file, sizeof(file), "%s", at("no-file"));
	c[0].siptrusted_file = file;
	c[1].builtin_file = file;
	log_set_level(LOGL_WARN);
	log_set_sink(keep_line, line);
	for (size_t i = 0; i < LEN(c); i++) {
		line[0] = '\0';
		assert_int_equal(tls_env_new(&e, loop, &c[i]), 0);
		tls_env_free(e);
		if (strstr(line, i == 0 ? "set=siptrusted" : "set=builtin") ==
			NULL ||
		    strstr(line, file) == NULL)
			fail_msg("%s", line);
	}
	log_set_sink(NULL, NULL);
	log_set_level(LOGL_ERR);
}

/* The CN counts by either key, where there is no SAN, and noted as weak. */
static void
a_certificate_without_san_counts_by_option(void **state)
{
	static const struct {
		const char *why, *file, *name;
		bool cn;
		unsigned int allow;
		const char *class; /* "": it holds */
	} v[] = {
		{ "no option", "nosan.pem", NAME, false, 0, "cert.cn_only" },
		{ "another option", "nosan.pem", NAME, false, TLS_ALLOW_SHA1,
		    "cert.cn_only" },
		{ "tls.cn", "nosan.pem", NAME, true, 0, "" },
		{ "no-san", "nosan.pem", NAME, false, TLS_ALLOW_NO_SAN, "" },
		{ "both", "nosan.pem", NAME, true, TLS_ALLOW_NO_SAN, "" },
		{ "another name", "nosan.pem", "other.example", true,
		    TLS_ALLOW_NO_SAN, "cert.name_mismatch" },
		{ "a SAN is there", "server.pem", "other.example", true,
		    TLS_ALLOW_NO_SAN, "cert.name_mismatch" },
	};
	struct tls_env_conf c = { .builtin_file = "" };
	struct tls_settings s;
	struct tls_verdict r;
	struct tls_policy p;
	struct tls_env *e;
	char path[128];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s", at("ca/ca.pem"));
	c.siptrusted_file = path;
	assert_int_equal(tls_env_new(&e, loop, &c), 0);
	for (size_t i = 0; i < LEN(v); i++) {
		print_message("%s\n", v[i].why);
		settings(&s, TLS_USE_SIP);
		s.trust = TLS_TRUST_SIPTRUSTED;
		s.cn = v[i].cn;
		s.allow = v[i].allow;
		decide(&p, TLS_USE_SIP, TLS_CLIENT, v[i].name, &s);
		assert_int_equal(tls_cert_judge(e, &p, at(v[i].file), &r),
		    v[i].class[0] == '\0' ? 0 : E_TLS_CERT);
		assert_string_equal(r.class, v[i].class);
		if (v[i].class[0] != '\0')
			continue;
		assert_string_equal(r.matched, "CN:" NAME);
		assert_int_equal(r.num_findings, 1);
		assert_string_equal(r.findings[0], "cert.cn_only");
	}
	tls_env_free(e);
}

/* Each set counts only where the policy names it. */
static void
a_set_counts_where_the_policy_names_it(void **state)
{
	static const struct {
		unsigned int trust;
		const char *file, *set; /* set: "" fails */
	} v[] = {
		{ TLS_TRUST_BUILTIN, "server.pem", "builtin" },
		{ TLS_TRUST_UPLOADED, "server.pem", "" },
		{ TLS_TRUST_SIPTRUSTED, "server.pem", "" },
		{ TLS_TRUST_BUILTIN, "foreign.pem", "" },
		{ TLS_TRUST_UPLOADED, "foreign.pem", "trusted" },
		{ TLS_TRUST_BUILTIN | TLS_TRUST_UPLOADED, "foreign.pem",
		    "trusted" },
		{ TLS_TRUST_SIPTRUSTED, "self.pem", "siptrusted" },
		{ TLS_TRUST_BUILTIN | TLS_TRUST_UPLOADED, "self.pem", "" },
	};
	struct tls_env_conf c;
	struct tls_settings s;
	struct tls_verdict r;
	struct tls_policy p;
	struct tls_env *e;
	int err;

	(void)state;
	folder("sets");
	JOIN("sets/ca.pem", "other/ca.pem");
	JOIN("builtin.pem", "ca/ca.pem");
	c = (struct tls_env_conf){ .builtin_file = at("builtin.pem"),
		.trusted_dir = at("sets"),
		.siptrusted_file = at("self.pem") };
	assert_int_equal(tls_env_new(&e, loop, &c), 0);
	assert_int_equal(tls_env_num_anchors(e, 7), 3);
	assert_int_equal(tls_env_num_anchors(e, TLS_TRUST_BUILTIN), 1);
	for (size_t i = 0; i < LEN(v); i++) {
		settings(&s, TLS_USE_SIP);
		s.trust = v[i].trust;
		decide(&p, TLS_USE_SIP, TLS_CLIENT, NAME, &s);
		err = tls_cert_judge(e, &p, at(v[i].file), &r);
		assert_int_equal(err == 0, v[i].set[0] != '\0');
		assert_string_equal(r.anchor_set, v[i].set);
	}
	/* What is taken away does not count any more. */
	assert_int_equal(file_remove(at("sets/ca.pem")), 0);
	tls_env_reload(e);
	settings(&s, TLS_USE_SIP);
	decide(&p, TLS_USE_SIP, TLS_CLIENT, NAME, &s);
	assert_int_equal(
	    tls_cert_judge(e, &p, at("foreign.pem"), &r), E_TLS_CERT);
	assert_string_equal(r.class, "trust.empty");
	tls_env_free(e);
}

/* Where nothing is verified the record still tells what was wrong. */
static void
an_unverified_peer_has_findings_and_no_identity(void **state)
{
	struct tls_env_conf c = { .builtin_file = "" };
	struct tls_settings s;
	struct tls_verdict r;
	struct tls_policy p;
	struct tls_env *e;

	(void)state;
	assert_int_equal(tls_env_new(&e, loop, &c), 0);
	settings(&s, TLS_USE_SIP);
	s.verify = false;
	decide(&p, TLS_USE_SIP, TLS_CLIENT, NAME, &s);
	assert_int_equal(tls_cert_judge(e, &p, at("foreign.pem"), &r), 0);
	assert_false(r.peer_verified);
	assert_string_equal(r.class, "");
	assert_int_equal(r.num_findings, 1);
	assert_string_equal(r.findings[0], "trust.empty");
	tls_env_free(e);
}

static void
tell_clock(struct tls_clock *out, void *arg)
{
	out->trusted = *(const bool *)arg;
}

/*
 * Until the clock is confirmed the floor is the time that counts.  Both are
 * looked at when a peer is judged: a policy of a listener is old by then.
 */
static void
the_clock_is_read_when_a_peer_is_judged(void **state)
{
	const int64_t floor_s = clock_floor_s(), hour = 3600;
	static const struct {
		const char *why;
		bool decided, asked, now; /* good when? `asked`: by callback */
		int floor_h, wall_h;      /* later */
		const char *class, *text; /* class "": it holds */
	} v[] = {
		{ "good", true, false, false, 0, 3, "cert.expired",
		    "; the time here is " },
		{ "good, in time", true, false, false, 0, 1, "", "" },
		{ "good, behind the floor", true, false, false, 3, 1,
		    "cert.expired", "; the time that counts here is " },
		{ "good, before the floor", true, false, false, 0, -3, "", "" },
		{ "not confirmed", false, false, false, 0, 3, "", "" },
		{ "not confirmed, the floor has risen", false, false, false, 3,
		    4, "cert.expired", "Z, as the clock is not confirmed. " },
		{ "confirmed since", false, true, true, 0, 3, "cert.expired",
		    "; the time here is " },
		{ "still not", false, true, false, 0, 3, "", "" },
		{ "not any more", true, true, false, 0, 3, "", "" },
	};
	struct tls_mint m = { .kind = TLS_MINT_SERVER,
		.cn = NAME,
		.sans = SAN,
		.not_before_s = floor_s - 2 * hour,
		.not_after_s = floor_s + 2 * hour };
	struct tls_env_conf c = { .builtin_file = "" };
	struct tls_settings s;
	struct tls_verdict r;
	struct tls_policy p;
	struct tls_env *e;
	char path[128];
	bool good;

	(void)state;
	clock_fake(floor_s);
	ca("clock-ca", "Clock CA");
	mint_as(m, "clock-ca", "clock.pem");
	(void)snprintf(path, sizeof(path), "%s", at("clock-ca/ca.pem"));
	c.siptrusted_file = path;
	settings(&s, TLS_USE_SIP);
	s.trust = TLS_TRUST_SIPTRUSTED;
	for (size_t i = 0; i < LEN(v); i++) {
		struct tls_clock clock = { floor_s, floor_s, v[i].decided };

		print_message("%s\n", v[i].why);
		clock_fake(floor_s);
		assert_int_equal(tls_policy_decide(&p, TLS_USE_SIP, TLS_CLIENT,
				     NAME, &s, &clock, NULL, 0),
		    0);
		assert_int_equal(tls_env_new(&e, loop, &c), 0);
		good = v[i].now;
		if (v[i].asked)
			tls_env_on_clock(e, tell_clock, &good);
		clock_fake(floor_s + v[i].wall_h * hour);
		clock_set_floor_s(floor_s + v[i].floor_h * hour);
		assert_int_equal(tls_cert_judge(e, &p, at("clock.pem"), &r),
		    v[i].class[0] == '\0' ? 0 : E_TLS_CERT);
		assert_string_equal(r.class, v[i].class);
		if (strstr(r.text, v[i].text) == NULL)
			fail_msg("%s", r.text);
		clock_set_floor_s(floor_s);
		tls_env_free(e);
	}
	clock_real();
}

/* Issued after the build, the time of which is all that is certain. */
static void
a_certificate_newer_than_the_floor_holds_once_the_clock_says_so(void **state)
{
	const int64_t floor_s = clock_floor_s(), hour = 3600;
	static const struct {
		const char *why;
		int wall_h;
		const char *class, *text;
	} v[] = {
		{ "the clock is ahead of the floor", 2, "", "" },
		{ "before its time", 0, "cert.not_yet_valid",
		    "Z, as the clock is not confirmed. " },
		{ "in 1970", -24 * 365 * 40, "cert.not_yet_valid",
		    "Z, as the clock is not confirmed. " },
		{ "beyond its end: the floor is not", 9, "", "" },
	};
	struct tls_mint m = { .kind = TLS_MINT_SERVER,
		.cn = NAME,
		.sans = SAN,
		.not_before_s = floor_s + hour,
		.not_after_s = floor_s + 3 * hour };
	struct tls_clock clock = { floor_s, floor_s, false };
	struct tls_env_conf c = { .builtin_file = "" };
	struct tls_settings s;
	struct tls_verdict r;
	struct tls_policy p;
	struct tls_env *e;
	char path[128];

	(void)state;
	clock_fake(floor_s);
	ca("late-ca", "Late CA");
	mint_as(m, "late-ca", "late.pem");
	(void)snprintf(path, sizeof(path), "%s", at("late-ca/ca.pem"));
	c.siptrusted_file = path;
	settings(&s, TLS_USE_SIP);
	s.trust = TLS_TRUST_SIPTRUSTED;
	assert_int_equal(tls_policy_decide(&p, TLS_USE_SIP, TLS_CLIENT, NAME,
			     &s, &clock, NULL, 0),
	    0);
	assert_int_equal(tls_env_new(&e, loop, &c), 0);
	for (size_t i = 0; i < LEN(v); i++) {
		print_message("%s\n", v[i].why);
		clock_fake(floor_s + v[i].wall_h * hour);
		assert_int_equal(tls_cert_judge(e, &p, at("late.pem"), &r),
		    v[i].class[0] == '\0' ? 0 : E_TLS_CERT);
		assert_string_equal(r.class, v[i].class);
		if (strstr(r.text, v[i].text) == NULL)
			fail_msg("%s", r.text);
	}
	tls_env_free(e);
	clock_real();
}

static int
env_once(void *arg)
{
	struct tls_env *e;
	int err = tls_env_new(&e, loop, arg);

	if (err == 0) {
		/* A set may be empty for want of memory only with an error. */
		assert_int_equal(tls_env_num_anchors(e, 7), 3);
		tls_env_free(e);
	}
	return err;
}

static void
loading_trust_survives_every_failed_allocation(void **state)
{
	struct tls_env_conf c;

	(void)state;
	folder("oom");
	JOIN("oom/ca.pem", "other/ca.pem");
	c = (struct tls_env_conf){ .builtin_file = at("ca/ca.pem"),
		.trusted_dir = at("oom"),
		.siptrusted_file = at("self.pem") };
	log_set_sink(drop_line, NULL);
	assert_true(oom_each(env_once, &c) > 8);
	log_set_sink(NULL, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_good_anchors_of_a_bundle_count),
		cmocka_unit_test(a_bundle_that_is_none_is_an_error),
		cmocka_unit_test(a_folder_of_uploads_is_read_whole),
		cmocka_unit_test(the_index_is_trusted_only_whole),
		cmocka_unit_test(chains_end_at_what_was_uploaded),
		cmocka_unit_test(a_server_certificate_of_a_caller),
		cmocka_unit_test(what_does_not_hold_has_its_class),
		cmocka_unit_test(a_set_that_fails_is_named_with_its_file),
		cmocka_unit_test(a_certificate_without_san_counts_by_option),
		cmocka_unit_test(a_set_counts_where_the_policy_names_it),
		cmocka_unit_test(
		    an_unverified_peer_has_findings_and_no_identity),
		cmocka_unit_test(the_clock_is_read_when_a_peer_is_judged),
		cmocka_unit_test(
		    a_certificate_newer_than_the_floor_holds_once_the_clock_says_so),
		cmocka_unit_test(
		    loading_trust_survives_every_failed_allocation),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
