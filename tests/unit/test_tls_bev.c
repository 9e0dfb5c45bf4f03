/* SPDX-License-Identifier: ISC */
/* The face for evhttp: requests over the filter, large bodies both ways, and
 * failures that evhttp alone could not explain. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

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

static struct loop *loop;
static struct end srv, cli;
static struct evhttp *http;
static struct addr where;

/* The client's request. */
static struct {
	struct evhttp_connection *conn;
	struct bufferevent *bev;
	struct buf body;
	size_t done, errors;
	int status;
} ask;
static struct buf heard; /* the body of the last request */
static char peer[64];    /* the CN of who sent it */
static size_t answer_size;
static bool stalls; /* the client stops reading before the answer */

static void
drop_line(enum log_level lv, enum log_cat cat, uint64_t id, const char *line,
    void *arg)
{
	(void)lv;
	(void)cat;
	(void)id;
	(void)line;
	(void)arg;
}

static int
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

static int
group_teardown(void **state)
{
	(void)state;
	clock_real();
	scratch_close();
	return 0;
}

/* ---- both ends ---- */

static void
on_verdict(const struct tls_verdict *v, void *arg)
{
	struct end *e = arg;

	e->v = *v;
	e->told++;
}

static void
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

static struct bufferevent *
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
static void
large_add(struct evbuffer *b, size_t size)
{
	uint32_t block[256];

	for (uint32_t i = 0; i < size / 4; i += LEN(block)) {
		for (uint32_t k = 0; k < LEN(block); k++)
			block[k] = (i + k) * UINT32_C(2654435761);
		assert_int_equal(evbuffer_add(b, block, sizeof(block)), 0);
	}
}

static void
large_check(const struct buf *b, size_t size)
{
	uint32_t word;

	assert_int_equal(b->n, size);
	for (uint32_t i = 0; i < size / 4; i++) {
		memcpy(&word, b->p + (size_t)i * 4, 4);
		assert_int_equal(word, i * UINT32_C(2654435761));
	}
}

static void
body_take(struct evhttp_request *req, struct buf *out)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(req);
	size_t n = evbuffer_get_length(in);

	buf_reset(out);
	assert_int_equal(
	    buf_add(out, evbuffer_pullup(in, (ev_ssize_t)n), n), 0);
}

/* evhttp is about to close. */
static void
on_close(struct evhttp_connection *ec, void *arg)
{
	struct end *e = arg;
	struct tls_conn *c =
	    tls_bev_conn(e->env, evhttp_connection_get_bufferevent(ec));

	if (c != NULL)
		tls_conn_shutdown(c);
}

static void
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

static void
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

static void
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

static void
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
static int
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

