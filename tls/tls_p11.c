/* SPDX-License-Identifier: ISC */
/* Keys of slots that live in tokens: the loop's side.  Signatures are made in
 * a thread of their own, since a token may take its time, or for ever, and
 * handshakes wait for them without holding anything up. */
#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/digest.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>

#include "bellbird/log.h"
#include "bellbird/str.h"
#include "bellbird/worker.h"

#include "internal.h"
#include "p11.h"

enum {
	/* Signatures waiting for a token.  A peer that connects again and
	 * again to a listener while the token hangs gets no more memory. */
	OPS_MAX = 32
};

/* How a key is known to be. */
enum key_state { KEY_UNKNOWN, KEY_GOOD, KEY_DOWN };

struct p11_key {
	LIST_ENTRY(p11_key) link;
	struct tls_p11 *p;
	size_t refs;
	char *uri;     /* owned */
	EVP_PKEY *pub; /* owned reference */
	char name[80]; /* for the log */
	enum key_state state;
	struct deferred check;
	struct p11_token *token; /* owned; the thread's */
};

/* Something the thread does for us. */
struct p11_op {
	LIST_ENTRY(p11_op) link;
	struct p11_key *key;   /* owned reference */
	struct tls_conn *conn; /* that waits, or NULL */
	atomic_bool dropped;   /* nobody waits any more */
	bool check, done;
	int err;
	struct p11_sign s;
	struct p11_fault f;
};

struct tls_p11 {
	struct tls_env *env;
	struct worker *w;    /* owned; of our own: a token that hangs must not
				hold up what else blocks */
	struct p11_mod *mod; /* owned; the thread's */
	LIST_HEAD(, p11_key) keys;
	LIST_HEAD(, p11_op) ops;
	size_t num_ops;
	atomic_bool busy; /* the thread is inside of the module */
	bool stopped, stuck;
};

/* ---- operations ---- */

/* Forgets one whose end was heard of. */
static void
op_free(struct p11_op *op)
{
	struct tls_p11 *p = op->key->p;

	LIST_REMOVE(op, link);
	p->num_ops--;
	if (p->stuck) /* the thread may use it still, at the end of all */
		return;
	tls_p11_put(op->key);
	free(op);
}

/* In the thread. */
static int
on_job(void *arg)
{
	struct p11_op *op = arg;
	struct tls_p11 *p = op->key->p;
	int err;

	/* Whoever waited gave up: the token is not asked in vain. */
	if (atomic_load(&op->dropped))
		return E_STOPPED;
	atomic_store(&p->busy, true);
	err = tls_p11_token_sign(
	    op->key->token, op->check ? NULL : &op->s, &op->f);
	atomic_store(&p->busy, false);
	return err;
}

/* Writes what is wrong with a key into its slots; one that is wrong for good
 * empties them, as a file that does not load does. */
static void
slots_tell(struct p11_key *k, const struct p11_fault *f)
{
	struct tls_env *e = k->p->env;

	for (int i = 0; i < TLS_ID_MAX; i++) {
		struct tls_slot *s = &e->slots[i];

		if (s->token != k)
			continue;
		if (f != NULL && f->lasting)
			tls_slot_clear(s);
		s->error[0] = '\0';
		if (f != NULL)
			snprintf(s->error, sizeof(s->error), "%s [%s]", f->text,
			    f->class);
	}
}

/* What came of asking the token, for all who look at its slots. */
static void
key_judge(struct p11_key *k, int err, const struct p11_fault *f)
{
	if (err == E_STOPPED)
		return;
	if (err == 0) {
		if (k->state != KEY_GOOD) {
			log_info(LOGC_TLS, 0, "key in token ready %s", k->name);
			slots_tell(k, NULL);
		}
		k->state = KEY_GOOD;
		return;
	}
	log_err(LOGC_TLS, 0, "key in token cannot be used %s reason=\"%s\"",
	    k->name, f->text);
	k->state = KEY_DOWN;
	slots_tell(k, f);
}

