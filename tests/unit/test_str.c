/* SPDX-License-Identifier: ISC */
/* str.c: slices and the strict conversions, as tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bellbird/str.h"

static void
slices_are_cut_and_trimmed(void **state)
{
	struct slice h, t, rest, line;

	(void)state;
	assert_true(slice_cut(slice_of("a=b=c"), '=', &h, &t));
	assert_true(slice_is(h, "a"));
	assert_true(slice_is(t, "b=c"));
	assert_false(slice_cut(slice_of("abc"), '=', &h, &t));
	assert_true(slice_is(h, "abc"));
	assert_true(slice_is(t, ""));
	assert_false(slice_cut(slice_of(NULL), '=', &h, &t));
	assert_true(slice_is(slice_trim(slice_of(" \t x y \r")), "x y"));
	assert_true(slice_is(slice_trim(slice_of(" \t")), ""));
	assert_true(slice_case_is(slice_of("SIPS"), "sips"));
	assert_false(slice_case_is(slice_of("sip"), "sips"));
	/* Not folded by a locale, nor by a bit mask. */
	assert_false(slice_case_is(slice_of("{"), "["));
	rest = slice_of("one\r\ntwo\n\nlast");
	assert_true(slice_line(&rest, &line) && slice_is(line, "one"));
	assert_true(slice_line(&rest, &line) && slice_is(line, "two"));
	assert_true(slice_line(&rest, &line) && slice_is(line, ""));
	assert_true(slice_line(&rest, &line) && slice_is(line, "last"));
	assert_false(slice_line(&rest, &line));
}

static void
integers_are_strict(void **state)
{
	static const struct {
		const char *why, *text;
		int64_t min, max;
		int want;
		int64_t value;
	} v[] = {
		{ "plain", "42", 0, 100, 0, 42 },
		{ "plus", "+7", 0, 100, 0, 7 },
		{ "minus", "-7", -10, 100, 0, -7 },
		{ "least", "-9223372036854775808", INT64_MIN, INT64_MAX, 0,
		    INT64_MIN },
		{ "greatest", "9223372036854775807", INT64_MIN, INT64_MAX, 0,
		    INT64_MAX },
		{ "one more", "9223372036854775808", INT64_MIN, INT64_MAX,
		    ERANGE, 0 },
		{ "many digits", "99999999999999999999999", INT64_MIN,
		    INT64_MAX, ERANGE, 0 },
		{ "junk behind an overflow", "99999999999999999999999x",
		    INT64_MIN, INT64_MAX, E_PARSE, 0 },
		{ "below", "-1", 0, 10, ERANGE, 0 },
		{ "above", "11", 0, 10, ERANGE, 0 },
		{ "empty", "", 0, 10, E_PARSE, 0 },
		{ "sign only", "-", -10, 10, E_PARSE, 0 },
		{ "two signs", "--1", -10, 10, E_PARSE, 0 },
		{ "space", " 1", 0, 10, E_PARSE, 0 },
		{ "junk", "1x", 0, 10, E_PARSE, 0 },
		{ "hex", "0x1", 0, 10, E_PARSE, 0 },
		{ "octal is decimal", "010", 0, 10, 0, 10 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		int64_t got = -99;

		print_message("%s\n", v[i].why);
		assert_int_equal(
		    str_int(slice_of(v[i].text), v[i].min, v[i].max, &got),
		    v[i].want);
		assert_true(got == (v[i].want == 0 ? v[i].value : -99));
	}
}

static void
durations_have_units(void **state)
{
	static const struct {
		const char *text;
		int want;
		int64_t ms;
	} v[] = {
		{ "250ms", 0, 250 },
		{ "5s", 0, 5000 },
		{ "2m", 0, 120000 },
		{ "1h", 0, 3600000 },
		{ "30", 0, 30000 },
		{ "0", 0, 0 },
		{ "", E_PARSE, 0 },
		{ "ms", E_PARSE, 0 },
		{ "-1s", E_PARSE, 0 },
		{ "1 s", E_PARSE, 0 },
		{ "1d", E_PARSE, 0 },
		{ "1.5s", E_PARSE, 0 },
		{ "9223372036854775807h", ERANGE, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		int64_t ms = -1;

		print_message("\"%s\"\n", v[i].text);
		assert_int_equal(
		    str_duration_ms(slice_of(v[i].text), &ms), v[i].want);
		assert_true(ms == (v[i].want == 0 ? v[i].ms : -1));
	}
}

static void
hex_goes_both_ways(void **state)
{
	uint8_t out[4] = { 9, 9, 9, 9 };
	char text[9];
	size_t n = 77;

	(void)state;
	str_hex(text, "\x00\x7f\xab\xff", 4);
	assert_string_equal(text, "007fabff");
	assert_int_equal(str_unhex(slice_of("007FaBfF"), out, 4, &n), 0);
	assert_int_equal(n, 4);
	assert_memory_equal(out, "\x00\x7f\xab\xff", 4);
	assert_int_equal(str_unhex(slice_of("123"), out, 4, &n), E_PARSE);
	assert_int_equal(str_unhex(slice_of("1g"), out, 4, &n), E_PARSE);
	assert_int_equal(
	    str_unhex(slice_of("0011223344"), out, 4, &n), E_LIMIT);
	assert_memory_equal(out, "\x00\x7f\xab\xff", 4);
	assert_int_equal(n, 4);
}

static void
base64_is_canonical(void **state)
{
	/* RFC 4648 10 */
	static const struct {
		const char *plain, *text;
	} good[] = {
		{ "", "" },
		{ "f", "Zg==" },
		{ "fo", "Zm8=" },
		{ "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" },
	};
	static const struct {
		const char *why, *text;
		int want;
	} bad[] = {
		{ "no padding is accepted", "Zg", 0 },
		{ "half the padding", "Zg=", E_PARSE },
		{ "padding alone", "==", E_PARSE },
		{ "too much padding", "Zm9v=", E_PARSE },
		{ "three signs", "Zg===", E_PARSE },
		{ "one left", "Zm9vY", E_PARSE },
		{ "unused bits set", "Zh==", E_PARSE },
		{ "unused bits set, two bytes", "Zm9=", E_PARSE },
		{ "white space", "Zm 9", E_PARSE },
		{ "URL alphabet", "-_==", E_PARSE },
		{ "sign inside", "Z===Zg==", E_PARSE },
		{ "too long", "Zm9vYmFyZm9vYmFy", E_LIMIT },
	};
	uint8_t out[8];
	char text[16];
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		str_base64(text, good[i].plain, strlen(good[i].plain));
		assert_string_equal(text, good[i].text);
		assert_int_equal(
		    str_unbase64(slice_of(text), out, sizeof(out), &n), 0);
		assert_int_equal(n, strlen(good[i].plain));
		assert_memory_equal(out, good[i].plain, n);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		print_message("%s\n", bad[i].why);
		assert_int_equal(
		    str_unbase64(slice_of(bad[i].text), out, sizeof(out), &n),
		    bad[i].want);
	}
}

static void
copies_are_terminated(void **state)
{
	char out[4];

	(void)state;
	assert_int_equal(str_copy(out, sizeof(out), "abc"), 0);
	assert_string_equal(out, "abc");
	assert_int_equal(str_copy(out, sizeof(out), "defg"), E_LIMIT);
	assert_string_equal(out, "def");
	assert_int_equal(str_copy(out, sizeof(out), NULL), 0);
	assert_string_equal(out, "");
	assert_int_equal(str_copy(out, 0, "x"), E_LIMIT);
}

static void
distance_counts_edits(void **state)
{
	static const struct {
		const char *a, *b;
		unsigned int max, want;
	} v[] = {
		{ "sip", "sip", 3, 0 },
		{ "sip", "", 3, 3 },
		{ "sip", "spi", 3, 1 },
		{ "kitten", "sitting", 5, 3 },
		{ "kitten", "sitting", 2, 3 },
		{ "sip.tls.verify", "sip.tls.verfiy", 3, 1 },
		{ "ca", "abc", 3, 3 },
		{ "", "abcdef", 3, 4 },
	};
	char longer[300];

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++)
		assert_int_equal(
		    str_distance(v[i].a, v[i].b, v[i].max), v[i].want);
	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(str_distance(longer, "a", 3), 4);
	longer[127] = '\0';
	assert_int_equal(str_distance(longer, "", 200), 127);
}

