/* SPDX-License-Identifier: ISC */
/* Message flows as data: tests/data/flows, one test for each flow of a file. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "test_sip.h"
#include "test_sip_tls.h"
#include "test_sip_call.h"
#include "test_sip_play.h"

enum { FLOWS_MAX = 256 };

struct one {
	const char *file;
	char name[80];
	int line;
	struct slice text;
};

static struct one flows[FLOWS_MAX];
static size_t num_flows;

static void
play(void **state)
{
	const struct one *o = *state;

	flow_play(o->file, o->line, o->text);
}

/* Cuts a file into its flows; each starts with "flow NAME". */
static void
flows_read(const char *file, const char *text)
{
	struct slice rest = slice_of(text), line, word, name;
	struct one *o = NULL;
	int n = 0;

	while (slice_line(&rest, &line)) {
		n++;
		(void)slice_cut(line, ' ', &word, &name);
		if (!slice_is(word, "flow")) {
			if (o != NULL)
				o->text.n = (size_t)(rest.p - o->text.p);
			continue;
		}
		assert_true(num_flows < FLOWS_MAX);
		o = &flows[num_flows++];
		o->file = file;
		o->line = n;
		o->text = (struct slice){ rest.p, 0 };
		ignore_err(str_copy_slice(o->name, sizeof(o->name), name),
		    "a title may be cut");
	}
}

int
main(int argc, char **argv)
{
	static const char *const files[] = { "rfc3665.txt", "early.txt",
		"reliable.txt", "update.txt", "redirect.txt", "session.txt",
		"dialog.txt" };
	static struct CMUnitTest tests[FLOWS_MAX];
	static struct buf text[sizeof(files) / sizeof(files[0])];
	const char *only = argc > 1 ? argv[1] : NULL;
	char path[512];
	size_t n = 0;
	int rc;

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		(void)snprintf(
		    path, sizeof(path), "%s/flows/%s", TESTDATA, files[i]);
		buf_init(&text[i], 1 << 20);
		if (file_read(path, &text[i]) != 0) {
			print_error("cannot read %s\n", path);
			return 1;
		}
		flows_read(files[i], buf_str(&text[i]));
	}
	for (size_t i = 0; i < num_flows; i++) {
		if (only != NULL && strstr(flows[i].name, only) == NULL)
			continue;
		tests[n].name = flows[i].name;
		tests[n].test_func = play;
		tests[n++].initial_state = &flows[i];
	}
	rc = _cmocka_run_group_tests("flows", tests, n, NULL, NULL);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		buf_clear(&text[i]);
	return rc;
}
