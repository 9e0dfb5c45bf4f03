/* SPDX-License-Identifier: ISC */
/* The audio session of one call: puts negotiation, network, halves and device
 * together, and beats their time. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bellbird/clock.h"
#include "bellbird/log.h"
#include "internal.h"

enum {
	PTIME_DEFAULT_MS = 20,
	JITTER_DEFAULT_MS = 100,
	/* Sessions beat on a common grid, so that one wake-up serves many. */
	GRID_US = 5000,
	/* Behind by more (a suspended machine), time is skipped. */
	BEHIND_MAX_US = 200000,
	IDLE_US = 1000000, /* nothing flows: look after RTCP only */
	TIMEOUT_US = 30000000,
	LEVEL_US = 1000000,
	DIGITS_MAX = 32 /* received, not yet told */
};

struct level {
	double energy;
	uint64_t samples;
	float db; /* of the last whole second */
};

struct media_sess {
	struct loop *loop; /* borrowed */
	media_cb *cb;
	void *arg;
	uint64_t log_id;
	struct media_jitter_conf jitter;

	struct media_neg neg;
	struct media_net net;
	struct media_rx rx;
	struct media_tx tx;
	struct media_dtmf_rx dtmf;
	struct media_rtcp rtcp;
	struct media_dev *dev;            /* owned */
	struct media_file *play, *record; /* owned; may be NULL */
	int record_fd;                    /* owned until `record` has it */
	struct media_disk_waiter finish;
	bool muted;
	bool silent; /* another has the speaker and the microphone */

	bool started; /* asked to */
	bool running; /* the timer beats */
	struct media_srtp_waiter waiter;
	struct timer tick;
	int64_t due_us, rtcp_due_us, level_us, start_us;
	int64_t first_rx_us; /* since the start; -1: none */
	int64_t last_rx_us;
	bool timed_out;
	uint64_t reported_tx; /* packets at the last report */
	bool reported;        /* there was one */
	struct level level_tx, level_rx;

	struct deferred tell;
	unsigned int pending; /* bits of enum media_event */
	int failed;           /* the value of MEDIA_EV_FAILED */
	char digits[DIGITS_MAX];
	size_t num_digits;
	bool *freed; /* set when freed inside a callback of ours */
};

/* ---- events ---- */

/* From the loop: tells what is pending; any of it may free the session. */
static void
on_tell(void *arg)
{
	struct media_sess *m = arg;
	bool freed = false;
	char digit;

	m->freed = &freed;
	for (int ev = MEDIA_EV_FIRST_RX; ev <= MEDIA_EV_FAILED; ev++) {
		if (!(m->pending & 1U << ev))
			continue;
		m->pending &= ~(1U << ev);
		if (ev != MEDIA_EV_DTMF) {
			m->cb(m, (enum media_event)ev,
			    ev == MEDIA_EV_FAILED ? m->failed : 0, m->arg);
			if (freed)
				return;
			continue;
		}
		while (m->num_digits > 0) {
			digit = m->digits[0];
			memmove(m->digits, m->digits + 1, --m->num_digits);
			m->cb(m, MEDIA_EV_DTMF, digit, m->arg);
			if (freed)
				return;
		}
	}
	m->freed = NULL;
}

/* Leaves an event for the loop. */
static void
tell(struct media_sess *m, enum media_event ev)
{
	m->pending |= 1U << ev;
	loop_defer(m->loop, &m->tell, on_tell, m);
}

/* There is no audio: the owner decides what becomes of the call. */
static void
fail(struct media_sess *m, int err)
{
	m->failed = err;
	tell(m, MEDIA_EV_FAILED);
}

/* The sound card went away. */
static void
on_device_lost(void *arg)
{
	tell(arg, MEDIA_EV_DEVICE);
}

/* ---- receiving ---- */

