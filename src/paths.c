/* SPDX-License-Identifier: ISC */
/* Where configuration, state, identity and socket are: one table. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "bellbird/ctl_verb.h"
#include "bellbird/file.h"
#include "internal.h"

/* Keys and settings: nobody else reads them. */
enum { STATE_MODE = 0700 };

/* systemd gives several folders separated by colons; ours is the first. */
static const char *
first_of(const char *env, char *out, size_t size)
{
	const char *v = getenv(env);
	struct slice head, tail;

	if (v == NULL || v[0] == '\0')
		return NULL;
	(void)slice_cut(slice_of(v), ':', &head, &tail);
	return str_copy_slice(out, size, head) == 0 ? out : NULL;
}

/* The XDG folder `env`, else `fallback` below the home folder, + /bellbird. */
static int
user_dir(char *out, size_t size, const char *env, const char *fallback)
{
	const char *v = getenv(env);
	const char *home = getenv("HOME");
	int n;

	if (v != NULL && v[0] == '/')
		n = snprintf(out, size, "%s/bellbird", v);
	else
		n = snprintf(out, size, "%s/%s/bellbird",
		    home != NULL ? home : "", fallback);
	return n < 0 || (size_t)n >= size ? E_LIMIT : 0;
}

/* A folder: what was given, else systemd's, else the system's or the user's. */
static int
dir_of(char *out, size_t size, const char *given, const char *systemd,
    const char *fixed, const char *xdg, const char *fallback)
{
	char buf[PATH_MAX];
	const char *d = given;

	if (d == NULL)
		d = first_of(systemd, buf, sizeof(buf));
	if (d == NULL && getuid() == 0)
		d = fixed;
	if (d != NULL)
		return str_copy(out, size, d);
	return user_dir(out, size, xdg, fallback);
}

int
paths_find(struct paths *p, const struct jv *args)
{
	const char *conf = jv_get_str(args, "conf");
	const char *identity = jv_get_str(args, "identity");
	char dir[PATH_MAX];
	int err;

	if ((err = dir_of(dir, sizeof(dir), NULL, "CONFIGURATION_DIRECTORY",
		 "/etc/bellbird", "XDG_CONFIG_HOME", ".config")) != 0)
		return err;
	if (conf != NULL)
		err = str_copy(p->conf, sizeof(p->conf), conf);
	else
		err = path_join(p->conf, sizeof(p->conf), dir, "bellbird.conf");
	if (err != 0)
		return err;
	if (identity != NULL)
		err = str_copy(p->identity, sizeof(p->identity), identity);
	else
		err = path_join(
		    p->identity, sizeof(p->identity), dir, "identity");
	if (err != 0)
		return err;
	if ((err = dir_of(p->state, sizeof(p->state), jv_get_str(args, "state"),
		 "STATE_DIRECTORY", "/var/lib/bellbird", "XDG_STATE_HOME",
		 ".local/state")) != 0)
		return err;
	return ctl_socket_path(
	    p->socket, sizeof(p->socket), jv_get_str(args, "socket"));
}

int
paths_claim(const struct paths *p, int *lock)
{
	static const char *const written[] = { "", "prov", "certs",
		"certs/trusted" };
	char path[PATH_MAX];
	int err, fd;

	if ((err = path_join(path, sizeof(path), p->state, "certs/trusted")) !=
		0 ||
	    (err = file_mkdirs(path, STATE_MODE)) != 0 ||
	    (err = path_join(path, sizeof(path), p->state, "lock")) != 0)
		return err;
	if ((fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600)) < 0)
		return errno;
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		err = errno == EWOULDBLOCK ? EBUSY : errno;
		close(fd);
		return err;
	}
	*lock = fd;
	for (size_t i = 0; i < sizeof(written) / sizeof(written[0]); i++) {
		if ((err = path_join(
			 path, sizeof(path), p->state, written[i])) != 0)
			return err;
		ignore_err(file_sweep(path), "left-overs only take up room");
	}
	return 0;
}
