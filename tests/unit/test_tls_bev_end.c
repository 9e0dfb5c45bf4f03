/* SPDX-License-Identifier: ISC */
/* How connections of evhttp end: what a peer cut is no answer, and we say
 * close_notify ourselves. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "test_tls_bev.h"

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

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cut_answer_is_no_answer),
		cmocka_unit_test(our_client_says_good_bye),
		cmocka_unit_test(our_server_says_good_bye),
		cmocka_unit_test(a_server_that_gives_up_does_not_say_good_bye),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
