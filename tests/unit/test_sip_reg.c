/* SPDX-License-Identifier: ISC */
/* Registrations in fake time: a client stack against a tiny registrar made of
 * another stack, on loopback. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "oom.h"
#include "test_sip.h"
#include "test_sip_tls.h"

enum { EVENTS_MAX = 64 };

struct fix {
	struct world w;
	struct tls_dirs d;
	struct sip_stack *server, *client;
	uint16_t ports[SIPC_TRANSPORTS];
	/* the registrar */
	unsigned int registers, unregisters, challenges;
	unsigned int grant_s;
	int refuse; /* answer this, without asking for a password */
	const char *refuse_headers;
	unsigned int algs;
	uint64_t flow;
	char contact[300];
	/* the client */
	struct sip_reg *reg;
	struct sip_reg_status st[EVENTS_MAX];
	size_t n;
	bool stop_in_cb;
};

static void
register_in(struct fix *f, struct sip_req *req)
{
	const char *contact = sip_req_header(req, "contact", 0);
	const char *expires = sip_req_header(req, "expires", 0);
	char headers[600];

	f->flow = sip_req_flow(req);
	(void)snprintf(f->contact, sizeof(f->contact), "%s",
	    contact != NULL ? contact : "");
	if (expires != NULL && strcmp(expires, "0") == 0)
		f->unregisters++;
	else
		f->registers++;
	(void)snprintf(headers, sizeof(headers), "Expires: %u\r\n", f->grant_s);
	assert_int_equal(
	    sip_req_reply(req, 200, NULL, headers, NULL, slice_of("")), 0);
}

static bool
on_req(struct sip_req *req, void *arg)
{
	struct fix *f = arg;
	bool stale;

	if (strcmp(sip_req_method(req), "REGISTER") != 0)
		return false;
	if (f->refuse != 0) {
		assert_int_equal(sip_req_reply(req, f->refuse, NULL,
				     f->refuse_headers, NULL, slice_of("")),
		    0);
	} else if (sip_auth_check(req, "realm", "bob", "secret", &stale) == 0) {
		register_in(f, req);
	} else {
		f->challenges++;
		assert_int_equal(
		    sip_auth_challenge(req, "realm", f->algs, stale), 0);
	}
	return true;
}

static void
on_reg(const struct sip_reg_status *st, void *arg)
{
	struct fix *f = arg;

	assert_true(f->n < EVENTS_MAX);
	f->st[f->n++] = *st;
	if (f->stop_in_cb)
		sip_reg_stop(&f->reg);
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
	struct tls_policy policy;

	f->server = stack(f, true);
	tls_server_policy(&policy);
	for (int t = 0; t < SIPC_TRANSPORTS; t++) {
		struct addr local;

		assert_int_equal(
		    addr_parse(&local, slice_of("127.0.0.1"), f->ports[t]), 0);
		assert_int_equal(sip_stack_listen(f->server, t, &local,
				     t == SIPC_TLS ? &policy : NULL),
		    0);
	}
	sip_stack_each_listener(f->server, port_take, f->ports);
	allow(f->server, "any");
}

static void
fix_open(struct fix *f)
{
	memset(f, 0, sizeof(*f));
	f->grant_s = 600;
	f->algs = 1u << TLS_SHA256 | 1u << TLS_MD5;
	world_open_tls(&f->w, &f->d);
	server_up(f);
	f->client = stack(f, false);
}

static void
fix_close(struct fix *f)
{
	sip_stack_free(f->client);
	sip_stack_free(f->server);
	assert_null(f->reg);
	world_close_tls(&f->w, &f->d);
}

/* Starts the registration of bob. */
static void
start(struct fix *f, enum sip_transport t, const char *password)
{
	char domain[64];
	struct sip_reg_conf c = { .user = "bob",
		.domain = domain,
		.password = password,
		.transport = t,
		.expires_s = 3600,
		.instance = "urn:uuid:1",
		.policy = tls_client_policy };

	(void)snprintf(domain, sizeof(domain), "127.0.0.1:%u", f->ports[t]);
	assert_int_equal(sip_reg_start(&f->reg, f->client, &c, on_reg, f), 0);
	assert_int_equal(f->n, 0); /* never inside the call */
}

