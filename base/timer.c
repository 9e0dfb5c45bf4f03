/* SPDX-License-Identifier: ISC */
/* Timers: a binary heap of timers embedded in their owners.
 * loop.c keeps one kernel timer set for the first of them. */
#include <assert.h>
#include <stdlib.h>

#include "bellbird/clock.h"
#include "internal.h"

/* Enough for a registered endpoint without a second allocation. */
enum { HEAP_CAP_FIRST = 32 };

/* Order by time, then by who was started first. */
static bool
is_before(const struct timer *a, const struct timer *b)
{
	if (a->due_us != b->due_us)
		return a->due_us < b->due_us;
	return a->seq < b->seq;
}

/* Puts `t` where it belongs, starting at the hole `pos`. */
static void
sift(struct loop *l, size_t pos, struct timer *t)
{
	struct timer **h = l->heap;
	size_t kid;

	while (pos > 1 && is_before(t, h[pos / 2])) {
		h[pos] = h[pos / 2];
		h[pos]->heap_pos = pos;
		pos /= 2;
	}
	while ((kid = pos * 2) <= l->num_timers) {
		if (kid < l->num_timers && is_before(h[kid + 1], h[kid]))
			kid++;
		if (!is_before(h[kid], t))
			break;
		h[pos] = h[kid];
		h[pos]->heap_pos = pos;
		pos = kid;
	}
	h[pos] = t;
	t->heap_pos = pos;
}

/* Makes room for one more timer. */
static int
heap_grow(struct loop *l)
{
	size_t cap = l->cap_timers != 0 ? l->cap_timers * 2 : HEAP_CAP_FIRST;
	struct timer **heap;

	if (l->num_timers + 1 < l->cap_timers)
		return 0;
	if (cap > SIZE_MAX / sizeof(*heap))
		return ENOMEM;
	if ((heap = realloc(l->heap, cap * sizeof(*heap))) == NULL)
		return ENOMEM;
	l->heap = heap;
	l->cap_timers = cap;
	return 0;
}

int
timer_start(
    struct timer *t, struct loop *l, int64_t delay_us, timer_cb *cb, void *arg)
{
	int64_t now = clock_mono_us();

	if (delay_us < 0)
		delay_us = 0;
	if (delay_us > INT64_MAX - now)
		delay_us = INT64_MAX - now;
	return timer_start_at(t, l, now + delay_us, cb, arg);
}

int
timer_start_at(
    struct timer *t, struct loop *l, int64_t due_us, timer_cb *cb, void *arg)
{
	size_t pos;
	int err;

	assert(cb != NULL);
	if (t->heap_pos != 0 && t->l != l)
		timer_stop(t);
	if (t->heap_pos == 0 && (err = heap_grow(l)) != 0)
		return err;
	pos = t->heap_pos != 0 ? t->heap_pos : ++l->num_timers;
	t->l = l;
	t->cb = cb;
	t->arg = arg;
	t->due_us = due_us;
	t->seq = ++l->timer_seq;
	sift(l, pos, t);
	return 0;
}

void
timer_stop(struct timer *t)
{
	struct loop *l = t->l;
	struct timer *last;
	size_t pos = t->heap_pos;

	if (pos == 0)
		return;
	assert(l->heap[pos] == t);
	last = l->heap[l->num_timers--];
	if (last != t)
		sift(l, pos, last);
	t->heap_pos = 0;
	t->l = NULL;
}

bool
timer_is_armed(const struct timer *t)
{
	return t->heap_pos != 0;
}

void
timers_run(struct loop *l)
{
	int64_t now = clock_mono_us(), t0;
	size_t left = l->num_timers; /* a timer of 0 must not starve the io */
	struct timer *t;
	timer_cb *cb;
	void *arg;

	while (left-- > 0 && l->num_timers > 0 && !l->stopping) {
		t = l->heap[1];
		if (t->due_us > now)
			break;
		cb = t->cb;
		arg = t->arg;
		timer_stop(t);
		t0 = loop_enter(l);
		cb(arg); /* may have freed `t` */
		loop_leave(l, t0, "timer");
	}
}

int64_t
timers_next_us(const struct loop *l)
{
	return l->num_timers > 0 ? l->heap[1]->due_us : INT64_MAX;
}

void
timers_detach(struct loop *l)
{
	for (size_t i = 1; i <= l->num_timers; i++) {
		l->heap[i]->heap_pos = 0;
		l->heap[i]->l = NULL;
	}
	l->num_timers = 0;
}
