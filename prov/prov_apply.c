/* SPDX-License-Identifier: ISC */
/*
 * Putting settings in force: the staged set, and single local settings.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellbird/file.h"
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

int
prov_apply(struct prov_store *s, size_t *num_changed)
{
	struct pending *p = &s->pending;
	struct change c;
	size_t n;
	int err;

	if (!p->staged)
		return EINVAL;
	/* All memory first, then the disk, then what cannot fail. */
	if ((err = change_begin(s, &c, p->layers, PROV_LAYERS)) != 0)
		return err;
	if ((err = set_commit(s, &p->blob)) != 0) {
		change_cancel(&c);
		return err;
	}
	for (int l = PROV_MODEL; l <= PROV_INCREMENTAL; l++) {
		layer_clear(&s->layers[l]);
		s->layers[l] = p->layers[l];
		memset(&p->layers[l], 0, sizeof(p->layers[l]));
	}
	prov_unstage(s);
	n = change_end(s, &c);
	log_info(LOGC_PROV, 0, "provisioned set in force changed=%zu", n);
	if (num_changed != NULL)
		*num_changed = n;
	return 0;
}

/* local_print writes settings.conf and notes where each line is. */
static int
local_print(struct layer *l, struct buf *b)
{
	static const char head[] =
	    "# Local settings of bellbird: written by the web interface and\n"
	    "# the command line.  They win over provisioned ones.\n";
	struct entry *e;

	buf_puts(b, head);
	for (size_t i = 0; i < l->n; i++) {
		e = &l->v[i];
		e->line = (unsigned int)i + 3;
		e->file = 0;
		buf_printf(b, "%s =%s%s\n", e->name,
		    e->value[0] != '\0' ? " " : "", e->value);
	}
	return b->err;
}

/* bad_keep saves a settings.conf with errors before it is written anew. */
static void
bad_keep(const struct prov_store *s, const char *path)
{
	char bad[512];
	struct buf b;
	int err;

	buf_init_secret(&b, CONF_SIZE_MAX + 1);
	if ((err = store_path(s, "settings.conf.bad", bad, sizeof(bad))) == 0 &&
	    (err = file_read(path, &b)) == 0)
		err = file_write(bad, buf_str(&b), b.n, 0600);
	if (err != 0)
		log_warn(
		    LOGC_PROV, 0, "%s not saved: %s", esc(bad), err_str(err));
	buf_clear(&b);
}

/* local_write puts a local layer on disk. */
static int
local_write(struct prov_store *s, struct layer *l)
{
	char path[512];
	struct buf b;
	int err;

	if ((err = store_path(s, "settings.conf", path, sizeof(path))) != 0)
		return err == ENOENT ? 0 : err; /* nothing is kept */
	if (l->num_files == 0) {
		uint8_t idx;

		if ((err = layer_file(l, path, &idx)) != 0)
			return err;
	}
	buf_init_secret(&b, CONF_SIZE_MAX);
	if ((err = local_print(l, &b)) == 0) {
		if (s->local_bad)
			bad_keep(s, path);
		err = file_mkdirs(s->state_dir, 0700);
	}
	if (err == 0)
		err = file_write(path, b.p, b.n, 0600);
	if (err == 0)
		s->local_bad = false;
	buf_clear(&b);
	return err;
}

/* layer_replace puts `next` (taken on success) in force as layer `l`. */
static int
layer_replace(struct prov_store *s, enum prov_layer l, struct layer *next)
{
	struct change c;
	int err;

	if ((err = layer_expand(next, s->mac)) != 0 ||
	    (err = change_begin(s, &c, next, 1)) != 0)
		return err;
	if (l == PROV_LOCAL && (err = local_write(s, next)) != 0) {
		change_cancel(&c);
		return err;
	}
	layer_clear(&s->layers[l]);
	s->layers[l] = *next;
	memset(next, 0, sizeof(*next));
	change_end(s, &c);
	return 0;
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

int
prov_set(struct prov_store *s, enum prov_layer l, const char *key,
    const char *value, char *why, size_t why_size)
{
	char norm[PROV_VALUE_MAX], near[KEY_NAME_MAX];
	struct layer next = { 0 };
	struct key_ref ref;
	const char *name;
	int err;

	if (why_size > 0)
		why[0] = '\0';
	if (l != PROV_LOCAL && l != PROV_CMDLINE)
		return EINVAL;
	if (key_resolve(slice_of(key), &ref) != 0) {
		prov_key_near(key, near, sizeof(near));
		snprintf(why, why_size, "unknown key %s%s%s%s", esc(key),
		    near[0] ? ", did you mean " : "", near, near[0] ? "?" : "");
		return ENOENT;
	}
	if ((err = value_check(&ref, value, norm, why, why_size)) != 0)
		return err;
	if ((err = layer_copy(&next, &s->layers[l])) != 0 ||
	    (err = names_intern(&s->names, &ref, &name)) != 0 ||
	    (err = layer_put(&next, name, ref.k, norm)) != 0 ||
	    (err = layer_replace(s, l, &next)) != 0)
		snprintf(why, why_size, "%s was not set: %s", ref.name,
		    err_str(err));
	layer_clear(&next);
	mem_wipe(norm, sizeof(norm));
	return err;
}

int
prov_unset(struct prov_store *s, enum prov_layer l, const char *key)
{
	struct layer next = { 0 };
	struct key_ref ref;
	int err;

	if (l != PROV_LOCAL && l != PROV_CMDLINE)
		return EINVAL;
	if ((err = key_resolve(slice_of(key), &ref)) != 0)
		return err;
	if (layer_find(&s->layers[l], ref.name) == NULL)
		return 0;
	if ((err = layer_copy(&next, &s->layers[l])) == 0) {
		layer_del(&next, ref.name);
		err = layer_replace(s, l, &next);
	}
	layer_clear(&next);
	return err;
}
