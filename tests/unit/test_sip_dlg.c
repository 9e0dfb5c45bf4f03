/* SPDX-License-Identifier: ISC */
/* What a peer may do inside a dialog, and what a stranger may not: a bare UDP
 * peer calls a stack, in fake time. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "test_sip.h"
#include "test_sip_tls.h"
#include "test_sip_call.h"

static void
answer_is_repeated_until_its_ack(void **state)
{
	static const int64_t want[] = { 0, 500, 1500, 3500, 7500, 11500 };
	char tag[64];
	struct fix f;

	(void)state;
	fix_open(&f);
	f.b.answer = 200;
	peer_calls(&f, sdp_body, tag, sizeof(tag));
	pass(&f.w, 12000);
	assert_int_equal(f.p.n, 6);
	for (size_t i = 0; i < 6; i++) {
		heard(&f.p, i, "SIP/2.0 200 OK\r\n");
		assert_true(f.p.ms[i] - f.p.ms[0] == want[i]);
	}
	assert_int_equal(f.b.n, 0);
	peer_follows(&f, &f.p, "ACK", "ack", tag);
	event_is(&f.b, 0, SIP_CALL_CONFIRMED, 0, "");
	pass(&f.w, 40000);
	assert_int_equal(f.p.n, 6);
	/* once more, late: absorbed */
	peer_follows(&f, &f.p, "ACK", "ack", tag);
	assert_int_equal(f.b.n, 1);
	peer_follows(&f, &f.p, "BYE", "bye", tag);
	heard(&f.p, 6, "SIP/2.0 200 OK\r\n");
	ended(&f.b, 0, 0, true);
	fix_close(&f);
}

static void
cancel_that_comes_too_late_changes_nothing(void **state)
{
	char tag[64], cancel_tag[64];
	struct fix f;

	(void)state;
	fix_open(&f);
	f.b.answer = 200;
	peer_calls(&f, sdp_body, tag, sizeof(tag));
	/* before and after the ACK */
	for (int i = 0; i < 2; i++) {
		peer_forget(&f.p);
		peer_follows(&f, &f.p, "CANCEL", "i", "");
		heard(&f.p, 0, "SIP/2.0 200 OK\r\n");
		to_tag_of(f.p.msg[0], cancel_tag, sizeof(cancel_tag));
		assert_string_equal(cancel_tag, tag);
		if (i == 0)
			peer_follows(&f, &f.p, "ACK", "ack", tag);
		pass(&f.w, 33000); /* the CANCEL is forgotten */
	}
	assert_non_null(f.b.call);
	assert_int_equal(f.b.n, 1);
	/* another INVITE of the same numbers */
	peer_forget(&f.p);
	peer_follows(&f, &f.p, "CANCEL", "other", "");
	heard(&f.p, 0, "SIP/2.0 481 ");
	fix_close(&f);
}

static void
call_without_an_ack_ends(void **state)
{
	char tag[64];
	struct fix f;

	(void)state;
	fix_open(&f);
	f.b.answer = 200;
	peer_calls(&f, sdp_body, tag, sizeof(tag));
	pass(&f.w, 34500); /* 32 s, and 2 for an answer to BYE */
	ended(&f.b, 408, ETIMEDOUT, true);
	for (size_t i = 0; i < f.p.n; i++) {
		if (strncmp(f.p.msg[i], "BYE ", 4) == 0)
			tag[0] = '\0';
	}
	assert_string_equal(tag, ""); /* BYE was sent */
	pass(&f.w, 40000);
	assert_true(LIST_EMPTY(&f.b.s->calls));
	fix_close(&f);
}

static void
hangup_waits_for_the_ack(void **state)
{
	char tag[64];
	struct fix f;

	(void)state;
	fix_open(&f);
	f.b.answer = 200;
	peer_calls(&f, sdp_body, tag, sizeof(tag));
	sip_call_hangup(f.b.call, 0);
	pass(&f.w, 3000);
	ended(&f.b, 0, 0, false);
	for (size_t i = 0; i < f.p.n; i++)
		heard(&f.p, i, "SIP/2.0 200 OK\r\n"); /* no BYE yet */
	peer_forget(&f.p);
	peer_follows(&f, &f.p, "ACK", "ack", tag);
	heard(&f.p, 0, "BYE ");
	assert_int_equal(f.b.n, 1);
	fix_close(&f);
}

