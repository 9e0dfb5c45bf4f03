/* SPDX-License-Identifier: ISC */
/* UNIX sockets: the path, its rights, and descriptors that travel along.
 * Both ends of the control socket use it. */
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bellbird/log.h"
#include "internal.h"

/* Owner and group may command the endpoint, nobody else. */
enum { SOCK_MODE = 0660, BACKLOG = 16 };

/* Room for control data, aligned as the kernel wants it. */
union fd_space {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(CTL_FDS_MAX * sizeof(int))];
};

/* A non-blocking socket and the address of `path` + `suffix`. */
static int
sock_new(const char *path, const char *suffix, struct sockaddr_un *sa, int *fd)
{
	int n;

	memset(sa, 0, sizeof(*sa));
	sa->sun_family = AF_UNIX;
	n = snprintf(sa->sun_path, sizeof(sa->sun_path), "%s%s", path, suffix);
	if (n < 0 || (size_t)n >= sizeof(sa->sun_path))
		return ENAMETOOLONG;
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return *fd < 0 ? errno : 0;
}

int
ctl_sock_connect(const char *path, int *fd)
{
	struct sockaddr_un sa;
	int s, err;

	if ((err = sock_new(path, "", &sa, &s)) != 0)
		return err;
	if (connect(s, (struct sockaddr *)&sa, sizeof(sa)) == 0) {
		*fd = s;
		return 0;
	}
	err = errno;
	close(s);
	if (err == ENOENT || err == ECONNREFUSED || err == ENOTDIR)
		return E_CTL_NO_DAEMON;
	return err;
}

/* The folder of `path`. */
static int
dir_of(const char *path, char *out, size_t size)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return str_copy(out, size, ".");
	return str_copy_slice(out, size,
	    (struct slice){ path, slash == path ? 1 : (size_t)(slash - path) });
}

/* Makes the folder if only that is missing: a runtime folder is empty after
 * every start of the machine. */
static int
dir_make(const char *path)
{
	char dir[PATH_MAX];
	int err;

	if ((err = dir_of(path, dir, sizeof(dir))) != 0)
		return err;
	/* The system's one is passed by members of the socket's group. */
	if (mkdir(dir, geteuid() == 0 ? 0755 : 0700) != 0 && errno != EEXIST)
		return errno;
	return 0;
}

/*
 * Two endpoints that start at once must not both find a dead socket: whoever
 * holds the folder looks and replaces.  A folder of others (/tmp) is not
 * locked, since they could hold it for ever.  -1: not locked.
 */
static int
dir_lock(const char *path)
{
	char dir[PATH_MAX];
	struct stat st;
	int fd;

	if (dir_of(path, dir, sizeof(dir)) != 0)
		return -1;
	if ((fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return -1;
	if (fstat(fd, &st) == 0 && st.st_uid == geteuid() &&
	    (st.st_mode & (S_IWGRP | S_IWOTH)) == 0 && flock(fd, LOCK_EX) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Is the path free, or held by a dead socket? */
static int
path_check(const char *path)
{
	struct stat st;
	int fd, err;

	if (lstat(path, &st) != 0)
		return errno == ENOENT ? 0 : errno;
	if (!S_ISSOCK(st.st_mode))
		return EEXIST;
	err = ctl_sock_connect(path, &fd);
	if (err == 0)
		close(fd);
	if (err == 0 || err == EAGAIN)
		return EADDRINUSE; /* EAGAIN: alive, with a full queue */
	return err == E_CTL_NO_DAEMON ? 0 : err;
}

/* Gives the socket to a group of this machine, where there is one of that name.
 * Not by getgrnam(): that loads libraries and asks servers, and may wait for
 * them; the group is made by sysusers.d and stands in the file. */
static void
group_give(const char *path, const char *group)
{
	struct group *g = NULL;
	FILE *f;

	if (group == NULL || (f = fopen("/etc/group", "re")) == NULL)
		return;
	while ((g = fgetgrent(f)) != NULL && strcmp(g->gr_name, group) != 0)
		;
	if (g != NULL && lchown(path, (uid_t)-1, g->gr_gid) != 0)
		log_debug(LOGC_CTL, 0, "control socket: group %s: %s", group,
		    err_str(errno));
	fclose(f);
}

/* Everything is set on a name beside it; the rename makes it visible whole. */
static int
bind_beside(const char *path, const char *group, int *fd)
{
	struct sockaddr_un sa;
	int s = -1, err;

	if ((err = sock_new(path, "~", &sa, &s)) != 0)
		return err;
	if (unlink(sa.sun_path) != 0 && errno != ENOENT)
		goto fail;
	if (bind(s, (struct sockaddr *)&sa, sizeof(sa)) != 0)
		goto fail;
	group_give(sa.sun_path, group);
	if (chmod(sa.sun_path, SOCK_MODE) != 0 || listen(s, BACKLOG) != 0 ||
	    rename(sa.sun_path, path) != 0) {
		err = errno;
		(void)unlink(sa.sun_path);
		close(s);
		return err;
	}
	*fd = s;
	return 0;
fail:
	err = errno;
	close(s);
	return err;
}

int
ctl_sock_listen(const char *path, const char *group, int *fd)
{
	int lock, err;

	if ((err = dir_make(path)) != 0)
		return err;
	lock = dir_lock(path);
	err = path_check(path);
	if (err == 0)
		err = bind_beside(path, group, fd);
	if (lock >= 0)
		close(lock);
	return err;
}

int
ctl_sock_recv(
    int fd, void *p, size_t size, size_t *n, int *fds, size_t *num_fds)
{
	union fd_space space;
	struct iovec iov = { p, size };
	struct msghdr m = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = space.bytes,
		.msg_controllen = sizeof(space.bytes) };
	struct cmsghdr *c;
	ssize_t r;

	*num_fds = 0;
	r = recvmsg(fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (r < 0)
		return errno;
	for (c = CMSG_FIRSTHDR(&m); c != NULL; c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		/* The space holds CTL_FDS_MAX: the kernel keeps the rest. */
		*num_fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(c), *num_fds * sizeof(int));
	}
	if (r == 0)
		return E_CLOSED;
	*n = (size_t)r;
	return 0;
}

int
ctl_sock_send(int fd, const void *p, size_t n, size_t *sent, const int *fds,
    size_t num_fds)
{
	union fd_space space;
	struct iovec iov = { .iov_len = n };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c;
	ssize_t r;

	if (num_fds > CTL_FDS_MAX)
		return EINVAL;
	memcpy(&iov.iov_base, &p, sizeof(p)); /* sendmsg does not write there */
	if (num_fds > 0) {
		memset(&space, 0, sizeof(space));
		m.msg_control = space.bytes;
		m.msg_controllen = CMSG_SPACE(num_fds * sizeof(int));
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(num_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, num_fds * sizeof(int));
	}
	/* A peer that is gone is an error here, not a signal. */
	r = sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (r < 0)
		return errno;
	*sent = (size_t)r;
	return 0;
}
