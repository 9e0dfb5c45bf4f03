/* SPDX-License-Identifier: ISC */
/* The endpoint: built bottom-up, taken down top-down, stopped in order. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bellbird/file.h"
#include "bellbird/sip_refer.h"
#include "device.h"
#include "load.h"

enum {
	/* All is over 3 s after TERM; what a peer does not answer waits
	 * no longer than this for it. */
	STOP_US = 2500000
};

void
app_event(struct app *a, const char *event, struct jv *fields)
{
	if (a->ctl != NULL)
		ctl_event(a->ctl, event, fields);
	else
		jv_free(fields);
}

/* ---- stopping ---- */

static void
on_stopped(void *arg)
{
	struct app *a = arg;

	loop_stop(a->loop);
}

void
app_stop_check(struct app *a)
{
	if (!a->stopping)
		accounts_settle(a->accounts);
	if (!a->stopping || ua_num_calls(a->ua) != 0)
		return;
	notify_quiet(a->notify);
	accounts_unregister(a->accounts);
	if (accounts_are_gone(a->accounts))
		loop_defer(a->loop, &a->stopped, on_stopped, a);
}

void
app_stop(struct app *a, int exit_code)
{
	int err;

	if (a->stopping)
		return;
	a->stopping = true;
	a->exit_code = exit_code;
	log_info(LOGC_APP, 0, "stopping: calls end, the accounts unregister");
	guard_notify("STOPPING=1");
	err = timer_start(&a->stop_timer, a->loop, STOP_US, on_stopped, a);
	if (err != 0)
		loop_stop(a->loop);
	ua_hangup_all(a->ua);
	app_stop_check(a);
}

static void
on_term(void *arg)
{
	app_stop(arg, CTL_OK);
}

/* ---- changes of settings ---- */

void
app_set_level(struct app *a)
{
	const char *level = prov_get(a->store, "log.level");

	if (!a->log_given && log_set_spec(level) != 0)
		log_warn(LOGC_APP, 0, "log.level = %s is unknown", esc(level));
}

/* Keeps SIP messages in as much memory as is set; what is kept stays unless
 * that changed. */
static void
set_trace(struct app *a)
{
	int64_t kib = prov_get_int(a->store, "sip.trace.keep");

	if (kib != a->trace_kib)
		sip_stack_keep(a->sip, (size_t)kib * 1024);
	a->trace_kib = kib;
}

/* What peers may take of us. */
static void
limits_fill(const struct app *a, struct sip_stack_conf *c)
{
	const struct prov_store *s = a->store;

	c->max_calls = ua_max_calls(a->ua);
	c->max_txns = (unsigned int)prov_get_int(s, "sip.txn.max");
	c->max_txns_peer = (unsigned int)prov_get_int(s, "sip.txn.peer");
	c->ring_bytes = (size_t)prov_get_int(s, "sip.txn.ring") * 1024;
}

void
app_apply(struct app *a, unsigned int scopes)
{
	struct sip_stack_conf limits = { .loop = a->loop };

	if (scopes & PROV_S_LIVE) {
		app_set_level(a);
		set_trace(a);
		limits_fill(a, &limits);
		sip_stack_set_limits(a->sip, &limits);
		app_set_call_rules(a);
		wallclock_check(a); /* clock.trusted */
	}
	if (scopes & (PROV_S_LIVE | PROV_S_REREGISTER))
		app_set_allow(a);
	if (scopes & PROV_S_REREGISTER) {
		sip_stack_set_dscp(
		    a->sip, (int)prov_get_int(a->store, "net.dscp.sip"));
		trust_check(a); /* sip.tls.trust */
	}
}

/* Keeps the names of settings that wait for a restart, for the status. */
static void
note_restart(struct app *a, const char *const *keys, size_t num_keys)
{
	for (size_t i = 0; i < num_keys; i++) {
		const struct prov_key *k = prov_key_find(slice_of(keys[i]));

		if (k == NULL || (k->scope & PROV_S_RESTART) == 0)
			continue;
		log_warn(
		    LOGC_APP, 0, "%s counts only after a restart", keys[i]);
		if (a->restart_keys == NULL)
			a->restart_keys = jv_obj();
		jv_set_bool(a->restart_keys, keys[i], true);
	}
}

