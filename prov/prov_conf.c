/* SPDX-License-Identifier: ISC */
/*
 * The file grammar: text -> settings, every problem with line and column.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellbird/log.h"
#include "bellbird/prov_conf.h"
#include "internal.h"

enum {
	INDEXES = 100,  /* plain, and 1..99 */
	NEARS_MAX = 20, /* guesses a file: each walks the whole table */
	NOTE_MAX = 200
};

/* Keys that are accepted without effect: one note for all of them. */
struct note {
	unsigned int line; /* of the first */
	size_t n;
	char names[NOTE_MAX];
};

/* One run over one file. */
struct parse {
	const struct prov_conf_opts *o;
	struct prov_problems *problems;
	prov_conf_cb *cb;
	void *arg;
	uint16_t *seen; /* owned: line where a key was set first */
	unsigned int line;
	size_t fatal, settings, nears;
	struct note na, later;
};

/* report adds a problem of the current line. */
static void __attribute__((format(printf, 4, 5)))
report(struct parse *p, unsigned int column, bool fatal, const char *fmt, ...)
{
	char text[320];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	p->fatal += fatal;
	prov_problems_add(
	    p->problems, p->o->file, p->line, column, fatal, "%s", text);
}

/* looks_like guesses what a body is that is no configuration; NULL: text.
 * `*mark` is what tells, "" if that cannot be shown: what follows it may be a
 * password. */
static const char *
looks_like(struct slice t, const char **mark)
{
	static const struct {
		const char *start, *what;
	} marks[] = {
		{ "\xff\xfe", "UTF-16 text" },
		{ "\xfe\xff", "UTF-16 text" },
		{ "<?xml", "XML" },
		{ "<!doctype html", "an HTML page" },
		{ "<html", "an HTML page" },
		{ "<", "HTML or XML" },
		{ "{", "JSON" },
		{ "[", "JSON or an INI file" },
		{ "-----begin", "a certificate or key (PEM)" },
		{ "\x1f\x8b", "a gzip archive" },
		{ "pk\x03\x04", "a zip archive" },
		{ "%pdf", "a PDF document" },
		{ "\x7f"
		  "elf",
		    "a program" },
	};
	size_t n;

	*mark = "";
	while (t.n > 0 && isspace((unsigned char)t.p[0])) {
		t.p++;
		t.n--;
	}
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		n = strlen(marks[i].start);
		if (t.n >= n && strncasecmp(t.p, marks[i].start, n) == 0) {
			*mark = marks[i].start;
			return marks[i].what;
		}
	}
	/* ASCII in two bytes without a mark: every other byte is NUL. */
	if (t.n >= 4 &&
	    ((t.p[0] && !t.p[1] && t.p[2] && !t.p[3]) ||
		(!t.p[0] && t.p[1] && !t.p[2] && t.p[3])))
		return "UTF-16 text";
	return NULL;
}

/* binary_at finds the first byte no text has; false if there is none. */
static bool
binary_at(struct slice t, size_t *at, unsigned int *line, unsigned int *column)
{
	unsigned char c;

	*line = *column = 1;
	for (size_t i = 0; i < t.n; i++, ++*column) {
		c = (unsigned char)t.p[i];
		if (c == '\n') {
			++*line;
			*column = 0;
		} else if (c == 0x7f || (c < 0x20 && c != '\t' && c != '\r')) {
			*at = i;
			return true;
		}
	}
	return false;
}

/* judge_body tells a configuration from everything else servers send. */
static int
judge_body(struct parse *p, struct slice t)
{
	unsigned int line = 0, column = 0;
	const char *mark, *what = looks_like(t, &mark);
	size_t at = 0;

	if (t.n == 0) {
		if (!p->o->provisioned)
			return 0;
		report(p, 0, true, "the file is empty (0 bytes)");
		return E_PROV_NOT_CONF;
	}
	if (what != NULL) {
		report(p, 0, true,
		    "this is not a configuration: it looks like %s (%zu "
		    "bytes%s%s%s)",
		    what, t.n, mark[0] ? ", starting with \"" : "", esc(mark),
		    mark[0] ? "\"" : "");
		return E_PROV_NOT_CONF;
	}
	if (binary_at(t, &at, &line, &column)) {
		p->line = line;
		report(p, column, true,
		    "this is not a configuration: it looks like binary data "
		    "(%zu bytes, byte %zu is 0x%02x)",
		    t.n, at + 1, (unsigned char)t.p[at]);
		return E_PROV_NOT_CONF;
	}
	return 0;
}

