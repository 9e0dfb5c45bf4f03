/* SPDX-License-Identifier: ISC */
/* The loop: libevent for descriptors and signals, our own timers, a queue of
 * deferred calls, and the watch over callbacks that hold it too long. */
#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <event2/event.h>

#include "bellbird/clock.h"
#include "bellbird/log.h"
#include "internal.h"

enum {
	SLOW_US = 10000, /* half a 20 ms packet: audio shares this loop */
	/* Rounds at one instant of fake time; more is a callback that never
	 * comes to rest. */
	FAKE_ROUNDS_MAX = 1000,
	US_PER_S = 1000000
};

/* libevent's words go to our log. */
static void
on_event_log(int severity, const char *msg)
{
	enum log_level lv = severity == EVENT_LOG_DEBUG ? LOGL_DEBUG
	    : severity == EVENT_LOG_MSG                 ? LOGL_INFO
	    : severity == EVENT_LOG_WARN                ? LOGL_WARN
							: LOGL_ERR;

	log_line(lv, LOGC_LOOP, 0, "libevent says=\"%s\"", esc(msg));
}

/* libevent ends the process when this returns. */
static void
on_event_fatal(int code)
{
	log_err(LOGC_LOOP, 0, "libevent cannot go on code=%d", code);
}

/* The kernel timer went off; loop_run() looks at the heap anyway. */
static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;

	(void)fd;
	(void)what;
	l->tick_due_us = INT64_MAX;
}

/* Makes the libevent base: no locks (the worker signals through a
 * descriptor), no surprises from the environment. */
static int
base_new(struct event_base **out)
{
	struct event_config *conf;
	int err = ENOMEM;

	event_set_log_callback(on_event_log);
	event_set_fatal_callback(on_event_fatal);
	if ((conf = event_config_new()) == NULL)
		return ENOMEM;
	/* tick_fd counts on edges; short of memory libevent would try poll. */
	if (event_config_require_features(conf, EV_FEATURE_ET) == 0 &&
	    event_config_set_flag(conf,
		EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV) == 0 &&
	    (*out = event_base_new_with_config(conf)) != NULL)
		err = 0;
	event_config_free(conf);
	return err;
}

/* A peer that closes must give EPIPE, not end the process. */
static void
ignore_sigpipe(void)
{
	struct sigaction sa;

	if (sigaction(SIGPIPE, NULL, &sa) == 0 && sa.sa_handler == SIG_DFL) {
		memset(&sa, 0, sizeof(sa));
		sa.sa_handler = SIG_IGN;
		ignore_err(sigaction(SIGPIPE, &sa, NULL), "cannot fail");
	}
}

int
loop_new(struct loop **out)
{
	struct loop *l;
	int err = ENOMEM;

	if ((l = calloc(1, sizeof(*l))) == NULL)
		return ENOMEM;
	TAILQ_INIT(&l->deferreds);
	l->tick_due_us = INT64_MAX;
	l->tick_fd =
	    timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (l->tick_fd < 0) {
		err = errno;
		goto out;
	}
	if ((err = base_new(&l->base)) != 0)
		goto out;
	/* Edge triggered: setting the timer again rearms it, no read needed. */
	l->tick = event_new(
	    l->base, l->tick_fd, EV_READ | EV_PERSIST | EV_ET, on_tick, l);
	if (l->tick == NULL || event_add(l->tick, NULL) != 0) {
		err = ENOMEM;
		goto out;
	}
	ignore_sigpipe();
	*out = l;
	l = NULL;
out:
	loop_free(l);
	return err;
}

void
loop_free(struct loop *l)
{
	struct deferred *d;

	if (l == NULL)
		return;
	timers_detach(l);
	while ((d = TAILQ_FIRST(&l->deferreds)) != NULL)
		loop_undefer(d);
	for (size_t i = 0; i < l->num_signals; i++)
		event_free(l->signals[i].ev);
	if (l->tick != NULL)
		event_free(l->tick);
	if (l->base != NULL)
		event_base_free(l->base);
	if (l->tick_fd >= 0)
		close(l->tick_fd);
	free(l->heap);
	free(l->udp_room);
	free(l);
}

