/* SPDX-License-Identifier: ISC */
/* Published vectors: RFC 1321, FIPS 180-4, RFC 2202, NIST SP 800-38A. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "bellbird/str.h"
#include "bellbird/tls_hash.h"
#include "oom.h"

#define LEN(a) (sizeof(a) / sizeof((a)[0]))

static void
hashes_match_their_vectors(void **state)
{
	static const struct {
		const char *why;
		enum tls_hash_alg alg;
		const char *in, *want;
	} v[] = {
		{ "RFC 1321, empty", TLS_MD5, "",
		    "d41d8cd98f00b204e9800998ecf8427e" },
		{ "RFC 1321, alphabet", TLS_MD5, "abcdefghijklmnopqrstuvwxyz",
		    "c3fcd3d76192e4007dfb496cca67e13b" },
		{ "FIPS 180 SHA-1", TLS_SHA1, "abc",
		    "a9993e364706816aba3e25717850c26c9cd0d89d" },
		{ "FIPS 180 SHA-256", TLS_SHA256, "abc",
		    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f"
		    "20015ad" },
		{ "FIPS 180 SHA-512/256", TLS_SHA512_256, "abc",
		    "53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f1310"
		    "7e7af23" },
	};
	char hex[2 * TLS_HASH_MAX + 1];

	(void)state;
	for (size_t i = 0; i < LEN(v); i++) {
		print_message("hashes %s\n", v[i].why);
		tls_hash_hex(v[i].alg, v[i].in, strlen(v[i].in), hex);
		assert_string_equal(hex, v[i].want);
		assert_int_equal(strlen(hex), 2 * tls_hash_len(v[i].alg));
	}
	tls_hash_hex(TLS_MD5, NULL, 0, hex);
	assert_string_equal(hex, "d41d8cd98f00b204e9800998ecf8427e");
}

static void
hmac_matches_rfc_2202_and_keeps_its_key(void **state)
{
	const uint8_t key[20] = { 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b,
		0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b, 0x0b,
		0x0b, 0x0b, 0x0b };
	uint8_t out[20];
	struct tls_hmac *h;
	char hex[41];

	(void)state;
	assert_int_equal(tls_hmac_sha1_new(&h), 0);
	assert_int_equal(tls_hmac_start(h), EINVAL);
	assert_int_equal(tls_hmac_set_key(h, key, sizeof(key)), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(tls_hmac_start(h), 0);
		assert_int_equal(
		    tls_hmac_update(h, (const uint8_t *)"Hi ", 3), 0);
		assert_int_equal(
		    tls_hmac_update(h, (const uint8_t *)"There", 5), 0);
		assert_int_equal(tls_hmac_final(h, out), 0);
		str_hex(hex, out, sizeof(out));
		assert_string_equal(
		    hex, "b617318655057264e28bc0b6fb378c8ef146be00");
	}
	assert_int_equal(tls_hmac_set_key(h, (const uint8_t *)"Jefe", 4), 0);
	assert_int_equal(tls_hmac_start(h), 0);
	assert_int_equal(
	    tls_hmac_update(
		h, (const uint8_t *)"what do ya want for nothing?", 28),
	    0);
	assert_int_equal(tls_hmac_final(h, out), 0);
	str_hex(hex, out, sizeof(out));
	assert_string_equal(hex, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
	tls_hmac_free(h);
	tls_hmac_free(NULL);
}

/* SP 800-38A F.5: CTR with 128, 192 and 256 bit keys, first two blocks. */
static void
ctr_matches_sp_800_38a(void **state)
{
	static const char iv_hex[] = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";
	static const char plain_hex[] =
	    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51";
	static const struct {
		const char *key, *want;
	} v[] = {
		{ "2b7e151628aed2a6abf7158809cf4f3c",
		    "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9"
		    "fffdff" },
		{ "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
		    "1abc932417521ca24f2b0459fe7e6e0b090339ec0aa6faefd5ccc2c6f4"
		    "ce8e94" },
		{ "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a3091"
		  "4dff4",
		    "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990ca"
		    "caf5c5" },
	};
	uint8_t key[32], iv[16], text[32];
	struct tls_ctr *c;
	char hex[65];
	size_t n;

	(void)state;
	for (size_t i = 0; i < LEN(v); i++) {
		assert_int_equal(
		    str_unhex(slice_of(v[i].key), key, sizeof(key), &n), 0);
		assert_int_equal(tls_ctr_new(&c, n), 0);
		assert_int_equal(tls_ctr_set_iv(c, iv), EINVAL);
		assert_int_equal(tls_ctr_set_key(c, key), 0);
		assert_int_equal(
		    str_unhex(slice_of(iv_hex), iv, sizeof(iv), &n), 0);
		assert_int_equal(
		    str_unhex(slice_of(plain_hex), text, sizeof(text), &n), 0);
		assert_int_equal(tls_ctr_set_iv(c, iv), 0);
		/* In odd pieces: the stream goes on. */
		assert_int_equal(tls_ctr_crypt(c, text, 5), 0);
		assert_int_equal(tls_ctr_crypt(c, text + 5, 0), 0);
		assert_int_equal(tls_ctr_crypt(c, text + 5, 27), 0);
		str_hex(hex, text, sizeof(text));
		assert_string_equal(hex, v[i].want);
		tls_ctr_free(c);
	}
	assert_int_equal(tls_ctr_new(&c, 17), EINVAL);
	tls_ctr_free(NULL);
}

static void
random_ids_differ_and_are_not_zero(void **state)
{
	uint64_t a = tls_random_id(), b = tls_random_id();

	(void)state;
	assert_true(a != 0 && b != 0 && a != b);
}

static int
build(void *arg)
{
	struct tls_hmac *h;
	struct tls_ctr *c;
	int err;

	(void)arg;
	if ((err = tls_hmac_sha1_new(&h)) != 0)
		return err;
	err = tls_ctr_new(&c, 16);
	tls_hmac_free(h);
	if (err == 0)
		tls_ctr_free(c);
	return err;
}

static void
survives_every_oom(void **state)
{
	(void)state;
	assert_int_equal(oom_each(build, NULL), 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hashes_match_their_vectors),
		cmocka_unit_test(hmac_matches_rfc_2202_and_keeps_its_key),
		cmocka_unit_test(ctr_matches_sp_800_38a),
		cmocka_unit_test(random_ids_differ_and_are_not_zero),
		cmocka_unit_test(survives_every_oom),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
