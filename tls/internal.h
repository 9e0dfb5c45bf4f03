/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_TLS_INTERNAL_H
#define BELLBIRD_TLS_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include <openssl/pool.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "bellbird/buf.h"
#include "bellbird/loop.h"
#include "bellbird/tls_conn.h"
#include "bellbird/tls_policy.h"
#include "bellbird/tls_verdict.h"

struct bufferevent;
struct evbuffer;
struct p11_key;
struct p11_op;
struct tls_p11;
struct event;

/* ---- words and small helpers ---- */

bool tls_name_is_ip(const char *name);
/* tls_allow_print writes "rsa1024,sha1"; "" for none. */
void tls_allow_print(unsigned int allow, char *out, size_t size);
/* tls_policy_clock decides by which time certificates are judged. */
void tls_policy_clock(struct tls_policy *p, const struct tls_clock *clock);
/*
 * tls_verify_span: when certificates have to be valid under this policy.  With
 * a good clock that is now.  With one that is not confirmed it is some time
 * from the floor, which has passed for certain, to what the clock says: a
 * certificate that ended before the floor is expired, one that begins after
 * both is not valid yet, and one issued since the build holds.
 */
struct tls_span {
	int64_t lo_s, hi_s;
};
struct tls_span tls_verify_span(const struct tls_policy *p);

/* ---- tls_pem.c ---- */

/* A block of a PEM file; `der` is NULL for one that cannot be decoded. */
struct tls_pem_block {
	const char *label; /* "CERTIFICATE" .. */
	bool encrypted;
	const uint8_t *der;
	size_t n;
};
typedef int(tls_pem_cb)(const struct tls_pem_block *b, void *arg);
/* tls_pem_each calls `cb` for each block until it returns non-zero, which is
 * returned. */
int tls_pem_each(const void *p, size_t n, tls_pem_cb *cb, void *arg);
/* tls_der_cert parses exactly one DER certificate; NULL if it is none. */
X509 *tls_der_cert(const uint8_t *p, size_t n);
/* tls_der_pkcs7 returns the certificates of a PKCS#7 container (.p7b); NULL if
 * it is none or has none. */
STACK_OF(X509) * tls_der_pkcs7(const uint8_t *p, size_t n);

/* ---- tls_x509.c ---- */

/* Seconds since 1970 of a certificate time; E_PARSE if malformed. */
MUST_CHECK int tls_x509_time(const ASN1_TIME *t, int64_t *out);
/* A name as text, escaped. */
void tls_x509_name(const X509_NAME *n, char *out, size_t size);
void tls_x509_brief(X509 *c, struct tls_cert_brief *out);
/* tls_x509_cn copies the last CN, escaped; E_PARSE if there is none. */
MUST_CHECK int tls_x509_cn(const X509 *c, char *out, size_t size);
/* tls_x509_sans writes "DNS:a" .. and returns how many. */
size_t tls_x509_sans(X509 *c, char (*out)[128], size_t max);
X509 *tls_x509_of(const CRYPTO_BUFFER *b);
/* tls_x509_is_self_signed: names alone do not tell, another key of the same
 * name may have signed it (RFC 5280 3.2, self-issued). */
bool tls_x509_is_self_signed(X509 *x);
/* How good the hash of a certificate's signature is. */
enum tls_sig {
	TLS_SIG_GOOD,
	TLS_SIG_SHA1,
	TLS_SIG_BROKEN /* MD5 and older, or unknown */
};
enum tls_sig tls_x509_sig(X509 *x);

/* ---- tls_trust.c, tls_index.c ---- */

/* Where an anchor lies in its set, and the hash of its subject. */
struct anchor_ref {
	uint32_t hash;
	uint32_t off;
	uint32_t len;
};

/* A trust set: only places are kept; anchors are parsed when asked for. */
struct trust_set {
	const char *name; /* "builtin" .. */
	int fd;           /* owned: the PEM bundle; -1: `der` is used */
	struct buf der;   /* owned: DER certificates, one after another */
	struct anchor_ref *refs; /* owned; sorted by hash */
	size_t num;
};
enum { SET_BUILTIN, SET_UPLOADED, SET_SIPTRUSTED, SET_MAX };

void tls_trust_init(struct trust_set *s, const char *name);
void tls_trust_clear(struct trust_set *s);
/* tls_trust_load_files reads a folder or one file of certificates; what is
 * bad is logged and left out. */
