/* SPDX-License-Identifier: ISC */
/*
 * The apply transaction under a killed process: old or new, never a mixture.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

/* A disk that takes its time: the worker stands in fsync() until let go. */
static struct {
	bool on;
	pthread_t loop_thread;
	int arrived; /* atomic */
	sem_t go;
} slow;

/* slow_fsync waits, and must not be called by the loop's thread. */
static void
slow_fsync(void)
{
	if (pthread_equal(pthread_self(), slow.loop_thread))
		fail_msg("the loop waits for the disk");
	__atomic_store_n(&slow.arrived, 1, __ATOMIC_SEQ_CST);
	while (sem_wait(&slow.go) != 0)
		continue;
}

ssize_t
__wrap_write(int fd, const void *p, size_t n)
{
	struct stat st;

	/* Files only: the worker's eventfd is no disk. */
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || !is_due())
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
	if (slow.on)
		slow_fsync();
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

/* ---- through the worker ---- */

static struct {
	struct loop *loop;
	struct worker *worker;
	struct prov_store *s;
	struct timer timer;
	char ended[256]; /* "arg:err " of each callback */
	size_t wanted;   /* callbacks until the loop stops */
	char changed[256];
} a;

static void
on_end(const struct prov_outcome *o, void *arg)
{
	size_t n = strlen(a.ended);

	snprintf(
	    a.ended + n, sizeof(a.ended) - n, "%s:%d ", (char *)arg, o->err);
	if (o->err != 0 && o->err != ECANCELED)
		assert_non_null(strstr(o->why, "was not set"));
	if (--a.wanted == 0)
		loop_stop(a.loop);
}

static void
on_changes(
    const char *const *keys, size_t num_keys, unsigned int scopes, void *arg)
{
	size_t n;

	(void)scopes, (void)arg;
	for (size_t i = 0; i < num_keys; i++) {
		n = strlen(a.changed);
		snprintf(a.changed + n, sizeof(a.changed) - n, "%s ", keys[i]);
	}
}

static int
async_set_up(void **arg)
{
	struct prov_store_conf c = { .state_dir = state };

	if (set_up(arg) != 0)
		return -1;
	memset(&a, 0, sizeof(a));
	slow.loop_thread = pthread_self();
	slow.arrived = 0;
	sem_init(&slow.go, 0, 0);
	assert_int_equal(loop_new(&a.loop), 0);
	assert_int_equal(worker_new(&a.worker, a.loop), 0);
	c.loop = a.loop;
	c.worker = a.worker;
	assert_int_equal(prov_store_open(&a.s, &c, NULL), 0);
	prov_on_change(a.s, on_changes, NULL);
	return 0;
}

static int
async_tear_down(void **arg)
{
	slow.on = false;
	worker_free(a.worker);
	prov_store_free(a.s);
	timer_stop(&a.timer);
	loop_free(a.loop);
	sem_destroy(&slow.go);
	return tear_down(arg);
}

/* tag keeps a name for on_end(): the same pointer for the same name. */
static char *
tag(const char *name)
{
	static char tags[16][32];
	size_t i = 0;

	while (tags[i][0] != '\0' && strcmp(tags[i], name) != 0)
		i++;
	assert_true(i < 15);
	snprintf(tags[i], sizeof(tags[i]), "%s", name);
	return tags[i];
}

/* set_start asks for a setting; its name is what the callback notes. */
static int
set_start(const char *key, const char *value)
{
	const struct prov_set_conf c = {
		.key = key, .value = value, .cb = on_end, .arg = tag(key)
	};
	char why[200];

	return prov_set_start(a.s, &c, why, sizeof(why));
}

/* run_until runs the loop until `n` callbacks have come. */
static void
run_until(size_t n)
{
	a.wanted = n;
	a.ended[0] = '\0';
	assert_int_equal(loop_run(a.loop), 0);
	assert_int_equal(a.wanted, 0);
}

/* on_tick runs while the disk is busy: nothing is in force yet, and what
 * blocks is refused. */
static void
on_tick(void *arg)
{
	char why[200];

	(void)arg;
	if (!__atomic_load_n(&slow.arrived, __ATOMIC_SEQ_CST)) {
		assert_int_equal(
		    timer_start(&a.timer, a.loop, 1000, on_tick, NULL), 0);
		return;
	}
	assert_string_equal(a.ended, "");
	assert_string_equal(prov_get(a.s, "sip.regexp"), "3600");
	assert_int_equal(
	    prov_set(a.s, PROV_CMDLINE, "sip.regexp", "70", why, sizeof(why)),
	    EBUSY);
	assert_non_null(strstr(why, "being written"));
	assert_int_equal(prov_reload(a.s, NULL), EBUSY);
	slow.on = false;
	sem_post(&slow.go);
	sem_post(&slow.go);
}

static void
the_loop_goes_on_while_the_disk_is_slow(void **arg)
{
	struct prov_store *s;

	(void)arg;
	slow.on = true;
	assert_int_equal(set_start("sip.regexp", "100"), 0);
	assert_int_equal(set_start("sip.proxy", "a.example"), 0);
	assert_int_equal(set_start("sip.regexp", NULL), 0);
	assert_int_equal(set_start("sip.regexp", "x"), E_PROV_CONF);
	assert_int_equal(set_start("sip.nosuch", "1"), ENOENT);
	assert_int_equal(set_start("sip.transp", "sctp"), E_PROV_CONF);
	assert_int_equal(timer_start(&a.timer, a.loop, 1000, on_tick, NULL), 0);
	run_until(3);
	assert_string_equal(a.ended, "sip.regexp:0 sip.proxy:0 sip.regexp:0 ");
	assert_string_equal(prov_get(a.s, "sip.regexp"), "3600");
	assert_string_equal(prov_get(a.s, "sip.proxy"), "a.example");
	s = store_open();
	assert_string_equal(prov_get(s, "sip.regexp"), "3600");
	assert_string_equal(prov_get(s, "sip.proxy"), "a.example");
	prov_store_free(s);
	assert_non_null(strstr(a.changed, "sip.regexp "));
	assert_non_null(strstr(a.changed, "sip.proxy "));
}

