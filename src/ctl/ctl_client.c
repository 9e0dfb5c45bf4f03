/* SPDX-License-Identifier: ISC */
/* The client's end of the control socket: asks, waits for the reply, keeps
 * the events that come in between. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bellbird/clock.h"
#include "internal.h"

enum {
	READ_CHUNK = 16 * 1024,
	/* A reply may be as long as the server lets a client leave unread. */
	IN_MAX = CTL_UNSENT_MAX + READ_CHUNK,
	/* Events kept while a reply is awaited; more is no endpoint of ours. */
	EARLY_MAX = 10000
};

int
ctl_client_open(struct ctl_client *c, const char *path)
{
	int err;

	memset(c, 0, sizeof(*c));
	c->fd = -1;
	buf_init(&c->in, IN_MAX);
	if ((c->early = jv_arr()) == NULL)
		return ENOMEM;
	if ((err = ctl_sock_connect(path, &c->fd)) != 0)
		ctl_client_clear(c);
	return err;
}

void
ctl_client_clear(struct ctl_client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	jv_free(c->early);
	c->early = NULL;
	buf_clear(&c->in);
}

/* Waits until the socket is ready for `events`. */
static int
wait_fd(int fd, short events, int64_t deadline_us)
{
	struct pollfd p = { .fd = fd, .events = events };
	int64_t left_ms = -1;
	int n;

	for (;;) {
		if (deadline_us != CTL_FOREVER) {
			/* Rounded up: never a deadline that spins. */
			left_ms = (deadline_us - clock_mono_us() + 999) / 1000;
			if (left_ms <= 0)
				return ETIMEDOUT;
			if (left_ms > 3600 * 1000)
				left_ms = 3600 * 1000;
		}
		n = poll(&p, 1, (int)left_ms);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return errno;
	}
}

/* Sends a whole line; the descriptors go with its first bytes. */
static int
send_line(struct ctl_client *c, const struct buf *b, const int *fds,
    size_t num_fds, int64_t deadline_us)
{
	size_t at = 0, sent;
	int err;

	while (at < b->n) {
		err = ctl_sock_send(c->fd, b->p + at, b->n - at, &sent, fds,
		    at == 0 ? num_fds : 0);
		if (err == 0)
			at += sent;
		else if (err == EAGAIN)
			err = wait_fd(c->fd, POLLOUT, deadline_us);
		else if (err == EPIPE || err == ECONNRESET)
			err = E_CLOSED;
		if (err != 0 && err != EINTR)
			return err;
	}
	return 0;
}

/* Reads once more into `in`. */
static int
read_more(struct ctl_client *c, int64_t deadline_us)
{
	char chunk[READ_CHUNK];
	int fds[CTL_FDS_MAX], err;
	size_t n, num_fds;

	if ((err = wait_fd(c->fd, POLLIN, deadline_us)) != 0)
		return err;
	err = ctl_sock_recv(c->fd, chunk, sizeof(chunk), &n, fds, &num_fds);
	for (size_t i = 0; i < num_fds; i++)
		close(fds[i]); /* nobody sends us any */
	if (err == EAGAIN || err == EINTR)
		return 0;
	if (err == ECONNRESET)
		return E_CLOSED;
	if (err == 0)
		err = buf_add(&c->in, chunk, n);
	return err;
}

/* Stores the next object from the socket. */
static int
recv_obj(struct ctl_client *c, int64_t deadline_us, struct jv **out)
{
	char why[128];
	const char *p, *nl;
	int err;

	for (;;) {
		p = (const char *)c->in.p + c->used;
		nl = c->in.n > c->used + c->scanned
		    ? memchr(
			  p + c->scanned, '\n', c->in.n - c->used - c->scanned)
		    : NULL;
		if (nl != NULL)
			break;
		buf_drain(&c->in, c->used);
		c->used = 0;
		c->scanned = c->in.n;
		if ((err = read_more(c, deadline_us)) != 0)
			return err;
	}
	err = jv_parse(out, p, (size_t)(nl - p), why, sizeof(why));
	c->used += (size_t)(nl - p) + 1;
	c->scanned = 0;
	return err;
}

/* Sends a command and waits for the reply with its number. */
static int
ask(struct ctl_client *c, const struct buf *line, const int *fds,
    size_t num_fds, int64_t deadline_us, struct jv **reply)
{
	struct jv *o;
	int err;

	err = send_line(c, line, fds, num_fds, deadline_us);
	while (err == 0 && (err = recv_obj(c, deadline_us, &o)) == 0) {
		if (jv_get_str(o, "event") != NULL) {
			if (jv_len(c->early) >= EARLY_MAX)
				err = E_LIMIT;
			jv_add(c->early, o);
			continue;
		}
		/* A server that refuses a line answers without a number. */
		if (jv_get_int(o, "id", c->last_id) == c->last_id) {
			*reply = o;
			return 0;
		}
		jv_free(o);
	}
	return err;
}

/* The line of a command; it may hold a secret. */
static int
command_print(
    struct ctl_client *c, const char *cmd, const struct jv *args, struct buf *b)
{
	struct jv *o = jv_obj();
	int err;

	jv_set_int(o, "id", ++c->last_id);
	jv_set_str(o, "cmd", cmd);
	if (args != NULL)
		jv_set(o, "args", jv_copy(args));
	err = o != NULL ? jv_print(o, false, b) : ENOMEM;
	if (err == 0)
		err = buf_add(b, "\n", 1);
	jv_free(o);
	return err;
}

/* Both kinds of asking. */
static int
ask_all(struct ctl_client *c, const char *cmd, const struct jv *args,
    const int *fds, size_t num_fds, int64_t deadline_us, struct jv **reply)
{
	struct buf b;
	int err;

	buf_init_secret(&b, CTL_LINE_MAX + 1);
	err = command_print(c, cmd, args, &b);
	if (err == 0)
		err = ask(c, &b, fds, num_fds, deadline_us, reply);
	buf_clear(&b);
	return err;
}

int
ctl_client_ask(struct ctl_client *c, const char *cmd, const struct jv *args,
    int64_t deadline_us, struct jv **reply)
{
	return ask_all(c, cmd, args, NULL, 0, deadline_us, reply);
}

int
ctl_client_ask_fds(struct ctl_client *c, const char *cmd, const struct jv *args,
    const int *fds, size_t num_fds, struct jv **reply)
{
	return ask_all(c, cmd, args, fds, num_fds, CTL_FOREVER, reply);
}

/* Takes the oldest event that was kept. */
static int
early_take(struct ctl_client *c, struct jv **out)
{
	struct jv *fresh;

	*out = jv_ref(jv_at(c->early, c->early_at));
	if (++c->early_at < jv_len(c->early))
		return 0;
	if ((fresh = jv_arr()) == NULL) {
		jv_free(*out);
		return ENOMEM;
	}
	jv_free(c->early);
	c->early = fresh;
	c->early_at = 0;
	return 0;
}

int
ctl_client_event(struct ctl_client *c, int64_t deadline_us, struct jv **out)
{
	struct jv *o;
	int err;

	if (c->early_at < jv_len(c->early))
		return early_take(c, out);
	for (;;) {
		if ((err = recv_obj(c, deadline_us, &o)) != 0)
			return err;
		if (jv_get_str(o, "event") != NULL) {
			*out = o;
			return 0;
		}
		jv_free(o); /* a reply nobody waits for any more */
	}
}
