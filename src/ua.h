/* SPDX-License-Identifier: ISC */
/* What ua.c and ua_media.c share: one call. */
#ifndef BELLBIRD_SRC_UA_H
#define BELLBIRD_SRC_UA_H

#include <sys/queue.h>

#include "bellbird/media_ring.h"
#include "load.h"
#include "ua_policy.h"

/* Our own SDP never comes near it; a runaway composer does. */
enum { UA_SDP_MAX = 16384 };

/* Calls in one status: 30 us each, and the loop must not wait for 10 ms. */
enum { UA_STATUS_CALLS = 100 };

enum call_state { CALL_CALLING, CALL_RINGING, CALL_ESTABLISHED, CALL_HELD };

struct call {
	TAILQ_ENTRY(call) link;
	struct ua *ua;            /* borrowed */
	char id[16];              /* "c1" */
	unsigned int number;      /* of it */
	struct sip_call *sip;     /* owned slot */
	struct media_sess *media; /* owned */
	struct dns_query *dns;    /* owned slot: direct calls */
	char *uri, *headers;      /* owned; outgoing */
	int srtp;               /* enum media_srtp_mode; -1: sip.srtp decides */
	int play_fd, record_fd; /* owned until media takes them */
	struct addr local;      /* IP that media binds to */
	uint64_t flow;          /* lab: call on this flow; else 0 */
	char account[ACCOUNT_ID_SIZE]; /* "": none, a direct call */
	bool incoming, on_tls;
	bool offer_out;    /* our SDP offer awaits its answer */
	bool early;        /* early media flows */
	bool early_out;    /* incoming: our 183 had our SDP */
	bool late;         /* outgoing: the offer is left to the peer */
	unsigned int fork; /* early dialog whose SDP the media have */
	bool hold;         /* we hold, or ask for it */
	bool holding;      /* .. our re-INVITE is under way */
	bool held_local, held_remote; /* as told */
	bool hangup_asked;
	bool alert;       /* for an alert extension: rings, is not answered */
	bool answered;    /* incoming: 200 was sent */
	bool automatic;   /* .. without anybody's doing */
	bool rings;       /* counted in num_ringing */
	bool has_speaker; /* it is heard, or would be */
	struct media_ring *ring; /* owned slot; the tone that sounds */
	struct timer later;      /* an answer is due */
	struct timer limit;      /* phone.timeout.* */
	int64_t limit_s;         /* what it was set to */
	enum call_state state;
	int64_t started_us, established_us;
	struct deferred fail; /* ends what never became a SIP call */
	bool is_over;         /* on the list `ending` */
	struct jv *ended;     /* owned: told once the recording is whole */
	/* The last digit that came, to tell one from its echo by the other
	 * way; of transfers: src/ua_refer.c. */
	char last_digit;
	bool last_info;
	int64_t digit_us;
	struct sip_referral *referral; /* owned slot: who had us call this */
	struct ctl_req *transfer_req;  /* the verb that waits, or NULL */
	bool transferring, transfer_no_sub;
	int transfer_code;
	int err, code;
	const char *class; /* failure class of our own, or NULL */
	char why[WHY_SIZE];
};

enum ua_limit {
	UA_LIMIT_RING,    /* phone.timeout.ring, .. */
	UA_LIMIT_INBOUND, /* .. */
	UA_LIMIT_RINGBACK,
	UA_LIMIT_OUTBOUND,
	UA_LIMITS
};

/* Settings that count for each call, read when they change (ua_reload): a call
 * costs less than a dozen look-ups in the table. */
struct ua_conf {
	enum ua_mode mode;
	enum ua_asker may_ask;
	bool early;       /* rings with early media (answer.mode = early) */
	bool single;      /* one call at a time is heard (call.busy) */
	size_t max_calls; /* call.max; alerts apart */
	int64_t limit_s[UA_LIMITS]; /* 0: none */
};

struct ua {
	struct app *app; /* borrowed */
	struct ua_conf conf;
	TAILQ_HEAD(call_list, call) calls;
	struct call_list ending; /* over, but for their recordings */
	size_t num_calls;        /* in `calls`; kept, so that no call costs a */
	size_t num_ringing; /* walk over all others; those that ring here */
	bool lends;         /* some call may be without the speaker */
	struct load load;
	unsigned int last_id;
};

