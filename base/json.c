/* SPDX-License-Identifier: ISC */
/* JSON values on jansson: lenient to compose, strict to read.
 * A member lost to lack of memory is never printed as if it were absent. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "bellbird/json.h"
#include "bellbird/log.h"
#include "bellbird/str.h"
#include "internal.h"

enum {
	DEPTH_MAX = 32,     /* no message of ours nests deeper than 6 */
	TEXT_MAX = 16777216 /* a string that has to be escaped; 16 MiB */
};

/* Stands where a member should be that did not fit into memory.  Like
 * jansson's own null it is never counted; we know it by its address. */
static json_t lost = { JSON_NULL, (size_t)-1 };
/* Even the mark did not fit: the next print fails, whatever it prints. */
static bool lost_mark;

/* Our view of a jansson value and back. */
static struct jv *
from_json(json_t *j)
{
	return (struct jv *)j;
}

static json_t *
to_json(const struct jv *v)
{
	/* jansson's iterators have no const; those used here do not write. */
	return (json_t *)(uintptr_t)v;
}

/* Returns a copy of `s` with what is not UTF-8 escaped, NULL if none is. */
static int
utf8_clean(const char *s, char **out)
{
	size_t n = strlen(s), len;
	struct buf b;
	uint32_t cp;
	size_t i = 0;

	*out = NULL;
	while (i < n &&
	    ((unsigned char)s[i] < 0x80
		    ? (len = 1)
		    : (len = str_utf8(s + i, n - i, &cp))) > 0)
		i += len;
	if (i == n)
		return 0;
	buf_init(&b, TEXT_MAX);
	for (i = 0; i < n; i += len) {
		len = str_utf8(s + i, n - i, &cp);
		if (len > 0) {
			buf_add(&b, s + i, len);
		} else {
			buf_printf(&b, "\\x%02x", (unsigned char)s[i]);
			len = 1;
		}
	}
	*out = buf_take(&b);
	return *out != NULL ? 0 : ENOMEM;
}

struct jv *
jv_obj(void)
{
	return from_json(json_object());
}

struct jv *
jv_arr(void)
{
	return from_json(json_array());
}

struct jv *
jv_str(const char *s)
{
	char *clean;
	json_t *j;

	if (s == NULL)
		return jv_null();
	if (utf8_clean(s, &clean) != 0)
		return NULL;
	j = json_string_nocheck(clean != NULL ? clean : s);
	free(clean);
	return from_json(j);
}

struct jv *
jv_int(int64_t n)
{
	return from_json(json_integer(n));
}

struct jv *
jv_num(double d)
{
	return isfinite(d) ? from_json(json_real(d)) : jv_null();
}

struct jv *
jv_bool(bool b)
{
	return from_json(json_boolean(b));
}

struct jv *
jv_null(void)
{
	return from_json(json_null());
}

struct jv *
jv_ref(struct jv *v)
{
	return from_json(json_incref(to_json(v)));
}

void
jv_free(struct jv *v)
{
	json_decref(to_json(v));
}

struct jv *
jv_copy(const struct jv *v)
{
	return from_json(json_deep_copy(to_json(v)));
}

/* Stores `j` (taken) under a key that may hold any bytes. */
static int
obj_set(json_t *obj, const char *key, json_t *j)
{
	char *clean;
	int err;

	if (utf8_clean(key, &clean) != 0) {
		json_decref(j);
		return ENOMEM;
	}
	/* Clean is what jansson would look for once more. */
	err = json_object_set_new_nocheck(obj, clean != NULL ? clean : key, j);
	free(clean);
	return err != 0 ? ENOMEM : 0;
}

void
jv_set(struct jv *obj, const char *key, struct jv *v)
{
	json_t *o = to_json(obj);

	if (o == NULL) {
		jv_free(v);
		return;
	}
	if (v != NULL && obj_set(o, key, to_json(v)) == 0)
		return;
	/* Emptied, it has room for the mark that it is not whole. */
	if (json_object_set_new(o, "lost", &lost) != 0) {
		json_object_clear(o);
		if (json_object_set_new(o, "lost", &lost) != 0)
			lost_mark = true;
	}
}

void
jv_add(struct jv *arr, struct jv *v)
{
	json_t *a = to_json(arr);

	if (a == NULL) {
		jv_free(v);
		return;
	}
	if (v != NULL && json_array_append_new(a, to_json(v)) == 0)
		return;
	if (json_array_append_new(a, &lost) == 0)
		return;
	/* An array keeps its room when a member makes way for the mark. */
	if (json_array_size(a) == 0 || json_array_set_new(a, 0, &lost) != 0)
		lost_mark = true;
}

void
jv_set_str(struct jv *obj, const char *key, const char *s)
{
	jv_set(obj, key, jv_str(s));
}

void
jv_set_int(struct jv *obj, const char *key, int64_t n)
{
	jv_set(obj, key, jv_int(n));
}

void
jv_set_num(struct jv *obj, const char *key, double d)
{
	jv_set(obj, key, jv_num(d));
}

void
jv_set_bool(struct jv *obj, const char *key, bool b)
{
	jv_set(obj, key, jv_bool(b));
}

/* True if nothing below `j` was lost. */
static bool
is_whole(json_t *j)
{
	const char *key;
	json_t *v;
	size_t i;

	if (j == NULL || j == &lost)
		return false;
	json_object_foreach(j, key, v)
	{
		if (!is_whole(v))
			return false;
	}
	json_array_foreach(j, i, v)
	{
		if (!is_whole(v))
			return false;
	}
	return true;
}

