/* SPDX-License-Identifier: ISC */
/* RTP and RTCP headers: what is read, what is refused, what reports say. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "bellbird/clock.h"
#include "../../media/internal.h"

#define V(why, ok, ...)                                      \
	{                                                    \
		why, ok, sizeof((uint8_t[]){ __VA_ARGS__ }), \
		{                                            \
			__VA_ARGS__                          \
		}                                            \
	}

/* 12 bytes: PT 0, seq 1, ts 2, SSRC 3. */
#define HEAD(b0) b0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3

static void
header_is_read_strictly(void **state)
{
	static const struct {
		const char *why;
		int payload; /* bytes; -1: refused */
		size_t n;
		uint8_t p[40];
	} v[] = {
		V("plain", 2, HEAD(0x80), 9, 9),
		V("no payload", 0, HEAD(0x80)),
		V("11 bytes", -1, 0x80, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0),
		V("version 1", -1, HEAD(0x40), 9),
		V("version 0 (STUN)", -1, HEAD(0x00), 9),
		V("one CSRC", 1, HEAD(0x81), 1, 2, 3, 4, 9),
		V("CSRC beyond the end", -1, HEAD(0x82), 1, 2, 3, 4, 9),
		V("empty extension", 1, HEAD(0x90), 0xbe, 0xde, 0, 0, 9),
		V("extension of a word", 1, HEAD(0x90), 0, 0, 0, 1, 1, 2, 3, 4,
		    9),
		V("extension beyond the end", -1, HEAD(0x90), 0, 0, 0, 2, 1, 2,
		    3, 4, 9),
		V("extension of 65535 words", -1, HEAD(0x90), 0, 0, 0xff, 0xff),
		V("extension header cut", -1, HEAD(0x90), 0, 0, 0),
		V("padding", 1, HEAD(0xa0), 9, 0, 0, 3),
		V("padding is all", 0, HEAD(0xa0), 0, 0, 3),
		V("padding of 0", -1, HEAD(0xa0), 9, 0),
		V("padding beyond the payload", -1, HEAD(0xa0), 9, 3),
		V("padding without a byte", -1, HEAD(0xa0)),
		V("all of it", 1, HEAD(0xb1), 1, 2, 3, 4, 0, 0, 0, 1, 1, 2, 3,
		    4, 9, 0, 2),
	};
	struct media_rtp h;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		uint8_t *exact = test_malloc(v[i].n);

		print_message("case %s\n", v[i].why);
		memcpy(exact, v[i].p, v[i].n);
		if (v[i].payload < 0) {
			assert_int_equal(
			    media_rtp_parse(&h, exact, v[i].n), E_PARSE);
		} else {
			assert_int_equal(media_rtp_parse(&h, exact, v[i].n), 0);
			assert_int_equal(h.n, v[i].payload);
			assert_int_equal(h.seq, 1);
			assert_int_equal(h.ts, 2);
			assert_int_equal(h.ssrc, 3);
			if (h.n > 0)
				assert_int_equal(h.payload[0], 9);
		}
		test_free(exact);
	}
}

static void
header_survives_the_round_trip(void **state)
{
	const struct media_rtp in = { .marker = true,
		.pt = 101,
		.seq = 0xfffe,
		.ts = 0xdeadbeef,
		.ssrc = 0x01020304 };
	struct media_rtp out;
	uint8_t p[MEDIA_RTP_HEADER];

	(void)state;
	media_rtp_print(&in, p);
	assert_int_equal(media_rtp_parse(&out, p, sizeof(p)), 0);
	assert_true(out.marker);
	assert_int_equal(out.pt, in.pt);
	assert_int_equal(out.seq, in.seq);
	assert_int_equal(out.ts, in.ts);
	assert_int_equal(out.ssrc, in.ssrc);
}

static void
rtcp_is_told_from_rtp_on_one_port(void **state)
{
	const uint8_t sr[] = { 0x80, 200 }, rtp[] = { 0x80, 0 },
		      marked[] = { 0x80, 0x80 | 111 };

	(void)state;
	assert_true(media_rtp_is_rtcp(sr, 2));
	assert_false(media_rtp_is_rtcp(rtp, 2));
	assert_false(media_rtp_is_rtcp(marked, 2));
	assert_false(media_rtp_is_rtcp(sr, 1));
}

