/* SPDX-License-Identifier: ISC */
/* Transfer, Replaces and INFO in fake time: two stacks on loopback, and a bare
 * UDP peer whose bytes are the test's. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "test_sip.h"
#include "test_sip_tls.h"
#include "test_sip_call.h"

/* What a side heard of transfers and digits, one word each. */
struct side {
	char log[512];
	char to[128], headers[512], by[128];
	bool replaces, registered, secure;
	struct sip_call *call;
	struct sip_referral *referral;
	int accept; /* a REFER: 202, else refuse; 0: leave it */
};
static struct side sides[2];

static void
note(struct side *s, const char *fmt, ...)
{
	size_t n = strlen(s->log);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(s->log + n, sizeof(s->log) - n, fmt, ap);
	va_end(ap);
}

/* sip_call_cb of both sides; arg: struct side. */
static void
on_event(const struct sip_call_info *i, void *arg)
{
	struct side *s = arg;

	switch (i->event) {
	case SIP_CALL_DTMF:
		note(s, "digit %c %u;", i->digit, i->duration_ms);
		break;
	case SIP_CALL_DTMF_LOST:
		note(s, "lost %c %d;", i->digit, i->code);
		break;
	case SIP_CALL_REFERRED:
		note(s, "told %d%s;", i->code, i->final ? "!" : "");
		break;
	case SIP_CALL_REFER:
		note(s, "refer;");
		(void)snprintf(s->to, sizeof(s->to), "%s", i->refer->to);
		(void)snprintf(s->headers, sizeof(s->headers), "%s",
		    i->refer->headers != NULL ? i->refer->headers : "");
		(void)snprintf(s->by, sizeof(s->by), "%s", i->refer->by);
		s->replaces = i->refer->replaces;
		s->registered = i->refer->registered;
		s->secure = i->refer->secure;
		if (s->accept == 202)
			assert_int_equal(
			    sip_call_refer_accept(s->call, &s->referral), 0);
		else if (s->accept != 0)
			sip_call_refer_reject(s->call, s->accept);
		break;
	case SIP_CALL_ENDED:
		note(s, "ended;");
		break;
	default:
		break;
	}
}

/* A calls B over `t`; both calls are heard by on_event then. */
static void
up(struct fix *f, enum sip_transport t)
{
	memset(sides, 0, sizeof(sides));
	fix_open(f);
	f->b.answer = 200;
	call(f, t, "offer");
	pass(&f->w, 100);
	assert_non_null(f->a.call);
	assert_non_null(f->b.call);
	sides[0].call = f->a.call;
	sides[1].call = f->b.call;
	f->a.call->cb = f->b.call->cb = on_event;
	f->a.call->arg = &sides[0];
	f->b.call->arg = &sides[1];
}

#define A (&sides[0])
#define B (&sides[1])

/* ---- digits ---- */

static void
digits_go_by_info_in_both_forms(void **state)
{
	struct fix f;

	(void)state;
	for (int t = 0; t < SIPC_TRANSPORTS; t++) {
		up(&f, t);
		assert_int_equal(sip_call_dtmf(f.a.call, "19*#d", false), 0);
		assert_int_equal(sip_call_dtmf(f.b.call, "0A", true), 0);
		assert_int_equal(sip_call_dtmf(f.b.call, "7", true), 0);
		pass(&f.w, 1000);
		assert_string_equal(B->log,
		    "digit 1 160;digit 9 160;digit * 160;digit # 160;"
		    "digit D 160;");
		assert_string_equal(A->log, "digit 0 0;digit A 0;digit 7 0;");
		fix_close(&f);
	}
}

