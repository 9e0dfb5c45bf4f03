/* SPDX-License-Identifier: ISC */
/* Minting for labs, tests and small sites: a CA, device and server
 * certificates; EC P-256 and SHA-256 unless a test wants worse. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "bellbird/clock.h"
#include "bellbird/file.h"
#include "bellbird/log.h"
#include "bellbird/mem.h"
#include "bellbird/str.h"
#include "bellbird/tls_cert.h"
#include "bellbird/tls_hash.h"

#include "internal.h"

enum {
	DAY_S = 86400,
	SERVER_DAYS = 825,      /* what browsers once allowed at most */
	OWN_SERVER_DAYS = 3650, /* self-signed: nobody renews it in time */
	INTERMEDIATE_DAYS = 3650,
	PEM_MAX = 256 * 1024,
	SANS_MAX = 1024
};
/* 9999-12-31T23:59:59Z: "no end" (802.1AR, RFC 5280 4.1.2.5). */
static const int64_t forever_s = INT64_C(253402300799);

/* What a certificate is made of. */
struct making {
	X509 *cert;         /* owned */
	EVP_PKEY *key;      /* owned: of the new certificate */
	X509 *issuer;       /* owned; NULL: self-signed */
	EVP_PKEY *ca_key;   /* owned; NULL: self-signed */
	struct tls_slot ca; /* owned: chain of the issuer */
};

/* Frees the parts. */
static void
making_clear(struct making *k)
{
	X509_free(k->cert);
	EVP_PKEY_free(k->key);
	X509_free(k->issuer);
	tls_slot_clear(&k->ca);
	tls_err_drop();
}

int
tls_mint_key(int bits, EVP_PKEY **out)
{
	EVP_PKEY *k = EVP_PKEY_new();
	EC_KEY *ec = NULL;
	RSA *rsa = NULL;
	BIGNUM *e = NULL;
	int ok = 0;

	if (k == NULL)
		return ENOMEM;
	if (bits <= 384) {
		ec = EC_KEY_new_by_curve_name(
		    bits == 384 ? NID_secp384r1 : NID_X9_62_prime256v1);
		ok = ec != NULL && EC_KEY_generate_key(ec) &&
		    EVP_PKEY_set1_EC_KEY(k, ec);
	} else {
		rsa = RSA_new();
		e = BN_new();
		ok = rsa != NULL && e != NULL && BN_set_word(e, RSA_F4) &&
		    RSA_generate_key_ex(rsa, bits, e, NULL) &&
		    EVP_PKEY_set1_RSA(k, rsa);
	}
	EC_KEY_free(ec);
	RSA_free(rsa);
	BN_free(e);
	if (!ok) {
		EVP_PKEY_free(k);
		tls_err_drop();
		return ENOMEM;
	}
	*out = k;
	return 0;
}

/* Sets a time; RFC 5280 4.1.2.5: two digits of the year until 2049. */
static bool
set_time(ASN1_TIME *t, int64_t s)
{
	char iso[32], text[16];
	size_t n = 0;

	clock_iso(iso, sizeof(iso), s * 1000000);
	for (const char *p = iso; *p != '\0' && *p != '.'; p++) {
		if (*p >= '0' && *p <= '9' && n < sizeof(text) - 2)
			text[n++] = *p;
	}
	text[n++] = 'Z';
	text[n] = '\0';
	if (strncmp(text, "2050", 4) < 0)
		return ASN1_UTCTIME_set_string(t, text + 2) == 1;
	return ASN1_GENERALIZEDTIME_set_string(t, text) == 1;
}

/* A serial number nobody can guess (CA/B 7.1), positive. */
static bool
set_serial(X509 *c)
{
	uint8_t raw[16];
	ASN1_INTEGER *n;
	BIGNUM *bn;
	bool ok;

	tls_random(raw, sizeof(raw));
	raw[0] = (uint8_t)((raw[0] & 0x7f) | 0x40);
	bn = BN_bin2bn(raw, sizeof(raw), NULL);
	n = bn != NULL ? BN_to_ASN1_INTEGER(bn, NULL) : NULL;
	ok = n != NULL && X509_set_serialNumber(c, n);
	ASN1_INTEGER_free(n);
	BN_free(bn);
	return ok;
}

