/* SPDX-License-Identifier: ISC */
/* Settings without a running endpoint: config check, get, explain, export. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellbird/file.h"
#include "bellbird/mem.h"
#include "bellbird/prov_conf.h"
#include "internal.h"

/* A little over the grammar's own ceiling, so that it says the size. */
enum { CHECK_FILE_MAX = 64 << 20 };

/* The folder of state may itself be a setting of the factory file. */
static void
state_from_settings(struct paths *p, const struct jv *args)
{
	struct prov_store_conf c = { .factory_file = p->conf };
	struct prov_problems problems = { 0 };
	struct prov_store *s;
	const char *dir;

	if (jv_get_str(args, "state") != NULL ||
	    getenv("STATE_DIRECTORY") != NULL)
		return;
	if (prov_store_open(&s, &c, &problems) == 0) {
		dir = prov_get(s, "state.dir");
		if (dir[0] == '/' &&
		    str_copy(p->state, sizeof(p->state), dir) != 0)
			log_warn(LOGC_APP, 0, "state.dir is too long");
		prov_store_free(s);
	}
	prov_problems_clear(&problems);
}

/* One "key=value" of -o; `from_file`: the value was read by key=@FILE. */
static int
set_one(struct prov_store *s, const char *text, bool from_file)
{
	const struct prov_key *k;
	struct slice key, value;
	char why[WHY_SIZE] = "", name[128], *v;
	int err;

	if (!slice_cut(slice_of(text), '=', &key, &value))
		return ctl_error(false, CTL_USAGE,
		    "-o wants key=value (or key=@FILE for a secret)", NULL);
	key = slice_trim(key);
	k = prov_key_find(key);
	if (k != NULL && (k->flags & PROV_F_SECRET) != 0 && !from_file)
		return ctl_error(false, CTL_USAGE,
		    "others can read a secret on the command line: use "
		    "-o key=@FILE, or bellbird config set KEY -",
		    NULL);
	if (str_copy_slice(name, sizeof(name), key) != 0 ||
	    (v = slice_dup(value)) == NULL)
		return ctl_error(false, CTL_USAGE, "-o: too long", NULL);
	err = prov_set(s, PROV_CMDLINE, name, v, why, sizeof(why));
	mem_free_str(v);
	if (err == 0)
		return CTL_OK;
	return ctl_error(
	    false, CTL_CONFIG, why[0] != '\0' ? why : err_str(err), NULL);
}

int
app_open_store(struct prov_store **out, struct paths *p, const struct app *a,
    const struct jv *args, bool *refused)
{
	struct prov_problems problems = { 0 };
	struct prov_store_conf c = {
		.loop = a != NULL ? a->loop : NULL,
		.worker = a != NULL ? a->worker : NULL,
		.factory_file = p->conf,
		.look_only = a == NULL || a->worker == NULL,
	};
	const struct jv *sets = jv_get(args, "set");
	struct prov_store *s = NULL;
	int err, code = CTL_OK;

	state_from_settings(p, args);
	c.state_dir = p->state;
	err = prov_store_open(&s, &c, &problems);
	app_log_problems(&problems);
	for (size_t i = 0; refused != NULL && i < problems.n; i++)
		*refused |= problems.v[i].fatal &&
		    strcmp(problems.v[i].file, p->conf) == 0;
	prov_problems_clear(&problems);
	if (err != 0) {
		(void)fflush(stderr);
		return ctl_error(false, CTL_CONFIG, err_str(err), NULL);
	}
	for (size_t i = 0; code == CTL_OK && i < jv_len(sets); i++)
		code = set_one(s, jv_as_str(jv_at(sets, i)),
		    jv_as_bool(jv_at(jv_get(args, "set_file"), i), false));
	if (code == CTL_OK)
		*out = s;
	else
		prov_store_free(s);
	return code;
}

/* ---- config check ---- */

/* prov_conf_cb: counts. */
static void
on_setting(const struct prov_key *k, const char *name, const char *value,
    unsigned int line, void *arg)
{
	size_t *n = arg;

	(void)k;
	(void)name;
	(void)value;
	(void)line;
	++*n;
}

/* The operator's own files are judged strictly, provisioned ones kindly. */
static bool
is_local_file(const char *path)
{
	const char *base = strrchr(path, '/');

	base = base != NULL ? base + 1 : path;
	return strcmp(base, "bellbird.conf") == 0 ||
	    strcmp(base, "settings.conf") == 0;
}

