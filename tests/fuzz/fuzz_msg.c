/* SPDX-License-Identifier: ISC */
/*
 * Messages and the state they meet: an endpoint with an account, listeners and
 * calls, to which a peer may say anything, in any order, at any time.
 *
 * The input is a list of steps, with \x1e between them.  The first byte of a
 * step says what it is (steps[] below), the rest is a message, a number.. In
 * messages \x01 stands for our tag, \x02 for the branch, \x03 for the Call-ID
 * and \x04 for the CSeq number of what we sent last: otherwise no fuzzer would
 * find into a dialog.
 */
#include "bellbird/clock.h"
#include "bellbird/log.h"
#include "bellbird/loop.h"
#include "../../sipcore/internal.h"
#include "fuzz.h"
#include "seam.h"

enum { STEPS_MAX = 40, CALLS_MAX = 4 };

struct world {
	struct loop *loop;
	struct sip_stack *s;
	struct sip_reg *reg;
	struct sip_call *calls[CALLS_MAX];
	struct tls_conn *c; /* of a client, or NULL */
	struct addr near, far;
	unsigned int habits; /* what the owner of a call does at once */
};

/* Of what was sent last. */
static char tag[256], branch[256], call_id[256], cseq[16];

/* Keeps a part, if there is one that fits. */
static void
keep(char *dst, size_t size, struct slice s)
{
	char copy[256];

	assert(size <= sizeof(copy));
	if (s.n > 0 && str_copy_slice(copy, size, s) == 0)
		memcpy(dst, copy, size);
}

/* What we send is one message, and sound: no bytes of the peer's have become
 * lines of ours. */
static void
on_out(struct slice out)
{
	struct sip_fault bad = { .why = NULL };
	struct sip_msg *m;
	size_t n = 0;

	if (out.n <= 4) {
		/* Pings and pongs. */
		assert(out.n == 0 || out.n % 2 == 0);
		return;
	}
	/* A keep-alive by STUN (RFC 8489 5: the first two bits are 0). */
	if (out.n >= 20 && ((uint8_t)out.p[0] & 0xc0) == 0 &&
	    memcmp(out.p + 4, "\x21\x12\xa4\x42", 4) == 0)
		return;
	if (sip_frame_datagram(out, &n, &bad) != 0) {
		/* What was too much in a request is so in its answer. */
		if (memcmp(out.p, "SIP/2.0 ", 8) == 0 &&
		    strstr(bad.why, "too ") != NULL)
			return;
		fprintf(stderr, "%s: %.*s\n", bad.why, (int)out.n, out.p);
		abort();
	}
	assert(n == out.n);
	/* An answer gives back what was wrong with its request. */
	if (sip_msg_parse(&m, out) != 0)
		return;
	keep(tag, sizeof(tag), m->is_req ? m->from_tag : m->to_tag);
	keep(call_id, sizeof(call_id), slice_of(m->call_id));
	if (m->is_req)
		keep(branch, sizeof(branch), m->branch);
	(void)snprintf(cseq, sizeof(cseq), "%u", m->cseq);
	sip_msg_free(m);
}

/* Puts what the marks stand for into a message. */
static void
expand(struct buf *b, struct slice in)
{
	static const char *const parts[] = { tag, branch, call_id, cseq };

	buf_init(b, 256 * 1024);
	for (size_t i = 0; i < in.n; i++) {
		uint8_t c = (uint8_t)in.p[i];

		if (c >= 1 && c <= 4)
			(void)!buf_puts(b, parts[c - 1]);
		else
			(void)!buf_add(b, in.p + i, 1);
	}
}

/* ---- the owner of the calls ---- */

static void
on_call_event(const struct sip_call_info *info, void *arg)
{
	struct sip_call **slot = arg;

	assert(info->reason != NULL);
	assert((info->event == SIP_CALL_ENDED) == (*slot == NULL));
	if (info->event == SIP_CALL_OFFER && info->sdp.n % 3 == 1)
		(void)!sip_call_accept(*slot, slice_of("v=0\r\n"));
	else if (info->event == SIP_CALL_OFFER && info->sdp.n % 3 == 2)
		sip_call_reject(*slot, 488);
	else if (info->event == SIP_CALL_ANSWERED && info->sdp.n % 5 == 3)
		sip_call_free(slot);
}

/* A place for a call; NULL: none. */
static struct sip_call **
slot_free(struct world *w)
{
	for (int i = 0; i < CALLS_MAX; i++) {
		if (w->calls[i] == NULL)
			return &w->calls[i];
	}
	return NULL;
}

