/* SPDX-License-Identifier: ISC */
/* Slices and strict conversions of text.
 * Nothing here guesses: what does not follow its grammar is E_PARSE. */
#include <stdlib.h>
#include <string.h>

#include "bellbird/str.h"

/* Longer words are no typing errors of a known one. */
enum { DISTANCE_LEN_MAX = 127 };

static const char digits64[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* ASCII only: the locale must not change protocol text. */
static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* The value of a hexadecimal digit, -1 if it is none. */
static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The value of a base64 digit, -1 if it is none. */
static int
base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

struct slice
slice_of(const char *s)
{
	return (struct slice){ s, s != NULL ? strlen(s) : 0 };
}

bool
slice_is(struct slice s, const char *lit)
{
	return s.n == strlen(lit) && (s.n == 0 || memcmp(s.p, lit, s.n) == 0);
}

bool
slice_case_is(struct slice s, const char *lit)
{
	if (s.n != strlen(lit))
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (lower(s.p[i]) != lower(lit[i]))
			return false;
	}
	return true;
}

struct slice
slice_trim(struct slice s)
{
	while (s.n > 0 && (*s.p == ' ' || *s.p == '\t' || *s.p == '\r')) {
		s.p++;
		s.n--;
	}
	while (s.n > 0 &&
	    (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t' ||
		s.p[s.n - 1] == '\r'))
		s.n--;
	return s;
}

bool
slice_cut(struct slice s, char sep, struct slice *head, struct slice *tail)
{
	const char *at = s.n > 0 ? memchr(s.p, sep, s.n) : NULL;

	if (at == NULL) {
		*head = s;
		*tail = (struct slice){ NULL, 0 };
		return false;
	}
	*head = (struct slice){ s.p, (size_t)(at - s.p) };
	*tail = (struct slice){ at + 1, s.n - head->n - 1 };
	return true;
}

bool
slice_line(struct slice *rest, struct slice *line)
{
	if (rest->n == 0)
		return false;
	slice_cut(*rest, '\n', line, rest);
	if (line->n > 0 && line->p[line->n - 1] == '\r')
		line->n--;
	return true;
}

char *
slice_dup(struct slice s)
{
	char *p;

	if (s.n == SIZE_MAX || (p = malloc(s.n + 1)) == NULL)
		return NULL;
	if (s.n > 0)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return p;
}

int
str_int(struct slice s, int64_t min, int64_t max, int64_t *out)
{
	bool neg = false, over = false;
	int64_t v = 0;

	if (s.n > 0 && (*s.p == '-' || *s.p == '+')) {
		neg = *s.p == '-';
		s.p++;
		s.n--;
	}
	if (s.n == 0)
		return E_PARSE;
	for (size_t i = 0; i < s.n; i++) {
		int d = s.p[i] - '0';

		if (d < 0 || d > 9)
			return E_PARSE;
		/* Counts downwards: INT64_MIN has no positive twin. */
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_sub_overflow(v, d, &v)) {
			over = true;
			v = 0;
		}
	}
	if (over || (!neg && v == INT64_MIN))
		return ERANGE;
	if (!neg)
		v = -v;
	if (v < min || v > max)
		return ERANGE;
	*out = v;
	return 0;
}

int
str_duration_ms(struct slice s, int64_t *out)
{
	static const struct {
		const char *unit;
		int64_t ms;
	} units[] = {
		{ "", 1000 },
		{ "ms", 1 },
		{ "s", 1000 },
		{ "m", 60000 },
		{ "h", 3600000 },
	};
	struct slice unit;
	size_t n = 0;
	int64_t v;
	int err;

	while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
		n++;
	if (n == 0)
		return E_PARSE;
	unit = (struct slice){ s.p + n, s.n - n };
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (!slice_is(unit, units[i].unit))
			continue;
		err = str_int(
		    (struct slice){ s.p, n }, 0, INT64_MAX / units[i].ms, &v);
		if (err == 0)
			*out = v * units[i].ms;
		return err;
	}
	return E_PARSE;
}

void
str_hex(char *out, const void *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *b = p;

	for (size_t i = 0; i < n; i++) {
		*out++ = digits[b[i] >> 4];
		*out++ = digits[b[i] & 15];
	}
	*out = '\0';
}

int
str_unhex(struct slice s, uint8_t *out, size_t max, size_t *n)
{
	if (s.n % 2 != 0)
		return E_PARSE;
	for (size_t i = 0; i < s.n; i++) {
		if (hex_value(s.p[i]) < 0)
			return E_PARSE;
	}
	if (s.n / 2 > max)
		return E_LIMIT;
	for (size_t i = 0; i < s.n / 2; i++)
		out[i] = (uint8_t)(hex_value(s.p[2 * i]) << 4 |
		    hex_value(s.p[2 * i + 1]));
	*n = s.n / 2;
	return 0;
}

