/* SPDX-License-Identifier: ISC */
/*
 * A provisioning run against a small server that does well, or badly.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "bellbird/file.h"
#include "bellbird/log.h"
#include "bellbird/prov_fetch.h"
#include "bellbird/prov_http.h"
#include "../../prov/internal.h"
#include "bellbird/tls_hash.h"

#define MODEL "/algopbellbird.conf"
#define OWN   "/algom0022eeaabbcc.conf"

enum { CONNS = 4, REQUEST_MAX = 2048, SEEN_MAX = 16 };

/* What the server says to a path; the body is sent as it stands, head and
 * all, and the connection is closed behind it. */
struct route {
	const char *path;
	const char *answer;
	size_t zeros;      /* so many bytes more */
	const char *needs; /* header text without which it is `refusal` */
	const char *refusal;
};

struct conn {
	struct io io;
	int fd;
	char in[REQUEST_MAX];
	size_t n;
	const struct route *route; /* being answered */
	const char *answer;
	size_t sent, total;
};

/* Server, store and loop of a test. */
struct world {
	struct loop *loop;
	struct worker *worker;
	struct dns *dns;
	struct prov_store *store;
	struct prov_run *run;
	struct timer guard;
	char dir[64];
	struct io io;
	int fd;
	uint16_t port;
	struct conn conns[CONNS];
	const struct route *routes;
	char seen[SEEN_MAX][REQUEST_MAX]; /* requests */
	size_t num_seen;
	/* of the last report */
	bool reported;
	struct prov_report report; /* shallow: no problems */
	char problem[320];
	size_t num_problems;
};

static struct world w;

static void
quiet(enum log_level lv, enum log_cat cat, uint64_t id, const char *line,
    void *arg)
{
	(void)lv, (void)cat, (void)id, (void)line, (void)arg;
}

/* Lines of the log, for the one test that reads them. */
static struct {
	char text[4096];
	size_t lines;
} logged;

static void
keep(enum log_level lv, enum log_cat cat, uint64_t id, const char *line,
    void *arg)
{
	size_t n = strlen(logged.text);

	(void)lv, (void)cat, (void)id, (void)arg;
	logged.lines++;
	snprintf(logged.text + n, sizeof(logged.text) - n, "%s\n", line);
}

/* times counts how often the log has a text. */
static size_t
times(const char *text)
{
	size_t n = 0;

	for (const char *p = logged.text; (p = strstr(p, text)) != NULL; p++)
		n++;
	return n;
}

static void
conn_end(struct conn *c)
{
	io_stop(&c->io);
	close(c->fd);
	memset(c, 0, sizeof(*c));
	c->fd = -1;
}

/* on_writable sends the rest of an answer. */
static void
on_writable(int fd, int what, void *arg)
{
	static const char zeros[16384];
	struct conn *c = arg;
	size_t head = strlen(c->answer), left;
	ssize_t k;

	(void)what;
	left = c->total - c->sent;
	if (c->sent < head)
		k = send(fd, c->answer + c->sent, head - c->sent, MSG_NOSIGNAL);
	else
		k = send(fd, zeros, left < sizeof(zeros) ? left : sizeof(zeros),
		    MSG_NOSIGNAL);
	if (k > 0)
		c->sent += (size_t)k;
	if (k < 0 || c->sent == c->total)
		conn_end(c);
}

/* on_request answers once the header block is complete. */
static void
on_request(int fd, int what, void *arg)
{
	static const char none[] = "HTTP/1.1 404 Not Found\r\n"
				   "Content-Length: 4\r\n\r\nnone";
	struct conn *c = arg;
	ssize_t k = recv(fd, c->in + c->n, sizeof(c->in) - 1 - c->n, 0);
	size_t len;

	(void)what;
	if (k <= 0) {
		conn_end(c);
		return;
	}
	c->n += (size_t)k;
	if (strstr(c->in, "\r\n\r\n") == NULL)
		return;
	assert_true(w.num_seen < SEEN_MAX);
	memcpy(w.seen[w.num_seen++], c->in, c->n + 1);
	c->answer = none;
	c->total = sizeof(none) - 1;
	for (const struct route *r = w.routes; r->path != NULL; r++) {
		len = strlen(r->path);
		if (strncmp(c->in + 4, r->path, len) != 0 ||
		    c->in[4 + len] != ' ')
			continue;
		c->answer = r->needs && !strstr(c->in, r->needs) ? r->refusal
								 : r->answer;
		c->total =
		    strlen(c->answer) + (c->answer == r->answer ? r->zeros : 0);
	}
	if (c->total == 0) {
		conn_end(c);
		return;
	}
	assert_int_equal(
	    io_start(&c->io, w.loop, fd, IO_WRITE, on_writable, c), 0);
}

