/* SPDX-License-Identifier: ISC */
/* Identities: certificate, chain and key from files, in any order.
 * What does not belong together is refused with a sentence. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/bytestring.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/pkcs8.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include "bellbird/file.h"
#include "bellbird/log.h"
#include "bellbird/str.h"

#include "internal.h"
#include "p11.h"

enum {
	IDENTITY_FILE_MAX = 256 * 1024, /* a chain of ten RSA-4096, ten times */
	PARTS_CERTS_MAX = 16,
	/* 8 ms on the machine of 2026; three times what openssl and Windows
	 * make (2048 for each of two encryptions and the MAC). */
	P12_ROUNDS_MAX = 20000
};

/* What was found in the file, before it is put in order. */
struct parts {
	X509 *certs[PARTS_CERTS_MAX]; /* owned */
	size_t num;
	EVP_PKEY *key; /* owned */
	bool encrypted, broken;
};

void
tls_slot_clear(struct tls_slot *s)
{
	for (size_t i = 0; i < s->num; i++)
		CRYPTO_BUFFER_free(s->certs[i]);
	CRYPTO_BUFFER_free(s->root);
	EVP_PKEY_free(s->key);
	tls_p11_put(s->token);
	free(s->uri);
	memset(s, 0, sizeof(*s)); /* public parts; the key wiped itself */
}

/* Sorts one PEM block to where it belongs. */
static int
on_part(const struct tls_pem_block *b, void *arg)
{
	struct parts *p = arg;
	const uint8_t *at = b->der;

	if (strstr(b->label, "PRIVATE KEY") != NULL && b->encrypted) {
		p->encrypted = true;
	} else if (b->der == NULL) {
		p->broken = true;
	} else if (strcmp(b->label, "CERTIFICATE") == 0) {
		if (p->num == PARTS_CERTS_MAX)
			return E_LIMIT;
		p->certs[p->num] = tls_der_cert(b->der, b->n);
		if (p->certs[p->num] != NULL)
			p->num++;
		else
			p->broken = true;
	} else if (strstr(b->label, "PRIVATE KEY") != NULL && p->key == NULL) {
		p->key = d2i_AutoPrivateKey(NULL, &at, (long)b->n);
		if (p->key == NULL)
			p->broken = true;
		tls_err_drop();
	}
	return 0;
}

/* Stores a certificate as the library sends it. */
static int
cert_take(CRYPTO_BUFFER **out, X509 *c)
{
	uint8_t *der = NULL;
	int n;

	if ((n = i2d_X509(c, &der)) <= 0) {
		tls_err_drop();
		return ENOMEM;
	}
	*out = CRYPTO_BUFFER_new(der, (size_t)n, NULL);
	OPENSSL_free(der);
	return *out != NULL ? 0 : ENOMEM;
}

/* Finds the certificate of the key; NULL if there is none. */
static X509 *
leaf_of(const struct parts *p)
{
	for (size_t i = 0; i < p->num; i++) {
		if (X509_check_private_key(p->certs[i], p->key) == 1)
			return p->certs[i];
		tls_err_drop();
	}
	return NULL;
}

/* The issuer of `c` among the parts: roots, which are not sent, or others. */
static X509 *
issuer_of(const struct parts *p, X509 *c, bool root)
{
	for (size_t i = 0; i < p->num; i++) {
		X509 *x = p->certs[i];

		if (x != c &&
		    X509_NAME_cmp(X509_get_subject_name(x),
			X509_get_issuer_name(c)) == 0 &&
		    tls_x509_is_self_signed(x) == root)
			return x;
	}
	return NULL;
}

/*
 * A line with the URI of a key in a token, in place of the key.  ENOENT if
 * there is none; E_PARSE, with a sentence, for one that is no good.
 */
static int
uri_find(char **out, const void *text, size_t n, char *why, size_t why_size)
{
	struct slice rest = { text, n }, line;
	struct p11_uri u;
	int err = ENOENT;

	while (err == ENOENT && slice_line(&rest, &line)) {
		line = slice_trim(line);
		if (!tls_p11_is_uri(line))
			continue;
		err = tls_p11_uri_parse(&u, line, why, why_size);
		if (err == 0 && (*out = slice_dup(line)) == NULL)
			err = ENOMEM;
	}
	return err;
}

