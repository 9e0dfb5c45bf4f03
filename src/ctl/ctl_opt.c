/* SPDX-License-Identifier: ISC */
/* The command line as an object: verb, options, operands.  Options may stand
 * anywhere; whatever is wrong is said with the nearest right word. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellbird/file.h"
#include "bellbird/log.h"
#include "bellbird/mem.h"
#include "internal.h"

enum {
	/* Further away than this a word is not a misspelling. */
	NEAR_MAX = 3,
	WORD_MAX = 64,
	/* A value from -o KEY=@FILE: a password, a certificate at most. */
	FILE_VALUE_MAX = 64 * 1024
};

const struct ctl_opt ctl_global_opts[] = {
	{ "json", NULL, "print one JSON object instead of text" },
	{ "socket", "PATH", "the control socket (also: BELLBIRD_SOCKET)" },
	{ "state", "DIR", "folder of settings, certificates and caches" },
	{ "conf", "FILE", "the settings file of the operator" },
	{ "identity", "DIR", "folder of the device certificate" },
	{ "set", "KEY=VALUE...", "-o; one setting; KEY=@FILE reads a file" },
	{ "debug", "SPEC", "-D; log levels: debug, or info,sip=trace" },
	{ "help", NULL, "-h; explain the program, or the verb" },
	{ "version", NULL, "-V; print the version" },
	{ NULL, NULL, NULL },
};

/* One pass over argv. */
struct pass {
	char **argv;
	int argc, i;
	const struct ctl_verb *verb;
	const char *group; /* "config": the second word is still to come */
	struct jv *out;    /* borrowed from the caller */
	char *why;
	size_t why_size;
};

/* ---- words ---- */

/* Keeps the nearer of `*best` and `word`. */
static void
nearer(
    const char *typed, const char *word, const char **best, unsigned int *dist)
{
	unsigned int d = str_distance(typed, word, NEAR_MAX);

	/* Half of a short word is another word. */
	if (d <= NEAR_MAX && d < *dist && d * 2 <= strlen(word)) {
		*dist = d;
		*best = word;
	}
}

/* Says `what "typed"`, with the nearest word if one is near. */
static int
refuse(struct pass *p, const char *what, const char *typed, const char *dashes,
    const char *best)
{
	if (best != NULL)
		(void)snprintf(p->why, p->why_size,
		    "unknown %s \"%s%s\"; did you mean \"%s%s\"?", what, dashes,
		    esc(typed), dashes, best);
	else
		(void)snprintf(p->why, p->why_size,
		    "unknown %s \"%s%s\"; try bellbird help", what, dashes,
		    esc(typed));
	return CTL_USAGE;
}

/* Is `name` made of `group`, a space and more? */
static const char *
second_word(const char *name, const char *group)
{
	size_t n = strlen(group);

	return strncmp(name, group, n) == 0 && name[n] == ' ' ? name + n + 1
							      : NULL;
}

/* "config set" typed as one unknown word, or misspelt. */
static int
verb_refuse(struct pass *p, const char *typed)
{
	const char *best = NULL, *word;
	unsigned int dist = NEAR_MAX + 1;
	const struct ctl_verb *v;
	char first[WORD_MAX], firsts[4][WORD_MAX];
	size_t num = 0;
	struct slice head, tail;

	for (size_t i = 0; (v = ctl_verb_at(i)) != NULL; i++) {
		if (p->group != NULL) {
			word = second_word(v->name, p->group);
			if (word != NULL)
				nearer(typed, word, &best, &dist);
			continue;
		}
		(void)slice_cut(slice_of(v->name), ' ', &head, &tail);
		if (str_copy_slice(first, sizeof(first), head) != 0)
			continue;
		if (tail.n == 0)
			nearer(typed, v->name, &best, &dist);
		else if (num < 4 &&
		    (num == 0 || strcmp(firsts[num - 1], first) != 0) &&
		    str_copy(firsts[num], WORD_MAX, first) == 0) {
			nearer(typed, firsts[num], &best, &dist);
			num++;
		}
	}
	return refuse(p, p->group != NULL ? p->group : "verb", typed, "", best);
}

/* Names all second words of a group. */
static int
group_alone(struct pass *p)
{
	const struct ctl_verb *v;
	const char *word;
	struct buf b;

	buf_init(&b, p->why_size);
	for (size_t i = 0; (v = ctl_verb_at(i)) != NULL; i++)
		if ((word = second_word(v->name, p->group)) != NULL)
			buf_printf(&b, "%s%s", b.n ? ", " : "", word);
	(void)snprintf(
	    p->why, p->why_size, "%s wants one of: %s", p->group, buf_str(&b));
	buf_clear(&b);
	return CTL_USAGE;
}

