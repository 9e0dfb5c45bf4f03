/* SPDX-License-Identifier: ISC */
/* Failure classes in plain words: what failed, seen from which side, why,
 * and what to do.  Nobody else composes such text. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bellbird/log.h"
#include "bellbird/str.h"

#include "internal.h"

/* What each class means for our caller, and what helps.  A key is written
 * without its use, as in tls.name; advice() adds it. */
static const struct row {
	const char *class;
	int err;
	const char *client; /* the fix where we were the client */
	const char *server; /* .. where we were the server; NULL: the same */
} rows[] = {
	{ "tcp.refused", ECONNREFUSED,
	    "Check address and port (usually 5061 for SIP over TLS, 443 for "
	    "HTTPS) and whether the service runs.",
	    NULL },
	{ "tcp.timeout", ETIMEDOUT,
	    "A firewall may drop the packets, or the address is wrong.", NULL },
	{ "tcp.unreachable", EHOSTUNREACH,
	    "Check this device's network, address and routes.", NULL },
	{ "tcp.failed", EIO, "Check the network on the way.", NULL },
	{ "tcp.reset_in_hs", ECONNRESET,
	    "Something on the way or the server cuts: an SNI filter, an "
	    "address not allowed, fail2ban, or the wrong port.",
	    "The client gave up; its log says why." },
	{ "tcp.closed_in_hs", E_CLOSED,
	    "Something on the way or the server cuts: an SNI filter, an "
	    "address not allowed, fail2ban, or the wrong port.",
	    "The client gave up, or it only probed the port." },
	{ "hs.silent", ETIMEDOUT,
	    "It may be a port for clear SIP that waits for text, or the "
	    "server is overloaded: use its TLS port.",
	    "It may be a client that speaks another protocol and waits." },
	{ "hs.plaintext", E_TLS_HANDSHAKE,
	    "Use the server's TLS port, or switch TLS on there.",
	    "Set the client to TLS for this port." },
	{ "hs.version", E_TLS_HANDSHAKE,
	    "Update the server, or lower tls.min (needs tls.force = 0 and "
	    "tls.profile = legacy) knowing that old versions are weak.",
	    "Update the client, or lower tls.min (needs tls.force = 0 and "
	    "tls.profile = legacy) knowing that old versions are weak." },
	{ "hs.no_common", E_TLS_HANDSHAKE,
	    "Compare the cipher lists: ECDHE with AES-GCM or ChaCha20 is "
	    "offered here; tls.profile = legacy offers more.",
	    NULL },
	{ "hs.sni", E_TLS_HANDSHAKE, "Set tls.name to a name the server knows.",
	    NULL },
	{ "hs.alpn", E_TLS_HANDSHAKE,
	    "Check address and port: it may be the server of another service.",
	    "Check the port the client was given, or its list of protocols "
	    "(ALPN)." },
	{ "hs.refused", E_TLS_PEER_REFUSED, "The server's log has its reason.",
	    "The client's log has its reason." },
	{ "hs.protocol", E_TLS_HANDSHAKE,
	    "Something on the way changes the bytes, or the peer's TLS is "
	    "faulty: take a capture.",
	    NULL },
	{ "hs.internal", E_TLS_HANDSHAKE, "Look at this device's log.", NULL },
	{ "cert.self_signed", E_TLS_CERT,
	    "Compare the SHA-256 with the server's, then import that "
	    "certificate or its CA to certs/trusted.",
	    "Import the client's CA to certs/trusted." },
	{ "cert.untrusted_root", E_TLS_CERT,
	    "Import that root to certs/trusted if it is the right one.", NULL },
	{ "cert.missing_intermediate", E_TLS_CERT,
	    "Ask its owner to install the full chain (fullchain.pem); "
	    "browsers hide this fault.",
	    "Install the full chain at the client." },
	{ "cert.unknown_root", E_TLS_CERT,
	    "Import the certificate of that CA to certs/trusted, or have the "
	    "server send its full chain.",
	    "Import the certificate of that CA to certs/trusted, or have the "
	    "client send its full chain." },
	{ "trust.empty", E_TLS_CERT,
	    "Install the package ca-certificates, or import the server's CA "
	    "to certs/trusted; see tls.trust.",
	    "Import the clients' CA to certs/trusted; see tls.trust." },
	{ "cert.expired", E_TLS_CERT,
	    "If the time here is right, the server needs a new certificate; "
	    "else set the clock (NTP).",
	    "If the time here is right, the client needs a new certificate; "
	    "else set the clock (NTP)." },
	{ "cert.not_yet_valid", E_TLS_CERT,
	    "Set the clock of this device (NTP), or the one of the CA.", NULL },
	{ "cert.name_mismatch", E_TLS_CERT,
	    "Configure one of these names, set tls.name, or have the "
	    "certificate issued again with the expected name.",
	    NULL },
	{ "cert.ip_mismatch", E_TLS_CERT,
	    "Configure the server by one of these names, or have the "
	    "certificate issued again with the address in its SAN.",
	    NULL },
	{ "cert.cn_only", E_TLS_CERT,
	    "Have the certificate issued again with a SAN; tls.cn = 1 accepts "
	    "the common name meanwhile.",
	    NULL },
	{ "cert.wildcard_sip", E_TLS_CERT,
	    "Have the certificate issued for the SIP domain; tls.wildcard = "
	    "1 accepts it meanwhile.",
	    NULL },
	{ "cert.weak_key", E_TLS_CERT,
	    "Have it issued again with RSA 2048 or EC P-256; tls.allow = "
	    "rsa1024 accepts RSA 1024 meanwhile.",
	    NULL },
	{ "cert.weak_sig", E_TLS_CERT,
	    "Have it issued again with SHA-256; tls.allow = sha1 accepts it "
	    "meanwhile.",
	    NULL },
	{ "cert.eku", E_TLS_CERT,
	    "Have it issued again with the purpose serverAuth; tls.allow = "
	    "no-eku accepts one that names no purpose.",
	    "Have it issued again with the purpose clientAuth; tls.allow = "
	    "no-eku accepts one that names no purpose." },
	{ "cert.bad_signature", E_TLS_CERT,
	    "The certificate was changed or mixes two CAs of one name: "
	    "install the right chain.",
	    NULL },
	{ "cert.invalid", E_TLS_CERT, "Install a correct chain.", NULL },
	{ "cert.malformed", E_TLS_CERT, "Install a correct chain.", NULL },
	{ "key.mismatch", E_TLS_KEY,
	    "Install the certificate that was issued for the token's key, "
	    "then `bellbird reload`.",
	    NULL },
	{ "key.token", E_TLS_KEY,
	    "It is used again as soon as the token answers; `bellbird status` "
	    "says how it stands.",
	    NULL },
	{ "key.unreadable", E_TLS_KEY,
	    "Check the path, and that the file holds certificates in PEM or "
	    "DER form, the peer's own one first.",
	    NULL },
	{ "mtls.required_none", E_TLS_PEER_REFUSED,
	    "Install a device certificate from an issuer it accepts, and "
	    "choose it with tls.identity.",
	    "Install a client certificate there." },
	{ "mtls.rejected_ca", E_TLS_PEER_REFUSED,
	    "Give the server the CA that issued it (bellbird cert export-ca): "
	    "ssl_client_certificate in nginx, ca_list in Kamailio.",
	    NULL },
	{ "mtls.rejected_eku", E_TLS_PEER_REFUSED,
	    "Have our certificate issued with the purpose clientAuth.", NULL },
	{ "mtls.rejected_expired", E_TLS_PEER_REFUSED,
	    "Renew our certificate, or check the server's clock.", NULL },
	{ "mtls.rejected_revoked", E_TLS_PEER_REFUSED,
	    "Enrol this device again.", NULL },
	{ "mtls.rejected_unknown", E_TLS_PEER_REFUSED,
	    "The server's log has its reason.", NULL },
};

