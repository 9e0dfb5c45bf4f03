/* SPDX-License-Identifier: ISC */
/* The second face, for evhttp: a bufferevent filter over the same BIO, with
 * five gaps of libevent 2.1.12 worked around (GAP-1 .. GAP-5). */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <openssl/ssl.h>

#include "bellbird/log.h"

#include "internal.h"
#include "p11.h"

enum {
	CHUNK = 16384, /* one TLS record */
	/* GAP-2: what stays in the filter until the kernel took the rest. */
	TAIL = 1024
};

/* What the filter needs beside the connection. */
struct tls_bev {
	struct io writable;
	bool kicking; /* GAP-4: output is processed from the loop only */
	bool failed;
	/* The filter's own callbacks on the socket, behind ours. */
	bufferevent_data_cb read, write;
	bufferevent_event_cb event;
	void *arg;
};

static void on_kick(void *arg);

/*
 * False between bufferevent_free() and on_free(): then the filter must not be
 * touched any more.  Freeing it frees the socket at once, and that takes the
 * socket's callbacks away.
 */
static bool
is_live(const struct tls_conn *c)
{
	bufferevent_event_cb event = NULL;

	if (c->env == NULL)
		return false;
	bufferevent_getcb(c->bev, NULL, NULL, &event, NULL);
	return event != NULL;
}

/* GAP-1: be_filter ignores BEV_ERROR from the filter functions, so the event
 * is raised here, deferred. */
static void
fail(struct tls_conn *c)
{
	if (c->face->failed)
		return;
	c->face->failed = true;
	tls_hs_flush(c); /* an alert */
	bufferevent_trigger_event(c->flt, BEV_EVENT_ERROR | BEV_EVENT_READING,
	    BEV_OPT_DEFER_CALLBACKS);
}

/* Tells the observer; he may not free a connection that a filter owns. */
static void
tell(struct tls_conn *c, enum tls_event ev, int err)
{
	c->holds++;
	if (c->cb != NULL)
		c->cb(c, ev, err, c->arg);
	c->holds--;
}

/* Fills in the addresses once the socket has them. */
static void
note_addrs(struct tls_conn *c)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);
	int fd = bufferevent_getfd(c->bev);

	if (fd < 0)
		return;
	tls_conn_nodelay(fd);
	if (getpeername(fd, (struct sockaddr *)&ss, &n) == 0)
		ignore_err(
		    addr_from_sockaddr(&c->v.remote, (struct sockaddr *)&ss, n),
		    "then the record has no address");
	n = sizeof(ss);
	if (getsockname(fd, (struct sockaddr *)&ss, &n) == 0)
		ignore_err(
		    addr_from_sockaddr(&c->v.local, (struct sockaddr *)&ss, n),
		    "then the record has no address");
}

/* One step of the handshake: 1 up, 0 more is needed, -1 failed. */
static int
step(struct tls_conn *c)
{
	int err;

	if (c->face->failed)
		return -1;
	if (c->up)
		return 1;
	if (c->v.phase == TLS_PH_CONNECT)
		return 0;
	if (!addr_is_set(&c->v.local))
		note_addrs(c);
	err = tls_hs_step(c);
	tls_hs_flush(c);
	if (err == EAGAIN)
		return 0;
	if (err != 0) {
		fail(c);
		return -1;
	}
	tell(c, TLS_EV_UP, 0);
	if (c->v.policy.dir == TLS_CLIENT)
		bufferevent_trigger_event(
		    c->flt, BEV_EVENT_CONNECTED, BEV_OPT_DEFER_CALLBACKS);
	loop_defer(c->env->loop, &c->later, on_kick, c);
	return 1;
}

/* Decrypts into the filter's input; false once that came to an end. */
static bool
read_some(struct tls_conn *c, struct evbuffer *dst,
    enum bufferevent_filter_result *res)
{
	struct evbuffer_iovec v;
	int k, e, err;

