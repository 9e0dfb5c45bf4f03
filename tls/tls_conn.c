/* SPDX-License-Identifier: ISC */
/* A connection, TLS or clear TCP, with one face: connect, write, peek, close.
 * Events come from the loop only, and each may free the connection. */
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "bellbird/clock.h"
#include "bellbird/log.h"
#include "bellbird/str.h"

#include "internal.h"

enum {
	/* Unsent output: a peer that does not read gets no more (tls_conn.h).
	 */
	OUT_MAX = 256 * 1024,
	CHUNK = 16384,               /* one TLS record */
	CLEAR_CONNECT_US = 15000000, /* as long as a TLS handshake may take */
	SHUTDOWN_US = 10000000       /* a peer that does not read any more */
};

static void on_read(struct bufferevent *bev, void *arg);
static void on_write(struct bufferevent *bev, void *arg);
static void on_event(struct bufferevent *bev, short what, void *arg);
static void on_later(void *arg);

/* Frees all of a connection that nobody is inside of. */
static void
destroy(struct tls_conn *c)
{
	struct bufferevent *bev = c->bev;

	tls_conn_release(c);
	if (bev != NULL)
		bufferevent_free(bev);
}

/* Every entry from the loop is bracketed: the object stays until leave(). */
static int64_t
enter(struct tls_conn *c)
{
	c->holds++;
	return loop_enter(c->env->loop);
}

static void
leave(struct tls_conn *c, int64_t t0, const char *what)
{
	struct loop *l = c->env->loop;

	if (--c->holds == 0 && c->dead)
		destroy(c);
	loop_leave(l, t0, what);
}

/* Tells the owner; false if the connection is gone afterwards. */
static bool
emit(struct tls_conn *c, enum tls_event ev, int err)
{
	if (c->cb != NULL && !c->dead)
		c->cb(c, ev, err, c->arg);
	return !c->dead;
}

/* The end: last event, then the object goes. */
static void
finish(struct tls_conn *c, int err)
{
	if (c->ended || c->dead)
		return;
	c->ended = true;
	timer_stop(&c->deadline);
	loop_undefer(&c->later);
	if (c->bev != NULL) {
		/* RFC 8446 6.1: a close_notify is answered with one. */
		if (c->up && !c->shut && err == 0) {
			SSL_shutdown(c->ssl);
			tls_err_drop();
		}
		tls_hs_flush(c); /* that, or an alert */
		bufferevent_disable(c->bev, EV_READ | EV_WRITE);
	}
	c->v.phase = TLS_PH_CLOSED;
	log_debug(LOGC_TLS, c->v.id, "closed err=%d", err);
	if (emit(c, TLS_EV_CLOSED, err))
		tls_conn_free(c);
}

/* True once bytes may be exchanged. */
static bool
is_up(const struct tls_conn *c)
{
	return c->v.clear ? c->clear_up : c->up;
}

/* Sends what can be sent now; the rest waits for the socket. */
static void
push(struct tls_conn *c)
{
	if (tls_hs_flush(c)) {
		if (c->wr_err != 0 && !c->paused)
			return; /* the read side tells the end */
		if (c->wr_err != 0)
			bufferevent_enable(c->bev, EV_READ);
		return;
	}
	c->waiting = true;
	bufferevent_enable(c->bev, EV_WRITE);
}

/* Encrypts into the output buffer; that never blocks. */
static int
put(struct tls_conn *c, const uint8_t *p, size_t n)
{
	int k;

	if (c->v.clear)
		return evbuffer_add(bufferevent_get_output(c->bev), p, n) == 0
		    ? 0
		    : ENOMEM;
	c->used_us = clock_mono_us();
	while (n > 0) {
		tls_err_drop();
		k = SSL_write(c->ssl, p, n > CHUNK ? CHUNK : (int)n);
		if (k <= 0) {
			tls_err_drop();
			return E_CLOSED;
		}
		p += k;
		n -= (size_t)k;
	}
	return 0;
}

