/* SPDX-License-Identifier: ISC */
/* The commands of the control socket, one function each. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

/* {"key": value}, the small result of most commands. */
static struct jv *
one(const char *key, const char *value)
{
	struct jv *o = jv_obj();

	jv_set_str(o, key, value);
	return o;
}

static void
on_status(struct ctl_req *r, const struct jv *args, void *arg)
{
	ctl_reply(r, snapshot_take(arg, args));
}

/* Takes the descriptors in the order play, record, as far as announced. */
static void
take_files(struct ctl_req *r, const struct jv *args, struct ua_dial *d)
{
	size_t i = 0;

	d->play_fd = d->record_fd = -1;
	if (jv_get_bool(args, "play", false))
		d->play_fd = ctl_req_take_fd(r, i++);
	if (jv_get_bool(args, "record", false))
		d->record_fd = ctl_req_take_fd(r, i);
}

static void
on_call(struct ctl_req *r, const struct jv *args, void *arg)
{
	struct app *a = arg;
	struct ua_dial d = {
		.uri = jv_get_str(args, "uri"),
		.headers = jv_get_str(args, "headers"),
		.srtp = jv_get_str(args, "srtp"),
		.late = jv_get_bool(args, "late_offer", false),
		.account = jv_get_str(args, "account"),
	};
	char id[16], why[WHY_SIZE] = "";
	const struct account *ac;
	enum ctl_exit code;

	if (d.uri == NULL || d.uri[0] == '\0') {
		ctl_fail(r, CTL_USAGE, "call needs a SIP URI", NULL);
		return;
	}
	if (jv_get(args, "headers") != NULL && d.headers == NULL) {
		ctl_fail(r, CTL_USAGE,
		    "headers is one string of lines that end in CR LF", NULL);
		return;
	}
	take_files(r, args, &d);
	code = ua_dial(a->ua, &d, id, why, sizeof(why));
	if (code == CTL_OK) {
		ctl_reply(r, one("call", id));
		return;
	}
	ac = d.account != NULL ? accounts_find(a->accounts, d.account)
			       : accounts_caller(a->accounts);
	ctl_fail(r, code, why,
	    ac != NULL && (code == CTL_TLS || code == CTL_AUTH)
		? account_json(ac)
		: NULL);
}

static void
on_answer(struct ctl_req *r, const struct jv *args, void *arg)
{
	struct app *a = arg;
	char id[16], why[WHY_SIZE] = "";
	enum ctl_exit code;

	code = ua_answer(a->ua, jv_get_str(args, "call"), id, why, sizeof(why));
	if (code == CTL_OK)
		ctl_reply(r, one("call", id));
	else
		ctl_fail(r, code, why, NULL);
}

static void
on_hangup(struct ctl_req *r, const struct jv *args, void *arg)
{
	struct app *a = arg;
	struct jv *ids = jv_arr(), *o;

	if (ua_hangup(a->ua, jv_get_str(args, "call"), ids) != CTL_OK) {
		jv_free(ids);
		ctl_fail(r, CTL_FAIL, "there is no call with that id", NULL);
		return;
	}
	o = jv_obj();
	jv_set(o, "calls", ids);
	ctl_reply(r, o);
}

/* hold and resume. */
static void
change_hold(struct ctl_req *r, const struct jv *args, struct app *a, bool hold)
{
	char id[16], why[WHY_SIZE] = "";
	enum ctl_exit code;

	code = ua_hold(
	    a->ua, jv_get_str(args, "call"), hold, id, why, sizeof(why));
	if (code == CTL_OK)
		ctl_reply(r, one("call", id));
	else
		ctl_fail(r, code, why, NULL);
}

static void
on_hold(struct ctl_req *r, const struct jv *args, void *arg)
{
	change_hold(r, args, arg, true);
}

static void
on_resume(struct ctl_req *r, const struct jv *args, void *arg)
{
	change_hold(r, args, arg, false);
}

static void
on_dtmf(struct ctl_req *r, const struct jv *args, void *arg)
{
	struct app *a = arg;
	const char *digits = jv_get_str(args, "digits");
	char id[16], why[WHY_SIZE] = "dtmf needs digits";
	enum ctl_exit code = CTL_USAGE;

	if (digits != NULL)
		code = ua_dtmf(a->ua, jv_get_str(args, "call"), digits,
		    jv_get_str(args, "by"), id, why, sizeof(why));
	if (code == CTL_OK)
		ctl_reply(r, one("call", id));
	else
		ctl_fail(r, code, why, NULL);
}

