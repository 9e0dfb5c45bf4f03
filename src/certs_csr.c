/* SPDX-License-Identifier: ISC */
/* bellbird cert csr: a request for a certificate of a CA elsewhere. */
#include <stdio.h>
#include <string.h>

#include "bellbird/file.h"
#include "bellbird/tls_cert.h"
#include "certs.h"

/* What goes where. */
struct places {
	const char *out, *key_out; /* the latter NULL: an existing key */
};

/* Reads who it is for. */
static int
subject_read(
    const struct jv *args, char mac[static MAC_SIZE], struct tls_csr *c)
{
	const char *given = jv_get_str(args, "mac");
	char why[200];

	c->cn = jv_get_str(args, "cn");
	c->sans = jv_get_str(args, "san");
	if ((given != NULL) == (c->cn != NULL))
		return certs_usage(args,
		    "--mac MAC for the device certificate, or --cn NAME for "
		    "the owner's: one of the two");
	if (given != NULL && certs_mac(given, mac) != 0)
		return certs_usage(
		    args, "--mac wants a MAC address: 12 hex digits");
	if (given != NULL)
		c->mac = mac;
	if (tls_mint_check(c->sans, why, sizeof(why)) != 0)
		return certs_usage(args, why);
	return CTL_OK;
}

/* Reads where request and key go. */
static int
places_read(const struct jv *args, struct places *p)
{
	bool own = jv_get_str(args, "key") != NULL;

	p->out = jv_get_str(args, "out");
	p->key_out = jv_get_str(args, "key-out");
	if (p->out == NULL)
		return certs_usage(
		    args, "--out FILE is missing: the request goes there");
	if (own == (p->key_out != NULL))
		return certs_usage(args,
		    "--key-out FILE for a new key, or --key FILE for one that "
		    "exists: one of the two");
	if (strcmp(p->out, own ? jv_get_str(args, "key") : p->key_out) == 0)
		return certs_usage(args,
		    "the request would be written over the key: name two "
		    "files");
	if (!certs_free_to_write(args, p->out) ||
	    (!own && !certs_free_to_write(args, p->key_out)))
		return CTL_FAIL;
	return CTL_OK;
}

/* Makes the request and writes it, behind its key: a request without one is
 * worth nothing. */
static int
request_write(
    const struct jv *args, const struct tls_csr *c, const struct places *p)
{
	const char *path = jv_get_str(args, "key");
	char why[WHY_SIZE] = "";
	struct buf csr, key;
	int err, code = CTL_OK;

	buf_init(&csr, CERTS_FILE_MAX);
	buf_init_secret(&key, CERTS_FILE_MAX);
	err = tls_csr(
	    c, &csr, p->key_out != NULL ? &key : NULL, why, sizeof(why));
	if (err != 0) {
		code = certs_fail(args, err == E_TLS_KEY ? path : NULL,
		    why[0] != '\0' ? why : err_str(err));
		goto out;
	}
	path = p->key_out;
	if (path != NULL)
		err = file_write(path, key.p, key.n, 0600);
	if (err == 0)
		err = file_write(path = p->out, csr.p, csr.n, 0644);
	if (err != 0)
		code = certs_fail(args, path, err_str(err));
out:
	buf_clear(&csr);
	buf_clear(&key);
	return code;
}

int
certs_csr(const struct jv *args)
{
	const char *key = jv_get_str(args, "key");
	struct tls_csr c = { .mac = NULL };
	char mac[MAC_SIZE];
	struct places p;
	struct buf pem;
	struct jv *o;
	int err, code;

	if ((code = subject_read(args, mac, &c)) != CTL_OK ||
	    (code = places_read(args, &p)) != CTL_OK)
		return code;
	buf_init_secret(&pem, CERTS_FILE_MAX);
	if (key != NULL && (err = file_read(key, &pem)) != 0) {
		buf_clear(&pem);
		return certs_fail(args, key, err_str(err));
	}
	if (key != NULL)
		/* An empty file is no order to make a key. */
		c.key = (struct slice){ buf_str(&pem), pem.n + (pem.n == 0) };
	code = request_write(args, &c, &p);
	buf_clear(&pem);
	if (code != CTL_OK)
		return code;
	o = jv_obj();
	jv_set_str(o, "request", p.out);
	jv_set_str(o, "key", key != NULL ? key : p.key_out);
	jv_set_str(o, "cn", c.mac != NULL ? c.mac : c.cn);
	return certs_print(args, "cert csr", o);
}