/* Appends one attribute to the subject. */
static bool
name_add(X509 *c, const char *attr, const char *value)
{
	return X509_NAME_add_entry_by_txt(X509_get_subject_name(c), attr,
		   MBSTRING_UTF8, (const uint8_t *)value, -1, -1, 0) == 1;
}

/* Adds one extension from its text form. */
static bool
ext_add(X509 *c, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *x;
	X509V3_CTX ctx;
	bool ok;

	X509V3_set_ctx(&ctx, issuer, c, NULL, NULL, 0);
	if ((x = X509V3_EXT_nconf_nid(NULL, &ctx, nid, value)) == NULL)
		return false;
	ok = X509_add_ext(c, x, -1) == 1;
	X509_EXTENSION_free(x);
	return ok;
}

/* Subject, validity, key: what every certificate has. */
static int
begin(struct making *k, const char *cn, int64_t from, int64_t to)
{
	if ((k->cert = X509_new()) == NULL)
		return ENOMEM;
	if (!X509_set_version(k->cert, X509_VERSION_3) ||
	    !set_serial(k->cert) || !name_add(k->cert, "CN", cn) ||
	    !set_time(X509_getm_notBefore(k->cert), from) ||
	    !set_time(X509_getm_notAfter(k->cert), to) ||
	    !X509_set_pubkey(k->cert, k->key))
		return EINVAL;
	return 0;
}

/* A hash no weaker than the key that signs. */
static const EVP_MD *
digest_of(const EVP_PKEY *key)
{
	return EVP_PKEY_id(key) == EVP_PKEY_EC && EVP_PKEY_bits(key) > 256
	    ? EVP_sha384()
	    : EVP_sha256();
}

/* Issuer, key identifiers and signature: the last steps. */
static int
seal(struct making *k, bool sha1)
{
	X509 *issuer = k->issuer != NULL ? k->issuer : k->cert;
	EVP_PKEY *key = k->ca_key != NULL ? k->ca_key : k->key;

	if (!X509_set_issuer_name(k->cert, X509_get_subject_name(issuer)) ||
	    !ext_add(k->cert, issuer, NID_subject_key_identifier, "hash") ||
	    (k->issuer != NULL &&
		!ext_add(k->cert, issuer, NID_authority_key_identifier,
		    "keyid:always")) ||
	    X509_sign(k->cert, key, sha1 ? EVP_sha1() : digest_of(key)) == 0)
		return EINVAL;
	return 0;
}

int
tls_mint_bio_take(BIO *b, struct buf *out)
{
	const uint8_t *p;
	size_t n;

	return BIO_mem_contents(b, &p, &n) ? buf_add(out, p, n) : ENOMEM;
}

int
tls_mint_pem_cert(X509 *c, struct buf *out)
{
	BIO *b = BIO_new(BIO_s_mem());
	int err = ENOMEM;

	if (b != NULL && PEM_write_bio_X509(b, c))
		err = tls_mint_bio_take(b, out);
	BIO_free(b);
	return err;
}

int
tls_mint_pem_key(EVP_PKEY *k, struct buf *out)
{
	BIO *b = BIO_new(BIO_s_mem());
	int err = ENOMEM;

	if (b != NULL &&
	    PEM_write_bio_PKCS8PrivateKey(b, k, NULL, NULL, 0, NULL, NULL))
		err = tls_mint_bio_take(b, out);
	BIO_free(b);
	return err;
}

/*
 * An hour before all that counts as now, also where a clock is not confirmed
 * and its floor counts: a fresh lab must not be "not yet valid".
 */
static int64_t
default_from(void)
{
	int64_t now = clock_wall_s(), floor = clock_floor_s();

	return (now < floor ? now : floor) - 3600;
}

/* The later of clock and floor: ends are counted from it. */
static int64_t
default_now(void)
{
	int64_t now = clock_wall_s(), floor = clock_floor_s();

	return now > floor ? now : floor;
}

/* The files of a CA by the number of its tiers, from the root down; what issues
 * is ca.pem in each. */
static const char *const tier_files[TLS_CA_TIERS_MAX][TLS_CA_TIERS_MAX] = {
	{ "ca" },
	{ "root", "ca" },
	{ "root", "policy", "ca" },
};

