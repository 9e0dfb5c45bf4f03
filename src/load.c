/* SPDX-License-Identifier: ISC */
/* Many calls at once: the descriptors they need, and the memory that they leave
 * behind when they are over. */
#include <sys/resource.h>

#include "bellbird/mem.h"
#include "load.h"

enum {
	/* So many at once are a burst.  Fewer leave nothing worth the walk
	 * through the heap. */
	LOAD_BURST = 64,
	/* Transactions of the last call end 32 s after it (RFC 3261 17). */
	LOAD_REST_US = 40000000
};

void
load_files_raise(void)
{
	struct rlimit r;

	/* The soft limit is 1,024 for the sake of select(), which we do not
	 * use: it would be used up by 500 calls with two sockets each. */
	if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur == r.rlim_max)
		return;
	r.rlim_cur = r.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &r) != 0)
		log_warn(LOGC_APP, 0,
		    "the limit of open files stays as it is: %s",
		    err_str(errno));
}

/* All has been quiet for a while. */
static void
on_rest(void *arg)
{
	struct load *ld = arg;

	ld->peak = ld->num;
	mem_trim();
}

void
load_add(struct load *ld)
{
	if (++ld->num > ld->peak)
		ld->peak = ld->num;
}

void
load_drop(struct load *ld, struct loop *l)
{
	if (--ld->num > 0 || ld->peak < LOAD_BURST)
		return;
	ignore_err(timer_start(&ld->rest, l, LOAD_REST_US, on_rest, ld),
	    "the memory is used again by the next calls");
}

void
load_clear(struct load *ld)
{
	timer_stop(&ld->rest);
}
