/* SPDX-License-Identifier: ISC */
/* What it costs to open a PKCS #12 file: known before it is tried, since the
 * loop waits for it. */
#include <openssl/bytestring.h>

#include "internal.h"

enum {
	/* A file has eight levels, with the octet strings between them. */
	DEPTH_MAX = 24
};

/*
 * In all forms of RFC 7292 and RFC 8018 the number of rounds is an INTEGER
 * right behind the salt, an OCTET STRING: in MacData, in PBKDF2-params and in
 * the parameters of PBE.  Octet strings may hold more of the file, or not.
 */
static bool
rounds_walk(CBS in, unsigned int depth, uint64_t *sum)
{
	bool salted = false;
	CBS el, whole;
	uint64_t n, before;
	unsigned int tag;

	if (depth == 0)
		return false;
	while (CBS_len(&in) > 0) {
		whole = in;
		if (!CBS_get_any_asn1(&in, &el, &tag))
			return false;
		if (tag == CBS_ASN1_OCTETSTRING) {
			before = *sum;
			if (!rounds_walk(el, depth - 1, sum))
				*sum = before;
		} else if (tag == CBS_ASN1_INTEGER && salted) {
			if (!CBS_get_asn1_uint64(&whole, &n) || n > UINT32_MAX)
				n = UINT32_MAX;
			*sum += n;
		} else if ((tag & CBS_ASN1_CONSTRUCTED) != 0 &&
		    !rounds_walk(el, depth - 1, sum)) {
			return false;
		}
		salted = tag == CBS_ASN1_OCTETSTRING;
	}
	return true;
}

int
tls_p12_rounds(const void *der, size_t n, uint64_t *sum)
{
	CBS in;

	*sum = 0;
	CBS_init(&in, der, n);
	return n > 0 && rounds_walk(in, DEPTH_MAX, sum) ? 0 : E_PARSE;
}
