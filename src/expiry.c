/* SPDX-License-Identifier: ISC */
/* Certificates that end soon: our own, uploaded anchors, those of peers.  Told
 * at 30, 14, 7 and 1 days and at the end, once each, before calls fail. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellbird/file.h"
#include "bellbird/tls_cert.h"
#include "internal.h"

enum {
	S_PER_DAY = 86400,
	FILE_CERTS_MAX = 64, /* of one uploaded file */
	LIST_MAX = 256       /* certificates in all; more are not looked at */
};

/* Days before the end at which somebody hears of it; 0: it has ended. */
static const int steps[] = { 0, 1, 7, 14, 30 };
enum { NUM_STEPS = sizeof(steps) / sizeof(steps[0]) };

/* The list under way. */
struct list {
	const struct app *app;
	struct jv *arr;
	int64_t now_s;
};

/* Whole days until `not_after_s`; negative: it has passed. */
static int64_t
days_left(int64_t not_after_s, int64_t now_s)
{
	int64_t s = not_after_s - now_s;

	return s >= 0 ? s / S_PER_DAY : -((-s + S_PER_DAY - 1) / S_PER_DAY);
}

/* Adds one certificate; `where`: slot, file or peer. */
static void
add(struct list *l, const char *kind, const char *where, const char *subject,
    const char *sha256, int64_t not_after_s)
{
	struct jv *o;
	char iso[32];

	if (jv_len(l->arr) == LIST_MAX || (o = jv_obj()) == NULL)
		return;
	clock_iso(iso, sizeof(iso), not_after_s * 1000000);
	jv_set_str(o, "kind", kind);
	jv_set_str(o, "where", where);
	jv_set_str(o, "subject", subject);
	jv_set_str(o, "not_after", iso);
	jv_set_int(o, "days", days_left(not_after_s, l->now_s));
	jv_set_str(o, "sha256", sha256);
	jv_add(l->arr, o);
}

static void
add_brief(struct list *l, const char *kind, const char *where,
    const struct tls_cert_brief *b)
{
	add(l, kind, where, b->subject, b->sha256, b->not_after_s);
}

/* file_list_cb: the anchors of one uploaded file, for expiry_load(). */
static void
on_anchor_file(const char *path, const char *name, void *arg)
{
	struct tls_cert_brief *b =
	    calloc(FILE_CERTS_MAX, sizeof(struct tls_cert_brief));
	char sans[TLS_SANS_MAX][128], why[WHY_SIZE];
	size_t num = 0, num_sans = 0;
	struct jv *o;
	bool has_key;

	if (b != NULL && tls_trust_is_name(name) &&
	    tls_cert_read(path, b, FILE_CERTS_MAX, &num, sans, TLS_SANS_MAX,
		&num_sans, &has_key, why, sizeof(why)) != 0)
		num = 0;
	for (size_t i = 0; i < num && jv_len(arg) < LIST_MAX; i++) {
		o = jv_obj();
		jv_set_str(o, "where", name);
		jv_set_str(o, "subject", b[i].subject);
		jv_set_str(o, "sha256", b[i].sha256);
		jv_set_int(o, "end_s", b[i].not_after_s);
		jv_add(arg, o);
	}
	free(b);
}

void
expiry_load(struct app *a)
{
	struct jv *arr = jv_arr();
	char path[PATH_MAX];

	if (path_join(path, sizeof(path), a->paths.state, "certs/trusted") == 0)
		ignore_err(file_list(path, on_anchor_file, arr),
		    "what can be read is listed");
	if (path_join(path, sizeof(path), a->paths.state,
		"certs/siptrusted.pem") == 0)
		on_anchor_file(path, "siptrusted.pem", arr);
	jv_free(a->anchors);
	a->anchors = arr;
}

/* tls_verdict_cb: the newest leaf of each peer; newest come first. */
static void
on_peer(const struct tls_verdict *v, void *arg)
{
	struct list *l = arg;

	if (v->num_sent == 0 || v->policy.dir != TLS_CLIENT)
		return;
	for (size_t i = 0; i < jv_len(l->arr); i++) {
		const struct jv *o = jv_at(l->arr, i);

		if (strcmp(jv_get_str(o, "kind"), "peer") == 0 &&
		    strcmp(jv_get_str(o, "where"), v->host) == 0)
			return;
	}
	add_brief(l, "peer", v->host, &v->sent[0]);
}

