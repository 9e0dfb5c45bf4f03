/* SPDX-License-Identifier: ISC */
/* Who a certificate speaks for: RFC 5922 for SIP, RFC 9525 for HTTPS.
 * The certificates are made by hand, since no honest CA makes most of them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/asn1.h>
#include <openssl/nid.h>
#include <openssl/x509v3.h>

#include "test_tls.h"

/* A name of a certificate; '$' stands for a NUL. */
static void
string_set(ASN1_STRING *s, const char *text)
{
	char b[256];
	size_t n = strlen(text);

	assert_true(n < sizeof(b));
	memcpy(b, text, n);
	for (size_t i = 0; i < n; i++) {
		if (b[i] == '$')
			b[i] = '\0';
	}
	assert_int_equal(ASN1_STRING_set(s, b, (int)n), 1);
}

/* "DNS:a", "URI:b", "IP:c", "EMAIL:d". */
static GENERAL_NAME *
name_new(const char *text)
{
	GENERAL_NAME *g = GENERAL_NAME_new();
	const char *value = strchr(text, ':') + 1;
	ASN1_STRING *s = ASN1_IA5STRING_new();

	if (strncmp(text, "IP:", 3) == 0) {
		ASN1_STRING_free(s);
		s = a2i_IPADDRESS(value);
		assert_non_null(s);
		GENERAL_NAME_set0_value(g, GEN_IPADD, s);
		return g;
	}
	string_set(s, value);
	GENERAL_NAME_set0_value(g,
	    text[0] == 'D'       ? GEN_DNS
		: text[0] == 'U' ? GEN_URI
				 : GEN_EMAIL,
	    s);
	return g;
}

/* A certificate of these common names and alternative names, both separated
 * by commas; NULL: none. */
static X509 *
make(const char *cns, const char *sans)
{
	GENERAL_NAMES *gs = sk_GENERAL_NAME_new_null();
	X509 *c = X509_new();
	char list[512], *at = list, *one;

	(void)snprintf(list, sizeof(list), "%s", cns != NULL ? cns : "");
	while (cns != NULL && (one = strsep(&at, ",")) != NULL) {
		ASN1_STRING *s = ASN1_UTF8STRING_new();

		string_set(s, one);
		assert_int_equal(
		    X509_NAME_add_entry_by_NID(X509_get_subject_name(c),
			NID_commonName, V_ASN1_UTF8STRING,
			ASN1_STRING_get0_data(s), ASN1_STRING_length(s), -1, 0),
		    1);
		ASN1_STRING_free(s);
	}
	at = list;
	(void)snprintf(list, sizeof(list), "%s", sans != NULL ? sans : "");
	while (sans != NULL && (one = strsep(&at, ",")) != NULL)
		assert_true(sk_GENERAL_NAME_push(gs, name_new(one)) > 0);
	if (sans != NULL)
		assert_int_equal(
		    X509_add1_ext_i2d(c, NID_subject_alt_name, gs, 0, 0), 1);
	sk_GENERAL_NAME_pop_free(gs, GENERAL_NAME_free);
	return c;
}

enum { CN = 1, WILD = 2 }; /* sip.tls.cn, sip.tls.wildcard */

struct row {
	const char *why;
	const char *cn, *sans, *name;
	unsigned int flags;
	const char *want; /* what matched, or the class in brackets */
};

static void
check_rows(const struct row *v, size_t n, enum tls_name_rule rule)
{
	struct tls_policy p;
	char matched[128], got[160];
	const char *class;
	X509 *c;

	for (size_t i = 0; i < n; i++) {
		print_message("%s\n", v[i].why);
		memset(&p, 0, sizeof(p));
		p.name_rule = rule;
		p.cn = (v[i].flags & CN) != 0;
		p.wildcard = (v[i].flags & WILD) != 0;
		(void)snprintf(p.name, sizeof(p.name), "%s", v[i].name);
		c = make(v[i].cn, v[i].sans);
		matched[0] = '\0';
		class = tls_peer_check(c, &p, matched, sizeof(matched));
		if (class != NULL) {
			assert_string_equal(matched, "");
			(void)snprintf(got, sizeof(got), "[%s]", class);
		} else {
			(void)snprintf(got, sizeof(got), "%s", matched);
		}
		assert_string_equal(got, v[i].want);
		X509_free(c);
	}
}

