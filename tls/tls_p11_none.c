/* SPDX-License-Identifier: ISC */
/* Without PKCS#11 in the build: keys in tokens are named and refused. */
#include <string.h>

#include "bellbird/str.h"

#include "internal.h"
#include "p11.h"

int
tls_p11_bind(struct tls_env *e, struct tls_slot *s, char *why, size_t why_size)
{
	(void)e;
	(void)s;
	ignore_err(str_copy(why, why_size,
		       "the key is in a token, and this program was built "
		       "without PKCS#11: install libp11-kit-dev and build it "
		       "again, or use a key in a file [key.token]"),
	    "a hint");
	return E_TLS_KEY;
}

struct p11_key *
tls_p11_hold(struct p11_key *k)
{
	return k;
}

void
tls_p11_put(struct p11_key *k)
{
	(void)k;
}

int
tls_p11_show(struct tls_conn *c, const struct tls_slot *s)
{
	(void)s;
	tls_explain(&c->v, "key.token",
	    "cannot be shown our certificate: its key is in a token");
	return E_TLS_KEY;
}

bool
tls_p11_late(struct tls_conn *c)
{
	(void)c;
	return false;
}

void
tls_p11_leave(struct tls_conn *c)
{
	(void)c;
}

void
tls_p11_stop(struct tls_env *e)
{
	(void)e;
}

void
tls_p11_free(struct tls_env *e)
{
	(void)e;
}
