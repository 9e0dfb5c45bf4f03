/* SPDX-License-Identifier: ISC */
/*
 * The file grammar: what is taken, what is refused, and where it says so.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bellbird/prov_conf.h"
#include "oom.h"

/* What the parser delivered: "line key=value;" for each setting. */
struct got {
	char text[2048];
};

static void
on_setting(const struct prov_key *k, const char *name, const char *value,
    unsigned int line, void *arg)
{
	struct got *g = arg;
	size_t n = strlen(g->text);

	(void)k;
	snprintf(
	    g->text + n, sizeof(g->text) - n, "%u %s=%s;", line, name, value);
}

enum { STRICT = 1, PROVISIONED = 2, LENIENT = 4 };

/* parse runs the parser with the flags above. */
static int
parse(struct slice text, int flags, struct prov_problems *pr, struct got *g)
{
	struct prov_conf_opts o = {
		.file = "test.conf",
		.strict = flags & STRICT,
		.provisioned = flags & PROVISIONED,
		.lenient = flags & LENIENT,
	};

	g->text[0] = '\0';
	return prov_conf_parse(text, &o, pr, on_setting, g);
}

#define P PROVISIONED

static const struct {
	const char *why, *text;
	int flags, want;
	const char *got;           /* settings delivered */
	unsigned int line, column; /* of the first problem */
	const char *problem;       /* part of it; NULL: none */
} files[] = {
	{ "good", "sip.proxy = a.example\nsip.regexp=60\n", P, 0,
	    "1 sip.proxy=a.example;2 sip.regexp=60;", 0, 0, NULL },
	{ "CRLF", "# x\r\nsip.proxy = a.example\r\n", P, 0,
	    "2 sip.proxy=a.example;", 0, 0, NULL },
	{ "BOM", "\xef\xbb\xbfsip.proxy = a\n", P, 0, "1 sip.proxy=a;", 0, 0,
	    NULL },
	{ "no newline at the end", "sip.proxy=a", P, 0, "1 sip.proxy=a;", 0, 0,
	    NULL },
	{ "spaces", "  \t sip.proxy\t=  a  \n\n \t\n", P, 0, "1 sip.proxy=a;",
	    0, 0, NULL },
	{ "indented comment", "  # sip.proxy = b\nsip.proxy=a\n", P, 0,
	    "2 sip.proxy=a;", 0, 0, NULL },
	{ "# after a value is value", "sip.u1.pwd = a # b\n", P, 0,
	    "1 sip.u1.pwd=a # b;", 0, 0, NULL },
	{ "= in a value", "sip.u1.pwd = a=b=\n", P, 0, "1 sip.u1.pwd=a=b=;", 0,
	    0, NULL },
	{ "trailing comma", "audio.codecs = pcmu,opus,\n", P, 0,
	    "1 audio.codecs=pcmu,opus;", 0, 0, NULL },
	{ "empty value", "sip.obproxy =\n", P, 0, "1 sip.obproxy=;", 0, 0,
	    NULL },
	{ "empty sip.srtp", "sip.srtp =\n", P, 0, "1 sip.srtp=disabled;", 0, 0,
	    NULL },
	{ "alias", "prov.download.cert = 1\n", P, 0, "1 prov.tls.verify=1;", 0,
	    0, NULL },
	{ "macro", "sip.u1.dname = x-$MAC$\n", P, 0, "1 sip.u1.dname=x-$MAC$;",
	    0, 0, NULL },
	{ "unknown key warns", "sip.proxy=a\n sip.prxoy = b\n", P, 0,
	    "1 sip.proxy=a;", 2, 2,
	    "unknown key sip.prxoy, did you mean sip.proxy?" },
	{ "unknown key, strict", "sip.prxoy = b\n", STRICT, E_PROV_CONF, "", 1,
	    1, "did you mean sip.proxy?" },
	{ "duplicate warns, the later counts", "sip.proxy=a\nsip.proxy=b\n", P,
	    0, "1 sip.proxy=a;2 sip.proxy=b;", 2, 1,
	    "sip.proxy was set in line 1 already" },
	{ "duplicate by alias", "prov.tls.verify=1\nprov.download.cert=1\n",
	    STRICT, E_PROV_CONF, "1 prov.tls.verify=1;", 2, 1, "line 1" },
	{ "other index is no duplicate",
	    "sip.alert1.zone=a\nsip.alert2.zone=a\n", STRICT, 0,
	    "1 sip.alert1.zone=a;2 sip.alert2.zone=a;", 1, 1,
	    "without effect in this version (2 keys)" },
	{ "bad value", "#\nsip.transp = \"sctp\"\n", P, E_PROV_CONF, "", 2, 14,
	    "\\x22sctp\\x22\" for sip.transp is not permitted "
	    "(permitted: tls|tcp|udp|auto)" },
	{ "bad value, lenient", "sip.transp = x\nsip.proxy=a\n", P | LENIENT, 0,
	    "2 sip.proxy=a;", 1, 14, "left out" },
	{ "bad value where the range is a guess",
	    "sip.regexp = 1\nsip.proxy=a\n", P, 0, "2 sip.proxy=a;", 1, 14,
	    "left out" },
	{ "bad value after macro", "sip.regexp = $MAC$\n", P, 0, "", 1, 14,
	    "not a whole number" },
	{ "no =", "sip.proxy=a\n  sip.proxy a\n", P, E_PROV_CONF,
	    "1 sip.proxy=a;", 2, 3, "expected \"key = value\"" },
	{ "no key", "sip.proxy=a\n = b\n", P, E_PROV_CONF, "1 sip.proxy=a;", 2,
	    2, "no key" },
	{ "bad key", "sip.proxy=a\nsip proxy = b\n", P, E_PROV_CONF,
	    "1 sip.proxy=a;", 2, 4, "cannot be part of a key" },
	{ "local key in a provisioned file", "prov.weaken = 1\n", P, 0,
	    "1 prov.weaken=1;", 1, 1, "can only be set locally" },
	{ "hardware we lack", "io.relayout = 0\nsip.proxy=a\n", P, 0,
	    "1 io.relayout=0;2 sip.proxy=a;", 1, 1,
	    "not applicable here (1 key): io.relayout" },
	{ "comments only, local", "# nothing\n", STRICT, 0, "", 0, 0, NULL },
	{ "empty, local", "", STRICT, 0, "", 0, 0, NULL },
	{ "comments only, provisioned", "# nothing\n", P, E_PROV_NOT_CONF, "",
	    0, 0, "no line of it" },
	{ "empty, provisioned", "", P, E_PROV_NOT_CONF, "", 0, 0, "(0 bytes)" },
	{ "HTML", "\n<!DOCTYPE html>\n<html></html>\n", P, E_PROV_NOT_CONF, "",
	    0, 0, "an HTML page (31 bytes" },
	{ "XML", "<?xml version=\"1.0\"?>", P, E_PROV_NOT_CONF, "", 0, 0,
	    "XML (21 bytes" },
	{ "JSON", "{\"sip.proxy\": \"a\"}", P, E_PROV_NOT_CONF, "", 0, 0,
	    "JSON (18 bytes" },
	{ "PEM", "-----BEGIN CERTIFICATE-----\n", P, E_PROV_NOT_CONF, "", 0, 0,
	    "PEM" },
	{ "UTF-16 with a mark", "\xff\xfes", P, E_PROV_NOT_CONF, "", 0, 0,
	    "UTF-16" },
	{ "control character", "sip.proxy=a\nsip\x01proxy=b\n", P,
	    E_PROV_NOT_CONF, "", 2, 4,
	    "binary data (24 bytes, byte 16 is 0x01)" },
	{ "gzip", "\x1f\x8b\x08", P, E_PROV_NOT_CONF, "", 0, 0, "gzip" },
	{ "prose", "Not found\n", P, E_PROV_NOT_CONF, "", 1, 1, "expected" },
};

