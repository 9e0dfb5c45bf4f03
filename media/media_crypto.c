/* SPDX-License-Identifier: ISC */
/* a=crypto lines (RFC 4568): tag, suite, one inline key with lifetime and MKI,
 * session parameters; read strictly, because a key half understood is none. */
#include <stdio.h>
#include <string.h>

#include "bellbird/mem.h"
#include "bellbird/tls_hash.h"
#include "internal.h"

enum {
	TAG_DIGITS_MAX = 9,
	LIFETIME_BITS_MAX = 48, /* RFC 3711 9.2 */
	MKI_LEN_TEXT_MAX = 128, /* RFC 4568 6.1 */
	WSH_MIN = 64,           /* RFC 4568 6.3.6 */
	BASE64_MAX = 4 * ((MEDIA_KEY_MAX + 2) / 3) + 1
};

static const struct media_suite suites[] = {
	{ "AES_CM_128_HMAC_SHA1_80", 30, 10 },
	{ "AES_CM_128_HMAC_SHA1_32", 30, 4 },
	{ "AES_256_CM_HMAC_SHA1_80", 46, 10 }, /* RFC 6188 */
	{ "AES_256_CM_HMAC_SHA1_32", 46, 4 },
};

enum { NUM_SUITES = sizeof(suites) / sizeof(suites[0]) };

/* The suite of a name in either case; NULL: none of ours.  The other order of
 * words is what old devices write. */
static const struct media_suite *
suite_find(struct slice name)
{
	for (size_t i = 0; i < NUM_SUITES; i++)
		if (slice_case_is(name, suites[i].name))
			return &suites[i];
	if (slice_case_is(name, "AES_CM_256_HMAC_SHA1_80"))
		return &suites[2];
	if (slice_case_is(name, "AES_CM_256_HMAC_SHA1_32"))
		return &suites[3];
	return NULL;
}

/* Takes the next word off a list with commas and spaces. */
static bool
word_next(struct slice *rest, struct slice *word)
{
	size_t n = 0;

	while (rest->n > 0 && (rest->p[0] == ' ' || rest->p[0] == ',')) {
		rest->p++;
		rest->n--;
	}
	while (n < rest->n && rest->p[n] != ' ' && rest->p[n] != ',')
		n++;
	*word = (struct slice){ rest->p, n };
	rest->p += n;
	rest->n -= n;
	return n > 0;
}

size_t
media_suite_list(
    const char *names, const struct media_suite *out[static MEDIA_SUITES_MAX])
{
	struct slice rest = slice_of(names), word;
	const struct media_suite *s;
	size_t num = 0, i;

	while (num < MEDIA_SUITES_MAX && word_next(&rest, &word)) {
		if ((s = suite_find(word)) == NULL)
			continue;
		for (i = 0; i < num && out[i] != s; i++)
			;
		if (i == num)
			out[num++] = s;
	}
	if (num == 0)
		out[num++] = &suites[0];
	return num;
}

/* 1*9DIGIT, not 0 (RFC 4568 9.2; 0 would be no tag for us). */
static int
tag_parse(struct slice s, unsigned int *tag)
{
	int64_t v;

	if (s.n > TAG_DIGITS_MAX || media_number(s, 1, 999999999, &v) != 0)
		return E_PARSE;
	*tag = (unsigned int)v;
	return 0;
}

/* "2^20" or a number; the value is the peer's own affair. */
static int
lifetime_parse(struct slice s)
{
	int64_t v;

	if (s.n > 2 && s.p[0] == '2' && s.p[1] == '^') {
		s.p += 2;
		s.n -= 2;
		return media_number(s, 1, LIFETIME_BITS_MAX, &v);
	}
	return media_number(s, 1, INT64_C(1) << LIFETIME_BITS_MAX, &v);
}

