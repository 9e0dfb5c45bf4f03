/* SPDX-License-Identifier: ISC */
/* Regular expressions with a ceiling on their cost: compiled into a short
 * program, whose states are walked side by side, never one after another. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "bellbird/pattern.h"

enum op {
	OP_BYTE,
	OP_ANY,
	OP_SET,
	OP_BEGIN,
	OP_END,
	OP_SPLIT,
	OP_JUMP,
	OP_FIT
};

/* Jumps are relative, so that a piece of program can be moved and copied. */
struct step {
	uint8_t op, arg; /* arg: the byte, or the number of the set */
	int16_t x, y;    /* where to go on: JUMP x, SPLIT x and y */
};

struct prog {
	size_t n, num_sets;
	struct step v[PATTERN_STEPS];
	uint8_t sets[PATTERN_SETS][32];
};

/* The parser. */
struct comp {
	struct prog *p;
	const char *at;
	unsigned int depth;
	const char *why; /* what is wrong */
	int err;
};

/* ---- compiling ---- */

/* Notes the first fault; the rest of the work comes to nothing. */
static void
fault(struct comp *c, int err, const char *why)
{
	if (c->err != 0)
		return;
	c->err = err;
	c->why = why;
}

/* Makes room for one step at `pos` and returns it; NULL if there is none. */
static struct step *
insert(struct comp *c, size_t pos)
{
	struct prog *p = c->p;

	if (p->n >= PATTERN_STEPS) {
		fault(c, E_LIMIT, "it is too large with its repetitions");
		return NULL;
	}
	memmove(&p->v[pos + 1], &p->v[pos], (p->n - pos) * sizeof(p->v[0]));
	p->n++;
	memset(&p->v[pos], 0, sizeof(p->v[pos]));
	return &p->v[pos];
}

/* Adds a step at the end. */
static struct step *
emit(struct comp *c, enum op op, uint8_t arg)
{
	struct step *s = insert(c, c->p->n);

	if (s != NULL) {
		s->op = (uint8_t)op;
		s->arg = arg;
	}
	return s;
}

/* Puts a SPLIT before the piece that begins at `pos`. */
static void
split_before(struct comp *c, size_t pos, int x, int y)
{
	struct step *s = insert(c, pos);

	if (s == NULL)
		return;
	s->op = OP_SPLIT;
	s->x = (int16_t)x;
	s->y = (int16_t)y;
}

/* A new set; NULL if there are too many. */
static uint8_t *
set_new(struct comp *c)
{
	if (c->p->num_sets >= PATTERN_SETS) {
		fault(c, E_LIMIT, "it has too many [..]");
		return NULL;
	}
	emit(c, OP_SET, (uint8_t)c->p->num_sets);
	return c->p->sets[c->p->num_sets++];
}

static void
set_add(uint8_t *set, uint8_t lo, uint8_t hi)
{
	for (unsigned int i = lo; i <= hi; i++)
		set[i / 8] |= (uint8_t)(1U << i % 8);
}

/* The members of \d, \w, \s; false for any other letter. */
static bool
class_add(uint8_t *set, char name)
{
	switch (name) {
	case 'w':
		set_add(set, 'a', 'z');
		set_add(set, 'A', 'Z');
		set_add(set, '_', '_');
		__attribute__((fallthrough));
	case 'd':
		set_add(set, '0', '9');
		return true;
	case 's':
		set_add(set, ' ', ' ');
		set_add(set, '\t', '\r');
		return true;
	default:
		return false;
	}
}

/* "[a-z]", from behind the bracket. */
static void
parse_set(struct comp *c)
{
	uint8_t *set = set_new(c), lo, hi;
	bool not = *c->at == '^', first = true;

	if (set == NULL)
		return;
	if (not )
		c->at++;
	for (; *c->at != '\0' && (*c->at != ']' || first); first = false) {
		lo = hi = (uint8_t)*c->at++;
		if (lo == '[' && strchr(":.=", *c->at) != NULL &&
		    *c->at != '\0') {
			fault(c, E_PARSE, "[:class:] is not known here");
			return;
		}
		if (lo == '\\' && *c->at != '\0') {
			if (class_add(set, *c->at)) {
				c->at++;
				continue;
			}
			lo = hi = (uint8_t)*c->at++;
		}
		if (c->at[0] == '-' && c->at[1] != ']' && c->at[1] != '\0') {
			hi = (uint8_t)c->at[1];
			c->at += 2;
		}
		if (hi < lo)
			fault(c, E_PARSE, "a range in [..] runs backwards");
		set_add(set, lo, hi);
	}
	if (*c->at != ']') {
		fault(c, E_PARSE, "a [ has no ]");
		return;
	}
	c->at++;
	for (size_t i = 0; not &&i < 32; i++)
		set[i] = (uint8_t)~set[i];
}

