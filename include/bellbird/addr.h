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

/* addr_is_set: an IPv4 or IPv6 address is in it. */
bool addr_is_set(const struct addr *a);
/* addr_parse reads "1.2.3.4", "1.2.3.4:5061", "[::1]:5061" or "::1"; `port`
 * is used where the text has none.  Names are E_PARSE. */
MUST_CHECK int addr_parse(struct addr *a, struct slice s, uint16_t port);
/* addr_split splits "host[:port]" (IPv6 in brackets) without looking the host
 * up; the brackets are left out of `*host`; `*port` is untouched if absent. */
MUST_CHECK int addr_split(struct slice s, struct slice *host, uint16_t *port);
/* addr_print writes "1.2.3.4:5061" or "[::1]:5061"; addr_print_ip the address
 * alone, without brackets.  "none" if it is not set. */
void addr_print(const struct addr *a, char out[static ADDR_STR_MAX]);
void addr_print_ip(const struct addr *a, char out[static ADDR_STR_MAX]);
/* The port in host order; 0 and no effect if the address is not set. */
uint16_t addr_port(const struct addr *a);
void addr_set_port(struct addr *a, uint16_t port);
/* addr_len returns what bind() and sendto() want beside `&a->u.sa`. */
socklen_t addr_len(const struct addr *a);
/* addr_eq compares address, scope and port, addr_ip_eq without the port; an
 * IPv4-mapped IPv6 address is its IPv4 address in addr_ip_eq. */
bool addr_eq(const struct addr *a, const struct addr *b);
bool addr_ip_eq(const struct addr *a, const struct addr *b);
/* The same for what an address is; false if not set.  addr_is_any: 0.0.0.0 or
 * ::, every address of this machine, or none at all. */
bool addr_is_loopback(const struct addr *a);
bool addr_is_multicast(const struct addr *a);
bool addr_is_any(const struct addr *a);
/* addr_in_cidr tells in `*in` whether `a` is in "198.18.0.0/15",
 * "2001:db8::/32" or is the bare address; E_PARSE if `cidr` is malformed. */
MUST_CHECK int addr_in_cidr(const struct addr *a, struct slice cidr, bool *in);
/* addr_from_sockaddr copies an AF_INET or AF_INET6 address of `n` bytes;
 * EAFNOSUPPORT for others. */
MUST_CHECK int addr_from_sockaddr(
    struct addr *a, const struct sockaddr *sa, socklen_t n);
/* addr_local_for stores the source address the kernel would use towards
 * `peer` (UDP connect, no packet is sent); port 0. */
MUST_CHECK int addr_local_for(const struct addr *peer, struct addr *out);

#endif
