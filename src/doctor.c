/* SPDX-License-Identifier: ISC */
/*
 * bellbird doctor: one server under the microscope.  It connects as the
 * endpoint would, and where that fails it asks the same server in other ways,
 * each of which rules something out.  What is wrong is the record's own
 * sentence; the probes are evidence.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bellbird/prov_http.h"
#include "bellbird/tls_hash.h"
#include "internal.h"

enum {
	PROBES_MAX = 12, /* connections in all: fail2ban is near */
	ANSWER_US = 3000000,
	FIRST_MS = 5000, /* the handshake of the first try */
	PROBE_MS = 3000, /* that of a probe */
	NOTE_MAX = 200
};
#define WHOLE_US INT64_C(20000000)

/* A question to the server. */
struct probe {
	const char *name, *what; /* id for scripts, words for people */
	bool tls;                /* false: clear TCP */
	uint16_t version;        /* 0: as the policy says */
	bool no_sni, no_identity;
	unsigned int when; /* kinds of failure it says something about */
};

/* Kinds of failure, by class. */
enum {
	KIND_CERT = 1,  /* the server's certificate does not hold */
	KIND_OURS = 2,  /* ours does not, for the server */
	KIND_CLEAR = 4, /* there is no TLS, or nothing at all */
	KIND_SHAKE = 8  /* the handshake fails otherwise */
};

/* The first is the endpoint's own way; the others follow if it fails. */
static const struct probe probes[] = {
	{ "policy", "as this endpoint connects", true, 0, false, false, 0 },
	{ "tls1.3", "TLS 1.3 alone, any certificate", true, TLS_V13, false,
	    false, KIND_SHAKE | KIND_OURS },
	{ "tls1.2", "TLS 1.2 alone, any certificate", true, TLS_V12, false,
	    false, KIND_SHAKE | KIND_OURS },
	{ "tls1.1", "TLS 1.1 alone, any certificate", true, TLS_V11, false,
	    false, KIND_SHAKE },
	{ "tls1.0", "TLS 1.0 alone, any certificate", true, TLS_V10, false,
	    false, KIND_SHAKE },
	{ "no-sni", "without a server name", true, 0, true, false,
	    KIND_CERT | KIND_SHAKE },
	{ "no-identity", "without our certificate", true, 0, false, true,
	    KIND_OURS | KIND_SHAKE },
	{ "clear", "without TLS", false, 0, false, false,
	    KIND_CLEAR | KIND_SHAKE },
};
enum { NUM_PROBES = sizeof(probes) / sizeof(probes[0]) };

struct outcome {
	bool done, up;
	struct tls_verdict v;
	char note[NOTE_MAX];
	int wants_cert; /* the HTTP status that said so, or 0 */
};

struct doctor {
	struct app app; /* its store, loop and TLS; nothing else runs */
	enum tls_use use;
	char host[DNS_NAME_MAX];
	char target[DNS_NAME_MAX]; /* where an SRV record led, or "" */
	uint16_t port;
	struct tls_policy policy;
	struct dns_query *query;
	struct addr addrs[DNS_ADDRS_MAX];
	size_t num_addrs, addr;
	int dns_err, loop_err;
	int64_t dns_began_us, dns_us;

	struct tls_conn *conn; /* of the probe under way */
	struct timer answer, whole;
	struct deferred next;
	size_t at, made;
	struct outcome out[NUM_PROBES];
};

static void probe_start(struct doctor *d);

/* A request that every server answers: what comes proves that our certificate
 * was accepted too (TLS 1.3 refuses it after the handshake). */
