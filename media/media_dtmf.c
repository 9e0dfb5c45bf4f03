/* SPDX-License-Identifier: ISC */
/* DTMF: named events in RTP (RFC 4733), sent and received, and audible tones
 * where the peer did not agree to events. */
#include <string.h>

#include "internal.h"

enum {
	/* Longer than the 40 ms that every receiver accepts, short enough to
	 * type ahead. */
	TONE_MS = 120,
	GAP_MS = 80,
	ENDS = 3,    /* RFC 4733 2.5.1.4 */
	VOLUME = 10, /* -10 dBm0 */
	END_BIT = 0x80,
	EVENTS = 16,
	LATE_TS = 48000 /* a second of the fastest clock */
};

static const char digits16[] = "0123456789*#ABCD";

/* Row and column of each event, Hz. */
static const unsigned short tone_hz[EVENTS][2] = { { 941, 1336 }, { 697, 1209 },
	{ 697, 1336 }, { 697, 1477 }, { 770, 1209 }, { 770, 1336 },
	{ 770, 1477 }, { 852, 1209 }, { 852, 1336 }, { 852, 1477 },
	{ 941, 1209 }, { 941, 1477 }, { 697, 1633 }, { 770, 1633 },
	{ 852, 1633 }, { 941, 1633 } };

static const double tone_dbfs = -10;

void
media_dtmf_init(struct media_dtmf_tx *d)
{
	memset(d, 0, sizeof(*d));
	d->event = -1;
}

/* The event of a character; -1: none. */
static int
event_of(char c)
{
	const char *at;

	if (c >= 'a' && c <= 'd')
		c = (char)(c - 'a' + 'A');
	if (c == '\0' || (at = strchr(digits16, c)) == NULL)
		return -1;
	return (int)(at - digits16);
}

int
media_dtmf_queue(struct media_dtmf_tx *d, const char *digits)
{
	size_t n = strlen(digits);

	for (size_t i = 0; i < n; i++)
		if (event_of(digits[i]) < 0)
			return E_PARSE;
	if (n > MEDIA_DTMF_QUEUE - d->num)
		return E_LIMIT;
	memcpy(d->queue + d->num, digits, n);
	d->num += n;
	return 0;
}

bool
media_dtmf_is_busy(const struct media_dtmf_tx *d)
{
	return d->event >= 0 || d->gap_ms > 0 || d->num > 0;
}

/* Takes the next digit; false if there is none. */
static bool
next_event(struct media_dtmf_tx *d)
{
	if (d->num == 0)
		return false;
	d->event = event_of(d->queue[0]);
	memmove(d->queue, d->queue + 1, --d->num);
	d->sent_ms = 0;
	d->ends = ENDS;
	d->first = true;
	return true;
}

/* Counts the pause after an event down; true while it lasts. */
static bool
in_gap(struct media_dtmf_tx *d, unsigned int frame_ms)
{
	if (d->gap_ms == 0)
		return false;
	d->gap_ms = d->gap_ms > frame_ms ? d->gap_ms - frame_ms : 0;
	return true;
}

bool
media_dtmf_step(struct media_dtmf_tx *d, uint32_t ts, unsigned int frame_ms,
    unsigned int clock_hz, struct media_dtmf_out *out)
{
	uint32_t duration;
	bool ended;

	memset(out, 0, sizeof(*out));
	if (d->event < 0) {
		if (in_gap(d, frame_ms) || !next_event(d))
			return false;
		d->start_ts = ts;
	}
	if (d->sent_ms < TONE_MS)
		d->sent_ms += frame_ms;
	ended = d->sent_ms >= TONE_MS;
	duration = d->sent_ms * (clock_hz / 1000);
	if (duration > UINT16_MAX)
		duration = UINT16_MAX; /* 1.3 s at 48 kHz: never reached */
	out->marker = d->first;
	out->ts = d->start_ts;
	out->payload[0] = (uint8_t)d->event;
	out->payload[1] = (uint8_t)((ended ? END_BIT : 0) | VOLUME);
	media_put16(out->payload + 2, (uint16_t)duration);
	d->first = false;
	if (ended && --d->ends == 0) {
		d->event = -1;
		d->gap_ms = GAP_MS;
	}
	return true;
}

bool
media_dtmf_tone(struct media_dtmf_tx *d, int16_t *pcm, size_t n,
    unsigned int frame_ms, unsigned int rate_hz)
{
	if (d->event < 0) {
		memset(pcm, 0, n * sizeof(*pcm));
		if (in_gap(d, frame_ms))
			return true;
		if (!next_event(d))
			return false;
		media_tone_init(
		    &d->low, tone_hz[d->event][0], rate_hz, tone_dbfs);
		media_tone_init(
		    &d->high, tone_hz[d->event][1], rate_hz, tone_dbfs);
	}
	memset(pcm, 0, n * sizeof(*pcm));
	media_tone_add(&d->low, pcm, n);
	media_tone_add(&d->high, pcm, n);
	d->sent_ms += frame_ms;
	if (d->sent_ms >= TONE_MS) {
		d->event = -1;
		d->gap_ms = GAP_MS;
	}
	return true;
}

char
media_dtmf_read(
    struct media_dtmf_rx *d, const uint8_t *p, size_t n, uint32_t ts)
{
	int32_t age;

	if (n < 4 || p[0] >= EVENTS)
		return 0;
	/* All packets of one event carry the time of its start; the last of
	 * the one before may come late (RFC 4733 2.5.2.3).  Much older is a
	 * new count of time. */
	age = (int32_t)(d->last_ts - ts);
	if (d->has_last && age >= 0 && age < LATE_TS)
		return 0;
	d->has_last = true;
	d->last_ts = ts;
	return digits16[p[0]];
}
