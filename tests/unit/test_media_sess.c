/* SPDX-License-Identifier: ISC */
/* Whole audio sessions over loopback in fake time: two against each other, and
 * one against a peer of raw sockets that does as it likes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "test_media_peer.h"

enum { PT_EVENT = 101 };

/* ---- audio ---- */

static void
a_tone_is_heard_on_the_other_side(void **state)
{
	static const struct {
		const char *codecs, *shown;
		enum media_srtp_mode mode;
		unsigned int ptime_ms, rate;
		double snr_db;
	} v[] = {
		{ "pcmu", "PCMU/8000", MEDIA_SRTP_DISABLED, 20, 8000, 30 },
		{ "pcma", "PCMA/8000", MEDIA_SRTP_STANDARD, 30, 8000, 30 },
		{ "opus", "opus/48000", MEDIA_SRTP_OPTIONAL, 20, 48000, 15 },
		{ "opus", "opus/48000", MEDIA_SRTP_DISABLED, 60, 48000, 15 },
	};
	static int16_t pcm[PCM_MAX];
	struct media_stats sa, sb;
	struct party a, b;
	unsigned int rate;
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct media_conf ca = conf("tone:440"), cb = conf("null");
		unsigned int frames = 2000 / v[i].ptime_ms;

		print_message("%s, SRTP %s\n", v[i].shown,
		    media_srtp_mode_name(v[i].mode));
		ca.codecs = cb.codecs = v[i].codecs;
		ca.srtp = cb.srtp = v[i].mode;
		ca.ptime_ms = v[i].ptime_ms;
		party_open(&a, &ca);
		party_open_rec(&b, cb);
		agree(&a, &b);
		start(&a);
		start(&b);
		loop_fake_run(l, 2 * S);
		sa = stats(&a);
		sb = stats(&b);
		assert_string_equal(sa.codec, v[i].shown);
		assert_string_equal(sa.device, "tone:440");
		assert_string_equal(
		    sa.suite, v[i].mode == MEDIA_SRTP_DISABLED ? "" : S80);
		assert_int_equal(sa.ptime_ms, v[i].ptime_ms);
		assert_int_equal(sb.ptime_ms, v[i].ptime_ms);
		assert_in_range(sa.tx_packets, frames - 1, frames + 1);
		assert_int_equal(sb.rx_packets, sa.tx_packets);
		assert_int_equal(sb.rx_bytes, sa.tx_bytes);
		assert_int_equal(sa.rx_packets, sb.tx_packets);
		if (v[i].rate == 8000)
			assert_int_equal(
			    sa.tx_bytes, sa.tx_packets * v[i].ptime_ms * 8);
		assert_int_equal(sb.rx_lost + sb.rx_late + sb.rx_dup, 0);
		assert_int_equal(sb.srtp_auth_fail + sb.rx_foreign, 0);
		assert_int_equal(sb.rx_clear_refused, 0);
		assert_true(sa.sending && sa.receiving);
		assert_in_range(sb.first_rx_us, 0, 100 * MS);
		assert_int_equal(a.events[MEDIA_EV_FIRST_RX], 1);
		assert_int_equal(b.events[MEDIA_EV_FIRST_RX], 1);
		assert_true(addr_eq(&sa.remote, &sb.local));
		assert_true(addr_eq(&sb.remote, &sa.local));
		/* One way: nothing but silence comes back. */
		assert_true(sb.level_rx_db > -12 && sb.level_rx_db < -8);
		assert_true(sa.level_rx_db < -60); /* A-law's silence is 8 */
		n = recorded(&b, pcm, &rate);
		assert_int_equal(rate, v[i].rate);
		assert_true(n > rate * 3 / 2);
		assert_true(
		    media_tone_snr_db(pcm, n, rate, 440, 0.5) > v[i].snr_db);
		party_close(&a);
	}
}

static void
a_muted_microphone_is_not_heard(void **state)
{
	struct media_conf c = conf("tone:440");
	struct party a, b;

	(void)state;
	c.mic_muted = true;
	party_open(&a, &c);
	c = conf("null");
	party_open(&b, &c);
	agree(&a, &b);
	start(&a);
	start(&b);
	loop_fake_run(l, 2 * S);
	assert_true(stats(&b).level_rx_db < -80);
	assert_int_equal(stats(&b).rx_packets, stats(&a).tx_packets);
	party_close(&a);
	party_close(&b);
}

