/* SPDX-License-Identifier: ISC */
/* As much of STUN (RFC 8489) as the keep-alive of RFC 5626 4.4.2 needs: a
 * binding request, and the address in its answer. */
#include <string.h>

#include "internal.h"

enum {
	BINDING_REQUEST = 0x0001,
	BINDING_SUCCESS = 0x0101,
	XOR_MAPPED_ADDRESS = 0x0020,
	COOKIE = 0x2112a442,
	HEAD = 20,
	ID = 12,
	FAMILY_4 = 1,
	FAMILY_6 = 2
};

static void
put16(uint8_t *p, unsigned int v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static unsigned int
get16(const uint8_t *p)
{
	return (unsigned int)p[0] << 8 | p[1];
}

static void
put_cookie(uint8_t *p)
{
	put16(p, (unsigned int)COOKIE >> 16);
	put16(p + 2, COOKIE & 0xffff);
}

void
sip_stun_request(uint8_t out[static SIP_STUN_REQ], const uint8_t *id)
{
	put16(out, BINDING_REQUEST);
	put16(out + 2, 0);
	put_cookie(out + 4);
	memcpy(out + 8, id, ID);
}

bool
sip_stun_is(const uint8_t *p, size_t n)
{
	uint8_t cookie[4];

	put_cookie(cookie);
	return n >= HEAD && (p[0] & 0xc0) == 0 &&
	    memcmp(p + 4, cookie, sizeof(cookie)) == 0;
}

/* Reads XOR-MAPPED-ADDRESS (14.2): xor with the cookie, then with the id. */
static int
mapped_read(struct addr *out, const uint8_t *v, size_t n, const uint8_t *head)
{
	struct addr a = { .u.sa.sa_family = 0 };
	uint8_t ip[16];
	size_t len = v[1] == FAMILY_4 ? 4 : 16;

	if ((v[1] != FAMILY_4 && v[1] != FAMILY_6) || n != 4 + len)
		return E_PARSE;
	/* The cookie and the id stand in a row. */
	for (size_t i = 0; i < len; i++)
		ip[i] = v[4 + i] ^ head[4 + i];
	if (len == 4) {
		a.u.in.sin_family = AF_INET;
		memcpy(&a.u.in.sin_addr, ip, 4);
	} else {
		a.u.in6.sin6_family = AF_INET6;
		memcpy(&a.u.in6.sin6_addr, ip, 16);
	}
	addr_set_port(
	    &a, (uint16_t)(get16(v + 2) ^ (unsigned int)COOKIE >> 16));
	*out = a;
	return 0;
}

int
sip_stun_answer(
    const uint8_t *p, size_t n, const uint8_t *id, struct addr *mapped)
{
	size_t at = HEAD, len;

	if (!sip_stun_is(p, n) || get16(p) != BINDING_SUCCESS ||
	    get16(p + 2) != n - HEAD || memcmp(p + 8, id, ID) != 0)
		return E_PARSE;
	while (n - at >= 4) {
		len = get16(p + at + 2);
		if (len > n - at - 4)
			return E_PARSE;
		if (get16(p + at) == XOR_MAPPED_ADDRESS && len >= 4)
			return mapped_read(mapped, p + at + 4, len, p);
		len = (len + 3) / 4 * 4;
		if (len > n - at - 4)
			break;
		at += 4 + len;
	}
	return E_PARSE;
}
