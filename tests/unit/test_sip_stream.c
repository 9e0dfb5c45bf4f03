/* SPDX-License-Identifier: ISC */
/* Connections and their limits, in fake time: an error ends that connection
 * only, a message must end within 64 s, line ends may stand anywhere between
 * messages, and who does not read what he asked for is let go. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "test_sip.h"
#include "test_sip_torture.h"

struct fix {
	struct world w;
	struct sip_stack *s;
	uint16_t tcp;
	unsigned int id;
};

static void
fix_open(struct fix *f)
{
	struct sip_stack_conf c = { .arg = f };

	memset(f, 0, sizeof(*f));
	world_open(&f->w);
	c.loop = f->w.loop;
	c.tls = f->w.tls;
	c.dns = f->w.dns;
	assert_int_equal(sip_stack_new(&f->s, &c), 0);
	f->tcp = listen_on(f->s, SIPC_TCP, NULL);
	allow(f->s, "127.0.0.1");
}

static void
fix_close(struct fix *f)
{
	sip_stack_free(f->s);
	world_close(&f->w);
}

/* Sends text. */
static void
says(struct client *cl, struct fix *f, const char *text)
{
	assert_int_equal(tls_conn_write(cl->c, text, strlen(text)), 0);
	pass(&f->w, 10);
}

/* Composes OPTIONS. */
static void
options(struct buf *b, struct fix *f, uint16_t port)
{
	assert_int_equal(
	    buf_printf(b,
		"OPTIONS sip:x@127.0.0.1 SIP/2.0\r\n"
		"Via: SIP/2.0/TCP 127.0.0.1:%u;branch=z9hG4bKs%u\r\n"
		"From: <sip:p@127.0.0.1>;tag=p\r\nTo: <sip:x@127.0.0.1>\r\n"
		"Call-ID: %u\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n"
		"Content-Length: 0\r\n\r\n",
		port, f->id, f->id),
	    0);
	f->id++;
}

/* OPTIONS is answered there. */
static void
works(struct client *cl, struct fix *f)
{
	struct buf b;

	buf_init(&b, 4096);
	options(&b, f, addr_port(&cl->at));
	buf_reset(&cl->got);
	says(cl, f, buf_str(&b));
	if (strncmp(buf_str(&cl->got), "SIP/2.0 200 ", 12) != 0)
		fail_msg("heard %s", buf_str(&cl->got));
	buf_clear(&b);
}

static void
an_error_ends_that_connection_only(void **state)
{
	static const char *const bad[] = { "\x16\x03\x01", "GET / x\r\n\r\n",
		"OPTIONS sip:x SIP/2.0\r\nl: -1\r\n\r\n" };
	struct client a, b;
	struct fix f;

	(void)state;
	fix_open(&f);
	client_open(&a, &f.w, f.tcp);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		client_open(&b, &f.w, f.tcp);
		works(&b, &f);
		says(&b, &f, bad[i]);
		pass(&f.w, 3000);
		assert_true(b.closed);
		client_close(&b, &f.w);
		works(&a, &f);
	}
	assert_false(a.closed);
	client_close(&a, &f.w);
	fix_close(&f);
}

/* A byte a second does not make it longer. */
static void
a_message_ends_within_64_seconds(void **state)
{
	struct client a, b;
	struct fix f;

	(void)state;
	fix_open(&f);
	client_open(&a, &f.w, f.tcp);
	client_open(&b, &f.w, f.tcp);
	works(&a, &f);
	says(&a, &f, "OPTIONS ");
	for (int s = 0; s < 63; s++) {
		pass(&f.w, 990);
		assert_false(a.closed);
		says(&a, &f, "x");
	}
	pass(&f.w, 1500);
	assert_true(a.closed);
	assert_int_equal(f.s->stats.rx_bad, 1);
	/* one that has not begun has time */
	assert_false(b.closed);
	works(&b, &f);
	client_close(&a, &f.w);
	client_close(&b, &f.w);
	fix_close(&f);
}

static void
line_ends_stand_anywhere_between_messages(void **state)
{
	static const char *const some[] = { "\r\n", "\r\n\r\n", "\r", "\n\r\n",
		"\r\n\r\n\r\n\r\n" };
	struct client a;
	struct fix f;

	(void)state;
	fix_open(&f);
	client_open(&a, &f.w, f.tcp);
	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
		/* Half of a ping may stay that for ever. */
		says(&a, &f, some[i]);
		pass(&f.w, 100000);
		assert_false(a.closed);
		if (strcmp(some[i], "\r") != 0)
			works(&a, &f);
	}
	client_close(&a, &f.w);
	fix_close(&f);
}

/* Asks and does not read: the queue has an end, the others do not wait. */
static void
who_does_not_read_is_let_go(void **state)
{
	enum { ROUNDS = 400, A_ROUND = 200 };
	struct client a, b;
	struct fix f;
	struct buf many;
	int n = 0;

	(void)state;
	fix_open(&f);
	client_open(&a, &f.w, f.tcp);
	client_open(&b, &f.w, f.tcp);
	tls_conn_read_pause(a.c, true);
	buf_init(&many, 1 << 20);
	for (int i = 0; i < A_ROUND; i++)
		options(&many, &f, addr_port(&a.at));
	while (!a.closed && f.s->flow_ids.n == 2 && n++ < ROUNDS) {
		if (tls_conn_write(a.c, many.p, many.n) != 0)
			pass(&f.w, 1); /* what was said is not heard yet */
		pass(&f.w, 1);
	}
	if (f.s->flow_ids.n != 1)
		fail_msg("%d rounds, and it is still there", n);
	works(&b, &f);
	buf_clear(&many);
	client_close(&a, &f.w);
	client_close(&b, &f.w);
	fix_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_error_ends_that_connection_only),
		cmocka_unit_test(a_message_ends_within_64_seconds),
		cmocka_unit_test(line_ends_stand_anywhere_between_messages),
		cmocka_unit_test(who_does_not_read_is_let_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
