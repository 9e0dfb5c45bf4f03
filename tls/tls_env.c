/* SPDX-License-Identifier: ISC */
/* What the connections of a process share: trust, identities, sessions.
 * One in the program; tests make their own. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/x509.h>

#include "bellbird/clock.h"
#include "bellbird/file.h"
#include "bellbird/log.h"
#include "bellbird/str.h"

#include "internal.h"
#include "p11.h"

/* Copies an optional path. */
static int
path_dup(char **out, const char *s)
{
	if (s == NULL || s[0] == '\0')
		return 0;
	*out = strdup(s);
	return *out != NULL ? 0 : ENOMEM;
}

/* Copies a list of paths that ends with NULL. */
static int
list_dup(char ***out, const char *const *list)
{
	size_t n = 0;

	if (list == NULL)
		return 0;
	while (list[n] != NULL)
		n++;
	if ((*out = calloc(n + 1, sizeof(**out))) == NULL)
		return ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (((*out)[i] = strdup(list[i])) == NULL)
			return ENOMEM;
	}
	return 0;
}

/* Copies the paths of the configuration. */
static int
paths_copy(struct tls_env *e, const struct tls_env_conf *conf)
{
	const char *bundle =
	    conf->builtin_file != NULL ? conf->builtin_file : BELLBIRD_CA_FILE;
	const struct {
		char **to;
		const char *from;
	} all[] = {
		{ &e->builtin_file, bundle },
		{ &e->cache_dir, conf->cache_dir },
		{ &e->trusted_dir, conf->trusted_dir },
		{ &e->siptrusted_file, conf->siptrusted_file },
		{ &e->identity_dir, conf->identity_dir },
		{ &e->sip_owner_file, conf->sip_owner_file },
		{ &e->server_file, conf->server_file },
		{ &e->p11_module, conf->pkcs11_module },
		{ &e->p11_server, conf->pkcs11_server },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (path_dup(all[i].to, all[i].from) != 0)
			return ENOMEM;
	}
	return list_dup(&e->trusted_files, conf->trusted_files);
}

/* Adds the files named one by one; the first bad one is remembered. */
static int
files_load(struct tls_env *e, struct trust_set *s)
{
	char why[sizeof(e->bad_file)];
	int err = 0;

	e->bad_file[0] = '\0';
	for (char **p = e->trusted_files; p != NULL && *p != NULL; p++) {
		err = tls_trust_load_file(s, *p, why, sizeof(why));
		if (err == ENOMEM)
			return err;
		if (err != 0 && e->bad_file[0] == '\0')
			memcpy(e->bad_file, why, sizeof(why));
	}
	return 0;
}

/* Replaces one trust set by what its files hold now. */
static int
trust_load(struct tls_env *e, int which, const char *name)
{
	const char *const from[SET_MAX] = { [SET_BUILTIN] = e->builtin_file,
		[SET_UPLOADED] = e->trusted_dir,
		[SET_SIPTRUSTED] = e->siptrusted_file };
	struct trust_set fresh;
	int err = 0;

	tls_trust_init(&fresh, name);
	if (which == SET_BUILTIN && e->builtin_file != NULL)
		err = tls_trust_load_bundle(
		    &fresh, e->builtin_file, e->cache_dir);
	else if (which == SET_UPLOADED && e->trusted_dir != NULL)
		err = tls_trust_load_files(&fresh, e->trusted_dir, NULL);
	else if (which == SET_SIPTRUSTED && e->siptrusted_file != NULL)
		err = tls_trust_load_files(&fresh, NULL, e->siptrusted_file);
	if (which == SET_UPLOADED && err == 0)
		err = files_load(e, &fresh);
	if (err == ENOMEM) {
		tls_trust_clear(&fresh);
		return err;
	}
	if (err != 0)
		log_err(LOGC_TLS, 0,
		    "trust set not loaded set=%s file=%s reason=\"%s\"", name,
		    esc(from[which]), err_str(err));
	tls_trust_clear(&e->trust[which]);
	e->trust[which] = fresh;
	return 0;
}

