/* SPDX-License-Identifier: ISC */
/* Name queries: c-ares in the loop, answers delivered from the loop only.
 * No callback of ours ever runs inside c-ares, so any of them may free us. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <ares.h>

#include "bellbird/clock.h"
#include "bellbird/dns.h"
#include "bellbird/log.h"
#include "dns_internal.h"
#include "internal.h"

enum {
	TRY_MS = 2000,    /* a server that needs longer is no help in a call */
	TRIES = 2,        /* the second waits twice as long */
	EDNS_BYTES = 1232 /* passes every path unfragmented (DNS flag day) */
};

/* A descriptor of c-ares. */
struct dns_io {
	LIST_ENTRY(dns_io) link;
	struct io io;
	struct dns *d;
	int fd;
};

struct dns {
	struct loop *l;   /* borrowed */
	char *servers;    /* owned; NULL: the system's */
	ares_channel ch;  /* owned; NULL until there is something to ask */
	struct stat conf; /* resolv.conf as `ch` has read it */
	struct timer timer;
	unsigned int in_flight; /* queries c-ares still has to answer */
	bool starved; /* queries are being cancelled for lack of memory */
	LIST_HEAD(, dns_io) ios;
	LIST_HEAD(, dns_query) queries; /* owned */
	struct dns_cache cache;
};

struct dns_query {
	LIST_ENTRY(dns_query) link;
	struct dns *d;           /* borrowed */
	struct dns_query **slot; /* borrowed from the caller */
	enum dns_kind kind;
	union {
		dns_addr_cb *addr;
		dns_srv_cb *srv;
		dns_naptr_cb *naptr;
	} cb;
	void *arg;
	uint16_t port;
	bool in_ares; /* c-ares holds a pointer to us */
	bool stopped; /* and is the last to do so */
	struct deferred ready;
	struct dns_found found; /* `v` is `as`, or owned */
	struct addr as[DNS_ADDRS_MAX];
	char name[DNS_NAME_MAX];
};

static void arm(struct dns *d);

/* c-ares' results in our words. */
static int
err_of(const struct dns *d, int status)
{
	switch (status) {
	case ARES_SUCCESS:
		return 0;
	case ARES_ENOTFOUND:
	case ARES_EBADNAME:
		return E_DNS_NXDOMAIN;
	case ARES_ENODATA:
		return E_DNS_NODATA;
	case ARES_ETIMEOUT:
		return ETIMEDOUT;
	case ARES_ENOMEM:
		return ENOMEM;
	case ARES_ECANCELLED:
	case ARES_EDESTRUCTION:
		return d->starved ? ENOMEM : E_STOPPED;
	default:
		return E_DNS_FAIL;
	}
}

/* Frees what was found. */
static void
found_free(struct dns_query *q)
{
	if (q->kind != DNS_ADDR)
		free(q->found.v);
}

/* Frees a query nobody refers to. */
static void
query_free(struct dns_query *q)
{
	LIST_REMOVE(q, link);
	loop_undefer(&q->ready);
	found_free(q);
	free(q);
}

/* Makes a query; it is not in a slot yet. */
static int
query_new(struct dns_query **out, struct dns *d, enum dns_kind kind,
    const char *name, void *arg)
{
	struct dns_query *q;

	if ((q = calloc(1, sizeof(*q))) == NULL)
		return ENOMEM;
	q->d = d;
	q->kind = kind;
	q->arg = arg;
	if (kind == DNS_ADDR)
		q->found.v = q->as;
	/* What does not fit is no name and is refused as such. */
	ignore_err(str_copy(q->name, sizeof(q->name), name), "judged later");
	LIST_INSERT_HEAD(&d->queries, q, link);
	*out = q;
	return 0;
}

/* Puts a query into the caller's slot. */
static void
query_publish(struct dns_query *q, struct dns_query **slot)
{
	q->slot = slot;
	*slot = q;
}

/* Delivers: the query is gone before its owner hears of it. */
static void
on_ready(void *arg)
{
	struct dns_query *q = arg;
	struct dns_found *f = &q->found;

	LIST_REMOVE(q, link);
	*q->slot = NULL;
	for (size_t i = 0; q->kind == DNS_ADDR && i < f->num; i++)
		addr_set_port(&q->as[i], q->port);
	if (q->kind == DNS_ADDR)
		q->cb.addr(f->err, q->as, f->num, q->arg);
	else if (q->kind == DNS_SRV)
		q->cb.srv(f->err, f->v, f->num, q->arg);
	else
		q->cb.naptr(f->err, f->v, f->num, q->arg);
	found_free(q);
	free(q);
}

