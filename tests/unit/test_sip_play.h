/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_TESTS_TEST_SIP_PLAY_H
#define BELLBIRD_TESTS_TEST_SIP_PLAY_H

/* A message flow as text: what we do, what the others hear and say, what our
 * program is told.  The grammar is in tests/data/flows/README.md.  Include
 * after test_sip_call.h. */
#include <ctype.h>

enum { VARS_MAX = 64, TEXT_MAX = 8192, METHODS_MAX = 16 };

struct var {
	char name[32], value[512];
};

struct flow {
	struct fix f;
	struct peer p2;
	struct sip_reg *reg;
	enum sip_reg_state reg_state;
	struct var vars[VARS_MAX];
	size_t num_vars;
	size_t read[2]; /* messages heard so far, of each peer */
	struct {
		char method[16];
		char *msg;
	} last[2][METHODS_MAX];
	size_t events;
	const char *file;
	int line;
};

#define FLOW_FAIL(x, ...)                                       \
	do {                                                    \
		print_message("%s:%d: ", (x)->file, (x)->line); \
		fail_msg(__VA_ARGS__);                          \
	} while (0)

/* ---- variables ---- */

static void
var_set(struct flow *x, const char *name, const char *value, size_t n)
{
	struct var *v = NULL;

	for (size_t i = 0; i < x->num_vars; i++) {
		if (strcmp(x->vars[i].name, name) == 0)
			v = &x->vars[i];
	}
	if (v == NULL) {
		assert_true(x->num_vars < VARS_MAX);
		v = &x->vars[x->num_vars++];
		assert_int_equal(str_copy(v->name, sizeof(v->name), name), 0);
	}
	assert_int_equal(str_copy_slice(v->value, sizeof(v->value),
			     (struct slice){ value, n }),
	    0);
}

static const char *
var_get(const struct flow *x, const char *name)
{
	for (size_t i = 0; i < x->num_vars; i++) {
		if (strcmp(x->vars[i].name, name) == 0)
			return x->vars[i].value;
	}
	return NULL;
}

/* Puts the values of $names into `in`; "$name+1" counts up. */
static void
expand(struct flow *x, const char *in, char *out, size_t size)
{
	char name[32];
	const char *v;
	size_t n = 0, k;

	while (*in != '\0') {
		if (*in != '$') {
			assert_true(n + 1 < size);
			out[n++] = *in++;
			continue;
		}
		for (k = 0, in++; isalnum((unsigned char)*in); in++) {
			assert_true(k + 1 < sizeof(name));
			name[k++] = *in;
		}
		name[k] = '\0';
		if ((v = var_get(x, name)) == NULL)
			FLOW_FAIL(x, "no value for $%s", name);
		if (in[0] == '+' && isdigit((unsigned char)in[1])) {
			k = (size_t)snprintf(out + n, size - n, "%ld",
			    strtol(v, NULL, 10) + (in[1] - '0'));
			in += 2;
		} else {
			k = (size_t)snprintf(out + n, size - n, "%s", v);
		}
		assert_true(k < size - n);
		n += k;
	}
	out[n] = '\0';
}

/* Does the whole line fit?  "*" is anything, "{name}" anything to keep. */
static bool
fits(struct flow *x, const char *pat, const char *s)
{
	const char *close, *at;
	char name[32];

	for (; *pat != '\0' && *pat != '*' && *pat != '{'; pat++, s++) {
		if (*pat != *s)
			return false;
	}
	if (*pat == '\0')
		return *s == '\0';
	if (*pat == '*') {
		for (at = s;; at++) {
			if (fits(x, pat + 1, at))
				return true;
			if (*at == '\0')
				return false;
		}
	}
	close = strchr(pat, '}');
	assert_non_null(close);
	assert_int_equal(
	    str_copy_slice(name, sizeof(name),
		(struct slice){ pat + 1, (size_t)(close - pat - 1) }),
	    0);
	for (at = s;; at++) {
		if (at > s && fits(x, close + 1, at)) {
			var_set(x, name, s, (size_t)(at - s));
			return true;
		}
		if (*at == '\0')
			return false;
	}
}

/* ---- hearing ---- */

/* One line of what is expected, among the lines of a message. */
static void
line_wanted(struct flow *x, const char *pat, const char *msg, bool first)
{
	struct slice rest = slice_of(msg), line;
	bool not = pat[0] == '!';
	char text[1024];

	if (not )
		pat++;
	while (slice_line(&rest, &line)) {
		assert_int_equal(str_copy_slice(text, sizeof(text), line), 0);
		if (fits(x, pat, text)) {
			if (not )
				FLOW_FAIL(x, "unwanted: %s in\n%s", pat, msg);
			return;
		}
		if (first)
			break;
	}
	if (!not )
		FLOW_FAIL(x, "missing: %s in\n%s", pat, msg);
}