/* Loads the device certificate, in whichever form. */
static int
factory_load(struct tls_env *e)
{
	char pem[4096];

	if (path_join(pem, sizeof(pem), e->identity_dir, "device.pem") != 0)
		return E_LIMIT;
	return tls_slot_load_forms(&e->slots[TLS_ID_FACTORY], pem);
}

/* The owner's: the forms of a device's, if its name is one of ours. */
static int
owner_load(struct tls_env *e)
{
	struct tls_slot *s = &e->slots[TLS_ID_SIP_OWNER];
	size_t n = strlen(e->sip_owner_file);

	if (n > 4 && strcmp(e->sip_owner_file + n - 4, ".pem") == 0)
		return tls_slot_load_forms(s, e->sip_owner_file);
	return tls_slot_load(s, e->sip_owner_file, NULL);
}

/* Gives the slots whose keys are in tokens these keys. */
static int
tokens_bind(struct tls_env *e)
{
	char why[P11_WHY_MAX];
	int err;

	for (int i = 0; i < TLS_ID_MAX; i++) {
		struct tls_slot *s = &e->slots[i];

		if (s->uri == NULL || s->token != NULL || e->p11_module == NULL)
			continue;
		if ((err = tls_p11_bind(e, s, why, sizeof(why))) == 0)
			continue;
		tls_slot_clear(s);
		if (err == ENOMEM)
			return err;
		ignore_err(str_copy(s->error, sizeof(s->error), why),
		    "a long path is cut");
		log_err(LOGC_TLS, 0,
		    "identity not loaded slot=%s reason=\"%s\"",
		    tls_identity_name((enum tls_identity)i), why);
	}
	return 0;
}

/* Reads the files of the slots. */
static int
slots_load(struct tls_env *e)
{
	if (e->identity_dir != NULL && factory_load(e) == ENOMEM)
		return ENOMEM;
	if (e->sip_owner_file != NULL && owner_load(e) == ENOMEM)
		return ENOMEM;
	if (e->server_file != NULL && access(e->server_file, F_OK) == 0 &&
	    tls_slot_load(&e->slots[TLS_ID_SERVER], e->server_file, NULL) ==
		ENOMEM)
		return ENOMEM;
	return 0;
}

/* Takes out what has certainly expired: shown, it would only be refused, and
 * another slot may do (in auto). */
static void
slots_judge(struct tls_env *e)
{
	static const enum tls_identity ids[] = { TLS_ID_FACTORY,
		TLS_ID_SIP_OWNER };
	struct tls_clock c = { .wall_s = clock_wall_s(),
		.floor_s = clock_floor_s() };
	char iso[32];

	if (e->on_clock != NULL)
		e->on_clock(&c, e->on_clock_arg);
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		struct tls_slot *s = &e->slots[ids[i]];
		int64_t end = s->brief.not_after_s;

		if (s->num == 0 ||
		    end >= (c.trusted && c.wall_s > c.floor_s ? c.wall_s
							      : c.floor_s))
			continue;
		clock_iso(iso, sizeof(iso), end * 1000000);
		tls_slot_clear(s);
		(void)snprintf(s->error, sizeof(s->error),
		    "the certificate expired at %.19sZ: install a new one "
		    "[cert.expired]",
		    iso);
		log_err(LOGC_TLS, 0, "certificate %s not used: %s",
		    tls_identity_name(ids[i]), s->error);
	}
}

/* Reads everything again; only lack of memory is an error here. */
static int
env_load(struct tls_env *e)
{
	static const char *const names[SET_MAX] = { "builtin", "trusted",
		"siptrusted" };
	struct p11_key *held[TLS_ID_MAX];
	int err;

	e->generation++;
	for (int i = 0; i < SET_MAX; i++) {
		if ((err = trust_load(e, i, names[i])) != 0)
			return err;
	}
	/* A slot that is read again keeps its session with the token. */
	for (int i = 0; i < TLS_ID_MAX; i++)
		held[i] = tls_p11_hold(e->slots[i].token);
	if ((err = slots_load(e)) == 0) {
		slots_judge(e);
		err = tokens_bind(e);
	}
	for (int i = 0; i < TLS_ID_MAX; i++)
		tls_p11_put(held[i]);
	return err;
}

