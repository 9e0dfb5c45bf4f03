/* SPDX-License-Identifier: ISC */
/* The owner's certificate by EST (RFC 7030): asked for with the device's own,
 * renewed with itself at two thirds of its life.  Whatever fails, the one that
 * is there stays. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "bellbird/file.h"
#include "bellbird/tls_cert.h"
#include "bellbird/tls_hash.h"
#include "bellbird/tls_issue.h"
#include "enroll.h"

enum {
	/* A person who has not approved it in a month never will; then a
	 * fresh key is asked for. */
	PENDING_MAX_S = 30 * 86400,
	CACERTS_MAX = 16 /* certificates told of; a chain and its roll-over */
};
/* The wall clock may be set meanwhile: it is looked at once a day. */
#define LOOK_US INT64_C(86400000000)

struct waiter {
	TAILQ_ENTRY(waiter) link;
	struct ctl_req *req; /* NULL: its client went away */
};

struct enroll {
	struct app *app;      /* borrowed */
	struct prov_est *est; /* owned slot: the request under way */
	struct keep *keep;    /* owned: what the worker writes */
	struct timer timer;
	struct pending p;            /* the request under way, or pending */
	struct tls_cert_brief fresh; /* being written */
	int64_t again_us;      /* after a failure or 202: not before; 0: none */
	unsigned int failures; /* in a row */
	const char *state;     /* a literal of docs/STABILITY.md */
	char class[32], text[640];
	int64_t last_us;    /* wall clock of the last attempt's end; 0 */
	enum ctl_exit code; /* of that attempt */
	bool by_device;     /* the owner's own was refused */
	TAILQ_HEAD(, waiter) waiters;
	struct prov_est *ca; /* owned slot: CA certificates asked for */
	struct waiter ca_waiter;
};

static void on_timer(void *arg);
static void begin(struct enroll *e);

/* ---- what is there ---- */

static const char *
server_of(const struct enroll *e)
{
	return prov_get(e->app->store, "est.server");
}

/* Server and label: whom a pending request is with. */
static void
place_of(const struct enroll *e, char *out, size_t size)
{
	(void)snprintf(out, size, "%.200s/%.64s", server_of(e),
	    prov_get(e->app->store, "est.label"));
}

static bool
owner_get(const struct enroll *e, struct tls_cert_brief *b)
{
	return tls_env_identity_brief(e->app->tls, TLS_ID_SIP_OWNER, b) == 0;
}

/* A time that has passed for certain: now, or the floor (design 3, clock). */
static int64_t
certain_s(const struct enroll *e)
{
	struct tls_clock c = wallclock_now(e->app);

	return c.trusted && c.wall_s > c.floor_s ? c.wall_s : c.floor_s;
}

/* When a certificate is to be renewed. */
static int64_t
renew_at_s(const struct enroll *e, const struct tls_cert_brief *b)
{
	return b->not_before_s +
	    (b->not_after_s - b->not_before_s) / 100 *
	    prov_get_int(e->app->store, "est.renew") +
	    (b->not_after_s - b->not_before_s) % 100 *
	    prov_get_int(e->app->store, "est.renew") / 100;
}

/* A key in a token was put there on purpose: no key of ours takes its place. */
static bool
in_token(const struct enroll *e)
{
	return tls_env_identity_token(e->app->tls, TLS_ID_SIP_OWNER)[0] != '\0';
}

/* How long until something has to be asked; 0: it is due. */
static int64_t
due_us(const struct enroll *e)
{
	struct tls_cert_brief b;
	int64_t us;

	if (in_token(e))
		return LOOK_US;
	if (e->again_us != 0)
		us = e->again_us - clock_mono_us();
	else if (!owner_get(e, &b))
		us = 0;
	else
		us = (renew_at_s(e, &b) - certain_s(e)) * 1000000;
	return us > 0 ? us : 0;
}

/* ---- who waits, and who is told ---- */

static void
on_gone(struct ctl_req *r, void *arg)
{
	(void)r;
	((struct waiter *)arg)->req = NULL;
}

