/* SPDX-License-Identifier: ISC */
/* The sending half: encoder, numbers of the stream, DTMF in its place. */
#include <string.h>

#include "bellbird/tls_hash.h"
#include "internal.h"

enum { SRTP_ROOM = 32 }; /* behind the packet, see media_srtp_protect */

void
media_tx_init(struct media_tx *t)
{
	memset(t, 0, sizeof(*t));
	tls_random(&t->ssrc, sizeof(t->ssrc));
	tls_random(&t->ts, sizeof(t->ts));
	tls_random(&t->seq, sizeof(t->seq));
	/* RFC 3711 3.3.1: a start in the lower half leaves no doubt about the
	 * first roll-over. */
	t->seq &= 0x7fff;
	media_dtmf_init(&t->dtmf);
}

void
media_tx_start(struct media_tx *t, const struct media_agreed *a, void *enc)
{
	media_tx_clear(t);
	t->enc = enc;
	t->codec = a->codec;
	t->pt = a->pt_tx;
	t->dtmf_pt = a->dtmf_tx;
	t->dtmf_hz = a->dtmf_hz;
	t->marker = true;
}

void
media_tx_clear(struct media_tx *t)
{
	if (t->codec != NULL)
		t->codec->enc_free(t->enc);
	t->codec = NULL;
	t->enc = NULL;
}

void
media_tx_skip(struct media_tx *t, size_t n)
{
	t->ts += (uint32_t)n;
	t->marker = true;
}

/* Fills in a DTMF packet; returns its length. */
static size_t
event_packet(struct media_tx *t, const struct media_dtmf_out *ev, uint8_t *out)
{
	struct media_rtp h = { .marker = ev->marker,
		.pt = (uint8_t)t->dtmf_pt,
		.seq = t->seq++,
		.ts = ev->ts,
		.ssrc = t->ssrc };

	media_rtp_print(&h, out);
	memcpy(out + MEDIA_RTP_HEADER, ev->payload, sizeof(ev->payload));
	t->marker = true; /* audio resumes behind it */
	return MEDIA_RTP_HEADER + sizeof(ev->payload);
}

size_t
media_tx_frame(struct media_tx *t, int16_t *pcm, size_t n, uint8_t *out)
{
	const unsigned int rate = t->codec->rate_hz;
	const unsigned int ms = (unsigned int)(n * 1000 / rate);
	struct media_dtmf_out ev;
	struct media_rtp h = {
		.marker = t->marker, .pt = t->pt, .ts = t->ts, .ssrc = t->ssrc
	};
	size_t len;

	t->ts += (uint32_t)n;
	if (media_dtmf_is_busy(&t->dtmf)) {
		if (t->dtmf_pt < 0)
			(void)media_dtmf_tone(&t->dtmf, pcm, n, ms, rate);
		else if (media_dtmf_step(&t->dtmf, h.ts, ms, t->dtmf_hz, &ev))
			return event_packet(t, &ev, out);
	}
	len = t->codec->encode(t->enc, pcm, n, out + MEDIA_RTP_HEADER,
	    MEDIA_PAYLOAD_MAX - SRTP_ROOM);
	if (len == 0)
		return 0;
	h.seq = t->seq++;
	media_rtp_print(&h, out);
	t->marker = false;
	return MEDIA_RTP_HEADER + len;
}
