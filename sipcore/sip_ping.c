/* SPDX-License-Identifier: ISC */
/* Keep-alive of flows (RFC 5626 4.4.1): double CRLF out, CRLF back. */
#include "bellbird/log.h"
#include "internal.h"

/* RFC 5626 4.4.1: a pong has 10 s. */
#define PONG_US (10 * SIPC_S)

/* The pong is overdue: on this flow the peer used to answer. */
static void
on_no_pong(void *arg)
{
	struct sip_flow *f = arg;

	log_info(LOGC_SIP, f->id, "flow lost: no pong");
	sip_flow_close(f, ETIMEDOUT);
}

/* Time for the next ping. */
static void
on_ping(void *arg)
{
	struct sip_flow *f = arg;
	struct loop *l = f->s->conf.loop;
	int err;

	if (f->t == SIPC_UDP)
		err = udp_send(f->sock->u, "\r\n\r\n", 4, &f->remote);
	else
		err = tls_conn_write(f->c, "\r\n\r\n", 4);
	if (err != 0 && f->t != SIPC_UDP) {
		sip_flow_close(f, err);
		return;
	}
	f->pong_due = f->t != SIPC_UDP;
	if (f->pong_due && f->pong_seen)
		err = timer_start(&f->ping, l, PONG_US, on_no_pong, f);
	else
		err = timer_start(&f->ping, l, f->keepalive_us, on_ping, f);
	if (err != 0)
		log_warn(LOGC_SIP, f->id, "keep-alive stopped: out of memory");
}

void
sip_flow_keepalive(struct sip_flow *f, int64_t us)
{
	timer_stop(&f->ping);
	f->keepalive_us = us;
	f->frame.pings = us > 0;
	if (us > 0)
		ignore_err(
		    timer_start(&f->ping, f->s->conf.loop, us, on_ping, f),
		    "without keep-alive the refresh finds a dead flow");
}

void
sip_flow_pong(struct sip_flow *f)
{
	if (!f->pong_due)
		return;
	f->pong_due = false;
	f->pong_seen = true;
	ignore_err(
	    timer_start(&f->ping, f->s->conf.loop, f->keepalive_us, on_ping, f),
	    "without keep-alive the refresh finds a dead flow");
}