/* Puts an RTP packet where it belongs. */
static void
rtp_take(struct media_sess *m, const struct media_rtp *h, int64_t now)
{
	const struct media_agreed *a = &m->neg.now;
	enum media_jitter_kind kind = MEDIA_JITTER_AUDIO;
	char digit;

	if (h->pt == a->dtmf_rx) {
		kind = MEDIA_JITTER_EVENT;
		digit = media_dtmf_read(&m->dtmf, h->payload, h->n, h->ts);
		if (digit != 0 && m->num_digits < DIGITS_MAX) {
			m->digits[m->num_digits++] = digit;
			tell(m, MEDIA_EV_DTMF);
		}
	}
	if (!(a->dir & MEDIA_RECV) || m->rx.codec == NULL)
		return;
	ignore_err(media_jitter_put(&m->rx.jitter, h, kind, now),
	    "out of memory: the packet is lost, as packets are");
}

/* The peer is there. */
static void
alive(struct media_sess *m, int64_t now)
{
	m->last_rx_us = now;
	m->timed_out = false;
}

/* media_net_cb. */
static void
on_packet(const uint8_t *p, size_t n, bool is_rtcp, void *arg)
{
	struct media_sess *m = arg;
	int64_t now = clock_mono_us();
	struct media_rtp h;

	if (is_rtcp) {
		if (media_rtcp_read(&m->rtcp, m->tx.ssrc, p, n, now) != 0)
			return;
		/* Whoever has nothing to say sends reports all the same. */
		alive(m, now);
		if (m->tx.codec != NULL && m->tx.codec->enc_loss != NULL)
			m->tx.codec->enc_loss(
			    m->tx.enc, m->rtcp.peer_loss * 100U / 256);
		return;
	}
	if (media_rtp_parse(&h, p, n) != 0)
		return;
	alive(m, now);
	if (m->first_rx_us < 0) {
		m->first_rx_us = now - m->start_us;
		tell(m, MEDIA_EV_FIRST_RX);
	}
	rtp_take(m, &h, now);
}

/* ---- the beat ---- */

/* Adds a frame to a level. */
static void
level_add(struct level *l, const int16_t *pcm, size_t n)
{
	l->energy += media_energy(pcm, n);
	l->samples += n;
}

/* Ends a second. */
static void
level_turn(struct level *l)
{
	l->db = media_level_db(l->energy, l->samples);
	l->energy = 0;
	l->samples = 0;
}

/* What is to be sent: the file that plays, else the microphone. */
static void
source_read(struct media_sess *m, int16_t *pcm, size_t n)
{
	if (m->neg.hold) {
		memset(pcm, 0, n * sizeof(*pcm));
		return;
	}
	if (m->play != NULL) {
		if (!media_file_read(m->play, pcm, n)) {
			media_file_close(m->play);
			m->play = NULL;
			tell(m, MEDIA_EV_PLAYED);
		}
		return;
	}
	if (!m->silent)
		media_dev_read(m->dev, pcm, n);
	if (m->silent || m->muted)
		memset(pcm, 0, n * sizeof(*pcm));
}

/* One frame each way. */
static void
frame(struct media_sess *m, int64_t now)
{
	const struct media_agreed *a = &m->neg.now;
	const size_t n = (size_t)a->codec->rate_hz / 1000 * a->ptime_ms;
	int16_t pcm[MEDIA_FRAME_MAX];
	uint8_t out[MEDIA_PACKET_MAX];
	size_t len;

	if (a->dir & MEDIA_RECV) {
		media_rx_get(&m->rx, now, pcm, n);
		level_add(&m->level_rx, pcm, n);
		if (!m->silent)
			media_dev_write(m->dev, pcm, n);
		if (m->record != NULL)
			media_file_write(m->record, pcm, n);
	}
	if (!(a->dir & MEDIA_SEND)) {
		media_tx_skip(&m->tx, n);
		return;
	}
	source_read(m, pcm, n);
	level_add(&m->level_tx, pcm, n);
	len = media_tx_frame(&m->tx, pcm, n, out);
	if (len != 0)
		media_net_send(&m->net, out, len, false);
}