/* What every message heard leaves behind. */
static void
note(struct flow *x, size_t who, const char *text)
{
	struct sip_msg *m;
	char num[16];

	/* Seen from a proxy an answer has more than one Via, which the parser
	 * does not take. */
	if (sip_msg_parse(&m, slice_of(text)) != 0) {
		assert_int_equal(strncmp(text, "SIP/2.0 ", 8), 0);
		return;
	}
	var_set(x, "ttag", m->to_tag.p != NULL ? m->to_tag.p : "", m->to_tag.n);
	if (m->is_req) {
		var_set(x, "callid", m->call_id, strlen(m->call_id));
		var_set(x, "ftag", m->from_tag.p, m->from_tag.n);
		(void)snprintf(num, sizeof(num), "%u", m->cseq);
		var_set(x, "cseq", num, strlen(num));
	}
	for (size_t i = 0; m->is_req && i < METHODS_MAX; i++) {
		if (x->last[who][i].msg != NULL &&
		    strcmp(x->last[who][i].method, m->method) != 0)
			continue;
		free(x->last[who][i].msg);
		x->last[who][i].msg = strdup(text);
		assert_int_equal(
		    str_copy(x->last[who][i].method, 16, m->method), 0);
		break;
	}
	sip_msg_free(m);
}

static struct peer *
peer_of(struct flow *x, size_t who)
{
	return who == 0 ? &x->f.p : &x->p2;
}

/* The next message is like `block`. */
static void
hear(struct flow *x, size_t who, char *block)
{
	struct peer *p = peer_of(x, who);
	const char *msg, *body;
	char pat[1024], *line, *save = block;
	bool first = true;

	pass(&x->f.w, 5);
	if (x->read[who] >= p->n)
		FLOW_FAIL(x, "nothing heard; wanted %s", block);
	msg = p->msg[x->read[who]++];
	note(x, who, msg);
	while ((line = strsep(&save, "\n")) != NULL) {
		if (line[0] == '\0' && save == NULL)
			break;
		if (line[0] == '\0') {
			/* the body, whole */
			expand(x, save, pat, sizeof(pat));
			body = strstr(msg, "\r\n\r\n");
			assert_non_null(body);
			pat[strcspn(pat, "\n")] = '\0';
			if (!fits(x, pat, body + 4))
				FLOW_FAIL(x, "body is %s", body + 4);
			break;
		}
		expand(x, line, pat, sizeof(pat));
		line_wanted(x, pat, msg, first);
		first = false;
	}
}

/* ---- saying ---- */

/* Sends a block: header lines, empty line, body; the length is ours to say. */
static void
say(struct flow *x, size_t who, const char *head, const char *block)
{
	static char text[TEXT_MAX];
	struct slice rest, line;
	struct buf b;
	const char *body = "";
	bool typed = false;

	expand(x, block, text, sizeof(text));
	buf_init(&b, SIPC_MSG_MAX);
	assert_int_equal(buf_puts(&b, head), 0);
	rest = slice_of(text);
	while (slice_line(&rest, &line)) {
		if (line.n == 0) {
			body = rest.p;
			break;
		}
		typed = typed || strncmp(line.p, "Content-Type:", 13) == 0;
		assert_int_equal(
		    buf_printf(&b, SLICE_FMT "\r\n", SLICE_ARG(line)), 0);
	}
	rest = slice_of(body);
	rest.n = strcspn(body, "\n");
	if (rest.n > 0 && !typed)
		assert_int_equal(
		    buf_puts(&b, "Content-Type: application/sdp\r\n"), 0);
	assert_int_equal(buf_printf(&b, "Content-Length: %zu\r\n\r\n" SLICE_FMT,
			     rest.n, SLICE_ARG(rest)),
	    0);
	peer_says(peer_of(x, who), x->f.a.ports[SIPC_UDP], buf_str(&b));
	buf_clear(&b);
	pass(&x->f.w, 5);
}

