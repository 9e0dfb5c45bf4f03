/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_SIP_STACK_H
#define BELLBIRD_SIP_STACK_H

#include <stdbool.h>

#include "bellbird/addr.h"
#include "bellbird/dns.h"
#include "bellbird/loop.h"
#include "bellbird/tls_conn.h"

/* SIPC_AUTO is for settings: found by RFC 3263. */
enum sip_transport {
	SIPC_UDP,
	SIPC_TCP,
	SIPC_TLS,
	SIPC_TRANSPORTS,
	SIPC_AUTO = SIPC_TRANSPORTS
};
/* sip_transport_name: "udp", "tcp", "tls", "auto"; static storage. */
const char *sip_transport_name(enum sip_transport t);

struct sip_stack;
struct sip_req; /* a server transaction and its request; see below */
struct sip_call;

/*
 * sip_policy_cb asks the program for the TLS policy of a connection to `peer`
 * (the configured domain or host, never a name learnt from DNS); `arg` is the
 * one of the registration or call.  Returns an error to refuse.
 */
typedef int(sip_policy_cb)(const char *peer, struct tls_policy *out, void *arg);

/* sip_call_in_cb: a new INVITE passed all checks.  The receiver becomes the
 * owner of `call` with sip_call_own() and answers with sip_call_answer(), now
 * or later (100 Trying is sent then); not owned it is answered 480. */
typedef void(sip_call_in_cb)(struct sip_call *call, void *arg);
/* sip_req_cb: a request that sipcore itself does not serve (REGISTER, NOTIFY,
 * MESSAGE..).  Return true if sip_req_reply() was or will be called. */
typedef bool(sip_req_cb)(struct sip_req *req, void *arg);

/* sip_domain_cb: `domain` offers TLS, for the first time; see
 * sip_stack_tls_offered(). */
typedef void(sip_domain_cb)(const char *domain, void *arg);

struct sip_stack_conf {
	struct loop *loop; /* borrowed, as the next two */
	struct tls_env *tls;
	struct dns *dns;
	const char *user_agent; /* copied */
	int dscp;
	unsigned int max_calls; /* 486 above it; 0: 4 */
	/* Unfinished requests, in all and of one address (IPv6: of its /64):
	 * 503 with Retry-After above it; 0: 4,096 and 1,024.  Those in a dialog
	 * always come in, so that calls can end. */
	unsigned int max_txns, max_txns_peer;
	size_t ring_bytes;            /* finished ones on UDP; 0: 16 MiB */
	sip_call_in_cb *on_call;      /* NULL: INVITE is answered 480 */
	sip_req_cb *on_req;           /* may be NULL */
	sip_domain_cb *on_tls_domain; /* may be NULL */
	void *arg;
};
/* sip_stack_new copies what it keeps of `conf`; ENOMEM. */
MUST_CHECK int sip_stack_new(
    struct sip_stack **out, const struct sip_stack_conf *conf);
/* sip_stack_set_limits changes max_calls, max_txns, max_txns_peer and
 * ring_bytes to those of `conf`; what is there already stays. */
void sip_stack_set_limits(
    struct sip_stack *s, const struct sip_stack_conf *conf);
/* sip_stack_free ends everything silently; registrations and calls that still
 * have slots are freed and their slots cleared. */
void sip_stack_free(struct sip_stack *s);
/* sip_stack_set_dscp marks what is sent from now on (0..63): on UDP at once, on
 * TCP and TLS with the next connection of ours. */
void sip_stack_set_dscp(struct sip_stack *s, int dscp);

/*
 * sip_stack_listen opens a listener.  `policy` for TLS (a server policy), NULL
 * else.  Several are allowed.  sip_stack_each_listener reports real ports.
 */
MUST_CHECK int sip_stack_listen(struct sip_stack *s, enum sip_transport t,
    const struct addr *local, const struct tls_policy *policy);
typedef void(sip_listener_cb)(
    enum sip_transport t, const struct addr *local, void *arg);
void sip_stack_each_listener(
    const struct sip_stack *s, sip_listener_cb *cb, void *arg);

/*
 * sip_stack_set_allow says who may send requests beside the registered flows
 * (UDP: the address:port that answered REGISTER): a comma separated list of
 * CIDR, "tls:NAME" (a verified client certificate that carries NAME: see
 * tls_conn_peer_has_name), "any".  E_PARSE names the bad element in `why`;
 * nothing is changed then. Everyone else is refused: sip_stack_set_refuse.
 */
