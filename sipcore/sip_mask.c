/* SPDX-License-Identifier: ISC */
/* A message for people: each byte of a secret becomes an asterisk.  What is not
 * known to be harmless counts as a secret, and nothing changes its length, so
 * that Content-Length still holds in a capture. */
#include <string.h>
#include <strings.h>

#include "internal.h"

/* What the header block says of the body. */
struct look {
	bool typed;  /* every Content-Type is one whose body may be shown */
	bool hidden; /* one is not, or the body is encoded */
};

/* Stars all but what makes the lines: line ends, and blanks behind them. */
static void
star(char *p, const char *end)
{
	bool start = false;

	for (; p < end; p++) {
		if (*p == '\r' || *p == '\n')
			start = true;
		else if (!start || (*p != ' ' && *p != '\t')) {
			start = false;
			*p = '*';
		}
	}
}

/* Blanks and the line ends of a folded field. */
static bool
is_lws(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static char *
skip_lws(char *p, const char *end)
{
	while (p < end && is_lws(*p))
		p++;
	return p;
}

static bool
is_word(char c)
{
	return (c >= '0' && c <= '9') ||
	    ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '-' || c == '_' ||
	    c == '.';
}

/* Is the word one of the list (any case)? */
static bool
among(struct slice word, const char *const *list, size_t num)
{
	for (size_t i = 0; i < num; i++)
		if (slice_case_is(word, list[i]))
			return true;
	return false;
}

/* ---- credentials (RFC 7616 3.4, 3.5) ---- */

/* Parameters of a digest from which no password can be guessed as long as the
 * response is not seen. */
static bool
is_open_param(struct slice name)
{
	static const char *const open[] = { "username", "realm", "nonce", "uri",
		"algorithm", "qop", "nc", "cnonce", "opaque", "nextnonce",
		"userhash", "stale" };

	return among(name, open, sizeof(open) / sizeof(open[0]));
}

/* The end of a parameter's value; NULL if it cannot be told for certain. */
static char *
value_end(char *p, const char *end)
{
	if (*p != '"') {
		while (p < end && *p != ',' && *p != '"' && !is_lws(*p))
			p++;
		return p < end && *p == '"' ? NULL : p;
	}
	/* A backslash is read in two ways in the field. */
	for (p++; p < end; p++) {
		if (*p == '\\')
			return NULL;
		if (*p == '"')
			return p + 1;
	}
	return NULL;
}

/* Stars the values of all parameters that are not open; from the first byte
 * that is no list of parameters on, everything. */
static void
params_mask(char *p, const char *end)
{
	char *name, *value, *stop;
	struct slice word;

	for (;;) {
		while (p < end && (is_lws(*p) || *p == ','))
			p++;
		for (name = p; p < end && is_word(*p); p++)
			continue;
		word = (struct slice){ name, (size_t)(p - name) };
		p = skip_lws(p, end);
		if (p == end || *p != '=' || word.n == 0)
			break;
		value = skip_lws(p + 1, end);
		if (value == end || (stop = value_end(value, end)) == NULL) {
			name = value;
			break;
		}
		if (!is_open_param(word))
			star(value, stop);
		p = stop;
	}
	star(name, end);
}

/* The value of Authorization and its like. */
static void
credentials_mask(char *p, const char *end, bool scheme)
{
	p = skip_lws(p, end);
	if (!scheme) {
		params_mask(p, end);
	} else if (end - p > 7 && strncasecmp(p, "digest", 6) == 0 &&
	    is_lws(p[6])) {
		params_mask(p + 7, end);
	} else {
		star(p, end);
	}
}

/* ---- URIs ---- */

/* Does a URI's scheme end at the colon `c`? */
static bool
is_scheme(const char *start, const char *c)
{
	static const char *const known[] = { "sip", "sips", "http", "https",
		"ftp", "tftp", "rtsp", "tel", "msrp", "msrps" };
	const char *p = c;

	while (p > start && is_word(p[-1]))
		p--;
	return among((struct slice){ p, (size_t)(c - p) }, known,
	    sizeof(known) / sizeof(known[0]));
}

/* What ends a URI wherever it stands. */
static bool
ends_uri(char c)
{
	return is_lws(c) || c == '<' || c == '>' || c == '"';
}

/* The password of user:password@host (RFC 3261 19.1.1, RFC 3986 3.2.1). */
static void
password_mask(char *p, const char *end)
{
	const char *start = p;
	char *c, *at, *colon;

	while (p < end && memchr(p, '@', (size_t)(end - p)) != NULL &&
	    (c = memchr(p, ':', (size_t)(end - p))) != NULL) {
		p = c + 1;
		if (!is_scheme(start, c))
			continue;
		while (p < end && *p == '/')
			p++;
		for (at = p; at < end && *at != '@' && !ends_uri(*at); at++)
			continue;
		if (at == end || *at != '@')
			continue;
		colon = memchr(p, ':', (size_t)(at - p));
		if (colon != NULL)
			star(colon + 1, at);
		p = at + 1;
	}
}

/* Header fields in a URI (RFC 3261 19.1.5) may be credentials or a body. */
static void
uri_headers_mask(char *p, const char *end)
{
	static const char *const open[] = { "replaces", "require", "subject",
		"answer-mode", "priority" };
	char *name;

	while (p < end && (p = memchr(p, '?', (size_t)(end - p))) != NULL) {
		for (name = ++p; p < end && !ends_uri(*p); p++) {
			if (*p == '&') {
				name = p + 1;
				continue;
			}
			if (*p != '=')
				continue;
			if (among((struct slice){ name, (size_t)(p - name) },
				open, sizeof(open) / sizeof(open[0])))
				continue;
			for (name = ++p; p < end && *p != '&' && !ends_uri(*p);
			     p++)
				continue;
			star(name, p);
			p--;
		}
	}
}

static void
uris_mask(char *p, const char *end)
{
	password_mask(p, end);
	uri_headers_mask(p, end);
}

/* ---- the header block ---- */

enum field {
	FIELD_PLAIN,
	FIELD_CREDENTIALS, /* scheme and parameters */
	FIELD_PARAMS,      /* parameters alone */
	FIELD_SECRET,      /* nothing of it is shown */
	FIELD_TYPE,
	FIELD_CODING
};

/* Fields of others whose name promises a secret. */
static bool
promises_secret(struct slice name)
{
	static const char *const words[] = { "auth", "passw", "secret", "token",
		"cookie", "key", "pin" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t n = strlen(words[i]);

		for (size_t k = 0; k + n <= name.n; k++)
			if (strncasecmp(name.p + k, words[i], n) == 0)
				return true;
	}
	return false;
}

/* What kind of field has this name? */
static enum field
field_kind(struct slice name)
{
	switch (name.n != 0 ? name.p[0] | 0x20 : 0) {
	case 'a':
		if (slice_case_is(name, "authorization"))
			return FIELD_CREDENTIALS;
		if (slice_case_is(name, "authentication-info"))
			return FIELD_PARAMS;
		break;
	case 'p':
		if (slice_case_is(name, "proxy-authorization"))
			return FIELD_CREDENTIALS;
		if (slice_case_is(name, "proxy-authentication-info"))
			return FIELD_PARAMS;
		break;
	case 'c':
		if (name.n == 1 || slice_case_is(name, "content-type"))
			return FIELD_TYPE;
		if (slice_case_is(name, "content-encoding") ||
		    slice_case_is(name, "content-transfer-encoding"))
			return FIELD_CODING;
		if (slice_case_is(name, "cookie"))
			return FIELD_SECRET;
		break;
	case 'e':
		if (name.n == 1)
			return FIELD_CODING;
		break;
	case 'x':
		if (promises_secret(name))
			return FIELD_SECRET;
		break;
	default:
		break;
	}
	return FIELD_PLAIN;
}

/* Bodies that may be shown; what is chatted (text), and types that can hold
 * others in some encoding, are not among them. */
static bool
is_open_type(struct slice value)
{
	static const char *const open[] = { "application/sdp",
		"application/simple-message-summary", "message/sipfrag",
		"application/dtmf-relay", "application/dialog-info+xml",
		"application/pidf+xml", "application/reginfo+xml",
		"application/media_control+xml" };
	struct slice type, params;

	(void)slice_cut(value, ';', &type, &params);
	return among(slice_trim(type), open, sizeof(open) / sizeof(open[0]));
}

/* One field with the lines that continue it. */
static void
field_mask(struct look *l, char *p, char *end)
{
	char *colon = memchr(p, ':', (size_t)(end - p));
	struct slice value;

	if (colon == NULL) {
		uris_mask(p, end);
		return;
	}
	value = (struct slice){ colon + 1, (size_t)(end - colon - 1) };
	while (value.n > 0 && is_lws(value.p[value.n - 1]))
		value.n--;
	value = slice_trim(value);
	switch (
	    field_kind(slice_trim((struct slice){ p, (size_t)(colon - p) }))) {
	case FIELD_CREDENTIALS:
		credentials_mask(colon + 1, end, true);
		break;
	case FIELD_PARAMS:
		credentials_mask(colon + 1, end, false);
		break;
	case FIELD_SECRET:
		star(skip_lws(colon + 1, end), end);
		break;
	case FIELD_TYPE:
		if (is_open_type(value))
			l->typed = true;
		else
			l->hidden = true;
		break;
	case FIELD_CODING:
		if (!slice_case_is(value, "identity"))
			l->hidden = true;
		break;
	case FIELD_PLAIN:
	default:
		uris_mask(p, end);
		break;
	}
}

/* ---- the body ---- */

/* Keys in SDP stand behind "inline:" (RFC 4568 9.2), whether as an attribute or
 * as one that is offered (RFC 5939); without it behind "crypto:"; key-mgmt is
 * RFC 4567, k= RFC 8866 5.12, ice-pwd RFC 8839. */
static void
sdp_mask(char *p, const char *end)
{
	static const char *const whole[] = { "inline", "key-mgmt", "ice-pwd" };
	char *from = NULL, *c = p, *w, fill = '*';

	if ((*p | 0x20) == 'k' && end - p > 1 && p[1] == '=')
		from = p + 2;
	while ((*p | 0x20) == 'a' && c < end &&
	    (c = memchr(c, ':', (size_t)(end - c))) != NULL) {
		struct slice word;

		for (w = c; w > p && is_word(w[-1]); w--)
			continue;
		word = (struct slice){ w, (size_t)(c - w) };
		c++;
		if (among(word, whole, sizeof(whole) / sizeof(whole[0]))) {
			from = c;
			/* Readers of captures take the key apart. */
			fill = 'x';
			break;
		}
		if (from == NULL && slice_case_is(word, "crypto"))
			from = c;
	}
	if (from != NULL && fill == '*')
		star(from, end);
	else if (from != NULL)
		memset(from, fill, (size_t)(end - from));
}

/* One line of a body that may be shown.  Digits that are sent in INFO are
 * often a PIN. */
static void
body_line_mask(char *p, char *end)
{
	struct look none = { false, false };
	char *at;

	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	if (p == end)
		return;
	/* A fragment of a message has header fields. */
	if ((*p | 0x20) == 'a' || (*p | 0x20) == 'p' || (*p | 0x20) == 'x')
		field_mask(&none, p, end);
	else
		uris_mask(p, end);
	sdp_mask(p, end);
	if (end - p > 6 && strncasecmp(p, "signal", 6) == 0 &&
	    (at = memchr(p, '=', (size_t)(end - p))) != NULL)
		star(at + 1, end);
}

static void
body_mask(const struct look *l, char *p, char *end)
{
	char *nl;

	if (l->hidden || !l->typed) {
		for (; p < end; p++)
			if (*p != '\r' && *p != '\n')
				*p = '*';
		return;
	}
	/* Some take a lone CR for a line end. */
	for (; p < end; p = nl + 1) {
		for (nl = p; nl < end && *nl != '\n' && *nl != '\r'; nl++)
			continue;
		body_line_mask(p, nl);
	}
}

/* The place behind a line; a lone CR or LF ends one, too, since some take it
 * so. */
static char *
line_end(char *p, char *end)
{
	while (p < end && *p != '\r' && *p != '\n')
		p++;
	if (p + 1 < end && *p == '\r' && p[1] == '\n')
		p++;
	return p < end ? p + 1 : end;
}

void
sip_mask(char *p, size_t n)
{
	struct look l = { false, false };
	char *end = p + n, *next;

	while (p < end && *p != '\r' && *p != '\n') {
		/* A line, and those behind it that begin with a blank. */
		next = line_end(p, end);
		while (next < end && (*next == ' ' || *next == '\t'))
			next = line_end(next, end);
		field_mask(&l, p, next);
		p = next;
	}
	body_mask(&l, p, end);
}
