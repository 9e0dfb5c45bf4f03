/* SPDX-License-Identifier: ISC */
/* Transactions in fake time against a bare UDP peer: who sends when, and what
 * happens to copies. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "oom.h"
#include "test_sip.h"

struct fix {
	struct world w;
	struct peer p;
	struct sip_stack *s;
	uint16_t port;
	unsigned int asked; /* on_req ran */
};

struct outcome {
	struct sip_ctxn *x;
	unsigned int provisional, final, failed;
	int code, err;
};

static bool
on_req(struct sip_req *req, void *arg)
{
	struct fix *f = arg;

	if (strcmp(sip_req_method(req), "LATER") == 0) {
		f->asked++;
		return true;
	}
	if (strcmp(sip_req_method(req), "MESSAGE") != 0)
		return false;
	f->asked++;
	assert_int_equal(
	    sip_req_reply(req, 200, NULL, NULL, NULL, slice_of("")), 0);
	return true;
}

static void
fix_open(struct fix *f)
{
	struct sip_stack_conf c = { .on_req = on_req, .arg = f };

	memset(f, 0, sizeof(*f));
	world_open(&f->w);
	c.loop = f->w.loop;
	c.tls = f->w.tls;
	c.dns = f->w.dns;
	assert_int_equal(sip_stack_new(&f->s, &c), 0);
	f->port = listen_on(f->s, SIPC_UDP, NULL);
	allow(f->s, "127.0.0.1");
	peer_open(&f->p, &f->w, "127.0.0.1");
}

static void
fix_close(struct fix *f)
{
	peer_close(&f->p);
	sip_stack_free(f->s);
	world_close(&f->w);
}

static void
on_answer(struct sip_msg **rsp, int err, void *arg)
{
	struct outcome *o = arg;

	o->err = err;
	if (*rsp == NULL)
		o->failed++;
	else if ((*rsp)->code < 200)
		o->provisional++;
	else
		o->final++;
	o->code = *rsp != NULL ? (*rsp)->code : 0;
}

/* Sends a request to the peer as a client transaction. */
static void
start(struct fix *f, struct outcome *o, const char *method)
{
	char branch[SIPC_BRANCH_LEN + 1];
	struct sip_ctxn_conf c = {
		.method = method, .branch = branch, .cb = on_answer, .arg = o
	};
	char at[ADDR_STR_MAX];
	struct buf b;

	memset(o, 0, sizeof(*o));
	assert_int_equal(sip_flow_udp(&c.flow, f->s, NULL, &f->p.at), 0);
	sip_branch(branch);
	sip_host_port(&c.flow->local, at);
	buf_init(&b, SIPC_MSG_MAX);
	assert_int_equal(
	    buf_printf(&b,
		"%s sip:x@h SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=%s;rport\r\n"
		"Max-Forwards: 70\r\nFrom: <sip:u@h>;tag=f\r\n"
		"To: <sip:x@h>\r\nCall-ID: c\r\nCSeq: 4 %s\r\n"
		"Route: <sip:r;lr>\r\nContent-Length: 0\r\n\r\n",
		method, at, branch, method),
	    0);
	c.msg = &b;
	assert_int_equal(sip_ctxn_start(&o->x, &c), 0);
	assert_int_equal(b.n, 0); /* taken */
	buf_clear(&b);
}

/* The peer heard at exactly these times (ms, -1 ends). */
static void
times_are(const struct peer *p, const int *want)
{
	size_t n = 0;

	for (; want[n] >= 0; n++) {
		if (n >= p->n || p->ms[n] != want[n])
			fail_msg("message %zu at %lld ms, not %d", n,
			    n < p->n ? (long long)p->ms[n] : -1, want[n]);
	}
	assert_int_equal(p->n, n);
}

static void
invite_is_repeated_by_timer_a_until_timer_b(void **state)
{
	static const int want[] = { 0, 500, 1500, 3500, 7500, 15500, 31500,
		-1 };
	struct outcome o;
	struct fix f;

	(void)state;
	fix_open(&f);
	start(&f, &o, "INVITE");
	pass(&f.w, 31990);
	times_are(&f.p, want);
	assert_int_equal(o.failed, 0);
	pass(&f.w, 20);
	assert_int_equal(o.failed, 1);
	assert_int_equal(o.err, ETIMEDOUT);
	assert_null(o.x);
	fix_close(&f);
}

