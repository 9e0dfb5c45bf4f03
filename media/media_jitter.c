/* SPDX-License-Identifier: ISC */
/* The jitter buffer: packets in the order they were sent, late enough that
 * most are there when their turn comes, and no later. */

/*
 * How it decides.  Each packet has a transit time: arrival minus RTP time, by
 * clocks that share no zero.  The least of the last 8 s is the fastest path;
 * what a packet needs beyond it is its lateness, and the greatest lateness of
 * the last 8 s, in packets, plus one is the target.  Playing starts when so
 * many are held.
 *
 * It grows by waiting: when the next packet is not there and nothing behind it
 * either, the caller conceals and the same packet stays the next one.  If a
 * later packet turns up instead, the missing one was lost, and the waiting
 * has already concealed it.  A packet that came after its turn makes the next
 * one wait once.
 *
 * It shrinks when through a whole window more was held than the target: then
 * it says so, and the caller plays one packet more in the time of less.  A
 * burst beyond the ceiling (a network that stood still) is cut at once.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

enum {
	MASK = MEDIA_JITTER_SLOTS - 1,
	/* RFC 3550 A.1; a step beyond it is another stream of numbers */
	DROPOUT_MAX = 3000,
	MISORDER_MAX = 100,
	/* Waits in a row until silence takes over: 100 ms at 20 ms. */
	WAITS_MAX = 5,
	WINDOW_US = 2000000,
	SHRINK_WINDOW_US = 2000000,
	TARGET_MIN = 2, /* the phase of our clock against theirs */
	/* A transit that moves more is a peer whose RTP clock jumped. */
	LATENESS_MAX_US = 2000000,
	ROUND = 128, /* payload sizes vary a little; room should not */
	FRAME_MIN_MS = 2,
	FRAME_MAX_MS = 120
};

struct media_jitter_packet {
	struct media_jitter_packet *next; /* of the spare ones */
	uint32_t ext;
	uint16_t n, cap;
	uint8_t pt;
	uint8_t kind;
	uint8_t data[];
};

void
media_jitter_init(struct media_jitter *j, const struct media_jitter_conf *conf)
{
	memset(j, 0, sizeof(*j));
	j->conf = *conf;
	j->bad_seq = UINT32_MAX;
	j->target = TARGET_MIN;
	j->frame_ts = conf->clock_hz / 1000 * conf->ptime_ms;
}

/* Puts a packet aside for the next one that comes. */
static void
spare(struct media_jitter *j, struct media_jitter_packet *p)
{
	if (p == NULL)
		return;
	p->next = j->spare;
	j->spare = p;
}

/* Empties the slots. */
static void
flush(struct media_jitter *j)
{
	for (size_t i = 0; i < MEDIA_JITTER_SLOTS; i++) {
		spare(j, j->slots[i]);
		j->slots[i] = NULL;
	}
	j->held = j->waited = 0;
	j->playing = false;
	j->fresh = true;
	j->grow = false;
}

void
media_jitter_restart(struct media_jitter *j)
{
	flush(j);
	j->synced = false;
}

void
media_jitter_clear(struct media_jitter *j)
{
	struct media_jitter_packet *p;

	flush(j);
	spare(j, j->lent);
	while ((p = j->spare) != NULL) {
		j->spare = p->next;
		free(p);
	}
	memset(j, 0, sizeof(*j));
}

/* Room for a payload: a spare one that is large enough, or new. */
static struct media_jitter_packet *
packet_get(struct media_jitter *j, size_t n)
{
	struct media_jitter_packet *p = j->spare;
	size_t cap = (n + ROUND - 1) / ROUND * ROUND;

	if (p != NULL) {
		j->spare = p->next;
		if (p->cap >= n)
			return p;
		free(p);
	}
	if ((p = malloc(sizeof(*p) + cap)) != NULL)
		p->cap = (uint16_t)cap;
	return p;
}

/* Forgets what is known about the path. */
static void
transit_reset(struct media_jitter *j)
{
	j->has_transit = j->has_last = false;
	j->jitter16 = 0;
	j->target = TARGET_MIN;
}

