/* SPDX-License-Identifier: ISC */
/* The web server in clear: routes, paths, limits, and its headers. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>

#include "bellbird/clock.h"
#include "bellbird/log.h"
#include "oom.h"
#include "test_web.h"

static struct loop *loop;
static struct web_server *server;

/* A client; what it received so far. */
struct peer {
	int fd;
	struct io io;
	struct buf in;
	bool eof;
};

static void
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
	loop_stop(loop);
}

static void
peer_open(struct peer *p)
{
	struct addr a;

	memset(p, 0, sizeof(*p));
	buf_init(&p->in, 64 << 20);
	web_server_local(server, &a);
	p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(p->fd >= 0);
	assert_int_equal(connect(p->fd, &a.u.sa, addr_len(&a)), 0);
	assert_int_equal(
	    io_start(&p->io, loop, p->fd, IO_READ, peer_read, p), 0);
}

static void
peer_close(struct peer *p)
{
	io_stop(&p->io);
	close(p->fd);
	buf_clear(&p->in);
}

static void
peer_send(struct peer *p, const char *text, size_t n)
{
	assert_int_equal(send(p->fd, text, n, MSG_NOSIGNAL), (ssize_t)n);
}

/* Reads until the text is there, or the end. */
static bool
peer_until(struct peer *p, const char *text)
{
	while (strstr(buf_str(&p->in), text) == NULL) {
		if (p->eof)
			return false;
		run_some(loop);
	}
	return true;
}

static void
peer_to_end(struct peer *p)
{
	while (!p->eof)
		run_some(loop);
}

/* The status of the first answer; 0 if there is none. */
static int
status_of(const struct peer *p)
{
	int64_t status = 0;

	if (p->in.n < 12 || memcmp(p->in.p, "HTTP/1.", 7) != 0)
		return 0;
	assert_int_equal(str_int((struct slice){ (char *)p->in.p + 9, 3 }, 100,
			     599, &status),
	    0);
	return (int)status;
}

static const char *
body_of(const struct peer *p)
{
	const char *s = strstr(buf_str(&p->in), "\r\n\r\n");

	return s != NULL ? s + 4 : "";
}

/* One request on a connection of its own. */
static void
request(struct peer *p, const char *method, const char *target,
    const char *more, const char *body)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	buf_printf(&b,
	    "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n%s",
	    method, target, more, body);
	peer_open(p);
	peer_send(p, buf_str(&b), b.n);
	buf_clear(&b);
	peer_to_end(p);
}

static struct web_server *
open_it(void)
{
	struct web_server_conf c = {
		.loop = loop, .routes = test_routes, .max_body = 10000
	};
	struct web_server *s;

	assert_int_equal(addr_parse(&c.local, slice_of("127.0.0.1"), 0), 0);
	assert_int_equal(web_server_open(&s, &c), 0);
	return s;
}

static int
setup(void **state)
{
	(void)state;
	assert_int_equal(loop_new(&loop), 0);
	server = open_it();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	web_server_free(server);
	loop_free(loop);
	return 0;
}

/* ---- routes ---- */

static void
requests_find_their_route(void **state)
{
	static const struct {
		const char *why, *method, *target;
		int status;
		const char *body; /* begins with it; NULL: not looked at */
	} v[] = {
		{ "exact", "GET", "/exact", 200, "/exact||-||" },
		{ "query", "GET", "/exact?a=b&c=%20", 200,
		    "/exact|a=b&c=%20|-||" },
		{ "below a folder", "GET", "/cfg/a/b.conf", 200,
		    "/cfg/a/b.conf|" },
		{ "the folder", "GET", "/cfg/", 200, "/cfg/|" },
		{ "decoded", "GET", "/cfg/a%2Db%20c", 200, "/cfg/a-b c|" },
		{ "UTF-8", "GET", "/cfg/%C3%A4", 200, "/cfg/\xc3\xa4|" },
		{ "absolute form", "GET", "http://x/exact", 200, "/exact|" },
		{ "folder without slash", "GET", "/cfg", 404, NULL },
		{ "longer than exact", "GET", "/exact/", 404, NULL },
		{ "no such", "GET", "/", 404, NULL },
		{ "no such with POST", "POST", "/nothing", 404, NULL },
		{ "wrong method", "DELETE", "/exact", 405, NULL },
		{ "wrong method", "PUT", "/cfg/x", 405, NULL },
		{ "TRACE", "TRACE", "/exact", 405, NULL },
		{ "OPTIONS", "OPTIONS", "/exact", 405, NULL },
		{ "a route that says nothing", "GET", "/silent", 500, NULL },
	};
	struct peer p;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		print_message(
		    "%s: %s %s\n", v[i].why, v[i].method, v[i].target);
		request(&p, v[i].method, v[i].target, "", "");
		assert_int_equal(status_of(&p), v[i].status);
		if (v[i].body != NULL)
			assert_memory_equal(
			    body_of(&p), v[i].body, strlen(v[i].body));
		peer_close(&p);
	}
}

