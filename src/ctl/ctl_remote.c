/* SPDX-License-Identifier: ISC */
/* Verbs that are one command and one reply. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bellbird/clock.h"
#include "bellbird/file.h"
#include "bellbird/log.h"
#include "bellbird/str.h"
#include "internal.h"

enum {
	/* `config set KEY -`: as much as one command line of the socket. */
	STDIN_MAX = CTL_LINE_MAX / 2
};

/* An endpoint that is alive answers at once. */
#define REPLY_US INT64_C(30000000)

/* Operands by name; NULL ends. */
static const struct {
	const char *verb;
	const char *names[3];
} operands[] = {
	{ "answer", { "call" } },
	{ "hangup", { "call" } },
	{ "hold", { "call" } },
	{ "resume", { "call" } },
	{ "dtmf", { "digits", "call" } },
	{ "transfer", { "to" } },
	{ "message", { "to", "text" } },
	{ "tls last", { "peer" } },
	{ "tls keylog", { "peer" } },
	{ "config get", { "key" } },
	{ "config set", { "key", "value" } },
	{ "config unset", { "key" } },
	{ "config explain", { "key" } },
};

int
ctl_lost(bool json, int err)
{
	if (err == ETIMEDOUT)
		return ctl_error(json, CTL_TIMEOUT,
		    "the endpoint did not answer in time", NULL);
	if (err == E_CLOSED)
		return ctl_error(json, CTL_NOT_RUNNING,
		    "the endpoint closed the connection", NULL);
	return ctl_error(json, CTL_FAIL, err_str(err), NULL);
}

int
ctl_remote_fail(bool json, const struct jv *reply)
{
	int64_t code = jv_get_int(reply, "exit", CTL_FAIL);
	const char *text = jv_get_str(reply, "error");

	if (code <= CTL_OK || code > CTL_PROV)
		code = CTL_FAIL;
	return ctl_error(json, (enum ctl_exit)code,
	    text != NULL ? text : "the endpoint refused",
	    jv_get(reply, "detail"));
}

int
ctl_deadline(const struct jv *args, const char *name, int64_t *out)
{
	const char *text = jv_get_str(args, name);
	char why[96];
	int64_t ms;

	*out = CTL_FOREVER;
	if (text == NULL)
		return CTL_OK;
	if (str_duration_ms(slice_of(text), &ms) != 0 || ms < 0 ||
	    ms > INT64_C(366) * 86400 * 1000) {
		(void)snprintf(why, sizeof(why),
		    "--%s wants a time such as 500ms, 5s or 2m", name);
		return ctl_error(
		    jv_get_bool(args, "json", false), CTL_USAGE, why, NULL);
	}
	*out = clock_mono_us() + ms * 1000;
	return CTL_OK;
}

/* Reads standard input to its end, without the last newline. */
static int
read_stdin(struct buf *b)
{
	char chunk[4096];
	ssize_t n;
	int err = 0;

	while (err == 0 && (n = read(STDIN_FILENO, chunk, sizeof(chunk))) != 0)
		if (n > 0)
			err = buf_add(b, chunk, (size_t)n);
		else if (errno != EINTR)
			err = errno;
	if (err == 0 && b->n > 0 && b->p[b->n - 1] == '\n')
		b->p[--b->n] = '\0';
	return err;
}

/* `config set`: where the value is from; a secret may not be in argv. */
static int
set_value(const struct jv *args, struct jv *out)
{
	const char *value = ctl_operand(args, 1);
	bool from_argv = strcmp(value, "-") != 0;
	struct buf b;
	int err = 0;

	buf_init_secret(&b, STDIN_MAX);
	if (!from_argv && (err = read_stdin(&b)) == 0)
		jv_set_str(out, "value", buf_str(&b));
	buf_clear(&b);
	jv_set_bool(out, "argv", from_argv);
	if (err == 0)
		return CTL_OK;
	return ctl_error(jv_get_bool(args, "json", false), CTL_USAGE,
	    "the value on standard input cannot be read, or is too long", NULL);
}

/* The arguments of the command: operands and options by their names. */
static int
remote_args(const struct ctl_verb *v, const struct jv *args, struct jv *out)
{
	const struct ctl_opt *o = v->opts;
	struct jv *value;

	for (size_t i = 0; i < sizeof(operands) / sizeof(operands[0]); i++) {
		if (strcmp(operands[i].verb, v->name) != 0)
			continue;
		for (size_t k = 0; operands[i].names[k] != NULL; k++)
			if (ctl_operand(args, k) != NULL)
				jv_set_str(out, operands[i].names[k],
				    ctl_operand(args, k));
	}
	for (; o != NULL && o->name != NULL; o++)
		if ((value = jv_get(args, o->name)) != NULL)
			jv_set(out, o->name, jv_ref(value));
	if (strcmp(v->name, "config set") == 0)
		return set_value(args, out);
	return CTL_OK;
}

