/* SPDX-License-Identifier: ISC */
/* Calls of an account: over its registered flow, with its routes and its
 * credentials; and who may call it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "test_sip.h"
#include "test_sip_tls.h"
#include "test_sip_call.h"

/* ---- a bare peer is the registrar ---- */

static void
on_reg(const struct sip_reg_status *st, void *arg)
{
	enum sip_reg_state *state = arg;

	*state = st->state;
}

/* Registers A with the peer, who asks for a password with `ask` if that is not
 * NULL; returns the port A sends from. */
static uint16_t
register_asked(struct fix *f, struct sip_reg **reg, enum sip_reg_state *state,
    const char *ask)
{
	char at[ADDR_STR_MAX];
	struct sip_reg_conf c = { .user = "bob",
		.domain = "example.test",
		.obproxy = at,
		.password = "secret",
		.transport = SIPC_UDP,
		.allow_md5 = true,
		.no_keepalive = true,
		.expires_s = 3600 };
	uint16_t port = f->a.ports[SIPC_UDP];

	addr_print(&f->p.at, at);
	assert_int_equal(sip_reg_start(reg, f->a.s, &c, on_reg, state), 0);
	pass(&f->w, 10);
	heard(&f->p, 0, "REGISTER sip:example.test SIP/2.0\r\n");
	if (ask != NULL) {
		peer_answers(&f->p, port, f->p.msg[0], 401, "rt", ask);
		pass(&f->w, 10);
	}
	peer_answers(&f->p, port, f->p.msg[f->p.n - 1], 200, "rt",
	    "Service-Route: <sip:sr.example.test;lr>\r\nExpires: 600\r\n");
	pass(&f->w, 10);
	assert_int_equal(*state, SIP_REG_OK);
	peer_forget(&f->p);
	return port;
}

static uint16_t
register_a(struct fix *f, struct sip_reg **reg, enum sip_reg_state *state)
{
	return register_asked(f, reg, state, NULL);
}

/* Turns a request of peer_request() into one for bob with his Contact at
 * `contact`, and says it. */
static void
peer_says_bob(struct peer *p, uint16_t port, char *req, const char *contact)
{
	static const char uri[] = "sip:x@127.0.0.1";
	char *at = strstr(req, "Contact: ");
	struct buf b;

	memcpy(strstr(req, uri), "sip:bob@127.0.0", sizeof(uri) - 1);
	buf_init(&b, SIPC_MSG_MAX);
	assert_int_equal(buf_printf(&b, "%.*sContact: <sip:p@%s>%s",
			     (int)(at - req), req, contact, strchr(at, '\r')),
	    0);
	peer_says(p, port, buf_str(&b));
	buf_clear(&b);
	free(req);
}

#define OFFER                               \
	"Content-Type: application/sdp\r\n" \
	"Content-Length: 5\r\n\r\noffer"

/* The peer calls A over the registered flow; the tag of A's 200 goes to
 * `tag`. */
static void
peer_calls_a(
    struct fix *f, uint16_t port, const char *contact, char *tag, size_t size)
{
	f->a.answer = 200;
	peer_says_bob(&f->p, port,
	    peer_request(&f->p, "INVITE", "i", "in", "", OFFER), contact);
	pass(&f->w, 10);
	heard(&f->p, 0, "SIP/2.0 200 ");
	to_tag_of(f->p.msg[0], tag, size);
	peer_says_bob(&f->p, port,
	    peer_request(&f->p, "ACK", "a", "in", tag, ""), contact);
	pass(&f->w, 10);
	event_is(&f->a, 0, SIP_CALL_CONFIRMED, 0, "");
	peer_forget(&f->p);
}

