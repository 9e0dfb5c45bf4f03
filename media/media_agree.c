/* SPDX-License-Identifier: ISC */
/* What two descriptions have in common: the SRTP policy over one m-line, then
 * codec, payload types, packet time and addresses. */
#include <stdio.h>
#include <string.h>

#include "bellbird/mem.h"
#include "internal.h"

static const char event_name[] = "telephone-event";

/* Finds the peer's key of the suite that we like best. */
static int
crypto_pick(const struct media_neg_conf *c, const struct media_sdp_m *m,
    struct media_crypto *out)
{
	struct media_crypto got;
	int err = E_MEDIA_SRTP_KEY;

	for (size_t s = 0; s < c->num_suites && err != 0; s++) {
		for (size_t i = 0; i < m->num_crypto && err != 0; i++) {
			if (media_crypto_parse(&got, m->crypto[i]) != 0)
				continue;
			if (got.suite == c->suites[s]) {
				*out = got;
				err = 0;
			}
		}
	}
	mem_wipe(&got, sizeof(got));
	return err;
}

/* A secure profile is offered: there is no clear way to take it. */
static int
judge_savp(const struct media_neg_conf *c, const struct media_judged *j,
    int key_err, char *why, size_t why_size)
{
	if (c->mode == MEDIA_SRTP_DISABLED) {
		(void)snprintf(why, why_size,
		    "the peer demands SRTP (%s); sip.srtp is disabled here",
		    media_proto_name(j->m->proto));
		return E_MEDIA_NO_COMMON;
	}
	if (!c->sdes_ok) {
		(void)snprintf(why, why_size,
		    "the peer demands SRTP, but its key came over clear "
		    "signalling: use TLS, or sip.srtp.clear_signalling = 1");
		return E_MEDIA_SRTP_KEY;
	}
	if (key_err != 0)
		(void)snprintf(why, why_size,
		    j->m->num_crypto == 0
			? "the peer demands SRTP without an a=crypto line "
			  "(DTLS-SRTP is not supported)"
			: "no a=crypto line of the peer has a suite of "
			  "sip.srtp.suite and a well-formed key");
	return key_err;
}

/* A clear profile: perhaps with keys beside it (RFC 8643), and clear only
 * where that is allowed. */
static int
judge_avp(const struct media_neg *n, struct media_judged *j, int key_err,
    char *why, size_t why_size)
{
	const struct media_neg_conf *c = &n->conf;
	bool may = c->sdes_ok && c->mode != MEDIA_SRTP_DISABLED;

	if (may && key_err == 0)
		return 0;
	j->secure = MEDIA_SECURE_NO;
	mem_wipe(&j->crypto, sizeof(j->crypto));
	if (n->now.rx.suite != NULL && c->mode != MEDIA_SRTP_STANDARD) {
		/* Whoever was told that the call is encrypted would not learn
		 * that it no longer is. */
		(void)snprintf(why, why_size,
		    "the call is encrypted, and the new offer has no usable "
		    "key: it would go on in clear");
		return E_MEDIA_SRTP_REQUIRED;
	}
	if (c->mode != MEDIA_SRTP_STANDARD)
		return 0;
	if (!c->sdes_ok) {
		(void)snprintf(why, why_size,
		    "SRTP is mandatory here, but keys would travel over clear "
		    "signalling: use TLS, or sip.srtp.clear_signalling = 1");
		return E_MEDIA_SRTP_REQUIRED;
	}
	(void)snprintf(why, why_size,
	    j->m->num_crypto == 0
		? "SRTP is mandatory here (sip.srtp = standard), and the peer "
		  "has none"
		: "SRTP is mandatory here, and no a=crypto line of the peer "
		  "has a suite of sip.srtp.suite and a well-formed key");
	return j->m->num_crypto == 0 ? E_MEDIA_SRTP_REQUIRED : E_MEDIA_SRTP_KEY;
}

int
media_agree_offer(const struct media_neg *n, const struct media_sdp_m *m,
    struct media_judged *out, char *why, size_t why_size)
{
	int err;

	memset(out, 0, sizeof(*out));
	out->m = m;
	out->secure = MEDIA_SECURE_YES;
	err = crypto_pick(&n->conf, m, &out->crypto);
	if (media_proto_is_secure(m->proto))
		return judge_savp(&n->conf, out, err, why, why_size);
	return judge_avp(n, out, err, why, why_size);
}

/* Our codec of a format; static payload types need no rtpmap. */
static const struct media_codec *
codec_of(const struct media_neg *n, const struct media_sdp_fmt *f)
{
	const struct media_codec *c = NULL;

	if (f->name.n != 0)
		c = media_codec_find(f->name, f->clock_hz, f->channels);
	else if (f->pt == media_pcmu.pt)
		c = &media_pcmu;
	else if (f->pt == media_pcma.pt)
		c = &media_pcma;
	for (size_t i = 0; i < n->conf.num_codecs; i++)
		if (n->conf.codecs[i] == c)
			return c;
	return NULL;
}

/* The value of a parameter "name=value;..." as a number; 0: not said. */
static unsigned int
fmtp_number(struct slice fmtp, const char *name)
{
	struct slice part, key, value;
	bool more = fmtp.n != 0;
	int64_t v;

	while (more) {
		more = slice_cut(fmtp, ';', &part, &fmtp);
		if (slice_cut(slice_trim(part), '=', &key, &value) &&
		    slice_case_is(key, name) &&
		    str_int(value, 0, INT32_MAX, &v) == 0)
			return (unsigned int)v;
	}
	return 0;
}

