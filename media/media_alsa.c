/* SPDX-License-Identifier: ISC */
/* The sound card through ALSA: opened and closed in the worker, read and
 * written without waiting on the session's ticks.  The library is loaded with
 * the first card, so that an endpoint without one does not carry it. */
#include "internal.h"

#ifdef HAVE_ALSA

#include <dlfcn.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <alsa/asoundlib.h>

enum {
	LATENCY_US = 80000, /* four of our ticks: they are not its ticks */
	/* Frames of ours that may pile up on either side: clocks drift. */
	BACKLOG_FRAMES = 4,
	PRIME_FRAMES = 2,
	CHANNELS_MAX = 2
};

enum state { ALSA_OPENING, ALSA_OPEN, ALSA_FAILED };

struct media_alsa {
	char name[MEDIA_DEV_NAME_MAX];
	unsigned int rate_hz;
	snd_pcm_t *play, *capture; /* owned; one may be NULL */
	unsigned int play_channels, capture_channels;
	enum state state;
	bool is_dead;  /* freed while the worker has it */
	bool primed;   /* capture: enough is there to start reading */
	bool playing;  /* playback has been started */
	size_t queued; /* samples written before it was started */
	char why[48];
	media_alsa_cb *cb;
	void *arg;
};

/* What of the library is called. */
static struct {
	void *so; /* NULL: not loaded */
	__typeof__(snd_lib_error_set_handler) *lib_error_set_handler;
	__typeof__(snd_pcm_avail_update) *pcm_avail_update;
	__typeof__(snd_pcm_close) *pcm_close;
	__typeof__(snd_pcm_delay) *pcm_delay;
	__typeof__(snd_pcm_drop) *pcm_drop;
	__typeof__(snd_pcm_forward) *pcm_forward;
	__typeof__(snd_pcm_open) *pcm_open;
	__typeof__(snd_pcm_prepare) *pcm_prepare;
	__typeof__(snd_pcm_readi) *pcm_readi;
	__typeof__(snd_pcm_set_params) *pcm_set_params;
	__typeof__(snd_pcm_start) *pcm_start;
	__typeof__(snd_pcm_writei) *pcm_writei;
	__typeof__(snd_strerror) *strerror;
} lib;

static const struct {
	const char *name;
	void *to; /* a pointer to a function, in `lib` */
} calls[] = {
	{ "snd_lib_error_set_handler", &lib.lib_error_set_handler },
	{ "snd_pcm_avail_update", &lib.pcm_avail_update },
	{ "snd_pcm_close", &lib.pcm_close },
	{ "snd_pcm_delay", &lib.pcm_delay },
	{ "snd_pcm_drop", &lib.pcm_drop },
	{ "snd_pcm_forward", &lib.pcm_forward },
	{ "snd_pcm_open", &lib.pcm_open },
	{ "snd_pcm_prepare", &lib.pcm_prepare },
	{ "snd_pcm_readi", &lib.pcm_readi },
	{ "snd_pcm_set_params", &lib.pcm_set_params },
	{ "snd_pcm_start", &lib.pcm_start },
	{ "snd_pcm_writei", &lib.pcm_writei },
	{ "snd_strerror", &lib.strerror },
};

/* ALSA's words go nowhere: what matters is in the result. */
static void
on_words(const char *file, int line, const char *function, int err,
    const char *fmt, ...)
{
	(void)file;
	(void)line;
	(void)function;
	(void)err;
	(void)fmt;
}

/* In the worker: loads the library once; it stays. */
static int
lib_load(void)
{
	void *so, *p;

	if (lib.so != NULL)
		return 0;
	if ((so = dlopen("libasound.so.2", RTLD_NOW | RTLD_LOCAL)) == NULL)
		return ELIBACC;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		if ((p = dlsym(so, calls[i].name)) == NULL) {
			dlclose(so);
			return ELIBACC;
		}
		/* POSIX dlsym: a pointer to a function in a void pointer. */
		memcpy(calls[i].to, &p, sizeof(p));
	}
	lib.lib_error_set_handler(on_words);
	lib.so = so;
	return 0;
}