void
str_base64(char *out, const void *p, size_t n)
{
	const uint8_t *b = p;

	for (; n > 0; b += 3) {
		uint32_t v = (uint32_t)b[0] << 16;

		if (n > 1)
			v |= (uint32_t)b[1] << 8;
		if (n > 2)
			v |= b[2];
		*out++ = digits64[v >> 18];
		*out++ = digits64[v >> 12 & 63];
		*out++ = n > 1 ? digits64[v >> 6 & 63] : '=';
		*out++ = n > 2 ? digits64[v & 63] : '=';
		n = n > 3 ? n - 3 : 0;
	}
	*out = '\0';
}

int
str_unbase64(struct slice s, uint8_t *out, size_t max, size_t *n)
{
	size_t len, pad = 0, left;
	uint32_t v = 0;

	while (s.n > 0 && pad < 2 && s.p[s.n - 1] == '=') {
		s.n--;
		pad++;
	}
	left = s.n % 4;
	/* Padding may be left out, but never half or too much of it. */
	if (left == 1 || (pad > 0 && (left == 0 || pad != 4 - left)))
		return E_PARSE;
	for (size_t i = 0; i < s.n; i++) {
		if (base64_value(s.p[i]) < 0)
			return E_PARSE;
	}
	/* RFC 4648 3.5: one text for one value, so unused bits are 0. */
	if ((left == 2 && (base64_value(s.p[s.n - 1]) & 15) != 0) ||
	    (left == 3 && (base64_value(s.p[s.n - 1]) & 3) != 0))
		return E_PARSE;
	len = s.n / 4 * 3 + (left > 0 ? left - 1 : 0);
	if (len > max)
		return E_LIMIT;
	for (size_t i = 0; i < s.n; i++) {
		v = v << 6 | (uint32_t)base64_value(s.p[i]);
		if (i % 4 != 0)
			*out++ = (uint8_t)(v >> (6 - 2 * (i % 4)));
	}
	*n = len;
	return 0;
}

int
str_copy(char *dst, size_t size, const char *src)
{
	return str_copy_slice(dst, size, slice_of(src));
}

int
str_copy_slice(char *dst, size_t size, struct slice src)
{
	size_t n = src.n < size ? src.n : size - 1;

	if (size == 0)
		return E_LIMIT;
	if (n > 0)
		memcpy(dst, src.p, n);
	dst[n] = '\0';
	return n < src.n ? E_LIMIT : 0;
}

unsigned int
str_distance(const char *a, const char *b, unsigned int max)
{
	/* Optimal string alignment: the last two rows and the new one. */
	uint8_t rows[3][DISTANCE_LEN_MAX + 1];
	uint8_t *two = rows[0], *one = rows[1], *row = rows[2], *old;
	size_t n = strlen(a), m = strlen(b);

	if (n > DISTANCE_LEN_MAX || m > DISTANCE_LEN_MAX)
		return max + 1;
	for (size_t j = 0; j <= m; j++)
		one[j] = (uint8_t)j;
	for (size_t i = 1; i <= n; i++) {
		row[0] = (uint8_t)i;
		for (size_t j = 1; j <= m; j++) {
			uint8_t v = one[j - 1] + (a[i - 1] != b[j - 1]);

			if (one[j] + 1 < v)
				v = one[j] + 1;
			if (row[j - 1] + 1 < v)
				v = row[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1] && two[j - 2] + 1 < v)
				v = two[j - 2] + 1;
			row[j] = v;
		}
		old = two;
		two = one;
		one = row;
		row = old;
	}
	return one[m] > max ? max + 1 : one[m];
}

int
str_mac_norm(struct slice s, char out[static 13])
{
	bool spaced = s.n == 17;
	char mac[13];
	size_t n = 0;

	if (s.n != 12 && !spaced)
		return E_PARSE;
	for (size_t i = 0; i < s.n; i++) {
		if (spaced && i % 3 == 2) {
			/* One kind of separator throughout. */
			if ((s.p[i] != ':' && s.p[i] != '-') ||
			    s.p[i] != s.p[2])
				return E_PARSE;
			continue;
		}
		if (hex_value(s.p[i]) < 0)
			return E_PARSE;
		mac[n++] = lower(s.p[i]);
	}
	mac[n] = '\0';
	memcpy(out, mac, sizeof(mac));
	return 0;
}

size_t
str_utf8(const void *p, size_t n, uint32_t *cp)
{
	/* Least code point by length: longer forms are overlong. */
	static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
	const uint8_t *b = p;
	uint32_t v;
	size_t len;

	if (n == 0)
		return 0;
	if (b[0] < 0x80) {
		*cp = b[0];
		return 1;
	}
	len = b[0] >= 0xf0 ? 4 : b[0] >= 0xe0 ? 3 : 2;
	if (b[0] < 0xc2 || b[0] > 0xf4 || len > n)
		return 0;
	v = b[0] & (0x7fU >> len);
	for (size_t i = 1; i < len; i++) {
		if ((b[i] & 0xc0) != 0x80)
			return 0;
		v = v << 6 | (b[i] & 0x3f);
	}
	if (v < least[len] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
		return 0;
	*cp = v;
	return len;
}
