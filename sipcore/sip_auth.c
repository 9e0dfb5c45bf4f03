/* SPDX-License-Identifier: ISC */
/* Digest authentication (RFC 7616, RFC 8760), client side: choose among the
 * challenges, answer, count nonces, know when to give up. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <osipparser2/osip_parser.h>

#include "bellbird/log.h"
#include "bellbird/mem.h"
#include "internal.h"

enum {
	/* user:realm:password and the like; realms and nonces of the field
	 * are below 300 bytes each. */
	PLAIN_MAX = 4096,
	/* A server that calls each nonce stale gets this many answers. */
	ROUNDS_MAX = 3
};

/* Best first. */
static const struct {
	const char *name;
	enum tls_hash_alg alg;
} algs[] = {
	{ "SHA-512-256", TLS_SHA512_256 },
	{ "SHA-256", TLS_SHA256 },
	{ "MD5", TLS_MD5 },
};
enum { NUM_ALGS = sizeof(algs) / sizeof(algs[0]) };

static const char no_alg[] = "The server offers no digest algorithm we may use";

const char *
sip_alg_name(enum tls_hash_alg alg)
{
	for (size_t i = 0; i < NUM_ALGS; i++) {
		if (algs[i].alg == alg)
			return algs[i].name;
	}
	return "";
}

int
sip_alg_parse(const char *name, enum tls_hash_alg *alg, bool *sess)
{
	struct slice s = slice_of(name);
	bool is_sess = false;

	if (s.n > 5 &&
	    slice_case_is((struct slice){ s.p + s.n - 5, 5 }, "-sess")) {
		is_sess = true;
		s.n -= 5;
	}
	for (size_t i = 0; i < NUM_ALGS; i++) {
		if (!slice_case_is(s, algs[i].name))
			continue;
		*alg = algs[i].alg;
		*sess = is_sess;
		return 0;
	}
	return E_SIP_AUTH;
}

/* Hashes what was composed, as hex; wipes it. */
static int
hash_hex(enum tls_hash_alg alg, struct buf *b, char *out)
{
	int err = b->err;

	if (err == 0)
		tls_hash_hex(alg, b->p, b->n, out);
	buf_reset(b);
	return err;
}

/* H(A1): RFC 7616 3.4.2. */
static int
hash_a1(const struct sip_digest *d, struct buf *b, char *out)
{
	int err;

	ignore_err(buf_printf(b, "%s:%s:%s", d->user, d->realm, d->password),
	    "sticks in the buf");
	if ((err = hash_hex(d->alg, b, out)) != 0 || !d->sess)
		return err;
	ignore_err(buf_printf(b, "%s:%s:%s", out, d->nonce, d->cnonce),
	    "sticks in the buf");
	return hash_hex(d->alg, b, out);
}

/* H(A2): RFC 7616 3.4.3. */
static int
hash_a2(const struct sip_digest *d, struct buf *b, char *out)
{
	char body[2 * TLS_HASH_MAX + 1];

	ignore_err(
	    buf_printf(b, "%s:%s", d->method, d->uri), "sticks in the buf");
	if (strcmp(d->qop, "auth-int") == 0) {
		tls_hash_hex(d->alg, d->body.p, d->body.n, body);
		ignore_err(buf_printf(b, ":%s", body), "sticks in the buf");
	}
	return hash_hex(d->alg, b, out);
}

int
sip_digest_response(
    const struct sip_digest *d, char out[static 2 * TLS_HASH_MAX + 1])
{
	char a1[2 * TLS_HASH_MAX + 1], a2[2 * TLS_HASH_MAX + 1];
	struct buf b;
	int err;

	if (sip_alg_name(d->alg)[0] == '\0')
		return E_SIP_AUTH;
	buf_init_secret(&b, PLAIN_MAX);
	if ((err = hash_a1(d, &b, a1)) != 0 || (err = hash_a2(d, &b, a2)) != 0)
		goto out;
	ignore_err(buf_printf(&b, "%s:%s:", a1, d->nonce), "sticks in the buf");
	if (d->qop[0] != '\0')
		ignore_err(
		    buf_printf(&b, "%08x:%s:%s:", d->nc, d->cnonce, d->qop),
		    "sticks in the buf");
	ignore_err(buf_puts(&b, a2), "sticks in the buf");
	err = hash_hex(d->alg, &b, out);
out:
	mem_wipe(a1, sizeof(a1));
	buf_clear(&b);
	return err;
}

/* ---- the client ---- */

/* Forgets one challenge. */
static void
chal_clear(struct sip_chal *c)
{
	free(c->realm);
	free(c->nonce);
	free(c->opaque);
	memset(c, 0, sizeof(*c));
}

void
sip_auth_clear(struct sip_auth *a)
{
	chal_clear(&a->c[0]);
	chal_clear(&a->c[1]);
}

void
sip_auth_ok(struct sip_auth *a)
{
	a->c[0].round = a->c[1].round = 0;
}

