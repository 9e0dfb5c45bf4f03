/* SPDX-License-Identifier: ISC */
/* Client and listener in one loop: what holds, what fails and how each side
 * explains it, deadlines, limits.  Time is fake, sockets are real. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/wait.h>

#include <event2/bufferevent.h>

#include "test_tls_conn.h"

/* ---- what holds ---- */

static void
the_record_tells_what_was_seen(void **state)
{
	static const struct {
		const char *why, *name, *server;
		uint16_t max;
		bool demand;
		const char *matched;
		size_t num_built;
	} v[] = {
		{ "TLS 1.3, mutual", "localhost", "server.pem", TLS_V13, true,
		    "DNS:localhost", 2 },
		{ "TLS 1.2, mutual", "localhost", "server.pem", TLS_V12, true,
		    "DNS:localhost", 2 },
		{ "an address", "127.0.0.1", "server.pem", TLS_V13, true,
		    "IP:127.0.0.1", 2 },
		{ "an intermediate", "second.example", "chain.pem", TLS_V13,
		    true, "DNS:second.example", 3 },
		{ "asked, not demanded", "localhost", "server.pem", TLS_V13,
		    false, "DNS:localhost", 2 },
	};
	const struct tls_verdict *r;
	char cn[64];

	(void)state;
	for (size_t i = 0; i < LEN(v); i++) {
		print_message("%s\n", v[i].why);
		world_open(v[i].server, "id");
		policies(v[i].name, v[i].demand);
		cli.policy.max = v[i].max;
		serve(&srv.policy);
		talk();
		r = tls_conn_verdict(cli.c);
		assert_true(r->ok && r->confirmed && r->peer_verified);
		assert_false(r->resumed || r->clear);
		assert_int_equal(r->version, v[i].max);
		assert_int_equal(r->phase, TLS_PH_UP);
		assert_string_equal(r->class, "");
		assert_string_equal(r->alpn, "sip");
		assert_string_equal(r->group, "X25519");
		assert_non_null(strstr(r->cipher, "GCM"));
		assert_string_equal(r->matched, v[i].matched);
		assert_string_equal(r->anchor_set, "trusted");
		assert_int_equal(r->num_sans, 3);
		assert_int_equal(r->num_sent, v[i].num_built - 1);
		assert_int_equal(r->num_built, v[i].num_built);
		assert_true(r->client_asked);
		assert_int_equal(r->shown, TLS_ID_FACTORY);
		assert_non_null(strstr(r->shown_subject, MAC));
		assert_int_equal(r->alert_rx, -1);
		assert_int_equal(r->alert_tx, -1);
		assert_true(r->tcp_us >= 0 && r->tls_us >= 0);
		assert_string_equal(r->host, "localhost");
		assert_int_equal(addr_port(&r->remote), addr_port(&where));
		r = tls_conn_verdict(srv.c);
		assert_true(r->ok && r->confirmed && r->peer_verified);
		assert_int_equal(r->num_built, 2);
		assert_string_equal(r->alpn, "sip");
		assert_int_equal(tls_conn_peer_cn(srv.c, cn, sizeof(cn)), 0);
		assert_string_equal(cn, MAC);
		assert_int_equal(cli.told, 1);
		assert_int_equal(srv.told, 1);
		world_close();
	}
}

/* Until a byte of the server came, it may still refuse us (TLS 1.3). */
static void
a_client_is_on_probation_until_a_byte_comes(void **state)
{
	(void)state;
	world_open("server.pem", "id");
	policies("localhost", true);
	serve(&srv.policy);
	dial(&cli.policy);
	settle(both_up);
	assert_int_equal(tls_conn_verdict(cli.c)->phase, TLS_PH_PROBATION);
	assert_false(tls_conn_verdict(cli.c)->confirmed);
	say(&srv, "x");
	want_cli = 1;
	want_srv = 0;
	settle(has_come);
	assert_int_equal(tls_conn_verdict(cli.c)->phase, TLS_PH_UP);
	assert_true(tls_conn_verdict(cli.c)->confirmed);
	world_close();
}

static void
clear_tcp_has_the_same_face(void **state)
{
	char cn[64];

	(void)state;
	world_open("server.pem", "id");
	serve(NULL);
	end_reset(&cli);
	dial(NULL);
	say(&cli, "early "); /* before it is connected */
	settle(both_up);
	say(&cli, "word");
	say(&srv, "back");
	want_cli = 4;
	want_srv = 10;
	settle(has_come);
	assert_string_equal(buf_str(&srv.in), "early word");
	assert_false(tls_conn_is_tls(cli.c));
	assert_true(tls_conn_verdict(cli.c)->clear);
	assert_int_equal(tls_conn_peer_cn(srv.c, cn, sizeof(cn)), E_TLS_CERT);
	tls_conn_shutdown(srv.c);
	settle(cli_over);
	assert_int_equal(cli.err, 0);
	world_close();
}

