/* SPDX-License-Identifier: ISC */
/* Offer and answer (RFC 3264) with SDES keys (RFC 4568) under the SRTP policy:
 * writes our description, remembers what was offered and what is agreed. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellbird/mem.h"
#include "bellbird/tls_hash.h"
#include "internal.h"

enum {
	PT_EVENT = 101, /* what everybody takes for telephone-event */
	PT_EVENT_48K = 100,
	PT_DYNAMIC_MIN = 96,
	PT_DYNAMIC_MAX = 127,
	EVENT_HZ = 8000,
	/* Both ends print o= numbers as signed 64 bit somewhere. */
	ID_BITS = 62
};

/* One description to be written. */
struct writing {
	enum media_proto proto;
	enum media_dir dir;
	const struct media_crypto *cryptos;
	size_t num_cryptos;
	bool rtcp_mux;
	const struct media_agreed *only; /* an answer: this codec alone */
	const char *before, *after;      /* other m-lines; may be NULL */
};

void
media_neg_init(struct media_neg *n, const struct media_neg_conf *conf,
    const struct addr *local, uint16_t rtcp_port)
{
	memset(n, 0, sizeof(*n));
	n->conf = *conf;
	n->local = *local;
	n->rtcp_port = rtcp_port;
	n->id = tls_random_id() >> (64 - ID_BITS);
	n->version = n->id;
	for (size_t i = 0; i < conf->num_codecs; i++)
		n->pts[i] = conf->codecs[i]->pt;
	n->dtmf_pts[0] = PT_EVENT;
	n->dtmf_pts[1] = PT_EVENT_48K;
	n->proto = MEDIA_PROTO_AVP;
	n->now.dtmf_tx = n->now.dtmf_rx = -1;
	n->offered_dir = MEDIA_SENDRECV;
}

void
media_neg_clear(struct media_neg *n)
{
	free(n->before);
	free(n->after);
	free(n->next_before);
	free(n->next_after);
	mem_wipe(n, sizeof(*n));
}

void
media_neg_drop(struct media_neg *n)
{
	free(n->next_before);
	free(n->next_after);
	n->next_before = n->next_after = NULL;
	mem_wipe(&n->next, sizeof(n->next));
	n->has_next = false;
}

/* True if a payload type means something else already. */
static bool
pt_is_used(const struct media_neg *n, uint8_t pt)
{
	for (size_t i = 0; i < n->conf.num_codecs; i++)
		if (n->pts[i] == pt)
			return true;
	return n->dtmf_pts[0] == pt || n->dtmf_pts[1] == pt;
}

/* Gives `*slot` the peer's number; whoever had it gets another one (RFC 3264
 * 8.3.2: a number keeps its meaning for the whole session). */
static void
pt_adopt(struct media_neg *n, uint8_t *slot, uint8_t pt)
{
	uint8_t *all[MEDIA_CODECS_MAX + 2];
	size_t num = 0;

	if (*slot == pt)
		return;
	for (size_t i = 0; i < n->conf.num_codecs; i++)
		all[num++] = &n->pts[i];
	all[num++] = &n->dtmf_pts[0];
	all[num++] = &n->dtmf_pts[1];
	for (size_t i = 0; i < num; i++) {
		uint8_t free_pt = PT_DYNAMIC_MIN;

		if (all[i] == slot || *all[i] != pt)
			continue;
		while (free_pt < PT_DYNAMIC_MAX &&
		    (free_pt == pt || pt_is_used(n, free_pt)))
			free_pt++;
		*all[i] = free_pt;
	}
	*slot = pt;
}

void
media_neg_commit(struct media_neg *n)
{
	const struct media_agreed *a = &n->next;

	assert(n->has_next);
	mem_wipe(&n->now, sizeof(n->now));
	n->now = n->next;
	free(n->before);
	free(n->after);
	n->before = n->next_before;
	n->after = n->next_after;
	n->next_before = n->next_after = NULL;
	n->index = n->next_index;
	n->proto = n->next_proto;
	for (size_t i = 0; i < n->conf.num_codecs; i++)
		if (n->conf.codecs[i] == a->codec)
			pt_adopt(n, &n->pts[i], a->pt_rx);
	if (a->dtmf_rx >= 0)
		pt_adopt(n, &n->dtmf_pts[a->dtmf_hz != EVENT_HZ],
		    (uint8_t)a->dtmf_rx);
	media_neg_drop(n);
}