/* Whatever fails in the thread: the callback, memory and disk agree. */
static void
a_failed_write_of_the_worker_changes_nothing(void **arg)
{
	struct prov_store *s2;
	char was[16] = "3600", next[16];
	unsigned int n, left = 0, failed = 0;

	(void)arg;
	for (n = 1; left == 0; n++) {
		snprintf(next, sizeof(next), "%u", 100 + n);
		countdown = n;
		fails_with = EIO;
		assert_int_equal(set_start("sip.regexp", next), 0);
		run_until(1);
		left = countdown;
		countdown = 0;
		failed += strcmp(a.ended, "sip.regexp:0 ") != 0;
		assert_string_equal(prov_get(a.s, "sip.regexp"),
		    strcmp(a.ended, "sip.regexp:0 ") == 0 ? next : was);
		s2 = store_open();
		assert_string_equal(
		    prov_get(s2, "sip.regexp"), prov_get(a.s, "sip.regexp"));
		prov_store_free(s2);
		snprintf(was, sizeof(was), "%s", prov_get(a.s, "sip.regexp"));
		assert_true(n < 50);
	}
	assert_int_equal(failed, 3);
}

static void
the_queue_has_an_end_and_order(void **arg)
{
	char value[8];
	int i;

	(void)arg;
	for (i = 0; i < 16; i++) {
		snprintf(value, sizeof(value), "%d", 100 + i);
		assert_int_equal(set_start("sip.regexp", value), 0);
	}
	assert_int_equal(set_start("sip.regexp", "99"), EBUSY);
	run_until(16);
	assert_string_equal(prov_get(a.s, "sip.regexp"), "115");
	assert_int_equal(set_start("sip.regexp", "99"), 0);
	run_until(1);
	assert_string_equal(prov_get(a.s, "sip.regexp"), "99");
}

/* on_wait stops the loop when the worker stands at the disk. */
static void
on_wait(void *arg)
{
	(void)arg;
	if (__atomic_load_n(&slow.arrived, __ATOMIC_SEQ_CST))
		loop_stop(a.loop);
	else
		assert_int_equal(
		    timer_start(&a.timer, a.loop, 1000, on_wait, NULL), 0);
}

/* The process stops: what is being written is written, what waits is not, and
 * everybody who waits is told. */
static void
the_end_of_the_store_ends_what_waits(void **arg)
{
	struct prov_store *s;

	(void)arg;
	slow.on = true;
	a.wanted = 9;
	assert_int_equal(set_start("sip.regexp", "100"), 0);
	assert_int_equal(set_start("sip.proxy", "late.example"), 0);
	assert_int_equal(set_start("sip.sips", "1"), 0);
	prov_forget(a.s, tag("sip.sips"));
	on_wait(NULL);
	assert_int_equal(loop_run(a.loop), 0);
	slow.on = false;
	sem_post(&slow.go);
	worker_free(a.worker);
	a.worker = NULL;
	prov_store_free(a.s);
	a.s = NULL;
	assert_non_null(strstr(a.ended, "sip.proxy:125 "));
	s = store_open();
	assert_string_equal(prov_get(s, "sip.regexp"), "100");
	assert_string_equal(prov_get(s, "sip.proxy"), "");
	prov_store_free(s);
}

static void
a_set_is_applied_by_the_worker(void **arg)
{
	struct prov_file f = { .layer = PROV_MODEL, .name = "m.conf" };
	struct prov_store *s;

	(void)arg;
	f.text = slice_of("sip.proxy = a.example\n");
	assert_int_equal(prov_apply_start(a.s, on_end, NULL), EINVAL);
	assert_int_equal(prov_stage(a.s, &f, 1, NULL), 0);
	assert_int_equal(prov_apply_start(a.s, on_end, tag("set")), 0);
	/* The next may be staged already: each has its own. */
	f.text = slice_of("sip.proxy = b.example\n");
	assert_int_equal(prov_stage(a.s, &f, 1, NULL), 0);
	prov_unstage(a.s);
	run_until(1);
	assert_string_equal(a.ended, "set:0 ");
	assert_string_equal(prov_get(a.s, "sip.proxy"), "a.example");
	s = store_open();
	assert_string_equal(prov_get(s, "sip.proxy"), "a.example");
	prov_store_free(s);
	assert_int_equal(prov_reload_start(a.s, on_end, tag("reload")), 0);
	run_until(1);
	assert_string_equal(a.ended, "reload:0 ");
	assert_string_equal(prov_get(a.s, "sip.proxy"), "a.example");
}

#define ASYNC(f) \
	cmocka_unit_test_setup_teardown(f, async_set_up, async_tear_down)

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
		ASYNC(the_loop_goes_on_while_the_disk_is_slow),
		ASYNC(a_failed_write_of_the_worker_changes_nothing),
		ASYNC(the_queue_has_an_end_and_order),
		ASYNC(the_end_of_the_store_ends_what_waits),
		ASYNC(a_set_is_applied_by_the_worker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
