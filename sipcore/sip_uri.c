/* SPDX-License-Identifier: ISC */
/* URIs, name-addrs, parameters and comma lists: what addresses look like in
 * text. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

bool
sip_is_token(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9')) &&
		    (c == '\0' || strchr("-.!%*_+`'~", c) == NULL))
			return false;
	}
	return s.n > 0;
}

/* Is there any of these bytes in it? */
static bool
has_any(struct slice s, const char *bytes)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] != '\0' && strchr(bytes, s.p[i]) != NULL)
			return true;
	}
	return false;
}

/* A quoted string, or words.  More is let through than RFC 3261 25.1 has for
 * words: addresses and UTF-8 without quotes are common. */
static bool
is_display_name(struct slice s)
{
	if (s.n > 0 && s.p[0] == '"')
		return s.n >= 2 && s.p[s.n - 1] == '"' &&
		    skip_quoted(s, 0) == s.n;
	return !has_any(s, "\",;<>\\");
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
		na.uri = (struct slice){ s.p + lt + 1, gt - lt - 1 };
		na.params = part(s, gt + 1, s.n);
		if (na.params.n > 0 && na.params.p[0] != ';')
			return E_PARSE;
	} else {
		/* RFC 3261 20.10: without <> parameters are the header's,
		 * and there may be no headers and no comma. */
		semi = find_plain(s, 0, ';');
		na.name = (struct slice){ NULL, 0 };
		na.uri = part(s, 0, semi);
		na.params = part(s, semi, s.n);
		if (has_any(na.uri, "?,"))
			return E_PARSE;
	}
	if (na.uri.n == 0 || has_any(na.uri, " \t\"<") ||
	    !is_display_name(na.name))
		return E_PARSE;
	if (na.name.n >= 2 && na.name.p[0] == '"')
		na.name = part(na.name, 1, na.name.n - 1);
	*out = na;
	return 0;
}

bool
sip_params_fit(struct slice params)
{
	struct slice key, value;
	size_t at = 0, end;
	bool has;

	while (at < params.n) {
		if (params.p[at++] != ';')
			return false;
		end = find_plain(params, at, ';');
		has = slice_cut(part(params, at, end), '=', &key, &value);
		value = slice_trim(value);
		if (!sip_is_token(slice_trim(key)) || (has && value.n == 0))
			return false;
		if (value.n > 0 && value.p[0] == '"') {
			if (value.n < 2 || skip_quoted(value, 0) != value.n ||
			    value.p[value.n - 1] != '"')
				return false;
		} else if (has_any(value, " \t\"")) {
			return false;
		}
		at = end;
	}
	return true;
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
sip_list_cut(struct slice *rest, struct slice *value)
{
	size_t end = find_plain(*rest, 0, ',');
	bool more = end < rest->n;

	*value = part(*rest, 0, end);
	if (more)
		end++;
	rest->p += end;
	rest->n -= end;
	return more;
}

bool
sip_list_next(struct slice *rest, struct slice *value)
{
	do {
		if (rest->n == 0)
			return false;
		(void)sip_list_cut(rest, value);
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

/* Copies the user part, unescaped.  Control characters stay as they were
 * escaped: nobody is to meet them, least of all NUL as an end. */
static int
user_take(struct sip_uri *u, struct slice s)
{
	size_t n = 0, len;
	uint8_t c;

	for (size_t i = 0; i < s.n; i++) {
		c = (uint8_t)s.p[i];
		if (c == '%') {
			if (s.n - i < 3 ||
			    str_unhex((struct slice){ s.p + i + 1, 2 }, &c, 1,
				&len) != 0)
				return E_PARSE;
			i += 2;
		}
		if (n + (c >= ' ' && c != 0x7f ? 1 : 3) >= sizeof(u->user))
			return E_LIMIT;
		if (c >= ' ' && c != 0x7f)
			u->user[n++] = (char)c;
		else
			n += (size_t)snprintf(u->user + n, 4, "%%%02X", c);
	}
	u->user[n] = '\0';
	return 0;
}

/* Is it the name of a host or an IPv4 address? */
static bool
is_host_name(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') || c == '-' || c == '.' ||
			c == '_'))
			return false;
	}
	return s.n > 0;
}

