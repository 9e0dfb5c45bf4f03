/* SPDX-License-Identifier: ISC */
/* One received message: a single allocation that holds its text, an index of
 * its fields and what every message needs read out of them. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "internal.h"

/* Names and compact forms (RFC 3261 7.3.3, 20; RFC 4028). */
static const struct {
	const char *name;
	char compact;
	bool once; /* a second one makes the message ambiguous */
} names[SIPH_MAX] = {
	[SIPH_OTHER] = { "", 0, false },
	[SIPH_VIA] = { "via", 'v', false },
	[SIPH_FROM] = { "from", 'f', true },
	[SIPH_TO] = { "to", 't', true },
	[SIPH_CALL_ID] = { "call-id", 'i', true },
	[SIPH_CSEQ] = { "cseq", 0, true },
	[SIPH_MAX_FORWARDS] = { "max-forwards", 0, true },
	[SIPH_CONTACT] = { "contact", 'm', false },
	[SIPH_CONTENT_TYPE] = { "content-type", 'c', true },
	[SIPH_CONTENT_LENGTH] = { "content-length", 'l', true },
	[SIPH_CONTENT_ENCODING] = { "content-encoding", 'e', false },
	[SIPH_ROUTE] = { "route", 0, false },
	[SIPH_RECORD_ROUTE] = { "record-route", 0, false },
	[SIPH_REQUIRE] = { "require", 0, false },
	[SIPH_PROXY_REQUIRE] = { "proxy-require", 0, false },
	[SIPH_SUPPORTED] = { "supported", 'k', false },
	[SIPH_ALLOW] = { "allow", 0, false },
	[SIPH_EXPIRES] = { "expires", 0, false },
	[SIPH_MIN_EXPIRES] = { "min-expires", 0, false },
	[SIPH_RETRY_AFTER] = { "retry-after", 0, false },
	[SIPH_SERVICE_ROUTE] = { "service-route", 0, false },
	[SIPH_SESSION_EXPIRES] = { "session-expires", 'x', false },
	[SIPH_MIN_SE] = { "min-se", 0, false },
	[SIPH_WWW_AUTH] = { "www-authenticate", 0, false },
	[SIPH_PROXY_AUTH] = { "proxy-authenticate", 0, false },
	[SIPH_AUTHORIZATION] = { "authorization", 0, false },
	[SIPH_FLOW_TIMER] = { "flow-timer", 0, false },
	[SIPH_WARNING] = { "warning", 0, false },
	[SIPH_EVENT] = { "event", 'o', true },
	[SIPH_REFER_TO] = { "refer-to", 'r', false },
	[SIPH_REFERRED_BY] = { "referred-by", 'b', true },
};

/* What kind of field it is. */
static enum sip_hid
id_of(struct slice name)
{
	char c = name.n > 0 ? (char)(name.p[0] | 0x20) : '\0';

	for (int i = SIPH_OTHER + 1; i < SIPH_MAX; i++) {
		if (name.n == 1 ? c == names[i].compact
				: c == names[i].name[0] &&
			    slice_case_is(name, names[i].name))
			return i;
	}
	return SIPH_OTHER;
}

/* Notes what is wrong with a message; the first word counts. */
static void
fault(struct sip_msg *m, int code, const char *why)
{
	if (m->fault != 0)
		return;
	m->fault = code;
	m->fault_why = why;
}

/* The length of the header block with its empty line; 0: it has none. */
static size_t
head_len(struct slice in)
{
	const char *at = memmem(in.p, in.n, "\r\n\r\n", 4);

	return at != NULL ? (size_t)(at - in.p) + 4 : 0;
}

/* Of a block that was cut: the whole lines. */
static size_t
lines_len(struct slice in)
{
	while (in.n >= 2 && memcmp(in.p + in.n - 2, "\r\n", 2) != 0)
		in.n--;
	return in.n >= 2 ? in.n : 0;
}

/* How many lines there are at most. */
static size_t
lines_count(struct slice head)
{
	size_t n = 0;

	for (size_t i = 0; i < head.n; i++)
		n += head.p[i] == '\n';
	return n;
}

