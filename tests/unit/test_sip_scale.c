/* SPDX-License-Identifier: ISC */
/* Many transactions and dialogs at once: what a message costs, who gets a
 * place, and what is given back. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <time.h>
#include <cmocka.h>

#include "test_sip.h"

enum { MANY = 10000, ROUNDS = 20, A_ROUND = 200, HELD_MAX = 16 };

struct fix {
	struct world w;
	struct peer p; /* nobody reads what it hears, but where it says so */
	struct sip_stack *s;
	uint16_t port;
	unsigned int asked;
	struct sip_req *held[HELD_MAX];
	size_t num_held;
	struct sip_call *calls[MANY];
	size_t num_calls;
};

static bool
on_req(struct sip_req *req, void *arg)
{
	struct fix *f = arg;

	f->asked++;
	if (strcmp(sip_req_method(req), "LATER") != 0)
		return false;
	if (f->num_held < HELD_MAX)
		f->held[f->num_held++] = req;
	return true;
}

static void
on_event(const struct sip_call_info *info, void *arg)
{
	(void)info;
	(void)arg;
}

static void
on_call(struct sip_call *call, void *arg)
{
	struct fix *f = arg;

	sip_call_own(call, &f->calls[f->num_calls++], on_event, f);
	assert_int_equal(sip_call_answer(call, 200, NULL, slice_of("sdp")), 0);
}

static void
fix_open(struct fix *f, const struct sip_stack_conf *limits)
{
	struct sip_stack_conf c = *limits;

	memset(f, 0, sizeof(*f));
	world_open(&f->w);
	c.loop = f->w.loop;
	c.tls = f->w.tls;
	c.dns = f->w.dns;
	c.on_req = on_req;
	c.on_call = on_call;
	c.arg = f;
	assert_int_equal(sip_stack_new(&f->s, &c), 0);
	f->port = listen_on(f->s, SIPC_UDP, NULL);
	allow(f->s, "127.0.0.0/8");
	peer_open(&f->p, &f->w, "127.0.0.1");
}

static void
fix_close(struct fix *f)
{
	peer_close(&f->p);
	sip_stack_free(f->s);
	world_close(&f->w);
}

/* A datagram of `from`, as if it had just been read. */
static void
comes(struct fix *f, const struct addr *from, const char *text)
{
	struct sip_src src = { NULL, LIST_FIRST(&f->s->socks), *from };
	struct sip_msg *m;

	src.flow = sip_flow_find_udp(f->s, src.sock, from);
	assert_int_equal(sip_msg_parse(&m, slice_of(text)), 0);
	sip_hold(f->s);
	sip_dispatch(f->s, &src, m);
	(void)sip_release(f->s);
}

/* A request of the number `i`; `tag` "" outside of a dialog. */
static void
asks(struct fix *f, const char *method, size_t i, unsigned int cseq,
    const char *tag)
{
	char text[1000], at[ADDR_STR_MAX];

	addr_print(&f->p.at, at);
	(void)snprintf(text, sizeof(text),
	    "%s sip:x@127.0.0.1 SIP/2.0\r\n"
	    "Via: SIP/2.0/UDP %s;branch=z9hG4bK%s.%zu.%u;rport\r\n"
	    "From: <sip:p@127.0.0.1>;tag=p%zu\r\n"
	    "To: <sip:x@127.0.0.1>%s%s\r\nCall-ID: c%zu\r\nCSeq: %u %s\r\n"
	    "Max-Forwards: 70\r\nContact: <sip:p@%s>\r\n"
	    "Content-Length: 0\r\n\r\n",
	    method, at, method, i, cseq, i, tag[0] != '\0' ? ";tag=" : "", tag,
	    i, cseq, method, at);
	comes(f, &f->p.at, text);
}