/* note_add remembers a key without effect. */
static void
note_add(struct note *n, unsigned int line, const char *name)
{
	size_t used = strlen(n->names);

	if (n->n++ == 0)
		n->line = line;
	if (used + strlen(name) + 3 < sizeof(n->names))
		snprintf(n->names + used, sizeof(n->names) - used, "%s%s",
		    used ? ", " : "", name);
	else if (used + 4 < sizeof(n->names) && n->names[used - 1] != '.')
		snprintf(n->names + used, sizeof(n->names) - used, " ..");
}

/* note_say reports a note once, at its first line. */
static void
note_say(struct parse *p, const struct note *n, const char *what)
{
	if (n->n == 0)
		return;
	p->line = n->line;
	report(p, 1, false, "%s (%zu key%s): %s", what, n->n,
	    n->n == 1 ? "" : "s", n->names);
}

/* unknown reports a key that is not in the table. */
static void
unknown(struct parse *p, struct slice key, unsigned int column)
{
	char name[KEY_NAME_MAX], near[KEY_NAME_MAX] = "";

	/* Guessing costs; and what will not be listed needs no guess. */
	if (p->nears++ < NEARS_MAX &&
	    str_copy_slice(name, sizeof(name), key) == 0)
		prov_key_near(name, near, sizeof(near));
	report(p, column, p->o->strict, "unknown key %s%s%s%s",
	    esc_n(key.p, key.n), near[0] ? ", did you mean " : "", near,
	    near[0] ? "?" : "");
}

/* duplicate judges a key that was set before; true: leave the line out. */
static bool
duplicate(struct parse *p, const struct key_ref *ref, unsigned int column)
{
	uint16_t *first = &p->seen[key_pos(ref->k) * INDEXES + ref->index];
	unsigned int was = *first;

	if (was == 0) {
		*first = (uint16_t)p->line;
		return false;
	}
	report(p, column, p->o->strict, "%s was set in line %u already%s",
	    ref->name, was, p->o->strict ? "" : ": this value counts");
	return p->o->strict;
}

/* check_value judges a value as it will be once $MAC$ is known. */
static int
check_value(const struct parse *p, const struct prov_key *k, struct slice value,
    char out[static PROV_VALUE_MAX], char *why, size_t why_size)
{
	char raw[PROV_VALUE_MAX], full[PROV_VALUE_MAX];
	const char *mac = p->o->mac;
	int err;

	if (memmem(value.p, value.n, "$MAC$", 5) == NULL)
		return prov_key_check(
		    k, value, out, PROV_VALUE_MAX, why, why_size);
	if (str_copy_slice(raw, sizeof(raw), value) != 0 ||
	    mac_expand(raw, mac ? mac : "000000000000", full, sizeof(full)) !=
		0) {
		snprintf(why, why_size, "the value of %s is too long", k->name);
		return E_PROV_CONF;
	}
	err = prov_key_check(
	    k, slice_of(full), out, PROV_VALUE_MAX, why, why_size);
	if (err == 0 && mac == NULL)
		memcpy(out, raw, strlen(raw) + 1);
	return err;
}

/* setting handles one "key = value". */
static void
setting(struct parse *p, struct slice key, unsigned int key_col,
    struct slice value, unsigned int value_col)
{
	const unsigned int mild = PROV_F_WARN_RANGE | PROV_F_NA | PROV_F_LATER;
	char out[PROV_VALUE_MAX], why[280];
	struct key_ref ref;
	bool fatal;

