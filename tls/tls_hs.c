/* SPDX-License-Identifier: ISC */
/* The handshake and its record, shared by both faces of a connection.
 * Bytes go through the evbuffers of a socket bufferevent. */
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "bellbird/clock.h"
#include "bellbird/log.h"
#include "bellbird/mem.h"
#include "bellbird/str.h"
#include "bellbird/tls_hash.h"

#include "internal.h"
#include "p11.h"

enum {
	/* Unread input: four of the largest SIP messages over TCP. */
	IN_MAX = 256 * 1024,
	/* A server that refuses our certificate does so at once. */
	PROBATION_US = 5000000,
	/* Unused for so long, a connection was closed for that. */
	IDLE_US = 10000000
};

/* ---- the BIO ---- */

static int
bio_write(BIO *b, const char *p, int n)
{
	struct tls_conn *c = BIO_get_data(b);

	BIO_clear_retry_flags(b);
	if (n <= 0 || c->wr_err != 0)
		return -1;
	return evbuffer_add(bufferevent_get_output(c->bev), p, (size_t)n) == 0
	    ? n
	    : -1;
}

/* Keeps the first bytes: they tell what a peer speaks that speaks no TLS. */
static void
first_keep(struct tls_conn *c, const char *p, size_t n)
{
	size_t room = sizeof(c->first) - c->num_first;

	if (n > room)
		n = room;
	memcpy(c->first + c->num_first, p, n);
	c->num_first += n;
}

/* Where the peer's bytes wait. */
static struct evbuffer *
source_of(const struct tls_conn *c)
{
	return c->src != NULL ? c->src : bufferevent_get_input(c->bev);
}

void
tls_hs_first(struct tls_conn *c)
{
	ev_ssize_t got = evbuffer_copyout(source_of(c), c->first + c->num_first,
	    sizeof(c->first) - c->num_first);

	if (got > 0)
		c->num_first += (size_t)got;
}

static int
bio_read(BIO *b, char *p, int n)
{
	struct tls_conn *c = BIO_get_data(b);
	struct evbuffer *src = source_of(c);
	int got;

	BIO_clear_retry_flags(b);
	if (n <= 0)
		return -1;
	if (evbuffer_get_length(src) == 0) {
		if (c->eof)
			return 0;
		BIO_set_retry_read(b);
		return -1;
	}
	got = evbuffer_remove(src, p, (size_t)n);
	if (got > 0 && c->num_first < sizeof(c->first) && !c->up)
		first_keep(c, p, (size_t)got);
	return got;
}

static long
bio_ctrl(BIO *b, int cmd, long n, void *p)
{
	(void)b;
	(void)n;
	(void)p;
	return cmd == BIO_CTRL_FLUSH;
}

static int
bio_create(BIO *b)
{
	BIO_set_init(b, 1);
	return 1;
}

/* The method is made once; it lives as long as the process. */
static BIO *
bio_new(struct tls_conn *c)
{
	static BIO_METHOD *m;
	BIO *b;

	if (m == NULL) {
		m = BIO_meth_new(
		    BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "evbuffer");
		if (m == NULL)
			return NULL;
		BIO_meth_set_write(m, bio_write);
		BIO_meth_set_read(m, bio_read);
		BIO_meth_set_ctrl(m, bio_ctrl);
		BIO_meth_set_create(m, bio_create);
	}
	if ((b = BIO_new(m)) != NULL)
		BIO_set_data(b, c);
	return b;
}

/* ---- life ---- */

int
tls_conn_alloc(struct tls_conn **out, struct tls_env *e,
    const struct tls_policy *policy, enum tls_dir dir)
{
	struct tls_conn *c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		return ENOMEM;
	c->env = e;
	c->v.id = tls_random_id();
	c->v.wall_us = clock_wall_us();
	c->v.clear = policy == NULL;
	if (policy != NULL)
		c->v.policy = *policy;
	c->v.policy.dir = dir;
	c->v.dns_us = c->v.tcp_us = c->v.tls_us = -1;
	c->v.alert_rx = c->v.alert_tx = -1;
	c->v.phase = TLS_PH_CONNECT;
	c->start_us = clock_mono_us();
	buf_init(&c->in, IN_MAX);
	buf_init(&c->out, IN_MAX);
	LIST_INSERT_HEAD(&e->conns, c, link);
	*out = c;
	return 0;
}

