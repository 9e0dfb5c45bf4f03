/* SPDX-License-Identifier: ISC */
/* The trace: masked messages for whoever listens, and a ring of the newest for
 * the question that comes after a failure. */
#include <stdlib.h>
#include <string.h>

#include "bellbird/clock.h"
#include "bellbird/log.h"
#include "bellbird/mem.h"
#include "internal.h"

/* To mask costs fifty times what copying does.  So the ring takes messages as
 * they are and masks what is still there of them a moment later: under load
 * most have been overwritten by then. */
#define MASK_US (200 * SIPC_MS)

/* One kept message; its text stands behind it. */
struct kept {
	size_t size; /* with the text, rounded up */
	bool masked;
	struct sip_trace_msg m;
};

/* ---- the ring ---- */

/* Drops the oldest; what is not masked yet may outlive it in a gap. */
static void
ring_drop(struct sip_trace_ring *r)
{
	struct kept *k = (void *)(r->mem + r->head);

	if (!k->masked)
		mem_wipe(k + 1, k->m.msg.n);
	r->head += k->size;
	r->num--;
	if (r->head == r->end) {
		r->head = 0;
		r->end = r->size;
	}
}

/* Makes room for `n` bytes behind the newest (or at the front). */
static struct kept *
ring_room(struct sip_trace_ring *r, size_t n)
{
	struct kept *k;

	if (r->tail + n > r->size) {
		while (r->num > 0 && r->head >= r->tail)
			ring_drop(r);
		r->end = r->tail;
		r->tail = 0;
	}
	while (r->num > 0 && r->head >= r->tail && r->head < r->tail + n)
		ring_drop(r);
	if (r->num == 0) {
		r->head = r->tail = 0;
		r->end = r->size;
	}
	k = (void *)(r->mem + r->tail);
	r->tail += n;
	r->num++;
	return k;
}

/* A stranger's datagram: some a second are evidence, more would only push out
 * what is worth keeping. */
static bool
is_flood(struct sip_trace_ring *r, const struct sip_trace_msg *m)
{
	if (m->flow != 0)
		return false;
	if (m->at_us / SIPC_S != r->stranger_s) {
		r->stranger_s = m->at_us / SIPC_S;
		r->strangers = 0;
	}
	return ++r->strangers > SIPC_TRACE_STRANGERS;
}

/* Masks what is not yet. */
static void
ring_mask(struct sip_trace_ring *r)
{
	size_t at = r->head;

	timer_stop(&r->timer);
	for (size_t i = 0; i < r->num; i++) {
		struct kept *k = (void *)(r->mem + at);

		if (!k->masked)
			sip_mask((char *)(k + 1), k->m.msg.n);
		k->masked = true;
		at += k->size;
		if (at == r->end)
			at = 0;
	}
}

/* timer_cb. */
static void
on_mask(void *arg)
{
	ring_mask(arg);
}

/* Keeps `m`, of which `text` (masked, or NULL: that is still to do) is the
 * text. */
static void
keep(struct sip_stack *s, const struct sip_trace_msg *m, const char *raw,
    const char *text)
{
	struct sip_trace_ring *r = &s->kept;
	size_t n = m->full_n, size;
	struct kept *k;
	char *to;

	/* A long one must not push out all others. */
	if (n > r->size / 8)
		n = r->size / 8;
	size = (sizeof(*k) + n + 15) & ~(size_t)15;
	if (r->mem == NULL && (r->mem = malloc(r->size)) == NULL)
		return;
	k = ring_room(r, size);
	k->size = size;
	k->m = *m;
	to = (char *)(k + 1);
	memcpy(to, text != NULL ? text : raw, n);
	k->m.msg = (struct slice){ to, n };
	k->masked = text != NULL;
	if (!k->masked && !timer_is_armed(&r->timer) &&
	    timer_start(&r->timer, s->conf.loop, MASK_US, on_mask, r) != 0)
		ring_mask(r);
}

/* Empties it. */
static void
ring_clear(struct sip_trace_ring *r)
{
	timer_stop(&r->timer);
	if (r->mem != NULL)
		mem_wipe(r->mem, r->size);
	free(r->mem);
	r->mem = NULL;
	r->head = r->tail = r->num = 0;
	r->end = r->size;
}

void
sip_stack_keep(struct sip_stack *s, size_t bytes)
{
	struct sip_trace_ring *r = &s->kept;

	ring_clear(r);
	if (bytes > SIPC_TRACE_MAX)
		bytes = SIPC_TRACE_MAX;
	if (bytes > 0 && bytes < SIPC_TRACE_MIN)
		bytes = SIPC_TRACE_MIN;
	r->size = r->end = bytes & ~(size_t)15;
}

