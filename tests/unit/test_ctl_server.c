/* SPDX-License-Identifier: ISC */
/* The control socket: framing, replies, descriptors, life of the path. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/stat.h>

#include <grp.h>
#include <signal.h>

#include "bellbird/ctl_server.h"
#include "bellbird/log.h"
#include "oom.h"
#include "test_ctl.h"

static struct loop *loop;
static char path[64];
static struct ctl_server *server;
static struct ctl_req *held; /* a request whose reply is still owed */
static int gone;             /* how often on_gone ran */
static int got[6];           /* descriptors that a command took */

/* ---- commands of the test ---- */

static void
cmd_echo(struct ctl_req *r, const struct jv *args, void *arg)
{
	assert_ptr_equal(arg, &server);
	ctl_reply(r, jv_copy(args));
}

static void
cmd_fail(struct ctl_req *r, const struct jv *args, void *arg)
{
	struct jv *d = jv_obj();

	(void)args;
	(void)arg;
	jv_set_str(d, "class", "cert.expired");
	ctl_fail(r, CTL_TLS, "the certificate is too old", d);
}

static void
on_gone(struct ctl_req *r, void *arg)
{
	assert_ptr_equal(r, held);
	assert_ptr_equal(arg, &gone);
	gone++;
	held = NULL;
	loop_stop(loop);
}

static void
cmd_hold(struct ctl_req *r, const struct jv *args, void *arg)
{
	(void)arg;
	held = r;
	if (jv_get_bool(args, "watch", true))
		ctl_req_on_gone(r, on_gone, &gone);
	loop_stop(loop);
}

static void
cmd_take(struct ctl_req *r, const struct jv *args, void *arg)
{
	struct jv *o = jv_obj();
	int64_t n = jv_get_int(args, "n", 0);

	(void)arg;
	for (int i = 0; i < 6; i++)
		got[i] = i < n ? ctl_req_take_fd(r, (size_t)i) : -1;
	if (n > 0) /* each is handed over once */
		assert_int_equal(ctl_req_take_fd(r, 0), -1);
	ctl_reply(r, o);
}

static void
cmd_big(struct ctl_req *r, const struct jv *args, void *arg)
{
	char *s = malloc(100001);
	struct jv *o = jv_obj();

	(void)args;
	(void)arg;
	assert_non_null(s);
	memset(s, 'x', 100000);
	s[100000] = '\0';
	jv_set_str(o, "text", s);
	free(s);
	ctl_reply(r, o);
}

static const struct ctl_cmd cmds[] = {
	{ "echo", cmd_echo },
	{ "fail now", cmd_fail },
	{ "hold", cmd_hold },
	{ "take", cmd_take },
	{ "big", cmd_big },
};

/* ---- life of a test ---- */

static const char *group = "no-such-group";

static int
open_it(struct ctl_server **out, const char *p)
{
	return ctl_server_open(
	    out, loop, p, group, cmds, sizeof(cmds) / sizeof(cmds[0]), &server);
}

static int
setup(void **state)
{
	static char dir[32];

	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/bb-ctl-XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/ctl.sock", dir);
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(open_it(&server, path), 0);
	held = NULL;
	gone = 0;
	*state = dir;
	return 0;
}

static int
teardown(void **state)
{
	ctl_server_free(server);
	loop_free(loop);
	server = NULL;
	assert_int_equal(access(path, F_OK), -1); /* removed at the end */
	assert_int_equal(rmdir(*state), 0);       /* nothing else is left */
	return 0;
}

/* The reply has ok = false and this exit code. */
static void
expect_exit(struct jv *o, int code)
{
	assert_non_null(o);
	assert_false(jv_get_bool(o, "ok", true));
	assert_int_equal(jv_get_int(o, "exit", -1), code);
	assert_non_null(jv_get_str(o, "error"));
	jv_free(o);
}

/* ---- framing ---- */

static void
a_command_sent_byte_by_byte_is_answered(void **state)
{
	static const char line[] =
	    "{\"id\":7,\"cmd\":\"echo\",\"args\":{\"a\":\"b\"}}\n";
	struct peer p;
	struct jv *o;

	(void)state;
	peer_open(&p, loop, path);
	for (size_t i = 0; i + 1 < sizeof(line); i++) {
		assert_int_equal(send(p.fd, line + i, 1, 0), 1);
		run_rounds(loop, 2);
	}
	o = peer_next(&p);
	assert_int_equal(jv_get_int(o, "id", -1), 7);
	assert_true(jv_get_bool(o, "ok", false));
	assert_string_equal(jv_get_str(jv_get(o, "result"), "a"), "b");
	jv_free(o);
	peer_close(&p);
}

