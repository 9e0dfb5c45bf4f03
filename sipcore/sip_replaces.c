/* SPDX-License-Identifier: ISC */
/* Replaces (RFC 3891): an INVITE that takes the place of a dialog we are in. */
#include <stdlib.h>
#include <string.h>

#include "bellbird/log.h"
#include "internal.h"

int
sip_replaces_parse(struct sip_replaces *out, struct slice v)
{
	struct slice params, early;
	struct sip_replaces r = { .early_only = false };
	size_t at = 0;

	while (at < v.n && v.p[at] != ';')
		at++;
	r.call_id = slice_trim((struct slice){ v.p, at });
	params = slice_trim((struct slice){ v.p + at, v.n - at });
	for (size_t i = 0; i < r.call_id.n; i++) {
		if ((unsigned char)r.call_id.p[i] <= ' ' ||
		    r.call_id.p[i] == ',' || r.call_id.p[i] == 0x7f)
			return E_PARSE;
	}
	if (r.call_id.n == 0 || !sip_params_fit(params) ||
	    !sip_param(params, "to-tag", &r.to_tag) ||
	    !sip_param(params, "from-tag", &r.from_tag) ||
	    !sip_is_token(r.to_tag) || !sip_is_token(r.from_tag))
		return E_PARSE;
	r.early_only = sip_param(params, "early-only", &early);
	*out = r;
	return 0;
}

/* Appends `s` with all but unreserved characters escaped (RFC 3261 25.1). */
static void
put_escaped(struct buf *b, const char *s)
{
	for (; *s != '\0'; s++) {
		char c = *s;
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9') || strchr("-_.!~*'()", c) != NULL;

		ignore_err(buf_printf(b, plain ? "%c" : "%%%02X",
			       (unsigned int)(unsigned char)c),
		    "sticks in the buf");
	}
}

void
sip_replaces_put(struct buf *b, const struct sip_call *c)
{
	put_escaped(b, c->dlg.call_id);
	/* As its peer sees it: "to" is the peer, "from" is us. */
	put_escaped(b, ";to-tag=");
	put_escaped(b, c->dlg.remote_tag);
	put_escaped(b, ";from-tag=");
	put_escaped(b, c->dlg.local_tag);
}

/* Who may take the place of the peer of `old`? */
static bool
may_replace(struct sip_stack *s, struct sip_req *r, struct sip_call *old)
{
	struct sip_src src = { .flow = sip_req_flow_of(r), .from = r->from };

	if (src.flow == NULL)
		return false;
	if (old->dlg.secure && src.flow->t != SIPC_TLS)
		return false;
	/* The account's server has let it in; or the peer itself. */
	return s->replaces == SIP_REPLACES_ANY ||
	    (s->replaces == SIP_REPLACES_OWN && sip_call_is_peer(old, &src));
}

int
sip_replaces_judge(
    struct sip_stack *s, struct sip_req *r, struct sip_call **old)
{
	const char *v = sip_msg_find(r->msg, "Replaces", 0);
	struct sip_msg probe = { .is_req = true };
	struct sip_replaces rep;
	struct sip_call *c;

	*old = NULL;
	if (v == NULL)
		return 0;
	if (sip_msg_find(r->msg, "Replaces", 1) != NULL ||
	    sip_replaces_parse(&rep, slice_of(v)) != 0)
		return 400;
	if ((probe.call_id = slice_dup(rep.call_id)) == NULL)
		return 500;
	probe.to_tag = rep.to_tag;
	probe.from_tag = rep.from_tag;
	c = sip_call_of(s, &probe);
	free(probe.call_id);
	/* A call that rings here is not ours to give away (RFC 3891 3). */
	if (c == NULL || c->state == SIP_C_INCOMING)
		return 481;
	if (!may_replace(s, r, c)) {
		log_warn(LOGC_SIP, 0,
		    "INVITE with Replaces refused: not by the call's account "
		    "id=%s from=%s",
		    c->id_esc, esc_n(r->msg->from_uri.p, r->msg->from_uri.n));
		return 403;
	}
	if (c->state == SIP_C_BYE || c->state == SIP_C_OVER ||
	    c->state == SIP_C_CANCELLING || c->replaced_by != NULL)
		return 603;
	if (rep.early_only && c->state >= SIP_C_LATE)
		return 486;
	*old = c;
	return 0;
}

void
sip_replaces_set(struct sip_call *c, struct sip_call *old)
{
	c->replaces = old;
	old->replaced_by = c;
}

void
sip_replaces_gone(struct sip_call *c)
{
	if (c->replaces != NULL)
		c->replaces->replaced_by = NULL;
	if (c->replaced_by != NULL)
		c->replaced_by->replaces = NULL;
	c->replaces = c->replaced_by = NULL;
}

struct sip_call *
sip_call_replaces(const struct sip_call *c)
{
	return c->replaces;
}

void
sip_stack_set_replaces(struct sip_stack *s, enum sip_replaces_mode m)
{
	s->replaces = m;
}
