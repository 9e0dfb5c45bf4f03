/* SPDX-License-Identifier: ISC */
/* Audio devices, all paced by the session's timer: null, loop, tone, WAV files
 * and the sound card, one table row each. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bellbird/log.h"
#include "bellbird/mem.h"
#include "internal.h"

enum {
	TONE_MIN_HZ = 20,
	TONE_MAX_HZ = 20000,
	LOOP_FRAMES = 2, /* what the loop device keeps at most */
	PATH_SIZE = 512
};

static const double tone_dbfs = -10;

struct dev_kind {
	const char *prefix;
	bool has_arg;
	int (*start)(struct media_dev *d); /* opens, or follows a new rate */
	void (*stop)(struct media_dev *d);
	void (*read)(struct media_dev *d, int16_t *pcm, size_t n);
	void (*write)(struct media_dev *d, const int16_t *pcm, size_t n);
	/* check stores what would be used; E_PARSE, E_MEDIA_DEVICE */
	int (*check)(struct slice arg, char *shown, size_t size);
};

struct media_dev {
	const struct dev_kind *kind;
	struct loop *loop; /* borrowed */
	char *arg;         /* owned: behind the prefix */
	char *call_name;   /* owned; may be NULL */
	char name[MEDIA_DEV_NAME_MAX];
	uint64_t log_id;
	timer_cb *lost;
	void *lost_arg;
	struct deferred lost_call;
	unsigned int rate_hz; /* 0: stopped */

	struct media_tone tone;
	struct media_file *in, *out; /* owned; may be NULL */
	int16_t *ring;               /* owned: what the loop device heard */
	size_t ring_n, ring_cap;
	struct media_alsa *alsa; /* owned */
};

static const struct dev_kind kind_null, kind_alsa;

/* ---- null ---- */

/* Nothing to open. */
static int
null_start(struct media_dev *d)
{
	(void)d;
	return 0;
}

/* Nothing to close. */
static void
null_stop(struct media_dev *d)
{
	(void)d;
}

/* Silence. */
static void
null_read(struct media_dev *d, int16_t *pcm, size_t n)
{
	(void)d;
	memset(pcm, 0, n * sizeof(*pcm));
}

/* Nobody listens. */
static void
null_write(struct media_dev *d, const int16_t *pcm, size_t n)
{
	(void)d;
	(void)pcm;
	(void)n;
}

/* Always there. */
static int
null_check(struct slice arg, char *shown, size_t size)
{
	(void)arg;
	(void)snprintf(shown, size, "null");
	return 0;
}

/* ---- loop ---- */

/* Room for two of the longest frames. */
static int
ring_start(struct media_dev *d)
{
	size_t cap =
	    (size_t)LOOP_FRAMES * MEDIA_PTIME_MAX_MS * d->rate_hz / 1000;

	int16_t *ring = mem_array(cap, sizeof(*ring));

	if (ring == NULL)
		return ENOMEM;
	free(d->ring);
	d->ring = ring;
	d->ring_n = 0;
	d->ring_cap = cap;
	return 0;
}

/* Forgets what was heard. */
static void
ring_stop(struct media_dev *d)
{
	free(d->ring);
	d->ring = NULL;
	d->ring_n = d->ring_cap = 0;
}

/* Gives back the oldest samples. */
static void
ring_read(struct media_dev *d, int16_t *pcm, size_t n)
{
	if (d->ring_n < n) {
		memset(pcm, 0, n * sizeof(*pcm));
		return;
	}
	memcpy(pcm, d->ring, n * sizeof(*pcm));
	d->ring_n -= n;
	memmove(d->ring, d->ring + n, d->ring_n * sizeof(*pcm));
}

/* Keeps the newest samples. */
static void
ring_write(struct media_dev *d, const int16_t *pcm, size_t n)
{
	size_t drop;

	if (n > d->ring_cap)
		return;
	if (d->ring_n + n > d->ring_cap) {
		drop = d->ring_n + n - d->ring_cap;
		d->ring_n -= drop;
		memmove(d->ring, d->ring + drop, d->ring_n * sizeof(*pcm));
	}
	memcpy(d->ring + d->ring_n, pcm, n * sizeof(*pcm));
	d->ring_n += n;
}

/* Always there. */
static int
ring_check(struct slice arg, char *shown, size_t size)
{
	(void)arg;
	(void)snprintf(shown, size, "loop");
	return 0;
}

/* ---- tone ---- */

/* "440" -> Hz */
static int
tone_parse(struct slice arg, int64_t *hz)
{
	return str_int(arg, TONE_MIN_HZ, TONE_MAX_HZ, hz) == 0 ? 0 : E_PARSE;
}

