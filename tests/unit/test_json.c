/* SPDX-License-Identifier: ISC */
/* json.c: strict to read, honest about what did not fit into memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include <cmocka.h>

#include "bellbird/json.h"
#include "oom.h"

static void
assert_prints(struct jv *v, const char *want)
{
	struct buf b;

	buf_init(&b, 4096);
	assert_int_equal(jv_print(v, false, &b), 0);
	assert_string_equal(buf_str(&b), want);
	buf_clear(&b);
}

static void
prints_in_insertion_order(void **state)
{
	struct jv *o = jv_obj(), *a = jv_arr();
	struct buf b;

	(void)state;
	jv_set_str(o, "z", "last \"quoted\"");
	jv_set_int(o, "a", INT64_MIN);
	jv_set_num(o, "n", 0.1);
	jv_set_num(o, "nan", NAN);
	jv_set_bool(o, "t", true);
	jv_set_str(o, "null", NULL);
	jv_add(a, jv_int(1));
	jv_add(a, jv_null());
	jv_set(o, "arr", a);
	assert_true(jv_ok(o));
	assert_prints(o,
	    "{\"z\":\"last \\\"quoted\\\"\",\"a\":-9223372036854775808,"
	    "\"n\":0.1,\"nan\":null,\"t\":true,\"null\":null,"
	    "\"arr\":[1,null]}");
	buf_init(&b, 20);
	assert_int_equal(jv_print(o, true, &b), E_LIMIT);
	assert_string_equal(buf_str(&b), "");
	buf_clear(&b);
	jv_free(o);
}

/* Our compact printer writes what jansson's writes, to the byte. */
static void
prints_as_jansson_does(void **state)
{
	static const double reals[] = { 0.0, -0.0, 1.0, -20.0, 0.1, 1e9, -1e9,
		123456789.0, 1e15, 1e16, 1.5e300, 2.5e-7, -1e-10, 1e100, 0.5,
		5e-324, 1.7976931348623157e308 };
	static const char *const texts[] = { "", "\x01\x1f\b\f\n\r\t",
		"\"\\/\x7f", "\xc3\xa9\xe2\x82\xac", "plain", "\n" };
	static const int64_t ints[] = { 0, 9, 10, -1, INT64_MIN, INT64_MAX };
	struct jv *o = jv_obj(), *a = jv_arr();
	char *want;

	(void)state;
	for (size_t i = 0; i < sizeof(reals) / sizeof(reals[0]); i++)
		jv_add(a, jv_num(reals[i]));
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		jv_add(a, jv_str(texts[i]));
		jv_set(o, texts[i], jv_arr());
	}
	for (size_t i = 0; i < sizeof(ints) / sizeof(ints[0]); i++)
		jv_add(a, jv_int(ints[i]));
	jv_set(o, "all", a);
	jv_set(o, "empty", jv_obj());
	jv_set_bool(o, "no", false);
	want = json_dumps((json_t *)o, JSON_COMPACT | JSON_REAL_PRECISION(15));
	assert_non_null(want);
	assert_prints(o, want);
	free(want);
	jv_free(o);
}

static void
members_go_into_an_object_that_is_begun(void **state)
{
	static const char *const without[] = { "seq", "time", NULL };
	struct jv *o = jv_obj();
	struct buf b;

	(void)state;
	jv_set_int(o, "seq", 1);
	jv_set_int(o, "a", 2);
	jv_set_int(o, "time", 3);
	jv_set_int(o, "b", 4);
	buf_init(&b, 40);
	buf_puts(&b, "{");
	assert_int_equal(jv_print_members(o, without, &b), 0);
	assert_string_equal(buf_str(&b), "{\"a\":2,\"b\":4");
	assert_int_equal(jv_print_members(o, NULL, &b), E_LIMIT);
	buf_reset(&b);
	buf_puts(&b, "{\"x\":0");
	assert_int_equal(jv_print_members(o, without, &b), 0);
	assert_string_equal(buf_str(&b), "{\"x\":0,\"a\":2,\"b\":4");
	jv_set(o, "lost", NULL);
	buf_reset(&b);
	assert_int_equal(jv_print_members(o, without, &b), ENOMEM);
	buf_clear(&b);
	jv_free(o);
}

static void
bad_utf8_is_escaped(void **state)
{
	struct jv *o = jv_obj();

	(void)state;
	jv_set_str(o, "k\xff", "a\xff\xc3\xa9\xe2\x82z");
	assert_prints(o, "{\"k\\\\xff\":\"a\\\\xff\xc3\xa9\\\\xe2\\\\x82z\"}");
	jv_free(o);
}

static void
reads_strictly(void **state)
{
	static const struct {
		const char *why, *text;
		int want;
	} v[] = {
		{ "object", "{\"a\":1}", 0 },
		{ "scalar", "true", 0 },
		{ "brackets in a string", "[\"[[\\\"[[\"]", 0 },
		{ "duplicate key", "{\"a\":1,\"a\":2}", E_PARSE },
		{ "trailing junk", "{} x", E_PARSE },
		{ "trailing comma", "[1,]", E_PARSE },
		{ "unterminated", "{\"a\":1", E_PARSE },
		{ "bad UTF-8", "\"\xff\"", E_PARSE },
		{ "NUL in a string", "\"\\u0000\"", E_PARSE },
		{ "2^63", "9223372036854775808", E_PARSE },
		{ "1e999", "1e999", E_PARSE },
		{ "leading zero", "01", E_PARSE },
		{ "empty", "", E_PARSE },
		{ "comment", "/* */ 1", E_PARSE },
	};
	char deep[80], why[200];
	struct jv *j;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		print_message("%s\n", v[i].why);
		j = NULL;
		why[0] = '\0';
		assert_int_equal(jv_parse(&j, v[i].text, strlen(v[i].text), why,
				     sizeof(why)),
		    v[i].want);
		assert_int_equal(j != NULL, v[i].want == 0);
		assert_int_equal(why[0] != '\0', v[i].want != 0);
		jv_free(j);
	}
	memset(deep, '[', 33);
	memset(deep + 33, ']', 33);
	assert_int_equal(jv_parse(&j, deep, 66, why, sizeof(why)), E_PARSE);
	assert_string_equal(why, "nested deeper than 32");
	assert_int_equal(jv_parse(&j, deep + 1, 64, why, sizeof(why)), 0);
	jv_free(j);
}

