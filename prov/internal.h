/* SPDX-License-Identifier: ISC */
#ifndef PROV_INTERNAL_H
#define PROV_INTERNAL_H

#include "bellbird/loop.h"
#include "bellbird/prov_conf.h"
#include "bellbird/prov_fetch.h"
#include "bellbird/prov_http.h"
#include "bellbird/prov_store.h"
#include "bellbird/tls_hash.h"
#include "bellbird/worker.h"

enum {
	KEY_NAME_MAX = 64,       /* the longest row has 35 bytes */
	CONF_SIZE_MAX = 1 << 20, /* design 4: 1 MiB a file */
	CONF_LINES_MAX = 20000,  /* a full dump of the family has 400 */
	CONF_LINE_MAX = 8192,    /* a value twice, and its key */
	SET_FILES_MAX = 4,       /* model, device and the -i file of each */
	LAYER_FILES_MAX = 4,
	URL_MAX = 300
};

/* A key as named: its row, its index (0: none) and its canonical name. */
struct key_ref {
	const struct prov_key *k;
	unsigned int index;
	char name[KEY_NAME_MAX];
};

/* key_resolve finds the row of a name or alias; ENOENT if none. */
MUST_CHECK int key_resolve(struct slice name, struct key_ref *out);
/* key_leads copies the key of the table a text begins with, "" if there is
 * none.  Whatever else stands in a malformed line may be a password. */
void key_leads(struct slice t, char out[static KEY_NAME_MAX]);
/* key_secret_in tells whether a text names a secret key anywhere: two lines
 * that ran together, of which one has a password. */
bool key_secret_in(struct slice t);
size_t key_count(void);
size_t key_pos(const struct prov_key *k); /* of its row */

/* mac_expand copies `v` with $MAC$ replaced; E_LIMIT if it does not fit. */
MUST_CHECK int mac_expand(
    const char *v, const char *mac, char *out, size_t size);
bool has_mac_macro(const char *v);

/* One setting in a layer. */
struct entry {
	const char *name; /* static, or owned by the store's name pool */
	const struct prov_key *k;
	char *value;    /* owned; as written, normalised */
	char *expanded; /* owned; with $MAC$ replaced, NULL without macro */
	unsigned int line;
	uint8_t file; /* index into the layer's files */
};

/* The settings of one layer, sorted by name. */
struct layer {
	struct entry *v;              /* owned */
	char *files[LAYER_FILES_MAX]; /* owned: where the lines came from */
	size_t n, cap, num_files;
};

void layer_clear(struct layer *l);
struct entry *layer_find(const struct layer *l, const char *name);
/* layer_put copies `value` into the entry of `name`, which must live as long
 * as the layer; 0 or ENOMEM. */
MUST_CHECK int layer_put(struct layer *l, const char *name,
    const struct prov_key *k, const char *value);
void layer_del(struct layer *l, const char *name);
MUST_CHECK int layer_copy(struct layer *out, const struct layer *l);
/* layer_file notes a file name and stores its index. */
MUST_CHECK int layer_file(struct layer *l, const char *name, uint8_t *idx);
/* layer_expand brings the $MAC$ values up to date. */
MUST_CHECK int layer_expand(struct layer *l, const char *mac);

/* The names of indexed keys; they live as long as the store. */
struct names {
	char **v; /* owned, sorted */
	size_t n, cap;
};

void names_clear(struct names *p);
/* names_intern stores a name that lives as long as the pool. */
MUST_CHECK int names_intern(
    struct names *p, const struct key_ref *ref, const char **out);

/* A staged set, not in force yet. */
struct pending {
	bool staged;
	struct layer layers[PROV_LAYERS]; /* MODEL .. INCREMENTAL are used */
	struct buf blob;                  /* as it goes to disk */
	size_t settings[SET_FILES_MAX];   /* of each file */
};

/*
 * A change: change_begin notes every value in force, change_end compares and
 * tells the observer; between them nothing can fail.  change_cancel undoes.
 */
struct change {
	struct setting *v; /* owned */
	char **old;        /* owned */
	const char **room; /* owned: for the names that changed */
	size_t n, room_cap;
};

