/* SPDX-License-Identifier: ISC */
/* The face for evhttp: requests over the filter, large bodies both ways, and
 * failures that evhttp alone could not explain. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "test_tls_bev.h"

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
		cli.env = NULL;
		if (i / 2 == 1) {
			assert_int_equal(
			    shutdown(bufferevent_getfd(ask.bev), SHUT_RDWR), 0);
			rounds();
		}
		tls_env_free(srv.env);
		srv.env = NULL;
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
		cmocka_unit_test(a_filter_without_policy_is_refused),
		cmocka_unit_test(a_filter_may_be_freed_at_any_time),
		cmocka_unit_test(an_environment_may_go_first),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
