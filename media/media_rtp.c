/* SPDX-License-Identifier: ISC */
/* The RTP header (RFC 3550 5.1), read strictly: what a packet says about its
 * own layout must fit in it. */
#include "internal.h"

enum { VERSION_BITS = 0x80, PADDING = 0x20, EXTENSION = 0x10, MARKER = 0x80 };

uint16_t
media_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

uint32_t
media_get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	    (uint32_t)p[2] << 8 | p[3];
}

void
media_put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

void
media_put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

int
media_rtp_parse(struct media_rtp *h, const uint8_t *p, size_t n)
{
	size_t at = MEDIA_RTP_HEADER, pad = 0;

	if (n < MEDIA_RTP_HEADER || (p[0] & 0xc0) != VERSION_BITS)
		return E_PARSE;
	at += 4 * (size_t)(p[0] & 0x0f); /* CSRC list */
	if (at > n)
		return E_PARSE;
	if (p[0] & EXTENSION) {
		if (n - at < 4)
			return E_PARSE;
		at += 4 + 4 * (size_t)media_get16(p + at + 2);
		if (at > n)
			return E_PARSE;
	}
	if (p[0] & PADDING) {
		if (n == at)
			return E_PARSE;
		pad = p[n - 1];
		if (pad == 0 || pad > n - at)
			return E_PARSE;
	}
	h->marker = (p[1] & MARKER) != 0;
	h->pt = p[1] & 0x7f;
	h->seq = media_get16(p + 2);
	h->ts = media_get32(p + 4);
	h->ssrc = media_get32(p + 8);
	h->payload = p + at;
	h->n = n - at - pad;
	return 0;
}

void
media_rtp_print(const struct media_rtp *h, uint8_t out[static MEDIA_RTP_HEADER])
{
	out[0] = VERSION_BITS;
	out[1] = (uint8_t)((h->marker ? MARKER : 0) | (h->pt & 0x7f));
	media_put16(out + 2, h->seq);
	media_put32(out + 4, h->ts);
	media_put32(out + 8, h->ssrc);
}

bool
media_rtp_is_rtcp(const uint8_t *p, size_t n)
{
	/* Payload types 64..95 stay unused by RTP for this. */
	return n >= 2 && p[1] >= 192 && p[1] <= 223;
}
