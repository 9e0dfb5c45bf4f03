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
}

/* jv_each_cb: copies one field; the three of the frame are not for callers. */
static void
copy_field(const char *key, struct jv *v, void *arg)
{
	if (strcmp(key, "event") != 0 && strcmp(key, "seq") != 0 &&
	    strcmp(key, "time") != 0)
		jv_set(arg, key, jv_ref(v));
}

/* The event as a line of text. */
static int
line_print(const char *event, uint64_t seq, struct jv *fields, struct buf *b)
{
	struct jv *o = jv_obj();
	char iso[ISO_SIZE];
	int err;

	clock_iso(iso, sizeof(iso), clock_wall_us());
	jv_set_str(o, "event", event);
	jv_set_int(o, "seq", (int64_t)seq);
	jv_set_str(o, "time", iso);
	if (fields != NULL)
		jv_each(fields, copy_field, o);
	err = o != NULL ? jv_print(o, false, b) : ENOMEM;
	if (err == 0)
		err = buf_add(b, "\n", 1);
	jv_free(o);
	return err;
}

int
ctl_ring_add(struct ctl_ring *r, const char *event, struct jv *fields,
    const struct ctl_ring_line **out)
{
	struct ctl_ring_line *l;
	struct buf b;
	int err;

	buf_init(&b, CTL_EVENT_MAX);
	err = line_print(event, ++r->seq, fields, &b);
	jv_free(fields);
	if (err != 0) {
		buf_clear(&b);
		return err;
	}
	while (r->count == CTL_RING_EVENTS ||
	    (r->count > 0 && r->bytes + b.n > CTL_RING_BYTES))
		drop_oldest(r);
	l = &r->line[(r->first + r->count) % CTL_RING_EVENTS];
	l->n = b.n;
	l->seq = r->seq;
	l->text = buf_take(&b);
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
