/* SPDX-License-Identifier: ISC */
/* What is done about a call that comes in.  Pure: a table of cases is its
 * test. */
#include <string.h>
#include <strings.h>

#include "bellbird/str.h"
#include "ua_policy.h"

/* ---- what headers ask ---- */

const char *const ua_ask_headers[] = { "Priv-Answer-Mode", "Answer-Mode",
	"Call-Info", "Alert-Info", NULL };

/* The next piece of a header, cut at ; and , outside of quotes and <>. */
static bool
next_piece(struct slice *rest, struct slice *piece)
{
	bool quoted = false, uri = false;
	size_t n = 0;

	if (rest->n == 0)
		return false;
	for (; n < rest->n; n++) {
		char ch = rest->p[n];

		if (ch == '\\' && quoted && n + 1 < rest->n)
			n++;
		else if (ch == '"' && !uri)
			quoted = !quoted;
		else if (ch == '<' && !quoted)
			uri = true;
		else if (ch == '>' && !quoted)
			uri = false;
		else if ((ch == ';' || ch == ',') && !quoted && !uri)
			break;
	}
	if (n > rest->n)
		n = rest->n;
	*piece = slice_trim((struct slice){ rest->p, n });
	n += n < rest->n;
	rest->p += n;
	rest->n -= n;
	return true;
}

/* "answer-after = 5": is it that parameter, and what is its value? */
static bool
piece_is(struct slice piece, const char *name, struct slice *value)
{
	struct slice head;

	(void)slice_cut(piece, '=', &head, value);
	*value = slice_trim(*value);
	return slice_case_is(slice_trim(head), name);
}

/* Takes one layer of <> or quotes off. */
static struct slice
bare(struct slice s)
{
	if (s.n >= 2 &&
	    ((s.p[0] == '<' && s.p[s.n - 1] == '>') ||
		(s.p[0] == '"' && s.p[s.n - 1] == '"')))
		return (struct slice){ s.p + 1, s.n - 2 };
	return s;
}

/* Words of Alert-Info that PBXs use for "answer this by yourself". */
static bool
is_alert_word(struct slice piece)
{
	static const char *const words[] = { "alert-autoanswer", "auto answer",
		"auto-answer", "autoanswer", "ring answer", "ring-answer" };
	struct slice value;

	piece = bare(piece);
	if (piece_is(piece, "info", &value))
		piece = bare(value);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (slice_case_is(piece, words[i]))
			return true;
	return false;
}

/* Call-Info and Alert-Info. */
static void
read_info(struct ua_ask *ask, const char *name, struct slice rest)
{
	bool is_alert = strcasecmp(name, "Alert-Info") == 0;
	bool at_once = false;
	struct slice piece, value;
	int64_t s = 0;

	while (next_piece(&rest, &piece)) {
		if (piece_is(piece, "answer-after", &value)) {
			if (str_int(bare(value), 0, UA_DELAY_MAX_S, &s) != 0)
				return;
			at_once = true;
		} else if (is_alert && is_alert_word(piece)) {
			at_once = true;
		} else if (is_alert && piece_is(piece, "delay", &value)) {
			if (str_int(bare(value), 0, UA_DELAY_MAX_S, &s) != 0)
				return;
		}
	}
	if (!at_once)
		return;
	ask->at_once = true;
	ask->delay_s = (unsigned int)s;
	ask->header = is_alert ? "Alert-Info" : "Call-Info";
}

/* RFC 5373 4.1: Answer-Mode = "Manual" / "Auto", with parameters. */
static void
read_mode(struct ua_ask *ask, const char *name, struct slice rest)
{
	struct slice piece, value;

	if (!next_piece(&rest, &piece))
		return;
	ask->at_once = slice_case_is(piece, "Auto");
	ask->by_hand = slice_case_is(piece, "Manual");
	if (!ask->at_once && !ask->by_hand)
		return;
	while (next_piece(&rest, &piece))
		ask->require |= piece_is(piece, "require", &value);
	ask->header = name[0] == 'P' || name[0] == 'p' ? "Priv-Answer-Mode"
						       : "Answer-Mode";
}

void
ua_ask_read(struct ua_ask *ask, const char *name, const char *value)
{
	if (ask->header != NULL)
		return;
	if (strcasecmp(name, "Call-Info") == 0 ||
	    strcasecmp(name, "Alert-Info") == 0)
		read_info(ask, name, slice_of(value));
	else
		read_mode(ask, name, slice_of(value));
}

/* ---- the decision ---- */

/* No, and why. */
static void
refuse(struct ua_verdict *out, int code, const char *why)
{
	out->act = UA_ACT_REFUSE;
	out->code = code;
	out->why = why;
}

/* No room; why it is busy. */
static void
busy(struct ua_verdict *out, const char *why)
{
	refuse(out, 486, why);
	out->class = "call.busy";
}

/* Is it answered without anybody's doing? */
static bool
is_auto(const struct ua_in *in)
{
	if (in->mode == UA_MODE_AUTO)
		/* Whoever asks for less gets less. */
		return !in->ask.by_hand;
	return in->ask.at_once && in->asker <= in->may_ask;
}

/* A call for a page extension, or a direct one. */
static void
decide_call(const struct ua_in *in, struct ua_verdict *out)
{
	bool auto_answer = is_auto(in);

	if (in->num_calls >= in->max_calls) {
		busy(out, "call.max allows no more calls at a time");
	} else if (in->ask.require && in->ask.at_once && !auto_answer) {
		/* RFC 5373 4.3: it must not be answered in another way. */
		refuse(out, 403,
		    "the caller insists on an answer at once, which "
		    "answer.request does not allow");
		out->class = "answer.request";
	} else if (in->single &&
	    in->top >= (auto_answer ? UA_RANK_PAGE : UA_RANK_RING)) {
		busy(out, "another call has the speaker (call.busy)");
	} else if (auto_answer && in->ask.delay_s == 0) {
		out->act = UA_ACT_ANSWER;
	} else {
		out->act = UA_ACT_RING;
		out->delay_s = auto_answer ? in->ask.delay_s : 0;
	}
}

void
ua_decide(const struct ua_in *in, struct ua_verdict *out)
{
	memset(out, 0, sizeof(*out));
	out->class = out->why = "";
	if (in->stopping) {
		refuse(out, 480, "the endpoint ends");
		out->class = "stopping";
	} else if (in->mode == UA_MODE_REJECT) {
		refuse(out, 603, "answer.mode = reject: no call is taken");
		out->class = "answer.mode";
	} else if (!in->alert) {
		decide_call(in, out);
	} else if (in->num_alerts >= UA_ALERTS_MAX) {
		busy(out, "too many alerts ring already");
	} else {
		/* Never busy: its tone waits for the speaker. */
		out->act = UA_ACT_ALERT;
	}
}