#define MISS "[cert.name_mismatch]"

static void
sip_domains_are_found_by_rfc5922(void **state)
{
	static const struct row v[] = {
		{ "a SIP URI", NULL, "URI:sip:example.com", "example.com", 0,
		    "URI:sip:example.com" },
		{ "case does not matter", NULL, "URI:SIP:Example.COM",
		    "eXample.com", 0, "URI:SIP:Example.COM" },
		{ "a trailing dot", NULL, "URI:sip:example.com.", "example.com",
		    0, "URI:sip:example.com." },
		{ "a SIP URI before a DNS name of the same", NULL,
		    "DNS:example.com,URI:sip:example.com", "example.com", 0,
		    "URI:sip:example.com" },
		{ "the second SIP URI", NULL,
		    "URI:sip:a.example,URI:sip:b.example", "b.example", 0,
		    "URI:sip:b.example" },
		{ "a DNS name", NULL, "DNS:sip.example", "sip.example", 0,
		    "DNS:sip.example" },
		{ "a DNS name beside other URIs", NULL,
		    "URI:urn:dev:mac:00156d000001,DNS:sip.example",
		    "sip.example", 0, "DNS:sip.example" },
		{ "7.1: no DNS name where there is a SIP URI", NULL,
		    "URI:sip:other.example,DNS:sip.example", "sip.example", 0,
		    MISS },
		{ "7.1: a URI with a user names no domain", NULL,
		    "URI:sip:alice@example.com", "example.com", 0, MISS },
		{ "and does not hide the DNS name", NULL,
		    "URI:sip:alice@example.com,DNS:example.com", "example.com",
		    0, "DNS:example.com" },
		{ "a user that looks like a domain", NULL,
		    "URI:sip:example.com@evil.example", "example.com", 0,
		    MISS },
		{ "sips: is not sip:", NULL, "URI:sips:example.com",
		    "example.com", 0, MISS },
		{ "nor is https:", NULL, "URI:https://example.com",
		    "example.com", 0, MISS },
		{ "a port is no part of the domain", NULL,
		    "URI:sip:example.com:5061", "example.com", 0,
		    "URI:sip:example.com:5061" },
		{ "nor are parameters", NULL,
		    "URI:sip:example.com;transport=tls", "example.com", 0,
		    "URI:sip:example.com;transport=tls" },
		{ "a domain that only begins alike", NULL,
		    "URI:sip:example.com.evil.example", "example.com", 0,
		    MISS },
		{ "a subdomain is another domain", NULL,
		    "URI:sip:sip.example.com", "example.com", 0, MISS },
		{ "and the parent too", NULL, "DNS:example.com",
		    "sip.example.com", 0, MISS },
		{ "an empty URI", NULL, "URI:sip:", "example.com", 0, MISS },
		{ "mail is not looked at", NULL, "EMAIL:example.com",
		    "example.com", 0, MISS },
		{ "a NUL hides nothing", NULL, "DNS:sip.example$.evil.example",
		    "sip.example", 0, MISS },
		{ "nor in a URI", NULL, "URI:sip:sip.example$.evil.example",
		    "sip.example", 0, MISS },
		{ "a space in a name", NULL, "DNS:sip.example ", "sip.example",
		    0, MISS },
		{ "no name at all", NULL, NULL, "sip.example", 0, MISS },
	};

	(void)state;
	check_rows(v, LEN(v), TLS_NAME_SIP);
}

