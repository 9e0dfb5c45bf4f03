/* SPDX-License-Identifier: ISC */
/* Changes of links, addresses and routes, by rtnetlink(7): a device that was
 * plugged in elsewhere must not wait for a time-out to see it. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/rtnetlink.h>

#include "bellbird/clock.h"
#include "bellbird/link.h"
#include "bellbird/log.h"
#include "internal.h"

enum {
	/* One cable makes a dozen messages: link, addresses, routes. */
	QUIET_US = 100000,
	LONGEST_US = 1000000,
	/* Reads of one wake-up: others want their turn. */
	READS_MAX = 16
};

struct link_watch {
	struct loop *l; /* borrowed */
	link_cb *cb;
	void *arg;
	int fd; /* owned */
	struct io io;
	struct timer quiet;
	int64_t first_us; /* of the changes that wait; 0: none */
};

/* It is quiet again. */
static void
on_quiet(void *arg)
{
	struct link_watch *w = arg;

	w->first_us = 0;
	log_debug(LOGC_LOOP, 0, "links, addresses or routes have changed");
	w->cb(w->arg);
}

/* Notes a change. */
static void
changed(struct link_watch *w)
{
	int64_t now = clock_mono_us();

	if (w->first_us == 0)
		w->first_us = now;
	/* A link that flaps for ever does not hold it up. */
	if (timer_is_armed(&w->quiet) && now - w->first_us >= LONGEST_US)
		return;
	if (timer_start(&w->quiet, w->l, QUIET_US, on_quiet, w) != 0)
		w->first_us = 0; /* no memory: the next one counts */
}

/* Is there a change among these messages? */
static bool
matters(struct nlmsghdr *h, size_t n)
{
	for (; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
		switch (h->nlmsg_type) {
		case RTM_NEWLINK:
		case RTM_DELLINK:
		case RTM_NEWADDR:
		case RTM_DELADDR:
		case RTM_NEWROUTE:
		case RTM_DELROUTE:
			return true;
		default:
			break;
		}
	}
	return false;
}

/* The kernel says something. */
static void
on_readable(int fd, int what, void *arg)
{
	struct link_watch *w = arg;
	struct loop *l = w->l;
	int64_t t0 = loop_enter(l);
	struct sockaddr_nl from;
	socklen_t len;
	_Alignas(struct nlmsghdr) char room[8192];
	ssize_t n;

	(void)what;
	for (int i = 0; i < READS_MAX; i++) {
		len = sizeof(from);
		n = recvfrom(fd, room, sizeof(room), MSG_DONTWAIT | MSG_TRUNC,
		    (void *)&from, &len);
		if (n < 0 && errno == ENOBUFS)
			changed(w); /* some were lost */
		if (n <= 0)
			break;
		/* Other processes may send, too: pid 0 is the kernel. */
		if (len == sizeof(from) && from.nl_pid == 0 &&
		    ((size_t)n > sizeof(room) ||
			matters((void *)room, (size_t)n)))
			changed(w);
	}
	loop_leave(l, t0, "link");
}

int
link_watch_new(struct link_watch **out, struct loop *l, link_cb *cb, void *arg)
{
	struct sockaddr_nl local = {
		.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR |
		    RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE,
	};
	struct link_watch *w;
	int err = 0;

	if ((w = calloc(1, sizeof(*w))) == NULL)
		return ENOMEM;
	w->l = l;
	w->cb = cb;
	w->arg = arg;
	w->fd = socket(
	    AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (w->fd < 0 || bind(w->fd, (const void *)&local, sizeof(local)) != 0)
		err = errno;
	if (err == 0)
		err = io_start(&w->io, l, w->fd, IO_READ, on_readable, w);
	if (err != 0) {
		link_watch_free(w);
		return err;
	}
	*out = w;
	return 0;
}

void
link_watch_free(struct link_watch *w)
{
	if (w == NULL)
		return;
	timer_stop(&w->quiet);
	io_stop(&w->io);
	if (w->fd >= 0)
		close(w->fd);
	free(w);
}