/* prov_change_cb. */
static void
on_change(
    const char *const *keys, size_t num_keys, unsigned int scopes, void *arg)
{
	static const struct {
		unsigned int bit;
		const char *name;
	} names[] = {
		{ PROV_S_LIVE, "live" },
		{ PROV_S_REREGISTER, "re-register" },
		{ PROV_S_AUDIO, "restart audio" },
		{ PROV_S_RESTART, "restart" },
	};
	struct app *a = arg;
	struct jv *f = jv_obj(), *arr = jv_arr();
	bool est = false;

	for (size_t i = 0; i < num_keys; i++) {
		jv_add(arr, jv_str(keys[i]));
		est |= strncmp(keys[i], "est.", 4) == 0;
	}
	jv_set(f, "keys", arr);
	arr = jv_arr();
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (scopes & names[i].bit)
			jv_add(arr, jv_str(names[i].name));
	jv_set(f, "scopes", arr);
	app_event(a, "config.changed", f);
	note_restart(a, keys, num_keys);
	app_apply(a, scopes);
	ua_reload(a->ua);
	/* A call that is up keeps its flow until it ends. */
	if ((scopes & PROV_S_REREGISTER) && !a->stopping)
		accounts_changed(a->accounts, keys, num_keys);
	if (est)
		enroll_changed(a);
}

/* prov_done_cb of a HUP. */
static void
on_reloaded(const struct prov_outcome *o, void *arg)
{
	struct app *a = arg;

	if (o->err == ECANCELED)
		return; /* the endpoint ends */
	a->conf_refused = o->err != 0;
	if (a->conf_refused)
		log_err(LOGC_APP, 0,
		    "the settings could not be reloaded, the old ones stay");
	app_log_problems(o->problems);
	trust_refresh(a);
}

/* HUP: files that an operator may have edited are read again. */
static void
on_hup(void *arg)
{
	struct app *a = arg;
	int err;

	log_info(LOGC_APP, 0, "reloading settings, trust and identities");
	if ((err = prov_reload_start(a->store, on_reloaded, a)) != 0)
		log_err(LOGC_APP, 0, "the settings are not reloaded: %s",
		    err_str(err));
}

void
app_log_problems(const struct prov_problems *problems)
{
	for (size_t i = 0; i < problems->n; i++) {
		const struct prov_problem *p = &problems->v[i];

		log_line(p->fatal ? LOGL_ERR : LOGL_WARN, LOGC_PROV, 0,
		    "%s:%u:%u: %s", p->file, p->line, p->column, p->text);
	}
	if (problems->dropped != 0)
		log_warn(LOGC_PROV, 0, "and %zu further problems",
		    problems->dropped);
}

/* ---- observers ---- */

/* tls_verdict_cb: each connection's record goes to the event stream. */
static void
on_verdict(const struct tls_verdict *v, void *arg)
{
	struct app *a = arg;

	app_event(a, "tls.verdict", tls_verdict_json(v));
}

/* tls_clock_cb: a peer is judged by what is known of the time then. */
static void
on_clock(struct tls_clock *out, void *arg)
{
	*out = wallclock_now(arg);
}

/* log_sink_fn: warnings and errors are events too. */
static void
on_log(enum log_level lv, enum log_cat cat, uint64_t id, const char *line,
    void *arg)
{
	struct jv *f;

	(void)id;
	if (lv > LOGL_WARN || (f = jv_obj()) == NULL)
		return;
	jv_set_str(f, "level", log_level_name(lv));
	jv_set_str(f, "category", log_cat_name(cat));
	jv_set_str(f, "line", line);
	app_event(arg, "log", f);
}

/* ---- building ---- */