static void
two_commands_in_one_packet_are_answered_in_order(void **state)
{
	struct peer p;
	struct jv *o;

	(void)state;
	peer_open(&p, loop, path);
	peer_send(&p,
	    "{\"id\":\"x\",\"cmd\":\"echo\"}\r\n\n"
	    "{\"id\":2,\"cmd\":\"fail now\"}\n");
	o = peer_next(&p);
	assert_string_equal(jv_get_str(o, "id"), "x");
	assert_true(jv_get_bool(o, "ok", false));
	jv_free(o);
	o = peer_next(&p);
	assert_int_equal(jv_get_int(o, "id", -1), 2);
	assert_string_equal(
	    jv_get_str(jv_get(o, "detail"), "class"), "cert.expired");
	expect_exit(o, CTL_TLS);
	peer_close(&p);
}

static void
what_is_no_command_is_a_usage_error(void **state)
{
	static const struct {
		const char *why, *line;
	} v[] = {
		{ "not JSON", "call me\n" },
		{ "no object", "[1,2]\n" },
		{ "a number", "7\n" },
		{ "no cmd", "{\"id\":1}\n" },
		{ "cmd is no string", "{\"id\":1,\"cmd\":4}\n" },
		{ "args is no object",
		    "{\"id\":1,\"cmd\":\"echo\",\"args\":[]}\n" },
		{ "unknown", "{\"id\":1,\"cmd\":\"frobnicate\"}\n" },
		{ "half a name", "{\"id\":1,\"cmd\":\"fail\"}\n" },
		{ "NUL in it", "{\"id\":1,\"cmd\":\"echo\\u0000\"}\n" },
		{ "a terminal escape", "{\"cmd\":\"\\u001b[2J\"}\n" },
	};
	struct peer p;

	(void)state;
	peer_open(&p, loop, path);
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		print_message("refuses: %s\n", v[i].why);
		expect_exit(peer_ask(&p, v[i].line), CTL_USAGE);
	}
	jv_free(peer_ask(&p, "{\"id\":1,\"cmd\":\"echo\"}\n")); /* still up */
	peer_close(&p);
}

static void
a_line_of_64_kib_passes_and_a_longer_one_closes(void **state)
{
	enum { MAX = 64 * 1024 };
	static char line[2 * MAX];
	static const char start[] = "{\"cmd\":\"echo\",\"args\":{\"a\":\"";
	static const char end[] = "\"}}";
	struct peer p;
	struct jv *o;

	(void)state;
	peer_open(&p, loop, path);
	memset(line, 'y', sizeof(line));
	memcpy(line, start, sizeof(start) - 1);
	memcpy(line + MAX - (sizeof(end) - 1), end, sizeof(end) - 1);
	line[MAX] = '\n';
	line[MAX + 1] = '\0';
	o = peer_ask(&p, line);
	assert_true(jv_get_bool(o, "ok", false));
	jv_free(o);

	memset(line, 'y', MAX + 2);
	memcpy(line, start, sizeof(start) - 1);
	line[MAX + 2] = '\0';
	expect_exit(peer_ask(&p, line), CTL_USAGE);
	assert_null(peer_next(&p)); /* closed */
	peer_close(&p);

	peer_open(&p, loop, path); /* whole, but one byte too long */
	memcpy(line + MAX + 1 - (sizeof(end) - 1), end, sizeof(end) - 1);
	line[MAX + 1] = '\n';
	expect_exit(peer_ask(&p, line), CTL_USAGE);
	assert_null(peer_next(&p));
	peer_close(&p);
}

static void
a_client_that_does_not_read_is_not_read_from(void **state)
{
	struct peer p;
	int n = 40; /* 4 MB of replies, four times the ceiling */

	(void)state;
	peer_open(&p, loop, path);
	for (int i = 0; i < n; i++)
		peer_send(&p, "{\"cmd\":\"big\"}\n");
	while (n-- > 0) {
		struct jv *o = peer_next(&p);

		assert_non_null(o); /* never closed for it */
		jv_free(o);
	}
	peer_close(&p);
}

