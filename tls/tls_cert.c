/* SPDX-License-Identifier: ISC */
/* Certificate files read for people: what is in them, does it fit, would the
 * policy accept it. */
#include <stdio.h>
#include <string.h>

#include <openssl/x509.h>

#include "bellbird/clock.h"
#include "bellbird/file.h"
#include "bellbird/log.h"
#include "bellbird/str.h"
#include "bellbird/tls_cert.h"

#include "internal.h"

/* A file of a hundred certificates. */
enum { CERT_FILE_MAX = 1024 * 1024 };

struct reader {
	struct tls_cert_brief *out;
	size_t max, num;
	X509 *leaf; /* owned: the first */
	bool has_key;
	STACK_OF(X509) * all; /* borrowed; or NULL */
};

/* One certificate of the file. */
static void
reader_add(struct reader *r, X509 *c)
{
	if (r->num < r->max)
		tls_x509_brief(c, &r->out[r->num]);
	r->num++;
	if (r->leaf == NULL) {
		X509_up_ref(c);
		r->leaf = c;
	}
	if (r->all != NULL && X509_up_ref(c) && !sk_X509_push(r->all, c))
		X509_free(c);
}

/* Those of a container; frees it. */
static void
reader_add_all(struct reader *r, STACK_OF(X509) * sk)
{
	for (size_t i = 0; i < sk_X509_num(sk); i++)
		reader_add(r, sk_X509_value(sk, i));
	sk_X509_pop_free(sk, X509_free);
}

static int
on_block(const struct tls_pem_block *b, void *arg)
{
	struct reader *r = arg;
	STACK_OF(X509) * sk;
	X509 *c;

	if (strstr(b->label, "PRIVATE KEY") != NULL)
		r->has_key = true;
	if (b->der != NULL && strcmp(b->label, "PKCS7") == 0 &&
	    (sk = tls_der_pkcs7(b->der, b->n)) != NULL)
		reader_add_all(r, sk);
	if (b->der == NULL || strcmp(b->label, "CERTIFICATE") != 0)
		return 0;
	if ((c = tls_der_cert(b->der, b->n)) != NULL) {
		reader_add(r, c);
		X509_free(c);
	}
	return 0;
}

/* Reads PEM, DER or PKCS#7 into `r`. */
static int
reader_file(struct reader *r, const char *path, char *why, size_t why_size)
{
	STACK_OF(X509) * sk;
	struct buf b;
	X509 *c;
	int err;

	buf_init_secret(&b, CERT_FILE_MAX); /* there may be a key in it */
	if ((err = file_read(path, &b)) != 0) {
		snprintf(why, why_size, "%s: %s", esc(path), err_str(err));
		goto out;
	}
	if (b.n > 0 && memmem(b.p, b.n, "-----BEGIN ", 11) != NULL) {
		err = tls_pem_each(b.p, b.n, on_block, r);
	} else if ((c = tls_der_cert(b.p, b.n)) != NULL) {
		reader_add(r, c);
		X509_free(c);
	} else if ((sk = tls_der_pkcs7(b.p, b.n)) != NULL) {
		reader_add_all(r, sk);
	}
	if (err == 0 && r->num == 0) {
		snprintf(why, why_size,
		    "%s: no certificate in PEM, DER or PKCS#7 form", esc(path));
		err = E_TLS_KEY;
	}
out:
	buf_clear(&b);
	return err;
}

int
tls_cert_stack(
    const char *path, STACK_OF(X509) * all, char *why, size_t why_size)
{
	struct tls_cert_brief none[1];
	struct reader r = { .out = none, .all = all };
	int err = reader_file(&r, path, why, why_size);

	X509_free(r.leaf);
	return err;
}

int
tls_cert_read(const char *path, struct tls_cert_brief *out, size_t max,
    size_t *num, char (*sans)[128], size_t max_sans, size_t *num_sans,
    bool *has_key, char *why, size_t why_size)
{
	struct reader r = { .out = out, .max = max };
	int err;

	if ((err = reader_file(&r, path, why, why_size)) == 0) {
		*num = r.num < max ? r.num : max;
		*num_sans = tls_x509_sans(r.leaf, sans, max_sans);
		*has_key = r.has_key;
	}
	X509_free(r.leaf);
	return err;
}

int
tls_identity_check(const char *path, char *why, size_t why_size)
{
	struct tls_slot s;
	struct buf b;
	int err;

	memset(&s, 0, sizeof(s));
	buf_init_secret(&b, CERT_FILE_MAX);
	if ((err = file_read(path, &b)) != 0)
		snprintf(why, why_size, "%s: %s", esc(path), err_str(err));
	else
		err = tls_slot_parse(&s, b.p, b.n, why, why_size);
	tls_slot_clear(&s);
	buf_clear(&b);
	return err;
}

int
tls_cert_judge_with(const struct tls_env *e, const struct tls_policy *p,
    const char *path, const char *const *inters, struct tls_verdict *v,
    char *why, size_t why_size)
{
	struct tls_cert_brief none[1];
	struct reader r = { .out = none };
	char text[300] = "";
	uint8_t alert;
	int err;

	why[0] = '\0';
	memset(v, 0, sizeof(*v));
	v->policy = *p;
	v->wall_us = clock_wall_us();
	v->dns_us = v->tcp_us = v->tls_us = -1;
	v->alert_rx = v->alert_tx = -1;
	v->phase = TLS_PH_HANDSHAKE;
	ignore_err(str_copy(v->host, sizeof(v->host), p->name), "same size");
	if ((r.all = sk_X509_new_null()) == NULL)
		return ENOMEM;
	if ((err = reader_file(&r, path, text, sizeof(text))) != 0) {
		tls_explain(v, "key.unreadable", "cannot be judged: %s", text);
		goto out;
	}
	for (; inters != NULL && *inters != NULL; inters++) {
		r.num = 0;
		if ((err = reader_file(&r, *inters, why, why_size)) != 0)
			goto out;
	}
	if ((err = tls_verify_chain(e, v, r.all, &alert)) == 0)
		v->ok = true;
out:
	X509_free(r.leaf);
	sk_X509_pop_free(r.all, X509_free);
	return err;
}

int
tls_cert_judge(const struct tls_env *e, const struct tls_policy *p,
    const char *path, struct tls_verdict *v)
{
	char why[1];

	return tls_cert_judge_with(e, p, path, NULL, v, why, sizeof(why));
}
