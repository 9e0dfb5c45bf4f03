/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_SIPCORE_INTERNAL_H
#define BELLBIRD_SIPCORE_INTERNAL_H

#include <sys/queue.h>

#include "bellbird/buf.h"
#include "bellbird/sip_auth.h"
#include "bellbird/sip_call.h"
#include "bellbird/sip_limits.h"
#include "bellbird/sip_refer.h"
#include "bellbird/sip_sub.h"
#include "bellbird/sip_reg.h"
#include "bellbird/sip_stack.h"
#include "bellbird/sip_trace.h"
#include "bellbird/udp.h"

/* RFC 3261 table 4, in microseconds. */
#define SIPC_MS    ((int64_t)1000)
#define SIPC_S     ((int64_t)1000000)
#define SIPC_T1    (500 * SIPC_MS)
#define SIPC_T2    (4 * SIPC_S)
#define SIPC_T4    (5 * SIPC_S)
#define SIPC_T1X64 (64 * SIPC_T1) /* timers B, D, F, H, J, L, M */

#define SIPC_ALLOW                                                 \
	"INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, " \
	"REFER, NOTIFY, MESSAGE"
/* Extensions that every dialog of ours knows; 100rel besides, in what makes
 * one (RFC 3262 3). */
#define SIPC_SUPPORTED "timer, replaces, norefersub"

enum { SIPC_TAG_LEN = 16, SIPC_BRANCH_LEN = 31, SIPC_CALL_ID_LEN = 32 };

/* ---- sip_hash.c: tables keyed by a secret hash (no flooding) ---- */

struct sip_hnode {
	struct sip_hnode *next;
	uint64_t h;
	bool in; /* is in a table */
};
struct sip_htab {
	struct sip_hnode **v; /* owned array of borrowed nodes */
	size_t cap, n;
};
MUST_CHECK int sip_htab_init(struct sip_htab *t);
void sip_htab_clear(struct sip_htab *t);
/* sip_htab_add cannot fail: a table that could not grow only gets slower. */
void sip_htab_add(struct sip_htab *t, struct sip_hnode *n, uint64_t h);
void sip_htab_del(struct sip_htab *t, struct sip_hnode *n);
/* First and next node of exactly this hash, NULL at the end. */
struct sip_hnode *sip_htab_first(const struct sip_htab *t, uint64_t h);
struct sip_hnode *sip_hnode_next(const struct sip_hnode *n);
#define SIP_OBJ(node, type, member) \
	((type *)(void *)((char *)(node)-offsetof(type, member)))

/* sip_hash is SipHash-2-4 over up to four parts (separated, so that "ab","c"
 * and "a","bc" differ). */
struct sip_hkey {
	uint64_t k0, k1;
};
uint64_t sip_hash(
    const struct sip_hkey *k, const struct slice *parts, size_t num_parts);

/* ---- sip_frame.c: what is one message ---- */

enum sip_frame_ev {
	SIP_FRAME_MORE, /* wait for more bytes */
	SIP_FRAME_MSG,  /* `n` bytes are one message */
	SIP_FRAME_CRLF, /* stray line end, or a pong (RFC 5626 4.4.1) */
	SIP_FRAME_PING, /* double CRLF: answer it */
	SIP_FRAME_BAD   /* close the connection; `bad` says why */
};
/* Why bytes are no message, and what their sender may be told. */
struct sip_fault {
	const char *why;
	int code;    /* of the answer; 0: none is possible */
	size_t head; /* so many bytes of the input may be read for it */
};
struct sip_frame {
	bool pings;  /* we ping here: each CRLF counts for itself */
	size_t seen; /* bytes of this message that hold no end of headers */
	size_t need; /* its whole length once known, else 0 */
	struct sip_fault bad;
};
/* sip_frame_next looks at all unread input `in` and says what its first `*n`
 * bytes are; the caller drains them.  Any split gives the same. */
enum sip_frame_ev sip_frame_next(
    struct sip_frame *f, struct slice in, size_t *n);
/* sip_frame_datagram judges a datagram: `*n` bytes of it are the message;
 * E_SIP_PARSE and why in `*fault`. */
MUST_CHECK int sip_frame_datagram(
    struct slice in, size_t *n, struct sip_fault *fault);

/* ---- sip_uri.c ---- */