int
tls_env_new(
    struct tls_env **out, struct loop *l, const struct tls_env_conf *conf)
{
	struct tls_env *e;
	int err = ENOMEM;

	if ((e = calloc(1, sizeof(*e))) == NULL)
		return ENOMEM;
	e->loop = l;
	TAILQ_INIT(&e->ctxs);
	TAILQ_INIT(&e->sessions);
	TAILQ_INIT(&e->kept);
	LIST_INIT(&e->conns);
	for (int i = 0; i < SET_MAX; i++)
		tls_trust_init(&e->trust[i], "");
	if ((e->pool = CRYPTO_BUFFER_POOL_new()) == NULL)
		goto out;
	if ((err = paths_copy(e, conf)) != 0)
		goto out;
	if ((err = env_load(e)) != 0)
		goto out;
	if (e->bad_file[0] != '\0') {
		if (conf->why != NULL)
			ignore_err(
			    str_copy(conf->why, conf->why_size, e->bad_file),
			    "a long path is cut");
		err = E_TLS_TRUST;
		goto out;
	}
	log_debug(LOGC_TLS, 0,
	    "trust loaded builtin=%zu trusted=%zu siptrusted=%zu",
	    e->trust[SET_BUILTIN].num, e->trust[SET_UPLOADED].num,
	    e->trust[SET_SIPTRUSTED].num);
	*out = e;
	e = NULL;
out:
	tls_env_free(e);
	return err;
}

void
tls_env_free(struct tls_env *e)
{
	struct tls_conn *c;

	if (e == NULL)
		return;
	tls_p11_stop(e);
	while ((c = LIST_FIRST(&e->conns)) != NULL) {
		assert(c->holds == 0); /* never from its callback */
		if (c->flt != NULL)
			tls_bev_orphan(c);
		else
			tls_conn_free(c);
	}
	tls_env_keylog_stop(e);
	tls_sess_clear(e);
	tls_ctx_clear(e);
	tls_ring_clear(e);
	for (int i = 0; i < SET_MAX; i++)
		tls_trust_clear(&e->trust[i]);
	for (int i = 0; i < TLS_ID_MAX; i++)
		tls_slot_clear(&e->slots[i]);
	tls_p11_free(e);
	free(e->p11_module);
	free(e->p11_server);
	if (e->pool != NULL)
		CRYPTO_BUFFER_POOL_free(e->pool);
	free(e->builtin_file);
	free(e->cache_dir);
	free(e->trusted_dir);
	free(e->siptrusted_file);
	free(e->identity_dir);
	free(e->sip_owner_file);
	free(e->server_file);
	for (char **p = e->trusted_files; p != NULL && *p != NULL; p++)
		free(*p);
	free(e->trusted_files);
	free(e);
}

void
tls_env_reload(struct tls_env *e)
{
	int err;

	/* What was negotiated under the old trust does not come back. */
	tls_sess_clear(e);
	if ((err = env_load(e)) != 0)
		log_err(LOGC_TLS, 0, "reload incomplete reason=\"%s\"",
		    err_str(err));
	if (e->bad_file[0] != '\0')
		log_err(LOGC_TLS, 0, "trust file not loaded %s", e->bad_file);
	log_info(LOGC_TLS, 0,
	    "trust and identities read again builtin=%zu trusted=%zu "
	    "siptrusted=%zu device=%d owner=%d server=%d",
	    e->trust[SET_BUILTIN].num, e->trust[SET_UPLOADED].num,
	    e->trust[SET_SIPTRUSTED].num, e->slots[TLS_ID_FACTORY].num > 0,
	    e->slots[TLS_ID_SIP_OWNER].num > 0,
	    e->slots[TLS_ID_SERVER].num > 0);
	tls_env_rejudge(e);
}

void
tls_env_rejudge(struct tls_env *e)
{
	struct tls_conn *c, *next;

	e->rejudged++; /* counts for handshakes that are under way, too */
	for (c = LIST_FIRST(&e->conns); c != NULL; c = next) {
		next = LIST_NEXT(c, link);
		if (c->flt != NULL)
			tls_bev_again(c);
		else
			tls_conn_again(c);
	}
}