static int
listen_fd(void)
{
	int fd = bound_fd();

	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static void
serve(void)
{
	http = evhttp_new(loop_base(loop));
	assert_non_null(http);
	evhttp_set_bevcb(http, on_bev, NULL);
	evhttp_set_gencb(http, on_request, NULL);
	assert_int_equal(evhttp_accept_socket(http, listen_fd()), 0);
}

static void
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
static void
rounds(void)
{
	for (int i = 0; i < 5; i++)
		loop_fake_run(loop, 0);
}

static void
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

static void
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

static void
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

static void
on_answer(struct evhttp_request *req, void *arg)
{
	(void)arg;
	ask.done++;
	ask.status = req != NULL ? evhttp_request_get_response_code(req) : 0;
	if (ask.status != 0)
		body_take(req, &ask.body);
}

static void
on_error(enum evhttp_request_error e, void *arg)
{
	(void)e;
	(void)arg;
	ask.errors++;
}

static void
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

static void
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

static bool
is_done(void)
{
	return ask.done > 0;
}

static bool
cli_told(void)
{
	return cli.told > 0;
}

/* ---- what holds ---- */

static void
a_small_get_goes_both_ways(void **state)
{
	static const struct {
		const char *why;
		uint16_t max;
		bool demand, close_after;
		const char *peer;
	} v[] = {
		{ "TLS 1.3, mutual", TLS_V13, true, true, MAC },
		{ "TLS 1.2, mutual", TLS_V12, true, true, MAC },
		{ "not asked: web asks nobody", TLS_V13, false, true,
		    "nobody" },
		{ "kept alive", TLS_V13, true, false, MAC },
		{ "kept alive, TLS 1.2", TLS_V12, true, false, MAC },
	};
	struct tls_conn *c;

	(void)state;
	for (size_t i = 0; i < LEN(v); i++) {
		print_message("%s\n", v[i].why);
		world_open("id");
		policies("localhost", v[i].demand, v[i].max);
		serve();
		dial();
		c = tls_bev_conn(cli.env, ask.bev);
		assert_non_null(c);
		assert_null(tls_bev_conn(cli.env, NULL));
		assert_null(tls_bev_conn(srv.env, ask.bev));
		request(EVHTTP_REQ_GET, "/", v[i].close_after);
		settle(is_done);
		assert_int_equal(ask.status, 200);
		assert_memory_equal(ask.body.p, "hello ", 6);
		assert_string_equal(buf_str(&ask.body) + 6, v[i].peer);
		assert_int_equal(cli.ups, 1);
		assert_int_equal(srv.ups, 1);
		assert_true(cli.v.ok && cli.v.peer_verified);
		assert_true(srv.v.ok);
		assert_int_equal(srv.v.peer_verified, v[i].demand);
		assert_int_equal(cli.v.client_asked, v[i].demand);
		assert_int_equal(cli.v.version, v[i].max);
		assert_string_equal(cli.v.matched, "DNS:localhost");
		assert_int_equal(
		    cli.v.shown, v[i].demand ? TLS_ID_FACTORY : TLS_ID_NONE);
		assert_int_equal(addr_port(&cli.v.remote), addr_port(&where));
		assert_true(cli.v.tcp_us >= 0 && cli.v.tls_us >= 0);
		hang_up();
		assert_int_equal(cli.closed, 1);
		assert_int_equal(cli.err, 0);
		world_close();
		assert_int_equal(srv.closed, 1);
	}
}

static void
a_connection_carries_many_requests(void **state)
{
	(void)state;
	world_open("id");
	serve();
	dial();
	for (int i = 0; i < 30; i++) {
		request(EVHTTP_REQ_GET, "/", false);
		settle(is_done);
		assert_int_equal(ask.status, 200);
	}
	assert_int_equal(cli.ups, 1);
	assert_int_equal(srv.ups, 1);
	world_close();
}

/* GAP-2: evhttp closes when all was handed over; nothing may be cut. */
static void
large_bodies_arrive_whole_both_ways(void **state)
{
	static const uint16_t max[] = { TLS_V13, TLS_V12 };

	(void)state;
	for (size_t i = 0; i < LEN(max); i++) {
		print_message("%s\n", tls_version_name(max[i]));
		world_open("id");
		policies("localhost", true, max[i]);
		serve();
		dial();
		request(EVHTTP_REQ_POST, "/large", true);
		settle(is_done);
		assert_int_equal(ask.status, 200);
		large_check(&heard, LARGE);
		large_check(&ask.body, LARGE);
		world_close();
	}
}

static bool
has_heard(void)
{
	return peer[0] != '\0';
}

/* Reads late: the server has closed by then as far as evhttp knows. */
static void
read_late(size_t size)
{
	answer_size = size;
	peer[0] = '\0';
	dial();
	stalls = true;
	request(EVHTTP_REQ_GET, "/large", true);
	settle(has_heard);
	for (int i = 0; i < 3; i++)
		loop_fake_run(loop, 0);
	assert_int_equal(ask.done, 0);
	stalls = false;
	bufferevent_enable(ask.bev, EV_READ);
	settle(is_done);
	assert_int_equal(ask.status, 200);
	large_check(&ask.body, size);
	hang_up();
}

/* Around what the kernel holds each size is tried, so that for some only the
 * tail has no room. */
static void
a_slow_reader_gets_the_whole_answer(void **state)
{
	(void)state;
	world_open("id");
	serve();
	for (size_t kib = 8; kib < 160; kib++)
		read_late(kib * 1024);
	read_late(LARGE);
	world_close();
}

static void
the_filter_resumes_and_judges_again(void **state)
{
	static const uint16_t max[] = { TLS_V13, TLS_V12 };

	(void)state;
	for (size_t i = 0; i < LEN(max); i++) {
		print_message("%s\n", tls_version_name(max[i]));
		world_open("id");
		policies("localhost", true, max[i]);
		serve();
		for (int k = 0; k < 2; k++) {
			dial();
			request(EVHTTP_REQ_GET, "/", true);
			settle(is_done);
			assert_string_equal(buf_str(&ask.body), "hello " MAC);
			hang_up();
			assert_int_equal(cli.v.resumed, k == 1);
			assert_int_equal(srv.v.resumed, k == 1);
			assert_true(cli.v.peer_verified && srv.v.peer_verified);
		}
		world_close();
	}
}

/* ---- what fails ---- */

static void
failures_have_the_class_of_the_record(void **state)
{
	static const struct {
		const char *why, *id, *name;
		uint16_t max;
		const char *cclass, *sclass;
		int err;
	} v[] = {
		{ "another name", "id", "other.example", TLS_V13,
		    "cert.name_mismatch", "hs.refused", E_TLS_CERT },
		{ "another name, TLS 1.2", "id", "other.example", TLS_V12,
		    "cert.name_mismatch", "hs.refused", E_TLS_CERT },
		{ "nothing to show", "empty", "localhost", TLS_V13,
		    "mtls.required_none", "mtls.required_none",
		    E_TLS_PEER_REFUSED },
		{ "nothing to show, TLS 1.2", "empty", "localhost", TLS_V12,
		    "mtls.required_none", "mtls.required_none",
		    E_TLS_PEER_REFUSED },
		{ "a CA the server does not know", "foreign-id", "localhost",
		    TLS_V13, "mtls.rejected_ca", "cert.unknown_root",
		    E_TLS_PEER_REFUSED },
		{ "the same, TLS 1.2", "foreign-id", "localhost", TLS_V12,
		    "mtls.rejected_ca", "cert.unknown_root",
		    E_TLS_PEER_REFUSED },
	};

	(void)state;
	for (size_t i = 0; i < LEN(v); i++) {
		print_message("%s\n", v[i].why);
		world_open(v[i].id);
		policies(v[i].name, true, v[i].max);
		serve();
		dial();
		request(EVHTTP_REQ_GET, "/", true);
		settle(is_done);
		assert_int_equal(ask.status, 0);
		assert_int_equal(ask.errors, 1);
		assert_int_equal(heard.n, 0);
		assert_string_equal(peer, ""); /* no request was served */
		assert_string_equal(cli.v.class, v[i].cclass);
		assert_false(cli.v.ok);
		assert_int_equal(cli.v.err, v[i].err);
		hang_up();
		assert_int_equal(cli.err, v[i].err);
		assert_string_equal(srv.v.class, v[i].sclass);
		world_close();
	}
}

struct bare {
	struct io io;
	int fd, conn;
	const char *say;
	bool shuts;
};

static void
on_bare(int fd, int what, void *arg)
{
	struct bare *b = arg;

	(void)what;
	b->conn = accept(fd, NULL, NULL);
	assert_true(b->conn >= 0);
	assert_int_equal(send(b->conn, b->say, strlen(b->say), MSG_NOSIGNAL),
	    strlen(b->say));
	if (b->shuts)
		assert_int_equal(shutdown(b->conn, SHUT_WR), 0);
}

static void
bare_open(struct bare *b)
{
	b->conn = -1;
	b->fd = listen_fd();
	assert_int_equal(io_start(&b->io, loop, b->fd, IO_READ, on_bare, b), 0);
}

static void
bare_close(struct bare *b)
{
	io_stop(&b->io);
	close(b->fd);
	if (b->conn >= 0)
		close(b->conn);
}

static void
peers_that_speak_no_tls_are_explained(void **state)
{
	static const struct {
		const char *why, *say;
		bool shuts;
		const char *class, *word;
	} v[] = {
		{ "clear HTTP",
		    "HTTP/1.1 400 The plain HTTP request was sent to\r\n\r\n",
		    false, "hs.plaintext", "HTTP/1.1 400 The plain" },
		{ "the end at once", "", true, "tcp.closed_in_hs",
		    "without a word" },
		{ "the end in a record", "\x16\x03\x03", true,
		    "tcp.closed_in_hs", "closed the connection" },
	};
	struct bare b;

	(void)state;
	for (size_t i = 0; i < LEN(v); i++) {
		print_message("%s\n", v[i].why);
		world_open("id");
		b = (struct bare){ .say = v[i].say, .shuts = v[i].shuts };
		bare_open(&b);
		dial();
		request(EVHTTP_REQ_GET, "/", true);
		settle(is_done);
		assert_int_equal(ask.status, 0);
		assert_string_equal(cli.v.class, v[i].class);
		if (strstr(cli.v.text, v[i].word) == NULL)
			fail_msg("%s", cli.v.text);
		hang_up();
		bare_close(&b);
		world_close();
	}
}

static void
a_port_where_nothing_listens_is_refused(void **state)
{
	int fd;

	(void)state;
	world_open("id");
	fd = bound_fd(); /* keeps the port from others */
	dial();
	request(EVHTTP_REQ_GET, "/", true);
	settle(is_done);
	if (strcmp(cli.v.class, "tcp.refused") != 0)
		fail_msg("%s", cli.v.text);
	assert_int_equal(cli.v.err, ECONNREFUSED);
	close(fd);
	world_close();
}

static bool
in_handshake(void)
{
	return tls_conn_verdict(tls_bev_conn(cli.env, ask.bev))->phase ==
	    TLS_PH_HANDSHAKE;
}

static void
a_silent_server_is_given_up_in_time(void **state)
{
	struct bare b = { .say = "" };

	(void)state;
	world_open("id");
	bare_open(&b);
	dial();
	request(EVHTTP_REQ_GET, "/", true);
	settle(in_handshake);
	loop_fake_run(loop, 14999000);
	assert_int_equal(cli.told, 0);
	loop_fake_run(loop, 2000);
	settle(cli_told);
	settle(is_done);
	assert_string_equal(cli.v.class, "hs.silent");
	assert_int_equal(ask.status, 0);
	hang_up();
	assert_int_equal(cli.err, ETIMEDOUT);
	bare_close(&b);
	world_close();
}

/* ---- how a peer ends ---- */

/* A server that answers with bytes as they are, and ends. */
static struct {
	struct tls_listen *listen;
	const char *say;
	enum { CUTS, NOTIFIES, STAYS } end; /* what it does then */
	struct tls_conn *c;
	bool pauses; /* reads nothing once it is up */
	size_t closed;
	int err;
} rude;

static void
on_rude(struct tls_conn *c, enum tls_event ev, int err, void *arg)
{
	(void)arg;
	if (ev == TLS_EV_UP && rude.pauses)
		tls_conn_read_pause(c, true);
	if (ev == TLS_EV_CLOSED) {
		rude.c = NULL;
		rude.closed++;
		rude.err = err;
	}
	if (ev != TLS_EV_DATA)
		return;
	tls_conn_drain(c, tls_conn_peek(c).n);
	if (rude.say == NULL)
		return;
	assert_int_equal(tls_conn_write(c, rude.say, strlen(rude.say)), 0);
	rude.say = NULL;
	if (rude.end == NOTIFIES)
		tls_conn_shutdown(c);
	else if (rude.end == CUTS)
		assert_int_equal(
		    shutdown(bufferevent_getfd(c->bev), SHUT_WR), 0);
}

static void
on_rude_accept(struct tls_conn *c, void *arg)
{
	rude.c = c;
	tls_conn_set_cb(c, on_rude, arg);
}

static void
serve_rudely(const char *text, int end)
{
	struct tls_listen_conf c = { .policy = &srv.policy,
		.cb = on_rude_accept };

	memset(&rude, 0, sizeof(rude));
	rude.say = text;
	rude.end = end;
	assert_int_equal(addr_parse(&c.local, slice_of("127.0.0.1"), 0), 0);
	assert_int_equal(tls_listen_open(&rude.listen, srv.env, &c), 0);
	tls_listen_local(rude.listen, &where);
}

/* RFC 9112 9.8: what only the end of the connection delimits is whole only
 * after close_notify; what says its length itself needs none. */
static void
a_cut_answer_is_no_answer(void **state)
{
#define HEAD "HTTP/1.1 200 OK\r\nConnection: close\r\n"
	static const struct {
		const char *why, *say;
		bool notify;
		const char *body; /* NULL: refused */
	} v[] = {
		{ "no length, good-bye", HEAD "\r\nwhole", true, "whole" },
		{ "no length, cut", HEAD "\r\nwho", false, NULL },
		{ "no length, cut before the body", HEAD "\r\n", false, NULL },
		{ "all of the length, good-bye",
		    HEAD "Content-Length: 5\r\n\r\nwhole", true, "whole" },
		{ "all of the length, no good-bye",
		    HEAD "Content-Length: 5\r\n\r\nwhole", false, "whole" },
		{ "less than the length, good-bye",
		    HEAD "Content-Length: 5\r\n\r\nwho", true, NULL },
		{ "less than the length, cut",
		    HEAD "Content-Length: 5\r\n\r\nwho", false, NULL },
		{ "all chunks, no good-bye",
		    HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n"
			 "0\r\n\r\n",
		    false, "whole" },
		{ "a chunk less, good-bye",
		    HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nwho\r\n", true,
		    NULL },
		{ "cut in the head", "HTTP/1.1 200 OK\r\nConn", false, NULL },
	};
	static const uint16_t max[] = { TLS_V13, TLS_V12 };

	(void)state;
	for (size_t i = 0; i < 2 * LEN(v); i++) {
		size_t k = i % LEN(v);

		print_message(
		    "%s, %s\n", v[k].why, tls_version_name(max[i / LEN(v)]));
		world_open("id");
		policies("localhost", false, max[i / LEN(v)]);
		serve_rudely(v[k].say, v[k].notify ? NOTIFIES : CUTS);
		dial();
		request(EVHTTP_REQ_GET, "/", true);
		settle(is_done);
		assert_int_equal(ask.status, v[k].body != NULL ? 200 : 0);
		assert_int_equal(ask.errors, v[k].body == NULL);
		if (v[k].body != NULL)
			assert_string_equal(buf_str(&ask.body), v[k].body);
		assert_string_equal(cli.v.class, "");
		hang_up();
		tls_listen_close(rude.listen);
		/* Its connections go with their environment. */
		rounds();
		world_end();
	}
}

static bool
rude_closed(void)
{
	return rude.closed > 0;
}

/* RFC 8446 6.1, where we are the client: evhttp resets, or is freed. */
static void
our_client_says_good_bye(void **state)
{
	static const uint16_t max[] = { TLS_V13, TLS_V12 };

	(void)state;
	for (size_t i = 0; i < 2 * LEN(max); i++) {
		world_open("id");
		policies("localhost", false, max[i / 2]);
		serve_rudely(
		    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole", STAYS);
		dial();
		request(EVHTTP_REQ_GET, "/", i % 2 == 0);
		settle(is_done);
		assert_int_equal(ask.status, 200);
		if (i % 2 == 1) {
			assert_int_equal(rude.closed, 0);
			hang_up();
		}
		settle(rude_closed);
		assert_int_equal(rude.err, 0); /* E_CLOSED without one */
		hang_up();
		tls_listen_close(rude.listen);
		world_end();
	}
}

/* A client that is not evhttp, so that it can tell how we end. */
static void
dial_rudely(const char *text)
{
	struct tls_conn_conf c = { .policy = &cli.policy,
		.remote = where,
		.host = "localhost",
		.dns_us = -1,
		.cb = on_rude };

	memset(&rude, 0, sizeof(rude));
	assert_int_equal(tls_conn_connect(&rude.c, cli.env, &c), 0);
	assert_int_equal(tls_conn_write(rude.c, text, strlen(text)), 0);
}

static void
our_server_says_good_bye(void **state)
{
	static const uint16_t max[] = { TLS_V13, TLS_V12 };

	(void)state;
	for (size_t i = 0; i < LEN(max); i++) {
		world_open("id");
		policies("localhost", false, max[i]);
		serve();
		dial_rudely("GET / HTTP/1.1\r\nHost: localhost\r\n"
			    "Connection: close\r\n\r\n");
		settle(rude_closed);
		assert_int_equal(rude.err, 0);
		world_close();
	}
}

/* Then it would be a lie. */
static void
a_server_that_gives_up_does_not_say_good_bye(void **state)
{
	(void)state;
	world_open("id");
	policies("localhost", false, TLS_V13);
	serve();
	dial_rudely("GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n");
	rude.pauses = true;
	settle(has_heard);
	rounds();
	evhttp_free(http);
	http = NULL;
	rounds();
	tls_conn_read_pause(rude.c, false);
	settle(rude_closed);
	assert_int_not_equal(rude.err, 0);
	world_close();
}

/* ---- life ---- */

static void
a_filter_without_policy_is_refused(void **state)
{
	struct tls_conn_conf c = { .host = "localhost" };
	struct bufferevent *bev = NULL;

	(void)state;
	world_open("id");
	assert_int_equal(tls_bev_client(&bev, cli.env, &c), EINVAL);
	assert_int_equal(
	    tls_bev_server(&bev, srv.env, NULL, on_tls, &srv), EINVAL);
	assert_null(bev);
	cli.told = 1; /* nothing was to come */
	world_close();
}

/* A client that is given up before it connected, in the handshake, in use. */
static void
a_filter_may_be_freed_at_any_time(void **state)
{
	(void)state;
	for (int turns = 0; turns < 12; turns++) {
		world_open("id");
		serve();
		dial();
		request(EVHTTP_REQ_GET, "/large", true);
		for (int i = 0; i < turns; i++)
			(void)event_base_loop(loop_base(loop), EVLOOP_NONBLOCK);
		hang_up();
		assert_int_equal(cli.closed, 1);
		cli.told = 1;
		world_close();
	}
}

/* The environment may go before evhttp lets its connections go, and their
 * sockets may end between. */
static void
an_environment_may_go_first(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		world_open("id");
		serve();
		dial();
		request(EVHTTP_REQ_GET, "/", false);
		if (i % 2 == 1)
			settle(is_done);
		tls_env_free(cli.env);
		if (i / 2 == 1) {
			assert_int_equal(
			    shutdown(bufferevent_getfd(ask.bev), SHUT_RDWR), 0);
			rounds();
		}
		tls_env_free(srv.env);
		evhttp_connection_free(ask.conn);
		evhttp_free(http);
		rounds();
		assert_int_equal(cli.closed, 0);
		assert_true(i / 2 == 1 || srv.closed == 0);
		loop_free(loop);
		buf_clear(&ask.body);
		buf_clear(&heard);
		log_set_sink(NULL, NULL);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_small_get_goes_both_ways),
		cmocka_unit_test(a_connection_carries_many_requests),
		cmocka_unit_test(large_bodies_arrive_whole_both_ways),
		cmocka_unit_test(a_slow_reader_gets_the_whole_answer),
		cmocka_unit_test(the_filter_resumes_and_judges_again),
		cmocka_unit_test(failures_have_the_class_of_the_record),
		cmocka_unit_test(peers_that_speak_no_tls_are_explained),
		cmocka_unit_test(a_port_where_nothing_listens_is_refused),
		cmocka_unit_test(a_silent_server_is_given_up_in_time),
		cmocka_unit_test(a_cut_answer_is_no_answer),
		cmocka_unit_test(our_client_says_good_bye),
		cmocka_unit_test(our_server_says_good_bye),
		cmocka_unit_test(a_server_that_gives_up_does_not_say_good_bye),
		cmocka_unit_test(a_filter_without_policy_is_refused),
		cmocka_unit_test(a_filter_may_be_freed_at_any_time),
		cmocka_unit_test(an_environment_may_go_first),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