void
tls_conn_release(struct tls_conn *c)
{
	timer_stop(&c->deadline);
	loop_undefer(&c->later);
	tls_listen_gone(c);
	LIST_REMOVE(c, link);
	tls_p11_leave(c);
	SSL_free(c->ssl);
	buf_clear(&c->in);
	buf_clear(&c->out);
	free(c);
}

int
tls_hs_bio(struct tls_conn *c)
{
	BIO *b;

	if ((b = bio_new(c)) == NULL) {
		tls_err_drop();
		return ENOMEM;
	}
	SSL_set_bio(c->ssl, b, b);
	return 0;
}

int
tls_hs_begin(struct tls_conn *c)
{
	int err;

	c->tcp_us = clock_mono_us();
	c->v.tcp_us = c->tcp_us - c->start_us;
	if (c->v.clear) {
		c->v.phase = TLS_PH_UP;
		return 0;
	}
	c->v.phase = TLS_PH_HANDSHAKE;
	if (c->ssl == NULL && (err = tls_ctx_ssl(c, NULL)) != 0)
		return err;
	return SSL_get_rbio(c->ssl) != NULL ? 0 : tls_hs_bio(c);
}

bool
tls_hs_flush(struct tls_conn *c)
{
	struct evbuffer *o = bufferevent_get_output(c->bev);
	int fd = bufferevent_getfd(c->bev);

	if (fd < 0 || c->v.phase == TLS_PH_CONNECT || c->wr_err != 0)
		return evbuffer_get_length(o) == 0;
	/* Saves a turn of the loop and two system calls a message. */
	evbuffer_unfreeze(o, 1);
	while (evbuffer_get_length(o) > 0) {
		if (evbuffer_write(o, fd) > 0)
			continue;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			c->wr_err = errno;
		break;
	}
	if (c->wr_err != 0) /* nobody will read it */
		evbuffer_drain(o, evbuffer_get_length(o));
	evbuffer_freeze(o, 1);
	return evbuffer_get_length(o) == 0;
}

/* ---- the record ---- */

/* What was negotiated. */
static void
note_negotiated(struct tls_conn *c)
{
	struct tls_verdict *v = &c->v;
	const SSL_CIPHER *cipher = SSL_get_current_cipher(c->ssl);
	uint16_t group = SSL_get_curve_id(c->ssl);
	uint16_t sig = SSL_get_peer_signature_algorithm(c->ssl);
	const char *name;
	const uint8_t *alpn;
	unsigned int n;

	v->version = (uint16_t)SSL_version(c->ssl);
	v->resumed = SSL_session_reused(c->ssl) != 0;
	name = cipher != NULL ? SSL_CIPHER_standard_name(cipher) : "";
	ignore_err(str_copy(v->cipher, sizeof(v->cipher), name), "fits");
	name = group != 0 ? SSL_get_curve_name(group) : NULL;
	ignore_err(
	    str_copy(v->group, sizeof(v->group), name != NULL ? name : ""),
	    "fits");
	name = sig != 0 ? SSL_get_signature_algorithm_name(sig, 1) : NULL;
	ignore_err(
	    str_copy(v->sigalg, sizeof(v->sigalg), name != NULL ? name : ""),
	    "fits");
	SSL_get0_alpn_selected(c->ssl, &alpn, &n);
	ignore_err(str_copy(v->alpn, sizeof(v->alpn), esc_n(alpn, n)),
	    "a long name is cut");
	if (n == 0)
		v->alpn[0] = '\0';
}

/* The last word of a handshake: log, keep, tell. */
static void
record_end(struct tls_conn *c)
{
	struct tls_verdict *v = &c->v;
	bool tell = !v->clear;
	char line[256];

	c->told = true;
	if (v->class[0] != '\0') {
		log_warn(LOGC_TLS, v->id, "refused class=%s text=\"%s\"",
		    v->class, v->text);
	} else {
		tls_verdict_line(v, line, sizeof(line));
		log_info(LOGC_TLS, v->id, "secured use=%s %s",
		    tls_use_name(v->policy.use), line);
	}
	if (tell)
		tls_env_keep(c->env, v, true);
}

void
tls_hs_fail(struct tls_conn *c, int err)
{
	bool had = c->told;

	if (c->v.err == 0)
		c->v.err = err;
	c->v.ok = false;
	if (!c->v.clear)
		tls_sess_forget(c);
	timer_stop(&c->deadline);
	if (!had && c->tcp_us != 0 && !c->v.clear)
		c->v.tls_us = clock_mono_us() - c->tcp_us;
	record_end(c);
}

