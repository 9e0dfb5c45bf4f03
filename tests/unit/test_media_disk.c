/* SPDX-License-Identifier: ISC */
/* What is recorded and played while the disk, or whoever has the worker, takes
 * its time: the loop does not wait, and in the end the file is whole. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "oom.h"
#include "test_media_peer.h"

enum {
	RATE = 8000,
	HEADER = 44, /* of a WAV file */
	SECONDS_MAX = 40
};

static struct worker *worker;

/* ---- a worker that is busy ---- */

static int gate[2]; /* a pipe: open when something can be read */

static int
job_wait(void *arg)
{
	char c;

	(void)arg;
	return read(gate[0], &c, 1) == 1 ? 0 : EIO;
}

static void
on_waited(int err, void *arg)
{
	(void)arg;
	assert_int_equal(err, 0);
}

static void
gate_shut(void)
{
	assert_int_equal(worker_run(worker, job_wait, on_waited, NULL), 0);
}

static void
gate_open(void)
{
	assert_int_equal(write(gate[1], "x", 1), 1);
}

static int
job_nothing(void *arg)
{
	(void)arg;
	return 0;
}

static void
on_nothing(int err, void *arg)
{
	(void)err;
	loop_stop(arg);
}

/* timer_cb */
static void
stop(void *arg)
{
	loop_stop(arg);
}

/* timer_cb that must not be called. */
static void
never(void *arg)
{
	(void)arg;
	fail_msg("told after it was freed");
}

/* Until the worker has done all that it was given. */
static void
drain(void)
{
	while (worker_run(worker, job_nothing, on_nothing, l) != 0)
		; /* an allocation that had to fail */
	assert_int_equal(loop_run(l), 0);
}

static int
disk_setup(void **state)
{
	if (setup(state) != 0 || pipe(gate) != 0 || worker_new(&worker, l) != 0)
		return -1;
	media_exit();
	return media_init(l, worker);
}

static int
disk_teardown(void **state)
{
	worker_free(worker);
	close(gate[0]);
	close(gate[1]);
	return teardown(state);
}

/* ---- files ---- */

