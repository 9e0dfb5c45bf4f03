/* SPDX-License-Identifier: ISC */
/* bellbird lab: everything around an endpoint, on loopback, in one process: a
 * device CA, a provisioning server that checks CN = MAC, a registrar that
 * demands the device certificate, and somebody to talk to. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellbird/file.h"
#include "bellbird/sip_auth.h"
#include "bellbird/tls_hash.h"
#include "bellbird/web_server.h"
#include "lab.h"

enum {
	DIR_MODE = 0700,
	FILE_MAX = 1 << 20 /* the ceiling of a provisioned file */
};

/* ---- the registrar ---- */

/* The user part of "sip:user@host" or "user". */
static struct slice
user_of(const char *uri)
{
	struct slice s = slice_of(uri), head, tail;

	(void)slice_cut(s, '@', &head, &tail);
	if (slice_cut(head, ':', &s, &tail))
		return tail;
	return head;
}

/* 200 with the binding that was asked for. */
static void
register_ok(struct lab *lab, struct sip_req *req)
{
	const char *contact = sip_req_header(req, "contact", 0);
	const char *expires = sip_req_header(req, "expires", 0);
	bool gone = expires != NULL && strcmp(expires, "0") == 0;
	char headers[1024];
	const char *who = sip_req_user(req, "to");

	if (contact == NULL || gone) {
		headers[0] = '\0';
		lab->flow = gone ? 0 : lab->flow;
	} else {
		lab->flow = sip_req_flow(req);
		(void)snprintf(headers, sizeof(headers),
		    "Contact: %s%s\r\nSupported: outbound, path\r\n", contact,
		    strstr(contact, "expires=") == NULL ? ";expires=600" : "");
	}
	log_info(LOGC_SIP, 0, "lab: %s user=%s",
	    gone ? "unregistered" : "registered", esc(who));
	ignore_err(sip_req_reply(req, 200, "OK", headers, NULL,
		       (struct slice){ NULL, 0 }),
	    "the client asks again");
}

/* app_hooks.request: REGISTER with digest. */
static bool
on_request(struct sip_req *req, void *arg)
{
	struct lab *lab = arg;
	bool stale = false;

	if (strcmp(sip_req_method(req), "REGISTER") != 0)
		return false;
	if (strcmp(sip_req_user(req, "to"), LAB_USER) != 0) {
		ignore_err(sip_req_reply(req, 404, "Not Found", NULL, NULL,
			       (struct slice){ NULL, 0 }),
		    "the client asks again");
		return true;
	}
	if (sip_auth_check(req, LAB_REALM, LAB_USER, lab->password, &stale) ==
	    0)
		register_ok(lab, req);
	else
		ignore_err(sip_auth_challenge(req, LAB_REALM,
			       1u << TLS_SHA256 | 1u << TLS_MD5, stale),
		    "the client asks again");
	return true;
}

/* app_hooks.flow. */
static uint64_t
on_flow(const char *uri, void *arg)
{
	struct lab *lab = arg;

	if (!slice_is(user_of(uri), LAB_USER) ||
	    !sip_flow_is_alive(lab->app->sip, lab->flow))
		return 0;
	return lab->flow;
}

/* app_hooks.device: "echo" sends back, all others hear a tone. */
static const char *
on_device(const struct sip_call *call, void *arg)
{
	(void)arg;
	if (slice_is(user_of(sip_call_local(call)), "echo"))
		return "loop";
	return "tone:440";
}

/* ---- the provisioning server ---- */

/* The MAC in "algom<mac>.conf"; false for a file of all devices. */
static bool
file_mac(const char *name, struct slice *mac)
{
	const char *p = strstr(name, "algom");

	if (p == NULL)
		return false;
	*mac = (struct slice){ p + 5, strlen(p + 5) };
	for (size_t i = 0; i < mac->n; i++)
		if (mac->p[i] == '.' || mac->p[i] == '-')
			mac->n = i;
	return true;
}

