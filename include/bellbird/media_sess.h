/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_MEDIA_SESS_H
#define BELLBIRD_MEDIA_SESS_H

#include <stdbool.h>

#include "bellbird/addr.h"
#include "bellbird/buf.h"
#include "bellbird/loop.h"
#include "bellbird/worker.h"

/* The audio of one call: SDP in and out as text, RTP/SRTP, codec, device. */
struct media_sess;

enum media_srtp_mode {
	MEDIA_SRTP_DISABLED, /* RTP/AVP only */
	MEDIA_SRTP_OPTIONAL, /* RTP/AVP with a=crypto (RFC 8643); clear if the
				peer has none */
	MEDIA_SRTP_STANDARD  /* mandatory: RTP/SAVP offered; never one clear
				packet */
};
/* media_srtp_mode_name: "disabled", "optional", "standard". */
const char *media_srtp_mode_name(enum media_srtp_mode m);

/*
 * media_init notes loop and worker (NULL: no worker, blocking work is done in
 * place).  libsrtp2 is prepared, with BoringSSL's ciphers put in place of its
 * own, in the worker, when the first session that may need it is made: that
 * costs 20 ms and 2.6 MB.  media_exit undoes it, and finishes the recordings
 * that the worker did not get to; call it when the worker is freed.
 */
MUST_CHECK int media_init(struct loop *l, struct worker *w);
void media_exit(void);

struct media_conf {
	struct loop *loop;
	struct addr local; /* IP to bind and to write into SDP; port ignored */
	uint16_t port_min, port_max; /* RTP ports, even; 0,0: kernel chooses */
	enum media_srtp_mode srtp;
	bool clear_signalling_ok; /* SDES although signalling is clear
				     (sip.srtp.clear_signalling) */
	bool signalling_secure;   /* SDES keys travel on TLS */
	const char *suites;       /* ordered list; NULL or empty:
				     AES_CM_128_HMAC_SHA1_80 */
	const char *codecs;       /* "opus,pcmu,pcma"; NULL: built-in order */
	unsigned int ptime_ms;    /* 10..60; 0: 20 */
	/* "null", "loop", "tone:HZ", "wav:IN,OUT", "alsa:NAME"; NULL or empty:
	 * the default card, else null */
	const char *device;
	int play_fd, record_fd;     /* WAV files opened by the caller, -1: none;
				       taken (closed), on success only */
	bool mic_muted;             /* send silence instead of the microphone; a
				       file that plays is heard all the same */
	unsigned int jitter_max_ms; /* audio.jc.range; 0: 100 */
	unsigned int jitter_extra_ms; /* audio.jc.delay */
	int dscp_rtp;
	const char *call_name; /* for file names of the wav device ("c3"); may
				  be NULL */
	uint64_t log_id;
};

enum media_event {
	MEDIA_EV_FIRST_RX, /* the first packet that passed all checks */
	MEDIA_EV_TIMEOUT,  /* nothing for 30 s, audio or report, although
			      something should come */
	MEDIA_EV_PLAYED,   /* play_fd reached its end */
	MEDIA_EV_DTMF,     /* value: the digit */
	MEDIA_EV_DEVICE,   /* the device was lost; null took its place */
	MEDIA_EV_FAILED    /* value: an error; the audio did not start, although
			      media_sess_start could not say so yet, or it
			      stopped for want of memory */
};
/* media_cb runs from the loop, never inside a call; it may free the session. */
typedef void(media_cb)(
    struct media_sess *m, enum media_event ev, int value, void *arg);

/* media_sess_new opens the sockets; the device waits for the start.  Copies
 * `conf`.  E_PARSE for a device string that means nothing, E_MEDIA_DEVICE for
 * a play_fd that is no WAV file, EADDRINUSE with no port left. */
MUST_CHECK int media_sess_new(struct media_sess **out,
    const struct media_conf *conf, media_cb *cb, void *arg);
void media_sess_free(struct media_sess *m);

/*
 * Offer/answer (RFC 3264).  media_sess_offer appends an offer to `sdp`.
 * media_sess_answer judges the remote offer and appends the answer:
 * E_MEDIA_SDP, E_MEDIA_NO_COMMON, E_MEDIA_SRTP_REQUIRED, E_MEDIA_SRTP_KEY
 * (all answered 488); `why` gets a sentence.  media_sess_accept takes the
 * remote answer to our offer, same errors.  Each may be called again in the
 * life of a call (re-INVITE); on failure what was agreed before stays.
 */
MUST_CHECK int media_sess_offer(struct media_sess *m, struct buf *sdp);
MUST_CHECK int media_sess_answer(struct media_sess *m, struct slice remote,
    struct buf *sdp, char *why, size_t why_size);
MUST_CHECK int media_sess_accept(
    struct media_sess *m, struct slice remote, char *why, size_t why_size);

/* media_sess_start opens the device and lets packets flow; needs an agreed
 * session (EINVAL).  Starting what runs is success.  stop says BYE. */
MUST_CHECK int media_sess_start(struct media_sess *m);
void media_sess_stop(struct media_sess *m);
/* media_sess_finish stops for good and closes the files.  True: the worker is
 * still writing recordings, and `cb(arg)` runs once from the loop when they are
 * whole, unless the session is freed before; false: there is nothing to wait
 * for. */
MUST_CHECK bool media_sess_finish(
    struct media_sess *m, timer_cb *cb, void *arg);
/* media_sess_hold sets the direction of the next offer or answer; the
 * microphone is silent at once. */
void media_sess_hold(struct media_sess *m, bool hold);
/* media_sess_speaker: false leaves speaker and microphone to others: nothing is
 * heard, silence is sent (but a file that plays), recordings go on; a sound
 * card is closed.  True, as at first, takes them back. */
void media_sess_speaker(struct media_sess *m, bool on);
/* media_sess_dtmf queues RFC 4733 events (audible tones where the peer did not
 * agree to them); E_PARSE for a character that is none, E_LIMIT above 64. */
MUST_CHECK int media_sess_dtmf(struct media_sess *m, const char *digits);

struct media_stats {
	char codec[16];  /* "opus/48000", "PCMU/8000" */
	char suite[40];  /* "AES_CM_128_HMAC_SHA1_80"; "" = clear */
	char device[64]; /* what is really used: "alsa:default", "null (no sound
			    card)" */
	struct addr local, remote; /* remote: where packets go now */
	uint64_t tx_packets, rx_packets, tx_bytes, rx_bytes; /* payload bytes */
	uint64_t rx_lost, rx_late, rx_dup;
	/* dropped: bad tag, clear where SRTP must be, wrong source */
	uint64_t srtp_auth_fail, rx_clear_refused, rx_foreign;
	unsigned int jitter_us, buffer_ms, rtt_us;
	unsigned int ptime_ms;
	int64_t first_rx_us; /* from start to the first good packet; -1: none */
	bool sending, receiving;
	float level_tx_db, level_rx_db; /* dBFS of the last second */
};
/* media_sess_get_stats: any time. */
void media_sess_get_stats(const struct media_sess *m, struct media_stats *out);

/* media_device_check tells whether a device string is usable: 0, E_PARSE,
 * E_MEDIA_DEVICE; `shown` gets what would really be used and why. */
MUST_CHECK int media_device_check(
    const char *device, char *shown, size_t shown_size);

#endif