/* Finds nextnonce among the parameters of an Authentication-Info. */
static bool
nextnonce_find(struct slice list, struct slice *out)
{
	struct slice one, name, value;

	while (sip_list_next(&list, &one)) {
		if (!slice_cut(one, '=', &name, &value) ||
		    !slice_case_is(slice_trim(name), "nextnonce"))
			continue;
		value = slice_trim(value);
		if (value.n >= 2 && value.p[0] == '"' &&
		    value.p[value.n - 1] == '"')
			value = (struct slice){ value.p + 1, value.n - 2 };
		*out = value;
		return value.n > 0;
	}
	return false;
}

void
sip_auth_next(struct sip_auth *a, const struct sip_msg *rsp)
{
	static const char *const names[] = { "authentication-info",
		"proxy-authentication-info" };
	struct slice next;
	const char *field;
	char *nonce;

	for (int i = 0; i < 2; i++) {
		if (!a->c[i].set ||
		    (field = sip_msg_find(rsp, names[i], 0)) == NULL ||
		    !nextnonce_find(slice_of(field), &next) ||
		    (nonce = slice_dup(next)) == NULL)
			continue;
		if (!sip_clean(nonce)) {
			free(nonce);
			continue;
		}
		free(a->c[i].nonce);
		a->c[i].nonce = nonce;
		a->c[i].nc = 0;
	}
}

const char *
sip_auth_alg(const struct sip_auth *a)
{
	for (int i = 0; i < 2; i++) {
		if (a->c[i].set)
			return sip_alg_name(a->c[i].alg);
	}
	return "";
}

/* The inside of a quoted string, or a token, as a new string. */
static char *
unquote(const char *s)
{
	struct slice t = slice_trim(slice_of(s));

	if (t.n >= 2 && t.p[0] == '"' && t.p[t.n - 1] == '"')
		t = (struct slice){ t.p + 1, t.n - 2 };
	return slice_dup(t);
}

/* Is `word` one of the values of qop? */
static bool
qop_has(const char *qop, const char *word)
{
	struct slice s = slice_trim(slice_of(qop));

	if (s.n >= 2 && s.p[0] == '"')
		s = (struct slice){ s.p + 1, s.n - 2 };
	return sip_list_has(s, word);
}

/* Copies a challenge that we can answer. */
static int
chal_set(struct sip_chal *c, const osip_www_authenticate_t *w,
    enum tls_hash_alg alg, bool sess)
{
	chal_clear(c);
	c->alg = alg;
	c->sess = sess;
	if (w->qop_options != NULL) {
		c->qop = qop_has(w->qop_options, "auth");
		c->qop_int = !c->qop && qop_has(w->qop_options, "auth-int");
		if (!c->qop && !c->qop_int)
			return E_SIP_AUTH;
	}
	c->realm = unquote(w->realm);
	c->nonce = unquote(w->nonce);
	c->opaque = w->opaque != NULL ? unquote(w->opaque) : NULL;
	if (c->realm == NULL || c->nonce == NULL ||
	    (w->opaque != NULL && c->opaque == NULL)) {
		chal_clear(c);
		return ENOMEM;
	}
	if (!sip_clean(c->realm) || !sip_clean(c->nonce) ||
	    (c->opaque != NULL && !sip_clean(c->opaque))) {
		chal_clear(c);
		return E_SIP_AUTH;
	}
	sip_token(c->cnonce, sizeof(c->cnonce) - 1);
	c->set = true;
	return 0;
}

/* Rank in `algs`; NUM_ALGS for what we do not take. */
static size_t
rank(enum tls_hash_alg alg, bool allow_md5)
{
	size_t i = 0;

	while (i < NUM_ALGS && algs[i].alg != alg)
		i++;
	return i < NUM_ALGS && (allow_md5 || alg != TLS_MD5) ? i : NUM_ALGS;
}

/* Says why a challenge is not answered. */
static int
refuse(struct sip_auth_rule *rule, const char *why)
{
	if (rule->why[0] == '\0')
		ignore_err(str_copy(rule->why, sizeof(rule->why), why),
		    "a sentence may be cut");
	return E_SIP_AUTH;
}

/* May we show in `realm` (in quotes or not) that we know the password?  A
 * digest is food for a dictionary: nobody else gets one. */
static int
realm_judge(struct sip_auth_rule *rule, const char *realm)
{
	char *plain, why[sizeof(rule->why)];
	bool ok = rule->any_realm;

	if (ok)
		return 0;
	if ((plain = unquote(realm)) == NULL)
		return ENOMEM;
	for (size_t i = 0; i < rule->num_realms; i++)
		ok |= slice_case_is(slice_of(plain), rule->realms[i]);
	(void)snprintf(why, sizeof(why),
	    "The challenge is for realm %.40s, not for the account's",
	    esc(plain));
	free(plain);
	return ok ? 0 : refuse(rule, why);
}

/* Reads the algorithm of a challenge and says whether we may use it. */
static int
alg_judge(struct sip_auth_rule *rule, const char *text, enum tls_hash_alg *alg,
    bool *sess)
{
	char *name;
	int err = 0;

	*alg = TLS_MD5; /* RFC 7616 3.3: where none is named */
	*sess = false;
	if (text != NULL) {
		if ((name = unquote(text)) == NULL)
			return ENOMEM;
		err = sip_alg_parse(name, alg, sess);
		free(name);
	}
	if (err == 0 && rank(*alg, rule->allow_md5) < NUM_ALGS)
		return 0;
	return refuse(rule, no_alg);
}

