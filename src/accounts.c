/* SPDX-License-Identifier: ISC */
/*
 * The accounts: the page extension (sip.u1), further page extensions (sip.uN)
 * and ring or alert extensions (sip.alertN), each a registration of its own
 * over a connection of its own, also where several go to one server:
 *
 *  - each may have another TLS policy and show another certificate;
 *  - RFC 5626 binds an address of record to the connection it was registered
 *    over, so that a call that comes in tells by its connection whom it is
 *    for, and not by what its first line claims;
 *  - a server that refuses one account often closes the connection: it must
 *    not take the others with it;
 *  - a digest challenge is answered only on the account's own connection.
 *
 * UDP has no connections; there the user of the Request-URI tells.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accounts.h"

/* The table of settings has indices of two digits. */
enum { INDEX_MAX = 99 };

struct accounts {
	struct app *app; /* borrowed */
	TAILQ_HEAD(, account) list;
};

int
accounts_new(struct accounts **out, struct app *a)
{
	struct accounts *set = calloc(1, sizeof(*set));
	struct account *ac;
	int err;

	if (set == NULL)
		return ENOMEM;
	set->app = a;
	TAILQ_INIT(&set->list);
	if ((err = account_new(&ac, a, "u1")) != 0) {
		free(set);
		return err;
	}
	ac->changed = true; /* not started yet */
	TAILQ_INSERT_TAIL(&set->list, ac, link);
	*out = set;
	return 0;
}

void
accounts_free(struct accounts *set)
{
	struct account *ac;

	if (set == NULL)
		return;
	while ((ac = TAILQ_FIRST(&set->list)) != NULL) {
		TAILQ_REMOVE(&set->list, ac, link);
		account_free(ac);
	}
	free(set);
}

/* ---- looking ---- */

struct account *
accounts_find(const struct accounts *set, const char *id)
{
	struct account *ac;

	TAILQ_FOREACH (ac, &set->list, link)
		if (strcmp(ac->id, id) == 0)
			return ac;
	return NULL;
}

struct account *
accounts_next(const struct accounts *set, const struct account *ac)
{
	if (set == NULL)
		return NULL; /* the tools have none */
	return ac == NULL ? TAILQ_FIRST(&set->list) : TAILQ_NEXT(ac, link);
}

struct account *
accounts_of(const struct accounts *set, const struct sip_call *call)
{
	const struct sip_reg *r = sip_call_reg(call);
	struct account *ac;

	TAILQ_FOREACH (ac, &set->list, link)
		if (r != NULL && ac->reg == r)
			return ac;
	return NULL;
}

struct account *
accounts_caller(const struct accounts *set)
{
	struct account *ac;

	TAILQ_FOREACH (ac, &set->list, link)
		if (ac->kind == ACCOUNT_PAGE && account_is_configured(ac))
			return ac;
	return NULL;
}

bool
accounts_are_gone(const struct accounts *set)
{
	const struct account *ac;

	TAILQ_FOREACH (ac, &set->list, link)
		if (!account_is_gone(ac))
			return false;
	return true;
}

struct jv *
accounts_json(const struct accounts *set)
{
	struct jv *arr = jv_arr();
	const struct account *ac;

	TAILQ_FOREACH (ac, &set->list, link)
		jv_add(arr, account_json(ac));
	return arr;
}

/* ---- following the settings ---- */

/* Makes the account `id` if the settings want it and it is not there. */
static void
add_if_wanted(struct accounts *set, const char *id)
{
	struct account *ac;

	if (accounts_find(set, id) != NULL)
		return;
	if (account_new(&ac, set->app, id) != 0) {
		log_err(LOGC_SIP, 0, "account %s: %s", id, err_str(ENOMEM));
		return;
	}
	if (!account_is_configured(ac)) {
		account_free(ac);
		return;
	}
	ac->changed = true;
	TAILQ_INSERT_TAIL(&set->list, ac, link);
}

/* One account that has changed and carries no call. */
static void
settle_one(struct accounts *set, struct account *ac)
{
	struct sip_reg_status st;

	account_status(ac, &st);
	/* The server forgets what is no more; the new registration may have
	 * another address. */
	if (!ac->leaving && st.state == SIP_REG_OK) {
		account_unregister(ac);
		return;
	}
	if (ac->leaving && !account_is_gone(ac))
		return;
	if (account_is_configured(ac) || strcmp(ac->id, "u1") == 0) {
		account_start(ac);
		return;
	}
	log_info(LOGC_SIP, 0, "account %s is no more", ac->id);
	TAILQ_REMOVE(&set->list, ac, link);
	account_free(ac);
}

void
accounts_settle(struct accounts *set)
{
	struct account *ac, *next;

	for (ac = TAILQ_FIRST(&set->list); ac != NULL; ac = next) {
		next = TAILQ_NEXT(ac, link);
		if (ac->changed && !ua_uses_account(set->app->ua, ac->id))
			settle_one(set, ac);
	}
}

void
accounts_start(struct accounts *set)
{
	char id[ACCOUNT_ID_SIZE];

	for (int i = 2; i <= INDEX_MAX; i++) {
		(void)snprintf(id, sizeof(id), "u%d", i);
		add_if_wanted(set, id);
	}
	for (int i = 1; i <= INDEX_MAX; i++) {
		(void)snprintf(id, sizeof(id), "alert%d", i);
		add_if_wanted(set, id);
	}
	accounts_settle(set);
}

/* Whose setting is it: "u1" for sip.u1.user and sip.page.use, "" that of all,
 * NULL if an account is not named but the key is of none. */
static void
owner_of(const char *key, char out[static ACCOUNT_ID_SIZE])
{
	struct slice head, tail;

	out[0] = '\0';
	if (strcmp(key, "sip.page.use") == 0) {
		ignore_err(str_copy(out, ACCOUNT_ID_SIZE, "u1"), "fits");
		return;
	}
	if (strncmp(key, "sip.", 4) != 0 ||
	    !slice_cut(slice_of(key + 4), '.', &head, &tail) ||
	    head.p[head.n - 1] < '0' || head.p[head.n - 1] > '9')
		return;
	if (str_copy_slice(out, ACCOUNT_ID_SIZE, head) != 0)
		out[0] = '\0';
}

void
accounts_changed(struct accounts *set, const char *const *keys, size_t num_keys)
{
	char owner[ACCOUNT_ID_SIZE];
	const struct prov_key *k;
	struct account *ac;

	for (size_t i = 0; i < num_keys; i++) {
		k = prov_key_find(slice_of(keys[i]));
		if (k == NULL || (k->scope & PROV_S_REREGISTER) == 0)
			continue;
		owner_of(keys[i], owner);
		TAILQ_FOREACH (ac, &set->list, link)
			if (owner[0] == '\0' || strcmp(owner, ac->id) == 0)
				ac->changed = true;
	}
	accounts_start(set);
}

void
accounts_again(struct accounts *set, bool all)
{
	struct sip_reg_status st;
	struct account *ac;

	TAILQ_FOREACH (ac, &set->list, link) {
		account_status(ac, &st);
		ac->changed |= all || st.state != SIP_REG_OK;
	}
	accounts_settle(set);
}

void
accounts_unregister(struct accounts *set)
{
	struct account *ac;

	TAILQ_FOREACH (ac, &set->list, link)
		account_unregister(ac);
}
