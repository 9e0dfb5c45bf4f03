/* SPDX-License-Identifier: ISC */
/*
 * Answers to HTTP authentication challenges: Basic (RFC 7617) and Digest
 * (RFC 7616) with MD5, SHA-256 and SHA-512/256.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "bellbird/buf.h"
#include "bellbird/mem.h"
#include "internal.h"

enum { HEX_MAX = TLS_HASH_MAX * 2 + 1, CNONCE_BYTES = 16 };

/* param_value reads what is behind the equals sign; NULL if it is malformed,
 * else where it ends. */
static const char *
param_value(const char *p, const char *end, char *value, size_t size)
{
	size_t n = 0;
	bool quoted = p < end && *p == '"';

	p += quoted;
	for (; p < end && (quoted ? *p != '"' : *p != ','); p++) {
		if (quoted && *p == '\\' && p + 1 < end)
			p++;
		if (n + 1 >= size)
			return NULL;
		value[n++] = *p;
	}
	if (quoted && p == end)
		return NULL;
	while (!quoted && n > 0 && isspace((unsigned char)value[n - 1]))
		n--;
	value[n] = '\0';
	return p + quoted;
}

/* param_next takes `name=value` or `name="value"` off `*rest`. */
static bool
param_next(struct slice *rest, struct slice *name, char *value, size_t size)
{
	const char *p = rest->p, *end = rest->p + rest->n;

	while (p < end && (*p == ',' || isspace((unsigned char)*p)))
		p++;
	name->p = p;
	while (p < end && *p != '=' && *p != ',')
		p++;
	name->n = (size_t)(p - name->p);
	*name = slice_trim(*name);
	if (p == end || *p != '=')
		return false;
	for (p++; p < end && isspace((unsigned char)*p); p++)
		continue;
	if ((p = param_value(p, end, value, size)) == NULL)
		return false;
	*rest = (struct slice){ p, (size_t)(end - p) };
	return true;
}

/* has_auth: is "auth" in a qop list? */
static bool
has_auth(const char *list)
{
	struct slice rest = slice_of(list), item;
	bool more;

	do {
		more = slice_cut(rest, ',', &item, &rest);
		if (slice_case_is(slice_trim(item), "auth"))
			return true;
	} while (more);
	return false;
}

/* algorithm_set reads the algorithm; E_PARSE for one we do not have. */
static int
algorithm_set(struct auth_challenge *c, const char *name)
{
	static const struct {
		const char *name;
		enum tls_hash_alg alg;
	} v[] = { { "MD5", TLS_MD5 }, { "SHA-256", TLS_SHA256 },
		{ "SHA-512-256", TLS_SHA512_256 } };
	size_t n;

	if (str_copy(c->algorithm, sizeof(c->algorithm), name) != 0)
		return E_PARSE;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		n = strlen(v[i].name);
		if (strncasecmp(name, v[i].name, n) != 0)
			continue;
		if (name[n] != '\0' && strcasecmp(name + n, "-sess") != 0)
			continue;
		c->sess = name[n] != '\0';
		c->alg = v[i].alg;
		return 0;
	}
	return E_PARSE;
}

/* digest_parse reads the parameters of a Digest challenge. */
static int
digest_parse(struct slice rest, struct auth_challenge *c)
{
	char value[256];
	struct slice name;
	bool has_qop = false;
	int err = 0;

	c->alg = TLS_MD5; /* RFC 7616 3.3: absent means MD5 */
	while (err == 0 && param_next(&rest, &name, value, sizeof(value))) {
		if (slice_case_is(name, "realm")) {
			err = str_copy(c->realm, sizeof(c->realm), value);
		} else if (slice_case_is(name, "nonce")) {
			err = str_copy(c->nonce, sizeof(c->nonce), value);
		} else if (slice_case_is(name, "opaque")) {
			err = str_copy(c->opaque, sizeof(c->opaque), value);
			c->has_opaque = true;
		} else if (slice_case_is(name, "algorithm")) {
			err = algorithm_set(c, value);
		} else if (slice_case_is(name, "qop")) {
			has_qop = true;
			c->qop_auth = has_auth(value);
		}
	}
	if (err != 0 || c->nonce[0] == '\0' || (has_qop && !c->qop_auth))
		return E_PARSE;
	c->digest = true;
	return 0;
}

