/* SPDX-License-Identifier: ISC */
/* What the files of media/ share: packets, codecs, keys, devices, agreement.
 * Nothing here is seen outside the folder. */
#ifndef BELLBIRD_MEDIA_INTERNAL_H
#define BELLBIRD_MEDIA_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "bellbird/addr.h"
#include "bellbird/buf.h"
#include "bellbird/media_sess.h"
#include "bellbird/media_wav.h"
#include "bellbird/str.h"
#include "bellbird/udp.h"

enum {
	MEDIA_PTIME_MIN_MS = 10,
	MEDIA_PTIME_MAX_MS = 60,
	MEDIA_RATE_MAX_HZ = 48000,
	/* samples of the longest frame of ours */
	MEDIA_FRAME_MAX = MEDIA_RATE_MAX_HZ / 1000 * MEDIA_PTIME_MAX_MS,
	/* samples of the longest packet of a peer: 120 ms (RFC 6716) */
	MEDIA_DECODED_MAX = MEDIA_RATE_MAX_HZ / 1000 * 120,
	/* An Ethernet frame; nobody fragments audio. */
	MEDIA_PACKET_MAX = 1500,
	MEDIA_PAYLOAD_MAX = 1300
};

/* ---- RTP header (media_rtp.c) ---- */

enum { MEDIA_RTP_HEADER = 12 };

struct media_rtp {
	bool marker;
	uint8_t pt;
	uint16_t seq;
	uint32_t ts, ssrc;
	const uint8_t *payload; /* borrowed from the packet */
	size_t n;
};

/* media_rtp_parse judges a packet; E_PARSE if it is none or lies about
 * itself (padding, CSRC list, extension). */
MUST_CHECK int media_rtp_parse(struct media_rtp *h, const uint8_t *p, size_t n);
/* media_rtp_print writes the 12 bytes of a header without CSRC. */
void media_rtp_print(
    const struct media_rtp *h, uint8_t out[static MEDIA_RTP_HEADER]);
/* media_rtp_is_rtcp tells the two apart on one port (RFC 5761 4). */
bool media_rtp_is_rtcp(const uint8_t *p, size_t n);
/* Big-endian numbers. */
uint16_t media_get16(const uint8_t *p);
uint32_t media_get32(const uint8_t *p);
void media_put16(uint8_t *p, uint16_t v);
void media_put32(uint8_t *p, uint32_t v);

/* ---- RTCP (media_rtcp.c) ---- */

enum { MEDIA_CNAME_MAX = 32, MEDIA_RTCP_MAX = 256 };

/* What one end knows for its reports. */
struct media_rtcp {
	char cname[MEDIA_CNAME_MAX];
	uint32_t their_sr_mid; /* middle of the NTP time of their last SR */
	int64_t their_sr_us;   /* when it came; 0: never */
	uint32_t our_sr_mid;   /* of our last SR */
	int64_t our_sr_us;     /* when it left; 0: never */
	uint32_t prior_expected, prior_received;
	unsigned int rtt_us; /* 0: unknown */
	uint8_t peer_loss;   /* what they miss of ours, 1/256 */
};

struct media_rtcp_view {
	uint32_t ssrc;
	bool is_sender;
	uint32_t rtp_ts;
	uint32_t packets, octets; /* sent */
	bool has_peer;
	uint32_t peer_ssrc;
	uint32_t expected, received, max_ext_seq, jitter_ts;
};

/* media_rtcp_init picks a random CNAME (RFC 7022). */
void media_rtcp_init(struct media_rtcp *r);
/* media_rtcp_write composes SR or RR, SDES and, if asked, BYE; returns the
 * length, at most MEDIA_RTCP_MAX. */
size_t media_rtcp_write(struct media_rtcp *r, const struct media_rtcp_view *v,
    bool bye, int64_t now_us, uint8_t out[static MEDIA_RTCP_MAX]);
/* media_rtcp_read takes a compound packet; E_PARSE leaves `r` alone. */
MUST_CHECK int media_rtcp_read(struct media_rtcp *r, uint32_t our_ssrc,
    const uint8_t *p, size_t n, int64_t now_us);
/* media_rtcp_interval_us: 5 s, randomised (RFC 3550 6.3.1); half at first. */
int64_t media_rtcp_interval_us(bool first);

