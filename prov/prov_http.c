/* SPDX-License-Identifier: ISC */
/*
 * The HTTP client: evhttp over a TLS stream; the only file with evhttp.
 *
 * evhttp's ways (measured, reference/parts.md 2): it reconnects by itself with
 * a spent stream, so retries are 0 and every connection is a fresh one; it
 * turns reading off while it connects, which a handshake needs; it tries one
 * address only; it calls back from inside evhttp_make_request(), so its
 * callbacks only note what happened and a deferred call goes on from there.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>

#include "bellbird/clock.h"
#include "bellbird/log.h"
#include "bellbird/mem.h"
#include "bellbird/prov_http.h"
#include "internal.h"

enum {
	HEADERS_MAX = 16384, /* a status line and headers; servers send 1 KB */
	TIMEOUT_MS = 30000,  /* one file, when the caller does not say */
	STREAM_READ = 0x02,  /* EV_READ of event2/event.h, which is base's */
	EVHTTP_TIMEOUT_S = 600 /* evhttp's own timer must not come first */
};

/* What evhttp's callbacks noted. */
struct outcome {
	bool done;    /* it has ended */
	bool got;     /* with a whole answer */
	bool headers; /* the header block was seen */
	bool failed;  /* evhttp named an error */
	enum evhttp_request_error error;
	int sys; /* errno when it ended */
	struct auth_challenge challenge;
};

struct prov_http {
	struct prov_http **slot;
	prov_http_cb *cb;
	void *arg;

	struct loop *loop;
	struct dns *dns;
	struct tls_env *tls;
	struct tls_policy policy;
	bool secure;
	char *host, *path, *user, *password, *if_none_match, *user_agent;
	char *accept, *content_type;
	bool post;
	struct buf send; /* the body of a POST */
	uint16_t port;
	size_t max_body;

	struct timer timer;
	struct deferred next;
	struct dns_query *query;
	struct addr addrs[DNS_ADDRS_MAX];
	size_t num_addrs, addr;
	int64_t dns_started_us, dns_us;

	struct evhttp_connection *conn; /* owned, with stream and request */
	struct bufferevent *stream;
	char *authorization; /* owned; after a challenge */
	struct outcome o;
	struct tls_verdict *verdict; /* owned copy; NULL: none yet */
	struct prov_http_result r;
	struct buf body;
};

static void conn_start(struct prov_http *h);
static void conn_failed(struct prov_http *h);

/* verdict_keep copies the record of the connection while there is one. */
static void
verdict_keep(struct prov_http *h, const struct tls_conn *c)
{
	if (c == NULL)
		return;
	if (h->verdict == NULL)
		h->verdict = malloc(sizeof(*h->verdict));
	if (h->verdict != NULL)
		*h->verdict = *tls_conn_verdict(c);
}

/* conn_close frees connection, request and stream; never from inside evhttp. */
static void
conn_close(struct prov_http *h)
{
	struct tls_conn *c;

	if (h->conn == NULL)
		return;
	/* libevent frees the stream a turn later: it must not tell us then. */
	c = h->secure ? tls_bev_conn(h->tls, h->stream) : NULL;
	if (c != NULL) {
		tls_conn_set_cb(c, NULL, NULL);
		tls_conn_shutdown(c);
	}
	evhttp_connection_set_closecb(h->conn, NULL, NULL);
	evhttp_connection_free(h->conn);
	h->conn = NULL;
	h->stream = NULL;
}

/* http_free frees a request that has ended, or never began. */
static void
http_free(struct prov_http *h)
{
	if (h == NULL)
		return;
	timer_stop(&h->timer);
	loop_undefer(&h->next);
	dns_stop(&h->query);
	conn_close(h);
	buf_clear(&h->body);
	buf_clear(&h->send);
	free(h->accept);
	free(h->content_type);
	free(h->host);
	free(h->path);
	free(h->user);
	mem_free_str(h->password);
	mem_free_str(h->authorization);
	free(h->if_none_match);
	free(h->user_agent);
	free(h->verdict);
	free(h);
}

