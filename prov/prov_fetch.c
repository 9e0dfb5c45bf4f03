/* SPDX-License-Identifier: ISC */
/*
 * A provisioning run: every file is fetched, then all are judged, then all
 * are applied as one set, or none.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellbird/clock.h"
#include "bellbird/log.h"
#include "bellbird/mem.h"
#include "internal.h"

enum {
	RUN_MS = 60000,    /* four files, an overloaded server, one retry */
	FILE_MS = 30000,   /* of it, one file at most */
	REDIRECTS_MAX = 5, /* field.md 1.1 */
	BODY_MAX = CONF_SIZE_MAX
};

/* A file of the run. */
struct fetch {
	enum prov_layer layer;
	bool upper;     /* the MAC in capitals is tried now */
	bool have;      /* it belongs to the set */
	bool unchanged; /* 304: the text is the stored one */
	char url[URL_MAX];
	struct buf text;
};

struct prov_run {
	struct prov_run **slot;
	prov_run_cb *cb;
	struct prov_run_conf conf; /* borrowed objects */
	char *model, *user_agent;  /* owned copies */
	char mac[13];
	int64_t started_us, deadline_us;
	struct url base, at; /* the folder; what is asked for now */
	unsigned int hops;
	struct set stored;
	struct fetch files[SET_FILES_MAX];
	size_t file;
	struct prov_http *http;
	struct prov_report report;
};

static void file_start(struct prov_run *r);

/* run_free frees a run that has ended, or never began. */
static void
run_free(struct prov_run *r)
{
	if (r == NULL)
		return;
	prov_http_stop(&r->http);
	prov_forget(r->conf.store, r);
	for (size_t i = 0; i < SET_FILES_MAX; i++)
		buf_clear(&r->files[i].text);
	set_clear(&r->stored);
	prov_report_clear(&r->report);
	free(r->model);
	free(r->user_agent);
	free(r);
}

/* run_finish reports: slot, log, callback, memory. */
static void
run_finish(struct prov_run *r)
{
	struct prov_report *p = &r->report;

	p->took_us = clock_mono_us() - r->started_us;
	report_log(p);
	*r->slot = NULL;
	r->cb(p, r->conf.arg);
	run_free(r);
}

/* stored_of finds the stored copy of the file that is asked for now. */
static const struct set_item *
stored_of(const struct prov_run *r)
{
	const struct set_item *it;

	for (size_t i = 0; i < r->stored.n; i++) {
		it = &r->stored.v[i];
		if (it->etag[0] != '\0' &&
		    strcmp(it->name, r->report.files[r->file].name) == 0 &&
		    strcmp(it->url, r->files[r->file].url) == 0)
			return it;
	}
	return NULL;
}

static void on_http(const struct prov_http_result *h, void *arg);

/* get asks for `r->at`. */
static int
get(struct prov_run *r)
{
	const struct set_item *it = stored_of(r);
	const char *user = prov_get(r->conf.store, "prov.auth.user");
	int64_t left_ms = (r->deadline_us - clock_mono_us()) / 1000;
	struct tls_policy policy;
	struct prov_http_conf c = {
		.loop = r->conf.loop,
		.dns = r->conf.dns,
		.tls = r->conf.tls,
		.policy = r->at.tls ? &policy : NULL,
		.host = r->at.host,
		.port = r->at.port,
		.path = r->at.path,
		.user = user[0] != '\0' ? user : NULL,
		.password = prov_get(r->conf.store, "prov.auth.pwd"),
		.if_none_match = it != NULL ? it->etag : NULL,
		.user_agent = r->user_agent,
		.max_body = BODY_MAX,
	};
	int err;

	if (left_ms <= 0)
		return ETIMEDOUT;
	c.timeout_ms = (unsigned int)(left_ms < FILE_MS ? left_ms : FILE_MS);
	if (r->at.tls &&
	    (err = r->conf.policy(r->at.host, &policy, r->conf.arg)) != 0)
		return err;
	return prov_http_get(&r->http, &c, on_http, r);
}

