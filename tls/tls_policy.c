/* SPDX-License-Identifier: ISC */
/* What one connection must hold, decided from settings, peer and clock.
 * A pure function: its test is a table. */
#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bellbird/tls_policy.h"

#include "internal.h"

enum {
	/* A slow ARM core under load needs seconds for RSA; users wait
	 * no longer than a minute. */
	HANDSHAKE_MS_MIN = 1000,
	HANDSHAKE_MS_MAX = 60000,
	HANDSHAKE_MS_DEFAULT = 15000
};

void
tls_settings_default(struct tls_settings *s, enum tls_use use)
{
	memset(s, 0, sizeof(*s));
	/* A browser that is asked bothers its user with a choice. */
	s->ask_client = use == TLS_USE_SIP;
	s->verify = true;
	s->force = true;
	s->min = TLS_V12;
	s->max = TLS_V13;
	s->profile = TLS_PROFILE_INTERMEDIATE;
	s->trust = TLS_TRUST_BUILTIN | TLS_TRUST_UPLOADED;
	s->identity = TLS_ID_AUTO;
	s->handshake_ms = HANDSHAKE_MS_DEFAULT;
}

/* Stores the reason of one field; a long name is cut, never the sentence's
 * meaning. */
static void __attribute__((format(printf, 3, 4)))
reason(struct tls_policy *p, enum tls_field f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->why[f], sizeof(p->why[f]), fmt, ap);
	va_end(ap);
}

/* Refuses the settings with one sentence. */
static int __attribute__((format(printf, 3, 4)))
refuse(char *why, size_t why_size, const char *fmt, ...)
{
	va_list ap;

	if (why != NULL) {
		va_start(ap, fmt);
		vsnprintf(why, why_size, fmt, ap);
		va_end(ap);
	}
	return E_TLS_PARAM;
}

/* Whose settings count: those of provisioning also for what has none. */
static const char *
keys_of(enum tls_use use)
{
	return tls_use_name(
	    use == TLS_USE_SYSLOG || use == TLS_USE_EST ? TLS_USE_PROV : use);
}

/* True for the four versions that exist. */
static bool
is_version(uint16_t v)
{
	return v >= TLS_V10 && v <= TLS_V13;
}

/* "1.2" of "TLS 1.2", as the settings spell it; of one that exists. */
static const char *
short_version(uint16_t v)
{
	return tls_version_name(v) + strlen("TLS ");
}

/* Versions and profile belong together: below 1.2 only legacy has ciphers. */
static int
decide_versions(struct tls_policy *p, const struct tls_settings *s, char *why,
    size_t why_size)
{
	const char *u = keys_of(p->use);

	if (!is_version(s->min) || !is_version(s->max))
		return refuse(why, why_size,
		    "%s.tls.min and %s.tls.max know 1.0, 1.1, 1.2 and 1.3", u,
		    u);
	if (s->force && s->max < TLS_V12)
		return refuse(why, why_size,
		    "%s.tls.max = %s contradicts %s.tls.force = 1, which "
		    "means TLS 1.2 or 1.3: raise %s.tls.max or set "
		    "%s.tls.force = 0",
		    u, short_version(s->max), u, u, u);
	p->min = s->force && s->min < TLS_V12 ? TLS_V12 : s->min;
	p->max = s->max;
	if (p->min > p->max)
		return refuse(why, why_size,
		    "%s.tls.min = %s is above %s.tls.max = %s", u,
		    short_version(s->min), u, short_version(s->max));
	if (p->min < TLS_V12 && s->profile != TLS_PROFILE_LEGACY)
		return refuse(why, why_size,
		    "%s.tls.min = %s needs %s.tls.profile = legacy: the "
		    "profile %s has no cipher for it",
		    u, short_version(s->min), u, tls_profile_name(s->profile));
	if (s->force && s->min < TLS_V12)
		reason(p, TLS_F_VERSIONS,
		    "%s.tls.force = 1 raises %s.tls.min = %s to 1.2", u, u,
		    short_version(s->min));
	else if (p->min < TLS_V12)
		reason(p, TLS_F_VERSIONS,
		    "%s.tls.force = 0 and %s.tls.min = %s allow old, weak "
		    "versions",
		    u, u, short_version(s->min));
	else if (p->min == p->max)
		reason(p, TLS_F_VERSIONS,
		    "%s.tls.min and %s.tls.max leave one version", u, u);
	else
		reason(
		    p, TLS_F_VERSIONS, "from %s.tls.min and %s.tls.max", u, u);
	return 0;
}

