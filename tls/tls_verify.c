/* SPDX-License-Identifier: ISC */
/* The one judge of a peer's certificates: the library builds the path, the
 * rules about time, strength, purpose and name are ours. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "bellbird/clock.h"
#include "bellbird/log.h"
#include "bellbird/str.h"

#include "internal.h"

enum {
	RSA_BITS_MIN = 2048,
	RSA_BITS_OLD = 1024, /* the least that `rsa1024` lets pass */
	EC_BITS_MIN = 256,
	SENT_MAX = 16, /* certificates a peer may send: CPU per byte */
	/* The longest chain that a peer may send. */
	DEPTH_MAX = SENT_MAX,
	/* Paths that are tried: each costs a check of all its signatures. */
	PATHS_MAX = 6
};

/* One judgement, while it is made. */
struct judge {
	const struct tls_env *env;
	struct tls_verdict *v;
	STACK_OF(X509) * sent;  /* borrowed */
	STACK_OF(X509) * pool;  /* owned: those of them that may be used */
	STACK_OF(X509) * chain; /* borrowed from `ctx` */
	X509_STORE_CTX *ctx;    /* owned */
	bool anchored;          /* the last of the chain is an anchor */
	X509 *fault;            /* in the chain, which failed; or NULL */
};

/* A certificate's name for a sentence: its CN, else the whole subject. */
static const char *
name_of(X509 *x, char *room, size_t size)
{
	if (tls_x509_cn(x, room, size) != 0)
		tls_x509_name(X509_get_subject_name(x), room, size);
	return room;
}

static const char *
issuer_of(X509 *x, char *room, size_t size)
{
	tls_x509_name(X509_get_issuer_name(x), room, size);
	return room;
}

/* Times are judged by us, in 64 bits; all else stands. */
static int
on_library(int ok, X509_STORE_CTX *ctx)
{
	switch (X509_STORE_CTX_get_error(ctx)) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		X509_STORE_CTX_set_error(ctx, X509_V_OK);
		return 1;
	default:
		return ok;
	}
}

/* True if the certificate is valid at some time of the span. */
static bool
is_in_time(X509 *x, const struct tls_span *now)
{
	int64_t from, to;

	return tls_x509_time(X509_get0_notBefore(x), &from) == 0 &&
	    tls_x509_time(X509_get0_notAfter(x), &to) == 0 &&
	    from <= now->hi_s && now->lo_s <= to;
}

/*
 * Adds the anchors with that subject to the store; ones out of time only if
 * there is no other, so that an expired root never hides its successor.
 */
static void
store_add(const struct judge *j, X509_STORE *store, X509_NAME *subject)
{
	struct tls_span now = tls_verify_span(&j->v->policy);
	STACK_OF(X509) *sk = sk_X509_new_null();
	size_t good = 0;

	if (sk == NULL)
		return;
	tls_env_find_anchors(j->env, j->v->policy.trust, subject, sk);
	for (size_t i = 0; i < sk_X509_num(sk); i++)
		good += is_in_time(sk_X509_value(sk, i), &now);
	for (size_t i = 0; i < sk_X509_num(sk); i++) {
		X509 *x = sk_X509_value(sk, i);

		if (good == 0 || is_in_time(x, &now))
			X509_STORE_add_cert(store, x);
	}
	sk_X509_pop_free(sk, X509_free);
	tls_err_drop();
}

/* Collects the anchors this chain could end at. */
static X509_STORE *
store_new(const struct judge *j)
{
	X509_STORE *store = X509_STORE_new();

	for (size_t i = 0; store != NULL && i < sk_X509_num(j->sent); i++) {
		X509 *x = sk_X509_value(j->sent, i);

		store_add(j, store, X509_get_issuer_name(x));
		/* What was uploaded may be the certificate itself. */
		store_add(j, store, X509_get_subject_name(x));
	}
	return store;
}

