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
	const char *method;  /* "GET"; HEAD goes to GET too */
	const char *path;    /* "/cfg/" with a trailing slash matches everything below; else exact */
	web_route_fn *fn;
	void *arg;
};
struct web_server_conf {
	struct loop *loop;
	struct tls_env *tls;
	const struct tls_policy *policy; /* NULL: clear http (tests, loopback only) */
	struct addr local;               /* port 0: kernel chooses */
	const struct web_route *routes;  /* borrowed; ends with method NULL; default 404 */
	size_t max_body;                 /* 0: 64 KiB */
};
MUST_CHECK int web_server_open(struct web_server **out, const struct web_server_conf *conf);
void web_server_free(struct web_server *s);
void web_server_local(const struct web_server *s, struct addr *out);

/* The request; `path` is decoded and normalised: "..", "//" and %00 never get here (400). */
const char *web_req_path(const struct web_req *r);
const char *web_req_query(const struct web_req *r); /* "" if none */
const char *web_req_header(const struct web_req *r, const char *name); /* NULL if absent */
struct slice web_req_body(const struct web_req *r);
const struct tls_verdict *web_req_verdict(const struct web_req *r); /* NULL when clear */
/* web_req_peer_cn: CN of the verified client certificate, "" if none. */
const char *web_req_peer_cn(const struct web_req *r);
/* web_reply sends the answer; `headers` "Name: value\r\n" lines or NULL; `type` NULL with an empty body. */
void web_reply(struct web_req *r, int status, const char *type, const char *headers, struct slice body);

#endif
