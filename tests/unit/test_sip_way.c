/* SPDX-License-Identifier: ISC */
/* By which way calls go, and from whom they hear: redirection, a flow that is
 * away, dialogs bound to their peer, and header lines that would be more. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "test_sip.h"
#include "test_sip_tls.h"
#include "test_sip_call.h"

/* ---- who is heard ---- */

static void
direct_calls_hear_their_peer_alone(void **state)
{
	static const char *const methods[] = { "BYE", "INVITE", "UPDATE",
		"INFO" };
	struct peer other;
	char tag[64];
	struct fix f;

	(void)state;
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		fix_open(&f);
		/* it may call, and knows all tags */
		allow(f.b.s, "127.0.0.0/8");
		peer_open(&other, &f.w, "127.0.0.2");
		f.b.answer = f.b.offer_code = 200;
		peer_calls(&f, sdp_body, tag, sizeof(tag));
		peer_follows(&f, &f.p, "ACK", "ack", tag);
		event_is(&f.b, 0, SIP_CALL_CONFIRMED, 0, "");
		peer_follows(&f, &other, methods[i], "x", tag);
		pass(&f.w, 1000);
		assert_int_equal(other.n, 0);
		assert_int_equal(f.b.n, 1);
		assert_non_null(f.b.call);
		peer_follows(&f, &f.p, "BYE", "bye", tag);
		ended(&f.b, 0, 0, true);
		peer_close(&other);
		fix_close(&f);
	}
}

/* Over TLS the name counts, wherever it comes from; without one the address. */
static void
verified_names_may_move(void **state)
{
	static const struct {
		const char *why, *name;
		bool same_ip, may;
	} v[] = {
		{ "the same name from elsewhere", "00156d000001", false, true },
		{ "another name from elsewhere", "00156d000002", false, false },
		{ "another name from the same place", "00156d000002", true,
		    true },
		{ "no name from elsewhere", "", false, false },
	};
	struct fix f;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct sip_src src = { .flow = NULL };
		struct tls_policy policy;
		struct sip_flow *flow;

		fix_open(&f);
		f.b.answer = 200;
		/* a listener that wants the device certificate of A */
		tls_demand = true;
		tls_server_policy(&policy);
		f.b.ports[SIPC_TLS] = listen_on(f.b.s, SIPC_TLS, &policy);
		tls_demand = false;
		call(&f, SIPC_TLS, "offer");
		pass(&f.w, 100);
		event_is(&f.b, 0, SIP_CALL_CONFIRMED, 0, "");
		assert_string_equal(f.b.call->peer_name, "00156d000001");
		/* what is_peer is asked of: the connection that A has, as if
		 * it were not the call's */
		flow = f.b.call->w.flow;
		src.flow = flow;
		src.from = flow->remote;
		sip_watch_clear(&f.b.call->w);
		ignore_err(str_copy(f.b.call->peer_name,
			       sizeof(f.b.call->peer_name), v[i].name),
		    "fits");
		if (!v[i].same_ip)
			assert_int_equal(addr_parse(&f.b.call->peer_addr,
					     slice_of("192.0.2.1"), 5061),
			    0);
		if (sip_call_is_peer(f.b.call, &src) != v[i].may)
			fail_msg("%s", v[i].why);
		/* never on less than TLS */
		src.flow = NULL;
		f.b.call->peer_addr = src.from;
		assert_false(sip_call_is_peer(f.b.call, &src));
		fix_close(&f);
	}
}

/* ---- redirection ---- */

/* B answers the INVITE with 302. */
static void
redirect(struct fix *f, const char *contact)
{
	char line[200];

	(void)snprintf(line, sizeof(line), "Contact: <%s>\r\n", contact);
	assert_non_null(f->b.call->req);
	assert_int_equal(
	    sip_req_reply(f->b.call->req, 302, NULL, line, NULL, slice_of("")),
	    0);
	pass(&f->w, 100);
}

