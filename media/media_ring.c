/* SPDX-License-Identifier: ISC */
/* Ring tones: a WAV file again and again, or one of the built-in tones, beaten
 * into a device by our timer. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bellbird/clock.h"
#include "bellbird/log.h"
#include "bellbird/media_ring.h"
#include "internal.h"

enum {
	RATE_HZ = 16000, /* the highest of the tones has 1.4 kHz */
	FRAME_MS = 20,
	FRAME = RATE_HZ / 1000 * FRAME_MS,
	/* Behind by more (a suspended machine), time is skipped. */
	BEHIND_MAX_US = 200000
};

/* Full scale of each of the two sines that a tone may have. */
static const double tone_dbfs = -9;

/* Two sounds in turn, so often, then a pause.  Hz 0: silent. */
struct score {
	const char *name;
	struct {
		unsigned int hz, hz2, ms;
	} part[2];
	unsigned int times, pause_ms;
};

/* Named as the tones that the device family comes with; of our making. */
static const struct score scores[] = {
	{ "warble2-med", { { 660, 0, 100 }, { 880, 0, 100 } }, 10, 2000 },
	{ "bell-na", { { 440, 480, 2000 }, { 0, 0, 0 } }, 1, 4000 },
	{ "bell-uk", { { 400, 450, 400 }, { 0, 0, 200 } }, 2, 1800 },
	{ "buzzer", { { 150, 180, 800 }, { 0, 0, 200 } }, 1, 200 },
	{ "chime", { { 659, 0, 500 }, { 523, 0, 900 } }, 1, 1600 },
	{ "gong", { { 392, 588, 1200 }, { 0, 0, 0 } }, 1, 1800 },
	{ "page-notif", { { 784, 0, 250 }, { 1047, 0, 450 } }, 1, 1500 },
	{ "tone-1kHz-max", { { 1000, 0, 1000 }, { 0, 0, 0 } }, 1, 0 },
	{ "warble1-low", { { 440, 0, 120 }, { 520, 0, 120 } }, 8, 2000 },
	{ "warble3-high", { { 1100, 0, 80 }, { 1400, 0, 80 } }, 12, 2000 },
	{ "warble4-trill", { { 900, 0, 40 }, { 1200, 0, 40 } }, 25, 2000 },
};

struct media_ring {
	struct loop *loop; /* borrowed */
	char *path;        /* owned; NULL: the tone */
	uint64_t log_id;
	struct media_dev *dev;   /* owned */
	struct media_file *file; /* owned; NULL: the tone */
	double gain;
	double db;
	struct timer tick;
	int64_t due_us;
	bool sounded; /* the file gave something since it was opened */
	const struct score *score;
	unsigned int step; /* 0.. of the score; the pause is the last */
	size_t left;       /* samples of the step */
	struct media_tone tone, tone2;
};

/* ---- the built-in tones ---- */

/* The score of that name, NULL if there is none. */
static const struct score *
score_find(const char *name)
{
	struct slice s = slice_of(name);

	if (s.n > 4 &&
	    slice_case_is((struct slice){ s.p + s.n - 4, 4 }, ".wav"))
		s.n -= 4;
	for (size_t i = 0; i < sizeof(scores) / sizeof(scores[0]); i++)
		if (slice_case_is(s, scores[i].name))
			return &scores[i];
	return NULL;
}

bool
media_ring_knows(const char *name)
{
	return score_find(name) != NULL;
}

/* Enters the step that `step` says. */
static void
step_begin(struct media_ring *r)
{
	const struct score *s = r->score;
	unsigned int i = r->step % 2, ms = s->part[i].ms;

	if (r->step >= s->times * 2) {
		r->left = (size_t)s->pause_ms * RATE_HZ / 1000;
		return;
	}
	r->left = (size_t)ms * RATE_HZ / 1000;
	media_tone_init(&r->tone, s->part[i].hz, RATE_HZ, tone_dbfs + r->db);
	media_tone_init(&r->tone2, s->part[i].hz2, RATE_HZ, tone_dbfs + r->db);
}

