/* SPDX-License-Identifier: ISC */
/* URIs, name-addrs, parameters and lists. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "../../sipcore/internal.h"

static void
uris_are_read_or_refused(void **state)
{
	static const struct {
		const char *why, *in;
		int err;
		const char *user, *host;
		uint16_t port;
		int transport;
		bool sips, lr;
	} v[] = {
		{ "plain", "sip:a@example.com", 0, "a", "example.com", 0, -1,
		    false, false },
		{ "port and transport", "sip:a@1.2.3.4:5070;transport=TLS", 0,
		    "a", "1.2.3.4", 5070, SIPC_TLS, false, false },
		{ "no user", "sips:example.com;lr", 0, "", "example.com", 0, -1,
		    true, true },
		{ "IPv6", "sip:a@[2001:db8::1]:5061", 0, "a", "2001:db8::1",
		    5061, -1, false, false },
		{ "escaped user", "sip:a%2fb@h", 0, "a/b", "h", 0, -1, false,
		    false },
		{ "semicolon in the user", "sip:a;transport=tcp@h", 0,
		    "a;transport=tcp", "h", 0, -1, false, false },
		{ "unknown transport", "sip:h;transport=sctp", 0, "", "h", 0,
		    -2, false, false },
		{ "two transports", "sip:h;transport=tls;Transport=udp",
		    E_PARSE, 0, 0, 0, 0, 0, 0 },
		{ "the same one twice", "sip:h;transport=tls;x;transport=tls",
		    E_PARSE, 0, 0, 0, 0, 0, 0 },
		{ "one in the user", "sip:a;transport=tcp@h;transport=udp", 0,
		    "a;transport=tcp", "h", 0, SIPC_UDP, false, false },
		{ "headers are cut", "sip:a@h?Subject=x", 0, "a", "h", 0, -1,
		    false, false },
		{ "other scheme", "tel:+491234", E_PARSE, 0, 0, 0, 0, 0, 0 },
		{ "no host", "sip:a@", E_PARSE, 0, 0, 0, 0, 0, 0 },
		{ "port 0", "sip:a@h:0", E_PARSE, 0, 0, 0, 0, 0, 0 },
		{ "port of 17 bits", "sip:a@h:65536", E_PARSE, 0, 0, 0, 0, 0,
		    0 },
		{ "space", "sip:a b@h", E_PARSE, 0, 0, 0, 0, 0, 0 },
		{ "line end", "sip:a@h\r\nX: y", E_PARSE, 0, 0, 0, 0, 0, 0 },
		{ "escaped control characters stay escaped",
		    "sip:%00a%0d%0ab@h", 0, "%00a%0D%0Ab", "h", 0, -1, false,
		    false },
		{ "half an escape", "sip:a%4@h", E_PARSE, 0, 0, 0, 0, 0, 0 },
		{ "no escape at all", "sip:a%zz@h", E_PARSE, 0, 0, 0, 0, 0, 0 },
		{ "a password is nobody's name", "sip:a:secret@h", 0, "a", "h",
		    0, -1, false, false },
		{ "odd characters of a user (RFC 4475 3.1.1.2)",
		    "sip:1_odd.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+"
		    "has=1,weird!*pas$wo~d_too.(doesn't-it)@h",
		    0, "1_odd.URI~(to-be!sure)&isn't+it$/crazy?,/;;*", "h", 0,
		    -1, false, false },
		{ "IPv6 without brackets", "sip:2001:db8::10", E_PARSE, 0, 0, 0,
		    0, 0, 0 },
		{ "a port within the brackets", "sip:[2001:db8::10:5070]", 0,
		    "", "2001:db8::10:5070", 0, -1, false, false },
		{ "a colon too many before IPv4 (RFC 5118 4.10)",
		    "sip:a@[2001:db8:::192.0.2.1]", 0, "a",
		    "2001:db8::192.0.2.1", 0, -1, false, false },
		{ "a colon too many elsewhere", "sip:a@[2001:db8:::1]", E_PARSE,
		    0, 0, 0, 0, 0, 0 },
		{ "IPv4 in IPv6", "sip:a@[::ffff:192.0.2.10]:5062", 0, "a",
		    "::ffff:192.0.2.10", 5062, -1, false, false },
		{ "IPv4 in brackets", "sip:a@[192.0.2.1]", E_PARSE, 0, 0, 0, 0,
		    0, 0 },
		{ "brackets left open", "sip:a@[2001:db8::1", E_PARSE, 0, 0, 0,
		    0, 0, 0 },
		{ "two at signs", "sip:a@b@h", E_PARSE, 0, 0, 0, 0, 0, 0 },
		{ "angle", "sip:a@h>", E_PARSE, 0, 0, 0, 0, 0, 0 },
		{ "nothing", "", E_PARSE, 0, 0, 0, 0, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct sip_uri u;
		int err = sip_uri_parse(&u, slice_of(v[i].in));

		if (err != v[i].err)
			fail_msg("%s: %d", v[i].why, err);
		if (err != 0)
			continue;
		if (strcmp(u.user, v[i].user) != 0 ||
		    strcmp(u.host, v[i].host) != 0 || u.port != v[i].port ||
		    u.transport != v[i].transport || u.sips != v[i].sips ||
		    u.lr != v[i].lr)
			fail_msg("%s: user %s host %s port %u transport %d",
			    v[i].why, u.user, u.host, u.port, u.transport);
		/* a user may have one */
		assert_null(strchr(
		    strchr(u.text, '@') != NULL ? strchr(u.text, '@') : u.text,
		    '?'));
		assert_true(u.headers == (strstr(v[i].in, "?Sub") != NULL));
	}
}

