/* SPDX-License-Identifier: ISC */
/* Subscriptions, text and proofs of a password in fake time: an account that is
 * registered with a bare UDP peer, whose bytes are the test's. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "bellbird/sip_sub.h"
#include "test_sip.h"

struct fix {
	struct world w;
	struct sip_stack *s;
	struct peer p; /* the registrar */
	uint16_t port; /* of ours */
	struct sip_reg *reg;
	struct sip_sub *sub;
	struct sip_text *text;
	unsigned int notify_n; /* CSeq of the registrar's NOTIFYs */
	char log[512];
	int proved;   /* of the last request that was to be proved; -1: none */
	char got[64]; /* text that came */
};

static void
note(struct fix *f, const char *fmt, ...)
{
	size_t n = strlen(f->log);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(f->log + n, sizeof(f->log) - n, fmt, ap);
	va_end(ap);
}

static void
on_reg(const struct sip_reg_status *st, void *arg)
{
	(void)st;
	(void)arg;
}

static void
on_sub(const struct sip_sub_info *i, void *arg)
{
	struct fix *f = arg;

	if (i->notify)
		note(f, "%s(%.*s) ", sip_sub_state_name(i->state),
		    (int)i->body.n, i->body.n > 0 ? i->body.p : "");
	else
		note(f, "%s %d ", sip_sub_state_name(i->state), i->code);
}

static void
on_text(int err, int code, const char *reason, void *arg)
{
	(void)reason;
	note(arg, "text %d %d ", err, code);
}

/* sip_req_cb: NOTIFY has to be proved, MESSAGE is kept. */
static bool
on_req(struct sip_req *req, void *arg)
{
	struct fix *f = arg;
	struct sip_reg *reg = sip_req_account(req);
	int code;
	char *text;

	if (strcmp(sip_req_method(req), "MESSAGE") == 0) {
		text = sip_req_text(req, &code);
		(void)snprintf(
		    f->got, sizeof(f->got), "%s", text != NULL ? text : "");
		free(text);
	} else {
		assert_non_null(reg);
		assert_false(sip_req_is_verified(req));
		f->proved = sip_req_prove(req, reg);
		if (f->proved != 0)
			return true;
		code = 200;
	}
	assert_int_equal(
	    sip_req_reply(req, code, NULL, NULL, NULL, slice_of("")), 0);
	return true;
}

/* The newest message that begins with `start`; NULL: none. */
static const char *
last(const struct peer *p, const char *start)
{
	for (size_t i = p->n; i-- > 0;)
		if (strncmp(p->msg[i], start, strlen(start)) == 0)
			return p->msg[i];
	return NULL;
}

static void
fix_open(struct fix *f)
{
	char domain[80];
	struct sip_reg_status st;
	struct sip_reg_conf c = { .user = "b",
		.domain = domain,
		.password = "secret",
		.transport = SIPC_UDP,
		.allow_md5 = true,
		.realm = "127.0.0.1",
		.expires_s = 86400 };
	struct sip_stack_conf sc = { .on_req = on_req, .arg = f };

	memset(f, 0, sizeof(*f));
	f->proved = -1;
	world_open(&f->w);
	peer_open(&f->p, &f->w, "127.0.0.1");
	sc.loop = f->w.loop;
	sc.tls = f->w.tls;
	sc.dns = f->w.dns;
	assert_int_equal(sip_stack_new(&f->s, &sc), 0);
	addr_print(&f->p.at, domain);
	assert_int_equal(sip_reg_start(&f->reg, f->s, &c, on_reg, f), 0);
	pass(&f->w, 50);
	heard(&f->p, 0, "REGISTER");
	sip_reg_get_status(f->reg, &st);
	f->port = addr_port(&st.local);
	peer_answers(
	    &f->p, f->port, f->p.msg[0], 200, "reg", "Expires: 86400\r\n");
	pass(&f->w, 50);
	assert_true(sip_reg_is_ok(f->reg));
	peer_forget(&f->p);
}

static void
fix_close(struct fix *f)
{
	sip_stack_free(f->s);
	assert_null(f->sub);
	assert_null(f->text);
	peer_close(&f->p);
	world_close(&f->w);
}