static void
on_accept(int fd, int what, void *arg)
{
	int one = accept(fd, NULL, NULL);

	(void)what, (void)arg;
	for (size_t i = 0; i < CONNS; i++) {
		if (w.conns[i].fd >= 0)
			continue;
		w.conns[i].fd = one;
		assert_int_equal(io_start(&w.conns[i].io, w.loop, one, IO_READ,
				     on_request, &w.conns[i]),
		    0);
		return;
	}
	close(one);
}

static void
on_guard(void *arg)
{
	(void)arg;
	fail_msg("the run did not end");
}

static void
set(const char *key, const char *value)
{
	char why[320];

	if (prov_set(w.store, PROV_CMDLINE, key, value, why, sizeof(why)) != 0)
		fail_msg("%s = %s: %s", key, value, why);
}

static int
set_up(void **state)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	struct prov_store_conf c = { 0 };
	socklen_t n = sizeof(in);
	char text[64];

	(void)state;
	memset(&w, 0, sizeof(w));
	log_set_sink(quiet, NULL);
	for (size_t i = 0; i < CONNS; i++)
		w.conns[i].fd = -1;
	snprintf(w.dir, sizeof(w.dir), "/tmp/bb_fetch.XXXXXX");
	assert_non_null(mkdtemp(w.dir));
	assert_int_equal(loop_new(&w.loop), 0);
	assert_int_equal(worker_new(&w.worker, w.loop), 0);
	assert_int_equal(dns_new(&w.dns, w.loop, NULL), 0);
	w.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(w.fd, (struct sockaddr *)&in, n), 0);
	assert_int_equal(listen(w.fd, 8), 0);
	assert_int_equal(getsockname(w.fd, (struct sockaddr *)&in, &n), 0);
	w.port = ntohs(in.sin_port);
	assert_int_equal(
	    io_start(&w.io, w.loop, w.fd, IO_READ, on_accept, NULL), 0);
	c.loop = w.loop;
	c.worker = w.worker;
	c.state_dir = w.dir;
	assert_int_equal(prov_store_open(&w.store, &c, NULL), 0);
	snprintf(text, sizeof(text), "127.0.0.1:%u", w.port);
	set("prov.server.static", text);
	set("prov.download.method", "http");
	return 0;
}

static int
tear_down(void **state)
{
	static const char *const files[] = { "prov/set", "prov/set.prev",
		"prov", "" };
	char path[128];

	(void)state;
	prov_run_stop(&w.run);
	worker_free(w.worker);
	prov_store_free(w.store);
	timer_stop(&w.guard);
	for (size_t i = 0; i < CONNS; i++)
		if (w.conns[i].fd >= 0)
			conn_end(&w.conns[i]);
	io_stop(&w.io);
	close(w.fd);
	dns_free(w.dns);
	loop_free(w.loop);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", w.dir, files[i]);
		remove(path);
	}
	log_set_sink(NULL, NULL);
	return access(w.dir, F_OK) == 0 ? -1 : 0;
}

static void
on_report(const struct prov_report *r, void *arg)
{
	(void)arg;
	assert_null(w.run); /* the slot is cleared before */
	w.reported = true;
	w.report = *r;
	w.num_problems = r->problems.n;
	w.problem[0] = '\0';
	if (r->problems.n > 0)
		memcpy(w.problem, r->problems.v[0].text, sizeof(w.problem));
	loop_stop(w.loop);
}

static int
policy(const char *peer, struct tls_policy *out, void *arg)
{
	(void)peer, (void)out, (void)arg;
	return E_TLS_PARAM;
}

static int
start(bool dry, char *why, size_t why_size)
{
	const struct prov_run_conf c = {
		.loop = w.loop,
		.dns = w.dns,
		.store = w.store,
		.policy = policy,
		.model = "bellbird",
		.mac = "00:22:ee:AA:BB:CC",
		.user_agent = "bellbird/test",
		.dry = dry,
	};

	w.reported = false;
	return prov_run_start(&w.run, &c, on_report, why, why_size);
}

