/* SPDX-License-Identifier: ISC */
/*
 * Just enough of URLs: the one that is fetched, and where it is redirected.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "bellbird/addr.h"
#include "internal.h"

/* is_path_char: may stand in a path as it is (RFC 3986 3.3, and the percent
 * sign of what is encoded already). */
static bool
is_path_char(char c)
{
	return isalnum((unsigned char)c) ||
	    (c != '\0' && strchr("-._~!$&'()*+,;=:@/%", c) != NULL);
}

int
url_path_add(struct url *u, const char *s)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t n = strlen(u->path);

	for (; *s != '\0'; s++) {
		if (n + 4 > sizeof(u->path))
			return E_LIMIT;
		if (is_path_char(*s)) {
			u->path[n++] = *s;
			continue;
		}
		u->path[n++] = '%';
		u->path[n++] = hex[(unsigned char)*s >> 4];
		u->path[n++] = hex[(unsigned char)*s & 15];
	}
	u->path[n] = '\0';
	return 0;
}

/* default_port is left out when printed. */
static uint16_t
default_port(bool tls)
{
	return tls ? 443 : 80;
}

void
url_print(const struct url *u, char *out, size_t size)
{
	bool v6 = strchr(u->host, ':') != NULL;
	char port[8] = "";

	if (u->port != default_port(u->tls))
		snprintf(port, sizeof(port), ":%u", u->port);
	snprintf(out, size, "%s://%s%s%s%s%s", u->tls ? "https" : "http",
	    v6 ? "[" : "", u->host, v6 ? "]" : "", port, u->path);
}

bool
url_keeps_origin(const struct url *from, const struct url *to)
{
	if (strcasecmp(from->host, to->host) != 0)
		return false;
	if (from->tls == to->tls)
		return from->port == to->port;
	return to->tls && from->port == default_port(false) &&
	    to->port == default_port(true);
}

/* is_url_text: printable ASCII, so that it cannot split a request. */
static bool
is_url_text(const char *s)
{
	for (; *s != '\0'; s++)
		if (*s <= 0x20 || *s >= 0x7f)
			return false;
	return true;
}

/* authority_parse reads "host[:port]"; credentials in a URL are refused. */
static int
authority_parse(struct slice s, struct url *u)
{
	struct slice host;
	uint16_t port = default_port(u->tls);

	if (s.n == 0 || memchr(s.p, '@', s.n) != NULL ||
	    addr_split(s, &host, &port) != 0 || host.n == 0 || port == 0)
		return E_PARSE;
	u->port = port;
	return str_copy_slice(u->host, sizeof(u->host), host) ? E_PARSE : 0;
}

/* path_take copies a path and query without the fragment. */
static int
path_take(const char *p, struct url *u)
{
	struct slice path, fragment;

	slice_cut(slice_of(p), '#', &path, &fragment);
	if (path.n == 0 || path.p[0] == '?')
		return E_PARSE; /* no server of ours redirects like this */
	return str_copy_slice(u->path, sizeof(u->path), path) ? E_PARSE : 0;
}

/* relative_take resolves "name" against the folder of the base path. */
static int
relative_take(const struct url *base, const char *rel, struct url *u)
{
	const char *slash = strrchr(base->path, '/');
	size_t head = slash ? (size_t)(slash - base->path) + 1 : 0;
	char path[sizeof(u->path) * 2];

	snprintf(path, sizeof(path), "%.*s%s", (int)head, base->path, rel);
	return path_take(path, u);
}

int
url_resolve(const struct url *base, const char *location, struct url *out)
{
	struct url u = *base;
	const char *p = location, *slash;
	int err;

	if (location[0] == '\0' || !is_url_text(location) ||
	    strlen(location) >= sizeof(u.path))
		return E_PARSE;
	if (strncasecmp(p, "https://", 8) == 0) {
		u.tls = true;
		p += 6;
	} else if (strncasecmp(p, "http://", 7) == 0) {
		u.tls = false;
		p += 5;
	}
	if (p == location && strncmp(p, "//", 2) != 0) {
		if (p[0] == '/')
			err = path_take(p, &u);
		else if (strstr(p, "://") != NULL)
			err = E_PARSE;
		else
			err = relative_take(base, p, &u);
	} else {
		p += 2;
		slash = strchr(p, '/');
		err = authority_parse(
		    (struct slice){
			p, slash ? (size_t)(slash - p) : strlen(p) },
		    &u);
		if (err == 0)
			err = path_take(slash ? slash : "/", &u);
	}
	if (err == 0)
		*out = u;
	return err;
}
