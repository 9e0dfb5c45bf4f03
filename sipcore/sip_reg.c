/* SPDX-License-Identifier: ISC */
/* A registration (RFC 3261 10, RFC 5626): resolve, connect, REGISTER, refresh,
 * and come back when the flow is lost.  sip_reg_msg.c holds the messages. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellbird/clock.h"
#include "bellbird/log.h"
#include "bellbird/mem.h"
#include "reg_internal.h"

enum { EXPIRES_MIN_S = 60, EXPIRES_MAX_S = 604800 };
/* The owner of sip_reg_unregister() waits no longer. */
#define UNREG_US (2 * SIPC_S)

static void on_timer(void *arg);

const char *
sip_reg_state_name(enum sip_reg_state st)
{
	static const char *const names[] = { "resolving", "connecting",
		"trying", "registered", "waiting", "unregistered" };

	return (unsigned int)st <= SIP_REG_GONE ? names[st] : "unknown";
}

/* Frees what the configuration was copied into. */
static void
reg_free(struct sip_reg *r)
{
	reg_poll_stop(r);
	sip_route_stop(&r->route);
	sip_ctxn_stop(&r->txn);
	timer_stop(&r->timer);
	loop_undefer(&r->later);
	loop_undefer(&r->moved);
	sip_auth_clear(&r->auth);
	free(r->known[0].realm);
	free(r->known[1].realm);
	free(r->user);
	free(r->domain);
	free(r->host);
	free(r->realm);
	for (size_t i = 0; i < r->num_servers; i++) {
		free(r->servers[i].host);
		free(r->servers[i].route);
	}
	free(r->auth_user);
	mem_free_str(r->password);
	free(r->from);
	free(r->instance);
	free(r->routes);
	free(r->kept);
	free(r);
}

void
reg_flow_drop(struct sip_reg *r)
{
	struct sip_flow *f = r->w.flow;

	reg_poll_stop(r);
	if (f == NULL)
		return;
	sip_watch_clear(&r->w);
	if (r->trusted && f->trusted > 0)
		f->trusted--;
	r->trusted = false;
	/* On UDP several accounts of one server have one flow. */
	if (f->t == SIPC_UDP && f->trusted == 0)
		sip_flow_keepalive(f, 0, false);
	else if (f->t != SIPC_UDP)
		sip_flow_fail(f, E_STOPPED); /* others may watch it */
}

void
sip_reg_stop(struct sip_reg **slot)
{
	struct sip_reg *r = *slot;

	if (r == NULL)
		return;
	*slot = NULL;
	sip_reg_stop(&r->twin);
	LIST_REMOVE(r, link);
	sip_call_reg_gone(r->s, r);
	sip_ctxn_stop(&r->txn);
	reg_flow_drop(r);
	reg_free(r);
}

void
sip_reg_end_all(struct sip_stack *s)
{
	while (!LIST_EMPTY(&s->regs))
		sip_reg_stop(LIST_FIRST(&s->regs)->slot);
}

/* Fills `*out` with what is known of one flow. */
static void
status_of(const struct sip_reg *r, struct sip_reg_status *out)
{
	const struct sip_flow *f = r->w.flow;

	memset(out, 0, sizeof(*out));
	out->state = r->state;
	out->err = r->err;
	out->code = r->code;
	out->back_soon = sip_reg_is_back_soon(r);
	ignore_err(
	    str_copy(out->reason, sizeof(out->reason), r->reason), "same size");
	(void)snprintf(out->aor, sizeof(out->aor), "%s:%s@%s",
	    r->sips ? "sips" : "sip", r->user, r->domain);
	ignore_err(str_copy(out->contact, sizeof(out->contact), r->contact),
	    "same size");
	out->transport = reg_transport(r);
	if (f != NULL) {
		out->local = f->local;
		out->remote = f->remote;
		out->flow = f->id;
		out->verdict = f->t == SIPC_TLS ? sip_flow_verdict(f) : NULL;
	} else if (r->next > 0 && r->next <= r->num_targets) {
		out->remote = r->targets[r->next - 1].a;
	}
	if (out->verdict == NULL && out->transport == SIPC_TLS)
		out->verdict = r->kept;
	out->expires_s = r->state == SIP_REG_OK ? r->granted_s : 0;
	out->since_us = r->since_us;
	if (r->state == SIP_REG_OK)
		out->refresh_at_us = r->due_us;
	if (r->state == SIP_REG_WAITING)
		out->retry_at_us = r->due_us;
	ignore_err(str_copy(out->digest_alg, sizeof(out->digest_alg),
		       sip_auth_alg(&r->auth)),
	    "names that fit");
}

