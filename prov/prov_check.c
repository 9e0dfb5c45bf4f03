/* SPDX-License-Identifier: ISC */
/*
 * Is a value fit for its key?  Judges and normalises by the row of the table.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bellbird/addr.h"
#include "bellbird/log.h"
#include "bellbird/pattern.h"
#include "bellbird/prov_key.h"
#include "internal.h"

/* Everything a check needs: what is judged, and where the answer goes. */
struct check {
	const struct prov_key *k;
	struct slice v;
	char *out;
	size_t out_size;
	char *why;
	size_t why_size;
};

/* is_hidden: must a value stay out of messages?  Passwords also get into the
 * values of other keys: a lost newline, a URL with credentials. */
static bool
is_hidden(const struct check *c)
{
	const char *at = memchr(c->v.p, '@', c->v.n);

	return (c->k->flags & PROV_F_SECRET) || key_secret_in(c->v) ||
	    (at != NULL &&
		(c->k->type == PROV_T_HOST ||
		    memmem(c->v.p, (size_t)(at - c->v.p), "://", 3) != NULL));
}

/* refuse writes the sentence: which value of which key, and `fmt`. */
static int __attribute__((format(printf, 2, 3)))
refuse(const struct check *c, const char *fmt, ...)
{
	char text[240];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (c->why_size > 0 && is_hidden(c))
		snprintf(c->why, c->why_size, "the value of %s %s", c->k->name,
		    text);
	else if (c->why_size > 0)
		snprintf(c->why, c->why_size, "\"%s\" for %s %s",
		    esc_n(c->v.p, c->v.n), c->k->name, text);
	return E_PROV_CONF;
}

/* accept publishes the normalised value. */
static int
accept_value(const struct check *c, struct slice v)
{
	if (str_copy_slice(c->out, c->out_size, v) != 0)
		return refuse(
		    c, "is too long (at most %zu bytes)", c->out_size - 1);
	return 0;
}

