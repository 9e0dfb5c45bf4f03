/* SPDX-License-Identifier: ISC */
/* What is known of the time, for the policy layer: is the wall clock good, and
 * before that, which time is certainly past (docs/ARCHITECTURE.md, time). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>
#include <unistd.h>

#include "bellbird/file.h"
#include "internal.h"

enum {
	AGREE_S = 300, /* a server's Date this near confirms our clock */
	/* One write a day keeps the floor near enough and spares flash. */
	SAVE_S = 86400,
	TEXT_MAX = 32
};
#define DAY_US    INT64_C(86400000000)
/* A clock that was set wrong is mostly set right soon. */
#define SETTLE_US INT64_C(600000000)
/* While nothing has confirmed the clock: a daemon that slews it tells nobody.
 */
#define ASK_US    INT64_C(60000000)

/* Registering goes first: files of certificates are read here. */
#define FIRST_US INT64_C(500000)

static const char floor_name[] = "clock";

/* What a running endpoint keeps of its clock. */
struct wallclock {
	struct timer day, ask;
	struct io jumps;
	int jump_fd;       /* clock_jump_open(); -1: none */
	struct save *save; /* owned: what the worker writes */
	bool confirmed;    /* by the Date of a verified server */
	bool good;         /* as of the last look */
};

/* Does some daemon (chrony, ntpd, BusyBox) keep the kernel's clock? */
static bool
is_disciplined(void)
{
	struct timex t = { .modes = 0 };

	return adjtimex(&t) != TIME_ERROR && (t.status & STA_UNSYNC) == 0;
}

bool
wallclock_is_good(const struct app *a)
{
	return prov_get_bool(a->store, "clock.trusted") ||
	    (a->clock != NULL && a->clock->confirmed) ||
	    access("/run/systemd/timesync/synchronized", F_OK) == 0 ||
	    is_disciplined();
}

struct tls_clock
wallclock_now(const struct app *a)
{
	struct tls_clock c = {
		.wall_s = clock_wall_s(),
		.floor_s = clock_floor_s(),
		.trusted = wallclock_is_good(a),
	};

	return c;
}

/* What the worker writes. */
struct save {
	char path[PATH_MAX];
	char text[TEXT_MAX];
	int unsynced;
	struct wallclock *clock;
};

/* worker_job. */
static int
save_job(void *arg)
{
	struct save *s = arg;

	return file_write_quiet(
	    s->path, s->text, strlen(s->text), 0600, &s->unsynced);
}

/* worker_done. */
static void
save_done(int err, void *arg)
{
	struct save *s = arg;

	if (err != 0)
		log_warn(LOGC_APP, 0, "%s: the time is not kept: %s",
		    esc(s->path), err_str(err));
	file_log_unsynced(s->path, s->unsynced);
	s->clock->save = NULL;
	free(s);
}

/* Keeps a good time that is a day ahead of the last one. */
static void
save(struct app *a)
{
	int64_t now = clock_wall_s();
	struct save *s;

	if (a->clock->save != NULL || !wallclock_is_good(a) ||
	    now < clock_floor_s() + SAVE_S)
		return;
	if ((s = calloc(1, sizeof(*s))) == NULL)
		return; /* tomorrow */
	snprintf(s->text, sizeof(s->text), "%lld\n", (long long)now);
	if (path_join(s->path, sizeof(s->path), a->paths.state, floor_name) !=
		0 ||
	    worker_run(a->worker, save_job, save_done, s) != 0) {
		free(s);
		return;
	}
	s->clock = a->clock;
	a->clock->save = s;
	clock_set_floor_s(now);
}

/* timer_cb: once a day. */
static void
on_day(void *arg)
{
	struct app *a = arg;
	bool settled = clock_mono_us() - a->started_us >= SETTLE_US;

	if (settled)
		save(a);
	expiry_check(a);
	ignore_err(timer_start(&a->clock->day, a->loop,
		       settled ? DAY_US : SETTLE_US, on_day, a),
	    "cannot fail while it is this timer");
}

/* timer_cb. */
static void
on_ask(void *arg)
{
	wallclock_check(arg);
}

void
wallclock_check(struct app *a)
{
	struct wallclock *w = a->clock;
	bool was;

	if (w == NULL)
		return; /* it has not begun yet */
	was = w->good;
	w->good = wallclock_is_good(a);
	if (w->good && !was) {
		log_info(LOGC_APP, 0,
		    "the clock is good: live connections are judged by it");
		tls_env_rejudge(a->tls);
		enroll_check(a);
	}
	if (w->good)
		timer_stop(&w->ask);
	else
		ignore_err(timer_start(&w->ask, a->loop, ASK_US, on_ask, a),
		    "cannot fail while it is this timer");
}

/* io_cb: somebody set the clock. */
static void
on_jump(int fd, int what, void *arg)
{
	struct app *a = arg;
	uint64_t n;

	(void)what;
	/* ECANCELED tells of the jump; arming anew forgets it.  If the timer
	 * itself is due, time_t has ended. */
	if (read(fd, &n, sizeof(n)) >= 0 || clock_jump_arm(fd) != 0)
		io_stop(&a->clock->jumps);
	else
		log_info(LOGC_APP, 0, "the clock was set");
	/* Whoever confirmed it spoke of the other time, and a wrong one must
	 * not become the floor: it never goes back. */
	a->clock->confirmed = false;
	a->clock->good = wallclock_is_good(a);
	tls_env_rejudge(a->tls);
	wallclock_check(a);
	expiry_check(a);
	enroll_check(a);
}

