/* SPDX-License-Identifier: ISC */
/* The stack: makes and ends what all other parts share. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <osipparser2/osip_parser.h>
#include <osipparser2/osip_port.h>

#include "bellbird/mem.h"
#include "internal.h"

static const char *const transports[] = { "udp", "tcp", "tls", "auto" };

const char *
sip_transport_name(enum sip_transport t)
{
	return (unsigned int)t <= SIPC_AUTO ? transports[t] : "none";
}

void
sip_stack_set_rules(struct sip_stack *s, const struct sip_call_rules *rules)
{
	s->rules = *rules;
}

/* Ends everything in the order in which it depends on each other. */
static void
stack_empty(struct sip_stack *s)
{
	struct sip_listener *li;
	struct sip_flow *f;
	struct sip_sock *k;

	sip_referrals_free(s);
	sip_subs_free(s);
	sip_texts_free(s);
	sip_reg_end_all(s);
	while (!LIST_EMPTY(&s->calls))
		sip_call_drop(LIST_FIRST(&s->calls));
	while (!LIST_EMPTY(&s->all_ctxns))
		sip_ctxn_free(LIST_FIRST(&s->all_ctxns));
	while (!LIST_EMPTY(&s->all_reqs))
		sip_req_free(LIST_FIRST(&s->all_reqs));
	sip_dones_free(s);
	while ((li = LIST_FIRST(&s->listeners)) != NULL) {
		LIST_REMOVE(li, link);
		tls_listen_close(li->l);
		free(li);
	}
	while ((f = TAILQ_FIRST(&s->flows)) != NULL ||
	    (f = TAILQ_FIRST(&s->idle_peers)) != NULL)
		sip_flow_close(f, E_STOPPED);
	sip_parts_free(s);
	while ((k = LIST_FIRST(&s->socks)) != NULL)
		sip_sock_free(k);
	sip_stack_keep(s, 0);
}

/* Frees the struct itself. */
static void
stack_bury(struct sip_stack *s)
{
	sip_htab_clear(&s->flow_ids);
	sip_htab_clear(&s->flow_peers);
	sip_htab_clear(&s->ctxns);
	sip_htab_clear(&s->reqs);
	sip_htab_clear(&s->dones);
	sip_htab_clear(&s->dlgs);
	sip_htab_clear(&s->merges);
	sip_htab_clear(&s->peers);
	sip_allow_free(s->allow);
	while (s->num_tls_domains > 0)
		free(s->tls_domains[--s->num_tls_domains]);
	free(s->user_agent);
	mem_wipe(s->nonce_key, sizeof(s->nonce_key));
	free(s);
}

void
sip_stack_free(struct sip_stack *s)
{
	if (s == NULL || s->dead)
		return;
	s->hold++; /* flows that close hold and release, too */
	stack_empty(s);
	s->dead = true;
	(void)sip_release(s);
}

void
sip_hold(struct sip_stack *s)
{
	s->hold++;
}

bool
sip_release(struct sip_stack *s)
{
	bool dead = s->dead;

	if (--s->hold == 0 && dead)
		stack_bury(s);
	return !dead;
}

/* Tables and lists. */
static int
tables_init(struct sip_stack *s)
{
	int err;

	TAILQ_INIT(&s->flows);
	TAILQ_INIT(&s->idle_peers);
	TAILQ_INIT(&s->done_ring);
	TAILQ_INIT(&s->done_blocks);
	LIST_INIT(&s->listeners);
	LIST_INIT(&s->parts);
	LIST_INIT(&s->socks);
	LIST_INIT(&s->regs);
	LIST_INIT(&s->calls);
	LIST_INIT(&s->referrals);
	LIST_INIT(&s->subs);
	LIST_INIT(&s->texts);
	LIST_INIT(&s->all_ctxns);
	LIST_INIT(&s->all_reqs);
	if ((err = sip_htab_init(&s->flow_ids)) != 0 ||
	    (err = sip_htab_init(&s->flow_peers)) != 0 ||
	    (err = sip_htab_init(&s->ctxns)) != 0 ||
	    (err = sip_htab_init(&s->reqs)) != 0 ||
	    (err = sip_htab_init(&s->dones)) != 0 ||
	    (err = sip_htab_init(&s->dlgs)) != 0 ||
	    (err = sip_htab_init(&s->peers)) != 0)
		return err;
	return sip_htab_init(&s->merges);
}

