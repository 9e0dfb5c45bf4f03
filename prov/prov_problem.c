/* SPDX-License-Identifier: ISC */
/*
 * A bounded list of what is wrong with files.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellbird/prov_key.h"

/* Nobody reads more; what follows is counted. */
enum { PROBLEMS_MAX = 100, PROBLEMS_STEP = 10 };

void
prov_problems_clear(struct prov_problems *p)
{
	free(p->v);
	memset(p, 0, sizeof(*p));
}

/* problem_slot finds room for one more; NULL if it is only to be counted. */
static struct prov_problem *
problem_slot(struct prov_problems *p, bool fatal)
{
	struct prov_problem *v;

	if (p->n < PROBLEMS_MAX) {
		if (p->n % PROBLEMS_STEP == 0) {
			v = realloc(p->v, (p->n + PROBLEMS_STEP) * sizeof(*v));
			if (v == NULL)
				return NULL;
			p->v = v;
		}
		return &p->v[p->n++];
	}
	/* Why a file was refused must not be lost among its warnings. */
	for (size_t i = p->n; fatal && i > 0; i--) {
		if (p->v[i - 1].fatal)
			continue;
		memmove(&p->v[i - 1], &p->v[i], (p->n - i) * sizeof(*p->v));
		p->dropped++;
		return &p->v[p->n - 1];
	}
	return NULL;
}

void
prov_problems_add(struct prov_problems *p, const char *file, unsigned int line,
    unsigned int column, bool fatal, const char *fmt, ...)
{
	struct prov_problem *e;
	va_list ap;

	p->num_fatal += fatal;
	if ((e = problem_slot(p, fatal)) == NULL) {
		p->dropped++;
		return;
	}
	memset(e, 0, sizeof(*e));
	snprintf(e->file, sizeof(e->file), "%s", file ? file : "");
	e->line = line;
	e->column = column;
	e->fatal = fatal;
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
}
