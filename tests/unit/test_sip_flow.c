/* SPDX-License-Identifier: ISC */
/* The flow of a registration in fake time: when it counts as lost, how it is
 * kept alive (RFC 5626 4.4, RFC 6223), and how soon it is replaced. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "test_sip.h"

enum { WAITS_MAX = 200 };

struct fix {
	struct world w;
	const char *ip; /* of the server */
	struct sip_stack *server, *client;
	uint16_t ports[SIPC_TRANSPORTS];
	/* the registrar */
	unsigned int registers;
	bool withdrawn;      /* the last one had a second Contact, to go */
	const char *headers; /* of its 200 */
	int refuse;
	uint64_t flow;
	/* the client */
	struct sip_reg *reg;
	enum sip_reg_state state;
	int64_t waits_ms[WAITS_MAX], waits_at_ms[WAITS_MAX];
	size_t n;
	uint64_t client_flow;
	int err;
	bool connecting; /* the network changes while it connects */
};

static bool
on_req(struct sip_req *req, void *arg)
{
	struct fix *f = arg;

	if (strcmp(sip_req_method(req), "REGISTER") != 0)
		return false;
	f->registers++;
	f->flow = sip_req_flow(req);
	f->withdrawn = sip_req_header(req, "contact", 1) != NULL;
	assert_int_equal(
	    sip_req_reply(req, f->refuse != 0 ? f->refuse : 200, NULL,
		f->headers != NULL ? f->headers : "Expires: 3600\r\n", NULL,
		slice_of("")),
	    0);
	return true;
}

static void
on_reg(const struct sip_reg_status *st, void *arg)
{
	struct fix *f = arg;

	f->state = st->state;
	f->err = st->err;
	if (f->connecting && st->state == SIP_REG_CONNECTING)
		sip_stack_net_changed(f->client);
	f->client_flow = st->flow;
	if (st->state != SIP_REG_WAITING)
		return;
	assert_true(f->n < WAITS_MAX);
	f->waits_ms[f->n] = (st->retry_at_us - st->since_us) / 1000;
	f->waits_at_ms[f->n++] = st->since_us / 1000;
}

static struct sip_stack *
stack(struct fix *f, bool registrar)
{
	struct sip_stack_conf c = { .loop = f->w.loop,
		.tls = f->w.tls,
		.dns = f->w.dns,
		.on_req = registrar ? on_req : NULL,
		.arg = f };
	struct sip_stack *s;

	assert_int_equal(sip_stack_new(&s, &c), 0);
	return s;
}

/* (Re)starts the registrar, on the same ports the second time. */
static void
server_up(struct fix *f)
{
	struct addr local;

	f->server = stack(f, true);
	for (int t = 0; t < SIPC_TLS; t++) {
		assert_int_equal(
		    addr_parse(&local, slice_of(f->ip), f->ports[t]), 0);
		assert_int_equal(
		    sip_stack_listen(f->server, t, &local, NULL), 0);
	}
	sip_stack_each_listener(f->server, port_take, f->ports);
	allow(f->server, "any");
}

static void
server_down(struct fix *f)
{
	sip_stack_free(f->server);
	f->server = NULL;
}

static void
fix_open_at(struct fix *f, const char *ip)
{
	memset(f, 0, sizeof(*f));
	f->ip = ip;
	world_open(&f->w);
	server_up(f);
	f->client = stack(f, false);
}

static void
fix_open(struct fix *f)
{
	fix_open_at(f, "127.0.0.1");
}

static void
fix_close(struct fix *f)
{
	sip_reg_stop(&f->reg);
	sip_stack_free(f->client);
	sip_stack_free(f->server);
	world_close(&f->w);
}

/* Registers bob. */
static void
start(struct fix *f, enum sip_transport t, unsigned int keepalive_s, bool none)
{
	char domain[64];
	struct sip_reg_conf c = { .user = "bob",
		.domain = domain,
		.transport = t,
		.expires_s = 3600,
		.keepalive_s = keepalive_s,
		.no_keepalive = none,
		.instance = "urn:uuid:1" };

	(void)snprintf(domain, sizeof(domain), "%s:%u", f->ip, f->ports[t]);
	assert_int_equal(sip_reg_start(&f->reg, f->client, &c, on_reg, f), 0);
	pass(&f->w, 100);
}