/* run makes one run against `routes`; the report is in w.report. */
static void
run(const struct route *routes, bool dry)
{
	char why[200];

	w.routes = routes;
	w.num_seen = 0;
	if (start(dry, why, sizeof(why)) != 0)
		fail_msg("not started: %s", why);
	assert_int_equal(
	    timer_start(&w.guard, w.loop, 10000000, on_guard, NULL), 0);
	assert_int_equal(loop_run(w.loop), 0);
	timer_stop(&w.guard);
	assert_true(w.reported);
}

#define OK(n, body)                                       \
	"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n" \
	"Content-Length: " n "\r\nETag: \"e1\"\r\n\r\n" body

static void
fetches_and_applies_all_files(void **state)
{
	static const struct route routes[] = {
		{ .path = MODEL, .answer = OK("17", "sip.proxy = one\n\n") },
		{ .path = OWN, .answer = OK("17", "sip.u1.user = 17\n") },
		{ 0 },
	};

	(void)state;
	run(routes, false);
	assert_int_equal(w.report.err, 0);
	assert_string_equal(w.report.class, "");
	assert_true(w.report.applied);
	assert_int_equal(w.report.num_changed, 2);
	assert_int_equal(w.report.num_files, 2);
	assert_int_equal(w.report.files[0].state, PROV_FS_FETCHED);
	assert_int_equal(w.report.files[1].settings, 1);
	assert_string_equal(w.report.files[1].name, "algom0022eeaabbcc.conf");
	assert_string_equal(prov_get(w.store, "sip.proxy"), "one");
	assert_string_equal(prov_get(w.store, "sip.u1.user"), "17");
	assert_int_equal(w.num_seen, 2);
	assert_non_null(strstr(w.seen[0], "\r\nUser-Agent: bellbird/test\r\n"));
	assert_non_null(strstr(w.seen[0], "\r\nHost: 127.0.0.1:"));
	assert_null(strstr(w.seen[0], "Authorization"));
}

static void
asks_below_the_configured_path_and_for_incremental_files(void **state)
{
	static const struct route routes[] = {
		{ .path = "/a/b%20c/algopbellbird.conf",
		    .answer = OK("16", "sip.proxy = one\n") },
		{ .path = "/a/b%20c/algom0022eeaabbcc-i.conf",
		    .answer = OK("16", "sip.proxy = two\n") },
		{ 0 },
	};

	(void)state;
	set("prov.download.cfgpath", "/a/b c/");
	set("prov.i", "1");
	run(routes, false);
	assert_int_equal(w.report.err, 0);
	assert_int_equal(w.report.num_files, 4);
	assert_int_equal(w.report.files[1].state, PROV_FS_ABSENT);
	assert_int_equal(w.report.files[2].state, PROV_FS_ABSENT);
	assert_string_equal(prov_get(w.store, "sip.proxy"), "two");
	assert_int_equal(prov_origin(w.store, "sip.proxy"), PROV_INCREMENTAL);
}

static void
a_file_that_is_gone_keeps_its_settings(void **state)
{
	static const struct route first[] = {
		{ .path = MODEL, .answer = OK("16", "sip.proxy = one\n") },
		{ .path = OWN, .answer = OK("17", "sip.u1.user = 17\n") },
		{ 0 },
	};
	static const struct route gone[] = {
		{ .path = OWN, .answer = OK("17", "sip.u1.user = 18\n") },
		{ 0 },
	};
	static const struct route replaced[] = {
		{ .path = MODEL, .answer = OK("13", "call.max = 9\n") },
		{ .path = OWN, .answer = OK("17", "sip.u1.user = 18\n") },
		{ 0 },
	};
	static const struct route none[] = { { 0 } };

	(void)state;
	run(first, false);
	run(gone, false);
	assert_int_equal(w.report.err, 0);
	assert_int_equal(w.report.files[0].state, PROV_FS_KEPT);
	assert_int_equal(w.report.problems.n, 1);
	assert_string_equal(prov_get(w.store, "sip.proxy"), "one");
	assert_string_equal(prov_get(w.store, "sip.u1.user"), "18");
	run(replaced, false);
	assert_string_equal(prov_get(w.store, "sip.proxy"), "");
	/* A server that has nothing at all is a fault, as before. */
	run(none, false);
	assert_string_equal(w.report.class, "http.404");
	assert_string_equal(prov_get(w.store, "sip.u1.user"), "18");
}

