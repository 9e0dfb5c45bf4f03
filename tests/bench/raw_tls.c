/* SPDX-License-Identifier: ISC */
/*
 * The library alone: handshakes of the same libssl, with the same certificates,
 * versions, ciphers and groups, over a socketpair that blocks; no event loop,
 * no record of what was seen, no policy.
 *
 * What it does is what a handshake cannot go without: X509_verify_cert on the
 * chain with the one CA and the comparison of the name, also when a session is
 * resumed (bellbird always judges again), and for a client certificate where
 * one is demanded.  Each handshake is followed by a byte each way and both
 * good-byes.  -t takes TCP over loopback with a connection for each handshake
 * in place of the socketpair, which shows the kernel's share.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>

#include <openssl/pem.h>
#include <openssl/pool.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "bench.h"

enum { CHAIN_MAX = 6 };

static X509_STORE *anchors;
static const char *expected; /* NULL: the server, which expects no name */
static SSL_SESSION *kept;
static int listening = -1; /* -t */
static int pairs[8192][2]; /* the connections, made before the fork */

/* The chain holds and carries the name. */
static bool
holds(const SSL *ssl)
{
	const STACK_OF(CRYPTO_BUFFER) *bufs = SSL_get0_peer_certificates(ssl);
	STACK_OF(X509) *sent = sk_X509_new_null();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509 *x;
	bool ok;

	for (size_t i = 0; i < sk_CRYPTO_BUFFER_num(bufs); i++) {
		x = X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(bufs, i));
		if (x == NULL || !sk_X509_push(sent, x))
			bench_die("X509_parse_from_buffer");
	}
	ok = sk_X509_num(sent) > 0 &&
	    X509_STORE_CTX_init(ctx, anchors, sk_X509_value(sent, 0), sent);
	if (ok) {
		X509_VERIFY_PARAM_set_flags(
		    X509_STORE_CTX_get0_param(ctx), X509_V_FLAG_TRUSTED_FIRST);
		ok = X509_verify_cert(ctx) == 1 &&
		    (expected == NULL ||
			X509_check_host(sk_X509_value(sent, 0), expected,
			    strlen(expected), 0, NULL) == 1);
	}
	X509_STORE_CTX_free(ctx);
	sk_X509_pop_free(sent, X509_free);
	return ok;
}

static enum ssl_verify_result_t
on_verify(SSL *ssl, uint8_t *alert)
{
	*alert = SSL_AD_BAD_CERTIFICATE;
	return holds(ssl) ? ssl_verify_ok : ssl_verify_invalid;
}

static int
on_session(SSL *ssl, SSL_SESSION *s)
{
	(void)ssl;
	SSL_SESSION_free(kept);
	kept = s;
	return 1;
}

/* Certificate, chain and key of one PEM file. */
static void
identity(SSL_CTX *ctx, const char *path)
{
	CRYPTO_BUFFER *certs[CHAIN_MAX];
	EVP_PKEY *key = NULL;
	char *label, *head;
	FILE *f = fopen(path, "r");
	const uint8_t *p;
	uint8_t *der;
	size_t n = 0;
	long len;

	while (f != NULL && PEM_read(f, &label, &head, &der, &len)) {
		p = der;
		if (strcmp(label, "CERTIFICATE") == 0 && n < CHAIN_MAX)
			certs[n++] = CRYPTO_BUFFER_new(der, (size_t)len, NULL);
		else if (strcmp(label, "PRIVATE KEY") == 0)
			key = d2i_AutoPrivateKey(NULL, &p, len);
		OPENSSL_free(label);
		OPENSSL_free(head);
		OPENSSL_free(der);
	}
	if (n == 0 || key == NULL ||
	    !SSL_CTX_set_chain_and_key(ctx, certs, n, key, NULL))
		bench_die(path);
	fclose(f);
	EVP_PKEY_free(key);
}

