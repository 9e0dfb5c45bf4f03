/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_TLS_HASH_H
#define BELLBIRD_TLS_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "bellbird/err.h"

/* Hashes, HMAC, AES-CTR and randomness from BoringSSL, for digest
 * authentication (RFC 8760), SRTP, sums of files and names. */
enum tls_hash_alg { TLS_MD5, TLS_SHA1, TLS_SHA256, TLS_SHA512_256 };
enum { TLS_HASH_MAX = 64 };
size_t tls_hash_len(enum tls_hash_alg a);
void tls_hash(enum tls_hash_alg a, const void *p, size_t n, uint8_t *out);
/* tls_hash_hex: lower-case hex of the hash and a NUL (2*len+1 bytes). */
void tls_hash_hex(enum tls_hash_alg a, const void *p, size_t n, char *out);
void tls_random(void *p, size_t n); /* cannot fail */
uint64_t tls_random_id(void);       /* never 0 */

/* HMAC-SHA1 with a reusable key (SRTP). set_key once, then start, update and
 * final for each message.  EINVAL before a key is set, ENOMEM. */
struct tls_hmac;
MUST_CHECK int tls_hmac_sha1_new(struct tls_hmac **out);
void tls_hmac_free(struct tls_hmac *h);
MUST_CHECK int tls_hmac_set_key(
    struct tls_hmac *h, const uint8_t *key, size_t n);
MUST_CHECK int tls_hmac_start(struct tls_hmac *h);
MUST_CHECK int tls_hmac_update(struct tls_hmac *h, const uint8_t *p, size_t n);
MUST_CHECK int tls_hmac_final(struct tls_hmac *h, uint8_t out[static 20]);

/* AES in counter mode (SRTP); key_len is 16, 24 or 32.  set_key once, set_iv
 * for each message.  EINVAL in another order, ENOMEM. */
struct tls_ctr;
MUST_CHECK int tls_ctr_new(struct tls_ctr **out, size_t key_len);
void tls_ctr_free(struct tls_ctr *c);
MUST_CHECK int tls_ctr_set_key(struct tls_ctr *c, const uint8_t *key);
MUST_CHECK int tls_ctr_set_iv(struct tls_ctr *c, const uint8_t iv[static 16]);
MUST_CHECK int tls_ctr_crypt(
    struct tls_ctr *c, uint8_t *p, size_t n); /* in place */

#endif