/* Where a direct call goes. */
struct ua_target {
	char host[DNS_NAME_MAX];
	uint16_t port; /* 0: none given */
	bool tls;      /* sips:, or ;transport=tls */
};
/* ua_target_parse reads host, port and transport of a SIP URI; E_PARSE. */
MUST_CHECK int ua_target_parse(struct ua_target *t, const char *uri);
/* ua_check_uri and ua_check_headers judge what a user gave; CTL_USAGE with a
 * sentence.  Headers are lines that end in CR LF. */
enum ctl_exit ua_check_uri(const char *uri, char *why, size_t why_size);
enum ctl_exit ua_check_headers(const char *headers, char *why, size_t why_size);
/* ua_direct_policy is the sip_policy_cb of direct calls; arg: struct app. */
int ua_direct_policy(const char *peer, struct tls_policy *out, void *arg);
/* call_new: a call without anything in it yet, in the list; NULL when out of
 * memory. */
struct call *call_new(struct ua *ua, bool incoming);
/* call_fields: an event object with the id of the call in it. */
struct jv *call_fields(const struct call *c);
/* call_on_sip is the sip_call_cb of every call; arg: the call. */
void call_on_sip(const struct sip_call_info *info, void *arg);
/* call_device: audio.device, or the one that the lab has for it. */
const char *call_device(const struct call *c);

/* ---- ua_ring.c ---- */

/* ua_conf_read reads the settings that count for calls. */
void ua_conf_read(const struct app *a, struct ua_conf *out);
enum ua_rank ua_rank_of(const struct call *c);
/* ua_speaker gives the speaker to the call that ranks highest, the oldest of
 * several; what rings sounds.  After each change of a call. */
void ua_speaker(struct ua *ua);
/* call_set_rings: it rings here from now on, or no more. */
void call_set_rings(struct call *c, bool rings);
/* ua_ring_stop: the tone ends, and no answer is due. */
void ua_ring_stop(struct call *c);
/* ua_limit starts the time that the call may spend in its state. */
void ua_limit(struct call *c);

/* call_open_media makes the media session of a call, if it has none. */
MUST_CHECK int call_open_media(struct call *c);
/* call_signalling: "tls", "tcp" or "udp". */
const char *call_signalling(const struct call *c);
/* ua_call_find: id NULL = the oldest; NULL: there is none. */
struct call *ua_call_find(struct ua *ua, const char *id);
/* ua_call_hangup ends it, in whatever state it is. */
void ua_call_hangup(struct call *c);
/* ua_refer.c: what the events of sip_call_cb about digits and transfer do. */
void call_digit(
    struct call *c, char digit, unsigned int duration_ms, bool info);
void call_digit_lost(struct call *c, const struct sip_call_info *info);
void call_referred(struct call *c, const struct sip_refer_info *r);
void call_refer_told(struct call *c, const struct sip_call_info *info);
/* call_refer_report tells who had us call this how it goes. */
void call_refer_report(struct call *c, int code);
/* call_transfer_end: the call is over; no report follows. */
void call_transfer_end(struct call *c);
/* call_replaced: the call that this one is to replace, NULL: none;
 * call_replace ends it. */
struct call *call_replaced(const struct call *c);
void call_replace(struct call *c, struct call *old);
/* call_established: audio may flow both ways; told once. */
void call_established(struct call *c);
/* call_end_fields adds what the peer said of the end (RFC 3326), and whether
 * the call was missed. */
void call_end_fields(
    const struct call *c, const struct sip_call_info *info, struct jv *f);
/* ua_offer.c: what sip_call_cb is told of offers and answers. */
void call_on_ringing(struct call *c, const struct sip_call_info *info);
void call_on_answered(struct call *c, const struct sip_call_info *info);
void call_on_confirmed(struct call *c, const struct sip_call_info *info);
void call_on_pracked(struct call *c, const struct sip_call_info *info);
void call_on_offer(struct call *c, const struct sip_call_info *info);
/* call_ring_early answers 183 with SDP (early media); an error if that cannot
 * be: then it may ring. */
MUST_CHECK int call_ring_early(struct call *c);
/* call_fail ends a call for a reason of ours. */
void call_fail(struct call *c, const char *class, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
