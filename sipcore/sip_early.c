/* SPDX-License-Identifier: ISC */
/* Early dialogs of an INVITE of ours: one for each branch of it that answered
 * (RFC 3261 12.1.2, 13.2.2), their reliable answers (RFC 3262 4), and offers
 * by UPDATE before a call stands (RFC 3311). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellbird/log.h"
#include "internal.h"

static const struct slice none = { NULL, 0 };

/* ---- life ---- */

/* Nothing of the call points at it any more. */
static void
early_free(struct sip_early *e)
{
	struct sip_call *c = e->c;

	if (c->due == e)
		c->due = NULL;
	if (c->re_early == e)
		c->re_early = NULL;
	if (c->upd_early == e)
		c->upd_early = NULL;
	TAILQ_REMOVE(&c->earlies, e, link);
	c->num_earlies--;
	sip_ctxn_detach(&e->prack);
	sip_dlg_clear(c->s, &e->dlg);
	free(e->sdp);
	free(e);
}

/* Fills in the dialog: as the call's own, but with the peer of this answer. */
static int
early_fill(struct sip_early *e, const struct sip_msg *m)
{
	const struct sip_dlg *of = &e->c->dlg;
	struct sip_dlg *d = &e->dlg;

	memcpy(d->local_tag, of->local_tag, sizeof(d->local_tag));
	d->lcseq = of->lcseq;
	d->secure = of->secure;
	d->sips = of->sips;
	d->call_id = strdup(of->call_id);
	d->local = strdup(of->local);
	d->target = strdup(of->target);
	d->contact = of->contact != NULL ? strdup(of->contact) : NULL;
	if (d->call_id == NULL || d->local == NULL || d->target == NULL ||
	    (of->contact != NULL && d->contact == NULL))
		return ENOMEM;
	return sip_dlg_out(d, m);
}

/* The early dialog of that answer; NULL if there is none. */
static struct sip_early *
early_find(const struct sip_call *c, const struct sip_msg *m)
{
	struct sip_early *e;

	TAILQ_FOREACH (e, &c->earlies, link) {
		if (sip_dlg_is(&e->dlg, m))
			return e;
	}
	return NULL;
}

/* .. or a new one; NULL if it cannot be had. */
static struct sip_early *
early_get(struct sip_call *c, const struct sip_msg *m)
{
	struct sip_early *e;

	if (m->to_tag.n == 0)
		return NULL;
	if ((e = early_find(c, m)) != NULL)
		return e;
	if (c->num_earlies >= SIPC_EARLY_MAX) {
		log_info(LOGC_SIP, m->flow,
		    "more branches ring than can be followed id=%s", c->id_esc);
		return NULL;
	}
	if ((e = calloc(1, sizeof(*e))) == NULL)
		return NULL;
	e->c = c;
	e->dlg.early = e;
	e->id = ++c->last_early;
	TAILQ_INSERT_TAIL(&c->earlies, e, link);
	c->num_earlies++;
	if (early_fill(e, m) != 0) {
		early_free(e);
		return NULL;
	}
	sip_htab_add(&c->s->dlgs, &e->dlg.node,
	    sip_dlg_hash(
		c->s, slice_of(c->dlg.call_id), slice_of(c->dlg.local_tag)));
	return e;
}

/* Nobody will answer an UPDATE of the peer any more. */
static void
upd_refuse(struct sip_call *c)
{
	if (c->upd != NULL)
		ignore_err(sip_req_reply(c->upd, 481, NULL, NULL, NULL, none),
		    "its dialog is over");
}

void
sip_earlies_clear(struct sip_call *c)
{
	struct sip_early *e;

	/* An UPDATE of ours goes with its dialog. */
	if (c->re_early != NULL) {
		sip_ctxn_stop(&c->re);
		timer_stop(&c->re_timer);
		free(c->offer);
		c->offer = NULL;
		c->re_early = NULL;
	}
	if (c->upd_early != NULL)
		upd_refuse(c);
	while ((e = TAILQ_FIRST(&c->earlies)) != NULL)
		early_free(e);
}

struct sip_dlg *
sip_call_dlg_of(struct sip_call *c, const struct sip_msg *m)
{
	struct sip_early *e = early_find(c, m);

	return e != NULL ? &e->dlg : &c->dlg;
}

