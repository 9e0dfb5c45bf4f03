/* SPDX-License-Identifier: ISC */
/* Who may call, what others hear, and that nothing a user or a peer supplies
 * becomes a header line of ours. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "test_sip.h"
#include "test_sip_tls.h"
#include "test_sip_call.h"

/* What a request from loopback over UDP and TCP gets: the first line's code,
 * 0 for silence. */
static void
refusals_are_as_set_and_counted(void **state)
{
	static const struct {
		const char *list;
		enum sip_refuse how;
		int udp, tcp;
		uint64_t refused;
	} v[] = {
		{ "127.0.0.1", SIPC_REFUSE_AUTO, 200, 200, 0 },
		{ "any", SIPC_REFUSE_DROP, 200, 200, 0 },
		{ "", SIPC_REFUSE_AUTO, 0, 403, 2 },
		{ "", SIPC_REFUSE_DROP, 0, 0, 2 },
		{ "", SIPC_REFUSE_ANSWER, 403, 403, 2 },
		{ "10.0.0.0/8, tls:somebody", SIPC_REFUSE_AUTO, 0, 403, 2 },
	};
	struct sip_stack_stats st;
	struct fix f;
	char code[16], *req;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		fix_open(&f);
		allow(f.b.s, v[i].list);
		sip_stack_set_refuse(f.b.s, v[i].how);
		req = peer_request(&f.p, "OPTIONS", "q", "q", "", "");
		peer_says(&f.p, f.b.ports[SIPC_UDP], req);
		free(req);
		pass(&f.w, 10);
		assert_int_equal(f.p.n, v[i].udp != 0);
		(void)snprintf(code, sizeof(code), "SIP/2.0 %d", v[i].udp);
		if (v[i].udp != 0)
			heard(&f.p, 0, code);
		/* A call over TCP: 480 as nobody answers, or what is refused
		 * in the time of timer B. */
		f.b.answer = 480;
		call(&f, SIPC_TCP, "offer");
		pass(&f.w, 40000);
		if (v[i].tcp == 200)
			ended(&f.a, 480, E_SIP_REFUSED, true);
		else if (v[i].tcp == 403)
			ended(&f.a, 403, E_SIP_REFUSED, true);
		else
			ended(&f.a, 408, ETIMEDOUT, false);
		sip_stack_get_stats(f.b.s, &st);
		if (st.refused != v[i].refused)
			fail_msg("row %zu: %llu refused", i,
			    (unsigned long long)st.refused);
		assert_int_equal(f.b.incoming, v[i].refused == 0);
		fix_close(&f);
	}
}

/* A stranger makes nothing: no flow, no transaction, no dialog. */
static void
strangers_leave_nothing_behind(void **state)
{
	static const char *const methods[] = { "INVITE", "BYE", "CANCEL", "ACK",
		"OPTIONS", "REGISTER", "NOTIFY", "ODD" };
	struct sip_stack_stats st;
	struct fix f;
	char *req;

	(void)state;
	fix_open(&f);
	allow(f.b.s, "");
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		for (int tag = 0; tag < 2; tag++) {
			char branch[8];

			(void)snprintf(branch, sizeof(branch), "%zu%d", i, tag);
			req = peer_request(&f.p, methods[i], branch, branch,
			    tag ? "theirs" : "", "");
			peer_says(&f.p, f.b.ports[SIPC_UDP], req);
			free(req);
		}
	}
	pass(&f.w, 10);
	assert_int_equal(f.p.n, 0);
	sip_stack_get_stats(f.b.s, &st);
	assert_int_equal(st.flows, 0);
	assert_int_equal(st.txns, 0);
	assert_int_equal(st.dialogs, 0);
	assert_int_equal(f.b.s->dones.n, 0);
	assert_int_equal(st.refused, 14); /* ACK is no request to refuse */
	fix_close(&f);
}

static void
lists_are_read_or_refused_whole(void **state)
{
	static const struct {
		const char *list;
		int err;
	} v[] = {
		{ "", 0 },
		{ " 10.0.0.0/8 , ,2001:db8::/32,tls:a.example,any", 0 },
		{ "10.0.0.0/33", E_PARSE },
		{ "127.0.0.1, somebody", E_PARSE },
		{ "tls:", E_PARSE },
		{ "10.0.0.0/8\r\nEvil: 1", E_PARSE },
	};
	char why[200];
	struct fix f;

	(void)state;
	fix_open(&f);
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		why[0] = '\0';
		allow(f.b.s, "192.0.2.1");
		if (sip_stack_set_allow(f.b.s, v[i].list, why, sizeof(why)) !=
		    v[i].err)
			fail_msg("%s: %s", v[i].list, why);
		assert_true((why[0] != '\0') == (v[i].err != 0));
		assert_true(sip_clean(why));
	}
	fix_close(&f);
}