/* Opens one direction for mono, or stereo where the card insists. */
static int
pcm_open(struct media_alsa *a, snd_pcm_stream_t dir, snd_pcm_t **out,
    unsigned int *channels)
{
	snd_pcm_t *p;
	int rc;

	rc = lib.pcm_open(&p, a->name, dir, SND_PCM_NONBLOCK);
	if (rc < 0)
		return -rc;
	for (unsigned int ch = 1; ch <= CHANNELS_MAX; ch++) {
		rc = lib.pcm_set_params(p, SND_PCM_FORMAT_S16,
		    SND_PCM_ACCESS_RW_INTERLEAVED, ch, a->rate_hz, 1,
		    LATENCY_US);
		if (rc == 0) {
			*out = p;
			*channels = ch;
			return 0;
		}
	}
	lib.pcm_close(p);
	return -rc;
}

/* In the worker: reads ALSA's configuration and opens the card. */
static int
job_open(void *arg)
{
	struct media_alsa *a = arg;
	int err, err2;

	if ((err = lib_load()) != 0)
		return err;
	err = pcm_open(a, SND_PCM_STREAM_PLAYBACK, &a->play, &a->play_channels);
	err2 = pcm_open(
	    a, SND_PCM_STREAM_CAPTURE, &a->capture, &a->capture_channels);
	if (a->capture != NULL && lib.pcm_start(a->capture) < 0)
		err2 = EIO;
	/* A speaker alone, or a microphone alone, is a device too. */
	return a->play != NULL || a->capture != NULL ? 0
	    : err != 0                               ? err
						     : err2;
}

/* In the worker: closing may wait for the card. */
static int
job_close(void *arg)
{
	struct media_alsa *a = arg;

	if (a->play != NULL) {
		lib.pcm_drop(a->play);
		lib.pcm_close(a->play);
	}
	if (a->capture != NULL)
		lib.pcm_close(a->capture);
	free(a);
	return 0;
}

/* The worker closed it. */
static void
on_closed(int err, void *arg)
{
	(void)err;
	(void)arg;
}

/* Closes and frees, in the worker if that can be. */
static void
close_later(struct media_alsa *a)
{
	struct worker *w = media_worker();

	if (w == NULL || worker_run(w, job_close, on_closed, a) != 0)
		ignore_err(job_close(a), "always succeeds");
}

/* The worker opened it, or could not. */
static void
on_opened(int err, void *arg)
{
	struct media_alsa *a = arg;

	if (a->is_dead) {
		close_later(a);
		return;
	}
	a->state = err == 0 ? ALSA_OPEN : ALSA_FAILED;
	if (err == ELIBACC)
		(void)snprintf(
		    a->why, sizeof(a->why), "libasound.so.2 cannot be loaded");
	else if (err != 0)
		(void)snprintf(
		    a->why, sizeof(a->why), "%s", lib.strerror(-err));
	a->cb(err != 0 ? a->why : NULL, a->arg);
}

int
media_alsa_new(struct media_alsa **out, const char *name, unsigned int rate_hz,
    media_alsa_cb *cb, void *arg)
{
	struct worker *w = media_worker();
	struct media_alsa *a;
	int err;

	if ((a = calloc(1, sizeof(*a))) == NULL)
		return ENOMEM;
	if ((err = str_copy(a->name, sizeof(a->name), name)) != 0)
		goto out;
	a->rate_hz = rate_hz;
	a->cb = cb;
	a->arg = arg;
	if (w != NULL) {
		if ((err = worker_run(w, job_open, on_opened, a)) != 0)
			goto out;
	} else {
		on_opened(job_open(a), a);
	}
	*out = a;
	a = NULL;
out:
	free(a);
	return err;
}

void
media_alsa_free(struct media_alsa *a)
{
	if (a == NULL)
		return;
	if (a->state == ALSA_OPENING)
		a->is_dead = true; /* on_opened() closes it */
	else
		close_later(a);
}

/* After an overrun or underrun: start over; an errno if it is gone. */
static int
recover(snd_pcm_t *p, snd_pcm_sframes_t rc)
{
	if (rc == -EAGAIN)
		return 0;
	if (rc == -EPIPE || rc == -ESTRPIPE)
		return lib.pcm_prepare(p) < 0 ? EIO : 0;
	return (int)-rc;
}

/* Interleaved samples of the card to mono, in place. */
static void
to_mono(int16_t *pcm, size_t n, unsigned int channels)
{
	if (channels == 2)
		for (size_t i = 0; i < n; i++)
			pcm[i] = (int16_t)((pcm[2 * i] + pcm[2 * i + 1]) / 2);
}