/* Runs what was deferred before this turn; what is added waits for the next. */
static void
deferreds_run(struct loop *l)
{
	size_t left = l->num_deferreds;
	struct deferred *d;
	timer_cb *cb;
	void *arg;
	int64_t t0;

	while (left-- > 0 && !l->stopping &&
	    (d = TAILQ_FIRST(&l->deferreds)) != NULL) {
		cb = d->cb;
		arg = d->arg;
		loop_undefer(d);
		t0 = loop_enter(l);
		cb(arg); /* may have freed `d` */
		loop_leave(l, t0, "deferred");
	}
}

/* Sets the kernel timer if it would go off too late; one that goes off too
 * early costs a single wake-up, less than setting it for each change. */
static int
tick_arm(struct loop *l, int64_t due_us)
{
	struct itimerspec it = { { 0, 0 }, { 0, 0 } };

	if (due_us >= l->tick_due_us || clock_is_fake())
		return 0;
	it.it_value.tv_sec = (time_t)(due_us / US_PER_S);
	it.it_value.tv_nsec = (long)(due_us % US_PER_S) * 1000;
	if (timerfd_settime(l->tick_fd, TFD_TIMER_ABSTIME, &it, NULL) != 0)
		return errno;
	l->tick_due_us = due_us;
	return 0;
}

/* True if no timer and no event but our own can ever wake us. */
static bool
is_idle(struct loop *l)
{
	return (l->num_timers == 0 || clock_is_fake()) &&
	    event_base_get_num_events(l->base,
		EVENT_BASE_COUNT_ADDED | EVENT_BASE_COUNT_ACTIVE |
		    EVENT_BASE_COUNT_VIRTUAL) <= 1;
}

int
loop_run(struct loop *l)
{
	int64_t due;
	int err = 0, how;

	for (;;) {
		if (!l->stopping)
			timers_run(l);
		if (!l->stopping)
			deferreds_run(l);
		if (l->stopping)
			break;
		due = timers_next_us(l);
		how = EVLOOP_ONCE;
		if (l->num_deferreds > 0 || due <= clock_mono_us())
			how = EVLOOP_NONBLOCK;
		else if (is_idle(l))
			break;
		else if ((err = tick_arm(l, due)) != 0)
			break;
		if (event_base_loop(l->base, how) < 0) {
			err = EIO;
			break;
		}
		if (how == EVLOOP_ONCE)
			l->stats.wakeups++;
	}
	l->stopping = false;
	return err;
}

void
loop_stop(struct loop *l)
{
	l->stopping = true;
	ignore_err(event_base_loopbreak(l->base), "the flag is enough");
}

struct event_base *
loop_base(struct loop *l)
{
	return l->base;
}

void
loop_defer(struct loop *l, struct deferred *d, timer_cb *cb, void *arg)
{
	assert(cb != NULL);
	if (d->queued && d->l != l)
		loop_undefer(d);
	d->cb = cb;
	d->arg = arg;
	if (d->queued)
		return;
	d->l = l;
	d->queued = true;
	TAILQ_INSERT_TAIL(&l->deferreds, d, link);
	l->num_deferreds++;
}

void
loop_undefer(struct deferred *d)
{
	if (!d->queued)
		return;
	TAILQ_REMOVE(&d->l->deferreds, d, link);
	d->l->num_deferreds--;
	d->queued = false;
	d->l = NULL;
}

/* A descriptor is ready. */
static void
on_io(evutil_socket_t fd, short ev, void *arg)
{
	struct io *io = arg;
	struct loop *l = io->l;
	int64_t t0 = loop_enter(l);
	int what = 0;

	if (ev & EV_READ)
		what |= IO_READ;
	if (ev & EV_WRITE)
		what |= IO_WRITE;
	io->cb(fd, what, io->arg); /* may have freed `io` */
	loop_leave(l, t0, "io");
}

