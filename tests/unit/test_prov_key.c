/* SPDX-License-Identifier: ISC */
/*
 * The table of settings: every row is sound, names are found, values judged.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bellbird/prov_key.h"

/* The default is what the user gets who says nothing: it must be valid. */
static void
every_row_is_sound(void **state)
{
	const struct prov_key *k, *last = NULL;
	char out[PROV_VALUE_MAX], why[280];
	size_t n, len;

	(void)state;
	for (n = 0; (k = prov_key_at(n)) != NULL; n++) {
		if (prov_key_check(k, slice_of(k->dflt), out, sizeof(out), why,
			sizeof(why)) != 0)
			fail_msg("default of %s: %s", k->name, why);
		/* Only sip.srtp reads an empty value as a word. */
		if ((k->flags & PROV_F_EMPTY) == 0 && strcmp(out, k->dflt) != 0)
			fail_msg(
			    "default of %s is not normal: %s", k->name, out);
		if (last != NULL && strcmp(last->name, k->name) >= 0)
			fail_msg("%s is not sorted or not unique", k->name);
		len = strlen(k->help);
		if (len < 10 || k->help[len - 1] != '.' ||
		    strchr(k->help, '\n') != NULL)
			fail_msg("help of %s: %s", k->name, k->help);
		if (k->section[0] == '\0' || k->label[0] == '\0' ||
		    k->scope == 0 || strlen(k->name) >= 60)
			fail_msg("row of %s is not complete", k->name);
		if (strchr(k->name, 'N') == NULL &&
		    prov_key_find(slice_of(k->name)) != k)
			fail_msg("%s is not found", k->name);
		last = k;
	}
	assert_true(n > 350);
	assert_null(prov_key_at(n));
}

/* What a provisioned file may not do is a column of the table. */
static void
knows_what_weakens(void **state)
{
	static const char *const fields[] = { "verify", "force", "min", "max",
		"allow", "cn", "wildcard", "profile" };
	const struct prov_key *k;
	char out[PROV_VALUE_MAX], why[280], word[32];
	struct slice rest, w;
	const char *tls;
	size_t n = 0;

	(void)state;
	for (size_t i = 0; (k = prov_key_at(i)) != NULL; i++) {
		tls = strstr(k->name, ".tls.");
		for (size_t f = 0; tls != NULL && f < 8; f++)
			if (strcmp(tls + 5, fields[f]) == 0 &&
			    k->weaker[0] == '\0')
				fail_msg("%s does not weaken", k->name);
		if (k->weaker[0] == '\0')
			continue;
		n++;
		if (prov_key_weakens(k, k->dflt) || prov_key_weakens(k, ""))
			fail_msg("the default of %s weakens", k->name);
		/* It is shown in warnings. */
		assert_false(k->flags & PROV_F_SECRET);
		for (rest = slice_of(k->weaker); rest.n > 0;) {
			slice_cut(rest, '|', &w, &rest);
			if (slice_is(w, "*"))
				continue;
			assert_int_equal(
			    str_copy_slice(word, sizeof(word), w), 0);
			if (prov_key_check(k, w, out, sizeof(out), why,
				sizeof(why)) != 0 ||
			    strcmp(out, word) != 0)
				fail_msg("%s: %s is no value", k->name, word);
			assert_true(prov_key_weakens(k, word));
		}
	}
	assert_int_equal(n, 8 * 6 + 3);
}

/* The user sees "label" in forms: passwords must be known as such. */
static void
passwords_are_secret(void **state)
{
	const struct prov_key *k;

	(void)state;
	for (size_t i = 0; (k = prov_key_at(i)) != NULL; i++)
		if (strstr(k->name, "pwd") != NULL &&
		    (k->flags & PROV_F_SECRET) == 0)
			fail_msg("%s is not secret", k->name);
}