/* Notes a class that the policy lets pass, or refuses. */
static int __attribute__((format(printf, 4, 5)))
weak(struct judge *j, bool allowed, const char *class, const char *fmt, ...)
{
	char text[320];
	va_list ap;

	if (allowed) {
		tls_finding(j->v, class);
		return 0;
	}
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	tls_explain(j->v, class, "%s", text);
	return E_TLS_CERT;
}

/* Was `x` signed with the key of one of these?  `any`: has one its name? */
static bool
is_signed_by(X509 *x, const STACK_OF(X509) * sk, bool *any)
{
	bool yes = false;

	*any = false;
	for (size_t i = 0; i < sk_X509_num(sk) && !yes; i++) {
		X509 *y = sk_X509_value(sk, i);
		EVP_PKEY *k;

		if (X509_NAME_cmp(
			X509_get_issuer_name(x), X509_get_subject_name(y)) != 0)
			continue;
		*any = true;
		k = X509_get_pubkey(y);
		yes = k != NULL && X509_verify(x, k) == 1;
		EVP_PKEY_free(k);
		tls_err_drop();
	}
	return yes;
}

/*
 * The issuer is there by its name, trusted or sent, and still did not do: it is
 * no CA, or another one that was given the same name.  False if neither.
 */
static bool
explain_namesake(struct judge *j, X509 *top, const char *issuer)
{
	STACK_OF(X509) *sk = sk_X509_new_null();
	bool trusted, sent, by_anchor, by_sent;

	if (sk == NULL)
		return false;
	tls_env_find_anchors(
	    j->env, j->v->policy.trust, X509_get_issuer_name(top), sk);
	by_anchor = is_signed_by(top, sk, &trusted);
	by_sent = is_signed_by(top, j->pool, &sent);
	sk_X509_pop_free(sk, X509_free);
	if (by_anchor || by_sent)
		tls_explain(j->v, "cert.invalid",
		    "was certified by '%s', which %s, but is no CA: it may not "
		    "certify others",
		    issuer, by_anchor ? "is trusted here" : "was sent too");
	else if (trusted)
		tls_explain(j->v, "cert.bad_signature",
		    "was certified by '%s'; a CA of that name is trusted "
		    "here, but the signature is of another key (was the CA "
		    "made again under its old name?)",
		    issuer);
	return by_anchor || by_sent || trusted;
}

/* The certificate above which nothing is trusted: says what is missing. */
static int
explain_untrusted(struct judge *j)
{
	size_t n = sk_X509_num(j->chain);
	X509 *top =
	    n > 0 ? sk_X509_value(j->chain, n - 1) : sk_X509_value(j->sent, 0);
	size_t anchors = tls_env_num_anchors(j->env, j->v->policy.trust);
	bool self = tls_x509_is_self_signed(top);
	bool aia = X509_get_ext_by_NID(top, NID_info_access, -1) >= 0;
	char name[128], issuer[128];

	j->fault = top;
	name_of(top, name, sizeof(name));
	issuer_of(top, issuer, sizeof(issuer));
	if (anchors == 0)
		tls_explain(j->v, "trust.empty",
		    "cannot be trusted: no trust anchor at all is installed "
		    "here");
	else if (self && n <= 1)
		tls_explain(j->v, "cert.self_signed",
		    "signed its certificate itself ('%s', SHA-256 %s), and "
		    "that one is not trusted here",
		    name, j->v->sent[0].sha256);
	else if (!self && explain_namesake(j, top, issuer))
		return E_TLS_CERT;
	else if (self)
		tls_explain(j->v, "cert.untrusted_root",
		    "sent a complete chain, but its root '%s' is not among "
		    "the %zu trusted here",
		    name, anchors);
	else if (n <= 1 && aia)
		tls_explain(j->v, "cert.missing_intermediate",
		    "sent only its own certificate. Its issuer '%s' is not "
		    "among the %zu roots trusted here, and it was not sent",
		    issuer, anchors);
	else
		tls_explain(j->v, "cert.unknown_root",
		    "was certified by '%s', which is not among the %zu "
		    "trusted here%s",
		    issuer, anchors,
		    n <= 1 ? " (or an intermediate certificate was not sent)"
			   : "");
	return E_TLS_CERT;
}