static void
set_time(struct jv *o, const char *key, int64_t s)
{
	char iso[32] = "";

	if (s != 0)
		clock_iso(iso, sizeof(iso), s * 1000000);
	jv_set_str(o, key, iso);
}

struct jv *
enroll_json(const struct enroll *e)
{
	struct tls_cert_brief b;
	struct jv *o = jv_obj();
	int64_t next = 0;

	if (e->again_us != 0)
		next =
		    clock_wall_s() + (e->again_us - clock_mono_us()) / 1000000;
	else if (owner_get(e, &b))
		next = renew_at_s(e, &b);
	if (server_of(e)[0] == '\0')
		next = 0;
	jv_set_str(o, "state", e->state);
	jv_set_str(o, "server", server_of(e));
	jv_set_str(o, "class", e->class);
	jv_set_str(o, "text", e->text);
	set_time(o, "last", e->last_us / 1000000);
	set_time(o, "next", next);
	if (owner_get(e, &b)) {
		jv_set_str(o, "subject", b.subject);
		set_time(o, "not_after", b.not_after_s);
	}
	return o;
}

void
enroll_warnings(const struct enroll *e, struct jv *out)
{
	struct tls_cert_brief b;
	char text[720];

	if (server_of(e)[0] != '\0' && e->again_us == 0 && owner_get(e, &b) &&
	    renew_at_s(e, &b) <= clock_wall_s() &&
	    renew_at_s(e, &b) > certain_s(e))
		jv_add(out,
		    jv_str(
			"the owner's certificate is to be renewed, by a "
			"clock that nothing has confirmed: it waits for NTP, "
			"or clock.trusted = 1"));
	if (e->class[0] == '\0')
		return;
	(void)snprintf(text, sizeof(text), "the owner's certificate: %s [%s]",
	    e->text, e->class);
	jv_add(out, jv_str(text));
}

/* The event, the log line and the replies at the end of an attempt. */
static void
tell(struct enroll *e, enum ctl_exit code)
{
	struct jv *f = enroll_json(e);
	struct waiter *w;

	e->code = code;
	app_event(e->app, "cert.enroll", jv_ref(f));
	while ((w = TAILQ_FIRST(&e->waiters)) != NULL) {
		TAILQ_REMOVE(&e->waiters, w, link);
		if (w->req != NULL && code == CTL_OK)
			ctl_reply(w->req, jv_ref(f));
		else if (w->req != NULL)
			ctl_fail(w->req, code, e->text, jv_ref(f));
		free(w);
	}
	jv_free(f);
}

/* Arms the timer for what comes next. */
static void
rest(struct enroll *e)
{
	int64_t us = due_us(e);

	ignore_err(timer_start(&e->timer, e->app->loop,
		       us < LOOK_US ? us : LOOK_US, on_timer, e),
	    "a change of settings or files looks again");
}

/* ---- the ends of an attempt ---- */

/* Is there a certificate that can still be used? */
static int64_t
left_s(const struct enroll *e)
{
	struct tls_cert_brief b;

	return owner_get(e, &b) ? b.not_after_s - certain_s(e) : 0;
}

/* It failed: what there was stays, and we try again later. */
static void
enroll_fail(struct enroll *e, const char *class, enum ctl_exit code,
    const char *fmt, const char *what)
{
	uint32_t dice;
	char text[sizeof(e->text)];
	int64_t us;

	tls_random(&dice, sizeof(dice));
	e->failures++;
	us = enroll_delay_us(e->failures, left_s(e), dice);
	/* One that is pending is asked when its CA said, or later. */
	e->again_us = clock_mono_us() + us;
	e->state = "failed";
	e->last_us = clock_wall_us();
	(void)snprintf(text, sizeof(text), "%.24s%.460s; %s", fmt, what,
	    tls_env_has_identity(e->app->tls, TLS_ID_SIP_OWNER)
		? "the certificate that is there stays"
		: "there is no owner's certificate yet");
	memcpy(e->text, text, sizeof(text));
	(void)snprintf(e->class, sizeof(e->class), "%s", class);
	log_warn(LOGC_TLS, 0, "enrolment failed class=%s next_s=%lld: %s",
	    e->class, (long long)(us / 1000000), e->text);
	tell(e, code);
	rest(e);
}

