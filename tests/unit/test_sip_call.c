/* SPDX-License-Identifier: ISC */
/* Calls in fake time: two stacks on loopback over every transport, and a bare
 * UDP peer for what a stack would never do. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "oom.h"
#include "test_sip.h"
#include "test_sip_tls.h"
#include "test_sip_call.h"

static void
calls_are_answered_and_hung_up_from_both_sides(void **state)
{
	struct fix f;

	(void)state;
	for (int t = 0; t < SIPC_TRANSPORTS * 2; t++) {
		struct addr local, remote;
		enum sip_transport used;

		fix_open(&f);
		f.b.answer = 200;
		call(&f, t / 2, "offer");
		pass(&f.w, 100);
		event_is(&f.a, 0, SIP_CALL_ANSWERED, 200, "answer");
		event_is(&f.b, 0, SIP_CALL_CONFIRMED, 0, "");
		assert_true(slice_is(sip_call_offer(f.b.call), "offer"));
		assert_string_equal(sip_call_header(f.b.call, "x-test"), "yes");
		assert_null(sip_call_header(f.b.call, "nix"));
		assert_int_equal(
		    sip_call_is_secure(f.b.call), t / 2 == SIPC_TLS);
		assert_int_equal(
		    sip_call_is_secure(f.a.call), t / 2 == SIPC_TLS);
		assert_string_equal(
		    sip_call_id(f.a.call), sip_call_id(f.b.call));
		assert_string_equal(
		    sip_call_remote(f.b.call), "sip:bellbird@127.0.0.1");
		assert_string_equal(
		    sip_call_local(f.a.call), "sip:bellbird@127.0.0.1");
		sip_call_addrs(f.b.call, &used, &local, &remote);
		assert_int_equal(used, t / 2);
		assert_int_equal(addr_port(&local), f.b.ports[t / 2]);
		pass(&f.w, 60000);
		assert_int_equal(f.a.n, 1);
		assert_int_equal(f.b.n, 1);
		sip_call_hangup(t % 2 ? f.a.call : f.b.call, 0);
		pass(&f.w, 100);
		ended(&f.a, 0, 0, t % 2 == 0);
		ended(&f.b, 0, 0, t % 2 == 1);
		clean(&f, &f.a);
		clean(&f, &f.b);
		fix_close(&f);
	}
}

static void
late_offers_are_answered_in_the_ack(void **state)
{
	struct fix f;

	(void)state;
	fix_open(&f);
	f.b.answer = 200;
	call(&f, SIPC_TCP, "");
	pass(&f.w, 100);
	event_is(&f.a, 0, SIP_CALL_ANSWERED, 200, "answer");
	assert_int_equal(f.b.n, 0);
	assert_int_equal(sip_call_ack(f.a.call, slice_of("late")), 0);
	assert_int_equal(sip_call_ack(f.a.call, slice_of("x")), E_SIP_STATE);
	pass(&f.w, 100);
	event_is(&f.b, 0, SIP_CALL_CONFIRMED, 0, "late");
	sip_call_hangup(f.b.call, 0);
	pass(&f.w, 100);
	ended(&f.a, 0, 0, true);
	fix_close(&f);
}

static void
late_offer_without_an_answer_ends(void **state)
{
	struct fix f;

	(void)state;
	fix_open(&f);
	f.b.answer = 200;
	call(&f, SIPC_UDP, "");
	pass(&f.w, 40000);
	ended(&f.a, 408, ETIMEDOUT, false);
	assert_null(f.b.call);
	clean(&f, &f.a);
	clean(&f, &f.b);
	fix_close(&f);
}

static void
callers_may_change_their_mind(void **state)
{
	struct fix f;

	(void)state;
	for (int t = 0; t < SIPC_TRANSPORTS; t++) {
		fix_open(&f);
		f.b.answer = 180;
		call(&f, t, "offer");
		pass(&f.w, 100);
		event_is(&f.a, 0, SIP_CALL_RINGING, 180, "");
		sip_call_hangup(f.a.call, 0);
		pass(&f.w, 100);
		ended(&f.a, 487, 0, false);
		ended(&f.b, 487, 0, true);
		clean(&f, &f.a);
		clean(&f, &f.b);
		fix_close(&f);
	}
}

static void
cancel_that_meets_an_answer_ends_the_call(void **state)
{
	struct fix f;

	(void)state;
	fix_open(&f);
	f.b.answer = 180;
	call(&f, SIPC_UDP, "offer");
	pass(&f.w, 100);
	assert_int_equal(
	    sip_call_answer(f.b.call, 200, NULL, slice_of("answer")), 0);
	sip_call_hangup(f.a.call, 0);
	pass(&f.w, 3000);
	ended(&f.a, 0, 0, false);
	ended(&f.b, 0, 0, true);
	clean(&f, &f.a);
	clean(&f, &f.b);
	fix_close(&f);
}

static void
hanging_up_before_anything_came_back_ends_in_two_seconds(void **state)
{
	char to[80], at[ADDR_STR_MAX];
	struct sip_call_conf c = { .to = to, .sdp = slice_of("offer") };
	struct fix f;
	char *invite;

	(void)state;
	fix_open(&f);
	addr_print(&f.p.at, at);
	(void)snprintf(to, sizeof(to), "sip:%s", at);
	assert_int_equal(
	    sip_call_invite(&f.a.call, f.a.s, &c, on_call_event, &f.a), 0);
	pass(&f.w, 10);
	heard(&f.p, 0, "INVITE ");
	sip_call_hangup(f.a.call, 0);
	pass(&f.w, 1900);
	assert_int_equal(f.a.n, 0);
	pass(&f.w, 200);
	ended(&f.a, 0, 0, false);
	/* the peer wakes up and answers: ACK, BYE, nobody is told */
	invite = strdup(f.p.msg[0]);
	peer_forget(&f.p);
	peer_answers(&f.p, f.a.ports[SIPC_UDP], invite, 180, "t", NULL);
	pass(&f.w, 10);
	heard(&f.p, 0, "CANCEL ");
	peer_answers(&f.p, f.a.ports[SIPC_UDP], invite, 200, "t", NULL);
	pass(&f.w, 10);
	heard(&f.p, 1, "ACK ");
	heard(&f.p, 2, "BYE ");
	free(invite);
	assert_int_equal(f.a.n, 1);
	fix_close(&f);
}

