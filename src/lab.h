/* SPDX-License-Identifier: ISC */
/* What lab.c and lab_files.c share. */
#ifndef BELLBIRD_SRC_LAB_H
#define BELLBIRD_SRC_LAB_H

#include "bellbird/mem.h"
#include "bellbird/web_server.h"
#include "internal.h"

/* The one device of the lab: a locally administered MAC (02:..). */
#define LAB_MAC   "02bb00000001"
#define LAB_USER  "1001"
#define LAB_REALM "localhost"

enum { LAB_PATH = PATH_MAX - 128 }; /* room for a file name behind it */

struct lab {
	struct app *app;         /* borrowed, from begin on */
	struct web_server *web;  /* owned */
	struct tls_env *web_tls; /* owned */
	const struct web_route *routes;
	const char *breakage; /* "", "ca" or "prov-ca" */
	bool json;
	uint16_t sip_port, web_port;
	uint64_t flow;     /* the registered device; 0: none */
	char password[33]; /* of the device, new each time */
	char dir[LAB_PATH];
	char state[PATH_MAX];    /* of the registrar */
	char trusted[PATH_MAX];  /* whom it trusts: the device CA */
	char files[PATH_MAX];    /* what is served */
	char device[PATH_MAX];   /* what a factory would put on the device */
	char prov_pem[PATH_MAX]; /* the provisioning server's certificate */
};

/* lab_make lays the folders and mints all certificates; `dir` NULL: a new
 * folder below /tmp.  Nothing is overwritten: EEXIST if a lab is there. */
MUST_CHECK int lab_make(struct lab *lab, const char *dir);
/* lab_args returns the arguments of the registrar's run; NULL: no memory. */
struct jv *lab_args(const struct lab *lab, const struct jv *args);
/* lab_write_files writes what depends on the ports: the device's
 * bellbird.conf, the provisioned files, lab.json (the last, for scripts). */
MUST_CHECK int lab_write_files(const struct lab *lab);
void lab_print(const struct lab *lab);

#endif
