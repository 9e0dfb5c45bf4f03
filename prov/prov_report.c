/* SPDX-License-Identifier: ISC */
/*
 * What a provisioning run did, and why it failed, in plain words.
 */
#include <stdio.h>
#include <string.h>

#include "bellbird/clock.h"
#include "bellbird/json.h"
#include "bellbird/log.h"
#include "internal.h"

const char *
prov_file_state_name(enum prov_file_state s)
{
	static const char *const names[] = { "not asked", "fetched",
		"unchanged", "absent", "kept", "refused" };

	return (size_t)s < sizeof(names) / sizeof(names[0]) ? names[s] : "?";
}

void
prov_report_clear(struct prov_report *r)
{
	prov_problems_clear(&r->problems);
	memset(r, 0, sizeof(*r));
}

/* files_json describes the files in the order they were asked for. */
static struct jv *
files_json(const struct prov_report *r)
{
	struct jv *a = jv_arr(), *o;
	const struct prov_file_report *f;

	for (size_t i = 0; i < r->num_files; i++) {
		f = &r->files[i];
		o = jv_obj();
		jv_set_str(o, "name", f->name);
		jv_set_str(o, "state", prov_file_state_name(f->state));
		jv_set_int(o, "status", f->http_status);
		jv_set_int(o, "bytes", (int64_t)f->bytes);
		jv_set_int(o, "settings", (int64_t)f->settings);
		jv_add(a, o);
	}
	return a;
}

/* problems_json lists the problems. */
static struct jv *
problems_json(const struct prov_problems *p)
{
	struct jv *a = jv_arr(), *o;

	for (size_t i = 0; i < p->n; i++) {
		o = jv_obj();
		jv_set_str(o, "file", p->v[i].file);
		jv_set_int(o, "line", p->v[i].line);
		jv_set_int(o, "column", p->v[i].column);
		jv_set_bool(o, "fatal", p->v[i].fatal);
		jv_set_str(o, "text", p->v[i].text);
		jv_add(a, o);
	}
	return a;
}

struct jv *
prov_report_json(const struct prov_report *r)
{
	struct jv *o = jv_obj();
	char started[32];

	clock_iso(started, sizeof(started), r->started_wall_us);
	jv_set_bool(o, "ok", r->err == 0);
	jv_set_str(o, "class", r->class);
	jv_set_str(o, "text", r->text);
	jv_set_str(o, "server", r->server);
	jv_set_str(o, "started", started);
	jv_set_num(o, "took_ms", (double)r->took_us / 1000);
	jv_set_bool(o, "applied", r->applied);
	jv_set_int(o, "changed", (int64_t)r->num_changed);
	jv_set(o, "files", files_json(r));
	jv_set(o, "problems", problems_json(&r->problems));
	jv_set_int(o, "problems_dropped", (int64_t)r->problems.dropped);
	jv_set(o, "verdict",
	    r->verdict.host[0] ? tls_verdict_json(&r->verdict) : jv_null());
	return o;
}

void
report_fail(struct prov_report *r, int err, const char *class, const char *what,
    const char *advice)
{
	r->err = err;
	snprintf(r->class, sizeof(r->class), "%s", class);
	snprintf(r->text, sizeof(r->text),
	    "%.440s; the settings stay as they are: %.140s.", what, advice);
}

/* Network errors that need no TLS to be understood; the host stands between
 * the two halves. */
static const struct {
	int err;
	const char *class, *before, *after, *advice;
} plain[] = {
	{ E_DNS_NXDOMAIN, "dns.nxdomain", "the name ", " does not exist",
	    "check the server's name in the settings and the name servers" },
	{ E_DNS_NODATA, "dns.nodata", "the name ", " has no address",
	    "add an address record for it" },
	{ E_DNS_FAIL, "dns.fail", "no name server answered for ", "",
	    "check the network and the name servers" },
	{ ECONNREFUSED, "tcp.refused", "", " could not be connected to",
	    "check that the server runs, its port and the route to it" },
	{ EHOSTUNREACH, "tcp.unreachable", "", " cannot be reached",
	    "check the route to it" },
	{ ENETUNREACH, "tcp.unreachable", "", " cannot be reached",
	    "check the network of this device" },
	{ E_LIMIT, "body.too_large", "", " sent a file of more than 1 MiB",
	    "check what is stored under that name" },
	{ E_CLOSED, "http.closed", "",
	    " closed the connection without an answer",
	    "look into the server's log" },
	{ E_PARSE, "http.malformed", "", " did not answer in HTTP",
	    "check that the settings name a web server and its port" },
	{ ENOMEM, "memory", "there was no memory to talk to ", "",
	    "try again" },
};

