/* SPDX-License-Identifier: ISC */
/* What the tests of tls/ share: a scratch folder, certificates minted into
 * it, policies of default settings.  Include after cmocka.h. */
#ifndef BELLBIRD_TESTS_TEST_TLS_H
#define BELLBIRD_TESTS_TEST_TLS_H

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bellbird/clock.h"
#include "bellbird/file.h"
#include "bellbird/log.h"
#include "bellbird/tls_cert.h"

#include "../../tls/internal.h"

#define UNUSED  __attribute__((unused))
#define LEN(a)  (sizeof(a) / sizeof((a)[0]))
#define MAC     "00156d000001"
#define DAY_S   86400
#define PEM_MAX ((size_t)1 << 18)

/* The folder of this program; the certificates live as long as it runs. */
static char scratch[40];

static UNUSED int
on_scratch_file(
    const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)st;
	(void)type;
	(void)f;
	return remove(path);
}

static UNUSED void
scratch_open(void)
{
	log_set_level(LOGL_ERR);
	(void)snprintf(scratch, sizeof(scratch), "/tmp/bellbird-tls-XXXXXX");
	assert_non_null(mkdtemp(scratch));
}

static UNUSED void
scratch_close(void)
{
	(void)nftw(scratch, on_scratch_file, 8, FTW_DEPTH | FTW_PHYS);
}

/* The path of a scratch file; a few fit in one call. */
static UNUSED const char *
at(const char *name)
{
	static char path[8][128];
	static unsigned int i;
	char *p = path[i++ % LEN(path)];

	assert_int_equal(path_join(p, sizeof(path[0]), scratch, name), 0);
	return p;
}

static UNUSED void
folder(const char *name)
{
	assert_int_equal(mkdir(at(name), 0700), 0);
}

static UNUSED void
put(const char *name, const void *p, size_t n)
{
	assert_int_equal(file_write(at(name), p, n, 0600), 0);
}

static UNUSED void
put_text(const char *name, const char *text)
{
	put(name, text, strlen(text));
}

/* Appends a scratch file. */
static UNUSED void
get(const char *name, struct buf *b)
{
	assert_int_equal(file_read(at(name), b), 0);
}

/* Writes the parts one after the other to `name`; NULL ends the list. */
static UNUSED void
join(const char *name, const char *const *parts)
{
	struct buf b;

	buf_init(&b, PEM_MAX);
	for (; *parts != NULL; parts++)
		get(*parts, &b);
	put(name, b.p, b.n);
	buf_clear(&b);
}
#define JOIN(name, ...) join(name, (const char *const[]){ __VA_ARGS__, NULL })

/* A CA of its own folder. */
static UNUSED void
ca(const char *name, const char *cn)
{
	assert_int_equal(tls_ca_init(at(name), cn, 30), 0);
}

/* Mints into a scratch file; `ca_name` is the folder of the issuer, or NULL. */
static UNUSED void
mint_as(struct tls_mint m, const char *ca_name, const char *name)
{
	struct buf pem;

	m.ca_dir = ca_name != NULL ? at(ca_name) : NULL;
	buf_init_secret(&pem, PEM_MAX);
	assert_int_equal(tls_mint(&m, &pem), 0);
	put(name, pem.p, pem.n);
	buf_clear(&pem);
}

static UNUSED void
mint(const char *ca_name, enum tls_mint_kind kind, const char *cn,
    const char *sans, const char *name)
{
	mint_as((struct tls_mint){ .kind = kind, .cn = cn, .sans = sans },
	    ca_name, name);
}

/* An issuer below another one, in a folder of its own. */
static UNUSED void
sub_ca(const char *ca_name, const char *name, const char *cn)
{
	char pem[64], key[64];

	folder(name);
	(void)snprintf(pem, sizeof(pem), "%s/ca.pem", name);
	(void)snprintf(key, sizeof(key), "%s/ca.key", name);
	mint(ca_name, TLS_MINT_INTERMEDIATE, cn, NULL, pem);
	JOIN(key, pem); /* minted files hold the key too */
}

struct first {
	const char *label;
	uint8_t *der;
	size_t n, skip;
};

static UNUSED int
on_first(const struct tls_pem_block *b, void *arg)
{
	struct first *f = arg;

	if (strcmp(b->label, f->label) != 0 || f->skip-- > 0)
		return 0;
	f->der = malloc(b->n);
	assert_non_null(f->der);
	memcpy(f->der, b->der, b->n);
	f->n = b->n;
	return EEXIST;
}

/* The certificate number `i` of a PEM file. */
static UNUSED X509 *
cert_of(const char *name, size_t i)
{
	struct first f = { .label = "CERTIFICATE", .skip = i };
	struct buf b;
	X509 *c;

	buf_init(&b, PEM_MAX);
	get(name, &b);
	assert_int_equal(tls_pem_each(b.p, b.n, on_first, &f), EEXIST);
	buf_clear(&b);
	c = tls_der_cert(f.der, f.n);
	assert_non_null(c);
	free(f.der);
	return c;
}

/* Writes certificate number `i` of a PEM file in DER. */
static UNUSED void
put_der(const char *from, size_t i, const char *to)
{
	X509 *c = cert_of(from, i);
	uint8_t *der = NULL;
	int n = i2d_X509(c, &der);

	assert_true(n > 0);
	put(to, der, (size_t)n);
	OPENSSL_free(der);
	X509_free(c);
}

/* Decides a policy; the trust is what was uploaded. */
static UNUSED void
decide(struct tls_policy *p, enum tls_use use, enum tls_dir dir,
    const char *name, const struct tls_settings *s)
{
	struct tls_clock clock = { clock_wall_s(), clock_floor_s(), true };
	char why[256] = "";

	if (tls_policy_decide(p, use, dir, name, s, &clock, why, sizeof(why)) !=
	    0)
		fail_msg("%s", why);
}

/* Default settings, but only what was uploaded is trusted. */
static UNUSED void
settings(struct tls_settings *s, enum tls_use use)
{
	tls_settings_default(s, use);
	s->trust = TLS_TRUST_UPLOADED;
}

#endif
