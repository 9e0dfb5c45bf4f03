/* SPDX-License-Identifier: ISC */
/* What enroll.c and enroll_keep.c share. */
#ifndef BELLBIRD_SRC_ENROLL_H
#define BELLBIRD_SRC_ENROLL_H

#include "bellbird/buf.h"
#include "bellbird/prov_est.h"
#include "internal.h"

/* A request that the CA has not decided yet; it outlives a restart, since it
 * has to be repeated with the same key (RFC 7030 4.2.3). */
struct pending {
	enum prov_est_op op;
	struct buf csr, key; /* DER; PEM */
	char renews[65];     /* SHA-256 of what it is to replace; "" none */
	char server[300];    /* and label: another one knows nothing of it */
	int64_t since_s;     /* wall clock: the first 202; 0: not asked yet */
	int64_t retry_s;     /* wall clock: not before */
};
void pending_init(struct pending *p);
void pending_clear(struct pending *p);
/* pending_print appends the file, key and all, to a secret buffer. */
MUST_CHECK int pending_print(const struct pending *p, struct buf *out);
/* pending_read reads it again; E_PARSE, and `p` is clear. */
MUST_CHECK int pending_read(struct pending *p, const char *path);

/* What the worker does: write one file, then remove another. */
enum keep_what { KEEP_CERT, KEEP_PENDING, KEEP_NONE };
struct keep {
	enum keep_what what;
	char dir[PATH_MAX], path[PATH_MAX], drop[PATH_MAX]; /* "": none */
	struct buf data;
	int unsynced;
	struct enroll *enroll; /* borrowed */
};
void keep_free(struct keep *k);
int keep_job(void *arg); /* worker_job */

/* enroll_delay_us: how long to wait after the n-th failure in a row (1..), with
 * `left_s` of the certificate's life (<= 0: none); `dice` is any number. */
int64_t enroll_delay_us(unsigned int n, int64_t left_s, uint32_t dice);

#endif
