/* SPDX-License-Identifier: ISC */
/* The Reason header (RFC 3326): why a call ends, in and out. */
#include <stdio.h>
#include <string.h>

#include "bellbird/log.h"
#include "internal.h"

/* Reads one value: `SIP;cause=200;text="Call completed elsewhere"`. */
static void
value_read(struct sip_reason *out, struct slice one)
{
	struct slice protocol, params, v;
	int64_t cause;

	if (!slice_cut(one, ';', &protocol, &params))
		return;
	params.p--; /* with its semicolon */
	params.n++;
	protocol = slice_trim(protocol);
	if (!sip_param(params, "cause", &v) || str_int(v, 1, 699, &cause) != 0)
		cause = 0;
	if (slice_case_is(protocol, "sip") && out->sip == 0)
		out->sip = (int)cause;
	else if (slice_case_is(protocol, "q.850") && out->q850 == 0)
		out->q850 = (int)cause;
	else
		return;
	if (out->text[0] == '\0' && sip_param(params, "text", &v) && v.n > 0)
		ignore_err(
		    str_copy(out->text, sizeof(out->text), esc_n(v.p, v.n)),
		    "a sentence may be cut");
}

void
sip_reason_read(struct sip_reason *out, const struct sip_msg *m)
{
	struct slice rest, one;
	const char *v;

	memset(out, 0, sizeof(*out));
	for (size_t i = 0; (v = sip_msg_find(m, "Reason", i)) != NULL; i++) {
		rest = slice_of(v);
		while (sip_list_next(&rest, &one))
			value_read(out, one);
	}
}

void
sip_call_set_reason(struct sip_call *c, int cause, const char *text)
{
	/* Only what can stand between quotes as it is. */
	if (cause <= 0 || !sip_clean(text) || strpbrk(text, "\"\\") != NULL) {
		c->reason_line[0] = '\0';
		return;
	}
	(void)snprintf(c->reason_line, sizeof(c->reason_line),
	    "Reason: SIP;cause=%d;text=\"%.70s\"\r\n", cause, text);
}