/* timed_out names the step a connection got stuck in. */
static void
timed_out(struct net_words *w, const char *host, const struct tls_verdict *v)
{
	const char *step = "did not answer in time";

	w->class = "http.timeout";
	w->advice = "look into the server's log and its load";
	if (v != NULL && v->phase <= TLS_PH_CONNECT) {
		w->class = "tcp.timeout";
		step = "could not be reached in time";
		w->advice = "look for a firewall that drops packets to it";
	} else if (v != NULL && v->phase == TLS_PH_HANDSHAKE) {
		w->class = "hs.silent";
		step = "accepted the connection but never began TLS";
		w->advice = "check that the port is an HTTPS one";
	}
	snprintf(w->what, sizeof(w->what), "%s %s", host, step);
}

/* sentence_of cuts the full stop off a sentence that is to go on. */
static void
sentence_of(char *out, size_t size, const char *text)
{
	size_t n;

	ignore_err(str_copy(out, size, text), "cut is fine");
	for (n = strlen(out);
	     n > 0 && (out[n - 1] == '.' || out[n - 1] == ' ');)
		out[--n] = '\0';
}

/* truncated tells how much of the file came. */
static void
truncated(
    struct net_words *w, const char *host, const struct prov_http_result *h)
{
	char of[48] = ", before its end";

	if (h->announced >= 0)
		snprintf(of, sizeof(of), " of the %lld it announced",
		    (long long)h->announced);
	snprintf(w->what, sizeof(w->what),
	    "%.255s ended the file after %zu bytes%s", host, h->body.n, of);
	w->class = "body.truncated";
	w->advice = "look for errors or limits on the server, and try again";
}

void
net_words(
    struct net_words *w, const char *host, const struct prov_http_result *h)
{
	const struct tls_verdict *v = h->verdict;

	memset(w, 0, sizeof(*w));
	if (v != NULL && v->class[0] != '\0' && h->err != E_LIMIT &&
	    h->status == 0) {
		/* Its own words: what failed, why, and what to do. */
		w->class = v->class;
		sentence_of(w->what, sizeof(w->what), v->text);
		return;
	}
	if (h->err == ETIMEDOUT) {
		timed_out(w, host, v);
		return;
	}
	if (h->err == E_PROV_TRUNCATED) {
		truncated(w, host, h);
		return;
	}
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		if (plain[i].err != h->err)
			continue;
		snprintf(w->what, sizeof(w->what), "%s%s%s", plain[i].before,
		    host, plain[i].after);
		w->class = plain[i].class;
		w->advice = plain[i].advice;
		return;
	}
	snprintf(w->what, sizeof(w->what), "the connection to %s failed (%s)",
	    host, err_str(h->err));
	w->class = "net";
	w->advice = "try again";
}

void
report_net(
    struct prov_report *r, const char *host, const struct prov_http_result *h)
{
	struct net_words w;

	net_words(&w, host, h);
	if (w.advice != NULL) {
		report_fail(r, h->err, w.class, w.what, w.advice);
		return;
	}
	r->err = h->err;
	snprintf(r->class, sizeof(r->class), "%s", w.class);
	snprintf(r->text, sizeof(r->text),
	    "%.600s; the settings stay as they are.", w.what);
}