/* a=rtpmap and a=fmtp of one codec. */
static void
codec_write(struct buf *b, const struct media_codec *c, uint8_t pt)
{
	buf_printf(b, "a=rtpmap:%u %s/%u", pt, c->name, c->clock_hz);
	if (c->channels > 1)
		buf_printf(b, "/%u", c->channels);
	buf_puts(b, "\r\n");
	if (c->fmtp != NULL)
		buf_printf(b, "a=fmtp:%u %s\r\n", pt, c->fmtp);
}

/* a=rtpmap and a=fmtp of DTMF. */
static void
event_write(struct buf *b, uint8_t pt, unsigned int hz)
{
	buf_printf(b, "a=rtpmap:%u telephone-event/%u\r\na=fmtp:%u 0-15\r\n",
	    pt, hz, pt);
}

/* The clock of DTMF beside 8000 Hz that an offer needs; 0: none. */
static unsigned int
other_event_hz(const struct media_neg *n)
{
	for (size_t i = 0; i < n->conf.num_codecs; i++)
		if (n->conf.codecs[i]->clock_hz != EVENT_HZ)
			return n->conf.codecs[i]->clock_hz;
	return 0;
}

/* Formats of an answer: what was agreed. */
static void
answer_formats(const struct media_agreed *a, struct buf *b)
{
	buf_printf(b, " %u", a->pt_rx);
	if (a->dtmf_rx >= 0)
		buf_printf(b, " %d", a->dtmf_rx);
	buf_puts(b, "\r\n");
	codec_write(b, a->codec, a->pt_rx);
	if (a->dtmf_rx >= 0)
		event_write(b, (uint8_t)a->dtmf_rx, a->dtmf_hz);
}

/* Formats of an offer: all that we have. */
static void
offer_formats(const struct media_neg *n, struct buf *b)
{
	unsigned int hz = other_event_hz(n);

	for (size_t i = 0; i < n->conf.num_codecs; i++)
		buf_printf(b, " %u", n->pts[i]);
	buf_printf(b, " %u", n->dtmf_pts[0]);
	if (hz != 0)
		buf_printf(b, " %u", n->dtmf_pts[1]);
	buf_puts(b, "\r\n");
	for (size_t i = 0; i < n->conf.num_codecs; i++)
		codec_write(b, n->conf.codecs[i], n->pts[i]);
	event_write(b, n->dtmf_pts[0], EVENT_HZ);
	if (hz != 0)
		event_write(b, n->dtmf_pts[1], hz);
}

/* Our description. */
static void
describe(const struct media_neg *n, const struct writing *w, struct buf *b)
{
	const char *type = n->local.u.sa.sa_family == AF_INET6 ? "IP6" : "IP4";
	char ip[ADDR_STR_MAX];

	addr_print_ip(&n->local, ip);
	buf_printf(b,
	    "v=0\r\no=- %llu %llu IN %s %s\r\ns=-\r\nc=IN %s %s\r\nt=0 0\r\n",
	    (unsigned long long)n->id, (unsigned long long)n->version, type, ip,
	    type, ip);
	if (w->before != NULL)
		buf_puts(b, w->before);
	buf_printf(b, "m=audio %u %s", addr_port(&n->local),
	    media_proto_name(w->proto));
	if (w->only != NULL)
		answer_formats(w->only, b);
	else
		offer_formats(n, b);
	for (size_t i = 0; i < w->num_cryptos; i++)
		media_crypto_print(&w->cryptos[i], b);
	buf_printf(b, "a=ptime:%u\r\na=%s\r\n",
	    w->only != NULL ? w->only->ptime_ms : n->conf.ptime_ms,
	    media_dir_name(w->dir));
	if (w->rtcp_mux)
		buf_puts(b, "a=rtcp-mux\r\n");
	if (w->only == NULL || !w->rtcp_mux)
		buf_printf(b, "a=rtcp:%u\r\n", n->rtcp_port);
	if (w->after != NULL)
		buf_puts(b, w->after);
}

