/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_MEDIA_RING_H
#define BELLBIRD_MEDIA_RING_H

#include <stdbool.h>

#include "bellbird/loop.h"

/* A tone on an audio device, over and over until it is stopped: what rings. */
struct media_ring;

struct media_ring_conf {
	struct loop *loop;
	const char *device; /* as in media_conf */
	const char
	    *call_name;   /* for file names of the wav device; may be NULL */
	const char *file; /* a WAV file that is played; NULL: `tone` */
	const char *tone; /* the name of a built-in one; NULL, unknown: one
			     of them */
	int gain_db;      /* 0 or less */
	uint64_t log_id;
};
/*
 * media_ring_start copies `conf`; `*slot` holds it until media_ring_stop.  A
 * file that cannot be opened or is no WAV is logged, and the built-in tone
 * takes its place, as null does for a missing device.  E_PARSE for a device
 * that means nothing.
 */
MUST_CHECK int media_ring_start(
    struct media_ring **slot, const struct media_ring_conf *conf);
void media_ring_stop(struct media_ring **slot);
/* media_ring_knows: is `name` ("warble2-med", also with ".wav") built in? */
bool media_ring_knows(const char *name);

#endif
