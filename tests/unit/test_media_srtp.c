/* SPDX-License-Identifier: ISC */
/* SRTP through libsrtp2 with our ciphers: the vectors of the RFCs, packets
 * made by hand, wrong keys, replay, tampering, the roll-over of numbers. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "bellbird/clock.h"
#include "bellbird/tls_hash.h"
#include "../../media/internal.h"

enum { SSRC = 0xcafebabe, KEYS_RAW_MAX = 32, SALT = 14, AUTH = 20 };

/* ---- helpers ---- */

/* A packet, with the room that protecting needs. */
struct packet {
	uint8_t p[MEDIA_PACKET_MAX];
	size_t n;
};

static size_t
hex(uint8_t *out, size_t max, const char *text)
{
	size_t n;

	assert_int_equal(str_unhex(slice_of(text), out, max, &n), 0);
	return n;
}

/* Keys of a suite: the first `key_len` bytes of `key_hex` and salt. */
static struct media_crypto
crypto(const char *suite, const char *key_hex)
{
	const struct media_suite *s[MEDIA_SUITES_MAX];
	struct media_crypto c;

	memset(&c, 0, sizeof(c));
	assert_int_equal(media_suite_list(suite, s), 1);
	c.suite = s[0];
	c.tag = 1;
	assert_int_equal(hex(c.key, sizeof(c.key), key_hex), c.suite->key_len);
	return c;
}

/* RFC 3711 B.3 and RFC 6188 7.2: master keys and what is derived. */
#define MASTER_128 \
	"e1f97a0d3e018be0d64fa32c06de41390ec675ad498afeebb6960b3aabe6"
#define MASTER_256                                             \
	"f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622" \
	"a0e332b9f1b63b04803de51ee7c96423ab5b78d2"
#define OTHER_128 "e1f97a0d3e018be0d64fa32c06de41390ec675ad498afeebb6960b3aabe7"

static struct media_srtp *
open_srtp(const struct media_crypto *c, enum media_srtp_dir dir)
{
	struct media_srtp *s;

	assert_int_equal(media_srtp_new(&s, c, dir), 0);
	return s;
}

/* Two ends of one direction under one key. */
struct pair {
	struct media_srtp *tx, *rx;
};

static void
pair_open(struct pair *p, const struct media_crypto *c)
{
	p->tx = open_srtp(c, MEDIA_SRTP_OUT);
	p->rx = open_srtp(c, MEDIA_SRTP_IN);
}

static void
pair_close(struct pair *p)
{
	media_srtp_free(p->tx);
	media_srtp_free(p->rx);
}

static void
rtp_make(struct packet *k, uint32_t ssrc, uint16_t seq, size_t payload)
{
	struct media_rtp h = { .seq = seq, .ts = seq * 160U, .ssrc = ssrc };

	media_rtp_print(&h, k->p);
	for (size_t i = 0; i < payload; i++)
		k->p[MEDIA_RTP_HEADER + i] = (uint8_t)(seq + i);
	k->n = MEDIA_RTP_HEADER + payload;
}

/* The packet of a number, protected. */
static void
sent(struct media_srtp *s, struct packet *k, uint32_t ssrc, uint16_t seq)
{
	rtp_make(k, ssrc, seq, 20);
	assert_int_equal(media_srtp_protect(s, k->p, &k->n, false), 0);
}

/* What becomes of a copy of it; a refused one is left as it was. */
static int
got(struct media_srtp *s, const struct packet *k, bool is_rtcp)
{
	struct packet copy = *k, plain;
	int err = media_srtp_unprotect(s, copy.p, &copy.n, is_rtcp);

	if (err != 0) {
		assert_int_equal(copy.n, k->n);
		assert_memory_equal(copy.p, k->p, k->n);
	} else if (!is_rtcp) {
		rtp_make(&plain, media_get32(copy.p + 8),
		    media_get16(copy.p + 2), copy.n - MEDIA_RTP_HEADER);
		assert_memory_equal(copy.p, plain.p, copy.n);
	}
	return err;
}

