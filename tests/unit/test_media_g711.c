/* SPDX-License-Identifier: ISC */
/* G.711: codes that everybody knows, round trips, lengths. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "../../media/internal.h"

static void
known_codes(void **state)
{
	static const struct {
		const char *why;
		int16_t pcm;
		uint8_t ulaw, alaw;
		int16_t from_ulaw, from_alaw;
	} v[] = {
		{ "silence", 0, 0xff, 0xd5, 0, 8 },
		{ "the least below", -1, 0x7f, 0x55, 0, -8 },
		{ "full scale up", 32767, 0x80, 0xaa, 32124, 32256 },
		{ "full scale down", -32768, 0x00, 0x2a, -32124, -32256 },
		{ "a thousand", 1000, 0xce, 0xfa, 988, 1008 },
		{ "and below", -1000, 0x4e, 0x7a, -988, -1008 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		print_message("case %s\n", v[i].why);
		assert_int_equal(media_ulaw_encode(v[i].pcm), v[i].ulaw);
		assert_int_equal(media_alaw_encode(v[i].pcm), v[i].alaw);
		assert_int_equal(media_ulaw_decode(v[i].ulaw), v[i].from_ulaw);
		assert_int_equal(media_alaw_decode(v[i].alaw), v[i].from_alaw);
	}
}

static void
every_code_survives_the_round_trip(void **state)
{
	(void)state;
	for (int i = 0; i < 256; i++) {
		uint8_t b = (uint8_t)i;

		/* mu-law has a second zero. */
		if (b != 0x7f)
			assert_int_equal(
			    media_ulaw_encode(media_ulaw_decode(b)), b);
		assert_int_equal(media_alaw_encode(media_alaw_decode(b)), b);
	}
}

static void
every_sample_is_near_after_the_round_trip(void **state)
{
	(void)state;
	for (int v = -32768; v <= 32767; v++) {
		int u = media_ulaw_decode(media_ulaw_encode((int16_t)v));
		int a = media_alaw_decode(media_alaw_encode((int16_t)v));

		/* A step is a sixteenth of its segment; clipping at the top */
		assert_true(
		    abs(u - v) <= abs(v) / 16 + 650 * (abs(v) > 32000) + 4);
		assert_true(abs(a - v) <= abs(v) / 16 + 8);
	}
}

static void
frames_go_through_the_vtable(void **state)
{
	const struct media_codec *const codecs[] = { &media_pcmu, &media_pcma };
	struct media_codec_params params = { 0 };
	int16_t pcm[960], out[960];
	uint8_t p[960];
	void *enc, *dec;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		const struct media_codec *c = codecs[i];
		struct media_tone t;

		assert_int_equal(c->enc_new(&enc, &params), 0);
		assert_int_equal(c->dec_new(&dec), 0);
		memset(pcm, 0, sizeof(pcm));
		media_tone_init(&t, 440, 8000, -10);
		media_tone_add(&t, pcm, 960);
		assert_int_equal(c->encode(enc, pcm, 960, p, sizeof(p)), 960);
		assert_int_equal(c->encode(enc, pcm, 960, p, 959), 0);
		assert_int_equal(c->samples(p, 960), 960);
		assert_int_equal(c->samples(p, 961), 0); /* above 120 ms */
		assert_int_equal(c->decode(dec, p, 960, out, 960), 960);
		assert_int_equal(c->decode(dec, p, 960, out, 959), 0);
		assert_true(media_tone_snr_db(out, 960, 8000, 440, 0) > 35);
		c->enc_free(enc);
		c->dec_free(dec);
	}
}

static void
lists_of_codecs_are_read(void **state)
{
	const struct media_codec *c[MEDIA_CODECS_MAX];

	(void)state;
	assert_int_equal(media_codec_list(NULL, c), 3);
	assert_ptr_equal(c[0], &media_opus);
	assert_int_equal(media_codec_list("", c), 3);
	assert_int_equal(media_codec_list("pcma, g722 ,PCMU,pcma,", c), 2);
	assert_ptr_equal(c[0], &media_pcma);
	assert_ptr_equal(c[1], &media_pcmu);
	assert_int_equal(media_codec_list("g722,l16", c), 3);
	assert_ptr_equal(
	    media_codec_find(slice_of("OPUS"), 48000, 2), &media_opus);
	assert_null(media_codec_find(slice_of("opus"), 48000, 1));
	assert_null(media_codec_find(slice_of("PCMU"), 16000, 1));
	assert_null(media_codec_find(slice_of(""), 8000, 1));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_codes),
		cmocka_unit_test(every_code_survives_the_round_trip),
		cmocka_unit_test(every_sample_is_near_after_the_round_trip),
		cmocka_unit_test(frames_go_through_the_vtable),
		cmocka_unit_test(lists_of_codecs_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
