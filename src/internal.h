/* SPDX-License-Identifier: ISC */
/* What the files of src/ share: the endpoint and its parts. */
#ifndef BELLBIRD_SRC_INTERNAL_H
#define BELLBIRD_SRC_INTERNAL_H

#include <limits.h>
#include <stdbool.h>

#include "bellbird/clock.h"
#include "bellbird/ctl_server.h"
#include "bellbird/ctl_verb.h"
#include "bellbird/dns.h"
#include "bellbird/json.h"
#include "bellbird/log.h"
#include "bellbird/loop.h"
#include "bellbird/media_sess.h"
#include "bellbird/prov_fetch.h"
#include "bellbird/prov_store.h"
#include "bellbird/sip_call.h"
#include "bellbird/sip_reg.h"
#include "bellbird/sip_stack.h"
#include "bellbird/sip_trace.h"
#include "bellbird/tls_conn.h"
#include "bellbird/worker.h"

enum { MAC_SIZE = 13, MODEL_SIZE = 64, WHY_SIZE = 512 };

struct app;

/* Where things are (docs/ARCHITECTURE.md, files); filled by paths_find(). */
struct paths {
	char conf[PATH_MAX];     /* bellbird.conf */
	char state[PATH_MAX];    /* settings.conf, certs/, prov/ */
	char identity[PATH_MAX]; /* the device certificate */
	char socket[PATH_MAX];
};

/*
 * paths_find takes --state, --conf, --identity and --socket from `args`, then
 * systemd's *_DIRECTORY, then the places of the system (uid 0) or of the user.
 * E_LIMIT for a path that is too long.
 */
MUST_CHECK int paths_find(struct paths *p, const struct jv *args);
/* paths_claim makes the state folder and locks it for this process: two that
 * write one folder would lose settings.  Removes what a power cut left there.
 * The caller closes `*lock`; EBUSY: another endpoint has it. */
MUST_CHECK int paths_claim(const struct paths *p, int *lock);

/*
 * What the lab changes of an endpoint; the daemon itself has none.  Each may
 * be NULL.
 */
struct app_hooks {
	/* the device that answers this call, NULL: audio.device */
	const char *(*device)(const struct sip_call *call, void *arg);
	/* the flow a URI is called on; 0: nobody is registered under it */
	uint64_t (*flow)(const char *uri, void *arg);
	/* requests that sipcore does not serve */
	bool (*request)(struct sip_req *req, void *arg);
	/* all listeners are open; an error ends the run */
	int (*begin)(struct app *a, void *arg);
	void (*end)(void *arg);
	void *arg;
};

/* The endpoint.  app.c builds it bottom-up and takes it down top-down. */
struct app {
	struct paths paths;
	const struct app_hooks *hooks; /* borrowed; NULL in the daemon */
	char model[MODEL_SIZE];
	char mac[MAC_SIZE];
	int state_lock;    /* descriptor of paths_claim(); -1: none */
	struct loop *loop; /* owned, as all below */
	struct worker *worker;
	struct prov_store *store;
	struct dns *dns;
	struct tls_env *tls;
	struct sip_stack *sip;
	struct ctl_server *ctl;
	struct accounts *accounts;
	struct ua *ua;
	struct provision *provision;
	struct notify *notify;
	struct enroll *enroll;
	struct capture *capture;
	struct watch *watch;
	struct wallclock *clock;
	struct domains *domains;
	struct timer stop_timer;
	struct deferred stopped;
	int64_t started_us;
	int64_t trace_kib; /* sip.trace.keep in force */
	int exit_code;
	char *drop_told; /* owned: what is wrong with import/, or NULL */
	bool stopping;
	bool reset;              /* the state folder is emptied at the end */
	struct jv *restart_keys; /* changed, but count after a restart only */
	bool conf_refused; /* bellbird.conf: the last good copy is in force */
	struct jv *trust_told;     /* sentences of trust_check() */
	int64_t ca_snapshot_s;     /* day of the built-in CAs; 0: no snapshot */
	struct indexing *indexing; /* owned: what the worker indexes */
	struct jv *anchors;        /* uploaded ones, of expiry_load() */
	struct jv *expiry_told;    /* SHA-256 -> the step that was told */
	bool log_given;            /* -D lies over log.level */
};

