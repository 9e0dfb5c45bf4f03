/* SPDX-License-Identifier: ISC */
/* Events: their numbers, the ring, replay, and subscribers that do not read. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>

#include "bellbird/clock.h"
#include "bellbird/ctl_server.h"
#include "bellbird/log.h"
#include "test_ctl.h"

static struct loop *loop;
static char dir[32], path[64];
static struct ctl_server *server;

static void
cmd_echo(struct ctl_req *r, const struct jv *args, void *arg)
{
	(void)arg;
	ctl_reply(r, jv_copy(args));
}

static const struct ctl_cmd cmds[] = { { "echo", cmd_echo } };

static int
setup(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/bb-ctl-XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/ctl.sock", dir);
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(
	    ctl_server_open(&server, loop, path, NULL, cmds, 1, NULL), 0);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	ctl_server_free(server);
	loop_free(loop);
	clock_real();
	assert_int_equal(rmdir(dir), 0);
	return 0;
}

/* An event with one number and a filler of `n` bytes. */
static void
emit(int64_t number, size_t n)
{
	struct jv *f = jv_obj();
	char *s = calloc(1, n + 1);

	assert_non_null(s);
	memset(s, 'f', n);
	jv_set_int(f, "n", number);
	jv_set_str(f, "filler", s);
	free(s);
	ctl_event(server, "test.event", f);
}

/* Subscribes; `since` negative: only what is new.  Checks the newest seq. */
static void
subscribe(struct peer *p, int64_t since, int64_t seq)
{
	char line[128];
	struct jv *o;

	peer_open(p, loop, path);
	if (since < 0)
		(void)snprintf(
		    line, sizeof(line), "{\"id\":1,\"cmd\":\"events\"}\n");
	else
		(void)snprintf(line, sizeof(line),
		    "{\"id\":1,\"cmd\":\"events\",\"args\":{\"since\":%lld}}\n",
		    (long long)since);
	o = peer_ask(p, line);
	assert_true(jv_get_bool(o, "ok", false));
	assert_int_equal(jv_get_int(jv_get(o, "result"), "seq", -1), seq);
	jv_free(o);
}

/* The next event has this number. */
static void
expect_seq(struct peer *p, int64_t seq)
{
	struct jv *e = peer_next(p);

	assert_non_null(e);
	assert_string_equal(jv_get_str(e, "event"), "test.event");
	assert_int_equal(jv_get_int(e, "seq", -1), seq);
	jv_free(e);
}

static void
an_event_has_name_number_time_and_fields(void **state)
{
	struct jv *f = jv_obj(), *e;
	struct peer p;

	(void)state;
	clock_fake(1795527474);
	assert_int_equal(ctl_event_seq(server), 0);
	jv_set_str(f, "call", "c1");
	jv_set_str(f, "event", "something else"); /* not the caller's */
	jv_set_int(f, "seq", 99);
	ctl_event(server, "call.established", f);
	ctl_event(server, "bare", NULL);
	clock_real(); /* a loop in fake time does not wait for sockets */
	assert_int_equal(ctl_event_seq(server), 2);
	subscribe(&p, 0, 2);
	e = peer_next(&p);
	assert_string_equal(jv_get_str(e, "event"), "call.established");
	assert_int_equal(jv_get_int(e, "seq", -1), 1);
	assert_string_equal(jv_get_str(e, "time"), "2026-11-24T13:37:54.000Z");
	assert_string_equal(jv_get_str(e, "call"), "c1");
	assert_int_equal(jv_len(e), 4);
	jv_free(e);
	e = peer_next(&p);
	assert_string_equal(jv_get_str(e, "event"), "bare");
	assert_int_equal(jv_len(e), 3);
	jv_free(e);
	peer_close(&p);
}

static void
only_subscribers_get_events(void **state)
{
	struct peer p, q;
	struct jv *o;

	(void)state;
	emit(1, 0);
	subscribe(&p, -1, 1);
	peer_open(&q, loop, path);
	jv_free(peer_ask(&q, "{\"cmd\":\"echo\"}\n"));
	emit(2, 0);
	expect_seq(&p, 2); /* not 1: it did not ask for what was */
	o = peer_ask(&q, "{\"id\":9,\"cmd\":\"echo\"}\n");
	assert_int_equal(jv_get_int(o, "id", -1), 9); /* a reply, no event */
	jv_free(o);
	peer_close(&p);
	peer_close(&q);
}

