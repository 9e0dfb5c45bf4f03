/* SPDX-License-Identifier: ISC */
/* Messages as packets in a pcapng file (draft-ietf-opsawg-pcapng): an IP and a
 * UDP or TCP header before each, made of the addresses it really had. */
#include <arpa/inet.h>
#include <string.h>

#include "internal.h"

enum {
	BLOCK_SECTION = 0x0a0d0d0a,
	BLOCK_INTERFACE = 1,
	BLOCK_PACKET = 6,
	MAGIC = 0x1a2b3c4d,
	LINK_RAW = 101, /* packets begin with the IP header */
	OPT_END = 0,
	OPT_COMMENT = 1,
	OPT_IF_NAME = 2,
	OPT_FLAGS = 2, /* of a packet; 1 inbound, 2 outbound */
	OPT_APPL = 4,
	IP4_LEN = 20,
	IP6_LEN = 40,
	UDP_LEN = 8,
	TCP_LEN = 20,
	HEAD_MAX = IP6_LEN + TCP_LEN,
	/* Lengths in IP and UDP have 16 bits. */
	PIECE_MAX = 65000,
	TCP_PSH_ACK = 0x18
};

/* Appends; a buf remembers its first failure. */
static void
put(struct buf *b, const void *p, size_t n)
{
	ignore_err(buf_add(b, p, n), "sticks in the buf");
}

static void
put32(struct buf *b, uint32_t v)
{
	put(b, &v, sizeof(v));
}

/* Fills up to a multiple of four. */
static void
pad(struct buf *b, size_t n)
{
	put(b, "\0\0\0", (4 - n % 4) % 4);
}

static void
put_option(struct buf *b, uint16_t code, const void *p, size_t n)
{
	uint16_t head[2] = { code, (uint16_t)n };

	put(b, head, sizeof(head));
	put(b, p, n);
	pad(b, n);
}

/* A block begins with type and length, and ends with the length. */
static size_t
block_begin(struct buf *b, uint32_t type)
{
	size_t start = b->n;

	put32(b, type);
	put32(b, 0);
	return start;
}

static void
block_end(struct buf *b, size_t start)
{
	uint32_t n = (uint32_t)(b->n - start) + 4;

	put32(b, n);
	if (b->err == 0)
		memcpy(b->p + start + 4, &n, sizeof(n));
}

void
sip_pcap_begin(struct buf *b)
{
	static const char appl[] = "bellbird " PACKAGE_VERSION;
	const uint16_t version[2] = { 1, 0 }, link[2] = { LINK_RAW, 0 };
	const int64_t unknown = -1;
	size_t at = block_begin(b, BLOCK_SECTION);

	put32(b, MAGIC);
	put(b, version, sizeof(version));
	put(b, &unknown, sizeof(unknown));
	put_option(b, OPT_APPL, appl, sizeof(appl) - 1);
	put32(b, OPT_END);
	block_end(b, at);
	/* The transports in the order of their numbers. */
	for (int t = 0; t < SIPC_TRANSPORTS; t++) {
		const char *name = sip_transport_name((enum sip_transport)t);

		at = block_begin(b, BLOCK_INTERFACE);
		put(b, link, sizeof(link));
		put32(b, 0);
		put_option(b, OPT_IF_NAME, name, strlen(name));
		put32(b, OPT_END);
		block_end(b, at);
	}
}

static void
set16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void
set32(uint8_t *p, uint32_t v)
{
	set16(p, v >> 16);
	set16(p + 2, v & 0xffff);
}

/* Sum of 16-bit words (RFC 1071). */
static uint32_t
sum16(uint32_t sum, const uint8_t *p, size_t n)
{
	for (; n > 1; p += 2, n -= 2) {
		sum += (uint32_t)(p[0] << 8 | p[1]);
		sum = (sum & 0xffff) + (sum >> 16);
	}
	if (n == 1)
		sum += (uint32_t)p[0] << 8;
	return (sum & 0xffff) + (sum >> 16);
}

static uint16_t
fold(uint32_t sum)
{
	return (uint16_t) ~((sum & 0xffff) + (sum >> 16));
}

