/* SPDX-License-Identifier: ISC */
/* Packet loss concealment in the manner of G.711 Appendix I, and taking a
 * pitch period out: both rest on finding the pitch by correlation. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

enum {
	HISTORY_MS = 45,
	MATCH_US = 10000, /* length of what is compared */
	SEAM_US = 5000,   /* cross-fade */
	HOLD_MS = 10,     /* full level so long, then fading */
	FADE_MS = 60,     /* until silence */
	COARSE_HZ = 8000  /* the first search works at about this rate */
};

/* Samples in a time. */
static size_t
samples_in_us(unsigned int rate_hz, unsigned int us)
{
	return (size_t)((uint64_t)rate_hz * us / 1000000);
}

/* How alike two stretches are: their correlation over their energy, -1..1,
 * every `step`-th sample. */
static double
likeness(const int16_t *a, const int16_t *b, size_t n, size_t step)
{
	double ab = 0, aa = 1, bb = 1;

	for (size_t i = 0; i < n; i += step) {
		ab += (double)a[i] * b[i];
		aa += (double)a[i] * a[i];
		bb += (double)b[i] * b[i];
	}
	if (ab <= 0)
		return 0;
	return ab * ab / (aa * bb);
}

/* The lag, in min..max, at which `x` and `x + sign * lag` are most alike. */
static size_t
lag_find(
    const int16_t *x, size_t n, size_t min, size_t max, int sign, size_t step)
{
	size_t best = min;
	double best_like = -1, like;

	for (size_t lag = min; lag <= max; lag += step) {
		like = likeness(x, sign > 0 ? x + lag : x - lag, n, step);
		/* A longer lag must earn its place: multiples look alike. */
		if (like > best_like * 1.001 + 1e-9) {
			best_like = like;
			best = lag;
		}
	}
	return best;
}

/* Coarse, then around the best at full rate. */
static size_t
pitch_find(
    const int16_t *x, size_t n, size_t min, size_t max, unsigned int rate_hz)
{
	size_t step = rate_hz / COARSE_HZ, lag, lo, hi;
	int sign = 1;

	if (step < 2)
		return lag_find(x, n, min, max, sign, 1);
	lag = lag_find(x, n, min, max, sign, step);
	lo = lag > min + step ? lag - step : min;
	hi = lag + step < max ? lag + step : max;
	return lag_find(x, n, lo, hi, sign, 1);
}

int
media_plc_init(struct media_plc *p, unsigned int rate_hz)
{
	assert(rate_hz >= COARSE_HZ && rate_hz <= MEDIA_RATE_MAX_HZ);
	memset(p, 0, sizeof(*p));
	p->rate_hz = rate_hz;
	p->cap = samples_in_us(rate_hz, HISTORY_MS * 1000);
	p->history = calloc(p->cap, sizeof(*p->history));
	return p->history != NULL ? 0 : ENOMEM;
}

void
media_plc_clear(struct media_plc *p)
{
	free(p->history);
	memset(p, 0, sizeof(*p));
}

/* Shifts samples into the history. */
static void
remember(struct media_plc *p, const int16_t *pcm, size_t n)
{
	if (n >= p->cap) {
		memcpy(p->history, pcm + (n - p->cap), p->cap * sizeof(*pcm));
		return;
	}
	memmove(p->history, p->history + n, (p->cap - n) * sizeof(*pcm));
	memcpy(p->history + (p->cap - n), pcm, n * sizeof(*pcm));
}

/* Repeats the last period of the history, fading. */
static void
synthesize(struct media_plc *p, int16_t *pcm, size_t n)
{
	const size_t hold = (size_t)HOLD_MS * p->rate_hz / 1000;
	const size_t fade = (size_t)(FADE_MS - HOLD_MS) * p->rate_hz / 1000;
	const int16_t *period = p->history + (p->cap - p->pitch);
	size_t gone;
	int32_t gain;

	for (size_t i = 0; i < n; i++, p->lost++) {
		gone = p->lost > hold ? p->lost - hold : 0;
		gain = gone >= fade ? 0 : (int32_t)((fade - gone) * 256 / fade);
		pcm[i] = (int16_t)(period[p->phase] * gain / 256);
		if (++p->phase == p->pitch)
			p->phase = 0;
	}
}

void
media_plc_conceal(struct media_plc *p, int16_t *pcm, size_t n)
{
	size_t match, min, max;

	if (p->pitch == 0) {
		match = samples_in_us(p->rate_hz, MATCH_US);
		min = samples_in_us(p->rate_hz, MEDIA_PLC_PITCH_MIN_US);
		max = samples_in_us(p->rate_hz, MEDIA_PLC_PITCH_MAX_US);
		/* What ended the history, against what came before it. */
		p->pitch = lag_find(
		    p->history + p->cap - match, match, min, max, -1, 1);
		p->phase = 0;
		p->lost = 0;
	}
	synthesize(p, pcm, n);
}

void
media_plc_good(struct media_plc *p, int16_t *pcm, size_t n)
{
	int16_t tail[SEAM_US / 1000 * MEDIA_RATE_MAX_HZ / 1000];
	size_t seam = samples_in_us(p->rate_hz, SEAM_US);

	if (p->pitch != 0) {
		if (seam > n)
			seam = n;
		synthesize(p, tail, seam);
		for (size_t i = 0; i < seam; i++)
			pcm[i] = (int16_t)((tail[i] * (int32_t)(seam - i) +
					       pcm[i] * (int32_t)i) /
			    (int32_t)seam);
		p->pitch = 0;
	}
	remember(p, pcm, n);
}

size_t
media_plc_compress(int16_t *pcm, size_t n, unsigned int rate_hz)
{
	size_t seam = samples_in_us(rate_hz, MATCH_US);
	size_t min = samples_in_us(rate_hz, MEDIA_PLC_PITCH_MIN_US);
	size_t max = samples_in_us(rate_hz, MEDIA_PLC_PITCH_MAX_US);
	size_t lag;

	if (n < seam + min)
		return n;
	if (max > n - seam)
		max = n - seam;
	lag = pitch_find(pcm, seam, min, max, rate_hz);
	/* One period on, the signal looks the same: fade over to it. */
	for (size_t i = 0; i < seam; i++)
		pcm[i] = (int16_t)((pcm[i] * (int32_t)(seam - i) +
				       pcm[i + lag] * (int32_t)i) /
		    (int32_t)seam);
	memmove(pcm + seam, pcm + seam + lag, (n - seam - lag) * sizeof(*pcm));
	return n - lag;
}
