/* SPDX-License-Identifier: ISC */
/* How long a registration waits before it tries again. */
#include "bellbird/clock.h"
#include "reg_internal.h"

/* Where a network failed: every 1.5 s +-20 % for a minute and a half, from
 * there on RFC 5626 4.5 (base-time where all flows failed, max-time). */
#define STEP_US     (1500 * SIPC_MS)
#define SOON_US     (90 * SIPC_S)
#define BASE_US     (30 * SIPC_S)
#define BASE_TWO_US (90 * SIPC_S) /* where the other flow stands */
#define MAX_US      (1800 * SIPC_S)
/* What TLS refused needs somebody who changes a certificate. */
#define TLS_US      (2 * SIPC_S)
#define TLS_MAX_US  (300 * SIPC_S)
/* A registration that falls apart sooner was none: the steps go on; and one
 * that did not even last a second does not begin the minute and a half anew. */
#define STABLE_US   (10 * SIPC_S)
#define LASTED_US   (1 * SIPC_S)

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

bool
reg_is_net(int err)
{
	return kind_of(err) == REG_FAIL_NET;
}

void
reg_lasted(struct sip_reg *r, int64_t us)
{
	if (us >= STABLE_US)
		r->fails[REG_FAIL_NET] = 0;
	else if (us >= LASTED_US)
		r->lost_us = clock_mono_us();
}

/* RFC 5626 4.5: from half to all of a time that doubles. */
static int64_t
rfc_5626_us(int64_t base_us, unsigned int failures)
{
	int64_t us = base_us;

	while (failures-- > 0 && us < MAX_US)
		us *= 2;
	return jitter(us < MAX_US ? us : MAX_US);
}

/* A network that failed: at once, then soon, so that a server that restarts
 * finds us within two seconds; after a minute and a half it was no restart. */
static int64_t
net_us(struct sip_reg *r, unsigned int n)
{
	static const int ms[] = { 0, 200, 500, 1000 };
	enum { NUM = sizeof(ms) / sizeof(ms[0]) };
	const struct sip_reg *other;
	int64_t now = clock_mono_us();

	if (n == 0) {
		r->lost_us = now;
		r->slow_fails = 0;
	}
	if (n < NUM)
		return ms[n] * SIPC_MS;
	if (now - r->lost_us < SOON_US) {
		r->slow_fails = 0;
		return STEP_US / 5 * 4 +
		    (int64_t)(tls_random_id() % (uint64_t)(STEP_US / 5 * 2));
	}
	other = r->first != NULL ? r->first : r->twin;
	return rfc_5626_us(
	    other != NULL && other->state == SIP_REG_OK ? BASE_TWO_US : BASE_US,
	    r->slow_fails++);
}

int64_t
reg_backoff_us(struct sip_reg *r)
{
	enum reg_failure kind = kind_of(r->err);
	int64_t us = TLS_US;
	unsigned int n = r->fails[kind]++;

	switch (kind) {
	case REG_FAIL_NET:
		return net_us(r, n);
	case REG_FAIL_REFUSED:
		return rfc_5626_us(BASE_US, n);
	case REG_FAIL_TLS:
	default:
		while (n-- > 0 && us < TLS_MAX_US)
			us *= 2;
		if (us > TLS_MAX_US)
			us = TLS_MAX_US;
		/* The step itself and a bit. */
		return us + jitter(us) / 5;
	}
}
