/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_PROV_KEY_H
#define BELLBIRD_PROV_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bellbird/buf.h"
#include "bellbird/err.h"
#include "bellbird/str.h"

enum prov_type {
	PROV_T_STR,
	PROV_T_INT,
	PROV_T_BOOL,
	PROV_T_ENUM,
	PROV_T_LIST,
	PROV_T_HOST, /* host[:port] */
	PROV_T_ADDR, /* ip:port to listen on; range "IP": an address alone */
	PROV_T_DB,   /* "-18dB" */
	PROV_T_PATH
};
/* Scope of a change, a bit each: what has to happen for it to count. */
enum {
	PROV_S_LIVE = 1,
	PROV_S_REREGISTER = 2,
	PROV_S_AUDIO = 4,
	PROV_S_RESTART = 8
};
/* Flags. */
enum {
	PROV_F_SECRET = 1,
	PROV_F_NA = 2,         /* hardware we do not have */
	PROV_F_WARN_RANGE = 4, /* a value outside the range only warns */
	PROV_F_LOCAL = 8,      /* never by a provisioned file */
	PROV_F_EMPTY = 16, /* explicitly empty means the first word of range */
	PROV_F_LATER = 32  /* known, but without effect in this version */
};

/* One row of keys.def.  Names with N stand for an index 1..99. */
struct prov_key {
	const char *name;
	enum prov_type type;
	const char *dflt;
	const char *range; /* "1..65535", "udp|tcp|tls|auto", "" */
	const char *unit;  /* "s", "ms", "" */
	unsigned int scope, flags;
	const char *section; /* "Advanced Settings / Advanced SIP" */
	const char *label;   /* form field */
	const char *alias;   /* on the reference device; "": the same or none */
	const char *help;    /* one sentence */
	const char *weaker;  /* values that weaken security: "a|b", "*" any,
				"" none */
};

/*
 * prov_key_find returns the row of a key ("sip.alert3.user" finds
 * "sip.alertN.user"; aliases too), NULL if none.  "sip.alertN.user" itself is
 * the name of a row, not of a key: NULL.
 */
const struct prov_key *prov_key_find(struct slice name);

/* prov_key_at walks the table, sorted by name; NULL past the end. */
const struct prov_key *prov_key_at(size_t i);

/* prov_key_weakens tells whether a normalised value of `k` weakens security by
 * the key's row; an empty one is the default and never does. */
bool prov_key_weakens(const struct prov_key *k, const char *value);

/* prov_type_name returns "string", "integer", "boolean" ..; never NULL. */
const char *prov_type_name(enum prov_type t);

/* prov_key_near writes the nearest known name, "" if nothing is near. */
void prov_key_near(const char *name, char *out, size_t size);

/*
 * prov_key_check judges and normalises a value ("0dB", trailing commas, "on");
 * E_PROV_CONF with a sentence in `why` (value escaped, secrets left out,
 * permitted values).  An empty value stays empty: it means the default.
 */
MUST_CHECK int prov_key_check(const struct prov_key *k, struct slice value,
    char *out, size_t out_size, char *why, size_t why_size);

/* No value of the family comes near it: long lists have some 150 bytes. */
enum { PROV_VALUE_MAX = 4096 };

/* A list of problems of one or several files; bounded at 100, then counted. */
struct prov_problem {
	char file[128];
	unsigned int line, column; /* from 1; 0: the whole file */
	bool fatal;                /* the file is refused because of it */
	char text[320];
};
struct prov_problems {
	struct prov_problem *v; /* owned */
	size_t n, dropped;
	size_t num_fatal;
};

/* prov_problems_clear frees the list; it may be used again at once. */
void prov_problems_clear(struct prov_problems *p);

/*
 * prov_problems_add appends one; outside bytes in the text go through esc().
 * In a full list a fatal problem takes the place of the last harmless one.
 */
void prov_problems_add(struct prov_problems *p, const char *file,
    unsigned int line, unsigned int column, bool fatal, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));

#endif