/* The problems of one file as JSON. */
static struct jv *
problems_json(const struct prov_problems *ps)
{
	struct jv *arr = jv_arr();

	for (size_t i = 0; i < ps->n; i++) {
		const struct prov_problem *p = &ps->v[i];
		struct jv *o = jv_obj();

		jv_set_str(o, "file", p->file);
		jv_set_int(o, "line", p->line);
		jv_set_int(o, "column", p->column);
		jv_set_bool(o, "fatal", p->fatal);
		jv_set_str(o, "text", p->text);
		jv_add(arr, o);
	}
	return arr;
}

/* Judges one file; adds its object to `files`; false if it is refused. */
static bool
check_file(const char *path, struct jv *files)
{
	struct prov_conf_opts o = { .file = path };
	struct prov_problems ps = { 0 };
	struct jv *f = jv_obj();
	struct buf b;
	size_t n = 0;
	int err;

	o.strict = is_local_file(path);
	o.provisioned = !o.strict;
	buf_init_secret(&b, CHECK_FILE_MAX);
	if ((err = file_read(path, &b)) != 0)
		prov_problems_add(
		    &ps, path, 0, 0, true, "cannot be read: %s", err_str(err));
	else
		err = prov_conf_parse((struct slice){ buf_str(&b), b.n }, &o,
		    &ps, on_setting, &n);
	jv_set_str(f, "file", path);
	jv_set_bool(f, "ok", err == 0);
	jv_set_int(f, "settings", (int64_t)n);
	jv_set(f, "problems", problems_json(&ps));
	jv_set_int(f, "problems_dropped", (int64_t)ps.dropped);
	jv_add(files, f);
	prov_problems_clear(&ps);
	buf_clear(&b);
	return err == 0;
}

int
check_config(const struct jv *args)
{
	const struct jv *names = jv_get(args, "args");
	struct jv *files = jv_arr(), *o = jv_obj();
	struct paths p;
	bool ok = true;

	for (size_t i = 0; i < jv_len(names); i++)
		ok &= check_file(jv_as_str(jv_at(names, i)), files);
	if (jv_len(names) == 0 && paths_find(&p, args) == 0)
		ok = check_file(p.conf, files);
	jv_set_bool(o, "ok", ok);
	jv_set(o, "files", files);
	ctl_print(jv_get_bool(args, "json", false), "config check", o);
	jv_free(o);
	return ok ? CTL_OK : CTL_CONFIG;
}

/* ---- config get, explain, export: the settings on disk ---- */

/* Opens the settings for reading only. */
static int
open_quiet(struct prov_store **out, const struct jv *args)
{
	struct paths p;

	if (paths_find(&p, args) != 0)
		return ctl_error(false, CTL_USAGE, "a path is too long", NULL);
	return app_open_store(out, &p, NULL, args, NULL);
}

/* The first operand; NULL after a usage error was printed. */
static const char *
operand(const struct jv *args)
{
	return jv_as_str(jv_at(jv_get(args, "args"), 0));
}

/* Explains one key, or only its value. */
static int
explain(const struct jv *args, const char *verb, bool only_value)
{
	bool json = jv_get_bool(args, "json", false);
	const char *key = operand(args);
	struct jv *o = jv_obj(), *small;
	struct prov_store *s;
	char why[WHY_SIZE] = "";
	int code;

	if (key == NULL) {
		jv_free(o);
		return ctl_error(
		    json, CTL_USAGE, "the name of a setting is missing", NULL);
	}
	if ((code = open_quiet(&s, args)) != CTL_OK) {
		jv_free(o);
		return code;
	}
	if (prov_explain(s, key, o, why, sizeof(why)) != 0) {
		code = ctl_error(json, CTL_CONFIG, why, NULL);
	} else if (only_value) {
		small = jv_obj();
		jv_set_str(small, "key", jv_get_str(o, "key"));
		jv_set_str(small, "value", jv_get_str(o, "value"));
		ctl_print(json, verb, small);
		jv_free(small);
	} else {
		ctl_print(json, verb, o);
	}
	prov_store_free(s);
	jv_free(o);
	return code;
}

int
check_get(const struct jv *args)
{
	return explain(args, "config get", true);
}

int
check_explain(const struct jv *args)
{
	return explain(args, "config explain", false);
}

int
check_export(const struct jv *args)
{
	bool json = jv_get_bool(args, "json", false);
	struct prov_store *s;
	struct jv *o;
	struct buf b;
	int code;

	if ((code = open_quiet(&s, args)) != CTL_OK)
		return code;
	buf_init_secret(&b, CHECK_FILE_MAX);
	if (prov_export(s, jv_get_bool(args, "secrets", false), &b) == 0) {
		o = jv_obj();
		jv_set_str(o, "text", buf_str(&b));
		ctl_print(json, "config export", o);
		jv_free(o);
	} else {
		code = ctl_error(json, CTL_FAIL, err_str(ENOMEM), NULL);
	}
	buf_clear(&b);
	prov_store_free(s);
	return code;
}
