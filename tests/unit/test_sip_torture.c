/* SPDX-License-Identifier: ISC */
/* RFC 4475, RFC 5118 and their like: every message of tests/data/torture.txt
 * gets what it must, over UDP and over TCP, all at once and byte by byte; and
 * after each the endpoint still answers. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <ctype.h>

#include "bellbird/file.h"
#include "test_sip.h"
#include "test_sip_torture.h"

struct fix {
	struct world w;
	struct sip_stack *s;
	uint16_t udp, tcp;
	struct sip_call *calls[8];
	struct buf text; /* the file */
	unsigned int id;
};

static void
on_call_event(const struct sip_call_info *info, void *arg)
{
	(void)info;
	(void)arg;
}

/* Every call is answered, so that its dialog is made, too. */
static void
on_call(struct sip_call *call, void *arg)
{
	struct fix *f = arg;

	for (size_t i = 0; i < sizeof(f->calls) / sizeof(f->calls[0]); i++) {
		if (f->calls[i] != NULL)
			continue;
		sip_call_own(call, &f->calls[i], on_call_event, f);
		assert_int_equal(
		    sip_call_answer(call, 200, NULL, slice_of("v=0\r\n")), 0);
		return;
	}
}

static void
fix_open(struct fix *f)
{
	struct sip_stack_conf c = {
		.on_call = on_call, .max_calls = 8, .arg = f
	};

	memset(f, 0, sizeof(*f));
	world_open(&f->w);
	c.loop = f->w.loop;
	c.tls = f->w.tls;
	c.dns = f->w.dns;
	assert_int_equal(sip_stack_new(&f->s, &c), 0);
	f->udp = listen_on(f->s, SIPC_UDP, NULL);
	f->tcp = listen_on(f->s, SIPC_TCP, NULL);
	allow(f->s, "127.0.0.1");
	buf_init(&f->text, 1 << 20);
	assert_int_equal(file_read(TESTDATA "/torture.txt", &f->text), 0);
}

static void
fix_close(struct fix *f)
{
	sip_stack_free(f->s);
	world_close(&f->w);
	buf_clear(&f->text);
}

/* Frees the calls a message has brought. */
static void
calls_end(struct fix *f)
{
	for (size_t i = 0; i < sizeof(f->calls) / sizeof(f->calls[0]); i++)
		sip_call_free(&f->calls[i]);
}

/* Is the code of an answer among those wanted? */
static bool
code_fits(const char *want, int code)
{
	static const int sound[] = { 200, 480, 486, 488, 603 };
	struct slice rest = slice_of(want), one;

	while (sip_list_next(&rest, &one)) {
		if (slice_is(one, "pass")) {
			for (size_t i = 0; i < 5; i++) {
				if (code == sound[i])
					return true;
			}
		}
		if (strtol(one.p, NULL, 10) == code)
			return true;
	}
	return false;
}

/* The value of the first field of that name, in text that may hold NUL. */
static struct slice
field_of(struct slice msg, const char *name)
{
	struct slice line, key, value;

	while (slice_line(&msg, &line) && line.n > 0) {
		if (slice_cut(line, ':', &key, &value) &&
		    slice_case_is(slice_trim(key), name))
			return slice_trim(value);
	}
	return (struct slice){ NULL, 0 };
}

/* RFC 3261 8.2.6.2: what the request said comes back, byte by byte. */
static void
echo_is_exact(const char *name, struct slice req, struct slice rsp)
{
	static const char *const names[] = { "From", "To", "Call-ID", "CSeq" };

	for (size_t i = 0; i < 4; i++) {
		struct slice a = field_of(req, names[i]);
		struct slice b = field_of(rsp, names[i]);

		/* what follows was folded */
		if (b.n < a.n || (a.n > 0 && memcmp(a.p, b.p, a.n) != 0))
			fail_msg("%s: %s came back as " SLICE_FMT, name,
			    names[i], SLICE_ARG(b));
	}
}