/* What the worker writes; while it runs nobody else touches it. */
enum job_what { JOB_NOTHING, JOB_LOCAL, JOB_SET, JOB_FACTORY };
enum job_state { JOB_WAITS, JOB_RUNS, JOB_DONE };
struct op_job {
	enum job_what what;
	int state; /* enum job_state, atomic */
	char *dir; /* owned: the state folder, NULL: nothing is kept */
	struct buf text;
	bool keep_bad; /* save a settings.conf with errors first */
	int unsynced, bad_err, copy_err; /* told by the loop */
};

/* One change of settings, from its preparation to its end. */
enum op_kind { OP_SET, OP_UNSET, OP_APPLY, OP_RELOAD };
struct op {
	STAILQ_ENTRY(op) link;
	struct prov_store *s; /* borrowed */
	enum op_kind kind;
	enum prov_layer layer;    /* OP_SET, OP_UNSET */
	const char *name;         /* of the pool */
	const struct prov_key *k; /* and its row */
	char *value;              /* owned */
	struct layer next[PROV_LAYERS];
	bool takes[PROV_LAYERS]; /* which of them replace the old ones */
	struct change change;
	struct op_job job;
	struct prov_problems problems; /* OP_RELOAD */
	size_t num_changed;
	char why[320];
	prov_done_cb *cb; /* NULL: nobody wants to know */
	void *arg;
};

MUST_CHECK int op_new(struct op **out, struct prov_store *s, enum op_kind kind);
void op_free(struct op *o);
/* op_run does it all at once and waits for the disk; EBUSY while another is
 * under way.  op_start queues it; it takes `o` on success. */
MUST_CHECK int op_run(struct op *o);
MUST_CHECK int op_start(struct op *o, prov_done_cb *cb, void *arg);
void ops_clear(struct prov_store *s); /* the worker is gone by now */
/* reload_begin reads the files of an OP_RELOAD. */
MUST_CHECK int reload_begin(struct op *o);
extern const char factory_last[]; /* in the state folder */

struct prov_store {
	struct loop *loop;     /* borrowed, may be NULL */
	struct worker *worker; /* borrowed, may be NULL */
	char *factory_file, *state_dir;
	bool look_only;
	char mac[16];
	struct layer layers[PROV_LAYERS];
	struct names names;
	struct pending pending;
	bool weaken;    /* prov.weaken of a local layer */
	bool local_bad; /* settings.conf has lines that were left out */

	STAILQ_HEAD(, op) ops; /* owned; the first is under way */
	size_t num_ops;
	struct deferred next_op;

	prov_change_cb *cb;
	void *cb_arg;
	struct deferred deferred;
	const char **changed; /* owned; the names are the pool's */
	size_t num_changed, cap_changed;
	unsigned int scopes;
};

/* store_effective: the value in force of a canonical name, never NULL. */
const char *store_effective(const struct prov_store *s, const char *name,
    const struct prov_key *k, enum prov_layer *layer);
/* entry_block says why an entry of a layer is not in force; NULL: it is. */
const char *entry_block(
    const struct prov_store *s, enum prov_layer l, const struct entry *e);
/* store_staged: how many settings the i-th staged file has. */
size_t store_staged(const struct prov_store *s, size_t i);
void store_judge(struct prov_store *s); /* after any change: prov.weaken */
bool is_provisioned(enum prov_layer l);

/*
 * store_parse reads a text into `out` as layer `l`; the result of
 * prov_conf_parse(), or ENOMEM.  Good lines are in `out` also when it fails.
 */
struct parse_in {
	enum prov_layer layer;
	const char *file;
	struct slice text;
	bool lenient;
};
MUST_CHECK int store_parse(struct prov_store *s, const struct parse_in *in,
    struct layer *out, struct prov_problems *problems, size_t *settings);

/* One name of a merged list. */
struct setting {
	const char *name;
	const struct prov_key *k;
};
/* store_settings lists every name that a layer of `s`, or one of `more`, has,
 * sorted, each once; free() it. */
