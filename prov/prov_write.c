/* SPDX-License-Identifier: ISC */
/*
 * Changes of settings that go to disk: composed in the loop, written by the
 * worker, switched in memory when they are written.  One at a time, in order.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellbird/file.h"
#include "bellbird/log.h"
#include "bellbird/mem.h"
#include "internal.h"

/* More wait behind a disk that hangs than any client needs. */
enum { OPS_MAX = 16 };

static const char settings_file[] = "settings.conf";
static const char bad_file[] = "settings.conf.bad";

/* A write whose thread would not end: the process ends with it. */
static struct op *left_behind;

int
op_new(struct op **out, struct prov_store *s, enum op_kind kind)
{
	struct op *o = calloc(1, sizeof(*o));

	if (o == NULL)
		return ENOMEM;
	o->s = s;
	o->kind = kind;
	if (s->state_dir != NULL &&
	    (o->job.dir = strdup(s->state_dir)) == NULL) {
		free(o);
		return ENOMEM;
	}
	*out = o;
	return 0;
}

void
op_free(struct op *o)
{
	if (o == NULL)
		return;
	if (__atomic_load_n(&o->job.state, __ATOMIC_ACQUIRE) == JOB_RUNS) {
		left_behind = o;
		return;
	}
	change_cancel(&o->change);
	for (int l = 0; l < PROV_LAYERS; l++)
		layer_clear(&o->next[l]);
	buf_clear(&o->job.text);
	mem_free_str(o->value);
	free(o->job.dir);
	prov_problems_clear(&o->problems);
	free(o);
}

/* ---- the worker's side: touches only the job, and logs nothing ---- */

/* bad_keep saves a settings.conf with errors before it is written anew. */
static int
bad_keep(struct op_job *j, const char *path)
{
	char bad[512];
	struct buf b;
	int err;

	buf_init_secret(&b, CONF_SIZE_MAX + 1);
	if ((err = path_join(bad, sizeof(bad), j->dir, bad_file)) == 0 &&
	    (err = file_read(path, &b)) == 0)
		err =
		    file_write_quiet(bad, buf_str(&b), b.n, 0600, &j->unsynced);
	buf_clear(&b);
	return err;
}

/* local_write puts a local layer on disk. */
static int
local_write(struct op_job *j)
{
	char path[512];
	int err;

	if ((err = path_join(path, sizeof(path), j->dir, settings_file)) != 0)
		return err;
	if (j->keep_bad)
		j->bad_err = bad_keep(j, path);
	if ((err = file_mkdirs(j->dir, 0700)) != 0)
		return err;
	return file_write_quiet(path, j->text.p, j->text.n, 0600, &j->unsynced);
}

/* factory_write keeps a copy of the factory file. */
static int
factory_write(struct op_job *j)
{
	char path[512];
	int err;

	if ((err = path_join(path, sizeof(path), j->dir, factory_last)) == 0)
		err = file_write_quiet(
		    path, j->text.p, j->text.n, 0600, &j->unsynced);
	/* A read-only state folder costs the copy, not the reload. */
	j->copy_err = err;
	return 0;
}

/* job_write does what blocks. */
static int
job_write(struct op_job *j)
{
	if (j->dir == NULL)
		return 0; /* nothing is kept */
	switch (j->what) {
	case JOB_NOTHING:
		break;
	case JOB_LOCAL:
		return local_write(j);
	case JOB_SET:
		return set_commit(j->dir, &j->text, &j->unsynced);
	case JOB_FACTORY:
		return factory_write(j);
	}
	return 0;
}

/* worker_job. */
static int
on_job(void *arg)
{
	struct op *o = arg;
	int err;

	__atomic_store_n(&o->job.state, JOB_RUNS, __ATOMIC_RELEASE);
	err = job_write(&o->job);
	__atomic_store_n(&o->job.state, JOB_DONE, __ATOMIC_RELEASE);
	return err;
}

/* ---- the loop's side ---- */

/* local_print writes settings.conf and notes where each line is. */
static int
local_print(struct layer *l, struct buf *b)
{
	static const char head[] =
	    "# Local settings of bellbird: written by the web interface and\n"
	    "# the command line.  They win over provisioned ones.\n";
	struct entry *e;

	buf_puts(b, head);
	for (size_t i = 0; i < l->n; i++) {
		e = &l->v[i];
		e->line = (unsigned int)i + 3;
		e->file = 0;
		buf_printf(b, "%s =%s%s\n", e->name,
		    e->value[0] != '\0' ? " " : "", e->value);
	}
	return b->err;
}

/* local_compose prepares the file of the next local layer. */
static int
local_compose(struct op *o)
{
	struct layer *l = &o->next[PROV_LOCAL];
	char path[512];
	uint8_t idx;
	int err;

	if (o->job.dir == NULL)
		return 0;
	if ((err = path_join(path, sizeof(path), o->job.dir, settings_file)))
		return err;
	if (l->num_files == 0 && (err = layer_file(l, path, &idx)) != 0)
		return err;
	o->job.what = JOB_LOCAL;
	o->job.keep_bad = o->s->local_bad;
	buf_init_secret(&o->job.text, CONF_SIZE_MAX);
	return local_print(l, &o->job.text);
}

