/* SPDX-License-Identifier: ISC */
/* Session timers and our own offers when the peer does not simply say yes: a
 * bare UDP peer in fake time. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "test_sip.h"
#include "test_sip_tls.h"
#include "test_sip_call.h"

/* The peer calls B with a session of 90 s that B is to refresh. */
static void
session_of_b(struct fix *f, bool update)
{
	char tag[64], more[300];

	fix_open(f);
	f->b.answer = 200;
	(void)snprintf(more, sizeof(more),
	    "%sSupported: timer\r\n"
	    "Session-Expires: 90;refresher=uas\r\n%s",
	    update ? "Allow: INVITE, UPDATE\r\n" : "", sdp_body);
	peer_calls(f, more, tag, sizeof(tag));
	peer_follows(f, &f->p, "ACK", "ack", tag);
	event_is(&f->b, 0, SIP_CALL_CONFIRMED, 0, "");
	peer_forget(&f->p);
}

/* .. and 45 s have passed: B refreshes. */
static void
refreshes(struct fix *f, const char *method)
{
	pass(&f->w, 45000);
	assert_int_equal(f->p.n, 1);
	heard(&f->p, 0, method);
}

/* The peer answers the request it heard last. */
static void
says(struct fix *f, int code, const char *headers, const char *sdp)
{
	peer_answers_sdp(&f->p, f->b.ports[SIPC_UDP], f->p.msg[f->p.n - 1],
	    code, NULL, headers, sdp);
	pass(&f->w, 1);
}

static void
refused_refreshes_are_mended_or_tried_again(void **state)
{
	static const struct {
		const char *why;
		int code;
		const char *headers, *next;
		int64_t after_ms, until_ms;
		const char *has;
	} v[] = {
		{ "both at once", 491, NULL, "UPDATE ", 0, 2000, "" },
		{ "later", 500, "Retry-After: 2\r\n", "UPDATE ", 1900, 2100,
		    "" },
		{ "busy", 503, NULL, "UPDATE ", 9900, 10100, "" },
		{ "too late", 500, "Retry-After: 100000\r\n", "BYE ", 14900,
		    15200, "" },
		{ "UPDATE is not known", 405, "Allow: INVITE\r\n", "INVITE ", 0,
		    10, "\r\n\r\nanswer" },
		{ "UPDATE is not known at all", 501, NULL, "INVITE ", 0, 10,
		    "Session-Expires: 90;refresher=uac\r\n" },
		{ "too short", 422, "Min-SE: 120\r\n", "UPDATE ", 0, 10,
		    "Session-Expires: 120;refresher=uac\r\nMin-SE: 120\r\n" },
		{ "too short, but it is not", 422, "Min-SE: 90\r\n", "UPDATE ",
		    9900, 10100, "" },
		{ "too short, without a number", 422, NULL, "UPDATE ", 9900,
		    10100, "" },
	};
	struct fix f;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		int64_t from;

		session_of_b(&f, true);
		refreshes(&f, "UPDATE ");
		from = f.p.ms[0];
		says(&f, v[i].code, v[i].headers, NULL);
		pass(&f.w, v[i].until_ms);
		heard(&f.p, 1, v[i].next);
		if (f.p.ms[1] - from < v[i].after_ms ||
		    strstr(f.p.msg[1], v[i].has) == NULL)
			fail_msg("%s: after %lld ms %s", v[i].why,
			    (long long)(f.p.ms[1] - from), f.p.msg[1]);
		if (strcmp(v[i].next, "BYE ") != 0) {
			says(&f, 200, "Session-Expires: 90;refresher=uac\r\n",
			    v[i].next[0] == 'I' ? "answer" : NULL);
			assert_non_null(f.b.call);
			pass(&f.w, 46000); /* the next one, in time */
			assert_non_null(f.b.call);
			assert_true(f.p.n > 2);
		}
		fix_close(&f);
	}
}

static void
sessions_that_cannot_be_refreshed_end(void **state)
{
	size_t updates = 0;
	struct fix f;

	(void)state;
	session_of_b(&f, true);
	refreshes(&f, "UPDATE ");
	for (int i = 0; i < 16; i++) {
		if (strncmp(f.p.msg[f.p.n - 1], "UPDATE ", 7) == 0 &&
		    f.p.n > updates) {
			says(&f, 500, NULL, NULL);
			updates = f.p.n;
		}
		pass(&f.w, 1000);
	}
	assert_int_equal(updates, 2);
	heard(&f.p, 2, "BYE ");
	pass(&f.w, 3000);
	ended(&f.b, 408, ETIMEDOUT, true);
	fix_close(&f);
}

static void
answer_to_a_refresh_by_invite_is_told(void **state)
{
	struct fix f;

	(void)state;
	session_of_b(&f, false);
	refreshes(&f, "INVITE ");
	assert_non_null(strstr(f.p.msg[0], "\r\n\r\nanswer"));
	says(&f, 200, "Session-Expires: 90;refresher=uac\r\n", "moved");
	heard(&f.p, 1, "ACK ");
	assert_int_equal(f.b.n, 2);
	event_is(&f.b, 1, SIP_CALL_ANSWERED, 200, "moved");
	assert_true(f.b.e[1].refresh);
	fix_close(&f);
}

static void
refused_offers_are_not_what_a_refresh_says(void **state)
{
	struct fix f;

	(void)state;
	session_of_b(&f, false);
	assert_int_equal(sip_call_reinvite(f.b.call, slice_of("held")), 0);
	pass(&f.w, 1);
	/* glare: the one who did not make the Call-ID tries within 2 s */
	says(&f, 491, NULL, NULL);
	heard(&f.p, 1, "ACK ");
	pass(&f.w, 2000);
	heard(&f.p, 2, "INVITE ");
	assert_non_null(strstr(f.p.msg[2], "\r\n\r\nheld"));
	says(&f, 488, NULL, NULL);
	event_is(&f.b, 1, SIP_CALL_ANSWERED, 488, NULL);
	assert_false(f.b.e[1].refresh);
	peer_forget(&f.p);
	pass(&f.w, 45000 - 2000);
	heard(&f.p, 0, "INVITE ");
	assert_non_null(strstr(f.p.msg[0], "\r\n\r\nanswer"));
	/* one that was taken is */
	says(&f, 200, "Session-Expires: 90;refresher=uac\r\n", "re-answer");
	assert_int_equal(sip_call_reinvite(f.b.call, slice_of("held")), 0);
	pass(&f.w, 1);
	says(&f, 200, "Session-Expires: 90;refresher=uac\r\n", "re-answer");
	peer_forget(&f.p);
	refreshes(&f, "INVITE ");
	assert_non_null(strstr(f.p.msg[0], "\r\n\r\nheld"));
	fix_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refused_refreshes_are_mended_or_tried_again),
		cmocka_unit_test(sessions_that_cannot_be_refreshed_end),
		cmocka_unit_test(answer_to_a_refresh_by_invite_is_told),
		cmocka_unit_test(refused_offers_are_not_what_a_refresh_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
