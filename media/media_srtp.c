/* SPDX-License-Identifier: ISC */
/* The fence around libsrtp2: prepared when the first call needs it, then one
 * context a direction and key. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <srtp2/srtp.h>

#include "bellbird/clock.h"
#include "bellbird/log.h"
#include "bellbird/mem.h"
#include "internal.h"

enum {
	/* Before the SSRC in a packet. */
	RTP_SSRC_AT = 8,
	RTCP_SSRC_AT = 4,
	/* Packets of reordering told from replay; RFC 3711 wants 64 */
	WINDOW = 128,
	TRAILER_MAX = 32 /* tag, SRTCP index; we never send an MKI */
};

enum srtp_state { SRTP_NONE, SRTP_RUNNING, SRTP_READY, SRTP_FAILED };

/* libsrtp2 has one kernel a process, so we have one state. */
static struct {
	enum srtp_state state;
	int err;          /* why it failed */
	struct loop *l;   /* borrowed */
	struct worker *w; /* borrowed; NULL: in place */
	LIST_HEAD(, media_srtp_waiter) waiters;
} lib;

/* One SSRC that libsrtp2 keeps keys and a replay window for. */
struct source {
	uint32_t ssrc;
	int64_t used_us; /* when its last good packet came */
};

struct media_srtp {
	srtp_t s; /* owned */
	size_t mki_len;
	struct source sources[MEDIA_SRTP_SOURCES_MAX]; /* of packets in */
	size_t num_sources;
};

const char *
media_srtp_mode_name(enum media_srtp_mode m)
{
	static const char *const names[] = { "disabled", "optional",
		"standard" };

	return names[m];
}

/* In the worker: self-tests of a crypto library take 20 ms. */
static int
job_init(void *arg)
{
	srtp_err_status_t st = srtp_init();
	int err = st == srtp_err_status_ok     ? media_srtp_ciphers()
	    : st == srtp_err_status_alloc_fail ? ENOMEM
					       : EIO;

	(void)arg;
	if (err != 0)
		ignore_err((int)srtp_shutdown(), "so that it can be retried");
	return err;
}

/* Back in the loop: whoever waits is told. */
static void
on_init_done(int err, void *arg)
{
	struct media_srtp_waiter *w;

	(void)arg;
	lib.state = err == 0 ? SRTP_READY : SRTP_FAILED;
	lib.err = err;
	if (err != 0)
		log_err(
		    LOGC_MEDIA, 0, "libsrtp2 cannot be used: %s", err_str(err));
	while ((w = LIST_FIRST(&lib.waiters)) != NULL) {
		media_srtp_unwait(w);
		w->cb(w->arg);
	}
}

int
media_init(struct loop *l, struct worker *w)
{
	/* Nothing yet: it costs 2.6 MB, which an endpoint that waits for its
	 * first call need not have. */
	lib.l = l;
	lib.w = w;
	return 0;
}

void
media_exit(void)
{
	if (lib.state == SRTP_READY)
		ignore_err((int)srtp_shutdown(), "the process ends");
	/* A job still running keeps the library for the rest of its life. */
	if (lib.state != SRTP_RUNNING)
		lib.state = SRTP_NONE;
	media_disk_exit();
	lib.l = NULL;
	lib.w = NULL;
}

struct worker *
media_worker(void)
{
	return lib.w;
}

int
media_srtp_need(void)
{
	int err;

	/* What failed once, for want of memory, is tried again. */
	if (lib.state == SRTP_RUNNING || lib.state == SRTP_READY)
		return 0;
	if (lib.w == NULL) {
		lib.state = SRTP_RUNNING;
		on_init_done(job_init(NULL), NULL);
		return 0;
	}
	if ((err = worker_run(lib.w, job_init, on_init_done, NULL)) == 0)
		lib.state = SRTP_RUNNING;
	return err;
}

int
media_srtp_state(void)
{
	switch (lib.state) {
	case SRTP_READY:
		return 0;
	case SRTP_FAILED:
		return lib.err;
	default:
		return EAGAIN;
	}
}

void
media_srtp_wait(struct media_srtp_waiter *w, timer_cb *cb, void *arg)
{
	assert(lib.state != SRTP_READY);
	w->cb = cb;
	w->arg = arg;
	if (w->queued)
		return;
	w->queued = true;
	LIST_INSERT_HEAD(&lib.waiters, w, link);
}

void
media_srtp_unwait(struct media_srtp_waiter *w)
{
	if (!w->queued)
		return;
	LIST_REMOVE(w, link);
	w->queued = false;
}

/* libsrtp2's policy for a suite. */
static void
suite_set(srtp_policy_t *p, const struct media_suite *s)
{
	bool is_256 = s->key_len == SRTP_AES_ICM_256_KEY_LEN_WSALT;

	/* RTCP always has the long tag (RFC 4568 6.2). */
	if (is_256)
		srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80(&p->rtcp);
	else
		srtp_crypto_policy_set_rtcp_default(&p->rtcp);
	if (is_256 && s->tag_len == 4)
		srtp_crypto_policy_set_aes_cm_256_hmac_sha1_32(&p->rtp);
	else if (is_256)
		srtp_crypto_policy_set_aes_cm_256_hmac_sha1_80(&p->rtp);
	else if (s->tag_len == 4)
		srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32(&p->rtp);
	else
		srtp_crypto_policy_set_rtp_default(&p->rtp);
}