struct sip_uri {
	bool sips;
	bool lr;
	bool headers;  /* there were some behind a `?`; never taken */
	uint16_t port; /* 0: none */
	int transport; /* enum sip_transport, -1: none given, -2: unknown */
	char user[SIPC_USER_MAX + 1]; /* unescaped, but control characters */
	char host[SIPC_HOST_MAX + 1]; /* without brackets */
	char text[SIPC_URI_MAX + 1];  /* as given, without ?headers */
};
/* sip_uri_parse reads a sip: or sips: URI; E_PARSE for anything else. */
MUST_CHECK int sip_uri_parse(struct sip_uri *u, struct slice s);
/* sip_name_addr splits `"Name" <uri>;params` or `uri;params`. */
struct sip_name_addr {
	struct slice name, uri, params;
};
MUST_CHECK int sip_name_addr(struct sip_name_addr *out, struct slice s);
/* sip_param finds `name` in ";a=b;c"; its value (may be empty) is unquoted. */
bool sip_param(struct slice params, const char *name, struct slice *value);
/* sip_params_fit: is it nothing, or `;token` and `;token=value` alone? */
bool sip_params_fit(struct slice params);
bool sip_is_token(struct slice s); /* RFC 3261 25.1 */
/* sip_list_next takes the next value of a comma list off `*rest`. */
bool sip_list_next(struct slice *rest, struct slice *value);
/* sip_list_cut is sip_list_next for empty values, too; false: it was the
 * last one. */
bool sip_list_cut(struct slice *rest, struct slice *value);
/* sip_list_has: is `word` among the values (any case)? */
bool sip_list_has(struct slice list, const char *word);
/* sip_user_put appends a user part, escaped (RFC 3261 25.1). */
void sip_user_put(struct buf *b, const char *user);
/* sip_host_port prints "1.2.3.4:5" or "[::1]:5". */
void sip_host_port(const struct addr *a, char out[static ADDR_STR_MAX]);

/* ---- sip_msg.c: one received message ---- */

enum sip_hid {
	SIPH_OTHER,
	SIPH_VIA,
	SIPH_FROM,
	SIPH_TO,
	SIPH_CALL_ID,
	SIPH_CSEQ,
	SIPH_MAX_FORWARDS,
	SIPH_CONTACT,
	SIPH_CONTENT_TYPE,
	SIPH_CONTENT_LENGTH,
	SIPH_CONTENT_ENCODING,
	SIPH_ROUTE,
	SIPH_RECORD_ROUTE,
	SIPH_REQUIRE,
	SIPH_PROXY_REQUIRE,
	SIPH_SUPPORTED,
	SIPH_ALLOW,
	SIPH_EXPIRES,
	SIPH_MIN_EXPIRES,
	SIPH_RETRY_AFTER,
	SIPH_SERVICE_ROUTE,
	SIPH_SESSION_EXPIRES,
	SIPH_MIN_SE,
	SIPH_WWW_AUTH,
	SIPH_PROXY_AUTH,
	SIPH_AUTHORIZATION,
	SIPH_FLOW_TIMER,
	SIPH_WARNING,
	SIPH_EVENT,
	SIPH_REFER_TO,
	SIPH_REFERRED_BY,
	SIPH_MAX
};
struct sip_hdr {
	char *name;
	char *value; /* unfolded, trimmed */
	enum sip_hid id;
};
struct sip_msg {
	bool is_req;
	int code;     /* responses */
	char *reason; /* responses */
	char *method; /* that of CSeq in responses */
	char *uri;    /* requests */
	char *via;    /* the first Via field; may hold several values */
	struct slice branch, sent_by, via_params;
	char *from, *to, *call_id;
	struct slice from_tag, to_tag;
	struct slice from_uri, to_uri;
	uint32_t cseq;
	int max_forwards; /* -1: none */
	uint64_t flow;    /* it came by this one; 0: an unknown UDP peer */
	int fault;        /* with which it is to be refused; 0: sound */
	const char *fault_why;
	ptrdiff_t raw; /* from a string in here to its bytes as received */
	struct slice body;
	size_t num_hdrs;
	struct sip_hdr hdrs[];
};
/* sip_msg_parse copies and reads a framed message; E_SIP_PARSE, ENOMEM. */
MUST_CHECK int sip_msg_parse(struct sip_msg **out, struct slice in);
/*
 * sip_msg_read is the same for what strangers send: a request that can be
 * answered is returned with its fault in it; from, to, call_id are NULL where
 * absent, and nothing else of it may be relied upon.  `code` != 0: it is
 * faulty for the reason `why` anyway, and its header block may be cut.
 */
MUST_CHECK int sip_msg_read(
    struct sip_msg **out, struct slice in, int code, const char *why);
/* sip_msg_raw: the bytes of a string of `m` as its sender wrote them; other
 * than the string they may hold escaped control characters, even NUL. */
