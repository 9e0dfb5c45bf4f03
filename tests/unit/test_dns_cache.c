/* SPDX-License-Identifier: ISC */
/* What the resolver keeps and in which order it gives it, in fake time,
 * against a name server in this process. */
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
#include "bellbird/clock.h"
#include "bellbird/log.h"
#include "bellbird/udp.h"

#include "../../base/dns_internal.h"

enum { T_A = 1, T_CNAME = 5, T_SOA = 6, T_AAAA = 28, T_SRV = 33, T_NAPTR = 35 };

struct record {
	const char *name;
	int asked, type; /* what the question was, and what the answer is */
	uint32_t ttl_s;
	const char *data; /* NULL: NXDOMAIN */
	size_t n;
};

#define BYTES(s) (s), sizeof(s) - 1

static const struct record zone[] = {
	{ "a.test", T_A, T_A, 30, BYTES("\xc0\x00\x02\x01") },
	{ "zero.test", T_A, T_A, 0, BYTES("\xc0\x00\x02\x02") },
	{ "long.test", T_A, T_A, 400000, BYTES("\xc0\x00\x02\x03") },
	{ "none.test", T_A, T_A, 0, NULL, 0 },
	{ "_s._tcp.none.test", T_SRV, T_SOA, 50,
	    BYTES("\1x\0\1y\0\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\x14") },
	{ "_s._tcp.srv.test", T_SRV, T_SRV, 40,
	    BYTES("\0\x0a\0\x4b\x13\xc4\5heavy\4test\0") },
	{ "_s._tcp.srv.test", T_SRV, T_SRV, 20,
	    BYTES("\0\x0a\0\x19\x13\xc4\5light\4test\0") },
	{ "naptr.test", T_NAPTR, T_NAPTR, 60,
	    BYTES("\0\x32\0\x32\1s\7SIP+D2U\0\4_sip\4_udp\4test\0") },
	{ "naptr.test", T_NAPTR, T_NAPTR, 60,
	    BYTES("\0\x0a\0\x32\1s\7SIP+D2T\0\4_sip\4_tcp\4test\0") },
	{ "naptr.test", T_NAPTR, T_NAPTR, 60,
	    BYTES("\0\x0a\0\x05\1S\10SIPS+D2T\0\5_sips\4_tcp\4test\0") },
	{ "naptr.test", T_NAPTR, T_NAPTR, 60,
	    BYTES("\0\1\0\1\1u\7E2U+sip\x0b!^.*$!sip:!\0") },
	{ "cut.test", T_NAPTR, T_NAPTR, 60, BYTES("\0\1\0\1\1s\x40SIP") },
	{ "over.test", T_NAPTR, T_NAPTR, 60, BYTES("\0\1\0\1\1s\1x\0\0junk") },
	{ "nul.test", T_NAPTR, T_NAPTR, 60, BYTES("\0\1\0\1\1s\2x\0\0\1a\0") },
	{ "regexp.test", T_NAPTR, T_NAPTR, 60, BYTES("\0\1\0\1\1u\1x\1y\0") },
};

static struct loop *l;
static struct udp *server;
static struct dns *d;
static char servers[ADDR_STR_MAX];
static unsigned int asked;
static bool silent, broken;

static void
put(struct buf *b, const void *p, size_t n)
{
	assert_int_equal(buf_add(b, p, n), 0);
}

static void
put32(struct buf *b, uint32_t v)
{
	uint8_t p[4] = { (uint8_t)(v >> 24), (uint8_t)(v >> 16),
		(uint8_t)(v >> 8), (uint8_t)v };

	put(b, p, 4);
}

static void
on_question(
    struct udp *u, uint8_t *p, size_t n, const struct addr *from, void *arg)
{
	char name[300];
	uint8_t counts[2] = { 0, 0 }, rcode = 0, fix[2];
	size_t at = 12, used = 0;
	struct buf b;
	int type;

