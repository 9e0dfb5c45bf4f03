/* SPDX-License-Identifier: ISC */
/* Who this device is. */
#ifndef BELLBIRD_SRC_DEVICE_H
#define BELLBIRD_SRC_DEVICE_H

#include "internal.h"

/*
 * device_find decides model and MAC: device.mac, else the CN of the device
 * certificate if it is one, else the interface of the default route.  A
 * device.mac that differs from the certificate's warns: servers that check
 * CN = MAC will refuse.
 */
void device_find(const struct prov_store *s, const struct tls_env *e,
    char model[static MODEL_SIZE], char mac[static MAC_SIZE]);
/* device_own_mac is what is known without the certificate: device.mac, else
 * the interface; "" if neither is there. */
void device_own_mac(const struct prov_store *s, char mac[static MAC_SIZE]);

#endif
