/* SPDX-License-Identifier: ISC */
/* Digest, both sides: the first line is a challenge that a registrar of ours
 * or a stranger sends, the second the credentials that a client of the lab
 * shows.  What we write is one clean line, and never the password. */
#include "bellbird/clock.h"
#include "../../sipcore/internal.h"
#include "fuzz.h"

#define SECRET "correct-horse-battery"

static const struct sip_cred cred = { "probe", SECRET };

/* Composes a message with that field and reads it; NULL if it is none. */
static struct sip_msg *
msg_with(const char *start, const char *cseq, const char *name, struct slice v)
{
	struct sip_msg *m = NULL;
	struct buf b;

	buf_init(&b, SIPC_MSG_MAX);
	(void)!buf_printf(&b,
	    "%s\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\n"
	    "From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: c\r\n"
	    "CSeq: 1 %s\r\n%s: ",
	    start, cseq, name);
	(void)!buf_add(&b, v.p, v.n);
	(void)!buf_puts(&b, "\r\n\r\n");
	if (b.err != 0 ||
	    sip_msg_parse(&m, (struct slice){ buf_str(&b), b.n }) != 0)
		m = NULL;
	buf_clear(&b);
	return m;
}

/* A challenge, taken and answered twice. */
static void
client_try(struct slice v, bool md5)
{
	struct sip_auth_rule rule = { .allow_md5 = md5, .any_realm = true };
	struct sip_auth a = { 0 };
	struct sip_msg *m = msg_with(
	    "SIP/2.0 401 Unauthorized", "REGISTER", "WWW-Authenticate", v);
	struct slice line, rest;
	struct buf b;

	if (m == NULL)
		return;
	buf_init(&b, SIPC_HEAD_MAX);
	if (sip_auth_take(&a, m, &rule) == 0) {
		for (int i = 0; i < 2; i++) {
			if (sip_auth_write(&a, &b, &cred, "REGISTER", "sip:b",
				(struct slice){ "body", 4 }) != 0)
				break;
		}
		/* .. unless the server has said it itself */
		assert(memmem(b.p, b.n, SECRET, sizeof(SECRET) - 1) == NULL ||
		    memmem(v.p, v.n, SECRET, sizeof(SECRET) - 1) != NULL);
		assert(md5 || strcmp(sip_auth_alg(&a), "MD5") != 0);
		rest = (struct slice){ buf_str(&b), b.n };
		while (slice_line(&rest, &line)) {
			assert(line.n > 15 &&
			    memcmp(line.p, "Authorization: ", 15) == 0);
			assert(memchr(line.p, '\r', line.n) == NULL);
		}
		/* the same again: at last it is refused, not answered */
		for (int i = 0; i < 8; i++) {
			if (sip_auth_take(&a, m, &rule) != 0)
				break;
			assert(i < 7);
		}
	} else {
		assert(rule.why[0] != '\0');
	}
	buf_clear(&b);
	sip_auth_clear(&a);
	sip_msg_free(m);
}

/* Credentials, judged by the lab. */
static void
server_try(struct slice v)
{
	static struct sip_stack s;
	struct sip_req req = { .s = &s };
	bool stale = false;

	if ((req.msg = msg_with("REGISTER sip:b SIP/2.0", "REGISTER",
		 "Authorization", v)) == NULL)
		return;
	/* Nobody guesses it. */
	assert(sip_auth_check(&req, "realm", "probe", SECRET, &stale) != 0);
	assert(!stale);
	sip_msg_free(req.msg);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = { (const char *)data, size }, first, second;

	clock_fake(1800000000);
	(void)slice_cut(in, '\n', &first, &second);
	client_try(first, true);
	client_try(first, false);
	server_try(second.n > 0 ? second : first);
	return 0;
}