static void
parse_errors_are_printable(void **state)
{
	static const char text[] = "{\"a\": \033[31m}";
	char why[200];
	struct jv *j;

	(void)state;
	assert_int_equal(
	    jv_parse(&j, text, strlen(text), why, sizeof(why)), E_PARSE);
	assert_null(strchr(why, '\033'));
	assert_non_null(strstr(why, "line 1 column"));
}

static unsigned int seen;

static void
each(const char *key, struct jv *v, void *arg)
{
	(void)arg;
	assert_int_equal(key[0], "ibsa"[seen]);
	assert_non_null(v);
	seen++;
}

static void
getters_judge_types(void **state)
{
	static const char text[] =
	    "{\"i\":7,\"b\":true,\"s\":\"x\",\"a\":[1,2.5]}";
	struct jv *j, *copy;
	char why[100];

	(void)state;
	assert_int_equal(jv_parse(&j, text, strlen(text), why, sizeof(why)), 0);
	assert_int_equal(jv_get_int(j, "i", 1), 7);
	assert_int_equal(jv_get_int(j, "s", 1), 1);
	assert_int_equal(jv_get_int(j, "none", 1), 1);
	assert_true(jv_get_num(j, "i", 0) == 7.0);
	assert_true(jv_get_bool(j, "b", false));
	assert_false(jv_get_bool(j, "i", false));
	assert_string_equal(jv_get_str(j, "s"), "x");
	assert_null(jv_get_str(j, "i"));
	assert_int_equal(jv_len(jv_get(j, "a")), 2);
	assert_int_equal(jv_len(j), 4);
	assert_int_equal(jv_as_int(jv_at(jv_get(j, "a"), 0), 0), 1);
	assert_null(jv_at(jv_get(j, "a"), 2));
	assert_null(jv_get(NULL, "x"));
	assert_false(jv_is_obj(NULL));
	assert_true(jv_is_arr(jv_get(j, "a")));
	jv_each(j, each, NULL);
	assert_int_equal(seen, 4);
	copy = jv_copy(j);
	jv_free(j);
	assert_prints(copy, "{\"i\":7,\"b\":true,\"s\":\"x\",\"a\":[1,2.5]}");
	j = jv_ref(copy);
	jv_free(copy);
	assert_int_equal(jv_len(j), 4);
	jv_free(j);
}

static void
a_lost_member_is_never_printed_as_absent(void **state)
{
	struct jv *o = jv_obj(), *a = jv_arr(), *n = jv_obj();
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	jv_add(a, NULL); /* what a constructor gives when out of memory */
	jv_set(o, "list", a);
	assert_false(jv_ok(o));
	assert_int_equal(jv_print(o, false, &b), ENOMEM);
	assert_int_equal(b.n, 0);
	jv_set(n, "x", NULL);
	assert_false(jv_ok(n));
	jv_set(NULL, "x", jv_int(1));
	assert_false(jv_ok(NULL));
	jv_free(n);
	jv_free(o);
	o = jv_obj();
	assert_int_equal(jv_print(o, false, &b), 0); /* nothing lingers */
	jv_free(o);
	buf_clear(&b);
}

static int
compose(void *arg)
{
	struct jv *o = jv_obj(), *a = jv_arr(), *copy;
	struct buf b;
	int err;

	(void)arg;
	buf_init(&b, 4096);
	for (int i = 0; i < 20; i++)
		jv_add(a, jv_int(i));
	jv_set_str(o, "bad", "\xff");
	jv_set_str(o, "good", "text");
	jv_set(o, "list", a);
	for (int i = 0; i < 10; i++)
		jv_set_int(o, (char[]){ (char)('a' + i), '\0' }, i);
	copy = jv_copy(o);
	err = jv_print(copy, false, &b);
	if (err == 0 && (jv_len(copy) != 13 || b.n < 100))
		err = EPROTO;
	jv_free(copy);
	jv_free(o);
	buf_clear(&b);
	return err;
}

static int
parse(void *arg)
{
	static const char text[] =
	    "{\"a\":[1,2,{\"b\":\"cccccccccccccccccccc\"}]}";
	struct jv *j;
	char why[100];
	int err;

	(void)arg;
	err = jv_parse(&j, text, strlen(text), why, sizeof(why));
	if (err == 0)
		jv_free(j);
	return err;
}

/* jansson's own allocations fail as well. */
static void
survives_every_oom(void **state)
{
	(void)state;
	json_set_alloc_funcs(malloc, free);
	assert_true(oom_each(compose, NULL) > 30);
	assert_true(oom_each(parse, NULL) > 5);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prints_in_insertion_order),
		cmocka_unit_test(prints_as_jansson_does),
		cmocka_unit_test(members_go_into_an_object_that_is_begun),
		cmocka_unit_test(bad_utf8_is_escaped),
		cmocka_unit_test(reads_strictly),
		cmocka_unit_test(parse_errors_are_printable),
		cmocka_unit_test(getters_judge_types),
		cmocka_unit_test(a_lost_member_is_never_printed_as_absent),
		cmocka_unit_test(survives_every_oom),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