/* worker_done. */
static void
on_kept(int err, void *arg)
{
	struct keep *k = arg;
	struct enroll *e = k->enroll;
	struct app *a = e->app;
	bool first = !tls_env_has_identity(a->tls, TLS_ID_SIP_OWNER);
	enum keep_what what = k->what;
	uint32_t dice;

	if (k->path[0] != '\0')
		file_log_unsynced(k->path, k->unsynced);
	/* The old one stays with the connections that have shown it.  While
	 * `keep` is set, nothing is asked for. */
	if (err == 0 && what == KEEP_CERT)
		trust_reload(a);
	e->keep = NULL;
	keep_free(k);
	if (err != 0 && what == KEEP_CERT) {
		enroll_fail(e, "store.write", CTL_FAIL,
		    "the new certificate cannot be written: ", err_str(err));
		return;
	}
	if (err != 0)
		log_warn(LOGC_TLS, 0,
		    "a pending enrolment is not kept over a restart: %s",
		    err_str(err));
	if (what != KEEP_CERT) {
		/* Who asked meanwhile could not be served. */
		if (!TAILQ_EMPTY(&e->waiters))
			begin(e);
		else
			rest(e);
		return;
	}
	pending_clear(&e->p);
	e->again_us = 0;
	e->failures = 0;
	e->by_device = false;
	e->class[0] = e->text[0] = '\0';
	e->state = "current";
	e->last_us = clock_wall_us();
	log_info(LOGC_TLS, 0,
	    "the owner's certificate is new subject=%s sha256=%s",
	    e->fresh.subject, e->fresh.sha256);
	/* One that is past its time when it comes would be asked for at once,
	 * and by every device. */
	if (due_us(e) == 0) {
		tls_random(&dice, sizeof(dice));
		e->again_us =
		    clock_mono_us() + enroll_delay_us(1, left_s(e), dice);
	}
	tell(e, CTL_OK);
	/* The first one makes another identity of us; and a registration that
	 * failed may have failed because of the old one. */
	if (!a->stopping)
		accounts_again(a->accounts, first);
	rest(e);
}

/* Has the worker write `data` (taken over) and remove the pending file. */
static int
keep_start(struct enroll *e, enum keep_what what, struct buf *data)
{
	const char *st = e->app->paths.state;
	struct keep *k = calloc(1, sizeof(*k));
	char *file = k != NULL && what == KEEP_PENDING ? k->path : NULL;
	int err = k == NULL ? ENOMEM : 0;

	if (err == 0) {
		k->what = what;
		k->enroll = e;
		buf_init_secret(&k->data, TLS_ISSUE_MAX);
		if (file == NULL)
			file = k->drop;
		err = path_join(file, PATH_MAX, st, "est-pending");
	}
	if (err == 0 && what == KEEP_CERT &&
	    (err = path_join(k->dir, sizeof(k->dir), st, "certs")) == 0)
		err = path_join(
		    k->path, sizeof(k->path), st, "certs/sipclient.pem");
	if (err == 0 && data != NULL) {
		k->data = *data;
		buf_init_secret(data, TLS_ISSUE_MAX);
	}
	if (err == 0)
		err = worker_run(e->app->worker, keep_job, on_kept, k);
	if (err == 0)
		e->keep = k;
	else
		keep_free(k);
	return err;
}

/* A request that is over without a certificate is not repeated. */
static void
pending_drop(struct enroll *e)
{
	bool kept = e->p.since_s != 0;

	pending_clear(&e->p);
	if (kept)
		ignore_err(keep_start(e, KEEP_NONE, NULL),
		    "it is dropped at the next start");
}

