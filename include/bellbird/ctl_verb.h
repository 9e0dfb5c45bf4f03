/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_CTL_VERB_H
#define BELLBIRD_CTL_VERB_H

#include "bellbird/ctl_server.h"

/*
 * THE table of verbs: one row a verb: name, arguments, help, exit codes, who
 * serves it.  Help text, man page and completion come from it.
 */
enum ctl_where {
	CTL_LOCAL,   /* in this process, by a function of src/ (run, lab, cert ..) */
	CTL_REMOTE   /* by a running endpoint, over the control socket */
};
struct ctl_opt { const char *name; const char *value; /* NULL: a flag */ const char *help; };
struct ctl_verb {
	const char *name;     /* "call", "prov run" */
	enum ctl_where where;
	const char *args;     /* "URI", "[KEY]" */
	const struct ctl_opt *opts; /* ends with name NULL */
	const char *help;
};
const struct ctl_verb *ctl_verb_at(size_t i); /* NULL past the end */

/* What a local verb gets: parsed options as an object {"option": value | true,
 * "args": [...]}; global ones ("json", "socket", "state", "conf", "identity",
 * "set": ["key=value"..]) too. Returns the exit code. */
typedef int(ctl_local_fn)(const struct jv *args);
struct ctl_local { const char *name; ctl_local_fn *fn; };

/*
 * ctl_main runs the command line: finds the verb, checks its options, serves
 * it here or over the socket, prints text or JSON, returns the exit code.
 * Results to stdout, diagnostics to stderr.
 */
int ctl_main(int argc, char **argv, const struct ctl_local *locals, size_t num_locals);

/* ctl_socket_path: --socket, BELLBIRD_SOCKET, else the place of design 6. */
MUST_CHECK int ctl_socket_path(char *out, size_t size, const char *given);
/* ctl_print prints a result: JSON with `json`, else text for a person. */
void ctl_print(bool json, const char *verb, const struct jv *result);
/* ctl_error prints a diagnostic (text to stderr; with `json` an object to stdout) and returns `code`. */
int ctl_error(bool json, enum ctl_exit code, const char *message, const struct jv *detail);

#endif
