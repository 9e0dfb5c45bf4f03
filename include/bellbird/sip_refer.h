/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_SIP_REFER_H
#define BELLBIRD_SIP_REFER_H

#include "bellbird/sip_call.h"

/* Transfer: REFER (RFC 3515), Replaces (RFC 3891), Referred-By (RFC 3892),
 * norefersub (RFC 4488). */

/* ---- we transfer the peer ---- */

struct sip_refer_conf {
	const char *to; /* SIP or SIPS URI without headers, or a user part of
			 * the account's domain; NULL: that of `replaces` */
	/* The peer takes our place in this call, which stands: an attended
	 * transfer; NULL: a blind one. */
	const struct sip_call *replaces;
	bool no_sub; /* do not report (RFC 4488); only 202 is told then */
};
/*
 * sip_call_refer asks the peer of `c` to call somebody else; SIP_CALL_REFERRED
 * tells how that goes, at the latest after SIPC_REFER_S.  The call stays: end
 * it when the transfer went well.  E_SIP_STATE unless the calls stand, or while
 * another transfer runs; E_PARSE for a URI that is none; E_SIP_INSECURE to
 * send the peer of a sips call to a sip: URI.
 */
MUST_CHECK int sip_call_refer(
    struct sip_call *c, const struct sip_refer_conf *conf);

/* ---- the peer transfers us ---- */

struct sip_refer_info {
	const char *to; /* URI to call, without headers */
	/* Header lines with CRLF that belong into that INVITE: Replaces,
	 * Referred-By, as far as there were some. */
	const char *headers;
	bool replaces;   /* an attended transfer */
	bool registered; /* it came by the flow of the call's account */
	bool secure;     /* the call runs on TLS: so must the new one */
	const char *by;  /* Referred-By or From URI, raw: log it by esc() */
};

/* An accepted REFER: whoever sent it hears how the new call goes. */
struct sip_referral;
/* sip_call_refer_accept says 202 and reports 100; E_SIP_STATE if nothing is to
 * be answered.  `*slot` is cleared when the stack ends. */
MUST_CHECK int sip_call_refer_accept(
    struct sip_call *c, struct sip_referral **slot);
/* sip_call_refer_reject refuses with 300..699. */
void sip_call_refer_reject(struct sip_call *c, int code);
/* sip_referral_report tells the state of the new call: 101..199, or how it
 * ended or was answered (200..699), which clears the slot. */
void sip_referral_report(struct sip_referral **slot, int code);

/* ---- somebody takes the peer's place ---- */

/* sip_call_replaces: the call that the INVITE of this one replaces, which is
 * to be hung up once this one is answered; NULL: none. */
struct sip_call *sip_call_replaces(const struct sip_call *c);
enum sip_replaces_mode {
	SIP_REPLACES_OWN, /* by the flow of the call's account, or its peer */
	SIP_REPLACES_ANY, /* whoever may call */
	SIP_REPLACES_NEVER
};
/* sip_stack_set_replaces: who may take the place of the peer of a call. */
void sip_stack_set_replaces(struct sip_stack *s, enum sip_replaces_mode m);

#endif
