/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_SIPCORE_REG_INTERNAL_H
#define BELLBIRD_SIPCORE_REG_INTERNAL_H

#include "internal.h"

/* What the files sip_reg*.c share. */

enum reg_failure {
	REG_FAIL_NET,
	REG_FAIL_TLS,
	REG_FAIL_REFUSED,
	REG_FAIL_KINDS
};

struct sip_reg {
	LIST_ENTRY(sip_reg) link;
	struct sip_reg **slot;
	struct sip_stack *s;
	sip_reg_cb *cb;
	void *arg;
	/* RFC 5626 with two flows: the second belongs to the first, which its
	 * owner and calls know; each registers with its own reg-id. */
	struct sip_reg *twin;  /* owned slot of the first */
	struct sip_reg *first; /* borrowed, of the second; else NULL */
	unsigned int reg_id;
	struct deferred moved; /* calls have to go to another flow */
	enum sip_reg_state told_state;
	/* of the configuration, owned */
	char *user, *domain, *auth_user, *password, *from, *instance;
	char *host;  /* of the domain, without a port */
	char *realm; /* the only one that is answered; NULL: any */
	/* Where we connect to: the outbound proxy or the domain, then those
	 * that stand in for it. */
	struct reg_server {
		char *host;  /* owned; the name its certificate must have */
		char *route; /* owned: Route line of an outbound proxy */
		uint16_t port;
		enum sip_transport t; /* may be SIPC_AUTO */
	} servers[SIPC_SERVERS_MAX];
	size_t num_servers, server;   /* the one in use */
	enum sip_transport transport; /* asked for; may be SIPC_AUTO */
	bool sips, allow_md5, indialog_md5, gruu;
	unsigned int expires_s;
	int64_t keepalive_us; /* as set; 0: as RFC 5626 says, -1: none */
	sip_policy_cb *policy;
	void *policy_arg;

	enum sip_reg_state state;
	bool told, unregistering, trusted;
	bool answered; /* the last REGISTER was, whatever the answer */
	int err, code;
	char reason[640];
	struct sip_route *route;
	struct sip_target targets[SIPC_TARGETS_MAX]; /* of that server */
	size_t num_targets, next;
	/* This round: which servers were tried; the second pass takes those
	 * that the first left out because they failed lately. */
	unsigned int tried, left_out, second; /* bits of servers */
	unsigned int tries;                   /* targets, of all servers */
	enum sip_transport attempt;           /* of the last target tried */
	int64_t min_us;                       /* Retry-After of the last */
	/* The one that accepted us last; addr_is_set() says if any did. */
	struct sip_target last;
	size_t last_server;
	/* Questions whether servers are there (sip_reg_poll.c). */
	struct reg_poll {
		int64_t every_us; /* 0: none */
		bool failback;    /* ask better servers than that in use */
		bool active;      /* ask the one in use */
		bool notify;      /* NOTIFY instead of OPTIONS */
		struct timer timer;
		struct sip_route *route;
		struct sip_watch w;
		struct sip_ctxn *txn;
		size_t server; /* that is being asked */
		size_t asked;  /* this time */
		struct sip_target targets[SIPC_TARGETS_MAX];
		size_t num_targets, next;
	} poll;
	int64_t dns_us;
	struct sip_watch w;
	struct sip_ctxn *txn;
	struct timer timer;
	struct deferred later;
	struct sip_auth auth;
	/* What the server asked for when it last accepted us: 401, 407. */
	struct {
		char *realm; /* owned; NULL: it did not ask */
		enum tls_hash_alg alg;
	} known[2];
	char call_id[SIPC_CALL_ID_LEN + 1], tag[SIPC_TAG_LEN + 1];
	uint32_t cseq;
	char contact[256];     /* URI as last sent */
	char old_contact[256]; /* to be withdrawn, "" if none */
	char bound[256];       /* the binding the server has, "" if none */
	char pub_gruu[SIPC_URI_MAX + 1], temp_gruu[SIPC_URI_MAX + 1];
	bool server_outbound; /* it answered Require: outbound */
	bool no_outbound;     /* 439: without it until the next round */
	/* Where a 3xx sent us in this round; "" if it did not. */
	struct {
		char host[SIPC_HOST_MAX + 1], uri[SIPC_HOST_MAX + 16];
		uint16_t port;
		enum sip_transport t;
		unsigned int n;
	} elsewhere;
	struct addr public; /* how the server sees us (UDP) */
	unsigned int moves; /* changes of it since moved_us */
	int64_t moved_us;
	char *routes;    /* owned: outbound proxy and Service-Route lines */
	int64_t ping_us; /* of the flow of now */
	int64_t timer_s; /* what the server said of it; 0: nothing */
	bool pong_owed;
	unsigned int granted_s, fails[REG_FAIL_KINDS];
	unsigned int slow_fails; /* of the network, after the quick tries */
	int64_t since_us, due_us, ok_us;
	int64_t lost_us; /* the first failure of the network since it worked */
	int64_t hold_us; /* the server wants to be left alone until then */
	struct tls_verdict *kept; /* owned: of a connection that is gone */
};

