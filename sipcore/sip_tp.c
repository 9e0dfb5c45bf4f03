/* SPDX-License-Identifier: ISC */
/* Flows: one for each connection (and UDP peer, sip_udp.c).  Reads, frames,
 * sends, keeps alive, and tells its watchers when it is gone. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bellbird/clock.h"
#include "bellbird/log.h"
#include "internal.h"

/* Time for TCP to connect, on top of that of the TLS handshake. */
#define CONNECT_US (10 * SIPC_S)
/* A connection of ours that nobody watches any more lingers this long: the
 * last response is on its way. */
#define LINGER_US  (5 * SIPC_S)

/* Bytes the peer's system does not acknowledge for so long: six
 * retransmissions or so; Linux itself would go on for a quarter of an hour. */
enum { LOST_MS = 20000 };

static void flow_read(struct sip_flow *f);
static void on_flow_timer(void *arg);

/* Moves a UDP peer between those that are watched and those that may be
 * forgotten. */
static void
peer_move(struct sip_flow *f, bool idle)
{
	struct sip_stack *s = f->s;

	if (f->t != SIPC_UDP || f->idle == idle || f->fail_err != 0)
		return;
	TAILQ_REMOVE(idle ? &s->flows : &s->idle_peers, f, link);
	TAILQ_INSERT_TAIL(idle ? &s->idle_peers : &s->flows, f, link);
	s->num_idle += idle ? 1 : -1U;
	f->idle = idle;
}

void
sip_watch_set(
    struct sip_watch *w, struct sip_flow *f, sip_watch_cb *cb, void *arg)
{
	if (w->flow != f) {
		sip_watch_clear(w);
		w->flow = f;
		LIST_INSERT_HEAD(&f->watches, w, link);
		peer_move(f, false);
	}
	w->cb = cb;
	w->arg = arg;
}

void
sip_watch_clear(struct sip_watch *w)
{
	struct sip_flow *f = w->flow;

	if (f == NULL)
		return;
	LIST_REMOVE(w, link);
	w->flow = NULL;
	if (LIST_EMPTY(&f->watches))
		peer_move(f, true);
	/* A connection of ours without an owner has no purpose. */
	if (f->t != SIPC_UDP && f->outgoing && f->fail_err == 0 &&
	    LIST_EMPTY(&f->watches))
		ignore_err(timer_start(&f->timer, f->s->conf.loop, LINGER_US,
			       on_flow_timer, f),
		    "it goes with the stack then");
}

bool
sip_flow_is_reliable(const struct sip_flow *f)
{
	return f->t != SIPC_UDP;
}

struct sip_flow *
sip_flow_get(const struct sip_stack *s, uint64_t id)
{
	struct sip_hnode *n = sip_htab_first(&s->flow_ids, id);

	return n != NULL ? SIP_OBJ(n, struct sip_flow, by_id) : NULL;
}

bool
sip_flow_is_alive(const struct sip_stack *s, uint64_t flow)
{
	const struct sip_flow *f = sip_flow_get(s, flow);

	return f != NULL && f->up && f->fail_err == 0;
}

const struct tls_verdict *
sip_flow_verdict(const struct sip_flow *f)
{
	return f->c != NULL ? tls_conn_verdict(f->c) : NULL;
}

/* Ends `f`; `ours` is false if the connection frees itself. */
static void
flow_end(struct sip_flow *f, int err, bool ours)
{
	struct sip_stack *s = f->s;
	struct sip_flow *outer = s->dying;
	struct tls_conn *c = f->c;
	struct sip_watch *w;

	f->up = false;
	if (f->fail_err == 0)
		f->fail_err = err != 0 ? err : E_CLOSED;
	timer_stop(&f->timer);
	timer_stop(&f->ping);
	loop_undefer(&f->later);
	sip_htab_del(&s->flow_ids, &f->by_id);
	if (f->t == SIPC_UDP)
		sip_htab_del(&s->flow_peers, &f->by_peer);
	if (f->idle)
		s->num_idle--;
	TAILQ_REMOVE(f->idle ? &s->idle_peers : &s->flows, f, link);
	sip_hold(s);
	s->dying = f;
	while ((w = LIST_FIRST(&f->watches)) != NULL) {
		LIST_REMOVE(w, link);
		w->flow = NULL;
		if (w->cb != NULL)
			w->cb(SIP_FLOW_DOWN, f->fail_err, w->arg);
	}
	s->dying = outer;
	if (ours && c != NULL)
		tls_conn_free(c);
	free(f);
	(void)sip_release(s);
}

