/* SPDX-License-Identifier: ISC */
/* dns.c and dns_srv.c against a name server in this process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bellbird/buf.h"
#include "bellbird/dns.h"
#include "bellbird/udp.h"
#include "oom.h"

enum { T_A = 1, T_AAAA = 28, T_SRV = 33, GIVE_UP_US = 10000000 };

struct record {
	const char *name;
	int type;
	int rcode; /* 0: answer `data` */
	const char *data;
	size_t n;
};

#define BYTES(s) (s), sizeof(s) - 1

/* A name has all its records here; no entry: silence. */
static const struct record zone[] = {
	{ "both.test", T_A, 0, BYTES("\xc0\x00\x02\x01") },
	{ "both.test", T_AAAA, 0,
	    BYTES("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01") },
	{ "v4.test", T_A, 0, BYTES("\xc0\x00\x02\x02") },
	{ "v4.test", T_AAAA, 0, NULL, 0 },
	{ "none.test", T_A, 3, NULL, 0 },
	{ "none.test", T_AAAA, 3, NULL, 0 },
	{ "empty.test", T_A, 0, NULL, 0 },
	{ "empty.test", T_AAAA, 0, NULL, 0 },
	{ "broken.test", T_A, 2, NULL, 0 },
	{ "broken.test", T_AAAA, 2, NULL, 0 },
	{ "_sips._tcp.srv.test", T_SRV, 0,
	    BYTES("\0\x14\0\0\x13\xc5\4last\4test\0") },
	{ "_sips._tcp.srv.test", T_SRV, 0,
	    BYTES("\0\x0a\0\x4b\x13\xc4\5heavy\4test\0") },
	{ "_sips._tcp.srv.test", T_SRV, 0,
	    BYTES("\0\x0a\0\x19\x13\xc4\5light\4test\0") },
	{ "_sips._tcp.srv.test", T_SRV, 0,
	    BYTES("\0\x0a\0\0\x13\xc4\4zero\4test\0") },
	{ "_none._tcp.srv.test", T_SRV, 0, BYTES("\0\0\0\0\0\0\0") },
	{ "_odd._tcp.srv.test", T_SRV, 0,
	    BYTES("\0\x0a\0\0\x13\xc4\6a b\"\nc\4test\0") },
	{ "_cut._tcp.srv.test", T_SRV, 0, BYTES("\0\x0a\0") },
	{ "_long._tcp.srv.test", T_SRV, 0,
	    BYTES("\0\x0a\0\0\x13\xc4\4zero\4test\0junk") },
	{ "_loop._tcp.srv.test", T_SRV, 0,
	    BYTES("\0\x0a\0\0\x13\xc4\xc0\xff") },
	{ "_no._tcp.srv.test", T_SRV, 3, NULL, 0 },
};

static struct loop *l;
static struct udp *server;
static struct dns *d;
static char servers[ADDR_STR_MAX];
static unsigned int asked;

/* Reads the name of a question; returns the bytes it took. */
static size_t
question(const uint8_t *p, size_t n, char *out, size_t size, int *type)
{
	size_t at = 12, used = 0;

	while (at < n && p[at] != 0) {
		assert_true(at + p[at] + 1 < n);
		assert_true(used + p[at] + 2 < size);
		if (used > 0)
			out[used++] = '.';
		memcpy(out + used, p + at + 1, p[at]);
		used += p[at];
		at += p[at] + 1U;
	}
	out[used] = '\0';
	assert_true(at + 5 <= n);
	*type = p[at + 1] << 8 | p[at + 2];
	return at + 5;
}

static void
put(struct buf *b, const void *p, size_t n)
{
	assert_int_equal(buf_add(b, p, n), 0);
}

static void
on_question(
    struct udp *u, uint8_t *p, size_t n, const struct addr *from, void *arg)
{
	char name[300];
	const struct record *r;
	uint8_t answers = 0, rcode = 0, fix[2];
	bool known = false;
	struct buf b;
	size_t end;
	int type;