/* The certificate came: judged, then written. */
static void
on_issued(struct enroll *e, const struct prov_est_result *r)
{
	struct tls_issued i = { .p7 = r->p7.p,
		.p7_len = r->p7.n,
		.key = { buf_str(&e->p.key), e->p.key.n },
		.clock = wallclock_now(e->app) };
	char why[200] = "";
	struct buf pem;
	int err;

	buf_init_secret(&pem, TLS_ISSUE_MAX);
	err = tls_issued_check(&i, &pem, &e->fresh, why, sizeof(why));
	if (err == 0)
		err = keep_start(e, KEEP_CERT, &pem);
	buf_clear(&pem);
	if (err == 0)
		return;
	pending_drop(e);
	if (why[0] != '\0')
		enroll_fail(
		    e, "est.answer", CTL_TLS, "the certificate sent ", why);
	else
		enroll_fail(e, "memory", CTL_FAIL, "", err_str(err));
}

/* The CA wants time (RFC 7030 4.2.3). */
static void
on_pending(struct enroll *e, const struct prov_est_result *r)
{
	int64_t now = clock_wall_s();
	struct buf file;

	if (e->p.since_s == 0 || e->p.since_s > now)
		e->p.since_s = now;
	if (now - e->p.since_s > PENDING_MAX_S) {
		pending_drop(e);
		enroll_fail(e, r->class, CTL_TIMEOUT, "",
		    "the CA has not decided for 30 days: begun anew");
		return;
	}
	e->p.retry_s = now + r->retry_s;
	e->again_us = clock_mono_us() + r->retry_s * 1000000;
	e->failures = 0;
	e->state = "pending";
	e->last_us = clock_wall_us();
	(void)snprintf(e->class, sizeof(e->class), "%s", r->class);
	(void)snprintf(e->text, sizeof(e->text),
	    "%.400s; it is asked again in %lld s, with the same key", r->text,
	    (long long)r->retry_s);
	log_info(LOGC_TLS, 0, "enrolment pending: %s", e->text);
	buf_init_secret(&file, TLS_ISSUE_MAX);
	if (pending_print(&e->p, &file) == 0)
		ignore_err(keep_start(e, KEEP_PENDING, &file),
		    "it begins anew after a restart");
	buf_clear(&file);
	tell(e, CTL_TIMEOUT);
	rest(e);
}

/* The exit code of a failure (docs/STABILITY.md). */
static enum ctl_exit
exit_of(const struct prov_est_result *r)
{
	static const struct {
		const char *class;
		enum ctl_exit code;
	} v[] = { { "est.auth", CTL_AUTH }, { "est.refused", CTL_REFUSED },
		{ "est.answer", CTL_TLS }, { "hs.", CTL_TLS },
		{ "cert.", CTL_TLS }, { "mtls.", CTL_TLS },
		{ "trust.", CTL_TLS }, { "key.", CTL_TLS } };

	if (r->err == ETIMEDOUT)
		return CTL_TIMEOUT;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++)
		if (strncmp(r->class, v[i].class, strlen(v[i].class)) == 0)
			return v[i].code;
	return CTL_FAIL;
}

/* What the server said of the request. */
static void
answered(struct enroll *e, const struct prov_est_result *r)
{
	bool renewing;

	switch (r->state) {
	case PROV_EST_DONE:
		on_issued(e, r);
		return;
	case PROV_EST_PENDING:
		on_pending(e, r);
		return;
	default:
		break;
	}
	renewing = e->p.op == PROV_EST_REENROLL;
	/* A server that is overloaded, or wants another password, may still
	 * know the request; one that says no does not. */
	if (e->p.since_s == 0 ||
	    (r->status >= 200 && r->status < 500 && r->status != 401 &&
		r->status != 429))
		pending_drop(e);
	/* A server that does not take the old one (it has ended, by its clock;
	 * another CA issued it) may take the device's (RFC 7030 3.3.2). */
	if (renewing && strncmp(r->class, "mtls.", 5) == 0)
		e->by_device = true;
	enroll_fail(e, r->class, exit_of(r), "", r->text);
}

/* prov_est_cb. */
static void
on_est(const struct prov_est_result *r, void *arg)
{
	struct enroll *e = arg;

	answered(e, r);
	/* Last: a clock that becomes good looks what is due. */
	wallclock_heard(e->app, r->verdict != NULL && r->verdict->peer_verified,
	    r->date, server_of(e));
}

/* ---- asking ---- */

