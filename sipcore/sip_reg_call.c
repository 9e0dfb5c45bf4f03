/* SPDX-License-Identifier: ISC */
/* What calls need to know of an account: by which of its one or two flows they
 * go, who it is, whom it answers. */
#include <string.h>

#include "reg_internal.h"

/* Does the flow of this one of the two work? */
static bool
stands(const struct sip_reg *r)
{
	return r != NULL && r->trusted && r->w.flow != NULL && r->w.flow->up &&
	    r->w.flow->fail_err == 0;
}

/* The one of the two whose flow is used now: the first, if it works. */
static const struct sip_reg *
active(const struct sip_reg *r)
{
	return !stands(r) && stands(r->twin) ? r->twin : r;
}

struct sip_flow *
sip_reg_flow(const struct sip_reg *r)
{
	const struct sip_reg *a = active(r);

	return a->trusted && a->w.flow != NULL && a->w.flow->up ? a->w.flow
								: NULL;
}

bool
sip_reg_has_flow(const struct sip_reg *r, const struct sip_flow *f)
{
	return f != NULL &&
	    ((r->trusted && r->w.flow == f) ||
		(r->twin != NULL && r->twin->trusted && r->twin->w.flow == f));
}

bool
sip_reg_is_ok(const struct sip_reg *r)
{
	return active(r)->state == SIP_REG_OK && sip_reg_flow(r) != NULL;
}

bool
sip_reg_is_back_soon(const struct sip_reg *r)
{
	return r->ok_us != 0 && !r->unregistering && r->state != SIP_REG_GONE;
}

/* Does this user part of a Request-URI mean the account?  A temporary GRUU has
 * one of its own. */
static bool
is_user(const struct sip_reg *r, const char *user)
{
	struct sip_uri u;

	return strcmp(r->user, user) == 0 ||
	    (r->temp_gruu[0] != '\0' &&
		sip_uri_parse(&u, slice_of(r->temp_gruu)) == 0 &&
		strcmp(u.user, user) == 0);
}

struct sip_reg *
sip_reg_find(
    const struct sip_stack *s, const struct sip_flow *f, const char *user)
{
	struct sip_reg *r, *any = NULL;

	LIST_FOREACH (r, &s->regs, link) {
		if (r->w.flow != f)
			continue;
		any = r->first != NULL ? r->first : r;
		if (is_user(r, user))
			return any;
	}
	return any;
}

bool
sip_reg_knows_user(
    const struct sip_stack *s, const struct sip_flow *f, const char *user)
{
	const struct sip_reg *r = sip_reg_find(s, f, user);

	return r != NULL &&
	    (is_user(r, user) || strcmp(r->auth_user, user) == 0 ||
		(r->twin != NULL && is_user(r->twin, user)));
}

const char *
sip_reg_contact(const struct sip_reg *r, const struct sip_flow *f)
{
	/* A GRUU (RFC 5627) holds whatever becomes of the flows. */
	if (r->pub_gruu[0] != '\0')
		return r->pub_gruu;
	if (r->twin != NULL && r->twin->pub_gruu[0] != '\0')
		return r->twin->pub_gruu;
	return r->twin != NULL && r->twin->w.flow == f ? r->twin->contact
						       : r->contact;
}

bool
sip_reg_has_gruu(const struct sip_reg *r)
{
	return r->pub_gruu[0] != '\0' ||
	    (r->twin != NULL && r->twin->pub_gruu[0] != '\0');
}

const char *
sip_reg_routes(const struct sip_reg *r)
{
	return active(r)->routes;
}

const char *
sip_reg_from(const struct sip_reg *r)
{
	return r->from;
}

const char *
sip_reg_domain(const struct sip_reg *r)
{
	return r->domain;
}

bool
sip_reg_sips(const struct sip_reg *r)
{
	return r->sips;
}

/* The realms that the server asked in when it accepted us. */
static void
known_add(const struct sip_reg *r, struct sip_auth_rule *out)
{
	for (int i = 0; i < 2; i++) {
		if (r->known[i].realm == NULL)
			continue;
		out->realms[out->num_realms++] = r->known[i].realm;
		/* Who can do better is not asked for less.  The two of the
		 * SHA-2 family are equals. */
		out->allow_md5 &= r->known[i].alg == TLS_MD5;
	}
}

void
sip_reg_auth_rule(
    const struct sip_reg *r, bool in_dialog, struct sip_auth_rule *out)
{
	memset(out, 0, sizeof(*out));
	out->allow_md5 = r->allow_md5 && (!in_dialog || r->indialog_md5);
	known_add(r, out);
	if (r->twin != NULL)
		known_add(r->twin, out);
	if (r->realm != NULL) {
		out->num_realms = 0;
		out->realms[out->num_realms++] = r->realm;
	} else if (!in_dialog) {
		/* A proxy may ask in the name of the domain for calls,
		 * whatever the registrar calls itself. */
		out->realms[out->num_realms++] = r->domain;
		out->realms[out->num_realms++] = r->host;
	}
}

void
sip_reg_cred(const struct sip_reg *r, struct sip_cred *out)
{
	out->user = r->auth_user;
	out->password = r->password;
}
