/* SPDX-License-Identifier: ISC */
/* Certificates on the command line: a look at what is there, and what the other
 * verbs of `cert` share. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bellbird/file.h"
#include "bellbird/tls_cert.h"
#include "certs.h"

enum { SHOW_MAX = 32 };

static bool
want_json(const struct jv *args)
{
	return jv_get_bool(args, "json", false);
}

int
certs_fail(const struct jv *args, const char *path, const char *what)
{
	char text[PATH_MAX + 360];

	(void)snprintf(text, sizeof(text), "%s%s%.340s",
	    path != NULL ? esc(path) : "", path != NULL ? ": " : "", what);
	return ctl_error(want_json(args), CTL_FAIL, text, NULL);
}

int
certs_usage(const struct jv *args, const char *what)
{
	return ctl_error(want_json(args), CTL_USAGE, what, NULL);
}

int
certs_refuse(const struct jv *args, const char *why)
{
	return ctl_error(want_json(args), CTL_TLS, why, NULL);
}

bool
certs_free_to_write(const struct jv *args, const char *path)
{
	if (access(path, F_OK) != 0 || jv_get_bool(args, "force", false))
		return true;
	(void)certs_fail(args, path,
	    "it exists, and a key in it would be lost; --force writes over it");
	return false;
}

int
certs_mac(const char *s, char out[static MAC_SIZE])
{
	return str_mac_norm(slice_of(s), out);
}

int
certs_print(const struct jv *args, const char *verb, struct jv *o)
{
	ctl_print(want_json(args), verb, o);
	jv_free(o);
	return CTL_OK;
}

/* ---- cert show ---- */

struct jv *
certs_brief(const struct tls_cert_brief *b)
{
	struct jv *o = jv_obj();
	char iso[32];

	jv_set_str(o, "subject", b->subject);
	jv_set_str(o, "issuer", b->issuer);
	clock_iso(iso, sizeof(iso), b->not_before_s * 1000000);
	jv_set_str(o, "not_before", iso);
	clock_iso(iso, sizeof(iso), b->not_after_s * 1000000);
	jv_set_str(o, "not_after", iso);
	jv_set_str(o, "sha256", b->sha256);
	jv_set_str(o, "key", b->key);
	jv_set_str(o, "signature", b->sig);
	return o;
}

/* Everything one file holds; `ok` turns false if it holds no certificate. */
static struct jv *
file_json(const char *path, bool *ok)
{
	struct tls_cert_brief b[SHOW_MAX];
	char sans[TLS_SANS_MAX][128], why[WHY_SIZE] = "";
	struct jv *o = jv_obj(), *certs = jv_arr(), *names = jv_arr();
	size_t num = 0, num_sans = 0;
	bool has_key = false;

	jv_set_str(o, "file", path);
	if (tls_cert_read(path, b, SHOW_MAX, &num, sans, TLS_SANS_MAX,
		&num_sans, &has_key, why, sizeof(why)) != 0) {
		*ok = false;
		jv_set_str(o, "error", why);
	}
	for (size_t i = 0; i < num; i++)
		jv_add(certs, certs_brief(&b[i]));
	for (size_t i = 0; i < num_sans; i++)
		jv_add(names, jv_str(sans[i]));
	jv_set(o, "certificates", certs);
	jv_set(o, "names", names);
	jv_set_bool(o, "has_key", has_key);
	if (has_key && tls_identity_check(path, why, sizeof(why)) != 0) {
		*ok = false;
		jv_set_str(o, "error", why);
	}
	return o;
}

int
certs_open(struct certs_env *c, const struct jv *args)
{
	char owner[PATH_MAX], server[PATH_MAX];
	struct paths p;
	struct tls_env_conf conf = { .builtin_file = "",
		.identity_dir = p.identity,
		.sip_owner_file = owner,
		.server_file = server };
	int err;

	c->loop = NULL;
	c->tls = NULL;
	if ((err = paths_find(&p, args)) == 0 &&
	    (err = path_join(
		 owner, sizeof(owner), p.state, "certs/sipclient.pem")) == 0 &&
	    (err = path_join(
		 server, sizeof(server), p.state, "certs/server.pem")) == 0 &&
	    (err = loop_new(&c->loop)) == 0)
		err = tls_env_new(&c->tls, c->loop, &conf);
	if (err != 0)
		certs_close(c);
	return err;
}

void
certs_close(struct certs_env *c)
{
	tls_env_free(c->tls);
	loop_free(c->loop);
	c->tls = NULL;
	c->loop = NULL;
}

/* The slots of this machine, read from disk. */
static int
show_slots(const struct jv *args)
{
	static const enum tls_identity ids[] = { TLS_ID_FACTORY,
		TLS_ID_SIP_OWNER, TLS_ID_SERVER };
	struct jv *o, *arr;
	struct certs_env c;
	int err;

	if ((err = certs_open(&c, args)) != 0)
		return certs_fail(args, NULL, err_str(err));
	arr = jv_arr();
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		jv_add(arr, snapshot_cert(c.tls, ids[i]));
	certs_close(&c);
	o = jv_obj();
	jv_set(o, "slots", arr);
	return certs_print(args, "cert show", o);
}

int
certs_show(const struct jv *args)
{
	const struct jv *names = jv_get(args, "args");
	struct jv *o, *arr;
	bool ok = true;

	if (jv_len(names) == 0)
		return show_slots(args);
	o = jv_obj();
	arr = jv_arr();
	for (size_t i = 0; i < jv_len(names); i++)
		jv_add(arr, file_json(jv_as_str(jv_at(names, i)), &ok));
	jv_set(o, "files", arr);
	ctl_print(want_json(args), "cert show", o);
	jv_free(o);
	return ok ? CTL_OK : CTL_TLS;
}
