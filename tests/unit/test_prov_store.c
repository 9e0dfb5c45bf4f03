/* SPDX-License-Identifier: ISC */
/*
 * Layers: which value wins, where it came from, what survives a restart.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "bellbird/clock.h"
#include "bellbird/file.h"
#include "bellbird/log.h"
#include "bellbird/prov_store.h"
#include "oom.h"

/* A factory file and a state folder of a test. */
struct room {
	char dir[64], conf[128], state[128];
	struct prov_store *s;
	struct prov_problems pr;
};

/* quiet drops the log: what is tested is in the problems. */
static void
quiet(enum log_level lv, enum log_cat cat, uint64_t id, const char *line,
    void *arg)
{
	(void)lv, (void)cat, (void)id, (void)line, (void)arg;
}

static void
put(const char *path, const char *text)
{
	assert_int_equal(file_write(path, text, strlen(text), 0600), 0);
}

/* in_state writes the path of a file of the state folder. */
static const char *
in_state(const struct room *r, const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", r->state, name);
	return path;
}

static int
store_open(struct room *r)
{
	struct prov_store_conf c = { .factory_file = r->conf,
		.state_dir = r->state };

	prov_problems_clear(&r->pr);
	return prov_store_open(&r->s, &c, &r->pr);
}

/* again closes and opens the store. */
static void
again(struct room *r)
{
	prov_store_free(r->s);
	r->s = NULL;
	assert_int_equal(store_open(r), 0);
}

static void
room_open(struct room *r, const char *factory)
{
	memset(r, 0, sizeof(*r));
	snprintf(r->dir, sizeof(r->dir), "/tmp/bb_store.XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	snprintf(r->conf, sizeof(r->conf), "%s/bellbird.conf", r->dir);
	snprintf(r->state, sizeof(r->state), "%s/state", r->dir);
	if (factory != NULL)
		put(r->conf, factory);
	log_set_sink(quiet, NULL);
}

static void
room_close(struct room *r)
{
	static const char *const files[] = { "bellbird.conf", "state/prov/set",
		"state/prov/set.prev", "state/prov/factory.last",
		"state/settings.conf", "state/settings.conf.bad", "state/prov",
		"state", "" };
	char path[256];

	prov_store_free(r->s);
	prov_problems_clear(&r->pr);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", r->dir, files[i]);
		if (remove(path) != 0 &&
		    i + 1 == sizeof(files) / sizeof(*files))
			fail_msg("%s left something behind", r->dir);
	}
	log_set_sink(NULL, NULL);
}

/* provision stages and applies a model, a device and two -i files. */
static void
provision(struct room *r, const char *model, const char *device,
    const char *inc1, const char *inc2)
{
	const struct prov_file all[] = {
		{ PROV_MODEL, "algopbellbird.conf", slice_of(model), NULL,
		    NULL },
		{ PROV_DEVICE, "algom0022ee112233.conf", slice_of(device), NULL,
		    NULL },
		{ PROV_INCREMENTAL, "algopbellbird-i.conf", slice_of(inc1),
		    NULL, NULL },
		{ PROV_INCREMENTAL, "algom0022ee112233-i.conf", slice_of(inc2),
		    NULL, NULL },
	};
	struct prov_file fs[4];
	size_t n = 0;

	for (size_t i = 0; i < 4; i++)
		if (all[i].text.n > 0)
			fs[n++] = all[i];
	prov_problems_clear(&r->pr);
	assert_int_equal(prov_stage(r->s, fs, n, &r->pr), 0);
	assert_int_equal(prov_apply(r->s, NULL), 0);
}

static void
set(struct room *r, enum prov_layer l, const char *key, const char *value)
{
	char why[320];

	if (prov_set(r->s, l, key, value, why, sizeof(why)) != 0)
		fail_msg("%s = %s: %s", key, value, why);
}

static void
is(struct room *r, const char *key, const char *value, enum prov_layer l)
{
	if (strcmp(prov_get(r->s, key), value) != 0 ||
	    prov_origin(r->s, key) != l)
		fail_msg("%s is %s from %s", key, prov_get(r->s, key),
		    prov_layer_name(prov_origin(r->s, key)));
}