static void
a_file_is_played_to_its_end(void **state)
{
	static int16_t pcm[PCM_MAX];
	struct media_conf c = conf("null");
	struct media_tone t;
	struct media_wav *w;
	struct party a, b;
	unsigned int rate;
	int fd = memfd_create("play", MFD_CLOEXEC), copy = dup(fd);
	size_t n;

	(void)state;
	/* No WAV yet: refused, and the descriptor is still ours. */
	c.play_fd = fd;
	assert_int_equal(
	    media_sess_new(&a.s, &c, on_event, &a), E_MEDIA_DEVICE);
	assert_int_equal(media_wav_create_fd(&w, copy, 16000), 0);
	memset(pcm, 0, sizeof(pcm));
	media_tone_init(&t, 1000, 16000, -10);
	media_tone_add(&t, pcm, 16000);
	assert_int_equal(media_wav_write(w, pcm, 16000), 0);
	media_wav_close(w);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	party_open(&a, &c);
	party_open_rec(&b, conf("null"));
	agree(&a, &b);
	start(&a);
	start(&b);
	loop_fake_run(l, 900 * MS);
	assert_int_equal(a.events[MEDIA_EV_PLAYED], 0);
	loop_fake_run(l, 600 * MS);
	assert_int_equal(a.events[MEDIA_EV_PLAYED], 1);
	n = recorded(&b, pcm, &rate);
	assert_true(n > rate);
	assert_true(
	    media_tone_snr_db(pcm, rate * 9 / 10, rate, 1000, 0.2) > 25);
	party_close(&a);
}

static void
on_hold_nothing_is_sent_back(void **state)
{
	struct media_conf c = conf("tone:440");
	uint64_t tx, rx;
	struct party a, b;

	(void)state;
	party_open(&a, &c);
	party_open(&b, &c);
	agree(&a, &b);
	start(&a);
	start(&b);
	loop_fake_run(l, 2 * S);
	/* The microphone is silent before the peer has agreed. */
	media_sess_hold(a.s, true);
	loop_fake_run(l, 3 * S);
	assert_true(stats(&b).level_rx_db < -80);
	agree(&a, &b);
	loop_fake_run(l, 100 * MS);
	assert_false(stats(&a).receiving);
	assert_true(stats(&a).sending);
	assert_false(stats(&b).sending);
	tx = stats(&b).tx_packets;
	rx = stats(&b).rx_packets;
	loop_fake_run(l, 40 * S);
	assert_int_equal(stats(&b).tx_packets, tx);
	assert_true(stats(&b).rx_packets > rx + 1900);
	assert_int_equal(a.events[MEDIA_EV_TIMEOUT], 0);
	media_sess_hold(a.s, false);
	agree(&a, &b);
	loop_fake_run(l, 3 * S);
	assert_true(stats(&a).level_rx_db > -12);
	assert_true(stats(&b).level_rx_db > -12);
	assert_int_equal(stats(&a).rx_lost + stats(&b).rx_lost, 0);
	party_close(&a);
	party_close(&b);
}

static void
silence_of_the_network_is_told_once(void **state)
{
	struct media_conf c = conf("null");
	struct party p;
	static struct raw r;

	(void)state;
	party_open(&p, &c);
	raw_open(&r, "127.0.0.1");
	assert_int_equal(media_sess_start(p.s), EINVAL); /* nothing agreed */
	raw_offer(&r, &p, "RTP/AVP", "");
	start(&p);
	start(&p); /* again is success */
	loop_fake_run(l, 29 * S);
	assert_int_equal(p.events[MEDIA_EV_TIMEOUT], 0);
	loop_fake_run(l, 3 * S);
	assert_int_equal(p.events[MEDIA_EV_TIMEOUT], 1);
	loop_fake_run(l, 60 * S);
	assert_int_equal(p.events[MEDIA_EV_TIMEOUT], 1);
	assert_int_equal(stats(&p).first_rx_us, -1);
	/* Once more after it had come back. */
	raw_send(&r);
	loop_fake_run(l, 31 * S);
	assert_int_equal(p.events[MEDIA_EV_TIMEOUT], 2);
	party_close(&p);
	raw_close(&r);
}

/* Sends a receiver report, to the port of RTCP. */
static void
raw_report(struct raw *r)
{
	struct media_rtcp_view view = { .ssrc = 77 };
	uint8_t out[MEDIA_PACKET_MAX];
	struct addr to = r->to;
	struct media_rtcp report;
	size_t n;

	media_rtcp_init(&report);
	n = media_rtcp_write(&report, &view, false, clock_mono_us(), out);
	if (r->tx != NULL)
		assert_int_equal(media_srtp_protect(r->tx, out, &n, true), 0);
	addr_set_port(&to, (uint16_t)(addr_port(&to) + 1));
	assert_int_equal(udp_send(r->rtcp, out, n, &to), 0);
}