/* app_run is the verb `run`; returns the exit code. */
int app_run(const struct jv *args);
/* app_main is the same with the lab's hooks. */
int app_main(const struct jv *args, const struct app_hooks *hooks);
/* app_event numbers and sends an event; takes `fields`. */
void app_event(struct app *a, const char *event, struct jv *fields);
/* app_stop hangs up, unregisters and leaves the loop, within 3 s. */
void app_stop(struct app *a, int exit_code);
/* app_stop_check goes on with that when a call or an account has ended; it
 * may free accounts. */
void app_stop_check(struct app *a);
/* app_apply makes changed settings count; `scopes` are PROV_S_* bits. */
void app_apply(struct app *a, unsigned int scopes);
/* app_set_allow reads sip.allow, sip.refuse and sip.transp.clear again,
 * app_set_level log.level. */
void app_set_allow(struct app *a);
/* app_set_call_rules reads how calls are led; ua_offer.c. */
void app_set_call_rules(struct app *a);
void app_set_level(struct app *a);
void app_log_problems(const struct prov_problems *problems);
/* app_open_store opens the settings of `p` and lays the -o settings of `args`
 * over them; prints what is wrong to stderr.  `refused` (or NULL) tells that
 * the last good copy of p->conf is used.  Returns an exit code. */
int app_open_store(struct prov_store **out, struct paths *p,
    const struct app *a, const struct jv *args, bool *refused);

/* app_open_tls makes a->tls of the folders in a->paths; app_clear takes down
 * whatever of `a` is there, top-down. */
MUST_CHECK int app_open_tls(struct app *a);
void app_clear(struct app *a);

/* ---- domains.c: domains that have offered TLS (sip.transp = auto) ---- */

/* domains_open gives a->sip the list kept in the state folder; domains_learnt
 * is its sip_domain_cb and has the list written by the worker.  domains_close
 * comes after worker_free(). */
MUST_CHECK int domains_open(struct app *a);
void domains_learnt(const char *domain, void *arg);
void domains_close(struct app *a);

/* snapshot_last lists the kept verdicts, newest first; `peer` is part of a name
 * or an address, NULL: all. */
struct jv *snapshot_last(const struct app *a, const char *peer);

/* ---- expiry.c: certificates that end soon ---- */

/* expiry_list: {kind own|anchor|peer, where, subject, not_after, days, sha256}
 * of all we know; expiry_warnings adds a sentence for each below 30 days. */
struct jv *expiry_list(const struct app *a);
void expiry_warnings(const struct app *a, struct jv *out);
/* expiry_load reads the uploaded anchors for these; it comes after a change of
 * trust, expiry_list and the rest touch no file. */
void expiry_load(struct app *a);
/* expiry_check tells log and events of each step that was reached since. */
void expiry_check(struct app *a);

/* ---- trust.c: what of the trust sets deserves a word ---- */

/* trust_warnings adds a sentence for a file that does not count, and for a
 * snapshot of the built-in CAs that is over 400 days old. */
void trust_warnings(const struct app *a, struct jv *out);
/* trust_check logs what has become true of these. */
void trust_check(struct app *a);
/* trust_reload reads trust and identities again and looks at all that depends
 * on them: ends, warnings, enrolment. */
void trust_reload(struct app *a);
/* trust_refresh does the same, now or soon: where the built-in bundle has
 * changed, the worker makes its index first. */
void trust_refresh(struct app *a);

/* ---- watch.c: files of certificates, the network ---- */

struct watch;
/* watch_start watches the network, and certs/, certs/trusted/, the identity
 * folder and the built-in bundle; a change is read 0.3 s after the last write.
 */
void watch_start(struct app *a);
void watch_free(struct watch *w);

/* ---- wallclock.c: what is known of the time ---- */

/* wallclock_is_good: set by clock.trusted, kept by systemd-timesyncd or another
 * daemon (STA_UNSYNC), or confirmed by wallclock_heard(). */
