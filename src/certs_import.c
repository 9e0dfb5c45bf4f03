/* SPDX-License-Identifier: ISC */
/* bellbird cert import: certificates into the places where the endpoint looks.
 * All is judged before anything is changed. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bellbird/file.h"
#include "bellbird/tls_cert.h"
#include "certs.h"
#include "device.h"

/* What is asked for. */
struct wish {
	const struct jv *args, *files;
	const char *slot;
	bool force;
	struct paths paths;
};

/* Writes as the folder's owner, who is to read it: the service is not root. */
static int
write_as_owner(const char *dir, const char *path, const struct buf *b)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	struct stat st;
	int err;

	if ((err = file_mkdirs(dir, 0700)) != 0)
		return err;
	if (stat(dir, &st) != 0)
		return errno;
	if (uid == 0 && st.st_uid != 0 &&
	    (setegid(st.st_gid) != 0 || seteuid(st.st_uid) != 0))
		return errno;
	err = file_write(path, b->p, b->n, 0600);
	if (geteuid() != uid && (seteuid(uid) != 0 || setegid(gid) != 0))
		return errno;
	return err;
}

/* Reads all files, one behind the other. */
static int
files_read(const struct wish *w, struct buf *out)
{
	const char *path;
	int err;

	for (size_t i = 0; i < jv_len(w->files); i++) {
		path = jv_as_str(jv_at(w->files, i));
		if ((err = file_read(path, out)) != 0)
			return certs_fail(w->args, path, err_str(err));
		/* A byte behind it would spoil what is not text. */
		if (jv_len(w->files) > 1)
			buf_puts(out, "\n");
	}
	return out->err == 0 ? CTL_OK
			     : certs_fail(w->args, NULL, err_str(out->err));
}

/* Reads an optional file that an option names. */
static int
option_read(const struct wish *w, const char *option, struct buf *out)
{
	const char *path = jv_get_str(w->args, option);
	int err;

	if (path == NULL || (err = file_read(path, out)) == 0)
		return CTL_OK;
	return certs_fail(w->args, path, err_str(err));
}

/* Whose certificate the device must have; "" where nobody knows. */
static int
own_mac(const struct wish *w, char mac[static MAC_SIZE])
{
	struct app a = { .state_lock = -1 };
	struct paths p = w->paths;
	int code;

	mac[0] = '\0';
	a.paths = p;
	code = app_open_store(&a.store, &p, &a, w->args, NULL);
	if (code == CTL_OK)
		device_own_mac(a.store, mac);
	prov_store_free(a.store);
	return code;
}

int
certs_factory_check(const char *cn, const char *mac, char *why, size_t size)
{
	char norm[MAC_SIZE];

	/* 12 lower-case digits: servers compare them letter by letter. */
	if (str_mac_norm(slice_of(cn), norm) != 0 || strcmp(norm, cn) != 0) {
		(void)snprintf(why, size,
		    "its CN is \"%.100s\", not a MAC address of 12 lower-case "
		    "hex digits: it is no device certificate",
		    cn);
		return E_TLS_CERT;
	}
	if (mac[0] == '\0' || strcmp(mac, cn) == 0)
		return 0;
	(void)snprintf(why, size,
	    "its CN is %s, but this device is %s: it is another device's (if "
	    "not, device.mac is to be set)",
	    cn, mac);
	return E_TLS_CERT;
}

/* Is there an identity already, in any form? */
static bool
is_taken(const char *pem)
{
	static const char *const ends[] = { "pem", "p12", "crt" };
	char path[PATH_MAX];
	size_t n = strlen(pem) - 3;

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		if (n + 4 > sizeof(path))
			return true;
		(void)snprintf(
		    path, sizeof(path), "%.*s%s", (int)n, pem, ends[i]);
		if (access(path, F_OK) == 0)
			return true;
	}
	return false;
}

/* The rules of the factory slot beside those of every identity. */
static int
factory_rules(const struct wish *w, const char *path, const char *cn)
{
	char mac[MAC_SIZE], why[WHY_SIZE];
	int code;

	if ((code = own_mac(w, mac)) != CTL_OK)
		return code;
	if (certs_factory_check(cn, mac, why, sizeof(why)) != 0)
		return certs_refuse(w->args, why);
	if (!is_taken(path))
		return CTL_OK;
	if (w->force && isatty(STDIN_FILENO) == 1)
		return CTL_OK;
	return certs_fail(w->args, path,
	    w->force ? "a device certificate is replaced at the console only: "
		       "standard input is no terminal"
		     : "this device has a certificate already; to replace it, "
		       "--force at the console");
}

