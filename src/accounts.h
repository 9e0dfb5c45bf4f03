/* SPDX-License-Identifier: ISC */
/* What account.c and accounts.c share: one account. */
#ifndef BELLBIRD_SRC_ACCOUNTS_H
#define BELLBIRD_SRC_ACCOUNTS_H

#include <sys/queue.h>

#include "internal.h"

struct account {
	TAILQ_ENTRY(account) link;
	struct app *app; /* borrowed */
	char id[ACCOUNT_ID_SIZE];
	enum account_kind kind;
	struct sip_reg *reg; /* owned slot; NULL: off */
	char why[WHY_SIZE];  /* why it is off, "" if nothing is configured */
	enum sip_reg_state last_state;
	int last_code;
	bool told;    /* last_* hold something */
	bool changed; /* its settings did: it registers again */
	bool leaving; /* unregister was asked for */
	bool gone;    /* .. and is done */
};

/* account_new makes an account that is off; its kind follows from `id`. */
MUST_CHECK int account_new(struct account **out, struct app *a, const char *id);
void account_free(struct account *ac);
/* account_start registers as the settings say (again, if it already did). */
void account_start(struct account *ac);
void account_unregister(struct account *ac);
bool account_is_gone(const struct account *ac); /* nothing left to wait for */
/* account_is_configured: do the settings want it registered? */
bool account_is_configured(const struct account *ac);

#endif
