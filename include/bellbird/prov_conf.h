/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_PROV_CONF_H
#define BELLBIRD_PROV_CONF_H

#include "bellbird/prov_key.h"

/* prov_conf_cb receives each setting that was understood, normalised. */
typedef void(prov_conf_cb)(const struct prov_key *k, const char *name,
    const char *value, unsigned int line, void *arg);

struct prov_conf_opts {
	const char *file; /* name for messages */
	const char *mac;  /* $MAC$ macro; NULL: left as it is */
	bool strict;      /* local files: unknown or duplicate keys are fatal */
	bool provisioned; /* LOCAL keys are noted; one setting is a must */
	bool lenient;     /* bad lines are left out and only warn */
};

/*
 * prov_conf_parse reads "key = value" lines (device grammar: spaces optional,
 * whole-line # comments, CRLF, BOM, trailing commas, empty = default).  Every
 * problem is listed with line and column.  E_PROV_NOT_CONF if the bytes are no
 * configuration at all (NUL, control characters, HTML, JSON, XML, no setting),
 * E_LIMIT above 1 MiB, 20,000 lines or 8 KiB a line, E_PROV_CONF if a fatal
 * problem was found; `cb` has been called for the good lines all the same, so
 * the caller collects into a set it can throw away.
 */
MUST_CHECK int prov_conf_parse(struct slice text,
    const struct prov_conf_opts *o, struct prov_problems *problems,
    prov_conf_cb *cb, void *arg);

#endif
