/* SPDX-License-Identifier: ISC */
/* Runs of provisioning, one at a time; the last report is kept for whoever
 * asks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "internal.h"

/* A command that waits for the report. */
struct waiter {
	TAILQ_ENTRY(waiter) link;
	struct ctl_req *req; /* NULL: its client went away */
	struct provision *p; /* borrowed */
};

struct provision {
	struct app *app;      /* borrowed */
	struct prov_run *run; /* owned slot; NULL: nothing runs */
	struct jv *report;    /* owned; of the last run, or NULL */
	const char *state;    /* a literal of docs/STABILITY.md */
	char user_agent[160];
	TAILQ_HEAD(, waiter) waiters;
};

int
provision_new(struct provision **out, struct app *a)
{
	struct provision *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return ENOMEM;
	p->app = a;
	p->state = "never";
	TAILQ_INIT(&p->waiters);
	*out = p;
	return 0;
}

void
provision_free(struct provision *p)
{
	struct waiter *w;

	if (p == NULL)
		return;
	prov_run_stop(&p->run);
	while ((w = TAILQ_FIRST(&p->waiters)) != NULL) {
		TAILQ_REMOVE(&p->waiters, w, link);
		if (w->req != NULL)
			ctl_fail(w->req, CTL_FAIL, "the endpoint stops", NULL);
		free(w);
	}
	jv_free(p->report);
	free(p);
}

/* prov_policy_cb. */
static int
on_policy(const char *peer, struct tls_policy *out, void *arg)
{
	struct provision *p = arg;
	char why[WHY_SIZE] = "";
	int err;

	err = settings_policy(p->app, TLS_USE_PROV, TLS_CLIENT, NULL, peer, out,
	    why, sizeof(why));
	if (err != 0)
		log_err(LOGC_PROV, 0, "provisioning: %s", why);
	return err;
}

/* Replies to everyone who waits for this run. */
static void
reply_all(struct provision *p, int err, const char *text)
{
	struct waiter *w;

	while ((w = TAILQ_FIRST(&p->waiters)) != NULL) {
		TAILQ_REMOVE(&p->waiters, w, link);
		if (w->req != NULL && err == 0)
			ctl_reply(w->req, jv_ref(p->report));
		else if (w->req != NULL)
			ctl_fail(w->req, CTL_PROV, text, jv_ref(p->report));
		free(w);
	}
}

/* The event of a report: its outcome in a name. */
static const char *
event_of(const struct prov_report *r)
{
	if (r->err != 0)
		return "prov.refused";
	return r->applied ? "prov.applied" : "prov.fetched";
}

/* prov_run_cb. */
static void
on_report(const struct prov_report *r, void *arg)
{
	struct provision *p = arg;
	struct jv *f = jv_obj();

	wallclock_heard(p->app, r->verdict.peer_verified, r->date, r->server);
	jv_free(p->report);
	p->report = prov_report_json(r);
	if (r->err != 0)
		p->state = "failed";
	else
		p->state = r->applied ? "applied" : "unchanged";
	jv_set_str(f, "class", r->class);
	jv_set_str(f, "text", r->text);
	jv_set_str(f, "server", r->server);
	jv_set_int(f, "changed", (int64_t)r->num_changed);
	app_event(p->app, event_of(r), f);
	reply_all(p, r->err, r->text);
}

int
provision_start(struct provision *p, bool dry, char *why, size_t why_size)
{
	struct app *a = p->app;
	struct prov_run_conf c = {
		.loop = a->loop,
		.dns = a->dns,
		.tls = a->tls,
		.store = a->store,
		.policy = on_policy,
		.model = a->model,
		.mac = a->mac,
		.user_agent = p->user_agent,
		.dry = dry,
		.arg = p,
	};
	int err;

	if (p->run != NULL)
		return 0; /* one is on its way: its report serves all */
	(void)snprintf(p->user_agent, sizeof(p->user_agent),
	    "bellbird/%s %s %s", PACKAGE_VERSION, a->model, a->mac);
	err = prov_run_start(&p->run, &c, on_report, why, why_size);
	if (err == 0)
		p->state = "running";
	else if (err == E_PROV_DISABLED)
		p->state = "disabled";
	return err;
}

/* The client of a waiting command went away. */
static void
on_gone(struct ctl_req *r, void *arg)
{
	struct waiter *w = arg;

	(void)r;
	w->req = NULL;
}

void
provision_wait(struct provision *p, struct ctl_req *r)
{
	struct waiter *w = calloc(1, sizeof(*w));

	if (w == NULL) {
		ctl_fail(r, CTL_FAIL, err_str(ENOMEM), NULL);
		return;
	}
	w->req = r;
	w->p = p;
	TAILQ_INSERT_TAIL(&p->waiters, w, link);
	ctl_req_on_gone(r, on_gone, w);
}

bool
provision_is_running(const struct provision *p)
{
	return p->run != NULL;
}

struct jv *
provision_json(const struct provision *p)
{
	struct jv *o = jv_obj();

	jv_set_str(o, "state", p->state);
	jv_set(o, "report", p->report != NULL ? jv_ref(p->report) : jv_null());
	return o;
}