static struct sip_flow *
flow_of(struct fix *f)
{
	struct sip_flow *fl = sip_flow_get(f->client, f->client_flow);

	assert_non_null(fl);
	return fl;
}

/* ---- recovery ---- */

static void
lost_flow_is_tried_at_once_soon_and_then_as_the_rfc_says(void **state)
{
	static const int64_t first[] = { 0, 200, 500, 1000 };
	int64_t lost, base = 30000, total = 0;
	struct fix f;
	size_t i = 0;

	(void)state;
	fix_open(&f);
	start(&f, SIPC_TCP, 0, true);
	assert_int_equal(f.state, SIP_REG_OK);
	pass(&f.w, 11 * 1000);
	server_down(&f);
	pass(&f.w, 85 * 1000);
	lost = f.waits_at_ms[0];
	for (; i < sizeof(first) / sizeof(first[0]); i++)
		assert_int_equal(f.waits_ms[i], first[i]);
	pass(&f.w, 3600 * 1000);
	for (; f.waits_at_ms[i] - lost < 90000; i++) {
		assert_in_range(f.waits_ms[i], 1200, 1800);
		total += f.waits_ms[i];
	}
	/* they are spread around 1.5 s */
	assert_in_range(total / (int64_t)(i - 4), 1400, 1600);
	assert_true(i > 50);
	for (; i < f.n; i++) {
		assert_in_range(f.waits_ms[i], base / 2, base);
		if (base < 1800000)
			base = 2 * base < 1800000 ? 2 * base : 1800000;
	}
	assert_int_equal(base, 1800000);
	fix_close(&f);
}

static void
binding_of_a_lost_connection_is_withdrawn(void **state)
{
	static const char *const headers[] = { NULL,
		"Expires: 3600\r\nRequire: outbound\r\n" };
	struct fix f;

	(void)state;
	for (int i = 0; i < 2; i++) {
		fix_open(&f);
		f.headers = headers[i];
		start(&f, SIPC_TCP, 0, true);
		assert_false(f.withdrawn);
		sip_flow_close(sip_flow_get(f.server, f.flow), 0);
		pass(&f.w, 100);
		assert_int_equal(f.registers, 2);
		/* a server with outbound replaces it by the reg-id */
		assert_int_equal(f.withdrawn, i == 0);
		fix_close(&f);
	}
}

static void
registration_that_falls_apart_is_not_hammered(void **state)
{
	unsigned int n;
	struct fix f;

	(void)state;
	fix_open(&f);
	start(&f, SIPC_TCP, 0, true);
	pass(&f.w, 11 * 1000);
	f.registers = 0;
	sip_flow_close(sip_flow_get(f.server, f.flow), 0);
	/* accepted, and closed at once, for ten minutes */
	for (int i = 0; i < 6000; i++) {
		n = f.registers;
		pass(&f.w, 100);
		if (f.registers != n && sip_flow_get(f.server, f.flow) != NULL)
			sip_flow_close(sip_flow_get(f.server, f.flow), 0);
	}
	/* a minute and a half of 1.5 s, then RFC 5626 */
	assert_in_range(f.registers, 50, 85);
	fix_close(&f);
}

static void
retry_after_overrides(void **state)
{
	struct fix f;

	(void)state;
	fix_open(&f);
	start(&f, SIPC_TCP, 0, true);
	pass(&f.w, 11 * 1000);
	f.refuse = 503;
	f.headers = "Retry-After: 60\r\n";
	sip_flow_close(sip_flow_get(f.server, f.flow), 0);
	pass(&f.w, 1000);
	assert_int_equal(f.registers, 2);
	assert_int_equal(f.waits_ms[f.n - 1] >= 60000, true);
	/* not even a new cable makes it ask before */
	sip_stack_net_changed(f.client);
	pass(&f.w, 58 * 1000);
	assert_int_equal(f.registers, 2);
	f.refuse = 0;
	f.headers = NULL;
	pass(&f.w, 62 * 1000);
	assert_int_equal(f.registers, 3);
	assert_int_equal(f.state, SIP_REG_OK);
	fix_close(&f);
}

