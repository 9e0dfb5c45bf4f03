/* SPDX-License-Identifier: ISC */
/* Datagram sockets in the loop; a burst is read with few system calls.
 * A multicast address to bind joins its group and shares the port. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/errqueue.h>

#include "bellbird/clock.h"
#include "bellbird/log.h"
#include "bellbird/udp.h"
#include "internal.h"

enum {
	BATCH = 8,       /* datagrams a system call; a page each stays used */
	BATCHES_MAX = 4, /* 32 a wake-up: other sockets want their turn */
	TURN_US = 3000,
	DATAGRAM_MAX = 65536,
	ROOM_AFTER = 64, /* promised behind each datagram, for SRTP tags */
	SLOT = DATAGRAM_MAX + 4096, /* so that slots start on their own page */
	DSCP_MAX = 63
};

struct udp {
	struct loop *l; /* borrowed */
	struct io io;
	int fd; /* owned */
	struct addr local;
	udp_cb *cb;
	udp_err_cb *err_cb; /* NULL: nobody wants to know */
	void *arg;
	bool in_cb;   /* the callback runs: batch_read() still needs us */
	bool is_dead; /* freed during the callback */
};

/* What the kernel says of one datagram that came back; false: nothing more. */
static bool
error_read(struct udp *u, int *err, struct addr *to)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(struct sock_extended_err) +
		    sizeof(struct sockaddr_in6))];
	} control;
	struct msghdr m = { .msg_name = &to->u,
		.msg_namelen = sizeof(to->u),
		.msg_control = &control,
		.msg_controllen = sizeof(control) };
	struct sock_extended_err e;

	memset(to, 0, sizeof(*to));
	*err = 0;
	if (recvmsg(u->fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
		return false;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c != NULL;
	     c = CMSG_NXTHDR(&m, c)) {
		if ((c->cmsg_level != IPPROTO_IP ||
			c->cmsg_type != IP_RECVERR) &&
		    (c->cmsg_level != IPPROTO_IPV6 ||
			c->cmsg_type != IPV6_RECVERR))
			continue;
		memcpy(&e, CMSG_DATA(c), sizeof(e));
		*err = (int)e.ee_errno;
	}
	return true;
}

/* Tells of datagrams that came back; false if there is no socket any more. */
static bool
errors_read(struct udp *u)
{
	struct addr to;
	int err;

	if (u->err_cb == NULL)
		return true;
	u->in_cb = true;
	for (int i = 0; i < BATCH && !u->is_dead && error_read(u, &err, &to);
	     i++) {
		if (err != 0 && addr_is_set(&to))
			u->err_cb(u, err, &to, u->arg);
	}
	u->in_cb = false;
	if (!u->is_dead)
		return true;
	free(u);
	return false;
}

/* Reads one batch; false when there is nothing more to read, or no socket. */
static bool
batch_read(struct udp *u)
{
	struct mmsghdr msgs[BATCH];
	struct iovec iov[BATCH];
	struct addr from[BATCH];
	uint8_t *room = u->l->udp_room;
	int n;

	memset(msgs, 0, sizeof(msgs));
	memset(from, 0, sizeof(from));
	for (size_t i = 0; i < BATCH; i++) {
		iov[i].iov_base = room + i * SLOT;
		iov[i].iov_len = DATAGRAM_MAX;
		msgs[i].msg_hdr.msg_iov = &iov[i];
		msgs[i].msg_hdr.msg_iovlen = 1;
		msgs[i].msg_hdr.msg_name = &from[i].u;
		msgs[i].msg_hdr.msg_namelen = sizeof(from[i].u);
	}
	n = recvmmsg(u->fd, msgs, BATCH, MSG_DONTWAIT, NULL);
	/* EAGAIN, or an error an earlier datagram of ours brought back */
	if (n <= 0)
		return false;
	u->in_cb = true;
	for (int i = 0; i < n && !u->is_dead; i++)
		u->cb(u, room + (size_t)i * SLOT, msgs[i].msg_len, &from[i],
		    u->arg);
	u->in_cb = false;
	if (u->is_dead) {
		free(u);
		return false;
	}
	return n == BATCH;
}

/* Datagrams are waiting. */
static void
on_readable(int fd, int what, void *arg)
{
	struct udp *u = arg;
	struct loop *l = u->l;
	int64_t t0 = loop_enter(l);

	(void)fd;
	(void)what;
	if (errors_read(u)) {
		for (int i = 0; i < BATCHES_MAX; i++) {
			/* Audio shares the loop: no matter what a message
			 * costs, others have their turn within 10 ms. */
			if (!batch_read(u) || clock_mono_us() - t0 > TURN_US)
				break;
		}
	}
	loop_leave(l, t0, "udp");
}

/* Sets a socket option that is a number. */
static int
set_int(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) == 0 ? 0
								       : errno;
}

