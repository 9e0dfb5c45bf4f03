/* SPDX-License-Identifier: ISC */
/* Offer and answer: the three settings of sip.srtp against every kind of peer,
 * codecs and their numbers, directions, refused lines. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "test_media_offer.h"

static void
addr_is(const struct addr *a, const char *want)
{
	char text[ADDR_STR_MAX];

	addr_print(a, text);
	assert_string_equal(text, want);
}

/* ---- the SRTP policy ---- */

#define NONE   E_MEDIA_NO_COMMON
#define MUST   E_MEDIA_SRTP_REQUIRED
#define NO_KEY E_MEDIA_SRTP_KEY
#define CLEAR  0
#define SECURE (-1)

/* Checks an answer against what it must be: SECURE, CLEAR or an error. */
static void
answer_is(struct end *e, const struct media_sdp_m *m, int want,
    const struct media_sdp_m *offered)
{
	struct media_crypto ours;

	if (want > 0) {
		assert_int_equal(e->err, want);
		return;
	}
	assert_int_equal(e->err, 0);
	assert_int_equal(m->proto, offered->proto);
	assert_int_equal(m->num_crypto, want == SECURE);
	assert_int_equal(e->n.now.tx.suite != NULL, want == SECURE);
	assert_int_equal(e->n.now.rx.suite != NULL, want == SECURE);
	if (want != SECURE)
		return;
	assert_int_equal(media_crypto_parse(&ours, m->crypto[0]), 0);
	assert_true(media_crypto_same_key(&ours, &e->n.now.tx));
	assert_false(media_crypto_same_key(&ours, &e->n.now.rx));
	assert_int_equal(ours.tag, e->n.now.rx.tag);
	assert_ptr_equal(ours.suite, e->n.now.rx.suite);
}

static void
offers_are_judged_by_the_policy(void **state)
{
	static const struct {
		const char *why, *m_lines;
		bool sdes_ok;
		int want[ALL_MODES]; /* disabled, optional, standard */
	} v[] = {
		{ "clear", AVP, true, { CLEAR, CLEAR, MUST } },
		{ "secure", SAVP GOOD, true, { NONE, SECURE, SECURE } },
		{ "secure with feedback", "m=audio 4000 RTP/SAVPF 0\r\n" GOOD,
		    true, { NONE, SECURE, SECURE } },
		{ "clear with feedback", "m=audio 4000 RTP/AVPF 0\r\n", true,
		    { CLEAR, CLEAR, MUST } },
		{ "either way (RFC 8643)", AVP GOOD, true,
		    { CLEAR, SECURE, SECURE } },
		{ "secure without a key", SAVP, true,
		    { NONE, NO_KEY, NO_KEY } },
		{ "secure, unknown suite", SAVP UNKNOWN, true,
		    { NONE, NO_KEY, NO_KEY } },
		{ "secure, suite not configured",
		    SAVP "a=crypto:1 " S32 " inline:" KEY "\r\n", true,
		    { NONE, NO_KEY, NO_KEY } },
		{ "secure, malformed key", SAVP MALFORMED, true,
		    { NONE, NO_KEY, NO_KEY } },
		{ "secure, protection switched off",
		    SAVP "a=crypto:1 " S80 " inline:" KEY
			 " UNENCRYPTED_SRTP\r\n",
		    true, { NONE, NO_KEY, NO_KEY } },
		{ "one good key of three", SAVP UNKNOWN MALFORMED GOOD, true,
		    { NONE, SECURE, SECURE } },
		{ "either way, unknown suite", AVP UNKNOWN, true,
		    { CLEAR, CLEAR, NO_KEY } },
		{ "either way, malformed key", AVP MALFORMED, true,
		    { CLEAR, CLEAR, NO_KEY } },
		{ "DTLS-SRTP", "m=audio 4000 UDP/TLS/RTP/SAVPF 0\r\n", true,
		    { NONE, NONE, NONE } },
		{ "clear over clear", AVP, false, { CLEAR, CLEAR, MUST } },
		{ "secure over clear", SAVP GOOD, false,
		    { NONE, NO_KEY, NO_KEY } },
		{ "either way over clear", AVP GOOD, false,
		    { CLEAR, CLEAR, MUST } },
	};
	static struct media_sdp offered;
	struct end e;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		for (int mode = 0; mode < ALL_MODES; mode++) {
			print_message("%s: %s\n",
			    media_srtp_mode_name((enum media_srtp_mode)mode),
			    v[i].why);
			end_open(&e, (enum media_srtp_mode)mode, v[i].sdes_ok,
			    NULL, NULL);
			assert_int_equal(
			    media_sdp_parse(&offered, peer(v[i].m_lines), e.why,
				sizeof(e.why)),
			    0);
			answer_is(&e, answer(&e, peer(v[i].m_lines)),
			    v[i].want[mode], &offered.m[0]);
			end_close(&e);
		}
	}
}

