/* SPDX-License-Identifier: ISC */
/* Sines: made by a phasor that turns, measured by a least squares fit.
 * Also levels in dBFS. */
#include <math.h>

#include "internal.h"

enum { RENORMAL = 4800 }; /* turns until rounding is put right */

static const double full_scale = 32767.0;
static const float silence_db = -99.0F;

void
media_tone_init(
    struct media_tone *t, double hz, unsigned int rate_hz, double dbfs)
{
	double w = 2 * M_PI * hz / rate_hz;

	t->re = 1;
	t->im = 0;
	t->step_re = cos(w);
	t->step_im = sin(w);
	t->amplitude = full_scale * pow(10, dbfs / 20);
	t->turns = 0;
}

void
media_tone_add(struct media_tone *t, int16_t *pcm, size_t n)
{
	double re, v;

	for (size_t i = 0; i < n; i++) {
		v = pcm[i] + t->amplitude * t->im;
		v = v > full_scale    ? full_scale
		    : v < -full_scale ? -full_scale
				      : v;
		pcm[i] = (int16_t)(v < 0 ? v - 0.5 : v + 0.5);
		re = t->re * t->step_re - t->im * t->step_im;
		t->im = t->re * t->step_im + t->im * t->step_re;
		t->re = re;
	}
	if ((t->turns += (unsigned int)n) < RENORMAL)
		return;
	t->turns = 0;
	v = sqrt(t->re * t->re + t->im * t->im);
	t->re /= v;
	t->im /= v;
}

double
media_energy(const int16_t *pcm, size_t n)
{
	int64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += (int32_t)pcm[i] * pcm[i];
	return (double)sum;
}

float
media_level_db(double energy, uint64_t samples)
{
	double db;

	if (samples == 0 || energy <= 0)
		return silence_db;
	/* A full-scale sine is 0 dBFS: half the square of its peak. */
	db = 10 *
	    log10(2 * energy / (double)samples / (full_scale * full_scale));
	return db < (double)silence_db ? silence_db : (float)db;
}

double
media_tone_snr_db(const int16_t *pcm, size_t n, unsigned int rate_hz, double hz,
    double skip_s)
{
	size_t skip = skip_s > 0 ? (size_t)(skip_s * rate_hz) : 0;
	double w = 2 * M_PI * hz / rate_hz;
	double cc = 0, ss = 0, cs = 0, xc = 0, xs = 0, mean = 0, total = 0;
	double det, a, b, tone, rest;

	if (skip >= n)
		return (double)silence_db;
	for (size_t i = skip; i < n; i++)
		mean += pcm[i];
	mean /= (double)(n - skip);
	for (size_t i = skip; i < n; i++) {
		double c = cos(w * (double)i), s = sin(w * (double)i);
		double x = pcm[i] - mean;

		cc += c * c;
		ss += s * s;
		cs += c * s;
		xc += x * c;
		xs += x * s;
		total += x * x;
	}
	det = cc * ss - cs * cs;
	if (total <= 0 || det <= 0)
		return (double)silence_db;
	a = (xc * ss - xs * cs) / det;
	b = (xs * cc - xc * cs) / det;
	tone = a * xc + b * xs;
	rest = total - tone;
	if (tone <= 0)
		return (double)silence_db;
	if (rest < tone * 1e-12)
		rest = tone * 1e-12; /* beyond what doubles can tell */
	return 10 * log10(tone / rest);
}
