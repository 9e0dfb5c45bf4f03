/* SPDX-License-Identifier: ISC */
/*
 * Putting settings in force: the staged set, and single local settings.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellbird/log.h"
#include "bellbird/mem.h"
#include "internal.h"

void
prov_unstage(struct prov_store *s)
{
	for (int l = 0; l < PROV_LAYERS; l++)
		layer_clear(&s->pending.layers[l]);
	buf_clear(&s->pending.blob);
	memset(&s->pending, 0, sizeof(s->pending));
}

size_t
store_staged(const struct prov_store *s, size_t i)
{
	return i < SET_FILES_MAX ? s->pending.settings[i] : 0;
}

/* What prov_set() and its kin are asked for; value NULL: unset. */
struct setting_ask {
	enum prov_layer layer;
	const char *key, *value;
};

/* apply_new makes an operation of the staged set, which is used up. */
static int
apply_new(struct op **out, struct prov_store *s)
{
	struct pending *p = &s->pending;
	struct op *o;
	int err;

	if (!p->staged)
		return EINVAL;
	if ((err = op_new(&o, s, OP_APPLY)) != 0)
		return err;
	for (int l = PROV_MODEL; l <= PROV_INCREMENTAL; l++) {
		o->takes[l] = true;
		o->next[l] = p->layers[l];
		memset(&p->layers[l], 0, sizeof(p->layers[l]));
	}
	o->job.what = JOB_SET;
	o->job.text = p->blob;
	memset(&p->blob, 0, sizeof(p->blob));
	prov_unstage(s);
	*out = o;
	return 0;
}

int
prov_apply(struct prov_store *s, size_t *num_changed)
{
	struct op *o;
	int err;

	if ((err = apply_new(&o, s)) != 0)
		return err;
	err = op_run(o);
	if (err == 0 && num_changed != NULL)
		*num_changed = o->num_changed;
	op_free(o);
	return err;
}

int
prov_apply_start(struct prov_store *s, prov_done_cb *cb, void *arg)
{
	struct op *o;
	int err;

	if ((err = apply_new(&o, s)) != 0)
		return err;
	if ((err = op_start(o, cb, arg)) != 0)
		op_free(o);
	return err;
}

/* value_check judges a value for prov_set; `$MAC$` stays as written. */
static int
value_check(const struct key_ref *ref, const char *value,
    char norm[static PROV_VALUE_MAX], char *why, size_t why_size)
{
	char full[PROV_VALUE_MAX];
	int err;

	if (!has_mac_macro(value))
		return prov_key_check(ref->k, slice_of(value), norm,
		    PROV_VALUE_MAX, why, why_size);
	if (mac_expand(value, "000000000000", full, sizeof(full)) != 0) {
		snprintf(
		    why, why_size, "the value of %s is too long", ref->name);
		return E_PROV_CONF;
	}
	err = prov_key_check(
	    ref->k, slice_of(full), norm, PROV_VALUE_MAX, why, why_size);
	if (err == 0)
		err = str_copy_slice(
		    norm, PROV_VALUE_MAX, slice_trim(slice_of(value)));
	return err;
}

/* setting_new makes an operation of one setting; `why` as prov_set(). */
static int
setting_new(struct op **out, struct prov_store *s, const struct setting_ask *a,
    char *why, size_t why_size)
{
	char norm[PROV_VALUE_MAX] = "", near[KEY_NAME_MAX];
	struct key_ref ref;
	struct op *o = NULL;
	int err;

	if (why_size > 0)
		why[0] = '\0';
	if (a->layer != PROV_LOCAL && a->layer != PROV_CMDLINE)
		return EINVAL;
	if (key_resolve(slice_of(a->key), &ref) != 0) {
		prov_key_near(a->key, near, sizeof(near));
		snprintf(why, why_size, "unknown key %s%s%s%s", esc(a->key),
		    near[0] ? ", did you mean " : "", near, near[0] ? "?" : "");
		return ENOENT;
	}
	if (a->value != NULL &&
	    (err = value_check(&ref, a->value, norm, why, why_size)) != 0)
		return err;
	if ((err = op_new(&o, s, a->value != NULL ? OP_SET : OP_UNSET)) != 0 ||
	    (err = names_intern(&s->names, &ref, &o->name)) != 0)
		goto out;
	o->layer = a->layer;
	o->k = ref.k;
	err = ENOMEM;
	if ((o->value = strdup(norm)) == NULL)
		goto out;
	err = 0;
	*out = o;
	o = NULL;
out:
	if (err != 0)
		snprintf(why, why_size, "%s was not %s: %s", ref.name,
		    a->value != NULL ? "set" : "unset", err_str(err));
	op_free(o);
	mem_wipe(norm, sizeof(norm));
	return err;
}

/* why_copy hands out the sentence of an operation that failed. */
static void
why_copy(const struct op *o, char *why, size_t why_size)
{
	if (why_size > 0)
		ignore_err(str_copy(why, why_size, o->why), "cut is fine");
}

/* setting_run changes one setting and waits for the disk. */
static int
setting_run(struct prov_store *s, const struct setting_ask *a, char *why,
    size_t why_size)
{
	struct op *o;
	int err;

	if ((err = setting_new(&o, s, a, why, why_size)) != 0)
		return err;
	if ((err = op_run(o)) != 0)
		why_copy(o, why, why_size);
	op_free(o);
	return err;
}

int
prov_set(struct prov_store *s, enum prov_layer l, const char *key,
    const char *value, char *why, size_t why_size)
{
	const struct setting_ask a = { l, key, value };

	return setting_run(s, &a, why, why_size);
}

int
prov_unset(struct prov_store *s, enum prov_layer l, const char *key)
{
	const struct setting_ask a = { l, key, NULL };
	char why[8];

	return setting_run(s, &a, why, sizeof(why));
}

int
prov_set_start(struct prov_store *s, const struct prov_set_conf *c, char *why,
    size_t why_size)
{
	const struct setting_ask a = { PROV_LOCAL, c->key, c->value };
	struct op *o;
	int err;

	if ((err = setting_new(&o, s, &a, why, why_size)) != 0)
		return err;
	if ((err = op_start(o, c->cb, c->arg)) != 0) {
		why_copy(o, why, why_size);
		op_free(o);
	}
	return err;
}