/* Starts the sine at the new rate. */
static int
tone_start(struct media_dev *d)
{
	int64_t hz;
	int err = tone_parse(slice_of(d->arg), &hz);

	if (err == 0)
		media_tone_init(&d->tone, (double)hz, d->rate_hz, tone_dbfs);
	return err;
}

/* The sine. */
static void
tone_read(struct media_dev *d, int16_t *pcm, size_t n)
{
	memset(pcm, 0, n * sizeof(*pcm));
	media_tone_add(&d->tone, pcm, n);
}

/* Right if it is a frequency. */
static int
tone_check(struct slice arg, char *shown, size_t size)
{
	int64_t hz;

	if (tone_parse(arg, &hz) != 0) {
		(void)snprintf(shown, size, "tone:HZ needs %d to %d",
		    TONE_MIN_HZ, TONE_MAX_HZ);
		return E_PARSE;
	}
	(void)snprintf(shown, size, "tone:%lld", (long long)hz);
	return 0;
}

/* ---- WAV files ---- */

/* "OUT.wav" of call c3 -> "OUT-c3.wav"; E_LIMIT if it does not fit. */
static int
out_path(const struct media_dev *d, struct slice out, char *path, size_t size)
{
	const char *call = d->call_name != NULL ? d->call_name : "";
	size_t stem = out.n;
	int n;

	if (out.n > 4 &&
	    slice_case_is((struct slice){ out.p + out.n - 4, 4 }, ".wav"))
		stem = out.n - 4;
	n = snprintf(path, size, "%.*s%s%s" SLICE_FMT, (int)stem, out.p,
	    call[0] != '\0' ? "-" : "", call, (int)(out.n - stem),
	    out.p + stem);
	return n > 0 && (size_t)n < size ? 0 : E_LIMIT;
}

/* Opens the file that plays the microphone. */
static int
wav_open_in(struct media_dev *d, struct slice in)
{
	char path[PATH_SIZE];
	int fd, err;

	if (str_copy_slice(path, sizeof(path), in) != 0)
		return E_LIMIT;
	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) < 0)
		return errno;
	if ((err = media_file_open(&d->in, fd, d->log_id)) != 0)
		close(fd);
	return err;
}

/* Creates the file of what is heard; what people say is nobody else's. */
static int
wav_open_out(struct media_dev *d, struct slice out)
{
	char path[PATH_SIZE];
	int fd, err;

	if ((err = out_path(d, out, path, sizeof(path))) != 0)
		return err;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return errno;
	if ((err = media_file_create(&d->out, fd, d->rate_hz, d->log_id)) != 0)
		close(fd);
	return err;
}

/* Notes in the name and the log that a file is not there. */
static void
wav_missing(struct media_dev *d, struct slice path, int err)
{
	(void)snprintf(d->name, sizeof(d->name), "wav (%s: %s)",
	    esc_n(path.p, path.n), err_str(err));
	log_warn(LOGC_AUDIO, d->log_id, "wav device path=%s: %s",
	    esc_n(path.p, path.n), err_str(err));
}

/* Opens the files; later only their rates change. */
static int
wav_start(struct media_dev *d)
{
	struct slice in, out;
	int err;

	slice_cut(slice_of(d->arg), ',', &in, &out);
	if (d->in == NULL && in.n != 0 && (err = wav_open_in(d, in)) != 0) {
		if (err == ENOMEM)
			return err;
		wav_missing(d, in, err);
	}
	if (d->out == NULL && out.n != 0 && (err = wav_open_out(d, out)) != 0) {
		if (err == ENOMEM)
			return err;
		wav_missing(d, out, err);
	}
	if ((d->in != NULL &&
		(err = media_file_prepare_rate(d->in, d->rate_hz)) != 0) ||
	    (d->out != NULL &&
		(err = media_file_prepare_rate(d->out, d->rate_hz)) != 0))
		return err;
	if (d->in != NULL)
		media_file_use_rate(d->in);
	if (d->out != NULL)
		media_file_use_rate(d->out);
	return 0;
}

/* Closes the files. */
static void
wav_stop(struct media_dev *d)
{
	media_file_close(d->in);
	media_file_close(d->out);
	d->in = d->out = NULL;
}

/* The file, then silence. */
static void
wav_read(struct media_dev *d, int16_t *pcm, size_t n)
{
	if (d->in == NULL)
		null_read(d, pcm, n);
	else
		(void)media_file_read(d->in, pcm, n);
}

/* What is heard. */
static void
wav_write(struct media_dev *d, const int16_t *pcm, size_t n)
{
	if (d->out != NULL)
		media_file_write(d->out, pcm, n);
}

