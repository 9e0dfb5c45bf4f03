/* SPDX-License-Identifier: ISC */
/* What goes to the terminal: results and events to standard output, what went
 * wrong to standard error; with --json one object, in failure too. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

enum {
	/* A status with everything in it is 100 KiB. */
	TEXT_MAX = 4 * 1024 * 1024
};

/* Is standard output a terminal that wants colours?  (no-color.org) */
static bool
wants_colour(void)
{
	const char *no = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	return (no == NULL || no[0] == '\0') && isatty(STDOUT_FILENO) &&
	    term != NULL && strcmp(term, "dumb") != 0;
}

/* Writes all, and says so if memory did not suffice. */
static void
flush_text(FILE *f, const struct buf *b)
{
	(void)fwrite(buf_str(b), 1, b->n, f);
	if (b->err != 0)
		(void)fprintf(
		    stderr, "bellbird: output cut: %s\n", err_str(b->err));
	(void)fflush(f);
}

void
ctl_say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vprintf(fmt, ap);
	va_end(ap);
	(void)fflush(stdout);
}

/* ---- results ---- */

/* A result that is one field, printed bare: fit for $(..). */
static void
page_value(struct buf *b, const struct jv *o)
{
	ctl_put_value(b, jv_get(o, "value"));
	buf_puts(b, "\n");
}

/* A settings file: its newlines are its own. */
static void
page_text(struct buf *b, const struct jv *o)
{
	struct slice rest = slice_of(jv_get_str(o, "text")), line;
	char *s;

	while (slice_line(&rest, &line)) {
		if ((s = slice_dup(line)) == NULL) {
			b->err = ENOMEM;
			return;
		}
		ctl_put(b, s);
		buf_puts(b, "\n");
		free(s);
	}
}

/* "config set": what was stored. */
static void
page_set(struct buf *b, const struct jv *o)
{
	ctl_put_value(b, jv_get(o, "key"));
	if (jv_get(o, "value") != NULL) {
		buf_puts(b, " = ");
		ctl_put_value(b, jv_get(o, "value"));
	} else {
		buf_puts(b, jv_get_bool(o, "set", false) ? " set" : " unset");
	}
	if (jv_get(o, "counts") != NULL) {
		buf_puts(b, ", counts ");
		ctl_put_value(b, jv_get(o, "counts"));
	}
	buf_puts(b, "\n");
}

/* "config check": problems as file:line:column, like a compiler. */
static void
page_check(struct buf *b, const struct jv *o)
{
	const struct jv *files = jv_get(o, "files");

	for (size_t i = 0; i < jv_len(files); i++) {
		const struct jv *f = jv_at(files, i);
		const struct jv *ps = jv_get(f, "problems");

		for (size_t k = 0; k < jv_len(ps); k++) {
			const struct jv *p = jv_at(ps, k);

			ctl_put(b, jv_get_str(p, "file"));
			buf_printf(b, ":%lld:%lld: %s: ",
			    (long long)jv_get_int(p, "line", 0),
			    (long long)jv_get_int(p, "column", 0),
			    jv_get_bool(p, "fatal", false) ? "error"
							   : "warning");
			ctl_put(b, jv_get_str(p, "text"));
			buf_puts(b, "\n");
		}
		ctl_put(b, jv_get_str(f, "file"));
		buf_printf(b, ": %s, %lld settings\n",
		    jv_get_bool(f, "ok", false) ? "ok" : "refused",
		    (long long)jv_get_int(f, "settings", 0));
	}
}

/* "call": one line about how it went. */
static void
page_call(struct buf *b, const struct jv *o)
{
	const struct jv *m = jv_get(o, "media");

	ctl_put(b, jv_get_str(o, "call"));
	buf_puts(b, " ");
	ctl_put(b, jv_get_str(o, "state"));
	buf_puts(b, "  ");
	if (jv_get_int(o, "code", 0) != 0)
		buf_printf(b, "%lld ", (long long)jv_get_int(o, "code", 0));
	ctl_put(b, jv_get_str(o, "reason"));
	buf_printf(b, "  %.1f s  media ", jv_get_num(o, "duration_s", 0));
	ctl_put(b, jv_get_str(o, "security"));
	buf_puts(b, " ");
	ctl_put(b, jv_get_str(m, "codec"));
	if (jv_get(m, "rx_packets") != NULL)
		buf_printf(b, "  sent %lld received %lld lost %lld",
		    (long long)jv_get_int(m, "tx_packets", 0),
		    (long long)jv_get_int(m, "rx_packets", 0),
		    (long long)jv_get_int(m, "lost", 0));
	buf_puts(b, "\n");
}

