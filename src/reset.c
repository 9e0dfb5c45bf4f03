/* SPDX-License-Identifier: ISC */
/* Factory reset: what the owner and provisioning brought is removed; who the
 * device is stays. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

/* Folders in folders of certs/ and prov/; nobody nests deeper. */
enum { DEPTH_MAX = 8 };

/* What goes of the state folder.  The lock stays, and the saved time: a clock
 * that may not run backwards is no setting. */
static const char *const parts[] = { "settings.conf", "certs", "prov",
	"history", "tones", "est-pending" };

static int remove_tree(int at, const char *name, int depth);

/* Removes what is in an open folder; takes `d`. */
static int
empty_folder(DIR *d, int depth)
{
	const struct dirent *e;
	int err = 0, one;

	while ((e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		one = remove_tree(dirfd(d), e->d_name, depth - 1);
		err = err != 0 ? err : one;
	}
	if (fsync(dirfd(d)) != 0 && err == 0 && errno != EINVAL)
		err = errno;
	closedir(d);
	return err;
}

/* Removes a file, a link (not what it points to) or a folder. */
static int
remove_tree(int at, const char *name, int depth)
{
	int fd, err;
	DIR *d;

	if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return errno;
	if (depth == 0)
		return ELOOP;
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno;
	if ((d = fdopendir(fd)) == NULL) {
		err = errno;
		close(fd);
		return err;
	}
	if ((err = empty_folder(d, depth)) != 0)
		return err;
	return unlinkat(at, name, AT_REMOVEDIR) == 0 ? 0 : errno;
}

/* Is the identity below something that would go? */
static bool
holds_identity(const struct paths *p)
{
	char id[PATH_MAX], state[PATH_MAX];
	size_t n;

	if (realpath(p->identity, id) == NULL ||
	    realpath(p->state, state) == NULL)
		return false; /* it is not there: nothing to lose */
	n = strlen(state);
	if (strncmp(id, state, n) != 0 || id[n] != '/')
		return false;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		size_t len = strlen(parts[i]);

		if (strncmp(id + n + 1, parts[i], len) == 0 &&
		    (id[n + 1 + len] == '/' || id[n + 1 + len] == '\0'))
			return true;
	}
	return false;
}

int
reset_check(const struct paths *p, char *why, size_t why_size)
{
	if (!holds_identity(p))
		return 0;
	(void)snprintf(why, why_size,
	    "the identity folder %s is in a folder that a reset removes: give "
	    "it a place of its own",
	    esc(p->identity));
	return EPERM;
}

int
reset_wipe(const struct paths *p)
{
	int at, err = 0, one;

	if (holds_identity(p))
		return EPERM;
	if ((at = open(p->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return errno == ENOENT ? 0 : errno;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		one = remove_tree(at, parts[i], DEPTH_MAX);
		err = err != 0 ? err : one;
	}
	if (fsync(at) != 0 && err == 0 && errno != EINVAL)
		err = errno;
	close(at);
	return err;
}

int
reset_local(const struct jv *args)
{
	bool json = jv_get_bool(args, "json", false);
	char text[PATH_MAX + 160], why[WHY_SIZE];
	struct paths p;
	struct jv *o;
	int err, lock = -1;

	if ((err = paths_find(&p, args)) == 0 &&
	    reset_check(&p, why, sizeof(why)) != 0)
		return ctl_error(json, CTL_FAIL, why, NULL);
	if (err == 0 && access(p.state, F_OK) == 0)
		err = paths_claim(&p, &lock);
	if (err == 0)
		err = reset_wipe(&p);
	if (lock >= 0)
		close(lock);
	if (err != 0) {
		(void)snprintf(text, sizeof(text), "%s: %s", esc(p.state),
		    err == EBUSY
			? "an endpoint uses it; reset it through its control "
			  "socket (bellbird reset --socket PATH), or stop it"
			: err_str(err));
		return ctl_error(json, CTL_FAIL, text, NULL);
	}
	o = jv_obj();
	jv_set_str(o, "reset", p.state);
	jv_set_str(o, "kept", p.identity);
	ctl_print(json, "reset", o);
	jv_free(o);
	return CTL_OK;
}
