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
	char domain[64]; /* that was told to have TLS */
	unsigned int told;
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
	int type;       /* 1: A, 28: AAAA, 33: SRV, 35: NAPTR */
	int prio, port; /* NAPTR: order and preference */
	const char *data;
	const char *service; /* NAPTR: "flags service" */
};

static const struct answer zone[] = {
	{ "_sips._tcp.example.test", 33, 20, 5071, "b.example.test", NULL },
	{ "_sips._tcp.example.test", 33, 10, 5070, "a.example.test", NULL },
	{ "_sips._tcp.example.test", 33, 30, 5072, "gone.example.test", NULL },
	{ "_sip._tcp.example.test", 33, 1, 5060, "b.example.test", NULL },
	{ "_sip._udp.example.test", 33, 1, 5060, "a.example.test", NULL },
	{ "a.example.test", 1, 0, 0, "192.0.2.1", NULL },
	{ "b.example.test", 1, 0, 0, "192.0.2.2", NULL },
	{ "plain.test", 1, 0, 0, "192.0.2.9", NULL },
	{ "six.test", 28, 0, 0, "2001:db8::6", NULL },
	/* SRV without TLS */
	{ "_sip._tcp.clear.test", 33, 1, 5062, "a.example.test", NULL },
	{ "_sip._udp.clear.test", 33, 1, 5063, "b.example.test", NULL },
	{ "clear.test", 1, 0, 0, "192.0.2.8", NULL },
	/* no UDP, says its SRV */
	{ "_sip._udp.noudp.test", 33, 0, 0, "", NULL },
	{ "noudp.test", 1, 0, 0, "192.0.2.7", NULL },
	{ "_sips._tcp.notls.test", 33, 0, 0, "", NULL },
	{ "notls.test", 1, 0, 0, "192.0.2.6", NULL },
	/* NAPTR: by order and preference, foreign ones left out */
	{ "naptr.test", 35, 20, 10, "_sip._udp.elsewhere.test", "s SIP+D2U" },
	{ "naptr.test", 35, 10, 20, "_sip._tcp.elsewhere.test", "S sip+d2t" },
	{ "naptr.test", 35, 1, 1, "_sip._sctp.elsewhere.test", "s SIP+D2S" },
	{ "naptr.test", 35, 1, 1, "x.elsewhere.test", "u SIP+D2T" },
	{ "_sip._udp.elsewhere.test", 33, 1, 5064, "a.example.test", NULL },
	{ "_sip._tcp.elsewhere.test", 33, 1, 5065, "b.example.test", NULL },
	/* NAPTR that would rather have UDP, but has TLS */
	{ "both.test", 35, 1, 1, "_sip._udp.elsewhere.test", "s SIP+D2U" },
	{ "both.test", 35, 2, 1, "_sips._tcp.tls.test", "s SIPS+D2T" },
	{ "_sips._tcp.tls.test", 33, 1, 5066, "a.example.test", NULL },
	/* NAPTR that names a host */
	{ "host.test", 35, 1, 1, "a.example.test", "a SIPS+D2T" },
	/* NAPTR that leads nowhere */
	{ "dead.test", 35, 1, 1, "_sips._tcp.nix.test", "s SIPS+D2T" },
	{ "dead.test", 1, 0, 0, "192.0.2.5", NULL },
	/* its name server fails when asked for TLS */
	{ "_sips._tcp.broken.test", 33, -1, 0, NULL, NULL },
	{ "_sip._udp.broken.test", 33, 1, 5067, "a.example.test", NULL },
	/* and this one when asked for NAPTR, as cheap routers do */
	{ "router.test", 35, -1, 0, NULL, NULL },
	{ "_sip._udp.router.test", 33, 1, 5068, "a.example.test", NULL },
	/* one host with both families */
	{ "_sip._udp.dual.test", 33, 1, 5069, "dual.example.test", NULL },
	{ "dual.example.test", 1, 0, 0, "127.0.0.2", NULL },
	{ "dual.example.test", 28, 0, 0, "::1", NULL },
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

/* Appends a character string. */
static size_t
text_put(uint8_t *p, struct slice s)
{
	p[0] = (uint8_t)s.n;
	memcpy(p + 1, s.p, s.n);
	return s.n + 1;
}

/* Appends two bytes. */
static size_t
put16(uint8_t *p, int v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
	return 2;
}

/* Appends one record; its owner is the question. */
static size_t
record_put(uint8_t *p, const struct answer *a)
{
	struct slice flags, service;
	size_t n = 12;
	struct addr ip;

	memcpy(p, "\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c", 10);
	p[3] = (uint8_t)a->type;
	if (a->type == 1 || a->type == 28)
		assert_int_equal(addr_parse(&ip, slice_of(a->data), 1), 0);
	if (a->type == 1) {
		memcpy(p + n, &ip.u.in.sin_addr, 4);
		n += 4;
	} else if (a->type == 28) {
		memcpy(p + n, &ip.u.in6.sin6_addr, 16);
		n += 16;
	} else {
		n += put16(p + n, a->prio);
		if (a->type == 33)
			n += put16(p + n, 1);
		n += put16(p + n, a->port);
		if (a->type == 35) {
			(void)slice_cut(
			    slice_of(a->service), ' ', &flags, &service);
			n += text_put(p + n, flags);
			n += text_put(p + n, service);
			n += text_put(p + n, slice_of(""));
		}
		n += name_put(p + n, a->data);
	}
	put16(p + 10, (int)n - 12);
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
		if (zone[i].prio < 0) {
			out[3] |= 2; /* SERVFAIL */
			break;
		}
		q += record_put(out + q, &zone[i]);
		count++;
	}
	out[7] = (uint8_t)count;
	if (count == 0 && (out[3] & 2) == 0)
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
on_tls_domain(const char *domain, void *arg)
{
	struct fix *f = arg;

	(void)snprintf(f->domain, sizeof(f->domain), "%s", domain);
	f->told++;
}

static void
fix_open(struct fix *f)
{
	struct tls_env_conf tc = { .builtin_file = "" };
	struct sip_stack_conf c = { .on_tls_domain = on_tls_domain, .arg = f };
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

/* Resolves. */
static void
resolve(struct fix *f, const char *host, uint16_t port, enum sip_transport t,
    bool sips)
{
	struct sip_route_conf c = { .host = host,
		.port = port,
		.t = t,
		.sips = sips,
		.cb = on_route,
		.arg = f };

	f->done = 0;
	f->n = 0;
	assert_int_equal(sip_route_start(&f->route, f->s, &c), 0);
	assert_int_equal(f->done, 0); /* never inside the call */
	assert_int_equal(
	    timer_start(&f->limit, f->w.loop, 20 * SIPC_S, on_limit, f), 0);
	assert_int_equal(loop_run(f->w.loop), 0);
	assert_int_equal(f->done, 1);
}

/* What came out, as "tls 192.0.2.1:5061, udp .." */
static void
found(const struct fix *f, char *out, size_t size)
{
	char at[ADDR_STR_MAX];
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < f->n; i++) {
		addr_print(&f->t[i].a, at);
		n += (size_t)snprintf(out + n, size - n, "%s%s %s",
		    i > 0 ? ", " : "", sip_transport_name(f->t[i].t), at);
	}
}

static void
targets_follow_the_rfcs(void **state)
{
	static const struct {
		const char *why, *host;
		uint16_t port;
		enum sip_transport t;
		int err;
		const char *want;
	} v[] = {
		{ "SRV by priority, dead ones left out", "example.test", 0,
		    SIPC_TLS, 0, "tls 192.0.2.1:5070, tls 192.0.2.2:5071" },
		{ "a port means no SRV", "a.example.test", 5099, SIPC_TLS, 0,
		    "tls 192.0.2.1:5099" },
		{ "no SRV: the address and the default port", "plain.test", 0,
		    SIPC_TLS, 0, "tls 192.0.2.9:5061" },
		{ "and that of UDP", "plain.test", 0, SIPC_UDP, 0,
		    "udp 192.0.2.9:5060" },
		{ "literal", "192.0.2.77", 0, SIPC_TCP, 0,
		    "tcp 192.0.2.77:5060" },
		{ "literal IPv6", "2001:db8::1", 0, SIPC_TLS, 0,
		    "tls [2001:db8::1]:5061" },
		{ "IPv6 alone", "six.test", 0, SIPC_TLS, 0,
		    "tls [2001:db8::6]:5061" },
		{ "unknown", "nix.test", 0, SIPC_TLS, E_DNS_NXDOMAIN, "" },
		{ "RFC 2782: no such service", "notls.test", 0, SIPC_TLS,
		    E_DNS_NO_SERVICE, "" },
		/* RFC 3263 4.1 */
		{ "NAPTR by order", "naptr.test", 0, SIPC_AUTO, 0,
		    "tcp 192.0.2.2:5065, udp 192.0.2.1:5064" },
		{ "TLS leaves no room for less", "both.test", 0, SIPC_AUTO, 0,
		    "tls 192.0.2.1:5066" },
		{ "NAPTR that names a host", "host.test", 0, SIPC_AUTO, 0,
		    "tls 192.0.2.1:5061" },
		{ "NAPTR without servers behind it", "dead.test", 0, SIPC_AUTO,
		    0, "tls 192.0.2.5:5061" },
		{ "no NAPTR: SRV, TLS first", "example.test", 0, SIPC_AUTO, 0,
		    "tls 192.0.2.1:5070, tls 192.0.2.2:5071" },
		{ "no TLS: TCP, then UDP", "clear.test", 0, SIPC_AUTO, 0,
		    "tcp 192.0.2.1:5062, udp 192.0.2.2:5063" },
		{ "no SRV: UDP, then TCP", "plain.test", 0, SIPC_AUTO, 0,
		    "udp 192.0.2.9:5060, tcp 192.0.2.9:5060" },
		{ "but not what it says it has not", "noudp.test", 0, SIPC_AUTO,
		    0, "tcp 192.0.2.7:5060" },
		{ "no TLS, and says so", "notls.test", 0, SIPC_AUTO, 0,
		    "udp 192.0.2.6:5060, tcp 192.0.2.6:5060" },
		{ "a port: no look-up of services", "example.test", 5060,
		    SIPC_AUTO, E_DNS_NXDOMAIN, "" },
		{ "the same", "plain.test", 5080, SIPC_AUTO, 0,
		    "udp 192.0.2.9:5080, tcp 192.0.2.9:5080" },
		{ "a literal", "192.0.2.77", 0, SIPC_AUTO, 0,
		    "udp 192.0.2.77:5060, tcp 192.0.2.77:5060" },
		{ "NAPTR unknown to the name server", "router.test", 0,
		    SIPC_AUTO, 0, "udp 192.0.2.1:5068" },
		{ "whether there is TLS cannot be known: not in clear",
		    "broken.test", 0, SIPC_AUTO, E_DNS_FAIL, "" },
		{ "unknown", "nix.test", 0, SIPC_AUTO, E_DNS_NXDOMAIN, "" },
	};
	char got[600];
	struct fix f;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		fix_open(&f);
		resolve(&f, v[i].host, v[i].port, v[i].t, false);
		found(&f, got, sizeof(got));
		if (f.err != v[i].err || strcmp(got, v[i].want) != 0)
			fail_msg("%s: err %d, %s", v[i].why, f.err, got);
		fix_close(&f);
	}
}