void
sip_flow_close(struct sip_flow *f, int err)
{
	flow_end(f, err, true);
}

/* From the loop: more to read, or the end that a failed write began. */
static void
on_later(void *arg)
{
	struct sip_flow *f = arg;

	if (f->fail_err != 0)
		flow_end(f, f->fail_err, true);
	else
		flow_read(f);
}

void
sip_flow_fail(struct sip_flow *f, int err)
{
	if (f->fail_err != 0)
		return;
	f->fail_err = err;
	loop_defer(f->s->conf.loop, &f->later, on_later, f);
}

int
sip_flow_send(struct sip_flow *f, const void *p, size_t n)
{
	int err;

	if (!f->up || f->fail_err != 0)
		return E_CLOSED;
	if (f->t == SIPC_UDP) {
		err = udp_send(f->sock->u, p, n, &f->remote);
		/* A full buffer is a lost datagram: it is sent again. */
		if (err == EAGAIN)
			err = 0;
	} else if ((err = tls_conn_write(f->c, p, n)) != 0) {
		/* Also a peer that does not read what it asked for. */
		sip_flow_fail(f, err);
	}
	if (err != 0)
		return err;
	f->s->stats.tx_msgs++;
	sip_trace_out(f, (struct slice){ p, n });
	return 0;
}

/* ---- reading ---- */

/* Closes a connection whose bytes are no SIP. */
static void
flow_bad(struct sip_flow *f, const char *why)
{
	f->s->stats.rx_bad++;
	log_warn(LOGC_SIP, f->id, "connection closed why=%s", why);
	flow_end(f, E_SIP_PARSE, true);
}

/* The same, but who may call is told what was wrong, as far as a request can
 * be made out. */
static void
flow_bad_frame(struct sip_flow *f, struct slice in)
{
	struct sip_src src = { f, NULL, f->remote };
	const struct sip_fault *bad = &f->frame.bad;
	struct sip_stack *s = f->s;
	struct tls_conn *c = f->c;
	struct sip_msg *m;

	in.n = bad->head;
	if (bad->code == 0 || !sip_may_call(s, &src) ||
	    sip_msg_read(&m, in, bad->code, bad->why) != 0) {
		flow_bad(f, bad->why);
		return;
	}
	sip_trace_in(s, &src, in);
	sip_reject(s, &src, m, m->fault, NULL);
	sip_msg_free(m);
	s->stats.rx_bad++;
	log_warn(LOGC_SIP, f->id, "connection closed why=%s", bad->why);
	/* Closed with bytes unread the answer might be lost: RFC 9293
	 * 3.10.4 makes that a reset. */
	f->c = NULL;
	sip_part(s, c);
	flow_end(f, E_SIP_PARSE, true);
}

/* Parses and dispatches `n` bytes of `in`; false if `f` is gone. */
static bool
flow_message(struct sip_flow *f, struct slice in, size_t n)
{
	struct sip_stack *s = f->s;
	struct sip_src src = { f, NULL, f->remote };
	uint64_t id = f->id;
	bool is_answer = n >= 4 && strncasecmp(in.p, "SIP/", 4) == 0;
	struct sip_msg *m;
	int err;

	in.n = n;
	err = sip_msg_read(&m, in, 0, NULL);
	sip_trace_in(s, &src, in); /* what cannot be read, above all */
	tls_conn_drain(f->c, n);
	/* Where the next message begins is known all the same: strangers lose
	 * their connection, and who speaks no SIP. */
	if ((err != 0 && !is_answer) ||
	    ((err != 0 || m->fault != 0) && !f->outgoing &&
		!sip_may_call(s, &src))) {
		if (err == 0)
			sip_msg_free(m);
		flow_bad(f, "a message that cannot be read");
		return false;
	}
	f->last_us = clock_mono_us();
	if (err != 0) {
		s->stats.rx_bad++;
		log_info(LOGC_SIP, f->id, "message dropped: it cannot be read");
		return true;
	}
	s->stats.rx_msgs++;
	sip_dispatch(s, &src, m);
	return !s->dead && sip_flow_get(s, id) == f && f->fail_err == 0;
}

