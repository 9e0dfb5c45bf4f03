/* SPDX-License-Identifier: ISC */
/* LD_PRELOAD: moves the wall clock of a program by BB_CLOCK_S seconds and
 * leaves its monotonic clock and timers alone, which faketime does not: it
 * turns the absolute time of a monotonic timerfd into a negative one.  USR2
 * sets the clock, by BB_JUMP_S seconds, as the kernel tells of it: a timerfd
 * with TFD_TIMER_CANCEL_ON_SET ends with ECANCELED. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static volatile time_t jumped_s;
static volatile sig_atomic_t pending;
static int jump_fd = -1;

static time_t
seconds(const char *name)
{
	const char *s = getenv(name);

	return s != NULL ? (time_t)strtoll(s, NULL, 10) : 0;
}

static time_t
moved_s(void)
{
	return seconds("BB_CLOCK_S") + jumped_s;
}

static void
on_usr2(int signo)
{
	const struct itimerspec now = { .it_value = { .tv_nsec = 1 } };

	(void)signo;
	jumped_s += seconds("BB_JUMP_S");
	pending = 1;
	if (jump_fd >= 0)
		syscall(SYS_timerfd_settime, jump_fd, 0, &now, NULL);
}

static void __attribute__((constructor)) begin(void)
{
	if (getenv("BB_JUMP_S") != NULL)
		signal(SIGUSR2, on_usr2);
}

int
timerfd_settime(
    int fd, int flags, const struct itimerspec *new, struct itimerspec *old)
{
	if ((flags & TFD_TIMER_CANCEL_ON_SET) != 0)
		jump_fd = fd;
	return (int)syscall(SYS_timerfd_settime, fd, flags, new, old);
}

ssize_t
read(int fd, void *p, size_t n)
{
	ssize_t r = syscall(SYS_read, fd, p, n);

	if (fd != jump_fd || !pending)
		return r;
	pending = 0;
	errno = ECANCELED;
	return -1;
}

ssize_t __read_chk(int fd, void *p, size_t n, size_t room);

ssize_t
__read_chk(int fd, void *p, size_t n, size_t room)
{
	return read(fd, p, n < room ? n : room);
}

int
clock_gettime(clockid_t id, struct timespec *ts)
{
	int r = (int)syscall(SYS_clock_gettime, id, ts);

	if (r == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		ts->tv_sec += moved_s();
	return r;
}

int
gettimeofday(struct timeval *tv, void *zone)
{
	struct timespec ts;

	(void)zone;
	if (clock_gettime(CLOCK_REALTIME, &ts) != 0)
		return -1;
	tv->tv_sec = ts.tv_sec;
	tv->tv_usec = ts.tv_nsec / 1000;
	return 0;
}

time_t
time(time_t *out)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_REALTIME, &ts) != 0)
		return (time_t)-1;
	if (out != NULL)
		*out = ts.tv_sec;
	return ts.tv_sec;
}
