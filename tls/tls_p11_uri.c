/* SPDX-License-Identifier: ISC */
/* The URI of a private key in a PKCS#11 token (RFC 7512). */
#include <stdio.h>
#include <string.h>

#include "bellbird/log.h"
#include "bellbird/str.h"

#include "p11.h"

static const char scheme[] = "pkcs11:";

bool
tls_p11_is_uri(struct slice s)
{
	size_t n = sizeof(scheme) - 1;

	return s.n >= n && slice_case_is((struct slice){ s.p, n }, scheme);
}

/* Says why a URI is refused. */
static int
refuse(char *why, size_t size, const char *text, struct slice about)
{
	snprintf(why, size, "the URI of the key %s%s%s%s [key.token]", text,
	    about.n > 0 ? " '" : "", about.n > 0 ? esc_n(about.p, about.n) : "",
	    about.n > 0 ? "'" : "");
	return E_PARSE;
}

/* RFC 7512 2.3: what may stand for itself in a value. */
static bool
is_plain(char c, bool query)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9'))
		return true;
	if (c == '\0')
		return false;
	return strchr("-._~:[]@!$'()*+,=", c) != NULL ||
	    strchr(query ? "/?|" : "&", c) != NULL;
}

/* Decodes a value of at most `max` bytes and terminates it. */
static int
decode(struct slice s, bool query, char *out, size_t max, size_t *n)
{
	uint8_t byte;
	size_t one;

	*n = 0;
	for (size_t i = 0; i < s.n; i++) {
		if (*n == max)
			return E_LIMIT;
		if (s.p[i] != '%') {
			if (!is_plain(s.p[i], query))
				return E_PARSE;
			out[(*n)++] = s.p[i];
			continue;
		}
		if (s.n - i < 3 ||
		    str_unhex(
			(struct slice){ s.p + i + 1, 2 }, &byte, 1, &one) != 0)
			return E_PARSE;
		out[(*n)++] = (char)byte;
		i += 2;
	}
	out[*n] = '\0';
	return 0;
}

/* One attribute of the path. */
static int
path_attr(struct p11_uri *u, struct slice a, bool *type, char *why, size_t size)
{
	const struct {
		const char *name;
		struct p11_attr *to;
		size_t max; /* the token's fields are fixed (PKCS#11 2.40) */
	} all[] = {
		{ "token", &u->token, 32 },
		{ "manufacturer", &u->manufacturer, 32 },
		{ "serial", &u->serial, 16 },
		{ "model", &u->model, 16 },
		{ "object", &u->object, P11_OBJECT_MAX },
		{ "id", &u->id, P11_OBJECT_MAX },
	};
	struct slice name, value;

	if (!slice_cut(a, '=', &name, &value))
		return refuse(why, size, "has a part without '=':", a);
	if (slice_is(name, "type")) {
		if (*type)
			return refuse(why, size, "says twice", name);
		*type = true;
		return slice_is(value, "private")
		    ? 0
		    : refuse(why, size,
			  "must name a private key (type=private), not", value);
	}
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (!slice_is(name, all[i].name))
			continue;
		if (all[i].to->given) /* RFC 7512 2.3 */
			return refuse(why, size, "says twice", name);
		all[i].to->given = true;
		if (decode(value, false, all[i].to->v, all[i].max,
			&all[i].to->n) == 0)
			return 0;
		return refuse(why, size,
		    "has a value that is too long or not percent-encoded in",
		    name);
	}
	/* RFC 7512 2.3: what is not understood matches nothing. */
	return refuse(why, size,
	    "may choose by token, manufacturer, serial, model, object and id, "
	    "not by",
	    name);
}

/* The file of "file:/path", "file:///path" or "/path". */
static int
pin_source(struct p11_uri *u, struct slice value, char *why, size_t size)
{
	char path[PATH_MAX], *at = path;
	size_t n;

	if (u->pin_file[0] != '\0')
		return refuse(why, size, "says twice", slice_of("pin-source"));
	if (decode(value, true, path, sizeof(path) - 1, &n) != 0 ||
	    strlen(path) != n)
		return refuse(
		    why, size, "has a pin-source that cannot be read", value);
	if (strncmp(at, "file:", 5) == 0)
		at += 5;
	if (strncmp(at, "//localhost/", 12) == 0)
		at += 11;
	else if (strncmp(at, "///", 3) == 0)
		at += 2;
	if (at[0] != '/' || at[1] == '/' || at[1] == '\0')
		return refuse(why, size,
		    "must name the file of the PIN by its whole path "
		    "(pin-source=file:/path), not",
		    value);
	return str_copy(u->pin_file, sizeof(u->pin_file), at);
}

/* One attribute of the query; others than these are left to others (RFC 7512
 * 2.4). */
static int
query_attr(struct p11_uri *u, struct slice a, char *why, size_t size)
{
	struct slice name, value;

	if (!slice_cut(a, '=', &name, &value))
		return refuse(why, size, "has a part without '=':", a);
	if (slice_is(name, "pin-source"))
		return pin_source(u, value, why, size);
	if (slice_is(name, "pin-value")) /* never shown */
		return refuse(why, size,
		    "has the PIN in it, and URIs are logged: put it into a "
		    "file, mode 0600, and say pin-source=file:/path",
		    slice_of(""));
	if (slice_is(name, "module-name") || slice_is(name, "module-path"))
		return refuse(why, size,
		    "may not choose a module, the setting tls.pkcs11.module "
		    "does: leave out",
		    name);
	return 0;
}

int
tls_p11_uri_parse(
    struct p11_uri *out, struct slice s, char *why, size_t why_size)
{
	struct slice path, query, a;
	struct p11_uri u;
	bool type = false;
	int err = 0;

	memset(&u, 0, sizeof(u));
	if (!tls_p11_is_uri(s))
		return refuse(
		    why, why_size, "does not start with", slice_of(scheme));
	if (s.n > P11_URI_MAX)
		return refuse(why, why_size, "is too long", slice_of(""));
	s.p += sizeof(scheme) - 1;
	s.n -= sizeof(scheme) - 1;
	slice_cut(s, '?', &path, &query);
	while (err == 0 && path.n > 0) {
		slice_cut(path, ';', &a, &path);
		err = path_attr(&u, a, &type, why, why_size);
	}
	while (err == 0 && query.n > 0) {
		slice_cut(query, '&', &a, &query);
		err = query_attr(&u, a, why, why_size);
	}
	if (err == 0)
		*out = u;
	return err;
}
