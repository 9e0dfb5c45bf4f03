/* SPDX-License-Identifier: ISC */
/* SDP and a=crypto lines: the examples of the RFCs, what is broken and how it
 * is refused, line endings, ceilings, and that we can read what we write. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../media/internal.h"

/* Bytes 1, 2, 3 .. in base64. */
#define KEY_29 "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0="
#define KEY_30 "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0e"
#define KEY_31 "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHw=="
#define KEY_46 \
	"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKywtLg=="

#define V_O_S "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n"
#define HEAD  V_O_S "c=IN IP4 192.0.2.1\r\nt=0 0\r\n"
#define AUDIO "m=audio 4000 RTP/AVP 0\r\n"

enum { WHY = 160 };

static struct media_sdp sdp;
static char why[WHY];

/* Parses bytes that have nothing behind them, so that a sanitizer sees every
 * step too far.  Slices in `sdp` are good until the next call. */
static int
parse_n(const void *p, size_t n)
{
	static char *exact;
	int err;

	free(exact);
	exact = malloc(n + (n == 0));
	assert_non_null(exact);
	memcpy(exact, p, n);
	why[0] = '\0';
	err =
	    media_sdp_parse(&sdp, (struct slice){ exact, n }, why, sizeof(why));
	if (n == 0) {
		free(exact);
		exact = NULL;
	}
	return err;
}

static int
parse(const char *text)
{
	return parse_n(text, strlen(text));
}

/* Frees what the last parse left. */
static int
let_go(void **state)
{
	(void)state;
	return parse_n("", 0) == E_MEDIA_SDP ? 0 : -1;
}

static void
addr_is(const struct addr *a, const char *want)
{
	char got[ADDR_STR_MAX];

	addr_print(a, got);
	assert_string_equal(got, want);
}

static void
reads_the_example_of_rfc_8866(void **state)
{
	(void)state;
	assert_int_equal(
	    parse("v=0\r\n"
		  "o=jdoe 3724394400 3724394405 IN IP4 198.51.100.1\r\n"
		  "s=Call to John Smith\r\n"
		  "i=SDP Offer #1\r\n"
		  "u=http://www.jdoe.example.com/home.html\r\n"
		  "e=Jane Doe <jane@jdoe.example.com>\r\n"
		  "p=+1 617 555-6011\r\n"
		  "c=IN IP4 198.51.100.1\r\n"
		  "t=0 0\r\n"
		  "m=audio 49170 RTP/AVP 0\r\n"
		  "m=audio 49180 RTP/AVP 0\r\n"
		  "m=video 51372 RTP/AVP 99\r\n"
		  "c=IN IP6 2001:db8::2\r\n"
		  "a=rtpmap:99 h263-1998/90000\r\n"),
	    0);
	assert_int_equal(sdp.num_m, 3);
	assert_true(sdp.m[0].is_audio);
	assert_int_equal(sdp.m[0].proto, MEDIA_PROTO_AVP);
	assert_int_equal(sdp.m[0].num_fmts, 1);
	assert_int_equal(sdp.m[0].fmts[0].pt, 0);
	assert_int_equal(sdp.m[0].fmts[0].name.n, 0);
	assert_int_equal(sdp.m[0].dir, MEDIA_SENDRECV);
	addr_is(&sdp.m[0].conn, "198.51.100.1:49170");
	addr_is(&sdp.m[1].conn, "198.51.100.1:49180");
	assert_false(sdp.m[2].is_audio);
	assert_true(slice_is(sdp.m[2].kind, "video"));
	addr_is(&sdp.m[2].conn, "[2001:db8::2]:51372");
}

/* RFC 4566 5 is about a group; with a host in its place it is a session that
 * only sends. */