static void
digits_that_are_none_are_refused(void **state)
{
	char many[SIPC_DTMF_MAX + 2];
	struct fix f;

	(void)state;
	up(&f, SIPC_UDP);
	memset(many, '1', sizeof(many) - 1);
	many[sizeof(many) - 1] = '\0';
	assert_int_equal(sip_call_dtmf(f.a.call, "1x", false), E_PARSE);
	assert_int_equal(sip_call_dtmf(f.a.call, "", false), E_PARSE);
	assert_int_equal(sip_call_dtmf(f.a.call, many, false), E_LIMIT);
	sip_call_hangup(f.a.call, 0);
	assert_int_equal(sip_call_dtmf(f.a.call, "1", false), E_SIP_STATE);
	pass(&f.w, 100);
	assert_string_equal(B->log, "ended;");
	fix_close(&f);
}

/* The bodies of peers: what is a digit, and what is answered. */
static void
bodies_of_info_are_judged(void **state)
{
	static const struct {
		const char *type, *body;
		int code;
		const char *log;
	} v[] = {
		{ "application/dtmf-relay", "Signal=5\r\nDuration=160\r\n", 200,
		    "digit 5 160;" },
		{ "application/dtmf-relay", "signal= *\nDURATION = 90", 200,
		    "digit * 90;" },
		{ "application/dtmf-relay", "Signal=11", 200, "digit # 0;" },
		{ "application/dtmf-relay", "Signal=16", 400, "" },
		{ "application/dtmf-relay", "Signal=5\r\nDuration=-1", 200,
		    "digit 5 0;" },
		{ "application/dtmf-relay", "Duration=160", 400, "" },
		{ "application/dtmf-relay", "Signal=55", 400, "" },
		{ "application/dtmf; x=y", "b", 200, "digit B 0;" },
		{ "application/dtmf", "Signal=3\r\nDuration=100\r\n", 200,
		    "digit 3 100;" },
		{ "application/dtmf", "!", 400, "" },
		{ "application/x-other", "5", 415, "" },
		{ "text/plain", "", 200, "" },
	};
	char tag[64], more[256], want[40], branch[16], *req;
	struct fix f;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		print_message("%s %s\n", v[i].type, v[i].body);
		memset(sides, 0, sizeof(sides));
		fix_open(&f);
		f.b.answer = 200;
		peer_calls(&f, sdp_body, tag, sizeof(tag));
		peer_follows(&f, &f.p, "ACK", "a", tag);
		B->call = f.b.call;
		f.b.call->cb = on_event;
		f.b.call->arg = B;
		peer_forget(&f.p);
		(void)snprintf(more, sizeof(more),
		    "Content-Type: %s\r\nContent-Length: %zu\r\n\r\n%s",
		    v[i].type, strlen(v[i].body), v[i].body);
		(void)snprintf(branch, sizeof(branch), "inf%zu", i);
		req = peer_request(&f.p, "INFO", branch, "bare", tag, more);
		/* The CSeq after that of the INVITE. */
		strstr(req, "CSeq: 1")[6] = '2';
		peer_says(&f.p, f.b.ports[SIPC_UDP], req);
		free(req);
		pass(&f.w, 10);
		(void)snprintf(want, sizeof(want), "SIP/2.0 %d ", v[i].code);
		heard(&f.p, 0, want);
		assert_string_equal(B->log, v[i].log);
		fix_close(&f);
	}
}

/* ---- REFER ---- */

static void
blind_transfer_is_asked_for_and_reported(void **state)
{
	struct sip_refer_conf conf = { .to = "sip:carol@127.0.0.1:9" };
	struct fix f;

	(void)state;
	for (int t = 0; t < SIPC_TRANSPORTS; t++) {
		/* A call on TLS is not sent off it. */
		conf.to = t == SIPC_TLS ? "sips:carol@127.0.0.1:9"
					: "sip:carol@127.0.0.1:9";
		up(&f, t);
		B->accept = 202;
		assert_int_equal(sip_call_refer(f.a.call, &conf), 0);
		assert_int_equal(sip_call_refer(f.a.call, &conf), E_SIP_STATE);
		pass(&f.w, 100);
		assert_string_equal(B->log, "refer;");
		assert_string_equal(B->to, conf.to);
		assert_string_equal(
		    B->headers, "Referred-By: <sip:bellbird@127.0.0.1>\r\n");
		assert_int_equal(B->secure, t == SIPC_TLS);
		assert_false(B->replaces);
		assert_false(B->registered);
		assert_non_null(B->referral);
		sip_referral_report(&B->referral, 180);
		pass(&f.w, 100);
		sip_referral_report(&B->referral, 200);
		assert_null(B->referral);
		pass(&f.w, 100);
		assert_string_equal(
		    A->log, "told 202;told 100;told 180;told 200!;");
		/* Another one may follow. */
		B->accept = 603;
		assert_int_equal(sip_call_refer(f.a.call, &conf), 0);
		pass(&f.w, 100);
		assert_non_null(strstr(A->log, "told 603!;"));
		sip_call_hangup(f.a.call, 0);
		pass(&f.w, 100);
		fix_close(&f);
	}
}

