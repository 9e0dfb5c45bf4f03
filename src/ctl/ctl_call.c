/* SPDX-License-Identifier: ISC */
/* The verb `call`: dials through a running endpoint and follows the call as
 * far as was asked. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bellbird/clock.h"
#include "bellbird/log.h"
#include "bellbird/str.h"
#include "internal.h"

/* A BYE that nobody answers: 64*T1 of RFC 3261 and a little. */
#define HANGUP_US INT64_C(35000000)

enum { RECORD_MODE = 0644, HEADERS_MAX = 8192 };

/* One call that is followed. */
struct follow {
	struct ctl_client *c;  /* borrowed */
	const struct jv *args; /* borrowed */
	bool json;
	bool to_end;         /* --wait ended, or --duration */
	int64_t expect;      /* 0: not given */
	int64_t duration_us; /* -1: not given */
	int64_t give_up;     /* --timeout */
	int64_t hang_up;     /* when --duration is over */
	bool hanging_up;
	char id[32];
	struct jv *up;   /* owned: the event call.established, or NULL */
	struct jv *over; /* owned: the event call.ended, or NULL */
};

/* ---- options ---- */

static int
usage(const struct follow *f, const char *why)
{
	return ctl_error(f->json, CTL_USAGE, why, NULL);
}

/* Reads what the options say about how far to follow. */
static int
options_read(struct follow *f)
{
	const char *wait = jv_get_str(f->args, "wait");
	const char *expect = jv_get_str(f->args, "expect");
	const char *duration = jv_get_str(f->args, "duration");
	int64_t ms;

	f->duration_us = -1;
	f->hang_up = CTL_FOREVER;
	if (wait != NULL && strcmp(wait, "answered") != 0 &&
	    strcmp(wait, "ended") != 0)
		return usage(f, "--wait is answered or ended");
	f->to_end = wait != NULL && strcmp(wait, "ended") == 0;
	if (expect != NULL &&
	    str_int(slice_of(expect), 200, 699, &f->expect) != 0)
		return usage(f, "--expect wants a final SIP code, 200 to 699");
	if (duration != NULL) {
		if (str_duration_ms(slice_of(duration), &ms) != 0 || ms < 0)
			return usage(f,
			    "--duration wants a time such as 500ms, 5s or 2m");
		f->duration_us = ms * 1000;
		f->to_end = true;
	}
	return ctl_deadline(f->args, "timeout", &f->give_up);
}

/* Opens the file of an option; CTL_OK without one. */
static int
file_open(
    const struct follow *f, const char *opt, int flags, int *fds, size_t *n)
{
	const char *path = jv_get_str(f->args, opt);
	char why[256];
	int fd;

	if (path == NULL)
		return CTL_OK;
	fd = open(path, flags | O_CLOEXEC, RECORD_MODE);
	if (fd < 0) {
		(void)snprintf(why, sizeof(why), "--%s %s: %s", opt, esc(path),
		    err_str(errno));
		return usage(f, why);
	}
	fds[(*n)++] = fd;
	return CTL_OK;
}

/* Sets "headers" from --header: lines that end in CRLF. */
static int
headers_set(const struct follow *f, struct jv *out)
{
	const struct jv *list = jv_get(f->args, "header");
	struct buf b;
	int code = CTL_OK;

	buf_init(&b, HEADERS_MAX);
	for (size_t i = 0; i < jv_len(list); i++) {
		const char *s = jv_as_str(jv_at(list, i));

		if (s[0] == ':' || strchr(s, ':') == NULL ||
		    strpbrk(s, "\r\n") != NULL)
			code = usage(f, "--header wants \"Name: value\"");
		if (code != CTL_OK)
			break;
		buf_printf(&b, "%s\r\n", s);
	}
	if (code == CTL_OK && b.err != 0)
		code = usage(f, "--header: too many, or too long");
	else if (code == CTL_OK && b.n > 0)
		jv_set_str(out, "headers", buf_str(&b));
	buf_clear(&b);
	return code;
}

/* ---- asking ---- */

/* One command about the call; prints what is wrong with the reply. */
static int
ask(struct follow *f, const char *cmd, const char *key, const char *value)
{
	struct jv *a = jv_obj(), *reply = NULL;
	int err, code = CTL_OK;

	if (f->id[0] != '\0')
		jv_set_str(a, "call", f->id);
	if (key != NULL)
		jv_set_str(a, key, value);
	err = ctl_client_ask(f->c, cmd, a, CTL_FOREVER, &reply);
	if (err != 0)
		code = ctl_lost(f->json, err);
	else if (!jv_get_bool(reply, "ok", false))
		code = ctl_remote_fail(f->json, reply);
	jv_free(reply);
	jv_free(a);
	return code;
}

