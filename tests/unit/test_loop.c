/* SPDX-License-Identifier: ISC */
/* loop.c and timer.c: order, lifetime, fake and real time, the slow watch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include <cmocka.h>

#include "bellbird/clock.h"
#include "bellbird/log.h"
#include "bellbird/loop.h"
#include "oom.h"

static struct loop *l;

static int
set_up(void **state)
{
	(void)state;
	clock_fake(1800000000);
	return loop_new(&l);
}

static int
tear_down(void **state)
{
	(void)state;
	loop_free(l);
	clock_real();
	return 0;
}

static void
count(void *arg)
{
	++*(int *)arg;
}

enum { MANY = 1000 };

static struct {
	struct timer t;
	int fired;
} many[MANY];
static int64_t last_us;
static int order;

static void
on_many(void *arg)
{
	size_t i = (size_t)arg;

	assert_false(timer_is_armed(&many[i].t));
	assert_true(many[i].t.due_us >= last_us);
	assert_true(many[i].t.due_us <= clock_mono_us());
	last_us = many[i].t.due_us;
	many[i].fired = ++order;
}

static void
a_thousand_timers_run_in_order(void **state)
{
	struct loop_stats st;
	uint32_t x = 12345;

	(void)state;
	order = 0;
	last_us = 0;
	for (size_t i = 0; i < MANY; i++) {
		x = x * 1664525 + 1013904223;
		assert_int_equal(
		    timer_start(&many[i].t, l, x >> 12, on_many, (void *)i), 0);
	}
	/* Some are moved, some stopped: from the middle of the heap too. */
	for (size_t i = 0; i < MANY; i += 7)
		assert_int_equal(timer_start(&many[i].t, l, 500000 + (int)i,
				     on_many, (void *)i),
		    0);
	for (size_t i = 3; i < MANY; i += 10)
		timer_stop(&many[i].t);
	loop_get_stats(l, &st);
	assert_int_equal(st.timers, MANY - MANY / 10);
	loop_fake_run(l, 2000000);
	assert_int_equal(order, MANY - MANY / 10);
	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(many[i].fired == 0, i % 10 == 3);
	loop_get_stats(l, &st);
	assert_int_equal(st.timers, 0);
	assert_int_equal(st.callbacks, MANY - MANY / 10);
}

static char trail[64];

static void
note(void *arg)
{
	size_t n = strlen(trail);

	assert_true(n + 1 < sizeof(trail));
	trail[n] = *(const char *)arg;
	trail[n + 1] = '\0';
}

static void
equal_times_keep_the_order_of_starting(void **state)
{
	struct timer t[5];

	(void)state;
	memset(t, 0, sizeof(t));
	trail[0] = '\0';
	for (int i = 0; i < 5; i++)
		assert_int_equal(timer_start_at(&t[i], l, 2000000, note,
				     (void *)(uintptr_t) & "abcde"[i]),
		    0);
	/* Starting again moves to the end. */
	assert_int_equal(
	    timer_start_at(&t[1], l, 2000000, note, (void *)(uintptr_t) "B"),
	    0);
	loop_fake_run(l, 1000000);
	assert_string_equal(trail, "acdeB");
}

struct owner {
	struct timer t;
	struct deferred d;
	int *count;
};

static void
free_owner(void *arg)
{
	struct owner *o = arg;

	++*o->count;
	loop_undefer(&o->d);
	timer_stop(&o->t);
	free(o);
}

static void
a_callback_may_free_its_timer(void **state)
{
	int n = 0;

	(void)state;
	for (int i = 0; i < 10; i++) {
		struct owner *o = calloc(1, sizeof(*o));

		assert_non_null(o);
		o->count = &n;
		if (i % 2 == 0)
			loop_defer(l, &o->d, free_owner, o);
		else
			loop_defer(l, &o->d, count, &n);
		assert_int_equal(
		    timer_start(&o->t, l, 1000 * (i + 1), free_owner, o), 0);
	}
	loop_fake_run(l, 20000);
	assert_int_equal(n, 15);
}

static struct timer again;
static int again_left;

static void
on_again(void *arg)
{
	if (--again_left > 0)
		assert_int_equal(timer_start_at(&again, l, again.due_us + 20000,
				     on_again, arg),
		    0);
}

static void
periodic_timers_do_not_drift(void **state)
{
	int64_t t0 = clock_mono_us();

	(void)state;
	again_left = 50;
	assert_int_equal(timer_start(&again, l, 20000, on_again, NULL), 0);
	loop_fake_run(l, 1000000);
	assert_int_equal(again_left, 0);
	assert_int_equal(again.due_us, t0 + 1000000);
	assert_int_equal(clock_mono_us(), t0 + 1000000);
}

static void
on_zero(void *arg)
{
	++*(int *)arg;
	assert_int_equal(timer_start(&again, l, 0, on_zero, arg), 0);
}

