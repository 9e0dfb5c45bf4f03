/* SPDX-License-Identifier: ISC */
/* Digest: the vectors of RFC 7616, the choice among challenges, nonce counts,
 * and when the client gives up. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../sipcore/internal.h"

static void
vectors_of_rfc_7616_come_out(void **state)
{
	static const char nonce1[] =
	    "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
	static const char cnonce1[] =
	    "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
	static const struct {
		const char *why;
		struct sip_digest d;
		const char *want;
	} v[] = {
		{ "3.9.1 MD5",
		    { .alg = TLS_MD5,
			.user = "Mufasa",
			.realm = "http-auth@example.org",
			.password = "Circle of Life",
			.nonce = nonce1,
			.cnonce = cnonce1,
			.qop = "auth",
			.method = "GET",
			.uri = "/dir/index.html",
			.nc = 1 },
		    "8ca523f5e9506fed4657c9700eebdbec" },
		{ "3.9.1 SHA-256",
		    { .alg = TLS_SHA256,
			.user = "Mufasa",
			.realm = "http-auth@example.org",
			.password = "Circle of Life",
			.nonce = nonce1,
			.cnonce = cnonce1,
			.qop = "auth",
			.method = "GET",
			.uri = "/dir/index.html",
			.nc = 1 },
		    "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5"
		    "856cb6c1" },
		/* The response in the RFC's text was made with SHA-512 cut to
		 * 256 bits; this is SHA-512/256, as erratum 4897 says. */
		{ "3.9.2 SHA-512-256, user as sent",
		    { .alg = TLS_SHA512_256,
			.user = "J\xc3\xa4s\xc3\xb8n Doe",
			.realm = "api@example.org",
			.password = "Secret, or not?",
			.nonce = "5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC"
				 "/RVvkK",
			.cnonce = "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp"
				  "2wds69v",
			.qop = "auth",
			.method = "GET",
			.uri = "/doe.json",
			.nc = 1 },
		    "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb"
		    "1cec68a5" },
		{ "RFC 2069 form, without qop",
		    { .alg = TLS_MD5,
			.user = "Mufasa",
			.realm = "testrealm@host.com",
			.password = "CircleOfLife",
			.nonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093",
			.cnonce = "",
			.qop = "",
			.method = "GET",
			.uri = "/dir/index.html" },
		    "1949323746fe6a43ef61f9606e7febea" },
	};
	char out[2 * TLS_HASH_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		assert_int_equal(sip_digest_response(&v[i].d, out), 0);
		if (strcmp(out, v[i].want) != 0)
			fail_msg("%s: %s", v[i].why, out);
	}
}

/* What RFC 7616 and 8760 have no example of; the values are those of another
 * implementation (Python's hashlib). */
static void
algorithms_of_rfc_8760_with_bodies_and_sessions(void **state)
{
	static const struct {
		const char *why;
		enum tls_hash_alg alg;
		bool sess;
		const char *qop, *want;
	} v[] = {
		{ "SHA-256, body", TLS_SHA256, false, "auth-int",
		    "96ae648414178dd42dc8b32e7b09e7a2290712cc56bfb7a00f5feb94"
		    "1ccb9b7c" },
		{ "SHA-512-256, body", TLS_SHA512_256, false, "auth-int",
		    "e2e18551a3981b3cf30cfe3e5677adc95bd93c3995fc267d5e02c360"
		    "8ed10626" },
		{ "MD5, body", TLS_MD5, false, "auth-int",
		    "d0a3c060b0d780e05cfc0f0eb0ddd2b5" },
		{ "SHA-256-sess", TLS_SHA256, true, "auth",
		    "b0fbd29c0b6614d7e4745ed9462b98dd4a5dddb99550a9033a9cf4c8"
		    "72aacb19" },
		{ "SHA-512-256-sess", TLS_SHA512_256, true, "auth",
		    "916f3cbf9b615ab3dbfb03e5ab3304738b63a7f312ce172e50157674"
		    "381d41dd" },
		{ "MD5-sess", TLS_MD5, true, "auth",
		    "89e13c96325c06b7627404ba3cc6a041" },
	};
	char out[2 * TLS_HASH_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct sip_digest d = { .alg = v[i].alg,
			.sess = v[i].sess,
			.user = "bob",
			.realm = "atlanta.example",
			.password = "zanzibar",
			.nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
			.cnonce =
			    "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
			.qop = v[i].qop,
			.method = v[i].sess ? "REGISTER" : "INVITE",
			.uri = v[i].sess ? "sip:atlanta.example"
					 : "sip:bob@biloxi.example",
			.nc = v[i].sess ? 0xfedc : 2,
			.body = slice_of(v[i].sess ? "" : "v=0\r\n") };

		assert_int_equal(sip_digest_response(&d, out), 0);
		if (strcmp(out, v[i].want) != 0)
			fail_msg("%s: %s", v[i].why, out);
	}
}

