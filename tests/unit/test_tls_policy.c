/* SPDX-License-Identifier: ISC */
/* The policy is a pure function: its test is a table. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "bellbird/tls_policy.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

static const struct tls_clock good_clock = { 2000, 1000, true };

/* One change of the defaults. */
enum tweak {
	T_NONE,
	T_MIN10,
	T_MIN11_LEGACY,
	T_MIN11_FREE,
	T_MAX11,
	T_MAX11_FREE,
	T_MAX11_LEGACY,
	T_MIN13_MAX12,
	T_ONLY12,
	T_BAD_VERSION,
	T_NO_TRUST,
	T_NO_TRUST_NO_VERIFY,
	T_ID_SERVER,
	T_ID_OWNER,
	T_ID_FACTORY,
	T_OWNER_THERE,
	T_SLOW,
	T_FAST,
	T_NO_VERIFY,
	T_CN,
	T_REQUIRE,
	T_ASK_NOBODY,
	T_SERVERAUTH,
	T_NAME,
	T_BAD_NAME,
	T_MODERN,
	T_WILD,
	T_NO_SAN,
	T_WEB_CHECK
};

static void
apply(struct tls_settings *s, enum tweak t)
{
	switch (t) {
	case T_MIN10:
		s->min = TLS_V10;
		break;
	case T_MIN11_LEGACY:
		s->force = false;
		s->min = TLS_V11;
		s->profile = TLS_PROFILE_LEGACY;
		break;
	case T_MIN11_FREE:
		s->force = false;
		s->min = TLS_V11;
		break;
	case T_MAX11:
		s->min = TLS_V10;
		s->max = TLS_V11;
		break;
	case T_MAX11_FREE:
		s->force = false;
		s->min = s->max = TLS_V11;
		break;
	case T_MAX11_LEGACY:
		s->force = false;
		s->min = s->max = TLS_V11;
		s->profile = TLS_PROFILE_LEGACY;
		break;
	case T_MIN13_MAX12:
		s->min = TLS_V13;
		s->max = TLS_V12;
		break;
	case T_ONLY12:
		s->max = TLS_V12;
		break;
	case T_BAD_VERSION:
		s->min = 0x0300;
		break;
	case T_NO_TRUST:
		s->trust = 0;
		break;
	case T_NO_TRUST_NO_VERIFY:
		s->trust = 0;
		s->verify = false;
		break;
	case T_ID_SERVER:
		s->identity = TLS_ID_SERVER;
		break;
	case T_ID_OWNER:
		s->identity = TLS_ID_SIP_OWNER;
		break;
	case T_ID_FACTORY:
		s->identity = TLS_ID_FACTORY;
		s->sip_owner_present = true;
		break;
	case T_OWNER_THERE:
		s->sip_owner_present = true;
		break;
	case T_SLOW:
		s->handshake_ms = 60001;
		break;
	case T_FAST:
		s->handshake_ms = 999;
		break;
	case T_NO_VERIFY:
		s->verify = false;
		break;
	case T_CN:
		s->cn = true;
		break;
	case T_REQUIRE:
		s->require_client = true;
		break;
	case T_ASK_NOBODY:
		s->ask_client = false;
		break;
	case T_SERVERAUTH:
		s->serverauth_client = true;
		break;
	case T_NAME:
		snprintf(s->name, sizeof(s->name), "other.example.");
		break;
	case T_BAD_NAME:
		snprintf(s->name, sizeof(s->name), "a b");
		break;
	case T_MODERN:
		s->profile = TLS_PROFILE_MODERN;
		break;
	case T_WILD:
		s->wildcard = true;
		break;
	case T_NO_SAN:
		s->allow = TLS_ALLOW_NO_SAN;
		break;
	default:
		break;
	}
}

static int
decide(struct tls_policy *p, enum tls_use use, enum tls_dir dir,
    const char *peer, enum tweak t, char why[256])
{
	struct tls_settings s;

	tls_settings_default(&s, use);
	apply(&s, t);
	why[0] = '\0';
	return tls_policy_decide(p, use, dir, peer, &s, &good_clock, why, 256);
}