static void
what_is_offered_follows_the_policy(void **state)
{
	static const struct {
		enum media_srtp_mode mode;
		bool sdes_ok;
		int err;
		enum media_proto proto;
		size_t num_crypto;
	} v[] = {
		{ MEDIA_SRTP_DISABLED, true, 0, MEDIA_PROTO_AVP, 0 },
		{ MEDIA_SRTP_OPTIONAL, true, 0, MEDIA_PROTO_AVP, 2 },
		{ MEDIA_SRTP_STANDARD, true, 0, MEDIA_PROTO_SAVP, 2 },
		{ MEDIA_SRTP_DISABLED, false, 0, MEDIA_PROTO_AVP, 0 },
		{ MEDIA_SRTP_OPTIONAL, false, 0, MEDIA_PROTO_AVP, 0 },
		{ MEDIA_SRTP_STANDARD, false, MUST, MEDIA_PROTO_AVP, 0 },
	};
	const struct media_sdp_m *m;
	struct media_crypto a, b;
	struct end e;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		end_open(&e, v[i].mode, v[i].sdes_ok, S32 "," S80, NULL);
		m = offer(&e);
		assert_int_equal(e.err, v[i].err);
		if (m == NULL) {
			assert_int_equal(e.out.n, 0);
			end_close(&e);
			continue;
		}
		assert_int_equal(m->proto, v[i].proto);
		assert_int_equal(m->num_crypto, v[i].num_crypto);
		if (m->num_crypto == 2) {
			/* In the order of the setting, each its own key. */
			assert_int_equal(
			    media_crypto_parse(&a, m->crypto[0]), 0);
			assert_int_equal(
			    media_crypto_parse(&b, m->crypto[1]), 0);
			assert_string_equal(a.suite->name, S32);
			assert_string_equal(b.suite->name, S80);
			assert_true(a.tag != b.tag);
			assert_true(memcmp(a.key, b.key, 30) != 0);
		}
		end_close(&e);
	}
}

static void
answers_are_judged_by_the_policy(void **state)
{
	static const struct {
		const char *why, *m_lines;
		int want[ALL_MODES]; /* disabled, optional, standard */
	} v[] = {
		{ "clear", AVP, { CLEAR, CLEAR, MUST } },
		{ "secure", SAVP GOOD_1, { NONE, SECURE, SECURE } },
		{ "clear profile with a key", AVP GOOD_1,
		    { CLEAR, SECURE, SECURE } },
		{ "secure without a key", SAVP, { NONE, NO_KEY, MUST } },
		{ "a tag that was not offered", SAVP GOOD,
		    { NONE, NO_KEY, NO_KEY } },
		{ "a tag that was not offered, clear profile", AVP GOOD,
		    { CLEAR, NO_KEY, NO_KEY } },
		{ "another suite under our tag",
		    SAVP "a=crypto:1 " S32 " inline:" KEY "\r\n",
		    { NONE, NO_KEY, NO_KEY } },
		{ "two keys", SAVP GOOD_1 GOOD_1, { NONE, NO_KEY, NO_KEY } },
		{ "malformed key", SAVP MALFORMED, { NONE, NO_KEY, NO_KEY } },
		{ "audio refused", "m=audio 0 RTP/AVP 0\r\n",
		    { NONE, NONE, NONE } },
		{ "something else", "m=video 4000 RTP/AVP 0\r\n",
		    { E_MEDIA_SDP, E_MEDIA_SDP, E_MEDIA_SDP } },
		{ "DTLS-SRTP", "m=audio 4000 UDP/TLS/RTP/SAVP 0\r\n",
		    { E_MEDIA_SDP, E_MEDIA_SDP, E_MEDIA_SDP } },
	};
	struct media_crypto sent;
	struct end e;
	int want;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		for (int mode = 0; mode < ALL_MODES; mode++) {
			want = v[i].want[mode];
			print_message("%s: %s\n",
			    media_srtp_mode_name((enum media_srtp_mode)mode),
			    v[i].why);
			end_open(
			    &e, (enum media_srtp_mode)mode, true, NULL, NULL);
			assert_non_null(offer(&e));
			sent = e.n.cryptos[0];
			accept_answer(&e, peer(v[i].m_lines));
			assert_int_equal(e.err, want > 0 ? want : 0);
			assert_int_equal(
			    e.n.now.rx.suite != NULL, want == SECURE);
			assert_int_equal(
			    e.n.now.tx.suite != NULL, want == SECURE);
			if (want == SECURE)
				assert_true(
				    media_crypto_same_key(&sent, &e.n.now.tx));
			end_close(&e);
		}
	}
}

