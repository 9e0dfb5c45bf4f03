/* SPDX-License-Identifier: ISC */
/* A client and a listener in one loop, in fake time over loopback, with the
 * certificates for what holds and what does not.  Include after cmocka.h. */
#ifndef BELLBIRD_TESTS_TEST_TLS_CONN_H
#define BELLBIRD_TESTS_TEST_TLS_CONN_H

#include <poll.h>
#include <sys/socket.h>

#include "test_tls.h"

#define FAKE_WALL 1800000000 /* 2027 */
#define HOUR_S    3600

/* One end: its environment, its connection, what it heard. */
struct end {
	struct tls_env *env;
	struct tls_policy policy;
	struct tls_conn *c;   /* NULL before and after */
	struct tls_verdict v; /* the last that was told */
	size_t told, ups, drains;
	size_t waiting; /* output that had not left at TLS_EV_UP */
	struct buf in;
	bool over;
	int err;
	enum tls_event free_on; /* a callback that frees, if `frees` */
	bool frees;
};

static struct loop *loop;
static struct tls_listen *listener;
static struct end srv, cli;
static struct addr where;
static UNUSED const char *offer = "sip"; /* what the client's ALPN lists */

static UNUSED void
drop_line(enum log_level lv, enum log_cat cat, uint64_t id, const char *line,
    void *arg)
{
	(void)lv;
	(void)cat;
	(void)id;
	(void)line;
	(void)arg;
}

/* ---- certificates: once for all tests ---- */

/* A folder with a device certificate. */
static UNUSED void
device(const char *name, const char *ca_name, const struct tls_mint *m)
{
	char file[64];

	folder(name);
	(void)snprintf(file, sizeof(file), "%s/device.pem", name);
	mint_as(*m, ca_name, file);
}

static UNUSED int
group_setup(void **state)
{
	static const int64_t now = FAKE_WALL;
	struct tls_mint s = { .kind = TLS_MINT_SERVER,
		.cn = "localhost",
		.sans = "DNS:localhost,DNS:second.example,IP:127.0.0.1" };
	struct tls_mint d = { .kind = TLS_MINT_DEVICE, .cn = MAC };

	(void)state;
	scratch_open();
	clock_fake(FAKE_WALL);
	ca("ca", "Test CA");
	ca("other", "Other CA");
	sub_ca("ca", "sub", "Test Issuer");
	folder("trusted");
	JOIN("trusted/ca.pem", "ca/ca.pem");
	folder("empty");
	mint_as(s, "ca", "server.pem");
	mint_as(s, "sub", "chain.pem");
	mint_as(s, "other", "foreign.pem");
	mint_as(s, NULL, "self.pem");
	device("id", "ca", &d);
	device("foreign-id", "other", &d);
	s.not_before_s = d.not_before_s = now - 2 * DAY_S;
	s.not_after_s = d.not_after_s = now - DAY_S;
	mint_as(s, "ca", "expired.pem");
	device("expired-id", "ca", &d);
	s.not_after_s = d.not_after_s = now + HOUR_S;
	mint_as(s, "ca", "short.pem");
	device("short-id", "ca", &d);
	s.not_before_s = now + DAY_S;
	s.not_after_s = now + 2 * DAY_S;
	mint_as(s, "ca", "early.pem");
	d = (struct tls_mint){
		.kind = TLS_MINT_SERVER, .cn = MAC, .sans = "DNS:a.example"
	};
	device("server-id", "ca", &d);
	return 0;
}

static UNUSED int
group_teardown(void **state)
{
	(void)state;
	clock_real();
	scratch_close();
	return 0;
}

/* ---- both ends ---- */

static UNUSED void
on_verdict(const struct tls_verdict *v, void *arg)
{
	struct end *e = arg;

	e->v = *v;
	e->told++;
}

static UNUSED void
on_conn(struct tls_conn *c, enum tls_event ev, int err, void *arg)
{
	struct end *e = arg;
	struct slice s;

	assert_false(e->over); /* nothing follows the end */
	if (ev == TLS_EV_UP) {
		e->ups++;
		e->waiting = tls_conn_unsent(c);
	} else if (ev == TLS_EV_DRAINED) {
		e->drains++;
	} else if (ev == TLS_EV_DATA) {
		s = tls_conn_peek(c);
		assert_true(s.n > 0);
		assert_int_equal(buf_add(&e->in, s.p, s.n), 0);
		tls_conn_drain(c, s.n);
	} else {
		e->over = true;
		e->err = err;
		e->c = NULL;
	}
	if (e->frees && e->free_on == ev) {
		e->c = NULL;
		e->over = true;
		tls_conn_free(c);
	}
}

