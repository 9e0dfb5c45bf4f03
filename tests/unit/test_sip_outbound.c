/* SPDX-License-Identifier: ISC */
/* Registrations as RFC 5626 and RFC 5627 have them: one or two flows, GRUU;
 * what becomes of calls when a flow goes; and redirected registrations. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "test_sip.h"
#include "../../sipcore/reg_internal.h"
#include "test_sip_tls.h"
#include "test_sip_call.h"

/* Two bare peers are the edge proxies before one registrar. */
struct world2 {
	struct fix f;
	struct peer edge[2];
	uint16_t port;
	struct sip_reg *reg;
	struct sip_reg_status st;
	unsigned int told;
};

static void
on_reg(const struct sip_reg_status *st, void *arg)
{
	struct world2 *w = arg;

	w->st = *st;
	w->told++;
}

static void
open2(struct world2 *w)
{
	memset(w, 0, sizeof(*w));
	fix_open(&w->f);
	w->port = w->f.a.ports[SIPC_UDP];
	peer_open(&w->edge[0], &w->f.w, "127.0.0.1");
	peer_open(&w->edge[1], &w->f.w, "127.0.0.1");
}

static void
close2(struct world2 *w)
{
	sip_call_free(&w->f.a.call);
	sip_reg_stop(&w->reg);
	peer_close(&w->edge[0]);
	peer_close(&w->edge[1]);
	fix_close(&w->f);
}

/* Starts the registration over one edge or both. */
static void
start2(struct world2 *w, bool both, bool gruu)
{
	char at[2][ADDR_STR_MAX];
	struct sip_reg_conf c = { .user = "bob",
		.domain = "example.test",
		.obproxy = at[0],
		.obproxy2 = both ? at[1] : NULL,
		.transport = SIPC_UDP,
		.no_keepalive = true,
		.gruu = gruu,
		.instance = "urn:uuid:1",
		.expires_s = 3600 };

	addr_print(&w->edge[0].at, at[0]);
	addr_print(&w->edge[1].at, at[1]);
	assert_int_equal(sip_reg_start(&w->reg, w->f.a.s, &c, on_reg, w), 0);
	pass(&w->f.w, 10);
}

/* The edge accepts the REGISTER heard last, with `more` header lines. */
static void
accept2(struct world2 *w, int edge, const char *more)
{
	struct peer *p = &w->edge[edge];

	assert_true(p->n > 0);
	heard(p, p->n - 1, "REGISTER ");
	peer_answers(p, w->port, p->msg[p->n - 1], 200, "t", more);
	pass(&w->f.w, 10);
}

#define OFFER                               \
	"Content-Type: application/sdp\r\n" \
	"Content-Length: 5\r\n\r\noffer"

/* A call comes in by an edge and is answered; the tag of A. */
static void
call_in(struct world2 *w, int edge, char *tag, size_t size)
{
	struct peer *p = &w->edge[edge];
	char *req;

	peer_forget(p);
	w->f.a.answer = 200;
	req = peer_request(p, "INVITE", "i", "in", "",
	    "Allow: INVITE, ACK, BYE, UPDATE\r\n" OFFER);
	/* to bob, whatever the host */
	memcpy(strstr(req, "sip:x@127.0.0.1"), "sip:bob@127.0.1",
	    strlen("sip:bob@127.0.1"));
	peer_says(p, w->port, req);
	free(req);
	pass(&w->f.w, 10);
	heard(p, 0, "SIP/2.0 200 ");
	to_tag_of(p->msg[0], tag, size);
	req = peer_request(p, "ACK", "a", "in", tag, "");
	peer_says(p, w->port, req);
	free(req);
	pass(&w->f.w, 10);
	assert_non_null(w->f.a.call);
	event_is(&w->f.a, 0, SIP_CALL_CONFIRMED, 0, "");
}

/* The connection to an edge is lost. */
static void
lose(struct world2 *w, int edge)
{
	struct sip_flow *f;

	TAILQ_FOREACH (f, &w->f.a.s->flows, link) {
		if (addr_eq(&f->remote, &w->edge[edge].at))
			break;
	}
	assert_non_null(f);
	sip_flow_fail(f, ECONNRESET);
	pass(&w->f.w, 10);
}

#define OUTBOUND "Expires: 600\r\nRequire: outbound\r\n"