/* ---- replies that come later ---- */

static void
a_reply_may_come_later(void **state)
{
	struct peer p;
	struct jv *o;

	(void)state;
	peer_open(&p, loop, path);
	peer_send(&p, "{\"id\":5,\"cmd\":\"hold\"}\n");
	run_some(loop);
	assert_non_null(held);
	o = peer_ask(&p, "{\"id\":6,\"cmd\":\"echo\"}\n");
	assert_int_equal(jv_get_int(o, "id", -1), 6);
	jv_free(o);
	ctl_reply(held, jv_obj());
	o = peer_next(&p);
	assert_int_equal(jv_get_int(o, "id", -1), 5);
	jv_free(o);
	assert_int_equal(gone, 0);
	peer_close(&p);
}

static void
a_client_that_leaves_is_reported(void **state)
{
	struct peer p;

	(void)state;
	peer_open(&p, loop, path);
	peer_send(&p, "{\"id\":5,\"cmd\":\"hold\"}\n");
	run_some(loop);
	peer_close(&p);
	run_some(loop); /* on_gone stops it */
	assert_int_equal(gone, 1);
}

static void
a_reply_to_a_client_that_left_goes_nowhere(void **state)
{
	struct peer p;

	(void)state;
	peer_open(&p, loop, path);
	peer_send(
	    &p, "{\"id\":5,\"cmd\":\"hold\",\"args\":{\"watch\":false}}\n");
	run_some(loop);
	peer_close(&p);
	run_rounds(loop, 5);
	ctl_reply(held, jv_obj());
	assert_int_equal(gone, 0);
}

static void
a_client_that_half_closes_still_gets_its_reply(void **state)
{
	struct peer p;
	struct jv *o;

	(void)state;
	peer_open(&p, loop, path);
	peer_send(&p, "{\"id\":5,\"cmd\":\"hold\"}\n");
	assert_int_equal(shutdown(p.fd, SHUT_WR), 0);
	run_some(loop);
	run_rounds(loop, 5);
	assert_int_equal(gone, 0);
	ctl_fail(held, CTL_REFUSED, "busy", NULL);
	o = peer_next(&p);
	expect_exit(o, CTL_REFUSED);
	assert_null(peer_next(&p));
	peer_close(&p);
}

static void
the_end_of_the_server_reports_pending_requests(void **state)
{
	struct peer p;

	(void)state;
	peer_open(&p, loop, path);
	peer_send(&p, "{\"id\":5,\"cmd\":\"hold\"}\n");
	run_some(loop);
	ctl_server_free(server);
	server = NULL;
	assert_int_equal(gone, 1);
	assert_null(peer_next(&p));
	peer_close(&p);
}

static void
more_than_32_commands_without_reply_are_refused(void **state)
{
	struct peer p;

	(void)state;
	peer_open(&p, loop, path);
	for (int i = 0; i < 32; i++)
		peer_send(
		    &p, "{\"cmd\":\"hold\",\"args\":{\"watch\":false}}\n");
	expect_exit(peer_ask(&p, "{\"id\":1,\"cmd\":\"echo\"}\n"), CTL_FAIL);
	peer_close(&p);
}

static void
the_33rd_client_is_refused(void **state)
{
	struct peer p[33];

	(void)state;
	for (int i = 0; i < 32; i++) {
		peer_open(&p[i], loop, path);
		jv_free(peer_ask(&p[i], "{\"cmd\":\"echo\"}\n"));
	}
	log_set_level(LOGL_ERR);
	peer_open(&p[32], loop, path);
	assert_null(peer_next(&p[32]));
	log_set_level(LOGL_INFO);
	peer_close(&p[0]);
	run_rounds(loop, 5);
	peer_close(&p[32]);
	peer_open(&p[32], loop, path);
	jv_free(peer_ask(&p[32], "{\"cmd\":\"echo\"}\n"));
	for (int i = 1; i < 33; i++)
		peer_close(&p[i]);
}

/* ---- descriptors ---- */

/* Sends a line with `n` descriptors: the read ends of fresh pipes, whose
 * write ends go to `wr`. */
