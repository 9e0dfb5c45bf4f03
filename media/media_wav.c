/* SPDX-License-Identifier: ISC */
/* WAV files: read 8 and 16 bit PCM, A-law and mu-law, any number of channels;
 * write 16 bit mono.  The header is as hostile as any other input. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

enum {
	RIFF_HEADER = 12,
	CHUNK_HEADER = 8,
	FMT_MIN = 16,
	FMT_MAX = 40,    /* WAVEFORMATEXTENSIBLE */
	CHUNKS_MAX = 64, /* before the data; editors write a dozen */
	HEADER = 44,     /* of what we write */
	BUF = 4096,
	CHANNELS_MAX = 8,
	RATE_MIN = 4000,
	RATE_MAX = 192000,
	FORMAT_PCM = 1,
	FORMAT_ALAW = 6,
	FORMAT_MULAW = 7,
	FORMAT_EXTENSIBLE = 0xfffe,
	/* The sizes in a header have 32 bits; stop well before. */
	DATA_MAX = 0x7fff0000
};

struct media_wav {
	int fd; /* owned */
	bool writing;
	unsigned int rate_hz, channels, format, bits;
	uint64_t left;   /* bytes of data not yet read */
	uint64_t data_n; /* bytes of data written, buffered ones included */
	uint8_t buf[BUF];
	size_t at, n; /* unread, or unwritten from 0 to n */
	int err;      /* of a write; sticks */
};

/* Little-endian numbers. */
static uint32_t
le16(const uint8_t *p)
{
	return (uint32_t)(p[0] | p[1] << 8);
}

static uint32_t
le32(const uint8_t *p)
{
	return le16(p) | le16(p + 2) << 16;
}