static void
two_flows_are_two_bindings_of_one_account(void **state)
{
	struct world2 w;
	char tag[64], *req, *cid[2];

	(void)state;
	open2(&w);
	start2(&w, true, false);
	for (int i = 0; i < 2; i++) {
		char want[80];

		heard(&w.edge[i], 0, "REGISTER sip:example.test ");
		(void)snprintf(want, sizeof(want),
		    ";+sip.instance=\"<urn:uuid:1>\";reg-id=%d;", i + 1);
		assert_non_null(strstr(w.edge[i].msg[0], want));
		assert_non_null(strstr(w.edge[i].msg[0], ";ob>"));
		assert_non_null(
		    strstr(w.edge[i].msg[0], "Supported: path, outbound\r\n"));
		cid[i] = strstr(w.edge[i].msg[0], "Call-ID: ");
	}
	assert_int_not_equal(strncmp(cid[0], cid[1], 40), 0);
	/* the second alone is enough */
	accept2(&w, 1, OUTBOUND);
	assert_int_equal(w.st.state, SIP_REG_OK);
	assert_int_equal(w.st.num_flows, 1);
	accept2(&w, 0, OUTBOUND);
	sip_reg_get_status(w.reg, &w.st);
	assert_int_equal(w.st.num_flows, 2);
	/* calls come in by either, and their requests by the other */
	for (int i = 0; i < 2; i++) {
		w.f.a.n = 0;
		call_in(&w, i, tag, sizeof(tag));
		assert_ptr_equal(w.f.a.call->reg, w.reg);
		req = peer_request(&w.edge[1 - i], "BYE", "b", "in", tag, "");
		peer_says(&w.edge[1 - i], w.port, req);
		free(req);
		pass(&w.f.w, 10);
		ended(&w.f.a, 0, 0, true);
		/* what is finished is forgotten */
		pass(&w.f.w, 40000);
	}
	/* good-bye is said to both, and told once */
	w.told = 0;
	sip_reg_unregister(w.reg);
	pass(&w.f.w, 10);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(w.told, 0);
		assert_non_null(
		    strstr(w.edge[i].msg[w.edge[i].n - 1], "Expires: 0\r\n"));
		accept2(&w, i, NULL);
	}
	assert_int_equal(w.st.state, SIP_REG_GONE);
	assert_int_equal(w.told, 1);
	close2(&w);
}

static void
calls_go_on_over_the_flow_that_is_left(void **state)
{
	struct world2 w;
	char tag[64];
	size_t n;

	(void)state;
	open2(&w);
	start2(&w, true, false);
	accept2(&w, 0, OUTBOUND);
	accept2(&w, 1, OUTBOUND);
	call_in(&w, 0, tag, sizeof(tag));
	w.told = 0;
	peer_forget(&w.edge[0]);
	peer_forget(&w.edge[1]);
	lose(&w, 0);
	/* the account is as it was */
	assert_int_equal(w.told, 0);
	sip_reg_get_status(w.reg, &w.st);
	assert_int_equal(w.st.state, SIP_REG_OK);
	assert_int_equal(w.st.num_flows, 1);
	heard(&w.edge[0], 0, "REGISTER ");
	/* the peer hears where we are now */
	heard(&w.edge[1], 0, "UPDATE ");
	assert_non_null(strstr(w.edge[1].msg[0], "Contact: <sip:bob@"));
	peer_answers(&w.edge[1], w.port, w.edge[1].msg[0], 200, NULL,
	    "Contact: <sip:p@127.0.0.1>\r\n");
	pass(&w.f.w, 10);
	assert_non_null(w.f.a.call);
	n = w.edge[1].n;
	sip_call_hangup(w.f.a.call, 0);
	pass(&w.f.w, 10);
	heard(&w.edge[1], n, "BYE ");
	close2(&w);
}

static void
dead_edge_is_asked_seldom_while_the_other_serves(void **state)
{
	struct world2 w;

	(void)state;
	open2(&w);
	start2(&w, true, false);
	accept2(&w, 0, OUTBOUND);
	accept2(&w, 1, OUTBOUND);
	lose(&w, 0);
	/* silent: each REGISTER takes 32 s (timer F); the fifth wait begins
	 * after 90 s (RFC 5626 4.5: base-time 90 s, 45 to 90 of it) */
	pass(&w.f.w, 131 * 1000);
	assert_int_equal(w.reg->state, SIP_REG_WAITING);
	assert_in_range(
	    w.reg->due_us - w.reg->since_us, 45 * SIPC_S, 90 * SIPC_S);
	sip_reg_get_status(w.reg, &w.st);
	assert_int_equal(w.st.state, SIP_REG_OK);
	close2(&w);
}

