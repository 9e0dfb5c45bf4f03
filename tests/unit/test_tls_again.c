/* SPDX-License-Identifier: ISC */
/* Live connections are judged again when trust or the clock change. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "test_tls_conn.h"

static const uint16_t versions[] = { TLS_V13, TLS_V12 };

/* A connection with a word each way, made in full or resumed. */
static void
live(const char *server, const char *id, bool demand, size_t i)
{
	world_open(server, id);
	policies("localhost", demand);
	cli.policy.max = versions[i % 2];
	serve(&srv.policy);
	talk();
	if (i / 2 == 1)
		talk();
	assert_int_equal(tls_conn_verdict(cli.c)->resumed, i / 2 == 1);
}

/* Goes on for a while; nothing may end. */
static void
goes_on(void)
{
	for (int i = 0; i < 50; i++)
		loop_fake_run(loop, 0);
	assert_false(cli.over || srv.over);
	want_cli = cli.in.n + 4;
	want_srv = srv.in.n + 4;
	say(&cli, "more");
	say(&srv, "more");
	settle(has_come);
}

static void
an_anchor_that_went_ends_the_connection(void **state)
{
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		live("server.pem", "id", true, i);
		tls_env_reload(cli.env);
		tls_env_reload(srv.env);
		goes_on(); /* nothing has changed */
		JOIN("trusted/ca.pem", "other/ca.pem");
		tls_env_reload(cli.env);
		JOIN("trusted/ca.pem", "ca/ca.pem");
		assert_false(cli.over); /* from the loop, not from here */
		settle(cli_over);
		settle(srv_over);
		assert_int_equal(cli.err, E_TLS_CERT);
		assert_string_equal(cli.v.class, "cert.unknown_root");
		assert_false(cli.v.ok || cli.v.peer_verified);
		assert_int_not_equal(srv.err, 0); /* an alert */
		world_close();
	}
}

static void
what_has_expired_when_the_clock_is_set(void **state)
{
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		live("short.pem", "id", true, i);
		tls_env_rejudge(cli.env);
		goes_on();
		loop_fake_run(loop, (int64_t)(HOUR_S + 60) * 1000000);
		tls_env_rejudge(cli.env);
		settle(cli_over);
		assert_string_equal(cli.v.class, "cert.expired");
		world_close();
	}
}

static void
a_listener_judges_its_clients_again(void **state)
{
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		live("server.pem", "id", true, i);
		JOIN("trusted/ca.pem", "other/ca.pem");
		tls_env_reload(srv.env);
		JOIN("trusted/ca.pem", "ca/ca.pem");
		settle(srv_over);
		assert_string_equal(srv.v.class, "cert.unknown_root");
		world_close();
	}
}

/* Asked, not demanded: the connection stays, without the identity. */
static void
a_client_that_was_asked_loses_its_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		live("server.pem", "id", false, i);
		assert_true(tls_conn_peer_has_name(srv.c, MAC));
		JOIN("trusted/ca.pem", "other/ca.pem");
		tls_env_reload(srv.env);
		JOIN("trusted/ca.pem", "ca/ca.pem");
		goes_on();
		assert_false(tls_conn_peer_has_name(srv.c, MAC));
		assert_false(srv.v.peer_verified); /* it was told */
		world_close();
	}
}

/* Nothing is verified: nothing ends, whatever is trusted. */
static void
verify_off_stays_up(void **state)
{
	struct tls_settings s;

	(void)state;
	world_open("server.pem", "id");
	settings(&s, TLS_USE_SIP);
	s.verify = false;
	decide(&cli.policy, TLS_USE_SIP, TLS_CLIENT, "localhost", &s);
	serve(&srv.policy);
	talk();
	JOIN("trusted/ca.pem", "other/ca.pem");
	tls_env_reload(cli.env);
	JOIN("trusted/ca.pem", "ca/ca.pem");
	goes_on();
	world_close();
}

/* Freed, or still shaking hands, when its turn comes. */
static void
no_turn_for_what_is_gone_or_not_up(void **state)
{
	(void)state;
	live("server.pem", "id", true, 0);
	tls_env_rejudge(cli.env);
	end_reset(&cli);
	settle(srv_over);
	end_reset(&srv);
	dial(&cli.policy);
	tls_env_rejudge(cli.env);
	tls_env_rejudge(srv.env);
	settle(both_up);
	world_close();
}

static unsigned int judged;

/* Asked for each peer that is judged: the first time, trust changes just then,
 * as if the peer had taken its time with the rest of the handshake. */
static void
on_clock(struct tls_clock *out, void *arg)
{
	(void)out;
	if (judged++ == 0)
		((struct end *)arg)->env->rejudged++;
}

static void
who_was_judged_before_the_change_is_judged_after(void **state)
{
	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct end *e = i / 2 == 0 ? &cli : &srv;

		world_open("server.pem", "id");
		policies("localhost", true);
		cli.policy.max = versions[i % 2];
		serve(&srv.policy);
		judged = 0;
		tls_env_on_clock(e->env, on_clock, e);
		talk();
		assert_int_equal(judged, 2);
		talk(); /* resumed, with nothing changed: no more than once */
		assert_int_equal(judged, 3);
		world_close();
	}
}

static void
on_good_clock(struct tls_clock *out, void *arg)
{
	(void)arg;
	out->trusted = true;
}

/* Our own: refused at load once it has certainly ended, with the reason. */
static void
an_identity_that_has_ended_is_not_shown(void **state)
{
	(void)state;
	world_open("server.pem", "expired-id");
	/* The clock may be wrong, and the floor is before its end. */
	assert_true(tls_env_has_identity(cli.env, TLS_ID_FACTORY));
	tls_env_on_clock(cli.env, on_good_clock, NULL);
	for (int i = 0; i < 2; i++) {
		assert_false(tls_env_has_identity(cli.env, TLS_ID_FACTORY));
		assert_non_null(
		    strstr(tls_env_identity_error(cli.env, TLS_ID_FACTORY),
			"[cert.expired]"));
		tls_env_reload(cli.env);
	}
	policies("localhost", false);
	serve(&srv.policy);
	talk();
	assert_int_equal(tls_conn_verdict(cli.c)->shown, TLS_ID_NONE);
	world_close();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_anchor_that_went_ends_the_connection),
		cmocka_unit_test(what_has_expired_when_the_clock_is_set),
		cmocka_unit_test(a_listener_judges_its_clients_again),
		cmocka_unit_test(a_client_that_was_asked_loses_its_name),
		cmocka_unit_test(verify_off_stays_up),
		cmocka_unit_test(no_turn_for_what_is_gone_or_not_up),
		cmocka_unit_test(an_identity_that_has_ended_is_not_shown),
		cmocka_unit_test(
		    who_was_judged_before_the_change_is_judged_after),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