static void
on_transfer(struct ctl_req *r, const struct jv *args, void *arg)
{
	struct app *a = arg;
	struct ua_transfer t = { .call = jv_get_str(args, "call"),
		.to = jv_get_str(args, "to"),
		.with = jv_get_str(args, "with"),
		.no_sub = jv_get_bool(args, "no-report", false) };
	char why[WHY_SIZE] = "";
	enum ctl_exit code = ua_transfer(a->ua, &t, r, why, sizeof(why));

	if (code != CTL_OK)
		ctl_fail(r, code, why, NULL);
}

static void
on_message(struct ctl_req *r, const struct jv *args, void *arg)
{
	struct app *a = arg;
	const char *to = jv_get_str(args, "to");
	const char *text = jv_get_str(args, "text");
	char why[WHY_SIZE] = "message needs an address and a text";
	enum ctl_exit code = CTL_USAGE;

	if (to != NULL && text != NULL)
		code = notify_send_text(a->notify, jv_get_str(args, "account"),
		    to, text, r, why, sizeof(why));
	if (code != CTL_OK)
		ctl_fail(r, code, why, NULL);
}

/* The `key` argument, or NULL after a usage error was sent. */
static const char *
need_key(struct ctl_req *r, const struct jv *args)
{
	const char *key = jv_get_str(args, "key");

	if (key == NULL || key[0] == '\0') {
		ctl_fail(
		    r, CTL_USAGE, "the name of a setting is missing", NULL);
		return NULL;
	}
	return key;
}

static void
on_explain(struct ctl_req *r, const struct jv *args, void *arg)
{
	struct app *a = arg;
	const char *key = need_key(r, args);
	char why[WHY_SIZE] = "";
	struct jv *o;

	if (key == NULL)
		return;
	o = jv_obj();
	if (prov_explain(a->store, key, o, why, sizeof(why)) == 0) {
		ctl_reply(r, o);
		return;
	}
	jv_free(o);
	ctl_fail(r, CTL_CONFIG, why, NULL);
}

static void
on_get(struct ctl_req *r, const struct jv *args, void *arg)
{
	struct app *a = arg;
	const char *key = need_key(r, args);
	char why[WHY_SIZE] = "";
	struct jv *all, *o;

	if (key == NULL)
		return;
	all = jv_obj();
	if (prov_explain(a->store, key, all, why, sizeof(why)) != 0) {
		jv_free(all);
		ctl_fail(r, CTL_CONFIG, why, NULL);
		return;
	}
	o = jv_obj();
	jv_set_str(o, "key", jv_get_str(all, "key"));
	jv_set_str(o, "value", jv_get_str(all, "value"));
	jv_free(all);
	ctl_reply(r, o);
}

/* A command that waits for the disk. */
struct waiter {
	struct ctl_req *req; /* NULL: its client went away */
	struct app *a;
	char key[128];
	bool set, restart;
};

/* The client of a waiting command went away: what it asked for is done. */
static void
on_gone(struct ctl_req *r, void *arg)
{
	struct waiter *w = arg;

	(void)r;
	w->req = NULL;
}

static struct waiter *
waiter_new(struct ctl_req *r, struct app *a)
{
	struct waiter *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	w->req = r;
	w->a = a;
	ctl_req_on_gone(r, on_gone, w);
	return w;
}

/* Says why, and ends the wait. */
static void
waiter_fail(struct waiter *w, int err, const char *why)
{
	enum ctl_exit code = CTL_FAIL;

	if (err == ENOENT || err == E_PROV_CONF)
		code = CTL_CONFIG;
	if (w->req != NULL)
		ctl_fail(
		    w->req, code, why[0] != '\0' ? why : err_str(err), NULL);
	free(w);
}

/* prov_done_cb: the setting is on disk and in force, or neither. */
static void
on_changed(const struct prov_outcome *out, void *arg)
{
	struct waiter *w = arg;
	struct jv *o;

	if (out->err != 0) {
		waiter_fail(w, out->err, out->why);
		return;
	}
	if (w->req != NULL) {
		o = one("key", w->key);
		if (w->set)
			jv_set_bool(o, "set", true);
		if (w->restart)
			jv_set_str(o, "counts", "after a restart");
		ctl_reply(w->req, o);
	}
	free(w);
}