/* The last event is that. */
static void
last_is(const struct fix *f, enum sip_reg_state st)
{
	assert_true(f->n > 0);
	if (f->st[f->n - 1].state != st)
		fail_msg("%s, not %s; err %d %s",
		    sip_reg_state_name(f->st[f->n - 1].state),
		    sip_reg_state_name(st), f->st[f->n - 1].err,
		    f->st[f->n - 1].reason);
}

static void
registers_on_every_transport(void **state)
{
	struct fix f;

	(void)state;
	for (int t = 0; t < SIPC_TRANSPORTS; t++) {
		fix_open(&f);
		start(&f, t, "secret");
		pass(&f.w, 100);
		last_is(&f, SIP_REG_OK);
		assert_int_equal(f.registers, 1);
		assert_int_equal(f.challenges, 1);
		assert_int_equal(f.st[f.n - 1].expires_s, 600);
		assert_string_equal(f.st[f.n - 1].digest_alg, "SHA-256");
		assert_int_not_equal(f.st[f.n - 1].flow, 0);
		assert_int_equal(f.st[0].state, SIP_REG_RESOLVING);
		assert_non_null(strstr(f.contact, ";ob>"));
		assert_non_null(strstr(
		    f.contact, ";+sip.instance=\"<urn:uuid:1>\";reg-id=1"));
		assert_int_equal(
		    strstr(f.contact, ";transport=tls") != NULL, t == SIPC_TLS);
		assert_int_equal(f.st[f.n - 1].verdict != NULL, t == SIPC_TLS);
		fix_close(&f);
	}
}

static void
refreshes_before_the_end_without_a_new_challenge(void **state)
{
	struct fix f;

	(void)state;
	fix_open(&f);
	start(&f, SIPC_TCP, "secret");
	pass(&f.w, 100);
	assert_int_equal(f.registers, 1);
	pass(&f.w, 500 * 1000);
	assert_int_equal(f.registers, 1);
	pass(&f.w, 45 * 1000);
	assert_int_equal(f.registers, 2);
	/* the nonce was old by then, but the password was not asked twice */
	assert_true(f.challenges <= 2);
	last_is(&f, SIP_REG_OK);
	f.grant_s = 60;
	pass(&f.w, 545 * 1000);
	assert_int_equal(f.registers, 3);
	pass(&f.w, 51 * 1000); /* 10 s before the end of 60 */
	assert_int_equal(f.registers, 4);
	fix_close(&f);
}

static void
wrong_password_waits_and_does_not_hammer(void **state)
{
	struct fix f;

	(void)state;
	fix_open(&f);
	start(&f, SIPC_TCP, "wrong");
	pass(&f.w, 1000);
	last_is(&f, SIP_REG_WAITING);
	assert_int_equal(f.st[f.n - 1].err, E_SIP_AUTH);
	assert_int_equal(f.st[f.n - 1].code, 401);
	assert_int_not_equal(f.st[f.n - 1].retry_at_us, 0);
	assert_int_equal(f.challenges, 2);
	pass(&f.w, 10 * 1000);
	assert_int_equal(f.challenges, 2);
	pass(&f.w, 3600 * 1000);
	assert_true(f.challenges > 4);
	assert_true(f.challenges <= 20); /* an hour of a wrong password */
	fix_close(&f);
}

static void
md5_is_refused_unless_allowed(void **state)
{
	struct fix f;

	(void)state;
	fix_open(&f);
	f.algs = 1u << TLS_MD5;
	start(&f, SIPC_UDP, "secret");
	pass(&f.w, 100);
	last_is(&f, SIP_REG_WAITING);
	assert_int_equal(f.st[f.n - 1].err, E_SIP_AUTH);
	assert_int_equal(f.registers, 0);
	fix_close(&f);
}