/* Fills in the keys of an offer.  A key in use stays: a re-INVITE for hold
 * must not disturb the stream. */
static void
offer_keys(struct media_neg *n)
{
	const struct media_crypto *now = &n->now.tx;
	unsigned int tag = 0;
	size_t num = 0;

	mem_wipe(n->cryptos, sizeof(n->cryptos));
	if (now->suite != NULL) {
		n->cryptos[num++] = *now;
		tag = now->tag;
	}
	for (size_t i = 0; i < n->conf.num_suites && num < MEDIA_SUITES_MAX;
	     i++)
		if (n->conf.suites[i] != now->suite)
			media_crypto_make(
			    &n->cryptos[num++], n->conf.suites[i], ++tag);
	n->num_cryptos = num;
}

int
media_neg_offer(struct media_neg *n, struct buf *sdp)
{
	const struct media_neg_conf *c = &n->conf;
	struct writing w = { .rtcp_mux = true };
	bool secure = c->mode != MEDIA_SRTP_DISABLED && c->sdes_ok;
	size_t start = sdp->n;

	if (c->mode == MEDIA_SRTP_STANDARD && !c->sdes_ok)
		return E_MEDIA_SRTP_REQUIRED;
	if (n->now.codec != NULL)
		w.proto = n->proto; /* what was agreed on stays */
	else
		w.proto = c->mode == MEDIA_SRTP_STANDARD ? MEDIA_PROTO_SAVP
							 : MEDIA_PROTO_AVP;
	if (secure) {
		offer_keys(n);
		w.cryptos = n->cryptos;
		w.num_cryptos = n->num_cryptos;
	} else {
		n->num_cryptos = 0;
	}
	w.dir = n->hold ? MEDIA_SEND : MEDIA_SENDRECV;
	w.before = n->before;
	w.after = n->after;
	n->version++;
	describe(n, &w, sdp);
	if (sdp->err != 0) {
		buf_cut(sdp, start);
		return sdp->err;
	}
	n->offered = true;
	n->offered_secure = n->now.rx.suite != NULL;
	n->proto = w.proto;
	n->offered_dir = w.dir;
	return 0;
}

/* An m-line that is not taken: same media, profile and formats, port 0. */
static void
refused_write(struct buf *b, const struct media_sdp_m *m)
{
	buf_printf(b, "m=" SLICE_FMT " 0 " SLICE_FMT " " SLICE_FMT "\r\n",
	    SLICE_ARG(m->kind), SLICE_ARG(m->proto_text),
	    SLICE_ARG(m->fmts_text));
}

/* Writes the refused m-lines from..to-1 into a string of its own. */
static int
refused_text(const struct media_sdp *sdp, size_t from, size_t to, char **out)
{
	struct buf b;

	*out = NULL;
	if (from == to)
		return 0;
	buf_init(&b, MEDIA_SDP_MAX);
	for (size_t i = from; i < to; i++)
		refused_write(&b, &sdp->m[i]);
	if ((*out = buf_take(&b)) == NULL) {
		buf_clear(&b);
		return ENOMEM;
	}
	return 0;
}

/* Is a judged m-line better than what was found so far? */
static bool
is_better(const struct media_judged *j, const struct media_judged *best)
{
	return best->m == NULL || (j->secure > best->secure);
}

/* Picks the m-line to take: the first secure one, else the first clear one
 * that the policy permits. */
static int
line_pick(const struct media_neg *n, const struct media_sdp *sdp,
    struct media_judged *best, char *why, size_t why_size)
{
	struct media_judged j;
	const struct media_sdp_m *m;
	int err = E_MEDIA_NO_COMMON, e;
	char text[160] = "the offer has no m=audio over RTP that is open";

	memset(best, 0, sizeof(*best));
	for (size_t i = 0; i < sdp->num_m; i++) {
		m = &sdp->m[i];
		if (!m->is_audio || m->port == 0 ||
		    m->proto == MEDIA_PROTO_OTHER)
			continue;
		e = media_agree_offer(n, m, &j, text, sizeof(text));
		if (e != 0)
			err = e;
		else if (is_better(&j, best))
			*best = j;
		mem_wipe(&j.crypto, sizeof(j.crypto));
	}
	if (best->m != NULL)
		return 0;
	(void)snprintf(why, why_size, "%s", text);
	return err;
}