/* Who suppresses silence sends reports; under SRTP they must be real ones. */
static void
reports_are_a_sign_of_life(void **state)
{
	static const struct {
		bool secure, real;
		unsigned int want; /* timeouts */
	} v[] = { { false, true, 0 }, { true, true, 0 }, { true, false, 1 } };
	struct media_conf c = conf("null");
	static struct raw r;
	struct media_crypto key;
	struct party p;

	(void)state;
	c.srtp = MEDIA_SRTP_OPTIONAL;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		party_open(&p, &c);
		raw_open(&r, "127.0.0.1");
		key = raw_offer(
		    &r, &p, "RTP/AVP", v[i].secure ? CRYPTO(KEY) : "");
		start(&p);
		if (v[i].real && v[i].secure)
			raw_keys(&r, KEY, &key);
		for (int k = 0; k < 12; k++) {
			raw_report(&r);
			loop_fake_run(l, 5 * S);
		}
		assert_int_equal(p.events[MEDIA_EV_TIMEOUT], v[i].want);
		loop_fake_run(l, 31 * S);
		assert_int_equal(p.events[MEDIA_EV_TIMEOUT], 1);
		assert_int_equal(stats(&p).first_rx_us, -1);
		party_close(&p);
		raw_close(&r);
	}
}

/* Nothing is missing while the peer is not supposed to send; when it is again,
 * it has its time from then on. */
static void
on_hold_nothing_is_missed(void **state)
{
	static const char *const holds[] = { "a=recvonly\r\n", "a=inactive\r\n",
		"c=IN IP4 0.0.0.0\r\n" };
	struct media_conf c = conf("null");
	static struct raw r;
	struct party p;

	(void)state;
	for (size_t i = 0; i < sizeof(holds) / sizeof(holds[0]); i++) {
		print_message("%s", holds[i]);
		party_open(&p, &c);
		raw_open(&r, "127.0.0.1");
		raw_offer(&r, &p, "RTP/AVP", "");
		start(&p);
		loop_fake_run(l, 20 * S);
		raw_offer(&r, &p, "RTP/AVP", holds[i]);
		loop_fake_run(l, 100 * S);
		raw_offer(&r, &p, "RTP/AVP", "");
		loop_fake_run(l, 28 * S);
		assert_int_equal(p.events[MEDIA_EV_TIMEOUT], 0);
		loop_fake_run(l, 3 * S);
		assert_int_equal(p.events[MEDIA_EV_TIMEOUT], 1);
		party_close(&p);
		raw_close(&r);
	}
}

/* ---- whom to believe ---- */

static void
in_clear_one_source_is_believed(void **state)
{
	static const struct {
		const char *why, *ip; /* of the stranger */
		bool peer_first;
		int64_t wait_us;
		bool latched; /* to the stranger */
	} v[] = {
		{ "the peer came first", "127.0.0.1", true, 0, false },
		{ "another port, at once: a NAT", "127.0.0.1", false, 0, true },
		{ "another port, in time", "127.0.0.1", false, 9 * S, true },
		{ "another port, too late", "127.0.0.1", false, 11 * S, false },
		{ "another address, at once", "127.0.0.2", false, 0, false },
	};
	static struct raw peer, stranger;
	struct media_conf c = conf("null");
	struct media_stats st;
	struct party p;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		print_message("%s\n", v[i].why);
		party_open(&p, &c);
		raw_open(&peer, "127.0.0.1");
		raw_open(&stranger, v[i].ip);
		raw_offer(&peer, &p, "RTP/AVP", "");
		stranger.to = peer.to;
		raw_send(&stranger); /* before the start: not heard at all */
		start(&p);
		if (v[i].peer_first)
			raw_send(&peer);
		loop_fake_run(l, v[i].wait_us);
		for (int k = 0; k < 3; k++)
			raw_send(&stranger);
		raw_send(&peer);
		st = stats(&p);
		assert_int_equal(
		    st.rx_packets, v[i].latched ? 3 : 1 + v[i].peer_first);
		assert_int_equal(st.rx_foreign, v[i].latched ? 1 : 3);
		assert_true(addr_eq(
		    &st.remote, v[i].latched ? &stranger.at : &peer.at));
		assert_true((stranger.rtp_num > 0) == v[i].latched);
		party_close(&p);
		raw_close(&peer);
		raw_close(&stranger);
	}
}

