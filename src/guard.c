/* SPDX-License-Identifier: ISC */
/* What a daemon owes its surroundings: no OpenSSL inside, notice to systemd. */
#include <link.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "internal.h"

struct search {
	char *name;
	size_t size;
	int found;
};

/* Is this mapped object OpenSSL? */
static int
on_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct search *s = arg;

	(void)size;
	if (strstr(info->dlpi_name, "libssl.so.3") == NULL &&
	    strstr(info->dlpi_name, "libcrypto.so.3") == NULL &&
	    strstr(info->dlpi_name, "libssl.so.1") == NULL &&
	    strstr(info->dlpi_name, "libcrypto.so.1") == NULL)
		return 0;
	ignore_err(str_copy(s->name, s->size, info->dlpi_name),
	    "a cut name is still a name");
	s->found = 1;
	return 1;
}

int
guard_openssl(char *name, size_t size)
{
	struct search s = { name, size, 0 };

	(void)dl_iterate_phdr(on_object, &s);
	return s.found ? E_TLS_PARAM : 0;
}

void
guard_notify(const char *msg)
{
	const char *p = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	size_t n;
	int fd;

	if (p == NULL || (p[0] != '/' && p[0] != '@'))
		return;
	n = strlen(p);
	if (n >= sizeof(sa.sun_path))
		return;
	memcpy(sa.sun_path, p, n);
	if (p[0] == '@')
		sa.sun_path[0] = '\0'; /* abstract name */
	if ((fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) < 0)
		return;
	if (sendto(fd, msg, strlen(msg), MSG_NOSIGNAL | MSG_DONTWAIT,
		(struct sockaddr *)&sa,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
		log_debug(LOGC_APP, 0, "systemd was not notified");
	close(fd);
}
