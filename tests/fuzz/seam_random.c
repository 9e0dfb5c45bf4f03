/* SPDX-License-Identifier: ISC */
/* In place of tls_random() (-Wl,--wrap): the same numbers each time. */
#include "seam.h"

static uint64_t state;

void
seam_random_reset(void)
{
	state = 0x9e3779b97f4a7c15;
}

void __wrap_tls_random(void *p, size_t n);
uint64_t __wrap_tls_random_id(void);

void
__wrap_tls_random(void *p, size_t n)
{
	uint8_t *out = p;

	while (n-- > 0) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		*out++ = (uint8_t)(state >> 56);
	}
}

uint64_t
__wrap_tls_random_id(void)
{
	uint64_t id;

	__wrap_tls_random(&id, sizeof(id));
	return id | 1;
}
