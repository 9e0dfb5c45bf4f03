/* SPDX-License-Identifier: ISC */
/* SDP: the first byte chooses our policy, the rest is what a peer offers and,
 * behind a record separator, what it offers or answers next. */
#include "../../media/internal.h"
#include "fuzz.h"

/* What we say is SDP that we can read, in lines of CRLF. */
static void
ours_is_sound(const struct buf *b)
{
	static struct media_sdp sdp;
	char why[200];

	assert(media_sdp_parse(&sdp, (struct slice){ buf_str(b), b->n }, why,
		   sizeof(why)) == 0);
	for (size_t i = 0; i < b->n; i++) {
		assert(b->p[i] != '\0');
		assert((b->p[i] == '\n') == (i > 0 && b->p[i - 1] == '\r'));
	}
}

/* No call without keys where there must be some. */
static void
policy_holds(const struct media_neg *n)
{
	if (n->now.codec == NULL || n->conf.mode != MEDIA_SRTP_STANDARD)
		return;
	assert(n->now.tx.suite != NULL && n->now.rx.suite != NULL);
}

/* One description of the peer: an answer if we have offered, else an offer. */
static void
take(struct media_neg *n, struct slice sdp, bool offer_first)
{
	char why[200] = "";
	struct buf b;
	int err;

	buf_init(&b, 16384);
	if (offer_first && media_neg_offer(n, &b) == 0) {
		ours_is_sound(&b);
		err = media_neg_accept(n, sdp, why, sizeof(why));
	} else if ((err = media_neg_answer(n, sdp, &b, why, sizeof(why))) ==
	    0) {
		ours_is_sound(&b);
	}
	if (err == 0)
		media_neg_commit(n);
	else
		assert(why[0] != '\0' || err == ENOMEM);
	policy_holds(n);
	buf_clear(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct media_neg_conf c = { .ptime_ms = 20 };
	struct media_neg n;
	struct slice rest, one;
	struct addr local;

	if (size < 1)
		return 0;
	c.mode = data[0] % (MEDIA_SRTP_STANDARD + 1);
	c.sdes_ok = (data[0] & 4) != 0;
	c.num_suites = media_suite_list(
	    (data[0] & 8) != 0 ? "AES_CM_128_HMAC_SHA1_32" : NULL, c.suites);
	c.num_codecs = media_codec_list(
	    (data[0] & 16) != 0 ? "pcma,pcmu" : NULL, c.codecs);
	if (addr_parse(&local, slice_of("192.0.2.9"), 7000) != 0)
		return 0;
	media_neg_init(&n, &c, &local, 7001);
	rest = (struct slice){ (const char *)data + 1, size - 1 };
	for (int i = 0; i < 6 && rest.n > 0; i++) {
		(void)slice_cut(rest, '\x1e', &one, &rest);
		take(&n, one, (data[0] >> 5 & 1 << (i & 1)) != 0);
	}
	media_neg_clear(&n);
	return 0;
}