void
wallclock_load(const struct app *a)
{
	struct slice head, tail;
	char path[PATH_MAX];
	struct buf b;
	int64_t s;

	buf_init(&b, TEXT_MAX);
	if (path_join(path, sizeof(path), a->paths.state, floor_name) == 0 &&
	    file_read(path, &b) == 0 &&
	    slice_cut((struct slice){ buf_str(&b), b.n }, '\n', &head, &tail) &&
	    str_int(head, 0, INT64_MAX, &s) == 0)
		clock_set_floor_s(s);
	buf_clear(&b);
}

void
wallclock_start(struct app *a)
{
	struct wallclock *w = calloc(1, sizeof(*w));

	wallclock_load(a);
	if (w == NULL)
		return;
	w->jump_fd = -1;
	a->clock = w;
	w->good = wallclock_is_good(a);
	ignore_err(timer_start(&w->day, a->loop, FIRST_US, on_day, a),
	    "without it the floor stays where it is");
	wallclock_check(a);
	if (clock_jump_open(&w->jump_fd) != 0 ||
	    io_start(&w->jumps, a->loop, w->jump_fd, IO_READ, on_jump, a) != 0)
		log_warn(
		    LOGC_APP, 0, "it is not seen when somebody sets the clock");
}

void
wallclock_free(struct wallclock *w)
{
	if (w == NULL)
		return;
	timer_stop(&w->day);
	timer_stop(&w->ask);
	io_stop(&w->jumps);
	if (w->jump_fd >= 0)
		close(w->jump_fd);
	free(w->save); /* its done() did not run */
	free(w);
}

/* "+01:00" or "Z" (RFC 3339 5.6) as seconds east; false: neither. */
static bool
zone_parse(struct slice z, int64_t *out)
{
	int64_t hh, mm;

	*out = 0;
	if (z.n == 1 && z.p[0] == 'Z')
		return true;
	if (z.n != 6 || (z.p[0] != '+' && z.p[0] != '-') || z.p[3] != ':' ||
	    str_int((struct slice){ z.p + 1, 2 }, 0, 23, &hh) != 0 ||
	    str_int((struct slice){ z.p + 4, 2 }, 0, 59, &mm) != 0)
		return false;
	*out = (hh * 3600 + mm * 60) * (z.p[0] == '-' ? -1 : 1);
	return true;
}

/* The form, character by character: "d" is a digit. */
static bool
has_form(const char *p, const char *form)
{
	for (; *form != '\0'; p++, form++)
		if (*form == 'd' ? *p < '0' || *p > '9' : *p != *form)
			return false;
	return true;
}

int
wallclock_parse(struct slice text, int64_t *out)
{
	static const struct {
		size_t at, n;
		int64_t min, max;
	} fields[] = {
		{ 0, 4, 1970, 9999 }, /* year */
		{ 5, 2, 1, 12 },      /* month */
		{ 8, 2, 1, 31 },
		{ 11, 2, 0, 23 },
		{ 14, 2, 0, 59 },
		{ 17, 2, 0, 59 },
	};
	int64_t f[6], east, s;
	struct slice zone;
	char back[32];

	if (text.n < 20 || !has_form(text.p, "dddd-dd-ddTdd:dd:dd"))
		return E_PARSE;
	for (size_t i = 0; i < 6; i++)
		if (str_int(
			(struct slice){ text.p + fields[i].at, fields[i].n },
			fields[i].min, fields[i].max, &f[i]) != 0)
			return E_PARSE;
	zone = (struct slice){ text.p + 19, text.n - 19 };
	/* A fraction of a second decides nothing. */
	if (zone.p[0] == '.')
		do {
			zone.p++;
			zone.n--;
		} while (zone.n > 0 && zone.p[0] >= '0' && zone.p[0] <= '9');
	if (!zone_parse(zone, &east))
		return E_PARSE;
	s = clock_days(f[0], f[1], f[2]) * 86400 + f[3] * 3600 + f[4] * 60 +
	    f[5];
	/* The 31st of a month of 30 days comes back as another day. */
	clock_iso(back, sizeof(back), s * 1000000);
	if (memcmp(back, text.p, 10) != 0)
		return E_PARSE;
	*out = s - east;
	return 0;
}

void
wallclock_heard(
    struct app *a, bool verified, const char *date, const char *server)
{
	int64_t s, wall = clock_wall_s();

	if (a->clock == NULL || !verified || clock_http_date(date, &s) != 0 ||
	    s < clock_floor_s())
		return;
	if (s < wall - AGREE_S || s > wall + AGREE_S) {
		log_warn(LOGC_APP, 0,
		    "the clock here differs by %lld s from that of %s: set "
		    "it (NTP)",
		    (long long)(s - wall), esc(server));
		return;
	}
	if (!wallclock_is_good(a))
		log_info(
		    LOGC_APP, 0, "the clock is confirmed by %s", esc(server));
	a->clock->confirmed = true;
	wallclock_check(a);
	save(a);
}
