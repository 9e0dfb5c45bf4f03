/* SPDX-License-Identifier: ISC */
/* file.c: the old or the new content, never half of one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "bellbird/file.h"

static char dir[64];

static const char *
in_dir(const char *name)
{
	static char path[2][512];
	static unsigned int next;
	char *out = path[next++ % 2];

	assert_int_equal(path_join(out, sizeof(path[0]), dir, name), 0);
	return out;
}

static int
set_up(void **state)
{
	(void)state;
	memcpy(dir, "/tmp/bbfile-XXXXXX", sizeof("/tmp/bbfile-XXXXXX"));
	if (mkdtemp(dir) == NULL)
		return -1;
	return 0;
}

static void
count_name(const char *path, const char *name, void *arg)
{
	char *names = arg;

	assert_int_equal(access(path, F_OK), 0);
	assert_true(strlen(names) + strlen(name) + 2 < 512);
	memcpy(names + strlen(names), name, strlen(name) + 1);
	memcpy(names + strlen(names), ",", 2);
}

static void
assert_content(const char *name, const char *want)
{
	struct buf b;

	buf_init(&b, 100000);
	assert_int_equal(file_read(in_dir(name), &b), 0);
	assert_string_equal(buf_str(&b), want);
	buf_clear(&b);
}

static void
writes_with_the_exact_mode(void **state)
{
	static const mode_t modes[] = { 0600, 0640, 0644, 0666 };
	struct stat st;
	mode_t mask = umask(077);

	(void)state;
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		assert_int_equal(
		    file_write(in_dir("a.conf"), "abc", 3, modes[i]), 0);
		assert_int_equal(stat(in_dir("a.conf"), &st), 0);
		assert_int_equal(st.st_mode & 07777, modes[i]);
		assert_int_equal(st.st_size, 3);
	}
	umask(mask);
	assert_content("a.conf", "abc");
	assert_int_equal(file_write(in_dir("a.conf"), NULL, 0, 0600), 0);
	assert_content("a.conf", "");
}

/* The folder holds exactly these files. */
static void
assert_names(const char *want)
{
	char names[512] = "";

	assert_int_equal(file_list(dir, count_name, names), 0);
	assert_string_equal(names, want);
}

