/* SPDX-License-Identifier: ISC */
/* log.c: what passes, in what form, and that hostile bytes stay harmless. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "bellbird/clock.h"
#include "bellbird/log.h"

static char last[4096];
static unsigned int lines;

static void
sink(enum log_level lv, enum log_cat cat, uint64_t id, const char *line,
    void *arg)
{
	(void)arg;
	lines++;
	snprintf(last, sizeof(last), "%s %s %llx %s", log_level_name(lv),
	    log_cat_name(cat), (unsigned long long)id, line);
}

static unsigned int taps;

/* A tap that logs, as the event stream might. */
static void
tap(enum log_level lv, enum log_cat cat, uint64_t id, const char *line,
    void *arg)
{
	(void)lv;
	(void)cat;
	(void)id;
	(void)line;
	(void)arg;
	taps++;
	log_info(LOGC_CTL, 0, "from the tap");
}

static int
set_up(void **state)
{
	(void)state;
	clock_fake(1795527474);
	log_set_sink(sink, NULL);
	log_set_level(LOGL_INFO);
	lines = 0;
	last[0] = '\0';
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	log_set_sink(NULL, NULL);
	log_add_tap(NULL, NULL);
	clock_real();
	return 0;
}

static void
esc_makes_bytes_harmless(void **state)
{
	static const struct {
		const char *why, *in, *want;
	} v[] = {
		{ "plain", "sip:bob@example.com", "sip:bob@example.com" },
		{ "newline", "a\nb", "a\\x0ab" },
		{ "escape sequence", "\033[2J", "\\x1b[2J" },
		{ "delete", "\x7f", "\\x7f" },
		{ "double quote", "\"", "\\x22" },
		{ "single quote", "'", "\\x27" },
		{ "backslash", "\\", "\\x5c" },
		{ "valid UTF-8", "Zo\xc3\xab", "Zo\xc3\xab" },
		{ "C1 control", "\xc2\x9b", "\\xc2\\x9b" },
		{ "bidi override", "\xe2\x80\xae", "\\xe2\\x80\\xae" },
		{ "line separator", "\xe2\x80\xa8", "\\xe2\\x80\\xa8" },
		{ "overlong", "\xc0\xaf", "\\xc0\\xaf" },
		{ "cut sequence", "\xe2\x82", "\\xe2\\x82" },
		{ "empty", "", "" },
	};
	const char *a, *b;
	char longer[400];

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		print_message("%s\n", v[i].why);
		assert_string_equal(esc(v[i].in), v[i].want);
	}
	assert_string_equal(esc(NULL), "(none)");
	assert_string_equal(esc_n(NULL, 5), "(none)");
	assert_string_equal(esc_n("a\0b", 3), "a\\x00b");
	memset(longer, 'x', sizeof(longer));
	assert_int_equal(strlen(esc_n(longer, sizeof(longer))), 120);
	/* No half sequence at the cut. */
	memset(longer, '\n', sizeof(longer));
	assert_int_equal(strlen(esc_n(longer, sizeof(longer))), 120);
	longer[0] = 'x';
	assert_int_equal(strlen(esc_n(longer, sizeof(longer))), 117);
	a = esc("first");
	for (int i = 0; i < 7; i++)
		b = esc("other");
	assert_string_equal(a, "first");
	assert_string_equal(b, "other");
}

static void
levels_are_kept_by_category(void **state)
{
	(void)state;
	assert_int_equal(log_set_spec("warn,sip=debug, tls = trace"), 0);
	log_info(LOGC_APP, 0, "no");
	assert_int_equal(lines, 0);
	log_debug(LOGC_SIP, 0x1f, "yes %d", 1);
	assert_string_equal(last, "debug sip 1f yes 1");
	log_trace(LOGC_SIP, 0, "no");
	log_trace(LOGC_TLS, 0, "wire");
	assert_string_equal(last, "trace tls 0 wire");
	assert_int_equal(lines, 2);
	assert_int_equal(log_set_spec("info,sip=loud"), EINVAL);
	assert_int_equal(log_set_spec("info,nosuch=info"), EINVAL);
	assert_int_equal(log_set_spec("info,"), EINVAL);
	assert_int_equal(log_set_spec(""), EINVAL);
	assert_false(log_on(LOGL_INFO, LOGC_APP)); /* nothing was changed */
	assert_true(log_on(LOGL_TRACE, LOGC_TLS));
	assert_int_equal(log_set_spec("ERR"), 0);
	assert_false(log_on(LOGL_WARN, LOGC_TLS));
}

static void
a_forgotten_esc_stays_one_line(void **state)
{
	char longer[5000];

	(void)state;
	errno = EXDEV;
	log_info(LOGC_APP, 0, "a%sb", "\r\n\033[31m");
	assert_int_equal(errno, EXDEV);
	assert_string_equal(last, "info app 0 a???[31mb");
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	log_info(LOGC_APP, 0, "%s", longer);
	assert_int_equal(strlen(last), strlen("info app 0 ") + 2047);
}

