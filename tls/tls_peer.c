/* SPDX-License-Identifier: ISC */
/* Who is this?  Names in certificates: RFC 5922 for SIP, RFC 9525 for HTTPS.
 * Bytes are compared whole, ASCII letters without case. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <openssl/asn1.h>
#include <openssl/mem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "bellbird/log.h"
#include "bellbird/str.h"

#include "internal.h"

/* What was found while looking through the names. */
struct search {
	const struct tls_policy *p;
	struct slice want; /* the expected name */
	bool want_ip;
	bool any_san;     /* there is the extension: then the CN is no name */
	bool any_sip_uri; /* RFC 5922 7.1: then DNS names do not count */
	bool wildcard_would; /* a wildcard would match, were it allowed */
	char *matched;
	size_t size;
	bool found;
};

/* The bytes of a name; empty if there are NULs or spaces in it. */
static struct slice
text_of(const ASN1_STRING *s)
{
	struct slice t = { (const char *)ASN1_STRING_get0_data(s),
		(size_t)ASN1_STRING_length(s) };

	for (size_t i = 0; i < t.n; i++) {
		if ((unsigned char)t.p[i] <= ' ' ||
		    (unsigned char)t.p[i] >= 0x7f)
			return (struct slice){ "", 0 };
	}
	return t;
}

/* Same name, case folded, one trailing dot left out. */
static bool
same_name(struct slice a, struct slice b)
{
	if (a.n > 1 && a.p[a.n - 1] == '.')
		a.n--;
	if (b.n > 1 && b.p[b.n - 1] == '.')
		b.n--;
	return a.n > 0 && a.n == b.n && strncasecmp(a.p, b.p, a.n) == 0;
}

/* "*.example.com" against "sip.example.com": one whole left-most label, at
 * least two labels behind it. */
static bool
wildcard_match(struct slice pattern, struct slice name)
{
	const char *dot;

	if (pattern.n < 3 || pattern.p[0] != '*' || pattern.p[1] != '.')
		return false;
	pattern.p++;
	pattern.n--;
	if (memchr(pattern.p + 1, '.', pattern.n - 1) == NULL ||
	    memchr(pattern.p, '*', pattern.n) != NULL)
		return false;
	if ((dot = memchr(name.p, '.', name.n)) == NULL || dot == name.p)
		return false;
	name.n -= (size_t)(dot - name.p);
	name.p = dot;
	return same_name(pattern, name);
}

/* The host of a sip: URI without user part (RFC 5922 7.1); false for other
 * URIs. */
static bool
sip_host(struct slice uri, struct slice *host)
{
	size_t n = 0;

	if (uri.n < 5 || strncasecmp(uri.p, "sip:", 4) != 0)
		return false;
	uri.p += 4;
	uri.n -= 4;
	if (memchr(uri.p, '@', uri.n) != NULL)
		return false; /* that names a user, not a domain */
	if (uri.p[0] == '[') {
		const char *end = memchr(uri.p, ']', uri.n);

		n = end != NULL ? (size_t)(end - uri.p) + 1 : 0;
	} else {
		while (n < uri.n && strchr(":;?", uri.p[n]) == NULL)
			n++;
	}
	*host = (struct slice){ uri.p, n };
	return n > 0;
}

/* Notes the entry that matched. */
static void
hit(struct search *s, const char *kind, struct slice name)
{
	if (s->found)
		return;
	s->found = true;
	snprintf(s->matched, s->size, "%s:%s", kind, esc_n(name.p, name.n));
}

/* Compares an address with the bytes in the certificate. */
static void
ip_look(struct search *s, const ASN1_STRING *ip)
{
	int n = ASN1_STRING_length(ip);
	uint8_t want[16];
	char name[64];

	if (!s->want_ip || str_copy_slice(name, sizeof(name), s->want) != 0)
		return;
	if (inet_pton(n == 4 ? AF_INET : AF_INET6, name, want) == 1 &&
	    (n == 4 || n == 16) &&
	    memcmp(want, ASN1_STRING_get0_data(ip), (size_t)n) == 0)
		hit(s, "IP", s->want);
}

/* First look: URIs and addresses, which are exact. */
static void
exact_look(struct search *s, const GENERAL_NAME *g)
{
	struct slice name, host;

	if (g->type == GEN_IPADD) {
		ip_look(s, g->d.iPAddress);
	} else if (g->type == GEN_URI) {
		name = text_of(g->d.uniformResourceIdentifier);
		if (!sip_host(name, &host))
			return;
		s->any_sip_uri = true;
		if (s->p->name_rule == TLS_NAME_SIP && !s->want_ip &&
		    same_name(host, s->want))
			hit(s, "URI", name);
	}
}