/* The address of the server in the test of the network. */
#define AWAY "198.18.0.1"

/* An ioctl on an interface of this namespace. */
static void
if_set(const char *name, unsigned long what, struct ifreq *r)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_true(fd >= 0);
	(void)snprintf(r->ifr_name, sizeof(r->ifr_name), "%s", name);
	assert_int_equal(ioctl(fd, what, r), 0);
	close(fd);
}

static void
lo_up(void)
{
	struct ifreq r = { .ifr_flags = IFF_UP | IFF_RUNNING };

	if_set("lo", SIOCSIFFLAGS, &r);
}

/* Gives the loopback interface a second address, or takes it away. */
static void
set_away(bool there)
{
	struct ifreq r;
	struct addr a;

	memset(&r, 0, sizeof(r));
	if (there) {
		assert_int_equal(addr_parse(&a, slice_of(AWAY), 0), 0);
		memcpy(&r.ifr_addr, &a.u.in, sizeof(a.u.in));
		if_set("lo:1", SIOCSIFADDR, &r);
	} else {
		if_set("lo:1", SIOCSIFFLAGS, &r);
	}
}

static void
change_of_the_network_is_the_end_of_what_cannot_work(void **state)
{
	uint64_t flow;
	struct fix f;

	(void)state;
	for (int t = 0; t < SIPC_TLS; t++) {
		set_away(true);
		fix_open_at(&f, AWAY);
		start(&f, t, 0, true);
		assert_int_equal(f.state, SIP_REG_OK);
		flow = f.client_flow;
		/* something else has changed: nothing happens */
		sip_stack_net_changed(f.client);
		pass(&f.w, 20 * 1000);
		assert_int_equal(f.registers, 1);
		assert_int_equal(f.client_flow, flow);
		/* no way to the server any more */
		set_away(false);
		sip_stack_net_changed(f.client);
		pass(&f.w, 5);
		assert_int_not_equal(f.state, SIP_REG_OK);
		pass(&f.w, 300 * 1000);
		assert_int_equal(f.state, SIP_REG_WAITING);
		assert_true(f.waits_ms[f.n - 1] > 5000);
		/* and there is one: now, not when the time has come */
		set_away(true);
		sip_stack_net_changed(f.client);
		pass(&f.w, 100);
		assert_int_equal(f.state, SIP_REG_OK);
		assert_int_equal(f.registers, 2);
		fix_close(&f);
	}
}

static void
what_is_connecting_goes_on_if_its_address_is_right(void **state)
{
	uint16_t port;
	struct addr at;
	socklen_t n = sizeof(at.u);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct fix f;

	(void)state;
	set_away(true);
	fix_open_at(&f, AWAY);
	/* nobody takes the connection, and then the server says nothing */
	assert_int_equal(addr_parse(&at, slice_of(AWAY), 0), 0);
	assert_int_equal(bind(fd, &at.u.sa, addr_len(&at)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, &at.u.sa, &n), 0);
	port = f.ports[SIPC_TCP];
	f.ports[SIPC_TCP] = addr_port(&at);
	start(&f, SIPC_TCP, 0, true);
	assert_int_equal(f.state, SIP_REG_TRYING);
	for (int i = 0; i < 10; i++) {
		sip_stack_net_changed(f.client);
		pass(&f.w, 100);
	}
	assert_int_equal(f.n, 0);
	assert_int_equal(f.state, SIP_REG_TRYING);
	/* in the moment between connect() and the end of the handshake */
	sip_reg_stop(&f.reg);
	f.ports[SIPC_TCP] = port;
	f.connecting = true;
	start(&f, SIPC_TCP, 0, true);
	assert_int_equal(f.state, SIP_REG_OK);
	assert_int_equal(f.n, 0);
	set_away(false);
	close(fd);
	fix_close(&f);
}