bool wallclock_is_good(const struct app *a);
struct tls_clock wallclock_now(const struct app *a);
/* wallclock_load reads the time that was good last; wallclock_start does, keeps
 * it once a day, and has live connections judged again when the clock is set or
 * becomes good. */
void wallclock_load(const struct app *a);
void wallclock_start(struct app *a);
/* wallclock_free comes after the worker ended: it owns what that writes. */
void wallclock_free(struct wallclock *w);
/* wallclock_check looks whether the clock became good. */
void wallclock_check(struct app *a);
/* wallclock_heard compares with the Date of an HTTPS server, if it was
 * verified. */
void wallclock_heard(
    struct app *a, bool verified, const char *date, const char *server);
/* wallclock_parse reads "2026-11-24T13:37:54Z" (RFC 3339) as seconds since
 * 1970; E_PARSE. */
MUST_CHECK int wallclock_parse(struct slice text, int64_t *out);

/* ---- settings.c: keys -> plain structs of the lower floors ---- */
/* settings_tls fills the TLS settings of a use; `account` ("u1") lays
 * sip.<account>.tls.* over sip.tls.*, NULL: none.  E_TLS_PARAM with `why`. */
MUST_CHECK int settings_tls(const struct app *a, enum tls_use use,
    const char *account, struct tls_settings *out, char *why, size_t why_size);
MUST_CHECK int settings_policy(const struct app *a, enum tls_use use,
    enum tls_dir dir, const char *account, const char *peer,
    struct tls_policy *out, char *why, size_t why_size);
enum sip_transport settings_transport(const struct app *a);
enum media_srtp_mode settings_srtp(const struct app *a, bool on_tls);
/* settings_warnings adds one sentence for each insecure choice in force. */
void settings_warnings(const struct app *a, struct jv *out);

/* ---- account.c, accounts.c: the registrations ---- */

enum account_kind {
	ACCOUNT_PAGE, /* sip.u1, sip.uN: calls are answered, or ring */
	ACCOUNT_ALERT /* sip.alertN: calls make a tone and are not answered */
};
enum { ACCOUNT_ID_SIZE = 8 }; /* "u1", "alert99" */
struct account;
struct accounts;
MUST_CHECK int accounts_new(struct accounts **out, struct app *a);
void accounts_free(struct accounts *set);
/* accounts_start registers what the settings want and is not there yet. */
void accounts_start(struct accounts *set);
/* accounts_changed: settings have; those accounts register again that they are
 * of, each as soon as it carries no call. */
void accounts_changed(
    struct accounts *set, const char *const *keys, size_t num_keys);
/* accounts_again registers all again, or those that are not registered. */
void accounts_again(struct accounts *set, bool all);
/* accounts_settle goes on with that when a call or registration has ended. */
void accounts_settle(struct accounts *set);
void accounts_unregister(struct accounts *set);
bool accounts_are_gone(const struct accounts *set);
/* accounts_find: by id; accounts_of: the one a call came by or goes by;
 * accounts_caller: the one that calls go by where none is named; NULL: none. */
struct account *accounts_find(const struct accounts *set, const char *id);
struct account *accounts_of(
    const struct accounts *set, const struct sip_call *call);
struct account *accounts_caller(const struct accounts *set);
/* accounts_next: NULL gives the first, which is always there: "u1"; `set` may
 * be NULL. */
struct account *accounts_next(
    const struct accounts *set, const struct account *ac);
struct jv *accounts_json(const struct accounts *set);
const char *account_id(const struct account *ac);
enum account_kind account_kind(const struct account *ac);
struct sip_reg *account_reg(const struct account *ac); /* NULL when off */
void account_status(const struct account *ac, struct sip_reg_status *out);
struct jv *account_json(const struct account *ac);

/* ---- ua.c, ua_media.c: which call gets which media ---- */
MUST_CHECK int ua_new(struct ua **out, struct app *a);
void ua_free(struct ua *ua);
/* ua_reload: settings have changed. */
void ua_reload(struct ua *ua);
/* ua_max_calls: as many calls the stack has to let through; which of them are
 * too many the program says. */
