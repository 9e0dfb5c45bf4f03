/* SPDX-License-Identifier: ISC */
/* IP addresses with ports: text to value and back, comparison, ranges.
 * Names are never looked up here. */
#include <arpa/inet.h>
#include <assert.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

enum {
	PORT_MAX = 65535,
	PORT_DISCARD = 9, /* any port does: no packet is sent */
	V4_BITS = 32,
	V6_BITS = 128
};

bool
addr_is_set(const struct addr *a)
{
	return a->u.sa.sa_family == AF_INET || a->u.sa.sa_family == AF_INET6;
}

/* Copies a slice for the functions of libc that want a string. */
static int
to_text(struct slice s, char out[static INET6_ADDRSTRLEN])
{
	if (s.n == 0 || memchr(s.p, '\0', s.n) != NULL ||
	    str_copy_slice(out, INET6_ADDRSTRLEN, s) != 0)
		return E_PARSE;
	return 0;
}

/* Reads the scope behind '%': a name or number of an interface. */
static int
scope_parse(struct slice s, uint32_t *out)
{
	char name[IF_NAMESIZE];
	unsigned int index;
	int64_t v;

	if (str_int(s, 1, UINT32_MAX, &v) == 0 && *s.p != '+') {
		*out = (uint32_t)v;
		return 0;
	}
	if (s.n == 0 || memchr(s.p, '\0', s.n) != NULL ||
	    str_copy_slice(name, sizeof(name), s) != 0 ||
	    (index = if_nametoindex(name)) == 0)
		return E_PARSE;
	*out = index;
	return 0;
}

int
addr_parse_ip(struct addr *a, struct slice s)
{
	char text[INET6_ADDRSTRLEN];
	struct slice ip, scope;
	struct addr r;
	bool scoped;
	int err;

	memset(&r, 0, sizeof(r));
	scoped = slice_cut(s, '%', &ip, &scope);
	if ((err = to_text(ip, text)) != 0)
		return err;
	if (!scoped && inet_pton(AF_INET, text, &r.u.in.sin_addr) == 1) {
		r.u.in.sin_family = AF_INET;
		*a = r;
		return 0;
	}
	if (inet_pton(AF_INET6, text, &r.u.in6.sin6_addr) != 1)
		return E_PARSE;
	r.u.in6.sin6_family = AF_INET6;
	if (scoped) {
		if (!IN6_IS_ADDR_LINKLOCAL(&r.u.in6.sin6_addr) &&
		    !IN6_IS_ADDR_MC_LINKLOCAL(&r.u.in6.sin6_addr))
			return E_PARSE;
		err = scope_parse(scope, &r.u.in6.sin6_scope_id);
		if (err != 0)
			return err;
	}
	*a = r;
	return 0;
}

int
addr_parse(struct addr *a, struct slice s, uint16_t port)
{
	struct slice host;
	struct addr r;
	int err;

	if ((err = addr_split(s, &host, &port)) != 0 ||
	    (err = addr_parse_ip(&r, host)) != 0)
		return err;
	addr_set_port(&r, port);
	*a = r;
	return 0;
}

/* True if `s` could be a host: no byte of a URI's or a header's grammar. */
static bool
is_host(struct slice s)
{
	static const char refused[] = "\"#/<>?@[]\\^`{|},;";

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] <= ' ' || s.p[i] == 0x7f ||
		    strchr(refused, s.p[i]) != NULL)
			return false;
	}
	return s.n > 0;
}

int
addr_split(struct slice s, struct slice *host, uint16_t *port)
{
	struct slice h = s, p = { NULL, 0 }, rest;
	bool has_port = false;
	struct addr a;
	int64_t v = 0;

	if (s.n > 0 && *s.p == '[') {
		s.p++;
		s.n--;
		if (!slice_cut(s, ']', &h, &rest) ||
		    addr_parse_ip(&a, h) != 0 || a.u.sa.sa_family != AF_INET6)
			return E_PARSE;
		has_port = rest.n > 0;
		if (has_port && *rest.p != ':')
			return E_PARSE;
		if (has_port)
			p = (struct slice){ rest.p + 1, rest.n - 1 };
	} else if (slice_cut(s, ':', &h, &p)) {
		has_port = memchr(p.p, ':', p.n) == NULL;
		if (!has_port) {
			/* Two colons: an IPv6 address without brackets. */
			h = s;
			if (addr_parse_ip(&a, h) != 0)
				return E_PARSE;
		}
	}
	if (!is_host(h))
		return E_PARSE;
	if (has_port &&
	    (p.n == 0 || *p.p < '0' || *p.p > '9' ||
		str_int(p, 0, PORT_MAX, &v) != 0))
		return E_PARSE;
	*host = h;
	if (has_port)
		*port = (uint16_t)v;
	return 0;
}