/* Statuses worth a word of their own. */
static const struct {
	int status;
	const char *what, *advice;
} statuses[] = {
	{ 401, "asks for a user name and password and does not accept ours",
	    "check prov.auth.user and prov.auth.pwd" },
	{ 403, "refuses this device the file",
	    "check that the name in the device certificate is the MAC address "
	    "in the file name, and the server's access rules" },
	{ 404, "has no configuration for this device",
	    "check prov.download.cfgpath, and the model and MAC address in "
	    "the file names" },
	{ 429, "is asked too often", "wait a while" },
	{ 500, "failed inside", "look into the server's log" },
	{ 502, "is a proxy whose server does not work",
	    "look into the server's log" },
	{ 503, "is not available for now", "try again later" },
};

void
report_status(struct prov_report *r, const char *host, const char *file,
    const struct prov_http_result *h)
{
	const char *said = "answered with an error";
	const char *advice = "look into the server's log";
	char what[420], class[32];

	if (prov_http_wants_cert(h->status, h->body)) {
		snprintf(what, sizeof(what),
		    "%s refused our device certificate, or got none (HTTP "
		    "status %d for %s)",
		    host, h->status, file);
		report_fail(r, E_PROV_HTTP, "http.client_cert", what,
		    "install a device certificate of a CA the server trusts "
		    "(bellbird cert list shows ours)");
		return;
	}
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		if (statuses[i].status != h->status)
			continue;
		said = statuses[i].what;
		advice = statuses[i].advice;
	}
	snprintf(class, sizeof(class), "http.%d", h->status);
	snprintf(what, sizeof(what), "%s %s (HTTP status %d for %s)", host,
	    said, h->status, file);
	report_fail(r, E_PROV_HTTP, class, what, advice);
}

/* refused_mark marks every file that has a fatal problem. */
static void
refused_mark(struct prov_report *r)
{
	const struct prov_problem *p;

	for (size_t i = 0; i < r->problems.n; i++) {
		p = &r->problems.v[i];
		for (size_t k = 0; p->fatal && k < r->num_files; k++)
			if (strcmp(p->file, r->files[k].name) == 0)
				r->files[k].state = PROV_FS_REFUSED;
	}
}

/* first_fatal finds the problem that report_refused() quotes. */
static const struct prov_problem *
first_fatal(const struct prov_report *r)
{
	for (size_t i = 0; i < r->problems.n; i++)
		if (r->problems.v[i].fatal)
			return &r->problems.v[i];
	return NULL;
}

/* place_print writes ":line:column" where a problem has a line. */
static void
place_print(const struct prov_problem *p, char *out, size_t size)
{
	out[0] = '\0';
	if (p->line > 0)
		snprintf(out, size, ":%u:%u", p->line, p->column);
}

void
report_log(const struct prov_report *r)
{
	const struct prov_problem *quoted = r->err != 0 ? first_fatal(r) : NULL;
	const struct prov_problem *p;
	char place[48];

	if (r->err != 0)
		log_err(LOGC_PROV, 0, "provisioning failed class=%s: %s",
		    r->class, r->text);
	else
		log_info(LOGC_PROV, 0, "provisioning done: %s", r->text);
	for (size_t i = 0; i < r->problems.n; i++) {
		p = &r->problems.v[i];
		if (p == quoted)
			continue; /* the sentence above has it */
		place_print(p, place, sizeof(place));
		log_warn(
		    LOGC_PROV, 0, "%s%s: %s", esc(p->file), place, p->text);
	}
	if (r->problems.dropped != 0)
		log_warn(LOGC_PROV, 0, "and %zu further problems",
		    r->problems.dropped);
}

void
report_refused(struct prov_report *r, int err)
{
	const struct prov_problem *p = first_fatal(r);
	const char *class = "conf.bad";
	char what[460], where[48] = "";

	if (err == ENOMEM) {
		report_fail(r, err, "memory",
		    "there was no memory to read the files", "try again");
		return;
	}
	if (err == E_PROV_NOT_CONF)
		class = "body.not_conf";
	else if (err == E_LIMIT)
		class = "body.too_large";
	if (p != NULL)
		place_print(p, where, sizeof(where));
	if (p != NULL)
		snprintf(what, sizeof(what), "%.120s%s: %.280s", p->file, where,
		    p->text);
	else
		snprintf(what, sizeof(what), "the files were refused (%s)",
		    err_str(err));
	refused_mark(r);
	report_fail(r, err, class, what, "correct the file on the server");
}