static void
ack_repeats_the_credentials_of_its_invite(void **state)
{
	struct sip_call_conf c = { .to = "4711", .sdp = slice_of("offer") };
	enum sip_reg_state st = SIP_REG_GONE;
	struct sip_reg *reg = NULL;
	struct fix f;
	uint16_t port;
	char *line, *end;

	(void)state;
	fix_open(&f);
	port = register_a(&f, &reg, &st);
	c.reg = reg;
	assert_int_equal(
	    sip_call_invite(&f.a.call, f.a.s, &c, on_call_event, &f.a), 0);
	pass(&f.w, 10);
	peer_answers(&f.p, port, f.p.msg[0], 407, "t1",
	    "Proxy-Authenticate: Digest realm=\"example.test\",nonce=\"n\","
	    "algorithm=SHA-256,qop=\"auth\"\r\n");
	pass(&f.w, 10);
	heard(&f.p, 2, "INVITE ");
	line = strstr(f.p.msg[2], "Proxy-Authorization: ");
	assert_non_null(line);
	peer_answers_sdp(&f.p, port, f.p.msg[2], 200, "t2",
	    "Contact: <sip:4711@192.0.2.1>\r\n", "answer");
	pass(&f.w, 10);
	heard(&f.p, 3, "ACK sip:4711@192.0.2.1 ");
	end = strstr(line, "\r\n");
	*end = '\0';
	assert_non_null(strstr(f.p.msg[3], line));
	sip_call_free(&f.a.call);
	sip_reg_stop(&reg);
	fix_close(&f);
}

static void
calls_of_an_account_stay_on_its_flow(void **state)
{
	enum sip_reg_state st = SIP_REG_GONE;
	struct sip_reg *reg = NULL;
	char tag[64], at[ADDR_STR_MAX];
	struct peer other;
	uint16_t port;
	struct fix f;

	(void)state;
	fix_open(&f);
	peer_open(&other, &f.w, "127.0.0.1");
	port = register_a(&f, &reg, &st);
	addr_print(&other.at, at);
	/* no Record-Route; Contact names another place */
	peer_calls_a(&f, port, at, tag, sizeof(tag));
	peer_says_bob(
	    &other, port, peer_request(&other, "BYE", "b1", "in", tag, ""), at);
	pass(&f.w, 10);
	assert_int_equal(other.n, 0);
	assert_non_null(f.a.call);
	/* even if that may call us otherwise: it is not the account's server */
	allow(f.a.s, "127.0.0.1");
	peer_says_bob(
	    &other, port, peer_request(&other, "BYE", "b2", "in", tag, ""), at);
	pass(&f.w, 10);
	assert_int_equal(other.n, 0);
	assert_non_null(f.a.call);
	sip_call_hangup(f.a.call, 0);
	pass(&f.w, 10);
	assert_int_equal(other.n, 0);
	heard(&f.p, 0, "BYE ");
	assert_non_null(strstr(f.p.msg[0], at)); /* the target is the same */
	sip_reg_stop(&reg);
	peer_close(&other);
	fix_close(&f);
}

static void
calls_take_route_identity_and_credentials_of_the_account(void **state)
{
	struct sip_call_conf c = { .to = "4711", .sdp = slice_of("offer") };
	enum sip_reg_state st = SIP_REG_GONE;
	struct sip_reg *reg = NULL;
	struct fix f;
	uint16_t port;
	char *second;

	(void)state;
	fix_open(&f);
	port = register_a(&f, &reg, &st);
	c.reg = reg;
	assert_int_equal(
	    sip_call_invite(&f.a.call, f.a.s, &c, on_call_event, &f.a), 0);
	pass(&f.w, 10);
	heard(&f.p, 0, "INVITE sip:4711@example.test SIP/2.0\r\n");
	assert_non_null(
	    strstr(f.p.msg[0], "From: <sip:bob@example.test>;tag="));
	assert_non_null(
	    strstr(f.p.msg[0], "Route: <sip:sr.example.test;lr>\r\n"));
	assert_non_null(strstr(f.p.msg[0], ";lr>\r\nRoute: "));
	assert_null(strstr(f.p.msg[0], "Authorization"));
	peer_answers(&f.p, port, f.p.msg[0], 407, "t1",
	    "Proxy-Authenticate: Digest realm=\"example.test\",nonce=\"n\","
	    "algorithm=SHA-256,qop=\"auth\"\r\n");
	pass(&f.w, 10);
	heard(&f.p, 1, "ACK ");
	heard(&f.p, 2, "INVITE ");
	assert_non_null(strstr(f.p.msg[2],
	    "Proxy-Authorization: Digest "
	    "username=\"bob\",realm=\"example.test\""));
	assert_non_null(strstr(f.p.msg[2], "CSeq: 2 INVITE\r\n"));
	second = strdup(f.p.msg[2]);
	peer_forget(&f.p);
	/* refused again: the password is wrong, no third try */
	peer_answers(&f.p, port, second, 407, "t2",
	    "Proxy-Authenticate: Digest realm=\"example.test\",nonce=\"n2\","
	    "algorithm=SHA-256,qop=\"auth\"\r\n");
	pass(&f.w, 10);
	heard(&f.p, 0, "ACK ");
	assert_int_equal(f.p.n, 1);
	ended(&f.a, 407, E_SIP_AUTH, true);
	free(second);
	sip_reg_stop(&reg);
	fix_close(&f);
}