int
auth_parse(struct slice header, struct auth_challenge *c)
{
	struct auth_challenge d = { 0 };
	struct slice scheme, rest;

	slice_cut(slice_trim(header), ' ', &scheme, &rest);
	if (slice_case_is(scheme, "Basic")) {
		c->basic = true;
		return 0;
	}
	if (!slice_case_is(scheme, "Digest") || digest_parse(rest, &d) != 0)
		return E_PARSE;
	/* Several are offered: the strongest counts. */
	if (c->digest && c->alg >= d.alg)
		return 0;
	d.basic = c->basic;
	*c = d;
	return 0;
}

/* hash_join writes the hex hash of "a:b:c" (NULLs left out). */
static void
hash_join(enum tls_hash_alg alg, const char *const *parts, size_t n,
    char out[static HEX_MAX])
{
	struct buf b;

	out[0] = '\0';
	buf_init_secret(&b, 8192);
	for (size_t i = 0; i < n; i++)
		buf_printf(&b, "%s%s", i > 0 ? ":" : "", parts[i]);
	if (b.err == 0)
		tls_hash_hex(alg, b.p, b.n, out);
	buf_clear(&b);
}

/* quoted appends `name="value"` with the escapes of a quoted string. */
static void
quoted(struct buf *out, const char *name, const char *value)
{
	buf_printf(out, "%s=\"", name);
	for (; *value != '\0'; value++) {
		if (*value == '"' || *value == '\\')
			buf_puts(out, "\\");
		buf_add(out, value, 1);
	}
	buf_puts(out, "\"");
}

/* digest_answer: RFC 7616 3.4. */
static int
digest_answer(
    const struct auth_challenge *c, const struct auth_who *who, struct buf *out)
{
	const char *const a1[] = { who->user, c->realm, who->password };
	const char *const a2[] = { who->method, who->uri };
	char ha1[HEX_MAX], ha2[HEX_MAX], response[HEX_MAX], cnonce[33];
	uint8_t raw[CNONCE_BYTES];

	tls_random(raw, sizeof(raw));
	str_hex(cnonce, raw, sizeof(raw));
	hash_join(c->alg, a1, 3, ha1);
	if (c->sess) {
		const char *const s[] = { ha1, c->nonce, cnonce };
		char base[HEX_MAX];

		hash_join(c->alg, s, 3, base);
		memcpy(ha1, base, sizeof(ha1));
	}
	hash_join(c->alg, a2, 2, ha2);
	if (c->qop_auth) {
		const char *const r[] = { ha1, c->nonce, "00000001", cnonce,
			"auth", ha2 };
		hash_join(c->alg, r, 6, response);
	} else {
		const char *const r[] = { ha1, c->nonce, ha2 };
		hash_join(c->alg, r, 3, response);
	}
	mem_wipe(ha1, sizeof(ha1));
	if (response[0] == '\0' || ha2[0] == '\0')
		return ENOMEM;
	buf_puts(out, "Digest ");
	quoted(out, "username", who->user);
	buf_puts(out, ", ");
	quoted(out, "realm", c->realm);
	buf_puts(out, ", ");
	quoted(out, "nonce", c->nonce);
	buf_puts(out, ", ");
	quoted(out, "uri", who->uri);
	buf_printf(out, ", response=\"%s\"", response);
	if (c->algorithm[0] != '\0')
		buf_printf(out, ", algorithm=%s", c->algorithm);
	if (c->has_opaque) {
		buf_puts(out, ", ");
		quoted(out, "opaque", c->opaque);
	}
	if (c->qop_auth)
		buf_printf(
		    out, ", qop=auth, nc=00000001, cnonce=\"%s\"", cnonce);
	return out->err;
}

/* basic_answer: RFC 7617 2. */
static int
basic_answer(const struct auth_who *who, struct buf *out)
{
	/* A user and a password of 400 bytes each and the colon. */
	char plain[804], coded[4 * ((sizeof(plain) + 2) / 3) + 1];
	int n =
	    snprintf(plain, sizeof(plain), "%s:%s", who->user, who->password);
	int err = E_LIMIT;

	if (n > 0 && (size_t)n < sizeof(plain)) {
		str_base64(coded, plain, (size_t)n);
		err = buf_printf(out, "Basic %s", coded);
		mem_wipe(coded, sizeof(coded));
	}
	mem_wipe(plain, sizeof(plain));
	return err;
}

int
auth_answer(
    const struct auth_challenge *c, const struct auth_who *who, struct buf *out)
{
	return c->digest ? digest_answer(c, who, out) : basic_answer(who, out);
}