/* Where the socket is bound, for the record. */
static void
note_local(struct tls_conn *c)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);

	if (getsockname(
		bufferevent_getfd(c->bev), (struct sockaddr *)&ss, &n) == 0)
		ignore_err(
		    addr_from_sockaddr(&c->v.local, (struct sockaddr *)&ss, n),
		    "then the record has no local address");
}

/* The connection is usable: what was written early goes first. */
static bool
came_up(struct tls_conn *c)
{
	if (c->out.n > 0) {
		ignore_err(
		    put(c, c->out.p, c->out.n), "the read side tells the end");
		buf_clear(&c->out);
		buf_init(&c->out, OUT_MAX);
		push(c);
	}
	if (c->listen != NULL && !c->handed) {
		c->handed = true;
		tls_listen_up(c);
		return !c->dead;
	}
	return emit(c, TLS_EV_UP, 0);
}

/* What reading came to. */
enum read_end { READ_MORE, READ_EOF, READ_ERROR };

/* True while there is room for another chunk; else reading pauses. */
static bool
has_room(struct tls_conn *c)
{
	if (c->in.n + CHUNK <= c->in.max)
		return true;
	c->full = true;
	bufferevent_disable(c->bev, EV_READ);
	return false;
}

/* Moves decrypted bytes to the input. */
static enum read_end
read_tls(struct tls_conn *c, int *err)
{
	static uint8_t room[CHUNK]; /* one loop, one reader at a time */
	int k;

	while (has_room(c)) {
		tls_err_drop();
		k = SSL_read(c->ssl, room, sizeof(room));
		if (k > 0) {
			tls_hs_confirm(c);
			c->used_us = clock_mono_us();
			if ((*err = buf_add(&c->in, room, (size_t)k)) != 0)
				return READ_ERROR;
			continue;
		}
		switch (SSL_get_error(c->ssl, k)) {
		case SSL_ERROR_WANT_READ:
		case SSL_ERROR_WANT_WRITE:
			tls_err_drop();
			return READ_MORE;
		case SSL_ERROR_ZERO_RETURN:
			tls_err_drop();
			return READ_EOF;
		case SSL_ERROR_SYSCALL:
			tls_err_drop();
			*err = E_CLOSED; /* no close_notify */
			return READ_ERROR;
		default:
			tls_err_drop();
			*err = c->v.alert_rx >= 0 ? E_TLS_PEER_REFUSED
						  : E_TLS_HANDSHAKE;
			return READ_ERROR;
		}
	}
	return READ_MORE;
}

/* Moves bytes of a clear connection to the input. */
static enum read_end
read_clear(struct tls_conn *c, int *err)
{
	struct evbuffer *src = bufferevent_get_input(c->bev);
	static uint8_t room[CHUNK];
	int k;

	while (has_room(c) && (k = evbuffer_remove(src, room, CHUNK)) > 0) {
		if ((*err = buf_add(&c->in, room, (size_t)k)) != 0)
			return READ_ERROR;
	}
	return c->eof && !c->full ? READ_EOF : READ_MORE;
}

/* One step of the handshake; true when data may follow. */
static bool
pump_handshake(struct tls_conn *c, int sock_err)
{
	int err = tls_hs_step(c);

	if (err != 0)
		tls_hs_flush(c);
	if (err == EAGAIN && sock_err != 0)
		err = tls_hs_tcp_fail(c, sock_err);
	if (err != 0 && err != EAGAIN) {
		finish(c, err);
		return false;
	}
	/* What the owner says first leaves with the last flight. */
	if (err == 0 && !came_up(c))
		return false;
	push(c);
	return err == 0;
}

