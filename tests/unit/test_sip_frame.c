/* SPDX-License-Identifier: ISC */
/* Framing: limits, hostile lengths, keep-alives; and that a stream gives the
 * same messages however it is cut into pieces. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../sipcore/internal.h"

#define START "OPTIONS sip:a@b SIP/2.0\r\n"

/* Feeds `in` in steps of `step` bytes; writes what came out as letters. */
static void
run(const char *in, size_t n, size_t step, bool pings, char *out)
{
	struct sip_frame f = { .pings = pings };
	size_t from = 0, have = 0, used;
	enum sip_frame_ev ev;

	for (;;) {
		ev = sip_frame_next(
		    &f, (struct slice){ in + from, have - from }, &used);
		if (ev == SIP_FRAME_MORE) {
			if (have == n)
				break;
			have = have + step < n ? have + step : n;
			continue;
		}
		*out++ = "?MLPB"[ev];
		if (ev == SIP_FRAME_BAD)
			break;
		from += used;
	}
	*out = '\0';
}

static void
frames_are_found_and_bad_ones_refused(void **state)
{
	static const struct {
		const char *why, *in, *want;
		bool pings;
	} v[] = {
		{ "a plain message", START "Content-Length: 0\r\n\r\n", "M",
		    false },
		{ "with a body", START "Content-Length: 3\r\n\r\nabc", "M",
		    false },
		{ "the compact form", START "l: 3\r\n\r\nabc", "M", false },
		{ "space around the colon", START "l : \t3 \r\n\r\nabc", "M",
		    false },
		{ "two in a row", START "l: 1\r\n\r\nx" START "l: 0\r\n\r\n",
		    "MM", false },
		{ "body that looks like a message",
		    START "l: 5\r\n\r\n\r\n\r\nx" START "l: 0\r\n\r\n", "MM",
		    false },
		{ "ping", "\r\n\r\n", "P", false },
		{ "ping, then a message", "\r\n\r\n" START "l: 0\r\n\r\n", "PM",
		    false },
		{ "stray line end", "\r\n" START "l: 0\r\n\r\n", "LM", false },
		{ "pong where we ping", "\r\n", "L", true },
		{ "two pongs where we ping", "\r\n\r\n", "LL", true },
		{ "half a ping waits", "\r\n", "", false },
		{ "body not complete", START "l: 5\r\n\r\nabcd", "", false },
		{ "no length", START "Via: x\r\n\r\n", "B", false },
		{ "letters for a length", START "l: abc\r\n\r\n", "B", false },
		{ "negative", START "l: -3\r\n\r\n", "B", false },
		{ "more than 32 bits", START "l: 4294967301\r\n\r\n", "B",
		    false },
		{ "more than 64 bits", START "l: 18446744073709551617\r\n\r\n",
		    "B", false },
		{ "above our limit", START "l: 65537\r\n\r\n", "B", false },
		{ "junk behind", START "l: 3x\r\n\r\nabc", "B", false },
		{ "two numbers", START "l: 3 3\r\n\r\nabc", "B", false },
		{ "empty", START "l: \r\n\r\n", "B", false },
		{ "twice", START "l: 3\r\nContent-Length: 3\r\n\r\nabc", "B",
		    false },
		{ "folded length", START "l:\r\n 3\r\n\r\nabc", "B", false },
		{ "folded other", START "X: a\r\n b\r\nl: 0\r\n\r\n", "M",
		    false },
		{ "fold before any field", START " x: y\r\nl: 0\r\n\r\n", "B",
		    false },
		{ "bare LF", START "X: a\nl: 0\r\n\r\n", "B", false },
		{ "bare CR", START "X: a\rb\r\nl: 0\r\n\r\n", "B", false },
		{ "no colon", START "hello\r\nl: 0\r\n\r\n", "B", false },
		{ "control character", START "X: \x01\r\nl: 0\r\n\r\n", "B",
		    false },
		{ "escaped control characters, even NUL's neighbours",
		    START "X: \"\\\x01\\\x7f\"\r\nl: 0\r\n\r\n", "M", false },
		{ "a backslash that is escaped itself",
		    START "X: \"\\\\\x01\"\r\nl: 0\r\n\r\n", "B", false },
		{ "an escaped line feed is still one",
		    START "X: \"\\\n\"\r\nl: 0\r\n\r\n", "B", false },
		{ "line ends between messages",
		    START "l: 0\r\n\r\n\r\n\r\n" START "l: 0\r\n\r\n\r\n",
		    "MPM", false },
		{ "TLS on a clear port", "\x16\x03\x01", "B", false },
		{ "CR and no LF", "\rX", "B", false },
	};
	char whole[8], cut[8];

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		size_t n = strlen(v[i].in);

		run(v[i].in, n, n, v[i].pings, whole);
		if (strcmp(whole, v[i].want) != 0)
			fail_msg("%s: %s, not %s", v[i].why, whole, v[i].want);
		for (size_t step = 1; step < n; step++) {
			run(v[i].in, n, step, v[i].pings, cut);
			if (strcmp(whole, cut) != 0)
				fail_msg("%s in steps of %zu: %s, not %s",
				    v[i].why, step, cut, whole);
		}
	}
}