/* Asks to hang up; whether there was anything left does not matter. */
static int
hangup(struct follow *f)
{
	struct jv *a = jv_obj(), *reply = NULL;
	int err;

	jv_set_str(a, "call", f->id);
	err = ctl_client_ask(
	    f->c, "hangup", a, clock_mono_us() + HANGUP_US, &reply);
	jv_free(reply);
	jv_free(a);
	return err;
}

/* Dials; the descriptors travel with the command. */
static int
dial(struct follow *f)
{
	struct jv *a = jv_obj(), *reply = NULL;
	const char *srtp = jv_get_str(f->args, "srtp");
	const char *account = jv_get_str(f->args, "account");
	int fds[2], err = 0, code;
	size_t n = 0;

	jv_set_str(a, "uri", ctl_operand(f->args, 0));
	if (srtp != NULL)
		jv_set_str(a, "srtp", srtp);
	if (account != NULL)
		jv_set_str(a, "account", account);
	jv_set_bool(a, "late_offer", jv_get(f->args, "late-offer") != NULL);
	code = headers_set(f, a);
	if (code == CTL_OK)
		code = file_open(f, "play", O_RDONLY, fds, &n);
	jv_set_bool(a, "play", n == 1);
	if (code == CTL_OK)
		code =
		    file_open(f, "record", O_RDWR | O_CREAT | O_TRUNC, fds, &n);
	jv_set_bool(a, "record", jv_get(f->args, "record") != NULL);
	if (code == CTL_OK)
		err = ctl_client_ask_fds(f->c, "call", a, fds, n, &reply);
	while (n > 0)
		close(fds[--n]);
	if (err != 0)
		code = ctl_lost(f->json, err);
	else if (code == CTL_OK && !jv_get_bool(reply, "ok", false))
		code = ctl_remote_fail(f->json, reply);
	else if (code == CTL_OK &&
	    str_copy(f->id, sizeof(f->id),
		jv_get_str(jv_get(reply, "result"), "call")) != 0)
		code = ctl_lost(f->json, E_PARSE);
	jv_free(reply);
	jv_free(a);
	return code;
}

/* ---- the outcome ---- */

/* Starts `class` with one of the words? */
static bool
class_is(const char *class, const char *const *words)
{
	for (; class != NULL && *words != NULL; words++) {
		size_t n = strlen(*words);

		if (strncmp(class, *words, n) == 0 &&
		    (class[n] == '.' || class[n] == '\0'))
			return true;
	}
	return false;
}

/* Why a call that ended is a failure; CTL_OK if it is none. */
static enum ctl_exit
exit_of(const struct follow *f)
{
	static const char *const tls[] = { "hs", "cert", "mtls", "trust", "key",
		"tls", NULL };
	static const char *const media[] = { "media", "srtp", NULL };
	static const char *const auth[] = { "auth", NULL };
	const char *class = jv_get_str(f->over, "class");
	int64_t code = jv_get_int(f->over, "code", 0);

	if (class_is(class, media))
		return CTL_MEDIA;
	if (class_is(class, tls))
		return CTL_TLS;
	if (f->up != NULL)
		return CTL_OK;
	if (class_is(class, auth) || code == 401 || code == 407)
		return CTL_AUTH;
	if (code == 408 && !jv_get_bool(f->over, "by_peer", true))
		return CTL_TIMEOUT;
	return code >= 300 ? CTL_REFUSED : CTL_FAIL;
}

/* Copies a field, if it is there. */
static void
take(struct jv *o, const char *key, const struct jv *from)
{
	struct jv *v = jv_get(from, key);

	if (v != NULL)
		jv_set(o, key, jv_ref(v));
}

/* The result object (ctl_verb.c has its fields in the help). */
static struct jv *
result_make(const struct follow *f)
{
	const struct jv *e = f->over != NULL ? f->over : f->up;
	struct jv *o = jv_obj(), *m;

	jv_set_str(o, "call", f->id);
	jv_set_str(o, "state",
	    f->over != NULL     ? "ended"
		: f->up != NULL ? "established"
				: "calling");
	take(o, "remote", e);
	if (f->over != NULL) {
		take(o, "code", e);
		take(o, "reason", e);
		take(o, "by_peer", e);
		take(o, "duration_s", e);
		take(o, "class", e);
		take(o, "media", e);
	} else {
		jv_set_int(o, "code", f->up != NULL ? 200 : 0);
		jv_set_str(o, "reason", f->up != NULL ? "OK" : "");
		jv_set_num(o, "duration_s", 0);
		m = jv_obj();
		take(m, "codec", e);
		take(m, "suite", e);
		jv_set(o, "media", m);
	}
	jv_set_str(o, "security",
	    f->up != NULL ? jv_get_str(f->up, "security") : "none");
	return o;
}

