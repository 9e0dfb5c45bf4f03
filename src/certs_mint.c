/* SPDX-License-Identifier: ISC */
/* bellbird cert ca-init and cert mint: a CA for devices, for a site or a lab,
 * and what it issues. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bellbird/file.h"
#include "bellbird/tls_cert.h"
#include "certs.h"

enum {
	DAY_S = 86400,
	DAYS_MAX = 365243, /* a thousand years */
	YEARS_MAX = 1000,
	/* A production run of a year; more come in another file. */
	MACS_MAX = 100000
};

/*
 * The end that --days or --years ask for, seconds since 1970; 0: neither was
 * given.  -1 after an error was printed.
 */
static int64_t
end_of(const struct jv *args)
{
	const char *days = jv_get_str(args, "days");
	const char *years = jv_get_str(args, "years");
	int64_t n = 0;

	if (days != NULL && years != NULL) {
		(void)certs_usage(args, "--days or --years: one of the two");
		return -1;
	}
	if (days != NULL && str_int(slice_of(days), 1, DAYS_MAX, &n) != 0) {
		(void)certs_usage(
		    args, "--days wants a number from 1 to 365243");
		return -1;
	}
	if (years != NULL && str_int(slice_of(years), 1, YEARS_MAX, &n) != 0) {
		(void)certs_usage(
		    args, "--years wants a number from 1 to 1000");
		return -1;
	}
	if (years != NULL) /* of the Gregorian calendar, on average */
		n = n * 3652425 / 10000 + 1;
	return n == 0 ? 0 : clock_wall_s() + n * DAY_S;
}

/* ---- cert ca-init ---- */

/* --tiers and --key; a usage error is printed. */
static int
ca_options(const struct jv *args, struct tls_ca *c)
{
	static const struct {
		const char *word;
		int bits;
	} keys[] = { { "p256", 256 }, { "p384", 384 }, { "rsa2048", 2048 },
		{ "rsa3072", 3072 }, { "rsa4096", 4096 } };
	const char *tiers = jv_get_str(args, "tiers");
	const char *key = jv_get_str(args, "key");
	int64_t n = 1;

	if (tiers != NULL &&
	    str_int(slice_of(tiers), 1, TLS_CA_TIERS_MAX, &n) != 0)
		return certs_usage(args,
		    "--tiers is 1, 2 (a root above what issues) or 3 (root "
		    "and policy)");
	c->tiers = (int)n;
	for (size_t i = 0; key != NULL && i < sizeof(keys) / sizeof(keys[0]);
	     i++)
		if (strcmp(key, keys[i].word) == 0)
			c->key_bits = keys[i].bits;
	if (key != NULL && c->key_bits == 0)
		return certs_usage(
		    args, "--key is p256, p384, rsa2048, rsa3072 or rsa4096");
	c->dir = jv_get_str(args, "dir");
	if (c->dir == NULL)
		c->dir = ".";
	c->cn = jv_get_str(args, "cn");
	if (c->cn == NULL)
		c->cn = "bellbird device CA";
	/* "issuing" and a space go behind it. */
	if (c->cn[0] == '\0' ||
	    strlen(c->cn) > (c->tiers > 1 ? (size_t)64 - 8 : 64))
		return certs_usage(args,
		    "--cn is a name of 64 characters at most, 56 with tiers");
	if ((c->not_after_s = end_of(args)) < 0)
		return CTL_USAGE;
	return CTL_OK;
}

/* Adds the path of a file of the CA. */
static void
add_path(struct jv *o, const char *key, const char *dir, const char *name)
{
	char path[PATH_MAX];

	if (path_join(path, sizeof(path), dir, name) == 0)
		jv_set_str(o, key, path);
}