static void
refusals_are_told_with_their_code(void **state)
{
	static const int codes[] = { 486, 488, 603, 302, 500 };
	struct fix f;

	(void)state;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		fix_open(&f);
		f.b.answer = codes[i];
		call(&f, i % 2 ? SIPC_UDP : SIPC_TLS, "offer");
		pass(&f.w, 100);
		ended(&f.a, codes[i], E_SIP_REFUSED, true);
		ended(&f.b, codes[i], 0, false);
		clean(&f, &f.a);
		clean(&f, &f.b);
		fix_close(&f);
	}
}

static void
refusing_by_hangup_says_603_or_what_was_asked_for(void **state)
{
	struct fix f;

	(void)state;
	for (int code = 0; code < 487; code += 486) {
		fix_open(&f);
		f.b.answer = 183;
		call(&f, SIPC_TCP, "offer");
		pass(&f.w, 100);
		sip_call_hangup(f.b.call, code);
		pass(&f.w, 100);
		ended(&f.a, code == 0 ? 603 : 486, E_SIP_REFUSED, true);
		ended(&f.b, code == 0 ? 603 : 486, 0, false);
		fix_close(&f);
	}
}

static void
nobody_answers(void **state)
{
	static const struct {
		const char *why, *to;
		int code, err;
		int64_t ms;
	} v[] = {
		{ "refused connection", "sip:127.0.0.1:1;transport=tcp", 0,
		    ECONNREFUSED, 1000 },
		{ "a closed port", "sip:127.0.0.1:9;transport=udp", 0,
		    ECONNREFUSED, 100 },
		{ "a silent one", NULL, 408, ETIMEDOUT, 33000 },
	};
	struct peer p;
	char to[64];
	struct fix f;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct sip_call_conf c = { .to = v[i].to,
			.sdp = slice_of("offer") };

		fix_open(&f);
		peer_open(&p, &f.w, "127.0.0.1");
		(void)snprintf(
		    to, sizeof(to), "sip:127.0.0.1:%u", addr_port(&p.at));
		if (c.to == NULL)
			c.to = to;
		assert_int_equal(
		    sip_call_invite(&f.a.call, f.a.s, &c, on_call_event, &f.a),
		    0);
		pass(&f.w, v[i].ms);
		ended(&f.a, v[i].code, v[i].err, false);
		clean(&f, &f.a);
		peer_close(&p);
		fix_close(&f);
	}
}