/*
 * Makes one line of each field: folds become spaces, byte by byte, so that all
 * stays where it is.  Control characters are blotted out: what follows reads C
 * strings.  With `keep` those behind a backslash (quoted-pair, RFC 3261 25.1)
 * stay.  True if there were such.
 */
static bool
head_flatten(char *p, size_t n, bool keep)
{
	bool escaped = false, any = false;

	for (size_t i = 0; i < n; i++) {
		uint8_t c = (uint8_t)p[i];

		if (c == '\r' && i + 1 < n && p[i + 1] == '\n') {
			if (i > 0 && p[i - 1] != '\n' && i + 2 < n &&
			    (p[i + 2] == ' ' || p[i + 2] == '\t'))
				p[i] = p[i + 1] = ' ';
			i++;
			escaped = false;
			continue;
		}
		if ((c < ' ' && c != '\t') || c == 0x7f) {
			bool pair = escaped && c != '\r' && c != '\n';

			any |= pair;
			if (!pair || !keep)
				p[i] = '?';
		}
		escaped = c == '\\' && !escaped;
	}
	return any;
}

/* Takes the next line off `*p` and ends it with a NUL. */
static char *
line_take(char **p)
{
	char *line = *p, *end = strchr(line, '\r');

	/* Flattened: each CR that is left belongs to a line end. */
	if (end == NULL || end[1] != '\n')
		return NULL;
	*end = '\0';
	*p = end + 2;
	return line;
}

/* Ends a string behind its last character that is no space. */
static char *
trim(char *s)
{
	size_t n;

	while (*s == ' ' || *s == '\t')
		s++;
	n = strlen(s);
	while (n > 0 && (s[n - 1] == ' ' || s[n - 1] == '\t'))
		n--;
	s[n] = '\0';
	return s;
}

/* Reads what is behind the version in "SIP/2.0 200 OK". */
static int
status_take(struct sip_msg *m, char *line)
{
	int64_t code;

	if (strncasecmp(line, "SIP/2.0 ", 8) != 0)
		return E_SIP_PARSE;
	line += 8;
	/* RFC 4475 3.1.2.19: three digits, and none behind them. */
	if (strlen(line) < 3 || (line[3] != ' ' && line[3] != '\0') ||
	    str_int((struct slice){ line, 3 }, 100, 699, &code) != 0)
		return E_SIP_PARSE;
	m->code = (int)code;
	m->reason = trim(line + 3);
	return 0;
}

/* Reads "INVITE sip:a@b SIP/2.0", or as much of it as is there; E_SIP_PARSE
 * for what is no request of any SIP. */
static int
request_take(struct sip_msg *m, char *line)
{
	char *sp, *end;
	size_t n = strlen(line);

	m->is_req = true;
	/* RFC 4475 3.1.2.8 to 10: one space between, none around. */
	if (n > 0 && (line[n - 1] == ' ' || line[n - 1] == '\t'))
		fault(m, 400, "space at the end of the request line");
	line = trim(line);
	if ((sp = strchr(line, ' ')) == NULL ||
	    (end = strrchr(line, ' ')) == sp ||
	    strncasecmp(end + 1, "SIP/", 4) != 0)
		return E_SIP_PARSE;
	*sp = *end = '\0';
	m->method = line;
	m->uri = sp + 1;
	if (!sip_is_token(slice_of(m->method)))
		fault(m, 400, "the method is no token");
	if (strcasecmp(end + 1, "SIP/2.0") != 0)
		fault(m, 505, "another version of SIP");
	if (m->uri[0] == '\0' || strpbrk(m->uri, " \t") != NULL)
		fault(m, 400, "space in the request line");
	return 0;
}