/* What contradicts itself is refused, the keys are named, out is untouched. */
static void
refuses_contradictions_and_names_the_keys(void **state)
{
	static const struct {
		const char *why;
		enum tls_use use;
		const char *peer;
		enum tweak t;
		const char *key, *other;
	} v[] = {
		{ "max below 1.2 with force", TLS_USE_SIP, "a.example", T_MAX11,
		    "sip.tls.max", "sip.tls.force" },
		{ "1.1 without legacy", TLS_USE_SIP, "a.example", T_MIN11_FREE,
		    "sip.tls.min", "sip.tls.profile" },
		{ "only 1.1 without legacy", TLS_USE_PROV, "a.example",
		    T_MAX11_FREE, "prov.tls.min", "prov.tls.profile" },
		{ "min above max", TLS_USE_PROV, "a.example", T_MIN13_MAX12,
		    "prov.tls.min", "prov.tls.max" },
		{ "SSL 3", TLS_USE_SIP, "a.example", T_BAD_VERSION,
		    "sip.tls.min", "1.3" },
		{ "nothing to trust", TLS_USE_SIP, "a.example", T_NO_TRUST,
		    "sip.tls.trust", "sip.tls.verify" },
		{ "a client with the listener's slot", TLS_USE_SIP, "a.example",
		    T_ID_SERVER, "sip.tls.identity", "listener" },
		{ "the owner's slot for prov", TLS_USE_PROV, "a.example",
		    T_ID_OWNER, "prov.tls.identity", "sip only" },
		{ "nothing to trust an issuer by", TLS_USE_EST, "ca.example",
		    T_NO_TRUST_NO_VERIFY, "prov.tls.trust", "empty" },
		{ "too slow", TLS_USE_SIP, "a.example", T_SLOW, "sip.tls",
		    "60 seconds" },
		{ "too fast", TLS_USE_SIP, "a.example", T_FAST, "sip.tls",
		    "60 seconds" },
		{ "no name at all", TLS_USE_SIP, NULL, T_NONE, "sip.tls.name",
		    "name" },
		{ "a name with a space", TLS_USE_SIP, "a.example", T_BAD_NAME,
		    "sip.tls.name", "name" },
		{ "a name beyond ASCII", TLS_USE_SIP, "b\xc3\xbc.example",
		    T_NONE, "sip.tls.name", "name" },
	};
	struct tls_policy p, before;
	char why[256];

	(void)state;
	memset(&p, 0x5a, sizeof(p));
	before = p;
	for (size_t i = 0; i < LEN(v); i++) {
		print_message("refuses: %s\n", v[i].why);
		assert_int_equal(
		    decide(&p, v[i].use, TLS_CLIENT, v[i].peer, v[i].t, why),
		    E_TLS_PARAM);
		assert_non_null(strstr(why, v[i].key));
		assert_non_null(strstr(why, v[i].other));
		assert_memory_equal(&p, &before, sizeof(p));
	}
}

/* Every field of every decision has a reason in words. */
static void
every_field_has_its_reason(void **state)
{
	static const enum tweak t[] = { T_NONE, T_MIN10, T_MIN11_LEGACY,
		T_ONLY12, T_NO_VERIFY, T_CN, T_OWNER_THERE, T_ID_FACTORY,
		T_REQUIRE, T_MODERN, T_WILD, T_NO_TRUST_NO_VERIFY };
	struct tls_policy p;
	char why[256];

	(void)state;
	for (int use = 0; use < TLS_USE_MAX; use++) {
		for (size_t i = 0; i < LEN(t); i++) {
			enum tls_dir dir =
			    use == TLS_USE_WEB ? TLS_SERVER : TLS_CLIENT;

			if (use == TLS_USE_EST && t[i] == T_NO_TRUST_NO_VERIFY)
				continue; /* it is always verified */

			assert_int_equal(
			    decide(&p, use, dir, "a.example", t[i], why), 0);
			for (int f = 0; f < TLS_F_MAX; f++) {
				assert_true(strlen(p.why[f]) > 10);
				assert_string_not_equal(
				    tls_field_name(f), "unknown");
			}
		}
	}
}

