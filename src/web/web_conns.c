/* SPDX-License-Identifier: ISC */
/* The connections of the web server: ceilings, and deadlines that a client
 * cannot move by sending a byte now and then. */
#include <sys/socket.h>
#include <sys/stat.h>

#include <stdlib.h>

#include "bellbird/addr.h"
#include "bellbird/clock.h"
#include "bellbird/log.h"
#include "internal.h"

enum {
	/* 10 KB each with TLS: what an embedded board can spare. */
	CONNS_MAX = 64,
	/* A browser opens six. */
	CONNS_PER_IP = 8
};

/* From the connection to the whole request; a phone line needs no more. */
#define REQUEST_US INT64_C(30000000)
/* From a request to the end of its answer, and of the next request. */
#define ANSWER_US  INT64_C(120000000)
/* How exact those are; runs only while somebody is connected. */
#define SWEEP_US   INT64_C(5000000)

/*
 * evhttp of libevent 2.1 does not say when a connection ends.  A socket's
 * inode number is its own: as long as the descriptor shows the same one, it
 * is the same connection.
 */
struct conn {
	int fd; /* borrowed from evhttp; -1: free entry */
	ino_t ino;
	struct addr ip;
	int64_t until_us;
};

struct web_conns {
	struct loop *l; /* borrowed */
	struct timer sweep;
	struct conn v[CONNS_MAX];
};

int
web_conns_new(struct web_conns **out, struct loop *l)
{
	struct web_conns *cs = calloc(1, sizeof(*cs));

	if (cs == NULL)
		return ENOMEM;
	cs->l = l;
	for (size_t i = 0; i < CONNS_MAX; i++)
		cs->v[i].fd = -1;
	*out = cs;
	return 0;
}

void
web_conns_free(struct web_conns *cs)
{
	if (cs == NULL)
		return;
	timer_stop(&cs->sweep);
	free(cs);
}

/* Stores the inode number of a socket; false if the descriptor is none. */
static bool
socket_ino(int fd, ino_t *ino)
{
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISSOCK(st.st_mode))
		return false;
	*ino = st.st_ino;
	return true;
}

/* Is the entry still the connection it was made for?  Frees it otherwise. */
static bool
is_alive(struct conn *c)
{
	ino_t ino;

	if (c->fd < 0)
		return false;
	if (socket_ino(c->fd, &ino) && ino == c->ino)
		return true;
	c->fd = -1;
	return false;
}

/* timer_cb: ends who is too slow. */
static void
on_sweep(void *arg)
{
	struct web_conns *cs = arg;
	int64_t now = clock_mono_us();
	size_t alive = 0;

	for (size_t i = 0; i < CONNS_MAX; i++) {
		struct conn *c = &cs->v[i];

		if (!is_alive(c))
			continue;
		alive++;
		if (now < c->until_us)
			continue;
		/* evhttp reads the end and cleans up; so it owns the close. */
		(void)shutdown(c->fd, SHUT_RDWR);
		c->until_us = now + REQUEST_US;
		log_info(LOGC_WEB, 0, "connection closed: too slow");
	}
	if (alive > 0)
		ignore_err(
		    timer_start(&cs->sweep, cs->l, SWEEP_US, on_sweep, cs),
		    "the next connection starts it again");
}

int
web_conns_add(struct web_conns *cs, int fd)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);
	struct conn fresh = { .fd = fd }, *slot = NULL;
	size_t same = 0;

	if (!socket_ino(fd, &fresh.ino) ||
	    getpeername(fd, (struct sockaddr *)&ss, &n) != 0 ||
	    addr_from_sockaddr(&fresh.ip, (struct sockaddr *)&ss, n) != 0)
		return 0; /* gone already */
	for (size_t i = 0; i < CONNS_MAX; i++) {
		if (!is_alive(&cs->v[i]))
			slot = &cs->v[i];
		else if (addr_ip_eq(&cs->v[i].ip, &fresh.ip))
			same++;
	}
	if (slot == NULL || same >= CONNS_PER_IP)
		return E_LIMIT;
	fresh.until_us = clock_mono_us() + REQUEST_US;
	*slot = fresh;
	if (timer_is_armed(&cs->sweep))
		return 0;
	return timer_start(&cs->sweep, cs->l, SWEEP_US, on_sweep, cs);
}

void
web_conns_request(struct web_conns *cs, int fd)
{
	for (size_t i = 0; i < CONNS_MAX; i++)
		if (cs->v[i].fd == fd && is_alive(&cs->v[i]))
			cs->v[i].until_us = clock_mono_us() + ANSWER_US;
}
