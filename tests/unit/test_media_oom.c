/* SPDX-License-Identifier: ISC */
/* Audio sessions short of memory: they do not start, or go on as they were. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "oom.h"
#include "test_media_peer.h"

/* A call of two, started. */
static int
whole_call(void *arg)
{
	struct media_conf c = conf("loop");
	struct party a = { .s = NULL }, b = { .s = NULL };
	struct buf offer, answer;
	char why[200];
	int err;

	(void)arg;
	c.srtp = MEDIA_SRTP_STANDARD;
	c.call_name = "c1";
	buf_init(&offer, 4000);
	buf_init(&answer, 4000);
	if ((err = media_sess_new(&a.s, &c, on_event, &a)) != 0 ||
	    (err = media_sess_new(&b.s, &c, on_event, &b)) != 0 ||
	    (err = media_sess_offer(a.s, &offer)) != 0 ||
	    (err = media_sess_answer(b.s, slice_of(buf_str(&offer)), &answer,
		 why, sizeof(why))) != 0 ||
	    (err = media_sess_accept(
		 a.s, slice_of(buf_str(&answer)), why, sizeof(why))) != 0 ||
	    (err = media_sess_start(a.s)) != 0)
		goto out;
	err = media_sess_start(b.s);
out:
	media_sess_free(a.s);
	media_sess_free(b.s);
	buf_clear(&offer);
	buf_clear(&answer);
	return err;
}

/* A call whose peer asks for another codec. */
struct recoding {
	struct party p;
	struct raw peer;
	struct media_tone tone;
};

/* Talks for 200 ms and looks at what comes back: PCMU, and the echo. */
static void
still_pcmu(struct recoding *r)
{
	static int16_t pcm[FRAME];
	uint8_t out[MEDIA_PACKET_MAX];
	struct media_rtp h = { .pt = 0, .ssrc = 77 };
	double energy = 0;

	r->peer.num = 0;
	for (int i = 0; i < 10; i++) {
		memset(pcm, 0, sizeof(pcm));
		media_tone_add(&r->tone, pcm, FRAME);
		h.seq = r->peer.seq++;
		h.ts = h.seq * 160U;
		media_rtp_print(&h, out);
		for (size_t k = 0; k < FRAME; k++)
			out[MEDIA_RTP_HEADER + k] = media_ulaw_encode(pcm[k]);
		assert_int_equal(udp_send(r->peer.rtp, out,
				     MEDIA_RTP_HEADER + FRAME, &r->peer.to),
		    0);
		loop_fake_run(l, 20 * MS);
	}
	assert_true(r->peer.num >= 9);
	for (size_t i = 0; i < r->peer.num; i++) {
		struct seen *s = &r->peer.seen[i];

		if (s->is_rtcp)
			continue;
		assert_int_equal(media_rtp_parse(&h, s->p, s->n), 0);
		assert_int_equal(h.pt, 0);
		assert_int_equal(h.n, FRAME);
		for (size_t k = 0; k < FRAME; k++)
			pcm[k] = media_ulaw_decode(h.payload[k]);
		energy = media_energy(pcm, FRAME);
	}
	assert_true(media_level_db(energy, FRAME) > -15);
}

/* Offers Opus instead; refused for want of memory, all is as it was. */
static int
recode(void *arg)
{
	struct recoding *r = arg;
	struct buf out;
	char text[400], why[200];
	int err;

	(void)snprintf(text, sizeof(text),
	    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\n"
	    "c=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio %u RTP/AVP 96\r\n"
	    "a=rtpmap:96 opus/48000/2\r\n",
	    addr_port(&r->peer.at));
	buf_init(&out, 4000);
	err = media_sess_answer(r->p.s, slice_of(text), &out, why, sizeof(why));
	buf_clear(&out);
	if (err != 0)
		still_pcmu(r);
	return err;
}

static void
a_change_that_fails_changes_nothing(void **state)
{
	static int16_t pcm[PCM_MAX];
	static struct recoding r;
	struct media_conf c = conf("loop");
	unsigned int rate;
	int times;
	size_t n;

	(void)state;
	c.codecs = "pcmu,opus";
	party_open_rec(&r.p, c);
	raw_open(&r.peer, "127.0.0.1");
	raw_offer(&r.peer, &r.p, "RTP/AVP", "");
	media_tone_init(&r.tone, 440, 8000, -10);
	start(&r.p);
	still_pcmu(&r);
	times = oom_each(recode, &r);
	assert_true(times > 2);
	assert_string_equal(stats(&r.p).codec, "opus/48000");
	raw_close(&r.peer);
	/* All of it is in the file, at its own rate. */
	n = recorded(&r.p, pcm, &rate);
	assert_int_equal(rate, 8000);
	assert_in_range(n, (size_t)(times + 1) * 1600 - 160,
	    (size_t)(times + 1) * 1600 + 160);
}

static int
prepare(void *arg)
{
	int err;

	(void)arg;
	if ((err = media_srtp_need()) != 0)
		return err;
	return media_srtp_state();
}

static void
survives_every_oom(void **state)
{
	(void)state;
	media_exit();
	assert_int_equal(media_init(l, NULL), 0);
	/* What failed once is tried again, and ends well. */
	assert_true(oom_each(prepare, NULL) > 3);
	assert_true(oom_each(whole_call, NULL) > 30);
}

int
main(void)
{
#define T(f) cmocka_unit_test(f)
	const struct CMUnitTest tests[] = {
		T(a_change_that_fails_changes_nothing),
		T(survives_every_oom),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
