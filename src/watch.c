/* SPDX-License-Identifier: ISC */
/* What changes around us.  Links and addresses: connections may be dead.
 * Certificates and anchors count as soon as their files are whole: the folders
 * are watched (inotify), and what changed is read once they are quiet. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "bellbird/file.h"
#include "bellbird/link.h"
#include "internal.h"

enum {
	/* Copying a folder of certificates is one change. */
	QUIET_US = 300000,
	LONGEST_US = 5000000,
	FOLDERS_MAX = 4
};

struct watch {
	struct app *app;
	struct link_watch *link; /* owned; NULL: none */
	int fd;                  /* of inotify */
	struct io io;
	struct timer quiet;
	int64_t first_us; /* of the changes that wait; 0: none */
	/* A folder, and the one file in it that matters; "": every file. */
	struct {
		int wd;
		char file[NAME_MAX + 1];
	} dirs[FOLDERS_MAX];
	size_t num_dirs;
};

/* Watches one folder, and one name in it or all of them (""); one that is not
 * there: the folder above, where it may be made. */
static void
add(struct watch *w, const char *dir, const char *file)
{
	int wd = inotify_add_watch(w->fd, dir,
	    IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE |
		IN_CREATE | IN_ATTRIB | IN_ONLYDIR);
	const char *last = strrchr(dir, '/');
	char above[PATH_MAX];

	if (wd < 0 && errno == ENOENT && file[0] == '\0' && last != NULL &&
	    str_copy_slice(above, sizeof(above),
		(struct slice){ dir, (size_t)(last - dir) }) == 0 &&
	    above[0] != '\0') {
		add(w, above, last + 1);
		return;
	}
	if (wd < 0) {
		if (errno != ENOENT && errno != ENOTDIR)
			log_warn(LOGC_APP, 0,
			    "%s cannot be watched (%s): after a change, "
			    "bellbird reload",
			    esc(dir), err_str(errno));
		return;
	}
	w->dirs[w->num_dirs].wd = wd;
	ignore_err(str_copy(w->dirs[w->num_dirs].file,
		       sizeof(w->dirs[w->num_dirs].file), file),
	    "our own names are short");
	w->num_dirs++;
}

/* Does this event concern a certificate? */
static bool
matters(const struct watch *w, const struct inotify_event *e)
{
	bool any = false;

	if ((e->mask & IN_Q_OVERFLOW) != 0)
		return true; /* something was missed */
	/* Ours are written under a hidden name and renamed. */
	if (e->len == 0 || e->name[0] == '.')
		return false;
	for (size_t i = 0; i < w->num_dirs; i++)
		any |= w->dirs[i].wd == e->wd &&
		    (w->dirs[i].file[0] == '\0' ||
			strcmp(w->dirs[i].file, e->name) == 0);
	return any;
}

/* Watches all there is to watch, and nothing else. */
static void
add_all(struct watch *w)
{
	const struct paths *p = &w->app->paths;
	char dir[PATH_MAX];

	while (w->num_dirs > 0)
		ignore_err(inotify_rm_watch(w->fd, w->dirs[--w->num_dirs].wd),
		    "its folder is gone");
	if (path_join(dir, sizeof(dir), p->state, "certs/trusted") == 0)
		add(w, dir, "");
	if (path_join(dir, sizeof(dir), p->state, "certs") == 0)
		add(w, dir, "");
	add(w, p->identity, "");
	ignore_err(str_copy(dir, sizeof(dir), BELLBIRD_CA_FILE),
	    "a path of configure is short");
	if (strrchr(dir, '/') != NULL) {
		const char *file = strrchr(BELLBIRD_CA_FILE, '/') + 1;

		*strrchr(dir, '/') = '\0';
		add(w, dir, file);
	}
}

/* timer_cb: nothing has changed for a while. */
static void
on_quiet(void *arg)
{
	struct watch *w = arg;

	w->first_us = 0;
	add_all(w); /* folders may have come or gone; then, what is in them */
	trust_refresh(w->app);
}

/* io_cb. */
static void
on_events(int fd, int what, void *arg)
{
	struct watch *w = arg;
	/* inotify(7): aligned for the struct. */
	_Alignas(struct inotify_event) char room[4096];
	bool any = false;
	ssize_t n;

	(void)what;
	while ((n = read(fd, room, sizeof(room))) > 0) {
		for (char *p = room; p < room + n;) {
			const struct inotify_event *e = (void *)p;

			any |= matters(w, e);
			p += sizeof(*e) + e->len;
		}
	}
	if (any && w->first_us == 0)
		w->first_us = clock_mono_us();
	/* Somebody who never stops writing does not hold it up. */
	if (any &&
	    (!timer_is_armed(&w->quiet) ||
		clock_mono_us() - w->first_us < LONGEST_US))
		ignore_err(
		    timer_start(&w->quiet, w->app->loop, QUIET_US, on_quiet, w),
		    "HUP does the same");
}

/* link_cb: perhaps connections are dead, or what waits can go on. */
static void
on_link(void *arg)
{
	struct watch *w = arg;

	sip_stack_net_changed(w->app->sip);
}

void
watch_start(struct app *a)
{
	struct watch *w = calloc(1, sizeof(*w));
	int err;

	if (w == NULL)
		return;
	w->app = a;
	a->watch = w;
	err = link_watch_new(&w->link, a->loop, on_link, w);
	if (err != 0)
		log_info(LOGC_APP, 0,
		    "changes of the network are not watched (%s): a lost "
		    "connection is seen by its time-outs",
		    err_str(err));
	if ((w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) < 0 ||
	    io_start(&w->io, a->loop, w->fd, IO_READ, on_events, w) != 0) {
		log_warn(LOGC_APP, 0,
		    "certificates are not watched (%s): after a change, "
		    "bellbird reload",
		    err_str(errno));
		return;
	}
	add_all(w);
}

void
watch_free(struct watch *w)
{
	if (w == NULL)
		return;
	link_watch_free(w->link);
	timer_stop(&w->quiet);
	io_stop(&w->io);
	if (w->fd >= 0)
		close(w->fd);
	free(w);
}
