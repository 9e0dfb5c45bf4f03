/* SPDX-License-Identifier: ISC */
/* Ring tones in fake time: the wav device shows what sounded. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bellbird/clock.h"
#include "bellbird/media_ring.h"
#include "internal.h"

#define S INT64_C(1000000)

enum { HZ = 16000, PCM_MAX = HZ * 12 };

static struct loop *l;
static char dir[] = "/tmp/bb-ring-XXXXXX";
static int16_t pcm[PCM_MAX];

static int
setup(void **state)
{
	(void)state;
	clock_fake(1795547180);
	assert_non_null(mkdtemp(dir));
	assert_int_equal(loop_new(&l), 0);
	return media_init(l, NULL);
}

static int
teardown(void **state)
{
	(void)state;
	media_exit();
	loop_free(l);
	assert_int_equal(rmdir(dir), 0);
	return 0;
}

static const char *
path_of(const char *name)
{
	static char p[2][128];
	static int i;

	i = !i;
	(void)snprintf(p[i], sizeof(p[i]), "%s/%s", dir, name);
	return p[i];
}

/* Rings for so long; returns the samples of what was heard, in `pcm`. */
static size_t
ring(struct media_ring_conf c, int64_t us)
{
	char device[160];
	struct media_ring *r = NULL;
	struct media_wav *w;
	size_t n;

	(void)snprintf(device, sizeof(device), "wav:,%s/out.wav", dir);
	c.loop = l;
	c.device = device;
	c.call_name = "ring-c1";
	assert_int_equal(media_ring_start(&r, &c), 0);
	assert_non_null(r);
	loop_fake_run(l, us);
	media_ring_stop(&r);
	assert_null(r);
	loop_fake_run(l, S);
	assert_int_equal(
	    media_wav_open_fd(&w, open(path_of("out-ring-c1.wav"), O_RDONLY)),
	    0);
	assert_int_equal(media_wav_rate(w), HZ);
	n = media_wav_read(w, pcm, PCM_MAX);
	media_wav_close(w);
	assert_int_equal(unlink(path_of("out-ring-c1.wav")), 0);
	return n;
}

/* dB of a sine in a part of it, against all else; level in dBFS. */
static double
snr(size_t from_ms, size_t ms, double hz)
{
	return media_tone_snr_db(
	    pcm + from_ms * HZ / 1000, ms * HZ / 1000, HZ, hz, 0);
}

static double
level(size_t from_ms, size_t ms)
{
	size_t n = ms * HZ / 1000;

	return media_level_db(media_energy(pcm + from_ms * HZ / 1000, n), n);
}

/* Two in turn, then a pause, then again. */
static void
the_warble_warbles(void **state)
{
	size_t n =
	    ring((struct media_ring_conf){ .tone = "warble2-med.wav" }, 5 * S);

	(void)state;
	assert_in_range(n, HZ * 49 / 10, HZ * 51 / 10);
	assert_true(snr(5, 90, 660) > 30 && snr(105, 90, 880) > 30);
	assert_true(snr(205, 90, 660) > 30 && snr(5, 90, 880) < 0);
	assert_true(level(2010, 1900) < -90); /* the pause */
	assert_true(snr(4005, 90, 660) > 30); /* and again */
	assert_true(level(0, 1000) > -12 && level(0, 1000) < -6);
}

static void
a_bell_has_two_sines(void **state)
{
	size_t n = ring((struct media_ring_conf){ .tone = "bell-na" }, 3 * S);

	(void)state;
	assert_true(n > HZ * 2);
	/* Each is as strong as the other: none stands out. */
	assert_true(snr(0, 1000, 440) > -2 && snr(0, 1000, 440) < 2);
	assert_true(snr(0, 1000, 480) > -2 && snr(0, 1000, 480) < 2);
	assert_true(level(2050, 800) < -90);
}