MUST_CHECK int tls_trust_load_files(
    struct trust_set *s, const char *dir, const char *file);
/*
 * tls_trust_load_file adds what one file holds, in the forms of a folder.  One
 * that holds no certificate is an error here, and `why` says which file it is.
 */
MUST_CHECK int tls_trust_load_file(
    struct trust_set *s, const char *path, char *why, size_t why_size);
/* tls_trust_load_bundle opens the built-in PEM bundle with its index. */
MUST_CHECK int tls_trust_load_bundle(
    struct trust_set *s, const char *file, const char *cache_dir);
/* tls_trust_find appends the anchors with that subject to `out`. */
void tls_trust_find(
    const struct trust_set *s, X509_NAME *subject, STACK_OF(X509) * out);
/* tls_trust_has: is this very certificate an anchor of the set?  Nothing is
 * parsed for it. */
bool tls_trust_has(const struct trust_set *s, X509 *c);
void tls_trust_sort(struct anchor_ref *refs, size_t num);
/* The index file: load it if it fits the open bundle, else E_PARSE. */
MUST_CHECK int tls_index_load(
    struct trust_set *s, const char *path, int64_t size, int64_t mtime_ns);
MUST_CHECK int tls_index_save(const struct trust_set *s, const char *path,
    int64_t size, int64_t mtime_ns);

/* ---- tls_key.c ---- */

/* An identity: what is shown, and the key that proves it. */
struct tls_slot {
	CRYPTO_BUFFER *certs[TLS_CHAIN_MAX]; /* owned; leaf first */
	size_t num;                          /* 0: empty */
	CRYPTO_BUFFER *root; /* owned: the end of the chain, which is not sent,
				if the file has it; or NULL */
	EVP_PKEY *key;       /* owned; NULL: in a token */
	char *uri;           /* owned: where the token's key is; or NULL */
	struct p11_key *token;       /* owned reference; NULL: not asked */
	struct tls_cert_brief brief; /* of the leaf */
	char cn[128];
	char error[400];     /* why it could not be loaded, or cannot be used */
	uint8_t p12_sum[32]; /* of the PKCS #12 file and password; or zeros */
};
void tls_slot_clear(struct tls_slot *s);
/* tls_slot_parse reads certificate, chain and key in any order. */
MUST_CHECK int tls_slot_parse(
    struct tls_slot *s, const void *pem, size_t n, char *why, size_t why_size);
/* tls_slot_parse_p12 reads a PKCS #12 file (RFC 7292), opened by `password`. */
MUST_CHECK int tls_slot_parse_p12(struct tls_slot *s, const void *der, size_t n,
    const char *password, char *why, size_t why_size);
/* tls_p12_rounds adds up how often such a file hashes the password (and its own
 * bytes) before it is open; E_PARSE if it is not DER. */
MUST_CHECK int tls_p12_rounds(const void *der, size_t n, uint64_t *sum);
/* tls_key_parse reads a private key that one may show to servers: EC P-256 or
 * better, RSA of 2048 bits or more.  E_TLS_KEY with a sentence, or ENOMEM. */
MUST_CHECK int tls_key_parse(
    EVP_PKEY **out, const void *pem, size_t n, char *why, size_t why_size);
/* tls_slot_load reads one PEM file, or two; ENOENT if there is none. */
MUST_CHECK int tls_slot_load(
    struct tls_slot *s, const char *path, const char *key_path);

/*
 * tls_slot_load_forms reads the first of NAME.pem, NAME.p12 with its password
 * in NAME.pass, NAME.crt with NAME.key that is there; `pem` is the path of the
 * first.  ENOENT if none is.
 */
MUST_CHECK int tls_slot_load_forms(struct tls_slot *s, const char *pem);
enum { TLS_PASSWORD_MAX = 1024 };
/* tls_password_len: how much of a password file is the password. */
size_t tls_password_len(const char *s);

/* ---- tls_env.c ---- */

struct tls_ctx {
	TAILQ_ENTRY(tls_ctx) link;
	SSL_CTX *ssl; /* owned */
	enum tls_dir dir;
	uint16_t min, max;
	enum tls_profile profile;
	bool sha1;
};

