/* SPDX-License-Identifier: ISC */
/* A call: its life, its end (told exactly once), and what it sends in its
 * dialog.  Directions and offers are in sip_call_{in,out,re}.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellbird/log.h"
#include "internal.h"

/* The owner hears of the end within this time. */
#define HANGUP_US (2 * SIPC_S)
/* A call of a registration whose flow is lost waits for the next one. */
#define LOST_US   (64 * SIPC_S)

int
sip_call_new(struct sip_call **out, struct sip_stack *s)
{
	struct sip_call *c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		return ENOMEM;
	c->s = s;
	buf_init(&c->ok, SIPC_MSG_MAX);
	buf_init(&c->ack, SIPC_MSG_MAX);
	TAILQ_INIT(&c->earlies);
	LIST_INSERT_HEAD(&s->calls, c, link);
	c->counted = true;
	s->num_calls++;
	*out = c;
	return 0;
}

void
sip_call_drop(struct sip_call *c)
{
	struct sip_stack *s = c->s;

	if (c->slot != NULL)
		*c->slot = NULL;
	if (c->counted)
		s->num_calls--;
	if (s->fresh == c)
		s->fresh = NULL;
	LIST_REMOVE(c, link);
	timer_stop(&c->timer);
	timer_stop(&c->deadline);
	timer_stop(&c->re_timer);
	timer_stop(&c->session);
	timer_stop(&c->flow_timer);
	loop_undefer(&c->later);
	if (c->req != NULL)
		c->req->call = NULL;
	sip_earlies_clear(c);
	if (c->upd != NULL)
		c->upd->call = NULL;
	sip_rel_clear(&c->rel);
	sip_ctxn_stop(&c->inv);
	sip_ctxn_stop(&c->re);
	sip_ctxn_detach(&c->bye);
	sip_info_free(c->info);
	sip_refer_free(c->refer);
	sip_call_refer_reject(c, 481);
	sip_referral_call_gone(c);
	sip_replaces_gone(c);
	sip_watch_clear(&c->w);
	sip_watch_clear(&c->w2);
	sip_htab_del(&s->merges, &c->merge);
	sip_dlg_clear(s, &c->dlg);
	sip_call_setup_free(c->setup);
	sip_msg_free(c->ref);
	if (c->auth != NULL)
		sip_auth_clear(c->auth);
	free(c->auth);
	free(c->credentials);
	buf_clear(&c->ok);
	buf_clear(&c->ack);
	free(c->sdp);
	free(c->offer);
	free(c->id_esc);
	free(c->remote_esc);
	free(c->name_esc);
	free(c->local_esc);
	free(c);
}

void
sip_call_rest(struct sip_call *c)
{
	if (!c->told || c->inv != NULL || c->bye != NULL || c->bye_due ||
	    c->later.queued)
		return;
	if (c->req != NULL) {
		/* Nobody is left who could answer it. */
		struct sip_req *r = c->req;

		ignore_err(sip_req_reply(r, 480, NULL, NULL, NULL,
			       (struct slice){ NULL, 0 }),
		    "the call is over anyway");
	}
	sip_call_drop(c);
}

/* ---- telling ---- */

void
sip_call_emit(struct sip_call *c, enum sip_call_event ev, int code,
    const char *reason, struct slice sdp)
{
	struct sip_call_info info = { .event = ev,
		.code = code,
		.reason = reason != NULL ? reason : "",
		.refresh = c->re_refresh && ev == SIP_CALL_ANSWERED,
		.early = c->ev_early,
		.offer = c->ev_offer,
		.agreed = c->ev_agreed,
		.cause_text = "",
		.sdp = sdp };

	c->ev_early = 0;
	c->ev_offer = c->ev_agreed = false;
	if (c->cb != NULL)
		c->cb(&info, c->arg);
}

void
sip_call_end_set(
    struct sip_call *c, int code, int err, bool by_peer, const char *reason)
{
	if (c->reason[0] != '\0')
		return;
	c->end_code = code;
	c->end_err = err;
	c->end_by_peer = by_peer;
	ignore_err(str_copy(c->reason, sizeof(c->reason),
		       reason != NULL && reason[0] != '\0' ? reason : "ended"),
	    "a sentence may be cut");
}