static void
replay_starts_behind_the_number_given(void **state)
{
	static const struct {
		const char *why;
		int64_t since, first;
	} v[] = {
		{ "all", 0, 1 },
		{ "the middle", 5, 6 },
		{ "the last", 9, 10 },
		{ "nothing new", 10, 11 },
		{ "a number of another run", 5000, 11 },
	};
	struct peer p[5];

	(void)state;
	for (int i = 1; i <= 10; i++)
		emit(i, 0);
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		print_message("%s\n", v[i].why);
		subscribe(&p[i], v[i].since, 10);
		for (int64_t n = v[i].first; n <= 10; n++)
			expect_seq(&p[i], n);
	}
	emit(11, 0);
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		expect_seq(&p[i], 11);
		peer_close(&p[i]);
	}
}

static void
the_ring_keeps_the_newest_1000(void **state)
{
	struct peer p;

	(void)state;
	for (int i = 1; i <= 2345; i++)
		emit(i, 0);
	subscribe(&p, 3, 2345);
	for (int n = 1346; n <= 2345; n++)
		expect_seq(&p, n);
	emit(2346, 0);
	expect_seq(&p, 2346);
	peer_close(&p);
}

static void
large_events_leave_the_ring_earlier(void **state)
{
	struct peer p;
	struct jv *e;
	int64_t first, n;

	(void)state;
	for (int i = 1; i <= 100; i++)
		emit(i, 20000); /* 2 MB: four times the ring */
	subscribe(&p, 0, 100);
	e = peer_next(&p); /* a replay never closes its reader */
	first = jv_get_int(e, "seq", -1);
	jv_free(e);
	assert_true(first > 70 && first < 80);
	for (n = first + 1; n <= 100; n++)
		expect_seq(&p, n);
	peer_close(&p);
}

static void
an_event_that_is_too_large_leaves_a_hole(void **state)
{
	struct peer p;

	(void)state;
	subscribe(&p, -1, 0);
	emit(1, 0);
	emit(2, 1000000);
	emit(3, 0);
	expect_seq(&p, 1);
	expect_seq(&p, 3);
	peer_close(&p);
}

static void
a_subscriber_that_does_not_read_is_closed_alone(void **state)
{
	struct peer slow, good;
	struct jv *e;
	int64_t n = 0, last = 0;

	(void)state;
	subscribe(&slow, -1, 0);
	subscribe(&good, -1, 0);
	io_stop(&slow.io);               /* from now on it does not read */
	for (int i = 1; i <= 100; i++) { /* 5 MB */
		emit(i, 50000);
		expect_seq(&good, i);
	}
	assert_int_equal(
	    io_start(&slow.io, loop, slow.fd, IO_READ, peer_read, &slow), 0);
	while (!slow.eof)
		run_some(loop);
	while (memchr(slow.in.p + slow.used, '\n', slow.in.n - slow.used)) {
		e = peer_next(&slow);
		last = jv_get_int(e, "seq", -1);
		assert_int_equal(last, ++n); /* in order, without holes */
		jv_free(e);
	}
	assert_true(last > 0 && last < 60);
	emit(101, 0);
	expect_seq(&good, 101);
	peer_close(&slow);
	peer_close(&good);
}

/* log_sink_fn: a log line is an event, as in the program. */
static void
on_log(enum log_level lv, enum log_cat cat, uint64_t id, const char *line,
    void *arg)
{
	struct jv *f = jv_obj();

	(void)lv;
	(void)cat;
	(void)id;
	(void)arg;
	jv_set_str(f, "line", line);
	ctl_event(server, "log", f);
}

static void
log_lines_may_become_events(void **state)
{
	struct peer p, slow;
	struct jv *e;
	bool told = false;

	(void)state;
	log_add_tap(on_log, NULL);
	subscribe(&p, -1, 0);
	subscribe(&slow, -1, 0);
	io_stop(&slow.io);
	/* Its end is logged, which is an event, which goes to subscribers. */
	for (int i = 1; i <= 100 && !told; i++) {
		emit(i, 50000);
		e = peer_next(&p);
		told = strcmp(jv_get_str(e, "event"), "log") == 0;
		jv_free(e);
	}
	log_add_tap(NULL, NULL);
	assert_true(told);
	peer_close(&p);
	peer_close(&slow);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(an_event_has_name_number_time_and_fields),
		T(only_subscribers_get_events),
		T(replay_starts_behind_the_number_given),
		T(the_ring_keeps_the_newest_1000),
		T(large_events_leave_the_ring_earlier),
		T(an_event_that_is_too_large_leaves_a_hole),
		T(a_subscriber_that_does_not_read_is_closed_alone),
		T(log_lines_may_become_events),
#undef T
	};
	struct sigaction ign = { .sa_handler = SIG_IGN };

	(void)sigaction(SIGPIPE, &ign, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