/* Follows a source from this packet on. */
static void
sync_to(struct media_jitter *j, const struct media_rtp *h)
{
	flush(j);
	if (!j->synced || j->ssrc != h->ssrc) {
		j->stats.expected = j->stats.unique = 0;
		transit_reset(j);
	}
	j->synced = true;
	j->ssrc = h->ssrc;
	/* One cycle up, so that what was sent before has a number too. */
	j->base_ext = j->max_ext = j->next_ext = 65536U + h->seq;
	j->seen = 0;
	j->bad_seq = UINT32_MAX;
	j->has_last = false;
	j->least = UINT32_MAX;
}

/* Packets that a time needs, rounded up. */
static unsigned int
packets_of(const struct media_jitter *j, int64_t us)
{
	int64_t frame_us = (int64_t)j->frame_ts * 1000000 / j->conf.clock_hz;

	if (us <= 0)
		return 0;
	return (unsigned int)((us + frame_us - 1) / frame_us);
}

/* The ceiling in packets: the time of the settings, with room to breathe. */
static unsigned int
packets_max(const struct media_jitter *j)
{
	unsigned int n =
	    packets_of(j, (int64_t)(j->conf.max_ms + j->conf.extra_ms) * 1000);

	if (n < TARGET_MIN + 1)
		n = TARGET_MIN + 1;
	return n < MEDIA_JITTER_SLOTS / 2 ? n : MEDIA_JITTER_SLOTS / 2;
}

/* Sets the target from the greatest lateness. */
static void
target_set(struct media_jitter *j)
{
	int64_t peak = 0;
	unsigned int max = packets_max(j);

	for (size_t i = 0; i < MEDIA_JITTER_HISTORY; i++)
		if (j->peak_us[i] > peak)
			peak = j->peak_us[i];
	j->target = 1 + packets_of(j, peak + (int64_t)j->conf.extra_ms * 1000);
	if (j->target < TARGET_MIN)
		j->target = TARGET_MIN;
	if (j->target > max)
		j->target = max;
}

/* Starts the windows with this transit. */
static void
windows_start(struct media_jitter *j, int64_t transit, int64_t now_us)
{
	for (size_t i = 0; i < MEDIA_JITTER_HISTORY; i++) {
		j->min_us[i] = transit;
		j->peak_us[i] = 0;
	}
	j->window_us = now_us;
	j->transit_us = transit;
	j->has_transit = true;
}

/* Moves to the next window if this one is over. */
static void
windows_turn(struct media_jitter *j, int64_t transit, int64_t now_us)
{
	const size_t keep = (MEDIA_JITTER_HISTORY - 1) * sizeof(j->min_us[0]);

	if (now_us - j->window_us < WINDOW_US)
		return;
	memmove(&j->min_us[1], &j->min_us[0], keep);
	memmove(&j->peak_us[1], &j->peak_us[0], keep);
	j->min_us[0] = transit;
	j->peak_us[0] = 0;
	j->window_us = now_us;
}

/* Learns from the arrival of one audio packet. */
static void
transit_note(struct media_jitter *j, uint32_t ext, uint32_t ts, int64_t now_us)
{
	const int64_t hz = j->conf.clock_hz;
	int64_t transit, least, late, d;
	int32_t step = (int32_t)(ts - j->last_ts);

	if (!j->has_last)
		step = 0;
	if (j->has_last && ext == j->last_ext + 1 &&
	    step >= (int32_t)(hz / 1000 * FRAME_MIN_MS) &&
	    step <= (int32_t)(hz / 1000 * FRAME_MAX_MS))
		j->frame_ts = (uint32_t)step;
	j->media_us += (int64_t)step * 1000000 / hz;
	j->last_ts = ts;
	j->last_ext = ext;
	transit = now_us - j->media_us;
	if (!j->has_last || !j->has_transit) {
		j->has_last = true;
		windows_start(j, transit, now_us);
		return;
	}
	/* RFC 3550 A.8 */
	d = transit - j->transit_us;
	j->transit_us = transit;
	d = (d < 0 ? -d : d) * hz / 1000000;
	if (d < hz * 10)
		j->jitter16 += (uint32_t)d - ((j->jitter16 + 8) >> 4);

	windows_turn(j, transit, now_us);
	least = j->min_us[0] < transit ? j->min_us[0] : transit;
	j->min_us[0] = least;
	for (size_t i = 1; i < MEDIA_JITTER_HISTORY; i++)
		if (j->min_us[i] < least)
			least = j->min_us[i];
	late = transit - least;
	if (late > LATENESS_MAX_US) {
		windows_start(j, transit, now_us);
		late = 0;
	}
	if (late > j->peak_us[0])
		j->peak_us[0] = late;
	target_set(j);
}

