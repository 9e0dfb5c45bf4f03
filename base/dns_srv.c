/* SPDX-License-Identifier: ISC */
/* SRV answers: the records with their life time (c-ares leaves it out), in
 * the order of RFC 2782. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <ares.h>

#include "bellbird/str.h"
#include "dns_internal.h"

enum {
	NAME_TEXT_MAX = 253, /* RFC 1035 2.3.4, as text */
	HEADER_BYTES = 12,   /* RFC 1035 4.1.1 */
	QUESTION_BYTES = 4,  /* type and class behind the name */
	RECORD_BYTES = 10,   /* type, class, ttl, length behind the name */
	SRV_BYTES = 6,       /* priority, weight, port before the target */
	/* Ordered before the list is cut, so that the best ones stay; an
	 * honest service has fewer. */
	PARSE_MAX = 64
};

/* A position in an answer that never passes its end. */
struct cursor {
	const uint8_t *msg;
	size_t n;
	size_t at;
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

/* Two bytes at `p`. */
static uint16_t
get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* Takes `n` bytes, NULL if there are not so many. */
static const uint8_t *
take(struct cursor *c, size_t n)
{
	const uint8_t *p = c->msg + c->at;

	if (n > c->n - c->at)
		return NULL;
	c->at += n;
	return p;
}

/* Takes a name; its text is stored in `out` if that is not NULL. */
static int
take_name(struct cursor *c, char out[DNS_NAME_MAX])
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

/* Takes one record; `*is_srv` tells whether `out` was filled from it. */
static int
take_record(struct cursor *c, struct dns_srv *out, bool *is_srv)
{
	const uint8_t *fix, *srv;
	size_t len, end;
	int err;

	*is_srv = false;
	if ((err = take_name(c, NULL)) != 0)
		return err;
	if ((fix = take(c, RECORD_BYTES)) == NULL)
		return E_DNS_FAIL;
	len = get16(fix + 8);
	if (len > c->n - c->at)
		return E_DNS_FAIL;
	end = c->at + len;
	if (get16(fix) != DNS_TYPE_SRV || get16(fix + 2) != DNS_CLASS_IN) {
		c->at = end;
		return 0;
	}
	memset(out, 0, sizeof(*out));
	if (len <= SRV_BYTES || (srv = take(c, SRV_BYTES)) == NULL)
		return E_DNS_FAIL;
	if ((err = take_name(c, out->target)) != 0)
		return err;
	if (c->at != end)
		return E_DNS_FAIL;
	out->priority = get16(srv);
	out->weight = get16(srv + 2);
	out->port = get16(srv + 4);
	out->ttl_s = (uint32_t)get16(fix + 4) << 16 | get16(fix + 6);
	/* RFC 2181 8: a life time with the top bit set counts as 0. */
	if (out->ttl_s > INT32_MAX)
		out->ttl_s = 0;
	/* "." says that there is no such service (RFC 2782); a target with
	 * other bytes than a host's is none we would ever look up. */
	*is_srv = dns_is_name(out->target);
	return 0;
}

int
dns_srvs_parse(const uint8_t *p, size_t n, struct dns_srv **out, size_t *num)
{
	struct cursor c = { p, n, 0 };
	struct dns_srv *all;
	const uint8_t *head;
	unsigned int questions, answers;
	size_t count = 0;
	bool is_srv;
	int err = E_DNS_FAIL;

	if ((head = take(&c, HEADER_BYTES)) == NULL)
		return E_DNS_FAIL;
	questions = get16(head + 4);
	answers = get16(head + 6);
	if ((all = calloc(PARSE_MAX, sizeof(*all))) == NULL)
		return ENOMEM;
	while (questions-- > 0) {
		if ((err = take_name(&c, NULL)) != 0)
			goto out;
		err = E_DNS_FAIL;
		if (take(&c, QUESTION_BYTES) == NULL)
			goto out;
	}
	while (answers-- > 0 && count < PARSE_MAX) {
		if ((err = take_record(&c, &all[count], &is_srv)) != 0)
			goto out;
		count += is_srv;
	}
	err = E_DNS_NODATA;
	if (count == 0)
		goto out;
	dns_srvs_order(all, count);
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

/* A random number 0..max. */
static uint32_t
random_upto(uint32_t max)
{
	uint32_t v;

	/* Load sharing, no secret: without randomness the order is fixed. */
	if (getrandom(&v, sizeof(v), GRND_NONBLOCK) != sizeof(v))
		return 0;
	return (uint32_t)((uint64_t)v * (max + (uint64_t)1) >> 32);
}

/* Moves a record, drawn by weight, to the front of its group. */
static void
draw(struct dns_srv *s, size_t num)
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
dns_srvs_order(struct dns_srv *s, size_t num)
{
	size_t i, end;

	qsort(s, num, sizeof(*s), srv_cmp);
	for (i = 0; i < num; i = end) {
		for (end = i; end < num && s[end].priority == s[i].priority;
		     end++)
			;
		for (size_t j = i; j + 1 < end; j++)
			draw(s + j, end - j);
	}
}