	(void)arg;
	while (at < n && p[at] != 0) {
		if (used > 0)
			name[used++] = '.';
		memcpy(name + used, p + at + 1, p[at]);
		used += p[at];
		at += p[at] + 1U;
	}
	name[used] = '\0';
	type = p[at + 2];
	if (type != T_AAAA)
		asked++;
	if (silent)
		return;
	buf_init(&b, 4096);
	put(&b, p, at + 5);
	for (size_t i = 0; i < sizeof(zone) / sizeof(zone[0]); i++) {
		const struct record *r = &zone[i];

		if (strcmp(r->name, name) != 0 || r->asked != type)
			continue;
		if (r->data == NULL || r->type == T_SOA)
			rcode = 3;
		if (r->data == NULL)
			continue;
		counts[r->type == T_SOA]++;
		put(&b, BYTES("\xc0\x0c\0"));
		fix[0] = (uint8_t)r->type;
		put(&b, fix, 1);
		put(&b, BYTES("\0\1"));
		put32(&b, r->ttl_s);
		fix[0] = 0;
		fix[1] = (uint8_t)r->n;
		put(&b, fix, 2);
		put(&b, r->data, r->n);
	}
	b.p[2] = 0x85;
	b.p[3] = (uint8_t)(0x80 | (broken ? 2 : rcode));
	memset(b.p + 6, 0, 6);
	b.p[7] = counts[0];
	b.p[9] = counts[1];
	assert_int_equal(udp_send(u, b.p, b.n, from), 0);
	buf_clear(&b);
}

static int
set_up(void **state)
{
	struct addr a;

	(void)state;
	clock_fake(1800000000);
	log_set_level(LOGL_ERR);
	silent = broken = false;
	asked = 0;
	if (loop_new(&l) != 0 || addr_parse(&a, slice_of("127.0.0.1"), 0) != 0)
		return -1;
	if (udp_open(&server, l, &a, 0, on_question, NULL) != 0)
		return -1;
	udp_local(server, &a);
	addr_print(&a, servers);
	return dns_new(&d, l, servers);
}

static int
tear_down(void **state)
{
	(void)state;
	dns_free(d);
	udp_free(server);
	loop_free(l);
	clock_real();
	return 0;
}

static struct {
	bool done;
	int err;
	size_t num;
	struct addr as[DNS_ADDRS_MAX];
	struct dns_srv srvs[DNS_SRVS_MAX];
	struct dns_naptr naptrs[DNS_NAPTRS_MAX];
} got;

static void
end(int err, size_t num)
{
	got.done = true;
	got.err = err;
	got.num = num;
	loop_stop(l);
}

static void
on_addrs(int err, const struct addr *as, size_t num, void *arg)
{
	(void)arg;
	memcpy(got.as, as, num * sizeof(*as));
	end(err, num);
}

static void
on_srvs(int err, const struct dns_srv *srvs, size_t num, void *arg)
{
	(void)arg;
	if (num > 0)
		memcpy(got.srvs, srvs, num * sizeof(*srvs));
	end(err, num);
}

static void
on_naptrs(int err, const struct dns_naptr *ns, size_t num, void *arg)
{
	(void)arg;
	if (num > 0)
		memcpy(got.naptrs, ns, num * sizeof(*ns));
	end(err, num);
}

/* Asks and waits; the fake clock does not move.  Returns how many questions
 * reached the server. */
static unsigned int
ask(enum dns_kind kind, const char *name)
{
	struct dns_query *q = NULL;
	unsigned int before = asked;
	int err;

	got.done = false;
	err = kind == DNS_ADDR ? dns_addr(&q, d, name, 9, on_addrs, NULL)
	    : kind == DNS_SRV  ? dns_srv(&q, d, name, on_srvs, NULL)
			       : dns_naptr(&q, d, name, on_naptrs, NULL);
	assert_int_equal(err, 0);
	assert_false(got.done); /* never inside the call */
	for (int i = 0; i < 20000 && !got.done; i++)
		loop_fake_run(l, silent ? 1000 : 0);
	assert_true(got.done);
	assert_null(q);
	return asked - before;
}

static void
after(int64_t s)
{
	clock_step_us(s * 1000000);
}

