/* SPDX-License-Identifier: ISC */
/* Hashes, HMAC-SHA1, AES-CTR and randomness, for digest authentication,
 * SRTP, sums of files and names. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/aes.h>
#include <openssl/cipher.h>
#include <openssl/digest.h>
#include <openssl/hmac.h>
#include <openssl/md5.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include "bellbird/mem.h"
#include "bellbird/str.h"
#include "bellbird/tls_hash.h"

#include "internal.h"

struct tls_hmac {
	HMAC_CTX ctx;
	bool keyed;
};

struct tls_ctr {
	EVP_CIPHER_CTX ctx;
	const EVP_CIPHER *cipher;
	bool keyed;
};

size_t
tls_hash_len(enum tls_hash_alg a)
{
	switch (a) {
	case TLS_MD5:
		return MD5_DIGEST_LENGTH;
	case TLS_SHA1:
		return SHA_DIGEST_LENGTH;
	case TLS_SHA256:
		return SHA256_DIGEST_LENGTH;
	case TLS_SHA512_256:
		return SHA512_256_DIGEST_LENGTH;
	}
	return 0;
}

void
tls_hash(enum tls_hash_alg a, const void *p, size_t n, uint8_t *out)
{
	if (n == 0)
		p = ""; /* an empty slice may have no address */
	switch (a) {
	case TLS_MD5:
		MD5(p, n, out);
		break;
	case TLS_SHA1:
		SHA1(p, n, out);
		break;
	case TLS_SHA256:
		SHA256(p, n, out);
		break;
	case TLS_SHA512_256:
		SHA512_256(p, n, out);
		break;
	}
}

void
tls_hash_hex(enum tls_hash_alg a, const void *p, size_t n, char *out)
{
	uint8_t md[TLS_HASH_MAX];

	tls_hash(a, p, n, md);
	str_hex(out, md, tls_hash_len(a));
}

void
tls_random(void *p, size_t n)
{
	RAND_bytes(p, n); /* BoringSSL ends the process rather than fail */
}

uint64_t
tls_random_id(void)
{
	uint64_t id = 0;

	while (id == 0)
		tls_random(&id, sizeof(id));
	return id;
}

int
tls_hmac_sha1_new(struct tls_hmac **out)
{
	struct tls_hmac *h;

	if ((h = calloc(1, sizeof(*h))) == NULL)
		return ENOMEM;
	HMAC_CTX_init(&h->ctx);
	*out = h;
	return 0;
}

void
tls_hmac_free(struct tls_hmac *h)
{
	if (h == NULL)
		return;
	/* HMAC_CTX_cleanse() crashes without a key; this wipes as well. */
	HMAC_CTX_cleanup(&h->ctx);
	free(h);
}

int
tls_hmac_set_key(struct tls_hmac *h, const uint8_t *key, size_t n)
{
	h->keyed = HMAC_Init_ex(&h->ctx, key, n, EVP_sha1(), NULL) == 1;
	tls_err_drop();
	return h->keyed ? 0 : ENOMEM;
}

int
tls_hmac_start(struct tls_hmac *h)
{
	if (!h->keyed)
		return EINVAL;
	/* No key and no digest: begins again with the same key. */
	if (HMAC_Init_ex(&h->ctx, NULL, 0, NULL, NULL) == 1)
		return 0;
	tls_err_drop();
	return ENOMEM;
}

int
tls_hmac_update(struct tls_hmac *h, const uint8_t *p, size_t n)
{
	if (!h->keyed)
		return EINVAL;
	return HMAC_Update(&h->ctx, p, n) == 1 ? 0 : EINVAL;
}

int
tls_hmac_final(struct tls_hmac *h, uint8_t out[static 20])
{
	unsigned int n;

	if (!h->keyed)
		return EINVAL;
	return HMAC_Final(&h->ctx, out, &n) == 1 ? 0 : EINVAL;
}

int
tls_ctr_new(struct tls_ctr **out, size_t key_len)
{
	const EVP_CIPHER *cipher = key_len == 16 ? EVP_aes_128_ctr()
	    : key_len == 24                      ? EVP_aes_192_ctr()
	    : key_len == 32                      ? EVP_aes_256_ctr()
						 : NULL;
	struct tls_ctr *c;

	if (cipher == NULL)
		return EINVAL;
	if ((c = calloc(1, sizeof(*c))) == NULL)
		return ENOMEM;
	EVP_CIPHER_CTX_init(&c->ctx);
	c->cipher = cipher;
	*out = c;
	return 0;
}

void
tls_ctr_free(struct tls_ctr *c)
{
	if (c == NULL)
		return;
	EVP_CIPHER_CTX_cleanup(&c->ctx); /* wipes the key schedule */
	free(c);
}

int
tls_ctr_set_key(struct tls_ctr *c, const uint8_t *key)
{
	c->keyed = EVP_EncryptInit_ex(&c->ctx, c->cipher, NULL, key, NULL) == 1;
	tls_err_drop();
	return c->keyed ? 0 : ENOMEM;
}

int
tls_ctr_set_iv(struct tls_ctr *c, const uint8_t iv[static 16])
{
	if (!c->keyed)
		return EINVAL;
	if (EVP_EncryptInit_ex(&c->ctx, NULL, NULL, NULL, iv) == 1)
		return 0;
	tls_err_drop();
	return EINVAL;
}

int
tls_ctr_crypt(struct tls_ctr *c, uint8_t *p, size_t n)
{
	int len;

	if (!c->keyed || n > INT32_MAX)
		return EINVAL;
	if (n == 0)
		return 0;
	return EVP_EncryptUpdate(&c->ctx, p, &len, p, (int)n) == 1 ? 0 : EINVAL;
}