static void
send_fds(struct peer *p, const char *line, int *wr, size_t n)
{
	union {
		struct cmsghdr h;
		char b[CMSG_SPACE(6 * sizeof(int))];
	} u;
	size_t len = strlen(line);
	char copy[256];
	struct iovec iov = { copy, len };
	struct msghdr m = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = u.b,
		.msg_controllen = CMSG_SPACE(n * 4) };
	struct cmsghdr *c = &u.h;
	int rd[6], pipes[2];

	memset(&u, 0, sizeof(u));
	memcpy(copy, line, len);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(pipe(pipes), 0);
		rd[i] = pipes[0];
		wr[i] = pipes[1];
	}
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(c), rd, n * sizeof(int));
	assert_int_equal(sendmsg(p->fd, &m, MSG_NOSIGNAL), (ssize_t)len);
	for (size_t i = 0; i < n; i++)
		close(rd[i]);
}

/* Somebody still holds the read end of the pipe. */
static bool
is_held(int wr)
{
	/* SIGPIPE is ignored by main() here. */
	return write(wr, "x", 1) == 1;
}

static void
descriptors_reach_their_command_and_the_rest_is_closed(void **state)
{
	static const struct {
		const char *why, *before, *line;
		size_t n;
		int take;
		bool held[6];
	} v[] = {
		{ "two taken of two", "",
		    "{\"cmd\":\"take\",\"args\":{\"n\":2}}\n", 2, 2,
		    { true, true } },
		{ "one taken of two", "",
		    "{\"cmd\":\"take\",\"args\":{\"n\":1}}\n", 2, 1,
		    { true, false } },
		{ "none taken", "", "{\"cmd\":\"echo\"}\n", 1, 0, { false } },
		{ "at most four pass", "",
		    "{\"cmd\":\"take\",\"args\":{\"n\":6}}\n", 6, 4,
		    { true, true, true, true, false, false } },
		{ "with the second of two lines", "{\"cmd\":\"echo\"}\n",
		    "{\"cmd\":\"take\",\"args\":{\"n\":1}}\n", 1, 1, { true } },
		{ "with a line that is no command", "", "nonsense\n", 1, 0,
		    { false } },
	};
	struct peer p;
	int wr[6];

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		print_message("%s\n", v[i].why);
		memset(got, -1, sizeof(got));
		peer_open(&p, loop, path);
		if (v[i].before[0] != '\0')
			peer_send(&p, v[i].before);
		send_fds(&p, v[i].line, wr, v[i].n);
		if (v[i].before[0] != '\0')
			jv_free(peer_next(&p));
		jv_free(peer_next(&p));
		for (size_t k = 0; k < v[i].n; k++) {
			assert_int_equal(got[k] >= 0, (int)k < v[i].take);
			assert_int_equal(is_held(wr[k]), v[i].held[k]);
			close(wr[k]);
			if (got[k] >= 0)
				close(got[k]);
		}
		peer_close(&p);
	}
}

static void
descriptors_of_a_client_that_leaves_are_closed(void **state)
{
	struct peer p;
	int wr[2];

	(void)state;
	peer_open(&p, loop, path);
	send_fds(&p, "{\"cmd\":\"ta", wr, 1);
	run_rounds(loop, 3);
	assert_true(is_held(wr[0]));
	send_fds(&p, "ke\"", wr + 1, 1); /* replaces the first */
	run_rounds(loop, 3);
	assert_false(is_held(wr[0]));
	peer_close(&p);
	run_rounds(loop, 5);
	assert_false(is_held(wr[1]));
	close(wr[0]);
	close(wr[1]);
}

/* ---- the path ---- */

static void
the_socket_is_for_owner_and_group(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	assert_int_equal(st.st_gid, getegid()); /* no such group: ours */
}

/* Root gives it to the group, which need not be in the first line. */
static void
the_socket_is_given_to_the_group(void **state)
{
	struct ctl_server *s;
	struct group *g = getgrnam("daemon");
	struct stat st;
	char other[96];

	(void)state;
	if (geteuid() != 0 || g == NULL) {
		skip();
		return;
	}
	group = "daemon";
	(void)snprintf(other, sizeof(other), "%s-group", path);
	assert_int_equal(open_it(&s, other), 0);
	assert_int_equal(stat(other, &st), 0);
	assert_int_equal(st.st_gid, g->gr_gid);
	assert_int_not_equal(st.st_gid, getegid());
	ctl_server_free(s);
	group = "no-such-group";
}

