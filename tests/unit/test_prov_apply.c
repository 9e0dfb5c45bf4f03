/* SPDX-License-Identifier: ISC */
/*
 * The apply transaction under a killed process: old or new, never a mixture.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "bellbird/log.h"
#include "bellbird/prov_store.h"

ssize_t __real_write(int fd, const void *p, size_t n);
int __real_rename(const char *from, const char *to);
int __real_fsync(int fd);
int __real_link(const char *from, const char *to);
int __real_unlink(const char *path);
ssize_t __wrap_write(int fd, const void *p, size_t n);
int __wrap_rename(const char *from, const char *to);
int __wrap_fsync(int fd);
int __wrap_link(const char *from, const char *to);
int __wrap_unlink(const char *path);

/* What the n-th of these calls does; 0: nothing is counted. */
static unsigned int countdown;
static int fails_with; /* errno instead of the end, 0: kill */

/* is_due tells whether this is the call. */
static bool
is_due(void)
{
	return countdown != 0 && --countdown == 0;
}

/* give_up is the power cut, or the full disk. */
static int
give_up(void)
{
	if (fails_with == 0)
		raise(SIGKILL);
	errno = fails_with;
	return -1;
}

ssize_t
__wrap_write(int fd, const void *p, size_t n)
{
	if (!is_due())
		return __real_write(fd, p, n);
	if (__real_write(fd, p, n / 2) < 0)
		return -1;
	return give_up();
}

int
__wrap_rename(const char *from, const char *to)
{
	return is_due() ? give_up() : __real_rename(from, to);
}

int
__wrap_fsync(int fd)
{
	return is_due() ? give_up() : __real_fsync(fd);
}

int
__wrap_link(const char *from, const char *to)
{
	return is_due() ? give_up() : __real_link(from, to);
}

int
__wrap_unlink(const char *path)
{
	return is_due() ? give_up() : __real_unlink(path);
}

static char dir[64], state[80];

static void
quiet(enum log_level lv, enum log_cat cat, uint64_t id, const char *line,
    void *arg)
{
	(void)lv, (void)cat, (void)id, (void)line, (void)arg;
}

