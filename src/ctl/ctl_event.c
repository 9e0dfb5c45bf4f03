/* SPDX-License-Identifier: ISC */
/* The ring of events: each gets a number that rises by one, and its line is
 * kept for clients that ask for what they missed. */
#include <stdlib.h>
#include <string.h>

#include "bellbird/clock.h"
#include "internal.h"

/* Room for "2026-11-24T13:37:54.123Z" and a NUL. */
enum { ISO_SIZE = 32 };

static void drop_oldest(struct ctl_ring *r);

void
ctl_ring_clear(struct ctl_ring *r)
{
	while (r->count > 0)
		drop_oldest(r);
	buf_clear(&r->room);
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
	size_t n;
	int err;

	if (b->max == 0)
		buf_init(b, CTL_EVENT_MAX);
	buf_reset(b);
	err = line_print(event, ++r->seq, fields, b);
	jv_free(fields);
	/* The ring holds as much as there is, not as much as it took. */
	if (err == 0 && (text = malloc(b->n)) == NULL)
		err = ENOMEM;
	if (err == 0)
		memcpy(text, b->p, b->n);
	n = b->n;
	if (err != 0 || b->cap > CTL_ROOM_KEPT)
		buf_clear(b);
	if (err != 0)
		return err;
	while (r->count == CTL_RING_EVENTS ||
	    (r->count > 0 && r->bytes + n > CTL_RING_BYTES))
		drop_oldest(r);
	l = &r->line[(r->first + r->count) % CTL_RING_EVENTS];
	l->n = n;
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

/* The ring is not empty. */
static void
drop_oldest(struct ctl_ring *r)
{
	struct ctl_ring_line *l = &r->line[r->first];

	r->bytes -= l->n;
	free(l->text);
	l->text = NULL;
	r->first = (r->first + 1) % CTL_RING_EVENTS;
	r->count--;
}