int
app_open_tls(struct app *a)
{
	char trusted[PATH_MAX], siptrusted[PATH_MAX], owner[PATH_MAX];
	char server[PATH_MAX];
	struct tls_env_conf c = {
		.cache_dir = a->paths.state,
		.trusted_dir = trusted,
		.siptrusted_file = siptrusted,
		.identity_dir = a->paths.identity,
		.sip_owner_file = owner,
		.server_file = server,
		.pkcs11_module = prov_get(a->store, "tls.pkcs11.module"),
		.pkcs11_server = prov_get(a->store, "tls.pkcs11.server"),
	};
	const char *st = a->paths.state;
	int err;

	if ((err = path_join(trusted, sizeof(trusted), st, "certs/trusted")) ||
	    (err = path_join(
		 siptrusted, sizeof(siptrusted), st, "certs/siptrusted.pem")) ||
	    (err = path_join(
		 owner, sizeof(owner), st, "certs/sipclient.pem")) ||
	    (err = path_join(server, sizeof(server), st, "certs/server.pem")))
		return err;
	if (c.pkcs11_module[0] == '\0')
		c.pkcs11_module = BELLBIRD_PKCS11_MODULE;
	if ((err = tls_env_new(&a->tls, a->loop, &c)) != 0)
		return err;
	tls_env_on_verdict(a->tls, on_verdict, a);
	tls_env_on_clock(a->tls, on_clock, a);
	return 0;
}

/* sip.refuse as sipcore knows it. */
static enum sip_refuse
refuse_of(const char *word)
{
	if (strcmp(word, "drop") == 0)
		return SIPC_REFUSE_DROP;
	return strcmp(word, "answer") == 0 ? SIPC_REFUSE_ANSWER
					   : SIPC_REFUSE_AUTO;
}

void
app_set_allow(struct app *a)
{
	const char *list = prov_get(a->store, "sip.allow");
	const char *transfer = prov_get(a->store, "sip.transfer.accept");
	char why[WHY_SIZE];

	if (sip_stack_set_allow(a->sip, list, why, sizeof(why)) != 0)
		log_err(LOGC_SIP, 0, "sip.allow: %s; the old list stays", why);
	sip_stack_set_refuse(
	    a->sip, refuse_of(prov_get(a->store, "sip.refuse")));
	sip_stack_allow_clear(
	    a->sip, prov_get_bool(a->store, "sip.transp.clear"));
	sip_stack_set_replaces(a->sip,
	    strcmp(transfer, "any") == 0         ? SIP_REPLACES_ANY
		: strcmp(transfer, "never") == 0 ? SIP_REPLACES_NEVER
						 : SIP_REPLACES_OWN);
}

/* One of sip.listen.udp, .tcp, .tls; off where it is empty. */
static int
listen_on(struct app *a, const char *key, enum sip_transport t)
{
	const char *v = prov_get(a->store, key);
	struct tls_policy policy;
	struct addr local;
	char why[WHY_SIZE] = "";
	int err = 0;

	if (v[0] == '\0')
		return 0;
	if (t == SIPC_TLS)
		err = settings_policy(a, TLS_USE_SIP, TLS_SERVER, NULL, NULL,
		    &policy, why, sizeof(why));
	if (err == 0)
		err = addr_parse(
		    &local, slice_of(v), t == SIPC_TLS ? 5061 : 5060);
	if (err == 0)
		err = sip_stack_listen(
		    a->sip, t, &local, t == SIPC_TLS ? &policy : NULL);
	if (err != 0)
		log_err(LOGC_SIP, 0, "%s = %s: cannot listen: %s", key, esc(v),
		    why[0] != '\0' ? why : err_str(err));
	return err;
}

/* sip_req_cb. */
static bool
on_request(struct sip_req *req, void *arg)
{
	const struct app *a = arg;

	if (a->hooks != NULL && a->hooks->request != NULL &&
	    a->hooks->request(req, a->hooks->arg))
		return true;
	return notify_request(a->notify, req);
}

