/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_ERR_H
#define BELLBIRD_ERR_H

#include <errno.h>

/*
 * Every fallible function returns int: 0, a positive errno value, or one of
 * the codes below.  Outputs are written on success only.
 */
#define MUST_CHECK __attribute__((warn_unused_result))

/* ignore_err(call, "why it cannot matter") drops a result on purpose. */
#define ignore_err(call, reason)       \
	do {                           \
		int ignored_ = (call); \
		(void)ignored_;        \
	} while (0)

enum {
	/* base: 10000.. */
	E_PARSE = 10000,  /* text does not follow its grammar */
	E_LIMIT,          /* a stated ceiling was reached */
	E_CLOSED,         /* the peer closed the connection */
	E_DNS_NXDOMAIN,   /* the name does not exist */
	E_DNS_NODATA,     /* the name has no record of that type */
	E_DNS_FAIL,       /* no name server gave an answer */
	E_STOPPED,        /* the operation was stopped before its end */
	E_DNS_NO_SERVICE, /* the domain says that it has no such service */

	/* tls: 10100.. */
	E_TLS_PARAM = 10100, /* a policy the library cannot carry out */
	E_TLS_TRUST,         /* no trust anchor could be loaded */
	E_TLS_KEY,           /* certificate or key unreadable or mismatched */
	E_TLS_CERT,          /* the peer's certificate was refused by us */
	E_TLS_HANDSHAKE,     /* handshake failed for another reason */
	E_TLS_PEER_REFUSED,  /* the peer refused us or our certificate */

	/* sipcore: 10200.. */
	E_SIP_PARSE = 10200, /* not a SIP message, or one beyond our limits */
	E_SIP_STATE,         /* not possible in this state of the dialog */
	E_SIP_REFUSED,       /* final response 3xx..6xx; see the code */
	E_SIP_AUTH,          /* credentials refused, or no usable challenge */
	E_SIP_NO_ROUTE,      /* no target could be reached */
	E_SIP_INSECURE,      /* only a weaker transport was left: not used */

	/* media: 10300.. */
	E_MEDIA_SDP = 10300,   /* SDP malformed or beyond our limits */
	E_MEDIA_NO_COMMON,     /* no codec in common */
	E_MEDIA_SRTP_REQUIRED, /* SRTP is mandatory here; the peer has none */
	E_MEDIA_SRTP_KEY,      /* a=crypto offered, none of it usable */
	E_MEDIA_DEVICE,        /* audio device or file cannot be used */

	/* prov: 10400.. */
	E_PROV_CONF = 10400, /* the file was refused; see its problem list */
	E_PROV_HTTP,         /* the server answered with an error status */
	E_PROV_NOT_CONF,     /* the body is not a configuration */
	E_PROV_TRUNCATED,    /* fewer bytes arrived than were announced */
	E_PROV_DISABLED,     /* prov.use = 0 */

	/* src/ctl: 10500.. */
	E_CTL_USAGE = 10500, /* a verb or its arguments are wrong */
	E_CTL_NO_DAEMON      /* nothing answers on the control socket */
};

/* err_str returns one plain sentence for `err`; static storage, never NULL. */
const char *err_str(int err);

#endif