/* The transferee may hear the end of the call that it was moved from before it
 * knows how the new one went (RFC 5057): A does not refuse the report. */
static void
reports_go_on_after_the_call(void **state)
{
	struct sip_refer_conf conf = { .to = "sip:carol@127.0.0.1:9" };
	struct fix f;

	(void)state;
	up(&f, SIPC_UDP);
	B->accept = 202;
	assert_int_equal(sip_call_refer(f.a.call, &conf), 0);
	pass(&f.w, 100);
	sip_call_hangup(f.a.call, 0);
	pass(&f.w, 100);
	assert_non_null(strstr(A->log, "ended;"));
	assert_non_null(strstr(B->log, "ended;"));
	assert_null(f.b.call);
	assert_non_null(B->referral);
	assert_int_equal(f.b.s->num_calls, 0);
	sip_referral_report(&B->referral, 200);
	assert_null(B->referral);
	pass(&f.w, 40000);
	assert_true(LIST_EMPTY(&f.b.s->referrals));
	fix_close(&f);
}

/* .. and they are sent: a bare peer asks, hangs up, and hears. */
static void
the_last_report_is_sent(void **state)
{
	char tag[64], *req;
	struct fix f;

	(void)state;
	memset(sides, 0, sizeof(sides));
	fix_open(&f);
	f.b.answer = 200;
	peer_calls(&f, sdp_body, tag, sizeof(tag));
	peer_follows(&f, &f.p, "ACK", "a", tag);
	B->call = f.b.call;
	B->accept = 202;
	f.b.call->cb = on_event;
	f.b.call->arg = B;
	req = peer_request(
	    &f.p, "REFER", "ref", "bare", tag, "Refer-To: <sip:c@x.test>\r\n");
	strstr(req, "CSeq: 1")[6] = '2';
	peer_says(&f.p, f.b.ports[SIPC_UDP], req);
	free(req);
	pass(&f.w, 10);
	req = peer_request(&f.p, "BYE", "bye", "bare", tag, "");
	strstr(req, "CSeq: 2")[6] = '3';
	peer_says(&f.p, f.b.ports[SIPC_UDP], req);
	free(req);
	peer_forget(&f.p);
	pass(&f.w, 10);
	assert_non_null(strstr(B->log, "ended;"));
	/* The first report had no answer yet: once more, alone now. */
	heard(&f.p, f.p.n - 1, "NOTIFY");
	assert_non_null(strstr(f.p.msg[f.p.n - 1], "SIP/2.0 100 Trying"));
	peer_answers(
	    &f.p, f.b.ports[SIPC_UDP], f.p.msg[f.p.n - 1], 200, NULL, NULL);
	pass(&f.w, 10);
	peer_forget(&f.p);
	sip_referral_report(&B->referral, 200);
	pass(&f.w, 10);
	heard(&f.p, 0, "NOTIFY");
	assert_non_null(strstr(f.p.msg[0], "\r\n\r\nSIP/2.0 200 OK"));
	assert_non_null(strstr(f.p.msg[0], "terminated;reason=noresource"));
	peer_answers(&f.p, f.b.ports[SIPC_UDP], f.p.msg[0], 200, NULL, NULL);
	pass(&f.w, 10);
	assert_true(LIST_EMPTY(&f.b.s->referrals));
	fix_close(&f);
}