/* One write a flight: what the owner says when he hears that the connection is
 * up leaves with the client's last flight, and that leaves without a word. */
static void
the_first_word_leaves_with_the_last_flight(void **state)
{
	(void)state;
	world_open("server.pem", "id");
	serve(&srv.policy);
	dial(&cli.policy);
	settle(both_up);
	assert_true(cli.waiting > 0);
	assert_int_equal(tls_conn_unsent(cli.c), 0);
	world_close();
}

static void
what_is_queued_leaves_before_the_end(void **state)
{
	(void)state;
	world_open("server.pem", "id");
	serve(&srv.policy);
	dial(&cli.policy);
	say(&cli, "early ");
	settle(both_up);
	say(&cli, "last");
	tls_conn_shutdown(cli.c);
	assert_int_equal(tls_conn_write(cli.c, "x", 1), E_CLOSED);
	settle(srv_over);
	assert_string_equal(buf_str(&srv.in), "early last");
	assert_int_equal(srv.err, 0); /* close_notify came */
	settle(cli_over);
	assert_int_equal(cli.err, 0);
	world_close();
}

/* A peer that goes without a word after our good-bye is no fault. */
static void
a_good_bye_needs_no_answer(void **state)
{
	(void)state;
	world_open("server.pem", "id");
	serve(&srv.policy);
	talk();
	tls_conn_shutdown(cli.c);
	assert_int_equal(shutdown(bufferevent_getfd(srv.c->bev), SHUT_RDWR), 0);
	settle(cli_over);
	assert_int_equal(cli.err, 0);
	assert_int_equal(cli.told, 1); /* no second word about it */
	world_close();
}

/* Without our good-bye it is: what came may have been cut. */
static void
an_end_without_good_bye_is_told(void **state)
{
	(void)state;
	world_open("server.pem", "id");
	serve(&srv.policy);
	talk();
	assert_int_equal(shutdown(bufferevent_getfd(srv.c->bev), SHUT_RDWR), 0);
	settle(cli_over);
	assert_int_equal(cli.err, E_CLOSED);
	world_close();
}

/* RFC 8446 6.1: the client says good-bye and stays to hear the answer. */
static void
a_good_bye_is_answered(void **state)
{
	(void)state;
	world_open("server.pem", "id");
	serve(&srv.policy);
	talk();
	assert_true(SSL_shutdown(cli.c->ssl) >= 0);
	tls_hs_flush(cli.c);
	settle(cli_over);
	assert_int_equal(cli.err, 0);
	assert_int_equal(srv.err, 0);
	world_close();
}

/* A peer that does not read is noticed before memory is full. */
static void
output_that_nobody_reads_is_bounded(void **state)
{
	static char block[65536];
	size_t sent = 0;
	int err;

	(void)state;
	world_open("server.pem", "id");
	serve(&srv.policy);
	dial(&cli.policy);
	settle(both_up);
	tls_conn_read_pause(srv.c, true);
	memset(block, 'z', sizeof(block));
	/* Kernel buffers take some megabytes at most. */
	for (err = 0; err == 0 && sent < (size_t)1 << 26;) {
		err = tls_conn_write(cli.c, block, sizeof(block));
		sent += err == 0 ? sizeof(block) : 0;
		loop_fake_run(loop, 0);
	}
	assert_int_equal(err, E_LIMIT);
	assert_true(tls_conn_unsent(cli.c) <= 256 * 1024 + 8192);
	buf_clear(&srv.in);
	buf_init(&srv.in, (size_t)1 << 27);
	assert_int_equal(cli.drains, 0);
	tls_conn_read_pause(srv.c, false);
	want_srv = sent;
	want_cli = 0;
	settle(has_come);
	assert_int_equal(srv.in.n, sent);
	assert_true(cli.drains > 0);
	assert_int_equal(tls_conn_unsent(cli.c), 0);
	world_close();
}