/* ---- pings ---- */

static void
intervals_come_from_settings_server_or_rfc(void **state)
{
	static const struct {
		const char *why;
		enum sip_transport t;
		unsigned int set_s;
		bool none;
		const char *headers;
		int64_t min_ms, max_ms;
		bool owed;
	} v[] = {
		{ "RFC 5626 4.4.1", SIPC_TCP, 0, false, NULL, 95000, 120000,
		    false },
		{ "RFC 5626 4.4.2", SIPC_UDP, 0, false, NULL, 24000, 29000,
		    false },
		{ "as set", SIPC_TCP, 20, false, NULL, 20000, 20000, false },
		{ "none", SIPC_TCP, 0, true, "Flow-Timer: 30\r\n", 0, 0, true },
		{ "Flow-Timer", SIPC_TCP, 0, false, "Flow-Timer: 300\r\n",
		    240000, 300000, true },
		{ "what is set is shorter", SIPC_TCP, 20, false,
		    "Flow-Timer: 300\r\n", 20000, 20000, true },
		{ "what is set is too long for the server", SIPC_TCP, 60, false,
		    "Flow-Timer: 30\r\n", 24000, 30000, true },
		{ "outbound", SIPC_TCP, 0, false, "Require: outbound\r\n",
		    95000, 120000, true },
		{ "nonsense", SIPC_TCP, 0, false, "Flow-Timer: -3\r\n", 95000,
		    120000, false },
		{ "no flood", SIPC_TCP, 0, false, "Flow-Timer: 1\r\n", 4000,
		    5000, true },
	};
	struct fix f;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct sip_flow *fl;

		fix_open(&f);
		f.headers = v[i].headers;
		start(&f, v[i].t, v[i].set_s, v[i].none);
		assert_int_equal(f.state, SIP_REG_OK);
		fl = flow_of(&f);
		if (fl->keepalive_us < v[i].min_ms * 1000 ||
		    fl->keepalive_us > v[i].max_ms * 1000 ||
		    fl->pong_owed != v[i].owed)
			fail_msg("%s: %lld us, %d", v[i].why,
			    (long long)fl->keepalive_us, fl->pong_owed);
		fix_close(&f);
	}
}

static void
missing_pong_counts_where_one_was_promised_or_seen(void **state)
{
	static const struct {
		const char *why, *headers;
		int64_t deaf_after_ms;
		bool lost;
	} v[] = {
		{ "never seen, never promised", NULL, 0, false },
		{ "promised by Flow-Timer", "Flow-Timer: 100\r\n", 0, true },
		{ "promised by outbound", "Require: outbound\r\n", 0, true },
		{ "seen", NULL, 300 * 1000, true },
	};
	struct fix f;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		int64_t before;

		fix_open(&f);
		f.headers = v[i].headers;
		start(&f, SIPC_TCP, 0, false);
		pass(&f.w, v[i].deaf_after_ms);
		assert_int_equal(f.registers, 1);
		tls_conn_read_pause(sip_flow_get(f.server, f.flow)->c, true);
		before = clock_mono_us() / 1000;
		pass(&f.w, 131 * 1000);
		if ((f.registers == 2) != v[i].lost)
			fail_msg("%s: %u", v[i].why, f.registers);
		if (v[i].lost)
			assert_in_range(
			    f.waits_at_ms[0] - before, 10000, 130100);
		fix_close(&f);
	}
}

/* ---- UDP: a bare peer is the registrar ---- */

/* Registers with the peer, whose 200 says `keep` and `more`; the port of the
 * client. */