	(void)arg;
	asked++;
	end = question(p, n, name, sizeof(name), &type);
	buf_init(&b, 4096);
	put(&b, p, end);
	for (size_t i = 0; i < sizeof(zone) / sizeof(zone[0]); i++) {
		r = &zone[i];
		if (strcmp(r->name, name) != 0 || r->type != type)
			continue;
		known = true;
		rcode = (uint8_t)r->rcode;
		if (r->data == NULL)
			continue;
		answers++;
		put(&b, BYTES("\xc0\x0c\0"));
		fix[0] = (uint8_t)type;
		put(&b, fix, 1);
		put(&b, BYTES("\0\1\0\0\1\x2c\0")); /* IN, 300 s */
		fix[0] = (uint8_t)r->n;
		put(&b, fix, 1);
		put(&b, r->data, r->n);
	}
	b.p[2] = 0x85;
	b.p[3] = (uint8_t)(0x80 | rcode);
	memset(b.p + 6, 0, 6);
	b.p[7] = answers;
	if (known)
		assert_int_equal(udp_send(u, b.p, b.n, from), 0);
	buf_clear(&b);
}

static int
set_up(void **state)
{
	struct addr a;

	(void)state;
	if (loop_new(&l) != 0 || addr_parse(&a, slice_of("127.0.0.1"), 0) != 0)
		return -1;
	if (udp_open(&server, l, &a, 0, on_question, NULL) != 0)
		return -1;
	udp_local(server, &a);
	addr_print(&a, servers);
	asked = 0;
	return dns_new(&d, l, servers);
}

static int
tear_down(void **state)
{
	(void)state;
	dns_free(d);
	udp_free(server);
	loop_free(l);
	return 0;
}

/* What the last answer was. */
static struct {
	unsigned int calls;
	int err;
	size_t num;
	struct addr as[DNS_ADDRS_MAX];
	struct dns_srv srvs[DNS_SRVS_MAX];
} got;

static void
on_addrs(int err, const struct addr *as, size_t num, void *arg)
{
	(void)arg;
	got.calls++;
	got.err = err;
	got.num = num;
	assert_true(num <= DNS_ADDRS_MAX);
	if (num > 0)
		memcpy(got.as, as, num * sizeof(*as));
	loop_stop(l);
}

static void
on_srvs(int err, const struct dns_srv *srvs, size_t num, void *arg)
{
	(void)arg;
	got.calls++;
	got.err = err;
	got.num = num;
	assert_true(num <= DNS_SRVS_MAX);
	if (num > 0)
		memcpy(got.srvs, srvs, num * sizeof(*srvs));
	loop_stop(l);
}

static void
on_give_up(void *arg)
{
	(void)arg;
	fail_msg("no answer in time");
}

/* Runs the loop until an answer came. */
static void
run(void)
{
	struct timer t;

	memset(&t, 0, sizeof(t));
	assert_int_equal(timer_start(&t, l, GIVE_UP_US, on_give_up, NULL), 0);
	got.calls = 0;
	assert_int_equal(loop_run(l), 0);
	timer_stop(&t);
	assert_int_equal(got.calls, 1);
}

static bool
has_addr(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(&a, slice_of(text), 0), 0);
	for (size_t i = 0; i < got.num; i++) {
		if (addr_eq(&a, &got.as[i]))
			return true;
	}
	return false;
}

static void
literals_are_answered_without_asking(void **state)
{
	static const struct {
		const char *host, *first, *second;
	} v[] = {
		{ "192.0.2.7", "192.0.2.7:5061", NULL },
		{ "2001:db8::7", "[2001:db8::7]:5061", NULL },
		{ "[2001:db8::7]", "[2001:db8::7]:5061", NULL },
		{ "localhost", "127.0.0.1:5061", "[::1]:5061" },
		{ "LocalHost.", "127.0.0.1:5061", "[::1]:5061" },
		{ "pbx.localhost", "127.0.0.1:5061", "[::1]:5061" },
	};
	struct dns_query *q = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		got.calls = 0;
		assert_int_equal(
		    dns_addr(&q, d, v[i].host, 5061, on_addrs, NULL), 0);
		assert_non_null(q);
		assert_int_equal(got.calls, 0); /* never inside the call */
		run();
		assert_null(q);
		assert_int_equal(got.err, 0);
		assert_int_equal(got.num, v[i].second ? 2 : 1);
		assert_true(has_addr(v[i].first));
		assert_true(v[i].second == NULL || has_addr(v[i].second));
	}
	assert_int_equal(asked, 0);
}

