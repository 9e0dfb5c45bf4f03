/* SPDX-License-Identifier: ISC */
/* Finished server transactions on UDP: key and encoded answer in a bounded
 * ring (RFC 3261 17.2, RFC 6026).  Streams do not repeat and need none.
 *
 * The ring is made of blocks that come from the kernel and go back to it: after
 * a burst the heap is not left with holes of its size. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bellbird/clock.h"
#include "bellbird/log.h"
#include "internal.h"

/* A dozen answers; pages of it that are not used cost nothing. */
enum { BLOCK = 64 * 1024, ALIGN = 16 };

struct sip_done_block {
	TAILQ_ENTRY(sip_done_block) link;
	size_t size, used;
	size_t live; /* entries */
	_Alignas(ALIGN) char room[];
};

struct sip_done {
	struct sip_done_block *block;
	struct sip_hnode node;
	TAILQ_ENTRY(sip_done) link;
	struct sip_stack *s;
	struct sip_sock *sock;
	struct addr to;      /* where the answer went */
	struct addr from;    /* who asked */
	int64_t expires_us;  /* timers H, J, L */
	int64_t interval_us; /* timer G; 0: not waiting for an ACK */
	struct timer timer;
	size_t n;
	char rsp[];
};

/* Forgets one; the last of a block takes that along. */
static void
done_free(struct sip_done *d)
{
	struct sip_done_block *b = d->block;
	struct sip_stack *s = d->s;

	timer_stop(&d->timer);
	sip_htab_del(&s->dones, &d->node);
	TAILQ_REMOVE(&s->done_ring, d, link);
	if (--b->live > 0)
		return;
	TAILQ_REMOVE(&s->done_blocks, b, link);
	s->done_bytes -= b->size;
	(void)munmap(b, b->size);
}

/* Makes room for an entry of `n` bytes; the oldest make way. */
static struct sip_done *
done_new(struct sip_stack *s, size_t n)
{
	struct sip_done_block *b = TAILQ_LAST(&s->done_blocks, sip_done_blocks);
	size_t size = BLOCK;
	struct sip_done *d;

	n = (sizeof(*d) + n + ALIGN - 1) / ALIGN * ALIGN;
	if (b == NULL || b->size - sizeof(*b) - b->used < n) {
		if (n > size - sizeof(*b))
			size = n + sizeof(*b);
		while (!TAILQ_EMPTY(&s->done_ring) &&
		    s->done_bytes + size > s->conf.ring_bytes)
			done_free(TAILQ_FIRST(&s->done_ring));
		b = mmap(NULL, size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (b == MAP_FAILED)
			return NULL;
		b->size = size;
		s->done_bytes += size;
		TAILQ_INSERT_TAIL(&s->done_blocks, b, link);
	}
	d = (struct sip_done *)(void *)(b->room + b->used);
	b->used += n;
	b->live++;
	d->block = b;
	return d;
}

/* Says it again. */
static void
done_send(struct sip_done *d)
{
	struct sip_flow *f;

	if (d->n == 0 || sip_flow_udp(&f, d->s, d->sock, &d->to) != 0)
		return;
	ignore_err(sip_flow_send(f, d->rsp, d->n), "UDP loses, too");
}

/* Timer G: the refusal of an INVITE until its ACK comes. */
static void
on_timer_g(void *arg)
{
	struct sip_done *d = arg;

	if (clock_mono_us() >= d->expires_us) {
		log_debug(LOGC_SIP, 0, "no ACK for a refusal");
		done_free(d);
		return;
	}
	done_send(d);
	d->interval_us *= 2;
	if (d->interval_us > SIPC_T2)
		d->interval_us = SIPC_T2;
	if (timer_start(
		&d->timer, d->s->conf.loop, d->interval_us, on_timer_g, d) != 0)
		done_free(d);
}

/* Drops what is too old; one timer for all while there are any. */
static void
on_age(void *arg)
{
	struct sip_stack *s = arg;
	struct sip_done *d;
	int64_t now = clock_mono_us();

	while ((d = TAILQ_FIRST(&s->done_ring)) != NULL && d->expires_us <= now)
		done_free(d);
	if (d != NULL &&
	    timer_start(&s->done_timer, s->conf.loop, d->expires_us - now,
		on_age, s) != 0)
		sip_dones_free(s);
}

void
sip_done_add(
    const struct sip_req *r, struct sip_flow *f, int code, struct slice rsp)
{
	struct sip_stack *s = r->s;
	struct sip_done *d;

	if (f->t != SIPC_UDP)
		return;
	if ((d = done_new(s, rsp.n)) == NULL)
		return; /* the peer's repeats find nothing, no more */
	d->s = s;
	d->sock = f->sock;
	d->to = f->remote;
	d->from = r->from;
	d->expires_us = clock_mono_us() + SIPC_T1X64;
	d->n = rsp.n;
	if (rsp.n > 0)
		memcpy(d->rsp, rsp.p, rsp.n);
	sip_htab_add(&s->dones, &d->node, r->node.h);
	TAILQ_INSERT_TAIL(&s->done_ring, d, link);
	if (!timer_is_armed(&s->done_timer))
		ignore_err(timer_start(&s->done_timer, s->conf.loop, SIPC_T1X64,
			       on_age, s),
		    "the ring is bounded anyway");
	if (!r->invite || code < 300)
		return;
	d->interval_us = SIPC_T1;
	if (timer_start(&d->timer, s->conf.loop, SIPC_T1, on_timer_g, d) != 0)
		d->interval_us = 0;
}

bool
sip_done_has(const struct sip_stack *s, const struct sip_src *src, uint64_t key)
{
	struct sip_hnode *n = sip_htab_first(&s->dones, key);
	const struct sip_done *d;

	for (; n != NULL; n = sip_hnode_next(n)) {
		d = SIP_OBJ(n, struct sip_done, node);
		if (d->sock == src->sock && addr_eq(&d->from, &src->from))
			return true;
	}
	return false;
}

bool
sip_done_input(struct sip_stack *s, const struct sip_src *src,
    const struct sip_msg *m, uint64_t key)
{
	struct sip_hnode *n = sip_htab_first(&s->dones, key);
	struct sip_done *d;

	for (; n != NULL; n = sip_hnode_next(n)) {
		d = SIP_OBJ(n, struct sip_done, node);
		if (d->sock != src->sock || !addr_eq(&d->from, &src->from))
			continue;
		if (!sip_msg_is(m, "ACK")) {
			done_send(d);
			return true;
		}
		if (d->n == 0)
			return false; /* of a 2xx: the call wants it */
		timer_stop(&d->timer);
		d->interval_us = 0;
		return true;
	}
	return false;
}

void
sip_dones_free(struct sip_stack *s)
{
	struct sip_done *d;

	while ((d = TAILQ_FIRST(&s->done_ring)) != NULL)
		done_free(d);
	timer_stop(&s->done_timer);
}
