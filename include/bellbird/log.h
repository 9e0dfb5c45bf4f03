/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_LOG_H
#define BELLBIRD_LOG_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "bellbird/err.h"

enum log_level {
	LOGL_ERR,   /* the operator must act */
	LOGL_WARN,  /* a peer or a file misbehaved */
	LOGL_INFO,  /* one line per session event */
	LOGL_DEBUG, /* state changes */
	LOGL_TRACE  /* what is on the wire, secrets masked */
};

enum log_cat {
	LOGC_APP,
	LOGC_LOOP,
	LOGC_DNS,
	LOGC_TLS,
	LOGC_SIP,
	LOGC_MEDIA,
	LOGC_PROV,
	LOGC_WEB,
	LOGC_CTL,
	LOGC_AUDIO,
	LOGC_MAX
};

/*
 * log_sink_fn receives every line that passes the level, without a newline.
 * `line` is the message alone, already escaped and borrowed for the call.
 */
typedef void(log_sink_fn)(enum log_level lv, enum log_cat cat, uint64_t id,
    const char *line, void *arg);

/*
 * log_set_level sets the level of every category; log_set_spec reads
 * "info,sip=debug,tls=trace" and returns EINVAL for a word it does not know
 * (nothing is changed then).  Default: info.
 */
void log_set_level(enum log_level lv);
MUST_CHECK int log_set_spec(const char *spec);

/*
 * log_set_sink replaces standard error (the default) by `fn`; NULL restores
 * it.  log_add_tap adds one listener beside the sink (the event stream); NULL
 * removes it.
 */
void log_set_sink(log_sink_fn *fn, void *arg);
void log_add_tap(log_sink_fn *fn, void *arg);

/*
 * log_line writes one line: category, `id` (0: none) and the message.  Bytes
 * from outside go in only through esc().  errno is preserved.  Beyond 50
 * LOGL_WARN lines a second of one category and id, and 200 of a category, only
 * their number is written.  Only the loop's thread logs.
 */
void log_line(enum log_level lv, enum log_cat cat, uint64_t id, const char *fmt,
    ...) __attribute__((format(printf, 4, 5)));
/* log_on tells whether a line of that level and category would be written. */
int log_on(enum log_level lv, enum log_cat cat);

#define log_err(cat, id, ...)  log_line(LOGL_ERR, (cat), (id), __VA_ARGS__)
#define log_warn(cat, id, ...) log_line(LOGL_WARN, (cat), (id), __VA_ARGS__)
#define log_info(cat, id, ...) log_line(LOGL_INFO, (cat), (id), __VA_ARGS__)
#define log_debug(cat, id, ...)                                         \
	do {                                                            \
		if (log_on(LOGL_DEBUG, (cat)))                          \
			log_line(LOGL_DEBUG, (cat), (id), __VA_ARGS__); \
	} while (0)
#define log_trace(cat, id, ...)                                         \
	do {                                                            \
		if (log_on(LOGL_TRACE, (cat)))                          \
			log_line(LOGL_TRACE, (cat), (id), __VA_ARGS__); \
	} while (0)

/*
 * esc makes outside bytes fit for a log, a page or a terminal: control
 * characters, quotes, backslashes, changes of writing direction and what is
 * not UTF-8 become \xNN; cut at 120 bytes of output.  The result lives in one
 * of 8 rotating static buffers, so that a few fit in one call; never keep it.
 * NULL gives "(none)".
 */
const char *esc(const char *s);
const char *esc_n(const void *p, size_t n);
/* The words of log_set_spec(): "error" .. "trace", "app" .. "audio". */
const char *log_level_name(enum log_level lv);
const char *log_cat_name(enum log_cat cat);

#endif