static uint16_t
register_udp(struct fix *f, struct peer *p, const char *keep, const char *more)
{
	char domain[ADDR_STR_MAX], *at;
	struct sip_reg_conf c = { .user = "bob",
		.domain = domain,
		.transport = SIPC_UDP,
		.expires_s = 3600 };
	struct sip_flow *fl;
	struct addr local;
	struct buf b;

	addr_print(&p->at, domain);
	assert_int_equal(sip_reg_start(&f->reg, f->client, &c, on_reg, f), 0);
	pass(&f->w, 10);
	heard(p, 0, "REGISTER ");
	fl = TAILQ_FIRST(&f->client->flows);
	udp_local(fl->sock->u, &local);
	at = strstr(p->msg[0], ";keep\r\n");
	assert_non_null(at);
	buf_init(&b, 4096);
	assert_int_equal(buf_printf(&b, "%.*s%s%s", (int)(at - p->msg[0]),
			     p->msg[0], keep, at + strlen(";keep")),
	    0);
	peer_answers(p, addr_port(&local), buf_str(&b), 200, "t", more);
	buf_clear(&b);
	pass(&f->w, 10);
	assert_int_equal(f->state, SIP_REG_OK);
	return addr_port(&local);
}

/* Answers the STUN request heard last: it came from port `seen`. */
static void
stun_answer(struct peer *p, uint16_t port, uint16_t seen)
{
	/* success, 12 bytes, cookie, id; XOR-MAPPED-ADDRESS of 127.0.0.1 */
	uint8_t m[32] = { 1, 1, 0, 12, 0x21, 0x12, 0xa4, 0x42 };
	static const uint8_t attr[] = { 0, 0x20, 0, 8, 0, 1, 0, 0, 127 ^ 0x21,
		0 ^ 0x12, 0 ^ 0xa4, 1 ^ 0x42 };
	struct addr to;

	memcpy(m + 8, p->msg[p->n - 1] + 8, 12);
	memcpy(m + 20, attr, sizeof(attr));
	m[26] = (uint8_t)((seen >> 8) ^ 0x21);
	m[27] = (uint8_t)(seen ^ 0x12);
	assert_int_equal(addr_parse(&to, slice_of("127.0.0.1"), port), 0);
	assert_int_equal(udp_send(p->u, m, sizeof(m), &to), 0);
}

/* Is the last message heard a binding request? */
static bool
is_stun(const struct peer *p)
{
	return p->n > 0 &&
	    memcmp(p->msg[p->n - 1], "\0\1\0\0\x21\x12\xa4\x42", 8) == 0;
}

static void
stun_keeps_a_udp_flow_alive_and_sees_a_new_address(void **state)
{
	struct peer p;
	uint16_t port;
	struct fix f;

	(void)state;
	fix_open(&f);
	peer_open(&p, &f.w, "127.0.0.1");
	port = register_udp(&f, &p, ";keep=40", "Expires: 3600\r\n");
	/* the first at once, then each 32 to 40 s */
	assert_int_equal(p.n, 2);
	for (int i = 0; i < 3; i++) {
		int tenths = 0;

		assert_true(is_stun(&p));
		stun_answer(&p, port, 4000);
		peer_forget(&p);
		for (; p.n == 0 && tenths < 500; tenths++)
			pass(&f.w, 100);
		assert_in_range(tenths, 319, 402);
	}
	/* an answer to another question is none */
	p.msg[0][8] ^= 1;
	stun_answer(&p, port, 5000);
	p.msg[0][8] ^= 1;
	pass(&f.w, 10);
	assert_int_equal(f.state, SIP_REG_OK);
	/* the NAT has forgotten us */
	stun_answer(&p, port, 5000);
	peer_forget(&p);
	pass(&f.w, 10);
	heard(&p, 0, "REGISTER ");
	peer_close(&p);
	fix_close(&f);
}

static void
silence_to_stun_is_the_end_of_a_udp_flow(void **state)
{
	struct peer p;
	struct fix f;

	(void)state;
	fix_open(&f);
	peer_open(&p, &f.w, "127.0.0.1");
	(void)register_udp(&f, &p, ";keep", "Require: outbound\r\n");
	peer_forget(&p);
	pass(&f.w, 15300);
	assert_int_equal(f.state, SIP_REG_OK);
	assert_int_equal(p.n, 4); /* and the one that was forgotten */
	assert_true(is_stun(&p));
	peer_forget(&p);
	pass(&f.w, 300);
	assert_true(f.waits_at_ms[0] > 0);
	assert_int_equal(f.err, ETIMEDOUT);
	heard(&p, 0, "REGISTER ");
	peer_close(&p);
	fix_close(&f);
}

