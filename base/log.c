/* SPDX-License-Identifier: ISC */
/* Log lines: levels by category, one sink, one tap, a rate limit.
 * Bytes from outside come in through esc() only. */
#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bellbird/clock.h"
#include "bellbird/log.h"
#include "bellbird/str.h"

enum {
	LOG_LINE_MAX = 2048, /* a line with 8 escaped values and words */
	ESC_MAX = 120,       /* more of a hostile value helps nobody */
	ESC_BUFS = 8,        /* esc() calls in one log call */
	WARN_LINES_MAX = 50, /* a second, category and id: a peer must not be
				able to hide what others do */
	WARN_CAT_MAX = 200,  /* a second and category: nor to fill the flash
				by a new connection for each mistake */
	WARN_WINDOW_US = 1000000,
	GATES_MAX = 64 /* ids a second that have a gate of their own */
};

static const char *const level_names[] = { "error", "warn", "info", "debug",
	"trace" };
static const char *const cat_names[] = { "app", "loop", "dns", "tls", "sip",
	"media", "prov", "web", "ctl", "audio" };
static const int syslog_priority[] = { 3, 4, 6, 7, 7 };

/* LOGL_INFO everywhere until told otherwise. */
static enum log_level levels[LOGC_MAX] = { LOGL_INFO, LOGL_INFO, LOGL_INFO,
	LOGL_INFO, LOGL_INFO, LOGL_INFO, LOGL_INFO, LOGL_INFO, LOGL_INFO,
	LOGL_INFO };
static struct {
	log_sink_fn *fn;
	void *arg;
} sink, tap;
static bool in_tap;
static int to_journal = -1; /* -1: not looked yet */
/* How many warnings of an id were written and lost in this second. */
static struct gate {
	uint64_t id;
	enum log_cat cat;
	unsigned int lines;
	unsigned long lost;
} gates[GATES_MAX];
static size_t num_gates;
static struct gate cats[LOGC_MAX]; /* all of a category */
static int64_t gates_since_us;

/* True if standard error is the stream JOURNAL_STREAM names. */
static bool
is_journal(void)
{
	struct slice dev, ino;
	int64_t d, i;
	struct stat st;
	const char *s = getenv("JOURNAL_STREAM");

	/* The variable is inherited by terminals: compare device and inode. */
	return s != NULL && slice_cut(slice_of(s), ':', &dev, &ino) &&
	    str_int(dev, 0, INT64_MAX, &d) == 0 &&
	    str_int(ino, 0, INT64_MAX, &i) == 0 &&
	    fstat(STDERR_FILENO, &st) == 0 && (int64_t)st.st_dev == d &&
	    (int64_t)st.st_ino == i;
}

/* The default sink: one write a line, so that lines stay whole. */
static void
to_stderr(enum log_level lv, enum log_cat cat, uint64_t id, const char *line)
{
	char text[LOG_LINE_MAX + 128], when[25], who[24] = "";
	size_t n;

	if (to_journal < 0)
		to_journal = is_journal();
	if (id != 0)
		snprintf(
		    who, sizeof(who), " [%016llx]", (unsigned long long)id);
	if (to_journal) {
		snprintf(text, sizeof(text) - 1, "<%d>%s%s %s",
		    syslog_priority[lv], cat_names[cat], who, line);
	} else {
		clock_iso(when, sizeof(when), clock_wall_us());
		snprintf(text, sizeof(text) - 1, "%s %s %s%s %s", when,
		    level_names[lv], cat_names[cat], who, line);
	}
	n = strlen(text);
	text[n++] = '\n';
	if (write(STDERR_FILENO, text, n) < 0)
		return; /* nobody is left to be told */
}

/* Hands a finished line to the sink and the tap. */
static void
emit(enum log_level lv, enum log_cat cat, uint64_t id, const char *line)
{
	if (sink.fn != NULL)
		sink.fn(lv, cat, id, line, sink.arg);
	else
		to_stderr(lv, cat, id, line);
	/* A tap that logs must not hear itself. */
	if (tap.fn != NULL && !in_tap) {
		in_tap = true;
		tap.fn(lv, cat, id, line, tap.arg);
		in_tap = false;
	}
}

/* The gate of an id, a new one if there is room; NULL: the table is full. */
static struct gate *
gate_of(enum log_cat cat, uint64_t id)
{
	for (size_t i = 0; i < num_gates; i++)
		if (gates[i].id == id && gates[i].cat == cat)
			return &gates[i];
	if (num_gates == GATES_MAX)
		return NULL;
	gates[num_gates] = (struct gate){ .id = id, .cat = cat };
	return &gates[num_gates++];
}

/* Begins a new second; tells what was lost in the one before. */
static void
gates_turn(int64_t now)
{
	struct gate old[GATES_MAX + LOGC_MAX];
	size_t n = num_gates;
	char line[64];

	memcpy(old, gates, n * sizeof(*old));
	for (size_t i = 0; i < LOGC_MAX; i++) {
		old[n] = cats[i];
		old[n++].cat = (enum log_cat)i;
	}
	/* Cleared first: a tap that logs comes back in here. */
	memset(cats, 0, sizeof(cats));
	num_gates = 0;
	gates_since_us = now;
	for (size_t i = 0; i < n; i++) {
		if (old[i].lost == 0)
			continue;
		snprintf(
		    line, sizeof(line), "suppressed lines=%lu", old[i].lost);
		emit(LOGL_WARN, old[i].cat, old[i].id, line);
	}
}