/* Takes a copy of what the cache holds; false without memory. */
static bool
query_take(struct dns_query *q, const struct dns_found *f)
{
	size_t n = f->num * dns_kind_size(q->kind);

	if (q->kind != DNS_ADDR && n > 0 && (q->found.v = malloc(n)) == NULL)
		return false;
	if (n > 0)
		memcpy(q->found.v, f->v, n);
	q->found.err = f->err;
	q->found.num = f->num;
	if (q->kind == DNS_SRV && f->num > 0)
		dns_srvs_order(q->found.v, f->num, dns_random_upto);
	return true;
}

/* c-ares has let go of `q`: deliver later, or forget it if it was stopped. */
static void
query_end(struct dns_query *q, int err)
{
	struct dns_cache *c = &q->d->cache;
	const struct dns_found *old;

	q->in_ares = false;
	q->d->in_flight--;
	q->found.err = err;
	if (err != 0)
		q->found.num = 0;
	if (err == 0 || err == E_DNS_NXDOMAIN || err == E_DNS_NODATA)
		dns_cache_put(c, q->kind, q->name, &q->found);
	else if ((err == ETIMEDOUT || err == E_DNS_FAIL) &&
	    (old = dns_cache_stale(c, q->kind, q->name)) != NULL &&
	    query_take(q, old))
		log_warn(LOGC_DNS, 0,
		    "no name server answers; what is known of %s is used",
		    esc(q->name));
	if (q->stopped)
		query_free(q);
	else
		loop_defer(q->d->l, &q->ready, on_ready, q);
}

/* The shortest life time of all that led to the addresses. */
static uint32_t
ttl_of(const struct ares_addrinfo *ai)
{
	const struct ares_addrinfo_node *n;
	const struct ares_addrinfo_cname *c;
	int ttl = INT32_MAX;

	for (n = ai->nodes; n != NULL; n = n->ai_next)
		ttl = n->ai_ttl < ttl ? n->ai_ttl : ttl;
	for (c = ai->cnames; c != NULL; c = c->next)
		ttl = c->ttl < ttl ? c->ttl : ttl;
	/* 0 also for what the hosts file says. */
	return ttl > 0 ? (uint32_t)ttl : 0;
}

/* c-ares answers a question for addresses. */
static void
on_addrs(void *arg, int status, int timeouts, struct ares_addrinfo *ai)
{
	struct dns_query *q = arg;
	struct ares_addrinfo_node *n;

	(void)timeouts;
	for (n = ai != NULL ? ai->nodes : NULL;
	     n != NULL && q->found.num < DNS_ADDRS_MAX; n = n->ai_next) {
		if (addr_from_sockaddr(
			&q->as[q->found.num], n->ai_addr, n->ai_addrlen) == 0)
			q->found.num++;
	}
	q->found.ttl_s = ai != NULL ? ttl_of(ai) : 0;
	ares_freeaddrinfo(ai);
	if (status == ARES_SUCCESS && q->found.num == 0)
		status = ARES_ENODATA;
	query_end(q, err_of(q->d, status));
}

/* The shortest life time of the records found. */
static uint32_t
ttl_of_records(const struct dns_query *q)
{
	const struct dns_srv *srvs = q->found.v;
	const struct dns_naptr *naptrs = q->found.v;
	uint32_t ttl_s = DNS_TTL_MAX_S, one;

	for (size_t i = 0; i < q->found.num; i++) {
		one = q->kind == DNS_SRV ? srvs[i].ttl_s : naptrs[i].ttl_s;
		ttl_s = one < ttl_s ? one : ttl_s;
	}
	return ttl_s;
}

/* c-ares answers a question for services. */
static void
on_records(void *arg, int status, int timeouts, unsigned char *p, int n)
{
	struct dns_query *q = arg;
	struct dns_found *f = &q->found;
	int err = err_of(q->d, status);
	struct dns_srv *srvs = NULL;
	struct dns_naptr *naptrs = NULL;

	(void)timeouts;
	if (err == 0 && q->kind == DNS_SRV)
		err = dns_srvs_parse(p, (size_t)n, &srvs, &f->num);
	else if (err == 0)
		err = dns_naptrs_parse(p, (size_t)n, &naptrs, &f->num);
	f->v = srvs != NULL ? (void *)srvs : (void *)naptrs;
	if (err == 0)
		f->ttl_s = ttl_of_records(q);
	else if (p != NULL && (err == E_DNS_NXDOMAIN || err == E_DNS_NODATA))
		f->ttl_s = dns_negative_ttl_s(p, (size_t)n);
	query_end(q, err);
}

/* A descriptor of c-ares is ready. */
static void
on_io(int fd, int what, void *arg)
{
	struct dns *d = ((struct dns_io *)arg)->d;

	ares_process_fd(d->ch, what & IO_READ ? fd : ARES_SOCKET_BAD,
	    what & IO_WRITE ? fd : ARES_SOCKET_BAD);
	arm(d);
}

