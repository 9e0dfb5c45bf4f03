/* SPDX-License-Identifier: ISC */
/* Certificates on the command line: a CA for a site or a lab, minting, and a
 * look at what is there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bellbird/file.h"
#include "bellbird/tls_cert.h"
#include "certs.h"

enum { DAYS_MAX = 36500, SHOW_MAX = 32 };

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

/* --days, or `dflt` where it is not given; -1 after an error was printed. */
static int64_t
days_of(const struct jv *args, int64_t dflt)
{
	const char *v = jv_get_str(args, "days");
	int64_t n = dflt;

	if (v != NULL && str_int(slice_of(v), 1, DAYS_MAX, &n) != 0) {
		(void)ctl_error(want_json(args), CTL_USAGE,
		    "--days wants a number from 1 to 36500", NULL);
		return -1;
	}
	return n;
}

int
certs_ca_init(const struct jv *args)
{
	const char *dir = jv_get_str(args, "dir");
	const char *cn = jv_get_str(args, "cn");
	int64_t days = days_of(args, 3650);
	char path[PATH_MAX];
	struct jv *o;
	int err;

	if (days < 0)
		return CTL_USAGE;
	if (dir == NULL)
		dir = ".";
	err = file_mkdirs(dir, 0700);
	if (err == 0)
		err = tls_ca_init(
		    dir, cn != NULL ? cn : "bellbird device CA", (int)days);
	if (err == EEXIST)
		return ctl_error(want_json(args), CTL_FAIL,
		    "there is a CA in that folder already; nothing was changed",
		    NULL);
	if (err == 0)
		err = path_join(path, sizeof(path), dir, "ca.pem");
	if (err != 0)
		return certs_fail(args, dir, err_str(err));
	o = jv_obj();
	jv_set_str(o, "certificate", path);
	ctl_print(want_json(args), "cert ca-init", o);
	jv_free(o);
	return CTL_OK;
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
	int64_t days = days_of(args, 0), bits = 0;
	char why[200];

	if (days < 0)
		return CTL_USAGE;
	if (kind < 0)
		return ctl_error(want_json(args), CTL_USAGE,
		    "--kind is device, server, both or intermediate", NULL);
	if (rsa != NULL && str_int(slice_of(rsa), 1024, 4096, &bits) != 0)
		return ctl_error(want_json(args), CTL_USAGE,
		    "--rsa wants 1024 to 4096 bits", NULL);
	m->ca_dir = jv_get_str(args, "ca");
	m->kind = (enum tls_mint_kind)kind;
	m->cn = jv_get_str(args, "cn");
	m->sans = jv_get_str(args, "san");
	if (tls_mint_check(m->sans, why, sizeof(why)) != 0)
		return ctl_error(want_json(args), CTL_USAGE, why, NULL);
	m->rsa_bits = (int)bits;
	if (days != 0)
		m->not_after_s = clock_wall_s() + days * 86400;
	if (m->cn == NULL)
		return ctl_error(want_json(args), CTL_USAGE,
		    "--cn is missing: the MAC of a device, the name of a "
		    "server",
		    NULL);
	return CTL_OK;
}

int
certs_mint(const struct jv *args)
{
	const char *out = jv_get_str(args, "out");
	char mac[MAC_SIZE];
	struct tls_mint m = { 0 };
	struct buf pem;
	struct jv *o;
	int err, code;

	if ((code = mint_options(args, &m)) != CTL_OK)
		return code;
	if (out == NULL)
		return ctl_error(want_json(args), CTL_USAGE,
		    "--out FILE is missing: certificate, chain and key go "
		    "there",
		    NULL);
	if (m.kind == TLS_MINT_DEVICE) {
		if (str_mac_norm(slice_of(m.cn), mac) != 0)
			return ctl_error(want_json(args), CTL_USAGE,
			    "a device certificate's --cn is its MAC address: "
			    "12 "
			    "hex digits",
			    NULL);
		m.cn = mac;
	}
	if (!certs_free_to_write(args, out))
		return CTL_FAIL;
	buf_init_secret(&pem, CERTS_FILE_MAX);
	err = tls_mint(&m, &pem);
	if (err == 0 && (err = file_write(out, pem.p, pem.n, 0600)) != 0)
		code = certs_fail(args, out, err_str(err));
	else if (err != 0)
		code = certs_fail(args, m.ca_dir, err_str(err));
	buf_clear(&pem);
	if (err != 0)
		return code;
	o = jv_obj();
	jv_set_str(o, "file", out);
	jv_set_str(o, "cn", m.cn);
	ctl_print(want_json(args), "cert mint", o);
	jv_free(o);
	return CTL_OK;
}

/* ---- cert show ---- */

/* One certificate of a file. */
static struct jv *
brief_json(const struct tls_cert_brief *b)
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
		jv_add(certs, brief_json(&b[i]));
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

/* The slots of this machine, read from disk. */
static int
show_slots(const struct jv *args)
{
	static const enum tls_identity ids[] = { TLS_ID_FACTORY,
		TLS_ID_SIP_OWNER };
	char owner[PATH_MAX];
	struct paths p;
	struct tls_env_conf c = { .builtin_file = "",
		.identity_dir = p.identity,
		.sip_owner_file = owner };
	struct jv *o = jv_obj(), *arr = jv_arr();
	struct tls_env *e = NULL;
	struct loop *l = NULL;
	int err;

	if ((err = paths_find(&p, args)) == 0 &&
	    (err = path_join(
		 owner, sizeof(owner), p.state, "certs/sipclient.pem")) == 0 &&
	    (err = loop_new(&l)) == 0 && (err = tls_env_new(&e, l, &c)) == 0)
		for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
			jv_add(arr, snapshot_cert(e, ids[i]));
	jv_set(o, "slots", arr);
	if (err == 0)
		ctl_print(want_json(args), "cert show", o);
	jv_free(o);
	tls_env_free(e);
	loop_free(l);
	if (err != 0)
		return ctl_error(want_json(args), CTL_FAIL, err_str(err), NULL);
	return CTL_OK;
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
