/* SPDX-License-Identifier: ISC */
/* Who this device is: its model and its MAC address. */
#include <stdio.h>
#include <string.h>

#include "bellbird/file.h"
#include "device.h"

/* /proc/net/route and a MAC in /sys are far below this. */
enum { PROC_MAX = 65536 };

/* The next word of a line of /proc. */
static struct slice
word(struct slice *rest)
{
	struct slice w = { rest->p, 0 };

	while (rest->n != 0 && (*rest->p == ' ' || *rest->p == '\t')) {
		rest->p++;
		rest->n--;
	}
	w.p = rest->p;
	while (rest->n != 0 && *rest->p != ' ' && *rest->p != '\t') {
		rest->p++;
		rest->n--;
		w.n++;
	}
	return w;
}

/* The interface of the IPv4 default route; E_PARSE if there is none. */
static int
default_interface(char *out, size_t size)
{
	struct slice rest, line, name, dest;
	struct buf b;
	int err;

	buf_init(&b, PROC_MAX);
	if ((err = file_read("/proc/net/route", &b)) != 0)
		goto out;
	err = E_PARSE;
	rest = slice_of(buf_str(&b));
	while (slice_line(&rest, &line)) {
		name = word(&line);
		dest = word(&line);
		if (slice_is(dest, "00000000")) {
			err = str_copy_slice(out, size, name);
			break;
		}
	}
out:
	buf_clear(&b);
	return err;
}

/* The MAC of the default route's interface. */
static int
interface_mac(char mac[static MAC_SIZE])
{
	char name[32], path[96];
	struct buf b;
	int err;

	if ((err = default_interface(name, sizeof(name))) != 0)
		return err;
	(void)snprintf(path, sizeof(path), "/sys/class/net/%s/address", name);
	buf_init(&b, PROC_MAX);
	if ((err = file_read(path, &b)) == 0)
		err = str_mac_norm(slice_trim(slice_of(buf_str(&b))), mac);
	buf_clear(&b);
	return err;
}

void
device_own_mac(const struct prov_store *s, char mac[static MAC_SIZE])
{
	const char *set = prov_get(s, "device.mac");

	if ((set[0] == '\0' || str_mac_norm(slice_of(set), mac) != 0) &&
	    interface_mac(mac) != 0)
		mac[0] = '\0';
}

void
device_find(const struct prov_store *s, const struct tls_env *e,
    char model[static MODEL_SIZE], char mac[static MAC_SIZE])
{
	char cn[128] = "", cert_mac[MAC_SIZE] = "";
	const char *set = prov_get(s, "device.mac");

	if (str_copy(model, MODEL_SIZE, prov_get(s, "device.model")) != 0)
		log_warn(LOGC_APP, 0, "device.model is too long, it was cut");
	if (tls_env_identity_cn(e, TLS_ID_FACTORY, cn, sizeof(cn)) == 0 &&
	    str_mac_norm(slice_of(cn), cert_mac) != 0)
		log_info(LOGC_APP, 0,
		    "the device certificate's CN is no MAC address cn=%s",
		    esc(cn));
	if (set[0] != '\0' && str_mac_norm(slice_of(set), mac) == 0) {
		if (cert_mac[0] != '\0' && strcmp(cert_mac, mac) != 0)
			log_warn(LOGC_APP, 0,
			    "device.mac = %s differs from the device "
			    "certificate's CN %s: servers that compare them "
			    "will refuse this device",
			    mac, cert_mac);
		return;
	}
	if (cert_mac[0] != '\0') {
		memcpy(mac, cert_mac, MAC_SIZE);
		return;
	}
	if (interface_mac(mac) != 0) {
		log_warn(LOGC_APP, 0,
		    "no MAC address: set device.mac or install a device "
		    "certificate; 000000000000 is used");
		memcpy(mac, "000000000000", MAC_SIZE);
	}
}
