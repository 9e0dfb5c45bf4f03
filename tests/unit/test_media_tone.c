/* SPDX-License-Identifier: ISC */
/* Tones and their detector, levels, DTMF both ways, concealment: what can be
 * heard is measured. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "../../media/internal.h"

/* Fills `pcm` with a sine. */
static void
sine(int16_t *pcm, size_t n, double hz, unsigned int rate, double dbfs)
{
	struct media_tone t;

	memset(pcm, 0, n * sizeof(*pcm));
	media_tone_init(&t, hz, rate, dbfs);
	media_tone_add(&t, pcm, n);
}

static void
detector_tells_the_tone_from_the_rest(void **state)
{
	static int16_t pcm[48000];
	struct media_tone t;

	(void)state;
	sine(pcm, 8000, 440, 8000, -10);
	assert_true(media_tone_snr_db(pcm, 8000, 8000, 440, 0) > 60);
	assert_true(media_tone_snr_db(pcm, 8000, 8000, 1000, 0) < -20);
	sine(pcm, 48000, 1000, 48000, -10);
	assert_true(media_tone_snr_db(pcm, 48000, 48000, 1000, 0.2) > 60);
	memset(pcm, 0, sizeof(pcm));
	assert_true(media_tone_snr_db(pcm, 8000, 8000, 440, 0) == -99);
	assert_true(media_tone_snr_db(pcm, 8000, 8000, 440, 2) == -99);
	assert_true(media_tone_snr_db(pcm, 0, 8000, 440, 0) == -99);
	/* Two tones 20 dB apart. */
	sine(pcm, 8000, 440, 8000, -10);
	media_tone_init(&t, 1000, 8000, -30);
	media_tone_add(&t, pcm, 8000);
	assert_true(
	    fabs(media_tone_snr_db(pcm, 8000, 8000, 440, 0) - 20) < 0.5);
}

static void
silence_before_the_tone_is_skipped(void **state)
{
	static int16_t pcm[8000];

	(void)state;
	sine(pcm, 8000, 440, 8000, -10);
	memset(pcm, 0, 2000 * sizeof(*pcm));
	assert_true(media_tone_snr_db(pcm, 8000, 8000, 440, 0) < 10);
	assert_true(media_tone_snr_db(pcm, 8000, 8000, 440, 0.25) > 60);
}

static void
tone_keeps_its_level_for_hours(void **state)
{
	int16_t pcm[480];
	struct media_tone t;

	(void)state;
	media_tone_init(&t, 997, 8000, -10);
	for (int i = 0; i < 60000; i++) {
		memset(pcm, 0, sizeof(pcm));
		media_tone_add(&t, pcm, 480);
	}
	assert_true(
	    fabsf(media_level_db(media_energy(pcm, 480), 480) + 10) < 0.1F);
}

static void
levels_are_in_dbfs(void **state)
{
	static int16_t pcm[8000];

	(void)state;
	sine(pcm, 8000, 1000, 8000, 0);
	assert_true(
	    fabsf(media_level_db(media_energy(pcm, 8000), 8000)) < 0.1F);
	assert_true(media_level_db(0, 8000) == -99.0F);
	assert_true(media_level_db(5, 0) == -99.0F);
	for (size_t i = 0; i < 8000; i++)
		pcm[i] = -32768;
	assert_true(media_level_db(media_energy(pcm, 8000), 8000) < 3.1F);
}

/* Runs the sender until it rests; collects the digits that arrive. */
static size_t
play_events(struct media_dtmf_tx *tx, char *got, unsigned int frame_ms)
{
	struct media_dtmf_rx rx = { 0 };
	struct media_dtmf_out out;
	size_t num = 0, packets = 0, ends = 0;
	uint32_t ts = 0xffffff00; /* wraps on the way */

	for (int i = 0; i < 2000 && media_dtmf_is_busy(tx); i++) {
		if (media_dtmf_step(tx, ts, frame_ms, 8000, &out)) {
			char c = media_dtmf_read(&rx, out.payload, 4, out.ts);

			packets++;
			ends += (out.payload[1] & 0x80) != 0;
			if (c != 0) {
				assert_true(out.marker);
				got[num++] = c;
			}
		}
		ts += 8 * frame_ms;
	}
	got[num] = '\0';
	assert_int_equal(ends, 3 * num);
	return packets;
}

static void
digits_arrive_as_events_once_each(void **state)
{
	struct media_dtmf_tx tx;
	char got[80];

	(void)state;
	media_dtmf_init(&tx);
	assert_int_equal(media_dtmf_queue(&tx, "1159d#0*"), 0);
	/* 120 ms of 20 ms packets, the last one three times */
	assert_int_equal(play_events(&tx, got, 20), 8 * 8);
	assert_string_equal(got, "1159D#0*");
	assert_int_equal(media_dtmf_queue(&tx, "7"), 0);
	play_events(&tx, got, 60);
	assert_string_equal(got, "7");
}