static void
round_trip_time_comes_from_reports(void **state)
{
	struct media_rtcp a, b;
	struct media_rtcp_view va = { .ssrc = 1,
		.is_sender = true,
		.packets = 10,
		.octets = 1600 },
			       vb = { .ssrc = 2,
				       .has_peer = true,
				       .peer_ssrc = 1,
				       .expected = 10,
				       .received = 9 };
	uint8_t p[MEDIA_RTCP_MAX];
	size_t n;

	(void)state;
	clock_fake(1795547180);
	media_rtcp_init(&a);
	media_rtcp_init(&b);
	assert_string_not_equal(a.cname, b.cname);
	n = media_rtcp_write(&a, &va, false, clock_mono_us(), p);
	assert_int_equal(n % 4, 0);
	clock_step_us(30000); /* on the way */
	assert_int_equal(media_rtcp_read(&b, 2, p, n, clock_mono_us()), 0);
	clock_step_us(2000000); /* b waits before it reports */
	n = media_rtcp_write(&b, &vb, true, clock_mono_us(), p);
	clock_step_us(10000); /* and back */
	assert_int_equal(media_rtcp_read(&a, 1, p, n, clock_mono_us()), 0);
	assert_in_range(a.rtt_us, 39900, 40100);
	assert_int_equal(a.peer_loss, 256 / 11);
	/* A report about somebody else says nothing about us. */
	a.rtt_us = 0;
	assert_int_equal(media_rtcp_read(&a, 7, p, n, clock_mono_us()), 0);
	assert_int_equal(a.rtt_us, 0);
	clock_real();
}

static void
rtcp_that_lies_about_its_length_is_refused(void **state)
{
	struct media_rtcp a, before;
	struct media_rtcp_view v = {
		.ssrc = 2, .is_sender = true, .has_peer = true, .peer_ssrc = 1
	};
	uint8_t p[MEDIA_RTCP_MAX];
	size_t n;

	(void)state;
	media_rtcp_init(&a);
	n = media_rtcp_write(&a, &v, true, 1000000, p);
	before = a;
	for (size_t cut = 0; cut < n; cut++) {
		uint8_t *exact = test_malloc(cut + 1);
		int err;

		memcpy(exact, p, cut);
		err = media_rtcp_read(&a, 1, exact, cut, 2000000);
		/* Cut between two packets of the compound it is one. */
		assert_true(err == E_PARSE || cut == 52 || cut == n - 8);
		test_free(exact);
	}
	a = before;
	p[2] = 0xff; /* the first claims 256 KiB */
	assert_int_equal(media_rtcp_read(&a, 1, p, n, 2000000), E_PARSE);
	assert_memory_equal(&a, &before, sizeof(a));
}

static void
a_report_about_many_is_read_within_its_bounds(void **state)
{
	/* RC says 31 blocks, there is room for none. */
	uint8_t rr[8] = { 0x80 | 31, 201, 0, 1, 0, 0, 0, 9 };
	uint8_t sr[12] = { 0x80 | 31, 200, 0, 2, 0, 0, 0, 9, 1, 2, 3, 4 };
	struct media_rtcp a;

	(void)state;
	media_rtcp_init(&a);
	assert_int_equal(media_rtcp_read(&a, 1, rr, sizeof(rr), 1), 0);
	assert_int_equal(media_rtcp_read(&a, 1, sr, sizeof(sr), 1), 0);
	assert_int_equal(a.their_sr_us, 0);
}

static void
intervals_are_random_around_five_seconds(void **state)
{
	int64_t us, sum = 0, min = INT64_MAX, max = 0;

	(void)state;
	for (int i = 0; i < 500; i++) {
		us = media_rtcp_interval_us(false);
		sum += us;
		min = us < min ? us : min;
		max = us > max ? us : max;
	}
	assert_in_range(min, 2000000, 2500000);
	assert_in_range(max, 5600000, 6200000);
	assert_in_range(sum / 500, 3800000, 4400000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(header_is_read_strictly),
		cmocka_unit_test(header_survives_the_round_trip),
		cmocka_unit_test(rtcp_is_told_from_rtp_on_one_port),
		cmocka_unit_test(round_trip_time_comes_from_reports),
		cmocka_unit_test(rtcp_that_lies_about_its_length_is_refused),
		cmocka_unit_test(a_report_about_many_is_read_within_its_bounds),
		cmocka_unit_test(intervals_are_random_around_five_seconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