/* No SUBSCRIBE for that long; keep-alives there are. */
static void
quiet(struct fix *f, int s)
{
	for (; s > 0; s -= 60) {
		pass(&f->w, 60000);
		assert_null(last(&f->p, "SUBSCRIBE"));
		peer_forget(&f->p);
	}
}

static void
subscribe(struct fix *f)
{
	struct sip_sub_conf c = { .reg = f->reg,
		.event = "message-summary",
		.accept = "application/simple-message-summary" };

	assert_int_equal(sip_sub_start(&f->sub, f->s, &c, on_sub, f), 0);
	pass(&f->w, 10);
	heard(&f->p, 0, "SUBSCRIBE sip:b@127.0.0.1");
}

/* The registrar notifies within the subscription of the newest SUBSCRIBE. */
static void
notifies(struct fix *f, struct peer *from, const char *state, const char *body)
{
	struct sip_msg *m;
	char at[ADDR_STR_MAX];
	struct buf b;

	assert_int_equal(
	    sip_msg_parse(&m, slice_of(last(&f->p, "SUBSCRIBE"))), 0);
	addr_print(&from->at, at);
	f->notify_n++;
	buf_init(&b, SIPC_MSG_MAX);
	assert_int_equal(
	    buf_printf(&b,
		"NOTIFY sip:b@127.0.0.1 SIP/2.0\r\n"
		"Via: SIP/2.0/UDP %s;branch=z9hG4bKn%u\r\n"
		"From: <sip:b@127.0.0.1>;tag=srv\r\nTo: %s\r\n"
		"Call-ID: %s\r\nCSeq: %u NOTIFY\r\nMax-Forwards: 70\r\n"
		"Contact: <sip:mwi@%s>\r\nEvent: message-summary\r\n"
		"Subscription-State: %s\r\n"
		"Content-Type: application/simple-message-summary\r\n"
		"Content-Length: %zu\r\n\r\n%s",
		at, f->notify_n, m->from, m->call_id, f->notify_n, at, state,
		strlen(body), body),
	    0);
	peer_says(from, f->port, buf_str(&b));
	buf_clear(&b);
	sip_msg_free(m);
	pass(&f->w, 10);
}

/* The registrar answers the newest SUBSCRIBE. */
static void
answers(struct fix *f, int code, const char *more)
{
	peer_answers(
	    &f->p, f->port, last(&f->p, "SUBSCRIBE"), code, "srv", more);
	pass(&f->w, 10);
}

static void
call_id_of(const struct fix *f, char *out, size_t size)
{
	struct sip_msg *m;

	assert_int_equal(
	    sip_msg_parse(&m, slice_of(last(&f->p, "SUBSCRIBE"))), 0);
	ignore_err(str_copy(out, size, m->call_id), "cut");
	sip_msg_free(m);
}

static void
subscriptions_are_refreshed(void **state)
{
	char first[64], again[64];
	struct fix f;
	const char *m;

	(void)state;
	fix_open(&f);
	subscribe(&f);
	m = f.p.msg[0];
	assert_non_null(strstr(m, "Event: message-summary\r\n"));
	assert_non_null(
	    strstr(m, "Accept: application/simple-message-summary\r\n"));
	assert_non_null(strstr(m, "Expires: 3600\r\n"));
	assert_non_null(strstr(m, "Contact: <sip:b@"));
	call_id_of(&f, first, sizeof(first));
	answers(&f, 200, "Expires: 600\r\nContact: <sip:mwi@127.0.0.1>\r\n");
	notifies(&f, &f.p, "active;expires=600", "Messages-Waiting: yes\r\n");
	assert_non_null(last(&f.p, "SIP/2.0 200"));
	assert_string_equal(
	    f.log, "pending 200 active(Messages-Waiting: yes\r\n) ");
	peer_forget(&f.p);
	pass(&f.w, 530000);
	assert_null(last(&f.p, "SUBSCRIBE"));
	pass(&f.w, 11000);
	/* In the dialog that the NOTIFY led to its Contact. */
	assert_non_null(last(&f.p, "SUBSCRIBE sip:mwi@127.0.0.1:"));
	assert_non_null(strstr(last(&f.p, "SUBSCRIBE"), ";tag=srv\r\n"));
	call_id_of(&f, again, sizeof(again));
	assert_string_equal(first, again);
	answers(&f, 200, "Expires: 600\r\n");
	/* The end: it is told. */
	peer_forget(&f.p);
	sip_sub_stop(&f.sub);
	pass(&f.w, 10);
	assert_non_null(strstr(last(&f.p, "SUBSCRIBE"), "Expires: 0\r\n"));
	notifies(&f, &f.p, "terminated;reason=timeout", "");
	assert_non_null(last(&f.p, "SIP/2.0 481"));
	fix_close(&f);
}