/* Takes note of a number: false if it has been seen. */
static bool
seq_note(struct media_jitter *j, uint32_t ext)
{
	uint32_t step;

	if ((int32_t)(ext - j->max_ext) > 0) {
		step = ext - j->max_ext;
		j->seen = step < 64 ? j->seen << step : 0;
		j->max_ext = ext;
	}
	step = j->max_ext - ext;
	if (step < 64) {
		if (j->seen >> step & 1)
			return false;
		j->seen |= UINT64_C(1) << step;
	}
	j->stats.unique++;
	return true;
}

/* Drops the oldest places until `keep` packets are held. */
static void
cut_to(struct media_jitter *j, unsigned int keep)
{
	struct media_jitter_packet **slot;

	while (j->held > keep) {
		slot = &j->slots[j->next_ext++ & MASK];
		if (*slot == NULL)
			continue;
		spare(j, *slot);
		*slot = NULL;
		j->held--;
		j->stats.late++;
	}
}

/* True if the number belongs to what is followed; else perhaps another
 * sequence begins: two in a row are believed (RFC 3550 A.1). */
static bool
seq_is_near(struct media_jitter *j, const struct media_rtp *h)
{
	int delta = (int16_t)(h->seq - (uint16_t)j->max_ext);

	if (delta <= DROPOUT_MAX && delta >= -MISORDER_MAX)
		return true;
	if (j->bad_seq == h->seq) {
		j->stats.lost += j->max_ext + 1 - j->next_ext - j->held;
		sync_to(j, h);
		return true;
	}
	j->bad_seq = (uint16_t)(h->seq + 1);
	return false;
}

/* Puts a packet into its slot. */
static int
store(struct media_jitter *j, const struct media_rtp *h, uint32_t ext,
    enum media_jitter_kind kind, int64_t now_us)
{
	struct media_jitter_packet *p = packet_get(j, h->n);

	if (p == NULL)
		return ENOMEM;
	p->ext = ext;
	p->pt = h->pt;
	p->kind = (uint8_t)kind;
	p->n = (uint16_t)h->n;
	if (h->n != 0)
		memcpy(p->data, h->payload, h->n);
	if (j->held == 0 && !j->playing)
		j->fill_us = now_us;
	assert(j->slots[ext & MASK] == NULL);
	j->slots[ext & MASK] = p;
	j->held++;
	return 0;
}

int
media_jitter_put(struct media_jitter *j, const struct media_rtp *h,
    enum media_jitter_kind kind, int64_t now_us)
{
	uint32_t ext;

	if (h->n > MEDIA_PACKET_MAX)
		return 0;
	if (!j->synced || h->ssrc != j->ssrc)
		sync_to(j, h);
	if (!seq_is_near(j, h)) {
		j->stats.late++;
		return 0;
	}
	ext = j->max_ext +
	    (uint32_t)(int32_t)(int16_t)(h->seq - (uint16_t)j->max_ext);
	if (!seq_note(j, ext)) {
		j->stats.dup++;
		return 0;
	}
	j->stats.received++;
	if (kind == MEDIA_JITTER_AUDIO)
		transit_note(j, ext, h->ts, now_us);
	if ((int32_t)(ext - j->next_ext) < 0) {
		if (!j->fresh || j->playing ||
		    j->max_ext - ext >= MEDIA_JITTER_SLOTS / 2) {
			j->stats.late++;
			j->grow = true;
			return 0;
		}
		j->next_ext = ext; /* the first ones came out of order */
		if ((int32_t)(ext - j->base_ext) < 0)
			j->base_ext = ext;
	}
	if (ext - j->next_ext >= MEDIA_JITTER_SLOTS) {
		/* A hole that no buffer bridges: go on behind it. */
		j->stats.lost += ext - j->next_ext - j->held;
		flush(j);
		j->next_ext = ext;
	}
	return store(j, h, ext, kind, now_us);
}