/* What follows a backslash. */
static void
parse_escape(struct comp *c)
{
	uint8_t *set;
	char ch = *c->at;

	if (ch == '\0') {
		fault(c, E_PARSE, "it ends in a backslash");
		return;
	}
	c->at++;
	if (ch >= '0' && ch <= '9') {
		fault(c, E_PARSE, "back-references are not known here");
	} else if (strchr("dws", ch) != NULL) {
		if ((set = set_new(c)) != NULL)
			(void)class_add(set, ch);
	} else {
		emit(c, OP_BYTE, (uint8_t)ch);
	}
}

static void parse_alt(struct comp *c);

/* "(...)", from behind the parenthesis. */
static void
parse_group(struct comp *c)
{
	struct step *s;

	if (c->depth >= PATTERN_DEPTH) {
		fault(c, E_LIMIT, "its groups are too deep inside each other");
		return;
	}
	c->depth++;
	/* An empty group is a step too: no repetition of it is free. */
	if ((s = emit(c, OP_JUMP, 0)) != NULL)
		s->x = 1;
	parse_alt(c);
	c->depth--;
	if (*c->at != ')') {
		fault(c, E_PARSE, "a ( has no )");
		return;
	}
	c->at++;
}

/* One item without its repetitions. */
static void
parse_atom(struct comp *c)
{
	char ch = *c->at++;

	switch (ch) {
	case '.':
		emit(c, OP_ANY, 0);
		break;
	case '^':
		emit(c, OP_BEGIN, 0);
		break;
	case '$':
		emit(c, OP_END, 0);
		break;
	case '[':
		parse_set(c);
		break;
	case '(':
		parse_group(c);
		break;
	case '\\':
		parse_escape(c);
		break;
	case '*':
	case '+':
	case '?':
	case '{':
		fault(c, E_PARSE, "there is nothing to repeat before * + ? {");
		break;
	default:
		emit(c, OP_BYTE, (uint8_t)ch);
		break;
	}
}

/* A number of at most three digits; -1: none. */
static int
number(struct comp *c)
{
	int v = -1;

	for (int i = 0; i < 3 && *c->at >= '0' && *c->at <= '9'; i++)
		v = (v < 0 ? 0 : v * 10) + (*c->at++ - '0');
	return v;
}

/* x*: SPLIT, x, back.  `pos` is where x begins. */
static void
repeat_any(struct comp *c, size_t pos)
{
	struct step *s;
	int n;

	split_before(c, pos, 1, 0);
	s = emit(c, OP_JUMP, 0);
	if (s == NULL)
		return;
	n = (int)(c->p->n - pos);
	c->p->v[pos].y = (int16_t)n;
	s->x = (int16_t)(1 - n);
}

/* x?: SPLIT, x. */
static void
repeat_maybe(struct comp *c, size_t pos)
{
	split_before(c, pos, 1, (int)(c->p->n - pos) + 1);
}

/* Appends a copy of `n` steps. */
static void
append(struct comp *c, const struct step *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct step *s = emit(c, OP_FIT, 0);

		if (s == NULL)
			return;
		*s = v[i];
	}
}

/* x{n,m}, from behind the brace; written out. */
static void
repeat_times(struct comp *c, size_t pos)
{
	struct step x[PATTERN_STEPS];
	size_t n = c->p->n - pos, at;
	int lo = number(c), hi = lo;

	if (*c->at == ',') {
		c->at++;
		hi = number(c);
	}
	if (lo < 0 || *c->at != '}' || (hi >= 0 && hi < lo)) {
		fault(c, E_PARSE, "{..} is not a number of times");
		return;
	}
	c->at++;
	memcpy(x, &c->p->v[pos], n * sizeof(x[0]));
	c->p->n = pos;
	for (int i = 0; i < lo && c->err == 0; i++)
		append(c, x, n);
	for (int i = lo; i < hi && c->err == 0; i++) {
		at = c->p->n;
		append(c, x, n);
		repeat_maybe(c, at);
	}
	if (hi < 0) {
		at = c->p->n;
		append(c, x, n);
		repeat_any(c, at);
	}
}

/* An item and what is said about repeating it. */
static void
parse_item(struct comp *c)
{
	size_t pos = c->p->n;

	parse_atom(c);
	while (c->err == 0 && *c->at != '\0' && strchr("*+?{", *c->at)) {
		switch (*c->at++) {
		case '*':
			repeat_any(c, pos);
			break;
		case '+': {
			struct step *s = emit(c, OP_SPLIT, 0);

			if (s == NULL)
				break;
			s->x = (int16_t)((int)pos - (int)(c->p->n - 1));
			s->y = 1;
			break;
		}
		case '?':
			repeat_maybe(c, pos);
			break;
		default:
			repeat_times(c, pos);
			break;
		}
	}
}