/* Copies what is within the brackets of an IPv6 reference. */
static int
ipv6_take(struct sip_uri *u, struct slice s)
{
	const char *odd = memmem(s.p, s.n, ":::", 3);
	struct addr ip;
	int n;

	/* RFC 5118 4.10: the grammar of RFC 3261 makes one colon too many
	 * before an IPv4 address, and some have followed it. */
	if (odd != NULL && memchr(odd, '.', s.n - (size_t)(odd - s.p)) != NULL)
		n = snprintf(u->host, sizeof(u->host), SLICE_FMT SLICE_FMT,
		    (int)(odd + 2 - s.p), s.p,
		    (int)(s.n - (size_t)(odd + 3 - s.p)), odd + 3);
	else
		n = snprintf(u->host, sizeof(u->host), SLICE_FMT, SLICE_ARG(s));
	if (n < 0 || (size_t)n >= sizeof(u->host) ||
	    addr_parse(&ip, slice_of(u->host), 0) != 0 ||
	    ip.u.sa.sa_family != AF_INET6)
		return E_PARSE;
	return 0;
}

/* Reads "host", "host:port", "[::1]:port". */
static int
host_take(struct sip_uri *u, struct slice s)
{
	struct slice host, port;
	bool has_port;
	int64_t v = 0;

	if (s.n > 0 && s.p[0] == '[') {
		s.p++;
		s.n--;
		if (!slice_cut(s, ']', &host, &port) || ipv6_take(u, host) != 0)
			return E_PARSE;
		has_port = port.n > 0;
		if (has_port && port.p[0] != ':')
			return E_PARSE;
		if (has_port) {
			port.p++;
			port.n--;
		}
	} else {
		/* A bare IPv6 address would have its port in it. */
		has_port = slice_cut(s, ':', &host, &port);
		if (!is_host_name(host) ||
		    str_copy_slice(u->host, sizeof(u->host), host) != 0)
			return E_PARSE;
	}
	u->port = 0;
	if (!has_port)
		return 0;
	for (size_t i = 0; i < port.n; i++) {
		if (port.p[i] < '0' || port.p[i] > '9')
			return E_PARSE;
	}
	if (str_int(port, 1, UINT16_MAX, &v) != 0)
		return E_PARSE;
	u->port = (uint16_t)v;
	return 0;
}

/* Puts the end of the part that starts at `from`: where one of `ends` is. */
static size_t
part_end(struct slice s, size_t from, const char *ends)
{
	while (from < s.n && strchr(ends, s.p[from]) == NULL)
		from++;
	return from;
}

int
sip_uri_parse(struct sip_uri *u, struct slice s)
{
	struct slice scheme, rest, user, password;
	size_t at, host = 0, semi, cut;
	int err;

	if (s.n > SIPC_URI_MAX || !is_uri_text(s) ||
	    !slice_cut(s, ':', &scheme, &rest))
		return E_PARSE;
	u->sips = slice_case_is(scheme, "sips");
	if (!u->sips && !slice_case_is(scheme, "sip"))
		return E_PARSE;
	u->user[0] = '\0';
	at = part_end(rest, 0, "@");
	if (at < rest.n) {
		(void)slice_cut(
		    (struct slice){ rest.p, at }, ':', &user, &password);
		if (user.n == 0 || (err = user_take(u, user)) != 0)
			return E_PARSE;
		host = at + 1;
		if (part_end(rest, host, "@") < rest.n)
			return E_PARSE;
	}
	semi = part_end(rest, host, ";?");
	/* Headers of a URI would be ours to send: never taken. */
	cut = part_end(rest, semi, "?");
	u->headers = cut < rest.n;
	if (host_take(u, (struct slice){ rest.p + host, semi - host }) != 0)
		return E_PARSE;
	if ((err = str_copy_slice(u->text, sizeof(u->text),
		 (struct slice){ s.p, (size_t)(rest.p - s.p) + cut })) != 0)
		return err;
	return params_take(u, (struct slice){ rest.p + semi, cut - semi });
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