int
certs_ca_init(const struct jv *args)
{
	struct tls_ca c = { .tiers = 1 };
	struct jv *o;
	int err, code;

	if ((code = ca_options(args, &c)) != CTL_OK)
		return code;
	err = tls_ca_make(&c);
	if (err == EEXIST)
		return certs_fail(args, NULL,
		    "there is a CA in that folder already; nothing was "
		    "changed");
	if (err == EINVAL)
		return certs_usage(args, "--cn holds what no certificate can");
	if (err != 0)
		return certs_fail(args, c.dir, err_str(err));
	o = jv_obj();
	add_path(o, "certificate", c.dir, "ca.pem");
	add_path(o, "key", c.dir, "ca.key");
	if (c.tiers > 1) {
		add_path(o, "root", c.dir, "root.pem");
		add_path(o, "servers", c.dir, "chain.pem");
		jv_set_str(o, "note",
		    "keep root.key (and policy.key) off this machine: "
		    "issuing needs ca.pem and ca.key alone");
	}
	return certs_print(args, "cert ca-init", o);
}

/* ---- cert mint ---- */

/* MAC addresses, 12 lower-case digits each. */
struct macs {
	char (*v)[MAC_SIZE]; /* owned */
	size_t num;
};

static void
macs_clear(struct macs *m)
{
	free(m->v);
	m->v = NULL;
	m->num = 0;
}

/* Appends one; ENOMEM, E_LIMIT. */
static int
macs_add(struct macs *m, const char mac[static MAC_SIZE])
{
	void *v;

	if (m->num == MACS_MAX)
		return E_LIMIT;
	if ((m->num & (m->num - 1)) == 0) { /* a power of two: full */
		v = realloc(
		    m->v, sizeof(*m->v) * (m->num == 0 ? 1 : 2 * m->num));
		if (v == NULL)
			return ENOMEM;
		m->v = v;
	}
	memcpy(m->v[m->num++], mac, MAC_SIZE);
	return 0;
}

/* qsort and bsearch. */
static int
mac_cmp(const void *a, const void *b)
{
	return memcmp(a, b, MAC_SIZE);
}

/* Reads a list: one a line, empty lines and # comments between; says file and
 * line of what is wrong. */
static int
macs_parse(struct macs *m, const char *path, const char *text, char *why,
    size_t why_size)
{
	struct slice rest = slice_of(text), line;
	char mac[MAC_SIZE];
	int number = 0, err;

	while (slice_line(&rest, &line)) {
		number++;
		line = slice_trim(line);
		if (line.n == 0 || line.p[0] == '#')
			continue;
		if (str_mac_norm(line, mac) != 0) {
			(void)snprintf(why, why_size,
			    "%s:%d: \"%s\" is no MAC address of 12 hex digits; "
			    "nothing was minted",
			    esc(path), number, esc_n(line.p, line.n));
			return E_PARSE;
		}
		if ((err = macs_add(m, mac)) != 0) {
			(void)snprintf(why, why_size, "%s:%d: %s", esc(path),
			    number, err_str(err));
			return err;
		}
	}
	if (m->num == 0) {
		(void)snprintf(why, why_size,
		    "%s: there is no MAC address in it", esc(path));
		return E_PARSE;
	}
	return 0;
}

/* One device twice would be one file twice. */
static int
macs_unique(struct macs *m, const char *path, char *why, size_t why_size)
{
	qsort(m->v, m->num, sizeof(*m->v), mac_cmp);
	for (size_t i = 1; i < m->num; i++) {
		if (mac_cmp(m->v[i - 1], m->v[i]) != 0)
			continue;
		(void)snprintf(why, why_size,
		    "%s: %s is in it twice; nothing was minted", esc(path),
		    m->v[i]);
		return E_PARSE;
	}
	return 0;
}

/* Reads the list file; an error is printed. */
static int
macs_read(struct macs *m, const struct jv *args, const char *path)
{
	char why[WHY_SIZE] = "";
	struct buf b;
	int err;

	/* A line is a MAC with separators and some words beside it. */
	buf_init(&b, (size_t)MACS_MAX * 64);
	if ((err = file_read(path, &b)) != 0)
		(void)snprintf(
		    why, sizeof(why), "%s: %s", esc(path), err_str(err));
	else if ((err = macs_parse(m, path, buf_str(&b), why, sizeof(why))) ==
	    0)
		err = macs_unique(m, path, why, sizeof(why));
	buf_clear(&b);
	return err == 0 ? CTL_OK : certs_fail(args, NULL, why);
}