static void
sip_wildcards_count_only_by_option(void **state)
{
	static const struct row v[] = {
		{ "7.2: no wildcard", NULL, "DNS:*.example.com",
		    "sip.example.com", 0, "[cert.wildcard_sip]" },
		{ "allowed", NULL, "DNS:*.example.com", "sip.example.com", WILD,
		    "DNS:*.example.com" },
		{ "not in a URI", NULL, "URI:sip:*.example.com",
		    "sip.example.com", WILD, MISS },
		{ "an exact name beside it", NULL,
		    "DNS:*.example.com,DNS:sip.example.com", "sip.example.com",
		    0, "DNS:sip.example.com" },
		{ "one label only", NULL, "DNS:*.example.com",
		    "a.sip.example.com", WILD, MISS },
		{ "not for an address", NULL, "DNS:*.0.2.1", "192.0.2.1", WILD,
		    "[cert.ip_mismatch]" },
	};

	(void)state;
	check_rows(v, LEN(v), TLS_NAME_SIP);
}

static void
https_names_follow_rfc9525(void **state)
{
	static const struct row v[] = {
		{ "a DNS name", NULL, "DNS:prov.example", "prov.example", 0,
		    "DNS:prov.example" },
		{ "one of many", NULL,
		    "DNS:a.example,DNS:b.example,DNS:c.example", "b.example", 0,
		    "DNS:b.example" },
		{ "a wildcard", NULL, "DNS:*.example.com", "prov.example.com",
		    0, "DNS:*.example.com" },
		{ "its case", NULL, "DNS:*.EXAMPLE.com", "Prov.example.COM", 0,
		    "DNS:*.EXAMPLE.com" },
		{ "a wildcard is one label", NULL, "DNS:*.example.com",
		    "a.b.example.com", 0, MISS },
		{ "and not none", NULL, "DNS:*.example.com", "example.com", 0,
		    MISS },
		{ "nor an empty one", NULL, "DNS:*.example.com", ".example.com",
		    0, MISS },
		{ "not a whole top level", NULL, "DNS:*.com", "example.com", 0,
		    MISS },
		{ "nor everything", NULL, "DNS:*", "example.com", 0, MISS },
		{ "nor dots alone", NULL, "DNS:*.", "example.", 0, MISS },
		{ "a part of a label", NULL, "DNS:p*.example.com",
		    "prov.example.com", 0, MISS },
		{ "not the left-most label", NULL, "DNS:prov.*.com",
		    "prov.example.com", 0, MISS },
		{ "two of them", NULL, "DNS:*.*.example.com", "a.b.example.com",
		    0, MISS },
		{ "a SIP URI does not count", NULL, "URI:sip:prov.example",
		    "prov.example", 0, MISS },
		{ "and does not hide the DNS name", NULL,
		    "URI:sip:other.example,DNS:prov.example", "prov.example", 0,
		    "DNS:prov.example" },
	};

	(void)state;
	check_rows(v, LEN(v), TLS_NAME_HTTPS);
}

static void
addresses_match_by_their_bytes(void **state)
{
	static const struct row v[] = {
		{ "IPv4", NULL, "IP:192.0.2.1", "192.0.2.1", 0,
		    "IP:192.0.2.1" },
		{ "IPv6 in another spelling", NULL, "IP:2001:db8::1",
		    "2001:DB8:0:0::1", 0, "IP:2001:DB8:0:0::1" },
		{ "another address", NULL, "IP:192.0.2.2", "192.0.2.1", 0,
		    "[cert.ip_mismatch]" },
		{ "an address as DNS name does not count", NULL,
		    "DNS:192.0.2.1", "192.0.2.1", 0, "[cert.ip_mismatch]" },
		{ "nor as SIP URI", NULL, "URI:sip:192.0.2.1", "192.0.2.1", 0,
		    "[cert.ip_mismatch]" },
		{ "names when an address is expected", NULL, "DNS:sip.example",
		    "192.0.2.1", 0, "[cert.ip_mismatch]" },
		{ "an address when a name is expected", NULL, "IP:192.0.2.1",
		    "sip.example", 0, MISS },
		{ "mapped is not the same", NULL, "IP:::ffff:192.0.2.1",
		    "192.0.2.1", 0, "[cert.ip_mismatch]" },
		{ "the second of two", NULL, "IP:192.0.2.2,IP:192.0.2.1",
		    "192.0.2.1", 0, "IP:192.0.2.1" },
	};

	(void)state;
	check_rows(v, LEN(v), TLS_NAME_SIP);
	check_rows(v, LEN(v), TLS_NAME_HTTPS);
}