/* False if this line is one too many. */
static bool
gate_pass(enum log_level lv, enum log_cat cat, uint64_t id)
{
	int64_t now = clock_mono_us();
	struct gate *g;

	if (now - gates_since_us >= WARN_WINDOW_US || now < gates_since_us)
		gates_turn(now);
	if (lv != LOGL_WARN)
		return true;
	/* Without a gate of its own only the category's limit counts. */
	g = gate_of(cat, id);
	if (cats[cat].lines >= WARN_CAT_MAX ||
	    (g != NULL && g->lines >= WARN_LINES_MAX)) {
		if (g != NULL)
			g->lost++;
		else
			cats[cat].lost++;
		return false;
	}
	if (g != NULL)
		g->lines++;
	cats[cat].lines++;
	return true;
}

/* Stores the level a word names; EINVAL if none. */
static int
level_parse(struct slice s, enum log_level *out)
{
	for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]);
	     i++) {
		if (slice_case_is(s, level_names[i])) {
			*out = (enum log_level)i;
			return 0;
		}
	}
	if (slice_case_is(s, "err"))
		*out = LOGL_ERR;
	else if (slice_case_is(s, "warning"))
		*out = LOGL_WARN;
	else
		return EINVAL;
	return 0;
}

void
log_set_level(enum log_level lv)
{
	for (size_t i = 0; i < LOGC_MAX; i++)
		levels[i] = lv;
}

/* Applies one word of a specification: "info" or "sip=debug". */
static int
spec_word(enum log_level to[static LOGC_MAX], struct slice word)
{
	struct slice name, value;
	enum log_level lv;

	if (!slice_cut(word, '=', &name, &value)) {
		if (level_parse(name, &lv) != 0)
			return EINVAL;
		for (size_t i = 0; i < LOGC_MAX; i++)
			to[i] = lv;
		return 0;
	}
	if (level_parse(slice_trim(value), &lv) != 0)
		return EINVAL;
	for (size_t i = 0; i < LOGC_MAX; i++) {
		if (slice_case_is(slice_trim(name), cat_names[i])) {
			to[i] = lv;
			return 0;
		}
	}
	return EINVAL;
}

int
log_set_spec(const char *spec)
{
	struct slice rest = slice_of(spec), word;
	enum log_level next[LOGC_MAX];
	bool more;
	int err;

	memcpy(next, levels, sizeof(next));
	do {
		more = slice_cut(rest, ',', &word, &rest);
		if ((err = spec_word(next, slice_trim(word))) != 0)
			return err;
	} while (more);
	memcpy(levels, next, sizeof(levels));
	return 0;
}

void
log_set_sink(log_sink_fn *fn, void *arg)
{
	sink.fn = fn;
	sink.arg = arg;
	to_journal = -1;
}

void
log_add_tap(log_sink_fn *fn, void *arg)
{
	tap.fn = fn;
	tap.arg = arg;
}

void
log_line(enum log_level lv, enum log_cat cat, uint64_t id, const char *fmt, ...)
{
	char line[LOG_LINE_MAX];
	int saved = errno;
	va_list ap;

	if (!log_on(lv, cat) || !gate_pass(lv, cat, id))
		goto out;
	va_start(ap, fmt);
	if (vsnprintf(line, sizeof(line), fmt, ap) < 0)
		line[0] = '\0';
	va_end(ap);
	/* Someone may have forgotten esc(): still one line, no terminal codes.
	 */
	for (char *p = line; *p != '\0'; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	}
	emit(lv, cat, id, line);
out:
	errno = saved;
}

int
log_on(enum log_level lv, enum log_cat cat)
{
	assert((unsigned int)cat < LOGC_MAX);
	return lv <= levels[cat];
}

/* Characters that could end a quoted value or drive a terminal. */
static bool
is_unsafe(uint32_t cp)
{
	return cp < 0x20 || (cp >= 0x7f && cp <= 0x9f) || cp == '"' ||
	    cp == '\'' || cp == '\\' ||
	    /* line separators and changes of direction */
	    cp == 0x2028 || cp == 0x2029 || cp == 0x200e || cp == 0x200f ||
	    (cp >= 0x202a && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069) ||
	    cp == 0xfeff;
}

const char *
esc(const char *s)
{
	return s != NULL ? esc_n(s, strlen(s)) : "(none)";
}

const char *
esc_n(const void *p, size_t n)
{
	static char bufs[ESC_BUFS][ESC_MAX + 1];
	static unsigned int next;
	char *out = bufs[next++ % ESC_BUFS];
	const uint8_t *b = p;
	size_t used = 0, len;
	uint32_t cp = 0;

	if (p == NULL)
		return "(none)";
	while (n > 0) {
		len = str_utf8(b, n, &cp);
		if (len > 0 && !is_unsafe(cp)) {
			if (used + len > ESC_MAX)
				break;
			memcpy(out + used, b, len);
			used += len;
		} else {
			if (used + 4 > ESC_MAX)
				break;
			snprintf(out + used, 5, "\\x%02x", b[0]);
			used += 4;
			len = 1;
		}
		b += len;
		n -= len;
	}
	out[used] = '\0';
	return out;
}

const char *
log_level_name(enum log_level lv)
{
	assert((unsigned int)lv <= LOGL_TRACE);
	return level_names[lv];
}

const char *
log_cat_name(enum log_cat cat)
{
	assert((unsigned int)cat < LOGC_MAX);
	return cat_names[cat];
}