void
sip_stack_kept(struct sip_stack *s, sip_trace_cb *cb, void *arg)
{
	struct sip_trace_ring *r = &s->kept;
	size_t at = r->head;

	ring_mask(r);
	for (size_t i = 0; i < r->num; i++) {
		const struct kept *k = (const void *)(r->mem + at);

		cb(&k->m, arg);
		at += k->size;
		if (at == r->end)
			at = 0;
	}
}

/* ---- each message ---- */

/* Tells all who want to know of a message. */
static void
trace(struct sip_stack *s, struct sip_trace_msg *m, const char *raw)
{
	bool loud = log_on(LOGL_TRACE, LOGC_SIP);
	char *text = NULL;

	m->seq = ++s->trace_seq;
	m->at_us = clock_wall_us();
	if (s->on_trace != NULL || loud) {
		if ((text = malloc(m->full_n)) == NULL)
			return;
		memcpy(text, raw, m->full_n);
		sip_mask(text, m->full_n);
		m->msg = (struct slice){ text, m->full_n };
	}
	if (loud)
		log_trace(LOGC_SIP, m->flow, "%s %s",
		    m->sent ? "sent" : "received", esc_n(text, m->full_n));
	if (s->on_trace != NULL)
		s->on_trace(m, s->trace_arg);
	if (s->kept.size != 0 && !is_flood(&s->kept, m))
		keep(s, m, raw, text);
	free(text);
}

/* Does nobody want to know? */
static bool
is_idle(const struct sip_stack *s)
{
	return s->kept.size == 0 && s->on_trace == NULL &&
	    !log_on(LOGL_TRACE, LOGC_SIP);
}

/* What a flow knows of its messages. */
static void
of_flow(struct sip_trace_msg *m, struct sip_flow *f)
{
	m->t = f->t;
	m->flow = f->id;
	m->local = f->local;
	m->remote = f->remote;
	m->at = m->sent ? f->traced_out : f->traced_in;
	m->peer_at = m->sent ? f->traced_in : f->traced_out;
}

void
sip_trace_out(struct sip_flow *f, struct slice msg)
{
	struct sip_trace_msg m = { .sent = true, .full_n = msg.n };

	if (!is_idle(f->s)) {
		of_flow(&m, f);
		trace(f->s, &m, msg.p);
	}
	f->traced_out += (uint32_t)msg.n;
}

void
sip_trace_in(struct sip_stack *s, const struct sip_src *src, struct slice msg)
{
	struct sip_trace_msg m = { .full_n = msg.n, .remote = src->from };

	if (!is_idle(s)) {
		if (src->flow != NULL)
			of_flow(&m, src->flow);
		else
			udp_local(src->sock->u, &m.local);
		trace(s, &m, msg.p);
	}
	if (src->flow != NULL)
		src->flow->traced_in += (uint32_t)msg.n;
}

void
sip_stack_trace(struct sip_stack *s, sip_trace_cb *cb, void *arg)
{
	s->on_trace = cb;
	s->trace_arg = arg;
}

/* ---- briefly ---- */

/* Takes the first word of `*s`. */
static struct slice
word_take(struct slice *s)
{
	struct slice w;

	*s = slice_trim(*s);
	(void)slice_cut(*s, ' ', &w, s);
	return w;
}

/* A field of interest. */
static void
brief_field(struct sip_trace_brief *b, struct slice name, struct slice value)
{
	struct slice number, rest, type;

	if (slice_case_is(name, "cseq")) {
		rest = slice_trim(value);
		number = word_take(&rest);
		b->cseq = number;
		if (b->code != 0)
			b->method = slice_trim(rest);
	} else if (slice_case_is(name, "call-id") || slice_case_is(name, "i")) {
		b->call_id = slice_trim(value);
	} else if (slice_case_is(name, "content-type") ||
	    slice_case_is(name, "c")) {
		(void)slice_cut(value, ';', &type, &rest);
		b->sdp = slice_case_is(slice_trim(type), "application/sdp");
	}
}

void
sip_trace_brief(struct sip_trace_brief *b, struct slice msg)
{
	struct slice line, name, value, rest = msg;
	int64_t code;

	memset(b, 0, sizeof(*b));
	if (!slice_line(&rest, &line))
		return;
	name = word_take(&line);
	if (slice_case_is(name, "SIP/2.0")) {
		if (str_int(word_take(&line), 100, 999, &code) == 0)
			b->code = (int)code;
		b->reason = slice_trim(line);
	} else {
		b->method = name;
	}
	while (slice_line(&rest, &line) && line.n > 0) {
		if (line.p[0] != ' ' && line.p[0] != '\t' &&
		    slice_cut(line, ':', &name, &value))
			brief_field(b, slice_trim(name), value);
	}
}
