/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_PROV_STORE_H
#define BELLBIRD_PROV_STORE_H

#include <stdbool.h>

#include "bellbird/buf.h"
#include "bellbird/json.h"
#include "bellbird/loop.h"
#include "bellbird/prov_key.h"
#include "bellbird/worker.h"

/*
 * The settings: one value per key and layer; the highest layer that has the
 * key wins.  Low to high (design 4).
 */
enum prov_layer {
	PROV_BUILTIN,
	PROV_FACTORY,
	PROV_MODEL,
	PROV_DEVICE,
	PROV_INCREMENTAL,
	PROV_LOCAL,
	PROV_CMDLINE,
	PROV_LAYERS
};
const char *prov_layer_name(enum prov_layer l);

struct prov_store;
struct prov_store_conf {
	struct loop *loop; /* for change events; NULL in command-line tools */
	struct worker *worker; /* writes for prov_*_start(), else NULL; it must
				  be freed before the store */
	const char *factory_file; /* bellbird.conf; absence is no error */
	const char *state_dir;    /* settings.conf, prov/; NULL: nothing kept */
	const char *mac;          /* for $MAC$; may be NULL and set later */
	bool look_only;           /* opening writes nothing: tools, whose
				     user may be another than the endpoint's */
};

/*
 * prov_store_open reads the factory file, the last good provisioned files and
 * settings.conf; `problems` (may be NULL) lists what was wrong with them.  A
 * bad factory file: its last good copy is used and `problems` tells;
 * E_PROV_CONF if there is none.
 */
MUST_CHECK int prov_store_open(struct prov_store **out,
    const struct prov_store_conf *conf, struct prov_problems *problems);
/* Changes that are not in force yet end with ECANCELED, each by its callback,
 * which must not use the store; on disk is the old or the new. */
void prov_store_free(struct prov_store *s);

/* prov_store_set_mac: $MAC$ stands for `mac` from now on. */
void prov_store_set_mac(struct prov_store *s, const char *mac);

/* Effective values.  The string is never NULL ("" where unset), borrowed until
 * the next change.  The key must exist (assert): names are program constants.
 */
const char *prov_get(const struct prov_store *s, const char *key);
bool prov_get_bool(const struct prov_store *s, const char *key);
int64_t prov_get_int(const struct prov_store *s, const char *key);
/* prov_is_set: some layer above built-in has the key (an explicit empty value
 * counts). */
bool prov_is_set(const struct prov_store *s, const char *key);
enum prov_layer prov_origin(const struct prov_store *s, const char *key);

/*
 * prov_set writes one key of the local layer (settings.conf, atomically) or of
 * the command-line layer (memory only).  ENOENT for an unknown key, E_PROV_CONF
 * for a bad value; `why` gets the sentence with range and nearest key.
 * prov_unset removes it there.
 */
MUST_CHECK int prov_set(struct prov_store *s, enum prov_layer l,
    const char *key, const char *value, char *why, size_t why_size);
MUST_CHECK int prov_unset(
    struct prov_store *s, enum prov_layer l, const char *key);

/*
 * The same without blocking the loop: composed now, written by the worker, in
 * force and reported when that is done.  Several are done one after the other,
 * EBUSY beyond 16.  What is known to fail at once is returned, and `cb` never
 * runs then; else it runs once, from the loop.  While they are under way the
 * functions that block return EBUSY.  prov_forget takes the callbacks with
 * `arg` away; what was asked for happens all the same.
 */
struct prov_outcome {
	int err;
	const char *why; /* a sentence where a setting was not changed, or "" */
	size_t num_changed;
	const struct prov_problems *problems; /* of prov_reload_start() */
};
typedef void(prov_done_cb)(const struct prov_outcome *o, void *arg);
struct prov_set_conf {
	const char *key, *value; /* of the local layer; NULL: unset it */
	prov_done_cb *cb;
	void *arg;
};
MUST_CHECK int prov_set_start(struct prov_store *s,
    const struct prov_set_conf *c, char *why, size_t why_size);
MUST_CHECK int prov_apply_start(
    struct prov_store *s, prov_done_cb *cb, void *arg);
MUST_CHECK int prov_reload_start(
    struct prov_store *s, prov_done_cb *cb, void *arg);
void prov_forget(struct prov_store *s, const void *arg);

/* prov_on_change registers the one observer; it runs from the loop with the
 * list of keys whose effective value changed and the union of their scopes. */
typedef void(prov_change_cb)(
    const char *const *keys, size_t num_keys, unsigned int scopes, void *arg);
void prov_on_change(struct prov_store *s, prov_change_cb *cb, void *arg);

/* prov_explain adds, for each layer that has the key: layer, value (secrets
 * masked), file, line, and which one wins; ENOENT for an unknown key, with the
 * nearest names in `why`. */
MUST_CHECK int prov_explain(const struct prov_store *s, const char *key,
    struct jv *out, char *why, size_t why_size);
/* prov_export appends every set key, sorted, "key = value"; secrets masked
 * unless `secrets`. */
MUST_CHECK int prov_export(
    const struct prov_store *s, bool secrets, struct buf *out);

/*
 * prov_stage / prov_apply: the apply transaction.  prov_stage parses the
 * texts of a whole set of provisioned files (layers MODEL, DEVICE,
 * INCREMENTAL) into a pending set and lists every problem; E_PROV_CONF,
 * E_PROV_NOT_CONF or E_LIMIT if one of them must be refused: nothing is kept
 * then.  prov_apply makes the pending
 * set the settings in force and on disk (one atomic rename commits the set),
 * then reports changes; the pending set is used up either way.  A cut anywhere
 * leaves the old or the new set.
 */
struct prov_file {
	enum prov_layer layer;
	const char *name;
	struct slice text;
	const char *etag, *url; /* kept with the set; NULL: none */
};
/* See above; `problems` may be NULL, and `num_changed` too. */
MUST_CHECK int prov_stage(struct prov_store *s, const struct prov_file *fs,
    size_t num_fs, struct prov_problems *problems);
MUST_CHECK int prov_apply(struct prov_store *s, size_t *num_changed);
void prov_unstage(struct prov_store *s);
/* prov_reload reads the factory file and settings.conf again (HUP). */
MUST_CHECK int prov_reload(
    struct prov_store *s, struct prov_problems *problems);

#endif
