/* SPDX-License-Identifier: ISC */
/* Settings in, plain structs of the lower floors out.  Nothing below src/
 * knows the name of a key. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bellbird/file.h"
#include "internal.h"

/* The whole handshake; longer only helps somebody who holds us up. */
enum { HANDSHAKE_MS = 15000 };

/*
 * The value of <use>.tls.<field>; a key of the account lies over it where it
 * is set at all.  Stores the name of the key that counted, for messages.
 */
static const char *
tls_value(const struct app *a, enum tls_use use, const char *account,
    const char *field, char key[static 64])
{
	if (account != NULL && use == TLS_USE_SIP) {
		(void)snprintf(key, 64, "sip.%s.tls.%s", account, field);
		if (prov_get(a->store, key)[0] != '\0')
			return prov_get(a->store, key);
	}
	/* The syslog use has no keys of its own: it follows provisioning. */
	(void)snprintf(key, 64, "%s.tls.%s",
	    tls_use_name(use == TLS_USE_SYSLOG ? TLS_USE_PROV : use), field);
	return prov_get(a->store, key);
}

/* 0 or 1; the key table has normalised it. */
static bool
tls_flag(const struct app *a, enum tls_use use, const char *account,
    const char *field)
{
	char key[64];

	return strcmp(tls_value(a, use, account, field, key), "1") == 0;
}

/* Says which key holds a word that nobody knows. */
static int
bad_word(const char *key, const char *v, char *why, size_t why_size)
{
	(void)snprintf(why, why_size, "%s = %s is unknown", key, esc(v));
	return E_TLS_PARAM;
}

/* The owner's SIP certificate, if one was uploaded. */
static bool
has_sip_owner(const struct app *a)
{
	char path[PATH_MAX];

	return path_join(path, sizeof(path), a->paths.state,
		   "certs/sipclient.pem") == 0 &&
	    access(path, R_OK) == 0;
}

int
settings_tls(const struct app *a, enum tls_use use, const char *account,
    struct tls_settings *out, char *why, size_t why_size)
{
	struct tls_settings s;
	const char *v;
	char key[64];

	tls_settings_default(&s, use);
	s.verify = tls_flag(a, use, account, "verify");
	s.force = tls_flag(a, use, account, "force");
	s.cn = tls_flag(a, use, account, "cn");
	s.wildcard = tls_flag(a, use, account, "wildcard");
	v = tls_value(a, use, account, "min", key);
	if (v[0] != '\0' && tls_version_parse(v, &s.min) != 0)
		return bad_word(key, v, why, why_size);
	v = tls_value(a, use, account, "max", key);
	if (v[0] != '\0' && tls_version_parse(v, &s.max) != 0)
		return bad_word(key, v, why, why_size);
	v = tls_value(a, use, account, "profile", key);
	if (v[0] != '\0' && tls_profile_parse(v, &s.profile) != 0)
		return bad_word(key, v, why, why_size);
	v = tls_value(a, use, account, "trust", key);
	if (v[0] != '\0' && tls_trust_parse(v, &s.trust) != 0)
		return bad_word(key, v, why, why_size);
	v = tls_value(a, use, account, "identity", key);
	if (v[0] != '\0' && tls_identity_parse(v, &s.identity) != 0)
		return bad_word(key, v, why, why_size);
	v = tls_value(a, use, account, "allow", key);
	if (v[0] != '\0' && tls_allow_parse(v, &s.allow) != 0)
		return bad_word(key, v, why, why_size);
	v = tls_value(a, use, account, "name", key);
	if (str_copy(s.name, sizeof(s.name), v) != 0) {
		(void)snprintf(
		    why, why_size, "%s is longer than a name can be", key);
		return E_TLS_PARAM;
	}
	s.handshake_ms = HANDSHAKE_MS;
	s.sip_owner_present = has_sip_owner(a);
	*out = s;
	return 0;
}

int
settings_policy(const struct app *a, enum tls_use use, enum tls_dir dir,
    const char *account, const char *peer, struct tls_policy *out, char *why,
    size_t why_size)
{
	struct tls_settings s;
	struct tls_clock c = wallclock_now(a);
	int err;

	err = settings_tls(a, use, account, &s, why, why_size);
	if (err != 0)
		return err;
	return tls_policy_decide(out, use, dir, peer, &s, &c, why, why_size);
}

enum sip_transport
settings_transport(const struct app *a)
{
	const char *v = prov_get(a->store, "sip.transp");

	if (strcmp(v, "udp") == 0)
		return SIPC_UDP;
	if (strcmp(v, "tcp") == 0)
		return SIPC_TCP;
	return SIPC_TLS; /* "auto" never starts below TLS here */
}

enum media_srtp_mode
settings_srtp(const struct app *a, bool on_tls)
{
	const char *v = prov_get(a->store, "sip.srtp");

	if (!prov_is_set(a->store, "sip.srtp"))
		return on_tls ? MEDIA_SRTP_OPTIONAL : MEDIA_SRTP_DISABLED;
	if (strcmp(v, "standard") == 0)
		return MEDIA_SRTP_STANDARD;
	if (strcmp(v, "optional") == 0)
		return MEDIA_SRTP_OPTIONAL;
	return MEDIA_SRTP_DISABLED;
}

/* One row: a setting whose value weakens something, and what it means. */
struct weak {
	const char *key, *value, *means;
};

void
settings_warnings(const struct app *a, struct jv *out)
{
	static const struct weak rows[] = {
		{ "sip.tls.verify", "0",
		    "the registrar's identity is not checked" },
		{ "sip.u1.tls.verify", "0",
		    "the registrar's identity is not checked" },
		{ "prov.tls.verify", "0",
		    "the provisioning server's identity is not checked" },
		{ "sip.tls.force", "0", "TLS below 1.2 may be used for SIP" },
		{ "prov.tls.force", "0",
		    "TLS below 1.2 may be used for provisioning" },
		{ "sip.srtp.clear_signalling", "1",
		    "SRTP keys may travel over signalling in clear" },
		{ "sip.allow", "any",
		    "anyone who reaches a SIP port may call" },
		{ "prov.weaken", "1",
		    "provisioned files may switch security off" },
		{ "prov.download.method", "http",
		    "configuration is fetched in clear" },
	};
	char line[256];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strcmp(prov_get(a->store, rows[i].key), rows[i].value) != 0)
			continue;
		(void)snprintf(line, sizeof(line), "%s = %s: %s", rows[i].key,
		    rows[i].value, rows[i].means);
		jv_add(out, jv_str(line));
	}
	if (prov_get(a->store, "sip.proxy")[0] != '\0' &&
	    settings_transport(a) != SIPC_TLS)
		jv_add(out,
		    jv_str("sip.transp is not tls: signalling is in clear"));
}