/* A user of SIPC_USER_MAX bytes, escaped or not, and one more. */
static void
users_have_a_ceiling(void **state)
{
	char text[SIPC_URI_MAX + 1];
	struct sip_uri u;
	size_t at;

	(void)state;
	for (int esc = 0; esc < 2; esc++) {
		for (size_t n = SIPC_USER_MAX; n <= SIPC_USER_MAX + 1; n++) {
			at = (size_t)snprintf(text, sizeof(text), "sip:");
			for (size_t i = 0; i < n; i++)
				at += (size_t)snprintf(text + at,
				    sizeof(text) - at, "%s", esc ? "%61" : "a");
			(void)snprintf(text + at, sizeof(text) - at, "@h");
			if (n > SIPC_USER_MAX) {
				assert_int_equal(
				    sip_uri_parse(&u, slice_of(text)), E_PARSE);
				continue;
			}
			assert_int_equal(sip_uri_parse(&u, slice_of(text)), 0);
			assert_int_equal(strlen(u.user), n);
		}
	}
}

static void
name_addrs_are_split(void **state)
{
	static const struct {
		const char *why, *in;
		int err;
		const char *name, *uri, *tag;
	} v[] = {
		{ "full", "\"A <b>, c\" <sip:a@b;x=y>;tag=1", 0, "A <b>, c",
		    "sip:a@b;x=y", "1" },
		{ "token name", "Bob <sip:b@c> ; tag = 2", 0, "Bob", "sip:b@c",
		    "2" },
		{ "parameters without <> are the field's", "sip:a@b;tag=3", 0,
		    "", "sip:a@b", "3" },
		{ "escaped quote", "\"a\\\"<x>\" <sip:a@b>;tag=4", 0,
		    "a\\\"<x>", "sip:a@b", "4" },
		{ "quoted tag", "<sip:a@b>;x=\"a;tag=5\";tag=6", 0, "",
		    "sip:a@b", "6" },
		{ "open angle", "<sip:a@b", E_PARSE, "", "", "" },
		{ "junk behind", "<sip:a@b>x", E_PARSE, "", "", "" },
		{ "nothing", "", E_PARSE, "", "", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct sip_name_addr na;
		struct slice tag = { NULL, 0 };
		int err = sip_name_addr(&na, slice_of(v[i].in));

		if (err != v[i].err)
			fail_msg("%s: %d", v[i].why, err);
		if (err != 0)
			continue;
		(void)sip_param(na.params, "tag", &tag);
		if (!slice_is(na.name, v[i].name) ||
		    !slice_is(na.uri, v[i].uri) || !slice_is(tag, v[i].tag))
			fail_msg("%s", v[i].why);
	}
}

static void
lists_are_cut_outside_of_quotes_and_angles(void **state)
{
	struct slice rest =
	    slice_of("\"a, b\" <sip:x?y=1,2>;q=1 , , <sip:z>,timer");
	struct slice one;

	(void)state;
	assert_true(sip_list_next(&rest, &one));
	assert_true(slice_is(one, "\"a, b\" <sip:x?y=1,2>;q=1"));
	assert_true(sip_list_next(&rest, &one));
	assert_true(slice_is(one, "<sip:z>"));
	assert_true(sip_list_next(&rest, &one));
	assert_true(slice_is(one, "timer"));
	assert_false(sip_list_next(&rest, &one));
	assert_true(sip_list_has(slice_of("100rel, Timer"), "timer"));
	assert_false(sip_list_has(slice_of("100rel, timers"), "timer"));
}

static void
user_parts_are_escaped(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	sip_user_put(&b, "a b@c>\r");
	assert_string_equal(buf_str(&b), "a%20b%40c%3E%0D");
	buf_clear(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(uris_are_read_or_refused),
		cmocka_unit_test(users_have_a_ceiling),
		cmocka_unit_test(name_addrs_are_split),
		cmocka_unit_test(lists_are_cut_outside_of_quotes_and_angles),
		cmocka_unit_test(user_parts_are_escaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
