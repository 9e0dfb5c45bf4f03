/* SPDX-License-Identifier: ISC */
/* Who has the speaker, what rings on it, and how long a call may last. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "bellbird/file.h"
#include "bellbird/pattern.h"
#include "ua.h"

/* Rules of callers; the indices of the table of settings. */
enum { RULES_MAX = 99, TONE_NAME_MAX = 128 };

/* The settings that limit a call, by what it does. */
static const char *const limit_keys[UA_LIMITS] = {
	"phone.timeout.ring",
	"phone.timeout.inbound",
	"phone.timeout.ringback",
	"phone.timeout.outbound",
};

/* ---- settings ---- */

/* The word of a setting as its place in a list; 0 if it is none. */
static unsigned int
word_of(const struct app *a, const char *key, const char *const *words)
{
	const char *v = prov_get(a->store, key);

	for (unsigned int i = 0; words[i] != NULL; i++)
		if (strcmp(v, words[i]) == 0)
			return i;
	return 0;
}

/* Is one call at a time heard? */
static bool
is_single(const struct app *a)
{
	const char *v = prov_get(a->store, "call.busy");
	const char *d = prov_get(a->store, "audio.device");

	if (strcmp(v, "auto") != 0)
		return strcmp(v, "single") == 0;
	/* A sound card is one; files and silence are as many as we like. */
	return d[0] == '\0' || strncmp(d, "alsa:", 5) == 0;
}

void
ua_conf_read(const struct app *a, struct ua_conf *out)
{
	/* In the order of enum ua_mode and enum ua_asker. */
	static const char *const modes[] = { "auto", "ring", "reject", "early",
		NULL };
	static const char *const askers[] = { "off", "account", "tls", "any",
		NULL };

	out->mode = (enum ua_mode)word_of(a, "answer.mode", modes);
	out->early = out->mode > UA_MODE_REJECT;
	if (out->early)
		out->mode = UA_MODE_RING;
	out->may_ask = (enum ua_asker)word_of(a, "answer.request", askers);
	out->single = is_single(a);
	out->max_calls = (size_t)prov_get_int(a->store, "call.max");
	for (int i = 0; i < UA_LIMITS; i++)
		out->limit_s[i] = prov_get_int(a->store, limit_keys[i]);
}

/* ---- the speaker ---- */

enum ua_rank
ua_rank_of(const struct call *c)
{
	if (c->state == CALL_HELD)
		return UA_RANK_NONE;
	if (!c->incoming)
		return UA_RANK_CALL;
	if (!c->answered)
		return c->alert ? UA_RANK_ALERT : UA_RANK_RING;
	return c->automatic ? UA_RANK_PAGE : UA_RANK_CALL;
}

void
call_set_rings(struct call *c, bool rings)
{
	if (c->rings == rings)
		return;
	c->rings = rings;
	if (rings)
		c->ua->num_ringing++;
	else
		c->ua->num_ringing--;
}

/* Tells that a call got or lost the speaker. */
static void
tell(const struct call *c, bool has)
{
	struct jv *f = call_fields(c);

	jv_set_bool(f, "speaker", has);
	app_event(c->ua->app, "call.speaker", f);
}

static void ring_start(struct call *c);

void
ua_speaker(struct ua *ua)
{
	bool single = ua->conf.single;
	struct call *c, *best = NULL;

	/* All are heard, and nothing rings: nothing to share out. */
	if (!single && !ua->lends && ua->num_ringing == 0)
		return;
	ua->lends = single;

	TAILQ_FOREACH (c, &ua->calls, link)
		if (ua_rank_of(c) != UA_RANK_NONE &&
		    (best == NULL || ua_rank_of(c) > ua_rank_of(best)))
			best = c;
	/* First it is taken away: a sound card is open once. */
	TAILQ_FOREACH (c, &ua->calls, link) {
		if (c == best)
			continue;
		ua_ring_stop(c);
		if (c->media != NULL)
			media_sess_speaker(c->media, !single);
		if (c->has_speaker && single)
			tell(c, false);
		c->has_speaker = false;
	}
	if (best == NULL)
		return;
	if (best->media != NULL)
		media_sess_speaker(best->media, true);
	if (best->incoming && !best->answered && !best->early_out)
		ring_start(best);
	if (!best->has_speaker && single)
		tell(best, true);
	best->has_speaker = true;
}

/* ---- tones ---- */

/* The user part of the caller's URI: who is told apart by it. */
static void
caller_of(const struct call *c, char *out, size_t size)
{
	struct slice s = slice_of(sip_call_remote(c->sip)), user, host;

	if (slice_cut(s, ':', &user, &host))
		s = host;
	if (!slice_cut(s, '@', &user, &host))
		user = s;
	if (str_copy_slice(out, size, user) != 0)
		out[0] = '\0';
}

