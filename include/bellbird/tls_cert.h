/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_TLS_CERT_H
#define BELLBIRD_TLS_CERT_H

#include "bellbird/buf.h"
#include "bellbird/str.h"
#include "bellbird/tls_verdict.h"

/* Minting for device CAs, small sites, labs and tests. */

enum { TLS_CA_TIERS_MAX = 3 };
struct tls_ca {
	const char *dir; /* made with mode 0700 if it is not there */
	const char *cn;  /* with tiers: " root", " policy", " issuing" is added
			    (64 characters at most) */
	int tiers;    /* 1: ca.pem, ca.key; 2: a root above; 3: root, policy */
	int key_bits; /* 0 or 256: EC P-256; 384: EC P-384; more: RSA */
	int64_t not_after_s; /* 0: 9999-12-31, as device certificates end */
};
/*
 * tls_ca_make writes NAME.pem and NAME.key (0600) of each tier: root, policy
 * and ca, which issues.  Behind the certificate in ca.pem are the tiers between
 * it and the root; chain.pem has all of them, for servers.  EEXIST if one of
 * the files is there, EINVAL for what cannot be made.
 */
MUST_CHECK int tls_ca_make(const struct tls_ca *c);
/* tls_ca_init is tls_ca_make of one tier, P-256, that ends after `days`. */
MUST_CHECK int tls_ca_init(const char *dir, const char *cn, int days);

enum tls_mint_kind {
	TLS_MINT_DEVICE, /* clientAuth */
	TLS_MINT_SERVER, /* serverAuth */
	TLS_MINT_BOTH,
	TLS_MINT_INTERMEDIATE
};
struct tls_mint {
	const char *ca_dir; /* ca.pem, ca.key; NULL: self-signed */
	enum tls_mint_kind kind;
	const char *cn;       /* device: 12 lower-case hex digits of the MAC */
	const char *sans;     /* "DNS:a,URI:sip:b,IP:1.2.3.4" or NULL (device:
				 urn:dev:mac: is added) */
	int64_t not_before_s; /* 0: an hour before clock and floor */
	int64_t
	    not_after_s; /* 0: device 9999-12-31 (802.1AR), server 825 days */
	int rsa_bits;    /* 0: EC P-256; 1024..4096 */
	bool sha1;       /* for tests of refusals */
	const char *aia; /* URL of the issuer's certificate, or NULL */
};
/* tls_mint_check says in one sentence what of `sans` cannot be minted: only
 * DNS:, URI:, IP: and email: items can.  NULL is fine; else EINVAL. */
MUST_CHECK int tls_mint_check(const char *sans, char *why, size_t why_size);
/* tls_mint writes certificate, chain and key (PEM, one after the other).
 * EINVAL for what contradicts itself or cannot be written. */
MUST_CHECK int tls_mint(const struct tls_mint *m, struct buf *pem);

/* tls_cert_read parses up to `max` certificates of a PEM or DER file. E_TLS_KEY
 * if there is none; `why` gets a sentence. */
MUST_CHECK int tls_cert_read(const char *path, struct tls_cert_brief *out,
    size_t max, size_t *num, char (*sans)[128], size_t max_sans,
    size_t *num_sans, bool *has_key, char *why, size_t why_size);

/* tls_identity_check: do certificate and key in this PEM belong together?
 * E_TLS_KEY with a sentence. */
MUST_CHECK int tls_identity_check(const char *path, char *why, size_t why_size);

/* A request for a certificate that is shown to servers (clientAuth). */
struct tls_csr {
	const char *mac;  /* a device: 12 lower-case hex digits are CN and
			     serialNumber, and urn:dev:mac: is added; or NULL */
	const char *cn;   /* without `mac`: the common name */
	const char *sans; /* as in tls_mint, or NULL */
	struct slice key; /* PEM of the key to use; empty: a new one, P-256 */
};
/*
 * tls_csr appends the request and, unless `key` is NULL, its private key, both
 * PEM (RFC 2986).  EINVAL or E_LIMIT for names, E_TLS_KEY for a key that cannot
 * be used; for those `why` gets a sentence.  After an error in writing (ENOMEM,
 * E_LIMIT) the buffers are spoilt.
 */
MUST_CHECK int tls_csr(const struct tls_csr *c, struct buf *csr,
    struct buf *key, char *why, size_t why_size);

/* What somebody wants to install as an identity. */
struct tls_import {
	struct slice file;    /* PEM or PKCS #12 */
	struct slice key;     /* PEM of the key, if it is not in `file` */
	const char *password; /* of PKCS #12; NULL: none was given */
};
/*
 * tls_import judges it and appends it in the form that slots have: certificate,
 * chain, root (if it is there) and key, PEM.  E_TLS_KEY with a sentence if it
 * cannot be read or does not belong together, E_TLS_CERT if it is expired,
 * ENOMEM, E_LIMIT.  `cn` and `leaf` tell whose it is.
 */
MUST_CHECK int tls_import(const struct tls_import *in, struct buf *pem,
    struct tls_cert_brief *leaf, char cn[static 128], char *why,
    size_t why_size);

struct tls_env;
/* Certificates of issuers, as far as files have them. */
struct tls_issuers {
	struct tls_cert_brief cert[TLS_CHAIN_MAX]; /* the nearest first */
	size_t num;
	bool complete; /* the last one is a root */
};
/*
 * tls_env_issuers is what a server needs to accept our certificate: appends
 * all of it to `pem` and the last one to `der`.  One that signed itself is its
 * own issuer.  E_TLS_KEY for an empty slot, E_TLS_TRUST if the file has no
 * issuer; the buffers are spoilt by ENOMEM and E_LIMIT.
 */
MUST_CHECK int tls_env_issuers(const struct tls_env *e, enum tls_identity id,
    struct tls_issuers *out, struct buf *pem, struct buf *der);
/* tls_ca_issuers is the same of the CA in `dir` (ca.pem and, if there is one,
 * root.pem); no key is read.  A file that cannot be read is named in `why`. */
MUST_CHECK int tls_ca_issuers(const char *dir, struct tls_issuers *out,
    struct buf *pem, struct buf *der, char *why, size_t why_size);
/*
 * tls_cert_judge runs the policy on a file of certificates, leaf first, as if
 * a peer had sent it.  Returns 0, E_TLS_CERT or a reading error (class
 * "key.unreadable"); the record is filled either way.
 */
MUST_CHECK int tls_cert_judge(const struct tls_env *e,
    const struct tls_policy *p, const char *path, struct tls_verdict *v);
/*
 * tls_cert_judge_with is the same with more files of intermediates (`inters`,
 * ends with NULL), as if the peer had sent those behind its own.  For one of
 * them that cannot be read `why` names it and the record holds no judgement;
 * `why` stays empty in every other case.
 */
MUST_CHECK int tls_cert_judge_with(const struct tls_env *e,
    const struct tls_policy *p, const char *path, const char *const *inters,
    struct tls_verdict *v, char *why, size_t why_size);

#endif
