/* SPDX-License-Identifier: ISC */
/* The HTTPS server: evhttp over tls/ streams, routes, limits, and headers that
 * every answer carries. */
#include <sys/queue.h>
#include <sys/socket.h>

#include <netinet/tcp.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>

#include "bellbird/addr.h"
#include "bellbird/buf.h"
#include "bellbird/log.h"
#include "internal.h"

enum {
	/* What a browser with cookies sends; evhttp has no ceiling itself. */
	HEADERS_MAX = 16 * 1024,
	BODY_DEFAULT = 64 * 1024,
	/* No path of ours is near it. */
	PATH_SIZE = 2048,
	/* Without a byte, in either direction. */
	IDLE_S = 30,
	BACKLOG = 32,
	CN_SIZE = 128,
	NAME_SIZE = 64,
	VALUE_SIZE = 1024
};

/* A bufferevent that evhttp has not given its socket yet. */
struct fresh {
	struct bufferevent *bev; /* one reference */
	TAILQ_ENTRY(fresh) link;
};

TAILQ_HEAD(fresh_list, fresh);

struct web_server {
	struct web_server_conf conf;
	struct tls_policy policy; /* copy, where conf.policy is set */
	struct evhttp *http;      /* owned */
	struct addr local;
	struct web_conns *conns; /* owned */
	struct fresh_list fresh;
	struct deferred admit;
};

struct web_req {
	struct web_server *s; /* borrowed, as all below */
	struct evhttp_request *req;
	struct bufferevent *bev;
	const char *query;
	bool head;
	bool replied;
	char path[PATH_SIZE];
	char cn[CN_SIZE];
};

static struct bufferevent *on_bev(struct event_base *base, void *arg);
static void on_admit(void *arg);
static void on_request(struct evhttp_request *req, void *arg);

/* ---- life ---- */

/* A listening socket; the address it got goes to `local`. */
static int
listen_on(const struct addr *want, int *out, struct addr *local)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);
	int fd, one = 1, err;

	fd = socket(want->u.sa.sa_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (want->u.sa.sa_family == AF_INET6)
		(void)setsockopt(
		    fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, &want->u.sa, addr_len(want)) != 0 ||
	    listen(fd, BACKLOG) != 0 ||
	    getsockname(fd, (struct sockaddr *)&ss, &n) != 0) {
		err = errno;
		close(fd);
		return err;
	}
	err = addr_from_sockaddr(local, (struct sockaddr *)&ss, n);
	if (err == 0)
		*out = fd;
	else
		close(fd);
	return err;
}

/* Sets evhttp up; 405 and the like are ours to answer. */
static int
http_open(struct web_server *s)
{
	const struct web_server_conf *c = &s->conf;
	int fd = -1, err;

	if ((s->http = evhttp_new(loop_base(c->loop))) == NULL)
		return ENOMEM;
	evhttp_set_max_headers_size(s->http, HEADERS_MAX);
	evhttp_set_max_body_size(
	    s->http, (ev_ssize_t)(c->max_body ? c->max_body : BODY_DEFAULT));
	evhttp_set_timeout(s->http, IDLE_S);
	evhttp_set_default_content_type(s->http, NULL);
	evhttp_set_allowed_methods(s->http,
	    EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD |
		EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS |
		EVHTTP_REQ_TRACE | EVHTTP_REQ_CONNECT | EVHTTP_REQ_PATCH);
	evhttp_set_bevcb(s->http, on_bev, s);
	evhttp_set_gencb(s->http, on_request, s);
	if ((err = listen_on(&c->local, &fd, &s->local)) != 0)
		return err;
	if (evhttp_accept_socket_with_handle(s->http, fd) == NULL) {
		close(fd);
		return ENOMEM;
	}
	return 0; /* evhttp owns the socket now */
}

