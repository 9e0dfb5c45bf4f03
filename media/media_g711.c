/* SPDX-License-Identifier: ISC */
/* G.711 mu-law and A-law (RFC 3551 4.5.14): tables made once, a byte a
 * sample. */
#include <string.h>

#include "internal.h"

enum {
	ULAW_BIAS = 0x84,
	ULAW_CLIP = 32635,
	RATE_HZ = 8000,
	/* 120 ms a packet, as the longest of Opus */
	BYTES_MAX = RATE_HZ / 1000 * 120
};

int16_t
media_ulaw_decode(uint8_t b)
{
	int v, exponent;

	b = (uint8_t)~b;
	exponent = (b & 0x70) >> 4;
	v = (((b & 0x0f) << 3) + ULAW_BIAS) << exponent;
	v -= ULAW_BIAS;
	return (int16_t)((b & 0x80) ? -v : v);
}

uint8_t
media_ulaw_encode(int16_t s)
{
	int v = s, sign = 0, exponent = 7;

	if (v < 0) {
		v = -v;
		sign = 0x80;
	}
	if (v > ULAW_CLIP)
		v = ULAW_CLIP;
	v += ULAW_BIAS;
	while (exponent > 0 && !(v & (0x80 << exponent)))
		exponent--;
	return (uint8_t) ~(
	    sign | exponent << 4 | ((v >> (exponent + 3)) & 0x0f));
}

int16_t
media_alaw_decode(uint8_t b)
{
	int v, segment;

	b ^= 0x55;
	v = (b & 0x0f) << 4;
	segment = (b & 0x70) >> 4;
	if (segment == 0)
		v += 8;
	else
		v = (v + 0x108) << (segment - 1);
	return (int16_t)((b & 0x80) ? v : -v);
}

uint8_t
media_alaw_encode(int16_t s)
{
	int v = s >> 3, mask = 0xd5, segment = 0;

	if (v < 0) {
		mask = 0x55;
		v = -v - 1;
	}
	while (segment < 8 && v > (0x20 << segment) - 1)
		segment++;
	if (segment == 8)
		return (uint8_t)(0x7f ^ mask);
	v = segment < 2 ? (v >> 1) & 0x0f : (v >> segment) & 0x0f;
	return (uint8_t)((segment << 4 | v) ^ mask);
}

/* Filled at first use: 1 KiB that only calls need. */
static struct {
	bool ready;
	int16_t ulaw[256], alaw[256];
} table;

/* Fills the decoding tables. */
static int
dec_new(void **out)
{
	if (!table.ready) {
		for (unsigned int i = 0; i < 256; i++) {
			table.ulaw[i] = media_ulaw_decode((uint8_t)i);
			table.alaw[i] = media_alaw_decode((uint8_t)i);
		}
		table.ready = true;
	}
	*out = NULL;
	return 0;
}

/* There is no state to make. */
static int
enc_new(void **out, const struct media_codec_params *p)
{
	(void)p;
	*out = NULL;
	return 0;
}

/* There is no state to free. */
static void
state_free(void *state)
{
	(void)state;
}

/* Any length is audio, up to 120 ms. */
static size_t
samples(const uint8_t *p, size_t n)
{
	(void)p;
	return n <= BYTES_MAX ? n : 0;
}

/* Samples to mu-law. */
static size_t
ulaw_encode(void *enc, const int16_t *pcm, size_t n, uint8_t *out, size_t max)
{
	(void)enc;
	if (n > max)
		return 0;
	for (size_t i = 0; i < n; i++)
		out[i] = media_ulaw_encode(pcm[i]);
	return n;
}

/* Samples to A-law. */
static size_t
alaw_encode(void *enc, const int16_t *pcm, size_t n, uint8_t *out, size_t max)
{
	(void)enc;
	if (n > max)
		return 0;
	for (size_t i = 0; i < n; i++)
		out[i] = media_alaw_encode(pcm[i]);
	return n;
}

/* Bytes to samples through `t`. */
static size_t
decode(const int16_t *t, const uint8_t *p, size_t n, int16_t *pcm, size_t max)
{
	if (n > max || n > BYTES_MAX)
		return 0;
	for (size_t i = 0; i < n; i++)
		pcm[i] = t[p[i]];
	return n;
}

/* mu-law to samples. */
static size_t
ulaw_decode(void *dec, const uint8_t *p, size_t n, int16_t *pcm, size_t max)
{
	(void)dec;
	return decode(table.ulaw, p, n, pcm, max);
}

/* A-law to samples. */
static size_t
alaw_decode(void *dec, const uint8_t *p, size_t n, int16_t *pcm, size_t max)
{
	(void)dec;
	return decode(table.alaw, p, n, pcm, max);
}

const struct media_codec media_pcmu = { .name = "PCMU",
	.key = "pcmu",
	.rate_hz = RATE_HZ,
	.clock_hz = RATE_HZ,
	.channels = 1,
	.pt = 0,
	.is_stateless = true,
	.odd_ptime_ok = true,
	.enc_new = enc_new,
	.enc_free = state_free,
	.encode = ulaw_encode,
	.dec_new = dec_new,
	.dec_free = state_free,
	.samples = samples,
	.decode = ulaw_decode };

const struct media_codec media_pcma = { .name = "PCMA",
	.key = "pcma",
	.rate_hz = RATE_HZ,
	.clock_hz = RATE_HZ,
	.channels = 1,
	.pt = 8,
	.is_stateless = true,
	.odd_ptime_ok = true,
	.enc_new = enc_new,
	.enc_free = state_free,
	.encode = alaw_encode,
	.dec_new = dec_new,
	.dec_free = state_free,
	.samples = samples,
	.decode = alaw_decode };
