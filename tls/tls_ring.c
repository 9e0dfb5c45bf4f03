/* SPDX-License-Identifier: ISC */
/* The kept verdicts: 20 of a peer, 128 in all, packed.  A record is 10 KB of
 * mostly zeros; packed it is one or two. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

enum {
	KEPT_PER_PEER = 20, /* design 3 */
	KEPT_MAX = 128,     /* 300 KB at most */
	RUN_MAX = 0xffff
};

/* One more piece: so many zeros, then so many bytes. */
static uint8_t *
piece_put(uint8_t *w, size_t zeros, const uint8_t *p, size_t n)
{
	w[0] = (uint8_t)(zeros & 255);
	w[1] = (uint8_t)(zeros >> 8);
	w[2] = (uint8_t)(n & 255);
	w[3] = (uint8_t)(n >> 8);
	memcpy(w + 4, p, n);
	return w + 4 + n;
}

/* How many zeros there are from here, eight at a time: most of a record. */
static size_t
zeros_count(const uint8_t *p, size_t n)
{
	uint64_t word;
	size_t i = 0;

	for (; i + sizeof(word) <= n; i += sizeof(word)) {
		memcpy(&word, p + i, sizeof(word));
		if (word != 0)
			break;
	}
	while (i < n && p[i] == 0)
		i++;
	return i;
}

int
tls_pack(const void *p, size_t n, uint8_t **out, size_t *len)
{
	/* Below this a gap costs more than its zeros. */
	enum { GAP_MIN = 5 };
	const uint8_t *b = p;
	uint8_t *room, *w, *fit;
	size_t i = 0, zeros, from, gap;

	/* Worst case: a piece for every GAP_MIN + 1 bytes. */
	if ((room = malloc(n + n / GAP_MIN * 4 + 16)) == NULL)
		return ENOMEM;
	w = room;
	while (i < n) {
		zeros = zeros_count(b + i, n - i < RUN_MAX ? n - i : RUN_MAX);
		i += zeros;
		for (from = i, gap = 0;
		     i < n && i - from < RUN_MAX && gap < GAP_MIN; i++)
			gap = b[i] == 0 ? gap + 1 : 0;
		i -= gap;
		w = piece_put(w, zeros, b + from, i - from);
	}
	*len = (size_t)(w - room);
	fit = realloc(room, *len);
	*out = fit != NULL ? fit : room;
	return 0;
}

int
tls_unpack(const uint8_t *p, size_t n, void *out, size_t size)
{
	uint8_t *w = out;
	size_t at = 0, zeros, lits;

	while (n >= 4) {
		zeros = p[0] | (size_t)p[1] << 8;
		lits = p[2] | (size_t)p[3] << 8;
		p += 4;
		n -= 4;
		if (lits > n || zeros + lits > size - at)
			return E_PARSE;
		memset(w + at, 0, zeros);
		memcpy(w + at + zeros, p, lits);
		at += zeros + lits;
		p += lits;
		n -= lits;
	}
	return n == 0 && at == size ? 0 : E_PARSE;
}

/* Frees one kept record. */
static void
kept_drop(struct tls_env *e, struct tls_kept *k)
{
	TAILQ_REMOVE(&e->kept, k, link);
	free(k->p);
	free(k);
}

void
tls_ring_clear(struct tls_env *e)
{
	struct tls_kept *k;

	while ((k = TAILQ_FIRST(&e->kept)) != NULL)
		kept_drop(e, k);
}

/* A hash of whom a record is about (FNV-1a: only for counting). */
static uint64_t
peer_of(const struct tls_verdict *v)
{
	char ip[ADDR_STR_MAX];
	uint64_t h = UINT64_C(14695981039346656037);
	const char *s = v->host;

	if (s[0] == '\0') {
		addr_print_ip(&v->remote, ip);
		s = ip;
	}
	for (; *s != '\0'; s++)
		h = (h ^ (uint8_t)*s) * UINT64_C(1099511628211);
	return h ^ (uint64_t)v->policy.dir;
}

/* Drops the oldest records beyond the limits. */
static void
ring_trim(struct tls_env *e, uint64_t peer)
{
	struct tls_kept *k, *next;
	size_t all = 0, mine = 0;

	for (k = TAILQ_FIRST(&e->kept); k != NULL; k = next) {
		next = TAILQ_NEXT(k, link);
		all++;
		mine += k->peer == peer;
		if (all <= KEPT_MAX &&
		    (k->peer != peer || mine <= KEPT_PER_PEER))
			continue;
		all--;
		kept_drop(e, k);
	}
}

/* Finds the record of a connection. */
static struct tls_kept *
kept_find(struct tls_env *e, uint64_t id)
{
	struct tls_kept *k;

	TAILQ_FOREACH (k, &e->kept, link) {
		if (k->id == id)
			return k;
	}
	return NULL;
}

void
tls_env_keep(struct tls_env *e, const struct tls_verdict *v, bool tell)
{
	struct tls_kept *k = kept_find(e, v->id);
	uint8_t *p;
	size_t n;

	if (tls_pack(v, sizeof(*v), &p, &n) == 0) {
		if (k == NULL && (k = calloc(1, sizeof(*k))) != NULL) {
			k->id = v->id;
			k->peer = peer_of(v);
			TAILQ_INSERT_HEAD(&e->kept, k, link);
		}
		if (k != NULL) {
			free(k->p);
			k->p = p;
			k->n = n;
			ring_trim(e, k->peer);
		} else {
			free(p); /* out of memory: the record is lost */
		}
	}
	if (tell && e->on_verdict != NULL)
		e->on_verdict(v, e->on_verdict_arg);
}

void
tls_env_each_verdict(const struct tls_env *e, tls_verdict_cb *cb, void *arg)
{
	struct tls_verdict *v;
	struct tls_kept *k;

	if ((v = malloc(sizeof(*v))) == NULL)
		return;
	TAILQ_FOREACH (k, &e->kept, link) {
		if (tls_unpack(k->p, k->n, v, sizeof(*v)) == 0)
			cb(v, arg);
	}
	free(v);
}