static void
every_tone_sounds_and_has_a_name(void **state)
{
	static const char *const names[] = { "bell-na", "bell-uk", "buzzer",
		"chime", "gong", "page-notif", "tone-1kHz-max", "warble1-low",
		"warble2-med", "warble3-high", "warble4-trill" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		print_message("%s\n", names[i]);
		assert_true(media_ring_knows(names[i]));
		(void)ring((struct media_ring_conf){ .tone = names[i] }, S);
		assert_true(level(0, 500) > -20);
	}
	assert_false(media_ring_knows("dogs"));
	assert_false(media_ring_knows(""));
}

/* The volume is that of the setting. */
static void
the_gain_counts(void **state)
{
	(void)state;
	(void)ring(
	    (struct media_ring_conf){ .tone = "tone-1kHz-max", .gain_db = -18 },
	    2 * S);
	assert_true(level(0, 1000) < -25 && level(0, 1000) > -29);
	assert_true(snr(0, 2000, 1000) > 30);
}

/* A file of half a second, at another rate, plays again and again. */
static void
a_file_goes_round(void **state)
{
	struct media_tone t;
	struct media_wav *w;
	int fd = open(path_of("in.wav"), O_RDWR | O_CREAT, 0600);

	(void)state;
	memset(pcm, 0, sizeof(pcm));
	media_tone_init(&t, 500, 8000, -12);
	media_tone_add(&t, pcm, 4000);
	assert_int_equal(media_wav_create_fd(&w, fd, 8000), 0);
	assert_int_equal(media_wav_write(w, pcm, 4000), 0);
	media_wav_close(w);
	(void)ring((struct media_ring_conf){ .file = path_of("in.wav"),
		       .gain_db = -6 },
	    3 * S);
	assert_true(snr(100, 350, 500) > 25);
	assert_true(snr(2200, 250, 500) > 0 && level(2000, 900) > -21);
	assert_true(level(100, 350) < -17 && level(100, 350) > -19);
	assert_int_equal(unlink(path_of("in.wav")), 0);
}

/* No file, no WAV, an empty one: a built-in tone sounds. */
static void
something_sounds_in_any_case(void **state)
{
	static const struct {
		const char *text;
		size_t n;
	} v[] = { { NULL, 0 }, { "this is no WAV file at all", 26 },
		{ "RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0"
		  "\x80\x3e\0\0\2\0\x10\0data\0\0\0\0",
		    44 } };
	int fd;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		print_message("file %zu\n", i);
		if (v[i].text != NULL) {
			fd = open(path_of("bad.wav"), O_WRONLY | O_CREAT, 0600);
			assert_int_equal(
			    write(fd, v[i].text, v[i].n), (ssize_t)v[i].n);
			close(fd);
		}
		(void)ring((struct media_ring_conf){ .file = path_of("bad.wav"),
			       .tone = "no such tone" },
		    2 * S);
		assert_true(level(500, 1000) > -15);
		assert_true(snr(105, 90, 880) > 20 || snr(145, 50, 880) > 20);
		(void)unlink(path_of("bad.wav"));
	}
}

static void
a_device_must_mean_something(void **state)
{
	struct media_ring_conf c = { .loop = l, .device = "trumpet" };
	struct media_ring *r = NULL;

	(void)state;
	assert_int_equal(media_ring_start(&r, &c), E_PARSE);
	assert_null(r);
	c.device = "null";
	assert_int_equal(media_ring_start(&r, &c), 0);
	loop_fake_run(l, S);
	media_ring_stop(&r);
	media_ring_stop(&r); /* as often as one likes */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_warble_warbles),
		cmocka_unit_test(a_bell_has_two_sines),
		cmocka_unit_test(every_tone_sounds_and_has_a_name),
		cmocka_unit_test(the_gain_counts),
		cmocka_unit_test(a_file_goes_round),
		cmocka_unit_test(something_sounds_in_any_case),
		cmocka_unit_test(a_device_must_mean_something),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