static void
with_srtp_the_key_is_believed(void **state)
{
	static struct raw peer, stranger;
	struct media_conf c = conf("null");
	struct media_crypto key;
	struct media_stats st;
	struct party p;

	(void)state;
	c.srtp = MEDIA_SRTP_STANDARD;
	party_open(&p, &c);
	raw_open(&peer, "127.0.0.1");
	raw_open(&stranger, "127.0.0.2");
	key = raw_offer(&peer, &p, "RTP/SAVP", CRYPTO(KEY));
	start(&p);
	raw_keys(&peer, KEY, &key);
	stranger.to = peer.to;
	raw_send(&peer);
	assert_int_equal(stats(&p).rx_packets, 1);
	/* Clear audio of the agreed kind, from the right place, too. */
	stranger.seq = 50;
	raw_send(&stranger);
	media_srtp_free(peer.tx);
	peer.tx = NULL;
	raw_send(&peer);
	st = stats(&p);
	assert_int_equal(st.rx_clear_refused, 2);
	assert_int_equal(st.rx_packets, 1);
	/* Under a wrong key. */
	raw_keys(&stranger, KEY_2, &key);
	raw_send(&stranger);
	st = stats(&p);
	assert_int_equal(st.srtp_auth_fail, 1);
	assert_int_equal(st.rx_packets, 1);
	assert_true(addr_eq(&st.remote, &peer.at));
	assert_int_equal(stranger.num, 0);
	/* Who has the key may move, at any time. */
	raw_keys(&stranger, KEY, &key);
	stranger.seq = 100;
	raw_send(&stranger);
	raw_send(&stranger);
	st = stats(&p);
	assert_int_equal(st.rx_packets, 3);
	assert_true(addr_eq(&st.remote, &stranger.at));
	assert_true(stranger.rtp_num > 0);
	party_close(&p);
	raw_close(&peer);
	raw_close(&stranger);
}

static void
what_was_not_agreed_is_not_audio(void **state)
{
	static struct raw peer;
	struct media_conf c = conf("null");
	uint8_t junk[2000];
	struct party p;

	(void)state;
	party_open(&p, &c);
	raw_open(&peer, "127.0.0.1");
	raw_offer(&peer, &p, "RTP/AVP", EVENTS_OK);
	start(&p);
	raw_send(&peer);
	raw_send_pt(&peer, 8);
	raw_send_pt(&peer, 96);
	/* RTCP without rtcp-mux, and what is no RTP at all. */
	memset(junk, 0x80, sizeof(junk));
	junk[1] = 200;
	assert_int_equal(udp_send(peer.rtp, junk, 100, &peer.to), 0);
	junk[0] = 0;
	assert_int_equal(udp_send(peer.rtp, junk, 100, &peer.to), 0);
	assert_int_equal(udp_send(peer.rtp, junk, 0, &peer.to), 0);
	junk[0] = 0x80;
	junk[1] = 0;
	assert_int_equal(udp_send(peer.rtp, junk, sizeof(junk), &peer.to), 0);
	loop_fake_run(l, 20 * MS);
	assert_int_equal(stats(&p).rx_packets, 1);
	assert_int_equal(p.events[MEDIA_EV_DTMF], 0);
	party_close(&p);
	raw_close(&peer);
}

