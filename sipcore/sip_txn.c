/* SPDX-License-Identifier: ISC */
/* Client transactions: RFC 3261 17.1 with the Accepted state of RFC 6026,
 * found by hash, timed by the loop. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bellbird/log.h"
#include "internal.h"

enum ctxn_state {
	X_TRYING,     /* Calling, Trying */
	X_PROCEEDING, /* a provisional answer came */
	X_COMPLETED,  /* INVITE refused: its ACK may be asked for again */
	X_ACCEPTED    /* INVITE: 2xx may come again, also of other branches */
};

struct sip_ctxn {
	struct sip_hnode node;
	LIST_ENTRY(sip_ctxn) link;
	struct sip_stack *s;
	struct sip_ctxn **slot; /* NULL: nobody cares (any more) */
	sip_ctxn_cb *cb;
	void *arg;
	struct sip_watch w;
	/* A request too large for UDP goes by TCP (RFC 3261 18.1.1); this is
	 * the flow it was meant for, whose id its answers carry. */
	struct sip_watch udp;
	uint64_t udp_id;
	bool connecting; /* to do so */
	enum ctxn_state state;
	bool invite, cancelled;
	bool hurried;  /* `limit` is shorter than timer B or F */
	int limit_err; /* what it means; 0: ETIMEDOUT */
	char method[16];
	char branch[SIPC_BRANCH_LEN + 1];
	struct buf msg; /* the request; in X_COMPLETED its ACK */
	int64_t interval_us;
	struct timer again; /* A, E */
	struct timer limit; /* B, F, D, M */
};

static sip_watch_cb on_flow;

static const char *const states[] = { "trying", "proceeding", "completed",
	"accepted" };

/* Changes the state. */
static void
x_enter(struct sip_ctxn *x, enum ctxn_state st)
{
	log_debug(LOGC_SIP, 0, "client %s %s -> %s", x->method,
	    states[x->state], states[st]);
	x->state = st;
}

/* The key of a branch and method. */
static uint64_t
x_key(const struct sip_stack *s, struct slice branch, const char *method)
{
	struct slice parts[2] = { branch, slice_of(method) };

	return sip_hash(&s->hkey, parts, 2);
}

void
sip_ctxn_free(struct sip_ctxn *x)
{
	if (x == NULL)
		return;
	if (x->slot != NULL)
		*x->slot = NULL;
	timer_stop(&x->again);
	timer_stop(&x->limit);
	sip_watch_clear(&x->w);
	sip_watch_clear(&x->udp);
	sip_htab_del(&x->s->ctxns, &x->node);
	LIST_REMOVE(x, link);
	buf_clear(&x->msg);
	free(x);
}

void
sip_ctxn_stop(struct sip_ctxn **slot)
{
	sip_ctxn_free(*slot);
	*slot = NULL;
}

void
sip_ctxn_detach(struct sip_ctxn **slot)
{
	struct sip_ctxn *x = *slot;

	if (x == NULL)
		return;
	*slot = NULL;
	x->slot = NULL;
	x->cb = NULL;
}

/* The end without a final answer. */
static void
x_fail(struct sip_ctxn *x, int err)
{
	sip_ctxn_cb *cb = x->cb;
	void *arg = x->arg;
	struct sip_msg *none = NULL;

	log_debug(LOGC_SIP, 0, "client %s failed: %s", x->method, err_str(err));
	sip_ctxn_free(x);
	if (cb != NULL)
		cb(&none, err, arg);
}

/* Timers B and F; D and M. */
static void
on_limit(void *arg)
{
	struct sip_ctxn *x = arg;

	if (x->state == X_COMPLETED || x->state == X_ACCEPTED)
		sip_ctxn_free(x);
	else
		x_fail(x, x->limit_err != 0 ? x->limit_err : ETIMEDOUT);
}

/* Timers A and E (UDP). */
static void
on_again(void *arg)
{
	struct sip_ctxn *x = arg;

	if (x->w.flow != NULL)
		ignore_err(sip_flow_send(x->w.flow, x->msg.p, x->msg.n),
		    "UDP loses, too");
	x->interval_us *= 2;
	/* RFC 3261 17.1.2.2: E stops growing at T2, and is T2 as soon as a
	 * provisional answer came; A doubles until B. */
	if (!x->invite &&
	    (x->interval_us > SIPC_T2 || x->state == X_PROCEEDING))
		x->interval_us = SIPC_T2;
	if (timer_start(
		&x->again, x->s->conf.loop, x->interval_us, on_again, x) != 0)
		x_fail(x, ENOMEM);
}

