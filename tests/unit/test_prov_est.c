/* SPDX-License-Identifier: ISC */
/* Answers of an EST server, as HTTP: what is a certificate, what is not. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellbird/clock.h"
#include "bellbird/prov_est.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))
#define P7     "application/pkcs7-mime; smime-type=certs-only"
#define DATE   "Wed, 25 Nov 2026 02:38:16 GMT"

/* One answer, and what is made of it. */
struct row {
	const char *why;
	int err, status;
	const char *type, *body, *retry, *location;
	enum prov_est_state state;
	const char *class, *text; /* part of the text */
	int64_t retry_s;
};

static const struct row rows[] = {
	{ "a certificate", 0, 200, P7, "aGVs\r\nbG8=\r\n", "", "",
	    PROV_EST_DONE, "", "", 0 },
	{ "without its parameter", 0, 200, "application/pkcs7-mime",
	    "aGVsbG8=", "", "", PROV_EST_DONE, "", "", 0 },
	{ "quoted, in capitals", 0, 200,
	    "Application/PKCS7-MIME; charset=x; SMIME-Type=\"certs-only\"",
	    " aGVs bG8=\n", "", "", PROV_EST_DONE, "", "", 0 },
	{ "a key came along", 0, 200,
	    "application/pkcs7-mime; smime-type=server-generated-key", "aGVs",
	    "", "", PROV_EST_FAILED, "est.answer", "server-generated-key", 0 },
	{ "a login page", 0, 200, "text/html", "aGVs", "", "", PROV_EST_FAILED,
	    "est.answer", "answered with text/html", 0 },
	{ "no type", 0, 200, "", "aGVs", "", "", PROV_EST_FAILED, "est.answer",
	    "no content type", 0 },
	{ "no base64", 0, 200, P7, "-----BEGIN", "", "", PROV_EST_FAILED,
	    "est.answer", "no base64", 0 },
	{ "nothing", 0, 200, P7, "\r\n", "", "", PROV_EST_FAILED, "est.answer",
	    "no base64", 0 },
	{ "huge", E_LIMIT, 200, P7, "", "", "", PROV_EST_FAILED, "est.answer",
	    "256 KiB", 0 },
	{ "later", 0, 202, "", "", "120", "", PROV_EST_PENDING, "est.pending",
	    "not decided", 120 },
	{ "at once", 0, 202, "", "", "0", "", PROV_EST_PENDING, "est.pending",
	    "", 1 },
	{ "next year", 0, 202, "", "", "31536000", "", PROV_EST_PENDING,
	    "est.pending", "", 7 * 86400 },
	{ "by a date", 0, 202, "", "", "Wed, 25 Nov 2026 02:40:16 GMT", "",
	    PROV_EST_PENDING, "est.pending", "", 120 },
	{ "by a date that has passed", 0, 202, "", "",
	    "Wed, 25 Nov 2020 02:40:16 GMT", "", PROV_EST_PENDING,
	    "est.pending", "", 1 },
	{ "nobody knows when", 0, 202, "", "", "soon", "", PROV_EST_PENDING,
	    "est.pending", "", 600 },
	{ "who are you", 0, 401, "text/plain", "x", "", "", PROV_EST_FAILED,
	    "est.auth", "est.user", 0 },
	{ "the reason, escaped", 0, 403, "text/plain; charset=utf-8",
	    "not \x1b[31mhere\r\nmore", "", "", PROV_EST_FAILED, "est.refused",
	    "403: not \\x1b[31mhere)", 0 },
	{ "no reason of HTML", 0, 403, "text/html", "<b>", "", "",
	    PROV_EST_FAILED, "est.refused", "status 403)", 0 },
	{ "nginx wants a certificate", 0, 400, "text/html",
	    "No required SSL certificate was sent", "", "", PROV_EST_FAILED,
	    "est.refused", "did not accept our certificate", 0 },
	{ "elsewhere", 0, 302, "", "", "", "https://other.example/",
	    PROV_EST_FAILED, "est.refused", "https://other.example/", 0 },
	{ "not there", 0, 404, "", "", "", "", PROV_EST_FAILED, "est.refused",
	    "est.label", 0 },
	{ "no content", 0, 204, "", "", "", "", PROV_EST_FAILED, "est.refused",
	    "204", 0 },
	{ "nobody there", ECONNREFUSED, 0, "", "", "", "", PROV_EST_FAILED,
	    "tcp.refused", "could not be connected", 0 },
	{ "too slow", ETIMEDOUT, 0, "", "", "", "", PROV_EST_FAILED,
	    "http.timeout", "in time", 0 },
	{ "no such name", E_DNS_NXDOMAIN, 0, "", "", "", "", PROV_EST_FAILED,
	    "dns.nxdomain", "ca.example", 0 },
};

