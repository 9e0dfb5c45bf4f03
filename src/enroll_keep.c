/* SPDX-License-Identifier: ISC */
/* What of an enrolment is on disk: the request that is pending, and how a new
 * certificate gets there. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bellbird/file.h"
#include "bellbird/tls_issue.h"
#include "enroll.h"

enum {
	/* A request has 1 KiB, and half as much again in base64. */
	CSR_MAX = 8192
};

static const char head[] = "bellbird enrolment 1";

void
pending_init(struct pending *p)
{
	memset(p, 0, sizeof(*p));
	buf_init(&p->csr, CSR_MAX);
	buf_init_secret(&p->key, CSR_MAX);
}

void
pending_clear(struct pending *p)
{
	buf_clear(&p->csr);
	buf_clear(&p->key);
	pending_init(p);
}

int
pending_print(const struct pending *p, struct buf *out)
{
	char csr[CSR_MAX * 4 / 3 + 4];

	str_base64(csr, p->csr.p, p->csr.n);
	return buf_printf(out,
	    "%s\nop %s\nrenews %s\nserver %s\nsince %" PRId64 "\nretry %" PRId64
	    "\ncsr %s\n%s",
	    head, p->op == PROV_EST_REENROLL ? "renew" : "first", p->renews,
	    p->server, p->since_s, p->retry_s, csr, buf_str(&p->key));
}

/* Reads one "name value" line. */
static int
line_read(struct pending *p, struct slice line)
{
	struct slice name, value;
	uint8_t csr[CSR_MAX];
	size_t n;
	int err = 0;

	if (!slice_cut(line, ' ', &name, &value))
		return E_PARSE;
	if (slice_is(name, "op"))
		p->op = slice_is(value, "renew") ? PROV_EST_REENROLL
						 : PROV_EST_ENROLL;
	else if (slice_is(name, "renews"))
		err = str_copy_slice(p->renews, sizeof(p->renews), value);
	else if (slice_is(name, "server"))
		err = str_copy_slice(p->server, sizeof(p->server), value);
	else if (slice_is(name, "since"))
		err = str_int(value, 1, INT64_MAX, &p->since_s);
	else if (slice_is(name, "retry"))
		err = str_int(value, 0, INT64_MAX, &p->retry_s);
	else if (slice_is(name, "csr") &&
	    (err = str_unbase64(value, csr, sizeof(csr), &n)) == 0)
		err = buf_add(&p->csr, csr, n);
	return err;
}

int
pending_read(struct pending *p, const char *path)
{
	struct slice rest, line;
	struct buf b;
	int err;

	pending_clear(p);
	buf_init_secret(&b, (size_t)CSR_MAX * 4);
	if ((err = file_read(path, &b)) != 0)
		goto out;
	rest = (struct slice){ buf_str(&b), b.n };
	err = E_PARSE;
	if (!slice_line(&rest, &line) || !slice_is(line, head))
		goto out;
	while (rest.n > 0 && rest.p[0] != '-' && slice_line(&rest, &line))
		if ((err = line_read(p, line)) != 0)
			goto out;
	err = E_PARSE;
	if (rest.n > 0 && p->csr.n > 0 && p->since_s > 0)
		err = buf_add(&p->key, rest.p, rest.n);
out:
	buf_clear(&b);
	if (err != 0)
		pending_clear(p);
	return err;
}

void
keep_free(struct keep *k)
{
	if (k == NULL)
		return;
	buf_clear(&k->data);
	free(k);
}

int
keep_job(void *arg)
{
	struct keep *k = arg;
	int err = 0;

	if (k->dir[0] != '\0')
		err = file_mkdirs(k->dir, 0700);
	if (err == 0 && k->path[0] != '\0')
		err = file_write_quiet(
		    k->path, k->data.p, k->data.n, 0600, &k->unsynced);
	/* After the certificate: a cut between the two leaves a request that
	 * is for another one than is there, which is then dropped. */
	if (err == 0 && k->drop[0] != '\0' && unlink(k->drop) != 0 &&
	    errno != ENOENT)
		err = errno;
	return err;
}

int64_t
enroll_delay_us(unsigned int n, int64_t left_s, uint32_t dice)
{
	/* A minute, doubled up to an hour: a CA that is down for a day is
	 * asked some 30 times.  A certificate of minutes cannot wait that
	 * long: at least four attempts fit in what is left of it, but never
	 * more than one in 5 s, which a fleet could bring a CA down with. */
	enum { FIRST_S = 60, MOST_S = 3600, LEAST_S = 5 };
	int64_t s = n > 6 ? MOST_S : (int64_t)FIRST_S << (n > 0 ? n - 1 : 0);

	if (s > MOST_S)
		s = MOST_S;
	if (left_s > 0 && s > left_s / 4)
		s = left_s / 4;
	if (s < LEAST_S)
		s = LEAST_S;
	/* Devices that failed together do not come back together. */
	return s * 500000 + (int64_t)(dice % 1000) * s * 500;
}
