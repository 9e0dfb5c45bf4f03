/* SPDX-License-Identifier: ISC */
/* What the files of src/ctl/ share: ring of events, socket client, parsed
 * command line. */
#ifndef BELLBIRD_CTL_INTERNAL_H
#define BELLBIRD_CTL_INTERNAL_H

#include <stdbool.h>

#include "bellbird/buf.h"
#include "bellbird/ctl_verb.h"
#include "bellbird/str.h"

enum {
	/* A command with its headers; whoever sends more is no client of ours.
	 */
	CTL_LINE_MAX = 64 * 1024,
	/* What a client may leave unread before it is closed. */
	CTL_UNSENT_MAX = 1024 * 1024,
	/* Two files of `call`, and room for what may follow. */
	CTL_FDS_MAX = 4,
	/* Replay for clients that were away for a while (STABILITY.md). */
	CTL_RING_EVENTS = 1000,
	/* All of a replay must fit in what a client may leave unread. */
	CTL_RING_BYTES = CTL_UNSENT_MAX / 2,
	/* The room for composing that is kept: those of calls fit. */
	CTL_ROOM_KEPT = 2048,
	/* A verdict with two chains is 12 KiB; nothing comes near. */
	CTL_EVENT_MAX = 128 * 1024
};

/* ---- ctl_event.c: numbered lines, the oldest fall out ---- */
struct ctl_ring {
	struct ctl_ring_line {
		char *text; /* in `mem`; one line with its newline */
		size_t n;
		uint64_t seq;
	} line[CTL_RING_EVENTS];
	char *mem;           /* owned; CTL_RING_BYTES */
	size_t first, count; /* a circle in `line` */
	size_t bytes;
	uint64_t seq;    /* of the newest event; 0: none yet */
	struct buf room; /* where lines are composed; kept while small */
};

void ctl_ring_clear(struct ctl_ring *r);
/*
 * ctl_ring_add numbers an event and keeps its line; takes `fields`.  The line
 * is borrowed until the next call.  ENOMEM or E_LIMIT: the number is used up
 * all the same, so that a reader sees that something is missing.
 */
MUST_CHECK int ctl_ring_add(struct ctl_ring *r, const char *event,
    struct jv *fields, const struct ctl_ring_line **out);
/* ctl_ring_next returns the first line with a number above `since`, or NULL. */
const struct ctl_ring_line *ctl_ring_next(
    const struct ctl_ring *r, uint64_t since);

/* ---- ctl_sock.c: the listening end in the file system ---- */
/*
 * ctl_sock_listen binds `path`, replacing what a dead process left there.
 * EADDRINUSE if somebody listens, EEXIST if the path is no socket,
 * ENAMETOOLONG, or errno.
 */
MUST_CHECK int ctl_sock_listen(const char *path, const char *group, int *fd);
/* ctl_sock_connect: E_CTL_NO_DAEMON if nobody listens, or errno. */
MUST_CHECK int ctl_sock_connect(const char *path, int *fd);
/* ctl_sock_recv reads once; descriptors that came along go to `fds`, which has
 * room for CTL_FDS_MAX.  EAGAIN, E_CLOSED at the end, or errno. */
MUST_CHECK int ctl_sock_recv(
    int fd, void *p, size_t size, size_t *n, int *fds, size_t *num_fds);
/* ctl_sock_send writes once, with descriptors if there are any. */
MUST_CHECK int ctl_sock_send(int fd, const void *p, size_t n, size_t *sent,
    const int *fds, size_t num_fds);

/* ---- ctl_client.c: the other end, blocking with deadlines ---- */
struct ctl_client {
	int fd;
	struct buf in;
	size_t used;    /* bytes of `in` that were taken */
	size_t scanned; /* bytes of `in` without a newline */
	int64_t last_id;
	struct jv *early; /* owned; events that came before a reply */
	size_t early_at;  /* the next of them */
};

/* A deadline is a clock_mono_us(); CTL_FOREVER: none. */
#define CTL_FOREVER INT64_MAX

MUST_CHECK int ctl_client_open(struct ctl_client *c, const char *path);
void ctl_client_clear(struct ctl_client *c);
/*
 * ctl_client_ask sends a command (borrows `args`, may be NULL) and stores the
 * reply, an object with "ok".  Events that arrive before it are kept for
 * ctl_client_event().  ETIMEDOUT, E_CLOSED, E_PARSE, or errno.
 */
MUST_CHECK int ctl_client_ask(struct ctl_client *c, const char *cmd,
    const struct jv *args, int64_t deadline_us, struct jv **reply);
/* ctl_client_ask_fds sends descriptors along (borrowed). */
MUST_CHECK int ctl_client_ask_fds(struct ctl_client *c, const char *cmd,
    const struct jv *args, const int *fds, size_t num_fds, struct jv **reply);
/* ctl_client_event stores the next event. */
MUST_CHECK int ctl_client_event(
    struct ctl_client *c, int64_t deadline_us, struct jv **out);

/* ---- ctl_opt.c: the command line as an object ---- */
/*
 * ctl_opt_parse finds the verb and stores what a local verb gets.  Returns
 * CTL_OK or CTL_USAGE with a sentence in `why`; `*args` is an object in both
 * cases, NULL only when out of memory (CTL_FAIL).
 */
int ctl_opt_parse(int argc, char **argv, const struct ctl_verb **verb,
    struct jv **args, char *why, size_t why_size);
extern const struct ctl_opt ctl_global_opts[];

/* ---- ctl_remote.c, ctl_call.c: verbs served by a running endpoint ---- */
int ctl_remote(
    const struct ctl_verb *v, struct ctl_client *c, const struct jv *args);
int ctl_call(struct ctl_client *c, const struct jv *args);
int ctl_events(struct ctl_client *c, const struct jv *args);
int ctl_wait(struct ctl_client *c, const struct jv *args);
/* ctl_operand returns the i-th operand or NULL. */
const char *ctl_operand(const struct jv *args, size_t i);
/* ctl_remote_fail prints a reply that says no, and returns its exit code. */
int ctl_remote_fail(bool json, const struct jv *reply);
/* ctl_lost prints why the conversation broke off. */
int ctl_lost(bool json, int err);
/* ctl_deadline turns --timeout into a deadline; usage errors are printed. */
int ctl_deadline(const struct jv *args, const char *name, int64_t *out);

/* ---- ctl_page.c: results as text ---- */
/* ctl_put appends outside text, made fit for a terminal: control characters
 * and marks that turn writing around become \xNN. */
void ctl_put(struct buf *b, const char *s);
/* ctl_put_value appends a scalar as text. */
void ctl_put_value(struct buf *b, const struct jv *v);
/* ctl_page_* append one kind of result; `colour`: a terminal that wants it. */
void ctl_page_status(struct buf *b, const struct jv *status, bool colour);
void ctl_page_last(struct buf *b, const struct jv *connections, bool colour);
void ctl_page_prov(struct buf *b, const struct jv *report);
void ctl_page_explain(struct buf *b, const struct jv *o);
void ctl_page_ladder(struct buf *b, const struct jv *o); /* ctl_ladder.c */
void ctl_page_any(struct buf *b, const struct jv *o);

/* ---- ctl_text.c ---- */
/* ctl_print_line prints one event: a line of JSON, or of text. */
void ctl_print_line(bool json, const struct jv *event);
/* ctl_say prints a line of help to standard output. */
void ctl_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
