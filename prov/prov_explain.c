/* SPDX-License-Identifier: ISC */
/*
 * Where a value comes from, and all settings as a file.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellbird/log.h"
#include "internal.h"

/* The same for every secret, so that not even its length shows. */
static const char mask[] = "********";

/* shown masks a secret. */
static const char *
shown(const struct prov_key *k, const char *value)
{
	return (k->flags & PROV_F_SECRET) && value[0] != '\0' ? mask : value;
}

/* layer_json describes what one layer says about a key. */
static struct jv *
layer_json(const struct prov_store *s, enum prov_layer l, const struct entry *e,
    bool wins)
{
	const char *block = entry_block(s, l, e);
	const struct layer *la = &s->layers[l];
	struct jv *o = jv_obj();

	jv_set_str(o, "layer", prov_layer_name(l));
	jv_set_str(o, "value", shown(e->k, e->value));
	jv_set_str(
	    o, "file", e->file < la->num_files ? la->files[e->file] : "");
	jv_set_int(o, "line", e->line);
	jv_set_bool(o, "wins", wins);
	if (block != NULL)
		jv_set_str(o, "not_in_force", block);
	return o;
}

/* builtin_json describes the default. */
static struct jv *
builtin_json(const struct prov_key *k, bool wins)
{
	struct jv *o = jv_obj();

	jv_set_str(o, "layer", prov_layer_name(PROV_BUILTIN));
	jv_set_str(o, "value", k->dflt);
	jv_set_str(o, "file", "");
	jv_set_int(o, "line", 0);
	jv_set_bool(o, "wins", wins);
	return o;
}

/* scopes_json lists what has to happen for a change to count. */
static struct jv *
scopes_json(unsigned int scope)
{
	static const struct {
		unsigned int bit;
		const char *name;
	} v[] = { { PROV_S_LIVE, "live" }, { PROV_S_REREGISTER, "re-register" },
		{ PROV_S_AUDIO, "restart audio" },
		{ PROV_S_RESTART, "restart" } };
	struct jv *a = jv_arr();

	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++)
		if (scope & v[i].bit)
			jv_add(a, jv_str(v[i].name));
	return a;
}

/* row_json adds what the table says. */
static void
row_json(struct jv *o, const struct prov_key *k)
{
	jv_set_str(o, "default", k->dflt);
	jv_set_str(o, "type", prov_type_name(k->type));
	jv_set_str(o, "range", k->range);
	jv_set_str(o, "unit", k->unit);
	jv_set_str(o, "help", k->help);
	jv_set_str(o, "section", k->section);
	jv_set_str(o, "label", k->label);
	jv_set_str(o, "alias", k->alias);
	jv_set(o, "scopes", scopes_json(k->scope));
	jv_set_bool(o, "secret", (k->flags & PROV_F_SECRET) != 0);
	jv_set_bool(o, "local_only", (k->flags & PROV_F_LOCAL) != 0);
	jv_set_bool(
	    o, "effective", (k->flags & (PROV_F_NA | PROV_F_LATER)) == 0);
}

int
prov_explain(const struct prov_store *s, const char *key, struct jv *out,
    char *why, size_t why_size)
{
	char near[KEY_NAME_MAX];
	const struct entry *e;
	struct key_ref ref;
	enum prov_layer won;
	const char *value;
	struct jv *a;

	if (why_size > 0)
		why[0] = '\0';
	if (key_resolve(slice_of(key), &ref) != 0) {
		prov_key_near(key, near, sizeof(near));
		snprintf(why, why_size, "unknown key %s%s%s%s", esc(key),
		    near[0] ? ", did you mean " : "", near, near[0] ? "?" : "");
		return ENOENT;
	}
	value = store_effective(s, ref.name, ref.k, &won);
	jv_set_str(out, "key", ref.name);
	jv_set_str(out, "value", shown(ref.k, value));
	jv_set_str(out, "layer", prov_layer_name(won));
	row_json(out, ref.k);
	a = jv_arr();
	jv_add(a, builtin_json(ref.k, won == PROV_BUILTIN));
	for (int l = PROV_FACTORY; l < PROV_LAYERS; l++) {
		e = layer_find(&s->layers[l], ref.name);
		if (e != NULL)
			jv_add(a,
			    layer_json(
				s, (enum prov_layer)l, e, (int)won == l));
	}
	jv_set(out, "layers", a);
	return jv_ok(out) ? 0 : ENOMEM;
}

/* winner_value: what the winning layer wrote, "" for an explicit default. */
static const char *
winner_value(const struct prov_store *s, const struct setting *e, bool *set)
{
	enum prov_layer l;
	const struct entry *w;

	ignore_err(store_effective(s, e->name, e->k, &l) == NULL,
	    "only the layer is of interest");
	w = l == PROV_BUILTIN ? NULL : layer_find(&s->layers[l], e->name);
	*set = w != NULL;
	return w != NULL ? w->value : "";
}

int
prov_export(const struct prov_store *s, bool secrets, struct buf *out)
{
	struct setting *v = NULL;
	const char *value;
	size_t n = 0;
	bool set, hide;
	int err;

	if ((err = store_settings(s, NULL, 0, &v, &n)) != 0)
		return err;
	for (size_t i = 0; i < n; i++) {
		value = winner_value(s, &v[i], &set);
		if (!set)
			continue;
		hide = !secrets && shown(v[i].k, value) != value;
		/* As a comment: read back, a mask must not be a password. */
		buf_printf(out, "%s%s =%s%s\n", hide ? "# " : "", v[i].name,
		    value[0] != '\0' ? " " : "", hide ? mask : value);
	}
	free(v);
	return out->err;
}
