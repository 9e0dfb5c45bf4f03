/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_UDP_H
#define BELLBIRD_UDP_H

#include <stddef.h>
#include <stdint.h>

#include "bellbird/addr.h"
#include "bellbird/loop.h"

struct udp;

/* udp_cb receives one datagram; `p` is borrowed and writable (SRTP works in
 * place; 64 bytes of room follow it).  It may free the socket. */
typedef void(udp_cb)(
    struct udp *u, uint8_t *p, size_t n, const struct addr *from, void *arg);

/*
 * udp_open binds `local` (port 0: the kernel chooses) and reads at most 32
 * datagrams a wake-up, 64 KiB each at most.  A multicast `local` joins its
 * group and shares its port with others.  `dscp` 0..63.  Errors: errno.
 */
MUST_CHECK int udp_open(struct udp **out, struct loop *l,
    const struct addr *local, int dscp, udp_cb *cb, void *arg);
void udp_free(struct udp *u);
/* udp_send returns an errno; EAGAIN means dropped by a full socket buffer. */
MUST_CHECK int udp_send(
    struct udp *u, const void *p, size_t n, const struct addr *to);
/* udp_on_unreachable has `cb` hear that a datagram of ours could not be
 * delivered (ICMP: ECONNREFUSED, EHOSTUNREACH, ENETUNREACH..); from the loop.
 * Whoever guesses addresses and ports can forge that: take it as a hint.  The
 * callback may free the socket. */
typedef void(udp_err_cb)(
    struct udp *u, int err, const struct addr *to, void *arg);
MUST_CHECK int udp_on_unreachable(struct udp *u, udp_err_cb *cb);
/* udp_set_dscp marks what is sent from now on, 0..63; EINVAL or an errno. */
MUST_CHECK int udp_set_dscp(struct udp *u, int dscp);
/* udp_local stores what the socket is bound to, with its real port. */
void udp_local(const struct udp *u, struct addr *out);
/* udp_fd: for socket options only. */
int udp_fd(const struct udp *u);

#endif
