/* SPDX-License-Identifier: ISC */
/* The web server over TLS: who the client is, and what never gets an answer. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/stat.h>

#include "bellbird/clock.h"
#include "bellbird/file.h"
#include "bellbird/log.h"
#include "bellbird/tls_cert.h"
#include "test_web.h"

#define MAC "0022ee112233"

static struct loop *loop;
static struct tls_env *server_env, *device_env, *bare_env, *foreign_env;
static struct web_server *server;
static char dir[32];

/* A TLS client; what it received so far. */
struct peer {
	struct tls_conn *c;
	const char *request;
	struct buf in;
	bool over;
	int err; /* of the end */
};

/* ---- certificates: once for all tests ---- */

static const char *
at(const char *name)
{
	static char path[8][128];
	static unsigned int i;
	char *p = path[i++ % 8];

	assert_int_equal(path_join(p, sizeof(path[0]), dir, name), 0);
	return p;
}

static void
mint(const char *ca, enum tls_mint_kind kind, const char *cn, const char *sans,
    const char *file)
{
	struct tls_mint m = {
		.ca_dir = ca, .kind = kind, .cn = cn, .sans = sans
	};
	struct buf pem;

	buf_init_secret(&pem, 65536);
	assert_int_equal(tls_mint(&m, &pem), 0);
	assert_int_equal(file_write(file, pem.p, pem.n, 0600), 0);
	buf_clear(&pem);
}

static void
copy(const char *from, const char *to)
{
	struct buf b;

	buf_init(&b, 65536);
	assert_int_equal(file_read(from, &b), 0);
	assert_int_equal(file_write(to, b.p, b.n, 0600), 0);
	buf_clear(&b);
}

static struct tls_env *
env(const char *identity)
{
	struct tls_env_conf c = { .builtin_file = "",
		.trusted_dir = at("trusted"),
		.identity_dir = identity,
		.server_file = at("server.pem") };
	struct tls_env *e;

	assert_int_equal(tls_env_new(&e, loop, &c), 0);
	return e;
}

/* A policy of the default settings with a few changes. */
static void
policy(struct tls_policy *p, enum tls_use use, enum tls_dir d, bool require,
    uint16_t max)
{
	struct tls_clock clock = { clock_wall_s(), clock_floor_s(), true };
	struct tls_settings s;
	char why[256] = "";

	tls_settings_default(&s, use);
	s.require_client = require;
	s.max = max;
	assert_int_equal(
	    tls_policy_decide(p, use, d, d == TLS_CLIENT ? "localhost" : NULL,
		&s, &clock, why, sizeof(why)),
	    0);
}

static int
group_setup(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/bb-web-XXXXXX");
	assert_non_null(mkdtemp(dir));
	for (const char *const *d = (const char *const[]){ "ca", "other",
		 "trusted", "id", "none", "foreign", NULL };
	     *d != NULL; d++)
		assert_int_equal(mkdir(at(*d), 0700), 0);
	assert_int_equal(tls_ca_init(at("ca"), "Test CA", 30), 0);
	assert_int_equal(tls_ca_init(at("other"), "Other CA", 30), 0);
	copy(at("ca/ca.pem"), at("trusted/ca.pem"));
	mint(at("ca"), TLS_MINT_SERVER, "localhost",
	    "DNS:localhost,IP:127.0.0.1", at("server.pem"));
	mint(at("ca"), TLS_MINT_DEVICE, MAC, NULL, at("id/device.pem"));
	mint(at("other"), TLS_MINT_DEVICE, MAC, NULL, at("foreign/device.pem"));
	return 0;
}

static int
group_teardown(void **state)
{
	static const char *const files[] = { "ca/ca.pem", "ca/ca.key",
		"other/ca.pem", "other/ca.key", "trusted/ca.pem", "server.pem",
		"id/device.pem", "foreign/device.pem", "ca", "other", "trusted",
		"id", "none", "foreign" };

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		(void)remove(at(files[i]));
	(void)rmdir(dir);
	return 0;
}

static void
serve(bool require)
{
	struct web_server_conf c = {
		.loop = loop, .tls = server_env, .routes = test_routes
	};
	struct tls_policy p;

	policy(&p, TLS_USE_WEB, TLS_SERVER, require, TLS_V13);
	c.policy = &p;
	assert_int_equal(addr_parse(&c.local, slice_of("127.0.0.1"), 0), 0);
	assert_int_equal(web_server_open(&server, &c), 0);
}

static int
setup(void **state)
{
	(void)state;
	log_set_level(LOGL_ERR);
	assert_int_equal(loop_new(&loop), 0);
	server_env = env(at("none"));
	device_env = env(at("id"));
	bare_env = env(at("none"));
	foreign_env = env(at("foreign"));
	server = NULL;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	web_server_free(server);
	run_rounds(loop, 3); /* filters of libevent are freed from the loop */
	tls_env_free(server_env);
	tls_env_free(device_env);
	tls_env_free(bare_env);
	tls_env_free(foreign_env);
	loop_free(loop);
	return 0;
}

/* ---- a client ---- */

static void
on_conn(struct tls_conn *c, enum tls_event ev, int err, void *arg)
{
	struct peer *p = arg;
	struct slice s;

	if (ev == TLS_EV_UP) {
		assert_int_equal(
		    tls_conn_write(c, p->request, strlen(p->request)), 0);
	} else if (ev == TLS_EV_DATA) {
		s = tls_conn_peek(c);
		assert_int_equal(buf_add(&p->in, s.p, s.n), 0);
		tls_conn_drain(c, s.n);
		loop_stop(loop);
	} else if (ev == TLS_EV_CLOSED) {
		p->over = true;
		p->err = err;
		p->c = NULL;
		loop_stop(loop);
	}
}