static void
incoming_calls_ring_no_longer_than_they_may(void **state)
{
	static const struct {
		const char *why, *expires;
		int64_t ms;
		int code;
	} v[] = {
		{ "as the caller wants", "Expires: 30\r\n", 30000, 487 },
		{ "at once", "Expires: 0\r\n", 0, 487 },
		{ "he named no time", "", 180000, 480 },
		{ "nonsense", "Expires: soon\r\n", 180000, 480 },
		{ "for ever", "Expires: 4294967295\r\n", 600000, 480 },
	};
	struct fix f;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		char more[200], start[16], *req;

		fix_open(&f);
		f.b.answer = 180;
		(void)snprintf(
		    more, sizeof(more), "%s%s", v[i].expires, sdp_body);
		req = peer_request(&f.p, "INVITE", "i", "bare", "", more);
		peer_says(&f.p, f.b.ports[SIPC_UDP], req);
		free(req);
		if (v[i].ms > 0) {
			pass(&f.w, v[i].ms - 1000);
			assert_int_equal(f.b.n, 0);
		}
		pass(&f.w, 1100);
		ended(&f.b, v[i].code, ETIMEDOUT, false);
		(void)snprintf(start, sizeof(start), "SIP/2.0 %d ", v[i].code);
		assert_true(f.p.n > 1);
		heard(&f.p, f.p.n - 1, start);
		clean(&f, &f.b);
		fix_close(&f);
	}
	/* an answered call is not cut off */
	{
		char tag[64], more[200];

		fix_open(&f);
		f.b.answer = 200;
		(void)snprintf(
		    more, sizeof(more), "Expires: 30\r\n%s", sdp_body);
		peer_calls(&f, more, tag, sizeof(tag));
		peer_follows(&f, &f.p, "ACK", "ack", tag);
		pass(&f.w, 700000);
		assert_non_null(f.b.call);
		assert_int_equal(f.b.n, 1);
		fix_close(&f);
	}
}

static void
in_dialog_requests_of_strangers_change_nothing(void **state)
{
	struct peer evil;
	char tag[64];
	struct fix f;

	(void)state;
	fix_open(&f);
	f.b.answer = 200;
	peer_open(&evil, &f.w, "127.0.0.2");
	peer_calls(&f, sdp_body, tag, sizeof(tag));
	peer_follows(&f, &f.p, "ACK", "ack", tag);
	peer_follows(&f, &evil, "BYE", "evil", tag); /* knows the tags */
	assert_int_equal(evil.n, 0);
	assert_non_null(f.b.call);
	/* a wrong tag from the right place */
	peer_forget(&f.p);
	peer_follows(&f, &f.p, "BYE", "bye1", "wrong");
	heard(&f.p, 0, "SIP/2.0 481 ");
	assert_non_null(f.b.call);
	peer_follows(&f, &f.p, "BYE", "bye2", tag);
	ended(&f.b, 0, 0, true);
	peer_close(&evil);
	fix_close(&f);
}

