/* SPDX-License-Identifier: ISC */
/* The record of a connection as JSON, as text for a person, and as a line.
 * Field names are fixed in docs/STABILITY.md. */
#include <stdio.h>
#include <string.h>

#include "bellbird/buf.h"
#include "bellbird/clock.h"
#include "bellbird/json.h"
#include "bellbird/log.h"
#include "bellbird/str.h"

#include "internal.h"

enum { ISO_SIZE = 32 };

static const char *
phase_name(enum tls_phase p)
{
	static const char *const names[] = { "resolve", "connect", "handshake",
		"probation", "up", "closed" };

	return (unsigned int)p < sizeof(names) / sizeof(names[0]) ? names[p]
								  : "unknown";
}

/* Seconds since 1970 as text, without the fraction. */
static const char *
iso_s(int64_t s, char out[static ISO_SIZE])
{
	clock_iso(out, ISO_SIZE, s * 1000000);
	memcpy(out + 19, "Z", 2);
	return out;
}

/* A duration in ms, null if that was not reached. */
static void
set_ms(struct jv *o, const char *key, int64_t us)
{
	jv_set(o, key, us < 0 ? jv_null() : jv_num((double)(us / 10) / 100.0));
}

static struct jv *
chain_json(const struct tls_cert_brief *b, size_t n)
{
	struct jv *a = jv_arr();
	char at[ISO_SIZE];

	for (size_t i = 0; i < n; i++) {
		struct jv *o = jv_obj();

		jv_set_str(o, "subject", b[i].subject);
		jv_set_str(o, "issuer", b[i].issuer);
		jv_set_str(o, "not_before", iso_s(b[i].not_before_s, at));
		jv_set_str(o, "not_after", iso_s(b[i].not_after_s, at));
		jv_set_str(o, "sha256", b[i].sha256);
		jv_set_str(o, "key", b[i].key);
		jv_set_str(o, "signature", b[i].sig);
		jv_add(a, o);
	}
	return a;
}

/* The value of one field of the policy in words. */
static void
field_print(
    const struct tls_policy *p, enum tls_field f, char *out, size_t size)
{
	char iso[ISO_SIZE];

	switch (f) {
	case TLS_F_VERSIONS:
		snprintf(out, size, "%s to %s", tls_version_name(p->min),
		    tls_version_name(p->max));
		break;
	case TLS_F_PROFILE:
		snprintf(out, size, "%s", tls_profile_name(p->profile));
		break;
	case TLS_F_VERIFY:
		snprintf(out, size, "%s",
		    p->require_client ? "required"
			: p->verify   ? "on"
				      : "off");
		break;
	case TLS_F_TRUST:
		tls_trust_print(p->trust, out, size);
		break;
	case TLS_F_NAME:
		snprintf(out, size, "%s", p->name);
		break;
	case TLS_F_IDENTITY:
		snprintf(out, size, "%s", tls_identity_name(p->identity));
		break;
	case TLS_F_STRENGTH:
		tls_allow_print(p->allow, out, size);
		if (out[0] == '\0')
			snprintf(out, size, "floor");
		break;
	case TLS_F_CLOCK:
		snprintf(out, size, "%s",
		    p->verify_time_s == 0 ? "now"
					  : iso_s(p->verify_time_s, iso));
		break;
	case TLS_F_DEADLINE:
		snprintf(out, size, "%u ms", (unsigned int)p->handshake_ms);
		break;
	default:
		out[0] = '\0';
		break;
	}
}

static struct jv *
policy_json(const struct tls_policy *p)
{
	struct jv *all = jv_obj();
	char value[TLS_NAME_MAX + 1];

	for (int f = 0; f < TLS_F_MAX; f++) {
		struct jv *o = jv_obj();

		field_print(p, f, value, sizeof(value));
		jv_set_str(o, "value", value);
		jv_set_str(o, "why", p->why[f]);
		jv_set(all, tls_field_name(f), o);
	}
	return all;
}

static struct jv *
client_json(const struct tls_verdict *v)
{
	struct jv *o = jv_obj(), *names = jv_arr();

	for (size_t i = 0; i < v->num_ca_names; i++)
		jv_add(names, jv_str(v->ca_names[i]));
	jv_set_bool(o, "asked", v->client_asked);
	jv_set_str(o, "slot", tls_identity_name(v->shown));
	jv_set_str(o, "subject", v->shown_subject);
	jv_set(o, "accepted_issuers", names);
	return o;
}