/* Alternatives, up to the end or a closing parenthesis. */
static void
parse_alt(struct comp *c)
{
	size_t pos = c->p->n, jump;

	while (c->err == 0 && *c->at != '\0' && *c->at != '|' && *c->at != ')')
		parse_item(c);
	if (c->err != 0 || *c->at != '|')
		return;
	c->at++;
	if (c->depth >= PATTERN_DEPTH) {
		fault(c, E_LIMIT, "it has too many alternatives");
		return;
	}
	split_before(c, pos, 1, (int)(c->p->n - pos) + 2);
	jump = c->p->n;
	if (emit(c, OP_JUMP, 0) == NULL)
		return;
	c->depth++;
	parse_alt(c);
	c->depth--;
	c->p->v[jump].x = (int16_t)((int)c->p->n - (int)jump);
}

/* Compiles the whole pattern. */
static int
compile(struct prog *p, const char *pattern, const char **why)
{
	struct comp c = { .p = p, .at = pattern };

	p->n = p->num_sets = 0;
	memset(p->sets, 0, sizeof(p->sets));
	if (strlen(pattern) > PATTERN_MAX)
		fault(&c, E_LIMIT, "it is longer than 128 characters");
	if (c.err == 0)
		parse_alt(&c);
	if (c.err == 0 && *c.at == ')')
		fault(&c, E_PARSE, "a ) has no (");
	if (c.err == 0)
		emit(&c, OP_FIT, 0);
	*why = c.why;
	return c.err;
}

int
pattern_check(const char *pattern, char *why, size_t why_size)
{
	struct prog p;
	const char *text;
	int err = compile(&p, pattern, &text);

	if (err != 0)
		(void)snprintf(why, why_size, "%s", text);
	return err;
}

/* ---- matching ---- */

/* The states that are alive; each at most once. */
struct states {
	size_t n;
	uint16_t v[PATTERN_STEPS];
	bool in[PATTERN_STEPS];
};

/* What the states need to know of where they are. */
struct place {
	const struct prog *p;
	bool begin, end;
};

/* Adds a state and all that follow it without a byte; true: it fits. */
static bool
enter(const struct place *at, struct states *s, size_t pc)
{
	uint16_t todo[PATTERN_STEPS];
	size_t n = 0;

	if (!s->in[pc]) {
		s->in[pc] = true;
		todo[n++] = (uint16_t)pc;
	}
	while (n > 0) {
		const struct step *v;
		int next[2] = { 0, 0 };

		pc = todo[--n];
		v = &at->p->v[pc];
		if (v->op == OP_FIT)
			return true;
		if (v->op == OP_SPLIT || v->op == OP_JUMP)
			next[0] = v->x;
		if (v->op == OP_SPLIT)
			next[1] = v->y;
		if ((v->op == OP_BEGIN && at->begin) ||
		    (v->op == OP_END && at->end))
			next[0] = 1;
		if (v->op <= OP_SET)
			s->v[s->n++] = (uint16_t)pc;
		for (int i = 0; i < 2; i++) {
			size_t to = (size_t)((int)pc + next[i]);

			if (next[i] == 0 || s->in[to])
				continue;
			s->in[to] = true;
			todo[n++] = (uint16_t)to;
		}
	}
	return false;
}

/* Does a byte take this state on? */
static bool
takes(const struct prog *p, const struct step *v, uint8_t byte)
{
	if (v->op == OP_BYTE)
		return v->arg == byte;
	if (v->op == OP_ANY)
		return true;
	return p->sets[v->arg][byte / 8] >> byte % 8 & 1;
}

bool
pattern_match(const char *pattern, const char *text)
{
	struct prog p;
	struct states a, b, *now = &a, *next = &b, *swap;
	size_t len = strnlen(text, PATTERN_TEXT);
	const char *why;
	struct place at = { .p = &p, .begin = true };

	if (compile(&p, pattern, &why) != 0)
		return false;
	memset(now, 0, sizeof(*now));
	for (size_t i = 0;; i++) {
		at.begin = i == 0;
		at.end = text[i] == '\0' || i == len;
		/* A fit may begin here as well. */
		if (enter(&at, now, 0))
			return true;
		if (i == len)
			return false;
		at.begin = false;
		at.end = i + 1 == len;
		memset(next, 0, sizeof(*next));
		for (size_t k = 0; k < now->n; k++)
			if (takes(&p, &p.v[now->v[k]], (uint8_t)text[i]) &&
			    enter(&at, next, (size_t)now->v[k] + 1))
				return true;
		swap = now;
		now = next;
		next = swap;
	}
}
