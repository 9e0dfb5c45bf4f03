/* SPDX-License-Identifier: ISC */
/* What is done about a call that comes in, and who has the speaker: decisions
 * without input or output (src/ua_policy.c). */
#ifndef BELLBIRD_SRC_UA_POLICY_H
#define BELLBIRD_SRC_UA_POLICY_H

#include <stdbool.h>
#include <stddef.h>

/* How much a call weighs: the highest has the speaker, then the oldest. */
enum ua_rank {
	UA_RANK_NONE,  /* no call, or one on hold */
	UA_RANK_ALERT, /* rings on an alert extension */
	UA_RANK_RING,  /* rings until somebody answers */
	UA_RANK_CALL,  /* answered by hand, or ours */
	UA_RANK_PAGE   /* answered by itself */
};

/* What the headers of an INVITE ask for. */
struct ua_ask {
	bool at_once; /* to be answered without anybody's doing */
	bool by_hand; /* .. by somebody's (RFC 5373: Manual) */
	bool require; /* else not at all (RFC 5373: ;require) */
	unsigned int delay_s;
	const char *header; /* which asks so; NULL: none; static storage */
};
/* ua_ask_headers: the names of the headers that may ask; NULL ends them. */
extern const char *const ua_ask_headers[];
/*
 * ua_ask_read adds what a header says: Answer-Mode and Priv-Answer-Mode (RFC
 * 5373), Call-Info with answer-after=SECONDS, Alert-Info with that or with
 * alert-autoanswer and its like.  The first that asks counts; what makes no
 * sense does not.  `name` is one of ua_ask_headers.
 */
void ua_ask_read(struct ua_ask *ask, const char *name, const char *value);

/* Who may ask (answer.request), and who a caller is; the order counts. */
enum ua_asker {
	UA_ASKER_NOBODY,  /* setting: none of these headers count */
	UA_ASKER_ACCOUNT, /* came by a registered account */
	UA_ASKER_TLS,     /* direct, with a certificate that holds */
	UA_ASKER_ANY      /* direct, let in by sip.allow */
};

enum ua_mode { UA_MODE_AUTO, UA_MODE_RING, UA_MODE_REJECT };

enum {
	/* Alerts ring beside the calls that call.max counts; a server that
	 * calls an extension more often than this is broken. */
	UA_ALERTS_MAX = 16,
	/* Longer than this nobody waits for an answer "at once". */
	UA_DELAY_MAX_S = 60
};

/* All that counts for a call that comes in. */
struct ua_in {
	bool stopping;
	bool alert; /* it is for an alert extension */
	enum ua_mode mode;
	struct ua_ask ask;
	enum ua_asker may_ask, asker;
	bool single;      /* one call at a time is heard */
	enum ua_rank top; /* the highest rank among the calls that are up */
	size_t num_calls, max_calls; /* alerts apart */
	size_t num_alerts;
};

enum ua_act {
	UA_ACT_REFUSE, /* with `code` */
	UA_ACT_RING,   /* 180 and a tone; after delay_s (not 0) answer */
	UA_ACT_ALERT,  /* 180 and a tone until the caller gives up */
	UA_ACT_ANSWER  /* 200 */
};
struct ua_verdict {
	enum ua_act act;
	int code;
	unsigned int delay_s;
	const char *class; /* of a refusal; static storage, as the next */
	const char *why;   /* a sentence; "" where nothing is to be said */
};
/* ua_decide: a table in words; see its test. */
void ua_decide(const struct ua_in *in, struct ua_verdict *out);

#endif