struct slice sip_msg_raw(const struct sip_msg *m, const char *s);
void sip_msg_free(struct sip_msg *m);
/* sip_msg_get returns the `i`-th field of that kind, or NULL. */
const char *sip_msg_get(const struct sip_msg *m, enum sip_hid id, size_t i);
const char *sip_msg_find(const struct sip_msg *m, const char *name, size_t i);
struct slice sip_msg_hdr(const struct sip_msg *m, enum sip_hid id);
/* sip_msg_has: is `word` in any of the comma lists of that kind? */
bool sip_msg_has(const struct sip_msg *m, enum sip_hid id, const char *word);
/* sip_msg_contact: the first Contact's URI; E_PARSE if absent or malformed. */
MUST_CHECK int sip_msg_contact(const struct sip_msg *m, struct slice *uri);
/* sip_msg_is_sdp: has it a body of type application/sdp? */
bool sip_msg_is_sdp(const struct sip_msg *m);
bool sip_msg_is(const struct sip_msg *m, const char *method);
/* sip_msg_uint: value of a number field (parameters cut off); `other` if
 * absent or not within 0..max. */
int64_t sip_msg_uint(
    const struct sip_msg *m, enum sip_hid id, int64_t max, int64_t other);
/* sip_msg_retry_us: Retry-After, not above `max_s`; 0 if there is none. */
int64_t sip_msg_retry_us(const struct sip_msg *m, int64_t max_s);

/* ---- sip_write.c: messages to send ---- */

/* sip_token writes `n` hex digits of randomness and a NUL. */
void sip_token(char *out, size_t n);
void sip_branch(char out[static SIPC_BRANCH_LEN + 1]);
const char *sip_via_proto(enum sip_transport t); /* "UDP", .. in Via */
struct sip_rsp {
	int code;
	const char *reason;  /* NULL: the usual phrase */
	const char *to_tag;  /* added if the request had none; NULL: none */
	const char *headers; /* whole lines, or NULL */
	const char *type;    /* of the body, or NULL */
	struct slice body;
	const char *server;      /* Server:, or NULL */
	const struct addr *from; /* source of the request (RFC 3581) */
};
/* sip_write_response appends the answer to `req`. */
void sip_write_response(
    struct buf *b, const struct sip_msg *req, const struct sip_rsp *r);
/* sip_write_body ends a message: Content-Type, Content-Length, body. */
void sip_write_body(struct buf *b, const char *type, struct slice body);
const char *sip_phrase(int code);
/* sip_clean: may this text be put into a header line? (no line ends) */
bool sip_clean(const char *s);
/* sip_lines_fit: are these header lines, each with its CRLF, and nothing that
 * ends them early? */
bool sip_lines_fit(const char *lines);

/* ---- sip_tp.c, sip_udp.c: flows ---- */

struct sip_flow;
enum sip_watch_ev { SIP_FLOW_UP, SIP_FLOW_DOWN };
typedef void(sip_watch_cb)(enum sip_watch_ev ev, int err, void *arg);
/* A watch tells its owner what becomes of a flow; `flow` is valid while it is
 * not NULL.  On SIP_FLOW_DOWN it is NULL; `s->dying` is the flow then. */
struct sip_watch {
	struct sip_flow *flow;
	LIST_ENTRY(sip_watch) link;
	sip_watch_cb *cb; /* may be NULL */
	void *arg;
};
void sip_watch_set(
    struct sip_watch *w, struct sip_flow *f, sip_watch_cb *cb, void *arg);
void sip_watch_clear(struct sip_watch *w);

struct sip_sock {
	LIST_ENTRY(sip_sock) link;
	struct sip_stack *s;
	struct udp *u; /* owned */
	bool listener;
};

struct sip_flow {
	struct sip_hnode by_id, by_peer;
	TAILQ_ENTRY(sip_flow) link; /* in `flows`, or in `idle_peers` */
	bool idle;                  /* a UDP peer whom nobody watches */
	struct sip_stack *s;
	uint64_t id;
	enum sip_transport t;
	bool up, outgoing;
	unsigned int trusted;   /* registrations that run over it */
	unsigned int allow_gen; /* of `allowed` */
	bool allowed;           /* by sip.allow */
	struct tls_conn *c;     /* owned; NULL on UDP */
	struct sip_sock *sock;  /* borrowed; NULL on streams */
	struct addr remote, local;
	LIST_HEAD(, sip_watch) watches;
	struct sip_frame frame;
	struct timer timer; /* connecting, unfinished message, idle */
	struct timer ping;
	int64_t last_us;    /* a whole message, or anything useful */
	int64_t partial_us; /* since when one is unfinished; 0: none */
	int64_t keepalive_us, pinged_us;
	bool pong_seen, pong_due;
	bool pong_owed; /* the server said that it answers */
	/* UDP: the STUN request under way, and how the server saw us last. */
	uint8_t stun_id[12];
	unsigned int stun_tries;
	struct addr mapped;
	uint32_t traced_in, traced_out; /* bytes of messages (sip_trace.c) */
	struct deferred later;          /* more input to read, or the end */
	int fail_err;                   /* != 0: the end is under way */
};