/* ---- vectors ---- */

static void
keystream_is_that_of_rfc_3711_b2(void **state)
{
	static const struct {
		size_t at;
		const char *want;
	} v[] = {
		{ 0x0000, "e03ead0935c95e80e166b16dd92b4eb4" },
		{ 0x0001, "d23513162b02d0f72a43a2fe4a5f97ab" },
		{ 0x0002, "41e95b3bb0a2e8dd477901e4fca894c0" },
		{ 0xfeff, "ec8cdf7398607cb0f2d21675ea9ea1e4" },
		{ 0xff00, "362b7c3c6773516318a077d7fc5073ae" },
		{ 0xff01, "6a2cc3787889374fbeb4c81b17ba6c44" },
	};
	static uint8_t stream[0xff02 * 16];
	uint8_t key[16], iv[16], want[16];
	struct tls_ctr *c;

	(void)state;
	hex(key, sizeof(key), "2b7e151628aed2a6abf7158809cf4f3c");
	hex(iv, sizeof(iv), "f0f1f2f3f4f5f6f7f8f9fafbfcfd0000");
	assert_int_equal(tls_ctr_new(&c, sizeof(key)), 0);
	assert_int_equal(tls_ctr_set_key(c, key), 0);
	assert_int_equal(tls_ctr_set_iv(c, iv), 0);
	assert_int_equal(tls_ctr_crypt(c, stream, sizeof(stream)), 0);
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		hex(want, sizeof(want), v[i].want);
		assert_memory_equal(stream + v[i].at * 16, want, 16);
	}
	tls_ctr_free(c);
}

/* What the RFCs derive from their master keys. */
struct derived {
	const char *suite, *master, *key, *salt, *auth;
};

static const struct derived derived[] = {
	{ "AES_CM_128_HMAC_SHA1_80", MASTER_128,
	    "c61e7a93744f39ee10734afe3ff7a087", "30cbbc08863d8c85d49db34a9ae1",
	    "cebe321f6ff7716b6fd4ab49af256a156d38baa4" },
	{ "AES_CM_128_HMAC_SHA1_32", MASTER_128,
	    "c61e7a93744f39ee10734afe3ff7a087", "30cbbc08863d8c85d49db34a9ae1",
	    "cebe321f6ff7716b6fd4ab49af256a156d38baa4" },
	{ "AES_256_CM_HMAC_SHA1_80", MASTER_256,
	    "5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4",
	    "fa31791685ca444a9e07c6c64e93",
	    "fd9c32d39ed5fbb5a9dc96b30818454d1313dc05" },
};

/* Protects by hand (RFC 3711 4.1.1, 4.2.1) under the derived keys. */
static void
by_hand(struct packet *k, const struct derived *d, uint32_t roc, size_t tag_n)
{
	uint8_t key[KEYS_RAW_MAX], auth[AUTH], iv[16] = { 0 }, tag[20], r[4];
	size_t key_n = hex(key, sizeof(key), d->key);
	struct tls_ctr *c;
	struct tls_hmac *h;

	hex(iv, SALT, d->salt);
	for (int i = 0; i < 4; i++)
		iv[4 + i] ^= k->p[8 + i];
	media_put32(r, roc);
	for (int i = 0; i < 4; i++)
		iv[8 + i] ^= r[i];
	iv[12] ^= k->p[2];
	iv[13] ^= k->p[3];
	assert_int_equal(tls_ctr_new(&c, key_n), 0);
	assert_int_equal(tls_ctr_set_key(c, key), 0);
	assert_int_equal(tls_ctr_set_iv(c, iv), 0);
	assert_int_equal(
	    tls_ctr_crypt(c, k->p + MEDIA_RTP_HEADER, k->n - MEDIA_RTP_HEADER),
	    0);
	tls_ctr_free(c);
	hex(auth, sizeof(auth), d->auth);
	assert_int_equal(tls_hmac_sha1_new(&h), 0);
	assert_int_equal(tls_hmac_set_key(h, auth, sizeof(auth)), 0);
	assert_int_equal(tls_hmac_start(h), 0);
	assert_int_equal(tls_hmac_update(h, k->p, k->n), 0);
	assert_int_equal(tls_hmac_update(h, r, sizeof(r)), 0);
	assert_int_equal(tls_hmac_final(h, tag), 0);
	tls_hmac_free(h);
	memcpy(k->p + k->n, tag, tag_n);
	k->n += tag_n;
}