static void
higher_layers_win(void **state)
{
	struct room r;

	(void)state;
	room_open(&r, "sip.proxy = factory\n");
	assert_int_equal(store_open(&r), 0);
	is(&r, "sip.proxy", "factory", PROV_FACTORY);
	is(&r, "sip.regexp", "3600", PROV_BUILTIN);
	assert_false(prov_is_set(r.s, "sip.regexp"));
	provision(&r, "sip.proxy = model\n", "", "", "");
	is(&r, "sip.proxy", "model", PROV_MODEL);
	provision(&r, "sip.proxy = model\n", "sip.proxy = device\n", "", "");
	is(&r, "sip.proxy", "device", PROV_DEVICE);
	provision(&r, "sip.proxy = model\n", "sip.proxy = device\n",
	    "sip.proxy = inc1\n", "sip.regexp = 90\n");
	is(&r, "sip.proxy", "inc1", PROV_INCREMENTAL);
	is(&r, "sip.regexp", "90", PROV_INCREMENTAL);
	assert_int_equal(prov_get_int(r.s, "sip.regexp"), 90);
	set(&r, PROV_LOCAL, "sip.proxy", "local");
	is(&r, "sip.proxy", "local", PROV_LOCAL);
	set(&r, PROV_CMDLINE, "sip.proxy", "argv");
	is(&r, "sip.proxy", "argv", PROV_CMDLINE);

	again(&r); /* the command line is gone, the rest is there */
	is(&r, "sip.proxy", "local", PROV_LOCAL);
	assert_int_equal(prov_unset(r.s, PROV_LOCAL, "sip.proxy"), 0);
	is(&r, "sip.proxy", "inc1", PROV_INCREMENTAL);
	provision(&r, "sip.proxy = model\n", "", "", "");
	again(&r);
	is(&r, "sip.proxy", "model", PROV_MODEL);
	is(&r, "sip.regexp", "3600", PROV_BUILTIN);
	room_close(&r);
}

static void
an_empty_value_is_the_default(void **state)
{
	struct room r;

	(void)state;
	room_open(&r, "sip.transp = udp\nsip.srtp = standard\n");
	assert_int_equal(store_open(&r), 0);
	provision(&r, "sip.transp =\nsip.srtp =\n", "", "", "");
	is(&r, "sip.transp", "tls", PROV_MODEL);
	is(&r, "sip.srtp", "disabled", PROV_MODEL);
	assert_true(prov_is_set(r.s, "sip.transp"));
	is(&r, "sip.u1.tls.verify", "", PROV_BUILTIN);
	room_close(&r);
}

static void
set_refuses_and_says_why(void **state)
{
	static const struct {
		const char *key, *value;
		int want;
		const char *why;
	} v[] = {
		{ "sip.prxoy", "a", ENOENT, "did you mean sip.proxy?" },
		{ "sip.regexp", "5", E_PROV_CONF, "60..604800 s" },
		{ "sip.u1.pwd", "a\nsip.proxy = evil", E_PROV_CONF,
		    "control character" },
	};
	char why[320];
	struct room r;

	(void)state;
	room_open(&r, NULL);
	assert_int_equal(store_open(&r), 0);
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		assert_int_equal(prov_set(r.s, PROV_LOCAL, v[i].key, v[i].value,
				     why, sizeof(why)),
		    v[i].want);
		if (strstr(why, v[i].why) == NULL)
			fail_msg("%s: %s", v[i].key, why);
	}
	assert_int_equal(
	    prov_set(r.s, PROV_MODEL, "sip.proxy", "a", why, sizeof(why)),
	    EINVAL);
	assert_int_equal(prov_unset(r.s, PROV_LOCAL, "sip.prxoy"), ENOENT);
	assert_int_equal(prov_unset(r.s, PROV_LOCAL, "sip.proxy"), 0);
	room_close(&r);
}

