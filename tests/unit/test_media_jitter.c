/* SPDX-License-Identifier: ISC */
/* The jitter buffer: order, loss, bursts, duplicates, growing and shrinking,
 * other sources, and what hostile numbers do to it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "../../media/internal.h"

enum { FRAME_US = 20000, FRAME_TS = 160 };

static const struct media_jitter_conf conf = {
	.clock_hz = 8000, .ptime_ms = 20, .max_ms = 100
};

/* Puts packet `k` of a stream that starts at `seq`; its payload is `k`. */
static void
put_as(struct media_jitter *j, uint32_t ssrc, uint16_t seq, int k, int64_t now)
{
	uint8_t payload[2] = { (uint8_t)(k >> 8), (uint8_t)k };
	struct media_rtp h = { .seq = (uint16_t)(seq + k),
		.ts = (uint32_t)(1000 + k * FRAME_TS),
		.ssrc = ssrc,
		.payload = payload,
		.n = 2 };

	assert_int_equal(media_jitter_put(j, &h, MEDIA_JITTER_AUDIO, now), 0);
}

static void
put(struct media_jitter *j, int k, int64_t now)
{
	put_as(j, 7, 65530, k, now); /* wraps after a few */
}

/* What comes out: the packet's number, or minus the kind. */
static int
get(struct media_jitter *j, int64_t now)
{
	struct media_jitter_out out;
	enum media_jitter_got got = media_jitter_get(j, now, &out);

	if (got != MEDIA_GOT_PACKET)
		return -(int)got;
	assert_int_equal(out.n, 2);
	return out.p[0] << 8 | out.p[1];
}

static void
packets_come_out_in_order(void **state)
{
	static const int order[] = { 0, 1, 3, 2, 4, 6, 5, 7, 8, 9 };
	struct media_jitter j;
	struct media_jitter_stats st;
	int64_t now = 1000000;
	int next = 0;

	(void)state;
	media_jitter_init(&j, &conf);
	for (int i = 0; i < 10; i++, now += FRAME_US) {
		put(&j, order[i], now);
		if (i >= 2)
			assert_int_equal(get(&j, now + 1000), next++);
	}
	assert_int_equal(get(&j, now), 8);
	media_jitter_get_stats(&j, &st);
	assert_int_equal(st.received, 10);
	assert_int_equal(st.lost + st.late + st.dup, 0);
	assert_int_equal(st.expected, 10);
	media_jitter_clear(&j);
}

static void
first_packets_may_come_out_of_order(void **state)
{
	struct media_jitter j;

	(void)state;
	media_jitter_init(&j, &conf);
	put(&j, 1, 1000000);
	put(&j, 0, 1000000);
	assert_int_equal(get(&j, 1000000), 0);
	assert_int_equal(get(&j, 1020000), 1);
	media_jitter_clear(&j);
}

static void
playing_waits_until_enough_is_held(void **state)
{
	struct media_jitter j;

	(void)state;
	media_jitter_init(&j, &conf);
	assert_int_equal(get(&j, 990000), -MEDIA_GOT_IDLE);
	put(&j, 0, 1000000);
	assert_int_equal(get(&j, 1005000), -MEDIA_GOT_IDLE);
	put(&j, 1, 1020000);
	assert_int_equal(get(&j, 1025000), 0);
	media_jitter_clear(&j);
}

static void
a_lone_packet_is_not_held_for_ever(void **state)
{
	struct media_jitter j;

	(void)state;
	media_jitter_init(&j, &conf);
	put(&j, 0, 1000000);
	assert_int_equal(get(&j, 1020000), -MEDIA_GOT_IDLE);
	assert_int_equal(get(&j, 1040000), 0);
	media_jitter_clear(&j);
}

static void
a_lost_packet_is_said_once_and_the_next_is_shown(void **state)
{
	struct media_jitter j;
	struct media_jitter_out out;
	struct media_jitter_stats st;

	(void)state;
	media_jitter_init(&j, &conf);
	put(&j, 0, 1000000);
	put(&j, 1, 1020000);
	put(&j, 3, 1060000);
	put(&j, 4, 1080000);
	assert_int_equal(get(&j, 1081000), 0);
	assert_int_equal(get(&j, 1101000), 1);
	assert_int_equal(media_jitter_get(&j, 1121000, &out), MEDIA_GOT_LOST);
	assert_non_null(out.p);
	assert_int_equal(out.p[1], 3);
	assert_int_equal(get(&j, 1141000), 3);
	assert_int_equal(get(&j, 1161000), 4);
	media_jitter_get_stats(&j, &st);
	assert_int_equal(st.lost, 1);
	media_jitter_clear(&j);
}

