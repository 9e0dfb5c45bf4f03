/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_TESTS_TEST_SIP_H
#define BELLBIRD_TESTS_TEST_SIP_H

/* What the tests of sipcore share: a loop in fake time, stacks on loopback,
 * and a bare UDP peer that keeps what it hears.  Include after cmocka.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellbird/clock.h"
#include "bellbird/log.h"

#include "../../sipcore/internal.h"

#define UNUSED    __attribute__((unused))
#define FAKE_WALL 1800000000 /* 2027 */

struct world {
	struct loop *loop;
	struct tls_env *tls;
	struct dns *dns;
};

/* A clock that stands still, a loop, no trust anchors. */
static UNUSED void
world_open(struct world *w)
{
	struct tls_env_conf c = { .builtin_file = "" };

	log_set_level(LOGL_ERR);
	clock_fake(FAKE_WALL);
	assert_int_equal(loop_new(&w->loop), 0);
	assert_int_equal(tls_env_new(&w->tls, w->loop, &c), 0);
	assert_int_equal(dns_new(&w->dns, w->loop, NULL), 0);
}

static UNUSED void
world_close(struct world *w)
{
	dns_free(w->dns);
	tls_env_free(w->tls);
	loop_free(w->loop);
	clock_real();
}

/* Lets `ms` of fake time pass. */
static UNUSED void
pass(struct world *w, int64_t ms)
{
	loop_fake_run(w->loop, ms * 1000);
}

/* A port of a listener. */
static UNUSED void
port_take(enum sip_transport t, const struct addr *local, void *arg)
{
	uint16_t *ports = arg;

	if (ports[t] == 0) /* the newest comes first */
		ports[t] = addr_port(local);
}

/* Opens a listener on loopback and returns its port. */
static UNUSED uint16_t
listen_on(
    struct sip_stack *s, enum sip_transport t, const struct tls_policy *policy)
{
	uint16_t ports[SIPC_TRANSPORTS] = { 0 };
	struct addr local;

	assert_int_equal(addr_parse(&local, slice_of("127.0.0.1"), 0), 0);
	assert_int_equal(sip_stack_listen(s, t, &local, policy), 0);
	sip_stack_each_listener(s, port_take, ports);
	assert_int_not_equal(ports[t], 0);
	return ports[t];
}

/* Opens sip.allow. */
static UNUSED void
allow(struct sip_stack *s, const char *list)
{
	char why[200] = "";

	if (sip_stack_set_allow(s, list, why, sizeof(why)) != 0)
		fail_msg("%s", why);
}

/* ---- a bare UDP peer ---- */

enum { HEARD_MAX = 64 };

struct peer {
	struct udp *u;
	struct addr at;
	size_t n;
	char *msg[HEARD_MAX];
	size_t len[HEARD_MAX];
	int64_t ms[HEARD_MAX]; /* since peer_open() */
	int64_t start_us;
};

static UNUSED void
peer_hears(
    struct udp *u, uint8_t *p, size_t n, const struct addr *from, void *arg)
{
	struct peer *pe = arg;

	(void)u;
	(void)from;
	assert_true(pe->n < HEARD_MAX);
	pe->msg[pe->n] = malloc(n + 1);
	memcpy(pe->msg[pe->n], p, n);
	pe->msg[pe->n][n] = '\0';
	pe->len[pe->n] = n;
	pe->ms[pe->n++] = (clock_mono_us() - pe->start_us) / 1000;
}

static UNUSED void
peer_open(struct peer *p, struct world *w, const char *ip)
{
	struct addr local;

	memset(p, 0, sizeof(*p));
	assert_int_equal(addr_parse(&local, slice_of(ip), 0), 0);
	assert_int_equal(udp_open(&p->u, w->loop, &local, 0, peer_hears, p), 0);
	udp_local(p->u, &p->at);
	p->start_us = clock_mono_us();
}

static UNUSED void
peer_forget(struct peer *p)
{
	while (p->n > 0)
		free(p->msg[--p->n]);
}

static UNUSED void
peer_close(struct peer *p)
{
	peer_forget(p);
	udp_free(p->u);
}

/* Sends text to a port of loopback. */
static UNUSED void
peer_says(struct peer *p, uint16_t port, const char *text)
{
	struct addr to;

	assert_int_equal(addr_parse(&to, slice_of("127.0.0.1"), port), 0);
	assert_int_equal(udp_send(p->u, text, strlen(text), &to), 0);
}

/* The first line of the `i`-th message heard is that. */
static UNUSED void
heard(const struct peer *p, size_t i, const char *start)
{
	if (i >= p->n)
		fail_msg("nothing heard at %zu; wanted %s", i, start);
	if (strncmp(p->msg[i], start, strlen(start)) != 0)
		fail_msg("at %zu heard %.200s; wanted %s", i, p->msg[i], start);
}

/* Answers a request that was heard: Via, From, To, Call-ID, CSeq go back; with
 * SDP unless that is NULL. */
static UNUSED void
peer_answers_sdp(struct peer *p, uint16_t port, const char *req, int code,
    const char *tag, const char *more, const char *sdp)
{
	struct sip_msg *m;
	struct sip_rsp rsp = { .code = code,
		.to_tag = tag,
		.headers = more,
		.type = "application/sdp",
		.body = slice_of(sdp != NULL ? sdp : "") };
	struct addr to;
	struct buf b;

	assert_int_equal(addr_parse(&to, slice_of("127.0.0.1"), port), 0);
	assert_int_equal(sip_msg_parse(&m, slice_of(req)), 0);
	rsp.from = &to;
	buf_init(&b, SIPC_MSG_MAX);
	sip_write_response(&b, m, &rsp);
	assert_int_equal(b.err, 0);
	peer_says(p, port, buf_str(&b));
	buf_clear(&b);
	sip_msg_free(m);
}

static UNUSED void
peer_answers(struct peer *p, uint16_t port, const char *req, int code,
    const char *tag, const char *more)
{
	peer_answers_sdp(p, port, req, code, tag, more, NULL);
}

/* Composes a request from this peer. */
static UNUSED char *
peer_request(const struct peer *p, const char *method, const char *branch,
    const char *call_id, const char *to_tag, const char *more)
{
	char at[ADDR_STR_MAX];
	struct buf b;

	addr_print(&p->at, at);
	buf_init(&b, SIPC_MSG_MAX);
	assert_int_equal(
	    buf_printf(&b,
		"%s sip:x@127.0.0.1 SIP/2.0\r\n"
		"Via: SIP/2.0/UDP %s;branch=z9hG4bK%s\r\n"
		"From: <sip:p@127.0.0.1>;tag=pt\r\nTo: "
		"<sip:x@127.0.0.1>%s%s\r\n"
		"Call-ID: %s\r\nCSeq: %d %s\r\nMax-Forwards: 70\r\n"
		"Contact: <sip:p@%s>\r\n%s%s",
		method, at, branch, to_tag[0] != '\0' ? ";tag=" : "", to_tag,
		call_id, strcmp(method, "BYE") == 0 ? 2 : 1, method, at, more,
		strstr(more, "\r\n\r\n") == NULL ? "Content-Length: 0\r\n\r\n"
						 : ""),
	    0);
	return buf_take(&b);
}

/* The tag of To in a message. */
static UNUSED void
to_tag_of(const char *msg, char *out, size_t size)
{
	struct sip_msg *m;

	assert_int_equal(sip_msg_parse(&m, slice_of(msg)), 0);
	assert_int_equal(str_copy_slice(out, size, m->to_tag), 0);
	sip_msg_free(m);
}

#endif
