/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_SIP_TRACE_H
#define BELLBIRD_SIP_TRACE_H

#include "bellbird/buf.h"
#include "bellbird/sip_stack.h"

/*
 * The trace: what was sent and received, as text (of TLS the decrypted text),
 * with the secrets masked byte for byte: credentials, digest responses, keys in
 * SDP, passwords in URIs, and bodies of a type that is not known to be
 * harmless.  The newest messages are kept in a ring of some bytes.
 */
struct sip_trace_msg {
	uint64_t seq;  /* rises by one for each message, from 1 */
	int64_t at_us; /* clock_wall_us() */
	bool sent;
	enum sip_transport t;
	uint64_t flow;             /* 0: an unknown UDP peer */
	struct addr local, remote; /* local may be 0.0.0.0 on such UDP */
	/* Bytes of messages before this one on the flow, in its direction and
	 * in the other: sequence numbers of a TCP stream. */
	uint32_t at, peer_at;
	size_t full_n;    /* bytes it had; `msg` is shorter if it was long */
	struct slice msg; /* borrowed for the callback */
};
typedef void(sip_trace_cb)(const struct sip_trace_msg *m, void *arg);

/* sip_stack_trace has `cb` see each message from now on, whole; NULL: nobody.
 * It may not free the stack. */
void sip_stack_trace(struct sip_stack *s, sip_trace_cb *cb, void *arg);
/* sip_stack_keep sets the size of the ring (0: none is kept; at most
 * SIPC_TRACE_MAX); what is in it is dropped.  Memory is taken with the first
 * message. */
void sip_stack_keep(struct sip_stack *s, size_t bytes);
/* sip_stack_kept calls `cb` for each kept message, oldest first. */
void sip_stack_kept(struct sip_stack *s, sip_trace_cb *cb, void *arg);

/* What a line of a ladder tells; slices of the message, empty if absent. */
struct sip_trace_brief {
	struct slice method; /* of CSeq in responses */
	struct slice cseq;   /* the number */
	struct slice call_id;
	struct slice reason; /* of responses */
	int code;            /* 0: a request */
	bool sdp;            /* has a body of that type */
};
void sip_trace_brief(struct sip_trace_brief *out, struct slice msg);

/*
 * pcapng, as Wireshark and libpcap read it: an interface for each transport
 * (udp, tcp, tls), packets with real addresses, ports, times and directions.
 * UDP and TCP look as on the wire.  What went through TLS is shown as UDP:
 * readers would take text on a TLS port for broken TLS.
 */
void sip_pcap_begin(struct buf *b);
/* sip_pcap_add appends a message, on TCP as one or more segments; on UDP and
 * TLS what does not fit in a datagram is cut. */
void sip_pcap_add(struct buf *b, const struct sip_trace_msg *m);

#endif
