/* SPDX-License-Identifier: ISC */
/* Header lines that come from outside of the stack: nothing in them may end a
 * line early, name no header, or speak for the stack. */
#include <string.h>

#include "internal.h"

/* RFC 3261 25.1: token. */
#define TOKEN                                                                \
	"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.!%" \
	"*_+`'~"

/* Headers that the stack writes itself; a second one, or another value,
 * would break the dialog (RFC 3261 8.1.1, 20) or its security. */
static bool
is_ours(struct slice name)
{
	static const char *const ours[] = { "Via", "v", "From", "f", "To", "t",
		"Call-ID", "i", "CSeq", "Contact", "m", "Max-Forwards",
		"Content-Length", "l", "Content-Type", "c", "Content-Encoding",
		"e", "Route", "Record-Route", "Require", "Proxy-Require",
		"Supported", "k", "Allow", "Authorization",
		"Proxy-Authorization", "Session-Expires", "x", "Min-SE",
		"Expires", "RSeq", "RAck" };

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (slice_case_is(name, ours[i]))
			return true;
	return false;
}

/* One line, without its CRLF. */
static const char *
line_fault(struct slice line)
{
	struct slice name, value;

	if (!slice_cut(line, ':', &name, &value))
		return "is not of the form \"Name: value\"";
	name = slice_trim(name);
	for (size_t i = 0; i < name.n; i++)
		if (strchr(TOKEN, name.p[i]) == NULL || name.p[i] == '\0')
			return "has a name that no header can have";
	if (name.n == 0)
		return "has no name";
	if (is_ours(name))
		return "is a header that the endpoint writes itself";
	for (size_t i = 0; i < value.n; i++)
		if (((unsigned char)value.p[i] < ' ' && value.p[i] != '\t') ||
		    value.p[i] == 0x7f)
			return "has a control character in it";
	return NULL;
}

const char *
sip_headers_fault(const char *headers, struct slice *line)
{
	const char *at = headers, *end, *fault;

	while (*at != '\0') {
		*line = slice_of(at);
		if ((end = strstr(at, "\r\n")) == NULL)
			return "does not end with CR LF";
		*line = (struct slice){ at, (size_t)(end - at) };
		if ((fault = line_fault(*line)) != NULL)
			return fault;
		at = end + 2;
	}
	return NULL;
}