	if (evbuffer_reserve_space(dst, CHUNK, &v, 1) < 1) {
		*res = BEV_ERROR;
		fail(c);
		return false;
	}
	tls_err_drop();
	k = SSL_read(
	    c->ssl, v.iov_base, v.iov_len > CHUNK ? CHUNK : (int)v.iov_len);
	if (k > 0) {
		tls_hs_confirm(c);
		v.iov_len = (size_t)k;
		evbuffer_commit_space(dst, &v, 1);
		*res = BEV_OK;
		return true;
	}
	e = SSL_get_error(c->ssl, k);
	tls_err_drop();
	if (e == SSL_ERROR_ZERO_RETURN) {
		bufferevent_trigger_event(c->flt,
		    BEV_EVENT_EOF | BEV_EVENT_READING, BEV_OPT_DEFER_CALLBACKS);
	} else if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE) {
		err = c->v.alert_rx >= 0     ? E_TLS_PEER_REFUSED
		    : e == SSL_ERROR_SYSCALL ? E_CLOSED /* no close_notify */
					     : E_TLS_HANDSHAKE;
		c->end_err = tls_hs_late(c, err);
		fail(c);
		*res = BEV_ERROR;
	}
	return false;
}

static enum bufferevent_filter_result
filter_in(struct evbuffer *src, struct evbuffer *dst, ev_ssize_t limit,
    enum bufferevent_flush_mode mode, void *arg)
{
	enum bufferevent_filter_result res = BEV_NEED_MORE;
	struct tls_conn *c = arg;
	int r;

	(void)limit;
	(void)mode;
	if (c->env == NULL)
		return BEV_ERROR;
	c->src = src;
	r = step(c);
	if (r < 0)
		res = BEV_ERROR;
	while (r > 0 && read_some(c, dst, &res))
		;
	c->src = NULL;
	return res;
}

/* The socket takes bytes again. */
static void
on_writable(int fd, int what, void *arg)
{
	struct tls_conn *c = arg;

	(void)fd;
	(void)what;
	io_stop(&c->face->writable);
	on_kick(c);
}

/* GAP-2: is there room in the kernel for the tail?  If not, asks to be told.
 */
static bool
tail_may_go(struct tls_conn *c)
{
	struct pollfd p = { bufferevent_getfd(c->bev), POLLOUT, 0 };

	if (p.fd < 0 || poll(&p, 1, 0) == 1)
		return true;
	return io_start(&c->face->writable, c->env->loop, p.fd, IO_WRITE,
		   on_writable, c) != 0;
}

static enum bufferevent_filter_result
filter_out(struct evbuffer *src, struct evbuffer *dst, ev_ssize_t limit,
    enum bufferevent_flush_mode mode, void *arg)
{
	enum bufferevent_filter_result res = BEV_NEED_MORE;
	struct tls_conn *c = arg;
	size_t len, n;
	int k;

	(void)dst;
	(void)limit;
	(void)mode;
	if (c->env == NULL)
		return BEV_ERROR;
	/* GAP-4: a filter runs this and the write callback inside
	 * evbuffer_add(), before evhttp has installed its callback: only ever
	 * write from the loop, as a socket bufferevent does. */
	if (!c->face->kicking) {
		loop_defer(c->env->loop, &c->later, on_kick, c);
		return BEV_NEED_MORE;
	}
	if (!c->up || c->face->failed)
		return BEV_NEED_MORE;
	while ((len = evbuffer_get_length(src)) > 0) {
		/* GAP-2: the write callback means "handed to the socket's
		 * buffer", and evhttp closes on it: a small tail stays until
		 * the kernel has the rest and takes more. */
		if (!tls_hs_flush(c))
			return res;
		n = evbuffer_get_contiguous_space(src);
		if (n > CHUNK)
			n = CHUNK;
		if (n == len && n > 2 * TAIL)
			n -= TAIL;
		if (n == len && !tail_may_go(c))
			return res;
		tls_err_drop();
		k = SSL_write(
		    c->ssl, evbuffer_pullup(src, (ev_ssize_t)n), (int)n);
		tls_err_drop();
		if (k <= 0) {
			fail(c);
			return BEV_ERROR;
		}
		evbuffer_drain(src, (size_t)k);
		res = BEV_OK;
	}
	tls_hs_flush(c);
	return res;
}

/* Processes output from the loop. */
static void
on_kick(void *arg)
{
	struct tls_conn *c = arg;

	if (c->face->failed || !is_live(c))
		return;
	c->face->kicking = true;
	bufferevent_flush(c->flt, EV_WRITE, BEV_NORMAL);
	c->face->kicking = false;
}

/* GAP-3: enabling EV_WRITE does not process output queued while it was off,
 * and evhttp's server does just that. */
static void
on_output(struct evbuffer *b, const struct evbuffer_cb_info *info, void *arg)
{
	struct tls_conn *c = arg;

	(void)b;
	if (info->n_added > 0 && c->up && is_live(c))
		loop_defer(c->env->loop, &c->later, on_kick, c);
}