static void
every_callback_may_free_its_connection(void **state)
{
	static const enum tls_event ev[] = { TLS_EV_UP, TLS_EV_DATA,
		TLS_EV_CLOSED };

	(void)state;
	for (size_t i = 0; i < 2 * LEN(ev); i++) {
		struct end *a = i < LEN(ev) ? &cli : &srv;
		struct end *b = i < LEN(ev) ? &srv : &cli;

		world_open("server.pem", "id");
		serve(&srv.policy);
		a->frees = true;
		a->free_on = ev[i % LEN(ev)];
		dial(&cli.policy);
		if (a->free_on != TLS_EV_UP) {
			settle(both_up);
			say(b, "x");
			if (a->free_on == TLS_EV_CLOSED)
				tls_conn_shutdown(b->c);
		}
		settle(a == &cli ? cli_over : srv_over);
		loop_fake_run(loop, 1000);
		world_close();
	}
}

/* The order in which a program tears down is not the connections' concern. */
static void
environments_take_their_connections_along(void **state)
{
	(void)state;
	world_open("server.pem", "id");
	serve(&srv.policy);
	dial(&cli.policy);
	settle(both_up);
	cli.c = srv.c = NULL; /* the environments free them */
	world_close();
	world_open("server.pem", "id");
	serve(&srv.policy);
	dial(&cli.policy);
	loop_fake_run(loop, 0); /* somewhere in the handshake */
	cli.c = NULL;
	world_close();
}

static void
on_free_env(struct tls_conn *c, enum tls_event ev, int err, void *arg)
{
	struct end *e = arg;

	(void)c;
	(void)ev;
	(void)err;
	tls_env_free(e->env);
	_exit(0); /* not reached */
}