static void
others_are_repeated_by_timer_e_until_timer_f(void **state)
{
	static const int want[] = { 0, 500, 1500, 3500, 7500, 11500, 15500,
		19500, 23500, 27500, 31500, -1 };
	struct outcome o;
	struct fix f;

	(void)state;
	fix_open(&f);
	start(&f, &o, "OPTIONS");
	pass(&f.w, 40000);
	times_are(&f.p, want);
	assert_int_equal(o.failed, 1);
	assert_int_equal(o.err, ETIMEDOUT);
	fix_close(&f);
}

static void
provisional_answer_stops_timers_a_and_b(void **state)
{
	struct outcome o;
	struct fix f;

	(void)state;
	fix_open(&f);
	start(&f, &o, "INVITE");
	pass(&f.w, 10);
	peer_answers(&f.p, f.port, f.p.msg[0], 180, "t", NULL);
	pass(&f.w, 100000);
	assert_int_equal(f.p.n, 1);
	assert_int_equal(o.provisional, 1);
	assert_int_equal(o.failed, 0);
	assert_non_null(o.x);
	sip_ctxn_stop(&o.x);
	fix_close(&f);
}

static void
refusal_is_acknowledged_each_time_and_told_once(void **state)
{
	struct outcome o;
	struct fix f;
	char *invite;

	(void)state;
	fix_open(&f);
	start(&f, &o, "INVITE");
	pass(&f.w, 10);
	invite = strdup(f.p.msg[0]);
	peer_forget(&f.p);
	for (int i = 0; i < 3; i++) {
		peer_answers(&f.p, f.port, invite, 486, "t", NULL);
		pass(&f.w, 100);
	}
	assert_int_equal(o.final, 1);
	assert_int_equal(o.code, 486);
	assert_int_equal(f.p.n, 3);
	for (size_t i = 0; i < 3; i++) {
		heard(&f.p, i, "ACK sip:x@h SIP/2.0\r\n");
		assert_non_null(strstr(f.p.msg[i], "To: <sip:x@h>;tag=t\r\n"));
		assert_non_null(strstr(f.p.msg[i], "CSeq: 4 ACK\r\n"));
		assert_non_null(strstr(f.p.msg[i], "Route: <sip:r;lr>\r\n"));
	}
	pass(&f.w, 33000); /* timer D */
	peer_answers(&f.p, f.port, invite, 486, "t", NULL);
	pass(&f.w, 10);
	assert_int_equal(f.p.n, 3);
	free(invite);
	fix_close(&f);
}

static void
accepted_is_told_once_and_strays_are_ended(void **state)
{
	struct outcome o;
	struct fix f;
	char *invite;

	(void)state;
	fix_open(&f);
	start(&f, &o, "INVITE");
	pass(&f.w, 10);
	invite = strdup(f.p.msg[0]);
	peer_forget(&f.p);
	peer_answers(&f.p, f.port, invite, 200, "t", NULL);
	pass(&f.w, 10);
	assert_int_equal(o.final, 1);
	assert_int_equal(o.code, 200);
	assert_int_equal(f.p.n, 0); /* the ACK is the call's */
	/* another branch answers: nobody wants it */
	peer_answers(&f.p, f.port, invite, 200, "other",
	    "Contact: <sip:other@127.0.0.1>\r\n");
	pass(&f.w, 10);
	assert_int_equal(o.final, 1);
	heard(&f.p, 0, "ACK sip:other@127.0.0.1 SIP/2.0\r\n");
	heard(&f.p, 1, "BYE sip:other@127.0.0.1 SIP/2.0\r\n");
	free(invite);
	fix_close(&f);
}

/* How many of the messages heard start so? */
static size_t
count(const struct peer *p, const char *start)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++)
		n += strncmp(p->msg[i], start, strlen(start)) == 0;
	return n;
}

