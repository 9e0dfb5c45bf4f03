/* SPDX-License-Identifier: ISC */
/* Where to send a request (RFC 3263 4): by which transport, if that is open
 * (NAPTR, else what SRV tells), to which servers (SRV), at which addresses. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellbird/clock.h"
#include "bellbird/log.h"
#include "internal.h"

/* A service to ask for. */
struct service {
	enum sip_transport t;
	bool is_host; /* `name` is a host (NAPTR with the flag "a") */
	char name[DNS_NAME_MAX];
};

/* A server that it led to. */
struct server {
	enum sip_transport t;
	uint16_t port, rank;
	char name[DNS_NAME_MAX];
};

struct sip_route {
	struct sip_route **slot;
	struct sip_stack *s;
	sip_route_cb *cb;
	void *arg;
	enum sip_transport t; /* SIPC_AUTO: to be found */
	bool tls_only;        /* nothing else may be used */
	uint16_t port;
	char host[DNS_NAME_MAX];
	int64_t start_us;
	struct dns_query *query;
	struct service services[DNS_NAPTRS_MAX];
	size_t num_services, next_service;
	unsigned int denied; /* transports that the domain says it has not */
	struct server servers[SIPC_TARGETS_MAX];
	size_t num_servers, next_server;
	struct sip_target targets[SIPC_TARGETS_MAX];
	size_t num_targets;
	int err; /* of the last look-up that failed */
};

/* In the order in which they are tried: the best first. */
static const struct {
	enum sip_transport t;
	const char *srv, *naptr;
} kinds[SIPC_TRANSPORTS] = {
	{ SIPC_TLS, "_sips._tcp.", "SIPS+D2T" },
	{ SIPC_TCP, "_sip._tcp.", "SIP+D2T" },
	{ SIPC_UDP, "_sip._udp.", "SIP+D2U" },
};

static void service_next(struct sip_route *r);
static void server_next(struct sip_route *r);

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

/* Adds a server; they are in order. */
static void
server_add(struct sip_route *r, enum sip_transport t, const char *name,
    uint16_t port, uint16_t rank)
{
	struct server *v = &r->servers[r->num_servers];

	if (r->num_servers == SIPC_TARGETS_MAX ||
	    str_copy(v->name, sizeof(v->name), name) != 0)
		return;
	v->t = t;
	v->port = port;
	v->rank = rank;
	r->num_servers++;
}

/* The rank behind all so far. */
static uint16_t
rank_next(const struct sip_route *r)
{
	return r->num_servers == 0
	    ? 0
	    : (uint16_t)(r->servers[r->num_servers - 1].rank + 1);
}

/* ---- addresses ---- */

/* dns_addr_cb: of one server. */
static void
on_addrs(int err, const struct addr *as, size_t num_as, void *arg)
{
	struct sip_route *r = arg;
	const struct server *v = &r->servers[r->next_server - 1];
	struct sip_target *t;

	if (err != 0)
		r->err = err;
	for (size_t i = 0;
	     err == 0 && i < num_as && r->num_targets < SIPC_TARGETS_MAX; i++) {
		t = &r->targets[r->num_targets++];
		t->t = v->t;
		t->a = as[i];
		t->rank = v->rank;
	}
	server_next(r);
}

/* Looks up the next server; one that fails is left out. */
static void
server_next(struct sip_route *r)
{
	const struct server *v;

	while (r->next_server < r->num_servers &&
	    r->num_targets < SIPC_TARGETS_MAX) {
		v = &r->servers[r->next_server++];
		r->err = dns_addr(
		    &r->query, r->s->conf.dns, v->name, v->port, on_addrs, r);
		if (r->err == 0)
			return;
	}
	route_end(r);
}

/* No service is known: the host itself, in clear by UDP, then TCP. */
static void
hosts_add(struct sip_route *r)
{
	static const enum sip_transport ts[] = { SIPC_UDP, SIPC_TCP };
	uint16_t port = r->port;

	if (r->t != SIPC_AUTO || r->tls_only) {
		enum sip_transport t = r->tls_only ? SIPC_TLS : r->t;

		if ((r->denied & 1u << t) == 0)
			server_add(r, t, r->host,
			    port != 0 ? port : default_port(t), 0);
		return;
	}
	for (size_t i = 0; i < sizeof(ts) / sizeof(ts[0]); i++) {
		if ((r->denied & 1u << ts[i]) == 0)
			server_add(r, ts[i], r->host,
			    port != 0 ? port : default_port(ts[i]),
			    rank_next(r));
	}
}

/* ---- services ---- */

/* All services were asked for. */
static void
services_end(struct sip_route *r)
{
	/* RFC 3263 4.2: no SRV record, then the addresses of the domain. */
	if (r->num_servers == 0)
		hosts_add(r);
	server_next(r);
}

/* TLS is there: clear text is out of the question from now on. */
static void
tls_found(struct sip_route *r)
{
	if (r->t != SIPC_AUTO || r->tls_only)
		return;
	sip_stack_tls_offered(r->s, r->host);
	r->tls_only = !r->s->clear_ok;
}

