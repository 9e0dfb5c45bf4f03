/* SPDX-License-Identifier: ISC */
/* A registration over TLS whose connection is reset, closed or falls silent
 * after any byte of handshake and REGISTER, in either direction: it comes back.
 * Between client and registrar stands a relay; time is fake, sockets are real.
 * Every 41st byte; BELLBIRD_LONG=1: each. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "test_sip.h"
#include "test_sip_tls.h"

enum { TO_SERVER, TO_CLIENT };
enum how { CLOSE, RESET, STALL };
enum {
	STEP = 41, /* bytes; not a divisor of any record of ours */
	WHOLE = 1 << 20,
	/* A closed connection is replaced soon; one that is silent is noticed
	 * when the handshake (10 s) or REGISTER (timer F, 32 s) has ended. */
	SOON_MS = 1500,
	LATE_MS = 45000,
	LINKS_MAX = 16
};

static struct fix {
	struct world w;
	struct tls_dirs d;
	struct sip_stack *server, *client;
	uint16_t port;
	unsigned int registers;
	struct sip_reg *reg;
	struct sip_reg_status st;
} f;

/* One connection through the relay. */
struct relayed {
	int fd[2]; /* fd[TO_CLIENT] leads to the client */
	struct io io[2];
	bool open;
};

static struct {
	int fd;
	struct io io;
	struct addr at;
	struct relayed links[LINKS_MAX];
	size_t num_links;
	/* what happens to the first connection */
	enum how how;
	int dir;
	size_t limit, passed[2];
	bool cut;
} relay;

static void
linked_end(struct relayed *l, bool reset)
{
	struct linger li = { 1, 0 };

	if (!l->open)
		return;
	l->open = false;
	for (int i = 0; i < 2; i++) {
		io_stop(&l->io[i]);
		if (reset)
			assert_int_equal(setsockopt(l->fd[i], SOL_SOCKET,
					     SO_LINGER, &li, sizeof(li)),
			    0);
		close(l->fd[i]);
	}
}

/* Passes on what came from one side, up to the limit of the first link. */
static void
on_side(int fd, int what, void *arg)
{
	struct relayed *l = arg;
	bool first = l == &relay.links[0];
	int from = fd == l->fd[TO_SERVER] ? TO_SERVER : TO_CLIENT;
	int dir = from == TO_SERVER ? TO_CLIENT : TO_SERVER;
	size_t room = WHOLE;
	uint8_t b[4096];
	ssize_t n;

	(void)what;
	if (first && dir == relay.dir)
		room = relay.limit - relay.passed[dir];
	n = room == 0 ? 0 : recv(fd, b, room < sizeof(b) ? room : sizeof(b), 0);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n > 0 && send(l->fd[dir], b, (size_t)n, MSG_NOSIGNAL) == n) {
		if (first)
			relay.passed[dir] += (size_t)n;
		if (room > (size_t)n || !first || dir != relay.dir)
			return;
	} else if (room > 0) {
		linked_end(l, false); /* one side has closed */
		return;
	}
	relay.cut = true;
	if (relay.how != STALL) {
		linked_end(l, relay.how == RESET);
		return;
	}
	for (int i = 0; i < 2; i++)
		io_stop(&l->io[i]);
}

/* A client comes. */
static void
on_client(int fd, int what, void *arg)
{
	struct relayed *l;
	struct addr to;
	int one = 1;

	(void)what;
	(void)arg;
	assert_true(relay.num_links < LINKS_MAX);
	l = &relay.links[relay.num_links];
	l->fd[TO_CLIENT] = accept4(fd, NULL, NULL, SOCK_NONBLOCK);
	if (l->fd[TO_CLIENT] < 0)
		return;
	relay.num_links++;
	assert_int_equal(addr_parse(&to, slice_of("127.0.0.1"), f.port), 0);
	l->fd[TO_SERVER] = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(l->fd[TO_SERVER], &to.u.sa, addr_len(&to)), 0);
	assert_int_equal(fcntl(l->fd[TO_SERVER], F_SETFL, O_NONBLOCK), 0);
	l->open = true;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(setsockopt(l->fd[i], IPPROTO_TCP, TCP_NODELAY,
				     &one, sizeof(one)),
		    0);
		assert_int_equal(io_start(&l->io[i], f.w.loop, l->fd[i],
				     IO_READ, on_side, l),
		    0);
	}
}

static void
relay_open(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t n = sizeof(in);

	memset(&relay, 0, sizeof(relay));
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	relay.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_true(relay.fd >= 0);
	assert_int_equal(bind(relay.fd, (struct sockaddr *)&in, n), 0);
	assert_int_equal(listen(relay.fd, LINKS_MAX), 0);
	assert_int_equal(getsockname(relay.fd, (struct sockaddr *)&in, &n), 0);
	assert_int_equal(
	    addr_from_sockaddr(&relay.at, (struct sockaddr *)&in, n), 0);
	assert_int_equal(
	    io_start(&relay.io, f.w.loop, relay.fd, IO_READ, on_client, NULL),
	    0);
}

/* Forgets all connections; the next one is the first again. */
static void
relay_reset(enum how how, int dir, size_t limit)
{
	for (size_t i = 0; i < relay.num_links; i++)
		linked_end(&relay.links[i], false);
	memset(relay.links, 0, sizeof(relay.links));
	memset(relay.passed, 0, sizeof(relay.passed));
	relay.num_links = 0;
	relay.how = how;
	relay.dir = dir;
	relay.limit = limit;
	relay.cut = false;
}

