/* SPDX-License-Identifier: ISC */
/* URIs, name-addrs, parameters and comma lists: what addresses look like in
 * text.  libosip2 judges the URI itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <osipparser2/osip_parser.h>
#include <osipparser2/osip_uri.h>

#include "internal.h"

/* Skips the quoted string that starts at `i`; n if it does not end. */
static size_t
skip_quoted(struct slice s, size_t i)
{
	for (i++; i < s.n && s.p[i] != '"'; i++) {
		if (s.p[i] == '\\')
			i++;
	}
	return i < s.n ? i + 1 : s.n;
}

/* Finds `c` outside of quotes (and of <>, unless `c` is '<'); n if absent. */
static size_t
find_plain(struct slice s, size_t from, char c)
{
	size_t i = from;

	while (i < s.n) {
		if (s.p[i] == c)
			return i;
		if (s.p[i] == '"') {
			i = skip_quoted(s, i);
			continue;
		}
		if (s.p[i] == '<') {
			while (i < s.n && s.p[i] != '>')
				i++;
			if (i == s.n)
				return s.n;
		}
		i++;
	}
	return s.n;
}

/* The part of `s` from `a` up to `b`, trimmed. */
static struct slice
part(struct slice s, size_t a, size_t b)
{
	return slice_trim((struct slice){ s.p + a, b - a });
}

int
sip_name_addr(struct sip_name_addr *out, struct slice s)
{
	size_t lt = find_plain(s, 0, '<'), gt, semi;
	struct sip_name_addr na;

	if (lt < s.n) {
		for (gt = lt; gt < s.n && s.p[gt] != '>'; gt++)
			;
		if (gt == s.n)
			return E_PARSE;
		na.name = part(s, 0, lt);
		na.uri = part(s, lt + 1, gt);
		na.params = part(s, gt + 1, s.n);
		if (na.params.n > 0 && na.params.p[0] != ';')
			return E_PARSE;
	} else {
		/* RFC 3261 20.10: without <> parameters are the header's. */
		semi = find_plain(s, 0, ';');
		na.name = (struct slice){ NULL, 0 };
		na.uri = part(s, 0, semi);
		na.params = part(s, semi, s.n);
	}
	if (na.uri.n == 0)
		return E_PARSE;
	if (na.name.n >= 2 && na.name.p[0] == '"' &&
	    na.name.p[na.name.n - 1] == '"')
		na.name = part(na.name, 1, na.name.n - 1);
	*out = na;
	return 0;
}

bool
sip_param(struct slice params, const char *name, struct slice *value)
{
	size_t at = 0, end;
	struct slice one, key, val;

	while (at < params.n) {
		end = find_plain(params, at, ';');
		one = part(params, at, end);
		at = end + 1;
		(void)slice_cut(one, '=', &key, &val);
		if (!slice_case_is(slice_trim(key), name))
			continue;
		val = slice_trim(val);
		if (val.n >= 2 && val.p[0] == '"' && val.p[val.n - 1] == '"')
			val = (struct slice){ val.p + 1, val.n - 2 };
		*value = val;
		return true;
	}
	return false;
}

bool
sip_list_next(struct slice *rest, struct slice *value)
{
	size_t end;

	do {
		if (rest->n == 0)
			return false;
		end = find_plain(*rest, 0, ',');
		*value = part(*rest, 0, end);
		if (end < rest->n)
			end++;
		rest->p += end;
		rest->n -= end;
	} while (value->n == 0);
	return true;
}

bool
sip_list_has(struct slice list, const char *word)
{
	struct slice one;

	while (sip_list_next(&list, &one)) {
		if (slice_case_is(one, word))
			return true;
	}
	return false;
}

/* What a URI may be made of; all else needs escaping first. */
static bool
is_uri_text(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = (uint8_t)s.p[i];

		if (c <= ' ' || c >= 0x7f || c == '<' || c == '>' || c == '"' ||
		    c == '\\')
			return false;
	}
	return s.n > 0;
}