/* Answers the last request of a method: "METHOD CODE TAG". */
static void
reply(struct flow *x, size_t who, const char *words, const char *block)
{
	char method[16], tag[64], num[8];
	struct slice rest = slice_of(words), w[3];
	struct sip_msg *m;
	struct sip_rsp rsp;
	struct addr us;
	const char *req = NULL;
	char *end;
	struct buf b;

	for (size_t i = 0; i < 3; i++)
		(void)slice_cut(rest, ' ', &w[i], &rest);
	assert_int_equal(str_copy_slice(method, sizeof(method), w[0]), 0);
	assert_int_equal(str_copy_slice(num, sizeof(num), w[1]), 0);
	assert_int_equal(str_copy_slice(tag, sizeof(tag), w[2]), 0);
	for (size_t i = 0; i < METHODS_MAX; i++) {
		if (x->last[who][i].msg != NULL &&
		    strcmp(x->last[who][i].method, method) == 0)
			req = x->last[who][i].msg;
	}
	if (req == NULL)
		FLOW_FAIL(x, "no %s was heard", method);
	assert_int_equal(sip_msg_parse(&m, slice_of(req)), 0);
	rsp = (struct sip_rsp){ .code = (int)strtol(num, NULL, 10),
		.to_tag = tag[0] != '\0' && tag[0] != '-' ? tag : NULL };
	assert_int_equal(
	    addr_parse(&us, slice_of("127.0.0.1"), x->f.a.ports[SIPC_UDP]), 0);
	rsp.from = &us;
	buf_init(&b, SIPC_MSG_MAX);
	sip_write_response(&b, m, &rsp);
	end = strstr(buf_str(&b), "Content-Length:");
	assert_non_null(end);
	*end = '\0';
	say(x, who, buf_str(&b), block);
	buf_clear(&b);
	sip_msg_free(m);
}

/* ---- our program ---- */

static const struct {
	const char *name;
	enum sip_call_event ev;
} event_names[] = { { "ringing", SIP_CALL_RINGING },
	{ "answered", SIP_CALL_ANSWERED }, { "confirmed", SIP_CALL_CONFIRMED },
	{ "offer", SIP_CALL_OFFER }, { "pracked", SIP_CALL_PRACKED },
	{ "ended", SIP_CALL_ENDED } };

/* One word "key=value" about an event. */
static void
event_word(
    struct flow *x, const struct event *e, struct slice key, struct slice value)
{
	char text[128];
	long n;

	assert_int_equal(str_copy_slice(text, sizeof(text), value), 0);
	n = strtol(text, NULL, 10);
	if (slice_is(key, "code") ? e->code != n
		: slice_is(key, "sdp")
		? strcmp(e->sdp, text[0] == '-' ? "" : text) != 0
		: slice_is(key, "early")     ? e->early != (unsigned int)n
		: slice_is(key, "is_offer")  ? e->offer != (n != 0)
		: slice_is(key, "agreed")    ? e->agreed != (n != 0)
		: slice_is(key, "by_peer")   ? e->by_peer != (n != 0)
		: slice_is(key, "refresh")   ? e->refresh != (n != 0)
		: slice_is(key, "cause")     ? e->cause != n
		: slice_is(key, "q850")      ? e->q850 != n
		: slice_is(key, "elsewhere") ? e->elsewhere != (n != 0)
		: slice_is(key, "err")       ? (e->err != 0) != (n != 0)
					     : true)
		FLOW_FAIL(x,
		    "event %d code=%d sdp=%s early=%u offer=%d agreed=%d "
		    "cause=%d elsewhere=%d err=%d by_peer=%d; wanted " SLICE_FMT
		    "=%s",
		    e->ev, e->code, e->sdp, e->early, e->offer, e->agreed,
		    e->cause, e->elsewhere, e->err, e->by_peer, SLICE_ARG(key),
		    text);
}

static void
event_wanted(struct flow *x, struct slice words)
{
	const struct event *e = &x->f.a.e[x->events];
	struct slice name, word, key, value;
	int ev = -1;

	(void)slice_cut(words, ' ', &name, &words);
	for (size_t i = 0; i < sizeof(event_names) / sizeof(event_names[0]);
	     i++) {
		if (slice_is(name, event_names[i].name))
			ev = (int)event_names[i].ev;
	}
	if (ev < 0 || x->events >= x->f.a.n || (int)e->ev != ev)
		FLOW_FAIL(x, "wanted event " SLICE_FMT ", got %d of %zu",
		    SLICE_ARG(name), x->events < x->f.a.n ? (int)e->ev : -1,
		    x->f.a.n);
	x->events++;
	while (words.n > 0) {
		(void)slice_cut(words, ' ', &word, &words);
		if (slice_cut(word, '=', &key, &value))
			event_word(x, e, key, value);
	}
}

