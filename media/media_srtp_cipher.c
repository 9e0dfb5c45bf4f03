/* SPDX-License-Identifier: ISC */
/* BoringSSL's AES-CTR and HMAC-SHA1 in the place of libsrtp2's own: what
 * Debian's build has (NSS) is five times slower and 30 KB a session. */
#include <stdlib.h>
#include <string.h>

#include <srtp2/auth.h>
#include <srtp2/cipher.h>
#include <srtp2/srtp.h>

#include "bellbird/mem.h"
#include "bellbird/tls_hash.h"
#include "internal.h"

enum { SALT = 14, BLOCK = 16, TAG_MAX = 20 };

/* AES in the integer counter mode of RFC 3711 4.1.1. */
struct icm {
	struct tls_ctr *ctr; /* owned */
	uint8_t offset[BLOCK];
	size_t key_len; /* without salt */
};

static const srtp_cipher_type_t icm_128, icm_256;
static const srtp_auth_type_t hmac_sha1;

/* Makes a cipher for keys of `key_len` bytes, salt included. */
static srtp_err_status_t
icm_alloc(srtp_cipher_t **out, int key_len, int tag_len)
{
	srtp_cipher_t *c;
	struct icm *s;

	(void)tag_len;
	if (key_len != SRTP_AES_ICM_128_KEY_LEN_WSALT &&
	    key_len != SRTP_AES_ICM_256_KEY_LEN_WSALT)
		return srtp_err_status_bad_param;
	c = calloc(1, sizeof(*c));
	s = calloc(1, sizeof(*s));
	if (c == NULL || s == NULL ||
	    tls_ctr_new(&s->ctr, (size_t)key_len - SALT) != 0) {
		free(s);
		free(c);
		return srtp_err_status_alloc_fail;
	}
	s->key_len = (size_t)key_len - SALT;
	c->state = s;
	c->key_len = key_len;
	c->type =
	    key_len == SRTP_AES_ICM_128_KEY_LEN_WSALT ? &icm_128 : &icm_256;
	c->algorithm = (int)c->type->id;
	*out = c;
	return srtp_err_status_ok;
}

/* Frees a cipher and its key. */
static srtp_err_status_t
icm_dealloc(srtp_cipher_t *c)
{
	struct icm *s = c->state;

	tls_ctr_free(s->ctr);
	mem_wipe(s, sizeof(*s));
	free(s);
	free(c);
	return srtp_err_status_ok;
}

/* Takes key and salt. */
static srtp_err_status_t
icm_init(void *state, const uint8_t *key)
{
	struct icm *s = state;

	memset(s->offset, 0, sizeof(s->offset));
	memcpy(s->offset, key + s->key_len, SALT);
	return tls_ctr_set_key(s->ctr, key) == 0 ? srtp_err_status_ok
						 : srtp_err_status_init_fail;
}

/* Starts the key stream of one packet. */
static srtp_err_status_t
icm_set_iv(void *state, uint8_t *iv, srtp_cipher_direction_t dir)
{
	struct icm *s = state;
	uint8_t counter[BLOCK];

	(void)dir;
	for (size_t i = 0; i < BLOCK; i++)
		counter[i] = s->offset[i] ^ iv[i];
	return tls_ctr_set_iv(s->ctr, counter) == 0
	    ? srtp_err_status_ok
	    : srtp_err_status_cipher_fail;
}

/* Both ways, in place. */
static srtp_err_status_t
icm_crypt(void *state, uint8_t *p, unsigned int *n)
{
	struct icm *s = state;

	return tls_ctr_crypt(s->ctr, p, *n) == 0 ? srtp_err_status_ok
						 : srtp_err_status_cipher_fail;
}

/* HMAC-SHA1 for keys of `key_len` bytes. */
static srtp_err_status_t
hmac_alloc(srtp_auth_t **out, int key_len, int out_len)
{
	struct tls_hmac *h;
	srtp_auth_t *a;

	if (key_len < 0 || key_len > TAG_MAX || out_len < 0 ||
	    out_len > TAG_MAX)
		return srtp_err_status_bad_param;
	if ((a = calloc(1, sizeof(*a))) == NULL)
		return srtp_err_status_alloc_fail;
	if (tls_hmac_sha1_new(&h) != 0) {
		free(a);
		return srtp_err_status_alloc_fail;
	}
	a->type = &hmac_sha1;
	a->state = h;
	a->out_len = out_len;
	a->key_len = key_len;
	*out = a;
	return srtp_err_status_ok;
}

/* Frees it and its key. */
static srtp_err_status_t
hmac_dealloc(srtp_auth_t *a)
{
	tls_hmac_free(a->state);
	free(a);
	return srtp_err_status_ok;
}

/* Starts a message under the same key. */
static srtp_err_status_t
hmac_start(void *state)
{
	return tls_hmac_start(state) == 0 ? srtp_err_status_ok
					  : srtp_err_status_auth_fail;
}

/* Takes the key; libsrtp2's tests go on without start(). */
static srtp_err_status_t
hmac_init(void *state, const uint8_t *key, int key_len)
{
	if (tls_hmac_set_key(state, key, (size_t)key_len) != 0)
		return srtp_err_status_init_fail;
	return hmac_start(state);
}

/* More of the message. */
static srtp_err_status_t
hmac_update(void *state, const uint8_t *p, int n)
{
	return tls_hmac_update(state, p, (size_t)n) == 0
	    ? srtp_err_status_ok
	    : srtp_err_status_auth_fail;
}