/* It would go on for ever: the connection stays until its callback is done. */
static void
an_environment_is_not_freed_from_a_callback(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	world_open("server.pem", "id");
	serve(&srv.policy);
	talk();
	if ((pid = fork()) == 0) {
		(void)close(STDERR_FILENO); /* the assertion's words */
		(void)signal(SIGABRT, SIG_DFL);
		(void)alarm(5); /* if it does */
		tls_conn_set_cb(cli.c, on_free_env, &cli);
		say(&srv, "x");
		for (;;)
			loop_fake_run(loop, 0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	world_close();
}

/* ---- what fails ---- */

struct failure {
	const char *why, *server, *id, *name;
	uint16_t cmin, cmax, smin, smax; /* 0: the default */
	bool demand;
	const char *cclass, *sclass; /* the verdict of each side */
	int alert;                   /* that crossed the wire */
	int err;                     /* what the client is told */
};

static void
fail_one(const struct failure *f)
{
	world_open(f->server, f->id);
	policies(f->name, f->demand);
	if (f->cmin != 0)
		cli.policy.min = f->cmin;
	if (f->cmax != 0)
		cli.policy.max = f->cmax;
	if (f->smin != 0)
		srv.policy.min = f->smin;
	if (f->smax != 0)
		srv.policy.max = f->smax;
	serve(&srv.policy);
	dial(&cli.policy);
	settle(both_told);
	assert_string_equal(cli.v.class, f->cclass);
	assert_string_equal(srv.v.class, f->sclass);
	assert_false(cli.v.ok || srv.v.ok);
	assert_int_equal(cli.err, f->err);
	assert_int_equal(cli.v.err, f->err);
	assert_int_equal(srv.ups, 0); /* nobody was handed over */
	/* One side sent the alert, the other heard it. */
	assert_true(cli.v.alert_tx == f->alert || cli.v.alert_rx == f->alert);
	if (cli.v.alert_tx == f->alert)
		assert_int_equal(srv.v.alert_rx, f->alert);
	else
		assert_int_equal(srv.v.alert_tx, f->alert);
	assert_non_null(strstr(cli.v.text, f->cclass));
	assert_non_null(strstr(cli.v.text, "The server localhost"));
	assert_non_null(strstr(srv.v.text, "The client 127.0.0.1"));
	world_close();
}

static void
a_server_that_does_not_hold_is_refused(void **state)
{
	static const struct failure v[] = {
		{ "a CA nobody knows", "foreign.pem", "id", "localhost", 0, 0,
		    0, 0, false, "cert.unknown_root", "hs.refused", 48,
		    E_TLS_CERT },
		{ "signed by itself", "self.pem", "id", "localhost", 0, 0, 0, 0,
		    false, "cert.self_signed", "hs.refused", 48, E_TLS_CERT },
		{ "expired", "expired.pem", "id", "localhost", 0, 0, 0, 0,
		    false, "cert.expired", "hs.refused", 45, E_TLS_CERT },
		{ "expired, TLS 1.2", "expired.pem", "id", "localhost", 0,
		    TLS_V12, 0, 0, false, "cert.expired", "hs.refused", 45,
		    E_TLS_CERT },
		{ "not valid yet", "early.pem", "id", "localhost", 0, 0, 0, 0,
		    false, "cert.not_yet_valid", "hs.refused", 45, E_TLS_CERT },
		{ "another name", "server.pem", "id", "third.example", 0, 0, 0,
		    0, false, "cert.name_mismatch", "hs.refused", 42,
		    E_TLS_CERT },
		{ "another address", "server.pem", "id", "127.0.0.2", 0, 0, 0,
		    0, false, "cert.ip_mismatch", "hs.refused", 42,
		    E_TLS_CERT },
		{ "the client wants 1.3", "server.pem", "id", "localhost",
		    TLS_V13, 0, 0, TLS_V12, false, "hs.version", "hs.version",
		    70, E_TLS_HANDSHAKE },
		{ "the server wants 1.3", "server.pem", "id", "localhost", 0,
		    TLS_V12, TLS_V13, 0, false, "hs.version", "hs.version", 70,
		    E_TLS_HANDSHAKE },
	};

	(void)state;
	for (size_t i = 0; i < LEN(v); i++) {
		print_message("%s\n", v[i].why);
		fail_one(&v[i]);
	}
}

static void
a_client_that_does_not_hold_hears_why(void **state)
{
	static const struct failure v[] = {
		{ "nothing to show", "server.pem", "empty", "localhost", 0, 0,
		    0, 0, true, "mtls.required_none", "mtls.required_none", 116,
		    E_TLS_PEER_REFUSED },
		{ "nothing to show, TLS 1.2", "server.pem", "empty",
		    "localhost", 0, TLS_V12, 0, 0, true, "mtls.required_none",
		    "mtls.required_none", 40, E_TLS_PEER_REFUSED },
		{ "a CA the server does not know", "server.pem", "foreign-id",
		    "localhost", 0, 0, 0, 0, true, "mtls.rejected_ca",
		    "cert.unknown_root", 48, E_TLS_PEER_REFUSED },
		{ "the same, TLS 1.2", "server.pem", "foreign-id", "localhost",
		    0, TLS_V12, 0, 0, true, "mtls.rejected_ca",
		    "cert.unknown_root", 48, E_TLS_PEER_REFUSED },
		{ "expired", "server.pem", "expired-id", "localhost", 0, 0, 0,
		    0, true, "mtls.rejected_expired", "cert.expired", 45,
		    E_TLS_PEER_REFUSED },
		{ "made for servers", "server.pem", "server-id", "localhost", 0,
		    0, 0, 0, true, "mtls.rejected_eku", "cert.eku", 43,
		    E_TLS_PEER_REFUSED },
	};

	(void)state;
	for (size_t i = 0; i < LEN(v); i++) {
		print_message("%s\n", v[i].why);
		fail_one(&v[i]);
	}
}

/* Where no certificate is demanded a bad one is worth nothing. */
static void
an_optional_certificate_that_does_not_hold_is_nobody(void **state)
{
	static const struct {
		const char *id, *finding;
	} v[] = { { "foreign-id", "cert.unknown_root" },
		{ "expired-id", "cert.expired" }, { "empty", NULL } };
	const struct tls_verdict *r;
	char cn[64];

	(void)state;
	for (size_t i = 0; i < LEN(v); i++) {
		print_message("%s\n", v[i].id);
		world_open("server.pem", v[i].id);
		serve(&srv.policy);
		talk();
		r = tls_conn_verdict(srv.c);
		assert_true(r->ok);
		assert_false(r->peer_verified);
		assert_int_equal(r->num_findings, v[i].finding != NULL);
		if (v[i].finding != NULL)
			assert_string_equal(r->findings[0], v[i].finding);
		assert_int_equal(
		    tls_conn_peer_cn(srv.c, cn, sizeof(cn)), E_TLS_CERT);
		world_close();
	}
}

static const uint8_t curl_alpn[] = "\x02h2\x08http/1.1";

/* RFC 7301 3.2: who offers protocols speaks one of ours, or is refused. */
static void
a_protocol_is_agreed_on_or_not_asked_for(void **state)
{
	static const struct {
		const char *why;
		enum tls_use use;
		const char *offer; /* NULL: none */
		const char *got;   /* NULL: refused */
	} v[] = {
		{ "SIP as it is registered", TLS_USE_SIP, "sip/2", "sip/2" },
		{ "SIP as it is seen", TLS_USE_SIP, "sip", "sip" },
		{ "nothing offered to SIP", TLS_USE_SIP, NULL, "" },
		{ "HTTP at a SIP port", TLS_USE_SIP, "http/1.1", NULL },
		{ "a part of a name", TLS_USE_SIP, "si", NULL },
		{ "curl's offer at a SIP port", TLS_USE_SIP, "curl", NULL },
		{ "HTTP", TLS_USE_WEB, "http/1.1", "http/1.1" },
		{ "curl", TLS_USE_WEB, "curl", "http/1.1" },
		{ "nothing offered to HTTP", TLS_USE_WEB, NULL, "" },
		{ "HTTP/2 alone", TLS_USE_WEB, "h2", NULL },
		{ "SIP at an HTTP port", TLS_USE_WEB, "sip", NULL },
	};
	static const uint16_t max[] = { TLS_V13, TLS_V12 };

	(void)state;
	for (size_t i = 0; i < 2 * LEN(v); i++) {
		size_t k = i % LEN(v);
		bool curl =
		    v[k].offer != NULL && strcmp(v[k].offer, "curl") == 0;

		print_message(
		    "%s, %s\n", v[k].why, tls_version_name(max[i / LEN(v)]));
		world_open("server.pem", "id");
		cli.policy.max = max[i / LEN(v)];
		srv.policy.use = v[k].use;
		serve(&srv.policy);
		offer = v[k].offer;
		dial(&cli.policy);
		offer = "sip";
		if (curl)
			assert_int_equal(SSL_set_alpn_protos(cli.c->ssl,
					     curl_alpn, sizeof(curl_alpn) - 1),
			    0);
		if (v[k].got != NULL) {
			settle(both_up);
			assert_string_equal(
			    tls_conn_verdict(srv.c)->alpn, v[k].got);
			assert_string_equal(
			    tls_conn_verdict(cli.c)->alpn, v[k].got);
		} else {
			settle(both_told);
			assert_string_equal(srv.v.class, "hs.alpn");
			assert_string_equal(cli.v.class, "hs.alpn");
			assert_int_equal(cli.v.alert_rx, 120);
		}
		world_close();
	}
}

/* A peer that knows no better hash than SHA-1 gets no signature of ours, but
 * where old versions are allowed, which know nothing else. */
static void
nothing_is_signed_with_sha1(void **state)
{
	static const uint16_t sha1[] = { SSL_SIGN_ECDSA_SHA1,
		SSL_SIGN_RSA_PKCS1_SHA1 };
	static const struct {
		const char *why;
		bool legacy;
	} v[] = { { "TLS 1.2 is the least", false },
		{ "TLS 1.0 is allowed", true } };

	(void)state;
	for (size_t i = 0; i < LEN(v); i++) {
		print_message("%s\n", v[i].why);
		world_open("server.pem", "id");
		cli.policy.max = TLS_V12;
		if (v[i].legacy) {
			srv.policy.min = TLS_V10;
			srv.policy.profile = TLS_PROFILE_LEGACY;
		}
		serve(&srv.policy);
		dial(&cli.policy);
		assert_int_equal(
		    SSL_set_verify_algorithm_prefs(cli.c->ssl, sha1, LEN(sha1)),
		    1);
		settle(v[i].legacy ? both_up : both_told);
		if (v[i].legacy) {
			assert_string_equal(
			    tls_conn_verdict(cli.c)->sigalg, "ecdsa_sha1");
		} else {
			assert_string_equal(srv.v.class, "hs.no_common");
			assert_string_equal(cli.v.class, "hs.no_common");
		}
		world_close();
	}
}

/* ---- peers that speak no TLS, or stop ---- */

enum ending { STAYS, SHUTS, RESETS };

/* A bare server: what it says, how it ends. */
struct bare {
	struct io io, hello;
	int fd, conn;
	const char *say;
	size_t n;
	enum ending ending;
};

static void
fd_end(int *fd, enum ending how)
{
	struct linger l = { 1, 0 };

	if (how == SHUTS) {
		assert_int_equal(shutdown(*fd, SHUT_WR), 0);
	} else if (how == RESETS) {
		assert_int_equal(
		    setsockopt(*fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)), 0);
		close(*fd);
		*fd = -1;
	}
}

/* The hello is there: answers, and ends. */
static void
on_hello(int fd, int what, void *arg)
{
	struct bare *b = arg;

	(void)what;
	io_stop(&b->hello);
	assert_int_equal(send(fd, b->say, b->n, MSG_NOSIGNAL), b->n);
	fd_end(&b->conn, b->ending);
}

static void
on_bare(int fd, int what, void *arg)
{
	struct bare *b = arg;

	(void)what;
	b->conn = accept(fd, NULL, NULL);
	assert_true(b->conn >= 0);
	assert_int_equal(
	    io_start(&b->hello, loop, b->conn, IO_READ, on_hello, b), 0);
}

static void
bare_open(struct bare *b, bool listens)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);

	assert_int_equal(addr_parse(&where, slice_of("127.0.0.1"), 0), 0);
	b->conn = -1;
	b->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(b->fd, &where.u.sa, addr_len(&where)), 0);
	assert_int_equal(getsockname(b->fd, (struct sockaddr *)&ss, &n), 0);
	assert_int_equal(
	    addr_from_sockaddr(&where, (struct sockaddr *)&ss, n), 0);
	if (!listens)
		return;
	assert_int_equal(listen(b->fd, 4), 0);
	assert_int_equal(io_start(&b->io, loop, b->fd, IO_READ, on_bare, b), 0);
}