static void
both_families_of_a_server_are_tried(void **state)
{
	char got[600];
	struct fix f;

	(void)state;
	fix_open(&f);
	resolve(&f, "dual.test", 0, SIPC_UDP, false);
	found(&f, got, sizeof(got));
	/* RFC 6724 orders them; that is the resolver's */
	assert_int_equal(f.n, 2);
	assert_non_null(strstr(got, "udp 127.0.0.2:5069"));
	assert_non_null(strstr(got, "udp [::1]:5069"));
	assert_int_equal(f.t[0].rank, f.t[1].rank);
	fix_close(&f);
}

static void
ranks_rise_with_priority_and_service(void **state)
{
	struct fix f;

	(void)state;
	fix_open(&f);
	resolve(&f, "example.test", 0, SIPC_TLS, false);
	assert_int_equal(f.t[0].rank, 0);
	assert_int_equal(f.t[1].rank, 1);
	resolve(&f, "naptr.test", 0, SIPC_AUTO, false);
	assert_int_equal(f.t[0].rank, 0);
	assert_int_equal(f.t[1].rank, 1);
	fix_close(&f);
}

static void
sips_is_tls_alone(void **state)
{
	static const struct {
		const char *host, *want;
	} v[] = {
		{ "example.test", "tls 192.0.2.1:5070, tls 192.0.2.2:5071" },
		{ "both.test", "tls 192.0.2.1:5066" },
		{ "naptr.test", "" }, /* it has no TLS, nor an address */
		{ "clear.test", "tls 192.0.2.8:5061" },
		{ "192.0.2.77", "tls 192.0.2.77:5061" },
	};
	char got[600];
	struct fix f;

	(void)state;
	fix_open(&f);
	sip_stack_allow_clear(f.s, true); /* not for these */
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		resolve(&f, v[i].host, 0, SIPC_AUTO, true);
		found(&f, got, sizeof(got));
		assert_string_equal(got, v[i].want);
	}
	fix_close(&f);
}