/* Sends the request for the first time; on UDP it will be repeated. */
static int
x_send(struct sip_ctxn *x)
{
	struct sip_flow *f = x->w.flow;
	int err = 0;

	x->interval_us = SIPC_T1;
	if (!sip_flow_is_reliable(f))
		err = timer_start(
		    &x->again, x->s->conf.loop, SIPC_T1, on_again, x);
	return err != 0 ? err : sip_flow_send(f, x->msg.p, x->msg.n);
}

/* ---- requests too large for UDP ---- */

/* The TCP target that stands in for a UDP flow. */
static struct sip_target
tcp_of(const struct sip_flow *f)
{
	return (struct sip_target){ .t = SIPC_TCP, .a = f->remote };
}

/* Has our Via, which is the first, name the transport really used. */
static int
via_rename(struct buf *msg, const struct sip_flow *f)
{
	static const char via[] = "\r\nVia: SIP/2.0/";
	const char *text = buf_str(msg), *at = strstr(text, via), *end;
	char hp[ADDR_STR_MAX];
	struct buf b;

	if (at == NULL || (end = strchr(at + sizeof(via), ';')) == NULL)
		return E_SIP_PARSE;
	at += sizeof(via) - 1;
	sip_host_port(&f->local, hp);
	buf_init(&b, SIPC_MSG_MAX);
	ignore_err(buf_add(&b, text, (size_t)(at - text)), "sticks in the buf");
	ignore_err(buf_printf(&b, "%s %s", sip_via_proto(f->t), hp),
	    "sticks in the buf");
	ignore_err(buf_add(&b, end, msg->n - (size_t)(end - text)),
	    "sticks in the buf");
	if (b.err != 0) {
		int err = b.err;

		buf_clear(&b);
		return err;
	}
	buf_clear(msg);
	*msg = b;
	return 0;
}

/* TCP is there, or will not be: then UDP after all. */
static void
x_connected(struct sip_ctxn *x, bool up)
{
	struct sip_flow *f = x->udp.flow;
	int err = 0;

	x->connecting = false;
	if (up) {
		err = via_rename(&x->msg, x->w.flow);
	} else if (f == NULL) {
		err = E_CLOSED;
	} else {
		struct sip_target t = tcp_of(f);

		sip_target_bad(x->s, &t, 0);
		sip_watch_set(&x->w, f, on_flow, x);
	}
	if (err == 0)
		err = x_send(x);
	if (err != 0)
		x_fail(x, err);
}

/* Connects by TCP to where `f` leads; false if that is not to be. */
static bool
x_connect(struct sip_ctxn *x, struct sip_flow *f)
{
	struct sip_target t = tcp_of(f);
	char ip[ADDR_STR_MAX];
	struct sip_flow_conf fc = { .t = SIPC_TCP,
		.remote = f->remote,
		.host = ip,
		.limit_us = SIPC_BIG_CONNECT_S * SIPC_S };

	if (sip_target_is_bad(x->s, &t))
		return false;
	addr_print_ip(&f->remote, ip);
	if (sip_flow_connect(x->s, &fc, &x->w, on_flow, x) != 0)
		return false;
	sip_watch_set(&x->udp, f, NULL, NULL);
	x->udp_id = f->id;
	x->connecting = true;
	return true;
}

void
sip_ctxn_unreachable(struct sip_flow *f, int err)
{
	struct sip_watch *w;
	struct sip_ctxn *x;

	LIST_FOREACH (w, &f->watches, link) {
		if (w->cb != on_flow)
			continue;
		x = w->arg;
		/* Who answered is there; only what waits gives up. */
		if (x->state == X_TRYING &&
		    timer_start(&x->limit, x->s->conf.loop, 0, on_limit, x) ==
			0)
			x->limit_err = err;
	}
}

/* sip_watch_cb. */
static void
on_flow(enum sip_watch_ev ev, int err, void *arg)
{
	struct sip_ctxn *x = arg;

	if (x->connecting) {
		x_connected(x, ev == SIP_FLOW_UP);
		return;
	}
	if (ev != SIP_FLOW_DOWN)
		return;
	if (x->state == X_COMPLETED || x->state == X_ACCEPTED)
		sip_ctxn_free(x);
	else
		/* A flow whose pong is missing ends by a time-out, too; to say
		 * that nobody answered would end calls that can go on. */
		x_fail(x, err == ETIMEDOUT ? E_CLOSED : err);
}

