/* SPDX-License-Identifier: ISC */
/* The command line: its grammar, and its verbs against an endpoint that a
 * child process plays. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <sys/wait.h>

#include <signal.h>

#include "bellbird/ctl_verb.h"
#include "test_ctl.h"

/* ---- the endpoint that is played ---- */

static struct loop *child_loop;
static struct ctl_server *child_server;
static struct timer child_timer;

static void
event(const char *name, const char *call, const char *extra)
{
	char text[512], why[64];
	struct jv *f;

	(void)snprintf(text, sizeof(text), "{\"call\":\"%s\"%s%s}", call,
	    extra[0] != '\0' ? "," : "", extra);
	if (jv_parse(&f, text, strlen(text), why, sizeof(why)) == 0)
		ctl_event(child_server, name, f);
}

static void
reply_text(struct ctl_req *r, const char *text)
{
	char why[64];
	struct jv *o;

	if (jv_parse(&o, text, strlen(text), why, sizeof(why)) == 0)
		ctl_reply(r, o);
	else
		ctl_fail(r, CTL_FAIL, why, NULL);
}

#define UP "\"remote\":\"sip:bob\",\"security\":\"srtp\",\"codec\":\"opus\""

/* Reads the file to play, writes it to the file to record. */
static void
copy_file(struct ctl_req *r)
{
	int in = ctl_req_take_fd(r, 0), out = ctl_req_take_fd(r, 1);
	char b[64];
	ssize_t n = read(in, b, sizeof(b));

	if (n < 0 || write(out, b, (size_t)n) != n)
		event("call.ended", "c7", "\"code\":500,\"class\":\"test\"");
	close(in);
	close(out);
}

static void
on_later(void *arg)
{
	(void)arg;
	event("reg.state", "", "\"account\":\"u1\",\"state\":\"registered\"");
}

/* What a called party does is in its name. */
static void
cmd_call(struct ctl_req *r, const struct jv *args, void *arg)
{
	const char *uri = jv_get_str(args, "uri");
	struct jv *d;

	(void)arg;
	if (strcmp(uri, "nobody") == 0) {
		d = jv_obj();
		jv_set_str(d, "state", "waiting");
		jv_set(d, "tls", jv_obj());
		jv_set_str(jv_get(d, "tls"), "class", "mtls.rejected_ca");
		ctl_fail(r, CTL_TLS, "not registered", d);
		return;
	}
	if (strcmp(uri, "crash") == 0)
		_exit(0);
	if (strcmp(uri, "busy") == 0) /* before the reply */
		event("call.ended", "c7",
		    "\"code\":486,\"reason\":\"Busy Here\",\"by_peer\":true,"
		    "\"class\":\"\",\"media\":null,\"duration_s\":0");
	if (strcmp(uri, "files") == 0)
		copy_file(r);
	reply_text(r, "{\"call\":\"c7\"}");
	event("call.ended", "c6", "\"code\":603"); /* somebody else's */
	event("call.ringing", "c7", "\"code\":180");
	if (strcmp(uri, "auth") == 0)
		event("call.ended", "c7", "\"code\":407,\"class\":\"\"");
	if (strcmp(uri, "tls") == 0)
		event("call.ended", "c7",
		    "\"code\":0,\"class\":\"cert.expired\"");
	if (strcmp(uri, "late") == 0)
		event("call.ended", "c7", "\"code\":408,\"by_peer\":false");
	if (strcmp(uri, "good") == 0 || strcmp(uri, "short") == 0 ||
	    strcmp(uri, "mute") == 0 || strcmp(uri, "files") == 0)
		event("call.established", "c7", UP);
	if (strcmp(uri, "mute") == 0)
		event("call.ended", "c7",
		    "\"code\":200,\"class\":\"media.timeout\"");
	if (strcmp(uri, "short") == 0)
		event("call.ended", "c7",
		    "\"code\":200,\"reason\":\"OK\",\"by_peer\":true,"
		    "\"class\":\"\",\"duration_s\":1.5,"
		    "\"media\":{\"rx_packets\":75}");
}

