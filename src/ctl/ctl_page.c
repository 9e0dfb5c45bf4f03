/* SPDX-License-Identifier: ISC */
/* Results as pages for a person: status, provisioning report, one setting,
 * and a plain form for everything else. */
#include <stdio.h>
#include <string.h>

#include "bellbird/str.h"
#include "internal.h"

enum {
	/* Deeper than any object of ours. */
	DEPTH_MAX = 8,
	/* The newest connections that failed; the rest is in --json. */
	FAILED_SHOWN = 3
};

/* What the composers of this file carry around; a full buffer sticks. */
struct page {
	struct buf *b;
	bool colour;
};

/* ---- words ---- */

/* Marks that make text read in another order than it is written. */
static bool
is_turning(uint32_t cp)
{
	return (cp >= 0x202a && cp <= 0x202e) ||
	    (cp >= 0x2066 && cp <= 0x2069) || cp == 0x200e || cp == 0x200f;
}

void
ctl_put(struct buf *b, const char *s)
{
	size_t left = s != NULL ? strlen(s) : 0, n;
	uint32_t cp;

	while (left > 0) {
		cp = 0;
		n = str_utf8(s, left, &cp);
		if (n == 0 || cp < 0x20 || (cp >= 0x7f && cp < 0xa0) ||
		    is_turning(cp)) {
			n = n == 0 ? 1 : n;
			for (size_t i = 0; i < n; i++)
				buf_printf(b, "\\x%02x", (unsigned char)s[i]);
		} else {
			buf_add(b, s, n);
		}
		s += n;
		left -= n;
	}
}

/* Text of our own. */
static void
lit(struct page *p, const char *s)
{
	buf_puts(p->b, s);
}

/* Seconds as "2 d 3 h", "5 min", "42 s". */
static void
put_time(struct page *p, double seconds)
{
	long long s = (long long)seconds;
	int err;

	if (s >= 86400)
		err = buf_printf(
		    p->b, "%lld d %lld h", s / 86400, s % 86400 / 3600);
	else if (s >= 3600)
		err = buf_printf(
		    p->b, "%lld h %lld min", s / 3600, s % 3600 / 60);
	else if (s >= 120)
		err = buf_printf(p->b, "%lld min", s / 60);
	else
		err = buf_printf(p->b, "%lld s", s);
	ignore_err(err, "sticks in the buffer");
}

/* An ANSI colour around text from outside. */
static void
put_colour(struct page *p, const char *code, const char *s)
{
	if (p->colour)
		buf_printf(p->b, "\033[%sm", code);
	ctl_put(p->b, s);
	if (p->colour)
		lit(p, "\033[0m");
}

/* A state: green where all is well, red where it is not. */
static void
put_state(struct page *p, const char *s)
{
	static const char *const good[] = { "registered", "established",
		"applied", "unchanged" };
	static const char *const bad[] = { "gone", "failed", "waiting" };

	for (size_t i = 0; s != NULL && i < sizeof(good) / sizeof(*good); i++)
		if (strcmp(s, good[i]) == 0) {
			put_colour(p, "32", s);
			return;
		}
	for (size_t i = 0; s != NULL && i < sizeof(bad) / sizeof(*bad); i++)
		if (strcmp(s, bad[i]) == 0) {
			put_colour(p, "31", s);
			return;
		}
	ctl_put(p->b, s);
}

/* The heading of a section. */
static void
head(struct page *p, const char *s)
{
	lit(p, "\n");
	put_colour(p, "1", s);
	lit(p, "\n");
}

/* "before VALUE" if the field is a string that says something. */
static bool
field(struct page *p, const char *before, const struct jv *o, const char *key)
{
	const char *s = jv_get_str(o, key);

	if (s == NULL || s[0] == '\0')
		return false;
	lit(p, before);
	ctl_put(p->b, s);
	return true;
}

