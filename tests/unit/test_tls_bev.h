/* SPDX-License-Identifier: ISC */
/* A client and a server of evhttp over the filter, in fake time over loopback.
 * Include after cmocka.h. */
#ifndef BELLBIRD_TESTS_TEST_TLS_BEV_H
#define BELLBIRD_TESTS_TEST_TLS_BEV_H

#include <poll.h>
#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/http_struct.h>

#include "test_tls.h"

#define FAKE_WALL 1800000000 /* 2027 */
/* More than a socket, a filter and a TLS record hold together. */
#define LARGE     ((size_t)3 << 20)

struct end {
	struct tls_env *env;
	struct tls_policy policy;
	struct tls_verdict v; /* the last that was told */
	size_t told, ups, closed;
	int err; /* of the last end */
};

static UNUSED struct loop *loop;
static UNUSED struct end srv, cli;
static UNUSED struct evhttp *http;
static UNUSED struct addr where;

/* The client's request. */
static UNUSED struct {
	struct evhttp_connection *conn;
	struct bufferevent *bev;
	struct buf body;
	size_t done, errors;
	int status;
} ask;
static UNUSED struct buf heard; /* the body of the last request */
static UNUSED char peer[64];    /* the CN of who sent it */
static UNUSED size_t answer_size;
static UNUSED bool stalls; /* the client stops reading before the answer */

static UNUSED void
drop_line(enum log_level lv, enum log_cat cat, uint64_t id, const char *line,
    void *arg)
{
	(void)lv;
	(void)cat;
	(void)id;
	(void)line;
	(void)arg;
}

static UNUSED int
group_setup(void **state)
{
	(void)state;
	scratch_open();
	clock_fake(FAKE_WALL);
	ca("ca", "Test CA");
	ca("other", "Other CA");
	folder("trusted");
	JOIN("trusted/ca.pem", "ca/ca.pem");
	folder("empty");
	folder("id");
	folder("foreign-id");
	mint("ca", TLS_MINT_SERVER, "localhost", "DNS:localhost,IP:127.0.0.1",
	    "server.pem");
	mint("ca", TLS_MINT_DEVICE, MAC, NULL, "id/device.pem");
	mint("other", TLS_MINT_DEVICE, MAC, NULL, "foreign-id/device.pem");
	return 0;
}

static UNUSED int
group_teardown(void **state)
{
	(void)state;
	clock_real();
	scratch_close();
	return 0;
}

/* ---- both ends ---- */

static UNUSED void
on_verdict(const struct tls_verdict *v, void *arg)
{
	struct end *e = arg;

	e->v = *v;
	e->told++;
}

static UNUSED void
on_tls(struct tls_conn *c, enum tls_event ev, int err, void *arg)
{
	struct end *e = arg;

	assert_non_null(tls_conn_verdict(c));
	if (ev == TLS_EV_UP) {
		assert_true(tls_conn_verdict(c)->ok);
		e->ups++;
	} else {
		assert_int_equal(ev, TLS_EV_CLOSED);
		e->closed++;
		e->err = err;
	}
}

static UNUSED struct bufferevent *
on_bev(struct event_base *base, void *arg)
{
	struct bufferevent *bev;

	(void)base;
	(void)arg;
	assert_int_equal(
	    tls_bev_server(&bev, srv.env, &srv.policy, on_tls, &srv), 0);
	return bev;
}

/* Adds `size` bytes whose place can be told, a multiple of 1 KiB. */
static UNUSED void
large_add(struct evbuffer *b, size_t size)
{
	uint32_t block[256];

	for (uint32_t i = 0; i < size / 4; i += LEN(block)) {
		for (uint32_t k = 0; k < LEN(block); k++)
			block[k] = (i + k) * UINT32_C(2654435761);
		assert_int_equal(evbuffer_add(b, block, sizeof(block)), 0);
	}
}

static UNUSED void
large_check(const struct buf *b, size_t size)
{
	uint32_t word;

	assert_int_equal(b->n, size);
	for (uint32_t i = 0; i < size / 4; i++) {
		memcpy(&word, b->p + (size_t)i * 4, 4);
		assert_int_equal(word, i * UINT32_C(2654435761));
	}
}

