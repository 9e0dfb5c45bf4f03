/* SPDX-License-Identifier: ISC */
/* One thread for jobs that block; results come back through an eventfd.
 * The loop itself needs no lock. */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bellbird/log.h"
#include "bellbird/worker.h"

enum {
	/* Password hashing and srtp_init need far less; musl's default is too
	 * small. */
	STACK_BYTES = 1024 * 1024,
	/* A flash card may take a second; a disk that has died, for ever. */
	STOP_MS = 3000
};

struct job {
	STAILQ_ENTRY(job) link;
	worker_job *job;
	worker_done *done;
	void *arg;
	int err;
};

STAILQ_HEAD(jobs, job);

struct worker {
	struct loop *l;
	struct io io;
	int fd;            /* owned: eventfd, thread to loop */
	size_t unfinished; /* jobs whose done() has not run; loop side */
	bool in_done;      /* done() runs: on_done() still needs us */
	bool is_dead;      /* freed during done() */

	pthread_t thread;
	bool started;
	pthread_mutex_t mutex; /* guards what follows */
	pthread_cond_t cond;
	struct jobs todo; /* owned */
	struct jobs done; /* owned */
	bool quit, running;
};

/* Whose job would not end: the thread has it still, and exit() ends both. */
static struct worker *stuck;

/* Frees a queue of jobs. */
static void
jobs_clear(struct jobs *q)
{
	struct job *j;

	while ((j = STAILQ_FIRST(q)) != NULL) {
		STAILQ_REMOVE_HEAD(q, link);
		free(j);
	}
}

/* The thread: one job after the other until told to quit. */
static void *
thread_main(void *arg)
{
	struct worker *w = arg;
	const uint64_t one = 1;
	struct job *j;

	pthread_mutex_lock(&w->mutex);
	for (;;) {
		while (!w->quit && STAILQ_EMPTY(&w->todo))
			pthread_cond_wait(&w->cond, &w->mutex);
		if (w->quit)
			break;
		j = STAILQ_FIRST(&w->todo);
		STAILQ_REMOVE_HEAD(&w->todo, link);
		w->running = true;
		pthread_mutex_unlock(&w->mutex);
		j->err = j->job(j->arg);
		pthread_mutex_lock(&w->mutex);
		STAILQ_INSERT_TAIL(&w->done, j, link);
		w->running = false;
		/* Fails only if the counter is full: then it is readable. */
		if (write(w->fd, &one, sizeof(one)) < 0)
			continue;
	}
	pthread_mutex_unlock(&w->mutex);
	return NULL;
}

/* Starts the thread with all signals blocked: they belong to the loop. */
static int
thread_start(struct worker *w)
{
	sigset_t all, old;
	pthread_attr_t attr;
	int err;

	if ((err = pthread_attr_init(&attr)) != 0)
		return err;
	sigfillset(&all);
	if ((err = pthread_attr_setstacksize(&attr, STACK_BYTES)) != 0 ||
	    (err = pthread_sigmask(SIG_SETMASK, &all, &old)) != 0)
		goto out;
	err = pthread_create(&w->thread, &attr, thread_main, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err == 0)
		w->started = true;
out:
	pthread_attr_destroy(&attr);
	return err;
}

/* The thread finished something. */
static void
on_done(int fd, int what, void *arg)
{
	struct worker *w = arg;
	struct loop *l = w->l;
	struct jobs done = STAILQ_HEAD_INITIALIZER(done);
	struct job *j;
	uint64_t count;
	int64_t t0;

	(void)what;
	if (read(fd, &count, sizeof(count)) < 0)
		return; /* EAGAIN: somebody was faster */
	pthread_mutex_lock(&w->mutex);
	STAILQ_CONCAT(&done, &w->done);
	pthread_mutex_unlock(&w->mutex);
	w->in_done = true;
	while (!w->is_dead && (j = STAILQ_FIRST(&done)) != NULL) {
		STAILQ_REMOVE_HEAD(&done, link);
		/* An idle worker does not keep the loop running. */
		if (--w->unfinished == 0)
			io_stop(&w->io);
		t0 = loop_enter(l);
		j->done(j->err, j->arg);
		loop_leave(l, t0, "worker");
		free(j);
	}
	jobs_clear(&done);
	w->in_done = false;
	if (w->is_dead && w != stuck)
		free(w);
}

/* Tells the thread to quit and waits for the job that runs; ETIMEDOUT. */
static int
thread_stop(struct worker *w)
{
	struct pollfd p = { .fd = w->fd, .events = POLLIN };
	uint64_t count;
	bool running;
	int n = 1;

	pthread_mutex_lock(&w->mutex);
	/* Drained, it becomes readable when the job that runs has ended. */
	if (read(w->fd, &count, sizeof(count)) < 0)
		count = 0;
	running = w->running;
	w->quit = true;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->mutex);
	while (running && (n = poll(&p, 1, STOP_MS)) < 0 && errno == EINTR)
		continue;
	if (n == 0) {
		pthread_detach(w->thread);
		return ETIMEDOUT;
	}
	pthread_join(w->thread, NULL);
	return 0;
}

int
worker_new(struct worker **out, struct loop *l)
{
	struct worker *w;
	int err;

	if ((w = calloc(1, sizeof(*w))) == NULL)
		return ENOMEM;
	w->l = l;
	STAILQ_INIT(&w->todo);
	STAILQ_INIT(&w->done);
	if ((w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0) {
		err = errno;
		goto no_fd;
	}
	if ((err = pthread_mutex_init(&w->mutex, NULL)) != 0)
		goto no_mutex;
	if ((err = pthread_cond_init(&w->cond, NULL)) != 0)
		goto no_cond;
	*out = w;
	return 0;
no_cond:
	pthread_mutex_destroy(&w->mutex);
no_mutex:
	close(w->fd);
no_fd:
	free(w);
	return err;
}

void
worker_free(struct worker *w)
{
	if (w == NULL)
		return;
	io_stop(&w->io);
	if (w->started && thread_stop(w) != 0) {
		log_err(LOGC_APP, 0,
		    "a job of the worker does not end: it is left behind");
		w->is_dead = true;
		stuck = w;
		return;
	}
	jobs_clear(&w->todo);
	jobs_clear(&w->done);
	pthread_cond_destroy(&w->cond);
	pthread_mutex_destroy(&w->mutex);
	close(w->fd);
	w->is_dead = true;
	if (!w->in_done)
		free(w);
}

int
worker_run(struct worker *w, worker_job *job, worker_done *done, void *arg)
{
	struct job *j;
	int err;

	assert(job != NULL && done != NULL);
	if ((j = calloc(1, sizeof(*j))) == NULL)
		return ENOMEM;
	j->job = job;
	j->done = done;
	j->arg = arg;
	if (!w->started && (err = thread_start(w)) != 0)
		goto out;
	if (w->unfinished == 0 &&
	    (err = io_start(&w->io, w->l, w->fd, IO_READ, on_done, w)) != 0)
		goto out;
	w->unfinished++;
	pthread_mutex_lock(&w->mutex);
	STAILQ_INSERT_TAIL(&w->todo, j, link);
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->mutex);
	return 0;
out:
	free(j);
	return err;
}
