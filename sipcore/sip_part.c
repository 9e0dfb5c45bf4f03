/* SPDX-License-Identifier: ISC */
/* Connections whose last word was said: what still comes in is dropped, so
 * that the peer gets to read it, and then they are closed. */
#include <stdlib.h>

#include "internal.h"

/* Longer than a round trip; what comes later is not worth a descriptor. */
#define PART_US (2 * SIPC_S)

struct sip_part {
	LIST_ENTRY(sip_part) link;
	struct tls_conn *c; /* owned */
	struct timer timer;
};

/* Frees one; `ours` is false if the connection frees itself. */
static void
part_free(struct sip_part *p, bool ours)
{
	LIST_REMOVE(p, link);
	timer_stop(&p->timer);
	if (ours)
		tls_conn_free(p->c);
	free(p);
}

/* tls_conn_cb. */
static void
on_conn(struct tls_conn *c, enum tls_event ev, int err, void *arg)
{
	(void)err;
	if (ev == TLS_EV_DATA)
		tls_conn_drain(c, tls_conn_peek(c).n);
	else if (ev == TLS_EV_CLOSED)
		part_free(arg, false);
}

/* timer_cb. */
static void
on_part_timer(void *arg)
{
	part_free(arg, true);
}

void
sip_part(struct sip_stack *s, struct tls_conn *c)
{
	struct sip_part *p = calloc(1, sizeof(*p));

	if (p == NULL ||
	    timer_start(&p->timer, s->conf.loop, PART_US, on_part_timer, p) !=
		0) {
		free(p);
		tls_conn_free(c);
		return;
	}
	p->c = c;
	LIST_INSERT_HEAD(&s->parts, p, link);
	tls_conn_set_cb(c, on_conn, p);
	tls_conn_drain(c, tls_conn_peek(c).n);
}

void
sip_parts_free(struct sip_stack *s)
{
	while (!LIST_EMPTY(&s->parts))
		part_free(LIST_FIRST(&s->parts), true);
}