static UNUSED void
body_take(struct evhttp_request *req, struct buf *out)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(req);
	size_t n = evbuffer_get_length(in);

	buf_reset(out);
	assert_int_equal(
	    buf_add(out, evbuffer_pullup(in, (ev_ssize_t)n), n), 0);
}

/* evhttp is about to close. */
static UNUSED void
on_close(struct evhttp_connection *ec, void *arg)
{
	struct end *e = arg;
	struct tls_conn *c = NULL;

	if (e->env != NULL)
		c = tls_bev_conn(e->env, evhttp_connection_get_bufferevent(ec));
	if (c != NULL)
		tls_conn_shutdown(c);
}

static UNUSED void
on_request(struct evhttp_request *req, void *arg)
{
	struct evbuffer *b = evbuffer_new();
	struct tls_conn *c = tls_bev_conn(srv.env,
	    evhttp_connection_get_bufferevent(
		evhttp_request_get_connection(req)));

	(void)arg;
	assert_non_null(c);
	evhttp_connection_set_closecb(
	    evhttp_request_get_connection(req), on_close, &srv);
	if (tls_conn_peer_cn(c, peer, sizeof(peer)) != 0)
		(void)snprintf(peer, sizeof(peer), "nobody");
	body_take(req, &heard);
	if (stalls) {
		int few = 8192; /* what the kernel takes at once */

		bufferevent_disable(ask.bev, EV_READ);
		assert_int_equal(setsockopt(bufferevent_getfd(c->bev),
				     SOL_SOCKET, SO_SNDBUF, &few, sizeof(few)),
		    0);
	}
	if (strcmp(evhttp_request_get_uri(req), "/large") == 0)
		large_add(b, answer_size);
	else
		assert_true(evbuffer_add_printf(b, "hello %s", peer) > 0);
	evhttp_send_reply(req, 200, "OK", b);
	evbuffer_free(b);
}

static UNUSED void
end_open(struct end *e, const char *id, const char *server)
{
	struct tls_env_conf c = { .builtin_file = "",
		.trusted_dir = at("trusted"),
		.identity_dir = at(id),
		.server_file = server != NULL ? at(server) : NULL };

	memset(e, 0, sizeof(*e));
	assert_int_equal(tls_env_new(&e->env, loop, &c), 0);
	tls_env_on_verdict(e->env, on_verdict, e);
}

static UNUSED void
policies(const char *name, bool demand, uint16_t max)
{
	struct tls_settings s;

	settings(&s, TLS_USE_PROV);
	s.max = max;
	decide(&cli.policy, TLS_USE_PROV, TLS_CLIENT, name, &s);
	s.max = TLS_V13;
	s.require_client = demand;
	decide(&srv.policy, TLS_USE_WEB, TLS_SERVER, NULL, &s);
}

static UNUSED void
world_open(const char *id)
{
	clock_fake(FAKE_WALL);
	assert_int_equal(loop_new(&loop), 0);
	log_set_sink(drop_line, NULL);
	end_open(&srv, "empty", "server.pem");
	end_open(&cli, id, NULL);
	policies("localhost", true, TLS_V13);
	memset(&ask, 0, sizeof(ask));
	buf_init(&ask.body, 2 * LARGE);
	buf_init(&heard, 2 * LARGE);
	peer[0] = '\0';
	answer_size = LARGE;
	http = NULL;
}

/* A socket on loopback; `where` is its address. */
static UNUSED int
bound_fd(void)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);
	int fd;

	assert_int_equal(addr_parse(&where, slice_of("127.0.0.1"), 0), 0);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(fd, &where.u.sa, addr_len(&where)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &n), 0);
	assert_int_equal(
	    addr_from_sockaddr(&where, (struct sockaddr *)&ss, n), 0);
	return fd;
}

