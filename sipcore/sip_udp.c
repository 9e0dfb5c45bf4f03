/* SPDX-License-Identifier: ISC */
/* UDP: the sockets of the stack, and flows that stand for the peers behind
 * them.  One socket serves registrations and calls alike. */
#include <stdlib.h>
#include <string.h>

#include "bellbird/log.h"
#include "internal.h"

bool
sip_is_wildcard(const struct addr *a)
{
	static const struct in6_addr any6;

	if (a->u.sa.sa_family == AF_INET)
		return a->u.in.sin_addr.s_addr == 0;
	return memcmp(&a->u.in6.sin6_addr, &any6, sizeof(any6)) == 0;
}

/* Drops line ends before a message; a datagram of nothing else is a
 * keep-alive. */
static struct slice
skip_crlf(struct slice s)
{
	while (s.n > 0 && (*s.p == '\r' || *s.p == '\n')) {
		s.p++;
		s.n--;
	}
	return s;
}

/* udp_cb. */
static void
on_datagram(
    struct udp *u, uint8_t *p, size_t n, const struct addr *from, void *arg)
{
	struct sip_sock *k = arg;
	struct sip_stack *s = k->s;
	struct slice in = skip_crlf((struct slice){ (const char *)p, n });
	struct sip_src src = { NULL, k, *from };
	struct sip_fault bad = { .why = NULL };
	struct sip_msg *m;
	size_t len = 0;
	int err;

	(void)u;
	if (sip_stun_is(p, n)) {
		if ((src.flow = sip_flow_find_udp(s, k, from)) != NULL)
			sip_flow_stun(src.flow, p, n);
		return;
	}
	if (in.n == 0)
		return;
	src.flow = sip_flow_find_udp(s, k, from);
	if (src.flow != NULL && src.flow->idle) {
		TAILQ_REMOVE(&s->idle_peers, src.flow, link);
		TAILQ_INSERT_TAIL(&s->idle_peers, src.flow, link);
	}
	err = sip_frame_datagram(in, &len, &bad);
	if (err == 0 || bad.code != 0) {
		in.n = err == 0 ? len : bad.head;
		err = sip_msg_read(&m, in, bad.code, bad.why);
	}
	if (err != 0) {
		s->stats.rx_bad++;
		log_debug(LOGC_SIP, 0, "datagram dropped why=%s",
		    bad.why != NULL ? bad.why : "not a SIP message");
		return;
	}
	s->stats.rx_msgs++;
	sip_trace_in(s, &src, in);
	sip_hold(s);
	sip_dispatch(s, &src, m);
	(void)sip_release(s);
}

/* udp_err_cb: nobody is there. */
static void
on_unreachable(struct udp *u, int err, const struct addr *to, void *arg)
{
	struct sip_sock *k = arg;
	struct sip_flow *f = sip_flow_find_udp(k->s, k, to);

	(void)u;
	if (f != NULL && (err == ECONNREFUSED || err == EHOSTUNREACH))
		sip_ctxn_unreachable(f, err);
}

int
sip_sock_open(struct sip_sock **out, struct sip_stack *s,
    const struct addr *local, bool listener)
{
	struct sip_sock *k;
	int err;

	if ((k = calloc(1, sizeof(*k))) == NULL)
		return ENOMEM;
	k->s = s;
	k->listener = listener;
	err =
	    udp_open(&k->u, s->conf.loop, local, s->conf.dscp, on_datagram, k);
	if (err == 0)
		ignore_err(udp_on_unreachable(k->u, on_unreachable),
		    "what is silent is given up, too, only later");
	if (err != 0) {
		free(k);
		return err;
	}
	LIST_INSERT_HEAD(&s->socks, k, link);
	*out = k;
	return 0;
}

void
sip_sock_free(struct sip_sock *k)
{
	if (k == NULL)
		return;
	LIST_REMOVE(k, link);
	udp_free(k->u);
	free(k);
}

