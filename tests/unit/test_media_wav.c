/* SPDX-License-Identifier: ISC */
/* WAV files: write and read, other formats, broken headers, conversion of the
 * rate. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../media/internal.h"

/* A file without a name that holds these bytes. */
static int
file_of(const void *p, size_t n)
{
	char path[] = "/tmp/test_media_wav.XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(write(fd, p, n), n);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static void
what_is_written_is_read_back(void **state)
{
	static int16_t in[20000], out[20001];
	struct media_wav *w;
	uint8_t head[44];
	int fd = file_of("old content", 11), fd2 = dup(fd);

	(void)state;
	for (size_t i = 0; i < 20000; i++)
		in[i] = (int16_t)(i * 31);
	assert_int_equal(media_wav_create_fd(&w, fd, 16000), 0);
	for (size_t i = 0; i < 20000; i += 160)
		assert_int_equal(media_wav_write(w, in + i, 160), 0);
	media_wav_close(w);
	assert_int_equal(fcntl(fd, F_GETFD), -1); /* closed */

	assert_int_equal(pread(fd2, head, 44, 0), 44);
	assert_int_equal(head[40] | head[41] << 8, 40000);
	assert_int_equal(head[4] | head[5] << 8, 40036);
	assert_int_equal(lseek(fd2, 0, SEEK_SET), 0);
	assert_int_equal(media_wav_open_fd(&w, fd2), 0);
	assert_int_equal(media_wav_rate(w), 16000);
	assert_int_equal(media_wav_read(w, out, 20001), 20000);
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(media_wav_read(w, out, 1), 0);
	media_wav_close(w);
}

/* RIFF head, "fmt " chunk of 16 bytes. */
#define RIFF "RIFF\0\0\0\0WAVE"
#define FMT(format, ch, rate_lo, rate_hi, bits)              \
	"fmt \x10\0\0\0" format "\0" ch "\0" rate_lo rate_hi \
	"\0\0\0\0\0\0" bits "\0"
#define GOOD_FMT FMT("\1", "\1", "\x40\x1f", "\0\0", "\x10")
/* sizeof less the NUL that ends a literal */
#define BYTES(s) s, sizeof(s) - 1

static const struct {
	const char *why;
	const char *p;
	size_t n;
	int samples; /* -1: refused */
	int16_t first;
} wav_files[] = {
	{ "16 bit", BYTES(RIFF GOOD_FMT "data\4\0\0\0\x34\x12\1\0"), 2,
	    0x1234 },
	{ "8 bit",
	    BYTES(RIFF FMT(
		"\1", "\1", "\x40\x1f", "\0\0", "\x08") "data\2\0\0\0\xc0\x40"),
	    2, 0x4000 },
	{ "mu-law",
	    BYTES(RIFF FMT(
		"\7", "\1", "\x40\x1f", "\0\0", "\x08") "data\1\0\0\0\x80"),
	    1, 32124 },
	{ "A-law",
	    BYTES(RIFF FMT(
		"\6", "\1", "\x40\x1f", "\0\0", "\x08") "data\1\0\0\0\xaa"),
	    1, 32256 },
	{ "stereo is averaged",
	    BYTES(RIFF FMT("\1", "\2", "\x40\x1f", "\0\0",
		"\x10") "data\4\0\0\0\x10\0\x30\0"),
	    1, 0x20 },
	{ "another chunk before, of odd length",
	    BYTES(RIFF "LIST\3\0\0\0abc\0" GOOD_FMT "data\2\0\0\0\1\0"), 1, 1 },
	{ "data longer than the file",
	    BYTES(RIFF GOOD_FMT "data\xff\xff\xff\x7f\1\0\2\0"), 2, 1 },
	{ "never closed: length 0", BYTES(RIFF GOOD_FMT "data\0\0\0\0\1\0"), 1,
	    1 },
	{ "half a sample at the end", BYTES(RIFF GOOD_FMT "data\3\0\0\0\1\0\2"),
	    1, 1 },
	{ "something behind the data",
	    BYTES(RIFF GOOD_FMT "data\2\0\0\0\1\0LIST"), 1, 1 },
	{ "extensible",
	    BYTES(RIFF "fmt \x28\0\0\0\xfe\xff\1\0\x40\x1f\0\0"
		       "\0\0\0\0\2\0\x10\0\x16\0\x10\0\4\0\0\0\1\0"
		       "\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"
		       "data\2\0\0\0\1\0"),
	    1, 1 },
	{ "empty", BYTES(""), -1, 0 },
	{ "RIFX", BYTES("RIFX\0\0\0\0WAVE" GOOD_FMT "data\0\0\0\0"), -1, 0 },
	{ "no fmt", BYTES(RIFF "data\2\0\0\0\1\0"), -1, 0 },
	{ "no data", BYTES(RIFF GOOD_FMT), -1, 0 },
	{ "fmt cut", BYTES(RIFF "fmt \x10\0\0\0\1\0\1"), -1, 0 },
	{ "fmt of 4 bytes", BYTES(RIFF "fmt \4\0\0\0\1\0\1\0data"), -1, 0 },
	{ "24 bit",
	    BYTES(RIFF FMT(
		"\1", "\1", "\x40\x1f", "\0\0", "\x18") "data\0\0\0\0"),
	    -1, 0 },
	{ "float",
	    BYTES(RIFF FMT(
		"\3", "\1", "\x40\x1f", "\0\0", "\x20") "data\0\0\0\0"),
	    -1, 0 },
	{ "no channel",
	    BYTES(RIFF FMT(
		"\1", "\0", "\x40\x1f", "\0\0", "\x10") "data\0\0\0\0"),
	    -1, 0 },
	{ "nine channels",
	    BYTES(RIFF FMT(
		"\1", "\x09", "\x40\x1f", "\0\0", "\x10") "data\0\0\0\0"),
	    -1, 0 },
	{ "0 Hz",
	    BYTES(RIFF FMT("\1", "\1", "\0\0", "\0\0", "\x10") "data\0\0\0\0"),
	    -1, 0 },
	{ "4 GHz",
	    BYTES(RIFF FMT(
		"\1", "\1", "\xff\xff", "\xff\xff", "\x10") "data\0\0\0\0"),
	    -1, 0 },
	{ "a chunk of 4 GiB",
	    BYTES(RIFF "LIST\xff\xff\xff\xff" GOOD_FMT "data\2\0\0\0\1\0"), -1,
	    0 },
};
static void
formats_and_broken_headers(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(wav_files) / sizeof(wav_files[0]); i++) {
		struct media_wav *w = NULL;
		int16_t pcm[16];
		int fd = file_of(wav_files[i].p, wav_files[i].n), err;

		print_message("case %s\n", wav_files[i].why);
		err = media_wav_open_fd(&w, fd);
		if (wav_files[i].samples < 0) {
			assert_int_equal(err, E_MEDIA_DEVICE);
			assert_null(w);
			assert_int_equal(close(fd), 0); /* still ours */
			continue;
		}
		assert_int_equal(err, 0);
		assert_int_equal(
		    media_wav_read(w, pcm, 16), wav_files[i].samples);
		assert_int_equal(pcm[0], wav_files[i].first);
		media_wav_close(w);
	}
}