/* A timer of 0 that always comes back must not stop the clock. */
static void
a_restless_timer_does_not_hang_the_loop(void **state)
{
	int n = 0;

	(void)state;
	assert_int_equal(timer_start(&again, l, 0, on_zero, &n), 0);
	loop_fake_run(l, 3);
	assert_true(n > 0);
	timer_stop(&again);
}

static struct deferred d1, d2;
static int d_count;

static void
on_redefer(void *arg)
{
	(void)arg;
	d_count++;
	if (d_count < 5)
		loop_defer(l, &d1, on_redefer, NULL);
}

static void
stop_loop(void *arg)
{
	(void)arg;
	loop_stop(l);
}

static void
deferred_calls_run_once_and_can_be_cancelled(void **state)
{
	int a = 0, b = 0;

	(void)state;
	loop_defer(l, &d1, count, &a);
	loop_defer(l, &d1, count, &b); /* the later call wins */
	loop_defer(l, &d2, count, &a);
	loop_undefer(&d2);
	loop_undefer(&d2);
	assert_int_equal(a + b, 0); /* never inside the call */
	loop_fake_run(l, 0);
	assert_int_equal(a, 0);
	assert_int_equal(b, 1);
	d_count = 0;
	loop_defer(l, &d1, on_redefer, NULL);
	loop_fake_run(l, 0);
	assert_int_equal(d_count, 5);
	/* A stopped loop runs nothing more. */
	loop_defer(l, &d1, stop_loop, NULL);
	loop_defer(l, &d2, count, &a);
	loop_fake_run(l, 1000);
	assert_int_equal(a, 0);
	loop_fake_run(l, 0);
	assert_int_equal(a, 1);
}

static void
mute(enum log_level lv, enum log_cat cat, uint64_t id, const char *line,
    void *arg)
{
	(void)lv;
	(void)cat;
	(void)id;
	(void)line;
	++*(int *)arg;
}

static int sv[2];
static struct io reader, writer;
static char got[8];

static void
on_read(int fd, int what, void *arg)
{
	ssize_t n;

	(void)arg;
	assert_int_equal(what, IO_READ);
	n = read(fd, got, sizeof(got) - 1);
	if (n == 0)
		io_stop(&reader);
	else
		got[n > 0 ? n : 0] = '\0';
}

static void
on_write(int fd, int what, void *arg)
{
	(void)arg;
	assert_int_equal(what, IO_WRITE);
	assert_int_equal(write(fd, "hi", 2), 2);
	io_stop(&writer);
	close(fd);
}

static void
sockets_work_in_fake_time(void **state)
{
	int lines = 0;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	got[0] = '\0';
	assert_int_equal(io_start(&reader, l, sv[0], IO_WRITE, on_read, 0), 0);
	assert_int_equal(io_start(&reader, l, sv[0], IO_READ, on_read, 0), 0);
	assert_int_equal(io_start(&writer, l, sv[1], IO_WRITE, on_write, 0), 0);
	loop_fake_run(l, 0);
	assert_string_equal(got, "hi");
	assert_null(reader.ev);
	close(sv[0]);
	log_set_sink(mute, &lines);
	assert_int_not_equal(
	    io_start(&reader, l, 9999, IO_READ, on_read, 0), 0);
	assert_int_equal(lines, 1); /* libevent's complaint */
	log_set_sink(NULL, NULL);
	io_stop(&reader);
}

static void
on_slow(void *arg)
{
	int64_t t0 = loop_enter(l);

	clock_step_us(*(int64_t *)arg);
	loop_leave(l, t0, "inner");
}

static void
slow_callbacks_are_counted_once(void **state)
{
	int64_t us = 10000;
	struct loop_stats st;
	struct timer t;
	int lines = 0;

	(void)state;
	memset(&t, 0, sizeof(t));
	log_set_sink(mute, &lines);
	assert_int_equal(timer_start(&t, l, 1, on_slow, &us), 0);
	loop_fake_run(l, 10);
	loop_get_stats(l, &st);
	assert_int_equal(st.slow, 0);
	assert_int_equal(lines, 0);
	us = 25001;
	assert_int_equal(timer_start(&t, l, 1, on_slow, &us), 0);
	loop_fake_run(l, 10);
	loop_get_stats(l, &st);
	log_set_sink(NULL, NULL);
	assert_int_equal(st.callbacks, 2);
	assert_int_equal(st.slow, 1);
	assert_int_equal(st.slowest_us, 25001);
	assert_string_equal(st.slowest, "inner");
	assert_int_equal(lines, 1);
}

