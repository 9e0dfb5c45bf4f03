/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_MEDIA_WAV_H
#define BELLBIRD_MEDIA_WAV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bellbird/err.h"

/* WAV files: 16 bit PCM in and out (8 bit, A-law and mu-law in too). */
struct media_wav;

/* media_wav_open_fd takes `fd`, on success only; E_MEDIA_DEVICE if it is no
 * usable WAV, or not a regular file (a pipe would block the loop). */
MUST_CHECK int media_wav_open_fd(struct media_wav **out, int fd);
/* media_wav_create_fd takes `fd`, on success only, and empties it; mono, 16
 * bit, 4,000 to 192,000 Hz; E_MEDIA_DEVICE if it cannot be written. */
MUST_CHECK int media_wav_create_fd(
    struct media_wav **out, int fd, unsigned int rate_hz);
/* media_wav_close writes the lengths into the header of a created file. */
void media_wav_close(struct media_wav *w);
unsigned int media_wav_rate(const struct media_wav *w);

/* media_wav_read returns mono samples (several channels are averaged); fewer
 * than `n` only at the end. */
size_t media_wav_read(struct media_wav *w, int16_t *pcm, size_t n);
/* media_wav_write: E_LIMIT near 2 GiB, else an errno, which sticks. */
MUST_CHECK int media_wav_write(
    struct media_wav *w, const int16_t *pcm, size_t n);

/*
 * media_tone_snr_db compares the energy at `hz` (least squares fit of one
 * sine) with everything else, over the samples after `skip_s` seconds.
 * -99 for silence.  The detector of tests and demo.
 */
double media_tone_snr_db(const int16_t *pcm, size_t n, unsigned int rate_hz,
    double hz, double skip_s);

#endif