static void
new_flow_is_told_to_the_peers_of_calls(void **state)
{
	struct world2 w;
	char tag[64];

	(void)state;
	open2(&w);
	start2(&w, false, false);
	accept2(&w, 0, OUTBOUND);
	call_in(&w, 0, tag, sizeof(tag));
	peer_forget(&w.edge[0]);
	lose(&w, 0);
	assert_int_equal(w.edge[0].n, 1);
	accept2(&w, 0, OUTBOUND);
	heard(&w.edge[0], 1, "UPDATE ");
	/* a peer that does not know the call ends it */
	peer_answers(&w.edge[0], w.port, w.edge[0].msg[1], 481, NULL, NULL);
	pass(&w.f.w, 10);
	heard(&w.edge[0], 2, "BYE ");
	close2(&w);
}

#define GRUU                                                            \
	"Contact: <sip:bob@10.1.1.1:5>;+sip.instance=\"<urn:uuid:1>\";" \
	"reg-id=1;pub-gruu=\"sip:bob@example.test;gr=urn:uuid:1\";"     \
	"temp-gruu=\"sip:tgruu.7hs@example.test;gr\";expires=600\r\n"

static void
gruu_is_the_contact_of_calls(void **state)
{
	struct sip_call_conf c = { .to = "4711", .sdp = slice_of("offer") };
	struct world2 w;
	char tag[64], *req;

	(void)state;
	open2(&w);
	start2(&w, false, true);
	assert_non_null(
	    strstr(w.edge[0].msg[0], "Supported: path, outbound, gruu\r\n"));
	accept2(&w, 0, GRUU OUTBOUND);
	assert_int_equal(w.st.expires_s, 600);
	c.reg = w.reg;
	peer_forget(&w.edge[0]);
	assert_int_equal(
	    sip_call_invite(&w.f.a.call, w.f.a.s, &c, on_call_event, &w.f.a),
	    0);
	pass(&w.f.w, 10);
	heard(&w.edge[0], 0, "INVITE ");
	assert_non_null(strstr(w.edge[0].msg[0],
	    "Contact: <sip:bob@example.test;gr=urn:uuid:1>\r\n"));
	sip_call_free(&w.f.a.call);
	pass(&w.f.w, 40000);
	w.f.a.n = 0;
	call_in(&w, 0, tag, sizeof(tag));
	assert_non_null(strstr(w.edge[0].msg[0],
	    "Contact: <sip:bob@example.test;gr=urn:uuid:1>\r\n"));
	/* it holds: a new flow is nobody's business */
	peer_forget(&w.edge[0]);
	lose(&w, 0);
	accept2(&w, 0, GRUU OUTBOUND);
	pass(&w.f.w, 1000);
	assert_int_equal(w.edge[0].n, 1);
	/* REGISTER itself has the address */
	assert_non_null(strstr(w.edge[0].msg[0], "Contact: <sip:bob@127."));
	/* who has the temporary one reaches us, others do not */
	peer_forget(&w.edge[0]);
	sip_call_free(&w.f.a.call);
	pass(&w.f.w, 10);
	for (int i = 0; i < 2; i++) {
		static const char *const users[] = { "tgruu.7hs", "tgruu.7ht" };
		char line[1024];

		peer_forget(&w.edge[0]);
		req = peer_request(&w.edge[0], "MESSAGE", i == 0 ? "m0" : "m1",
		    i == 0 ? "c0" : "c1", "", "");
		(void)snprintf(line, sizeof(line),
		    "MESSAGE sip:%s@example.test;gr SIP/2.0%s", users[i],
		    strstr(req, "\r\n"));
		peer_says(&w.edge[0], w.port, line);
		free(req);
		pass(&w.f.w, 10);
		assert_true(w.edge[0].n > 0);
		assert_int_equal(strncmp(w.edge[0].msg[w.edge[0].n - 1],
				     "SIP/2.0 404", 11) == 0,
		    i == 1);
	}
	close2(&w);
}