static void
old_content_stays_on_failure(void **state)
{
	struct rlimit old, small = { 4, RLIM_INFINITY };
	struct sigaction ign = { .sa_handler = SIG_IGN }, was;

	(void)state;
	assert_int_equal(file_write(in_dir("s.conf"), "old", 3, 0600), 0);
	/* The disk is full after 4 bytes. */
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small.rlim_max = old.rlim_max;
	assert_int_equal(sigaction(SIGXFSZ, &ign, &was), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(
	    file_write(in_dir("s.conf"), "newer text", 10, 0600), EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(sigaction(SIGXFSZ, &was, NULL), 0);
	assert_content("s.conf", "old");
	/* A folder stands in the way of the rename. */
	assert_int_equal(file_mkdirs(in_dir("d/e"), 0700), 0);
	assert_int_equal(file_write(in_dir("d"), "x", 1, 0600), EISDIR);
	assert_int_equal(rmdir(in_dir("d/e")), 0);
	assert_int_equal(rmdir(in_dir("d")), 0);
	assert_names("s.conf,");
	assert_int_equal(file_write(in_dir("none/x"), "x", 1, 0600), ENOENT);
	assert_int_equal(file_write("/proc/bellbird-no", "x", 1, 0600), ENOENT);
	assert_int_equal(file_remove(in_dir("s.conf")), 0);
	/* Nothing hidden either, or the folder would not go. */
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(mkdir(dir, 0700), 0);
}

static void
reads_whole_files_within_the_ceiling(void **state)
{
	static char text[10001];
	struct buf b;

	(void)state;
	memset(text, 'x', 10000);
	assert_int_equal(file_write(in_dir("big"), text, 10000, 0600), 0);
	assert_content("big", text);
	buf_init(&b, 9999);
	assert_int_equal(buf_puts(&b, "before"), 0);
	assert_int_equal(file_read(in_dir("big"), &b), E_LIMIT);
	assert_string_equal(buf_str(&b), "before");
	buf_clear(&b);
	buf_init(&b, 100);
	assert_int_equal(file_read(in_dir("nosuch"), &b), ENOENT);
	assert_int_equal(file_read(dir, &b), EISDIR);
	buf_clear(&b);
}

static void
makes_folders_and_removes_files(void **state)
{
	struct stat st;
	mode_t mask = umask(077);

	(void)state;
	assert_int_equal(file_mkdirs(in_dir("x//y/z/"), 0755), 0);
	umask(mask);
	assert_int_equal(stat(in_dir("x/y/z"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(file_mkdirs(in_dir("x/y/z"), 0700), 0);
	assert_int_equal(stat(in_dir("x/y/z"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755); /* it was there */
	assert_int_equal(file_write(in_dir("f"), "", 0, 0600), 0);
	assert_int_equal(file_mkdirs(in_dir("f/g"), 0700), ENOTDIR);
	assert_int_equal(file_mkdirs(in_dir("f"), 0700), ENOTDIR);
	assert_int_equal(file_mkdirs("", 0700), ENOENT);
	assert_int_equal(file_remove(in_dir("f")), 0);
	assert_int_equal(file_remove(in_dir("f")), 0);
	assert_int_not_equal(file_remove(in_dir("x")), 0);
}

static void
lists_sorted_and_sweeps_leftovers(void **state)
{
	char names[512] = "", temp[512];
	int fd;

	(void)state;
	assert_int_equal(file_write(in_dir("l/b"), "", 0, 0600), ENOENT);
	assert_int_equal(file_mkdirs(in_dir("l/sub"), 0700), 0);
	assert_int_equal(file_write(in_dir("l/b"), "", 0, 0600), 0);
	assert_int_equal(file_write(in_dir("l/a"), "", 0, 0600), 0);
	assert_int_equal(file_write(in_dir("l/B"), "", 0, 0600), 0);
	/* What a power cut would leave. */
	snprintf(temp, sizeof(temp), "%s/l/.bellbird-tmp.1.1", dir);
	fd = open(temp, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(file_list(in_dir("l"), count_name, names), 0);
	assert_string_equal(names, "B,a,b,");
	assert_int_equal(file_sweep(in_dir("l")), 0);
	assert_int_equal(access(temp, F_OK), -1);
	names[0] = '\0';
	assert_int_equal(file_list(in_dir("l"), count_name, names), 0);
	assert_string_equal(names, "B,a,b,");
	assert_int_equal(
	    file_list(in_dir("nosuch"), count_name, names), ENOENT);
	assert_int_equal(file_sweep(in_dir("nosuch")), 0);
}

static void
joins_paths(void **state)
{
	char out[8];

	(void)state;
	assert_int_equal(path_join(out, sizeof(out), "a", "b"), 0);
	assert_string_equal(out, "a/b");
	assert_int_equal(path_join(out, sizeof(out), "a/", "b"), 0);
	assert_string_equal(out, "a/b");
	assert_int_equal(path_join(out, sizeof(out), "", "b"), 0);
	assert_string_equal(out, "b");
	assert_int_equal(path_join(out, sizeof(out), "abc", "def"), 0);
	assert_int_equal(path_join(out, sizeof(out), "abc", "defg"), E_LIMIT);
	assert_string_equal(out, "abc/def");
}

static int
tear_down(void **state)
{
	static const char *const left[] = { "l/a", "l/b", "l/B", "l/sub", "l",
		"x/y/z", "x/y", "x", "a.conf", "s.conf", "big", "f" };

	(void)state;
	for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++)
		remove(in_dir(left[i]));
	return rmdir(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    writes_with_the_exact_mode, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    old_content_stays_on_failure, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    reads_whole_files_within_the_ceiling, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    makes_folders_and_removes_files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    lists_sorted_and_sweeps_leftovers, set_up, tear_down),
		cmocka_unit_test(joins_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
