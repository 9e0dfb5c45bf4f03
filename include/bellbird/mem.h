/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_MEM_H
#define BELLBIRD_MEM_H

#include <stddef.h>

/* mem_wipe zeroes `n` bytes in a way the compiler may not leave out. */
void mem_wipe(void *p, size_t n);

/* mem_free_str wipes and frees a secret string; NULL is allowed. */
void mem_free_str(char *s);

/* mem_array allocates `n` zeroed elements (free()); NULL when out of memory
 * or on overflow. */
void *mem_array(size_t n, size_t size);

/*
 * mem_equal compares `n` bytes in constant time; 1 if equal.  For digests and
 * nonces that a peer may guess at.
 */
int mem_equal(const void *a, const void *b, size_t n);
/* mem_trim gives free pages of the heap back to the system, where the C library
 * can; it walks the heap: not for a path that is hot. */
void mem_trim(void);

#endif
