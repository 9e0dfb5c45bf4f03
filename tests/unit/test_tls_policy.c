/* SPDX-License-Identifier: ISC */
/* The policy is a pure function: its test is a table.  A row changes some
 * settings and says which fields and reasons differ from those of the use;
 * all others are compared too, so that no row is blind to any field.
 * tests/mutants.py takes each rule away: a row must fail. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellbird/buf.h"
#include "bellbird/str.h"
#include "bellbird/tls_policy.h"
#include "../../tls/internal.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

enum { TEXT_MAX = 600, WHYS = 4 };

#define SIP          TLS_USE_SIP, TLS_CLIENT, "sip.example"
#define SIP_TO(peer) TLS_USE_SIP, TLS_CLIENT, peer
#define PROV         TLS_USE_PROV, TLS_CLIENT, "p.example"
#define SYSLOG       TLS_USE_SYSLOG, TLS_CLIENT, "log.example"
#define EST          TLS_USE_EST, TLS_CLIENT, "ca.example"
#define LISTEN       TLS_USE_SIP, TLS_SERVER, NULL
#define WEB          TLS_USE_WEB, TLS_SERVER, NULL

/* One decision.  In the texts '@' is the word before ".tls." of the use. */
struct row {
	const char *what;
	enum tls_use use;
	enum tls_dir dir;
	const char *peer;
	const char *set;       /* "key=value .." */
	const char *want;      /* the fields that differ; NULL: it is refused */
	const char *why[WHYS]; /* "field: reason" of those that differ; of a
				  refusal the sentence */
};

#define CLEAR_NAME "; by RFC 5922: URI:sip, else DNS"
#define OWNER                                                             \
	"identity: auto: the owner's sipclient.pem is installed; the CA " \
	"names a server lists may choose again"
#define FLOOR      "the floor, lowered by @.tls.allow: "
#define CN_IMPLIES " (tls.cn = 1 implies no-san)"
#define OLD_CIPHERS                                                  \
	"profile: @.tls.profile = legacy: also CBC-SHA and RSA key " \
	"exchange, for old peers"
#define CONFIGURED "name: the name the user configured; by "
#define SIP_NAME   CONFIGURED "RFC 5922: URI:sip, else DNS"
#define HTTPS_NAME CONFIGURED "RFC 9525: DNS in the SAN"
#define NO_TRUST                                                       \
	"@.tls.trust is empty while @.tls.verify = 1: no certificate " \
	"could ever be trusted"
#define NO_NAME                                                     \
	"@.tls.name and the configured server give no name that a " \
	"certificate could carry"
#define BAD_VERSION "@.tls.min and @.tls.max know 1.0, 1.1, 1.2 and 1.3"
#define BAD_TIME    "@.tls: a handshake may take 1 to 60 seconds"

static const struct row versions[] = {
	{ "defaults of sip", SIP, "", "", { NULL } },
	{ "defaults of prov", PROV, "", "", { NULL } },
	{ "defaults of syslog", SYSLOG, "", "", { NULL } },
	{ "defaults of enrolment", EST, "", "", { NULL } },
	{ "defaults of a SIP listener", LISTEN, "", "", { NULL } },
	{ "defaults of the web", WEB, "", "", { NULL } },
	{ "force lifts 1.0", SIP, "min=1.0", "",
	    { "versions: @.tls.force = 1 raises @.tls.min = 1.0 to 1.2" } },
	{ "force lifts 1.1", PROV, "min=1.1", "",
	    { "versions: @.tls.force = 1 raises @.tls.min = 1.1 to 1.2" } },
	{ "force lifts up to one version", WEB, "min=1.0 max=1.2", "max=1.2",
	    { "versions: @.tls.force = 1 raises @.tls.min = 1.0 to 1.2" } },
	{ "force without anything to lift", SIP, "force=0", "", { NULL } },
	{ "1.0 on purpose", SIP, "force=0 min=1.0 profile=legacy",
	    "min=1.0 profile=legacy",
	    { "versions: @.tls.force = 0 and @.tls.min = 1.0 allow old, weak "
	      "versions",
		OLD_CIPHERS } },
	{ "1.1 on purpose", LISTEN, "force=0 min=1.1 profile=legacy",
	    "min=1.1 profile=legacy",
	    { "versions: @.tls.force = 0 and @.tls.min = 1.1 allow old, weak "
	      "versions",
		OLD_CIPHERS } },
	{ "only 1.0", PROV, "force=0 min=1.0 max=1.0 profile=legacy",
	    "min=1.0 max=1.0 profile=legacy",
	    { "versions: @.tls.force = 0 and @.tls.min = 1.0 allow old, weak "
	      "versions",
		OLD_CIPHERS } },
	{ "only 1.1", SIP, "force=0 min=1.1 max=1.1 profile=legacy",
	    "min=1.1 max=1.1 profile=legacy",
	    { "versions: @.tls.force = 0 and @.tls.min = 1.1 allow old, weak "
	      "versions",
		OLD_CIPHERS } },
	{ "only 1.2", PROV, "max=1.2", "max=1.2",
	    { "versions: @.tls.min and @.tls.max leave one version" } },
	{ "only 1.3", SIP, "min=1.3", "min=1.3",
	    { "versions: @.tls.min and @.tls.max leave one version" } },
	{ "only 1.3, without force", SYSLOG, "min=1.3 force=0", "min=1.3",
	    { "versions: @.tls.min and @.tls.max leave one version" } },
	{ "max below 1.2 with force", SIP, "min=1.0 max=1.1", NULL,
	    { "@.tls.max = 1.1 contradicts @.tls.force = 1, which means TLS "
	      "1.2 or 1.3: raise @.tls.max or set @.tls.force = 0" } },
	{ "the same with legacy", WEB, "min=1.0 max=1.0 profile=legacy", NULL,
	    { "@.tls.max = 1.0 contradicts @.tls.force = 1, which means TLS "
	      "1.2 or 1.3: raise @.tls.max or set @.tls.force = 0" } },
	{ "min above max", PROV, "min=1.3 max=1.2", NULL,
	    { "@.tls.min = 1.3 is above @.tls.max = 1.2" } },
	{ "min above max, below 1.2", SIP,
	    "force=0 min=1.1 max=1.0 profile=legacy", NULL,
	    { "@.tls.min = 1.1 is above @.tls.max = 1.0" } },
	{ "1.1 with intermediate", SIP, "force=0 min=1.1", NULL,
	    { "@.tls.min = 1.1 needs @.tls.profile = legacy: the profile "
	      "intermediate has no cipher for it" } },
	{ "only 1.0 with modern", EST, "force=0 min=1.0 max=1.0 profile=modern",
	    NULL,
	    { "@.tls.min = 1.0 needs @.tls.profile = legacy: the profile "
	      "modern has no cipher for it" } },
	{ "SSL 3 as min", SIP, "min=ssl3", NULL, { BAD_VERSION } },
	{ "SSL 3 as max", SIP, "force=0 min=1.0 profile=legacy max=ssl3", NULL,
	    { BAD_VERSION } },
	{ "a version above 1.3 as max", WEB, "max=1.4", NULL, { BAD_VERSION } },
	{ "a version above 1.3 as min", PROV, "min=1.4", NULL,
	    { BAD_VERSION } },
};