struct jv *
expiry_list(const struct app *a)
{
	static const enum tls_identity ids[] = { TLS_ID_FACTORY,
		TLS_ID_SIP_OWNER, TLS_ID_SERVER };
	struct list l = { a, jv_arr(), clock_wall_s() };
	struct tls_cert_brief b;

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		if (tls_env_has_identity(a->tls, ids[i]) &&
		    tls_env_identity_brief(a->tls, ids[i], &b) == 0)
			add_brief(&l, "own", tls_identity_name(ids[i]), &b);
	for (size_t i = 0; i < jv_len(a->anchors); i++) {
		const struct jv *o = jv_at(a->anchors, i);

		add(&l, "anchor", jv_get_str(o, "where"),
		    jv_get_str(o, "subject"), jv_get_str(o, "sha256"),
		    jv_get_int(o, "end_s", 0));
	}
	tls_env_each_verdict(a->tls, on_peer, &l);
	return l.arr;
}

/* The step that was reached; NUM_STEPS: none yet. */
static size_t
step_of(int64_t days)
{
	for (size_t i = 0; i < NUM_STEPS; i++)
		if (days < steps[i] || (i > 0 && days == steps[i]))
			return i;
	return NUM_STEPS;
}

/* One sentence for the log and the status. */
static void
sentence(const struct jv *o, char *out, size_t size)
{
	long long days = jv_get_int(o, "days", 0);
	const char *kind = jv_get_str(o, "kind");
	const char *whose = strcmp(kind, "own") == 0 ? "our certificate"
	    : strcmp(kind, "anchor") == 0            ? "the trusted certificate"
					  : "the certificate of the server";

	if (days < 0)
		(void)snprintf(out, size, "%s %.100s (%.100s) has expired",
		    whose, jv_get_str(o, "where"), jv_get_str(o, "subject"));
	else
		(void)snprintf(out, size,
		    "%s %.100s (%.100s) expires in %lld day%s", whose,
		    jv_get_str(o, "where"), jv_get_str(o, "subject"), days,
		    days == 1 ? "" : "s");
}

void
expiry_warnings(const struct app *a, struct jv *out)
{
	struct jv *arr = expiry_list(a);
	char text[320];

	for (size_t i = 0; i < jv_len(arr); i++) {
		if (step_of(jv_get_int(jv_at(arr, i), "days", 0)) == NUM_STEPS)
			continue;
		sentence(jv_at(arr, i), text, sizeof(text));
		jv_add(out, jv_str(text));
	}
	jv_free(arr);
}

void
expiry_check(struct app *a)
{
	struct jv *arr = expiry_list(a), *e;
	char text[320];
	int64_t told;
	size_t step;

	if (a->expiry_told == NULL)
		a->expiry_told = jv_obj();
	for (size_t i = 0; i < jv_len(arr); i++) {
		const struct jv *o = jv_at(arr, i);
		const char *sum = jv_get_str(o, "sha256");

		step = step_of(jv_get_int(o, "days", 0));
		told = jv_get_int(a->expiry_told, sum, NUM_STEPS);
		if ((int64_t)step >= told)
			continue;
		jv_set_int(a->expiry_told, sum, (int64_t)step);
		sentence(o, text, sizeof(text));
		log_warn(LOGC_TLS, 0, "%s", text);
		e = jv_obj();
		jv_set_str(e, "slot", jv_get_str(o, "where"));
		jv_set_str(e, "kind", jv_get_str(o, "kind"));
		jv_set_str(e, "subject", jv_get_str(o, "subject"));
		jv_set_str(e, "not_after", jv_get_str(o, "not_after"));
		jv_set_int(e, "days", jv_get_int(o, "days", 0));
		app_event(a, "cert.expiry", e);
	}
	jv_free(arr);
}