static void
an_unchanged_set_is_not_transferred(void **state)
{
	static const struct route first[] = {
		{ .path = MODEL, .answer = OK("16", "sip.proxy = one\n") },
		{ .path = OWN, .answer = OK("17", "sip.u1.user = 17\n") },
		{ 0 },
	};
	static const struct route then[] = {
		{ .path = MODEL,
		    .needs = "\r\nIf-None-Match: \"e1\"\r\n",
		    .answer = "HTTP/1.1 304 Not Modified\r\n\r\n",
		    .refusal = "" },
		{ .path = OWN,
		    .needs = "\r\nIf-None-Match: \"e1\"\r\n",
		    .answer = "HTTP/1.1 304 Not Modified\r\n\r\n",
		    .refusal = "" },
		{ 0 },
	};
	static const struct route half[] = {
		{ .path = MODEL,
		    .answer = "HTTP/1.1 304 Not Modified\r\n\r\n" },
		{ .path = OWN, .answer = OK("17", "sip.u1.user = 18\n") },
		{ 0 },
	};

	(void)state;
	run(first, false);
	assert_true(w.report.applied);
	run(then, false);
	assert_int_equal(w.report.err, 0);
	assert_false(w.report.applied);
	assert_int_equal(w.report.files[0].state, PROV_FS_UNCHANGED);
	run(half, false);
	assert_int_equal(w.report.err, 0);
	assert_true(w.report.applied);
	assert_int_equal(w.report.num_changed, 1);
	assert_string_equal(prov_get(w.store, "sip.proxy"), "one");
	assert_string_equal(prov_get(w.store, "sip.u1.user"), "18");
	/* Another place: its tags mean nothing there. */
	set("prov.download.cfgpath", "x");
	run(first, false);
	assert_null(strstr(w.seen[0], "If-None-Match"));
}

static const struct {
	const char *why;
	struct route own;
	const char *class;
	int err;
	const char *text;
} failures[] = {
	{ "no such file anywhere", { .path = "/none" }, "http.404", E_PROV_HTTP,
	    "no configuration for this device" },
	{ "server error",
	    { .path = OWN,
		.answer = "HTTP/1.1 500 Oops\r\n"
			  "Content-Length: 0\r\n\r\n" },
	    "http.500", E_PROV_HTTP, "500" },
	{ "forbidden",
	    { .path = OWN,
		.answer = "HTTP/1.1 403 Forbidden\r\n"
			  "Content-Length: 2\r\n\r\nno" },
	    "http.403", E_PROV_HTTP, "device certificate" },
	{ "nginx without our certificate",
	    { .path = OWN,
		.answer = "HTTP/1.1 400 Bad Request\r\n"
			  "Content-Type: text/html\r\n"
			  "Connection: close\r\n\r\n<center>No "
			  "required SSL certificate was sent" },
	    "http.client_cert", E_PROV_HTTP, "device certificate" },
	{ "unexpected 304",
	    { .path = OWN, .answer = "HTTP/1.1 304 Not Modified\r\n\r\n" },
	    "http.304", E_PROV_HTTP, "304" },
	{ "truncated",
	    { .path = OWN, .answer = OK("99", "sip.proxy = half\nsip.u1.us") },
	    "body.truncated", E_PROV_TRUNCATED,
	    "after 26 bytes of the 99 it announced" },
	{ "truncated chunk",
	    { .path = OWN,
		.answer = "HTTP/1.1 200 OK\r\n"
			  "Transfer-Encoding: chunked\r\n\r\n"
			  "20\r\nsip.proxy = half\n" },
	    "body.truncated", E_PROV_TRUNCATED, "bytes, before its end" },
	{ "too large, announced",
	    { .path = OWN, .answer = OK("99999999", "#"), .zeros = 3 << 20 },
	    "body.too_large", E_LIMIT, "1 MiB" },
	{ "too large, unannounced",
	    { .path = OWN,
		.answer = "HTTP/1.1 200 OK\r\n\r\n#",
		.zeros = 3 << 20 },
	    "body.too_large", E_LIMIT, "1 MiB" },
	{ "login page",
	    { .path = OWN,
		.answer = "HTTP/1.1 200 OK\r\n"
			  "Content-Type: text/html; charset=x\r\n"
			  "Content-Length: 16\r\n\r\n"
			  "sip.proxy = evil" },
	    "body.not_conf", E_PROV_NOT_CONF, "text/html" },
	{ "HTML as text", { .path = OWN, .answer = OK("6", "<html>") },
	    "body.not_conf", E_PROV_NOT_CONF, "HTML" },
	{ "empty", { .path = OWN, .answer = OK("0", "") }, "body.not_conf",
	    E_PROV_NOT_CONF, "0 bytes" },
	{ "bad value",
	    { .path = OWN,
		.answer = OK("30", "sip.proxy = x\nsip.transp = tsl\n") },
	    "conf.bad", E_PROV_CONF, "algom0022eeaabbcc.conf:2:14" },
	{ "redirect loop",
	    { .path = OWN,
		.answer = "HTTP/1.1 302 Found\r\nLocation: " OWN
			  "\r\nContent-Length: 0\r\n\r\n" },
	    "http.redirect", E_PROV_HTTP, "five times" },
	{ "redirect to nowhere",
	    { .path = OWN,
		.answer = "HTTP/1.1 302 Found\r\nLocation: ftp://x/\r\n"
			  "Content-Length: 0\r\n\r\n" },
	    "http.redirect", E_PROV_HTTP, "where to" },
	{ "redirect to TLS on another port",
	    { .path = OWN,
		.answer = "HTTP/1.1 302 Found\r\nLocation: "
			  "https://127.0.0.1/x\r\n"
			  "Content-Length: 0\r\n\r\n" },
	    "http.redirect", E_PROV_HTTP, "another host, port or scheme" },
	{ "closes without a word", { .path = OWN, .answer = "" }, "http.closed",
	    E_CLOSED, "without an answer" },
	{ "not HTTP", { .path = OWN, .answer = "SIP/2.0 400 Bad\r\n\r\n" },
	    "http.malformed", E_PARSE, "HTTP" },
	{ "Basic is not answered in clear",
	    { .path = OWN,
		.answer = "HTTP/1.1 401 No\r\nWWW-Authenticate: "
			  "Basic realm=\"x\"\r\n"
			  "Content-Length: 0\r\n\r\n" },
	    "http.401", E_PROV_HTTP, "prov.auth.user" },
};

