/* SPDX-License-Identifier: ISC */
/* What is known of a call: names fit for logs, its Contact and SDP, and the
 * facts the program may ask for. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bellbird/log.h"
#include "bellbird/tls_verdict.h"
#include "internal.h"

/* ---- texts ---- */

int
sip_call_contact(struct sip_call *c, const struct sip_flow *f, const char *user)
{
	/* RFC 5630 4: of a sips dialog all is sips, our Contact, too. */
	const char *scheme = c->dlg.sips ? "sips:" : "sip:", *uri;
	char hp[ADDR_STR_MAX], *contact;
	struct buf b;

	buf_init(&b, SIPC_HEAD_MAX / 4);
	if (c->reg != NULL) {
		uri = sip_reg_contact(c->reg, f);
		if (c->dlg.sips && strncasecmp(uri, "sip:", 4) == 0)
			uri += 4;
		else
			scheme = "";
		ignore_err(
		    buf_printf(&b, "<%s%s>", scheme, uri), "sticks in the buf");
	} else if (user == NULL && c->dlg.contact != NULL) {
		return 0; /* a direct call keeps the one it has */
	} else {
		sip_host_port(&f->local, hp);
		ignore_err(buf_printf(&b, "<%s", scheme), "sticks in the buf");
		sip_user_put(
		    &b, user != NULL && user[0] != '\0' ? user : "bellbird");
		ignore_err(
		    buf_printf(&b, "@%s%s%s>", hp,
			f->t != SIPC_UDP ? ";transport=" : "",
			f->t != SIPC_UDP ? sip_transport_name(f->t) : ""),
		    "sticks in the buf");
	}
	if ((contact = buf_take(&b)) == NULL)
		return ENOMEM;
	free(c->dlg.contact);
	c->dlg.contact = contact;
	return 0;
}

/* Replaces `*out` by a copy fit for logs. */
static int
esc_set(char **out, struct slice s)
{
	char *copy = strdup(s.n > 0 ? esc_n(s.p, s.n) : "");

	if (copy == NULL)
		return ENOMEM;
	free(*out);
	*out = copy;
	return 0;
}

int
sip_call_names(struct sip_call *c)
{
	struct sip_name_addr na;
	struct slice none = { NULL, 0 };
	int err;

	if (sip_name_addr(&na, slice_of(c->dlg.remote)) != 0)
		na.uri = na.name = none;
	if ((err = esc_set(&c->id_esc, slice_of(c->dlg.call_id))) != 0 ||
	    (err = esc_set(&c->remote_esc, na.uri)) != 0 ||
	    (err = esc_set(&c->name_esc, na.name)) != 0)
		return err;
	/* Outgoing and direct: our own name is known with the flow. */
	if (c->dlg.local == NULL ||
	    sip_name_addr(&na, slice_of(c->dlg.local)) != 0)
		na.uri = none;
	return esc_set(&c->local_esc, na.uri);
}

int
sip_call_sdp_set(struct sip_call *c, struct slice sdp)
{
	char *copy = NULL;

	if (sdp.n > SIPC_BODY_MAX)
		return E_LIMIT;
	if (sdp.n > 0 && (copy = slice_dup(sdp)) == NULL)
		return ENOMEM;
	free(c->sdp);
	c->sdp = copy;
	c->sdp_n = sdp.n;
	return 0;
}

/* ---- facts ---- */

const char *
sip_call_id(const struct sip_call *c)
{
	return c->id_esc;
}

const char *
sip_call_remote(const struct sip_call *c)
{
	return c->remote_esc;
}

const char *
sip_call_remote_name(const struct sip_call *c)
{
	return c->name_esc;
}

const char *
sip_call_local(const struct sip_call *c)
{
	return c->local_esc;
}

struct sip_reg *
sip_call_reg(const struct sip_call *c)
{
	return c->reg;
}

struct slice
sip_call_offer(const struct sip_call *c)
{
	const struct sip_msg *m = c->ref;

	if (c->req != NULL && c->state == SIP_C_INCOMING)
		m = c->req->msg;
	if (m == NULL || !c->incoming)
		return (struct slice){ NULL, 0 };
	return m->body;
}

bool
sip_call_is_secure(const struct sip_call *c)
{
	return c->dlg.secure || (c->w.flow != NULL && c->w.flow->t == SIPC_TLS);
}

void
sip_call_addrs(const struct sip_call *c, enum sip_transport *t,
    struct addr *local, struct addr *remote)
{
	const struct sip_flow *f = c->w.flow;

	*t = f != NULL      ? f->t
	    : c->dlg.secure ? SIPC_TLS
	    : c->setup != NULL && c->setup->num_targets > 0
	    ? c->setup->targets[0].t
	    : SIPC_UDP;
	memset(local, 0, sizeof(*local));
	memset(remote, 0, sizeof(*remote));
	if (f == NULL)
		return;
	*local = f->local;
	*remote = f->remote;
}

bool
sip_call_peer_is_verified(const struct sip_call *c)
{
	const struct sip_flow *f = c->w.flow;
	const struct tls_verdict *v;

	if (f == NULL || f->t != SIPC_TLS)
		return false;
	v = sip_flow_verdict(f);
	return v != NULL && v->peer_verified;
}

const char *
sip_call_header(const struct sip_call *c, const char *name)
{
	return sip_call_header_at(c, name, 0);
}

const char *
sip_call_header_at(const struct sip_call *c, const char *name, size_t i)
{
	const struct sip_msg *m = c->ref;

	if (c->req != NULL && c->state == SIP_C_INCOMING)
		m = c->req->msg;
	return m != NULL ? sip_msg_find(m, name, i) : NULL;
}
