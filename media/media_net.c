/* SPDX-License-Identifier: ISC */
/* The network side of a session: a pair of ports, whom to believe, SRTP both
 * ways under keys that may change, counters. */
#include <string.h>

#include "bellbird/clock.h"
#include "bellbird/log.h"
#include "bellbird/mem.h"
#include "bellbird/tls_hash.h"
#include "internal.h"

enum {
	/* Tries to find a pair of free ports. */
	TRIES_MAX = 256,
	/* In clear, a NAT's port is learnt only so soon after the start. */
	LATCH_US = 10000000,
	/* Packets under the old key may still be on their way. */
	OLD_KEY_US = 5000000,
	/* The answer with our new key has arrived by then. */
	NEW_KEY_US = 1000000,
	CLEAR_STEP_HZ = 100 /* clear audio comes in tens of milliseconds */
};

static void on_datagram(
    struct udp *u, uint8_t *p, size_t n, const struct addr *from, void *arg);

/* Opens a pair on a given even port. */
static int
pair_open(struct media_net *n, struct loop *l, const struct media_conf *conf,
    uint16_t port)
{
	struct addr a = conf->local;
	int err;

	addr_set_port(&a, port);
	err = udp_open(&n->rtp, l, &a, conf->dscp_rtp, on_datagram, n);
	if (err != 0)
		return err;
	addr_set_port(&a, (uint16_t)(port + 1));
	err = udp_open(&n->rtcp, l, &a, conf->dscp_rtp, on_datagram, n);
	if (err != 0) {
		udp_free(n->rtp);
		n->rtp = NULL;
	}
	return err;
}

/* Lets the kernel choose one port and takes its neighbour. */
static int
pair_any(struct media_net *n, struct loop *l, const struct media_conf *conf)
{
	struct udp *first = NULL, *second = NULL;
	struct addr a = conf->local, got;
	uint16_t port;
	int err;

	addr_set_port(&a, 0);
	err = udp_open(&first, l, &a, conf->dscp_rtp, on_datagram, n);
	if (err != 0)
		return err;
	udp_local(first, &got);
	port = addr_port(&got);
	addr_set_port(&a, (uint16_t)(port ^ 1));
	err = udp_open(&second, l, &a, conf->dscp_rtp, on_datagram, n);
	if (err != 0) {
		udp_free(first);
		return err;
	}
	n->rtp = port & 1 ? second : first;
	n->rtcp = port & 1 ? first : second;
	return 0;
}

/* The next pair to try: round and round the range, from a random start, so
 * that a port just freed rests. */
static uint16_t
range_next(uint16_t min, uint16_t max)
{
	static uint32_t turn;
	uint32_t pairs = ((uint32_t)max - min + 1) / 2;

	if (turn == 0)
		tls_random(&turn, sizeof(turn));
	return (uint16_t)(min + 2 * (turn++ % pairs));
}

int
media_net_open(struct media_net *n, struct loop *l,
    const struct media_conf *conf, media_net_cb *cb, void *arg)
{
	uint16_t min = (uint16_t)(conf->port_min + (conf->port_min & 1));
	int err = EADDRINUSE, tries = TRIES_MAX;

	memset(n, 0, sizeof(*n));
	n->cb = cb;
	n->arg = arg;
	n->log_id = conf->log_id;
	if (conf->port_min != 0 && conf->port_max <= min)
		return EINVAL;
	while (tries-- > 0 && (err == EADDRINUSE || err == EACCES))
		err = conf->port_min == 0
		    ? pair_any(n, l, conf)
		    : pair_open(n, l, conf, range_next(min, conf->port_max));
	if (err != 0)
		return err;
	udp_local(n->rtp, &n->local);
	n->rtcp_port = (uint16_t)(addr_port(&n->local) + 1);
	return 0;
}

/* Forgets all keys. */
static void
keys_clear(struct media_net *n)
{
	media_srtp_free(n->tx);
	media_srtp_free(n->rx);
	media_srtp_free(n->old_rx);
	media_srtp_free(n->next_tx);
	n->tx = n->rx = n->old_rx = n->next_tx = NULL;
	mem_wipe(&n->tx_key, sizeof(n->tx_key));
	mem_wipe(&n->rx_key, sizeof(n->rx_key));
}