/* --kind -> enum; -1 for a word that is none. */
static int
kind_of(const char *word)
{
	static const char *const words[] = { "device", "server", "both",
		"intermediate" };

	if (word == NULL)
		return TLS_MINT_DEVICE;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(word, words[i]) == 0)
			return (int)i;
	return -1;
}

/* Reads the options of `cert mint`; a usage error is printed. */
static int
mint_options(const struct jv *args, struct tls_mint *m)
{
	const char *rsa = jv_get_str(args, "rsa");
	int kind = kind_of(jv_get_str(args, "kind"));
	int64_t bits = 0;
	char why[200];

	if (kind < 0)
		return certs_usage(
		    args, "--kind is device, server, both or intermediate");
	if (rsa != NULL && str_int(slice_of(rsa), 1024, 4096, &bits) != 0)
		return certs_usage(args, "--rsa wants 1024 to 4096 bits");
	m->ca_dir = jv_get_str(args, "ca");
	m->kind = (enum tls_mint_kind)kind;
	m->sans = jv_get_str(args, "san");
	if (tls_mint_check(m->sans, why, sizeof(why)) != 0)
		return certs_usage(args, why);
	m->rsa_bits = (int)bits;
	if ((m->not_after_s = end_of(args)) < 0)
		return CTL_USAGE;
	return CTL_OK;
}

/* Mints one and writes it. */
static int
mint_one(const struct jv *args, const struct tls_mint *m, const char *out)
{
	struct buf pem;
	int err, code = CTL_OK;

	buf_init_secret(&pem, CERTS_FILE_MAX);
	err = tls_mint(m, &pem);
	if (err == 0 && (err = file_write(out, pem.p, pem.n, 0600)) != 0)
		code = certs_fail(args, out, err_str(err));
	else if (err != 0)
		code = certs_fail(args, m->ca_dir, err_str(err));
	buf_clear(&pem);
	return code;
}

/* A certificate that ends after its CA is refused from then on. */
static void
note_end(struct jv *o, const struct tls_mint *m)
{
	struct tls_cert_brief b[TLS_CHAIN_MAX];
	char path[PATH_MAX], why[WHY_SIZE], iso[32], text[WHY_SIZE],
	    none[1][128];
	size_t num = 0, num_sans;
	bool has_key;
	int64_t end = m->not_after_s;

	if (m->ca_dir == NULL || (end == 0 && m->kind != TLS_MINT_DEVICE) ||
	    path_join(path, sizeof(path), m->ca_dir, "ca.pem") != 0 ||
	    tls_cert_read(path, b, TLS_CHAIN_MAX, &num, none, 0, &num_sans,
		&has_key, why, sizeof(why)) != 0)
		return;
	for (size_t i = 0; i < num; i++) {
		if (end != 0 && b[i].not_after_s >= end)
			continue;
		clock_iso(iso, sizeof(iso), b[i].not_after_s * 1000000);
		/* 9999-12-31: without end, as device certificates are. */
		if (end == 0 && strncmp(iso, "9999-12-31", 10) == 0)
			continue;
		(void)snprintf(text, sizeof(text),
		    "the CA %.100s ends at %s, before what it issued: from "
		    "then on servers refuse it",
		    b[i].subject, iso);
		jv_set_str(o, "note", text);
		return;
	}
}