/* Starts playing if enough is held, or has been for long enough. */
static bool
filled(struct media_jitter *j, int64_t now_us)
{
	int64_t frame_us = (int64_t)j->frame_ts * 1000000 / j->conf.clock_hz;

	if (j->held == 0 ||
	    (j->held < j->target &&
		now_us - j->fill_us < (int64_t)j->target * frame_us))
		return false;
	while (j->slots[j->next_ext & MASK] == NULL) {
		j->next_ext++;
		if (!j->fresh)
			j->stats.lost++;
	}
	j->playing = true;
	j->fresh = false;
	j->waited = 0;
	j->least = UINT32_MAX;
	j->shrink_us = now_us;
	return true;
}

/* Watches whether more is held than needed. */
static void
shrink_note(struct media_jitter *j, int64_t now_us)
{
	if (j->held < j->least)
		j->least = j->held;
	if (now_us - j->shrink_us < SHRINK_WINDOW_US)
		return;
	j->excess = j->least != UINT32_MAX && j->least > j->target;
	j->least = UINT32_MAX;
	j->shrink_us = now_us;
}

/* Nothing is there to play: wait, or fall silent. */
static enum media_jitter_got
underrun(struct media_jitter *j)
{
	if (++j->waited <= WAITS_MAX)
		return MEDIA_GOT_WAIT;
	j->playing = false;
	j->waited = 0;
	return MEDIA_GOT_IDLE;
}

/* Hands out the packet whose turn it is. */
static enum media_jitter_got
hand_out(struct media_jitter *j, struct media_jitter_out *out)
{
	struct media_jitter_packet *p = j->slots[j->next_ext & MASK];

	j->slots[j->next_ext++ & MASK] = NULL;
	j->held--;
	j->waited = 0;
	j->lent = p;
	if (p->kind == MEDIA_JITTER_EVENT)
		return MEDIA_GOT_EVENT;
	out->pt = p->pt;
	out->p = p->data;
	out->n = p->n;
	return MEDIA_GOT_PACKET;
}

enum media_jitter_got
media_jitter_get(
    struct media_jitter *j, int64_t now_us, struct media_jitter_out *out)
{
	const struct media_jitter_packet *p;

	memset(out, 0, sizeof(*out));
	spare(j, j->lent);
	j->lent = NULL;
	if (!j->synced || (!j->playing && !filled(j, now_us)))
		return MEDIA_GOT_IDLE;
	if (j->held > packets_max(j) + 1)
		cut_to(j, j->target);
	shrink_note(j, now_us);
	if (j->grow && j->held <= j->target) {
		j->grow = false;
		return MEDIA_GOT_WAIT;
	}
	j->grow = false;
	while (j->slots[j->next_ext & MASK] == NULL) {
		if (j->held == 0)
			return underrun(j);
		j->next_ext++;
		j->stats.lost++;
		if (j->waited > 0) {
			j->waited--; /* this one is concealed already */
			continue;
		}
		p = j->slots[j->next_ext & MASK];
		if (p != NULL && p->kind == MEDIA_JITTER_AUDIO) {
			out->pt = p->pt;
			out->p = p->data;
			out->n = p->n;
		}
		return MEDIA_GOT_LOST;
	}
	return hand_out(j, out);
}

bool
media_jitter_excess(struct media_jitter *j)
{
	bool excess = j->excess && j->playing && j->held > 1;

	j->excess = false;
	return excess;
}

void
media_jitter_get_stats(
    const struct media_jitter *j, struct media_jitter_stats *out)
{
	const unsigned int hz = j->conf.clock_hz;

	*out = j->stats;
	out->has_peer = j->synced;
	out->ssrc = j->ssrc;
	out->max_ext_seq = j->max_ext - 65536U;
	out->expected = j->synced ? j->max_ext - j->base_ext + 1 : 0;
	out->jitter_ts = j->jitter16 >> 4;
	if (hz == 0)
		return;
	out->jitter_us =
	    (unsigned int)((uint64_t)out->jitter_ts * 1000000 / hz);
	out->depth_ms =
	    (unsigned int)((uint64_t)j->held * j->frame_ts * 1000 / hz);
}
