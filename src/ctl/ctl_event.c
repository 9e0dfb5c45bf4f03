/* SPDX-License-Identifier: ISC */
/* The ring of events: each gets a number that rises by one, and its line is
 * kept for clients that ask for what they missed.  The lines lie one behind the
 * other in one piece of memory: among the allocations of calls they would keep
 * a page each from being given back. */
#include <stdlib.h>
#include <string.h>

#include "bellbird/clock.h"
#include "internal.h"

/* Room for "2026-11-24T13:37:54.123Z" and a NUL. */
enum { ISO_SIZE = 32 };

void
ctl_ring_clear(struct ctl_ring *r)
{
	r->first = r->count = r->bytes = 0;
	free(r->mem);
	r->mem = NULL;
	buf_clear(&r->room);
}

/* The oldest one falls out; its place is free. */
static void
drop_oldest(struct ctl_ring *r)
{
	r->bytes -= r->line[r->first].n;
	r->first = (r->first + 1) % CTL_RING_EVENTS;
	r->count--;
}

/* Makes `n` bytes free in a row. */
static char *
place_make(struct ctl_ring *r, size_t n)
{
	const struct ctl_ring_line *old = &r->line[r->first], *last;
	size_t at = 0, gap;

	if (r->count > 0) {
		last = &r->line[(r->first + r->count - 1) % CTL_RING_EVENTS];
		at = (size_t)(last->text - r->mem) + last->n;
		gap = (size_t)(old->text - r->mem);
		/* Back to the start at the end, or where there is more room
		 * than in use: pages never touched cost nothing. */
		if (CTL_RING_BYTES - at < n || (gap < at && gap > r->bytes + n))
			at = 0;
	}
	while (r->count == CTL_RING_EVENTS ||
	    (r->count > 0 && r->line[r->first].text < r->mem + at + n &&
		r->line[r->first].text + r->line[r->first].n > r->mem + at))
		drop_oldest(r);
	return r->mem + at;
}

/* The event as a line of text.  `event` is one of our own words. */
static int
line_print(const char *event, uint64_t seq, struct jv *fields, struct buf *b)
{
	/* The three of the frame are not for callers. */
	static const char *const frame[] = { "event", "seq", "time", NULL };
	char iso[ISO_SIZE];
	int err;

	clock_iso(iso, sizeof(iso), clock_wall_us());
	err = buf_printf(b, "{\"event\":\"%s\",\"seq\":%llu,\"time\":\"%s\"",
	    event, (unsigned long long)seq, iso);
	if (err == 0 && fields != NULL)
		err = jv_print_members(fields, frame, b);
	return err == 0 ? buf_add(b, "}\n", 2) : err;
}

int
ctl_ring_add(struct ctl_ring *r, const char *event, struct jv *fields,
    const struct ctl_ring_line **out)
{
	struct ctl_ring_line *l;
	struct buf *b = &r->room;
	char *text = NULL;
	int err;

	if (b->max == 0)
		buf_init(b, CTL_EVENT_MAX);
	buf_reset(b);
	err = line_print(event, ++r->seq, fields, b);
	jv_free(fields);
	if (err == 0 && r->mem == NULL &&
	    (r->mem = malloc(CTL_RING_BYTES)) == NULL)
		err = ENOMEM;
	if (err != 0) {
		buf_clear(b);
		return err;
	}
	text = place_make(r, b->n);
	memcpy(text, b->p, b->n);
	l = &r->line[(r->first + r->count) % CTL_RING_EVENTS];
	l->n = b->n;
	if (b->cap > CTL_ROOM_KEPT)
		buf_clear(b);
	l->seq = r->seq;
	l->text = text;
	r->bytes += l->n;
	r->count++;
	*out = l;
	return 0;
}

const struct ctl_ring_line *
ctl_ring_next(const struct ctl_ring *r, uint64_t since)
{
	size_t lo = 0, hi = r->count, mid;

	/* Numbers rise, perhaps with holes: the first one above `since`. */
	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (r->line[(r->first + mid) % CTL_RING_EVENTS].seq > since)
			hi = mid;
		else
			lo = mid + 1;
	}
	if (lo == r->count)
		return NULL;
	return &r->line[(r->first + lo) % CTL_RING_EVENTS];
}