static void
bare_close(struct bare *b)
{
	io_stop(&b->io);
	io_stop(&b->hello);
	close(b->fd);
	if (b->conn >= 0)
		close(b->conn);
}

#define BYTES(s) (s), sizeof(s) - 1

/* The one-line form says where it ended. */
static void
line_says(const char *place)
{
	char line[512];

	tls_verdict_line(&cli.v, line, sizeof(line));
	if (strstr(line, place) == NULL)
		fail_msg("%s", line);
}

static void
a_server_that_speaks_no_tls_is_explained(void **state)
{
	static const struct {
		const char *why, *say;
		size_t n;
		enum ending ending;
		const char *class, *word;
		int err;
	} v[] = {
		{ "clear SIP", BYTES("SIP/2.0 400 Bad Request\r\n\r\n"), STAYS,
		    "hs.plaintext", "SIP/2.0 400 Bad Request",
		    E_TLS_HANDSHAKE },
		{ "clear HTTP, then the end", BYTES("HTTP/1.1 400 Bad\r\n\r\n"),
		    SHUTS, "hs.plaintext", "HTTP/1.1 400 Bad",
		    E_TLS_HANDSHAKE },
		{ "bytes for a terminal", BYTES("\x1b[2J\xff\xfe\r\n"), STAYS,
		    "hs.plaintext", "\\x1b[2J\\xff", E_TLS_HANDSHAKE },
		{ "a record of nonsense",
		    BYTES("\x16\x03\x03\x00\x04\xff\xff\xff\xff"), STAYS,
		    "hs.protocol", "broke the TLS protocol", E_TLS_HANDSHAKE },
		{ "data before the handshake", BYTES("\x17\x03\x03\x00\x01x"),
		    STAYS, "hs.protocol", "broke the TLS protocol",
		    E_TLS_HANDSHAKE },
		{ "alert 40", BYTES("\x15\x03\x01\x00\x02\x02\x28"), SHUTS,
		    "hs.no_common", "alert 40", E_TLS_HANDSHAKE },
		{ "alert 70", BYTES("\x15\x03\x01\x00\x02\x02\x46"), SHUTS,
		    "hs.version", "alert 70", E_TLS_HANDSHAKE },
		{ "alert 112", BYTES("\x15\x03\x01\x00\x02\x02\x70"), SHUTS,
		    "hs.sni", "localhost", E_TLS_HANDSHAKE },
		{ "alert 80", BYTES("\x15\x03\x01\x00\x02\x02\x50"), SHUTS,
		    "hs.refused", "internal_error", E_TLS_PEER_REFUSED },
		{ "the end without a word", BYTES(""), SHUTS,
		    "tcp.closed_in_hs", "without a word", E_CLOSED },
		{ "the end in a record", BYTES("\x16\x03\x03"), SHUTS,
		    "tcp.closed_in_hs", "closed the connection", E_CLOSED },
		{ "a reset", BYTES(""), RESETS, "tcp.reset_in_hs",
		    "cut the connection", ECONNRESET },
	};
	struct bare b;

	(void)state;
	for (size_t i = 0; i < LEN(v); i++) {
		print_message("%s\n", v[i].why);
		world_open("server.pem", "id");
		b = (struct bare){
			.say = v[i].say, .n = v[i].n, .ending = v[i].ending
		};
		bare_open(&b, true);
		dial(&cli.policy);
		settle(cli_over);
		assert_string_equal(cli.v.class, v[i].class);
		if (strstr(cli.v.text, v[i].word) == NULL)
			fail_msg("%s", cli.v.text);
		assert_int_equal(cli.err, v[i].err);
		assert_int_equal(cli.told, 1);
		line_says("failed in handshake: ");
		if (strcmp(v[i].class, "hs.plaintext") == 0) {
			assert_true(cli.v.num_first_bytes >= 5);
			assert_memory_equal(cli.v.first_bytes, v[i].say, 5);
		}
		bare_close(&b);
		world_close();
	}
}