void
sip_call_over(struct sip_call *c)
{
	sip_call_cb *cb = c->cb;
	void *arg = c->arg;
	char reason[sizeof(c->reason)];
	struct sip_reason cause = c->cause;
	struct sip_call_info info = { .event = SIP_CALL_ENDED,
		.code = c->end_code,
		.err = c->end_err,
		.by_peer = c->end_by_peer,
		.cause = cause.sip,
		.q850 = cause.q850,
		.cause_text = cause.text,
		.elsewhere =
		    c->incoming && c->end_code == 487 && cause.sip == 200,
		.reason = reason };

	memcpy(reason, c->reason, sizeof(reason));
	timer_stop(&c->deadline);
	timer_stop(&c->session);
	timer_stop(&c->re_timer);
	loop_undefer(&c->later);
	sip_ctxn_stop(&c->re);
	sip_rel_clear(&c->rel);
	sip_earlies_clear(c);
	if (c->upd != NULL)
		ignore_err(sip_early_reply(c, 481, (struct slice){ NULL, 0 }),
		    "the call is over");
	c->cb = NULL;
	c->told = true;
	if (c->slot != NULL)
		*c->slot = NULL;
	c->slot = NULL;
	if (c->counted)
		c->s->num_calls--;
	c->counted = false;
	sip_call_rest(c);
	if (cb != NULL)
		cb(&info, arg);
}

/* From the loop. */
static void
on_later(void *arg)
{
	sip_call_over(arg);
}

void
sip_call_over_later(struct sip_call *c)
{
	c->state = SIP_C_OVER;
	loop_defer(c->s->conf.loop, &c->later, on_later, c);
}

/* The owner has waited long enough; what is under way ends alone. */
static void
on_deadline(void *arg)
{
	struct sip_call *c = arg;

	sip_ctxn_detach(&c->bye);
	sip_call_over(c);
}

/* ---- flows ---- */

/* The registration did not come back. */
static void
on_lost(void *arg)
{
	struct sip_call *c = arg;
	struct sip_flow *f;

	if (sip_call_way(c, &f) == 0)
		return;
	c->state = SIP_C_OVER;
	c->bye_due = false;
	timer_stop(&c->timer);
	sip_ctxn_stop(&c->inv);
	sip_call_end_set(
	    c, 0, E_CLOSED, false, "The connection of the call is lost");
	sip_call_over(c);
}

/* The flow of the dialog is gone. */
static void
on_flow_down(struct sip_call *c, int err)
{
	/* Who has hung up does not wait for another flow. */
	bool waits = !c->bye_due &&
	    (c->state == SIP_C_UP || c->state == SIP_C_ANSWERED ||
		c->state == SIP_C_LATE);

	if (c->wait_reg)
		return;
	if (c->state == SIP_C_ROUTING) {
		sip_call_next_target(c, err);
		return;
	}
	/* INVITE and BYE hear of it through their transactions. */
	if (c->inv != NULL || c->bye != NULL || c->state == SIP_C_OVER)
		return;
	if (waits && c->reg != NULL &&
	    timer_start(&c->deadline, c->s->conf.loop, LOST_US, on_lost, c) ==
		0)
		return;
	c->state = SIP_C_OVER;
	c->bye_due = false;
	timer_stop(&c->timer);
	sip_call_end_set(
	    c, 0, E_CLOSED, false, "The connection of the call is lost");
	sip_call_over(c);
}

/* sip_watch_cb. */
static void
on_flow(enum sip_watch_ev ev, int err, void *arg)
{
	if (ev == SIP_FLOW_DOWN)
		on_flow_down(arg, err);
}

void
sip_call_flow_set(struct sip_call *c, struct sip_flow *f)
{
	sip_watch_set(&c->w, f, on_flow, c);
	sip_call_peer_note(c, f);
}

void
sip_call_peer_set(struct sip_call *c)
{
	struct sip_flow *f = c->w.flow;
	struct addr next;

	/* RFC 5626 5.3: what belongs to an account stays on its flow. */
	if (f == NULL || f->t != SIPC_UDP || c->pinned ||
	    !sip_dlg_next(&c->dlg, &next))
		return;
	sip_watch_clear(&c->w2);
	if (!sip_dlg_may_go(&f->remote, &next))
		return;
	if (sip_flow_udp(&f, c->s, f->sock, &next) == 0)
		sip_watch_set(&c->w2, f, NULL, NULL);
}

