/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_CTL_VERB_H
#define BELLBIRD_CTL_VERB_H

#include "bellbird/ctl_server.h"

/*
 * THE table of verbs: one row a verb: name, arguments, options, help, who
 * serves it.  Parser, help text and completion come from it.
 */
enum ctl_where {
	CTL_LOCAL, /* in this process, by a function of src/ (run, lab, ..) */
	/* By a running endpoint, over the control socket; by the local
	 * function of that name when none runs and none was named, or when
	 * --conf or --state is given. */
	CTL_REMOTE
};
struct ctl_opt {
	const char *name;
	const char *value; /* NULL: a flag; ends in "...": may come again */
	const char *help;
};
struct ctl_verb {
	const char *name; /* "call", "prov run" */
	enum ctl_where where;
	const char *args;           /* "URI", "[KEY]", "[FILE...]" */
	const struct ctl_opt *opts; /* ends with name NULL; NULL: none */
	const char *help;
};
/* ctl_verb_at returns the i-th verb, NULL past the end. */
const struct ctl_verb *ctl_verb_at(size_t i);

/*
 * ctl_local_fn serves a verb here and returns its exit code.  `args` is an
 * object: {"option": value, "flag": true, "list": [..], "args": [operands]};
 * the global options too: "json", "socket", "state", "conf", "identity",
 * "debug", "set" (of -o: ["key=value", ..]) and beside "set" the list
 * "set_file" (true where the value was in a file, not in argv).
 */
typedef int(ctl_local_fn)(const struct jv *args);
struct ctl_local {
	const char *name;
	ctl_local_fn *fn;
};

/*
 * ctl_main runs the command line: finds the verb, checks its options, serves
 * it here or over the socket, prints text or JSON, returns the exit code.
 * Results go to standard output, diagnostics to standard error.
 */
int ctl_main(
    int argc, char **argv, const struct ctl_local *locals, size_t num_locals);

/*
 * ctl_socket_path: `given` (--socket) if not NULL, else BELLBIRD_SOCKET, else
 * the runtime folder of systemd, of the system (uid 0) or of the user.  E_LIMIT
 * if it does not fit, EPERM if the folder in /tmp is somebody else's.
 */
MUST_CHECK int ctl_socket_path(char *out, size_t size, const char *given);
/* ctl_print prints a result: JSON with `json`, else text for a person. */
void ctl_print(bool json, const char *verb, const struct jv *result);
/* ctl_error prints a diagnostic (text to standard error; with `json` an object
 * to standard output) and returns `code`.  `detail` may be NULL. */
int ctl_error(bool json, enum ctl_exit code, const char *message,
    const struct jv *detail);

#endif