/* Whatever goes wrong, the settings stay and the report says what it was. */
static void
failures_leave_the_settings(void **state)
{
	static const struct route good[] = {
		{ .path = OWN, .answer = OK("17", "sip.proxy = good\n") },
		{ 0 },
	};
	struct route bad[3];

	(void)state;
	run(good, false);
	assert_string_equal(prov_get(w.store, "sip.proxy"), "good");
	/* The stored tag must not be sent: 304 comes unasked below. */
	set("prov.auth.user", "u");
	set("prov.auth.pwd", "p");
	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		memset(bad, 0, sizeof(bad));
		bad[0] = failures[i].own;
		if (strcmp(failures[i].why, "unexpected 304") == 0) {
			bad[0].path = MODEL;
		} else if (i > 0) {
			bad[1].path = MODEL;
			bad[1].answer = OK("16", "sip.regexp = 99\n");
		}
		run(bad, false);
		if (w.report.err != failures[i].err ||
		    strcmp(w.report.class, failures[i].class) != 0 ||
		    strstr(w.report.text, failures[i].text) == NULL)
			fail_msg("%s: %d %s: %s", failures[i].why, w.report.err,
			    w.report.class, w.report.text);
		assert_false(w.report.applied);
		assert_non_null(
		    strstr(w.report.text, "the settings stay as they are"));
		assert_string_equal(prov_get(w.store, "sip.proxy"), "good");
		assert_string_equal(prov_get(w.store, "sip.regexp"), "3600");
		for (size_t k = 0; k < w.num_seen; k++)
			assert_null(strstr(w.seen[k], "Basic"));
	}
}

/* Who decides logs (style 3.5): one line for the run, each problem once. */
static void
a_refusal_is_logged_once(void **state)
{
	static const struct route bad[] = {
		{ .path = OWN,
		    .answer = OK("55",
			"sip.prxoy = x\nsip.transp = tsl\nsip.srtp none\n"
			"sip.sips=2\n") },
		{ 0 },
	};
	static const char *const once[] = { "class=conf.bad", "sip.prxoy",
		"tsl", "after sip.srtp", "for sip.sips", ":2:14: ", ":3:1: " };

	(void)state;
	memset(&logged, 0, sizeof(logged));
	log_set_sink(keep, NULL);
	run(bad, false);
	log_set_sink(quiet, NULL);
	assert_int_equal(w.num_problems, 4);
	for (size_t i = 0; i < sizeof(once) / sizeof(once[0]); i++)
		if (times(once[i]) != 1)
			fail_msg("%s %zu times: %s", once[i], times(once[i]),
			    logged.text);
	assert_int_equal(logged.lines, 4);
}

