/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_SIPCORE_CALL_INTERNAL_H
#define BELLBIRD_SIPCORE_CALL_INTERNAL_H

/* Calls: the part of internal.h, which includes it, that is theirs. */

/* ---- sip_reason.c (RFC 3326) ---- */

struct sip_reason {
	int sip, q850; /* causes; 0: none */
	char text[96]; /* escaped */
};
/* sip_reason_read: what the Reason fields of a message say. */
void sip_reason_read(struct sip_reason *out, const struct sip_msg *m);

/* ---- sip_call*.c, sip_early*.c, sip_rel.c ---- */

/* An early dialog of an INVITE of ours: one for each branch that answered
 * (RFC 3261 12.1.2, 13.2.2). */
struct sip_early {
	TAILQ_ENTRY(sip_early) link;
	struct sip_call *c; /* borrowed: the owner */
	struct sip_dlg dlg;
	unsigned int id; /* from 1; the owner of the call knows it by this */
	uint32_t rseq;   /* of the last reliable answer; 0: none */
	bool no_update;
	bool agreed; /* its offer and answer are exchanged */
	char *sdp;   /* owned: the last the peer said here */
	size_t sdp_n;
	struct sip_ctxn *prack;
};
TAILQ_HEAD(sip_earlies, sip_early);

/* Reliable provisional answers of ours (RFC 3262 3). */
struct sip_rel {
	bool can, must; /* the peer supports, requires them */
	bool waiting;   /* one is sent, its PRACK not here */
	bool offer;     /* .. it holds our offer */
	bool sdp;       /* .. it holds SDP */
	uint32_t rseq;
	struct buf msg;
	int64_t interval_us, give_up_us;
	struct timer timer;
	int next_code;                /* what follows the PRACK; 0: nothing */
	char *next_reason, *next_sdp; /* owned */
	size_t next_n;
};

enum sip_call_state {
	SIP_C_ROUTING,    /* out: resolving, connecting */
	SIP_C_CALLING,    /* out: INVITE sent */
	SIP_C_CANCELLING, /* out: CANCEL sent or waiting for a 1xx */
	SIP_C_LATE,       /* out: 2xx with an offer, we owe the ACK */
	SIP_C_INCOMING,   /* in: not answered yet */
	SIP_C_ANSWERED,   /* in: 2xx sent, no ACK yet */
	SIP_C_UP,
	SIP_C_BYE, /* BYE sent or owed */
	SIP_C_OVER
};