static void
redirection_never_leaves_tls(void **state)
{
	static const struct {
		enum sip_transport t;
		const char *more;
		bool followed;
	} v[] = {
		{ SIPC_TLS, "", false },
		{ SIPC_TLS, ";transport=udp", false },
		{ SIPC_TLS, ";transport=tcp", false },
		{ SIPC_TCP, ";transport=udp", true },
		{ SIPC_UDP, "", true },
	};
	char to[120], at[ADDR_STR_MAX];
	struct fix f;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		fix_open(&f);
		addr_print(&f.p.at, at);
		call(&f, v[i].t, "offer");
		pass(&f.w, 100);
		assert_int_equal(f.b.incoming, 1);
		(void)snprintf(to, sizeof(to), "sip:c@%s%s", at, v[i].more);
		redirect(&f, to);
		assert_int_equal(f.p.n > 0, v[i].followed);
		if (v[i].followed)
			heard(&f.p, 0, "INVITE sip:c@");
		else
			ended(&f.a, 302, E_SIP_REFUSED, true);
		fix_close(&f);
	}
}

static void
redirection_to_tls_is_followed(void **state)
{
	char to[120];
	struct fix f;

	(void)state;
	fix_open(&f);
	call(&f, SIPC_TLS, "offer");
	pass(&f.w, 100);
	(void)snprintf(
	    to, sizeof(to), "sips:c@127.0.0.1:%u", f.b.ports[SIPC_TLS]);
	redirect(&f, to);
	/* B has its first call still: it refuses the second */
	assert_int_equal(f.b.incoming, 2);
	ended(&f.a, 480, E_SIP_REFUSED, true);
	fix_close(&f);
}

/* RFC 3665 3.4: the first proxy says 503, the second one takes it. */
static void
the_next_server_is_asked_after_a_503(void **state)
{
	char to[80], at[ADDR_STR_MAX], line[100];
	struct sip_call_conf c = { .to = to, .sdp = slice_of("offer") };
	struct sip_call_setup *u;
	struct peer second;
	struct fix f;

	(void)state;
	fix_open(&f);
	peer_open(&second, &f.w, "127.0.0.1");
	addr_print(&f.p.at, at);
	(void)snprintf(to, sizeof(to), "sip:bob@%s", at);
	assert_int_equal(
	    sip_call_invite(&f.a.call, f.a.s, &c, on_call_event, &f.a), 0);
	pass(&f.w, 10);
	heard(&f.p, 0, "INVITE ");
	/* as two SRV records would have it */
	u = f.a.call->setup;
	assert_int_equal(u->num_targets, 1);
	u->targets[u->num_targets] = u->targets[0];
	u->targets[u->num_targets++].a = second.at;
	peer_answers(&f.p, f.a.ports[SIPC_UDP], f.p.msg[0], 503, "t",
	    "Retry-After: 60\r\n");
	pass(&f.w, 10);
	heard(&f.p, 1, "ACK ");
	heard(&second, 0, "INVITE sip:bob@");
	addr_print(&second.at, at);
	(void)snprintf(line, sizeof(line), "Contact: <sip:bob@%s>\r\n", at);
	peer_answers_sdp(&second, f.a.ports[SIPC_UDP], second.msg[0], 200, "t2",
	    line, "answer");
	pass(&f.w, 10);
	event_is(&f.a, 0, SIP_CALL_ANSWERED, 200, "answer");
	heard(&second, 1, "ACK ");
	sip_call_free(&f.a.call);
	peer_close(&second);
	fix_close(&f);
}

/* ---- an account's flow is away ---- */

static int reg_code = 200;

static bool
on_register(struct sip_req *req, void *arg)
{
	(void)arg;
	if (strcmp(sip_req_method(req), "REGISTER") != 0)
		return false;
	assert_int_equal(sip_req_reply(req, reg_code, NULL,
			     reg_code == 200 ? "Expires: 600\r\n" : NULL, NULL,
			     slice_of("")),
	    0);
	return true;
}