static void
two_of_us_agree_as_the_policy_says(void **state)
{
	/* Rows offer, columns answer. */
	static const int want[ALL_MODES][ALL_MODES] = { { CLEAR, CLEAR, MUST },
		{ CLEAR, SECURE, SECURE }, { NONE, SECURE, SECURE } };
	struct end a, b;

	(void)state;
	for (int i = 0; i < ALL_MODES * ALL_MODES; i++) {
		int x = i / ALL_MODES, y = i % ALL_MODES;

		end_open(&a, (enum media_srtp_mode)x, true, S80 "," S32, NULL);
		end_open(&b, (enum media_srtp_mode)y, true, S32 "," S80, NULL);
		assert_non_null(offer(&a));
		answer(&b, slice_of(buf_str(&a.out)));
		assert_int_equal(b.err, want[x][y] > 0 ? want[x][y] : 0);
		if (b.err == 0) {
			assert_int_equal(
			    accept_answer(&a, slice_of(buf_str(&b.out))), 0);
			assert_int_equal(
			    a.n.now.tx.suite != NULL, want[x][y] == SECURE);
			assert_true(
			    media_crypto_same_key(&a.n.now.tx, &b.n.now.rx));
			assert_true(
			    media_crypto_same_key(&a.n.now.rx, &b.n.now.tx));
		}
		if (want[x][y] == SECURE) /* as who answers likes it */
			assert_string_equal(a.n.now.tx.suite->name, S32);
		end_close(&a);
		end_close(&b);
	}
}

static void
the_secure_line_of_two_is_taken(void **state)
{
	const struct media_sdp_m *m;
	struct end e;

	(void)state;
	end_open(&e, MEDIA_SRTP_OPTIONAL, true, NULL, NULL);
	m = answer(&e, peer(AVP "m=audio 5000 RTP/SAVP 8\r\n" GOOD));
	assert_non_null(m);
	assert_int_equal(got.num_m, 2);
	assert_int_equal(m[0].port, 0);
	assert_int_equal(m[0].proto, MEDIA_PROTO_AVP);
	assert_int_equal(m[1].port, 7000);
	assert_int_equal(m[1].proto, MEDIA_PROTO_SAVP);
	assert_int_equal(m[1].num_crypto, 1);
	addr_is(&e.n.now.rtp, "192.0.2.1:5000");
	end_close(&e);
	/* Where SRTP is disabled it is the other one. */
	end_open(&e, MEDIA_SRTP_DISABLED, true, NULL, NULL);
	m = answer(&e, peer("m=audio 5000 RTP/SAVP 8\r\n" GOOD AVP));
	assert_non_null(m);
	assert_int_equal(m[0].port, 0);
	assert_int_equal(m[1].port, 7000);
	assert_int_equal(m[1].num_crypto, 0);
	end_close(&e);
}

/* ---- codecs ---- */