static void
cmd_hangup(struct ctl_req *r, const struct jv *args, void *arg)
{
	(void)args;
	(void)arg;
	event("call.ended", "c7",
	    "\"code\":200,\"reason\":\"hung up\",\"by_peer\":false,"
	    "\"class\":\"\",\"duration_s\":0.2");
	reply_text(r, "{\"calls\":[\"c7\"]}");
}

static void
cmd_dtmf(struct ctl_req *r, const struct jv *args, void *arg)
{
	const char *digits = jv_get_str(args, "digits");

	(void)arg;
	if (strcmp(digits, "bad") == 0)
		ctl_fail(r, CTL_USAGE, "no such digit", NULL);
	else
		ctl_reply(r, jv_copy(args));
}

static void
cmd_echo(struct ctl_req *r, const struct jv *args, void *arg)
{
	(void)arg;
	ctl_reply(r, jv_copy(args));
}

static void
cmd_status(struct ctl_req *r, const struct jv *args, void *arg)
{
	(void)args;
	(void)arg;
	reply_text(r,
	    "{\"version\":\"1\",\"pid\":7,\"accounts\":[{\"id\":\"u1\","
	    "\"aor\":\"sip:\\u001b[31m@x\",\"state\":\"registered\","
	    "\"code\":200}],\"calls\":[],\"warnings\":[\"careful\"]}");
}

static void
cmd_prov(struct ctl_req *r, const struct jv *args, void *arg)
{
	struct jv *d = jv_obj();

	(void)args;
	(void)arg;
	jv_set_str(d, "class", "http.404");
	jv_set_bool(d, "ok", false);
	ctl_fail(r, CTL_PROV, "the server has no file for us", d);
}

static const struct ctl_cmd cmds[] = {
	{ "call", cmd_call },
	{ "hangup", cmd_hangup },
	{ "dtmf", cmd_dtmf },
	{ "status", cmd_status },
	{ "config get", cmd_echo },
	{ "config set", cmd_echo },
	{ "config explain", cmd_echo },
	{ "prov run", cmd_prov },
};

static char dir[32], path[64];
static pid_t child;

/* The child: an endpoint that emits one event 50 ms after its start. */
static void
child_main(int ready)
{
	if (loop_new(&child_loop) != 0 ||
	    ctl_server_open(&child_server, child_loop, path, NULL, cmds,
		sizeof(cmds) / sizeof(cmds[0]), NULL) != 0)
		_exit(1);
	event("call.incoming", "c1", "\"remote\":\"sip:alice\"");
	if (timer_start(&child_timer, child_loop, 50000, on_later, NULL) != 0 ||
	    write(ready, "r", 1) != 1 || loop_run(child_loop) != 0)
		_exit(1);
	_exit(0);
}

static int
setup(void **state)
{
	int p[2];
	char c;

	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/bb-cli-XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/ctl.sock", dir);
	assert_int_equal(pipe(p), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0)
		child_main(p[1]);
	close(p[1]);
	assert_int_equal(read(p[0], &c, 1), 1);
	close(p[0]);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	if (child > 0) {
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, NULL, 0), child);
		child = 0;
	}
	unlink(path);
	assert_int_equal(rmdir(dir), 0);
	return 0;
}

/* ---- running the command line ---- */

static char out[65536], err[8192];
static struct jv *seen; /* what a local verb got */

static int
local_fn(const struct jv *args)
{
	jv_free(seen);
	seen = jv_copy(args);
	return 42;
}

static const struct ctl_local locals[] = {
	{ "run", local_fn },
	{ "lab", local_fn },
	{ "cert mint", local_fn },
	{ "config check", local_fn },
	{ "config get", local_fn },
};

/* Fills `to` with what was written to `f`. */
static void
slurp(FILE *f, char *to, size_t size)
{
	ssize_t n = pread(fileno(f), to, size - 1, 0);

	assert_true(n >= 0);
	to[n] = '\0';
	(void)fclose(f);
}