/* The library found no valid path: its reason in our classes. */
static int
explain_library(struct judge *j)
{
	int code = X509_STORE_CTX_get_error(j->ctx);

	j->fault = X509_STORE_CTX_get_current_cert(j->ctx);
	switch (code) {
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_CERT_UNTRUSTED:
	case X509_V_ERR_CERT_REJECTED:
		return explain_untrusted(j);
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
		tls_explain(j->v, "cert.bad_signature",
		    "sent a chain in which a signature is wrong");
		return E_TLS_CERT;
	case X509_V_ERR_UNSUPPORTED_CONSTRAINT_TYPE:
	case X509_V_ERR_UNSUPPORTED_CONSTRAINT_SYNTAX:
		tls_explain(j->v, "cert.invalid",
		    "sent a chain with a CA that may certify certain names "
		    "only, of a kind (such as addresses) that cannot be "
		    "checked here");
		return E_TLS_CERT;
	default:
		tls_explain(j->v, "cert.invalid",
		    "sent a chain that does not hold: %s",
		    X509_verify_cert_error_string(code));
		return E_TLS_CERT;
	}
}

/* Validity in time, of every certificate of the path. */
static int
check_times(struct judge *j)
{
	const struct tls_policy *p = &j->v->policy;
	const char *counts = p->verify_time_s != 0 ? " that counts" : "";
	const char *as =
	    p->verify_time_s != 0 ? ", as the clock is not confirmed" : "";
	char name[128], at[32], end[32];
	struct tls_span now = tls_verify_span(p);
	int64_t from, to;
	bool old;

	for (size_t i = 0; i < sk_X509_num(j->chain); i++) {
		X509 *x = sk_X509_value(j->chain, i);
		if (tls_x509_time(X509_get0_notBefore(x), &from) != 0 ||
		    tls_x509_time(X509_get0_notAfter(x), &to) != 0)
			from = to = INT64_MIN / 2000000;
		if (from <= now.hi_s && now.lo_s <= to)
			continue;
		j->fault = x;
		old = now.lo_s > to;
		clock_iso(
		    at, sizeof(at), (old ? now.lo_s : now.hi_s) * 1000000);
		clock_iso(end, sizeof(end), (old ? to : from) * 1000000);
		/* Seconds do: cut ".000Z". */
		at[19] = end[19] = '\0';
		if (old)
			tls_explain(j->v, "cert.expired",
			    "sent the certificate '%s', which expired %sZ; "
			    "the time%s here is %sZ%s",
			    name_of(x, name, sizeof(name)), end, counts, at,
			    as);
		else
			tls_explain(j->v, "cert.not_yet_valid",
			    "sent the certificate '%s', which is valid only "
			    "from %sZ; the time%s here is %sZ%s",
			    name_of(x, name, sizeof(name)), end, counts, at,
			    as);
		return E_TLS_CERT;
	}
	return 0;
}

/* Size of the key of each certificate. */
static int
check_keys(struct judge *j)
{
	bool old = (j->v->policy.allow & TLS_ALLOW_RSA1024) != 0;
	char name[128], what[64];
	bool bad, tiny;
	int bits, err = 0;

	for (size_t i = 0; err == 0 && i < sk_X509_num(j->chain); i++) {
		X509 *x = sk_X509_value(j->chain, i);
		EVP_PKEY *k = X509_get_pubkey(x);
		bool rsa = k != NULL && EVP_PKEY_id(k) == EVP_PKEY_RSA;

		bits = k != NULL ? EVP_PKEY_bits(k) : 0;
		EVP_PKEY_free(k);
		tls_err_drop();
		bad = rsa ? bits < RSA_BITS_MIN : bits < EC_BITS_MIN - 3;
		tiny = !rsa || bits < RSA_BITS_OLD;
		if (!bad)
			continue;
		j->fault = x;
		snprintf(what, sizeof(what), "%s key of %d bits",
		    rsa ? "RSA" : "EC", bits);
		err = weak(j, old && !tiny, "cert.weak_key",
		    "sent the certificate '%s' with a weak key: %s",
		    name_of(x, name, sizeof(name)), what);
	}
	return err;
}