static void
refusals_of_all_kinds_wait(void **state)
{
	static const struct {
		const char *why;
		int code, err;
		const char *headers;
		int64_t min_ms;
	} v[] = {
		{ "forbidden", 403, E_SIP_REFUSED, NULL, 14000 },
		{ "not found", 404, E_SIP_REFUSED, NULL, 14000 },
		{ "busy, says when", 503, E_SIP_REFUSED, "Retry-After: 120\r\n",
		    119000 },
		{ "busy for a day", 503, E_SIP_REFUSED,
		    "Retry-After: 86400\r\n", 3599000 },
		{ "too brief without a number", 423, E_SIP_REFUSED, NULL,
		    14000 },
	};
	struct fix f;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		const struct sip_reg_status *st;

		fix_open(&f);
		f.refuse = v[i].code;
		f.refuse_headers = v[i].headers;
		start(&f, SIPC_TCP, "secret");
		pass(&f.w, 100);
		last_is(&f, SIP_REG_WAITING);
		st = &f.st[f.n - 1];
		assert_int_equal(st->err, v[i].err);
		assert_int_equal(st->code, v[i].code);
		if (st->retry_at_us - st->since_us < v[i].min_ms * 1000)
			fail_msg("%s: only %lld us", v[i].why,
			    (long long)(st->retry_at_us - st->since_us));
		f.refuse = 0;
		pass(&f.w, v[i].min_ms + 60 * 1000);
		last_is(&f, SIP_REG_OK);
		fix_close(&f);
	}
}

static void
nobody_sends_us_from_tls_to_less(void **state)
{
	static const struct {
		const char *scheme, *params;
		bool goes;
	} v[] = {
		{ "sip", ";transport=tcp", false },
		{ "sip", ";transport=udp", false },
		{ "sips", "", true },
		{ "sip", ";transport=tls", true },
	};
	struct fix f;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		char contact[120];
		uint16_t port;

		fix_open(&f);
		f.refuse = 302;
		port = f.ports[v[i].goes             ? SIPC_TLS
			: strstr(v[i].params, "udp") ? SIPC_UDP
						     : SIPC_TCP];
		(void)snprintf(contact, sizeof(contact),
		    "Contact: <%s:127.0.0.1:%u%s>\r\n", v[i].scheme, port,
		    v[i].params);
		f.refuse_headers = contact;
		start(&f, SIPC_TLS, "secret");
		pass(&f.w, 1000);
		last_is(&f, SIP_REG_WAITING);
		assert_int_equal(f.st[f.n - 1].code, 302);
		if ((strstr(f.st[f.n - 1].reason, "without TLS") == NULL) !=
		    v[i].goes)
			fail_msg("%s%s: %s", v[i].scheme, v[i].params,
			    f.st[f.n - 1].reason);
		fix_close(&f);
	}
}

static void
too_brief_is_asked_again_with_more(void **state)
{
	struct fix f;

	(void)state;
	fix_open(&f);
	f.refuse = 423;
	f.refuse_headers = "Min-Expires: 7200\r\n";
	start(&f, SIPC_TCP, "secret");
	pass(&f.w, 100);
	/* asked once more with 7200, refused again: waits */
	last_is(&f, SIP_REG_WAITING);
	f.refuse = 0;
	pass(&f.w, 60 * 1000);
	last_is(&f, SIP_REG_OK);
	assert_non_null(strstr(f.contact, "expires=7200"));
	fix_close(&f);
}

static void
lost_flow_comes_back_at_once(void **state)
{
	struct fix f;
	int64_t before;

	(void)state;
	for (int t = SIPC_TCP; t <= SIPC_TLS; t++) {
		fix_open(&f);
		start(&f, t, "secret");
		pass(&f.w, 20 * 1000);
		last_is(&f, SIP_REG_OK);
		before = clock_mono_us();
		sip_flow_close(sip_flow_get(f.server, f.flow), 0);
		pass(&f.w, 100);
		last_is(&f, SIP_REG_OK);
		assert_int_equal(f.registers, 2);
		assert_true(f.st[f.n - 1].since_us - before < 100 * 1000);
		fix_close(&f);
	}
}