int
io_start(struct io *io, struct loop *l, int fd, int what, io_cb *cb, void *arg)
{
	struct event *ev;
	short flags = EV_PERSIST;
	int err;

	assert(cb != NULL);
	if (what & IO_READ)
		flags |= EV_READ;
	if (what & IO_WRITE)
		flags |= EV_WRITE;
	if ((ev = event_new(l->base, fd, flags, on_io, io)) == NULL)
		return ENOMEM;
	/* The old watch goes first: epoll knows a descriptor once. */
	io_stop(io);
	errno = 0; /* libevent sets it for the kernel's errors only */
	if (event_add(ev, NULL) != 0) {
		err = errno != 0 ? errno : ENOMEM;
		event_free(ev);
		return err;
	}
	io->ev = ev;
	io->l = l;
	io->cb = cb;
	io->arg = arg;
	return 0;
}

void
io_stop(struct io *io)
{
	if (io->ev == NULL)
		return;
	event_free(io->ev);
	io->ev = NULL;
	io->l = NULL;
}

/* A signal arrived. */
static void
on_signal(evutil_socket_t signo, short what, void *arg)
{
	struct loop_signal *s = arg;
	int64_t t0 = loop_enter(s->l);

	(void)signo;
	(void)what;
	s->cb(s->arg);
	loop_leave(s->l, t0, "signal");
}

int
loop_on_signal(struct loop *l, int signo, timer_cb *cb, void *arg)
{
	struct loop_signal *s;
	int err;

	if (l->num_signals == LOOP_SIGNALS_MAX)
		return E_LIMIT;
	s = &l->signals[l->num_signals];
	s->l = l;
	s->cb = cb;
	s->arg = arg;
	if ((s->ev = evsignal_new(l->base, signo, on_signal, s)) == NULL)
		return ENOMEM;
	errno = 0; /* libevent sets it for the kernel's errors only */
	if (event_add(s->ev, NULL) != 0) {
		err = errno != 0 ? errno : ENOMEM;
		event_free(s->ev);
		return err;
	}
	l->num_signals++;
	return 0;
}

int64_t
loop_enter(struct loop *l)
{
	if (l->depth++ == 0)
		l->slow_what = NULL;
	return clock_mono_us();
}

void
loop_leave(struct loop *l, int64_t entered_us, const char *what)
{
	int64_t took = clock_mono_us() - entered_us;

	assert(l->depth > 0);
	/* The innermost slow bracket knows best who it was. */
	if (took > SLOW_US && l->slow_what == NULL)
		l->slow_what = what;
	if (--l->depth > 0)
		return;
	l->stats.callbacks++;
	if (took <= SLOW_US)
		return;
	l->stats.slow++;
	if (took > l->stats.slowest_us) {
		l->stats.slowest_us = took;
		snprintf(l->stats.slowest, sizeof(l->stats.slowest), "%s",
		    l->slow_what);
	}
	log_warn(LOGC_LOOP, 0, "slow callback what=%s ms=%lld", l->slow_what,
	    (long long)(took / 1000));
}

void
loop_get_stats(const struct loop *l, struct loop_stats *out)
{
	*out = l->stats;
	out->timers = (unsigned int)l->num_timers;
}

/* Runs io, timers and deferred calls until nothing happens at this instant. */
static void
fake_settle(struct loop *l)
{
	uint64_t before;

	for (int i = 0; i < FAKE_ROUNDS_MAX && !l->stopping; i++) {
		before = l->stats.callbacks;
		if (event_base_loop(l->base, EVLOOP_NONBLOCK) < 0)
			return;
		timers_run(l);
		deferreds_run(l);
		if (l->stats.callbacks == before && l->num_deferreds == 0)
			return;
	}
}

void
loop_fake_run(struct loop *l, int64_t us)
{
	int64_t now, end, next;

	assert(clock_is_fake());
	end = clock_mono_us() + us;
	for (;;) {
		fake_settle(l);
		now = clock_mono_us();
		if (l->stopping || now >= end)
			break;
		next = timers_next_us(l);
		if (next <= now)
			next = now + 1; /* a timer of 0 that never rests */
		clock_step_us((next < end ? next : end) - now);
	}
	l->stopping = false;
}