void
ctl_put_value(struct buf *b, const struct jv *v)
{
	const char *s = jv_as_str(v);

	if (s != NULL)
		ctl_put(b, s);
	else if (v != NULL)
		ignore_err(jv_print(v, false, b), "sticks in the buffer");
}

/* ---- status ---- */

/* The line of a connection; red where it is not as safe as it could be. */
static void
put_line(struct page *p, const struct jv *v)
{
	const char *class = jv_get_str(v, "class");
	bool red = jv_get_bool(v, "insecure", false) ||
	    (class != NULL && class[0] != '\0');

	if (red)
		put_colour(p, "31", jv_get_str(v, "line"));
	else
		field(p, "", v, "line");
	lit(p, "\n");
}

/* The line of a verdict, or what failed and what to do. */
static void
put_verdict(struct page *p, const struct jv *v)
{
	const char *class = jv_get_str(v, "class");

	if (v == NULL)
		return;
	if (class == NULL || class[0] == '\0') {
		lit(p, "     ");
		put_line(p, v);
		return;
	}
	lit(p, "     ");
	put_colour(p, "31", class);
	field(p, ": ", v, "text");
	lit(p, "\n");
}

static void
put_account(struct page *p, const struct jv *a)
{
	int64_t code = jv_get_int(a, "code", 0);
	int64_t expires = jv_get_int(a, "expires_s", 0);
	const char *state = jv_get_str(a, "state");
	bool up = state != NULL && strcmp(state, "registered") == 0;

	field(p, "  ", a, "id");
	field(p, "  ", a, "aor");
	lit(p, "  ");
	put_state(p, state);
	if (!up && code > 0)
		buf_printf(p->b, "  %lld", (long long)code);
	if (!up)
		field(p, "  ", a, "reason");
	field(p, "  ", a, "transport");
	field(p, "  ", a, "local");
	field(p, " -> ", a, "remote");
	if (up && expires > 0) {
		lit(p, "  for ");
		put_time(p, (double)expires);
	}
	field(p, "  digest ", a, "digest");
	lit(p, "\n");
	put_verdict(p, jv_get(a, "tls"));
}

static void
put_call(struct page *p, const struct jv *c)
{
	const struct jv *m = jv_get(c, "media");

	field(p, "  ", c, "id");
	field(p, "  ", c, "direction");
	lit(p, "  ");
	put_state(p, jv_get_str(c, "state"));
	field(p, "  ", c, "remote");
	field(p, "  ", c, "remote_name");
	lit(p, "  ");
	put_time(p, jv_get_num(c, "duration_s", 0));
	field(p, "  signalling ", c, "signalling");
	field(p, "  media ", c, "security");
	lit(p, "\n");
	if (jv_get_str(m, "codec") == NULL)
		return;
	lit(p, "     ");
	field(p, "", m, "codec");
	field(p, "  ", m, "suite");
	buf_printf(p->b,
	    "  sent %lld  received %lld  lost %lld  jitter %.1f ms\n",
	    (long long)jv_get_int(m, "tx_packets", 0),
	    (long long)jv_get_int(m, "rx_packets", 0),
	    (long long)jv_get_int(m, "lost", 0), jv_get_num(m, "jitter_ms", 0));
}

static void
put_cert(struct page *p, const struct jv *c)
{
	const char *error = jv_get_str(c, "error");

	field(p, "  ", c, "slot");
	field(p, "  ", c, "subject");
	field(p, "  by ", c, "issuer");
	field(p, "  until ", c, "not_after");
	field(p, "  ", c, "key");
	field(p, "  key in ", c, "token");
	if (error != NULL && error[0] != '\0') {
		lit(p, "  ");
		put_colour(p, "31", error);
	} else if (!jv_get_bool(c, "installed", true)) {
		lit(p,
		    strcmp(jv_get_str(c, "slot"), "factory") == 0
			? "  device certificate: not installed"
			: "  not installed");
	}
	lit(p, "\n");
}

