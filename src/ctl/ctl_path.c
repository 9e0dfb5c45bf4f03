/* SPDX-License-Identifier: ISC */
/* Where the control socket is. */
#include <sys/stat.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "internal.h"

#define SOCK_NAME "ctl.sock"

/* Joins folder, optional sub-folder and the name of the socket. */
static int
join(char *out, size_t size, struct slice dir, const char *sub)
{
	int n;

	n = snprintf(out, size, SLICE_FMT "%s/" SOCK_NAME, SLICE_ARG(dir), sub);
	return n < 0 || (size_t)n >= size ? E_LIMIT : 0;
}

/*
 * Where there is no runtime folder, one below /tmp will do, if it is ours
 * alone: whoever made it first could otherwise listen in our place.
 */
static int
below_tmp(char *out, size_t size)
{
	char dir[64];
	struct stat st;

	(void)snprintf(
	    dir, sizeof(dir), "/tmp/bellbird-%lu", (unsigned long)geteuid());
	if (lstat(dir, &st) == 0 &&
	    (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
		(st.st_mode & (S_IWGRP | S_IWOTH)) != 0))
		return EPERM;
	return join(out, size, slice_of(dir), "");
}

int
ctl_socket_path(char *out, size_t size, const char *given)
{
	const char *env = getenv("BELLBIRD_SOCKET");
	const char *run = getenv("RUNTIME_DIRECTORY");
	const char *xdg = getenv("XDG_RUNTIME_DIR");
	struct slice first, rest;

	if (given == NULL && env != NULL && env[0] != '\0')
		given = env;
	if (given != NULL)
		return str_copy(out, size, given);
	if (run != NULL && run[0] == '/') {
		/* systemd lists several with colons between them */
		(void)slice_cut(slice_of(run), ':', &first, &rest);
		return join(out, size, first, "");
	}
	if (geteuid() == 0)
		return join(out, size, slice_of("/run/bellbird"), "");
	if (xdg != NULL && xdg[0] == '/')
		return join(out, size, slice_of(xdg), "/bellbird");
	return below_tmp(out, size);
}