int
web_server_open(struct web_server **out, const struct web_server_conf *conf)
{
	struct web_server *s;
	int err;

	if (!addr_is_set(&conf->local))
		return EINVAL;
	if ((s = calloc(1, sizeof(*s))) == NULL)
		return ENOMEM;
	TAILQ_INIT(&s->fresh);
	s->conf = *conf;
	if (conf->policy != NULL) {
		s->policy = *conf->policy;
		s->conf.policy = &s->policy;
	}
	if ((err = web_conns_new(&s->conns, conf->loop)) == 0 &&
	    (err = http_open(s)) == 0) {
		*out = s;
		s = NULL;
	}
	web_server_free(s);
	return err;
}

void
web_server_free(struct web_server *s)
{
	struct fresh *f;

	if (s == NULL)
		return;
	loop_undefer(&s->admit);
	while ((f = TAILQ_FIRST(&s->fresh)) != NULL) {
		TAILQ_REMOVE(&s->fresh, f, link);
		bufferevent_decref(f->bev);
		free(f);
	}
	if (s->http != NULL)
		evhttp_free(s->http);
	web_conns_free(s->conns);
	free(s);
}

void
web_server_local(const struct web_server *s, struct addr *out)
{
	*out = s->local;
}

/* ---- connections ---- */

/* tls_conn_cb: the verdict is logged and kept by tls/. */
static void
on_tls(struct tls_conn *c, enum tls_event ev, int err, void *arg)
{
	(void)c;
	(void)ev;
	(void)err;
	(void)arg;
}

/*
 * evhttp asks for a bufferevent, before it tells the socket.  It takes NULL
 * for "make a clear one": then on_request() refuses what comes.
 */
static struct bufferevent *
on_bev(struct event_base *base, void *arg)
{
	struct web_server *s = arg;
	struct bufferevent *bev = NULL;
	struct fresh *f;
	int err;

	if (s->conf.policy == NULL) {
		bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	} else {
		err = tls_bev_server(
		    &bev, s->conf.tls, s->conf.policy, on_tls, s);
		if (err != 0)
			log_err(LOGC_WEB, 0, "connection refused: %s",
			    err_str(err));
	}
	if (bev == NULL || (f = calloc(1, sizeof(*f))) == NULL)
		return bev;
	bufferevent_incref(bev);
	f->bev = bev;
	TAILQ_INSERT_TAIL(&s->fresh, f, link);
	loop_defer(s->conf.loop, &s->admit, on_admit, s);
	return bev;
}

/* Every new connection has its socket now: counts them. */
static void
on_admit(void *arg)
{
	struct web_server *s = arg;
	struct fresh *f;
	int fd, one = 1;

	while ((f = TAILQ_FIRST(&s->fresh)) != NULL) {
		TAILQ_REMOVE(&s->fresh, f, link);
		fd = bufferevent_getfd(f->bev);
		if (fd >= 0) {
			(void)setsockopt(
			    fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
			if (web_conns_add(s->conns, fd) != 0) {
				log_warn(LOGC_WEB, 0,
				    "connection refused: too many");
				/* evhttp reads the end and frees it. */
				(void)shutdown(fd, SHUT_RDWR);
			}
		}
		bufferevent_decref(f->bev);
		free(f);
	}
}

/* ---- the request ---- */

const char *
web_req_path(const struct web_req *r)
{
	return r->path;
}

const char *
web_req_query(const struct web_req *r)
{
	return r->query;
}

const char *
web_req_header(const struct web_req *r, const char *name)
{
	return evhttp_find_header(
	    evhttp_request_get_input_headers(r->req), name);
}

struct slice
web_req_body(const struct web_req *r)
{
	struct evbuffer *b = evhttp_request_get_input_buffer(r->req);
	struct slice s = { "", 0 };
	const void *p;

	if (evbuffer_get_length(b) == 0 || (p = evbuffer_pullup(b, -1)) == NULL)
		return s;
	s.p = p;
	s.n = evbuffer_get_length(b);
	return s;
}

const struct tls_verdict *
web_req_verdict(const struct web_req *r)
{
	if (r->s->conf.policy == NULL)
		return NULL;
	return tls_conn_verdict(tls_bev_conn(r->s->conf.tls, r->bev));
}

const char *
web_req_peer_cn(const struct web_req *r)
{
	return r->cn;
}

/* ---- the answer ---- */

/* Adds a header unless the route gave its own. */
static void
header_default(struct evkeyvalq *h, const char *name, const char *value)
{
	if (evhttp_find_header(h, name) == NULL)
		(void)evhttp_add_header(h, name, value);
}

/* The headers of the route: "Name: value\r\n" lines. */
static void
headers_add(struct evkeyvalq *h, const char *lines)
{
	struct slice rest = slice_of(lines), line, name, value;
	char n[NAME_SIZE], v[VALUE_SIZE];

	while (slice_line(&rest, &line)) {
		if (line.n == 0)
			continue;
		if (!slice_cut(line, ':', &name, &value) ||
		    str_copy_slice(n, sizeof(n), slice_trim(name)) != 0 ||
		    str_copy_slice(v, sizeof(v), slice_trim(value)) != 0 ||
		    evhttp_add_header(h, n, v) != 0)
			log_err(LOGC_WEB, 0, "header not sent: %s",
			    esc_n(line.p, line.n));
	}
}

/* The reason phrase; evhttp knows the common ones itself. */
static const char *
reason_of(int status)
{
	static const struct {
		int status;
		const char *text;
	} v[] = {
		{ 409, "Conflict" },
		{ 412, "Precondition Failed" },
		{ 413, "Content Too Large" },
		{ 414, "URI Too Long" },
		{ 429, "Too Many Requests" },
	};

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++)
		if (v[i].status == status)
			return v[i].text;
	return NULL;
}