static void
ask(struct doctor *d)
{
	unsigned long long id = tls_random_id();
	char text[1400], local[ADDR_STR_MAX];
	struct addr a;
	bool tls = tls_conn_is_tls(d->conn);

	tls_conn_local(d->conn, &a);
	addr_print(&a, local);
	if (d->use == TLS_USE_SIP)
		(void)snprintf(text, sizeof(text),
		    "OPTIONS sip:%s SIP/2.0\r\n"
		    "Via: SIP/2.0/%s %s;branch=z9hG4bK%016llx;rport\r\n"
		    "Max-Forwards: 0\r\nFrom: <sip:doctor@%s>;tag=%llx\r\n"
		    "To: <sip:%s>\r\nCall-ID: %016llx\r\nCSeq: 1 OPTIONS\r\n"
		    "Content-Length: 0\r\n\r\n",
		    d->host, tls ? "TLS" : "TCP", local, id, d->host, id,
		    d->host, id);
	else
		(void)snprintf(text, sizeof(text),
		    "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
		    d->host);
	ignore_err(tls_conn_write(d->conn, text, strlen(text)),
	    "then nothing will be answered");
}

/* The probe is over: keeps what it saw, goes on from the loop. */
static void
probe_end(struct doctor *d)
{
	struct outcome *o = &d->out[d->at];

	timer_stop(&d->answer);
	if (d->conn != NULL) {
		o->v = *tls_conn_verdict(d->conn);
		tls_conn_free(d->conn);
		d->conn = NULL;
	}
	o->done = true;
	d->at++;
	probe_start(d);
}

/* loop_defer: a connection is not freed inside its own callback's caller. */
static void
on_next(void *arg)
{
	probe_end(arg);
}

/* The first line of what a server said, for a person. */
static void
note_answer(struct outcome *o, struct slice in)
{
	struct slice line, rest;

	(void)slice_cut(in, '\n', &line, &rest);
	line = slice_trim(line);
	if (line.n > 60)
		line.n = 60;
	(void)snprintf(
	    o->note, sizeof(o->note), "it answered: %s", esc_n(line.p, line.n));
}

/* What a web server answered, all of it or what there is: is it about our
 * certificate?  Returns false if more must come to tell. */
static bool
read_answer(struct outcome *o, struct slice in, bool all)
{
	static const char start[] = "HTTP/1.1 400";
	int64_t status;

	if (in.n < sizeof(start) - 1)
		return false;
	if (memcmp(in.p, start, 5) != 0 ||
	    str_int((struct slice){ in.p + 9, 3 }, 100, 999, &status) != 0)
		return true;
	/* 495 and 496 say it by themselves. */
	if (prov_http_wants_cert((int)status, slice_of("")) ||
	    prov_http_wants_cert((int)status, in)) {
		o->wants_cert = (int)status;
		return true;
	}
	return all || (status != 400 && status != 403);
}

/* timer_cb: it said nothing, or not all. */
static void
on_silence(void *arg)
{
	struct doctor *d = arg;

	if (d->out[d->at].note[0] == '\0')
		(void)snprintf(d->out[d->at].note, NOTE_MAX,
		    "it did not answer a request within 3 s");
	probe_end(d);
}

/* tls_conn_cb. */
static void
on_conn(struct tls_conn *c, enum tls_event ev, int err, void *arg)
{
	struct doctor *d = arg;
	struct outcome *o = &d->out[d->at];

	(void)err;
	switch (ev) {
	case TLS_EV_UP:
		o->up = true;
		/* Only these two need a word of the server. */
		if (d->at != 0 && probes[d->at].tls) {
			loop_defer(d->app.loop, &d->next, on_next, d);
			break;
		}
		ask(d);
		ignore_err(timer_start(&d->answer, d->app.loop, ANSWER_US,
			       on_silence, d),
		    "the deadline of the whole ends it");
		break;
	case TLS_EV_DATA:
		note_answer(o, tls_conn_peek(c));
		if (d->use == TLS_USE_SIP || !probes[d->at].tls ||
		    read_answer(o, tls_conn_peek(c), false))
			loop_defer(d->app.loop, &d->next, on_next, d);
		break;
	case TLS_EV_DRAINED:
		break;
	case TLS_EV_CLOSED:
		o->v = *tls_conn_verdict(c);
		if (d->use != TLS_USE_SIP && probes[d->at].tls)
			(void)read_answer(o, tls_conn_peek(c), true);
		d->conn = NULL;
		loop_undefer(&d->next);
		timer_stop(&d->answer);
		loop_defer(d->app.loop, &d->next, on_next, d);
		break;
	}
}

