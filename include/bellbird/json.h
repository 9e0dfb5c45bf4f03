/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_JSON_H
#define BELLBIRD_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bellbird/buf.h"

/*
 * A JSON value (jansson inside; the prefix is jv_ since json_ is jansson's).
 * Values are counted: jv_free drops one reference.  The setters *take* `v`
 * and accept NULL (out of memory further down), which makes the container
 * answer jv_ok() == false; so a composer checks once.
 */
struct jv;

/*
 * Constructors; NULL when out of memory.  jv_str gives null for NULL and
 * escapes bytes that are not UTF-8 as esc() does; jv_num gives null for what
 * is not finite.
 */
struct jv *jv_obj(void);
struct jv *jv_arr(void);
struct jv *jv_str(const char *s);
struct jv *jv_int(int64_t n);
struct jv *jv_num(double d);
struct jv *jv_bool(bool b);
struct jv *jv_null(void);
/* jv_ref returns `v` with one more reference, jv_copy a deep copy. */
struct jv *jv_ref(struct jv *v);
struct jv *jv_copy(const struct jv *v);
/* jv_free drops a reference; NULL is allowed. */
void jv_free(struct jv *v);

/* jv_set stores `v` under `key`, in place of an older value; jv_add appends.
 * Both take `v`.  The others make the value themselves. */
void jv_set(struct jv *obj, const char *key, struct jv *v);
void jv_add(struct jv *arr, struct jv *v);
void jv_set_str(struct jv *obj, const char *key, const char *s);
void jv_set_int(struct jv *obj, const char *key, int64_t n);
void jv_set_num(struct jv *obj, const char *key, double d);
void jv_set_bool(struct jv *obj, const char *key, bool b);

/* jv_ok: false if `v` is NULL or a member anywhere below it was lost to lack
 * of memory.  jv_print asks it itself and then returns ENOMEM. */
bool jv_ok(const struct jv *v);

/* Getters borrow; a missing key or a wrong type gives NULL, or `dflt`. */
struct jv *jv_get(const struct jv *obj, const char *key);
const char *jv_get_str(const struct jv *obj, const char *key);
int64_t jv_get_int(const struct jv *obj, const char *key, int64_t dflt);
double jv_get_num(const struct jv *obj, const char *key, double dflt);
bool jv_get_bool(const struct jv *obj, const char *key, bool dflt);
size_t jv_len(const struct jv *arr_or_obj);
struct jv *jv_at(const struct jv *arr, size_t i);
bool jv_is_obj(const struct jv *v);
bool jv_is_arr(const struct jv *v);
const char *jv_as_str(const struct jv *v);
int64_t jv_as_int(const struct jv *v, int64_t dflt);
bool jv_as_bool(const struct jv *v, bool dflt);
/* jv_each calls `cb` for each key of an object, in insertion order. */
typedef void(jv_each_cb)(const char *key, struct jv *v, void *arg);
void jv_each(const struct jv *obj, jv_each_cb *cb, void *arg);

/* jv_parse reads one value (at most `n` bytes, 32 levels deep, duplicate keys
 * refused); E_PARSE with a printable sentence in `why`, or ENOMEM. */
MUST_CHECK int jv_parse(
    struct jv **out, const char *p, size_t n, char *why, size_t why_size);
/* jv_print appends compact text (or indented by 2) to `b`: all or nothing;
 * ENOMEM, also if a member was lost, or E_LIMIT. */
MUST_CHECK int jv_print(const struct jv *v, bool indent, struct buf *b);
/* jv_print_members appends the members of an object without its braces, and
 * without those whose keys are in `without` (NULL at its end); a comma in front
 * unless `b` ends with an opening brace.  ENOMEM or E_LIMIT, as jv_print; what
 * was appended until then stays. */
MUST_CHECK int jv_print_members(
    const struct jv *obj, const char *const *without, struct buf *b);

#endif