/* B.3 cannot be asked of libsrtp2, but a packet tells: it is right only if all
 * three derived keys are. */
static void
keys_are_derived_as_in_rfc_3711_b3_and_6188(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(derived) / sizeof(derived[0]); i++) {
		const struct derived *d = &derived[i];
		struct media_crypto c = crypto(d->suite, d->master);
		struct packet ours, theirs;
		struct pair p;

		print_message("%s\n", d->suite);
		pair_open(&p, &c);
		/* Two before the roll-over and two behind it. */
		for (int k = 0; k < 4; k++) {
			uint16_t seq = (uint16_t)(0xfffe + k);

			rtp_make(&theirs, SSRC, seq, 160);
			by_hand(&theirs, d, k >= 2, c.suite->tag_len);
			rtp_make(&ours, SSRC, seq, 160);
			assert_int_equal(
			    media_srtp_protect(p.tx, ours.p, &ours.n, false),
			    0);
			assert_int_equal(ours.n, theirs.n);
			assert_memory_equal(ours.p, theirs.p, ours.n);
			assert_int_equal(got(p.rx, &theirs, false), 0);
		}
		pair_close(&p);
	}
}

/* The packets with which libsrtp2 is tested everywhere else. */
static void
known_packets_come_out(void **state)
{
	static const struct {
		bool is_rtcp;
		const char *plain, *secure;
	} v[] = {
		{ false,
		    "800f1234decafbadcafebabe"
		    "abababababababababababababababab",
		    "800f1234decafbadcafebabe"
		    "4e55dc4ce79978d88ca4d215949d2402"
		    "b78d6acc99ea179b8dbb" },
		{ true, "81c8000bcafebabeabababababababababababababababab",
		    "81c8000bcafebabe7128035be487b9bdbef89041f977a5a8"
		    "80000001993e08cd54d6c1230798" },
	};
	struct media_crypto c = crypto("AES_CM_128_HMAC_SHA1_80", MASTER_128);

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct packet k, want;
		struct pair p;

		pair_open(&p, &c);
		k.n = hex(k.p, sizeof(k.p), v[i].plain);
		want.n = hex(want.p, sizeof(want.p), v[i].secure);
		assert_int_equal(
		    media_srtp_protect(p.tx, k.p, &k.n, v[i].is_rtcp), 0);
		assert_int_equal(k.n, want.n);
		assert_memory_equal(k.p, want.p, k.n);
		assert_int_equal(
		    media_srtp_unprotect(p.rx, k.p, &k.n, v[i].is_rtcp), 0);
		want.n = hex(want.p, sizeof(want.p), v[i].plain);
		assert_int_equal(k.n, want.n);
		assert_memory_equal(k.p, want.p, k.n);
		pair_close(&p);
	}
}

/* ---- both ways ---- */

