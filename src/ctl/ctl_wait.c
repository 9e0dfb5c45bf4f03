/* SPDX-License-Identifier: ISC */
/* Verbs that follow the stream of events: events, wait. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellbird/clock.h"
#include "bellbird/str.h"
#include "internal.h"

enum {
	/* One value of a condition, and one word of a dotted name. */
	VALUE_MAX = 4096,
	WORD_MAX = 64
};

/* Is `--since` a number?  -1: not given. */
static int
since_of(const struct jv *args, int64_t *out)
{
	const char *text = jv_get_str(args, "since");

	*out = -1;
	if (text == NULL || str_int(slice_of(text), 0, INT64_MAX, out) == 0)
		return CTL_OK;
	return ctl_error(jv_get_bool(args, "json", false), CTL_USAGE,
	    "--since wants the number of an event", NULL);
}

/* Asks for the events; those after `since`, unless it is negative, first. */
static int
subscribe(struct ctl_client *c, const struct jv *args, int64_t deadline)
{
	bool json = jv_get_bool(args, "json", false);
	struct jv *a, *reply = NULL;
	int64_t since;
	int err, code;

	if ((code = since_of(args, &since)) != CTL_OK)
		return code;
	a = jv_obj();
	if (since >= 0)
		jv_set_int(a, "since", since);
	err = ctl_client_ask(c, "events", a, deadline, &reply);
	if (err != 0)
		code = ctl_lost(json, err);
	else if (!jv_get_bool(reply, "ok", false))
		code = ctl_remote_fail(json, reply);
	jv_free(reply);
	jv_free(a);
	return code;
}

int
ctl_events(struct ctl_client *c, const struct jv *args)
{
	bool json = jv_get_bool(args, "json", false);
	struct jv *e;
	int code, err;

	if ((code = subscribe(c, args, CTL_FOREVER)) != CTL_OK)
		return code;
	while ((err = ctl_client_event(c, CTL_FOREVER, &e)) == 0) {
		ctl_print_line(json, e);
		jv_free(e);
	}
	return ctl_lost(json, err);
}

/* ---- conditions ---- */

/* The value as text equals `want`. */
static bool
value_is(const struct jv *v, struct slice want)
{
	const char *s = jv_as_str(v);
	struct buf b;
	bool same;

	if (v == NULL)
		return want.n == 0; /* absent and empty are one to a script */
	if (s != NULL)
		return slice_is(want, s);
	buf_init(&b, VALUE_MAX);
	same = jv_print(v, false, &b) == 0 && slice_is(want, buf_str(&b));
	buf_clear(&b);
	return same;
}

/* The value of "media.codec", also of a name with dots of its own. */
static const struct jv *
dotted(const struct jv *o, struct slice name)
{
	struct slice head, tail;
	char word[WORD_MAX];

	while (name.n > 0 && jv_is_obj(o)) {
		(void)slice_cut(name, '.', &head, &tail);
		if (str_copy_slice(word, sizeof(word), head) != 0)
			return NULL;
		o = jv_get(o, word);
		name = tail;
	}
	return name.n == 0 ? o : NULL;
}

/* All of --where hold. */
static bool
fields_match(const struct jv *event, const struct jv *where)
{
	struct slice key, value;

	for (size_t i = 0; i < jv_len(where); i++) {
		(void)slice_cut(
		    slice_of(jv_as_str(jv_at(where, i))), '=', &key, &value);
		if (!value_is(dotted(event, key), value))
			return false;
	}
	return true;
}

/* "call.ended", or "call.*". */
static bool
name_matches(const char *name, const char *pattern)
{
	size_t n = strlen(pattern);

	if (n > 0 && pattern[n - 1] == '*')
		return strncmp(name, pattern, n - 1) == 0;
	return strcmp(name, pattern) == 0;
}

/* Usage errors of --where. */
static int
where_check(const struct jv *args)
{
	const struct jv *where = jv_get(args, "where");

	for (size_t i = 0; i < jv_len(where); i++) {
		const char *s = jv_as_str(jv_at(where, i));

		if (s[0] == '=' || strchr(s, '=') == NULL)
			return ctl_error(jv_get_bool(args, "json", false),
			    CTL_USAGE, "--where wants KEY=VALUE", NULL);
	}
	return CTL_OK;
}

/* ---- --or-status ---- */

/* What of the status an event tells: list, and the state it stands for. */
static const struct {
	const char *event, *list, *id, *direction, *state;
} mirrors[] = {
	{ "reg.state", "accounts", "account", NULL, NULL },
	{ "call.incoming", "calls", "call", "in", "ringing" },
	{ "call.ringing", "calls", "call", "out", "ringing" },
	{ "call.established", "calls", "call", NULL, "established" },
	{ "call.held", "calls", "call", NULL, "held" },
};