/* The sets of ciphers, groups and signature algorithms. */
static void
decide_profile(struct tls_policy *p, const struct tls_settings *s)
{
	static const char *const what[] = {
		[TLS_PROFILE_INTERMEDIATE] = "ECDHE with AEAD; X25519, P-256, "
					     "P-384",
		[TLS_PROFILE_MODERN] = "ECDHE with AEAD; X25519, P-256",
		[TLS_PROFILE_LEGACY] = "also CBC-SHA and RSA key exchange, "
				       "for old peers",
	};

	p->profile = s->profile;
	reason(p, TLS_F_PROFILE, "%s.tls.profile = %s: %s", keys_of(p->use),
	    tls_profile_name(s->profile), what[s->profile]);
}

/* Whether the peer's certificate is judged. */
static void
decide_verify(struct tls_policy *p, const struct tls_settings *s)
{
	static const char serverauth[] = "; one for servers will do";
	const char *u = keys_of(p->use);

	if (p->dir == TLS_CLIENT && p->use == TLS_USE_EST) {
		p->verify = true;
		reason(p, TLS_F_VERIFY,
		    "always: whoever issues our certificate must prove who it "
		    "is (RFC 7030 3.3.1)");
		return;
	}
	if (p->dir == TLS_CLIENT) {
		p->verify = s->verify;
		if (s->verify)
			reason(p, TLS_F_VERIFY,
			    "%s.tls.verify = 1: the server must prove who it "
			    "is",
			    u);
		else
			reason(p, TLS_F_VERIFY,
			    "%s.tls.verify = 0: NOT checked, anybody could "
			    "answer in the server's place",
			    u);
		return;
	}
	p->require_client = s->require_client;
	p->verify = s->require_client || s->ask_client;
	p->serverauth_client = p->verify && s->serverauth_client;
	if (s->require_client)
		reason(p, TLS_F_VERIFY,
		    "a client certificate is demanded and judged%s",
		    s->serverauth_client ? serverauth : "");
	else if (p->verify)
		reason(p, TLS_F_VERIFY,
		    "a client certificate is asked for; one that does not "
		    "hold gives no identity%s",
		    s->serverauth_client ? serverauth : "");
	else
		reason(p, TLS_F_VERIFY, "no client certificate is asked for");
}

/* Which anchors count. */
static int
decide_trust(struct tls_policy *p, const struct tls_settings *s, char *why,
    size_t why_size)
{
	const char *u = keys_of(p->use);
	char sets[40];

	p->trust = s->trust &
	    (TLS_TRUST_BUILTIN | TLS_TRUST_UPLOADED | TLS_TRUST_SIPTRUSTED);
	if (p->verify && p->trust == 0)
		return refuse(why, why_size,
		    "%s.tls.trust is empty while %s.tls.verify = 1: no "
		    "certificate could ever be trusted",
		    u, u);
	tls_trust_print(p->trust, sets, sizeof(sets));
	if (p->verify)
		reason(p, TLS_F_TRUST, "%s.tls.trust = %s", u, sets);
	else
		reason(p, TLS_F_TRUST,
		    "%s.tls.trust = %s, only reported: nothing is verified", u,
		    sets);
	return 0;
}

/* The length of an address before its zone ("%eth0"), if there is one. */
static size_t
zone_at(struct slice s)
{
	const char *zone = memchr(s.p, '%', s.n);

	if (zone == NULL || memchr(s.p, ':', s.n) == NULL)
		return s.n;
	return (size_t)(zone - s.p);
}

/* True for a literal IPv4 or IPv6 address, a zone may follow (RFC 4007). */
bool
tls_name_is_ip(const char *name)
{
	char text[INET6_ADDRSTRLEN];
	struct slice s = slice_of(name);
	struct in6_addr a;

	s.n = zone_at(s);
	return str_copy_slice(text, sizeof(text), s) == 0 &&
	    (inet_pton(AF_INET, text, &a) == 1 ||
		inet_pton(AF_INET6, text, &a) == 1);
}

/* The length of a name before its port, if there is one: "h:5061", also
 * "[::1]:5061", but not "::1". */
