/* SPDX-License-Identifier: ISC */
/* The trace: no secret is in it, the newest messages are, and what it writes
 * is a capture. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "oom.h"
#include "test_sip.h"

#define HEAD                                                             \
	"INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/TLS "                    \
	"h:5061;branch=z9hG4bKa\r\n"                                     \
	"From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x:y:z@h\r\n" \
	"CSeq: 7 INVITE\r\n"
#define SDP "Content-Type: application/sdp\r\n\r\nv=0\r\n"

/* ---- masking ---- */

static char *
masked(const char *in)
{
	char *out = strdup(in);

	assert_non_null(out);
	sip_mask(out, strlen(out));
	assert_int_equal(strlen(out), strlen(in));
	return out;
}

static const struct {
	const char *why, *in, *shown; /* shown: NULL, or must stay */
} cases[] = {
	{ "digest",
	    HEAD "Authorization: Digest username=\"u\", realm=\"r\", "
		 "response=\"SECRET\", qop=auth\r\n\r\n",
	    "username=\"u\", realm=\"r\", response=********, "
	    "qop=auth" },
	{ "folded",
	    HEAD "Authorization: Digest realm=\"r\",\r\n\tresponse=\r\n "
		 "\"SECRET\"\r\nX: y\r\n\r\n",
	    "\r\nX: y\r\n" },
	{ "folded after the name",
	    HEAD "Authorization:\r\n Digest response=\"SECRET\"\r\n\r\n",
	    "\r\n Digest response=********" },
	{ "blank before the colon, other case",
	    HEAD "pROXY-aUTHORIZATION \t: dIGEST RESPONSE=SECRET\r\n\r\n",
	    NULL },
	{ "no comma",
	    HEAD "Authorization: Digest realm=\"r\" response "
		 "= SECRET\r\n\r\n",
	    NULL },
	{ "a quote that does not end",
	    HEAD "Authorization: Digest realm=\"r, response=SECRET\r\n\r\n",
	    NULL },
	{ "an escaped quote hides nothing",
	    HEAD "Authorization: Digest realm=\"r\\\", "
		 "response=\"SECRET\"\r\n\r\n",
	    NULL },
	{ "an unknown parameter",
	    HEAD "Authorization: Digest password=\"SECRET\"\r\n\r\n", NULL },
	{ "Basic", HEAD "Authorization: Basic SECRET\r\n\r\n",
	    "Authorization: ************\r\n" },
	{ "Bearer, folded", HEAD "Authorization: Bearer\r\n SECRET\r\n\r\n",
	    NULL },
	{ "DigestX is no digest",
	    HEAD "Authorization: Digestx realm=SECRET\r\n\r\n", NULL },
	{ "the server's proof",
	    HEAD "Authentication-Info: qop=auth, rspauth=\"SECRET\", "
		 "nextnonce=\"n\"\r\n\r\n",
	    "nextnonce=\"n\"" },
	{ "a field of one's own",
	    HEAD "X-Api-Token: SECRET\r\nX-Account-Password: SECRET\r\n\r\n",
	    "X-Api-Token: ******" },
	{ "password in the Request-URI",
	    "INVITE sip:u:SECRET@h SIP/2.0\r\n\r\n",
	    "INVITE sip:u:******@h SIP/2.0" },
	{ "password in other URIs",
	    HEAD "Contact: \"x\" <SIPS:u;p=q:SECRET@h>, "
		 "sip:v:SECRET@h;lr\r\nCall-Info: "
		 "<http://u:SECRET@h/p>\r\n\r\n",
	    "<http://u:******@h/p>" },
	{ "folded URI",
	    HEAD "Route: <sip:a@b>,\r\n "
		 "<sip:u:SECRET@h>\r\n\r\n",
	    "<sip:a@b>" },
	{ "header fields of a URI",
	    HEAD "Refer-To: <sip:a@b?Replaces=c%40d&Authorization="
		 "SECRET&body=SECRET>\r\n\r\n",
	    "?Replaces=c%40d&Authorization=******&body=******>" },
	{ "an escaped name in a URI",
	    HEAD "Refer-To: sip:a@b?%41uthorization=SECRET\r\n\r\n", NULL },
	{ "SRTP key",
	    HEAD SDP "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:SECRET"
		     "|2^20|1:4;inline:SECRET\r\na=sendrecv\r\n",
	    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:xxxx" },
	{ "other case, blanks, bare LF and CR",
	    HEAD SDP " A=CRYPTO:1 x INLINE:SECRET\na=crypto:1 y "
		     "inline:SECRET\rk=clear:SECRET\rm=x\r\n",
	    "m=x" },
	{ "a key method of its own", HEAD SDP "a=crypto:1 SUITE uri:SECRET\r\n",
	    "a=crypto:*" },
	{ "a key offered as a capability",
	    HEAD SDP "a=acap:1 crypto:1 SUITE inline:SECRET\r\n",
	    "SUITE inline:xxxxxx" },
	{ "k=, MIKEY, ICE",
	    HEAD SDP "k=base64:SECRET\r\na=key-mgmt:mikey SECRET\r\n"
		     "a=ice-pwd:SECRET\r\na=rtpmap:0 PCMU/8000\r\n",
	    "a=rtpmap:0 PCMU/8000" },
	{ "compact form of Content-Type",
	    HEAD "c : application/sdp;x=y\r\n\r\na=crypto:1 S "
		 "inline:SECRET\r\na=mid:1\r\n",
	    "a=mid:1" },
	{ "a body without a type", HEAD "\r\ninline:SECRET\r\n", NULL },
	{ "an encoded body",
	    HEAD "Content-Encoding: gzip\r\n" SDP "s=SECRET\r\n", NULL },
	{ "an encoded body, compact", HEAD "e: gzip\r\n" SDP "s=SECRET\r\n",
	    NULL },
	{ "base64",
	    HEAD "Content-Transfer-Encoding: base64\r\n" SDP "SECRET\r\n",
	    NULL },
	{ "two types", HEAD "c: text/plain\r\n" SDP "s=SECRET\r\n", NULL },
	{ "parts",
	    HEAD "c: multipart/mixed;boundary=b\r\n\r\n--b\r\n"
		 "Content-Type: application/sdp\r\n\r\nSECRET\r\n",
	    NULL },
	{ "what people write",
	    "MESSAGE sip:a@b SIP/2.0\r\nContent-Type: text/plain\r\n"
	    "\r\nthe password is\r\nSECRET",
	    "\r\n\r\n****" },
	{ "digits in INFO",
	    HEAD "c: application/dtmf-relay\r\n\r\nSignal= SECRET\r\n"
		 "Duration=160\r\n",
	    "Duration=160" },
	{ "a fragment",
	    HEAD "c: message/sipfrag\r\n\r\nSIP/2.0 200 OK\r\n"
		 "Authorization: Digest response=SECRET\r\n",
	    "SIP/2.0 200 OK" },
	{ "lone CR and LF end lines",
	    "ACK sip:a@b SIP/2.0\rX: y\rAuthorization: Digest "
	    "response=SECRET\nProxy-Authorization: SECRET\r SECRET\nX: z",
	    "X: z" },
	{ "no header at all", "\r\nSECRET", NULL },
	{ "cut in the middle", HEAD "Authorization: Digest response=\"SECRET",
	    NULL },
};

static void
no_secret_escapes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *out = masked(cases[i].in);

		assert_non_null(strstr(cases[i].in, "SECRET"));
		if (strstr(out, "SECRET") != NULL)
			fail_msg("%s: %s", cases[i].why, out);
		if (cases[i].shown != NULL &&
		    strstr(out, cases[i].shown) == NULL)
			fail_msg("%s: lost %s: %s", cases[i].why,
			    cases[i].shown, out);
		free(out);
	}
}

