/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_STR_H
#define BELLBIRD_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bellbird/err.h"

/* A slice borrows bytes that somebody else owns; not NUL terminated. */
struct slice {
	const char *p;
	size_t n;
};

#define SLICE_FMT    "%.*s"
#define SLICE_ARG(s) (int)(s).n, (s).p
/* slice_of borrows a string; NULL gives an empty slice. */
struct slice slice_of(const char *s);
/* The same bytes; slice_case_is folds ASCII case, whatever the locale. */
bool slice_is(struct slice s, const char *lit);
bool slice_case_is(struct slice s, const char *lit);
/* slice_trim leaves out spaces, tabs and CR at both ends. */
struct slice slice_trim(struct slice s);
/* slice_cut stores what is before `sep` in `*head` and after it in `*tail`;
 * false if `sep` is absent (then head = all, tail = empty). */
bool slice_cut(
    struct slice s, char sep, struct slice *head, struct slice *tail);
/* slice_line takes the next line, without its LF or CRLF, off `*rest`; false
 * at the end. */
bool slice_line(struct slice *rest, struct slice *line);
/* slice_dup returns a terminated heap copy (free()); NULL: out of memory. */
char *slice_dup(struct slice s);

/*
 * str_int reads a decimal integer (optional sign, no spaces, nothing behind
 * it) within min..max.  Returns 0, E_PARSE or ERANGE.
 */
MUST_CHECK int str_int(struct slice s, int64_t min, int64_t max, int64_t *out);
/* str_duration_ms reads "250ms", "5s", "2m", "1h" or bare seconds; E_PARSE or
 * ERANGE. */
MUST_CHECK int str_duration_ms(struct slice s, int64_t *out);
/* str_hex turns `n` bytes into 2n lower-case digits and a NUL; str_unhex
 * reads either case, E_LIMIT beyond `max` bytes, else E_PARSE. */
void str_hex(char *out, const void *p, size_t n);
MUST_CHECK int str_unhex(struct slice s, uint8_t *out, size_t max, size_t *n);
/* base64 (RFC 4648 4); the encoder pads, the decoder accepts missing padding
 * but nothing else; E_LIMIT beyond `max`.  str_base64 needs 4*((n+2)/3)+1
 * bytes of room. */
void str_base64(char *out, const void *p, size_t n);
MUST_CHECK int str_unbase64(
    struct slice s, uint8_t *out, size_t max, size_t *n);
/* str_copy copies at most size-1 bytes and terminates; E_LIMIT if cut. */
int str_copy(char *dst, size_t size, const char *src);
int str_copy_slice(char *dst, size_t size, struct slice src);
/* str_distance: edit distance (transpositions count one), at most `max`+1. */
unsigned int str_distance(const char *a, const char *b, unsigned int max);
/* str_mac_norm accepts aa:bb:.., aa-bb-.., AABB.. and writes 12 lower-case
 * digits and a NUL; E_PARSE. */
MUST_CHECK int str_mac_norm(struct slice s, char out[static 13]);
/* str_utf8 returns the length (1..4) of the valid UTF-8 sequence at `p` and
 * stores its code point; 0 if the `n` bytes start with none. */
size_t str_utf8(const void *p, size_t n, uint32_t *cp);

#endif