/* Text the parser has unescaped must not carry what it could not before. */
static int
field_copy(char *dst, size_t size, const char *src)
{
	if (src == NULL) {
		dst[0] = '\0';
		return 0;
	}
	for (const char *p = src; *p != '\0'; p++) {
		if ((uint8_t)*p < ' ' || *p == 0x7f)
			return E_PARSE;
	}
	return str_copy(dst, size, src);
}

/* How often a parameter is there. */
static size_t
param_count(struct slice params, const char *name)
{
	size_t at = 0, end, n = 0;
	struct slice key, value;

	while (at < params.n) {
		end = find_plain(params, at, ';');
		(void)slice_cut(part(params, at, end), '=', &key, &value);
		n += slice_case_is(slice_trim(key), name);
		at = end + 1;
	}
	return n;
}

/* Reads what we need of the URI's parameters. */
static int
params_take(struct sip_uri *u, struct slice params)
{
	struct slice v;

	u->transport = -1;
	u->lr = sip_param(params, "lr", &v);
	if (!sip_param(params, "transport", &v))
		return 0;
	/* RFC 3261 19.1.1: once.  Two readers would not take the same one,
	 * and one of them decides whether a call needs TLS. */
	if (param_count(params, "transport") > 1)
		return E_PARSE;
	u->transport = -2;
	for (int t = 0; t < SIPC_TRANSPORTS; t++) {
		if (slice_case_is(v, sip_transport_name(t)))
			u->transport = t;
	}
	return 0;
}

/* Copies the parts that libosip2 found. */
static int
parts_take(struct sip_uri *u, const osip_uri_t *o)
{
	int64_t port = 0;
	struct addr ip;
	int err;

	u->sips = slice_case_is(slice_of(o->scheme), "sips");
	if (!u->sips && !slice_case_is(slice_of(o->scheme), "sip"))
		return E_PARSE;
	if (o->host == NULL || o->host[0] == '\0')
		return E_PARSE;
	if ((err = field_copy(u->user, sizeof(u->user), o->username)) != 0 ||
	    (err = field_copy(u->host, sizeof(u->host), o->host)) != 0)
		return err;
	if (strchr(u->host, ':') != NULL &&
	    addr_parse(&ip, slice_of(u->host), 0) != 0)
		return E_PARSE;
	if (o->port != NULL &&
	    str_int(slice_of(o->port), 1, UINT16_MAX, &port) != 0)
		return E_PARSE;
	u->port = (uint16_t)port;
	return 0;
}

int
sip_uri_parse(struct sip_uri *u, struct slice s)
{
	size_t at, host, cut;
	osip_uri_t *o = NULL;
	int err;

	if (s.n > SIPC_URI_MAX || !is_uri_text(s))
		return E_PARSE;
	at = find_plain(s, 0, '@');
	host = at < s.n ? at + 1 : 0;
	/* Headers of a URI would be ours to send: never taken. */
	cut = find_plain(s, host, '?');
	if ((err = str_copy_slice(
		 u->text, sizeof(u->text), (struct slice){ s.p, cut })) != 0)
		return err;
	if (osip_uri_init(&o) != 0)
		return ENOMEM;
	err = sip_err_of_osip(osip_uri_parse(o, u->text));
	if (err == 0)
		err = parts_take(u, o);
	osip_uri_free(o);
	if (err != 0)
		return err == ENOMEM ? ENOMEM : E_PARSE;
	at = find_plain(s, host, ';');
	if (at > cut)
		at = cut;
	return params_take(u, (struct slice){ s.p + at, cut - at });
}

/* RFC 3261 25.1: unreserved / user-unreserved. */
static bool
is_user_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') ||
	    (c != '\0' && strchr("-_.!~*'()&=+$,;?/", c) != NULL);
}

void
sip_user_put(struct buf *b, const char *user)
{
	for (; *user != '\0'; user++) {
		if (is_user_char(*user))
			ignore_err(buf_add(b, user, 1), "sticks in the buf");
		else
			ignore_err(buf_printf(b, "%%%02X", (uint8_t)*user),
			    "sticks in the buf");
	}
}

void
sip_host_port(const struct addr *a, char out[static ADDR_STR_MAX])
{
	addr_print(a, out);
}
