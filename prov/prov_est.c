/* SPDX-License-Identifier: ISC */
/*
 * Enrolment over secure transport (RFC 7030, clarified by RFC 8951): a request
 * for a certificate in base64 over HTTPS, and the answer judged as HTTP.  What
 * the certificate is worth, others decide.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellbird/addr.h"
#include "bellbird/clock.h"
#include "bellbird/log.h"
#include "bellbird/prov_est.h"
#include "internal.h"

enum {
	/* A chain of ten certificates has 30 KB in base64. */
	EST_BODY_MAX = 256 * 1024,
	/* Lines of base64 as MIME has them. */
	LINE_BYTES = 48,
	/* A CA that does not say when: often enough for a person who waits. */
	RETRY_DEFAULT_S = 600,
	RETRY_MIN_S = 1,
	/* A week: who says a year has made a mistake, and somebody who
	 * approves the request today wants it soon. */
	RETRY_MAX_S = 7 * 86400
};

struct prov_est {
	struct prov_est **slot;
	prov_est_cb *cb;
	void *arg;
	enum prov_est_op op;
	struct prov_http *http; /* owned slot */
	char host[256];
};

/* Fails with class, clause and advice. */
static void
est_fail(struct prov_est_result *r, int err, const char *class,
    const char *what, const char *advice)
{
	r->state = PROV_EST_FAILED;
	r->err = err;
	snprintf(r->class, sizeof(r->class), "%s", class);
	snprintf(r->text, sizeof(r->text), "%.470s: %.150s", what, advice);
}

/* Is this a "application/pkcs7-mime" that has certificates alone (4.1.3)? */
static bool
is_certs_only(const char *type)
{
	struct slice head, rest, item, name, value;
	bool more = slice_cut(slice_of(type), ';', &head, &rest);

	if (!slice_case_is(slice_trim(head), "application/pkcs7-mime"))
		return false;
	while (more) {
		more = slice_cut(rest, ';', &item, &rest);
		if (!slice_cut(item, '=', &name, &value) ||
		    !slice_case_is(slice_trim(name), "smime-type"))
			continue;
		value = slice_trim(value);
		if (!slice_case_is(value, "certs-only") &&
		    !slice_case_is(value, "\"certs-only\""))
			return false;
	}
	return true;
}

/* Decodes base64 with whatever white space (RFC 8951 3.1) into `der`. */
static int
body_decode(struct slice body, struct buf *der)
{
	char *text = malloc(body.n + 1);
	size_t n = 0, out;
	uint8_t *raw;
	int err;

	if (text == NULL)
		return ENOMEM;
	for (size_t i = 0; i < body.n; i++)
		if (!isspace((unsigned char)body.p[i]))
			text[n++] = body.p[i];
	if ((raw = malloc(n + 1)) == NULL) {
		free(text);
		return ENOMEM;
	}
	err = str_unbase64((struct slice){ text, n }, raw, n, &out);
	if (err == 0 && out == 0)
		err = E_PARSE;
	if (err == 0)
		err = buf_add(der, raw, out);
	free(raw);
	free(text);
	return err;
}

/* When to ask again: seconds, or a date by the server's own clock. */
static int64_t
retry_of(const struct prov_http_result *h)
{
	int64_t s, then, now;

	if (str_int(slice_trim(slice_of(h->retry_after)), 0, INT64_MAX, &s) !=
	    0) {
		if (clock_http_date(h->retry_after, &then) != 0)
			return RETRY_DEFAULT_S;
		if (clock_http_date(h->date, &now) != 0)
			now = clock_wall_s();
		s = then - now;
	}
	return s < RETRY_MIN_S ? RETRY_MIN_S
	    : s > RETRY_MAX_S  ? RETRY_MAX_S
			       : s;
}

/* What the server says of it, where that is for people (4.2.3); escaped. */
static const char *
reason_of(const struct prov_http_result *h)
{
	struct slice rest = h->body, line;

	if (strncasecmp(h->content_type, "text/plain", 10) != 0 ||
	    !slice_line(&rest, &line))
		return "";
	line = slice_trim(line);
	return line.n > 0 ? esc_n(line.p, line.n) : "";
}