/* Sends a report. */
static void
report(struct media_sess *m, bool bye, int64_t now)
{
	struct media_jitter_stats st;
	struct media_rtcp_view v = { .ssrc = m->tx.ssrc, .rtp_ts = m->tx.ts };
	uint8_t out[MEDIA_PACKET_MAX];

	/* RFC 3550 6.3.7: who never sent anything does not say good-bye. */
	if (bye && !m->reported && m->net.stats.tx_packets == 0)
		return;
	m->reported = true;
	media_jitter_get_stats(&m->rx.jitter, &st);
	v.is_sender = m->net.stats.tx_packets != m->reported_tx;
	m->reported_tx = m->net.stats.tx_packets;
	v.packets = (uint32_t)m->net.stats.tx_packets;
	v.octets = (uint32_t)m->net.stats.tx_bytes;
	v.has_peer = st.has_peer;
	v.peer_ssrc = st.ssrc;
	v.expected = st.expected;
	v.received = st.unique;
	v.max_ext_seq = st.max_ext_seq;
	v.jitter_ts = st.jitter_ts;
	media_net_send(
	    &m->net, out, media_rtcp_write(&m->rtcp, &v, bye, now, out), true);
}

/* False on hold, theirs by RFC 2543 (0.0.0.0, no port is left) included. */
static bool
peer_should_send(const struct media_sess *m)
{
	const struct media_agreed *a = &m->neg.now;

	return (a->dir & MEDIA_RECV) && !m->neg.hold && addr_port(&a->rtp) != 0;
}

/* What is due less often than frames. */
static void
chores(struct media_sess *m, int64_t now)
{
	if (now >= m->rtcp_due_us) {
		report(m, false, now);
		m->rtcp_due_us = now + media_rtcp_interval_us(false);
	}
	if (now - m->level_us >= LEVEL_US) {
		level_turn(&m->level_tx);
		level_turn(&m->level_rx);
		m->level_us = now;
		media_net_tidy(&m->net, now);
	}
	if (!peer_should_send(m)) {
		m->last_rx_us = now; /* the wait starts when it should again */
	} else if (!m->timed_out && now - m->last_rx_us >= TIMEOUT_US) {
		m->timed_out = true;
		log_warn(LOGC_MEDIA, m->log_id, "no audio came for %d s",
		    TIMEOUT_US / 1000000);
		tell(m, MEDIA_EV_TIMEOUT);
	}
}

/* The next point of the common grid. */
static int64_t
grid_next(int64_t now)
{
	return (now / GRID_US + 1) * GRID_US;
}

/* Time that nobody spent here is let go. */
static void
catch_up(struct media_sess *m, int64_t now, int64_t step)
{
	int64_t missed = (now - m->due_us) / step;

	if (now - m->due_us < BEHIND_MAX_US)
		return;
	media_tx_skip(&m->tx,
	    (size_t)missed * m->neg.now.codec->rate_hz / 1000 *
		m->neg.now.ptime_ms);
	m->due_us += missed * step;
}

/* timer_cb: frames that are due, then the rest. */
static void
on_tick(void *arg)
{
	struct media_sess *m = arg;
	const struct media_agreed *a = &m->neg.now;
	int64_t now = clock_mono_us(), step = (int64_t)a->ptime_ms * 1000;
	int err;

	if (a->dir != MEDIA_INACTIVE) {
		catch_up(m, now, step);
		while (m->due_us <= now) {
			frame(m, now);
			m->due_us += step;
		}
	} else {
		m->due_us = grid_next(now) + IDLE_US;
	}
	chores(m, now);
	if ((err = timer_start_at(&m->tick, m->loop, m->due_us, on_tick, m)) !=
	    0)
		fail(m, err);
}

/* ---- starting and changing ---- */

/* What a new agreement needs, made before anything of the old one goes. */
struct fresh {
	struct media_net_keys keys;
	const struct media_codec *codec; /* NULL: the halves stay as they are */
	void *enc;                       /* owned */
	struct media_rx rx;
};

/* True if the halves have no use for what is agreed next as they are. */
static bool
halves_differ(const struct media_sess *m, const struct media_agreed *a)
{
	const struct media_agreed *now = &m->neg.now;

	return m->rx.codec != a->codec || m->rx.pt != a->pt_rx ||
	    m->rx.alt != a->alt || m->rx.alt_pt != a->alt_pt ||
	    m->tx.codec != a->codec || now->params.fec != a->params.fec ||
	    now->params.bitrate != a->params.bitrate;
}

/* Makes a sending and a receiving half. */
static int
halves_prepare(
    struct media_sess *m, const struct media_agreed *a, struct fresh *f)
{
	struct media_jitter_conf j = m->jitter;
	int err;

