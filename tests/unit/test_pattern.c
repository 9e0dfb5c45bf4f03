/* SPDX-License-Identifier: ISC */
/* Tests of regular expressions: what fits, what is refused, what it costs. */
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "bellbird/pattern.h"
#include "bellbird/str.h"

static void
fits_and_does_not(void **state)
{
	static const struct {
		const char *pattern, *text;
		bool fits;
	} v[] = {
		{ "", "", true },
		{ "", "anything", true },
		{ "55", "1555", true },
		{ "^55", "1555", false },
		{ "^1001$", "1001", true },
		{ "^1001$", "10011", false },
		{ "^1..4$", "1024", true },
		{ "^(100|200)[0-9]$", "2007", true },
		{ "^(100|200)[0-9]$", "3007", false },
		{ "^[^0-9]+$", "alice", true },
		{ "^[^0-9]+$", "alice7", false },
		{ "^\\+1\\d{10}$", "+12025550100", true },
		{ "^\\+1\\d{10}$", "+1202555010", false },
		{ "^a{2,3}$", "a", false },
		{ "^a{2,3}$", "aaa", true },
		{ "^a{2,3}$", "aaaa", false },
		{ "^a{2,}$", "aaaaaaa", true },
		{ "^a{2,}$", "a", false },
		{ "^a{0,1}b$", "b", true },
		{ "^(ab){2}$", "abab", true },
		{ "^(ab){2}$", "ab", false },
		{ "^(a*)*b$", "aaab", true },
		{ "^(a|b|)+c$", "abbac", true },
		{ "^()$", "", true },
		{ "^()*$", "x", false },
		{ "a|^b$|c", "b", true },
		{ "a|^b$|c", "bb", false },
		{ "[]x]", "]", true },
		{ "[a-]", "-", true },
		{ "[\\d]", "7", true },
		{ "[\\]]", "]", true },
		{ "\\.", "x", false },
		{ "\\w\\s\\w", "a b", true },
		{ "a**", "", true },
		{ "x$y", "x$y", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		print_message("%s on %s\n", v[i].pattern, v[i].text);
		assert_int_equal(
		    pattern_match(v[i].pattern, v[i].text), v[i].fits);
	}
}

static void
refuses(void **state)
{
	static const struct {
		const char *pattern;
		int err;
	} v[] = {
		{ "(a", E_PARSE },
		{ "a)", E_PARSE },
		{ "[a", E_PARSE },
		{ "[z-a]", E_PARSE },
		{ "[[:alpha:]]", E_PARSE },
		{ "*a", E_PARSE },
		{ "a|+", E_PARSE },
		{ "a{", E_PARSE },
		{ "a{3,2}", E_PARSE },
		{ "a{x}", E_PARSE },
		{ "(a)\\1", E_PARSE },
		{ "a\\", E_PARSE },
		{ "a{999}", E_LIMIT },
		{ "((a{30}){30}){30}", E_LIMIT },
		{ "((){99}){99}", E_LIMIT },
		{ "((((((((((((((((((((((((((a))))))))))))))))))))))))))",
		    E_LIMIT },
	};
	char why[128], text[PATTERN_MAX + 2];

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		print_message("%s\n", v[i].pattern);
		why[0] = '\0';
		assert_int_equal(
		    pattern_check(v[i].pattern, why, sizeof(why)), v[i].err);
		assert_true(why[0] != '\0');
		assert_false(pattern_match(v[i].pattern, "aaaa"));
	}
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(pattern_check(text, why, sizeof(why)), E_LIMIT);
	text[PATTERN_MAX] = '\0';
	assert_int_equal(pattern_check(text, why, sizeof(why)), 0);
}

/* Appends; what does not fit is left out. */
static void
put(char *out, size_t size, const char *text)
{
	size_t n = strlen(out);

	if (str_copy(out + n, size - n, text) != 0)
		out[n] = '\0';
}

/* A well-formed pattern; the libc must be able to judge it too. */
static void
grow(char *out, size_t size, unsigned int depth)
{
	static const char *const atoms[] = { "a", "b", ".", "[ab]", "[^a]", "^",
		"$" };
	static const char *const times[] = { "", "", "", "*", "+", "?", "{2}",
		"{0,2}", "{1,}" };
	size_t items = 1 + (size_t)random() % 3, n;

	for (size_t i = 0; i < items && strlen(out) + 24 < size; i++) {
		bool group = depth < 2 && random() % 4 == 0;
		/* glibc errs with anchors that are repeated: (a|^){2} fits a
		 * in "ba" there. */
		size_t atom = (size_t)random() % (depth == 0 ? 7 : 5);

		if (group) {
			put(out, size, "(");
			grow(out, size - 8, depth + 1);
			put(out, size, ")");
		} else {
			put(out, size, atoms[atom]);
		}
		if (group || atom < 5)
			put(out, size, times[random() % 9]);
		if (random() % 8 == 0 && i + 1 < items)
			put(out, size, "|");
	}
	n = strlen(out);
	if (n > 0 && out[n - 1] == '|')
		out[n - 1] = '\0';
}

/* The libc says the same, for patterns and texts made at random. */
static void
agrees_with_the_libc(void **state)
{
	char pattern[64], text[12];
	size_t n, compared = 0, fit = 0;
	regex_t re;
	bool want;

	(void)state;
	srandom(4);
	for (int i = 0; i < 4000; i++) {
		pattern[0] = '\0';
		grow(pattern, sizeof(pattern), 0);
		if (regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB) != 0)
			continue;
		for (int k = 0; k < 8; k++) {
			n = (size_t)random() % (sizeof(text) - 1);
			for (size_t j = 0; j < n; j++)
				text[j] = "abc"[random() % 3];
			text[n] = '\0';
			want = regexec(&re, text, 0, NULL, 0) == 0;
			if (pattern_match(pattern, text) != want)
				fail_msg("%s on \"%s\": not %d", pattern, text,
				    want);
			compared++;
			fit += want;
		}
		regfree(&re);
	}
	print_message("%zu compared, %zu fit\n", compared, fit);
	assert_true(compared > 20000 && fit > 2000 && compared - fit > 2000);
}

/* What keeps other machines busy; 10 ms is what the loop may be held. */
static void
costs_little(void **state)
{
	static const char *const v[] = { "(a*)*b", "((((((((a*)*)*)*)*)*)*)*)b",
		"(a|aa)+$b", "(a?){100}a{100}b", "(.*a){20}b", "(.?.?.?){60}z",
		")()?.)b*?{8}{2,}.b.a(|[^a]*ba[^a][ab]?[^a])",
		"b*?{8}{2,}.b.a(|[^a]*ba[^a][ab]?[^a])", "((a|)*|)*b",
		"((((a?){4}){4}){4})b", "(a|b|ab|ba|.|..|...)*c" };
	char text[PATTERN_TEXT + 1];
	struct timespec a, b;
	double ms;

	(void)state;
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
		assert_false(pattern_match(v[i], text));
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
		ms = (double)(b.tv_sec - a.tv_sec) * 1e3 +
		    (double)(b.tv_nsec - a.tv_nsec) / 1e6;
		print_message("%.2f ms for %s\n", ms, v[i]);
		assert_true(ms < 100); /* sanitizers, a slow machine */
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fits_and_does_not),
		cmocka_unit_test(refuses),
		cmocka_unit_test(agrees_with_the_libc),
		cmocka_unit_test(costs_little),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