static void
the_common_name_counts_only_by_option(void **state)
{
	static const struct row v[] = {
		{ "not by default", "sip.example", NULL, "sip.example", 0,
		    "[cert.cn_only]" },
		{ "by option", "sip.example", NULL, "sip.example", CN,
		    "CN:sip.example" },
		{ "another name", "other.example", NULL, "sip.example", CN,
		    MISS },
		{ "never where there is a DNS name", "sip.example",
		    "DNS:other.example", "sip.example", CN, MISS },
		{ "nor a SIP URI", "sip.example", "URI:sip:other.example",
		    "sip.example", CN, MISS },
		{ "nor an address", "sip.example", "IP:192.0.2.1",
		    "sip.example", CN, MISS },
		/* RFC 5922 7.1: only where there is no SAN at all. */
		{ "a URI that names no host is a SAN too", "sip.example",
		    "URI:urn:dev:mac:00156d000001", "sip.example", CN, MISS },
		{ "the last of several", "a.example,sip.example", NULL,
		    "sip.example", CN, "CN:sip.example" },
		{ "not the first", "sip.example,a.example", NULL, "sip.example",
		    CN, MISS },
		{ "no wildcard in it", "*.example.com", NULL, "sip.example.com",
		    CN | WILD, MISS },
		{ "a NUL hides nothing", "sip.example$.evil", NULL,
		    "sip.example", CN, MISS },
		{ "a mail address is a SAN too", "sip.example",
		    "EMAIL:a@b.example", "sip.example", CN, MISS },
	};

	(void)state;
	check_rows(v, LEN(v), TLS_NAME_SIP);
	check_rows(v, LEN(v), TLS_NAME_HTTPS);
}

/* A listener expects nobody by name: it asks for the CN, which is the MAC. */
static void
a_device_is_known_by_the_mac_in_its_cn(void **state)
{
	static const struct {
		const char *why, *cns, *want; /* NULL: none */
	} v[] = {
		{ "a MAC", MAC, MAC },
		{ "the last of two: as the name is read everywhere",
		    "00156d000009," MAC, MAC },
		{ "a NUL does not end it", MAC "$evil", MAC "\\x00evil" },
		{ "nor does a space vanish", MAC " ", MAC " " },
		{ "none", NULL, NULL },
	};
	struct tls_policy p = { .name_rule = TLS_NAME_NONE };
	char cn[64], matched[64] = "";
	X509 *c;

	(void)state;
	for (size_t i = 0; i < LEN(v); i++) {
		print_message("%s\n", v[i].why);
		c = make(v[i].cns, NULL);
		assert_null(tls_peer_check(c, &p, matched, sizeof(matched)));
		assert_string_equal(matched, "");
		assert_int_equal(tls_x509_cn(c, cn, sizeof(cn)),
		    v[i].want != NULL ? 0 : E_PARSE);
		if (v[i].want != NULL)
			assert_string_equal(cn, v[i].want);
		X509_free(c);
	}
}