MUST_CHECK int store_settings(const struct prov_store *s,
    const struct layer *more, size_t num_more, struct setting **out, size_t *n);

MUST_CHECK int change_begin(struct prov_store *s, struct change *c,
    const struct layer *more, size_t num_more);
size_t change_end(struct prov_store *s, struct change *c);
void change_cancel(struct change *c);
void change_stop(struct prov_store *s);

/* store_path joins the state folder and a name; ENOENT without one. */
MUST_CHECK int store_path(
    const struct prov_store *s, const char *name, char *out, size_t size);

/* The provisioned set on disk: one file, so that one rename commits it. */
struct set_item {
	enum prov_layer layer;
	struct slice text; /* borrowed from the blob */
	char name[128], etag[80], url[URL_MAX];
};
struct set {
	struct buf blob; /* owned */
	struct set_item v[SET_FILES_MAX];
	size_t n;
};
void set_clear(struct set *s);
/* set_compose writes the blob of a set, with its SHA-256 at the end. */
MUST_CHECK int set_compose(
    struct buf *blob, const struct prov_file *fs, size_t num_fs);
/* set_read reads and verifies: ENOENT, E_PARSE if damaged. */
MUST_CHECK int set_read(const char *path, struct set *out);
/* set_load reads the set in force, or the previous one if it is damaged. */
MUST_CHECK int set_load(const struct prov_store *s, struct set *out);
/* set_commit puts `blob` in force on disk and keeps the one before it; for the
 * worker's thread: see file_write_quiet(). */
MUST_CHECK int set_commit(
    const char *state_dir, const struct buf *blob, int *unsynced);

/* A URL in parts. */
struct url {
	bool tls;
	uint16_t port;
	char host[256];
	char path[URL_MAX * 2]; /* percent-encoded, with the leading slash */
};
/* url_path_add appends to a path, encoding what may not stand in one. */
MUST_CHECK int url_path_add(struct url *u, const char *s);
void url_print(const struct url *u, char *out, size_t size);
/* url_resolve reads a Location (absolute, or relative to `base`); E_PARSE. */
MUST_CHECK int url_resolve(
    const struct url *base, const char *location, struct url *out);
/* url_keeps_origin: may credentials for `from` be sent to `to`?  A protection
 * space ends with its origin: scheme, host and port (RFC 9110 4.3.1, 11.5).
 * From http to https on the default ports is the one step that only gains. */
bool url_keeps_origin(const struct url *from, const struct url *to);

/* An authentication challenge, and the header that answers it. */
struct auth_challenge {
	bool basic, digest, qop_auth, sess;
	enum tls_hash_alg alg;
	bool has_opaque;
	char realm[128], nonce[256], opaque[256], algorithm[24];
};
struct auth_who {
	const char *user, *password, *method, *uri;
};
/* auth_parse reads one WWW-Authenticate header into the better of what was
 * there and what it says; E_PARSE if it is neither Basic nor Digest. */
MUST_CHECK int auth_parse(struct slice header, struct auth_challenge *c);
/* auth_answer appends the value of the Authorization header. */
MUST_CHECK int auth_answer(const struct auth_challenge *c,
    const struct auth_who *who, struct buf *out);

/* report_*: how a run failed, as class and sentence. */
void report_fail(struct prov_report *r, int err, const char *class,
    const char *what, const char *advice);
void report_net(
    struct prov_report *r, const char *host, const struct prov_http_result *h);
/* net_words: why there was no answer, as a clause that goes on, its class, and
 * what to do; no advice: it is in the clause, which TLS wrote. */
struct net_words {
	const char *class, *advice; /* static, or the verdict's */
	char what[640];
};
void net_words(
    struct net_words *w, const char *host, const struct prov_http_result *h);
void report_status(struct prov_report *r, const char *host, const char *file,
    const struct prov_http_result *h);
/* report_refused: prov_stage() said no; marks the files with fatal problems. */
void report_refused(struct prov_report *r, int err);
/* report_log writes the outcome and each problem, once: nobody else does. */
void report_log(const struct prov_report *r);

#endif