/* Lines that the text holds already, and that are free of a peer's bytes. */
static void
put_lines(struct buf *b, const char *text, const char *indent)
{
	struct slice rest = slice_of(text), line;

	while (slice_line(&rest, &line)) {
		buf_puts(b, indent);
		buf_add(b, line.p, line.n);
		buf_puts(b, "\n");
	}
}

/* "doctor": the sentence, what each probe showed, the record. */
static void
page_doctor(struct buf *b, const struct jv *o)
{
	const struct jv *ps = jv_get(o, "probes");
	const struct jv *notes = jv_get(o, "notes");

	ctl_put(b, jv_get_str(o, "text"));
	buf_puts(b, "\n");
	for (size_t i = 0; i < jv_len(notes); i++) {
		buf_puts(b, "note: ");
		ctl_put(b, jv_as_str(jv_at(notes, i)));
		buf_puts(b, "\n");
	}
	if (jv_len(ps) > 1)
		buf_puts(b, "\nasked in other ways\n");
	for (size_t i = 1; i < jv_len(ps); i++) {
		buf_printf(b, "  %-32s ", jv_get_str(jv_at(ps, i), "what"));
		ctl_put(b, jv_get_str(jv_at(ps, i), "finding"));
		buf_puts(b, "\n");
	}
	if (jv_get(o, "record") != NULL) {
		buf_puts(b, "\nthe connection\n");
		put_lines(b, jv_get_str(o, "record"), "  ");
	}
}

/* "tls last": a line for each connection, the record of the newest. */
static void
page_last(struct buf *b, const struct jv *o)
{
	const struct jv *cs = jv_get(o, "connections");

	if (jv_len(cs) == 0)
		buf_puts(b, "no connection is remembered\n");
	ctl_page_last(b, cs, wants_colour());
	if (jv_len(cs) > 0) {
		buf_puts(b, "\nthe newest\n");
		put_lines(b, jv_get_str(jv_at(cs, 0), "record"), "  ");
	}
}

/* "cert expiry": a line for each certificate. */
static void
page_expiry(struct buf *b, const struct jv *o)
{
	const struct jv *cs = jv_get(o, "certificates");

	for (size_t i = 0; i < jv_len(cs); i++) {
		const struct jv *c = jv_at(cs, i);

		buf_printf(b, "%6lld days  %.10s  %-6s  ",
		    (long long)jv_get_int(c, "days", 0),
		    jv_get_str(c, "not_after"), jv_get_str(c, "kind"));
		ctl_put(b, jv_get_str(c, "where"));
		buf_puts(b, "  ");
		ctl_put(b, jv_get_str(c, "subject"));
		buf_puts(b, "\n");
	}
}

/* Status, with the colours of this terminal. */
static void
page_status(struct buf *b, const struct jv *o)
{
	ctl_page_status(b, o, wants_colour());
}

void
ctl_print(bool json, const char *verb, const struct jv *result)
{
	static const struct {
		const char *verb;
		void (*page)(struct buf *b, const struct jv *o);
	} pages[] = {
		{ "status", page_status },
		{ "call", page_call },
		{ "config get", page_value },
		{ "config set", page_set },
		{ "config unset", page_set },
		{ "config explain", ctl_page_explain },
		{ "config export", page_text },
		{ "config check", page_check },
		{ "doctor", page_doctor },
		{ "tls last", page_last },
		{ "capture show", ctl_page_ladder },
		{ "cert expiry", page_expiry },
		{ "prov run", ctl_page_prov },
		{ "prov status", ctl_page_prov },
	};
	void (*page)(struct buf *, const struct jv *) = ctl_page_any;
	struct buf b;

	buf_init(&b, TEXT_MAX);
	if (json) {
		ignore_err(jv_print(result, false, &b), "flush_text says so");
		buf_puts(&b, "\n");
	} else {
		for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++)
			if (strcmp(pages[i].verb, verb) == 0)
				page = pages[i].page;
		page(&b, result);
	}
	flush_text(stdout, &b);
	buf_clear(&b);
}