static void
peer_open(struct peer *p, struct tls_env *e, uint16_t max, const char *request)
{
	struct tls_conn_conf c = {
		.host = "localhost", .dns_us = -1, .cb = on_conn, .arg = p
	};
	struct tls_policy pol;

	memset(p, 0, sizeof(*p));
	buf_init(&p->in, 64 << 20);
	p->request = request;
	policy(&pol, TLS_USE_PROV, TLS_CLIENT, false, max);
	c.policy = &pol;
	web_server_local(server, &c.remote);
	assert_int_equal(tls_conn_connect(&p->c, e, &c), 0);
}

static void
peer_close(struct peer *p)
{
	if (p->c != NULL)
		tls_conn_free(p->c);
	buf_clear(&p->in);
}

static void
peer_to_end(struct peer *p)
{
	while (!p->over)
		run_some(loop);
}

#define GET(path)                                                  \
	"GET " path " HTTP/1.1\r\nHost: localhost\r\nConnection: " \
	"close\r\n\r\n"

/* ---- the tests ---- */

static void
the_cn_of_a_verified_client_is_known(void **state)
{
	static const struct {
		const char *why;
		uint16_t max;
	} v[] = { { "TLS 1.3", TLS_V13 }, { "TLS 1.2", TLS_V12 } };
	struct peer p;

	(void)state;
	serve(true);
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		print_message("%s\n", v[i].why);
		peer_open(&p, device_env, v[i].max, GET("/exact"));
		peer_to_end(&p);
		assert_non_null(strstr(buf_str(&p.in), "/exact||-||" MAC));
		assert_int_equal(p.err, 0); /* close_notify came */
		peer_close(&p);
	}
}

static void
a_client_without_certificate_gets_nothing_where_one_is_demanded(void **state)
{
	struct peer p;

	(void)state;
	serve(true);
	peer_open(&p, bare_env, TLS_V13, GET("/exact"));
	peer_to_end(&p);
	assert_int_equal(p.in.n, 0);
	peer_close(&p);
	peer_open(&p, foreign_env, TLS_V13, GET("/exact"));
	peer_to_end(&p);
	assert_int_equal(p.in.n, 0);
	peer_close(&p);
	peer_open(&p, device_env, TLS_V13, GET("/exact")); /* still serving */
	peer_to_end(&p);
	assert_non_null(strstr(buf_str(&p.in), MAC));
	peer_close(&p);
}

static void
a_client_without_certificate_has_no_cn_where_none_is_demanded(void **state)
{
	struct peer p;

	(void)state;
	serve(false);
	peer_open(&p, bare_env, TLS_V13, GET("/exact"));
	peer_to_end(&p);
	assert_non_null(strstr(buf_str(&p.in), "/exact||-||"));
	assert_null(strstr(buf_str(&p.in), MAC));
	peer_close(&p);
}

static void
clear_text_gets_no_answer(void **state)
{
	char chunk[512];
	struct addr a;
	ssize_t n;
	int fd;

	(void)state;
	serve(false);
	web_server_local(server, &a);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, &a.u.sa, addr_len(&a)), 0);
	assert_true(send(fd, GET("/exact"), sizeof(GET("/exact")) - 1, 0) > 0);
	for (int i = 0; i < 200; i++) {
		run_rounds(loop, 1);
		n = recv(fd, chunk, sizeof(chunk), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			break;
		/* A TLS alert is all that may come. */
		if (n > 0)
			assert_int_equal(chunk[0], 0x15);
	}
	assert_true(n <= 0 && errno != EAGAIN);
	close(fd);
}

static void
a_large_answer_arrives_whole_before_the_end(void **state)
{
	struct peer p;
	const char *s;

	(void)state;
	serve(true);
	peer_open(&p, device_env, TLS_V13, GET("/large"));
	peer_to_end(&p);
	s = strstr(buf_str(&p.in), "\r\n\r\n");
	assert_non_null(s);
	assert_int_equal(
	    p.in.n - (size_t)(s + 4 - (const char *)p.in.p), 5 << 20);
	peer_close(&p);
}

static void
a_connection_serves_many_requests(void **state)
{
	static const char again[] = "GET /exact HTTP/1.1\r\nHost: x\r\n\r\n";
	struct peer p;

	(void)state;
	serve(true);
	peer_open(&p, device_env, TLS_V13, again);
	for (int i = 0; i < 50; i++) {
		while (strstr(buf_str(&p.in), "|" MAC) == NULL) {
			assert_false(p.over);
			run_some(loop);
		}
		buf_reset(&p.in);
		assert_int_equal(
		    tls_conn_write(p.c, again, sizeof(again) - 1), 0);
	}
	peer_close(&p);
}

static void
the_server_may_end_in_the_middle_of_everything(void **state)
{
	struct peer p, q;

	(void)state;
	serve(true);
	peer_open(&p, device_env, TLS_V13, GET("/large"));
	while (p.in.n == 0)
		run_some(loop);
	peer_open(&q, device_env, TLS_V13, GET("/exact"));
	run_rounds(loop, 1);
	web_server_free(server);
	server = NULL;
	peer_to_end(&p);
	peer_close(&p);
	peer_close(&q);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(the_cn_of_a_verified_client_is_known),
		T(a_client_without_certificate_gets_nothing_where_one_is_demanded),
		T(a_client_without_certificate_has_no_cn_where_none_is_demanded),
		T(clear_text_gets_no_answer),
		T(a_large_answer_arrives_whole_before_the_end),
		T(a_connection_serves_many_requests),
		T(the_server_may_end_in_the_middle_of_everything),
#undef T
	};
	struct sigaction ign = { .sa_handler = SIG_IGN };

	(void)sigaction(SIGPIPE, &ign, NULL);
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