static void
asks_for_both_families(void **state)
{
	static const struct {
		const char *host;
		int err;
		size_t num;
		const char *addr;
	} v[] = {
		{ "both.test", 0, 2, "192.0.2.1:9" },
		{ "both.test", 0, 2, "[2001:db8::1]:9" },
		{ "v4.test", 0, 1, "192.0.2.2:9" },
		{ "none.test", E_DNS_NXDOMAIN, 0, NULL },
		{ "empty.test", E_DNS_NODATA, 0, NULL },
		{ "broken.test", E_DNS_FAIL, 0, NULL },
	};
	struct dns_query *q = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		print_message("%s\n", v[i].host);
		assert_int_equal(
		    dns_addr(&q, d, v[i].host, 9, on_addrs, NULL), 0);
		run();
		assert_null(q);
		assert_int_equal(got.err, v[i].err);
		assert_int_equal(got.num, v[i].num);
		assert_true(v[i].addr == NULL || has_addr(v[i].addr));
	}
}

static void
services_are_ordered_by_priority_and_weight(void **state)
{
	unsigned int heavy = 0, light = 0, zero = 0;
	struct dns_query *q = NULL;

	(void)state;
	for (int i = 0; i < 300; i++) {
		assert_int_equal(
		    dns_srv(&q, d, "_sips._tcp.srv.test", on_srvs, NULL), 0);
		run();
		assert_int_equal(got.err, 0);
		assert_int_equal(got.num, 4);
		assert_string_equal(got.srvs[3].target, "last.test");
		assert_int_equal(got.srvs[3].priority, 20);
		assert_int_equal(got.srvs[3].port, 5061);
		assert_int_equal(got.srvs[0].ttl_s, 300);
		assert_int_equal(got.srvs[0].priority, 10);
		heavy += strcmp(got.srvs[0].target, "heavy.test") == 0;
		light += strcmp(got.srvs[0].target, "light.test") == 0;
		zero += strcmp(got.srvs[0].target, "zero.test") == 0;
	}
	assert_int_equal(heavy + light + zero, 300);
	/* 223 : 74 : 3 expected; beyond these bounds once in a billion runs. */
	assert_in_range(heavy, 170, 270);
	assert_in_range(light, 30, 125);
	assert_in_range(zero, 0, 20);
}

static void
odd_services_are_refused(void **state)
{
	static const struct {
		const char *why, *name;
		int err;
	} v[] = {
		{ "no such service here", "_none._tcp.srv.test",
		    E_DNS_NO_SERVICE },
		{ "a target no host can have", "_odd._tcp.srv.test",
		    E_DNS_NODATA },
		{ "record cut", "_cut._tcp.srv.test", E_DNS_FAIL },
		{ "bytes behind the target", "_long._tcp.srv.test",
		    E_DNS_FAIL },
		{ "pointer out of the message", "_loop._tcp.srv.test",
		    E_DNS_FAIL },
		{ "no such name", "_no._tcp.srv.test", E_DNS_NXDOMAIN },
	};
	struct dns_query *q = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		print_message("%s\n", v[i].why);
		assert_int_equal(dns_srv(&q, d, v[i].name, on_srvs, NULL), 0);
		run();
		assert_int_equal(got.err, v[i].err);
		assert_int_equal(got.num, 0);
	}
}

static void
what_cannot_be_a_name_is_refused_at_once(void **state)
{
	static const char *const v[] = { "", "a b", "a\nb", "a/b", "a:1",
		"\xc3\xa9.test", "a@b", "[::1" };
	struct dns_query *q = NULL;
	char longer[300];

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		assert_int_equal(
		    dns_addr(&q, d, v[i], 1, on_addrs, NULL), E_PARSE);
		assert_int_equal(dns_srv(&q, d, v[i], on_srvs, NULL), E_PARSE);
		assert_null(q);
	}
	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(dns_addr(&q, d, longer, 1, on_addrs, NULL), E_PARSE);
}

static void
stop_loop(void *arg)
{
	(void)arg;
	loop_stop(l);
}