/* The next samples of the tone. */
static void
tone_fill(struct media_ring *r, int16_t *pcm, size_t n)
{
	const struct score *s = r->score;
	size_t k;
	bool sounds;

	memset(pcm, 0, n * sizeof(*pcm));
	while (n > 0) {
		while (r->left == 0) {
			r->step = r->step >= s->times * 2 ? 0 : r->step + 1;
			step_begin(r);
		}
		k = r->left < n ? r->left : n;
		sounds = r->step < s->times * 2;
		if (sounds && s->part[r->step % 2].hz != 0)
			media_tone_add(&r->tone, pcm, k);
		if (sounds && s->part[r->step % 2].hz2 != 0)
			media_tone_add(&r->tone2, pcm, k);
		r->left -= k;
		pcm += k;
		n -= k;
	}
}

/* ---- files ---- */

/* The tone takes the place of a file that cannot be used. */
static void
file_give_up(struct media_ring *r, int err)
{
	log_warn(LOGC_AUDIO, r->log_id,
	    "the tone %s cannot be played: %s; a built-in one sounds",
	    esc(r->path), err_str(err));
	media_file_close(r->file);
	r->file = NULL;
	free(r->path);
	r->path = NULL;
	r->step = 0;
	step_begin(r);
}

/* Opens the file, from its begin. */
static void
file_begin(struct media_ring *r)
{
	int err = 0, fd;

	media_file_close(r->file);
	r->file = NULL;
	r->sounded = false;
	fd = open(r->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		err = errno;
	else if ((err = media_file_open(&r->file, fd, r->log_id)) != 0)
		close(fd);
	else if ((err = media_file_prepare_rate(r->file, RATE_HZ)) == 0)
		media_file_use_rate(r->file);
	if (err != 0)
		file_give_up(r, err);
}

/* The next samples of the file. */
static void
file_fill(struct media_ring *r, int16_t *pcm, size_t n)
{
	bool more = media_file_read(r->file, pcm, n);

	for (size_t i = 0; i < n; i++)
		pcm[i] = (int16_t)(pcm[i] * r->gain);
	if (more) {
		r->sounded = true;
		return;
	}
	/* A file without a whole frame of sound would be opened for ever. */
	if (r->sounded)
		file_begin(r);
	else
		file_give_up(r, E_MEDIA_DEVICE);
}

/* ---- the beat ---- */

/* timer_cb. */
static void
on_tick(void *arg)
{
	struct media_ring *r = arg;
	int64_t now = clock_mono_us();
	int16_t pcm[FRAME];

	if (now - r->due_us >= BEHIND_MAX_US)
		r->due_us = now;
	while (r->due_us <= now) {
		if (r->file != NULL)
			file_fill(r, pcm, FRAME);
		else
			tone_fill(r, pcm, FRAME);
		media_dev_write(r->dev, pcm, FRAME);
		r->due_us += FRAME_MS * INT64_C(1000);
	}
	if (timer_start_at(&r->tick, r->loop, r->due_us, on_tick, r) != 0)
		log_err(LOGC_AUDIO, r->log_id, "the tone stops: no memory");
}

int
media_ring_start(struct media_ring **slot, const struct media_ring_conf *conf)
{
	struct media_dev_conf dc = { .loop = conf->loop,
		.device = conf->device,
		.call_name = conf->call_name,
		.log_id = conf->log_id };
	struct media_ring *r = calloc(1, sizeof(*r));
	int err = ENOMEM;

	if (r == NULL)
		return ENOMEM;
	r->loop = conf->loop;
	r->log_id = conf->log_id;
	r->db = conf->gain_db;
	r->gain = pow(10, r->db / 20);
	r->score = conf->tone != NULL ? score_find(conf->tone) : NULL;
	if (r->score == NULL)
		r->score = &scores[0];
	step_begin(r);
	if (conf->file != NULL && (r->path = strdup(conf->file)) == NULL)
		goto out;
	if ((err = media_dev_new(&r->dev, &dc)) != 0 ||
	    (err = media_dev_start(r->dev, RATE_HZ)) != 0)
		goto out;
	if (r->path != NULL)
		file_begin(r);
	r->due_us = clock_mono_us();
	if ((err = timer_start(&r->tick, r->loop, 0, on_tick, r)) != 0)
		goto out;
	*slot = r;
	return 0;
out:
	*slot = r;
	media_ring_stop(slot);
	return err;
}

void
media_ring_stop(struct media_ring **slot)
{
	struct media_ring *r = *slot;

	if (r == NULL)
		return;
	*slot = NULL;
	timer_stop(&r->tick);
	media_file_close(r->file);
	media_dev_free(r->dev);
	free(r->path);
	free(r);
}
