/* SPDX-License-Identifier: ISC */
/* Where requests go (RFC 3263, RFC 2782), against a small name server of the
 * test's own. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "test_sip.h"

struct fix {
	struct world w;
	struct sip_stack *s;
	struct udp *dns;
	struct sip_route *route;
	struct timer limit;
	int err;
	unsigned int done;
	struct sip_target t[SIPC_TARGETS_MAX];
	size_t n;
};

/* ---- the name server ---- */

struct answer {
	const char *name;
	int type; /* 1: A, 33: SRV */
	int prio, port;
	const char *data;
};

static const struct answer zone[] = {
	{ "_sips._tcp.example.test", 33, 20, 5071, "b.example.test" },
	{ "_sips._tcp.example.test", 33, 10, 5070, "a.example.test" },
	{ "_sips._tcp.example.test", 33, 30, 5072, "gone.example.test" },
	{ "a.example.test", 1, 0, 0, "192.0.2.1" },
	{ "b.example.test", 1, 0, 0, "192.0.2.2" },
	{ "plain.test", 1, 0, 0, "192.0.2.9" },
};

/* Appends a name in wire form. */
static size_t
name_put(uint8_t *p, const char *name)
{
	struct slice rest = slice_of(name), label;
	size_t n = 0;

	while (rest.n > 0) {
		(void)slice_cut(rest, '.', &label, &rest);
		p[n++] = (uint8_t)label.n;
		memcpy(p + n, label.p, label.n);
		n += label.n;
	}
	p[n++] = 0;
	return n;
}

/* Appends one record; its owner is the question. */
static size_t
record_put(uint8_t *p, const struct answer *a)
{
	size_t n = 12, at;
	struct addr ip;

	memcpy(p, "\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c", 10);
	p[3] = (uint8_t)a->type;
	if (a->type == 1) {
		assert_int_equal(addr_parse(&ip, slice_of(a->data), 1), 0);
		memcpy(p + n, &ip.u.in.sin_addr, 4);
		n += 4;
	} else {
		p[n++] = 0;
		p[n++] = (uint8_t)a->prio;
		p[n++] = 0;
		p[n++] = 1;
		p[n++] = (uint8_t)(a->port >> 8);
		p[n++] = (uint8_t)a->port;
		n += name_put(p + n, a->data);
	}
	at = n - 12;
	p[10] = 0;
	p[11] = (uint8_t)at;
	return n;
}

/* udp_cb: answers one question. */
static void
on_query(
    struct udp *u, uint8_t *p, size_t n, const struct addr *from, void *arg)
{
	uint8_t out[1024];
	char name[256];
	size_t at = 12, len = 0, q, count = 0;
	int type;

	(void)arg;
	assert_true(n > 16);
	while (at < n && p[at] != 0) {
		memcpy(name + len, p + at + 1, p[at]);
		len += p[at];
		name[len++] = '.';
		at += p[at] + 1u;
	}
	name[len > 0 ? len - 1 : 0] = '\0';
	type = p[at + 2];
	q = at + 5;
	memcpy(out, p, q);
	out[2] = 0x81;
	out[3] = 0x80;
	memset(out + 6, 0, 6);
	for (size_t i = 0; i < sizeof(zone) / sizeof(zone[0]); i++) {
		if (!slice_case_is(slice_of(name), zone[i].name) ||
		    zone[i].type != type)
			continue;
		q += record_put(out + q, &zone[i]);
		count++;
	}
	out[7] = (uint8_t)count;
	if (count == 0)
		out[3] |= 3; /* NXDOMAIN */
	assert_int_equal(udp_send(u, out, q, from), 0);
}

/* ---- the tests ---- */

static void
on_route(int err, const struct sip_target *ts, size_t num_ts, int64_t took_us,
    void *arg)
{
	struct fix *f = arg;

	assert_null(f->route);
	assert_true(took_us >= 0);
	f->err = err;
	f->done++;
	f->n = num_ts;
	memcpy(f->t, ts, num_ts * sizeof(ts[0]));
	loop_stop(f->w.loop);
}

static void
on_limit(void *arg)
{
	struct fix *f = arg;

	loop_stop(f->w.loop);
}

