/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_LOOP_H
#define BELLBIRD_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "bellbird/err.h"

struct event_base; /* libevent's; only base/ and tls/ look inside */
struct loop;

/* loop_new makes the one loop of the process; libevent logs go to log.h, and
 * SIGPIPE is ignored from then on.  loop_free disarms timers left. */
MUST_CHECK int loop_new(struct loop **out);
void loop_free(struct loop *l);
/* loop_run returns after loop_stop(), or when nothing is left to wait for. */
MUST_CHECK int loop_run(struct loop *l);
void loop_stop(struct loop *l);
struct event_base *loop_base(struct loop *l);

/*
 * A timer is embedded in its owner and zero-initialised.  The callback runs
 * from the loop; it may free the owner.  Starting again moves it.  `cb` gets
 * `arg`.  One shot; a periodic timer starts itself again.
 */
typedef void(timer_cb)(void *arg);
struct timer {
	struct loop *l; /* borrowed while armed, else NULL */
	timer_cb *cb;
	void *arg;
	int64_t due_us;  /* clock_mono_us() */
	size_t heap_pos; /* 0: not armed */
	uint64_t seq;    /* equal times run in the order of starting */
};
/* timer_start fires `delay_us` from now (negative: 0); 0 or ENOMEM, which a
 * timer that is armed already never gives. */
MUST_CHECK int timer_start(
    struct timer *t, struct loop *l, int64_t delay_us, timer_cb *cb, void *arg);
/* timer_start_at takes a clock_mono_us() time; for pacing without drift. */
MUST_CHECK int timer_start_at(
    struct timer *t, struct loop *l, int64_t due_us, timer_cb *cb, void *arg);
/* After timer_stop the callback will not run; zeroed or stopped timers are
 * allowed. */
void timer_stop(struct timer *t);
bool timer_is_armed(const struct timer *t);

/*
 * loop_defer runs `cb(arg)` once from the loop, as soon as control is back
 * there; embedded like a timer.  Deferred again before it ran, it runs once,
 * with the later `cb` and `arg`.  loop_undefer cancels it.
 */
struct deferred {
	struct loop *l;
	timer_cb *cb;
	void *arg;
	TAILQ_ENTRY(deferred) link;
	bool queued;
};
void loop_defer(struct loop *l, struct deferred *d, timer_cb *cb, void *arg);
void loop_undefer(struct deferred *d);

/* Readiness of a descriptor; level triggered; embedded, zero-initialised. */
enum { IO_READ = 1, IO_WRITE = 2 };
typedef void(io_cb)(int fd, int what, void *arg);
struct io {
	void *ev; /* owned: libevent's event */
	struct loop *l;
	io_cb *cb;
	void *arg;
};
/* io_start watches `fd` (borrowed) for `what`; starting again replaces.  The
 * callback may stop or free it.  io_stop before close(fd). */
MUST_CHECK int io_start(
    struct io *io, struct loop *l, int fd, int what, io_cb *cb, void *arg);
void io_stop(struct io *io);

/* loop_on_signal calls `cb(arg)` from the loop for each `signo` received;
 * at most 8 signals, for the life of the loop. */
MUST_CHECK int loop_on_signal(
    struct loop *l, int signo, timer_cb *cb, void *arg);

/*
 * Slow callback watch.  Every trampoline of base/ and tls/ brackets the
 * callback by loop_enter()/loop_leave(); one that held the loop for more than
 * 10 ms (half a 20 ms packet) is counted and logged with `what` (a literal).
 * Nested brackets count once; the innermost slow one gives the name.
 */
int64_t loop_enter(struct loop *l);
void loop_leave(struct loop *l, int64_t entered_us, const char *what);
struct loop_stats {
	uint64_t wakeups; /* returns from waiting in the kernel */
	uint64_t callbacks;
	uint64_t slow; /* callbacks over 10 ms */
	int64_t slowest_us;
	char slowest[32];    /* its name */
	unsigned int timers; /* armed now */
};
void loop_get_stats(const struct loop *l, struct loop_stats *out);

/* loop_fake_run (fake clock only) runs what is due, stepping time from timer
 * to timer until `us` have passed or loop_stop() was called; sockets work. */
void loop_fake_run(struct loop *l, int64_t us);

#endif