/* Signatures below the anchor; nobody relies on the anchor's own. */
static int
check_sigs(struct judge *j)
{
	bool allowed = (j->v->policy.allow & TLS_ALLOW_SHA1) != 0;
	size_t n = sk_X509_num(j->chain);
	char name[128];
	int err = 0;

	if (j->anchored && n > 0)
		n--;
	for (size_t i = 0; err == 0 && i < n; i++) {
		X509 *x = sk_X509_value(j->chain, i);
		const char *alg = OBJ_nid2ln(X509_get_signature_nid(x));

		enum tls_sig sig = tls_x509_sig(x);

		j->fault = x;
		if (sig != TLS_SIG_GOOD)
			err = weak(j, allowed && sig == TLS_SIG_SHA1,
			    "cert.weak_sig",
			    "sent the certificate '%s', signed with a broken "
			    "hash: %s",
			    name_of(x, name, sizeof(name)),
			    alg != NULL ? alg : "unknown");
	}
	return err;
}

/* Is `nid`, or any purpose, in the list?  -1: there is no list. */
static int
eku_has(X509 *x, int nid)
{
	EXTENDED_KEY_USAGE *u =
	    X509_get_ext_d2i(x, NID_ext_key_usage, NULL, NULL);
	int has = 0;

	tls_err_drop();
	if (u == NULL)
		return -1;
	for (size_t i = 0; i < sk_ASN1_OBJECT_num(u); i++) {
		int got = OBJ_obj2nid(sk_ASN1_OBJECT_value(u, i));

		has |= got == nid || got == NID_anyExtendedKeyUsage;
	}
	EXTENDED_KEY_USAGE_free(u);
	return has;
}

/* RFC 5280 4.2: an extension is there once, or somebody reads the other one. */
static int
check_once(struct judge *j)
{
	static const int nids[] = { NID_subject_alt_name, NID_basic_constraints,
		NID_key_usage, NID_ext_key_usage, NID_name_constraints };
	char name[128];

	for (size_t i = 0; i < sk_X509_num(j->chain); i++) {
		X509 *x = sk_X509_value(j->chain, i);

		for (size_t k = 0; k < sizeof(nids) / sizeof(nids[0]); k++) {
			int at = X509_get_ext_by_NID(x, nids[k], -1);

			if (at < 0 || X509_get_ext_by_NID(x, nids[k], at) < 0)
				continue;
			j->fault = x;
			return weak(j, false, "cert.invalid",
			    "sent the certificate '%s', in which the extension "
			    "%s is there twice",
			    name_of(x, name, sizeof(name)),
			    OBJ_nid2ln(nids[k]));
		}
	}
	return 0;
}

/* RFC 5280 6.1.4 (l), (m): the path length, of the anchor too, which the
 * library passes over.  Certificates that a CA issued to itself do not count.
 */
static int
check_length(struct judge *j)
{
	char name[128];
	long max, below = 0;

	for (size_t i = 1; i < sk_X509_num(j->chain); i++) {
		X509 *x = sk_X509_value(j->chain, i);

		max = X509_get_pathlen(x);
		if (max >= 0 && below > max) {
			j->fault = x;
			return weak(j, false, "cert.invalid",
			    "sent a chain that is too long for '%s': %ld CAs "
			    "below it, and it may have %ld",
			    name_of(x, name, sizeof(name)), below, max);
		}
		below += X509_NAME_cmp(X509_get_subject_name(x),
			     X509_get_issuer_name(x)) != 0;
	}
	return 0;
}