static void
strays_without_end_are_acknowledged_alone(void **state)
{
	struct outcome o;
	struct fix f;
	char *invite, tag[16];
	int k = 0;

	(void)state;
	fix_open(&f);
	start(&f, &o, "INVITE");
	pass(&f.w, 10);
	invite = strdup(f.p.msg[0]);
	peer_forget(&f.p);
	peer_answers(&f.p, f.port, invite, 200, "t", NULL);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < SIPC_STRAYS_MAX + 10; i++) {
			(void)snprintf(tag, sizeof(tag), "f%d", k++);
			peer_answers(&f.p, f.port, invite, 200, tag,
			    "Contact: <sip:f@127.0.0.1>\r\n");
		}
		pass(&f.w, 10);
		assert_int_equal(count(&f.p, "ACK "), SIPC_STRAYS_MAX + 10);
		assert_int_equal(count(&f.p, "BYE "), SIPC_STRAYS_MAX);
		assert_int_equal(f.s->num_strays, SIPC_STRAYS_MAX);
		/* the forks answer: there is room again */
		for (size_t i = 0; i < f.p.n; i++) {
			if (strncmp(f.p.msg[i], "BYE ", 4) == 0)
				peer_answers(
				    &f.p, f.port, f.p.msg[i], 200, NULL, NULL);
		}
		pass(&f.w, 1);
		assert_int_equal(f.s->num_strays, 0);
		peer_forget(&f.p);
	}
	free(invite);
	fix_close(&f);
}

static void
cancel_waits_for_a_provisional_answer(void **state)
{
	struct outcome o;
	struct fix f;

	(void)state;
	fix_open(&f);
	start(&f, &o, "INVITE");
	pass(&f.w, 10);
	assert_int_equal(sip_ctxn_cancel(o.x, ""), E_SIP_STATE);
	peer_answers(&f.p, f.port, f.p.msg[0], 100, NULL, NULL);
	pass(&f.w, 10);
	assert_int_equal(sip_ctxn_cancel(o.x, ""), 0);
	pass(&f.w, 10);
	heard(&f.p, 1, "CANCEL sip:x@h SIP/2.0\r\n");
	assert_non_null(strstr(f.p.msg[1], "CSeq: 4 CANCEL\r\n"));
	peer_answers(&f.p, f.port, f.p.msg[1], 200, "t", NULL);
	/* no answer to the INVITE: RFC 3261 9.1 */
	pass(&f.w, 32000);
	assert_int_equal(o.failed, 1);
	assert_int_equal(f.p.n, 2);
	fix_close(&f);
}

static void
answers_of_others_are_ignored(void **state)
{
	struct outcome o;
	struct fix f;
	char *req, *at;

	(void)state;
	fix_open(&f);
	start(&f, &o, "OPTIONS");
	pass(&f.w, 10);
	req = strdup(f.p.msg[0]);
	at = strstr(req, "branch=z9hG4bK");
	at[16] ^= 1; /* a guess */
	peer_answers(&f.p, f.port, req, 200, "t", NULL);
	pass(&f.w, 10);
	assert_int_equal(o.final, 0);
	free(req);
	sip_ctxn_stop(&o.x);
	fix_close(&f);
}

static void
repeated_request_gets_the_same_answer_and_is_served_once(void **state)
{
	struct fix f;
	char *req;

	(void)state;
	fix_open(&f);
	req = peer_request(&f.p, "MESSAGE", "m", "c", "", "");
	for (int i = 0; i < 3; i++) {
		peer_says(&f.p, f.port, req);
		pass(&f.w, 100);
	}
	assert_int_equal(f.asked, 1);
	assert_int_equal(f.p.n, 3);
	heard(&f.p, 0, "SIP/2.0 200 OK\r\n");
	assert_string_equal(f.p.msg[0], f.p.msg[1]);
	assert_string_equal(f.p.msg[0], f.p.msg[2]);
	pass(&f.w, 33000); /* timer J: forgotten */
	peer_says(&f.p, f.port, req);
	pass(&f.w, 100);
	assert_int_equal(f.asked, 2);
	free(req);
	fix_close(&f);
}

static void
peers_with_the_same_branch_are_told_apart(void **state)
{
	struct peer other;
	struct fix f;
	char *req;

	(void)state;
	fix_open(&f);
	peer_open(&other, &f.w, "127.0.0.1");
	req = peer_request(&f.p, "LATER", "same", "c", "", "");
	for (int i = 0; i < 2; i++) {
		peer_says(&f.p, f.port, req);
		pass(&f.w, 10);
		peer_says(&other, f.port, req);
		pass(&f.w, 10);
		assert_int_equal(f.asked, 2); /* one each, and no copy */
	}
	free(req);
	peer_close(&other);
	fix_close(&f);
}