/* finish ends the request: slot, callback, memory. */
static void
finish(struct prov_http *h, int err)
{
	*h->slot = NULL;
	h->slot = NULL;
	h->r.err = err;
	h->r.body = (struct slice){ buf_str(&h->body), h->body.n };
	h->r.verdict = h->verdict;
	h->cb(&h->r, h->arg);
	http_free(h);
}

/* header copies a header of the answer. */
static void
header(const struct evkeyvalq *hs, const char *name, char *out, size_t size)
{
	const char *v = evhttp_find_header(hs, name);

	if (v != NULL && str_copy(out, size, v) != 0)
		out[0] = '\0'; /* cut: not what the server said */
}

/* on_headers notes status and headers, also of answers that end too early. */
static int
on_headers(struct evhttp_request *req, void *arg)
{
	struct prov_http *h = arg;
	struct evkeyvalq *hs = evhttp_request_get_input_headers(req);
	struct prov_http_result *r = &h->r;
	const char *length = evhttp_find_header(hs, "Content-Length");
	struct evkeyval *kv;

	h->o.headers = true;
	r->status = evhttp_request_get_response_code(req);
	r->announced = -1;
	if (length != NULL &&
	    str_int(slice_of(length), 0, INT64_MAX, &r->announced) != 0)
		r->announced = -1;
	header(hs, "Content-Type", r->content_type, sizeof(r->content_type));
	header(hs, "ETag", r->etag, sizeof(r->etag));
	header(hs, "Location", r->location, sizeof(r->location));
	header(hs, "Date", r->date, sizeof(r->date));
	header(hs, "Retry-After", r->retry_after, sizeof(r->retry_after));
	TAILQ_FOREACH (kv, hs, next)
		if (strcasecmp(kv->key, "WWW-Authenticate") == 0)
			ignore_err(
			    auth_parse(slice_of(kv->value), &h->o.challenge),
			    "a scheme we do not know is not answered");
	return 0;
}

/* on_error notes evhttp's word for what went wrong. */
static void
on_error(enum evhttp_request_error error, void *arg)
{
	struct prov_http *h = arg;

	h->o.failed = true;
	h->o.error = error;
}

/* on_body keeps a piece of the body.  In pieces, so that it is known how many
 * bytes came of an answer that was cut: evhttp drops them. */
static void
on_body(struct evhttp_request *req, void *arg)
{
	struct prov_http *h = arg;
	struct evbuffer *in = evhttp_request_get_input_buffer(req);
	size_t n = evbuffer_get_length(in);
	const unsigned char *p = evbuffer_pullup(in, -1);

	if (n == 0)
		return;
	if (p == NULL)
		h->body.err = ENOMEM;
	else
		ignore_err(buf_add(&h->body, p, n), "it sticks in the buffer");
}

/* authorize prepares the answer to a challenge; true: ask again with it. */
static bool
authorize(struct prov_http *h)
{
	const struct auth_challenge *c = &h->o.challenge;
	struct auth_who who = { h->user, h->password, h->post ? "POST" : "GET",
		h->path };
	struct buf b;

	/* Once for a set of credentials; Basic tells them to every reader, and
	 * to whoever answers where the server is not verified. */
	if (h->r.status != 401 || h->user == NULL || h->authorization != NULL ||
	    (!c->digest && (!c->basic || !h->secure || !h->policy.verify)))
		return false;
	buf_init_secret(&b, 4096);
	if (auth_answer(c, &who, &b) == 0)
		h->authorization = buf_take(&b);
	buf_clear(&b);
	return h->authorization != NULL;
}

/* on_ended goes on after evhttp has ended, in a turn of its own. */
static void
on_ended(void *arg)
{
	struct prov_http *h = arg;

	if (h->secure && h->stream != NULL)
		verdict_keep(h, tls_bev_conn(h->tls, h->stream));
	conn_close(h);
	if (!h->o.got)
		conn_failed(h);
	else if (authorize(h))
		conn_start(h);
	else
		finish(h, h->body.err);
}