/* The same offer as the profile `intermediate` makes. */
static SSL_CTX *
ctx_new(const struct bench *b, bool server)
{
	static const uint16_t sigs[] = { SSL_SIGN_ECDSA_SECP256R1_SHA256,
		SSL_SIGN_ECDSA_SECP384R1_SHA384, SSL_SIGN_ED25519,
		SSL_SIGN_RSA_PSS_RSAE_SHA256, SSL_SIGN_RSA_PSS_RSAE_SHA384,
		SSL_SIGN_RSA_PSS_RSAE_SHA512, SSL_SIGN_RSA_PKCS1_SHA256,
		SSL_SIGN_RSA_PKCS1_SHA384, SSL_SIGN_RSA_PKCS1_SHA512 };
	uint16_t v = b->v12 ? TLS1_2_VERSION : TLS1_3_VERSION;
	SSL_CTX *ctx = SSL_CTX_new(TLS_with_buffers_method());
	const char *const own = server ? "server.pem" : "device.pem";

	if (ctx == NULL || !SSL_CTX_set_min_proto_version(ctx, v) ||
	    !SSL_CTX_set_max_proto_version(ctx, v) ||
	    !SSL_CTX_set_strict_cipher_list(ctx,
		"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
		"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
		"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305") ||
	    !SSL_CTX_set1_curves_list(ctx, "X25519:P-256:P-384") ||
	    !SSL_CTX_set_verify_algorithm_prefs(
		ctx, sigs, sizeof(sigs) / sizeof(sigs[0])) ||
	    !SSL_CTX_set_signing_algorithm_prefs(
		ctx, sigs, sizeof(sigs) / sizeof(sigs[0])))
		bench_die("SSL_CTX");
	SSL_CTX_set0_buffer_pool(ctx, CRYPTO_BUFFER_POOL_new());
	if (server || b->mutual)
		identity(ctx, bench_path(b, own));
	if (!server) {
		SSL_CTX_set_session_cache_mode(
		    ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
		SSL_CTX_sess_set_new_cb(ctx, on_session);
		SSL_CTX_set_reverify_on_resume(ctx, 1);
		SSL_CTX_set_custom_verify(ctx, SSL_VERIFY_PEER, on_verify);
		expected = b->name;
		return ctx;
	}
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_session_id_context(ctx, (const uint8_t *)"bench", 5);
	if (b->mutual)
		SSL_CTX_set_custom_verify(ctx,
		    SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
		    on_verify);
	return ctx;
}

/* The one CA both sides trust. */
static void
anchors_load(const struct bench *b)
{
	FILE *f = fopen(bench_path(b, "ca.pem"), "r");
	X509 *x = f != NULL ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;

	if (x == NULL || (anchors = X509_STORE_new()) == NULL ||
	    !X509_STORE_add_cert(anchors, x))
		bench_die("ca.pem");
	X509_free(x);
	fclose(f);
}

/* The socket of a connection. */
static int
socket_of(const struct bench *b, size_t i, bool server)
{
	struct sockaddr_in in;
	socklen_t n = sizeof(in);
	int one = 1, fd;

	if (!b->tcp)
		return pairs[b->idle > 0 ? i : 0][server];
	if (server) {
		fd = accept(listening, NULL, NULL);
	} else {
		fd = socket(AF_INET, SOCK_STREAM, 0);
		if (getsockname(listening, (struct sockaddr *)&in, &n) != 0 ||
		    connect(fd, (struct sockaddr *)&in, n) != 0)
			bench_die("connect");
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

/* One connection: handshake, a byte each way, and the good-byes. */
static void
talk(const struct bench *b, SSL_CTX *ctx, size_t i, bool server)
{
	int fd = socket_of(b, i, server), r;
	SSL *ssl = SSL_new(ctx);
	bool resumed;
	char byte = 'x';

	SSL_set_shed_handshake_config(ssl, 1);
	SSL_set_fd(ssl, fd);
	if (server) {
		r = SSL_accept(ssl);
	} else {
		SSL_set_tlsext_host_name(ssl, b->name);
		if (b->resume && kept != NULL)
			SSL_set_session(ssl, kept);
		r = SSL_connect(ssl);
	}
	resumed = SSL_session_reused(ssl) != 0;
	if (r != 1 || resumed != (b->resume && i > 0))
		bench_die("handshake");
	/* The library does not ask again on this side. */
	if (server && b->mutual && resumed && !holds(ssl))
		bench_die("the client's certificate");
	if (server)
		r = SSL_read(ssl, &byte, 1) == 1 &&
		    SSL_write(ssl, &byte, 1) == 1;
	else
		r = SSL_write(ssl, &byte, 1) == 1 &&
		    SSL_read(ssl, &byte, 1) == 1;
	if (!r)
		bench_die("a byte each way");
	if (b->idle > 0)
		return; /* it stays */
	if (server && SSL_read(ssl, &byte, 1) != 0)
		bench_die("no good-bye");
	SSL_shutdown(ssl);
	if (!server)
		SSL_shutdown(ssl); /* theirs */
	SSL_free(ssl);
	if (b->tcp)
		close(fd);
}

static double
side(const struct bench *b, bool server)
{
	SSL_CTX *ctx = ctx_new(b, server);
	double each = 0;

	for (size_t i = 0; i < bench_total(b); i++) {
		talk(b, ctx, i, server);
		bench_done(b, i + 1, &each);
	}
	return each;
}

static double
client(const struct bench *b, int up)
{
	(void)up;
	return side(b, false);
}

static double
server(const struct bench *b, int up)
{
	(void)up;
	return side(b, true);
}

int
main(int argc, char **argv)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct bench b;

	bench_args(&b, argc, argv);
	if (bench_total(&b) > sizeof(pairs) / sizeof(pairs[0]) && b.idle > 0)
		bench_die("that many idle connections");
	bench_files();
	anchors_load(&b);
	if (b.tcp) {
		listening = socket(AF_INET, SOCK_STREAM, 0);
		if (bind(listening, (struct sockaddr *)&in, sizeof(in)) != 0 ||
		    listen(listening, 16) != 0)
			bench_die("listen");
	}
	for (size_t i = 0; !b.tcp && i < (b.idle > 0 ? bench_total(&b) : 1);
	     i++) {
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[i]) != 0)
			bench_die("socketpair");
	}
	return bench_run(client, server, &b);
}