/* utf8_len: length of the UTF-8 character at `p`, 0 if it is none. */
static size_t
utf8_len(const unsigned char *p, size_t left)
{
	size_t n = p[0] < 0x80 ? 1
	    : p[0] < 0xc2      ? 0
	    : p[0] < 0xe0      ? 2
	    : p[0] < 0xf0      ? 3
	    : p[0] < 0xf5      ? 4
			       : 0;

	if (n == 0 || n > left)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong forms, surrogates, beyond U+10FFFF (RFC 3629 3). */
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

/* check_text: no control characters, and UTF-8. */
static int
check_text(const struct check *c)
{
	const unsigned char *p = (const unsigned char *)c->v.p;
	size_t n;

	if (c->v.n >= PROV_VALUE_MAX)
		return refuse(c, "has %zu bytes (at most %d)", c->v.n,
		    PROV_VALUE_MAX - 1);
	for (size_t i = 0; i < c->v.n; i += n) {
		if (p[i] < 0x20 || p[i] == 0x7f)
			return refuse(c, "has a control character");
		if ((n = utf8_len(p + i, c->v.n - i)) == 0)
			return refuse(c, "is not UTF-8 text");
	}
	return 0;
}

/* range_ints reads "a..b"; false if the range has another form. */
static bool
range_ints(const char *range, int64_t *min, int64_t *max)
{
	const char *dots = strstr(range, "..");
	struct slice lo = { range, dots ? (size_t)(dots - range) : 0 };

	return dots != NULL && str_int(lo, INT64_MIN, INT64_MAX, min) == 0 &&
	    str_int(slice_of(dots + 2), INT64_MIN, INT64_MAX, max) == 0;
}

static int
check_int(const struct check *c)
{
	int64_t min = INT64_MIN, max = INT64_MAX, n;
	char text[24];
	const char *unit = c->k->unit;

	if (!range_ints(c->k->range, &min, &max))
		min = INT64_MIN;
	if (str_int(c->v, min, max, &n) != 0) {
		if (c->k->range[0] == '\0')
			return refuse(c, "is not a whole number");
		return refuse(c, "is not a whole number within %s%s%s",
		    c->k->range, unit[0] ? " " : "", unit);
	}
	snprintf(text, sizeof(text), "%lld", (long long)n);
	return accept_value(c, slice_of(text));
}

static int
check_bool(const struct check *c)
{
	static const char *const words[][2] = { { "0", "1" }, { "off", "on" },
		{ "false", "true" }, { "no", "yes" } };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		for (size_t b = 0; b < 2; b++)
			if (slice_case_is(c->v, words[i][b]))
				return accept_value(c, slice_of(words[0][b]));
	return refuse(c, "is neither 0 nor 1");
}

/* check_db: "-18dB", "-18", and the levels 1..10 of old firmware. */
static int
check_db(const struct check *c)
{
	struct slice v = c->v;
	int64_t min = -100, max = 100, n = 0;
	bool db =
	    v.n > 2 && slice_case_is((struct slice){ v.p + v.n - 2, 2 }, "dB");
	char text[24];

	if (db)
		v = slice_trim((struct slice){ v.p, v.n - 2 });
	if (!range_ints(c->k->range, &min, &max))
		min = -100;
	if (str_int(v, -1000, 1000, &n) != 0)
		return refuse(c, "is not a volume such as -18dB");
	if (!db && n >= 1 && n <= 10)
		n = (n - 10) * 3; /* levels 10 .. 1 are 0 .. -27 dB */
	if (n < min || n > max)
		return refuse(c, "is not within %s dB", c->k->range);
	snprintf(text, sizeof(text), "%d%s", (int)n, "dB");
	return accept_value(c, slice_of(text));
}

/* is_host_name: letters, digits, dashes, underscores in labels of 1..63. */
static bool
is_host_name(struct slice h)
{
	size_t label = 0;
	char ch;

	if (h.n > 0 && h.p[h.n - 1] == '.')
		h.n--;
	if (h.n == 0 || h.n > 253)
		return false;
	for (size_t i = 0; i < h.n; i++) {
		ch = h.p[i];
		if (ch == '.') {
			if (label == 0)
				return false;
			label = 0;
			continue;
		}
		if (!isalnum((unsigned char)ch) && ch != '-' && ch != '_')
			return false;
		if (++label > 63)
			return false;
	}
	return label > 0;
}

/* The host and port in a SIP URI, where the key takes one (range "SIP-URI"):
 * parameters may follow, a user or headers may not.  Other text is left as it
 * is. */
static struct slice
sip_uri_host(const struct check *c)
{
	struct slice v = c->v, rest;

	if (strcmp(c->k->range, "SIP-URI") != 0)
		return v;
	if (v.n > 2 && v.p[0] == '<' && v.p[v.n - 1] == '>')
		v = (struct slice){ v.p + 1, v.n - 2 };
	if (v.n > 4 && strncasecmp(v.p, "sip:", 4) == 0)
		v = (struct slice){ v.p + 4, v.n - 4 };
	else if (v.n > 5 && strncasecmp(v.p, "sips:", 5) == 0)
		v = (struct slice){ v.p + 5, v.n - 5 };
	else
		return c->v;
	for (size_t i = 0; i < v.n; i++) {
		if (!isgraph((unsigned char)v.p[i]) ||
		    strchr("<>\"\\?@", v.p[i]) != NULL)
			return c->v;
	}
	(void)slice_cut(v, ';', &v, &rest);
	return v;
}

static int
check_host(const struct check *c)
{
	struct slice v = sip_uri_host(c), host;
	struct addr a;
	uint16_t port = 1;

	if (memmem(c->v.p, c->v.n, "://", 3) != NULL)
		return refuse(c,
		    "is a URL: give the host alone, with :port "
		    "where it is not the default");
	if (addr_parse(&a, v, 1) == 0)
		return addr_port(&a) != 0
		    ? accept_value(c, c->v)
		    : refuse(c, "has port 0 (permitted are 1..65535)");
	if (addr_split(v, &host, &port) != 0 || port == 0 ||
	    !is_host_name(host))
		return refuse(c,
		    "is not a host name or address with an "
		    "optional port (1..65535)");
	return accept_value(c, c->v);
}

/* word_cidr: an address or a network. */
static bool
word_cidr(struct slice v)
{
	struct addr a;
	bool in;

	return addr_parse(&a, slice_of("127.0.0.1"), 0) == 0 &&
	    addr_in_cidr(&a, v, &in) == 0;
}

static bool
word_ip_port(struct slice v)
{
	struct addr a;

	return addr_parse(&a, v, 53) == 0 && addr_port(&a) != 0;
}

static bool
word_ip(struct slice v)
{
	struct addr a;

	/* Both defaults come back: the text has no port. */
	return addr_parse(&a, v, 1) == 0 && addr_port(&a) == 1 &&
	    addr_parse(&a, v, 2) == 0 && addr_port(&a) == 2 &&
	    memchr(v.p, '[', v.n) == NULL;
}

static bool
word_mac(struct slice v)
{
	char mac[13];

	return str_mac_norm(v, mac) == 0;
}

/* word_ports: "16384-16482", an RTP and an RTCP port at least. */
static bool
word_ports(struct slice v)
{
	struct slice lo, hi;
	int64_t a, b;

	return slice_cut(v, '-', &lo, &hi) &&
	    str_int(slice_trim(lo), 1024, 65535, &a) == 0 &&
	    str_int(slice_trim(hi), 1024, 65535, &b) == 0 && b > a;
}

/* is_level: a level's name, as log_set_spec() takes it. */
static bool
is_level(struct slice v)
{
	for (int i = LOGL_ERR; i <= LOGL_TRACE; i++)
		if (slice_is(v, log_level_name((enum log_level)i)))
			return true;
	return false;
}

/* word_log: "info" or "info,sip=debug". */
static bool
word_log(struct slice v)
{
	struct slice part, cat, level;
	bool more, known;

	do {
		more = slice_cut(v, ',', &part, &v);
		if (!slice_cut(part, '=', &cat, &level)) {
			if (!is_level(part))
				return false;
			continue;
		}
		known = false;
		for (int i = 0; i < LOGC_MAX; i++)
			known |= slice_is(cat, log_cat_name((enum log_cat)i));
		if (!known || !is_level(level))
			return false;
	} while (more);
	return true;
}

static bool
word_hz(struct slice v)
{
	int64_t hz;

	return str_int(v, 20, 20000, &hz) == 0;
}

/* word_pattern: a regular expression that can be used. */
static bool
word_pattern(struct slice v)
{
	char text[PATTERN_MAX + 2], why[96];

	return str_copy_slice(text, sizeof(text), v) == 0 &&
	    pattern_check(text, why, sizeof(why)) == 0;
}

static bool
word_any(struct slice v)
{
	return v.n > 0;
}

/* Words in capitals stand for a kind of text. */
static const struct {
	const char *name;
	bool (*fits)(struct slice v);
} kinds[] = {
	{ "CIDR", word_cidr },
	{ "FILES", word_any },
	{ "HZ", word_hz },
	{ "IP", word_ip },
	{ "IP:PORT", word_ip_port },
	{ "LOG", word_log },
	{ "MAC", word_mac },
	{ "NAME", word_any },
	{ "PATTERN", word_pattern },
	{ "PORT-PORT", word_ports },
};

/* kind_fits: 1 if `word` is a kind and `v` is of it, 0 if not, -1: no kind. */
static int
kind_fits(struct slice word, struct slice v)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (slice_is(word, kinds[i].name))
			return kinds[i].fits(v);
	return -1;
}