/* set and unset of the local layer. */
static void
change(struct ctl_req *r, const struct jv *args, struct app *a, bool set)
{
	const char *key = need_key(r, args);
	const char *value = jv_get_str(args, "value");
	struct prov_set_conf c = { .key = key, .cb = on_changed };
	const struct prov_key *k;
	char why[WHY_SIZE] = "";
	struct waiter *w;
	struct jv *o;
	int err;

	if (key == NULL)
		return;
	k = prov_key_find(slice_of(key));
	if (set && k != NULL && (k->flags & PROV_F_SECRET) != 0 &&
	    jv_get_bool(args, "argv", false)) {
		ctl_fail(r, CTL_USAGE,
		    "others can read a secret on the command line: give - as "
		    "the value and the secret on standard input",
		    NULL);
		return;
	}
	if (!set && k == NULL) {
		o = jv_obj();
		ignore_err(prov_explain(a->store, key, o, why, sizeof(why)),
		    "it names the nearest key");
		jv_free(o);
		ctl_fail(r, CTL_CONFIG, why, NULL);
		return;
	}
	if (set && value == NULL) {
		ctl_fail(r, CTL_USAGE, "the value is missing", NULL);
		return;
	}
	c.value = set ? value : NULL;
	if ((w = waiter_new(r, a)) == NULL) {
		ctl_fail(r, CTL_FAIL, err_str(ENOMEM), NULL);
		return;
	}
	c.arg = w;
	w->set = set;
	w->restart = k != NULL && (k->scope & PROV_S_RESTART) != 0;
	if (str_copy(w->key, sizeof(w->key), key) != 0)
		err = ENOENT;
	else
		err = prov_set_start(a->store, &c, why, sizeof(why));
	if (err != 0)
		waiter_fail(w, err, why);
}

static void
on_set(struct ctl_req *r, const struct jv *args, void *arg)
{
	change(r, args, arg, true);
}

static void
on_unset(struct ctl_req *r, const struct jv *args, void *arg)
{
	change(r, args, arg, false);
}

static void
on_export(struct ctl_req *r, const struct jv *args, void *arg)
{
	/* Every key set in every layer fits many times over. */
	enum { EXPORT_MAX = 1 << 20 };
	struct app *a = arg;
	struct buf b;

	buf_init_secret(&b, EXPORT_MAX);
	if (prov_export(a->store, jv_get_bool(args, "secrets", false), &b) == 0)
		ctl_reply(r, one("text", buf_str(&b)));
	else
		ctl_fail(r, CTL_FAIL, err_str(ENOMEM), NULL);
	buf_clear(&b);
}

static void
on_tls_last(struct ctl_req *r, const struct jv *args, void *arg)
{
	struct jv *o = jv_obj();

	jv_set(o, "connections", snapshot_last(arg, jv_get_str(args, "peer")));
	ctl_reply(r, o);
}

static void
on_keylog(struct ctl_req *r, const struct jv *args, void *arg)
{
	struct app *a = arg;
	const char *peer = jv_get_str(args, "peer");
	const char *time = jv_get_str(args, "for");
	int64_t ms = (int64_t)TLS_KEYLOG_MAX_S * 1000;
	int fd = ctl_req_take_fd(r, 0), err;
	struct jv *o;

	if (jv_get_bool(args, "stop", false)) {
		if (fd >= 0)
			close(fd);
		o = one("ended", tls_env_keylog_peer(a->tls));
		tls_env_keylog_stop(a->tls);
		ctl_reply(r, o);
		return;
	}
	if (peer == NULL || fd < 0 ||
	    (time != NULL &&
		(str_duration_ms(slice_of(time), &ms) != 0 || ms < 1000 ||
		    ms > (int64_t)TLS_KEYLOG_MAX_S * 1000))) {
		if (fd >= 0)
			close(fd);
		ctl_fail(r, CTL_USAGE,
		    "tls keylog wants a peer, --out FILE, and --for 1s to 15m",
		    NULL);
		return;
	}
	err = tls_env_keylog_start(a->tls, peer, fd, (uint32_t)(ms / 1000));
	if (err != 0) {
		ctl_fail(r, CTL_FAIL,
		    err == EINVAL ? "--out: only a regular file will do"
				  : err_str(err),
		    NULL);
		return;
	}
	o = one("peer", peer);
	jv_set_int(o, "seconds", ms / 1000);
	ctl_reply(r, o);
}