/* The certificate must be made for what it is used for. */
static int
check_purpose(struct judge *j)
{
	bool client = j->v->policy.dir == TLS_CLIENT;
	int nid = client ? NID_server_auth : NID_client_auth;
	const char *need = client ? "serverAuth" : "clientAuth";
	size_t n = sk_X509_num(j->chain);
	char name[128];
	int err = 0;

	for (size_t i = 0; err == 0 && i < n; i++) {
		X509 *x = sk_X509_value(j->chain, i);
		int has = eku_has(x, nid);

		j->fault = x;
		if (i > 0 && i == n - 1 && j->anchored)
			break; /* an anchor is trusted as it is */
		if (has == 0 && j->v->policy.serverauth_client &&
		    eku_has(x, NID_server_auth) == 1) {
			tls_finding(j->v, "cert.eku");
			continue;
		}
		if (has == 0)
			err = weak(j, false, "cert.eku",
			    "sent the certificate '%s', which is not made for "
			    "this: its purposes (EKU) lack %s",
			    name_of(x, name, sizeof(name)), need);
		else if (has < 0 && i == 0)
			err = weak(j,
			    (j->v->policy.allow & TLS_ALLOW_NO_EKU) != 0,
			    "cert.eku",
			    "sent the certificate '%s', which names no "
			    "purpose (EKU); %s is needed",
			    name_of(x, name, sizeof(name)), need);
	}
	return err;
}

/* Lists the names of the certificate for a sentence. */
static void
names_list(const struct tls_verdict *v, char *out, size_t size)
{
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < v->num_sans && n + 1 < size; i++) {
		int k = snprintf(
		    out + n, size - n, "%s%s", i > 0 ? ", " : "", v->sans[i]);

		n += k > 0 ? (size_t)k : 0;
	}
	if (v->num_sans == 0)
		snprintf(out, size, "no name at all in its SAN");
}

/* Is the expected name there, but as a DNS name that RFC 5922 7.1 passes over
 * because the certificate names SIP domains too? */
static bool
is_passed_over(const struct tls_verdict *v)
{
	if (v->policy.name_rule != TLS_NAME_SIP)
		return false;
	for (size_t i = 0; i < v->num_sans; i++) {
		if (strncmp(v->sans[i], "DNS:", 4) == 0 &&
		    strcasecmp(v->sans[i] + 4, v->policy.name) == 0)
			return true;
	}
	return false;
}

/* The name rule. */
static int
check_name(struct judge *j, X509 *leaf)
{
	struct tls_verdict *v = j->v;
	char names[200], cn[128] = "";
	const char *class;

	class =
	    tls_peer_check(leaf, &v->policy, v->matched, sizeof(v->matched));
	if (class == NULL) {
		if (strncmp(v->matched, "CN:", 3) == 0)
			tls_finding(v, "cert.cn_only");
		else if (strstr(v->matched, ":*.") != NULL &&
		    v->policy.name_rule == TLS_NAME_SIP)
			tls_finding(v, "cert.wildcard_sip");
		return 0;
	}
	names_list(v, names, sizeof(names));
	if (strcmp(class, "cert.cn_only") == 0 &&
	    tls_x509_cn(leaf, cn, sizeof(cn)) == 0)
		tls_explain(v, class,
		    "carries its name only as common name ('%s'), not in the "
		    "SAN; expected was '%s'",
		    cn, v->policy.name);
	else if (strcmp(class, "cert.wildcard_sip") == 0)
		tls_explain(v, class,
		    "carries a wildcard (%s), which does not count for SIP "
		    "(RFC 5922 7.2); expected was '%s'",
		    names, v->policy.name);
	else if (is_passed_over(v))
		tls_explain(v, class,
		    "names '%s' as a DNS name only, which does not count as "
		    "it also names SIP domains (RFC 5922 7.1): %s",
		    v->policy.name, names);
	else
		tls_explain(v, class, "is not certified for '%s', only for: %s",
		    v->policy.name, names);
	return E_TLS_CERT;
}

