/* SPDX-License-Identifier: ISC */
/* How many unfinished requests an address has here: one caller must not take
 * the places of all others. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

struct sip_peer {
	struct sip_hnode node;
	struct sip_stack *s;
	struct addr a; /* the port does not count */
	unsigned int reqs;
};

/* Whose request it is: an IPv4 address, an IPv6 network of 64 bits, which is
 * what one customer has at least (RFC 6177). */
static uint64_t
key_of(const struct sip_stack *s, const struct addr *a)
{
	struct slice ip = { (const char *)&a->u.in.sin_addr,
		sizeof(a->u.in.sin_addr) };

	if (a->u.sa.sa_family == AF_INET6)
		ip = (struct slice){ (const char *)&a->u.in6.sin6_addr, 8 };
	return sip_hash(&s->hkey, &ip, 1);
}

/* Are these the same by that measure? */
static bool
is_same(const struct addr *a, const struct addr *b)
{
	if (a->u.sa.sa_family != b->u.sa.sa_family)
		return false;
	if (a->u.sa.sa_family == AF_INET6)
		return memcmp(&a->u.in6.sin6_addr, &b->u.in6.sin6_addr, 8) == 0;
	return a->u.in.sin_addr.s_addr == b->u.in.sin_addr.s_addr;
}

/* NULL: it has nothing here. */
static struct sip_peer *
peer_find(const struct sip_stack *s, const struct addr *a, uint64_t key)
{
	struct sip_hnode *n = sip_htab_first(&s->peers, key);
	struct sip_peer *p;

	for (; n != NULL; n = sip_hnode_next(n)) {
		p = SIP_OBJ(n, struct sip_peer, node);
		if (is_same(&p->a, a))
			return p;
	}
	return NULL;
}

bool
sip_peer_is_full(const struct sip_stack *s, const struct addr *a)
{
	const struct sip_peer *p = peer_find(s, a, key_of(s, a));

	return s->reqs.n >= s->conf.max_txns ||
	    (p != NULL && p->reqs >= s->conf.max_txns_peer);
}

int
sip_peer_take(struct sip_peer **out, struct sip_stack *s, const struct addr *a)
{
	uint64_t key = key_of(s, a);
	struct sip_peer *p = peer_find(s, a, key);

	if (p == NULL) {
		if ((p = calloc(1, sizeof(*p))) == NULL)
			return ENOMEM;
		p->s = s;
		p->a = *a;
		sip_htab_add(&s->peers, &p->node, key);
	}
	p->reqs++;
	*out = p;
	return 0;
}

void
sip_peer_drop(struct sip_peer *p)
{
	if (p == NULL || --p->reqs > 0)
		return;
	sip_htab_del(&p->s->peers, &p->node);
	free(p);
}
