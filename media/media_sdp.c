/* SPDX-License-Identifier: ISC */
/* The SDP reader (RFC 8866): what a call needs, over slices, with a ceiling on
 * everything that can be counted. */
#include <stdio.h>
#include <string.h>

#include "internal.h"

enum {
	PT_MAX = 127,
	CLOCK_MAX_HZ = 1000000,
	CHANNELS_MAX = 255,
	PTIME_MAX_MS = 1000
};

/* Where the reader is. */
struct reader {
	struct media_sdp *sdp;
	struct media_sdp_m *m; /* NULL: at session level */
	struct addr conn;      /* of the session */
	enum media_dir dir;    /* of the session */
	bool has_version, has_origin;
	unsigned int lines;
	char *why;
	size_t why_size;
};

const char *
media_proto_name(enum media_proto p)
{
	static const char *const names[] = { "?", "RTP/AVP", "RTP/AVPF",
		"RTP/SAVP", "RTP/SAVPF" };

	return names[p];
}

bool
media_proto_is_secure(enum media_proto p)
{
	return p == MEDIA_PROTO_SAVP || p == MEDIA_PROTO_SAVPF;
}

const char *
media_dir_name(enum media_dir d)
{
	static const char *const names[] = { "inactive", "sendonly", "recvonly",
		"sendrecv" };

	return names[d];
}

/* Refuses with a sentence. */
static int
refuse(struct reader *r, const char *text)
{
	(void)snprintf(r->why, r->why_size, "SDP line %u: %s", r->lines, text);
	return E_MEDIA_SDP;
}

/* Takes the next word off, at one space each (RFC 8866 9). */
static struct slice
word(struct slice *rest)
{
	struct slice w;

	slice_cut(*rest, ' ', &w, rest);
	return w;
}

/* "IN IP4 192.0.2.1", with or without the scope of a group. */
static int
address_parse(struct slice s, struct addr *out)
{
	struct slice net = word(&s), type = word(&s), host, scope;
	struct addr a;
	int err;

	if (!slice_case_is(net, "IN"))
		return E_PARSE;
	slice_cut(s, '/', &host, &scope);
	/* A port here would be somebody else's grammar. */
	if ((err = addr_parse(&a, host, 0)) != 0)
		return err;
	if (addr_port(&a) != 0)
		return E_PARSE;
	if (slice_case_is(type, "IP4")
		? a.u.sa.sa_family != AF_INET
		: !slice_case_is(type, "IP6") || a.u.sa.sa_family != AF_INET6)
		return E_PARSE;
	*out = a;
	return 0;
}

int
media_number(struct slice s, int64_t min, int64_t max, int64_t *out)
{
	if (s.n == 0 || s.p[0] < '0' || s.p[0] > '9' ||
	    str_int(s, min, max, out) != 0)
		return E_PARSE;
	return 0;
}

/* c= of the session or of one medium. */
static int
line_c(struct reader *r, struct slice v)
{
	struct addr a;
	uint16_t port;

	if (address_parse(v, &a) != 0)
		return refuse(r,
		    "c= is no IN IP4 or IN IP6 address (names are not "
		    "looked up)");
	if (addr_is_multicast(&a))
		return refuse(r, "c= is a group: no place for a call");
	if (r->m == NULL) {
		r->conn = a;
		return 0;
	}
	port = r->m->port;
	r->m->conn = a;
	addr_set_port(&r->m->conn, port);
	return 0;
}

/* Finds the format of a payload type; NULL: not on the m-line. */
static struct media_sdp_fmt *
fmt_find(struct media_sdp_m *m, int64_t pt)
{
	for (size_t i = 0; i < m->num_fmts; i++)
		if (m->fmts[i].pt == pt)
			return &m->fmts[i];
	return NULL;
}

/* The formats of an m-line of ours. */
static int
fmts_parse(struct reader *r, struct media_sdp_m *m)
{
	struct slice rest = m->fmts_text, w;
	int64_t pt;

	while (rest.n > 0) {
		w = word(&rest);
		if (w.n == 0)
			continue;
		if (media_number(w, 0, PT_MAX, &pt) != 0)
			return refuse(r,
			    "m=audio has a format that is no "
			    "payload type");
		if (fmt_find(m, pt) != NULL)
			continue;
		if (m->num_fmts == MEDIA_SDP_FMT_MAX)
			return refuse(r, "m=audio has too many formats");
		m->fmts[m->num_fmts++].pt = (uint8_t)pt;
	}
	return m->num_fmts != 0 ? 0 : refuse(r, "m=audio has no format");
}

