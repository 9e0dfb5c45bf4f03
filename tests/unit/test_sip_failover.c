/* SPDX-License-Identifier: ISC */
/* A registration and its servers in fake time: from one to the next, and back
 * (RFC 3263 4.3). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "bellbird/sip_trace.h"

#include "test_sip.h"
#include "test_sip_tls.h"

enum { SERVERS = 2 };

struct server {
	struct fix *f;
	struct sip_stack *s;
	uint16_t ports[SIPC_TRANSPORTS];
	unsigned int registers, polls;
	int refuse;  /* answer this; -1: nothing */
	int options; /* answer NOTIFY so; 0: 200; -1: nothing */
	char polled_with[16];
	const char *headers;
};

struct fix {
	struct world w;
	struct tls_dirs d;
	struct server v[SERVERS];
	struct sip_stack *client;
	struct sip_reg *reg;
	struct sip_reg_status st;
	struct sip_reg_conf c;
	char hosts[SERVERS][32];
};

static bool
on_req(struct sip_req *req, void *arg)
{
	struct server *v = arg;

	if (strcmp(sip_req_method(req), "NOTIFY") == 0)
		return v->options < 0 ||
		    sip_req_reply(req, v->options != 0 ? v->options : 200, NULL,
			NULL, NULL, slice_of("")) == 0;
	if (strcmp(sip_req_method(req), "REGISTER") != 0)
		return false;
	v->registers++;
	if (v->refuse < 0)
		return true;
	assert_int_equal(
	    sip_req_reply(req, v->refuse != 0 ? v->refuse : 200, NULL,
		v->refuse != 0 ? v->headers : NULL, NULL, slice_of("")),
	    0);
	return true;
}

/* sip_trace_cb: counts polls. */
static void
on_trace(const struct sip_trace_msg *m, void *arg)
{
	struct server *v = arg;
	struct sip_trace_brief b;

	sip_trace_brief(&b, m->msg);
	if (m->sent || b.code != 0 ||
	    (!slice_is(b.method, "OPTIONS") && !slice_is(b.method, "NOTIFY")))
		return;
	v->polls++;
	ignore_err(
	    str_copy_slice(v->polled_with, sizeof(v->polled_with), b.method),
	    "one of the two");
}

static void
server_up(struct fix *f, int i)
{
	struct server *v = &f->v[i];
	struct sip_stack_conf c = { .loop = f->w.loop,
		.tls = f->w.tls,
		.dns = f->w.dns,
		.on_req = on_req,
		.arg = v };
	struct tls_policy policy;
	struct addr local;

	tls_server_policy(&policy);
	assert_int_equal(sip_stack_new(&v->s, &c), 0);
	for (int t = 0; t < SIPC_TRANSPORTS; t++) {
		assert_int_equal(
		    addr_parse(&local, slice_of("127.0.0.1"), v->ports[t]), 0);
		assert_int_equal(sip_stack_listen(v->s, t, &local,
				     t == SIPC_TLS ? &policy : NULL),
		    0);
	}
	sip_stack_each_listener(v->s, port_take, v->ports);
	allow(v->s, "any");
	sip_stack_trace(v->s, on_trace, v);
}

static void
server_down(struct fix *f, int i)
{
	sip_stack_free(f->v[i].s);
	f->v[i].s = NULL;
}

static void
fix_open(struct fix *f, enum sip_transport t)
{
	struct sip_stack_conf c = { .arg = f };

	memset(f, 0, sizeof(*f));
	world_open_tls(&f->w, &f->d);
	for (int i = 0; i < SERVERS; i++) {
		server_up(f, i);
		(void)snprintf(f->hosts[i], sizeof(f->hosts[i]), "127.0.0.1:%u",
		    f->v[i].ports[t]);
	}
	c.loop = f->w.loop;
	c.tls = f->w.tls;
	c.dns = f->w.dns;
	assert_int_equal(sip_stack_new(&f->client, &c), 0);
	f->c = (struct sip_reg_conf){ .user = "bob",
		.domain = f->hosts[0],
		.backups = { f->hosts[1] },
		.password = "secret",
		.transport = t,
		.expires_s = 3600,
		.policy = tls_client_policy };
}

static void
fix_close(struct fix *f)
{
	sip_stack_free(f->client);
	for (int i = 0; i < SERVERS; i++)
		sip_stack_free(f->v[i].s);
	world_close_tls(&f->w, &f->d);
}