static void
a_loss_that_was_waited_for_is_not_concealed_twice(void **state)
{
	struct media_jitter j;

	(void)state;
	media_jitter_init(&j, &conf);
	put(&j, 0, 1000000);
	put(&j, 1, 1020000);
	assert_int_equal(get(&j, 1021000), 0);
	assert_int_equal(get(&j, 1041000), 1);
	assert_int_equal(get(&j, 1061000), -MEDIA_GOT_WAIT); /* for 2 */
	put(&j, 3, 1062000);
	assert_int_equal(get(&j, 1081000), 3);
	media_jitter_clear(&j);
}

static void
duplicates_and_late_ones_are_counted(void **state)
{
	struct media_jitter j;
	struct media_jitter_stats st;

	(void)state;
	media_jitter_init(&j, &conf);
	put(&j, 0, 1000000);
	put(&j, 0, 1000500);
	put(&j, 1, 1020000);
	put(&j, 3, 1030000);
	assert_int_equal(get(&j, 1031000), 0);
	put(&j, 0, 1032000); /* played already: still a duplicate */
	assert_int_equal(get(&j, 1051000), 1);
	assert_int_equal(get(&j, 1071000), -MEDIA_GOT_LOST);
	put(&j, 2, 1072000);
	media_jitter_get_stats(&j, &st);
	assert_int_equal(st.dup, 2);
	assert_int_equal(st.late, 1);
	/* It was late: the next waits once, so that the buffer grows. */
	assert_int_equal(get(&j, 1091000), -MEDIA_GOT_WAIT);
	assert_int_equal(get(&j, 1111000), 3);
	media_jitter_clear(&j);
}

static void
silence_follows_when_nothing_comes(void **state)
{
	static const uint8_t payload[2] = { 9, 9 };
	struct media_rtp h = { .seq = (uint16_t)(65530 + 2),
		.ssrc = 7,
		.payload = payload,
		.n = 2 };
	struct media_jitter j;
	int64_t now = 1021000;

	(void)state;
	media_jitter_init(&j, &conf);
	put(&j, 0, 1000000);
	put(&j, 1, 1020000);
	get(&j, now);
	get(&j, now += FRAME_US);
	for (int i = 0; i < 5; i++)
		assert_int_equal(get(&j, now += FRAME_US), -MEDIA_GOT_WAIT);
	assert_int_equal(get(&j, now += FRAME_US), -MEDIA_GOT_IDLE);
	assert_int_equal(get(&j, now += FRAME_US), -MEDIA_GOT_IDLE);
	/* They speak again, in the next number at a later time: filled first,
	 * then played. */
	h.ts = 1160 + (uint32_t)((now - 1020000) / 125);
	assert_int_equal(media_jitter_put(&j, &h, MEDIA_JITTER_AUDIO, now), 0);
	assert_int_equal(get(&j, now + 1000), -MEDIA_GOT_IDLE);
	h.seq++;
	h.ts += FRAME_TS;
	now += FRAME_US;
	assert_int_equal(media_jitter_put(&j, &h, MEDIA_JITTER_AUDIO, now), 0);
	assert_int_equal(get(&j, now + 1000), 0x0909);
	assert_int_equal(j.stats.lost, 0);
	media_jitter_clear(&j);
}

static void
a_burst_beyond_the_ceiling_is_cut(void **state)
{
	struct media_jitter j;
	struct media_jitter_stats st;
	int64_t now = 1000000;

	(void)state;
	media_jitter_init(&j, &conf);
	for (int k = 0; k < 3; k++, now += FRAME_US) {
		put(&j, k, now);
		if (k > 0)
			assert_int_equal(get(&j, now), k - 1);
	}
	now += 600000;
	for (int k = 3; k < 33; k++)
		put(&j, k, now);
	/* 100 ms at most are kept, the newest ones. */
	assert_true(get(&j, now) >= 27);
	media_jitter_get_stats(&j, &st);
	assert_true(st.depth_ms <= 100);
	assert_true(st.late >= 24);
	assert_int_equal(st.lost, 0);
	media_jitter_clear(&j);
}