/* What the end of a subscription means: a new one after so many seconds, or
 * none.  The first lived for a while. */
static void
reasons_of_an_end(void **state)
{
	static const struct {
		const char *state;
		int after_s; /* at least; -1: never */
		int before_s;
	} v[] = {
		{ "terminated;reason=deactivated", 1, 3 },
		{ "terminated;reason=timeout", 1, 3 },
		{ "terminated;reason=probation;retry-after=100", 100, 101 },
		{ "terminated;reason=giveup", 24, 37 },
		{ "terminated;reason=giveup;retry-after=x", 24, 37 },
		{ "terminated", 24, 37 },
		{ "terminated;reason=brand-new", 24, 37 },
		{ "terminated;reason=rejected", -1, 0 },
		{ "terminated;reason=noresource", -1, 0 },
		{ "terminated;reason=invariant", -1, 0 },
	};
	char first[64], again[64];
	struct fix f;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		print_message("%s\n", v[i].state);
		fix_open(&f);
		subscribe(&f);
		call_id_of(&f, first, sizeof(first));
		answers(&f, 200, "Expires: 3600\r\n");
		notifies(&f, &f.p, "active", "");
		pass(&f.w, 100000);
		notifies(&f, &f.p, v[i].state, "");
		peer_forget(&f.p);
		if (v[i].after_s < 0) {
			quiet(&f, 3600);
			fix_close(&f);
			continue;
		}
		pass(&f.w, v[i].after_s * 1000 - 500);
		assert_null(last(&f.p, "SUBSCRIBE"));
		pass(&f.w, (v[i].before_s - v[i].after_s) * 1000 + 700);
		assert_non_null(last(&f.p, "SUBSCRIBE sip:b@127.0.0.1"));
		call_id_of(&f, again, sizeof(again));
		assert_string_not_equal(first, again);
		fix_close(&f);
	}
}

/* A notifier that ends each subscription at once is not asked without end. */
static void
an_end_at_once_backs_off(void **state)
{
	struct fix f;
	unsigned int n = 0;

	(void)state;
	fix_open(&f);
	subscribe(&f);
	for (int i = 0; i < 1200; i++) {
		if (last(&f.p, "SUBSCRIBE") != NULL) {
			n++;
			answers(&f, 200, "Expires: 3600\r\n");
			notifies(&f, &f.p, "terminated;reason=deactivated", "");
			peer_forget(&f.p);
		}
		pass(&f.w, 1000);
	}
	assert_true(n >= 4 && n <= 7);
	fix_close(&f);
}

static void
refusals_of_subscribe(void **state)
{
	static const struct {
		int code;
		const char *more;
		int after_s, before_s;
	} v[] = {
		{ 489, "", -1, 0 },
		{ 405, "", -1, 0 },
		{ 403, "", -1, 0 },
		{ 500, "", 24, 37 },
		{ 503, "Retry-After: 200\r\n", 200, 201 },
		{ 423, "Min-Expires: 7200\r\n", 0, 0 },
		{ 423, "Min-Expires: 60\r\n", 24, 37 },
		{ 407, "", 24, 37 },
	};
	struct fix f;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		print_message("%d %s\n", v[i].code, v[i].more);
		fix_open(&f);
		subscribe(&f);
		peer_answers(
		    &f.p, f.port, f.p.msg[0], v[i].code, "srv", v[i].more);
		peer_forget(&f.p);
		pass(&f.w, 10);
		if (v[i].after_s < 0) {
			quiet(&f, 3600);
		} else if (v[i].after_s == 0) {
			assert_non_null(strstr(
			    last(&f.p, "SUBSCRIBE"), "Expires: 7200\r\n"));
		} else {
			pass(&f.w, v[i].after_s * 1000 - 500);
			assert_null(last(&f.p, "SUBSCRIBE"));
			pass(&f.w, (v[i].before_s - v[i].after_s) * 1000 + 700);
			assert_non_null(last(&f.p, "SUBSCRIBE"));
		}
		fix_close(&f);
	}
}