static int
build_sip(struct app *a)
{
	char agent[96];
	struct sip_stack_conf c = {
		.loop = a->loop,
		.tls = a->tls,
		.dns = a->dns,
		.user_agent = agent,
		.dscp = (int)prov_get_int(a->store, "net.dscp.sip"),
		.on_call = ua_on_call,
		.on_req = on_request,
		.on_tls_domain = domains_learnt,
		.arg = a,
	};
	int err;

	limits_fill(a, &c);
	(void)snprintf(agent, sizeof(agent), "bellbird/%s", PACKAGE_VERSION);
	if ((err = sip_stack_new(&a->sip, &c)) != 0)
		return err;
	app_set_allow(a);
	app_set_call_rules(a);
	set_trace(a);
	if ((err = domains_open(a)) != 0)
		return err;
	if ((err = listen_on(a, "sip.listen.udp", SIPC_UDP)) != 0 ||
	    (err = listen_on(a, "sip.listen.tcp", SIPC_TCP)) != 0)
		return err;
	return listen_on(a, "sip.listen.tls", SIPC_TLS);
}

/* The floor of the parts that need no settings. */
static int
build_base(struct app *a)
{
	int err;

	if ((err = loop_new(&a->loop)) != 0 ||
	    (err = worker_new(&a->worker, a->loop)) != 0 ||
	    (err = loop_on_signal(a->loop, SIGTERM, on_term, a)) != 0 ||
	    (err = loop_on_signal(a->loop, SIGINT, on_term, a)) != 0)
		return err;
	return loop_on_signal(a->loop, SIGHUP, on_hup, a);
}

static int
build_rest(struct app *a)
{
	const char *servers = prov_get(a->store, "net.dns.servers");
	int err;

	if ((err = app_open_tls(a)) != 0)
		return err;
	drop_look(a);
	device_find(a->store, a->tls, a->model, a->mac);
	prov_store_set_mac(a->store, a->mac);
	err = dns_new(&a->dns, a->loop, servers[0] != '\0' ? servers : NULL);
	if (err != 0 || (err = media_init(a->loop, a->worker)) != 0 ||
	    (err = ua_new(&a->ua, a)) != 0 ||
	    (err = accounts_new(&a->accounts, a)) != 0 ||
	    (err = provision_new(&a->provision, a)) != 0 ||
	    (err = notify_new(a)) != 0 || (err = enroll_new(a)) != 0 ||
	    (err = capture_new(a)) != 0 || (err = build_sip(a)) != 0)
		return err;
	return ctl_server_open(&a->ctl, a->loop, a->paths.socket, "bellbird",
	    verbs_table, verbs_count, a);
}

/* Top-down; what was never built is NULL. */
void
app_clear(struct app *a)
{
	int err;

	log_add_tap(NULL, NULL);
	timer_stop(&a->stop_timer);
	watch_free(a->watch);
	loop_undefer(&a->stopped);
	provision_free(a->provision);
	enroll_stop(a->enroll);
	capture_stop(a->capture);
	notify_free(a->notify);
	ua_free(a->ua);
	accounts_free(a->accounts);
	sip_stack_free(a->sip);
	ctl_server_free(a->ctl);
	dns_free(a->dns);
	tls_env_free(a->tls);
	worker_free(a->worker); /* first: it may be writing settings */
	domains_close(a);
	wallclock_free(a->clock);
	enroll_free(a->enroll);
	capture_free(a->capture);
	prov_store_free(a->store);
	media_exit(); /* finishes what the worker did not get to */
	loop_free(a->loop);
	jv_free(a->restart_keys);
	jv_free(a->expiry_told);
	jv_free(a->anchors);
	free(a->indexing);
	jv_free(a->trust_told);
	free(a->drop_told);
	if (a->reset && (err = reset_wipe(&a->paths)) != 0)
		log_err(LOGC_APP, 0, "the reset is incomplete: %s (%s)",
		    err_str(err), esc(a->paths.state));
	else if (a->reset)
		log_info(LOGC_APP, 0, "reset done state=%s kept=%s",
		    esc(a->paths.state), esc(a->paths.identity));
	if (a->state_lock >= 0)
		close(a->state_lock); /* the last: now another may write */
}

