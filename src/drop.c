/* SPDX-License-Identifier: ISC */
/* The drop folder of the first boot: a device certificate that lies in import/
 * of the state folder is taken once, into a device that has none. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bellbird/file.h"
#include "bellbird/tls_cert.h"
#include "certs.h"
#include "device.h"

/* What lies there. */
struct drop {
	struct app *app;
	char dir[PATH_MAX];
	bool pem, p12, pass, other;
	char why[WHY_SIZE];
};

/* file_list_cb. */
static void
on_file(const char *path, const char *name, void *arg)
{
	struct drop *d = arg;

	(void)path;
	if (strcmp(name, "device.pem") == 0)
		d->pem = true;
	else if (strcmp(name, "device.p12") == 0)
		d->p12 = true;
	else if (strcmp(name, "device.pass") == 0)
		d->pass = true;
	else
		d->other = true;
}

/* Reads one of the files; the sentence names it. */
static int
drop_read(struct drop *d, const char *name, struct buf *b)
{
	char path[PATH_MAX];
	int err = path_join(path, sizeof(path), d->dir, name);

	if (err == 0)
		err = file_read(path, b);
	if (err != 0)
		(void)snprintf(
		    d->why, sizeof(d->why), "%s: %s", name, err_str(err));
	return err;
}

/* Judges what was read and writes it into the slot. */
static int
drop_install(struct drop *d, const struct tls_import *in)
{
	const struct paths *p = &d->app->paths;
	char path[PATH_MAX], cn[128], mac[MAC_SIZE];
	struct tls_cert_brief leaf;
	struct buf pem;
	int err;

	device_own_mac(d->app->store, mac);
	buf_init_secret(&pem, CERTS_FILE_MAX);
	err = tls_import(in, &pem, &leaf, cn, d->why, sizeof(d->why));
	if (err == 0)
		err = certs_factory_check(cn, mac, d->why, sizeof(d->why));
	if (err == 0 &&
	    ((err = path_join(path, sizeof(path), p->identity, "device.pem")) !=
		    0 ||
		(err = file_mkdirs(p->identity, 0700)) != 0 ||
		(err = file_write(path, pem.p, pem.n, 0600)) != 0))
		(void)snprintf(d->why, sizeof(d->why),
		    "%.200s cannot be written: %s", esc(p->identity),
		    err_str(err));
	buf_clear(&pem);
	return err;
}

/* Takes PEM, or PKCS #12 with its password. */
static int
drop_take(struct drop *d)
{
	struct tls_import in = { .password = NULL };
	struct buf file, pass;
	int err;

	buf_init_secret(&file, CERTS_FILE_MAX);
	buf_init_secret(&pass, CERTS_FILE_MAX);
	err = drop_read(d, d->pem ? "device.pem" : "device.p12", &file);
	if (err == 0 && d->p12)
		err = drop_read(d, "device.pass", &pass);
	if (err == 0) {
		buf_cut(&pass, strcspn(buf_str(&pass), "\r\n"));
		in.file = (struct slice){ buf_str(&file), file.n };
		if (d->p12)
			in.password = buf_str(&pass);
		err = drop_install(d, &in);
	}
	buf_clear(&file);
	buf_clear(&pass);
	return err;
}

/* Removes what was taken: keys lie in one place only. */
static void
drop_remove(const struct drop *d)
{
	static const char *const names[] = { "device.pem", "device.p12",
		"device.pass" };
	char path[PATH_MAX];
	int err;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (path_join(path, sizeof(path), d->dir, names[i]) != 0 ||
		    (err = file_remove(path)) != 0)
			log_warn(LOGC_APP, 0,
			    "import/%s was taken but stays: remove it",
			    names[i]);
}

/* Keeps a sentence for the status, and says it once. */
static void
drop_tell(struct app *a, const char *why)
{
	char text[WHY_SIZE + 80];

	(void)snprintf(text, sizeof(text),
	    "the drop folder import/ was not taken: %s", why);
	log_err(LOGC_APP, 0, "%s", text);
	free(a->drop_told);
	a->drop_told = strdup(text);
}

void
drop_look(struct app *a)
{
	struct drop d = { .app = a };
	int err;

	if (path_join(d.dir, sizeof(d.dir), a->paths.state, "import") != 0 ||
	    access(d.dir, F_OK) != 0)
		return;
	if ((err = file_list(d.dir, on_file, &d)) != 0) {
		drop_tell(a, err_str(err));
		return;
	}
	if (!d.pem && !d.p12 && !d.pass && !d.other)
		return; /* it is empty, as it is after the first boot */
	if (tls_env_has_identity(a->tls, TLS_ID_FACTORY) ||
	    tls_env_identity_error(a->tls, TLS_ID_FACTORY)[0] != '\0') {
		drop_tell(a,
		    "this device has a certificate already (bellbird cert "
		    "import --slot factory --force, at the console, replaces "
		    "it)");
		return;
	}
	if (d.other || d.pem == d.p12 || d.p12 != d.pass) {
		drop_tell(a,
		    "it must hold device.pem alone, or device.p12 with "
		    "device.pass, and nothing else");
		return;
	}
	if (drop_take(&d) != 0) {
		drop_tell(a, d.why);
		return;
	}
	drop_remove(&d);
	log_info(LOGC_APP, 0,
	    "device certificate taken from the drop folder identity=%s",
	    esc(a->paths.identity));
	tls_env_reload(a->tls);
}