/* The socket of a client is connected, and its hello is on the way; evhttp
 * hears of it when TLS is up. */
static void
on_tcp(struct tls_conn *c)
{
	int err = tls_hs_begin(c);

	note_addrs(c);
	if (err != 0) {
		tls_explain(&c->v, "hs.internal", "cannot be talked to: %s",
		    err_str(err));
		tls_hs_fail(c, err);
		fail(c);
		return;
	}
	/* evhttp switched reading off while it connects. */
	bufferevent_enable(c->flt, EV_READ);
	step(c);
}

/*
 * TCP ended.  evhttp takes that for the end of a body without length, but
 * only close_notify says that nothing was cut (RFC 9112 9.8).  What is left
 * is read first; reading then says which end it is.
 */
static void
on_eof(struct tls_conn *c)
{
	c->eof = true;
	c->face->read(c->bev, c->face->arg);
	if (is_live(c) &&
	    (SSL_get_shutdown(c->ssl) & SSL_RECEIVED_SHUTDOWN) == 0)
		fail(c);
}

/* What happens to the socket, before the filter hears of it. */
static void
on_socket(struct bufferevent *und, short what, void *arg)
{
	struct tls_conn *c = arg;
	int e = EVUTIL_SOCKET_ERROR();

	if (c->env == NULL) {
		/* Orphaned: nothing of it is to be judged any more. */
	} else if (c->v.phase == TLS_PH_CONNECT &&
	    (what & (BEV_EVENT_ERROR | BEV_EVENT_TIMEOUT)) != 0) {
		/* GAP-5: libevent swallows ECONNREFUSED when it reads first;
		 * what writing says then is EPIPE. */
		tls_hs_tcp_fail(c, e != 0 && e != EPIPE ? e : ECONNREFUSED);
		c->face->failed = true;
	} else if (!c->up && !c->face->failed &&
	    (what & (BEV_EVENT_ERROR | BEV_EVENT_EOF)) != 0) {
		/* What came before the end may hold an alert. */
		c->eof = true;
		if (step(c) == 0) {
			tls_hs_tcp_fail(
			    c, (what & BEV_EVENT_ERROR) != 0 ? e : 0);
			fail(c);
		}
		return;
	} else if (c->up && !c->face->failed && (what & BEV_EVENT_ERROR) != 0) {
		c->end_err = tls_hs_late(c, e != 0 ? e : ECONNRESET);
	} else if (c->up && !c->face->failed && (what & BEV_EVENT_EOF) != 0) {
		on_eof(c);
		return;
	}
	c->face->event(und, what, c->face->arg);
}

/* The filter is gone: so is the connection. */
static void
on_free(void *arg)
{
	struct tls_conn *c = arg;
	struct tls_bev *t = c->face;

	if (c->env == NULL) { /* the environment went first */
		free(t);
		free(c);
		return;
	}
	if (c->v.phase != TLS_PH_UP && c->v.phase != TLS_PH_PROBATION &&
	    c->v.err == 0)
		c->v.err = E_STOPPED; /* given up before it was up */
	tell(c, TLS_EV_CLOSED, c->v.err != 0 ? c->v.err : c->end_err);
	io_stop(&t->writable);
	c->bev = NULL; /* the filter frees it */
	tls_conn_release(c);
	free(t);
}

void
tls_bev_bye(struct tls_conn *c)
{
	/* What was cut must not look whole to the peer. */
	if (!is_live(c) || !c->up || c->face->failed ||
	    evbuffer_get_length(bufferevent_get_output(c->flt)) > 0 ||
	    !tls_hs_flush(c))
		return;
	SSL_shutdown(c->ssl);
	tls_err_drop();
	tls_hs_flush(c);
}

void
tls_bev_expired(struct tls_conn *c)
{
	if (!is_live(c))
		return;
	if (!addr_is_set(&c->v.remote))
		note_addrs(c);
	tls_hs_timeout(c);
	fail(c);
}

void
tls_bev_again(struct tls_conn *c)
{
	int err;

	if (!is_live(c) || c->face->failed || (err = tls_hs_again(c)) == 0)
		return;
	c->end_err = err;
	fail(c);
}

void
tls_bev_signed(struct tls_conn *c)
{
	/* Reading goes on by itself only when more comes in. */
	if (is_live(c) && step(c) > 0)
		c->face->read(c->bev, c->face->arg);
}

/* The environment goes before its connections do: nothing of it is used from
 * here on. */