/* NOTIFY may be faster than the 2xx (RFC 6665 4.4.1); and no NOTIFY at all
 * (4.1.2.4) is no subscription. */
static void
notify_makes_the_dialog(void **state)
{
	struct fix f;

	(void)state;
	fix_open(&f);
	subscribe(&f);
	notifies(&f, &f.p, "active;expires=500", "x");
	assert_non_null(last(&f.p, "SIP/2.0 200"));
	answers(&f, 200, "Expires: 500\r\n");
	assert_string_equal(f.log, "active(x) active 200 ");
	fix_close(&f);

	fix_open(&f);
	subscribe(&f);
	answers(&f, 200, "Expires: 3600\r\n");
	pass(&f.w, 33000);
	assert_string_equal(f.log, "pending 200 waiting 0 ");
	fix_close(&f);
}

/* Nobody but the account's server notifies, and nothing comes twice. */
static void
notify_is_judged(void **state)
{
	struct peer other;
	struct fix f;

	(void)state;
	fix_open(&f);
	peer_open(&other, &f.w, "127.0.0.1");
	subscribe(&f);
	answers(&f, 200, "Expires: 3600\r\n");
	notifies(&f, &other, "active", "evil");
	assert_int_equal(other.n, 0); /* UDP: silence */
	allow(f.s, "127.0.0.1");
	notifies(&f, &other, "active", "evil");
	heard(&other, 0, "SIP/2.0 403");
	notifies(&f, &f.p, "active", "good");
	f.notify_n -= 2; /* an old number, another branch */
	notifies(&f, &f.p, "active", "old");
	assert_string_equal(f.log, "pending 200 active(good) ");
	peer_close(&other);
	fix_close(&f);
}

/* A refresh that the server does not know, or wants a password for by 401:
 * a new subscription (digest leak: an in-dialog 401 is never answered). */
static void
lost_subscriptions_begin_anew(void **state)
{
	static const char chal[] =
	    "WWW-Authenticate: Digest realm=\"127.0.0.1\",nonce=\"n\","
	    "algorithm=SHA-256,qop=\"auth\"\r\n";
	static const int codes[] = { 481, 401 };
	struct fix f;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		fix_open(&f);
		subscribe(&f);
		answers(&f, 200, "Expires: 600\r\n");
		notifies(&f, &f.p, "active;expires=600", "");
		peer_forget(&f.p);
		pass(&f.w, 541000);
		assert_non_null(strstr(last(&f.p, "SUBSCRIBE"), ";tag=srv"));
		answers(&f, codes[i], codes[i] == 401 ? chal : "");
		peer_forget(&f.p);
		pass(&f.w, 2000);
		assert_non_null(last(&f.p, "SUBSCRIBE"));
		assert_null(strstr(last(&f.p, "SUBSCRIBE"), ";tag=srv"));
		assert_null(strstr(last(&f.p, "SUBSCRIBE"), "Authorization"));
		/* There it may be asked. */
		answers(&f, 407,
		    "Proxy-Authenticate: Digest realm=\"127.0.0.1\","
		    "nonce=\"n\",algorithm=SHA-256,qop=\"auth\"\r\n");
		assert_non_null(
		    strstr(last(&f.p, "SUBSCRIBE"), "Proxy-Authorization: "));
		fix_close(&f);
	}
}

static void
a_stopped_account_stops_it(void **state)
{
	struct fix f;

	(void)state;
	fix_open(&f);
	subscribe(&f);
	answers(&f, 200, "Expires: 600\r\n");
	assert_true(sip_sub_is_of(f.sub, f.reg));
	sip_reg_stop(&f.reg);
	assert_false(sip_sub_is_of(f.sub, f.reg));
	peer_forget(&f.p);
	pass(&f.w, 1000000);
	assert_null(last(&f.p, "SUBSCRIBE"));
	sip_sub_stop(&f.sub);
	fix_close(&f);
}