static void
on_reg(const struct sip_reg_status *st, void *arg)
{
	struct fix *f = arg;

	f->st = *st;
}

static void
start(struct fix *f)
{
	assert_int_equal(
	    sip_reg_start(&f->reg, f->client, &f->c, on_reg, f), 0);
}

/* It is registered with that server, nowhere else. */
static void
is_at(struct fix *f, int i, enum sip_transport t, const char *when)
{
	struct sip_reg_status st;

	sip_reg_get_status(f->reg, &st);
	if (st.state != SIP_REG_OK)
		fail_msg(
		    "%s: %s %s", when, sip_reg_state_name(st.state), st.reason);
	if (addr_port(&st.remote) != f->v[i].ports[t])
		fail_msg("%s: at the other server", when);
}

static void
a_dead_primary_means_the_backup_and_it_stays_there(void **state)
{
	static const enum sip_transport ts[] = { SIPC_TCP, SIPC_TLS };
	struct fix f;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		enum sip_transport t = ts[i];

		fix_open(&f, t);
		start(&f);
		pass(&f.w, 500);
		is_at(&f, 0, t, "at first");
		assert_int_equal(f.v[1].registers, 0);
		server_down(&f, 0);
		pass(&f.w, 500);
		is_at(&f, 1, t, "primary dead");
		/* back, but nobody asked for a return */
		server_up(&f, 0);
		pass(&f.w, 300 * 1000);
		is_at(&f, 1, t, "primary back");
		/* a lost connection alone is no reason to leave */
		server_down(&f, 1);
		server_up(&f, 1);
		pass(&f.w, 1000);
		is_at(&f, 1, t, "backup restarted");
		server_down(&f, 1);
		pass(&f.w, 1000);
		is_at(&f, 0, t, "backup dead");
		server_down(&f, 0);
		pass(&f.w, 5000);
		assert_int_equal(f.st.state == SIP_REG_OK, false);
		server_up(&f, 1);
		pass(&f.w, 4000);
		is_at(&f, 1, t, "backup back");
		fix_close(&f);
	}
}

static void
refusals_that_mean_another_server(void **state)
{
	static const struct {
		const char *why;
		int code;
		const char *headers;
		int64_t ms; /* within that */
		bool moves;
	} v[] = {
		{ "overloaded", 503, "Retry-After: 30\r\n", 100, true },
		{ "broken", 500, NULL, 100, true },
		{ "says it timed out", 408, NULL, 100, true },
		{ "does not want us", 403, NULL, 5000, false },
	};
	struct fix f;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		fix_open(&f, SIPC_TCP);
		f.v[0].refuse = v[i].code;
		f.v[0].headers = v[i].headers;
		start(&f);
		pass(&f.w, v[i].ms);
		if (v[i].moves)
			is_at(&f, 1, SIPC_TCP, v[i].why);
		else
			assert_int_equal(f.v[1].registers, 0);
		assert_int_equal(f.v[0].registers, 1);
		fix_close(&f);
	}
}

static void
a_server_that_is_avoided_is_the_last_resort(void **state)
{
	struct fix f;

	(void)state;
	fix_open(&f, SIPC_TCP);
	f.v[0].refuse = f.v[1].refuse = 503;
	f.v[0].headers = "Retry-After: 3000\r\n";
	start(&f);
	pass(&f.w, 500);
	assert_int_equal(f.st.state, SIP_REG_WAITING);
	assert_int_equal(f.v[0].registers, 1);
	assert_int_equal(f.v[1].registers, 1);
	/* the second has had its time of 5 s; the first said an hour */
	f.v[0].refuse = f.v[1].refuse = 0;
	pass(&f.w, 60 * 1000);
	is_at(&f, 1, SIPC_TCP, "the one that is not avoided");
	assert_int_equal(f.v[0].registers, 1);
	server_down(&f, 1);
	pass(&f.w, 500);
	is_at(&f, 0, SIPC_TCP, "there is no other");
	fix_close(&f);
}