static void
macs_are_normalised(void **state)
{
	static const struct {
		const char *text;
		int want;
	} v[] = {
		{ "00:1A:2b:3C:4d:5E", 0 },
		{ "00-1A-2b-3C-4d-5E", 0 },
		{ "001A2B3C4D5E", 0 },
		{ "00:1A-2b:3C:4d:5E", E_PARSE },
		{ "00:1A:2b:3C:4d:5", E_PARSE },
		{ "001A2B3C4D5", E_PARSE },
		{ "001A2B3C4D5G", E_PARSE },
		{ "00.1A.2b.3C.4d.5E", E_PARSE },
		{ "001:A2:B3:C4:D5:E", E_PARSE },
		{ "", E_PARSE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		char mac[13] = "untouched";

		print_message("%s\n", v[i].text);
		assert_int_equal(
		    str_mac_norm(slice_of(v[i].text), mac), v[i].want);
		assert_string_equal(
		    mac, v[i].want == 0 ? "001a2b3c4d5e" : "untouched");
	}
}

static void
utf8_is_checked(void **state)
{
	static const struct {
		const char *why, *text;
		size_t n, want;
		uint32_t cp;
	} v[] = {
		{ "ascii", "a", 1, 1, 'a' },
		{ "two", "\xc3\xa9", 2, 2, 0xe9 },
		{ "three", "\xe2\x82\xac", 3, 3, 0x20ac },
		{ "four", "\xf0\x9f\x94\x94", 4, 4, 0x1f514 },
		{ "highest", "\xf4\x8f\xbf\xbf", 4, 4, 0x10ffff },
		{ "empty", "", 0, 0, 0 },
		{ "overlong two", "\xc0\xaf", 2, 0, 0 },
		{ "overlong three", "\xe0\x80\xaf", 3, 0, 0 },
		{ "overlong four", "\xf0\x80\x80\xaf", 4, 0, 0 },
		{ "surrogate", "\xed\xa0\x80", 3, 0, 0 },
		{ "beyond", "\xf4\x90\x80\x80", 4, 0, 0 },
		{ "stray", "\x80", 1, 0, 0 },
		{ "cut", "\xe2\x82", 2, 0, 0 },
		{ "broken", "\xe2\x28\xa1", 3, 0, 0 },
		{ "five", "\xf8\x88\x80\x80\x80", 5, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		uint32_t cp = 0;

		print_message("%s\n", v[i].why);
		assert_int_equal(str_utf8(v[i].text, v[i].n, &cp), v[i].want);
		if (v[i].want > 0)
			assert_int_equal(cp, v[i].cp);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slices_are_cut_and_trimmed),
		cmocka_unit_test(integers_are_strict),
		cmocka_unit_test(durations_have_units),
		cmocka_unit_test(hex_goes_both_ways),
		cmocka_unit_test(base64_is_canonical),
		cmocka_unit_test(copies_are_terminated),
		cmocka_unit_test(distance_counts_edits),
		cmocka_unit_test(macs_are_normalised),
		cmocka_unit_test(utf8_is_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