static void
on_expiry(struct ctl_req *r, const struct jv *args, void *arg)
{
	struct jv *o = jv_obj();

	(void)args;
	jv_set(o, "certificates", expiry_list(arg));
	ctl_reply(r, o);
}

static void
on_enroll(struct ctl_req *r, const struct jv *args, void *arg)
{
	struct app *a = arg;

	if (jv_get_bool(args, "cacerts", false))
		enroll_cacerts(a->enroll, r);
	else
		enroll_ask(a->enroll, r, jv_get_bool(args, "now", false));
}

static void
on_prov_run(struct ctl_req *r, const struct jv *args, void *arg)
{
	struct app *a = arg;
	char why[WHY_SIZE] = "";
	int err;

	err = provision_start(
	    a->provision, jv_get_bool(args, "dry", false), why, sizeof(why));
	if (err == 0)
		provision_wait(a->provision, r);
	else
		ctl_fail(r, CTL_PROV, why[0] != '\0' ? why : err_str(err),
		    one("class",
			err == E_PROV_DISABLED ? "prov.disabled"
					       : "prov.no_server"));
}

static void
on_prov_status(struct ctl_req *r, const struct jv *args, void *arg)
{
	struct app *a = arg;

	(void)args;
	ctl_reply(r, provision_json(a->provision));
}

/* prov_done_cb. */
static void
on_reloaded(const struct prov_outcome *out, void *arg)
{
	const struct prov_problems *pr = out->problems;
	struct waiter *w = arg;

	if (out->err != ECANCELED) /* else the endpoint ends */
		trust_refresh(w->a);
	if (out->err != 0) {
		waiter_fail(w, out->err, pr->n != 0 ? pr->v[0].text : "");
		return;
	}
	if (w->req != NULL)
		ctl_reply(w->req, jv_obj());
	free(w);
}

static void
on_reload(struct ctl_req *r, const struct jv *args, void *arg)
{
	struct app *a = arg;
	struct waiter *w = waiter_new(r, a);
	int err;

	(void)args;
	if (w == NULL) {
		ctl_fail(r, CTL_FAIL, err_str(ENOMEM), NULL);
		return;
	}
	if ((err = prov_reload_start(a->store, on_reloaded, w)) != 0)
		waiter_fail(w, err, "");
}

static void
on_reset(struct ctl_req *r, const struct jv *args, void *arg)
{
	struct app *a = arg;
	char why[WHY_SIZE];
	struct jv *o;

	(void)args;
	if (reset_check(&a->paths, why, sizeof(why)) != 0) {
		ctl_fail(r, CTL_FAIL, why, NULL);
		return;
	}
	a->reset = true;
	log_warn(LOGC_APP, 0, "factory reset asked for on the control socket");
	o = one("reset", a->paths.state);
	jv_set_str(o, "kept", a->paths.identity);
	ctl_reply(r, o);
	app_stop(a, CTL_RESTART);
}

const struct ctl_cmd verbs_table[] = {
	{ "status", on_status },
	{ "call", on_call },
	{ "answer", on_answer },
	{ "hangup", on_hangup },
	{ "hold", on_hold },
	{ "resume", on_resume },
	{ "dtmf", on_dtmf },
	{ "transfer", on_transfer },
	{ "message", on_message },
	{ "config get", on_get },
	{ "config set", on_set },
	{ "config unset", on_unset },
	{ "config explain", on_explain },
	{ "config export", on_export },
	{ "tls last", on_tls_last },
	{ "tls keylog", on_keylog },
	{ "capture show", capture_on_show },
	{ "capture start", capture_on_start },
	{ "capture stop", capture_on_stop },
	{ "cert enroll", on_enroll },
	{ "cert expiry", on_expiry },
	{ "prov run", on_prov_run },
	{ "prov status", on_prov_status },
	{ "reload", on_reload },
	{ "reset", on_reset },
};
const size_t verbs_count = sizeof(verbs_table) / sizeof(verbs_table[0]);
