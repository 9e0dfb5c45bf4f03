/* SPDX-License-Identifier: ISC */
/* Identities that somebody wants to install: judged before anything is
 * changed, and brought into one form. */
#include <stdio.h>
#include <string.h>

#include <openssl/x509.h>

#include "bellbird/clock.h"
#include "bellbird/str.h"
#include "bellbird/tls_cert.h"

#include "internal.h"

enum { JOINED_MAX = 512 * 1024 };

/* Is there a PEM block in it? */
static bool
is_pem(struct slice s)
{
	return s.n > 0 && memmem(s.p, s.n, "-----BEGIN ", 11) != NULL;
}

/* Reads file and key as PEM. */
static int
pem_parse(
    struct tls_slot *s, const struct tls_import *in, char *why, size_t why_size)
{
	struct buf b;
	int err;

	buf_init_secret(&b, JOINED_MAX);
	buf_add(&b, in->file.p, in->file.n);
	buf_puts(&b, "\n");
	if (in->key.n > 0)
		buf_add(&b, in->key.p, in->key.n);
	if ((err = b.err) == 0)
		err = tls_slot_parse(s, b.p, b.n, why, why_size);
	else
		ignore_err(str_copy(why, why_size, err_str(err)), "a hint");
	buf_clear(&b);
	return err;
}

/* Reads either form. */
static int
slot_parse(
    struct tls_slot *s, const struct tls_import *in, char *why, size_t why_size)
{
	if (is_pem(in->file))
		return pem_parse(s, in, why, why_size);
	if (in->password == NULL) {
		ignore_err(str_copy(why, why_size,
			       "it is not PEM; if it is PKCS #12, give its "
			       "password with --password-file "
			       "[key.unreadable]"),
		    "a hint");
		return E_TLS_KEY;
	}
	return tls_slot_parse_p12(
	    s, in->file.p, in->file.n, in->password, why, why_size);
}

/* Is it too late for it, by any time that could be now? */
static int
end_check(const struct tls_slot *s, char *why, size_t why_size)
{
	int64_t now = clock_wall_s(), floor = clock_floor_s();
	char iso[32];

	if (s->brief.not_after_s >= (now > floor ? now : floor))
		return 0;
	clock_iso(iso, sizeof(iso), s->brief.not_after_s * 1000000);
	snprintf(why, why_size,
	    "it has expired (%s): have a new one issued [cert.expired]", iso);
	return E_TLS_CERT;
}

/* Prints the slot: what is sent, the root, the key or where it is. */
static int
slot_print(const struct tls_slot *s, struct buf *pem)
{
	int err = 0;
	X509 *x;

	for (size_t i = 0; err == 0 && i < s->num + (s->root != NULL); i++) {
		x = tls_x509_of(i < s->num ? s->certs[i] : s->root);
		err = x != NULL ? tls_mint_pem_cert(x, pem) : ENOMEM;
		X509_free(x);
	}
	if (err == 0 && s->uri != NULL)
		err = buf_printf(pem, "%s\n", s->uri);
	else if (err == 0)
		err = tls_mint_pem_key(s->key, pem);
	return err;
}

int
tls_import(const struct tls_import *in, struct buf *pem,
    struct tls_cert_brief *leaf, char cn[static 128], char *why,
    size_t why_size)
{
	struct tls_slot s;
	int err;

	memset(&s, 0, sizeof(s));
	if ((err = slot_parse(&s, in, why, why_size)) == 0)
		err = end_check(&s, why, why_size);
	if (err == 0 && (err = slot_print(&s, pem)) != 0)
		ignore_err(str_copy(why, why_size, err_str(err)), "a hint");
	if (err == 0) {
		*leaf = s.brief;
		ignore_err(str_copy(cn, 128, s.cn), "same size");
	}
	tls_slot_clear(&s);
	tls_err_drop();
	return err;
}