void
web_reply(struct web_req *r, int status, const char *type, const char *headers,
    struct slice body)
{
	struct evkeyvalq *h = evhttp_request_get_output_headers(r->req);
	struct evbuffer *b;
	struct buf len;

	if (r->replied)
		return;
	r->replied = true;
	headers_add(h, headers);
	if (type != NULL)
		header_default(h, "Content-Type", type);
	header_default(h, "Cache-Control", "no-store");
	header_default(h, "X-Content-Type-Options", "nosniff");
	header_default(h, "X-Frame-Options", "DENY");
	header_default(h, "Referrer-Policy", "no-referrer");
	header_default(h, "Content-Security-Policy",
	    "default-src 'none'; frame-ancestors 'none'");
	if (r->head) {
		/* The length of what GET would send, but not the bytes. */
		buf_init(&len, 32);
		buf_printf(&len, "%zu", body.n);
		header_default(h, "Content-Length", buf_str(&len));
		buf_clear(&len);
		body.n = 0;
	}
	b = evbuffer_new();
	if (b == NULL || (body.n > 0 && evbuffer_add(b, body.p, body.n) != 0)) {
		log_err(LOGC_WEB, 0, "answer not sent: %s", err_str(ENOMEM));
		evhttp_send_reply(r->req, 503, NULL, NULL);
	} else {
		evhttp_send_reply(r->req, status, reason_of(status), b);
	}
	if (b != NULL)
		evbuffer_free(b);
}

/* An answer of the server itself: status and a sentence. */
static void
answer(struct web_req *r, int status, const char *headers, const char *text)
{
	web_reply(
	    r, status, "text/plain; charset=utf-8", headers, slice_of(text));
}

/* ---- routes ---- */

static const char *
method_of(const struct evhttp_request *req)
{
	switch (evhttp_request_get_command(req)) {
	case EVHTTP_REQ_GET:
		return "GET";
	case EVHTTP_REQ_HEAD:
		return "HEAD";
	case EVHTTP_REQ_POST:
		return "POST";
	case EVHTTP_REQ_PUT:
		return "PUT";
	case EVHTTP_REQ_DELETE:
		return "DELETE";
	case EVHTTP_REQ_PATCH:
		return "PATCH";
	case EVHTTP_REQ_OPTIONS:
		return "OPTIONS";
	case EVHTTP_REQ_TRACE:
		return "TRACE";
	case EVHTTP_REQ_CONNECT:
		return "CONNECT";
	}
	return "";
}