/* The time of c-ares has come. */
static void
on_time(void *arg)
{
	struct dns *d = arg;

	ares_process_fd(d->ch, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	arm(d);
}

/* c-ares opens, changes or closes a descriptor. */
static void
on_state(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct dns *d = arg;
	struct dns_io *i;
	int what = (readable ? IO_READ : 0) | (writable ? IO_WRITE : 0);

	LIST_FOREACH (i, &d->ios, link) {
		if (i->fd == fd)
			break;
	}
	if (what == 0) {
		if (i != NULL) {
			io_stop(&i->io);
			LIST_REMOVE(i, link);
			free(i);
		}
		return;
	}
	if (i == NULL) {
		/* Without it the query ends by its time limit. */
		if ((i = calloc(1, sizeof(*i))) == NULL)
			return;
		i->d = d;
		i->fd = fd;
		LIST_INSERT_HEAD(&d->ios, i, link);
	}
	ignore_err(io_start(&i->io, d->l, fd, what, on_io, i),
	    "the query ends by its time limit");
}

/* Sets the timer for what c-ares waits for next. */
static void
arm(struct dns *d)
{
	struct timeval tv;
	int64_t us;

	if (d->in_flight == 0 || ares_timeout(d->ch, NULL, &tv) == NULL) {
		timer_stop(&d->timer);
		return;
	}
	us = (int64_t)tv.tv_sec * 1000000 + tv.tv_usec;
	if (timer_start(&d->timer, d->l, us, on_time, d) == 0)
		return;
	/* Without a timer the queries might never end. */
	d->starved = true;
	ares_cancel(d->ch);
	d->starved = false;
}

/* Ends the channel; c-ares tells its queries, which must be stopped. */
static void
channel_close(struct dns *d)
{
	struct dns_io *i;

	if (d->ch == NULL)
		return;
	timer_stop(&d->timer);
	ares_destroy(d->ch);
	d->ch = NULL;
	while ((i = LIST_FIRST(&d->ios)) != NULL) {
		io_stop(&i->io);
		LIST_REMOVE(i, link);
		free(i);
	}
}

/* True if DHCP or the operator has changed the servers since. */
static bool
is_conf_new(const struct dns *d, const struct stat *now)
{
	return now->st_ino != d->conf.st_ino || now->st_dev != d->conf.st_dev ||
	    now->st_size != d->conf.st_size ||
	    now->st_mtim.tv_sec != d->conf.st_mtim.tv_sec ||
	    now->st_mtim.tv_nsec != d->conf.st_mtim.tv_nsec;
}

/* Opens the channel, or a new one if resolv.conf has changed. */
static int
channel_open(struct dns *d)
{
	/* c-ares wants a string it may write to. */
	static char lookups[] = "fb"; /* hosts file, then DNS */
	struct ares_options o;
	int mask, status;
	struct stat st;

	memset(&st, 0, sizeof(st));
	if (d->servers == NULL && stat("/etc/resolv.conf", &st) != 0)
		memset(&st, 0, sizeof(st));
	if (d->ch != NULL && d->in_flight == 0 && is_conf_new(d, &st)) {
		channel_close(d);
		dns_cache_clear(&d->cache); /* another network, other names */
	}
	if (d->ch != NULL)
		return 0;
	memset(&o, 0, sizeof(o));
	o.flags = ARES_FLAG_EDNS;
	o.timeout = TRY_MS;
	o.tries = TRIES;
	o.ednspsz = EDNS_BYTES;
	o.lookups = lookups;
	o.sock_state_cb = on_state;
	o.sock_state_cb_data = d;
	mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
	    ARES_OPT_EDNSPSZ | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB;
	/* Servers named by the caller: no search list of this machine. */
	if (d->servers != NULL)
		mask |= ARES_OPT_DOMAINS;
	status = ares_init_options(&d->ch, &o, mask);
	if (status != ARES_SUCCESS) {
		d->ch = NULL;
		return status == ARES_ENOMEM ? ENOMEM : E_DNS_FAIL;
	}
	if (d->servers != NULL) {
		status = ares_set_servers_ports_csv(d->ch, d->servers);
		if (status != ARES_SUCCESS) {
			channel_close(d);
			return status == ARES_ENOMEM ? ENOMEM : E_PARSE;
		}
	}
	d->conf = st;
	return 0;
}

int
dns_new(struct dns **out, struct loop *l, const char *servers)
{
	struct dns *d;

	if ((d = calloc(1, sizeof(*d))) == NULL)
		return ENOMEM;
	if (servers != NULL && (d->servers = strdup(servers)) == NULL) {
		free(d);
		return ENOMEM;
	}
	if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS) {
		free(d->servers);
		free(d);
		return ENOMEM;
	}
	d->l = l;
	LIST_INIT(&d->ios);
	LIST_INIT(&d->queries);
	dns_cache_init(&d->cache);
	*out = d;
	return 0;
}