/* What was negotiated and seen. */
static void
seen_json(const struct tls_verdict *v, struct jv *o)
{
	struct jv *names = jv_arr(), *findings = jv_arr();

	jv_set_str(
	    o, "version", v->version != 0 ? tls_version_name(v->version) : "");
	jv_set_str(o, "cipher", v->cipher);
	jv_set_str(o, "group", v->group);
	jv_set_str(o, "sigalg", v->sigalg);
	jv_set_str(o, "alpn", v->alpn);
	jv_set_str(o, "expected_name", v->clear ? "" : v->policy.name);
	jv_set_str(o, "matched", v->matched);
	for (size_t i = 0; i < v->num_sans; i++)
		jv_add(names, jv_str(v->sans[i]));
	jv_set(o, "names", names);
	jv_set(o, "chain_sent", chain_json(v->sent, v->num_sent));
	jv_set(o, "chain_built", chain_json(v->built, v->num_built));
	jv_set_str(o, "anchor_set", v->anchor_set);
	for (size_t i = 0; i < v->num_findings; i++)
		jv_add(findings, jv_str(v->findings[i]));
	jv_set(o, "findings", findings);
	jv_set(o, "client_cert", client_json(v));
	jv_set(o, "alert_received",
	    v->alert_rx >= 0 ? jv_int(v->alert_rx) : jv_null());
	jv_set(o, "alert_sent",
	    v->alert_tx >= 0 ? jv_int(v->alert_tx) : jv_null());
	jv_set_str(o, "alert_phase",
	    v->alert_rx >= 0 || v->alert_tx >= 0 ? phase_name(v->alert_phase)
						 : "");
}

/* Is a safe default given up here: the version, or the server's identity? */
static bool
is_insecure(const struct tls_verdict *v)
{
	return !v->clear &&
	    ((v->version != 0 && v->version < TLS_V12) ||
		(v->policy.dir == TLS_CLIENT && !v->policy.verify));
}

struct jv *
tls_verdict_json(const struct tls_verdict *v)
{
	struct jv *o = jv_obj(), *t = jv_obj();
	char text[ADDR_STR_MAX], line[256];

	snprintf(text, sizeof(text), "%016llx", (unsigned long long)v->id);
	jv_set_str(o, "id", text);
	clock_iso(text, sizeof(text), v->wall_us);
	jv_set_str(o, "time", text);
	jv_set_str(o, "use", v->clear ? "" : tls_use_name(v->policy.use));
	jv_set_str(
	    o, "direction", v->policy.dir == TLS_SERVER ? "server" : "client");
	jv_set_str(o, "host", v->host);
	text[0] = '\0';
	if (addr_is_set(&v->remote))
		addr_print(&v->remote, text);
	jv_set_str(o, "remote", text);
	text[0] = '\0';
	if (addr_is_set(&v->local))
		addr_print(&v->local, text);
	jv_set_str(o, "local", text);
	jv_set_bool(o, "clear", v->clear);
	jv_set_str(o, "phase", phase_name(v->phase));
	jv_set_bool(o, "ok", v->ok);
	jv_set_bool(o, "confirmed", v->confirmed);
	jv_set_bool(o, "resumed", v->resumed);
	jv_set_bool(o, "peer_verified", v->peer_verified);
	jv_set_bool(o, "insecure", is_insecure(v));
	seen_json(v, o);
	set_ms(t, "dns_ms", v->dns_us);
	set_ms(t, "tcp_ms", v->tcp_us);
	set_ms(t, "tls_ms", v->tls_us);
	jv_set(o, "timings", t);
	jv_set_str(o, "class", v->class);
	jv_set_str(o, "text", v->text);
	tls_verdict_line(v, line, sizeof(line));
	jv_set_str(o, "line", line);
	jv_set(o, "policy", v->clear ? jv_obj() : policy_json(&v->policy));
	return o;
}

/* One certificate for a person. */
static void
cert_text(struct buf *b, const char *what, const struct tls_cert_brief *c)
{
	char from[ISO_SIZE], to[ISO_SIZE];

	buf_printf(b,
	    "  %s: %s\n    issuer %s\n    %s to %s, %s, %s\n"
	    "    SHA-256 %s\n",
	    what, c->subject, c->issuer, iso_s(c->not_before_s, from),
	    iso_s(c->not_after_s, to), c->key, c->sig, c->sha256);
}

/* What the certificates said. */
static void
certs_text(const struct tls_verdict *v, struct buf *b)
{
	for (size_t i = 0; i < v->num_sent; i++)
		cert_text(b, "sent", &v->sent[i]);
	if (v->num_built > 0)
		cert_text(b, v->anchor_set[0] != '\0' ? "anchor" : "path ends",
		    &v->built[v->num_built - 1]);
	if (v->anchor_set[0] != '\0')
		buf_printf(b, "  trusted by: %s\n", v->anchor_set);
	for (size_t i = 0; i < v->num_sans; i++)
		buf_printf(b, "  name: %s%s\n", v->sans[i],
		    strcmp(v->sans[i], v->matched) == 0 ? "  (matches)" : "");
	for (size_t i = 0; i < v->num_findings; i++)
		buf_printf(b, "  noted: %s\n", v->findings[i]);
}

