/* SPDX-License-Identifier: ISC */
/* A client of the control socket inside the loop of a test. */
#ifndef BELLBIRD_TESTS_TEST_CTL_H
#define BELLBIRD_TESTS_TEST_CTL_H

#include <sys/socket.h>
#include <sys/un.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bellbird/buf.h"
#include "bellbird/json.h"
#include "bellbird/loop.h"
#include "turn.h"

struct peer {
	struct loop *l;
	int fd;
	struct io io;
	struct buf in;
	size_t used;
	bool eof;
};

static inline void
peer_read(int fd, int what, void *arg)
{
	struct peer *p = arg;
	char chunk[65536];
	ssize_t n = recv(fd, chunk, sizeof(chunk), MSG_DONTWAIT);

	(void)what;
	if (n > 0) {
		assert_int_equal(buf_add(&p->in, chunk, (size_t)n), 0);
	} else {
		p->eof = true;
		io_stop(&p->io);
	}
	loop_stop(p->l);
}

static inline int
peer_socket(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	assert_true(fd >= 0);
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
		return fd;
	close(fd);
	return -1;
}

static inline void
peer_open(struct peer *p, struct loop *l, const char *path)
{
	memset(p, 0, sizeof(*p));
	p->l = l;
	buf_init(&p->in, 64 << 20);
	p->fd = peer_socket(path);
	assert_true(p->fd >= 0);
	assert_int_equal(io_start(&p->io, l, p->fd, IO_READ, peer_read, p), 0);
}

static inline void
peer_close(struct peer *p)
{
	io_stop(&p->io);
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
	buf_clear(&p->in);
}

static inline void
peer_send(struct peer *p, const char *text)
{
	assert_int_equal(send(p->fd, text, strlen(text), MSG_NOSIGNAL),
	    (ssize_t)strlen(text));
}

/* The next line as an object; NULL at the end of the connection. */
static inline struct jv *
peer_next(struct peer *p)
{
	char why[128];
	const char *s, *nl;
	struct jv *o;

	for (;;) {
		s = (const char *)p->in.p + p->used;
		nl = p->in.n > p->used ? memchr(s, '\n', p->in.n - p->used)
				       : NULL;
		if (nl != NULL)
			break;
		if (p->eof)
			return NULL;
		run_some(p->l);
	}
	assert_int_equal(
	    jv_parse(&o, s, (size_t)(nl - s), why, sizeof(why)), 0);
	p->used += (size_t)(nl - s) + 1;
	return o;
}

/* Sends a line and returns the next object. */
static inline struct jv *
peer_ask(struct peer *p, const char *line)
{
	peer_send(p, line);
	return peer_next(p);
}

#endif