/* Notes a certificate of the path; the peer's own are noted already. */
static void
brief_built(const struct judge *j, X509 *x, struct tls_cert_brief *out)
{
	for (size_t i = 0; i < j->v->num_sent; i++) {
		if (sk_X509_value(j->sent, i) == x) {
			*out = j->v->sent[i];
			return;
		}
	}
	tls_x509_brief(x, out);
}

/* Builds the path; 0 if the library is content. */
static int
build(struct judge *j, X509_STORE *store)
{
	X509_VERIFY_PARAM *param;
	size_t n;
	int ok;

	if (!X509_STORE_CTX_init(
		j->ctx, store, sk_X509_value(j->sent, 0), j->pool))
		return ENOMEM;
	param = X509_STORE_CTX_get0_param(j->ctx);
	/* Never a CRL or policy flag: CVE-2023-0286 is open in Debian's
	 * library. */
	X509_VERIFY_PARAM_set_flags(
	    param, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST);
	X509_VERIFY_PARAM_set_depth(param, DEPTH_MAX);
	X509_STORE_CTX_set_verify_cb(j->ctx, on_library);
	ok = X509_verify_cert(j->ctx);
	tls_err_drop();
	j->chain = X509_STORE_CTX_get0_chain(j->ctx);
	n = j->chain != NULL ? sk_X509_num(j->chain) : 0;
	for (size_t i = 0; i < n && i < TLS_CHAIN_MAX; i++) {
		brief_built(j, sk_X509_value(j->chain, i), &j->v->built[i]);
		j->v->num_built = i + 1;
	}
	if (ok != 1)
		return E_TLS_CERT;
	j->anchored = true;
	ignore_err(str_copy(j->v->anchor_set, sizeof(j->v->anchor_set),
		       tls_env_set_of(j->env, j->v->policy.trust,
			   sk_X509_value(j->chain, n - 1))),
	    "names of sets are short");
	return 0;
}

/* One path: all the checks in the order in which a person would want to hear.
 */
static int
judge_path(struct judge *j, X509_STORE *store)
{
	int err;

	X509_STORE_CTX_free(j->ctx);
	j->anchored = false;
	j->fault = NULL;
	j->v->num_built = 0;
	if ((j->ctx = X509_STORE_CTX_new()) == NULL)
		return ENOMEM;
	if ((err = build(j, store)) != 0)
		return err == E_TLS_CERT ? explain_library(j) : err;
	if ((err = check_times(j)) != 0 || (err = check_once(j)) != 0 ||
	    (err = check_length(j)) != 0 || (err = check_purpose(j)) != 0 ||
	    (err = check_keys(j)) != 0 || (err = check_sigs(j)) != 0)
		return err;
	j->fault = NULL; /* no other path carries other names */
	/* No SAN, no name: nothing else has to ask for one.  Devices of this
	 * family carry their MAC as CN alone, and listeners expect no name. */
	return check_name(j, sk_X509_value(j->sent, 0));
}

/* Takes the intermediate that failed out of those that may be used; false if it
 * is none of them. */
static bool
drop_fault(struct judge *j)
{
	for (size_t i = 1; j->fault != NULL && i < sk_X509_num(j->pool); i++) {
		if (X509_cmp(sk_X509_value(j->pool, i), j->fault) != 0)
			continue;
		sk_X509_delete(j->pool, i);
		return true;
	}
	return false;
}

/*
 * The library follows one path and never goes back: with a CA that is certified
 * twice, the order in which a server sends decides.  So what fails because of
 * an intermediate is tried without it; the first failure is the one to tell.
 */