/* Files one header line. */
static void
field_take(struct sip_msg *m, char *line)
{
	char *colon = strchr(line, ':');
	struct sip_hdr *h = &m->hdrs[m->num_hdrs];

	if (colon == NULL) {
		fault(m, 400, "header line without a colon");
		return;
	}
	*colon = '\0';
	h->name = trim(line);
	h->value = trim(colon + 1);
	h->id = id_of(slice_of(h->name));
	if (!sip_is_token(slice_of(h->name))) {
		fault(m, 400, "the name of a field is no token");
		return;
	}
	if (names[h->id].once && sip_msg_get(m, h->id, 0) != NULL) {
		fault(m, 400, "a field that may be there once is there twice");
		return;
	}
	m->num_hdrs++;
}

/* Reads "314159 INVITE". */
static void
cseq_take(struct sip_msg *m)
{
	struct slice s = slice_of(sip_msg_get(m, SIPH_CSEQ, 0)), num;
	int64_t v;
	size_t n = 0;

	while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
		n++;
	num = (struct slice){ s.p, n };
	/* RFC 3261 8.1.1.5: below 2^31. */
	if (n == s.n || (s.p[n] != ' ' && s.p[n] != '\t') ||
	    str_int(num, 0, INT32_MAX, &v) != 0) {
		fault(m, 400, "CSeq is absent, or no number and method");
		return;
	}
	m->cseq = (uint32_t)v;
	s = slice_trim((struct slice){ s.p + n, s.n - n });
	if (m->is_req ? !slice_is(s, m->method) : !sip_is_token(s))
		fault(m, 400, "CSeq is of another method");
	else if (!m->is_req)
		m->method = (char *)(uintptr_t)s.p; /* ends with the line */
}

/* Skips `lit` and the space around it; NULL if something else is there. */
static const char *
skip_word(const char *p, const char *lit)
{
	size_t n = strlen(lit);

	if (p == NULL)
		return NULL;
	while (*p == ' ' || *p == '\t')
		p++;
	if (strncasecmp(p, lit, n) != 0)
		return NULL;
	p += n;
	while (*p == ' ' || *p == '\t')
		p++;
	return p;
}

/* Are the values of a Via field all there, with their parameters? */
static bool
vias_fit(const char *field)
{
	struct slice rest = slice_of(field), one;
	bool more = true;
	size_t n;

	while (more) {
		more = sip_list_cut(&rest, &one);
		for (n = 0; n < one.n && one.p[n] != ';'; n++)
			;
		if (n == 0 ||
		    !sip_params_fit((struct slice){ one.p + n, one.n - n }))
			return false;
	}
	return true;
}

/* Reads "SIP/2.0/TLS host:port;branch=..", the first of its field.  Without
 * it there is no answer. */
static int
via_take(struct sip_msg *m)
{
	const char *p;
	struct slice list, top;
	size_t n = 0;

	if ((m->via = (char *)(uintptr_t)sip_msg_get(m, SIPH_VIA, 0)) == NULL)
		return E_SIP_PARSE;
	list = slice_of(m->via);
	if (!sip_list_next(&list, &top))
		return E_SIP_PARSE;
	p = skip_word(skip_word(top.p, "SIP"), "/");
	if (p != NULL && skip_word(p, "2.0") == NULL)
		fault(m, 400, "Via of another version of SIP");
	if (p == NULL || (p = memchr(p, '/', strlen(p))) == NULL)
		return E_SIP_PARSE;
	p = skip_word(p, "/");
	if (p >= top.p + top.n)
		return E_SIP_PARSE;
	while (p < top.p + top.n && *p != ' ' && *p != '\t')
		p++;
	while (p < top.p + top.n && (*p == ' ' || *p == '\t'))
		p++;
	top.n -= (size_t)(p - top.p);
	top.p = p;
	while (n < top.n && top.p[n] != ';')
		n++;
	m->sent_by = slice_trim((struct slice){ top.p, n });
	m->via_params = (struct slice){ top.p + n, top.n - n };
	if (m->sent_by.n == 0)
		return E_SIP_PARSE;
	ignore_err(sip_param(m->via_params, "branch", &m->branch) ? 0 : ENOENT,
	    "stays empty");
	for (size_t i = 0; (p = sip_msg_get(m, SIPH_VIA, i)) != NULL; i++) {
		if (!vias_fit(p))
			fault(m, 400, "Via with something missing");
	}
	return 0;
}