static void
bad_targets_are_refused_at_once(void **state)
{
	static const char *const v[] = { "", "b", "tel:1",
		"sip:", "sip:b@h;transport=sctp", "sip:a b@c" };
	struct fix f;

	(void)state;
	fix_open(&f);
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct sip_call_conf c = { .to = v[i] };

		assert_int_equal(
		    sip_call_invite(&f.a.call, f.a.s, &c, on_call_event, &f.a),
		    E_PARSE);
		assert_null(f.a.call);
	}
	assert_int_equal(f.a.s->num_calls, 0);
	fix_close(&f);
}

static void
tls_name_mismatch_ends_with_the_verdict(void **state)
{
	struct fix f;

	(void)state;
	fix_open(&f);
	tls_expect = "other.example";
	call(&f, SIPC_TLS, "offer");
	pass(&f.w, 1000);
	ended(&f.a, 0, E_TLS_CERT, false);
	assert_int_equal(f.b.incoming, 0);
	tls_expect = NULL;
	fix_close(&f);
}

static void
offers_inside_a_call_go_both_ways(void **state)
{
	struct fix f;

	(void)state;
	for (int t = 0; t < SIPC_TRANSPORTS; t++) {
		fix_open(&f);
		f.b.answer = f.b.offer_code = f.a.offer_code = 200;
		call(&f, t, "offer");
		pass(&f.w, 100);
		assert_int_equal(
		    sip_call_reinvite(f.a.call, slice_of("hold")), 0);
		assert_int_equal(
		    sip_call_reinvite(f.a.call, slice_of("x")), E_SIP_STATE);
		pass(&f.w, 100);
		event_is(&f.b, 1, SIP_CALL_OFFER, 0, "hold");
		event_is(&f.a, 1, SIP_CALL_ANSWERED, 200, "re-answer");
		assert_int_equal(
		    sip_call_reinvite(f.b.call, slice_of("resume")), 0);
		pass(&f.w, 100);
		event_is(&f.a, 2, SIP_CALL_OFFER, 0, "resume");
		event_is(&f.b, 2, SIP_CALL_ANSWERED, 200, "re-answer");
		pass(&f.w, 60000);
		assert_int_equal(f.a.n, 3); /* the ACKs arrived */
		assert_int_equal(f.b.n, 3);
		/* refused: the call stays as it was */
		f.b.offer_code = 488;
		assert_int_equal(sip_call_reinvite(f.a.call, slice_of("x")), 0);
		pass(&f.w, 100);
		event_is(&f.a, 3, SIP_CALL_ANSWERED, 488, NULL);
		assert_non_null(f.a.call);
		sip_call_hangup(f.a.call, 0);
		pass(&f.w, 100);
		ended(&f.a, 0, 0, false);
		ended(&f.b, 0, 0, true);
		clean(&f, &f.a);
		clean(&f, &f.b);
		fix_close(&f);
	}
}

static void
offers_that_meet_are_tried_again(void **state)
{
	struct fix f;
	size_t offers = 0;

	(void)state;
	fix_open(&f);
	f.b.answer = f.b.offer_code = f.a.offer_code = 200;
	call(&f, SIPC_TCP, "offer");
	pass(&f.w, 100);
	assert_int_equal(sip_call_reinvite(f.a.call, slice_of("from a")), 0);
	assert_int_equal(sip_call_reinvite(f.b.call, slice_of("from b")), 0);
	pass(&f.w, 10000);
	for (size_t i = 0; i < f.a.n; i++) {
		if (f.a.e[i].ev == SIP_CALL_OFFER)
			offers++;
	}
	for (size_t i = 0; i < f.b.n; i++) {
		if (f.b.e[i].ev == SIP_CALL_OFFER)
			offers++;
	}
	assert_int_equal(offers, 2); /* both got through in the end */
	assert_non_null(f.a.call);
	fix_close(&f);
}

static void
strangers_are_refused(void **state)
{
	struct fix f;

	(void)state;
	for (int t = 0; t < SIPC_TRANSPORTS; t++) {
		fix_open(&f);
		allow(f.b.s, "10.0.0.0/8, tls:nobody");
		call(&f, t, "offer");
		pass(&f.w, 40000);
		if (t == SIPC_UDP)
			ended(&f.a, 408, ETIMEDOUT, false);
		else
			ended(&f.a, 403, E_SIP_REFUSED, true);
		assert_int_equal(f.b.incoming, 0);
		assert_true(f.b.s->stats.refused > 0);
		fix_close(&f);
	}
}

#define NINE                                                       \
	"DNS:a.example,DNS:b.example,DNS:c.example,DNS:d.example," \
	"DNS:e.example,DNS:f.example,DNS:g.example,DNS:h.example," \
	"URI:sip:ninth.example"