static void
a_transfer_without_reports(void **state)
{
	struct sip_refer_conf conf = { .to = "sip:carol@127.0.0.1:9",
		.no_sub = true };
	struct fix f;

	(void)state;
	up(&f, SIPC_TCP);
	B->accept = 202;
	assert_int_equal(sip_call_refer(f.a.call, &conf), 0);
	pass(&f.w, 100);
	sip_referral_report(&B->referral, 200);
	pass(&f.w, 100);
	assert_string_equal(A->log, "told 202!;");
	fix_close(&f);
}

static void
silence_ends_a_transfer(void **state)
{
	struct sip_refer_conf conf = { .to = "sip:carol@127.0.0.1:9" };
	struct fix f;

	(void)state;
	up(&f, SIPC_TCP);
	B->accept = 202;
	assert_int_equal(sip_call_refer(f.a.call, &conf), 0);
	pass(&f.w, (SIPC_REFER_S + 1) * 1000);
	assert_string_equal(A->log, "told 202;told 100;told 408!;");
	fix_close(&f);
}

static void
transfers_that_cannot_be(void **state)
{
	struct sip_refer_conf bad = { .to = "sip:c@127.0.0.1?Route=x" },
			      none = { .to = NULL }, word = { .to = "carol" };
	struct fix f;

	(void)state;
	up(&f, SIPC_UDP);
	assert_int_equal(sip_call_refer(f.a.call, &bad), E_PARSE);
	assert_int_equal(sip_call_refer(f.a.call, &none), E_PARSE);
	assert_int_equal(sip_call_refer(f.a.call, &word), E_PARSE);
	none.replaces = f.a.call; /* itself */
	assert_int_equal(sip_call_refer(f.a.call, &none), E_SIP_STATE);
	sip_call_hangup(f.a.call, 0);
	bad.to = "sip:c@127.0.0.1";
	assert_int_equal(sip_call_refer(f.a.call, &bad), E_SIP_STATE);
	pass(&f.w, 100);
	fix_close(&f);
}

