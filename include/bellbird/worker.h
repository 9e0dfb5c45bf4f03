/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_WORKER_H
#define BELLBIRD_WORKER_H

#include "bellbird/loop.h"

struct worker;

/* One thread for the few jobs that block: fsync, password hashing, a library
 * that insists.  The thread starts with the first job. */
MUST_CHECK int worker_new(struct worker **out, struct loop *l);
/* worker_free waits for the job that runs, at most 3 s, and drops the rest: no
 * done() runs any more.  It may be called from a done(). */
void worker_free(struct worker *w);

/* `job(arg)` runs in the thread and touches only `arg`; then `done(err, arg)`
 * runs from the loop with what `job` returned.  Order is kept. */
typedef int(worker_job)(void *arg);
typedef void(worker_done)(int err, void *arg);
MUST_CHECK int worker_run(
    struct worker *w, worker_job *job, worker_done *done, void *arg);

#endif