	j.clock_hz = a->codec->clock_hz;
	j.ptime_ms = a->ptime_ms;
	if ((err = media_rx_start(&f->rx, a, &j)) != 0)
		return err;
	if ((err = a->codec->enc_new(&f->enc, &a->params)) == 0)
		f->codec = a->codec;
	return err;
}

/* Takes them into use. */
static void
halves_use(struct media_sess *m, const struct media_agreed *a, struct fresh *f)
{
	media_tx_start(&m->tx, a, f->enc);
	media_rx_clear(&m->rx);
	m->rx = f->rx;
	memset(&f->rx, 0, sizeof(f->rx));
	f->codec = NULL;
}

/* Frees what was not taken into use. */
static void
fresh_clear(struct fresh *f)
{
	media_rx_clear(&f->rx);
	if (f->codec != NULL)
		f->codec->enc_free(f->enc);
	media_net_keys_free(&f->keys);
}

/* Takes what is in `a` into use; on failure nothing has changed. */
static int
renew(struct media_sess *m, const struct media_agreed *a, bool answered)
{
	const unsigned int rate = a->codec->rate_hz;
	struct fresh f;
	int err;

	memset(&f, 0, sizeof(f));
	if ((err = media_net_prepare(&m->net, a, &f.keys)) != 0 ||
	    (halves_differ(m, a) && (err = halves_prepare(m, a, &f)) != 0) ||
	    (m->record != NULL &&
		(err = media_file_prepare_rate(m->record, rate)) != 0) ||
	    (m->play != NULL &&
		(err = media_file_prepare_rate(m->play, rate)) != 0) ||
	    (!m->silent && (err = media_dev_start(m->dev, rate)) != 0))
		goto out;
	/* The device was the last that could fail. */
	if (m->record != NULL)
		media_file_use_rate(m->record);
	if (m->play != NULL)
		media_file_use_rate(m->play);
	if (f.codec != NULL)
		halves_use(m, a, &f);
	else if (!(m->neg.now.dir & MEDIA_RECV) && (a->dir & MEDIA_RECV))
		media_jitter_restart(&m->rx.jitter);
	m->tx.pt = a->pt_tx;
	m->tx.dtmf_pt = a->dtmf_tx;
	m->tx.dtmf_hz = a->dtmf_hz;
	media_net_apply(&m->net, a, &f.keys, answered);
out:
	fresh_clear(&f);
	return err;
}

/* Beats at once: a direction or the packet time has changed. */
static int
beat(struct media_sess *m)
{
	m->due_us = grid_next(clock_mono_us());
	return timer_start_at(&m->tick, m->loop, m->due_us, on_tick, m);
}

/* The result of a negotiation becomes what is agreed. */
static int
commit(struct media_sess *m, bool answered)
{
	const struct media_agreed *next = &m->neg.next;
	bool paced_anew = next->ptime_ms != m->neg.now.ptime_ms ||
	    next->dir != m->neg.now.dir;
	int err = 0;

	if (m->running && (err = renew(m, next, answered)) != 0) {
		media_neg_drop(&m->neg);
		return err;
	}
	media_neg_commit(&m->neg);
	m->net.agreed = &m->neg.now;
	if (m->running && paced_anew)
		ignore_err(beat(m), "the timer beats already: no new room");
	return 0;
}

/* Opens the file of what is received, now that its rate is known. */
static int
record_open(struct media_sess *m)
{
	int err;

	if (m->record_fd < 0)
		return 0;
	err = media_file_create(
	    &m->record, m->record_fd, m->neg.now.codec->rate_hz, m->log_id);
	if (err == 0)
		m->record_fd = -1; /* the file has it */
	return err;
}

/* Everything is there: go. */
static int
run(struct media_sess *m)
{
	int64_t now = clock_mono_us();
	int err;

	if ((err = record_open(m)) != 0 ||
	    (err = renew(m, &m->neg.now, false)) != 0)
		return err;
	if (m->first_rx_us < 0)
		m->start_us = now;
	m->last_rx_us = m->level_us = now;
	m->rtcp_due_us = now + media_rtcp_interval_us(true);
	if ((err = beat(m)) != 0)
		return err;
	m->running = true;
	media_net_start(&m->net);
	return 0;
}