static void
server_away_for_five_seconds_is_found_within_two(void **state)
{
	struct fix f;
	int64_t up;

	(void)state;
	fix_open(&f);
	start(&f, SIPC_TLS, "secret");
	pass(&f.w, 20 * 1000);
	last_is(&f, SIP_REG_OK);
	sip_stack_free(f.server);
	f.server = NULL;
	pass(&f.w, 5000);
	last_is(&f, SIP_REG_WAITING);
	server_up(&f);
	up = clock_mono_us();
	pass(&f.w, 2000);
	last_is(&f, SIP_REG_OK);
	assert_true(f.st[f.n - 1].since_us - up < 2000 * 1000);
	fix_close(&f);
}

static void
unregister_says_goodbye(void **state)
{
	struct fix f;

	(void)state;
	fix_open(&f);
	start(&f, SIPC_UDP, "secret");
	pass(&f.w, 100);
	last_is(&f, SIP_REG_OK);
	sip_reg_unregister(f.reg);
	pass(&f.w, 100);
	last_is(&f, SIP_REG_GONE);
	assert_int_equal(f.unregisters, 1);
	pass(&f.w, 5000);
	assert_int_equal(f.unregisters, 1);
	sip_reg_stop(&f.reg);
	fix_close(&f);
}

static void
unregister_does_not_wait_for_a_dead_server(void **state)
{
	struct fix f;
	int64_t before;

	(void)state;
	fix_open(&f);
	start(&f, SIPC_UDP, "secret");
	pass(&f.w, 100);
	sip_stack_free(f.server);
	f.server = NULL;
	before = clock_mono_us();
	sip_reg_unregister(f.reg);
	pass(&f.w, 5000);
	last_is(&f, SIP_REG_GONE);
	assert_true(f.st[f.n - 1].since_us - before <= 2100 * 1000);
	sip_reg_stop(&f.reg);
	/* never begun */
	f.n = 0;
	start(&f, SIPC_UDP, "secret");
	sip_reg_unregister(f.reg);
	pass(&f.w, 100);
	last_is(&f, SIP_REG_GONE);
	sip_reg_stop(&f.reg);
	fix_close(&f);
}

static void
owner_may_stop_inside_its_callback(void **state)
{
	struct fix f;

	(void)state;
	fix_open(&f);
	f.stop_in_cb = true;
	start(&f, SIPC_TCP, "secret");
	pass(&f.w, 1000);
	assert_int_equal(f.n, 1);
	assert_null(f.reg);
	fix_close(&f);
}

static void
missing_pong_ends_a_flow_that_used_to_answer(void **state)
{
	struct sip_flow *fl;
	struct fix f;

	(void)state;
	fix_open(&f);
	f.grant_s = 7200;
	start(&f, SIPC_TCP, "secret");
	pass(&f.w, 300 * 1000); /* pings and pongs */
	assert_int_equal(f.registers, 1);
	fl = sip_flow_get(f.client, f.st[f.n - 1].flow);
	assert_true(fl->pong_seen);
	/* the server goes deaf */
	tls_conn_read_pause(sip_flow_get(f.server, f.flow)->c, true);
	pass(&f.w, 140 * 1000);
	assert_int_equal(f.registers, 2);
	last_is(&f, SIP_REG_OK);
	fix_close(&f);
}

static void
refused_certificate_is_told_as_such(void **state)
{
	struct fix f;

	(void)state;
	fix_open(&f);
	tls_expect = "other.example"; /* the server cannot show that name */
	start(&f, SIPC_TLS, "secret");
	pass(&f.w, 1000);
	last_is(&f, SIP_REG_WAITING);
	assert_int_equal(f.st[f.n - 1].err, E_TLS_CERT);
	assert_non_null(f.st[f.n - 1].verdict);
	assert_string_not_equal(f.st[f.n - 1].verdict->class, "");
	assert_string_not_equal(f.st[f.n - 1].reason, "");
	assert_int_equal(f.registers, 0);
	tls_expect = NULL;
	pass(&f.w, 10000);
	last_is(&f, SIP_REG_OK);
	fix_close(&f);
}