/* Judges what came back; `closed`: the connection ended. */
static void
judge(const char *name, const char *want, struct slice req, struct slice got,
    bool closed)
{
	bool close_due = strstr(want, "close") != NULL;
	char first[16] = "";
	int code = 0;

	/* 1xx come first */
	while (got.n > 12 && got.p[8] == '1') {
		const char *end = memmem(got.p, got.n, "\r\n\r\n", 4);

		assert_non_null(end);
		got.n -= (size_t)(end + 4 - got.p);
		got.p = end + 4;
	}
	if (got.n > 12) {
		memcpy(first, got.p, 12);
		code = (int)strtol(first + 8, NULL, 10);
	}
	if (closed != close_due)
		fail_msg("%s: the connection is %s", name,
		    closed ? "closed" : "open");
	if (strcmp(want, "none") == 0 || strcmp(want, "wait") == 0 ||
	    strcmp(want, "close") == 0) {
		if (code != 0)
			fail_msg("%s: answered with %d", name, code);
		return;
	}
	if (!code_fits(want, code))
		fail_msg("%s: answered with %d, not %s: " SLICE_FMT, name, code,
		    want, SLICE_ARG(got));
	echo_is_exact(name, req, got);
}

/* After all that, OPTIONS is answered. */
static void
options_are_answered(struct fix *f, const char *name)
{
	char id[24], *req;
	struct peer p;

	peer_open(&p, &f->w, "127.0.0.1");
	(void)snprintf(id, sizeof(id), "after%u", ++f->id);
	req = peer_request(&p, "OPTIONS", id, id, "", "");
	peer_says(&p, f->udp, req);
	pass(&f->w, 10);
	if (p.n != 1 || strncmp(p.msg[0], "SIP/2.0 200 ", 12) != 0)
		fail_msg("%s: no OPTIONS after it", name);
	free(req);
	peer_close(&p);
}

static void
udp_gets_what_the_rfc_says(void **state)
{
	struct slice rest;
	struct torture t;
	struct buf b;
	struct fix f;
	struct peer p;
	struct addr to;
	unsigned int n = 0;

	(void)state;
	fix_open(&f);
	assert_int_equal(addr_parse(&to, slice_of("127.0.0.1"), f.udp), 0);
	rest = slice_of(buf_str(&f.text));
	for (; torture_next(&rest, &t); n++) {
		peer_open(&p, &f.w, "127.0.0.1");
		torture_bytes(&b, &t, addr_port(&p.at), ++f.id);
		assert_int_equal(udp_send(p.u, b.p, b.n, &to), 0);
		pass(&f.w, 10);
		/* strings would end at NUL: take what was heard as bytes */
		struct slice got = { NULL, 0 };
		size_t i = 0;

		while (i < p.n && strncmp(p.msg[i], "SIP/2.0 1", 9) == 0)
			i++;
		if (i < p.n)
			got = (struct slice){ p.msg[i], p.len[i] };
		judge(t.name, t.udp, (struct slice){ (char *)b.p, b.n }, got,
		    false);
		buf_clear(&b);
		calls_end(&f);
		peer_close(&p);
		options_are_answered(&f, t.name);
	}
	assert_true(n > 90); /* the file was read */
	fix_close(&f);
}

/* All messages, in pieces of `step` bytes; what is told before the end of the
 * connection comes 2 s before it. */
static void
stream_run(size_t step, size_t longest)
{
	struct slice rest;
	struct torture t;
	struct client cl;
	struct buf b;
	struct fix f;

	fix_open(&f);
	rest = slice_of(buf_str(&f.text));
	while (torture_next(&rest, &t)) {
		client_open(&cl, &f.w, f.tcp);
		torture_bytes(&b, &t, addr_port(&cl.at), ++f.id);
		if (b.n <= longest) {
			client_says(&cl, &f.w, &b, step);
			if (strstr(t.stream, "close") != NULL)
				pass(&f.w, 2500);
			judge(t.name, t.stream,
			    (struct slice){ (char *)b.p, b.n },
			    (struct slice){ buf_str(&cl.got), cl.got.n },
			    cl.closed);
		}
		buf_clear(&b);
		calls_end(&f);
		client_close(&cl, &f.w);
		options_are_answered(&f, t.name);
	}
	assert_true(LIST_EMPTY(&f.s->parts));
	fix_close(&f);
}

static void
tcp_gets_what_the_rfc_says(void **state)
{
	(void)state;
	stream_run(1 << 20, 1 << 20);
}

static void
byte_by_byte_it_is_the_same(void **state)
{
	(void)state;
	stream_run(1, 1500);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(udp_gets_what_the_rfc_says),
		cmocka_unit_test(tcp_gets_what_the_rfc_says),
		cmocka_unit_test(byte_by_byte_it_is_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
