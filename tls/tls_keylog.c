/* SPDX-License-Identifier: ISC */
/* The key log: for a time, the secrets of connections with one peer are written
 * to a file, so that a capture of them can be read (NSS key log format). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "bellbird/log.h"
#include "bellbird/mem.h"
#include "bellbird/str.h"

#include "internal.h"

/* Longer than the longest line: label, 32 and 64 bytes in hex. */
enum { LINE_MAX_BYTES = 512 };

struct tls_keylog {
	int fd; /* owned */
	char peer[TLS_NAME_MAX + 1];
	struct timer end;
};

/* Is this the peer that was asked for, by name or by address? */
static bool
is_peer(const struct tls_keylog *k, const struct tls_conn *c)
{
	char ip[ADDR_STR_MAX] = "";

	if (addr_is_set(&c->v.remote))
		addr_print_ip(&c->v.remote, ip);
	return strcasecmp(c->v.host, k->peer) == 0 || strcmp(ip, k->peer) == 0;
}

/* The library has a secret to tell. */
static void
on_secret(const SSL *ssl, const char *text)
{
	struct tls_conn *c = tls_ctx_conn(ssl);
	struct tls_keylog *k = c->env != NULL ? c->env->keylog : NULL;
	char line[LINE_MAX_BYTES];
	size_t n = strlen(text);

	if (k == NULL || n + 2 > sizeof(line) || !is_peer(k, c))
		return;
	memcpy(line, text, n);
	line[n] = '\n';
	/* One write a line: two connections never mix. */
	if (write(k->fd, line, n + 1) != (ssize_t)(n + 1))
		log_warn(LOGC_TLS, c->v.id, "key log not written: %s",
		    err_str(errno));
	mem_wipe(line, sizeof(line));
}

/* Asks the library for secrets, or not any more. */
static void
ask(struct tls_env *e, bool on)
{
	struct tls_ctx *k;

	TAILQ_FOREACH (k, &e->ctxs, link)
		SSL_CTX_set_keylog_callback(k->ssl, on ? on_secret : NULL);
}

void
tls_keylog_ctx(const struct tls_env *e, SSL_CTX *ctx)
{
	if (e->keylog != NULL)
		SSL_CTX_set_keylog_callback(ctx, on_secret);
}

/* timer_cb: the time is over. */
static void
on_end(void *arg)
{
	tls_env_keylog_stop(arg);
}

void
tls_env_keylog_stop(struct tls_env *e)
{
	struct tls_keylog *k = e->keylog;

	if (k == NULL)
		return;
	ask(e, false);
	e->keylog = NULL;
	timer_stop(&k->end);
	close(k->fd);
	log_warn(LOGC_TLS, 0, "key log ended peer=%s", esc(k->peer));
	free(k);
}

int
tls_env_keylog_start(
    struct tls_env *e, const char *peer, int fd, uint32_t seconds)
{
	struct tls_keylog *k = NULL;
	struct stat st;
	int err = EINVAL;

	/* A pipe that nobody empties would hold the loop. */
	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
	    peer[0] == '\0' || seconds == 0 || seconds > TLS_KEYLOG_MAX_S)
		goto out;
	err = ENOMEM;
	if ((k = calloc(1, sizeof(*k))) == NULL)
		goto out;
	if ((err = str_copy(k->peer, sizeof(k->peer), peer)) != 0 ||
	    (err = timer_start(
		 &k->end, e->loop, (int64_t)seconds * 1000000, on_end, e)) != 0)
		goto out;
	tls_env_keylog_stop(e);
	k->fd = fd;
	e->keylog = k;
	ask(e, true);
	log_warn(LOGC_TLS, 0,
	    "key log: for %u s the secrets of connections with %s are written "
	    "to a file",
	    (unsigned int)seconds, esc(k->peer));
	return 0;
out:
	free(k);
	if (fd >= 0)
		close(fd);
	return err;
}

const char *
tls_env_keylog_peer(const struct tls_env *e)
{
	return e->keylog != NULL ? e->keylog->peer : "";
}
