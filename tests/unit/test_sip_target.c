/* SPDX-License-Identifier: ISC */
/* Targets that failed lately, in fake time. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "test_sip.h"

static struct sip_stack *
stack(struct world *w)
{
	struct sip_stack_conf c = {
		.loop = w->loop, .tls = w->tls, .dns = w->dns
	};
	struct sip_stack *s;

	assert_int_equal(sip_stack_new(&s, &c), 0);
	return s;
}

static struct sip_target
target(const char *ip, uint16_t port)
{
	struct sip_target t = { .t = SIPC_TCP };

	assert_int_equal(addr_parse(&t.a, slice_of(ip), port), 0);
	return t;
}

static void
is_avoided_for_longer_each_time(void **state)
{
	/* seconds that it is avoided after each failure */
	static const int want_s[] = { 5, 10, 20, 40, 80, 160, 300, 300 };
	struct sip_target t = target("192.0.2.1", 5060);
	struct sip_target other = target("192.0.2.1", 5061);
	struct sip_stack *s;
	struct world w;

	(void)state;
	world_open(&w);
	s = stack(&w);
	for (size_t i = 0; i < sizeof(want_s) / sizeof(want_s[0]); i++) {
		sip_target_bad(s, &t, 0);
		pass(&w, want_s[i] * 1000 - 1);
		assert_true(sip_target_is_bad(s, &t));
		assert_false(sip_target_is_bad(s, &other));
		/* what fails at the same time is the same failure */
		sip_target_bad(s, &t, 0);
		pass(&w, 1);
		assert_false(sip_target_is_bad(s, &t));
	}
	/* it answered: the next failure is the first of its kind */
	sip_target_good(s, &t);
	sip_target_bad(s, &t, 0);
	pass(&w, 5000);
	assert_false(sip_target_is_bad(s, &t));
	/* so is one after a long time */
	pass(&w, 900 * 1000);
	sip_target_bad(s, &t, 0);
	pass(&w, 5000);
	assert_false(sip_target_is_bad(s, &t));
	/* the server knows better */
	sip_target_bad(s, &t, 60 * SIPC_S);
	pass(&w, 59999);
	assert_true(sip_target_is_bad(s, &t));
	pass(&w, 1);
	assert_false(sip_target_is_bad(s, &t));
	/* by another transport it is another target */
	sip_target_bad(s, &t, 0);
	t.t = SIPC_TLS;
	assert_false(sip_target_is_bad(s, &t));
	sip_stack_free(s);
	world_close(&w);
}

static void
order_puts_the_bad_last_and_the_proven_first(void **state)
{
	static const struct {
		const char *why;
		unsigned int bad; /* bits */
		int last;         /* -1: none */
		int want[4];
		bool good;
	} v[] = {
		{ "as they came", 0, -1, { 0, 1, 2, 3 }, true },
		{ "the one that accepted us", 0, 2, { 2, 0, 1, 3 }, true },
		{ "bad ones last", 0x3, -1, { 2, 3, 0, 1 }, true },
		{ "proven, but bad now", 0x4, 2, { 0, 1, 3, 2 }, true },
		{ "all bad: none is left out", 0xf, -1, { 0, 1, 2, 3 }, false },
		{ "all bad: the proven first", 0xf, 3, { 3, 0, 1, 2 }, false },
	};
	struct world w;

	(void)state;
	world_open(&w);
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct sip_stack *s = stack(&w);
		struct sip_target all[4], ts[4];

		for (int k = 0; k < 4; k++) {
			all[k] = target("192.0.2.1", (uint16_t)(5060 + k));
			if ((v[i].bad & 1u << k) != 0)
				sip_target_bad(s, &all[k], 0);
		}
		memcpy(ts, all, sizeof(ts));
		assert_int_equal(sip_targets_order(s, ts, 4,
				     v[i].last < 0 ? NULL : &all[v[i].last]),
		    v[i].good);
		for (int k = 0; k < 4; k++) {
			if (!sip_target_eq(&ts[k], &all[v[i].want[k]]))
				fail_msg("%s: at %d", v[i].why, k);
		}
		sip_stack_free(s);
	}
	world_close(&w);
}

static void
a_flood_of_bad_targets_is_bounded(void **state)
{
	struct sip_target first = target("192.0.2.1", 1);
	struct sip_stack *s;
	struct world w;

	(void)state;
	world_open(&w);
	s = stack(&w);
	sip_target_bad(s, &first, 0);
	for (int k = 2; k < 10 * SIPC_BADS_MAX; k++) {
		struct sip_target t = target("192.0.2.1", (uint16_t)k);

		sip_target_bad(s, &t, k * SIPC_S);
		assert_true(sip_target_is_bad(s, &t));
	}
	assert_int_equal(s->num_bads, SIPC_BADS_MAX);
	/* the one that would have ended first made way */
	assert_false(sip_target_is_bad(s, &first));
	sip_stack_free(s);
	world_close(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_avoided_for_longer_each_time),
		cmocka_unit_test(order_puts_the_bad_last_and_the_proven_first),
		cmocka_unit_test(a_flood_of_bad_targets_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
