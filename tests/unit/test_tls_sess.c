/* SPDX-License-Identifier: ISC */
/* Resumption: what it keeps, and that it is no way around any rule; and how
 * records are kept. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "test_tls_conn.h"

static void
resumption_keeps_the_verdict(void **state)
{
	static const uint16_t max[] = { TLS_V13, TLS_V12 };
	const struct tls_verdict *r;
	struct tls_verdict first;
	char cn[64];

	(void)state;
	for (size_t i = 0; i < LEN(max); i++) {
		print_message("%s\n", tls_version_name(max[i]));
		world_open("server.pem", "id");
		policies("localhost", true);
		cli.policy.max = max[i];
		serve(&srv.policy);
		talk();
		first = *tls_conn_verdict(cli.c);
		assert_false(first.resumed);
		for (int again = 0; again < 2; again++) {
			talk();
			r = tls_conn_verdict(cli.c);
			assert_true(r->resumed && r->ok && r->peer_verified);
			assert_string_equal(r->matched, first.matched);
			assert_string_equal(r->anchor_set, first.anchor_set);
			assert_memory_equal(
			    r->sent, first.sent, sizeof(r->sent));
			assert_memory_equal(
			    r->built, first.built, sizeof(r->built));
			assert_int_equal(r->shown, TLS_ID_FACTORY);
			assert_string_equal(
			    r->shown_subject, first.shown_subject);
			r = tls_conn_verdict(srv.c);
			assert_true(r->resumed && r->ok && r->peer_verified);
			assert_int_equal(
			    tls_conn_peer_cn(srv.c, cn, sizeof(cn)), 0);
			assert_string_equal(cn, MAC);
		}
		world_close();
	}
}

static void
nothing_is_resumed_under_another_policy(void **state)
{
	static const char *const what[] = { "nothing", "name", "identity",
		"trust", "strength", "cn", "version", "reload", "profile",
		"who may choose the identity" };
	uint16_t max;

	(void)state;
	for (size_t i = 0; i < 2 * LEN(what); i++) {
		max = i < LEN(what) ? TLS_V13 : TLS_V12;
		print_message(
		    "%s: %s\n", tls_version_name(max), what[i % LEN(what)]);
		world_open("server.pem", "id");
		cli.policy.max = max;
		serve(&srv.policy);
		talk();
		switch (i % LEN(what)) {
		case 1:
			policies("second.example", false);
			cli.policy.max = max;
			break;
		case 2:
			cli.policy.identity = TLS_ID_NONE;
			break;
		case 3:
			cli.policy.trust |= TLS_TRUST_BUILTIN;
			break;
		case 4:
			cli.policy.allow = TLS_ALLOW_SHA1;
			break;
		case 5:
			cli.policy.cn = true;
			break;
		case 6:
			/* Another range that ends at the same version. */
			cli.policy.min = max == TLS_V13 ? TLS_V13 : TLS_V11;
			break;
		case 7:
			tls_env_reload(cli.env);
			break;
		case 8:
			cli.policy.profile = TLS_PROFILE_MODERN;
			break;
		case 9:
			cli.policy.identity_auto = false;
			break;
		default:
			break;
		}
		talk();
		assert_int_equal(
		    tls_conn_verdict(cli.c)->resumed, i % LEN(what) == 0);
		world_close();
	}
}

/* A session is no way around the end of a certificate: both sides judge it
 * again. */
static void
what_expired_meanwhile_is_not_resumed(void **state)
{
	static const struct {
		const char *why, *server, *id;
		uint16_t max;
		const char *cclass, *sclass;
	} v[] = {
		{ "the server's, TLS 1.3", "short.pem", "id", TLS_V13,
		    "cert.expired", "hs.refused" },
		{ "the server's, TLS 1.2", "short.pem", "id", TLS_V12,
		    "cert.expired", "hs.refused" },
		{ "the client's, TLS 1.3", "server.pem", "short-id", TLS_V13,
		    "mtls.rejected_expired", "cert.expired" },
		{ "the client's, TLS 1.2", "server.pem", "short-id", TLS_V12,
		    "mtls.rejected_expired", "cert.expired" },
	};

	(void)state;
	for (size_t i = 0; i < LEN(v); i++) {
		print_message("%s\n", v[i].why);
		world_open(v[i].server, v[i].id);
		policies("localhost", true);
		cli.policy.max = v[i].max;
		serve(&srv.policy);
		talk();
		talk();
		assert_true(tls_conn_verdict(srv.c)->resumed);
		end_reset(&cli);
		end_reset(&srv);
		loop_fake_run(loop, (int64_t)(HOUR_S + 60) * 1000000);
		dial(&cli.policy);
		settle(both_told);
		assert_string_equal(cli.v.class, v[i].cclass);
		assert_string_equal(srv.v.class, v[i].sclass);
		assert_int_equal(srv.ups, 0);
		world_close();
	}
}

/* The server does not trust the client's CA any more. */
static void
a_ticket_does_not_outlive_the_servers_trust(void **state)
{
	static const uint16_t max[] = { TLS_V13, TLS_V12 };

	(void)state;
	for (size_t i = 0; i < LEN(max); i++) {
		world_open("server.pem", "id");
		policies("localhost", true);
		cli.policy.max = max[i];
		serve(&srv.policy);
		talk();
		JOIN("trusted/ca.pem", "other/ca.pem");
		tls_env_reload(srv.env);
		JOIN("trusted/ca.pem", "ca/ca.pem");
		end_reset(&cli);
		end_reset(&srv);
		dial(&cli.policy);
		settle(both_told);
		assert_string_equal(srv.v.class, "cert.unknown_root");
		assert_string_equal(cli.v.class, "mtls.rejected_ca");
		assert_int_equal(srv.ups, 0);
		world_close();
	}
}

/* Packing is exact, whatever lies where. */
static void
records_are_packed_without_loss(void **state)
{
	/* Gaps and texts around the word size and the longest gap kept. */
	static const size_t runs[] = { 0, 1, 4, 5, 6, 7, 8, 9, 15, 16, 17, 64,
		65535, 65536, 65543 };
	static uint8_t in[1 << 18], out[1 << 18];
	uint8_t *p;
	size_t at_in, n;

	(void)state;
	for (size_t z = 0; z < LEN(runs); z++) {
		for (size_t t = 0; t < LEN(runs); t++) {
			memset(in, 0, sizeof(in));
			at_in = runs[z];
			memset(in + at_in, 'x', runs[t]);
			at_in += runs[t] + runs[z];
			in[at_in++] = 1;
			assert_int_equal(tls_pack(in, at_in, &p, &n), 0);
			memset(out, 0xff, sizeof(out));
			assert_int_equal(tls_unpack(p, n, out, at_in), 0);
			assert_memory_equal(in, out, at_in);
			assert_true(n <= runs[t] + 1 + 40);
			free(p);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(resumption_keeps_the_verdict),
		cmocka_unit_test(nothing_is_resumed_under_another_policy),
		cmocka_unit_test(what_expired_meanwhile_is_not_resumed),
		cmocka_unit_test(a_ticket_does_not_outlive_the_servers_trust),
		cmocka_unit_test(records_are_packed_without_loss),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