static void
answers_hold_as_long_as_they_say(void **state)
{
	(void)state;
	assert_int_equal(ask(DNS_ADDR, "a.test"), 1);
	assert_int_equal(ask(DNS_ADDR, "A.Test"), 0);
	assert_int_equal(got.num, 1);
	assert_int_equal(addr_port(&got.as[0]), 9);
	after(29);
	assert_int_equal(ask(DNS_ADDR, "a.test"), 0);
	after(1);
	assert_int_equal(ask(DNS_ADDR, "a.test"), 1);
	/* 0: for this one request */
	assert_int_equal(ask(DNS_ADDR, "zero.test"), 1);
	assert_int_equal(ask(DNS_ADDR, "zero.test"), 1);
	/* nobody is believed for more than a day */
	assert_int_equal(ask(DNS_ADDR, "long.test"), 1);
	after(86399);
	assert_int_equal(ask(DNS_ADDR, "long.test"), 0);
	after(1);
	assert_int_equal(ask(DNS_ADDR, "long.test"), 1);
	/* the shortest of several records counts */
	assert_int_equal(ask(DNS_SRV, "_s._tcp.srv.test"), 1);
	after(19);
	assert_int_equal(ask(DNS_SRV, "_s._tcp.srv.test"), 0);
	assert_int_equal(got.num, 2);
	after(1);
	assert_int_equal(ask(DNS_SRV, "_s._tcp.srv.test"), 1);
}

static void
that_there_is_nothing_holds_as_the_zone_says(void **state)
{
	(void)state;
	/* SOA: 50 s, minimum 20 s (RFC 2308 5) */
	assert_int_equal(ask(DNS_SRV, "_s._tcp.none.test"), 1);
	assert_int_equal(got.err, E_DNS_NXDOMAIN);
	after(19);
	assert_int_equal(ask(DNS_SRV, "_s._tcp.none.test"), 0);
	assert_int_equal(got.err, E_DNS_NXDOMAIN);
	after(1);
	assert_int_equal(ask(DNS_SRV, "_s._tcp.none.test"), 1);
	/* without SOA: not at all */
	assert_int_equal(ask(DNS_SRV, "_s._tcp.nowhere.test"), 1);
	assert_int_equal(ask(DNS_SRV, "_s._tcp.nowhere.test"), 1);
}

static void
what_is_old_beats_no_answer(void **state)
{
	(void)state;
	assert_int_equal(ask(DNS_ADDR, "a.test"), 1);
	assert_int_equal(ask(DNS_SRV, "_s._tcp.srv.test"), 1);
	after(3600);
	broken = true;
	assert_true(ask(DNS_ADDR, "a.test") >= 1);
	assert_int_equal(got.err, 0);
	assert_int_equal(got.num, 1);
	assert_int_equal(addr_port(&got.as[0]), 9);
	/* the servers have their peace for 30 s */
	after(29);
	assert_int_equal(ask(DNS_ADDR, "a.test"), 0);
	after(1);
	assert_true(ask(DNS_ADDR, "a.test") >= 1);
	assert_true(ask(DNS_SRV, "_s._tcp.srv.test") >= 1);
	assert_int_equal(got.err, 0);
	assert_int_equal(got.num, 2);
	/* not for ever */
	after(86400);
	assert_true(ask(DNS_ADDR, "a.test") >= 1);
	assert_int_equal(got.err, E_DNS_FAIL);
	/* and a server that says no is believed */
	broken = false;
	assert_int_equal(ask(DNS_ADDR, "a.test"), 1);
	assert_int_equal(got.err, 0);
}

static void
the_cache_is_bounded(void **state)
{
	struct dns_cache c;
	struct addr a = { .u.in.sin_family = AF_INET };
	struct dns_found f = { .num = 1, .v = &a, .ttl_s = 60 };
	char name[32];

	(void)state;
	dns_cache_init(&c);
	for (int i = 0; i < 3 * DNS_CACHE_MAX; i++) {
		(void)snprintf(name, sizeof(name), "h%d.test", i);
		dns_cache_put(&c, DNS_ADDR, name, &f);
		/* one that is used stays */
		assert_non_null(dns_cache_find(&c, DNS_ADDR, "h0.test"));
	}
	assert_int_equal(c.num, DNS_CACHE_MAX);
	assert_null(dns_cache_find(&c, DNS_ADDR, "h1.test"));
	assert_null(dns_cache_find(&c, DNS_SRV, "h0.test"));
	dns_cache_clear(&c);
	assert_int_equal(c.num, 0);
}

static void
naptr_comes_by_order_and_preference(void **state)
{
	static const char *const want[] = { "SIPS+D2T", "SIP+D2T", "SIP+D2U" };

	(void)state;
	assert_int_equal(ask(DNS_NAPTR, "naptr.test"), 1);
	assert_int_equal(got.err, 0);
	assert_int_equal(got.num, 3); /* not the one with a rule */
	for (size_t i = 0; i < 3; i++)
		assert_string_equal(got.naptrs[i].service, want[i]);
	assert_string_equal(got.naptrs[0].flags, "S");
	assert_string_equal(got.naptrs[0].replacement, "_sips._tcp.test");
	assert_int_equal(got.naptrs[2].order, 50);
	assert_int_equal(got.naptrs[2].preference, 50);
	assert_int_equal(ask(DNS_NAPTR, "naptr.test"), 0);
	assert_int_equal(got.num, 3);
}