int
media_srtp_new(struct media_srtp **out, const struct media_crypto *c,
    enum media_srtp_dir dir)
{
	uint8_t key[MEDIA_KEY_MAX], mki[MEDIA_MKI_MAX];
	srtp_master_key_t master = { key, mki, (unsigned int)c->mki_len };
	srtp_master_key_t *masters[] = { &master };
	struct media_srtp *s;
	srtp_policy_t p;
	srtp_err_status_t st;

	assert(lib.state == SRTP_READY && c->suite != NULL);
	if ((s = calloc(1, sizeof(*s))) == NULL)
		return ENOMEM;
	memset(&p, 0, sizeof(p));
	suite_set(&p, c->suite);
	p.ssrc.type =
	    dir == MEDIA_SRTP_OUT ? ssrc_any_outbound : ssrc_any_inbound;
	p.window_size = WINDOW;
	memcpy(key, c->key, sizeof(key));
	memcpy(mki, c->mki, sizeof(mki));
	if (c->mki_len != 0) {
		p.keys = masters;
		p.num_master_keys = 1;
		s->mki_len = c->mki_len;
	} else {
		p.key = key;
	}
	st = srtp_create(&s->s, &p);
	mem_wipe(key, sizeof(key));
	if (st != srtp_err_status_ok) {
		free(s);
		/* The key derivation says init_fail where it was short of
		 * memory: a suite of ours has no other way to fail. */
		return st == srtp_err_status_alloc_fail ||
			st == srtp_err_status_init_fail
		    ? ENOMEM
		    : E_MEDIA_SRTP_KEY;
	}
	*out = s;
	return 0;
}

void
media_srtp_free(struct media_srtp *s)
{
	if (s == NULL)
		return;
	ignore_err((int)srtp_dealloc(s->s), "nothing to be done about it");
	free(s);
}

int
media_srtp_protect(struct media_srtp *s, uint8_t *p, size_t *n, bool is_rtcp)
{
	int len = (int)*n;
	srtp_err_status_t st;

	assert(*n + TRAILER_MAX <= MEDIA_PACKET_MAX);
	st = is_rtcp ? srtp_protect_rtcp_mki(s->s, p, &len, s->mki_len != 0, 0)
		     : srtp_protect_mki(s->s, p, &len, s->mki_len != 0, 0);
	if (st != srtp_err_status_ok)
		return EIO;
	*n = (size_t)len;
	return 0;
}

/* Drops what libsrtp2 has about an SSRC. */
static void
stream_drop(struct media_srtp *s, uint32_t ssrc)
{
	/* libsrtp2 wants it as in the packet. */
	uint8_t raw[4];
	unsigned int n;

	media_put32(raw, ssrc);
	memcpy(&n, raw, sizeof(n));
	ignore_err((int)srtp_remove_stream(s->s, n), "it may not be there");
}

/* The place of an SSRC, or the one that a new SSRC would take: a free one, or
 * that of whoever has been silent longest; NULL: none was silent for long. */
static struct source *
source_place(struct media_srtp *s, uint32_t ssrc, int64_t now)
{
	struct source *oldest = &s->sources[0];

	for (size_t i = 0; i < s->num_sources; i++) {
		if (s->sources[i].ssrc == ssrc)
			return &s->sources[i];
		if (s->sources[i].used_us < oldest->used_us)
			oldest = &s->sources[i];
	}
	if (s->num_sources < MEDIA_SRTP_SOURCES_MAX)
		return &s->sources[s->num_sources];
	return now - oldest->used_us >= MEDIA_SRTP_QUIET_US ? oldest : NULL;
}

/* A good packet came from an SSRC whose place is `p`. */
static void
source_note(struct media_srtp *s, struct source *p, uint32_t ssrc, int64_t now)
{
	if (p == &s->sources[s->num_sources])
		s->num_sources++;
	else if (p->ssrc != ssrc)
		stream_drop(s, p->ssrc);
	p->ssrc = ssrc;
	p->used_us = now;
}

int
media_srtp_unprotect(struct media_srtp *s, uint8_t *p, size_t *n, bool is_rtcp)
{
	const size_t at = is_rtcp ? RTCP_SSRC_AT : RTP_SSRC_AT;
	int64_t now = clock_mono_us();
	int len = (int)*n;
	struct source *place;
	srtp_err_status_t st;
	uint32_t ssrc;

	if (*n > MEDIA_PACKET_MAX || *n < at + sizeof(ssrc))
		return E_PARSE;
	ssrc = media_get32(p + at);
	/* Before libsrtp2 sees it: there it would be in the list for good. */
	if ((place = source_place(s, ssrc, now)) == NULL)
		return E_LIMIT;
	st = is_rtcp ? srtp_unprotect_rtcp_mki(s->s, p, &len, s->mki_len != 0)
		     : srtp_unprotect_mki(s->s, p, &len, s->mki_len != 0);
	switch (st) {
	case srtp_err_status_ok:
		source_note(s, place, ssrc, now);
		*n = (size_t)len;
		return 0;
	case srtp_err_status_replay_fail:
	case srtp_err_status_replay_old:
		return EALREADY;
	case srtp_err_status_auth_fail:
	case srtp_err_status_bad_mki:
		return EBADMSG;
	default:
		return E_PARSE;
	}
}