static void
every_suite_goes_round(void **state)
{
	static const struct {
		const char *suite, *key;
		size_t mki_len;
	} v[] = {
		/* Not the short tag with an MKI: libsrtp2 2.5 looks for the MKI
		 * of RTCP in front of a tag of RTP's length, so that it drops
		 * the reports. */
		{ "AES_CM_128_HMAC_SHA1_80", MASTER_128, 0 },
		{ "AES_CM_128_HMAC_SHA1_80", MASTER_128, 4 },
		{ "AES_CM_128_HMAC_SHA1_32", MASTER_128, 0 },
		{ "AES_256_CM_HMAC_SHA1_80", MASTER_256, 0 },
		{ "AES_256_CM_HMAC_SHA1_32", MASTER_256, 0 },
		{ "AES_256_CM_HMAC_SHA1_80", MASTER_256, 8 },
	};
	static const size_t payloads[] = { 0, 1, 15, 16, 17, 160, 1300 };

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct media_crypto c = crypto(v[i].suite, v[i].key);
		struct media_rtcp_view view = { .ssrc = SSRC };
		struct media_rtcp r;
		struct packet k;
		struct pair p;
		size_t plain;

		c.mki_len = v[i].mki_len;
		memset(c.mki, 7, c.mki_len);
		pair_open(&p, &c);
		for (size_t x = 0; x < sizeof(payloads) / sizeof(payloads[0]);
		     x++) {
			rtp_make(&k, SSRC, (uint16_t)(x + 1), payloads[x]);
			plain = k.n;
			assert_int_equal(
			    media_srtp_protect(p.tx, k.p, &k.n, false), 0);
			assert_int_equal(
			    k.n, plain + c.mki_len + c.suite->tag_len);
			assert_int_equal(got(p.rx, &k, false), 0);
		}
		/* RTCP: an index, and always the long tag. */
		media_rtcp_init(&r);
		plain = k.n = media_rtcp_write(&r, &view, true, 1, k.p);
		assert_int_equal(media_srtp_protect(p.tx, k.p, &k.n, true), 0);
		assert_int_equal(k.n, plain + 4 + c.mki_len + 10);
		assert_int_equal(got(p.rx, &k, true), 0);
		assert_int_equal(got(p.rx, &k, true), EALREADY);
		pair_close(&p);
	}
}

static void
a_wrong_key_opens_nothing(void **state)
{
	struct media_crypto c = crypto("AES_CM_128_HMAC_SHA1_80", MASTER_128);
	struct media_crypto salt = crypto("AES_CM_128_HMAC_SHA1_80", OTHER_128);
	struct media_crypto tag = crypto("AES_CM_128_HMAC_SHA1_32", MASTER_128);
	struct media_crypto mki = c, other_mki = c;
	struct media_srtp *tx = open_srtp(&c, MEDIA_SRTP_OUT), *rx;
	struct packet k;

	(void)state;
	sent(tx, &k, SSRC, 1);
	media_srtp_free(tx);
	rx = open_srtp(&salt, MEDIA_SRTP_IN);
	assert_int_equal(got(rx, &k, false), EBADMSG);
	media_srtp_free(rx);
	rx = open_srtp(&tag, MEDIA_SRTP_IN);
	assert_int_equal(got(rx, &k, false), EBADMSG);
	media_srtp_free(rx);
	/* The right key under another name, and without one. */
	mki.mki_len = other_mki.mki_len = 1;
	mki.mki[0] = 1;
	other_mki.mki[0] = 2;
	tx = open_srtp(&mki, MEDIA_SRTP_OUT);
	sent(tx, &k, SSRC, 1);
	rx = open_srtp(&other_mki, MEDIA_SRTP_IN);
	assert_int_equal(got(rx, &k, false), EBADMSG);
	media_srtp_free(rx);
	rx = open_srtp(&c, MEDIA_SRTP_IN);
	assert_int_equal(got(rx, &k, false), EBADMSG);
	media_srtp_free(rx);
	rx = open_srtp(&mki, MEDIA_SRTP_IN);
	assert_int_equal(got(rx, &k, false), 0);
	media_srtp_free(rx);
	media_srtp_free(tx);
}

