/* SPDX-License-Identifier: ISC */
/* Calls and flows: who speaks for the peer of a call, and what happens to an
 * account's calls while its flow is away. */
#include <string.h>

#include "bellbird/log.h"
#include "internal.h"

/* An outgoing call waits so long for a lost flow, unless a rule says else. */
enum { FLOW_WAIT_S = 10 };

/* ---- who is the peer ---- */

void
sip_call_peer_note(struct sip_call *c, const struct sip_flow *f)
{
	const char *host;

	c->peer_t = f->t;
	c->peer_addr = f->remote;
	if (f->c == NULL || c->peer_name[0] != '\0')
		return;
	/* Who was called was verified under that name; of a caller the
	 * certificate says it, if there is one that holds. */
	host = c->setup != NULL ? c->setup->uri.host : "";
	if (host[0] != '\0' && tls_conn_peer_has_name(f->c, host))
		ignore_err(str_copy(c->peer_name, sizeof(c->peer_name), host),
		    "no longer than a host");
	else if (tls_conn_peer_cn(f->c, c->peer_name, sizeof(c->peer_name)) !=
	    0)
		c->peer_name[0] = '\0';
}

bool
sip_call_is_peer(struct sip_call *c, const struct sip_src *src)
{
	struct sip_flow *f = src->flow;
	enum sip_transport t = f != NULL ? f->t : SIPC_UDP;

	if (f != NULL && (f == c->w.flow || f == c->w2.flow))
		return true;
	/* A dialog set up on TLS hears nobody else. */
	if (c->dlg.secure && t != SIPC_TLS)
		return false;
	/* An account's dialogs hear its verified flows. */
	if (c->pinned)
		return f != NULL && c->reg != NULL &&
		    sip_reg_has_flow(c->reg, f);
	/* Direct: who proves to be the same, or comes from the same place. */
	if (t == SIPC_TLS && f->c != NULL && c->peer_name[0] != '\0' &&
	    tls_conn_peer_has_name(f->c, c->peer_name))
		return true;
	return t == c->peer_t && addr_is_set(&c->peer_addr) &&
	    addr_ip_eq(&src->from, &c->peer_addr);
}

/* ---- an account's flow is away ---- */

/* Ends a call that cannot be placed. */
static void
fail(struct sip_call *c, int err)
{
	c->wait_reg = false;
	timer_stop(&c->timer);
	c->state = SIP_C_OVER;
	sip_call_end_set(c, 0, err, false,
	    err == E_SIP_NO_ROUTE
		? "The account's connection is lost and did not come back"
		: err_str(err));
	sip_call_over(c);
}

/* It did not come back in time. */
static void
on_wait_end(void *arg)
{
	fail(arg, E_SIP_NO_ROUTE);
}

int
sip_call_wait_flow(struct sip_call *c)
{
	unsigned int s = c->s->rules.flow_wait_s;
	int err;

	if (s == 0)
		s = FLOW_WAIT_S;
	err =
	    timer_start(&c->timer, c->s->conf.loop, s * SIPC_S, on_wait_end, c);
	if (err != 0)
		return err;
	c->state = SIP_C_ROUTING;
	c->wait_reg = true;
	log_info(LOGC_SIP, 0, "call waits for the account's connection id=%s",
	    c->id_esc);
	return 0;
}

/* The INVITE goes out now. */
static void
waiting_go(struct sip_call *c)
{
	int err;

	c->wait_reg = false;
	timer_stop(&c->timer);
	if ((err = sip_call_depart(c)) != 0)
		fail(c, err);
}

/* From the loop: the account has a flow again. */
static void
on_back(void *arg)
{
	struct sip_call *c = arg;

	if (c->wait_reg && c->reg != NULL && sip_reg_is_ok(c->reg))
		waiting_go(c);
}

void
sip_call_reg_moved(struct sip_stack *s, const struct sip_reg *r)
{
	struct sip_call *c;
	int err = 0;

	LIST_FOREACH (c, &s->calls, link) {
		if (c->reg != r)
			continue;
		if (c->wait_reg)
			err = timer_start(
			    &c->flow_timer, s->conf.loop, 0, on_back, c);
		else if (c->state != SIP_C_UP ||
		    (c->w.flow != NULL && c->w.flow->up &&
			c->w.flow->fail_err == 0))
			continue; /* of two flows the other one */
		else if (sip_reg_has_gruu(r))
			continue; /* the peer finds us as before */
		else
			err = sip_call_refresh(c);
		if (err != 0)
			log_info(LOGC_SIP, 0,
			    "call not told of its new flow id=%s: %s",
			    c->id_esc, err_str(err));
	}
}