/* Runs `n` frames; packet k is late by `late(k)` us.  Returns gaps heard. */
static int
run(struct media_jitter *j, int *k, int n, int64_t *now, int64_t (*late)(int))
{
	/* Arrival times of what is on its way. */
	static int64_t due[65536];
	static int sent[65536];
	int gaps = 0, held = 0;

	for (int i = 0; i < n; i++, *now += FRAME_US) {
		due[held] = *now + late(*k);
		sent[held++] = (*k)++;
		for (int x = 0; x < held;) {
			if (due[x] > *now + 10000) {
				x++;
				continue;
			}
			put(j, sent[x], due[x]);
			held--;
			memmove(&due[x], &due[x + 1],
			    sizeof(due[0]) * (size_t)(held - x));
			memmove(&sent[x], &sent[x + 1],
			    sizeof(sent[0]) * (size_t)(held - x));
		}
		gaps += get(j, *now + 10000) < 0;
		if (media_jitter_excess(j))
			get(j, *now + 10000); /* plays two in one */
	}
	return gaps;
}

static int64_t
calm(int k)
{
	(void)k;
	return 0;
}

static int64_t
rough(int k)
{
	return k % 5 == 0 ? 55000 : 0;
}

static void
it_grows_with_the_jitter_and_shrinks_after_it(void **state)
{
	struct media_jitter j;
	struct media_jitter_stats st;
	int64_t now = 1000000;
	int k = 0;

	(void)state;
	media_jitter_init(&j, &conf);
	run(&j, &k, 100, &now, calm);
	media_jitter_get_stats(&j, &st);
	assert_true(st.depth_ms <= 40);
	run(&j, &k, 50, &now, rough); /* learns */
	assert_true(j.target >= 4);
	assert_int_equal(run(&j, &k, 200, &now, rough), 0);
	media_jitter_get_stats(&j, &st);
	assert_true(st.jitter_us > 1000);
	/* After the storm the target falls within 8 s, then the depth. */
	run(&j, &k, 1200, &now, calm);
	media_jitter_get_stats(&j, &st);
	assert_int_equal(j.target, 2);
	assert_true(st.depth_ms <= 60);
	media_jitter_clear(&j);
}

static void
calm_is_never_disturbed(void **state)
{
	struct media_jitter j;
	int64_t now = 1000000;
	int k = 0;

	(void)state;
	media_jitter_init(&j, &conf);
	run(&j, &k, 10, &now, calm);
	for (int i = 0; i < 3000; i++, now += FRAME_US) {
		put(&j, k++, now);
		assert_true(get(&j, now + 10000) >= 0);
		assert_false(media_jitter_excess(&j));
	}
	media_jitter_clear(&j);
}

static void
another_source_is_followed_at_once(void **state)
{
	struct media_jitter j;
	struct media_jitter_stats st;

	(void)state;
	media_jitter_init(&j, &conf);
	put(&j, 0, 1000000);
	put(&j, 1, 1020000);
	assert_int_equal(get(&j, 1021000), 0);
	put_as(&j, 8, 100, 0x100, 1040000);
	put_as(&j, 8, 100, 0x101, 1060000);
	assert_int_equal(get(&j, 1061000), 0x100);
	media_jitter_get_stats(&j, &st);
	assert_int_equal(st.ssrc, 8);
	assert_int_equal(st.expected, 2);
	assert_int_equal(st.unique, 2);
	media_jitter_clear(&j);
}

static void
a_jump_of_numbers_is_believed_when_it_goes_on(void **state)
{
	struct media_jitter j;

	(void)state;
	media_jitter_init(&j, &conf);
	put(&j, 0, 1000000);
	put(&j, 1, 1020000);
	assert_int_equal(get(&j, 1021000), 0);
	put_as(&j, 7, 20000, 0, 1040000); /* alone: nothing */
	assert_int_equal(get(&j, 1041000), 1);
	put_as(&j, 7, 20000, 1, 1060000);
	put_as(&j, 7, 20000, 2, 1080000);
	assert_int_equal(get(&j, 1081000), 1);
	assert_int_equal(get(&j, 1101000), 2);
	/* A hole of 1000 packets is one hole. */
	put_as(&j, 7, 20000, 1003, 1120000);
	put_as(&j, 7, 20000, 1004, 1140000);
	assert_int_equal(get(&j, 1141000), 1003);
	assert_int_equal(j.stats.lost, 1000);
	media_jitter_clear(&j);
}

