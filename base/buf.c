/* SPDX-License-Identifier: ISC */
/* A growable byte buffer that never passes its ceiling.
 * The first failure sticks, so that composers check once. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellbird/buf.h"
#include "bellbird/mem.h"

/* Most lines and headers fit, so that small buffers allocate once. */
enum { BUF_CAP_FIRST = 64 };

/* Makes room for `more` bytes and the NUL behind them. */
static int
grow(struct buf *b, size_t more)
{
	size_t need, cap;
	uint8_t *p;

	if (b->err != 0)
		return b->err;
	if (more > b->max || b->n > b->max - more)
		return b->err = E_LIMIT;
	need = b->n + more + 1;
	if (need <= b->cap)
		return 0;
	cap = b->cap != 0 ? b->cap : BUF_CAP_FIRST;
	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	if (cap - 1 > b->max)
		cap = b->max + 1;
	if (!b->secret) {
		p = realloc(b->p, cap);
	} else if ((p = malloc(cap)) != NULL && b->p != NULL) {
		/* realloc() would leave a copy behind. */
		memcpy(p, b->p, b->n);
		mem_wipe(b->p, b->cap);
		free(b->p);
	}
	if (p == NULL)
		return b->err = ENOMEM;
	b->p = p;
	b->cap = cap;
	b->p[b->n] = '\0';
	return 0;
}

void
buf_init(struct buf *b, size_t max_bytes)
{
	memset(b, 0, sizeof(*b));
	/* One byte is kept for the NUL. */
	b->max = max_bytes < SIZE_MAX ? max_bytes : SIZE_MAX - 1;
}

void
buf_init_secret(struct buf *b, size_t max_bytes)
{
	buf_init(b, max_bytes);
	b->secret = true;
}

void
buf_clear(struct buf *b)
{
	if (b->secret)
		mem_wipe(b->p, b->cap);
	free(b->p);
	b->p = NULL;
	b->n = b->cap = 0;
	b->err = 0;
}

void
buf_reset(struct buf *b)
{
	if (b->secret)
		mem_wipe(b->p, b->cap);
	b->n = 0;
	b->err = 0;
	if (b->p != NULL)
		b->p[0] = '\0';
}

void
buf_reserve(struct buf *b, size_t n)
{
	struct buf bigger;

	if (b->err != 0 || b->secret || n > b->max)
		return;
	bigger = *b;
	if (n > bigger.n && grow(&bigger, n - bigger.n) == 0)
		*b = bigger;
}

int
buf_add(struct buf *b, const void *p, size_t n)
{
	int err;

	/* What fits, with its NUL, needs no more questions. */
	if ((b->err != 0 || n >= b->cap - b->n) && (err = grow(b, n)) != 0)
		return err;
	if (n > 0)
		memcpy(b->p + b->n, p, n);
	b->n += n;
	b->p[b->n] = '\0';
	return 0;
}

int
buf_puts(struct buf *b, const char *s)
{
	return buf_add(b, s, strlen(s));
}

int
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int err;

	va_start(ap, fmt);
	err = buf_vprintf(b, fmt, ap);
	va_end(ap);
	return err;
}

int
buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	size_t room;
	int n, err = b->err;

	if (err != 0)
		return err;
	va_copy(again, ap);
	room = b->cap - b->n;
	n = vsnprintf(b->p != NULL ? (char *)b->p + b->n : NULL, room, fmt, ap);
	if (n < 0) {
		err = b->err = EINVAL;
	} else if ((size_t)n >= room && (err = grow(b, (size_t)n)) == 0) {
		n = vsnprintf((char *)b->p + b->n, b->cap - b->n, fmt, again);
	} else if (err == 0 && (size_t)n > b->max - b->n) {
		err = b->err = E_LIMIT;
	}
	va_end(again);
	if (err == 0)
		b->n += (size_t)n;
	else if (b->p != NULL)
		b->p[b->n] = '\0'; /* what vsnprintf() left is not content */
	return err;
}

void
buf_drain(struct buf *b, size_t n)
{
	size_t left;

	if (n == 0 || b->p == NULL)
		return;
	left = n < b->n ? b->n - n : 0;
	memmove(b->p, b->p + (b->n - left), left);
	if (b->secret)
		mem_wipe(b->p + left, b->n - left);
	b->n = left;
	b->p[left] = '\0';
}

void
buf_cut(struct buf *b, size_t n)
{
	if (n >= b->n)
		return;
	if (b->secret)
		mem_wipe(b->p + n, b->n - n);
	b->n = n;
	b->p[n] = '\0';
}

const char *
buf_str(const struct buf *b)
{
	return b->p != NULL ? (const char *)b->p : "";
}

char *
buf_take(struct buf *b)
{
	char *s = NULL;

	if (b->err == 0 && grow(b, 0) == 0) {
		s = (char *)b->p;
		b->p = NULL;
	}
	buf_clear(b);
	return s;
}