int
sip_call_way(struct sip_call *c, struct sip_flow **out)
{
	struct sip_flow *f = c->w2.flow != NULL ? c->w2.flow : c->w.flow;

	if (f != NULL && f->up && f->fail_err == 0) {
		*out = f;
		return 0;
	}
	if (c->reg == NULL || (f = sip_reg_flow(c->reg)) == NULL ||
	    f->fail_err != 0)
		return E_CLOSED;
	if (c->dlg.secure && f->t != SIPC_TLS)
		return E_SIP_INSECURE;
	sip_watch_clear(&c->w2);
	sip_call_flow_set(c, f);
	*out = f;
	return sip_call_contact(c, f, NULL);
}

struct sip_call *
sip_call_of(const struct sip_stack *s, const struct sip_msg *m)
{
	struct slice ours = m->is_req ? m->to_tag : m->from_tag;
	struct sip_hnode *n;
	struct sip_dlg *d;

	n = sip_htab_first(
	    &s->dlgs, sip_dlg_hash(s, slice_of(m->call_id), ours));
	for (; n != NULL; n = sip_hnode_next(n)) {
		d = SIP_OBJ(n, struct sip_dlg, node);
		if (!sip_dlg_is(d, m))
			continue;
		return d->early != NULL ? d->early->c
					: SIP_OBJ(d, struct sip_call, dlg);
	}
	return NULL;
}

void
sip_call_reg_gone(struct sip_stack *s, const struct sip_reg *r)
{
	struct sip_call *c;

	LIST_FOREACH (c, &s->calls, link) {
		if (c->reg == r)
			c->reg = NULL;
	}
	sip_referral_reg_gone(s, r);
	sip_sub_reg_gone(s, r);
	sip_text_reg_gone(s, r);
}

uint64_t
sip_merge_hash(const struct sip_stack *s, struct slice call_id,
    struct slice from_tag, uint32_t cseq)
{
	char num[16];
	struct slice parts[3] = { call_id, from_tag, { num, 0 } };

	parts[2].n = (size_t)snprintf(num, sizeof(num), "%u", cseq);
	return sip_hash(&s->hkey, parts, 3);
}

struct sip_call *
sip_call_invited_by(const struct sip_stack *s, const struct sip_msg *m)
{
	const struct sip_msg *inv;
	struct sip_hnode *n;
	struct sip_call *c;

	n = sip_htab_first(&s->merges,
	    sip_merge_hash(s, slice_of(m->call_id), m->from_tag, m->cseq));
	for (; n != NULL; n = sip_hnode_next(n)) {
		c = SIP_OBJ(n, struct sip_call, merge);
		inv = c->ref == NULL && c->req != NULL ? c->req->msg : c->ref;
		if (inv != NULL &&
		    sip_req_key(s, inv, "INVITE") ==
			sip_req_key(s, m, "INVITE"))
			return c;
	}
	return NULL;
}

void
sip_call_index(struct sip_call *c)
{
	struct sip_stack *s = c->s;
	struct slice call_id = slice_of(c->dlg.call_id);

	sip_htab_add(&s->dlgs, &c->dlg.node,
	    sip_dlg_hash(s, call_id, slice_of(c->dlg.local_tag)));
	if (c->incoming)
		sip_htab_add(&s->merges, &c->merge,
		    sip_merge_hash(
			s, call_id, slice_of(c->dlg.remote_tag), c->dlg.rcseq));
}

/* ---- requests in the dialog ---- */

/* The lines that prove who we are, as far as somebody has asked. */
static int
credentials_make(
    struct sip_call *c, const struct sip_call_rq *rq, struct buf *b)
{
	struct sip_cred cred;

	if (c->auth == NULL || c->reg == NULL)
		return 0;
	sip_reg_cred(c->reg, &cred);
	return sip_auth_write(c->auth, b, &cred, rq->method,
	    rq->dlg != NULL ? rq->dlg->target : c->dlg.target, rq->sdp);
}

/* The ACK of a 2xx repeats those of its INVITE (RFC 3261 22.1). */
static int
credentials_keep(
    struct sip_call *c, const struct sip_call_rq *rq, struct buf *b)
{
	char *copy = NULL;

	if (strcmp(rq->method, "INVITE") != 0)
		return 0;
	if (b->n > 0 && (copy = strdup(buf_str(b))) == NULL)
		return ENOMEM;
	free(c->credentials);
	c->credentials = copy;
	return 0;
}

