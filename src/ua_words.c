/* SPDX-License-Identifier: ISC */
/* What a user may say of a call: whom, and with which extra headers. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "ua.h"

#define SCHEME                                                           \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789" \
	"+-."

int
ua_target_parse(struct ua_target *t, const char *uri)
{
	struct slice s = slice_of(uri), head, tail, host;
	struct ua_target r = { .port = 0 };
	int err;

	if (s.n > 5 && strncasecmp(s.p, "sips:", 5) == 0) {
		r.tls = true;
		s.p += 5;
		s.n -= 5;
	} else if (s.n > 4 && strncasecmp(s.p, "sip:", 4) == 0) {
		s.p += 4;
		s.n -= 4;
	} else {
		return E_PARSE;
	}
	if (slice_cut(s, '@', &head, &tail))
		s = tail;
	(void)slice_cut(s, '?', &head, &tail);
	(void)slice_cut(head, ';', &host, &tail);
	while (tail.n != 0) {
		(void)slice_cut(tail, ';', &head, &tail);
		if (slice_case_is(head, "transport=tls"))
			r.tls = true;
	}
	if ((err = addr_split(host, &host, &r.port)) != 0)
		return err;
	if (host.n == 0)
		return E_PARSE;
	if (str_copy_slice(r.host, sizeof(r.host), host) != 0)
		return E_PARSE;
	*t = r;
	return 0;
}

/* Schemes that look like host:port without a user part. */
static bool
is_known_scheme(struct slice s)
{
	static const char *const known[] = { "tel", "http", "https", "mailto",
		"h323", "im", "pres", "xmpp", "urn", "callto" };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (slice_case_is(s, known[i]))
			return true;
	return false;
}

enum ctl_exit
ua_check_uri(const char *uri, char *why, size_t why_size)
{
	struct slice scheme = { uri, strspn(uri, SCHEME) };
	const char *rest = uri + scheme.n;
	size_t port;

	if (rest[0] != ':' || slice_case_is(scheme, "sip") ||
	    slice_case_is(scheme, "sips"))
		return CTL_OK;
	port = strspn(rest + 1, "0123456789");
	if (!is_known_scheme(scheme) && port > 0 && port <= 5 &&
	    (rest[1 + port] == '\0' || rest[1 + port] == ';'))
		return CTL_OK; /* host:port */
	(void)snprintf(why, why_size,
	    "%s cannot be called: give a number or name, or an address that "
	    "begins with sip: or sips:",
	    esc(uri));
	return CTL_USAGE;
}

enum ctl_exit
ua_check_headers(const char *headers, char *why, size_t why_size)
{
	struct slice line;
	const char *fault = sip_headers_fault(headers, &line);

	if (fault == NULL)
		return CTL_OK;
	(void)snprintf(
	    why, why_size, "the header %s %s", esc_n(line.p, line.n), fault);
	return CTL_USAGE;
}
