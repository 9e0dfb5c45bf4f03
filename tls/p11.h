/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_TLS_P11_H
#define BELLBIRD_TLS_P11_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>

#include "bellbird/str.h"

/* ---- tls_p11_uri.c: where a key is (RFC 7512) ---- */

enum {
	P11_URI_MAX = 1024,   /* a label, an id and a path, percent-encoded */
	P11_OBJECT_MAX = 128, /* label or id of an object */
	P11_WHY_MAX = 240
};

/* One attribute of a path; it matches anything unless `given`. */
struct p11_attr {
	bool given;
	size_t n;
	char v[P11_OBJECT_MAX + 1]; /* also terminated */
};

/* A private key in a token, and where the PIN is. */
struct p11_uri {
	struct p11_attr token, manufacturer, serial, model; /* of the token */
	struct p11_attr object, id;                         /* of the key */
	char pin_file[PATH_MAX]; /* "": the token asks for none */
};

/* tls_p11_is_uri: does a text start like one? */
bool tls_p11_is_uri(struct slice s);
/*
 * tls_p11_uri_parse reads a URI that names a private key.  E_PARSE for one that
 * breaks the grammar, or says what is not taken here: a PIN, a module, a
 * command, attributes that cannot be compared; then `why` says what to do, with
 * the class, and `*out` is not touched.
 */
MUST_CHECK int tls_p11_uri_parse(
    struct p11_uri *out, struct slice s, char *why, size_t why_size);

/* ---- tls_p11_elf.c: what a module would bring along ---- */

/*
 * tls_p11_elf_clash tells whether loading the shared object `path`, or anything
 * it needs, would map OpenSSL, whose symbols clash with those of our library;
 * then its name is in `name`.  What cannot be found or read counts as harmless:
 * the loader will say so.
 */
bool tls_p11_elf_clash(const char *path, char *name, size_t size);
/* tls_p11_elf_is_openssl: is this the file name of a library of OpenSSL? */
bool tls_p11_elf_is_openssl(const char *path);

/* ---- tls_p11_mod.c: the module; in the thread only ---- */

struct p11_mod;   /* the module, loaded and initialised */
struct p11_token; /* a session with a key in a token */

enum { P11_SIG_MAX = 1024 /* RSA of 8192 bits */ };

/* What is to be signed, and what came of it. */
struct p11_sign {
	int nid;            /* of the digest */
	bool pss;           /* RSA: PSS instead of PKCS #1 1.5 */
	uint8_t digest[64]; /* SHA-512 is the largest */
	size_t num_digest;
	uint8_t sig[P11_SIG_MAX];
	size_t num_sig;
};

/* What is wrong; "" if nothing. */
struct p11_fault {
	const char *class; /* key.token, key.mismatch */
	bool lasting;      /* a token that comes back does not help */
	char text[P11_WHY_MAX];
};

/* tls_p11_mod_new copies the path of the module; NULL: out of memory.  Nothing
 * is loaded yet, and once it is, it stays for the life of the process. */
struct p11_mod *tls_p11_mod_new(const char *module, const char *server);
void tls_p11_mod_free(struct p11_mod *m);

/* tls_p11_token_new copies `uri` and takes a reference to `pub`, the key of the
 * certificate; NULL: out of memory. */
struct p11_token *tls_p11_token_new(
    struct p11_mod *m, const struct p11_uri *uri, EVP_PKEY *pub);
/* tls_p11_token_close ends the session if there is one; it may block, and is
 * the thread's.  tls_p11_token_free() does not. */
void tls_p11_token_close(struct p11_token *t);
void tls_p11_token_free(struct p11_token *t);
/*
 * tls_p11_token_sign signs, after opening what is not open yet: it logs in,
 * finds the key and proves that it belongs to the certificate.  `s` NULL does
 * only that.  A token or its server that went away and is back is opened anew,
 * once.  Blocks as long as the server does.  Returns 0 or E_TLS_KEY with the
 * reason in `*f`.
 */
MUST_CHECK int tls_p11_token_sign(
    struct p11_token *t, struct p11_sign *s, struct p11_fault *f);

/* ---- tls_p11.c: keys of slots, in the loop ---- */

struct p11_key;
struct tls_conn;
struct tls_env;
struct tls_slot;

/*
 * tls_p11_bind gives a slot, whose certificate is loaded, the key its URI
 * names, and has it tried soon from the loop; what is wrong then stands in the
 * slot's error.  Keys of the same URI and certificate are one.  Returns 0, or
 * E_TLS_KEY with a sentence in `why`, or ENOMEM.
 */
MUST_CHECK int tls_p11_bind(
    struct tls_env *e, struct tls_slot *s, char *why, size_t why_size);
/* tls_p11_hold takes a reference and returns the key; tls_p11_put gives one
 * back.  NULL is allowed. */
struct p11_key *tls_p11_hold(struct p11_key *k);
void tls_p11_put(struct p11_key *k);
/* tls_p11_show has `c` show the slot's chain and sign with its key. */
MUST_CHECK int tls_p11_show(struct tls_conn *c, const struct tls_slot *s);
/* tls_p11_late: is the token the one that keeps us waiting?  Then says so. */
bool tls_p11_late(struct tls_conn *c);
/* tls_p11_leave: the connection goes, and a signature may still be made. */
void tls_p11_leave(struct tls_conn *c);
/* tls_p11_stop ends the thread, before connections and slots go; 3 s at most.
 * tls_p11_free frees the rest, after them. */
void tls_p11_stop(struct tls_env *e);
void tls_p11_free(struct tls_env *e);

#endif