/* slice_case_eq: same bytes but for the case of ASCII letters. */
static bool
slice_case_eq(struct slice a, struct slice b)
{
	return a.n == b.n && strncasecmp(a.p, b.p, a.n) == 0;
}

/* word_fits: is `v` the word of a range?  `*norm` is how it is written. */
static bool
word_fits(struct slice word, struct slice v, struct slice *norm)
{
	struct slice pre, post;
	int kind = kind_fits(word, v);

	*norm = v;
	if (kind >= 0)
		return kind != 0;
	if (slice_cut(word, ':', &pre, &post)) {
		pre.n++; /* the colon is part of what is written */
		return v.n > pre.n &&
		    slice_case_eq(pre, (struct slice){ v.p, pre.n }) &&
		    kind_fits(
			post, (struct slice){ v.p + pre.n, v.n - pre.n }) == 1;
	}
	*norm = word;
	return slice_case_eq(word, v);
}

/* range_has finds the word of a range that `v` is. */
static bool
range_has(const char *range, char sep, struct slice v, struct slice *norm)
{
	struct slice rest = slice_of(range), word;
	bool more;

	do {
		more = slice_cut(rest, sep, &word, &rest);
		if (word_fits(word, v, norm))
			return true;
	} while (more);
	return false;
}

static int
check_word(const struct check *c)
{
	struct slice norm;
	char mac[13], text[PATTERN_MAX + 2], why[96];

	if (strcmp(c->k->range, "PATTERN") == 0 && !word_pattern(c->v)) {
		if (str_copy_slice(text, sizeof(text), c->v) != 0 ||
		    pattern_check(text, why, sizeof(why)) == 0)
			return refuse(c,
			    "is too long (permitted: %d characters)",
			    PATTERN_MAX);
		return refuse(c,
		    "cannot be used: %s (permitted: a regular expression)",
		    why);
	}
	if (!range_has(c->k->range, '|', c->v, &norm))
		return refuse(
		    c, "is not permitted (permitted: %s)", c->k->range);
	if (strcmp(c->k->range, "MAC") == 0 && str_mac_norm(norm, mac) == 0)
		return accept_value(c, slice_of(mac));
	return accept_value(c, norm);
}

