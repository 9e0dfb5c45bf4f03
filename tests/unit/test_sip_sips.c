/* SPDX-License-Identifier: ISC */
/* sips (RFC 5630): what was called by TLS alone stays there, whatever Contact
 * and Record-Route say. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "test_sip.h"
#include "test_sip_tls.h"
#include "test_sip_call.h"

/* A message with those fields. */
static struct sip_msg *
message(const char *first, const char *contact, const char *routes)
{
	struct sip_msg *m;
	struct buf b;

	buf_init(&b, 4096);
	assert_int_equal(
	    buf_printf(&b,
		"%s\r\nVia: SIP/2.0/TLS h;branch=z9hG4bKx\r\n"
		"From: <sips:a@h>;tag=f\r\nTo: <sips:b@h>;tag=t\r\n"
		"Call-ID: c\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\n"
		"Contact: <%s>\r\n%sContent-Length: 0\r\n\r\n",
		first, contact, routes),
	    0);
	assert_int_equal(sip_msg_parse(&m, slice_of(buf_str(&b))), 0);
	buf_clear(&b);
	return m;
}

static const struct {
	const char *why;
	bool sips;
	const char *contact, *routes;
	int err;
} rows[] = {
	{ "all of it sips", true, "sips:x@h", "Record-Route: <sips:p;lr>\r\n",
	    0 },
	{ "no route", true, "SIPS:x@h", "", 0 },
	{ "Contact leaves TLS", true, "sip:x@h", "", E_SIP_INSECURE },
	{ "though it says tls", true, "sip:x@h;transport=tls", "",
	    E_SIP_INSECURE },
	{ "a route leaves TLS", true, "sips:x@h",
	    "Record-Route: <sips:p;lr>, <sip:q;lr>\r\n", E_SIP_INSECURE },
	{ "in another field", true, "sips:x@h",
	    "Record-Route: <sips:p;lr>\r\nRecord-Route: <sip:q;lr>\r\n",
	    E_SIP_INSECURE },
	{ "sip may do as it likes", false, "sip:x@h",
	    "Record-Route: <sip:p;lr>\r\n", 0 },
	{ "and better itself", false, "sips:x@h", "", 0 },
};

static void
dialogs_of_sips_do_not_leave_tls(void **state)
{
	struct world w;
	struct sip_stack_conf c = { .arg = NULL };
	struct sip_stack *s;

	(void)state;
	world_open(&w);
	c.loop = w.loop;
	c.tls = w.tls;
	c.dns = w.dns;
	assert_int_equal(sip_stack_new(&s, &c), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sip_dlg in, out;
		struct sip_msg *m;
		int err;

		memset(&in, 0, sizeof(in));
		memset(&out, 0, sizeof(out));
		m = message(rows[i].sips ? "INVITE sips:b@h SIP/2.0"
					 : "INVITE sip:b@h SIP/2.0",
		    rows[i].contact, rows[i].routes);
		err = sip_dlg_in(&in, m, "t");
		sip_msg_free(m);
		if (err != rows[i].err)
			fail_msg("in: %s: %d", rows[i].why, err);
		m = message("SIP/2.0 200 OK", rows[i].contact, rows[i].routes);
		out.sips = rows[i].sips;
		out.target = strdup("sips:b@h");
		err = sip_dlg_out(&out, m);
		sip_msg_free(m);
		if (err != rows[i].err)
			fail_msg("out: %s: %d", rows[i].why, err);
		if (err != 0)
			assert_string_equal(out.target, "sips:b@h");
		sip_dlg_clear(s, &in);
		sip_dlg_clear(s, &out);
	}
	sip_stack_free(s);
	world_close(&w);
}

static void
a_later_contact_does_not_lead_out_either(void **state)
{
	struct world w;
	struct sip_stack_conf c = { .arg = NULL };
	struct sip_stack *s;
	struct sip_dlg d = { .sips = true };
	struct sip_msg *m;

	(void)state;
	world_open(&w);
	c.loop = w.loop;
	c.tls = w.tls;
	c.dns = w.dns;
	assert_int_equal(sip_stack_new(&s, &c), 0);
	d.target = strdup("sips:b@h");
	m = message("INVITE sips:b@h SIP/2.0", "sip:x@h", "");
	sip_dlg_retarget(&d, m);
	sip_msg_free(m);
	assert_string_equal(d.target, "sips:b@h");
	m = message("INVITE sips:b@h SIP/2.0", "sips:x@h", "");
	sip_dlg_retarget(&d, m);
	sip_msg_free(m);
	assert_string_equal(d.target, "sips:x@h");
	sip_dlg_clear(s, &d);
	sip_stack_free(s);
	world_close(&w);
}

static void
calls_to_sips_have_sips_contacts(void **state)
{
	char to[80];
	struct sip_call_conf c = {
		.to = to, .sdp = slice_of("offer"), .policy = tls_client_policy
	};
	struct fix f;

	(void)state;
	fix_open(&f);
	f.b.answer = 200;
	(void)snprintf(
	    to, sizeof(to), "sips:b@127.0.0.1:%u", f.b.ports[SIPC_TLS]);
	assert_int_equal(
	    sip_call_invite(&f.a.call, f.a.s, &c, on_call_event, &f.a), 0);
	pass(&f.w, 200);
	event_is(&f.a, f.a.n - 1, SIP_CALL_ANSWERED, 200, "answer");
	assert_non_null(f.b.call);
	assert_memory_equal(sip_call_header(f.b.call, "contact"), "<sips:", 6);
	assert_memory_equal(sip_call_header(f.a.call, "contact"), "<sips:", 6);
	/* and requests in the dialog go by them */
	assert_memory_equal(f.a.call->dlg.target, "sips:", 5);
	assert_memory_equal(f.b.call->dlg.target, "sips:", 5);
	sip_call_hangup(f.b.call, 0);
	pass(&f.w, 200);
	assert_null(f.a.call);
	assert_null(f.b.call);
	fix_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dialogs_of_sips_do_not_leave_tls),
		cmocka_unit_test(a_later_contact_does_not_lead_out_either),
		cmocka_unit_test(calls_to_sips_have_sips_contacts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