/* In the loop: the thread is done with it. */
static void
on_done(int err, void *arg)
{
	struct p11_op *op = arg;
	struct tls_conn *c = op->conn;

	op->err = err;
	op->done = true;
	key_judge(op->key, err, &op->f);
	if (c == NULL) {
		op_free(op);
		return;
	}
	/* The handshake takes the result, and `op` is gone then. */
	if (c->flt != NULL)
		tls_bev_signed(c);
	else
		tls_conn_signed(c);
}

/* Hands something to the thread. */
static int
op_start(struct p11_op **out, struct p11_key *k, struct tls_conn *c)
{
	struct tls_p11 *p = k->p;
	struct p11_op *op;
	int err;

	if (p->stopped)
		return E_STOPPED;
	if (p->num_ops >= OPS_MAX)
		return E_LIMIT;
	if (p->w == NULL && (err = worker_new(&p->w, p->env->loop)) != 0)
		return err;
	if ((op = calloc(1, sizeof(*op))) == NULL)
		return ENOMEM;
	op->key = k;
	op->conn = c;
	op->check = c == NULL;
	atomic_init(&op->dropped, false);
	k->refs++;
	LIST_INSERT_HEAD(&p->ops, op, link);
	p->num_ops++;
	*out = op;
	return 0;
}

/* Queues a started one; on failure it is gone. */
static int
op_queue(struct p11_op *op)
{
	int err;

	if ((err = worker_run(op->key->p->w, on_job, on_done, op)) != 0)
		op_free(op);
	return err;
}

/* ---- keys ---- */

/* A new key is tried at once, so that what is wrong shows before a server
 * asks; from the loop, which tools that only look do not run. */
static void
on_check(void *arg)
{
	struct p11_key *k = arg;
	struct p11_op *op;
	int err;

	if ((err = op_start(&op, k, NULL)) == 0)
		err = op_queue(op);
	if (err != 0)
		log_warn(LOGC_TLS, 0, "key in token not tried %s reason=\"%s\"",
		    k->name, err_str(err));
}

/* Frees a key that nobody uses, nor the thread. */
static void
key_free(struct p11_key *k)
{
	LIST_REMOVE(k, link);
	tls_p11_token_free(k->token);
	EVP_PKEY_free(k->pub);
	free(k->uri);
	free(k);
}

/* In the thread: a session ends. */
static int
on_close(void *arg)
{
	struct p11_key *k = arg;

	atomic_store(&k->p->busy, true);
	tls_p11_token_close(k->token);
	atomic_store(&k->p->busy, false);
	return 0;
}

static void
on_closed(int err, void *arg)
{
	(void)err;
	key_free(arg);
}

struct p11_key *
tls_p11_hold(struct p11_key *k)
{
	if (k != NULL)
		k->refs++;
	return k;
}

void
tls_p11_put(struct p11_key *k)
{
	if (k == NULL || --k->refs > 0)
		return;
	loop_undefer(&k->check);
	if (k->p->stopped) /* tls_p11_free() knows whether it may */
		return;
	if (k->p->w == NULL)
		key_free(k);
	else
		ignore_err(worker_run(k->p->w, on_close, on_closed, k),
		    "a session that stays open till the end");
}

/* Makes a key with one reference. */
static int
key_new(struct p11_key **out, struct tls_p11 *p, const char *text,
    const struct p11_uri *uri, EVP_PKEY *pub)
{
	struct p11_key *k;

	if ((k = calloc(1, sizeof(*k))) == NULL)
		return ENOMEM;
	k->token = tls_p11_token_new(p->mod, uri, pub);
	k->uri = strdup(text);
	if (k->token == NULL || k->uri == NULL) {
		tls_p11_token_free(k->token);
		free(k->uri);
		free(k);
		return ENOMEM;
	}
	snprintf(k->name, sizeof(k->name), "token=\"%.32s\" object=\"%.20s\"",
	    esc_n(uri->token.v, uri->token.n),
	    esc_n(uri->object.v, uri->object.n));
	EVP_PKEY_up_ref(pub);
	k->pub = pub;
	k->p = p;
	k->refs = 1;
	LIST_INSERT_HEAD(&p->keys, k, link);
	*out = k;
	return 0;
}

/* The public key of the slot's certificate; NULL for one that no token here
 * signs with. */