static const struct row sets[] = {
	{ "modern", SIP, "profile=modern", "profile=modern",
	    { "profile: @.tls.profile = modern: ECDHE with AEAD; X25519, "
	      "P-256" } },
	{ "legacy ciphers from 1.2 on", PROV, "profile=legacy",
	    "profile=legacy", { OLD_CIPHERS } },
	{ "a profile there is not", SIP, "profile=9", NULL,
	    { "unknown use, profile or slot" } },
	{ "a use there is not", TLS_USE_MAX, TLS_CLIENT, "a.example", "", NULL,
	    { "unknown use, profile or slot" } },
	{ "not verified", SIP, "verify=0", "verify=0",
	    { "verify: @.tls.verify = 0: NOT checked, anybody could answer in "
	      "the server's place",
		"trust: @.tls.trust = builtin+trusted, only reported: nothing "
		"is verified" } },
	{ "not verified, prov", PROV, "verify=0", "verify=0",
	    { "verify: @.tls.verify = 0: NOT checked, anybody could answer in "
	      "the server's place",
		"trust: @.tls.trust = builtin+trusted, only reported: nothing "
		"is verified" } },
	{ "not verified, enrolment: RFC 7030 3.3.1", EST, "verify=0", "",
	    { NULL } },
	{ "a client demands nothing of a client", SIP,
	    "require=1 ask=1 serverauth=1", "", { NULL } },
	{ "a listener does not ask by sip.tls.verify", LISTEN, "verify=0", "",
	    { NULL } },
	{ "a listener told to ask nobody", LISTEN, "ask=0", "verify=0",
	    { "verify: no client certificate is asked for",
		"trust: @.tls.trust = builtin+trusted, only reported: nothing "
		"is verified" } },
	{ "a listener that demands", LISTEN, "require=1", "require=1",
	    { "verify: a client certificate is demanded and judged" } },
	{ "a listener that demands, asking unset", LISTEN, "require=1 ask=0",
	    "require=1",
	    { "verify: a client certificate is demanded and judged" } },
	{ "a listener that demands, servers' will do", LISTEN,
	    "require=1 serverauth=1", "require=1 serverauth=1",
	    { "verify: a client certificate is demanded and judged; one for "
	      "servers will do" } },
	{ "a listener that asks, servers' will do", LISTEN, "serverauth=1",
	    "serverauth=1",
	    { "verify: a client certificate is asked for; one that does not "
	      "hold gives no identity; one for servers will do" } },
	{ "servers' will do, but nobody is asked", WEB, "serverauth=1", "",
	    { NULL } },
	{ "enrolment is asked for by clients alone", TLS_USE_EST, TLS_SERVER,
	    NULL, "", "verify=0",
	    { "verify: no client certificate is asked for",
		"trust: @.tls.trust = builtin+trusted, only reported: nothing "
		"is verified" } },
	{ "the web asks", WEB, "ask=1", "verify=1",
	    { "verify: a client certificate is asked for; one that does not "
	      "hold gives no identity",
		"trust: @.tls.trust = builtin+trusted" } },
	{ "the web demands", WEB, "require=1", "verify=1 require=1",
	    { "verify: a client certificate is demanded and judged",
		"trust: @.tls.trust = builtin+trusted" } },
	{ "builtin alone", PROV, "trust=builtin", "trust=builtin",
	    { "trust: @.tls.trust = builtin" } },
	{ "uploaded alone", SIP, "trust=trusted", "trust=trusted",
	    { "trust: @.tls.trust = trusted" } },
	{ "siptrusted alone", SIP, "trust=siptrusted", "trust=siptrusted",
	    { "trust: @.tls.trust = siptrusted" } },
	{ "all three", LISTEN, "trust=builtin+trusted+siptrusted",
	    "trust=builtin+trusted+siptrusted",
	    { "trust: @.tls.trust = builtin+trusted+siptrusted" } },
	{ "a set there is not", SIP, "trust=15",
	    "trust=builtin+trusted+siptrusted",
	    { "trust: @.tls.trust = builtin+trusted+siptrusted" } },
	{ "nothing to trust", SIP, "trust=", NULL, { NO_TRUST } },
	{ "nothing but a set there is not", SIP, "trust=8", NULL,
	    { NO_TRUST } },
	{ "nothing to trust an issuer by", EST, "trust= verify=0", NULL,
	    { NO_TRUST } },
	{ "nothing to trust, nothing verified", SIP, "trust= verify=0",
	    "trust= verify=0",
	    { "verify: @.tls.verify = 0: NOT checked, anybody could answer in "
	      "the server's place",
		"trust: @.tls.trust = , only reported: nothing is "
		"verified" } },
};