#define ASK(realm, alg)                                                        \
	"-Authenticate: Digest realm=\"" realm "\",nonce=\"n\",algorithm=" alg \
	"\r\n"

/* Who asks for a password, and whether he gets a digest. */
static const struct {
	const char *why, *reg, *ask;
	bool incoming, stranger, answered;
	const char *says;
} asked[] = {
	{ "the registrar's realm", "WWW" ASK("reg", "SHA-256"),
	    "Proxy" ASK("reg", "SHA-256"), false, false, true, "" },
	{ "the domain", "WWW" ASK("reg", "SHA-256"),
	    "Proxy" ASK("EXAMPLE.test", "SHA-256"), false, false, true, "" },
	{ "the domain, where REGISTER was not asked", NULL,
	    "Proxy" ASK("example.test", "MD5"), false, false, true, "" },
	{ "another realm", "WWW" ASK("reg", "SHA-256"),
	    "Proxy" ASK("evil", "SHA-256"), false, false, false,
	    "The challenge is for realm evil, not for the account's" },
	{ "another realm, where REGISTER was not asked", NULL,
	    "Proxy" ASK("evil", "SHA-256"), false, false, false,
	    "The challenge is for realm evil, not for the account's" },
	{ "less than at REGISTER", "WWW" ASK("reg", "SHA-256"),
	    "Proxy" ASK("reg", "MD5"), false, false, false,
	    "The server offers no digest algorithm we may use" },
	{ "MD5 as at REGISTER", "WWW" ASK("reg", "MD5"),
	    "Proxy" ASK("reg", "MD5"), false, false, true, "" },
	{ "a stranger", "WWW" ASK("reg", "SHA-256"),
	    "Proxy" ASK("reg", "SHA-256"), false, true, false,
	    "Not the account's server wants a password" },
	{ "in: the registrar's realm", "WWW" ASK("reg", "SHA-256"),
	    "Proxy" ASK("reg", "SHA-256"), true, false, true, "" },
	{ "in: the domain", "WWW" ASK("reg", "SHA-256"),
	    "Proxy" ASK("example.test", "SHA-256"), true, false, false,
	    "The challenge is for realm example.test, not for the "
	    "account's" },
	{ "in: never asked", NULL, "Proxy" ASK("example.test", "SHA-256"), true,
	    false, false,
	    "The challenge is for realm example.test, not for the "
	    "account's" },
	{ "in: evil and weak", "WWW" ASK("reg", "SHA-256"),
	    "Proxy" ASK("evil", "MD5"), true, false, false,
	    "The challenge is for realm evil, not for the account's" },
	{ "in: a stranger", "WWW" ASK("reg", "SHA-256"),
	    "Proxy" ASK("reg", "SHA-256"), true, true, false,
	    "Not the account's server wants a password" },
	{ "in: MD5, as at REGISTER", "WWW" ASK("reg", "MD5"),
	    "Proxy" ASK("reg", "MD5"), true, false, false,
	    "The server offers no digest algorithm we may use" },
	{ "in: 401", "WWW" ASK("reg", "SHA-256"), "WWW" ASK("reg", "SHA-256"),
	    true, false, false, "The peer of a call wants a password" },
	{ "401 to the first INVITE", "WWW" ASK("reg", "SHA-256"),
	    "WWW" ASK("reg", "SHA-256"), false, false, true, "" },
};