/* ---- jitter buffer (media_jitter.c) ---- */

enum { MEDIA_JITTER_SLOTS = 64 }; /* a power of two */
enum { MEDIA_JITTER_HISTORY = 4 };

struct media_jitter_packet;

struct media_jitter_conf {
	unsigned int clock_hz;
	unsigned int ptime_ms; /* until the peer's own is known */
	unsigned int max_ms, extra_ms;
};

struct media_jitter_stats {
	uint64_t received, late, dup, lost;
	uint32_t expected, unique; /* since the last SSRC, for RTCP */
	uint32_t max_ext_seq, ssrc, jitter_ts;
	unsigned int jitter_us, depth_ms;
	bool has_peer;
};

struct media_jitter {
	struct media_jitter_conf conf;
	struct media_jitter_packet *slots[MEDIA_JITTER_SLOTS]; /* owned */
	struct media_jitter_packet *spare;                     /* owned list */
	struct media_jitter_packet *lent; /* owned; the last one handed out */

	bool synced; /* an SSRC is being followed */
	bool playing;
	bool fresh; /* nothing has been played since the last flush */
	bool grow;  /* hold the next packet back once */
	uint32_t ssrc;
	uint32_t base_ext, max_ext, next_ext; /* extended sequence numbers */
	uint32_t bad_seq;                     /* UINT32_MAX: none */
	uint64_t seen;                        /* bit i: max_ext - i has come */
	unsigned int held, waited;
	int64_t fill_us; /* arrival of the first packet while filling */

	uint32_t frame_ts; /* RTP ticks a packet */
	uint32_t last_ts, last_ext;
	bool has_last;
	int64_t media_us; /* RTP time of last_ts, extended */
	int64_t min_us[MEDIA_JITTER_HISTORY]; /* least transit a window */
	int64_t peak_us[MEDIA_JITTER_HISTORY];
	int64_t window_us; /* start of the current window */
	int64_t transit_us;
	bool has_transit;
	uint32_t jitter16; /* RFC 3550 A.8, 16 times, RTP ticks */

	unsigned int target; /* packets */
	unsigned int least;  /* fewest held in the shrink window */
	int64_t shrink_us;
	bool excess;

	struct media_jitter_stats stats;
};

enum media_jitter_kind { MEDIA_JITTER_AUDIO, MEDIA_JITTER_EVENT };

enum media_jitter_got {
	MEDIA_GOT_PACKET, /* `out` */
	MEDIA_GOT_LOST,   /* conceal one packet; `out` is the next, if any */
	MEDIA_GOT_WAIT,   /* conceal while waiting */
	MEDIA_GOT_EVENT,  /* a place taken by a DTMF packet: silence */
	MEDIA_GOT_IDLE    /* silence */
};

struct media_jitter_out {
	uint8_t pt;
	const uint8_t *p; /* borrowed until the next call; NULL: none */
	size_t n;
};

void media_jitter_init(
    struct media_jitter *j, const struct media_jitter_conf *conf);
void media_jitter_clear(struct media_jitter *j);
/* media_jitter_put copies the payload; ENOMEM, or 0 even if it was dropped. */
MUST_CHECK int media_jitter_put(struct media_jitter *j,
    const struct media_rtp *h, enum media_jitter_kind kind, int64_t now_us);
enum media_jitter_got media_jitter_get(
    struct media_jitter *j, int64_t now_us, struct media_jitter_out *out);
/* media_jitter_restart follows whatever comes next, after a pause in which
 * nothing was put; totals stay. */
void media_jitter_restart(struct media_jitter *j);
/* media_jitter_excess tells, once, that one packet too many has been held for
 * a while: the caller should play two in the time of less. */
bool media_jitter_excess(struct media_jitter *j);
void media_jitter_get_stats(
    const struct media_jitter *j, struct media_jitter_stats *out);

/* ---- concealment and compression of speech (media_plc.c) ---- */

enum {
	MEDIA_PLC_PITCH_MAX_US = 15000, /* 66 Hz, a deep voice */
	MEDIA_PLC_PITCH_MIN_US = 2500,  /* 400 Hz */
	MEDIA_PLC_HISTORY = 45 * MEDIA_RATE_MAX_HZ / 1000
};