/* web_route_fn: a file below /cfg/, a device's own only for its certificate. */
static void
on_file(struct web_req *r, void *arg)
{
	static const char refused[] =
	    "The MAC in the file name is not the CN of your certificate.\n";
	struct lab *lab = arg;
	const char *name = web_req_path(r) + strlen("/cfg/");
	const char *cn = web_req_peer_cn(r);
	char path[PATH_MAX], etag[96], sum[2 * TLS_HASH_MAX + 1];
	const char *match = web_req_header(r, "If-None-Match");
	struct slice mac;
	struct buf b;

	buf_init(&b, FILE_MAX);
	if (file_mac(name, &mac) && !slice_case_is(mac, cn)) {
		log_warn(LOGC_PROV, 0, "lab: refused file=%s cn=%s", esc(name),
		    esc(cn));
		web_reply(r, 403, "text/plain", NULL, slice_of(refused));
	} else if (strchr(name, '/') != NULL ||
	    path_join(path, sizeof(path), lab->files, name) != 0 ||
	    file_read(path, &b) != 0) {
		web_reply(
		    r, 404, "text/plain", NULL, slice_of("No such file.\n"));
	} else {
		tls_hash_hex(TLS_SHA256, b.p, b.n, sum);
		(void)snprintf(etag, sizeof(etag), "ETag: \"%.16s\"\r\n", sum);
		if (match != NULL && strlen(match) == 18 &&
		    strncmp(match + 1, sum, 16) == 0)
			web_reply(
			    r, 304, NULL, etag, (struct slice){ NULL, 0 });
		else
			web_reply(r, 200, "text/plain", etag,
			    (struct slice){ buf_str(&b), b.n });
		log_info(LOGC_PROV, 0, "lab: served file=%s cn=%s", esc(name),
		    esc(cn));
	}
	buf_clear(&b);
}

/* The server of the files; its certificate may be a wrong one by --break. */
static int
open_web(struct lab *lab)
{
	struct tls_env_conf c = { .builtin_file = "",
		.trusted_dir = lab->trusted,
		.server_file = lab->prov_pem };
	struct web_server_conf w = { .loop = lab->app->loop,
		.routes = lab->routes };
	struct tls_settings s;
	struct tls_clock clock = { clock_wall_s(), clock_floor_s(), true };
	struct tls_policy policy;
	char why[WHY_SIZE];
	int err;

	tls_settings_default(&s, TLS_USE_WEB);
	s.trust = TLS_TRUST_UPLOADED;
	s.require_client = true;
	if ((err = tls_policy_decide(&policy, TLS_USE_WEB, TLS_SERVER, NULL, &s,
		 &clock, why, sizeof(why))) != 0 ||
	    (err = tls_env_new(&lab->web_tls, lab->app->loop, &c)) != 0 ||
	    (err = addr_parse(&w.local, slice_of("127.0.0.1"), 0)) != 0)
		return err;
	w.tls = lab->web_tls;
	w.policy = &policy;
	return web_server_open(&lab->web, &w);
}

/* ---- begin and end ---- */

/* sip_listener_cb: keeps the port. */
static void
on_listener(enum sip_transport t, const struct addr *local, void *arg)
{
	uint16_t *port = arg;

	if (t == SIPC_TLS)
		*port = addr_port(local);
}

/* app_hooks.begin: ports are known now, so the device's files can be. */
static int
on_begin(struct app *a, void *arg)
{
	struct lab *lab = arg;
	struct addr web;
	int err;

	lab->app = a;
	sip_stack_each_listener(a->sip, on_listener, &lab->sip_port);
	if ((err = open_web(lab)) != 0)
		return err;
	web_server_local(lab->web, &web);
	lab->web_port = addr_port(&web);
	if ((err = lab_write_files(lab)) != 0)
		return err;
	lab_print(lab);
	return 0;
}

/* app_hooks.end. */
static void
on_end(void *arg)
{
	struct lab *lab = arg;

	web_server_free(lab->web);
	tls_env_free(lab->web_tls);
}

int
lab_run(const struct jv *args)
{
	struct lab lab = { .breakage = jv_get_str(args, "break"),
		.json = jv_get_bool(args, "json", false) };
	struct app_hooks hooks = { on_device, on_flow, on_request, on_begin,
		on_end, &lab };
	struct web_route routes[] = { { "GET", "/cfg/", on_file, &lab },
		{ NULL, NULL, NULL, NULL } };
	const char *dir = jv_get_str(args, "state");
	struct jv *run;
	int err, code;

	if (lab.breakage == NULL)
		lab.breakage = "";
	else if (strcmp(lab.breakage, "ca") != 0 &&
	    strcmp(lab.breakage, "prov-ca") != 0)
		return ctl_error(
		    lab.json, CTL_USAGE, "--break is ca or prov-ca", NULL);
	lab.routes = routes;
	if ((err = lab_make(&lab, dir)) != 0)
		return ctl_error(lab.json, CTL_FAIL, err_str(err), NULL);
	if ((run = lab_args(&lab, args)) == NULL)
		return ctl_error(lab.json, CTL_FAIL, err_str(ENOMEM), NULL);
	code = app_main(run, &hooks);
	jv_free(run);
	mem_wipe(lab.password, sizeof(lab.password));
	return code;
}