static void
refused_invite_is_repeated_by_timer_g_until_its_ack(void **state)
{
	static const int want[] = { 0, 500, 1500, 3500, 7500, 11500, -1 };
	struct fix f;
	char *req, *ack;

	(void)state;
	fix_open(&f); /* no on_call: 480 */
	req = peer_request(&f.p, "INVITE", "i", "c", "", "");
	peer_says(&f.p, f.port, req);
	pass(&f.w, 12000);
	heard(&f.p, 0, "SIP/2.0 480 ");
	times_are(&f.p, want);
	/* cancelled too late: it did come */
	ack = peer_request(&f.p, "CANCEL", "i", "c", "", "");
	peer_says(&f.p, f.port, ack);
	free(ack);
	pass(&f.w, 1);
	heard(&f.p, f.p.n - 1, "SIP/2.0 200 ");
	free(f.p.msg[--f.p.n]);
	ack = peer_request(&f.p, "ACK", "i", "c", "t", "");
	peer_says(&f.p, f.port, ack);
	pass(&f.w, 30000);
	times_are(&f.p, want);
	free(req);
	free(ack);
	fix_close(&f);
}

static void
bad_requests_get_their_code(void **state)
{
	static const struct {
		const char *why, *method, *branch, *tag, *more, *want;
	} v[] = {
		{ "unknown method", "FOO", "a1", "", "", "SIP/2.0 501 " },
		{ "known, not ours", "PUBLISH", "a2", "", "", "SIP/2.0 405 " },
		{ "no such dialog", "BYE", "a3", "nix", "", "SIP/2.0 481 " },
		{ "extension", "OPTIONS", "a4", "", "Require: y, timer, x\r\n",
		    "SIP/2.0 420 " },
		{ "options", "OPTIONS", "a5", "", "", "SIP/2.0 200 " },
		{ "not SDP", "INVITE", "a6", "",
		    "Content-Type: text/plain\r\nContent-Length: 1\r\n\r\nx",
		    "SIP/2.0 415 " },
		{ "nothing to cancel", "CANCEL", "a7", "", "", "SIP/2.0 481 " },
		{ "short session", "INVITE", "a8", "",
		    "Session-Expires: 30\r\n", "SIP/2.0 422 " },
	};
	struct fix f;

	(void)state;
	fix_open(&f);
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		char *req = peer_request(&f.p, v[i].method, v[i].branch,
		    v[i].branch, v[i].tag, v[i].more);

		peer_forget(&f.p);
		peer_says(&f.p, f.port, req);
		pass(&f.w, 1);
		heard(&f.p, 0, v[i].want);
		if (strncmp(v[i].want, "SIP/2.0 420", 11) == 0) {
			assert_non_null(
			    strstr(f.p.msg[0], "Unsupported: y\r\n"));
			assert_non_null(
			    strstr(f.p.msg[0], "Unsupported: x\r\n"));
		}
		free(req);
	}
	fix_close(&f);
}

static void
strangers_on_udp_hear_nothing(void **state)
{
	struct sip_stack_stats st;
	struct peer other;
	struct fix f;
	char *req;

	(void)state;
	fix_open(&f);
	peer_open(&other, &f.w, "127.0.0.2");
	req = peer_request(&other, "OPTIONS", "s", "c", "", "");
	peer_says(&other, f.port, req);
	pass(&f.w, 1000);
	assert_int_equal(other.n, 0);
	sip_stack_get_stats(f.s, &st);
	assert_int_equal(st.refused, 1);
	assert_int_equal(st.flows, 0); /* nothing was made for him */
	free(req);
	peer_close(&other);
	fix_close(&f);
}

/* Peers on loopback, with a watch each unless `w` is NULL. */
static void
peers_make(struct fix *f, const char *ip, struct sip_watch *w, size_t n)
{
	struct sip_flow *flow;
	struct addr a;

	for (size_t i = 0; i < n; i++) {
		assert_int_equal(
		    addr_parse(&a, slice_of(ip), (uint16_t)(1000 + i)), 0);
		assert_int_equal(
		    sip_flow_udp(&flow, f->s, LIST_FIRST(&f->s->socks), &a), 0);
		if (w != NULL)
			sip_watch_set(&w[i], flow, NULL, NULL);
	}
}