static void
fix_open(struct fix *f)
{
	struct tls_env_conf tc = { .builtin_file = "" };
	struct sip_stack_conf c = { .arg = f };
	char at[ADDR_STR_MAX];
	struct addr local;

	memset(f, 0, sizeof(*f));
	log_set_level(LOGL_ERR);
	assert_int_equal(loop_new(&f->w.loop), 0);
	assert_int_equal(tls_env_new(&f->w.tls, f->w.loop, &tc), 0);
	assert_int_equal(addr_parse(&local, slice_of("127.0.0.1"), 0), 0);
	assert_int_equal(
	    udp_open(&f->dns, f->w.loop, &local, 0, on_query, NULL), 0);
	udp_local(f->dns, &local);
	addr_print(&local, at);
	assert_int_equal(dns_new(&f->w.dns, f->w.loop, at), 0);
	c.loop = f->w.loop;
	c.tls = f->w.tls;
	c.dns = f->w.dns;
	assert_int_equal(sip_stack_new(&f->s, &c), 0);
}

static void
fix_close(struct fix *f)
{
	timer_stop(&f->limit);
	sip_stack_free(f->s);
	dns_free(f->w.dns);
	udp_free(f->dns);
	tls_env_free(f->w.tls);
	loop_free(f->w.loop);
}

static void
targets_follow_the_rfcs(void **state)
{
	static const struct {
		const char *why, *host;
		uint16_t port;
		enum sip_transport t;
		int err;
		const char *want[3];
	} v[] = {
		{ "SRV by priority, dead ones left out", "example.test", 0,
		    SIPC_TLS, 0, { "192.0.2.1:5070", "192.0.2.2:5071", NULL } },
		{ "a port means no SRV", "a.example.test", 5099, SIPC_TLS, 0,
		    { "192.0.2.1:5099", NULL } },
		{ "no SRV: the address and the default port", "plain.test", 0,
		    SIPC_TLS, 0, { "192.0.2.9:5061", NULL } },
		{ "and that of UDP", "plain.test", 0, SIPC_UDP, 0,
		    { "192.0.2.9:5060", NULL } },
		{ "literal", "192.0.2.77", 0, SIPC_TCP, 0,
		    { "192.0.2.77:5060", NULL } },
		{ "literal IPv6", "2001:db8::1", 0, SIPC_TLS, 0,
		    { "[2001:db8::1]:5061", NULL } },
		{ "unknown", "nix.test", 0, SIPC_TLS, E_DNS_NXDOMAIN,
		    { NULL } },
	};
	struct fix f;

	(void)state;
	fix_open(&f);
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct sip_route_conf c = { .host = v[i].host,
			.port = v[i].port,
			.t = v[i].t,
			.cb = on_route,
			.arg = &f };
		size_t n = 0;

		f.done = 0;
		assert_int_equal(sip_route_start(&f.route, f.s, &c), 0);
		assert_int_equal(f.done, 0); /* never inside the call */
		assert_int_equal(
		    timer_start(&f.limit, f.w.loop, 5 * SIPC_S, on_limit, &f),
		    0);
		assert_int_equal(loop_run(f.w.loop), 0);
		if (f.done != 1 || f.err != v[i].err)
			fail_msg("%s: done %u err %d", v[i].why, f.done, f.err);
		for (; v[i].want[n] != NULL; n++) {
			char at[ADDR_STR_MAX] = "nothing";

			if (n < f.n)
				addr_print(&f.t[n].a, at);
			if (strcmp(at, v[i].want[n]) != 0)
				fail_msg("%s: %s", v[i].why, at);
			assert_int_equal(f.t[n].t, v[i].t);
		}
		assert_int_equal(f.n, n);
	}
	fix_close(&f);
}

static void
stopped_look_ups_say_nothing(void **state)
{
	struct fix f;
	struct sip_route_conf c = {
		.host = "example.test", .t = SIPC_TLS, .cb = on_route, .arg = &f
	};

	(void)state;
	fix_open(&f);
	assert_int_equal(sip_route_start(&f.route, f.s, &c), 0);
	sip_route_stop(&f.route);
	assert_null(f.route);
	assert_int_equal(
	    timer_start(&f.limit, f.w.loop, 50 * SIPC_MS, on_limit, &f), 0);
	assert_int_equal(loop_run(f.w.loop), 0);
	assert_int_equal(f.done, 0);
	fix_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(targets_follow_the_rfcs),
		cmocka_unit_test(stopped_look_ups_say_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