/* The one of two flows that says how the account is: the one that works. */
static const struct sip_reg *
speaker(const struct sip_reg *r)
{
	const struct sip_reg *t = r->twin;

	if (t == NULL || r->state == SIP_REG_OK)
		return r;
	return t->state == SIP_REG_OK ||
		(r->state == SIP_REG_GONE && t->state != SIP_REG_GONE)
	    ? t
	    : r;
}

void
sip_reg_get_status(const struct sip_reg *r, struct sip_reg_status *out)
{
	status_of(speaker(r), out);
	out->num_flows = (r->state == SIP_REG_OK) +
	    (r->twin != NULL && r->twin->state == SIP_REG_OK);
}

/* Tells the owner what has become of the account. */
static void
reg_tell(struct sip_reg *r)
{
	struct sip_reg_status status;

	sip_reg_get_status(r, &status);
	if (r->twin != NULL && r->told_state == status.state &&
	    status.state != SIP_REG_WAITING &&
	    status.state != SIP_REG_RESOLVING)
		return; /* the other flow's business */
	r->told_state = status.state;
	r->cb(&status, r->arg);
}

void
reg_enter(struct sip_reg *r, enum sip_reg_state st)
{
	if (r->told && r->state == st && st != SIP_REG_WAITING)
		return;
	r->told = true;
	log_debug(LOGC_SIP, 0, "registration %s -> %s reg-id=%u",
	    sip_reg_state_name(r->state), sip_reg_state_name(st), r->reg_id);
	r->state = st;
	r->since_us = clock_mono_us();
	reg_tell(r->first != NULL ? r->first : r);
}

bool
reg_outbound(const struct sip_reg *r)
{
	return r->instance != NULL && !r->no_outbound;
}

/* From the loop. */
static void
on_moved(void *arg)
{
	struct sip_reg *r = arg;

	sip_call_reg_moved(r->s, r);
	sip_sub_reg_moved(r->s, r);
}

void
reg_calls_moved(struct sip_reg *r)
{
	if (r->first != NULL)
		r = r->first;
	if (sip_reg_flow(r) != NULL)
		loop_defer(r->s->conf.loop, &r->moved, on_moved, r);
}

void
reg_reason_set(struct sip_reg *r, int err, const char *text)
{
	r->err = err;
	ignore_err(str_copy(r->reason, sizeof(r->reason), text),
	    "a sentence may be cut");
}

/* Keeps the record of the connection beyond its end. */
static void
verdict_keep(struct sip_reg *r, const struct sip_flow *f)
{
	const struct tls_verdict *v;

	if (f == NULL || f->t != SIPC_TLS || (v = sip_flow_verdict(f)) == NULL)
		return;
	if (r->kept == NULL)
		r->kept = malloc(sizeof(*r->kept));
	if (r->kept != NULL)
		*r->kept = *v;
}

bool
reg_flow_busy(const struct sip_reg *r)
{
	const struct sip_flow *f = r->w.flow;
	const struct sip_call *c;

	if (!r->answered || !r->trusted || r->unregistering || f == NULL ||
	    !f->up || f->fail_err != 0)
		return false;
	LIST_FOREACH (c, &r->s->calls, link) {
		if (c->w.flow == f && c->state != SIP_C_OVER)
			return true;
	}
	return false;
}

void
reg_wait(struct sip_reg *r, int64_t min_us)
{
	int64_t us = reg_backoff_us(r);

	if (us < min_us)
		us = min_us;
	sip_ctxn_stop(&r->txn);
	sip_route_stop(&r->route);
	if (!reg_flow_busy(r))
		reg_flow_drop(r);
	if (r->unregistering) {
		reg_enter(r, SIP_REG_GONE);
		return;
	}
	r->due_us = clock_mono_us() + us;
	r->hold_us = min_us > 0 ? clock_mono_us() + min_us : 0;
	if (timer_start(&r->timer, r->s->conf.loop, us, on_timer, r) != 0)
		log_err(LOGC_SIP, 0, "registration stands still: no memory");
	log_debug(LOGC_SIP, 0, "registration waits ms=%lld err=%d reason=%s",
	    (long long)(us / SIPC_MS), r->err, esc(r->reason));
	reg_enter(r, SIP_REG_WAITING);
}