static void
on_call(struct sip_call *call, void *arg)
{
	struct world *w = arg;
	struct sip_call **slot = slot_free(w);

	(void)sip_call_header(call, "Alert-Info");
	if (slot == NULL || (w->habits & 3) == 3)
		return;
	sip_call_own(call, slot, on_call_event, slot);
	if ((w->habits & 3) == 1)
		(void)!sip_call_answer(call, 200, NULL, slice_of("v=0\r\n"));
	else if ((w->habits & 3) == 2)
		(void)!sip_call_answer(call, 180, NULL, slice_of(""));
}

static void
on_reg(const struct sip_reg_status *st, void *arg)
{
	(void)arg;
	assert(memchr(st->reason, '\0', sizeof(st->reason)) != NULL);
	assert(sip_clean(st->reason) && sip_clean(st->contact));
}

static bool
on_req(struct sip_req *req, void *arg)
{
	(void)arg;
	(void)sip_req_user(req, "from");
	(void)sip_req_user(req, "contact");
	return false;
}

/* ---- steps ---- */

/* A digit as a number. */
static unsigned int
digit(struct slice in)
{
	return in.n > 0 ? (uint8_t)in.p[0] & 15 : 0;
}

static void
do_udp(struct world *w, struct slice in)
{
	seam_udp_in(in, &w->near);
}

/* From an address that sip.allow does not name. */
static void
do_stranger(struct world *w, struct slice in)
{
	seam_udp_in(in, &w->far);
}

/* .. or a datagram to the account's server that did not arrive. */
static void
do_lost(struct world *w, struct slice in)
{
	struct addr to;

	(void)w;
	if (addr_parse(&to, slice_of("127.0.0.1"),
		(digit(in) & 1) != 0 ? 5060 : 5070) == 0)
		seam_udp_lost(&to);
}

static void
do_stream(struct world *w, struct slice in)
{
	if (w->c == NULL || !seam_conn_lives(w->c))
		w->c = seam_accept(&w->near);
	if (w->c != NULL)
		seam_conn_in(w->c, in);
}

static void
do_close(struct world *w, struct slice in)
{
	(void)in;
	if (w->c != NULL && seam_conn_lives(w->c))
		seam_conn_end(w->c);
	w->c = NULL;
}

/* On a connection that we made. */
static void
do_dialed(struct world *w, struct slice in)
{
	struct tls_conn *c = seam_dialed();

	(void)w;
	if (c != NULL && in.n > 0)
		seam_conn_in(c, in);
	else if (c != NULL)
		seam_conn_end(c);
}

static void
do_time(struct world *w, struct slice in)
{
	static const int64_t ms[] = { 0, 1, 10, 200, 500, 1000, 4000, 10000,
		32000, 64000, 120000, 300000, 900000, 1800000, 3600000,
		7200000 };

	loop_fake_run(w->loop, ms[digit(in)] * 1000);
}

static void
do_answer(struct world *w, struct slice in)
{
	static const int codes[] = { 200, 180, 183, 486, 603, 302, 100, 199 };
	unsigned int d = digit(in);

	if (w->calls[d & 1] != NULL)
		(void)!sip_call_answer(w->calls[d & 1], codes[d >> 1], NULL,
		    slice_of(d >> 1 != 1 ? "v=0\r\n" : ""));
}

static void
do_end(struct world *w, struct slice in)
{
	unsigned int d = digit(in);

	if (w->calls[d & 1] == NULL)
		return;
	if ((d & 2) != 0)
		sip_call_free(&w->calls[d & 1]);
	else
		sip_call_hangup(w->calls[d & 1], 0);
}

static void
do_again(struct world *w, struct slice in)
{
	unsigned int d = digit(in);

	if (w->calls[d & 1] == NULL)
		return;
	if ((d & 2) != 0)
		(void)!sip_call_ack(w->calls[d & 1], slice_of("v=0\r\n"));
	else
		(void)!sip_call_reinvite(
		    w->calls[d & 1], slice_of((d & 4) != 0 ? "v=1\r\n" : ""));
}

/* Calls, by what is said, or by the account. */
static void
do_call(struct world *w, struct slice in)
{
	struct sip_call **slot = slot_free(w);
	struct sip_call_conf c = { .sdp = slice_of("v=0\r\n") };
	char *to;

	if (slot == NULL || in.n < 2 || in.n > 1024)
		return;
	if ((to = slice_dup((struct slice){ in.p + 1, in.n - 1 })) == NULL)
		return;
	c.to = to;
	if ((in.p[0] & 1) != 0)
		c.reg = w->reg;
	if ((in.p[0] & 2) != 0)
		c.sdp = slice_of("");
	(void)!sip_call_invite(slot, w->s, &c, on_call_event, slot);
	free(to);
}

