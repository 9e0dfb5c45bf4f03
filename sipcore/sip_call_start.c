/* SPDX-License-Identifier: ISC */
/* Placing a call: judge and copy what the program wants, then set off. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

void
sip_call_setup_free(struct sip_call_setup *u)
{
	if (u == NULL)
		return;
	sip_route_stop(&u->route);
	free(u->headers);
	free(u->from_user);
	free(u->from_host);
	for (size_t i = 0; i < u->num_seen; i++)
		free(u->seen[i]);
	for (size_t i = 0; i < u->num_more; i++)
		free(u->more[i]);
	free(u);
}

/* ---- the start ---- */

/* The URI to call: as given, or the user part in the account's domain. */
static int
to_read(struct sip_call *c, const struct sip_call_conf *conf)
{
	struct slice to = slice_of(conf->to), scheme, rest;
	struct buf b;
	int err;

	(void)slice_cut(to, ':', &scheme, &rest);
	if (conf->reg == NULL || slice_case_is(scheme, "sip") ||
	    slice_case_is(scheme, "sips")) {
		if ((err = sip_uri_parse(&c->setup->uri, to)) != 0)
			return err;
	} else {
		buf_init(&b, SIPC_URI_MAX);
		ignore_err(
		    buf_puts(&b, sip_reg_sips(conf->reg) ? "sips:" : "sip:"),
		    "sticks in the buf");
		if (memchr(to.p, '@', to.n) != NULL)
			ignore_err(
			    buf_add(&b, to.p, to.n), "sticks in the buf");
		else
			sip_user_put(&b, conf->to);
		if (memchr(to.p, '@', to.n) == NULL)
			ignore_err(
			    buf_printf(&b, "@%s", sip_reg_domain(conf->reg)),
			    "sticks in the buf");
		err = b.err != 0 ? E_PARSE
				 : sip_uri_parse(&c->setup->uri,
				       (struct slice){ buf_str(&b), b.n });
		buf_clear(&b);
		if (err != 0)
			return err;
	}
	/* An account that speaks TLS only must not be talked out of it. */
	if (conf->reg == NULL && c->setup->uri.transport == -2)
		return E_PARSE;
	return 0;
}

/* Copies an optional text that goes into header lines. */
static int
opt_copy(char **out, const char *s)
{
	if (s == NULL || s[0] == '\0')
		return 0;
	if (!sip_clean(s))
		return E_PARSE;
	*out = strdup(s);
	return *out != NULL ? 0 : ENOMEM;
}

/* The same for a host: it goes into a URI. */
static int
host_copy(char **out, const char *s)
{
	struct slice host;
	uint16_t port;

	if (s != NULL && s[0] != '\0' &&
	    addr_split(slice_of(s), &host, &port) != 0)
		return E_PARSE;
	return opt_copy(out, s);
}

/* Only what can be the host of a URI (RFC 3261 25.1). */
static int
host_judge(const char *host)
{
	if (host == NULL)
		return 0;
	return host[strspn(host,
		   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		   "0123456789.-:[]")] == '\0'
	    ? 0
	    : E_PARSE;
}