/* The payload type that we named for a codec in our offer. */
static uint8_t
pt_ours(const struct media_neg *n, const struct media_codec *c)
{
	for (size_t i = 0; i < n->conf.num_codecs; i++)
		if (n->conf.codecs[i] == c)
			return n->pts[i];
	return c->pt;
}

/* Payload types of DTMF at the clock of the codec, or else at 8000 Hz. */
static void
dtmf_pick(const struct media_neg *n, const struct media_sdp_m *m,
    bool is_answer, struct media_agreed *a)
{
	const struct media_sdp_fmt *f;

	a->dtmf_tx = a->dtmf_rx = -1;
	for (size_t i = 0; i < m->num_fmts; i++) {
		f = &m->fmts[i];
		if (!slice_case_is(f->name, event_name) ||
		    (f->clock_hz != a->codec->clock_hz && f->clock_hz != 8000))
			continue;
		if (a->dtmf_tx >= 0 && f->clock_hz != a->codec->clock_hz)
			continue;
		a->dtmf_tx = f->pt;
		a->dtmf_hz = f->clock_hz;
		a->dtmf_rx = f->pt;
		if (is_answer)
			a->dtmf_rx = n->dtmf_pts[f->clock_hz != 8000];
	}
}

/* How long our packets are: what they like, within what we can do. */
static unsigned int
ptime_pick(const struct media_neg *n, const struct media_sdp_m *m,
    const struct media_codec *c)
{
	unsigned int ms = m->ptime_ms != 0 ? m->ptime_ms : n->conf.ptime_ms;

	if (m->maxptime_ms != 0 && ms > m->maxptime_ms)
		ms = m->maxptime_ms;
	if (ms > MEDIA_PTIME_MAX_MS)
		ms = MEDIA_PTIME_MAX_MS;
	ms -= ms % 10;
	if (ms < MEDIA_PTIME_MIN_MS)
		ms = MEDIA_PTIME_MIN_MS;
	/* Opus has frames of 10, 20, 40 and 60 ms. */
	if (!c->odd_ptime_ok && ms == 30)
		ms = 20;
	if (!c->odd_ptime_ok && ms == 50)
		ms = 40;
	return ms;
}

int
media_agree_codec(const struct media_neg *n, const struct media_sdp_m *m,
    bool is_answer, struct media_agreed *a, char *why, size_t why_size)
{
	const struct media_codec *c;
	const struct media_sdp_fmt *f;

	for (size_t i = 0; i < m->num_fmts; i++) {
		f = &m->fmts[i];
		if ((c = codec_of(n, f)) == NULL)
			continue;
		if (a->codec == NULL) {
			a->codec = c;
			a->pt_tx = f->pt;
			a->pt_rx = is_answer ? pt_ours(n, c) : f->pt;
			a->params.fec =
			    fmtp_number(f->fmtp, "useinbandfec") == 1;
			a->params.bitrate =
			    fmtp_number(f->fmtp, "maxaveragebitrate");
		} else if (is_answer && a->alt == NULL && c != a->codec &&
		    c->is_stateless && a->codec->is_stateless) {
			/* An answer may keep several: they may change. */
			a->alt = c;
			a->alt_pt = pt_ours(n, c);
		}
	}
	if (a->codec == NULL) {
		(void)snprintf(why, why_size,
		    "no codec in common: audio.codecs has none of the peer's");
		return E_MEDIA_NO_COMMON;
	}
	dtmf_pick(n, m, is_answer, a);
	a->ptime_ms = ptime_pick(n, m, a->codec);
	return 0;
}

/* False for where a=rtcp may not send our reports: to a group, to nowhere, or
 * to services of this machine when the peer is not on it. */
static bool
rtcp_addr_ok(const struct media_sdp_m *m)
{
	return addr_is_set(&m->rtcp) &&
	    m->rtcp.u.sa.sa_family == m->conn.u.sa.sa_family &&
	    !addr_is_any(&m->rtcp) && !addr_is_multicast(&m->rtcp) &&
	    (!addr_is_loopback(&m->rtcp) || addr_is_loopback(&m->conn));
}

int
media_agree_addr(const struct media_neg *n, const struct media_sdp_m *m,
    struct media_agreed *a, char *why, size_t why_size)
{
	if (m->conn.u.sa.sa_family != n->local.u.sa.sa_family) {
		(void)snprintf(why, why_size,
		    "the peer's audio is on IPv%d and ours on IPv%d",
		    m->conn.u.sa.sa_family == AF_INET ? 4 : 6,
		    n->local.u.sa.sa_family == AF_INET ? 4 : 6);
		return E_MEDIA_NO_COMMON;
	}
	a->rtp = m->conn;
	a->rtcp_mux = m->rtcp_mux;
	a->rtcp = rtcp_addr_ok(m) ? m->rtcp : m->conn;
	addr_set_port(&a->rtcp,
	    m->rtcp_mux             ? m->port
		: m->rtcp_port != 0 ? m->rtcp_port
				    : (uint16_t)(m->port + 1));
	if (addr_is_any(&m->conn)) {
		/* RFC 2543's hold: nowhere to send to, RTCP included (RFC 3264
		 * 8.4); the kernel would take it for this machine. */
		a->dir = (enum media_dir)(a->dir & MEDIA_RECV);
		addr_set_port(&a->rtp, 0);
		addr_set_port(&a->rtcp, 0);
	}
	return 0;
}