/* A digest of the password goes to the account's server alone. */
static void
challenges_of_others_are_not_answered(void **state)
{
	struct fix f;

	(void)state;
	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
		struct sip_call_conf c = { .to = "4711",
			.sdp = slice_of("offer") };
		enum sip_reg_state st = SIP_REG_GONE;
		struct sip_reg *reg = NULL;
		struct peer other;
		uint16_t port;
		char tag[64], at[ADDR_STR_MAX];
		bool shown = false;
		int code;

		fix_open(&f);
		peer_open(&other, &f.w, "127.0.0.1");
		port = register_asked(&f, &reg, &st, asked[i].reg);
		if (asked[i].incoming) {
			addr_print(&f.p.at, at);
			peer_calls_a(&f, port, at, tag, sizeof(tag));
			sip_call_hangup(f.a.call, 0);
		} else {
			c.reg = reg;
			assert_int_equal(sip_call_invite(&f.a.call, f.a.s, &c,
					     on_call_event, &f.a),
			    0);
		}
		pass(&f.w, 10);
		heard(&f.p, 0, asked[i].incoming ? "BYE " : "INVITE ");
		code = asked[i].ask[0] == 'W' ? 401 : 407;
		peer_answers(asked[i].stranger ? &other : &f.p, port,
		    f.p.msg[0], code, "t", asked[i].ask);
		pass(&f.w, 10);
		for (size_t k = 0; k < f.p.n; k++)
			shown |= strstr(f.p.msg[k], "Authorization") != NULL;
		if (shown != asked[i].answered)
			fail_msg(
			    "%s: %s", asked[i].why, shown ? "shown" : "not");
		if (!asked[i].answered) {
			ended(&f.a, asked[i].incoming ? 0 : code,
			    asked[i].incoming ? 0 : E_SIP_AUTH,
			    !asked[i].incoming);
			assert_string_equal(
			    f.a.e[f.a.n - 1].reason, asked[i].says);
		}
		sip_call_free(&f.a.call);
		sip_reg_stop(&reg);
		peer_close(&other);
		fix_close(&f);
	}
}

/* The same in a dialog of an account that may use MD5 there, and of one that
 * knows its realm. */
static void
settings_say_who_is_answered(void **state)
{
	static const struct {
		const char *why;
		bool indialog_md5;
		const char *realm, *reg, *ask;
		bool registers, answered;
	} v[] = {
		{ "MD5 if allowed", true, NULL, "MD5", "MD5", true, true },
		{ "but not after SHA-256", true, NULL, "SHA-256", "MD5", true,
		    false },
		{ "the realm that was set", false, "reg", "SHA-256", "SHA-256",
		    true, true },
		{ "another than was set", false, "mine", "SHA-256", "SHA-256",
		    false, false },
	};
	struct fix f;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		enum sip_reg_state st = SIP_REG_GONE;
		char tag[64], at[ADDR_STR_MAX], ask[200];
		struct sip_reg_conf c = { .user = "bob",
			.domain = "example.test",
			.obproxy = at,
			.password = "secret",
			.transport = SIPC_UDP,
			.allow_md5 = true,
			.indialog_md5 = v[i].indialog_md5,
			.realm = v[i].realm,
			.expires_s = 3600 };
		struct sip_reg *reg = NULL;
		bool shown = false;
		uint16_t port;

		fix_open(&f);
		port = f.a.ports[SIPC_UDP];
		addr_print(&f.p.at, at);
		assert_int_equal(
		    sip_reg_start(&reg, f.a.s, &c, on_reg, &st), 0);
		pass(&f.w, 10);
		(void)snprintf(ask, sizeof(ask),
		    "WWW-Authenticate: Digest realm=\"reg\",nonce=\"n\","
		    "algorithm=%s\r\n",
		    v[i].reg);
		peer_answers(&f.p, port, f.p.msg[0], 401, "rt", ask);
		pass(&f.w, 10);
		assert_int_equal(f.p.n, v[i].registers ? 2 : 1);
		if (!v[i].registers) {
			assert_int_equal(st, SIP_REG_WAITING);
			sip_reg_stop(&reg);
			fix_close(&f);
			continue;
		}
		peer_answers(&f.p, port, f.p.msg[1], 200, "rt", NULL);
		pass(&f.w, 10);
		assert_int_equal(st, SIP_REG_OK);
		peer_forget(&f.p);
		peer_calls_a(&f, port, at, tag, sizeof(tag));
		sip_call_hangup(f.a.call, 0);
		pass(&f.w, 10);
		heard(&f.p, 0, "BYE ");
		(void)snprintf(ask, sizeof(ask),
		    "Proxy-Authenticate: Digest realm=\"reg\",nonce=\"n\","
		    "algorithm=%s\r\n",
		    v[i].ask);
		peer_answers(&f.p, port, f.p.msg[0], 407, "t", ask);
		pass(&f.w, 10);
		for (size_t k = 0; k < f.p.n; k++)
			shown |= strstr(f.p.msg[k], "Authorization") != NULL;
		if (shown != v[i].answered)
			fail_msg("%s: %s", v[i].why, shown ? "shown" : "not");
		sip_call_free(&f.a.call);
		sip_reg_stop(&reg);
		fix_close(&f);
	}
}