/* setting_begin makes the next layer with one setting more, or less. */
static int
setting_begin(struct op *o)
{
	struct prov_store *s = o->s;
	struct layer *next = &o->next[o->layer];
	int err;

	if (o->kind == OP_UNSET &&
	    layer_find(&s->layers[o->layer], o->name) == NULL)
		return 0; /* nothing to do */
	if ((err = layer_copy(next, &s->layers[o->layer])) != 0)
		return err;
	o->takes[o->layer] = true;
	if (o->kind == OP_UNSET)
		layer_del(next, o->name);
	else if ((err = layer_put(next, o->name, o->k, o->value)) != 0)
		return err;
	if ((err = layer_expand(next, s->mac)) != 0)
		return err;
	return o->layer == PROV_LOCAL ? local_compose(o) : 0;
}

/* op_begin prepares everything that can fail but the write: all memory first,
 * then the disk, then what cannot fail. */
static int
op_begin(struct op *o)
{
	int err = 0;

	if (o->kind == OP_SET || o->kind == OP_UNSET)
		err = setting_begin(o);
	else if (o->kind == OP_RELOAD)
		err = reload_begin(o);
	if (err == 0)
		err = change_begin(o->s, &o->change, o->next, PROV_LAYERS);
	return err;
}

/* job_log tells what the worker could not. */
static void
job_log(const struct op_job *j)
{
	file_log_unsynced(j->dir, j->unsynced);
	if (j->copy_err != 0)
		log_warn(LOGC_PROV, 0, "no copy of the factory file kept: %s",
		    err_str(j->copy_err));
	if (j->bad_err != 0)
		log_warn(LOGC_PROV, 0, "%s not saved: %s", bad_file,
		    err_str(j->bad_err));
}

/* op_end switches the settings in memory if they were written; else it undoes.
 */
static int
op_end(struct op *o, int err)
{
	struct prov_store *s = o->s;

	job_log(&o->job);
	if (err != 0) {
		change_cancel(&o->change);
		if (o->name != NULL)
			snprintf(o->why, sizeof(o->why), "%s was not %s: %s",
			    o->name, o->kind == OP_SET ? "set" : "unset",
			    err_str(err));
		return err;
	}
	for (int l = 0; l < PROV_LAYERS; l++) {
		if (!o->takes[l])
			continue;
		layer_clear(&s->layers[l]);
		s->layers[l] = o->next[l];
		memset(&o->next[l], 0, sizeof(o->next[l]));
	}
	if (o->takes[PROV_LOCAL])
		s->local_bad = false;
	o->num_changed = change_end(s, &o->change);
	if (o->kind == OP_APPLY)
		log_info(LOGC_PROV, 0, "provisioned set in force changed=%zu",
		    o->num_changed);
	return 0;
}

int
op_run(struct op *o)
{
	int err;

	if (!STAILQ_EMPTY(&o->s->ops)) {
		snprintf(o->why, sizeof(o->why),
		    "another change is being written: try again");
		return EBUSY;
	}
	if ((err = op_begin(o)) == 0)
		err = job_write(&o->job);
	return op_end(o, err);
}

/* op_report hands an ended operation to its owner; the store may be gone when
 * it returns. */
static void
op_report(struct op *o, int err)
{
	const struct prov_outcome out = { err, o->why, o->num_changed,
		&o->problems };

	if (o->cb != NULL)
		o->cb(&out, o->arg);
	op_free(o);
}

static void on_next(void *arg);

/* op_leave takes an ended operation out of the queue; the next one begins in a
 * turn of its own. */
static void
op_leave(struct op *o)
{
	struct prov_store *s = o->s;

	assert(STAILQ_FIRST(&s->ops) == o);
	STAILQ_REMOVE_HEAD(&s->ops, link);
	s->num_ops--;
	if (!STAILQ_EMPTY(&s->ops))
		loop_defer(s->loop, &s->next_op, on_next, s);
}

/* worker_done. */
static void
on_written(int err, void *arg)
{
	struct op *o = arg;

	err = op_end(o, err);
	op_leave(o);
	op_report(o, err);
}

/* on_next begins the first of the queue and hands it to the worker. */
static void
on_next(void *arg)
{
	struct prov_store *s = arg;
	struct op *o = STAILQ_FIRST(&s->ops);
	int err;

	assert(o != NULL);
	if ((err = op_begin(o)) == 0)
		err = worker_run(s->worker, on_job, on_written, o);
	if (err == 0)
		return;
	err = op_end(o, err);
	op_leave(o);
	op_report(o, err);
}

int
op_start(struct op *o, prov_done_cb *cb, void *arg)
{
	struct prov_store *s = o->s;

	assert(s->worker != NULL && s->loop != NULL);
	if (s->num_ops >= OPS_MAX) {
		snprintf(o->why, sizeof(o->why),
		    "too many changes wait for the disk: try again");
		return EBUSY;
	}
	o->cb = cb;
	o->arg = arg;
	if (STAILQ_EMPTY(&s->ops))
		loop_defer(s->loop, &s->next_op, on_next, s);
	STAILQ_INSERT_TAIL(&s->ops, o, link);
	s->num_ops++;
	return 0;
}

void
prov_forget(struct prov_store *s, const void *arg)
{
	struct op *o;

	STAILQ_FOREACH (o, &s->ops, link)
		if (o->arg == arg)
			o->cb = NULL;
}

void
ops_clear(struct prov_store *s)
{
	struct op *o;

	loop_undefer(&s->next_op);
	while ((o = STAILQ_FIRST(&s->ops)) != NULL) {
		STAILQ_REMOVE_HEAD(&s->ops, link);
		op_report(o, ECANCELED);
	}
}