static UNUSED void
on_accept(struct tls_conn *c, void *arg)
{
	struct end *e = arg;

	e->c = c;
	e->ups++;
	tls_conn_set_cb(c, on_conn, e);
	if (e->frees && e->free_on == TLS_EV_UP) {
		e->c = NULL;
		e->over = true;
		tls_conn_free(c);
	}
}

static UNUSED void
end_open(struct end *e, const char *trusted, const char *id, const char *server)
{
	struct tls_env_conf c = { .builtin_file = "",
		.trusted_dir = at(trusted),
		.identity_dir = at(id),
		.server_file = server != NULL ? at(server) : NULL };

	memset(e, 0, sizeof(*e));
	buf_init(&e->in, (size_t)1 << 22);
	assert_int_equal(tls_env_new(&e->env, loop, &c), 0);
	tls_env_on_verdict(e->env, on_verdict, e);
}

/* Forgets what an end heard, for the next connection. */
static UNUSED void
end_reset(struct end *e)
{
	if (e->c != NULL)
		tls_conn_free(e->c);
	e->c = NULL;
	memset(&e->v, 0, sizeof(e->v));
	e->told = e->ups = e->drains = 0;
	e->over = e->frees = false;
	e->err = 0;
	buf_reset(&e->in);
}

static UNUSED void
policies(const char *name, bool demand)
{
	struct tls_settings s;

	settings(&s, TLS_USE_SIP);
	decide(&cli.policy, TLS_USE_SIP, TLS_CLIENT, name, &s);
	s.require_client = demand;
	decide(&srv.policy, TLS_USE_SIP, TLS_SERVER, NULL, &s);
}

static UNUSED void
world_open(const char *server, const char *id)
{
	clock_fake(FAKE_WALL);
	assert_int_equal(loop_new(&loop), 0);
	listener = NULL;
	log_set_sink(drop_line, NULL);
	end_open(&srv, "trusted", "empty", server);
	end_open(&cli, "trusted", id, NULL);
	policies("localhost", false);
}

static UNUSED void
world_close(void)
{
	tls_listen_close(listener);
	end_reset(&srv);
	end_reset(&cli);
	tls_env_free(srv.env);
	tls_env_free(cli.env);
	buf_clear(&srv.in);
	buf_clear(&cli.in);
	loop_free(loop);
	log_set_sink(NULL, NULL);
}

/* Listens with the server's policy; NULL: clear. */
static UNUSED void
serve(const struct tls_policy *policy)
{
	struct tls_listen_conf c = {
		.policy = policy, .cb = on_accept, .arg = &srv
	};

	assert_int_equal(addr_parse(&c.local, slice_of("127.0.0.1"), 0), 0);
	assert_int_equal(tls_listen_open(&listener, srv.env, &c), 0);
	tls_listen_local(listener, &where);
}

static UNUSED void
dial(const struct tls_policy *policy)
{
	struct tls_conn_conf c = { .policy = policy,
		.remote = where,
		.host = "localhost",
		.dns_us = -1,
		.alpn = offer,
		.cb = on_conn,
		.arg = &cli };

	assert_int_equal(tls_conn_connect(&cli.c, cli.env, &c), 0);
}

/* Lets the sockets work, without time passing, until `done`. */
static UNUSED void
settle(bool (*done)(void))
{
	for (int i = 0; i < 5000; i++) {
		if (done())
			return;
		loop_fake_run(loop, 0);
		if (i > 20) /* the kernel needs a moment */
			(void)poll(NULL, 0, 1);
	}
	fail_msg("nothing came: client told=%zu over=%d, server told=%zu",
	    cli.told, cli.over, srv.told);
}

static UNUSED bool
both_up(void)
{
	assert_false(cli.over);
	return cli.ups > 0 && srv.ups > 0;
}

static UNUSED bool
both_told(void)
{
	return cli.over && srv.told > 0;
}

static UNUSED bool
cli_over(void)
{
	return cli.over;
}

static UNUSED bool
srv_over(void)
{
	return srv.over;
}

static UNUSED bool
srv_told(void)
{
	return srv.told > 0;
}

static size_t want_cli, want_srv;

static UNUSED bool
has_come(void)
{
	return cli.in.n >= want_cli && srv.in.n >= want_srv;
}

static UNUSED void
say(struct end *e, const char *text)
{
	assert_int_equal(tls_conn_write(e->c, text, strlen(text)), 0);
}

/* A whole connection with a word each way. */
static UNUSED void
talk(void)
{
	end_reset(&cli);
	end_reset(&srv);
	dial(&cli.policy);
	settle(both_up);
	say(&cli, "ping");
	say(&srv, "pong!");
	want_cli = 5;
	want_srv = 4;
	settle(has_come);
	assert_string_equal(buf_str(&srv.in), "ping");
	assert_string_equal(buf_str(&cli.in), "pong!");
}

#endif