static void
a_path_that_means_something_else_is_refused(void **state)
{
	static const char *const v[] = { "/cfg/../secret", "/cfg/..",
		"/../etc/passwd", "/cfg/%2e%2e/secret", "/cfg/%2E./secret",
		"/cfg/..%2fsecret", "/cfg/%2e%2e%2fsecret", "/cfg/./x",
		"/cfg//x", "//cfg/x", "/cfg/%2fx", "/cfg/x%00.conf",
		"/cfg/%0d%0aX:1", "/cfg/%7f", "/cfg/%", "/cfg/%4", "/cfg/%zz",
		"/cfg/%ff", "/cfg/%c0%ae%c0%ae/x", "/cfg/%1b[2J", "/cfg/a/b/..",
		"/cfg/%+4" };
	struct peer p;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		print_message("refuses %s\n", v[i]);
		request(&p, "GET", v[i], "", "");
		assert_int_equal(status_of(&p), 400);
		peer_close(&p);
	}
}

static void
a_405_names_what_would_do(void **state)
{
	struct peer p;

	(void)state;
	request(&p, "PUT", "/exact", "", "");
	assert_non_null(strstr(buf_str(&p.in), "Allow: GET, HEAD, POST\r\n"));
	peer_close(&p);
}

static void
head_has_the_length_but_no_body(void **state)
{
	struct peer p;

	(void)state;
	request(&p, "HEAD", "/exact", "", "");
	assert_int_equal(status_of(&p), 200);
	assert_non_null(strstr(buf_str(&p.in), "Content-Length: 11\r\n"));
	assert_string_equal(body_of(&p), "");
	peer_close(&p);
	request(&p, "HEAD", "/nothing", "", "");
	assert_int_equal(status_of(&p), 404);
	assert_string_equal(body_of(&p), "");
	peer_close(&p);
}

static void
body_and_headers_reach_the_route(void **state)
{
	struct peer p;

	(void)state;
	request(&p, "POST", "/exact", "X-Test: yes\r\nContent-Length: 5\r\n",
	    "hello");
	assert_string_equal(body_of(&p), "/exact||yes|hello|");
	peer_close(&p);
	request(&p, "POST", "/exact", "Transfer-Encoding: chunked\r\n",
	    "3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n");
	assert_string_equal(body_of(&p), "/exact||-|hello|");
	peer_close(&p);
}

static void
every_answer_carries_the_safe_headers(void **state)
{
	static const struct {
		const char *method, *target;
	} v[] = {
		{ "GET", "/exact" },
		{ "HEAD", "/exact" },
		{ "GET", "/nothing" },
		{ "PUT", "/exact" },
		{ "GET", "/cfg/../x" },
		{ "GET", "/silent" },
	};
	struct peer p;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		request(&p, v[i].method, v[i].target, "", "");
		assert_non_null(strstr(
		    buf_str(&p.in), "X-Content-Type-Options: nosniff\r\n"));
		assert_non_null(
		    strstr(buf_str(&p.in), "Cache-Control: no-store\r\n"));
		assert_non_null(
		    strstr(buf_str(&p.in), "X-Frame-Options: DENY\r\n"));
		peer_close(&p);
	}
	request(&p, "GET", "/cached", "", ""); /* its own comes first */
	assert_non_null(
	    strstr(buf_str(&p.in), "Cache-Control: max-age=60\r\n"));
	assert_null(strstr(buf_str(&p.in), "no-store"));
	assert_non_null(strstr(buf_str(&p.in), "X-A: b\r\n"));
	peer_close(&p);
}