/* Splits `line` at spaces ("_" stands for one), runs it, returns its code. */
static int
cli(const char *line)
{
	char copy[1024], *argv[40] = { copy };
	char name[] = "bellbird";
	FILE *o = tmpfile(), *e = tmpfile();
	int argc = 0, code, so, se;

	(void)snprintf(copy, sizeof(copy), "%s", line);
	argv[argc++] = name;
	for (char *p = copy; *p != '\0' && argc < 40;) {
		argv[argc++] = p;
		p += strcspn(p, " ");
		if (*p == ' ')
			*p++ = '\0';
	}
	for (int i = 1; i < argc; i++)
		for (char *p = argv[i]; *p != '\0'; p++)
			if (*p == '_')
				*p = ' ';
	(void)fflush(NULL);
	so = dup(1);
	se = dup(2);
	dup2(fileno(o), 1);
	dup2(fileno(e), 2);
	code = ctl_main(argc, argv, locals, sizeof(locals) / sizeof(locals[0]));
	(void)fflush(NULL);
	dup2(so, 1);
	dup2(se, 2);
	close(so);
	close(se);
	slurp(o, out, sizeof(out));
	slurp(e, err, sizeof(err));
	return code;
}

/* The same, with the socket of the played endpoint and --json; the object
 * printed last. */
static struct jv *
ask(const char *line, int want)
{
	char full[1024], why[128];
	const char *p;
	struct jv *o;
	int code;

	(void)snprintf(full, sizeof(full), "%s --json --socket %s", line, path);
	code = cli(full);
	if (code != want)
		print_message("%s: %s%s\n", line, out, err);
	assert_int_equal(code, want);
	assert_string_equal(err, "");
	p = strrchr(out, '\n'); /* one object, one line */
	assert_non_null(p);
	assert_ptr_equal(p, strchr(out, '\n'));
	assert_int_equal(jv_parse(&o, out, strlen(out), why, sizeof(why)), 0);
	if (want != 0) {
		assert_int_equal(jv_get_int(o, "exit", -1), want);
		assert_non_null(jv_get_str(o, "error"));
	}
	return o;
}

/* ---- grammar ---- */

