/* SPDX-License-Identifier: ISC */
/* Framing: where a message ends, decided strictly and within limits before
 * any parser sees a byte of it (RFC 3261 18.3, RFC 5626 4.4.1). */
#include <string.h>
#include <strings.h>

#include "internal.h"

/* What the header block says; `length` -1: no Content-Length. */
struct head {
	size_t fields, commas;
	int64_t length;
	bool no_fold; /* the field must not go on in the next line */
	int code;     /* with which a bad block is answered */
};

/* Is it the field of the body's length? */
static bool
is_length(struct slice name)
{
	return slice_case_is(name, "content-length") ||
	    slice_case_is(name, "l");
}

/* Digits only, one time only, within the limit. */
static const char *
length_take(struct head *h, struct slice value)
{
	int64_t v = 0;

	value = slice_trim(value);
	h->code = 400;
	if (h->length >= 0)
		return "two Content-Length fields";
	if (value.n == 0)
		return "Content-Length is empty";
	for (size_t i = 0; i < value.n; i++) {
		if (value.p[i] < '0' || value.p[i] > '9')
			return "Content-Length is not a number";
		v = v * 10 + (value.p[i] - '0');
		/* Stops here: no number of digits makes it wrap around. */
		if (v > INT64_MAX / 16)
			return "Content-Length is no number of this world";
	}
	h->length = v;
	if (v <= SIPC_BODY_MAX)
		return NULL;
	h->code = 413;
	return "the body is larger than allowed";
}

/* Judges the bytes of one line: few commas, and no control characters but
 * those behind a backslash (quoted-pair, RFC 3261 25.1). */
static const char *
line_judge(struct head *h, struct slice line)
{
	static const bool special[256] = {
		[0 ... 0x1f] = true, [','] = true, ['\\'] = true, [0x7f] = true
	};
	bool escaped = false;

	for (size_t i = 0; i < line.n; i++) {
		uint8_t c = (uint8_t)line.p[i];

		/* Each byte of each message comes by here. */
		if (!special[c]) {
			escaped = false;
			continue;
		}
		if (c == ',' && ++h->commas >= SIPC_VALUES_MAX)
			return "too many values in a field";
		if (c == '\n' || c == '\r')
			return "line end that is not CRLF";
		if (!escaped && ((c < ' ' && c != '\t') || c == 0x7f))
			return "control character in a header";
		escaped = c == '\\' && !escaped;
	}
	return NULL;
}

/* One line behind the start line. */
static const char *
field_judge(struct head *h, struct slice line)
{
	struct slice name, value;
	const char *why;

	if (line.p[0] == ' ' || line.p[0] == '\t') {
		/* A length that goes on in the next line could be read in
		 * two ways by two programs. */
		if (h->fields == 0 || h->no_fold)
			return "folding where none may be";
		return line_judge(h, line);
	}
	h->commas = 0;
	if ((why = line_judge(h, line)) != NULL)
		return why;
	if (++h->fields > SIPC_FIELDS_MAX)
		return "too many header fields";
	if (!slice_cut(line, ':', &name, &value))
		return "header line without a colon";
	name = slice_trim(name);
	h->no_fold = name.n > 0 && (name.p[0] | 0x20) <= 'l' && is_length(name);
	return h->no_fold ? length_take(h, value) : NULL;
}

/* Judges a header block that ends with an empty line. */
static const char *
head_judge(struct head *h, struct slice head)
{
	bool start = true;
	struct slice rest = head, line;
	const char *why = NULL, *cr;

	memset(h, 0, sizeof(*h));
	h->length = -1;
	h->code = 400;
	while (why == NULL && rest.n > 0) {
		cr = memchr(rest.p, '\r', rest.n);
		if (cr == NULL || cr + 1 == rest.p + rest.n || cr[1] != '\n')
			return "line end that is not CRLF";
		line = (struct slice){ rest.p, (size_t)(cr - rest.p) };
		rest.p += line.n + 2;
		rest.n -= line.n + 2;
		if (line.n == 0)
			break;
		if (start)
			why = line_judge(h, line);
		else
			why = field_judge(h, line);
		start = false;
	}
	return why;
}