/* Reads From or To. */
static void
peer_take(
    struct sip_msg *m, const char *value, struct slice *uri, struct slice *tag)
{
	struct sip_name_addr na;
	struct slice scheme, rest;

	if (value == NULL || sip_name_addr(&na, slice_of(value)) != 0 ||
	    !slice_cut(na.uri, ':', &scheme, &rest) ||
	    !sip_params_fit(na.params)) {
		fault(m, 400, "From or To is absent or malformed");
		return;
	}
	*uri = na.uri;
	if (!sip_param(na.params, "tag", tag))
		*tag = (struct slice){ NULL, 0 };
	/* It comes back in requests and in Replaces, without quotes. */
	else if (tag->n == 0 || memchr(tag->p, '"', tag->n) != NULL ||
	    memchr(tag->p, ',', tag->n) != NULL ||
	    memchr(tag->p, ';', tag->n) != NULL)
		fault(m, 400, "a tag is no token");
}

/* Is there one Via value alone? */
static bool
is_last_hop(const struct sip_msg *m)
{
	struct slice list = slice_of(m->via), one;

	return sip_list_next(&list, &one) && !sip_list_next(&list, &one) &&
	    sip_msg_get(m, SIPH_VIA, 1) == NULL;
}

/* Reads what every message must have (RFC 3261 8.1.1). */
static int
needs_take(struct sip_msg *m)
{
	int err;

	m->from = (char *)(uintptr_t)sip_msg_get(m, SIPH_FROM, 0);
	m->to = (char *)(uintptr_t)sip_msg_get(m, SIPH_TO, 0);
	m->call_id = (char *)(uintptr_t)sip_msg_get(m, SIPH_CALL_ID, 0);
	m->max_forwards = -1;
	if ((err = via_take(m)) != 0)
		return err;
	if (m->call_id == NULL || m->call_id[0] == '\0' ||
	    strpbrk(m->call_id, " \t,") != NULL)
		fault(m, 400, "Call-ID is absent or malformed");
	cseq_take(m);
	peer_take(m, m->from, &m->from_uri, &m->from_tag);
	peer_take(m, m->to, &m->to_uri, &m->to_tag);
	if (sip_msg_get(m, SIPH_MAX_FORWARDS, 0) != NULL) {
		m->max_forwards =
		    (int)sip_msg_uint(m, SIPH_MAX_FORWARDS, 255, -1);
		if (m->max_forwards < 0)
			fault(m, 400, "Max-Forwards is not 0..255");
	}
	/* RFC 3261 8.1.3.3: with a second one it is not for us. */
	if (!m->is_req && !is_last_hop(m))
		fault(m, 400, "answer with more than one Via");
	return 0;
}

/* Reads the lines of the flattened header block `p`. */
static int
head_take(struct sip_msg *m, char *p)
{
	char *line = line_take(&p);
	int err;

	if (line == NULL)
		return E_SIP_PARSE;
	err = strncasecmp(line, "SIP/", 4) == 0 ? status_take(m, line)
						: request_take(m, line);
	if (err != 0)
		return err;
	while ((line = line_take(&p)) != NULL && *line != '\0')
		field_take(m, line);
	return needs_take(m);
}

int
sip_msg_read(struct sip_msg **out, struct slice in, int code, const char *why)
{
	size_t end = head_len(in), lines, raw = 0;
	struct sip_msg *m;
	char *p;
	int err;

	if (end == 0 && code != 0)
		end = lines_len(in);
	lines = lines_count((struct slice){ in.p, end });
	if (lines < 2 || end > SIPC_HEAD_MAX)
		return E_SIP_PARSE;
	if (memchr(in.p, '\\', end) != NULL)
		raw = end;
	m = calloc(1, sizeof(*m) + lines * sizeof(m->hdrs[0]) + in.n + 1 + raw);
	if (m == NULL)
		return ENOMEM;
	p = (char *)&m->hdrs[lines];
	memcpy(p, in.p, in.n);
	if (raw > 0) {
		memcpy(p + in.n + 1, in.p, raw);
		if (head_flatten(p + in.n + 1, raw, true))
			m->raw = (ptrdiff_t)(in.n + 1);
	}
	(void)head_flatten(p, end, false);
	m->body = (struct slice){ p + end, in.n - end };
	if (code != 0)
		fault(m, code, why);
	if ((err = head_take(m, p)) == 0 && m->fault != 0 && !m->is_req)
		err = E_SIP_PARSE;
	if (err != 0) {
		sip_msg_free(m);
		return err;
	}
	*out = m;
	return 0;
}