static void
refuses_what_is_wrong_and_names_the_nearest(void **state)
{
	static const struct {
		const char *why, *line, *says;
	} v[] = {
		{ "no verb", "", "which verb" },
		{ "unknown verb", "frobnicate", "unknown verb" },
		{ "misspelt verb", "statsu", "\"status\"" },
		{ "misspelt group", "confg get x", "\"config\"" },
		{ "misspelt second word", "config gte x", "\"get\"" },
		{ "half a verb", "prov", "run, status" },
		{ "unknown option", "run --frobnicate", "--frobnicate" },
		{ "misspelt global option", "run --jsno", "\"--json\"" },
		{ "misspelt verb option", "call a --expct 486",
		    "\"--expect\"" },
		{ "option of another verb", "status --play x", "--play" },
		{ "option before its verb", "--play x call a", "--play" },
		{ "unknown letter", "run -x", "-x" },
		{ "value missing", "run --socket", "--socket" },
		{ "value for a flag", "run --json=yes", "no value" },
		{ "given twice", "run --socket a --socket b", "twice" },
		{ "argument missing", "call", "call URI" },
		{ "argument too many", "call a b", "call URI" },
		{ "none allowed", "status now", "no argument" },
		{ "one of two", "config set key", "KEY VALUE" },
		{ "-o without =", "run -o key", "KEY=VALUE" },
		{ "-o without a key", "run -o =x", "KEY=VALUE" },
		{ "-o from no file", "run -o a=@/no/such/file", "file" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		print_message("%s: bellbird %s\n", v[i].why, v[i].line);
		assert_int_equal(cli(v[i].line), CTL_USAGE);
		assert_string_equal(out, "");
		if (strstr(err, v[i].says) == NULL)
			fail_msg("\"%s\" is not in: %s", v[i].says, err);
	}
}

static void
a_usage_error_is_json_if_asked_for(void **state)
{
	char why[64];
	struct jv *o;

	(void)state;
	assert_int_equal(cli("call --json"), CTL_USAGE);
	assert_string_equal(err, "");
	assert_int_equal(jv_parse(&o, out, strlen(out), why, sizeof(why)), 0);
	assert_int_equal(jv_get_int(o, "exit", 0), CTL_USAGE);
	jv_free(o);
	assert_int_equal(cli("stauts --json"), CTL_USAGE);
	assert_int_equal(out[0], '{');
}

static void
a_local_verb_gets_its_options_as_an_object(void **state)
{
	struct jv *set;

	(void)state;
	assert_int_equal(cli("--state /s cert mint --cn=00_22 --out f "
			     "--conf c -D debug --json"),
	    42);
	assert_string_equal(jv_get_str(seen, "state"), "/s");
	assert_string_equal(jv_get_str(seen, "cn"), "00 22");
	assert_string_equal(jv_get_str(seen, "out"), "f");
	assert_string_equal(jv_get_str(seen, "conf"), "c");
	assert_string_equal(jv_get_str(seen, "debug"), "debug");
	assert_true(jv_get_bool(seen, "json", false));
	assert_null(jv_get(seen, "days"));
	assert_int_equal(jv_len(jv_get(seen, "args")), 0);

	assert_int_equal(cli("run -o a=b=c -ox= --set y=1"), 42);
	set = jv_get(seen, "set");
	assert_int_equal(jv_len(set), 3);
	assert_string_equal(jv_as_str(jv_at(set, 0)), "a=b=c");
	assert_string_equal(jv_as_str(jv_at(set, 1)), "x=");
	assert_string_equal(jv_as_str(jv_at(set, 2)), "y=1");

	assert_int_equal(cli("config check a -- --b -"), 42);
	assert_string_equal(jv_as_str(jv_at(jv_get(seen, "args"), 0)), "a");
	assert_string_equal(jv_as_str(jv_at(jv_get(seen, "args"), 1)), "--b");
	assert_string_equal(jv_as_str(jv_at(jv_get(seen, "args"), 2)), "-");
	jv_free(seen);
	seen = NULL;
}

static void
a_value_may_come_from_a_file(void **state)
{
	static const struct {
		const char *why, *content, *value;
	} v[] = {
		{ "a line", "secret\n", "k=secret" },
		{ "no newline", "secret", "k=secret" },
		{ "a line of DOS", "secret\r\n", "k=secret" },
		{ "only the last newline", "a\n\n", "k=a\n" },
		{ "empty", "", "k=" },
	};
	char file[] = "/tmp/bb-cli-XXXXXX", line[64];
	int fd = mkstemp(file);

	(void)state;
	assert_true(fd >= 0);
	(void)snprintf(line, sizeof(line), "run -o a=1 -o k=@%s", file);
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		print_message("%s\n", v[i].why);
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(
		    pwrite(fd, v[i].content, strlen(v[i].content), 0),
		    (ssize_t)strlen(v[i].content));
		assert_int_equal(cli(line), 42);
		assert_string_equal(
		    jv_as_str(jv_at(jv_get(seen, "set"), 1)), v[i].value);
		assert_int_equal(jv_len(jv_get(seen, "set_file")), 2);
	}
	assert_int_equal(pwrite(fd, "a\0b", 3, 0), 3);
	assert_int_equal(cli(line), CTL_USAGE);
	close(fd);
	unlink(file);
	jv_free(seen);
	seen = NULL;
}

static void
help_and_version_go_to_standard_output(void **state)
{
	(void)state;
	assert_int_equal(cli("help"), 0);
	for (size_t i = 0; ctl_verb_at(i) != NULL; i++)
		assert_non_null(strstr(out, ctl_verb_at(i)->name));
	assert_int_equal(cli("--help"), 0);
	assert_int_equal(cli("help call"), 0);
	assert_non_null(strstr(out, "--record FILE.wav"));
	assert_int_equal(cli("call --help"), 0);
	assert_non_null(strstr(out, "--record FILE.wav"));
	assert_int_equal(cli("help config"), 0);
	assert_non_null(strstr(out, "config explain"));
	assert_int_equal(cli("help config set"), 0);
	assert_int_equal(cli("--version"), 0);
	assert_string_equal(out, "bellbird " PACKAGE_VERSION "\n");
	assert_int_equal(cli("version --json"), 0);
	assert_string_equal(err, "");
	assert_int_equal(cli("help nonsense"), CTL_USAGE);
}

/* ---- no endpoint ---- */

static void
without_an_endpoint_the_exit_code_is_3(void **state)
{
	(void)state;
	assert_int_equal(
	    cli("status --socket /tmp/bb-no-such-socket"), CTL_NOT_RUNNING);
	assert_non_null(strstr(err, "/tmp/bb-no-such-socket"));
	assert_int_equal(
	    cli("call a --socket /nonexistent/x --json"), CTL_NOT_RUNNING);
	assert_non_null(strstr(out, "\"exit\":3"));
	/* config get could be served from the files, but a socket is named */
	assert_int_equal(
	    cli("config get k --socket /nonexistent/x"), CTL_NOT_RUNNING);
}

