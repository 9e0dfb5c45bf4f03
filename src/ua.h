/* SPDX-License-Identifier: ISC */
/* What ua.c and ua_media.c share: one call. */
#ifndef BELLBIRD_SRC_UA_H
#define BELLBIRD_SRC_UA_H

#include <sys/queue.h>

#include "internal.h"

/* Our own SDP never comes near it; a runaway composer does. */
enum { UA_SDP_MAX = 16384 };

enum call_state { CALL_CALLING, CALL_RINGING, CALL_ESTABLISHED, CALL_HELD };

struct call {
	TAILQ_ENTRY(call) link;
	struct ua *ua;            /* borrowed */
	char id[16];              /* "c1" */
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
	bool offer_out; /* our SDP offer awaits its answer */
	bool early;     /* early media flows */
	bool hangup_asked;
	enum call_state state;
	int64_t started_us, established_us;
	struct deferred fail; /* ends what never became a SIP call */
	bool is_over;         /* on the list `ending` */
	struct jv *ended;     /* owned: told once the recording is whole */
	int err, code;
	const char *class; /* failure class of our own, or NULL */
	char why[WHY_SIZE];
};

struct ua {
	struct app *app; /* borrowed */
	TAILQ_HEAD(call_list, call) calls;
	struct call_list ending; /* over, but for their recordings */
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
/* call_open_media makes the media session of a call, if it has none. */
MUST_CHECK int call_open_media(struct call *c);
/* call_signalling: "tls", "tcp" or "udp". */
const char *call_signalling(const struct call *c);
/* call_fail ends a call for a reason of ours. */
void call_fail(struct call *c, const char *class, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