int
sip_ctxn_start(struct sip_ctxn **slot, const struct sip_ctxn_conf *conf)
{
	struct sip_stack *s = conf->flow->s;
	struct sip_ctxn *x;
	int err;

	if (conf->msg->err != 0)
		return conf->msg->err;
	if ((x = calloc(1, sizeof(*x))) == NULL)
		return ENOMEM;
	x->s = s;
	x->invite = strcmp(conf->method, "INVITE") == 0;
	ignore_err(str_copy(x->method, sizeof(x->method), conf->method),
	    "only our own methods");
	ignore_err(str_copy(x->branch, sizeof(x->branch), conf->branch),
	    "our own branch");
	buf_init(&x->msg, 0);
	LIST_INSERT_HEAD(&s->all_ctxns, x, link);
	sip_htab_add(
	    &s->ctxns, &x->node, x_key(s, slice_of(x->branch), x->method));
	x->hurried = conf->limit_us > 0 && conf->limit_us < SIPC_T1X64;
	err = timer_start(&x->limit, s->conf.loop,
	    x->hurried ? conf->limit_us : SIPC_T1X64, on_limit, x);
	x->msg = *conf->msg; /* borrowed until it succeeds */
	if (err == 0 &&
	    (sip_flow_is_reliable(conf->flow) || x->msg.n <= SIPC_UDP_MAX ||
		!x_connect(x, conf->flow))) {
		sip_watch_set(&x->w, conf->flow, on_flow, x);
		err = x_send(x);
	}
	if (err != 0) {
		buf_init(&x->msg, 0);
		sip_ctxn_free(x);
		return err;
	}
	buf_init(conf->msg, 0);
	x->cb = conf->cb;
	x->arg = conf->arg;
	x->slot = slot;
	if (slot != NULL)
		*slot = x;
	return 0;
}

/* Is it a field that ACK and CANCEL take over from their INVITE? */
static bool
is_copied(struct slice name, const char *to)
{
	return slice_case_is(name, "route") || slice_case_is(name, "from") ||
	    slice_case_is(name, "call-id") ||
	    slice_case_is(name, "max-forwards") || slice_case_is(name, "via") ||
	    (to == NULL && slice_case_is(name, "to"));
}

/* Makes the ACK or CANCEL that belongs to `invite` (RFC 3261 17.1.1.3, 9.1);
 * `to` replaces the To value, `headers` are added. */
static void
derive(struct buf *b, const struct buf *invite, const char *method,
    const char *to, const char *headers)
{
	struct slice rest = { (const char *)invite->p, invite->n }, line, name,
		     value, num;

	if (!slice_line(&rest, &line) || !slice_cut(line, ' ', &name, &value))
		return;
	ignore_err(
	    buf_printf(b, "%s " SLICE_FMT "\r\n", method, SLICE_ARG(value)),
	    "sticks in the buf");
	while (slice_line(&rest, &line) && line.n > 0) {
		(void)slice_cut(line, ':', &name, &value);
		if (slice_case_is(name, "cseq")) {
			(void)slice_cut(slice_trim(value), ' ', &num, &value);
			ignore_err(buf_printf(b, "CSeq: " SLICE_FMT " %s\r\n",
				       SLICE_ARG(num), method),
			    "sticks in the buf");
		} else if (is_copied(name, to)) {
			ignore_err(
			    buf_printf(b, SLICE_FMT "\r\n", SLICE_ARG(line)),
			    "sticks in the buf");
		}
	}
	if (to != NULL)
		ignore_err(
		    buf_printf(b, "To: %s\r\n", to), "sticks in the buf");
	ignore_err(buf_puts(b, headers), "sticks in the buf");
	sip_write_body(b, NULL, (struct slice){ NULL, 0 });
}

int
sip_ctxn_cancel(struct sip_ctxn *x, const char *headers)
{
	struct sip_ctxn_conf conf = { .method = "CANCEL" };
	struct buf b;
	int err;

	if (!x->invite || x->state != X_PROCEEDING || x->w.flow == NULL)
		return E_SIP_STATE;
	if (x->cancelled)
		return 0;
	buf_init(&b, SIPC_MSG_MAX);
	derive(&b, &x->msg, "CANCEL", NULL, headers);
	conf.flow = x->w.flow;
	conf.branch = x->branch;
	conf.msg = &b;
	err = sip_ctxn_start(NULL, &conf);
	buf_clear(&b);
	if (err != 0)
		return err;
	x->cancelled = true;
	/* RFC 3261 9.1: without a final answer it counts as cancelled. */
	return timer_start(&x->limit, x->s->conf.loop, SIPC_T1X64, on_limit, x);
}