struct sip_call {
	LIST_ENTRY(sip_call) link;
	struct sip_stack *s;
	struct sip_call **slot; /* of the owner; NULL: none (any more) */
	sip_call_cb *cb;
	void *arg;
	enum sip_call_state state;
	bool incoming, told, counted;
	bool bye_due;    /* BYE as soon as the ACK came */
	bool re_refresh; /* the re-INVITE or UPDATE is ours, not the owner's */
	bool no_update;  /* the peer does not allow UPDATE */
	bool offered;    /* the 2xx we sent holds an offer */
	bool late;       /* our INVITE had no SDP */
	int ring_code;   /* last 1xx we sent or got; 0: none */
	struct sip_dlg dlg;
	struct sip_hnode merge;
	struct sip_reg *reg;   /* borrowed; NULL: direct, or it is gone */
	bool pinned;           /* of an account: stays on its flow */
	struct sip_watch w;    /* the flow of the dialog */
	struct sip_watch w2;   /* UDP: where its requests go, if elsewhere */
	struct sip_msg *ref;   /* owned: INVITE received, or its 2xx */
	struct sip_auth *auth; /* owned, made on demand */
	char *credentials;     /* owned: lines of our last INVITE, or NULL */
	struct sip_req *req;   /* INVITE or re-INVITE/UPDATE not yet answered */
	struct sip_ctxn *inv;  /* our INVITE */
	struct sip_ctxn *re;   /* our re-INVITE or UPDATE */
	bool re_update;        /* .. that offer goes by UPDATE */
	struct sip_early *re_early; /* .. in that dialog; NULL: the call's */
	struct sip_earlies earlies;
	unsigned int num_earlies, last_early;
	struct sip_early *due; /* whose offer our PRACK has to answer */
	struct sip_req *upd;   /* UPDATE or PRACK with an offer, before 2xx */
	struct sip_early *upd_early;
	struct sip_rel rel;
	bool agreed;    /* incoming: offer and answer are exchanged reliably */
	bool early_sdp; /* incoming: SDP was in a 1xx, the 2xx says the same */
	unsigned int ev_early; /* for the next event */
	bool ev_agreed, ev_offer;
	struct sip_reason cause; /* the peer's, why it ended */
	char reason_line[128];   /* ours, for BYE and CANCEL; may be "" */
	struct timer flow_timer; /* the account's flow is back */
	bool wait_reg; /* the INVITE goes as soon as the flow is back */
	char peer_name[SIPC_HOST_MAX + 1]; /* verified; "": none */
	struct addr peer_addr;             /* of the flow; IP counts */
	enum sip_transport peer_t;
	struct sip_ctxn *bye;
	struct buf ok;  /* our 2xx until its ACK */
	struct buf ack; /* our ACK, for retransmitted 2xx */
	uint32_t ok_cseq, inv_cseq, ack_cseq;
	int64_t retry_us, give_up_us; /* of `ok` */
	struct timer timer;           /* 2xx again, late ACK, ringing */
	struct timer deadline;        /* the owner must hear by then */
	struct timer re_timer;        /* after 491 */
	struct timer session;         /* RFC 4028 */
	unsigned int session_s, min_se_s;
	bool session_ours;
	unsigned int session_tries; /* 422 answers to our INVITE */
	int64_t session_end_us;     /* BYE, unless refreshed by then */
	char *sdp; /* owned: our last offer or answer that holds */
	size_t sdp_n;
	char *offer; /* owned: of a re-INVITE of ours until its end */
	size_t offer_n;
	struct deferred later; /* tell ENDED from the loop */
	int end_code, end_err;
	bool end_by_peer;
	char *id_esc, *remote_esc, *name_esc, *local_esc; /* owned */
	char reason[96];
	struct sip_call_setup *setup;  /* owned; outgoing until answered */
	struct sip_info *info;         /* owned: INFOs of ours, or NULL */
	struct sip_refer *refer;       /* owned: REFER of ours, or NULL */
	struct sip_req *refer_req;     /* theirs, not yet answered */
	struct sip_referral *referral; /* borrowed: who hears of it */
	unsigned int num_refers;       /* of theirs, so far */
	struct sip_call *replaces;    /* borrowed: ends when this is answered */
	struct sip_call *replaced_by; /* the other way round */
};

/* What an outgoing call needs until it is answered. */
struct sip_call_setup {
	struct sip_uri uri;
	char *headers, *from_user, *from_host;
	uint64_t flow; /* 0: none given */
	bool tls_only;
	sip_policy_cb *policy;
	void *policy_arg;
	struct sip_route *route;
	struct sip_target targets[SIPC_TARGETS_MAX];
	size_t num_targets, next;
	int64_t dns_us;
	int last_code; /* of a target that refused, else 0 */
	char *seen[SIPC_REDIRECTS_MAX + 1]; /* owned; URIs called so far */
	char *more[SIPC_REDIRECTS_MAX];     /* owned; to be called next */
	size_t num_seen, num_more;
	struct addr redirector; /* who sent us elsewhere; unset: nobody */
};

MUST_CHECK int sip_call_new(struct sip_call **out, struct sip_stack *s);
void sip_call_drop(struct sip_call *c); /* frees it */
/* sip_call_rest: free it if nothing is under way any more. */
void sip_call_rest(struct sip_call *c);
/* sip_call_emit and sip_call_over run the owner's callback: last thing. */
void sip_call_emit(struct sip_call *c, enum sip_call_event ev, int code,
    const char *reason, struct slice sdp);
void sip_call_over(struct sip_call *c);
/* sip_call_over_later is the same from the loop. */
void sip_call_over_later(struct sip_call *c);
/* sip_call_end_set says how it ends; the first word counts. */
void sip_call_end_set(
    struct sip_call *c, int code, int err, bool by_peer, const char *reason);
