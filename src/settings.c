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
	/* These have no keys of their own: they follow provisioning. */
	if (use == TLS_USE_SYSLOG || use == TLS_USE_EST)
		use = TLS_USE_PROV;
	(void)snprintf(key, 64, "%s.tls.%s", tls_use_name(use), field);
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
	/* Another server than that of provisioning, and another identity. */
	if (use == TLS_USE_EST) {
		s.name[0] = '\0';
		s.identity = TLS_ID_AUTO;
	}
	s.handshake_ms = HANDSHAKE_MS;
	s.sip_owner_present = has_sip_owner(a);
	*out = s;
	return 0;
}

/* What a listener wants of its clients' certificates. */
static void
listener_settings(const struct app *a, enum tls_use use, struct tls_settings *s)
{
	const char *v = prov_get(a->store,
	    use == TLS_USE_SIP ? "sip.listen.tls.client" : "web.listen.client");

	s->ask_client = strcmp(v, "none") != 0;
	s->require_client = strcmp(v, "require") == 0;
	s->serverauth_client = use == TLS_USE_SIP &&
	    prov_get_bool(a->store, "sip.listen.tls.serverauth");
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
	if (dir == TLS_SERVER)
		listener_settings(a, use, &s);
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
	return strcmp(v, "auto") == 0 ? SIPC_AUTO : SIPC_TLS;
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

/* Does sip.allow let everybody in?  `any`, or a network of all addresses. */
static bool
allows_all(const char *list)
{
	struct slice rest = slice_of(list), item;
	bool more;

	do {
		more = slice_cut(rest, ',', &item, &rest);
		item = slice_trim(item);
		if (slice_is(item, "any") ||
		    (item.n > 2 && memcmp(item.p + item.n - 2, "/0", 2) == 0))
			return true;
	} while (more);
	return false;
}

/* Adds "key = value: what it means". */
static void
warn_add(struct jv *out, const char *key, const char *value, const char *means)
{
	char line[320];

	(void)snprintf(
	    line, sizeof(line), "%s = %s: %s", key, esc(value), means);
	jv_add(out, jv_str(line));
}

/* Site settings that a provisioned file may choose (SECURITY.md). */
static void
warn_site(const struct app *a, struct jv *out)
{
	const char *v = prov_get(a->store, "sip.allow");

	if (allows_all(v))
		warn_add(out, "sip.allow", v,
		    "anyone who reaches a SIP port may call");
	if (prov_is_set(a->store, "sip.srtp") &&
	    settings_srtp(a, true) == MEDIA_SRTP_DISABLED)
		warn_add(out, "sip.srtp", "disabled", "audio is in clear");
	if (prov_get_bool(a->store, "sip.srtp.clear_signalling"))
		warn_add(out, "sip.srtp.clear_signalling", "1",
		    "SRTP keys may travel over signalling in clear");
	if (prov_get_bool(a->store, "prov.weaken"))
		warn_add(out, "prov.weaken", "1",
		    "provisioned files may switch security off");
	if (prov_get(a->store, "sip.proxy")[0] != '\0' &&
	    settings_transport(a) != SIPC_TLS)
		jv_add(out,
		    jv_str(settings_transport(a) == SIPC_AUTO
			    ? "sip.transp is auto: signalling is in clear "
			      "where the domain offers no TLS"
			    : "sip.transp is not tls: signalling is in "
			      "clear"));
}

/* No setting, but just as insecure while it runs. */
static void
warn_keylog(const struct app *a, struct jv *out)
{
	const char *peer = tls_env_keylog_peer(a->tls);
	char line[320];

	if (peer[0] == '\0')
		return;
	(void)snprintf(line, sizeof(line),
	    "tls keylog: the secrets of connections with %.200s are being "
	    "written to a file",
	    esc(peer));
	jv_add(out, jv_str(line));
}

/* What is lost with a key that its row says can weaken. */
static const char *
weak_means(const struct prov_key *k)
{
	static const struct {
		const char *tail, *means;
	} rows[] = {
		{ ".tls.verify", "the peer's identity is not checked" },
		{ ".tls.force", "TLS below 1.2 may be used" },
		{ ".tls.min", "TLS below 1.2 may be used" },
		{ ".tls.max", "TLS 1.2 and later are not offered" },
		{ ".tls.allow", "weak certificates of the peer are accepted" },
		{ ".tls.cn", "a name outside the list of names counts" },
		{ ".tls.wildcard", "a certificate may name many hosts" },
		{ ".tls.profile", "old ciphers may be used" },
		{ "sip.transp.clear",
		    "a domain that offered TLS may be spoken to in clear" },
		{ ".tls.serverauth",
		    "a certificate made for servers counts for callers too" },
		{ "prov.download.method", "configuration is fetched in clear" },
	};
	size_t n = strlen(k->name), t;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		t = strlen(rows[i].tail);
		if (n >= t && strcmp(k->name + n - t, rows[i].tail) == 0)
			return rows[i].means;
	}
	return "weaker than the default";
}

/* Adds a word on one key, if its value weakens. */
static void
warn_key(const struct app *a, const struct prov_key *k, const char *name,
    struct jv *out)
{
	const char *v = prov_get(a->store, name);

	if (prov_key_weakens(k, v))
		warn_add(out, name, v, weak_means(k));
}

/* A row with an index ("sip.alertN.tls.cn"): the key of each account. */
static void
warn_row(const struct app *a, const struct prov_key *k, struct jv *out)
{
	const struct account *ac = NULL;
	const char *n = strchr(k->name, 'N');
	char name[64];

	while ((ac = accounts_next(a->accounts, ac)) != NULL) {
		(void)snprintf(
		    name, sizeof(name), "sip.%s%s", account_id(ac), n + 1);
		if (prov_key_find(slice_of(name)) == k)
			warn_key(a, k, name, out);
	}
}

void
settings_warnings(const struct app *a, struct jv *out)
{
	const struct prov_key *k;

	for (size_t i = 0; (k = prov_key_at(i)) != NULL; i++) {
		if (k->weaker[0] == '\0')
			continue;
		if (strchr(k->name, 'N') != NULL)
			warn_row(a, k, out);
		else
			warn_key(a, k, k->name, out);
	}
	warn_site(a, out);
	warn_keylog(a, out);
}