/* For codecs without concealment of their own; 8 kHz only in practice. */
struct media_plc {
	unsigned int rate_hz;
	int16_t *history; /* owned, the last 45 ms */
	size_t cap;
	size_t pitch; /* samples; 0: not concealing */
	size_t phase; /* within the period */
	size_t lost;  /* samples concealed in a row */
};

MUST_CHECK int media_plc_init(struct media_plc *p, unsigned int rate_hz);
void media_plc_clear(struct media_plc *p);
/* media_plc_good remembers decoded samples and smooths the seam after a gap,
 * in place. */
void media_plc_good(struct media_plc *p, int16_t *pcm, size_t n);
void media_plc_conceal(struct media_plc *p, int16_t *pcm, size_t n);
/* media_plc_compress takes one pitch period out of `pcm`; returns the new
 * length. */
size_t media_plc_compress(int16_t *pcm, size_t n, unsigned int rate_hz);

/* ---- codecs (media_codec.c, media_g711.c, media_opus.c) ---- */

struct media_codec_params {
	unsigned int bitrate; /* ceiling asked for by the peer; 0: none */
	bool fec;             /* the peer can use in-band FEC */
};

struct media_codec {
	const char *name; /* of rtpmap */
	const char *key;  /* of the settings */
	unsigned int rate_hz, clock_hz, channels;
	uint8_t pt;        /* static, or the dynamic one we offer */
	const char *fmtp;  /* what we can do; NULL: nothing to say */
	bool is_stateless; /* decode() needs no state */
	bool odd_ptime_ok; /* any multiple of 10 ms can be sent */
	int (*enc_new)(void **out, const struct media_codec_params *p);
	void (*enc_free)(void *enc);
	/* encode returns the bytes written, 0 on failure. */
	size_t (*encode)(
	    void *enc, const int16_t *pcm, size_t n, uint8_t *out, size_t max);
	void (*enc_loss)(void *enc, unsigned int percent); /* may be NULL */
	int (*dec_new)(void **out);
	void (*dec_free)(void *dec);
	/* samples returns what a payload lasts; 0 if it is malformed. */
	size_t (*samples)(const uint8_t *p, size_t n);
	/* decode returns the samples written, 0 on failure. */
	size_t (*decode)(
	    void *dec, const uint8_t *p, size_t n, int16_t *pcm, size_t max);
	/* conceal makes up `want` samples, from redundancy in the following
	 * packet `p` if there is one; NULL: media_plc does it. */
	size_t (*conceal)(
	    void *dec, const uint8_t *p, size_t n, int16_t *pcm, size_t want);
};

extern const struct media_codec media_pcmu, media_pcma, media_opus;

enum { MEDIA_CODECS_MAX = 3 };

/* media_codec_list reads "opus,pcmu"; NULL, empty or nothing known gives the
 * built-in order.  Returns how many. */
size_t media_codec_list(
    const char *names, const struct media_codec *out[static MEDIA_CODECS_MAX]);
/* media_codec_find looks by rtpmap; NULL if it is not ours. */
const struct media_codec *media_codec_find(
    struct slice name, unsigned int clock_hz, unsigned int channels);
/* G.711 sample by sample. */
uint8_t media_ulaw_encode(int16_t v);
int16_t media_ulaw_decode(uint8_t b);
uint8_t media_alaw_encode(int16_t v);
int16_t media_alaw_decode(uint8_t b);

/* ---- tones (media_tone.c) ---- */

struct media_tone {
	double re, im, step_re, step_im; /* a phasor that turns */
	double amplitude;
	unsigned int turns; /* since its length was put right */
};

/* media_tone_init: `dbfs` is of the RMS against a full-scale sine. */
void media_tone_init(
    struct media_tone *t, double hz, unsigned int rate_hz, double dbfs);
/* media_tone_add adds to what is in `pcm`, with clipping. */
void media_tone_add(struct media_tone *t, int16_t *pcm, size_t n);
/* Energy of samples (sum of squares), and the level of a mean in dBFS. */
double media_energy(const int16_t *pcm, size_t n);
float media_level_db(double energy, uint64_t samples);

/* ---- DTMF (media_dtmf.c) ---- */