static void
real_time_is_not_early_and_rests_between(void **state)
{
	struct timer t[3];
	struct loop_stats st;
	int n = 0;
	int64_t t0, took;

	(void)state;
	memset(t, 0, sizeof(t));
	clock_real();
	t0 = clock_mono_us();
	assert_int_equal(timer_start(&t[0], l, 3000, count, &n), 0);
	assert_int_equal(timer_start(&t[1], l, 6000, count, &n), 0);
	assert_int_equal(timer_start(&t[2], l, 1000, count, &n), 0);
	timer_stop(&t[2]);
	/* Nothing is left after the last timer: the loop returns. */
	assert_int_equal(loop_run(l), 0);
	took = clock_mono_us() - t0;
	assert_int_equal(n, 2);
	assert_true(took >= 6000);
	loop_get_stats(l, &st);
	assert_true(st.wakeups >= 1 && st.wakeups <= 3);
}

static void
loop_ends_when_told_or_with_nothing_to_do(void **state)
{
	struct timer t, never;

	(void)state;
	memset(&t, 0, sizeof(t));
	memset(&never, 0, sizeof(never));
	clock_real();
	assert_int_equal(loop_run(l), 0);
	assert_int_equal(timer_start(&never, l, INT64_MAX, stop_loop, NULL), 0);
	assert_int_equal(timer_start(&t, l, 0, stop_loop, NULL), 0);
	assert_int_equal(loop_run(l), 0);
	assert_true(timer_is_armed(&never));
	timer_stop(&never);
	assert_false(timer_is_armed(&never));
}

static void
on_usr1(void *arg)
{
	++*(int *)arg;
	loop_stop(l);
}

static void
raise_usr1(void *arg)
{
	(void)arg;
	assert_int_equal(kill(getpid(), SIGUSR1), 0);
}

static void
signals_arrive_from_the_loop(void **state)
{
	struct sigaction pipe_action;
	struct timer t;
	int n = 0;

	(void)state;
	memset(&t, 0, sizeof(t));
	clock_real();
	for (int i = 0; i < 8; i++)
		assert_int_equal(
		    loop_on_signal(
			l, i == 0 ? SIGUSR1 : SIGRTMIN + i, on_usr1, &n),
		    0);
	assert_int_equal(loop_on_signal(l, SIGUSR2, on_usr1, &n), E_LIMIT);
	assert_int_equal(timer_start(&t, l, 0, raise_usr1, NULL), 0);
	assert_int_equal(loop_run(l), 0);
	assert_int_equal(n, 1);
	assert_int_equal(sigaction(SIGPIPE, NULL, &pipe_action), 0);
	assert_true(pipe_action.sa_handler == SIG_IGN);
}

static void
the_end_of_the_loop_disarms_its_timers(void **state)
{
	struct timer t;
	struct deferred d;
	struct loop *other;
	int n = 0;

	(void)state;
	memset(&t, 0, sizeof(t));
	memset(&d, 0, sizeof(d));
	assert_int_equal(loop_new(&other), 0);
	assert_int_equal(timer_start(&t, other, 5, count, &n), 0);
	/* A timer may move to another loop. */
	assert_int_equal(timer_start(&t, l, 5, count, &n), 0);
	assert_int_equal(timer_start(&t, other, 5, count, &n), 0);
	loop_defer(other, &d, count, &n);
	loop_free(other);
	assert_false(timer_is_armed(&t));
	timer_stop(&t);
	loop_undefer(&d);
	assert_int_equal(n, 0);
}

static int
build(void *arg)
{
	struct timer t[40];
	struct io io;
	struct loop *x;
	int err, n = 0;

	(void)arg;
	memset(t, 0, sizeof(t));
	memset(&io, 0, sizeof(io));
	if ((err = loop_new(&x)) != 0)
		return err;
	for (int i = 0; i < 40 && err == 0; i++)
		err = timer_start(&t[i], x, 1, count, &n);
	if (err == 0)
		err = io_start(&io, x, sv[0], IO_READ, on_read, NULL);
	if (err == 0)
		err = loop_on_signal(x, SIGUSR1, count, &n);
	if (err == 0) {
		loop_fake_run(x, 10);
		if (n != 40)
			err = EPROTO;
	}
	io_stop(&io);
	loop_free(x);
	return err;
}

/* libevent's allocations are counted too. */
static void
survives_every_oom(void **state)
{
	int lines = 0;

	(void)state;
	log_set_sink(mute, &lines); /* libevent complains each time */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	assert_true(oom_each(build, NULL) > 12);
	close(sv[0]);
	close(sv[1]);
	log_set_sink(NULL, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    a_thousand_timers_run_in_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    equal_times_keep_the_order_of_starting, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    a_callback_may_free_its_timer, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    periodic_timers_do_not_drift, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    a_restless_timer_does_not_hang_the_loop, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    deferred_calls_run_once_and_can_be_cancelled, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(
		    sockets_work_in_fake_time, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    slow_callbacks_are_counted_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    real_time_is_not_early_and_rests_between, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(
		    loop_ends_when_told_or_with_nothing_to_do, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(
		    signals_arrive_from_the_loop, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    the_end_of_the_loop_disarms_its_timers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    survives_every_oom, set_up, tear_down),
	};

	/* Before libevent allocates anything. */
	event_set_mem_functions(malloc, realloc, free);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