/* Appends a number of at most five digits; returns its end. */
static char *
num_put(char *out, unsigned int v)
{
	char text[8], *p = text + sizeof(text);
	size_t n;

	do {
		*--p = (char)('0' + v % 10);
		v /= 10;
	} while (v != 0);
	n = (size_t)(text + sizeof(text) - p);
	memcpy(out, p, n);
	return out + n;
}

/* Writes an IPv4 address by hand: each message has some. */
static char *
ip4_put(const struct in_addr *ip, char *out)
{
	const uint8_t *b = (const uint8_t *)ip;

	for (int i = 0; i < 4; i++) {
		if (i > 0)
			*out++ = '.';
		out = num_put(out, b[i]);
	}
	*out = '\0';
	return out;
}

void
addr_print_ip(const struct addr *a, char out[static ADDR_STR_MAX])
{
	size_t n;

	if (a->u.sa.sa_family == AF_INET) {
		ip4_put(&a->u.in.sin_addr, out);
		return;
	}
	if (a->u.sa.sa_family == AF_INET6 &&
	    inet_ntop(AF_INET6, &a->u.in6.sin6_addr, out, ADDR_STR_MAX)) {
		n = strlen(out);
		if (a->u.in6.sin6_scope_id != 0)
			snprintf(out + n, ADDR_STR_MAX - n, "%%%u",
			    a->u.in6.sin6_scope_id);
		return;
	}
	snprintf(out, ADDR_STR_MAX, "none");
}

void
addr_print(const struct addr *a, char out[static ADDR_STR_MAX])
{
	char ip[ADDR_STR_MAX];
	bool v6 = a->u.sa.sa_family == AF_INET6;
	char *end;

	if (a->u.sa.sa_family == AF_INET) {
		end = ip4_put(&a->u.in.sin_addr, out);
		*end++ = ':';
		*num_put(end, addr_port(a)) = '\0';
		return;
	}
	addr_print_ip(a, ip);
	if (addr_is_set(a))
		/* 54: "[", "]:65535" and the NUL need the other ten */
		snprintf(out, ADDR_STR_MAX, v6 ? "[%.54s]:%u" : "%.54s:%u", ip,
		    addr_port(a));
	else
		snprintf(out, ADDR_STR_MAX, "none");
}

uint16_t
addr_port(const struct addr *a)
{
	if (a->u.sa.sa_family == AF_INET)
		return ntohs(a->u.in.sin_port);
	return a->u.sa.sa_family == AF_INET6 ? ntohs(a->u.in6.sin6_port) : 0;
}

void
addr_set_port(struct addr *a, uint16_t port)
{
	if (a->u.sa.sa_family == AF_INET)
		a->u.in.sin_port = htons(port);
	else if (a->u.sa.sa_family == AF_INET6)
		a->u.in6.sin6_port = htons(port);
}

socklen_t
addr_len(const struct addr *a)
{
	if (a->u.sa.sa_family == AF_INET)
		return sizeof(a->u.in);
	return a->u.sa.sa_family == AF_INET6 ? sizeof(a->u.in6) : 0;
}

bool
addr_eq(const struct addr *a, const struct addr *b)
{
	if (a->u.sa.sa_family != b->u.sa.sa_family)
		return false;
	if (!addr_is_set(a))
		return true;
	return addr_port(a) == addr_port(b) && addr_ip_eq(a, b);
}

/* The address bytes; an IPv4 address in IPv6 clothes gives its four. */
static const uint8_t *
ip_bytes(const struct addr *a, size_t *bits)
{
	const uint8_t *p;

	*bits = 0;
	if (a->u.sa.sa_family == AF_INET) {
		*bits = V4_BITS;
		return (const uint8_t *)&a->u.in.sin_addr;
	}
	if (a->u.sa.sa_family != AF_INET6)
		return NULL;
	p = a->u.in6.sin6_addr.s6_addr;
	if (IN6_IS_ADDR_V4MAPPED(&a->u.in6.sin6_addr)) {
		*bits = V4_BITS;
		return p + 12;
	}
	*bits = V6_BITS;
	return p;
}