/* May datagrams to `remote` leave by a socket bound to `local`? */
static bool
suits(const struct addr *local, const struct addr *remote)
{
	if (local->u.sa.sa_family != remote->u.sa.sa_family)
		return false;
	return sip_is_wildcard(local) ||
	    addr_is_loopback(local) == addr_is_loopback(remote);
}

/* Finds the socket to use towards `remote`, or opens the one of the stack. */
static int
sock_for(struct sip_sock **out, struct sip_stack *s, const struct addr *remote)
{
	struct sip_sock *k, *best = NULL;
	struct addr local;
	int err;

	LIST_FOREACH (k, &s->socks, link) {
		udp_local(k->u, &local);
		if (suits(&local, remote) &&
		    (best == NULL || (k->listener && !best->listener)))
			best = k;
	}
	if (best != NULL) {
		*out = best;
		return 0;
	}
	if ((err = addr_parse(&local,
		 slice_of(remote->u.sa.sa_family == AF_INET ? "0.0.0.0" : "::"),
		 0)) != 0)
		return err;
	return sip_sock_open(out, s, &local, false);
}

/* Hash of a peer behind a socket. */
static uint64_t
peer_hash(
    const struct sip_stack *s, const struct sip_sock *k, const struct addr *a)
{
	struct slice parts[2] = {
		{ (const char *)&k, sizeof(const struct sip_sock *) },
		{ (const char *)&a->u.in.sin_addr, sizeof(a->u.in.sin_addr) },
	};
	struct sip_hkey key = s->hkey;

	if (a->u.sa.sa_family == AF_INET6)
		parts[1] = (struct slice){ (const char *)&a->u.in6.sin6_addr,
			sizeof(a->u.in6.sin6_addr) };
	key.k1 ^= addr_port(a);
	return sip_hash(&key, parts, 2);
}

struct sip_flow *
sip_flow_find_udp(const struct sip_stack *s, const struct sip_sock *sock,
    const struct addr *remote)
{
	struct sip_hnode *n;
	struct sip_flow *f;

	n = sip_htab_first(&s->flow_peers, peer_hash(s, sock, remote));
	for (; n != NULL; n = sip_hnode_next(n)) {
		f = SIP_OBJ(n, struct sip_flow, by_peer);
		if (f->sock == sock && addr_eq(&f->remote, remote))
			return f;
	}
	return NULL;
}

int
sip_flow_udp(struct sip_flow **out, struct sip_stack *s, struct sip_sock *sock,
    const struct addr *remote)
{
	struct sip_flow *f;
	struct addr local;
	int err;

	if (sock == NULL && (err = sock_for(&sock, s, remote)) != 0)
		return err;
	if ((f = sip_flow_find_udp(s, sock, remote)) != NULL) {
		*out = f;
		return 0;
	}
	udp_local(sock->u, &local);
	if (sip_is_wildcard(&local)) {
		uint16_t port = addr_port(&local);

		if ((err = addr_local_for(remote, &local)) != 0)
			return err;
		addr_set_port(&local, port);
	}
	/* Whoever was silent for longest of those nobody watches. */
	while (s->num_idle >= SIPC_PEERS_MAX)
		sip_flow_close(TAILQ_FIRST(&s->idle_peers), 0);
	if ((f = calloc(1, sizeof(*f))) == NULL)
		return ENOMEM;
	f->s = s;
	f->id = ++s->next_flow;
	f->t = SIPC_UDP;
	f->up = true;
	f->sock = sock;
	f->remote = *remote;
	f->local = local;
	LIST_INIT(&f->watches);
	sip_htab_add(&s->flow_ids, &f->by_id, f->id);
	sip_htab_add(&s->flow_peers, &f->by_peer, peer_hash(s, sock, remote));
	f->idle = true;
	TAILQ_INSERT_TAIL(&s->idle_peers, f, link);
	s->num_idle++;
	*out = f;
	return 0;
}