/* on_answer notes that evhttp is done; `req` is NULL after an error. */
static void
on_answer(struct evhttp_request *req, void *arg)
{
	struct prov_http *h = arg;

	if (h->o.done)
		return;
	h->o.done = true;
	h->o.sys = errno;
	if (req != NULL && !h->o.failed &&
	    evhttp_request_get_response_code(req) != 0) {
		h->o.got = true;
		h->r.status = evhttp_request_get_response_code(req);
	}
	loop_defer(h->loop, &h->next, on_ended, h);
}

/* on_tls follows the TLS side; what failed is in the verdict. */
static void
on_tls(struct tls_conn *c, enum tls_event ev, int err, void *arg)
{
	(void)err;
	if (ev == TLS_EV_UP || ev == TLS_EV_CLOSED)
		verdict_keep(arg, c);
}

/* tcp_failed: was nothing reached at this address?  The verdict knows; of a
 * plain socket evhttp tells of no error where the connection failed. */
static bool
tcp_failed(const struct prov_http *h)
{
	if (h->o.headers)
		return false;
	if (h->secure)
		return h->verdict == NULL || h->verdict->tcp_us < 0;
	return !h->o.failed;
}

/* connect_errno guesses why a plain socket did not connect: evhttp shuts it
 * down before it calls, which may overwrite the reason.  TLS connections have
 * it in the verdict. */
static int
connect_errno(int sys)
{
	switch (sys) {
	case EHOSTUNREACH:
	case ENETUNREACH:
	case ETIMEDOUT:
		return sys;
	default:
		return ECONNREFUSED;
	}
}

/* conn_error turns what was noted into one of our codes. */
static int
conn_error(const struct prov_http *h)
{
	if (h->o.failed && h->o.error == EVREQ_HTTP_DATA_TOO_LONG)
		return E_LIMIT;
	if (h->o.headers)
		return E_PROV_TRUNCATED;
	if (h->verdict != NULL && h->verdict->err != 0)
		return h->verdict->err;
	if (tcp_failed(h))
		return connect_errno(h->o.sys);
	if (h->o.failed && h->o.error == EVREQ_HTTP_TIMEOUT)
		return ETIMEDOUT;
	if (h->o.failed && h->o.error == EVREQ_HTTP_INVALID_HEADER)
		return E_PARSE;
	return E_CLOSED;
}

/* conn_failed tries the next address, or gives up. */
static void
conn_failed(struct prov_http *h)
{
	if (tcp_failed(h) && h->addr + 1 < h->num_addrs) {
		h->addr++;
		conn_start(h);
		return;
	}
	finish(h, conn_error(h));
}

/* stream_new makes the transport: TLS, or a plain socket for http. */
static int
stream_new(struct prov_http *h)
{
	struct tls_conn_conf conf = {
		.policy = &h->policy,
		.remote = h->addrs[h->addr],
		.host = h->host,
		.dns_us = h->dns_us,
		.cb = on_tls,
		.arg = h,
	};

	if (h->secure)
		return tls_bev_client(&h->stream, h->tls, &conf);
	h->stream = bufferevent_socket_new(
	    loop_base(h->loop), -1, BEV_OPT_CLOSE_ON_FREE);
	return h->stream == NULL ? ENOMEM : 0;
}

/* host_header writes the Host header (RFC 9110 7.2). */
static void
host_header(const struct prov_http *h, char *out, size_t size)
{
	bool v6 = strchr(h->host, ':') != NULL;
	char port[8] = "";

	if (h->port != (h->secure ? 443 : 80))
		snprintf(port, sizeof(port), ":%u", h->port);
	snprintf(
	    out, size, "%s%s%s%s", v6 ? "[" : "", h->host, v6 ? "]" : "", port);
}