static void
what_is_no_secret_is_shown(void **state)
{
	static const char in[] = HEAD
	    "WWW-Authenticate: Digest realm=\"r\", nonce=\"n==\"\r\n"
	    "Contact: <sip:a@[::1]:5061;transport=tls>;+sip.instance=\"<urn:"
	    "uuid:1>\"\r\nSubject: what? no\r\nX-Other: y\r\n" SDP
	    "o=- 1 1 IN IP4 h\r\nm=audio 4000 RTP/SAVP 0 8\r\n"
	    "a=fingerprint:sha-256 AA:BB\r\na=rtpmap:0 PCMU/8000\r\n";
	char *out = masked(in);

	(void)state;
	assert_string_equal(out, in);
	free(out);
}

/* Whatever is cut off, nothing is read or written beyond the end, and nothing
 * more is shown than of the whole. */
static void
each_beginning_can_be_masked(void **state)
{
	static const char in[] =
	    HEAD "Authorization: Digest realm=\"r\", response=\"SECRET\"\r\n"
		 "Refer-To: <sip:u:SECRET@h?Authorization=SECRET>\r\n" SDP
		 "a=crypto:1 S inline:SECRET\r\n";

	(void)state;
	for (size_t n = 0; n < sizeof(in); n++) {
		char *p = malloc(n + 1);

		memcpy(p, in, n);
		p[n] = '\0'; /* only for strstr */
		sip_mask(p, n);
		/* Before its @ a password cannot be told from a port. */
		if (strstr(p, "response=\"SEC") != NULL ||
		    strstr(p, "inline:SEC") != NULL ||
		    strstr(p, "SECRET@") != NULL)
			fail_msg("at %zu: %s", n, p);
		free(p);
	}
}