enum { MEDIA_DTMF_QUEUE = 64 }; /* digits of one command: a calling card */

struct media_dtmf_tx {
	char queue[MEDIA_DTMF_QUEUE];
	size_t num;
	int event; /* 0..15; -1: none */
	unsigned int sent_ms, gap_ms;
	unsigned int ends; /* end packets still to be sent */
	uint32_t start_ts;
	bool first;
	struct media_tone low, high; /* in-band, where RFC 4733 is not agreed */
};

struct media_dtmf_out {
	bool marker;
	uint32_t ts;
	uint8_t payload[4];
};

void media_dtmf_init(struct media_dtmf_tx *d);
/* media_dtmf_queue: E_PARSE for a character that is no digit, E_LIMIT. */
MUST_CHECK int media_dtmf_queue(struct media_dtmf_tx *d, const char *digits);
bool media_dtmf_is_busy(const struct media_dtmf_tx *d);
/* media_dtmf_step advances by a frame that starts at `ts`; true if `out` takes
 * the place of the audio. */
bool media_dtmf_step(struct media_dtmf_tx *d, uint32_t ts,
    unsigned int frame_ms, unsigned int clock_hz, struct media_dtmf_out *out);
/* media_dtmf_tone does the same with audible tones in `pcm`. */
bool media_dtmf_tone(struct media_dtmf_tx *d, int16_t *pcm, size_t n,
    unsigned int frame_ms, unsigned int rate_hz);

struct media_dtmf_rx {
	bool has_last;
	uint32_t last_ts;
};

/* media_dtmf_read returns the digit of a new event, else 0. */
char media_dtmf_read(
    struct media_dtmf_rx *d, const uint8_t *p, size_t n, uint32_t ts);

/* ---- SDES keys (media_crypto.c) ---- */

enum {
	MEDIA_KEY_MAX = 46, /* 32 bytes of key, 14 of salt */
	MEDIA_MKI_MAX = 8,  /* a longer identifier is of no use for one key */
	MEDIA_SUITES_MAX = 4
};

struct media_suite {
	const char *name;
	size_t key_len; /* with salt */
	size_t tag_len; /* of RTP; RTCP always has 10 bytes */
};

struct media_crypto {
	const struct media_suite *suite; /* NULL: none */
	unsigned int tag;                /* 1..999999999 */
	uint8_t key[MEDIA_KEY_MAX];      /* secret */
	uint8_t mki[MEDIA_MKI_MAX];
	size_t mki_len; /* 0: packets carry none */
};

/* media_suite_list reads names in either case, separated by commas or spaces;
 * NULL or nothing known gives AES_CM_128_HMAC_SHA1_80.  Returns how many. */
size_t media_suite_list(
    const char *names, const struct media_suite *out[static MEDIA_SUITES_MAX]);
/* media_crypto_parse reads what follows "a=crypto:": E_PARSE if malformed,
 * E_MEDIA_SRTP_KEY for a suite or parameter that we do not have. */
MUST_CHECK int media_crypto_parse(struct media_crypto *c, struct slice s);
void media_crypto_print(const struct media_crypto *c, struct buf *b);
/* media_crypto_make fills in a fresh random key. */
void media_crypto_make(
    struct media_crypto *c, const struct media_suite *suite, unsigned int tag);
bool media_crypto_same_key(
    const struct media_crypto *a, const struct media_crypto *b);

/* ---- SRTP (media_srtp.c, media_srtp_cipher.c) ---- */

struct media_srtp; /* one direction under one key */

/* media_srtp_need starts the preparation of libsrtp2 if nobody did, or if it
 * failed. */
MUST_CHECK int media_srtp_need(void);
/* media_srtp_state: 0 ready, EAGAIN not yet, else why it failed. */
int media_srtp_state(void);
/* A waiter is told once, from the loop, when media_srtp_state has changed. */
struct media_srtp_waiter {
	LIST_ENTRY(media_srtp_waiter) link;
	timer_cb *cb;
	void *arg;
	bool queued;
};
void media_srtp_wait(struct media_srtp_waiter *w, timer_cb *cb, void *arg);
void media_srtp_unwait(struct media_srtp_waiter *w);
/* media_srtp_ciphers puts BoringSSL's in the place of libsrtp2's own. */
MUST_CHECK int media_srtp_ciphers(void);

