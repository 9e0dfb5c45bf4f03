/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_SIP_LIMITS_H
#define BELLBIRD_SIP_LIMITS_H

/* What a peer may make us hold or do.  Each limit says why it is there. */
enum {
	/* The largest header block seen in the field is under 6 KiB. */
	SIPC_HEAD_MAX = 16 * 1024,
	/* An SDP of a few KiB, or a document: more is not for an endpoint. */
	SIPC_BODY_MAX = 64 * 1024,
	/* A message of a phone has 15 to 25 fields; lists cost time. */
	SIPC_FIELDS_MAX = 128,
	/* Values of one field, separated by commas: Via, Route, Contact. */
	SIPC_VALUES_MAX = 64,
	/* A message as a whole; also the ceiling of what we compose. */
	SIPC_MSG_MAX = SIPC_HEAD_MAX + SIPC_BODY_MAX,
	/* URIs end up in fixed fields of status objects. */
	SIPC_URI_MAX = 512,
	SIPC_USER_MAX = 128,
	SIPC_HOST_MAX = 255, /* RFC 1035 2.3.4 */
	/* An unfinished message on a connection, 64 s (as 64*T1 twice). */
	SIPC_PARTIAL_S = 64,
	/* A connection of a stranger who says nothing, 15 min. */
	SIPC_IDLE_S = 900,
	/* Unfinished server transactions where the program names no number, in
	 * all and of one address; above it 503.  2 KiB each with its request:
	 * 8 MiB, of which one caller gets a quarter. */
	SIPC_REQS_MAX = 4096,
	SIPC_REQS_PEER_MAX = 1024,
	/* Memory for answers to requests on UDP, kept for 32 s for those that
	 * are sent again: 30,000 of them; then the oldest are forgotten. */
	SIPC_DONES_BYTES = 16 * 1024 * 1024,
	/* UDP peers without a call or registration that we remember. */
	SIPC_PEERS_MAX = 256,
	/* Connections of one listener, and of one address to it. */
	SIPC_CONNS_MAX = 256,
	SIPC_CONNS_IP_MAX = 64,
	/* Addresses tried for one request (RFC 3263). */
	SIPC_TARGETS_MAX = 16,
	/* Targets that failed lately: those of a few servers. */
	SIPC_BADS_MAX = 64,
	/* RFC 3261 18.1.1: above it UDP might be cut on the way .. */
	SIPC_UDP_MAX = 1300,
	/* .. and TCP is tried for so long: a firewall may be silent. */
	SIPC_BIG_CONNECT_S = 2,
	/* Where there is another target, one that says nothing for so long is
	 * given up (four repetitions on UDP, a lost SYN or two on TCP). */
	SIPC_TRY_S = 5,
	/* Domains known to offer TLS: those of the accounts and of calls. */
	SIPC_TLS_DOMAINS_MAX = 64,
	/* Servers of one account: sip.proxy, sip.bkproxy1, sip.bkproxy2. */
	SIPC_SERVERS_MAX = 3,
	/* An incoming call rings no longer, whatever its Expires says: nobody
	 * comes after ten minutes, and it holds one of few places. */
	SIPC_RING_MAX_S = 600,
	/* Answers of forks that we end with BYE at the same time; a peer that
	 * sends more of them gets ACK alone. */
	SIPC_STRAYS_MAX = 16,
	/* Digits of one command that wait for their INFO: a calling card. */
	SIPC_DTMF_MAX = 64,
	/* A text that comes, and one of ours: RFC 3428 8 has 1300 bytes for a
	 * whole MESSAGE whose way is not known. */
	SIPC_TEXT_MAX = 4096,
	SIPC_TEXT_SEND_MAX = 1000,
	/* Nonces that proved something, longer than they are good for: one a
	 * minute is taken, and they last five. */
	SIPC_NONCES_USED = 16,
	/* A Replaces value in a Refer-To: a Call-ID and two tags. */
	SIPC_REPLACES_MAX = 512,
	/* A transfer of which nothing more is heard; a phone rings no longer.
	 */
	SIPC_REFER_S = 200,
	/* Branches of one INVITE that ring at the same time: a forking proxy
	 * asks the few devices of a person; each costs us a dialog. */
	SIPC_EARLY_MAX = 8,
	/* Other targets that 3xx answers may send one call to; more is a loop
	 * that hides (RFC 3261 8.1.3.4). */
	SIPC_REDIRECTS_MAX = 5,
	/* Calls at once where the program names no number. */
	SIPC_CALLS_DEFAULT = 4,
	/* Kept messages, in bytes: one of each kind at least; and a reply of
	 * the control socket must hold them all, with its escapes. */
	SIPC_TRACE_MIN = 8 * 1024,
	SIPC_TRACE_MAX = 256 * 1024,
	/* Kept in one second of what strangers send by UDP. */
	SIPC_TRACE_STRANGERS = 10,
	/* Messages of one connection handled in a row: fairness. */
	SIPC_BURST_MAX = 32
};

#endif