struct tls_sess {
	TAILQ_ENTRY(tls_sess) link;
	uint8_t key[32];
	SSL_SESSION *s; /* owned */
	enum tls_identity shown;
};

/* A kept verdict, packed. */
struct tls_kept {
	TAILQ_ENTRY(tls_kept) link;
	uint64_t id;
	uint64_t peer; /* hash of whom it is about */
	uint8_t *p;    /* owned */
	size_t n;
};

struct tls_env {
	struct loop *loop;
	char *builtin_file, *cache_dir, *trusted_dir, *siptrusted_file;
	char *identity_dir, *sip_owner_file, *server_file; /* all owned */
	char **trusted_files; /* owned; ends with NULL; or NULL */
	char bad_file[300];   /* which of them is bad, and why; "" if none */
	struct trust_set trust[SET_MAX];
	struct tls_slot slots[TLS_ID_MAX];
	char *p11_module, *p11_server; /* owned; module NULL: no tokens */
	struct tls_p11 *p11;           /* owned; NULL until a slot wants it */
	uint64_t generation;           /* of trust and identities */
	uint64_t rejudged;        /* how often live peers were judged again */
	CRYPTO_BUFFER_POOL *pool; /* owned: equal certificates once */
	TAILQ_HEAD(tls_ctx_list, tls_ctx) ctxs; /* most recently used first */
	TAILQ_HEAD(tls_sess_list, tls_sess) sessions;
	TAILQ_HEAD(, tls_kept) kept;
	LIST_HEAD(, tls_conn) conns;
	tls_clock_cb *on_clock;
	void *on_clock_arg;
	struct tls_keylog *keylog; /* owned; NULL: off */
	tls_verdict_cb *on_verdict;
	void *on_verdict_arg;
};

/* tls_env_clock says what is known of time now. */
void tls_env_clock(
    const struct tls_env *e, const struct tls_policy *p, struct tls_clock *out);
/* tls_env_server_slot makes a self-signed certificate if there is none. */
MUST_CHECK int tls_env_server_slot(struct tls_env *e);
/* tls_env_keep stores or updates a record; `tell`: the observer hears it. */
void tls_env_keep(struct tls_env *e, const struct tls_verdict *v, bool tell);
/* tls_env_find_anchors appends the anchors of the chosen sets. */
void tls_env_find_anchors(const struct tls_env *e, unsigned int trust,
    X509_NAME *subject, STACK_OF(X509) * out);
/* tls_env_set_of names the set an anchor is in; "" if none. */
const char *tls_env_set_of(
    const struct tls_env *e, unsigned int trust, X509 *anchor);

/* ---- tls_ring.c: verdicts are mostly empty space: runs of zeros go ---- */

MUST_CHECK int tls_pack(const void *p, size_t n, uint8_t **out, size_t *len);
MUST_CHECK int tls_unpack(const uint8_t *p, size_t n, void *out, size_t size);
void tls_ring_clear(struct tls_env *e);

/* ---- tls_ctx.c, tls_sess.c ---- */

/* tls_ctx_ssl makes the SSL of a connection under its policy. */
MUST_CHECK int tls_ctx_ssl(struct tls_conn *c, const char *alpn);
/* tls_sock_set_dscp marks packets (1..63; 0: leaves them); a kernel that cannot
 * is no reason to fail. */
void tls_sock_set_dscp(int fd, int family, int dscp);
void tls_ctx_clear(struct tls_env *e);
struct tls_conn *tls_ctx_conn(const SSL *ssl);

void tls_sess_key(struct tls_conn *c);
void tls_sess_offer(struct tls_conn *c);
/* tls_sess_forget: what was kept for this connection does not come back. */
void tls_sess_forget(struct tls_conn *c);
int tls_sess_store(struct tls_conn *c, SSL_SESSION *s);
void tls_sess_clear(struct tls_env *e);

/* ---- tls_keylog.c ---- */

/* tls_keylog_ctx: a new context takes part in a key log that runs. */
void tls_keylog_ctx(const struct tls_env *e, SSL_CTX *ctx);

/* ---- tls_verify.c, tls_peer.c ---- */

/*
 * tls_verify_chain judges the certificates a peer sent, leaf first, under
 * v->policy and fills the record.  Returns 0 or E_TLS_CERT; then v->class and
 * v->text say why and `*alert` is what to send.
 */
