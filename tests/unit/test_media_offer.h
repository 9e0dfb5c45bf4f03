/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_TESTS_TEST_MEDIA_OFFER_H
#define BELLBIRD_TESTS_TEST_MEDIA_OFFER_H

/* For tests of offer and answer: one end, and what its peer says.  Include
 * after cmocka.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../media/internal.h"

enum { OUT_MAX = 4000, ALL_MODES = MEDIA_SRTP_STANDARD + 1 };

#define KEY   "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0e"
#define KEY_2 "HhwaGBYUEhAODAoIBgQCAB8dGxkXFRMRDw0LCQcF"
#define S80   "AES_CM_128_HMAC_SHA1_80"
#define S32   "AES_CM_128_HMAC_SHA1_32"

#define GOOD      "a=crypto:3 " S80 " inline:" KEY "\r\n"
#define GOOD_1    "a=crypto:1 " S80 " inline:" KEY "\r\n"
#define OTHER_KEY "a=crypto:3 " S80 " inline:" KEY_2 "\r\n"
#define UNKNOWN   "a=crypto:1 AEAD_AES_128_GCM inline:" KEY "\r\n"
#define MALFORMED "a=crypto:1 " S80 " inline:short\r\n"

#define AVP  "m=audio 4000 RTP/AVP 0\r\n"
#define SAVP "m=audio 4000 RTP/SAVP 0\r\n"

/* One end of a call and what it said last. */
struct end {
	struct media_neg n;
	struct buf out;
	char why[200];
	int err;
};

/* What a peer said, read again. */
static struct media_sdp got;

static void
end_open(struct end *e, enum media_srtp_mode mode, bool sdes_ok,
    const char *suites, const char *codecs)
{
	struct media_neg_conf c = {
		.mode = mode, .sdes_ok = sdes_ok, .ptime_ms = 20
	};
	struct addr local;

	memset(e, 0, sizeof(*e));
	c.num_suites = media_suite_list(suites, c.suites);
	c.num_codecs = media_codec_list(codecs, c.codecs);
	assert_int_equal(addr_parse(&local, slice_of("192.0.2.9"), 7000), 0);
	media_neg_init(&e->n, &c, &local, 7001);
	buf_init(&e->out, OUT_MAX);
}

static void
end_close(struct end *e)
{
	media_neg_clear(&e->n);
	buf_clear(&e->out);
}

/* Reads what an end wrote; returns its only or first m-line. */
static const struct media_sdp_m *
read_out(const struct end *e)
{
	char why[200];

	assert_int_equal(
	    media_sdp_parse(&got, slice_of(buf_str(&e->out)), why, sizeof(why)),
	    0);
	return &got.m[0];
}

/* A description of a peer with these m-lines. */
static struct slice
peer_at(const char *type, const char *ip, const char *m_lines)
{
	static char text[4000];
	int n = snprintf(text, sizeof(text),
	    "v=0\r\no=- 1 1 IN %s %s\r\ns=-\r\nc=IN %s %s\r\nt=0 0\r\n%s", type,
	    ip, type, ip, m_lines);

	assert_true(n > 0 && (size_t)n < sizeof(text));
	return slice_of(text);
}

static struct slice
peer(const char *m_lines)
{
	return peer_at("IP4", "192.0.2.1", m_lines);
}

/* Offers; what came out is in `out`. */
static const struct media_sdp_m *
offer(struct end *e)
{
	buf_reset(&e->out);
	e->err = media_neg_offer(&e->n, &e->out);
	return e->err == 0 ? read_out(e) : NULL;
}

/* Answers an offer and commits; NULL if it was refused, then nothing may be
 * left of it. */
static const struct media_sdp_m *
answer(struct end *e, struct slice remote)
{
	buf_reset(&e->out);
	e->why[0] = '\0';
	e->err =
	    media_neg_answer(&e->n, remote, &e->out, e->why, sizeof(e->why));
	assert_true(e->n.has_next == (e->err == 0));
	if (e->err == 0) {
		media_neg_commit(&e->n);
		return read_out(e);
	}
	assert_true(e->why[0] != '\0');
	assert_int_equal(e->out.n, 0);
	assert_null(e->n.next.codec);
	return NULL;
}

/* Takes an answer and commits. */
static int
accept_answer(struct end *e, struct slice remote)
{
	e->why[0] = '\0';
	e->err = media_neg_accept(&e->n, remote, e->why, sizeof(e->why));
	assert_true(e->n.has_next == (e->err == 0));
	if (e->err == 0)
		media_neg_commit(&e->n);
	else
		assert_true(e->why[0] != '\0');
	return e->err;
}

#endif