/* What was decided before, and why. */
static void
policy_text(const struct tls_policy *p, struct buf *b)
{
	char value[TLS_NAME_MAX + 1];

	for (int f = 0; f < TLS_F_MAX; f++) {
		field_print(p, f, value, sizeof(value));
		buf_printf(b, "  %-9s %s (%s)\n", tls_field_name(f),
		    value[0] != '\0' ? value : "-", p->why[f]);
	}
}

/* Whether a certificate of ours was asked for, and which answered. */
static void
client_text(const struct tls_verdict *v, struct buf *b)
{
	if (v->policy.dir != TLS_CLIENT)
		return;
	if (!v->client_asked && !v->resumed) {
		buf_puts(b, "  our certificate: not asked for\n");
		return;
	}
	buf_printf(b, "  our certificate: %s %s\n", tls_identity_name(v->shown),
	    v->shown_subject);
	for (size_t i = 0; i < v->num_ca_names; i++)
		buf_printf(b, "  accepts issuer: %s\n", v->ca_names[i]);
}

int
tls_verdict_text(const struct tls_verdict *v, struct buf *b)
{
	char line[256];

	tls_verdict_line(v, line, sizeof(line));
	buf_printf(b, "%s\n", line);
	if (v->text[0] != '\0')
		buf_printf(b, "%s\n", v->text);
	if (v->clear)
		return b->err;
	buf_puts(b, "seen:\n");
	certs_text(v, b);
	client_text(v, b);
	if (v->alert_rx >= 0)
		buf_printf(b, "  alert received: %d %s (%s)\n", v->alert_rx,
		    tls_alert_name(v->alert_rx), phase_name(v->alert_phase));
	if (v->alert_tx >= 0)
		buf_printf(b, "  alert sent: %d %s (%s)\n", v->alert_tx,
		    tls_alert_name(v->alert_tx), phase_name(v->alert_phase));
	if (v->num_first_bytes > 0)
		buf_printf(b, "  first bytes: \"%s\"\n",
		    esc_n(v->first_bytes, v->num_first_bytes));
	buf_puts(b, "policy:\n");
	policy_text(&v->policy, b);
	return b->err;
}

/* How sure we are of the peer, in a few words. */
static void
who_print(const struct tls_verdict *v, char *out, size_t size)
{
	const char *name =
	    v->policy.name[0] != '\0' ? v->policy.name : v->sent[0].subject;

	if (v->policy.dir == TLS_SERVER && v->num_sent == 0)
		snprintf(out, size, "no client certificate");
	else if (v->policy.dir == TLS_CLIENT && !v->policy.verify)
		snprintf(out, size, "NOT verified");
	else if (!v->peer_verified)
		snprintf(out, size, "client certificate without value");
	else
		snprintf(
		    out, size, "verified as %.120s by %s", name, v->anchor_set);
}

void
tls_verdict_line(const struct tls_verdict *v, char *out, size_t size)
{
	char addr[ADDR_STR_MAX] = "-", peer[192], who[160];

	if (addr_is_set(&v->remote))
		addr_print(&v->remote, addr);
	if (v->host[0] != '\0')
		snprintf(peer, sizeof(peer), "%.100s (%s)", esc(v->host), addr);
	else
		snprintf(peer, sizeof(peer), "%s", addr);
	if (v->class[0] != '\0') {
		/* The phase itself is "closed" by now, and the time of a
		 * handshake is kept also if it failed; its version is not. */
		snprintf(out, size, "%s: failed in %s: %s", peer,
		    v->tcp_us < 0                      ? "connect"
			: !v->clear && v->version == 0 ? "handshake"
						       : "session",
		    v->class);
		return;
	}
	if (v->clear) {
		snprintf(out, size, "%s: clear TCP", peer);
		return;
	}
	if (!v->ok) {
		snprintf(out, size, "%s: in %s", peer, phase_name(v->phase));
		return;
	}
	who_print(v, who, sizeof(who));
	snprintf(out, size, "%s: %s%s %s %s%s, %s%s%s%s", peer,
	    tls_version_name(v->version),
	    v->version < TLS_V12 ? " (old, weak)" : "", v->cipher, v->group,
	    v->resumed ? " resumed" : "", who,
	    v->policy.dir == TLS_CLIENT && v->shown != TLS_ID_NONE
		? ", our certificate: "
		: "",
	    v->policy.dir == TLS_CLIENT && v->shown != TLS_ID_NONE
		? tls_identity_name(v->shown)
		: "",
	    v->policy.dir == TLS_CLIENT && v->shown != TLS_ID_NONE &&
		    !v->confirmed
		? " (not confirmed yet)"
		: "");
}