/* The policy of a probe: the endpoint's own but for what it rules out. */
static struct tls_policy
policy_of(const struct doctor *d, const struct probe *p)
{
	struct tls_policy x = d->policy;

	if (p == &probes[0])
		return x;
	x.verify = false;
	if (x.handshake_ms > PROBE_MS)
		x.handshake_ms = PROBE_MS;
	if (p->version != 0)
		x.min = x.max = p->version;
	if (p->version != 0 && p->version < TLS_V12)
		x.profile = TLS_PROFILE_LEGACY;
	if (p->no_sni)
		x.name[0] = '\0';
	if (p->no_identity) {
		x.identity = TLS_ID_NONE;
		x.identity_auto = false;
	}
	return x;
}

/* What failed, as far as probes go; 0: they would tell nothing. */
static unsigned int
kind_of(const char *class)
{
	static const struct {
		const char *prefix;
		unsigned int kind;
	} kinds[] = {
		{ "cert.", KIND_CERT },
		{ "trust.", KIND_CERT },
		{ "mtls.", KIND_OURS },
		{ "hs.plaintext", KIND_CLEAR },
		{ "hs.silent", KIND_CLEAR },
		{ "hs.", KIND_SHAKE },
		{ "tcp.reset_in_hs", KIND_SHAKE },
		{ "tcp.closed_in_hs", KIND_SHAKE },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strncmp(class, kinds[i].prefix, strlen(kinds[i].prefix)) ==
		    0)
			return kinds[i].kind;
	return 0;
}

/* Starts the next probe, or ends the examination. */
static void
probe_start(struct doctor *d)
{
	const struct probe *p;
	struct tls_conn_conf c = { .dns_us = d->dns_us, .cb = on_conn };
	struct tls_policy policy;
	const char *class = d->out[0].v.class;

	/* The first try goes through the addresses until one is reached. */
	if (d->at == 1 && d->out[0].v.tcp_us < 0 &&
	    d->addr + 1 < d->num_addrs) {
		d->addr++;
		d->at = 0;
		memset(&d->out[0], 0, sizeof(d->out[0]));
	}
	while (d->at > 0 && d->at < NUM_PROBES &&
	    (probes[d->at].when & kind_of(class)) == 0)
		d->at++;
	if (d->at == NUM_PROBES || d->made == PROBES_MAX) {
		loop_stop(d->app.loop);
		return;
	}
	p = &probes[d->at];
	policy = policy_of(d, p);
	c.policy = p->tls ? &policy : NULL;
	c.remote = d->addrs[d->addr];
	c.host = d->host;
	c.arg = d;
	d->made++;
	if (tls_conn_connect(&d->conn, d->app.tls, &c) != 0) {
		(void)snprintf(d->out[d->at].note, NOTE_MAX,
		    "this machine could not start the connection");
		loop_defer(d->app.loop, &d->next, on_next, d);
	}
}

/* timer_cb: 20 s are over. */
static void
on_whole(void *arg)
{
	struct doctor *d = arg;

	if (d->num_addrs == 0)
		d->dns_err = ETIMEDOUT;
	if (d->conn != NULL) {
		d->out[d->at].v = *tls_conn_verdict(d->conn);
		d->out[d->at].done = true;
		tls_conn_free(d->conn);
		d->conn = NULL;
	}
	loop_stop(d->app.loop);
}

/* dns_addr_cb. */
static void
on_addrs(int err, const struct addr *as, size_t num_as, void *arg)
{
	struct doctor *d = arg;

	d->dns_us = clock_mono_us() - d->dns_began_us;
	d->dns_err = err == 0 && num_as == 0 ? E_DNS_NODATA : err;
	if (d->dns_err != 0) {
		loop_stop(d->app.loop);
		return;
	}
	d->num_addrs = num_as < DNS_ADDRS_MAX ? num_as : DNS_ADDRS_MAX;
	memcpy(d->addrs, as, d->num_addrs * sizeof(*as));
	probe_start(d);
}