/* sip_flow_connect starts a connection; `w` hears UP or DOWN from the loop. */
struct sip_flow_conf {
	enum sip_transport t;
	struct addr remote;
	const char *host;
	const struct tls_policy *policy;
	int64_t dns_us;
	int64_t limit_us; /* for all of it; 0: as long as it may take */
};
MUST_CHECK int sip_flow_connect(struct sip_stack *s,
    const struct sip_flow_conf *conf, struct sip_watch *w, sip_watch_cb *cb,
    void *arg);
/* sip_flow_udp finds or makes the flow to `remote`; `sock` NULL: choose. */
MUST_CHECK int sip_flow_udp(struct sip_flow **out, struct sip_stack *s,
    struct sip_sock *sock, const struct addr *remote);
struct sip_flow *sip_flow_find_udp(const struct sip_stack *s,
    const struct sip_sock *sock, const struct addr *remote);
struct sip_flow *sip_flow_get(const struct sip_stack *s, uint64_t id);
/* sip_flow_close ends it now; watchers hear DOWN before it returns. */
void sip_flow_close(struct sip_flow *f, int err);
/* sip_flow_fail ends it from the loop; nothing is sent over it any more. */
void sip_flow_fail(struct sip_flow *f, int err);
MUST_CHECK int sip_flow_send(struct sip_flow *f, const void *p, size_t n);
/* sip_flow_keepalive pings each `us`, 0 stops it.  `owed`: the server said that
 * it answers (outbound, Flow-Timer, keep), so a missing pong is the end of the
 * flow; else only if one was seen before. */
void sip_flow_keepalive(struct sip_flow *f, int64_t us, bool owed);
/* sip_flow_stun: a STUN message came from the peer of a UDP flow. */
void sip_flow_stun(struct sip_flow *f, const uint8_t *p, size_t n);
/* sip_flow_ping pings now, if it is kept alive. */
void sip_flow_ping(struct sip_flow *f);
/* sip_flow_pong: a lone CRLF came, perhaps the pong that is due. */
void sip_flow_pong(struct sip_flow *f);
bool sip_flow_is_reliable(const struct sip_flow *f);
const struct tls_verdict *sip_flow_verdict(const struct sip_flow *f);

/* sip_part takes a connection over which nothing more is to be said: closed
 * once the peer had time to read what was. */
void sip_part(struct sip_stack *s, struct tls_conn *c);
void sip_parts_free(struct sip_stack *s);

/* ---- sip_stun.c ---- */

enum { SIP_STUN_REQ = 20 };
/* sip_stun_request writes a binding request with an id of 12 bytes;
 * sip_stun_answer reads what it says of us: E_PARSE if it is not its answer. */
void sip_stun_request(uint8_t out[static SIP_STUN_REQ], const uint8_t *id);
MUST_CHECK int sip_stun_answer(
    const uint8_t *p, size_t n, const uint8_t *id, struct addr *mapped);
bool sip_stun_is(const uint8_t *p, size_t n); /* no SIP begins like that */

/* sip_flow_accept takes a connection to a listener (`arg`). */
tls_accept_cb sip_flow_accept;

MUST_CHECK int sip_sock_open(struct sip_sock **out, struct sip_stack *s,
    const struct addr *local, bool listener);
void sip_sock_free(struct sip_sock *k);
bool sip_is_wildcard(const struct addr *a); /* 0.0.0.0, [::] */

/* ---- sip_stack.c, sip_dispatch.c, sip_allow.c ---- */

struct sip_listener {
	LIST_ENTRY(sip_listener) link;
	struct sip_stack *s;
	enum sip_transport t;
	struct tls_listen *l;  /* owned; NULL on UDP */
	struct sip_sock *sock; /* owned by the stack */
};

struct sip_allow; /* one element of sip.allow */