/* An operand before the verb is known: the verb, or half of it. */
static int
take_verb(struct pass *p, const char *word)
{
	const struct ctl_verb *v;
	const char *second;

	for (size_t i = 0; (v = ctl_verb_at(i)) != NULL; i++) {
		second =
		    p->group != NULL ? second_word(v->name, p->group) : v->name;
		if (second != NULL && strcmp(second, word) == 0) {
			p->verb = v;
			return CTL_OK;
		}
	}
	for (size_t i = 0; p->group == NULL && (v = ctl_verb_at(i)) != NULL;
	     i++)
		if (second_word(v->name, word) != NULL) {
			p->group = word;
			return CTL_OK;
		}
	return verb_refuse(p, word);
}

/* ---- options ---- */

static const struct ctl_opt *
opt_find(const struct ctl_opt *o, struct slice name)
{
	for (; o != NULL && o->name != NULL; o++)
		if (slice_is(name, o->name))
			return o;
	return NULL;
}

/* The option is neither one of the verb nor a global one. */
static int
opt_refuse(struct pass *p, struct slice name)
{
	const struct ctl_opt *o = p->verb != NULL ? p->verb->opts : NULL;
	unsigned int dist = NEAR_MAX + 1;
	const char *best = NULL;
	char typed[WORD_MAX];

	if (str_copy_slice(typed, sizeof(typed), name) != 0)
		typed[WORD_MAX - 1] = '\0';
	for (; o != NULL && o->name != NULL; o++)
		nearer(typed, o->name, &best, &dist);
	for (o = ctl_global_opts; o->name != NULL; o++)
		nearer(typed, o->name, &best, &dist);
	return refuse(p, "option", typed, "--", best);
}

/* May the option be given more than once? */
static bool
is_list(const struct ctl_opt *o)
{
	size_t n = o->value != NULL ? strlen(o->value) : 0;

	return n > 3 && strcmp(o->value + n - 3, "...") == 0;
}

/* Adds `v` (taken) to the array `key`, which is made at need. */
static void
list_add(struct jv *obj, const char *key, struct jv *v)
{
	if (jv_get(obj, key) == NULL)
		jv_set(obj, key, jv_arr());
	if (jv_get(obj, key) != NULL)
		jv_add(jv_get(obj, key), v);
	else
		jv_free(v);
}

/* KEY=@FILE: the value is in the file, without its last newline. */
static int
set_from_file(struct pass *p, const char *text, const char *at)
{
	struct buf b, line;
	int err;

	buf_init_secret(&b, FILE_VALUE_MAX);
	buf_init_secret(&line, FILE_VALUE_MAX + WORD_MAX * 4);
	err = file_read(at + 1, &b);
	if (err == 0 && b.n > 0 && b.p[b.n - 1] == '\n')
		b.n--;
	if (err == 0 && b.n > 0 && b.p[b.n - 1] == '\r')
		b.n--;
	if (err == 0 && memchr(buf_str(&b), '\0', b.n) != NULL)
		err = E_PARSE;
	if (err == 0)
		err = buf_add(&line, text, (size_t)(at - text));
	if (err == 0)
		err = buf_add(&line, b.n > 0 ? b.p : (const uint8_t *)"", b.n);
	if (err == 0)
		list_add(p->out, "set", jv_str(buf_str(&line)));
	else
		(void)snprintf(p->why, p->why_size, "-o: %s: %s", esc(at + 1),
		    err_str(err));
	buf_clear(&line);
	buf_clear(&b);
	return err == 0 ? CTL_OK : CTL_USAGE;
}

/* -o KEY=VALUE.  "set_file" tells which of "set" were not in argv. */
static int
take_set(struct pass *p, const char *text)
{
	const char *eq = strchr(text, '=');
	bool file = eq != NULL && eq[1] == '@';

	if (eq == NULL || eq == text) {
		(void)snprintf(p->why, p->why_size,
		    "-o wants KEY=VALUE or KEY=@FILE, not \"%s\"", esc(text));
		return CTL_USAGE;
	}
	list_add(p->out, "set_file", jv_bool(file));
	if (file)
		return set_from_file(p, text, eq + 1);
	list_add(p->out, "set", jv_str(text));
	return CTL_OK;
}

/* Stores an option; `value` NULL: none was given with it. */
static int
opt_store(struct pass *p, const struct ctl_opt *o, const char *value)
{
	if (o->value == NULL) {
		if (value != NULL) {
			(void)snprintf(p->why, p->why_size,
			    "--%s takes no value", o->name);
			return CTL_USAGE;
		}
		jv_set_bool(p->out, o->name, true);
		return CTL_OK;
	}
	if (value == NULL && p->i + 1 < p->argc)
		value = p->argv[++p->i];
	if (value == NULL) {
		(void)snprintf(p->why, p->why_size, "--%s wants a value: %s",
		    o->name, o->value);
		return CTL_USAGE;
	}
	if (strcmp(o->name, "set") == 0)
		return take_set(p, value);
	if (is_list(o)) {
		list_add(p->out, o->name, jv_str(value));
		return CTL_OK;
	}
	if (jv_get(p->out, o->name) != NULL) {
		(void)snprintf(
		    p->why, p->why_size, "--%s is given twice", o->name);
		return CTL_USAGE;
	}
	jv_set_str(p->out, o->name, value);
	return CTL_OK;
}