static EVP_PKEY *
pub_of(const struct tls_slot *s)
{
	X509 *x = tls_x509_of(s->certs[0]);
	EVP_PKEY *pub = x != NULL ? X509_get_pubkey(x) : NULL;

	X509_free(x);
	tls_err_drop();
	if (pub != NULL && EVP_PKEY_id(pub) != EVP_PKEY_EC &&
	    EVP_PKEY_id(pub) != EVP_PKEY_RSA) {
		EVP_PKEY_free(pub);
		pub = NULL;
	}
	return pub;
}

/* The state that all keys share, made for the first. */
static int
p11_open(struct tls_env *e)
{
	static const char name[] = "P11_KIT_SERVER_ADDRESS";
	struct tls_p11 *p;
	const char *server = e->p11_server;

	if (e->p11 != NULL)
		return 0;
	if (server == NULL && (server = getenv(name)) == NULL)
		server = "p11-kit's default address";
	if ((p = calloc(1, sizeof(*p))) == NULL)
		return ENOMEM;
	if ((p->mod = tls_p11_mod_new(e->p11_module, server)) == NULL) {
		free(p);
		return ENOMEM;
	}
	/* The module reads it when it is loaded, later and in the thread. */
	if (e->p11_server != NULL && setenv(name, e->p11_server, 1) != 0) {
		tls_p11_mod_free(p->mod);
		free(p);
		return ENOMEM;
	}
	atomic_init(&p->busy, false);
	p->env = e;
	LIST_INIT(&p->keys);
	LIST_INIT(&p->ops);
	e->p11 = p;
	return 0;
}

int
tls_p11_bind(struct tls_env *e, struct tls_slot *s, char *why, size_t why_size)
{
	struct p11_key *k = NULL, *other;
	struct p11_uri uri;
	EVP_PKEY *pub;
	int err;

	if (tls_p11_uri_parse(&uri, slice_of(s->uri), why, why_size) != 0)
		return E_TLS_KEY;
	if ((err = p11_open(e)) != 0)
		return err;
	if ((pub = pub_of(s)) == NULL) {
		ignore_err(str_copy(why, why_size,
			       "keys in tokens are EC or RSA ones, and the "
			       "certificate has another [key.token]"),
		    "a hint");
		return E_TLS_KEY;
	}
	LIST_FOREACH (other, &e->p11->keys, link) {
		if (other->refs > 0 && strcmp(other->uri, s->uri) == 0 &&
		    EVP_PKEY_cmp(other->pub, pub) == 1)
			k = other;
	}
	if (k != NULL)
		k->refs++;
	else
		err = key_new(&k, e->p11, s->uri, &uri, pub);
	EVP_PKEY_free(pub);
	if (err != 0)
		return err;
	/* One that was not good is tried again: the reload may be for it. */
	if (k->state != KEY_GOOD)
		loop_defer(e->loop, &k->check, on_check, k);
	s->token = k;
	return 0;
}

/* ---- handshakes ---- */

/* Says that our certificate cannot be shown. */
static void
explain(struct tls_conn *c, const char *class, const char *text)
{
	tls_explain(&c->v, class, "cannot be shown our certificate: %s", text);
}

/* The library wants a signature: it is asked for, and waited for. */
static enum ssl_private_key_result_t
on_sign(SSL *ssl, uint8_t *out, size_t *out_len, size_t max_out,
    uint16_t sigalg, const uint8_t *in, size_t in_len)
{
	const EVP_MD *md = SSL_get_signature_algorithm_digest(sigalg);
	struct tls_conn *c = tls_ctx_conn(ssl);
	struct p11_op *op = NULL;
	unsigned int n = 0;
	int err;

	(void)out;
	(void)out_len;
	(void)max_out;
	assert(c->p11_op == NULL);
	err = op_start(&op, c->p11_key, c);
	if (err == 0 &&
	    (md == NULL || EVP_MD_size(md) > sizeof(op->s.digest) ||
		!EVP_Digest(in, in_len, op->s.digest, &n, md, NULL))) {
		op_free(op);
		err = E_TLS_PARAM;
	}
	if (err == 0) {
		op->s.nid = EVP_MD_type(md);
		op->s.num_digest = n;
		op->s.pss = SSL_is_signature_algorithm_rsa_pss(sigalg) != 0;
		err = op_queue(op);
	}
	if (err != 0) {
		explain(c, "key.token",
		    err == E_LIMIT ? "too many signatures wait for the token"
				   : err_str(err));
		return ssl_private_key_failure;
	}
	c->p11_op = op;
	return ssl_private_key_retry;
}