/* A re-INVITE with a new key: no packet is lost on either side of it. */
static void
keys_change_without_a_gap(void **state)
{
	static struct raw peer;
	struct media_srtp *old_tx, *old_rx;
	struct media_conf c = conf("null");
	struct media_crypto key, key_2;
	struct party p;
	size_t from;
	struct seen *s;

	(void)state;
	c.srtp = MEDIA_SRTP_STANDARD;
	party_open(&p, &c);
	raw_open(&peer, "127.0.0.1");
	key = raw_offer(&peer, &p, "RTP/SAVP", CRYPTO(KEY));
	start(&p);
	raw_keys(&peer, KEY, &key);
	raw_send(&peer);
	old_tx = peer.tx;
	old_rx = peer.rx;
	peer.tx = peer.rx = NULL;
	key_2 = raw_offer(&peer, &p, "RTP/SAVP", CRYPTO(KEY_2));
	assert_false(media_crypto_same_key(&key, &key_2));
	raw_keys(&peer, KEY_2, &key_2);
	/* Packets under the old key are still taken, and answered with it: the
	 * peer may not have seen our answer. */
	from = peer.num;
	for (int i = 0; i < 3; i++) {
		struct media_srtp *fresh = peer.tx;

		peer.tx = old_tx;
		raw_send(&peer);
		peer.tx = fresh;
	}
	assert_int_equal(stats(&p).rx_packets, 4);
	s = &peer.seen[peer.num - 1];
	assert_true(peer.num > from);
	assert_int_equal(media_srtp_unprotect(old_rx, s->p, &s->n, false), 0);
	/* The first one under the new key turns us over. */
	raw_send(&peer);
	raw_send(&peer);
	assert_int_equal(stats(&p).rx_packets, 6);
	s = &peer.seen[peer.num - 1];
	assert_int_equal(media_srtp_unprotect(peer.rx, s->p, &s->n, false), 0);
	/* In the end the old key is no good any more. */
	for (int i = 0; i < 320; i++)
		raw_send(&peer);
	assert_int_equal(stats(&p).srtp_auth_fail, 0);
	media_srtp_free(peer.tx);
	peer.tx = old_tx;
	raw_send(&peer);
	assert_int_equal(stats(&p).srtp_auth_fail, 1);
	media_srtp_free(old_rx);
	party_close(&p);
	raw_close(&peer);
}

/* ---- RTCP ---- */

static void
reports_are_sent_and_read(void **state)
{
	static const struct {
		const char *profile, *attrs;
		bool mux, secure;
	} v[] = {
		{ "RTP/AVP", "", false, false },
		{ "RTP/AVP", "a=rtcp-mux\r\n", true, false },
		{ "RTP/SAVP", CRYPTO(KEY), false, true },
		{ "RTP/SAVP", CRYPTO(KEY) "a=rtcp-mux\r\n", true, true },
	};
	static struct raw peer;
	struct media_conf c = conf("null");
	uint8_t out[MEDIA_PACKET_MAX];

	(void)state;
	c.srtp = MEDIA_SRTP_OPTIONAL;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct media_rtcp_view view = { .ssrc = 77, .has_peer = true };
		struct media_rtcp report;
		struct media_crypto key;
		struct party p;
		struct addr to;
		struct seen *s;
		size_t n;

		party_open(&p, &c);
		raw_open(&peer, "127.0.0.1");
		key = raw_offer(&peer, &p, v[i].profile, v[i].attrs);
		start(&p);
		if (v[i].secure)
			raw_keys(&peer, KEY, &key);
		while (peer.rtcp_num == 0 && peer.seq < 300)
			raw_send(&peer);
		assert_int_equal(peer.rtcp_num, 1);
		for (n = 0; !media_rtp_is_rtcp(peer.seen[n].p, 2); n++)
			;
		s = &peer.seen[n];
		assert_true(s->is_rtcp != v[i].mux);
		assert_true(s->p[1] == 200);
		if (v[i].secure)
			assert_int_equal(
			    media_srtp_unprotect(peer.rx, s->p, &s->n, true),
			    0);
		/* What it has sent, and whom it has heard. */
		assert_in_range(media_get32(s->p + 20), n - 1, n + 1);
		assert_int_equal(media_get32(s->p + 28), 77);
		media_rtcp_init(&report);
		assert_int_equal(
		    media_rtcp_read(&report, 77, s->p, s->n, clock_mono_us()),
		    0);
		/* We report 100 ms later; 30 ms of that are the path's. */
		view.peer_ssrc = media_get32(s->p + 4);
		clock_step_us(70 * MS);
		n = media_rtcp_write(
		    &report, &view, false, clock_mono_us(), out);
		clock_step_us(30 * MS);
		if (v[i].secure)
			assert_int_equal(
			    media_srtp_protect(peer.tx, out, &n, true), 0);
		to = peer.to;
		if (!v[i].mux)
			addr_set_port(&to, (uint16_t)(addr_port(&to) + 1));
		assert_int_equal(
		    udp_send(v[i].mux ? peer.rtp : peer.rtcp, out, n, &to), 0);
		loop_fake_run(l, 1 * MS);
		/* Up to 20 ms passed before we read theirs. */
		assert_in_range(stats(&p).rtt_us, 29 * MS, 51 * MS);
		assert_int_equal(stats(&p).srtp_auth_fail, 0);
		/* The last word is BYE. */
		peer.rtcp_num = peer.num = 0;
		media_sess_stop(p.s);
		loop_fake_run(l, 1 * MS);
		assert_int_equal(peer.rtcp_num, 1);
		s = &peer.seen[peer.num - 1];
		if (v[i].secure)
			assert_int_equal(
			    media_srtp_unprotect(peer.rx, s->p, &s->n, true),
			    0);
		assert_int_equal(s->p[s->n - 7], 203);
		loop_fake_run(l, 1 * S);
		assert_int_equal(
		    peer.rtp_num + peer.rtcp_num, peer.rtp_num + 1);
		party_close(&p);
		raw_close(&peer);
	}
}