static void
codec_and_numbers_come_from_the_offer(void **state)
{
	static const struct {
		const char *why, *ours, *m_lines;
		const char *codec; /* NULL: none in common */
		int pt, event;
		unsigned int event_hz;
	} v[] = {
		{ "the peer's first", "opus,pcmu,pcma",
		    "m=audio 1 RTP/AVP 8 0\r\n", "PCMA", 8, -1, 0 },
		{ "the first that we have", "pcmu",
		    "m=audio 1 RTP/AVP 18 9 8 0\r\n", "PCMU", 0, -1, 0 },
		{ "static number with a map", "pcmu",
		    "m=audio 1 RTP/AVP 0\r\na=rtpmap:0 pcmu/8000/1\r\n", "PCMU",
		    0, -1, 0 },
		{ "static number that means something else", "pcmu",
		    "m=audio 1 RTP/AVP 0\r\na=rtpmap:0 L16/8000\r\n", NULL, 0,
		    -1, 0 },
		{ "dynamic number of a static codec", "pcma",
		    "m=audio 1 RTP/AVP 97\r\na=rtpmap:97 PCMA/8000\r\n", "PCMA",
		    97, -1, 0 },
		{ "Opus under another number", "opus",
		    "m=audio 1 RTP/AVP 109 101\r\na=rtpmap:109 OPUS/48000/2\r\n"
		    "a=rtpmap:101 telephone-event/48000\r\n",
		    "opus", 109, 101, 48000 },
		{ "Opus in mono is none", "opus",
		    "m=audio 1 RTP/AVP 109\r\na=rtpmap:109 opus/48000\r\n",
		    NULL, 0, -1, 0 },
		{ "Opus at another clock is none", "opus",
		    "m=audio 1 RTP/AVP 109\r\na=rtpmap:109 opus/16000/2\r\n",
		    NULL, 0, -1, 0 },
		{ "events at the clock of the codec are better", "opus",
		    "m=audio 1 RTP/AVP 96 101 120\r\na=rtpmap:96 opus/48000/2"
		    "\r\na=rtpmap:101 telephone-event/8000\r\n"
		    "a=rtpmap:120 telephone-event/48000\r\n",
		    "opus", 96, 120, 48000 },
		{ "events at 8000 Hz will do", "opus",
		    "m=audio 1 RTP/AVP 96 110\r\na=rtpmap:96 opus/48000/2\r\n"
		    "a=rtpmap:110 Telephone-Event/8000\r\n",
		    "opus", 96, 110, 8000 },
		{ "events at a third clock will not", "pcmu",
		    "m=audio 1 RTP/AVP 0 110\r\n"
		    "a=rtpmap:110 telephone-event/16000\r\n",
		    "PCMU", 0, -1, 0 },
		{ "a dynamic number without a map", "opus,pcmu,pcma",
		    "m=audio 1 RTP/AVP 96\r\n", NULL, 0, -1, 0 },
	};
	const struct media_sdp_m *m;
	const struct media_agreed *a;
	struct end e;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		print_message("%s\n", v[i].why);
		end_open(&e, MEDIA_SRTP_DISABLED, false, NULL, v[i].ours);
		a = &e.n.now;
		m = answer(&e, peer(v[i].m_lines));
		if (v[i].codec == NULL) {
			assert_int_equal(e.err, E_MEDIA_NO_COMMON);
			end_close(&e);
			continue;
		}
		assert_int_equal(e.err, 0);
		assert_string_equal(a->codec->name, v[i].codec);
		assert_int_equal(a->pt_tx, v[i].pt);
		assert_int_equal(a->pt_rx, v[i].pt);
		assert_int_equal(a->dtmf_tx, v[i].event);
		assert_int_equal(a->dtmf_rx, v[i].event);
		/* The answer says just that. */
		assert_int_equal(m->num_fmts, v[i].event < 0 ? 1 : 2);
		assert_int_equal(m->fmts[0].pt, v[i].pt);
		assert_true(slice_is(m->fmts[0].name, v[i].codec));
		if (v[i].event >= 0) {
			assert_int_equal(m->fmts[1].pt, v[i].event);
			assert_int_equal(m->fmts[1].clock_hz, v[i].event_hz);
			assert_int_equal(a->dtmf_hz, v[i].event_hz);
		}
		end_close(&e);
	}
}