static void
events_keep_their_places(void **state)
{
	struct media_jitter j;
	uint8_t payload[4] = { 1, 10, 0, 160 };
	struct media_rtp h = { .seq = (uint16_t)(65530 + 1),
		.ts = 1160,
		.ssrc = 7,
		.payload = payload,
		.n = 4 };

	(void)state;
	media_jitter_init(&j, &conf);
	put(&j, 0, 1000000);
	assert_int_equal(
	    media_jitter_put(&j, &h, MEDIA_JITTER_EVENT, 1020000), 0);
	put(&j, 2, 1040000);
	assert_int_equal(get(&j, 1041000), 0);
	assert_int_equal(get(&j, 1061000), -MEDIA_GOT_EVENT);
	assert_int_equal(get(&j, 1081000), 2);
	assert_int_equal(j.stats.lost, 0);
	media_jitter_clear(&j);
}

static void
after_a_pause_it_follows_what_comes(void **state)
{
	struct media_jitter j;

	(void)state;
	media_jitter_init(&j, &conf);
	put(&j, 0, 1000000);
	put(&j, 1, 1020000);
	get(&j, 1021000);
	media_jitter_restart(&j);
	put(&j, 500, 11000000);
	put(&j, 501, 11020000);
	assert_int_equal(get(&j, 11021000), 500);
	assert_int_equal(j.stats.lost, 0);
	media_jitter_clear(&j);
}

static void
random_packets_do_no_harm(void **state)
{
	struct media_jitter j;
	struct media_jitter_out out;
	static const uint8_t payload[MEDIA_PACKET_MAX];
	uint32_t x = 12345; /* the same on every run */
	int64_t now = 1000000;

	(void)state;
	media_jitter_init(&j, &conf);
	for (int i = 0; i < 50000; i++) {
		struct media_rtp h = { .ssrc = 1, .payload = payload };

		x = x * 1664525 + 1013904223;
		h.ssrc += (x >> 8) % 50 == 0;
		h.seq = (x >> 16) % 3 == 0 ? (uint16_t)(x >> 4)
					   : (uint16_t)(i + (x >> 20) % 70);
		h.ts = (x >> 12) % 7 == 0 ? x : (uint32_t)i * 160;
		h.n = (x >> 10) % (MEDIA_PACKET_MAX + 1);
		assert_int_equal(
		    media_jitter_put(&j, &h,
			x & 1024 ? MEDIA_JITTER_AUDIO : MEDIA_JITTER_EVENT,
			now),
		    0);
		now += x % 30000;
		if (x & 2048) {
			(void)media_jitter_get(&j, now, &out);
			(void)media_jitter_excess(&j);
		}
		assert_true(j.held <= MEDIA_JITTER_SLOTS);
	}
	media_jitter_clear(&j);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_come_out_in_order),
		cmocka_unit_test(first_packets_may_come_out_of_order),
		cmocka_unit_test(playing_waits_until_enough_is_held),
		cmocka_unit_test(a_lone_packet_is_not_held_for_ever),
		cmocka_unit_test(
		    a_lost_packet_is_said_once_and_the_next_is_shown),
		cmocka_unit_test(
		    a_loss_that_was_waited_for_is_not_concealed_twice),
		cmocka_unit_test(duplicates_and_late_ones_are_counted),
		cmocka_unit_test(silence_follows_when_nothing_comes),
		cmocka_unit_test(a_burst_beyond_the_ceiling_is_cut),
		cmocka_unit_test(it_grows_with_the_jitter_and_shrinks_after_it),
		cmocka_unit_test(calm_is_never_disturbed),
		cmocka_unit_test(another_source_is_followed_at_once),
		cmocka_unit_test(a_jump_of_numbers_is_believed_when_it_goes_on),
		cmocka_unit_test(events_keep_their_places),
		cmocka_unit_test(after_a_pause_it_follows_what_comes),
		cmocka_unit_test(random_packets_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
