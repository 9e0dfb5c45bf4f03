/* SPDX-License-Identifier: ISC */
/* Thousands of connections in a row, good and refused, full and resumed: at
 * both ends neither a descriptor nor memory is left behind. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <malloc.h>

#include "test_tls_conn.h"

enum {
	WARM_UP = 150, /* the kept records of the peer fill up, and pools */
	SHORT = 1000,
	LONG = 10000,     /* BELLBIRD_LONG=1 */
	SLOPE_BYTES = 102 /* 0.1 KiB a connection, both ends together */
};

/* What one process holds. */
struct held {
	size_t fds, heap, dirty;
};

static void
look(struct held *h)
{
	struct mallinfo2 m = mallinfo2();
	FILE *f = fopen("/proc/self/smaps_rollup", "r");
	unsigned long kib = 0;
	char line[256];
	DIR *d = opendir("/proc/self/fd");

	memset(h, 0, sizeof(*h));
	assert_non_null(d);
	while (readdir(d) != NULL)
		h->fds++;
	closedir(d);
	h->heap = m.uordblks + m.hblkhd;
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, "Private_Dirty:", 14) == 0)
			kib = strtoul(line + 14, NULL, 10);
	}
	fclose(f);
	h->dirty = (size_t)kib * 1024;
}

/* One kind of connection, again and again. */
struct churn {
	const char *what, *server, *id;
	uint16_t max;
	bool resume;
	const char *cclass, *sclass; /* NULL: it is good */
};

static void
once(const struct churn *k, bool first)
{
	if (!k->resume)
		tls_sess_clear(cli.env);
	if (k->cclass == NULL) {
		talk();
		assert_true(tls_conn_verdict(cli.c)->ok);
		assert_int_equal(
		    tls_conn_verdict(cli.c)->resumed, k->resume && !first);
	} else {
		end_reset(&cli);
		end_reset(&srv);
		dial(&cli.policy);
		settle(both_told);
		assert_string_equal(cli.v.class, k->cclass);
		assert_string_equal(srv.v.class, k->sclass);
	}
	end_reset(&cli);
	end_reset(&srv);
	loop_fake_run(loop, 0);
}

static void
churn(const struct churn *k, size_t count)
{
	struct held from, to;

	world_open(k->server, k->id);
	policies("localhost", true);
	cli.policy.max = k->max;
	serve(&srv.policy);
	for (size_t i = 0; i < WARM_UP; i++)
		once(k, i == 0);
	look(&from);
	for (size_t i = 0; i < count; i++)
		once(k, false);
	look(&to);
	print_message("%s: %zu connections: heap %+.3f, private %+.3f KiB "
		      "each, descriptors %+zd\n",
	    k->what, count,
	    ((double)to.heap - (double)from.heap) / 1024 / (double)count,
	    ((double)to.dirty - (double)from.dirty) / 1024 / (double)count,
	    (ssize_t)(to.fds - from.fds));
	assert_int_equal(to.fds, from.fds);
#ifndef __SANITIZE_ADDRESS__ /* which keeps what is freed, and counts itself \
			      */
	assert_true(to.heap <= from.heap + SLOPE_BYTES * count);
	assert_true(to.dirty <= from.dirty + SLOPE_BYTES * count);
#endif
	world_close();
}

static void
nothing_is_left_behind(void **state)
{
	static const struct churn kinds[] = {
		{ "full, TLS 1.3", "server.pem", "id", TLS_V13, false, NULL,
		    NULL },
		{ "full, TLS 1.2", "server.pem", "id", TLS_V12, false, NULL,
		    NULL },
		{ "resumed, TLS 1.3", "server.pem", "id", TLS_V13, true, NULL,
		    NULL },
		{ "resumed, TLS 1.2", "server.pem", "id", TLS_V12, true, NULL,
		    NULL },
		{ "the server is refused", "foreign.pem", "id", TLS_V13, false,
		    "cert.unknown_root", "hs.refused" },
		{ "the client is refused", "server.pem", "foreign-id", TLS_V13,
		    false, "mtls.rejected_ca", "cert.unknown_root" },
	};
	const char *env = getenv("BELLBIRD_LONG");
	bool is_long = env != NULL && strcmp(env, "1") == 0;

	(void)state;
	for (size_t i = 0; i < LEN(kinds); i++)
		churn(&kinds[i], is_long ? LONG : SHORT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_left_behind),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
