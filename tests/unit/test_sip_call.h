/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_TESTS_TEST_SIP_CALL_H
#define BELLBIRD_TESTS_TEST_SIP_CALL_H

/* Two parties on loopback that note what happens to their call.  Include
 * after test_sip_tls.h. */

enum { EVENTS_MAX = 16, KIDS_MAX = 8 };

struct event {
	enum sip_call_event ev;
	int code, err;
	bool by_peer, refresh, offer, agreed, elsewhere;
	unsigned int early;
	int cause, q850;
	char sdp[32];
	char reason[96];
};

/* What a party does with a call besides noting events. */
enum habit { NOTE, FREE_IT, FREE_STACK, HANG_UP };

struct party {
	struct sip_stack *s;
	uint16_t ports[SIPC_TRANSPORTS];
	struct sip_call *call;
	struct event e[EVENTS_MAX];
	size_t n;
	unsigned int incoming;
	int answer;     /* at once with this; 0: later */
	int offer_code; /* SIP_CALL_OFFER: 200, else refuse; 0: later */
	enum habit habit;
	enum sip_call_event on; /* .. at this event */
};

struct fix {
	struct world w;
	struct tls_dirs d;
	struct party a, b;
	struct peer p;
};

static UNUSED void
on_call_event(const struct sip_call_info *info, void *arg)
{
	struct party *p = arg;
	struct event *e;

	assert_true(p->n < EVENTS_MAX);
	e = &p->e[p->n++];
	e->ev = info->event;
	e->code = info->code;
	e->err = info->err;
	e->by_peer = info->by_peer;
	e->refresh = info->refresh;
	e->early = info->early;
	e->offer = info->offer;
	e->agreed = info->agreed;
	e->cause = info->cause;
	e->q850 = info->q850;
	e->elsewhere = info->elsewhere;
	assert_non_null(info->reason);
	ignore_err(str_copy(e->reason, sizeof(e->reason), info->reason), "cut");
	ignore_err(str_copy_slice(e->sdp, sizeof(e->sdp), info->sdp), "cut");
	if (info->event == SIP_CALL_ENDED)
		assert_null(p->call);
	if (p->habit != NOTE && p->on == info->event) {
		if (p->habit == FREE_IT)
			sip_call_free(&p->call);
		else if (p->habit == HANG_UP)
			sip_call_hangup(p->call, 0);
		else {
			sip_stack_free(p->s);
			p->s = NULL;
		}
		return;
	}
	if (info->event != SIP_CALL_OFFER || p->offer_code == 0)
		return;
	if (p->offer_code == 200)
		assert_int_equal(
		    sip_call_accept(p->call, slice_of("re-answer")), 0);
	else
		sip_call_reject(p->call, p->offer_code);
}

static UNUSED void
on_call(struct sip_call *call, void *arg)
{
	struct party *p = arg;

	p->incoming++;
	if (p->call != NULL)
		return; /* nobody takes it: 480 */
	sip_call_own(call, &p->call, on_call_event, p);
	if (p->answer != 0)
		assert_int_equal(
		    sip_call_answer(call, p->answer, NULL,
			slice_of(p->answer == 200 ? "answer" : "")),
		    0);
}

static UNUSED void
party_open(struct party *p, struct world *w)
{
	struct sip_stack_conf c = { .loop = w->loop,
		.tls = w->tls,
		.dns = w->dns,
		.max_calls = KIDS_MAX,
		.on_call = on_call,
		.arg = p };
	struct tls_policy policy;

	memset(p, 0, sizeof(*p));
	assert_int_equal(sip_stack_new(&p->s, &c), 0);
	tls_server_policy(&policy);
	for (int t = 0; t < SIPC_TRANSPORTS; t++)
		p->ports[t] =
		    listen_on(p->s, t, t == SIPC_TLS ? &policy : NULL);
}

