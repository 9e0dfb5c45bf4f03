/* SPDX-License-Identifier: ISC */
/* Where to send a request (RFC 3263 without NAPTR): a literal address, or SRV
 * when no port is given, then A and AAAA. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellbird/clock.h"
#include "bellbird/log.h"
#include "internal.h"

struct sip_route {
	struct sip_route **slot;
	struct sip_stack *s;
	sip_route_cb *cb;
	void *arg;
	enum sip_transport t;
	char host[DNS_NAME_MAX];
	int64_t start_us;
	struct dns_query *query;
	struct dns_srv srvs[DNS_SRVS_MAX];
	size_t num_srvs, next_srv;
	struct sip_target targets[SIPC_TARGETS_MAX];
	size_t num_targets;
	int err; /* of the last look-up that failed */
};

static const char *const services[SIPC_TRANSPORTS] = {
	[SIPC_UDP] = "_sip._udp.",
	[SIPC_TCP] = "_sip._tcp.",
	[SIPC_TLS] = "_sips._tcp.",
};

/* RFC 3261 19.1.2. */
static uint16_t
default_port(enum sip_transport t)
{
	return t == SIPC_TLS ? 5061 : 5060;
}

void
sip_route_stop(struct sip_route **slot)
{
	struct sip_route *r = *slot;

	if (r == NULL)
		return;
	*slot = NULL;
	dns_stop(&r->query);
	free(r);
}

/* Tells the result. */
static void
route_end(struct sip_route *r)
{
	int err = r->num_targets > 0 ? 0
	    : r->err != 0            ? r->err
				     : E_SIP_NO_ROUTE;

	*r->slot = NULL;
	r->cb(err, r->targets, r->num_targets, clock_mono_us() - r->start_us,
	    r->arg);
	free(r);
}

/* Takes what a look-up of addresses found. */
static void
addrs_take(struct sip_route *r, int err, const struct addr *as, size_t num_as)
{
	if (err != 0) {
		r->err = err;
		return;
	}
	for (size_t i = 0; i < num_as && r->num_targets < SIPC_TARGETS_MAX;
	     i++) {
		r->targets[r->num_targets].t = r->t;
		r->targets[r->num_targets++].a = as[i];
	}
}

/* dns_addr_cb: without SRV. */
static void
on_addrs(int err, const struct addr *as, size_t num_as, void *arg)
{
	struct sip_route *r = arg;

	addrs_take(r, err, as, num_as);
	route_end(r);
}

static void srv_next(struct sip_route *r);

/* dns_addr_cb: of one SRV target. */
static void
on_srv_addrs(int err, const struct addr *as, size_t num_as, void *arg)
{
	struct sip_route *r = arg;

	addrs_take(r, err, as, num_as);
	srv_next(r);
}

/* Looks up the next SRV target; one that fails is left out. */
static void
srv_next(struct sip_route *r)
{
	const struct dns_srv *v;

	while (r->next_srv < r->num_srvs && r->num_targets < SIPC_TARGETS_MAX) {
		v = &r->srvs[r->next_srv++];
		/* RFC 2782: "." says that the service is not there. */
		if (v->target[0] == '\0' || strcmp(v->target, ".") == 0)
			continue;
		r->err = dns_addr(&r->query, r->s->conf.dns, v->target, v->port,
		    on_srv_addrs, r);
		if (r->err == 0)
			return;
	}
	route_end(r);
}

/* dns_srv_cb. */
static void
on_srvs(int err, const struct dns_srv *srvs, size_t num_srvs, void *arg)
{
	struct sip_route *r = arg;

	if (err == 0 && num_srvs > 0) {
		r->num_srvs = num_srvs < DNS_SRVS_MAX ? num_srvs : DNS_SRVS_MAX;
		memcpy(r->srvs, srvs, r->num_srvs * sizeof(srvs[0]));
		srv_next(r);
		return;
	}
	/* RFC 3263 4.2: no SRV record, then the addresses of the domain. */
	err = dns_addr(&r->query, r->s->conf.dns, r->host, default_port(r->t),
	    on_addrs, r);
	if (err != 0) {
		r->err = err;
		route_end(r);
	}
}

int
sip_route_start(struct sip_route **slot, struct sip_stack *s,
    const struct sip_route_conf *conf)
{
	char name[DNS_NAME_MAX + 16];
	struct sip_route *r;
	struct addr literal;
	uint16_t port = conf->port;
	int err;

	if ((r = calloc(1, sizeof(*r))) == NULL)
		return ENOMEM;
	r->slot = slot;
	r->s = s;
	r->cb = conf->cb;
	r->arg = conf->arg;
	r->t = conf->t;
	r->start_us = clock_mono_us();
	err = str_copy(r->host, sizeof(r->host), conf->host);
	if (port == 0 &&
	    (addr_parse(&literal, slice_of(conf->host), 1) == 0 ||
		slice_case_is(slice_of(conf->host), "localhost")))
		port = default_port(conf->t);
	(void)snprintf(
	    name, sizeof(name), "%s%s", services[conf->t], conf->host);
	if (err == 0 && port != 0)
		err = dns_addr(
		    &r->query, s->conf.dns, r->host, port, on_addrs, r);
	else if (err == 0)
		err = dns_srv(&r->query, s->conf.dns, name, on_srvs, r);
	if (err != 0) {
		free(r);
		return err;
	}
	*slot = r;
	return 0;
}
