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

/* How many lines there are at most; folded ones are counted, too. */
static size_t
lines_count(struct slice in)
{
	const char *p = in.p, *end = in.p + in.n;
	size_t n = 0;

	while ((p = memchr(p, '\n', (size_t)(end - p))) != NULL) {
		p++;
		n++;
		if (end - p >= 2 && p[0] == '\r' && p[1] == '\n')
			break;
	}
	return n;
}

/* Takes the next logical line off `*p` and ends it with a NUL; folds become
 * spaces.  The empty line gives an empty string. */
static char *
line_take(char **p)
{
	char *line = *p, *end = line;

	while ((end = strchr(end, '\r')) != NULL && end[1] == '\n') {
		if (end == line || (end[2] != ' ' && end[2] != '\t')) {
			*end = '\0';
			*p = end + 2;
			return line;
		}
		end[0] = end[1] = ' ';
	}
	return NULL;
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

/* Reads "SIP/2.0 200 OK" or "INVITE sip:a@b SIP/2.0". */
static int
start_take(struct sip_msg *m, char *line)
{
	char *sp = strchr(line, ' '), *end;
	int64_t code;

	if (sp == NULL)
		return E_SIP_PARSE;
	*sp++ = '\0';
	if (strcasecmp(line, "SIP/2.0") == 0) {
		if (strlen(sp) < 3 || (sp[3] != ' ' && sp[3] != '\0') ||
		    str_int((struct slice){ sp, 3 }, 100, 699, &code) != 0)
			return E_SIP_PARSE;
		m->code = (int)code;
		m->reason = trim(sp + 3);
		return 0;
	}
	if ((end = strrchr(sp, ' ')) == NULL ||
	    strcasecmp(end + 1, "SIP/2.0") != 0)
		return E_SIP_PARSE;
	*end = '\0';
	/* RFC 4475 3.1.2: more than one space is no request line of ours. */
	if (line[0] == '\0' || sp[0] == '\0' || strchr(sp, ' ') != NULL)
		return E_SIP_PARSE;
	m->is_req = true;
	m->method = line;
	m->uri = sp;
	return 0;
}

/* Files one header line. */
static int
field_take(struct sip_msg *m, char *line)
{
	char *colon = strchr(line, ':');
	struct sip_hdr *h = &m->hdrs[m->num_hdrs];

	if (colon == NULL)
		return E_SIP_PARSE;
	*colon = '\0';
	h->name = trim(line);
	h->value = trim(colon + 1);
	h->id = id_of(slice_of(h->name));
	if (names[h->id].once && sip_msg_get(m, h->id, 0) != NULL)
		return E_SIP_PARSE;
	m->num_hdrs++;
	return 0;
}

/* Reads "314159 INVITE". */
static int
cseq_take(struct sip_msg *m)
{
	struct slice s = slice_of(sip_msg_get(m, SIPH_CSEQ, 0)), num;
	int64_t v;
	size_t n = 0;

	while (n < s.n && s.p[n] != ' ' && s.p[n] != '\t')
		n++;
	num = (struct slice){ s.p, n };
	/* RFC 3261 8.1.1.5: below 2^31. */
	if (n == s.n || str_int(num, 0, INT32_MAX, &v) != 0)
		return E_SIP_PARSE;
	m->cseq = (uint32_t)v;
	s = slice_trim((struct slice){ s.p + n, s.n - n });
	if (s.n == 0)
		return E_SIP_PARSE;
	if (m->is_req)
		return slice_is(s, m->method) ? 0 : E_SIP_PARSE;
	m->method = (char *)(uintptr_t)s.p; /* ends where the line ends */
	return 0;
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

/* Reads "SIP/2.0/TLS host:port;branch=..", the first of its field. */
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
	p = skip_word(
	    skip_word(skip_word(skip_word(top.p, "SIP"), "/"), "2.0"), "/");
	if (p == NULL || p >= top.p + top.n)
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
	return 0;
}

/* Reads From or To. */
static int
peer_take(const char *value, struct slice *uri, struct slice *tag)
{
	struct sip_name_addr na;

	if (value == NULL || sip_name_addr(&na, slice_of(value)) != 0)
		return E_SIP_PARSE;
	*uri = na.uri;
	if (!sip_param(na.params, "tag", tag))
		*tag = (struct slice){ NULL, 0 };
	return 0;
}

/* Reads what every message must have (RFC 3261 8.1.1). */
static int
needs_take(struct sip_msg *m)
{
	int err;

	m->from = (char *)(uintptr_t)sip_msg_get(m, SIPH_FROM, 0);
	m->to = (char *)(uintptr_t)sip_msg_get(m, SIPH_TO, 0);
	m->call_id = (char *)(uintptr_t)sip_msg_get(m, SIPH_CALL_ID, 0);
	if (m->call_id == NULL || m->call_id[0] == '\0' ||
	    strpbrk(m->call_id, " \t,") != NULL)
		return E_SIP_PARSE;
	if ((err = cseq_take(m)) != 0 || (err = via_take(m)) != 0 ||
	    (err = peer_take(m->from, &m->from_uri, &m->from_tag)) != 0 ||
	    (err = peer_take(m->to, &m->to_uri, &m->to_tag)) != 0)
		return err;
	m->max_forwards = -1;
	if (sip_msg_get(m, SIPH_MAX_FORWARDS, 0) != NULL) {
		m->max_forwards =
		    (int)sip_msg_uint(m, SIPH_MAX_FORWARDS, 255, -1);
		if (m->max_forwards < 0)
			return E_SIP_PARSE;
	}
	return 0;
}

int
sip_msg_parse(struct sip_msg **out, struct slice in)
{
	size_t lines = lines_count(in);
	struct sip_msg *m;
	char *p, *line;
	int err = E_SIP_PARSE;

	/* Folded lines are counted as well, hence twice the fields. */
	if (lines < 2 || lines > SIPC_HEAD_MAX / 4)
		return E_SIP_PARSE;
	m = calloc(1, sizeof(*m) + lines * sizeof(m->hdrs[0]) + in.n + 1);
	if (m == NULL)
		return ENOMEM;
	p = (char *)&m->hdrs[lines];
	memcpy(p, in.p, in.n);
	m->body.p = p + in.n;
	if ((line = line_take(&p)) == NULL || (err = start_take(m, line)) != 0)
		goto out;
	while ((line = line_take(&p)) != NULL && *line != '\0') {
		if ((err = field_take(m, line)) != 0)
			goto out;
	}
	if (line == NULL) {
		err = E_SIP_PARSE;
		goto out;
	}
	m->body = (struct slice){ p, (size_t)(m->body.p - p) };
	if ((err = needs_take(m)) != 0)
		goto out;
	*out = m;
	m = NULL;
out:
	sip_msg_free(m);
	return err;
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
