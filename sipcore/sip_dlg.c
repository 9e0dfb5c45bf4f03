/* SPDX-License-Identifier: ISC */
/* Dialogs (RFC 3261 12): who speaks to whom, by which route, in what order;
 * and the requests that are sent in them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "internal.h"

void
sip_dlg_clear(struct sip_stack *s, struct sip_dlg *d)
{
	sip_htab_del(&s->dlgs, &d->node);
	free(d->call_id);
	free(d->local);
	free(d->remote);
	free(d->remote_tag);
	free(d->target);
	free(d->routes);
	free(d->contact);
	memset(d, 0, sizeof(*d));
}

uint64_t
sip_dlg_hash(
    const struct sip_stack *s, struct slice call_id, struct slice local_tag)
{
	struct slice parts[2] = { call_id, local_tag };

	return sip_hash(&s->hkey, parts, 2);
}

/* Is it the URI of a sips resource (RFC 5630)? */
static bool
is_sips(struct slice name_addr)
{
	struct sip_name_addr na;
	struct sip_uri u;

	return sip_name_addr(&na, name_addr) == 0 &&
	    sip_uri_parse(&u, na.uri) == 0 && u.sips;
}

/* Appends the values of one Record-Route field as Route lines; of a sips
 * dialog all must be sips. */
static int
routes_put(struct buf *b, const char *field, bool reversed, bool sips)
{
	struct slice rest = slice_of(field), values[SIPC_VALUES_MAX];
	size_t n = 0;

	while (n < SIPC_VALUES_MAX && sip_list_next(&rest, &values[n]))
		n++;
	for (size_t i = 0; i < n; i++) {
		struct slice v = values[reversed ? n - 1 - i : i];

		if (sips && !is_sips(v))
			return E_SIP_INSECURE;
		ignore_err(
		    buf_printf(b, "Route: " SLICE_FMT "\r\n", SLICE_ARG(v)),
		    "sticks in the buf");
	}
	return 0;
}

/* The route set (RFC 3261 12.1.1, 12.1.2). */
static int
routes_of(char **out, const struct sip_msg *m, bool reversed, bool sips)
{
	size_t n = 0;
	struct buf b;
	int err = 0;

	*out = NULL;
	while (sip_msg_get(m, SIPH_RECORD_ROUTE, n) != NULL)
		n++;
	if (n == 0)
		return 0;
	buf_init(&b, SIPC_HEAD_MAX);
	for (size_t i = 0; i < n && err == 0; i++)
		err = routes_put(&b,
		    sip_msg_get(m, SIPH_RECORD_ROUTE, reversed ? n - 1 - i : i),
		    reversed, sips);
	if (err == 0)
		err = b.err;
	if (err == 0 && (*out = buf_take(&b)) == NULL)
		err = ENOMEM;
	buf_clear(&b);
	return err;
}

/* The Contact of a message as a target; E_SIP_PARSE if it is none,
 * E_SIP_INSECURE if it would leave TLS (RFC 5630). */
static int
target_of(char **out, const struct sip_msg *m, bool sips)
{
	struct slice uri;
	struct sip_uri u;

	if (sip_msg_contact(m, &uri) != 0 || sip_uri_parse(&u, uri) != 0)
		return E_SIP_PARSE;
	if (sips && !u.sips)
		return E_SIP_INSECURE;
	*out = strdup(u.text);
	return *out != NULL ? 0 : ENOMEM;
}

int
sip_dlg_in(struct sip_dlg *d, const struct sip_msg *inv, const char *local_tag)
{
	struct buf b;
	int err;

	ignore_err(str_copy(d->local_tag, sizeof(d->local_tag), local_tag),
	    "a tag of ours");
	d->sips = strncasecmp(inv->uri, "sips:", 5) == 0;
	if ((err = target_of(&d->target, inv, d->sips)) != 0 ||
	    (err = routes_of(&d->routes, inv, false, d->sips)) != 0)
		return err;
	buf_init(&b, SIPC_HEAD_MAX);
	ignore_err(buf_printf(&b, "%s;tag=%s", inv->to, local_tag),
	    "sticks in the buf");
	d->local = buf_take(&b);
	d->remote = strdup(inv->from);
	d->call_id = strdup(inv->call_id);
	d->remote_tag = slice_dup(inv->from_tag);
	if (d->local == NULL || d->remote == NULL || d->call_id == NULL ||
	    d->remote_tag == NULL)
		return ENOMEM;
	d->rcseq = inv->cseq;
	d->rcseq_set = true;
	return 0;
}

