/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_WEB_SERVER_H
#define BELLBIRD_WEB_SERVER_H

#include "bellbird/str.h"
#include "bellbird/tls_conn.h"

/* HTTPS server: evhttp over tls/ streams in the one loop. */
struct web_server;
struct web_req;
/* web_route_fn answers with web_reply(), before it returns. */
typedef void(web_route_fn)(struct web_req *r, void *arg);
struct web_route {
	const char *method; /* "GET"; HEAD goes to GET too */
	/* "/cfg/" matches everything below; without a last slash: exact */
	const char *path;
	web_route_fn *fn;
	void *arg;
};
struct web_server_conf {
	struct loop *loop;
	struct tls_env *tls;             /* unused when clear */
	const struct tls_policy *policy; /* copied; NULL: clear (loopback) */
	struct addr local;               /* port 0: kernel chooses */
	const struct web_route *routes;  /* borrowed; ends with method NULL */
	size_t max_body;                 /* bytes; 0: 64 KiB */
};
/*
 * web_server_open listens at once.  At most 64 connections, 8 from one
 * address; a request is whole within 30 s or its connection ends.  EINVAL
 * without an address, ENOMEM, or errno (EADDRINUSE).
 */
MUST_CHECK int web_server_open(
    struct web_server **out, const struct web_server_conf *conf);
void web_server_free(struct web_server *s); /* NULL is allowed */
/* web_server_local stores the address with the real port. */
void web_server_local(const struct web_server *s, struct addr *out);

/* web_req_path is decoded; "..", ".", "//", control characters, %00 and what
 * is not UTF-8 never get here (400). */
const char *web_req_path(const struct web_req *r);
/* web_req_query is as it came, "" if there is none. */
const char *web_req_query(const struct web_req *r);
/* web_req_header returns a field of the request, NULL if absent. */
const char *web_req_header(const struct web_req *r, const char *name);
/* web_req_body is borrowed until the reply. */
struct slice web_req_body(const struct web_req *r);
/* web_req_verdict is NULL when clear. */
const struct tls_verdict *web_req_verdict(const struct web_req *r);
/* web_req_peer_cn: CN of the verified client certificate, "" if none. */
const char *web_req_peer_cn(const struct web_req *r);
/*
 * web_reply sends the answer (once; copies): `headers` are "Name: value\r\n"
 * lines or NULL, `type` may be NULL with an empty body.  Cache-Control
 * (no-store), X-Content-Type-Options, X-Frame-Options, Referrer-Policy and
 * Content-Security-Policy are added unless `headers` has them.
 */
void web_reply(struct web_req *r, int status, const char *type,
    const char *headers, struct slice body);

#endif