/* ---- connections ---- */

static void
a_connection_serves_many_requests(void **state)
{
	static const char one[] = "GET /exact HTTP/1.1\r\nHost: x\r\n\r\n";
	struct peer p;

	(void)state;
	peer_open(&p);
	for (int i = 0; i < 50; i++) {
		peer_send(&p, one, sizeof(one) - 1);
		assert_true(peer_until(&p, "/exact||-||"));
		buf_reset(&p.in);
	}
	assert_false(p.eof);
	peer_close(&p);
}

static void
a_request_may_come_byte_by_byte(void **state)
{
	static const char one[] =
	    "POST /exact HTTP/1.0\r\nContent-Length: 2\r\n\r\nab";
	struct peer p;

	(void)state;
	peer_open(&p);
	for (size_t i = 0; i + 1 < sizeof(one); i++) {
		peer_send(&p, one + i, 1);
		run_rounds(loop, 1);
	}
	assert_true(peer_until(&p, "/exact||-|ab|"));
	peer_close(&p);
}

static void
a_large_answer_arrives_whole(void **state)
{
	struct peer p;
	const char *s;

	(void)state;
	request(&p, "GET", "/large", "", "");
	assert_int_equal(status_of(&p), 200);
	s = body_of(&p);
	assert_int_equal(p.in.n - (size_t)(s - (const char *)p.in.p), 5 << 20);
	peer_close(&p);
}

static void
too_much_is_refused(void **state)
{
	static char fill[40001];
	static char target[4001];
	char head[64];
	struct peer p;

	(void)state;
	memset(fill, 'h', sizeof(fill) - 1);
	memcpy(fill, "X-Fill: ", 8);
	memcpy(fill + sizeof(fill) - 3, "\r\n", 2);
	peer_open(&p);
	peer_send(&p, "GET /exact HTTP/1.1\r\n", 21);
	peer_send(&p, fill, sizeof(fill) - 1);
	peer_to_end(&p);
	assert_true(status_of(&p) != 200); /* 40 KB of headers */
	peer_close(&p);

	(void)snprintf(head, sizeof(head), "Content-Length: 10001\r\n");
	request(&p, "POST", "/exact", head, "");
	assert_int_equal(status_of(&p), 413);
	peer_close(&p);

	memset(target, 'p', sizeof(target) - 1);
	memcpy(target, "/cfg/", 5);
	request(&p, "GET", target, "", "");
	assert_int_equal(status_of(&p), 414);
	peer_close(&p);
}

static void
nonsense_does_not_reach_a_route(void **state)
{
	static const struct {
		const char *why, *text;
	} v[] = {
		{ "no HTTP",
		    "\x16\x03\x01\x02"
		    "garbage\r\n\r\n" },
		{ "unknown method", "BREW /exact HTTP/1.1\r\n\r\n" },
		{ "no target", "GET\r\n\r\n" },
		{ "relative target", "GET exact HTTP/1.1\r\n\r\n" },
		{ "CONNECT", "CONNECT a:1 HTTP/1.1\r\n\r\n" },
		{ "negative length",
		    "POST /exact HTTP/1.1\r\nContent-Length: -1\r\n\r\n" },
		{ "length is no number",
		    "POST /exact HTTP/1.1\r\nContent-Length: x\r\n\r\n" },
		{ "bad chunk",
		    "POST /exact HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
		    "\r\nzz\r\n" },
	};
	struct peer p;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		print_message("%s\n", v[i].why);
		peer_open(&p);
		peer_send(&p, v[i].text, strlen(v[i].text));
		assert_int_equal(shutdown(p.fd, SHUT_WR), 0);
		peer_to_end(&p);
		assert_true(status_of(&p) != 200);
		assert_null(strstr(buf_str(&p.in), "|"));
		peer_close(&p);
	}
}

