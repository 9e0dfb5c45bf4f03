/* SPDX-License-Identifier: ISC */
/* Domains that have offered TLS (sip.transp = auto), kept over restarts: a
 * domain that lost it while we were off is one we must not believe. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellbird/buf.h"
#include "bellbird/file.h"
#include "bellbird/log.h"
#include "bellbird/sip_limits.h"
#include "internal.h"

enum { FILE_MAX = SIPC_TLS_DOMAINS_MAX * (SIPC_HOST_MAX + 2) };

static const char file_name[] = "tls-domains";

struct domains {
	struct app *app;
	struct save *save; /* owned; the worker writes it; NULL: none */
	bool loading, again;
};

/* What the worker writes. */
struct save {
	struct domains *d;
	char path[PATH_MAX];
	struct buf text;
	int unsynced;
};

static void save_start(struct domains *d);

static void
save_free(struct save *s)
{
	buf_clear(&s->text);
	free(s);
}

/* worker_job. */
static int
save_job(void *arg)
{
	struct save *s = arg;

	return file_write_quiet(
	    s->path, s->text.p, s->text.n, 0600, &s->unsynced);
}

/* worker_done. */
static void
save_done(int err, void *arg)
{
	struct save *s = arg;
	struct domains *d = s->d;

	if (err != 0)
		log_warn(LOGC_SIP, 0,
		    "%s: the domains with TLS are not kept: %s", esc(s->path),
		    err_str(err));
	file_log_unsynced(s->path, s->unsynced);
	d->save = NULL;
	save_free(s);
	if (d->again)
		save_start(d);
}

/* sip_domain_cb: one line each. */
static void
add_line(const char *domain, void *arg)
{
	ignore_err(buf_printf(arg, "%s\n", domain), "sticks in the buf");
}

/* Writes the list; one file at a time. */
static void
save_start(struct domains *d)
{
	struct app *a = d->app;
	struct save *s;

	d->again = d->save != NULL;
	if (d->again || (s = calloc(1, sizeof(*s))) == NULL)
		return;
	s->d = d;
	buf_init(&s->text, FILE_MAX);
	sip_stack_each_tls_domain(a->sip, add_line, &s->text);
	if (s->text.err != 0 ||
	    path_join(s->path, sizeof(s->path), a->paths.state, file_name) !=
		0 ||
	    worker_run(a->worker, save_job, save_done, s) != 0) {
		log_warn(LOGC_SIP, 0, "the domains with TLS are not kept");
		save_free(s);
		return;
	}
	d->save = s;
}

void
domains_learnt(const char *domain, void *arg)
{
	struct app *a = arg;

	if (a->domains == NULL || a->domains->loading)
		return;
	log_info(LOGC_SIP, 0,
	    "%s offers TLS: with sip.transp = auto it is used from now on",
	    esc(domain));
	save_start(a->domains);
}

int
domains_open(struct app *a)
{
	struct domains *d = calloc(1, sizeof(*d));
	struct slice rest, line;
	char path[PATH_MAX], name[SIPC_HOST_MAX + 1];
	struct buf b;
	int err;

	if (d == NULL)
		return ENOMEM;
	d->app = a;
	a->domains = d;
	buf_init(&b, FILE_MAX);
	err = path_join(path, sizeof(path), a->paths.state, file_name);
	if (err == 0)
		err = file_read(path, &b);
	if (err != 0 && err != ENOENT)
		log_warn(
		    LOGC_SIP, 0, "%s: not read: %s", esc(path), err_str(err));
	d->loading = true;
	rest = (struct slice){ buf_str(&b), err == 0 ? b.n : 0 };
	while (slice_line(&rest, &line)) {
		if (str_copy_slice(name, sizeof(name), line) == 0)
			sip_stack_tls_offered(a->sip, name);
	}
	d->loading = false;
	buf_clear(&b);
	return 0;
}

void
domains_close(struct app *a)
{
	if (a->domains == NULL)
		return;
	if (a->domains->save != NULL)
		save_free(a->domains->save);
	free(a->domains);
	a->domains = NULL;
}