static void
each_end_sends_under_the_others_numbers(void **state)
{
	const struct media_sdp_m *m;
	const struct media_agreed *a;
	struct end e;
	uint8_t opus_pt;

	(void)state;
	end_open(&e, MEDIA_SRTP_DISABLED, false, NULL, "opus,pcmu,pcma");
	m = offer(&e);
	assert_true(slice_is(m->fmts[0].name, "opus"));
	opus_pt = m->fmts[0].pt;
	assert_int_equal(accept_answer(&e,
			     peer("m=audio 1 RTP/AVP 98 97\r\n"
				  "a=rtpmap:98 opus/48000/2\r\n"
				  "a=fmtp:98 useinbandfec=1; "
				  "maxaveragebitrate=20000\r\n"
				  "a=rtpmap:97 telephone-event/48000\r\n")),
	    0);
	a = &e.n.now;
	assert_int_equal(a->pt_tx, 98);
	assert_int_equal(a->pt_rx, opus_pt);
	assert_int_equal(a->dtmf_tx, 97);
	assert_int_equal(a->dtmf_rx, 100);
	assert_true(a->params.fec);
	assert_int_equal(a->params.bitrate, 20000);
	end_close(&e);
}

static void
an_answer_may_keep_a_second_codec(void **state)
{
	struct end e;

	(void)state;
	end_open(&e, MEDIA_SRTP_DISABLED, false, NULL, "opus,pcmu,pcma");
	assert_non_null(offer(&e));
	assert_int_equal(
	    accept_answer(&e, peer("m=audio 1 RTP/AVP 8 0\r\n")), 0);
	assert_ptr_equal(e.n.now.codec, &media_pcma);
	assert_ptr_equal(e.n.now.alt, &media_pcmu);
	assert_int_equal(e.n.now.alt_pt, 0);
	end_close(&e);
}

static void
a_number_keeps_its_meaning(void **state)
{
	const struct media_sdp_m *m;
	struct end e;

	(void)state;
	end_open(&e, MEDIA_SRTP_DISABLED, false, NULL, "opus,pcmu");
	/* The peer takes for Opus what we would have called DTMF. */
	assert_non_null(answer(&e,
	    peer("m=audio 1 RTP/AVP 101 96\r\na=rtpmap:101 opus/48000/2\r\n"
		 "a=rtpmap:96 telephone-event/8000\r\n")));
	m = offer(&e);
	assert_int_equal(m->num_fmts, 4); /* no number twice */
	assert_int_equal(m->fmts[0].pt, 101);
	assert_true(slice_is(m->fmts[0].name, "opus"));
	assert_int_equal(m->fmts[1].pt, 0);
	assert_int_equal(m->fmts[2].pt, 96);
	assert_int_equal(m->fmts[2].clock_hz, 8000);
	assert_int_equal(m->fmts[3].clock_hz, 48000);
	end_close(&e);
}

static void
packet_time_is_what_both_can_do(void **state)
{
	static const struct {
		const char *codec, *attrs;
		unsigned int want;
	} v[] = {
		{ "pcmu", "", 20 },
		{ "pcmu", "a=ptime:30\r\n", 30 },
		{ "opus", "a=ptime:30\r\n", 20 },
		{ "opus", "a=ptime:50\r\n", 40 },
		{ "opus", "a=ptime:60\r\n", 60 },
		{ "pcmu", "a=ptime:25\r\n", 20 },
		{ "pcmu", "a=ptime:3\r\n", 10 },
		{ "pcmu", "a=ptime:200\r\n", 60 },
		{ "pcmu", "a=ptime:99999\r\n", 20 },
		{ "pcmu", "a=maxptime:10\r\n", 10 },
		{ "pcmu", "a=ptime:40\r\na=maxptime:30\r\n", 30 },
	};
	char text[200];
	struct end e;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		end_open(&e, MEDIA_SRTP_DISABLED, false, NULL, v[i].codec);
		(void)snprintf(text, sizeof(text),
		    "m=audio 1 RTP/AVP 0 96\r\na=rtpmap:96 opus/48000/2\r\n%s",
		    v[i].attrs);
		assert_non_null(answer(&e, peer(text)));
		assert_int_equal(e.n.now.ptime_ms, v[i].want);
		assert_int_equal(got.m[0].ptime_ms, v[i].want);
		end_close(&e);
	}
}

/* ---- directions and addresses ---- */

