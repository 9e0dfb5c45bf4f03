/* SPDX-License-Identifier: ISC */
/* Reading messages (also those made to hurt), answering them, masking them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "../../sipcore/internal.h"
#include "oom.h"

#define REST                                                         \
	"From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x@y\r\n" \
	"CSeq: 7 INVITE\r\n"
#define VIA "Via: SIP/2.0/UDP h:5062;branch=z9hG4bKa;rport\r\n"

static const char wild[] =
    "INVITE sip:vivekg@chair.example;unknownparam SIP/2.0\r\n"
    "TO :\r\n sip:vivekg@chair.example ;   tag    = 1918181833n\r\n"
    "from   : \"J Rosenberg \\\\\\\"\"       <sip:j@example.com>\r\n  ;\r\n"
    "  tag = 98asjd8\r\n"
    "MaX-fOrWaRdS: 0068\r\nCall-ID: wsinv.ndaksdj@192.0.2.1\r\n"
    "Content-Length   : 5\r\ncseq: 0009\r\n  INVITE\r\n"
    "Via  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw\r\n"
    "s :\r\nNewFangledHeader:   newfangled value\r\n continued\r\n"
    "Route:\r\n <sip:services.example.com;lr;unknownwith=value>\r\n"
    "v:  SIP  / 2.0  / TCP     spindle.example.com   ;\r\n"
    "  branch  =   z9hG4bK9ikj8  ,\r\n SIP  /    2.0   / UDP  192.168.255.111"
    "   ; branch=\r\n z9hG4bK30239\r\n"
    "m:\"Quoted string \\\"\\\"\" <sip:j@[2001:db8::1]> ; newparam =\r\n"
    " newvalue\r\n\r\nhello";

static void
torture_is_read(void **state)
{
	struct sip_msg *m;
	struct slice uri;

	(void)state;
	assert_int_equal(sip_msg_parse(&m, slice_of(wild)), 0);
	assert_true(m->is_req);
	assert_string_equal(m->method, "INVITE");
	assert_true(slice_is(m->to_tag, "1918181833n"));
	assert_true(slice_is(m->from_tag, "98asjd8"));
	assert_true(slice_is(m->branch, "390skdjuw"));
	assert_true(slice_is(m->sent_by, "192.0.2.2"));
	assert_int_equal(m->cseq, 9);
	assert_int_equal(m->max_forwards, 68);
	assert_true(slice_is(m->body, "hello"));
	assert_int_equal(sip_msg_contact(m, &uri), 0);
	assert_true(slice_is(uri, "sip:j@[2001:db8::1]"));
	assert_string_equal(sip_msg_find(m, "newfangledheader", 0),
	    "newfangled value   continued");
	assert_non_null(sip_msg_get(m, SIPH_VIA, 1));
	assert_null(sip_msg_get(m, SIPH_VIA, 2));
	sip_msg_free(m);
}

static void
broken_messages_are_refused(void **state)
{
	static const struct {
		const char *why, *in;
	} v[] = {
		{ "nothing", "" },
		{ "no end", "INVITE sip:a@b SIP/2.0\r\n" VIA REST },
		{ "no version", "INVITE sip:a@b\r\n" VIA REST "\r\n" },
		{ "two spaces", "INVITE  sip:a@b SIP/2.0\r\n" VIA REST "\r\n" },
		{ "SIP/3.0", "INVITE sip:a@b SIP/3.0\r\n" VIA REST "\r\n" },
		{ "code 42", "SIP/2.0 42 x\r\n" VIA REST "\r\n" },
		{ "code 4294967301",
		    "SIP/2.0 4294967301 x\r\n" VIA REST "\r\n" },
		{ "other method in CSeq",
		    "BYE sip:a@b SIP/2.0\r\n" VIA REST "\r\n" },
		{ "two From fields",
		    "INVITE sip:a@b SIP/2.0\r\n" VIA REST
		    "f: <sip:x@y>\r\n\r\n" },
		{ "no Via", "INVITE sip:a@b SIP/2.0\r\n" REST "\r\n" },
		{ "Via cut short",
		    "INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/"
		    "\r\n" REST "\r\n" },
		{ "Via of nothing but a list",
		    "INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/ , x\r\n" REST
		    "\r\n" },
		{ "CSeq of 32 bits",
		    "INVITE sip:a@b SIP/2.0\r\n" VIA
		    "From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\n"
		    "Call-ID: x\r\nCSeq: 4294967296 INVITE\r\n\r\n" },
		{ "a tag of nothing",
		    "INVITE sip:a@b SIP/2.0\r\n" VIA "From: <sip:a@b>;tag\r\n"
		    "To: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\r\n" },
		{ "no Call-ID",
		    "INVITE sip:a@b SIP/2.0\r\n" VIA
		    "From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\n"
		    "CSeq: 1 INVITE\r\n\r\n" },
		{ "Max-Forwards of letters",
		    "INVITE sip:a@b SIP/2.0\r\n" VIA REST
		    "Max-Forwards: x\r\n\r\n" },
		{ "From without an end",
		    "INVITE sip:a@b SIP/2.0\r\n" VIA "From: <sip:a@b\r\n"
		    "To: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct sip_msg *m = NULL;
		int err = sip_msg_parse(&m, slice_of(v[i].in));

		if (err != E_SIP_PARSE || m != NULL)
			fail_msg("%s: %d", v[i].why, err);
	}
}

/* Every prefix and every single changed byte: no crash, that is all. */
static void
damaged_messages_do_no_harm(void **state)
{
	size_t n = sizeof(wild) - 1;
	char *copy;
	struct sip_msg *m;
	struct sip_fault bad;
	size_t len;

	(void)state;
	for (size_t i = 0; i < n; i++) {
		/* exact allocations: ASan sees each byte too many */
		copy = malloc(i + 1);
		memcpy(copy, wild, i);
		if (sip_msg_parse(&m, (struct slice){ copy, i }) == 0)
			sip_msg_free(m);
		(void)!sip_frame_datagram(
		    (struct slice){ copy, i }, &len, &bad);
		free(copy);
	}
	copy = malloc(n);
	for (size_t i = 0; i < n; i++) {
		static const char bytes[] = { 0, '\r', '\n', ' ', ',', ';', '"',
			'<', '>', ':', '/', '=', (char)0xff };

		for (size_t k = 0; k < sizeof(bytes); k++) {
			struct sip_rsp rsp = { .code = 400 };
			struct addr from;
			struct buf b;

			memcpy(copy, wild, n);
			copy[i] = bytes[k];
			if (sip_msg_parse(&m, (struct slice){ copy, n }) != 0)
				continue;
			assert_int_equal(
			    addr_parse(&from, slice_of("127.0.0.1:9"), 0), 0);
			rsp.from = &from;
			buf_init(&b, SIPC_MSG_MAX);
			sip_write_response(&b, m, &rsp);
			buf_clear(&b);
			sip_msg_free(m);
		}
	}
	free(copy);
}