/* ---- text ---- */

static void
text_is_sent(void **state)
{
	char many[SIPC_TEXT_SEND_MAX + 2];
	struct fix f;
	const char *m;

	(void)state;
	fix_open(&f);
	memset(many, 'x', sizeof(many) - 1);
	many[sizeof(many) - 1] = '\0';
	assert_int_equal(
	    sip_text_send(&f.text, f.reg, "a", many, on_text, &f), E_LIMIT);
	assert_int_equal(
	    sip_text_send(&f.text, f.reg, "a", "", on_text, &f), E_PARSE);
	assert_int_equal(
	    sip_text_send(&f.text, f.reg, "a", "\xff", on_text, &f), E_PARSE);
	assert_int_equal(
	    sip_text_send(&f.text, f.reg, "sip:a@b?Route=x", "t", on_text, &f),
	    E_PARSE);
	assert_int_equal(
	    sip_text_send(&f.text, f.reg, "sips:a@b", "t", on_text, &f),
	    E_SIP_INSECURE);
	assert_int_equal(
	    sip_text_send(&f.text, f.reg, "alice", "h\xc3\xa9llo", on_text, &f),
	    0);
	pass(&f.w, 10);
	m = last(&f.p, "MESSAGE sip:alice@127.0.0.1");
	assert_non_null(m);
	assert_non_null(strstr(m, "Content-Type: text/plain;charset=UTF-8"));
	assert_non_null(strstr(m, "\r\n\r\nh\xc3\xa9llo"));
	assert_null(strstr(m, "Contact:")); /* RFC 3428 4 */
	peer_answers(&f.p, f.port, m, 407, "x",
	    "Proxy-Authenticate: Digest realm=\"127.0.0.1\",nonce=\"n\","
	    "algorithm=SHA-256,qop=\"auth\"\r\n");
	pass(&f.w, 10);
	m = last(&f.p, "MESSAGE");
	assert_non_null(strstr(m, "Proxy-Authorization: Digest "));
	peer_answers(&f.p, f.port, m, 200, "x", "");
	pass(&f.w, 10);
	assert_string_equal(f.log, "text 0 200 ");
	assert_null(f.text);
	assert_int_equal(
	    sip_text_send(&f.text, f.reg, "a", "t", on_text, &f), 0);
	pass(&f.w, 10);
	peer_answers(&f.p, f.port, last(&f.p, "MESSAGE"), 404, "x", "");
	pass(&f.w, 10);
	assert_non_null(strstr(f.log, " 404 "));
	fix_close(&f);
}

/* Texts of others: what is one, and what is answered. */
static void
text_that_comes_is_judged(void **state)
{
	static const struct {
		const char *type, *body;
		size_t n; /* of the body; 0: as it is */
		int code;
		const char *got;
	} v[] = {
		{ "text/plain", "hello", 0, 200, "hello" },
		{ "TEXT/Plain;charset=\"UTF-8\"", "h\xc3\xa9", 0, 200,
		    "h\xc3\xa9" },
		{ "text/plain;charset=iso-8859-1", "h\xe9", 0, 415, "" },
		{ "text/plain", "h\xe9", 0, 400, "" },
		{ "text/plain", "a\0b", 3, 400, "" },
		{ "text/html", "<b>", 0, 415, "" },
		{ "text/plain", NULL, SIPC_TEXT_MAX + 1, 413, "" },
	};
	char *big = calloc(1, SIPC_TEXT_MAX + 2), want[32];
	struct addr to;
	struct buf b;
	struct fix f;
	char at[ADDR_STR_MAX];

	(void)state;
	assert_non_null(big);
	memset(big, 'x', SIPC_TEXT_MAX + 1);
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		const char *body = v[i].body != NULL ? v[i].body : big;
		size_t n = v[i].n != 0 ? v[i].n : strlen(body);

		print_message("%s %zu\n", v[i].type, n);
		fix_open(&f);
		addr_print(&f.p.at, at);
		assert_int_equal(
		    addr_parse(&to, slice_of("127.0.0.1"), f.port), 0);
		buf_init(&b, SIPC_MSG_MAX);
		buf_printf(&b,
		    "MESSAGE sip:b@127.0.0.1 SIP/2.0\r\n"
		    "Via: SIP/2.0/UDP %s;branch=z9hG4bKm\r\n"
		    "From: <sip:a@127.0.0.1>;tag=a\r\n"
		    "To: <sip:b@127.0.0.1>\r\n"
		    "Call-ID: m\r\nCSeq: 1 MESSAGE\r\nMax-Forwards: 70\r\n"
		    "Content-Type: %s\r\nContent-Length: %zu\r\n\r\n",
		    at, v[i].type, n);
		buf_add(&b, body, n);
		assert_int_equal(udp_send(f.p.u, b.p, b.n, &to), 0);
		buf_clear(&b);
		pass(&f.w, 10);
		(void)snprintf(want, sizeof(want), "SIP/2.0 %d ", v[i].code);
		heard(&f.p, 0, want);
		assert_string_equal(f.got, v[i].got);
		fix_close(&f);
	}
	free(big);
}