/* True if the folder of a file to be written may be written to. */
static bool
folder_ok(const char *path)
{
	char dir[PATH_SIZE];
	const char *slash = strrchr(path, '/');
	struct slice s = { path, slash != NULL ? (size_t)(slash - path) : 0 };

	if (slash == NULL)
		return access(".", W_OK) == 0;
	if (s.n == 0)
		return access("/", W_OK) == 0;
	return str_copy_slice(dir, sizeof(dir), s) == 0 &&
	    access(dir, W_OK) == 0;
}

/* The first must be readable, the second writable. */
static int
wav_check(struct slice arg, char *shown, size_t size)
{
	char path[PATH_SIZE];
	struct slice in, out;

	slice_cut(arg, ',', &in, &out);
	if (in.n == 0 && out.n == 0) {
		(void)snprintf(shown, size, "wav:IN.wav,OUT.wav needs a file");
		return E_PARSE;
	}
	if (in.n != 0 &&
	    (str_copy_slice(path, sizeof(path), in) != 0 ||
		access(path, R_OK) != 0)) {
		(void)snprintf(
		    shown, size, "wav (%s cannot be read)", esc_n(in.p, in.n));
		return E_MEDIA_DEVICE;
	}
	if (out.n != 0 &&
	    (str_copy_slice(path, sizeof(path), out) != 0 ||
		!folder_ok(path))) {
		(void)snprintf(shown, size, "wav (%s cannot be written)",
		    esc_n(out.p, out.n));
		return E_MEDIA_DEVICE;
	}
	(void)snprintf(shown, size, "wav:%s", esc_n(arg.p, arg.n));
	return 0;
}

/* ---- sound card ---- */

/* null takes the place of a card; `why` goes into the name. */
static void
fall_back(struct media_dev *d, const char *why)
{
	d->kind = &kind_null;
	(void)snprintf(d->name, sizeof(d->name), "null (%s)", why);
	log_warn(LOGC_AUDIO, d->log_id, "no sound card device=alsa:%s: %s",
	    esc(d->arg), why);
}

/* From the loop: the card is gone. */
static void
on_lost(void *arg)
{
	struct media_dev *d = arg;

	media_alsa_free(d->alsa);
	d->alsa = NULL;
	if (d->lost != NULL)
		d->lost(d->lost_arg); /* may free us */
}

/* Gives up on the card; telling waits for the loop. */
static void
alsa_lost(struct media_dev *d, const char *why)
{
	fall_back(d, why);
	loop_defer(d->loop, &d->lost_call, on_lost, d);
}

/* media_alsa_cb: it is open, or will not be. */
static void
on_alsa(const char *why, void *arg)
{
	struct media_dev *d = arg;

	if (why != NULL)
		alsa_lost(d, why);
	else
		(void)snprintf(d->name, sizeof(d->name), "alsa:%s", d->arg);
}

/* Opens the card at the rate of the session. */
static int
alsa_start(struct media_dev *d)
{
	bool was_open = d->alsa != NULL;
	int err;

	/* A card is open once: the old handle has to go first. */
	media_alsa_free(d->alsa);
	d->alsa = NULL;
	(void)snprintf(d->name, sizeof(d->name), "alsa:%s (opening)", d->arg);
	err = media_alsa_new(&d->alsa, d->arg, d->rate_hz, on_alsa, d);
	if (err != 0 && was_open) {
		alsa_lost(d, err_str(err)); /* and the call goes on */
		err = 0;
	}
	return err;
}

/* Closes the card. */
static void
alsa_stop(struct media_dev *d)
{
	media_alsa_free(d->alsa);
	d->alsa = NULL;
}

/* The microphone. */
static void
alsa_read(struct media_dev *d, int16_t *pcm, size_t n)
{
	int err = d->alsa != NULL ? media_alsa_read(d->alsa, pcm, n) : EAGAIN;

	if (err == 0)
		return;
	null_read(d, pcm, n);
	if (err != EAGAIN)
		alsa_lost(d, "the card is gone");
}

/* The speaker. */
static void
alsa_write(struct media_dev *d, const int16_t *pcm, size_t n)
{
	int err = d->alsa != NULL ? media_alsa_write(d->alsa, pcm, n) : EAGAIN;

	if (err != 0 && err != EAGAIN)
		alsa_lost(d, "the card is gone");
}

/* Looks for a card without opening it. */
static int
alsa_check(struct slice arg, char *shown, size_t size)
{
	char name[MEDIA_DEV_NAME_MAX];

	if (arg.n == 0 || str_copy_slice(name, sizeof(name), arg) != 0) {
		(void)snprintf(shown, size, "alsa:NAME needs a name");
		return E_PARSE;
	}
	if (media_alsa_is_absent(name)) {
		(void)snprintf(shown, size, "null (no sound card)");
		return E_MEDIA_DEVICE;
	}
	(void)snprintf(shown, size, "alsa:%s", esc(name));
	return 0;
}

