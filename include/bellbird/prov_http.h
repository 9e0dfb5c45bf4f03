/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_PROV_HTTP_H
#define BELLBIRD_PROV_HTTP_H

#include "bellbird/dns.h"
#include "bellbird/tls_conn.h"

/* One HTTP(S) request over evhttp and a tls/ stream. */
struct prov_http;
struct prov_http_conf {
	struct loop *loop;
	struct dns *dns;
	struct tls_env *tls;
	const struct tls_policy *policy; /* NULL: http */
	const char *host; /* as configured; SNI, Host and expected name */
	uint16_t port;
	const char *path;            /* with the leading slash */
	const char *user, *password; /* sent on a challenge: Digest, or Basic
					to a verified server; NULL: none */
	const char *if_none_match;   /* or NULL */
	const char *accept;          /* NULL: text */
	const char *content_type;    /* of `body`; POST only */
	struct slice body;           /* POST only; copied, wiped */
	const char *user_agent;
	size_t max_body; /* bytes; beyond: E_LIMIT */
	unsigned int timeout_ms;
};
struct prov_http_result {
	int err; /* 0: `status` and body are complete */
	int status;
	struct slice body; /* borrowed for the callback; what came of it */
	int64_t announced; /* Content-Length, -1: none */
	char content_type[96], etag[80], location[256], date[40];
	char retry_after[40]; /* as the server wrote it (RFC 9110 10.2.3) */
	const struct tls_verdict *verdict; /* NULL: no connection */
};
typedef void(prov_http_cb)(const struct prov_http_result *r, void *arg);

/* prov_http_get asks once; the callback comes once, from the loop, with the
 * slot cleared before.  prov_http_post sends conf->body.  prov_http_stop ends
 * the request without a callback. */
MUST_CHECK int prov_http_get(struct prov_http **slot,
    const struct prov_http_conf *conf, prov_http_cb *cb, void *arg);
MUST_CHECK int prov_http_post(struct prov_http **slot,
    const struct prov_http_conf *conf, prov_http_cb *cb, void *arg);
void prov_http_stop(struct prov_http **slot);

/* prov_http_wants_cert: does this answer say that the client certificate was
 * missing or not taken?  nginx and others say so in HTTP, with TLS up. */
bool prov_http_wants_cert(int status, struct slice body);

#endif