/* Only a certificate that holds gives a name to its peer: one that merely was
 * shown to a listener that does not insist is worth nothing. */
static void
certificate_names_may_call(void **state)
{
	enum { GOOD, SELF_SIGNED, EXPIRED };
	static const struct {
		const char *why, *allow;
		enum sip_transport t;
		int cert;
		bool demand;
		const char *sans;
		bool may;
	} v[] = {
		{ "a verified CN", "tls:00156D000001", SIPC_TLS, GOOD, true,
		    NULL, true },
		{ "verified, though not demanded", "tls:00156D000001", SIPC_TLS,
		    GOOD, false, NULL, true },
		{ "a clear connection", "tls:00156D000001", SIPC_TCP, GOOD,
		    true, NULL, false },
		{ "another name", "tls:00156d000002", SIPC_TLS, GOOD, true,
		    NULL, false },
		{ "signed by itself", "tls:00156d000001", SIPC_TLS, SELF_SIGNED,
		    false, NULL, false },
		{ "signed by itself, by SAN", "tls:a.example", SIPC_TLS,
		    SELF_SIGNED, false, "DNS:a.example", false },
		{ "expired", "tls:a.example", SIPC_TLS, EXPIRED, false,
		    "DNS:a.example", false },
		{ "the ninth name", "tls:ninth.example", SIPC_TLS, GOOD, false,
		    NINE, true },
	};
	struct tls_policy policy;
	struct fix f;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct tls_mint m = { .kind = TLS_MINT_DEVICE,
			.cn = "00156d000001",
			.sans = v[i].sans };

		print_message("%s\n", v[i].why);
		fix_open(&f);
		m.ca_dir = v[i].cert != SELF_SIGNED ? f.d.dir : NULL;
		if (v[i].cert == EXPIRED) {
			m.not_before_s = FAKE_WALL - 7200;
			m.not_after_s = FAKE_WALL - 3600;
		}
		mint_as(&m, f.d.device);
		tls_env_reload(f.w.tls);
		allow(f.b.s, v[i].allow);
		f.b.answer = 200;
		tls_demand = v[i].demand;
		tls_server_policy(&policy);
		f.b.ports[SIPC_TLS] = listen_on(f.b.s, SIPC_TLS, &policy);
		tls_demand = false;
		call(&f, v[i].t, "offer");
		pass(&f.w, 100);
		if (v[i].may)
			event_is(&f.a, 0, SIP_CALL_ANSWERED, 200, "answer");
		else
			ended(&f.a, 403, E_SIP_REFUSED, true);
		fix_close(&f);
	}
}

static void
calls_above_the_limit_are_busy(void **state)
{
	struct party second = { .n = 0 };
	char to[80];
	struct sip_call_conf c = { .to = to, .sdp = slice_of("o") };
	struct fix f;

	(void)state;
	fix_open(&f);
	f.b.answer = 200;
	f.b.s->conf.max_calls = 1;
	(void)snprintf(
	    to, sizeof(to), "sip:b@127.0.0.1:%u", f.b.ports[SIPC_UDP]);
	call(&f, SIPC_UDP, "offer");
	pass(&f.w, 100);
	event_is(&f.a, 0, SIP_CALL_ANSWERED, 200, NULL);
	assert_int_equal(
	    sip_call_invite(&second.call, f.a.s, &c, on_call_event, &second),
	    0);
	pass(&f.w, 100);
	event_is(&second, 0, SIP_CALL_ENDED, 486, NULL);
	assert_int_equal(f.b.incoming, 1);
	/* our own limit */
	f.a.s->conf.max_calls = 1;
	assert_int_equal(
	    sip_call_invite(&second.call, f.a.s, &c, on_call_event, &second),
	    E_LIMIT);
	sip_call_free(&f.a.call);
	pass(&f.w, 100);
	assert_null(f.b.call);
	fix_close(&f);
}

static void
lost_connection_ends_a_direct_call(void **state)
{
	struct fix f;

	(void)state;
	fix_open(&f);
	f.b.answer = 200;
	call(&f, SIPC_TLS, "offer");
	pass(&f.w, 100);
	sip_flow_close(f.b.call->w.flow, 0);
	pass(&f.w, 100);
	ended(&f.a, 0, E_CLOSED, false);
	ended(&f.b, 0, E_CLOSED, false);
	clean(&f, &f.a);
	fix_close(&f);
}

