/* SPDX-License-Identifier: ISC */
/* A WAV file heard or written at the rate of the session: media_disk and a
 * resampler between them. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <speex/speex_resampler.h>

#include "internal.h"

enum {
	QUALITY = 5,  /* 11 us for 20 ms at 48 kHz; better is not heard */
	CHUNK = 1024, /* samples converted at a time */
	/* Reading: what may lie between file and session. */
	PENDING_MAX = CHUNK
};

struct media_file {
	struct media_disk *disk; /* owned */
	unsigned int file_hz;
	struct SpeexResamplerState_ *rs; /* owned; NULL: same rate */
	unsigned int rate_hz;            /* of the session */
	/* What media_file_use_rate takes: the rate, 0 for none. */
	struct SpeexResamplerState_ *next_rs; /* owned */
	unsigned int next_hz;
	bool writing, at_end;
	int16_t *pending; /* owned: read from the file, not yet converted */
	size_t num_pending;
};

/* Wraps a WAV file. */
static int
wrap(
    struct media_file **out, struct media_wav *w, bool writing, uint64_t log_id)
{
	unsigned int file_hz = media_wav_rate(w);
	struct media_file *f;

	if ((f = calloc(1, sizeof(*f))) == NULL ||
	    media_disk_open(&f->disk, w, writing, log_id) != 0) {
		free(f);
		/* The caller still owns the descriptor. */
		ignore_err(media_wav_release(w) < 0, "nothing to report");
		return ENOMEM;
	}
	f->file_hz = f->rate_hz = file_hz;
	f->writing = writing;
	*out = f;
	return 0;
}

int
media_file_open(struct media_file **out, int fd, uint64_t log_id)
{
	struct media_wav *w;
	int err = media_wav_open_fd(&w, fd);

	return err != 0 ? err : wrap(out, w, false, log_id);
}

int
media_file_create(
    struct media_file **out, int fd, unsigned int rate_hz, uint64_t log_id)
{
	struct media_wav *w;
	int err = media_wav_create_fd(&w, fd, rate_hz);

	return err != 0 ? err : wrap(out, w, true, log_id);
}

/* Forgets a rate that was prepared. */
static void
next_drop(struct media_file *f)
{
	if (f->next_rs != NULL)
		speex_resampler_destroy(f->next_rs);
	f->next_rs = NULL;
	f->next_hz = 0;
}

void
media_file_close(struct media_file *f)
{
	if (f == NULL)
		return;
	media_disk_close(f->disk);
	if (f->rs != NULL)
		speex_resampler_destroy(f->rs);
	next_drop(f);
	free(f->pending);
	free(f);
}

int
media_file_prepare_rate(struct media_file *f, unsigned int rate_hz)
{
	unsigned int file_hz = f->file_hz;
	int err;

	next_drop(f);
	if (rate_hz == f->rate_hz)
		return 0;
	if (rate_hz != file_hz) {
		if (f->pending == NULL && !f->writing &&
		    (f->pending = calloc(PENDING_MAX, sizeof(int16_t))) == NULL)
			return ENOMEM;
		f->next_rs = f->writing
		    ? speex_resampler_init(1, rate_hz, file_hz, QUALITY, &err)
		    : speex_resampler_init(1, file_hz, rate_hz, QUALITY, &err);
		if (f->next_rs == NULL)
			return ENOMEM;
		ignore_err(
		    speex_resampler_skip_zeros(f->next_rs), "always succeeds");
	}
	f->next_hz = rate_hz;
	return 0;
}

void
media_file_use_rate(struct media_file *f)
{
	if (f->next_hz == 0)
		return;
	if (f->rs != NULL)
		speex_resampler_destroy(f->rs);
	f->rs = f->next_rs;
	f->rate_hz = f->next_hz;
	f->next_rs = NULL;
	f->next_hz = 0;
}

/* Converts until `n` samples are there or the file has no more. */
static size_t
read_resampled(struct media_file *f, int16_t *pcm, size_t n)
{
	spx_uint32_t in, out;
	size_t done = 0;

	while (done < n) {
		if (f->num_pending < PENDING_MAX && !f->at_end) {
			f->num_pending += media_disk_read(f->disk,
			    f->pending + f->num_pending,
			    PENDING_MAX - f->num_pending);
			f->at_end = f->num_pending < PENDING_MAX;
		}
		in = (spx_uint32_t)f->num_pending;
		out = (spx_uint32_t)(n - done);
		if (in == 0 ||
		    speex_resampler_process_int(
			f->rs, 0, f->pending, &in, pcm + done, &out) != 0)
			break;
		memmove(f->pending, f->pending + in,
		    (f->num_pending - in) * sizeof(*pcm));
		f->num_pending -= in;
		done += out;
		if (in == 0 && out == 0)
			break;
	}
	return done;
}

bool
media_file_read(struct media_file *f, int16_t *pcm, size_t n)
{
	size_t got;

	assert(!f->writing);
	got = f->rs != NULL ? read_resampled(f, pcm, n)
			    : media_disk_read(f->disk, pcm, n);
	memset(pcm + got, 0, (n - got) * sizeof(*pcm));
	return got == n;
}

void
media_file_write(struct media_file *f, const int16_t *pcm, size_t n)
{
	int16_t conv[CHUNK];
	spx_uint32_t in, out;

	assert(f->writing);
	if (f->rs == NULL) {
		media_disk_write(f->disk, pcm, n);
		return;
	}
	while (n > 0) {
		in = (spx_uint32_t)n;
		out = CHUNK;
		if (speex_resampler_process_int(
			f->rs, 0, pcm, &in, conv, &out) != 0 ||
		    (in == 0 && out == 0))
			return; /* cannot be, as we call it */
		media_disk_write(f->disk, conv, out);
		pcm += in;
		n -= in;
	}
}
