/* SPDX-License-Identifier: ISC */
/* 3xx answers to an INVITE (RFC 3261 8.1.3.4): the other places are tried in
 * the order they are given, few of them, none twice, and none that is less
 * secure than the one that was called. */
#include <stdlib.h>
#include <string.h>

#include "bellbird/log.h"
#include "internal.h"

/* How eager the redirector is for that one, 0..1000. */
static int
q_of(struct slice params)
{
	struct slice v;
	int q = 0, digit = 100;

	if (!sip_param(params, "q", &v) || v.n == 0)
		return 1000;
	if (v.p[0] == '1')
		return 1000;
	for (size_t i = 2; i < v.n && digit > 0; i++, digit /= 10) {
		if (v.p[i] < '0' || v.p[i] > '9')
			break;
		q += (v.p[i] - '0') * digit;
	}
	return q;
}

/* Is it as secure as what was called?  RFC 5630 3.3: never back to sip. */
static bool
is_no_less(const struct sip_call *c, const struct sip_uri *u)
{
	bool tls = c->w.flow != NULL && c->w.flow->t == SIPC_TLS;

	if (c->setup->uri.sips && !u->sips)
		return false;
	/* An account's calls go by its flow, whatever they are to. */
	return c->reg != NULL || !tls || u->sips || u->transport == SIPC_TLS;
}

/* Was it called before, or will be? */
static bool
is_known(const struct sip_call_setup *u, const char *uri)
{
	for (size_t i = 0; i < u->num_seen; i++) {
		if (strcmp(u->seen[i], uri) == 0)
			return true;
	}
	for (size_t i = 0; i < u->num_more; i++) {
		if (strcmp(u->more[i], uri) == 0)
			return true;
	}
	return false;
}

/* One Contact value; false if it is of no use. */
static bool
contact_add(struct sip_call *c, struct slice uri)
{
	struct sip_call_setup *u = c->setup;
	struct sip_uri target;

	if (sip_uri_parse(&target, uri) != 0 ||
	    (c->reg == NULL && target.transport == -2))
		return false;
	if (!is_no_less(c, &target)) {
		log_warn(LOGC_SIP, 0,
		    "redirection to a less secure place not followed to=%s",
		    esc(target.text));
		return false;
	}
	if (u->num_seen + u->num_more > SIPC_REDIRECTS_MAX ||
	    u->num_more >= SIPC_REDIRECTS_MAX || is_known(u, target.text)) {
		log_info(LOGC_SIP, 0,
		    "redirection in a loop, or too many to=%s",
		    esc(target.text));
		return false;
	}
	if ((u->more[u->num_more] = strdup(target.text)) == NULL)
		return false;
	u->num_more++;
	return true;
}

/* All Contacts of the answer, the best first. */
static void
contacts_take(struct sip_call *c, const struct sip_msg *m)
{
	struct {
		int q;
		struct slice uri;
	} v[SIPC_VALUES_MAX];
	struct sip_name_addr na;
	struct slice rest, one;
	const char *field;
	size_t n = 0, best;

	for (size_t i = 0; (field = sip_msg_get(m, SIPH_CONTACT, i)) != NULL;
	     i++) {
		rest = slice_of(field);
		while (n < SIPC_VALUES_MAX && sip_list_next(&rest, &one)) {
			if (sip_name_addr(&na, one) != 0)
				continue;
			v[n].uri = na.uri;
			v[n++].q = q_of(na.params);
		}
	}
	for (size_t left = n; left > 0; left--) {
		best = n;
		for (size_t i = 0; i < n; i++) {
			if (v[i].q >= 0 && (best == n || v[i].q > v[best].q))
				best = i;
		}
		(void)contact_add(c, v[best].uri);
		v[best].q = -1;
	}
}

/* Calls that one instead. */
static int
target_set(struct sip_call *c, const char *text)
{
	struct sip_call_setup *u = c->setup;
	struct sip_uri uri;
	char *target;
	int err;

	if ((err = sip_uri_parse(&uri, slice_of(text))) != 0)
		return err;
	if ((target = strdup(uri.text)) == NULL)
		return ENOMEM;
	free(c->dlg.target);
	c->dlg.target = target;
	u->uri = uri;
	c->dlg.sips = uri.sips;
	u->num_targets = u->next = 0;
	u->last_code = 0;
	log_info(LOGC_SIP, 0, "call redirected id=%s to=%s", c->id_esc,
	    esc(uri.text));
	c->state = SIP_C_ROUTING;
	if (c->reg == NULL)
		sip_watch_clear(&c->w);
	return sip_call_depart(c);
}

bool
sip_redirect_next(struct sip_call *c)
{
	struct sip_call_setup *u = c->setup;
	char *text;
	int err;

	while (u != NULL && u->num_more > 0) {
		text = u->more[0];
		u->num_more--;
		memmove(
		    &u->more[0], &u->more[1], u->num_more * sizeof(u->more[0]));
		u->seen[u->num_seen++] = text;
		if ((err = target_set(c, text)) == 0)
			return true;
		log_info(LOGC_SIP, 0, "redirection not followed to=%s: %s",
		    esc(text), err_str(err));
	}
	return false;
}

bool
sip_redirect_take(struct sip_call *c, const struct sip_msg *m)
{
	struct sip_call_setup *u = c->setup;
	const struct sip_flow *f = c->w.flow;

	if (m->code < 300 || m->code > 302 || c->s->rules.no_redirect)
		return false;
	if (u->num_seen == 0) {
		if ((u->seen[0] = strdup(u->uri.text)) == NULL)
			return false;
		u->num_seen = 1;
	}
	if (f != NULL)
		u->redirector = f->remote;
	contacts_take(c, m);
	return sip_redirect_next(c);
}

bool
sip_redirect_may(const struct sip_call *c, const struct addr *to)
{
	const struct addr *from = &c->setup->redirector;

	/* Nobody from outside makes us call services of this machine. */
	if (!addr_is_set(from) || addr_is_loopback(from))
		return true;
	return !addr_is_loopback(to) && !sip_is_wildcard(to) &&
	    !addr_is_multicast(to);
}