/* Puts the chain in order: what is sent, and the root above it. */
static int
chain_take(struct tls_slot *s, const struct parts *p, X509 *leaf)
{
	X509 *top = leaf, *root;
	int err;

	for (X509 *c = leaf; c != NULL && s->num < TLS_CHAIN_MAX;
	     c = issuer_of(p, c, false)) {
		if ((err = cert_take(&s->certs[s->num], c)) != 0)
			return err;
		s->num++;
		top = c;
	}
	root = issuer_of(p, top, true);
	return root != NULL ? cert_take(&s->root, root) : 0;
}

/* Says what hinders the reading; NULL if nothing does. */
static const char *
blocks_judge(const struct parts *p)
{
	if (p->encrypted && p->key == NULL)
		return "the key is encrypted and nobody is there to type a "
		       "passphrase: store it without one, mode 0600 "
		       "[key.encrypted]";
	if (p->broken)
		return "a PEM block is damaged: copy the file again "
		       "[key.unreadable]";
	return NULL;
}

static const char no_key[] =
    "there is no private key in PEM form [key.unreadable]";

/* Says what is missing or wrong; NULL if all is there. */
static const char *
parts_judge(const struct parts *p, X509 *leaf, bool in_token)
{
	const char *wrong = blocks_judge(p);

	if (wrong != NULL)
		return wrong;
	if (p->num == 0)
		return "there is no certificate in PEM form "
		       "[key.unreadable]";
	if (p->key == NULL && !in_token)
		return no_key;
	if (leaf == NULL)
		return "certificate and key do not belong together: install "
		       "the certificate that was issued for this key "
		       "[key.mismatch]";
	return NULL;
}

/* Frees what was found. */
static void
parts_clear(struct parts *p)
{
	for (size_t i = 0; i < p->num; i++)
		X509_free(p->certs[i]);
	EVP_PKEY_free(p->key);
	memset(p, 0, sizeof(*p));
}

/* Puts what was found in order and into the slot; takes the parts and `uri`,
 * that of a key in a token, or NULL. */
static int
parts_take(
    struct tls_slot *s, struct parts *p, char *uri, char *why, size_t why_size)
{
	struct tls_slot fresh;
	const char *wrong;
	X509 *leaf = NULL;
	int err = 0;

	memset(&fresh, 0, sizeof(fresh));
	fresh.uri = uri;
	if (p->key != NULL)
		leaf = leaf_of(p);
	else if (uri != NULL && p->num > 0)
		leaf = p->certs[0];
	if ((wrong = parts_judge(p, leaf, uri != NULL)) != NULL) {
		ignore_err(str_copy(why, why_size, wrong), "a hint");
		err = E_TLS_KEY;
		goto out;
	}
	tls_x509_brief(leaf, &fresh.brief);
	if (tls_x509_cn(leaf, fresh.cn, sizeof(fresh.cn)) != 0)
		fresh.cn[0] = '\0';
	if ((err = chain_take(&fresh, p, leaf)) != 0)
		goto out;
	fresh.key = p->key;
	p->key = NULL;
	tls_slot_clear(s);
	*s = fresh;
	memset(&fresh, 0, sizeof(fresh));
out:
	parts_clear(p);
	tls_slot_clear(&fresh);
	return err;
}

/* The sentence for an error that has none yet. */
static void
say_error(int err, char *why, size_t why_size)
{
	if (err == E_LIMIT)
		ignore_err(str_copy(why, why_size,
			       "there are too many certificates in it"),
		    "a hint");
	else if (err == ENOMEM)
		ignore_err(str_copy(why, why_size, err_str(err)), "a hint");
}

int
tls_slot_parse(
    struct tls_slot *s, const void *pem, size_t n, char *why, size_t why_size)
{
	struct parts p = { .num = 0 };
	char *uri = NULL;
	int err;

	if ((err = tls_pem_each(pem, n, on_part, &p)) == 0 && p.key == NULL &&
	    !p.encrypted) {
		err = uri_find(&uri, pem, n, why, why_size);
		err = err == ENOENT ? 0 : err == E_PARSE ? E_TLS_KEY : err;
	}
	if (err == 0)
		err = parts_take(s, &p, uri, why, why_size);
	say_error(err, why, why_size);
	parts_clear(&p);
	return err;
}

