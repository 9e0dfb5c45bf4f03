/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_TESTS_TEST_MEDIA_PEER_H
#define BELLBIRD_TESTS_TEST_MEDIA_PEER_H

/* For tests of whole audio sessions: one of ours, and a peer of raw sockets
 * that does as it likes, on loopback in fake time.  Include after cmocka.h. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bellbird/clock.h"
#include "../../media/internal.h"

enum {
	MS = 1000, /* us */
	S = 1000000,
	FRAME = 160, /* bytes of 20 ms of PCMU */
	PCM_MAX = 4 * MEDIA_RATE_MAX_HZ,
	EVENTS = MEDIA_EV_FAILED + 1,
	LOG_MAX = 256
};

#define KEY   "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0e"
#define KEY_2 "HhwaGBYUEhAODAoIBgQCAB8dGxkXFRMRDw0LCQcF"
#define S80   "AES_CM_128_HMAC_SHA1_80"

static struct loop *l;

static inline int
setup(void **state)
{
	(void)state;
	clock_fake(1795547180);
	return loop_new(&l) != 0 || media_init(l, NULL) != 0;
}

static inline int
teardown(void **state)
{
	(void)state;
	media_exit();
	loop_free(l);
	clock_real();
	return 0;
}

/* ---- one of ours ---- */

struct party {
	struct media_sess *s;
	unsigned int events[EVENTS];
	char digits[80];
	size_t num_digits;
	int failed;  /* the value of MEDIA_EV_FAILED */
	int free_on; /* this event frees the session; -1: none */
	int fd;      /* what it recorded; -1: nothing */
};

static inline void
on_event(struct media_sess *m, enum media_event ev, int value, void *arg)
{
	struct party *p = arg;

	assert_ptr_equal(m, p->s);
	p->events[ev]++;
	if (ev == MEDIA_EV_DTMF && p->num_digits < sizeof(p->digits) - 1)
		p->digits[p->num_digits++] = (char)value;
	if (ev == MEDIA_EV_FAILED)
		p->failed = value;
	if (p->free_on == (int)ev) {
		media_sess_free(p->s);
		p->s = NULL;
	}
}

/* What they all have; the caller changes some of it. */
static struct media_conf
conf(const char *device)
{
	struct media_conf c = { .loop = l,
		.signalling_secure = true,
		.codecs = "pcmu",
		.device = device,
		.play_fd = -1,
		.record_fd = -1 };

	assert_int_equal(addr_parse(&c.local, slice_of("127.0.0.1"), 0), 0);
	return c;
}

static inline void
party_open(struct party *p, const struct media_conf *c)
{
	memset(p, 0, sizeof(*p));
	p->free_on = p->fd = -1;
	assert_int_equal(media_sess_new(&p->s, c, on_event, p), 0);
}

/* The same, recording. */
static inline void
party_open_rec(struct party *p, struct media_conf c)
{
	int fd = memfd_create("rec", MFD_CLOEXEC);

	assert_true(fd >= 0);
	c.record_fd = dup(fd);
	party_open(p, &c);
	p->fd = fd;
}

static inline void
party_close(struct party *p)
{
	media_sess_free(p->s);
	p->s = NULL;
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}

static inline struct media_stats
stats(const struct party *p)
{
	struct media_stats st;

	media_sess_get_stats(p->s, &st);
	return st;
}

/* Ends the session and reads what it recorded. */
static inline size_t
recorded(struct party *p, int16_t pcm[static PCM_MAX], unsigned int *rate)
{
	struct media_wav *w;
	size_t n;

	media_sess_free(p->s);
	p->s = NULL;
	assert_int_equal(lseek(p->fd, 0, SEEK_SET), 0);
	assert_int_equal(media_wav_open_fd(&w, p->fd), 0);
	p->fd = -1;
	n = media_wav_read(w, pcm, PCM_MAX);
	*rate = media_wav_rate(w);
	media_wav_close(w);
	return n;
}

/* `a` offers, `b` answers. */
static inline void
agree(struct party *a, struct party *b)
{
	struct buf offer, answer;
	char why[200] = "";

	buf_init(&offer, 4000);
	buf_init(&answer, 4000);
	if (media_sess_offer(a->s, &offer) != 0 ||
	    media_sess_answer(b->s, slice_of(buf_str(&offer)), &answer, why,
		sizeof(why)) != 0 ||
	    media_sess_accept(
		a->s, slice_of(buf_str(&answer)), why, sizeof(why)) != 0)
		fail_msg("no agreement: %s", why);
	buf_clear(&offer);
	buf_clear(&answer);
}

static inline void
start(struct party *p)
{
	assert_int_equal(media_sess_start(p->s), 0);
}