/* The slot of an id; NULL for none and auto. */
static const struct tls_slot *
slot_of(const struct tls_env *e, enum tls_identity id)
{
	return (unsigned int)id < TLS_ID_MAX ? &e->slots[id] : NULL;
}

bool
tls_env_has_identity(const struct tls_env *e, enum tls_identity id)
{
	const struct tls_slot *s = slot_of(e, id);

	return s != NULL && s->num > 0;
}

int
tls_env_identity_cn(
    const struct tls_env *e, enum tls_identity id, char *out, size_t size)
{
	if (!tls_env_has_identity(e, id))
		return E_TLS_KEY;
	return str_copy(out, size, e->slots[id].cn);
}

const char *
tls_env_identity_error(const struct tls_env *e, enum tls_identity id)
{
	const struct tls_slot *s = slot_of(e, id);

	return s != NULL ? s->error : "";
}

const char *
tls_env_identity_token(const struct tls_env *e, enum tls_identity id)
{
	const struct tls_slot *s = slot_of(e, id);

	return s != NULL && s->uri != NULL ? s->uri : "";
}

int
tls_env_identity_brief(
    const struct tls_env *e, enum tls_identity id, struct tls_cert_brief *out)
{
	if (!tls_env_has_identity(e, id))
		return E_TLS_KEY;
	*out = e->slots[id].brief;
	return 0;
}

size_t
tls_env_num_anchors(const struct tls_env *e, unsigned int trust)
{
	size_t n = 0;

	for (int i = 0; i < SET_MAX; i++) {
		if ((trust & (1U << i)) != 0)
			n += e->trust[i].num;
	}
	return n;
}

void
tls_env_find_anchors(const struct tls_env *e, unsigned int trust,
    X509_NAME *subject, STACK_OF(X509) * out)
{
	for (int i = 0; i < SET_MAX; i++) {
		if ((trust & (1U << i)) != 0)
			tls_trust_find(&e->trust[i], subject, out);
	}
}

const char *
tls_env_set_of(const struct tls_env *e, unsigned int trust, X509 *anchor)
{
	for (int i = 0; i < SET_MAX; i++) {
		if ((trust & (1U << i)) != 0 &&
		    tls_trust_has(&e->trust[i], anchor))
			return e->trust[i].name;
	}
	return "";
}

int
tls_env_server_slot(struct tls_env *e)
{
	struct tls_slot *s = &e->slots[TLS_ID_SERVER];
	char why[160];
	struct buf pem;
	int err;

	if (s->num > 0)
		return 0;
	/* The key of a small PEM file. */
	buf_init_secret(&pem, 16384);
	if ((err = tls_mint_server(&pem)) != 0)
		goto out;
	if ((err = tls_slot_parse(s, pem.p, pem.n, why, sizeof(why))) != 0)
		goto out;
	log_info(LOGC_TLS, 0,
	    "server certificate made, self-signed cn=%s sha256=%s", s->cn,
	    s->brief.sha256);
	if (e->server_file != NULL && access(e->server_file, F_OK) != 0) {
		int werr = file_write(e->server_file, pem.p, pem.n, 0600);

		if (werr != 0)
			log_warn(LOGC_TLS, 0,
			    "server certificate not stored, it will change "
			    "with the next start file=%s reason=\"%s\"",
			    esc(e->server_file), err_str(werr));
	}
out:
	buf_clear(&pem);
	return err;
}

void
tls_env_on_verdict(struct tls_env *e, tls_verdict_cb *cb, void *arg)
{
	e->on_verdict = cb;
	e->on_verdict_arg = arg;
}

void
tls_env_on_clock(struct tls_env *e, tls_clock_cb *cb, void *arg)
{
	e->on_clock = cb;
	e->on_clock_arg = arg;
	slots_judge(e);
}

void
tls_env_clock(
    const struct tls_env *e, const struct tls_policy *p, struct tls_clock *out)
{
	*out = (struct tls_clock){ .wall_s = clock_wall_s(),
		.floor_s = clock_floor_s(),
		.trusted = p->verify_time_s == 0 };
	if (e->on_clock != NULL)
		e->on_clock(out, e->on_clock_arg);
}
