/* SPDX-License-Identifier: ISC */
/* udp.c: datagrams as they are, fairness, the socket freed by its callback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>

#include <cmocka.h>

#include "bellbird/clock.h"
#include "bellbird/udp.h"

static struct loop *l;
static struct udp *a, *b;
static struct addr at_a, at_b;

static unsigned int received;
static size_t last_n;
static uint8_t last[8];
static struct addr last_from;
static bool free_it;

static void
on_datagram(
    struct udp *u, uint8_t *p, size_t n, const struct addr *from, void *arg)
{
	(void)arg;
	assert_ptr_equal(u, b);
	received++;
	last_n = n;
	memcpy(last, p, n < sizeof(last) ? n : sizeof(last));
	last_from = *from;
	/* The room behind is ours to write to. */
	memset(p + n, 0xaa, 64);
	if (free_it) {
		udp_free(b);
		b = NULL;
	}
}

static void
not_here(
    struct udp *u, uint8_t *p, size_t n, const struct addr *from, void *arg)
{
	(void)u;
	(void)p;
	(void)n;
	(void)from;
	(void)arg;
	fail_msg("a datagram for somebody else");
}

static void
open_pair(const char *ip, int dscp)
{
	struct addr local;

	assert_int_equal(addr_parse(&local, slice_of(ip), 0), 0);
	assert_int_equal(udp_open(&a, l, &local, dscp, not_here, NULL), 0);
	assert_int_equal(udp_open(&b, l, &local, dscp, on_datagram, NULL), 0);
	udp_local(a, &at_a);
	udp_local(b, &at_b);
	assert_int_not_equal(addr_port(&at_a), 0);
	assert_int_not_equal(addr_port(&at_a), addr_port(&at_b));
	received = 0;
	free_it = false;
}

static int
set_up(void **state)
{
	(void)state;
	clock_fake(1800000000);
	return loop_new(&l);
}

static int
tear_down(void **state)
{
	(void)state;
	udp_free(a);
	udp_free(b);
	a = b = NULL;
	loop_free(l);
	clock_real();
	return 0;
}

static void
datagrams_arrive_with_their_sender(void **state)
{
	static uint8_t big[65507];

	(void)state;
	open_pair("127.0.0.1", 0);
	assert_int_equal(udp_send(a, "hello", 5, &at_b), 0);
	loop_fake_run(l, 0);
	assert_int_equal(received, 1);
	assert_int_equal(last_n, 5);
	assert_memory_equal(last, "hello", 5);
	assert_true(addr_eq(&last_from, &at_a));
	assert_int_equal(udp_send(a, "", 0, &at_b), 0);
	loop_fake_run(l, 0);
	assert_int_equal(received, 2);
	assert_int_equal(last_n, 0);
	assert_int_equal(udp_send(a, big, sizeof(big), &at_b), 0);
	loop_fake_run(l, 0);
	assert_int_equal(last_n, sizeof(big));
	assert_int_equal(udp_send(a, big, 65536, &at_b), EMSGSIZE);
}

static void
ipv6_is_only_ipv6(void **state)
{
	struct addr v4;

	(void)state;
	open_pair("::1", 46);
	assert_int_equal(udp_send(a, "hello", 5, &at_b), 0);
	loop_fake_run(l, 0);
	assert_int_equal(received, 1);
	assert_true(addr_eq(&last_from, &at_a));
	assert_int_equal(addr_parse(&v4, slice_of("127.0.0.1:9"), 0), 0);
	assert_int_equal(udp_send(a, "x", 1, &v4), EAFNOSUPPORT);
}

static void
packets_carry_the_dscp(void **state)
{
	socklen_t len = sizeof(int);
	int tos = 0;

	(void)state;
	open_pair("127.0.0.1", 46);
	assert_int_equal(
	    getsockopt(udp_fd(a), IPPROTO_IP, IP_TOS, &tos, &len), 0);
	assert_int_equal(tos, 46 << 2);
	assert_int_equal(udp_set_dscp(a, 0), 0);
	assert_int_equal(
	    getsockopt(udp_fd(a), IPPROTO_IP, IP_TOS, &tos, &len), 0);
	assert_int_equal(tos, 0);
	assert_int_equal(udp_set_dscp(a, 64), EINVAL);
}