static void
gruu_that_was_not_asked_for_is_not_used(void **state)
{
	struct world2 w;
	char tag[64];

	(void)state;
	open2(&w);
	start2(&w, false, false);
	assert_null(strstr(w.edge[0].msg[0], "gruu"));
	accept2(&w, 0, GRUU OUTBOUND);
	call_in(&w, 0, tag, sizeof(tag));
	assert_null(strstr(w.edge[0].msg[0], ";gr"));
	close2(&w);
}

static void
proxy_without_outbound_is_respected(void **state)
{
	struct world2 w;

	(void)state;
	/* 439: RFC 5626 11.6 */
	open2(&w);
	start2(&w, false, false);
	peer_answers(&w.edge[0], w.port, w.edge[0].msg[0], 439, "t", NULL);
	pass(&w.f.w, 10);
	assert_int_equal(w.edge[0].n, 2);
	assert_non_null(strstr(w.edge[0].msg[1], "+sip.instance="));
	assert_null(strstr(w.edge[0].msg[1], "reg-id"));
	assert_null(strstr(w.edge[0].msg[1], "outbound"));
	accept2(&w, 0, "Expires: 600\r\n");
	assert_int_equal(w.st.state, SIP_REG_OK);
	close2(&w);
}

static void
redirected_registration_goes_where_it_is_sent(void **state)
{
	static const struct {
		const char *why, *before, *after;
		bool goes;
	} v[] = {
		{ "elsewhere", "Contact: <sip:", ">\r\n", true },
		{ "elsewhere, with a user and parameters",
		    "Contact: \"x\" <sip:bob@", ";transport=udp>;q=1\r\n",
		    true },
		{ "no SIP", "Contact: <tel:+1", ">\r\n", false },
		{ "nowhere", "X: ", "\r\n", false },
	};
	struct world2 w;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		char at[ADDR_STR_MAX], line[160], want[120];

		open2(&w);
		start2(&w, false, false);
		addr_print(&w.edge[1].at, at);
		(void)snprintf(
		    line, sizeof(line), "%s%s%s", v[i].before, at, v[i].after);
		peer_answers(
		    &w.edge[0], w.port, w.edge[0].msg[0], 302, "t", line);
		pass(&w.f.w, 10);
		if (!v[i].goes) {
			assert_int_equal(w.st.state, SIP_REG_WAITING);
			assert_int_equal(w.edge[1].n, 0);
			close2(&w);
			continue;
		}
		(void)snprintf(
		    want, sizeof(want), "REGISTER sip:%s SIP/2.0\r\n", at);
		heard(&w.edge[1], 0, want);
		assert_non_null(
		    strstr(w.edge[1].msg[0], "To: <sip:bob@example.test>"));
		accept2(&w, 1, OUTBOUND);
		assert_int_equal(w.st.state, SIP_REG_OK);
		/* calls are taken from there */
		line[0] = '\0';
		call_in(&w, 1, line, sizeof(line));
		close2(&w);
	}
	/* round and round: not for ever */
	open2(&w);
	start2(&w, false, false);
	for (int i = 0; i < 10 && w.st.state != SIP_REG_WAITING; i++) {
		char at[ADDR_STR_MAX], line[120];

		addr_print(&w.edge[(i + 1) % 2].at, at);
		(void)snprintf(line, sizeof(line), "Contact: <sip:%s>\r\n", at);
		peer_answers(&w.edge[i % 2], w.port,
		    w.edge[i % 2].msg[w.edge[i % 2].n - 1], 302, "t", line);
		pass(&w.f.w, 10);
	}
	assert_int_equal(w.st.state, SIP_REG_WAITING);
	assert_int_equal(w.st.code, 302);
	assert_int_equal(w.edge[0].n + w.edge[1].n, 4);
	close2(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_flows_are_two_bindings_of_one_account),
		cmocka_unit_test(calls_go_on_over_the_flow_that_is_left),
		cmocka_unit_test(
		    dead_edge_is_asked_seldom_while_the_other_serves),
		cmocka_unit_test(new_flow_is_told_to_the_peers_of_calls),
		cmocka_unit_test(gruu_is_the_contact_of_calls),
		cmocka_unit_test(gruu_that_was_not_asked_for_is_not_used),
		cmocka_unit_test(proxy_without_outbound_is_respected),
		cmocka_unit_test(redirected_registration_goes_where_it_is_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
