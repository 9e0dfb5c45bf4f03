/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_BASE_DNS_INTERNAL_H
#define BELLBIRD_BASE_DNS_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bellbird/dns.h"

enum { DNS_CLASS_IN = 1, DNS_TYPE_SRV = 33 };

/* dns_is_name tells whether `s` can be asked for: letters, digits, '-', '_'
 * and '.', at most 253 bytes. */
bool dns_is_name(const char *s);

/*
 * dns_srvs_parse reads the SRV records of an answer, ordered by RFC 2782.
 * `*out` is allocated (free()), at most DNS_SRVS_MAX.  0, E_DNS_NODATA,
 * E_DNS_FAIL if malformed, ENOMEM.
 */
MUST_CHECK int dns_srvs_parse(
    const uint8_t *p, size_t n, struct dns_srv **out, size_t *num);

/* dns_srvs_order sorts by priority and shuffles by weight (RFC 2782). */
void dns_srvs_order(struct dns_srv *s, size_t num);

#endif