/* The lab opens what it adds. */
static int
begin_hooks(struct app *a)
{
	if (a->hooks == NULL || a->hooks->begin == NULL)
		return 0;
	return a->hooks->begin(a, a->hooks->arg);
}

/* First registration and first provisioning; READY to systemd. */
static void
begin(struct app *a)
{
	char why[WHY_SIZE] = "";
	struct jv *arr = jv_arr();
	int err;

	prov_on_change(a->store, on_change, a);
	log_add_tap(on_log, a);
	accounts_start(a->accounts);
	settings_warnings(a, arr);
	for (size_t i = 0; i < jv_len(arr); i++)
		log_warn(LOGC_APP, 0, "insecure by setting: %s",
		    jv_as_str(jv_at(arr, i)));
	jv_free(arr);
	expiry_load(a);
	trust_check(a);
	wallclock_start(a);
	watch_start(a);
	err = provision_start(a->provision, false, why, sizeof(why));
	if (err != 0)
		log_info(LOGC_PROV, 0, "no provisioning: %s",
		    why[0] != '\0' ? why : err_str(err));
	enroll_start(a);
	guard_notify("READY=1");
	log_info(LOGC_APP, 0, "running version=%s model=%s mac=%s socket=%s",
	    PACKAGE_VERSION, a->model, a->mac, a->paths.socket);
}

/* Opens the settings, builds the rest on them, runs, returns the exit code. */
static int
run(struct app *a, const struct jv *args)
{
	int err, code;

	code = app_open_store(&a->store, &a->paths, a, args, &a->conf_refused);
	if (code != CTL_OK)
		return code;
	app_set_level(a);
	if ((err = build_rest(a)) == 0 && (err = begin_hooks(a)) == 0) {
		begin(a);
		err = loop_run(a->loop);
	}
	if (err == 0)
		return a->exit_code;
	log_err(LOGC_APP, 0, "cannot run: %s (socket %s)", err_str(err),
	    a->paths.socket);
	return CTL_FAIL;
}

int
app_run(const struct jv *args)
{
	return app_main(args, NULL);
}

int
app_main(const struct jv *args, const struct app_hooks *hooks)
{
	struct app a = {
		.exit_code = CTL_OK, .hooks = hooks, .state_lock = -1
	};
	const char *spec = jv_get_str(args, "debug");
	char name[PATH_MAX];
	int err, code = CTL_FAIL;

	a.started_us = clock_mono_us();
	load_files_raise();
	if (guard_openssl(name, sizeof(name)) != 0)
		return ctl_error(false, CTL_FAIL,
		    "OpenSSL is mapped into this process and would clash with "
		    "BoringSSL; look at LD_PRELOAD and audio plugins",
		    NULL);
	a.log_given = spec != NULL;
	if (spec != NULL && log_set_spec(spec) != 0)
		return ctl_error(false, CTL_USAGE,
		    "-D: unknown level or "
		    "category; try -D debug or -D info,sip=trace",
		    NULL);
	if (jv_get_str(args, "conf") != NULL &&
	    access(jv_get_str(args, "conf"), R_OK) != 0) {
		log_err(LOGC_APP, 0, "cannot start: --conf %s: %s",
		    esc(jv_get_str(args, "conf")), err_str(errno));
		return CTL_CONFIG;
	}
	if ((err = paths_find(&a.paths, args)) == 0)
		err = paths_claim(&a.paths, &a.state_lock);
	if (err == EBUSY)
		log_err(LOGC_APP, 0,
		    "cannot start: another bellbird uses the state folder %s; "
		    "stop it, or give --state another folder",
		    a.paths.state);
	else if (err != 0 || (err = build_base(&a)) != 0)
		log_err(LOGC_APP, 0, "cannot start: %s (state folder %s)",
		    err_str(err), a.paths.state);
	else
		code = run(&a, args);
	if (hooks != NULL && hooks->end != NULL)
		hooks->end(hooks->arg);
	app_clear(&a);
	return code;
}