static void
the_table_of_fields_holds(void **state)
{
	static const struct {
		const char *why;
		enum tls_use use;
		enum tls_dir dir;
		const char *peer;
		enum tweak t;
		uint16_t min, max;
		bool verify;
		enum tls_name_rule rule;
		const char *name;
		enum tls_identity id;
		unsigned int allow;
	} v[] = {
		{ "defaults", TLS_USE_SIP, TLS_CLIENT, "sip.example", T_NONE,
		    TLS_V12, TLS_V13, true, TLS_NAME_SIP, "sip.example",
		    TLS_ID_FACTORY, 0 },
		{ "force lifts 1.0", TLS_USE_SIP, TLS_CLIENT, "sip.example",
		    T_MIN10, TLS_V12, TLS_V13, true, TLS_NAME_SIP,
		    "sip.example", TLS_ID_FACTORY, 0 },
		{ "legacy", TLS_USE_SIP, TLS_CLIENT, "sip.example",
		    T_MIN11_LEGACY, TLS_V11, TLS_V13, true, TLS_NAME_SIP,
		    "sip.example", TLS_ID_FACTORY, 0 },
		{ "only 1.1, knowingly", TLS_USE_SIP, TLS_CLIENT, "sip.example",
		    T_MAX11_LEGACY, TLS_V11, TLS_V11, true, TLS_NAME_SIP,
		    "sip.example", TLS_ID_FACTORY, 0 },
		{ "TLS 1.2 only", TLS_USE_PROV, TLS_CLIENT, "p.example",
		    T_ONLY12, TLS_V12, TLS_V12, true, TLS_NAME_HTTPS,
		    "p.example", TLS_ID_FACTORY, 0 },
		{ "owner's certificate for sip", TLS_USE_SIP, TLS_CLIENT,
		    "sip.example", T_OWNER_THERE, TLS_V12, TLS_V13, true,
		    TLS_NAME_SIP, "sip.example", TLS_ID_SIP_OWNER, 0 },
		{ "prov shows the device", TLS_USE_PROV, TLS_CLIENT,
		    "p.example", T_OWNER_THERE, TLS_V12, TLS_V13, true,
		    TLS_NAME_HTTPS, "p.example", TLS_ID_FACTORY, 0 },
		{ "explicit slot", TLS_USE_SIP, TLS_CLIENT, "sip.example",
		    T_ID_FACTORY, TLS_V12, TLS_V13, true, TLS_NAME_SIP,
		    "sip.example", TLS_ID_FACTORY, 0 },
		{ "cn implies no-san", TLS_USE_SIP, TLS_CLIENT, "sip.example",
		    T_CN, TLS_V12, TLS_V13, true, TLS_NAME_SIP, "sip.example",
		    TLS_ID_FACTORY, TLS_ALLOW_NO_SAN },
		{ "no-san implies cn", TLS_USE_SIP, TLS_CLIENT, "sip.example",
		    T_NO_SAN, TLS_V12, TLS_V13, true, TLS_NAME_SIP,
		    "sip.example", TLS_ID_FACTORY, TLS_ALLOW_NO_SAN },
		{ "no-san of a listener", TLS_USE_SIP, TLS_SERVER, NULL,
		    T_NO_SAN, TLS_V12, TLS_V13, true, TLS_NAME_NONE, "",
		    TLS_ID_SERVER, TLS_ALLOW_NO_SAN },
		{ "tls.name wins", TLS_USE_SIP, TLS_CLIENT, "sip.example",
		    T_NAME, TLS_V12, TLS_V13, true, TLS_NAME_SIP,
		    "other.example", TLS_ID_FACTORY, 0 },
		{ "an address in brackets", TLS_USE_SIP, TLS_CLIENT,
		    "[2001:db8::1]", T_NONE, TLS_V12, TLS_V13, true,
		    TLS_NAME_SIP, "2001:db8::1", TLS_ID_FACTORY, 0 },
		{ "not verified", TLS_USE_SIP, TLS_CLIENT, "sip.example",
		    T_NO_VERIFY, TLS_V12, TLS_V13, false, TLS_NAME_SIP,
		    "sip.example", TLS_ID_FACTORY, 0 },
		{ "web asks nobody", TLS_USE_WEB, TLS_SERVER, NULL, T_NONE,
		    TLS_V12, TLS_V13, false, TLS_NAME_NONE, "", TLS_ID_SERVER,
		    0 },
		{ "web that demands", TLS_USE_WEB, TLS_SERVER, NULL, T_REQUIRE,
		    TLS_V12, TLS_V13, true, TLS_NAME_NONE, "", TLS_ID_SERVER,
		    0 },
		{ "a SIP listener asks", TLS_USE_SIP, TLS_SERVER, NULL, T_NONE,
		    TLS_V12, TLS_V13, true, TLS_NAME_NONE, "", TLS_ID_SERVER,
		    0 },
		{ "a SIP listener told to ask nobody", TLS_USE_SIP, TLS_SERVER,
		    NULL, T_ASK_NOBODY, TLS_V12, TLS_V13, false, TLS_NAME_NONE,
		    "", TLS_ID_SERVER, 0 },
		{ "what we verify as a client is another matter", TLS_USE_SIP,
		    TLS_SERVER, NULL, T_NO_VERIFY, TLS_V12, TLS_V13, true,
		    TLS_NAME_NONE, "", TLS_ID_SERVER, 0 },
		{ "a listener never shows the device", TLS_USE_SIP, TLS_SERVER,
		    NULL, T_ID_FACTORY, TLS_V12, TLS_V13, true, TLS_NAME_NONE,
		    "", TLS_ID_SERVER, 0 },
	};
	struct tls_policy p;
	char why[256];

	(void)state;
	for (size_t i = 0; i < LEN(v); i++) {
		print_message("decides: %s\n", v[i].why);
		assert_int_equal(
		    decide(&p, v[i].use, v[i].dir, v[i].peer, v[i].t, why), 0);
		assert_int_equal(p.min, v[i].min);
		assert_int_equal(p.max, v[i].max);
		assert_int_equal(p.verify, v[i].verify);
		assert_int_equal(p.name_rule, v[i].rule);
		assert_string_equal(p.name, v[i].name);
		assert_int_equal(p.identity, v[i].id);
		assert_int_equal(p.allow, v[i].allow);
		assert_false(p.serverauth_client);
		assert_int_equal(p.cn,
		    v[i].dir == TLS_CLIENT &&
			(v[i].allow & TLS_ALLOW_NO_SAN) != 0);
	}
}