/* Makes the certificate of one tier; `below` tiers of CAs follow. */
static int
tier_make(struct making *k, const struct making *above, const struct tls_ca *c,
    const char *cn, int below)
{
	int64_t to = c->not_after_s != 0 ? c->not_after_s : forever_s;
	char limits[48];
	X509 *issuer;
	int err;

	if ((err = tls_mint_key(c->key_bits, &k->key)) != 0 ||
	    (err = begin(k, cn, default_from(), to)) != 0)
		return err;
	if (above != NULL) {
		X509_up_ref(above->cert);
		k->issuer = above->cert;
		k->ca_key = above->key;
	}
	issuer = k->issuer != NULL ? k->issuer : k->cert;
	/* A CA alone may yet get issuers below it (cert mint --kind
	 * intermediate). */
	if (c->tiers == 1)
		(void)snprintf(limits, sizeof(limits), "critical,CA:TRUE");
	else
		(void)snprintf(limits, sizeof(limits),
		    "critical,CA:TRUE,pathlen:%d", below);
	if (!ext_add(k->cert, issuer, NID_basic_constraints, limits) ||
	    !ext_add(
		k->cert, issuer, NID_key_usage, "critical,keyCertSign,cRLSign"))
		return EINVAL;
	return seal(k, false);
}

/* The path of `name` with an ending. */
static int
tier_path(
    char out[static 4096], const char *dir, const char *name, const char *end)
{
	char file[32];

	(void)snprintf(file, sizeof(file), "%s.%s", name, end);
	return path_join(out, 4096, dir, file);
}

/* Is any of the files there? */
static int
tiers_absent(const struct tls_ca *c)
{
	static const char *const ends[] = { "pem", "key" };
	char path[4096];
	int err;

	for (int i = 0; i < 2 * c->tiers; i++) {
		if ((err = tier_path(path, c->dir,
			 tier_files[c->tiers - 1][i / 2], ends[i % 2])) != 0)
			return err;
		if (access(path, F_OK) == 0)
			return EEXIST;
	}
	return 0;
}

/* Writes certificate number `from` and those above it, up to number `to`. */
static int
tiers_write(const struct making *k, int from, int to, const char *path)
{
	struct buf b;
	int err = 0;

	buf_init(&b, PEM_MAX);
	for (int i = from; err == 0 && i >= to; i--)
		err = tls_mint_pem_cert(k[i].cert, &b);
	if (err == 0)
		err = file_write(path, b.p, b.n, 0644);
	buf_clear(&b);
	return err;
}

/*
 * Writes one tier; the key first, so that a CA without key never stands there.
 * What issues has the tiers between it and the root behind it: those are sent.
 */
static int
tier_write(const struct making *k, int i, const struct tls_ca *c)
{
	const char *name = tier_files[c->tiers - 1][i];
	bool last = i == c->tiers - 1;
	char path[4096];
	struct buf key;
	int err;

	buf_init_secret(&key, PEM_MAX);
	if ((err = tls_mint_pem_key(k[i].key, &key)) == 0 &&
	    (err = tier_path(path, c->dir, name, "key")) == 0)
		err = file_write(path, key.p, key.n, 0600);
	buf_clear(&key);
	if (err == 0 && (err = tier_path(path, c->dir, name, "pem")) == 0)
		err = tiers_write(k, i, last && i > 0 ? 1 : i, path);
	if (err == 0 && last && i > 0 &&
	    (err = tier_path(path, c->dir, "chain", "pem")) == 0)
		err = tiers_write(k, i, 0, path);
	return err;
}

int
tls_ca_make(const struct tls_ca *c)
{
	static const char *const words[] = { " root", " policy", " issuing" };
	struct making k[TLS_CA_TIERS_MAX];
	char cn[65]; /* X.520: ub-common-name is 64 */
	int err = 0, n;

	if (c->cn == NULL || c->cn[0] == '\0' || c->tiers < 1 ||
	    c->tiers > TLS_CA_TIERS_MAX)
		return EINVAL;
	if ((err = tiers_absent(c)) != 0 ||
	    (err = file_mkdirs(c->dir, 0700)) != 0)
		return err;
	memset(k, 0, sizeof(k));
	for (int i = 0; err == 0 && i < c->tiers; i++) {
		n = snprintf(cn, sizeof(cn), "%s%s", c->cn,
		    c->tiers == 1           ? ""
			: i == c->tiers - 1 ? words[2]
					    : words[i]);
		err = n < 0 || (size_t)n >= sizeof(cn)
		    ? EINVAL
		    : tier_make(&k[i], i > 0 ? &k[i - 1] : NULL, c, cn,
			  c->tiers - 1 - i);
	}
	for (int i = 0; err == 0 && i < c->tiers; i++)
		err = tier_write(k, i, c);
	for (int i = 0; i < TLS_CA_TIERS_MAX; i++)
		making_clear(&k[i]);
	return err;
}