static int
set_up(void **arg)
{
	(void)arg;
	log_set_sink(quiet, NULL);
	snprintf(dir, sizeof(dir), "/tmp/bb_apply.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(state, sizeof(state), "%s/state", dir);
	return 0;
}

/* Temporary files of a killed process stay: everything is removed by name. */
static int
tear_down(void **arg)
{
	char cmd[2][96];
	pid_t pid;
	int st;

	(void)arg;
	snprintf(cmd[0], sizeof(cmd[0]), "%s", dir);
	if ((pid = fork()) == 0) {
		execl("/bin/rm", "rm", "-rf", cmd[0], (char *)NULL);
		_exit(127);
	}
	return waitpid(pid, &st, 0) == pid && st == 0 ? 0 : -1;
}

static struct prov_store *
store_open(void)
{
	struct prov_store_conf c = { .state_dir = state };
	struct prov_problems pr = { 0 };
	struct prov_store *s = NULL;

	assert_int_equal(prov_store_open(&s, &c, &pr), 0);
	assert_int_equal(pr.num_fatal, 0);
	prov_problems_clear(&pr);
	return s;
}

/* apply puts a set in force whose three files all say `word`. */
static int
apply(struct prov_store *s, const char *word)
{
	char text[3][64];
	const char *const keys[] = { "sip.proxy", "sip.u1.user",
		"sip.u1.dname" };
	const enum prov_layer layers[] = { PROV_MODEL, PROV_DEVICE,
		PROV_INCREMENTAL };
	struct prov_file fs[3];
	int err;

	memset(fs, 0, sizeof(fs));
	for (size_t i = 0; i < 3; i++) {
		snprintf(text[i], sizeof(text[i]), "%s = %s\n", keys[i], word);
		fs[i].layer = layers[i];
		fs[i].name = keys[i];
		fs[i].text = slice_of(text[i]);
	}
	if ((err = prov_stage(s, fs, 3, NULL)) != 0)
		return err;
	return prov_apply(s, NULL);
}

/* in_force tells which word all three keys have; fails on a mixture. */
static const char *
in_force(const struct prov_store *s)
{
	static char word[64];

	snprintf(word, sizeof(word), "%s", prov_get(s, "sip.proxy"));
	assert_string_equal(prov_get(s, "sip.u1.user"), word);
	assert_string_equal(prov_get(s, "sip.u1.dname"), word);
	return word;
}

/* cut_at applies `word` in a child that ends at call `n`; true: it ended. */
static bool
cut_at(unsigned int n, const char *word)
{
	struct prov_store *s;
	int st, err;
	pid_t pid;

	assert_true((pid = fork()) >= 0);
	if (pid == 0) {
		fails_with = 0;
		s = store_open();
		countdown = n;
		err = apply(s, word);
		countdown = 0;
		_exit(err == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &st, 0), pid);
	if (WIFEXITED(st))
		assert_int_equal(WEXITSTATUS(st), 0);
	else
		assert_int_equal(WTERMSIG(st), SIGKILL);
	return WIFSIGNALED(st);
}

/* Kills at every step, the first set and a later one. */
static void
a_cut_leaves_old_or_new(void **arg)
{
	struct prov_store *s;
	char was[64] = "", next[64];
	unsigned int n, olds = 0, news = 0;

	(void)arg;
	for (int round = 0; round < 3; round++) {
		for (n = 1;; n++) {
			bool cut;

			snprintf(next, sizeof(next), "w%d-%u", round, n);
			cut = cut_at(n, next);
			s = store_open();
			if (strcmp(in_force(s), next) == 0)
				news++;
			else if (strcmp(in_force(s), was) == 0)
				olds++;
			else
				fail_msg("step %u: %s", n, in_force(s));
			snprintf(was, sizeof(was), "%s", in_force(s));
			prov_store_free(s);
			if (!cut) {
				assert_string_equal(was, next);
				break;
			}
		}
		print_message("round %d: %u steps\n", round, n - 1);
	}
	assert_true(olds >= 6);
	assert_true(news >= 4);
}

/* A full disk: what is in force in memory and what a restart finds are whole
 * each, and it can be tried again. */
static void
a_failed_write_changes_nothing(void **arg)
{
	struct prov_store *s, *s2;
	char was[64] = "before", next[64], now[64];
	unsigned int n, left = 0;
	int err;

	(void)arg;
	s = store_open();
	assert_int_equal(apply(s, was), 0);
	for (n = 1; left == 0; n++) {
		snprintf(next, sizeof(next), "after-%u", n);
		countdown = n;
		fails_with = ENOSPC;
		err = apply(s, next);
		left = countdown;
		countdown = 0;
		/* Without hard links a copy is made: that is no failure, and
		 * neither is a folder that is not synced after the rename. */
		snprintf(now, sizeof(now), "%s", in_force(s));
		assert_string_equal(now, err == 0 ? next : was);
		s2 = store_open();
		assert_string_equal(in_force(s2), now);
		prov_store_free(s2);
		prov_unstage(s);
		snprintf(was, sizeof(was), "%s", in_force(s));
		assert_true(n < 50);
	}
	assert_int_equal(err, 0);
	assert_true(n > 5);
	prov_store_free(s);
}

/* The same for a local setting: what is said, what is in force, and what the
 * next start finds agree. */
static void
a_failed_write_of_a_setting_changes_nothing(void **arg)
{
	struct prov_store *s, *s2;
	char was[16] = "3600", next[16], why[200];
	unsigned int n, left = 0, failed = 0;
	int err;

	(void)arg;
	s = store_open();
	for (n = 1; left == 0; n++) {
		snprintf(next, sizeof(next), "%u", 100 + n);
		countdown = n;
		fails_with = EIO;
		err = prov_set(
		    s, PROV_LOCAL, "sip.regexp", next, why, sizeof(why));
		left = countdown;
		countdown = 0;
		failed += err != 0;
		assert_string_equal(
		    prov_get(s, "sip.regexp"), err == 0 ? next : was);
		s2 = store_open();
		assert_string_equal(
		    prov_get(s2, "sip.regexp"), prov_get(s, "sip.regexp"));
		prov_store_free(s2);
		snprintf(was, sizeof(was), "%s", prov_get(s, "sip.regexp"));
		assert_true(n < 50);
	}
	assert_int_equal(err, 0);
	/* write, fsync, rename; but not the fsync of the folder. */
	assert_int_equal(failed, 3);
	prov_store_free(s);
}

/* The same bytes again: the flash is not written. */
static void
an_equal_set_is_not_written(void **arg)
{
	struct prov_store *s = store_open();

	(void)arg;
	assert_int_equal(apply(s, "same"), 0);
	countdown = 1;
	fails_with = EIO;
	assert_int_equal(apply(s, "same"), 0);
	countdown = 0;
	prov_store_free(s);
}

/* A local setting is one file: cut anywhere, it is whole. */
static void
a_cut_leaves_settings_whole(void **arg)
{
	struct prov_store *s;
	char why[200], was[16] = "3600", next[16];
	unsigned int n;
	int st;
	pid_t pid;

	(void)arg;
	for (n = 1;; n++) {
		snprintf(next, sizeof(next), "%u", 100 + n);
		assert_true((pid = fork()) >= 0);
		if (pid == 0) {
			fails_with = 0;
			s = store_open();
			countdown = n;
			st = prov_set(s, PROV_LOCAL, "sip.regexp", next, why,
			    sizeof(why));
			countdown = 0;
			_exit(st == 0 ? 0 : 1);
		}
		assert_int_equal(waitpid(pid, &st, 0), pid);
		s = store_open();
		if (strcmp(prov_get(s, "sip.regexp"), next) != 0)
			assert_string_equal(prov_get(s, "sip.regexp"), was);
		snprintf(was, sizeof(was), "%s", prov_get(s, "sip.regexp"));
		prov_store_free(s);
		if (WIFEXITED(st)) {
			assert_int_equal(WEXITSTATUS(st), 0);
			assert_string_equal(was, next);
			break;
		}
	}
	assert_true(n > 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    a_cut_leaves_old_or_new, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    a_failed_write_changes_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    a_failed_write_of_a_setting_changes_nothing, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(
		    an_equal_set_is_not_written, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    a_cut_leaves_settings_whole, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