/* Messages, pings and lone line ends in a row; the bodies look like both. */
static const char row[] =
    START "l: 0\r\n\r\n"
	  "\r\n\r\n" START "X: a\r\n b\r\nContent-Length: 7\r\n\r\n\r\n\r\nabc"
	  "\r\n" START "l: 4\r\n\r\n\r\n\r\n"
	  "\r\n\r\n\r\n\r\n" START "X: \"\\\x02\"\r\nl: 0\r\n\r\n";

/* Feeds the row with cuts before the bytes that `cut` marks; notes kinds and
 * lengths of what comes out. */
static void
run_cut(const bool *cut, bool pings, char *out, size_t size)
{
	struct sip_frame f = { .pings = pings };
	size_t n = sizeof(row) - 1, from = 0, have = 0, used, at = 0;
	enum sip_frame_ev ev;

	for (;;) {
		ev = sip_frame_next(
		    &f, (struct slice){ row + from, have - from }, &used);
		if (ev != SIP_FRAME_MORE) {
			at += (size_t)snprintf(
			    out + at, size - at, "%c%zu ", "?MLPB"[ev], used);
			assert_true(at < size && ev != SIP_FRAME_BAD);
			from += used;
			continue;
		}
		assert_int_equal(used, 0);
		if (have == n)
			break;
		while (++have < n && !cut[have])
			;
	}
	assert_int_equal(from, n);
}

static void
any_split_gives_the_same_messages(void **state)
{
	enum { N = sizeof(row) - 1, RANDOM = 2000 };
	char whole[200], some[200];
	bool cut[N];

	(void)state;
	srandom(4);
	for (int pings = 0; pings < 2; pings++) {
		memset(cut, 0, sizeof(cut));
		run_cut(cut, pings, whole, sizeof(whole));
		/* each pair of cuts */
		for (size_t a = 1; a < N; a++) {
			for (size_t b = a; b < N; b++) {
				cut[a] = cut[b] = true;
				run_cut(cut, pings, some, sizeof(some));
				if (strcmp(some, whole) != 0)
					fail_msg("cut at %zu and %zu: %s", a, b,
					    some);
				cut[a] = cut[b] = false;
			}
		}
		for (int i = 0; i < RANDOM; i++) {
			long often = 2 + random() % 40;

			for (size_t k = 0; k < N; k++)
				cut[k] = random() % often == 0;
			run_cut(cut, pings, some, sizeof(some));
			assert_string_equal(some, whole);
		}
	}
}

