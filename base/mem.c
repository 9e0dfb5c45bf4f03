/* SPDX-License-Identifier: ISC */
/* Memory that needs care: wiping, checked arrays, comparison in constant time.
 * Secrets are cleared here and nowhere by memset(). */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "bellbird/mem.h"

void
mem_wipe(void *p, size_t n)
{
	if (p != NULL && n > 0)
		explicit_bzero(p, n);
}

void
mem_free_str(char *s)
{
	if (s == NULL)
		return;
	mem_wipe(s, strlen(s));
	free(s);
}

void *
mem_array(size_t n, size_t size)
{
	/* Some libcs give NULL for nothing: that would look like ENOMEM. */
	if (n == 0 || size == 0)
		n = size = 1;
	return calloc(n, size);
}

int
mem_equal(const void *a, const void *b, size_t n)
{
	const volatile uint8_t *x = a, *y = b;
	uint8_t differ = 0;

	for (size_t i = 0; i < n; i++)
		differ |= (uint8_t)(x[i] ^ y[i]);
	return differ == 0;
}

void
mem_trim(void)
{
#ifdef __GLIBC__
	(void)malloc_trim(0);
#endif
}
