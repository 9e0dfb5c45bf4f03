/* SPDX-License-Identifier: ISC */
/* URIs of keys in tokens: the examples of RFC 7512 3, and what is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "bellbird/str.h"

#include "../../tls/p11.h"

/* What is wanted of an attribute; NULL: not given. */
static void
attr_is(const struct p11_attr *a, const char *want, const char *what)
{
	if (a->given != (want != NULL) ||
	    (want != NULL && (a->n != strlen(want) || strcmp(a->v, want) != 0)))
		fail_msg("%s: given %d '%s', not '%s'", what, a->given, a->v,
		    want != NULL ? want : "(none)");
}

static void
reads_what_names_a_key(void **state)
{
	static const struct {
		const char *uri, *token, *manufacturer, *serial, *model;
		const char *object, *id, *pin;
	} rows[] = {
		{ .uri = "pkcs11:" },
		{ .uri = "PKCS11:token=a", .token = "a" },
		{ .uri = "pkcs11:object=my-key;type=private",
		    .object = "my-key" },
		{ .uri = "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;"
			 "manufacturer=Snake%20Oil,%20Inc.;model=1.0;"
			 "object=my-sign-key;type=private;id=%69%95%3E%5C%F4%BD"
			 "%EC%91;serial=?pin-source=file:/etc/token_pin",
		    .token = "The Software PKCS#11 Softtoken",
		    .manufacturer = "Snake Oil, Inc.",
		    .model = "1.0",
		    .object = "my-sign-key",
		    .id = "i\x95>\\\xf4\xbd\xec\x91",
		    .serial = "",
		    .pin = "/etc/token_pin" },
		{ .uri = "pkcs11:token=Software%20PKCS%2311%20softtoken;"
			 "manufacturer=Snake%20Oil,%20Inc.?pin-source=/p/q",
		    .token = "Software PKCS#11 softtoken",
		    .manufacturer = "Snake Oil, Inc.",
		    .pin = "/p/q" },
		{ .uri = "pkcs11:object=%C3%BC;id=%3b%3B",
		    .object = "\xc3\xbc",
		    .id = ";;" },
		{ .uri = "pkcs11:token=a&b:[]@!$'()*+,=~",
		    .token = "a&b:[]@!$'()*+,=~" },
		{ .uri = "pkcs11:id=%01?x-vendor=1&pin-source=file:///a%20b",
		    .id = "\x01",
		    .pin = "/a b" },
		{ .uri = "pkcs11:token=t;?pin-source=file://localhost/a",
		    .token = "t",
		    .pin = "/a" },
		{ .uri = "pkcs11:?pin-source=%2Fa", .pin = "/a" },
	};
	struct p11_uri u;
	char why[P11_WHY_MAX] = "";

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(&u, 0xff, sizeof(u));
		if (tls_p11_uri_parse(
			&u, slice_of(rows[i].uri), why, sizeof(why)) != 0)
			fail_msg("%s: %s", rows[i].uri, why);
		attr_is(&u.token, rows[i].token, rows[i].uri);
		attr_is(&u.manufacturer, rows[i].manufacturer, rows[i].uri);
		attr_is(&u.serial, rows[i].serial, rows[i].uri);
		attr_is(&u.model, rows[i].model, rows[i].uri);
		attr_is(&u.object, rows[i].object, rows[i].uri);
		attr_is(&u.id, rows[i].id, rows[i].uri);
		assert_string_equal(
		    u.pin_file, rows[i].pin != NULL ? rows[i].pin : "");
	}
}

static void
refuses_the_rest_with_a_reason(void **state)
{
	static const struct {
		const char *uri, *says;
	} rows[] = {
		{ "pkcs12:token=a", "does not start with 'pkcs11:'" },
		{ "", "does not start with" },
		{ "pkcs11", "does not start with" },
		{ "pkcs11:token", "without '='" },
		{ "pkcs11:token=a;;object=b", "without '='" },
		{ "pkcs11:token=a;token=b", "says twice 'token'" },
		{ "pkcs11:type=private;type=private", "says twice 'type'" },
		{ "pkcs11:token=a%2", "percent-encoded in 'token'" },
		{ "pkcs11:token=a%", "percent-encoded in 'token'" },
		{ "pkcs11:token=a%zz", "percent-encoded in 'token'" },
		{ "pkcs11:token=a b", "percent-encoded in 'token'" },
		{ "pkcs11:token=a/b", "percent-encoded in 'token'" },
		{ "pkcs11:token=a\xc3\xbc", "percent-encoded in 'token'" },
		{ "pkcs11:token=012345678901234567890123456789012",
		    "too long" },
		{ "pkcs11:serial=01234567890123456", "too long" },
		{ "pkcs11:type=cert;object=a", "private key" },
		{ "pkcs11:slot-id=1", "not by 'slot-id'" },
		{ "pkcs11:library-version=3", "not by 'library-version'" },
		{ "pkcs11:x-mine=3", "not by 'x-mine'" },
		{ "pkcs11:Token=a", "not by 'Token'" },
		{ "pkcs11:token=a?pin-value=1234", "into a file, mode 0600" },
		{ "pkcs11:token=a?module-path=/lib/x.so", "module-path" },
		{ "pkcs11:token=a?module-name=x", "module-name" },
		{ "pkcs11:token=a?pin-source=|/usr/lib/pin", "whole path" },
		{ "pkcs11:token=a?pin-source=pin.txt", "whole path" },
		{ "pkcs11:token=a?pin-source=file:pin.txt", "whole path" },
		{ "pkcs11:token=a?pin-source=file://host/pin", "whole path" },
		{ "pkcs11:token=a?pin-source=/a%00b", "cannot be read" },
		{ "pkcs11:token=a?pin-source=/a&pin-source=/b", "says twice" },
		{ "pkcs11:token=a?pin-source=", "whole path" },
		{ "pkcs11:token=a?pin-source", "without '='" },
	};
	char why[P11_WHY_MAX], big[P11_URI_MAX + 40] = "pkcs11:x=";
	struct p11_uri u, before;

	(void)state;
	memset(&before, 0x5a, sizeof(before));
	u = before;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		why[0] = '\0';
		if (tls_p11_uri_parse(&u, slice_of(rows[i].uri), why,
			sizeof(why)) != E_PARSE ||
		    strstr(why, rows[i].says) == NULL ||
		    strstr(why, "[key.token]") == NULL)
			fail_msg("%s: %s", rows[i].uri, why);
		assert_null(strstr(why, "1234"));
	}
	memset(big + strlen(big), 'a', P11_URI_MAX);
	big[sizeof(big) - 1] = '\0';
	assert_int_equal(
	    tls_p11_uri_parse(&u, slice_of(big), why, sizeof(why)), E_PARSE);
	assert_non_null(strstr(why, "too long"));
	assert_memory_equal(&u, &before, sizeof(u));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_names_a_key),
		cmocka_unit_test(refuses_the_rest_with_a_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