/* get_or_end asks for `r->at`, or ends the run. */
static void
get_or_end(struct prov_run *r)
{
	struct prov_http_result h = { 0 };

	if ((h.err = get(r)) == 0)
		return;
	if (h.err == E_TLS_PARAM)
		report_fail(&r->report, h.err, "tls.policy",
		    "the settings under prov.tls contradict each other",
		    "run bellbird config check");
	else
		report_net(&r->report, r->at.host, &h);
	run_finish(r);
}

/* name_add appends a file to the list. */
static void
name_add(struct prov_run *r, enum prov_layer l, const char *kind,
    const char *id, const char *tail)
{
	struct prov_file_report *f = &r->report.files[r->report.num_files];

	if (id[0] == '\0')
		return;
	snprintf(f->name, sizeof(f->name), "%s%.100s%s", kind, id, tail);
	r->files[r->report.num_files++].layer = l;
}

/* names_list lists the files of this device. */
static void
names_list(struct prov_run *r)
{
	name_add(r, PROV_MODEL, "algop", r->model, ".conf");
	name_add(r, PROV_DEVICE, "algom", r->mac, ".conf");
	if (!prov_get_bool(r->conf.store, "prov.i"))
		return;
	name_add(r, PROV_INCREMENTAL, "algop", r->model, "-i.conf");
	name_add(r, PROV_INCREMENTAL, "algom", r->mac, "-i.conf");
}

/* set_files collects the files of the new set. */
static size_t
set_files(const struct prov_run *r, struct prov_file fs[static SET_FILES_MAX])
{
	const struct fetch *f;
	size_t n = 0;

	for (size_t i = 0; i < r->report.num_files; i++) {
		f = &r->files[i];
		if (!f->have)
			continue;
		fs[n++] = (struct prov_file){
			.layer = f->layer,
			.name = r->report.files[i].name,
			.text = { buf_str(&f->text), f->text.n },
			.etag = r->report.files[i].etag,
			.url = f->url,
		};
	}
	return n;
}

/* done_text says what a run that went well has done. */
static void
done_text(struct prov_run *r, size_t fetched, size_t unchanged)
{
	struct prov_report *p = &r->report;

	if (p->applied || r->conf.dry)
		snprintf(p->text, sizeof(p->text),
		    "%zu file%s fetched, %zu unchanged; %s.", fetched,
		    fetched == 1 ? "" : "s", unchanged,
		    r->conf.dry              ? "a dry run: nothing was applied"
			: p->num_changed > 0 ? "new settings are in force"
					     : "no setting has changed");
	else
		snprintf(p->text, sizeof(p->text),
		    "nothing has changed on the server.");
}

/* applied reports how the apply ended. */
static void
applied(struct prov_run *r, int err)
{
	struct prov_report *p = &r->report;
	size_t have = 0, fetched = 0;
	char what[160];

	if (err != 0) {
		snprintf(what, sizeof(what),
		    "the new settings could not be written to disk (%s)",
		    err_str(err));
		report_fail(p, err, "store.write", what,
		    "check the space and the rights of the state directory");
		run_finish(r);
		return;
	}
	for (size_t i = 0; i < p->num_files; i++) {
		have += r->files[i].have;
		fetched += r->files[i].have && !r->files[i].unchanged;
	}
	done_text(r, fetched, have - fetched);
	run_finish(r);
}

/* prov_done_cb. */
static void
on_applied(const struct prov_outcome *o, void *arg)
{
	struct prov_run *r = arg;

	r->report.num_changed = o->num_changed;
	r->report.applied = o->err == 0;
	applied(r, o->err);
}

/* run_apply judges and applies what was fetched. */
static void
run_apply(struct prov_run *r)
{
	struct prov_report *p = &r->report;
	struct prov_file fs[SET_FILES_MAX];
	size_t n = set_files(r, fs), fetched = 0, k = 0;
	int err;

	for (size_t i = 0; i < p->num_files; i++)
		fetched += r->files[i].have && !r->files[i].unchanged;
	if (fetched == 0 && n == r->stored.n && !r->conf.dry) {
		done_text(r, 0, n);
		run_finish(r);
		return;
	}
	err = prov_stage(r->conf.store, fs, n, &p->problems);
	if (err != 0) {
		report_refused(p, err);
		run_finish(r);
		return;
	}
	for (size_t i = 0; i < p->num_files; i++)
		if (r->files[i].have)
			p->files[i].settings = store_staged(r->conf.store, k++);
	if (r->conf.dry) {
		prov_unstage(r->conf.store);
		applied(r, 0);
		return;
	}
	if ((err = prov_apply_start(r->conf.store, on_applied, r)) != 0)
		applied(r, err);
}

