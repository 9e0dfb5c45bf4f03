/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_TLS_CONN_H
#define BELLBIRD_TLS_CONN_H

#include <stddef.h>

#include "bellbird/addr.h"
#include "bellbird/loop.h"
#include "bellbird/tls_policy.h"
#include "bellbird/tls_verdict.h"

/*
 * tls_env: trust sets, identities, sessions and the ring of verdicts of the
 * process.  One in the program; tests make their own.
 */
struct tls_env;
struct tls_env_conf {
	const char
	    *builtin_file; /* PEM bundle; NULL: BELLBIRD_CA_FILE; "" none */
	const char
	    *cache_dir; /* for the index of the built-in set; NULL: in memory */
	const char *trusted_dir; /* folder of uploaded anchors; NULL: none */
	const char *const *trusted_files; /* more of them, one by one, ends
					     with NULL; NULL: none */
	const char *siptrusted_file;
	const char *identity_dir;   /* device.pem (certificate, chain and key in
				       any order) or device.crt + device.key */
	const char *sip_owner_file; /* certs/sipclient.pem */
	const char *server_file; /* server.pem; minted self-signed if absent and
				    wanted */
	const char *pkcs11_module; /* for keys in tokens (RFC 7512 URIs in place
				      of a key); NULL: they are shown, and no
				      token is asked */
	const char *pkcs11_server; /* "unix:path=..": where `p11-kit server`
				      listens; NULL: where p11-kit looks */
	char *why; /* gets a sentence about a bad one of `trusted_files`; or
		      NULL */
	size_t why_size;
};
/* tls_env_new copies `conf`.  E_TLS_TRUST for one of `trusted_files` without a
 * certificate; all else that is bad is logged, and the good rest counts. */
MUST_CHECK int tls_env_new(
    struct tls_env **out, struct loop *l, const struct tls_env_conf *conf);
/* tls_env_free frees its connections too, without a callback.  Never call it
 * from a callback of one of them: loop_defer() does. */
void tls_env_free(struct tls_env *e);
/* tls_env_reload reads trust and identities again (HUP, upload); what fails is
 * logged, the good rest counts. */
void tls_env_reload(struct tls_env *e);
/*
 * tls_env_rejudge judges the peers of live connections again, as after an
 * anchor went or the clock was set; reloading does it too.  One that does not
 * hold any more ends from the loop, with TLS_EV_CLOSED and its verdict; a
 * client that was only asked for its certificate loses its identity.
 */
void tls_env_rejudge(struct tls_env *e);
bool tls_env_has_identity(const struct tls_env *e, enum tls_identity id);
/* tls_env_identity_cn copies the CN of a slot's leaf; E_TLS_KEY if the slot is
 * empty. */
MUST_CHECK int tls_env_identity_cn(
    const struct tls_env *e, enum tls_identity id, char *out, size_t size);
/* tls_env_identity_error says why a slot whose files exist could not be loaded;
 * "" if fine. */
const char *tls_env_identity_error(
    const struct tls_env *e, enum tls_identity id);
/* tls_env_identity_token returns the URI (RFC 7512) of a slot's key that is in
 * a token; "" for one from a file. */
const char *tls_env_identity_token(
    const struct tls_env *e, enum tls_identity id);
struct tls_cert_brief;
/* tls_env_identity_brief stores the leaf of a slot; E_TLS_KEY if empty. */
MUST_CHECK int tls_env_identity_brief(
    const struct tls_env *e, enum tls_identity id, struct tls_cert_brief *out);
size_t tls_env_num_anchors(const struct tls_env *e, unsigned int trust);
/*
 * The index of a bundle of anchors in `cache_dir`: to make it takes 20 ms and
 * waits for the disk, so for a bundle that changed while the loop runs the
 * worker makes it.  tls_index_make logs nothing; 0, or why there is none.
 * tls_index_is_made is also true where there is no such bundle.
 */