static void
put_listener(struct page *p, const struct jv *l)
{
	field(p, "  ", l, "transport");
	field(p, "  ", l, "address");
	lit(p, "\n");
}

static void
put_warning(struct page *p, const struct jv *w)
{
	lit(p, "  ");
	put_colour(p, "33", jv_as_str(w));
	lit(p, "\n");
}

/* A section with one entry per item; nothing if there is none. */
static void
section(struct page *p, const char *title, const struct jv *list,
    void (*put)(struct page *p, const struct jv *item))
{
	size_t n = jv_len(list);

	if (n == 0)
		return;
	head(p, title);
	for (size_t i = 0; i < n; i++)
		put(p, jv_at(list, i));
}

/* The newest connections that failed. */
static void
put_failed(struct page *p, const struct jv *list)
{
	size_t shown = 0;

	for (size_t i = 0; i < jv_len(list) && shown < FAILED_SHOWN; i++) {
		const struct jv *v = jv_at(list, i);
		const char *class = jv_get_str(v, "class");

		if (class == NULL || class[0] == '\0')
			continue;
		if (shown++ == 0)
			head(p, "connections that failed");
		field(p, "  ", v, "time");
		field(p, "  ", v, "use");
		field(p, "  ", v, "host");
		field(p, "  ", v, "remote");
		lit(p, "\n");
		put_verdict(p, v);
	}
}

/* Provisioning, audio and clock: a line each. */
static void
put_rest(struct page *p, const struct jv *st)
{
	const struct jv *prov = jv_get(st, "prov");
	const struct jv *clock = jv_get(st, "clock");

	head(p, "device");
	lit(p, "  provisioning  ");
	put_state(p, jv_get_str(prov, "state"));
	field(p, "  ", jv_get(prov, "report"), "text");
	lit(p, "\n  audio         ");
	field(p, "", jv_get(st, "audio"), "configured");
	field(p, "  ", jv_get(st, "audio"), "device");
	lit(p, "\n  clock         ");
	field(p, "", clock, "wall");
	lit(p,
	    jv_get_bool(clock, "trusted", false)
		? "  trusted\n"
		: "  not confirmed by anybody\n");
}

void
ctl_page_status(struct buf *b, const struct jv *st, bool colour)
{
	struct page p = { b, colour };

	lit(&p, "bellbird ");
	field(&p, "", st, "version");
	field(&p, "  model ", st, "model");
	field(&p, "  mac ", st, "mac");
	buf_printf(b, "  pid %lld  up ", (long long)jv_get_int(st, "pid", 0));
	put_time(&p, jv_get_num(st, "uptime_s", 0));
	lit(&p, "\n");
	section(&p, "accounts", jv_get(st, "accounts"), put_account);
	section(&p, "calls", jv_get(st, "calls"), put_call);
	put_rest(&p, st);
	section(&p, "certificates", jv_get(st, "certs"), put_cert);
	section(&p, "listening", jv_get(st, "listen"), put_listener);
	put_failed(&p, jv_get(st, "tls"));
	section(&p, "warnings", jv_get(st, "warnings"), put_warning);
}

/* ---- provisioning ---- */

void
ctl_page_prov(struct buf *b, const struct jv *o)
{
	struct page p = { b, false };
	const struct jv *r = jv_get(o, "report");
	const struct jv *list;

	if (r == NULL)
		r = o; /* `prov run` gives the report alone */
	if (field(&p, "", o, "state"))
		lit(&p, "\n");
	if (field(&p, "", r, "text"))
		lit(&p, "\n");
	if (field(&p, "class ", r, "class"))
		lit(&p, "\n");
	if (field(&p, "server ", r, "server"))
		lit(&p, "\n");
	list = jv_get(r, "files");
	for (size_t i = 0; i < jv_len(list); i++) {
		const struct jv *f = jv_at(list, i);

		field(&p, "  ", f, "name");
		field(&p, "  ", f, "state");
		buf_printf(b, "  %lld bytes  %lld settings\n",
		    (long long)jv_get_int(f, "bytes", 0),
		    (long long)jv_get_int(f, "settings", 0));
	}
	list = jv_get(r, "problems");
	for (size_t i = 0; i < jv_len(list); i++) {
		const struct jv *f = jv_at(list, i);

		field(&p, "  ", f, "file");
		buf_printf(b,
		    ":%lld:%lld: ", (long long)jv_get_int(f, "line", 0),
		    (long long)jv_get_int(f, "column", 0));
		field(&p, "", f, "text");
		lit(&p, "\n");
	}
	put_verdict(&p, jv_get(r, "verdict"));
}