/* run_end comes after the last file. */
static void
run_end(struct prov_run *r)
{
	struct prov_http_result none = { .status = 404 };
	size_t have = 0;

	for (size_t i = 0; i < r->report.num_files; i++)
		have += r->files[i].have &&
		    r->report.files[i].state != PROV_FS_KEPT;
	if (have == 0)
		report_status(&r->report, r->base.host, "every file", &none);
	if (have == 0)
		run_finish(r);
	else
		run_apply(r);
}

/* file_next goes on with the next file. */
static void
file_next(struct prov_run *r)
{
	r->file++;
	file_start(r);
}

/* take_body keeps the body of a 200, or the stored one after a 304. */
static void
take_body(struct prov_run *r, struct slice body, const char *etag,
    enum prov_file_state state)
{
	struct prov_file_report *f = &r->report.files[r->file];
	struct fetch *x = &r->files[r->file];

	buf_clear(&x->text);
	buf_init_secret(&x->text, BODY_MAX);
	if (body.n > 0 && buf_add(&x->text, body.p, body.n) != 0) {
		report_refused(&r->report, x->text.err);
		run_finish(r);
		return;
	}
	ignore_err(str_copy(f->etag, sizeof(f->etag), etag),
	    "an ETag cut short only costs a transfer");
	f->bytes = body.n;
	f->state = state;
	x->have = true;
	x->unchanged = state != PROV_FS_FETCHED;
	if (x->upper && state == PROV_FS_FETCHED)
		log_warn(LOGC_PROV, 0,
		    "%s was found with the MAC address in capitals only",
		    esc(f->name));
	file_next(r);
}

/* on_page refuses a web page with status 200: a login form, most likely. */
static void
on_page(struct prov_run *r, const struct prov_http_result *h)
{
	struct prov_file_report *f = &r->report.files[r->file];

	f->bytes = h->body.n;
	prov_problems_add(&r->report.problems, f->name, 0, 0, true,
	    "this is not a configuration: the server calls it %s (%zu bytes)",
	    esc(h->content_type), h->body.n);
	report_refused(&r->report, E_PROV_NOT_CONF);
	run_finish(r);
}

/* kept_of finds the copy of a file that this server once had. */
static const struct set_item *
kept_of(const struct prov_run *r)
{
	const struct set_item *it;

	for (size_t i = 0; i < r->stored.n; i++) {
		it = &r->stored.v[i];
		/* Either case of the MAC address. */
		if (strcmp(it->name, r->report.files[r->file].name) == 0 &&
		    strcasecmp(it->url, r->files[r->file].url) == 0)
			return it;
	}
	return NULL;
}

/* on_absent: this device has no such file; the other case is tried once. */
static void
on_absent(struct prov_run *r)
{
	struct fetch *x = &r->files[r->file];
	const struct set_item *it;
	bool letters = strpbrk(r->mac, "abcdef") != NULL;

	if (!x->upper && letters &&
	    strncmp(r->report.files[r->file].name, "algom", 5) == 0) {
		x->upper = true;
		file_start(r);
		return;
	}
	/* A file that is only lost must not take the device off the air. */
	if ((it = kept_of(r)) != NULL) {
		prov_problems_add(&r->report.problems, it->name, 0, 0, false,
		    "the server has this file no more: its last settings "
		    "stay until another takes its place");
		take_body(r, it->text, it->etag, PROV_FS_KEPT);
		return;
	}
	r->report.files[r->file].state = PROV_FS_ABSENT;
	file_next(r);
}

/* redirect_why judges a redirection; NULL: it may be followed. */
static const char *
redirect_why(const struct prov_run *r, const struct url *to, int err)
{
	if (r->hops >= REDIRECTS_MAX)
		return "redirects more than five times";
	if (err != 0)
		return "redirects without saying where to";
	if (r->at.tls && !to->tls)
		return "redirects from https to http";
	if (prov_get(r->conf.store, "prov.auth.user")[0] != '\0' &&
	    !url_keeps_origin(&r->base, to))
		return "redirects to another host, port or scheme, which must "
		       "not see our password";
	return NULL;
}

