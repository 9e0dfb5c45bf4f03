/* SPDX-License-Identifier: ISC */
/* What the two handshake benches share: arguments, two processes, counting.
 * The parent is the client, its child the server; each counts its own CPU. */
#ifndef BELLBIRD_TESTS_BENCH_H
#define BELLBIRD_TESTS_BENCH_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	WARM_UP = 20,    /* also brings the session that is resumed */
	IDLE_FIRST = 100 /* connections there before memory is looked at */
};

/* What is measured. */
struct bench {
	bool v12;       /* TLS 1.2, else 1.3 */
	bool mutual;    /* the client shows a certificate, and it is demanded */
	bool resume;    /* every handshake after the first resumes */
	bool tcp;       /* raw_tls: TCP over loopback, not a socketpair */
	size_t count;   /* handshakes counted */
	size_t idle;    /* 0, or connections to hold, without traffic */
	size_t reloads; /* our_tls: read trust and identities so often */
	const char *dir;  /* ca.pem, server.pem, device.pem */
	const char *name; /* whom the client expects */
};

static inline void
bench_die(const char *what)
{
	printf("error: %s\n", what);
	exit(1);
}

static inline void
bench_args(struct bench *b, int argc, char **argv)
{
	int c;

	*b = (struct bench){ .count = 2000 };
	while ((c = getopt(argc, argv, "2mrtn:i:e:")) != -1) {
		b->v12 |= c == '2';
		b->mutual |= c == 'm';
		b->resume |= c == 'r';
		b->tcp |= c == 't';
		if (c == 'n')
			b->count = strtoul(optarg, NULL, 10);
		else if (c == 'i')
			b->idle = strtoul(optarg, NULL, 10);
		else if (c == 'e')
			b->reloads = strtoul(optarg, NULL, 10);
		else if (c == '?')
			bench_die("usage: [-2mrt] [-n COUNT | -i IDLE | -e "
				  "COUNT] DIR NAME");
	}
	if (argc - optind != 2 || b->count == 0)
		bench_die(
		    "usage: [-2mrt] [-n COUNT | -i IDLE | -e COUNT] DIR NAME");
	b->dir = argv[optind];
	b->name = argv[optind + 1];
}

static inline const char *
bench_path(const struct bench *b, const char *name)
{
	static char path[4096];

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", b->dir, name) >=
	    sizeof(path))
		bench_die("a long path");
	return path;
}

/* How many connections there are in all. */
static inline size_t
bench_total(const struct bench *b)
{
	return b->idle > 0 ? IDLE_FIRST + b->idle : WARM_UP + b->count;
}

/* CPU time of this process, us. */
static inline double
bench_cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* Private memory of this process, bytes. */
static inline double
bench_private(void)
{
	FILE *f = fopen("/proc/self/smaps_rollup", "r");
	unsigned long kib = 0;
	char line[256];

	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, "Private_Dirty:", 14) == 0)
			kib = strtoul(line + 14, NULL, 10);
	}
	if (f != NULL)
		fclose(f);
	return (double)kib * 1024;
}

/*
 * bench_done is called after each connection of a side, `n` from 1 on; when
 * the last one is there it stores what each cost: CPU in us, or bytes.
 */
static inline void
bench_done(const struct bench *b, size_t n, double *each)
{
	static double from;

	if (n == (b->idle > 0 ? IDLE_FIRST : WARM_UP))
		from = b->idle > 0 ? bench_private() : bench_cpu_us();
	if (n == bench_total(b) && b->idle > 0)
		*each = (bench_private() - from) / (double)b->idle;
	else if (n == bench_total(b))
		*each = (bench_cpu_us() - from) / (double)b->count;
}

/* Room for the descriptors of all that is idle. */
static inline void
bench_files(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

/*
 * bench_run forks: `server` in the child, `client` here; `up` carries from
 * the child to the parent what both agree on.  Prints both figures.
 */
static inline int
bench_run(double (*client)(const struct bench *b, int up),
    double (*server)(const struct bench *b, int up), const struct bench *b)
{
	double mine, theirs = 0;
	int up[2], status;
	pid_t pid;

	bench_files();
	if (pipe(up) != 0 || (pid = fork()) < 0)
		bench_die("pipe or fork");
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(up[0]);
		theirs = server(b, up[1]);
		if (write(up[1], &theirs, sizeof(theirs)) != sizeof(theirs))
			exit(1);
		exit(0);
	}
	close(up[1]);
	mine = client(b, up[0]);
	if (read(up[0], &theirs, sizeof(theirs)) != sizeof(theirs) ||
	    waitpid(pid, &status, 0) != pid || status != 0)
		bench_die("the server's side failed");
	printf("%.2f %.2f\n", mine, theirs);
	return 0;
}

#endif
