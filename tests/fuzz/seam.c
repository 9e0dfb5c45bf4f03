/* SPDX-License-Identifier: ISC */
/* Sockets, connections and names that are not there: seam.h. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "bellbird/buf.h"
#include "bellbird/dns.h"
#include "bellbird/loop.h"
#include "bellbird/tls_conn.h"
#include "bellbird/tls_verdict.h"
#include "bellbird/udp.h"
#include "seam.h"

/* What a connection may hold unread, and one that accepts no more. */
enum { IN_MAX = 256 * 1024, OUT_MAX = 1024 * 1024 };

struct udp {
	LIST_ENTRY(udp) link;
	udp_cb *cb;
	udp_err_cb *err_cb; /* or NULL */
	void *arg;
	struct addr local;
	bool in_cb, dead;
};

struct tls_conn {
	LIST_ENTRY(tls_conn) link;
	tls_conn_cb *cb;
	void *arg;
	struct addr local, remote;
	struct buf in;
	struct deferred later; /* UP, from the loop */
	size_t sent;
	unsigned int holds;
	bool dialed, up, dead;
};

struct tls_listen {
	LIST_ENTRY(tls_listen) link;
	tls_accept_cb *cb;
	void *arg;
	struct addr local;
};

static LIST_HEAD(, udp) udps;
static LIST_HEAD(, tls_conn) conns;
static LIST_HEAD(, tls_listen) listens;
static struct loop *loop;
static seam_out_cb *out;
static uint16_t next_port;
static struct tls_verdict verdict;

void
seam_open(struct loop *l, seam_out_cb *cb)
{
	loop = l;
	out = cb;
	next_port = 40000;
	seam_random_reset();
}

/* An address of ours. */
static void
local_set(struct addr *a, uint16_t port)
{
	int err = addr_parse(a, slice_of("127.0.0.1"), port);

	assert(err == 0);
}

/* ---- datagrams ---- */

int __wrap_udp_open(struct udp **u, struct loop *l, const struct addr *local,
    int dscp, udp_cb *cb, void *arg);
void __wrap_udp_free(struct udp *u);
int __wrap_udp_send(
    struct udp *u, const void *p, size_t n, const struct addr *to);
void __wrap_udp_local(const struct udp *u, struct addr *a);
int __wrap_udp_on_unreachable(struct udp *u, udp_err_cb *cb);
int __wrap_addr_local_for(const struct addr *peer, struct addr *a);

int
__wrap_udp_open(struct udp **u, struct loop *l, const struct addr *local,
    int dscp, udp_cb *cb, void *arg)
{
	struct udp *k = calloc(1, sizeof(*k));

	(void)l;
	(void)dscp;
	if (k == NULL)
		return ENOMEM;
	k->cb = cb;
	k->arg = arg;
	k->local = *local;
	if (addr_port(&k->local) == 0)
		addr_set_port(&k->local, next_port++);
	LIST_INSERT_HEAD(&udps, k, link);
	*u = k;
	return 0;
}

void
__wrap_udp_free(struct udp *u)
{
	if (u == NULL)
		return;
	LIST_REMOVE(u, link);
	u->dead = true;
	if (!u->in_cb)
		free(u);
}

int
__wrap_udp_send(struct udp *u, const void *p, size_t n, const struct addr *to)
{
	(void)u;
	assert(addr_is_set(to));
	out((struct slice){ p, n });
	return 0;
}

void
__wrap_udp_local(const struct udp *u, struct addr *a)
{
	*a = u->local;
}

int
__wrap_udp_on_unreachable(struct udp *u, udp_err_cb *cb)
{
	u->err_cb = cb;
	return 0;
}

int
__wrap_addr_local_for(const struct addr *peer, struct addr *a)
{
	(void)peer;
	local_set(a, 0);
	return 0;
}

/* The oldest socket is the listener. */
static struct udp *
udp_first(void)
{
	struct udp *u = LIST_FIRST(&udps), *next;

	while (u != NULL && (next = LIST_NEXT(u, link)) != NULL)
		u = next;
	return u;
}

void
seam_udp_in(struct slice in, const struct addr *from)
{
	struct udp *u = udp_first();
	uint8_t *copy;

	if (u == NULL || in.n > 65535 || (copy = malloc(in.n + 64)) == NULL)
		return;
	if (in.n > 0)
		memcpy(copy, in.p, in.n);
	u->in_cb = true;
	u->cb(u, copy, in.n, from, u->arg);
	u->in_cb = false;
	if (u->dead)
		free(u);
	free(copy);
}

void
seam_udp_lost(const struct addr *to)
{
	struct udp *u = udp_first();

	if (u == NULL || u->err_cb == NULL)
		return;
	u->in_cb = true;
	u->err_cb(u, ECONNREFUSED, to, u->arg);
	u->in_cb = false;
	if (u->dead)
		free(u);
}

/* ---- connections ---- */

