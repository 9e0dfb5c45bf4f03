/* SPDX-License-Identifier: ISC */
/* WAV files whose disk only the worker waits for: what is recorded is handed
 * over in pieces, what is played is read ahead. */
#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "bellbird/log.h"
#include "internal.h"

enum {
	PIECE = 8192, /* samples: 16 KiB, a second at 8 kHz */
	/* Not yet written: a disk that is further behind does not keep up, and
	 * memory cannot make up for it for ever. */
	PIECES_MAX = 16
};

struct piece {
	STAILQ_ENTRY(piece) link;
	struct media_disk *d; /* borrowed */
	bool is_done;         /* read or written */
	size_t n, at;         /* samples; of those, played */
	int16_t pcm[PIECE];
};

struct media_disk {
	LIST_ENTRY(media_disk) link;
	struct media_wav *wav; /* owned; the worker's while it has a job of
				  ours; NULL: closed */
	uint64_t log_id;
	bool writing, failed, at_end;
	bool closing;   /* the owner has let go */
	bool finishing; /* the worker has the last job */
	atomic_bool in_job;
	uint64_t lost; /* samples that were not written, or came too late */
	STAILQ_HEAD(, piece) busy; /* owned; the worker's, in its order */
	size_t num_busy;
	struct piece *now;   /* owned: being filled, or played */
	struct piece *ahead; /* owned: read, not yet played */
};

/* All that are not closed, for media_disk_exit, and who waits for some. */
static struct {
	LIST_HEAD(, media_disk) disks;
	LIST_HEAD(, media_disk_waiter) waiters;
	uint64_t begun, ended; /* closings of recordings */
} lib;

/* ---- in the worker, or in place ---- */

/* Reads or writes one piece. */
static int
job_piece(void *arg)
{
	struct piece *p = arg;
	int err = 0;

	p->d->in_job = true;
	if (p->d->writing)
		err = media_wav_write(p->d->wav, p->pcm, p->n);
	else
		p->n = media_wav_read(p->d->wav, p->pcm, PIECE);
	p->is_done = true;
	p->d->in_job = false;
	return err;
}

/* Writes the rest and closes. */
static int
job_finish(void *arg)
{
	struct media_disk *d = arg;
	int err = 0;

	d->in_job = true;
	if (d->writing && d->now != NULL)
		err = media_wav_write(d->wav, d->now->pcm, d->now->n);
	media_wav_close(d->wav);
	d->wav = NULL;
	d->in_job = false;
	return err;
}

/* ---- in the loop ---- */

/* An empty piece; NULL when out of memory. */
static struct piece *
piece_new(struct media_disk *d)
{
	struct piece *p = malloc(sizeof(*p));

	if (p == NULL)
		return NULL;
	p->d = d;
	p->is_done = false;
	p->n = p->at = 0;
	return p;
}

/* Samples that will not be written, or were not there in time. */
static void
lose(struct media_disk *d, size_t n)
{
	if (d->lost == 0)
		log_warn(LOGC_MEDIA, d->log_id, "the disk does not keep up: %s",
		    d->writing ? "the recording has gaps"
			       : "the file is played with gaps");
	d->lost += n;
}

/* A full disk ends the recording, not the call. */
static void
note_err(struct media_disk *d, int err)
{
	if (err == 0 || d->failed)
		return;
	d->failed = true;
	log_warn(LOGC_MEDIA, d->log_id, "the recording ends early: %s",
	    err_str(err));
}

/* worker_done of job_finish; also in place. */
static void
on_finished(int err, void *arg)
{
	struct media_disk *d = arg;
	struct media_disk_waiter *w, *next;

	note_err(d, err);
	if (d->lost != 0)
		log_warn(LOGC_MEDIA, d->log_id, "gaps of %llu samples in all",
		    (unsigned long long)d->lost);
	if (d->writing)
		lib.ended++;
	LIST_REMOVE(d, link);
	free(d->now);
	free(d->ahead);
	free(d);
	for (w = LIST_FIRST(&lib.waiters); w != NULL; w = next) {
		next = LIST_NEXT(w, link);
		if (w->until > lib.ended)
			continue;
		LIST_REMOVE(w, link);
		w->queued = false;
		loop_defer(w->loop, &w->tell, w->cb, w->arg);
	}
}

/* The last job; without room for one, it is done in place once the worker has
 * nothing of ours. */
static void
finish(struct media_disk *d)
{
	struct worker *w = media_worker();

	if (w != NULL && worker_run(w, job_finish, on_finished, d) == 0)
		d->finishing = true;
	else if (d->num_busy == 0)
		on_finished(job_finish(d), d);
}