static void
judge(enum prov_est_op op, const struct row *row, struct buf *der,
    struct prov_est_result *r)
{
	struct prov_http_result h = { .err = row->err,
		.status = row->status,
		.body = { row->body, strlen(row->body) },
		.announced = -1 };

	snprintf(h.content_type, sizeof(h.content_type), "%s", row->type);
	snprintf(h.retry_after, sizeof(h.retry_after), "%s", row->retry);
	snprintf(h.location, sizeof(h.location), "%s", row->location);
	snprintf(h.date, sizeof(h.date), DATE);
	buf_init(der, 1000);
	prov_est_judge(op, "ca.example", &h, der, r);
}

static void
answers_are_judged(void **state)
{
	struct prov_est_result r;
	struct buf der;

	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		print_message("%s\n", rows[i].why);
		judge(PROV_EST_ENROLL, &rows[i], &der, &r);
		assert_int_equal(r.state, rows[i].state);
		assert_string_equal(r.class, rows[i].class);
		if (strstr(r.text, rows[i].text) == NULL)
			fail_msg("%s: %s", rows[i].text, r.text);
		assert_int_equal(r.retry_s, rows[i].retry_s);
		assert_int_equal(r.err != 0, r.state == PROV_EST_FAILED);
		if (r.state == PROV_EST_DONE) {
			assert_int_equal(r.p7.n, 5);
			assert_memory_equal(r.p7.p, "hello", 5);
		}
		buf_clear(&der);
	}
}

/* 202 is for requests; CA certificates are there or not. */
static void
ca_certificates_are_not_pending(void **state)
{
	static const struct row row = { "later", 0, 202, "", "", "120", "",
		PROV_EST_FAILED, "est.refused", "202", 0 };
	struct prov_est_result r;
	struct buf der;

	(void)state;
	judge(PROV_EST_CACERTS, &row, &der, &r);
	assert_int_equal(r.state, PROV_EST_FAILED);
	assert_string_equal(r.class, "est.refused");
	buf_clear(&der);
}

/* What a request cannot be sent to. */
static void
servers_and_labels_that_are_none_are_refused(void **state)
{
	static const struct {
		const char *server, *label, *why;
	} v[] = {
		{ "", "", "est.server" },
		{ "a.example:0", "", "est.server" },
		{ "a.example:x", "", "est.server" },
		{ "a.example", "a/b", "est.label" },
		{ "a.example", "a b", "est.label" },
		{ "a.example", "a\r\nX: y", "est.label" },
	};
	struct tls_policy open = { .verify = false };
	struct prov_est_conf c = {
		.policy = &open, .server = "a.example", .label = ""
	};
	struct prov_est *e = NULL;
	char why[200] = "";

	(void)state;
	for (size_t i = 0; i < LEN(v); i++) {
		c.server = v[i].server;
		c.label = v[i].label;
		assert_int_equal(
		    prov_est_start(&e, &c, NULL, NULL, why, sizeof(why)),
		    EINVAL);
		assert_non_null(strstr(why, v[i].why));
	}
	/* Nor to one that is not verified. */
	c.server = "a.example";
	c.label = "";
	assert_int_equal(
	    prov_est_start(&e, &c, NULL, NULL, why, sizeof(why)), E_TLS_PARAM);
	assert_null(e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_are_judged),
		cmocka_unit_test(ca_certificates_are_not_pending),
		cmocka_unit_test(servers_and_labels_that_are_none_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
