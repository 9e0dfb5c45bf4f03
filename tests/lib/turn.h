/* SPDX-License-Identifier: ISC */
/* Running a loop in a test: until somebody stops it, or for a few rounds. */
#ifndef BELLBIRD_TESTS_TURN_H
#define BELLBIRD_TESTS_TURN_H

#include "bellbird/loop.h"

/* A test that hangs fails instead; nothing here takes a tenth of it. */
#define GUARD_US INT64_C(10000000)
/* Long enough for the kernel to report what is ready already. */
#define ROUND_US INT64_C(1000)

static inline void
guard_cb(void *arg)
{
	(void)arg;
	fail_msg("nothing came within the time of the guard");
}

/* Runs the loop until it is stopped by somebody. */
static inline void
run_some(struct loop *l)
{
	struct timer guard = { 0 };

	assert_int_equal(timer_start(&guard, l, GUARD_US, guard_cb, NULL), 0);
	assert_int_equal(loop_run(l), 0);
	timer_stop(&guard);
}

static inline void
stop_cb(void *arg)
{
	loop_stop(arg);
}

/* Runs the loop for a few rounds: all that is due now gets done. */
static inline void
run_rounds(struct loop *l, int n)
{
	struct timer t = { 0 };

	while (n-- > 0) {
		assert_int_equal(timer_start(&t, l, ROUND_US, stop_cb, l), 0);
		assert_int_equal(loop_run(l), 0);
	}
	timer_stop(&t);
}

#endif
