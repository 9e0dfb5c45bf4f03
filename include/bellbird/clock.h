/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_CLOCK_H
#define BELLBIRD_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "bellbird/err.h"

/*
 * The one seam for time.  Nothing else calls clock_gettime() or time().
 * Certificate times are int64 seconds since 1970, never time_t.
 */
int64_t clock_mono_us(void); /* never goes back */
int64_t clock_wall_s(void);
int64_t clock_wall_us(void);

/*
 * clock_fake makes both clocks stand still at `wall_s` (monotonic starts at
 * 1 s) until clock_step_us moves them; for tests.  A loop in fake time fires
 * its timers from loop_fake_run(), not from the kernel.
 */
void clock_fake(int64_t wall_s);
void clock_step_us(int64_t us);
void clock_real(void);
int clock_is_fake(void);

/* clock_floor_s: no earlier time is believed: max(build time, saved good
 * time).  clock_set_floor_s ignores what is lower than the build time. */
int64_t clock_floor_s(void);
void clock_set_floor_s(int64_t s);

/*
 * clock_jump_open stores a descriptor, owned by the caller, that becomes
 * readable when somebody sets the wall clock, and clock_jump_arm has it do so
 * again (timerfd_settime(2), TFD_TIMER_CANCEL_ON_SET); an errno.
 */
MUST_CHECK int clock_jump_open(int *fd);
MUST_CHECK int clock_jump_arm(int fd);

/* clock_iso writes "2026-11-24T13:37:54.123Z"; needs 25 bytes. */
void clock_iso(char *out, size_t size, int64_t wall_us);

/* clock_days: days since 1970 of a date in the Gregorian calendar; no time_t,
 * which may have 32 bits. */
int64_t clock_days(int64_t year, int64_t month, int64_t day);
/* clock_http_date reads "Wed, 25 Nov 2026 02:38:16 GMT" (RFC 9110 5.6.7) as
 * seconds since 1970; E_PARSE for another form. */
MUST_CHECK int clock_http_date(const char *text, int64_t *out);

#endif