/* Notes that a message has begun but not ended. */
static void
flow_partial(struct sip_flow *f, bool partial)
{
	if (!partial) {
		f->partial_us = 0;
	} else if (f->partial_us == 0) {
		f->partial_us = clock_mono_us();
		if (timer_start(&f->timer, f->s->conf.loop,
			SIPC_PARTIAL_S * SIPC_S, on_flow_timer, f) != 0)
			sip_flow_fail(f, ENOMEM);
	}
}

/* Handles what one look at the input finds; false: stop for now. */
static bool
flow_step(struct sip_flow *f, bool *gone)
{
	struct slice in = tls_conn_peek(f->c);
	enum sip_frame_ev ev;
	size_t n;

	ev = sip_frame_next(&f->frame, in, &n);
	switch (ev) {
	case SIP_FRAME_MORE:
		/* A line end that waits for a second one is no message. */
		flow_partial(f, in.n > 0 && in.p[0] != '\r');
		return false;
	case SIP_FRAME_MSG:
		f->partial_us = 0;
		*gone = !flow_message(f, in, n);
		return !*gone;
	case SIP_FRAME_CRLF:
		tls_conn_drain(f->c, n);
		sip_flow_pong(f);
		return true;
	case SIP_FRAME_PING:
		tls_conn_drain(f->c, n);
		f->last_us = clock_mono_us();
		if (tls_conn_write(f->c, "\r\n", 2) != 0)
			sip_flow_fail(f, E_CLOSED);
		return true;
	case SIP_FRAME_BAD:
	default:
		*gone = true;
		flow_bad_frame(f, in);
		return false;
	}
}

/* Reads messages until the input is used up, or others must have a turn. */
static void
flow_read(struct sip_flow *f)
{
	struct sip_stack *s = f->s;
	bool gone = false;
	int burst = 0;

	sip_hold(s);
	while (
	    f->fail_err == 0 && burst < SIPC_BURST_MAX && flow_step(f, &gone))
		burst++;
	if (!gone && burst == SIPC_BURST_MAX && f->fail_err == 0)
		loop_defer(s->conf.loop, &f->later, on_later, f);
	(void)sip_release(s);
}

/* The connection stands. */
static void
flow_up(struct sip_flow *f)
{
	struct sip_watch *w = LIST_FIRST(&f->watches);

	f->up = true;
	f->last_us = clock_mono_us();
	tls_conn_local(f->c, &f->local);
	timer_stop(&f->timer);
	/* Who wanted it has gone meanwhile: so does it. */
	if (w == NULL &&
	    timer_start(
		&f->timer, f->s->conf.loop, LINGER_US, on_flow_timer, f) != 0)
		sip_flow_fail(f, ENOMEM);
	if (w != NULL && w->cb != NULL)
		w->cb(SIP_FLOW_UP, 0, w->arg);
}

/* tls_conn_cb. */
static void
on_conn(struct tls_conn *c, enum tls_event ev, int err, void *arg)
{
	struct sip_flow *f = arg;
	const struct tls_verdict *v = tls_conn_verdict(c);

	switch (ev) {
	case TLS_EV_UP:
		flow_up(f);
		break;
	case TLS_EV_DATA:
		if (f->up)
			flow_read(f);
		break;
	case TLS_EV_DRAINED:
		break;
	case TLS_EV_CLOSED:
		/* The verdict knows best: in TLS 1.3 our certificate may be
		 * refused after the handshake. */
		if (v->err != 0)
			err = v->err;
		flow_end(f, err != 0 ? err : E_CLOSED, false);
		break;
	}
}

