/* SPDX-License-Identifier: ISC */
/* Direct calls to a name with two addresses (localhost: 127.0.0.1, then ::1):
 * on to the second when the first fails, and not back too soon (RFC 3263 4.3),
 * in fake time. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "test_sip.h"
#include "test_sip_tls.h"
#include "test_sip_call.h"

/* What the first address does. */
enum first { CLOSED, SAYS_503, SAYS_486, SILENT };

/* Opens the second address on the same port. */
static void
second_open(struct fix *f, struct party *c, enum sip_transport t)
{
	struct sip_stack_conf sc = { .loop = f->w.loop,
		.tls = f->w.tls,
		.dns = f->w.dns,
		.on_call = on_call,
		.arg = c };
	struct addr local;

	memset(c, 0, sizeof(*c));
	c->answer = 200;
	assert_int_equal(sip_stack_new(&c->s, &sc), 0);
	assert_int_equal(addr_parse(&local, slice_of("::1"), f->b.ports[t]), 0);
	assert_int_equal(sip_stack_listen(c->s, t, &local, NULL), 0);
	allow(c->s, "::1");
}

/* Calls, and waits `ms`. */
static void
try(struct fix *f, const char *to, int64_t ms)
{
	struct sip_call_conf conf = { .to = to, .sdp = slice_of("offer") };

	f->a.n = 0;
	assert_int_equal(
	    sip_call_invite(&f->a.call, f->a.s, &conf, on_call_event, &f->a),
	    0);
	pass(&f->w, ms);
}

static void
a_failed_target_means_the_next(void **state)
{
	static const struct {
		const char *why;
		enum sip_transport t;
		enum first first;
		int64_t ms; /* within this */
		bool moves;
	} v[] = {
		{ "TCP refused", SIPC_TCP, CLOSED, 100, true },
		{ "UDP port closed", SIPC_UDP, CLOSED, 100, true },
		{ "overloaded", SIPC_TCP, SAYS_503, 100, true },
		{ "overloaded, UDP", SIPC_UDP, SAYS_503, 100, true },
		{ "silent", SIPC_UDP, SILENT, 5100, true },
		{ "busy is an answer", SIPC_TCP, SAYS_486, 100, false },
	};
	struct party c;
	struct peer mute;
	struct fix f;
	char to[80];

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		fix_open(&f);
		second_open(&f, &c, v[i].t);
		f.b.answer = v[i].first == SAYS_486 ? 486 : 503;
		(void)snprintf(to, sizeof(to),
		    "sip:b@localhost:%u;transport=%s", f.b.ports[v[i].t],
		    sip_transport_name(v[i].t));
		if (v[i].first == CLOSED || v[i].first == SILENT) {
			sip_stack_free(f.b.s);
			f.b.s = NULL;
		}
		if (v[i].first == SILENT) {
			memset(&mute, 0, sizeof(mute));
			assert_int_equal(
			    addr_parse(&mute.at, slice_of("127.0.0.1"),
				f.b.ports[v[i].t]),
			    0);
			assert_int_equal(udp_open(&mute.u, f.w.loop, &mute.at,
					     0, peer_hears, &mute),
			    0);
		}
		try(&f, to, v[i].ms);
		if (c.incoming != (v[i].moves ? 1 : 0))
			fail_msg("%s: %u at the second", v[i].why, c.incoming);
		if (!v[i].moves) {
			ended(&f.a, 486, E_SIP_REFUSED, true);
		} else {
			event_is(
			    &f.a, f.a.n - 1, SIP_CALL_ANSWERED, 200, "answer");
			assert_true(
			    sip_call_header(f.a.call, "contact") != NULL);
			sip_call_hangup(f.a.call, 0);
			pass(&f.w, 100);
			/* the next call knows */
			try(&f, to, 50);
			if (c.incoming != 2)
				fail_msg("%s: asked again", v[i].why);
			sip_call_hangup(f.a.call, 0);
			pass(&f.w, 100);
		}
		if (v[i].first == SILENT)
			peer_close(&mute);
		sip_stack_free(c.s);
		fix_close(&f);
	}
}

static void
all_refusing_says_the_last_code(void **state)
{
	struct party c;
	struct fix f;
	char to[80];

	(void)state;
	fix_open(&f);
	second_open(&f, &c, SIPC_TCP);
	f.b.answer = c.answer = 503;
	(void)snprintf(to, sizeof(to), "sip:b@localhost:%u;transport=tcp",
	    f.b.ports[SIPC_TCP]);
	try(&f, to, 200);
	ended(&f.a, 503, E_SIP_REFUSED, true);
	assert_int_equal(f.b.incoming, 1);
	assert_int_equal(c.incoming, 1);
	/* both are avoided now, and tried all the same */
	try(&f, to, 200);
	ended(&f.a, 503, E_SIP_REFUSED, true);
	assert_int_equal(f.b.incoming, 2);
	sip_stack_free(c.s);
	fix_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_failed_target_means_the_next),
		cmocka_unit_test(all_refusing_says_the_last_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
