/* SPDX-License-Identifier: ISC */
/* Opus (RFC 6716, 7587): mono speech at 24 kb/s, in-band FEC both ways,
 * concealment by the decoder. */
#include <errno.h>
#include <opus/opus.h>

#include "internal.h"

enum {
	RATE_HZ = 48000,
	BITRATE = 24000,
	BITRATE_MIN = 6000, /* RFC 7587 7: below it speech falls apart */
	/* 5 of 10: above it the ear gains little, the CPU loses much. */
	COMPLEXITY = 5,
	/* Redundancy is only sent for an expected loss; this until the peer's
	 * reports say better. */
	LOSS_PERCENT = 5
};

/* A coder for speech. */
static int
enc_new(void **out, const struct media_codec_params *p)
{
	opus_int32 rate = BITRATE;
	OpusEncoder *e;
	int err;

	e = opus_encoder_create(RATE_HZ, 1, OPUS_APPLICATION_VOIP, &err);
	if (e == NULL)
		return ENOMEM;
	if (p->bitrate != 0 && p->bitrate < BITRATE)
		rate = p->bitrate < BITRATE_MIN ? BITRATE_MIN
						: (opus_int32)p->bitrate;
	if (opus_encoder_ctl(e, OPUS_SET_BITRATE(rate)) != OPUS_OK ||
	    opus_encoder_ctl(e, OPUS_SET_COMPLEXITY(COMPLEXITY)) != OPUS_OK ||
	    opus_encoder_ctl(e, OPUS_SET_SIGNAL(OPUS_SIGNAL_VOICE)) !=
		OPUS_OK ||
	    opus_encoder_ctl(e, OPUS_SET_INBAND_FEC(p->fec ? 1 : 0)) !=
		OPUS_OK ||
	    opus_encoder_ctl(
		e, OPUS_SET_PACKET_LOSS_PERC(p->fec ? LOSS_PERCENT : 0)) !=
		OPUS_OK) {
		opus_encoder_destroy(e);
		return EINVAL;
	}
	*out = e;
	return 0;
}

/* Frees a coder. */
static void
enc_free(void *enc)
{
	if (enc != NULL)
		opus_encoder_destroy(enc);
}

/* One frame of 10, 20, 40 or 60 ms. */
static size_t
encode(void *enc, const int16_t *pcm, size_t n, uint8_t *out, size_t max)
{
	opus_int32 len = opus_encode(enc, pcm, (int)n, out, (opus_int32)max);

	return len > 0 ? (size_t)len : 0;
}

/* What the peer's reports say about loss. */
static void
enc_loss(void *enc, unsigned int percent)
{
	opus_encoder_ctl(enc,
	    OPUS_SET_PACKET_LOSS_PERC(
		(opus_int32)(percent < LOSS_PERCENT ? LOSS_PERCENT : percent)));
}

/* A decoder; the ear is mono. */
static int
dec_new(void **out)
{
	int err;
	OpusDecoder *d = opus_decoder_create(RATE_HZ, 1, &err);

	if (d == NULL)
		return ENOMEM;
	*out = d;
	return 0;
}

/* Frees a decoder. */
static void
dec_free(void *dec)
{
	if (dec != NULL)
		opus_decoder_destroy(dec);
}

/* What a packet lasts, by its own headers. */
static size_t
samples(const uint8_t *p, size_t n)
{
	int k;

	if (n == 0 || n > MEDIA_PACKET_MAX)
		return 0;
	k = opus_packet_get_nb_samples(p, (opus_int32)n, RATE_HZ);
	return k > 0 && k <= MEDIA_DECODED_MAX ? (size_t)k : 0;
}

/* One packet, up to 120 ms. */
static size_t
decode(void *dec, const uint8_t *p, size_t n, int16_t *pcm, size_t max)
{
	int k;

	if (samples(p, n) == 0)
		return 0;
	k = opus_decode(dec, p, (opus_int32)n, pcm, (int)max, 0);
	return k > 0 ? (size_t)k : 0;
}

/* A missing packet: its copy in the next one, or a guess. */
static size_t
conceal(void *dec, const uint8_t *p, size_t n, int16_t *pcm, size_t want)
{
	const size_t unit = RATE_HZ / 400; /* 2.5 ms */
	int k;

	want -= want % unit;
	if (want == 0)
		return 0;
	if (p != NULL)
		k = opus_decode(dec, p, (opus_int32)n, pcm, (int)want, 1);
	else
		k = opus_decode(dec, NULL, 0, pcm, (int)want, 0);
	return k > 0 ? (size_t)k : 0;
}

const struct media_codec media_opus = { .name = "opus",
	.key = "opus",
	.rate_hz = RATE_HZ,
	.clock_hz = RATE_HZ,
	.channels = 2, /* RFC 7587 4.1: always said, whatever is sent */
	.pt = 111,
	.fmtp = "useinbandfec=1",
	.enc_new = enc_new,
	.enc_free = enc_free,
	.encode = encode,
	.enc_loss = enc_loss,
	.dec_new = dec_new,
	.dec_free = dec_free,
	.samples = samples,
	.decode = decode,
	.conceal = conceal };