MUST_CHECK int reg_conf_copy(
    struct sip_reg *r, const struct sip_reg_conf *conf);
/* sip_reg_way.c: reg_begin starts a round over all servers and targets;
 * reg_accepted notes that the target in use took us. */
void reg_begin(struct sip_reg *r);
void reg_accepted(struct sip_reg *r);
/* reg_elsewhere goes to the URI of a 3xx; E_SIP_INSECURE if that is less than
 * the account asks for, E_PARSE, E_LIMIT after a few. */
MUST_CHECK int reg_elsewhere(struct sip_reg *r, struct slice uri);
/* reg_outbound: does it register with a reg-id? */
bool reg_outbound(const struct sip_reg *r);
/* reg_calls_moved tells the calls of the account, from the loop, that their
 * flow may be another one now. */
void reg_calls_moved(struct sip_reg *r);
/* reg_limit_us: how long the target in use may stay silent; 0: as the RFC
 * says, there is no other. */
int64_t reg_limit_us(const struct sip_reg *r);
/* sip_reg_poll.c: reg_poll_start asks from time to time, if the settings and
 * the server in use are such that there is somebody to ask. */
void reg_poll_start(struct sip_reg *r);
void reg_poll_stop(struct sip_reg *r);
/* reg_server: the one in use. */
const struct reg_server *reg_server(const struct sip_reg *r);
/* reg_transport: of the flow or of the last attempt, else what is asked for */
enum sip_transport reg_transport(const struct sip_reg *r);
/* reg_flow_drop closes the flow if nobody else registers over it. */
void reg_flow_drop(struct sip_reg *r);
/* reg_flow_busy: calls run over the flow, and it works: a refusal is no reason
 * to cut them off. */
bool reg_flow_busy(const struct sip_reg *r);
void reg_reason_set(struct sip_reg *r, int err, const char *text);
sip_watch_cb reg_on_flow;
/* reg_send sends REGISTER over the flow; the answer comes to the states. */
MUST_CHECK int reg_send(struct sip_reg *r);
/* reg_backoff_us counts a failure of the kind of r->err and says how long to
 * wait now. */
int64_t reg_backoff_us(struct sip_reg *r);
/* reg_is_net: does this error come from the network? */
bool reg_is_net(int err);
/* reg_lasted: it was registered for `us`, and now the flow is lost. */
void reg_lasted(struct sip_reg *r, int64_t us);
/* reg_again begins a round from the loop, at once. */
void reg_again(struct sip_reg *r);
/* reg_keeps_reason: an earlier target of this round failed in a way that
 * tells more than `err`. */
bool reg_keeps_reason(const struct sip_reg *r, int err);
/* Each of these is the last thing its caller does.  reg_enter changes the
 * state and says so; reg_wait waits before the next round, at least `min_us`
 * (Retry-After); reg_fail says why, too; reg_next_target gives up the target
 * in use and goes on to the next, or waits. */
void reg_enter(struct sip_reg *r, enum sip_reg_state st);
void reg_wait(struct sip_reg *r, int64_t min_us);
void reg_ok(struct sip_reg *r, unsigned int granted_s);
void reg_gone(struct sip_reg *r);
/* reg_flow_down: the flow is gone, or never came up. */
void reg_flow_down(struct sip_reg *r, int err);
void reg_fail(struct sip_reg *r, int err, const char *text, int64_t min_us);
void reg_next_target(
    struct sip_reg *r, int err, const char *text, int64_t min_us);

#endif