static void
reads_files_and_places_problems(void **state)
{
	struct prov_problems pr = { 0 };
	struct got g;
	int err;

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		err = parse(slice_of(files[i].text), files[i].flags, &pr, &g);
		if (err != files[i].want)
			fail_msg("%s: got %d: %s", files[i].why, err,
			    pr.n > 0 ? pr.v[0].text : "no problem");
		if (strcmp(g.text, files[i].got) != 0)
			fail_msg("%s: delivered %s", files[i].why, g.text);
		if ((pr.n > 0) != (files[i].problem != NULL))
			fail_msg("%s: %zu problems: %s", files[i].why, pr.n,
			    pr.n > 0 ? pr.v[0].text : "");
		if (pr.n > 0 &&
		    (pr.v[0].line != files[i].line ||
			pr.v[0].column != files[i].column ||
			strstr(pr.v[0].text, files[i].problem) == NULL ||
			strcmp(pr.v[0].file, "test.conf") != 0))
			fail_msg("%s: %u:%u %s", files[i].why, pr.v[0].line,
			    pr.v[0].column, pr.v[0].text);
		prov_problems_clear(&pr);
	}
}

/* Slips that put a password where the parser does not expect it. */
static void
never_shows_what_may_be_a_password(void **state)
{
	static const struct {
		const char *text, *shown; /* NULL: nothing but the position */
	} v[] = {
		{ "sip.u1.pwd: hunter2\n", "sip.u1.pwd" },
		{ "sip.u1.pwd hunter2\n", "sip.u1.pwd" },
		{ "sip.u1.pwd: hunter2=\n", "sip.u1.pwd" },
		{ "sip.u1.pwd: hunter2 = x\n", "sip.u1.pwd" },
		{ "sip.u1.pwd =\nhunter2\n", NULL },
		{ "hunter2 and more\n", NULL },
		{ "hunter2! = x\n", NULL },
		{ "\"sip.u1.pwd\": \"hunter2\"\n", NULL },
		{ "sip.regexp = 5060 sip.u1.pwd=hunter2\n", "sip.regexp" },
		{ "sip.transp = tls;prov.auth.pwd:hunter2\n", "sip.transp" },
		{ "audio.codecs = pcmu sip.u1.pwd=hunter2,x\n",
		    "audio.codecs" },
		{ "prov.server.static = https://bob:hunter2@a.example/\n",
		    "prov.server.static" },
		{ "prov.server.static = bob:hunter2@a.example\n",
		    "prov.server.static" },
		{ "sip.u1.pwd = x\nsip.u1.pwd = hunter2\n", "sip.u1.pwd" },
		{ "{\"pwd\":\"hunter2\"}\n", "JSON" },
		{ "[hunter2]\n", "INI" },
		{ "<p>hunter2</p>\n", "HTML" },
	};
	struct prov_problems pr = { 0 };
	struct got g;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		(void)parse(slice_of(v[i].text), P, &pr, &g);
		if (pr.n == 0)
			fail_msg("%s: no problem", v[i].text);
		for (size_t k = 0; k < pr.n; k++)
			if (strstr(pr.v[k].text, "unter2") != NULL)
				fail_msg("%s: %s", v[i].text, pr.v[k].text);
		if (v[i].shown != NULL &&
		    strstr(pr.v[0].text, v[i].shown) == NULL)
			fail_msg("%s: %s", v[i].text, pr.v[0].text);
		prov_problems_clear(&pr);
	}
}