/* ---- the ring ---- */

struct seen {
	size_t n, bytes;
	uint64_t first, last;
	bool wrong;
	char text[4096]; /* of the last */
	struct sip_trace_msg m;
};

static void
see(const struct sip_trace_msg *m, void *arg)
{
	struct seen *v = arg;

	if (v->n++ == 0)
		v->first = m->seq;
	else if (m->seq != v->last + 1)
		v->wrong = true;
	v->last = m->seq;
	v->bytes += m->msg.n;
	v->m = *m;
	(void)snprintf(v->text, sizeof(v->text), SLICE_FMT, SLICE_ARG(m->msg));
}

static struct sip_stack *
stack_open(struct world *w)
{
	struct sip_stack_conf c = {
		.loop = w->loop, .tls = w->tls, .dns = w->dns
	};
	struct sip_stack *s;

	assert_int_equal(sip_stack_new(&s, &c), 0);
	return s;
}

static void
newest_are_kept(void **state)
{
	struct sip_flow f = { .id = 5, .t = SIPC_TCP };
	char text[3000];
	struct world w;
	struct seen v;
	size_t n;

	(void)state;
	world_open(&w);
	f.s = stack_open(&w);
	for (size_t ring = SIPC_TRACE_MIN; ring <= 40 * 1024; ring += 5000) {
		sip_stack_keep(f.s, ring);
		for (unsigned int i = 0; i < 2000; i++) {
			/* Sizes without a pattern that fits the ring's. */
			n = 20 + (i * 2654435761U >> 7) % 2900;
			memset(text, 'x', n);
			(void)snprintf(
			    text, n, "ACK sip:%u SIP/2.0\r\n\r\n", i);
			sip_trace_out(&f, (struct slice){ text, n });
			memset(&v, 0, sizeof(v));
			sip_stack_kept(f.s, see, &v);
			assert_false(v.wrong);
			assert_true(v.n >= 1 && v.last == f.s->trace_seq);
			assert_true(v.bytes <= ring);
			(void)snprintf(text, 24, "ACK sip:%u SIP", i);
			assert_memory_equal(v.text, text, strlen(text));
			assert_true(v.m.msg.n == n || v.m.msg.n == ring / 8 ||
			    v.m.msg.n == (ring & ~15UL) / 8);
			assert_int_equal(v.m.full_n, n);
		}
		/* At least three quarters of it are in use. */
		assert_true(v.bytes + v.n * (sizeof(v.m) + 40) > ring * 3 / 4);
	}
	sip_stack_keep(f.s, 0);
	sip_trace_out(&f, slice_of("ACK sip:x SIP/2.0\r\n\r\n"));
	memset(&v, 0, sizeof(v));
	sip_stack_kept(f.s, see, &v);
	assert_int_equal(v.n, 0);
	sip_stack_free(f.s);
	world_close(&w);
}