static void
owners_may_do_anything_in_a_callback(void **state)
{
	static const struct {
		enum sip_call_event on;
		bool caller;
	} v[] = {
		{ SIP_CALL_RINGING, true },
		{ SIP_CALL_ANSWERED, true },
		{ SIP_CALL_CONFIRMED, false },
		{ SIP_CALL_OFFER, false },
		{ SIP_CALL_ENDED, true },
		{ SIP_CALL_ENDED, false },
	};
	struct fix f;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]) * 3; i++) {
		const bool caller = v[i / 3].caller;
		struct party *p = caller ? &f.a : &f.b;
		static const enum habit habits[] = { FREE_IT, FREE_STACK,
			HANG_UP };

		fix_open(&f);
		p->habit = habits[i % 3];
		p->on = v[i / 3].on;
		if (p->on == SIP_CALL_ENDED && p->habit == HANG_UP)
			p->habit = FREE_STACK;
		f.b.answer = 180;
		call(&f, (enum sip_transport)(i % SIPC_TRANSPORTS), "offer");
		pass(&f.w, 100);
		if (f.b.call != NULL)
			assert_int_equal(sip_call_answer(f.b.call, 200, NULL,
					     slice_of("answer")),
			    0);
		pass(&f.w, 100);
		if (f.a.call != NULL && f.a.s != NULL)
			ignore_err(
			    sip_call_reinvite(f.a.call, slice_of("again")),
			    "perhaps it hangs up already");
		pass(&f.w, 100);
		if (f.a.call != NULL)
			sip_call_hangup(f.a.call, 0);
		pass(&f.w, 70000);
		assert_null(f.a.call);
		if (f.b.s == NULL || f.a.s != NULL)
			assert_null(f.b.call);
		if (f.a.s != NULL)
			assert_true(LIST_EMPTY(&f.a.s->calls));
		fix_close(&f);
	}
}

static void
calls_nobody_takes_are_unavailable(void **state)
{
	struct party second = { .n = 0 };
	char to[80];
	struct sip_call_conf c = { .to = to, .sdp = slice_of("o") };
	struct fix f;

	(void)state;
	fix_open(&f);
	f.b.answer = 180;
	call(&f, SIPC_UDP, "offer");
	pass(&f.w, 100);
	(void)snprintf(
	    to, sizeof(to), "sip:b@127.0.0.1:%u", f.b.ports[SIPC_UDP]);
	assert_int_equal(
	    sip_call_invite(&second.call, f.a.s, &c, on_call_event, &second),
	    0);
	pass(&f.w, 100);
	event_is(&second, 0, SIP_CALL_ENDED, 480, NULL);
	fix_close(&f);
}

static int
call_once(void *arg)
{
	struct fix *f = arg;
	struct sip_call_conf c = { .to = "sip:b@127.0.0.1:9",
		.sdp = slice_of("o"),
		.from_user = "u",
		.headers = "X-A: y\r\n" };
	int err = sip_call_invite(&f->a.call, f->a.s, &c, on_call_event, &f->a);

	if (f->a.call != NULL)
		sip_call_drop(f->a.call);
	return err;
}

static void
placing_a_call_survives_lack_of_memory(void **state)
{
	struct fix f;

	(void)state;
	fix_open(&f);
	assert_true(oom_each(call_once, &f) > 5);
	fix_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    calls_are_answered_and_hung_up_from_both_sides),
		cmocka_unit_test(late_offers_are_answered_in_the_ack),
		cmocka_unit_test(late_offer_without_an_answer_ends),
		cmocka_unit_test(callers_may_change_their_mind),
		cmocka_unit_test(cancel_that_meets_an_answer_ends_the_call),
		cmocka_unit_test(
		    hanging_up_before_anything_came_back_ends_in_two_seconds),
		cmocka_unit_test(refusals_are_told_with_their_code),
		cmocka_unit_test(
		    refusing_by_hangup_says_603_or_what_was_asked_for),
		cmocka_unit_test(nobody_answers),
		cmocka_unit_test(bad_targets_are_refused_at_once),
		cmocka_unit_test(tls_name_mismatch_ends_with_the_verdict),
		cmocka_unit_test(offers_inside_a_call_go_both_ways),
		cmocka_unit_test(offers_that_meet_are_tried_again),
		cmocka_unit_test(strangers_are_refused),
		cmocka_unit_test(certificate_names_may_call),
		cmocka_unit_test(calls_above_the_limit_are_busy),
		cmocka_unit_test(lost_connection_ends_a_direct_call),
		cmocka_unit_test(owners_may_do_anything_in_a_callback),
		cmocka_unit_test(calls_nobody_takes_are_unavailable),
		cmocka_unit_test(placing_a_call_survives_lack_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