static void
one_source_has_at_most_8_connections(void **state)
{
	static const char one[] = "GET /exact HTTP/1.1\r\nHost: x\r\n\r\n";
	struct peer p[9];

	(void)state;
	for (int i = 0; i < 8; i++) {
		peer_open(&p[i]);
		peer_send(&p[i], one, sizeof(one) - 1);
		assert_true(peer_until(&p[i], "/exact||-||"));
	}
	log_set_level(LOGL_ERR);
	peer_open(&p[8]);
	run_rounds(loop, 5);
	assert_true(p[8].eof);
	peer_close(&p[8]);
	peer_close(&p[3]); /* room again */
	run_rounds(loop, 5);
	peer_open(&p[3]);
	peer_send(&p[3], one, sizeof(one) - 1);
	assert_true(peer_until(&p[3], "/exact||-||"));
	log_set_level(LOGL_INFO);
	for (int i = 0; i < 8; i++)
		peer_close(&p[i]);
}

static void
the_port_is_not_given_twice(void **state)
{
	struct web_server_conf c = { .loop = loop, .routes = test_routes };
	struct web_server *other = (struct web_server *)&loop;

	(void)state;
	assert_int_equal(web_server_open(&other, &c), EINVAL);
	web_server_local(server, &c.local);
	assert_int_equal(web_server_open(&other, &c), EADDRINUSE);
	assert_ptr_equal(other, &loop);
}

static void
the_server_may_end_with_clients_connected(void **state)
{
	struct peer p, q;

	(void)state;
	peer_open(&p);
	peer_send(&p, "GET /exact HTTP/1.1\r\n", 21);
	run_rounds(loop, 3);
	peer_open(&q); /* perhaps not accepted yet */
	web_server_free(server);
	peer_to_end(&p);
	peer_to_end(&q);
	peer_close(&p);
	peer_close(&q);
	server = open_it();
}

static void
a_request_that_never_ends_is_cut(void **state)
{
	static const char one[] = "GET /exact HTTP/1.1\r\nHost: x\r\n\r\n";
	struct peer p;

	(void)state;
	web_server_free(server);
	clock_fake(1795527474);
	server = open_it();
	peer_open(&p);
	peer_send(&p, one, sizeof(one) - 1);
	assert_true(peer_until(&p, "/exact||-||"));
	peer_send(&p, "GET /exact HTTP/1.1\r\nX-Slow: ", 30);
	log_set_level(LOGL_ERR);
	loop_fake_run(loop, INT64_C(100000000));
	assert_false(p.eof);
	loop_fake_run(loop, INT64_C(30000000));
	peer_to_end(&p);
	log_set_level(LOGL_INFO);
	clock_real();
	peer_close(&p);
}

static int
build(void *arg)
{
	struct web_server *s;
	int err = web_server_open(&s, arg);

	if (err == 0)
		web_server_free(s);
	return err;
}

static void
survives_every_oom(void **state)
{
	struct web_server_conf c = { .loop = loop, .routes = test_routes };

	(void)state;
	assert_int_equal(addr_parse(&c.local, slice_of("127.0.0.1"), 0), 0);
	assert_true(oom_each(build, &c) >= 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(requests_find_their_route),
		T(a_path_that_means_something_else_is_refused),
		T(a_405_names_what_would_do),
		T(head_has_the_length_but_no_body),
		T(body_and_headers_reach_the_route),
		T(every_answer_carries_the_safe_headers),
		T(a_connection_serves_many_requests),
		T(a_request_may_come_byte_by_byte),
		T(a_large_answer_arrives_whole),
		T(too_much_is_refused),
		T(nonsense_does_not_reach_a_route),
		T(one_source_has_at_most_8_connections),
		T(the_port_is_not_given_twice),
		T(the_server_may_end_with_clients_connected),
		T(a_request_that_never_ends_is_cut),
		T(survives_every_oom),
#undef T
	};
	struct sigaction ign = { .sa_handler = SIG_IGN };

	(void)sigaction(SIGPIPE, &ign, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