static void
faults_say_how_they_are_answered(void **state)
{
	static const struct {
		const char *why, *in;
		int code;
	} v[] = {
		{ "negative length", START "l: -1\r\n\r\n", 400 },
		{ "body above the limit", START "l: 65537\r\n\r\n", 413 },
		{ "length of 70 bits",
		    START "l: 1180591620717411303424\r\n\r\n", 400 },
		{ "no length", START "X: y\r\n\r\n", 400 },
		{ "control character", START "X: \x02\r\nl: 0\r\n\r\n", 400 },
		{ "TLS", "\x16\x03\x01\x02\r\n\r\n", 0 },
	};
	struct sip_frame f;
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		memset(&f, 0, sizeof(f));
		if (sip_frame_next(&f, slice_of(v[i].in), &n) !=
			SIP_FRAME_BAD ||
		    f.bad.code != v[i].code || f.bad.why == NULL)
			fail_msg("%s: %d", v[i].why, f.bad.code);
		/* no more of the input than there is */
		assert_true(f.bad.head <= strlen(v[i].in));
	}
}

/* A header block with `fields` fields of `len` bytes each. */
static char *
many(size_t fields, size_t len, size_t commas)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	assert_int_equal(buf_puts(&b, START "l: 0\r\n"), 0);
	for (size_t i = 0; i < fields; i++) {
		assert_int_equal(buf_puts(&b, "X: "), 0);
		for (size_t k = 0; k < len; k++)
			assert_int_equal(
			    buf_puts(&b, k < commas ? "," : "x"), 0);
		assert_int_equal(buf_puts(&b, "\r\n"), 0);
	}
	assert_int_equal(buf_puts(&b, "\r\n"), 0);
	return buf_take(&b);
}

static void
limits_hold(void **state)
{
	static const struct {
		const char *why;
		size_t fields, len, commas;
		const char *want;
	} v[] = {
		{ "127 and the length", 127, 1, 0, "M" },
		{ "one field too many", 128, 1, 0, "B" },
		{ "16 KiB are not reached", 100, 150, 0, "M" },
		{ "16 KiB are passed", 120, 150, 0, "B" },
		{ "64 values", 1, 100, 63, "M" },
		{ "65 values", 1, 100, 64, "B" },
	};
	char out[8];

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		char *in = many(v[i].fields, v[i].len, v[i].commas);

		for (size_t step = 1; step < 20000; step = step * 3 + 1) {
			run(in, strlen(in), step, false, out);
			if (strcmp(out, v[i].want) != 0)
				fail_msg("%s: %s", v[i].why, out);
		}
		free(in);
	}
}

static void
datagrams_are_judged(void **state)
{
	static const struct {
		const char *why, *in;
		int err;
		size_t n;
	} v[] = {
		{ "without a length all counts", START "X: y\r\n\r\nabc", 0,
		    36 },
		{ "more than the length is dropped", START "l: 1\r\n\r\nabc", 0,
		    34 },
		{ "less than the length", START "l: 4\r\n\r\nabc", E_SIP_PARSE,
		    0 },
		{ "no end of the header", START "l: 4\r\n", E_SIP_PARSE, 0 },
		{ "bad length", START "l: 4x\r\n\r\nabcd", E_SIP_PARSE, 0 },
		{ "nothing", "", E_SIP_PARSE, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct sip_fault bad = { .why = NULL };
		size_t n = 0;
		int err = sip_frame_datagram(slice_of(v[i].in), &n, &bad);

		if (err != v[i].err || n != v[i].n)
			fail_msg("%s: %d %zu", v[i].why, err, n);
		if (err != 0)
			assert_non_null(bad.why);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_are_found_and_bad_ones_refused),
		cmocka_unit_test(any_split_gives_the_same_messages),
		cmocka_unit_test(faults_say_how_they_are_answered),
		cmocka_unit_test(limits_hold),
		cmocka_unit_test(datagrams_are_judged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