static void
server_without_stun_gets_line_ends(void **state)
{
	struct peer p;
	struct fix f;

	(void)state;
	fix_open(&f);
	peer_open(&p, &f.w, "127.0.0.1");
	/* our own parameter comes back as it was: that says nothing */
	(void)register_udp(&f, &p, ";keep", "Expires: 3600\r\n");
	peer_forget(&p);
	pass(&f.w, 100 * 1000);
	assert_in_range(p.n, 3, 4);
	assert_string_equal(p.msg[p.n - 1], "\r\n\r\n");
	assert_int_equal(f.state, SIP_REG_OK);
	peer_close(&p);
	fix_close(&f);
}

static void
stun_answers_are_read_with_care(void **state)
{
	static const uint8_t id[12] = "0123456789ab";
	/* RFC 5769 2.2 in small: XOR-MAPPED-ADDRESS of 192.0.2.1:32853 behind
	 * an attribute of odd length */
	uint8_t ok[] = { 1, 1, 0, 20, 0x21, 0x12, 0xa4, 0x42, '0', '1', '2',
		'3', '4', '5', '6', '7', '8', '9', 'a', 'b', 0x80, 0x22, 0, 3,
		'x', 'y', 'z', 0, 0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12,
		0xa6, 0x43 };
	uint8_t copy[sizeof(ok)];
	char text[ADDR_STR_MAX];
	struct addr a;

	(void)state;
	assert_int_equal(sip_stun_answer(ok, sizeof(ok), id, &a), 0);
	addr_print(&a, text);
	assert_string_equal(text, "192.0.2.1:32853");
	/* cut anywhere it is none */
	for (size_t n = 0; n < sizeof(ok); n++) {
		uint8_t *cut = malloc(n > 0 ? n : 1);

		memcpy(cut, ok, n);
		assert_int_equal(sip_stun_answer(cut, n, id, &a), E_PARSE);
		if (n >= 20) {
			cut[3] = (uint8_t)(n - 20);
			assert_int_equal(
			    sip_stun_answer(cut, n, id, &a), E_PARSE);
		}
		free(cut);
	}
	/* changed anywhere it is none, or another address */
	for (size_t i = 0; i < sizeof(ok); i++) {
		memcpy(copy, ok, sizeof(ok));
		copy[i] ^= 0xff;
		(void)!sip_stun_answer(copy, sizeof(copy), id, &a);
	}
	assert_false(
	    sip_stun_is((const uint8_t *)"SIP/2.0 200 OK\r\n\r\n..", 20));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    lost_flow_is_tried_at_once_soon_and_then_as_the_rfc_says),
		cmocka_unit_test(binding_of_a_lost_connection_is_withdrawn),
		cmocka_unit_test(registration_that_falls_apart_is_not_hammered),
		cmocka_unit_test(retry_after_overrides),
		cmocka_unit_test(
		    change_of_the_network_is_the_end_of_what_cannot_work),
		cmocka_unit_test(
		    what_is_connecting_goes_on_if_its_address_is_right),
		cmocka_unit_test(intervals_come_from_settings_server_or_rfc),
		cmocka_unit_test(
		    missing_pong_counts_where_one_was_promised_or_seen),
		cmocka_unit_test(
		    stun_keeps_a_udp_flow_alive_and_sees_a_new_address),
		cmocka_unit_test(silence_to_stun_is_the_end_of_a_udp_flow),
		cmocka_unit_test(server_without_stun_gets_line_ends),
		cmocka_unit_test(stun_answers_are_read_with_care),
	};

	/* Not the links of this machine. */
	if (unshare(CLONE_NEWNET) != 0 &&
	    unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
		return 77;
	lo_up();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
