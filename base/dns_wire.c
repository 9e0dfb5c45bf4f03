/* SPDX-License-Identifier: ISC */
/* Answers of name servers, read record by record (RFC 1035 4.1): c-ares leaves
 * out the life time of all but addresses. */
#include <string.h>

#include <ares.h>

#include "dns_internal.h"

enum {
	NAME_TEXT_MAX = 253, /* RFC 1035 2.3.4, as text */
	HEADER_BYTES = 12,   /* RFC 1035 4.1.1 */
	QUESTION_BYTES = 4,  /* type and class behind the name */
	RECORD_BYTES = 10,   /* type, class, ttl, length behind the name */
	SOA_TAIL_BYTES = 20  /* serial, refresh, retry, expire, minimum */
};

bool
dns_is_name(const char *s)
{
	size_t n = strlen(s);

	if (n == 0 || n > NAME_TEXT_MAX + 1 ||
	    (n > NAME_TEXT_MAX && s[n - 1] != '.'))
		return false;
	for (; *s != '\0'; s++) {
		if (!(*s >= 'a' && *s <= 'z') && !(*s >= 'A' && *s <= 'Z') &&
		    !(*s >= '0' && *s <= '9') && *s != '-' && *s != '_' &&
		    *s != '.')
			return false;
	}
	return true;
}

uint16_t
dns_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* Four bytes at `p`. */
static uint32_t
get32(const uint8_t *p)
{
	return (uint32_t)dns_get16(p) << 16 | dns_get16(p + 2);
}

const uint8_t *
dns_take(struct dns_cursor *c, size_t n)
{
	const uint8_t *p = c->msg + c->at;

	if (n > c->n - c->at)
		return NULL;
	c->at += n;
	return p;
}

int
dns_take_name(struct dns_cursor *c, char out[DNS_NAME_MAX])
{
	char *s = NULL;
	long len = 0;
	int status, err = 0;

	status = ares_expand_name(c->msg + c->at, c->msg, (int)c->n, &s, &len);
	if (status != ARES_SUCCESS)
		return status == ARES_ENOMEM ? ENOMEM : E_DNS_FAIL;
	if (len <= 0 || (size_t)len > c->n - c->at)
		err = E_DNS_FAIL;
	else
		c->at += (size_t)len;
	if (err == 0 && out != NULL && str_copy(out, DNS_NAME_MAX, s) != 0)
		err = E_DNS_FAIL;
	ares_free_string(s);
	return err;
}

int
dns_take_text(struct dns_cursor *c, char *out, size_t size)
{
	const uint8_t *len = dns_take(c, 1), *text;

	if (len == NULL || (text = dns_take(c, *len)) == NULL ||
	    memchr(text, '\0', *len) != NULL)
		return E_DNS_FAIL;
	return str_copy_slice(
		   out, size, (struct slice){ (const char *)text, *len }) == 0
	    ? 0
	    : E_DNS_FAIL;
}

int
dns_answer_open(
    struct dns_cursor *c, unsigned int *answers, unsigned int *authorities)
{
	const uint8_t *head = dns_take(c, HEADER_BYTES);
	unsigned int questions;
	int err;

	if (head == NULL)
		return E_DNS_FAIL;
	questions = dns_get16(head + 4);
	*answers = dns_get16(head + 6);
	*authorities = dns_get16(head + 8);
	while (questions-- > 0) {
		if ((err = dns_take_name(c, NULL)) != 0)
			return err;
		if (dns_take(c, QUESTION_BYTES) == NULL)
			return E_DNS_FAIL;
	}
	return 0;
}

int
dns_take_record(struct dns_cursor *c, struct dns_record *out)
{
	const uint8_t *fix;
	size_t len;
	int err;

	if ((err = dns_take_name(c, NULL)) != 0)
		return err;
	if ((fix = dns_take(c, RECORD_BYTES)) == NULL)
		return E_DNS_FAIL;
	len = dns_get16(fix + 8);
	if (len > c->n - c->at)
		return E_DNS_FAIL;
	out->type = dns_get16(fix);
	out->class = dns_get16(fix + 2);
	/* RFC 2181 8: a life time with the top bit set counts as 0. */
	out->ttl_s = get32(fix + 4);
	if (out->ttl_s > INT32_MAX)
		out->ttl_s = 0;
	out->data = *c;
	out->end = c->at += len;
	return 0;
}

uint32_t
dns_negative_ttl_s(const uint8_t *p, size_t n)
{
	struct dns_cursor c = { p, n, 0 };
	unsigned int answers, authorities;
	const uint8_t *tail;
	struct dns_record rr;
	uint32_t min;

	if (dns_answer_open(&c, &answers, &authorities) != 0)
		return 0;
	for (unsigned int i = 0; i < answers + authorities; i++) {
		if (dns_take_record(&c, &rr) != 0)
			return 0;
		if (rr.type != DNS_TYPE_SOA || i < answers)
			continue;
		if (dns_take_name(&rr.data, NULL) != 0 ||
		    dns_take_name(&rr.data, NULL) != 0 ||
		    (tail = dns_take(&rr.data, SOA_TAIL_BYTES)) == NULL)
			return 0;
		min = get32(tail + 16);
		return min < rr.ttl_s ? min : rr.ttl_s;
	}
	return 0;
}
