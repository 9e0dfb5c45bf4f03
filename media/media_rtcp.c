/* SPDX-License-Identifier: ISC */
/* RTCP (RFC 3550 6): sender and receiver reports with CNAME, BYE, and what
 * the peer's reports tell: round trip and loss. */
#include <stdio.h>
#include <string.h>

#include "bellbird/clock.h"
#include "bellbird/tls_hash.h"
#include "internal.h"

enum {
	RTCP_SR = 200,
	RTCP_RR = 201,
	RTCP_SDES = 202,
	RTCP_BYE = 203,
	SDES_CNAME = 1,
	HEADER = 8, /* with the SSRC */
	SENDER_INFO = 20,
	BLOCK = 24,
	INTERVAL_US = 5000000,
	/* More is not a path but a mistake, or a lie. */
	RTT_MAX_US = 30000000
};

/* Seconds from 1900 to 1970. */
static const uint64_t ntp_offset_s = 2208988800;

void
media_rtcp_init(struct media_rtcp *r)
{
	uint8_t id[12]; /* RFC 7022 4.2: 96 random bits */

	memset(r, 0, sizeof(*r));
	tls_random(id, sizeof(id));
	str_hex(r->cname, id, sizeof(id));
}

int64_t
media_rtcp_interval_us(bool first)
{
	uint32_t x;
	double us;

	tls_random(&x, sizeof(x));
	/* 6.3.1: 0.5 to 1.5 times, over e - 3/2 */
	us = INTERVAL_US * (0.5 + (double)x / UINT32_MAX) / 1.21828;
	return (int64_t)(first ? us / 2 : us);
}

/* Sender information with the wall clock of now. */
static void
sender_info(struct media_rtcp *r, const struct media_rtcp_view *v,
    int64_t now_us, uint8_t *p)
{
	uint64_t us = (uint64_t)clock_wall_us();
	uint32_t s = (uint32_t)(us / 1000000 + ntp_offset_s);
	uint32_t frac = (uint32_t)((us % 1000000 << 32) / 1000000);

	media_put32(p, s);
	media_put32(p + 4, frac);
	media_put32(p + 8, v->rtp_ts);
	media_put32(p + 12, v->packets);
	media_put32(p + 16, v->octets);
	r->our_sr_mid = s << 16 | frac >> 16;
	r->our_sr_us = now_us;
}

/* The report about what comes from the peer (6.4.1). */
static void
report_block(struct media_rtcp *r, const struct media_rtcp_view *v,
    int64_t now_us, uint8_t *p)
{
	uint32_t expected = v->expected - r->prior_expected;
	uint32_t received = v->received - r->prior_received;
	int64_t lost = (int64_t)v->expected - v->received;
	uint64_t delay = 0;
	uint8_t fraction = 0;

	if (v->expected < r->prior_expected) /* another source since */
		expected = v->expected, received = v->received;
	if (expected > received)
		fraction = (uint8_t)(((uint64_t)(expected - received) << 8) /
		    (expected + 1));
	r->prior_expected = v->expected;
	r->prior_received = v->received;
	if (lost > 0x7fffff)
		lost = 0x7fffff;
	if (lost < -0x800000)
		lost = -0x800000;
	if (r->their_sr_us != 0)
		delay = (uint64_t)(now_us - r->their_sr_us) * 65536 / 1000000;
	media_put32(p, v->peer_ssrc);
	media_put32(
	    p + 4, (uint32_t)fraction << 24 | ((uint32_t)lost & 0xffffff));
	media_put32(p + 8, v->max_ext_seq);
	media_put32(p + 12, v->jitter_ts);
	media_put32(p + 16, r->their_sr_us != 0 ? r->their_sr_mid : 0);
	media_put32(p + 20, (uint32_t)delay);
}

/* Header and SSRC of one packet of `n` bytes. */
static void
header(uint8_t *p, unsigned int count, uint8_t type, size_t n, uint32_t ssrc)
{
	p[0] = (uint8_t)(0x80 | count);
	p[1] = type;
	media_put16(p + 2, (uint16_t)(n / 4 - 1));
	media_put32(p + 4, ssrc);
}

size_t
media_rtcp_write(struct media_rtcp *r, const struct media_rtcp_view *v,
    bool bye, int64_t now_us, uint8_t out[static MEDIA_RTCP_MAX])
{
	size_t cname = strlen(r->cname), n = HEADER, at;

	if (v->is_sender) {
		sender_info(r, v, now_us, out + n);
		n += SENDER_INFO;
	}
	if (v->has_peer) {
		report_block(r, v, now_us, out + n);
		n += BLOCK;
	}
	header(out, v->has_peer, v->is_sender ? RTCP_SR : RTCP_RR, n, v->ssrc);

	at = n;
	n += HEADER;
	out[n++] = SDES_CNAME;
	out[n++] = (uint8_t)cname;
	memcpy(out + n, r->cname, cname);
	n += cname;
	do
		out[n++] = 0; /* ends the list, then fills the word */
	while (n % 4 != 0);
	header(out + at, 1, RTCP_SDES, n - at, v->ssrc);

	if (bye) {
		header(out + n, 1, RTCP_BYE, HEADER, v->ssrc);
		n += HEADER;
	}
	return n;
}

/* One report block about us: round trip and loss. */
static void
block_read(struct media_rtcp *r, const uint8_t *p, int64_t now_us)
{
	uint32_t lsr = media_get32(p + 16);
	int64_t dlsr_us = (int64_t)media_get32(p + 20) * 1000000 / 65536, rtt;

	r->peer_loss = p[4];
	if (lsr == 0 || r->our_sr_us == 0 || lsr != r->our_sr_mid)
		return;
	rtt = now_us - r->our_sr_us - dlsr_us;
	if (rtt >= 0 && rtt <= RTT_MAX_US)
		r->rtt_us = (unsigned int)rtt;
}

/* One packet of a compound, its length already checked. */
static void
packet_read(struct media_rtcp *r, uint32_t our_ssrc, const uint8_t *p, size_t n,
    int64_t now_us)
{
	size_t count = p[0] & 0x1f, at = HEADER;

	if (p[1] != RTCP_SR && p[1] != RTCP_RR)
		return;
	if (p[1] == RTCP_SR) {
		if (n < HEADER + SENDER_INFO)
			return;
		r->their_sr_mid = media_get16(p + 10);
		r->their_sr_mid = r->their_sr_mid << 16 | media_get16(p + 12);
		r->their_sr_us = now_us;
		at += SENDER_INFO;
	}
	for (size_t i = 0; i < count && n - at >= BLOCK; i++, at += BLOCK)
		if (media_get32(p + at) == our_ssrc)
			block_read(r, p + at, now_us);
}

int
media_rtcp_read(struct media_rtcp *r, uint32_t our_ssrc, const uint8_t *p,
    size_t n, int64_t now_us)
{
	size_t at, len;

	/* Judge all of it before believing any of it (6.3, A.2). */
	for (at = 0; at < n; at += len) {
		if (n - at < 4 || (p[at] & 0xc0) != 0x80)
			return E_PARSE;
		len = 4 * ((size_t)media_get16(p + at + 2) + 1);
		if (len > n - at)
			return E_PARSE;
	}
	if (n < HEADER || !media_rtp_is_rtcp(p, n))
		return E_PARSE;
	for (at = 0; at < n; at += len) {
		len = 4 * ((size_t)media_get16(p + at + 2) + 1);
		if (len >= HEADER)
			packet_read(r, our_ssrc, p + at, len, now_us);
	}
	return 0;
}
