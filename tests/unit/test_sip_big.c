/* SPDX-License-Identifier: ISC */
/* Requests that are too large for UDP (RFC 3261 18.1.1), and servers that give
 * no sign of life while there is another, in fake time. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "test_sip.h"

struct fix {
	struct world w;
	struct sip_stack *client, *server;
	struct addr at;
	unsigned int asked[SIPC_TRANSPORTS];
	struct sip_ctxn *x;
	unsigned int final, provisional;
	int err, code;
	uint64_t flow, answered_by;
	bool silent;
	int provisional_code;
};

static bool
on_req(struct sip_req *req, void *arg)
{
	struct fix *f = arg;
	const char *via = sip_req_header(req, "via", 0);

	f->asked[strstr(via, "SIP/2.0/TCP") != NULL ? SIPC_TCP : SIPC_UDP]++;
	/* Via names the transport that it came by */
	assert_int_equal(
	    strstr(via, "/TCP") != NULL, req->w.flow->t == SIPC_TCP);
	if (f->silent)
		return true;
	if (f->provisional_code != 0)
		return sip_req_reply(req, f->provisional_code, NULL, NULL, NULL,
			   slice_of("")) == 0;
	assert_int_equal(
	    sip_req_reply(req, 200, NULL, NULL, NULL, slice_of("")), 0);
	return true;
}

static struct sip_stack *
stack(struct fix *f, bool server)
{
	struct sip_stack_conf c = { .loop = f->w.loop,
		.tls = f->w.tls,
		.dns = f->w.dns,
		.on_req = server ? on_req : NULL,
		.arg = f };
	struct sip_stack *s;

	assert_int_equal(sip_stack_new(&s, &c), 0);
	return s;
}

/* A server on UDP and, if `tcp`, on TCP at a port of the same number; what is
 * free in one may be taken in the other, by whoever runs beside us. */
static void
server_open(struct fix *f, bool tcp)
{
	enum { TRIES = 20 };
	struct sip_stack *probe;
	int err = EADDRINUSE;

	for (int i = 0; err == EADDRINUSE && i < TRIES; i++) {
		sip_stack_free(f->server);
		f->server = stack(f, true);
		probe = stack(f, false);
		addr_set_port(&f->at, listen_on(f->server, SIPC_UDP, NULL));
		err = sip_stack_listen(
		    tcp ? f->server : probe, SIPC_TCP, &f->at, NULL);
		sip_stack_free(probe);
	}
	assert_int_equal(err, 0);
}

static void
fix_open(struct fix *f, bool tcp)
{
	memset(f, 0, sizeof(*f));
	world_open(&f->w);
	f->client = stack(f, false);
	assert_int_equal(addr_parse(&f->at, slice_of("127.0.0.1"), 0), 0);
	server_open(f, tcp);
	allow(f->server, "any");
}

static void
fix_close(struct fix *f)
{
	sip_ctxn_stop(&f->x);
	sip_stack_free(f->client);
	sip_stack_free(f->server);
	world_close(&f->w);
}

static void
on_answer(struct sip_msg **rsp, int err, void *arg)
{
	struct fix *f = arg;

	f->err = err;
	f->code = *rsp != NULL ? (*rsp)->code : 0;
	f->answered_by = *rsp != NULL ? (*rsp)->flow : 0;
	if (f->code >= 100 && f->code < 200)
		f->provisional++;
	else
		f->final++;
}

/* Sends a MESSAGE of exactly `n` bytes over UDP. */
static void
ask(struct fix *f, size_t n, int64_t limit_us)
{
	static char body[4000];
	char branch[SIPC_BRANCH_LEN + 1], at[ADDR_STR_MAX];
	struct sip_ctxn_conf c = { .method = "MESSAGE",
		.branch = branch,
		.limit_us = limit_us,
		.cb = on_answer,
		.arg = f };
	struct buf b;
	size_t k = 0;

	memset(body, 'x', sizeof(body));
	f->final = 0;
	assert_int_equal(sip_flow_udp(&c.flow, f->client, NULL, &f->at), 0);
	f->flow = c.flow->id;
	sip_branch(branch);
	sip_host_port(&c.flow->local, at);
	buf_init(&b, SIPC_MSG_MAX);
	do {
		buf_clear(&b);
		buf_init(&b, SIPC_MSG_MAX);
		assert_int_equal(
		    buf_printf(&b,
			"MESSAGE sip:x@h SIP/2.0\r\n"
			"Via: SIP/2.0/UDP %s;branch=%s;rport\r\n"
			"Max-Forwards: 70\r\nFrom: <sip:u@h>;tag=f\r\n"
			"To: <sip:x@h>\r\nCall-ID: %s\r\nCSeq: 4 MESSAGE\r\n"
			"Content-Type: text/plain\r\n"
			"Content-Length: %zu\r\n\r\n%.*s",
			at, branch, branch, k, (int)k, body),
		    0);
		k++;
	} while (b.n < n);
	assert_int_equal(b.n, n);
	c.msg = &b;
	assert_int_equal(sip_ctxn_start(&f->x, &c), 0);
	buf_clear(&b);
}

