/* SPDX-License-Identifier: ISC */
/* The status object: everything an operator may ask, as plain JSON.  Nothing
 * in it points at a live object. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bellbird/tls_verdict.h"
#include "internal.h"

/* Verdicts shown in a status; the rest is asked for by `tls last`. */
enum { VERDICTS_SHOWN = 8 };

struct verdict_list {
	struct jv *arr;
	size_t n;
};

/* tls_verdict_cb. */
static void
on_verdict(const struct tls_verdict *v, void *arg)
{
	struct verdict_list *l = arg;

	if (l->n++ < VERDICTS_SHOWN)
		jv_add(l->arr, tls_verdict_json(v));
}

static struct jv *
verdicts_json(const struct app *a)
{
	struct verdict_list l = { jv_arr(), 0 };

	tls_env_each_verdict(a->tls, on_verdict, &l);
	return l.arr;
}

/* What `tls last` is asked for. */
struct last {
	const char *peer; /* part of a name or address; NULL: all */
	struct jv *arr;
};

/* tls_verdict_cb. */
static void
on_last(const struct tls_verdict *v, void *arg)
{
	struct last *l = arg;
	char addr[ADDR_STR_MAX] = "";
	struct buf text;
	struct jv *o;

	if (addr_is_set(&v->remote))
		addr_print(&v->remote, addr);
	if (l->peer != NULL && strstr(v->host, l->peer) == NULL &&
	    strstr(addr, l->peer) == NULL)
		return;
	o = tls_verdict_json(v);
	buf_init(&text, 65536);
	if (tls_verdict_text(v, &text) == 0)
		jv_set_str(o, "record", buf_str(&text));
	buf_clear(&text);
	jv_add(l->arr, o);
}

struct jv *
snapshot_last(const struct app *a, const char *peer)
{
	struct last l = { peer, jv_arr() };

	tls_env_each_verdict(a->tls, on_last, &l);
	return l.arr;
}

/* "2026-11-24T13:37:54Z" for seconds since 1970. */
static void
set_time(struct jv *o, const char *key, int64_t s)
{
	char iso[32];

	clock_iso(iso, sizeof(iso), s * 1000000);
	jv_set_str(o, key, iso);
}

struct jv *
snapshot_cert(const struct tls_env *e, enum tls_identity id)
{
	struct tls_cert_brief b;
	struct jv *o = jv_obj();

	jv_set_str(o, "slot", tls_identity_name(id));
	jv_set_str(o, "error", tls_env_identity_error(e, id));
	if (tls_env_identity_brief(e, id, &b) != 0) {
		jv_set_bool(o, "installed", false);
		return o;
	}
	jv_set_bool(o, "installed", true);
	jv_set_str(o, "subject", b.subject);
	jv_set_str(o, "issuer", b.issuer);
	set_time(o, "not_before", b.not_before_s);
	set_time(o, "not_after", b.not_after_s);
	jv_set_str(o, "sha256", b.sha256);
	jv_set_str(o, "key", b.key);
	jv_set_str(o, "token", tls_env_identity_token(e, id));
	return o;
}

/* The device slot, and others that hold something or failed to. */
static struct jv *
certs_json(const struct app *a)
{
	static const enum tls_identity ids[] = { TLS_ID_FACTORY,
		TLS_ID_SIP_OWNER, TLS_ID_SERVER };
	struct jv *arr = jv_arr();

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		/* That there is no device certificate is to be seen. */
		if (ids[i] == TLS_ID_FACTORY ||
		    tls_env_has_identity(a->tls, ids[i]) ||
		    tls_env_identity_error(a->tls, ids[i])[0] != '\0')
			jv_add(arr, snapshot_cert(a->tls, ids[i]));
	return arr;
}

static struct jv *
audio_json(const struct app *a)
{
	const char *device = prov_get(a->store, "audio.device");
	struct jv *o = jv_obj();
	char shown[128] = "";

	if (media_device_check(device, shown, sizeof(shown)) != 0)
		log_debug(LOGC_AUDIO, 0, "audio device: %s", shown);
	jv_set_str(o, "configured", device);
	jv_set_str(o, "device", shown);
	return o;
}