/* Judges and writes the identity that was read. */
static int
identity_write(const struct wish *w, const struct tls_import *in,
    const char *dir, const char *name)
{
	bool factory = strcmp(w->slot, "factory") == 0;
	char path[PATH_MAX], cn[128], why[WHY_SIZE] = "";
	struct tls_cert_brief leaf;
	struct buf pem;
	struct jv *o;
	int err, code = CTL_OK;

	buf_init_secret(&pem, CERTS_FILE_MAX);
	if ((err = path_join(path, sizeof(path), dir, name)) != 0)
		code = certs_fail(w->args, dir, err_str(err));
	else if (tls_import(in, &pem, &leaf, cn, why, sizeof(why)) != 0)
		code = certs_refuse(w->args, why);
	else if (factory)
		code = factory_rules(w, path, cn);
	if (code == CTL_OK && (err = write_as_owner(dir, path, &pem)) != 0)
		code = certs_fail(w->args, path, err_str(err));
	buf_clear(&pem);
	if (code != CTL_OK)
		return code;
	o = jv_obj();
	jv_set_str(o, "slot", w->slot);
	jv_set_str(o, "file", path);
	jv_set(o, "certificate", certs_brief(&leaf));
	return certs_print(w->args, "cert import", o);
}

/* Reads what belongs to an identity. */
static int
import_identity(const struct wish *w, const char *dir, const char *name)
{
	struct tls_import in = { .password = NULL };
	struct buf file, key, pass;
	int code;

	buf_init_secret(&file, CERTS_FILE_MAX);
	buf_init_secret(&key, CERTS_FILE_MAX);
	buf_init_secret(&pass, CERTS_FILE_MAX);
	if ((code = files_read(w, &file)) == CTL_OK &&
	    (code = option_read(w, "key", &key)) == CTL_OK)
		code = option_read(w, "password-file", &pass);
	if (code == CTL_OK) {
		buf_cut(&pass, strcspn(buf_str(&pass), "\r\n"));
		in.file = (struct slice){ buf_str(&file), file.n };
		in.key = (struct slice){ buf_str(&key), key.n };
		if (jv_get_str(w->args, "password-file") != NULL)
			in.password = buf_str(&pass);
		code = identity_write(w, &in, dir, name);
	}
	buf_clear(&file);
	buf_clear(&key);
	buf_clear(&pass);
	return code;
}

/* One CA file into certs/trusted; only judged without `write`. */
static int
trusted_one(const struct wish *w, const char *path, const char *dir, bool write)
{
	const char *name = strrchr(path, '/');
	struct tls_cert_brief b;
	char to[PATH_MAX], why[WHY_SIZE] = "", none[1][128];
	size_t num, num_sans;
	bool has_key;
	struct buf file;
	int err;

	name = name != NULL ? name + 1 : path;
	if ((err = path_join(to, sizeof(to), dir, name)) != 0)
		return certs_fail(w->args, path, err_str(err));
	if (tls_cert_read(path, &b, 1, &num, none, 0, &num_sans, &has_key, why,
		sizeof(why)) != 0)
		return certs_refuse(w->args, why);
	if (has_key || name[0] == '.')
		return certs_fail(w->args, path,
		    has_key ? "there is a private key in it: a CA is trusted "
			      "by its certificate alone"
			    : "a name with a leading dot is not looked at");
	if (access(to, F_OK) == 0 && !w->force)
		return certs_fail(
		    w->args, to, "it exists; --force writes over it");
	if (!write)
		return CTL_OK;
	buf_init(&file, CERTS_FILE_MAX * 4);
	if ((err = file_read(path, &file)) == 0)
		err = write_as_owner(dir, to, &file);
	buf_clear(&file);
	return err == 0 ? CTL_OK : certs_fail(w->args, to, err_str(err));
}

/* All of them, or none. */
static int
import_trusted(const struct wish *w, const char *dir)
{
	struct jv *o;
	int code = CTL_OK;

	for (size_t i = 0; code == CTL_OK && i < 2 * jv_len(w->files); i++)
		code = trusted_one(w,
		    jv_as_str(jv_at(w->files, i % jv_len(w->files))), dir,
		    i >= jv_len(w->files));
	if (code != CTL_OK)
		return code;
	o = jv_obj();
	jv_set_str(o, "slot", w->slot);
	jv_set_str(o, "folder", dir);
	jv_set_int(o, "files", (int64_t)jv_len(w->files));
	return certs_print(w->args, "cert import", o);
}

int
certs_import(const struct jv *args)
{
	struct wish w = { .args = args,
		.files = jv_get(args, "args"),
		.slot = jv_get_str(args, "slot"),
		.force = jv_get_bool(args, "force", false) };
	char certs[PATH_MAX], trusted[PATH_MAX];
	int err;

	if (w.slot == NULL)
		return certs_usage(args,
		    "--slot is missing: factory, sip-owner, server or trusted");
	if (jv_len(w.files) == 0)
		return certs_usage(args, "which FILE?");
	if ((err = paths_find(&w.paths, args)) != 0 ||
	    (err = path_join(certs, sizeof(certs), w.paths.state, "certs")) !=
		0 ||
	    (err = path_join(trusted, sizeof(trusted), certs, "trusted")) != 0)
		return certs_fail(args, NULL, err_str(err));
	if (strcmp(w.slot, "factory") == 0)
		return import_identity(&w, w.paths.identity, "device.pem");
	if (strcmp(w.slot, "sip-owner") == 0)
		return import_identity(&w, certs, "sipclient.pem");
	if (strcmp(w.slot, "server") == 0)
		return import_identity(&w, certs, "server.pem");
	if (strcmp(w.slot, "trusted") == 0)
		return import_trusted(&w, trusted);
	return certs_usage(
	    args, "--slot is factory, sip-owner, server or trusted");
}