static void
reads_the_example_of_rfc_4566(void **state)
{
	static const char fmt[] =
	    "v=0\r\n"
	    "o=jdoe 2890844526 2890842807 IN IP4 10.47.16.5\r\n"
	    "s=SDP Seminar\r\n"
	    "i=A Seminar on the session description protocol\r\n"
	    "u=http://www.example.com/seminars/sdp.pdf\r\n"
	    "e=j.doe@example.com (Jane Doe)\r\n"
	    "c=IN IP4 %s\r\n"
	    "t=2873397496 2873404696\r\n"
	    "a=recvonly\r\n"
	    "m=audio 49170 RTP/AVP 0\r\n"
	    "m=video 51372 RTP/AVP 99\r\n"
	    "a=rtpmap:99 h263-1998/90000\r\n";
	char text[1000];

	(void)state;
	(void)snprintf(text, sizeof(text), fmt, "224.2.17.12/127");
	assert_int_equal(parse(text), E_MEDIA_SDP);
	assert_non_null(strstr(why, "group"));
	(void)snprintf(text, sizeof(text), fmt, "10.47.16.5");
	assert_int_equal(parse(text), 0);
	assert_int_equal(sdp.num_m, 2);
	assert_int_equal(sdp.m[0].dir, MEDIA_RECV);
	assert_int_equal(sdp.m[1].dir, MEDIA_RECV);
}

static void
reads_the_example_of_rfc_4568(void **state)
{
	struct media_crypto c;

	(void)state;
	assert_int_equal(
	    parse("v=0\r\n"
		  "o=sam 2890844526 2890842807 IN IP4 10.47.16.5\r\n"
		  "s=SRTP Discussion\r\n"
		  "c=IN IP4 168.2.17.12\r\n"
		  "t=2873397496 2873404696\r\n"
		  "m=audio 49170 RTP/SAVP 0\r\n"
		  "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"
		  "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^20|1:4\r\n"
		  "a=crypto:2 F8_128_HMAC_SHA1_80 inline:"
		  "MTIzNDU2Nzg5QUJDREUwMTIzNDU2Nzg5QUJjZGVm|2^20|1:4;inline:"
		  "QUJjZGVmMTIzNDU2Nzg5QUJDREUwMTIzNDU2Nzg5|2^20|2:4 "
		  "FEC_ORDER=FEC_SRTP\r\n"),
	    0);
	assert_int_equal(sdp.m[0].proto, MEDIA_PROTO_SAVP);
	assert_int_equal(sdp.m[0].num_crypto, 2);
	assert_int_equal(media_crypto_parse(&c, sdp.m[0].crypto[0]), 0);
	assert_int_equal(c.tag, 1);
	assert_string_equal(c.suite->name, "AES_CM_128_HMAC_SHA1_80");
	assert_memory_equal(c.key, "YS___semctl () {\t220;}\n}\nunles", 30);
	assert_int_equal(c.mki_len, 4);
	assert_memory_equal(c.mki, "\0\0\0\1", 4);
	assert_int_equal(
	    media_crypto_parse(&c, sdp.m[0].crypto[1]), E_MEDIA_SRTP_KEY);
}