static void
only_the_registrar_may_call_an_account(void **state)
{
	static const struct {
		const char *why, *uri;
		bool stranger;
		const char *want; /* NULL: silence */
	} v[] = {
		{ "the account", "sip:bob@h", false, "SIP/2.0 180 " },
		{ "nobody here", "sip:eve@h", false, "SIP/2.0 404 " },
		{ "another port", "sip:bob@h", true, NULL },
	};
	struct fix f;

	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		enum sip_reg_state st = SIP_REG_GONE;
		struct sip_reg *reg = NULL;
		struct peer other, *from;
		struct buf b;
		char at[ADDR_STR_MAX];
		uint16_t port;

		fix_open(&f);
		f.a.answer = 180;
		peer_open(&other, &f.w, "127.0.0.1");
		port = register_a(&f, &reg, &st);
		from = v[i].stranger ? &other : &f.p;
		addr_print(&from->at, at);
		buf_init(&b, 4096);
		assert_int_equal(
		    buf_printf(&b,
			"INVITE %s SIP/2.0\r\n"
			"Via: SIP/2.0/UDP %s;branch=z9hG4bKq\r\n"
			"From: <sip:p@h>;tag=1\r\nTo: <%s>\r\nCall-ID: q\r\n"
			"CSeq: 1 INVITE\r\nContact: <sip:p@%s>\r\n%s",
			v[i].uri, at, v[i].uri, at,
			"Content-Type: application/sdp\r\n"
			"Content-Length: 5\r\n\r\noffer"),
		    0);
		peer_says(from, port, buf_str(&b));
		buf_clear(&b);
		pass(&f.w, 10);
		if (v[i].want == NULL)
			assert_int_equal(from->n, 0);
		else
			heard(from, 0, v[i].want);
		assert_int_equal(f.a.incoming, i == 0);
		/* once it is stopped nobody may */
		sip_call_free(&f.a.call);
		sip_reg_stop(&reg);
		pass(&f.w, 100);
		peer_forget(&f.p);
		f.a.incoming = 0;
		{
			char *req = peer_request(
			    &f.p, "OPTIONS", "late", "late", "", "");

			peer_says(&f.p, port, req);
			free(req);
		}
		pass(&f.w, 10);
		assert_int_equal(f.p.n, 0);
		peer_close(&other);
		fix_close(&f);
	}
}

/* The registrar accepts the last REGISTER for a minute and says by which port
 * of a NAT it came. */
static void
seen_at(struct fix *f, uint16_t port, unsigned int nat)
{
	static const char long_time[] = "expires=3600", one[] = "expires=0060";
	char *req = f->p.msg[f->p.n - 1], *fields, *rport, *time;
	struct buf b;

	heard(&f->p, f->p.n - 1, "REGISTER ");
	fields = strstr(req, "\r\n");
	rport = strstr(req, ";rport;keep\r\n");
	while ((time = strstr(req, long_time)) != NULL)
		memcpy(time, one, sizeof(one) - 1);
	buf_init(&b, SIPC_MSG_MAX);
	assert_int_equal(
	    buf_printf(&b,
		"SIP/2.0 200 OK%.*s;received=198.51.100.1;rport=%u%s",
		(int)(rport - fields), fields, nat, rport + strlen(";rport")),
	    0);
	peer_says(&f->p, port, buf_str(&b));
	buf_clear(&b);
	pass(&f->w, 1);
}

/* Waits for the next REGISTER, which is then the only message heard. */
static void
next_register(struct fix *f)
{
	peer_forget(&f->p);
	for (int i = 0; i < 6000 && f->p.n == 0; i++)
		pass(&f->w, 100);
	assert_int_equal(f->p.n, 1);
}