/* dns_srv_cb: the first of a SIP domain's hosts, else the domain itself. */
static void
on_srv(int err, const struct dns_srv *srvs, size_t num_srvs, void *arg)
{
	struct doctor *d = arg;
	const char *host = d->host;

	if (err == 0 && num_srvs > 0) {
		host = srvs[0].target;
		ignore_err(str_copy(d->target, sizeof(d->target), host),
		    "then nothing is said of it");
		d->port = srvs[0].port;
	}
	err = dns_addr(&d->query, d->app.dns, host, d->port, on_addrs, d);
	if (err != 0)
		on_addrs(err, NULL, 0, d);
}

/* Resolves as the endpoint does: SRV for a SIP domain without a port. */
static int
resolve(struct doctor *d, bool port_given)
{
	char name[DNS_NAME_MAX + 16];
	struct addr literal;

	d->dns_began_us = clock_mono_us();
	if (d->use != TLS_USE_SIP || port_given ||
	    strcmp(d->host, "localhost") == 0 ||
	    addr_parse(&literal, slice_of(d->host), d->port) == 0)
		return dns_addr(
		    &d->query, d->app.dns, d->host, d->port, on_addrs, d);
	(void)snprintf(name, sizeof(name), "_sips._tcp.%s", d->host);
	return dns_srv(&d->query, d->app.dns, name, on_srv, d);
}

/* ---- the report ---- */

/* What a probe showed, in words. */
static void
finding(const struct outcome *o, char *out, size_t size)
{
	char line[512];

	if (o->v.clear) {
		(void)snprintf(out, size, "%s",
		    !o->up                   ? "not connected"
			: o->note[0] != '\0' ? o->note
					     : "connected");
		return;
	}
	if (o->v.class[0] == '\0' && o->up) {
		tls_verdict_line(&o->v, line, sizeof(line));
		(void)snprintf(out, size, "works: %s; it showed '%s'%s%s", line,
		    o->v.num_sent > 0 ? o->v.sent[0].subject : "",
		    o->note[0] != '\0' ? "; " : "", o->note);
		return;
	}
	(void)snprintf(out, size, "fails: %s",
	    o->v.class[0] != '\0' ? o->v.class : o->note);
}

static struct jv *
probes_json(const struct doctor *d)
{
	struct jv *arr = jv_arr(), *o;
	char text[900];

	for (size_t i = 0; i < NUM_PROBES; i++) {
		if (!d->out[i].done)
			continue;
		finding(&d->out[i], text, sizeof(text));
		o = jv_obj();
		jv_set_str(o, "probe", probes[i].name);
		jv_set_str(o, "what", probes[i].what);
		jv_set_bool(o, "ok", d->out[i].up && !d->out[i].v.class[0]);
		jv_set_str(o, "class", d->out[i].v.class);
		jv_set_str(o, "finding", text);
		jv_add(arr, o);
	}
	return arr;
}

/* Why there is not even an address. */
static void
dns_words(const struct doctor *d, const char **class, char *text, size_t size)
{
	*class = d->dns_err == E_DNS_NXDOMAIN ? "dns.nxdomain"
	    : d->dns_err == E_DNS_NODATA      ? "dns.nodata"
					      : "dns.fail";
	(void)snprintf(text, size,
	    "The name %s has no address: %s. Check the "
	    "name and this device's name servers. [%s]",
	    esc(d->host), err_str(d->dns_err), *class);
}

/* The time of the whole was over before the first try ended. */
static bool
is_late(const struct doctor *d)
{
	return d->out[0].v.class[0] == '\0' && !d->out[0].up;
}

/* What the first try was at then; or this machine itself failed. */
static void
late_words(const struct doctor *d, const char **class, char *text, size_t size)
{
	if (d->loop_err != 0) {
		*class = "hs.internal";
		(void)snprintf(text, size,
		    "This machine could not wait for the server %s: %s. Look "
		    "at its log. [%s]",
		    esc(d->host), err_str(d->loop_err), *class);
		return;
	}
	*class =
	    d->out[0].v.phase == TLS_PH_HANDSHAKE ? "hs.silent" : "tcp.timeout";
	(void)snprintf(text, size,
	    "The server %s did not answer in time at address %u of %u. A "
	    "firewall may drop the packets, or the address is wrong. [%s]",
	    esc(d->host), (unsigned int)d->addr + 1, (unsigned int)d->num_addrs,
	    *class);
}