/* The newest messages, one behind the other in `mem`. */
struct sip_trace_ring {
	char *mem;         /* owned; NULL before the first message */
	size_t size;       /* 0: nothing is kept */
	size_t head, tail; /* oldest; place behind the newest */
	size_t end;        /* place behind the last before it goes on at 0 */
	size_t num;
	struct timer timer; /* until the latest are masked */
	int64_t stranger_s; /* second of the last from a stranger */
	unsigned int strangers;
};

struct sip_done;

/* One address to try, by one transport. */
struct sip_target {
	enum sip_transport t;
	struct addr a;
	/* 0 is best (RFC 2782 priority); equals share the load. */
	uint16_t rank;
};
struct sip_bad {
	struct sip_target target;
	int64_t until_us; /* avoided until then */
	unsigned int fails;
};

TAILQ_HEAD(sip_flows, sip_flow);
TAILQ_HEAD(sip_dones, sip_done);
struct sip_done_block;
TAILQ_HEAD(sip_done_blocks, sip_done_block);

struct sip_stack {
	struct sip_stack_conf conf;
	char *user_agent;  /* owned */
	unsigned int hold; /* callbacks below us on the C stack */
	bool dead;         /* freed inside one of them */
	struct sip_hkey hkey;
	uint8_t nonce_key[32];
	struct sip_htab flow_ids, flow_peers, ctxns, reqs, dones, dlgs, merges;
	struct sip_htab peers; /* who has unfinished requests */
	struct sip_flows flows;
	struct sip_flows idle_peers; /* who was silent for longest first */
	LIST_HEAD(, sip_part) parts;
	LIST_HEAD(, sip_listener) listeners;
	LIST_HEAD(, sip_sock) socks;
	LIST_HEAD(, sip_reg) regs;
	LIST_HEAD(, sip_call) calls;
	LIST_HEAD(, sip_referral) referrals;
	enum sip_replaces_mode replaces;
	LIST_HEAD(, sip_sub) subs;
	LIST_HEAD(, sip_text) texts;
	uint64_t used_nonces[SIPC_NONCES_USED]; /* sip_req_prove */
	unsigned int used_next;
	LIST_HEAD(, sip_ctxn) all_ctxns;
	LIST_HEAD(, sip_req) all_reqs;
	struct sip_dones done_ring;
	struct sip_done_blocks done_blocks; /* their memory, oldest first */
	size_t done_bytes;                  /* of the blocks */
	struct timer done_timer;
	struct sip_flow *dying;  /* its watchers are being told */
	unsigned int num_calls;  /* that have an owner */
	unsigned int num_idle;   /* in idle_peers */
	unsigned int num_strays; /* BYEs to forks under way */
	struct sip_call *fresh;  /* the one just offered to conf.on_call */
	uint64_t next_flow;
	struct sip_bad bads[SIPC_BADS_MAX]; /* targets that failed lately */
	size_t num_bads;
	char *tls_domains[SIPC_TLS_DOMAINS_MAX]; /* owned */
	size_t num_tls_domains;
	bool clear_ok; /* domains that offered TLS may be spoken to in clear */
	struct sip_call_rules rules;
	struct sip_allow *allow; /* owned list */
	unsigned int allow_gen;
	enum sip_refuse refuse;
	struct sip_stack_stats stats;
	struct sip_trace_ring kept;
	sip_trace_cb *on_trace; /* NULL: nobody listens */
	void *trace_arg;
	uint64_t trace_seq;
};
/* sip_hold keeps the struct (nothing in it) alive over callbacks; after
 * sip_release the stack may be gone: false says so. */
void sip_hold(struct sip_stack *s);
bool sip_release(struct sip_stack *s);

/* Where a message came from; `flow` NULL: an unknown UDP peer. */
struct sip_src {
	struct sip_flow *flow;
	struct sip_sock *sock;
	struct addr from;
};

/* ---- sip_mask.c, sip_trace.c: what people may see ---- */

/* sip_mask overwrites the secrets of a message (or of its first bytes), byte
 * for byte; its length stays. */
void sip_mask(char *p, size_t n);
/* sip_trace_out and sip_trace_in tell of a message that was sent or came. */
void sip_trace_out(struct sip_flow *f, struct slice msg);
void sip_trace_in(
    struct sip_stack *s, const struct sip_src *src, struct slice msg);

/* sip_dispatch takes `m`.  It may free anything, the stack included. */
void sip_dispatch(
    struct sip_stack *s, const struct sip_src *src, struct sip_msg *m);
/* sip_may_call: registered flow or sip.allow. */
bool sip_may_call(struct sip_stack *s, const struct sip_src *src);
void sip_allow_free(struct sip_allow *a);
/* sip_reject answers without a transaction. */
void sip_reject(struct sip_stack *s, const struct sip_src *src,
    const struct sip_msg *m, int code, const char *headers);