static bool
on_req(struct sip_req *req, void *arg)
{
	bool stale;

	(void)arg;
	if (strcmp(sip_req_method(req), "REGISTER") != 0)
		return false;
	/* The connection may be cut already: nobody hears it then. */
	if (sip_auth_check(req, "realm", "bob", "secret", &stale) != 0) {
		(void)sip_auth_challenge(req, "realm", 1u << TLS_SHA256, stale);
		return true;
	}
	f.registers++;
	(void)sip_req_reply(
	    req, 200, NULL, "Expires: 3600\r\n", NULL, slice_of(""));
	return true;
}

static void
on_reg(const struct sip_reg_status *st, void *arg)
{
	(void)arg;
	f.st = *st;
}

static void
open_all(void)
{
	struct sip_stack_conf c = { .on_req = on_req };
	struct tls_policy policy;

	memset(&f, 0, sizeof(f));
	world_open_tls(&f.w, &f.d);
	c.loop = f.w.loop;
	c.tls = f.w.tls;
	c.dns = f.w.dns;
	assert_int_equal(sip_stack_new(&f.server, &c), 0);
	c.on_req = NULL;
	assert_int_equal(sip_stack_new(&f.client, &c), 0);
	tls_demand = true;
	tls_server_policy(&policy);
	f.port = listen_on(f.server, SIPC_TLS, &policy);
	allow(f.server, "any");
	relay_open();
}

static void
close_all(void)
{
	relay_reset(CLOSE, TO_SERVER, 0);
	io_stop(&relay.io);
	close(relay.fd);
	sip_stack_free(f.client);
	sip_stack_free(f.server);
	world_close_tls(&f.w, &f.d);
	tls_demand = false;
}

static size_t
descriptors(void)
{
	size_t n = 0;
	DIR *d = opendir("/proc/self/fd");

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static size_t
flows_of(const struct sip_stack *s)
{
	const struct sip_flow *fl;
	size_t n = 0;

	TAILQ_FOREACH (fl, &s->flows, link)
		n++;
	return n;
}

/* Registers with the first connection cut; how many bytes passed until it was
 * registered, or -1 if the limit was never reached. */
static bool
one(enum how how, int dir, size_t limit)
{
	char domain[ADDR_STR_MAX];
	struct sip_reg_conf c = { .user = "bob",
		.domain = domain,
		.password = "secret",
		.transport = SIPC_TLS,
		.expires_s = 3600,
		.instance = "urn:uuid:1",
		.policy = tls_client_policy };
	int64_t before = clock_mono_us(), took;
	bool cut;

	/* no session to resume: each handshake is a whole one */
	tls_env_reload(f.w.tls);
	relay_reset(how, dir, limit);
	addr_print(&relay.at, domain);
	f.registers = 0;
	assert_int_equal(sip_reg_start(&f.reg, f.client, &c, on_reg, NULL), 0);
	do {
		pass(&f.w, 50);
		took = (clock_mono_us() - before) / 1000;
	} while ((f.st.state != SIP_REG_OK ||
		     (how != STALL && relay.cut && relay.num_links < 2)) &&
	    took < LATE_MS);
	cut = relay.cut;
	if (f.st.state != SIP_REG_OK || (how != STALL && took > SOON_MS))
		fail_msg("how %d, to %d, after %zu bytes: %s after %lld ms, %s",
		    how, dir, limit, sip_reg_state_name(f.st.state),
		    (long long)took, f.st.reason);
	/* one connection is left of it; the server's, too, once it has seen
	 * the end of the others */
	pass(&f.w, how == STALL ? LATE_MS : 10);
	assert_int_equal(flows_of(f.client), 1);
	if (how != STALL)
		assert_int_equal(flows_of(f.server), 1);
	sip_reg_stop(&f.reg);
	pass(&f.w, 10);
	return cut;
}

static void
registration_survives_a_cut_at_any_byte(void **state)
{
	const char *env = getenv("BELLBIRD_LONG");
	size_t step = env != NULL && strcmp(env, "1") == 0 ? 1 : STEP;
	size_t whole[2], fds, n = 0;

	(void)state;
	open_all();
	assert_false(one(CLOSE, TO_SERVER, WHOLE));
	memcpy(whole, relay.passed, sizeof(whole));
	assert_true(whole[TO_SERVER] > 1500 && whole[TO_CLIENT] > 1500);
	fds = descriptors();
	for (int how = CLOSE; how <= STALL; how++) {
		for (int dir = TO_SERVER; dir <= TO_CLIENT; dir++) {
			size_t at = (size_t)(7 * how + 3 * dir) % step;

			for (; at < whole[dir] - 64; at += step, n++)
				assert_true(one(how, dir, at));
		}
	}
	print_message("%zu cuts of %zu and %zu bytes\n", n, whole[TO_SERVER],
	    whole[TO_CLIENT]);
	relay_reset(CLOSE, TO_SERVER, 0);
	pass(&f.w, LATE_MS);
	assert_in_range(descriptors(), fds - 4, fds);
	close_all();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registration_survives_a_cut_at_any_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
