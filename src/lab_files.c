/* SPDX-License-Identifier: ISC */
/* The folders and files of the lab: certificates, configuration, what the
 * factory puts on a device. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bellbird/file.h"
#include "bellbird/tls_cert.h"
#include "bellbird/tls_hash.h"
#include "lab.h"

enum { PEM_MAX = 65536, CA_DAYS = 30, SERVER_DAYS = 30, DIR_MODE = 0700 };

/* dir/name, made with its parents. */
static int
make_dir(char *out, size_t size, const char *dir, const char *name)
{
	int err = path_join(out, size, dir, name);

	return err != 0 ? err : file_mkdirs(out, DIR_MODE);
}

/* Copies the certificate of a CA to where somebody trusts it. */
static int
trust(const char *dir, const char *ca_dir, const char *name)
{
	char from[PATH_MAX], to[PATH_MAX];
	struct buf b;
	int err;

	buf_init(&b, PEM_MAX);
	if ((err = path_join(from, sizeof(from), ca_dir, "ca.pem")) == 0 &&
	    (err = path_join(to, sizeof(to), dir, name)) == 0 &&
	    (err = file_read(from, &b)) == 0)
		err = file_write(to, b.p, b.n, 0644);
	buf_clear(&b);
	return err;
}

/* Mints into a file of mode 0600. */
static int
mint(const struct tls_mint *m, const char *path)
{
	struct buf pem;
	int err;

	buf_init_secret(&pem, PEM_MAX);
	if ((err = tls_mint(m, &pem)) == 0)
		err = file_write(path, pem.p, pem.n, 0600);
	buf_clear(&pem);
	return err;
}

/* A server certificate of the site's CA, or of one that nobody trusts. */
static int
mint_server(const struct lab *lab, const char *path, bool broken)
{
	char ca[PATH_MAX];
	struct tls_mint m = { .ca_dir = ca,
		.kind = TLS_MINT_SERVER,
		.cn = "localhost",
		.sans = "DNS:localhost,URI:sip:localhost,IP:127.0.0.1",
		.not_after_s = clock_wall_s() + SERVER_DAYS * 86400 };
	int err;

	err = path_join(
	    ca, sizeof(ca), lab->dir, broken ? "other-ca" : "site-ca");
	return err != 0 ? err : mint(&m, path);
}

/* One CA in its own folder. */
static int
make_ca(const struct lab *lab, const char *name, const char *cn, char *out,
    size_t size)
{
	int err = make_dir(out, size, lab->dir, name);

	return err != 0 ? err : tls_ca_init(out, cn, CA_DAYS);
}

/* Three CAs: of the factory, of the site, and one that nobody trusts. */
static int
make_certs(struct lab *lab)
{
	char device_ca[PATH_MAX], site_ca[PATH_MAX], other[PATH_MAX];
	char path[PATH_MAX], dir[PATH_MAX];
	struct tls_mint device = {
		.ca_dir = device_ca, .kind = TLS_MINT_DEVICE, .cn = LAB_MAC
	};
	int err;

	if ((err = make_ca(lab, "device-ca", "bellbird lab device CA",
		 device_ca, sizeof(device_ca))) != 0 ||
	    (err = make_ca(lab, "site-ca", "bellbird lab site CA", site_ca,
		 sizeof(site_ca))) != 0 ||
	    (err = make_ca(lab, "other-ca", "a CA of somebody else", other,
		 sizeof(other))) != 0)
		return err;
	if ((err = path_join(
		 path, sizeof(path), lab->state, "certs/server.pem")) != 0 ||
	    (err = mint_server(lab, path, strcmp(lab->breakage, "ca") == 0)) !=
		0 ||
	    (err = mint_server(lab, lab->prov_pem,
		 strcmp(lab->breakage, "prov-ca") == 0)) != 0 ||
	    (err = trust(lab->trusted, device_ca, "device-ca.pem")) != 0)
		return err;
	/* What a factory does: certificate on the device, site CA trusted. */
	if ((err = make_dir(dir, sizeof(dir), lab->device, "identity")) != 0 ||
	    (err = path_join(path, sizeof(path), dir, "device.pem")) != 0 ||
	    (err = mint(&device, path)) != 0 ||
	    (err = make_dir(
		 dir, sizeof(dir), lab->device, "state/certs/trusted")) != 0)
		return err;
	return trust(dir, site_ca, "site-ca.pem");
}