void
tls_bev_orphan(struct tls_conn *c)
{
	io_stop(&c->face->writable);
	timer_stop(&c->deadline);
	loop_undefer(&c->later);
	LIST_REMOVE(c, link);
	tls_p11_leave(c);
	SSL_free(c->ssl);
	c->ssl = NULL;
	c->cb = NULL;
	c->env = NULL;
}

/* All callbacks of a bufferevent share one argument: pass these two on. */
static void
on_socket_read(struct bufferevent *und, void *arg)
{
	struct tls_conn *c = arg;

	if (c->env != NULL && c->v.phase == TLS_PH_CONNECT)
		on_tcp(c);
	c->face->read(und, c->face->arg);
}

static void
on_socket_write(struct bufferevent *und, void *arg)
{
	struct tls_conn *c = arg;

	/* evhttp connects the filter, not the socket below it, so the socket
	 * never says CONNECTED: that the hello left says the same. */
	if (c->env != NULL && c->v.phase == TLS_PH_CONNECT)
		on_tcp(c);
	c->face->write(und, c->face->arg);
}

/* Puts socket, filter and connection together. */
static int
assemble(struct tls_conn *c)
{
	struct tls_bev *t;

	if ((t = c->face = calloc(1, sizeof(*t))) == NULL)
		return ENOMEM;
	c->bev = bufferevent_socket_new(
	    loop_base(c->env->loop), -1, BEV_OPT_CLOSE_ON_FREE);
	if (c->bev == NULL)
		return ENOMEM;
	c->flt = bufferevent_filter_new(
	    c->bev, filter_in, filter_out, BEV_OPT_CLOSE_ON_FREE, on_free, c);
	if (c->flt == NULL)
		return ENOMEM;
	bufferevent_getcb(c->bev, &t->read, &t->write, &t->event, &t->arg);
	bufferevent_setcb(
	    c->bev, on_socket_read, on_socket_write, on_socket, c);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
	if (evbuffer_add_cb(bufferevent_get_output(c->flt), on_output, c) ==
	    NULL)
		return ENOMEM;
	return tls_conn_arm(c);
}

/* Undoes what assemble() did, all or half. */
static void
abandon(struct tls_conn *c)
{
	struct bufferevent *flt = c->flt;

	c->cb = NULL;
	if (flt != NULL) {
		bufferevent_free(flt); /* on_free() does the rest */
		return;
	}
	if (c->bev != NULL)
		bufferevent_free(c->bev);
	free(c->face);
	tls_conn_release(c);
}

/* Puts the ClientHello into the socket's buffer; it leaves as soon as evhttp
 * has connected. */
static int
hello(struct tls_conn *c)
{
	int err;

	if ((err = tls_hs_bio(c)) != 0)
		return err;
	err = tls_hs_step(c);
	return err == EAGAIN ? 0 : err;
}

int
tls_bev_client(struct bufferevent **out, struct tls_env *e,
    const struct tls_conn_conf *conf)
{
	struct tls_conn *c;
	int err;

	if (conf->policy == NULL)
		return EINVAL; /* clear HTTP needs no filter */
	if ((err = tls_conn_alloc(&c, e, conf->policy, TLS_CLIENT)) != 0)
		return err;
	tls_conn_fill(c, conf);
	if ((err = tls_ctx_ssl(c, conf->alpn)) != 0 ||
	    (err = assemble(c)) != 0 || (err = hello(c)) != 0) {
		abandon(c);
		return err;
	}
	*out = c->flt;
	return 0;
}

int
tls_bev_server(struct bufferevent **out, struct tls_env *e,
    const struct tls_policy *policy, tls_conn_cb *cb, void *arg)
{
	struct tls_conn *c;
	int err;

	if (policy == NULL)
		return EINVAL;
	if ((err = tls_env_server_slot(e)) != 0)
		return err;
	if ((err = tls_conn_alloc(&c, e, policy, TLS_SERVER)) != 0)
		return err;
	c->cb = cb;
	c->arg = arg;
	if ((err = tls_hs_begin(c)) != 0 || (err = assemble(c)) != 0) {
		abandon(c);
		return err;
	}
	*out = c->flt;
	return 0;
}

struct tls_conn *
tls_bev_conn(struct tls_env *e, struct bufferevent *bev)
{
	struct tls_conn *c;

	LIST_FOREACH (c, &e->conns, link) {
		if (c->flt == bev && bev != NULL)
			return c;
	}
	return NULL;
}