static void
who_never_sent_says_no_good_bye(void **state)
{
	static struct raw peer;
	struct media_conf c = conf("null");
	struct party p;

	(void)state;
	for (int sent = 0; sent < 2; sent++) {
		party_open(&p, &c);
		raw_open(&peer, "127.0.0.1");
		(void)raw_offer(&peer, &p, "RTP/AVP", "");
		start(&p);
		loop_fake_run(l, sent * 100 * MS);
		media_sess_stop(p.s);
		loop_fake_run(l, 1 * S);
		assert_int_equal(peer.rtcp_num, sent);
		assert_true((peer.rtp_num > 0) == (sent > 0));
		party_close(&p);
		raw_close(&peer);
	}
}

/* ---- DTMF ---- */

static void
digits_arrive_once_and_in_order(void **state)
{
	static const char *const codecs[] = { "pcmu", "opus" };
	char many[MEDIA_DTMF_QUEUE + 2];
	struct party a, b;

	(void)state;
	memset(many, '5', sizeof(many));
	many[sizeof(many) - 1] = '\0';
	for (size_t i = 0; i < 2; i++) {
		struct media_conf c = conf("null");

		c.codecs = codecs[i];
		c.srtp = MEDIA_SRTP_STANDARD;
		party_open(&a, &c);
		party_open(&b, &c);
		agree(&a, &b);
		start(&a);
		start(&b);
		assert_int_equal(media_sess_dtmf(a.s, "1x"), E_PARSE);
		assert_int_equal(media_sess_dtmf(a.s, many), E_LIMIT);
		assert_int_equal(media_sess_dtmf(a.s, "12"), 0);
		assert_int_equal(media_sess_dtmf(a.s, "2#*d0"), 0);
		assert_int_equal(media_sess_dtmf(b.s, "9"), 0);
		loop_fake_run(l, 3 * S);
		assert_string_equal(b.digits, "122#*D0");
		assert_int_equal(b.events[MEDIA_EV_DTMF], 7);
		assert_string_equal(a.digits, "9");
		/* They take places of audio: none is lost. */
		assert_int_equal(stats(&b).rx_lost, 0);
		party_close(&a);
		party_close(&b);
	}
}

static void
an_event_is_sent_as_rfc_4733_says(void **state)
{
	static struct raw peer;
	struct media_conf c = conf("null");
	struct party p;
	struct media_rtp h;
	uint32_t ts = 0;
	uint16_t last = 0;
	int n = 0, ends = 0;

	(void)state;
	party_open(&p, &c);
	raw_open(&peer, "127.0.0.1");
	raw_offer(&peer, &p, "RTP/AVP", EVENTS_OK);
	start(&p);
	assert_int_equal(media_sess_dtmf(p.s, "#"), 0);
	loop_fake_run(l, 500 * MS);
	for (size_t i = 0; i < peer.num; i++) {
		assert_int_equal(
		    media_rtp_parse(&h, peer.seen[i].p, peer.seen[i].n), 0);
		if (h.pt != PT_EVENT)
			continue;
		assert_int_equal(h.n, 4);
		assert_int_equal(h.payload[0], 11);
		assert_true(h.marker == (n == 0));
		if (n++ == 0)
			ts = h.ts;
		/* One time, a duration that grows, the end three times. */
		assert_int_equal(h.ts, ts);
		ends += (h.payload[1] & 0x80) != 0;
		if (ends <= 1)
			assert_true(media_get16(h.payload + 2) > last);
		else
			assert_int_equal(media_get16(h.payload + 2), last);
		last = media_get16(h.payload + 2);
	}
	assert_int_equal(ends, 3);
	assert_int_equal(last, 120 * 8);
	party_close(&p);
	raw_close(&peer);
}

