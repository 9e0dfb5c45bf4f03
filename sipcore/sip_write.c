/* SPDX-License-Identifier: ISC */
/* Messages to send: responses, random names, bodies. */
#include <assert.h>
#include <string.h>

#include "bellbird/mem.h"
#include "bellbird/tls_hash.h"
#include "internal.h"

/* Appends; a buf remembers its first failure, which composers ask once. */
static void
put(struct buf *b, const char *s)
{
	ignore_err(buf_puts(b, s), "sticks in the buf");
}

/* Appends a slice. */
static void
put_slice(struct buf *b, struct slice s)
{
	ignore_err(buf_add(b, s.p, s.n), "sticks in the buf");
}

/* Appends "Name: value". */
static void
put_line(struct buf *b, const char *name, const char *value)
{
	put(b, name);
	put(b, value);
	put(b, "\r\n");
}

void
sip_token(char *out, size_t n)
{
	/* The generator has its price for each call, not for each byte. */
	static uint8_t pool[256];
	static size_t left;

	assert(n / 2 <= sizeof(pool));
	if (left < n / 2) {
		tls_random(pool, sizeof(pool));
		left = sizeof(pool);
	}
	left -= n / 2;
	str_hex(out, pool + left, n / 2);
	/* Nobody finds here what was handed out. */
	mem_wipe(pool + left, n / 2);
}

void
sip_branch(char out[static SIPC_BRANCH_LEN + 1])
{
	memcpy(out, "z9hG4bK", 7);
	sip_token(out + 7, SIPC_BRANCH_LEN - 7);
}

const char *
sip_via_proto(enum sip_transport t)
{
	static const char *const names[SIPC_TRANSPORTS] = { "UDP", "TCP",
		"TLS" };

	return names[t];
}

const char *
sip_phrase(int code)
{
	static const struct {
		int code;
		const char *text;
	} v[] = {
		{ 100, "Trying" },
		{ 180, "Ringing" },
		{ 181, "Call Is Being Forwarded" },
		{ 182, "Queued" },
		{ 183, "Session Progress" },
		{ 200, "OK" },
		{ 202, "Accepted" },
		{ 400, "Bad Request" },
		{ 401, "Unauthorized" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 406, "Not Acceptable" },
		{ 408, "Request Timeout" },
		{ 413, "Request Entity Too Large" },
		{ 414, "Request-URI Too Long" },
		{ 415, "Unsupported Media Type" },
		{ 416, "Unsupported URI Scheme" },
		{ 420, "Bad Extension" },
		{ 422, "Session Interval Too Small" },
		{ 423, "Interval Too Brief" },
		{ 480, "Temporarily Unavailable" },
		{ 481, "Call/Transaction Does Not Exist" },
		{ 482, "Loop Detected" },
		{ 483, "Too Many Hops" },
		{ 486, "Busy Here" },
		{ 487, "Request Terminated" },
		{ 488, "Not Acceptable Here" },
		{ 491, "Request Pending" },
		{ 500, "Server Internal Error" },
		{ 501, "Not Implemented" },
		{ 503, "Service Unavailable" },
		{ 505, "Version Not Supported" },
		{ 513, "Message Too Large" },
		{ 600, "Busy Everywhere" },
		{ 603, "Decline" },
	};
	static const char *const kinds[] = { "Unknown", "Progress", "Success",
		"Redirection", "Client Error", "Server Error",
		"Global Failure" };

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		if (v[i].code == code)
			return v[i].text;
	}
	return kinds[code >= 100 && code < 700 ? code / 100 : 0];
}

bool
sip_clean(const char *s)
{
	for (; *s != '\0'; s++) {
		if (((uint8_t)*s < ' ' && *s != '\t') || *s == 0x7f)
			return false;
	}
	return true;
}

bool
sip_lines_fit(const char *lines)
{
	struct slice rest = slice_of(lines), line, name, value;
	const char *end;

	while (rest.n > 0) {
		if ((end = memmem(rest.p, rest.n, "\r\n", 2)) == NULL)
			return false;
		line = (struct slice){ rest.p, (size_t)(end - rest.p) };
		rest.p += line.n + 2;
		rest.n -= line.n + 2;
		/* No fold: it would belong to what is above it. */
		if (!slice_cut(line, ':', &name, &value) || line.n == 0 ||
		    *line.p == ' ' || *line.p == '\t' ||
		    !sip_is_token(slice_trim(name)))
			return false;
		for (size_t i = 0; i < value.n; i++) {
			if (((uint8_t)value.p[i] < ' ' && value.p[i] != '\t') ||
			    value.p[i] == 0x7f)
				return false;
		}
	}
	return true;
}

