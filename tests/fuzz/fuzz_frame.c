/* SPDX-License-Identifier: ISC */
/* Framing: the first byte says how the rest is cut into pieces.  However that
 * is, the same messages must come out. */
#include "../../sipcore/internal.h"
#include "fuzz.h"

enum { EVENTS_MAX = 4096 };

struct events {
	size_t num;
	enum sip_frame_ev ev[EVENTS_MAX];
	size_t n[EVENTS_MAX];
};

/* Pieces of a length that `*seed` brings about. */
static size_t
piece(uint32_t *seed, size_t left)
{
	*seed = *seed * 1664525 + 1013904223;
	size_t n = 1 + (*seed >> 24) % ((*seed >> 16 & 3) == 0 ? 200 : 5);

	return n < left ? n : left;
}

/* Reads all; `seed` 0: at once. */
static void
frames_take(struct events *e, struct slice in, bool pings, uint32_t seed)
{
	struct sip_frame f = { .pings = pings };
	size_t from = 0, have = seed == 0 ? in.n : 0, used;
	enum sip_frame_ev ev;

	e->num = 0;
	while (e->num < EVENTS_MAX) {
		ev = sip_frame_next(
		    &f, (struct slice){ in.p + from, have - from }, &used);
		assert(used <= have - from);
		if (ev == SIP_FRAME_MORE) {
			assert(used == 0);
			if (have == in.n)
				return;
			have += piece(&seed, in.n - have);
			continue;
		}
		e->ev[e->num] = ev;
		e->n[e->num++] = used;
		if (ev == SIP_FRAME_BAD) {
			assert(f.bad.why != NULL);
			assert(f.bad.head <= have - from);
			return;
		}
		assert(used > 0);
		from += used;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct events whole, cut;
	struct sip_fault bad = { .code = -1 };
	struct slice in;
	size_t n = 0;

	if (size < 1)
		return 0;
	in = (struct slice){ (const char *)data + 1, size - 1 };
	frames_take(&whole, in, data[0] & 1, 0);
	frames_take(&cut, in, data[0] & 1, 1u + (data[0] >> 1));
	assert(whole.num == cut.num);
	for (size_t i = 0; i < whole.num; i++)
		assert(whole.ev[i] == cut.ev[i] && whole.n[i] == cut.n[i]);
	if (sip_frame_datagram(in, &n, &bad) == 0)
		assert(n > 0 && n <= in.n && n <= SIPC_MSG_MAX);
	else
		assert(bad.why != NULL && bad.head <= in.n);
	return 0;
}