/* TLS held, and the web server refused us by HTTP. */
static void
http_words(const struct outcome *o, const char *host, char *text, size_t size)
{
	const struct tls_verdict *v = &o->v;
	bool shown = v->shown != TLS_ID_NONE;

	(void)snprintf(text, size,
	    "The server %s took the TLS connection and then answered with HTTP "
	    "status %d: %s%s%s. Install a device certificate of a CA it trusts "
	    "(bellbird cert show lists ours), or give it ours: "
	    "ssl_client_certificate in nginx. [http.client_cert]",
	    esc(host), o->wants_cert,
	    shown
		? "it does not take our certificate '"
		: "it demands a certificate of this device, and none was shown",
	    shown ? v->shown_subject : "", shown ? "'" : "");
}

/* RFC 5922 4: the certificate must name the SIP domain; one for the host that
 * DNS led to is not enough. */
static void
srv_note(const struct doctor *d, struct jv *notes)
{
	const struct tls_verdict *v = &d->out[0].v;
	char text[600];

	if (d->target[0] == '\0' || strcmp(v->class, "cert.name_mismatch") != 0)
		return;
	for (size_t i = 0; i < v->num_sans; i++) {
		if (strncmp(v->sans[i], "DNS:", 4) != 0 ||
		    strcasecmp(v->sans[i] + 4, d->target) != 0)
			continue;
		(void)snprintf(text, sizeof(text),
		    "The SRV record of %.200s leads to %.200s, and the "
		    "certificate names that host, but not the domain: DNS "
		    "alone proves nothing. [dns.srv_target]",
		    esc(d->host), esc(d->target));
		jv_add(notes, jv_str(text));
		return;
	}
}

static struct jv *
report(const struct doctor *d)
{
	const struct tls_verdict *v = &d->out[0].v;
	char text[sizeof(v->text)] = "", addr[ADDR_STR_MAX] = "";
	const char *class = v->class;
	struct jv *o = jv_obj(), *notes = jv_arr();

	if (d->dns_err != 0)
		dns_words(d, &class, text, sizeof(text));
	else if (is_late(d))
		late_words(d, &class, text, sizeof(text));
	else if (class[0] != '\0')
		(void)snprintf(text, sizeof(text), "%s", v->text);
	else if (d->out[0].wants_cert != 0) {
		class = "http.client_cert";
		http_words(&d->out[0], d->host, text, sizeof(text));
	} else
		tls_verdict_line(v, text, sizeof(text));
	if (d->num_addrs > 0)
		addr_print(&d->addrs[d->addr], addr);
	jv_set_str(o, "target", d->host);
	jv_set_str(o, "as", tls_use_name(d->use));
	jv_set_str(o, "address", addr);
	jv_set_bool(o, "ok", class[0] == '\0');
	jv_set_str(o, "class", class);
	jv_set_str(o, "text", text);
	jv_set(o, "probes", probes_json(d));
	trust_warnings(&d->app, notes);
	srv_note(d, notes);
	jv_set(o, "notes", notes);
	jv_set(o, "verdict", d->dns_err == 0 ? tls_verdict_json(v) : jv_null());
	return o;
}

/* Adds the record as text, which JSON has as an object. */
static void
add_record(const struct doctor *d, struct jv *o)
{
	struct buf b;

	if (d->dns_err != 0)
		return;
	buf_init(&b, 65536);
	if (tls_verdict_text(&d->out[0].v, &b) == 0)
		jv_set_str(o, "record", buf_str(&b));
	buf_clear(&b);
}

/* ---- the verb ---- */