/* on_redirect follows a redirection, within limits. */
static void
on_redirect(struct prov_run *r, const struct prov_http_result *h)
{
	char what[360];
	struct url to;
	int err = url_resolve(&r->at, h->location, &to);
	const char *why = redirect_why(r, &to, err);

	if (why == NULL) {
		r->hops++;
		r->at = to;
		get_or_end(r);
		return;
	}
	snprintf(what, sizeof(what), "%s %s (HTTP status %d)", r->at.host, why,
	    h->status);
	report_fail(&r->report, E_PROV_HTTP, "http.redirect", what,
	    "set prov.server.static and prov.download.cfgpath to the final "
	    "place");
	run_finish(r);
}

/* is_redirect tells the statuses that name another place. */
static bool
is_redirect(int status)
{
	return status == 301 || status == 302 || status == 303 ||
	    status == 307 || status == 308;
}

/* on_http judges one answer. */
static void
on_http(const struct prov_http_result *h, void *arg)
{
	struct prov_run *r = arg;
	struct prov_file_report *f = &r->report.files[r->file];
	const struct set_item *it = stored_of(r);

	f->http_status = h->status;
	if (h->verdict != NULL)
		r->report.verdict = *h->verdict;
	if (h->status != 0)
		f->state = PROV_FS_REFUSED; /* until it turns out well */
	memcpy(r->report.date, h->date, sizeof(r->report.date));
	if (h->err != 0) {
		report_net(&r->report, r->at.host, h);
		run_finish(r);
	} else if (h->status == 200) {
		if (strncasecmp(h->content_type, "text/html", 9) == 0)
			on_page(r, h);
		else
			take_body(r, h->body, h->etag, PROV_FS_FETCHED);
	} else if (h->status == 304 && it != NULL) {
		take_body(r, it->text, it->etag, PROV_FS_UNCHANGED);
	} else if (h->status == 404 || h->status == 410) {
		on_absent(r);
	} else if (is_redirect(h->status)) {
		on_redirect(r, h);
	} else {
		report_status(&r->report, r->at.host, f->name, h);
		run_finish(r);
	}
}

/* upper_mac writes the MAC of a file name in capitals. */
static void
upper_mac(const struct prov_run *r, char *name)
{
	char *p = strstr(name, r->mac);

	for (size_t i = 0; p != NULL && i < sizeof(r->mac) - 1; i++)
		p[i] = (char)toupper((unsigned char)p[i]);
}

/* file_start asks for the current file, or ends the run after the last. */
static void
file_start(struct prov_run *r)
{
	char name[128];

	if (r->file == r->report.num_files) {
		run_end(r);
		return;
	}
	memcpy(name, r->report.files[r->file].name, sizeof(name));
	if (r->files[r->file].upper)
		upper_mac(r, name);
	r->hops = 0;
	r->at = r->base;
	ignore_err(url_path_add(&r->at, name), "the base leaves room");
	url_print(&r->at, r->files[r->file].url, URL_MAX);
	get_or_end(r);
}

/* base_set reads the server's place from the settings. */
static int
base_set(struct prov_run *r, char *why, size_t why_size)
{
	const struct prov_store *s = r->conf.store;
	const char *server = prov_get(s, "prov.server.static");
	const char *path = prov_get(s, "prov.download.cfgpath");
	struct slice host;
	size_t n;

	r->base.tls = strcmp(prov_get(s, "prov.download.method"), "https") == 0;
	r->base.port = r->base.tls ? 443 : 80;
	if (addr_split(slice_of(server), &host, &r->base.port) != 0 ||
	    str_copy_slice(r->base.host, sizeof(r->base.host), host) != 0) {
		snprintf(why, why_size, "prov.server.static is not a host");
		return EINVAL;
	}
	while (*path == '/')
		path++;
	snprintf(r->base.path, sizeof(r->base.path), "/");
	/* Room for a file name of 128 encoded bytes must stay. */
	if (strlen(path) > 128 || url_path_add(&r->base, path) != 0) {
		snprintf(why, why_size,
		    "prov.download.cfgpath has more than 128 bytes");
		return EINVAL;
	}
	n = strlen(r->base.path);
	if (r->base.path[n - 1] != '/' && url_path_add(&r->base, "/") != 0)
		return EINVAL;
	url_print(&r->base, r->report.server, sizeof(r->report.server));
	return 0;
}