/* jv_each_cb: a setting that waits for a restart. */
static void
add_restart(const char *key, struct jv *v, void *arg)
{
	char text[160];

	(void)v;
	(void)snprintf(text, sizeof(text),
	    "%.120s was changed and counts after a restart", key);
	jv_add(arg, jv_str(text));
}

static struct jv *
clock_json(const struct app *a)
{
	struct jv *o = jv_obj();

	set_time(o, "wall", clock_wall_s());
	set_time(o, "floor", clock_floor_s());
	jv_set_bool(o, "trusted", wallclock_is_good(a));
	return o;
}

static struct jv *
loop_json(const struct app *a)
{
	struct loop_stats st;
	struct jv *o = jv_obj();

	loop_get_stats(a->loop, &st);
	jv_set_int(o, "wakeups", (int64_t)st.wakeups);
	jv_set_int(o, "callbacks", (int64_t)st.callbacks);
	jv_set_int(o, "slow", (int64_t)st.slow);
	jv_set_num(o, "slowest_ms", (double)st.slowest_us / 1e3);
	jv_set_str(o, "slowest", st.slowest);
	jv_set_int(o, "timers", st.timers);
	return o;
}

/* What came in and went out, and what was refused (sip.allow). */
static struct jv *
sip_json(const struct app *a)
{
	struct sip_stack_stats st;
	struct jv *o = jv_obj();

	sip_stack_get_stats(a->sip, &st);
	jv_set_int(o, "received", (int64_t)st.rx_msgs);
	jv_set_int(o, "sent", (int64_t)st.tx_msgs);
	jv_set_int(o, "bad", (int64_t)st.rx_bad);
	jv_set_int(o, "refused", (int64_t)st.refused);
	jv_set_int(o, "transactions", st.txns);
	jv_set_int(o, "dialogs", st.dialogs);
	jv_set_int(o, "connections", st.flows);
	return o;
}

/* sip_listener_cb. */
static void
on_listener(enum sip_transport t, const struct addr *local, void *arg)
{
	struct jv *o = jv_obj();
	char s[ADDR_STR_MAX];

	addr_print(local, s);
	jv_set_str(o, "transport", sip_transport_name(t));
	jv_set_str(o, "address", s);
	jv_add(arg, o);
}

struct jv *
snapshot_take(const struct app *a, const struct jv *args)
{
	struct jv *o = jv_obj(), *arr;

	jv_set_str(o, "version", PACKAGE_VERSION);
	jv_set_str(o, "model", a->model);
	jv_set_str(o, "mac", a->mac);
	jv_set_int(o, "pid", getpid());
	jv_set_num(
	    o, "uptime_s", (double)(clock_mono_us() - a->started_us) / 1e6);
	jv_set(o, "accounts", accounts_json(a->accounts));
	ua_json(a->ua, jv_get_str(args, "after"), o);
	jv_set(o, "tls", verdicts_json(a));
	jv_set(o, "prov", provision_json(a->provision));
	jv_set(o, "certs", certs_json(a));
	jv_set(o, "enroll", enroll_json(a->enroll));
	jv_set(o, "capture", capture_json(a->capture));
	jv_set(o, "audio", audio_json(a));
	jv_set(o, "clock", clock_json(a));
	jv_set(o, "loop", loop_json(a));
	jv_set(o, "sip", sip_json(a));
	arr = jv_arr();
	sip_stack_each_listener(a->sip, on_listener, arr);
	jv_set(o, "listen", arr);
	arr = jv_arr();
	settings_warnings(a, arr);
	expiry_warnings(a, arr);
	trust_warnings(a, arr);
	enroll_warnings(a->enroll, arr);
	capture_warnings(a->capture, arr);
	if (a->drop_told != NULL)
		jv_add(arr, jv_str(a->drop_told));
	if (a->conf_refused)
		jv_add(arr,
		    jv_str("the settings file is refused (the log says "
			   "where): its last good copy is in force"));
	if (a->restart_keys != NULL)
		jv_each(a->restart_keys, add_restart, arr);
	jv_set(o, "warnings", arr);
	return o;
}
