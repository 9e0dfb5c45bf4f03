/* SPDX-License-Identifier: ISC */
/* How long a registration waits before it tries again. */
#include "reg_internal.h"

/* A fraction of `us` between half and all of it, at random. */
static int64_t
jitter(int64_t us)
{
	return us / 2 + (int64_t)(tls_random_id() % (uint64_t)(us / 2 + 1));
}

/* What kind of failure an error is. */
static enum reg_failure
kind_of(int err)
{
	switch (err) {
	case E_TLS_PARAM:
	case E_TLS_TRUST:
	case E_TLS_KEY:
	case E_TLS_CERT:
	case E_TLS_HANDSHAKE:
	case E_TLS_PEER_REFUSED:
		return REG_FAIL_TLS;
	case E_SIP_AUTH:
	case E_SIP_REFUSED:
		return REG_FAIL_REFUSED;
	default:
		return REG_FAIL_NET;
	}
}

bool
reg_keeps_reason(const struct sip_reg *r, int err)
{
	/* The second address of a host whose certificate was refused often
	 * refuses the connection (::1 of localhost): that is not the news. */
	return r->tries > 1 && kind_of(r->err) == REG_FAIL_TLS &&
	    kind_of(err) == REG_FAIL_NET;
}

int64_t
reg_backoff_us(struct sip_reg *r)
{
	/* The first retry of a network is at once, then soon: a server that
	 * restarts must find us within two seconds. */
	static const int net_ms[] = { 0, 200, 500, 1000, 1000, 1000, 1500, 1500,
		2000, 4000, 8000, 16000, 30000 };
	enum { NET = sizeof(net_ms) / sizeof(net_ms[0]) };
	enum reg_failure kind = kind_of(r->err);
	int64_t us, cap;
	unsigned int n = r->fails[kind]++;

	if (kind == REG_FAIL_NET) {
		us = net_ms[n < NET ? n : NET - 1] * SIPC_MS;
		return us > 2 * SIPC_S ? jitter(us) : us;
	}
	us = kind == REG_FAIL_TLS ? 2 * SIPC_S : 30 * SIPC_S;
	cap = kind == REG_FAIL_TLS ? 300 * SIPC_S : 1800 * SIPC_S;
	while (n-- > 0 && us < cap)
		us *= 2;
	if (us > cap)
		us = cap;
	/* TLS: the step itself and a bit; refusals: RFC 5626 4.5. */
	return kind == REG_FAIL_TLS ? us + jitter(us) / 5 : jitter(us);
}