/* ---- events ---- */

/* jv_each_cb: "key=value" of what fits in a line. */
static void
on_field(const char *key, struct jv *v, void *arg)
{
	struct buf *b = arg;

	if (strcmp(key, "event") == 0 || strcmp(key, "seq") == 0 ||
	    strcmp(key, "time") == 0 || jv_is_obj(v) || jv_is_arr(v))
		return;
	if (jv_as_str(v) != NULL && jv_as_str(v)[0] == '\0')
		return;
	buf_printf(b, "  %s=", key);
	ctl_put_value(b, v);
}

/* A verdict and a log line have their own words already. */
static bool
put_words(struct buf *b, const struct jv *e, const char *name)
{
	const char *class = jv_get_str(e, "class");

	if (strcmp(name, "log") == 0) {
		buf_puts(b, "  ");
		ctl_put(b, jv_get_str(e, "level"));
		buf_puts(b, " ");
		ctl_put(b, jv_get_str(e, "category"));
		buf_puts(b, ": ");
		ctl_put(b, jv_get_str(e, "line"));
		return true;
	}
	if (strcmp(name, "tls.verdict") != 0)
		return false;
	buf_puts(b, "  ");
	ctl_put(b, jv_get_str(e, "use"));
	buf_puts(b, " ");
	ctl_put(b, jv_get_str(e, "host"));
	buf_puts(b, ": ");
	if (class == NULL || class[0] == '\0') {
		ctl_put(b, jv_get_str(e, "line"));
		return true;
	}
	ctl_put(b, class);
	buf_puts(b, ": ");
	ctl_put(b, jv_get_str(e, "text"));
	return true;
}

void
ctl_print_line(bool json, const struct jv *e)
{
	const char *name = jv_get_str(e, "event");
	struct buf b;

	buf_init(&b, TEXT_MAX);
	if (json) {
		ignore_err(jv_print(e, false, &b), "flush_text says so");
	} else {
		ctl_put(&b, jv_get_str(e, "time"));
		buf_puts(&b, "  ");
		ctl_put(&b, name);
		if (name != NULL && !put_words(&b, e, name))
			jv_each(e, on_field, &b);
	}
	buf_puts(&b, "\n");
	flush_text(stdout, &b);
	buf_clear(&b);
}

/* ---- errors ---- */

/* Copies what scripts look for out of the detail, or of the verdict in it. */
static void
lift(struct jv *o, const struct jv *detail)
{
	static const char *const keys[] = { "class", "code" };
	const struct jv *tls = jv_get(detail, "tls");

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const char *s;
		struct jv *v = jv_get(detail, keys[i]);

		if (v == NULL)
			v = jv_get(tls, keys[i]);
		s = jv_as_str(v);
		if (v != NULL && (s == NULL || s[0] != '\0'))
			jv_set(o, keys[i], jv_ref(v));
	}
}

int
ctl_error(
    bool json, enum ctl_exit code, const char *message, const struct jv *detail)
{
	struct jv *o = jv_obj();
	struct buf b;

	jv_set_str(o, "error", message);
	jv_set_int(o, "exit", code);
	lift(o, detail);
	buf_init(&b, TEXT_MAX);
	if (json) {
		if (detail != NULL)
			jv_set(o, "detail", jv_copy(detail));
		ignore_err(jv_print(o, false, &b), "flush_text says so");
	} else {
		buf_puts(&b, "bellbird: ");
		ctl_put(&b, message);
		if (jv_get_str(o, "class") != NULL) {
			buf_puts(&b, " [");
			ctl_put(&b, jv_get_str(o, "class"));
			buf_puts(&b, "]");
		}
	}
	buf_puts(&b, "\n");
	flush_text(json ? stdout : stderr, &b);
	buf_clear(&b);
	jv_free(o);
	return code;
}