/* The parser library talks to standard output unless told not to. */
static void
parser_once(void)
{
	static bool done;

	if (done)
		return;
	done = true;
	ignore_err(parser_init(), "it only fills tables");
#ifdef ENABLE_TRACE
	for (int lv = 0; lv < END_TRACE_LEVEL; lv++)
		osip_trace_disable_level((osip_trace_level_t)lv);
#endif
}

void
sip_stack_set_limits(struct sip_stack *s, const struct sip_stack_conf *conf)
{
	s->conf.max_calls =
	    conf->max_calls != 0 ? conf->max_calls : SIPC_CALLS_DEFAULT;
	s->conf.max_txns = conf->max_txns != 0 ? conf->max_txns : SIPC_REQS_MAX;
	s->conf.max_txns_peer =
	    conf->max_txns_peer != 0 ? conf->max_txns_peer : SIPC_REQS_PEER_MAX;
	s->conf.ring_bytes =
	    conf->ring_bytes != 0 ? conf->ring_bytes : SIPC_DONES_BYTES;
}

int
sip_stack_new(struct sip_stack **out, const struct sip_stack_conf *conf)
{
	struct sip_stack *s;
	int err;

	if ((s = calloc(1, sizeof(*s))) == NULL)
		return ENOMEM;
	parser_once();
	s->conf = *conf;
	s->conf.user_agent = NULL;
	sip_stack_set_limits(s, conf);
	s->allow_gen = 1;
	tls_random(&s->hkey, sizeof(s->hkey));
	tls_random(s->nonce_key, sizeof(s->nonce_key));
	if ((err = tables_init(s)) != 0)
		goto out;
	s->user_agent =
	    strdup(conf->user_agent != NULL && sip_clean(conf->user_agent)
		    ? conf->user_agent
		    : "bellbird");
	if (s->user_agent == NULL) {
		err = ENOMEM;
		goto out;
	}
	*out = s;
	s = NULL;
out:
	sip_stack_free(s);
	return err;
}

void
sip_stack_set_dscp(struct sip_stack *s, int dscp)
{
	struct sip_sock *k;

	s->conf.dscp = dscp;
	LIST_FOREACH (k, &s->socks, link)
		ignore_err(udp_set_dscp(k->u, dscp), "marking is best effort");
}

/* ---- domains that offer TLS ---- */

bool
sip_stack_had_tls(const struct sip_stack *s, const char *domain)
{
	for (size_t i = 0; i < s->num_tls_domains; i++) {
		if (strcasecmp(s->tls_domains[i], domain) == 0)
			return true;
	}
	return false;
}

void
sip_stack_tls_offered(struct sip_stack *s, const char *domain)
{
	struct addr a;
	char *copy;

	if (sip_stack_had_tls(s, domain) || domain[0] == '\0' ||
	    strlen(domain) > SIPC_HOST_MAX || !sip_clean(domain) ||
	    addr_parse(&a, slice_of(domain), 1) == 0 ||
	    slice_case_is(slice_of(domain), "localhost") ||
	    (copy = strdup(domain)) == NULL)
		return;
	if (s->num_tls_domains == SIPC_TLS_DOMAINS_MAX) {
		free(s->tls_domains[0]);
		memmove(&s->tls_domains[0], &s->tls_domains[1],
		    (SIPC_TLS_DOMAINS_MAX - 1) * sizeof(s->tls_domains[0]));
		s->num_tls_domains--;
	}
	s->tls_domains[s->num_tls_domains++] = copy;
	if (s->conf.on_tls_domain != NULL)
		s->conf.on_tls_domain(domain, s->conf.arg);
}

void
sip_stack_each_tls_domain(
    const struct sip_stack *s, sip_domain_cb *cb, void *arg)
{
	for (size_t i = 0; i < s->num_tls_domains; i++)
		cb(s->tls_domains[i], arg);
}

void
sip_stack_allow_clear(struct sip_stack *s, bool allow)
{
	s->clear_ok = allow;
}

void
sip_stack_set_max_calls(struct sip_stack *s, unsigned int max_calls)
{
	s->conf.max_calls = max_calls;
}

void
sip_stack_get_stats(const struct sip_stack *s, struct sip_stack_stats *out)
{
	*out = s->stats;
	out->txns = (unsigned int)(s->ctxns.n + s->reqs.n);
	out->dialogs = (unsigned int)s->dlgs.n;
	out->flows = (unsigned int)s->flow_ids.n;
}