static const struct row names[] = {
	{ "tls.name wins", SIP, "name=other.example", "name=other.example",
	    { "name: the expected name is set by tls.name" CLEAR_NAME } },
	{ "tls.name alone", SIP_TO(NULL), "name=other.example",
	    "name=other.example",
	    { "name: the expected name is set by tls.name" CLEAR_NAME } },
	{ "an address", SIP_TO("192.0.2.1"), "", "name=192.0.2.1",
	    { CONFIGURED "an IP address in the SAN" } },
	{ "an IPv6 address for prov", TLS_USE_PROV, TLS_CLIENT,
	    "[2001:db8::1]:443", "", "name=2001:db8::1",
	    { CONFIGURED "an IP address in the SAN" } },
	{ "an address though a name is configured", PROV, "name=192.0.2.1",
	    "name=192.0.2.1",
	    { "name: the expected name is set by tls.name; by an IP address "
	      "in the SAN" } },
	{ "wildcard", SIP, "wildcard=1", "wildcard=1",
	    { SIP_NAME "; one wildcard label counts" } },
	{ "wildcard: RFC 9525 has it anyway", PROV, "wildcard=1", "wildcard=1",
	    { NULL } },
	{ "cn implies no-san", SIP, "cn=1", "cn=1 allow=no-san",
	    { SIP_NAME "; CN counts if there is no SAN",
		"strength: " FLOOR "no-san" CN_IMPLIES } },
	{ "no-san implies cn", PROV, "allow=no-san", "cn=1 allow=no-san",
	    { HTTPS_NAME "; CN counts if there is no SAN",
		"strength: " FLOOR "no-san" } },
	{ "cn and wildcard", SIP, "cn=1 wildcard=1",
	    "cn=1 wildcard=1 allow=no-san",
	    { SIP_NAME "; CN counts if there is no SAN; one wildcard label "
		       "counts",
		"strength: " FLOOR "no-san" CN_IMPLIES } },
	{ "no name at all", SIP_TO(NULL), "", NULL, { NO_NAME } },
	{ "an empty name", SIP_TO(""), "", NULL, { NO_NAME } },
	{ "only brackets", SIP_TO("[]:5061"), "", NULL, { NO_NAME } },
	{ "only a port", SIP_TO(":5061"), "", NULL, { NO_NAME } },
	{ "only a dot", SIP_TO("."), "", NULL, { NO_NAME } },
	{ "a dot in front", SIP_TO(".example"), "", NULL, { NO_NAME } },
	{ "no address in brackets", SIP_TO("[sip.example"), "", NULL,
	    { NO_NAME } },
	{ "two ports", SIP_TO("sip.example:1:2"), "", NULL, { NO_NAME } },
	{ "a name with a space", SIP, "name=a_b", NULL, { NO_NAME } },
	{ "a name beyond ASCII", SIP_TO("b\xc3\xbc.example"), "", NULL,
	    { NO_NAME } },
	{ "DEL in a name", SIP_TO("a\x7f"), "", NULL, { NO_NAME } },
	{ "the listener's settings of a name", LISTEN,
	    "name=other.example wildcard=1", "", { NULL } },
	{ "a listener does not take the CN", LISTEN, "cn=1", "",
	    { "strength: the floor: RSA 2048, no MD5 or SHA-1, SAN and EKU "
	      "present" } },
};