/* The last of the message, and the tag. */
static srtp_err_status_t
hmac_compute(void *state, const uint8_t *p, int n, int tag_len, uint8_t *tag)
{
	uint8_t sum[TAG_MAX];

	if (tag_len > TAG_MAX || tls_hmac_update(state, p, (size_t)n) != 0 ||
	    tls_hmac_final(state, sum) != 0)
		return srtp_err_status_auth_fail;
	memcpy(tag, sum, (size_t)tag_len);
	return srtp_err_status_ok;
}

/* RFC 3711 B.2: key stream of AES-128 in counter mode. */
static const uint8_t test_key_128[30] = { 0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae,
	0xd2, 0xa6, 0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf, 0x4f, 0x3c, 0xf0, 0xf1,
	0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc,
	0xfd };
static const uint8_t test_stream_128[32] = { 0xe0, 0x3e, 0xad, 0x09, 0x35, 0xc9,
	0x5e, 0x80, 0xe1, 0x66, 0xb1, 0x6d, 0xd9, 0x2b, 0x4e, 0xb4, 0xd2, 0x35,
	0x13, 0x16, 0x2b, 0x02, 0xd0, 0xf7, 0x2a, 0x43, 0xa2, 0xfe, 0x4a, 0x5f,
	0x97, 0xab };

/* RFC 6188 7.1: the same with AES-256. */
static const uint8_t test_key_256[46] = { 0x57, 0xf8, 0x2f, 0xe3, 0x61, 0x3f,
	0xd1, 0x70, 0xa8, 0x5e, 0xc9, 0x3c, 0x40, 0xb1, 0xf0, 0x92, 0x2e, 0xc4,
	0xcb, 0x0d, 0xc0, 0x25, 0xb5, 0x82, 0x72, 0x14, 0x7c, 0xc4, 0x38, 0x94,
	0x4a, 0x98, 0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9,
	0xfa, 0xfb, 0xfc, 0xfd };
static const uint8_t test_stream_256[32] = { 0x92, 0xbd, 0xd2, 0x8a, 0x93, 0xc3,
	0xf5, 0x25, 0x11, 0xc6, 0x77, 0xd0, 0x8b, 0x55, 0x15, 0xa4, 0x9d, 0xa7,
	0x1b, 0x23, 0x78, 0xa8, 0x54, 0xf6, 0x70, 0x50, 0x75, 0x6d, 0xed, 0x16,
	0x5b, 0xac };

static const uint8_t zeros[32];
static uint8_t test_iv[BLOCK]; /* zero; libsrtp2 wants it writable */

static const srtp_cipher_test_case_t test_128 = { sizeof(test_key_128),
	test_key_128, test_iv, sizeof(zeros), zeros, sizeof(test_stream_128),
	test_stream_128, 0, NULL, 0, NULL };
static const srtp_cipher_test_case_t test_256 = { sizeof(test_key_256),
	test_key_256, test_iv, sizeof(zeros), zeros, sizeof(test_stream_256),
	test_stream_256, 0, NULL, 0, NULL };

/* RFC 2202 3, case 1. */
static const uint8_t test_hmac_key[20] = { 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b,
	0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b,
	0x0b, 0x0b };
static const uint8_t test_hmac_data[8] = { 'H', 'i', ' ', 'T', 'h', 'e', 'r',
	'e' };
static const uint8_t test_hmac_tag[20] = { 0xb6, 0x17, 0x31, 0x86, 0x55, 0x05,
	0x72, 0x64, 0xe2, 0x8b, 0xc0, 0xb6, 0xfb, 0x37, 0x8c, 0x8e, 0xf1, 0x46,
	0xbe, 0x00 };
static const srtp_auth_test_case_t test_hmac = { sizeof(test_hmac_key),
	test_hmac_key, sizeof(test_hmac_data), test_hmac_data,
	sizeof(test_hmac_tag), test_hmac_tag, NULL };

static const srtp_cipher_type_t icm_128 = { icm_alloc, icm_dealloc, icm_init,
	NULL, icm_crypt, icm_crypt, icm_set_iv, NULL, "AES-128 CTR (BoringSSL)",
	&test_128, SRTP_AES_ICM_128 };
static const srtp_cipher_type_t icm_256 = { icm_alloc, icm_dealloc, icm_init,
	NULL, icm_crypt, icm_crypt, icm_set_iv, NULL, "AES-256 CTR (BoringSSL)",
	&test_256, SRTP_AES_ICM_256 };
static const srtp_auth_type_t hmac_sha1 = { hmac_alloc, hmac_dealloc, hmac_init,
	hmac_compute, hmac_update, hmac_start, "HMAC-SHA1 (BoringSSL)",
	&test_hmac, SRTP_HMAC_SHA1 };

int
media_srtp_ciphers(void)
{
	srtp_err_status_t st;

	/* Each is tested with its own cases and with those of what it
	 * replaces before it is believed. */
	st = srtp_replace_cipher_type(&icm_128, SRTP_AES_ICM_128);
	if (st == srtp_err_status_ok)
		st = srtp_replace_cipher_type(&icm_256, SRTP_AES_ICM_256);
	if (st == srtp_err_status_ok)
		st = srtp_replace_auth_type(&hmac_sha1, SRTP_HMAC_SHA1);
	if (st == srtp_err_status_alloc_fail)
		return ENOMEM;
	return st == srtp_err_status_ok ? 0 : EIO;
}