/* Our key of an answer: the one in use if theirs is unchanged (the stream
 * goes on), else a fresh one. */
static void
answer_key(struct media_neg *n, const struct media_crypto *theirs)
{
	struct media_agreed *a = &n->next;

	if (n->now.tx.suite != NULL &&
	    media_crypto_same_key(&n->now.rx, theirs)) {
		a->tx = n->now.tx;
		a->tx.tag = theirs->tag;
	} else {
		media_crypto_make(&a->tx, theirs->suite, theirs->tag);
	}
	a->rx = *theirs;
}

/* The other side of a direction. */
static enum media_dir
dir_mirror(enum media_dir d)
{
	return (enum media_dir)((d & MEDIA_SEND ? MEDIA_RECV : 0) |
	    (d & MEDIA_RECV ? MEDIA_SEND : 0));
}

/* Makes `next` of the offered m-line `j`. */
static int
answer_judge(struct media_neg *n, const struct media_sdp *sdp,
    const struct media_judged *j, char *why, size_t why_size)
{
	struct media_agreed *a = &n->next;
	size_t at = (size_t)(j->m - sdp->m);
	int err;

	memset(a, 0, sizeof(*a));
	a->dir = dir_mirror(j->m->dir);
	if (n->hold)
		a->dir = (enum media_dir)(a->dir & MEDIA_SEND);
	if ((err = media_agree_codec(n, j->m, false, a, why, why_size)) != 0 ||
	    (err = media_agree_addr(n, j->m, a, why, why_size)) != 0 ||
	    (err = refused_text(sdp, 0, at, &n->next_before)) != 0 ||
	    (err = refused_text(sdp, at + 1, sdp->num_m, &n->next_after)) != 0)
		return err;
	if (j->secure == MEDIA_SECURE_YES)
		answer_key(n, &j->crypto);
	n->next_index = at;
	n->next_proto = j->m->proto;
	n->has_next = true;
	return 0;
}

int
media_neg_answer(struct media_neg *n, struct slice remote, struct buf *sdp,
    char *why, size_t why_size)
{
	struct media_sdp got;
	struct media_judged best;
	struct writing w = { 0 };
	size_t start = sdp->n;
	int err;

	memset(&best, 0, sizeof(best));
	media_neg_drop(n);
	if ((err = media_sdp_parse(&got, remote, why, why_size)) != 0 ||
	    (err = line_pick(n, &got, &best, why, why_size)) != 0 ||
	    (err = answer_judge(n, &got, &best, why, why_size)) != 0)
		goto out;
	w.proto = n->next_proto;
	w.dir = n->next.dir;
	/* What may come stays open where nothing can be sent (0.0.0.0). */
	if (n->next.tx.suite != NULL) {
		w.cryptos = &n->next.tx;
		w.num_cryptos = 1;
	}
	w.rtcp_mux = n->next.rtcp_mux;
	w.only = &n->next;
	w.before = n->next_before;
	w.after = n->next_after;
	n->version++;
	describe(n, &w, sdp);
	if ((err = sdp->err) != 0)
		buf_cut(sdp, start);
	else
		n->offered = false;
out:
	if (err != 0)
		media_neg_drop(n);
	mem_wipe(&best, sizeof(best));
	return err;
}

/* Takes the peer's key that answers one of ours: tag and suite must be those
 * of an offered line (RFC 4568 5.1.3). */
static int
accept_key(struct media_neg *n, const struct media_sdp_m *m)
{
	struct media_agreed *a = &n->next;
	const struct media_crypto *c;
	int err;

	if (m->num_crypto != 1)
		return E_MEDIA_SRTP_KEY;
	if ((err = media_crypto_parse(&a->rx, m->crypto[0])) != 0)
		return E_MEDIA_SRTP_KEY;
	for (size_t i = 0; i < n->num_cryptos; i++) {
		c = &n->cryptos[i];
		if (c->tag == a->rx.tag && c->suite == a->rx.suite) {
			a->tx = *c;
			return 0;
		}
	}
	return E_MEDIA_SRTP_KEY;
}