static const struct row slots[] = {
	{ "the owner's for sip", SIP, "owner=1", "id=sip-owner", { OWNER } },
	{ "the device's for prov, whose CN is checked", PROV, "owner=1", "",
	    { NULL } },
	{ "the device's for syslog", SYSLOG, "owner=1", "", { NULL } },
	{ "renewing shows what is renewed", EST, "owner=1", "id=sip-owner",
	    { "identity: the owner's certificate renews itself" } },
	{ "none", SIP, "id=none owner=1", "id=none auto=0",
	    { "identity: @.tls.identity = none" } },
	{ "factory though the owner's is there", SIP, "id=factory owner=1",
	    "id=factory auto=0", { "identity: @.tls.identity = factory" } },
	{ "sip-owner by name", SIP, "id=sip-owner", "id=sip-owner auto=0",
	    { "identity: @.tls.identity = sip-owner" } },
	{ "sip-owner by name, enrolment", EST, "id=sip-owner",
	    "id=sip-owner auto=0", { "identity: @.tls.identity = sip-owner" } },
	{ "factory by name, enrolment", EST, "id=factory owner=1",
	    "id=factory auto=0", { "identity: @.tls.identity = factory" } },
	{ "none for prov", PROV, "id=none", "id=none auto=0",
	    { "identity: @.tls.identity = none" } },
	{ "the owner's for prov", PROV, "id=sip-owner", NULL,
	    { "@.tls.identity = sip-owner: that certificate is for sip "
	      "only" } },
	{ "the owner's for syslog", SYSLOG, "id=sip-owner", NULL,
	    { "@.tls.identity = sip-owner: that certificate is for sip "
	      "only" } },
	{ "the listener's for a client", SIP, "id=server", NULL,
	    { "@.tls.identity = server: that certificate is for listeners, a "
	      "client cannot show it" } },
	{ "a listener never shows the device", LISTEN, "id=factory", "",
	    { NULL } },
	{ "a listener never shows the owner's", LISTEN, "owner=1", "",
	    { NULL } },
	{ "the listener's for a listener", WEB, "id=server", "", { NULL } },
	{ "a slot there is not", SIP, "id=9", NULL,
	    { "unknown use, profile or slot" } },
};

static const struct row rest[] = {
	{ "rsa1024", SIP, "allow=rsa1024", "allow=rsa1024",
	    { "strength: " FLOOR "rsa1024" } },
	{ "sha1", PROV, "allow=sha1", "allow=sha1",
	    { "strength: " FLOOR "sha1" } },
	{ "no-eku", LISTEN, "allow=no-eku", "allow=no-eku",
	    { "strength: " FLOOR "no-eku" } },
	{ "no-san of a listener", LISTEN, "allow=no-san", "allow=no-san",
	    { "strength: " FLOOR "no-san" } },
	{ "all of them", SIP, "allow=rsa1024,sha1,no-san,no-eku",
	    "cn=1 allow=rsa1024,sha1,no-san,no-eku",
	    { SIP_NAME "; CN counts if there is no SAN",
		"strength: " FLOOR "rsa1024,sha1,no-san,no-eku" } },
	{ "one there is not", SIP, "allow=32", "", { NULL } },
	{ "a clock nobody confirmed", SIP, "wall=2000 confirmed=0", "time=1000",
	    { "clock: the clock is not confirmed yet: from the last time known "
	      "to have passed to what it says" } },
	{ "a clock behind the floor", PROV, "wall=999 confirmed=1", "time=1000",
	    { "clock: the clock is behind the build or the last good time: "
	      "from the last time known to have passed to what it says" } },
	{ "a clock of 1970", WEB, "wall=0 confirmed=0", "time=1000",
	    { "clock: the clock is behind the build or the last good time: "
	      "from the last time known to have passed to what it says" } },
	{ "a clock at the floor", EST, "wall=1000 confirmed=1", "", { NULL } },
	{ "at the floor, unconfirmed", SIP, "wall=1000 confirmed=0",
	    "time=1000",
	    { "clock: the clock is not confirmed yet: from the last time known "
	      "to have passed to what it says" } },
	{ "the shortest time", SIP, "ms=1000", "ms=1000",
	    { "deadline: connecting and the whole handshake within 1000 "
	      "ms" } },
	{ "the longest time", WEB, "ms=60000", "ms=60000",
	    { "deadline: connecting and the whole handshake within 60000 "
	      "ms" } },
	{ "too short", SIP, "ms=999", NULL, { BAD_TIME } },
	{ "too long", PROV, "ms=60001", NULL, { BAD_TIME } },
	{ "no time at all", EST, "ms=0", NULL, { BAD_TIME } },
};

static const struct {
	const char *name;
	const struct row *rows;
	size_t n;
} tables[] = {
	{ "versions", versions, LEN(versions) },
	{ "sets", sets, LEN(sets) },
	{ "names", names, LEN(names) },
	{ "slots", slots, LEN(slots) },
	{ "rest", rest, LEN(rest) },
};

/* ---- reading a row ---- */

/* Takes the next "key=value" of a text apart; false at its end. */
static bool
pair(const char **text, char key[20], char value[80])
{
	struct slice all = slice_trim(slice_of(*text)), item, word;

	if (all.n == 0)
		return false;
	slice_cut(all, ' ', &item, &all);
	*text = item.p + item.n;
	if (!slice_cut(item, '=', &word, &item) ||
	    str_copy_slice(key, 20, word) != 0 ||
	    str_copy_slice(value, 80, item) != 0)
		fail_msg("a row is no list of key=value, before \"%s\"", *text);
	return true;
}

static bool
yes(const char *value)
{
	return strcmp(value, "1") == 0;
}

/* A version by its name, or one that is none. */
static uint16_t
version_of(const char *value)
{
	uint16_t v;

	if (tls_version_parse(value, &v) == 0)
		return v;
	return strcmp(value, "ssl3") == 0 ? 0x0300 : 0x0305;
}

/* Bits by their words, or as a number. */
static unsigned int
bits_of(int (*parse)(const char *, unsigned int *), const char *value)
{
	unsigned int bits;

	return parse(value, &bits) == 0
	    ? bits
	    : (unsigned int)strtoul(value, NULL, 10);
}

