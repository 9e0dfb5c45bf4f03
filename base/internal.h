/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_BASE_INTERNAL_H
#define BELLBIRD_BASE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "bellbird/addr.h"
#include "bellbird/buf.h"
#include "bellbird/loop.h"

struct event;
struct json_t;

/* More signals than a daemon has a use for. */
enum { LOOP_SIGNALS_MAX = 8 };

struct loop_signal {
	struct loop *l;
	struct event *ev; /* owned */
	timer_cb *cb;
	void *arg;
};

struct loop {
	struct event_base *base; /* owned */
	struct event *tick;      /* owned: readiness of tick_fd */
	int tick_fd;             /* the one kernel timer behind all of ours */
	int64_t tick_due_us;     /* what it is set to; INT64_MAX: not set */
	bool stopping;

	struct timer **heap; /* owned array; [1] is due next, [0] unused */
	size_t num_timers;
	size_t cap_timers;
	uint64_t timer_seq;

	TAILQ_HEAD(loop_deferreds, deferred) deferreds;
	size_t num_deferreds;

	struct loop_signal signals[LOOP_SIGNALS_MAX];
	size_t num_signals;

	unsigned int depth;    /* open loop_enter() brackets */
	const char *slow_what; /* innermost slow bracket of this callback */
	struct loop_stats stats;

	uint8_t *udp_room; /* owned by the loop, shared by all its sockets */
};

/* timers_run calls what is due now; a timer started meanwhile may wait. */
void timers_run(struct loop *l);
/* timers_next_us returns when the next timer is due, INT64_MAX if none. */
int64_t timers_next_us(const struct loop *l);
/* timers_detach forgets every armed timer; for the end of the loop. */
void timers_detach(struct loop *l);

/* addr_parse_ip reads a bare address, with a scope if link-local. */
MUST_CHECK int addr_parse_ip(struct addr *a, struct slice s);

/* ---- json_text.c: compact text ---- */

enum { JSON_TEXT_DIGITS = 15 }; /* what a double holds exactly in decimal */
/* json_text_put appends `j`; ENOMEM if it is NULL or has `lost` below it. */
MUST_CHECK int json_text_put(
    struct buf *b, struct json_t *j, const struct json_t *lost);
/* json_text_members appends what stands between the braces, but for the keys
 * of the list `without`; a comma in front unless `b` ends with a brace. */
MUST_CHECK int json_text_members(struct buf *b, struct json_t *j,
    const struct json_t *lost, const char *const *without);

#endif