/* TLS 1.2 without ephemeral keys: nobody should ask for it. */
static enum ssl_private_key_result_t
on_decrypt(SSL *ssl, uint8_t *out, size_t *out_len, size_t max_out,
    const uint8_t *in, size_t in_len)
{
	(void)out;
	(void)out_len;
	(void)max_out;
	(void)in;
	(void)in_len;
	explain(tls_ctx_conn(ssl), "key.token",
	    "keys in tokens sign and do not decrypt (RSA key exchange)");
	return ssl_private_key_failure;
}

/* Is the signature there?  The result moves to the library. */
static enum ssl_private_key_result_t
on_complete(SSL *ssl, uint8_t *out, size_t *out_len, size_t max_out)
{
	struct tls_conn *c = tls_ctx_conn(ssl);
	struct p11_op *op = c->p11_op;
	bool ok;

	if (op == NULL)
		return ssl_private_key_failure;
	if (!op->done)
		return ssl_private_key_retry;
	ok = op->err == 0 && op->s.num_sig <= max_out;
	if (ok) {
		memcpy(out, op->s.sig, op->s.num_sig);
		*out_len = op->s.num_sig;
	} else if (op->err == E_TLS_KEY) {
		explain(c, op->f.class, op->f.text);
	} else {
		explain(c, "key.token",
		    op->err != 0 ? err_str(op->err)
				 : "its signature is too long");
	}
	c->p11_op = NULL;
	op_free(op);
	return ok ? ssl_private_key_success : ssl_private_key_failure;
}

int
tls_p11_show(struct tls_conn *c, const struct tls_slot *s)
{
	static const SSL_PRIVATE_KEY_METHOD method = {
		.sign = on_sign, .decrypt = on_decrypt, .complete = on_complete
	};

	if (s->token == NULL) {
		explain(c, "key.token",
		    "its key is in a token, and no module "
		    "is set: see tls.pkcs11.module");
		return E_TLS_KEY;
	}
	if (!SSL_set_chain_and_key(c->ssl, s->certs, s->num, NULL, &method))
		return E_TLS_PARAM;
	s->token->refs++;
	tls_p11_put(c->p11_key);
	c->p11_key = s->token;
	return 0;
}

bool
tls_p11_late(struct tls_conn *c)
{
	char text[160];

	if (c->p11_op == NULL || c->p11_op->done)
		return false;
	snprintf(text, sizeof(text),
	    "its token (%.100s) did not sign within %u ms", c->p11_key->name,
	    (unsigned int)c->v.policy.handshake_ms);
	explain(c, "key.token", text);
	return true;
}

void
tls_p11_leave(struct tls_conn *c)
{
	struct p11_op *op = c->p11_op;

	c->p11_op = NULL;
	if (op != NULL && op->done) {
		op_free(op);
	} else if (op != NULL) {
		op->conn = NULL;
		atomic_store(&op->dropped, true);
	}
	tls_p11_put(c->p11_key);
	c->p11_key = NULL;
}

/* ---- the end ---- */

void
tls_p11_stop(struct tls_env *e)
{
	struct tls_p11 *p = e->p11;
	struct p11_op *op;

	if (p == NULL)
		return;
	p->stopped = true;
	LIST_FOREACH (op, &p->ops, link) {
		atomic_store(&op->dropped, true);
	}
	worker_free(p->w);
	p->stuck = atomic_load(&p->busy);
	LIST_FOREACH (op, &p->ops, link) {
		op->err = E_STOPPED;
		op->done = true;
	}
}

void
tls_p11_free(struct tls_env *e)
{
	struct tls_p11 *p = e->p11;

	e->p11 = NULL;
	if (p == NULL || p->stuck) /* what the thread has is left to it */
		return;
	while (!LIST_EMPTY(&p->ops))
		op_free(LIST_FIRST(&p->ops));
	while (!LIST_EMPTY(&p->keys))
		key_free(LIST_FIRST(&p->keys));
	tls_p11_mod_free(p->mod);
	free(p);
}