/* What a REFER may want of us, and what never. */
static void
refers_are_judged(void **state)
{
	static const struct {
		const char *why, *fields;
		int code;
		const char *to, *headers;
	} v[] = {
		{ "plain", "Refer-To: sip:c@x.test\r\n", 202, "sip:c@x.test",
		    "" },
		{ "compact, a name, Referred-By",
		    "r: \"C\" <sip:c@x.test;a=b>\r\n"
		    "b: <sip:p@y.test>;cid=\"1@2\"\r\n",
		    202, "sip:c@x.test;a=b",
		    "Referred-By: <sip:p@y.test>;cid=\"1@2\"\r\n" },
		{ "Replaces",
		    "Refer-To: <sip:c@x.test?Replaces=ci%40h%3Bto-tag%3Dt1"
		    "%3Bfrom-tag%3Df1>\r\n",
		    202, "sip:c@x.test",
		    "Replaces: ci@h;to-tag=t1;from-tag=f1\r\n" },
		{ "other headers are not taken",
		    "Refer-To: <sip:c@x.test?Route=%3Csip:evil%3E&Subject=a"
		    "&Call-Info=%3Cx%3E;answer-after%3D0>\r\n",
		    202, "sip:c@x.test", "" },
		{ "a line end in Replaces",
		    "Refer-To: <sip:c@x.test?Replaces=a%3Bto-tag%3Db"
		    "%3Bfrom-tag%3Dc%0D%0AVia%3A%20x>\r\n",
		    400, "", "" },
		{ "Replaces without a tag",
		    "Refer-To: <sip:c@x.test?Replaces=a%3Bto-tag%3Db>\r\n", 400,
		    "", "" },
		{ "two Replaces",
		    "Refer-To: <sip:c@x.test?Replaces=a%3Bto-tag%3Db"
		    "%3Bfrom-tag%3Dc&Replaces=a%3Bto-tag%3Db%3Bfrom-tag%3Dc>"
		    "\r\n",
		    400, "", "" },
		{ "a broken escape", "Refer-To: <sip:c@x.test?Replaces=%4>\r\n",
		    400, "", "" },
		{ "no Refer-To", "", 400, "", "" },
		{ "two of them",
		    "Refer-To: sip:c@x.test\r\nRefer-To: sip:d@x.test\r\n", 400,
		    "", "" },
		{ "another scheme", "Refer-To: <http://x.test/>\r\n", 416, "",
		    "" },
		{ "method INVITE",
		    "Refer-To: <sip:c@x.test;method=INVITE;a=b>\r\n", 202,
		    "sip:c@x.test;a=b", "" },
		{ "another method", "Refer-To: <sip:c@x.test;method=BYE>\r\n",
		    403, "", "" },
	};
	char tag[64], want[40], *req;
	struct fix f;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		print_message("%s\n", v[i].why);
		memset(sides, 0, sizeof(sides));
		fix_open(&f);
		f.b.answer = 200;
		peer_calls(&f, sdp_body, tag, sizeof(tag));
		peer_follows(&f, &f.p, "ACK", "a", tag);
		B->call = f.b.call;
		B->accept = 202;
		f.b.call->cb = on_event;
		f.b.call->arg = B;
		peer_forget(&f.p);
		req = peer_request(
		    &f.p, "REFER", "ref", "bare", tag, v[i].fields);
		strstr(req, "CSeq: 1")[6] = '2';
		peer_says(&f.p, f.b.ports[SIPC_UDP], req);
		free(req);
		pass(&f.w, 10);
		(void)snprintf(want, sizeof(want), "SIP/2.0 %d ", v[i].code);
		heard(&f.p, 0, want);
		assert_string_equal(B->log, v[i].code == 202 ? "refer;" : "");
		assert_string_equal(B->to, v[i].to);
		if (v[i].headers[0] != '\0' || v[i].code != 202)
			assert_string_equal(B->headers, v[i].headers);
		else
			assert_string_equal(B->headers, "");
		if (v[i].code == 202) {
			heard(&f.p, 1, "NOTIFY sip:p@127.0.0.1");
			assert_non_null(strstr(f.p.msg[1],
			    "Subscription-State: active;expires=200\r\n"));
			assert_non_null(strstr(f.p.msg[1], "Event: refer\r\n"));
			assert_non_null(strstr(f.p.msg[1], "Contact: <sip:"));
			assert_non_null(
			    strstr(f.p.msg[1], "\r\n\r\nSIP/2.0 100 Trying"));
		}
		fix_close(&f);
	}
}

/* A call on TLS is not talked off it (RFC 5630). */
static void
referred_calls_stay_on_tls(void **state)
{
	static const struct {
		const char *to;
		const char *log;
	} v[] = {
		{ "sip:c@127.0.0.1:9", "" },
		{ "sip:c@127.0.0.1:9;transport=tcp", "" },
		{ "sip:c@127.0.0.1:9;transport=tls", "refer;" },
		{ "sips:c@127.0.0.1:9", "refer;" },
	};
	struct sip_refer_conf conf;
	struct fix f;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		memset(&conf, 0, sizeof(conf));
		conf.to = v[i].to;
		up(&f, SIPC_TLS);
		B->accept = 202;
		assert_int_equal(sip_call_refer(f.a.call, &conf), 0);
		pass(&f.w, 100);
		assert_string_equal(B->log, v[i].log);
		if (v[i].log[0] == '\0')
			assert_string_equal(A->log, "told 403!;");
		fix_close(&f);
	}
}

/* ---- Replaces ---- */

/* An INVITE from a bare peer that names the call between A and B as `fmt`
 * says ({c}: Call-ID, {t}: B's tag, {f}: A's tag); the code it gets. */