/* Prints a failure with the whole result as its detail. */
static int
fail(const struct follow *f, enum ctl_exit code, const char *fmt_reason)
{
	struct jv *o = result_make(f);

	(void)ctl_error(f->json, code, fmt_reason, o);
	jv_free(o);
	return code;
}

/* Prints how it went, and chooses the exit code. */
static int
finish(struct follow *f)
{
	int64_t code = jv_get_int(f->over, "code", 0);
	const char *reason = jv_get_str(f->over, "reason");
	enum ctl_exit x = f->over != NULL ? exit_of(f) : CTL_OK;
	char why[640];
	struct jv *o;

	if (f->expect == 200 && f->up != NULL)
		x = CTL_OK;
	else if (f->expect != 0 && f->up == NULL && code == f->expect)
		x = CTL_OK;
	else if (f->expect != 0 && f->up != NULL) {
		if (f->over == NULL)
			ignore_err(hangup(f), "the failure is told anyway");
		(void)snprintf(why, sizeof(why),
		    "the call was answered; %lld was expected",
		    (long long)f->expect);
		return fail(f, CTL_FAIL, why);
	}
	if (x != CTL_OK) {
		(void)snprintf(why, sizeof(why), "the call %s: %lld %s",
		    f->up != NULL ? "broke off" : "failed", (long long)code,
		    reason != NULL ? reason : "");
		return fail(f, x, why);
	}
	o = result_make(f);
	ctl_print(f->json, "call", o);
	jv_free(o);
	return CTL_OK;
}

/* ---- following ---- */

/* The call is up: digits, and the clock of --duration. */
static int
on_up(struct follow *f)
{
	const char *digits = jv_get_str(f->args, "dtmf");
	int code = CTL_OK;

	if (f->duration_us >= 0)
		f->hang_up = clock_mono_us() + f->duration_us;
	if (digits != NULL)
		code = ask(f, "dtmf", "digits", digits);
	if (code != CTL_OK)
		ignore_err(hangup(f), "the failure was told");
	return code;
}

/* Takes one event; true if it is the last that matters. */
static bool
on_event(struct follow *f, struct jv *e, int *code)
{
	const char *name = jv_get_str(e, "event");
	const char *call = jv_get_str(e, "call");

	*code = CTL_OK;
	if (call == NULL || strcmp(call, f->id) != 0)
		return false;
	if (strcmp(name, "call.ended") == 0) {
		f->over = jv_ref(e);
		return true;
	}
	if (strcmp(name, "call.established") != 0 || f->up != NULL)
		return false;
	f->up = jv_ref(e);
	*code = on_up(f);
	/* An answer that was not expected needs no waiting for its end. */
	return *code != CTL_OK || !f->to_end ||
	    (f->expect != 0 && f->expect != 200);
}

/* A deadline passed: true if it was the one of --duration. */
static bool
on_time(struct follow *f, int *code)
{
	int err;

	if (!f->hanging_up && clock_mono_us() >= f->hang_up &&
	    f->hang_up <= f->give_up) {
		f->hanging_up = true;
		f->hang_up = clock_mono_us() + HANGUP_US;
		if ((err = hangup(f)) == 0)
			return true;
		*code = ctl_lost(f->json, err);
		return false;
	}
	if (!f->hanging_up)
		ignore_err(hangup(f), "the time-out is told anyway");
	*code = fail(f, CTL_TIMEOUT,
	    f->hanging_up ? "the call does not end"
		: f->up != NULL
		? "the call did not end within the time given"
		: "the call was not answered within the time given");
	return false;
}

/* Follows the events until there is an exit code. */
static int
follow(struct follow *f)
{
	struct jv *e;
	int err, code;
	bool last;

	for (;;) {
		err = ctl_client_event(f->c,
		    f->hang_up < f->give_up ? f->hang_up : f->give_up, &e);
		if (err == ETIMEDOUT) {
			if (!on_time(f, &code))
				return code;
			continue;
		}
		if (err != 0)
			return ctl_lost(f->json, err);
		last = on_event(f, e, &code);
		jv_free(e);
		if (last)
			return code != CTL_OK ? code : finish(f);
	}
}

int
ctl_call(struct ctl_client *c, const struct jv *args)
{
	struct follow f = {
		.c = c, .args = args, .json = jv_get_bool(args, "json", false)
	};
	int code;

	/* The events first: what happens at once must not be missed. */
	code = options_read(&f);
	if (code == CTL_OK)
		code = ask(&f, "events", NULL, NULL);
	if (code == CTL_OK)
		code = dial(&f);
	if (code == CTL_OK)
		code = follow(&f);
	jv_free(f.up);
	jv_free(f.over);
	return code;
}
