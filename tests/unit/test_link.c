/* SPDX-License-Identifier: ISC */
/* link.c: changes of a network namespace of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/netlink.h>

#include "bellbird/clock.h"
#include "bellbird/link.h"
#include "oom.h"

static struct loop *l;
static struct link_watch *w;
static unsigned int told;
static bool free_it;

static void
on_change(void *arg)
{
	(void)arg;
	told++;
	if (free_it) {
		link_watch_free(w);
		w = NULL;
	}
	loop_stop(l);
}

static void
on_end(void *arg)
{
	(void)arg;
	loop_stop(l);
}

/* Runs the loop until a change is told or `us` have passed. */
static void
run(int64_t us)
{
	struct timer t = { .l = NULL };

	assert_int_equal(timer_start(&t, l, us, on_end, NULL), 0);
	assert_int_equal(loop_run(l), 0);
	timer_stop(&t);
}

/* Sets the loopback interface up or down. */
static void
set_lo(bool up)
{
	struct ifreq r;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_true(fd >= 0);
	memset(&r, 0, sizeof(r));
	memcpy(r.ifr_name, "lo", sizeof("lo"));
	assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &r), 0);
	r.ifr_flags =
	    up ? (short)(r.ifr_flags | IFF_UP) : (short)(r.ifr_flags & ~IFF_UP);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &r), 0);
	close(fd);
}

static int
setup(void **state)
{
	(void)state;
	told = 0;
	free_it = false;
	set_lo(false);
	assert_int_equal(loop_new(&l), 0);
	assert_int_equal(link_watch_new(&w, l, on_change, NULL), 0);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	link_watch_free(w);
	w = NULL;
	loop_free(l);
	return 0;
}

static void
many_changes_are_told_once(void **state)
{
	(void)state;
	run(300000);
	assert_int_equal(told, 0);
	for (int i = 0; i < 10; i++) {
		set_lo(true);
		set_lo(false);
	}
	set_lo(true);
	run(5000000);
	assert_int_equal(told, 1);
	run(300000);
	assert_int_equal(told, 1);
	set_lo(false);
	run(5000000);
	assert_int_equal(told, 2);
}

static void
watch_may_be_freed_by_its_callback(void **state)
{
	(void)state;
	free_it = true;
	set_lo(true);
	run(5000000);
	assert_int_equal(told, 1);
	assert_null(w);
}

/* Sends to every netlink socket of this process that has our groups. */
static void
words_of_other_processes_do_not_count(void **state)
{
	struct sockaddr_nl to = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	struct nlmsghdr h = { .nlmsg_len = sizeof(h), .nlmsg_type = 16 };
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);

	(void)state;
	assert_true(fd >= 0);
	if (sendto(fd, &h, sizeof(h), 0, (void *)&to, sizeof(to)) < 0) {
		close(fd);
		skip(); /* the kernel does not let us */
	}
	run(300000);
	assert_int_equal(told, 0);
	close(fd);
}

static int
open_once(void *arg)
{
	struct link_watch *one = NULL;
	int err = link_watch_new(&one, l, on_change, arg);

	link_watch_free(one);
	return err;
}

static void
opening_survives_lack_of_memory(void **state)
{
	(void)state;
	assert_true(oom_each(open_once, NULL) >= 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    many_changes_are_told_once, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    watch_may_be_freed_by_its_callback, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    words_of_other_processes_do_not_count, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    opening_survives_lack_of_memory, setup, teardown),
	};

	/* Not the links of this machine. */
	if (unshare(CLONE_NEWNET) != 0 &&
	    unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
