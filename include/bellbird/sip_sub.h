/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_SIP_SUB_H
#define BELLBIRD_SIP_SUB_H

#include "bellbird/sip_reg.h"

/* ---- subscriptions of an account (RFC 6665) ---- */

struct sip_sub;

enum sip_sub_state {
	SIP_SUB_TRYING,  /* SUBSCRIBE sent */
	SIP_SUB_PENDING, /* accepted, no NOTIFY yet, or it said pending */
	SIP_SUB_ACTIVE,
	SIP_SUB_WAITING, /* to try again */
	SIP_SUB_REFUSED  /* not before the account registers anew */
};
/* sip_sub_state_name: "active", ..; static storage. */
const char *sip_sub_state_name(enum sip_sub_state st);

struct sip_sub_info {
	enum sip_sub_state state;
	int code;           /* SIP code that caused it; 0: none */
	const char *reason; /* escaped; never NULL */
	bool notify;        /* a NOTIFY came, with this body: */
	const char *type;   /* raw Content-Type; NULL: no body */
	struct slice body;  /* raw; borrowed */
};
/* sip_sub_cb runs from the loop; it may stop the subscription. */
typedef void(sip_sub_cb)(const struct sip_sub_info *info, void *arg);

struct sip_sub_conf {
	struct sip_reg *reg;    /* whose flow, address and password */
	const char *event;      /* "message-summary" */
	const char *accept;     /* media type of its bodies */
	unsigned int expires_s; /* asked for; 0: 3600 */
};
/*
 * sip_sub_start subscribes to the account's own address and stays subscribed:
 * refresh before expiry, a new one when the notifier ends it or forgot it
 * (RFC 6665 4.1.2.2, 4.4.1), with a back-off of 30 s to 30 min where it cannot.
 * Copies `conf`; ends with sip_sub_stop(), and rests when `reg` is stopped.
 * ENOMEM.
 */
MUST_CHECK int sip_sub_start(struct sip_sub **slot, struct sip_stack *s,
    const struct sip_sub_conf *conf, sip_sub_cb *cb, void *arg);
/* sip_sub_stop unsubscribes, as far as there is a way, and forgets. */
void sip_sub_stop(struct sip_sub **slot);
/* sip_sub_kick: the account has registered; what waited goes on now, and a
 * lost flow is replaced by the new one. */
void sip_sub_kick(struct sip_sub *n);
/* sip_sub_is_of: does it belong to this registration, which still runs? */
bool sip_sub_is_of(const struct sip_sub *n, const struct sip_reg *reg);

/* ---- text (RFC 3428) ---- */

struct sip_text;
/* sip_text_cb tells the final response; `code` 0: none came, because of
 * `err`.  The slot is NULL already. */
typedef void(sip_text_cb)(int err, int code, const char *reason, void *arg);
/*
 * sip_text_send sends one MESSAGE of text/plain by the account.  `to`: a SIP or
 * SIPS URI, or a user part of the account's domain.  E_PARSE for a URI that is
 * none or text that is not UTF-8, E_LIMIT for more than SIPC_TEXT_SEND_MAX
 * bytes, E_SIP_NO_ROUTE if `reg` is not registered, E_SIP_INSECURE.
 */
MUST_CHECK int sip_text_send(struct sip_text **slot, struct sip_reg *reg,
    const char *to, const char *text, sip_text_cb *cb, void *arg);
void sip_text_stop(struct sip_text **slot);

/* ---- who sent a request (of sip_req_cb) ---- */

/* sip_req_body: raw bytes; `*type` its media type without parameters (raw,
 * may be empty); both borrowed. */
struct slice sip_req_body(const struct sip_req *req, struct slice *type);
/* sip_req_text: the body as a string, if it is text/plain in UTF-8 of at most
 * SIPC_TEXT_MAX bytes without NUL; else NULL and the code to refuse it with.
 * The caller frees it. */
char *sip_req_text(const struct sip_req *req, int *code);
/* sip_req_is_registered: it came by the flow of an account; .._is_verified:
 * which is on TLS, and the server's certificate was verified. */
bool sip_req_is_registered(const struct sip_req *req);
bool sip_req_is_verified(const struct sip_req *req);
/* sip_req_account: the account it is for: that of the flow, else the one whose
 * user part the Request-URI has; NULL: none. */
struct sip_reg *sip_req_account(const struct sip_req *req);
/* sip_req_prove: does it prove to know the password of `reg` (digest), with a
 * nonce of ours that was not used before?  0; E_SIP_AUTH: it was challenged,
 * and its life has ended. */
MUST_CHECK int sip_req_prove(struct sip_req *req, const struct sip_reg *reg);

#endif