/* A 401 with these fields. */
static struct sip_msg *
refusal(const char *fields)
{
	struct sip_msg *m;
	struct buf b;

	buf_init(&b, SIPC_MSG_MAX);
	assert_int_equal(
	    buf_printf(&b,
		"SIP/2.0 401 No\r\nVia: SIP/2.0/TCP h;branch=z9hG4bKa\r\n"
		"From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\n"
		"Call-ID: x\r\nCSeq: 1 REGISTER\r\n%s\r\n",
		fields),
	    0);
	assert_int_equal(
	    sip_msg_parse(&m, (struct slice){ buf_str(&b), b.n }), 0);
	buf_clear(&b);
	return m;
}

static int
take(struct sip_auth *a, const char *fields, bool md5)
{
	struct sip_auth_rule rule = { .allow_md5 = md5, .any_realm = true };
	struct sip_msg *m = refusal(fields);
	int err = sip_auth_take(a, m, &rule);

	assert_int_equal(err == 0, rule.why[0] == '\0');
	sip_msg_free(m);
	return err;
}

#define W "WWW-Authenticate: Digest realm=\"r\",nonce=\"n\""

static void
best_challenge_is_chosen(void **state)
{
	static const struct {
		const char *why, *fields;
		bool md5;
		int err;
		const char *alg;
	} v[] = {
		{ "the only one", W "\r\n", true, 0, "MD5" },
		{ "MD5 is not taken if it may not be", W "\r\n", false,
		    E_SIP_AUTH, "" },
		{ "SHA-256 before MD5",
		    W ",algorithm=MD5\r\n" W ",algorithm=SHA-256\r\n", true, 0,
		    "SHA-256" },
		{ "also when it comes first",
		    W ",algorithm=SHA-256\r\n" W ",algorithm=MD5\r\n", true, 0,
		    "SHA-256" },
		{ "SHA-512-256 before all",
		    W ",algorithm=SHA-256\r\n" W
		      ",algorithm=SHA-512-256,qop=\"auth\"\r\n",
		    false, 0, "SHA-512-256" },
		{ "unknown algorithm", W ",algorithm=SHA-1\r\n", true,
		    E_SIP_AUTH, "" },
		{ "Basic", "WWW-Authenticate: Basic realm=\"r\"\r\n", true,
		    E_SIP_AUTH, "" },
		{ "unknown qop", W ",qop=\"x\"\r\n", true, E_SIP_AUTH, "" },
		{ "no field at all", "", true, E_SIP_AUTH, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct sip_auth a = { 0 };
		int err = take(&a, v[i].fields, v[i].md5);

		if (err != v[i].err || strcmp(sip_auth_alg(&a), v[i].alg) != 0)
			fail_msg("%s: %d %s", v[i].why, err, sip_auth_alg(&a));
		sip_auth_clear(&a);
	}
}

static void
only_known_realms_are_answered(void **state)
{
	static const struct {
		const char *why, *fields;
		int err;
		const char *alg, *says;
	} v[] = {
		{ "known", W "\r\n", 0, "MD5", "" },
		{ "in other letters",
		    "WWW-Authenticate: Digest realm=\"R\",nonce=\"n\"\r\n", 0,
		    "MD5", "" },
		{ "unknown",
		    "WWW-Authenticate: Digest realm=\"r2\",nonce=\"n\"\r\n",
		    E_SIP_AUTH, "",
		    "The challenge is for realm r2, not for the account's" },
		{ "the better one is unknown",
		    "WWW-Authenticate: Digest realm=\"r2\",nonce=\"n\","
		    "algorithm=SHA-256\r\n" W "\r\n",
		    0, "MD5", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct sip_auth_rule rule = { .allow_md5 = true,
			.num_realms = 2,
			.realms = { "other", "r" } };
		struct sip_msg *m = refusal(v[i].fields);
		struct sip_auth a = { 0 };
		int err = sip_auth_take(&a, m, &rule);

		if (err != v[i].err || strcmp(sip_auth_alg(&a), v[i].alg) != 0)
			fail_msg("%s: %d %s", v[i].why, err, sip_auth_alg(&a));
		assert_string_equal(rule.why, v[i].says);
		sip_auth_clear(&a);
		sip_msg_free(m);
	}
}

static void
nonces_are_counted(void **state)
{
	struct sip_cred cred = { "u\"x", "p" };
	struct sip_auth a = { 0 };
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	assert_int_equal(
	    take(&a, W ",qop=\"auth,auth-int\",opaque=\"o\"\r\n", true), 0);
	assert_int_equal(
	    sip_auth_write(&a, &b, &cred, "REGISTER", "sip:r", slice_of("")),
	    0);
	assert_non_null(strstr(buf_str(&b), "Authorization: Digest "));
	assert_non_null(strstr(buf_str(&b), "username=\"u\\\"x\""));
	assert_non_null(strstr(buf_str(&b), "qop=auth,nc=00000001,cnonce="));
	assert_non_null(strstr(buf_str(&b), "opaque=\"o\""));
	buf_reset(&b);
	assert_int_equal(
	    sip_auth_write(&a, &b, &cred, "REGISTER", "sip:r", slice_of("")),
	    0);
	assert_non_null(strstr(buf_str(&b), "nc=00000002"));
	sip_auth_clear(&a);
	buf_reset(&b);
	assert_int_equal(take(&a, W ",qop=\"auth-int\"\r\n", true), 0);
	assert_int_equal(
	    sip_auth_write(&a, &b, &cred, "INVITE", "sip:r", slice_of("v=0")),
	    0);
	assert_non_null(strstr(buf_str(&b), "qop=auth-int"));
	sip_auth_clear(&a);
	buf_clear(&b);
}

static void
next_nonce_takes_the_place_of_the_old_one(void **state)
{
	static const struct {
		const char *fields, *want;
	} v[] = {
		{ "Authentication-Info: qop=auth,nextnonce=\"n2\"\r\n",
		    "nonce=\"n2\",uri=\"sip:r\"" },
		{ "Authentication-Info: NextNonce = \"a,b=c\", nc=00000001\r\n",
		    "nonce=\"a,b=c\"," },
		{ "Authentication-Info: rspauth=\"00\"\r\n", "nonce=\"n\"," },
		{ "Authentication-Info: nextnonce=\"\"\r\n", "nonce=\"n\"," },
		/* that is another server's */
		{ "Proxy-Authentication-Info: nextnonce=\"n2\"\r\n",
		    "nonce=\"n\"," },
		{ "", "nonce=\"n\"," },
	};
	struct sip_cred cred = { "u", "p" };

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct sip_msg *m = refusal(v[i].fields);
		struct sip_auth a = { 0 };
		struct buf b;

		buf_init(&b, 4096);
		assert_int_equal(take(&a, W ",qop=\"auth\"\r\n", true), 0);
		assert_int_equal(sip_auth_write(&a, &b, &cred, "REGISTER",
				     "sip:r", slice_of("")),
		    0);
		buf_reset(&b);
		sip_auth_next(&a, m);
		assert_int_equal(sip_auth_write(&a, &b, &cred, "REGISTER",
				     "sip:r", slice_of("")),
		    0);
		if (strstr(buf_str(&b), v[i].want) == NULL)
			fail_msg("%s: %s", v[i].fields, buf_str(&b));
		/* a new nonce is counted from 1 */
		assert_non_null(strstr(buf_str(&b),
		    strstr(v[i].want, "\"n\"") != NULL ? "nc=00000002"
						       : "nc=00000001"));
		buf_clear(&b);
		sip_auth_clear(&a);
		sip_msg_free(m);
	}
}

static void
refused_credentials_are_not_tried_for_ever(void **state)
{
	struct sip_auth a = { 0 };

	(void)state;
	assert_int_equal(take(&a, W "\r\n", true), 0);
	assert_int_equal(take(&a, W "\r\n", true), E_SIP_AUTH);
	/* a new nonce with the refusal changes nothing */
	assert_int_equal(take(&a,
			     "WWW-Authenticate: Digest realm=\"r\","
			     "nonce=\"n2\"\r\n",
			     true),
	    E_SIP_AUTH);
	sip_auth_ok(&a);
	assert_int_equal(take(&a, W "\r\n", true), 0);
	assert_int_equal(take(&a, W ",stale=TRUE\r\n", true), 0);
	assert_int_equal(take(&a, W ",stale=true\r\n", true), 0);
	/* but not a server that calls everything stale */
	assert_int_equal(take(&a, W ",stale=true\r\n", true), E_SIP_AUTH);
	sip_auth_clear(&a);
}

static void
hostile_challenges_put_nothing_into_our_headers(void **state)
{
	struct sip_auth a = { 0 };
	int err = take(&a,
	    "WWW-Authenticate: Digest realm=\"r\tx\",nonce=\"n\"\r\n", true);

	(void)state;
	assert_true(err == 0 || err == E_SIP_AUTH);
	sip_auth_clear(&a);
	err = take(&a, "WWW-Authenticate: Digest realm=,nonce=\r\n", true);
	assert_true(err == 0 || err == E_SIP_AUTH);
	sip_auth_clear(&a);
	err = take(&a, "WWW-Authenticate: Digest \"\"\"\"=,,,\r\n", true);
	assert_true(err == 0 || err == E_SIP_AUTH);
	sip_auth_clear(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors_of_rfc_7616_come_out),
		cmocka_unit_test(
		    algorithms_of_rfc_8760_with_bodies_and_sessions),
		cmocka_unit_test(best_challenge_is_chosen),
		cmocka_unit_test(only_known_realms_are_answered),
		cmocka_unit_test(nonces_are_counted),
		cmocka_unit_test(next_nonce_takes_the_place_of_the_old_one),
		cmocka_unit_test(refused_credentials_are_not_tried_for_ever),
		cmocka_unit_test(
		    hostile_challenges_put_nothing_into_our_headers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
