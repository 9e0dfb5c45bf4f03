/* SPDX-License-Identifier: ISC */
/* What an operator should hear of the trust sets, beside errors: a file that
 * does not count, and built-in CAs that grow old. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

enum {
	S_PER_DAY = 86400,
	/* CAs come and go; Debian's list changed every 6 to 12 months. */
	SNAPSHOT_DAYS_MAX = 400,
	DATE_LEN = 10
};

/* "# bellbird CA snapshot 2026-11-25", the first line that `make install`
 * writes (contrib/local.mk). */
static const char snapshot_head[] = "# bellbird CA snapshot ";

/* The day of the snapshot, in seconds since 1970; 0: the file is none. */
static int64_t
snapshot_time(const char *path)
{
	char head[sizeof(snapshot_head) + DATE_LEN] = "", iso[32];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;
	int64_t s;

	if (fd < 0)
		return 0;
	n = read(fd, head, sizeof(head) - 1);
	close(fd);
	if (n != sizeof(head) - 1 ||
	    strncmp(head, snapshot_head, sizeof(snapshot_head) - 1) != 0)
		return 0;
	(void)snprintf(
	    iso, sizeof(iso), "%sT00:00:00Z", head + sizeof(snapshot_head) - 1);
	return wallclock_parse(slice_of(iso), &s) == 0 ? s : 0;
}

/* Is the set in force for SIP, by the general settings or an account's? */
static bool
counts_for_sip(const struct app *a, unsigned int set)
{
	const struct account *ac = NULL;
	struct tls_settings s;
	char why[WHY_SIZE];

	for (int i = 0; i < 2; i++)
		if (settings_tls(a, TLS_USE_SIP, i == 0 ? NULL : "u1", &s, why,
			sizeof(why)) == 0 &&
		    (s.trust & set) != 0)
			return true;
	while ((ac = accounts_next(a->accounts, ac)) != NULL)
		if (settings_tls(a, TLS_USE_SIP, account_id(ac), &s, why,
			sizeof(why)) == 0 &&
		    (s.trust & set) != 0)
			return true;
	return false;
}

/* The 1.7.x rule's file under the rule of today: an upload that does nothing
 * looks like a CA that does not fit. */
static void
warn_siptrusted(const struct app *a, struct jv *out)
{
	if (tls_env_num_anchors(a->tls, TLS_TRUST_SIPTRUSTED) == 0 ||
	    counts_for_sip(a, TLS_TRUST_SIPTRUSTED))
		return;
	jv_add(out,
	    jv_str("certs/siptrusted.pem is there, but sip.tls.trust does not "
		   "use it: move it to certs/trusted"));
}

static void
warn_snapshot(const struct app *a, struct jv *out)
{
	int64_t days = (clock_wall_s() - a->ca_snapshot_s) / S_PER_DAY;
	char text[240];

	if (a->ca_snapshot_s == 0 || days <= SNAPSHOT_DAYS_MAX)
		return;
	(void)snprintf(text, sizeof(text),
	    "the built-in CAs are a snapshot that is %lld days old: newer CAs "
	    "are unknown here, and withdrawn ones still count; install a newer "
	    "build, or use certs/trusted alone",
	    (long long)days);
	jv_add(out, jv_str(text));
}

void
trust_warnings(const struct app *a, struct jv *out)
{
	warn_siptrusted(a, out);
	warn_snapshot(a, out);
}

void
trust_check(struct app *a)
{
	struct jv *now = jv_obj(), *arr = jv_arr();

	a->ca_snapshot_s = snapshot_time(BELLBIRD_CA_FILE);
	trust_warnings(a, arr);
	for (size_t i = 0; i < jv_len(arr); i++) {
		const char *text = jv_as_str(jv_at(arr, i));

		if (!jv_get_bool(a->trust_told, text, false))
			log_warn(LOGC_TLS, 0, "%s", text);
		jv_set_bool(now, text, true);
	}
	jv_free(arr);
	jv_free(a->trust_told);
	a->trust_told = now;
}

/* ---- reading again ---- */

struct indexing {
	struct app *app;
	char dir[PATH_MAX];
};

/* worker_job. */
static int
index_job(void *arg)
{
	const struct indexing *x = arg;

	return tls_index_make(BELLBIRD_CA_FILE, x->dir);
}

/* worker_done: without an index the loop makes it, as ever. */
static void
on_indexed(int err, void *arg)
{
	struct indexing *x = arg;
	struct app *a = x->app;

	a->indexing = NULL;
	free(x);
	if (err != 0)
		log_info(LOGC_TLS, 0, "trust index not stored reason=\"%s\"",
		    err_str(err));
	trust_reload(a);
}

void
trust_refresh(struct app *a)
{
	struct indexing *x;

	if (a->indexing != NULL)
		return; /* on_indexed() reads all of it */
	if (tls_index_is_made(BELLBIRD_CA_FILE, a->paths.state) ||
	    (x = calloc(1, sizeof(*x))) == NULL) {
		trust_reload(a);
		return;
	}
	x->app = a;
	ignore_err(str_copy(x->dir, sizeof(x->dir), a->paths.state),
	    "it is as long as that");
	a->indexing = x;
	if (worker_run(a->worker, index_job, on_indexed, x) != 0)
		on_indexed(0, x);
}

void
trust_reload(struct app *a)
{
	tls_env_reload(a->tls);
	expiry_load(a);
	expiry_check(a);
	trust_check(a);
	enroll_check(a); /* the owner's certificate may have come or gone */
}
