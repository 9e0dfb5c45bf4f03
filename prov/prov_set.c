/* SPDX-License-Identifier: ISC */
/*
 * The provisioned set on disk: all files in one, so that one rename commits.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bellbird/file.h"
#include "bellbird/log.h"
#include "bellbird/mem.h"
#include "internal.h"

/*
 * Grammar: the mark; for each file a line "file TAB layer TAB bytes TAB name
 * TAB etag TAB url" and its bytes with a newline; a line "sha256 HEX" over all
 * that is before it.
 */
static const char set_mark[] = "bellbird-set 1\n";
static const char sum_mark[] = "sha256 ";
static const char set_name[] = "prov/set", prev_name[] = "prov/set.prev",
		  link_name[] = "prov/set.prev.tmp";

enum {
	SUM_HEX = 64,
	SUM_LINE = sizeof(sum_mark) - 1 + SUM_HEX + 1,
	/* Every file at its limit, and a head line each. */
	SET_SIZE_MAX = SET_FILES_MAX * (CONF_SIZE_MAX + 1024) + 256
};

void
set_clear(struct set *s)
{
	buf_clear(&s->blob);
	memset(s, 0, sizeof(*s));
}

/* is_plain: fits in a head line; `s` may be NULL. */
static bool
is_plain(const char *s, size_t max)
{
	return s != NULL && strlen(s) < max && strpbrk(s, "\t\r\n") == NULL;
}

int
set_compose(struct buf *blob, const struct prov_file *fs, size_t num_fs)
{
	char sum[SUM_HEX + 1];
	const struct prov_file *f;
	struct set_item it;

	buf_clear(blob);
	buf_init_secret(blob, SET_SIZE_MAX);
	buf_puts(blob, set_mark);
	for (size_t i = 0; i < num_fs; i++) {
		f = &fs[i];
		if (!is_plain(f->name, sizeof(it.name)))
			return E_LIMIT;
		buf_printf(blob, "file\t%d\t%zu\t%s\t%s\t%s\n", (int)f->layer,
		    f->text.n, f->name,
		    is_plain(f->etag, sizeof(it.etag)) ? f->etag : "",
		    is_plain(f->url, sizeof(it.url)) ? f->url : "");
		buf_add(blob, f->text.p, f->text.n);
		buf_puts(blob, "\n");
	}
	if (blob->err != 0)
		return blob->err;
	tls_hash_hex(TLS_SHA256, blob->p, blob->n, sum);
	return buf_printf(blob, "%s%s\n", sum_mark, sum);
}

/* head_parse reads a head line; the byte count goes to `*bytes`. */
static int
head_parse(struct slice line, struct set_item *it, size_t *bytes)
{
	struct slice f[6];
	int64_t layer, n;

	for (size_t i = 0; i < 6; i++)
		if (slice_cut(line, '\t', &f[i], &line) != (i < 5))
			return E_PARSE;
	if (!slice_is(f[0], "file") ||
	    str_int(f[1], PROV_MODEL, PROV_INCREMENTAL, &layer) != 0 ||
	    str_int(f[2], 0, CONF_SIZE_MAX, &n) != 0 ||
	    str_copy_slice(it->name, sizeof(it->name), f[3]) != 0 ||
	    str_copy_slice(it->etag, sizeof(it->etag), f[4]) != 0 ||
	    str_copy_slice(it->url, sizeof(it->url), f[5]) != 0)
		return E_PARSE;
	it->layer = (enum prov_layer)layer;
	*bytes = (size_t)n;
	return 0;
}

/* sum_holds checks the last line; `*body` is what it covers. */
static bool
sum_holds(struct slice all, struct slice *body)
{
	char sum[SUM_HEX + 1];
	const char *tail;

	if (all.n < SUM_LINE + sizeof(set_mark) - 1)
		return false;
	tail = all.p + all.n - SUM_LINE;
	if (memcmp(tail, sum_mark, sizeof(sum_mark) - 1) != 0)
		return false;
	*body = (struct slice){ all.p, all.n - SUM_LINE };
	tls_hash_hex(TLS_SHA256, body->p, body->n, sum);
	return memcmp(tail + sizeof(sum_mark) - 1, sum, SUM_HEX) == 0;
}