/* --out of `tls keylog` and `capture start`: the endpoint writes to a file that
 * this user may write; `how`: O_APPEND or O_EXCL. */
static int
out_open(const struct jv *args, int how, int *fd)
{
	const char *path = jv_get_str(args, "out");
	char why[PATH_MAX + 64];

	if (path == NULL)
		return CTL_OK;
	*fd =
	    open(path, O_WRONLY | O_CREAT | how | O_NOFOLLOW | O_CLOEXEC, 0600);
	/* One that was there may have been open to all. */
	if (*fd >= 0 && fchmod(*fd, 0600) == 0)
		return CTL_OK;
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	(void)snprintf(
	    why, sizeof(why), "--out %s: %s", esc(path), err_str(errno));
	return ctl_error(
	    jv_get_bool(args, "json", false), CTL_USAGE, why, NULL);
}

/* `cert enroll --cacerts`: is there a file to write, and is it free? */
static int
cacerts_check(const struct ctl_verb *v, const struct jv *args)
{
	bool json = jv_get_bool(args, "json", false);
	bool wanted = jv_get_bool(args, "cacerts", false);
	const char *path = jv_get_str(args, "out");

	if (strcmp(v->name, "cert enroll") != 0)
		return CTL_OK;
	if (wanted != (path != NULL))
		return ctl_error(json, CTL_USAGE,
		    "--cacerts and --out FILE belong together", NULL);
	if (wanted && access(path, F_OK) == 0)
		return ctl_error(json, CTL_FAIL,
		    "--out: that file exists and would be lost: name another",
		    NULL);
	return CTL_OK;
}

/* `cert enroll --cacerts`: the certificates go into the file. */
static int
cacerts_save(bool json, const struct jv *args, const struct jv *result)
{
	const char *path = jv_get_str(args, "out");
	const char *pem = jv_get_str(result, "pem");
	char why[PATH_MAX + 100];
	struct jv *o;
	int err =
	    pem == NULL ? E_PARSE : file_write(path, pem, strlen(pem), 0644);

	if (err != 0) {
		(void)snprintf(
		    why, sizeof(why), "%s: %s", esc(path), err_str(err));
		return ctl_error(json, CTL_FAIL, why, NULL);
	}
	o = jv_obj();
	jv_set_str(o, "server", jv_get_str(result, "server"));
	jv_set_str(o, "file", path);
	jv_set(o, "certificates", jv_copy(jv_get(result, "certificates")));
	ctl_print(json, "cert enroll", o);
	jv_free(o);
	return CTL_OK;
}

/* Does it wait for others, who may be slow?  It ends all the same. */
static bool
is_slow(const char *verb)
{
	static const char *const slow[] = { "prov run", "cert enroll",
		"transfer", "message" };

	for (size_t i = 0; i < sizeof(slow) / sizeof(slow[0]); i++)
		if (strcmp(verb, slow[i]) == 0)
			return true;
	return false;
}

int
ctl_remote(
    const struct ctl_verb *v, struct ctl_client *c, const struct jv *args)
{
	bool json = jv_get_bool(args, "json", false);
	int64_t deadline = clock_mono_us() + REPLY_US;
	struct jv *out = jv_obj(), *reply = NULL;
	int code, err = 0, fd = -1;

	if (is_slow(v->name))
		deadline = CTL_FOREVER;
	code = cacerts_check(v, args);
	if (code == CTL_OK)
		code = remote_args(v, args, out);
	if (code == CTL_OK && strcmp(v->name, "tls keylog") == 0)
		code = out_open(args, O_APPEND, &fd);
	if (code == CTL_OK && strcmp(v->name, "capture start") == 0)
		code = out_open(args, O_EXCL, &fd);
	if (code == CTL_OK && fd >= 0)
		err = ctl_client_ask_fds(c, v->name, out, &fd, 1, &reply);
	else if (code == CTL_OK)
		err = ctl_client_ask(c, v->name, out, deadline, &reply);
	if (fd >= 0)
		close(fd);
	if (err != 0)
		code = ctl_lost(json, err);
	else if (code == CTL_OK && jv_get_bool(reply, "ok", false) &&
	    jv_get_bool(args, "cacerts", false))
		code = cacerts_save(json, args, jv_get(reply, "result"));
	else if (code == CTL_OK && jv_get_bool(reply, "ok", false))
		ctl_print(json, v->name, jv_get(reply, "result"));
	else if (code == CTL_OK)
		code = ctl_remote_fail(json, reply);
	jv_free(reply);
	jv_free(out);
	return code;
}