/* One certificate: --out. */
static int
mint_single(const struct jv *args, struct tls_mint *m)
{
	const char *given = jv_get_str(args, "mac");
	const char *out = jv_get_str(args, "out");
	char mac[MAC_SIZE];
	struct jv *o;
	int code;

	m->cn = given != NULL ? given : jv_get_str(args, "cn");
	if (given != NULL && m->kind != TLS_MINT_DEVICE)
		return certs_usage(args, "--mac is for devices");
	if (m->cn == NULL)
		return certs_usage(args,
		    "--mac MAC of a device or --cn NAME of a server is "
		    "missing");
	if (out == NULL)
		return certs_usage(args,
		    "--out FILE is missing: certificate, chain and key go "
		    "there");
	if (m->kind == TLS_MINT_DEVICE) {
		if (certs_mac(m->cn, mac) != 0)
			return certs_usage(args,
			    "the name of a device certificate is its MAC "
			    "address: 12 hex digits");
		m->cn = mac;
	}
	if (!certs_free_to_write(args, out))
		return CTL_FAIL;
	if ((code = mint_one(args, m, out)) != CTL_OK)
		return code;
	o = jv_obj();
	jv_set_str(o, "file", out);
	jv_set_str(o, "cn", m->cn);
	note_end(o, m);
	return certs_print(args, "cert mint", o);
}

/* The file of one device; false after an error was printed. */
static bool
device_path(const struct jv *args, const char *mac, char out[static PATH_MAX])
{
	char name[MAC_SIZE + 4];

	(void)snprintf(name, sizeof(name), "%s.pem", mac);
	if (path_join(out, PATH_MAX, jv_get_str(args, "out-dir"), name) == 0)
		return true;
	(void)certs_fail(args, "--out-dir", "the path is too long");
	return false;
}

/* Mints for each of a list, once it is sure that no file would be lost. */
static int
mint_macs(const struct jv *args, struct tls_mint *m, const struct macs *macs)
{
	const char *dir = jv_get_str(args, "out-dir");
	char path[PATH_MAX];
	struct jv *o, *files;
	int err, code = CTL_OK;

	for (size_t i = 0; i < macs->num; i++)
		if (!device_path(args, macs->v[i], path) ||
		    !certs_free_to_write(args, path))
			return CTL_FAIL;
	if ((err = file_mkdirs(dir, 0700)) != 0)
		return certs_fail(args, dir, err_str(err));
	files = jv_arr();
	for (size_t i = 0; code == CTL_OK && i < macs->num; i++) {
		m->cn = macs->v[i];
		code = device_path(args, m->cn, path) ? mint_one(args, m, path)
						      : CTL_FAIL;
		if (code == CTL_OK)
			jv_add(files, jv_str(path));
	}
	if (code != CTL_OK) {
		jv_free(files);
		return code;
	}
	o = jv_obj();
	jv_set(o, "files", files);
	note_end(o, m);
	return certs_print(args, "cert mint", o);
}

/* A list of devices: --macs and --out-dir. */
static int
mint_list(const struct jv *args, struct tls_mint *m)
{
	struct macs macs = { NULL, 0 };
	int code;

	if (m->kind != TLS_MINT_DEVICE)
		return certs_usage(args, "--macs is for devices");
	if (jv_get_str(args, "cn") != NULL || jv_get_str(args, "mac") != NULL ||
	    jv_get_str(args, "out") != NULL ||
	    jv_get_str(args, "out-dir") == NULL)
		return certs_usage(args,
		    "--macs FILE wants --out-dir DIR, where a file for each "
		    "MAC address goes, and neither --cn, --mac nor --out");
	code = macs_read(&macs, args, jv_get_str(args, "macs"));
	if (code == CTL_OK)
		code = mint_macs(args, m, &macs);
	macs_clear(&macs);
	return code;
}

int
certs_mint(const struct jv *args)
{
	struct tls_mint m = { 0 };
	int code;

	if ((code = mint_options(args, &m)) != CTL_OK)
		return code;
	if (jv_get_str(args, "mac") != NULL && jv_get_str(args, "cn") != NULL)
		return certs_usage(
		    args, "--mac MAC of a device or --cn NAME: one of the two");
	return jv_get_str(args, "macs") != NULL ? mint_list(args, &m)
						: mint_single(args, &m);
}