/* libsrtp2 is ready, or never will be. */
static void
on_srtp(void *arg)
{
	struct media_sess *m = arg;
	int err = media_srtp_state();

	if (err == 0)
		err = run(m);
	if (err != 0)
		fail(m, err);
}

int
media_sess_start(struct media_sess *m)
{
	int err;

	if (m->neg.now.codec == NULL)
		return EINVAL;
	if (m->running)
		return 0;
	m->started = true;
	if (m->neg.now.rx.suite == NULL)
		return run(m);
	if ((err = media_srtp_need()) != 0)
		return err;
	if ((err = media_srtp_state()) == EAGAIN) {
		media_srtp_wait(&m->waiter, on_srtp, m);
		return 0;
	}
	return err != 0 ? err : run(m);
}

void
media_sess_stop(struct media_sess *m)
{
	media_srtp_unwait(&m->waiter);
	m->started = false;
	if (!m->running)
		return;
	report(m, true, clock_mono_us());
	m->running = false;
	timer_stop(&m->tick);
	media_net_stop(&m->net);
	media_dev_stop(m->dev);
}

bool
media_sess_finish(struct media_sess *m, timer_cb *cb, void *arg)
{
	media_sess_stop(m); /* the device may record, too */
	media_file_close(m->play);
	media_file_close(m->record);
	m->play = m->record = NULL;
	return media_disk_wait(&m->finish, m->loop, cb, arg);
}

/* ---- life ---- */

/* What can be said about a configuration beforehand. */
static int
conf_judge(const struct media_conf *c)
{
	if (c->loop == NULL || !addr_is_set(&c->local))
		return EINVAL;
	if (c->ptime_ms != 0 &&
	    (c->ptime_ms < MEDIA_PTIME_MIN_MS ||
		c->ptime_ms > MEDIA_PTIME_MAX_MS))
		return EINVAL;
	return 0;
}

/* The negotiation's part of the configuration. */
static void
neg_init(struct media_sess *m, const struct media_conf *c)
{
	struct media_neg_conf n = { .mode = c->srtp,
		.sdes_ok = c->signalling_secure || c->clear_signalling_ok };

	n.ptime_ms = c->ptime_ms != 0 ? c->ptime_ms : PTIME_DEFAULT_MS;
	n.num_suites = media_suite_list(c->suites, n.suites);
	n.num_codecs = media_codec_list(c->codecs, n.codecs);
	media_neg_init(&m->neg, &n, &m->net.local, m->net.rtcp_port);
}

/* Opens the file to be played; the last step that can fail, because it takes
 * the descriptor. */
static int
files_open(struct media_sess *m, const struct media_conf *c)
{
	if (c->play_fd < 0)
		return 0;
	return media_file_open(&m->play, c->play_fd, m->log_id);
}

int
media_sess_new(struct media_sess **out, const struct media_conf *conf,
    media_cb *cb, void *arg)
{
	struct media_dev_conf dev = { .loop = conf->loop,
		.device = conf->device,
		.call_name = conf->call_name,
		.log_id = conf->log_id,
		.lost = on_device_lost };
	struct media_sess *m;
	int err;

	if ((err = conf_judge(conf)) != 0)
		return err;
	if ((m = calloc(1, sizeof(*m))) == NULL)
		return ENOMEM;
	m->loop = conf->loop;
	m->cb = cb;
	m->arg = arg;
	m->log_id = conf->log_id;
	m->muted = conf->mic_muted;
	m->record_fd = -1;
	m->first_rx_us = -1;
	m->level_tx.db = m->level_rx.db = media_level_db(0, 0);
	m->jitter.max_ms =
	    conf->jitter_max_ms != 0 ? conf->jitter_max_ms : JITTER_DEFAULT_MS;
	m->jitter.extra_ms = conf->jitter_extra_ms;
	media_tx_init(&m->tx);
	media_rtcp_init(&m->rtcp);
	dev.arg = m;
	err = media_net_open(&m->net, conf->loop, conf, on_packet, m);
	if (err != 0)
		goto out;
	neg_init(m, conf);
	if ((err = media_dev_new(&m->dev, &dev)) != 0)
		goto out;
	if (conf->srtp != MEDIA_SRTP_DISABLED && m->neg.conf.sdes_ok &&
	    (err = media_srtp_need()) != 0)
		goto out;
	if ((err = files_open(m, conf)) != 0)
		goto out;
	m->record_fd = conf->record_fd;
	*out = m;
	m = NULL;
out:
	media_sess_free(m);
	return err;
}