/* "/cfg/" matches what is below, "/status" itself. */
static bool
path_matches(const struct web_route *rt, const char *path)
{
	size_t n = strlen(rt->path);

	if (n > 0 && rt->path[n - 1] == '/')
		return strncmp(path, rt->path, n) == 0;
	return strcmp(path, rt->path) == 0;
}

/* No route takes this method here: 405 with those it could be, or 404. */
static void
no_route(struct web_req *r)
{
	const struct web_route *rt = r->s->conf.routes;
	struct buf b;
	bool any = false;

	buf_init(&b, VALUE_SIZE);
	for (; rt->method != NULL; rt++) {
		if (!path_matches(rt, r->path))
			continue;
		buf_printf(&b, "%s%s%s", any ? ", " : "Allow: ", rt->method,
		    strcmp(rt->method, "GET") == 0 ? ", HEAD" : "");
		any = true;
	}
	buf_puts(&b, "\r\n");
	if (any)
		answer(r, 405, buf_str(&b), "method not allowed\n");
	else
		answer(r, 404, NULL, "not found\n");
	buf_clear(&b);
}

/* Hands the request to its route. */
static void
route(struct web_req *r)
{
	const struct web_route *rt = r->s->conf.routes;
	const char *method = r->head ? "GET" : method_of(r->req);

	for (; rt->method != NULL; rt++) {
		if (strcmp(rt->method, method) != 0 ||
		    !path_matches(rt, r->path))
			continue;
		rt->fn(r, rt->arg);
		if (!r->replied)
			answer(r, 500, NULL, "no answer\n");
		return;
	}
	no_route(r);
}

/* Fills in what TLS knows; false if the stream is not what it must be. */
static bool
tls_fill(struct web_req *r)
{
	struct tls_conn *c;

	if (r->s->conf.policy == NULL)
		return true;
	if ((c = tls_bev_conn(r->s->conf.tls, r->bev)) == NULL)
		return false;
	if (tls_conn_peer_cn(c, r->cn, sizeof(r->cn)) != 0)
		r->cn[0] = '\0';
	return true;
}

/* evhttp is about to close a connection: TLS says good-bye first. */
static void
on_close(struct evhttp_connection *ec, void *arg)
{
	struct web_server *s = arg;
	struct tls_conn *c =
	    tls_bev_conn(s->conf.tls, evhttp_connection_get_bufferevent(ec));

	if (c != NULL)
		tls_conn_shutdown(c);
}

/* evhttp's callback: one whole request. */
static void
on_request(struct evhttp_request *req, void *arg)
{
	struct web_server *s = arg;
	struct evhttp_connection *ec = evhttp_request_get_connection(req);
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
	const char *target = evhttp_request_get_uri(req);
	struct web_req r = { .s = s, .req = req };
	int err;

	if (s->conf.policy != NULL)
		evhttp_connection_set_closecb(ec, on_close, s);
	r.bev = evhttp_connection_get_bufferevent(ec);
	r.head = evhttp_request_get_command(req) == EVHTTP_REQ_HEAD;
	r.query = evhttp_uri_get_query(uri);
	if (r.query == NULL)
		r.query = "";
	web_conns_request(s->conns, bufferevent_getfd(r.bev));
	err = web_path_decode(evhttp_uri_get_path(uri), r.path, sizeof(r.path));
	/* evhttp takes "//cfg/x" for the path "/x" on the host "cfg". */
	if (err == 0 && target[0] == '/' && target[1] == '/')
		err = E_PARSE;
	if (!tls_fill(&r)) {
		/* Clear text on a TLS port (see on_bev): nothing is said. */
		(void)shutdown(bufferevent_getfd(r.bev), SHUT_RDWR);
		evhttp_send_reply(req, 503, NULL, NULL);
	} else if (err == E_LIMIT) {
		answer(&r, 414, NULL, "the path is too long\n");
	} else if (err != 0) {
		answer(&r, 400, NULL, "the path is malformed\n");
	} else {
		route(&r);
	}
}
