/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_SIP_CALL_H
#define BELLBIRD_SIP_CALL_H

#include "bellbird/sip_reg.h"

/* INVITE usage of a dialog (RFC 3261 12-15): one call.  SDP is opaque text. */
struct sip_call;

enum sip_call_event {
	SIP_CALL_RINGING,   /* outgoing: 101..199; sdp may be early media */
	SIP_CALL_ANSWERED,  /* outgoing: 2xx, ACK sent (late offer: sdp is the
			     * offer, send yours with sip_call_ack); also the end
			     * of a re-INVITE of ours, code >= 300 if refused */
	SIP_CALL_CONFIRMED, /* incoming: ACK arrived; sdp is set if it answers
			     * our late offer */
	SIP_CALL_OFFER,     /* re-INVITE, UPDATE or PRACK; sdp empty: make an
			     * offer; sip_call_accept() or sip_call_reject() */
	SIP_CALL_PRACKED,   /* incoming: sdp answers the offer that was in our
			     * reliable 1xx (RFC 3262 5) */
	SIP_CALL_DTMF,      /* `digit` came by INFO */
	SIP_CALL_DTMF_LOST, /* `digit` of sip_call_dtmf() and what follows it
			     * were refused, with `code` */
	SIP_CALL_REFER,     /* the peer asks us to call `refer`: answer with
			     * sip_call_refer_accept() or .._reject(), now or
			     * later (bellbird/sip_refer.h) */
	SIP_CALL_REFERRED,  /* how sip_call_refer() goes: `code` 202 accepted,
			     * then what the peer reports; `final`: the last */
	SIP_CALL_ENDED      /* always last; the slot is NULL already */
};

struct sip_refer_info;

struct sip_call_info {
	enum sip_call_event event;
	int code; /* SIP code that caused it; 0: none (local end, flow lost) */
	/* ENDED: 0 normal; E_SIP_REFUSED, ETIMEDOUT, E_SIP_AUTH, E_TLS_*,
	 * E_SIP_NO_ROUTE, E_CLOSED.. */
	int err;
	bool by_peer; /* ENDED: the other side hung up or refused */
	bool refresh; /* ANSWERED: of a refresh of ours, which said our last
		       * offer or answer again */
	bool final;   /* REFERRED */
	char digit;   /* DTMF: 0-9 * # A-D */
	unsigned int duration_ms;           /* DTMF; 0: not said */
	const struct sip_refer_info *refer; /* REFER; borrowed */
	/* RINGING, OFFER, ANSWERED: the early dialog that it is of, from 1;
	 * 0: none.  Each branch of a forked INVITE has its own, with its own
	 * answer to our offer. */
	unsigned int early;
	bool offer;  /* RINGING: sdp is an offer, answer with sip_call_ack() */
	bool agreed; /* ANSWERED: sdp is what that early dialog said before,
		      * and holds; nothing is owed for it */
	/* ENDED: what the peer's Reason fields say (RFC 3326); 0, "": none. */
	int cause, q850;
	const char *cause_text; /* escaped */
	bool elsewhere;     /* ENDED: another device of ours took the call */
	const char *reason; /* escaped phrase or sentence; never NULL */
	struct slice sdp;   /* empty if none; borrowed */
};
/* sip_call_cb runs from the loop only; it may hang up or free the stack. */
typedef void(sip_call_cb)(const struct sip_call_info *info, void *arg);

struct sip_call_conf {
	/* Account to call from: its flow, identity and credentials; NULL:
	 * direct. */
	struct sip_reg *reg;
	uint64_t flow;         /* or: an existing connection (lab); 0: none */
	const char *to;        /* SIP or SIPS URI; or user part, given `reg` */
	const char *from_user; /* direct calls; NULL: "bellbird" */
	const char *from_host; /* direct calls: domain; NULL: local address */
	/* Extra header lines with CRLF, or NULL; E_PARSE if they are none, or
	 * are such as the stack writes itself. */
	const char *headers;
	struct slice sdp; /* offer; empty: late offer */
	/* By the account's flow only while that is TLS: the SDP has keys. */
	bool tls_only;
	sip_policy_cb *policy; /* direct TLS calls */
	void *policy_arg;
};
/* sip_headers_fault: why these header lines (each with CRLF) cannot go into a
 * request, as the rest of a sentence about `*line`; NULL: they can. */
const char *sip_headers_fault(const char *headers, struct slice *line);
/*
 * sip_call_invite places a call.  Direct calls resolve the URI (RFC 3263 as
 * far as SRV and addresses) and open their own connection; the transport is
 * TLS for sips: and ;transport=tls, else what the URI says, else UDP.  An
 * account whose flow is lost gets some seconds to bring it back.  E_PARSE for a
 * URI that is none, or headers that are no whole lines or are the stack's own;
 * E_SIP_NO_ROUTE if `reg` is not registered, E_SIP_INSECURE for a sips: URI
 * over less than TLS, E_LIMIT above max_calls.
 */