static void
without_events_digits_are_audible(void **state)
{
	static struct raw peer;
	static int16_t pcm[FRAME * 6];
	struct media_conf c = conf("null");
	struct party p;
	struct media_rtp h;

	(void)state;
	party_open(&p, &c);
	raw_open(&peer, "127.0.0.1");
	raw_offer(&peer, &p, "RTP/AVP", "");
	start(&p);
	assert_int_equal(media_sess_dtmf(p.s, "1"), 0);
	loop_fake_run(l, 150 * MS);
	assert_true(peer.num >= 6);
	for (size_t i = 0; i < 6; i++) {
		assert_int_equal(
		    media_rtp_parse(&h, peer.seen[i].p, peer.seen[i].n), 0);
		assert_int_equal(h.n, FRAME);
		for (size_t k = 0; k < FRAME; k++)
			pcm[i * FRAME + k] = media_ulaw_decode(h.payload[k]);
	}
	/* Each of the two is half of it. */
	assert_true(media_tone_snr_db(pcm, FRAME * 6, 8000, 697, 0) > -1);
	assert_true(media_tone_snr_db(pcm, FRAME * 6, 8000, 1209, 0) > -1);
	party_close(&p);
	raw_close(&peer);
}

/* ---- the end ---- */

static void
a_session_may_be_freed_at_any_time(void **state)
{
	/* In each of its callbacks, and between two. */
	static const int events[] = { MEDIA_EV_FIRST_RX, MEDIA_EV_DTMF,
		MEDIA_EV_TIMEOUT, -1 };
	struct party a, b;

	(void)state;
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		struct media_conf c = conf("loop");

		c.srtp = MEDIA_SRTP_STANDARD;
		party_open(&a, &c);
		party_open(&b, &c);
		agree(&a, &b);
		start(&a);
		if (events[i] != MEDIA_EV_TIMEOUT)
			start(&b);
		a.free_on = events[i];
		assert_int_equal(media_sess_dtmf(b.s, "123"), 0);
		loop_fake_run(l, 500 * MS);
		if (events[i] == MEDIA_EV_TIMEOUT)
			loop_fake_run(l, 31 * S);
		if (events[i] >= 0) {
			assert_null(a.s);
			assert_int_equal(a.events[events[i]], 1);
		}
		/* With packets on their way to it. */
		party_close(&a);
		loop_fake_run(l, 1 * S);
		assert_int_equal(b.events[MEDIA_EV_DTMF], 0);
		party_close(&b);
	}
	loop_fake_run(l, 1 * S);
}

static void
on_ready(void *arg)
{
	loop_stop(arg);
}

/* The first call waits for libsrtp2; one may be hung up meanwhile. */
static void
a_start_waits_for_the_library(void **state)
{
	struct media_srtp_waiter w = { .queued = false };
	struct media_conf c = conf("null");
	struct party a, b, gone;
	struct worker *worker;

	(void)state;
	media_exit();
	assert_int_equal(worker_new(&worker, l), 0);
	assert_int_equal(media_init(l, worker), 0);
	c.srtp = MEDIA_SRTP_STANDARD;
	party_open(&a, &c);
	party_open(&b, &c);
	party_open(&gone, &c);
	agree(&a, &gone);
	start(&gone);
	agree(&a, &b);
	start(&a);
	start(&b);
	loop_fake_run(l, 0);
	party_close(&gone);
	if (media_srtp_state() == EAGAIN) {
		media_srtp_wait(&w, on_ready, l);
		assert_int_equal(loop_run(l), 0);
	}
	assert_int_equal(media_srtp_state(), 0);
	loop_fake_run(l, 500 * MS);
	assert_int_equal(a.events[MEDIA_EV_FIRST_RX], 1);
	assert_int_equal(b.events[MEDIA_EV_FIRST_RX], 1);
	party_close(&a);
	party_close(&b);
	worker_free(worker);
	media_exit();
	assert_int_equal(media_init(l, NULL), 0);
}

/* What media_sess_start cannot say because libsrtp2 is not ready yet comes as
 * an event: nobody is left with a silent call. */