bool tls_index_is_made(const char *file, const char *cache_dir);
MUST_CHECK int tls_index_make(const char *file, const char *cache_dir);
/* tls_trust_is_name tells whether a file of the folder of uploaded anchors
 * counts, by the ending of its name (.pem .cer .crt .der .p7b .p7c). */
bool tls_trust_is_name(const char *name);

/* tls_env_on_verdict registers the one observer (event stream); it runs from
 * the loop whenever a record got its final word or changed it (refused after
 * probation). */
typedef void(tls_verdict_cb)(const struct tls_verdict *v, void *arg);
void tls_env_on_verdict(struct tls_env *e, tls_verdict_cb *cb, void *arg);
/* tls_env_each_verdict walks the kept records, newest first (20 per peer, 128
 * in all). */
void tls_env_each_verdict(
    const struct tls_env *e, tls_verdict_cb *cb, void *arg);

/*
 * tls_env_on_clock registers who knows whether the clock is good; he is asked
 * for each peer that is judged.  Without one the policy's word counts, with
 * the floor as it is then.
 */
typedef void(tls_clock_cb)(struct tls_clock *out, void *arg);
void tls_env_on_clock(struct tls_env *e, tls_clock_cb *cb, void *arg);

/*
 * The key log (tls keylog): secrets of connections with one peer, a configured
 * name or an address, go to `fd`, a regular file, for `seconds`; a capture of
 * them can be read with it.  One at a time; a new one replaces it.  Takes `fd`,
 * on failure too; EINVAL for what is no regular file, or beyond the limit.
 */
enum { TLS_KEYLOG_MAX_S = 900 }; /* forgotten, it ends by itself */
MUST_CHECK int tls_env_keylog_start(
    struct tls_env *e, const char *peer, int fd, uint32_t seconds);
void tls_env_keylog_stop(struct tls_env *e);
/* tls_env_keylog_peer: whose secrets are written; "": nobody's. */
const char *tls_env_keylog_peer(const struct tls_env *e);

/*
 * A connection: TLS under a policy, or clear TCP when `policy` is NULL, with
 * the same face.  Bytes move only from the loop.
 */
struct tls_conn;
enum tls_event {
	TLS_EV_UP,      /* connected; TLS: handshake and verification passed */
	TLS_EV_DATA,    /* there is input: tls_conn_peek */
	TLS_EV_DRAINED, /* output that had to wait went to the kernel */
	TLS_EV_CLOSED   /* the end; err says why; the object is freed after the
			   callback returns */
};
/*
 * tls_conn_cb: after TLS_EV_CLOSED nothing follows.  The callback may call
 * tls_conn_free().  `err`: 0 (orderly close) or an E_TLS_* / errno value; the
 * whole story is tls_conn_verdict().
 */
typedef void(tls_conn_cb)(
    struct tls_conn *c, enum tls_event ev, int err, void *arg);

struct tls_conn_conf {
	const struct tls_policy *policy; /* copied; NULL: clear TCP */
	struct addr remote;              /* where; resolved by the caller */
	const struct addr *local;        /* bind to, or NULL */
	const char *host; /* for the verdict: what the user configured */
	int64_t dns_us;   /* how long resolving took; -1 unknown */
	const char *alpn; /* "sip" or NULL */
	int dscp;
	unsigned int lost_ms; /* TCP_USER_TIMEOUT: unacknowledged bytes end it
			       * then; 0: the system's minutes */
	tls_conn_cb *cb;
	void *arg;
};
/* tls_conn_connect starts a client connection; known-at-once errors are
 * returned. */
MUST_CHECK int tls_conn_connect(
    struct tls_conn **out, struct tls_env *e, const struct tls_conn_conf *conf);
/* tls_conn_set_cb changes owner of an accepted or idle connection. */
void tls_conn_set_cb(struct tls_conn *c, tls_conn_cb *cb, void *arg);
/* tls_conn_free closes at once (close_notify if possible) without a callback.
 */
void tls_conn_free(struct tls_conn *c);
/* tls_conn_shutdown sends what is queued, then close_notify, then
 * TLS_EV_CLOSED. */
