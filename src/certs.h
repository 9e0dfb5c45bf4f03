/* SPDX-License-Identifier: ISC */
/* What the verbs `cert ..` share. */
#ifndef BELLBIRD_SRC_CERTS_H
#define BELLBIRD_SRC_CERTS_H

#include "internal.h"

/* Files of certificates and keys are far smaller. */
enum { CERTS_FILE_MAX = 256 * 1024 };

/* certs_fail prints what went wrong and with which file (NULL: none), and
 * returns CTL_FAIL; certs_usage does it for a wrong command line. */
int certs_fail(const struct jv *args, const char *path, const char *what);
int certs_usage(const struct jv *args, const char *what);
/* certs_refuse prints why a certificate or key is not taken: CTL_TLS. */
int certs_refuse(const struct jv *args, const char *why);
/* certs_factory_check: may a certificate of this CN be that of the device
 * `mac` ("": not known)?  E_TLS_CERT with a sentence. */
MUST_CHECK int certs_factory_check(
    const char *cn, const char *mac, char *why, size_t size);
/* certs_free_to_write: nothing is there, or --force was given; else prints that
 * `path` would be lost. */
bool certs_free_to_write(const struct jv *args, const char *path);
/* certs_mac normalizes a MAC address of the command line; E_PARSE. */
MUST_CHECK int certs_mac(const char *s, char out[static MAC_SIZE]);
/* certs_brief is one certificate as an object. */
struct jv *certs_brief(const struct tls_cert_brief *b);
/* The identities of this machine, read from disk. */
struct certs_env {
	struct loop *loop;   /* owned */
	struct tls_env *tls; /* owned */
};
MUST_CHECK int certs_open(struct certs_env *c, const struct jv *args);
void certs_close(struct certs_env *c);
/* certs_print prints a result; takes `o`. */
int certs_print(const struct jv *args, const char *verb, struct jv *o);

#endif
