/* SPDX-License-Identifier: ISC */
/* Fails the n-th allocation of the code under test. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "oom.h"

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);

/* 0: never fail; else the count of calls until the one that fails. */
static unsigned long countdown;

static int
is_due(void)
{
	return countdown != 0 && --countdown == 0;
}

void *
__wrap_malloc(size_t n)
{
	return is_due() ? NULL : __real_malloc(n);
}

void *
__wrap_calloc(size_t n, size_t size)
{
	return is_due() ? NULL : __real_calloc(n, size);
}

void *
__wrap_realloc(void *p, size_t n)
{
	return is_due() ? NULL : __real_realloc(p, n);
}

char *
__wrap_strdup(const char *s)
{
	return is_due() ? NULL : __real_strdup(s);
}

int
oom_each(int (*fn)(void *arg), void *arg)
{
	/* No test here allocates more often: beyond it something leaks. */
	enum { TRIES_MAX = 10000 };
	int n, err;

	for (n = 0; n < TRIES_MAX; n++) {
		countdown = (unsigned long)n + 1;
		err = fn(arg);
		countdown = 0;
		if (err == 0)
			return n;
		if (err != ENOMEM)
			fail_msg("allocation %d failed: got %d", n + 1, err);
	}
	fail_msg("still failing after %d allocations", TRIES_MAX);
	return -1;
}