void
dns_free(struct dns *d)
{
	struct dns_query *q, *next;

	if (d == NULL)
		return;
	for (q = LIST_FIRST(&d->queries); q != NULL; q = next) {
		next = LIST_NEXT(q, link);
		if (!q->stopped)
			dns_stop(&(struct dns_query *){ q });
	}
	channel_close(d); /* ends those c-ares still had */
	assert(LIST_EMPTY(&d->queries));
	dns_cache_clear(&d->cache);
	ares_library_cleanup();
	free(d->servers);
	free(d);
}

/* True for "localhost" and what ends in it (RFC 6761 6.3). */
static bool
is_localhost(struct slice s)
{
	static const char name[] = "localhost";
	size_t n = sizeof(name) - 1;

	if (s.n > 0 && s.p[s.n - 1] == '.')
		s.n--;
	if (s.n > n && s.p[s.n - n - 1] == '.')
		s = (struct slice){ s.p + s.n - n, n };
	return slice_case_is(s, name);
}

/* Answers what needs no question; false if it does. */
static bool
is_known(struct dns_query *q, struct slice host)
{
	if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = (struct slice){ host.p + 1, host.n - 2 };
	if (addr_parse_ip(&q->as[0], host) == 0) {
		q->found.num = 1;
	} else if (is_localhost(host)) {
		/* IPv4 first: more daemons listen there. */
		if (addr_parse_ip(&q->as[0], slice_of("127.0.0.1")) != 0 ||
		    addr_parse_ip(&q->as[1], slice_of("::1")) != 0)
			return false;
		q->found.num = 2;
	}
	return q->found.num > 0;
}

/* Asks c-ares. */
static void
query_ask(struct dns_query *q)
{
	const struct ares_addrinfo_hints hints = { .ai_family = AF_UNSPEC };
	struct dns *d = q->d;

	q->in_ares = true;
	d->in_flight++;
	if (q->kind == DNS_ADDR)
		ares_getaddrinfo(d->ch, q->name, NULL, &hints, on_addrs, q);
	else /* no search list: a service belongs to one domain */
		ares_query(d->ch, q->name, DNS_CLASS_IN,
		    q->kind == DNS_SRV ? DNS_TYPE_SRV : DNS_TYPE_NAPTR,
		    on_records, q);
	arm(d);
}

/* Answers from what is known, or asks; takes `q`, also on failure. */
static int
query_start(struct dns_query *q, const char *name, struct dns_query **slot)
{
	struct dns *d = q->d;
	const struct dns_found *f;
	int err = 0;
	bool known = q->kind == DNS_ADDR && is_known(q, slice_of(name));

	if (!known)
		err = dns_is_name(name) ? channel_open(d) : E_PARSE;
	if (err != 0) {
		query_free(q);
		return err;
	}
	query_publish(q, slot);
	if (!known && (f = dns_cache_find(&d->cache, q->kind, name)) != NULL)
		known = query_take(q, f);
	if (known)
		loop_defer(d->l, &q->ready, on_ready, q);
	else
		query_ask(q);
	return 0;
}

int
dns_addr(struct dns_query **slot, struct dns *d, const char *host,
    uint16_t port, dns_addr_cb *cb, void *arg)
{
	struct dns_query *q;
	int err;

	if (*slot != NULL)
		return EALREADY;
	if ((err = query_new(&q, d, DNS_ADDR, host, arg)) != 0)
		return err;
	q->cb.addr = cb;
	q->port = port;
	return query_start(q, host, slot);
}

int
dns_srv(struct dns_query **slot, struct dns *d, const char *name,
    dns_srv_cb *cb, void *arg)
{
	struct dns_query *q;
	int err;

	if (*slot != NULL)
		return EALREADY;
	if ((err = query_new(&q, d, DNS_SRV, name, arg)) != 0)
		return err;
	q->cb.srv = cb;
	return query_start(q, name, slot);
}

int
dns_naptr(struct dns_query **slot, struct dns *d, const char *name,
    dns_naptr_cb *cb, void *arg)
{
	struct dns_query *q;
	int err;

	if (*slot != NULL)
		return EALREADY;
	if ((err = query_new(&q, d, DNS_NAPTR, name, arg)) != 0)
		return err;
	q->cb.naptr = cb;
	return query_start(q, name, slot);
}

void
dns_stop(struct dns_query **slot)
{
	struct dns_query *q = *slot;

	if (q == NULL)
		return;
	*slot = NULL;
	if (q->slot != NULL && q->slot != slot)
		*q->slot = NULL;
	if (q->in_ares)
		q->stopped = true; /* c-ares frees it at its end */
	else
		query_free(q);
}