/* The tone of the first rule that the caller fits; NULL: none does. */
static const char *
tone_of_caller(const struct call *c)
{
	const struct prov_store *s = c->ua->app->store;
	char key[48], caller[PATTERN_TEXT];
	const char *pattern;

	caller_of(c, caller, sizeof(caller));
	for (int i = 1; i <= RULES_MAX; i++) {
		(void)snprintf(key, sizeof(key), "alert.cid%d.use", i);
		if (!prov_get_bool(s, key))
			continue;
		(void)snprintf(key, sizeof(key), "alert.cid%d.regex", i);
		pattern = prov_get(s, key);
		if (pattern[0] == '\0' || !pattern_match(pattern, caller))
			continue;
		(void)snprintf(key, sizeof(key), "alert.cid%d.tone", i);
		return prov_get(s, key);
	}
	return NULL;
}

/* The name of the tone: the caller's, the extension's, the common one. */
static const char *
tone_of(const struct call *c)
{
	const struct prov_store *s = c->ua->app->store;
	const char *v = tone_of_caller(c);
	char key[48];

	if (v == NULL && c->alert) {
		(void)snprintf(key, sizeof(key), "sip.%s.tone", c->account);
		v = prov_get(s, key);
	}
	if (v == NULL || v[0] == '\0' || strcasecmp(v, "Default") == 0)
		v = prov_get(s, "audio.ring.tone");
	return v;
}

/* The file of a tone, if the folder has it. */
static bool
tone_file(const struct app *a, const char *name, char *path, size_t size)
{
	char below[TONE_NAME_MAX + 8];

	/* A name, and not a way out of the folder. */
	if (name[0] == '\0' || name[0] == '.' || strchr(name, '/') != NULL ||
	    strlen(name) > TONE_NAME_MAX)
		return false;
	(void)snprintf(below, sizeof(below), "tones/%s", name);
	return path_join(path, size, a->paths.state, below) == 0 &&
	    access(path, R_OK) == 0;
}

/* "-18dB" */
static int
gain_of(const struct app *a)
{
	int64_t db = 0;
	struct slice v = slice_of(prov_get(a->store, "audio.ring.vol"));

	if (v.n > 2)
		v.n -= 2;
	return str_int(v, -45, 0, &db) == 0 ? (int)db : 0;
}

/* Lets the call sound, if it has a tone. */
static void
ring_start(struct call *c)
{
	const struct app *a = c->ua->app;
	const char *tone = tone_of(c);
	char path[PATH_MAX], name[24];
	struct media_ring_conf m = { .loop = a->loop,
		.device = call_device(c),
		.call_name = name,
		.tone = tone,
		.gain_db = gain_of(a) };
	int err;

	if (c->ring != NULL || strcasecmp(tone, "None") == 0)
		return;
	(void)snprintf(name, sizeof(name), "ring-%s", c->id);
	if (tone_file(a, tone, path, sizeof(path)))
		m.file = path;
	else if (!media_ring_knows(tone))
		log_warn(LOGC_AUDIO, 0,
		    "call=%s: there is no tone %s in the folder tones, and "
		    "none is built in under this name; another sounds",
		    c->id, esc(tone));
	if ((err = media_ring_start(&c->ring, &m)) != 0)
		log_warn(
		    LOGC_AUDIO, 0, "call=%s: no tone: %s", c->id, err_str(err));
	else
		log_debug(LOGC_AUDIO, 0, "call=%s: tone %s", c->id, esc(tone));
}

void
ua_ring_stop(struct call *c)
{
	media_ring_stop(&c->ring);
	timer_stop(&c->later);
}

/* ---- how long ---- */

/* The limit for the state that the call is in. */
static enum ua_limit
limit_of(const struct call *c)
{
	bool up = c->established_us != 0 || c->answered;

	if (c->incoming)
		return up ? UA_LIMIT_INBOUND : UA_LIMIT_RING;
	return up ? UA_LIMIT_OUTBOUND : UA_LIMIT_RINGBACK;
}

/* timer_cb. */
static void
on_limit(void *arg)
{
	struct call *c = arg;
	const char *key = limit_keys[limit_of(c)];
	long long s = (long long)c->limit_s;

	if (c->established_us != 0 || c->answered) {
		call_fail(c, "call.timeout",
		    "the call was ended after %lld s, which is the limit (%s)",
		    s, key);
		return;
	}
	if (!c->incoming) {
		c->code = 408;
		call_fail(c, "call.timeout",
		    "nobody answered within %lld s (%s)", s, key);
		return;
	}
	ua_ring_stop(c);
	(void)snprintf(c->why, sizeof(c->why),
	    "the call was not answered within %lld s (%s)", s, key);
	c->class = "call.timeout";
	ignore_err(
	    sip_call_answer(c->sip, 480, NULL, (struct slice){ NULL, 0 }),
	    "the call ends by its own deadline then");
}

void
ua_limit(struct call *c)
{
	struct app *a = c->ua->app;
	int64_t s = c->ua->conf.limit_s[limit_of(c)];

	c->limit_s = s;
	timer_stop(&c->limit);
	if (s > 0 &&
	    timer_start(&c->limit, a->loop, s * 1000000, on_limit, c) != 0)
		log_err(LOGC_SIP, 0, "call=%s: no limit of time: %s", c->id,
		    err_str(ENOMEM));
}
