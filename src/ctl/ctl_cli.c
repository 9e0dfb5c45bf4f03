/* SPDX-License-Identifier: ISC */
/* The command line: finds the verb, serves it here or over the socket. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bellbird/log.h"
#include "internal.h"

enum { WHY_MAX = 512 };

/* ---- help ---- */

/* The options of a table, one a line. */
static void
help_options(const struct ctl_opt *o)
{
	char name[64];

	for (; o != NULL && o->name != NULL; o++) {
		(void)snprintf(name, sizeof(name), "--%s%s%s", o->name,
		    o->value != NULL ? " " : "", o->value ? o->value : "");
		ctl_say("  %-26s %s\n", name, o->help);
	}
}

/* All verbs, one a line. */
static void
help_all(void)
{
	const struct ctl_verb *v;
	char name[64];

	ctl_say("usage: bellbird VERB [OPTION]...\n\n"
		"A secure SIP endpoint, and the commands to it.\n\n");
	for (size_t i = 0; (v = ctl_verb_at(i)) != NULL; i++) {
		(void)snprintf(name, sizeof(name), "%s%s%s", v->name,
		    v->args[0] != '\0' ? " " : "", v->args);
		ctl_say("  %-26s %s\n", name, v->help);
	}
	ctl_say("\noptions of every verb:\n");
	help_options(ctl_global_opts);
	ctl_say("\nexit codes: 0 ok, 1 failure, 2 usage, 3 no endpoint runs,\n"
		"  4 timeout, 5 refused by the peer, 6 not registered,\n"
		"  7 TLS or certificate, 8 media, 9 settings, 10 provisioning\n"
		"bellbird help VERB tells more.\n");
}

/* One verb with its options. */
static void
help_verb(const struct ctl_verb *v)
{
	ctl_say("usage: bellbird %s%s%s%s\n\n%s\n", v->name,
	    v->args[0] != '\0' ? " " : "", v->args,
	    v->opts != NULL ? " [OPTION]..." : "", v->help);
	if (v->opts != NULL) {
		ctl_say("\noptions:\n");
		help_options(v->opts);
	}
	ctl_say("\noptions of every verb:\n");
	help_options(ctl_global_opts);
}

/* All verbs that begin with these words; false if there is none. */
static bool
help_words(const struct jv *args)
{
	char name[64];
	const char *second = ctl_operand(args, 1);
	const struct ctl_verb *v;
	bool any = false;
	size_t n;

	(void)snprintf(name, sizeof(name), "%s%s%s", ctl_operand(args, 0),
	    second != NULL ? " " : "", second != NULL ? second : "");
	n = strlen(name);
	for (size_t i = 0; (v = ctl_verb_at(i)) != NULL; i++)
		if (strncmp(v->name, name, n) == 0 &&
		    (v->name[n] == '\0' || v->name[n] == ' ')) {
			if (any)
				ctl_say("\n");
			help_verb(v);
			any = true;
		}
	return any;
}

/* The verb `help`. */
static int
help(const struct jv *args)
{
	char why[WHY_MAX];

	if (ctl_operand(args, 0) == NULL) {
		help_all();
		return CTL_OK;
	}
	if (help_words(args))
		return CTL_OK;
	(void)snprintf(why, sizeof(why),
	    "there is no verb \"%s\"; bellbird help lists them",
	    esc(ctl_operand(args, 0)));
	return ctl_error(
	    jv_get_bool(args, "json", false), CTL_USAGE, why, NULL);
}

static int
version(const struct jv *args)
{
	struct jv *o;

	if (!jv_get_bool(args, "json", false)) {
		ctl_say("bellbird %s\n", PACKAGE_VERSION);
		return CTL_OK;
	}
	o = jv_obj();
	jv_set_str(o, "version", PACKAGE_VERSION);
	ctl_print(true, "version", o);
	jv_free(o);
	return CTL_OK;
}

/* ---- who serves it ---- */

static ctl_local_fn *
local_find(const char *name, const struct ctl_local *locals, size_t num_locals)
{
	for (size_t i = 0; i < num_locals; i++)
		if (strcmp(locals[i].name, name) == 0)
			return locals[i].fn;
	return NULL;
}