static size_t
port_at(struct slice s)
{
	const char *colon = memrchr(s.p, ':', s.n);
	struct slice port;
	int64_t n;

	if (colon == NULL)
		return s.n;
	port = (struct slice){ colon + 1, s.n - (size_t)(colon + 1 - s.p) };
	if (str_int(port, 0, 65535, &n) != 0 ||
	    (memchr(s.p, ':', s.n) != colon && colon[-1] != ']'))
		return s.n;
	return (size_t)(colon - s.p);
}

/* Copies what of a name a certificate could carry: neither port, brackets,
 * zone nor trailing dot; false if it cannot be one. */
static bool
name_copy(char out[static TLS_NAME_MAX + 1], const char *name)
{
	struct slice s = slice_of(name);

	s.n = port_at(s);
	if (s.p[0] == '[' && s.p[s.n - 1] == ']') {
		s.p++;
		s.n -= 2;
	}
	s.n = zone_at(s);
	if (s.n > 0 && s.p[s.n - 1] == '.')
		s.n--;
	for (size_t i = 0; i < s.n; i++) {
		/* Names on the wire are ASCII (A-labels). */
		if ((unsigned char)s.p[i] <= ' ' ||
		    (unsigned char)s.p[i] >= 0x7f)
			return false;
	}
	if (str_copy_slice(out, TLS_NAME_MAX + 1, s) != 0)
		return false;
	return tls_name_is_ip(out) ||
	    (out[0] != '\0' && out[0] != '.' && strpbrk(out, ":[]") == NULL);
}

/* Whom we expect, and by which rule. */
static int
decide_name(struct tls_policy *p, const char *peer,
    const struct tls_settings *s, char *why, size_t why_size)
{
	const char *u = keys_of(p->use);
	const char *rule, *from;

	if (p->dir == TLS_SERVER) {
		p->name_rule = TLS_NAME_NONE;
		reason(p, TLS_F_NAME,
		    "a listener expects no certain name; who may call is "
		    "decided later");
		return 0;
	}
	from = s->name[0] != '\0' ? s->name : peer;
	if (from == NULL || !name_copy(p->name, from))
		return refuse(why, why_size,
		    "%s.tls.name and the configured server give no name that "
		    "a certificate could carry",
		    u);
	p->name_rule = p->use == TLS_USE_SIP ? TLS_NAME_SIP : TLS_NAME_HTTPS;
	/* The only name of a certificate without SAN is its CN: tolerating the
	 * one and letting the other count are the same thing. */
	p->cn = s->cn || (s->allow & TLS_ALLOW_NO_SAN) != 0;
	p->wildcard = s->wildcard;
	rule = tls_name_is_ip(p->name)     ? "an IP address in the SAN"
	    : p->name_rule == TLS_NAME_SIP ? "RFC 5922: URI:sip, else DNS"
					   : "RFC 9525: DNS in the SAN";
	reason(p, TLS_F_NAME, "%s; by %s%s%s",
	    s->name[0] != '\0' ? "the expected name is set by tls.name"
			       : "the name the user configured",
	    rule, p->cn ? "; CN counts if there is no SAN" : "",
	    s->wildcard && p->name_rule == TLS_NAME_SIP
		? "; one wildcard label counts"
		: "");
	return 0;
}

/* Which slot we show. */
static int
decide_identity(struct tls_policy *p, const struct tls_settings *s, char *why,
    size_t why_size)
{
	const char *u = keys_of(p->use);

	if (p->dir == TLS_SERVER) {
		p->identity = TLS_ID_SERVER;
		reason(p, TLS_F_IDENTITY,
		    "a listener shows the server certificate, never the "
		    "device's");
		return 0;
	}
	if (s->identity == TLS_ID_SERVER)
		return refuse(why, why_size,
		    "%s.tls.identity = server: that certificate is for "
		    "listeners, a client cannot show it",
		    u);
	if (s->identity == TLS_ID_SIP_OWNER && p->use != TLS_USE_SIP &&
	    p->use != TLS_USE_EST)
		return refuse(why, why_size,
		    "%s.tls.identity = sip-owner: that certificate is for "
		    "sip only",
		    u);
	if (s->identity != TLS_ID_AUTO) {
		p->identity = s->identity;
		reason(p, TLS_F_IDENTITY, "%s.tls.identity = %s", u,
		    tls_identity_name(s->identity));
		return 0;
	}
	if (p->use == TLS_USE_EST) {
		/* RFC 7030 3.3.2: the one being renewed, else the one the
		 * device came with; never chosen again by what a server
		 * lists, since the request depends on it. */
		p->identity =
		    s->sip_owner_present ? TLS_ID_SIP_OWNER : TLS_ID_FACTORY;
		reason(p, TLS_F_IDENTITY,
		    s->sip_owner_present
			? "the owner's certificate renews itself"
			: "the device certificate asks for the owner's first");
		return 0;
	}
	p->identity_auto = true;
	p->identity = TLS_ID_FACTORY;
	if (p->use == TLS_USE_SIP && s->sip_owner_present) {
		p->identity = TLS_ID_SIP_OWNER;
		reason(p, TLS_F_IDENTITY,
		    "auto: the owner's sipclient.pem is installed; the CA "
		    "names a server lists may choose again");
	} else {
		reason(p, TLS_F_IDENTITY,
		    "auto: the device certificate, whose CN is the MAC");
	}
	return 0;
}

