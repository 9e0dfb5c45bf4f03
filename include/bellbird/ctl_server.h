/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_CTL_SERVER_H
#define BELLBIRD_CTL_SERVER_H

#include "bellbird/json.h"
#include "bellbird/loop.h"

/* Exit codes of the command line, stable (docs/STABILITY.md). */
enum ctl_exit {
	CTL_OK = 0, CTL_FAIL = 1, CTL_USAGE = 2, CTL_NOT_RUNNING = 3, CTL_TIMEOUT = 4, CTL_REFUSED = 5,
	CTL_AUTH = 6, CTL_TLS = 7, CTL_MEDIA = 8, CTL_CONFIG = 9, CTL_PROV = 10
};

/*
 * The control socket: UNIX stream, one JSON object a line; every command gets
 * one reply, every state change is an event (ctl_event.h).
 */
struct ctl_server;
struct ctl_req; /* one command waiting for its reply */

/*
 * ctl_cmd_fn serves one command.  It replies now or later with exactly one of
 * ctl_reply() and ctl_fail(), which end the life of `r`.  When the client goes
 * away first, `on_gone` (if set with ctl_req_on_gone) runs and `r` is dead.
 */
typedef void(ctl_cmd_fn)(struct ctl_req *r, const struct jv *args, void *arg);
struct ctl_cmd { const char *name; ctl_cmd_fn *fn; };

MUST_CHECK int ctl_server_open(struct ctl_server **out, struct loop *l, const char *path, const char *group,
    const struct ctl_cmd *cmds, size_t num_cmds, void *arg);
void ctl_server_free(struct ctl_server *s);
void ctl_reply(struct ctl_req *r, struct jv *result); /* takes result */
/* ctl_fail: `code` is the exit code the client leaves with; `detail` may be NULL; takes it. */
void ctl_fail(struct ctl_req *r, enum ctl_exit code, const char *message, struct jv *detail);
void ctl_req_on_gone(struct ctl_req *r, void (*fn)(struct ctl_req *r, void *arg), void *arg);
/* ctl_req_take_fd hands over the i-th descriptor that came with the command (SCM_RIGHTS), -1 if none. */
int ctl_req_take_fd(struct ctl_req *r, size_t i);

/* ---- events ---- */
/* ctl_event numbers `fields` (taken; an object or NULL), keeps it in the ring of
 * 1000 and sends it to every subscriber.  A subscriber that does not read 1 MiB
 * of output is closed. */
void ctl_event(struct ctl_server *s, const char *event, struct jv *fields);
uint64_t ctl_event_seq(const struct ctl_server *s);

#endif
