/* SPDX-License-Identifier: ISC */
/* bellbird cert export-ca: what to install on servers so that they accept our
 * certificates. */
#include <stdio.h>
#include <string.h>

#include "bellbird/file.h"
#include "bellbird/tls_cert.h"
#include "certs.h"

/* What was found. */
struct chain {
	struct tls_issuers issuers;
	struct buf pem, der;
};

/* --slot -> id; false after a usage error was printed. */
static bool
slot_read(const struct jv *args, enum tls_identity *id)
{
	const char *slot = jv_get_str(args, "slot");

	*id = TLS_ID_FACTORY;
	if (slot != NULL && strcmp(slot, "sip-owner") == 0)
		*id = TLS_ID_SIP_OWNER;
	else if (slot != NULL && strcmp(slot, "factory") != 0) {
		(void)certs_usage(args, "--slot is factory or sip-owner");
		return false;
	}
	return true;
}

/* Says why a slot gives no chain. */
static int
slot_fail(const struct jv *args, const struct tls_env *e, enum tls_identity id,
    int err)
{
	const char *wrong = tls_env_identity_error(e, id);
	struct tls_cert_brief b;
	char text[WHY_SIZE];

	if (err == E_TLS_KEY && wrong[0] != '\0')
		return ctl_error(
		    jv_get_bool(args, "json", false), CTL_TLS, wrong, NULL);
	if (err == E_TLS_KEY) {
		(void)snprintf(text, sizeof(text),
		    "there is no certificate in the slot %s",
		    tls_identity_name(id));
	} else if (err == E_TLS_TRUST &&
	    tls_env_identity_brief(e, id, &b) == 0) {
		(void)snprintf(text, sizeof(text),
		    "the file of the slot %s holds no certificate of its "
		    "issuer: ask who issued it for the certificate of %.200s",
		    tls_identity_name(id), b.issuer);
	} else {
		return certs_fail(args, NULL, err_str(err));
	}
	return ctl_error(jv_get_bool(args, "json", false), CTL_TLS, text, NULL);
}

/* The chain above a slot. */
static int
chain_of_slot(const struct jv *args, enum tls_identity id, struct chain *c)
{
	struct certs_env env;
	int err, code = CTL_OK;

	if ((err = certs_open(&env, args)) != 0)
		return certs_fail(args, NULL, err_str(err));
	err = tls_env_issuers(env.tls, id, &c->issuers, &c->pem, &c->der);
	if (err != 0)
		code = slot_fail(args, env.tls, id, err);
	certs_close(&env);
	return code;
}

/* The chain of a CA that ca-init made. */
static int
chain_of_ca(const struct jv *args, const char *dir, struct chain *c)
{
	char why[WHY_SIZE];
	int err = tls_ca_issuers(
	    dir, &c->issuers, &c->pem, &c->der, why, sizeof(why));

	if (err != 0)
		return certs_fail(
		    args, NULL, why[0] != '\0' ? why : err_str(err));
	return CTL_OK;
}

/* Writes the files that were asked for. */
static int
chain_write(const struct jv *args, const struct chain *c)
{
	const struct {
		const char *path;
		const struct buf *b;
	} all[] = {
		{ jv_get_str(args, "out"), &c->pem },
		{ jv_get_str(args, "der"), &c->der },
	};
	int err;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (all[i].path == NULL)
			continue;
		if (!certs_free_to_write(args, all[i].path))
			return CTL_FAIL;
		err = file_write(all[i].path, all[i].b->p, all[i].b->n, 0644);
		if (err != 0)
			return certs_fail(args, all[i].path, err_str(err));
	}
	return CTL_OK;
}

/* Prints what it is. */
static int
chain_print(const struct jv *args, const struct chain *c)
{
	const struct tls_issuers *s = &c->issuers;
	struct jv *o = jv_obj(), *arr = jv_arr();
	char text[WHY_SIZE];

	for (size_t i = 0; i < s->num; i++)
		jv_add(arr, certs_brief(&s->cert[i]));
	jv_set(o, "certificates", arr);
	jv_set_bool(o, "complete", s->complete);
	if (!s->complete) {
		(void)snprintf(text, sizeof(text),
		    "the root is missing: many servers want it too; ask who "
		    "issued it for the certificate of %.200s",
		    s->cert[s->num - 1].issuer);
		jv_set_str(o, "note", text);
	}
	if (jv_get_str(args, "out") != NULL)
		jv_set_str(o, "file", jv_get_str(args, "out"));
	if (jv_get_str(args, "der") != NULL)
		jv_set_str(o, "der", jv_get_str(args, "der"));
	return certs_print(args, "cert export-ca", o);
}

int
certs_export_ca(const struct jv *args)
{
	const char *ca = jv_get_str(args, "ca");
	enum tls_identity id;
	struct chain c;
	int code;

	if (ca != NULL && jv_get_str(args, "slot") != NULL)
		return certs_usage(
		    args, "--slot SLOT or --ca DIR: one of the two");
	if (!slot_read(args, &id))
		return CTL_USAGE;
	memset(&c.issuers, 0, sizeof(c.issuers));
	buf_init(&c.pem, CERTS_FILE_MAX);
	buf_init(&c.der, CERTS_FILE_MAX);
	if (ca != NULL)
		code = chain_of_ca(args, ca, &c);
	else
		code = chain_of_slot(args, id, &c);
	if (code == CTL_OK)
		code = chain_write(args, &c);
	if (code == CTL_OK)
		code = chain_print(args, &c);
	buf_clear(&c.pem);
	buf_clear(&c.der);
	return code;
}