static int
file_new(void)
{
	int fd = memfd_create("disk", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static off_t
size_of(int fd)
{
	return lseek(fd, 0, SEEK_END);
}

/* A ramp: each sample tells where it belongs. */
static void
ramp(int16_t *pcm, size_t n, size_t from)
{
	for (size_t i = 0; i < n; i++)
		pcm[i] = (int16_t)((from + i) % 30011);
}

static struct media_file *
recorder(int fd)
{
	struct media_file *f;

	assert_int_equal(media_file_create(&f, dup(fd), RATE, 0), 0);
	return f;
}

static void
record(struct media_file *f, size_t from, size_t seconds)
{
	int16_t pcm[FRAME];

	for (size_t i = 0; i < seconds * RATE; i += FRAME) {
		ramp(pcm, FRAME, from + i);
		media_file_write(f, pcm, FRAME);
	}
}

/* What is in a file from its start; the header must say so. */
static size_t
read_back(int fd, int16_t *pcm, size_t max)
{
	struct media_wav *w;
	uint8_t h[HEADER];
	size_t n;

	assert_int_equal(pread(fd, h, HEADER, 0), HEADER);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(media_wav_open_fd(&w, dup(fd)), 0);
	n = media_wav_read(w, pcm, max);
	media_wav_close(w);
	assert_int_equal(
	    (size_t)(h[40] | h[41] << 8 | h[42] << 16) / sizeof(*pcm), n);
	return n;
}

static int16_t got[SECONDS_MAX * RATE], want[SECONDS_MAX * RATE];

/* ---- recording ---- */

static void
a_recording_does_not_wait_for_the_disk(void **state)
{
	struct media_disk_waiter w = { .queued = false };
	int fd = file_new();
	struct media_file *f = recorder(fd);

	(void)state;
	assert_false(media_disk_wait(&w, l, stop, l));
	gate_shut();
	record(f, 0, 5);
	media_file_close(f);
	assert_int_equal(size_of(fd), HEADER);
	assert_true(media_disk_wait(&w, l, stop, l));
	gate_open();
	assert_int_equal(loop_run(l), 0); /* until we are told */
	ramp(want, 5 * RATE, 0);
	assert_int_equal(read_back(fd, got, SECONDS_MAX * RATE), 5 * RATE);
	assert_memory_equal(got, want, 5 * RATE * sizeof(*got));
	assert_false(media_disk_wait(&w, l, stop, l));
	close(fd);
}

/* It appears in the file while the call lasts. */
static void
a_recording_grows(void **state)
{
	int fd = file_new();
	struct media_file *f = recorder(fd);
	off_t before = 0;

	(void)state;
	for (size_t i = 0; i < 6; i += 2) {
		record(f, i * RATE, 2);
		drain();
		assert_true(size_of(fd) > before + RATE);
		before = size_of(fd);
	}
	media_file_close(f);
	drain();
	assert_int_equal(read_back(fd, got, SECONDS_MAX * RATE), 6 * RATE);
	close(fd);
}

static void
a_disk_that_is_too_slow_costs_gaps_not_memory(void **state)
{
	int fd = file_new();
	struct media_file *f = recorder(fd);
	size_t n;

	(void)state;
	gate_shut();
	record(f, 0, SECONDS_MAX);
	gate_open();
	drain();
	/* It goes on behind the gap. */
	record(f, SECONDS_MAX * RATE, 5);
	media_file_close(f);
	drain();
	n = read_back(fd, got, SECONDS_MAX * RATE);
	assert_in_range(n, 15 * RATE, 25 * RATE);
	ramp(want, 15 * RATE, 0);
	assert_memory_equal(got, want, 15 * RATE * sizeof(*got));
	ramp(want, 4 * RATE, (SECONDS_MAX + 1) * RATE);
	assert_memory_equal(got + n - 4 * RATE, want, 4 * RATE * sizeof(*got));
	close(fd);
}

/* A daemon that is stopped does not leave half a file. */
static void
what_the_worker_did_not_get_to_is_finished(void **state)
{
	struct media_disk_waiter w = { .queued = false };
	int fd = file_new();
	struct media_file *f = recorder(fd);

	(void)state;
	gate_shut();
	record(f, 0, 5);
	media_file_close(f);
	assert_true(media_disk_wait(&w, l, stop, l));
	media_disk_unwait(&w);
	gate_open();
	worker_free(worker);
	media_exit();
	ramp(want, 5 * RATE, 0);
	assert_int_equal(read_back(fd, got, SECONDS_MAX * RATE), 5 * RATE);
	assert_memory_equal(got, want, 5 * RATE * sizeof(*got));
	close(fd);
	assert_int_equal(worker_new(&worker, l), 0);
	assert_int_equal(media_init(l, worker), 0);
}

/* A session that still recorded then goes on in place. */
static void
without_the_worker_it_goes_on(void **state)
{
	int fd = file_new();
	struct media_file *f = recorder(fd);

	(void)state;
	gate_shut();
	record(f, 0, 3);
	gate_open();
	worker_free(worker);
	media_exit();
	record(f, 3 * RATE, 2);
	media_file_close(f);
	ramp(want, 5 * RATE, 0);
	assert_int_equal(read_back(fd, got, SECONDS_MAX * RATE), 5 * RATE);
	assert_memory_equal(got, want, 5 * RATE * sizeof(*got));
	close(fd);
	assert_int_equal(worker_new(&worker, l), 0);
	assert_int_equal(media_init(l, worker), 0);
}

/* ---- playing ---- */

/* A file with a ramp of so many samples. */
static int
ramp_file(size_t n)
{
	int fd = file_new();
	struct media_wav *w;

	ramp(want, n, 0);
	assert_int_equal(media_wav_create_fd(&w, dup(fd), RATE), 0);
	assert_int_equal(media_wav_write(w, want, n), 0);
	media_wav_close(w);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static void
what_is_played_is_read_ahead(void **state)
{
	/* Around the size of what is read at a time, and nothing at all. */
	static const size_t sizes[] = { 0, 1, 8191, 8192, 8193, 16384, 50000 };
	struct media_file *f;
	size_t n, k;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_int_equal(
		    media_file_open(&f, ramp_file(sizes[i]), 0), 0);
		drain();
		n = 0;
		do {
			k = media_file_read(f, got + n, FRAME);
			n += FRAME;
			if (n % 8000 == 0)
				drain();
		} while (k != 0);
		assert_int_equal(n, (sizes[i] / FRAME + 1) * FRAME);
		assert_memory_equal(got, want, sizes[i] * sizeof(*got));
		media_file_close(f);
		drain();
	}
}

/* Silence in between; nothing of the file is lost, and it is not its end. */
static void
a_disk_that_is_too_slow_is_silence(void **state)
{
	struct media_file *f;
	size_t n = 0, at = 0;

	(void)state;
	gate_shut();
	assert_int_equal(media_file_open(&f, ramp_file(50000), 0), 0);
	for (int i = 0; i < 10; i++) {
		assert_true(media_file_read(f, got, FRAME));
		assert_int_equal(got[1], 0);
	}
	gate_open();
	drain();
	gate_shut();
	/* One piece is there, the next one is late. */
	for (int i = 0; i < 100; i++) {
		assert_true(media_file_read(f, got + n, FRAME));
		n += FRAME;
	}
	assert_memory_equal(got, want, 8192 * sizeof(*got));
	assert_int_equal(got[8192], 0);
	assert_int_equal(got[n - 1], 0);
	gate_open();
	drain();
	assert_true(media_file_read(f, got, FRAME));
	at = 8192;
	assert_memory_equal(got, want + at, FRAME * sizeof(*got));
	/* Closed with the worker in it. */
	gate_shut();
	media_file_close(f);
	gate_open();
	drain();
}

/* ---- a session ---- */

static void
the_end_of_a_session_waits_for_its_recording(void **state)
{
	struct media_conf c = conf("tone:440");
	unsigned int rate;
	struct party a, b;

	(void)state;
	party_open(&a, &c);
	c = conf("null");
	party_open_rec(&b, c);
	agree(&a, &b);
	start(&a);
	start(&b);
	loop_fake_run(l, 2 * S);
	drain();
	gate_shut();
	assert_false(media_sess_finish(a.s, stop, l));
	assert_true(media_sess_finish(b.s, stop, l));
	gate_open();
	assert_int_equal(loop_run(l), 0);
	assert_in_range(recorded(&b, got, &rate), RATE, 2 * RATE);
	/* Freed before it was told. */
	party_close(&a);
	party_open_rec(&a, c);
	party_open(&b, &c);
	agree(&a, &b);
	start(&a);
	gate_shut();
	assert_true(media_sess_finish(a.s, never, NULL));
	party_close(&a);
	party_close(&b);
	gate_open();
	drain();
	loop_fake_run(l, 1 * S);
}

/* Copies a file through a session's eyes; ENOMEM if it is not all there. */
static int
copy(void *arg)
{
	struct media_file *in = NULL, *out = NULL;
	const int *from = arg;
	int16_t pcm[FRAME];
	int fd = dup(*from), to = file_new(), fd2 = dup(to), err;
	size_t n;

	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	if ((err = media_file_open(&in, fd, 0)) != 0)
		close(fd);
	else if ((err = media_file_create(&out, fd2, RATE, 0)) == 0)
		fd2 = -1;
	for (int i = 0; i < 110 && err == 0; i++) {
		if (i % 20 == 0)
			drain();
		(void)media_file_read(in, pcm, FRAME);
		media_file_write(out, pcm, FRAME);
	}
	media_file_close(in);
	media_file_close(out);
	drain();
	if (fd2 >= 0)
		close(fd2);
	if (err == 0) {
		n = read_back(to, got, SECONDS_MAX * RATE);
		if (n != 110 * FRAME || memcmp(got, want, 2 * n) != 0)
			err = ENOMEM;
	}
	close(to);
	return err;
}

static void
survives_every_oom(void **state)
{
	int fd = ramp_file(20000);

	(void)state;
	assert_true(oom_each(copy, &fd) >= 8);
	close(fd);
}

int
main(void)
{
#define T(f) cmocka_unit_test(f)
	const struct CMUnitTest tests[] = {
		T(a_recording_does_not_wait_for_the_disk),
		T(a_recording_grows),
		T(a_disk_that_is_too_slow_costs_gaps_not_memory),
		T(what_the_worker_did_not_get_to_is_finished),
		T(without_the_worker_it_goes_on),
		T(what_is_played_is_read_ahead),
		T(a_disk_that_is_too_slow_is_silence),
		T(the_end_of_a_session_waits_for_its_recording),
		T(survives_every_oom),
	};

	return cmocka_run_group_tests(tests, disk_setup, disk_teardown);
}
