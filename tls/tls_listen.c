/* SPDX-License-Identifier: ISC */
/* Listeners: accept within limits, hand over what is up.
 * EMFILE pauses one second instead of spinning. */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bellbird/clock.h"
#include "bellbird/log.h"

#include "internal.h"

enum {
	CONNS_DEFAULT = 64,
	PER_IP_DEFAULT = 16,
	HANDSHAKES_SHARE = 4,       /* a quarter may be in their handshake */
	HANDSHAKE_OLD_US = 1000000, /* a younger one is given its chance */
	ACCEPTS_PER_TURN = 16,      /* fairness to what else the loop does */
	BACKLOG = 128,
	PAUSE_US = 1000000 /* out of descriptors: others may close some */
};

struct tls_listen {
	struct tls_env *env;
	struct tls_policy policy;
	bool clear;
	int fd;
	struct io io;
	struct timer pause;
	struct addr local;
	unsigned int max_conns, max_per_ip;
	unsigned int num_conns, num_handshakes;
	LIST_HEAD(, tls_conn) conns; /* newest first */
	tls_accept_cb *cb;
	void *arg;
	bool full_told;     /* log once per transition */
	unsigned int holds; /* callbacks on the stack: free waits for them */
};

static void on_accept(int fd, int what, void *arg);

/* Leaves a callback; a listener that was closed inside goes now. */
static void
leave(struct tls_listen *l)
{
	if (--l->holds == 0 && l->fd < 0)
		free(l);
}

/* Counts the connections from one address. */
static unsigned int
count_ip(const struct tls_listen *l, const struct addr *a)
{
	const struct tls_conn *c;
	unsigned int n = 0;

	LIST_FOREACH (c, &l->conns, siblings) {
		n += addr_ip_eq(&c->v.remote, a);
	}
	return n;
}

/* Too many handshakes at once: the oldest makes room, if it had its time. */
static bool
handshake_room(struct tls_listen *l)
{
	unsigned int max = l->max_conns / HANDSHAKES_SHARE;
	struct tls_conn *c, *oldest = NULL;

	if (l->clear || l->num_handshakes < (max > 0 ? max : 1))
		return true;
	LIST_FOREACH (c, &l->conns, siblings) {
		if (!c->handed)
			oldest = c;
	}
	if (oldest == NULL ||
	    clock_mono_us() - oldest->start_us < HANDSHAKE_OLD_US)
		return false;
	tls_conn_kill(oldest);
	return true;
}

/* May this one come in? */
static bool
admit(struct tls_listen *l, const struct addr *remote)
{
	const char *why = NULL;

	if (l->num_conns >= l->max_conns)
		why = "too many connections";
	else if (count_ip(l, remote) >= l->max_per_ip)
		why = "too many connections from this address";
	else if (!handshake_room(l))
		why = "too many handshakes";
	if (why != NULL && !l->full_told) {
		char ip[ADDR_STR_MAX];

		addr_print_ip(remote, ip);
		log_warn(LOGC_TLS, 0,
		    "connection turned away remote=%s reason=\"%s\"", ip, why);
	}
	l->full_told = why != NULL;
	return why == NULL;
}

/* Takes one accepted descriptor. */
static void
take(struct tls_listen *l, int fd, const struct addr *remote)
{
	struct tls_conn *c;
	int err;

	if (!admit(l, remote)) {
		close(fd);
		return;
	}
	c = NULL;
	err = tls_conn_accept(
	    &c, l->env, l->clear ? NULL : &l->policy, fd, remote);
	if (err != 0) {
		log_warn(LOGC_TLS, 0, "connection not taken reason=\"%s\"",
		    err_str(err));
		return;
	}
	c->listen = l;
	l->num_conns++;
	l->num_handshakes++;
	LIST_INSERT_HEAD(&l->conns, c, siblings);
	tls_conn_begin_accept(c);
}

/* The pause is over. */
static void
on_pause(void *arg)
{
	struct tls_listen *l = arg;

	if (io_start(&l->io, l->env->loop, l->fd, IO_READ, on_accept, l) != 0)
		ignore_err(
		    timer_start(&l->pause, l->env->loop, PAUSE_US, on_pause, l),
		    "no memory for a timer: the listener stays quiet");
}