static void
what_is_broken_is_refused_with_a_sentence(void **state)
{
	static const struct {
		const char *why, *text, *says;
	} v[] = {
		{ "nothing", "", "v=" },
		{ "an empty line", "\r\n", "v=" },
		{ "another version", "v=1\r\n", "v=0" },
		{ "no version", "o=- 1 1 IN IP4 1.2.3.4\r\n", "v=0" },
		{ "no origin", "v=0\r\ns=-\r\nc=IN IP4 192.0.2.1\r\n" AUDIO,
		    "o=" },
		{ "no medium", HEAD, "no m=" },
		{ "no address", V_O_S AUDIO, "no c=" },
		{ "a name for an address",
		    V_O_S "c=IN IP4 example.com\r\n" AUDIO, "no IN IP4" },
		{ "a port in an address",
		    V_O_S "c=IN IP4 192.0.2.1:5\r\n" AUDIO, "no IN IP4" },
		{ "IPv6 called IPv4", V_O_S "c=IN IP4 2001:db8::1\r\n" AUDIO,
		    "no IN IP4" },
		{ "IPv4 called IPv6", V_O_S "c=IN IP6 192.0.2.1\r\n" AUDIO,
		    "no IN IP4" },
		{ "another network", V_O_S "c=ATM NSAP 47\r\n" AUDIO,
		    "no IN IP4" },
		{ "an empty c=", V_O_S "c=\r\n" AUDIO, "no IN IP4" },
		{ "a group of IPv6", V_O_S "c=IN IP6 ff0e::1\r\n" AUDIO,
		    "group" },
		{ "a group at the medium", HEAD AUDIO "c=IN IP4 224.0.0.1\r\n",
		    "group" },
		{ "no type", HEAD "=x\r\n" AUDIO, "type=value" },
		{ "no equals sign", HEAD "hello\r\n" AUDIO, "type=value" },
		{ "one letter", HEAD "a\r\n" AUDIO, "type=value" },
		{ "a space before the sign", HEAD "a =x\r\n" AUDIO,
		    "type=value" },
		{ "an upper-case type", HEAD "M=audio 1 RTP/AVP 0\r\n",
		    "type=value" },
		{ "an empty m=", HEAD "m=\r\n", "cut short" },
		{ "m= without profile", HEAD "m=audio 4000\r\n", "cut short" },
		{ "m= without formats", HEAD "m=audio 4000 RTP/AVP\r\n",
		    "cut short" },
		{ "m= with spaces for formats",
		    HEAD "m=audio 4000 RTP/AVP   \r\n", "no format" },
		{ "a port that is none", HEAD "m=audio x RTP/AVP 0\r\n",
		    "no port" },
		{ "a port of 65536", HEAD "m=audio 65536 RTP/AVP 0\r\n",
		    "no port" },
		{ "a negative port", HEAD "m=audio -1 RTP/AVP 0\r\n",
		    "no port" },
		{ "a port with a sign", HEAD "m=audio +1 RTP/AVP 0\r\n",
		    "no port" },
		{ "payload type 128", HEAD "m=audio 4000 RTP/AVP 128\r\n",
		    "payload type" },
		{ "a name for a payload type",
		    HEAD "m=audio 4000 RTP/AVP pcmu\r\n", "payload type" },
		{ "CR alone", "v=0\ro=- 1 1 IN IP4 192.0.2.1\r", "CR in it" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		print_message("refuses %s\n", v[i].why);
		assert_int_equal(parse(v[i].text), E_MEDIA_SDP);
		if (strstr(why, v[i].says) == NULL)
			fail_msg("it says: %s", why);
	}
	/* The line is told. */
	assert_int_equal(parse(HEAD "m=audio x RTP/AVP 0\r\n"), E_MEDIA_SDP);
	assert_non_null(strstr(why, "line 6:"));
	/* It would come back in our answer. */
	assert_int_equal(
	    parse(HEAD AUDIO "m=image 1 udptl t38\ra=x\r\n"), E_MEDIA_SDP);
	assert_non_null(strstr(why, "CR"));
	/* A NUL ends no string here. */
	assert_int_equal(
	    parse_n(HEAD AUDIO "\0", sizeof(HEAD AUDIO)), E_MEDIA_SDP);
	assert_non_null(strstr(why, "NUL"));
}

static void
any_line_ending_will_do(void **state)
{
	static const struct {
		const char *why, *text;
	} v[] = {
		{ "CRLF", HEAD AUDIO "a=inactive\r\n" },
		{ "nothing behind the last line", HEAD AUDIO "a=inactive" },
		{ "CR behind the last line", HEAD AUDIO "a=inactive\r" },
		{ "an empty line at the end", HEAD AUDIO "a=inactive\r\n\r\n" },
		{ "empty lines within",
		    HEAD "\r\n" AUDIO "\n\r\na=inactive\r\n" },
		{ "LF",
		    "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\n"
		    "t=0 0\nm=audio 4000 RTP/AVP 0\na=inactive\n" },
		{ "both",
		    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\nc=IN IP4 192.0.2.1\n"
		    "m=audio 4000 RTP/AVP 0\r\na=inactive\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		print_message("reads %s\n", v[i].why);
		assert_int_equal(parse(v[i].text), 0);
		assert_int_equal(sdp.num_m, 1);
		addr_is(&sdp.m[0].conn, "192.0.2.1:4000");
		assert_int_equal(sdp.m[0].dir, MEDIA_INACTIVE);
	}
}

static void
attributes_of_the_medium_are_read(void **state)
{
	const struct media_sdp_m *m = &sdp.m[0];

	(void)state;
	assert_int_equal(
	    parse(V_O_S "c=IN IP4 192.0.2.1\r\na=sendonly\r\n"
			"m=audio 4000/2 rtp/avpf 96 0 101 96 97\r\n"
			"c=IN IP4 192.0.2.2\r\n"
			"a=rtpmap:96 opus/48000/2\r\na=rtpmap:96 other/8000\r\n"
			"a=rtpmap:97 bad/0\r\na=rtpmap:97 bad/8000/0\r\n"
			"a=rtpmap:97 nothing\r\na=rtpmap:97 /8000\r\n"
			"a=rtpmap:98 stray/8000\r\na=rtpmap:x stray/8000\r\n"
			"a=fmtp:96 useinbandfec=1;x=y \r\na=fmtp:96 later=1\r\n"
			"a=rtpmap:101 telephone-event/8000\r\n"
			"a=ptime:30\r\na=maxptime:60.5\r\na=rtcp-mux\r\n"
			"a=rtcp:4010 IN IP4 192.0.2.3\r\na=unknown:thing\r\n"
			"a=crypto:1 x y\r\n"
			"m=audio 0 RTP/SAVPF 8\r\na=inactive\r\na=ptime:0\r\n"
			"a=rtcp:0\r\na=rtcp:4011 IN IP4 name\r\n"
			"m=application 5000 UDP/BFCP *\r\n"),
	    0);
	assert_int_equal(sdp.num_m, 3);
	assert_int_equal(m->proto, MEDIA_PROTO_AVPF);
	assert_int_equal(m->dir, MEDIA_SEND);
	assert_int_equal(m->num_fmts, 4); /* 96 once */
	assert_int_equal(m->fmts[0].pt, 96);
	assert_true(slice_is(m->fmts[0].name, "opus"));
	assert_int_equal(m->fmts[0].clock_hz, 48000);
	assert_int_equal(m->fmts[0].channels, 2);
	assert_true(slice_is(m->fmts[0].fmtp, "useinbandfec=1;x=y"));
	assert_int_equal(m->fmts[1].pt, 0);
	assert_int_equal(m->fmts[2].clock_hz, 8000);
	assert_int_equal(m->fmts[2].channels, 1);
	assert_int_equal(m->fmts[3].name.n, 0);
	assert_int_equal(m->ptime_ms, 30);
	assert_int_equal(m->maxptime_ms, 60);
	assert_true(m->rtcp_mux);
	assert_int_equal(m->rtcp_port, 4010);
	addr_is(&m->conn, "192.0.2.2:4000");
	assert_true(addr_is_set(&m->rtcp));
	assert_int_equal(m->num_crypto, 1);
	assert_true(slice_is(m->crypto[0], "1 x y"));
	/* The second has nothing of the first. */
	m++;
	assert_int_equal(m->proto, MEDIA_PROTO_SAVPF);
	assert_int_equal(m->port, 0);
	assert_int_equal(m->dir, MEDIA_INACTIVE);
	assert_int_equal(m->ptime_ms, 0);
	assert_int_equal(m->rtcp_port, 0);
	assert_false(m->rtcp_mux);
	assert_int_equal(m->num_crypto, 0);
	/* Formats of others need not be payload types. */
	m++;
	assert_int_equal(m->proto, MEDIA_PROTO_OTHER);
	assert_int_equal(m->num_fmts, 0);
	assert_true(slice_is(m->proto_text, "UDP/BFCP"));
	assert_true(slice_is(m->fmts_text, "*"));
}

/* Appends `text` `n` times; '#' becomes a number. */
static void
repeat(struct buf *b, const char *text, int n)
{
	for (int i = 0; i < n; i++) {
		for (const char *p = text; *p != '\0'; p++) {
			if (*p == '#')
				buf_printf(b, "%d", i);
			else
				buf_add(b, p, 1);
		}
	}
}

/* What is wrong with HEAD and AUDIO and this much of `text`; "": nothing. */
static const char *
verdict(const char *before, const char *text, int n, const char *after)
{
	struct buf b;
	int err;

	buf_init(&b, 4 * MEDIA_SDP_MAX);
	buf_puts(&b, before);
	repeat(&b, text, n);
	buf_puts(&b, after);
	assert_int_equal(b.err, 0);
	err = parse_n(b.p, b.n);
	assert_int_equal(err, why[0] == '\0' ? 0 : E_MEDIA_SDP);
	buf_clear(&b);
	return why;
}

static void
every_ceiling_holds(void **state)
{
	static const struct {
		const char *why, *before, *text, *after;
		int max;
		const char *says;
	} v[] = {
		{ "lines", HEAD AUDIO, "a=x\r\n", "", MEDIA_SDP_LINES_MAX - 6,
		    "too many lines" },
		{ "bytes of a line", HEAD AUDIO "a=", "x", "\r\n",
		    MEDIA_SDP_LINE_MAX - 2, "too long" },
		{ "m= lines", HEAD, AUDIO, "", MEDIA_SDP_M_MAX, "too many m=" },
		{ "formats", HEAD "m=audio 1 RTP/AVP", " #", "\r\n",
		    MEDIA_SDP_FMT_MAX, "too many formats" },
		{ "keys", HEAD AUDIO, "a=crypto:# x y\r\n", "",
		    MEDIA_SDP_CRYPTO_MAX, "too many a=crypto" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		print_message("%d %s, not one more\n", v[i].max, v[i].why);
		assert_string_equal(
		    verdict(v[i].before, v[i].text, v[i].max, v[i].after), "");
		if (strstr(verdict(v[i].before, v[i].text, v[i].max + 1,
			       v[i].after),
			v[i].says) == NULL)
			fail_msg("it says: %s", why);
	}
}

static void
the_text_has_a_ceiling(void **state)
{
	static char text[MEDIA_SDP_MAX + 1];
	size_t n = sizeof(HEAD AUDIO) - 1;

	(void)state;
	/* Lines of 64 bytes stay below the ceiling of lines. */
	memcpy(text, HEAD AUDIO, n);
	memset(text + n, 'x', sizeof(text) - n);
	for (; n + 2 <= sizeof(text); n += 64) {
		memcpy(text + n, "a=", 2);
		text[n + 63 < sizeof(text) ? n + 63 : sizeof(text) - 1] = '\n';
	}
	assert_int_equal(parse_n(text, MEDIA_SDP_MAX), 0);
	assert_int_equal(parse_n(text, MEDIA_SDP_MAX + 1), E_MEDIA_SDP);
	assert_non_null(strstr(why, "too long"));
}

static void
spoilt_texts_do_no_harm(void **state)
{
	static const char good[] = HEAD
	    "m=audio 4000 RTP/SAVP 96 0 101\r\na=rtpmap:96 opus/48000/2\r\n"
	    "a=fmtp:96 useinbandfec=1\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 "
	    "inline:" KEY_30 "|2^20|1:4 WSH=64\r\na=rtcp:4001 IN IP4 1.2.3.4"
	    "\r\na=ptime:20\r\na=sendrecv\r\n";
	static const char spoilers[] = "\r\n:/ =09|;azM\xff";
	struct media_crypto c;
	char text[sizeof(good)];
	uint32_t x = 4711; /* the same on every run */
	int taken = 0;

	(void)state;
	for (int i = 0; i < 5000; i++) {
		size_t n = sizeof(good) - 1;

		memcpy(text, good, n);
		for (int k = 0; k < 1 + i % 4; k++) {
			x = x * 1664525 + 1013904223;
			text[(x >> 8) % n] =
			    spoilers[(x >> 24) % (sizeof(spoilers) - 1)];
		}
		if (i % 5 == 0)
			n = (x >> 4) % n;
		if (parse_n(text, n) != 0) {
			assert_true(why[0] != '\0');
			continue;
		}
		taken++;
		for (size_t k = 0; k < sdp.m[0].num_crypto; k++)
			ignore_err(media_crypto_parse(&c, sdp.m[0].crypto[k]),
			    "either will do");
	}
	assert_in_range(taken, 500, 4500);
}

#define S80 "AES_CM_128_HMAC_SHA1_80"
#define BAD E_MEDIA_SRTP_KEY

static const struct {
	const char *why, *text;
	int want;
	size_t mki_len;
} keys[] = {
	{ "plain", "1 " S80 " inline:" KEY_30, 0, 0 },
	{ "the largest tag", "999999999 " S80 " inline:" KEY_30, 0, 0 },
	{ "case", "1 aes_cm_128_hmac_sha1_80 INLINE:" KEY_30, 0, 0 },
	{ "spaces", "1  " S80 "  inline:" KEY_30 "  WSH=64", 0, 0 },
	{ "lifetime 2^20", "1 " S80 " inline:" KEY_30 "|2^20", 0, 0 },
	{ "lifetime 2^48", "1 " S80 " inline:" KEY_30 "|2^48", 0, 0 },
	{ "lifetime in full", "1 " S80 " inline:" KEY_30 "|1048576", 0, 0 },
	{ "MKI", "1 " S80 " inline:" KEY_30 "|1:4", 0, 4 },
	{ "both", "1 " S80 " inline:" KEY_30 "|2^20|255:1", 0, 1 },
	{ "MKI of 8", "1 " S80 " inline:" KEY_30 "|5:8", 0, 8 },
	{ "window hint", "1 " S80 " inline:" KEY_30 " WSH=128", 0, 0 },
	{ "may be ignored", "1 " S80 " inline:" KEY_30 " -X=1", 0, 0 },
	{ "short tag", "1 AES_CM_128_HMAC_SHA1_32 inline:" KEY_30, 0, 0 },
	{ "AES-256", "1 AES_256_CM_HMAC_SHA1_80 inline:" KEY_46, 0, 0 },
	{ "AES-256, old name", "1 AES_CM_256_HMAC_SHA1_32 inline:" KEY_46, 0,
	    0 },

	{ "nothing", "", E_PARSE, 0 },
	{ "only a tag", "1", E_PARSE, 0 },
	{ "no key", "1 " S80, E_PARSE, 0 },
	{ "tag 0", "0 " S80 " inline:" KEY_30, E_PARSE, 0 },
	{ "tag of 10 digits", "1000000000 " S80 " inline:" KEY_30, E_PARSE, 0 },
	{ "tag with a sign", "+1 " S80 " inline:" KEY_30, E_PARSE, 0 },
	{ "negative tag", "-1 " S80 " inline:" KEY_30, E_PARSE, 0 },
	{ "no tag", S80 " inline:" KEY_30, E_PARSE, 0 },
	{ "another method", "1 " S80 " uri:" KEY_30, E_PARSE, 0 },
	{ "a byte less", "1 " S80 " inline:" KEY_29, E_PARSE, 0 },
	{ "a byte more", "1 " S80 " inline:" KEY_31, E_PARSE, 0 },
	{ "no base64", "1 " S80 " inline:*" KEY_30, E_PARSE, 0 },
	{ "key of the other suite", "1 " S80 " inline:" KEY_46, E_PARSE, 0 },
	{ "empty key", "1 " S80 " inline:", E_PARSE, 0 },
	{ "empty lifetime", "1 " S80 " inline:" KEY_30 "|", E_PARSE, 0 },
	{ "a bar too many", "1 " S80 " inline:" KEY_30 "|2^20|", E_PARSE, 0 },
	{ "a bar behind the MKI", "1 " S80 " inline:" KEY_30 "|1:4|", E_PARSE,
	    0 },
	{ "lifetime 2^0", "1 " S80 " inline:" KEY_30 "|2^0", E_PARSE, 0 },
	{ "lifetime 2^49", "1 " S80 " inline:" KEY_30 "|2^49", E_PARSE, 0 },
	{ "lifetime 0", "1 " S80 " inline:" KEY_30 "|0", E_PARSE, 0 },
	{ "lifetime with a sign", "1 " S80 " inline:" KEY_30 "|+9", E_PARSE,
	    0 },
	{ "lifetime 2^+9", "1 " S80 " inline:" KEY_30 "|2^+9", E_PARSE, 0 },
	{ "no lifetime", "1 " S80 " inline:" KEY_30 "|x", E_PARSE, 0 },
	{ "MKI before it", "1 " S80 " inline:" KEY_30 "|1:4|2^20", E_PARSE, 0 },
	{ "MKI too wide", "1 " S80 " inline:" KEY_30 "|256:1", E_PARSE, 0 },
	{ "MKI of 0", "1 " S80 " inline:" KEY_30 "|1:0", E_PARSE, 0 },
	{ "MKI of 129", "1 " S80 " inline:" KEY_30 "|1:129", E_PARSE, 0 },
	{ "MKI with a sign", "1 " S80 " inline:" KEY_30 "|+1:4", E_PARSE, 0 },
	{ "negative MKI", "1 " S80 " inline:" KEY_30 "|-1:4", E_PARSE, 0 },
	{ "MKI without length", "1 " S80 " inline:" KEY_30 "|2^20|1:", E_PARSE,
	    0 },

	{ "long MKI", "1 " S80 " inline:" KEY_30 "|1:9", BAD, 0 },
	{ "MKI of RFC 4568's example", "1 " S80 " inline:" KEY_30 "|2^20|1:32",
	    BAD, 0 },
	{ "two keys", "1 " S80 " inline:" KEY_30 "|1:4;inline:" KEY_30 "|2:4",
	    BAD, 0 },
	{ "unknown suite", "1 AEAD_AES_128_GCM inline:" KEY_30, BAD, 0 },
	{ "RTP in clear", "1 " S80 " inline:" KEY_30 " UNENCRYPTED_SRTP", BAD,
	    0 },
	{ "RTCP in clear", "1 " S80 " inline:" KEY_30 " UNENCRYPTED_SRTCP", BAD,
	    0 },
	{ "no tags", "1 " S80 " inline:" KEY_30 " WSH=64 UNAUTHENTICATED_SRTP",
	    BAD, 0 },
	{ "key derivation", "1 " S80 " inline:" KEY_30 " KDR=10", BAD, 0 },
	{ "small window", "1 " S80 " inline:" KEY_30 " WSH=63", BAD, 0 },
};

static void
keys_are_read_strictly(void **state)
{
	struct media_crypto c, before;
	uint8_t count[MEDIA_KEY_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(count); i++)
		count[i] = (uint8_t)(i + 1);
	memset(&before, 0x5a, sizeof(before));
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		size_t n = strlen(keys[i].text);
		char *exact = test_malloc(n + 1);

		print_message("case %s\n", keys[i].why);
		memcpy(exact, keys[i].text, n);
		memcpy(&c, &before, sizeof(c));
		assert_int_equal(
		    media_crypto_parse(&c, (struct slice){ exact, n }),
		    keys[i].want);
		if (keys[i].want == 0) {
			assert_memory_equal(c.key, count, c.suite->key_len);
			assert_int_equal(c.mki_len, keys[i].mki_len);
		} else {
			assert_memory_equal(&c, &before, sizeof(c));
		}
		test_free(exact);
	}
}

static void
identifiers_are_big_endian(void **state)
{
	struct media_crypto c;

	(void)state;
	assert_int_equal(media_crypto_parse(
			     &c, slice_of("1 " S80 " inline:" KEY_30 "|258:3")),
	    0);
	assert_memory_equal(c.mki, "\0\1\2", 3);
}

static void
keys_survive_the_round_trip(void **state)
{
	static const char *const names[] = { S80, "AES_CM_128_HMAC_SHA1_32",
		"AES_256_CM_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_32" };
	const struct media_suite *s[MEDIA_SUITES_MAX];
	struct media_crypto a, b, other;
	struct buf out;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct slice text;

		assert_int_equal(media_suite_list(names[i], s), 1);
		assert_string_equal(s[0]->name, names[i]);
		media_crypto_make(&a, s[0], 7);
		media_crypto_make(&other, s[0], 7);
		assert_false(media_crypto_same_key(&a, &other));
		buf_init(&out, 400);
		media_crypto_print(&a, &out);
		text = slice_of(buf_str(&out));
		assert_memory_equal(text.p, "a=crypto:", 9);
		assert_memory_equal(text.p + text.n - 2, "\r\n", 2);
		text.p += 9;
		text.n -= 11;
		assert_int_equal(media_crypto_parse(&b, text), 0);
		assert_int_equal(b.tag, 7);
		assert_true(media_crypto_same_key(&a, &b));
		b.mki_len = 1;
		assert_false(media_crypto_same_key(&a, &b));
		buf_clear(&out);
	}
}

static void
suites_are_read_in_their_order(void **state)
{
	static const struct {
		const char *text;
		size_t num;
		const char *names[2];
	} v[] = {
		{ NULL, 1, { S80 } },
		{ "", 1, { S80 } },
		{ "nothing known", 1, { S80 } },
		{ "aes_cm_128_hmac_sha1_32", 1, { "AES_CM_128_HMAC_SHA1_32" } },
		{ "AES_256_CM_HMAC_SHA1_80, " S80 ",", 2,
		    { "AES_256_CM_HMAC_SHA1_80", S80 } },
		{ S80 " what," S80 "  AES_CM_256_HMAC_SHA1_80", 2,
		    { S80, "AES_256_CM_HMAC_SHA1_80" } },
	};
	const struct media_suite *s[MEDIA_SUITES_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		assert_int_equal(media_suite_list(v[i].text, s), v[i].num);
		for (size_t k = 0; k < v[i].num; k++)
			assert_string_equal(s[k]->name, v[i].names[k]);
	}
}

/* Reads an offer back: all that we say is found again. */
static void
what_we_write_we_read(void **state)
{
	static const struct {
		const char *ip, *rtp;
		enum media_srtp_mode mode;
		enum media_proto proto;
		size_t num_crypto;
	} v[] = {
		{ "192.0.2.9", "192.0.2.9:4000", MEDIA_SRTP_DISABLED,
		    MEDIA_PROTO_AVP, 0 },
		{ "2001:db8::9", "[2001:db8::9]:4000", MEDIA_SRTP_OPTIONAL,
		    MEDIA_PROTO_AVP, 1 },
		{ "192.0.2.9", "192.0.2.9:4000", MEDIA_SRTP_STANDARD,
		    MEDIA_PROTO_SAVP, 1 },
	};
	const struct media_sdp_m *m = &sdp.m[0];
	struct media_neg_conf conf = { .sdes_ok = true, .ptime_ms = 20 };
	struct media_neg neg;
	struct addr local;
	struct buf out;

	(void)state;
	conf.num_suites = media_suite_list(NULL, conf.suites);
	conf.num_codecs = media_codec_list("pcma,opus", conf.codecs);
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		conf.mode = v[i].mode;
		assert_int_equal(
		    addr_parse(&local, slice_of(v[i].ip), 4000), 0);
		media_neg_init(&neg, &conf, &local, 4001);
		buf_init(&out, 4000);
		assert_int_equal(media_neg_offer(&neg, &out), 0);
		assert_int_equal(parse(buf_str(&out)), 0);
		assert_int_equal(sdp.num_m, 1);
		addr_is(&m->conn, v[i].rtp);
		assert_int_equal(m->proto, v[i].proto);
		assert_int_equal(m->num_crypto, v[i].num_crypto);
		assert_int_equal(m->rtcp_port, 4001);
		assert_true(m->rtcp_mux);
		assert_int_equal(m->ptime_ms, 20);
		assert_int_equal(m->dir, MEDIA_SENDRECV);
		assert_int_equal(m->fmts[0].pt, 8);
		assert_true(slice_is(m->fmts[0].name, "PCMA"));
		assert_true(slice_is(m->fmts[1].name, "opus"));
		assert_int_equal(m->fmts[1].channels, 2);
		assert_true(slice_is(m->fmts[2].name, "telephone-event"));
		assert_true(slice_is(m->fmts[2].fmtp, "0-15"));
		assert_int_equal(m->fmts[3].clock_hz, 48000);
		/* Every line ends in CRLF (RFC 8866 5). */
		for (size_t k = 0; k < out.n; k++)
			if (out.p[k] == '\n')
				assert_int_equal(out.p[k - 1], '\r');
		buf_clear(&out);
		media_neg_clear(&neg);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_the_example_of_rfc_8866),
		cmocka_unit_test(reads_the_example_of_rfc_4566),
		cmocka_unit_test(reads_the_example_of_rfc_4568),
		cmocka_unit_test(what_is_broken_is_refused_with_a_sentence),
		cmocka_unit_test(any_line_ending_will_do),
		cmocka_unit_test(attributes_of_the_medium_are_read),
		cmocka_unit_test(every_ceiling_holds),
		cmocka_unit_test(the_text_has_a_ceiling),
		cmocka_unit_test(spoilt_texts_do_no_harm),
		cmocka_unit_test(keys_are_read_strictly),
		cmocka_unit_test(identifiers_are_big_endian),
		cmocka_unit_test(keys_survive_the_round_trip),
		cmocka_unit_test(suites_are_read_in_their_order),
		cmocka_unit_test(what_we_write_we_read),
	};

	return cmocka_run_group_tests(tests, NULL, let_go);
}
