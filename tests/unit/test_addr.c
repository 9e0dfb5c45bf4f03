/* SPDX-License-Identifier: ISC */
/* addr.c: what is an address, what is not, and how ranges are judged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bellbird/addr.h"

static struct addr
addr_of(const char *s)
{
	struct addr a;

	assert_int_equal(addr_parse(&a, slice_of(s), 0), 0);
	return a;
}

static void
parses_addresses_only(void **state)
{
	static const struct {
		const char *text;
		int want;
		const char *printed;
	} v[] = {
		{ "192.0.2.1", 0, "192.0.2.1:5060" },
		{ "192.0.2.1:5061", 0, "192.0.2.1:5061" },
		{ "192.0.2.1:0", 0, "192.0.2.1:0" },
		{ "::1", 0, "[::1]:5060" },
		{ "[::1]", 0, "[::1]:5060" },
		{ "[2001:db8::5]:65535", 0, "[2001:db8::5]:65535" },
		{ "fe80::1%1", 0, "[fe80::1%1]:5060" },
		{ "[fe80::1%1]:99", 0, "[fe80::1%1]:99" },
		{ "fe80::1%lo", 0, "[fe80::1%1]:5060" },
		{ "2001:db8::1%1", E_PARSE, NULL },
		{ "fe80::1%", E_PARSE, NULL },
		{ "fe80::1%nosuchif0", E_PARSE, NULL },
		{ "192.0.2.1%1", E_PARSE, NULL },
		{ "192.0.2", E_PARSE, NULL },
		{ "192.0.2.256", E_PARSE, NULL },
		{ "192.0.2.1:", E_PARSE, NULL },
		{ "192.0.2.1:65536", E_PARSE, NULL },
		{ "192.0.2.1:+1", E_PARSE, NULL },
		{ "192.0.2.1 ", E_PARSE, NULL },
		{ "[192.0.2.1]:1", E_PARSE, NULL },
		{ "[::1", E_PARSE, NULL },
		{ "[::1]x", E_PARSE, NULL },
		{ "::g", E_PARSE, NULL },
		{ "example.com", E_PARSE, NULL },
		{ "", E_PARSE, NULL },
		{ "0x7f.1", E_PARSE, NULL },
		{ "::ffff:255.255.255.255:1:1", E_PARSE, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		char out[ADDR_STR_MAX];
		struct addr a;

		print_message("\"%s\"\n", v[i].text);
		memset(&a, 0, sizeof(a));
		assert_int_equal(
		    addr_parse(&a, slice_of(v[i].text), 5060), v[i].want);
		assert_int_equal(addr_is_set(&a), v[i].want == 0);
		addr_print(&a, out);
		assert_string_equal(out, v[i].printed ? v[i].printed : "none");
	}
}

static void
prints_the_longest(void **state)
{
	char out[ADDR_STR_MAX];
	struct addr a;

	(void)state;
	a = addr_of("[fe80:1111:2222:3333:4444:5555:6666:7777%4294967295]"
		    ":65535");
	addr_print(&a, out);
	assert_string_equal(
	    out, "[fe80:1111:2222:3333:4444:5555:6666:7777%4294967295]:65535");
	addr_print_ip(&a, out);
	assert_string_equal(
	    out, "fe80:1111:2222:3333:4444:5555:6666:7777%4294967295");
}

static void
splits_host_and_port(void **state)
{
	static const struct {
		const char *text;
		int want;
		const char *host;
		uint16_t port;
	} v[] = {
		{ "sip.example.com", 0, "sip.example.com", 9 },
		{ "sip.example.com:5061", 0, "sip.example.com", 5061 },
		{ "[::1]:5061", 0, "::1", 5061 },
		{ "[::1]", 0, "::1", 9 },
		{ "::1", 0, "::1", 9 },
		{ "host:", E_PARSE, NULL, 0 },
		{ ":5061", E_PARSE, NULL, 0 },
		{ "host:x", E_PARSE, NULL, 0 },
		{ "host:1:2", E_PARSE, NULL, 0 },
		{ "a b", E_PARSE, NULL, 0 },
		{ "user@host", E_PARSE, NULL, 0 },
		{ "host/path", E_PARSE, NULL, 0 },
		{ "[host]:1", E_PARSE, NULL, 0 },
		{ "[]", E_PARSE, NULL, 0 },
		{ "h\tx", E_PARSE, NULL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct slice host = slice_of("untouched");
		uint16_t port = 9;

		print_message("\"%s\"\n", v[i].text);
		assert_int_equal(
		    addr_split(slice_of(v[i].text), &host, &port), v[i].want);
		assert_true(
		    slice_is(host, v[i].host ? v[i].host : "untouched"));
		assert_int_equal(port, v[i].want == 0 ? v[i].port : 9);
	}
}

static void
ranges_are_exact(void **state)
{
	static const struct {
		const char *addr, *cidr;
		int want;
		bool in;
	} v[] = {
		{ "198.18.0.1", "198.18.0.0/15", 0, true },
		{ "198.19.255.255", "198.18.0.0/15", 0, true },
		{ "198.20.0.0", "198.18.0.0/15", 0, false },
		{ "10.0.0.1", "0.0.0.0/0", 0, true },
		{ "10.0.0.1", "10.0.0.1", 0, true },
		{ "10.0.0.2", "10.0.0.1/32", 0, false },
		{ "10.0.0.1", "10.0.0.9/24", 0, true },
		{ "::ffff:10.0.0.1", "10.0.0.0/8", 0, true },
		{ "10.0.0.1", "::ffff:10.0.0.0/104", 0, true },
		{ "2001:db8:1::1", "2001:db8::/32", 0, true },
		{ "2001:db9::1", "2001:db8::/32", 0, false },
		{ "2001:db8::1", "10.0.0.0/8", 0, false },
		{ "10.0.0.1", "::/0", 0, false },
		{ "10.0.0.1", "10.0.0.0/33", E_PARSE, false },
		{ "10.0.0.1", "10.0.0.0/", E_PARSE, false },
		{ "10.0.0.1", "10.0.0.0/-1", E_PARSE, false },
		{ "10.0.0.1", "10.0.0.0/+8", E_PARSE, false },
		{ "10.0.0.1", "10.0.0.0/8/8", E_PARSE, false },
		{ "10.0.0.1", "10.0.0.0:80", E_PARSE, false },
		{ "10.0.0.1", "::ffff:10.0.0.0/8", E_PARSE, false },
		{ "10.0.0.1", "", E_PARSE, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct addr a = addr_of(v[i].addr);
		bool in = false;

		print_message("%s in %s\n", v[i].addr, v[i].cidr);
		assert_int_equal(
		    addr_in_cidr(&a, slice_of(v[i].cidr), &in), v[i].want);
		assert_int_equal(in, v[i].in);
	}
}

static void
compares_and_classifies(void **state)
{
	struct addr a = addr_of("127.0.0.1:5"), b = addr_of("127.0.0.1:6");
	struct addr m = addr_of("[::ffff:127.0.0.1]:5"), none;

	(void)state;
	memset(&none, 0, sizeof(none));
	assert_false(addr_eq(&a, &b));
	assert_true(addr_ip_eq(&a, &b));
	assert_true(addr_ip_eq(&a, &m));
	assert_false(addr_ip_eq(&a, &none));
	addr_set_port(&b, 5);
	assert_true(addr_eq(&a, &b));
	assert_int_equal(addr_port(&b), 5);
	assert_true(addr_is_loopback(&a));
	assert_true(addr_is_loopback(&m));
	a = addr_of("::1");
	assert_true(addr_is_loopback(&a));
	assert_false(addr_is_loopback(&none));
	a = addr_of("10.0.0.1");
	assert_false(addr_is_loopback(&a));
	assert_false(addr_is_multicast(&a));
	a = addr_of("239.1.2.3");
	assert_true(addr_is_multicast(&a));
	a = addr_of("ff05::1");
	assert_true(addr_is_multicast(&a));
	assert_false(addr_is_any(&a));
	assert_false(addr_is_any(&none));
	a = addr_of("0.0.0.0:5");
	assert_true(addr_is_any(&a));
	a = addr_of("[::]:5");
	assert_true(addr_is_any(&a));
	a = addr_of("::ffff:0.0.0.0");
	assert_true(addr_is_any(&a));
	a = addr_of("fe80::1%1");
	b = addr_of("fe80::1%2");
	assert_false(addr_ip_eq(&a, &b));
}

static void
takes_from_sockets_with_care(void **state)
{
	struct addr a, b = addr_of("[2001:db8::1]:7");
	struct sockaddr sa = { .sa_family = AF_UNIX };

	(void)state;
	assert_int_equal(addr_from_sockaddr(&a, &b.u.sa, addr_len(&b)), 0);
	assert_true(addr_eq(&a, &b));
	assert_int_equal(
	    addr_from_sockaddr(&a, &b.u.sa, addr_len(&b) - 1), EAFNOSUPPORT);
	assert_int_equal(addr_from_sockaddr(&a, &b.u.sa, 0), EAFNOSUPPORT);
	assert_int_equal(addr_from_sockaddr(&a, &sa, sizeof(sa)), EAFNOSUPPORT);
}

static void
local_address_towards_loopback(void **state)
{
	struct addr peer = addr_of("127.0.0.1"), local, none;

	(void)state;
	assert_int_equal(addr_local_for(&peer, &local), 0);
	assert_true(addr_eq(&local, &peer));
	memset(&none, 0, sizeof(none));
	assert_int_equal(addr_local_for(&none, &local), EAFNOSUPPORT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parses_addresses_only),
		cmocka_unit_test(prints_the_longest),
		cmocka_unit_test(splits_host_and_port),
		cmocka_unit_test(ranges_are_exact),
		cmocka_unit_test(compares_and_classifies),
		cmocka_unit_test(takes_from_sockets_with_care),
		cmocka_unit_test(local_address_towards_loopback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