/* What is on or off. */
static bool *
flag_of(struct tls_settings *s, struct tls_clock *c, const char *key)
{
	struct {
		const char *key;
		bool *flag;
	} v[] = {
		{ "force", &s->force },
		{ "verify", &s->verify },
		{ "cn", &s->cn },
		{ "wildcard", &s->wildcard },
		{ "ask", &s->ask_client },
		{ "require", &s->require_client },
		{ "serverauth", &s->serverauth_client },
		{ "owner", &s->sip_owner_present },
		{ "confirmed", &c->trusted },
	};

	for (size_t i = 0; i < LEN(v); i++)
		if (strcmp(key, v[i].key) == 0)
			return v[i].flag;
	return NULL;
}

/* Sets one thing of settings or clock. */
static void
set_one(
    struct tls_settings *s, struct tls_clock *c, const char *key, char *value)
{
	unsigned long n = strtoul(value, NULL, 10);
	bool *flag = flag_of(s, c, key);

	if (flag != NULL) {
		*flag = yes(value);
	} else if (strcmp(key, "min") == 0) {
		s->min = version_of(value);
	} else if (strcmp(key, "max") == 0) {
		s->max = version_of(value);
	} else if (strcmp(key, "profile") == 0) {
		if (tls_profile_parse(value, &s->profile) != 0)
			s->profile = (enum tls_profile)n;
	} else if (strcmp(key, "id") == 0) {
		if (tls_identity_parse(value, &s->identity) != 0)
			s->identity = (enum tls_identity)n;
	} else if (strcmp(key, "trust") == 0) {
		s->trust = bits_of(tls_trust_parse, value);
	} else if (strcmp(key, "allow") == 0) {
		s->allow = bits_of(tls_allow_parse, value);
	} else if (strcmp(key, "name") == 0) {
		for (char *p = value; (p = strchr(p, '_')) != NULL;)
			*p = ' ';
		(void)snprintf(s->name, sizeof(s->name), "%s", value);
	} else if (strcmp(key, "ms") == 0) {
		s->handshake_ms = (uint32_t)n;
	} else if (strcmp(key, "wall") == 0) {
		c->wall_s = (int64_t)n;
	} else {
		fail_msg("no such setting: %s", key);
	}
}

/* Decides a row. */
static int
decide(struct tls_policy *p, const struct row *r, char why[TEXT_MAX])
{
	struct tls_clock clock = { 2000, 1000, true };
	struct tls_settings s;
	char key[20], value[80];

	memset(&s, 0x5a, sizeof(s)); /* no default is zero by luck */
	tls_settings_default(&s, r->use);
	for (const char *text = r->set; pair(&text, key, value);)
		set_one(&s, &clock, key, value);
	why[0] = '\0';
	return tls_policy_decide(
	    p, r->use, r->dir, r->peer, &s, &clock, why, TEXT_MAX);
}

/* ---- what must come out ---- */

/* The key in front of ".tls.": what has no settings has those of prov. */
static const char *
keys_of(enum tls_use use)
{
	return use == TLS_USE_SIP ? "sip" : use == TLS_USE_WEB ? "web" : "prov";
}

/* Copies a text with the key's word in place of each '@'. */
static void
fill(char out[TEXT_MAX], const char *text, enum tls_use use)
{
	size_t n = 0;

	for (; *text != '\0' && n < TEXT_MAX - 8; text++) {
		if (*text == '@')
			n += (size_t)snprintf(
			    out + n, TEXT_MAX - n, "%s", keys_of(use));
		else
			out[n++] = *text;
	}
	out[n] = '\0';
}

/* The reason of a field as it is without any setting. */
static const char *
usual_why(const struct row *r, enum tls_field f)
{
	bool server = r->dir == TLS_SERVER, est = r->use == TLS_USE_EST;
	const char *v[TLS_F_MAX] = {
		[TLS_F_VERSIONS] = "from @.tls.min and @.tls.max",
		[TLS_F_PROFILE] = "@.tls.profile = intermediate: ECDHE with "
				  "AEAD; X25519, P-256, P-384",
		[TLS_F_VERIFY] = "@.tls.verify = 1: the server must prove who "
				 "it is",
		[TLS_F_TRUST] = "@.tls.trust = builtin+trusted",
		[TLS_F_NAME] = r->use == TLS_USE_SIP
		    ? &SIP_NAME[strlen("name: ")]
		    : &HTTPS_NAME[strlen("name: ")],
		[TLS_F_IDENTITY] =
		    "auto: the device certificate, whose CN is the MAC",
		[TLS_F_STRENGTH] = "the floor: RSA 2048, no MD5 or SHA-1, SAN "
				   "and EKU present",
		[TLS_F_CLOCK] = "the clock is good: its time counts",
		[TLS_F_DEADLINE] = "connecting and the whole handshake within "
				   "15000 ms",
	};

	if (est && !server && f == TLS_F_VERIFY)
		return "always: whoever issues our certificate must prove who "
		       "it is (RFC 7030 3.3.1)";
	if (est && !server && f == TLS_F_IDENTITY)
		return "the device certificate asks for the owner's first";
	if (server && f == TLS_F_NAME)
		return "a listener expects no certain name; who may call is "
		       "decided later";
	if (server && f == TLS_F_IDENTITY)
		return "a listener shows the server certificate, never the "
		       "device's";
	if (r->use == TLS_USE_WEB && f == TLS_F_VERIFY)
		return "no client certificate is asked for";
	if (r->use == TLS_USE_WEB && f == TLS_F_TRUST)
		return "@.tls.trust = builtin+trusted, only reported: nothing "
		       "is verified";
	if (server && f == TLS_F_VERIFY)
		return "a client certificate is asked for; one that does not "
		       "hold gives no identity";
	return v[f];
}