/* The SRTP policy over an answer. */
static int
accept_secure(struct media_neg *n, const struct media_sdp_m *m, char *why,
    size_t why_size)
{
	bool offered_keys = n->num_cryptos != 0;
	int err;

	if (m->num_crypto == 0 || !offered_keys) {
		if (n->conf.mode == MEDIA_SRTP_STANDARD) {
			(void)snprintf(why, why_size,
			    "SRTP is mandatory here (sip.srtp = standard), and "
			    "the answer has no a=crypto line");
			return E_MEDIA_SRTP_REQUIRED;
		}
		/* Not of what an answer before the 200 said: it may have come
		 * from another place that the call was forked to. */
		if (n->offered_secure) {
			(void)snprintf(why, why_size,
			    "the call is encrypted, and the answer has no key: "
			    "it would go on in clear");
			return E_MEDIA_SRTP_REQUIRED;
		}
		/* Who offered RTP/SAVP has not offered to talk in clear. */
		if (!media_proto_is_secure(m->proto) &&
		    !media_proto_is_secure(n->proto))
			return 0;
		(void)snprintf(why, why_size,
		    "the answer says %s without a key that fits our offer",
		    media_proto_name(m->proto));
		return offered_keys ? E_MEDIA_SRTP_KEY : E_MEDIA_NO_COMMON;
	}
	if ((err = accept_key(n, m)) != 0)
		(void)snprintf(why, why_size,
		    "the a=crypto line of the answer does not fit our offer "
		    "(one line, its tag and suite, a well-formed key)");
	return err;
}

/* Finds our m-line in an answer; E_MEDIA_NO_COMMON if it was refused. */
static int
accept_line(const struct media_neg *n, const struct media_sdp *sdp,
    const struct media_sdp_m **out, char *why, size_t why_size)
{
	const struct media_sdp_m *m;

	if (n->index >= sdp->num_m) {
		(void)snprintf(why, why_size,
		    "the answer has fewer m= lines than the offer");
		return E_MEDIA_SDP;
	}
	m = &sdp->m[n->index];
	if (!m->is_audio || m->proto == MEDIA_PROTO_OTHER) {
		(void)snprintf(why, why_size,
		    "the answer has something else in place of our m=audio");
		return E_MEDIA_SDP;
	}
	if (m->port == 0) {
		(void)snprintf(
		    why, why_size, "the peer refused the audio (port 0)");
		return E_MEDIA_NO_COMMON;
	}
	*out = m;
	return 0;
}

/* A string's copy, of NULL too. */
static int
text_copy(const char *s, char **out)
{
	*out = NULL;
	if (s == NULL)
		return 0;
	return (*out = strdup(s)) != NULL ? 0 : ENOMEM;
}

int
media_neg_accept(
    struct media_neg *n, struct slice remote, char *why, size_t why_size)
{
	struct media_agreed *a = &n->next;
	const struct media_sdp_m *m;
	struct media_sdp got;
	int err;

	media_neg_drop(n);
	if (!n->offered) {
		(void)snprintf(why, why_size,
		    "there is no offer that this could be the answer to");
		return E_MEDIA_SDP;
	}
	if ((err = media_sdp_parse(&got, remote, why, why_size)) != 0 ||
	    (err = accept_line(n, &got, &m, why, why_size)) != 0)
		return err;
	memset(a, 0, sizeof(*a));
	a->dir = (enum media_dir)(dir_mirror(m->dir) & n->offered_dir);
	if ((err = accept_secure(n, m, why, why_size)) != 0 ||
	    (err = media_agree_codec(n, m, true, a, why, why_size)) != 0 ||
	    (err = media_agree_addr(n, m, a, why, why_size)) != 0 ||
	    (err = text_copy(n->before, &n->next_before)) != 0 ||
	    (err = text_copy(n->after, &n->next_after)) != 0) {
		media_neg_drop(n);
		return err;
	}
	n->next_index = n->index;
	n->next_proto = n->proto;
	n->has_next = true;
	return 0;
}