/* Handshake or data, whatever is due; `sock_err`: the socket is broken. */
static void
pump(struct tls_conn *c, int sock_err)
{
	enum read_end end;
	int err = 0;

	if (c->ended || c->dead || c->v.phase == TLS_PH_CONNECT)
		return;
	if (!is_up(c) && !pump_handshake(c, sock_err))
		return;
	end = c->v.clear ? read_clear(c, &err) : read_tls(c, &err);
	if (end == READ_MORE && sock_err != 0) {
		end = READ_ERROR;
		err = sock_err;
	}
	/* Judged before the owner hears of data: he may look. */
	if (end == READ_ERROR)
		err = tls_hs_late(c, err);
	if (c->in.n > 0 && !c->paused && !emit(c, TLS_EV_DATA, 0))
		return;
	if (c->in.n == 0 && c->in.cap > 0) {
		buf_clear(&c->in); /* idle connections are small */
		buf_init(&c->in, c->in.max);
	}
	/* All that was said has left: how the peer ends does not matter. */
	if (c->shut && c->v.class[0] == '\0' && tls_conn_unsent(c) == 0)
		err = 0;
	if (end == READ_MORE)
		return;
	tls_hs_idle(c);
	finish(c, end == READ_EOF ? 0 : err);
}

static void
on_read(struct bufferevent *bev, void *arg)
{
	struct tls_conn *c = arg;
	int64_t t0 = enter(c);

	(void)bev;
	pump(c, 0);
	leave(c, t0, "tls read");
}

static void
on_write(struct bufferevent *bev, void *arg)
{
	struct tls_conn *c = arg;
	int64_t t0 = enter(c);

	if (c->v.phase != TLS_PH_CONNECT &&
	    evbuffer_get_length(bufferevent_get_output(bev)) == 0) {
		/* Idle sockets are not watched for writing. */
		bufferevent_disable(bev, EV_WRITE);
		if (c->shut) {
			finish(c, 0);
		} else if (c->waiting && is_up(c)) {
			c->waiting = false;
			emit(c, TLS_EV_DRAINED, 0);
		}
	}
	leave(c, t0, "tls write");
}

/* TCP is connected: begin. */
static void
on_connected(struct tls_conn *c)
{
	int err;

	bufferevent_disable(c->bev, EV_WRITE);
	bufferevent_enable(c->bev, c->paused ? 0 : EV_READ);
	note_local(c);
	if ((err = tls_hs_begin(c)) != 0) {
		tls_explain(&c->v, "hs.internal", "cannot be talked to: %s",
		    err_str(err));
		tls_hs_fail(c, err);
		finish(c, err);
		return;
	}
	if (!c->v.clear) {
		pump(c, 0);
		return;
	}
	timer_stop(&c->deadline);
	c->clear_up = true;
	c->v.ok = true;
	if (came_up(c))
		pump(c, 0);
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	struct tls_conn *c = arg;
	int e = EVUTIL_SOCKET_ERROR();
	int64_t t0 = enter(c);

	(void)bev;
	if ((what & BEV_EVENT_CONNECTED) != 0) {
		on_connected(c);
	} else if (c->v.phase == TLS_PH_CONNECT) {
		finish(c, tls_hs_tcp_fail(c, e != 0 ? e : ECONNREFUSED));
	} else if ((what & BEV_EVENT_EOF) != 0) {
		c->eof = true;
		pump(c, 0);
	} else if ((what & BEV_EVENT_ERROR) != 0) {
		pump(c, e != 0 ? e : ECONNRESET);
	}
	leave(c, t0, "tls event");
}

/* Something that had to wait until control was back in the loop. */
static void
on_later(void *arg)
{
	struct tls_conn *c = arg;
	int64_t t0 = enter(c);

	int err = 0;

	if (c->again) {
		c->again = false;
		err = tls_hs_again(c);
	}
	if (err != 0)
		finish(c, err);
	else if (c->v.phase == TLS_PH_CONNECT && c->end_err != 0)
		finish(c, tls_hs_tcp_fail(c, c->end_err));
	else if (c->shut)
		finish(c, 0);
	else
		pump(c, 0);
	leave(c, t0, "tls later");
}