static int
policy_of(const struct enroll *e, bool renew, struct tls_policy *out, char *why,
    size_t why_size)
{
	struct tls_clock c = wallclock_now(e->app);
	struct tls_settings s;
	int err;

	err = settings_tls(e->app, TLS_USE_EST, NULL, &s, why, why_size);
	if (err != 0)
		return err;
	s.sip_owner_present = renew;
	return tls_policy_decide(
	    out, TLS_USE_EST, TLS_CLIENT, server_of(e), &s, &c, why, why_size);
}

/* Sends one request of any kind. */
static int
ask(struct enroll *e, struct prov_est **slot, enum prov_est_op op,
    prov_est_cb *cb, char *why, size_t why_size)
{
	struct app *a = e->app;
	struct tls_policy policy;
	char agent[160];
	struct prov_est_conf c = {
		.loop = a->loop,
		.dns = a->dns,
		.tls = a->tls,
		.policy = &policy,
		.server = server_of(e),
		.label = prov_get(a->store, "est.label"),
		.op = op,
		.csr = { (const char *)e->p.csr.p, e->p.csr.n },
		.user = prov_get(a->store, "est.user"),
		.password = prov_get(a->store, "est.pwd"),
		.user_agent = agent,
	};
	int err;

	(void)snprintf(agent, sizeof(agent), "bellbird/%s %s %s",
	    PACKAGE_VERSION, a->model, a->mac);
	err = policy_of(e, op == PROV_EST_REENROLL, &policy, why, why_size);
	if (err != 0)
		return err;
	return prov_est_start(slot, &c, cb, e, why, why_size);
}

/* Makes key and request for what is to be asked now. */
static int
request_make(struct enroll *e, char *why, size_t why_size)
{
	const struct app *a = e->app;
	const char *cn = prov_get(a->store, "est.cn");
	const char *san = prov_get(a->store, "est.san");
	char dflt[64];
	struct tls_request q = { .again = TLS_ID_NONE,
		.cn = cn[0] != '\0' ? cn : a->mac,
		.sans = san[0] != '\0' ? san : dflt };
	struct tls_cert_brief b;
	int err;

	(void)snprintf(dflt, sizeof(dflt), "URI:urn:dev:mac:%s", a->mac);
	pending_clear(&e->p);
	e->p.op = PROV_EST_ENROLL;
	/* One that has ended proves nothing: the device asks anew. */
	if (owner_get(e, &b)) {
		memcpy(e->p.renews, b.sha256, sizeof(e->p.renews));
		if (!e->by_device && b.not_after_s > certain_s(e)) {
			e->p.op = PROV_EST_REENROLL;
			q.again = TLS_ID_SIP_OWNER;
		}
	}
	place_of(e, e->p.server, sizeof(e->p.server));
	err = tls_request_make(a->tls, &q, &e->p.csr, &e->p.key);
	if (err == EINVAL)
		(void)snprintf(why, why_size,
		    "est.cn = %.100s and est.san = %.200s are no names of a "
		    "certificate (a CN has at most 64 characters; names are "
		    "DNS:, URI:, IP: or email: and a value)",
		    esc(q.cn), esc(san));
	return err;
}

/* Does the pending request still fit what is there and what is set? */
static bool
pending_fits(const struct enroll *e)
{
	struct tls_cert_brief b;
	char place[sizeof(e->p.server)];

	place_of(e, place, sizeof(place));
	if (e->p.csr.n == 0 || strcmp(e->p.server, place) != 0)
		return false;
	if (!owner_get(e, &b))
		return e->p.renews[0] == '\0';
	return strcmp(e->p.renews, b.sha256) == 0;
}

/* Begins an attempt; its end is told. */
static void
begin(struct enroll *e)
{
	char why[WHY_SIZE] = "";
	int err = 0;

	timer_stop(&e->timer);
	e->again_us = 0;
	if (e->p.since_s == 0 || !pending_fits(e))
		err = request_make(e, why, sizeof(why));
	if (err == 0)
		err = ask(e, &e->est, e->p.op, on_est, why, sizeof(why));
	if (err == 0) {
		e->state = "running";
		log_info(LOGC_TLS, 0, "enrolment: asking %s op=%s",
		    esc(server_of(e)),
		    e->p.op == PROV_EST_REENROLL ? "simplereenroll"
						 : "simpleenroll");
		return;
	}
	enroll_fail(e, "tls.policy", CTL_CONFIG, "",
	    why[0] != '\0' ? why : err_str(err));
}

