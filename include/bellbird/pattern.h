/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_PATTERN_H
#define BELLBIRD_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "bellbird/err.h"

/*
 * Regular expressions of settings, in the extended form of POSIX: literals, .
 * [a-z] [^a-z] ( ) | * + ? {n,m} ^ $, and \d \w \s \x for a class or a plain x.
 * No back-references, no [:class:].  Bytes are characters.
 *
 * Not regcomp(): a pattern of 45 characters keeps glibc's busy for seconds,
 * and no simple rule tells such patterns.  Here the cost has a ceiling, the
 * product of the limits below: the states are walked side by side.
 */
enum {
	PATTERN_MAX = 128,   /* bytes of a pattern */
	PATTERN_STEPS = 512, /* states it may have, repetitions written out */
	PATTERN_SETS = 24,   /* [..] and classes in it, written once */
	PATTERN_DEPTH = 24,  /* groups and alternatives inside each other */
	PATTERN_TEXT = 256   /* what is looked at of the text */
};

/* pattern_check judges a pattern; E_PARSE or E_LIMIT with a sentence. */
MUST_CHECK int pattern_check(const char *pattern, char *why, size_t why_size);
/* pattern_match: is there a part of `text` that the pattern fits?  False for a
 * pattern that pattern_check refuses. */
bool pattern_match(const char *pattern, const char *text);

#endif
