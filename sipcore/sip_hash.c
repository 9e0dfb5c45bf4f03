/* SPDX-License-Identifier: ISC */
/* Hash tables of embedded nodes, keyed by SipHash-2-4 with a secret key, so
 * that a peer who chooses branches and Call-IDs cannot make chains long. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* Small enough for an idle endpoint; it doubles on demand. */
enum { CAP_FIRST = 16, CAP_KEPT = 1024 };

int
sip_htab_init(struct sip_htab *t)
{
	if ((t->v = calloc(CAP_FIRST, sizeof(struct sip_hnode *))) == NULL)
		return ENOMEM;
	t->cap = CAP_FIRST;
	t->n = 0;
	return 0;
}

void
sip_htab_clear(struct sip_htab *t)
{
	free(t->v);
	t->v = NULL;
	t->cap = t->n = 0;
}

/* Changes the size of the table; without memory it stays as it is. */
static void
resize(struct sip_htab *t, size_t cap)
{
	struct sip_hnode **v, *n, *next;

	if ((v = calloc(cap, sizeof(struct sip_hnode *))) == NULL)
		return;
	for (size_t i = 0; i < t->cap; i++) {
		for (n = t->v[i]; n != NULL; n = next) {
			next = n->next;
			n->next = v[n->h & (cap - 1)];
			v[n->h & (cap - 1)] = n;
		}
	}
	free(t->v);
	t->v = v;
	t->cap = cap;
}

void
sip_htab_add(struct sip_htab *t, struct sip_hnode *n, uint64_t h)
{
	assert(!n->in);
	if (t->n >= t->cap)
		resize(t, t->cap * 2);
	else if (t->cap > CAP_KEPT && t->n < t->cap / 8)
		resize(t, t->cap / 2); /* a burst is over */
	n->h = h;
	n->in = true;
	n->next = t->v[h & (t->cap - 1)];
	t->v[h & (t->cap - 1)] = n;
	t->n++;
}

void
sip_htab_del(struct sip_htab *t, struct sip_hnode *n)
{
	struct sip_hnode **at;

	if (!n->in)
		return;
	at = &t->v[n->h & (t->cap - 1)];
	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	n->in = false;
	n->next = NULL;
	t->n--;
}

struct sip_hnode *
sip_htab_first(const struct sip_htab *t, uint64_t h)
{
	struct sip_hnode *n;

	if (t->cap == 0)
		return NULL;
	for (n = t->v[h & (t->cap - 1)]; n != NULL && n->h != h; n = n->next)
		;
	return n;
}

struct sip_hnode *
sip_hnode_next(const struct sip_hnode *n)
{
	struct sip_hnode *m;

	for (m = n->next; m != NULL && m->h != n->h; m = m->next)
		;
	return m;
}

struct sipmix {
	uint64_t v0, v1, v2, v3;
	uint64_t tail;
	size_t n;
};

static inline uint64_t
rotl(uint64_t x, int b)
{
	return x << b | x >> (64 - b);
}

/* One round of SipHash. */
static inline void
mix_round(struct sipmix *m)
{
	m->v0 += m->v1;
	m->v1 = rotl(m->v1, 13) ^ m->v0;
	m->v0 = rotl(m->v0, 32);
	m->v2 += m->v3;
	m->v3 = rotl(m->v3, 16) ^ m->v2;
	m->v0 += m->v3;
	m->v3 = rotl(m->v3, 21) ^ m->v0;
	m->v2 += m->v1;
	m->v1 = rotl(m->v1, 17) ^ m->v2;
	m->v2 = rotl(m->v2, 32);
}

/* Takes in a 64-bit word. */
static void
mix_word(struct sipmix *m, uint64_t w)
{
	m->v3 ^= w;
	mix_round(m);
	mix_round(m);
	m->v0 ^= w;
}

/* Takes in one byte. */
static inline void
mix_byte(struct sipmix *m, uint8_t b)
{
	m->tail |= (uint64_t)b << (8 * (m->n & 7));
	if ((++m->n & 7) == 0) {
		mix_word(m, m->tail);
		m->tail = 0;
	}
}

uint64_t
sip_hash(const struct sip_hkey *k, const struct slice *parts, size_t num_parts)
{
	struct sipmix m = { k->k0 ^ 0x736f6d6570736575u,
		k->k1 ^ 0x646f72616e646f6du, k->k0 ^ 0x6c7967656e657261u,
		k->k1 ^ 0x7465646279746573u, 0, 0 };

	for (size_t i = 0; i < num_parts; i++) {
		for (size_t j = 0; j < parts[i].n; j++)
			mix_byte(&m, (uint8_t)parts[i].p[j]);
		mix_byte(&m, 0); /* ends a text; addresses are of one length */
	}
	mix_word(&m, m.tail | (uint64_t)m.n << 56);
	m.v2 ^= 0xff;
	for (int i = 0; i < 4; i++)
		mix_round(&m);
	return m.v0 ^ m.v1 ^ m.v2 ^ m.v3;
}