static void
both_directions_are_seen(void **state)
{
	struct world w;
	struct peer p;
	struct sip_stack *s;
	struct seen live = { 0 }, kept = { 0 };
	uint16_t port;
	char *req;

	(void)state;
	world_open(&w);
	s = stack_open(&w);
	port = listen_on(s, SIPC_UDP, NULL);
	allow(s, "any");
	sip_stack_keep(s, 65536);
	peer_open(&p, &w, "127.0.0.1");
	req = peer_request(&p, "OPTIONS", "t1", "call-1", "",
	    "Authorization: Digest response=\"SECRET\"\r\n"
	    "Content-Length: 0\r\n\r\n");
	peer_says(&p, port, req);
	pass(&w, 10);
	heard(&p, 0, "SIP/2.0 200");
	sip_stack_kept(s, see, &kept);
	assert_int_equal(kept.n, 2);
	assert_true(kept.m.sent);
	assert_int_equal(addr_port(&kept.m.remote), addr_port(&p.at));
	assert_int_equal(addr_port(&kept.m.local), port);
	assert_string_equal(kept.text, p.msg[0]);

	assert_null(memmem(s->kept.mem, s->kept.tail, "SECRET", 6));
	assert_non_null(strstr(req, "SECRET"));

	sip_stack_trace(s, see, &live);
	req[strlen("OPTIONS sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP ")] =
	    '1';
	memcpy(strstr(req, "z9hG4bKt1"), "z9hG4bKt2", 9);
	peer_says(&p, port, req);
	pass(&w, 10);
	assert_int_equal(live.n, 2);
	assert_int_equal(live.first, 3);
	assert_true(live.m.sent && !live.wrong);
	assert_true(addr_eq(&live.m.remote, &p.at));
	/* One that cannot be read is no news on UDP. */
	peer_says(&p, port, "garbage");
	pass(&w, 10);
	assert_int_equal(live.n, 2);
	sip_stack_trace(s, NULL, NULL);
	kept.n = 0;
	sip_stack_kept(s, see, &kept);
	assert_int_equal(kept.n, 4);
	free(req);
	peer_close(&p);
	sip_stack_free(s);
	world_close(&w);
}

/* Nobody looks at the ring, and yet no secret stays in it. */
static void
the_ring_is_masked_soon(void **state)
{
	struct sip_flow f = { .id = 5, .t = SIPC_TCP };
	struct world w;

	(void)state;
	world_open(&w);
	f.s = stack_open(&w);
	sip_stack_keep(f.s, SIPC_TRACE_MIN);
	for (int i = 0; i < 300; i++) {
		char text[2000];
		int n = snprintf(text, sizeof(text),
		    HEAD SDP "a=x:%*s\r\nk=clear:SECRET\r\n", i * 7 % 1500,
		    "y");

		sip_trace_out(&f, (struct slice){ text, (size_t)n });
		if (i % 50 == 0)
			pass(&w, 50);
	}
	assert_non_null(memmem(f.s->kept.mem, f.s->kept.size, "SECRET", 6));
	pass(&w, 201);
	assert_null(memmem(f.s->kept.mem, f.s->kept.size, "SECRET", 6));
	sip_trace_out(&f, slice_of(HEAD SDP "k=clear:SECRET\r\n"));
	sip_stack_keep(f.s, 0);
	pass(&w, 500);
	sip_trace_out(&f, slice_of(HEAD));
	sip_stack_free(f.s); /* with the timer armed */
	pass(&w, 500);
	world_close(&w);
}