void
media_net_close(struct media_net *n)
{
	udp_free(n->rtp);
	udp_free(n->rtcp);
	n->rtp = n->rtcp = NULL;
	n->open = false;
	keys_clear(n);
}

void
media_net_keys_free(struct media_net_keys *keys)
{
	media_srtp_free(keys->tx);
	media_srtp_free(keys->rx);
	keys->tx = keys->rx = NULL;
}

int
media_net_prepare(const struct media_net *n, const struct media_agreed *a,
    struct media_net_keys *keys)
{
	int err;

	keys->tx = keys->rx = NULL;
	if (a->rx.suite == NULL || media_srtp_state() != 0)
		return 0; /* clear, or made at the start */
	if (n->tx == NULL || !media_crypto_same_key(&n->tx_key, &a->tx)) {
		err = media_srtp_new(&keys->tx, &a->tx, MEDIA_SRTP_OUT);
		if (err != 0)
			return err;
	}
	if (n->rx == NULL || !media_crypto_same_key(&n->rx_key, &a->rx)) {
		err = media_srtp_new(&keys->rx, &a->rx, MEDIA_SRTP_IN);
		if (err != 0) {
			media_net_keys_free(keys);
			return err;
		}
	}
	return 0;
}

/* Takes new contexts into use without a gap. */
static void
keys_apply(struct media_net *n, const struct media_agreed *a,
    struct media_net_keys *keys, bool answered)
{
	int64_t now = clock_mono_us();

	if (keys->tx != NULL) {
		media_srtp_free(n->next_tx);
		n->next_tx = NULL;
		if (answered && n->tx != NULL) {
			n->next_tx = keys->tx;
			n->next_tx_us = now + NEW_KEY_US;
		} else {
			media_srtp_free(n->tx);
			n->tx = keys->tx;
		}
		n->tx_key = a->tx;
	}
	if (keys->rx != NULL) {
		media_srtp_free(n->old_rx);
		n->old_rx = n->rx;
		n->old_until_us = now + OLD_KEY_US;
		n->rx = keys->rx;
		n->rx_key = a->rx;
	}
	keys->tx = keys->rx = NULL;
}

void
media_net_apply(struct media_net *n, const struct media_agreed *a,
    struct media_net_keys *keys, bool answered)
{
	n->agreed = a;
	n->secure = a->rx.suite != NULL;
	if (n->secure)
		keys_apply(n, a, keys, answered);
	else
		keys_clear(n);
	n->mux = a->rtcp_mux;
	n->rtcp_to = a->rtcp;
	if (addr_is_set(&n->signalled) && addr_eq(&n->signalled, &a->rtp))
		return; /* what has been learnt stays */
	n->signalled = n->to = a->rtp;
	n->latched = false;
	n->latch_until_us = clock_mono_us() + LATCH_US;
}

void
media_net_start(struct media_net *n)
{
	if (!n->latched)
		n->latch_until_us = clock_mono_us() + LATCH_US;
	n->open = true;
}

void
media_net_stop(struct media_net *n)
{
	n->open = false;
}

void
media_net_tidy(struct media_net *n, int64_t now_us)
{
	if (n->old_rx != NULL && now_us >= n->old_until_us) {
		media_srtp_free(n->old_rx);
		n->old_rx = NULL;
	}
	if (n->next_tx != NULL && now_us >= n->next_tx_us) {
		media_srtp_free(n->tx);
		n->tx = n->next_tx;
		n->next_tx = NULL;
	}
}

void
media_net_send(struct media_net *n, uint8_t *p, size_t len, bool is_rtcp)
{
	const struct addr *to = is_rtcp && !n->mux ? &n->rtcp_to : &n->to;
	struct udp *u = is_rtcp && !n->mux ? n->rtcp : n->rtp;
	size_t audio = len;

	if (!n->open || addr_port(to) == 0)
		return;
	if (n->secure &&
	    (n->tx == NULL || media_srtp_protect(n->tx, p, &len, is_rtcp) != 0))
		return; /* never in clear */
	/* A full socket buffer or an unreachable port: the packet is lost,
	 * which RTP knows how to live with. */
	if (udp_send(u, p, len, to) != 0 || is_rtcp)
		return;
	n->stats.tx_packets++;
	n->stats.tx_bytes += audio - MEDIA_RTP_HEADER;
}