/* Finds the end of the header block; 0 if it is not there yet. */
static size_t
head_end(const char *p, size_t n, size_t from)
{
	const char *at;

	from = from > 3 ? from - 3 : 0; /* the end may straddle the split */
	if (n <= from)
		return 0;
	at = memmem(p + from, n - from, "\r\n\r\n", 4);
	return at != NULL ? (size_t)(at - p) + 4 : 0;
}

/* Line ends before a message; true if that settles what comes first. */
static bool
crlf_next(const struct sip_frame *f, struct slice in, size_t *n,
    enum sip_frame_ev *ev)
{
	if (in.p[0] != '\r')
		return false;
	*ev = SIP_FRAME_MORE;
	if (in.n < 2)
		return true;
	if (in.p[1] != '\n')
		return false;
	*n = 2;
	if (f->pings || (in.n > 2 && in.p[2] != '\r') ||
	    (in.n > 3 && in.p[3] != '\n')) {
		*ev = SIP_FRAME_CRLF;
	} else if (in.n >= 4) {
		*ev = SIP_FRAME_PING;
		*n = 4;
	} else {
		*n = 0;
	}
	return true;
}

/* Notes what is wrong, how it is answered (0: not at all) and how many bytes
 * may be looked at for that. */
static enum sip_frame_ev
bad(struct sip_fault *f, const char *why, int code, size_t head)
{
	f->why = why;
	f->code = code;
	f->head = head;
	return SIP_FRAME_BAD;
}

/* A header block is complete: how long is the message? */
static enum sip_frame_ev
head_take(struct sip_frame *f, struct slice in, size_t end)
{
	struct head h;
	const char *why = head_judge(&h, (struct slice){ in.p, end });

	if (why != NULL)
		return bad(&f->bad, why, h.code, end);
	if (h.length < 0)
		return bad(&f->bad, "no Content-Length on a stream", 400, end);
	f->need = end + (size_t)h.length;
	return SIP_FRAME_MSG;
}

enum sip_frame_ev
sip_frame_next(struct sip_frame *f, struct slice in, size_t *n)
{
	enum sip_frame_ev ev;
	size_t end;

	*n = 0;
	if (in.n == 0)
		return SIP_FRAME_MORE;
	if (f->need == 0) {
		if (f->seen == 0 && crlf_next(f, in, n, &ev))
			return ev;
		/* A start line begins with a letter: TLS, HTTP/2 or noise
		 * need not wait for their 64 seconds. */
		if (in.p[0] <= ' ' || (uint8_t)in.p[0] >= 0x7f)
			return bad(
			    &f->bad, "not the start of a SIP message", 0, 0);
		end = head_end(in.p, in.n, f->seen);
		if (end > SIPC_HEAD_MAX || (end == 0 && in.n >= SIPC_HEAD_MAX))
			return bad(&f->bad, "the header block is too large",
			    513, SIPC_HEAD_MAX);
		if (end == 0) {
			f->seen = in.n;
			return SIP_FRAME_MORE;
		}
		if ((ev = head_take(f, in, end)) != SIP_FRAME_MSG)
			return ev;
	}
	if (in.n < f->need)
		return SIP_FRAME_MORE;
	*n = f->need;
	f->need = f->seen = 0;
	return SIP_FRAME_MSG;
}

int
sip_frame_datagram(struct slice in, size_t *n, struct sip_fault *fault)
{
	size_t most = in.n < SIPC_HEAD_MAX ? in.n : SIPC_HEAD_MAX;
	size_t end = head_end(in.p, most, 0);
	struct head h;
	const char *why;

	if (end == 0) {
		bad(fault, "no end of the header block",
		    in.n < SIPC_HEAD_MAX ? 0 : 513, most);
		return E_SIP_PARSE;
	}
	if ((why = head_judge(&h, (struct slice){ in.p, end })) != NULL) {
		bad(fault, why, h.code, end);
		return E_SIP_PARSE;
	}
	/* RFC 3261 18.3: without a length the datagram is the limit; bytes
	 * behind the length are dropped. */
	if (h.length < 0)
		h.length = (int64_t)(in.n - end);
	if (h.length > SIPC_BODY_MAX || (size_t)h.length > in.n - end) {
		bad(fault, "the body is not as long as announced", 400, end);
		return E_SIP_PARSE;
	}
	*n = end + (size_t)h.length;
	return 0;
}
