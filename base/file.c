/* SPDX-License-Identifier: ISC */
/* Files: read whole, replaced atomically, removed durably, listed in order.
 * A power cut at any moment leaves the old or the new content. */
#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bellbird/file.h"
#include "bellbird/log.h"
#include "bellbird/mem.h"
#include "bellbird/str.h"

enum {
	CHUNK = 4096,
	TEMP_TRIES = 16,      /* names left by processes with our number */
	LIST_FILES_MAX = 4096 /* a folder of certificates, not a mail spool */
};

/* Names of temporary files: hidden, and known to file_sweep(). */
static const char temp_mark[] = ".bellbird-tmp.";

int
file_read(const char *path, struct buf *b)
{
	uint8_t chunk[CHUNK];
	size_t before = b->n;
	ssize_t n = 0;
	int fd, err = 0;

	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY)) < 0)
		return errno;
	while (err == 0 && (n = read(fd, chunk, sizeof(chunk))) != 0) {
		if (n > 0)
			err = buf_add(b, chunk, (size_t)n);
		else if (errno != EINTR)
			err = errno;
	}
	close(fd);
	mem_wipe(chunk, sizeof(chunk));
	if (err != 0)
		buf_cut(b, before); /* half a file is no result */
	return err;
}

/* Stores the folder part of `path`. */
static int
dir_of(const char *path, char out[static PATH_MAX])
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return str_copy(out, PATH_MAX, ".");
	if (slash == path)
		return str_copy(out, PATH_MAX, "/");
	if (str_copy_slice(out, PATH_MAX,
		(struct slice){ path, (size_t)(slash - path) }) != 0)
		return ENAMETOOLONG;
	return 0;
}

/* Opens a folder for dir_sync(), before anything in it is changed. */
static int
dir_open(const char *dir, int *out)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return errno;
	*out = fd;
	return 0;
}

/*
 * Makes the names in an open folder durable.  By now the change is done and
 * everybody sees it: a failure is no reason to tell the caller that nothing has
 * happened.
 */
static int
dir_sync(int fd)
{
	/* Some file systems cannot; what they can is all there is. */
	if (fsync(fd) != 0 && errno != EINVAL && errno != ENOTSUP)
		return errno;
	return 0;
}

void
file_log_unsynced(const char *path, int err)
{
	if (err != 0)
		log_err(LOGC_APP, 0,
		    "%s is changed, but a power cut may undo it: %s", esc(path),
		    err_str(err));
}

/* Creates a new temporary file in `dir`; the name has no meaning. */
static int
temp_open(const char *dir, char temp[static PATH_MAX], int *out)
{
	static unsigned int count;
	int fd, n;

	for (int i = 0; i < TEMP_TRIES; i++) {
		n = snprintf(temp, PATH_MAX, "%s/%s%ld.%u", dir, temp_mark,
		    (long)getpid(),
		    __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED));
		if (n < 0 || n >= PATH_MAX)
			return ENAMETOOLONG;
		fd = open(temp,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd >= 0) {
			*out = fd;
			return 0;
		}
		if (errno != EEXIST)
			return errno;
	}
	return EEXIST;
}

/* Writes everything, whatever the kernel takes at a time. */
static int
write_all(int fd, const uint8_t *p, size_t n)
{
	ssize_t done;

	while (n > 0) {
		if ((done = write(fd, p, n)) < 0) {
			if (errno == EINTR)
				continue;
			return errno;
		}
		p += done;
		n -= (size_t)done;
	}
	return 0;
}

int
file_write(const char *path, const void *p, size_t n, mode_t mode)
{
	int unsynced = 0, err;

	err = file_write_quiet(path, p, n, mode, &unsynced);
	file_log_unsynced(path, unsynced);
	return err;
}

int
file_write_quiet(
    const char *path, const void *p, size_t n, mode_t mode, int *unsynced)
{
	char dir[PATH_MAX], temp[PATH_MAX];
	int fd = -1, dir_fd = -1, err;

	if ((err = dir_of(path, dir)) != 0 ||
	    (err = dir_open(dir, &dir_fd)) != 0)
		return err;
	if ((err = temp_open(dir, temp, &fd)) != 0)
		goto out;
	if (fchmod(fd, mode) != 0)
		err = errno;
	if (err == 0)
		err = write_all(fd, p, n);
	if (err == 0 && fsync(fd) != 0)
		err = errno;
	if (close(fd) != 0 && err == 0)
		err = errno;
	if (err == 0 && rename(temp, path) != 0)
		err = errno;
	if (err != 0) {
		ignore_err(unlink(temp), "file_sweep removes it later");
		goto out;
	}
	if ((err = dir_sync(dir_fd)) != 0)
		*unsynced = err;
	err = 0;
out:
	close(dir_fd);
	return err;
}