/* Copies what the INVITE will need. */
static int
setup_fill(struct sip_call *c, const struct sip_call_conf *conf)
{
	struct sip_call_setup *u;
	struct sip_dlg *d = &c->dlg;
	const char *routes;
	struct slice line;
	int err;

	if ((u = c->setup = calloc(1, sizeof(*u))) == NULL)
		return ENOMEM;
	c->reg = conf->reg;
	c->pinned = c->reg != NULL;
	u->tls_only = conf->tls_only;
	u->policy = conf->policy;
	u->policy_arg = conf->policy_arg;
	if ((err = to_read(c, conf)) != 0 ||
	    (err = opt_copy(&u->from_user, conf->from_user)) != 0 ||
	    (err = host_copy(&u->from_host, conf->from_host)) != 0 ||
	    (err = host_judge(u->from_host)) != 0 ||
	    (err = sip_call_sdp_set(c, conf->sdp)) != 0)
		return err;
	c->late = conf->sdp.n == 0;
	u->flow = conf->flow;
	/* Whoever composed them: no line of theirs becomes one of ours. */
	if (conf->headers != NULL &&
	    (!sip_lines_fit(conf->headers) ||
		sip_headers_fault(conf->headers, &line) != NULL))
		return E_PARSE;
	if (conf->headers != NULL &&
	    (u->headers = strdup(conf->headers)) == NULL)
		return ENOMEM;
	sip_token(d->local_tag, SIPC_TAG_LEN);
	d->sips = u->uri.sips;
	d->target = strdup(u->uri.text);
	d->call_id = malloc(SIPC_CALL_ID_LEN + 1);
	d->remote = malloc(strlen(u->uri.text) + 3);
	if (d->target == NULL || d->call_id == NULL || d->remote == NULL)
		return ENOMEM;
	sip_token(d->call_id, SIPC_CALL_ID_LEN);
	(void)snprintf(d->remote, strlen(u->uri.text) + 3, "<%s>", u->uri.text);
	routes = conf->reg != NULL ? sip_reg_routes(conf->reg) : NULL;
	if (routes != NULL && (d->routes = strdup(routes)) == NULL)
		return ENOMEM;
	return 0;
}

/* Direct calls: by which transport (RFC 3263 4.1).  What a domain that is
 * known to have TLS is reached by, too, is not asked for a second time. */
static enum sip_transport
transport_of(const struct sip_stack *s, const struct sip_uri *u)
{
	struct addr a;

	if (u->sips)
		return SIPC_TLS;
	if (u->transport >= 0)
		return (enum sip_transport)u->transport;
	if ((u->port != 0 && !sip_stack_had_tls(s, u->host)) ||
	    addr_parse(&a, slice_of(u->host), 1) == 0 ||
	    slice_case_is(slice_of(u->host), "localhost"))
		return SIPC_UDP;
	return SIPC_AUTO;
}

int
sip_call_depart(struct sip_call *c)
{
	const struct sip_call_setup *u = c->setup;
	struct sip_route_conf rc = { .host = c->setup->uri.host,
		.port = c->setup->uri.port,
		.t = transport_of(c->s, &c->setup->uri),
		.cb = sip_call_on_route,
		.arg = c };
	struct sip_flow *f = NULL;

	if (c->pinned) {
		if (c->reg == NULL)
			return E_SIP_NO_ROUTE;
		if (!sip_reg_is_ok(c->reg))
			return sip_reg_is_back_soon(c->reg)
			    ? sip_call_wait_flow(c)
			    : E_SIP_NO_ROUTE;
		f = sip_reg_flow(c->reg);
		/* The flow that came back may be less than the one before. */
		if ((u->uri.sips || u->tls_only) && f->t != SIPC_TLS)
			return E_SIP_INSECURE;
	} else if (u->flow != 0) {
		if (!sip_flow_is_alive(c->s, u->flow))
			return E_CLOSED;
		f = sip_flow_get(c->s, u->flow);
	}
	if (f == NULL)
		return sip_route_start(&c->setup->route, c->s, &rc);
	sip_call_flow_set(c, f);
	return sip_call_send_invite(c);
}

int
sip_call_invite(struct sip_call **slot, struct sip_stack *s,
    const struct sip_call_conf *conf, sip_call_cb *cb, void *arg)
{
	struct sip_call *c;
	int err;

	if (conf->to == NULL || conf->to[0] == '\0')
		return E_PARSE;
	if (s->num_calls >= s->conf.max_calls)
		return E_LIMIT;
	if ((err = sip_call_new(&c, s)) != 0)
		return err;
	c->state = SIP_C_ROUTING;
	if ((err = setup_fill(c, conf)) != 0 ||
	    (err = sip_call_names(c)) != 0 || (err = sip_call_depart(c)) != 0) {
		sip_call_drop(c);
		return err;
	}
	sip_call_index(c);
	c->cb = cb;
	c->arg = arg;
	c->slot = slot;
	*slot = c;
	return 0;
}