/* Reads target and --as; a usage error is printed. */
static int
read_args(struct doctor *d, const struct jv *args, bool *port_given)
{
	const char *target = jv_as_str(jv_at(jv_get(args, "args"), 0));
	const char *as = jv_get_str(args, "as");
	bool json = jv_get_bool(args, "json", false);
	struct slice host;

	if (as == NULL || strcmp(as, "sip") == 0)
		d->use = TLS_USE_SIP;
	else if (strcmp(as, "prov") == 0)
		d->use = TLS_USE_PROV;
	else
		return ctl_error(json, CTL_USAGE, "--as is sip or prov", NULL);
	if (target == NULL || addr_split(slice_of(target), &host, &d->port) ||
	    host.n == 0 || str_copy_slice(d->host, sizeof(d->host), host) != 0)
		return ctl_error(
		    json, CTL_USAGE, "doctor wants HOST or HOST:PORT", NULL);
	*port_given = d->port != 0;
	if (!*port_given)
		d->port = d->use == TLS_USE_SIP ? 5061 : 443;
	return CTL_OK;
}

/* Settings, loop and TLS, as the endpoint would have them. */
static int
open_all(struct doctor *d, const struct jv *args)
{
	bool json = jv_get_bool(args, "json", false);
	struct app *a = &d->app;
	char why[WHY_SIZE] = "";
	int err, code;

	if ((err = paths_find(&a->paths, args)) == 0)
		err = loop_new(&a->loop);
	if (err != 0)
		return ctl_error(json, CTL_FAIL, err_str(err), NULL);
	code = app_open_store(&a->store, &a->paths, a, args, NULL);
	if (code != CTL_OK)
		return code;
	wallclock_load(a);
	if ((err = app_open_tls(a)) != 0 ||
	    (err = dns_new(&a->dns, a->loop, NULL)) != 0)
		return ctl_error(json, CTL_FAIL, err_str(err), NULL);
	err = settings_policy(a, d->use, TLS_CLIENT,
	    d->use == TLS_USE_SIP ? "u1" : NULL, d->host, &d->policy, why,
	    sizeof(why));
	if (err != 0)
		return ctl_error(json, CTL_CONFIG, why, NULL);
	/* Somebody waits for the answer. */
	if (d->policy.handshake_ms > FIRST_MS)
		d->policy.handshake_ms = FIRST_MS;
	return CTL_OK;
}

/* The exit code of a failure (design: 7 TLS, 4 time-outs, 1 DNS and TCP). */
static int
exit_code(const struct doctor *d)
{
	const char *class = d->out[0].v.class;

	if (d->loop_err != 0)
		return CTL_FAIL;
	if (d->dns_err != 0)
		return d->dns_err == ETIMEDOUT ? CTL_TIMEOUT : CTL_FAIL;
	if (is_late(d) || strcmp(class, "tcp.timeout") == 0)
		return CTL_TIMEOUT;
	return strncmp(class, "tcp.", 4) == 0 ? CTL_FAIL : CTL_TLS;
}

int
doctor_run(const struct jv *args)
{
	bool json = jv_get_bool(args, "json", false), port_given = false;
	struct doctor *d;
	struct jv *o;
	int code;

	if ((d = calloc(1, sizeof(*d))) == NULL)
		return ctl_error(json, CTL_FAIL, err_str(ENOMEM), NULL);
	d->app.state_lock = -1;
	/* The report says it all. */
	if (jv_get_str(args, "debug") == NULL)
		ignore_err(log_set_spec("error"), "a word it knows");
	if ((code = read_args(d, args, &port_given)) == CTL_OK &&
	    (code = open_all(d, args)) == CTL_OK) {
		d->dns_err = resolve(d, port_given);
		ignore_err(
		    timer_start(&d->whole, d->app.loop, WHOLE_US, on_whole, d),
		    "each step has a deadline of its own");
		if (d->dns_err == 0)
			d->loop_err = loop_run(d->app.loop);
		o = report(d);
		if (!json)
			add_record(d, o);
		ctl_print(json, "doctor", o);
		if (!jv_get_bool(o, "ok", false))
			code = exit_code(d);
		jv_free(o);
	}
	timer_stop(&d->whole);
	timer_stop(&d->answer);
	loop_undefer(&d->next);
	dns_stop(&d->query);
	app_clear(&d->app);
	free(d);
	return code;
}