unsigned int ua_max_calls(const struct ua *ua);
void ua_on_call(struct sip_call *call, void *arg); /* arg: struct app */
void ua_hangup_all(struct ua *ua);
size_t ua_num_calls(const struct ua *ua);
/* ua_uses_account: is a call up that came or goes by the account? */
bool ua_uses_account(const struct ua *ua, const char *id);
/* ua_json puts `calls`, 100 of them at most, from the one behind the id `after`
 * (NULL: the first), `num_calls` and `more_calls` into a status. */
void ua_json(const struct ua *ua, const char *after, struct jv *status);

/* What the verb `call` asks for; descriptors are taken in any case. */
struct ua_dial {
	const char *uri;
	const char *headers;    /* "Name: value" lines with CRLF, or NULL */
	const char *srtp;       /* overrides sip.srtp; NULL: the setting */
	const char *account;    /* id; NULL: the first page extension */
	bool tls_only;          /* refuse any other way */
	bool late;              /* leave the offer to the peer */
	int play_fd, record_fd; /* -1: none */
};
/* ua_dial starts a call and copies its id ("c1"); an exit code of ctl_exit
 * with a sentence in `why` otherwise. */
enum ctl_exit ua_dial(struct ua *ua, const struct ua_dial *d,
    char id[static 16], char *why, size_t why_size);
/* ua_answer: id NULL = the oldest that rings; `out` gets the id it has. */
enum ctl_exit ua_answer(struct ua *ua, const char *id, char out[static 16],
    char *why, size_t why_size);
/* ua_hangup adds the ids of what it ends to `out`; id NULL = all. */
enum ctl_exit ua_hangup(struct ua *ua, const char *id, struct jv *out);
/* ua_dtmf: id NULL = the oldest call; `out` as above; `by`: "rtp", "info" or
 * "dtmf", NULL: as phone.dtmf.src says. */
enum ctl_exit ua_dtmf(struct ua *ua, const char *id, const char *digits,
    const char *by, char out[static 16], char *why, size_t why_size);
/* What the verb `transfer` asks for; one of `to` and `with`. */
struct ua_transfer {
	const char *call; /* NULL: the oldest */
	const char *to;   /* blind */
	const char *with; /* attended: the other call */
	bool no_sub;
};
/* ua_transfer replies to `r` when the transfer has ended, if it begins. */
enum ctl_exit ua_transfer(struct ua *ua, const struct ua_transfer *t,
    struct ctl_req *r, char *why, size_t why_size);
/* ua_hold holds or resumes: id NULL = the first call that is not so already;
 * `out` as above.  call.held or call.hold_refused tells the result. */
enum ctl_exit ua_hold(struct ua *ua, const char *id, bool hold,
    char out[static 16], char *why, size_t why_size);
struct jv *ua_stats_json(const struct media_stats *st);

/* ---- notify.c: what servers tell or ask outside of calls ---- */
struct notify;
MUST_CHECK int notify_new(struct app *a); /* makes a->notify */
void notify_free(struct notify *n);
/* notify_quiet ends the subscriptions, while there is a way to say so. */
void notify_quiet(struct notify *n);
/* notify_request serves NOTIFY, MESSAGE and SUBSCRIBE; false for others. */
bool notify_request(struct notify *n, struct sip_req *req);
/* notify_registered: the account has registered; sip.mwi.subs counts now. */
void notify_registered(struct notify *n, const struct account *ac);
/* notify_mwi_json: what is known of message waiting there; null: nothing. */
struct jv *notify_mwi_json(const struct notify *n, const char *account);
/* notify_send_text replies to `r` when the text is delivered or refused, if
 * it begins. */
enum ctl_exit notify_send_text(struct notify *n, const char *account,
    const char *to, const char *body, struct ctl_req *r, char *why,
    size_t why_size);

/* ---- provision.c: runs of provisioning, one at a time ---- */
MUST_CHECK int provision_new(struct provision **out, struct app *a);
void provision_free(struct provision *p);
bool provision_is_running(const struct provision *p);
/* provision_start begins a run if there is a server to ask (one that runs
 * already will do).  0, or E_PROV_DISABLED, EINVAL.. with `why`. */