static void
pipes_and_strange_rates_are_refused(void **state)
{
	struct media_wav *w;
	int fds[2], fd = file_of("", 0);

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(media_wav_open_fd(&w, fds[0]), E_MEDIA_DEVICE);
	assert_int_equal(media_wav_create_fd(&w, fds[1], 8000), E_MEDIA_DEVICE);
	assert_int_equal(media_wav_create_fd(&w, fd, 0), E_MEDIA_DEVICE);
	assert_int_equal(media_wav_create_fd(&w, fd, 1 << 20), E_MEDIA_DEVICE);
	assert_int_equal(media_wav_open_fd(&w, -1), E_MEDIA_DEVICE);
	close(fds[0]);
	close(fds[1]);
	close(fd);
}

static void
a_disk_that_is_full_is_an_error(void **state)
{
	static const int16_t pcm[8192];
	struct media_wav *w;
	int fd = file_of("", 0), ro;
	char path[64];

	(void)state;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = open(path, O_RDONLY);
	assert_true(ro >= 0);
	assert_int_equal(media_wav_create_fd(&w, ro, 8000), E_MEDIA_DEVICE);
	close(ro);
	assert_int_equal(media_wav_create_fd(&w, fd, 8000), 0);
	/* The descriptor goes bad behind its back. */
	ro = open("/dev/full", O_WRONLY);
	assert_true(ro >= 0);
	assert_int_equal(dup2(ro, fd), fd);
	close(ro);
	assert_int_equal(media_wav_write(w, pcm, 8192), ENOSPC);
	assert_int_equal(media_wav_write(w, pcm, 1), ENOSPC);
	media_wav_close(w);
}

static void
files_follow_the_rate_of_the_session(void **state)
{
	static int16_t pcm[48000], out[48000];
	struct media_file *f;
	struct media_tone t;
	int fd = file_of("", 0), fd2 = dup(fd);
	bool more = true;
	size_t n = 0;

	(void)state;
	media_tone_init(&t, 440, 8000, -10);
	memset(pcm, 0, sizeof(pcm));
	media_tone_add(&t, pcm, 8000);
	assert_int_equal(media_file_create(&f, fd, 8000, 0), 0);
	media_file_write(f, pcm, 8000);
	media_file_close(f);

	/* One second at 8 kHz is one second at 48 kHz. */
	assert_int_equal(lseek(fd2, 0, SEEK_SET), 0);
	assert_int_equal(media_file_open(&f, dup(fd2), 0), 0);
	assert_int_equal(media_file_prepare_rate(f, 48000), 0);
	media_file_use_rate(f);
	while (more && n < 48000) {
		more = media_file_read(f, pcm + n, 960);
		n += 960;
	}
	assert_in_range(n, 47000, 48000);
	assert_true(media_tone_snr_db(pcm, 46000, 48000, 440, 0.1) > 35);
	media_file_close(f);

	/* Written at 48 kHz into a file of 8 kHz. */
	assert_int_equal(media_file_create(&f, fd2, 8000, 0), 0);
	assert_int_equal(media_file_prepare_rate(f, 48000), 0);
	media_file_use_rate(f);
	fd = dup(fd2);
	for (size_t i = 0; i < 48000; i += 960)
		media_file_write(f, pcm + i, 960);
	media_file_close(f);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(media_file_open(&f, fd, 0), 0);
	(void)media_file_read(f, out, 8000);
	assert_true(media_tone_snr_db(out, 7500, 8000, 440, 0.1) > 30);
	media_file_close(f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read_back),
		cmocka_unit_test(formats_and_broken_headers),
		cmocka_unit_test(pipes_and_strange_rates_are_refused),
		cmocka_unit_test(a_disk_that_is_full_is_an_error),
		cmocka_unit_test(files_follow_the_rate_of_the_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