static void
tls_once_offered_is_never_given_up(void **state)
{
	char got[600];
	struct fix f;

	(void)state;
	fix_open(&f);
	resolve(&f, "example.test", 0, SIPC_AUTO, false);
	assert_int_equal(f.told, 1);
	assert_string_equal(f.domain, "example.test");
	resolve(&f, "example.test", 0, SIPC_AUTO, false);
	assert_int_equal(f.told, 1); /* said once */
	assert_true(sip_stack_had_tls(f.s, "EXAMPLE.test"));
	/* these have lost their TLS, or somebody says so */
	sip_stack_tls_offered(f.s, "clear.test");
	sip_stack_tls_offered(f.s, "plain.test");
	sip_stack_tls_offered(f.s, "notls.test");
	resolve(&f, "clear.test", 0, SIPC_AUTO, false);
	found(&f, got, sizeof(got));
	assert_string_equal(got, "tls 192.0.2.8:5061");
	resolve(&f, "plain.test", 5080, SIPC_AUTO, false);
	found(&f, got, sizeof(got));
	assert_string_equal(got, "tls 192.0.2.9:5080");
	resolve(&f, "notls.test", 0, SIPC_AUTO, false);
	assert_int_equal(f.err, E_DNS_NO_SERVICE);
	/* unless the owner of the device says so */
	sip_stack_allow_clear(f.s, true);
	resolve(&f, "clear.test", 0, SIPC_AUTO, false);
	found(&f, got, sizeof(got));
	assert_string_equal(got, "tcp 192.0.2.1:5062, udp 192.0.2.2:5063");
	resolve(&f, "both.test", 0, SIPC_AUTO, false);
	found(&f, got, sizeof(got));
	assert_string_equal(got, "udp 192.0.2.1:5064, tls 192.0.2.1:5066");
	resolve(&f, "broken.test", 0, SIPC_AUTO, false);
	found(&f, got, sizeof(got));
	assert_string_equal(got, "udp 192.0.2.1:5067");
	fix_close(&f);
}