static int
replace(struct fix *f, const char *fmt)
{
	struct sip_dlg *d = &f->b.call->dlg;
	char more[512], *req;
	struct buf b;
	int64_t code;

	buf_init(&b, sizeof(more));
	for (; *fmt != '\0'; fmt++) {
		if (*fmt != '{') {
			assert_int_equal(buf_add(&b, fmt, 1), 0);
			continue;
		}
		assert_int_equal(buf_puts(&b,
				     fmt[1] == 'c'       ? d->call_id
					 : fmt[1] == 't' ? d->local_tag
							 : d->remote_tag),
		    0);
		fmt += 2;
	}
	(void)snprintf(more, sizeof(more), "%s\r\n%s", buf_str(&b), sdp_body);
	buf_clear(&b);
	peer_forget(&f->p);
	req = peer_request(&f->p, "INVITE", "rep", "new", "", more);
	peer_says(&f->p, f->b.ports[SIPC_UDP], req);
	free(req);
	pass(&f->w, 10);
	assert_true(f->p.n > 0);
	assert_int_equal(str_int((struct slice){ f->p.msg[f->p.n - 1] + 8, 3 },
			     100, 699, &code),
	    0);
	return (int)code;
}

/* Whether the new call named the old one. */
static struct sip_call *replaced, *fresh;

static void
on_replacing(struct sip_call *c, void *arg)
{
	(void)arg;
	replaced = sip_call_replaces(c);
	sip_call_own(c, &fresh, on_event, A);
	assert_int_equal(sip_call_answer(c, 200, NULL, slice_of("x")), 0);
}

static void
replaces_is_judged(void **state)
{
	static const struct {
		const char *why, *fmt;
		enum sip_replaces_mode mode;
		int code;
	} v[] = {
		{ "the dialog", "Replaces: {c};to-tag={t};from-tag={f}",
		    SIP_REPLACES_ANY, 200 },
		{ "from a peer that is not the call's",
		    "Replaces: {c};to-tag={t};from-tag={f}", SIP_REPLACES_OWN,
		    403 },
		{ "from nobody at all", "Replaces: {c};to-tag={t};from-tag={f}",
		    SIP_REPLACES_NEVER, 403 },
		{ "tags the wrong way round",
		    "Replaces: {c};from-tag={t};to-tag={f}", SIP_REPLACES_ANY,
		    481 },
		{ "a tag that is not the peer's",
		    "Replaces: {c};to-tag={t};from-tag=no", SIP_REPLACES_ANY,
		    481 },
		{ "early only, and it stands",
		    "Replaces: {c};to-tag={t};from-tag={f};early-only",
		    SIP_REPLACES_ANY, 486 },
		{ "no tags", "Replaces: {c}", SIP_REPLACES_ANY, 400 },
		{ "twice",
		    "Replaces: {c};to-tag={t};from-tag={f}\r\n"
		    "Replaces: {c};to-tag={t};from-tag={f}",
		    SIP_REPLACES_ANY, 400 },
		{ "required",
		    "Require: replaces\r\n"
		    "Replaces: {c};to-tag={t};from-tag={f}",
		    SIP_REPLACES_ANY, 200 },
	};
	struct fix f;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		print_message("%s\n", v[i].why);
		replaced = fresh = NULL;
		/* By TCP: the bare peer is not its peer by address. */
		up(&f, SIPC_TCP);
		f.b.s->conf.on_call = on_replacing;
		/* It needs no place of its own. */
		f.b.s->conf.max_calls = 1;
		sip_stack_set_replaces(f.b.s, v[i].mode);
		assert_int_equal(replace(&f, v[i].fmt), v[i].code);
		if (v[i].code == 200) {
			assert_ptr_equal(replaced, f.b.call);
			assert_ptr_equal(fresh->replaces, f.b.call);
			/* Only one takes its place. */
			assert_ptr_equal(f.b.call->replaced_by, fresh);
			sip_call_hangup(f.b.call, 0);
			pass(&f.w, 100);
			assert_null(fresh->replaces);
			assert_non_null(strstr(A->log, "ended;"));
		} else {
			assert_null(fresh);
		}
		sip_call_free(&fresh);
		pass(&f.w, 100);
		fix_close(&f);
	}
}