/* ---- proofs ---- */

/* The registrar asks by NOTIFY, with these credentials. */
static void
asks(struct fix *f, const char *branch, const char *credentials)
{
	char *req =
		 peer_request(&f->p, "NOTIFY", branch, branch, "", credentials),
	     *user = strstr(req, "sip:x@");

	peer_forget(&f->p);
	/* The same length: "sip:x@127.0.0.1" becomes our user's. */
	memcpy(user, "sip:b@", 6);
	peer_says(&f->p, f->port, req);
	free(req);
	pass(&f->w, 10);
}

static void
passwords_are_proved_once(void **state)
{
	struct sip_cred good = { "b", "secret" }, bad = { "b", "guess" };
	struct sip_auth_rule rule = { .any_realm = true };
	struct sip_auth auth = { 0 };
	struct sip_msg *m;
	struct buf b, wrong;
	struct fix f;

	(void)state;
	fix_open(&f);
	/* UDP is no verified flow: the registrar, too, has to prove it. */
	asks(&f, "p1", "");
	assert_int_equal(f.proved, E_SIP_AUTH);
	heard(&f.p, 0, "SIP/2.0 401");
	assert_int_equal(sip_msg_parse(&m, slice_of(f.p.msg[0])), 0);
	assert_int_equal(sip_auth_take(&auth, m, &rule), 0);
	sip_msg_free(m);
	buf_init(&b, 4096);
	buf_init(&wrong, 4096);
	assert_int_equal(sip_auth_write(&auth, &wrong, &bad, "NOTIFY",
			     "sip:b@127.0.0.1", slice_of("")),
	    0);
	assert_int_equal(sip_auth_write(&auth, &b, &good, "NOTIFY",
			     "sip:b@127.0.0.1", slice_of("")),
	    0);
	asks(&f, "p2", buf_str(&wrong));
	assert_int_equal(f.proved, E_SIP_AUTH);
	asks(&f, "p3", buf_str(&b));
	assert_int_equal(f.proved, 0);
	heard(&f.p, 0, "SIP/2.0 200");
	/* Whoever saw that go by says it again. */
	asks(&f, "p4", buf_str(&b));
	assert_int_equal(f.proved, E_SIP_AUTH);
	assert_non_null(strstr(f.p.msg[0], "stale=true"));
	buf_clear(&b);
	buf_clear(&wrong);
	sip_auth_clear(&auth);
	fix_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(subscriptions_are_refreshed),
		cmocka_unit_test(reasons_of_an_end),
		cmocka_unit_test(an_end_at_once_backs_off),
		cmocka_unit_test(refusals_of_subscribe),
		cmocka_unit_test(notify_makes_the_dialog),
		cmocka_unit_test(notify_is_judged),
		cmocka_unit_test(lost_subscriptions_begin_anew),
		cmocka_unit_test(a_stopped_account_stops_it),
		cmocka_unit_test(text_is_sent),
		cmocka_unit_test(text_that_comes_is_judged),
		cmocka_unit_test(passwords_are_proved_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