/* Time is up: for the handshake, or for a peer that does not read. */
static void
on_deadline(void *arg)
{
	struct tls_conn *c = arg;
	int64_t t0;

	if (c->flt != NULL) {
		tls_bev_expired(c);
		return;
	}
	t0 = enter(c);
	finish(c, c->shut ? E_CLOSED : tls_hs_timeout(c));
	leave(c, t0, "tls deadline");
}

int
tls_conn_arm(struct tls_conn *c)
{
	int64_t us = c->v.clear ? CLEAR_CONNECT_US
				: (int64_t)c->v.policy.handshake_ms * 1000;

	return timer_start(&c->deadline, c->env->loop, us, on_deadline, c);
}

void
tls_sock_set_dscp(int fd, int family, int dscp)
{
	int tos = dscp << 2;

	if (dscp <= 0 || dscp > 63)
		return;
	ignore_err(family == AF_INET6
		? setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof(tos))
		: setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof(tos)),
	    "marking is best effort");
}

/* How long the peer may leave our bytes unacknowledged. */
static void
set_lost(int fd, unsigned int ms)
{
	if (ms > 0)
		ignore_err(setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms,
			       sizeof(ms)),
		    "the system has a limit of its own");
}

/* One write per flight: never wait for more to send. */
void
tls_conn_nodelay(int fd)
{
	int one = 1;

	ignore_err(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)),
	    "slower, not wrong");
}

/* Makes the socket and starts connecting; *later: an error to be told from
 * the loop. */
static int
socket_open(const struct tls_conn_conf *conf, int *out, int *later)
{
	int family = conf->remote.u.sa.sa_family;
	int fd, err;

	fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno;
	tls_conn_nodelay(fd);
	tls_sock_set_dscp(fd, family, conf->dscp);
	set_lost(fd, conf->lost_ms);
	if (conf->local != NULL && addr_is_set(conf->local) &&
	    bind(fd, &conf->local->u.sa, addr_len(conf->local)) != 0) {
		err = errno;
		close(fd);
		return err;
	}
	*later = 0;
	if (connect(fd, &conf->remote.u.sa, addr_len(&conf->remote)) != 0 &&
	    errno != EINPROGRESS)
		*later = errno;
	*out = fd;
	return 0;
}

/* Fills the record with what the caller knows. */
void
tls_conn_fill(struct tls_conn *c, const struct tls_conn_conf *conf)
{
	const char *host = conf->host;

	if (host == NULL && conf->policy != NULL)
		host = conf->policy->name;
	ignore_err(
	    str_copy(c->v.host, sizeof(c->v.host), host != NULL ? host : ""),
	    "a long name is cut for display");
	c->v.remote = conf->remote;
	c->v.dns_us = conf->dns_us;
	c->cb = conf->cb;
	c->arg = conf->arg;
}

/* Puts a socket under a connection. */
static int
attach(struct tls_conn *c, int fd)
{
	c->bev = bufferevent_socket_new(
	    loop_base(c->env->loop), fd, BEV_OPT_CLOSE_ON_FREE);
	if (c->bev == NULL)
		return ENOMEM;
	bufferevent_setcb(c->bev, on_read, on_write, on_event, c);
	bufferevent_disable(c->bev, EV_READ | EV_WRITE);
	return 0;
}

int
tls_conn_connect(
    struct tls_conn **out, struct tls_env *e, const struct tls_conn_conf *conf)
{
	struct tls_conn *c;
	int fd = -1, err;

