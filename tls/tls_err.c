/* SPDX-License-Identifier: ISC */
/* The library's error queue and the peer's alerts, turned into our codes and
 * classes.  The only reader of the queue. */
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "bellbird/log.h"
#include "bellbird/str.h"

#include "internal.h"

void
tls_err_drop(void)
{
	ERR_clear_error();
}

const char *
tls_alert_name(int alert)
{
	static const struct {
		int alert;
		const char *name;
	} t[] = {
		{ 10, "unexpected_message" },
		{ 20, "bad_record_mac" },
		{ 22, "record_overflow" },
		{ 40, "handshake_failure" },
		{ 42, "bad_certificate" },
		{ 43, "unsupported_certificate" },
		{ 44, "certificate_revoked" },
		{ 45, "certificate_expired" },
		{ 46, "certificate_unknown" },
		{ 47, "illegal_parameter" },
		{ 48, "unknown_ca" },
		{ 49, "access_denied" },
		{ 50, "decode_error" },
		{ 51, "decrypt_error" },
		{ 70, "protocol_version" },
		{ 71, "insufficient_security" },
		{ 80, "internal_error" },
		{ 86, "inappropriate_fallback" },
		{ 90, "user_canceled" },
		{ 100, "no_renegotiation" },
		{ 109, "missing_extension" },
		{ 110, "unsupported_extension" },
		{ 112, "unrecognized_name" },
		{ 116, "certificate_required" },
		{ 120, "no_application_protocol" },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		if (t[i].alert == alert)
			return t[i].name;
	}
	return "unknown";
}

/* What a refused certificate of ours is called. */
static const char *
mtls_class(int alert)
{
	switch (alert) {
	case SSL_AD_UNKNOWN_CA:
		return "mtls.rejected_ca";
	case SSL_AD_UNSUPPORTED_CERTIFICATE:
		return "mtls.rejected_eku";
	case SSL_AD_CERTIFICATE_EXPIRED:
		return "mtls.rejected_expired";
	case SSL_AD_CERTIFICATE_REVOKED:
		return "mtls.rejected_revoked";
	default:
		return "mtls.rejected_unknown";
	}
}

/* True for the alerts that speak of a certificate. */
static bool
is_cert_alert(int alert)
{
	return (alert >= SSL_AD_BAD_CERTIFICATE &&
		   alert <= SSL_AD_CERTIFICATE_UNKNOWN) ||
	    alert == SSL_AD_UNKNOWN_CA || alert == SSL_AD_ACCESS_DENIED ||
	    alert == SSL_AD_DECRYPT_ERROR;
}

/* An alert about our client certificate; false if it is about something
 * else. */
static bool
alert_mtls(struct tls_verdict *v, int alert)
{
	const char *name = tls_alert_name(alert);
	bool asked = v->client_asked || v->resumed;

	if (v->policy.dir != TLS_CLIENT)
		return false;
	if (alert == SSL_AD_CERTIFICATE_REQUIRED ||
	    (alert == SSL_AD_HANDSHAKE_FAILURE && asked &&
		v->shown == TLS_ID_NONE)) {
		tls_explain(v, "mtls.required_none",
		    "demands a certificate of this device, and none was "
		    "shown%s%s (alert %d, %s)",
		    v->num_ca_names > 0 ? "; it accepts: " : "",
		    v->num_ca_names > 0 ? v->ca_names[0] : "", alert, name);
		return true;
	}
	if (!asked || !is_cert_alert(alert))
		return false;
	if (v->shown == TLS_ID_NONE)
		tls_explain(v, "mtls.required_none",
		    "asked for a certificate of this device, got none, and "
		    "refused (alert %d, %s)",
		    alert, name);
	else
		tls_explain(v, mtls_class(alert),
		    "refused our certificate '%s' (slot %s): alert %d, %s",
		    v->shown_subject, tls_identity_name(v->shown), alert, name);
	return true;
}