static void
on_reg(const struct sip_reg_status *st, void *arg)
{
	enum sip_reg_state *state = arg;

	*state = st->state;
}

/* Registers A with B over TLS. */
static void
register_tls(struct fix *f, struct sip_reg **reg, enum sip_reg_state *st)
{
	char domain[40];
	struct sip_reg_conf c = { .user = "bob",
		.domain = domain,
		.transport = SIPC_TLS,
		.expires_s = 3600,
		.policy = tls_client_policy };

	(void)snprintf(
	    domain, sizeof(domain), "127.0.0.1:%u", f->b.ports[SIPC_TLS]);
	reg_code = 200;
	f->b.s->conf.on_req = on_register;
	assert_int_equal(sip_reg_start(reg, f->a.s, &c, on_reg, st), 0);
	pass(&f->w, 15000);
	assert_int_equal(*st, SIP_REG_OK);
}

static void
calls_wait_for_a_lost_flow(void **state)
{
	struct fix f;

	(void)state;
	for (int back = 0; back < 2; back++) {
		struct sip_call_conf c = { .to = "4711",
			.sdp = slice_of("offer") };
		enum sip_reg_state st = SIP_REG_GONE;
		struct sip_reg *reg = NULL;

		fix_open(&f);
		c.reg = NULL;
		register_tls(&f, &reg, &st);
		c.reg = reg;
		f.b.answer = 200;
		reg_code = back ? 200 : 503;
		sip_flow_close(sip_reg_flow(reg), E_CLOSED);
		assert_false(sip_reg_is_ok(reg));
		assert_int_equal(
		    sip_call_invite(&f.a.call, f.a.s, &c, on_call_event, &f.a),
		    0);
		assert_int_equal(f.a.n, 0);
		pass(&f.w, 3000);
		if (back) {
			assert_int_equal(f.b.incoming, 1);
			event_is(&f.a, 0, SIP_CALL_ANSWERED, 200, "answer");
		} else {
			assert_int_equal(f.a.n, 0);
			pass(&f.w, 8000);
			ended(&f.a, 0, E_SIP_NO_ROUTE, false);
			assert_int_equal(f.b.incoming, 0);
		}
		sip_call_free(&f.a.call);
		sip_reg_stop(&reg);
		pass(&f.w, 100);
		fix_close(&f);
	}
}

static void
a_waiting_call_can_be_hung_up_and_dropped(void **state)
{
	struct fix f;

	(void)state;
	for (int drop = 0; drop < 3; drop++) {
		struct sip_call_conf c = { .to = "4711",
			.sdp = slice_of("offer") };
		enum sip_reg_state st = SIP_REG_GONE;
		struct sip_reg *reg = NULL;

		fix_open(&f);
		register_tls(&f, &reg, &st);
		c.reg = reg;
		sip_flow_close(sip_reg_flow(reg), E_CLOSED);
		assert_int_equal(
		    sip_call_invite(&f.a.call, f.a.s, &c, on_call_event, &f.a),
		    0);
		if (drop == 0)
			sip_call_hangup(f.a.call, 0);
		else if (drop == 1)
			sip_call_free(&f.a.call);
		else
			sip_reg_stop(&reg);
		pass(&f.w, 12000);
		if (drop == 0)
			ended(&f.a, 0, 0, false);
		else if (drop == 2)
			ended(&f.a, 0, E_SIP_NO_ROUTE, false);
		assert_int_equal(f.b.incoming, 0);
		assert_true(LIST_EMPTY(&f.a.s->calls));
		sip_reg_stop(&reg);
		fix_close(&f);
	}
}

/* ---- header lines ---- */

