/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_TESTS_TEST_SIP_TORTURE_H
#define BELLBIRD_TESTS_TEST_SIP_TORTURE_H

/* Reads tests/data/torture.txt: what hurts SIP programs, and what each message
 * must bring about; and a bare client to say it over TCP.  Include after
 * test_sip.h. */

struct torture {
	char name[64], udp[32], stream[32];
	const char *text; /* borrowed: the lines of the file */
	size_t n;
};

/* Copies a word of a title, without the spaces around it. */
static UNUSED void
word_copy(char *dst, size_t size, struct slice s)
{
	assert_int_equal(str_copy_slice(dst, size, slice_trim(s)), 0);
}

/* Takes the next record off `*rest`; false at the end. */
static UNUSED bool
torture_next(struct slice *rest, struct torture *t)
{
	struct slice line, part;
	const char *end;

	do {
		if (!slice_line(rest, &line))
			return false;
	} while (line.n < 2 || line.p[0] != '=');
	line = (struct slice){ line.p + 1, line.n - 1 };
	assert_true(slice_cut(line, '|', &part, &line));
	word_copy(t->name, sizeof(t->name), part);
	assert_true(slice_cut(line, '|', &part, &line)); /* where */
	assert_true(slice_cut(line, '|', &part, &line));
	word_copy(t->udp, sizeof(t->udp), part);
	assert_true(slice_cut(line, '|', &part, &line));
	word_copy(t->stream, sizeof(t->stream), part);
	t->text = rest->p;
	end = memmem(rest->p, rest->n, "\n= ", 3);
	t->n = end != NULL ? (size_t)(end - rest->p) + 1 : rest->n;
	rest->p += t->n;
	rest->n -= t->n;
	return true;
}

/* One of {PORT}, {HOST}, {ID}, {*5:abc}, {0D} at `s`; how much of it that
 * was, or 0 for anything else. */
static UNUSED size_t
torture_expand(struct buf *b, struct slice s, uint16_t port, unsigned int id)
{
	const char *end = memchr(s.p, '}', s.n);
	struct slice in, count, what;
	uint8_t byte;
	int64_t times;
	size_t n;

	if (end == NULL)
		return 0;
	in = (struct slice){ s.p + 1, (size_t)(end - s.p) - 1 };
	if (slice_is(in, "PORT"))
		assert_int_equal(buf_printf(b, "%u", port), 0);
	else if (slice_is(in, "ID"))
		assert_int_equal(buf_printf(b, "%u", id), 0);
	else if (slice_is(in, "HOST"))
		assert_int_equal(buf_puts(b, "127.0.0.1"), 0);
	else if (in.n > 2 && in.p[0] == '*') {
		in = (struct slice){ in.p + 1, in.n - 1 };
		assert_true(slice_cut(in, ':', &count, &what));
		assert_int_equal(str_int(count, 1, 99999, &times), 0);
		while (times-- > 0)
			assert_int_equal(buf_add(b, what.p, what.n), 0);
	} else if (in.n == 2 && str_unhex(in, &byte, 1, &n) == 0)
		assert_int_equal(buf_add(b, &byte, 1), 0);
	else
		return 0;
	return (size_t)(end - s.p) + 1;
}

/* The bytes of a message; buf_clear() it. */
static UNUSED void
torture_bytes(
    struct buf *b, const struct torture *t, uint16_t port, unsigned int id)
{
	size_t used;

	buf_init(b, 4 * SIPC_MSG_MAX);
	for (size_t i = 0; i < t->n; i++) {
		struct slice s = { t->text + i, t->n - i };

		if (*s.p == '{' && (used = torture_expand(b, s, port, id)) > 0)
			i += used - 1;
		else if (*s.p == '\n')
			assert_int_equal(buf_puts(b, "\r\n"), 0);
		else
			assert_int_equal(buf_add(b, s.p, 1), 0);
	}
}

/* ---- a bare stream client ---- */

struct client {
	struct tls_conn *c;
	struct addr at;
	struct buf got;
	bool up, closed;
};

static UNUSED void
on_client(struct tls_conn *c, enum tls_event ev, int err, void *arg)
{
	struct client *cl = arg;
	struct slice in;

	(void)err;
	if (ev == TLS_EV_UP)
		cl->up = true;
	if (ev == TLS_EV_DATA) {
		in = tls_conn_peek(c);
		assert_int_equal(buf_add(&cl->got, in.p, in.n), 0);
		tls_conn_drain(c, in.n);
	}
	if (ev == TLS_EV_CLOSED) {
		cl->closed = true;
		cl->c = NULL;
	}
}

static UNUSED void
client_open(struct client *cl, struct world *w, uint16_t port)
{
	struct tls_conn_conf cc = { .host = "x", .cb = on_client, .arg = cl };

	memset(cl, 0, sizeof(*cl));
	buf_init(&cl->got, 1 << 20);
	assert_int_equal(
	    addr_parse(&cc.remote, slice_of("127.0.0.1"), port), 0);
	assert_int_equal(tls_conn_connect(&cl->c, w->tls, &cc), 0);
	pass(w, 10);
	assert_true(cl->up);
	tls_conn_local(cl->c, &cl->at);
}

static UNUSED void
client_close(struct client *cl, struct world *w)
{
	tls_conn_free(cl->c);
	buf_clear(&cl->got);
	pass(w, 10);
}

/* Sends `b` in pieces of `step` bytes, as long as somebody listens. */
static UNUSED void
client_says(
    struct client *cl, struct world *w, const struct buf *b, size_t step)
{
	for (size_t at = 0; at < b->n && cl->c != NULL; at += step) {
		size_t n = b->n - at < step ? b->n - at : step;

		if (tls_conn_write(cl->c, b->p + at, n) != 0)
			return;
		if (step < b->n)
			pass(w, 1);
	}
	pass(w, 10);
}

#endif