void
media_sess_free(struct media_sess *m)
{
	if (m == NULL)
		return;
	if (m->freed != NULL)
		*m->freed = true;
	media_sess_stop(m);
	media_disk_unwait(&m->finish);
	loop_undefer(&m->tell);
	media_net_close(&m->net);
	media_dev_free(m->dev);
	media_file_close(m->play);
	media_file_close(m->record);
	if (m->record_fd >= 0)
		close(m->record_fd);
	media_rx_clear(&m->rx);
	media_tx_clear(&m->tx);
	media_neg_clear(&m->neg);
	free(m);
}

/* ---- the rest of the face ---- */

int
media_sess_offer(struct media_sess *m, struct buf *sdp)
{
	return media_neg_offer(&m->neg, sdp);
}

int
media_sess_answer(struct media_sess *m, struct slice remote, struct buf *sdp,
    char *why, size_t why_size)
{
	size_t start = sdp->n;
	int err = media_neg_answer(&m->neg, remote, sdp, why, why_size);

	if (err == 0 && (err = commit(m, true)) != 0) {
		buf_cut(sdp, start);
		(void)snprintf(why, why_size, "%s", err_str(err));
	}
	return err;
}

int
media_sess_accept(
    struct media_sess *m, struct slice remote, char *why, size_t why_size)
{
	int err = media_neg_accept(&m->neg, remote, why, why_size);

	if (err == 0 && (err = commit(m, false)) != 0)
		(void)snprintf(why, why_size, "%s", err_str(err));
	return err;
}

void
media_sess_speaker(struct media_sess *m, bool on)
{
	if (m->silent == !on)
		return;
	m->silent = !on;
	if (!m->running)
		return;
	if (!on)
		media_dev_yield(m->dev);
	else if (media_dev_start(m->dev, m->neg.now.codec->rate_hz) != 0)
		on_device_lost(m);
}

void
media_sess_hold(struct media_sess *m, bool hold)
{
	m->neg.hold = hold;
}

int
media_sess_dtmf(struct media_sess *m, const char *digits)
{
	return media_dtmf_queue(&m->tx.dtmf, digits);
}

void
media_sess_get_stats(const struct media_sess *m, struct media_stats *out)
{
	const struct media_agreed *a = &m->neg.now;
	const struct media_net_stats *n = &m->net.stats;
	struct media_jitter_stats j;

	memset(out, 0, sizeof(*out));
	media_jitter_get_stats(&m->rx.jitter, &j);
	if (a->codec != NULL)
		(void)snprintf(out->codec, sizeof(out->codec), "%s/%u",
		    a->codec->name, a->codec->clock_hz);
	if (a->rx.suite != NULL)
		ignore_err(
		    str_copy(out->suite, sizeof(out->suite), a->rx.suite->name),
		    "every name fits");
	ignore_err(
	    str_copy(out->device, sizeof(out->device), media_dev_name(m->dev)),
	    "cut for display");
	out->local = m->net.local;
	out->remote = addr_is_set(&m->net.to) ? m->net.to : a->rtp;
	out->tx_packets = n->tx_packets;
	out->rx_packets = n->rx_packets;
	out->tx_bytes = n->tx_bytes;
	out->rx_bytes = n->rx_bytes;
	out->rx_lost = j.lost;
	out->rx_late = j.late;
	out->rx_dup = j.dup + n->dup;
	out->srtp_auth_fail = n->auth_fail;
	out->rx_clear_refused = n->clear_refused;
	out->rx_foreign = n->foreign;
	out->jitter_us = j.jitter_us;
	out->buffer_ms = j.depth_ms;
	out->rtt_us = m->rtcp.rtt_us;
	out->ptime_ms = a->ptime_ms;
	out->first_rx_us = m->first_rx_us;
	out->sending = (a->dir & MEDIA_SEND) != 0;
	out->receiving = (a->dir & MEDIA_RECV) != 0;
	out->level_tx_db = m->level_tx.db;
	out->level_rx_db = m->level_rx.db;
}