static void
warnings_are_limited_by_the_second(void **state)
{
	(void)state;
	clock_step_us(2000000);
	for (int i = 0; i < 80; i++)
		log_warn(LOGC_MEDIA, 0, "bad packet n=%d", i);
	assert_int_equal(lines, 50);
	log_warn(LOGC_SIP, 0, "another category passes");
	log_err(LOGC_MEDIA, 0, "an error passes");
	log_info(LOGC_MEDIA, 0, "an event passes");
	assert_int_equal(lines, 53);
	clock_step_us(1000000);
	log_info(LOGC_MEDIA, 0, "later");
	assert_int_equal(lines, 55);
	log_warn(LOGC_MEDIA, 0, "again");
	assert_string_equal(last, "warn media 0 again");
	/* and what was lost is told once */
	lines = 0;
	clock_step_us(1000000);
	for (int i = 0; i < 53; i++)
		log_warn(LOGC_MEDIA, 0, "x");
	clock_step_us(1000000);
	lines = 0;
	log_set_level(LOGL_WARN);
	log_warn(LOGC_MEDIA, 0, "y");
	assert_int_equal(lines, 2);
}

/* One peer's noise must not hide what another does; many must not fill the
 * disk. */
static void
warnings_are_limited_by_id(void **state)
{
	(void)state;
	clock_step_us(2000000);
	for (int i = 0; i < 1000; i++)
		log_warn(LOGC_SIP, 0x11, "noise");
	assert_int_equal(lines, 50);
	log_warn(LOGC_SIP, 0x22, "quiet");
	assert_string_equal(last, "warn sip 22 quiet");
	log_warn(LOGC_SIP, 0, "nobody");
	assert_int_equal(lines, 52);
	clock_step_us(1000000);
	log_info(LOGC_SIP, 0x22, "later");
	assert_int_equal(lines, 54); /* and what was lost of whom */
	lines = 0;
	clock_step_us(1000000);
	for (uint64_t id = 1; id <= 1000; id++)
		log_warn(LOGC_SIP, id, "a new connection each");
	assert_true(lines > 100 && lines <= 200);
	log_warn(LOGC_TLS, 0x33, "another category");
	assert_string_equal(last, "warn tls 33 another category");
	clock_step_us(1000000);
	lines = 0;
	log_info(LOGC_SIP, 0, "later");
	assert_true(lines > 1 && lines <= 66);
}

static void
tap_hears_but_not_itself(void **state)
{
	(void)state;
	taps = 0;
	log_add_tap(tap, NULL);
	log_info(LOGC_APP, 0, "one");
	assert_int_equal(taps, 1);
	assert_int_equal(lines, 2);
}

/* Runs one log call with standard error in a file and returns the text. */
static void
stderr_text(char *out, size_t size, bool journal)
{
	FILE *f = tmpfile();
	int saved = dup(STDERR_FILENO);
	struct stat st;
	char var[64];
	ssize_t n;

	assert_non_null(f);
	assert_true(saved >= 0);
	assert_int_equal(fstat(fileno(f), &st), 0);
	snprintf(var, sizeof(var), "%llu:%llu", (unsigned long long)st.st_dev,
	    (unsigned long long)st.st_ino + !journal);
	setenv("JOURNAL_STREAM", var, 1);
	assert_true(dup2(fileno(f), STDERR_FILENO) >= 0);
	log_set_sink(NULL, NULL);
	log_warn(LOGC_TLS, 0xabc, "code=%d", 7);
	log_info(LOGC_APP, 0, "done");
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	close(saved);
	unsetenv("JOURNAL_STREAM");
	n = pread(fileno(f), out, size - 1, 0);
	assert_true(n >= 0);
	out[n] = '\0';
	fclose(f);
}

static void
stderr_lines_have_their_form(void **state)
{
	char text[512];

	(void)state;
	stderr_text(text, sizeof(text), false);
	assert_string_equal(text,
	    "2026-11-24T13:37:54.000Z warn tls [0000000000000abc] code=7\n"
	    "2026-11-24T13:37:54.000Z info app done\n");
	/* The journal knows the time and wants a priority. */
	stderr_text(text, sizeof(text), true);
	assert_string_equal(text,
	    "<4>tls [0000000000000abc] code=7\n"
	    "<6>app done\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(esc_makes_bytes_harmless),
		cmocka_unit_test_setup_teardown(
		    levels_are_kept_by_category, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    a_forgotten_esc_stays_one_line, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    warnings_are_limited_by_the_second, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    warnings_are_limited_by_id, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    tap_hears_but_not_itself, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    stderr_lines_have_their_form, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
