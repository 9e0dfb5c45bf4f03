/* SPDX-License-Identifier: ISC */
/* Who may send requests: flows of our registrations, and what sip.allow
 * names.  All others are refused before anything is made for them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellbird/log.h"
#include "internal.h"

struct sip_allow {
	struct sip_allow *next; /* owned */
	enum { ALLOW_ANY, ALLOW_CIDR, ALLOW_NAME } kind;
	char text[];
};

void
sip_allow_free(struct sip_allow *a)
{
	struct sip_allow *next;

	for (; a != NULL; a = next) {
		next = a->next;
		free(a);
	}
}

/* Reads one element. */
static int
element_new(struct sip_allow **out, struct slice word)
{
	struct addr probe;
	struct sip_allow *a;
	bool in;

	if ((a = calloc(1, sizeof(*a) + word.n + 1)) == NULL)
		return ENOMEM;
	if (slice_case_is(word, "any")) {
		a->kind = ALLOW_ANY;
	} else if (word.n > 4 &&
	    slice_case_is((struct slice){ word.p, 4 }, "tls:")) {
		a->kind = ALLOW_NAME;
		word.p += 4;
		word.n -= 4;
	} else if (addr_parse(&probe, slice_of("127.0.0.1"), 0) == 0 &&
	    addr_in_cidr(&probe, word, &in) == 0) {
		a->kind = ALLOW_CIDR;
	} else {
		free(a);
		return E_PARSE;
	}
	memcpy(a->text, word.p, word.n);
	*out = a;
	return 0;
}

int
sip_stack_set_allow(
    struct sip_stack *s, const char *list, char *why, size_t why_size)
{
	struct slice rest = slice_of(list), word;
	struct sip_allow *all = NULL, *a;
	int err = 0;

	while (err == 0 && rest.n > 0) {
		(void)slice_cut(rest, ',', &word, &rest);
		word = slice_trim(word);
		if (word.n == 0)
			continue;
		if ((err = element_new(&a, word)) == 0) {
			a->next = all;
			all = a;
		} else if (why_size > 0) {
			(void)snprintf(why, why_size,
			    "%s is neither an address range, tls:NAME nor any",
			    esc_n(word.p, word.n));
		}
	}
	if (err != 0) {
		sip_allow_free(all);
		return err;
	}
	sip_allow_free(s->allow);
	s->allow = all;
	s->allow_gen++;
	return 0;
}

void
sip_stack_set_refuse(struct sip_stack *s, enum sip_refuse how)
{
	s->refuse = how;
}

/* Goes through the list. */
static bool
is_allowed(const struct sip_stack *s, const struct sip_src *src)
{
	bool in;

	for (const struct sip_allow *a = s->allow; a != NULL; a = a->next) {
		switch (a->kind) {
		case ALLOW_ANY:
			return true;
		case ALLOW_CIDR:
			if (addr_in_cidr(&src->from, slice_of(a->text), &in) ==
				0 &&
			    in)
				return true;
			break;
		case ALLOW_NAME:
			/* A certificate that only was shown says nothing. */
			if (src->flow != NULL && src->flow->c != NULL &&
			    tls_conn_peer_has_name(src->flow->c, a->text))
				return true;
			break;
		}
	}
	return false;
}

bool
sip_may_call(struct sip_stack *s, const struct sip_src *src)
{
	struct sip_flow *f = src->flow;

	if (f == NULL)
		return is_allowed(s, src);
	if (f->trusted > 0)
		return true;
	/* Asked for each request: remembered until the list changes. */
	if (f->allow_gen != s->allow_gen) {
		f->allow_gen = s->allow_gen;
		f->allowed = is_allowed(s, src);
	}
	return f->allowed;
}
