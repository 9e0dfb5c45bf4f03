/* SPDX-License-Identifier: ISC */
/* LD_PRELOAD: kills the process at the n-th touch of a file below
 * BB_KILL_DIR, as a power cut would.  See test_kill.py. */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Before the call, after it, and for writes after one half of the bytes. */
static int points;

/* Counts one point; the one whose number is BB_KILL_AT is the last. */
static void
point(const char *what)
{
	const char *at = getenv("BB_KILL_AT");
	const char *log = getenv("BB_KILL_LOG");
	int fd;

	points++;
	if (log != NULL &&
	    (fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600)) >= 0) {
		dprintf(fd, "%d %s\n", points, what);
		close(fd);
	}
	if (at != NULL && strtol(at, NULL, 10) == points)
		kill(getpid(), SIGKILL);
}

static int
is_ours(const char *path)
{
	const char *dir = getenv("BB_KILL_DIR");

	return dir != NULL && strncmp(path, dir, strlen(dir)) == 0;
}

/* Is this descriptor a regular file below the folder? */
static int
is_ours_fd(int fd)
{
	char link[64], path[4096];
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) != 0 ||
	    !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
		return 0;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if ((n = readlink(link, path, sizeof(path) - 1)) <= 0)
		return 0;
	path[n] = '\0';
	return is_ours(path);
}

ssize_t
write(int fd, const void *p, size_t n)
{
	ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
	ssize_t r;

	if (!is_ours_fd(fd))
		return real(fd, p, n);
	point("before write");
	if (n > 1) {
		/* A short write is legal: the caller must go on with it. */
		r = real(fd, p, n / 2);
		point("after half a write");
		return r;
	}
	r = real(fd, p, n);
	point("after write");
	return r;
}

int
fsync(int fd)
{
	int (*real)(int) = dlsym(RTLD_NEXT, "fsync");
	int r;

	if (!is_ours_fd(fd))
		return real(fd);
	point("before fsync");
	r = real(fd);
	point("after fsync");
	return r;
}

int
rename(const char *from, const char *to)
{
	int (*real)(const char *, const char *) = dlsym(RTLD_NEXT, "rename");
	int r;

	if (!is_ours(to))
		return real(from, to);
	point("before rename");
	r = real(from, to);
	point("after rename");
	return r;
}

int
unlink(const char *path)
{
	int (*real)(const char *) = dlsym(RTLD_NEXT, "unlink");
	int r;

	if (!is_ours(path))
		return real(path);
	point("before unlink");
	r = real(path);
	point("after unlink");
	return r;
}
