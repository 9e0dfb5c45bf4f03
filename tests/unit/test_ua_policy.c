/* SPDX-License-Identifier: ISC */
/* Who interrupts whom, and which header of whom makes us answer: tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ua_policy.h"

/* What has the speaker, and what comes in. */
static void
who_interrupts_whom(void **state)
{
	/* For each rank that is up: act of a page, of a call that rings, of an
	 * alert.  'a' answer, 'r' ring, 't' tone, 'b' 486. */
	static const struct {
		enum ua_rank top;
		const char *single, *many;
	} v[] = {
		{ UA_RANK_NONE, "art", "art" },
		{ UA_RANK_ALERT, "art", "art" },
		{ UA_RANK_RING, "abt", "art" },
		{ UA_RANK_CALL, "abt", "art" },
		{ UA_RANK_PAGE, "bbt", "art" },
	};
	struct ua_verdict out;

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(v) / sizeof(v[0]); i++) {
		bool single = i % 2 == 0;
		char got[4] = "";

		for (int k = 0; k < 3; k++) {
			struct ua_in in = { .single = single,
				.top = v[i / 2].top,
				.mode = k == 1 ? UA_MODE_RING : UA_MODE_AUTO,
				.alert = k == 2,
				.num_calls = v[i / 2].top > UA_RANK_ALERT,
				.max_calls = 4 };

			ua_decide(&in, &out);
			got[k] = "brta"[out.act];
			if (out.act == UA_ACT_REFUSE) {
				assert_int_equal(out.code, 486);
				assert_string_equal(out.class, "call.busy");
				assert_true(strlen(out.why) > 10);
			}
		}
		print_message("rank %d, %s: %s\n", v[i / 2].top,
		    single ? "single" : "many", got);
		assert_string_equal(
		    got, single ? v[i / 2].single : v[i / 2].many);
	}
}

static void
room_and_reasons(void **state)
{
	static const struct {
		struct ua_in in;
		enum ua_act act;
		int code;
		const char *class, *why;
	} v[] = {
		{ { .stopping = true, .max_calls = 4 }, UA_ACT_REFUSE, 480,
		    "stopping", "at the end" },
		{ { .stopping = true, .alert = true }, UA_ACT_REFUSE, 480,
		    "stopping", "alerts too" },
		{ { .mode = UA_MODE_REJECT, .max_calls = 4 }, UA_ACT_REFUSE,
		    603, "answer.mode", "not wanted" },
		{ { .mode = UA_MODE_REJECT, .alert = true }, UA_ACT_REFUSE, 603,
		    "answer.mode", "alerts too" },
		{ { .num_calls = 4, .max_calls = 4 }, UA_ACT_REFUSE, 486,
		    "call.busy", "call.max" },
		{ { .num_calls = 3, .max_calls = 4 }, UA_ACT_ANSWER, 0, "",
		    "one more" },
		{ { .alert = true, .num_calls = 4, .max_calls = 4 },
		    UA_ACT_ALERT, 0, "", "alerts are apart from call.max" },
		{ { .alert = true,
		      .num_alerts = UA_ALERTS_MAX,
		      .max_calls = 4 },
		    UA_ACT_REFUSE, 486, "call.busy", "but not without end" },
		{ { .alert = true,
		      .mode = UA_MODE_AUTO,
		      .max_calls = 4,
		      .ask = { .at_once = true },
		      .may_ask = UA_ASKER_ANY },
		    UA_ACT_ALERT, 0, "", "an alert is never answered" },
	};
	struct ua_verdict out;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		print_message("%s\n", v[i].why);
		ua_decide(&v[i].in, &out);
		assert_int_equal(out.act, v[i].act);
		assert_int_equal(out.code, v[i].code);
		assert_string_equal(out.class, v[i].class);
	}
}

/* answer.request: a caller of each kind asks for an answer at once. */
static void
who_may_ask(void **state)
{
	static const bool may[4][4] = {
		/*                asker: -, account, tls, any */
		[UA_ASKER_NOBODY] = { false, false, false, false },
		[UA_ASKER_ACCOUNT] = { false, true, false, false },
		[UA_ASKER_TLS] = { false, true, true, false },
		[UA_ASKER_ANY] = { false, true, true, true },
	};
	struct ua_verdict out;

	(void)state;
	for (int set = 0; set < 4; set++) {
		for (int who = UA_ASKER_ACCOUNT; who < 4; who++) {
			struct ua_in in = { .mode = UA_MODE_RING,
				.ask = { .at_once = true },
				.may_ask = (enum ua_asker)set,
				.asker = (enum ua_asker)who,
				.max_calls = 4 };

			print_message("set %d, asks %d\n", set, who);
			ua_decide(&in, &out);
			assert_int_equal(out.act,
			    may[set][who] ? UA_ACT_ANSWER : UA_ACT_RING);
			in.ask.delay_s = 7;
			ua_decide(&in, &out);
			assert_int_equal(out.act, UA_ACT_RING);
			assert_int_equal(out.delay_s, may[set][who] ? 7 : 0);
			/* RFC 5373: refused rather than rung. */
			in.ask.delay_s = 0;
			in.ask.require = true;
			ua_decide(&in, &out);
			assert_int_equal(out.act,
			    may[set][who] ? UA_ACT_ANSWER : UA_ACT_REFUSE);
			if (!may[set][who])
				assert_int_equal(out.code, 403);
		}
	}
}

