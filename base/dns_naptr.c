/* SPDX-License-Identifier: ISC */
/* NAPTR answers (RFC 3403 4), those without a rewriting rule: more is not
 * needed to find a service (RFC 3263 4.1). */
#include <stdlib.h>
#include <string.h>

#include "dns_internal.h"

enum {
	ORDER_BYTES = 4, /* order and preference */
	PARSE_MAX = 64,  /* read before the list is cut */
	REGEXP_MAX = 256 /* a text of the wire, and a NUL */
};

/* Reads one record; `*fits`: it is one for us. */
static int
naptr_take(struct dns_record *rr, struct dns_naptr *out, bool *fits)
{
	struct dns_cursor *c = &rr->data;
	const uint8_t *nums = dns_take(c, ORDER_BYTES);
	char regexp[REGEXP_MAX], flags[REGEXP_MAX], service[REGEXP_MAX];
	int err;

	*fits = false;
	if (nums == NULL)
		return E_DNS_FAIL;
	memset(out, 0, sizeof(*out));
	out->order = dns_get16(nums);
	out->preference = dns_get16(nums + 2);
	out->ttl_s = rr->ttl_s;
	if ((err = dns_take_text(c, flags, sizeof(flags))) != 0 ||
	    (err = dns_take_text(c, service, sizeof(service))) != 0 ||
	    (err = dns_take_text(c, regexp, sizeof(regexp))) != 0 ||
	    (err = dns_take_name(c, out->replacement)) != 0)
		return err;
	if (c->at != rr->end)
		return E_DNS_FAIL;
	/* Longer ones are of services unknown to us. */
	*fits = regexp[0] == '\0' && dns_is_name(out->replacement) &&
	    str_copy(out->flags, sizeof(out->flags), flags) == 0 &&
	    str_copy(out->service, sizeof(out->service), service) == 0;
	return 0;
}

/* By order, then by preference. */
static int
naptr_cmp(const void *a, const void *b)
{
	const struct dns_naptr *x = a, *y = b;

	if (x->order != y->order)
		return x->order < y->order ? -1 : 1;
	return (x->preference > y->preference) -
	    (x->preference < y->preference);
}

int
dns_naptrs_parse(
    const uint8_t *p, size_t n, struct dns_naptr **out, size_t *num)
{
	struct dns_cursor c = { p, n, 0 };
	unsigned int answers, authorities;
	struct dns_naptr *all;
	struct dns_record rr;
	size_t count = 0;
	bool fits;
	int err;

	if ((err = dns_answer_open(&c, &answers, &authorities)) != 0)
		return err;
	if ((all = calloc(PARSE_MAX, sizeof(*all))) == NULL)
		return ENOMEM;
	while (answers-- > 0 && count < PARSE_MAX) {
		if ((err = dns_take_record(&c, &rr)) != 0)
			goto out;
		if (rr.type != DNS_TYPE_NAPTR || rr.class != DNS_CLASS_IN)
			continue;
		if ((err = naptr_take(&rr, &all[count], &fits)) != 0)
			goto out;
		count += fits;
	}
	err = E_DNS_NODATA;
	if (count == 0)
		goto out;
	qsort(all, count, sizeof(*all), naptr_cmp);
	*num = count < DNS_NAPTRS_MAX ? count : DNS_NAPTRS_MAX;
	*out = all;
	return 0;
out:
	free(all);
	return err;
}