	if (!addr_is_set(&conf->remote))
		return EINVAL;
	if ((err = tls_conn_alloc(&c, e, conf->policy, TLS_CLIENT)) != 0)
		return err;
	tls_conn_fill(c, conf);
	if (!c->v.clear && (err = tls_ctx_ssl(c, conf->alpn)) != 0)
		goto out;
	if ((err = socket_open(conf, &fd, &c->end_err)) != 0)
		goto out;
	if ((err = attach(c, fd)) != 0) {
		close(fd);
		goto out;
	}
	if (c->end_err == 0)
		note_local(c);
	if ((err = tls_conn_arm(c)) != 0)
		goto out;
	if (c->end_err != 0)
		loop_defer(e->loop, &c->later, on_later, c);
	else if (bufferevent_socket_connect(c->bev, NULL, 0) != 0)
		err = ENOMEM;
out:
	if (err != 0) {
		destroy(c);
		return err;
	}
	*out = c;
	return 0;
}

int
tls_conn_accept(struct tls_conn **out, struct tls_env *e,
    const struct tls_policy *policy, int fd, const struct addr *remote)
{
	struct tls_conn *c;
	int err;

	if ((err = tls_conn_alloc(&c, e, policy, TLS_SERVER)) != 0) {
		close(fd);
		return err;
	}
	c->v.remote = *remote;
	if ((err = attach(c, fd)) != 0) {
		close(fd);
		destroy(c);
		return err;
	}
	tls_conn_nodelay(fd);
	note_local(c);
	if ((err = tls_hs_begin(c)) != 0 || (err = tls_conn_arm(c)) != 0) {
		destroy(c); /* closes the descriptor too */
		return err;
	}
	*out = c;
	return 0;
}

void
tls_conn_begin_accept(struct tls_conn *c)
{
	int64_t t0 = enter(c);

	bufferevent_enable(c->bev, EV_READ);
	if (c->v.clear) {
		timer_stop(&c->deadline);
		c->clear_up = true;
		c->v.ok = true;
		came_up(c);
	}
	leave(c, t0, "tls accept");
}

void
tls_conn_signed(struct tls_conn *c)
{
	int64_t t0 = enter(c);

	pump(c, 0);
	leave(c, t0, "tls signed");
}

void
tls_conn_kill(struct tls_conn *c)
{
	int64_t t0 = enter(c);

	finish(c, tls_hs_timeout(c));
	leave(c, t0, "tls kill");
}

void
tls_conn_again(struct tls_conn *c)
{
	c->again = true;
	loop_defer(c->env->loop, &c->later, on_later, c);
}

void
tls_conn_set_cb(struct tls_conn *c, tls_conn_cb *cb, void *arg)
{
	c->cb = cb;
	c->arg = arg;
	/* Data that came before the owner did. */
	if (cb != NULL && c->in.n > 0 && !c->ended && c->flt == NULL)
		loop_defer(c->env->loop, &c->later, on_later, c);
}

void
tls_conn_free(struct tls_conn *c)
{
	if (c == NULL || c->dead)
		return;
	c->cb = NULL;
	if (c->flt != NULL)
		return; /* the filter owns it */
	c->dead = true;
	timer_stop(&c->deadline);
	loop_undefer(&c->later);
	if (c->up && !c->ended && !c->shut) {
		SSL_shutdown(c->ssl); /* close_notify, if it fits */
		tls_err_drop();
		tls_hs_flush(c);
	} else if (c->bev != NULL && !c->ended && is_up(c)) {
		tls_hs_flush(c);
	}
	if (c->bev != NULL) {
		bufferevent_setcb(c->bev, NULL, NULL, NULL, NULL);
		bufferevent_disable(c->bev, EV_READ | EV_WRITE);
	}
	if (c->holds == 0)
		destroy(c);
}