/* ---- injection ---- */

/* No text that a program or a user hands over ends a line of ours: it is
 * refused at once, or escaped. */
static void
calls_cannot_inject(void **state)
{
	static const struct {
		const char *why;
		struct sip_call_conf c;
	} v[] = {
		{ "URI", { .to = "sip:b@127.0.0.1\r\nEvil: 1" } },
		{ "URI with a bare LF", { .to = "sip:b@127.0.0.1\nEvil: 1" } },
		{ "URI that closes its angle",
		    { .to = "sip:b@127.0.0.1>\tEvil: 1" } },
		{ "line that does not end",
		    { .to = "sip:b@127.0.0.1", .headers = "X: y" } },
		{ "line that ends the headers",
		    { .to = "sip:b@127.0.0.1",
			.headers = "X: y\r\n\r\nEvil" } },
		{ "line with a bare LF",
		    { .to = "sip:b@127.0.0.1",
			.headers = "X: y\nEvil: 1\r\n" } },
		{ "line with a bare CR",
		    { .to = "sip:b@127.0.0.1",
			.headers = "X: y\rEvil: 1\r\n" } },
		{ "line that goes on",
		    { .to = "sip:b@127.0.0.1",
			.headers = "X: y\r\n folded: 1\r\n" } },
		{ "line without a name",
		    { .to = "sip:b@127.0.0.1", .headers = ": y\r\n" } },
		{ "caller's host",
		    { .to = "sip:b@127.0.0.1", .from_host = "h>\r\nEvil: 1" } },
		{ "caller's host that ends the URI",
		    { .to = "sip:b@127.0.0.1", .from_host = "h>;tag=x" } },
		{ "caller's user",
		    { .to = "sip:b@127.0.0.1", .from_user = "u\r\nEvil: 1" } },
	};
	struct fix f;

	(void)state;
	fix_open(&f);
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		if (sip_call_invite(&f.a.call, f.a.s, &v[i].c, on_call_event,
			&f.a) != E_PARSE)
			fail_msg("%s was taken", v[i].why);
		assert_null(f.a.call);
	}
	fix_close(&f);
}

/* A reason phrase with a line end in it is not sent. */
static void
reasons_cannot_inject(void **state)
{
	static const char *const v[] = { "Busy\r\nEvil: 1", "Busy\nEvil: 1",
		"Busy\rEvil: 1", "Busy\x01" };
	char branch[8], *req;
	struct fix f;

	(void)state;
	fix_open(&f);
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		(void)snprintf(branch, sizeof(branch), "r%zu", i);
		req = peer_request(&f.p, "INVITE", branch, branch, "", "");
		peer_forget(&f.p);
		peer_says(&f.p, f.b.ports[SIPC_UDP], req);
		free(req);
		pass(&f.w, 10);
		assert_non_null(f.b.call);
		assert_int_equal(sip_call_answer(f.b.call, 486, v[i],
				     (struct slice){ NULL, 0 }),
		    0);
		pass(&f.w, 10);
		assert_true(f.p.n > 1);
		heard(&f.p, f.p.n - 1, "SIP/2.0 486 Busy Here\r\n");
		assert_null(strstr(f.p.msg[f.p.n - 1], "Evil"));
	}
	fix_close(&f);
}

/* An account's own words: refused, or within their quotes. */
static void
accounts_cannot_inject(void **state)
{
	static const char evil[] = "x\r\nEvil: 1";
	struct sip_reg_conf good = { .user = "u",
		.domain = "127.0.0.1",
		.password = "p",
		.transport = SIPC_UDP,
		.expires_s = 60 };
	struct sip_reg *reg = NULL;
	struct fix f;

	(void)state;
	fix_open(&f);
	for (int i = 0; i < 6; i++) {
		struct sip_reg_conf c = good;
		const char **part[] = { &c.domain, &c.auth_user, &c.display,
			&c.obproxy, &c.instance, &c.realm };

		*part[i] = evil;
		if (sip_reg_start(&reg, f.a.s, &c, NULL, NULL) == 0) {
			/* realm: only compared, never sent */
			assert_int_equal(i, 5);
			sip_reg_stop(&reg);
		}
		assert_null(reg);
	}
	fix_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refusals_are_as_set_and_counted),
		cmocka_unit_test(strangers_leave_nothing_behind),
		cmocka_unit_test(lists_are_read_or_refused_whole),
		cmocka_unit_test(calls_cannot_inject),
		cmocka_unit_test(reasons_cannot_inject),
		cmocka_unit_test(accounts_cannot_inject),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
