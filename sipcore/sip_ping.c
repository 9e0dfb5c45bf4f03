/* SPDX-License-Identifier: ISC */
/* Keep-alive of flows (RFC 5626 4.4): on streams double CRLF out, CRLF back; on
 * UDP a STUN binding request where the server answers such, else CRLF to
 * nobody's notice but the NAT's. */
#include <string.h>

#include "bellbird/log.h"
#include "internal.h"

/* RFC 5626 4.4.1: a pong has 10 s. */
#define PONG_US     (10 * SIPC_S)
/* RFC 8489 6.2.1: a STUN request again after 0.5, 1, 2, 4 s; 15.5 s in all. */
#define STUN_RTO_US (500 * SIPC_MS)
enum { STUN_TRIES = 5 };

static void on_ping(void *arg);

/* Starts the timer of the keep-alive. */
static void
wait_for(struct sip_flow *f, int64_t us, timer_cb *cb)
{
	if (timer_start(&f->ping, f->s->conf.loop, us, cb, f) != 0)
		log_warn(LOGC_SIP, f->id, "keep-alive stopped: out of memory");
}

/* The pong is overdue: the server said that it answers, or used to. */
static void
on_no_pong(void *arg)
{
	struct sip_flow *f = arg;

	log_info(LOGC_SIP, f->id, "flow lost: no pong");
	sip_flow_close(f, ETIMEDOUT);
}

/* Sends the STUN request of now, again if it is one already. */
static void
on_stun(void *arg)
{
	struct sip_flow *f = arg;
	uint8_t req[SIP_STUN_REQ];

	if (!f->pong_due) {
		tls_random(f->stun_id, sizeof(f->stun_id));
		f->stun_tries = 0;
	}
	if (f->stun_tries == STUN_TRIES) {
		on_no_pong(f);
		return;
	}
	sip_stun_request(req, f->stun_id);
	ignore_err(udp_send(f->sock->u, req, sizeof(req), &f->remote),
	    "it is sent again");
	f->pong_due = true;
	wait_for(f, STUN_RTO_US << f->stun_tries++, on_stun);
}

/* Sends the pair of line ends. */
static void
ping_crlf(struct sip_flow *f)
{
	int err;

	if (f->t == SIPC_UDP) {
		/* No answer is due, and nothing is lost if it is. */
		ignore_err(udp_send(f->sock->u, "\r\n\r\n", 4, &f->remote),
		    "the next one opens the NAT again");
		wait_for(f, f->keepalive_us, on_ping);
		return;
	}
	if ((err = tls_conn_write(f->c, "\r\n\r\n", 4)) != 0) {
		sip_flow_close(f, err);
		return;
	}
	f->pong_due = true;
	if (f->pong_seen || f->pong_owed)
		wait_for(f, PONG_US, on_no_pong);
	else
		wait_for(f, f->keepalive_us, on_ping);
}

/* Time for the next ping. */
static void
on_ping(void *arg)
{
	struct sip_flow *f = arg;

	if (f->t == SIPC_UDP && f->pong_owed)
		on_stun(f);
	else
		ping_crlf(f);
}

void
sip_flow_keepalive(struct sip_flow *f, int64_t us, bool owed)
{
	if (us == f->keepalive_us && owed == f->pong_owed)
		return;
	timer_stop(&f->ping);
	f->keepalive_us = us;
	f->frame.pings = us > 0;
	f->pong_owed = owed;
	f->pong_due = false;
	if (us <= 0)
		return;
	/* The first STUN answer says how the server sees us. */
	wait_for(f, f->t == SIPC_UDP && owed ? 0 : us, on_ping);
}

void
sip_flow_ping(struct sip_flow *f)
{
	/* With one under way there is an answer soon. */
	if (f->keepalive_us > 0 && f->up && !f->pong_due)
		wait_for(f, 0, on_ping);
}

void
sip_flow_pong(struct sip_flow *f)
{
	if (!f->pong_due)
		return;
	f->pong_due = false;
	f->pong_seen = true;
	wait_for(f, f->keepalive_us, on_ping);
}

void
sip_flow_stun(struct sip_flow *f, const uint8_t *p, size_t n)
{
	char was[ADDR_STR_MAX], is[ADDR_STR_MAX];
	struct addr mapped;

	if (!f->pong_due || !f->pong_owed ||
	    sip_stun_answer(p, n, f->stun_id, &mapped) != 0)
		return;
	/* RFC 5626 4.4.2: a NAT that forgot us gives another address. */
	if (addr_is_set(&f->mapped) && !addr_eq(&f->mapped, &mapped)) {
		addr_print(&f->mapped, was);
		addr_print(&mapped, is);
		log_info(LOGC_SIP, f->id,
		    "flow lost: the server saw us at %s, now at %s", was, is);
		sip_flow_close(f, E_CLOSED);
		return;
	}
	f->mapped = mapped;
	sip_flow_pong(f);
}
