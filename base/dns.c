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
};

struct dns_query {
	LIST_ENTRY(dns_query) link;
	struct dns *d;           /* borrowed */
	struct dns_query **slot; /* borrowed from the caller */
	dns_addr_cb *addr_cb;    /* one of these two */
	dns_srv_cb *srv_cb;
	void *arg;
	uint16_t port;
	bool in_ares; /* c-ares holds a pointer to us */
	bool stopped; /* and is the last to do so */
	struct deferred ready;

	int err;
	struct addr as[DNS_ADDRS_MAX];
	struct dns_srv *srvs; /* owned */
	size_t num;
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

/* Frees a query nobody refers to. */
static void
query_free(struct dns_query *q)
{
	LIST_REMOVE(q, link);
	loop_undefer(&q->ready);
	free(q->srvs);
	free(q);
}

/* Makes a query; it is not in a slot yet. */
static int
query_new(struct dns_query **out, struct dns *d, void *arg)
{
	struct dns_query *q;

	if ((q = calloc(1, sizeof(*q))) == NULL)
		return ENOMEM;
	q->d = d;
	q->arg = arg;
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

	LIST_REMOVE(q, link);
	*q->slot = NULL;
	if (q->addr_cb != NULL)
		q->addr_cb(q->err, q->as, q->num, q->arg);
	else
		q->srv_cb(q->err, q->srvs, q->num, q->arg);
	free(q->srvs);
	free(q);
}

/* c-ares has let go of `q`: deliver later, or forget it if it was stopped. */
static void
query_end(struct dns_query *q, int err)
{
	q->in_ares = false;
	q->d->in_flight--;
	if (q->stopped) {
		query_free(q);
		return;
	}
	q->err = err;
	if (err != 0)
		q->num = 0;
	loop_defer(q->d->l, &q->ready, on_ready, q);
}

/* c-ares answers a question for addresses. */
static void
on_addrs(void *arg, int status, int timeouts, struct ares_addrinfo *ai)
{
	struct dns_query *q = arg;
	struct ares_addrinfo_node *n;

	(void)timeouts;
	for (n = ai != NULL ? ai->nodes : NULL;
	     n != NULL && q->num < DNS_ADDRS_MAX; n = n->ai_next) {
		if (addr_from_sockaddr(
			&q->as[q->num], n->ai_addr, n->ai_addrlen) != 0)
			continue;
		addr_set_port(&q->as[q->num++], q->port);
	}
	ares_freeaddrinfo(ai);
	if (status == ARES_SUCCESS && q->num == 0)
		status = ARES_ENODATA;
	query_end(q, err_of(q->d, status));
}

/* c-ares answers a question for services. */
static void
on_srvs(void *arg, int status, int timeouts, unsigned char *p, int n)
{
	struct dns_query *q = arg;
	int err = err_of(q->d, status);

	(void)timeouts;
	if (err == 0 && !q->stopped)
		err = dns_srvs_parse(p, (size_t)n, &q->srvs, &q->num);
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
	if (d->ch != NULL && d->in_flight == 0 && is_conf_new(d, &st))
		channel_close(d);
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
		q->num = 1;
	} else if (is_localhost(host)) {
		/* IPv4 first: more daemons listen there. */
		if (addr_parse_ip(&q->as[0], slice_of("127.0.0.1")) != 0 ||
		    addr_parse_ip(&q->as[1], slice_of("::1")) != 0)
			return false;
		q->num = 2;
	}
	for (size_t i = 0; i < q->num; i++)
		addr_set_port(&q->as[i], q->port);
	return q->num > 0;
}

int
dns_addr(struct dns_query **slot, struct dns *d, const char *host,
    uint16_t port, dns_addr_cb *cb, void *arg)
{
	const struct ares_addrinfo_hints hints = { .ai_family = AF_UNSPEC };
	struct dns_query *q;
	int err;

	if (*slot != NULL)
		return EALREADY;
	if ((err = query_new(&q, d, arg)) != 0)
		return err;
	q->addr_cb = cb;
	q->port = port;
	if (is_known(q, slice_of(host))) {
		query_publish(q, slot);
		loop_defer(d->l, &q->ready, on_ready, q);
		return 0;
	}
	err = dns_is_name(host) ? channel_open(d) : E_PARSE;
	if (err != 0) {
		query_free(q);
		return err;
	}
	query_publish(q, slot);
	q->in_ares = true;
	d->in_flight++;
	ares_getaddrinfo(d->ch, host, NULL, &hints, on_addrs, q);
	arm(d);
	return 0;
}

int
dns_srv(struct dns_query **slot, struct dns *d, const char *name,
    dns_srv_cb *cb, void *arg)
{
	struct dns_query *q;
	int err;

	if (*slot != NULL)
		return EALREADY;
	if (!dns_is_name(name))
		return E_PARSE;
	if ((err = channel_open(d)) != 0)
		return err;
	if ((err = query_new(&q, d, arg)) != 0)
		return err;
	q->srv_cb = cb;
	query_publish(q, slot);
	q->in_ares = true;
	d->in_flight++;
	/* No search list: a service belongs to one domain. */
	ares_query(d->ch, name, DNS_CLASS_IN, DNS_TYPE_SRV, on_srvs, q);
	arm(d);
	return 0;
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
