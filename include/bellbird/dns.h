/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_DNS_H
#define BELLBIRD_DNS_H

#include <stdint.h>

#include "bellbird/addr.h"
#include "bellbird/loop.h"

struct dns;

/* dns_new opens c-ares in the loop lazily (first query).  `servers` is
 * "ip[:port],.." for tests, or NULL: the system's resolv.conf and hosts file,
 * read again when resolv.conf has changed. */
MUST_CHECK int dns_new(struct dns **out, struct loop *l, const char *servers);
/* dns_free clears the slots of running queries; they end silently. */
void dns_free(struct dns *d);

enum {
	DNS_ADDRS_MAX = 16,
	DNS_SRVS_MAX = 16,
	DNS_NAPTRS_MAX = 16,
	DNS_NAME_MAX = 256
};

struct dns_srv {
	char target[DNS_NAME_MAX];
	uint16_t priority, weight, port;
	uint32_t ttl_s;
};

/* One NAPTR record without a rewriting rule (RFC 3403 4). */
struct dns_naptr {
	uint16_t order, preference;
	char flags[8];    /* as sent: "s", "S", "" .. */
	char service[32]; /* "SIP+D2U", .. */
	char replacement[DNS_NAME_MAX];
	uint32_t ttl_s;
};

struct dns_query; /* a slot: cleared by the query when it ends */

/* err: 0, E_DNS_*, ETIMEDOUT, ENOMEM.  The slot is NULL already, the array is
 * borrowed; `as` carry the port asked with. */
typedef void(dns_addr_cb)(
    int err, const struct addr *as, size_t num_as, void *arg);
typedef void(dns_srv_cb)(
    int err, const struct dns_srv *srvs, size_t num_srvs, void *arg);
typedef void(dns_naptr_cb)(
    int err, const struct dns_naptr *ns, size_t num_ns, void *arg);

/*
 * dns_addr asks for A and AAAA of `host`; a literal address and "localhost"
 * are answered without asking (from the loop, never inside the call).
 * dns_srv asks for SRV; the result is ordered by RFC 2782 (priority, then
 * weighted shuffle, drawn anew each time).  dns_naptr asks for NAPTR, by order
 * and preference.  dns_stop ends a query; its callback will not run.
 * Answers are kept as long as their records say (at most a day; that there are
 * none at most a minute) and forgotten when resolv.conf changes; where no
 * server answers, what was known within the last day is used (RFC 8767).
 * What is known at once is returned: EALREADY if the slot is in use, E_PARSE
 * for what cannot be a name, ENOMEM.
 */
MUST_CHECK int dns_addr(struct dns_query **slot, struct dns *d,
    const char *host, uint16_t port, dns_addr_cb *cb, void *arg);
MUST_CHECK int dns_srv(struct dns_query **slot, struct dns *d, const char *name,
    dns_srv_cb *cb, void *arg);
MUST_CHECK int dns_naptr(struct dns_query **slot, struct dns *d,
    const char *name, dns_naptr_cb *cb, void *arg);
void dns_stop(struct dns_query **slot);

#endif