/* Judges one field; a better one than `*best` replaces it. */
static int
chal_try(struct sip_chal *best, const char *value, struct sip_auth_rule *rule,
    bool *stale)
{
	osip_www_authenticate_t *w = NULL;
	enum tls_hash_alg alg;
	bool sess, md5 = rule->allow_md5;
	struct sip_chal c = { .set = false };
	int err;

	if (osip_www_authenticate_init(&w) != 0)
		return ENOMEM;
	err = sip_err_of_osip(osip_www_authenticate_parse(w, value));
	if (err == 0 &&
	    (w->auth_type == NULL || w->realm == NULL || w->nonce == NULL ||
		!slice_case_is(slice_of(w->auth_type), "Digest")))
		err = E_SIP_AUTH;
	if (err == 0)
		err = realm_judge(rule, w->realm);
	if (err == 0)
		err = alg_judge(rule, w->algorithm, &alg, &sess);
	if (err == 0 && (!best->set || rank(alg, md5) < rank(best->alg, md5)) &&
	    (err = chal_set(&c, w, alg, sess)) == 0) {
		chal_clear(best);
		*best = c;
		*stale = w->stale != NULL && qop_has(w->stale, "true");
	}
	osip_www_authenticate_free(w);
	return err == ENOMEM ? ENOMEM : 0;
}

int
sip_auth_take(
    struct sip_auth *a, const struct sip_msg *rsp, struct sip_auth_rule *rule)
{
	bool proxy = rsp->code == 407, stale = false;
	struct sip_chal best = { .set = false }, *old = &a->c[proxy];
	unsigned int round = old->round;
	const char *v;
	int err;

	rule->why[0] = '\0';
	for (size_t i = 0;
	     (v = sip_msg_get(
		  rsp, proxy ? SIPH_PROXY_AUTH : SIPH_WWW_AUTH, i)) != NULL;
	     i++) {
		if ((err = chal_try(&best, v, rule, &stale)) != 0) {
			chal_clear(&best);
			return err;
		}
	}
	if (!best.set)
		return refuse(rule, no_alg);
	rule->why[0] = '\0'; /* of a lesser one */
	/* Answered already and still no: unless only the nonce was old, the
	 * credentials are wrong, whatever new nonce comes with the refusal. */
	if ((round > 0 && !stale) || round >= ROUNDS_MAX) {
		chal_clear(&best);
		return refuse(rule, "The server refused user name or password");
	}
	chal_clear(old);
	*old = best;
	old->round = round + 1;
	return 0;
}

/* Appends text for a quoted string. */
static void
put_quoted(struct buf *b, const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\')
			ignore_err(buf_puts(b, "\\"), "sticks in the buf");
		ignore_err(buf_add(b, s, 1), "sticks in the buf");
	}
}

/* Appends the answer to one challenge. */
static int
chal_write(
    struct sip_chal *c, struct buf *b, struct sip_digest *d, const char *field)
{
	char response[2 * TLS_HASH_MAX + 1];
	int err;

	d->alg = c->alg;
	d->sess = c->sess;
	d->realm = c->realm;
	d->nonce = c->nonce;
	d->cnonce = c->cnonce;
	d->qop = c->qop ? "auth" : c->qop_int ? "auth-int" : "";
	d->nc = ++c->nc;
	if ((err = sip_digest_response(d, response)) != 0)
		return err;
	ignore_err(buf_printf(b, "%s: Digest username=\"", field),
	    "sticks in the buf");
	put_quoted(b, d->user);
	ignore_err(buf_printf(b,
		       "\",realm=\"%s\",nonce=\"%s\",uri=\"%s\","
		       "response=\"%s\",algorithm=%s%s",
		       c->realm, c->nonce, d->uri, response,
		       sip_alg_name(c->alg), c->sess ? "-sess" : ""),
	    "sticks in the buf");
	if (c->opaque != NULL)
		ignore_err(buf_printf(b, ",opaque=\"%s\"", c->opaque),
		    "sticks in the buf");
	if (d->qop[0] != '\0')
		ignore_err(buf_printf(b, ",qop=%s,nc=%08x", d->qop, d->nc),
		    "sticks in the buf");
	if (d->qop[0] != '\0' || c->sess)
		ignore_err(buf_printf(b, ",cnonce=\"%s\"", c->cnonce),
		    "sticks in the buf");
	return buf_puts(b, "\r\n");
}

int
sip_auth_write(struct sip_auth *a, struct buf *b, const struct sip_cred *cred,
    const char *method, const char *uri, struct slice body)
{
	struct sip_digest d = { .user = cred->user,
		.password = cred->password,
		.method = method,
		.uri = uri,
		.body = body };
	int err = 0;

	if (a->c[0].set)
		err = chal_write(&a->c[0], b, &d, "Authorization");
	if (err == 0 && a->c[1].set)
		err = chal_write(&a->c[1], b, &d, "Proxy-Authorization");
	return err;
}