/* A page extension that is asked to let somebody answer. */
static void
manual_is_honoured(void **state)
{
	struct ua_in in = { .mode = UA_MODE_AUTO,
		.ask = { .by_hand = true, .require = true },
		.max_calls = 4 };
	struct ua_verdict out;

	(void)state;
	ua_decide(&in, &out);
	assert_int_equal(out.act, UA_ACT_RING);
	assert_int_equal(out.delay_s, 0);
}

static void
headers_ask(void **state)
{
	static const struct {
		const char *name, *value;
		char asks; /* 'a' at once, 'm' by hand, '-' nothing */
		unsigned int delay_s;
		bool require;
	} v[] = {
		{ "Answer-Mode", "Auto", 'a', 0, false },
		{ "Answer-Mode", "auto;require", 'a', 0, true },
		{ "Answer-Mode", "Manual", 'm', 0, false },
		{ "Answer-Mode", "Manual ; require", 'm', 0, true },
		{ "Priv-Answer-Mode", "Auto", 'a', 0, false },
		{ "Answer-Mode", "Automatic", '-', 0, false },
		{ "Answer-Mode", "", '-', 0, false },
		{ "Call-Info", "<sip:pbx>;answer-after=0", 'a', 0, false },
		{ "Call-Info", "<sip:a;b,c>; answer-after = 5", 'a', 5, false },
		{ "Call-Info", "<u>;purpose=icon, <sip:x>;answer-after=2", 'a',
		    2, false },
		{ "Call-Info", "answer-after=1", 'a', 1, false },
		{ "Call-Info", "\";answer-after=1\"", '-', 0, false },
		{ "Call-Info", "<;answer-after=1>", '-', 0, false },
		{ "Call-Info", "<sip:x>;answer-after=61", '-', 0, false },
		{ "Call-Info", "<sip:x>;answer-after=-1", '-', 0, false },
		{ "Call-Info", "<sip:x>;answer-after=", '-', 0, false },
		{ "Call-Info", "<sip:x>;answer-afterwards=1", '-', 0, false },
		{ "Call-Info", "<sip:x>;purpose=icon", '-', 0, false },
		{ "Call-Info", "<sip:x>;info=alert-autoanswer", '-', 0, false },
		{ "Alert-Info", "<http://x/>;info=alert-autoanswer;delay=0",
		    'a', 0, false },
		{ "Alert-Info", "info=alert-autoanswer;delay=3", 'a', 3,
		    false },
		{ "Alert-Info", "Auto Answer", 'a', 0, false },
		{ "alert-info", "<Ring Answer>", 'a', 0, false },
		{ "Alert-Info", "<sip:x>;info=\"alert-autoanswer\"", 'a', 0,
		    false },
		{ "Alert-Info", "<sip:x>;answer-after=4", 'a', 4, false },
		{ "Alert-Info", "<http://x/ring.wav>", '-', 0, false },
		{ "Alert-Info", "<urn:alert:source:external>;delay=3", '-', 0,
		    false },
		{ "Alert-Info", "<<<<<\"", '-', 0, false },
		{ "Alert-Info", ";;;,,,", '-', 0, false },
		{ "Alert-Info", "\"\\", '-', 0, false },
		{ "Call-Info", "\"\\", '-', 0, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct ua_ask ask = { .delay_s = 0 };
		char got;

		print_message("%s: %s\n", v[i].name, v[i].value);
		ua_ask_read(&ask, v[i].name, v[i].value);
		got = ask.at_once ? 'a' : ask.by_hand ? 'm' : '-';
		assert_int_equal(got, v[i].asks);
		assert_int_equal(ask.delay_s, v[i].delay_s);
		assert_int_equal(ask.require, v[i].require);
		assert_int_equal(ask.header != NULL, got != '-');
	}
}

static void
the_first_that_asks_counts(void **state)
{
	struct ua_ask ask = { .delay_s = 0 };

	(void)state;
	ua_ask_read(&ask, "Call-Info", "<sip:x>;purpose=icon");
	ua_ask_read(&ask, "Call-Info", "<sip:x>;answer-after=3");
	ua_ask_read(&ask, "Alert-Info", "<sip:x>;answer-after=9");
	assert_true(ask.at_once);
	assert_int_equal(ask.delay_s, 3);
	assert_string_equal(ask.header, "Call-Info");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_interrupts_whom),
		cmocka_unit_test(room_and_reasons),
		cmocka_unit_test(who_may_ask),
		cmocka_unit_test(manual_is_honoured),
		cmocka_unit_test(headers_ask),
		cmocka_unit_test(the_first_that_asks_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