static void
a_port_where_nothing_listens_is_told_from_the_loop(void **state)
{
	struct bare b = { .say = "" };

	(void)state;
	world_open("server.pem", "id");
	bare_open(&b, false);
	dial(&cli.policy);
	assert_false(cli.over); /* never inside the call */
	settle(cli_over);
	assert_string_equal(cli.v.class, "tcp.refused");
	assert_int_equal(cli.err, ECONNREFUSED);
	assert_int_equal(cli.v.tls_us, -1);
	line_says("failed in connect: ");
	bare_close(&b);
	world_close();
}

/* A bare client at the listener. */
static int
bare_client(const char *text, size_t n)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, &where.u.sa, addr_len(&where)), 0);
	assert_int_equal(send(fd, text, n, MSG_NOSIGNAL), n);
	return fd;
}

static void
a_client_that_speaks_no_tls_is_explained(void **state)
{
	static const struct {
		const char *why, *say;
		size_t n;
		enum ending ending;
		const char *class;
	} v[] = {
		{ "clear SIP", BYTES("OPTIONS sip:a SIP/2.0\r\n\r\n"), STAYS,
		    "hs.plaintext" },
		{ "clear HTTP", BYTES("GET / HTTP/1.1\r\n\r\n"), STAYS,
		    "hs.plaintext" },
		{ "a record of nonsense",
		    BYTES("\x16\x03\x01\x00\x04\xff\xff\xff\xff"), STAYS,
		    "hs.protocol" },
		{ "a probe of the port", BYTES(""), SHUTS, "tcp.closed_in_hs" },
		{ "the end in a record", BYTES("\x16\x03\x01"), SHUTS,
		    "tcp.closed_in_hs" },
	};
	int fd;

	(void)state;
	for (size_t i = 0; i < LEN(v); i++) {
		print_message("%s\n", v[i].why);
		world_open("server.pem", "id");
		serve(&srv.policy);
		fd = bare_client(v[i].say, v[i].n);
		fd_end(&fd, v[i].ending);
		settle(srv_told);
		assert_string_equal(srv.v.class, v[i].class);
		assert_non_null(strstr(srv.v.text, "The client 127.0.0.1"));
		assert_int_equal(srv.ups, 0);
		/* And the listener goes on. */
		talk();
		close(fd);
		world_close();
	}
}