enum media_srtp_dir { MEDIA_SRTP_OUT, MEDIA_SRTP_IN };

/* media_srtp_new: ready only; ENOMEM, E_MEDIA_SRTP_KEY. */
MUST_CHECK int media_srtp_new(struct media_srtp **out,
    const struct media_crypto *c, enum media_srtp_dir dir);
void media_srtp_free(struct media_srtp *s);
enum {
	/* SSRCs of a peer at a time, each with a replay window: whoever has the
	 * key may write another SSRC into each packet, and each would cost
	 * memory, and time to look it up, until the call ends. */
	MEDIA_SRTP_SOURCES_MAX = 16,
	/* A new one beyond takes the place of whoever has been silent longest,
	 * if for so long: the replay window of a stream that flows, or that
	 * sends reports, cannot be pushed out. */
	MEDIA_SRTP_QUIET_US = 30000000
};
/* Both work in place; `*n` changes.  protect needs 32 bytes behind the
 * packet.  unprotect: EBADMSG bad tag, EALREADY replayed, E_LIMIT one SSRC too
 * many, E_PARSE. */
MUST_CHECK int media_srtp_protect(
    struct media_srtp *s, uint8_t *p, size_t *n, bool is_rtcp);
MUST_CHECK int media_srtp_unprotect(
    struct media_srtp *s, uint8_t *p, size_t *n, bool is_rtcp);

/* ---- SDP (media_sdp.c) ---- */

enum {
	/* Ceilings; a call's SDP has a tenth of each. */
	MEDIA_SDP_MAX = 16384, /* bytes */
	MEDIA_SDP_LINES_MAX = 512,
	MEDIA_SDP_LINE_MAX = 1024,
	MEDIA_SDP_M_MAX = 8, /* audio twice, video twice, and some */
	MEDIA_SDP_FMT_MAX = 32,
	MEDIA_SDP_CRYPTO_MAX = 16
};

enum media_dir {
	MEDIA_INACTIVE = 0,
	MEDIA_SEND = 1,
	MEDIA_RECV = 2,
	MEDIA_SENDRECV = 3
};

enum media_proto {
	MEDIA_PROTO_OTHER,
	MEDIA_PROTO_AVP,
	MEDIA_PROTO_AVPF,
	MEDIA_PROTO_SAVP,
	MEDIA_PROTO_SAVPF
};

struct media_sdp_fmt {
	uint8_t pt;
	struct slice name; /* empty: no rtpmap */
	unsigned int clock_hz, channels;
	struct slice fmtp;
};

struct media_sdp_m {
	struct slice line; /* what follows "m=" */
	struct slice kind, proto_text, fmts_text;
	bool is_audio;
	uint16_t port;
	enum media_proto proto;
	struct media_sdp_fmt fmts[MEDIA_SDP_FMT_MAX];
	size_t num_fmts;
	struct addr conn; /* with port; unset: none */
	struct addr rtcp; /* a=rtcp; unset: port + 1 */
	uint16_t rtcp_port;
	bool rtcp_mux;
	unsigned int ptime_ms, maxptime_ms; /* 0: not said */
	enum media_dir dir;
	struct slice crypto[MEDIA_SDP_CRYPTO_MAX];
	size_t num_crypto;
};

/* Slices borrow the text. */
struct media_sdp {
	struct media_sdp_m m[MEDIA_SDP_M_MAX];
	size_t num_m;
};

/* media_sdp_parse: E_MEDIA_SDP with a sentence in `why`. */
MUST_CHECK int media_sdp_parse(
    struct media_sdp *sdp, struct slice text, char *why, size_t why_size);
/* media_number reads digits alone, without the sign that str_int takes;
 * E_PARSE. */
MUST_CHECK int media_number(
    struct slice s, int64_t min, int64_t max, int64_t *out);
const char *media_proto_name(enum media_proto p);
bool media_proto_is_secure(enum media_proto p);
const char *media_dir_name(enum media_dir d);

/* ---- offer and answer (media_offer.c, media_agree.c) ---- */