static void
domains_with_tls_are_bounded_and_names(void **state)
{
	char name[32];
	struct fix f;

	(void)state;
	fix_open(&f);
	sip_stack_tls_offered(f.s, "192.0.2.1");
	sip_stack_tls_offered(f.s, "[::1]");
	sip_stack_tls_offered(f.s, "localhost");
	sip_stack_tls_offered(f.s, "");
	sip_stack_tls_offered(f.s, "a\nb");
	assert_int_equal(f.told, 0);
	for (int i = 0; i <= SIPC_TLS_DOMAINS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "d%d.test", i);
		sip_stack_tls_offered(f.s, name);
		assert_true(sip_stack_had_tls(f.s, name));
	}
	assert_int_equal(f.s->num_tls_domains, SIPC_TLS_DOMAINS_MAX);
	assert_false(sip_stack_had_tls(f.s, "d0.test"));
	assert_true(sip_stack_had_tls(f.s, "d1.test"));
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
		cmocka_unit_test(both_families_of_a_server_are_tried),
		cmocka_unit_test(ranks_rise_with_priority_and_service),
		cmocka_unit_test(sips_is_tls_alone),
		cmocka_unit_test(tls_once_offered_is_never_given_up),
		cmocka_unit_test(domains_with_tls_are_bounded_and_names),
		cmocka_unit_test(stopped_look_ups_say_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