static void
a_start_that_fails_later_is_told(void **state)
{
	struct media_srtp_waiter w = { .queued = false };
	struct media_conf c = conf("null");
	struct party a, b;
	struct worker *worker;
	int ends[2];

	(void)state;
	media_exit();
	assert_int_equal(worker_new(&worker, l), 0);
	assert_int_equal(media_init(l, worker), 0);
	c.srtp = MEDIA_SRTP_STANDARD;
	party_open(&b, &c);
	assert_int_equal(pipe(ends), 0);
	c.record_fd = ends[1]; /* no file: it cannot be recorded into */
	party_open(&a, &c);
	agree(&a, &b);
	assert_int_equal(media_srtp_state(), EAGAIN);
	start(&a);
	media_srtp_wait(&w, on_ready, l);
	assert_int_equal(loop_run(l), 0);
	assert_int_equal(media_srtp_state(), 0);
	loop_fake_run(l, 100 * MS);
	assert_int_equal(a.events[MEDIA_EV_FAILED], 1);
	assert_int_equal(a.failed, E_MEDIA_DEVICE);
	assert_int_equal(stats(&a).tx_packets, 0);
	party_close(&a);
	party_close(&b);
	close(ends[0]);
	worker_free(worker);
	media_exit();
	assert_int_equal(media_init(l, NULL), 0);
}

static void
ports_are_a_pair_and_can_run_out(void **state)
{
	struct media_conf c = conf("null");
	struct media_sess *none = (struct media_sess *)&c;
	struct party a, b;
	struct media_stats st;
	uint16_t port;

	(void)state;
	party_open(&a, &c);
	st = stats(&a);
	port = addr_port(&st.local);
	assert_int_equal(port % 2, 0);
	c.port_min = port;
	c.port_max = (uint16_t)(port + 1);
	assert_int_equal(media_sess_new(&none, &c, on_event, &b), EADDRINUSE);
	assert_ptr_equal(none, &c);
	party_close(&a);
	party_open(&b, &c);
	st = stats(&b);
	assert_int_equal(addr_port(&st.local), port);
	party_close(&b);
}

static void
bad_settings_are_refused(void **state)
{
	struct media_conf c = conf("nonsense:1");
	struct media_sess *none = (struct media_sess *)&c;

	(void)state;
	assert_int_equal(media_sess_new(&none, &c, on_event, NULL), E_PARSE);
	c = conf("null");
	c.ptime_ms = 61;
	assert_int_equal(media_sess_new(&none, &c, on_event, NULL), EINVAL);
	c = conf("null");
	memset(&c.local, 0, sizeof(c.local));
	assert_int_equal(media_sess_new(&none, &c, on_event, NULL), EINVAL);
	assert_ptr_equal(none, &c);
}

/* Another call has speaker and microphone for a while. */
static void
the_device_is_lent(void **state)
{
	struct media_conf ca = conf("null"), cb = conf("tone:440");
	struct party a, b;

	(void)state;
	ca.codecs = cb.codecs = "pcmu";
	ca.srtp = cb.srtp = MEDIA_SRTP_DISABLED;
	party_open(&a, &ca);
	party_open(&b, &cb);
	media_sess_speaker(b.s, false); /* before it starts, too */
	agree(&a, &b);
	start(&a);
	start(&b);
	loop_fake_run(l, 3 * S);
	assert_true(stats(&a).level_rx_db < -60);
	assert_true(stats(&a).rx_packets > 100); /* silence is sent */
	media_sess_speaker(b.s, true);
	loop_fake_run(l, 3 * S);
	assert_true(stats(&a).level_rx_db > -20);
	media_sess_speaker(b.s, false);
	loop_fake_run(l, 3 * S);
	assert_true(stats(&a).level_rx_db < -60);
	party_close(&a);
	party_close(&b);
}

int
main(void)
{
#define T(f) cmocka_unit_test(f)
	const struct CMUnitTest tests[] = {
		T(a_tone_is_heard_on_the_other_side),
		T(the_device_is_lent),
		T(a_muted_microphone_is_not_heard),
		T(a_file_is_played_to_its_end),
		T(on_hold_nothing_is_sent_back),
		T(silence_of_the_network_is_told_once),
		T(reports_are_a_sign_of_life),
		T(on_hold_nothing_is_missed),
		T(in_clear_one_source_is_believed),
		T(with_srtp_the_key_is_believed),
		T(what_was_not_agreed_is_not_audio),
		T(keys_change_without_a_gap),
		T(reports_are_sent_and_read),
		T(who_never_sent_says_no_good_bye),
		T(digits_arrive_once_and_in_order),
		T(an_event_is_sent_as_rfc_4733_says),
		T(without_events_digits_are_audible),
		T(a_session_may_be_freed_at_any_time),
		T(a_start_waits_for_the_library),
		T(a_start_that_fails_later_is_told),
		T(ports_are_a_pair_and_can_run_out),
		T(bad_settings_are_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