static void
tells_binary_bodies(void **state)
{
	static const char wide[] = "s\0i\0p\0.\0p\0r\0";
	static const char nul[] = "sip.proxy = a\nsip.u1.pwd = a\0b\n";
	struct prov_problems pr = { 0 };
	struct got g;

	(void)state;
	assert_int_equal(
	    parse((struct slice){ wide, sizeof(wide) - 1 }, P, &pr, &g),
	    E_PROV_NOT_CONF);
	assert_non_null(strstr(pr.v[0].text, "UTF-16"));
	prov_problems_clear(&pr);
	assert_int_equal(
	    parse((struct slice){ nul, sizeof(nul) - 1 }, P, &pr, &g),
	    E_PROV_NOT_CONF);
	assert_int_equal(pr.v[0].line, 2);
	assert_int_equal(pr.v[0].column, 15);
	assert_string_equal(g.text, "");
	prov_problems_clear(&pr);
}

/* refuses parses `n` bytes of which every `every`-th is a newline. */
static void
refuses(size_t n, size_t every, unsigned int line, const char *text)
{
	struct prov_problems pr = { 0 };
	struct got g;
	char *p = malloc(n);

	assert_non_null(p);
	memset(p, '#', n);
	for (size_t i = every; i < n; i += every)
		p[i] = '\n';
	assert_int_equal(parse((struct slice){ p, n }, P, &pr, &g), E_LIMIT);
	assert_int_equal(pr.v[0].line, line);
	assert_non_null(strstr(pr.v[0].text, text));
	prov_problems_clear(&pr);
	free(p);
}

static void
refuses_what_is_too_large(void **state)
{
	(void)state;
	refuses(10 << 20, 80, 0, "10485760 bytes");
	refuses((1 << 20) + 1, 80, 0, "1048577 bytes");
	refuses(40002, 2, 20001, "20000 lines");
	refuses(9000, 8200, 1, "8200 bytes (at most 8192)");
}

/* Hostile files must not cost more than they weigh. */
static void
bounds_the_list_of_problems(void **state)
{
	struct prov_problems pr = { 0 };
	struct got g;
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	buf_puts(&b, "sip.proxy = a\n");
	for (int i = 0; i < 15000; i++)
		buf_printf(&b, "sip.prx%d = 1\n", i);
	assert_int_equal(
	    parse((struct slice){ buf_str(&b), b.n }, P, &pr, &g), 0);
	assert_int_equal(pr.n, 100);
	assert_int_equal(pr.dropped, 14900);
	prov_problems_clear(&pr);
	buf_clear(&b);
}

static void
replaces_the_macro_when_it_is_known(void **state)
{
	struct prov_conf_opts o = { .file = "f", .mac = "0022ee112233" };
	struct prov_problems pr = { 0 };
	struct got g = { "" };

	(void)state;
	assert_int_equal(
	    prov_conf_parse(slice_of("sip.proxy = $MAC$.example:5061\n"), &o,
		&pr, on_setting, &g),
	    0);
	assert_string_equal(g.text, "1 sip.proxy=0022ee112233.example:5061;");
}

static int
parse_once(void *arg)
{
	struct prov_problems pr = { 0 };
	struct got g;
	int err;

	(void)arg;
	err = parse(slice_of("sip.proxy = a\nfoo = b\n"), P, &pr, &g);
	prov_problems_clear(&pr);
	return err;
}

static void
survives_every_oom(void **state)
{
	(void)state;
	assert_true(oom_each(parse_once, NULL) >= 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_files_and_places_problems),
		cmocka_unit_test(never_shows_what_may_be_a_password),
		cmocka_unit_test(tells_binary_bodies),
		cmocka_unit_test(refuses_what_is_too_large),
		cmocka_unit_test(bounds_the_list_of_problems),
		cmocka_unit_test(replaces_the_macro_when_it_is_known),
		cmocka_unit_test(survives_every_oom),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
