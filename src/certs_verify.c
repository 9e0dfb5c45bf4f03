/* SPDX-License-Identifier: ISC */
/* bellbird cert verify: a server's certificates from files, judged by the same
 * code, the same settings and the same sets as a live server. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellbird/tls_cert.h"
#include "internal.h"

/* More files than anybody would name one by one. */
enum { FILES_MAX = 64 };

/* What is asked for. */
struct question {
	enum tls_use use;
	const char *name, *chain;
	const char *trust[FILES_MAX + 1], *inter[FILES_MAX + 1];
	int64_t at_s; /* 0: now */
	bool json;
};

/* The files of a repeated option, with NULL behind the last. */
static bool
files_of(const struct jv *args, const char *option,
    const char *out[static FILES_MAX + 1])
{
	const struct jv *list = jv_get(args, option);
	size_t n = jv_len(list);

	if (n > FILES_MAX)
		return false;
	for (size_t i = 0; i < n; i++)
		out[i] = jv_as_str(jv_at(list, i));
	out[n] = NULL;
	return true;
}

/* Reads the command line; a usage error is printed. */
static int
question_read(struct question *q, const struct jv *args)
{
	const char *use = jv_get_str(args, "use");
	const char *at = jv_get_str(args, "at");

	q->json = jv_get_bool(args, "json", false);
	q->chain = jv_as_str(jv_at(jv_get(args, "args"), 0));
	q->name = jv_get_str(args, "name");
	if (use != NULL && strcmp(use, "sip") == 0)
		q->use = TLS_USE_SIP;
	else if (use != NULL && strcmp(use, "prov") == 0)
		q->use = TLS_USE_PROV;
	else
		return ctl_error(q->json, CTL_USAGE,
		    "--use is sip or prov: what the server is for", NULL);
	if (q->name == NULL || q->name[0] == '\0')
		return ctl_error(q->json, CTL_USAGE,
		    "--name is missing: the SIP domain, host or address that "
		    "is configured",
		    NULL);
	if (!files_of(args, "trust", q->trust) ||
	    !files_of(args, "inter", q->inter))
		return ctl_error(q->json, CTL_USAGE,
		    "more than 64 files: put them together in one", NULL);
	/* 0 stands for "now". */
	if (at != NULL &&
	    (wallclock_parse(slice_of(at), &q->at_s) != 0 || q->at_s <= 0))
		return ctl_error(q->json, CTL_USAGE,
		    "--at wants a time like 2026-11-24T13:37:54Z", NULL);
	return CTL_OK;
}

/* The sets: the endpoint's own, or the files that were named and no others. */
static int
open_trust(struct app *a, const struct question *q)
{
	char why[WHY_SIZE] = "";
	struct tls_env_conf c = { .builtin_file = "",
		.trusted_files = q->trust,
		.why = why,
		.why_size = sizeof(why) };
	int err;

	if (q->trust[0] == NULL)
		err = app_open_tls(a);
	else
		err = tls_env_new(&a->tls, a->loop, &c);
	if (err != 0)
		return ctl_error(q->json, CTL_FAIL,
		    why[0] != '\0' ? why : err_str(err), NULL);
	return CTL_OK;
}

/* What the endpoint's settings ask of such a server. */
static int
decide(const struct app *a, const struct question *q, struct tls_policy *out)
{
	struct tls_clock clock = wallclock_now(a);
	struct tls_settings s;
	char why[WHY_SIZE] = "";
	int err;

	err = settings_tls(a, q->use, q->use == TLS_USE_SIP ? "u1" : NULL, &s,
	    why, sizeof(why));
	/* The question is whether it holds, not whether anybody would ask. */
	s.verify = true;
	s.name[0] = '\0'; /* --name stands for it */
	if (q->trust[0] != NULL)
		s.trust = TLS_TRUST_UPLOADED;
	if (err == 0)
		err = tls_policy_decide(out, q->use, TLS_CLIENT, q->name, &s,
		    &clock, why, sizeof(why));
	if (err != 0)
		return ctl_error(q->json, CTL_CONFIG,
		    why[0] != '\0' ? why : err_str(err), NULL);
	out->at_s = q->at_s;
	return CTL_OK;
}

/* Settings, clock and trust, as the endpoint has them. */
static int
open_all(struct app *a, const struct question *q, const struct jv *args,
    struct tls_policy *p)
{
	int err, code;

	if ((err = paths_find(&a->paths, args)) == 0)
		err = loop_new(&a->loop);
	if (err != 0)
		return ctl_error(q->json, CTL_FAIL, err_str(err), NULL);
	code = app_open_store(&a->store, &a->paths, a, args, NULL);
	if (code != CTL_OK)
		return code;
	wallclock_load(a);
	if ((code = open_trust(a, q)) != CTL_OK)
		return code;
	return decide(a, q, p);
}

/* The answer, of the record that a live server would have left. */
static struct jv *
answer(const struct question *q, const struct tls_verdict *v)
{
	static const char *const same[] = { "matched", "names", "findings" };
	struct jv *record = tls_verdict_json(v), *o = jv_obj();
	char text[sizeof(v->text)];

	if (v->ok)
		(void)snprintf(text, sizeof(text),
		    "Accepted as %.160s: it carries %s, and its chain ends at "
		    "an anchor of the set %s.",
		    esc(q->name), v->matched, v->anchor_set);
	jv_set_bool(o, "ok", v->ok);
	jv_set_str(o, "class", v->class);
	jv_set_str(o, "text", v->ok ? text : v->text);
	jv_set_str(o, "use", tls_use_name(q->use));
	jv_set_str(o, "name", q->name);
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
		jv_set(o, same[i], jv_ref(jv_get(record, same[i])));
	/* Where no path was found, what there is to build one of. */
	jv_set(o, "chain",
	    jv_ref(jv_get(
		record, v->num_built > 0 ? "chain_built" : "chain_sent")));
	jv_set_str(o, "anchor_set", v->anchor_set);
	jv_free(record);
	return o;
}

/* Judges and prints. */
static int
judge(const struct app *a, const struct question *q, const struct tls_policy *p)
{
	char why[WHY_SIZE] = "";
	struct tls_verdict v;
	struct jv *o;
	int err;

	err = tls_cert_judge_with(
	    a->tls, p, q->chain, q->inter, &v, why, sizeof(why));
	if (why[0] != '\0')
		return ctl_error(q->json, CTL_FAIL, why, NULL);
	if (err != 0 && v.class[0] == '\0')
		return ctl_error(q->json, CTL_FAIL, err_str(err), NULL);
	o = answer(q, &v);
	ctl_print(q->json, "cert verify", o);
	jv_free(o);
	return v.ok ? CTL_OK : CTL_TLS;
}

int
certs_verify(const struct jv *args)
{
	struct question q = { .at_s = 0 };
	struct tls_policy p;
	struct app *a;
	int code;

	if ((code = question_read(&q, args)) != CTL_OK)
		return code;
	if ((a = calloc(1, sizeof(*a))) == NULL)
		return ctl_error(q.json, CTL_FAIL, err_str(ENOMEM), NULL);
	a->state_lock = -1;
	/* What is wrong with a trust file should be seen, no more. */
	if (jv_get_str(args, "debug") == NULL)
		ignore_err(log_set_spec("warn"), "a word it knows");
	if ((code = open_all(a, &q, args, &p)) == CTL_OK)
		code = judge(a, &q, &p);
	app_clear(a);
	free(a);
	return code;
}