/* request_new composes the request. */
static struct evhttp_request *
request_new(struct prov_http *h)
{
	struct evhttp_request *req;
	struct evkeyvalq *hs;
	char host[300];
	int bad;

	if ((req = evhttp_request_new(on_answer, h)) == NULL)
		return NULL;
	evhttp_request_set_header_cb(req, on_headers);
	evhttp_request_set_chunked_cb(req, on_body);
	evhttp_request_set_error_cb(req, on_error);
	hs = evhttp_request_get_output_headers(req);
	host_header(h, host, sizeof(host));
	bad = evhttp_add_header(hs, "Host", host);
	bad |= evhttp_add_header(
	    hs, "User-Agent", h->user_agent ? h->user_agent : "bellbird");
	bad |= evhttp_add_header(hs, "Accept",
	    h->accept != NULL ? h->accept : "text/plain, */*;q=0.5");
	if (h->content_type != NULL)
		bad |= evhttp_add_header(hs, "Content-Type", h->content_type);
	if (h->post)
		bad |= evbuffer_add(evhttp_request_get_output_buffer(req),
		    h->send.p, h->send.n);
	bad |= evhttp_add_header(hs, "Accept-Encoding", "identity");
	bad |= evhttp_add_header(hs, "Connection", "close");
	if (h->if_none_match != NULL)
		bad |= evhttp_add_header(hs, "If-None-Match", h->if_none_match);
	if (h->authorization != NULL)
		bad |= evhttp_add_header(hs, "Authorization", h->authorization);
	if (bad) {
		evhttp_request_free(req);
		return NULL;
	}
	return req;
}

/* nodelay: a request must not wait for an acknowledgement (design 2). */
static void
nodelay(int fd)
{
	int on = 1;

	if (fd >= 0)
		ignore_err(
		    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)),
		    "it is slower without");
}

/* on_close says good-bye (RFC 8446 6.1) before evhttp closes the socket. */
static void
on_close(struct evhttp_connection *conn, void *arg)
{
	struct prov_http *h = arg;
	struct tls_conn *c =
	    h->stream != NULL ? tls_bev_conn(h->tls, h->stream) : NULL;

	(void)conn;
	if (c != NULL)
		tls_conn_shutdown(c);
}

/* conn_open makes connection and request; what fails later is called back. */
static int
conn_open(struct prov_http *h)
{
	struct evhttp_request *req;
	char ip[ADDR_STR_MAX];
	int err;

	if ((err = stream_new(h)) != 0)
		return err;
	addr_print_ip(&h->addrs[h->addr], ip);
	h->conn = evhttp_connection_base_bufferevent_new(
	    loop_base(h->loop), NULL, h->stream, ip, h->port);
	if (h->conn == NULL) {
		bufferevent_free(h->stream);
		h->stream = NULL;
		return ENOMEM;
	}
	if (h->secure)
		evhttp_connection_set_closecb(h->conn, on_close, h);
	evhttp_connection_set_retries(h->conn, 0);
	evhttp_connection_set_max_headers_size(h->conn, HEADERS_MAX);
	evhttp_connection_set_max_body_size(h->conn, (ev_ssize_t)h->max_body);
	/* Ours ends it first. */
	evhttp_connection_set_timeout(h->conn, EVHTTP_TIMEOUT_S);
	if ((req = request_new(h)) == NULL)
		return ENOMEM;
	if (evhttp_make_request(h->conn, req,
		h->post ? EVHTTP_REQ_POST : EVHTTP_REQ_GET, h->path) != 0)
		return ENOMEM; /* it took the request all the same */
	if (!h->secure)
		nodelay(bufferevent_getfd(h->stream));
	if (h->secure && !h->o.done)
		bufferevent_enable(h->stream, STREAM_READ);
	return 0;
}

/* conn_start begins one exchange with the current address. */
static void
conn_start(struct prov_http *h)
{
	int err;

	memset(&h->o, 0, sizeof(h->o));
	memset(&h->r, 0, sizeof(h->r));
	h->r.announced = -1;
	buf_reset(&h->body);
	free(h->verdict);
	h->verdict = NULL;
	errno = 0;
	if ((err = conn_open(h)) != 0)
		finish(h, err);
}

/* on_addrs starts with the first address of the server. */
static void
on_addrs(int err, const struct addr *as, size_t num_as, void *arg)
{
	struct prov_http *h = arg;

	h->dns_us = clock_mono_us() - h->dns_started_us;
	if (err == 0 && num_as == 0)
		err = E_DNS_NODATA;
	if (err != 0) {
		finish(h, err);
		return;
	}
	h->num_addrs = num_as < DNS_ADDRS_MAX ? num_as : DNS_ADDRS_MAX;
	memcpy(h->addrs, as, h->num_addrs * sizeof(*as));
	conn_start(h);
}

