/* SPDX-License-Identifier: ISC */
/*
 * The settings in force: layers, their files at start, and what wins.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bellbird/file.h"
#include "bellbird/log.h"
#include "bellbird/mem.h"
#include "internal.h"

static const char settings_file[] = "settings.conf";
const char factory_last[] = "prov/factory.last";

const char *
prov_layer_name(enum prov_layer l)
{
	static const char *const names[] = { "built-in", "factory", "model",
		"device", "incremental", "local", "command line" };

	return (size_t)l < PROV_LAYERS ? names[l] : "?";
}

bool
is_provisioned(enum prov_layer l)
{
	return l == PROV_MODEL || l == PROV_DEVICE || l == PROV_INCREMENTAL;
}

const char *
entry_block(
    const struct prov_store *s, enum prov_layer l, const struct entry *e)
{
	if (!is_provisioned(l))
		return NULL;
	if (e->k->flags & PROV_F_LOCAL)
		return "can only be set locally";
	if (!s->weaken && prov_key_weakens(e->k, e->value))
		return "would weaken security (prov.weaken = 0)";
	return NULL;
}

void
store_judge(struct prov_store *s)
{
	static const enum prov_layer local[] = { PROV_CMDLINE, PROV_LOCAL,
		PROV_FACTORY };
	const struct entry *e;

	s->weaken = false;
	for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++) {
		e = layer_find(&s->layers[local[i]], "prov.weaken");
		if (e == NULL)
			continue;
		s->weaken = strcmp(e->value, "1") == 0;
		return;
	}
}

/* winner finds the entry in force; NULL: the built-in default is. */
static const struct entry *
winner(const struct prov_store *s, const char *name, enum prov_layer *layer)
{
	const struct entry *e;

	for (int l = PROV_CMDLINE; l > PROV_BUILTIN; l--) {
		e = layer_find(&s->layers[l], name);
		if (e == NULL || entry_block(s, (enum prov_layer)l, e) != NULL)
			continue;
		*layer = (enum prov_layer)l;
		return e;
	}
	*layer = PROV_BUILTIN;
	return NULL;
}

const char *
store_effective(const struct prov_store *s, const char *name,
    const struct prov_key *k, enum prov_layer *layer)
{
	const struct entry *e = winner(s, name, layer);

	if (e == NULL || e->value[0] == '\0')
		return k->dflt;
	return e->expanded ? e->expanded : e->value;
}

const char *
prov_get(const struct prov_store *s, const char *key)
{
	struct key_ref ref;
	enum prov_layer l;
	int err = key_resolve(slice_of(key), &ref);

	assert(err == 0);
	return err == 0 ? store_effective(s, ref.name, ref.k, &l) : "";
}

bool
prov_get_bool(const struct prov_store *s, const char *key)
{
	return strcmp(prov_get(s, key), "1") == 0;
}

int64_t
prov_get_int(const struct prov_store *s, const char *key)
{
	int64_t n = 0;

	if (str_int(slice_of(prov_get(s, key)), INT64_MIN, INT64_MAX, &n) != 0)
		return 0;
	return n;
}

enum prov_layer
prov_origin(const struct prov_store *s, const char *key)
{
	struct key_ref ref;
	enum prov_layer l = PROV_BUILTIN;
	int err = key_resolve(slice_of(key), &ref);

	assert(err == 0);
	if (err == 0)
		winner(s, ref.name, &l);
	return l;
}

bool
prov_is_set(const struct prov_store *s, const char *key)
{
	return prov_origin(s, key) != PROV_BUILTIN;
}

int
store_path(const struct prov_store *s, const char *name, char *out, size_t size)
{
	if (s->state_dir == NULL)
		return ENOENT;
	return path_join(out, size, s->state_dir, name);
}

/* Where prov_conf_parse puts what it understood. */
struct collect {
	struct prov_store *s;
	struct layer *out;
	size_t settings;
	uint8_t file;
	int err;
};

/* on_setting puts one setting into the layer that is read. */
static void
on_setting(const struct prov_key *k, const char *name, const char *value,
    unsigned int line, void *arg)
{
	struct collect *c = arg;
	struct key_ref ref;
	const char *kept;
	struct entry *e;

	(void)k;
	c->settings++;
	if (c->err != 0)
		return;
	if ((c->err = key_resolve(slice_of(name), &ref)) != 0 ||
	    (c->err = names_intern(&c->s->names, &ref, &kept)) != 0 ||
	    (c->err = layer_put(c->out, kept, ref.k, value)) != 0)
		return;
	e = layer_find(c->out, kept);
	e->line = line;
	e->file = c->file;
}