/* The password is in it: nobody else may read settings.conf. */
static void
settings_are_private_and_sorted(void **state)
{
	struct stat st;
	struct room r;
	struct buf b;

	(void)state;
	room_open(&r, NULL);
	assert_int_equal(store_open(&r), 0);
	set(&r, PROV_LOCAL, "sip.u1.pwd", "# odd = \"pass\" ");
	set(&r, PROV_LOCAL, "sip.alert2.user", "200");
	set(&r, PROV_LOCAL, "sip.obproxy", "");
	assert_int_equal(stat(in_state(&r, "settings.conf"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	buf_init(&b, 4096);
	assert_int_equal(file_read(in_state(&r, "settings.conf"), &b), 0);
	assert_non_null(strstr(buf_str(&b),
	    "\nsip.alert2.user = 200\nsip.obproxy =\n"
	    "sip.u1.pwd = # odd = \"pass\"\n"));
	buf_clear(&b);
	again(&r);
	assert_int_equal(r.pr.num_fatal, 0);
	is(&r, "sip.u1.pwd", "# odd = \"pass\"", PROV_LOCAL);
	is(&r, "sip.alert2.user", "200", PROV_LOCAL);
	room_close(&r);
}

static void
explain_names_file_and_line(void **state)
{
	struct jv *o = jv_obj(), *a;
	char why[200];
	struct room r;

	(void)state;
	room_open(&r, "# x\nsip.u1.pwd = geheim\n");
	assert_int_equal(store_open(&r), 0);
	provision(&r, "", "sip.proxy = a\nsip.u1.pwd = geheim2\n", "", "");
	assert_int_equal(
	    prov_explain(r.s, "sip.u1.pwd", o, why, sizeof(why)), 0);
	assert_true(jv_ok(o));
	assert_string_equal(jv_get_str(o, "key"), "sip.u1.pwd");
	assert_string_equal(jv_get_str(o, "layer"), "device");
	assert_string_equal(jv_get_str(o, "value"), "********");
	assert_non_null(jv_get_str(o, "default"));
	assert_string_equal(jv_get_str(o, "type"), "string");
	a = jv_get(o, "layers");
	assert_int_equal(jv_len(a), 3);
	assert_string_equal(jv_get_str(jv_at(a, 0), "layer"), "built-in");
	assert_string_equal(jv_get_str(jv_at(a, 1), "layer"), "factory");
	assert_string_equal(jv_get_str(jv_at(a, 1), "file"), r.conf);
	assert_int_equal(jv_get_int(jv_at(a, 1), "line", 0), 2);
	assert_false(jv_get_bool(jv_at(a, 1), "wins", true));
	assert_string_equal(
	    jv_get_str(jv_at(a, 2), "file"), "algom0022ee112233.conf");
	assert_int_equal(jv_get_int(jv_at(a, 2), "line", 0), 2);
	assert_true(jv_get_bool(jv_at(a, 2), "wins", false));
	assert_string_equal(jv_get_str(jv_at(a, 2), "value"), "********");
	jv_free(o);
	o = jv_obj();
	assert_int_equal(
	    prov_explain(r.s, "sip.u1.pdw", o, why, sizeof(why)), ENOENT);
	assert_non_null(strstr(why, "sip.u1.pwd"));
	jv_free(o);
	room_close(&r);
}

static void
export_masks_secrets(void **state)
{
	struct room r;
	struct buf b;

	(void)state;
	room_open(&r, "sip.u1.pwd = geheim\nsip.proxy = a\n");
	assert_int_equal(store_open(&r), 0);
	provision(&r, "sip.u1.user = 100\nsip.proxy =\n", "", "", "");
	buf_init(&b, 4096);
	assert_int_equal(prov_export(r.s, false, &b), 0);
	assert_string_equal(buf_str(&b),
	    "sip.proxy =\n# sip.u1.pwd = ********\nsip.u1.user = 100\n");
	buf_reset(&b);
	assert_int_equal(prov_export(r.s, true, &b), 0);
	assert_string_equal(buf_str(&b),
	    "sip.proxy =\nsip.u1.pwd = geheim\nsip.u1.user = 100\n");
	buf_clear(&b);
	room_close(&r);
}

static void
provisioning_may_not_weaken(void **state)
{
	static const struct {
		const char *line, *key, *safe, *weak;
	} v[] = {
		{ "prov.download.cert = 0\n", "prov.tls.verify", "1", "0" },
		{ "sip.tls.verify = off\n", "sip.tls.verify", "1", "0" },
		{ "sip.u1.tls.verify = 0\n", "sip.u1.tls.verify", "", "0" },
		{ "sip.tls.force = 0\n", "sip.tls.force", "1", "0" },
		{ "web.tls.min = 1.0\n", "web.tls.min", "1.2", "1.0" },
		{ "sip.tls.max = 1.1\n", "sip.tls.max", "1.3", "1.1" },
		{ "sip.tls.allow = sha1, rsa1024, no-eku\n", "sip.tls.allow",
		    "", "sha1,rsa1024,no-eku" },
		{ "prov.tls.allow = no-san\n", "prov.tls.allow", "", "no-san" },
		{ "sip.tls.cn = 1\n", "sip.tls.cn", "0", "1" },
		{ "sip.u1.tls.wildcard = on\n", "sip.u1.tls.wildcard", "",
		    "1" },
		{ "web.tls.profile = LEGACY\n", "web.tls.profile",
		    "intermediate", "legacy" },
		{ "prov.download.method = tftp\n", "prov.download.method",
		    "https", "tftp" },
	};
	struct room r;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		room_open(&r, NULL);
		assert_int_equal(store_open(&r), 0);
		provision(&r, "sip.regexp = 90\n", v[i].line, "", "");
		assert_string_equal(prov_get(r.s, v[i].key), v[i].safe);
		assert_int_equal(r.pr.n, 1);
		assert_false(r.pr.v[0].fatal);
		assert_int_equal(r.pr.v[0].line, 1);
		assert_string_equal(r.pr.v[0].file, "algom0022ee112233.conf");
		assert_non_null(
		    strstr(r.pr.v[0].text, "would weaken security"));
		again(&r);
		assert_int_equal(r.pr.n, 1);
		set(&r, PROV_LOCAL, "prov.weaken", "1");
		is(&r, v[i].key, v[i].weak, PROV_DEVICE);
		set(&r, PROV_LOCAL, "prov.weaken", "0");
		assert_string_equal(prov_get(r.s, v[i].key), v[i].safe);
		room_close(&r);
	}
}

/* A site without TLS says so in its files: that is no attack. */
static void
provisioning_may_choose_what_a_site_offers(void **state)
{
	struct room r;

	(void)state;
	room_open(&r, NULL);
	assert_int_equal(store_open(&r), 0);
	provision(&r,
	    "sip.transp = udp\nsip.srtp = disabled\nsip.allow = any\n"
	    "sip.tls.profile = modern\nsip.tls.min = 1.3\n",
	    "", "", "");
	assert_int_equal(r.pr.n, 0);
	is(&r, "sip.transp", "udp", PROV_MODEL);
	is(&r, "sip.srtp", "disabled", PROV_MODEL);
	is(&r, "sip.allow", "any", PROV_MODEL);
	is(&r, "sip.tls.profile", "modern", PROV_MODEL);
	is(&r, "sip.tls.min", "1.3", PROV_MODEL);
	room_close(&r);
}

static void
provisioning_may_not_set_local_keys(void **state)
{
	struct room r;

	(void)state;
	room_open(&r, NULL);
	assert_int_equal(store_open(&r), 0);
	provision(&r, "prov.weaken = 1\nsip.tls.verify = 0\n", "", "", "");
	is(&r, "prov.weaken", "0", PROV_BUILTIN);
	is(&r, "sip.tls.verify", "1", PROV_BUILTIN);
	/* But the owner may, without the server's help. */
	set(&r, PROV_LOCAL, "sip.tls.verify", "0");
	is(&r, "sip.tls.verify", "0", PROV_LOCAL);
	room_close(&r);
}

static void
a_bad_set_is_refused_whole(void **state)
{
	const struct prov_file fs[] = {
		{ PROV_MODEL, "m", slice_of("sip.regexp = 120\n"), NULL, NULL },
		{ PROV_DEVICE, "d", slice_of("sip.proxy = b\nsip.transp = x\n"),
		    NULL, NULL },
	};
	struct room r;

	(void)state;
	room_open(&r, NULL);
	assert_int_equal(store_open(&r), 0);
	provision(&r, "sip.proxy = a\n", "", "", "");
	assert_int_equal(prov_stage(r.s, fs, 2, &r.pr), E_PROV_CONF);
	assert_int_equal(r.pr.num_fatal, 1);
	assert_string_equal(r.pr.v[0].file, "d");
	assert_int_equal(prov_apply(r.s, NULL), EINVAL);
	is(&r, "sip.proxy", "a", PROV_MODEL);
	is(&r, "sip.regexp", "3600", PROV_BUILTIN);
	set(&r, PROV_LOCAL, "prov.lenient", "1");
	assert_int_equal(prov_stage(r.s, fs, 2, &r.pr), 0);
	assert_int_equal(prov_apply(r.s, NULL), 0);
	is(&r, "sip.proxy", "b", PROV_DEVICE);
	is(&r, "sip.transp", "tls", PROV_BUILTIN);
	room_close(&r);
}

/* spoil flips one bit in the middle of a file. */
static void
spoil(const char *path)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	assert_int_equal(file_read(path, &b), 0);
	b.p[b.n / 2] ^= 1;
	assert_int_equal(file_write(path, b.p, b.n, 0600), 0);
	buf_clear(&b);
}

static void
a_damaged_set_falls_back(void **state)
{
	struct room r;

	(void)state;
	room_open(&r, NULL);
	assert_int_equal(store_open(&r), 0);
	provision(&r, "sip.proxy = one\n", "", "", "");
	provision(&r, "sip.proxy = two\n", "", "", "");
	provision(&r, "sip.proxy = three\n", "", "", "");
	again(&r);
	is(&r, "sip.proxy", "three", PROV_MODEL);
	spoil(in_state(&r, "prov/set"));
	again(&r);
	is(&r, "sip.proxy", "two", PROV_MODEL);
	/* The damaged one does not become the previous one. */
	provision(&r, "sip.proxy = four\n", "", "", "");
	spoil(in_state(&r, "prov/set"));
	again(&r);
	is(&r, "sip.proxy", "two", PROV_MODEL);
	spoil(in_state(&r, "prov/set.prev"));
	again(&r);
	is(&r, "sip.proxy", "", PROV_BUILTIN);
	room_close(&r);
}

static void
a_bad_factory_file_uses_the_last_good_one(void **state)
{
	struct room r;

	(void)state;
	room_open(&r, "sip.prxoy = a\n");
	assert_int_equal(store_open(&r), E_PROV_CONF);
	assert_null(r.s);
	assert_int_equal(r.pr.num_fatal, 1);
	put(r.conf, "sip.proxy = good\n");
	assert_int_equal(store_open(&r), 0);
	put(r.conf, "sip.proxy = bad\nsip.transp = x\n");
	again(&r);
	is(&r, "sip.proxy", "good", PROV_FACTORY);
	assert_int_equal(r.pr.num_fatal, 1);
	assert_int_equal(r.pr.v[0].line, 2);
	assert_non_null(strstr(r.pr.v[1].text, "last good copy"));
	put(r.conf, "sip.proxy = bad\nsip.transp = x\nprov.lenient = 1\n");
	again(&r);
	is(&r, "sip.proxy", "bad", PROV_FACTORY);
	assert_int_equal(file_remove(r.conf), 0);
	again(&r);
	is(&r, "sip.proxy", "", PROV_BUILTIN);
	room_close(&r);
}

static void
bad_local_lines_are_left_out_and_kept_aside(void **state)
{
	struct room r;
	struct buf b;

	(void)state;
	room_open(&r, NULL);
	assert_int_equal(file_mkdirs(r.state, 0700), 0);
	put(in_state(&r, "settings.conf"), "sip.proxy = a\nsip.transp = x\n");
	assert_int_equal(store_open(&r), 0);
	assert_int_equal(r.pr.num_fatal, 1);
	is(&r, "sip.proxy", "a", PROV_LOCAL);
	set(&r, PROV_LOCAL, "sip.regexp", "90");
	buf_init(&b, 4096);
	assert_int_equal(file_read(in_state(&r, "settings.conf.bad"), &b), 0);
	assert_string_equal(buf_str(&b), "sip.proxy = a\nsip.transp = x\n");
	buf_clear(&b);
	again(&r);
	assert_int_equal(r.pr.num_fatal, 0);
	is(&r, "sip.proxy", "a", PROV_LOCAL);
	room_close(&r);
}

/* What the observer was told last. */
struct told {
	int calls;
	unsigned int scopes;
	char keys[256];
};

static void
on_change(
    const char *const *keys, size_t num_keys, unsigned int scopes, void *arg)
{
	struct told *t = arg;

	t->calls++;
	t->scopes = scopes;
	t->keys[0] = '\0';
	for (size_t i = 0, n = 0; i < num_keys; i++) {
		n += (size_t)snprintf(
		    t->keys + n, sizeof(t->keys) - n, "%s ", keys[i]);
		assert_true(n < sizeof(t->keys));
	}
}

static void
tells_changes_once_from_the_loop(void **state)
{
	struct prov_store_conf c = { 0 };
	struct told t = { 0 };
	struct loop *l;
	size_t changed;
	struct room r;

	(void)state;
	clock_fake(1795547180);
	assert_int_equal(loop_new(&l), 0);
	room_open(&r, "sip.proxy = a\n");
	c.factory_file = r.conf;
	c.state_dir = r.state;
	c.loop = l;
	assert_int_equal(prov_store_open(&r.s, &c, &r.pr), 0);
	prov_on_change(r.s, on_change, &t);
	set(&r, PROV_CMDLINE, "sip.proxy", "a"); /* no other value */
	loop_fake_run(l, 1000);
	assert_int_equal(t.calls, 0);
	set(&r, PROV_CMDLINE, "sip.alert1.user", "1");
	set(&r, PROV_LOCAL, "audio.device", "null");
	set(&r, PROV_LOCAL, "audio.device", "loop");
	assert_int_equal(t.calls, 0);
	loop_fake_run(l, 1000);
	assert_int_equal(t.calls, 1);
	assert_string_equal(t.keys, "sip.alert1.user audio.device ");
	assert_int_equal(t.scopes, PROV_S_REREGISTER | PROV_S_AUDIO);

	const struct prov_file f = { PROV_MODEL, "m",
		slice_of("sip.proxy = hidden\nsip.regexp = 90\n"), NULL, NULL };
	assert_int_equal(prov_stage(r.s, &f, 1, &r.pr), 0);
	assert_int_equal(prov_apply(r.s, &changed), 0);
	assert_int_equal(changed, 1);
	loop_fake_run(l, 1000);
	assert_int_equal(t.calls, 2);
	assert_string_equal(t.keys, "sip.regexp ");

	/* Freed with a change pending: the observer is not called. */
	set(&r, PROV_CMDLINE, "sip.proxy", "b");
	prov_store_free(r.s);
	r.s = NULL;
	loop_fake_run(l, 1000);
	assert_int_equal(t.calls, 2);
	room_close(&r);
	loop_free(l);
	clock_real();
}

static void
reload_takes_both_files_or_none(void **state)
{
	struct room r;

	(void)state;
	room_open(&r, "sip.proxy = a\n");
	assert_int_equal(store_open(&r), 0);
	set(&r, PROV_LOCAL, "sip.regexp", "90");
	put(r.conf, "sip.proxy = b\n");
	put(in_state(&r, "settings.conf"), "sip.regexp = 100\n");
	assert_int_equal(prov_reload(r.s, &r.pr), 0);
	is(&r, "sip.proxy", "b", PROV_FACTORY);
	is(&r, "sip.regexp", "100", PROV_LOCAL);
	put(r.conf, "sip.proxy = c\n");
	put(in_state(&r, "settings.conf"), "sip.transp = x\n");
	assert_int_equal(prov_reload(r.s, &r.pr), E_PROV_CONF);
	is(&r, "sip.proxy", "b", PROV_FACTORY);
	is(&r, "sip.regexp", "100", PROV_LOCAL);
	room_close(&r);
}

static void
the_macro_follows_the_address(void **state)
{
	struct room r;

	(void)state;
	room_open(&r, "sip.proxy = $MAC$.example\n");
	assert_int_equal(store_open(&r), 0);
	is(&r, "sip.proxy", "$MAC$.example", PROV_FACTORY);
	prov_store_set_mac(r.s, "00:22:EE:11:22:33");
	is(&r, "sip.proxy", "0022ee112233.example", PROV_FACTORY);
	set(&r, PROV_LOCAL, "sip.u1.dname", "hall $MAC$");
	is(&r, "sip.u1.dname", "hall 0022ee112233", PROV_LOCAL);
	prov_store_set_mac(r.s, "0022ee445566");
	is(&r, "sip.proxy", "0022ee445566.example", PROV_FACTORY);
	prov_store_set_mac(r.s, "");
	is(&r, "sip.proxy", "$MAC$.example", PROV_FACTORY);
	is(&r, "sip.u1.dname", "hall $MAC$", PROV_LOCAL);
	again(&r);
	is(&r, "sip.u1.dname", "hall $MAC$", PROV_LOCAL);
	room_close(&r);
}

static int
open_once(void *arg)
{
	struct room *r = arg;
	int err;

	prov_store_free(r->s);
	r->s = NULL;
	err = store_open(r);
	prov_problems_clear(&r->pr);
	return err;
}

static int
set_once(void *arg)
{
	struct room *r = arg;
	char why[200];

	return prov_set(
	    r->s, PROV_CMDLINE, "sip.alert7.user", "7", why, sizeof(why));
}

static void
survives_every_oom(void **state)
{
	struct room r;

	(void)state;
	room_open(&r, "sip.proxy = a\nsip.alert1.user = 1\n");
	assert_int_equal(store_open(&r), 0);
	provision(&r, "sip.u1.user = 1\n", "", "", "");
	set(&r, PROV_LOCAL, "sip.regexp", "90");
	assert_true(oom_each(open_once, &r) > 10);
	is(&r, "sip.u1.user", "1", PROV_MODEL);
	assert_true(oom_each(set_once, &r) > 5);
	is(&r, "sip.alert7.user", "7", PROV_CMDLINE);
	room_close(&r);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(higher_layers_win),
		cmocka_unit_test(an_empty_value_is_the_default),
		cmocka_unit_test(set_refuses_and_says_why),
		cmocka_unit_test(settings_are_private_and_sorted),
		cmocka_unit_test(explain_names_file_and_line),
		cmocka_unit_test(export_masks_secrets),
		cmocka_unit_test(provisioning_may_not_weaken),
		cmocka_unit_test(provisioning_may_choose_what_a_site_offers),
		cmocka_unit_test(provisioning_may_not_set_local_keys),
		cmocka_unit_test(a_bad_set_is_refused_whole),
		cmocka_unit_test(a_damaged_set_falls_back),
		cmocka_unit_test(a_bad_factory_file_uses_the_last_good_one),
		cmocka_unit_test(bad_local_lines_are_left_out_and_kept_aside),
		cmocka_unit_test(tells_changes_once_from_the_loop),
		cmocka_unit_test(reload_takes_both_files_or_none),
		cmocka_unit_test(the_macro_follows_the_address),
		cmocka_unit_test(survives_every_oom),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