/* Judges again what the peer had shown: the library does not ask when a client
 * of ours resumes a session, nor when trust or clock change. */
static int
judge_again(struct tls_conn *c)
{
	const STACK_OF(CRYPTO_BUFFER) *bufs =
	    SSL_get0_peer_certificates(c->ssl);
	STACK_OF(X509) *sent = sk_X509_new_null();
	uint8_t alert = SSL_AD_INTERNAL_ERROR;
	int err = sent != NULL ? 0 : ENOMEM;

	for (size_t i = 0; err == 0 && i < sk_CRYPTO_BUFFER_num(bufs); i++) {
		X509 *x = tls_x509_of(sk_CRYPTO_BUFFER_value(bufs, i));

		if (x == NULL || !sk_X509_push(sent, x)) {
			X509_free(x);
			err = E_TLS_CERT;
		}
	}
	if (err == 0 && sk_X509_num(sent) > 0)
		err = tls_verify_chain(c->env, &c->v, sent, &alert);
	else if (err == 0 && c->v.policy.require_client) {
		tls_explain(&c->v, "mtls.required_none",
		    "showed no certificate, and one is demanded here");
		alert = SSL_AD_CERTIFICATE_REQUIRED;
		err = E_TLS_CERT;
	}
	sk_X509_pop_free(sent, X509_free);
	if (err != 0) {
		SSL_send_fatal_alert(c->ssl, alert);
		if (c->v.class[0] == '\0')
			tls_explain(
			    &c->v, "hs.internal", "could not be judged again");
	}
	tls_err_drop();
	return err;
}

/* The handshake is complete. */
static int
hs_done(struct tls_conn *c)
{
	struct tls_verdict *v = &c->v;
	int err;

	note_negotiated(c);
	/* A session that is resumed, and a peer that was judged before trust or
	 * clock changed and took its time. */
	if (((v->resumed && v->policy.dir == TLS_SERVER && v->policy.verify) ||
		(c->judged != 0 && c->judged != c->env->rejudged + 1)) &&
	    (err = judge_again(c)) != 0)
		return err;
	if (v->resumed && v->policy.dir == TLS_CLIENT) {
		v->shown = c->sess_shown;
		if (v->shown != TLS_ID_NONE)
			ignore_err(
			    str_copy(v->shown_subject, sizeof(v->shown_subject),
				c->env->slots[v->shown].brief.subject),
			    "same size");
	}
	timer_stop(&c->deadline);
	c->up = true;
	c->up_us = c->used_us = clock_mono_us();
	v->tls_us = c->up_us - c->tcp_us;
	v->ok = true;
	if (v->policy.dir == TLS_CLIENT && !v->resumed && !v->client_asked &&
	    c->env->slots[v->policy.identity].num > 0)
		tls_finding(v, "mtls.not_asked");
	/* The server may still refuse our certificate: always in TLS 1.3, and
	 * in 1.2 when it resumed, where its part ends first. */
	if (v->policy.dir == TLS_CLIENT &&
	    (v->version == TLS_V13 || v->resumed)) {
		v->phase = TLS_PH_PROBATION;
	} else {
		v->phase = TLS_PH_UP;
		v->confirmed = true;
	}
	record_end(c);
	return 0;
}

int
tls_hs_step(struct tls_conn *c)
{
	int r, err;

	tls_err_drop();
	r = SSL_do_handshake(c->ssl);
	if (r == 1) {
		err = hs_done(c);
	} else {
		switch (SSL_get_error(c->ssl, r)) {
		case SSL_ERROR_WANT_READ:
		case SSL_ERROR_WANT_WRITE:
		case SSL_ERROR_WANT_PRIVATE_KEY_OPERATION:
			tls_err_drop();
			return EAGAIN;
		case SSL_ERROR_SYSCALL:
		case SSL_ERROR_ZERO_RETURN:
			/* End of input inside the handshake. */
			if (c->v.class[0] == '\0' && c->v.alert_rx < 0 &&
			    c->eof) {
				tls_err_drop();
				return tls_hs_tcp_fail(c, 0);
			}
			__attribute__((fallthrough));
		default:
			err = tls_err_judge(c);
			break;
		}
	}
	if (err != 0)
		tls_hs_fail(c, err);
	return err;
}