static int
judge(struct judge *j)
{
	X509_STORE *store = store_new(j);
	struct tls_verdict *first = NULL;
	int err = ENOMEM;

	if (store == NULL || (j->pool = sk_X509_dup(j->sent)) == NULL)
		goto out;
	err = judge_path(j, store);
	for (int i = 1; err == E_TLS_CERT && i < PATHS_MAX && drop_fault(j);
	     i++) {
		if (first == NULL) {
			if ((first = malloc(sizeof(*first))) == NULL)
				break;
			*first = *j->v;
		}
		j->v->class[0] = j->v->text[0] = j->v->anchor_set[0] = '\0';
		j->v->err = 0;
		j->v->num_findings = 0;
		err = judge_path(j, store);
	}
	if (err == E_TLS_CERT && first != NULL)
		*j->v = *first;
out:
	free(first);
	X509_STORE_CTX_free(j->ctx);
	sk_X509_free(j->pool);
	X509_STORE_free(store);
	return err;
}

/* What to tell the peer (RFC 8446 6.2). */
static uint8_t
alert_of(const char *class)
{
	static const struct {
		const char *class;
		uint8_t alert;
	} t[] = {
		{ "cert.self_signed", SSL_AD_UNKNOWN_CA },
		{ "cert.untrusted_root", SSL_AD_UNKNOWN_CA },
		{ "cert.missing_intermediate", SSL_AD_UNKNOWN_CA },
		{ "cert.unknown_root", SSL_AD_UNKNOWN_CA },
		{ "trust.empty", SSL_AD_UNKNOWN_CA },
		{ "cert.expired", SSL_AD_CERTIFICATE_EXPIRED },
		{ "cert.not_yet_valid", SSL_AD_CERTIFICATE_EXPIRED },
		{ "cert.eku", SSL_AD_UNSUPPORTED_CERTIFICATE },
		{ "cert.bad_signature", SSL_AD_DECRYPT_ERROR },
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		if (strcmp(t[i].class, class) == 0)
			return t[i].alert;
	}
	return SSL_AD_BAD_CERTIFICATE;
}

int
tls_verify_chain(const struct tls_env *e, struct tls_verdict *v,
    STACK_OF(X509) * sent, uint8_t *alert)
{
	struct judge j = { .env = e, .v = v, .sent = sent };
	size_t n = sk_X509_num(sent);
	char class[sizeof(v->class)];
	struct tls_clock clock;
	int err;

	/* The clock may have been set since the policy was decided. */
	tls_env_clock(e, &v->policy, &clock);
	tls_policy_clock(&v->policy, &clock);
	*alert = SSL_AD_BAD_CERTIFICATE;
	v->num_sent = v->num_built = v->num_sans = v->num_findings = 0;
	v->matched[0] = v->anchor_set[0] = '\0';
	v->peer_verified = false;
	if (n == 0 || n > SENT_MAX) {
		tls_explain(v, "cert.malformed", "sent %zu certificates", n);
		return E_TLS_CERT;
	}
	for (size_t i = 0; i < n && i < TLS_CHAIN_MAX; i++) {
		tls_x509_brief(sk_X509_value(sent, i), &v->sent[i]);
		v->num_sent = i + 1;
	}
	v->num_sans =
	    tls_x509_sans(sk_X509_value(sent, 0), v->sans, TLS_SANS_MAX);
	if ((err = judge(&j)) == 0) {
		v->peer_verified = true;
		return 0;
	}
	if (err == ENOMEM) {
		*alert = SSL_AD_INTERNAL_ERROR;
		tls_explain(
		    v, "hs.internal", "could not be judged: out of memory");
		return E_TLS_CERT;
	}
	*alert = alert_of(v->class);
	if (v->policy.dir == TLS_CLIENT ? v->policy.verify
					: v->policy.require_client)
		return E_TLS_CERT;
	/* Not verified, or optional: noted, and the peer has no identity. */
	ignore_err(str_copy(class, sizeof(class), v->class), "same size");
	v->class[0] = v->text[0] = '\0';
	v->err = 0;
	tls_finding(v, class);
	return 0;
}