static void
a_burst_does_not_starve_the_loop(void **state)
{
	struct loop_stats before, after;

	(void)state;
	open_pair("127.0.0.1", 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(udp_send(a, &i, sizeof(i), &at_b), 0);
	loop_get_stats(l, &before);
	loop_fake_run(l, 0);
	loop_get_stats(l, &after);
	assert_int_equal(received, 100);
	/* 32 + 32 + 32 + 4 */
	assert_int_equal(after.callbacks - before.callbacks, 4);
}

static void
the_callback_may_free_the_socket(void **state)
{
	(void)state;
	open_pair("127.0.0.1", 0);
	free_it = true;
	for (int i = 0; i < 20; i++)
		assert_int_equal(udp_send(a, "x", 1, &at_b), 0);
	loop_fake_run(l, 0);
	assert_int_equal(received, 1);
	assert_null(b);
}

static void
bad_arguments_and_taken_ports_are_errors(void **state)
{
	struct addr none, local;
	struct udp *u = NULL;

	(void)state;
	memset(&none, 0, sizeof(none));
	open_pair("127.0.0.1", 0);
	assert_int_equal(
	    udp_open(&u, l, &none, 0, not_here, NULL), EAFNOSUPPORT);
	assert_int_equal(udp_open(&u, l, &at_a, 64, not_here, NULL), EINVAL);
	assert_int_equal(udp_open(&u, l, &at_a, 0, not_here, NULL), EADDRINUSE);
	assert_int_equal(addr_parse(&local, slice_of("192.0.2.1:0"), 0), 0);
	assert_int_equal(
	    udp_open(&u, l, &local, 0, not_here, NULL), EADDRNOTAVAIL);
	assert_null(u);
}

static unsigned int came_back;
static struct addr came_back_from;

static void
on_unreachable(struct udp *u, int err, const struct addr *to, void *arg)
{
	(void)arg;
	assert_ptr_equal(u, a);
	assert_int_equal(err, ECONNREFUSED);
	came_back++;
	came_back_from = *to;
	if (free_it) {
		udp_free(a);
		a = NULL;
	}
}

static void
a_closed_port_is_told_and_hinders_nobody(void **state)
{
	static const char *const ips[] = { "127.0.0.1", "::1" };
	struct addr closed;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		open_pair(ips[i], 0);
		assert_int_equal(udp_on_unreachable(a, on_unreachable), 0);
		closed = at_a;
		addr_set_port(&closed, 9);
		came_back = 0;
		assert_int_equal(udp_send(a, "x", 1, &closed), 0);
		/* not told yet; this one must leave all the same */
		assert_int_equal(udp_send(a, "y", 1, &at_b), 0);
		loop_fake_run(l, 0);
		assert_int_equal(received, 1);
		assert_int_equal(came_back, 1);
		assert_true(addr_eq(&came_back_from, &closed));
		free_it = true;
		assert_int_equal(udp_send(a, "x", 1, &closed), 0);
		assert_int_equal(udp_send(b, "x", 1, &at_a), 0);
		loop_fake_run(l, 0);
		assert_int_equal(came_back, 2);
		assert_null(a);
		udp_free(b);
		b = NULL;
	}
}

/* Two zones on one port hear their own group each. */
static void
multicast_groups_share_a_port(void **state)
{
	struct addr group, other;
	struct udp *u;
	int one = 1;
	struct in_addr lo = { htonl(INADDR_LOOPBACK) };

	(void)state;
	open_pair("127.0.0.1", 0);
	udp_free(b);
	b = NULL;
	assert_int_equal(addr_parse(&group, slice_of("239.255.1.2"), 0), 0);
	if (udp_open(&b, l, &group, 0, on_datagram, NULL) == ENODEV)
		return; /* no route for groups on this machine */
	assert_non_null(b);
	udp_local(b, &at_b);
	assert_int_equal(
	    addr_parse(&other, slice_of("239.255.1.3"), addr_port(&at_b)), 0);
	assert_int_equal(udp_open(&u, l, &other, 0, not_here, NULL), 0);
	assert_int_equal(
	    setsockopt(udp_fd(a), IPPROTO_IP, IP_MULTICAST_IF, &lo, sizeof(lo)),
	    0);
	assert_int_equal(setsockopt(udp_fd(a), IPPROTO_IP, IP_MULTICAST_LOOP,
			     &one, sizeof(one)),
	    0);
	assert_int_equal(udp_send(a, "page", 4, &at_b), 0);
	loop_fake_run(l, 0);
	udp_free(u);
	assert_true(received <= 1); /* 0: the group is on another interface */
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(datagrams_arrive_with_their_sender),
		T(ipv6_is_only_ipv6),
		T(packets_carry_the_dscp),
		T(a_burst_does_not_starve_the_loop),
		T(the_callback_may_free_the_socket),
		T(bad_arguments_and_taken_ports_are_errors),
		T(a_closed_port_is_told_and_hinders_nobody),
		T(multicast_groups_share_a_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