/* A call that rings here is not given away, and one that ends is not. */
static void
replaces_needs_a_call_that_stands(void **state)
{
	struct fix f;

	(void)state;
	fix_open(&f);
	memset(sides, 0, sizeof(sides));
	f.b.answer = 180;
	call(&f, SIPC_TCP, "offer");
	pass(&f.w, 100);
	sip_stack_set_replaces(f.b.s, SIP_REPLACES_ANY);
	assert_int_equal(
	    replace(&f, "Replaces: {c};to-tag={t};from-tag={f}"), 481);
	fix_close(&f);
	up(&f, SIPC_TCP);
	sip_stack_set_replaces(f.b.s, SIP_REPLACES_ANY);
	sip_stack_free(f.a.s); /* nobody answers the BYE */
	f.a.s = NULL;
	sip_call_hangup(f.b.call, 0);
	if (f.b.call != NULL)
		assert_int_equal(
		    replace(&f, "Replaces: {c};to-tag={t};from-tag={f}"), 603);
	fix_close(&f);
}

/* The transferor's words fit the target's dialog: what A says of its call with
 * B names that call to B. */
static void
attended_transfer_names_the_dialog(void **state)
{
	struct sip_refer_conf conf = { 0 };
	struct sip_call *second = NULL;
	struct sip_replaces rep;
	struct side other = { .log = "" };
	char to[80], want[200];
	struct sip_call_conf c = { .to = to, .sdp = slice_of("offer") };
	struct fix f;
	const char *at;

	(void)state;
	up(&f, SIPC_TCP);
	f.b.s->conf.on_call = on_replacing;
	(void)snprintf(to, sizeof(to), "sip:c@127.0.0.1:%u;transport=tcp",
	    f.b.ports[SIPC_TCP]);
	assert_int_equal(
	    sip_call_invite(&second, f.a.s, &c, on_event, &other), 0);
	pass(&f.w, 100);
	assert_non_null(fresh);
	conf.replaces = second;
	B->accept = 202;
	assert_int_equal(sip_call_refer(f.a.call, &conf), 0);
	pass(&f.w, 100);
	assert_true(B->replaces);
	/* Direct calls: the Contact of the target. */
	(void)snprintf(want, sizeof(want), "sip:c@127.0.0.1:%u;transport=tcp",
	    f.b.ports[SIPC_TCP]);
	assert_string_equal(B->to, want);
	at = strstr(B->headers, "Replaces: ");
	assert_non_null(at);
	assert_int_equal(sip_replaces_parse(&rep,
			     (struct slice){ at + 10, strcspn(at + 10, "\r") }),
	    0);
	assert_true(slice_is(rep.call_id, fresh->dlg.call_id));
	assert_true(slice_is(rep.to_tag, fresh->dlg.local_tag));
	assert_true(slice_is(rep.from_tag, fresh->dlg.remote_tag));
	sip_call_free(&second);
	sip_call_free(&fresh);
	pass(&f.w, 100);
	fix_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digits_go_by_info_in_both_forms),
		cmocka_unit_test(digits_that_are_none_are_refused),
		cmocka_unit_test(bodies_of_info_are_judged),
		cmocka_unit_test(blind_transfer_is_asked_for_and_reported),
		cmocka_unit_test(reports_go_on_after_the_call),
		cmocka_unit_test(the_last_report_is_sent),
		cmocka_unit_test(a_transfer_without_reports),
		cmocka_unit_test(silence_ends_a_transfer),
		cmocka_unit_test(transfers_that_cannot_be),
		cmocka_unit_test(refers_are_judged),
		cmocka_unit_test(referred_calls_stay_on_tls),
		cmocka_unit_test(replaces_is_judged),
		cmocka_unit_test(replaces_needs_a_call_that_stands),
		cmocka_unit_test(attended_transfer_names_the_dialog),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