/* A call that stands. */
static void
calls_in(struct fix *f, size_t i)
{
	asks(f, "INVITE", i, 1, "");
	assert_int_equal(f->num_calls, i + 1);
	asks(f, "ACK", i, 1, f->calls[i]->dlg.local_tag);
	assert_int_equal(f->calls[i]->state, SIP_C_UP);
}

static int64_t
cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* What a message costs with `n` transactions of each kind and `n` dialogs: the
 * least of some rounds, ns. */
static int64_t
cost_with(struct fix *f, size_t n)
{
	static unsigned int cseq = 1, branch;
	int64_t best = INT64_MAX, from;
	size_t i;

	for (i = f->num_calls; i < n; i++) {
		calls_in(f, i);
		asks(f, "LATER", i, 1, "");
		asks(f, "OPTIONS", i, 1, "");
	}
	assert_int_equal(f->s->reqs.n, n);
	assert_int_equal(f->s->dlgs.n, n);
	assert_true(f->s->dones.n >= n);
	for (int r = 0; r < ROUNDS; r++) {
		from = cpu_ns();
		cseq++;
		for (int k = 0; k < A_ROUND; k++) {
			i = n / A_ROUND == 0 ? 0 : (size_t)k * (n / A_ROUND);
			/* new, in a dialog, again, again and unfinished */
			asks(f, "OPTIONS", MANY + branch++, 1, "");
			asks(f, "INFO", i, cseq * A_ROUND + (unsigned int)k,
			    f->calls[i]->dlg.local_tag);
			asks(f, "OPTIONS", i, 1, "");
			asks(f, "LATER", i, 1, "");
		}
		from = cpu_ns() - from;
		if (from < best)
			best = from;
	}
	return best / A_ROUND / 4;
}

static void
cost_of_a_message_does_not_grow(void **state)
{
	static const size_t sizes[] = { 10, 1000, MANY };
	static struct fix f;
	struct sip_stack_conf c = { .max_calls = MANY + 1,
		.max_txns = 2 * MANY,
		.max_txns_peer = 2 * MANY };
	int64_t ns[3];

	(void)state;
	fix_open(&f, &c);
	for (size_t i = 0; i < 3; i++) {
		ns[i] = cost_with(&f, sizes[i]);
		print_message(
		    "%zu: %lld ns a message\n", sizes[i], (long long)ns[i]);
	}
	/* Memory that is no longer in the cache may cost; a list of 10,000
	 * would cost a hundred times as much. */
	assert_true(ns[1] < 4 * ns[0]);
	assert_true(ns[2] < 4 * ns[0]);
	fix_close(&f);
}

static void
unfinished_requests_have_their_places(void **state)
{
	static const struct sip_stack_conf c = { .max_txns = 5,
		.max_txns_peer = 3 };
	struct sip_stack_conf more = { .max_txns = 100, .max_txns_peer = 4 };
	static struct fix f;
	struct peer other;
	char id[16], *req;

	(void)state;
	fix_open(&f, &c);
	peer_open(&other, &f.w, "127.0.0.2");
	calls_in(&f, 0);
	pass(&f.w, 1);
	peer_forget(&f.p);
	/* Finished ones do not count. */
	for (size_t i = 1; i < 20; i++)
		asks(&f, "OPTIONS", i, 1, "");
	pass(&f.w, 1);
	heard(&f.p, f.p.n - 1, "SIP/2.0 200 ");
	peer_forget(&f.p);
	for (size_t i = 1; i < 5; i++)
		asks(&f, "LATER", i, 1, "");
	pass(&f.w, 1);
	assert_int_equal(f.num_held, 3);
	assert_int_equal(f.p.n, 1);
	heard(&f.p, 0, "SIP/2.0 503 ");
	assert_non_null(strstr(f.p.msg[0], "\r\nRetry-After: "));
	/* A copy of it hears the same, with the same tag (RFC 3261 8.2.7). */
	asks(&f, "LATER", 4, 1, "");
	pass(&f.w, 1);
	assert_string_equal(f.p.msg[0], f.p.msg[1]);
	peer_forget(&f.p);
	/* Another address has places of its own, while there are any. */
	for (int i = 0; i < 3; i++) {
		(void)snprintf(id, sizeof(id), "o%d", i);
		req = peer_request(&other, "LATER", id, id, "", "");
		comes(&f, &other.at, req);
		free(req);
	}
	pass(&f.w, 1);
	assert_int_equal(f.num_held, 5);
	assert_int_equal(other.n, 1);
	heard(&other, 0, "SIP/2.0 503 ");
	/* A place that is left can be taken. */
	assert_int_equal(
	    sip_req_reply(f.held[0], 200, NULL, NULL, NULL, slice_of("")), 0);
	asks(&f, "LATER", 6, 1, "");
	assert_int_equal(f.num_held, 6);
	/* Settings change while calls stand. */
	sip_stack_set_limits(f.s, &more);
	asks(&f, "LATER", 7, 1, "");
	asks(&f, "LATER", 8, 1, "");
	assert_int_equal(f.num_held, 7);
	/* A call can end whatever is under way. */
	asks(&f, "BYE", 0, 2, f.calls[0]->dlg.local_tag);
	assert_null(f.calls[0]);
	peer_close(&other);
	fix_close(&f);
}