struct media_agreed {
	const struct media_codec *codec; /* NULL: nothing agreed */
	uint8_t pt_tx, pt_rx;
	const struct media_codec
	    *alt; /* a second stateless one they may send */
	uint8_t alt_pt;
	struct media_codec_params params;
	int dtmf_tx, dtmf_rx; /* payload types; -1: not agreed */
	unsigned int dtmf_hz;
	struct addr rtp, rtcp; /* where to send */
	bool rtcp_mux;
	unsigned int ptime_ms;
	enum media_dir dir;         /* from our side */
	struct media_crypto tx, rx; /* suite NULL: clear */
};

struct media_neg_conf {
	enum media_srtp_mode mode;
	bool sdes_ok;
	const struct media_suite *suites[MEDIA_SUITES_MAX];
	size_t num_suites;
	const struct media_codec *codecs[MEDIA_CODECS_MAX];
	size_t num_codecs;
	unsigned int ptime_ms;
};

/* The negotiation of one session: knows no sockets. */
struct media_neg {
	struct media_neg_conf conf;
	struct addr local; /* with the RTP port */
	uint16_t rtcp_port;
	uint64_t id, version;
	bool hold;
	uint8_t pts[MEDIA_CODECS_MAX]; /* of conf.codecs, as on the wire */
	uint8_t dtmf_pts[2];           /* 8000 Hz, the codec's other clock */
	bool offered;                  /* an offer of ours may be answered */
	bool offered_secure;           /* it was made in an encrypted call */
	enum media_proto proto;        /* of our m-line */
	enum media_dir offered_dir;
	struct media_crypto cryptos[MEDIA_SUITES_MAX]; /* as offered */
	size_t num_cryptos;
	char *before, *after; /* owned: m-lines around ours, refused ones */
	size_t index;         /* of ours */
	struct media_agreed now, next;
	bool has_next;
	char *next_before, *next_after; /* owned */
	size_t next_index;
	enum media_proto next_proto;
};

void media_neg_init(struct media_neg *n, const struct media_neg_conf *conf,
    const struct addr *local, uint16_t rtcp_port);
void media_neg_clear(struct media_neg *n);
/* See media_sess_offer and its siblings.  answer and accept leave the result
 * in `next`; commit makes it `now`, drop forgets it. */
MUST_CHECK int media_neg_offer(struct media_neg *n, struct buf *sdp);
MUST_CHECK int media_neg_answer(struct media_neg *n, struct slice remote,
    struct buf *sdp, char *why, size_t why_size);
MUST_CHECK int media_neg_accept(
    struct media_neg *n, struct slice remote, char *why, size_t why_size);
void media_neg_commit(struct media_neg *n);
void media_neg_drop(struct media_neg *n);

/* Parts of the judgement (media_agree.c). */
enum media_secure {
	MEDIA_SECURE_NO,  /* clear, and that is allowed */
	MEDIA_SECURE_YES, /* `crypto` is usable */
};
struct media_judged {
	const struct media_sdp_m *m;
	enum media_secure secure;
	struct media_crypto crypto; /* theirs */
};
/* media_agree_offer judges one offered m-line under the SRTP policy; a call
 * that is encrypted stays so. */
MUST_CHECK int media_agree_offer(const struct media_neg *n,
    const struct media_sdp_m *m, struct media_judged *out, char *why,
    size_t why_size);
/* media_agree_codec picks codec, payload types, ptime, addresses. */
MUST_CHECK int media_agree_codec(const struct media_neg *n,
    const struct media_sdp_m *m, bool is_answer, struct media_agreed *a,
    char *why, size_t why_size);
MUST_CHECK int media_agree_addr(const struct media_neg *n,
    const struct media_sdp_m *m, struct media_agreed *a, char *why,
    size_t why_size);

/* ---- WAV files that the worker reads and writes (media_disk.c) ---- */

struct media_disk;

/* media_disk_open takes `w`; what is played is read ahead from now on. */
MUST_CHECK int media_disk_open(struct media_disk **out, struct media_wav *w,
    bool writing, uint64_t log_id);
/* media_disk_close lets the worker write the rest, then close. */
void media_disk_close(struct media_disk *d);
/* media_disk_read returns fewer than `n` only at the end; what the disk does
 * not give in time is silence. */