/* sip_call_way: the flow for a request in the dialog; E_CLOSED or
 * E_SIP_INSECURE if there is none it may use. */
MUST_CHECK int sip_call_way(struct sip_call *c, struct sip_flow **out);
void sip_call_flow_set(struct sip_call *c, struct sip_flow *f);
/* sip_call_peer_set: UDP, where the dialog's requests go from now on. */
void sip_call_peer_set(struct sip_call *c);
MUST_CHECK int sip_call_contact(
    struct sip_call *c, const struct sip_flow *f, const char *user);
MUST_CHECK int sip_call_names(struct sip_call *c);
MUST_CHECK int sip_call_sdp_set(struct sip_call *c, struct slice sdp);
void sip_call_index(struct sip_call *c); /* puts it into the tables */
struct sip_call_rq {
	const char *method;
	const char *headers;
	const char *type; /* of the body; NULL: SDP */
	struct slice sdp; /* the body */
	sip_ctxn_cb *cb;
	void *arg;           /* of `cb`; NULL: the call */
	struct sip_dlg *dlg; /* NULL: the call's */
};
/* sip_call_request sends a request in the dialog with the next CSeq. */
MUST_CHECK int sip_call_request(
    struct sip_call *c, struct sip_ctxn **slot, const struct sip_call_rq *rq);
/* sip_call_send_ack acknowledges the 2xx of CSeq c->ack_cseq. */
MUST_CHECK int sip_call_send_ack(struct sip_call *c, struct slice sdp);
/* sip_call_send_bye sends BYE; the end is told when it is answered. */
void sip_call_send_bye(struct sip_call *c);
/* sip_call_challenged takes a 401 or 407: 0 if it is worth another try, else
 * `rule->why` says why not. */
MUST_CHECK int sip_call_challenged(
    struct sip_call *c, const struct sip_msg *rsp, struct sip_auth_rule *rule);
/* sip_call_answer_req answers c->req, which is gone then. */
MUST_CHECK int sip_call_answer_req(
    struct sip_call *c, int code, const char *reason, struct slice sdp);
void sip_call_setup_free(struct sip_call_setup *u);
void sip_call_next_target(struct sip_call *c, int err);
/* sip_call_limit_us: how long the INVITE may stay unanswered; 0: as the RFC
 * says, there is no other target. */
int64_t sip_call_limit_us(const struct sip_call *c);
/* sip_call_send_invite sends INVITE over c->w.flow. */
MUST_CHECK int sip_call_send_invite(struct sip_call *c);
sip_route_cb sip_call_on_route;

/* What the dispatcher hands over. */
void sip_call_invited(struct sip_stack *s, struct sip_req *r);
void sip_call_on_cancel(struct sip_call *c, const struct sip_msg *m);
void sip_call_on_ack(struct sip_call *c, const struct sip_msg *m);
void sip_call_on_bye(struct sip_call *c, struct sip_req *r);
void sip_call_on_offer(struct sip_call *c, struct sip_req *r);
void sip_call_on_prack(struct sip_call *c, struct sip_req *r);
/* sip_call_dlg_of: the dialog of the call that a request belongs to. */
struct sip_dlg *sip_call_dlg_of(struct sip_call *c, const struct sip_msg *m);
/* sip_call_peer_note: that flow leads to the peer of the call. */
void sip_call_peer_note(struct sip_call *c, const struct sip_flow *f);
/* sip_call_wait_flow: INVITE waits until the account has a flow again. */
MUST_CHECK int sip_call_wait_flow(struct sip_call *c);

/* sip_early_take judges a 1xx; false: nothing new, drop it.  `*sdp` is what
 * the owner shall hear. */
bool sip_early_take(
    struct sip_call *c, const struct sip_msg *m, struct slice *sdp);
/* sip_early_win: the 2xx `m` makes its dialog the call's.  True: offer and
 * answer were exchanged before; the peer's part is at `*sdp`, which is the
 * caller's to free. */
bool sip_early_win(
    struct sip_call *c, const struct sip_msg *m, char **sdp, size_t *sdp_n);
