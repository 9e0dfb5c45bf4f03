/* SPDX-License-Identifier: ISC */
/* MESSAGE (RFC 3428) of ours: one request outside of dialogs, and its answer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellbird/log.h"
#include "internal.h"

enum { TRIES_MAX = 2 /* challenges */ };

struct sip_text {
	LIST_ENTRY(sip_text) link;
	struct sip_text **slot;
	struct sip_stack *s;
	struct sip_reg *reg; /* borrowed; NULL: gone */
	sip_text_cb *cb;
	void *arg;
	struct sip_dlg dlg; /* never becomes one */
	struct sip_auth auth;
	struct sip_ctxn *txn;
	char *text; /* owned */
	unsigned int tries;
};

int
sip_uri_complete(struct sip_uri *u, const struct sip_reg *reg, const char *to)
{
	struct slice s = slice_of(to), scheme, rest;
	struct buf b;
	int err;

	(void)slice_cut(s, ':', &scheme, &rest);
	if (reg == NULL || slice_case_is(scheme, "sip") ||
	    slice_case_is(scheme, "sips"))
		return sip_uri_parse(u, s);
	buf_init(&b, SIPC_URI_MAX);
	ignore_err(buf_puts(&b, sip_reg_sips(reg) ? "sips:" : "sip:"),
	    "sticks in the buf");
	if (memchr(s.p, '@', s.n) != NULL) {
		ignore_err(buf_puts(&b, to), "sticks in the buf");
	} else {
		sip_user_put(&b, to);
		ignore_err(buf_printf(&b, "@%s", sip_reg_domain(reg)),
		    "sticks in the buf");
	}
	err = b.err != 0 ? E_PARSE
			 : sip_uri_parse(u, (struct slice){ buf_str(&b), b.n });
	buf_clear(&b);
	return err;
}

int
sip_dlg_begin(struct sip_dlg *d, const struct sip_reg *reg, const char *to)
{
	const char *routes = sip_reg_routes(reg);
	struct buf b;

	sip_token(d->local_tag, SIPC_TAG_LEN);
	buf_init(&b, SIPC_HEAD_MAX / 4);
	ignore_err(buf_printf(&b, "%s;tag=%s", sip_reg_from(reg), d->local_tag),
	    "sticks in the buf");
	d->local = buf_take(&b);
	buf_init(&b, SIPC_HEAD_MAX / 4);
	ignore_err(buf_printf(&b, "<%s>", to), "sticks in the buf");
	d->remote = buf_take(&b);
	d->target = strdup(to);
	if ((d->call_id = malloc(SIPC_CALL_ID_LEN + 1)) != NULL)
		sip_token(d->call_id, SIPC_CALL_ID_LEN);
	if (routes != NULL)
		d->routes = strdup(routes);
	return d->local != NULL && d->remote != NULL && d->target != NULL &&
		d->call_id != NULL && (routes == NULL || d->routes != NULL)
	    ? 0
	    : ENOMEM;
}

static void
text_free(struct sip_text *n)
{
	LIST_REMOVE(n, link);
	if (n->slot != NULL)
		*n->slot = NULL;
	sip_ctxn_stop(&n->txn);
	sip_auth_clear(&n->auth);
	sip_dlg_clear(n->s, &n->dlg);
	free(n->text);
	free(n);
}

void
sip_text_stop(struct sip_text **slot)
{
	if (*slot != NULL)
		text_free(*slot);
}

void
sip_texts_free(struct sip_stack *s)
{
	while (!LIST_EMPTY(&s->texts))
		text_free(LIST_FIRST(&s->texts));
}

void
sip_text_reg_gone(struct sip_stack *s, const struct sip_reg *r)
{
	struct sip_text *n;

	LIST_FOREACH (n, &s->texts, link) {
		if (n->reg == r)
			n->reg = NULL;
	}
}

/* Tells how it ended; the last thing its caller does. */
static void
over(struct sip_text *n, int err, int code, const char *reason)
{
	sip_text_cb *cb = n->cb;
	void *arg = n->arg;
	char copy[128];

	ignore_err(str_copy(copy, sizeof(copy), reason), "a phrase may be cut");
	text_free(n);
	cb(err, code, copy, arg);
}

static void on_answer(struct sip_msg **rsp, int err, void *arg);

