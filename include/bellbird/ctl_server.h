/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_CTL_SERVER_H
#define BELLBIRD_CTL_SERVER_H

#include "bellbird/json.h"
#include "bellbird/loop.h"

/* Exit codes of the command line, stable (docs/STABILITY.md). */
enum ctl_exit {
	CTL_OK = 0,
	CTL_FAIL = 1,
	CTL_USAGE = 2,
	CTL_NOT_RUNNING = 3,
	CTL_TIMEOUT = 4,
	CTL_REFUSED = 5,
	CTL_AUTH = 6,
	CTL_TLS = 7,
	CTL_MEDIA = 8,
	CTL_CONFIG = 9,
	CTL_PROV = 10,
	CTL_RESTART = 75 /* of `run`: start it again (EX_TEMPFAIL) */
};

/*
 * The control socket: UNIX stream, one JSON object a line; every command gets
 * one reply, every state change is an event.  A line is at most 64 KiB.
 */
struct ctl_server;
struct ctl_req; /* one command waiting for its reply */

/*
 * ctl_cmd_fn serves one command; `args` is an object, borrowed for the call.
 * It replies now or later with exactly one of ctl_reply() and ctl_fail(),
 * which end the life of `r`.
 */
typedef void(ctl_cmd_fn)(struct ctl_req *r, const struct jv *args, void *arg);
struct ctl_cmd {
	const char *name;
	ctl_cmd_fn *fn;
};

/*
 * ctl_server_open binds `path` (mode 0660, given to `group` if there is one of
 * that name; NULL: none) and serves `cmds` (borrowed); `events` it serves
 * itself.  A socket that a dead process left there is replaced.  EADDRINUSE if
 * somebody listens on it, EEXIST if it is no socket, ENAMETOOLONG, ENOMEM, or
 * errno.
 */
MUST_CHECK int ctl_server_open(struct ctl_server **out, struct loop *l,
    const char *path, const char *group, const struct ctl_cmd *cmds,
    size_t num_cmds, void *arg);
/* ctl_server_free tells the requests without a reply that their client is
 * gone.  Later replies are not allowed. */
void ctl_server_free(struct ctl_server *s);

/* ctl_reply says that all went well; takes `result` (an object). */
void ctl_reply(struct ctl_req *r, struct jv *result);
/* ctl_fail: `code` is the exit code the client leaves with; takes `detail`,
 * which may be NULL. */
void ctl_fail(struct ctl_req *r, enum ctl_exit code, const char *message,
    struct jv *detail);
/*
 * ctl_req_on_gone: `fn` runs when the client goes away before its reply; `r`
 * is dead when it returns.  Without it the reply must come all the same, and
 * goes nowhere.
 */
void ctl_req_on_gone(
    struct ctl_req *r, void (*fn)(struct ctl_req *r, void *arg), void *arg);
/* ctl_req_take_fd hands over the i-th descriptor that came with the command
 * (SCM_RIGHTS, at most 4), -1 if there is none.  The rest is closed. */
int ctl_req_take_fd(struct ctl_req *r, size_t i);

/*
 * ctl_event numbers `fields` (taken; an object or NULL), keeps it in the ring
 * of 1000 (at most 512 KiB) and sends it to every subscriber.  One that leaves
 * 1 MiB unread is closed.
 */
void ctl_event(struct ctl_server *s, const char *event, struct jv *fields);
/* ctl_event_seq: the number of the newest event, 0 before the first. */
uint64_t ctl_event_seq(const struct ctl_server *s);

#endif
