/* SPDX-License-Identifier: ISC */
/* worker.c: order, results in the loop's thread, the end with jobs left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bellbird/worker.h"

static struct loop *l;
static struct worker *w;
static unsigned int next_done;

struct task {
	unsigned int number;
	bool in_other_thread;
	bool signals_blocked;
};

static pthread_t loop_thread;

static int
job(void *arg)
{
	struct task *t = arg;
	sigset_t set;

	t->in_other_thread = !pthread_equal(pthread_self(), loop_thread);
	pthread_sigmask(SIG_BLOCK, NULL, &set);
	t->signals_blocked = sigismember(&set, SIGTERM) == 1;
	return t->number == 3 ? EBUSY : 0;
}

static void
done(int err, void *arg)
{
	struct task *t = arg;

	assert_true(pthread_equal(pthread_self(), loop_thread));
	assert_true(t->in_other_thread);
	assert_true(t->signals_blocked);
	assert_int_equal(t->number, next_done);
	assert_int_equal(err, t->number == 3 ? EBUSY : 0);
	next_done++;
}

static int
set_up(void **state)
{
	(void)state;
	loop_thread = pthread_self();
	next_done = 0;
	return loop_new(&l) != 0 || worker_new(&w, l) != 0 ? -1 : 0;
}

static int
tear_down(void **state)
{
	(void)state;
	worker_free(w);
	loop_free(l);
	return 0;
}

static void
results_come_in_order_from_the_loop(void **state)
{
	struct task tasks[20];

	(void)state;
	for (unsigned int round = 0; round < 2; round++) {
		memset(tasks, 0, sizeof(tasks));
		next_done = 0;
		for (unsigned int i = 0; i < 20; i++) {
			tasks[i].number = i;
			assert_int_equal(
			    worker_run(w, job, done, &tasks[i]), 0);
		}
		assert_int_equal(next_done, 0);
		/* With all jobs done nothing keeps the loop. */
		assert_int_equal(loop_run(l), 0);
		assert_int_equal(next_done, 20);
	}
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static int started;

static int
job_at_gate(void *arg)
{
	__atomic_store_n(&started, 1, __ATOMIC_SEQ_CST);
	pthread_mutex_lock(&gate);
	pthread_mutex_unlock(&gate);
	__atomic_add_fetch((int *)arg, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static void
never(int err, void *arg)
{
	(void)err;
	(void)arg;
	fail_msg("a dropped job was reported");
}

static void
free_waits_for_the_job_and_drops_the_rest(void **state)
{
	int ran = 0;

	(void)state;
	pthread_mutex_lock(&gate);
	for (int i = 0; i < 5; i++)
		assert_int_equal(worker_run(w, job_at_gate, never, &ran), 0);
	while (!__atomic_load_n(&started, __ATOMIC_SEQ_CST))
		sched_yield();
	pthread_mutex_unlock(&gate);
	worker_free(w);
	w = NULL;
	/* The first for sure; more only if the thread was quicker than us. */
	assert_in_range(ran, 1, 5);
	assert_int_equal(loop_run(l), 0);
}

/* A disk that has died must not keep the process from ending. */
static void
free_gives_up_on_a_job_that_hangs(void **state)
{
	int ran = 0;

	(void)state;
	__atomic_store_n(&started, 0, __ATOMIC_SEQ_CST);
	pthread_mutex_lock(&gate);
	assert_int_equal(worker_run(w, job_at_gate, never, &ran), 0);
	while (!__atomic_load_n(&started, __ATOMIC_SEQ_CST))
		sched_yield();
	worker_free(w); /* would hang for ever */
	w = NULL;
	assert_int_equal(loop_run(l), 0);
	pthread_mutex_unlock(&gate);
	while (__atomic_load_n(&ran, __ATOMIC_SEQ_CST) == 0)
		sched_yield();
}

static void
free_worker(int err, void *arg)
{
	(void)err;
	++*(int *)arg;
	worker_free(w);
	w = NULL;
}

static int
quick(void *arg)
{
	(void)arg;
	return 0;
}

static void
done_may_free_the_worker(void **state)
{
	int n = 0;

	(void)state;
	for (int i = 0; i < 10; i++)
		assert_int_equal(worker_run(w, quick, free_worker, &n), 0);
	assert_int_equal(loop_run(l), 0);
	assert_int_equal(n, 1);
}

static void
an_idle_worker_has_no_thread(void **state)
{
	(void)state;
	/* Nothing to join, nothing to wait for. */
	assert_int_equal(loop_run(l), 0);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(results_come_in_order_from_the_loop),
		T(free_waits_for_the_job_and_drops_the_rest),
		T(free_gives_up_on_a_job_that_hangs),
		T(done_may_free_the_worker),
		T(an_idle_worker_has_no_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