/* RFC 7030 3.3: whatever is set, the issuer is verified, and we show the
 * certificate that is renewed, else the one the device came with. */
static void
enrolment_has_rules_of_its_own(void **state)
{
	static const struct {
		const char *why;
		enum tweak t;
		enum tls_identity id;
	} v[] = {
		{ "the first shows the device", T_NONE, TLS_ID_FACTORY },
		{ "renewing shows what is renewed", T_OWNER_THERE,
		    TLS_ID_SIP_OWNER },
		{ "the owner's slot, by name", T_ID_OWNER, TLS_ID_SIP_OWNER },
		{ "the device, though there is an owner", T_ID_FACTORY,
		    TLS_ID_FACTORY },
		{ "verify = 0", T_NO_VERIFY, TLS_ID_FACTORY },
	};
	struct tls_policy p;
	char why[256];

	(void)state;
	for (size_t i = 0; i < LEN(v); i++) {
		print_message("enrols: %s\n", v[i].why);
		assert_int_equal(decide(&p, TLS_USE_EST, TLS_CLIENT,
				     "ca.example", v[i].t, why),
		    0);
		assert_true(p.verify);
		assert_int_equal(p.name_rule, TLS_NAME_HTTPS);
		assert_string_equal(p.name, "ca.example");
		assert_int_equal(p.identity, v[i].id);
		assert_false(p.identity_auto);
	}
}

static void
an_unconfirmed_clock_means_the_floor(void **state)
{
	static const struct {
		const char *why;
		struct tls_clock clock;
		int64_t want;
	} v[] = {
		{ "good", { 2000, 1000, true }, 0 },
		{ "not confirmed", { 2000, 1000, false }, 1000 },
		{ "behind, though trusted", { 500, 1000, true }, 1000 },
		{ "1970", { 0, 1000, false }, 1000 },
	};
	struct tls_settings s;
	struct tls_policy p;

	(void)state;
	tls_settings_default(&s, TLS_USE_SIP);
	for (size_t i = 0; i < LEN(v); i++) {
		print_message("clock: %s\n", v[i].why);
		assert_int_equal(tls_policy_decide(&p, TLS_USE_SIP, TLS_CLIENT,
				     "a.example", &s, &v[i].clock, NULL, 0),
		    0);
		assert_int_equal(p.verify_time_s, v[i].want);
	}
}

