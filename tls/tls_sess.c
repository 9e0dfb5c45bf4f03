/* SPDX-License-Identifier: ISC */
/* Sessions for resumption, kept per use, peer, name, identity, policy and
 * state of the trust sets: nothing comes back under other rules. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>
#include <openssl/ssl.h>

#include "bellbird/log.h"

#include "internal.h"

/* An endpoint talks to a handful of servers; 3 KB each. */
enum { SESSIONS_MAX = 32 };

/* Everything of a policy that decides what a handshake must hold. */
static int
policy_print(
    const struct tls_policy *p, uint64_t generation, char *out, size_t size)
{
	return snprintf(out, size,
	    "%d %d %x %x %d %d %d %x %d %d %d %d %d %x %llu %s", p->use, p->dir,
	    p->min, p->max, p->profile, p->verify,
	    p->require_client + 2 * p->serverauth_client, p->trust,
	    p->name_rule, p->cn, p->wildcard, p->identity, p->identity_auto,
	    p->allow, (unsigned long long)generation, p->name);
}

void
tls_sess_key(struct tls_conn *c)
{
	char text[512], addr[ADDR_STR_MAX] = "";
	SHA256_CTX ctx;
	int n;

	n = policy_print(&c->v.policy, c->env->generation, text, sizeof(text));
	if (c->v.policy.dir == TLS_CLIENT && addr_is_set(&c->v.remote))
		addr_print(&c->v.remote, addr);
	SHA256_Init(&ctx);
	SHA256_Update(&ctx, text, n > 0 ? (size_t)n : 0);
	/* The NUL keeps name and address apart. */
	SHA256_Update(&ctx, addr, sizeof(addr));
	SHA256_Final(c->sess_key, &ctx);
}

/* Frees one session. */
static void
sess_drop(struct tls_env *e, struct tls_sess *s)
{
	TAILQ_REMOVE(&e->sessions, s, link);
	SSL_SESSION_free(s->s);
	free(s);
}

void
tls_sess_clear(struct tls_env *e)
{
	struct tls_sess *s;

	while ((s = TAILQ_FIRST(&e->sessions)) != NULL)
		sess_drop(e, s);
}

/* The session a connection could resume. */
static struct tls_sess *
sess_find(struct tls_conn *c)
{
	struct tls_sess *s;

	TAILQ_FOREACH (s, &c->env->sessions, link) {
		if (memcmp(s->key, c->sess_key, sizeof(s->key)) == 0)
			return s;
	}
	return NULL;
}

void
tls_sess_forget(struct tls_conn *c)
{
	struct tls_sess *s = sess_find(c);

	if (s != NULL)
		sess_drop(c->env, s);
}

void
tls_sess_offer(struct tls_conn *c)
{
	struct tls_sess *s = sess_find(c);

	if (s == NULL)
		return;
	if (SSL_set_session(c->ssl, s->s))
		c->sess_shown = s->shown;
	tls_err_drop();
	/* RFC 8446 C.4: a ticket used twice lets others link us. */
	if (SSL_SESSION_should_be_single_use(s->s))
		sess_drop(c->env, s);
}

int
tls_sess_store(struct tls_conn *c, SSL_SESSION *session)
{
	struct tls_env *e = c->env;
	struct tls_sess *s;
	size_t n = 0;

	if (c->v.class[0] != '\0' || !SSL_SESSION_is_resumable(session))
		return 0;
	if ((s = sess_find(c)) != NULL) {
		SSL_SESSION_free(s->s);
		TAILQ_REMOVE(&e->sessions, s, link);
	} else if ((s = calloc(1, sizeof(*s))) == NULL) {
		return 0;
	}
	memcpy(s->key, c->sess_key, sizeof(s->key));
	s->s = session; /* takes the library's reference */
	s->shown = c->v.shown;
	TAILQ_INSERT_HEAD(&e->sessions, s, link);
	TAILQ_FOREACH (s, &e->sessions, link) {
		n++;
	}
	if (n > SESSIONS_MAX)
		sess_drop(e, TAILQ_LAST(&e->sessions, tls_sess_list));
	return 1;
}