int
store_parse(struct prov_store *s, const struct parse_in *in, struct layer *out,
    struct prov_problems *problems, size_t *settings)
{
	struct prov_conf_opts o = {
		.file = in->file,
		.strict = !is_provisioned(in->layer),
		.provisioned = is_provisioned(in->layer),
		.lenient = in->lenient,
	};
	struct collect c = { .s = s, .out = out };
	int err;

	if ((err = layer_file(out, in->file, &c.file)) != 0)
		return err;
	err = prov_conf_parse(in->text, &o, problems, on_setting, &c);
	if (c.err != 0)
		return c.err;
	if (err == ENOMEM)
		return err;
	if (settings != NULL)
		*settings = c.settings;
	if (layer_expand(out, s->mac) != 0)
		return ENOMEM;
	return err;
}

/* parse_local reads a local text; its own prov.lenient = 1 counts for it. */
static int
parse_local(struct prov_store *s, const struct parse_in *in, struct layer *out,
    struct prov_problems *problems)
{
	struct prov_problems first = { 0 };
	struct parse_in again = *in;
	const struct entry *e;
	int err;

	err = store_parse(s, in, out, &first, NULL);
	e = layer_find(out, "prov.lenient");
	if (err == E_PROV_CONF && e != NULL && strcmp(e->value, "1") == 0) {
		layer_clear(out);
		again.lenient = true;
		err = store_parse(s, &again, out, problems, NULL);
	} else {
		for (size_t i = 0; i < first.n; i++)
			prov_problems_add(problems, first.v[i].file,
			    first.v[i].line, first.v[i].column,
			    first.v[i].fatal, "%s", first.v[i].text);
		problems->dropped += first.dropped;
	}
	prov_problems_clear(&first);
	return err;
}

/* read_local reads and parses a local file; ENOENT if it is not there. */
static int
read_local(struct prov_store *s, enum prov_layer l, const char *path,
    struct layer *out, struct prov_problems *problems)
{
	struct parse_in in = { .layer = l, .file = path };
	struct buf b;
	int err;

	buf_init_secret(&b, CONF_SIZE_MAX + 1);
	err = file_read(path, &b);
	if (err == E_LIMIT)
		prov_problems_add(problems, path, 0, 0, true,
		    "the file has more than %d bytes", CONF_SIZE_MAX);
	else if (err != 0 && err != ENOENT && err != ENOMEM)
		prov_problems_add(problems, path, 0, 0, true,
		    "the file cannot be read: %s", err_str(err));
	if (err == 0) {
		in.text = (struct slice){ buf_str(&b), b.n };
		err = parse_local(s, &in, out, problems);
	}
	buf_clear(&b);
	return err;
}

/* factory_read reads a factory file that was good into `copy`; `*fresh` tells
 * whether it is another one than was kept. */
static int
factory_read(const struct prov_store *s, struct buf *copy, bool *fresh)
{
	char path[512];
	struct buf last;
	int err;

	*fresh = false;
	if (store_path(s, factory_last, path, sizeof(path)) != 0)
		return 0;
	buf_init_secret(copy, CONF_SIZE_MAX + 1);
	buf_init_secret(&last, CONF_SIZE_MAX + 1);
	err = file_read(s->factory_file, copy);
	if (err == 0) {
		err = file_read(path, &last);
		*fresh = err != 0 || last.n != copy->n ||
		    memcmp(buf_str(&last), buf_str(copy), copy->n) != 0;
	}
	buf_clear(&last);
	return err == ENOMEM ? err : 0;
}

/* factory_keep copies a factory file that was good, if it is a new one. */
static int
factory_keep(const struct prov_store *s)
{
	char path[512];
	struct buf copy = { 0 };
	bool fresh;
	int err;

	if ((err = factory_read(s, &copy, &fresh)) == 0 && fresh) {
		if (store_path(s, factory_last, path, sizeof(path)) == 0)
			err = file_write(path, buf_str(&copy), copy.n, 0600);
		/* A read-only state folder costs the copy, not the start. */
		if (err != 0)
			log_warn(LOGC_PROV, 0,
			    "no copy of the factory file kept: %s",
			    err_str(err));
		err = 0;
	}
	buf_clear(&copy);
	return err;
}

/* load_factory reads bellbird.conf, or its last good copy if it is bad and
 * `good` is NULL; else it tells whether there was a good file. */
static int
load_factory(struct prov_store *s, struct layer *out, bool *good,
    struct prov_problems *problems)
{
	char path[512];
	int err;

	if (good != NULL)
		*good = false;

