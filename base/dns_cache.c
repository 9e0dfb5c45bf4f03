/* SPDX-License-Identifier: ISC */
/* What name servers said lately; c-ares keeps nothing. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bellbird/clock.h"
#include "dns_internal.h"

struct dns_entry {
	TAILQ_ENTRY(dns_entry) link;
	enum dns_kind kind;
	int64_t until_us; /* holds until then */
	int64_t stale_us; /* is better than nothing until then */
	struct dns_found found;
	char name[];
};

static const int64_t second = 1000000;

size_t
dns_kind_size(enum dns_kind kind)
{
	static const size_t sizes[] = { [DNS_ADDR] = sizeof(struct addr),
		[DNS_SRV] = sizeof(struct dns_srv),
		[DNS_NAPTR] = sizeof(struct dns_naptr) };

	return sizes[kind];
}

void
dns_cache_init(struct dns_cache *c)
{
	TAILQ_INIT(&c->entries);
	c->num = 0;
}

/* Forgets one entry. */
static void
entry_free(struct dns_cache *c, struct dns_entry *e)
{
	TAILQ_REMOVE(&c->entries, e, link);
	c->num--;
	free(e->found.v);
	free(e);
}

void
dns_cache_clear(struct dns_cache *c)
{
	struct dns_entry *e;

	while ((e = TAILQ_FIRST(&c->entries)) != NULL)
		entry_free(c, e);
}

/* The entry of a name, moved to the front. */
static struct dns_entry *
entry_find(struct dns_cache *c, enum dns_kind kind, const char *name)
{
	struct dns_entry *e;

	TAILQ_FOREACH (e, &c->entries, link) {
		if (e->kind == kind && strcasecmp(e->name, name) == 0)
			break;
	}
	if (e != NULL) {
		TAILQ_REMOVE(&c->entries, e, link);
		TAILQ_INSERT_HEAD(&c->entries, e, link);
	}
	return e;
}

const struct dns_found *
dns_cache_find(struct dns_cache *c, enum dns_kind kind, const char *name)
{
	const struct dns_entry *e = entry_find(c, kind, name);

	return e != NULL && clock_mono_us() < e->until_us ? &e->found : NULL;
}

const struct dns_found *
dns_cache_stale(struct dns_cache *c, enum dns_kind kind, const char *name)
{
	struct dns_entry *e = entry_find(c, kind, name);
	int64_t now = clock_mono_us();

	/* That there was nothing is no help now. */
	if (e == NULL || e->found.err != 0 || now >= e->stale_us)
		return NULL;
	e->until_us = now + DNS_STALE_AGAIN_S * second;
	return &e->found;
}

void
dns_cache_put(struct dns_cache *c, enum dns_kind kind, const char *name,
    const struct dns_found *f)
{
	uint32_t max = f->err == 0 ? DNS_TTL_MAX_S : DNS_NEGATIVE_MAX_S;
	uint32_t ttl_s = f->ttl_s < max ? f->ttl_s : max;
	size_t n = f->num * dns_kind_size(kind), len = strlen(name) + 1;
	struct dns_entry *e = entry_find(c, kind, name);

	if (e != NULL)
		entry_free(c, e);
	if (ttl_s == 0 || (e = calloc(1, sizeof(*e) + len)) == NULL)
		return;
	if (n > 0 && (e->found.v = malloc(n)) == NULL) {
		free(e);
		return;
	}
	if (n > 0)
		memcpy(e->found.v, f->v, n);
	memcpy(e->name, name, len);
	e->kind = kind;
	e->found.err = f->err;
	e->found.num = f->num;
	e->until_us = clock_mono_us() + ttl_s * second;
	e->stale_us = e->until_us + DNS_STALE_MAX_S * second;
	TAILQ_INSERT_HEAD(&c->entries, e, link);
	if (++c->num > DNS_CACHE_MAX)
		entry_free(c, TAILQ_LAST(&c->entries, dns_entries));
}