/* timer_cb. */
static void
on_timer(void *arg)
{
	enroll_check(((struct enroll *)arg)->app);
}

void
enroll_check(struct app *a)
{
	struct enroll *e = a->enroll;

	if (e == NULL || e->est != NULL || e->keep != NULL || a->stopping)
		return;
	if (server_of(e)[0] == '\0') {
		timer_stop(&e->timer);
		e->state = "off";
		e->class[0] = e->text[0] = '\0';
		return;
	}
	if (due_us(e) == 0) {
		begin(e);
		return;
	}
	if (e->again_us == 0)
		e->state = "current";
	rest(e);
}

void
enroll_changed(struct app *a)
{
	struct enroll *e = a->enroll;

	if (e == NULL)
		return;
	/* What failed may work now; who was told to come later, does. */
	e->failures = 0;
	e->by_device = false;
	if (e->p.since_s == 0 || !pending_fits(e)) {
		e->again_us = 0;
		e->class[0] = e->text[0] = '\0';
	}
	enroll_check(a);
}

/* ---- the verb ---- */

/* Fails the command if there is nobody to ask. */
static bool
has_no_server(const struct enroll *e, struct ctl_req *r)
{
	struct jv *o;

	if (server_of(e)[0] != '\0')
		return false;
	o = jv_obj();
	jv_set_str(o, "class", "est.no_server");
	ctl_fail(
	    r, CTL_CONFIG, "there is no EST server to ask: set est.server", o);
	return true;
}

void
enroll_ask(struct enroll *e, struct ctl_req *r, bool now)
{
	struct waiter *w;
	struct jv *o;

	if (has_no_server(e, r))
		return;
	if (in_token(e)) {
		o = jv_obj();
		jv_set_str(o, "class", "key.token");
		ctl_fail(r, CTL_FAIL,
		    "the owner's key is in a token: a key made here would take "
		    "its place; have the token's key certified, and write the "
		    "certificate into sipclient.pem",
		    o);
		return;
	}
	if (e->est == NULL && e->keep == NULL && !now && due_us(e) > 0) {
		/* Nothing is due: how it stands. */
		if (e->class[0] == '\0')
			ctl_reply(r, enroll_json(e));
		else
			ctl_fail(r, e->code, e->text, enroll_json(e));
		return;
	}
	if ((w = calloc(1, sizeof(*w))) == NULL) {
		ctl_fail(r, CTL_FAIL, err_str(ENOMEM), NULL);
		return;
	}
	w->req = r;
	TAILQ_INSERT_TAIL(&e->waiters, w, link);
	ctl_req_on_gone(r, on_gone, w);
	if (e->est == NULL && e->keep == NULL)
		begin(e);
}

/* prov_est_cb: the CA's certificates, to be looked at; they are not trusted
 * because of it. */