static void
peers_do_not_send_us_to_our_own_services(void **state)
{
	static const struct {
		const char *from, *to;
		bool may;
	} v[] = {
		{ "198.18.0.1:5060", "198.18.0.2:5060", true },
		{ "198.18.0.1:5060", "198.18.0.1:5070", true },
		{ "198.18.0.1:5060", "198.18.0.1:5060", false }, /* as is */
		{ "198.18.0.1:5060", "127.0.0.1:53", false },
		{ "198.18.0.1:5060", "127.9.9.9:53", false },
		{ "198.18.0.1:5060", "0.0.0.0:53", false },
		{ "198.18.0.1:5060", "224.0.0.1:53", false },
		{ "198.18.0.1:5060", "[::1]:53", false },
		{ "[2001:db8::1]:5060", "[2001:db8::2]:5060", true },
		{ "[2001:db8::1]:5060", "[::1]:53", false },
		{ "[2001:db8::1]:5060", "[::]:53", false },
		{ "[2001:db8::1]:5060", "[::ffff:127.0.0.1]:53", false },
		{ "127.0.0.1:5060", "127.0.0.1:5070", true },
		{ "127.0.0.1:5060", "198.18.0.1:5060", true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct addr from, to;

		assert_int_equal(addr_parse(&from, slice_of(v[i].from), 0), 0);
		assert_int_equal(addr_parse(&to, slice_of(v[i].to), 0), 0);
		if (sip_dlg_may_go(&from, &to) != v[i].may)
			fail_msg("%s to %s", v[i].from, v[i].to);
	}
}

static void
tls_dialogs_hear_nobody_on_udp(void **state)
{
	struct fix f;
	struct sip_call *c;
	char *req;
	struct buf b;

	(void)state;
	fix_open(&f);
	allow(f.b.s, "any");
	f.b.answer = 200;
	call(&f, SIPC_TLS, "offer");
	pass(&f.w, 100);
	assert_non_null(f.b.call);
	c = f.b.call;
	buf_init(&b, 4096);
	assert_int_equal(
	    buf_printf(&b,
		"BYE sip:b@h SIP/2.0\r\n"
		"Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKx;rport\r\n"
		"From: <sip:a@h>;tag=%s\r\nTo: <sip:b@h>;tag=%s\r\n"
		"Call-ID: %s\r\nCSeq: 99 BYE\r\nContent-Length: 0\r\n\r\n",
		c->dlg.remote_tag, c->dlg.local_tag, c->dlg.call_id),
	    0);
	req = buf_take(&b);
	peer_says(&f.p, f.b.ports[SIPC_UDP], req);
	free(req);
	pass(&f.w, 1000);
	assert_int_equal(f.p.n, 0);
	assert_ptr_equal(f.b.call, c);
	fix_close(&f);
}

static void
the_same_invite_by_another_way_is_a_loop(void **state)
{
	char tag[64], *req;
	struct fix f;

	(void)state;
	fix_open(&f);
	f.b.answer = 200;
	peer_calls(&f, sdp_body, tag, sizeof(tag));
	peer_follows(&f, &f.p, "ACK", "ack", tag);
	peer_forget(&f.p);
	req = peer_request(&f.p, "INVITE", "other", "bare", "", sdp_body);
	peer_says(&f.p, f.b.ports[SIPC_UDP], req);
	free(req);
	pass(&f.w, 10);
	heard(&f.p, 0, "SIP/2.0 482 ");
	assert_int_equal(f.b.incoming, 1);
	fix_close(&f);
}

static void
sessions_are_watched_or_refreshed(void **state)
{
	char tag[64];
	struct fix f;
	struct buf b;

	(void)state;
	/* the peer promised to refresh and does not */
	fix_open(&f);
	f.b.answer = 200;
	buf_init(&b, 1000);
	assert_int_equal(
	    buf_printf(
		&b, "Supported: timer\r\nSession-Expires: 90\r\n%s", sdp_body),
	    0);
	peer_calls(&f, buf_str(&b), tag, sizeof(tag));
	assert_non_null(strstr(
	    f.p.msg[0], "Session-Expires: 90;refresher=uac\r\nRequire: timer"));
	peer_follows(&f, &f.p, "ACK", "ack", tag);
	peer_forget(&f.p);
	pass(&f.w, 59000);
	assert_int_equal(f.p.n, 0);
	pass(&f.w, 2000);
	heard(&f.p, 0, "BYE ");
	pass(&f.w, 2000);
	ended(&f.b, 408, ETIMEDOUT, true);
	fix_close(&f);
	/* we are to refresh; the peer knows UPDATE */
	fix_open(&f);
	f.b.answer = 200;
	buf_reset(&b);
	assert_int_equal(buf_printf(&b,
			     "Allow: INVITE, UPDATE\r\nSupported: timer\r\n"
			     "Session-Expires: 90;refresher=uas\r\n%s",
			     sdp_body),
	    0);
	peer_calls(&f, buf_str(&b), tag, sizeof(tag));
	peer_follows(&f, &f.p, "ACK", "ack", tag);
	peer_forget(&f.p);
	pass(&f.w, 46000);
	heard(&f.p, 0, "UPDATE ");
	assert_non_null(
	    strstr(f.p.msg[0], "Session-Expires: 90;refresher=uac\r\n"));
	peer_answers(&f.p, f.b.ports[SIPC_UDP], f.p.msg[0], 200, NULL,
	    "Session-Expires: 90;refresher=uac\r\n");
	peer_forget(&f.p);
	pass(&f.w, 46000);
	heard(&f.p, 0, "UPDATE ");
	assert_int_equal(f.b.n, 1); /* the owner is not bothered */
	buf_clear(&b);
	fix_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answer_is_repeated_until_its_ack),
		cmocka_unit_test(cancel_that_comes_too_late_changes_nothing),
		cmocka_unit_test(call_without_an_ack_ends),
		cmocka_unit_test(hangup_waits_for_the_ack),
		cmocka_unit_test(incoming_calls_ring_no_longer_than_they_may),
		cmocka_unit_test(
		    in_dialog_requests_of_strangers_change_nothing),
		cmocka_unit_test(peers_do_not_send_us_to_our_own_services),
		cmocka_unit_test(tls_dialogs_hear_nobody_on_udp),
		cmocka_unit_test(the_same_invite_by_another_way_is_a_loop),
		cmocka_unit_test(sessions_are_watched_or_refreshed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