/* Who may call is asked by name: every name counts, and only whole. */
static void
any_name_of_a_certificate_can_be_asked_for(void **state)
{
#define MANY                                               \
	"DNS:a.x.example,DNS:b.x.example,DNS:c.x.example," \
	"DNS:d.x.example,DNS:e.x.example,DNS:f.x.example," \
	"DNS:g.x.example,DNS:h.x.example"
	static const char label[] =
	    "a-label-of-some-length-that-repeats-itself-to-be-a-long-name."
	    "a-label-of-some-length-that-repeats-itself-to-be-a-long-name."
	    "a-label-of-some-length.example";
	char longest[200];
	const struct {
		const char *why, *cns, *sans, *name;
		bool has;
	} v[] = {
		{ "CN", MAC, NULL, MAC, true },
		{ "its case", "Door", NULL, "dOOR", true },
		{ "a CN of words", "Front Door", NULL, "Front Door", true },
		{ "the last of two", "a,b", NULL, "b", true },
		{ "not the first", "a,b", NULL, "a", false },
		{ "a NUL hides nothing", "a$b", NULL, "a", false },
		{ "part of it", "00156d0000012", NULL, MAC, false },
		{ "DNS", "x", "DNS:a.example", "A.example", true },
		{ "URI", "x", "URI:urn:dev:mac:" MAC, "urn:dev:mac:" MAC,
		    true },
		{ "a SIP domain", "x", "URI:sip:a.example", "a.example", true },
		{ "a SIP user is no domain", "x", "URI:sip:u@a.example",
		    "a.example", false },
		{ "but a URI", "x", "URI:sip:u@a.example", "sip:u@a.example",
		    true },
		{ "an address", "x", "IP:2001:db8::1", "2001:DB8:0::1", true },
		{ "another address", "x", "IP:192.0.2.1", "192.0.2.2", false },
		{ "mail", "x", "EMAIL:a@b.example", "a@b.example", false },
		{ "the ninth", "x", MANY ",DNS:i.x.example", "i.x.example",
		    true },
		{ "a long one", "x", longest, label, true },
		{ "none", NULL, NULL, "a", false },
		{ "an empty name", "x", "DNS:", "", false },
	};
	X509 *c;

	(void)state;
	(void)snprintf(longest, sizeof(longest), "DNS:%s", label);
	for (size_t i = 0; i < LEN(v); i++) {
		print_message("%s\n", v[i].why);
		c = make(v[i].cns, v[i].sans);
		assert_int_equal(tls_peer_has_name(c, v[i].name), v[i].has);
		X509_free(c);
	}
}

static void
addresses_are_told_from_names(void **state)
{
	static const struct {
		const char *name;
		bool is;
	} v[] = {
		{ "192.0.2.1", true },
		{ "::1", true },
		{ "fe80::1%eth0", true },
		{ "fe80::1%", true },
		{ "192.0.2.1%eth0", false },
		{ "a.example", false },
		{ "a%b", false },
		{ "", false },
		{ "%", false },
		{ "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc",
		    false },
	};

	(void)state;
	for (size_t i = 0; i < LEN(v); i++) {
		print_message("%s\n", v[i].name);
		assert_int_equal(tls_name_is_ip(v[i].name), v[i].is);
	}
}

/* What matched goes to logs and pages. */
static void
what_matched_is_escaped_and_bounded(void **state)
{
	struct tls_policy p = { .name_rule = TLS_NAME_SIP };
	char matched[16];
	X509 *c = make(NULL, "URI:sip:example.com;a=\"quoted\"");

	(void)state;
	(void)snprintf(p.name, sizeof(p.name), "example.com");
	assert_null(tls_peer_check(c, &p, matched, sizeof(matched)));
	assert_string_equal(matched, "URI:sip:example");
	X509_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sip_domains_are_found_by_rfc5922),
		cmocka_unit_test(sip_wildcards_count_only_by_option),
		cmocka_unit_test(https_names_follow_rfc9525),
		cmocka_unit_test(addresses_match_by_their_bytes),
		cmocka_unit_test(the_common_name_counts_only_by_option),
		cmocka_unit_test(a_device_is_known_by_the_mac_in_its_cn),
		cmocka_unit_test(any_name_of_a_certificate_can_be_asked_for),
		cmocka_unit_test(addresses_are_told_from_names),
		cmocka_unit_test(what_matched_is_escaped_and_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