bool
addr_ip_eq(const struct addr *a, const struct addr *b)
{
	size_t n, m;
	const uint8_t *p = ip_bytes(a, &n), *q = ip_bytes(b, &m);

	if (p == NULL || q == NULL)
		return p == q;
	if (n != m || memcmp(p, q, n / 8) != 0)
		return false;
	return n == V4_BITS || a->u.in6.sin6_scope_id == b->u.in6.sin6_scope_id;
}

bool
addr_is_loopback(const struct addr *a)
{
	size_t n;
	const uint8_t *p = ip_bytes(a, &n);

	if (p == NULL)
		return false;
	return n == V4_BITS ? p[0] == 127
			    : IN6_IS_ADDR_LOOPBACK(&a->u.in6.sin6_addr);
}

bool
addr_is_multicast(const struct addr *a)
{
	size_t n;
	const uint8_t *p = ip_bytes(a, &n);

	if (p == NULL)
		return false;
	return n == V4_BITS ? (p[0] & 0xf0) == 0xe0 : p[0] == 0xff;
}

bool
addr_is_any(const struct addr *a)
{
	static const uint8_t zeros[V6_BITS / 8];
	size_t n;
	const uint8_t *p = ip_bytes(a, &n);

	return p != NULL && memcmp(p, zeros, n / 8) == 0;
}

/* True if the first `bits` bits are equal. */
static bool
is_prefix(const uint8_t *p, const uint8_t *q, size_t bits)
{
	size_t whole = bits / 8, left = bits % 8;

	if (memcmp(p, q, whole) != 0)
		return false;
	return left == 0 || ((p[whole] ^ q[whole]) >> (8 - left)) == 0;
}

int
addr_in_cidr(const struct addr *a, struct slice cidr, bool *in)
{
	struct slice ip, len;
	size_t n, m;
	const uint8_t *p, *q;
	struct addr net;
	int64_t bits;
	bool has_len;

	has_len = slice_cut(cidr, '/', &ip, &len);
	if (memchr(ip.p != NULL ? ip.p : "", '%', ip.n) != NULL ||
	    addr_parse_ip(&net, ip) != 0)
		return E_PARSE;
	bits = net.u.sa.sa_family == AF_INET ? V4_BITS : V6_BITS;
	if (has_len &&
	    (len.n == 0 || *len.p == '+' || *len.p == '-' ||
		str_int(len, 0, bits, &bits) != 0))
		return E_PARSE;
	p = ip_bytes(a, &n);
	q = ip_bytes(&net, &m);
	if (net.u.sa.sa_family == AF_INET6 && m == V4_BITS) {
		/* ::ffff:0:0/96 and longer speak of IPv4. */
		if (bits < V6_BITS - V4_BITS)
			return E_PARSE;
		bits -= V6_BITS - V4_BITS;
	}
	*in = p != NULL && n == m && is_prefix(p, q, (size_t)bits);
	return 0;
}

int
addr_from_sockaddr(struct addr *a, const struct sockaddr *sa, socklen_t n)
{
	struct addr r;

	memset(&r, 0, sizeof(r));
	if (n < sizeof(sa->sa_family))
		return EAFNOSUPPORT;
	if (sa->sa_family == AF_INET && n >= sizeof(r.u.in))
		memcpy(&r.u.in, sa, sizeof(r.u.in));
	else if (sa->sa_family == AF_INET6 && n >= sizeof(r.u.in6))
		memcpy(&r.u.in6, sa, sizeof(r.u.in6));
	else
		return EAFNOSUPPORT;
	*a = r;
	return 0;
}

int
addr_local_for(const struct addr *peer, struct addr *out)
{
	struct addr to = *peer, r;
	socklen_t len = sizeof(r.u);
	int fd, err = 0;

	if (!addr_is_set(peer))
		return EAFNOSUPPORT;
	if (addr_port(&to) == 0)
		addr_set_port(&to, PORT_DISCARD);
	fd = socket(to.u.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno;
	memset(&r, 0, sizeof(r));
	if (connect(fd, &to.u.sa, addr_len(&to)) != 0 ||
	    getsockname(fd, &r.u.sa, &len) != 0)
		err = errno;
	close(fd);
	if (err != 0)
		return err;
	addr_set_port(&r, 0);
	*out = r;
	return 0;
}