/* True if an address may be whom we talk to in clear; learns a NAT's port,
 * once, of the signalled address only. */
static bool
source_ok(struct media_net *n, const struct addr *from, bool is_rtcp)
{
	if (is_rtcp)
		return addr_ip_eq(from, &n->to) ||
		    addr_ip_eq(from, &n->agreed->rtcp);
	if (n->latched || addr_eq(from, &n->to)) {
		n->latched = n->latched || addr_eq(from, &n->to);
		return addr_eq(from, &n->to);
	}
	if (!addr_ip_eq(from, &n->signalled) ||
	    clock_mono_us() > n->latch_until_us)
		return false;
	n->latched = true;
	n->to = *from;
	return true;
}

/* An authenticated packet shows where the peer really is. */
static void
source_learn(struct media_net *n, const struct addr *from, bool is_rtcp)
{
	char text[ADDR_STR_MAX];

	if (is_rtcp && !n->mux) {
		n->rtcp_to = *from;
		return;
	}
	n->latched = true;
	if (addr_eq(from, &n->to))
		return;
	addr_print(from, text);
	log_info(LOGC_MEDIA, n->log_id,
	    "authenticated audio comes from elsewhere addr=%s: answering there",
	    text);
	n->to = *from;
}

/* True for a packet that looks like clear audio of the agreed kind: somebody
 * sends without the SRTP that was agreed. */
static bool
looks_clear(const struct media_agreed *a, const uint8_t *p, size_t n)
{
	struct media_rtp h;
	size_t samples;

	if (media_rtp_parse(&h, p, n) != 0)
		return false;
	if (h.pt == a->dtmf_rx)
		return h.n == 4;
	if (h.pt != a->pt_rx)
		return false;
	samples = a->codec->samples(h.payload, h.n);
	return samples != 0 &&
	    samples % (a->codec->rate_hz / CLEAR_STEP_HZ) == 0;
}

/* Authenticates and decrypts in place; false: dropped and counted. */
static bool
unprotect(struct media_net *n, uint8_t *p, size_t *len, bool is_rtcp)
{
	int err;

	if (n->rx == NULL)
		return false;
	err = media_srtp_unprotect(n->rx, p, len, is_rtcp);
	if (err == 0 && n->next_tx != NULL)
		media_net_tidy(n, n->next_tx_us); /* they have our new key */
	if (err != 0 && err != EALREADY && n->old_rx != NULL)
		err = media_srtp_unprotect(n->old_rx, p, len, is_rtcp);
	if (err == 0)
		return true;
	if (err == EALREADY)
		n->stats.dup++;
	else if (!is_rtcp && looks_clear(n->agreed, p, *len))
		n->stats.clear_refused++;
	else if (err == E_LIMIT)
		n->stats.foreign++;
	else
		n->stats.auth_fail++;
	return false;
}

/* True if the payload type is one that was agreed. */
static bool
pt_ok(const struct media_agreed *a, uint8_t pt)
{
	return pt == a->pt_rx || pt == a->dtmf_rx ||
	    (a->alt != NULL && pt == a->alt_pt);
}

/* udp_cb of both sockets. */
static void
on_datagram(
    struct udp *u, uint8_t *p, size_t len, const struct addr *from, void *arg)
{
	struct media_net *n = arg;
	bool is_rtcp = u == n->rtcp;
	struct media_rtp h;

	if (!n->open || len > MEDIA_PACKET_MAX)
		return;
	if (media_rtp_is_rtcp(p, len) != is_rtcp) {
		if (is_rtcp || !n->mux)
			return;
		is_rtcp = true;
	}
	if (n->secure) {
		if (!unprotect(n, p, &len, is_rtcp))
			return;
	} else if (!source_ok(n, from, is_rtcp)) {
		n->stats.foreign++;
		return;
	}
	if (!is_rtcp &&
	    (media_rtp_parse(&h, p, len) != 0 || !pt_ok(n->agreed, h.pt)))
		return;
	if (n->secure)
		source_learn(n, from, is_rtcp);
	if (!is_rtcp) {
		n->stats.rx_packets++;
		n->stats.rx_bytes += h.n;
	}
	n->cb(p, len, is_rtcp, n->arg); /* may free us */
}