/* Joins the group the socket is going to be bound to. */
static int
group_join(int fd, const struct addr *a)
{
	struct ipv6_mreq m6;
	struct ip_mreqn m4;
	int err;

	/* Two zones may listen to the same port. */
	if ((err = set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1)) != 0)
		return err;
	if (a->u.sa.sa_family == AF_INET) {
		memset(&m4, 0, sizeof(m4));
		m4.imr_multiaddr = a->u.in.sin_addr;
		if (setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m4,
			sizeof(m4)) != 0)
			return errno;
		/* Only what this socket has joined. */
		return set_int(fd, IPPROTO_IP, IP_MULTICAST_ALL, 0);
	}
	memset(&m6, 0, sizeof(m6));
	m6.ipv6mr_multiaddr = a->u.in6.sin6_addr;
	m6.ipv6mr_interface = a->u.in6.sin6_scope_id;
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &m6, sizeof(m6)) != 0)
		return errno;
	return 0;
}

/* Marks packets: the upper six bits; the lower two are ECN's. */
static int
dscp_set(int fd, bool v6, int dscp)
{
	return v6 ? set_int(fd, IPPROTO_IPV6, IPV6_TCLASS, dscp << 2)
		  : set_int(fd, IPPROTO_IP, IP_TOS, dscp << 2);
}

/* Marks, joins, binds and learns the real port. */
static int
socket_setup(struct udp *u, const struct addr *local, int dscp)
{
	bool v6 = local->u.sa.sa_family == AF_INET6;
	socklen_t len = sizeof(u->local.u);
	int err;

	if (v6 && (err = set_int(u->fd, IPPROTO_IPV6, IPV6_V6ONLY, 1)) != 0)
		return err;
	if (dscp != 0 && (err = dscp_set(u->fd, v6, dscp)) != 0)
		return err;
	if (addr_is_multicast(local) && (err = group_join(u->fd, local)) != 0)
		return err;
	if (bind(u->fd, &local->u.sa, addr_len(local)) != 0 ||
	    getsockname(u->fd, &u->local.u.sa, &len) != 0)
		return errno;
	return 0;
}

int
udp_open(struct udp **out, struct loop *l, const struct addr *local, int dscp,
    udp_cb *cb, void *arg)
{
	struct udp *u;
	int err;

	if (!addr_is_set(local))
		return EAFNOSUPPORT;
	if (dscp < 0 || dscp > DSCP_MAX)
		return EINVAL;
	/* One room for all sockets of the loop: its pages are used in turn. */
	if (l->udp_room == NULL &&
	    (l->udp_room = malloc((size_t)BATCH * SLOT)) == NULL)
		return ENOMEM;
	if ((u = calloc(1, sizeof(*u))) == NULL)
		return ENOMEM;
	u->l = l;
	u->cb = cb;
	u->arg = arg;
	u->fd = socket(local->u.sa.sa_family,
	    SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (u->fd < 0) {
		err = errno;
		goto out;
	}
	if ((err = socket_setup(u, local, dscp)) != 0 ||
	    (err = io_start(&u->io, l, u->fd, IO_READ, on_readable, u)) != 0)
		goto out;
	*out = u;
	u = NULL;
out:
	udp_free(u);
	return err;
}

void
udp_free(struct udp *u)
{
	if (u == NULL)
		return;
	io_stop(&u->io);
	if (u->fd >= 0)
		close(u->fd);
	u->fd = -1;
	u->is_dead = true;
	if (!u->in_cb)
		free(u);
}

int
udp_send(struct udp *u, const void *p, size_t n, const struct addr *to)
{
	/* The kernel would take an address of the other family as ours. */
	if (to->u.sa.sa_family != u->local.u.sa.sa_family)
		return EAFNOSUPPORT;
	/* The first may report what became of another datagram. */
	for (int i = 0; i < (u->err_cb != NULL ? 2 : 1); i++) {
		if (sendto(u->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL, &to->u.sa,
			addr_len(to)) >= 0)
			return 0;
	}
	return errno == ENOBUFS ? EAGAIN : errno;
}

int
udp_on_unreachable(struct udp *u, udp_err_cb *cb)
{
	bool v6 = u->local.u.sa.sa_family == AF_INET6;
	int err;

	err = v6 ? set_int(u->fd, IPPROTO_IPV6, IPV6_RECVERR, 1)
		 : set_int(u->fd, IPPROTO_IP, IP_RECVERR, 1);
	if (err == 0)
		u->err_cb = cb;
	return err;
}

int
udp_set_dscp(struct udp *u, int dscp)
{
	if (dscp < 0 || dscp > DSCP_MAX)
		return EINVAL;
	return dscp_set(u->fd, u->local.u.sa.sa_family == AF_INET6, dscp);
}

void
udp_local(const struct udp *u, struct addr *out)
{
	*out = u->local;
}

int
udp_fd(const struct udp *u)
{
	return u->fd;
}