/* on_timeout ends a request that takes too long. */
static void
on_timeout(void *arg)
{
	struct prov_http *h = arg;

	if (h->secure && h->stream != NULL)
		verdict_keep(h, tls_bev_conn(h->tls, h->stream));
	finish(h, ETIMEDOUT);
}

/* copy duplicates an optional string. */
static int
copy(char **out, const char *s)
{
	if (s == NULL)
		return 0;
	return (*out = strdup(s)) == NULL ? ENOMEM : 0;
}

/* conf_copy keeps what the request needs of its configuration. */
static int
conf_copy(struct prov_http *h, const struct prov_http_conf *c)
{
	h->loop = c->loop;
	h->dns = c->dns;
	h->tls = c->tls;
	h->port = c->port;
	h->max_body = c->max_body ? c->max_body : CONF_SIZE_MAX;
	buf_init_secret(&h->body, h->max_body);
	buf_init_secret(&h->send, c->body.n);
	if ((h->secure = c->policy != NULL))
		h->policy = *c->policy;
	if (copy(&h->host, c->host) != 0 || copy(&h->path, c->path) != 0 ||
	    copy(&h->if_none_match, c->if_none_match) != 0 ||
	    copy(&h->accept, c->accept) != 0 ||
	    (h->post && copy(&h->content_type, c->content_type) != 0) ||
	    (h->post && buf_add(&h->send, c->body.p, c->body.n) != 0) ||
	    copy(&h->user_agent, c->user_agent) != 0)
		return ENOMEM;
	if (c->user == NULL || c->user[0] == '\0')
		return 0;
	if (copy(&h->user, c->user) != 0 ||
	    copy(&h->password, c->password ? c->password : "") != 0)
		return ENOMEM;
	return 0;
}

/* http_start begins a request; its parameters are those of the two below. */
static int
http_start(struct prov_http **slot, const struct prov_http_conf *conf,
    bool post, prov_http_cb *cb, void *arg)
{
	unsigned int ms = conf->timeout_ms ? conf->timeout_ms : TIMEOUT_MS;
	struct prov_http *h;
	int err;

	if (conf->host == NULL || conf->path == NULL || conf->path[0] != '/' ||
	    conf->port == 0 || (post && conf->body.n == 0))
		return EINVAL;
	if ((h = calloc(1, sizeof(*h))) == NULL)
		return ENOMEM;
	h->slot = slot;
	h->post = post;
	h->cb = cb;
	h->arg = arg;
	h->dns_started_us = clock_mono_us();
	if ((err = conf_copy(h, conf)) != 0 ||
	    (err = timer_start(
		 &h->timer, h->loop, (int64_t)ms * 1000, on_timeout, h)) != 0 ||
	    (err = dns_addr(
		 &h->query, h->dns, h->host, h->port, on_addrs, h)) != 0) {
		http_free(h);
		return err;
	}
	*slot = h;
	return 0;
}

int
prov_http_get(struct prov_http **slot, const struct prov_http_conf *conf,
    prov_http_cb *cb, void *arg)
{
	return http_start(slot, conf, false, cb, arg);
}

int
prov_http_post(struct prov_http **slot, const struct prov_http_conf *conf,
    prov_http_cb *cb, void *arg)
{
	return http_start(slot, conf, true, cb, arg);
}

void
prov_http_stop(struct prov_http **slot)
{
	http_free(*slot);
	*slot = NULL;
}

bool
prov_http_wants_cert(int status, struct slice body)
{
	static const char *const words[] = {
		"No required SSL certificate was sent",
		"The SSL certificate error",
	};

	/* nginx's own codes, where a proxy passes them on. */
	if (status == 495 || status == 496)
		return true;
	if (status != 400 && status != 403)
		return false;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (memmem(body.p, body.n, words[i], strlen(words[i])) != NULL)
			return true;
	return false;
}