/* ---- a peer that does as it likes ---- */

struct seen {
	bool is_rtcp;
	size_t n;
	uint8_t p[MEDIA_PACKET_MAX];
};

struct raw {
	struct udp *rtp, *rtcp;
	struct addr at, to; /* of RTP */
	uint16_t seq;
	struct media_srtp *tx, *rx; /* NULL: clear */
	struct seen seen[LOG_MAX];
	size_t num, rtp_num, rtcp_num;
};

static inline void
on_datagram(
    struct udp *u, uint8_t *p, size_t n, const struct addr *from, void *arg)
{
	struct raw *r = arg;
	struct seen *s;

	(void)from;
	assert_true(n <= MEDIA_PACKET_MAX);
	if (media_rtp_is_rtcp(p, n))
		r->rtcp_num++;
	else
		r->rtp_num++;
	if (r->num == LOG_MAX)
		return;
	s = &r->seen[r->num++];
	s->is_rtcp = u == r->rtcp;
	s->n = n;
	memcpy(s->p, p, n);
}

static inline void
raw_open(struct raw *r, const char *ip)
{
	struct addr a;

	memset(r, 0, sizeof(*r));
	assert_int_equal(addr_parse(&a, slice_of(ip), 0), 0);
	assert_int_equal(udp_open(&r->rtp, l, &a, 0, on_datagram, r), 0);
	assert_int_equal(udp_open(&r->rtcp, l, &a, 0, on_datagram, r), 0);
	udp_local(r->rtp, &r->at);
}

static inline void
raw_close(struct raw *r)
{
	udp_free(r->rtp);
	udp_free(r->rtcp);
	media_srtp_free(r->tx);
	media_srtp_free(r->rx);
}

/* Offers `profile` and `attrs` from where `r` is; the party answers.  Returns
 * the key of the answer. */
static inline struct media_crypto
raw_offer(
    struct raw *r, struct party *p, const char *profile, const char *attrs)
{
	static struct media_sdp got;
	struct media_crypto key = { .suite = NULL };
	struct addr rtcp;
	struct buf out;
	char text[1000], why[200] = "";

	udp_local(r->rtcp, &rtcp);
	(void)snprintf(text, sizeof(text),
	    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\n"
	    "t=0 0\r\nm=audio %u %s 0 101\r\na=rtcp:%u\r\n%s",
	    addr_port(&r->at), profile, addr_port(&rtcp), attrs);
	buf_init(&out, 4000);
	if (media_sess_answer(p->s, slice_of(text), &out, why, sizeof(why)) !=
	    0)
		fail_msg("no agreement: %s", why);
	assert_int_equal(
	    media_sdp_parse(&got, slice_of(buf_str(&out)), why, sizeof(why)),
	    0);
	r->to = got.m[0].conn;
	if (got.m[0].num_crypto != 0)
		assert_int_equal(
		    media_crypto_parse(&key, got.m[0].crypto[0]), 0);
	buf_clear(&out);
	return key;
}

#define EVENTS_OK "a=rtpmap:101 telephone-event/8000\r\n"

/* Sends one packet of silence. */
static inline void
raw_send_pt(struct raw *r, uint8_t pt)
{
	struct media_rtp h = {
		.pt = pt, .seq = r->seq, .ts = r->seq * 160U, .ssrc = 77
	};
	uint8_t p[MEDIA_PACKET_MAX];
	size_t n = MEDIA_RTP_HEADER + FRAME;

	r->seq++;
	media_rtp_print(&h, p);
	memset(p + MEDIA_RTP_HEADER, 0xff, FRAME);
	if (r->tx != NULL)
		assert_int_equal(media_srtp_protect(r->tx, p, &n, false), 0);
	assert_int_equal(udp_send(r->rtp, p, n, &r->to), 0);
}

static inline void
raw_send(struct raw *r)
{
	raw_send_pt(r, 0);
	loop_fake_run(l, 20 * MS);
}

/* Contexts of a raw peer that said `ours` and was answered `theirs`. */
static inline void
raw_keys(struct raw *r, const char *ours, const struct media_crypto *theirs)
{
	struct media_crypto c;
	char text[200];

	media_srtp_free(r->tx);
	media_srtp_free(r->rx);
	(void)snprintf(text, sizeof(text), "1 %s inline:%s", S80, ours);
	assert_int_equal(media_crypto_parse(&c, slice_of(text)), 0);
	assert_int_equal(media_srtp_new(&r->tx, &c, MEDIA_SRTP_OUT), 0);
	assert_int_equal(media_srtp_new(&r->rx, theirs, MEDIA_SRTP_IN), 0);
}

#define CRYPTO(key) "a=crypto:1 " S80 " inline:" key "\r\n"

#endif