size_t media_disk_read(struct media_disk *d, int16_t *pcm, size_t n);
/* media_disk_write drops, with a warning, what the disk is too slow for. */
void media_disk_write(struct media_disk *d, const int16_t *pcm, size_t n);
/* A waiter is told once, from the loop, when every recording that was closed
 * until now is whole; false: all are, it will not be told.  Zero state: waits
 * for nothing. */
struct media_disk_waiter {
	LIST_ENTRY(media_disk_waiter) link;
	struct loop *loop;
	struct deferred tell;
	timer_cb *cb;
	void *arg;
	uint64_t until;
	bool queued;
};
bool media_disk_wait(
    struct media_disk_waiter *w, struct loop *l, timer_cb *cb, void *arg);
void media_disk_unwait(struct media_disk_waiter *w);
/* media_disk_exit does in place what a worker that is gone left undone. */
void media_disk_exit(void);

/* ---- WAV files at the rate of the session (media_file.c) ---- */

struct media_file;

/* media_file_open reads `fd`, media_file_create writes it; both take it. */
MUST_CHECK int media_file_open(
    struct media_file **out, int fd, uint64_t log_id);
MUST_CHECK int media_file_create(
    struct media_file **out, int fd, unsigned int rate_hz, uint64_t log_id);
/* media_file_close: a recording is whole a little later, see media_disk_wait.
 */
void media_file_close(struct media_file *f);
/* media_file_prepare_rate makes ready for frames at another rate; `f` goes on
 * as it is until media_file_use_rate, which cannot fail. */
MUST_CHECK int media_file_prepare_rate(
    struct media_file *f, unsigned int rate_hz);
void media_file_use_rate(struct media_file *f);
/* media_file_read fills all of `pcm`, with silence behind the end; false once
 * the file has nothing more. */
bool media_file_read(struct media_file *f, int16_t *pcm, size_t n);
void media_file_write(struct media_file *f, const int16_t *pcm, size_t n);
/* media_wav_release is media_wav_close but returns the descriptor, open. */
int media_wav_release(struct media_wav *w);

/* ---- devices (media_dev.c, media_alsa.c) ---- */

enum { MEDIA_DEV_NAME_MAX = 64 };

struct media_dev;

/* A lost device tells once, from the loop. */
struct media_dev_conf {
	struct loop *loop;
	const char *device;
	const char *call_name;
	uint64_t log_id;
	timer_cb *lost;
	void *arg;
};

/* media_dev_new never fails for want of a device: null takes its place, and
 * the name says why.  E_PARSE for a string that means nothing. */
MUST_CHECK int media_dev_new(
    struct media_dev **out, const struct media_dev_conf *conf);
void media_dev_free(struct media_dev *d);
/* media_dev_start opens it for frames at `rate_hz`; again for a new rate: on
 * failure it goes on at the old one. */
MUST_CHECK int media_dev_start(struct media_dev *d, unsigned int rate_hz);
void media_dev_stop(struct media_dev *d);
/* media_dev_yield closes what only one can have open, a sound card; the next
 * media_dev_start opens it again. */
void media_dev_yield(struct media_dev *d);
void media_dev_read(struct media_dev *d, int16_t *pcm, size_t n);
void media_dev_write(struct media_dev *d, const int16_t *pcm, size_t n);
/* "alsa:default", "null (no sound card)": what is really used. */
const char *media_dev_name(const struct media_dev *d);

/* The sound card behind it; opened in the worker if there is one. */
struct media_alsa;
typedef void(media_alsa_cb)(const char *why, void *arg); /* NULL: opened */
MUST_CHECK int media_alsa_new(struct media_alsa **out, const char *name,
    unsigned int rate_hz, media_alsa_cb *cb, void *arg);
void media_alsa_free(struct media_alsa *a);
/* Both return 0, or an errno once the card is gone for good. */
MUST_CHECK int media_alsa_read(struct media_alsa *a, int16_t *pcm, size_t n);
MUST_CHECK int media_alsa_write(
    struct media_alsa *a, const int16_t *pcm, size_t n);
/* media_alsa_is_absent: `name` needs a card, and this machine has none. */
bool media_alsa_is_absent(const char *name);
/* The worker that media_init was given; may be NULL. */
struct worker *media_worker(void);

/* ---- receiving and sending halves (media_rx.c, media_tx.c) ---- */