bool
jv_ok(const struct jv *v)
{
	bool ok = !lost_mark && is_whole(to_json(v));

	lost_mark = false;
	return ok;
}

struct jv *
jv_get(const struct jv *obj, const char *key)
{
	return from_json(json_object_get(to_json(obj), key));
}

const char *
jv_get_str(const struct jv *obj, const char *key)
{
	return jv_as_str(jv_get(obj, key));
}

int64_t
jv_get_int(const struct jv *obj, const char *key, int64_t dflt)
{
	return jv_as_int(jv_get(obj, key), dflt);
}

double
jv_get_num(const struct jv *obj, const char *key, double dflt)
{
	json_t *j = to_json(jv_get(obj, key));

	return json_is_number(j) ? json_number_value(j) : dflt;
}

bool
jv_get_bool(const struct jv *obj, const char *key, bool dflt)
{
	return jv_as_bool(jv_get(obj, key), dflt);
}

bool
jv_as_bool(const struct jv *v, bool dflt)
{
	json_t *j = to_json(v);

	return json_is_boolean(j) ? json_is_true(j) : dflt;
}

size_t
jv_len(const struct jv *arr_or_obj)
{
	json_t *j = to_json(arr_or_obj);

	return json_is_array(j) ? json_array_size(j) : json_object_size(j);
}

struct jv *
jv_at(const struct jv *arr, size_t i)
{
	return from_json(json_array_get(to_json(arr), i));
}

bool
jv_is_obj(const struct jv *v)
{
	return json_is_object(to_json(v));
}

bool
jv_is_arr(const struct jv *v)
{
	return json_is_array(to_json(v));
}

const char *
jv_as_str(const struct jv *v)
{
	return json_string_value(to_json(v));
}

int64_t
jv_as_int(const struct jv *v, int64_t dflt)
{
	json_t *j = to_json(v);

	return json_is_integer(j) ? json_integer_value(j) : dflt;
}

void
jv_each(const struct jv *obj, jv_each_cb *cb, void *arg)
{
	json_t *j = to_json(obj), *v;
	const char *key;

	json_object_foreach(j, key, v)
	{
		cb(key, from_json(v), arg);
	}
}

/* True if brackets nest deeper than we read; jansson's own limit is 2048. */
static bool
is_too_deep(const char *p, size_t n)
{
	bool in_string = false;
	unsigned int depth = 0;

	for (size_t i = 0; i < n; i++) {
		if (in_string) {
			if (p[i] == '\\')
				i++;
			else if (p[i] == '"')
				in_string = false;
		} else if (p[i] == '"') {
			in_string = true;
		} else if (p[i] == '[' || p[i] == '{') {
			if (++depth > DEPTH_MAX)
				return true;
		} else if ((p[i] == ']' || p[i] == '}') && depth > 0) {
			depth--;
		}
	}
	return false;
}

/* jansson takes some failed allocations for errors of the text. */
static bool starved;

/* jansson's malloc() from the first parse on. */
static void *
parse_alloc(size_t n)
{
	void *p = malloc(n);

	if (p == NULL)
		starved = true;
	return p;
}

int
jv_parse(struct jv **out, const char *p, size_t n, char *why, size_t why_size)
{
	json_error_t e;
	json_t *j;

	json_set_alloc_funcs(parse_alloc, free);
	starved = false;
	if (is_too_deep(p, n)) {
		snprintf(why, why_size, "nested deeper than %d", DEPTH_MAX);
		return E_PARSE;
	}
	j = json_loadb(p, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
	if (j == NULL) {
		if (starved)
			return ENOMEM;
		snprintf(why, why_size, "line %d column %d: %s", e.line,
		    e.column, esc(e.text));
		return E_PARSE;
	}
	*out = from_json(j);
	return 0;
}

/* jansson hands over a piece of text. */
static int
on_text(const char *p, size_t n, void *arg)
{
	return buf_add(arg, p, n) == 0 ? 0 : -1;
}

/* Compact text: our own printer, which looks for what was lost as it goes. */
static int
compact_print(const struct jv *v, struct buf *b)
{
	size_t before = b->n;
	int err = lost_mark ? ENOMEM : b->err;

	lost_mark = false;
	if (err == 0)
		err = json_text_put(b, to_json(v), &lost);
	if (err != 0)
		buf_cut(b, before);
	return err;
}

int
jv_print(const struct jv *v, bool indent, struct buf *b)
{
	size_t flags = JSON_ENCODE_ANY | JSON_REAL_PRECISION(JSON_TEXT_DIGITS);
	size_t before = b->n;

	if (!indent)
		return compact_print(v, b);
	if (!jv_ok(v))
		return ENOMEM;
	if (json_dump_callback(
		to_json(v), on_text, b, flags | JSON_INDENT(2)) == 0)
		return 0;
	buf_cut(b, before);
	return b->err != 0 ? b->err : ENOMEM;
}

int
jv_print_members(
    const struct jv *obj, const char *const *without, struct buf *b)
{
	int err = lost_mark ? ENOMEM : b->err;

	lost_mark = false;
	return err == 0 ? json_text_members(b, to_json(obj), &lost, without)
			: err;
}
