/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_BASE_DNS_INTERNAL_H
#define BELLBIRD_BASE_DNS_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "bellbird/dns.h"

enum {
	DNS_CLASS_IN = 1,
	DNS_TYPE_SOA = 6,
	DNS_TYPE_SRV = 33,
	DNS_TYPE_NAPTR = 35
};

/* ---- dns_wire.c ---- */

/* A position in an answer that never passes its end. */
struct dns_cursor {
	const uint8_t *msg;
	size_t n;
	size_t at;
};
struct dns_record {
	unsigned int type, class;
	uint32_t ttl_s;
	struct dns_cursor data; /* at its first byte */
	size_t end;             /* position behind its last */
};

/* dns_is_name tells whether `s` can be asked for: letters, digits, '-', '_'
 * and '.', at most 253 bytes. */
bool dns_is_name(const char *s);
uint16_t dns_get16(const uint8_t *p);
/* dns_take takes `n` bytes, NULL if there are not so many. */
const uint8_t *dns_take(struct dns_cursor *c, size_t n);
/* dns_take_name takes a name (RFC 1035 4.1.4); `out` NULL: passes over it. */
MUST_CHECK int dns_take_name(struct dns_cursor *c, char out[DNS_NAME_MAX]);
/* dns_take_text takes a character string (RFC 1035 3.3); E_DNS_FAIL if it
 * does not fit or holds a NUL. */
MUST_CHECK int dns_take_text(struct dns_cursor *c, char *out, size_t size);
/* dns_answer_open passes over the header and questions of an answer and says
 * how many records follow. */
MUST_CHECK int dns_answer_open(
    struct dns_cursor *c, unsigned int *answers, unsigned int *authorities);
/* dns_take_record takes one record; `out->data` is where its own bytes are. */
MUST_CHECK int dns_take_record(struct dns_cursor *c, struct dns_record *out);
/* dns_negative_ttl_s: how long an answer without records holds (RFC 2308 5:
 * the SOA beside it); 0: not at all. */
uint32_t dns_negative_ttl_s(const uint8_t *p, size_t n);

/* ---- dns_srv.c, dns_naptr.c ---- */

/*
 * dns_srvs_parse reads the SRV records of an answer, ordered by RFC 2782;
 * dns_naptrs_parse the NAPTR records without a rewriting rule, by order and
 * preference.  `*out` is allocated (free()), at most DNS_SRVS_MAX or
 * DNS_NAPTRS_MAX.  0, E_DNS_NODATA, E_DNS_NO_SERVICE (RFC 2782: the target
 * is "."), E_DNS_FAIL if malformed, ENOMEM.
 */
MUST_CHECK int dns_srvs_parse(
    const uint8_t *p, size_t n, struct dns_srv **out, size_t *num);
MUST_CHECK int dns_naptrs_parse(
    const uint8_t *p, size_t n, struct dns_naptr **out, size_t *num);

/* dns_random returns a number 0..max; the seam of tests. */
typedef uint32_t(dns_random)(uint32_t max);
dns_random dns_random_upto;
/* dns_srvs_order sorts by priority and shuffles by weight (RFC 2782). */
void dns_srvs_order(struct dns_srv *s, size_t num, dns_random *random_upto);

/* ---- dns_cache.c ---- */

enum dns_kind { DNS_ADDR, DNS_SRV, DNS_NAPTR };

enum {
	/* Names of a few servers; an entry holds up to 4 KiB. */
	DNS_CACHE_MAX = 64,
	/* No record is believed for longer, whatever it says. */
	DNS_TTL_MAX_S = 86400,
	/* That a name does not exist: somebody may be about to add it. */
	DNS_NEGATIVE_MAX_S = 60,
	/* RFC 8767: what is out of date beats no answer, for a day .. */
	DNS_STALE_MAX_S = 86400,
	/* .. and the servers are not asked again each time. */
	DNS_STALE_AGAIN_S = 30
};

/* What a question found: `v` is an array of struct addr (port 0), dns_srv or
 * dns_naptr; nothing with an error. */
struct dns_found {
	int err;
	size_t num;
	void *v;
	uint32_t ttl_s;
};
struct dns_entry;
struct dns_cache {
	TAILQ_HEAD(dns_entries, dns_entry) entries; /* owned; newest first */
	size_t num;
};
void dns_cache_init(struct dns_cache *c);
void dns_cache_clear(struct dns_cache *c);
/* dns_cache_find returns what is known and holds, borrowed until the cache
 * changes, or NULL. */
const struct dns_found *dns_cache_find(
    struct dns_cache *c, enum dns_kind kind, const char *name);
/* dns_cache_stale: the servers did not answer; what was known before, if that
 * is not too long ago, or NULL. */
const struct dns_found *dns_cache_stale(
    struct dns_cache *c, enum dns_kind kind, const char *name);
/* dns_cache_put copies what was found for `ttl_s`; without memory, or with a
 * life time of 0, it keeps nothing. */
void dns_cache_put(struct dns_cache *c, enum dns_kind kind, const char *name,
    const struct dns_found *f);
size_t dns_kind_size(enum dns_kind kind); /* bytes of one element */

#endif