/* "--name", "--name=value". */
static int
take_long(struct pass *p, const char *text)
{
	const struct ctl_opt *o;
	struct slice name, tail;
	bool has_value;

	has_value = slice_cut(slice_of(text + 2), '=', &name, &tail);
	o = opt_find(p->verb != NULL ? p->verb->opts : NULL, name);
	if (o == NULL)
		o = opt_find(ctl_global_opts, name);
	if (o == NULL)
		return opt_refuse(p, name);
	return opt_store(p, o, has_value ? tail.p : NULL);
}

/* "-o KEY=VALUE", "-oKEY=VALUE", "-h". */
static int
take_short(struct pass *p, const char *text)
{
	static const char letters[] = "oDhV";
	static const char *const names[] = { "set", "debug", "help",
		"version" };
	const char *at = strchr(letters, text[1]);

	if (at == NULL)
		return refuse(p, "option", text + 1, "-", NULL);
	return opt_store(p,
	    opt_find(ctl_global_opts, slice_of(names[at - letters])),
	    text[2] != '\0' ? text + 2 : NULL);
}

/* ---- operands ---- */

/* Reads "KEY [VALUE]" or "[FILE...]": how many there may be. */
static void
operand_range(const char *spec, size_t *min, size_t *max)
{
	struct slice rest = slice_of(spec), word;

	*min = *max = 0;
	while (rest.n > 0) {
		(void)slice_cut(rest, ' ', &word, &rest);
		if (word.n == 0)
			continue;
		if (word.p[0] != '[')
			++*min;
		++*max;
		if (memchr(word.p, '.', word.n) != NULL)
			*max = SIZE_MAX;
		if (*max == SIZE_MAX)
			return;
	}
}

/* Checks the number of operands. */
static int
operands_check(struct pass *p)
{
	size_t n = jv_len(jv_get(p->out, "args")), min, max;

	if (jv_get_bool(p->out, "help", false))
		return CTL_OK;
	operand_range(p->verb->args, &min, &max);
	if (n >= min && n <= max)
		return CTL_OK;
	if (p->verb->args[0] == '\0')
		(void)snprintf(p->why, p->why_size,
		    "%s takes no argument; \"%s\" is one too many",
		    p->verb->name, esc(ctl_operand(p->out, 0)));
	else
		(void)snprintf(p->why, p->why_size, "usage: bellbird %s %s",
		    p->verb->name, p->verb->args);
	return CTL_USAGE;
}

const char *
ctl_operand(const struct jv *args, size_t i)
{
	return jv_as_str(jv_at(jv_get(args, "args"), i));
}

/* One word of argv. */
static int
take_word(struct pass *p, bool *only_operands)
{
	const char *word = p->argv[p->i];

	if (!*only_operands && strcmp(word, "--") == 0) {
		*only_operands = true;
		return CTL_OK;
	}
	/* A single dash is an operand: standard input. */
	if (!*only_operands && word[0] == '-' && word[1] == '-')
		return take_long(p, word);
	if (!*only_operands && word[0] == '-' && word[1] != '\0')
		return take_short(p, word);
	if (p->verb == NULL)
		return take_verb(p, word);
	list_add(p->out, "args", jv_str(word));
	return CTL_OK;
}

int
ctl_opt_parse(int argc, char **argv, const struct ctl_verb **verb,
    struct jv **args, char *why, size_t why_size)
{
	struct pass p = { .argv = argv,
		.argc = argc,
		.i = 1,
		.why = why,
		.why_size = why_size };
	bool only_operands = false;
	int code = CTL_OK;

	*verb = NULL;
	why[0] = '\0';
	if ((*args = p.out = jv_obj()) == NULL)
		return CTL_FAIL;
	jv_set(p.out, "args", jv_arr());
	for (; code == CTL_OK && p.i < argc; p.i++)
		code = take_word(&p, &only_operands);
	*verb = p.verb;
	/* An error is printed as the user asked for, wherever that stood. */
	for (int i = 1; code != CTL_OK && i < argc; i++)
		if (strcmp(argv[i], "--json") == 0)
			jv_set_bool(p.out, "json", true);
	if (code != CTL_OK || p.verb != NULL)
		return code != CTL_OK ? code : operands_check(&p);
	if (p.group != NULL && !jv_get_bool(p.out, "help", false))
		return group_alone(&p);
	return CTL_OK;
}