/* The profile by name. */
static enum media_proto
proto_of(struct slice s)
{
	for (int p = MEDIA_PROTO_AVP; p <= MEDIA_PROTO_SAVPF; p++)
		if (slice_case_is(s, media_proto_name((enum media_proto)p)))
			return (enum media_proto)p;
	return MEDIA_PROTO_OTHER;
}

/* m=<media> <port>[/<number>] <proto> <fmt> ... */
static int
line_m(struct reader *r, struct slice v)
{
	struct slice rest = v, port, count;
	struct media_sdp_m *m;
	int64_t n;

	if (r->sdp->num_m == MEDIA_SDP_M_MAX)
		return refuse(r, "too many m= lines");
	m = r->m = &r->sdp->m[r->sdp->num_m];
	m->line = v;
	m->kind = word(&rest);
	port = word(&rest);
	m->proto_text = word(&rest);
	m->fmts_text = rest;
	slice_cut(port, '/', &port, &count);
	if (m->kind.n == 0 || m->proto_text.n == 0 || rest.n == 0)
		return refuse(r, "m= is cut short");
	if (media_number(port, 0, UINT16_MAX, &n) != 0)
		return refuse(r, "m= has no port");
	m->port = (uint16_t)n;
	m->is_audio = slice_case_is(m->kind, "audio");
	m->proto = proto_of(m->proto_text);
	m->conn = r->conn;
	m->dir = r->dir;
	if (addr_is_set(&m->conn))
		addr_set_port(&m->conn, m->port);
	r->sdp->num_m++;
	if (!m->is_audio || m->proto == MEDIA_PROTO_OTHER)
		return 0;
	return fmts_parse(r, m);
}

/* a=rtpmap:<pt> <name>/<clock>[/<channels>]; a bad one is as good as none. */
static void
attr_rtpmap(struct media_sdp_m *m, struct slice v)
{
	struct slice pt_text = word(&v), name, clock, channels;
	struct media_sdp_fmt *f;
	int64_t pt, hz, ch = 1;

	if (media_number(pt_text, 0, PT_MAX, &pt) != 0 ||
	    (f = fmt_find(m, pt)) == NULL || f->name.n != 0)
		return;
	if (!slice_cut(slice_trim(v), '/', &name, &clock) || name.n == 0)
		return;
	if (slice_cut(clock, '/', &clock, &channels) &&
	    media_number(channels, 1, CHANNELS_MAX, &ch) != 0)
		return;
	if (media_number(clock, 1, CLOCK_MAX_HZ, &hz) != 0)
		return;
	f->name = name;
	f->clock_hz = (unsigned int)hz;
	f->channels = (unsigned int)ch;
}

/* a=fmtp:<pt> <parameters> */
static void
attr_fmtp(struct media_sdp_m *m, struct slice v)
{
	struct slice pt_text = word(&v);
	struct media_sdp_fmt *f;
	int64_t pt;

	if (media_number(pt_text, 0, PT_MAX, &pt) == 0 &&
	    (f = fmt_find(m, pt)) != NULL && f->fmtp.n == 0)
		f->fmtp = slice_trim(v);
}

/* a=rtcp:<port> [IN IP4 address] (RFC 3605) */
static void
attr_rtcp(struct media_sdp_m *m, struct slice v)
{
	struct slice port = word(&v);
	struct addr a;
	int64_t n;

	if (media_number(port, 1, UINT16_MAX, &n) != 0)
		return;
	if (v.n != 0) {
		if (address_parse(v, &a) != 0)
			return;
		m->rtcp = a;
	}
	m->rtcp_port = (uint16_t)n;
}

/* A time of the packets; out of range counts as not said. */
static void
attr_ptime(unsigned int *out, struct slice v)
{
	struct slice whole, part;
	int64_t ms;

	slice_cut(slice_trim(v), '.', &whole, &part);
	if (media_number(whole, 1, PTIME_MAX_MS, &ms) == 0)
		*out = (unsigned int)ms;
}