static UNUSED int
listen_fd(void)
{
	int fd = bound_fd();

	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static UNUSED void
serve(void)
{
	http = evhttp_new(loop_base(loop));
	assert_non_null(http);
	evhttp_set_bevcb(http, on_bev, NULL);
	evhttp_set_gencb(http, on_request, NULL);
	assert_int_equal(evhttp_accept_socket(http, listen_fd()), 0);
}

static UNUSED void
settle(bool (*done)(void))
{
	for (int i = 0; i < 5000; i++) {
		if (done())
			return;
		loop_fake_run(loop, 0);
		if (i > 20) /* the kernel needs a moment */
			(void)poll(NULL, 0, 1);
	}
	fail_msg("nothing came: done=%zu client=%zu server=%zu", ask.done,
	    cli.told, srv.told);
}

/* libevent frees filters a turn later. */
static UNUSED void
rounds(void)
{
	for (int i = 0; i < 5; i++)
		loop_fake_run(loop, 0);
}

static UNUSED void
hang_up(void)
{
	struct tls_conn *c = tls_bev_conn(cli.env, ask.bev);

	if (c != NULL)
		tls_conn_shutdown(c);
	if (ask.conn != NULL)
		evhttp_connection_free(ask.conn);
	ask.conn = NULL;
	ask.bev = NULL;
	rounds();
}

static UNUSED void
world_end(void)
{
	assert_true(LIST_EMPTY(&cli.env->conns));
	tls_env_free(srv.env);
	tls_env_free(cli.env);
	loop_free(loop);
	buf_clear(&ask.body);
	buf_clear(&heard);
	log_set_sink(NULL, NULL);
}

static UNUSED void
world_close(void)
{
	hang_up();
	if (http != NULL)
		evhttp_free(http);
	rounds();
	assert_int_equal(cli.ups + srv.ups > 0 || cli.told > 0, 1);
	assert_true(LIST_EMPTY(&srv.env->conns));
	world_end();
}

/* ---- a client ---- */

static UNUSED void
on_answer(struct evhttp_request *req, void *arg)
{
	(void)arg;
	ask.done++;
	ask.status = req != NULL ? evhttp_request_get_response_code(req) : 0;
	if (ask.status != 0)
		body_take(req, &ask.body);
}

static UNUSED void
on_error(enum evhttp_request_error e, void *arg)
{
	(void)e;
	(void)arg;
	ask.errors++;
}

static UNUSED void
dial(void)
{
	struct tls_conn_conf c = { .policy = &cli.policy,
		.remote = where,
		.host = "localhost",
		.dns_us = -1,
		.cb = on_tls,
		.arg = &cli };

	assert_int_equal(tls_bev_client(&ask.bev, cli.env, &c), 0);
	ask.conn = evhttp_connection_base_bufferevent_new(
	    loop_base(loop), NULL, ask.bev, "127.0.0.1", addr_port(&where));
	assert_non_null(ask.conn);
	evhttp_connection_set_retries(ask.conn, 0);
	evhttp_connection_set_closecb(ask.conn, on_close, &cli);
}

static UNUSED void
request(enum evhttp_cmd_type cmd, const char *path, bool close_after)
{
	struct evhttp_request *req = evhttp_request_new(on_answer, NULL);
	struct evkeyvalq *h = evhttp_request_get_output_headers(req);

	evhttp_request_set_error_cb(req, on_error);
	assert_int_equal(evhttp_add_header(h, "Host", "localhost"), 0);
	if (close_after)
		assert_int_equal(
		    evhttp_add_header(h, "Connection", "close"), 0);
	if (cmd == EVHTTP_REQ_POST)
		large_add(evhttp_request_get_output_buffer(req), LARGE);
	ask.done = 0;
	ask.status = 0;
	assert_int_equal(evhttp_make_request(ask.conn, req, cmd, path), 0);
	/* evhttp reads nothing while it connects: without this the end of the
	 * connection in the handshake would go unheard. */
	bufferevent_enable(ask.bev, EV_READ);
}

static UNUSED bool
is_done(void)
{
	return ask.done > 0;
}

static UNUSED bool
cli_told(void)
{
	return cli.told > 0;
}

static UNUSED bool
has_heard(void)
{
	return peer[0] != '\0';
}

#endif