static void
what_comes_twice_is_told(void **state)
{
	/* Any order within the window, each once. */
	static const uint16_t order[] = { 10, 12, 11, 40, 13, 39, 100, 41 };
	struct media_crypto c = crypto("AES_CM_128_HMAC_SHA1_80", MASTER_128);
	static struct packet k[400];
	struct pair p;

	(void)state;
	pair_open(&p, &c);
	for (uint16_t i = 0; i < 400; i++)
		sent(p.tx, &k[i], SSRC, i);
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		assert_int_equal(got(p.rx, &k[order[i]], false), 0);
		assert_int_equal(got(p.rx, &k[order[i]], false), EALREADY);
	}
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		assert_int_equal(got(p.rx, &k[order[i]], false), EALREADY);
	/* What is older than the window cannot be told from it. */
	assert_int_equal(got(p.rx, &k[399], false), 0);
	assert_int_equal(got(p.rx, &k[399 - 64], false), 0);
	assert_int_equal(got(p.rx, &k[200], false), EALREADY);
	pair_close(&p);
}

static void
a_changed_bit_is_noticed(void **state)
{
	struct media_crypto c = crypto("AES_CM_128_HMAC_SHA1_80", MASTER_128);
	struct media_rtcp_view view = { .ssrc = SSRC };
	struct media_rtcp r;
	struct packet k[2];
	struct pair p;

	(void)state;
	pair_open(&p, &c);
	sent(p.tx, &k[0], SSRC, 500);
	media_rtcp_init(&r);
	k[1].n = media_rtcp_write(&r, &view, false, 1, k[1].p);
	assert_int_equal(media_srtp_protect(p.tx, k[1].p, &k[1].n, true), 0);
	for (int x = 0; x < 2; x++) {
		for (size_t bit = 0; bit < 8 * k[x].n; bit++) {
			struct packet bad = k[x];
			int err;

			bad.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
			err = media_srtp_unprotect(p.rx, bad.p, &bad.n, x == 1);
			if (err != EBADMSG && err != E_PARSE)
				fail_msg("bit %zu: %d", bit, err);
			assert_int_equal(bad.n, k[x].n);
		}
		for (size_t n = 0; n < k[x].n; n++) {
			struct packet bad = k[x];

			bad.n = n;
			if (media_srtp_unprotect(p.rx, bad.p, &bad.n, x == 1) ==
			    0)
				fail_msg("%zu bytes were taken", n);
		}
		/* None of them has spoilt anything. */
		assert_int_equal(got(p.rx, &k[x], x == 1), 0);
	}
	pair_close(&p);
}

static void
what_is_too_long_is_not_touched(void **state)
{
	struct media_crypto c = crypto("AES_CM_128_HMAC_SHA1_80", MASTER_128);
	struct media_srtp *rx = open_srtp(&c, MEDIA_SRTP_IN);
	static uint8_t big[2 * MEDIA_PACKET_MAX];
	size_t n = MEDIA_PACKET_MAX + 1;

	(void)state;
	big[0] = 0x80;
	assert_int_equal(media_srtp_unprotect(rx, big, &n, false), E_PARSE);
	media_srtp_free(rx);
}

/* ---- the roll-over ---- */

static void
numbers_roll_over(void **state)
{
	static const int order[] = { -3, -2, 0, -1, 2, 1, -2, 3 };
	struct media_crypto c = crypto("AES_CM_128_HMAC_SHA1_80", MASTER_128);
	struct packet k[8];
	struct pair p;

	(void)state;
	pair_open(&p, &c);
	for (int i = 0; i < 8; i++)
		sent(p.tx, &k[i], SSRC, (uint16_t)(i - 4));
	/* -1 comes behind 0, and belongs before it. */
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		assert_int_equal(
		    got(p.rx, &k[order[i] + 4], false), i == 6 ? EALREADY : 0);
	pair_close(&p);
}

static void
numbers_roll_over_many_times(void **state)
{
	struct media_crypto c = crypto("AES_CM_128_HMAC_SHA1_80", MASTER_128);
	struct packet k, first;
	struct pair p;

	(void)state;
	pair_open(&p, &c);
	sent(p.tx, &first, SSRC, 0);
	assert_int_equal(got(p.rx, &first, false), 0);
	/* Nine turns, in steps that leave no doubt. */
	for (uint32_t ext = 0x6000; ext < 0x90000; ext += 0x6000) {
		sent(p.tx, &k, SSRC, (uint16_t)ext);
		assert_int_equal(got(p.rx, &k, false), 0);
	}
	/* The number fits, the turn does not. */
	assert_true(got(p.rx, &first, false) != 0);
	pair_close(&p);
}

