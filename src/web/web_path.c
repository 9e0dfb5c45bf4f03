/* SPDX-License-Identifier: ISC */
/* The path of a request: decoded once, and refused where it could mean
 * something else to whoever maps it to a file. */
#include <string.h>

#include "bellbird/str.h"
#include "internal.h"

/* One %XX at the start of `s`; -1 if it is none. */
static int
hex_byte(const char *s)
{
	uint8_t byte;
	size_t n;

	if (s[0] != '%' || s[1] == '\0' || s[2] == '\0' ||
	    str_unhex((struct slice){ s + 1, 2 }, &byte, 1, &n) != 0)
		return -1;
	return byte;
}

/* Empty segments, "." and ".." have no business in a path. */
static bool
segments_ok(const char *path)
{
	struct slice rest = slice_of(path + 1), seg;
	bool more = rest.n > 0;

	while (more) {
		more = slice_cut(rest, '/', &seg, &rest);
		if (slice_is(seg, ".") || slice_is(seg, ".."))
			return false;
		if (seg.n == 0 && more)
			return false; /* "//"; a slash at the end is fine */
	}
	return true;
}

/* Valid UTF-8 without control characters. */
static bool
text_ok(const char *s)
{
	size_t left = strlen(s), n;
	uint32_t cp;

	for (; left > 0; s += n, left -= n) {
		n = str_utf8(s, left, &cp);
		if (n == 0 || cp < 0x20 || (cp >= 0x7f && cp < 0xa0))
			return false;
	}
	return true;
}

int
web_path_decode(const char *raw, char *out, size_t size)
{
	size_t n = 0;
	int byte;

	if (raw == NULL || raw[0] != '/')
		return E_PARSE;
	while (*raw != '\0') {
		byte = (unsigned char)*raw;
		if (*raw == '%') {
			byte = hex_byte(raw);
			raw += 2;
		}
		if (byte <= 0)
			return E_PARSE;
		if (n + 1 >= size)
			return E_LIMIT;
		out[n++] = (char)byte;
		raw++;
	}
	out[n] = '\0';
	return segments_ok(out) && text_ok(out) ? 0 : E_PARSE;
}