static void
ring_of_answers_forgets_the_oldest(void **state)
{
	static const struct sip_stack_conf c = { .ring_bytes = 256 * 1024 };
	static struct fix f;
	size_t n = 2000;

	(void)state;
	fix_open(&f, &c);
	for (size_t i = 0; i < n; i++) {
		asks(&f, "NONE", i, 1, "");
		assert_true(f.s->done_bytes <= c.ring_bytes);
	}
	assert_int_equal(f.asked, n);
	assert_in_range(f.s->dones.n, 300, 1000);
	/* The newest are answered from the ring, the oldest again. */
	for (size_t i = n - 300; i < n; i++)
		asks(&f, "NONE", i, 1, "");
	assert_int_equal(f.asked, n);
	asks(&f, "NONE", 0, 1, "");
	assert_int_equal(f.asked, n + 1);
	assert_int_equal(f.s->reqs.n, 0);
	assert_int_equal(f.s->peers.n, 0);
	peer_close(&f.p);
	pass(&f.w, 33000);
	assert_int_equal(f.s->dones.n, 0);
	assert_int_equal(f.s->done_bytes, 0);
	assert_true(TAILQ_EMPTY(&f.s->done_blocks));
	peer_open(&f.p, &f.w, "127.0.0.1");
	fix_close(&f);
}

static void
tables_shrink_after_a_burst(void **state)
{
	struct sip_hnode *v = calloc(MANY, sizeof(*v));
	struct sip_htab t;

	(void)state;
	assert_int_equal(sip_htab_init(&t), 0);
	for (size_t i = 0; i < MANY; i++)
		sip_htab_add(&t, &v[i], i * 7919);
	assert_true(t.cap >= MANY);
	for (size_t i = 0; i < MANY; i++)
		assert_ptr_equal(sip_htab_first(&t, i * 7919), &v[i]);
	for (size_t i = 20; i < MANY; i++)
		sip_htab_del(&t, &v[i]);
	for (size_t i = 20; i < 40; i++)
		sip_htab_add(&t, &v[i], i * 7919);
	assert_true(t.cap <= 1024);
	for (size_t i = 0; i < 40; i++)
		assert_ptr_equal(sip_htab_first(&t, i * 7919), &v[i]);
	assert_null(sip_htab_first(&t, 41 * 7919));
	sip_htab_clear(&t);
	free(v);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cost_of_a_message_does_not_grow),
		cmocka_unit_test(unfinished_requests_have_their_places),
		cmocka_unit_test(ring_of_answers_forgets_the_oldest),
		cmocka_unit_test(tables_shrink_after_a_burst),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