static void
a_verb_with_both_sides_is_served_locally_without_an_endpoint(void **state)
{
	(void)state;
	assert_int_equal(setenv("RUNTIME_DIRECTORY", "/nonexistent:/y", 1), 0);
	assert_int_equal(cli("config get k"), 42);
	assert_int_equal(cli("config get k --conf /c --state /s"), 42);
	assert_int_equal(cli("config explain k"), CTL_NOT_RUNNING);
	assert_int_equal(setenv("BELLBIRD_SOCKET", "/nonexistent/x", 1), 0);
	assert_int_equal(cli("config get k"), CTL_NOT_RUNNING);
	assert_non_null(strstr(err, "/nonexistent/x"));
	unsetenv("BELLBIRD_SOCKET");
	unsetenv("RUNTIME_DIRECTORY");
	jv_free(seen);
	seen = NULL;
}

static void
the_path_of_the_socket_follows_the_environment(void **state)
{
	char p[128];

	(void)state;
	unsetenv("BELLBIRD_SOCKET");
	assert_int_equal(setenv("RUNTIME_DIRECTORY", "/r:/s", 1), 0);
	assert_int_equal(ctl_socket_path(p, sizeof(p), NULL), 0);
	assert_string_equal(p, "/r/ctl.sock");
	assert_int_equal(ctl_socket_path(p, sizeof(p), "/given"), 0);
	assert_string_equal(p, "/given");
	assert_int_equal(setenv("BELLBIRD_SOCKET", "/env", 1), 0);
	assert_int_equal(ctl_socket_path(p, sizeof(p), NULL), 0);
	assert_string_equal(p, "/env");
	assert_int_equal(ctl_socket_path(p, 4, NULL), E_LIMIT);
	unsetenv("BELLBIRD_SOCKET");
	unsetenv("RUNTIME_DIRECTORY");
}

/* ---- with an endpoint ---- */