/* Takes what waits, a bounded number; 0 or the errno that ended it. */
static int
accept_some(struct tls_listen *l)
{
	struct sockaddr_storage ss;
	struct addr remote;
	socklen_t n;
	int s;

	for (int i = 0; i < ACCEPTS_PER_TURN && l->fd >= 0; i++) {
		n = sizeof(ss);
		s = accept4(l->fd, (struct sockaddr *)&ss, &n,
		    SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (s < 0)
			return errno;
		if (addr_from_sockaddr(&remote, (struct sockaddr *)&ss, n) == 0)
			take(l, s, &remote);
		else
			close(s);
	}
	return 0;
}

/* Connections wait. */
static void
on_accept(int fd, int what, void *arg)
{
	struct tls_listen *l = arg;
	int err;

	(void)fd;
	(void)what;
	l->holds++;
	err = accept_some(l);
	if (l->fd < 0 || err == 0 || err == EAGAIN || err == ECONNABORTED ||
	    err == EINTR) {
		leave(l);
		return;
	}
	log_warn(
	    LOGC_TLS, 0, "accepting pauses 1 s reason=\"%s\"", err_str(err));
	io_stop(&l->io);
	ignore_err(timer_start(&l->pause, l->env->loop, PAUSE_US, on_pause, l),
	    "no memory for a timer: the listener stays quiet");
	leave(l);
}

/* Opens the listening socket. */
static int
listen_socket(struct tls_listen *l, int dscp)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);
	int one = 1;

	l->fd = socket(l->local.u.sa.sa_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd < 0)
		return errno;
	ignore_err(
	    setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)),
	    "a restart may have to wait");
	/* Connections that are accepted inherit it, their SYN-ACK, too. */
	tls_sock_set_dscp(l->fd, l->local.u.sa.sa_family, dscp);
	if (bind(l->fd, &l->local.u.sa, addr_len(&l->local)) != 0 ||
	    listen(l->fd, BACKLOG) != 0 ||
	    getsockname(l->fd, (struct sockaddr *)&ss, &n) != 0)
		return errno;
	return addr_from_sockaddr(&l->local, (struct sockaddr *)&ss, n);
}

int
tls_listen_open(struct tls_listen **out, struct tls_env *e,
    const struct tls_listen_conf *conf)
{
	struct tls_listen *l;
	int err;

	if ((l = calloc(1, sizeof(*l))) == NULL)
		return ENOMEM;
	l->env = e;
	l->fd = -1;
	l->clear = conf->policy == NULL;
	if (!l->clear)
		l->policy = *conf->policy;
	l->local = conf->local;
	l->max_conns = conf->max_conns != 0 ? conf->max_conns : CONNS_DEFAULT;
	l->max_per_ip =
	    conf->max_per_ip != 0 ? conf->max_per_ip : PER_IP_DEFAULT;
	l->cb = conf->cb;
	l->arg = conf->arg;
	LIST_INIT(&l->conns);
	if (!l->clear && (err = tls_env_server_slot(e)) != 0)
		goto out;
	if ((err = listen_socket(l, conf->dscp)) != 0)
		goto out;
	err = io_start(&l->io, e->loop, l->fd, IO_READ, on_accept, l);
out:
	if (err != 0) {
		if (l->fd >= 0)
			close(l->fd);
		free(l); /* no connection yet */
		return err;
	}
	*out = l;
	return 0;
}

void
tls_listen_close(struct tls_listen *l)
{
	struct tls_conn *c, *next;

	if (l == NULL)
		return;
	io_stop(&l->io);
	timer_stop(&l->pause);
	close(l->fd);
	l->fd = -1;
	for (c = LIST_FIRST(&l->conns); c != NULL; c = next) {
		next = LIST_NEXT(c, siblings);
		LIST_REMOVE(c, siblings);
		c->listen = NULL;
		if (!c->handed)
			tls_conn_free(c);
	}
	if (l->holds == 0)
		free(l);
}

void
tls_listen_local(const struct tls_listen *l, struct addr *out)
{
	*out = l->local;
}

void
tls_listen_up(struct tls_conn *c)
{
	struct tls_listen *l = c->listen;

	l->num_handshakes--;
	l->holds++;
	l->cb(c, l->arg);
	leave(l);
}

void
tls_listen_gone(struct tls_conn *c)
{
	struct tls_listen *l = c->listen;

	if (l == NULL)
		return;
	LIST_REMOVE(c, siblings);
	l->num_conns--;
	if (!c->handed)
		l->num_handshakes--;
	c->listen = NULL;
}