/* Why a PKCS #12 file could not be opened, of the library's errors. */
static int
p12_error(char *why, size_t why_size)
{
	uint32_t e = ERR_peek_last_error();
	const char *text =
	    "it is no PKCS #12 file, or a damaged one [key.unreadable]";
	int err = E_TLS_KEY, reason = ERR_GET_REASON(e);

	for (uint32_t one; (one = ERR_get_error()) != 0;)
		if (ERR_GET_REASON(one) == ERR_R_MALLOC_FAILURE)
			err = ENOMEM;
	if (ERR_GET_LIB(e) == ERR_LIB_PKCS8 &&
	    (reason == PKCS8_R_INCORRECT_PASSWORD ||
		reason == PKCS8_R_DECODE_ERROR))
		text = "the password does not open it [key.encrypted]";
	else if (ERR_GET_LIB(e) == ERR_LIB_PKCS8 &&
	    (reason == PKCS8_R_UNKNOWN_ALGORITHM ||
		reason == PKCS8_R_UNKNOWN_CIPHER ||
		reason == PKCS8_R_UNSUPPORTED_CIPHER ||
		reason == PKCS8_R_UNSUPPORTED_PRF ||
		reason == PKCS8_R_UNKNOWN_HASH))
		text = "it is encrypted in a way that is not supported: make "
		       "it again with AES-256 (openssl pkcs12 -export) "
		       "[key.unreadable]";
	ignore_err(str_copy(why, why_size, err == ENOMEM ? err_str(err) : text),
	    "a hint");
	return err;
}

int
tls_slot_parse_p12(struct tls_slot *s, const void *der, size_t n,
    const char *password, char *why, size_t why_size)
{
	STACK_OF(X509) *sk = sk_X509_new_null();
	struct parts p = { .num = 0 };
	int err = 0;
	CBS in;

	CBS_init(&in, der, n);
	ERR_clear_error();
	if (sk == NULL)
		err = ENOMEM;
	else if (!PKCS12_get_key_and_certs(&p.key, sk, &in, password))
		err = p12_error(why, why_size);
	while (err == 0 && sk_X509_num(sk) > 0) {
		if (p.num == PARTS_CERTS_MAX)
			err = E_LIMIT;
		else
			p.certs[p.num++] = sk_X509_shift(sk);
	}
	if (err == 0)
		err = parts_take(s, &p, NULL, why, why_size);
	say_error(err, why, why_size);
	sk_X509_pop_free(sk, X509_free);
	parts_clear(&p);
	tls_err_drop();
	return err;
}

/* Would servers of today take this key? */
static bool
key_is_fit(const EVP_PKEY *k)
{
	switch (EVP_PKEY_id(k)) {
	case EVP_PKEY_EC:
		return EVP_PKEY_bits(k) >= 256;
	case EVP_PKEY_RSA:
		return EVP_PKEY_bits(k) >= 2048;
	default:
		return false;
	}
}

int
tls_key_parse(
    EVP_PKEY **out, const void *pem, size_t n, char *why, size_t why_size)
{
	struct parts p = { .num = 0 };
	const char *wrong;
	int err;

	if ((err = tls_pem_each(pem, n, on_part, &p)) == 0) {
		wrong = blocks_judge(&p);
		if (wrong == NULL && p.key == NULL)
			wrong = no_key;
		if (wrong == NULL && !key_is_fit(p.key))
			wrong = "the key is too weak or of a kind that servers "
				"do not take: EC P-256, or RSA of 2048 bits";
		if (wrong != NULL) {
			ignore_err(str_copy(why, why_size, wrong), "a hint");
			err = E_TLS_KEY;
		}
	} else {
		ignore_err(str_copy(why, why_size, err_str(err)), "a hint");
	}
	if (err == 0) {
		*out = p.key;
		p.key = NULL;
	}
	parts_clear(&p);
	return err;
}

/* A key others may read is no secret: warn, since refusing would take the
 * device off the network. */
static void
mode_check(const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0 && (st.st_mode & 077) != 0)
		log_warn(LOGC_TLS, 0,
		    "key file is readable by others file=%s mode=%04o "
		    "fix=\"chmod 0600\"",
		    esc(path), (unsigned int)(st.st_mode & 07777));
}

/* What stays of a load that failed: a sentence and a line; what was loaded
 * before stays in use. */
static int
load_failed(struct tls_slot *s, const char *path, const char *why, int err)
{
	snprintf(s->error, sizeof(s->error), "%s: %s", esc(path), why);
	log_err(LOGC_TLS, 0, "identity not loaded file=%s reason=\"%s\"",
	    esc(path), why);
	return err == ENOMEM ? ENOMEM : E_TLS_KEY;
}