/* Takes the next ";name=value" off `*rest`, which starts with a semicolon. */
static struct slice
param_take(struct slice *rest)
{
	struct slice s = { rest->p + 1, rest->n - 1 };
	bool quoted = false;
	size_t n = 0;

	while (n < s.n && (quoted || s.p[n] != ';')) {
		if (s.p[n] == '"')
			quoted = !quoted;
		n++;
	}
	*rest = (struct slice){ s.p + n, s.n - n };
	return slice_trim((struct slice){ s.p, n });
}

/* Appends a field as the request had it; nothing if it had none. */
static void
put_raw(
    struct buf *b, const char *name, const struct sip_msg *m, const char *value)
{
	if (value == NULL)
		return;
	put(b, name);
	put_slice(b, sip_msg_raw(m, value));
	put(b, "\r\n");
}

/* To, with our tag where the request had none. */
static void
put_to(struct buf *b, const struct sip_msg *req, const struct sip_rsp *r)
{
	if (req->to == NULL)
		return;
	put(b, "To: ");
	put_slice(b, sip_msg_raw(req, req->to));
	if (req->to_tag.n == 0 && r->to_tag != NULL && r->code > 100) {
		put(b, ";tag=");
		put(b, r->to_tag);
	}
	put(b, "\r\n");
}

/* The first Via value as it goes back: RFC 3581 4 and RFC 3261 18.2.1. */
static void
put_top_via(struct buf *b, const struct sip_msg *m, const struct addr *from)
{
	const char *head = m->via + m->raw;
	struct slice rest = m->via_params, one, key, val, host = m->sent_by;
	char ip[ADDR_STR_MAX];
	bool rport = false;
	uint16_t port;

	addr_print_ip(from, ip);
	rest.p += m->raw;
	put_slice(b, (struct slice){ head, (size_t)(rest.p - head) });
	while (rest.n > 0) {
		one = param_take(&rest);
		(void)slice_cut(one, '=', &key, &val);
		key = slice_trim(key);
		if (slice_case_is(key, "received"))
			continue; /* only we may say that */
		if (slice_case_is(key, "rport") && slice_trim(val).n == 0) {
			rport = true;
			ignore_err(buf_printf(b, ";rport=%u", addr_port(from)),
			    "sticks in the buf");
			continue;
		}
		put(b, ";");
		put_slice(b, one);
	}
	if (addr_split(m->sent_by, &host, &port) != 0)
		host = m->sent_by;
	if (rport || !slice_is(host, ip)) {
		put(b, ";received=");
		put(b, ip);
	}
}

/* All Via fields of the request. */
static void
put_vias(struct buf *b, const struct sip_msg *m, const struct addr *from)
{
	const char *end = m->via_params.p + m->via_params.n, *v;

	put(b, "Via: ");
	put_top_via(b, m, from);
	/* the other values of the same field, or nothing */
	put_slice(b, sip_msg_raw(m, end));
	put(b, "\r\n");
	for (size_t i = 1; (v = sip_msg_get(m, SIPH_VIA, i)) != NULL; i++)
		put_raw(b, "Via: ", m, v);
}

void
sip_write_body(struct buf *b, const char *type, struct slice body)
{
	if (body.n > 0 && type != NULL)
		put_line(b, "Content-Type: ", type);
	if (body.n == 0)
		put(b, "Content-Length: 0\r\n\r\n");
	else
		ignore_err(buf_printf(b, "Content-Length: %zu\r\n\r\n", body.n),
		    "sticks in the buf");
	put_slice(b, body);
}

void
sip_write_response(
    struct buf *b, const struct sip_msg *req, const struct sip_rsp *r)
{
	const char *reason = r->reason, *v;

	if (reason == NULL || !sip_clean(reason))
		reason = sip_phrase(r->code);
	ignore_err(buf_printf(b, "SIP/2.0 %d ", r->code), "sticks in the buf");
	put(b, reason);
	put(b, "\r\n");
	put_vias(b, req, r->from);
	put_raw(b, "From: ", req, req->from);
	put_to(b, req, r);
	put_raw(b, "Call-ID: ", req, req->call_id);
	put_raw(b, "CSeq: ", req, sip_msg_get(req, SIPH_CSEQ, 0));
	/* RFC 3261 12.1.1: copied into what makes a dialog. */
	for (size_t i = 0; r->code > 100 && r->code < 300 &&
	     (v = sip_msg_get(req, SIPH_RECORD_ROUTE, i)) != NULL;
	     i++)
		put_raw(b, "Record-Route: ", req, v);
	if (r->server != NULL)
		put_line(b, "Server: ", r->server);
	if (r->headers != NULL)
		put(b, r->headers);
	sip_write_body(b, r->type, r->body);
}