static void
finds_names_aliases_and_indexes(void **state)
{
	static const struct {
		const char *name, *row, *why;
	} v[] = {
		{ "sip.proxy", "sip.proxy", "plain" },
		{ "prov.download.cert", "prov.tls.verify", "alias" },
		{ "sip.alert3.user", "sip.alertN.user", "index" },
		{ "mcast.zone50", "mcast.zoneN", "index at the end" },
		{ "sip.alert99.user", "sip.alertN.user", "two digits" },
		{ "net.time4", "net.time4", "a digit of the name" },
		{ "sip.u1.tls.verify", "sip.u1.tls.verify", "account" },
		{ "sip.alert0.user", NULL, "index 0" },
		{ "sip.alert03.user", NULL, "leading zero" },
		{ "sip.alert100.user", NULL, "three digits" },
		{ "sip.alert.user", NULL, "no index" },
		{ "sip.alertN.user", NULL, "the row, not a key" },
		{ "sip.proxy ", NULL, "space" },
		{ "SIP.proxy", NULL, "case" },
		{ "", NULL, "empty" },
		{ "sip.u2.user", "sip.uN.user", "a further account" },
		{ "sip.12.3x.45", NULL, "digits anywhere" },
	};
	char name[300];
	const struct prov_key *k;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		k = prov_key_find(slice_of(v[i].name));
		if ((k == NULL) != (v[i].row == NULL) ||
		    (k != NULL && strcmp(k->name, v[i].row) != 0))
			fail_msg("%s (%s)", v[i].name, v[i].why);
	}
	memset(name, '1', sizeof(name));
	assert_null(prov_key_find((struct slice){ name, sizeof(name) }));
}

static void
suggests_the_nearest_name(void **state)
{
	static const struct {
		const char *name, *near;
	} v[] = {
		{ "sip.prxoy", "sip.proxy" },
		{ "sip.Proxy", "sip.proxy" },
		{ "sip.alrt3.user", "sip.alert3.user" },
		{ "prov.download.crt", "prov.download.cert" },
		{ "sip.u1.passwd", "sip.u1.pwd" },
		{ "completely.different", "" },
		{ "", "" },
		{ "x", "" },
	};
	char near[64];

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		prov_key_near(v[i].name, near, sizeof(near));
		assert_string_equal(near, v[i].near);
	}
}

