/* SPDX-License-Identifier: ISC */
/* buf.c: the ceiling, the sticky error, and every allocation failing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bellbird/buf.h"
#include "oom.h"

static void
grows_and_stays_terminated(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 10000);
	assert_string_equal(buf_str(&b), "");
	for (int i = 0; i < 1000; i++)
		assert_int_equal(buf_printf(&b, "%d,", i % 10), 0);
	assert_int_equal(b.n, 2000);
	assert_int_equal(strlen(buf_str(&b)), 2000);
	assert_memory_equal(b.p + 1996, "8,9,", 5);
	buf_drain(&b, 1996);
	assert_string_equal(buf_str(&b), "8,9,");
	buf_drain(&b, 99);
	assert_string_equal(buf_str(&b), "");
	buf_clear(&b);
}

/* What each way to add does at the ceiling of 8 bytes. */
static void
never_passes_its_ceiling(void **state)
{
	static const struct {
		const char *why, *add;
		int want;
	} v[] = {
		{ "below", "1234567", 0 },
		{ "exactly full", "12345678", 0 },
		{ "one too many", "123456789", E_LIMIT },
	};
	struct buf b;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		print_message("%s\n", v[i].why);
		buf_init(&b, 8);
		assert_int_equal(buf_puts(&b, v[i].add), v[i].want);
		assert_string_equal(buf_str(&b), v[i].want ? "" : v[i].add);
		buf_clear(&b);
		buf_init(&b, 8);
		assert_int_equal(buf_printf(&b, "%s", v[i].add), v[i].want);
		assert_string_equal(buf_str(&b), v[i].want ? "" : v[i].add);
		buf_clear(&b);
	}
	buf_init(&b, 8);
	assert_int_equal(buf_add(&b, "x", SIZE_MAX), E_LIMIT);
	buf_clear(&b);
}

static void
reserves_room_beforehand(void **state)
{
	struct buf b;
	const uint8_t *p;

	(void)state;
	buf_init(&b, 1000);
	buf_reserve(&b, 1001); /* more than it may hold: nothing happens */
	assert_int_equal(b.cap, 0);
	assert_int_equal(b.err, 0);
	buf_reserve(&b, 900);
	p = b.p;
	for (int i = 0; i < 900; i++)
		assert_int_equal(buf_add(&b, "x", 1), 0);
	assert_ptr_equal(b.p, p);
	assert_int_equal(buf_add(&b, p, 101), E_LIMIT);
	buf_clear(&b);
}

static void
first_error_sticks_until_reset(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 4);
	assert_int_equal(buf_puts(&b, "abc"), 0);
	assert_int_equal(buf_printf(&b, "%s", "de"), E_LIMIT);
	assert_int_equal(buf_puts(&b, "d"), E_LIMIT);
	assert_string_equal(buf_str(&b), "abc");
	assert_null(buf_take(&b));
	buf_init(&b, 4);
	assert_int_equal(buf_puts(&b, "abcde"), E_LIMIT);
	buf_reset(&b);
	assert_int_equal(buf_puts(&b, "abcd"), 0);
	buf_cut(&b, 2);
	assert_string_equal(buf_str(&b), "ab");
	buf_clear(&b);
}

static void
take_hands_the_memory_over(void **state)
{
	struct buf b;
	char *s;

	(void)state;
	buf_init(&b, 100);
	s = buf_take(&b);
	assert_string_equal(s, "");
	free(s);
	assert_int_equal(buf_puts(&b, "key"), 0);
	s = buf_take(&b);
	assert_string_equal(s, "key");
	assert_int_equal(b.n, 0);
	assert_string_equal(buf_str(&b), "");
	free(s);
}

static void
secrets_leave_no_copy_behind(void **state)
{
	struct buf b;

	(void)state;
	buf_init_secret(&b, 1000);
	assert_int_equal(buf_puts(&b, "password"), 0);
	buf_drain(&b, 4);
	assert_string_equal(buf_str(&b), "word");
	assert_memory_equal(b.p + 4, "\0\0\0\0", 4);
	buf_cut(&b, 1);
	assert_memory_equal(b.p, "w\0\0\0", 4);
	/* Growth moves: the content must come along. */
	for (int i = 0; i < 200; i++)
		assert_int_equal(buf_puts(&b, "x"), 0);
	assert_int_equal(b.p[0], 'w');
	assert_int_equal(b.p[200], 'x');
	buf_reset(&b);
	for (size_t i = 0; i < b.cap; i++)
		assert_true(i > 200 || b.p[i] == 0);
	buf_clear(&b);
}

static int
compose(void *arg)
{
	struct buf b;
	char *s;
	int err = 0;

	if (arg != NULL)
		buf_init_secret(&b, 4096);
	else
		buf_init(&b, 4096);
	for (int i = 0; i < 100; i++) {
		buf_puts(&b, "0123456789");
		buf_printf(&b, "%020d", i);
	}
	err = b.err;
	if (err == 0 && b.n != 3000)
		err = EINVAL;
	s = buf_take(&b);
	if ((s != NULL) != (err == 0))
		err = EPROTO;
	free(s);
	return err;
}

static void
survives_every_oom(void **state)
{
	(void)state;
	assert_true(oom_each(compose, NULL) > 3);
	assert_true(oom_each(compose, (void *)1) > 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows_and_stays_terminated),
		cmocka_unit_test(never_passes_its_ceiling),
		cmocka_unit_test(reserves_room_beforehand),
		cmocka_unit_test(first_error_sticks_until_reset),
		cmocka_unit_test(take_hands_the_memory_over),
		cmocka_unit_test(secrets_leave_no_copy_behind),
		cmocka_unit_test(survives_every_oom),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