/* Talks to the endpoint. */
static int
serve(const struct ctl_verb *v, struct ctl_client *c, const struct jv *args)
{
	if (strcmp(v->name, "call") == 0)
		return ctl_call(c, args);
	if (strcmp(v->name, "events") == 0)
		return ctl_events(c, args);
	if (strcmp(v->name, "wait") == 0)
		return ctl_wait(c, args);
	return ctl_remote(v, c, args);
}

/* Nobody answers: says where was looked, and what to do. */
static int
no_endpoint(bool json, const char *path, int err)
{
	char why[WHY_MAX + PATH_MAX];

	if (err == E_CTL_NO_DAEMON)
		(void)snprintf(why, sizeof(why),
		    "no endpoint answers on %s; start one with \"bellbird run\""
		    " or name its socket with --socket",
		    path);
	else if (err == EACCES || err == EPERM)
		(void)snprintf(why, sizeof(why),
		    "%s: permission denied; members of its group may use it",
		    path);
	else
		(void)snprintf(why, sizeof(why), "%s: %s", path, err_str(err));
	return ctl_error(json, CTL_NOT_RUNNING, why, NULL);
}

/*
 * A verb of the endpoint.  Some can also be served from the files (`local`):
 * when other files are named, or when no endpoint runs and none was named.
 */
static int
remote(const struct ctl_verb *v, const struct jv *args, ctl_local_fn *local)
{
	bool json = jv_get_bool(args, "json", false);
	const char *given = jv_get_str(args, "socket");
	bool named = given != NULL || getenv("BELLBIRD_SOCKET") != NULL;
	char path[PATH_MAX];
	struct ctl_client c;
	int err, code;

	if (local != NULL && given == NULL &&
	    (jv_get(args, "conf") != NULL || jv_get(args, "state") != NULL))
		return local(args);
	err = ctl_socket_path(path, sizeof(path), given);
	if (err != 0)
		return ctl_error(json, CTL_USAGE,
		    err == EPERM ? "the folder of the socket in /tmp belongs "
				   "to somebody else"
				 : "the path of the socket is too long",
		    NULL);
	err = ctl_client_open(&c, path);
	if (err == E_CTL_NO_DAEMON && local != NULL && !named)
		return local(args);
	if (err != 0)
		return no_endpoint(json, path, err);
	code = serve(v, &c, args);
	ctl_client_clear(&c);
	return code;
}

/* The verb is known and its words are right. */
static int
dispatch(const struct ctl_verb *v, const struct jv *args,
    const struct ctl_local *locals, size_t num_locals)
{
	ctl_local_fn *local = local_find(v->name, locals, num_locals);

	if (jv_get_bool(args, "help", false)) {
		help_verb(v);
		return CTL_OK;
	}
	if (strcmp(v->name, "help") == 0)
		return help(args);
	if (strcmp(v->name, "version") == 0 ||
	    jv_get_bool(args, "version", false))
		return version(args);
	if (v->where == CTL_REMOTE)
		return remote(v, args, local);
	if (local != NULL)
		return local(args);
	return ctl_error(jv_get_bool(args, "json", false), CTL_FAIL,
	    "this verb was left out of this build", NULL);
}

int
ctl_main(
    int argc, char **argv, const struct ctl_local *locals, size_t num_locals)
{
	const struct ctl_verb *v;
	char why[WHY_MAX];
	struct jv *args;
	int code;

	code = ctl_opt_parse(argc, argv, &v, &args, why, sizeof(why));
	if (args == NULL)
		return ctl_error(false, CTL_FAIL, err_str(ENOMEM), NULL);
	if (code != CTL_OK)
		code = ctl_error(
		    jv_get_bool(args, "json", false), CTL_USAGE, why, NULL);
	else if (v != NULL)
		code = dispatch(v, args, locals, num_locals);
	else if (jv_get_bool(args, "version", false))
		code = version(args);
	else if (jv_get_bool(args, "help", false))
		code = help(args);
	else
		code = ctl_error(jv_get_bool(args, "json", false), CTL_USAGE,
		    "which verb?  bellbird help lists them", NULL);
	jv_free(args);
	return code;
}