/* Makes one folder of a path; one that exists is fine. */
static int
dir_make(const char *path, mode_t mode)
{
	struct stat st;

	if (mkdir(path, mode) == 0)
		return chmod(path, mode) == 0 ? 0 : errno;
	if (errno != EEXIST)
		return errno;
	if (stat(path, &st) != 0)
		return errno;
	return S_ISDIR(st.st_mode) ? 0 : ENOTDIR;
}

int
file_mkdirs(const char *path, mode_t mode)
{
	char part[PATH_MAX];
	int err;

	if (path[0] == '\0')
		return ENOENT;
	if (str_copy(part, sizeof(part), path) != 0)
		return ENAMETOOLONG;
	for (char *s = part + 1; *s != '\0'; s++) {
		if (*s != '/' || s[-1] == '/')
			continue;
		*s = '\0';
		if ((err = dir_make(part, mode)) != 0)
			return err;
		*s = '/';
	}
	return dir_make(part, mode);
}

int
file_remove(const char *path)
{
	char dir[PATH_MAX];
	int fd = -1, err;

	if ((err = dir_of(path, dir)) != 0)
		return err;
	if ((err = dir_open(dir, &fd)) != 0)
		return err == ENOENT ? 0 : err;
	if (unlink(path) == 0)
		file_log_unsynced(path, dir_sync(fd));
	else if (errno != ENOENT)
		err = errno;
	close(fd);
	return err;
}

/* Order of names that does not depend on the locale. */
static int
name_cmp(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* True if `name` in the open folder is a regular file, or a link to one. */
static bool
is_file(DIR *d, const char *name)
{
	struct stat st;

	return fstatat(dirfd(d), name, &st, 0) == 0 && S_ISREG(st.st_mode);
}

/* Collects the names of a folder that are files and not hidden. */
static int
names_read(const char *dir, char ***out, size_t *num)
{
	char **names;
	struct dirent *e;
	size_t n = 0;
	int err = 0;
	DIR *d;

	if ((d = opendir(dir)) == NULL)
		return errno;
	if ((names = mem_array(LIST_FILES_MAX, sizeof(*names))) == NULL) {
		closedir(d);
		return ENOMEM;
	}
	while (err == 0 && (errno = 0, e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.' || !is_file(d, e->d_name))
			continue;
		if (n == LIST_FILES_MAX)
			err = E_LIMIT;
		else if ((names[n] = strdup(e->d_name)) == NULL)
			err = ENOMEM;
		else
			n++;
	}
	if (err == 0)
		err = errno;
	closedir(d);
	*out = names;
	*num = n;
	return err;
}

int
file_list(const char *dir, file_list_cb *cb, void *arg)
{
	char path[PATH_MAX], **names = NULL;
	size_t num = 0;
	int err;

	err = names_read(dir, &names, &num);
	if (err == 0 && num > 1)
		qsort(names, num, sizeof(*names), name_cmp);
	for (size_t i = 0; i < num; i++) {
		if (err == 0 &&
		    (err = path_join(path, sizeof(path), dir, names[i])) == 0)
			cb(path, names[i], arg);
		free(names[i]);
	}
	free(names);
	return err;
}

int
file_sweep(const char *dir)
{
	struct dirent *e;
	int err = 0;
	DIR *d;

	if ((d = opendir(dir)) == NULL)
		return errno == ENOENT ? 0 : errno;
	while ((e = readdir(d)) != NULL) {
		if (strncmp(e->d_name, temp_mark, strlen(temp_mark)) == 0 &&
		    unlinkat(dirfd(d), e->d_name, 0) != 0)
			err = errno;
	}
	closedir(d);
	return err;
}

int
path_join(char *out, size_t size, const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);
	bool slash = n > 0 && a[n - 1] != '/';

	if (n + slash + m >= size)
		return E_LIMIT;
	memcpy(out, a, n);
	if (slash)
		out[n++] = '/';
	memcpy(out + n, b, m + 1);
	return 0;
}
