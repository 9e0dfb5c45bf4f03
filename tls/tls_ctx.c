/* SPDX-License-Identifier: ISC */
/* The library set up as a policy says: versions, ciphers, callbacks.
 * Contexts are shared by connections that ask the same of the library. */
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "bellbird/clock.h"
#include "bellbird/log.h"
#include "bellbird/str.h"

#include "internal.h"
#include "p11.h"

/* Uses times directions, and a few account policies. */
enum { CTXS_MAX = 8 };

static const char ciphers_aead[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
static const char ciphers_legacy[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
    "ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:"
    "ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA:"
    "AES128-GCM-SHA256:AES256-GCM-SHA384:AES128-SHA:AES256-SHA";

/* Signatures of the handshake that a peer may make; those of certificates are
 * judged by us. */
static const uint16_t sigalgs[] = { SSL_SIGN_ECDSA_SECP256R1_SHA256,
	SSL_SIGN_ECDSA_SECP384R1_SHA384, SSL_SIGN_ED25519,
	SSL_SIGN_RSA_PSS_RSAE_SHA256, SSL_SIGN_RSA_PSS_RSAE_SHA384,
	SSL_SIGN_RSA_PSS_RSAE_SHA512, SSL_SIGN_RSA_PKCS1_SHA256,
	SSL_SIGN_RSA_PKCS1_SHA384, SSL_SIGN_RSA_PKCS1_SHA512,
	SSL_SIGN_ECDSA_SHA1, SSL_SIGN_RSA_PKCS1_SHA1 };
/* .. and that we make, with any key a slot may hold.  Left alone the library
 * signs with SHA-1 where a peer asks for nothing better (RFC 9155). */
static const uint16_t own_sigalgs[] = { SSL_SIGN_ECDSA_SECP256R1_SHA256,
	SSL_SIGN_ECDSA_SECP384R1_SHA384, SSL_SIGN_ECDSA_SECP521R1_SHA512,
	SSL_SIGN_ED25519, SSL_SIGN_RSA_PSS_RSAE_SHA256,
	SSL_SIGN_RSA_PSS_RSAE_SHA384, SSL_SIGN_RSA_PSS_RSAE_SHA512,
	SSL_SIGN_RSA_PKCS1_SHA256, SSL_SIGN_RSA_PKCS1_SHA384,
	SSL_SIGN_RSA_PKCS1_SHA512, SSL_SIGN_ECDSA_SHA1,
	SSL_SIGN_RSA_PKCS1_SHA1 };
enum {
	SIGALGS_ALL = sizeof(sigalgs) / sizeof(sigalgs[0]),
	OWN_SIGALGS_ALL = sizeof(own_sigalgs) / sizeof(own_sigalgs[0]),
	SIGALGS_SHA1 = 2 /* the last of both */
};

static int conn_index = -1;

/* The library's clock: never before what is known to have passed. */
static void
on_time(const SSL *ssl, struct timeval *out)
{
	int64_t now = clock_wall_s();

	(void)ssl;
	if (now < clock_floor_s())
		now = clock_floor_s();
	out->tv_sec = (time_t)now;
	out->tv_usec = 0;
}

struct tls_span
tls_verify_span(const struct tls_policy *p)
{
	int64_t now = clock_wall_s();
	int64_t lo = p->verify_time_s;

	if (p->at_s != 0)
		return (struct tls_span){ p->at_s, p->at_s };
	if (now < clock_floor_s())
		now = clock_floor_s();
	if (lo == 0)
		return (struct tls_span){ now, now };
	return (struct tls_span){ lo, now < lo ? lo : now };
}

struct tls_conn *
tls_ctx_conn(const SSL *ssl)
{
	return SSL_get_ex_data(ssl, conn_index);
}

/* The peer sent its certificates: judge them. */
static enum ssl_verify_result_t
on_verify(SSL *ssl, uint8_t *alert)
{
	const STACK_OF(CRYPTO_BUFFER) *bufs = SSL_get0_peer_certificates(ssl);
	struct tls_conn *c = tls_ctx_conn(ssl);
	STACK_OF(X509) * sent;
	int err = 0;

	c->judged = c->env->rejudged + 1;
	if ((sent = sk_X509_new_null()) == NULL) {
		*alert = SSL_AD_INTERNAL_ERROR;
		return ssl_verify_invalid;
	}
	for (size_t i = 0; err == 0 && i < sk_CRYPTO_BUFFER_num(bufs); i++) {
		X509 *x = tls_x509_of(sk_CRYPTO_BUFFER_value(bufs, i));

		if (x == NULL || !sk_X509_push(sent, x)) {
			X509_free(x);
			err = E_TLS_CERT;
		}
	}
	if (err != 0) {
		*alert = SSL_AD_BAD_CERTIFICATE;
		tls_explain(&c->v, "cert.malformed",
		    "sent a certificate that cannot be read");
	} else {
		err = tls_verify_chain(c->env, &c->v, sent, alert);
	}
	sk_X509_pop_free(sent, X509_free);
	return err == 0 ? ssl_verify_ok : ssl_verify_invalid;
}

/* Alerts, with the phase they came in. */
static void
on_info(const SSL *ssl, int type, int value)
{
	struct tls_conn *c = tls_ctx_conn(ssl);
	int alert = value & 0xff;

	/* close_notify is no fault. */
	if ((type & SSL_CB_ALERT) == 0 || alert == SSL_AD_CLOSE_NOTIFY)
		return;
	if (type == SSL_CB_READ_ALERT)
		c->v.alert_rx = alert;
	else
		c->v.alert_tx = alert;
	c->v.alert_phase = c->v.phase;
}

/* True if one of our chain's issuers is in the list the server sent. */
static bool
slot_fits(const struct tls_slot *s, const STACK_OF(CRYPTO_BUFFER) * names)
{
	bool fits = false;

	for (size_t i = 0; i < s->num && !fits; i++) {
		X509 *x = tls_x509_of(s->certs[i]);
		X509_NAME *issuer;

		if (x == NULL)
			continue;
		issuer = X509_get_issuer_name(x);
		for (size_t k = 0; k < sk_CRYPTO_BUFFER_num(names); k++) {
			const CRYPTO_BUFFER *b =
			    sk_CRYPTO_BUFFER_value(names, k);
			const uint8_t *p = CRYPTO_BUFFER_data(b);
			X509_NAME *n =
			    d2i_X509_NAME(NULL, &p, (long)CRYPTO_BUFFER_len(b));

			fits |= n != NULL && X509_NAME_cmp(n, issuer) == 0;
			X509_NAME_free(n);
		}
		X509_free(x);
	}
	tls_err_drop();
	return fits;
}

/* Notes which issuers the server accepts. */
static void
names_note(struct tls_verdict *v, const STACK_OF(CRYPTO_BUFFER) * names)
{
	v->num_ca_names = 0;
	for (size_t i = 0; i < sk_CRYPTO_BUFFER_num(names) &&
	     v->num_ca_names < TLS_CANAMES_MAX;
	     i++) {
		const CRYPTO_BUFFER *b = sk_CRYPTO_BUFFER_value(names, i);
		const uint8_t *p = CRYPTO_BUFFER_data(b);
		X509_NAME *n =
		    d2i_X509_NAME(NULL, &p, (long)CRYPTO_BUFFER_len(b));

		if (n != NULL)
			tls_x509_name(n, v->ca_names[v->num_ca_names++],
			    sizeof(v->ca_names[0]));
		X509_NAME_free(n);
	}
	tls_err_drop();
}

/* The slot to show: the policy's, or with auto the one the server's list of
 * issuers asks for, among those allowed to the use. */
static enum tls_identity
slot_choose(struct tls_conn *c, const STACK_OF(CRYPTO_BUFFER) * names)
{
	const struct tls_slot *slots = c->env->slots;
	const struct tls_policy *p = &c->v.policy;
	enum tls_identity other = TLS_ID_NONE, id = p->identity;

	if (p->identity_auto && p->use == TLS_USE_SIP)
		other =
		    id == TLS_ID_FACTORY ? TLS_ID_SIP_OWNER : TLS_ID_FACTORY;
	if (slots[id].num == 0)
		id = TLS_ID_NONE;
	if (other != TLS_ID_NONE && slots[other].num == 0)
		other = TLS_ID_NONE;
	if (id == TLS_ID_NONE)
		return p->identity_auto ? other : TLS_ID_NONE;
	if (sk_CRYPTO_BUFFER_num(names) == 0 || slot_fits(&slots[id], names))
		return id;
	if (other != TLS_ID_NONE && slot_fits(&slots[other], names))
		return other;
	/* Lists are often incomplete: show it, the answer tells. */
	tls_finding(&c->v, "mtls.issuer_not_listed");
	return id;
}

/* A certificate of ours is needed: the server's own, or a client's that the
 * server asked for. */
static int
on_cert(SSL *ssl, void *arg)
{
	struct tls_conn *c = tls_ctx_conn(ssl);
	const STACK_OF(CRYPTO_BUFFER) * names;
	const struct tls_slot *s;
	enum tls_identity id = c->v.policy.identity;

	(void)arg;
	if (c->v.policy.dir == TLS_CLIENT) {
		names = SSL_get0_server_requested_CAs(ssl);
		c->v.client_asked = true;
		names_note(&c->v, names);
		id = slot_choose(c, names);
	}
	s = &c->env->slots[id];
	if (s->num == 0) {
		c->v.shown = TLS_ID_NONE;
		return 1; /* shown: nothing; the peer decides what that is */
	}
	if (s->key == NULL) {
		if (tls_p11_show(c, s) != 0)
			return 0;
	} else if (!SSL_set_chain_and_key(
		       ssl, s->certs, s->num, s->key, NULL)) {
		return 0;
	}
	c->v.shown = id;
	ignore_err(str_copy(c->v.shown_subject, sizeof(c->v.shown_subject),
		       s->brief.subject),
	    "same size");
	return 1;
}

/* A new session: clients keep it. */
static int
on_session(SSL *ssl, SSL_SESSION *s)
{
	struct tls_conn *c = tls_ctx_conn(ssl);

	return c->v.policy.dir == TLS_CLIENT ? tls_sess_store(c, s) : 0;
}

/* True if a list of protocols has this one; then where. */
static bool
alpn_find(const char *want, const uint8_t *in, size_t in_len,
    const uint8_t **out, uint8_t *out_len)
{
	size_t n = strlen(want);

	for (size_t i = 0; i < in_len; i += in[i] + 1U) {
		if (in[i] == n && i + 1 + n <= in_len &&
		    memcmp(in + i + 1, want, n) == 0) {
			*out = in + i + 1;
			*out_len = (uint8_t)n;
			return true;
		}
	}
	return false;
}

/*
 * The protocol a client offers that this use speaks.  RFC 7301 3.2: without
 * one the handshake ends, so that nothing made for another protocol is read
 * as ours.  Clients that offer none are not asked.
 */
static int
on_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in,
    unsigned int in_len, void *arg)
{
	/* "sip/2" is registered (IANA), "sip" is seen in the field. */
	static const char *const sip[] = { "sip/2", "sip" };
	static const char *const http[] = { "http/1.1", "http/1.0" };
	const struct tls_conn *c = tls_ctx_conn(ssl);
	const char *const *want = c->v.policy.use == TLS_USE_SIP ? sip : http;

	(void)arg;
	for (int i = 0; i < 2; i++) {
		if (alpn_find(want[i], in, in_len, out, out_len))
			return SSL_TLSEXT_ERR_OK;
	}
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Sets what the library has to know of the policy. */
static bool
ctx_setup(SSL_CTX *s, const struct tls_ctx *k)
{
	size_t num_sigs = SIGALGS_ALL - (k->sha1 ? 0 : SIGALGS_SHA1);
	/* TLS 1.0 and 1.1 know no other. */
	size_t num_own =
	    OWN_SIGALGS_ALL - (k->min < TLS_V12 ? 0 : SIGALGS_SHA1);
	bool legacy = k->profile == TLS_PROFILE_LEGACY;

	if (!SSL_CTX_set_min_proto_version(s, k->min) ||
	    !SSL_CTX_set_max_proto_version(s, k->max) ||
	    !SSL_CTX_set_strict_cipher_list(
		s, legacy ? ciphers_legacy : ciphers_aead) ||
	    !SSL_CTX_set1_curves_list(s,
		k->profile == TLS_PROFILE_MODERN ? "X25519:P-256"
						 : "X25519:P-256:P-384") ||
	    !SSL_CTX_set_verify_algorithm_prefs(s, sigalgs, num_sigs) ||
	    !SSL_CTX_set_signing_algorithm_prefs(s, own_sigalgs, num_own))
		return false;
	SSL_CTX_set_info_callback(s, on_info);
	SSL_CTX_set_cert_cb(s, on_cert, NULL);
	SSL_CTX_set_current_time_cb(s, on_time);
	if (k->dir == TLS_CLIENT) {
		SSL_CTX_set_session_cache_mode(
		    s, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
		SSL_CTX_sess_set_new_cb(s, on_session);
		/* Without it a resumed session is never judged again. */
		SSL_CTX_set_reverify_on_resume(s, 1);
	} else {
		SSL_CTX_set_options(s, SSL_OP_CIPHER_SERVER_PREFERENCE);
		/* Tickets carry the state; nothing is kept here. */
		SSL_CTX_set_session_cache_mode(s, SSL_SESS_CACHE_OFF);
		SSL_CTX_set_alpn_select_cb(s, on_alpn, NULL);
	}
	return true;
}

/* Drops one context; connections that use it hold their own reference. */
static void
ctx_drop(struct tls_env *e, struct tls_ctx *k)
{
	TAILQ_REMOVE(&e->ctxs, k, link);
	SSL_CTX_free(k->ssl);
	free(k);
}

void
tls_ctx_clear(struct tls_env *e)
{
	struct tls_ctx *k;

	while ((k = TAILQ_FIRST(&e->ctxs)) != NULL)
		ctx_drop(e, k);
}

/* Finds the context for a policy. */
static struct tls_ctx *
ctx_find(struct tls_env *e, const struct tls_ctx *want)
{
	struct tls_ctx *k;

	TAILQ_FOREACH (k, &e->ctxs, link) {
		if (k->dir == want->dir && k->min == want->min &&
		    k->max == want->max && k->profile == want->profile &&
		    k->sha1 == want->sha1)
			return k;
	}
	return NULL;
}

/* Finds or makes the context for a policy; NULL when that fails. */
static SSL_CTX *
ctx_get(struct tls_env *e, const struct tls_policy *p)
{
	struct tls_ctx want = { .dir = p->dir,
		.min = p->min,
		.max = p->max,
		.profile = p->profile,
		.sha1 = (p->allow & TLS_ALLOW_SHA1) != 0 };
	struct tls_ctx *k;
	size_t n = 0;

	if ((k = ctx_find(e, &want)) != NULL) {
		TAILQ_REMOVE(&e->ctxs, k, link);
		TAILQ_INSERT_HEAD(&e->ctxs, k, link);
		return k->ssl;
	}
	if ((k = calloc(1, sizeof(*k))) == NULL)
		return NULL;
	*k = want;
	/* The variant without X509 objects: 5 KB less per connection. */
	k->ssl = SSL_CTX_new(TLS_with_buffers_method());
	if (k->ssl == NULL || !ctx_setup(k->ssl, k)) {
		SSL_CTX_free(k->ssl);
		free(k);
		return NULL;
	}
	SSL_CTX_set0_buffer_pool(k->ssl, e->pool);
	tls_keylog_ctx(e, k->ssl);
	TAILQ_INSERT_HEAD(&e->ctxs, k, link);
	TAILQ_FOREACH (k, &e->ctxs, link) {
		n++;
	}
	if (n > CTXS_MAX)
		ctx_drop(e, TAILQ_LAST(&e->ctxs, tls_ctx_list));
	return TAILQ_FIRST(&e->ctxs)->ssl;
}

/* What is different for each client connection. */
static bool
client_setup(struct tls_conn *c, const char *alpn)
{
	const struct tls_policy *p = &c->v.policy;
	uint8_t wire[32];
	size_t n;

	SSL_set_connect_state(c->ssl);
	/* Even where nothing is verified the record shows what was seen. */
	SSL_set_custom_verify(c->ssl, SSL_VERIFY_PEER, on_verify);
	/* RFC 6066 3: no addresses in the server name. */
	if (p->name[0] != '\0' && !tls_name_is_ip(p->name) &&
	    !SSL_set_tlsext_host_name(c->ssl, p->name))
		return false;
	if (alpn != NULL && (n = strlen(alpn)) > 0 && n < sizeof(wire)) {
		wire[0] = (uint8_t)n;
		memcpy(wire + 1, alpn, n);
		/* This one returns 0 on success. */
		if (SSL_set_alpn_protos(c->ssl, wire, n + 1) != 0)
			return false;
	}
	tls_sess_offer(c);
	return true;
}

/* What is different for each accepted connection. */
static bool
server_setup(struct tls_conn *c)
{
	const struct tls_policy *p = &c->v.policy;
	int mode = SSL_VERIFY_NONE;

	if (p->require_client)
		mode = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	else if (p->verify)
		mode = SSL_VERIFY_PEER;
	SSL_set_accept_state(c->ssl);
	SSL_set_custom_verify(c->ssl, mode, on_verify);
	return SSL_set_session_id_context(
		   c->ssl, c->sess_key, sizeof(c->sess_key)) == 1;
}

int
tls_ctx_ssl(struct tls_conn *c, const char *alpn)
{
	SSL_CTX *ctx;
	bool ok;

	if (conn_index < 0)
		conn_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	if (conn_index < 0 || (ctx = ctx_get(c->env, &c->v.policy)) == NULL) {
		tls_err_drop();
		return E_TLS_PARAM;
	}
	if ((c->ssl = SSL_new(ctx)) == NULL) {
		tls_err_drop();
		return ENOMEM;
	}
	tls_sess_key(c);
	SSL_set_mode(c->ssl,
	    SSL_MODE_ENABLE_PARTIAL_WRITE |
		SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_set_shed_handshake_config(c->ssl, 1);
	ok = SSL_set_ex_data(c->ssl, conn_index, c) &&
	    (c->v.policy.dir == TLS_CLIENT ? client_setup(c, alpn)
					   : server_setup(c));
	tls_err_drop();
	return ok ? 0 : E_TLS_PARAM;
}
