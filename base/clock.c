/* SPDX-License-Identifier: ISC */
/* The one seam for time: the kernel's clocks, or a pair that stands still.
 * Also the floor below which no wall clock is believed. */
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "bellbird/clock.h"
#include "bellbird/str.h"

enum { US_PER_S = 1000000, S_PER_DAY = 86400 };

static struct {
	bool on;
	int64_t mono_us;
	int64_t wall_us;
} fake;

static int64_t floor_s = BELLBIRD_BUILD_TIME;

/* Reads one of the kernel's clocks. */
static int64_t
now_us(clockid_t id)
{
	struct timespec ts;

	if (clock_gettime(id, &ts) != 0)
		return 0; /* cannot happen for these two clocks */
	return (int64_t)ts.tv_sec * US_PER_S + ts.tv_nsec / 1000;
}

int64_t
clock_mono_us(void)
{
	return fake.on ? fake.mono_us : now_us(CLOCK_MONOTONIC);
}

int64_t
clock_wall_s(void)
{
	int64_t us = clock_wall_us();

	/* Floors: also before 1970. */
	return us >= 0 ? us / US_PER_S : -((-us + US_PER_S - 1) / US_PER_S);
}

int64_t
clock_wall_us(void)
{
	return fake.on ? fake.wall_us : now_us(CLOCK_REALTIME);
}

void
clock_fake(int64_t wall_s)
{
	fake.on = true;
	fake.mono_us = US_PER_S;
	fake.wall_us = wall_s * US_PER_S;
}

void
clock_step_us(int64_t us)
{
	assert(fake.on && us >= 0);
	fake.mono_us += us;
	fake.wall_us += us;
}

void
clock_real(void)
{
	fake.on = false;
}

int
clock_is_fake(void)
{
	return fake.on;
}

int
clock_jump_arm(int fd)
{
	/* Never: the year 9999, or the end of a time_t of 32 bits.  What counts
	 * is the cancelling. */
	struct itimerspec never = { .it_value = { .tv_sec = sizeof(time_t) > 4
					    ? (time_t)INT64_C(253402300799)
					    : (time_t)INT32_MAX } };

	if (timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET,
		&never, NULL) != 0 &&
	    errno != ECANCELED)
		return errno;
	return 0;
}

int
clock_jump_open(int *out)
{
	int fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
	int err;

	if (fd < 0)
		return errno;
	if ((err = clock_jump_arm(fd)) != 0) {
		close(fd);
		return err;
	}
	*out = fd;
	return 0;
}

int64_t
clock_floor_s(void)
{
	return floor_s;
}

void
clock_set_floor_s(int64_t s)
{
	if (s >= BELLBIRD_BUILD_TIME)
		floor_s = s;
}

/* Writes `n` digits of `v`, and `after`; returns what follows. */
static char *
digits_put(char *out, unsigned int v, int n, char after)
{
	for (int i = n - 1; i >= 0; i--) {
		out[i] = (char)('0' + v % 10);
		v /= 10;
	}
	out[n] = after;
	return out + n + 1;
}

void
clock_iso(char *out, size_t size, int64_t wall_us)
{
	/* Beyond the year 9999 the text would not fit its 25 bytes. */
	const int64_t max_us = INT64_C(253402300799999999);
	int64_t us, days, era, doe, yoe, doy, mp, y, s;
	char text[32], *p;
	size_t n;
	int m, d;

	us = wall_us < 0 ? 0 : wall_us > max_us ? max_us : wall_us;
	s = us / US_PER_S % S_PER_DAY;
	/* Days to a date without time_t, which may have 32 bits: years start
	 * in March so that the leap day comes last (proleptic Gregorian). */
	days = us / US_PER_S / S_PER_DAY + 719468;
	era = days / 146097;
	doe = days % 146097;
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	mp = (5 * doy + 2) / 153;
	d = (int)(doy - (153 * mp + 2) / 5 + 1);
	m = (int)(mp < 10 ? mp + 3 : mp - 9);
	y = yoe + era * 400 + (m <= 2);
	/* By hand: each line of the log and each event has one. */
	p = digits_put(text, (unsigned int)y, 4, '-');
	p = digits_put(p, (unsigned int)m, 2, '-');
	p = digits_put(p, (unsigned int)d, 2, 'T');
	p = digits_put(p, (unsigned int)(s / 3600), 2, ':');
	p = digits_put(p, (unsigned int)(s / 60 % 60), 2, ':');
	p = digits_put(p, (unsigned int)(s % 60), 2, '.');
	p = digits_put(p, (unsigned int)(us / 1000 % 1000), 3, 'Z');
	*p++ = '\0';
	n = (size_t)(p - text);
	if (size == 0)
		return;
	memcpy(out, text, n < size ? n : size);
	out[size - 1 < n - 1 ? size - 1 : n - 1] = '\0';
}

int64_t
clock_days(int64_t y, int64_t m, int64_t d)
{
	int64_t era, yoe, doy;

	y -= m <= 2;
	era = y / 400;
	yoe = y - era * 400;
	doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

int
clock_http_date(const char *text, int64_t *out)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	const char *at;
	int64_t y, d, hh, mm, ss;
	char mon[4];

	/* Every field has its place. */
	if (strlen(text) != 29 || strncmp(text + 3, ", ", 2) != 0 ||
	    text[7] != ' ' || text[11] != ' ' || text[16] != ' ' ||
	    text[19] != ':' || text[22] != ':' ||
	    strcmp(text + 25, " GMT") != 0)
		return E_PARSE;
	(void)snprintf(mon, sizeof(mon), "%.3s", text + 8);
	if ((at = strstr(months, mon)) == NULL || (at - months) % 3 != 0 ||
	    str_int((struct slice){ text + 5, 2 }, 1, 31, &d) != 0 ||
	    str_int((struct slice){ text + 12, 4 }, 1970, 9999, &y) != 0 ||
	    str_int((struct slice){ text + 17, 2 }, 0, 23, &hh) != 0 ||
	    str_int((struct slice){ text + 20, 2 }, 0, 59, &mm) != 0 ||
	    str_int((struct slice){ text + 23, 2 }, 0, 60, &ss) != 0)
		return E_PARSE;
	*out = clock_days(y, (at - months) / 3 + 1, d) * 86400 + hh * 3600 +
	    mm * 60 + ss;
	return 0;
}