MUST_CHECK int tls_verify_chain(const struct tls_env *e, struct tls_verdict *v,
    STACK_OF(X509) * sent, uint8_t *alert);
/* tls_peer_check: does the certificate carry the expected name?  Returns NULL
 * and the matching entry, or the failure class. */
const char *tls_peer_check(
    X509 *leaf, const struct tls_policy *p, char *matched, size_t size);

/* tls_peer_has_name: is `name` the CN or any alternative name, whole? */
bool tls_peer_has_name(X509 *leaf, const char *name);

/* ---- tls_explain.c ---- */

/* tls_explain sets class and text: what failed, seen from which side, why
 * (`fmt`, a clause about the peer), what to do, and the class. */
void tls_explain(struct tls_verdict *v, const char *class, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* tls_finding notes a class that did not end the connection. */
void tls_finding(struct tls_verdict *v, const char *class);

/* ---- tls_err.c ---- */

/* tls_err_judge reads the library's error queue after a failed call and says
 * what happened in class and text; returns our code. */
int tls_err_judge(struct tls_conn *c);
/* tls_err_alert judges an alert that the peer sent. */
int tls_err_alert(struct tls_conn *c);
/* tls_err_drop empties the queue of an error that does not matter. */
void tls_err_drop(void);
/* tls_alert_name: "unknown_ca" .. */
const char *tls_alert_name(int alert);

/* ---- tls_hs.c: what both faces share ---- */

struct tls_conn {
	struct tls_env *env;
	LIST_ENTRY(tls_conn) link;
	struct bufferevent *bev; /* the socket; owned, or by `flt` */
	struct bufferevent *flt; /* the face for evhttp, owns us; or NULL */
	struct tls_bev *face;    /* its state; owned by the filter */
	SSL *ssl;                /* owned */
	struct evbuffer *src;    /* where the BIO reads while a filter runs */
	tls_conn_cb *cb;
	void *arg;
	struct tls_verdict v;
	struct buf in;  /* owned: unread input */
	struct buf out; /* owned: written before the connection was up */
	struct timer deadline;
	struct deferred later;
	int64_t start_us, tcp_us, up_us;
	int64_t used_us; /* of the last bytes that came or went */
	uint8_t sess_key[32];
	enum tls_identity sess_shown; /* what the offered session had shown */
	uint8_t first[64];            /* the first bytes of the peer */
	size_t num_first;
	unsigned int holds; /* callbacks of ours on the stack */
	bool up, ended, dead, told;
	bool paused, full, eof, waiting, shut, clear_up;
	bool again;      /* to be judged once more */
	uint64_t judged; /* env->rejudged + 1 when the peer was judged; 0:
			    not yet */
	int end_err;     /* the reason once `ended` */
	int wr_err; /* errno of a write; what the peer said is read first */
	struct p11_key *p11_key;   /* owned reference: signs for us; or NULL */
	struct p11_op *p11_op;     /* the signature we wait for, or NULL */
	struct tls_listen *listen; /* that accepted us, or NULL */
	LIST_ENTRY(tls_conn) siblings;
	bool handed; /* the listener's user has it */
};

MUST_CHECK int tls_conn_alloc(struct tls_conn **out, struct tls_env *e,
    const struct tls_policy *policy, enum tls_dir dir);
/* tls_conn_release frees everything but the bufferevents. */
void tls_conn_release(struct tls_conn *c);
/* tls_hs_bio joins the TLS object and the buffers of the socket. */
MUST_CHECK int tls_hs_bio(struct tls_conn *c);
/* tls_hs_first completes the first bytes by what is not read yet: the library
 * reads the five of a record's head and no more where they are none. */
void tls_hs_first(struct tls_conn *c);
/* tls_hs_begin: TCP is up; the TLS object is made and the clock started. */
MUST_CHECK int tls_hs_begin(struct tls_conn *c);
/* tls_hs_step: 0 up, EAGAIN more is needed, else it failed and is judged. */
int tls_hs_step(struct tls_conn *c);
/* tls_hs_fail ends the record with a failure that is already explained. */
void tls_hs_fail(struct tls_conn *c, int err);
/* tls_hs_tcp_fail: connecting failed, or the peer was gone (err 0: EOF). */
int tls_hs_tcp_fail(struct tls_conn *c, int err);
int tls_hs_timeout(struct tls_conn *c);
/* tls_hs_late judges an end after the handshake (alerts in probation). */
int tls_hs_late(struct tls_conn *c, int err);
/* tls_hs_idle notes it where a server closed a connection nobody had used for
 * some time. */
void tls_hs_idle(struct tls_conn *c);
/* tls_hs_again judges the peer of a live connection once more; an error is told
 * and kept, and the caller ends the connection. */
MUST_CHECK int tls_hs_again(struct tls_conn *c);
/* tls_hs_confirm: an application byte arrived. */
void tls_hs_confirm(struct tls_conn *c);
/* tls_hs_flush pushes output into the kernel now; true: nothing is left. */
bool tls_hs_flush(struct tls_conn *c);

/* ---- tls_conn.c ---- */

/* tls_conn_accept takes an accepted descriptor, on failure too. */
MUST_CHECK int tls_conn_accept(struct tls_conn **out, struct tls_env *e,
    const struct tls_policy *policy, int fd, const struct addr *remote);
/* tls_conn_begin_accept starts the handshake of an accepted connection. */
void tls_conn_begin_accept(struct tls_conn *c);
/* tls_conn_arm starts the deadline of connecting and handshake. */
MUST_CHECK int tls_conn_arm(struct tls_conn *c);
void tls_conn_nodelay(int fd);
/* tls_conn_fill copies what the caller knows into the record. */
void tls_conn_fill(struct tls_conn *c, const struct tls_conn_conf *conf);
/* tls_conn_again has the peer judged once more, from the loop. */
void tls_conn_again(struct tls_conn *c);
/* tls_conn_signed: the signature that the handshake waited for is made. */
void tls_conn_signed(struct tls_conn *c);
/* tls_conn_kill ends a connection from outside, as if its deadline passed. */
void tls_conn_kill(struct tls_conn *c);

/* ---- tls_bev.c, tls_listen.c ---- */

void tls_bev_orphan(struct tls_conn *c);
void tls_bev_expired(struct tls_conn *c);
/* tls_bev_again judges the peer of a live connection once more. */
void tls_bev_again(struct tls_conn *c);
void tls_bev_signed(struct tls_conn *c);
/* tls_bev_bye says close_notify, if all that was written has left. */
void tls_bev_bye(struct tls_conn *c);
/* tls_listen_up hands an accepted connection over. */
void tls_listen_up(struct tls_conn *c);
/* tls_listen_gone: an accepted connection is freed. */
void tls_listen_gone(struct tls_conn *c);

/* ---- tls_cert.c ---- */

/* tls_cert_stack appends the certificates of a PEM, DER or PKCS#7 file; a file
 * without any is an error, and `why` names it. */
MUST_CHECK int tls_cert_stack(
    const char *path, STACK_OF(X509) * all, char *why, size_t why_size);

/* ---- tls_csr.c ---- */

/* What a request for a certificate (PKCS#10, RFC 2986) asks for. */
struct tls_req {
	X509 *old;          /* subject and SAN are its own; NULL: those below */
	const char *cn;     /* as text */
	const char *serial; /* serialNumber of a device (802.1AR); or NULL */
	const char *sans;   /* "DNS:a,URI:sip:b"; NULL, "": none */
};
/* tls_req_make composes and signs it.  EINVAL for a name that cannot be written
 * (a CN beyond 64 characters), E_TLS_KEY for a key that cannot sign. */
MUST_CHECK int tls_req_make(
    const struct tls_req *q, EVP_PKEY *k, X509_REQ **out);

/* ---- tls_mint.c ---- */

/* tls_mint_key makes a key pair: 0 or 256 is EC P-256, 384 is EC P-384, more
 * is RSA of so many bits. */
MUST_CHECK int tls_mint_key(int bits, EVP_PKEY **out);
/* tls_mint_pem_cert and tls_mint_pem_key append PEM text (PKCS#8, not
 * encrypted); tls_mint_bio_take what a BIO in memory holds. */
MUST_CHECK int tls_mint_pem_cert(X509 *c, struct buf *out);
MUST_CHECK int tls_mint_pem_key(EVP_PKEY *k, struct buf *out);
MUST_CHECK int tls_mint_bio_take(BIO *b, struct buf *out);

/* tls_mint_server makes a self-signed server certificate for this host. */
MUST_CHECK int tls_mint_server(struct buf *pem);

#endif