/* Who comes late and does not know the turn hears nothing (RFC 3711 3.3.1);
 * that is why sequence numbers start low. */
static void
the_turn_has_to_be_known(void **state)
{
	struct media_crypto c = crypto("AES_CM_128_HMAC_SHA1_80", MASTER_128);
	struct packet k;
	struct pair p;

	(void)state;
	pair_open(&p, &c);
	sent(p.tx, &k, SSRC, 0xffff);
	sent(p.tx, &k, SSRC, 0);
	assert_int_equal(got(p.rx, &k, false), EBADMSG);
	for (int i = 0; i < 20; i++) {
		struct media_tx tx;

		media_tx_init(&tx);
		assert_true(tx.seq < 0x8000);
	}
	pair_close(&p);
}

/* ---- sources ---- */

static void
each_source_has_its_own_numbers(void **state)
{
	struct media_crypto c = crypto("AES_CM_128_HMAC_SHA1_80", MASTER_128);
	struct packet a, b, later;
	struct pair p;

	(void)state;
	pair_open(&p, &c);
	sent(p.tx, &a, SSRC, 7);
	sent(p.tx, &b, SSRC + 1, 7);
	assert_int_equal(got(p.rx, &a, false), 0);
	assert_int_equal(got(p.rx, &b, false), 0);
	assert_int_equal(got(p.rx, &a, false), EALREADY);
	assert_int_equal(got(p.rx, &b, false), EALREADY);
	/* One that went away goes on where it was if it comes back a turn
	 * later. */
	sent(p.tx, &later, SSRC, 0x7000);
	assert_int_equal(got(p.rx, &later, false), 0);
	sent(p.tx, &later, SSRC, 0xe000);
	assert_int_equal(got(p.rx, &later, false), 0);
	sent(p.tx, &b, SSRC + 1, 8);
	assert_int_equal(got(p.rx, &b, false), 0);
	sent(p.tx, &later, SSRC, 0x10);
	assert_int_equal(got(p.rx, &later, false), 0);
	assert_int_equal(got(p.rx, &b, false), EALREADY);
	pair_close(&p);
}

/* A report of a source, protected by itself: a peer that invents an SSRC for
 * each packet. */
static void
sent_report(const struct media_crypto *c, struct packet *k, uint32_t ssrc)
{
	struct media_srtp *tx = open_srtp(c, MEDIA_SRTP_OUT);
	struct media_rtcp_view view = { .ssrc = ssrc };
	struct media_rtcp r;

	media_rtcp_init(&r);
	k->n = media_rtcp_write(&r, &view, false, 1, k->p);
	assert_int_equal(media_srtp_protect(tx, k->p, &k->n, true), 0);
	media_srtp_free(tx);
}

/* A peer that has the key may change its SSRC with each packet of either kind:
 * that must not cost memory for ever, and not the replay window of the stream
 * that is heard. */