/* All fields of a decision in one line. */
static void
policy_print(const struct tls_policy *p, char out[TEXT_MAX])
{
	static const char *const rules[] = { "none", "sip", "https" };
	char trust[40], allow[64];

	tls_trust_print(p->trust, trust, sizeof(trust));
	tls_allow_print(p->allow, allow, sizeof(allow));
	(void)snprintf(out, TEXT_MAX,
	    "use=%s dir=%s min=%s max=%s profile=%s verify=%d require=%d "
	    "serverauth=%d trust=%s rule=%s cn=%d wildcard=%d name=%s id=%s "
	    "auto=%d allow=%s time=%lld ms=%u ",
	    tls_use_name(p->use), p->dir == TLS_SERVER ? "server" : "client",
	    tls_version_name(p->min) + strlen("TLS "),
	    tls_version_name(p->max) + strlen("TLS "),
	    tls_profile_name(p->profile), p->verify, p->require_client,
	    p->serverauth_client, trust, rules[p->name_rule], p->cn,
	    p->wildcard, p->name, tls_identity_name(p->identity),
	    p->identity_auto, allow, (long long)p->verify_time_s,
	    (unsigned int)p->handshake_ms);
}

/* The same line as it is without any setting. */
static void
usual_print(const struct row *r, char out[TEXT_MAX])
{
	bool server = r->dir == TLS_SERVER;

	(void)snprintf(out, TEXT_MAX,
	    "use=%s dir=%s min=1.2 max=1.3 profile=intermediate verify=%d "
	    "require=0 serverauth=0 trust=builtin+trusted rule=%s cn=0 "
	    "wildcard=0 name=%s id=%s auto=%d allow= time=0 ms=15000",
	    tls_use_name(r->use), server ? "server" : "client",
	    r->use != TLS_USE_WEB,
	    server                      ? "none"
		: r->use == TLS_USE_SIP ? "sip"
					: "https",
	    server                ? ""
		: r->peer != NULL ? r->peer
				  : "",
	    server ? "server" : "factory", !server && r->use != TLS_USE_EST);
}

/* The line of a row: the usual one with what it wants otherwise. */
static void
wanted_print(const struct row *r, char out[TEXT_MAX])
{
	char usual[TEXT_MAX], key[20], value[80], k[20], v[80];
	size_t n = 0;

	usual_print(r, usual);
	for (const char *t = usual; pair(&t, key, value);) {
		for (const char *w = r->want; pair(&w, k, v);)
			if (strcmp(k, key) == 0)
				memcpy(value, v, sizeof(v));
		n += (size_t)snprintf(
		    out + n, TEXT_MAX - n, "%s=%s ", key, value);
	}
}

/* The reason a row wants of a field. */
static void
wanted_why(const struct row *r, enum tls_field f, char out[TEXT_MAX])
{
	const char *name = tls_field_name(f), *text = usual_why(r, f);
	size_t n = strlen(name);

	for (size_t i = 0; i < WHYS && r->why[i] != NULL; i++)
		if (strncmp(r->why[i], name, n) == 0 && r->why[i][n] == ':')
			text = r->why[i] + n + strlen(": ");
	fill(out, text, r->use);
}

/* A row that is refused: one sentence, and nothing was written. */
static void
row_is_refused(const struct row *r)
{
	struct tls_policy p, before;
	char why[TEXT_MAX], want[TEXT_MAX];

	memset(&p, 0x5a, sizeof(p));
	before = p;
	assert_int_equal(decide(&p, r, why), E_TLS_PARAM);
	fill(want, r->why[0], r->use);
	assert_string_equal(why, want);
	assert_memory_equal(&p, &before, sizeof(p));
}

/* A row that is decided: every field and every reason. */
static void
row_is_decided(const struct row *r, char got[TEXT_MAX])
{
	struct tls_policy p;
	char why[TEXT_MAX], want[TEXT_MAX];

	memset(&p, 0x5a, sizeof(p));
	assert_int_equal(decide(&p, r, why), 0);
	assert_string_equal(why, "");
	policy_print(&p, got);
	wanted_print(r, want);
	assert_string_equal(got, want);
	assert_int_equal(p.at_s, 0);
	for (int f = 0; f < TLS_F_MAX; f++) {
		wanted_why(r, f, want);
		assert_string_equal(p.why[f], want);
	}
}

/* Each value of each field is the outcome of some row. */
static void
fields_take_every_value(const char *seen)
{
	static const char *const want[] = { "use=sip", "use=prov", "use=web",
		"use=syslog", "use=est", "dir=client", "dir=server", "min=1.0",
		"min=1.1", "min=1.2", "min=1.3", "max=1.0", "max=1.1",
		"max=1.2", "max=1.3", "profile=intermediate", "profile=modern",
		"profile=legacy", "verify=0", "verify=1", "require=0",
		"require=1", "serverauth=0", "serverauth=1",
		"trust=", "trust=builtin", "trust=trusted", "trust=siptrusted",
		"trust=builtin+trusted", "trust=builtin+trusted+siptrusted",
		"rule=none", "rule=sip", "rule=https", "cn=0", "cn=1",
		"wildcard=0", "wildcard=1", "name=", "name=sip.example",
		"id=none", "id=factory", "id=sip-owner", "id=server", "auto=0",
		"auto=1", "allow=", "allow=rsa1024", "allow=sha1",
		"allow=no-san", "allow=no-eku", "time=0", "time=1000",
		"ms=1000", "ms=15000", "ms=60000" };
	char word[80];

	for (size_t i = 0; i < LEN(want); i++) {
		(void)snprintf(word, sizeof(word), " %s ", want[i]);
		if (strstr(seen, word) == NULL)
			fail_msg("no row comes to %s", want[i]);
	}
}

