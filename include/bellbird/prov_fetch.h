/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_PROV_FETCH_H
#define BELLBIRD_PROV_FETCH_H

#include "bellbird/dns.h"
#include "bellbird/prov_store.h"
#include "bellbird/tls_conn.h"

/* One provisioning run: fetch, validate, apply atomically, keep last good. */
struct prov_run;

enum prov_file_state {
	PROV_FS_NOT_ASKED,
	PROV_FS_FETCHED,
	PROV_FS_UNCHANGED,
	PROV_FS_ABSENT /* 404 */,
	PROV_FS_KEPT, /* 404, but the server once had it: that one counts */
	PROV_FS_REFUSED
};
struct prov_file_report {
	char name[128];
	enum prov_file_state state;
	int http_status; /* 0: none */
	size_t bytes, settings;
	char etag[80];
};
struct prov_report {
	int err;          /* 0: all went well (also "nothing changed") */
	char class[32];   /* failure class, e.g. "cert.expired", "http.404",
			     "http.client_cert", "conf.bad", "body.truncated" */
	char text[640];   /* one plain sentence for a technician */
	char server[300]; /* URL without credentials */
	int64_t started_wall_us, took_us;
	struct prov_file_report files[4];
	size_t num_files;
	size_t num_changed;
	bool applied;
	struct tls_verdict verdict; /* of the connection that decided it; host
				       "" if none was made */
	struct prov_problems problems; /* owned by the report */
	char date[40]; /* Date header of the last answer, "" if none */
};

/* prov_file_state_name returns "fetched" ..; prov_report_clear frees what a
 * report owns. */
const char *prov_file_state_name(enum prov_file_state s);
void prov_report_clear(struct prov_report *r);

/* prov_report_json returns a new object with fixed field names. */
struct jv *prov_report_json(const struct prov_report *r);

/* prov_policy_cb decides the policy towards `peer`; E_TLS_PARAM. */
typedef int(prov_policy_cb)(
    const char *peer, struct tls_policy *out, void *arg);
/* prov_run_cb gets the report, borrowed for the call. */
typedef void(prov_run_cb)(const struct prov_report *r, void *arg);

struct prov_run_conf {
	struct loop *loop;
	struct dns *dns;
	struct tls_env *tls;
	struct prov_store *store;
	prov_policy_cb *policy;
	const char *model;       /* algop<model>.conf; NULL: not asked for */
	const char *mac;         /* algom<mac>.conf; NULL: not asked for */
	const char *user_agent;  /* "bellbird/0.1.0 <model> <mac>" */
	bool dry;                /* fetch and judge, apply nothing */
	unsigned int timeout_ms; /* whole run; 0: 60000 */
	void *arg;               /* of policy and cb */
};

/*
 * prov_run_start reads prov.* from the store; E_PROV_DISABLED if prov.use = 0,
 * EINVAL with a sentence in `why` if no server is configured.  The report comes
 * by `cb` from the loop; the slot is cleared before.  prov_run_stop ends a run
 * without a report.
 */
MUST_CHECK int prov_run_start(struct prov_run **slot,
    const struct prov_run_conf *conf, prov_run_cb *cb, char *why,
    size_t why_size);
void prov_run_stop(struct prov_run **slot);

#endif