static void
strangers_do_not_flush_the_ring(void **state)
{
	struct world w;
	struct peer p;
	struct sip_stack *s;
	struct seen v = { 0 }, live = { 0 };
	uint16_t port;
	char *req;

	(void)state;
	world_open(&w);
	s = stack_open(&w);
	port = listen_on(s, SIPC_UDP, NULL);
	sip_stack_keep(s, SIPC_TRACE_MIN * 8);
	sip_stack_trace(s, see, &live);
	peer_open(&p, &w, "127.0.0.1");
	req = peer_request(&p, "OPTIONS", "t1", "call-1", "", "");
	for (int i = 0; i < 50; i++) {
		peer_says(&p, port, req);
		pass(&w, 1);
	}
	sip_stack_kept(s, see, &v);
	assert_int_equal(v.n, SIPC_TRACE_STRANGERS);
	assert_int_equal(live.n, 50);
	pass(&w, 1000);
	peer_says(&p, port, req);
	pass(&w, 1);
	v = (struct seen){ 0 };
	sip_stack_kept(s, see, &v);
	assert_int_equal(v.n, SIPC_TRACE_STRANGERS + 1);
	free(req);
	peer_close(&p);
	sip_stack_free(s);
	world_close(&w);
}

static int
trace_once(void *arg)
{
	struct sip_flow *f = arg;
	struct seen v = { 0 };

	sip_stack_keep(f->s, SIPC_TRACE_MIN);
	sip_stack_trace(f->s, see, &v);
	sip_trace_out(f, slice_of("ACK sip:x SIP/2.0\r\n\r\n"));
	sip_stack_trace(f->s, NULL, NULL);
	return v.n == 1 && f->s->kept.num == 1 ? 0 : ENOMEM;
}

static void
lack_of_memory_loses_the_trace_alone(void **state)
{
	struct sip_flow f = { .id = 5 };
	struct world w;

	(void)state;
	world_open(&w);
	f.s = stack_open(&w);
	(void)oom_each(trace_once, &f);
	sip_stack_free(f.s);
	world_close(&w);
}

/* ---- briefly ---- */

static void
a_line_tells_what_it_is(void **state)
{
	struct sip_trace_brief b;

	(void)state;
	sip_trace_brief(&b, slice_of(HEAD SDP));
	assert_true(slice_is(b.method, "INVITE") && b.code == 0 && b.sdp);
	assert_true(slice_is(b.cseq, "7") && slice_is(b.call_id, "x:y:z@h"));
	sip_trace_brief(&b,
	    slice_of("SIP/2.0 486 Busy Here\r\ni: c1\r\n"
		     "CSEQ:  12   BYE\r\n\r\nCall-ID: no"));
	assert_int_equal(b.code, 486);
	assert_true(slice_is(b.method, "BYE") && slice_is(b.cseq, "12"));
	assert_true(slice_is(b.reason, "Busy Here") && !b.sdp);
	assert_true(slice_is(b.call_id, "c1"));
	sip_trace_brief(&b, slice_of(""));
	assert_int_equal(b.method.n, 0);
	sip_trace_brief(&b, slice_of("SIP/2.0"));
	assert_int_equal(b.code, 0);
}

/* ---- pcapng ---- */

static uint32_t
get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint32_t
net16(const uint8_t *p)
{
	return (uint32_t)(p[0] << 8 | p[1]);
}

