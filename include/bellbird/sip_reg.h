/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_SIP_REG_H
#define BELLBIRD_SIP_REG_H

#include "bellbird/sip_limits.h"
#include "bellbird/sip_stack.h"

/* A registration (RFC 3261 10) and the flow it keeps alive (RFC 5626). */
struct sip_reg;

struct sip_reg_conf {
	const char *user;      /* AOR is sip:user@domain */
	const char *domain;    /* host[:port] as configured (sip.proxy) */
	const char *auth_user; /* NULL or "": user */
	const char *password;  /* copied, wiped */
	const char *display;   /* may be NULL */
	const char *obproxy;   /* host[:port] or SIP URI; NULL: none */
	/* The same of a second flow that is kept at the same time (RFC 5626;
	 * needs `instance`): calls come in by either; NULL: none */
	const char *obproxy2;
	/* host[:port] of servers that stand in for the first, in this order;
	 * NULL: none */
	const char *backups[SIPC_SERVERS_MAX - 1];
	/* Servers are asked (OPTIONS, or NOTIFY) every so often whether they
	 * are there: with `failback` those before the one in use, to go back
	 * to them unless a call is up; with `poll_active` that one itself. */
	unsigned int poll_s; /* 0: never */
	bool failback, poll_active, poll_notify;
	enum sip_transport transport;
	bool sips;              /* sips: URIs (RFC 5630) */
	bool allow_md5;         /* refuse MD5 challenges if false */
	bool indialog_md5;      /* answer them in a dialog, too */
	const char *realm;      /* answer this one only; NULL or "": any */
	unsigned int expires_s; /* asked for; 60..604800 */
	/* Time between keep-alives; 0: what the server says (Flow-Timer, keep),
	 * else at random 95..120 s on streams, 24..29 s on UDP (RFC 5626 4.4)
	 */
	unsigned int keepalive_s;
	bool no_keepalive;
	const char *instance; /* "urn:uuid:..", +sip.instance; NULL: none */
	bool gruu; /* asks for a GRUU (RFC 5627) and uses it (`instance`) */
	sip_policy_cb *policy; /* TLS only */
	void *policy_arg;
};

enum sip_reg_state {
	SIP_REG_RESOLVING,
	SIP_REG_CONNECTING,
	SIP_REG_TRYING,
	SIP_REG_OK,
	SIP_REG_WAITING, /* to retry */
	SIP_REG_GONE     /* unregistered */
};
/* sip_reg_state_name: "registered" for OK; static storage. */
const char *sip_reg_state_name(enum sip_reg_state st);

struct sip_reg_status {
	enum sip_reg_state state;
	int err;  /* why not registered: E_TLS_*, E_SIP_*, E_DNS_*, errno; 0 */
	int code; /* last final SIP response, 0 if none */
	char reason[640]; /* one plain sentence, escaped */
	char aor[256];
	char contact[256];
	enum sip_transport transport;
	struct addr local, remote;
	uint64_t flow;          /* 0: none */
	unsigned int num_flows; /* that are registered; 2 at most */
	bool back_soon; /* was registered, and works on it: calls may wait */
	unsigned int expires_s; /* granted */
	int64_t since_us;      /* clock_mono_us() of the last change of state */
	int64_t refresh_at_us; /* as above; 0: none */
	int64_t retry_at_us;   /* as above; 0: none */
	/* Of the flow or of the last attempt; NULL: none; borrowed. */
	const struct tls_verdict *verdict;
	char digest_alg[16]; /* "SHA-256", "MD5", "" */
};

/* sip_reg_cb reports every change of state; from the loop only; may stop the
 * registration or free the stack. */
typedef void(sip_reg_cb)(const struct sip_reg_status *st, void *arg);

/*
 * sip_reg_start registers and keeps registered: refresh before expiry; a lost
 * flow is replaced at once, then after 0.2, 0.5 and 1 s, then every 1.5 s until
 * 90 s after the loss, from there as RFC 5626 4.5 says (30 s, doubled up to
 * 30 min); refusals as there from the start; TLS 2 s, doubled up to 5 min;
 * Retry-After overrides.  Everything in `conf` is copied.  `*slot` holds the
 * operation until sip_reg_stop().
 */
MUST_CHECK int sip_reg_start(struct sip_reg **slot, struct sip_stack *s,
    const struct sip_reg_conf *conf, sip_reg_cb *cb, void *arg);
/* sip_reg_stop ends it silently: no unregister, flow closed, slot cleared. */
void sip_reg_stop(struct sip_reg **slot);
/* sip_reg_unregister sends Expires: 0 and reports SIP_REG_GONE when answered
 * or after 2 s; the caller then stops it. */
void sip_reg_unregister(struct sip_reg *r);
/* sip_reg_get_status fills `*out`; its verdict is borrowed until the loop
 * runs again. */
void sip_reg_get_status(const struct sip_reg *r, struct sip_reg_status *out);

#endif
