/* SPDX-License-Identifier: ISC */
/* The receiving half: jitter buffer, decoder, concealment, and a small queue
 * between packets of any length and frames of ours. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

enum {
	/* Turns to fill one frame: 60 ms out of packets of 2.5 ms, and some */
	TURNS_MAX = 32
};

/* One decoded packet before it is queued; the loop has one thread. */
static int16_t scratch[MEDIA_DECODED_MAX];

int
media_rx_start(struct media_rx *r, const struct media_agreed *a,
    const struct media_jitter_conf *conf)
{
	int err;

	memset(r, 0, sizeof(*r));
	if ((err = a->codec->dec_new(&r->dec)) != 0)
		return err;
	if (a->codec->conceal == NULL &&
	    (err = media_plc_init(&r->plc, a->codec->rate_hz)) != 0) {
		a->codec->dec_free(r->dec);
		r->dec = NULL;
		return err;
	}
	media_jitter_init(&r->jitter, conf);
	r->codec = a->codec;
	r->pt = a->pt_rx;
	r->alt = a->alt;
	r->alt_pt = a->alt_pt;
	r->last_samples = (size_t)conf->ptime_ms * a->codec->rate_hz / 1000;
	return 0;
}

void
media_rx_clear(struct media_rx *r)
{
	if (r->codec == NULL)
		return;
	r->codec->dec_free(r->dec);
	media_jitter_clear(&r->jitter);
	media_plc_clear(&r->plc);
	free(r->fifo);
	memset(r, 0, sizeof(*r));
}

/* Queues decoded samples; out of memory, they are lost like a packet. */
static void
queue(struct media_rx *r, const int16_t *pcm, size_t n)
{
	int16_t *p;

	if (r->fifo_n + n > r->fifo_cap) {
		p = realloc(r->fifo, (r->fifo_n + n) * sizeof(*p));
		if (p == NULL)
			return;
		r->fifo = p;
		r->fifo_cap = r->fifo_n + n;
	}
	memcpy(r->fifo + r->fifo_n, pcm, n * sizeof(*pcm));
	r->fifo_n += n;
}

/* Queues what might have been there; `next` may help. */
static void
conceal(struct media_rx *r, size_t n, const struct media_jitter_out *next)
{
	size_t k;

	if (n > MEDIA_DECODED_MAX)
		n = MEDIA_DECODED_MAX;
	if (r->codec->conceal == NULL) {
		media_plc_conceal(&r->plc, scratch, n);
	} else {
		k = r->codec->conceal(r->dec, next->p, next->n, scratch, n);
		memset(scratch + k, 0, (n - k) * sizeof(*scratch));
	}
	queue(r, scratch, n);
}

/* Queues silence. */
static void
silence(struct media_rx *r, size_t n)
{
	if (n > MEDIA_DECODED_MAX)
		n = MEDIA_DECODED_MAX;
	memset(scratch, 0, n * sizeof(*scratch));
	if (r->codec->conceal == NULL)
		media_plc_good(&r->plc, scratch, n);
	queue(r, scratch, n);
}

/* Decodes and queues one packet. */
static void
packet(struct media_rx *r, const struct media_jitter_out *in)
{
	const struct media_codec *c = r->codec;
	size_t n;

	if (in->pt != r->pt && r->alt != NULL && in->pt == r->alt_pt)
		c = r->alt;
	n = c->decode(r->dec, in->p, in->n, scratch, MEDIA_DECODED_MAX);
	if (n == 0) {
		conceal(r, r->last_samples,
		    &(struct media_jitter_out){ .p = NULL });
		return;
	}
	if (c->conceal == NULL)
		media_plc_good(&r->plc, scratch, n);
	r->last_samples = n;
	queue(r, scratch, n);
}

/* Asks the jitter buffer once; `want` samples are missing. */
static void
turn(struct media_rx *r, int64_t now_us, size_t want)
{
	struct media_jitter_out out;

	switch (media_jitter_get(&r->jitter, now_us, &out)) {
	case MEDIA_GOT_PACKET:
		packet(r, &out);
		break;
	case MEDIA_GOT_LOST:
		conceal(r, r->last_samples, &out);
		break;
	case MEDIA_GOT_WAIT:
		/* As long as a packet: the waits are counted in packets. */
		conceal(
		    r, r->last_samples > want ? r->last_samples : want, &out);
		break;
	case MEDIA_GOT_EVENT:
		silence(r, r->last_samples);
		break;
	case MEDIA_GOT_IDLE:
		silence(r, want);
		break;
	}
}

void
media_rx_get(struct media_rx *r, int64_t now_us, int16_t *pcm, size_t n)
{
	size_t take;

	for (int i = 0; i < TURNS_MAX && r->fifo_n < n; i++)
		turn(r, now_us, n - r->fifo_n);
	if (media_jitter_excess(&r->jitter)) {
		turn(r, now_us, n);
		r->fifo_n =
		    media_plc_compress(r->fifo, r->fifo_n, r->codec->rate_hz);
	}
	take = r->fifo_n < n ? r->fifo_n : n;
	if (take != 0) {
		memcpy(pcm, r->fifo, take * sizeof(*pcm));
		r->fifo_n -= take;
		memmove(r->fifo, r->fifo + take, r->fifo_n * sizeof(*pcm));
	}
	memset(pcm + take, 0, (n - take) * sizeof(*pcm));
}