/* Takes a direction; false if the attribute is another one. */
static bool
attr_dir(struct slice name, enum media_dir *out)
{
	for (int d = MEDIA_INACTIVE; d <= MEDIA_SENDRECV; d++) {
		if (slice_is(name, media_dir_name((enum media_dir)d))) {
			*out = (enum media_dir)d;
			return true;
		}
	}
	return false;
}

/* a= of one medium. */
static int
attr_media(struct reader *r, struct slice name, struct slice v)
{
	struct media_sdp_m *m = r->m;

	if (attr_dir(name, &m->dir))
		return 0;
	if (slice_is(name, "rtpmap"))
		attr_rtpmap(m, v);
	else if (slice_is(name, "fmtp"))
		attr_fmtp(m, v);
	else if (slice_is(name, "ptime"))
		attr_ptime(&m->ptime_ms, v);
	else if (slice_is(name, "maxptime"))
		attr_ptime(&m->maxptime_ms, v);
	else if (slice_is(name, "rtcp"))
		attr_rtcp(m, v);
	else if (slice_is(name, "rtcp-mux"))
		m->rtcp_mux = true;
	else if (slice_is(name, "crypto")) {
		if (m->num_crypto == MEDIA_SDP_CRYPTO_MAX)
			return refuse(r, "too many a=crypto lines");
		m->crypto[m->num_crypto++] = v;
	}
	return 0;
}

/* One line behind its "x=". */
static int
line_take(struct reader *r, char type, struct slice v)
{
	struct slice name, value;

	if (!r->has_version) {
		r->has_version = true;
		return type == 'v' && slice_is(v, "0")
		    ? 0
		    : refuse(r, "it does not start with v=0");
	}
	switch (type) {
	case 'o':
		r->has_origin = true;
		return 0;
	case 'c':
		return line_c(r, v);
	case 'm':
		return line_m(r, v);
	case 'a':
		slice_cut(v, ':', &name, &value);
		if (r->m != NULL)
			return attr_media(r, name, value);
		(void)attr_dir(name, &r->dir);
		return 0;
	default:
		return 0; /* nothing that a call needs */
	}
}

/* What can only be judged at the end. */
static int
whole_judge(struct reader *r)
{
	const struct media_sdp *sdp = r->sdp;

	if (!r->has_version || !r->has_origin)
		return refuse(r, "v= or o= is missing");
	if (sdp->num_m == 0)
		return refuse(r, "there is no m= line");
	for (size_t i = 0; i < sdp->num_m; i++)
		if (sdp->m[i].port != 0 && !addr_is_set(&sdp->m[i].conn))
			return refuse(r, "an m= line has no c=");
	return 0;
}

int
media_sdp_parse(
    struct media_sdp *sdp, struct slice text, char *why, size_t why_size)
{
	struct reader r = { .sdp = sdp,
		.dir = MEDIA_SENDRECV,
		.why = why,
		.why_size = why_size };
	struct slice line;
	int err;

	memset(sdp, 0, sizeof(*sdp));
	if (text.n > MEDIA_SDP_MAX)
		return refuse(&r, "the text is too long");
	if (text.n != 0 && memchr(text.p, '\0', text.n) != NULL)
		return refuse(&r, "there is a NUL in it");
	while (slice_line(&text, &line)) {
		if (++r.lines > MEDIA_SDP_LINES_MAX)
			return refuse(&r, "there are too many lines");
		if (line.n == 0)
			continue; /* some end with an empty line */
		if (line.n > MEDIA_SDP_LINE_MAX)
			return refuse(&r, "it is too long");
		/* Lines that we do not serve go back as they are. */
		if (memchr(line.p, '\r', line.n) != NULL)
			return refuse(&r, "there is a CR in it");
		if (line.n < 2 || line.p[1] != '=' || line.p[0] < 'a' ||
		    line.p[0] > 'z')
			return refuse(&r, "it is no type=value");
		err = line_take(
		    &r, line.p[0], (struct slice){ line.p + 2, line.n - 2 });
		if (err != 0)
			return err;
	}
	return whole_judge(&r);
}