static void
on_cacerts(const struct prov_est_result *r, void *arg)
{
	struct enroll *e = arg;
	struct ctl_req *req = e->ca_waiter.req;
	struct tls_cert_brief *b;
	struct jv *o = jv_obj(), *arr = jv_arr(), *c;
	struct buf pem;
	size_t num = 0;
	int err = E_PARSE;

	e->ca_waiter.req = NULL;
	buf_init(&pem, TLS_ISSUE_MAX);
	b = calloc(CACERTS_MAX, sizeof(*b));
	jv_set_str(o, "server", server_of(e));
	jv_set_str(o, "class", r->class);
	if (r->state == PROV_EST_DONE && b != NULL)
		err = tls_p7_read(r->p7.p, r->p7.n, &pem, b, CACERTS_MAX, &num);
	for (size_t i = 0; i < num; i++) {
		c = jv_obj();
		jv_set_str(c, "subject", b[i].subject);
		jv_set_str(c, "issuer", b[i].issuer);
		set_time(c, "not_before", b[i].not_before_s);
		set_time(c, "not_after", b[i].not_after_s);
		jv_set_str(c, "sha256", b[i].sha256);
		jv_add(arr, c);
	}
	jv_set(o, "certificates", arr);
	if (req == NULL) {
		jv_free(o);
	} else if (r->state != PROV_EST_DONE) {
		ctl_fail(req, exit_of(r), r->text, o);
	} else if (err != 0) {
		jv_set_str(o, "class", "est.answer");
		ctl_fail(req, CTL_TLS,
		    "what the EST server sent is no PKCS#7 with certificates",
		    o);
	} else {
		jv_set_str(o, "pem", buf_str(&pem));
		ctl_reply(req, o);
	}
	buf_clear(&pem);
	free(b);
}

void
enroll_cacerts(struct enroll *e, struct ctl_req *r)
{
	char why[WHY_SIZE] = "";
	int err;

	if (has_no_server(e, r))
		return;
	if (e->ca != NULL) {
		ctl_fail(r, CTL_FAIL,
		    "somebody is asking for them already; try again", NULL);
		return;
	}
	err = ask(e, &e->ca, PROV_EST_CACERTS, on_cacerts, why, sizeof(why));
	if (err != 0) {
		ctl_fail(
		    r, CTL_CONFIG, why[0] != '\0' ? why : err_str(err), NULL);
		return;
	}
	e->ca_waiter.req = r;
	ctl_req_on_gone(r, on_gone, &e->ca_waiter);
}

/* ---- life ---- */

int
enroll_new(struct app *a)
{
	struct enroll *e = calloc(1, sizeof(*e));
	char path[PATH_MAX];
	int err;

	if (e == NULL)
		return ENOMEM;
	e->app = a;
	e->state = "off";
	TAILQ_INIT(&e->waiters);
	pending_init(&e->p);
	a->enroll = e;
	if ((err = path_join(
		 path, sizeof(path), a->paths.state, "est-pending")) != 0)
		return err;
	err = pending_read(&e->p, path);
	if (err != 0 && err != ENOENT)
		log_warn(LOGC_TLS, 0,
		    "%s: the pending enrolment is lost, another one begins: %s",
		    esc(path), err_str(err));
	return err == ENOMEM ? err : 0;
}

void
enroll_start(struct app *a)
{
	struct enroll *e = a->enroll;
	int64_t wait_s;

	if (e->p.since_s != 0 && !pending_fits(e)) {
		pending_drop(e);
	} else if (e->p.since_s != 0) {
		wait_s = e->p.retry_s - clock_wall_s();
		/* A clock that was set meanwhile is no reason to wait. */
		if (wait_s < 0 || wait_s > PENDING_MAX_S)
			wait_s = 0;
		e->again_us = clock_mono_us() + wait_s * 1000000;
		e->state = "pending";
		(void)snprintf(e->class, sizeof(e->class), "%s", "est.pending");
		(void)snprintf(e->text, sizeof(e->text),
		    "the EST server had not decided before the restart");
	}
	enroll_check(a);
}

void
enroll_stop(struct enroll *e)
{
	struct waiter *w;

	if (e == NULL)
		return;
	timer_stop(&e->timer);
	prov_est_stop(&e->est);
	prov_est_stop(&e->ca);
	if (e->ca_waiter.req != NULL)
		ctl_fail(
		    e->ca_waiter.req, CTL_FAIL, "the endpoint stops", NULL);
	e->ca_waiter.req = NULL;
	while ((w = TAILQ_FIRST(&e->waiters)) != NULL) {
		TAILQ_REMOVE(&e->waiters, w, link);
		if (w->req != NULL)
			ctl_fail(w->req, CTL_FAIL, "the endpoint stops", NULL);
		free(w);
	}
}

void
enroll_free(struct enroll *e)
{
	if (e == NULL)
		return;
	keep_free(e->keep); /* its done() did not run */
	pending_clear(&e->p);
	free(e);
}
