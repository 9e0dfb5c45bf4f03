/* SPDX-License-Identifier: ISC */
/* What the files of src/web/ share. */
#ifndef BELLBIRD_WEB_INTERNAL_H
#define BELLBIRD_WEB_INTERNAL_H

#include <stdbool.h>

#include "bellbird/web_server.h"

/*
 * web_path_decode writes the decoded path.  E_PARSE for a bad escape, NUL,
 * control characters, "..", ".", "//" and what is not UTF-8; E_LIMIT if it
 * does not fit.
 */
MUST_CHECK int web_path_decode(const char *raw, char *out, size_t size);

/* ---- web_conns.c: who is connected, how many, for how long ---- */
struct web_conns;
MUST_CHECK int web_conns_new(struct web_conns **out, struct loop *l);
void web_conns_free(struct web_conns *cs);
/*
 * web_conns_add takes note of a socket that was just accepted.  E_LIMIT: too
 * many, in all or from its source; the caller ends it.
 */
MUST_CHECK int web_conns_add(struct web_conns *cs, int fd);
/* web_conns_request gives a connection more time: it asked for something. */
void web_conns_request(struct web_conns *cs, int fd);

#endif