/* ---- all ---- */

static const struct dev_kind kind_null = { "null", false, null_start, null_stop,
	null_read, null_write, null_check };
static const struct dev_kind kind_loop = { "loop", false, ring_start, ring_stop,
	ring_read, ring_write, ring_check };
static const struct dev_kind kind_tone = { "tone:", true, tone_start, null_stop,
	tone_read, null_write, tone_check };
static const struct dev_kind kind_wav = { "wav:", true, wav_start, wav_stop,
	wav_read, wav_write, wav_check };
static const struct dev_kind kind_alsa = { "alsa:", true, alsa_start, alsa_stop,
	alsa_read, alsa_write, alsa_check };

static const struct dev_kind *const kinds[] = { &kind_null, &kind_loop,
	&kind_tone, &kind_wav, &kind_alsa };

/* Splits a device string; none means the default card. */
static int
kind_find(const char *device, const struct dev_kind **kind, struct slice *arg)
{
	struct slice s = slice_of(device);
	size_t n;

	if (s.n == 0)
		s = slice_of("alsa:default");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		n = strlen(kinds[i]->prefix);
		if (s.n < n || (!kinds[i]->has_arg && s.n != n) ||
		    !slice_case_is((struct slice){ s.p, n }, kinds[i]->prefix))
			continue;
		*kind = kinds[i];
		*arg = (struct slice){ s.p + n, s.n - n };
		return 0;
	}
	return E_PARSE;
}

int
media_device_check(const char *device, char *shown, size_t shown_size)
{
	const struct dev_kind *kind;
	struct slice arg;

	if (kind_find(device, &kind, &arg) != 0) {
		(void)snprintf(shown, shown_size,
		    "null, loop, tone:HZ, wav:IN,OUT or alsa:NAME");
		return E_PARSE;
	}
	return kind->check(arg, shown, shown_size);
}

/* A call's name goes into a path: only harmless characters. */
static bool
name_ok(const char *s)
{
	return strspn(s,
		   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		   "0123456789-_") == strlen(s);
}

int
media_dev_new(struct media_dev **out, const struct media_dev_conf *conf)
{
	struct media_dev *d;
	struct slice arg;
	int err = ENOMEM;

	if ((d = calloc(1, sizeof(*d))) == NULL)
		return ENOMEM;
	d->loop = conf->loop;
	d->log_id = conf->log_id;
	d->lost = conf->lost;
	d->lost_arg = conf->arg;
	if ((err = kind_find(conf->device, &d->kind, &arg)) != 0)
		goto out;
	err = ENOMEM;
	if ((d->arg = slice_dup(arg)) == NULL)
		goto out;
	if (conf->call_name != NULL && name_ok(conf->call_name) &&
	    (d->call_name = strdup(conf->call_name)) == NULL)
		goto out;
	err = d->kind->check(arg, d->name, sizeof(d->name));
	if (err == E_PARSE)
		goto out;
	if (err != 0 && d->kind == &kind_alsa)
		fall_back(d, "no sound card");
	err = 0;
	*out = d;
	d = NULL;
out:
	media_dev_free(d);
	return err;
}

void
media_dev_free(struct media_dev *d)
{
	if (d == NULL)
		return;
	media_dev_stop(d);
	loop_undefer(&d->lost_call);
	free(d->arg);
	free(d->call_name);
	free(d);
}

int
media_dev_start(struct media_dev *d, unsigned int rate_hz)
{
	unsigned int before = d->rate_hz;
	int err;

	if (rate_hz == before)
		return 0;
	d->rate_hz = rate_hz;
	if ((err = d->kind->start(d)) != 0)
		d->rate_hz = before;
	return err;
}

void
media_dev_stop(struct media_dev *d)
{
	if (d->kind != NULL)
		d->kind->stop(d);
	media_alsa_free(d->alsa);
	d->alsa = NULL;
	d->rate_hz = 0;
}

void
media_dev_yield(struct media_dev *d)
{
	if (d->kind == &kind_alsa)
		media_dev_stop(d);
}

void
media_dev_read(struct media_dev *d, int16_t *pcm, size_t n)
{
	if (d->rate_hz == 0)
		null_read(d, pcm, n);
	else
		d->kind->read(d, pcm, n);
}

void
media_dev_write(struct media_dev *d, const int16_t *pcm, size_t n)
{
	if (d->rate_hz != 0)
		d->kind->write(d, pcm, n);
}

const char *
media_dev_name(const struct media_dev *d)
{
	return d->name;
}