static void
on_flow_reg(const struct sip_reg_status *st, void *arg)
{
	enum sip_reg_state *state = arg;

	*state = st->state;
}

/* "register USER DOMAIN": by way of the first peer. */
static void
do_register(struct flow *x, struct slice words)
{
	char user[64], domain[128];
	struct slice w;
	struct sip_reg_conf c = { .user = user,
		.domain = domain,
		.obproxy = var_get(x, "peer"),
		.password = "zanzibar",
		.transport = SIPC_UDP,
		.allow_md5 = true,
		.expires_s = 3600 };

	(void)slice_cut(words, ' ', &w, &words);
	assert_int_equal(str_copy_slice(user, sizeof(user), w), 0);
	assert_int_equal(str_copy_slice(domain, sizeof(domain), words), 0);
	assert_int_equal(
	    sip_reg_start(&x->reg, x->f.a.s, &c, on_flow_reg, &x->reg_state),
	    0);
}

/* "dial URI [SDP]"; without SDP the offer is left to the peer. */
static void
do_dial(struct flow *x, struct slice words)
{
	char to[256], sdp[64] = "";
	struct slice w;
	struct sip_call_conf c = {
		.to = to, .reg = x->reg, .from_user = "alice"
	};

	(void)slice_cut(words, ' ', &w, &words);
	assert_int_equal(str_copy_slice(to, sizeof(to), w), 0);
	assert_int_equal(str_copy_slice(sdp, sizeof(sdp), words), 0);
	c.sdp = slice_of(sdp);
	assert_int_equal(
	    sip_call_invite(&x->f.a.call, x->f.a.s, &c, on_call_event, &x->f.a),
	    0);
}

/* "CODE [SDP]": our program answers. */
static void
do_answer(struct flow *x, struct slice words)
{
	struct slice num;
	int64_t code;

	(void)slice_cut(words, ' ', &num, &words);
	assert_int_equal(str_int(num, 100, 699, &code), 0);
	assert_int_equal(
	    sip_call_answer(x->f.a.call, (int)code, NULL, words), 0);
}

/* Rules of the stack: "rel=off session=1800 peer=1 redirect=0". */
static void
do_rules(struct flow *x, struct slice words)
{
	struct sip_call_rules r = { .rel = SIP_REL_ON };
	struct slice word, key, value;
	int64_t n;

	while (words.n > 0) {
		(void)slice_cut(words, ' ', &word, &words);
		(void)slice_cut(word, '=', &key, &value);
		if (slice_is(word, "rel=off"))
			r.rel = SIP_REL_OFF;
		if (slice_is(word, "rel=required"))
			r.rel = SIP_REL_REQUIRED;
		if (str_int(value, 0, 100000, &n) != 0)
			continue;
		if (slice_is(key, "session"))
			r.session_s = (unsigned int)n;
		if (slice_is(key, "min"))
			r.min_se_s = (unsigned int)n;
		if (slice_is(key, "peer"))
			r.session_peer = n != 0;
		if (slice_is(key, "redirect"))
			r.no_redirect = n == 0;
	}
	sip_stack_set_rules(x->f.a.s, &r);
}

/* What we do by a word and its operand; false: no such word. */
static bool
do_ours(struct flow *x, struct slice word, struct slice arg)
{
	struct sip_call *c = x->f.a.call;
	int64_t n = 0;

	if (slice_is(word, "dial"))
		do_dial(x, arg);
	else if (slice_is(word, "register"))
		do_register(x, arg);
	else if (slice_is(word, "unregister"))
		sip_reg_unregister(x->reg);
	else if (slice_is(word, "rules"))
		do_rules(x, arg);
	else if (slice_is(word, "answer"))
		do_answer(x, arg);
	else if (slice_is(word, "ack"))
		assert_int_equal(sip_call_ack(c, arg), 0);
	else if (slice_is(word, "reinvite"))
		assert_int_equal(sip_call_reinvite(c, arg), 0);
	else if (slice_is(word, "update"))
		assert_int_equal(sip_call_update(c, arg), 0);
	else if (slice_is(word, "no-update"))
		assert_int_equal(sip_call_update(c, arg), E_SIP_STATE);
	else if (slice_is(word, "accept"))
		assert_int_equal(sip_call_accept(c, arg), 0);
	else if (slice_is(word, "reject") && str_int(arg, 300, 699, &n) == 0)
		sip_call_reject(c, (int)n);
	else if (slice_is(word, "hangup"))
		sip_call_hangup(c, 0);
	else if (slice_is(word, "why") && str_int(arg, 1, 699, &n) == 0)
		sip_call_set_reason(c, (int)n, "as it is");
	else
		return false;
	pass(&x->f.w, 1);
	return true;
}

