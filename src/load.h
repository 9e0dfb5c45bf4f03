/* SPDX-License-Identifier: ISC */
/* How many calls there are, and were. */
#ifndef BELLBIRD_SRC_LOAD_H
#define BELLBIRD_SRC_LOAD_H

#include "internal.h"

/* Zero state: no calls yet. */
struct load {
	size_t num, peak; /* peak: since all was quiet */
	struct timer rest;
};
/* load_files_raise lifts the soft limit of open files to the hard one. */
void load_files_raise(void);
/* load_add counts a call, load_drop its end; after a burst the heap is given
 * back to the system, once nothing of it is left. */
void load_add(struct load *ld);
void load_drop(struct load *ld, struct loop *l);
void load_clear(struct load *ld);

#endif