static uint32_t
ones(const uint8_t *p, size_t n, uint32_t sum)
{
	for (size_t i = 0; i < n; i++)
		sum += i % 2 == 0 ? (uint32_t)p[i] << 8 : p[i];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* Checks an IPv4 or IPv6 packet: lengths and checksums (RFC 1071: the sum over
 * all is all ones); returns what it carries. */
static struct slice
packet_check(const uint8_t *p, size_t n, bool tcp)
{
	bool v6 = p[0] >> 4 == 6;
	size_t ip = v6 ? 40 : 20, len = tcp ? 20 : 8;
	uint32_t sum = (uint32_t)(n - ip) + (tcp ? 6 : 17);

	assert_int_equal(v6 ? net16(p + 4) + 40 : net16(p + 2), n);
	assert_int_equal(p[v6 ? 6 : 9], tcp ? 6 : 17);
	if (!v6)
		assert_int_equal(ones(p, 20, 0), 0xffff);
	sum = v6 ? ones(p + 8, 32, sum) : ones(p + 12, 8, sum);
	assert_int_equal(ones(p + ip, n - ip, sum), 0xffff);
	if (!tcp)
		assert_int_equal(net16(p + ip + 4), n - ip);
	return (struct slice){ (const char *)p + ip + len, n - ip - len };
}

/* Walks the blocks and puts together what the packets carry. */
static size_t
capture_check(const struct buf *b, bool tcp, struct buf *text)
{
	size_t at = 0, packets = 0, ip;
	uint32_t n, seq, want = 0;
	struct slice part;
	const uint8_t *p;

	assert_int_equal(b->err, 0);
	assert_int_equal(get32(b->p), 0x0a0d0d0a);
	for (; at < b->n; at += n) {
		p = b->p + at;
		n = get32(p + 4);
		assert_true(n >= 12 && n % 4 == 0 && at + n <= b->n);
		assert_int_equal(get32(p + n - 4), n);
		if (get32(p) != 6)
			continue;
		part = packet_check(p + 28, get32(p + 20), tcp);
		assert_int_equal(buf_add(text, part.p, part.n), 0);
		packets++;
		if (!tcp)
			continue;
		ip = p[28] >> 4 == 6 ? 40 : 20;
		seq = net16(p + 32 + ip) << 16 | net16(p + 34 + ip);
		assert_true(want == 0 || seq == want);
		want = seq + (uint32_t)part.n;
	}
	return packets;
}

static void
captures_hold_what_was_said(void **state)
{
	static const char *const addrs[][2] = {
		{ "192.0.2.1:5060", "198.51.100.7:40001" },
		{ "[2001:db8::1]:5060", "[2001:db8::7]:40001" },
	};
	char *big = malloc(70001);
	struct buf b, text;

	(void)state;
	memset(big, 'a', 70001);
	for (int i = 0; i < 2 * SIPC_TRANSPORTS * 2; i++) {
		struct sip_trace_msg m = { .t = (enum sip_transport)(i % 3),
			.sent = i % 2 == 0,
			.at_us = 1800000000123456,
			.full_n = 70001,
			.msg = { big, i >= 6 ? 70001 : 5 } };
		bool tcp = m.t == SIPC_TCP, big_one = i >= 6;
		const char *const *a = addrs[i / 3 % 2];

		assert_int_equal(addr_parse(&m.local, slice_of(a[0]), 0), 0);
		assert_int_equal(addr_parse(&m.remote, slice_of(a[1]), 0), 0);
		buf_init(&b, 1 << 20);
		buf_init(&text, 1 << 20);
		sip_pcap_begin(&b);
		sip_pcap_add(&b, &m);
		assert_int_equal(
		    capture_check(&b, tcp, &text), tcp && big_one ? 2 : 1);
		assert_int_equal(text.n, !big_one ? 5 : tcp ? 70001 : 65000);
		assert_memory_equal(text.p, big, text.n);
		buf_clear(&text);
		buf_clear(&b);
	}
	free(big);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_secret_escapes),
		cmocka_unit_test(what_is_no_secret_is_shown),
		cmocka_unit_test(each_beginning_can_be_masked),
		cmocka_unit_test(newest_are_kept),
		cmocka_unit_test(both_directions_are_seen),
		cmocka_unit_test(the_ring_is_masked_soon),
		cmocka_unit_test(strangers_do_not_flush_the_ring),
		cmocka_unit_test(lack_of_memory_loses_the_trace_alone),
		cmocka_unit_test(a_line_tells_what_it_is),
		cmocka_unit_test(captures_hold_what_was_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