int
tls_ca_init(const char *dir, const char *cn, int days)
{
	const struct tls_ca c = { .dir = dir,
		.cn = cn,
		.tiers = 1,
		.not_after_s = default_now() + (int64_t)days * DAY_S };

	return days >= 1 && days <= 36500 ? tls_ca_make(&c) : EINVAL;
}

/* Loads the issuer. */
static int
ca_load(struct making *k, const char *dir)
{
	char pem_path[4096], key_path[4096];
	int err;

	if ((err = path_join(pem_path, sizeof(pem_path), dir, "ca.pem")) != 0 ||
	    (err = path_join(key_path, sizeof(key_path), dir, "ca.key")) != 0)
		return err;
	if ((err = tls_slot_load(&k->ca, pem_path, key_path)) != 0)
		return err;
	if ((k->issuer = tls_x509_of(k->ca.certs[0])) == NULL)
		return ENOMEM;
	k->ca_key = k->ca.key;
	return 0;
}

/* The purposes of a kind of certificate. */
static bool
add_purpose(X509 *c, X509 *issuer, const struct tls_mint *m)
{
	static const char *const eku[] = {
		[TLS_MINT_DEVICE] = "clientAuth",
		[TLS_MINT_SERVER] = "serverAuth",
		[TLS_MINT_BOTH] = "serverAuth,clientAuth",
	};

	if (m->kind == TLS_MINT_INTERMEDIATE)
		return ext_add(c, issuer, NID_basic_constraints,
			   "critical,CA:TRUE,pathlen:0") &&
		    ext_add(c, issuer, NID_key_usage,
			"critical,keyCertSign,cRLSign");
	return ext_add(c, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
	    ext_add(c, issuer, NID_key_usage,
		m->rsa_bits != 0 ? "critical,digitalSignature,keyEncipherment"
				 : "critical,digitalSignature") &&
	    ext_add(c, issuer, NID_ext_key_usage, eku[m->kind]);
}

/* True for an item that is a name and nothing else: the library's syntax also
 * knows sections of a configuration file, and we have none. */
static bool
is_san(struct slice item)
{
	static const char *const kinds[] = { "DNS", "URI", "IP", "email" };
	struct slice kind, value;

	if (!slice_cut(item, ':', &kind, &value) || value.n == 0)
		return false;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (slice_is(kind, kinds[i]))
			/* "email:copy" and "email:move" are orders. */
			return i != 3 || memchr(value.p, '@', value.n) != NULL;
	}
	return false;
}

int
tls_mint_check(const char *sans, char *why, size_t why_size)
{
	struct slice rest = slice_of(sans != NULL ? sans : ""), item;

	while (rest.n > 0) {
		(void)slice_cut(rest, ',', &item, &rest);
		item = slice_trim(item);
		if (is_san(item))
			continue;
		if (why_size > 0)
			snprintf(why, why_size,
			    "%s is no name of a certificate: names are DNS:, "
			    "URI:, IP: or email: and a value, separated by "
			    "commas",
			    esc_n(item.p, item.n));
		return EINVAL;
	}
	return 0;
}