/* item_fits judges one item of a list. */
static bool
item_fits(const struct check *c, char sep, struct slice v, struct slice *norm)
{
	int64_t min, max, n;

	*norm = v;
	if (c->k->range[0] == '\0')
		return true;
	if (range_ints(c->k->range, &min, &max))
		return str_int(v, min, max, &n) == 0;
	return range_has(c->k->range, sep == '+' ? '+' : '|', v, norm);
}

/* refuse_item says which item of a list is bad. */
static int
refuse_item(const struct check *c, struct slice item)
{
	if (is_hidden(c))
		return refuse(c, "has a bad item (permitted: %s)", c->k->range);
	return refuse(c, "has the item \"%s\" (permitted: %s)",
	    esc_n(item.p, item.n), c->k->range);
}

/* check_list: "a, b," is written "a,b"; the family ends lists with a comma. */
static int
check_list(const struct check *c)
{
	char sep = strchr(c->k->range, '+') ? '+' : ',';
	struct slice rest = c->v, item, norm;
	size_t n = 0;
	bool more;

	do {
		if (sep == '+' && memchr(rest.p, '+', rest.n) == NULL)
			more = slice_cut(rest, ',', &item, &rest);
		else
			more = slice_cut(rest, sep, &item, &rest);
		item = slice_trim(item);
		if (item.n == 0)
			continue;
		if (!item_fits(c, sep, item, &norm))
			return refuse_item(c, item);
		if (n + norm.n + 2 > c->out_size)
			return refuse(c, "is too long (at most %zu bytes)",
			    c->out_size - 1);
		if (n > 0)
			c->out[n++] = sep;
		memcpy(c->out + n, norm.p, norm.n);
		n += norm.n;
	} while (more);
	c->out[n] = '\0';
	return 0;
}

/* check_addr: where to listen; "*" and "localhost" are written as addresses. */
static int
check_addr(const struct check *c)
{
	static const struct {
		const char *from, *to;
	} names[] = { { "*:", "0.0.0.0:" }, { "localhost:", "127.0.0.1:" } };
	char text[80];
	struct addr a;
	size_t n;

	if (c->k->range[0] != '\0')
		return check_word(c);
	if (str_copy_slice(text, sizeof(text), c->v) != 0)
		return refuse(c, "is not an address and port");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		n = strlen(names[i].from);
		if (c->v.n > n && memcmp(c->v.p, names[i].from, n) == 0)
			snprintf(text, sizeof(text), "%s%.*s", names[i].to,
			    (int)(c->v.n - n < 8 ? c->v.n - n : 8), c->v.p + n);
	}
	/* A port is a must: read twice, a default would differ. */
	if (addr_parse(&a, slice_of(text), 1) != 0)
		return refuse(c,
		    "is not an address and port, such as "
		    "0.0.0.0:5060 or [::]:5061");
	if (addr_port(&a) == 1 && addr_parse(&a, slice_of(text), 2) == 0 &&
	    addr_port(&a) == 2)
		return refuse(c, "has no port (0 lets the system choose)");
	return accept_value(c, slice_of(text));
}

int
prov_key_check(const struct prov_key *k, struct slice value, char *out,
    size_t out_size, char *why, size_t why_size)
{
	struct check c = { k, slice_trim(value), out, out_size, why, why_size };
	struct slice first, rest;
	int err;

	if (why_size > 0)
		why[0] = '\0';
	if ((err = check_text(&c)) != 0)
		return err;
	if (c.v.n == 0) {
		slice_cut(slice_of(k->range), '|', &first, &rest);
		return accept_value(
		    &c, k->flags & PROV_F_EMPTY ? first : slice_of(""));
	}
	switch (k->type) {
	case PROV_T_INT:
		return check_int(&c);
	case PROV_T_BOOL:
		return check_bool(&c);
	case PROV_T_ENUM:
		return check_word(&c);
	case PROV_T_LIST:
		return check_list(&c);
	case PROV_T_HOST:
		return check_host(&c);
	case PROV_T_ADDR:
		return check_addr(&c);
	case PROV_T_DB:
		return check_db(&c);
	case PROV_T_STR:
	case PROV_T_PATH:
		break;
	}
	return k->range[0] ? check_word(&c) : accept_value(&c, c.v);
}
