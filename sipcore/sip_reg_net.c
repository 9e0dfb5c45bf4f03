/* SPDX-License-Identifier: ISC */
/* What a change of links, addresses or routes means for flows and
 * registrations: what cannot work any more ends now, what waits tries now. */
#include "bellbird/clock.h"
#include "bellbird/log.h"
#include "reg_internal.h"

/* Would a new connection to the peer of `f` still leave by its address? */
static bool
flow_stands(const struct sip_flow *f)
{
	struct addr have, local;

	/* Others connected to us: their way need not be ours. */
	if (f->t != SIPC_UDP && !f->outgoing)
		return true;
	if (f->t == SIPC_UDP) {
		udp_local(f->sock->u, &local);
		/* It was told which address to use. */
		if (!sip_is_wildcard(&local))
			return true;
		have = f->local;
	} else {
		/* Known from the first SYN on: one that is only connecting
		 * goes on if its address is the right one. */
		tls_conn_local(f->c, &have);
	}
	return addr_local_for(&f->remote, &local) == 0 &&
	    addr_ip_eq(&local, &have);
}

/* Tries at once what only waited for the network. */
static void
reg_hurry(struct sip_reg *r, int64_t now)
{
	if (r->unregistering)
		return;
	if (r->state == SIP_REG_WAITING &&
	    (r->hold_us > now || !reg_is_net(r->err)))
		return;
	if (r->state == SIP_REG_WAITING)
		r->fails[REG_FAIL_NET] = 0;
	else if (r->state != SIP_REG_RESOLVING)
		return;
	/* Questions to a name server of the old network get no answer. */
	sip_route_stop(&r->route);
	reg_again(r);
}

void
sip_stack_net_changed(struct sip_stack *s)
{
	int64_t now = clock_mono_us();
	struct sip_flow *f;
	struct sip_reg *r;

	TAILQ_FOREACH (f, &s->flows, link) {
		if (f->fail_err != 0 || LIST_EMPTY(&f->watches))
			continue;
		if (flow_stands(f)) {
			/* Perhaps what is behind our link has changed. */
			sip_flow_ping(f);
			continue;
		}
		log_info(LOGC_SIP, f->id, "flow lost: the network changed");
		sip_flow_fail(f, ENETDOWN);
	}
	LIST_FOREACH (r, &s->regs, link)
		reg_hurry(r, now);
}
