/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_TESTS_TEST_SIP_TLS_H
#define BELLBIRD_TESTS_TEST_SIP_TLS_H

/* A CA, a server and a device certificate in a scratch folder, and policies
 * for both ends.  Include after test_sip.h. */
#include <sys/stat.h>
#include <unistd.h>

#include "bellbird/file.h"
#include "bellbird/tls_cert.h"

struct tls_dirs {
	char dir[64], trusted[96], server[96], device[128], identity[96];
};

/* Knobs of the policies. */
static UNUSED const char *tls_expect; /* another name than "localhost" */
static UNUSED bool tls_demand;        /* the server wants a certificate */
static UNUSED bool tls_show_nothing;  /* the client shows none */

static UNUSED void
mint_as(const struct tls_mint *m, const char *path)
{
	struct buf pem;

	buf_init(&pem, 1 << 16);
	assert_int_equal(tls_mint(m, &pem), 0);
	assert_int_equal(file_write(path, buf_str(&pem), pem.n, 0600), 0);
	buf_clear(&pem);
}

static UNUSED void
mint(const struct tls_dirs *d, enum tls_mint_kind kind, const char *cn,
    const char *sans, const char *path)
{
	struct tls_mint m = {
		.ca_dir = d->dir, .kind = kind, .cn = cn, .sans = sans
	};

	mint_as(&m, path);
}

static UNUSED void
world_open_tls(struct world *w, struct tls_dirs *d)
{
	struct tls_env_conf c = { .builtin_file = "" };
	char ca[96], to[128];
	struct buf b;

	log_set_level(LOGL_ERR);
	clock_fake(FAKE_WALL);
	(void)snprintf(d->dir, sizeof(d->dir), "/tmp/bellbird-sip-XXXXXX");
	assert_non_null(mkdtemp(d->dir));
	(void)snprintf(d->trusted, sizeof(d->trusted), "%s/trusted", d->dir);
	(void)snprintf(d->identity, sizeof(d->identity), "%s/id", d->dir);
	assert_int_equal(mkdir(d->trusted, 0700), 0);
	assert_int_equal(mkdir(d->identity, 0700), 0);
	assert_int_equal(tls_ca_init(d->dir, "Test CA", 30), 0);
	(void)snprintf(d->server, sizeof(d->server), "%s/server.pem", d->dir);
	(void)snprintf(
	    d->device, sizeof(d->device), "%s/device.pem", d->identity);
	mint(d, TLS_MINT_SERVER, "localhost", "DNS:localhost,IP:127.0.0.1",
	    d->server);
	mint(d, TLS_MINT_DEVICE, "00156d000001", NULL, d->device);
	(void)snprintf(ca, sizeof(ca), "%s/ca.pem", d->dir);
	(void)snprintf(to, sizeof(to), "%s/ca.pem", d->trusted);
	buf_init(&b, 1 << 16);
	assert_int_equal(file_read(ca, &b), 0);
	assert_int_equal(file_write(to, buf_str(&b), b.n, 0600), 0);
	buf_clear(&b);
	c.trusted_dir = d->trusted;
	c.identity_dir = d->identity;
	c.server_file = d->server;
	assert_int_equal(loop_new(&w->loop), 0);
	assert_int_equal(tls_env_new(&w->tls, w->loop, &c), 0);
	assert_int_equal(dns_new(&w->dns, w->loop, NULL), 0);
}

static UNUSED void
world_close_tls(struct world *w, struct tls_dirs *d)
{
	static const char *const files[] = { "trusted/ca.pem", "ca.pem",
		"ca.key", "server.pem", "id/device.pem" };
	char path[128];

	world_close(w);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", d->dir, files[i]);
		(void)unlink(path);
	}
	(void)rmdir(d->trusted);
	(void)rmdir(d->identity);
	(void)rmdir(d->dir);
}

static UNUSED void
tls_policy_of(struct tls_policy *p, enum tls_dir dir, const char *peer)
{
	struct tls_clock clock = { FAKE_WALL, clock_floor_s(), true };
	struct tls_settings s;
	char why[TLS_WHY_MAX] = "";

	tls_settings_default(&s, TLS_USE_SIP);
	s.trust = TLS_TRUST_UPLOADED;
	if (dir == TLS_SERVER) {
		s.require_client = tls_demand;
		s.identity = TLS_ID_SERVER;
	} else {
		(void)snprintf(s.name, sizeof(s.name), "%s",
		    tls_expect != NULL ? tls_expect : "localhost");
		s.identity = tls_show_nothing ? TLS_ID_NONE : TLS_ID_FACTORY;
	}
	if (tls_policy_decide(
		p, TLS_USE_SIP, dir, peer, &s, &clock, why, sizeof(why)) != 0)
		fail_msg("%s", why);
}

static UNUSED void
tls_server_policy(struct tls_policy *p)
{
	tls_policy_of(p, TLS_SERVER, NULL);
}

/* sip_policy_cb. */
static UNUSED int
tls_client_policy(const char *peer, struct tls_policy *out, void *arg)
{
	(void)arg;
	tls_policy_of(out, TLS_CLIENT, peer);
	return 0;
}

#endif
