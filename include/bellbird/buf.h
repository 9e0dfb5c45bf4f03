/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_BUF_H
#define BELLBIRD_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bellbird/err.h"

/*
 * A growable byte buffer with a ceiling that has to be named at birth.  After
 * the first failure `err` sticks (ENOMEM or E_LIMIT) and every further call
 * returns it, so that a composer checks once at its end.
 */
struct buf {
	uint8_t *p; /* owned; NUL terminated behind p[n] once anything is in */
	size_t n;   /* bytes in use */
	size_t cap;
	size_t max; /* ceiling, bytes */
	int err;
	bool secret; /* wiped on growth and on clear */
};

/* buf_init starts an empty buffer without allocating; the secret kind wipes
 * what it leaves behind. */
void buf_init(struct buf *b, size_t max_bytes);
void buf_init_secret(struct buf *b, size_t max_bytes);
/* buf_clear frees; `b` is empty then, with the ceiling and kind it had.
 * buf_reset empties and keeps the memory.  Both forget the error. */
void buf_clear(struct buf *b);
void buf_reset(struct buf *b);

/* buf_reserve makes room for `n` bytes at once, no more than the ceiling, where
 * a composer knows what is coming; without memory nothing changes. */
void buf_reserve(struct buf *b, size_t n);

/* These append all or nothing: 0, ENOMEM, E_LIMIT, or what failed before. */
int buf_add(struct buf *b, const void *p, size_t n);
int buf_puts(struct buf *b, const char *s);
int buf_printf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
int buf_vprintf(struct buf *b, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));
/* buf_drain drops the first `n` bytes (at most all of them). */
void buf_drain(struct buf *b, size_t n);
/* buf_cut keeps the first `n` bytes; a sticky error stays. */
void buf_cut(struct buf *b, size_t n);
/* buf_str returns the content as a string, "" when empty; borrowed. */
const char *buf_str(const struct buf *b);
/* buf_take hands the memory to the caller (free()); `b` is empty afterwards.
 * NULL if `b` had failed or is out of memory. */
char *buf_take(struct buf *b);

#endif
