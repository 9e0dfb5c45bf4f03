/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_TLS_VERDICT_H
#define BELLBIRD_TLS_VERDICT_H

#include "bellbird/addr.h"
#include "bellbird/tls_policy.h"

enum {
	TLS_CHAIN_MAX = 6,
	TLS_SANS_MAX = 8,
	TLS_FINDINGS_MAX = 6,
	TLS_CANAMES_MAX = 4
};

/* One certificate of a chain, as text; every string is escaped already. */
struct tls_cert_brief {
	char subject[128], issuer[128];
	int64_t not_before_s, not_after_s;
	char sha256[65];
	char key[24]; /* "EC P-256", "RSA 2048" */
	char sig[32]; /* "ecdsa-with-SHA256" */
};

/* What a fault is about; `class` strings are those of docs ("cert.expired"). */
enum tls_phase {
	TLS_PH_RESOLVE,
	TLS_PH_CONNECT,
	TLS_PH_HANDSHAKE,
	TLS_PH_PROBATION, /* up, but our certificate may still be refused
			     (TLS 1.3) */
	TLS_PH_UP,
	TLS_PH_CLOSED
};

/*
 * tls_verdict is the one record of a connection: what was decided, what was
 * seen, what failed.  Everyone who shows a TLS matter prints this record;
 * nobody else composes TLS error text.
 */
struct tls_verdict {
	uint64_t id;                 /* session id, as in the log */
	int64_t wall_us;             /* start */
	bool clear;                  /* no TLS was wanted: plain TCP */
	struct tls_policy policy;    /* with reasons; meaningless if clear */
	char host[TLS_NAME_MAX + 1]; /* where to connect, as configured */
	struct addr remote, local;
	int64_t dns_us, tcp_us, tls_us; /* durations; -1: not reached */
	enum tls_phase phase;
	bool ok;        /* the handshake held all the policy asks */
	bool confirmed; /* an application byte arrived: our certificate held too
			 */
	bool resumed;
	bool peer_verified; /* the peer's certificate holds: its names count */
	uint16_t version;
	char cipher[48], group[24], sigalg[32], alpn[16];
	struct tls_cert_brief
	    sent[TLS_CHAIN_MAX]; /* by the peer, in its order */
	size_t num_sent;
	struct tls_cert_brief
	    built[TLS_CHAIN_MAX]; /* leaf first, anchor last */
	size_t num_built;
	char anchor_set[16]; /* "builtin", "trusted", "siptrusted", "" */
	char sans[TLS_SANS_MAX]
		 [128]; /* "DNS:a.example", "URI:sip:example.com"; the
			   first ones, cut: to be shown, not compared */
	size_t num_sans;
	char matched[128]; /* which of them matched, "" if none */
	char findings[TLS_FINDINGS_MAX]
		     [32]; /* classes overridden or informational */
	size_t num_findings;
	bool client_asked; /* the server asked for a client certificate */
	enum tls_identity
	    shown; /* the slot that answered; NONE: nothing shown */
	char shown_subject[128];
	char ca_names[TLS_CANAMES_MAX][128]; /* issuers the server accepts */
	size_t num_ca_names;
	int alert_rx, alert_tx; /* -1: none */
	enum tls_phase alert_phase;
	int err;        /* 0 or E_TLS_* / errno */
	char class[32]; /* "" when ok, else a failure class: "cert.expired" */
	char text[640]; /* what failed - seen from which side - why - do this */
	uint8_t first_bytes[64]; /* of a peer that spoke plain text */
	size_t num_first_bytes;
};

struct jv;
struct buf;
/* tls_verdict_json returns a new object with fixed field names (STABILITY.md).
 */
struct jv *tls_verdict_json(const struct tls_verdict *v);
/* tls_verdict_text appends the whole record for a person, several lines. */
int tls_verdict_text(const struct tls_verdict *v, struct buf *b);
/* tls_verdict_line writes "TLS 1.3 AES_128_GCM X25519, verified as sip.example,
 * ..." */
void tls_verdict_line(const struct tls_verdict *v, char *out, size_t size);

#endif