static const struct {
	const char *key, *value, *want;
} values[] = {
	{ "sip.obproxy", "sip:p.example:5070;transport=tls;lr",
	    "sip:p.example:5070;transport=tls;lr" },
	{ "sip.obproxy", "<sips:[::1]:5061;lr>", "<sips:[::1]:5061;lr>" },
	{ "sip.obproxy", "p.example", "p.example" },
	{ "sip.obproxy", "sip:bob@p.example", NULL },
	{ "sip.obproxy", "sip:p.example>;x", NULL },
	{ "sip.obproxy", "sip:p.example?X=y", NULL },
	{ "sip.obproxy", "sip:", NULL },
	{ "sip.proxy", "sip:p.example", NULL },
	{ "prov.use", "on", "1" },
	{ "prov.use", "False", "0" },
	{ "prov.use", "YES", "1" },
	{ "prov.use", "2", NULL },
	{ "prov.use", "", "" },
	{ "sip.regexp", "3600", "3600" },
	{ "sip.regexp", " 060 ", "60" },
	{ "sip.regexp", "59", NULL },
	{ "sip.regexp", "604801", NULL },
	{ "sip.regexp", "1h", NULL },
	{ "sip.regexp", "99999999999999999999", NULL },
	{ "sip.transp", "TLS", "tls" },
	{ "sip.transp", "sctp", NULL },
	{ "sip.srtp", "Standard", "standard" },
	{ "sip.srtp", "", "disabled" },
	{ "sip.srtp", "on", NULL },
	{ "sip.srtp.suite", "AES_CM_128_HMAC_SHA1_80",
	    "aes_cm_128_hmac_sha1_80" },
	{ "sip.srtp.suite", "AEAD_AES_256_GCM, aes_cm_128_hmac_sha1_32",
	    "aead_aes_256_gcm,aes_cm_128_hmac_sha1_32" },
	{ "sip.srtp.suite", "f8_128", NULL },
	{ "audio.codecs", "PCMA,opus,", "pcma,opus" },
	{ "audio.codecs", ",", "" },
	{ "audio.codecs", "g729", NULL },
	{ "mcast.rx.zones", "1,8,9,", "1,8,9" },
	{ "mcast.rx.zones", "51", NULL },
	{ "sip.tls.trust", "trusted,builtin", "trusted+builtin" },
	{ "sip.tls.trust", "Builtin+SIPtrusted", "builtin+siptrusted" },
	{ "sip.tls.trust", "all", NULL },
	{ "sip.tls.allow", "no-san, SHA1", "no-san,sha1" },
	{ "sip.tls.min", "1.2", "1.2" },
	{ "sip.tls.min", "1.4", NULL },
	{ "sip.proxy", "sip.example.org", "sip.example.org" },
	{ "sip.proxy", "sip.example.org:5061", "sip.example.org:5061" },
	{ "sip.proxy", "[2001:db8::1]:5061", "[2001:db8::1]:5061" },
	{ "sip.proxy", "2001:db8::1", "2001:db8::1" },
	{ "sip.proxy", "192.0.2.1", "192.0.2.1" },
	{ "sip.proxy", "sip.example.org:0", NULL },
	{ "sip.proxy", "192.0.2.1:0", NULL },
	{ "sip.proxy", "sip.example.org:70000", NULL },
	{ "sip.proxy", "https://sip.example.org", NULL },
	{ "sip.proxy", "two words", NULL },
	{ "sip.proxy", "a..b", NULL },
	{ "sip.listen.udp", "127.0.0.1:0", "127.0.0.1:0" },
	{ "sip.listen.udp", "*:5060", "0.0.0.0:5060" },
	{ "sip.listen.udp", "localhost:5060", "127.0.0.1:5060" },
	{ "sip.listen.udp", "[::]:5060", "[::]:5060" },
	{ "sip.listen.udp", "127.0.0.1:1", "127.0.0.1:1" },
	{ "sip.listen.udp", "127.0.0.1", NULL },
	{ "sip.listen.udp", "name:5060", NULL },
	{ "net.sip.addr", "192.0.2.7", "192.0.2.7" },
	{ "net.sip.addr", "192.0.2.7:5060", NULL },
	{ "net.dns.servers", "192.0.2.1, [::1]:5353", "192.0.2.1,[::1]:5353" },
	{ "net.dns.servers", "ns.example.org", NULL },
	{ "alert.cid4.regex", "^1(00|01)[0-9]$", "^1(00|01)[0-9]$" },
	{ "alert.cid4.regex", "(a", NULL },
	{ "alert.cid4.regex", "a{600}", NULL },
	{ "sip.allow", "192.0.2.0/24,TLS:pbx.example.org,Any",
	    "192.0.2.0/24,TLS:pbx.example.org,any" },
	{ "sip.allow", "192.0.2.0/33", NULL },
	{ "sip.allow", "tls:", NULL },
	{ "audio.device", "alsa:default", "alsa:default" },
	{ "audio.device", "wav:in.wav,out.wav", "wav:in.wav,out.wav" },
	{ "audio.device", "tone:440", "tone:440" },
	{ "audio.device", "tone:5", NULL },
	{ "audio.device", "NULL", "null" },
	{ "audio.device", "pulse", NULL },
	{ "media.ports", "16384-16482", "16384-16482" },
	{ "media.ports", "16482-16384", NULL },
	{ "media.ports", "80-90", NULL },
	{ "device.mac", "00:22:EE:11:22:33", "0022ee112233" },
	{ "device.mac", "0022ee11223", NULL },
	{ "log.level", "info,sip=debug", "info,sip=debug" },
	{ "log.level", "info,nose=debug", NULL },
	{ "log.level", "loud", NULL },
	{ "audio.page.vol", "-18dB", "-18dB" },
	{ "audio.page.vol", "-18 db", "-18dB" },
	{ "audio.page.vol", "4", "-18dB" },
	{ "audio.page.vol", "10", "0dB" },
	{ "audio.page.vol", "-60dB", NULL },
	{ "audio.page.vol", "loud", NULL },
	{ "audio.page.mode", "Two-Way", "two-way" },
	{ "sip.u1.dname", "  Hall \"A\" # 1 ", "Hall \"A\" # 1" },
	{ "sip.u1.dname", "J\xc3\xb6rg", "J\xc3\xb6rg" },
	{ "sip.u1.dname", "J\xf6rg", NULL },
	{ "sip.u1.dname", "\xed\xa0\x80", NULL },
	{ "sip.u1.dname", "a\tb", NULL },
	{ "sip.u1.tls.verify", "", "" },
};

