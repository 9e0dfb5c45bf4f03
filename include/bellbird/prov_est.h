/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_PROV_EST_H
#define BELLBIRD_PROV_EST_H

#include "bellbird/buf.h"
#include "bellbird/dns.h"
#include "bellbird/prov_http.h"
#include "bellbird/tls_conn.h"

/* One request of EST (RFC 7030): enrolment over HTTPS. */
enum prov_est_op {
	PROV_EST_CACERTS /* 4.1 */,
	PROV_EST_ENROLL /* 4.2.1 */,
	PROV_EST_REENROLL /* 4.2.2 */
};
enum prov_est_state {
	PROV_EST_DONE,
	PROV_EST_PENDING, /* 202: the same request again, later (4.2.3) */
	PROV_EST_FAILED
};

struct prov_est;
struct prov_est_conf {
	struct loop *loop;
	struct dns *dns;
	struct tls_env *tls;
	const struct tls_policy *policy; /* that verifies; copied */
	const char *server;              /* "host[:port]"; 443 */
	const char *label;               /* one segment of the path, or "" */
	enum prov_est_op op;
	struct slice csr; /* PKCS#10 in DER; not for PROV_EST_CACERTS */
	const char *user, *password; /* sent on a challenge; or "" */
	const char *user_agent;
	unsigned int timeout_ms; /* 0: 30000 */
};
struct prov_est_result {
	enum prov_est_state state;
	int err;         /* 0 unless failed */
	int status;      /* of HTTP; 0: there was no answer */
	int64_t retry_s; /* pending: ask again after so many seconds */
	struct slice p7; /* done: PKCS#7 certs-only, DER; borrowed */
	char class[32];  /* "" when done */
	char text[640];  /* one sentence without its full stop, and what to do
			  */
	char date[40];   /* its Date header, "" if none */
	const struct tls_verdict *verdict; /* NULL: no connection */
};
typedef void(prov_est_cb)(const struct prov_est_result *r, void *arg);

/* prov_est_start asks once; the callback comes once, from the loop, with the
 * slot cleared before.  EINVAL with a sentence in `why` for a server or label
 * that is none.  prov_est_stop ends it without a callback. */
MUST_CHECK int prov_est_start(struct prov_est **slot,
    const struct prov_est_conf *conf, prov_est_cb *cb, void *arg, char *why,
    size_t why_size);
void prov_est_stop(struct prov_est **slot);

/* prov_est_judge reads the answer of `host` to `op`, without I/O; `der` is
 * empty and gets what r->p7 borrows. */
void prov_est_judge(enum prov_est_op op, const char *host,
    const struct prov_http_result *h, struct buf *der,
    struct prov_est_result *r);

#endif
