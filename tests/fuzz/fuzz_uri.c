/* SPDX-License-Identifier: ISC */
/* URIs, addresses, parameters and lists: what comes out of them is clean, and
 * reading it again gives the same. */
#include "../../sipcore/internal.h"
#include "fuzz.h"

/* Is it inside of `in`, or nothing? */
static void
within(struct slice in, struct slice s)
{
	assert(s.n == 0 || (s.p >= in.p && s.p + s.n <= in.p + in.n));
}

/* A URI that was read is fit for a header line, and for a second reader. */
static void
uri_try(struct slice in)
{
	struct sip_uri u, again;
	struct buf b;

	if (sip_uri_parse(&u, in) != 0)
		return;
	assert(u.host[0] != '\0');
	assert(strpbrk(u.text, " \t\r\n<>\"") == NULL);
	assert(strlen(u.text) <= in.n);
	assert(sip_clean(u.user) && sip_clean(u.host) && sip_clean(u.text));
	assert(sip_uri_parse(&again, slice_of(u.text)) == 0);
	assert(strcmp(u.user, again.user) == 0 &&
	    strcmp(u.host, again.host) == 0 && u.port == again.port &&
	    u.transport == again.transport && u.sips == again.sips &&
	    u.lr == again.lr && !again.headers);
	/* and as we would write it */
	buf_init(&b, SIPC_MSG_MAX);
	assert(buf_puts(&b, "sip:") == 0);
	sip_user_put(&b, u.user);
	assert(buf_puts(&b, "@h") == 0);
	if (u.user[0] != '\0' && b.n <= SIPC_URI_MAX) {
		assert(sip_uri_parse(
			   &again, (struct slice){ buf_str(&b), b.n }) == 0);
		assert(strcmp(u.user, again.user) == 0);
	}
	buf_clear(&b);
}

/* The parts of an address are parts of it. */
static void
name_addr_try(struct slice in)
{
	struct sip_name_addr na;
	struct slice v = { NULL, 0 };

	if (sip_name_addr(&na, in) != 0)
		return;
	within(in, na.name);
	within(in, na.uri);
	within(in, na.params);
	assert(na.uri.n > 0);
	(void)sip_params_fit(na.params);
	if (sip_param(na.params, "tag", &v))
		within(in, v);
	uri_try(na.uri);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = { (const char *)data, size }, rest = in, one;
	size_t n = 0;

	uri_try(in);
	name_addr_try(in);
	(void)sip_params_fit(in);
	(void)sip_list_has(in, "timer");
	while (sip_list_next(&rest, &one)) {
		within(in, one);
		assert(one.n > 0 && ++n <= size);
		name_addr_try(one);
	}
	return 0;
}
