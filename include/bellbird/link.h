/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_LINK_H
#define BELLBIRD_LINK_H

#include "bellbird/loop.h"

/* What the kernel tells of links, addresses and routes (rtnetlink(7)). */
struct link_watch;

/* link_cb: something has changed, and it has been quiet since for 0.1 s, or 1 s
 * have passed: not for each of the many messages of one change.  From the loop;
 * it may free the watch. */
typedef void(link_cb)(void *arg);

/* link_watch_new listens to the kernel; ENOMEM or the errno of the socket:
 * some sandboxes have no AF_NETLINK. */
MUST_CHECK int link_watch_new(
    struct link_watch **out, struct loop *l, link_cb *cb, void *arg);
void link_watch_free(struct link_watch *w);

#endif