static void
a_live_socket_is_left_alone(void **state)
{
	struct ctl_server *other = (struct ctl_server *)&gone;
	struct peer p;

	(void)state;
	assert_int_equal(open_it(&other, path), EADDRINUSE);
	assert_ptr_equal(other, &gone);
	peer_open(&p, loop, path);
	jv_free(peer_ask(&p, "{\"cmd\":\"echo\"}\n"));
	peer_close(&p);
}

static void
a_stale_socket_is_replaced(void **state)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct ctl_server *s;
	struct peer p;
	int fd;

	(void)state;
	(void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s2", path);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	close(fd); /* its process died without unlink */
	assert_int_equal(open_it(&s, sa.sun_path), 0);
	peer_open(&p, loop, sa.sun_path);
	jv_free(peer_ask(&p, "{\"cmd\":\"echo\"}\n"));
	peer_close(&p);
	ctl_server_free(s);
	assert_int_equal(access(sa.sun_path, F_OK), -1);
}

static void
what_cannot_be_bound_is_said(void **state)
{
	char file[80], lng[200], deep[100];
	struct ctl_server *s = NULL;

	(void)state;
	(void)snprintf(file, sizeof(file), "%s.txt", path);
	close(open(file, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(open_it(&s, file), EEXIST);
	assert_int_equal(access(file, F_OK), 0); /* not removed */
	unlink(file);
	memset(lng, 'l', sizeof(lng) - 1);
	lng[0] = '/';
	lng[sizeof(lng) - 1] = '\0';
	assert_int_equal(open_it(&s, lng), ENAMETOOLONG);
	(void)snprintf(deep, sizeof(deep), "%s/no/such/folder", file);
	assert_int_equal(open_it(&s, deep), ENOENT);
	assert_null(s);
}

static void
a_path_taken_over_by_another_is_not_removed(void **state)
{
	struct ctl_server *s, *t;
	char p2[80];

	(void)state;
	(void)snprintf(p2, sizeof(p2), "%s3", path);
	assert_int_equal(open_it(&s, p2), 0);
	unlink(p2);
	assert_int_equal(open_it(&t, p2), 0);
	ctl_server_free(s);
	assert_int_equal(access(p2, F_OK), 0);
	ctl_server_free(t);
	assert_int_equal(access(p2, F_OK), -1);
}

/* ---- out of memory ---- */

static int
build(void *arg)
{
	struct ctl_server *s;
	int err = open_it(&s, arg);

	if (err == 0)
		ctl_server_free(s);
	else
		assert_int_equal(access(arg, F_OK), -1);
	return err;
}

static void
survives_every_oom(void **state)
{
	char p2[80];

	(void)state;
	(void)snprintf(p2, sizeof(p2), "%s4", path);
	assert_true(oom_each(build, p2) >= 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		T(a_command_sent_byte_by_byte_is_answered),
		T(two_commands_in_one_packet_are_answered_in_order),
		T(what_is_no_command_is_a_usage_error),
		T(a_line_of_64_kib_passes_and_a_longer_one_closes),
		T(a_client_that_does_not_read_is_not_read_from),
		T(a_reply_may_come_later),
		T(a_client_that_leaves_is_reported),
		T(a_reply_to_a_client_that_left_goes_nowhere),
		T(a_client_that_half_closes_still_gets_its_reply),
		T(the_end_of_the_server_reports_pending_requests),
		T(more_than_32_commands_without_reply_are_refused),
		T(the_33rd_client_is_refused),
		T(descriptors_reach_their_command_and_the_rest_is_closed),
		T(descriptors_of_a_client_that_leaves_are_closed),
		T(the_socket_is_for_owner_and_group),
		T(the_socket_is_given_to_the_group),
		T(a_live_socket_is_left_alone),
		T(a_stale_socket_is_replaced),
		T(what_cannot_be_bound_is_said),
		T(a_path_taken_over_by_another_is_not_removed),
		T(survives_every_oom),
#undef T
	};
	struct sigaction ign = { .sa_handler = SIG_IGN };

	(void)sigaction(SIGPIPE, &ign, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