/* 100..199. */
static void
on_provisional(struct sip_ctxn *x, struct sip_msg **rsp)
{
	if (x->state == X_TRYING) {
		x_enter(x, X_PROCEEDING);
		/* It is there: now it may take its time. */
		if (x->hurried &&
		    timer_start(&x->limit, x->s->conf.loop, SIPC_T1X64,
			on_limit, x) != 0)
			x->hurried = false;
	} else if (x->state != X_PROCEEDING)
		return;
	if (x->invite) {
		timer_stop(&x->again);
		if (!x->cancelled)
			timer_stop(&x->limit);
	}
	if (x->cb != NULL)
		x->cb(rsp, 0, x->arg);
}

/* Tells the owner the final answer and forgets him; `x` lives on. */
static void
x_tell(struct sip_ctxn *x, struct sip_msg **rsp)
{
	sip_ctxn_cb *cb = x->cb;

	if (x->slot != NULL)
		*x->slot = NULL;
	x->slot = NULL;
	x->cb = NULL;
	if (cb != NULL)
		cb(rsp, 0, x->arg);
}

/* INVITE refused: ACK it, and again as often as it is said (timer D). */
static void
on_refused(struct sip_ctxn *x, struct sip_msg **rsp)
{
	struct sip_ctxn gone;
	struct buf ack;
	bool keep;

	if (x->state == X_COMPLETED) {
		ignore_err(sip_flow_send(x->w.flow, x->msg.p, x->msg.n),
		    "it is said again");
		return;
	}
	if (x->state == X_ACCEPTED)
		return;
	buf_init(&ack, SIPC_MSG_MAX);
	derive(&ack, &x->msg, "ACK", (*rsp)->to, "");
	if (ack.err == 0)
		ignore_err(
		    sip_flow_send(x->w.flow, ack.p, ack.n), "it is said again");
	x_enter(x, X_COMPLETED);
	timer_stop(&x->again);
	keep = !sip_flow_is_reliable(x->w.flow) && ack.err == 0 &&
	    timer_start(&x->limit, x->s->conf.loop, SIPC_T1X64, on_limit, x) ==
		0;
	buf_clear(&x->msg);
	x->msg = ack;
	if (keep) {
		x_tell(x, rsp);
		return;
	}
	gone = (struct sip_ctxn){ .cb = x->cb, .arg = x->arg };
	sip_ctxn_free(x);
	x_tell(&gone, rsp);
}

/* INVITE accepted (RFC 6026 8.4); later ones are the call's to sort out. */
static void
on_accepted(struct sip_ctxn *x, struct sip_msg **rsp)
{
	if (x->state == X_ACCEPTED) {
		sip_call_stray_2xx(x->s, x->w.flow, *rsp);
		return;
	}
	if (x->state == X_COMPLETED)
		return;
	x_enter(x, X_ACCEPTED);
	timer_stop(&x->again);
	buf_clear(&x->msg);
	if (timer_start(&x->limit, x->s->conf.loop, SIPC_T1X64, on_limit, x) !=
	    0)
		log_warn(LOGC_SIP, 0, "transaction without a limit: no memory");
	x_tell(x, rsp);
}

/* The final answer of anything but INVITE: late copies match nothing and are
 * dropped, so that timer K needs no object. */
static void
on_final(struct sip_ctxn *x, struct sip_msg **rsp)
{
	struct sip_ctxn gone = { .cb = x->cb, .arg = x->arg };

	sip_ctxn_free(x);
	x_tell(&gone, rsp);
}

bool
sip_ctxn_input(
    struct sip_stack *s, const struct sip_src *src, struct sip_msg **rsp)
{
	struct sip_msg *m = *rsp;
	struct sip_hnode *n;
	struct sip_ctxn *x;

	n = sip_htab_first(&s->ctxns, x_key(s, m->branch, m->method));
	for (; n != NULL; n = sip_hnode_next(n)) {
		x = SIP_OBJ(n, struct sip_ctxn, node);
		if (!slice_is(m->branch, x->branch) ||
		    !slice_is(slice_of(m->method), x->method) ||
		    x->w.flow == NULL)
			continue;
		/* An answer comes by the connection of its request; on UDP by
		 * the same socket (the branch cannot be guessed). */
		if (x->w.flow != src->flow &&
		    (x->w.flow->t != SIPC_UDP || src->sock != x->w.flow->sock))
			continue;
		if (x->udp_id != 0)
			m->flow = x->udp_id;
		if (m->code < 200)
			on_provisional(x, rsp);
		else if (!x->invite)
			on_final(x, rsp);
		else if (m->code < 300)
			on_accepted(x, rsp);
		else
			on_refused(x, rsp);
		return true;
	}
	return false;
}