/* set_parse takes a blob apart; the items borrow from it. */
static int
set_parse(struct set *s)
{
	struct slice rest, line;
	struct set_item *it;
	size_t bytes = 0;

	if (!sum_holds((struct slice){ buf_str(&s->blob), s->blob.n }, &rest) ||
	    !slice_line(&rest, &line) || !slice_is(line, "bellbird-set 1"))
		return E_PARSE;
	while (rest.n > 0) {
		if (s->n == SET_FILES_MAX || !slice_line(&rest, &line))
			return E_PARSE;
		it = &s->v[s->n];
		if (head_parse(line, it, &bytes) != 0 || rest.n < bytes + 1)
			return E_PARSE;
		it->text = (struct slice){ rest.p, bytes };
		rest.p += bytes + 1;
		rest.n -= bytes + 1;
		s->n++;
	}
	return 0;
}

int
set_read(const char *path, struct set *out)
{
	struct set s = { 0 };
	int err;

	buf_init_secret(&s.blob, SET_SIZE_MAX);
	if ((err = file_read(path, &s.blob)) == 0)
		err = set_parse(&s);
	if (err != 0) {
		set_clear(&s);
		return err;
	}
	*out = s;
	return 0;
}

int
set_load(const struct prov_store *s, struct set *out)
{
	char path[512], prev[512];
	int err, err2;

	if ((err = store_path(s, set_name, path, sizeof(path))) != 0 ||
	    (err = store_path(s, prev_name, prev, sizeof(prev))) != 0)
		return err;
	err = set_read(path, out);
	if (err == 0 || err == ENOMEM)
		return err;
	err2 = set_read(prev, out);
	if (err == ENOENT && err2 == ENOENT)
		return ENOENT;
	log_err(LOGC_PROV, 0, "%s is damaged or missing (%s): %s", esc(path),
	    err_str(err),
	    err2 == 0 ? "the previous set is used"
		      : "and there is no previous one");
	return err2;
}

/* prev_keep makes the set in force the previous one, without a moment in
 * which there is none. */
static int
prev_keep(const char *state_dir, const struct buf *now, int *unsynced)
{
	char path[512], prev[512], tmp[512];
	int err;

	if ((err = path_join(path, sizeof(path), state_dir, set_name)) != 0 ||
	    (err = path_join(prev, sizeof(prev), state_dir, prev_name)) != 0 ||
	    (err = path_join(tmp, sizeof(tmp), state_dir, link_name)) != 0)
		return err;
	if (unlink(tmp) != 0 && errno != ENOENT)
		return errno;
	/* A folder without hard links (vfat) gets a copy. */
	if (link(path, tmp) != 0)
		return file_write_quiet(prev, now->p, now->n, 0600, unsynced);
	if (rename(tmp, prev) != 0)
		return errno;
	return 0;
}

int
set_commit(const char *state_dir, const struct buf *blob, int *unsynced)
{
	struct set now = { 0 };
	char path[512], dir[512];
	int err;

	if ((err = path_join(path, sizeof(path), state_dir, set_name)) != 0)
		return err;
	err = set_read(path, &now);
	if (err == ENOMEM)
		return err;
	if (err == 0 && now.blob.n == blob->n &&
	    memcmp(now.blob.p, blob->p, blob->n) == 0) {
		set_clear(&now); /* spares the flash */
		return 0;
	}
	/* A damaged set must not take the place of a good previous one. */
	if (err == 0)
		err = prev_keep(state_dir, &now.blob, unsynced);
	else if ((err = path_join(dir, sizeof(dir), state_dir, "prov")) == 0)
		err = file_mkdirs(dir, 0700);
	if (err == 0)
		err = file_write_quiet(path, blob->p, blob->n, 0600, unsynced);
	set_clear(&now);
	return err;
}