struct media_rx {
	const struct media_codec *codec; /* NULL: not started */
	const struct media_codec *alt;
	uint8_t pt, alt_pt;
	void *dec; /* owned */
	struct media_jitter jitter;
	struct media_plc plc;
	int16_t *fifo; /* owned: decoded, not yet played */
	size_t fifo_n, fifo_cap;
	size_t last_samples; /* of the last packet */
};

MUST_CHECK int media_rx_start(struct media_rx *r, const struct media_agreed *a,
    const struct media_jitter_conf *conf);
void media_rx_clear(struct media_rx *r);
/* media_rx_get fills `pcm` with what is to be heard now. */
void media_rx_get(struct media_rx *r, int64_t now_us, int16_t *pcm, size_t n);

struct media_tx {
	const struct media_codec *codec;
	void *enc; /* owned */
	uint8_t pt;
	int dtmf_pt;
	unsigned int dtmf_hz;
	uint32_t ssrc, ts;
	uint16_t seq;
	bool marker; /* the next packet starts a talkspurt */
	struct media_dtmf_tx dtmf;
};

void media_tx_init(struct media_tx *t);
/* media_tx_start takes an encoder made by the codec of `a`. */
void media_tx_start(
    struct media_tx *t, const struct media_agreed *a, void *enc);
void media_tx_clear(struct media_tx *t);
/* media_tx_frame makes the RTP packet of one frame in `out` (room of
 * MEDIA_PACKET_MAX); returns its length, 0 for none. */
size_t media_tx_frame(struct media_tx *t, int16_t *pcm, size_t n, uint8_t *out);
/* media_tx_skip lets `n` samples pass unsent. */
void media_tx_skip(struct media_tx *t, size_t n);

/* ---- sockets, SRTP, sources (media_net.c) ---- */

struct media_net_stats {
	uint64_t tx_packets, rx_packets, tx_bytes, rx_bytes;
	uint64_t dup, auth_fail, clear_refused, foreign;
};

/* A packet that passed all checks; `is_rtcp` tells which kind.  May free the
 * session. */
typedef void(media_net_cb)(const uint8_t *p, size_t n, bool is_rtcp, void *arg);

struct media_net {
	struct udp *rtp, *rtcp; /* owned */
	struct addr local;
	uint16_t rtcp_port;
	uint64_t log_id;
	media_net_cb *cb;
	void *arg;

	bool open;                         /* packets are taken */
	const struct media_agreed *agreed; /* borrowed from the session */
	struct addr signalled;             /* where they said they are */
	struct addr to, rtcp_to;
	bool latched;
	int64_t latch_until_us;
	bool mux;

	bool secure;
	struct media_crypto tx_key, rx_key; /* of the contexts; secret */
	struct media_srtp *tx, *rx;         /* owned */
	struct media_srtp *old_rx;          /* owned: until old_until_us */
	struct media_srtp *next_tx; /* owned: until they use their new key */
	int64_t old_until_us, next_tx_us;

	struct media_net_stats stats;
};

/* New contexts, made before anything is changed. */
struct media_net_keys {
	struct media_srtp *tx, *rx;
};

MUST_CHECK int media_net_open(struct media_net *n, struct loop *l,
    const struct media_conf *conf, media_net_cb *cb, void *arg);
void media_net_close(struct media_net *n);
/* media_net_prepare makes what `a` needs and `n` has not; media_net_apply
 * takes it into use (cannot fail). `answered`: we wrote the answer, so the
 * peer does not know our new key yet. */
MUST_CHECK int media_net_prepare(const struct media_net *n,
    const struct media_agreed *a, struct media_net_keys *keys);
void media_net_apply(struct media_net *n, const struct media_agreed *a,
    struct media_net_keys *keys, bool answered);
void media_net_keys_free(struct media_net_keys *keys);
/* media_net_start lets packets in; sources may be learnt from now on. */
void media_net_start(struct media_net *n);
void media_net_stop(struct media_net *n);
/* media_net_send protects `p` in place (32 bytes of room) and sends it. */
void media_net_send(struct media_net *n, uint8_t *p, size_t len, bool is_rtcp);
/* media_net_tidy ends the time of old keys. */
void media_net_tidy(struct media_net *n, int64_t now_us);

#endif