int
tls_slot_load(struct tls_slot *s, const char *path, const char *key_path)
{
	char why[P11_WHY_MAX] = "";
	struct buf b;
	int err;

	if (access(path, F_OK) != 0 && errno == ENOENT) {
		tls_slot_clear(s);
		return ENOENT;
	}
	buf_init_secret(&b, IDENTITY_FILE_MAX);
	err = file_read(path, &b);
	if (err == 0 && key_path != NULL) {
		buf_puts(&b, "\n");
		path = key_path; /* the one that the sentence is about */
		err = file_read(key_path, &b);
	}
	if (err == 0) {
		mode_check(path);
		err = tls_slot_parse(s, b.p, b.n, why, sizeof(why));
	} else {
		snprintf(why, sizeof(why), "%s [key.unreadable]", err_str(err));
	}
	buf_clear(&b);
	return err != 0 ? load_failed(s, path, why, err) : 0;
}

/* Opens one that the loop waits for: a modest one, and one that was opened
 * before only once. */
static int
p12_open(struct tls_slot *s, const struct buf *b, const struct buf *pass,
    char *why, size_t why_size)
{
	uint8_t sum[sizeof(s->p12_sum)];
	uint64_t rounds;
	SHA256_CTX ctx;
	int err;

	SHA256_Init(&ctx);
	SHA256_Update(&ctx, b->p, b->n);
	SHA256_Update(&ctx, buf_str(pass), pass->n);
	SHA256_Final(sum, &ctx);
	if (s->num > 0 && memcmp(sum, s->p12_sum, sizeof(sum)) == 0) {
		s->error[0] = '\0';
		return 0;
	}
	if (tls_p12_rounds(b->p, b->n, &rounds) != 0) {
		rounds = 0; /* what is wrong with it, its reader says */
		if (b->n > 2 && b->p[0] == 0x30 && b->p[1] == 0x80) {
			ignore_err(str_copy(why, why_size,
				       "it is BER, not DER: bellbird cert "
				       "import takes it [key.unreadable]"),
			    "a hint");
			return E_TLS_KEY;
		}
	}
	if (rounds > P12_ROUNDS_MAX) {
		snprintf(why, why_size,
		    "to open it takes %llu rounds of its password, and calls "
		    "would wait for that (at most %d): bellbird cert import "
		    "takes it, or make it with openssl pkcs12 -export -iter "
		    "2048 [key.unreadable]",
		    (unsigned long long)rounds, P12_ROUNDS_MAX);
		return E_TLS_KEY;
	}
	err = tls_slot_parse_p12(s, b->p, b->n, buf_str(pass), why, why_size);
	if (err == 0)
		memcpy(s->p12_sum, sum, sizeof(sum));
	return err;
}

/* Reads a PKCS #12 file and the one its password is in. */
static int
load_p12(struct tls_slot *s, const char *path, const char *pass_path)
{
	char why[320] = "";
	struct buf b, pass;
	int err;

	buf_init_secret(&b, IDENTITY_FILE_MAX);
	buf_init_secret(&pass, TLS_PASSWORD_MAX);
	if ((err = file_read(pass_path, &pass)) != 0) {
		snprintf(why, sizeof(why),
		    "its password is not in %.100s (%s) [key.encrypted]",
		    esc(pass_path), err_str(err));
	} else if ((err = file_read(path, &b)) != 0) {
		snprintf(why, sizeof(why), "%s [key.unreadable]", err_str(err));
	} else {
		mode_check(path);
		mode_check(pass_path);
		buf_cut(&pass, tls_password_len(buf_str(&pass)));
		err = p12_open(s, &b, &pass, why, sizeof(why));
	}
	buf_clear(&b);
	buf_clear(&pass);
	return err != 0 ? load_failed(s, path, why, err) : 0;
}

size_t
tls_password_len(const char *s)
{
	return strcspn(s, "\r\n"); /* editors end a line */
}

int
tls_slot_load_forms(struct tls_slot *s, const char *pem)
{
	static const char *const ends[] = { ".p12", ".pass", ".crt", ".key" };
	size_t n = strlen(pem);
	char path[4][4096];

	assert(n > 4 && strcmp(pem + n - 4, ".pem") == 0);
	for (size_t i = 0; i < 4; i++) {
		int len = snprintf(path[i], sizeof(path[i]), "%.*s%s",
		    (int)(n - 4), pem, ends[i]);

		if (len < 0 || (size_t)len >= sizeof(path[i]))
			return E_LIMIT;
	}
	if (access(pem, F_OK) != 0 && access(path[0], F_OK) == 0)
		return load_p12(s, path[0], path[1]);
	if (access(pem, F_OK) != 0 && access(path[2], F_OK) == 0)
		return tls_slot_load(s, path[2], path[3]);
	return tls_slot_load(s, pem, NULL);
}