/* ---- sip_txn.c: client transactions ---- */

struct sip_ctxn;
/*
 * sip_ctxn_cb: a response (it may be taken by setting `*rsp` to NULL), or
 * `rsp` NULL and why there will be none.  Provisional ones leave the slot; with
 * a final one or a failure it is NULL already.
 */
typedef void(sip_ctxn_cb)(struct sip_msg **rsp, int err, void *arg);
struct sip_ctxn_conf {
	struct sip_flow *flow;
	const char *method;
	const char *branch;
	struct buf *msg; /* taken on success */
	/* Gives up that soon unless something was heard: there are others to
	 * ask; 0: timer B or F. */
	int64_t limit_us;
	sip_ctxn_cb *cb; /* NULL: nobody cares */
	void *arg;
};
/* sip_ctxn_start sends the request.  On UDP one of more than 1300 bytes goes by
 * TCP to the same address, if that can be (RFC 3261 18.1.1); its answers count
 * as come by `flow`. */
MUST_CHECK int sip_ctxn_start(
    struct sip_ctxn **slot, const struct sip_ctxn_conf *conf);
/* sip_ctxn_detach lets it end by itself, unheard; the slot is cleared. */
void sip_ctxn_detach(struct sip_ctxn **slot);
void sip_ctxn_stop(struct sip_ctxn **slot); /* at once */
void sip_ctxn_free(struct sip_ctxn *x);
/* sip_ctxn_unreachable ends, from the loop, those on UDP that wait for a first
 * answer: the network said that nobody is there (RFC 3261 18.4). */
void sip_ctxn_unreachable(struct sip_flow *f, int err);
/* sip_ctxn_cancel sends CANCEL for an INVITE that had a provisional answer,
 * with these header lines (may be ""); else E_SIP_STATE. */
MUST_CHECK int sip_ctxn_cancel(struct sip_ctxn *x, const char *headers);
/* sip_ctxn_input takes a response; false if it belongs to none. */
bool sip_ctxn_input(
    struct sip_stack *s, const struct sip_src *src, struct sip_msg **rsp);

/* ---- sip_req.c: server transactions; sip_done.c: finished ones ---- */

/* ---- sip_peer.c: unfinished requests of an address ---- */

struct sip_peer;
/* sip_peer_is_full: no room for one more, from there or at all. */
bool sip_peer_is_full(const struct sip_stack *s, const struct addr *a);
/* sip_peer_take counts one more, sip_peer_drop one less; ENOMEM. */
MUST_CHECK int sip_peer_take(
    struct sip_peer **out, struct sip_stack *s, const struct addr *a);
void sip_peer_drop(struct sip_peer *p);

struct sip_req {
	struct sip_hnode node;
	LIST_ENTRY(sip_req) link;
	struct sip_stack *s;
	struct sip_msg *msg; /* owned until taken */
	struct sip_watch w;
	struct addr from;
	struct sip_peer *peer; /* counted there */
	int64_t born_us;
	bool invite;
	char to_tag[SIPC_TAG_LEN + 1];
	char *last; /* owned: provisional answer (UDP) */
	size_t last_n;
	struct sip_call *call; /* borrowed: who will answer, or NULL */
	uint64_t nonce; /* hash of the one sip_auth_check() accepted; 0: none */
};
/* sip_req_key: hash of branch, sent-by and method (RFC 3261 17.2.3); of all
 * that RFC 2543 went by where the branch is of its time. */
uint64_t sip_req_key(
    const struct sip_stack *s, const struct sip_msg *m, const char *method);
/* sip_has_cookie: does the branch identify the transaction (8.1.1.7)? */
bool sip_has_cookie(const struct sip_msg *m);
/* sip_answer_flow: the way of the answer to `m` (RFC 3581 4, RFC 3261 18.2.2);
 * on UDP always to the address it came from. */
MUST_CHECK int sip_answer_flow(struct sip_flow **out, struct sip_stack *s,
    const struct sip_src *src, const struct sip_msg *m);
/* sip_req_new takes `*m` on success. */
MUST_CHECK int sip_req_new(struct sip_req **out, struct sip_stack *s,
    const struct sip_src *src, struct sip_msg **m);
void sip_req_free(struct sip_req *r);
/* sip_req_find: two peers may use the same branch and sent-by. */
struct sip_req *sip_req_find(
    const struct sip_stack *s, uint64_t key, const struct addr *from);
/* sip_req_again answers a retransmission by what was said last. */
void sip_req_again(struct sip_req *r);
/* sip_req_send replies; the bytes of it go to `copy` if that is not NULL and
 * the message is then the caller's (`*msg`). */
