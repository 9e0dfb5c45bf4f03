/* SPDX-License-Identifier: ISC */
/* JSON as compact text.  jansson's own printer hands over each comma by itself
 * and formats numbers by printf: an event costs it more than a whole call costs
 * the rest of us.  The text is the same to the byte. */
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "internal.h"

/* Digits of the largest 64-bit number, its sign. */
enum { INT_TEXT_MAX = 21 };

/* Appends one character in its escaped form. */
static int
special_put(struct buf *b, unsigned char c)
{
	static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
	const char *at = memchr(from, c, sizeof(from) - 1);
	char text[8];
	int n;

	if (at != NULL) {
		text[0] = '\\';
		text[1] = to[at - from];
		return buf_add(b, text, 2);
	}
	n = snprintf(text, sizeof(text), "\\u%04X", c);
	return buf_add(b, text, (size_t)n);
}

/* Appends a string, which jansson has seen to be UTF-8. */
static int
string_put(struct buf *b, const char *s, size_t n)
{
	/* Characters that cannot stand in a string as they are. */
	static const bool special[256] = {
		[0 ... 0x1f] = true, ['"'] = true, ['\\'] = true
	};
	size_t from = 0;
	int err = buf_add(b, "\"", 1);

	for (size_t i = 0; err == 0 && i < n; i++) {
		if (!special[(unsigned char)s[i]])
			continue;
		if ((err = buf_add(b, s + from, i - from)) == 0)
			err = special_put(b, (unsigned char)s[i]);
		from = i + 1;
	}
	if (err == 0)
		err = buf_add(b, s + from, n - from);
	return err == 0 ? buf_add(b, "\"", 1) : err;
}

/* Appends a whole number. */
static int
int_put(struct buf *b, int64_t v)
{
	char text[INT_TEXT_MAX], *p = text + sizeof(text);
	uint64_t u = v < 0 ? -(uint64_t)v : (uint64_t)v;

	do {
		*--p = (char)('0' + u % 10);
		u /= 10;
	} while (u != 0);
	if (v < 0)
		*--p = '-';
	return buf_add(b, p, (size_t)(text + sizeof(text) - p));
}

/* Appends a real as jansson does: always with a point or an exponent, the
 * exponent without plus and leading zeros. */
static int
real_put(struct buf *b, double d)
{
	char text[40], *e, *digits;
	int n, err;

	/* The usual ones: 0.0, 20.0. */
	if (d > -1e9 && d < 1e9 && d == (double)(int64_t)d &&
	    (d != 0 || !__builtin_signbit(d))) {
		err = int_put(b, (int64_t)d);
		return err == 0 ? buf_add(b, ".0", 2) : err;
	}
	n = snprintf(text, sizeof(text), "%.*g", JSON_TEXT_DIGITS, d);
	if (strpbrk(text, ".e") == NULL)
		n += snprintf(text + n, sizeof(text) - (size_t)n, ".0");
	if ((e = strchr(text, 'e')) != NULL) {
		digits = ++e;
		if (*digits == '-')
			e = ++digits;
		else if (*digits == '+')
			digits++;
		while (digits[0] == '0' && digits[1] != '\0')
			digits++;
		memmove(e, digits, strlen(digits) + 1);
		n = (int)strlen(text);
	}
	return buf_add(b, text, (size_t)n);
}

int
json_text_members(
    struct buf *b, json_t *j, const json_t *lost, const char *const *without)
{
	const char *key;
	json_t *v;
	size_t i;
	int err;

	json_object_foreach(j, key, v)
	{
		for (i = 0; without != NULL && without[i] != NULL; i++) {
			if (strcmp(without[i], key) == 0)
				break;
		}
		if (without != NULL && without[i] != NULL)
			continue;
		if ((b->n > 0 && b->p[b->n - 1] != '{' &&
			(err = buf_add(b, ",", 1)) != 0) ||
		    (err = string_put(b, key, strlen(key))) != 0 ||
		    (err = buf_add(b, ":", 1)) != 0 ||
		    (err = json_text_put(b, v, lost)) != 0)
			return err;
	}
	return 0;
}

/* Appends an array. */
static int
array_put(struct buf *b, json_t *j, const json_t *lost)
{
	json_t *v;
	size_t i;
	int err = buf_add(b, "[", 1);

	json_array_foreach(j, i, v)
	{
		if (err == 0 && i > 0)
			err = buf_add(b, ",", 1);
		if (err == 0)
			err = json_text_put(b, v, lost);
	}
	return err == 0 ? buf_add(b, "]", 1) : err;
}

int
json_text_put(struct buf *b, json_t *j, const json_t *lost)
{
	int err;

	if (j == NULL || j == lost)
		return ENOMEM;
	switch (json_typeof(j)) {
	case JSON_OBJECT:
		if ((err = buf_add(b, "{", 1)) != 0 ||
		    (err = json_text_members(b, j, lost, NULL)) != 0)
			return err;
		return buf_add(b, "}", 1);
	case JSON_ARRAY:
		return array_put(b, j, lost);
	case JSON_STRING:
		return string_put(
		    b, json_string_value(j), json_string_length(j));
	case JSON_INTEGER:
		return int_put(b, json_integer_value(j));
	case JSON_REAL:
		return real_put(b, json_real_value(j));
	case JSON_TRUE:
		return buf_add(b, "true", 4);
	case JSON_FALSE:
		return buf_add(b, "false", 5);
	case JSON_NULL:
	default:
		return buf_add(b, "null", 4);
	}
}
