/* SPDX-License-Identifier: ISC */
/*
 * The same handshakes as raw_tls makes, by tls/ as the endpoint uses it: one
 * loop a side, a listener on loopback and connections to it, a policy with
 * its reasons, Debian's built-in roots and an uploaded CA, every check, and a
 * record of each connection, kept and logged.
 */
#include <signal.h>

#include "bellbird/loop.h"
#include "bellbird/str.h"

#include "../../tls/internal.h"
#include "bench.h"

/* One side. */
struct side {
	const struct bench *b;
	struct loop *loop;
	struct tls_env *env;
	struct tls_policy policy;
	struct addr where; /* client */
	struct deferred next;
	struct tls_conn *c; /* client: the one under way */
	size_t num;
	double each;
};

static void
side_open(struct side *s, const struct bench *b, enum tls_dir dir)
{
	char *ca = strdup(bench_path(b, "ca.pem"));
	const char *cas[] = { ca, NULL };
	char *own = strdup(bench_path(b, "server.pem"));
	struct tls_env_conf c = { .cache_dir = b->dir,
		.trusted_files = cas,
		.identity_dir = dir == TLS_CLIENT && b->mutual ? b->dir : NULL,
		.server_file = dir == TLS_SERVER ? own : NULL };
	struct tls_clock now = { .wall_s = time(NULL), .trusted = true };
	struct tls_settings set;
	char why[200];

	memset(s, 0, sizeof(*s));
	s->b = b;
	tls_settings_default(&set, TLS_USE_SIP);
	set.min = set.max = b->v12 ? TLS_V12 : TLS_V13;
	set.require_client = b->mutual;
	/* A listener asks every client unless that is switched off. */
	set.verify = dir == TLS_CLIENT || b->mutual;
	if (tls_policy_decide(&s->policy, TLS_USE_SIP, dir,
		dir == TLS_CLIENT ? b->name : NULL, &set, &now, why,
		sizeof(why)) != 0)
		bench_die(why);
	if (loop_new(&s->loop) != 0 || tls_env_new(&s->env, s->loop, &c) != 0)
		bench_die("environment");
	free(ca);
	free(own);
}

static void
side_close(struct side *s)
{
	tls_env_free(s->env);
	loop_free(s->loop);
}

/* ---- the server: echoes ---- */

static void
on_server(struct tls_conn *c, enum tls_event ev, int err, void *arg)
{
	struct side *s = arg;
	struct slice in;

	(void)err;
	if (ev == TLS_EV_DATA) {
		in = tls_conn_peek(c);
		if (tls_conn_write(c, in.p, in.n) != 0)
			bench_die("echo");
		tls_conn_drain(c, in.n);
		if (s->b->idle > 0)
			bench_done(s->b, ++s->num, &s->each);
	} else if (ev == TLS_EV_CLOSED && s->b->idle == 0) {
		bench_done(s->b, ++s->num, &s->each);
	}
	/* Who is idle stays until the client has looked at its memory. */
	if (s->num == bench_total(s->b) && ev == TLS_EV_CLOSED)
		loop_stop(s->loop);
}

static void
on_accept(struct tls_conn *c, void *arg)
{
	struct side *s = arg;

	if (s->b->mutual && !tls_conn_verdict(c)->peer_verified)
		bench_die("the client was not verified");
	tls_conn_set_cb(c, on_server, arg);
}

static double
server(const struct bench *b, int up)
{
	static struct side s;
	struct tls_listen *l;
	struct tls_listen_conf c = { .policy = &s.policy,
		.max_conns = 100000,
		.max_per_ip = 100000,
		.cb = on_accept,
		.arg = &s };

	side_open(&s, b, TLS_SERVER);
	if (addr_parse(&c.local, slice_of("127.0.0.1"), 0) != 0 ||
	    tls_listen_open(&l, s.env, &c) != 0)
		bench_die("listen");
	tls_listen_local(l, &s.where);
	if (write(up, &s.where, sizeof(s.where)) != sizeof(s.where) ||
	    loop_run(s.loop) != 0)
		bench_die("loop");
	tls_listen_close(l);
	side_close(&s);
	return s.each;
}

/* ---- the client: one after the other; prints the size of a kept record too
 * ---- */

static void dial(void *arg);

static void
on_client(struct tls_conn *c, enum tls_event ev, int err, void *arg)
{
	const struct tls_verdict *v = tls_conn_verdict(c);
	struct side *s = arg;

	(void)err;
	if (ev == TLS_EV_UP) {
		if (!v->peer_verified ||
		    v->resumed != (s->b->resume && s->num > 0))
			bench_die("not verified, or not as wanted");
		if (tls_conn_write(c, "x", 1) != 0)
			bench_die("write");
	} else if (ev == TLS_EV_DATA) {
		tls_conn_drain(c, tls_conn_peek(c).n);
		/* Says good-bye and closes. */
		if (s->b->idle == 0)
			tls_conn_free(c);
		bench_done(s->b, ++s->num, &s->each);
		if (s->num < bench_total(s->b))
			loop_defer(s->loop, &s->next, dial, s);
		else
			loop_stop(s->loop);
	} else if (ev == TLS_EV_CLOSED) {
		bench_die(v->text);
	}
}

static void
dial(void *arg)
{
	struct side *s = arg;
	struct tls_conn_conf c = { .policy = &s->policy,
		.remote = s->where,
		.host = s->b->name,
		.dns_us = -1,
		.cb = on_client,
		.arg = s };

	if (!s->b->resume)
		tls_sess_clear(s->env);
	if (tls_conn_connect(&s->c, s->env, &c) != 0)
		bench_die("connect");
}

static double
client(const struct bench *b, int up)
{
	const struct tls_kept *k;
	static struct side s;
	size_t kept = 0, n = 0;

	side_open(&s, b, TLS_CLIENT);
	if (read(up, &s.where, sizeof(s.where)) != sizeof(s.where))
		bench_die("no server");
	loop_defer(s.loop, &s.next, dial, &s);
	if (loop_run(s.loop) != 0)
		bench_die("loop");
	TAILQ_FOREACH (k, &s.env->kept, link) {
		kept += k->n + sizeof(*k);
		n++;
	}
	printf("%.0f ", n > 0 ? (double)kept / (double)n : 0);
	fflush(stdout);
	side_close(&s);
	return s.each;
}

/*
 * -e: what reading all trust and identities again costs (HUP, an upload), in
 * us of CPU: with the index of the built-in set, as always but after a new
 * bundle came, and without.
 */
static double
reload(const struct bench *b, bool with_index)
{
	static struct side s;
	double from;

	side_open(&s, b, TLS_CLIENT);
	if (!with_index) {
		free(s.env->cache_dir);
		s.env->cache_dir = NULL;
	}
	from = bench_cpu_us();
	for (size_t i = 0; i < b->reloads; i++)
		tls_env_reload(s.env);
	from = (bench_cpu_us() - from) / (double)b->reloads;
	side_close(&s);
	return from;
}

int
main(int argc, char **argv)
{
	struct bench b;

	bench_args(&b, argc, argv);
	if (b.reloads > 0) {
		b.mutual = true;
		printf("%.2f %.2f\n", reload(&b, true), reload(&b, false));
		return 0;
	}
	return bench_run(client, server, &b);
}