static UNUSED void
fix_open(struct fix *f)
{
	memset(f, 0, sizeof(*f));
	world_open_tls(&f->w, &f->d);
	party_open(&f->a, &f->w);
	party_open(&f->b, &f->w);
	allow(f->b.s, "127.0.0.1");
	peer_open(&f->p, &f->w, "127.0.0.1");
}

static UNUSED void
fix_close(struct fix *f)
{
	sip_stack_free(f->a.s);
	sip_stack_free(f->b.s);
	assert_null(f->a.call);
	assert_null(f->b.call);
	peer_close(&f->p);
	world_close_tls(&f->w, &f->d);
}

/* A calls B. */
static UNUSED void
call(struct fix *f, enum sip_transport t, const char *sdp)
{
	char to[80];
	struct sip_call_conf c = { .to = to,
		.sdp = slice_of(sdp),
		.headers = "X-Test: yes\r\n",
		.policy = tls_client_policy };

	(void)snprintf(to, sizeof(to), "sip:b@127.0.0.1:%u;transport=%s",
	    f->b.ports[t], sip_transport_name(t));
	assert_int_equal(
	    sip_call_invite(&f->a.call, f->a.s, &c, on_call_event, &f->a), 0);
	assert_int_equal(f->a.n, 0);
}

/* The `i`-th event of `p` is that. */
static UNUSED void
event_is(const struct party *p, size_t i, enum sip_call_event ev, int code,
    const char *sdp)
{
	if (i >= p->n)
		fail_msg("event %zu did not come", i);
	if (p->e[i].ev != ev || p->e[i].code != code ||
	    (sdp != NULL && strcmp(p->e[i].sdp, sdp) != 0))
		fail_msg("event %zu is %d code %d err %d sdp %s; wanted %d %d",
		    i, p->e[i].ev, p->e[i].code, p->e[i].err, p->e[i].sdp, ev,
		    code);
}

/* Exactly one end, and it is the last event. */
static UNUSED void
ended(const struct party *p, int code, int err, bool by_peer)
{
	const struct event *e = p->e;

	assert_true(p->n > 0);
	e += p->n - 1;
	for (size_t i = 0; i + 1 < p->n; i++)
		assert_int_not_equal(p->e[i].ev, SIP_CALL_ENDED);
	if (e->ev != SIP_CALL_ENDED || e->code != code || e->err != err ||
	    e->by_peer != by_peer)
		fail_msg("last event %d code %d err %d by_peer %d", e->ev,
		    e->code, e->err, e->by_peer);
	assert_null(p->call);
}

/* Nothing is left of the calls of a stack once `ms` have passed. */
static UNUSED void
clean(struct fix *f, struct party *p)
{
	pass(&f->w, 33000);
	assert_true(LIST_EMPTY(&p->s->calls));
	assert_int_equal(p->s->num_calls, 0);
	assert_int_equal(p->s->dlgs.n, 0);
	assert_int_equal(p->s->reqs.n, 0);
	assert_int_equal(p->s->ctxns.n, 0);
	assert_int_equal(p->s->merges.n, 0);
}

/* ---- a bare peer and B ---- */

/* A bare peer calls B; the tag of B's 200 goes to `tag`. */
static UNUSED void
peer_calls(struct fix *f, const char *more, char *tag, size_t size)
{
	char *req = peer_request(&f->p, "INVITE", "i", "bare", "", more);

	peer_says(&f->p, f->b.ports[SIPC_UDP], req);
	free(req);
	pass(&f->w, 10);
	heard(&f->p, 0, "SIP/2.0 200 OK\r\n");
	to_tag_of(f->p.msg[0], tag, size);
}

/* .. and says something in the dialog. */
static UNUSED void
peer_follows(struct fix *f, struct peer *from, const char *method,
    const char *branch, const char *tag)
{
	char *req = peer_request(from, method, branch, "bare", tag, "");

	peer_says(from, f->b.ports[SIPC_UDP], req);
	free(req);
	pass(&f->w, 10);
}

static UNUSED const char sdp_body[] =
    "Content-Type: application/sdp\r\nContent-Length: 5\r\n\r\noffer";

#endif