static void
directions_are_mirrored(void **state)
{
	static const struct {
		const char *offered;
		bool hold;
		enum media_dir want;
	} v[] = {
		{ "", false, MEDIA_SENDRECV },
		{ "a=sendrecv\r\n", false, MEDIA_SENDRECV },
		{ "a=sendonly\r\n", false, MEDIA_RECV },
		{ "a=recvonly\r\n", false, MEDIA_SEND },
		{ "a=inactive\r\n", false, MEDIA_INACTIVE },
		{ "", true, MEDIA_SEND },
		{ "a=sendonly\r\n", true, MEDIA_INACTIVE },
		{ "a=recvonly\r\n", true, MEDIA_SEND },
		{ "a=inactive\r\n", true, MEDIA_INACTIVE },
		/* RFC 2543's hold: there is nowhere to send to. */
		{ "c=IN IP4 0.0.0.0\r\n", false, MEDIA_RECV },
		{ "c=IN IP4 0.0.0.0\r\na=recvonly\r\n", false, MEDIA_INACTIVE },
	};
	char text[200];
	struct end e;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		(void)snprintf(text, sizeof(text), AVP "%s", v[i].offered);
		end_open(&e, MEDIA_SRTP_DISABLED, false, NULL, NULL);
		e.n.hold = v[i].hold;
		assert_non_null(answer(&e, peer(text)));
		assert_int_equal(e.n.now.dir, v[i].want);
		assert_int_equal(got.m[0].dir, v[i].want);
		end_close(&e);
	}
}

static void
an_answer_cannot_widen_the_direction(void **state)
{
	static const struct {
		bool hold;
		const char *answered;
		enum media_dir want;
	} v[] = {
		{ false, "", MEDIA_SENDRECV },
		{ false, "a=recvonly\r\n", MEDIA_SEND },
		{ false, "a=sendonly\r\n", MEDIA_RECV },
		{ false, "a=inactive\r\n", MEDIA_INACTIVE },
		{ true, "a=recvonly\r\n", MEDIA_SEND },
		{ true, "", MEDIA_SEND },
		{ true, "a=sendonly\r\n", MEDIA_INACTIVE },
	};
	char text[200];
	struct end e;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		(void)snprintf(text, sizeof(text), AVP "%s", v[i].answered);
		end_open(&e, MEDIA_SRTP_DISABLED, false, NULL, NULL);
		e.n.hold = v[i].hold;
		assert_int_equal(
		    offer(&e)->dir, v[i].hold ? MEDIA_SEND : MEDIA_SENDRECV);
		assert_int_equal(accept_answer(&e, peer(text)), 0);
		assert_int_equal(e.n.now.dir, v[i].want);
		end_close(&e);
	}
}

static void
rtcp_goes_where_it_was_asked_to(void **state)
{
	static const struct {
		const char *attrs, *rtcp;
		bool mux;
	} v[] = {
		{ "", "192.0.2.1:4001", false },
		{ "a=rtcp:4010\r\n", "192.0.2.1:4010", false },
		{ "a=rtcp:4010 IN IP4 192.0.2.2\r\n", "192.0.2.2:4010", false },
		{ "a=rtcp:4010 IN IP6 2001:db8::1\r\n", "192.0.2.1:4010",
		    false },
		/* The address of those is not for us to send to. */
		{ "a=rtcp:4010 IN IP4 224.0.1.75\r\n", "192.0.2.1:4010",
		    false },
		{ "a=rtcp:4010 IN IP4 0.0.0.0\r\n", "192.0.2.1:4010", false },
		{ "a=rtcp:4010 IN IP4 127.0.0.1\r\n", "192.0.2.1:4010", false },
		{ "c=IN IP4 127.0.0.2\r\na=rtcp:4010 IN IP4 127.0.0.1\r\n",
		    "127.0.0.1:4010", false },
		{ "a=rtcp:4010 IN IP4 127.0.0.1\r\nc=IN IP4 127.0.0.2\r\n",
		    "127.0.0.1:4010", false },
		{ "a=rtcp-mux\r\n", "192.0.2.1:4000", true },
	};
	char text[200];
	struct end e;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		(void)snprintf(text, sizeof(text), AVP "%s", v[i].attrs);
		end_open(&e, MEDIA_SRTP_DISABLED, false, NULL, NULL);
		assert_non_null(answer(&e, peer(text)));
		addr_is(&e.n.now.rtp,
		    strstr(v[i].attrs, "c=") != NULL ? "127.0.0.2:4000"
						     : "192.0.2.1:4000");
		addr_is(&e.n.now.rtcp, v[i].rtcp);
		assert_true(e.n.now.rtcp_mux == v[i].mux);
		assert_true(got.m[0].rtcp_mux == v[i].mux);
		end_close(&e);
	}
	/* On hold by 0.0.0.0 reports have nowhere to go either (RFC 3264
	 * 8.4): to the kernel that address is ourselves. */
	end_open(&e, MEDIA_SRTP_DISABLED, false, NULL, NULL);
	assert_non_null(
	    answer(&e, peer_at("IP4", "0.0.0.0", AVP "a=rtcp:4010\r\n")));
	assert_int_equal(addr_port(&e.n.now.rtcp), 0);
	assert_int_equal(addr_port(&e.n.now.rtp), 0);
	end_close(&e);
}