int __wrap_tls_conn_connect(
    struct tls_conn **c, struct tls_env *e, const struct tls_conn_conf *conf);
void __wrap_tls_conn_set_cb(struct tls_conn *c, tls_conn_cb *cb, void *arg);
void __wrap_tls_conn_free(struct tls_conn *c);
int __wrap_tls_conn_write(struct tls_conn *c, const void *p, size_t n);
struct slice __wrap_tls_conn_peek(struct tls_conn *c);
void __wrap_tls_conn_drain(struct tls_conn *c, size_t n);
void __wrap_tls_conn_remote(const struct tls_conn *c, struct addr *a);
void __wrap_tls_conn_local(const struct tls_conn *c, struct addr *a);
const struct tls_verdict *__wrap_tls_conn_verdict(const struct tls_conn *c);
bool __wrap_tls_conn_peer_has_name(const struct tls_conn *c, const char *name);
int __wrap_tls_listen_open(struct tls_listen **l, struct tls_env *e,
    const struct tls_listen_conf *conf);
void __wrap_tls_listen_close(struct tls_listen *l);
void __wrap_tls_listen_local(const struct tls_listen *l, struct addr *a);

/* Frees it for good. */
static void
conn_end(struct tls_conn *c)
{
	LIST_REMOVE(c, link);
	loop_undefer(&c->later);
	buf_clear(&c->in);
	free(c);
}

/* A callback, over which the object stays. */
static void
conn_tell(struct tls_conn *c, enum tls_event ev, int err)
{
	c->holds++;
	if (!c->dead && c->cb != NULL)
		c->cb(c, ev, err, c->arg);
	if (ev == TLS_EV_CLOSED)
		c->dead = true;
	if (--c->holds == 0 && c->dead)
		conn_end(c);
}

/* It stands; from the loop. */
static void
on_up(void *arg)
{
	struct tls_conn *c = arg;

	c->up = true;
	conn_tell(c, TLS_EV_UP, 0);
}

/* A connection to or from `remote`. */
static struct tls_conn *
conn_new(const struct addr *remote, bool dialed)
{
	struct tls_conn *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	buf_init(&c->in, IN_MAX);
	c->remote = *remote;
	local_set(&c->local, next_port++);
	c->dialed = dialed;
	LIST_INSERT_HEAD(&conns, c, link);
	return c;
}

int
__wrap_tls_conn_connect(
    struct tls_conn **c, struct tls_env *e, const struct tls_conn_conf *conf)
{
	struct tls_conn *k = conn_new(&conf->remote, true);

	(void)e;
	if (k == NULL)
		return ENOMEM;
	k->cb = conf->cb;
	k->arg = conf->arg;
	loop_defer(loop, &k->later, on_up, k);
	*c = k;
	return 0;
}

void
__wrap_tls_conn_set_cb(struct tls_conn *c, tls_conn_cb *cb, void *arg)
{
	c->cb = cb;
	c->arg = arg;
}

void
__wrap_tls_conn_free(struct tls_conn *c)
{
	if (c == NULL || c->dead)
		return;
	c->dead = true;
	c->cb = NULL;
	loop_undefer(&c->later);
	if (c->holds == 0)
		conn_end(c);
}

int
__wrap_tls_conn_write(struct tls_conn *c, const void *p, size_t n)
{
	if (c->dead)
		return E_CLOSED;
	/* A peer that does not read. */
	if ((c->sent += n) > OUT_MAX)
		return E_LIMIT;
	out((struct slice){ p, n });
	return 0;
}

struct slice
__wrap_tls_conn_peek(struct tls_conn *c)
{
	return (struct slice){ buf_str(&c->in), c->in.n };
}

void
__wrap_tls_conn_drain(struct tls_conn *c, size_t n)
{
	assert(n <= c->in.n);
	buf_drain(&c->in, n);
}

void
__wrap_tls_conn_remote(const struct tls_conn *c, struct addr *a)
{
	*a = c->remote;
}

void
__wrap_tls_conn_local(const struct tls_conn *c, struct addr *a)
{
	*a = c->local;
}

const struct tls_verdict *
__wrap_tls_conn_verdict(const struct tls_conn *c)
{
	(void)c;
	return &verdict;
}

bool
__wrap_tls_conn_peer_has_name(const struct tls_conn *c, const char *name)
{
	(void)c;
	(void)name;
	return false;
}

int
__wrap_tls_listen_open(struct tls_listen **l, struct tls_env *e,
    const struct tls_listen_conf *conf)
{
	struct tls_listen *k = calloc(1, sizeof(*k));

	(void)e;
	if (k == NULL)
		return ENOMEM;
	k->cb = conf->cb;
	k->arg = conf->arg;
	local_set(&k->local, next_port++);
	LIST_INSERT_HEAD(&listens, k, link);
	*l = k;
	return 0;
}