/* Names and, where asked for, the address of the issuer's certificate. */
static int
add_names(struct making *k, X509 *issuer, const struct tls_mint *m)
{
	char sans[SANS_MAX], aia[256];
	bool device = m->kind == TLS_MINT_DEVICE;
	bool some = m->sans != NULL && m->sans[0] != '\0';
	int n;

	if (tls_mint_check(m->sans, NULL, 0) != 0)
		return EINVAL;
	n = snprintf(sans, sizeof(sans), "%s%s%s%s", some ? m->sans : "",
	    some && device ? "," : "", device ? "URI:urn:dev:mac:" : "",
	    device ? m->cn : "");
	if (n < 0 || (size_t)n >= sizeof(sans))
		return E_LIMIT;
	if (n > 0 && !ext_add(k->cert, issuer, NID_subject_alt_name, sans))
		return EINVAL;
	/* 802.1AR 8.6: the serial number of the device in its name. */
	if (device && !name_add(k->cert, "serialNumber", m->cn))
		return EINVAL;
	if (m->aia == NULL)
		return 0;
	if (strchr(m->aia, ',') != NULL) /* that would begin another item */
		return EINVAL;
	n = snprintf(aia, sizeof(aia), "caIssuers;URI:%s", m->aia);
	if (n < 0 || (size_t)n >= sizeof(aia))
		return E_LIMIT;
	return ext_add(k->cert, issuer, NID_info_access, aia) ? 0 : EINVAL;
}

/* Certificate, chain and key, one after the other. */
static int
print_all(const struct making *k, struct buf *pem)
{
	int err = tls_mint_pem_cert(k->cert, pem);

	for (size_t i = 0; err == 0 && k->issuer != NULL && i < k->ca.num;
	     i++) {
		X509 *x = tls_x509_of(k->ca.certs[i]);

		if (x == NULL)
			return ENOMEM;
		/* A root is known to who trusts it: not sent. */
		if (X509_NAME_cmp(
			X509_get_subject_name(x), X509_get_issuer_name(x)) != 0)
			err = tls_mint_pem_cert(x, pem);
		X509_free(x);
	}
	return err == 0 ? tls_mint_pem_key(k->key, pem) : err;
}

/* The end of validity of a kind, counted from now. */
static int64_t
default_to(enum tls_mint_kind kind)
{
	switch (kind) {
	case TLS_MINT_DEVICE:
		return forever_s;
	case TLS_MINT_INTERMEDIATE:
		return default_now() + (int64_t)INTERMEDIATE_DAYS * DAY_S;
	default:
		return default_now() + (int64_t)SERVER_DAYS * DAY_S;
	}
}

int
tls_mint(const struct tls_mint *m, struct buf *pem)
{
	int64_t from = m->not_before_s != 0 ? m->not_before_s : default_from();
	int64_t to = m->not_after_s != 0 ? m->not_after_s : default_to(m->kind);
	size_t before = pem->n;
	struct making k;
	X509 *issuer;
	int err;

	memset(&k, 0, sizeof(k));
	if (m->cn == NULL || m->cn[0] == '\0' ||
	    (unsigned int)m->kind > TLS_MINT_INTERMEDIATE || from >= to ||
	    (m->rsa_bits != 0 && (m->rsa_bits < 1024 || m->rsa_bits > 4096)))
		return EINVAL;
	if ((m->ca_dir != NULL && (err = ca_load(&k, m->ca_dir)) != 0) ||
	    (err = tls_mint_key(m->rsa_bits, &k.key)) != 0 ||
	    (err = begin(&k, m->cn, from, to)) != 0)
		goto out;
	issuer = k.issuer != NULL ? k.issuer : k.cert;
	err = EINVAL;
	if (!add_purpose(k.cert, issuer, m))
		goto out;
	if ((err = add_names(&k, issuer, m)) != 0 ||
	    (err = seal(&k, m->sha1)) != 0)
		goto out;
	if ((err = print_all(&k, pem)) != 0)
		buf_cut(pem, before);
out:
	making_clear(&k);
	return err;
}

int
tls_mint_server(struct buf *pem)
{
	char host[256] = "", san[300];
	struct tls_mint m = { .kind = TLS_MINT_SERVER, .sans = san };

	if (gethostname(host, sizeof(host) - 1) != 0 || host[0] == '\0')
		ignore_err(str_copy(host, sizeof(host), "bellbird"), "fits");
	/* Names of hosts have no commas; if this one does, it is not one. */
	if (strpbrk(host, ",;: ") != NULL || strlen(host) > 64)
		ignore_err(str_copy(host, sizeof(host), "bellbird"), "fits");
	snprintf(san, sizeof(san), "DNS:%s", host);
	m.cn = host;
	m.not_after_s = default_now() + (int64_t)OWN_SERVER_DAYS * DAY_S;
	return tls_mint(&m, pem);
}