static void
the_table_holds(void **state)
{
	static char seen[200 * TEXT_MAX] = " ";
	char got[TEXT_MAX];
	size_t rows = 0, n = 1;

	(void)state;
	for (size_t t = 0; t < LEN(tables); t++) {
		for (size_t i = 0; i < tables[t].n; i++, rows++) {
			const struct row *r = &tables[t].rows[i];

			print_message("%s: %s\n", tables[t].name, r->what);
			if (r->want == NULL) {
				row_is_refused(r);
				continue;
			}
			row_is_decided(r, got);
			n += (size_t)snprintf(
			    seen + n, sizeof(seen) - n, "%s", got);
			assert_true(n < sizeof(seen));
		}
	}
	print_message("%zu rows\n", rows);
	assert_true(rows >= 60);
	fields_take_every_value(seen);
}

/* Who does not want the sentence need not take it. */
static void
a_refusal_needs_no_room_for_words(void **state)
{
	static const struct tls_clock clock = { 2000, 1000, true };
	struct tls_settings s;
	struct tls_policy p;
	char why[4] = "xyz";

	(void)state;
	tls_settings_default(&s, TLS_USE_SIP);
	s.trust = 0;
	assert_int_equal(tls_policy_decide(&p, TLS_USE_SIP, TLS_CLIENT,
			     "a.example", &s, &clock, NULL, TEXT_MAX),
	    E_TLS_PARAM);
	assert_int_equal(tls_policy_decide(&p, TLS_USE_SIP, TLS_CLIENT,
			     "a.example", &s, &clock, why, 0),
	    E_TLS_PARAM);
	assert_string_equal(why, "xyz");
	assert_int_equal(tls_policy_decide(&p, TLS_USE_SIP, TLS_CLIENT,
			     "a.example", &s, &clock, why, sizeof(why)),
	    E_TLS_PARAM);
	assert_string_equal(why, "sip");
}

/* Files are judged as if it were then, whatever the clock says. */
static void
a_time_that_was_asked_for_beats_the_clock(void **state)
{
	static const struct tls_clock clock = { 0, 1000, false };
	struct tls_settings s;
	struct tls_policy p;

	(void)state;
	tls_settings_default(&s, TLS_USE_SIP);
	assert_int_equal(tls_policy_decide(&p, TLS_USE_SIP, TLS_CLIENT,
			     "a.example", &s, &clock, NULL, 0),
	    0);
	assert_int_equal(p.verify_time_s, 1000);
	p.at_s = 5;
	tls_policy_clock(&p, &clock);
	assert_int_equal(p.verify_time_s, 0);
	assert_string_equal(
	    p.why[TLS_F_CLOCK], "the time that was asked for counts");
}

/* A listener's policy is decided before the clock is set. */
static void
a_clock_that_became_good_counts(void **state)
{
	struct tls_clock clock = { 2000, 1000, false };
	struct tls_settings s;
	struct tls_policy p;

	(void)state;
	tls_settings_default(&s, TLS_USE_SIP);
	assert_int_equal(tls_policy_decide(&p, TLS_USE_SIP, TLS_SERVER, NULL,
			     &s, &clock, NULL, 0),
	    0);
	assert_int_equal(p.verify_time_s, 1000);
	clock.trusted = true;
	tls_policy_clock(&p, &clock);
	assert_int_equal(p.verify_time_s, 0);
	assert_string_equal(
	    p.why[TLS_F_CLOCK], "the clock is good: its time counts");
}

/* The longest name goes through whole, a longer one is refused, not cut. */
static void
a_name_is_never_cut(void **state)
{
	static const struct tls_clock clock = { 2000, 1000, true };
	char peer[TLS_NAME_MAX + 2];
	struct tls_settings s;
	struct tls_policy p;

	(void)state;
	tls_settings_default(&s, TLS_USE_SIP);
	memset(peer, 'a', sizeof(peer));
	peer[TLS_NAME_MAX] = '\0';
	assert_int_equal(tls_policy_decide(&p, TLS_USE_SIP, TLS_CLIENT, peer,
			     &s, &clock, NULL, 0),
	    0);
	assert_string_equal(p.name, peer);
	peer[TLS_NAME_MAX] = 'a';
	peer[TLS_NAME_MAX + 1] = '\0';
	assert_int_equal(tls_policy_decide(&p, TLS_USE_SIP, TLS_CLIENT, peer,
			     &s, &clock, NULL, 0),
	    E_TLS_PARAM);
}