void
reg_fail(struct sip_reg *r, int err, const char *text, int64_t min_us)
{
	reg_reason_set(r, err, text != NULL ? text : err_str(err));
	reg_wait(r, min_us);
}

void
reg_flow_down(struct sip_reg *r, int err)
{
	const struct sip_flow *f = r->s->dying;
	const struct tls_verdict *v = f != NULL ? sip_flow_verdict(f) : NULL;
	bool was_ok = r->state == SIP_REG_OK;
	const char *text = err_str(err);

	r->code = 0; /* the last answer is not about this */
	if (!reg_keeps_reason(r, err))
		verdict_keep(r, f);
	sip_watch_clear(&r->w);
	r->trusted = false;
	sip_ctxn_stop(&r->txn);
	if (v != NULL && v->class[0] != '\0' && v->text[0] != '\0')
		text = v->text;
	reg_poll_stop(r);
	if (was_ok)
		reg_lasted(r, clock_mono_us() - r->ok_us);
	reg_calls_moved(r); /* to the other flow, if there is one */
	if (was_ok || r->state == SIP_REG_WAITING) {
		/* Perhaps only this server died: all targets again. */
		reg_fail(r, err, text, 0);
		return;
	}
	reg_next_target(r, err, text, 0);
}

void
reg_on_flow(enum sip_watch_ev ev, int err, void *arg)
{
	struct sip_reg *r = arg;

	if (ev == SIP_FLOW_DOWN) {
		reg_flow_down(r, err);
		return;
	}
	if ((err = reg_send(r)) != 0)
		reg_next_target(r, err, NULL, 0);
	else
		reg_enter(r, SIP_REG_TRYING);
}

/* Registers again over the flow we have. */
static void
refresh(struct sip_reg *r)
{
	int err;

	/* It lasted: the next loss is the first of its kind again. */
	if (r->state == SIP_REG_OK)
		r->fails[REG_FAIL_NET] = 0;
	else
		sip_auth_clear(&r->auth);
	if ((err = reg_send(r)) != 0)
		reg_fail(r, err, NULL, 0);
	else if (r->state != SIP_REG_OK)
		reg_enter(r, SIP_REG_TRYING);
}

/* Time to refresh or to try again. */
static void
on_timer(void *arg)
{
	struct sip_reg *r = arg;

	if (r->unregistering) {
		sip_ctxn_stop(&r->txn);
		reg_flow_drop(r);
		reg_enter(r, SIP_REG_GONE);
	} else if (r->w.flow == NULL) {
		reg_begin(r);
	} else {
		refresh(r);
	}
}

/* From the loop, what was asked for outside of it. */
static void
on_later(void *arg)
{
	struct sip_reg *r = arg;

	if (r->unregistering)
		reg_enter(r, SIP_REG_GONE);
	else if (r->w.flow == NULL)
		reg_begin(r);
	else
		refresh(r);
}

void
reg_again(struct sip_reg *r)
{
	timer_stop(&r->timer);
	loop_defer(r->s->conf.loop, &r->later, on_later, r);
}

/* Keeps what the server asked for: calls answer nobody else. */
static void
known_keep(struct sip_reg *r)
{
	const struct sip_chal *c = r->auth.c;
	char *realm;

	for (int i = 0; i < 2; i++) {
		if (!c[i].set || (realm = strdup(c[i].realm)) == NULL)
			continue;
		free(r->known[i].realm);
		r->known[i].realm = realm;
		r->known[i].alg = c[i].alg;
	}
}