int
sip_msg_parse(struct sip_msg **out, struct slice in)
{
	struct sip_msg *m;
	int err = sip_msg_read(&m, in, 0, NULL);

	if (err != 0)
		return err;
	if (m->fault != 0) {
		sip_msg_free(m);
		return E_SIP_PARSE;
	}
	*out = m;
	return 0;
}

struct slice
sip_msg_raw(const struct sip_msg *m, const char *s)
{
	return (struct slice){ s + m->raw, strlen(s) };
}

void
sip_msg_free(struct sip_msg *m)
{
	free(m);
}

const char *
sip_msg_get(const struct sip_msg *m, enum sip_hid id, size_t i)
{
	for (size_t k = 0; k < m->num_hdrs; k++) {
		if (m->hdrs[k].id == id && i-- == 0)
			return m->hdrs[k].value;
	}
	return NULL;
}

const char *
sip_msg_find(const struct sip_msg *m, const char *name, size_t i)
{
	enum sip_hid id = id_of(slice_of(name));

	if (id != SIPH_OTHER)
		return sip_msg_get(m, id, i);
	for (size_t k = 0; k < m->num_hdrs; k++) {
		if (m->hdrs[k].id == SIPH_OTHER &&
		    strcasecmp(m->hdrs[k].name, name) == 0 && i-- == 0)
			return m->hdrs[k].value;
	}
	return NULL;
}

struct slice
sip_msg_hdr(const struct sip_msg *m, enum sip_hid id)
{
	return slice_of(sip_msg_get(m, id, 0));
}

bool
sip_msg_has(const struct sip_msg *m, enum sip_hid id, const char *word)
{
	const char *v;

	for (size_t i = 0; (v = sip_msg_get(m, id, i)) != NULL; i++) {
		if (sip_list_has(slice_of(v), word))
			return true;
	}
	return false;
}

int
sip_msg_contact(const struct sip_msg *m, struct slice *uri)
{
	struct slice list = sip_msg_hdr(m, SIPH_CONTACT), one;
	struct sip_name_addr na;

	if (!sip_list_next(&list, &one) || sip_name_addr(&na, one) != 0)
		return E_PARSE;
	*uri = na.uri;
	return 0;
}

bool
sip_msg_is_sdp(const struct sip_msg *m)
{
	struct slice type = sip_msg_hdr(m, SIPH_CONTENT_TYPE), rest;

	if (m->body.n == 0)
		return false;
	(void)slice_cut(type, ';', &type, &rest);
	return slice_case_is(slice_trim(type), "application/sdp");
}

bool
sip_msg_is(const struct sip_msg *m, const char *method)
{
	return strcmp(m->method, method) == 0; /* RFC 3261 7.1: by case */
}

int64_t
sip_msg_uint(
    const struct sip_msg *m, enum sip_hid id, int64_t max, int64_t other)
{
	struct slice s = sip_msg_hdr(m, id);
	size_t n = 0;
	int64_t v;

	while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
		n++;
	/* "120 (later)", "90;refresher=uac" */
	if (n < s.n && strchr(" \t;(", s.p[n]) == NULL)
		return other;
	if (n == 0 || str_int((struct slice){ s.p, n }, 0, max, &v) != 0)
		return other;
	return v;
}

int64_t
sip_msg_retry_us(const struct sip_msg *m, int64_t max_s)
{
	int64_t s = sip_msg_uint(m, SIPH_RETRY_AFTER, INT32_MAX, 0);

	return (s < max_s ? s : max_s) * SIPC_S;
}