/* want NULL: refused, and `why` names the key. */
static void
judges_and_normalises_values(void **state)
{
	char out[PROV_VALUE_MAX], why[280];
	const struct prov_key *k;
	int err;

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		k = prov_key_find(slice_of(values[i].key));
		assert_non_null(k);
		err = prov_key_check(k, slice_of(values[i].value), out,
		    sizeof(out), why, sizeof(why));
		if (values[i].want != NULL &&
		    (err || strcmp(out, values[i].want) != 0))
			fail_msg("%s = %s: %d %s", values[i].key,
			    values[i].value, err, err ? why : out);
		if (values[i].want == NULL &&
		    (err != E_PROV_CONF || strstr(why, k->name) == NULL))
			fail_msg("%s = %s: %d %s", values[i].key,
			    values[i].value, err, why);
	}
}

static void
never_shows_a_secret(void **state)
{
	const struct prov_key *k = prov_key_find(slice_of("sip.u1.pwd"));
	char out[PROV_VALUE_MAX], why[280];

	(void)state;
	assert_int_equal(prov_key_check(k, slice_of("hunter2\x01"), out,
			     sizeof(out), why, sizeof(why)),
	    E_PROV_CONF);
	assert_null(strstr(why, "hunter2"));
	assert_non_null(strstr(why, "sip.u1.pwd"));
}

static void
refuses_a_value_without_end(void **state)
{
	const struct prov_key *k = prov_key_find(slice_of("sip.u1.dname"));
	char out[PROV_VALUE_MAX], why[280], big[PROV_VALUE_MAX + 1];

	(void)state;
	memset(big, 'x', sizeof(big));
	assert_int_equal(
	    prov_key_check(k, (struct slice){ big, PROV_VALUE_MAX - 1 }, out,
		sizeof(out), why, sizeof(why)),
	    0);
	assert_int_equal(
	    prov_key_check(k, (struct slice){ big, PROV_VALUE_MAX }, out,
		sizeof(out), why, sizeof(why)),
	    E_PROV_CONF);
}

/* A refused file must say why, however many warnings came before. */
static void
keeps_fatal_problems_of_a_full_list(void **state)
{
	struct prov_problems p = { 0 };

	(void)state;
	for (unsigned int i = 1; i <= 150; i++)
		prov_problems_add(&p, "f", i, 1, false, "warning %u", i);
	prov_problems_add(&p, "f", 151, 1, true, "fatal");
	assert_int_equal(p.n, 100);
	assert_int_equal(p.dropped, 51);
	assert_int_equal(p.num_fatal, 1);
	assert_string_equal(p.v[99].text, "fatal");
	assert_int_equal(p.v[98].line, 99);
	prov_problems_clear(&p);
	assert_int_equal(p.n, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_is_sound),
		cmocka_unit_test(knows_what_weakens),
		cmocka_unit_test(passwords_are_secret),
		cmocka_unit_test(finds_names_aliases_and_indexes),
		cmocka_unit_test(suggests_the_nearest_name),
		cmocka_unit_test(judges_and_normalises_values),
		cmocka_unit_test(never_shows_a_secret),
		cmocka_unit_test(refuses_a_value_without_end),
		cmocka_unit_test(keeps_fatal_problems_of_a_full_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
