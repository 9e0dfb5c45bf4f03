/* SPDX-License-Identifier: ISC */
/* SRV answers, in the order of RFC 2782. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "dns_internal.h"

enum {
	SRV_BYTES = 6, /* priority, weight, port before the target */
	/* Ordered before the list is cut, so that the best ones stay; an
	 * honest service has fewer. */
	PARSE_MAX = 64
};

/* Reads one record; `*fits`: it is a target one can look up, `*none`: it says
 * that there is no such service. */
static int
srv_take(struct dns_record *rr, struct dns_srv *out, bool *fits, bool *none)
{
	const uint8_t *srv = dns_take(&rr->data, SRV_BYTES);
	int err;

	if (srv == NULL)
		return E_DNS_FAIL;
	memset(out, 0, sizeof(*out));
	if ((err = dns_take_name(&rr->data, out->target)) != 0)
		return err;
	if (rr->data.at != rr->end)
		return E_DNS_FAIL;
	out->priority = dns_get16(srv);
	out->weight = dns_get16(srv + 2);
	out->port = dns_get16(srv + 4);
	out->ttl_s = rr->ttl_s;
	/* "." says that there is no such service (RFC 2782); a target with
	 * other bytes than a host's is none we would ever look up. */
	*none = out->target[0] == '\0' || strcmp(out->target, ".") == 0;
	*fits = !*none && dns_is_name(out->target);
	return 0;
}

int
dns_srvs_parse(const uint8_t *p, size_t n, struct dns_srv **out, size_t *num)
{
	struct dns_cursor c = { p, n, 0 };
	unsigned int answers, authorities;
	struct dns_srv *all;
	struct dns_record rr;
	size_t count = 0;
	bool fits, none = false;
	int err;

	if ((err = dns_answer_open(&c, &answers, &authorities)) != 0)
		return err;
	if ((all = calloc(PARSE_MAX, sizeof(*all))) == NULL)
		return ENOMEM;
	while (answers-- > 0 && count < PARSE_MAX) {
		if ((err = dns_take_record(&c, &rr)) != 0)
			goto out;
		if (rr.type != DNS_TYPE_SRV || rr.class != DNS_CLASS_IN)
			continue;
		if ((err = srv_take(&rr, &all[count], &fits, &none)) != 0)
			goto out;
		count += fits;
	}
	err = none ? E_DNS_NO_SERVICE : E_DNS_NODATA;
	if (count == 0)
		goto out;
	dns_srvs_order(all, count, dns_random_upto);
	*num = count < DNS_SRVS_MAX ? count : DNS_SRVS_MAX;
	*out = all;
	return 0;
out:
	free(all);
	return err;
}

/* By priority, those without weight first: the shuffle wants it so. */
static int
srv_cmp(const void *a, const void *b)
{
	const struct dns_srv *x = a, *y = b;

	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	return (x->weight != 0) - (y->weight != 0);
}

uint32_t
dns_random_upto(uint32_t max)
{
	uint32_t v;

	/* Load sharing, no secret: without randomness the order is fixed. */
	if (getrandom(&v, sizeof(v), GRND_NONBLOCK) != sizeof(v))
		return 0;
	return (uint32_t)((uint64_t)v * (max + (uint64_t)1) >> 32);
}

/* Moves a record, drawn by weight, to the front of its group. */
static void
draw(struct dns_srv *s, size_t num, dns_random *random_upto)
{
	struct dns_srv chosen;
	uint32_t sum = 0, at;
	size_t i;

	for (i = 0; i < num; i++)
		sum += s[i].weight;
	at = random_upto(sum);
	sum = 0;
	for (i = 0; i < num - 1; i++) {
		sum += s[i].weight;
		if (sum >= at)
			break;
	}
	chosen = s[i];
	/* Those passed over keep their order: no weight comes first. */
	memmove(s + 1, s, i * sizeof(*s));
	s[0] = chosen;
}

void
dns_srvs_order(struct dns_srv *s, size_t num, dns_random *random_upto)
{
	size_t i, end;

	qsort(s, num, sizeof(*s), srv_cmp);
	for (i = 0; i < num; i = end) {
		for (end = i; end < num && s[end].priority == s[i].priority;
		     end++)
			;
		for (size_t j = i; j + 1 < end; j++)
			draw(s + j, end - j, random_upto);
	}
}