void tls_conn_shutdown(struct tls_conn *c);
/* tls_conn_write copies; E_LIMIT above 256 KiB of unsent output (a peer that
 * does not read), E_CLOSED. */
MUST_CHECK int tls_conn_write(struct tls_conn *c, const void *p, size_t n);
size_t tls_conn_unsent(const struct tls_conn *c);
/* tls_conn_peek: all unread input, contiguous, borrowed until the next call on
 * `c`. */
struct slice tls_conn_peek(struct tls_conn *c);
void tls_conn_drain(struct tls_conn *c, size_t n); /* n bytes are used up */
/* tls_conn_read_pause(true) stops reading from the socket (back pressure). */
void tls_conn_read_pause(struct tls_conn *c, bool pause);
const struct tls_verdict *tls_conn_verdict(
    const struct tls_conn *c); /* never NULL */
bool tls_conn_is_tls(const struct tls_conn *c);
void tls_conn_remote(const struct tls_conn *c, struct addr *out);
void tls_conn_local(const struct tls_conn *c, struct addr *out);
/* tls_conn_peer_cn copies the CN of the verified peer certificate; E_TLS_CERT
 * if none. */
MUST_CHECK int tls_conn_peer_cn(
    const struct tls_conn *c, char *out, size_t size);
/* tls_conn_peer_has_name: does the verified peer certificate carry `name`, as
 * its CN, a DNS name, an address, a URI, or the domain of a SIP URI?  All its
 * names count, whole, ASCII letters without case; the record shows the first
 * TLS_SANS_MAX only.  False if the peer is not verified. */
bool tls_conn_peer_has_name(const struct tls_conn *c, const char *name);
uint64_t tls_conn_id(const struct tls_conn *c);

/*
 * tls_conn_bufferevent: the second face, for evhttp alone.  Client: make it
 * with tls_bev_client (evhttp connects the socket itself); server: from
 * evhttp's bevcb with tls_bev_server.  The bufferevent owns the connection;
 * the observer is told TLS_EV_UP and TLS_EV_CLOSED and may ask the verdict.
 * evhttp closes the socket itself, so who uses it has to say good-bye before
 * (RFC 8446 6.1): tls_conn_shutdown() from evhttp's close callback, and before
 * evhttp_connection_free() of a client, which does not call that.  It sends
 * close_notify at once, nothing if an answer was cut, and closes nothing.
 * tls_bev_conn() needs the environment still there.
 */
struct bufferevent;
MUST_CHECK int tls_bev_client(struct bufferevent **out, struct tls_env *e,
    const struct tls_conn_conf *conf);
MUST_CHECK int tls_bev_server(struct bufferevent **out, struct tls_env *e,
    const struct tls_policy *policy, tls_conn_cb *cb, void *arg);
/* tls_bev_conn finds the connection behind a bufferevent of ours, else NULL. */
struct tls_conn *tls_bev_conn(struct tls_env *e, struct bufferevent *bev);

/* A listener: accepts, hands each connection over when it is up.  Clear if
 * `policy` is NULL.  EMFILE pauses accepting for one second. */
struct tls_listen;
typedef void(tls_accept_cb)(
    struct tls_conn *c, void *arg); /* takes c: set a callback or free it */
struct tls_listen_conf {
	const struct tls_policy *policy;
	struct addr local; /* port 0: the kernel chooses */
	unsigned int
	    max_conns; /* 0: 64; handshakes in flight at most a quarter */
	unsigned int max_per_ip; /* 0: 16 */
	int dscp;                /* of accepted connections, 0..63 */
	tls_accept_cb *cb;
	void *arg;
};
MUST_CHECK int tls_listen_open(struct tls_listen **out, struct tls_env *e,
    const struct tls_listen_conf *conf);
void tls_listen_close(struct tls_listen *l); /* accepted connections live on */
void tls_listen_local(const struct tls_listen *l, struct addr *out);

#endif