/* Statuses that are no certificate. */
static void
judge_status(const char *host, const struct prov_http_result *h,
    struct prov_est_result *r)
{
	const char *said = reason_of(h), *advice = "look into its log";
	const char *class = "est.refused";
	char what[480];
	int err = E_PROV_HTTP;

	if (h->status == 401) {
		class = "est.auth";
		advice = "check est.user and est.pwd";
		said = "it asks for a user name and password, and ours were "
		       "not accepted or not sent";
	} else if (prov_http_wants_cert(h->status, h->body)) {
		advice = "give it the CA of our certificate (bellbird cert "
			 "show)";
		said = "it did not accept our certificate, or got none";
	} else if (h->status >= 300 && h->status < 400) {
		advice = "set est.server and est.label to where it is; we "
			 "follow nobody";
		said = h->location[0] != '\0' ? esc(h->location) : said;
	} else if (h->status == 404) {
		advice = "check est.label, and that it speaks EST";
	} else if (h->status == 503) {
		advice = "we try again";
	}
	snprintf(what, sizeof(what),
	    "the EST server %.200s refused (HTTP status %d%s%.200s)", host,
	    h->status, said[0] != '\0' ? ": " : "", said);
	est_fail(r, err, class, what, advice);
}

/* An answer that is there, and no use. */
static void
bad_answer(
    struct prov_est_result *r, int err, const char *host, const char *clause)
{
	char what[480];

	snprintf(what, sizeof(what), "the EST server %.200s %s", host, clause);
	est_fail(
	    r, err, "est.answer", what, "look into its log and its settings");
}

/* There was none. */
static void
judge_net(const char *host, const struct prov_http_result *h,
    struct prov_est_result *r)
{
	struct net_words w;

	if (h->err == E_LIMIT) {
		bad_answer(r, h->err, host,
		    "sent more than 256 KiB, which no chain has");
		return;
	}
	net_words(&w, host, h);
	est_fail(r, h->err, w.class, w.what, w.advice != NULL ? w.advice : "");
	if (w.advice == NULL) /* TLS has said what to do */
		snprintf(r->text, sizeof(r->text), "%.600s", w.what);
}

void
prov_est_judge(enum prov_est_op op, const char *host,
    const struct prov_http_result *h, struct buf *der,
    struct prov_est_result *r)
{
	const char *class;
	char clause[240];
	int err;

	memset(r, 0, sizeof(*r));
	r->status = h->status;
	memcpy(r->date, h->date, sizeof(r->date));
	r->verdict = h->verdict;
	if (h->err != 0) {
		judge_net(host, h, r);
		return;
	}
	if (h->status == 202 && op != PROV_EST_CACERTS) {
		r->state = PROV_EST_PENDING;
		r->retry_s = retry_of(h);
		class = "est.pending";
		snprintf(r->class, sizeof(r->class), "%s", class);
		snprintf(r->text, sizeof(r->text),
		    "the EST server %.200s has not decided yet", host);
		return;
	}
	if (h->status != 200) {
		judge_status(host, h, r);
		return;
	}
	if (!is_certs_only(h->content_type)) {
		snprintf(clause, sizeof(clause),
		    "answered with %s, not with application/pkcs7-mime",
		    h->content_type[0] != '\0' ? esc(h->content_type)
					       : "no content type");
		bad_answer(r, E_PARSE, host, clause);
		return;
	}
	if ((err = body_decode(h->body, der)) != 0) {
		bad_answer(r, err, host,
		    err == ENOMEM ? "sent more than there is memory for"
				  : "sent what is no base64");
		return;
	}
	r->state = PROV_EST_DONE;
	r->p7 = (struct slice){ (const char *)der->p, der->n };
}