static void
a_redirect_on_the_same_host_is_followed(void **state)
{
	static const struct route routes[] = {
		{ .path = MODEL,
		    .answer = "HTTP/1.1 301 Moved\r\nLocation: x/y.conf\r\n"
			      "Content-Length: 0\r\n\r\n" },
		{ .path = "/x/y.conf",
		    .answer = "HTTP/1.1 307 Moved\r\nLocation: /z?a=1#b\r\n"
			      "Content-Length: 0\r\n\r\n" },
		{ .path = "/z?a=1", .answer = OK("16", "sip.proxy = one\n") },
		{ 0 },
	};

	(void)state;
	run(routes, false);
	assert_int_equal(w.report.err, 0);
	assert_string_equal(prov_get(w.store, "sip.proxy"), "one");
}

static void
a_redirect_elsewhere_must_not_see_the_password(void **state)
{
	static const struct route routes[] = {
		{ .path = MODEL,
		    .answer = "HTTP/1.1 302 Found\r\nLocation: "
			      "http://127.0.0.2:1/\r\n"
			      "Content-Length: 0\r\n\r\n" },
		{ 0 },
	};
	static const struct route port[] = {
		{ .path = MODEL,
		    .answer = "HTTP/1.1 302 Found\r\nLocation: "
			      "http://127.0.0.1:1/\r\n"
			      "Content-Length: 0\r\n\r\n" },
		{ 0 },
	};
	static const struct route scheme[] = {
		{ .path = MODEL,
		    .answer = "HTTP/1.1 302 Found\r\nLocation: "
			      "https://127.0.0.1/x\r\n"
			      "Content-Length: 0\r\n\r\n" },
		{ 0 },
	};
	const struct route *const all[] = { routes, port };

	(void)state;
	set("prov.auth.user", "u");
	set("prov.auth.pwd", "p");
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		run(all[i], false);
		assert_string_equal(w.report.class, "http.redirect");
		assert_non_null(strstr(w.report.text, "password"));
	}
	/* Without a password there is nothing to keep. */
	set("prov.auth.user", "");
	run(port, false);
	assert_string_equal(w.report.class, "tcp.refused");
	run(scheme, false);
	assert_string_equal(w.report.class, "tls.policy");
	assert_int_equal(w.report.err, E_TLS_PARAM);
}

