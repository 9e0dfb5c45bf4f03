/* SPDX-License-Identifier: ISC */
/* One sentence per error code: errno values and our own.
 * The only place where E_* codes become words. */
#include <stddef.h>
#include <string.h>

#include "bellbird/err.h"

static const struct {
	int err;
	const char *text;
} texts[] = {
	{ E_PARSE, "The text does not follow its grammar" },
	{ E_LIMIT, "A limit was reached" },
	{ E_CLOSED, "The peer closed the connection" },
	{ E_DNS_NXDOMAIN, "The name does not exist in the DNS" },
	{ E_DNS_NODATA, "The name has no DNS record of that type" },
	{ E_DNS_FAIL, "No name server gave an answer" },
	{ E_STOPPED, "The operation was stopped before its end" },
	{ E_DNS_NO_SERVICE, "The domain says that it has no such service" },
	{ E_TLS_PARAM, "The TLS policy cannot be carried out" },
	{ E_TLS_TRUST, "No trust anchor could be loaded" },
	{ E_TLS_KEY, "The certificate or key is unreadable or they mismatch" },
	{ E_TLS_CERT, "The certificate of the peer was refused" },
	{ E_TLS_HANDSHAKE, "The TLS handshake failed" },
	{ E_TLS_PEER_REFUSED, "The peer refused us or our certificate" },
	{ E_SIP_PARSE, "Not a SIP message, or one beyond our limits" },
	{ E_SIP_STATE, "Not possible in this state of the dialog" },
	{ E_SIP_REFUSED, "The request was refused" },
	{ E_SIP_AUTH, "The credentials were refused" },
	{ E_SIP_NO_ROUTE, "No target could be reached" },
	{ E_SIP_INSECURE, "Only a weaker transport was left; it was not used" },
	{ E_MEDIA_SDP, "The SDP is malformed or beyond our limits" },
	{ E_MEDIA_NO_COMMON, "There is no codec in common" },
	{ E_MEDIA_SRTP_REQUIRED,
	    "SRTP is mandatory here and the peer has none" },
	{ E_MEDIA_SRTP_KEY, "No usable SRTP key was offered" },
	{ E_MEDIA_DEVICE, "The audio device or file cannot be used" },
	{ E_PROV_CONF, "The configuration file was refused" },
	{ E_PROV_HTTP, "The server answered with an error status" },
	{ E_PROV_NOT_CONF, "The body is not a configuration" },
	{ E_PROV_TRUNCATED, "Fewer bytes arrived than were announced" },
	{ E_PROV_DISABLED, "Provisioning is switched off" },
	{ E_CTL_USAGE, "The verb or its arguments are wrong" },
	{ E_CTL_NO_DAEMON, "Nothing answers on the control socket" },
};

const char *
err_str(int err)
{
	const char *s;

	if (err == 0)
		return "Success";
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (texts[i].err == err)
			return texts[i].text;
	}
	if (err < 0 || err >= E_PARSE)
		return "Unknown error";
	s = strerror(err);
	return s != NULL ? s : "Unknown error";
}