static void
odd_naptr_answers_are_refused(void **state)
{
	static const struct {
		const char *why, *name;
		int err;
	} v[] = {
		{ "text cut", "cut.test", E_DNS_FAIL },
		{ "bytes behind the record", "over.test", E_DNS_FAIL },
		{ "a NUL in a text", "nul.test", E_DNS_FAIL },
		{ "only rules", "regexp.test", E_DNS_NODATA },
		{ "none", "nothing.test", E_DNS_NODATA },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		(void)ask(DNS_NAPTR, v[i].name);
		if (got.err != v[i].err)
			fail_msg("%s: %d", v[i].why, got.err);
	}
}

/* ---- RFC 2782 ---- */

static const uint32_t *draws;

static uint32_t
next_draw(uint32_t max)
{
	uint32_t v = *draws++;

	assert_true(v <= max);
	return v;
}

static void
weights_follow_rfc_2782_step_by_step(void **state)
{
	/* running sums with those of no weight first, as the RFC's example */
	static const struct {
		uint32_t draws[3];
		uint16_t want[4]; /* ports */
	} v[] = {
		{ { 0, 0, 0 }, { 1, 2, 3, 4 } },   /* 0: the weightless one */
		{ { 1, 0, 1 }, { 2, 1, 3, 4 } },   /* 1..10: the first */
		{ { 10, 0, 20 }, { 2, 1, 3, 4 } }, /* its last number */
		{ { 11, 0, 0 }, { 3, 1, 2, 4 } },  /* 11..30: the second */
		{ { 30, 41, 0 }, { 3, 4, 1, 2 } },
		{ { 31, 30, 10 }, { 4, 3, 2, 1 } },
		{ { 100, 30, 10 }, { 4, 3, 2, 1 } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct dns_srv s[5] = {
			{ .priority = 9, .port = 5 },
			{ .priority = 1, .weight = 0, .port = 1 },
			{ .priority = 1, .weight = 10, .port = 2 },
			{ .priority = 1, .weight = 20, .port = 3 },
			{ .priority = 1, .weight = 70, .port = 4 },
		};

		draws = v[i].draws;
		dns_srvs_order(s, 5, next_draw);
		for (size_t k = 0; k < 4; k++) {
			if (s[k].port != v[i].want[k])
				fail_msg("row %zu: %u at %zu", i, s[k].port, k);
		}
		assert_int_equal(s[4].port, 5); /* the other priority */
	}
}

static void
weights_are_met_on_the_average(void **state)
{
	enum { RUNS = 20000 };
	static const unsigned int weight[4] = { 10, 20, 30, 40 };
	unsigned int first[4] = { 0 };
	double chi = 0, want;

	(void)state;
	for (int i = 0; i < RUNS; i++) {
		struct dns_srv s[4];

		memset(s, 0, sizeof(s));
		for (uint16_t k = 0; k < 4; k++) {
			s[k].weight = (uint16_t)weight[k];
			s[k].port = k;
		}
		dns_srvs_order(s, 4, dns_random_upto);
		first[s[0].port]++;
	}
	for (int k = 0; k < 4; k++) {
		/* 0..100 are 101 numbers: the first has one more */
		want = RUNS * (weight[k] + (k == 0)) / 101.0;
		chi += (first[k] - want) * (first[k] - want) / want;
	}
	/* 3 degrees of freedom: above 30 once in 700,000 runs */
	if (chi > 30)
		fail_msg("chi square %g: %u %u %u %u", chi, first[0], first[1],
		    first[2], first[3]);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(answers_hold_as_long_as_they_say),
		T(that_there_is_nothing_holds_as_the_zone_says),
		T(what_is_old_beats_no_answer),
		T(the_cache_is_bounded),
		T(naptr_comes_by_order_and_preference),
		T(odd_naptr_answers_are_refused),
		cmocka_unit_test(weights_follow_rfc_2782_step_by_step),
		cmocka_unit_test(weights_are_met_on_the_average),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