static void
a_stopped_query_is_silent(void **state)
{
	struct dns_query *a = NULL, *b = NULL, *c = NULL;
	struct timer t;

	(void)state;
	memset(&t, 0, sizeof(t));
	got.calls = 0;
	assert_int_equal(dns_addr(&a, d, "both.test", 1, on_addrs, NULL), 0);
	assert_int_equal(
	    dns_addr(&a, d, "both.test", 1, on_addrs, NULL), EALREADY);
	assert_int_equal(dns_addr(&b, d, "127.0.0.1", 1, on_addrs, NULL), 0);
	assert_int_equal(dns_srv(&c, d, "_s._t.silent", on_srvs, NULL), 0);
	dns_stop(&a);
	dns_stop(&b);
	dns_stop(&c);
	dns_stop(&c);
	assert_null(a);
	assert_int_equal(timer_start(&t, l, 50000, stop_loop, NULL), 0);
	assert_int_equal(loop_run(l), 0);
	assert_int_equal(got.calls, 0);
	/* The channel still works, and may end with queries in flight. */
	assert_int_equal(dns_addr(&a, d, "v4.test", 1, on_addrs, NULL), 0);
	run();
	assert_int_equal(got.num, 1);
	got.calls = 0;
	assert_int_equal(dns_srv(&c, d, "_s._t.silent", on_srvs, NULL), 0);
	assert_int_equal(dns_addr(&b, d, "127.0.0.1", 1, on_addrs, NULL), 0);
	dns_free(d);
	d = NULL;
	assert_null(b);
	assert_null(c);
	assert_int_equal(timer_start(&t, l, 1000, stop_loop, NULL), 0);
	assert_int_equal(loop_run(l), 0);
	assert_int_equal(got.calls, 0);
}

static void
free_dns(int err, const struct addr *as, size_t num, void *arg)
{
	on_addrs(err, as, num, arg);
	dns_free(d);
	d = NULL;
}

static void
a_callback_may_free_the_resolver(void **state)
{
	struct dns_query *q = NULL;

	(void)state;
	assert_int_equal(dns_addr(&q, d, "both.test", 1, free_dns, NULL), 0);
	run();
	assert_int_equal(got.num, 2);
}

static void
a_dead_server_is_an_error(void **state)
{
	struct dns_query *q = NULL;

	(void)state;
	udp_free(server);
	server = NULL;
	assert_int_equal(dns_addr(&q, d, "both.test", 1, on_addrs, NULL), 0);
	run();
	assert_int_equal(got.err, E_DNS_FAIL);
}

static void
bad_servers_are_named_at_the_first_query(void **state)
{
	struct dns_query *q = NULL;
	struct dns *bad;

	(void)state;
	assert_int_equal(dns_new(&bad, l, "not an address"), 0);
	assert_int_equal(
	    dns_addr(&q, bad, "both.test", 1, on_addrs, NULL), E_PARSE);
	assert_null(q);
	dns_free(bad);
}

static void
note_err(int err, const struct addr *as, size_t num, void *arg)
{
	(void)as;
	(void)num;
	*(int *)arg = err;
	loop_stop(l);
}

static int
build(void *arg)
{
	struct dns_query *q = NULL;
	struct dns *x;
	int err, result = -1;

	(void)arg;
	if ((err = dns_new(&x, l, servers)) != 0)
		return err;
	err = dns_addr(&q, x, "localhost", 1, note_err, &result);
	if (err == 0 && (err = loop_run(l)) == 0)
		err = result;
	if (err == 0)
		err = dns_addr(&q, x, "v4.test", 1, note_err, &result);
	dns_free(x);
	return err;
}

static void
survives_every_oom(void **state)
{
	(void)state;
	assert_true(oom_each(build, NULL) >= 4);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(literals_are_answered_without_asking),
		T(asks_for_both_families),
		T(services_are_ordered_by_priority_and_weight),
		T(odd_services_are_refused),
		T(what_cannot_be_a_name_is_refused_at_once),
		T(a_stopped_query_is_silent),
		T(a_callback_may_free_the_resolver),
		T(a_dead_server_is_an_error),
		T(bad_servers_are_named_at_the_first_query),
		T(survives_every_oom),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