/* dns_srv_cb. */
static void
on_srvs(int err, const struct dns_srv *srvs, size_t num_srvs, void *arg)
{
	struct sip_route *r = arg;
	const struct service *v = &r->services[r->next_service - 1];
	uint16_t rank = rank_next(r);

	if (err == E_DNS_NO_SERVICE)
		r->denied |= 1u << v->t;
	if (err != 0)
		r->err = err;
	if (err == 0 && v->t == SIPC_TLS)
		tls_found(r);
	/* Whether it has TLS is not known: no reason to do without. */
	if (v->t == SIPC_TLS && r->t == SIPC_AUTO && !r->s->clear_ok &&
	    err != 0 && err != E_DNS_NXDOMAIN && err != E_DNS_NODATA &&
	    err != E_DNS_NO_SERVICE) {
		route_end(r);
		return;
	}
	for (size_t i = 0; err == 0 && i < num_srvs; i++) {
		if (i > 0 && srvs[i].priority != srvs[i - 1].priority)
			rank++;
		server_add(r, v->t, srvs[i].target, srvs[i].port, rank);
	}
	service_next(r);
}

/* Asks for the servers of the next service. */
static void
service_next(struct sip_route *r)
{
	const struct service *v;
	int err;

	while (r->next_service < r->num_services &&
	    r->num_servers < SIPC_TARGETS_MAX) {
		v = &r->services[r->next_service++];
		if (r->tls_only && v->t != SIPC_TLS)
			continue;
		if (v->is_host) {
			server_add(
			    r, v->t, v->name, default_port(v->t), rank_next(r));
			continue;
		}
		err = dns_srv(&r->query, r->s->conf.dns, v->name, on_srvs, r);
		if (err == 0)
			return;
		r->err = err;
	}
	services_end(r);
}

/* Adds a service. */
static int
service_add(struct sip_route *r, enum sip_transport t, bool is_host,
    const char *prefix, const char *name)
{
	struct service *v = &r->services[r->num_services];
	int n = snprintf(v->name, sizeof(v->name), "%s%s", prefix, name);

	if (n < 0 || (size_t)n >= sizeof(v->name))
		return E_PARSE;
	v->t = t;
	v->is_host = is_host;
	r->num_services++;
	return 0;
}

/* The services every domain may have. */
static int
services_guess(struct sip_route *r)
{
	int err = 0;

	for (size_t i = 0; err == 0 && i < SIPC_TRANSPORTS; i++) {
		if (r->t == SIPC_AUTO || r->t == kinds[i].t)
			err = service_add(
			    r, kinds[i].t, false, kinds[i].srv, r->host);
	}
	return err;
}

/* Takes a NAPTR record that is of use here. */
static void
naptr_take(struct sip_route *r, const struct dns_naptr *n)
{
	bool is_host = slice_case_is(slice_of(n->flags), "a");

	if (!is_host && !slice_case_is(slice_of(n->flags), "s"))
		return;
	for (size_t i = 0; i < SIPC_TRANSPORTS; i++) {
		if (!slice_case_is(slice_of(n->service), kinds[i].naptr))
			continue;
		ignore_err(
		    service_add(r, kinds[i].t, is_host, "", n->replacement),
		    "a name that was read fits");
		if (kinds[i].t == SIPC_TLS)
			tls_found(r);
	}
}

/* dns_naptr_cb. */
static void
on_naptrs(int err, const struct dns_naptr *ns, size_t num_ns, void *arg)
{
	struct sip_route *r = arg;

	for (size_t i = 0; err == 0 && i < num_ns; i++)
		naptr_take(r, &ns[i]);
	if (r->num_services == 0 && (err = services_guess(r)) != 0) {
		r->err = err;
		route_end(r);
		return;
	}
	service_next(r);
}

/* ---- the start ---- */

/* Is it an address, or a name that no DNS knows? */
static bool
is_literal(const char *host)
{
	struct addr a;

	return addr_parse(&a, slice_of(host), 1) == 0 ||
	    slice_case_is(slice_of(host), "localhost");
}

/* Sets off: what is known at once is returned. */
static int
depart(struct sip_route *r)
{
	struct dns *d = r->s->conf.dns;
	const struct server *v = &r->servers[0];
	int err;

	/* RFC 3263 4.2: a port or an address means no SRV. */
	if (r->port != 0 || is_literal(r->host)) {
		hosts_add(r);
		r->next_server = 1;
		return dns_addr(&r->query, d, v->name, v->port, on_addrs, r);
	}
	if (r->t == SIPC_AUTO)
		return dns_naptr(&r->query, d, r->host, on_naptrs, r);
	if ((err = services_guess(r)) != 0)
		return err;
	r->next_service = 1;
	return dns_srv(&r->query, d, r->services[0].name, on_srvs, r);
}

int
sip_route_start(struct sip_route **slot, struct sip_stack *s,
    const struct sip_route_conf *conf)
{
	struct sip_route *r;
	int err;

	if ((r = calloc(1, sizeof(*r))) == NULL)
		return ENOMEM;
	r->slot = slot;
	r->s = s;
	r->cb = conf->cb;
	r->arg = conf->arg;
	r->t = conf->t;
	r->port = conf->port;
	r->start_us = clock_mono_us();
	err = str_copy(r->host, sizeof(r->host), conf->host);
	r->tls_only = r->t == SIPC_AUTO &&
	    (conf->sips || (!s->clear_ok && sip_stack_had_tls(s, conf->host)));
	if (err == 0)
		err = depart(r);
	if (err != 0) {
		free(r);
		return err;
	}
	*slot = r;
	return 0;
}