/* What a certificate could carry of what the user wrote. */
static void
a_name_loses_port_brackets_and_zone(void **state)
{
	static const struct {
		const char *in, *out;
		bool ip;
	} v[] = {
		{ "sip.example", "sip.example", false },
		{ "sip.example.", "sip.example", false },
		{ "sip.example:5061", "sip.example", false },
		{ "sip.example.:5061", "sip.example", false },
		{ "192.0.2.1", "192.0.2.1", true },
		{ "192.0.2.1:443", "192.0.2.1", true },
		{ "2001:db8::1", "2001:db8::1", true },
		{ "2001:db8::5061", "2001:db8::5061", true },
		{ "::1", "::1", true },
		{ "[2001:db8::1]", "2001:db8::1", true },
		{ "[2001:db8::1]:5061", "2001:db8::1", true },
		{ "fe80::1%eth0", "fe80::1", true },
		{ "[fe80::1%eth0]:5061", "fe80::1", true },
		{ "[fe80::1%25eth0]", "fe80::1", true },
		{ "h:x", "h:x", false },
		{ "h:65536", "h:65536", false },
		{ "100%", "100%", false },
	};
	struct tls_settings s;
	struct tls_policy p;

	(void)state;
	for (size_t i = 0; i < 2 * LEN(v); i++) {
		size_t k = i % LEN(v);

		print_message("%s\n", v[k].in);
		tls_settings_default(&s, TLS_USE_SIP);
		if (i >= LEN(v)) /* from tls.name, else as the server */
			(void)snprintf(s.name, sizeof(s.name), "%s", v[k].in);
		assert_int_equal(tls_policy_decide(&p, TLS_USE_SIP, TLS_CLIENT,
				     i < LEN(v) ? v[k].in : "other.example", &s,
				     &good_clock, NULL, 0),
		    0);
		assert_string_equal(p.name, v[k].out);
		assert_int_equal(
		    strstr(p.why[TLS_F_NAME], "IP address") != NULL, v[k].ip);
	}
}

static void
words_are_read_and_printed(void **state)
{
	static const char *const bad[] = { "1.4", "", "1", "tls1.2", "1.2 " };
	static const char *const bad_trust[] = { "builtin+", "system",
		"+builtin", "builtin++trusted" };
	char text[40];
	unsigned int bits;
	enum tls_identity id;
	enum tls_profile prof;
	uint16_t v;

	(void)state;
	assert_int_equal(tls_version_parse("1.2", &v), 0);
	assert_int_equal(v, TLS_V12);
	for (size_t i = 0; i < LEN(bad); i++)
		assert_int_equal(tls_version_parse(bad[i], &v), E_PARSE);
	assert_int_equal(tls_trust_parse("builtin+siptrusted", &bits), 0);
	tls_trust_print(bits, text, sizeof(text));
	assert_string_equal(text, "builtin+siptrusted");
	tls_trust_print(7, text, sizeof(text));
	assert_string_equal(text, "builtin+trusted+siptrusted");
	assert_int_equal(tls_trust_parse("", &bits), 0);
	assert_int_equal(bits, 0);
	for (size_t i = 0; i < LEN(bad_trust); i++)
		assert_int_equal(tls_trust_parse(bad_trust[i], &bits), E_PARSE);
	assert_int_equal(tls_allow_parse("rsa1024, no-eku", &bits), 0);
	assert_int_equal(bits, TLS_ALLOW_RSA1024 | TLS_ALLOW_NO_EKU);
	assert_int_equal(tls_allow_parse("md5", &bits), E_PARSE);
	assert_int_equal(tls_identity_parse("sip-owner", &id), 0);
	assert_int_equal(id, TLS_ID_SIP_OWNER);
	assert_string_equal(tls_identity_name(TLS_ID_FACTORY), "factory");
	assert_int_equal(tls_profile_parse("modern", &prof), 0);
	assert_int_equal(prof, TLS_PROFILE_MODERN);
	assert_int_equal(tls_profile_parse("old", &prof), E_PARSE);
	assert_string_equal(tls_version_name(0), "none");
	assert_string_equal(tls_use_name(TLS_USE_PROV), "prov");
	assert_string_equal(tls_use_name(TLS_USE_EST), "est");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_contradictions_and_names_the_keys),
		cmocka_unit_test(every_field_has_its_reason),
		cmocka_unit_test(the_table_of_fields_holds),
		cmocka_unit_test(enrolment_has_rules_of_its_own),
		cmocka_unit_test(an_unconfirmed_clock_means_the_floor),
		cmocka_unit_test(a_name_loses_port_brackets_and_zone),
		cmocka_unit_test(words_are_read_and_printed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