	if (s->factory_file == NULL)
		return 0;
	err = read_local(s, PROV_FACTORY, s->factory_file, out, problems);
	if (err == 0 && good == NULL)
		return s->look_only ? 0 : factory_keep(s);
	if (err == 0)
		*good = true;
	if (err == 0 || err == ENOMEM)
		return err;
	layer_clear(out);
	if (err == ENOENT)
		return 0;
	if (good != NULL ||
	    store_path(s, factory_last, path, sizeof(path)) != 0)
		return E_PROV_CONF;
	err = read_local(s, PROV_FACTORY, path, out, problems);
	if (err != 0) {
		layer_clear(out);
		return err == ENOMEM ? err : E_PROV_CONF;
	}
	log_err(LOGC_PROV, 0, "%s refused: its last good copy is used",
	    esc(s->factory_file));
	prov_problems_add(problems, s->factory_file, 0, 0, false,
	    "the file was refused: its last good copy %s is used", esc(path));
	return 0;
}

/* load_local reads settings.conf; its bad lines are left out, not the rest. */
static int
load_local(struct prov_store *s, struct layer *out, bool *bad,
    struct prov_problems *problems)
{
	char path[512];
	int err;

	*bad = false;
	if (store_path(s, settings_file, path, sizeof(path)) != 0)
		return 0;
	err = read_local(s, PROV_LOCAL, path, out, problems);
	if (err == ENOMEM)
		return err;
	if (err != 0 && err != ENOENT) {
		*bad = true;
		log_err(LOGC_PROV, 0, "%s has errors: its good lines are used",
		    esc(path));
	}
	return 0;
}

/* blocked_report lists what a provisioned layer asks for in vain. */
static void
blocked_report(const struct prov_store *s, enum prov_layer l,
    const struct layer *la, struct prov_problems *problems)
{
	const struct entry *e;

	for (size_t i = 0; i < la->n; i++) {
		e = &la->v[i];
		if ((e->k->flags & PROV_F_LOCAL) ||
		    entry_block(s, l, e) == NULL)
			continue;
		prov_problems_add(problems, la->files[e->file], e->line, 1,
		    false,
		    "%s = %s would weaken security: kept, but not in force "
		    "until prov.weaken = 1 is set locally",
		    e->name, esc(e->value));
	}
}

/* stage_one parses one file of a set into its pending layer. */
static int
stage_one(struct prov_store *s, const struct prov_file *f, bool lenient,
    size_t i, struct prov_problems *problems)
{
	struct parse_in in = { f->layer, f->name, f->text, lenient };

	return store_parse(s, &in, &s->pending.layers[f->layer], problems,
	    &s->pending.settings[i]);
}

/* load_set puts the provisioned files of the last run in force. */
static int
load_set(struct prov_store *s, struct prov_problems *problems)
{
	struct set set = { 0 };
	struct prov_file f;
	int err;

	err = set_load(s, &set);
	for (size_t i = 0; err == 0 && i < set.n; i++) {
		f = (struct prov_file){ .layer = set.v[i].layer,
			.name = set.v[i].name,
			.text = set.v[i].text };
		/* Judged when it came; an update may see it differently,
		 * which is no reason to start without an account. */
		err = stage_one(s, &f, true, i, problems);
		if (err != ENOMEM)
			err = 0;
	}
	for (int l = PROV_MODEL; err == 0 && l <= PROV_INCREMENTAL; l++) {
		s->layers[l] = s->pending.layers[l];
		memset(&s->pending.layers[l], 0, sizeof(s->layers[l]));
	}
	prov_unstage(s);
	set_clear(&set);
	return err == ENOMEM ? err : 0;
}

/* strdup_to copies an optional string; ENOMEM. */
static int
strdup_to(char **out, const char *s)
{
	if (s == NULL || s[0] == '\0')
		return 0;
	return (*out = strdup(s)) == NULL ? ENOMEM : 0;
}

/* mac_take notes the address for $MAC$. */
static void
mac_take(struct prov_store *s, const char *mac)
{
	char norm[13];

	s->mac[0] = '\0';
	if (mac != NULL && str_mac_norm(slice_of(mac), norm) == 0)
		memcpy(s->mac, norm, sizeof(norm));
}

/* store_load reads every layer that has a file. */
static int
store_load(struct prov_store *s, struct prov_problems *problems)
{
	char dir[512];
	int err;

	if (!s->look_only && store_path(s, "prov", dir, sizeof(dir)) == 0)
		ignore_err(file_mkdirs(dir, 0700), "a write will tell");
	if ((err = load_factory(s, &s->layers[PROV_FACTORY], NULL, problems)) !=
		0 ||
	    (err = load_set(s, problems)) != 0 ||
	    (err = load_local(
		 s, &s->layers[PROV_LOCAL], &s->local_bad, problems)) != 0)
		return err;
	store_judge(s);
	for (int l = PROV_MODEL; l <= PROV_INCREMENTAL; l++)
		blocked_report(s, (enum prov_layer)l, &s->layers[l], problems);
	return 0;
}