/* Takes the challenge if it is the account's server who asks. */
static int
challenge_take(
    struct sip_call *c, const struct sip_msg *rsp, struct sip_auth_rule *rule)
{
	const struct sip_flow *f = sip_flow_get(c->s, rsp->flow);
	bool in_dialog = c->setup == NULL || !sip_msg_is(rsp, "INVITE");
	const char *why = NULL;

	/* Who called us and makes us send BYE or a re-INVITE could ask for a
	 * digest to guess the password from; it is the peer who says 401. */
	if (c->reg == NULL)
		why = "The peer wants a password; the call has no account";
	else if (in_dialog && rsp->code == 401)
		why = "The peer of a call wants a password";
	else if (!sip_reg_has_flow(c->reg, f))
		why = "Not the account's server wants a password";
	if (why != NULL) {
		(void)snprintf(rule->why, sizeof(rule->why), "%s", why);
		return E_SIP_AUTH;
	}
	sip_reg_auth_rule(c->reg, in_dialog, rule);
	if (c->auth == NULL && (c->auth = calloc(1, sizeof(*c->auth))) == NULL)
		return ENOMEM;
	return sip_auth_take(c->auth, rsp, rule);
}

int
sip_call_challenged(
    struct sip_call *c, const struct sip_msg *rsp, struct sip_auth_rule *rule)
{
	int err = challenge_take(c, rsp, rule);

	if (err == 0)
		return 0;
	if (err != E_SIP_AUTH)
		(void)snprintf(
		    rule->why, sizeof(rule->why), "%s", err_str(err));
	log_warn(LOGC_SIP, rsp->flow, "%s: %d not answered reason=%s",
	    esc(rsp->method), rsp->code, rule->why);
	return err;
}

int
sip_call_request(
    struct sip_call *c, struct sip_ctxn **slot, const struct sip_call_rq *rq)
{
	char branch[SIPC_BRANCH_LEN + 1];
	struct sip_dlg *d = rq->dlg != NULL ? rq->dlg : &c->dlg;
	struct sip_dlg_req q = { .method = rq->method,
		.cseq = d->lcseq + 1,
		.headers = rq->headers,
		.type = rq->type != NULL ? rq->type : "application/sdp",
		.body = rq->sdp,
		.branch = branch };
	struct sip_ctxn_conf xc = { .method = rq->method,
		.branch = branch,
		.cb = rq->cb,
		.arg = rq->arg != NULL ? rq->arg : c };
	struct buf b, credentials;
	int err;

	if ((err = sip_call_way(c, &q.flow)) != 0)
		return err;
	sip_branch(branch);
	buf_init(&b, SIPC_MSG_MAX);
	buf_init(&credentials, SIPC_HEAD_MAX);
	if ((err = credentials_make(c, rq, &credentials)) != 0 ||
	    (err = credentials_keep(c, rq, &credentials)) != 0)
		goto out;
	if (credentials.n > 0)
		q.credentials = buf_str(&credentials);
	if ((err = sip_dlg_write(c->s, d, &q, &b)) == 0) {
		xc.flow = q.flow;
		xc.msg = &b;
		if (slot == &c->inv)
			xc.limit_us = sip_call_limit_us(c);
		err = sip_ctxn_start(slot, &xc);
	}
	if (err == 0)
		d->lcseq = q.cseq;
out:
	buf_clear(&credentials);
	buf_clear(&b);
	return err;
}

int
sip_call_send_ack(struct sip_call *c, struct slice sdp)
{
	char branch[SIPC_BRANCH_LEN + 1];
	struct sip_dlg_req q = { .method = "ACK",
		.cseq = c->ack_cseq,
		.type = "application/sdp",
		.body = sdp,
		.branch = branch,
		.credentials = c->credentials };
	int err;

	if ((err = sip_call_way(c, &q.flow)) != 0)
		return err;
	sip_branch(branch);
	buf_clear(&c->ack);
	if ((err = sip_dlg_write(c->s, &c->dlg, &q, &c->ack)) == 0)
		err = sip_flow_send(q.flow, c->ack.p, c->ack.n);
	return err;
}

/* Sends BYE once. */
static int bye_send(struct sip_call *c);