MUST_CHECK int sip_req_send(struct sip_req *r, const struct sip_rsp *rsp,
    struct buf *copy, struct sip_msg **msg);
/* sip_req_flow_of: where it came from, NULL if that is gone. */
struct sip_flow *sip_req_flow_of(const struct sip_req *r);

/* sip_done_add keeps an answer sent over `f` (UDP) for the retransmissions of
 * its request; empty: absorb only. */
void sip_done_add(
    const struct sip_req *r, struct sip_flow *f, int code, struct slice rsp);
/* sip_done_input absorbs a retransmission or ACK; false if unknown. */
bool sip_done_input(struct sip_stack *s, const struct sip_src *src,
    const struct sip_msg *m, uint64_t key);
/* sip_done_has: was a request of that key from there answered lately? */
bool sip_done_has(
    const struct sip_stack *s, const struct sip_src *src, uint64_t key);
void sip_dones_free(struct sip_stack *s);

/* ---- sip_target.c: targets that failed lately ---- */

bool sip_target_eq(const struct sip_target *a, const struct sip_target *b);
/*
 * sip_target_bad: it could not be reached, did not answer, or said 503; it is
 * avoided for 5 s, twice as long each time up to 5 min, or for `min_us` of a
 * Retry-After if that is longer.  sip_target_good forgets that: it answered.
 */
void sip_target_bad(
    struct sip_stack *s, const struct sip_target *t, int64_t min_us);
void sip_target_good(struct sip_stack *s, const struct sip_target *t);
bool sip_target_is_bad(const struct sip_stack *s, const struct sip_target *t);
/* sip_targets_order moves those that failed lately to the end and `last`, the
 * one that accepted us (NULL: none), before its like; false: all are bad.
 * None is left out: where there is no better one it is tried. */
bool sip_targets_order(const struct sip_stack *s, struct sip_target *ts,
    size_t num_ts, const struct sip_target *last);

/* ---- sip_route.c ---- */

struct sip_route;
typedef void(sip_route_cb)(int err, const struct sip_target *ts, size_t num_ts,
    int64_t took_us, void *arg);
struct sip_route_conf {
	const char *host;
	uint16_t port; /* 0: ask for SRV, then the default port */
	/* SIPC_AUTO: as the domain says (NAPTR), else the first of TLS, TCP
	 * and UDP that has SRV records, else UDP, then TCP; nothing but TLS if
	 * the domain ever offered it (sip_stack_allow_clear). */
	enum sip_transport t;
	bool sips; /* SIPC_AUTO: TLS alone (RFC 5630) */
	sip_route_cb *cb;
	void *arg;
};
/* sip_route_start resolves; the slot is cleared before `cb` runs. */
MUST_CHECK int sip_route_start(struct sip_route **slot, struct sip_stack *s,
    const struct sip_route_conf *conf);
void sip_route_stop(struct sip_route **slot);

/* ---- sip_auth.c: digest client ---- */

struct sip_chal {
	bool set, sess, qop, qop_int;
	enum tls_hash_alg alg;
	uint32_t nc;
	unsigned int round; /* challenges answered since the last success */
	char *realm, *nonce, *opaque; /* owned; raw inside of the quotes */
	char cnonce[33];
};
/* Zero state is empty; [0] for 401, [1] for 407. */
struct sip_auth {
	struct sip_chal c[2];
};
void sip_auth_clear(struct sip_auth *a);
/* Which challenges are answered; `why` is filled in when none is. */
struct sip_auth_rule {
	bool allow_md5, any_realm;
	size_t num_realms;
	const char *realms[6]; /* borrowed */
	char why[96];          /* a plain sentence, escaped */
};
/* sip_auth_take reads the challenges of a 401 or 407; E_SIP_AUTH if none can
 * be used or the last answer was refused. */
MUST_CHECK int sip_auth_take(
    struct sip_auth *a, const struct sip_msg *rsp, struct sip_auth_rule *rule);
void sip_auth_ok(struct sip_auth *a); /* the server accepted us */
/* sip_auth_next takes the nextnonce of a 2xx (RFC 7616 3.5), if it has one. */
void sip_auth_next(struct sip_auth *a, const struct sip_msg *rsp);
/* sip_auth_write appends what the challenges so far ask for. */
MUST_CHECK int sip_auth_write(struct sip_auth *a, struct buf *b,
    const struct sip_cred *cred, const char *method, const char *uri,
    struct slice body);
