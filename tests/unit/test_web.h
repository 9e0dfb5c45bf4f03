/* SPDX-License-Identifier: ISC */
/* Routes and loop helpers that the tests of the web server share. */
#ifndef BELLBIRD_TESTS_TEST_WEB_H
#define BELLBIRD_TESTS_TEST_WEB_H

#include <sys/socket.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bellbird/buf.h"
#include "bellbird/loop.h"
#include "bellbird/web_server.h"
#include "turn.h"

/* "path|query|header|body|cn" of the request. */
static inline void
echo_fn(struct web_req *r, void *arg)
{
	struct slice body = web_req_body(r);
	const char *h = web_req_header(r, "x-test");
	struct buf b;

	buf_init(&b, 1 << 20);
	buf_printf(&b, "%s|%s|%s|" SLICE_FMT "|%s", web_req_path(r),
	    web_req_query(r), h != NULL ? h : "-", SLICE_ARG(body),
	    web_req_peer_cn(r));
	web_reply(
	    r, 200, "text/plain", arg, (struct slice){ buf_str(&b), b.n });
	buf_clear(&b);
}

static inline void
silent_fn(struct web_req *r, void *arg)
{
	(void)r;
	(void)arg;
}

/* Five megabytes. */
static inline void
large_fn(struct web_req *r, void *arg)
{
	enum { N = 5 << 20 };
	char *p = malloc(N);

	(void)arg;
	assert_non_null(p);
	memset(p, 'z', N);
	web_reply(
	    r, 200, "application/octet-stream", NULL, (struct slice){ p, N });
	free(p);
}

static const struct web_route test_routes[] = {
	{ "GET", "/exact", echo_fn, NULL },
	{ "POST", "/exact", echo_fn, NULL },
	{ "GET", "/cfg/", echo_fn, NULL },
	{ "GET", "/cached", echo_fn,
	    (void *)(uintptr_t) "Cache-Control: max-age=60\r\nX-A: b\r\n" },
	{ "GET", "/silent", silent_fn, NULL },
	{ "GET", "/large", large_fn, NULL },
	{ NULL, NULL, NULL, NULL },
};

#endif