MUST_CHECK int provision_start(
    struct provision *p, bool dry, char *why, size_t why_size);
/* provision_wait replies to `r` when the running run ends. */
void provision_wait(struct provision *p, struct ctl_req *r);
struct jv *provision_json(const struct provision *p);

/* ---- enroll.c: the owner's certificate by EST (RFC 7030) ---- */
struct enroll;
/* enroll_new makes a->enroll, and reads what was pending before a restart;
 * enroll_start begins, as soon as all is there. */
MUST_CHECK int enroll_new(struct app *a);
void enroll_start(struct app *a);
/* enroll_stop ends what is under way; enroll_free comes after the worker
 * ended: it owns what that writes. */
void enroll_stop(struct enroll *e);
void enroll_free(struct enroll *e);
/* enroll_check looks whether something is due: files, clock or time changed;
 * enroll_changed: settings did. */
void enroll_check(struct app *a);
void enroll_changed(struct app *a);
/* enroll_ask asks for a certificate if one is due, or in any case (`now`), and
 * replies to `r` at the end; enroll_cacerts fetches the CA's certificates. */
void enroll_ask(struct enroll *e, struct ctl_req *r, bool now);
void enroll_cacerts(struct enroll *e, struct ctl_req *r);
struct jv *enroll_json(const struct enroll *e);
void enroll_warnings(const struct enroll *e, struct jv *out);

/* ---- capture.c: SIP messages for people ---- */
struct capture;
/* capture_new makes a->capture.  capture_stop ends what is under way;
 * capture_free comes after the worker ended, and writes what is left. */
MUST_CHECK int capture_new(struct app *a);
void capture_stop(struct capture *c);
void capture_free(struct capture *c);
ctl_cmd_fn capture_on_start, capture_on_stop, capture_on_show;
struct jv *capture_json(const struct capture *c);
void capture_warnings(const struct capture *c, struct jv *out);

/* ---- snapshot.c, verbs.c ---- */
struct jv *snapshot_take(const struct app *a, const struct jv *args);
struct jv *snapshot_cert(const struct tls_env *e, enum tls_identity id);
extern const struct ctl_cmd verbs_table[];
extern const size_t verbs_count;

/* ---- certs.c, check.c, lab.c: verbs served in this process ---- */
/* doctor_run is the verb `doctor`: one server, examined (src/doctor.c). */
int doctor_run(const struct jv *args);
int certs_ca_init(const struct jv *args);   /* certs_mint.c */
int certs_csr(const struct jv *args);       /* certs_csr.c */
int certs_export_ca(const struct jv *args); /* certs_export.c */
int certs_import(const struct jv *args);    /* certs_import.c */
int certs_mint(const struct jv *args);      /* certs_mint.c */
int certs_show(const struct jv *args);
int certs_verify(const struct jv *args); /* certs_verify.c */
int check_config(const struct jv *args);
int check_get(const struct jv *args);
int check_explain(const struct jv *args);
int check_export(const struct jv *args);
int lab_run(const struct jv *args);

/* ---- drop.c ---- */
/* drop_look takes a device certificate from import/ of the state folder, if the
 * device has none; what is wrong there is kept in a->drop_told. */
void drop_look(struct app *a);

/* ---- reset.c ---- */
/* reset_check: EPERM with a sentence if a reset would remove the identity. */
MUST_CHECK int reset_check(const struct paths *p, char *why, size_t why_size);
/* reset_wipe removes settings, uploads, provisioned files and history from the
 * state folder, whose lock the caller has; goes on after an error and returns
 * the first. */
MUST_CHECK int reset_wipe(const struct paths *p);
int reset_local(const struct jv *args); /* the verb, where nothing runs */

/* ---- guard.c ---- */
/* guard_openssl: E_TLS_PARAM if OpenSSL is mapped into this process, whose
 * symbols would be taken for BoringSSL's; `name` gets the file. */
MUST_CHECK int guard_openssl(char *name, size_t size);
/* guard_notify tells systemd; does nothing where NOTIFY_SOCKET is not set. */
void guard_notify(const char *msg);

#endif