int
prov_store_open(struct prov_store **out, const struct prov_store_conf *conf,
    struct prov_problems *problems)
{
	struct prov_problems none = { 0 };
	struct prov_store *s;
	int err;

	if ((s = calloc(1, sizeof(*s))) == NULL)
		return ENOMEM;
	s->loop = conf->loop;
	s->worker = conf->worker;
	s->look_only = conf->look_only;
	STAILQ_INIT(&s->ops);
	mac_take(s, conf->mac);
	if ((err = strdup_to(&s->factory_file, conf->factory_file)) == 0 &&
	    (err = strdup_to(&s->state_dir, conf->state_dir)) == 0)
		err = store_load(s, problems ? problems : &none);
	if (err == 0) {
		*out = s;
		s = NULL;
	}
	prov_problems_clear(&none);
	prov_store_free(s);
	return err;
}

void
prov_store_free(struct prov_store *s)
{
	if (s == NULL)
		return;
	ops_clear(s);
	change_stop(s);
	prov_unstage(s);
	for (int l = 0; l < PROV_LAYERS; l++)
		layer_clear(&s->layers[l]);
	names_clear(&s->names);
	free(s->factory_file);
	free(s->state_dir);
	free(s);
}

void
prov_store_set_mac(struct prov_store *s, const char *mac)
{
	struct change c;
	int err;

	err = STAILQ_EMPTY(&s->ops) ? change_begin(s, &c, NULL, 0) : EBUSY;
	if (err != 0) {
		log_err(LOGC_PROV, 0, "$MAC$ not updated: %s", err_str(err));
		return;
	}
	mac_take(s, mac);
	for (int l = 0; err == 0 && l < PROV_LAYERS; l++)
		err = layer_expand(&s->layers[l], s->mac);
	if (err != 0)
		log_err(LOGC_PROV, 0, "$MAC$ not updated: %s", err_str(err));
	change_end(s, &c);
}

int
reload_begin(struct op *o)
{
	struct prov_store *s = o->s;
	bool bad, good, fresh = false;
	int err;

	/* What is in force is better than the last good copy of a file. */
	if ((err = load_factory(
		 s, &o->next[PROV_FACTORY], &good, &o->problems)) != 0 ||
	    (err = load_local(s, &o->next[PROV_LOCAL], &bad, &o->problems)) !=
		0)
		return err;
	if (bad)
		return E_PROV_CONF;
	o->takes[PROV_FACTORY] = o->takes[PROV_LOCAL] = true;
	if (good && (err = factory_read(s, &o->job.text, &fresh)) != 0)
		return err;
	if (fresh)
		o->job.what = JOB_FACTORY;
	return 0;
}

int
prov_reload(struct prov_store *s, struct prov_problems *problems)
{
	struct op *o;
	int err;

	if ((err = op_new(&o, s, OP_RELOAD)) != 0)
		return err;
	err = op_run(o);
	if (problems != NULL) {
		prov_problems_clear(problems);
		*problems = o->problems;
		memset(&o->problems, 0, sizeof(o->problems));
	}
	op_free(o);
	return err;
}

int
prov_reload_start(struct prov_store *s, prov_done_cb *cb, void *arg)
{
	struct op *o;
	int err;

	if ((err = op_new(&o, s, OP_RELOAD)) != 0)
		return err;
	if ((err = op_start(o, cb, arg)) != 0)
		op_free(o);
	return err;
}

int
prov_stage(struct prov_store *s, const struct prov_file *fs, size_t num_fs,
    struct prov_problems *problems)
{
	struct prov_problems none = { 0 }, *pr = problems ? problems : &none;
	bool lenient = prov_get_bool(s, "prov.lenient");
	int err = 0, e;

	prov_unstage(s);
	if (num_fs > SET_FILES_MAX)
		return E_LIMIT;
	for (size_t i = 0; i < num_fs; i++)
		if (!is_provisioned(fs[i].layer))
			return EINVAL;
	/* Every file is judged, so that one run shows all problems. */
	for (size_t i = 0; i < num_fs && err != ENOMEM; i++) {
		e = stage_one(s, &fs[i], lenient, i, pr);
		if (err == 0 || e == ENOMEM)
			err = e;
	}
	for (int l = PROV_MODEL; err != ENOMEM && l <= PROV_INCREMENTAL; l++)
		blocked_report(
		    s, (enum prov_layer)l, &s->pending.layers[l], pr);
	if (err == 0)
		err = set_compose(&s->pending.blob, fs, num_fs);
	if (err == 0)
		s->pending.staged = true;
	else
		prov_unstage(s);
	prov_problems_clear(&none);
	return err;
}