int
media_alsa_read(struct media_alsa *a, int16_t *pcm, size_t n)
{
	/* ALSA's null device counts samples and writes none. */
	int16_t raw[MEDIA_FRAME_MAX * CHANNELS_MAX] = { 0 };
	snd_pcm_sframes_t avail, got;
	int err;

	if (a->state != ALSA_OPEN || a->capture == NULL || n > MEDIA_FRAME_MAX)
		return EAGAIN;
	avail = lib.pcm_avail_update(a->capture);
	if (avail < 0) {
		a->primed = false;
		if ((err = recover(a->capture, avail)) != 0)
			return err;
		return lib.pcm_start(a->capture) < 0 ? EIO : EAGAIN;
	}
	if ((size_t)avail > BACKLOG_FRAMES * n)
		lib.pcm_forward(
		    a->capture, (snd_pcm_uframes_t)avail - PRIME_FRAMES * n);
	if (!a->primed && (size_t)avail < PRIME_FRAMES * n)
		return EAGAIN;
	a->primed = true;
	got = lib.pcm_readi(a->capture, raw, n);
	if (got < 0) {
		a->primed = false;
		err = recover(a->capture, got);
		return err != 0 ? err : EAGAIN;
	}
	to_mono(raw, (size_t)got, a->capture_channels);
	memcpy(pcm, raw, (size_t)got * sizeof(*pcm));
	memset(pcm + got, 0, (n - (size_t)got) * sizeof(*pcm));
	if ((size_t)got < n)
		a->primed = false;
	return 0;
}

int
media_alsa_write(struct media_alsa *a, const int16_t *pcm, size_t n)
{
	int16_t raw[MEDIA_FRAME_MAX * CHANNELS_MAX];
	snd_pcm_sframes_t delay, put;
	const unsigned int ch = a->play_channels;

	if (a->state != ALSA_OPEN || a->play == NULL || n > MEDIA_FRAME_MAX)
		return EAGAIN;
	if (lib.pcm_delay(a->play, &delay) == 0 &&
	    (size_t)(delay > 0 ? delay : 0) > BACKLOG_FRAMES * n)
		return 0; /* its clock is slower than ours: leave one out */
	for (size_t i = 0; i < n * ch; i++)
		raw[i] = pcm[i / ch];
	put = lib.pcm_writei(a->play, raw, n);
	if (put < 0) {
		a->playing = false;
		a->queued = 0;
		return recover(a->play, put);
	}
	a->queued += (size_t)put;
	if (!a->playing && a->queued >= PRIME_FRAMES * n) {
		a->playing = true;
		/* It may have started by itself: then this is refused. */
		ignore_err(lib.pcm_start(a->play), "running already");
	}
	return 0;
}

bool
media_alsa_is_absent(const char *name)
{
	/* Names that need hardware; others may be plugins of asoundrc. */
	static const char *const cards[] = { "default", "sysdefault", "hw",
		"plughw", "dmix", "dsnoop", "front" };
	struct slice head, tail;
	bool needs_card = false;
	glob_t g;
	int rc;

	slice_cut(slice_of(name), ':', &head, &tail);
	for (size_t i = 0; i < sizeof(cards) / sizeof(cards[0]); i++)
		needs_card = needs_card || slice_is(head, cards[i]);
	if (!needs_card)
		return false;
	rc = glob("/dev/snd/pcm*", GLOB_NOSORT, NULL, &g);
	if (rc == 0)
		globfree(&g);
	return rc != 0;
}

#else /* built without ALSA: there is never a card */

int
media_alsa_new(struct media_alsa **out, const char *name, unsigned int rate_hz,
    media_alsa_cb *cb, void *arg)
{
	(void)out;
	(void)name;
	(void)rate_hz;
	(void)cb;
	(void)arg;
	return ENODEV;
}

void
media_alsa_free(struct media_alsa *a)
{
	(void)a;
}

int
media_alsa_read(struct media_alsa *a, int16_t *pcm, size_t n)
{
	(void)a;
	(void)pcm;
	(void)n;
	return ENODEV;
}

int
media_alsa_write(struct media_alsa *a, const int16_t *pcm, size_t n)
{
	(void)a;
	(void)pcm;
	(void)n;
	return ENODEV;
}

bool
media_alsa_is_absent(const char *name)
{
	(void)name;
	return true;
}

#endif