static void
a_protection_space_ends_with_its_origin(void **state)
{
	static const struct {
		const char *why;
		struct url from, to;
		bool keeps;
	} v[] = {
		{ "the same", { true, 443, "a.example", "/x" },
		    { true, 443, "A.EXAMPLE", "/y" }, true },
		{ "another host", { true, 443, "a.example", "/" },
		    { true, 443, "b.example", "/" }, false },
		{ "another port", { true, 443, "a.example", "/" },
		    { true, 8443, "a.example", "/" }, false },
		{ "an http port", { false, 80, "a.example", "/" },
		    { false, 8080, "a.example", "/" }, false },
		{ "to https", { false, 80, "a.example", "/" },
		    { true, 443, "a.example", "/" }, true },
		{ "to https elsewhere", { false, 80, "a.example", "/" },
		    { true, 8443, "a.example", "/" }, false },
		{ "to https from elsewhere", { false, 8080, "a.example", "/" },
		    { true, 443, "a.example", "/" }, false },
		{ "back to http", { true, 443, "a.example", "/" },
		    { false, 80, "a.example", "/" }, false },
		{ "the same port in clear", { true, 443, "a.example", "/" },
		    { false, 443, "a.example", "/" }, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++)
		if (url_keeps_origin(&v[i].from, &v[i].to) != v[i].keeps)
			fail_msg("%s", v[i].why);
}

/* quoted copies the value of name="value" in a request. */
static void
quoted(const char *request, const char *name, char *out, size_t size)
{
	char key[32];
	const char *p, *end;

	snprintf(key, sizeof(key), " %s=\"", name);
	assert_non_null(p = strstr(request, key));
	p += strlen(key);
	assert_non_null(end = strchr(p, '"'));
	assert_true((size_t)(end - p) < size);
	memcpy(out, p, (size_t)(end - p));
	out[end - p] = '\0';
}

/* RFC 7616 3.4: the server's side of the sum. */
static void
digest_answers_a_challenge(void **state)
{
	static const struct route routes[] = {
		{ .path = MODEL,
		    .needs = "\r\nAuthorization: Digest ",
		    .answer = OK("16", "sip.proxy = one\n"),
		    .refusal =
			"HTTP/1.1 401 No\r\n"
			"WWW-Authenticate: Basic realm=\"b\"\r\n"
			"WWW-Authenticate: Digest realm=\"r \\\"q\\\"\", "
			"nonce=\"m\", algorithm=MD5, qop=\"auth\"\r\n"
			"WWW-Authenticate: Digest qop=\"auth-int, auth\","
			"realm=\"r\", nonce=\"n0\", opaque=\"o\", "
			"algorithm=SHA-256\r\n"
			"Content-Length: 0\r\n\r\n" },
		{ 0 },
	};
	char a1[65], a2[65], sum[300], want[65], got[65], cnonce[64];

	(void)state;
	set("prov.auth.user", "us\"er");
	set("prov.auth.pwd", "pa:ss");
	run(routes, false);
	assert_int_equal(w.report.err, 0);
	assert_true(w.num_seen >= 2);
	assert_null(strstr(w.seen[0], "Authorization"));
	assert_non_null(strstr(w.seen[1], "username=\"us\\\"er\""));
	assert_non_null(strstr(w.seen[1], "opaque=\"o\""));
	assert_non_null(strstr(w.seen[1], "algorithm=SHA-256"));
	quoted(w.seen[1], "response", got, sizeof(got));
	quoted(w.seen[1], "cnonce", cnonce, sizeof(cnonce));
	tls_hash_hex(TLS_SHA256, "us\"er:r:pa:ss", 13, a1);
	tls_hash_hex(TLS_SHA256, "GET:" MODEL, strlen("GET:" MODEL), a2);
	snprintf(sum, sizeof(sum), "%s:n0:00000001:%s:auth:%s", a1, cnonce, a2);
	tls_hash_hex(TLS_SHA256, sum, strlen(sum), want);
	assert_string_equal(got, want);
}

static void
the_mac_in_capitals_is_tried_once(void **state)
{
	static const struct route routes[] = {
		{ .path = "/algom0022EEAABBCC.conf",
		    .answer = OK("16", "sip.proxy = one\n") },
		{ 0 },
	};

	(void)state;
	run(routes, false);
	assert_int_equal(w.report.err, 0);
	assert_int_equal(w.report.files[1].state, PROV_FS_FETCHED);
	assert_string_equal(w.report.files[1].name, "algom0022eeaabbcc.conf");
	assert_int_equal(w.num_seen, 3);
}

static void
a_dry_run_applies_nothing(void **state)
{
	static const struct route routes[] = {
		{ .path = MODEL,
		    .answer = OK("25", "sip.proxy = one\nsip.x = 1\n") },
		{ 0 },
	};

	(void)state;
	run(routes, true);
	assert_int_equal(w.report.err, 0);
	assert_false(w.report.applied);
	assert_int_equal(w.num_problems, 1);
	assert_non_null(strstr(w.problem, "unknown key sip.x"));
	assert_string_equal(prov_get(w.store, "sip.proxy"), "");
}

static void
nobody_listens(void **state)
{
	static const struct route none[] = { { 0 } };
	char text[64];

	(void)state;
	io_stop(&w.io);
	close(w.fd);
	w.fd = socket(AF_INET, SOCK_STREAM, 0);
	snprintf(text, sizeof(text), "127.0.0.1:%u", w.port);
	set("prov.server.static", text);
	run(none, false);
	assert_int_equal(w.report.err, ECONNREFUSED);
	assert_string_equal(w.report.class, "tcp.refused");
}

/* localhost is ::1 as well, where nobody listens. */
static void
the_next_address_is_tried(void **state)
{
	static const struct route routes[] = {
		{ .path = MODEL, .answer = OK("16", "sip.proxy = one\n") },
		{ 0 },
	};
	char text[64];

	(void)state;
	snprintf(text, sizeof(text), "localhost:%u", w.port);
	set("prov.server.static", text);
	run(routes, false);
	assert_int_equal(w.report.err, 0);
	assert_string_equal(prov_get(w.store, "sip.proxy"), "one");
}

static void
starts_only_with_a_server(void **state)
{
	static const struct {
		const char *key, *value;
		int want;
		const char *why;
	} v[] = {
		{ "prov.use", "0", E_PROV_DISABLED, "prov.use" },
		{ "prov.server.static", "", EINVAL, "prov.server.static" },
		{ "prov.server.method", "66", EINVAL, "prov.server.method" },
		{ "prov.download.method", "tftp", EINVAL,
		    "prov.download.method" },
	};
	char why[200];

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		char was[64];

		snprintf(was, sizeof(was), "%s", prov_get(w.store, v[i].key));
		set(v[i].key, v[i].value);
		assert_int_equal(start(false, why, sizeof(why)), v[i].want);
		assert_non_null(strstr(why, v[i].why));
		assert_null(w.run);
		set(v[i].key, was);
	}
	set("prov.download.method", "https");
	assert_int_equal(start(false, why, sizeof(why)), E_TLS_PARAM);
}

