/* SPDX-License-Identifier: ISC */
/* Opus: a sine through coder and decoder, redundancy for a lost packet,
 * packets that are none. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "../../media/internal.h"

enum { RATE = 48000, FRAME = 960, FRAMES = 60, MAX = 1275 };

static uint8_t packets[FRAMES][MAX];
static size_t lens[FRAMES];
static int16_t pcm[FRAME * FRAMES], heard[FRAME * FRAMES];

/* Encodes a sine into packets[]. */
static void
encode(double hz, const struct media_codec_params *params)
{
	struct media_tone t;
	void *enc;

	memset(pcm, 0, sizeof(pcm));
	media_tone_init(&t, hz, RATE, -10);
	media_tone_add(&t, pcm, FRAME * FRAMES);
	assert_int_equal(media_opus.enc_new(&enc, params), 0);
	for (size_t i = 0; i < FRAMES; i++) {
		lens[i] = media_opus.encode(
		    enc, pcm + i * FRAME, FRAME, packets[i], MAX);
		assert_true(lens[i] > 0);
		assert_int_equal(
		    media_opus.samples(packets[i], lens[i]), FRAME);
	}
	media_opus.enc_loss(enc, 20);
	media_opus.enc_free(enc);
}

/* Decodes packets[] with one missing (-1: none), with or without its copy. */
static void
decode(int missing, bool fec)
{
	void *dec;

	assert_int_equal(media_opus.dec_new(&dec), 0);
	for (int i = 0; i < FRAMES; i++) {
		int16_t *out = heard + i * FRAME;

		if (i != missing)
			assert_int_equal(media_opus.decode(dec, packets[i],
					     lens[i], out, FRAME),
			    FRAME);
		else if (fec)
			assert_int_equal(media_opus.conceal(dec, packets[i + 1],
					     lens[i + 1], out, FRAME),
			    FRAME);
		else
			assert_int_equal(
			    media_opus.conceal(dec, NULL, 0, out, FRAME),
			    FRAME);
	}
	media_opus.dec_free(dec);
}

static void
a_sine_survives(void **state)
{
	static const double hz[] = { 440, 1000 };
	const struct media_codec_params params = { 0 };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		double snr;

		encode(hz[i], &params);
		decode(-1, false);
		snr =
		    media_tone_snr_db(heard, FRAME * FRAMES, RATE, hz[i], 0.2);
		print_message("%g Hz: %.1f dB\n", hz[i], snr);
		assert_true(snr >= 20);
	}
}

static void
a_lost_packet_is_made_up_for(void **state)
{
	const struct media_codec_params params = { .fec = true };
	double with, without;

	(void)state;
	encode(440, &params);
	decode(40, true);
	with = media_tone_snr_db(heard, FRAME * FRAMES, RATE, 440, 0.2);
	decode(40, false);
	without = media_tone_snr_db(heard, FRAME * FRAMES, RATE, 440, 0.2);
	print_message("with FEC %.1f dB, without %.1f dB\n", with, without);
	assert_true(with >= 10);
	assert_true(without >= 5);
}

/* A voiced sound: harmonics that fall off. */
static void
vowel(int16_t *out, size_t n, double hz)
{
	memset(out, 0, n * sizeof(*out));
	for (int k = 1; k * hz < 3000; k++) {
		struct media_tone t;

		media_tone_init(&t, k * hz, RATE, -14 - 3 * k);
		media_tone_add(&t, out, n);
	}
}

/* The voice changes in the missing packet: no guess can know that, its copy
 * in the next packet does. */
static void
redundancy_knows_what_a_guess_cannot(void **state)
{
	const struct media_codec_params params = { .fec = true };
	static int16_t whole[FRAME * FRAMES];
	double err[2] = { 0, 0 };
	void *enc;

	(void)state;
	vowel(pcm, 40 * FRAME, 110);
	vowel(pcm + 40 * FRAME, (FRAMES - 40) * FRAME, 190);
	assert_int_equal(media_opus.enc_new(&enc, &params), 0);
	media_opus.enc_loss(enc, 20);
	for (size_t i = 0; i < FRAMES; i++)
		lens[i] = media_opus.encode(
		    enc, pcm + i * FRAME, FRAME, packets[i], MAX);
	media_opus.enc_free(enc);
	decode(-1, false);
	memcpy(whole, heard, sizeof(whole));
	for (int fec = 0; fec < 2; fec++) {
		decode(40, fec == 1);
		for (size_t i = 40 * FRAME; i < 41 * FRAME; i++)
			err[fec] += (double)(heard[i] - whole[i]) *
			    (heard[i] - whole[i]);
	}
	assert_true(err[1] < err[0] / 2);
}

static void
packets_that_are_none_are_refused(void **state)
{
	static const struct {
		const char *why;
		size_t n;
		uint8_t p[8];
	} v[] = {
		{ "empty", 0, { 0 } },
		{ "code 3 without its count", 1, { 0x03 } },
		{ "63 frames of 20 ms", 2, { 0x0b, 63 } },
		{ "no frames", 2, { 0x0b, 0 } },
	};
	void *dec;

	(void)state;
	assert_int_equal(media_opus.dec_new(&dec), 0);
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		print_message("case %s\n", v[i].why);
		assert_int_equal(media_opus.samples(v[i].p, v[i].n), 0);
		assert_int_equal(media_opus.decode(dec, v[i].p, v[i].n, heard,
				     MEDIA_DECODED_MAX),
		    0);
	}
	/* Odd lengths conceal what they can. */
	assert_int_equal(media_opus.conceal(dec, NULL, 0, heard, 100), 0);
	assert_int_equal(media_opus.conceal(dec, NULL, 0, heard, 500), 480);
	media_opus.dec_free(dec);
}

static void
the_peers_ceiling_is_kept(void **state)
{
	struct media_codec_params params = { .bitrate = 8000 };
	size_t low = 0, high = 0;

	(void)state;
	encode(440, &params);
	for (size_t i = 0; i < FRAMES; i++)
		low += lens[i];
	params.bitrate = 510000; /* we do not go there */
	encode(440, &params);
	for (size_t i = 0; i < FRAMES; i++)
		high += lens[i];
	assert_true(low < 8000 / 8 * FRAMES / 50 * 3 / 2);
	assert_true(high < 24000 / 8 * FRAMES / 50 * 3 / 2);
	params.bitrate = 1;
	encode(440, &params);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_sine_survives),
		cmocka_unit_test(a_lost_packet_is_made_up_for),
		cmocka_unit_test(redundancy_knows_what_a_guess_cannot),
		cmocka_unit_test(packets_that_are_none_are_refused),
		cmocka_unit_test(the_peers_ceiling_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
