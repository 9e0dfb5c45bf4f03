/* SPDX-License-Identifier: ISC */
/* The fence: results of the parser library and status codes of SIP become our
 * error codes here and nowhere else. */
#include <osipparser2/osip_port.h>

#include "internal.h"

int
sip_err_of_osip(int rc)
{
	switch (rc) {
	case OSIP_SUCCESS:
		return 0;
	case OSIP_NOMEM:
		return ENOMEM;
	default:
		return E_SIP_PARSE;
	}
}

int
sip_err_of_code(int code)
{
	if (code < 300)
		return 0;
	switch (code) {
	case 401:
	case 407:
		return E_SIP_AUTH;
	case 408:
		return ETIMEDOUT;
	default:
		return E_SIP_REFUSED;
	}
}