static void
what_is_no_digit_is_refused(void **state)
{
	struct media_dtmf_tx tx;
	char many[MEDIA_DTMF_QUEUE + 2];

	(void)state;
	media_dtmf_init(&tx);
	assert_int_equal(media_dtmf_queue(&tx, "12x"), E_PARSE);
	assert_int_equal(media_dtmf_queue(&tx, " "), E_PARSE);
	assert_int_equal(media_dtmf_queue(&tx, "E"), E_PARSE);
	assert_false(media_dtmf_is_busy(&tx));
	memset(many, '1', sizeof(many));
	many[MEDIA_DTMF_QUEUE + 1] = '\0';
	assert_int_equal(media_dtmf_queue(&tx, many), E_LIMIT);
	many[MEDIA_DTMF_QUEUE] = '\0';
	assert_int_equal(media_dtmf_queue(&tx, many), 0);
	assert_int_equal(media_dtmf_queue(&tx, "1"), E_LIMIT);
}

static void
hostile_events_say_nothing(void **state)
{
	struct media_dtmf_rx rx = { 0 };
	const uint8_t flash[4] = { 16, 0, 0, 0 }, max[4] = { 255, 0, 0, 0 };
	const uint8_t one[4] = { 1, 0, 0, 160 }, two[4] = { 2, 0, 0, 160 };

	(void)state;
	assert_int_equal(media_dtmf_read(&rx, flash, 4, 1), 0);
	assert_int_equal(media_dtmf_read(&rx, max, 4, 1), 0);
	assert_int_equal(media_dtmf_read(&rx, max, 3, 1), 0);
	assert_int_equal(media_dtmf_read(&rx, NULL, 0, 1), 0);
	/* The end of "1" comes once more, after "2" began: one digit each.  A
	 * new count of time is a new digit. */
	memset(&rx, 0, sizeof(rx));
	assert_int_equal(media_dtmf_read(&rx, one, 4, 1000), '1');
	assert_int_equal(media_dtmf_read(&rx, two, 4, 9000), '2');
	assert_int_equal(media_dtmf_read(&rx, one, 4, 1000), 0);
	assert_int_equal(media_dtmf_read(&rx, two, 4, 9000), 0);
	assert_int_equal(media_dtmf_read(&rx, one, 4, 17000), '1');
	assert_int_equal(media_dtmf_read(&rx, one, 4, 0xf0000000), '1');
}

static void
tones_are_heard_where_events_are_not_agreed(void **state)
{
	struct media_dtmf_tx tx;
	int16_t pcm[160];

	(void)state;
	media_dtmf_init(&tx);
	assert_int_equal(media_dtmf_queue(&tx, "5"), 0);
	assert_true(media_dtmf_tone(&tx, pcm, 160, 20, 8000));
	assert_true(fabsf(media_level_db(media_energy(pcm, 160), 160) + 7) < 1);
	for (int i = 0; i < 20 && media_dtmf_is_busy(&tx); i++)
		(void)media_dtmf_tone(&tx, pcm, 160, 20, 8000);
	assert_false(media_dtmf_is_busy(&tx));
	assert_true(media_energy(pcm, 160) == 0);
}

static void
a_lost_packet_is_filled_with_more_of_the_same(void **state)
{
	static int16_t clean[1600], heard[1600];
	struct media_plc p;

	(void)state;
	sine(clean, 1600, 440, 8000, -10);
	memcpy(heard, clean, sizeof(heard));
	assert_int_equal(media_plc_init(&p, 8000), 0);
	for (size_t i = 0; i < 1600; i += 160) {
		if (i == 800)
			media_plc_conceal(&p, heard + i, 160);
		else
			media_plc_good(&p, heard + i, 160);
	}
	/* One gap of 20 ms in 200: a hole would leave 10 dB. */
	assert_true(media_tone_snr_db(heard, 1600, 8000, 440, 0) > 17);
	/* After 60 ms the voice fades. */
	for (int i = 0; i < 4; i++)
		media_plc_conceal(&p, heard, 160);
	assert_true(media_energy(heard, 160) == 0);
	media_plc_clear(&p);
}

static void
compression_takes_whole_periods(void **state)
{
	static const struct {
		unsigned int rate;
		double hz;
	} v[] = { { 8000, 440 }, { 8000, 150 }, { 8000, 1000 }, { 48000, 440 },
		{ 48000, 211 } };
	static int16_t pcm[48000];

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		size_t n = v[i].rate / 5, ms40 = v[i].rate / 25, left;

		print_message("case %u Hz %g\n", v[i].rate, v[i].hz);
		sine(pcm, n, v[i].hz, v[i].rate, -10);
		left = media_plc_compress(pcm, ms40, v[i].rate);
		assert_true(left < ms40);
		assert_true(left >= ms40 - v[i].rate * 15 / 1000);
		memmove(pcm + left, pcm + ms40, (n - ms40) * sizeof(pcm[0]));
		n -= ms40 - left;
		assert_true(
		    media_tone_snr_db(pcm, n, v[i].rate, v[i].hz, 0) > 18);
	}
	/* Too short to find a pitch in: left alone. */
	assert_int_equal(media_plc_compress(pcm, 80, 8000), 80);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(detector_tells_the_tone_from_the_rest),
		cmocka_unit_test(silence_before_the_tone_is_skipped),
		cmocka_unit_test(tone_keeps_its_level_for_hours),
		cmocka_unit_test(levels_are_in_dbfs),
		cmocka_unit_test(digits_arrive_as_events_once_each),
		cmocka_unit_test(what_is_no_digit_is_refused),
		cmocka_unit_test(hostile_events_say_nothing),
		cmocka_unit_test(tones_are_heard_where_events_are_not_agreed),
		cmocka_unit_test(a_lost_packet_is_filled_with_more_of_the_same),
		cmocka_unit_test(compression_takes_whole_periods),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