/* prov_http_cb. */
static void
on_http(const struct prov_http_result *h, void *arg)
{
	struct prov_est *e = arg;
	struct prov_est_result r;
	struct buf der;

	buf_init(&der, EST_BODY_MAX);
	prov_est_judge(e->op, e->host, h, &der, &r);
	*e->slot = NULL;
	e->cb(&r, e->arg);
	buf_clear(&der);
	free(e);
}

/* Is this one segment of a path (3.2.2)? */
static bool
is_label(const char *s)
{
	for (; *s != '\0'; s++)
		if (!isalnum((unsigned char)*s) && strchr("-._~", *s) == NULL)
			return false;
	return true;
}

/* Appends the request as lines of base64. */
static int
csr_encode(struct slice csr, struct buf *out)
{
	char line[LINE_BYTES / 3 * 4 + 1];

	for (size_t i = 0, n; i < csr.n; i += n) {
		n = csr.n - i < LINE_BYTES ? csr.n - i : LINE_BYTES;
		str_base64(line, csr.p + i, n);
		ignore_err(buf_printf(out, "%s\r\n", line), "it sticks");
	}
	return out->err;
}

/* Sends the request. */
static int
request(struct prov_est *e, const struct prov_est_conf *conf, uint16_t port)
{
	static const char *const names[] = { "cacerts", "simpleenroll",
		"simplereenroll" };
	struct prov_http_conf c = {
		.loop = conf->loop,
		.dns = conf->dns,
		.tls = conf->tls,
		.policy = conf->policy,
		.host = e->host,
		.port = port,
		.user = conf->user,
		.password = conf->password,
		.user_agent = conf->user_agent,
		.accept = "application/pkcs7-mime",
		.content_type = "application/pkcs10",
		.max_body = EST_BODY_MAX,
		.timeout_ms = conf->timeout_ms,
	};
	bool labelled = conf->label != NULL && conf->label[0] != '\0';
	char path[160];
	struct buf body;
	int err;

	snprintf(path, sizeof(path), "/.well-known/est/%s%s%s",
	    labelled ? conf->label : "", labelled ? "/" : "", names[conf->op]);
	c.path = path;
	if (conf->op == PROV_EST_CACERTS)
		return prov_http_get(&e->http, &c, on_http, e);
	buf_init(&body, EST_BODY_MAX);
	if ((err = csr_encode(conf->csr, &body)) == 0) {
		c.body = (struct slice){ buf_str(&body), body.n };
		err = prov_http_post(&e->http, &c, on_http, e);
	}
	buf_clear(&body);
	return err;
}

int
prov_est_start(struct prov_est **slot, const struct prov_est_conf *conf,
    prov_est_cb *cb, void *arg, char *why, size_t why_size)
{
	struct prov_est *e;
	struct slice host;
	uint16_t port = 443;
	int err;

	if (addr_split(slice_of(conf->server), &host, &port) != 0 ||
	    host.n == 0 || host.n >= sizeof(e->host) || port == 0) {
		snprintf(why, why_size, "est.server = %s is no host[:port]",
		    esc(conf->server));
		return EINVAL;
	}
	if (conf->label != NULL &&
	    (!is_label(conf->label) || strlen(conf->label) > 64)) {
		snprintf(why, why_size,
		    "est.label = %s is not one segment of a path",
		    esc(conf->label));
		return EINVAL;
	}
	/* Never to somebody who did not prove who he is (RFC 7030 3.3.1). */
	if (conf->policy == NULL || !conf->policy->verify)
		return E_TLS_PARAM;
	if ((e = calloc(1, sizeof(*e))) == NULL)
		return ENOMEM;
	e->slot = slot;
	e->cb = cb;
	e->arg = arg;
	e->op = conf->op;
	if ((err = str_copy_slice(e->host, sizeof(e->host), host)) != 0 ||
	    (err = request(e, conf, port)) != 0) {
		free(e);
		return err;
	}
	*slot = e;
	return 0;
}

void
prov_est_stop(struct prov_est **slot)
{
	if (*slot == NULL)
		return;
	prov_http_stop(&(*slot)->http);
	free(*slot);
	*slot = NULL;
}