static void
the_other_family_is_refused(void **state)
{
	struct end e;

	(void)state;
	end_open(&e, MEDIA_SRTP_DISABLED, false, NULL, NULL);
	answer(&e, peer_at("IP6", "2001:db8::1", AVP));
	assert_int_equal(e.err, E_MEDIA_NO_COMMON);
	assert_non_null(strstr(e.why, "IPv6"));
	end_close(&e);
}

/* ---- lines that are not ours ---- */

static void
other_lines_are_refused_in_their_places(void **state)
{
	static const char lines[] =
	    "m=video 6000 RTP/AVP 99 34\r\n"
	    "a=rtpmap:99 H264/90000\r\n" AVP "m=application 6002 UDP/BFCP *\r\n"
	    "m=audio 6004 RTP/AVP 8\r\n";
	const struct media_sdp_m *m;
	struct end e;

	(void)state;
	end_open(&e, MEDIA_SRTP_DISABLED, false, NULL, NULL);
	/* An offer of ours must have a line for each of theirs, too. */
	for (int round = 0; round < 2; round++) {
		m = round == 0 ? answer(&e, peer(lines)) : offer(&e);
		assert_non_null(m);
		assert_int_equal(got.num_m, 4);
		assert_int_equal(m[0].port, 0);
		assert_true(slice_is(m[0].kind, "video"));
		assert_true(slice_is(m[0].fmts_text, "99 34"));
		assert_int_equal(m[1].port, 7000);
		assert_int_equal(m[2].port, 0);
		assert_true(slice_is(m[2].proto_text, "UDP/BFCP"));
		assert_true(slice_is(m[2].fmts_text, "*"));
		assert_int_equal(m[3].port, 0);
	}
	/* In the answer ours is the second. */
	assert_int_equal(accept_answer(&e, peer(AVP)), E_MEDIA_SDP);
	assert_int_equal(
	    accept_answer(&e, peer("m=video 0 RTP/AVP 99\r\n" AVP)), 0);
	end_close(&e);
}

static void
an_offer_without_audio_is_refused(void **state)
{
	static const char *const v[] = { "m=video 6000 RTP/AVP 99\r\n",
		"m=audio 0 RTP/AVP 0\r\n", "m=audio 5 UDP 0\r\n" };
	struct end e;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		end_open(&e, MEDIA_SRTP_OPTIONAL, true, NULL, NULL);
		answer(&e, peer(v[i]));
		assert_int_equal(e.err, E_MEDIA_NO_COMMON);
		end_close(&e);
	}
}

int
main(void)
{
#define T(f) cmocka_unit_test(f)
	const struct CMUnitTest tests[] = {
		T(offers_are_judged_by_the_policy),
		T(what_is_offered_follows_the_policy),
		T(answers_are_judged_by_the_policy),
		T(two_of_us_agree_as_the_policy_says),
		T(the_secure_line_of_two_is_taken),
		T(codec_and_numbers_come_from_the_offer),
		T(each_end_sends_under_the_others_numbers),
		T(an_answer_may_keep_a_second_codec),
		T(a_number_keeps_its_meaning),
		T(packet_time_is_what_both_can_do),
		T(directions_are_mirrored),
		T(an_answer_cannot_widen_the_direction),
		T(rtcp_goes_where_it_was_asked_to),
		T(the_other_family_is_refused),
		T(other_lines_are_refused_in_their_places),
		T(an_offer_without_audio_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