/* settings_judge tells whether the settings ask for a run at all. */
static int
settings_judge(const struct prov_store *s, char *why, size_t why_size)
{
	const char *method = prov_get(s, "prov.download.method");
	const char *find = prov_get(s, "prov.server.method");
	const char *server = prov_get(s, "prov.server.static");

	if (!prov_get_bool(s, "prov.use")) {
		snprintf(why, why_size,
		    "provisioning is switched off (prov.use = 0)");
		return E_PROV_DISABLED;
	}
	if (strcmp(find, "static") != 0 && strcmp(find, "auto") != 0) {
		snprintf(why, why_size,
		    "prov.server.method = %s is not possible in this version: "
		    "use static, with prov.server.static",
		    find);
		return EINVAL;
	}
	if (server[0] == '\0') {
		snprintf(why, why_size,
		    "no provisioning server is configured: set "
		    "prov.server.static");
		return EINVAL;
	}
	if (strcmp(method, "https") != 0 && strcmp(method, "http") != 0) {
		snprintf(why, why_size,
		    "prov.download.method = %s is not possible in this "
		    "version: use https",
		    method);
		return EINVAL;
	}
	return 0;
}

/* run_fill prepares everything before the first byte is sent. */
static int
run_fill(struct prov_run *r, char *why, size_t why_size)
{
	unsigned int ms = r->conf.timeout_ms ? r->conf.timeout_ms : RUN_MS;
	const struct prov_run_conf *c = &r->conf;
	int err;

	r->started_us = clock_mono_us();
	r->deadline_us = r->started_us + (int64_t)ms * 1000;
	r->report.started_wall_us = clock_wall_us();
	if ((r->model = strdup(c->model ? c->model : "")) == NULL ||
	    (r->user_agent =
		    strdup(c->user_agent ? c->user_agent : "bellbird")) == NULL)
		return ENOMEM;
	if (c->mac != NULL && c->mac[0] != '\0' &&
	    (err = str_mac_norm(slice_of(c->mac), r->mac)) != 0) {
		snprintf(why, why_size, "%s is not a MAC address", esc(c->mac));
		return EINVAL;
	}
	if ((err = base_set(r, why, why_size)) != 0)
		return err;
	names_list(r);
	if (r->report.num_files == 0) {
		snprintf(why, why_size,
		    "neither model nor MAC address is known: set device.mac");
		return EINVAL;
	}
	/* No stored set only means that everything is fetched. */
	err = set_load(c->store, &r->stored);
	return err == ENOMEM ? err : 0;
}

int
prov_run_start(struct prov_run **slot, const struct prov_run_conf *conf,
    prov_run_cb *cb, char *why, size_t why_size)
{
	struct prov_run *r;
	char name[128];
	int err;

	if (why_size > 0)
		why[0] = '\0';
	if ((err = settings_judge(conf->store, why, why_size)) != 0)
		return err;
	if ((r = calloc(1, sizeof(*r))) == NULL)
		return ENOMEM;
	r->slot = slot;
	r->cb = cb;
	r->conf = *conf;
	if ((err = run_fill(r, why, why_size)) != 0)
		goto out;
	memcpy(name, r->report.files[0].name, sizeof(name));
	r->at = r->base;
	if ((err = url_path_add(&r->at, name)) != 0)
		goto out;
	url_print(&r->at, r->files[0].url, URL_MAX);
	if ((err = get(r)) != 0) {
		snprintf(why, why_size, "%s cannot be asked: %s",
		    r->report.server, err_str(err));
		goto out;
	}
	*slot = r;
	return 0;
out:
	run_free(r);
	return err;
}

void
prov_run_stop(struct prov_run **slot)
{
	run_free(*slot);
	*slot = NULL;
}