void sip_earlies_clear(struct sip_call *c);
/* sip_early_answer sends the PRACK that c->due waits for. */
MUST_CHECK int sip_early_answer(struct sip_call *c, struct slice sdp);
/* sip_early_offered: an UPDATE before the call stands. */
void sip_early_offered(struct sip_call *c, struct sip_req *r);
/* sip_early_reply answers c->upd, which is gone then. */
MUST_CHECK int sip_early_reply(struct sip_call *c, int code, struct slice sdp);
/* sip_early_for_offer: the early dialog where an UPDATE of ours may offer. */
struct sip_early *sip_early_for_offer(const struct sip_call *c);

/* sip_rel_init: may our provisional answers be reliable? */
void sip_rel_init(struct sip_call *c, const struct sip_msg *inv);
void sip_rel_clear(struct sip_rel *l);
/* sip_rel_wants: is a 1xx with (without) SDP sent reliably? */
bool sip_rel_wants(const struct sip_call *c, bool sdp);
/* sip_rel_put appends the header lines; sip_rel_sent starts the wait. */
void sip_rel_put(struct sip_call *c, struct buf *headers);
MUST_CHECK int sip_rel_sent(struct sip_call *c, bool sdp);
/* sip_rel_queue: this answer goes out after the PRACK. */
MUST_CHECK int sip_rel_queue(
    struct sip_call *c, int code, const char *reason, struct slice sdp);
/* sip_rel_next sends what waited; true if the call may be gone. */
void sip_rel_next(struct sip_call *c);

/* sip_redirect_take: a 3xx; true if another target is tried. */
bool sip_redirect_take(struct sip_call *c, const struct sip_msg *m);
/* sip_redirect_next: this target failed; true if the next one is tried. */
bool sip_redirect_next(struct sip_call *c);
/* sip_redirect_may: may a redirected call go there? */
bool sip_redirect_may(const struct sip_call *c, const struct addr *to);
MUST_CHECK int sip_call_depart(struct sip_call *c);
/* sip_call_stray_2xx: a 2xx again, or of another branch. */
void sip_call_stray_2xx(
    struct sip_stack *s, struct sip_flow *f, const struct sip_msg *m);
struct sip_call *sip_call_of(
    const struct sip_stack *s, const struct sip_msg *m);
/* sip_call_invited_by: the call that this INVITE, which CANCEL `m` copies,
 * has made; NULL: none. */
struct sip_call *sip_call_invited_by(
    const struct sip_stack *s, const struct sip_msg *m);
uint64_t sip_merge_hash(const struct sip_stack *s, struct slice call_id,
    struct slice from_tag, uint32_t cseq);
bool sip_call_is_peer(struct sip_call *c, const struct sip_src *src);
void sip_call_reg_gone(struct sip_stack *s, const struct sip_reg *r);
/* sip_call_reg_moved: the account has another flow; its calls whose flow is
 * gone tell their peers the new Contact (a target refresh, RFC 3261 12.2). */
void sip_call_reg_moved(struct sip_stack *s, const struct sip_reg *r);

/* sip_session.c (RFC 4028): header lines for a 2xx of ours; what a 2xx of the
 * peer says; header lines for a request that offers again. */
void sip_session_answer(
    struct sip_call *c, const struct sip_msg *req, struct buf *headers);
void sip_session_agree(struct sip_call *c, const struct sip_msg *rsp);
void sip_session_ask(const struct sip_call *c, char *out, size_t size);
void sip_session_start(struct sip_call *c);
/* sip_session_invite appends what our INVITE asks for. */
void sip_session_invite(struct sip_call *c, struct buf *headers);
/* sip_session_retry: a refresh of ours failed; once more in `us` (0: soon). */
void sip_session_retry(struct sip_call *c, int64_t us);
/* sip_session_longer takes the Min-SE of a 422; false if that cannot help. */
bool sip_session_longer(struct sip_call *c, const struct sip_msg *rsp);
/* sip_call_refresh sends UPDATE or the same offer again. */
MUST_CHECK int sip_call_refresh(struct sip_call *c);