/* Keeps what the peer said in this dialog. */
static int
sdp_note(struct sip_early *e, struct slice sdp)
{
	char *copy = slice_dup(sdp);

	if (copy == NULL)
		return ENOMEM;
	free(e->sdp);
	e->sdp = copy;
	e->sdp_n = sdp.n;
	return 0;
}

/* ---- PRACK ---- */

static int prack_send(struct sip_early *e);

/* sip_ctxn_cb.  A refusal changes nothing: the INVITE's final answer says
 * what becomes of the call. */
static void
on_prack_answer(struct sip_msg **rsp, int err, void *arg)
{
	struct sip_early *e = arg;
	const struct sip_msg *m = *rsp;
	struct sip_auth_rule rule;

	if (m == NULL)
		log_info(LOGC_SIP, 0, "PRACK not answered id=%s: %s",
		    e->c->id_esc, err_str(err));
	else if ((m->code == 401 || m->code == 407) &&
	    sip_call_challenged(e->c, m, &rule) == 0)
		ignore_err(prack_send(e), "the peer sends its answer again");
	else if (m->code >= 300)
		log_info(LOGC_SIP, m->flow, "PRACK refused code=%d id=%s",
		    m->code, e->c->id_esc);
}

/* Acknowledges the last reliable answer; with our answer if that was an
 * offer. */
static int
prack_send(struct sip_early *e)
{
	struct sip_call *c = e->c;
	char rack[64];
	struct sip_call_rq rq = { .method = "PRACK",
		.headers = rack,
		.cb = on_prack_answer,
		.arg = e,
		.dlg = &e->dlg };

	if (c->late && e->agreed && c->sdp_n > 0)
		rq.sdp = (struct slice){ c->sdp, c->sdp_n };
	(void)snprintf(
	    rack, sizeof(rack), "RAck: %u %u INVITE\r\n", e->rseq, c->inv_cseq);
	/* The one before is answered, or will not be (its answer is out of
	 * date anyway). */
	sip_ctxn_detach(&e->prack);
	return sip_call_request(c, &e->prack, &rq);
}

int
sip_early_answer(struct sip_call *c, struct slice sdp)
{
	struct sip_early *e = c->due;
	int err;

	if ((err = sip_call_sdp_set(c, sdp)) != 0)
		return err;
	c->due = NULL;
	e->agreed = true;
	return prack_send(e);
}

/* The RSeq of an answer that wants a PRACK; 0: it wants none. */
static uint32_t
rseq_of(const struct sip_msg *m)
{
	const char *v = sip_msg_find(m, "RSeq", 0);
	int64_t n;

	if (v == NULL || !sip_msg_has(m, SIPH_REQUIRE, "100rel") ||
	    str_int(slice_of(v), 1, UINT32_MAX, &n) != 0)
		return 0;
	return (uint32_t)n;
}

/* A reliable answer in order: PRACK goes out, unless our answer to its offer
 * has to go with it. */
static void
reliable_take(struct sip_early *e, const struct sip_msg *m, struct slice *sdp)
{
	struct sip_call *c = e->c;

	if (e->agreed)
		*sdp = none; /* RFC 3261 13.2.1: one answer, which holds */
	if (sdp->n > 0 && sdp_note(e, *sdp) != 0)
		*sdp = none;
	if (sdp->n > 0 && c->late) {
		c->due = e;
		c->ev_offer = true;
		return;
	}
	if (sdp->n > 0)
		e->agreed = true;
	if (prack_send(e) != 0)
		log_info(LOGC_SIP, m->flow, "PRACK not sent id=%s", c->id_esc);
}

bool
sip_early_take(struct sip_call *c, const struct sip_msg *m, struct slice *sdp)
{
	struct sip_early *e = early_get(c, m);
	uint32_t rseq = rseq_of(m);

	c->ev_early = 0;
	*sdp = sip_msg_is_sdp(m) ? m->body : none;
	if (e == NULL)
		return rseq == 0;
	if (rseq != 0 && e->rseq != 0 && rseq != e->rseq + 1)
		return false; /* said again, or out of order: RFC 3262 4 */
	c->ev_early = e->id;
	e->no_update = !sip_msg_has(m, SIPH_ALLOW, "UPDATE");
	if (rseq != 0) {
		e->rseq = rseq;
		reliable_take(e, m, sdp);
	} else if (c->late || e->agreed ||
	    (sdp->n > 0 && sdp_note(e, *sdp) != 0)) {
		/* What is not reliable makes no offer (RFC 3262 5), and
		 * changes no answer. */
		*sdp = none;
	}
	return true;
}