int
sip_dlg_out(struct sip_dlg *d, const struct sip_msg *rsp)
{
	char *remote = strdup(rsp->to), *tag = slice_dup(rsp->to_tag);
	char *target = NULL, *routes = NULL;
	int err = remote != NULL && tag != NULL ? 0 : ENOMEM;

	if (err == 0)
		err = routes_of(&routes, rsp, true, d->sips);
	/* Without a usable Contact requests go on to where the INVITE went. */
	if (err == 0 && (err = target_of(&target, rsp, d->sips)) == E_SIP_PARSE)
		err = 0;
	if (err != 0) {
		free(remote);
		free(tag);
		free(routes);
		return err;
	}
	free(d->remote);
	free(d->remote_tag);
	free(d->routes);
	d->remote = remote;
	d->remote_tag = tag;
	d->routes = routes;
	if (target != NULL) {
		free(d->target);
		d->target = target;
	}
	return 0;
}

void
sip_dlg_retarget(struct sip_dlg *d, const struct sip_msg *m)
{
	char *target = NULL;

	if (target_of(&target, m, d->sips) != 0)
		return;
	free(d->target);
	d->target = target;
}

bool
sip_dlg_is(const struct sip_dlg *d, const struct sip_msg *m)
{
	struct slice ours = m->is_req ? m->to_tag : m->from_tag;
	struct slice theirs = m->is_req ? m->from_tag : m->to_tag;

	return strcmp(d->call_id, m->call_id) == 0 &&
	    slice_is(ours, d->local_tag) && d->remote_tag != NULL &&
	    slice_is(theirs, d->remote_tag);
}

bool
sip_dlg_next(const struct sip_dlg *d, struct addr *out)
{
	struct sip_name_addr na;
	struct slice uri = slice_of(d->target), rest, line;
	struct sip_uri u;

	if (d->routes != NULL) {
		rest = slice_of(d->routes + strlen("Route: "));
		if (!slice_line(&rest, &line) || sip_name_addr(&na, line) != 0)
			return false;
		uri = na.uri;
	}
	if (sip_uri_parse(&u, uri) != 0)
		return false;
	return addr_parse(out, slice_of(u.host), 0) == 0 &&
	    (addr_set_port(out, u.port != 0 ? u.port : 5060), true);
}

bool
sip_dlg_may_go(const struct addr *from, const struct addr *to)
{
	if (addr_eq(from, to) || from->u.sa.sa_family != to->u.sa.sa_family ||
	    addr_is_multicast(to))
		return false;
	/* Nobody from outside talks through us to services of this machine;
	 * datagrams to 0.0.0.0 come back to it, too. */
	return addr_is_loopback(from) ||
	    (!addr_is_loopback(to) && !sip_is_wildcard(to));
}

int
sip_dlg_write(struct sip_stack *s, const struct sip_dlg *d,
    const struct sip_dlg_req *q, struct buf *b)
{
	char via[ADDR_STR_MAX];
	bool invite = strcmp(q->method, "INVITE") == 0;
	bool target = invite || strcmp(q->method, "UPDATE") == 0 ||
	    strcmp(q->method, "REFER") == 0 ||
	    strcmp(q->method, "NOTIFY") == 0 ||
	    strcmp(q->method, "SUBSCRIBE") == 0;
	/* Reliable answers in what makes a dialog; not to a re-INVITE, which
	 * is answered at once anyway. */
	bool can =
	    invite && d->remote_tag == NULL && s->rules.rel != SIP_REL_OFF;

	sip_host_port(&q->flow->local, via);
	ignore_err(
	    buf_printf(b,
		"%s %s SIP/2.0\r\n"
		"Via: SIP/2.0/%s %s;branch=%s;rport\r\n"
		"Max-Forwards: 70\r\n%s"
		"From: %s\r\nTo: %s\r\nCall-ID: %s\r\n"
		"CSeq: %u %s\r\nUser-Agent: %s\r\n",
		q->method, d->target, sip_via_proto(q->flow->t), via, q->branch,
		d->routes != NULL ? d->routes : "", d->local, d->remote,
		d->call_id, q->cseq, q->method, s->user_agent),
	    "sticks in the buf");
	if (target && d->contact != NULL)
		ignore_err(buf_printf(b,
			       "Contact: %s\r\nAllow: " SIPC_ALLOW
			       "\r\nSupported: " SIPC_SUPPORTED "%s\r\n%s",
			       d->contact, can ? ", 100rel" : "",
			       can && s->rules.rel == SIP_REL_REQUIRED
				   ? "Require: 100rel\r\n"
				   : ""),
		    "sticks in the buf");
	if (invite)
		ignore_err(buf_puts(b, "Accept: application/sdp\r\n"),
		    "sticks in the buf");
	if (q->credentials != NULL)
		ignore_err(buf_puts(b, q->credentials), "sticks in the buf");
	if (q->headers != NULL)
		ignore_err(buf_puts(b, q->headers), "sticks in the buf");
	sip_write_body(b, q->type, q->body);
	return b->err;
}