static void
our_refused_certificate_is_told_as_such(void **state)
{
	struct fix f;

	(void)state;
	fix_open(&f);
	tls_demand = true;
	tls_show_nothing = true;
	sip_stack_free(f.server);
	server_up(&f);
	start(&f, SIPC_TLS, "secret");
	pass(&f.w, 1000);
	last_is(&f, SIP_REG_WAITING);
	assert_int_equal(f.st[f.n - 1].err, E_TLS_PEER_REFUSED);
	assert_non_null(f.st[f.n - 1].verdict);
	assert_string_not_equal(f.st[f.n - 1].verdict->class, "");
	tls_show_nothing = false;
	pass(&f.w, 10000);
	last_is(&f, SIP_REG_OK);
	tls_demand = false;
	fix_close(&f);
}

static void
bad_configurations_are_refused_at_once(void **state)
{
	static const struct {
		const char *why;
		struct sip_reg_conf c;
		int err;
	} v[] = {
		{ "no user", { .domain = "d", .expires_s = 60 }, E_PARSE },
		{ "no domain", { .user = "u", .expires_s = 60 }, E_PARSE },
		{ "line end in the user",
		    { .user = "u\r\nX: y", .domain = "d", .expires_s = 60 },
		    E_PARSE },
		{ "line end in the name",
		    { .user = "u",
			.domain = "d",
			.display = "a\nb",
			.expires_s = 60 },
		    E_PARSE },
		{ "too short", { .user = "u", .domain = "d", .expires_s = 59 },
		    EINVAL },
		{ "sips over UDP",
		    { .user = "u",
			.domain = "d",
			.expires_s = 60,
			.sips = true },
		    E_SIP_INSECURE },
		{ "proxy that is none",
		    { .user = "u",
			.domain = "d",
			.expires_s = 60,
			.obproxy = "sip:" },
		    E_PARSE },
	};
	struct fix f;

	(void)state;
	fix_open(&f);
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		int err = sip_reg_start(&f.reg, f.client, &v[i].c, on_reg, &f);

		if (err != v[i].err || f.reg != NULL)
			fail_msg("%s: %d", v[i].why, err);
	}
	fix_close(&f);
}

static int
start_once(void *arg)
{
	struct fix *f = arg;
	struct sip_reg_conf c = { .user = "u",
		.domain = "d",
		.display = "n",
		.obproxy = "p:5061",
		.transport = SIPC_TLS,
		.expires_s = 60 };
	int err = sip_reg_start(&f->reg, f->client, &c, on_reg, f);

	sip_reg_stop(&f->reg);
	return err;
}

static void
starting_survives_lack_of_memory(void **state)
{
	struct fix f;

	(void)state;
	fix_open(&f);
	assert_true(oom_each(start_once, &f) > 5);
	fix_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registers_on_every_transport),
		cmocka_unit_test(
		    refreshes_before_the_end_without_a_new_challenge),
		cmocka_unit_test(wrong_password_waits_and_does_not_hammer),
		cmocka_unit_test(md5_is_refused_unless_allowed),
		cmocka_unit_test(refusals_of_all_kinds_wait),
		cmocka_unit_test(nobody_sends_us_from_tls_to_less),
		cmocka_unit_test(too_brief_is_asked_again_with_more),
		cmocka_unit_test(lost_flow_comes_back_at_once),
		cmocka_unit_test(
		    server_away_for_five_seconds_is_found_within_two),
		cmocka_unit_test(unregister_says_goodbye),
		cmocka_unit_test(unregister_does_not_wait_for_a_dead_server),
		cmocka_unit_test(owner_may_stop_inside_its_callback),
		cmocka_unit_test(missing_pong_ends_a_flow_that_used_to_answer),
		cmocka_unit_test(refused_certificate_is_told_as_such),
		cmocka_unit_test(our_refused_certificate_is_told_as_such),
		cmocka_unit_test(bad_configurations_are_refused_at_once),
		cmocka_unit_test(starting_survives_lack_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