/* What a certificate must be like. */
static void
decide_strength(struct tls_policy *p, const struct tls_settings *s)
{
	char over[64] = "";

	p->allow = s->allow &
	    (TLS_ALLOW_RSA1024 | TLS_ALLOW_SHA1 | TLS_ALLOW_NO_SAN |
		TLS_ALLOW_NO_EKU);
	if (p->cn)
		p->allow |= TLS_ALLOW_NO_SAN;
	tls_allow_print(p->allow, over, sizeof(over));
	if (over[0] == '\0')
		reason(p, TLS_F_STRENGTH,
		    "the floor: RSA 2048, no MD5 or SHA-1, SAN and EKU "
		    "present");
	else
		reason(p, TLS_F_STRENGTH,
		    "the floor, lowered by %s.tls.allow: %s%s", keys_of(p->use),
		    over, s->cn ? " (tls.cn = 1 implies no-san)" : "");
}

/* Validity is never skipped. */
void
tls_policy_clock(struct tls_policy *p, const struct tls_clock *clock)
{
	if (p->at_s != 0) {
		p->verify_time_s = 0;
		reason(p, TLS_F_CLOCK, "the time that was asked for counts");
		return;
	}
	if (clock->trusted && clock->wall_s >= clock->floor_s) {
		p->verify_time_s = 0;
		reason(p, TLS_F_CLOCK, "the clock is good: its time counts");
		return;
	}
	p->verify_time_s = clock->floor_s;
	reason(p, TLS_F_CLOCK,
	    "%s: from the last time known to have passed to what it says",
	    clock->wall_s < clock->floor_s
		? "the clock is behind the build or the last good time"
		: "the clock is not confirmed yet");
}

/* How long a handshake may take. */
static int
decide_deadline(struct tls_policy *p, const struct tls_settings *s, char *why,
    size_t why_size)
{
	if (s->handshake_ms < HANDSHAKE_MS_MIN ||
	    s->handshake_ms > HANDSHAKE_MS_MAX)
		return refuse(why, why_size,
		    "%s.tls: a handshake may take 1 to 60 seconds",
		    keys_of(p->use));
	p->handshake_ms = s->handshake_ms;
	reason(p, TLS_F_DEADLINE,
	    "connecting and the whole handshake within %u ms",
	    (unsigned int)s->handshake_ms);
	return 0;
}

int
tls_policy_decide(struct tls_policy *out, enum tls_use use, enum tls_dir dir,
    const char *peer, const struct tls_settings *s,
    const struct tls_clock *clock, char *why, size_t why_size)
{
	struct tls_policy p;
	int err;

	memset(&p, 0, sizeof(p));
	p.use = use;
	p.dir = dir;
	if ((unsigned int)use >= TLS_USE_MAX ||
	    (unsigned int)s->profile > TLS_PROFILE_LEGACY ||
	    (unsigned int)s->identity >= TLS_ID_MAX)
		return refuse(why, why_size, "unknown use, profile or slot");
	if ((err = decide_versions(&p, s, why, why_size)) != 0)
		return err;
	decide_profile(&p, s);
	decide_verify(&p, s);
	if ((err = decide_trust(&p, s, why, why_size)) != 0)
		return err;
	if ((err = decide_name(&p, peer, s, why, why_size)) != 0)
		return err;
	if ((err = decide_identity(&p, s, why, why_size)) != 0)
		return err;
	decide_strength(&p, s);
	tls_policy_clock(&p, clock);
	if ((err = decide_deadline(&p, s, why, why_size)) != 0)
		return err;
	*out = p;
	return 0;
}