/* "value:length": a number in so many bytes. */
static int
mki_parse(struct slice s, struct media_crypto *c)
{
	struct slice value, length;
	int64_t v, n;

	if (!slice_cut(s, ':', &value, &length) ||
	    media_number(length, 1, MKI_LEN_TEXT_MAX, &n) != 0 ||
	    media_number(value, 0, INT64_MAX, &v) != 0)
		return E_PARSE;
	if (n > MEDIA_MKI_MAX)
		return E_MEDIA_SRTP_KEY;
	if (n < 8 && v >> 8 * n != 0)
		return E_PARSE; /* does not fit its length */
	c->mki_len = (size_t)n;
	for (size_t i = c->mki_len; i-- > 0; v >>= 8)
		c->mki[i] = (uint8_t)v;
	return 0;
}

/* "inline:" key ["|" lifetime] ["|" MKI]. */
static int
inline_parse(struct slice s, struct media_crypto *c)
{
	static const char method[] = "inline:";
	const size_t method_n = sizeof(method) - 1;
	struct slice part, rest;
	bool more;
	size_t n = 0;
	int err;

	if (s.n < method_n ||
	    !slice_case_is((struct slice){ s.p, method_n }, method))
		return E_PARSE;
	s.p += method_n;
	s.n -= method_n;
	/* Several keys in one line need MKIs to tell them apart: not ours. */
	if (memchr(s.p, ';', s.n) != NULL)
		return E_MEDIA_SRTP_KEY;
	more = slice_cut(s, '|', &part, &rest);
	if (part.n >= BASE64_MAX ||
	    str_unbase64(part, c->key, sizeof(c->key), &n) != 0 ||
	    n != c->suite->key_len)
		return E_PARSE;
	if (!more)
		return 0;
	more = slice_cut(rest, '|', &part, &rest);
	if (memchr(part.p, ':', part.n) != NULL)
		return more ? E_PARSE : mki_parse(part, c);
	if ((err = lifetime_parse(part)) != 0 || !more)
		return err;
	return mki_parse(rest, c);
}

/* Session parameters: a window hint is harmless, what switches protection off
 * or changes it is not, and what starts with "-" may be ignored. */
static int
params_judge(struct slice rest)
{
	struct slice word, name, value;
	int64_t v;

	while (word_next(&rest, &word)) {
		if (word.p[0] == '-')
			continue;
		if (!slice_cut(word, '=', &name, &value) ||
		    !slice_case_is(name, "WSH") ||
		    str_int(value, WSH_MIN, INT32_MAX, &v) != 0)
			return E_MEDIA_SRTP_KEY;
	}
	return 0;
}

int
media_crypto_parse(struct media_crypto *c, struct slice s)
{
	struct media_crypto got;
	struct slice tag, suite, key, params;
	int err;

	memset(&got, 0, sizeof(got));
	slice_cut(s, ' ', &tag, &s);
	if ((err = tag_parse(tag, &got.tag)) != 0)
		return err;
	slice_cut(slice_trim(s), ' ', &suite, &s);
	slice_cut(slice_trim(s), ' ', &key, &params);
	if (suite.n == 0 || key.n == 0)
		return E_PARSE;
	if ((got.suite = suite_find(suite)) == NULL)
		return E_MEDIA_SRTP_KEY;
	if ((err = inline_parse(key, &got)) == 0 &&
	    (err = params_judge(params)) == 0)
		*c = got;
	mem_wipe(&got, sizeof(got));
	return err;
}

void
media_crypto_print(const struct media_crypto *c, struct buf *b)
{
	char text[BASE64_MAX];

	str_base64(text, c->key, c->suite->key_len);
	buf_printf(
	    b, "a=crypto:%u %s inline:%s\r\n", c->tag, c->suite->name, text);
	mem_wipe(text, sizeof(text));
}

void
media_crypto_make(
    struct media_crypto *c, const struct media_suite *suite, unsigned int tag)
{
	memset(c, 0, sizeof(*c));
	c->suite = suite;
	c->tag = tag;
	tls_random(c->key, suite->key_len);
}

bool
media_crypto_same_key(
    const struct media_crypto *a, const struct media_crypto *b)
{
	if (a->suite != b->suite)
		return false;
	if (a->suite == NULL)
		return true;
	return a->mki_len == b->mki_len &&
	    mem_equal(a->mki, b->mki, a->mki_len) &&
	    mem_equal(a->key, b->key, a->suite->key_len);
}