static void
a_stopped_run_is_silent(void **state)
{
	static const struct route none[] = { { 0 } };
	char why[200];

	(void)state;
	w.routes = none;
	assert_int_equal(start(false, why, sizeof(why)), 0);
	prov_run_stop(&w.run);
	assert_null(w.run);
	prov_run_stop(&w.run);
	assert_false(w.reported);
}

static void
the_report_becomes_json(void **state)
{
	static const struct route routes[] = {
		{ .path = MODEL, .answer = OK("16", "sip.proxy = one\n") },
		{ 0 },
	};
	struct jv *o;

	(void)state;
	run(routes, false);
	memset(&w.report.problems, 0, sizeof(w.report.problems));
	o = prov_report_json(&w.report);
	assert_true(jv_ok(o));
	assert_true(jv_get_bool(o, "ok", false));
	assert_int_equal(jv_len(jv_get(o, "files")), 2);
	assert_string_equal(
	    jv_get_str(jv_at(jv_get(o, "files"), 1), "state"), "absent");
	assert_int_equal(jv_get_int(o, "changed", -1), 1);
	jv_free(o);
}

static void
on_posted(const struct prov_http_result *r, void *arg)
{
	*(struct prov_http_result *)arg = *r;
	loop_stop(w.loop);
}

/* And when to come back is heard. */
static void
a_post_sends_its_body_again_after_a_challenge(void **state)
{
	static const struct route routes[] = {
		{ .path = " /post", /* behind the T of POST */
		    .answer = "HTTP/1.1 202 Accepted\r\nRetry-After: 77\r\n"
			      "Content-Length: 0\r\n\r\n",
		    .needs = "Authorization: Digest ",
		    .refusal = "HTTP/1.1 401 No\r\nWWW-Authenticate: Digest "
			       "realm=\"r\", nonce=\"n\", qop=\"auth\"\r\n"
			       "Content-Length: 0\r\n\r\n" },
		{ 0 },
	};
	const struct prov_http_conf c = { .loop = w.loop,
		.dns = w.dns,
		.host = "127.0.0.1",
		.port = w.port,
		.path = "/post",
		.user = "u",
		.password = "p",
		.content_type = "application/pkcs10",
		.body = { "AAAA\r\n", 6 } };
	struct prov_http_result r = { .err = -1 };
	struct prov_http *h = NULL;

	(void)state;
	w.routes = routes;
	assert_int_equal(prov_http_post(&h, &c, on_posted, &r), 0);
	assert_int_equal(
	    timer_start(&w.guard, w.loop, 10000000, on_guard, NULL), 0);
	assert_int_equal(loop_run(w.loop), 0);
	timer_stop(&w.guard);
	assert_int_equal(r.err, 0);
	assert_int_equal(r.status, 202);
	assert_string_equal(r.retry_after, "77");
	assert_int_equal(w.num_seen, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_memory_equal(w.seen[i], "POST /post HTTP/1.1\r\n", 21);
		assert_non_null(strstr(w.seen[i], "\r\nContent-Length: 6\r\n"));
		assert_non_null(strstr(
		    w.seen[i], "\r\nContent-Type: application/pkcs10\r\n"));
		assert_non_null(strstr(w.seen[i], "\r\n\r\nAAAA\r\n"));
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(fetches_and_applies_all_files),
		T(asks_below_the_configured_path_and_for_incremental_files),
		T(a_file_that_is_gone_keeps_its_settings),
		T(an_unchanged_set_is_not_transferred),
		T(failures_leave_the_settings),
		T(a_refusal_is_logged_once),
		T(a_redirect_on_the_same_host_is_followed),
		T(a_redirect_elsewhere_must_not_see_the_password),
		cmocka_unit_test(a_protection_space_ends_with_its_origin),
		T(digest_answers_a_challenge),
		T(the_mac_in_capitals_is_tried_once),
		T(a_dry_run_applies_nothing),
		T(nobody_listens),
		T(the_next_address_is_tried),
		T(starts_only_with_a_server),
		T(a_stopped_run_is_silent),
		T(the_report_becomes_json),
		T(a_post_sends_its_body_again_after_a_challenge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