static void
put_le(uint8_t *p, uint32_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

/* Reads exactly `n` bytes; false at the end or on an error. */
static bool
read_all(int fd, uint8_t *p, size_t n)
{
	ssize_t k;

	while (n > 0) {
		k = read(fd, p, n);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return false;
		p += k;
		n -= (size_t)k;
	}
	return true;
}

/* Takes over a "fmt " chunk; false for what we cannot play. */
static bool
fmt_read(struct media_wav *w, const uint8_t *p, size_t n)
{
	w->format = le16(p);
	w->channels = le16(p + 2);
	w->rate_hz = le32(p + 4);
	w->bits = le16(p + 14);
	if (w->format == FORMAT_EXTENSIBLE && n >= 26)
		w->format = le16(p + 24); /* first bytes of the GUID */
	if (w->channels == 0 || w->channels > CHANNELS_MAX ||
	    w->rate_hz < RATE_MIN || w->rate_hz > RATE_MAX)
		return false;
	if (w->format == FORMAT_PCM)
		return w->bits == 8 || w->bits == 16;
	return (w->format == FORMAT_ALAW || w->format == FORMAT_MULAW) &&
	    w->bits == 8;
}

/* Walks the chunks up to the data. */
static bool
header_read(struct media_wav *w)
{
	uint8_t h[RIFF_HEADER], fmt[FMT_MAX];
	bool has_fmt = false;
	uint64_t size;
	size_t take;

	if (!read_all(w->fd, h, RIFF_HEADER) || memcmp(h, "RIFF", 4) != 0 ||
	    memcmp(h + 8, "WAVE", 4) != 0)
		return false;
	for (int i = 0; i < CHUNKS_MAX; i++) {
		if (!read_all(w->fd, h, CHUNK_HEADER))
			return false;
		size = le32(h + 4);
		if (memcmp(h, "data", 4) == 0) {
			/* 0 and ~0: written by a program that was cut off */
			w->left =
			    size == 0 || size == UINT32_MAX ? UINT64_MAX : size;
			return has_fmt;
		}
		take = 0;
		if (memcmp(h, "fmt ", 4) == 0) {
			take = size < FMT_MAX ? (size_t)size : FMT_MAX;
			if (take < FMT_MIN || !read_all(w->fd, fmt, take) ||
			    !fmt_read(w, fmt, take))
				return false;
			has_fmt = true;
		}
		/* Chunks start on even bytes. */
		size += size & 1;
		if (lseek(w->fd, (off_t)(size - take), SEEK_CUR) < 0)
			return false;
	}
	return false;
}

/* A file, not a pipe that would block the loop. */
static bool
is_file(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

int
media_wav_open_fd(struct media_wav **out, int fd)
{
	struct media_wav *w;

	if (!is_file(fd))
		return E_MEDIA_DEVICE;
	if ((w = calloc(1, sizeof(*w))) == NULL)
		return ENOMEM;
	w->fd = fd;
	if (!header_read(w)) {
		free(w);
		return E_MEDIA_DEVICE;
	}
	*out = w;
	return 0;
}

/* Writes what is buffered. */
static int
flush(struct media_wav *w)
{
	size_t at = 0;
	ssize_t k;

	while (at < w->n && w->err == 0) {
		k = write(w->fd, w->buf + at, w->n - at);
		if (k > 0)
			at += (size_t)k;
		else if (k == 0 || errno != EINTR)
			w->err = k == 0 ? EIO : errno;
	}
	w->n = 0;
	return w->err;
}

/* The header of mono 16 bit with `data` bytes. */
static void
header_make(uint8_t h[static HEADER], unsigned int rate_hz, uint32_t data)
{
	memcpy(h, "RIFF", 4);
	put_le(h + 4, data + HEADER - CHUNK_HEADER, 4);
	memcpy(h + 8, "WAVEfmt ", 8);
	put_le(h + 16, FMT_MIN, 4);
	put_le(h + 20, FORMAT_PCM, 2);
	put_le(h + 22, 1, 2);
	put_le(h + 24, rate_hz, 4);
	put_le(h + 28, rate_hz * 2, 4);
	put_le(h + 32, 2, 2);
	put_le(h + 34, 16, 2);
	memcpy(h + 36, "data", 4);
	put_le(h + 40, data, 4);
}

int
media_wav_create_fd(struct media_wav **out, int fd, unsigned int rate_hz)
{
	struct media_wav *w;

	if (!is_file(fd) || rate_hz < RATE_MIN || rate_hz > RATE_MAX)
		return E_MEDIA_DEVICE;
	if ((w = calloc(1, sizeof(*w))) == NULL)
		return ENOMEM;
	w->fd = fd;
	w->writing = true;
	w->rate_hz = rate_hz;
	w->channels = 1;
	header_make(w->buf, rate_hz, 0);
	w->n = HEADER;
	if (ftruncate(fd, 0) != 0 || lseek(fd, 0, SEEK_SET) < 0 ||
	    flush(w) != 0) {
		free(w);
		return E_MEDIA_DEVICE;
	}
	*out = w;
	return 0;
}

int
media_wav_release(struct media_wav *w)
{
	uint8_t h[HEADER];
	int fd = w->fd;

	if (w->writing && flush(w) == 0) {
		header_make(h, w->rate_hz, (uint32_t)w->data_n);
		/* Without it readers still take what is there. */
		if (pwrite(fd, h, HEADER, 0) != HEADER)
			w->err = EIO;
	}
	free(w);
	return fd;
}

void
media_wav_close(struct media_wav *w)
{
	if (w != NULL)
		close(media_wav_release(w));
}

unsigned int
media_wav_rate(const struct media_wav *w)
{
	return w->rate_hz;
}

/* Fills the buffer with whole frames if it is empty; false at the end. */
static bool
refill(struct media_wav *w, size_t frame)
{
	size_t want = BUF / frame * frame, got = 0;
	ssize_t k;

	if (w->at < w->n)
		return true;
	if (w->left < want)
		want = (size_t)w->left / frame * frame;
	while (got < want) {
		k = read(w->fd, w->buf + got, want - got);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			break;
		got += (size_t)k;
	}
	w->left = got < want ? 0 : w->left - got;
	w->at = 0;
	w->n = got / frame * frame;
	return w->n != 0;
}

/* One sample in the file's own form. */
static int
sample(const struct media_wav *w, const uint8_t *p)
{
	if (w->format == FORMAT_ALAW)
		return media_alaw_decode(p[0]);
	if (w->format == FORMAT_MULAW)
		return media_ulaw_decode(p[0]);
	if (w->bits == 8)
		return (p[0] - 128) * 256;
	return (int16_t)le16(p);
}

size_t
media_wav_read(struct media_wav *w, int16_t *pcm, size_t n)
{
	size_t bytes = w->bits / 8, frame = bytes * w->channels;
	int sum;

	assert(!w->writing);
	for (size_t i = 0; i < n; i++) {
		if (!refill(w, frame))
			return i;
		sum = 0;
		for (unsigned int c = 0; c < w->channels; c++)
			sum += sample(w, w->buf + w->at + c * bytes);
		pcm[i] = (int16_t)(sum / (int)w->channels);
		w->at += frame;
	}
	return n;
}

int
media_wav_write(struct media_wav *w, const int16_t *pcm, size_t n)
{
	assert(w->writing);
	for (size_t i = 0; i < n && w->err == 0; i++) {
		if (w->data_n >= DATA_MAX)
			return E_LIMIT;
		if (w->n == BUF && flush(w) != 0)
			break;
		put_le(w->buf + w->n, (uint16_t)pcm[i], 2);
		w->n += 2;
		w->data_n += 2;
	}
	return w->err;
}