static void
responses_go_back_as_the_rfcs_say(void **state)
{
	static const char in[] =
	    "INVITE sip:a@b SIP/2.0\r\n"
	    "Via: SIP/2.0/UDP h:5062;branch=z9hG4bKa;received=6.6.6.6;rport, "
	    "SIP/2.0/TCP second;branch=q\r\nVia: SIP/2.0/TCP third\r\n" REST
	    "Record-Route: <sip:p;lr>\r\n\r\n";
	static const char want[] =
	    "SIP/2.0 180 Ringing\r\n"
	    "Via: SIP/2.0/UDP h:5062;branch=z9hG4bKa;rport=9;"
	    "received=127.0.0.1, SIP/2.0/TCP second;branch=q\r\n"
	    "Via: SIP/2.0/TCP third\r\n"
	    "From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=ours\r\n"
	    "Call-ID: x@y\r\nCSeq: 7 INVITE\r\nRecord-Route: <sip:p;lr>\r\n"
	    "Content-Length: 0\r\n\r\n";
	struct sip_rsp rsp = {
		.code = 180, .to_tag = "ours", .reason = "x\r\nEvil: 1"
	};
	struct addr from;
	struct sip_msg *m;
	struct buf b;

	(void)state;
	assert_int_equal(sip_msg_parse(&m, slice_of(in)), 0);
	assert_int_equal(addr_parse(&from, slice_of("127.0.0.1:9"), 0), 0);
	rsp.from = &from;
	buf_init(&b, SIPC_MSG_MAX);
	sip_write_response(&b, m, &rsp);
	assert_int_equal(b.err, 0);
	assert_string_equal(buf_str(&b), want);
	buf_clear(&b);
	sip_msg_free(m);
}

static int
parse_once(void *arg)
{
	struct sip_msg *m;
	int err = sip_msg_parse(&m, slice_of(arg));

	if (err == 0)
		sip_msg_free(m);
	return err;
}

static void
parsing_survives_lack_of_memory(void **state)
{
	(void)state;
	(void)oom_each(parse_once, (void *)(uintptr_t)wild);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(torture_is_read),
		cmocka_unit_test(broken_messages_are_refused),
		cmocka_unit_test(damaged_messages_do_no_harm),
		cmocka_unit_test(responses_go_back_as_the_rfcs_say),
		cmocka_unit_test(parsing_survives_lack_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
