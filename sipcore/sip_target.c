/* SPDX-License-Identifier: ISC */
/* Addresses to try (RFC 3263 4.3): those that failed lately come last, for
 * longer each time. */
#include <string.h>

#include "bellbird/clock.h"
#include "bellbird/log.h"
#include "internal.h"

/* The first failure is often a restart, the fifth is not. */
#define BAD_FIRST_US  (5 * SIPC_S)
#define BAD_MAX_US    (300 * SIPC_S)
/* What failed so long ago counts as new. */
#define BAD_FORGET_US (900 * SIPC_S)

bool
sip_target_eq(const struct sip_target *a, const struct sip_target *b)
{
	return a->t == b->t && addr_eq(&a->a, &b->a);
}

/* The entry of `t`, or NULL. */
static struct sip_bad *
bad_find(struct sip_stack *s, const struct sip_target *t)
{
	for (size_t i = 0; i < s->num_bads; i++) {
		if (sip_target_eq(&s->bads[i].target, t))
			return &s->bads[i];
	}
	return NULL;
}

/* Forgets an entry. */
static void
bad_del(struct sip_stack *s, struct sip_bad *b)
{
	*b = s->bads[--s->num_bads];
}

/* Room for one more: without it the one that ends first makes way. */
static struct sip_bad *
bad_add(struct sip_stack *s, const struct sip_target *t)
{
	struct sip_bad *b = &s->bads[0];

	if (s->num_bads < SIPC_BADS_MAX) {
		b = &s->bads[s->num_bads++];
	} else {
		for (size_t i = 1; i < s->num_bads; i++) {
			if (s->bads[i].until_us < b->until_us)
				b = &s->bads[i];
		}
	}
	memset(b, 0, sizeof(*b));
	b->target = *t;
	return b;
}

void
sip_target_bad(struct sip_stack *s, const struct sip_target *t, int64_t min_us)
{
	struct sip_bad *b = bad_find(s, t);
	int64_t now = clock_mono_us(), us = BAD_FIRST_US;
	char at[ADDR_STR_MAX];

	if (b != NULL && now - b->until_us >= BAD_FORGET_US)
		b->fails = 0;
	if (b == NULL)
		b = bad_add(s, t);
	/* Several requests that fail together are one failure. */
	else if (b->until_us > now)
		us = b->until_us - now;
	if (b->until_us <= now) {
		for (unsigned int i = 0; i < b->fails && us < BAD_MAX_US; i++)
			us *= 2;
		b->fails++;
	}
	if (us > BAD_MAX_US)
		us = BAD_MAX_US;
	if (us < min_us)
		us = min_us;
	b->until_us = now + us;
	addr_print(&t->a, at);
	log_info(LOGC_SIP, 0, "server avoided to=%s over=%s for=%llds", at,
	    sip_transport_name(t->t), (long long)(us / SIPC_S));
}

void
sip_target_good(struct sip_stack *s, const struct sip_target *t)
{
	struct sip_bad *b = bad_find(s, t);

	if (b != NULL)
		bad_del(s, b);
}

bool
sip_target_is_bad(const struct sip_stack *s, const struct sip_target *t)
{
	int64_t now = clock_mono_us();

	for (size_t i = 0; i < s->num_bads; i++) {
		if (sip_target_eq(&s->bads[i].target, t))
			return s->bads[i].until_us > now;
	}
	return false;
}

bool
sip_targets_order(const struct sip_stack *s, struct sip_target *ts,
    size_t num_ts, const struct sip_target *last)
{
	struct sip_target in[SIPC_TARGETS_MAX];
	bool bad[SIPC_TARGETS_MAX], is_last[SIPC_TARGETS_MAX];
	size_t n = 0, num_good = 0;

	if (num_ts > SIPC_TARGETS_MAX)
		num_ts = SIPC_TARGETS_MAX;
	for (size_t i = 0; i < num_ts; i++) {
		in[i] = ts[i];
		bad[i] = sip_target_is_bad(s, &ts[i]);
		is_last[i] = last != NULL && sip_target_eq(&ts[i], last);
		num_good += !bad[i];
	}
	/* Good before bad; in each the one that accepted last, then as they
	 * came. */
	for (int key = 0; key < 4; key++) {
		for (size_t i = 0; i < num_ts; i++) {
			if ((bad[i] ? 2 : 0) + (is_last[i] ? 0 : 1) == key)
				ts[n++] = in[i];
		}
	}
	return num_good > 0;
}