static void
contacts_follow_a_nat_but_not_one_that_never_rests(void **state)
{
	enum sip_reg_state st = SIP_REG_GONE;
	struct sip_reg *reg = NULL;
	unsigned int nat, moves = 0;
	char want[80];
	uint16_t port;
	struct fix f;

	(void)state;
	fix_open(&f);
	port = register_a(&f, &reg, &st);
	next_register(&f);
	/* a new port for each refresh that stays a while */
	for (nat = 4001; nat < 4008; nat++) {
		seen_at(&f, port, nat);
		assert_int_equal(f.p.n, 2);
		(void)snprintf(want, sizeof(want),
		    "Contact: <sip:bob@198.51.100.1:%u", nat);
		assert_non_null(strstr(f.p.msg[1], want));
		seen_at(&f, port, nat);
		assert_int_equal(f.p.n, 2);
		next_register(&f);
	}
	/* one for each packet: a few times an hour, no more */
	for (nat = 5000; nat < 5100; nat++) {
		size_t n = f.p.n;

		seen_at(&f, port, nat);
		if (f.p.n > n) {
			moves++;
			seen_at(&f, port, ++nat);
		}
		next_register(&f);
	}
	assert_true(moves >= 3 && moves <= 6); /* it was 83 minutes */
	sip_reg_stop(&reg);
	fix_close(&f);
}

static void
unregistered_accounts_place_no_calls(void **state)
{
	struct sip_reg_conf rc = { .user = "bob",
		.domain = "127.0.0.1:9",
		.transport = SIPC_UDP,
		.expires_s = 3600 };
	struct sip_call_conf c = { .to = "4711", .sdp = slice_of("offer") };
	enum sip_reg_state st = SIP_REG_GONE;
	struct sip_reg *reg = NULL;
	struct fix f;

	(void)state;
	fix_open(&f);
	assert_int_equal(sip_reg_start(&reg, f.a.s, &rc, on_reg, &st), 0);
	pass(&f.w, 10);
	c.reg = reg;
	assert_int_equal(
	    sip_call_invite(&f.a.call, f.a.s, &c, on_call_event, &f.a),
	    E_SIP_NO_ROUTE);
	assert_null(f.a.call);
	sip_reg_stop(&reg);
	fix_close(&f);
}

/* ---- another stack is the registrar, over TLS ---- */

static uint64_t reg_flow;
static unsigned int registers;
static int reg_refuse; /* with this; 0: accept */

static bool
on_register(struct sip_req *req, void *arg)
{
	(void)arg;
	if (strcmp(sip_req_method(req), "REGISTER") != 0)
		return false;
	registers++;
	reg_flow = sip_req_flow(req);
	if (reg_refuse != 0) {
		assert_int_equal(sip_req_reply(req, reg_refuse, NULL, NULL,
				     NULL, slice_of("")),
		    0);
		return true;
	}
	assert_int_equal(sip_req_reply(req, 200, NULL, "Expires: 600\r\n", NULL,
			     slice_of("")),
	    0);
	return true;
}

/* Registers A with B over TLS. */
static void
register_tls(struct fix *f, struct sip_reg **reg, enum sip_reg_state *st)
{
	char domain[40];
	struct sip_reg_conf c = { .user = "bob",
		.domain = domain,
		.transport = SIPC_TLS,
		.expires_s = 3600,
		.policy = tls_client_policy };

	(void)snprintf(
	    domain, sizeof(domain), "127.0.0.1:%u", f->b.ports[SIPC_TLS]);
	registers = 0;
	reg_refuse = 0;
	f->b.s->conf.on_req = on_register;
	assert_int_equal(sip_reg_start(reg, f->a.s, &c, on_reg, st), 0);
	pass(&f->w, 15000);
	assert_int_equal(*st, SIP_REG_OK);
}

static void
calls_come_in_over_the_registered_flow_and_survive_its_loss(void **state)
{
	enum sip_reg_state st = SIP_REG_GONE;
	struct sip_call_conf c = { .to = "sip:bob@127.0.0.1",
		.sdp = slice_of("offer") };
	struct sip_reg *reg = NULL;
	struct fix f;
	uint64_t old;

	(void)state;
	fix_open(&f);
	register_tls(&f, &reg, &st);
	f.a.answer = 200;
	old = c.flow = reg_flow;
	assert_int_equal(
	    sip_call_invite(&f.b.call, f.b.s, &c, on_call_event, &f.b), 0);
	pass(&f.w, 100);
	event_is(&f.b, 0, SIP_CALL_ANSWERED, 200, "answer");
	event_is(&f.a, 0, SIP_CALL_CONFIRMED, 0, "");
	assert_true(sip_call_is_secure(f.a.call));
	assert_ptr_equal(f.a.call->reg, reg);
	/* the connection goes; the account comes back by a new one */
	sip_flow_close(sip_flow_get(f.a.s, f.a.call->w.flow->id), 0);
	pass(&f.w, 1000);
	assert_int_equal(st, SIP_REG_OK);
	assert_true(reg_flow != old);
	ended(&f.b, 0, E_CLOSED, false); /* B had a direct call */
	/* A said where it is now; B does not know the call any more */
	ended(&f.a, 481, E_SIP_REFUSED, true);
	sip_reg_stop(&reg);
	fix_close(&f);
}

