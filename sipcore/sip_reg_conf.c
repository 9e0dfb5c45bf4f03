/* SPDX-License-Identifier: ISC */
/* The settings of a registration: judged, copied, made into header values. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reg_internal.h"

/* Copies a text that goes into header lines; NULL or "" gives `other`, which
 * may be NULL: nothing then. */
static int
text_copy(char **out, const char *s, const char *other)
{
	if (s == NULL || s[0] == '\0')
		s = other;
	if (s == NULL)
		return 0;
	if (!sip_clean(s) || strpbrk(s, "<>") != NULL)
		return E_PARSE;
	*out = strdup(s);
	return *out != NULL ? 0 : ENOMEM;
}

/* Splits "host[:port]". */
static int
host_split(char **host, uint16_t *port, const char *text)
{
	struct slice h;
	int err;

	*port = 0;
	if ((err = addr_split(slice_of(text), &h, port)) != 0)
		return err;
	if (h.n == 0 || h.n > SIPC_HOST_MAX)
		return E_PARSE;
	*host = slice_dup(h);
	return *host != NULL ? 0 : ENOMEM;
}

/* By which transport the outbound proxy is reached: as its URI says, which is
 * never less than what the account asks for. */
static int
obproxy_transport(
    const struct sip_reg *r, const struct sip_uri *u, enum sip_transport *out)
{
	*out = r->transport;
	if (u->transport == -2)
		return E_PARSE;
	if (u->sips)
		*out = SIPC_TLS;
	else if (u->transport >= 0)
		*out = (enum sip_transport)u->transport;
	if (*out != SIPC_TLS && *out != r->transport &&
	    (r->transport == SIPC_TLS || r->sips))
		return E_SIP_INSECURE;
	return 0;
}

/* "host[:port]" or a SIP URI of the outbound proxy. */
static int
obproxy_read(struct sip_reg *r, const char *text)
{
	struct reg_server *v = &r->servers[0];
	char uri[SIPC_URI_MAX];
	struct sip_uri u;
	struct buf b;
	bool plain = strncmp(text, "sip:", 4) != 0 &&
	    strncmp(text, "sips:", 5) != 0 && text[0] != '<';
	bool named = plain && !r->sips &&
	    (r->transport == SIPC_TCP || r->transport == SIPC_TLS);
	struct slice s = slice_of(text);
	int n, err;

	if (plain) {
		n = snprintf(
		    uri, sizeof(uri), "%s:%s", r->sips ? "sips" : "sip", text);
		if (n < 0 || (size_t)n >= sizeof(uri))
			return E_LIMIT;
		s = slice_of(uri);
	} else if (text[0] == '<' && s.n > 2) {
		s = (struct slice){ s.p + 1, s.n - 2 };
	}
	if (sip_uri_parse(&u, s) != 0)
		return E_PARSE;
	if ((err = obproxy_transport(r, &u, &v->t)) != 0)
		return err;
	if ((v->host = strdup(u.host)) == NULL)
		return ENOMEM;
	r->num_servers = 1;
	v->port = u.port;
	buf_init(&b, SIPC_HEAD_MAX);
	ignore_err(buf_printf(&b, "Route: <%s%s%s%s>\r\n", u.text,
		       named ? ";transport=" : "",
		       named ? sip_transport_name(r->transport) : "",
		       u.lr ? "" : ";lr"),
	    "sticks in the buf");
	v->route = buf_take(&b);
	return v->route != NULL ? 0 : ENOMEM;
}

/* The value of From and To, without a tag. */
static int
from_make(struct sip_reg *r, const char *display)
{
	struct buf b;

	if (display != NULL && !sip_clean(display))
		return E_PARSE;
	buf_init(&b, SIPC_HEAD_MAX / 4);
	if (display != NULL && display[0] != '\0') {
		ignore_err(buf_puts(&b, "\""), "sticks in the buf");
		for (const char *p = display; *p != '\0'; p++) {
			if (*p == '"' || *p == '\\')
				ignore_err(
				    buf_puts(&b, "\\"), "sticks in the buf");
			ignore_err(buf_add(&b, p, 1), "sticks in the buf");
		}
		ignore_err(buf_puts(&b, "\" "), "sticks in the buf");
	}
	ignore_err(
	    buf_puts(&b, r->sips ? "<sips:" : "<sip:"), "sticks in the buf");
	sip_user_put(&b, r->user);
	ignore_err(buf_printf(&b, "@%s>", r->domain), "sticks in the buf");
	r->from = buf_take(&b);
	return r->from != NULL ? 0 : ENOMEM;
}

/* The server of the account and those that stand in for it. */
static int
servers_read(
    struct sip_reg *r, const struct sip_reg_conf *conf, uint16_t domain_port)
{
	struct reg_server *v = &r->servers[0];
	int err;

	if (conf->obproxy != NULL && conf->obproxy[0] != '\0') {
		if ((err = obproxy_read(r, conf->obproxy)) != 0)
			return err;
	} else {
		if ((v->host = strdup(r->host)) == NULL)
			return ENOMEM;
		v->port = domain_port;
		v->t = r->transport;
		r->num_servers = 1;
	}
	for (size_t i = 0; i < SIPC_SERVERS_MAX - 1; i++) {
		if (conf->backups[i] == NULL || conf->backups[i][0] == '\0')
			continue;
		v = &r->servers[r->num_servers];
		if ((err = host_split(&v->host, &v->port, conf->backups[i])) !=
		    0)
			return err;
		v->t = r->transport;
		r->num_servers++;
	}
	return 0;
}

int
reg_conf_copy(struct sip_reg *r, const struct sip_reg_conf *conf)
{
	uint16_t port = 0;
	int err;

	r->transport = r->attempt = conf->transport;
	r->sips = conf->sips;
	r->allow_md5 = conf->allow_md5;
	r->indialog_md5 = conf->indialog_md5;
	r->gruu = conf->gruu;
	r->expires_s = conf->expires_s;
	r->policy = conf->policy;
	r->policy_arg = conf->policy_arg;
	r->poll.every_us = conf->poll_s * SIPC_S;
	r->poll.failback = conf->failback;
	r->poll.active = conf->poll_active;
	r->poll.notify = conf->poll_notify;
	r->keepalive_us = conf->no_keepalive ? -1 : conf->keepalive_s * SIPC_S;
	if (conf->user == NULL || conf->user[0] == '\0' ||
	    conf->domain == NULL || strlen(conf->user) > SIPC_USER_MAX)
		return E_PARSE;
	if ((err = text_copy(&r->user, conf->user, "")) != 0 ||
	    (err = text_copy(&r->domain, conf->domain, "")) != 0 ||
	    (err = text_copy(&r->auth_user, conf->auth_user, conf->user)) !=
		0 ||
	    (err = text_copy(&r->realm, conf->realm, NULL)) != 0 ||
	    (err = text_copy(&r->instance, conf->instance, NULL)) != 0 ||
	    (err = host_split(&r->host, &port, conf->domain)) != 0 ||
	    (err = from_make(r, conf->display)) != 0)
		return err;
	r->password = strdup(conf->password != NULL ? conf->password : "");
	if (r->password == NULL)
		return ENOMEM;
	sip_token(r->call_id, SIPC_CALL_ID_LEN);
	sip_token(r->tag, SIPC_TAG_LEN);
	return servers_read(r, conf, port);
}