/* Says what an errno of connect() or of a broken handshake means. */
static void
explain_tcp(struct tls_conn *c, int err)
{
	struct tls_verdict *v = &c->v;

	if (v->phase == TLS_PH_CONNECT) {
		switch (err) {
		case ECONNREFUSED:
			tls_explain(v, "tcp.refused",
			    "refused the connection: nothing listens there");
			return;
		case ETIMEDOUT:
			tls_explain(v, "tcp.timeout",
			    "did not answer the attempt to connect");
			return;
		case ENETUNREACH:
		case EHOSTUNREACH:
		case ENETDOWN:
		case EHOSTDOWN:
		case EADDRNOTAVAIL:
			tls_explain(v, "tcp.unreachable",
			    "cannot be reached: %s", err_str(err));
			return;
		default:
			tls_explain(v, "tcp.failed",
			    "cannot be connected to: %s", err_str(err));
			return;
		}
	}
	if (err != 0)
		tls_explain(v, "tcp.reset_in_hs",
		    "cut the connection during the handshake (%s)",
		    err_str(err));
	else
		tls_explain(v, "tcp.closed_in_hs",
		    "closed the connection during the handshake%s",
		    c->num_first == 0 ? " without a word" : "");
}

int
tls_hs_tcp_fail(struct tls_conn *c, int err)
{
	explain_tcp(c, err);
	/* What the kernel said is the more exact code. */
	if (err != 0)
		c->v.err = err;
	tls_hs_fail(c, c->v.err);
	return c->v.err;
}

int
tls_hs_timeout(struct tls_conn *c)
{
	if (c->v.phase == TLS_PH_CONNECT)
		return tls_hs_tcp_fail(c, ETIMEDOUT);
	if (tls_p11_late(c)) {
		tls_hs_fail(c, c->v.err);
		return c->v.err;
	}
	tls_explain(&c->v, "hs.silent", "%s within %u ms",
	    c->num_first == 0 ? "accepted the connection but sent nothing"
			      : "did not finish the handshake",
	    (unsigned int)c->v.policy.handshake_ms);
	tls_hs_fail(c, c->v.err);
	return c->v.err;
}

int
tls_hs_late(struct tls_conn *c, int err)
{
	struct tls_verdict *v = &c->v;
	bool early = v->phase == TLS_PH_PROBATION && !v->confirmed;

	tls_err_drop();
	if (v->clear)
		return err;
	if (early && v->alert_rx >= 0) {
		err = tls_err_alert(c);
	} else if (early && !c->shut && (v->client_asked || v->resumed) &&
	    clock_mono_us() - c->up_us < PROBATION_US && err != 0) {
		tls_explain(v,
		    err == E_CLOSED ? "tcp.closed_in_hs" : "tcp.reset_in_hs",
		    "cut the connection right after the handshake in which it "
		    "asked for a certificate; %s",
		    v->shown == TLS_ID_NONE
			? "none was shown, and it may demand one"
			: "it may refuse ours");
		err = v->err;
	} else {
		return err;
	}
	v->ok = false;
	tls_sess_forget(c);
	record_end(c);
	return err;
}

void
tls_hs_idle(struct tls_conn *c)
{
	struct tls_verdict *v = &c->v;
	int64_t idle_us = clock_mono_us() - c->used_us;

	if (v->clear || v->policy.dir != TLS_CLIENT || c->shut ||
	    v->class[0] != '\0' || idle_us < IDLE_US)
		return;
	tls_finding(v, "post.idle_close");
	log_info(LOGC_TLS, v->id,
	    "the server closed a connection that was not used for %d s: its "
	    "limit for idle connections, or that of a NAT between, is shorter "
	    "than our keep-alive [post.idle_close]",
	    (int)(idle_us / 1000000));
	tls_env_keep(c->env, v, true);
}

int
tls_hs_again(struct tls_conn *c)
{
	struct tls_verdict *v = &c->v;
	bool was = v->peer_verified;
	int err;

	if (!c->up || c->ended || v->clear ||
	    (v->policy.dir == TLS_SERVER && !v->policy.verify))
		return 0;
	if ((err = judge_again(c)) == 0) {
		if (v->peer_verified != was)
			tls_env_keep(c->env, v, true);
		return 0;
	}
	log_warn(LOGC_TLS, v->id,
	    "trust, identities or clock changed: this connection would not be "
	    "made any more");
	v->ok = false;
	tls_sess_forget(c);
	record_end(c);
	return err;
}

void
tls_hs_confirm(struct tls_conn *c)
{
	if (c->v.confirmed || c->v.clear)
		return;
	c->v.confirmed = true;
	c->v.phase = TLS_PH_UP;
	mem_wipe(c->first, sizeof(c->first));
	tls_env_keep(c->env, &c->v, false);
}