void
__wrap_tls_listen_close(struct tls_listen *l)
{
	if (l == NULL)
		return;
	LIST_REMOVE(l, link);
	free(l);
}

void
__wrap_tls_listen_local(const struct tls_listen *l, struct addr *a)
{
	*a = l->local;
}

struct tls_conn *
seam_accept(const struct addr *from)
{
	struct tls_listen *l = LIST_FIRST(&listens);
	struct tls_conn *c;

	if (l == NULL || (c = conn_new(from, false)) == NULL)
		return NULL;
	c->up = true;
	c->holds++;
	l->cb(c, l->arg);
	if (--c->holds == 0 && c->dead) {
		conn_end(c);
		return NULL;
	}
	return c;
}

struct tls_conn *
seam_dialed(void)
{
	struct tls_conn *c;

	LIST_FOREACH (c, &conns, link) {
		if (c->dialed && c->up && !c->dead)
			return c;
	}
	return NULL;
}

bool
seam_conn_lives(const struct tls_conn *conn)
{
	const struct tls_conn *c;

	LIST_FOREACH (c, &conns, link) {
		if (c == conn)
			return !c->dead;
	}
	return false;
}

void
seam_conn_in(struct tls_conn *c, struct slice in)
{
	/* More than fits stays in the kernel. */
	if (c->in.n + in.n > IN_MAX || buf_add(&c->in, in.p, in.n) != 0)
		return;
	conn_tell(c, TLS_EV_DATA, 0);
}

void
seam_conn_end(struct tls_conn *c)
{
	conn_tell(c, TLS_EV_CLOSED, 0);
}

void
seam_close(void)
{
	struct tls_conn *c;

	while ((c = LIST_FIRST(&conns)) != NULL)
		conn_end(c);
	assert(LIST_EMPTY(&udps));
	assert(LIST_EMPTY(&listens));
}

/* ---- names ---- */

int __wrap_dns_addr(struct dns_query **slot, struct dns *d, const char *host,
    uint16_t port, dns_addr_cb *cb, void *arg);
int __wrap_dns_srv(struct dns_query **slot, struct dns *d, const char *name,
    dns_srv_cb *cb, void *arg);
int __wrap_dns_naptr(struct dns_query **slot, struct dns *d, const char *name,
    dns_naptr_cb *cb, void *arg);
void __wrap_dns_stop(struct dns_query **slot);

struct dns_query {
	struct deferred later;
	struct dns_query **slot;
	dns_addr_cb *addr_cb;
	dns_srv_cb *srv_cb;
	dns_naptr_cb *naptr_cb;
	void *arg;
	struct addr a;
	bool found;
};

/* Numbers are themselves; names do not exist. */
static void
on_resolved(void *arg)
{
	struct dns_query q = *(struct dns_query *)arg;

	*q.slot = NULL;
	free(arg);
	if (q.srv_cb != NULL)
		q.srv_cb(E_DNS_NODATA, NULL, 0, q.arg);
	else if (q.naptr_cb != NULL)
		q.naptr_cb(E_DNS_NODATA, NULL, 0, q.arg);
	else if (q.found)
		q.addr_cb(0, &q.a, 1, q.arg);
	else
		q.addr_cb(E_DNS_NXDOMAIN, NULL, 0, q.arg);
}

/* A query that ends from the loop. */
static int
query_new(struct dns_query **slot, struct dns_query **out_q, void *arg)
{
	struct dns_query *q;

	assert(*slot == NULL);
	if ((q = calloc(1, sizeof(*q))) == NULL)
		return ENOMEM;
	q->slot = slot;
	q->arg = arg;
	loop_defer(loop, &q->later, on_resolved, q);
	*slot = *out_q = q;
	return 0;
}

int
__wrap_dns_addr(struct dns_query **slot, struct dns *d, const char *host,
    uint16_t port, dns_addr_cb *cb, void *arg)
{
	struct dns_query *q;
	int err = query_new(slot, &q, arg);

	(void)d;
	if (err != 0)
		return err;
	q->addr_cb = cb;
	q->found = addr_parse(&q->a, slice_of(host), port) == 0;
	return 0;
}

int
__wrap_dns_srv(struct dns_query **slot, struct dns *d, const char *name,
    dns_srv_cb *cb, void *arg)
{
	struct dns_query *q;
	int err = query_new(slot, &q, arg);

	(void)d;
	(void)name;
	if (err == 0)
		q->srv_cb = cb;
	return err;
}

int
__wrap_dns_naptr(struct dns_query **slot, struct dns *d, const char *name,
    dns_naptr_cb *cb, void *arg)
{
	struct dns_query *q;
	int err = query_new(slot, &q, arg);

	(void)d;
	(void)name;
	if (err == 0)
		q->naptr_cb = cb;
	return err;
}

void
__wrap_dns_stop(struct dns_query **slot)
{
	if (*slot == NULL)
		return;
	loop_undefer(&(*slot)->later);
	free(*slot);
	*slot = NULL;
}