	if (key_resolve(key, &ref) != 0) {
		unknown(p, key, key_col);
		return;
	}
	p->settings++;
	if (duplicate(p, &ref, key_col))
		return;
	if (check_value(p, ref.k, value, out, why, sizeof(why)) != 0) {
		fatal = !p->o->lenient && (ref.k->flags & mild) == 0;
		report(p, value_col, fatal, "%s%s", why,
		    fatal ? "" : "; left out");
		return;
	}
	if (p->o->provisioned && (ref.k->flags & PROV_F_LOCAL))
		report(p, key_col, false,
		    "%s can only be set locally: kept, but not in force",
		    ref.name);
	if (ref.k->flags & PROV_F_NA)
		note_add(&p->na, p->line, ref.name);
	else if (ref.k->flags & PROV_F_LATER)
		note_add(&p->later, p->line, ref.name);
	p->cb(ref.k, ref.name, out, p->line, p->arg);
}

/* parse_line takes one line apart. */
static void
parse_line(struct parse *p, struct slice line)
{
	struct slice t = slice_trim(line), key, value;
	char known[KEY_NAME_MAX];
	unsigned int key_col, value_col;
	bool fatal = !p->o->lenient;

	if (t.n == 0 || t.p[0] == '#')
		return;
	key_col = (unsigned int)(t.p - line.p) + 1;
	if (!slice_cut(t, '=', &key, &value)) {
		key_leads(t, known);
		report(p, key_col, fatal, "expected \"key = value\"%s%s",
		    known[0] ? ", found no = after " : "", known);
		return;
	}
	value_col = key_col + (unsigned int)key.n + 1;
	key = slice_trim(key);
	if (key.n == 0) {
		report(p, key_col, fatal, "there is no key in front of =");
		return;
	}
	for (size_t i = 0; i < key.n; i++) {
		if (isalnum((unsigned char)key.p[i]) ||
		    strchr("._-", key.p[i]) != NULL)
			continue;
		key_leads(key, known);
		report(p, key_col + (unsigned int)i, fatal,
		    "\"%s\" cannot be part of a key%s%s%s", esc_n(key.p + i, 1),
		    known[0] ? " (after " : "", known, known[0] ? ")" : "");
		return;
	}
	value = slice_trim(value);
	if (value.n > 0)
		value_col = (unsigned int)(value.p - line.p) + 1;
	setting(p, key, key_col, value, value_col);
}

/* parse_lines walks the text; E_LIMIT for a line or a file too long. */
static int
parse_lines(struct parse *p, struct slice rest)
{
	struct slice line;

	while (slice_line(&rest, &line)) {
		if (++p->line > CONF_LINES_MAX) {
			report(p, 0, true, "the file has more than %d lines",
			    CONF_LINES_MAX);
			return E_LIMIT;
		}
		if (line.n > CONF_LINE_MAX) {
			report(p, CONF_LINE_MAX + 1, true,
			    "the line has %zu bytes (at most %d)", line.n,
			    CONF_LINE_MAX);
			return E_LIMIT;
		}
		parse_line(p, line);
	}
	return 0;
}

int
prov_conf_parse(struct slice text, const struct prov_conf_opts *o,
    struct prov_problems *problems, prov_conf_cb *cb, void *arg)
{
	struct parse p = { .o = o, .problems = problems, .cb = cb, .arg = arg };
	int err;

	if (text.n > CONF_SIZE_MAX) {
		report(&p, 0, true, "the file has %zu bytes (at most %d)",
		    text.n, CONF_SIZE_MAX);
		return E_LIMIT;
	}
	if (text.n >= 3 && memcmp(text.p, "\xef\xbb\xbf", 3) == 0) {
		text.p += 3;
		text.n -= 3;
	}
	if ((err = judge_body(&p, text)) != 0)
		return err;
	p.seen = calloc(key_count() * INDEXES, sizeof(*p.seen));
	if (p.seen == NULL)
		return ENOMEM;
	err = parse_lines(&p, text);
	free(p.seen);
	if (err != 0)
		return err;
	note_say(&p, &p.na, "not applicable here");
	note_say(&p, &p.later, "known, but without effect in this version");
	if (o->provisioned && p.settings == 0) {
		p.line = 0;
		report(&p, 0, true,
		    "this is not a configuration: no line of it is a known "
		    "setting (%zu bytes)",
		    text.n);
		return E_PROV_NOT_CONF;
	}
	return p.fatal > 0 ? E_PROV_CONF : 0;
}