static void
refused_refresh_leaves_calls_and_their_flow_alone(void **state)
{
	static const int codes[] = { 503, 403 };
	struct fix f;

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(codes) / sizeof(codes[0]); i++) {
		enum sip_reg_state st = SIP_REG_GONE;
		struct sip_call_conf c = { .to = "sip:bob@127.0.0.1",
			.sdp = slice_of("offer") };
		struct sip_reg *reg = NULL;
		bool busy = i % 2 == 0;
		uint64_t flow;

		fix_open(&f);
		register_tls(&f, &reg, &st);
		f.a.answer = 200;
		flow = c.flow = reg_flow;
		assert_int_equal(
		    sip_call_invite(&f.b.call, f.b.s, &c, on_call_event, &f.b),
		    0);
		pass(&f.w, 100);
		event_is(&f.a, 0, SIP_CALL_CONFIRMED, 0, "");
		if (!busy)
			sip_call_hangup(f.b.call, 0);
		reg_refuse = codes[i / 2];
		while (registers == 1)
			pass(&f.w, 1000);
		pass(&f.w, 100);
		assert_int_equal(st, SIP_REG_WAITING);
		assert_int_equal(f.a.call != NULL, busy);
		assert_int_equal(f.a.n, busy ? 1 : 2);
		assert_int_equal(sip_flow_is_alive(f.b.s, flow), busy);
		/* once more, and the third time it works */
		while (registers == 2)
			pass(&f.w, 1000);
		reg_refuse = 0;
		while (registers == 3)
			pass(&f.w, 1000);
		pass(&f.w, 100);
		assert_int_equal(st, SIP_REG_OK);
		assert_int_equal(reg_flow == flow, busy);
		assert_int_equal(f.a.call != NULL, busy);
		sip_reg_stop(&reg);
		fix_close(&f);
	}
}

static void
calls_of_a_registration_that_stays_away_end(void **state)
{
	enum sip_reg_state st = SIP_REG_GONE;
	struct sip_call_conf c = { .to = "sip:bob@127.0.0.1",
		.sdp = slice_of("offer") };
	struct sip_reg *reg = NULL;
	struct fix f;

	(void)state;
	fix_open(&f);
	register_tls(&f, &reg, &st);
	f.a.answer = 200;
	c.flow = reg_flow;
	assert_int_equal(
	    sip_call_invite(&f.b.call, f.b.s, &c, on_call_event, &f.b), 0);
	pass(&f.w, 100);
	event_is(&f.a, 0, SIP_CALL_CONFIRMED, 0, "");
	sip_stack_free(f.b.s);
	f.b.s = NULL;
	pass(&f.w, 60000);
	assert_non_null(f.a.call);
	pass(&f.w, 5000);
	ended(&f.a, 0, E_CLOSED, false);
	sip_reg_stop(&reg);
	fix_close(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    calls_take_route_identity_and_credentials_of_the_account),
		cmocka_unit_test(challenges_of_others_are_not_answered),
		cmocka_unit_test(settings_say_who_is_answered),
		cmocka_unit_test(ack_repeats_the_credentials_of_its_invite),
		cmocka_unit_test(calls_of_an_account_stay_on_its_flow),
		cmocka_unit_test(only_the_registrar_may_call_an_account),
		cmocka_unit_test(
		    contacts_follow_a_nat_but_not_one_that_never_rests),
		cmocka_unit_test(unregistered_accounts_place_no_calls),
		cmocka_unit_test(
		    calls_come_in_over_the_registered_flow_and_survive_its_loss),
		cmocka_unit_test(
		    refused_refresh_leaves_calls_and_their_flow_alone),
		cmocka_unit_test(calls_of_a_registration_that_stays_away_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