static void
an_address_is_told_from_a_name(void **state)
{
	static const char *const yes[] = { "192.0.2.1", "::1", "2001:db8::1",
		"fe80::1%eth0" };
	static const char *const no[] = { "", "a.example", "192.0.2",
		"192.0.2.1%eth0", "192.0.2.256", "1::2::3", "%eth0",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb" };

	(void)state;
	for (size_t i = 0; i < LEN(yes); i++)
		assert_true(tls_name_is_ip(yes[i]));
	for (size_t i = 0; i < LEN(no); i++)
		assert_false(tls_name_is_ip(no[i]));
}

/* What a certificate could carry of what the user wrote. */
static void
a_name_loses_port_brackets_and_zone(void **state)
{
	static const struct {
		const char *in, *out; /* NULL: refused */
		bool ip;
	} v[] = {
		{ "sip.example", "sip.example", false },
		{ "sip.example.", "sip.example", false },
		{ "sip.example:5061", "sip.example", false },
		{ "sip.example.:5061", "sip.example", false },
		{ "192.0.2.1", "192.0.2.1", true },
		{ "192.0.2.1:443", "192.0.2.1", true },
		{ "2001:db8::1", "2001:db8::1", true },
		{ "2001:db8::5061", "2001:db8::5061", true },
		{ "::1", "::1", true },
		{ "[2001:db8::1]", "2001:db8::1", true },
		{ "[2001:db8::1]:5061", "2001:db8::1", true },
		{ "fe80::1%eth0", "fe80::1", true },
		{ "[fe80::1%eth0]:5061", "fe80::1", true },
		{ "[fe80::1%25eth0]", "fe80::1", true },
		{ "100%", "100%", false },
		{ "h:x", NULL, false },
		{ "h:65536", NULL, false },
		{ ":5061", NULL, false },
		{ ".", NULL, false },
		{ "abc]", NULL, false },
		{ "[abc", NULL, false },
	};
	static const struct tls_clock clock = { 2000, 1000, true };
	struct tls_settings s;
	struct tls_policy p;

	(void)state;
	for (size_t i = 0; i < 2 * LEN(v); i++) {
		size_t k = i % LEN(v);

		print_message("%s\n", v[k].in);
		tls_settings_default(&s, TLS_USE_SIP);
		if (i >= LEN(v)) /* from tls.name, else as the server */
			(void)snprintf(s.name, sizeof(s.name), "%s", v[k].in);
		assert_int_equal(tls_policy_decide(&p, TLS_USE_SIP, TLS_CLIENT,
				     i < LEN(v) ? v[k].in : "other.example", &s,
				     &clock, NULL, 0),
		    v[k].out != NULL ? 0 : E_TLS_PARAM);
		if (v[k].out == NULL)
			continue;
		assert_string_equal(p.name, v[k].out);
		assert_int_equal(
		    strstr(p.why[TLS_F_NAME], "IP address") != NULL, v[k].ip);
	}
}

static void
words_are_read_and_printed(void **state)
{
	static const char *const bad[] = { "1.4", "", "1", "tls1.2", "1.2 " };
	static const char *const bad_trust[] = { "builtin+", "system",
		"+builtin", "builtin++trusted" };
	char text[40];
	unsigned int bits;
	enum tls_identity id;
	enum tls_profile prof;
	uint16_t v;

	(void)state;
	assert_int_equal(tls_version_parse("1.2", &v), 0);
	assert_int_equal(v, TLS_V12);
	for (size_t i = 0; i < LEN(bad); i++)
		assert_int_equal(tls_version_parse(bad[i], &v), E_PARSE);
	assert_int_equal(tls_trust_parse("builtin+siptrusted", &bits), 0);
	tls_trust_print(bits, text, sizeof(text));
	assert_string_equal(text, "builtin+siptrusted");
	tls_trust_print(7, text, sizeof(text));
	assert_string_equal(text, "builtin+trusted+siptrusted");
	assert_int_equal(tls_trust_parse("", &bits), 0);
	assert_int_equal(bits, 0);
	for (size_t i = 0; i < LEN(bad_trust); i++)
		assert_int_equal(tls_trust_parse(bad_trust[i], &bits), E_PARSE);
	assert_int_equal(tls_allow_parse("rsa1024, no-eku", &bits), 0);
	assert_int_equal(bits, TLS_ALLOW_RSA1024 | TLS_ALLOW_NO_EKU);
	assert_int_equal(tls_allow_parse("md5", &bits), E_PARSE);
	assert_int_equal(tls_identity_parse("sip-owner", &id), 0);
	assert_int_equal(id, TLS_ID_SIP_OWNER);
	assert_string_equal(tls_identity_name(TLS_ID_FACTORY), "factory");
	assert_int_equal(tls_profile_parse("modern", &prof), 0);
	assert_int_equal(prof, TLS_PROFILE_MODERN);
	assert_int_equal(tls_profile_parse("old", &prof), E_PARSE);
	assert_string_equal(tls_version_name(0), "none");
	assert_string_equal(tls_use_name(TLS_USE_PROV), "prov");
	assert_string_equal(tls_use_name(TLS_USE_EST), "est");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_holds),
		cmocka_unit_test(a_refusal_needs_no_room_for_words),
		cmocka_unit_test(a_time_that_was_asked_for_beats_the_clock),
		cmocka_unit_test(a_clock_that_became_good_counts),
		cmocka_unit_test(a_name_loses_port_brackets_and_zone),
		cmocka_unit_test(a_name_is_never_cut),
		cmocka_unit_test(an_address_is_told_from_a_name),
		cmocka_unit_test(words_are_read_and_printed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