/* worker_done of job_piece: the worker keeps the order. */
static void
on_piece(int err, void *arg)
{
	struct piece *p = arg;
	struct media_disk *d = p->d;

	assert(p == STAILQ_FIRST(&d->busy));
	STAILQ_REMOVE_HEAD(&d->busy, link);
	d->num_busy--;
	if (d->writing) {
		note_err(d, err);
		free(p);
	} else {
		d->ahead = p;
		d->at_end = p->n < PIECE;
	}
	if (d->closing && !d->finishing && d->num_busy == 0)
		finish(d);
}

/* Gives a piece to the worker; in place without one. */
static int
hand_over(struct media_disk *d, struct piece *p)
{
	struct worker *w = media_worker();
	int err = 0;

	if (w != NULL && (err = worker_run(w, job_piece, on_piece, p)) != 0)
		return err;
	STAILQ_INSERT_TAIL(&d->busy, p, link);
	d->num_busy++;
	if (w == NULL)
		on_piece(job_piece(p), p);
	return 0;
}

/* Reads the next piece if there is none. */
static void
read_ahead(struct media_disk *d)
{
	struct piece *p;

	if (d->ahead != NULL || d->num_busy != 0 || d->at_end ||
	    (p = piece_new(d)) == NULL)
		return;
	if (hand_over(d, p) != 0)
		free(p); /* tried again with the next frame */
}

int
media_disk_open(
    struct media_disk **out, struct media_wav *w, bool writing, uint64_t log_id)
{
	struct media_disk *d;

	if ((d = calloc(1, sizeof(*d))) == NULL)
		return ENOMEM;
	d->wav = w;
	d->writing = writing;
	d->log_id = log_id;
	STAILQ_INIT(&d->busy);
	LIST_INSERT_HEAD(&lib.disks, d, link);
	if (!writing)
		read_ahead(d);
	*out = d;
	return 0;
}

void
media_disk_close(struct media_disk *d)
{
	if (d == NULL)
		return;
	d->closing = true;
	if (d->writing)
		lib.begun++;
	finish(d);
}

size_t
media_disk_read(struct media_disk *d, int16_t *pcm, size_t n)
{
	struct piece *p;
	size_t got = 0, take;

	while (got < n) {
		p = d->now;
		if (p != NULL && p->at < p->n) {
			take = p->n - p->at < n - got ? p->n - p->at : n - got;
			memcpy(pcm + got, p->pcm + p->at, take * sizeof(*pcm));
			p->at += take;
			got += take;
			continue;
		}
		read_ahead(d); /* if that failed before */
		if (d->ahead == NULL) {
			if (d->at_end)
				return got;
			if (d->now != NULL) /* at the start it is no gap */
				lose(d, n - got);
			memset(pcm + got, 0, (n - got) * sizeof(*pcm));
			return n;
		}
		free(d->now);
		d->now = d->ahead;
		d->ahead = NULL;
		read_ahead(d);
	}
	return n;
}

void
media_disk_write(struct media_disk *d, const int16_t *pcm, size_t n)
{
	struct piece *p;
	size_t take;

	while (n > 0 && !d->failed) {
		if (d->now == NULL && (d->now = piece_new(d)) == NULL) {
			lose(d, n);
			return;
		}
		p = d->now;
		take = PIECE - p->n < n ? PIECE - p->n : n;
		memcpy(p->pcm + p->n, pcm, take * sizeof(*pcm));
		p->n += take;
		pcm += take;
		n -= take;
		if (p->n < PIECE)
			return;
		if (d->num_busy < PIECES_MAX && hand_over(d, p) == 0) {
			d->now = NULL;
		} else {
			lose(d, p->n);
			p->n = 0;
		}
	}
}

bool
media_disk_wait(
    struct media_disk_waiter *w, struct loop *l, timer_cb *cb, void *arg)
{
	if (lib.begun == lib.ended)
		return false;
	assert(!w->queued);
	w->loop = l;
	w->cb = cb;
	w->arg = arg;
	w->until = lib.begun;
	w->queued = true;
	LIST_INSERT_HEAD(&lib.waiters, w, link);
	return true;
}

void
media_disk_unwait(struct media_disk_waiter *w)
{
	if (w->queued)
		LIST_REMOVE(w, link);
	w->queued = false;
	loop_undefer(&w->tell);
}

void
media_disk_exit(void)
{
	struct media_disk *d, *next;
	struct piece *p;

	/* The worker was left behind in a job of ours: that disk is dead, and
	 * we would not come back either. */
	LIST_FOREACH (d, &lib.disks, link)
		if (d->in_job)
			return;
	for (d = LIST_FIRST(&lib.disks); d != NULL; d = next) {
		next = LIST_NEXT(d, link);
		/* What the worker did not get to, and what it could not tell
		 * any more. */
		d->finishing = d->closing;
		while ((p = STAILQ_FIRST(&d->busy)) != NULL)
			on_piece(p->is_done ? 0 : job_piece(p), p);
		if (d->closing)
			on_finished(d->wav != NULL ? job_finish(d) : 0, d);
	}
}
