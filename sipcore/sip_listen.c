/* SPDX-License-Identifier: ISC */
/* Listeners: sockets of ours that others send to or connect to. */
#include <stdlib.h>

#include "internal.h"

int
sip_stack_listen(struct sip_stack *s, enum sip_transport t,
    const struct addr *local, const struct tls_policy *policy)
{
	struct sip_listener *li;
	struct tls_listen_conf lc = {
		.policy = policy,
		.local = *local,
		.max_conns = SIPC_CONNS_MAX,
		.max_per_ip = SIPC_CONNS_IP_MAX,
		.dscp = s->conf.dscp,
		.cb = sip_flow_accept,
	};
	int err;

	if ((t == SIPC_TLS) != (policy != NULL))
		return EINVAL;
	if ((li = calloc(1, sizeof(*li))) == NULL)
		return ENOMEM;
	li->s = s;
	li->t = t;
	lc.arg = li;
	if (t == SIPC_UDP)
		err = sip_sock_open(&li->sock, s, local, true);
	else
		err = tls_listen_open(&li->l, s->conf.tls, &lc);
	if (err != 0) {
		free(li);
		return err;
	}
	LIST_INSERT_HEAD(&s->listeners, li, link);
	return 0;
}

void
sip_stack_each_listener(
    const struct sip_stack *s, sip_listener_cb *cb, void *arg)
{
	const struct sip_listener *li;
	struct addr local;

	LIST_FOREACH (li, &s->listeners, link) {
		if (li->sock != NULL)
			udp_local(li->sock->u, &local);
		else
			tls_listen_local(li->l, &local);
		cb(li->t, &local, arg);
	}
}