/* The row of a class; the last resort says nothing wrong. */
static const struct row *
row_of(const char *class)
{
	static const struct row none = { "", E_TLS_HANDSHAKE, "", NULL };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strcmp(rows[i].class, class) == 0)
			return &rows[i];
	}
	return &none;
}

/* "The server sip.example:5061 (192.0.2.1:5061)". */
static void
who(const struct tls_verdict *v, char *out, size_t size)
{
	bool client = v->clear || v->policy.dir == TLS_CLIENT;
	const char *kind = client ? "server" : "client";
	char addr[ADDR_STR_MAX] = "";

	if (addr_is_set(&v->remote))
		addr_print(&v->remote, addr);
	if (v->host[0] != '\0' && client && addr[0] != '\0')
		snprintf(out, size, "The server %s (%s)", esc(v->host), addr);
	else if (v->host[0] != '\0' && client)
		snprintf(out, size, "The server %s", esc(v->host));
	else
		snprintf(out, size, "The %s %s", kind,
		    addr[0] != '\0' ? addr : "peer");
}

/* The fix with whole keys: "sip.tls.name" for "tls.name". */
static void
advice(const struct tls_verdict *v, const char *fix, char *out, size_t size)
{
	const char *key, *use = v->clear ? "sip" : tls_use_name(v->policy.use);
	size_t n = 0;

	out[0] = '\0';
	while (n < size && (key = strstr(fix, "tls.")) != NULL) {
		n += (size_t)snprintf(out + n, size - n, "%.*s%s.tls.",
		    (int)(key - fix), fix, use);
		fix = key + strlen("tls.");
	}
	if (n < size)
		snprintf(out + n, size - n, "%s", fix);
}

void
tls_explain(struct tls_verdict *v, const char *class, const char *fmt, ...)
{
	const struct row *r = row_of(class);
	char peer[TLS_NAME_MAX + ADDR_STR_MAX + 32], why[400];
	const char *fix = r->client;
	char help[200];
	va_list ap;

	if (!v->clear && v->policy.dir == TLS_SERVER && r->server != NULL)
		fix = r->server;
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	who(v, peer, sizeof(peer));
	ignore_err(
	    str_copy(v->class, sizeof(v->class), class), "classes are short");
	v->err = r->err;
	/* The class must survive a long name: it is what scripts read. */
	advice(v, fix, help, sizeof(help));
	snprintf(v->text, sizeof(v->text), "%.160s %.*s. %.180s [%s]", peer,
	    (int)(sizeof(v->text) - 350 - strlen(class)), why, help, class);
}

void
tls_finding(struct tls_verdict *v, const char *class)
{
	for (size_t i = 0; i < v->num_findings; i++) {
		if (strcmp(v->findings[i], class) == 0)
			return;
	}
	if (v->num_findings == TLS_FINDINGS_MAX)
		return;
	ignore_err(str_copy(v->findings[v->num_findings++],
		       sizeof(v->findings[0]), class),
	    "classes are short");
}