const char *sip_auth_alg(const struct sip_auth *a); /* "" if none */
const char *sip_alg_name(enum tls_hash_alg alg);
MUST_CHECK int sip_alg_parse(
    const char *name, enum tls_hash_alg *alg, bool *sess);

/* ---- sip_dlg.c ---- */

struct sip_dlg {
	struct sip_hnode node;
	char *call_id;        /* owned, as all strings */
	char *local, *remote; /* values of From and To in our requests */
	char local_tag[SIPC_TAG_LEN + 1];
	char *remote_tag;
	char *target;  /* remote target URI */
	char *routes;  /* whole Route lines with CRLF; NULL: none */
	char *contact; /* our Contact value */
	uint32_t lcseq, rcseq;
	bool rcseq_set;
	bool secure; /* set up on TLS: never on less */
	bool sips;   /* of a sips URI: all of its URIs must be such */
	struct sip_early *early; /* whose it is; NULL: of the call itself */
};
void sip_dlg_clear(struct sip_stack *s, struct sip_dlg *d);
uint64_t sip_dlg_hash(
    const struct sip_stack *s, struct slice call_id, struct slice local_tag);
/* sip_dlg_in: UAS side, from an INVITE; sip_dlg_out: from its 2xx. */
MUST_CHECK int sip_dlg_in(
    struct sip_dlg *d, const struct sip_msg *inv, const char *local_tag);
MUST_CHECK int sip_dlg_out(struct sip_dlg *d, const struct sip_msg *rsp);
/* sip_dlg_retarget takes the Contact of a re-INVITE, UPDATE or their 2xx. */
void sip_dlg_retarget(struct sip_dlg *d, const struct sip_msg *m);
bool sip_dlg_is(const struct sip_dlg *d, const struct sip_msg *m);
/* sip_dlg_next: numeric address that requests go to on UDP, if known. */
bool sip_dlg_next(const struct sip_dlg *d, struct addr *out);
/* sip_dlg_may_go: may requests of a dialog with a peer at `from` go to `to`,
 * which the peer named? */
bool sip_dlg_may_go(const struct addr *from, const struct addr *to);
struct sip_dlg_req {
	const char *method;
	uint32_t cseq;
	const char *headers; /* whole lines, or NULL */
	const char *type;
	struct slice body;
	struct sip_flow *flow;
	const char *branch;
	const char *credentials; /* whole lines, or NULL */
};
MUST_CHECK int sip_dlg_write(struct sip_stack *s, const struct sip_dlg *d,
    const struct sip_dlg_req *q, struct buf *b);

/* ---- sip_reg.c: what calls need to know of an account ---- */

struct sip_flow *sip_reg_flow(const struct sip_reg *r); /* NULL: none */
/* sip_reg_has_flow: is `f` one of its flows (RFC 5626: there may be two)? */
bool sip_reg_has_flow(const struct sip_reg *r, const struct sip_flow *f);
bool sip_reg_is_ok(const struct sip_reg *r);
/* sip_reg_is_back_soon: it was registered, and works on it again. */
bool sip_reg_is_back_soon(const struct sip_reg *r);
struct sip_reg *sip_reg_find(
    const struct sip_stack *s, const struct sip_flow *f, const char *user);
bool sip_reg_knows_user(
    const struct sip_stack *s, const struct sip_flow *f, const char *user);
/* Contact URI in <>, Route lines, From value, AOR parts. */
const char *sip_reg_contact(const struct sip_reg *r, const struct sip_flow *f);
/* sip_reg_has_gruu: the Contact is a GRUU, the same on every flow. */
bool sip_reg_has_gruu(const struct sip_reg *r);
const char *sip_reg_routes(const struct sip_reg *r);
const char *sip_reg_from(const struct sip_reg *r);
const char *sip_reg_domain(const struct sip_reg *r);
bool sip_reg_sips(const struct sip_reg *r);
/* sip_reg_auth_rule: which challenges to answer besides those to REGISTER;
 * `in_dialog`: to a request that a peer could provoke, so no MD5 (unless
 * sip.auth.indialog) and the realms of the registration only. */
void sip_reg_auth_rule(
    const struct sip_reg *r, bool in_dialog, struct sip_auth_rule *out);
void sip_reg_cred(const struct sip_reg *r, struct sip_cred *out);
/* sip_reg_end_all: the stack ends. */
void sip_reg_end_all(struct sip_stack *s);

#include "call_internal.h"

/* ---- sip_err.c ---- */

/* sip_err_of_osip and sip_err_of_code: the fence for foreign results. */
int sip_err_of_osip(int rc);
int sip_err_of_code(int code);

#endif
