/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_TESTS_FUZZ_SEAM_H
#define BELLBIRD_TESTS_FUZZ_SEAM_H

/* The world as a fuzz target sees it: sockets, connections and names that are
 * not there.  The linker puts these in place of udp_*, tls_conn_*,
 * tls_listen_* and dns_* (-Wl,--wrap), so that bytes come from the fuzzer and
 * go to it. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bellbird/addr.h"
#include "bellbird/str.h"

void seam_random_reset(void);

struct loop;
struct tls_conn;

/* seam_out_cb hears all that is sent. */
typedef void(seam_out_cb)(struct slice msg);
void seam_open(struct loop *l, seam_out_cb *out);
/* seam_close frees what nobody has freed. */
void seam_close(void);

/* A datagram from `from` to the first socket that is there. */
void seam_udp_in(struct slice in, const struct addr *from);
/* seam_udp_lost: what was sent from it to `to` did not arrive (ICMP). */
void seam_udp_lost(const struct addr *to);
/* seam_accept: somebody connects to the first listener; NULL: none there. */
struct tls_conn *seam_accept(const struct addr *from);
/* seam_dialed: the newest connection that was made outwards; NULL: none. */
struct tls_conn *seam_dialed(void);
/* Bytes on a connection, and its end.  It may be gone afterwards. */
void seam_conn_in(struct tls_conn *c, struct slice in);
void seam_conn_end(struct tls_conn *c);
bool seam_conn_lives(const struct tls_conn *c);

#endif
