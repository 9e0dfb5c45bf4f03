/* SPDX-License-Identifier: ISC */
/* A handshake that stalls at any byte is closed by its deadline, on either
 * side.  Between client and listener stands a relay that lets a number of bytes
 * of one direction pass and then nothing more; every number gets its turn.
 * And a connection that nobody uses.  Time is fake, sockets are real. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>

#include "test_tls_conn.h"

enum {
	TO_SERVER,
	TO_CLIENT,
	DEADLINE_MS = 1000, /* the least a policy takes */
	TURNS = 200,
	WHOLE = 1 << 20 /* more than any handshake */
};

/* The relay: where it listens, its two sockets, what passed of each way. */
static struct {
	int fd, side[2]; /* side[TO_CLIENT] leads to the client */
	size_t passed[2], limit[2];
	bool stalled; /* bytes were held back */
} relay;

static void
relay_open(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t n = sizeof(in);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	relay.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_true(relay.fd >= 0);
	assert_int_equal(bind(relay.fd, (struct sockaddr *)&in, n), 0);
	assert_int_equal(listen(relay.fd, 4), 0);
	assert_int_equal(getsockname(relay.fd, (struct sockaddr *)&in, &n), 0);
	assert_int_equal(
	    addr_from_sockaddr(&where, (struct sockaddr *)&in, n), 0);
	relay.side[0] = relay.side[1] = -1;
}

/* The client has connected: so does the relay, to the listener. */
static void
relay_join(void)
{
	struct addr to;

	tls_listen_local(listener, &to);
	relay.side[TO_CLIENT] = accept4(relay.fd, NULL, NULL, SOCK_NONBLOCK);
	assert_true(relay.side[TO_CLIENT] >= 0);
	relay.side[TO_SERVER] = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(relay.side[TO_SERVER] >= 0);
	assert_int_equal(
	    connect(relay.side[TO_SERVER], &to.u.sa, addr_len(&to)), 0);
	assert_int_equal(fcntl(relay.side[TO_SERVER], F_SETFL, O_NONBLOCK), 0);
}

static void
relay_part(void)
{
	for (int i = 0; i < 2; i++) {
		if (relay.side[i] >= 0)
			close(relay.side[i]);
		relay.side[i] = -1;
	}
}

/* Passes on what is there and may pass; true if anything did. */
static bool
relay_pass(int to)
{
	char b[4096];
	ssize_t n = recv(relay.side[!to], b, sizeof(b), 0);
	size_t room = relay.limit[to] - relay.passed[to];

	if (n <= 0)
		return false;
	if ((size_t)n > room) {
		relay.stalled = true;
		n = (ssize_t)room;
	}
	if (n > 0)
		assert_int_equal(
		    send(relay.side[to], b, (size_t)n, MSG_NOSIGNAL), n);
	relay.passed[to] += (size_t)n;
	return true;
}

/* Whether the end that is watched has read something of what passed. */
static bool
has_read(const struct end *e, int to)
{
	const struct tls_conn *c = LIST_FIRST(&e->env->conns);

	return relay.passed[to] == 0 || (c != NULL && c->num_first > 0);
}

/* Shakes hands through the relay until nothing moves any more. */
static void
shake(struct end *e, int to, size_t limit)
{
	int quiet = 0;

	end_reset(&cli);
	end_reset(&srv);
	memset(relay.passed, 0, sizeof(relay.passed));
	relay.limit[to] = limit;
	relay.limit[!to] = WHOLE;
	relay.stalled = false;
	dial(&cli.policy);
	relay_join();
	for (int i = 0; i < TURNS && quiet < 3; i++) {
		bool there = (relay.stalled && has_read(e, to)) ||
		    (cli.ups > 0 && srv.ups > 0);

		loop_fake_run(loop, 0);
		if (relay_pass(TO_SERVER) + relay_pass(TO_CLIENT) > 0)
			quiet = 0;
		else if (there)
			quiet++;
		else /* the kernel needs a moment */
			(void)poll(NULL, 0, i > 8);
	}
}

/* How many descriptors this process has open. */
static size_t
count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

/* Every number of bytes to `e`, which must be rid of the connection when the
 * deadline is over, and not before. */