/* ---- one setting ---- */

void
ctl_page_explain(struct buf *b, const struct jv *o)
{
	struct page p = { b, false };
	const struct jv *list = jv_get(o, "layers");

	field(&p, "", o, "key");
	lit(&p, " = ");
	ctl_put_value(b, jv_get(o, "value"));
	if (field(&p, "    (", o, "layer"))
		lit(&p, ")");
	lit(&p, "\n");
	if (field(&p, "  ", o, "help"))
		lit(&p, "\n");
	field(&p, "  type ", o, "type");
	field(&p, ", ", o, "range");
	if (!field(&p, "; default ", o, "default"))
		lit(&p, "; no default");
	lit(&p, "\n");
	for (size_t i = 0; i < jv_len(list); i++) {
		const struct jv *l = jv_at(list, i);

		lit(&p, jv_get_bool(l, "wins", false) ? "* " : "  ");
		field(&p, "", l, "layer");
		lit(&p, ": ");
		ctl_put_value(b, jv_get(l, "value"));
		if (field(&p, "    ", l, "file"))
			buf_printf(
			    b, ":%lld", (long long)jv_get_int(l, "line", 0));
		lit(&p, "\n");
	}
}

/* ---- everything else ---- */

struct walk {
	struct buf *b;
	int depth;
};

static void put_any(struct walk *w, const char *key, const struct jv *v);

static void
put_indent(struct walk *w)
{
	for (int i = 0; i < w->depth; i++)
		buf_add(w->b, "  ", 2);
}

/* jv_each_cb. */
static void
on_key(const char *key, struct jv *v, void *arg)
{
	put_any(arg, key, v);
}

/* The items of a list, each with a dash. */
static void
put_items(struct walk *w, const struct jv *list)
{
	for (size_t i = 0; i < jv_len(list); i++) {
		const struct jv *v = jv_at(list, i);

		if (jv_is_obj(v) || jv_is_arr(v)) {
			put_any(w, "-", v);
			continue;
		}
		put_indent(w);
		buf_puts(w->b, "- ");
		ctl_put_value(w->b, v);
		buf_puts(w->b, "\n");
	}
}

static void
put_any(struct walk *w, const char *key, const struct jv *v)
{
	put_indent(w);
	ctl_put(w->b, key);
	if ((jv_is_obj(v) || jv_is_arr(v)) && w->depth < DEPTH_MAX) {
		buf_puts(w->b, jv_len(v) ? ":\n" : ": none\n");
		w->depth++;
		if (jv_is_obj(v))
			jv_each(v, on_key, w);
		else
			put_items(w, v);
		w->depth--;
		return;
	}
	buf_puts(w->b, ": ");
	ctl_put_value(w->b, v);
	buf_puts(w->b, "\n");
}

void
ctl_page_any(struct buf *b, const struct jv *o)
{
	struct walk w = { b, 0 };

	if (jv_is_obj(o))
		jv_each(o, on_key, &w);
	else
		put_items(&w, o);
}

void
ctl_page_last(struct buf *b, const struct jv *list, bool colour)
{
	struct page p = { b, colour };

	for (size_t i = 0; i < jv_len(list); i++) {
		field(&p, "", jv_at(list, i), "time");
		field(&p, "  ", jv_at(list, i), "use");
		lit(&p, "  ");
		put_line(&p, jv_at(list, i));
	}
}