/* sip_ctxn_cb: whatever the answer, the call is over. */
static void
on_bye_answer(struct sip_msg **rsp, int err, void *arg)
{
	struct sip_call *c = arg;
	const struct sip_msg *m = *rsp;
	struct sip_auth_rule rule;

	(void)err;
	if (m != NULL && m->code < 200)
		return;
	if (m != NULL && (m->code == 401 || m->code == 407)) {
		if (sip_call_challenged(c, m, &rule) == 0) {
			if (bye_send(c) == 0)
				return;
		} else if (c->end_err == 0) {
			/* It ends here; perhaps not for the peer. */
			ignore_err(
			    str_copy(c->reason, sizeof(c->reason), rule.why),
			    "a sentence may be cut");
		}
	}
	c->state = SIP_C_OVER;
	sip_call_over(c);
}

static int
bye_send(struct sip_call *c)
{
	struct sip_call_rq rq = {
		.method = "BYE", .headers = c->reason_line, .cb = on_bye_answer
	};

	return sip_call_request(c, &c->bye, &rq);
}

void
sip_call_send_bye(struct sip_call *c)
{
	struct slice none = { NULL, 0 };
	int err;

	c->state = SIP_C_BYE;
	c->bye_due = false;
	timer_stop(&c->timer);
	timer_stop(&c->session);
	timer_stop(&c->re_timer);
	sip_ctxn_stop(&c->re);
	if (c->req != NULL)
		ignore_err(
		    sip_call_answer_req(c, 487, NULL, none), "the call ends");
	if ((err = bye_send(c)) == 0)
		err = timer_start(
		    &c->deadline, c->s->conf.loop, HANGUP_US, on_deadline, c);
	if (err == 0)
		return;
	log_info(LOGC_SIP, 0, "BYE not sent: %s", err_str(err));
	if (c->end_err == 0)
		c->end_err = err;
	sip_ctxn_detach(&c->bye);
	sip_call_over_later(c);
}

/* ---- hanging up ---- */

/* An outgoing call that has no final answer yet. */
static void
hangup_calling(struct sip_call *c)
{
	c->state = SIP_C_CANCELLING;
	timer_stop(&c->timer);
	/* Without a provisional answer CANCEL waits for the first. */
	ignore_err(sip_ctxn_cancel(c->inv, c->reason_line),
	    "sent with the first 1xx then");
	if (timer_start(
		&c->deadline, c->s->conf.loop, HANGUP_US, on_deadline, c) != 0)
		loop_defer(c->s->conf.loop, &c->later, on_later, c);
}

void
sip_call_hangup(struct sip_call *c, int code)
{
	struct slice none = { NULL, 0 };

	if (code < 300 || code > 699)
		code = 603;
	if (c->state == SIP_C_INCOMING)
		sip_call_end_set(c, code, 0, false, sip_phrase(code));
	sip_call_end_set(c, 0, 0, false, "hung up");
	switch (c->state) {
	case SIP_C_ROUTING:
		c->wait_reg = false;
		timer_stop(&c->timer);
		sip_route_stop(&c->setup->route);
		sip_watch_clear(&c->w);
		sip_call_over_later(c);
		break;
	case SIP_C_CALLING:
		hangup_calling(c);
		break;
	case SIP_C_INCOMING:
		ignore_err(
		    sip_call_answer_req(c, code, NULL, none), "the call ends");
		sip_call_over_later(c);
		break;
	case SIP_C_ANSWERED:
		/* RFC 3261 15: the callee waits for the ACK with its BYE. */
		c->bye_due = true;
		if (timer_start(&c->deadline, c->s->conf.loop, HANGUP_US,
			on_deadline, c) != 0)
			loop_defer(c->s->conf.loop, &c->later, on_later, c);
		break;
	case SIP_C_LATE:
		ignore_err(sip_call_send_ack(c, none), "BYE says it all");
		sip_call_send_bye(c);
		break;
	case SIP_C_UP:
		sip_call_send_bye(c);
		break;
	case SIP_C_CANCELLING:
	case SIP_C_BYE:
	case SIP_C_OVER:
		break;
	}
}

void
sip_call_free(struct sip_call **slot)
{
	struct sip_call *c = *slot;

	if (c == NULL)
		return;
	*slot = NULL;
	c->slot = NULL;
	c->cb = NULL;
	if (c->counted)
		c->s->num_calls--;
	c->counted = false;
	sip_call_hangup(c, 480);
}