static void
sources_are_bounded(void **state)
{
	enum { MANY = 200 };
	struct media_crypto c = crypto("AES_CM_128_HMAC_SHA1_80", MASTER_128);
	struct packet first, k;
	struct pair p;
	int taken = 0;

	(void)state;
	clock_fake(1795547180);
	pair_open(&p, &c);
	sent(p.tx, &first, SSRC, 7);
	assert_int_equal(got(p.rx, &first, false), 0);
	for (uint32_t i = 0; i < MANY; i++) {
		int err;

		if (i % 2 == 0)
			sent_report(&c, &k, 5000 + i);
		else
			sent(p.tx, &k, 5000 + i, 7);
		err = got(p.rx, &k, i % 2 == 0);
		assert_true(err == 0 || err == E_LIMIT);
		taken += err == 0;
	}
	assert_int_equal(taken, MEDIA_SRTP_SOURCES_MAX - 1);
	assert_int_equal(got(p.rx, &first, false), EALREADY);
	/* The stream goes on; whoever has been silent makes room, it alone. */
	clock_step_us(MEDIA_SRTP_QUIET_US - 1);
	sent(p.tx, &k, SSRC, 8);
	assert_int_equal(got(p.rx, &k, false), 0);
	sent(p.tx, &k, 9000, 7);
	assert_int_equal(got(p.rx, &k, false), E_LIMIT);
	clock_step_us(1);
	for (uint32_t i = 0; i < MANY; i++) {
		sent_report(&c, &k, 9000 + i);
		assert_int_equal(got(p.rx, &k, true),
		    i < MEDIA_SRTP_SOURCES_MAX - 1 ? 0 : E_LIMIT);
	}
	assert_int_equal(got(p.rx, &first, false), EALREADY);
	/* What has made room is new when it comes again. */
	sent(p.tx, &k, 5001, 8);
	assert_int_equal(got(p.rx, &k, false), E_LIMIT);
	clock_step_us(MEDIA_SRTP_QUIET_US);
	assert_int_equal(got(p.rx, &k, false), 0);
	clock_real();
	pair_close(&p);
}

/* ---- preparation of the library ---- */

struct told {
	struct loop *l;
	int count;
};

static void
told(void *arg)
{
	struct told *t = arg;

	t->count++;
	loop_stop(t->l);
}

static void
it_is_prepared_in_the_worker(void **state)
{
	struct media_srtp_waiter w = { .queued = false }, gone = w;
	struct worker *worker;
	struct told t = { .count = 0 };

	(void)state;
	media_exit();
	assert_int_equal(loop_new(&t.l), 0);
	assert_int_equal(worker_new(&worker, t.l), 0);
	assert_int_equal(media_init(t.l, worker), 0);
	assert_int_equal(media_srtp_state(), EAGAIN);
	assert_int_equal(media_srtp_need(), 0);
	assert_int_equal(media_srtp_need(), 0); /* not twice */
	assert_int_equal(media_srtp_state(), EAGAIN);
	media_srtp_wait(&w, told, &t);
	media_srtp_wait(&w, told, &t);
	media_srtp_wait(&gone, told, &t);
	media_srtp_unwait(&gone);
	media_srtp_unwait(&gone);
	assert_int_equal(loop_run(t.l), 0); /* until told() stops it */
	assert_int_equal(media_srtp_state(), 0);
	assert_int_equal(t.count, 1);
	assert_false(w.queued);
	worker_free(worker);
	media_exit();
	loop_free(t.l);
	/* For who comes next: without a worker, at once. */
	assert_int_equal(media_init(NULL, NULL), 0);
	assert_int_equal(media_srtp_need(), 0);
	assert_int_equal(media_srtp_state(), 0);
}

static int
setup(void **state)
{
	(void)state;
	return media_init(NULL, NULL) != 0 || media_srtp_need() != 0 ||
	    media_srtp_state() != 0;
}

static int
teardown(void **state)
{
	(void)state;
	media_exit();
	return 0;
}

int
main(void)
{
#define T(f) cmocka_unit_test(f)
	const struct CMUnitTest tests[] = {
		T(keystream_is_that_of_rfc_3711_b2),
		T(keys_are_derived_as_in_rfc_3711_b3_and_6188),
		T(known_packets_come_out),
		T(every_suite_goes_round),
		T(a_wrong_key_opens_nothing),
		T(what_comes_twice_is_told),
		T(a_changed_bit_is_noticed),
		T(what_is_too_long_is_not_touched),
		T(numbers_roll_over),
		T(numbers_roll_over_many_times),
		T(the_turn_has_to_be_known),
		T(each_source_has_its_own_numbers),
		T(sources_are_bounded),
		T(it_is_prepared_in_the_worker),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
