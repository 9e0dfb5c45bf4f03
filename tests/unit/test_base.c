/* SPDX-License-Identifier: ISC */
/* The small ones of base/: err.c, clock.c and mem.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bellbird/clock.h"
#include "bellbird/err.h"
#include "bellbird/mem.h"

static void
every_code_has_a_sentence(void **state)
{
	static const struct {
		int first, last;
	} ranges[] = {
		{ E_PARSE, E_STOPPED },
		{ E_TLS_PARAM, E_TLS_PEER_REFUSED },
		{ E_SIP_PARSE, E_SIP_INSECURE },
		{ E_MEDIA_SDP, E_MEDIA_DEVICE },
		{ E_PROV_CONF, E_PROV_DISABLED },
		{ E_CTL_USAGE, E_CTL_NO_DAEMON },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		for (int e = ranges[i].first; e <= ranges[i].last; e++)
			assert_string_not_equal(err_str(e), "Unknown error");
	}
	assert_string_equal(err_str(E_CTL_NO_DAEMON + 1), "Unknown error");
	assert_string_equal(err_str(-1), "Unknown error");
	assert_string_equal(err_str(0), "Success");
	assert_string_equal(err_str(ENOENT), "No such file or directory");
}

static void
iso_time_is_right(void **state)
{
	static const struct {
		int64_t us;
		const char *want;
	} v[] = {
		{ 0, "1970-01-01T00:00:00.000Z" },
		{ INT64_C(951782400000000), "2000-02-29T00:00:00.000Z" },
		{ INT64_C(951868799999999), "2000-02-29T23:59:59.999Z" },
		{ INT64_C(1795527474123000), "2026-11-24T13:37:54.123Z" },
		{ INT64_C(4107542400000000), "2100-03-01T00:00:00.000Z" },
		{ INT64_C(2147483648000000), "2038-01-19T03:14:08.000Z" },
		{ -1, "1970-01-01T00:00:00.000Z" },
		{ INT64_MAX, "9999-12-31T23:59:59.999Z" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		char out[25];

		clock_iso(out, sizeof(out), v[i].us);
		assert_string_equal(out, v[i].want);
	}
}

static void
fake_time_moves_by_steps_only(void **state)
{
	int64_t before;

	(void)state;
	assert_false(clock_is_fake());
	assert_true(clock_wall_s() >= INT64_C(1700000000));
	clock_fake(1000);
	assert_true(clock_is_fake());
	assert_int_equal(clock_wall_s(), 1000);
	before = clock_mono_us();
	clock_step_us(1500000);
	assert_int_equal(clock_mono_us() - before, 1500000);
	assert_int_equal(clock_wall_s(), 1001);
	assert_int_equal(clock_wall_us(), 1001500000);
	clock_real();
	assert_true(clock_wall_s() >= INT64_C(1700000000));
}

static void
floor_never_goes_below_the_build(void **state)
{
	int64_t build = clock_floor_s();

	(void)state;
	assert_int_equal(build, BELLBIRD_BUILD_TIME);
	clock_set_floor_s(build - 1);
	assert_int_equal(clock_floor_s(), build);
	clock_set_floor_s(build + 100);
	assert_int_equal(clock_floor_s(), build + 100);
	clock_set_floor_s(build);
	assert_int_equal(clock_floor_s(), build);
}

static void
memory_helpers_hold(void **state)
{
	char secret[8] = "secret";
	int *a;

	(void)state;
	mem_wipe(secret, sizeof(secret));
	assert_memory_equal(secret, "\0\0\0\0\0\0\0\0", 8);
	mem_wipe(NULL, 0);
	mem_free_str(NULL);
	mem_free_str(strdup("x"));
	assert_true(mem_equal("abc", "abc", 3));
	assert_false(mem_equal("abc", "abd", 3));
	assert_true(mem_equal("a", "b", 0));
	a = mem_array(10, sizeof(*a));
	assert_non_null(a);
	assert_int_equal(a[9], 0);
	free(a);
	a = mem_array(0, sizeof(*a));
	assert_non_null(a);
	free(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_has_a_sentence),
		cmocka_unit_test(iso_time_is_right),
		cmocka_unit_test(fake_time_moves_by_steps_only),
		cmocka_unit_test(floor_never_goes_below_the_build),
		cmocka_unit_test(memory_helpers_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