static void
returns_to_the_primary_by_the_settings(void **state)
{
	static const struct {
		const char *why;
		bool failback, notify;
		int options; /* what the primary answers to the poll */
		bool returns;
	} v[] = {
		{ "asked with OPTIONS", true, false, 200, true },
		{ "asked with NOTIFY", true, true, 200, true },
		{ "any answer shows that it lives", true, true, 404, true },
		{ "but not this one", true, true, 503, false },
		{ "nor silence", true, true, -1, false },
		{ "no return", false, false, 200, false },
	};
	struct fix f;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		fix_open(&f, SIPC_TCP);
		f.c.poll_s = 60;
		f.c.failback = v[i].failback;
		f.c.poll_notify = v[i].notify;
		server_down(&f, 0);
		start(&f);
		pass(&f.w, 500);
		is_at(&f, 1, SIPC_TCP, v[i].why);
		pass(&f.w, 200 * 1000);
		is_at(&f, 1, SIPC_TCP, "still dead");
		f.v[0].options = v[i].options;
		server_up(&f, 0);
		pass(&f.w, 61 * 1000);
		is_at(&f, v[i].returns ? 0 : 1, SIPC_TCP, v[i].why);
		if (f.v[0].polls != (v[i].failback ? 1 : 0))
			fail_msg("%s: %u polls", v[i].why, f.v[0].polls);
		if (v[i].returns)
			assert_string_equal(f.v[0].polled_with,
			    v[i].notify ? "NOTIFY" : "OPTIONS");
		/* at the primary nobody is asked any more */
		pass(&f.w, 200 * 1000);
		assert_int_equal(f.v[1].polls, 0);
		fix_close(&f);
	}
}

static void
the_server_in_use_is_polled_if_set(void **state)
{
	struct fix f;

	(void)state;
	fix_open(&f, SIPC_TCP);
	f.c.poll_s = 30;
	f.c.poll_active = f.c.poll_notify = true;
	f.c.failback = true;
	start(&f);
	pass(&f.w, 95 * 1000);
	is_at(&f, 0, SIPC_TCP, "it answers");
	assert_in_range(f.v[0].polls, 3, 4);
	/* it hangs: the connection stands, nobody answers */
	f.v[0].options = -1;
	f.v[0].refuse = -1;
	pass(&f.w, 41 * 1000);
	is_at(&f, 1, SIPC_TCP, "it hangs");
	fix_close(&f);
}

static void
the_outbound_proxy_has_its_own_transport(void **state)
{
	static const struct {
		const char *why;
		enum sip_transport asked;
		const char *params;
		enum sip_transport used;
		bool sips;
		int err;
	} v[] = {
		{ "as the account", SIPC_TCP, "", SIPC_TCP, false, 0 },
		{ "TCP instead of UDP", SIPC_UDP, ";transport=tcp;lr", SIPC_TCP,
		    false, 0 },
		{ "TLS instead of UDP", SIPC_UDP, ";transport=tls", SIPC_TLS,
		    false, 0 },
		{ "found: what it says", SIPC_AUTO, ";transport=tcp", SIPC_TCP,
		    false, 0 },
		{ "found: an address is UDP", SIPC_AUTO, "", SIPC_UDP, false,
		    0 },
		{ "not less than TLS", SIPC_TLS, ";transport=tcp", SIPC_TLS,
		    false, E_SIP_INSECURE },
		{ "nor for sips", SIPC_AUTO, ";transport=udp", SIPC_TLS, true,
		    E_SIP_INSECURE },
		{ "unknown", SIPC_UDP, ";transport=sctp", SIPC_UDP, false,
		    E_PARSE },
	};
	struct sip_reg_status st;
	char uri[80];
	struct fix f;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		fix_open(&f, SIPC_TCP);
		(void)snprintf(uri, sizeof(uri), "sip:127.0.0.1:%u%s",
		    f.v[1].ports[v[i].used], v[i].params);
		f.c.domain = "example.test";
		f.c.backups[0] = NULL;
		f.c.obproxy = uri;
		f.c.transport = v[i].asked;
		f.c.sips = v[i].sips;
		if (sip_reg_start(&f.reg, f.client, &f.c, on_reg, &f) !=
		    v[i].err)
			fail_msg("%s", v[i].why);
		if (v[i].err == 0) {
			pass(&f.w, 500);
			is_at(&f, 1, v[i].used, v[i].why);
			sip_reg_get_status(f.reg, &st);
			assert_int_equal(st.transport, v[i].used);
		}
		fix_close(&f);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_dead_primary_means_the_backup_and_it_stays_there),
		cmocka_unit_test(refusals_that_mean_another_server),
		cmocka_unit_test(a_server_that_is_avoided_is_the_last_resort),
		cmocka_unit_test(returns_to_the_primary_by_the_settings),
		cmocka_unit_test(the_server_in_use_is_polled_if_set),
		cmocka_unit_test(the_outbound_proxy_has_its_own_transport),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