void
tls_conn_shutdown(struct tls_conn *c)
{
	if (c->flt != NULL)
		tls_bev_bye(c);
	if (c->ended || c->dead || c->shut || c->flt != NULL)
		return;
	c->shut = true;
	if (c->up) {
		SSL_shutdown(c->ssl);
		tls_err_drop();
	}
	if (!is_up(c) || tls_hs_flush(c)) {
		loop_defer(c->env->loop, &c->later, on_later, c);
		return;
	}
	bufferevent_enable(c->bev, EV_WRITE);
	if (timer_start(
		&c->deadline, c->env->loop, SHUTDOWN_US, on_deadline, c) != 0)
		loop_defer(c->env->loop, &c->later, on_later, c);
}

int
tls_conn_write(struct tls_conn *c, const void *p, size_t n)
{
	int err;

	if (c->ended || c->dead || c->shut || c->wr_err != 0 || c->flt != NULL)
		return E_CLOSED;
	if (n > OUT_MAX || tls_conn_unsent(c) > OUT_MAX - n)
		return E_LIMIT;
	if (n == 0)
		return 0;
	if (!is_up(c))
		return buf_add(&c->out, p, n);
	if ((err = put(c, p, n)) != 0)
		return err;
	push(c);
	return c->wr_err == 0 ? 0 : E_CLOSED;
}

size_t
tls_conn_unsent(const struct tls_conn *c)
{
	return c->out.n + evbuffer_get_length(bufferevent_get_output(c->bev));
}

struct slice
tls_conn_peek(struct tls_conn *c)
{
	return (struct slice){ buf_str(&c->in), c->in.n };
}

void
tls_conn_drain(struct tls_conn *c, size_t n)
{
	buf_drain(&c->in, n);
	if (!c->full || c->in.n > c->in.max / 2 || c->ended || c->dead)
		return;
	c->full = false;
	if (!c->paused)
		bufferevent_enable(c->bev, EV_READ);
	loop_defer(c->env->loop, &c->later, on_later, c);
}

void
tls_conn_read_pause(struct tls_conn *c, bool pause)
{
	if (c->ended || c->dead || c->flt != NULL || pause == c->paused)
		return;
	c->paused = pause;
	if (c->v.phase == TLS_PH_CONNECT)
		return;
	if (pause && is_up(c)) {
		bufferevent_disable(c->bev, EV_READ);
	} else if (!pause && !c->full) {
		bufferevent_enable(c->bev, EV_READ);
		loop_defer(c->env->loop, &c->later, on_later, c);
	}
}

const struct tls_verdict *
tls_conn_verdict(const struct tls_conn *c)
{
	return &c->v;
}

bool
tls_conn_is_tls(const struct tls_conn *c)
{
	return !c->v.clear;
}

void
tls_conn_remote(const struct tls_conn *c, struct addr *out)
{
	*out = c->v.remote;
}

void
tls_conn_local(const struct tls_conn *c, struct addr *out)
{
	*out = c->v.local;
}

/* The certificate of a verified peer, to be freed; NULL if there is none. */
static X509 *
peer_leaf(const struct tls_conn *c)
{
	const STACK_OF(CRYPTO_BUFFER) * bufs;

	if (c->ssl == NULL || !c->up || !c->v.peer_verified)
		return NULL;
	bufs = SSL_get0_peer_certificates(c->ssl);
	if (sk_CRYPTO_BUFFER_num(bufs) == 0)
		return NULL;
	return tls_x509_of(sk_CRYPTO_BUFFER_value(bufs, 0));
}

int
tls_conn_peer_cn(const struct tls_conn *c, char *out, size_t size)
{
	X509 *x = peer_leaf(c);
	int err = E_TLS_CERT;

	if (x != NULL && tls_x509_cn(x, out, size) == 0)
		err = 0;
	X509_free(x);
	return err;
}

bool
tls_conn_peer_has_name(const struct tls_conn *c, const char *name)
{
	X509 *x = peer_leaf(c);
	bool has = x != NULL && tls_peer_has_name(x, name);

	X509_free(x);
	return has;
}

uint64_t
tls_conn_id(const struct tls_conn *c)
{
	return c->v.id;
}
