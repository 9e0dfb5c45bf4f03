/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_ADDR_H
#define BELLBIRD_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "bellbird/err.h"
#include "bellbird/str.h"

/* An IP address and port; zero state: no address (ss_family 0). */
struct addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} u;
};

enum { ADDR_STR_MAX = 64 }; /* "[v6%scope]:65535" and a NUL */

bool addr_is_set(const struct addr *a);
/* addr_parse reads "1.2.3.4", "1.2.3.4:5061", "[::1]:5061" or "::1"; `port`
 * is used where the text has none.  Names are E_PARSE. */
MUST_CHECK int addr_parse(struct addr *a, struct slice s, uint16_t port);
/* addr_split splits "host[:port]" (IPv6 in brackets) without looking the host
 * up; the brackets are left out of `*host`; `*port` is untouched if absent. */
MUST_CHECK int addr_split(struct slice s, struct slice *host, uint16_t *port);
void addr_print(const struct addr *a, char out[static ADDR_STR_MAX]);    /* with port */
void addr_print_ip(const struct addr *a, char out[static ADDR_STR_MAX]); /* without, no brackets */
uint16_t addr_port(const struct addr *a);
void addr_set_port(struct addr *a, uint16_t port);
socklen_t addr_len(const struct addr *a);
bool addr_eq(const struct addr *a, const struct addr *b);    /* with port */
bool addr_ip_eq(const struct addr *a, const struct addr *b); /* without; v4-mapped = v4 */
bool addr_is_loopback(const struct addr *a);
bool addr_is_multicast(const struct addr *a);
/* addr_in_cidr: "198.18.0.0/15", "2001:db8::/32" or a bare address. E_PARSE if malformed. */
MUST_CHECK int addr_in_cidr(const struct addr *a, struct slice cidr, bool *in);
/* addr_from_sockaddr copies an AF_INET or AF_INET6 address; EAFNOSUPPORT else. */
MUST_CHECK int addr_from_sockaddr(struct addr *a, const struct sockaddr *sa, socklen_t n);
/* addr_local_for stores the source address the kernel would use towards
 * `peer` (UDP connect, no packet is sent); port 0. */
MUST_CHECK int addr_local_for(const struct addr *peer, struct addr *out);

#endif