/* One timer for three matters: connecting, a message that does not end, and
 * connections nobody uses. */
static void
on_flow_timer(void *arg)
{
	struct sip_flow *f = arg;
	int64_t now = clock_mono_us(), wait;

	if (!f->up) {
		flow_end(f, ETIMEDOUT, true);
		return;
	}
	if (f->partial_us != 0 &&
	    now - f->partial_us >= SIPC_PARTIAL_S * SIPC_S) {
		flow_bad(f, "a message did not end in time");
		return;
	}
	if (f->outgoing) {
		if (LIST_EMPTY(&f->watches))
			flow_end(f, 0, true);
		return;
	}
	wait = SIPC_IDLE_S * SIPC_S - (now - f->last_us);
	if (wait <= 0 && LIST_EMPTY(&f->watches) && f->trusted == 0) {
		log_info(LOGC_SIP, f->id, "idle connection closed");
		flow_end(f, 0, true);
		return;
	}
	if (wait <= 0)
		wait = SIPC_IDLE_S * SIPC_S;
	if (f->partial_us != 0 &&
	    wait > f->partial_us + SIPC_PARTIAL_S * SIPC_S - now)
		wait = f->partial_us + SIPC_PARTIAL_S * SIPC_S - now;
	if (timer_start(&f->timer, f->s->conf.loop, wait, on_flow_timer, f) !=
	    0)
		sip_flow_fail(f, ENOMEM);
}

/* Puts a new stream flow into the tables. */
static struct sip_flow *
flow_new(struct sip_stack *s, enum sip_transport t)
{
	struct sip_flow *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	f->s = s;
	f->id = ++s->next_flow;
	f->t = t;
	f->last_us = clock_mono_us();
	LIST_INIT(&f->watches);
	sip_htab_add(&s->flow_ids, &f->by_id, f->id);
	TAILQ_INSERT_TAIL(&s->flows, f, link);
	return f;
}

int
sip_flow_connect(struct sip_stack *s, const struct sip_flow_conf *conf,
    struct sip_watch *w, sip_watch_cb *cb, void *arg)
{
	struct sip_flow *f = flow_new(s, conf->t);
	struct tls_conn_conf cc = {
		.policy = conf->t == SIPC_TLS ? conf->policy : NULL,
		.remote = conf->remote,
		.host = conf->host,
		.dns_us = conf->dns_us,
		.dscp = s->conf.dscp,
		.lost_ms = LOST_MS,
		.cb = on_conn,
		.arg = f,
	};
	int64_t limit = CONNECT_US;
	int err;

	if (f == NULL)
		return ENOMEM;
	f->outgoing = true;
	f->remote = conf->remote;
	if (cc.policy != NULL)
		limit += cc.policy->handshake_ms * SIPC_MS;
	if (conf->limit_us > 0 && conf->limit_us < limit)
		limit = conf->limit_us;
	err = timer_start(&f->timer, s->conf.loop, limit, on_flow_timer, f);
	if (err == 0)
		err = tls_conn_connect(&f->c, s->conf.tls, &cc);
	if (err != 0) {
		flow_end(f, err, true);
		return err;
	}
	sip_watch_set(w, f, cb, arg);
	return 0;
}

void
sip_flow_accept(struct tls_conn *c, void *arg)
{
	struct sip_listener *li = arg;
	struct sip_stack *s = li->s;
	struct sip_flow *f = flow_new(s, li->t);

	if (f == NULL) {
		tls_conn_free(c);
		return;
	}
	f->c = c;
	f->up = true;
	tls_conn_remote(c, &f->remote);
	tls_conn_local(c, &f->local);
	tls_conn_set_cb(c, on_conn, f);
	if (timer_start(&f->timer, s->conf.loop, SIPC_PARTIAL_S * SIPC_S,
		on_flow_timer, f) != 0) {
		flow_end(f, ENOMEM, true);
		return;
	}
	/* The first bytes may be here already. */
	loop_defer(s->conf.loop, &f->later, on_later, f);
}
