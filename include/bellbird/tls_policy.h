/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_TLS_POLICY_H
#define BELLBIRD_TLS_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bellbird/err.h"

enum tls_use {
	TLS_USE_SIP,
	TLS_USE_PROV,
	TLS_USE_WEB,
	TLS_USE_SYSLOG,
	TLS_USE_EST, /* enrolment (RFC 7030) */
	TLS_USE_MAX
};
enum tls_dir { TLS_CLIENT, TLS_SERVER };
enum tls_profile {
	TLS_PROFILE_INTERMEDIATE,
	TLS_PROFILE_MODERN,
	TLS_PROFILE_LEGACY
};
enum tls_name_rule {
	TLS_NAME_NONE,
	TLS_NAME_SIP /* RFC 5922 */,
	TLS_NAME_HTTPS /* RFC 9525 */
};

/* Trust sets, a bit each. */
enum {
	TLS_TRUST_BUILTIN = 1,
	TLS_TRUST_UPLOADED = 2 /* certs/trusted/ */,
	TLS_TRUST_SIPTRUSTED = 4
};

/* Identity slots; AUTO lets the policy choose by use (design 3). */
enum tls_identity {
	TLS_ID_NONE,
	TLS_ID_AUTO,
	TLS_ID_FACTORY,
	TLS_ID_SIP_OWNER,
	TLS_ID_SERVER,
	TLS_ID_MAX
};

/* Overrides of the strength floor (`*.tls.allow`), a bit each.  NO_SAN and
 * `cn` mean the same, and each brings the other: the CN is the only name of a
 * certificate without SAN.  Listeners expect no name and ask for no SAN. */
enum {
	TLS_ALLOW_RSA1024 = 1,
	TLS_ALLOW_SHA1 = 2,
	TLS_ALLOW_NO_SAN = 4,
	TLS_ALLOW_NO_EKU = 8
};

enum { TLS_V10 = 0x0301, TLS_V11 = 0x0302, TLS_V12 = 0x0303, TLS_V13 = 0x0304 };
enum { TLS_NAME_MAX = 254, TLS_WHY_MAX = 160 };

/*
 * tls_settings is the snapshot of the `<use>.tls.*` keys, filled in src/.
 * tls_settings_default gives the defaults of a use (verify on, force on,
 * 1.2..1.3, intermediate, builtin+trusted, auto, 15 s).
 */
struct tls_settings {
	bool verify;
	bool force;        /* 1.2 or 1.3 whatever min says */
	uint16_t min, max; /* wire values */
	enum tls_profile profile;
	unsigned int trust; /* TLS_TRUST_* */
	enum tls_identity identity;
	bool cn;            /* CN counts where there is no SAN */
	bool wildcard;      /* one left-most label (SIP) */
	unsigned int allow; /* TLS_ALLOW_* */
	char name[TLS_NAME_MAX +
	    1];              /* whom to expect; "" = the configured peer */
	bool ask_client;     /* listeners: a client certificate is asked for */
	bool require_client; /* .. and demanded */
	bool serverauth_client; /* .. and one made for servers (EKU serverAuth)
				   will do: proxies call with theirs */
	uint32_t handshake_ms;  /* whole handshake; 1000..60000 */
	bool sip_owner_present; /* certs/sipclient.pem exists */
};
void tls_settings_default(struct tls_settings *s, enum tls_use use);

/*
 * What is known of time (design 3, row clock), at one moment.  A policy only
 * keeps how it was when it was decided, to be shown; judging certificates asks
 * again (tls_env_on_clock), so that a listener opened before the clock was set
 * judges by the right time after.
 */
struct tls_clock {
	int64_t wall_s;  /* the wall clock */
	int64_t floor_s; /* max(build time, saved good time) */
	bool trusted;    /* synchronised, confirmed by a verified Date, or
			    clock.trusted = 1 */
};

enum tls_field {
	TLS_F_VERSIONS,
	TLS_F_PROFILE,
	TLS_F_VERIFY,
	TLS_F_TRUST,
	TLS_F_NAME,
	TLS_F_IDENTITY,
	TLS_F_STRENGTH,
	TLS_F_CLOCK,
	TLS_F_DEADLINE,
	TLS_F_MAX
};

/*
 * A tls_policy is immutable once decided: what one connection must hold, and
 * for each field the reason in words.  Plain data, copied by assignment.
 */
struct tls_policy {
	enum tls_use use;
	enum tls_dir dir;
	uint16_t min, max;
	enum tls_profile profile;
	bool verify; /* servers: judge a client certificate if one is shown */
	bool require_client, serverauth_client;
	unsigned int trust;
	enum tls_name_rule name_rule;
	bool cn, wildcard;
	char name[TLS_NAME_MAX + 1]; /* whom we expect, and the SNI where it is
					a name; "" for listeners */
	enum tls_identity identity;  /* resolved, never AUTO */
	bool identity_auto; /* the CA names a server lists may choose again */
	unsigned int allow;
	int64_t verify_time_s; /* 0: the clock is good; else the floor: a
				  certificate has to hold at some time between
				  it and the wall clock; when this was decided,
				  and in a verdict when the peer was judged */
	int64_t at_s; /* judge as if it were then, whatever the clock says
			 (files judged by hand); 0: by the clock */
	uint32_t handshake_ms; /* connecting and the whole handshake */
	char why[TLS_F_MAX][TLS_WHY_MAX];
};

/*
 * tls_policy_decide is a pure function of its arguments (no I/O, no globals).
 * `peer` is the name the user configured (domain or literal address), NULL
 * for listeners.  Returns 0 or E_TLS_PARAM for settings that contradict each
 * other (max below 1.2 with force on; below 1.2 without `legacy`; min > max);
 * then `why` names the keys in one sentence and `*out` is not touched.
 */
MUST_CHECK int tls_policy_decide(struct tls_policy *out, enum tls_use use,
    enum tls_dir dir, const char *peer, const struct tls_settings *s,
    const struct tls_clock *clock, char *why, size_t why_size);

const char *tls_use_name(enum tls_use use);          /* "sip" .. */
const char *tls_identity_name(enum tls_identity id); /* "factory" .. */
const char *tls_version_name(uint16_t v); /* "TLS 1.3", "none" for 0 */
const char *tls_profile_name(enum tls_profile p);
const char *tls_field_name(enum tls_field f);
/* Readers of the setting values: E_PARSE for a word they do not know. */
MUST_CHECK int tls_version_parse(
    const char *s, uint16_t *out); /* "1.0".."1.3" */
MUST_CHECK int tls_profile_parse(const char *s, enum tls_profile *out);
MUST_CHECK int tls_trust_parse(
    const char *s, unsigned int *out); /* "builtin+trusted" */
MUST_CHECK int tls_identity_parse(const char *s, enum tls_identity *out);
MUST_CHECK int tls_allow_parse(
    const char *s, unsigned int *out); /* "rsa1024,sha1,no-san,no-eku" */
/* tls_trust_print writes "builtin+trusted"; needs 40 bytes. */
void tls_trust_print(unsigned int trust, char *out, size_t size);

#endif