int
lab_make(struct lab *lab, const char *dir)
{
	char temp[] = "/tmp/bellbird-lab-XXXXXX", conf[PATH_MAX];
	uint8_t secret[16];
	struct stat st;
	int err;

	if (dir == NULL && (dir = mkdtemp(temp)) == NULL)
		return errno;
	if ((err = str_copy(lab->dir, sizeof(lab->dir), dir)) != 0 ||
	    (err = make_dir(
		 lab->state, sizeof(lab->state), dir, "registrar")) != 0 ||
	    (err = make_dir(lab->trusted, sizeof(lab->trusted), dir,
		 "registrar/certs/trusted")) != 0 ||
	    (err = make_dir(lab->files, sizeof(lab->files), dir, "files")) !=
		0 ||
	    (err = make_dir(lab->device, sizeof(lab->device), dir, "device")) !=
		0 ||
	    (err = path_join(lab->prov_pem, sizeof(lab->prov_pem), dir,
		 "registrar/prov.pem")) != 0 ||
	    (err = path_join(conf, sizeof(conf), dir, "lab.json")) != 0)
		return err;
	if (stat(conf, &st) == 0)
		return EEXIST;
	tls_random(secret, sizeof(secret));
	str_hex(lab->password, secret, sizeof(secret));
	mem_wipe(secret, sizeof(secret));
	return make_certs(lab);
}

/* Writes text below the lab's folder. */
static int
write_text(const char *dir, const char *name, const char *text)
{
	char path[PATH_MAX];
	int err = path_join(path, sizeof(path), dir, name);

	return err != 0 ? err : file_write(path, text, strlen(text), 0600);
}

struct jv *
lab_args(const struct lab *lab, const struct jv *args)
{
	static const char conf[] =
	    "# The registrar of the lab: only the lab's device may speak.\n"
	    "sip.listen.tls = 127.0.0.1:0\n"
	    "sip.allow = tls:" LAB_MAC "\n"
	    "sip.tls.trust = trusted\n"
	    "sip.srtp = standard\n"
	    "audio.device = tone:440\n"
	    "answer.mode = auto\n"
	    "device.model = lab\n"
	    "device.mac = 02bb000000ff\n"
	    "prov.use = 0\n";
	char path[PATH_MAX];
	struct jv *o;

	if (write_text(lab->dir, "bellbird.conf", conf) != 0)
		return NULL;
	if ((o = jv_copy(args)) == NULL)
		return NULL;
	jv_set_str(o, "state", lab->state);
	if (path_join(path, sizeof(path), lab->dir, "bellbird.conf") == 0)
		jv_set_str(o, "conf", path);
	if (path_join(path, sizeof(path), lab->dir, "lab.sock") == 0)
		jv_set_str(o, "socket", path);
	jv_set_str(o, "identity", lab->state);
	return o;
}

/* The JSON a script reads to find its way. */
static int
write_json(const struct lab *lab)
{
	struct jv *o = jv_obj();
	char path[PATH_MAX];
	struct buf b;
	int err;

	buf_init(&b, PEM_MAX);
	jv_set_str(o, "dir", lab->dir);
	jv_set_str(o, "device", lab->device);
	jv_set_str(o, "mac", LAB_MAC);
	jv_set_str(o, "user", LAB_USER);
	jv_set_int(o, "sip_port", lab->sip_port);
	jv_set_int(o, "prov_port", lab->web_port);
	if ((err = path_join(path, sizeof(path), lab->dir, "lab.sock")) == 0) {
		jv_set_str(o, "socket", path);
		err = jv_print(o, true, &b);
	}
	if (err == 0)
		err = write_text(lab->dir, "lab.json", buf_str(&b));
	buf_clear(&b);
	jv_free(o);
	return err;
}

int
lab_write_files(const struct lab *lab)
{
	char text[1024];
	int err;

	(void)snprintf(text, sizeof(text),
	    "# What a factory or a DHCP server tells a device: whom to ask.\n"
	    "prov.server.method = static\n"
	    "prov.server.static = localhost:%u\n"
	    "prov.download.method = https\n"
	    "prov.download.cfgpath = cfg\n"
	    "audio.device = tone:1000\n",
	    lab->web_port);
	if ((err = write_text(lab->device, "bellbird.conf", text)) != 0)
		return err;
	(void)snprintf(text, sizeof(text),
	    "# All devices of the model.\n"
	    "sip.proxy = localhost:%u\n"
	    "sip.transp = tls\n"
	    "sip.srtp = standard\n"
	    "audio.codecs = opus,pcmu,pcma\n",
	    lab->sip_port);
	err = write_text(lab->files, "algopbellbird.conf", text);
	if (err != 0)
		return err;
	(void)snprintf(text, sizeof(text),
	    "# This device alone.\n"
	    "sip.u1.user = %s\n"
	    "sip.u1.auth = %s\n"
	    "sip.u1.pwd = %s\n"
	    "sip.u1.dname = Lab device $MAC$\n",
	    LAB_USER, LAB_USER, lab->password);
	err = write_text(lab->files, "algom" LAB_MAC ".conf", text);
	mem_wipe(text, sizeof(text));
	return err != 0 ? err : write_json(lab);
}

void
lab_print(const struct lab *lab)
{
	struct jv *o = jv_obj();

	jv_set_str(o, "dir", lab->dir);
	jv_set_str(o, "device", lab->device);
	jv_set_int(o, "sip_port", lab->sip_port);
	jv_set_int(o, "prov_port", lab->web_port);
	ctl_print(lab->json, "lab", o);
	jv_free(o);
}