MUST_CHECK int sip_call_invite(struct sip_call **slot, struct sip_stack *s,
    const struct sip_call_conf *conf, sip_call_cb *cb, void *arg);

/* sip_call_own takes an incoming call into a slot and says who hears of it;
 * it must be called inside sip_call_in_cb. */
void sip_call_own(
    struct sip_call *call, struct sip_call **slot, sip_call_cb *cb, void *arg);
/*
 * sip_call_answer: 101..199 rings (sdp optional: early media), 200 answers with
 * `sdp` (an answer, or an offer if the INVITE had none), 300..699 refuses (the
 * call ends with SIP_CALL_ENDED from the loop).  E_SIP_STATE if that is not
 * possible now.  SDP given with a 1xx holds: the 2xx says it again, or nothing
 * if the 1xx was reliable, whatever `sdp` is then (it may be empty).  An offer
 * needs a reliable 1xx: E_SIP_STATE if the peer knows none.  What
 * comes while a reliable 1xx waits for its PRACK is sent after that.
 */
MUST_CHECK int sip_call_answer(
    struct sip_call *c, int code, const char *reason, struct slice sdp);
/* sip_call_ack sends the ACK of a 2xx, or the PRACK of a 1xx, whose offer was
 * in it (our INVITE had no SDP). */
MUST_CHECK int sip_call_ack(struct sip_call *c, struct slice sdp);
/* sip_call_reinvite offers again in the dialog; SIP_CALL_ANSWERED tells the
 * result, with code >= 300 if refused: then the call is as it was. */
MUST_CHECK int sip_call_reinvite(struct sip_call *c, struct slice sdp);
/* sip_call_update is the same by UPDATE (RFC 3311), which may be sent before
 * the call is answered, too, once offer and answer were exchanged reliably;
 * E_SIP_STATE if not, or if the peer does not know UPDATE. */
MUST_CHECK int sip_call_update(struct sip_call *c, struct slice sdp);
/* sip_call_accept answers SIP_CALL_OFFER; sip_call_reject refuses it with
 * `code`, e.g. 488, and the call goes on. */
MUST_CHECK int sip_call_accept(struct sip_call *c, struct slice sdp);
void sip_call_reject(struct sip_call *c, int code);
/* sip_call_set_reason: BYE or CANCEL will say why (RFC 3326): a SIP code and
 * a plain phrase; `cause` 0 says nothing. */
void sip_call_set_reason(struct sip_call *c, int cause, const char *text);
/*
 * sip_call_hangup ends the call as its state asks: CANCEL, BYE, or a refusal
 * with `code` (0: 603).  SIP_CALL_ENDED follows from the loop, at the latest
 * after 2 s.
 */
void sip_call_hangup(struct sip_call *c, int code);
/* sip_call_free drops it at once and silently (CANCEL or BYE is still sent if
 * possible); the slot is cleared. */
void sip_call_free(struct sip_call **slot);

/*
 * sip_call_dtmf queues digits to be sent by INFO, one after the answer to the
 * other: application/dtmf-relay, or the bare application/dtmf.  E_PARSE for a
 * character that is none of 0-9 * # A-D, E_LIMIT for more than fit,
 * E_SIP_STATE unless the call stands.
 */
MUST_CHECK int sip_call_dtmf(struct sip_call *c, const char *digits, bool bare);

/* Facts; borrowed, valid while the call lives; escaped for logs. */
const char *sip_call_id(const struct sip_call *c);          /* Call-ID */
const char *sip_call_remote(const struct sip_call *c);      /* remote URI */
const char *sip_call_remote_name(const struct sip_call *c); /* "" if none */
const char *sip_call_local(const struct sip_call *c);       /* our URI */
/* sip_call_reg: the registration it came or goes by; NULL: direct, or that is
 * gone. */
struct sip_reg *sip_call_reg(const struct sip_call *c);
/* sip_call_offer: incoming, the SDP of the INVITE; empty: late offer. */
struct slice sip_call_offer(const struct sip_call *c);
bool sip_call_is_secure(const struct sip_call *c); /* signalling on TLS */
/* sip_call_addrs: where signalling runs; unset addresses if nowhere. */
void sip_call_addrs(const struct sip_call *c, enum sip_transport *t,
    struct addr *local, struct addr *remote);
/* sip_call_header: value of a header of the INVITE or of its 2xx, NULL if
 * absent; raw bytes of the peer: log them through esc() only. */
const char *sip_call_header(const struct sip_call *c, const char *name);
/* sip_call_header_at: the `i`-th field of that name. */
const char *sip_call_header_at(
    const struct sip_call *c, const char *name, size_t i);
/* sip_call_peer_is_verified: signalling runs on TLS, and the certificate of the
 * other side holds. */
bool sip_call_peer_is_verified(const struct sip_call *c);

#endif