static void
stall_everywhere(struct end *e, int to, uint16_t max)
{
	size_t all, before = count_fds();

	cli.policy.max = srv.policy.max = max;
	shake(e, to, WHOLE);
	assert_true(cli.ups > 0 && srv.ups > 0);
	tls_sess_forget(cli.c); /* each is to be a full one */
	all = relay.passed[to];
	print_message("%s, %s: at most %zu bytes\n", tls_version_name(max),
	    to == TO_CLIENT ? "client" : "server", all);
	assert_true(all > 200 && all < 4000);
	for (size_t n = 0; n < all; n++) {
		relay_part();
		shake(e, to, n);
		if (e->ups > 0) {
			/* The length of a signature varies a little; behind a
			 * TLS 1.3 handshake come session tickets. */
			assert_true(n + 8 > all ||
			    (max == TLS_V13 && to == TO_CLIENT && n > all / 2));
			tls_sess_forget(cli.c);
			break;
		}
		assert_true(relay.stalled);
		assert_int_equal(relay.passed[to], n);
		loop_fake_run(loop, (DEADLINE_MS - 1) * 1000);
		assert_int_equal(e->told, 0);
		loop_fake_run(loop, 2000);
		assert_int_equal(e->told, 1);
		assert_string_equal(e->v.class, "hs.silent");
		assert_non_null(strstr(
		    e->v.text, n == 0 ? "sent nothing" : "did not finish"));
		assert_true(LIST_EMPTY(&e->env->conns));
		assert_int_equal(e->v.alert_tx, -1);
	}
	relay_part();
	end_reset(&cli);
	end_reset(&srv);
	loop_fake_run(loop, 2 * DEADLINE_MS * 1000);
	for (int i = 0; i < TURNS && !LIST_EMPTY(&srv.env->conns); i++)
		loop_fake_run(loop, 0);
	assert_true(LIST_EMPTY(&srv.env->conns));
	assert_true(LIST_EMPTY(&cli.env->conns));
	assert_int_equal(count_fds(), before);
}

static void
stall(struct end *e, int to)
{
	world_open("chain.pem", "id");
	policies("localhost", true);
	cli.policy.handshake_ms = srv.policy.handshake_ms = DEADLINE_MS;
	serve(&srv.policy);
	relay_open();
	stall_everywhere(e, to, TLS_V12);
	stall_everywhere(e, to, TLS_V13);
	close(relay.fd);
	world_close();
}

/* A server that sends the first n bytes of its flights and stops. */
static void
a_client_waits_for_no_byte_for_ever(void **state)
{
	(void)state;
	stall(&cli, TO_CLIENT);
}

/* A client that stops in its hello, or in its second flight: certificate,
 * signature, Finished. */
static void
a_listener_waits_for_no_byte_for_ever(void **state)
{
	(void)state;
	stall(&srv, TO_SERVER);
}

/* A server that closes what was not used for a while is no fault, and still
 * worth a word; one that closes at once is not. */
static void
a_close_for_idleness_is_noted(void **state)
{
	(void)state;
	for (int idle = 0; idle < 2; idle++) {
		world_open("server.pem", "empty");
		serve(&srv.policy);
		talk();
		loop_fake_run(loop, idle ? 11000000 : 9000000);
		assert_false(cli.over);
		tls_conn_shutdown(srv.c);
		settle(cli_over);
		assert_int_equal(cli.err, 0);
		assert_string_equal(cli.v.class, "");
		assert_true(cli.v.ok);
		assert_int_equal(cli.told, idle ? 2 : 1);
		assert_int_equal(cli.v.num_findings, idle);
		if (idle)
			assert_string_equal(
			    cli.v.findings[0], "post.idle_close");
		world_close();
	}
}

/* A device certificate that the server does not ask for. */
static void
a_certificate_nobody_asks_for_is_noted(void **state)
{
	static const char *const ids[] = { "empty", "id" };

	(void)state;
	for (size_t i = 0; i < LEN(ids); i++) {
		world_open("server.pem", ids[i]);
		srv.policy.verify = false;
		serve(&srv.policy);
		talk();
		assert_false(cli.v.client_asked);
		assert_int_equal(cli.v.num_findings, i);
		if (i == 1)
			assert_string_equal(
			    cli.v.findings[0], "mtls.not_asked");
		world_close();
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_client_waits_for_no_byte_for_ever),
		cmocka_unit_test(a_listener_waits_for_no_byte_for_ever),
		cmocka_unit_test(a_close_for_idleness_is_noted),
		cmocka_unit_test(a_certificate_nobody_asks_for_is_noted),
	};

	return cmocka_run_group_tests_name(
	    "tls_stall", tests, group_setup, group_teardown);
}