/* ---- one flow ---- */

static void
flow_open(struct flow *x, const char *file)
{
	char at[ADDR_STR_MAX];

	memset(x, 0, sizeof(*x));
	x->file = file;
	fix_open(&x->f);
	peer_open(&x->p2, &x->f.w, "127.0.0.1");
	allow(x->f.a.s, "127.0.0.1");
	addr_print(&x->f.p.at, at);
	var_set(x, "peer", at, strlen(at));
	addr_print(&x->p2.at, at);
	var_set(x, "other", at, strlen(at));
	(void)snprintf(at, sizeof(at), "127.0.0.1:%u", x->f.a.ports[SIPC_UDP]);
	var_set(x, "us", at, strlen(at));
}

static void
flow_close(struct flow *x)
{
	for (size_t i = 0; i < METHODS_MAX * 2; i++)
		free(x->last[i / METHODS_MAX][i % METHODS_MAX].msg);
	sip_reg_stop(&x->reg);
	peer_close(&x->p2);
	fix_close(&x->f);
}

/* A quiet end: nothing unread, nothing untold. */
static void
flow_end(struct flow *x)
{
	pass(&x->f.w, 5);
	for (size_t who = 0; who < 2; who++) {
		if (x->read[who] < peer_of(x, who)->n)
			FLOW_FAIL(x, "not expected: %s",
			    peer_of(x, who)->msg[x->read[who]]);
	}
	if (x->events < x->f.a.n)
		FLOW_FAIL(
		    x, "event %d not expected", (int)x->f.a.e[x->events].ev);
}

/* A step that is not ours: "hear", "say", "reply", with 2 for the other. */
static void
do_theirs(struct flow *x, struct slice word, struct slice arg, char *block)
{
	char words[128];
	size_t who = word.n > 0 && word.p[word.n - 1] == '2';

	word.n -= who;
	assert_int_equal(str_copy_slice(words, sizeof(words), arg), 0);
	if (slice_is(word, "hear"))
		hear(x, who, block);
	else if (slice_is(word, "say"))
		say(x, who, "", block);
	else if (slice_is(word, "reply"))
		reply(x, who, words, block);
	else
		FLOW_FAIL(x, "no such step: " SLICE_FMT, SLICE_ARG(word));
}

/* One step with the lines that belong to it. */
static void
flow_step(struct flow *x, struct slice step, char *block)
{
	char text[512];
	struct slice word, arg;
	int64_t n;

	assert_int_equal(str_copy_slice(text, sizeof(text), step), 0);
	{
		char full[512];

		expand(x, text, full, sizeof(full));
		memcpy(text, full, sizeof(text));
	}
	(void)slice_cut(slice_of(text), ' ', &word, &arg);
	if (slice_is(word, "event"))
		event_wanted(x, arg);
	else if (slice_is(word, "quiet"))
		flow_end(x);
	else if (slice_is(word, "forget"))
		x->read[0] = x->f.p.n;
	else if (slice_is(word, "pass") && str_int(arg, 1, 10000000, &n) == 0)
		pass(&x->f.w, n);
	else if (slice_is(word, "registered"))
		assert_int_equal(x->reg_state, SIP_REG_OK);
	else if (slice_is(word, "unregistered"))
		assert_int_not_equal(x->reg_state, SIP_REG_OK);
	else if (!do_ours(x, word, arg))
		do_theirs(x, word, arg, block);
}

/* Plays the steps of `text`, which starts at `line` of `file`. */
static UNUSED void
flow_play(const char *file, int line, struct slice text)
{
	static char block[TEXT_MAX];
	static struct flow x;
	struct slice rest = text, one, next;
	size_t n;

	flow_open(&x, file);
	while (slice_line(&rest, &one)) {
		x.line = ++line;
		if (one.n == 0 || one.p[0] == '#')
			continue;
		for (n = 0, next = rest; next.n > 0 && next.p[0] == '|';
		     rest = next) {
			struct slice l;

			(void)slice_line(&next, &l);
			line++;
			l.p++;
			l.n--;
			if (l.n > 0 && l.p[0] == ' ') {
				l.p++;
				l.n--;
			}
			assert_true(n + l.n + 2 < sizeof(block));
			memcpy(block + n, l.p, l.n);
			n += l.n;
			block[n++] = '\n';
		}
		block[n] = '\0';
		flow_step(&x, one, block);
	}
	flow_end(&x);
	flow_close(&x);
}

#endif