static void
the_exit_code_of_a_call_tells_how_it_went(void **state)
{
	static const struct {
		const char *why, *line;
		int exit;
		const char *state_; /* of the call; NULL: not looked at */
		int code;
		const char *class;
	} v[] = {
		{ "answered", "call good", 0, "established", 200, NULL },
		{ "the same", "call good --wait answered", 0, "established",
		    200, NULL },
		{ "busy", "call busy", CTL_REFUSED, NULL, 486, NULL },
		{ "busy, to the end", "call busy --wait ended", CTL_REFUSED,
		    NULL, 486, NULL },
		{ "busy is expected", "call busy --expect 486", 0, "ended", 486,
		    NULL },
		{ "another is expected", "call busy --expect 603", CTL_REFUSED,
		    NULL, 486, NULL },
		{ "answer is expected", "call busy --expect 200", CTL_REFUSED,
		    NULL, 486, NULL },
		{ "answered as expected", "call good --expect 200", 0,
		    "established", 200, NULL },
		{ "answered unexpectedly", "call good --expect 486", CTL_FAIL,
		    NULL, 200, NULL },
		{ "that, to the end", "call good --expect 486 --wait ended",
		    CTL_FAIL, NULL, 200, NULL },
		{ "credentials refused", "call auth", CTL_AUTH, NULL, 407,
		    NULL },
		{ "certificate", "call tls", CTL_TLS, NULL, 0, "cert.expired" },
		{ "nobody answers at all", "call late", CTL_TIMEOUT, NULL, 408,
		    NULL },
		{ "not registered", "call nobody", CTL_TLS, NULL, -1,
		    "mtls.rejected_ca" },
		{ "to its end", "call short --wait ended", 0, "ended", 200,
		    NULL },
		{ "without media", "call mute --wait ended", CTL_MEDIA, NULL,
		    200, "media.timeout" },
		{ "hung up by us", "call good --duration 100ms", 0, "ended",
		    200, NULL },
		{ "digits", "call good --dtmf 12#", 0, "established", 200,
		    NULL },
		{ "bad digits", "call good --dtmf bad", CTL_USAGE, NULL, -1,
		    NULL },
		{ "rings for ever", "call silent --timeout 100ms", CTL_TIMEOUT,
		    NULL, 0, NULL },
		{ "is up for ever", "call good --wait ended --timeout 100ms",
		    CTL_TIMEOUT, NULL, 200, NULL },
		{ "bad --wait", "call good --wait forever", CTL_USAGE, NULL, -1,
		    NULL },
		{ "bad --expect", "call good --expect 99", CTL_USAGE, NULL, -1,
		    NULL },
		{ "bad --duration", "call good --duration long", CTL_USAGE,
		    NULL, -1, NULL },
		{ "bad --header", "call good --header x", CTL_USAGE, NULL, -1,
		    NULL },
		{ "no file", "call good --play /no/such/file", CTL_USAGE, NULL,
		    -1, NULL },
		{ "the endpoint dies", "call crash", CTL_NOT_RUNNING, NULL, -1,
		    NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		struct jv *o;

		print_message("%s: %s\n", v[i].why, v[i].line);
		o = ask(v[i].line, v[i].exit);
		if (v[i].state_ != NULL)
			assert_string_equal(
			    jv_get_str(o, "state"), v[i].state_);
		assert_int_equal(jv_get_int(o, "code", -1), v[i].code);
		if (v[i].class != NULL)
			assert_string_equal(jv_get_str(o, "class"), v[i].class);
		if (v[i].exit == 0) {
			assert_string_equal(jv_get_str(o, "call"), "c7");
			assert_non_null(jv_get_str(o, "security"));
		}
		jv_free(o);
	}
}

static void
the_result_of_a_call_holds_its_media(void **state)
{
	struct jv *o;

	(void)state;
	o = ask("call short --wait ended", 0);
	assert_int_equal(jv_get_int(jv_get(o, "media"), "rx_packets", -1), 75);
	assert_string_equal(jv_get_str(o, "security"), "srtp");
	assert_true(jv_get_num(o, "duration_s", 0) == 1.5);
	jv_free(o);
	o = ask("call good", 0);
	assert_string_equal(jv_get_str(jv_get(o, "media"), "codec"), "opus");
	jv_free(o);
}

static void
files_are_opened_by_the_client(void **state)
{
	char in[80], rec[80], line[256], b[16] = "";
	int fd;

	(void)state;
	(void)snprintf(in, sizeof(in), "%s/in", dir);
	(void)snprintf(rec, sizeof(rec), "%s/rec", dir);
	fd = open(in, O_CREAT | O_WRONLY, 0600);
	assert_int_equal(write(fd, "hello", 5), 5);
	close(fd);
	(void)snprintf(
	    line, sizeof(line), "call files --play %s --record %s", in, rec);
	jv_free(ask(line, 0));
	fd = open(rec, O_RDONLY);
	assert_int_equal(read(fd, b, sizeof(b)), 5);
	assert_string_equal(b, "hello");
	close(fd);
	unlink(in);
	unlink(rec);
}

static void
wait_prints_the_event_and_ends(void **state)
{
	struct jv *o;

	(void)state;
	o = ask("wait reg.state --since 0 --where state=registered "
		"--timeout 5s",
	    0);
	assert_string_equal(jv_get_str(o, "account"), "u1");
	jv_free(o);
	o = ask("wait call.incoming --timeout 50ms", CTL_TIMEOUT); /* over */
	jv_free(o);
	o = ask("wait call.incoming --since 0 --timeout 5s", 0);
	assert_int_equal(jv_get_int(o, "seq", -1), 1);
	jv_free(o);
	jv_free(ask("wait call.* --since 0 --timeout 5s", 0));
	jv_free(ask("wait call.incoming --since 0 --where remote=sip:bob "
		    "--timeout 50ms",
	    CTL_TIMEOUT));
	jv_free(ask("wait x --where nonsense", CTL_USAGE));
	jv_free(ask("wait x --timeout soon", CTL_USAGE));
	jv_free(ask("wait x --since yesterday", CTL_USAGE));
}

static void
wait_may_be_content_with_the_status(void **state)
{
	struct jv *o;

	(void)state;
	o = ask("wait reg.state --since 99 --or-status "
		"--where state=registered --timeout 5s",
	    0);
	assert_string_equal(jv_get_str(o, "event"), "reg.state");
	assert_string_equal(jv_get_str(o, "account"), "u1");
	jv_free(o);
	jv_free(ask("wait reg.state --or-status --where code=200 "
		    "--where account=u1 --timeout 5s",
	    0)); /* a number compares as text */
	jv_free(ask("wait reg.state --or-status --where account=u2 "
		    "--timeout 150ms",
	    CTL_TIMEOUT));
	jv_free(ask(
	    "wait call.established --or-status --timeout 50ms", CTL_TIMEOUT));
}

static void
simple_verbs_pass_their_operands(void **state)
{
	struct jv *o;

	(void)state;
	o = ask("config get sip.srtp", 0);
	assert_string_equal(jv_get_str(o, "key"), "sip.srtp");
	jv_free(o);
	o = ask("config set call.max 7", 0);
	assert_string_equal(jv_get_str(o, "value"), "7");
	assert_true(jv_get_bool(o, "argv", false));
	jv_free(o);
	o = ask("hangup", 0);
	assert_int_equal(jv_len(jv_get(o, "calls")), 1);
	jv_free(o);
	o = ask("dtmf 12 c3", 0);
	assert_string_equal(jv_get_str(o, "call"), "c3");
	jv_free(o);
	o = ask("prov run", CTL_PROV);
	assert_string_equal(jv_get_str(o, "class"), "http.404");
	assert_non_null(jv_get(o, "detail"));
	jv_free(o);
	o = ask("answer", CTL_USAGE); /* this endpoint does not know it */
	jv_free(o);
}

static void
config_set_reads_a_secret_from_standard_input(void **state)
{
	struct jv *o;
	int p[2], in = dup(0);

	(void)state;
	assert_int_equal(pipe(p), 0);
	assert_int_equal(write(p[1], "pass word\n", 10), 10);
	close(p[1]);
	dup2(p[0], 0);
	close(p[0]);
	o = ask("config set sip.u1.pwd -", 0);
	dup2(in, 0);
	close(in);
	assert_string_equal(jv_get_str(o, "value"), "pass word");
	assert_false(jv_get_bool(o, "argv", true));
	jv_free(o);
}

static void
text_is_made_fit_for_a_terminal(void **state)
{
	char line[128];

	(void)state;
	(void)snprintf(line, sizeof(line), "status --socket %s", path);
	assert_int_equal(cli(line), 0);
	assert_null(strchr(out, '\033'));
	assert_non_null(strstr(out, "\\x1b[31m@x"));
	assert_non_null(strstr(out, "registered"));
	assert_non_null(strstr(out, "careful"));
	(void)snprintf(line, sizeof(line), "call busy --socket %s", path);
	assert_int_equal(cli(line), CTL_REFUSED);
	assert_string_equal(out, "");
	assert_non_null(strstr(err, "486 Busy Here"));
	(void)snprintf(line, sizeof(line),
	    "wait call.incoming --since 0 --socket %s", path);
	assert_int_equal(cli(line), 0);
	assert_non_null(strstr(out, "call.incoming  call=c1"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		cmocka_unit_test(refuses_what_is_wrong_and_names_the_nearest),
		cmocka_unit_test(a_usage_error_is_json_if_asked_for),
		cmocka_unit_test(a_local_verb_gets_its_options_as_an_object),
		cmocka_unit_test(a_value_may_come_from_a_file),
		cmocka_unit_test(help_and_version_go_to_standard_output),
		cmocka_unit_test(without_an_endpoint_the_exit_code_is_3),
		cmocka_unit_test(
		    a_verb_with_both_sides_is_served_locally_without_an_endpoint),
		cmocka_unit_test(
		    the_path_of_the_socket_follows_the_environment),
		T(the_exit_code_of_a_call_tells_how_it_went),
		T(the_result_of_a_call_holds_its_media),
		T(files_are_opened_by_the_client),
		T(wait_prints_the_event_and_ends),
		T(wait_may_be_content_with_the_status),
		T(simple_verbs_pass_their_operands),
		T(config_set_reads_a_secret_from_standard_input),
		T(text_is_made_fit_for_a_terminal),
#undef T
	};

	unsetenv("BELLBIRD_SOCKET");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