MUST_CHECK int sip_stack_set_allow(
    struct sip_stack *s, const char *list, char *why, size_t why_size);

/*
 * sip_stack_tls_offered notes that a domain has TLS: where the transport is
 * SIPC_AUTO nothing less is used for it again.  The stack learns it from NAPTR
 * and SRV records and from registrations over TLS, and tells
 * conf.on_tls_domain; the program keeps the list and gives it back after a
 * restart.  Literal addresses and "localhost" are not noted; with too many the
 * oldest is forgotten. sip_stack_had_tls: was it noted? sip_stack_allow_clear
 * lets clear text stand in for TLS all the same.
 */
void sip_stack_tls_offered(struct sip_stack *s, const char *domain);
bool sip_stack_had_tls(const struct sip_stack *s, const char *domain);
/* sip_stack_each_tls_domain lists them, oldest first. */
void sip_stack_each_tls_domain(
    const struct sip_stack *s, sip_domain_cb *cb, void *arg);
void sip_stack_allow_clear(struct sip_stack *s, bool allow);
/* sip_stack_net_changed: links, addresses or routes have changed (base/link.h).
 * Flows whose address is gone end, so that they are replaced at once; the
 * others are pinged; registrations that wait for the network try now. */
void sip_stack_net_changed(struct sip_stack *s);
/* sip_stack_set_max_calls changes sip_stack_conf.max_calls. */
void sip_stack_set_max_calls(struct sip_stack *s, unsigned int max_calls);

/* sip_stack_set_refuse: what those hear who may not send requests. */
enum sip_refuse {
	SIPC_REFUSE_AUTO,  /* 403 on connections; on UDP nothing: the source may
			    * be forged, and scanners live on answers */
	SIPC_REFUSE_DROP,  /* nothing */
	SIPC_REFUSE_ANSWER /* 403, on UDP too */
};
void sip_stack_set_refuse(struct sip_stack *s, enum sip_refuse how);

/* How calls are led; the zero state holds the defaults. */
enum sip_rel_mode {
	SIP_REL_ON,       /* supported; used where required, and for SDP */
	SIP_REL_OFF,      /* not supported: Require: 100rel gets 420 */
	SIP_REL_REQUIRED, /* our INVITEs require it */
};
struct sip_call_rules {
	enum sip_rel_mode rel;    /* RFC 3262 */
	unsigned int session_s;   /* RFC 4028: interval we ask for; 0: none */
	unsigned int min_se_s;    /* shortest we take; below 90: 90 */
	bool session_peer;        /* the peer shall refresh, not we */
	bool no_redirect;         /* 3xx ends the call */
	unsigned int flow_wait_s; /* an account's lost flow; 0: 10 */
};
/* sip_stack_set_rules copies them; new calls go by them. */
void sip_stack_set_rules(
    struct sip_stack *s, const struct sip_call_rules *rules);

struct sip_stack_stats {
	uint64_t rx_msgs, tx_msgs;
	uint64_t rx_bad;  /* could not be read, or had a fault */
	uint64_t refused; /* requests of those who may not call */
	unsigned int txns, dialogs, flows;
};
/* sip_stack_get_stats fills `*out`. */
void sip_stack_get_stats(
    const struct sip_stack *s, struct sip_stack_stats *out);

/* ---- one received request (raw face; used by the lab's registrar) ---- */

/* sip_req_method is borrowed and lives as long as `req`, that is until its
 * final reply; so do all strings below. */
const char *sip_req_method(const struct sip_req *req);
/* sip_req_header returns the `i`-th field called `name` (any case, compact
 * form known) as text, or NULL. */
const char *sip_req_header(
    const struct sip_req *req, const char *name, size_t i);
/* sip_req_user is that of the Request-URI ("uri"), From or To ("from", "to"),
 * or the first Contact ("contact"); "" where absent. */
const char *sip_req_user(const struct sip_req *req, const char *which);
/* sip_req_flow is the id of the connection (or UDP peer) it came by; calls can
 * be placed on it (sip_call_conf.flow) as long as it lives. */
uint64_t sip_req_flow(const struct sip_req *req);
/* sip_req_reply sends a response; `headers` are whole lines, each with CRLF,
 * or NULL.  A final one ends the life of `req`. */
int sip_req_reply(struct sip_req *req, int code, const char *reason,
    const char *headers, const char *body_type, struct slice body);

/* sip_flow_is_alive: does that connection still exist? */
bool sip_flow_is_alive(const struct sip_stack *s, uint64_t flow);
#endif