/* Four or sixteen bytes of an address; one of the other family is none. */
static void
ip_of(uint8_t *out, const struct addr *a, int family)
{
	memset(out, 0, family == AF_INET6 ? 16 : 4);
	if (a->u.sa.sa_family != family)
		return;
	if (family == AF_INET6)
		memcpy(out, &a->u.in6.sin6_addr, 16);
	else
		memcpy(out, &a->u.in.sin_addr, 4);
}

/* The IP header for `n` bytes behind it; returns its length and the sum of
 * the pseudo header. */
static size_t
ip_head(uint8_t *h, const struct sip_trace_msg *m, uint8_t proto, size_t n,
    uint32_t *sum)
{
	const struct addr *src = m->sent ? &m->local : &m->remote;
	const struct addr *dst = m->sent ? &m->remote : &m->local;
	int family = m->remote.u.sa.sa_family;
	size_t len = family == AF_INET6 ? IP6_LEN : IP4_LEN;

	memset(h, 0, len);
	*sum = (uint32_t)(proto + n);
	if (family == AF_INET6) {
		h[0] = 0x60;
		set16(h + 4, n);
		h[6] = proto;
		h[7] = 64;
		ip_of(h + 8, src, family);
		ip_of(h + 24, dst, family);
		*sum = sum16(*sum, h + 8, 32);
	} else {
		h[0] = 0x45;
		set16(h + 2, n + len);
		h[6] = 0x40; /* don't fragment */
		h[8] = 64;
		h[9] = proto;
		ip_of(h + 12, src, family);
		ip_of(h + 16, dst, family);
		set16(h + 10, fold(sum16(0, h, len)));
		*sum = sum16(*sum, h + 12, 8);
	}
	return len;
}

/* The headers before the `part` that begins at byte `at` of its stream. */
static size_t
heads(uint8_t *h, const struct sip_trace_msg *m, struct slice part, uint32_t at)
{
	bool tcp = m->t == SIPC_TCP;
	size_t len = tcp ? TCP_LEN : UDP_LEN, ip;
	uint32_t sum;
	uint8_t *p;
	uint16_t check;

	ip = ip_head(h, m, tcp ? IPPROTO_TCP : IPPROTO_UDP, part.n + len, &sum);
	p = h + ip;
	memset(p, 0, len);
	set16(p, addr_port(m->sent ? &m->local : &m->remote));
	set16(p + 2, addr_port(m->sent ? &m->remote : &m->local));
	if (tcp) {
		set32(p + 4, at + 1);
		set32(p + 8, m->peer_at + 1);
		p[12] = TCP_LEN / 4 << 4;
		p[13] = TCP_PSH_ACK;
		set16(p + 14, 0xffff);
	} else {
		set16(p + 4, part.n + len);
	}
	sum = sum16(sum16(sum, p, len), (const uint8_t *)part.p, part.n);
	check = fold(sum);
	/* RFC 768: zero would say that there is none. */
	set16(p + (tcp ? 16 : 6), check != 0 || tcp ? check : 0xffff);
	return ip + len;
}

void
sip_pcap_add(struct buf *b, const struct sip_trace_msg *m)
{
	static const char note[] = "went through TLS; shown decrypted, as UDP";
	struct slice rest = m->msg, part;
	uint32_t flags = m->sent ? 2 : 1;
	uint8_t head[HEAD_MAX];
	size_t n, at;

	while (rest.n > 0) {
		part = rest;
		if (part.n > PIECE_MAX)
			part.n = PIECE_MAX;
		n = heads(head, m, part, m->at + (uint32_t)(rest.p - m->msg.p));
		at = block_begin(b, BLOCK_PACKET);
		put32(b, (uint32_t)m->t);
		put32(b, (uint32_t)((uint64_t)m->at_us >> 32));
		put32(b, (uint32_t)m->at_us);
		put32(b, (uint32_t)(n + part.n));
		put32(b, (uint32_t)(n + part.n));
		put(b, head, n);
		put(b, part.p, part.n);
		pad(b, n + part.n);
		if (m->t == SIPC_TLS)
			put_option(b, OPT_COMMENT, note, sizeof(note) - 1);
		put_option(b, OPT_FLAGS, &flags, sizeof(flags));
		put32(b, OPT_END);
		block_end(b, at);
		if (m->t != SIPC_TCP)
			break;
		rest.p += part.n;
		rest.n -= part.n;
	}
}