void
reg_ok(struct sip_reg *r, unsigned int granted_s)
{
	int64_t us = granted_s * SIPC_S, wait = us / 10 * 9;
	struct sip_flow *f = r->w.flow;

	/* Spread, so that not all devices refresh in the same second. */
	wait -= (int64_t)(tls_random_id() % (uint64_t)(us / 50 + 1));
	if (us - wait < 10 * SIPC_S)
		wait = us - 10 * SIPC_S;
	if (wait < us / 2)
		wait = us / 2;
	if (r->state != SIP_REG_OK)
		r->ok_us = clock_mono_us();
	r->granted_s = granted_s;
	r->due_us = clock_mono_us() + wait;
	r->fails[REG_FAIL_TLS] = r->fails[REG_FAIL_REFUSED] = 0;
	reg_reason_set(r, 0, "");
	reg_accepted(r);
	sip_auth_ok(&r->auth);
	known_keep(r);
	free(r->kept);
	r->kept = NULL;
	if (!r->trusted) {
		r->trusted = true;
		f->trusted++;
		/* Who took us over TLS has it, whatever its DNS says. */
		if (f->t == SIPC_TLS)
			sip_stack_tls_offered(r->s, reg_server(r)->host);
		reg_calls_moved(r);
	}
	sip_flow_keepalive(f, r->ping_us, r->pong_owed);
	if (timer_start(&r->timer, r->s->conf.loop, wait, on_timer, r) != 0)
		log_err(LOGC_SIP, 0, "registration stands still: no memory");
	if (r->state == SIP_REG_OK)
		return;
	reg_poll_start(r);
	reg_enter(r, SIP_REG_OK);
}

void
reg_gone(struct sip_reg *r)
{
	timer_stop(&r->timer);
	reg_flow_drop(r);
	reg_enter(r, SIP_REG_GONE);
}

/* Says good-bye over one flow. */
static void
unregister(struct sip_reg *r)
{
	if (r->unregistering)
		return;
	r->unregistering = true;
	timer_stop(&r->timer);
	sip_route_stop(&r->route);
	sip_ctxn_stop(&r->txn);
	if (r->w.flow != NULL && r->w.flow->up && r->trusted &&
	    reg_send(r) == 0 &&
	    timer_start(&r->timer, r->s->conf.loop, UNREG_US, on_timer, r) == 0)
		return;
	sip_ctxn_stop(&r->txn);
	reg_flow_drop(r);
	loop_defer(r->s->conf.loop, &r->later, on_later, r);
}

void
sip_reg_unregister(struct sip_reg *r)
{
	unregister(r);
	if (r->twin != NULL)
		unregister(r->twin);
}

/* Makes a registration over one flow. */
static int
reg_new(struct sip_reg **slot, struct sip_stack *s,
    const struct sip_reg_conf *conf, struct sip_reg *first)
{
	struct sip_reg *r;
	int err;

	if ((r = calloc(1, sizeof(*r))) == NULL)
		return ENOMEM;
	r->s = s;
	r->first = first;
	r->reg_id = first != NULL ? 2 : 1;
	if ((err = reg_conf_copy(r, conf)) != 0) {
		reg_free(r);
		return err;
	}
	r->state = r->told_state = SIP_REG_RESOLVING;
	r->since_us = clock_mono_us();
	r->slot = slot;
	*slot = r;
	LIST_INSERT_HEAD(&s->regs, r, link);
	loop_defer(s->conf.loop, &r->later, on_later, r);
	return 0;
}

int
sip_reg_start(struct sip_reg **slot, struct sip_stack *s,
    const struct sip_reg_conf *conf, sip_reg_cb *cb, void *arg)
{
	struct sip_reg_conf second = *conf;
	struct sip_reg *r;
	int err;

	if (conf->expires_s < EXPIRES_MIN_S ||
	    conf->expires_s > EXPIRES_MAX_S ||
	    (unsigned int)conf->transport > SIPC_AUTO)
		return EINVAL;
	if (conf->sips && conf->transport != SIPC_TLS &&
	    conf->transport != SIPC_AUTO)
		return E_SIP_INSECURE;
	if ((err = reg_new(&r, s, conf, NULL)) != 0)
		return err;
	r->slot = slot;
	*slot = r;
	r->cb = cb;
	r->arg = arg;
	/* RFC 5626 4.2.1: a second flow needs what tells the two apart. */
	if (conf->obproxy2 == NULL || conf->obproxy2[0] == '\0' ||
	    conf->instance == NULL)
		return 0;
	second.obproxy = conf->obproxy2;
	if ((err = reg_new(&r->twin, s, &second, r)) != 0)
		sip_reg_stop(slot);
	return err;
}