/* ---- sip_info.c: INFO (RFC 6086) with DTMF ---- */

void sip_info_in(struct sip_call *c, struct sip_req *r);
void sip_info_free(struct sip_info *n);
/* sip_msg_is_type: is the body of that media type (parameters aside)? */
bool sip_msg_is_type(const struct sip_msg *m, const char *type);

/* ---- sip_refer.c, sip_refer_in.c, sip_replaces.c ---- */

/* What a Replaces field names (RFC 3891 6.1). */
struct sip_replaces {
	struct slice call_id, to_tag, from_tag;
	bool early_only;
};
/* sip_replaces_parse reads the value of a field; E_PARSE. */
MUST_CHECK int sip_replaces_parse(struct sip_replaces *out, struct slice v);
/* sip_replaces_put appends the value that names the dialog of `c` to its
 * peer, escaped for a URI. */
void sip_replaces_put(struct buf *b, const struct sip_call *c);
/* sip_replaces_judge: the call that this INVITE is to replace, NULL in `*old`
 * if it names none; else the code to refuse it with (RFC 3891 3). */
int sip_replaces_judge(
    struct sip_stack *s, struct sip_req *r, struct sip_call **old);
void sip_replaces_set(struct sip_call *c, struct sip_call *old);
/* sip_replaces_gone: the call goes; nobody replaces it, and it nobody. */
void sip_replaces_gone(struct sip_call *c);

/* sip_refer_notified serves a NOTIFY in the dialog: how our REFER goes. */
void sip_refer_notified(struct sip_call *c, struct sip_req *r);
void sip_refer_free(struct sip_refer *n);
/* sip_refer_in serves a REFER of the peer. */
void sip_refer_in(struct sip_call *c, struct sip_req *r);
/* sip_referral_call_gone: the call is freed; reports go on without it. */
void sip_referral_call_gone(struct sip_call *c);
void sip_referral_reg_gone(struct sip_stack *s, const struct sip_reg *r);
void sip_referrals_free(struct sip_stack *s);

/* ---- sip_text.c, sip_sub.c, sip_notify.c ---- */

/* sip_uri_complete: a SIP URI, or a user part of the account's domain (`reg`
 * NULL: no account); E_PARSE. */
MUST_CHECK int sip_uri_complete(
    struct sip_uri *u, const struct sip_reg *reg, const char *to);
/* sip_dlg_begin fills in what a first request of the account to `to` needs. */
MUST_CHECK int sip_dlg_begin(
    struct sip_dlg *d, const struct sip_reg *reg, const char *to);
/* sip_reg_request sends one over the account's flow, with the next CSeq;
 * E_SIP_NO_ROUTE if it is not registered.  `slot` NULL: unheard. */
struct sip_reg_rq {
	const char *method, *headers, *type;
	struct slice body;
	sip_ctxn_cb *cb;
	void *arg;
};
MUST_CHECK int sip_reg_request(struct sip_reg *reg, struct sip_dlg *d,
    struct sip_auth *auth, const struct sip_reg_rq *rq, struct sip_ctxn **slot);
/* sip_reg_challenged takes a 401 or 407 to one; else `rule->why` says why
 * not. */
MUST_CHECK int sip_reg_challenged(const struct sip_reg *reg,
    struct sip_auth *auth, const struct sip_msg *m, bool in_dialog,
    struct sip_auth_rule *rule);
bool sip_text_fits(struct slice s); /* UTF-8 without NUL */
/* sip_sub_of: the subscription that a request is in; NULL: none. */
struct sip_sub *sip_sub_of(const struct sip_stack *s, const struct sip_msg *m);
void sip_sub_notified(struct sip_sub *n, struct sip_req *r);
void sip_sub_reg_gone(struct sip_stack *s, const struct sip_reg *r);
/* sip_sub_reg_moved: the account has another flow; refresh over it. */
void sip_sub_reg_moved(struct sip_stack *s, const struct sip_reg *r);
void sip_subs_free(struct sip_stack *s);
void sip_text_reg_gone(struct sip_stack *s, const struct sip_reg *r);
void sip_texts_free(struct sip_stack *s);

#endif