/* An account, over UDP or TCP. */
static void
do_register(struct world *w, struct slice in)
{
	struct sip_reg_conf c = { .user = "u",
		.domain = "127.0.0.1",
		.password = "secret",
		.transport = (digit(in) & 1) != 0 ? SIPC_TCP : SIPC_UDP,
		.allow_md5 = true,
		.expires_s = 3600 };

	if (w->reg != NULL && (digit(in) & 2) != 0)
		sip_reg_unregister(w->reg);
	else if (w->reg != NULL)
		sip_reg_stop(&w->reg);
	else
		(void)!sip_reg_start(&w->reg, w->s, &c, on_reg, w);
}

static void
do_habits(struct world *w, struct slice in)
{
	w->habits = digit(in);
}

static const struct {
	char name;
	bool text; /* its bytes are a message */
	void (*run)(struct world *w, struct slice in);
} steps[] = {
	{ 'u', true, do_udp },
	{ 'x', true, do_stranger },
	{ 'l', false, do_lost },
	{ 's', true, do_stream },
	{ 'd', true, do_dialed },
	{ 'c', false, do_close },
	{ 't', false, do_time },
	{ 'a', false, do_answer },
	{ 'e', false, do_end },
	{ 'r', false, do_again },
	{ 'C', true, do_call },
	{ 'R', false, do_register },
	{ 'h', false, do_habits },
};

/* One step. */
static void
step(struct world *w, struct slice in)
{
	struct buf b;

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		if (steps[i].name != in.p[0])
			continue;
		in = (struct slice){ in.p + 1, in.n - 1 };
		if (!steps[i].text) {
			steps[i].run(w, in);
			break;
		}
		expand(&b, in);
		if (b.err == 0)
			steps[i].run(w, (struct slice){ buf_str(&b), b.n });
		buf_clear(&b);
		break;
	}
	/* What is due now. */
	loop_fake_run(w->loop, 0);
}

/* The endpoint as it is before anybody says anything. */
static int
world_open(struct world *w)
{
	struct sip_stack_conf c = { .on_call = on_call,
		.on_req = on_req,
		.max_calls = CALLS_MAX,
		.arg = w };
	struct addr local;
	char why[100];

	memset(w, 0, sizeof(*w));
	log_set_level(LOGL_ERR);
	clock_fake(1800000000);
	if (loop_new(&w->loop) != 0)
		return -1;
	seam_open(w->loop, on_out);
	c.loop = w->loop;
	tag[0] = branch[0] = call_id[0] = '\0';
	(void)snprintf(cseq, sizeof(cseq), "1");
	w->habits = 1;
	if (sip_stack_new(&w->s, &c) != 0 ||
	    addr_parse(&local, slice_of("127.0.0.1"), 5060) != 0 ||
	    addr_parse(&w->near, slice_of("127.0.0.1"), 5070) != 0 ||
	    addr_parse(&w->far, slice_of("192.0.2.1"), 5060) != 0 ||
	    sip_stack_listen(w->s, SIPC_UDP, &local, NULL) != 0 ||
	    sip_stack_listen(w->s, SIPC_TCP, &local, NULL) != 0 ||
	    sip_stack_set_allow(w->s, "127.0.0.1", why, sizeof(why)) != 0)
		return -1;
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = { (const char *)data, size }, one;
	struct world w;
	int n = 0;

	if (world_open(&w) != 0)
		abort();
	while (rest.n > 0 && n++ < STEPS_MAX) {
		(void)slice_cut(rest, '\x1e', &one, &rest);
		if (one.n > 0)
			step(&w, one);
	}
	if (n % 2 == 0) {
		/* All by itself, too: nothing stays for ever. */
		for (int i = 0; i < CALLS_MAX; i++)
			sip_call_free(&w.calls[i]);
		loop_fake_run(w.loop, 200 * SIPC_S);
		assert(w.s->reqs.n == 0);
		assert(w.s->dlgs.n == 0);
	}
	sip_stack_free(w.s);
	assert(w.reg == NULL);
	for (int i = 0; i < CALLS_MAX; i++)
		assert(w.calls[i] == NULL);
	seam_close();
	loop_free(w.loop);
	clock_real();
	return 0;
}