int
tls_err_alert(struct tls_conn *c)
{
	struct tls_verdict *v = &c->v;
	int alert = v->alert_rx;
	const char *name = tls_alert_name(alert);

	if (alert_mtls(v, alert))
		return v->err;
	switch (alert) {
	case SSL_AD_PROTOCOL_VERSION:
		tls_explain(v, "hs.version", "does not speak %s%s%s (alert 70)",
		    tls_version_name(v->policy.min),
		    v->policy.min != v->policy.max ? " to " : "",
		    v->policy.min != v->policy.max
			? tls_version_name(v->policy.max)
			: "");
		break;
	case SSL_AD_HANDSHAKE_FAILURE:
	case SSL_AD_INSUFFICIENT_SECURITY:
		tls_explain(v, "hs.no_common",
		    "has no cipher, group or signature algorithm in common "
		    "with us (alert %d, %s)",
		    alert, name);
		break;
	case SSL_AD_NO_APPLICATION_PROTOCOL:
		tls_explain(v, "hs.alpn",
		    "speaks none of the protocols offered (ALPN, alert 120)");
		break;
	case SSL_AD_UNRECOGNIZED_NAME:
		tls_explain(v, "hs.sni",
		    "does not know the name '%s' (alert 112)", v->policy.name);
		break;
	default:
		tls_explain(v, "hs.refused", "%s: alert %d, %s",
		    is_cert_alert(alert) && v->policy.dir == TLS_SERVER
			? "refused our certificate"
			: "ended the handshake",
		    alert, name);
		break;
	}
	return v->err;
}

/* True if what the peer sent first is no TLS record. */
static bool
is_plaintext(const struct tls_conn *c)
{
	/* Content types 20..24: no text starts with them. */
	return c->num_first > 0 && (c->first[0] < 20 || c->first[0] > 24);
}

/* The peer speaks something else: keep the evidence. */
static void
explain_plaintext(struct tls_conn *c)
{
	struct tls_verdict *v = &c->v;
	size_t n = 0;

	tls_hs_first(c);
	memcpy(v->first_bytes, c->first, c->num_first);
	v->num_first_bytes = c->num_first;
	/* The first line says which protocol it is. */
	while (n < c->num_first && c->first[n] != '\r' && c->first[n] != '\n')
		n++;
	tls_explain(v, "hs.plaintext", "speaks no TLS on this port: \"%s\"",
	    esc_n(c->first, n));
}

/* Our own side ended it: the reason is in the queue. */
static void
explain_local(struct tls_verdict *v, uint32_t e)
{
	const char *words = ERR_reason_error_string(e);

	switch (ERR_GET_LIB(e) == ERR_LIB_SSL ? ERR_GET_REASON(e) : 0) {
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_UNKNOWN_PROTOCOL:
	case SSL_R_WRONG_SSL_VERSION:
		tls_explain(v, "hs.version",
		    "speaks only TLS versions that are not allowed here "
		    "(%s to %s are)",
		    tls_version_name(v->policy.min),
		    tls_version_name(v->policy.max));
		break;
	case SSL_R_NO_SHARED_CIPHER:
	case SSL_R_NO_SHARED_GROUP:
	case SSL_R_NO_COMMON_SIGNATURE_ALGORITHMS:
	case SSL_R_WRONG_CIPHER_RETURNED:
	case SSL_R_UNSUPPORTED_ELLIPTIC_CURVE:
	case SSL_R_WRONG_CURVE:
	case SSL_R_WRONG_SIGNATURE_TYPE:
		tls_explain(v, "hs.no_common",
		    "has no cipher, group or signature algorithm in common "
		    "with us");
		break;
	case SSL_R_NO_APPLICATION_PROTOCOL:
		tls_explain(v, "hs.alpn",
		    "offers only protocols that are not spoken on this port "
		    "(ALPN)");
		break;
	case SSL_R_CANNOT_PARSE_LEAF_CERT:
		tls_explain(v, "cert.malformed",
		    "sent a certificate that cannot be read");
		break;
	case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
		tls_explain(v, "mtls.required_none",
		    "showed no certificate, and one is demanded here");
		break;
	default:
		tls_explain(v, "hs.protocol", "broke the TLS protocol: %s",
		    words != NULL ? words : "no reason given");
		break;
	}
}

int
tls_err_judge(struct tls_conn *c)
{
	uint32_t e = ERR_peek_error();
	struct tls_verdict *v = &c->v;

	ERR_clear_error();
	/* Our judgement of the certificate has its words already. */
	if (v->class[0] != '\0')
		return v->err;
	if (is_plaintext(c))
		explain_plaintext(c);
	else if (v->alert_rx >= 0)
		return tls_err_alert(c);
	else
		explain_local(v, e);
	return v->err;
}