/* Second look: DNS names, where the rule lets them count. */
static void
dns_look(struct search *s, const GENERAL_NAME *g)
{
	bool wild = s->p->name_rule == TLS_NAME_HTTPS || s->p->wildcard;
	struct slice name;

	if (g->type != GEN_DNS)
		return;
	name = text_of(g->d.dNSName);
	if (same_name(name, s->want)) {
		hit(s, "DNS", name);
	} else if (wildcard_match(name, s->want)) {
		if (wild)
			hit(s, "DNS", name);
		else
			s->wildcard_would = true;
	}
}

/* True if the last CN is the expected name. */
static bool
cn_is(X509 *leaf, struct slice want)
{
	X509_NAME *n = X509_get_subject_name(leaf);
	int i = -1, last = -1;

	while ((i = X509_NAME_get_index_by_NID(n, NID_commonName, i)) >= 0)
		last = i;
	return last >= 0 &&
	    same_name(
		text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(n, last))),
		want);
}

/* The class of a name that does not match. */
static const char *
miss(const struct search *s, bool cn_matches)
{
	if (s->wildcard_would)
		return "cert.wildcard_sip";
	if (!s->any_san && cn_matches)
		return "cert.cn_only";
	return s->want_ip ? "cert.ip_mismatch" : "cert.name_mismatch";
}

const char *
tls_peer_check(
    X509 *leaf, const struct tls_policy *p, char *matched, size_t size)
{
	struct search s = { .p = p,
		.want = slice_of(p->name),
		.want_ip = tls_name_is_ip(p->name),
		.matched = matched,
		.size = size };
	GENERAL_NAMES *gs;
	size_t n;

	if (p->name_rule == TLS_NAME_NONE)
		return NULL;
	s.any_san = X509_get_ext_by_NID(leaf, NID_subject_alt_name, -1) >= 0;
	gs = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	n = gs != NULL ? sk_GENERAL_NAME_num(gs) : 0;
	tls_err_drop();
	for (size_t i = 0; i < n; i++)
		exact_look(&s, sk_GENERAL_NAME_value(gs, i));
	if (!s.want_ip && !(p->name_rule == TLS_NAME_SIP && s.any_sip_uri)) {
		for (size_t i = 0; i < n; i++)
			dns_look(&s, sk_GENERAL_NAME_value(gs, i));
	}
	GENERAL_NAMES_free(gs);
	if (s.found)
		return NULL;
	if (!s.any_san && p->cn && cn_is(leaf, s.want)) {
		hit(&s, "CN", s.want);
		return NULL;
	}
	return miss(&s, cn_is(leaf, s.want));
}

/* True if one alternative name is the wanted one. */
static bool
name_is(const GENERAL_NAME *g, struct slice want, const char *name)
{
	struct slice uri, host;
	uint8_t ip[16];
	int n;

	switch (g->type) {
	case GEN_DNS:
		return same_name(text_of(g->d.dNSName), want);
	case GEN_URI:
		uri = text_of(g->d.uniformResourceIdentifier);
		return same_name(uri, want) ||
		    (sip_host(uri, &host) && same_name(host, want));
	case GEN_IPADD:
		n = ASN1_STRING_length(g->d.iPAddress);
		return (n == 4 || n == 16) &&
		    inet_pton(n == 4 ? AF_INET : AF_INET6, name, ip) == 1 &&
		    memcmp(ip, ASN1_STRING_get0_data(g->d.iPAddress),
			(size_t)n) == 0;
	default:
		return false;
	}
}

/* True if the last CN is the wanted name; it may be any text. */
static bool
cn_text_is(X509 *leaf, struct slice want)
{
	X509_NAME *n = X509_get_subject_name(leaf);
	int i = -1, last = -1, len;
	unsigned char *utf8;
	bool same;

	while ((i = X509_NAME_get_index_by_NID(n, NID_commonName, i)) >= 0)
		last = i;
	if (last < 0 ||
	    (len = ASN1_STRING_to_UTF8(&utf8,
		 X509_NAME_ENTRY_get_data(X509_NAME_get_entry(n, last)))) < 0) {
		tls_err_drop();
		return false;
	}
	same =
	    same_name((struct slice){ (const char *)utf8, (size_t)len }, want);
	OPENSSL_free(utf8);
	return same;
}

bool
tls_peer_has_name(X509 *leaf, const char *name)
{
	struct slice want = slice_of(name);
	GENERAL_NAMES *gs;
	bool has = cn_text_is(leaf, want);

	gs = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	tls_err_drop();
	for (size_t i = 0; gs != NULL && i < sk_GENERAL_NAME_num(gs); i++)
		has |= name_is(sk_GENERAL_NAME_value(gs, i), want, name);
	GENERAL_NAMES_free(gs);
	return has;
}