/* ---- deadlines ---- */

static bool
bare_has(void)
{
	return tls_conn_verdict(cli.c)->phase == TLS_PH_HANDSHAKE;
}

static void
a_silent_server_is_given_up_in_time(void **state)
{
	struct bare b = { .say = "" };

	(void)state;
	world_open("server.pem", "id");
	bare_open(&b, true);
	dial(&cli.policy);
	settle(bare_has);
	loop_fake_run(loop, 14999000);
	assert_false(cli.over);
	loop_fake_run(loop, 2000);
	assert_true(cli.over);
	assert_string_equal(cli.v.class, "hs.silent");
	assert_int_equal(cli.err, ETIMEDOUT);
	assert_non_null(strstr(cli.v.text, "sent nothing within 15000 ms"));
	bare_close(&b);
	world_close();
}

static bool
srv_accepted(void)
{
	return !LIST_EMPTY(&srv.env->conns);
}

/* The deadline is of the whole handshake: a byte now and then gains nothing. */
static void
a_client_that_drips_is_given_up_in_time(void **state)
{
	static const char hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03"
				    "\x03zzzzzzzzzz";
	int fd;

	(void)state;
	world_open("server.pem", "id");
	serve(&srv.policy);
	fd = bare_client(hello, 1);
	settle(srv_accepted);
	for (size_t i = 1; i < 15; i++) {
		loop_fake_run(loop, 1000000);
		assert_int_equal(srv.told, 0);
		assert_int_equal(send(fd, hello + i, 1, MSG_NOSIGNAL), 1);
	}
	loop_fake_run(loop, 999000);
	assert_int_equal(srv.told, 0);
	loop_fake_run(loop, 2000);
	assert_int_equal(srv.told, 1);
	assert_string_equal(srv.v.class, "hs.silent");
	assert_non_null(strstr(srv.v.text, "did not finish"));
	close(fd);
	world_close();
}

