/* SPDX-License-Identifier: ISC */
/* The words of the TLS settings: names of uses, slots, versions and sets,
 * printed and read. */
#include <stdio.h>
#include <string.h>

#include "bellbird/tls_policy.h"

#include "internal.h"

struct word {
	const char *name;
	unsigned int value;
};

static const struct word trust_words[] = {
	{ "builtin", TLS_TRUST_BUILTIN },
	{ "trusted", TLS_TRUST_UPLOADED },
	{ "siptrusted", TLS_TRUST_SIPTRUSTED },
	{ NULL, 0 },
};
static const struct word allow_words[] = {
	{ "rsa1024", TLS_ALLOW_RSA1024 },
	{ "sha1", TLS_ALLOW_SHA1 },
	{ "no-san", TLS_ALLOW_NO_SAN },
	{ "no-eku", TLS_ALLOW_NO_EKU },
	{ NULL, 0 },
};
static const struct word version_words[] = {
	{ "1.0", TLS_V10 },
	{ "1.1", TLS_V11 },
	{ "1.2", TLS_V12 },
	{ "1.3", TLS_V13 },
	{ NULL, 0 },
};
static const struct word profile_words[] = {
	{ "intermediate", TLS_PROFILE_INTERMEDIATE },
	{ "modern", TLS_PROFILE_MODERN },
	{ "legacy", TLS_PROFILE_LEGACY },
	{ NULL, 0 },
};
static const struct word identity_words[] = {
	{ "none", TLS_ID_NONE },
	{ "auto", TLS_ID_AUTO },
	{ "factory", TLS_ID_FACTORY },
	{ "sip-owner", TLS_ID_SIP_OWNER },
	{ "server", TLS_ID_SERVER },
	{ NULL, 0 },
};

/* Finds the value of a word. */
static int
word_find(const struct word *w, struct slice s, unsigned int *out)
{
	for (; w->name != NULL; w++) {
		if (slice_is(s, w->name)) {
			*out = w->value;
			return 0;
		}
	}
	return E_PARSE;
}

/* The name of a value. */
static const char *
word_name(const struct word *w, unsigned int value)
{
	for (; w->name != NULL; w++) {
		if (w->value == value)
			return w->name;
	}
	return "unknown";
}

/* Reads words joined by `seps`; an empty text is no bit. */
static int
bits_parse(
    const struct word *w, const char *s, const char *seps, unsigned int *out)
{
	unsigned int bits = 0, bit;
	size_t n;

	if (s == NULL)
		return E_PARSE;
	while (*s != '\0') {
		n = strcspn(s, seps);
		if (word_find(w, slice_trim((struct slice){ s, n }), &bit) != 0)
			return E_PARSE;
		bits |= bit;
		s += n;
		if (*s != '\0' && *++s == '\0')
			return E_PARSE; /* a separator at the end */
	}
	*out = bits;
	return 0;
}

/* Writes the names of the set bits; "" for none. */
static void
bits_print(
    const struct word *w, unsigned int bits, char sep, char *out, size_t size)
{
	size_t n = 0;
	int k;

	if (size == 0)
		return;
	out[0] = '\0';
	for (; w->name != NULL && n < size; w++) {
		if ((bits & w->value) == 0)
			continue;
		k = n > 0 ? snprintf(out + n, size - n, "%c%s", sep, w->name)
			  : snprintf(out, size, "%s", w->name);
		n += k > 0 ? (size_t)k : 0;
	}
}

const char *
tls_use_name(enum tls_use use)
{
	static const char *const names[TLS_USE_MAX] = { "sip", "prov", "web",
		"syslog", "est" };

	return (unsigned int)use < TLS_USE_MAX ? names[use] : "unknown";
}

const char *
tls_identity_name(enum tls_identity id)
{
	return word_name(identity_words, id);
}

const char *
tls_version_name(uint16_t v)
{
	switch (v) {
	case 0:
		return "none";
	case TLS_V10:
		return "TLS 1.0";
	case TLS_V11:
		return "TLS 1.1";
	case TLS_V12:
		return "TLS 1.2";
	case TLS_V13:
		return "TLS 1.3";
	default:
		return "unknown";
	}
}

const char *
tls_profile_name(enum tls_profile p)
{
	return word_name(profile_words, p);
}

const char *
tls_field_name(enum tls_field f)
{
	static const char *const names[TLS_F_MAX] = { "versions", "profile",
		"verify", "trust", "name", "identity", "strength", "clock",
		"deadline" };

	return (unsigned int)f < TLS_F_MAX ? names[f] : "unknown";
}

int
tls_version_parse(const char *s, uint16_t *out)
{
	unsigned int v;
	int err = word_find(version_words, slice_of(s), &v);

	if (err == 0)
		*out = (uint16_t)v;
	return err;
}

int
tls_profile_parse(const char *s, enum tls_profile *out)
{
	unsigned int v;
	int err = word_find(profile_words, slice_of(s), &v);

	if (err == 0)
		*out = (enum tls_profile)v;
	return err;
}

int
tls_trust_parse(const char *s, unsigned int *out)
{
	return bits_parse(trust_words, s, "+,", out);
}

int
tls_identity_parse(const char *s, enum tls_identity *out)
{
	unsigned int v;
	int err = word_find(identity_words, slice_of(s), &v);

	if (err == 0)
		*out = (enum tls_identity)v;
	return err;
}

int
tls_allow_parse(const char *s, unsigned int *out)
{
	return bits_parse(allow_words, s, ",+", out);
}

void
tls_trust_print(unsigned int trust, char *out, size_t size)
{
	bits_print(trust_words, trust, '+', out, size);
}

void
tls_allow_print(unsigned int allow, char *out, size_t size)
{
	bits_print(allow_words, allow, ',', out, size);
}