bool
sip_early_win(
    struct sip_call *c, const struct sip_msg *m, char **sdp, size_t *sdp_n)
{
	struct sip_early *e = early_find(c, m);
	bool agreed = false;

	*sdp = NULL;
	*sdp_n = 0;
	if (e != NULL) {
		c->ev_early = e->id;
		c->dlg.lcseq = e->dlg.lcseq;
		c->dlg.rcseq = e->dlg.rcseq;
		c->dlg.rcseq_set = e->dlg.rcseq_set;
		agreed = e->agreed;
		*sdp = e->sdp;
		*sdp_n = e->sdp_n;
		e->sdp = NULL;
		/* What is under way in it goes on in the call. */
		if (c->re_early == e)
			c->re_early = NULL;
		if (c->upd_early == e)
			c->upd_early = NULL;
	}
	sip_earlies_clear(c);
	return agreed;
}

/* ---- UPDATE before the call stands ---- */

/* Header lines of an answer to UPDATE. */
static int
update_headers(const struct sip_dlg *d, struct buf *b)
{
	return buf_printf(b,
	    "Contact: %s\r\nAllow: " SIPC_ALLOW "\r\nSupported: " SIPC_SUPPORTED
	    "\r\n",
	    d->contact);
}

int
sip_early_reply(struct sip_call *c, int code, struct slice sdp)
{
	struct sip_req *r = c->upd;
	struct sip_early *e = c->upd_early;
	struct sip_dlg *d = e != NULL ? &e->dlg : &c->dlg;
	bool update = sip_msg_is(r->msg, "UPDATE"), ok = code < 300;
	struct buf b;
	int err = 0;

	buf_init(&b, SIPC_HEAD_MAX);
	if (ok && e != NULL && r->msg->body.n > 0)
		err = sdp_note(e, r->msg->body);
	if (err == 0 && update && ok) {
		sip_dlg_retarget(d, r->msg);
		err = update_headers(d, &b);
	}
	if (err == 0) {
		c->upd = NULL;
		c->upd_early = NULL;
		err = sip_req_reply(r, code, NULL, b.n > 0 ? buf_str(&b) : NULL,
		    "application/sdp", sdp);
	}
	buf_clear(&b);
	/* What waited for a PRACK goes out now that it is answered whole. */
	if (err == 0 && !update)
		sip_rel_next(c);
	return err;
}

/* Not now: RFC 3311 5.2. */
static void
refuse_later(struct sip_req *r)
{
	char line[40];

	(void)snprintf(line, sizeof(line), "Retry-After: %u\r\n",
	    (unsigned int)(tls_random_id() % 11));
	ignore_err(sip_req_reply(r, 500, NULL, line, NULL, none),
	    "the peer asks again");
}

void
sip_early_offered(struct sip_call *c, struct sip_req *r)
{
	struct sip_early *e = early_find(c, r->msg);
	bool agreed = e != NULL ? e->agreed : c->incoming && c->agreed;

	if (r->msg->body.n == 0) {
		/* A new target, no more. */
		struct sip_req *before = c->upd;
		struct sip_early *before_early = c->upd_early;

		c->upd = r;
		c->upd_early = e;
		ignore_err(
		    sip_early_reply(c, 200, none), "the peer asks again");
		c->upd = before;
		c->upd_early = before_early;
		return;
	}
	if (c->re != NULL) {
		ignore_err(sip_req_reply(r, 491, NULL, NULL, NULL, none),
		    "the peer asks again");
		return;
	}
	if (!agreed || c->upd != NULL || c->rel.waiting) {
		refuse_later(r);
		return;
	}
	c->upd = r;
	c->upd_early = e;
	r->call = c;
	c->ev_early = e != NULL ? e->id : 0;
	sip_call_emit(c, SIP_CALL_OFFER, 0, NULL, r->msg->body);
}

struct sip_early *
sip_early_for_offer(const struct sip_call *c)
{
	struct sip_early *e;

	TAILQ_FOREACH_REVERSE(e, &c->earlies, sip_earlies, link)
	{
		if (e->agreed && !e->no_update)
			return e;
	}
	return NULL;
}