int
sip_reg_request(struct sip_reg *reg, struct sip_dlg *d, struct sip_auth *auth,
    const struct sip_reg_rq *rq, struct sip_ctxn **slot)
{
	char branch[SIPC_BRANCH_LEN + 1];
	struct sip_dlg_req q = { .method = rq->method,
		.cseq = d->lcseq + 1,
		.headers = rq->headers,
		.type = rq->type,
		.body = rq->body,
		.branch = branch };
	struct sip_ctxn_conf xc = { .method = rq->method,
		.branch = branch,
		.cb = rq->cb,
		.arg = rq->arg };
	struct buf b, credentials;
	struct sip_cred cred;
	int err;

	if (reg == NULL || !sip_reg_is_ok(reg) ||
	    (q.flow = sip_reg_flow(reg)) == NULL || q.flow->fail_err != 0)
		return E_SIP_NO_ROUTE;
	sip_branch(branch);
	sip_reg_cred(reg, &cred);
	buf_init(&b, SIPC_MSG_MAX);
	buf_init(&credentials, SIPC_HEAD_MAX);
	err = sip_auth_write(
	    auth, &credentials, &cred, rq->method, d->target, rq->body);
	if (err == 0 && credentials.n > 0)
		q.credentials = buf_str(&credentials);
	if (err == 0)
		err = sip_dlg_write(q.flow->s, d, &q, &b);
	if (err == 0) {
		xc.flow = q.flow;
		xc.msg = &b;
		err = sip_ctxn_start(slot, &xc);
	}
	if (err == 0)
		d->lcseq = q.cseq;
	buf_clear(&credentials);
	buf_clear(&b);
	return err;
}

int
sip_reg_challenged(const struct sip_reg *reg, struct sip_auth *auth,
    const struct sip_msg *m, bool in_dialog, struct sip_auth_rule *rule)
{
	const struct sip_flow *f = reg != NULL ? sip_reg_flow(reg) : NULL;

	if (f != NULL)
		f = sip_flow_get(f->s, m->flow);
	memset(rule, 0, sizeof(*rule));
	/* As for calls: only the account's server, and in a dialog 407 alone.
	 */
	if (f == NULL || !sip_reg_has_flow(reg, f) ||
	    (in_dialog && m->code == 401)) {
		(void)snprintf(rule->why, sizeof(rule->why),
		    "Not the account's server wants a password");
		return E_SIP_AUTH;
	}
	sip_reg_auth_rule(reg, in_dialog, rule);
	return sip_auth_take(auth, m, rule);
}

static int
text_send(struct sip_text *n)
{
	struct sip_reg_rq rq = { .method = "MESSAGE",
		.type = "text/plain;charset=UTF-8",
		.body = slice_of(n->text),
		.cb = on_answer,
		.arg = n };

	return sip_reg_request(n->reg, &n->dlg, &n->auth, &rq, &n->txn);
}

/* sip_ctxn_cb. */
static void
on_answer(struct sip_msg **rsp, int err, void *arg)
{
	struct sip_text *n = arg;
	const struct sip_msg *m = *rsp;
	struct sip_auth_rule rule;

	if (m == NULL) {
		over(n, err, err == ETIMEDOUT ? 408 : 0, err_str(err));
	} else if (m->code < 200) {
		return;
	} else if (m->code == 401 || m->code == 407) {
		err = sip_reg_challenged(n->reg, &n->auth, m, false, &rule);
		if (err == 0 && n->tries++ < TRIES_MAX && text_send(n) == 0)
			return;
		over(n, E_SIP_AUTH, m->code,
		    err != 0 ? rule.why : "The password is refused");
	} else {
		over(n, sip_err_of_code(m->code), m->code, esc(m->reason));
	}
}

int
sip_text_send(struct sip_text **slot, struct sip_reg *reg, const char *to,
    const char *text, sip_text_cb *cb, void *arg)
{
	struct sip_flow *f = sip_reg_flow(reg);
	struct sip_text *n;
	struct sip_uri u;
	int err;

	if ((err = sip_uri_complete(&u, reg, to)) != 0)
		return err;
	if (u.headers || text[0] == '\0' || !sip_text_fits(slice_of(text)))
		return E_PARSE;
	if (strlen(text) > SIPC_TEXT_SEND_MAX)
		return E_LIMIT;
	if (f == NULL || !sip_reg_is_ok(reg))
		return E_SIP_NO_ROUTE;
	if (u.sips && f->t != SIPC_TLS)
		return E_SIP_INSECURE;
	if ((n = calloc(1, sizeof(*n))) == NULL)
		return ENOMEM;
	n->s = f->s;
	n->reg = reg;
	LIST_INSERT_HEAD(&n->s->texts, n, link);
	if ((n->text = strdup(text)) == NULL)
		err = ENOMEM;
	if (err == 0)
		err = sip_dlg_begin(&n->dlg, reg, u.text);
	if (err == 0)
		err = text_send(n);
	if (err != 0) {
		text_free(n);
		return err;
	}
	n->cb = cb;
	n->arg = arg;
	n->slot = slot;
	*slot = n;
	return 0;
}