static void
an_established_connection_has_no_deadline(void **state)
{
	(void)state;
	world_open("server.pem", "id");
	serve(&srv.policy);
	talk();
	loop_fake_run(loop, (int64_t)HOUR_S * 1000000);
	assert_false(cli.over || srv.over);
	say(&cli, "!");
	want_srv = 5;
	settle(has_come);
	world_close();
}

/* ---- limits ---- */

static bool
fd_is_closed(int fd)
{
	char c;
	ssize_t n = recv(fd, &c, 1, MSG_DONTWAIT | MSG_PEEK);

	return n == 0 || (n < 0 && errno != EAGAIN);
}

static void
a_listener_turns_away_what_is_too_much(void **state)
{
	struct tls_listen_conf c = {
		.max_conns = 8, .max_per_ip = 3, .cb = on_accept, .arg = &srv
	};
	int fd[5];

	(void)state;
	world_open("server.pem", "id");
	assert_int_equal(addr_parse(&c.local, slice_of("127.0.0.1"), 0), 0);
	assert_int_equal(tls_listen_open(&listener, srv.env, &c), 0);
	tls_listen_local(listener, &where);
	for (size_t i = 0; i < LEN(fd); i++) {
		fd[i] = bare_client(BYTES(""));
		for (int k = 0;
		     k < 1000 && srv.ups <= i && !fd_is_closed(fd[i]); k++) {
			loop_fake_run(loop, 0);
			if (k > 20)
				(void)poll(NULL, 0, 1);
		}
		assert_int_equal(fd_is_closed(fd[i]), i >= 3);
	}
	assert_int_equal(srv.ups, 3);
	for (size_t i = 0; i < LEN(fd); i++)
		close(fd[i]);
	srv.c = NULL; /* three of them: the environment has them all */
	world_close();
}

struct tally {
	size_t n;
	int64_t last_us;
};

static void
on_kept(const struct tls_verdict *v, void *arg)
{
	struct tally *t = arg;

	assert_string_equal(v->class, "tcp.refused");
	assert_true(t->n == 0 || v->wall_us < t->last_us); /* newest first */
	t->last_us = v->wall_us;
	t->n++;
}

static void
the_last_twenty_records_of_a_peer_are_kept(void **state)
{
	struct tally t = { 0 };
	struct bare b = { .say = "" };

	(void)state;
	world_open("server.pem", "id");
	bare_open(&b, false);
	for (int i = 0; i < 23; i++) {
		end_reset(&cli);
		loop_fake_run(loop, 1000);
		dial(&cli.policy);
		settle(cli_over);
	}
	tls_env_each_verdict(cli.env, on_kept, &t);
	assert_int_equal(t.n, 20);
	bare_close(&b);
	world_close();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_record_tells_what_was_seen),
		cmocka_unit_test(a_client_is_on_probation_until_a_byte_comes),
		cmocka_unit_test(clear_tcp_has_the_same_face),
		cmocka_unit_test(the_first_word_leaves_with_the_last_flight),
		cmocka_unit_test(what_is_queued_leaves_before_the_end),
		cmocka_unit_test(a_good_bye_needs_no_answer),
		cmocka_unit_test(an_end_without_good_bye_is_told),
		cmocka_unit_test(a_good_bye_is_answered),
		cmocka_unit_test(output_that_nobody_reads_is_bounded),
		cmocka_unit_test(every_callback_may_free_its_connection),
		cmocka_unit_test(environments_take_their_connections_along),
		cmocka_unit_test(an_environment_is_not_freed_from_a_callback),
		cmocka_unit_test(a_server_that_does_not_hold_is_refused),
		cmocka_unit_test(a_client_that_does_not_hold_hears_why),
		cmocka_unit_test(
		    an_optional_certificate_that_does_not_hold_is_nobody),
		cmocka_unit_test(a_protocol_is_agreed_on_or_not_asked_for),
		cmocka_unit_test(nothing_is_signed_with_sha1),
		cmocka_unit_test(a_server_that_speaks_no_tls_is_explained),
		cmocka_unit_test(
		    a_port_where_nothing_listens_is_told_from_the_loop),
		cmocka_unit_test(a_client_that_speaks_no_tls_is_explained),
		cmocka_unit_test(a_silent_server_is_given_up_in_time),
		cmocka_unit_test(a_client_that_drips_is_given_up_in_time),
		cmocka_unit_test(an_established_connection_has_no_deadline),
		cmocka_unit_test(a_listener_turns_away_what_is_too_much),
		cmocka_unit_test(the_last_twenty_records_of_a_peer_are_kept),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