static void
header_lines_that_would_be_more_are_refused(void **state)
{
	static const char *const bad[] = { "X-A: y", "X-A: y\n", "X-A\r\n",
		": y\r\n", "X A: y\r\n", "X-A: y\r\n\r\nbody\r\n",
		"X-A: a\nVia: x\r\n", "X-A: a\rb\r\n", "X-A: \x01\r\n",
		"Via: SIP/2.0/UDP h\r\n", "v: SIP/2.0/UDP h\r\n",
		"Content-Length: 0\r\n", "l: 0\r\n", "Contact: <sip:x@h>\r\n",
		"Route: <sip:x>\r\n", "Require: x\r\n",
		"Proxy-Authorization: Digest x\r\n", "RSeq: 1\r\n",
		"RAck: 1 1 INVITE\r\n", "Session-Expires: 90\r\n",
		"X-A: y\r\n: z\r\n" };
	static const char *const from_hosts[] = { "h>;tag=x", "a b",
		"h\r\nX: y", "h;x" };
	struct fix f;

	(void)state;
	fix_open(&f);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct sip_call_conf c = { .to = "sip:b@127.0.0.1:9",
			.sdp = slice_of("o"),
			.headers = bad[i] };

		if (sip_call_invite(
			&f.a.call, f.a.s, &c, on_call_event, &f.a) != E_PARSE)
			fail_msg("taken: %s", esc(bad[i]));
	}
	for (size_t i = 0; i < sizeof(from_hosts) / sizeof(from_hosts[0]);
	     i++) {
		struct sip_call_conf c = { .to = "sip:b@127.0.0.1:9",
			.sdp = slice_of("o"),
			.from_host = from_hosts[i] };

		if (sip_call_invite(
			&f.a.call, f.a.s, &c, on_call_event, &f.a) != E_PARSE)
			fail_msg("taken: %s", esc(from_hosts[i]));
	}
	assert_true(LIST_EMPTY(&f.a.s->calls));
	fix_close(&f);
}

static void
phrases_cannot_end_a_line(void **state)
{
	struct fix f;

	(void)state;
	fix_open(&f);
	f.b.answer = 180;
	call(&f, SIPC_UDP, "offer");
	pass(&f.w, 10);
	assert_int_equal(
	    sip_call_answer(f.b.call, 486, "Busy\r\nX-Evil: 1", slice_of("")),
	    0);
	pass(&f.w, 10);
	ended(&f.a, 486, E_SIP_REFUSED, true);
	assert_string_equal(f.a.e[f.a.n - 1].reason, "Busy Here");
	fix_close(&f);
}

static void
reasons_are_plain_text(void **state)
{
	static const struct {
		int cause;
		const char *text, *want;
	} v[] = {
		{ 486, "Busy", "Reason: SIP;cause=486;text=\"Busy\"\r\n" },
		{ 0, "Busy", "" },
		{ 486, "a\"b", "" },
		{ 486, "a\r\nX: y", "" },
		{ 486, "a\\", "" },
	};
	struct fix f;

	(void)state;
	fix_open(&f);
	f.b.answer = 180;
	call(&f, SIPC_UDP, "offer");
	pass(&f.w, 10);
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		sip_call_set_reason(f.a.call, v[i].cause, v[i].text);
		assert_string_equal(f.a.call->reason_line, v[i].want);
	}
	sip_call_free(&f.a.call);
	fix_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(direct_calls_hear_their_peer_alone),
		cmocka_unit_test(verified_names_may_move),
		cmocka_unit_test(redirection_never_leaves_tls),
		cmocka_unit_test(redirection_to_tls_is_followed),
		cmocka_unit_test(the_next_server_is_asked_after_a_503),
		cmocka_unit_test(calls_wait_for_a_lost_flow),
		cmocka_unit_test(a_waiting_call_can_be_hung_up_and_dropped),
		cmocka_unit_test(header_lines_that_would_be_more_are_refused),
		cmocka_unit_test(phrases_cannot_end_a_line),
		cmocka_unit_test(reasons_are_plain_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