static void
what_is_large_goes_by_tcp(void **state)
{
	struct fix f;

	(void)state;
	fix_open(&f, true);
	ask(&f, 1300, 0);
	pass(&f.w, 100);
	assert_int_equal(f.code, 200);
	assert_int_equal(f.asked[SIPC_UDP], 1);
	ask(&f, 1301, 0);
	pass(&f.w, 100);
	assert_int_equal(f.final, 1);
	assert_int_equal(f.code, 200);
	assert_int_equal(f.asked[SIPC_UDP], 1);
	assert_int_equal(f.asked[SIPC_TCP], 1);
	/* an answer of the account's server, as if by its flow */
	assert_int_equal(f.answered_by, f.flow);
	/* the connection does not stay */
	pass(&f.w, 10 * 1000);
	assert_int_equal(f.client->flow_ids.n, 1);
	fix_close(&f);
}

static void
without_tcp_it_goes_by_udp_after_all(void **state)
{
	struct fix f;

	(void)state;
	fix_open(&f, false);
	ask(&f, 2000, 0);
	pass(&f.w, 100);
	assert_int_equal(f.final, 1);
	assert_int_equal(f.code, 200);
	assert_int_equal(f.asked[SIPC_UDP], 1);
	/* TCP is not tried each time */
	ask(&f, 2000, 0);
	assert_int_equal(f.client->flow_ids.n, 1);
	pass(&f.w, 100);
	assert_int_equal(f.asked[SIPC_UDP], 2);
	/* but again some time later, when it is there */
	assert_int_equal(sip_stack_listen(f.server, SIPC_TCP, &f.at, NULL), 0);
	pass(&f.w, 6000);
	ask(&f, 2000, 0);
	pass(&f.w, 100);
	assert_int_equal(f.asked[SIPC_TCP], 1);
	fix_close(&f);
}

static void
a_request_may_be_stopped_while_tcp_connects(void **state)
{
	struct fix f;

	(void)state;
	fix_open(&f, true);
	ask(&f, 2000, 0);
	sip_ctxn_stop(&f.x);
	assert_null(f.x);
	pass(&f.w, 10 * 1000);
	assert_int_equal(f.final, 0);
	assert_int_equal(f.asked[SIPC_TCP], 0);
	assert_int_equal(f.client->flow_ids.n, 1);
	fix_close(&f);
}

static void
a_short_limit_is_for_those_who_say_nothing(void **state)
{
	struct fix f;

	(void)state;
	fix_open(&f, true);
	f.silent = true;
	ask(&f, 600, SIPC_TRY_S * SIPC_S);
	pass(&f.w, 4900);
	assert_int_equal(f.final, 0);
	pass(&f.w, 200);
	assert_int_equal(f.final, 1);
	assert_int_equal(f.err, ETIMEDOUT);
	/* who is heard may take all the time of the RFC */
	f.silent = false;
	f.provisional_code = 183;
	ask(&f, 600, SIPC_TRY_S * SIPC_S);
	pass(&f.w, 20 * 1000);
	assert_true(f.provisional > 0);
	assert_int_equal(f.final, 0);
	pass(&f.w, 20 * 1000);
	assert_int_equal(f.final, 1);
	assert_int_equal(f.err, ETIMEDOUT);
	fix_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_large_goes_by_tcp),
		cmocka_unit_test(without_tcp_it_goes_by_udp_after_all),
		cmocka_unit_test(a_request_may_be_stopped_while_tcp_connects),
		cmocka_unit_test(a_short_limit_is_for_those_who_say_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
