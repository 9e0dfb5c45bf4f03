/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_FILE_H
#define BELLBIRD_FILE_H

#include <stddef.h>
#include <sys/types.h>

#include "bellbird/buf.h"

/* file_read appends a whole file to `b`, whose ceiling is the limit: E_LIMIT.
 * On failure `b` holds what it held. */
MUST_CHECK int file_read(const char *path, struct buf *b);
/*
 * file_write replaces `path` atomically: temporary file in the same folder,
 * fsync, rename, fsync of the folder.  A cut at any byte leaves the old or the
 * new file.  `mode` is exact (umask does not matter).  An errno means that the
 * old file is in place; where the last step fails the new one is (logged).
 */
MUST_CHECK int file_write(
    const char *path, const void *p, size_t n, mode_t mode);
/* file_write_quiet is file_write() for the worker's thread, which must not log:
 * where the last step fails `*unsynced` gets its errno, else it is not touched.
 * The loop's thread hands it to file_log_unsynced(), which takes 0 too. */
MUST_CHECK int file_write_quiet(
    const char *path, const void *p, size_t n, mode_t mode, int *unsynced);
void file_log_unsynced(const char *path, int err);
/* file_mkdirs is like mkdir -p; `mode` is exact for what it makes. */
MUST_CHECK int file_mkdirs(const char *path, mode_t mode);
/* file_remove unlinks and fsyncs the folder; ENOENT is success, and a failed
 * fsync too (logged). */
MUST_CHECK int file_remove(const char *path);

/* file_list calls `cb` for each regular file of a folder (links followed,
 * names with a leading dot left out), sorted by name; E_LIMIT beyond 4096. */
typedef void(file_list_cb)(const char *path, const char *name, void *arg);
MUST_CHECK int file_list(const char *dir, file_list_cb *cb, void *arg);

/* file_sweep removes what a power cut during file_write() left in `dir`; for
 * the start, before anything else writes there.  No folder is success. */
MUST_CHECK int file_sweep(const char *dir);

/* path_join writes "a/b"; E_LIMIT if it does not fit. */
MUST_CHECK int path_join(char *out, size_t size, const char *a, const char *b);

#endif