static void
room_for_peers_is_made_from_the_silent_ones(void **state)
{
	struct sip_watch w[SIPC_PEERS_MAX] = { { .flow = NULL } };
	struct sip_sock *k;
	struct sip_flow *flow;
	struct peer other;
	unsigned int idle;
	struct fix f;
	char *req;

	(void)state;
	fix_open(&f);
	k = LIST_FIRST(&f.s->socks);
	peer_open(&other, &f.w, "127.0.0.1");
	/* those with a call or registration do not count */
	peers_make(&f, "127.0.0.3", w, SIPC_PEERS_MAX);
	assert_int_equal(f.s->num_idle, 0);
	assert_int_equal(sip_flow_udp(&flow, f.s, k, &f.p.at), 0);
	assert_int_equal(sip_flow_udp(&flow, f.s, k, &other.at), 0);
	peers_make(&f, "127.0.0.4", NULL, SIPC_PEERS_MAX - 2);
	assert_int_equal(f.s->num_idle, SIPC_PEERS_MAX);
	/* the older one speaks; its answer goes where it came from */
	req = peer_request(&f.p, "OPTIONS", "o1", "o1", "", "");
	peer_says(&f.p, f.port, req);
	free(req);
	pass(&f.w, 1);
	peers_make(&f, "127.0.0.4", NULL, SIPC_PEERS_MAX - 1); /* one more */
	assert_int_equal(f.s->num_idle, SIPC_PEERS_MAX);
	assert_non_null(sip_flow_find_udp(f.s, k, &f.p.at));
	assert_null(sip_flow_find_udp(f.s, k, &other.at));
	/* an answer that goes elsewhere does not cost the peer who asked */
	req = peer_request(&other, "OPTIONS", "o2", "o2", "", "");
	peer_says(&f.p, f.port, req);
	free(req);
	pass(&f.w, 1);
	heard(&other, 0, "SIP/2.0 200 ");
	assert_non_null(sip_flow_find_udp(f.s, k, &f.p.at));
	/* whose watch ends is one of the silent ones; closing ends both */
	idle = f.s->num_idle;
	sip_watch_clear(&w[0]);
	assert_int_equal(f.s->num_idle, idle + 1);
	sip_flow_close(w[1].flow, 0);
	assert_null(w[1].flow);
	assert_int_equal(f.s->num_idle, idle + 1);
	/* a crowd whose calls ended makes way at once */
	for (size_t i = 2; i < SIPC_PEERS_MAX; i++)
		sip_watch_clear(&w[i]);
	assert_int_equal(f.s->num_idle, idle + SIPC_PEERS_MAX - 1);
	peers_make(&f, "127.0.0.5", NULL, 1);
	assert_int_equal(f.s->num_idle, SIPC_PEERS_MAX);
	peer_close(&other);
	fix_close(&f);
}

static int
stack_once(void *arg)
{
	struct world *w = arg;
	struct sip_stack_conf c = {
		.loop = w->loop, .tls = w->tls, .dns = w->dns
	};
	struct sip_stack *s = NULL;
	int err = sip_stack_new(&s, &c);

	assert_true((err == 0) == (s != NULL));
	sip_stack_free(s);
	return err;
}

static void
making_a_stack_survives_lack_of_memory(void **state)
{
	struct world w;

	(void)state;
	world_open(&w);
	assert_true(oom_each(stack_once, &w) > 3);
	world_close(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(invite_is_repeated_by_timer_a_until_timer_b),
		cmocka_unit_test(others_are_repeated_by_timer_e_until_timer_f),
		cmocka_unit_test(provisional_answer_stops_timers_a_and_b),
		cmocka_unit_test(
		    refusal_is_acknowledged_each_time_and_told_once),
		cmocka_unit_test(accepted_is_told_once_and_strays_are_ended),
		cmocka_unit_test(strays_without_end_are_acknowledged_alone),
		cmocka_unit_test(cancel_waits_for_a_provisional_answer),
		cmocka_unit_test(answers_of_others_are_ignored),
		cmocka_unit_test(
		    repeated_request_gets_the_same_answer_and_is_served_once),
		cmocka_unit_test(peers_with_the_same_branch_are_told_apart),
		cmocka_unit_test(
		    refused_invite_is_repeated_by_timer_g_until_its_ack),
		cmocka_unit_test(bad_requests_get_their_code),
		cmocka_unit_test(strangers_on_udp_hear_nothing),
		cmocka_unit_test(room_for_peers_is_made_from_the_silent_ones),
		cmocka_unit_test(making_a_stack_survives_lack_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