/* jv_each_cb: a copy that does not share the container. */
static void
copy_field(const char *key, struct jv *v, void *arg)
{
	jv_set(arg, key, jv_ref(v));
}

/* An account or a call as the event that would have told of it. */
static struct jv *
as_event(const struct jv *item, const char *event, const char *id)
{
	struct jv *o = jv_obj();

	jv_set_str(o, "event", event);
	jv_set_str(o, id, jv_get_str(item, "id"));
	jv_each(item, copy_field, o);
	return o;
}

/* Stores the first item of the status that satisfies event and fields. */
static struct jv *
status_match(
    const struct jv *status, const char *pattern, const struct jv *where)
{
	for (size_t m = 0; m < sizeof(mirrors) / sizeof(mirrors[0]); m++) {
		const struct jv *list = jv_get(status, mirrors[m].list);

		if (!name_matches(mirrors[m].event, pattern))
			continue;
		for (size_t i = 0; i < jv_len(list); i++) {
			const struct jv *x = jv_at(list, i);
			struct jv *e;

			if ((mirrors[m].state != NULL &&
				!value_is(jv_get(x, "state"),
				    slice_of(mirrors[m].state))) ||
			    (mirrors[m].direction != NULL &&
				!value_is(jv_get(x, "direction"),
				    slice_of(mirrors[m].direction))))
				continue;
			e = as_event(x, mirrors[m].event, mirrors[m].id);
			if (fields_match(e, where))
				return e;
			jv_free(e);
		}
	}
	return NULL;
}

/* Asks for the status; `*out` is NULL if it does not say so. */
static int
ask_status(struct ctl_client *c, const struct jv *args, int64_t deadline,
    struct jv **out)
{
	bool json = jv_get_bool(args, "json", false);
	struct jv *reply = NULL;
	int err, code = CTL_OK;

	*out = NULL;
	err = ctl_client_ask(c, "status", NULL, deadline, &reply);
	if (err != 0)
		code = ctl_lost(json, err);
	else if (!jv_get_bool(reply, "ok", false))
		code = ctl_remote_fail(json, reply);
	else
		*out = status_match(jv_get(reply, "result"),
		    ctl_operand(args, 0), jv_get(args, "where"));
	jv_free(reply);
	return code;
}

/* ---- wait ---- */

/* No event came; the last one of that name tells what happened instead. */
static int
timed_out(bool json, const struct jv *last)
{
	const char *reason = last != NULL ? jv_get_str(last, "reason") : NULL;
	const char *state = last != NULL ? jv_get_str(last, "state") : NULL;
	char text[900] = "no such event within the time given";

	if (state != NULL)
		(void)snprintf(text, sizeof(text),
		    "no such event within the time given; the last was "
		    "%s: %s %s",
		    jv_get_str(last, "event"), state,
		    reason != NULL ? reason : "");
	return ctl_error(json, CTL_TIMEOUT, text, NULL);
}

/* Prints the first event that fits. */
static int
wait_event(struct ctl_client *c, const struct jv *args, int64_t deadline)
{
	bool json = jv_get_bool(args, "json", false);
	const char *pattern = ctl_operand(args, 0);
	struct jv *e, *last = NULL;
	bool named, fits;
	int err;

	while ((err = ctl_client_event(c, deadline, &e)) == 0) {
		named = name_matches(jv_get_str(e, "event"), pattern);
		fits = named && fields_match(e, jv_get(args, "where"));
		if (fits)
			ctl_print_line(json, e);
		if (named && !fits) {
			jv_free(last);
			last = jv_ref(e);
		}
		jv_free(e);
		if (fits) {
			jv_free(last);
			return CTL_OK;
		}
	}
	err = err == ETIMEDOUT ? timed_out(json, last) : ctl_lost(json, err);
	jv_free(last);
	return err;
}

int
ctl_wait(struct ctl_client *c, const struct jv *args)
{
	struct jv *e = NULL;
	int64_t deadline;
	bool found;
	int code;

	if ((code = where_check(args)) != CTL_OK ||
	    (code = ctl_deadline(args, "timeout", &deadline)) != CTL_OK ||
	    (code = subscribe(c, args, deadline)) != CTL_OK)
		return code;
	if (jv_get_bool(args, "or-status", false)) {
		/* Events from now on are kept: nothing falls in between. */
		code = ask_status(c, args, deadline, &e);
		found = e != NULL;
		if (found)
			ctl_print_line(jv_get_bool(args, "json", false), e);
		jv_free(e);
		if (code != CTL_OK || found)
			return code;
	}
	return wait_event(c, args, deadline);
}
