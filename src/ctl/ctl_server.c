/* SPDX-License-Identifier: ISC */
/* The control socket: one JSON object a line, one reply to every command,
 * events to whoever asked for them. */
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <assert.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bellbird/log.h"
#include "internal.h"

enum {
	/* A person, a few scripts, the demo; a leak in one of them ends here.
	 */
	CLIENTS_MAX = 32,
	/* Commands of one client without a reply yet. */
	PENDING_MAX = 32,
	/* Bytes taken from one client per wake-up: audio shares the loop. */
	READ_CHUNK = 16 * 1024,
	/* A client that does not read its replies is not read from either. */
	UNSENT_PAUSE = CTL_UNSENT_MAX / 4,
	/* New clients per wake-up. */
	ACCEPT_BATCH = 8
};

/* Out of descriptors: accept again after this long. */
#define ACCEPT_PAUSE_US INT64_C(1000000)

struct client;

struct ctl_req {
	struct client *c; /* borrowed; NULL: it went away */
	struct jv *id;    /* owned; the client's, NULL if it gave none */
	int fds[CTL_FDS_MAX];
	size_t num_fds;
	void (*on_gone)(struct ctl_req *r, void *arg);
	void *arg;
	LIST_ENTRY(ctl_req) link;
};

LIST_HEAD(req_list, ctl_req);

struct client {
	struct ctl_server *s; /* borrowed */
	int fd;
	struct io rd, wr;
	struct deferred flush; /* one write per round of the loop */
	struct deferred reap;
	struct buf in, out;
	int fds[CTL_FDS_MAX]; /* came with a line that is not whole yet */
	size_t num_fds;
	size_t fds_at; /* they belong to the line with this byte of `in` */
	struct req_list reqs;
	size_t num_reqs;
	bool subscribed;
	bool eof;        /* nothing more comes; replies still go */
	bool last;       /* closed as soon as what is queued went out */
	bool doomed;     /* freed by `reap` */
	const char *why; /* it is worth a line in the log */
	TAILQ_ENTRY(client) link;
};

TAILQ_HEAD(client_list, client);

struct ctl_server {
	struct loop *l; /* borrowed */
	int fd;
	char *path; /* owned */
	dev_t dev;  /* what was bound: another may have taken the path */
	ino_t ino;
	const struct ctl_cmd *cmds; /* borrowed */
	size_t num_cmds;
	void *arg;
	struct io accept;
	struct timer pause;
	struct client_list clients;
	size_t num_clients;
	struct req_list
	    orphans; /* their client went; the reply is still owed */
	struct ctl_ring ring;
};

static void client_free(struct client *c);
static void client_doom(struct client *c, const char *why);
static void client_queue(struct client *c, const void *p, size_t n);
static void client_lines(struct client *c);
static int client_send(struct client *c);
static void on_acceptable(int fd, int what, void *arg);
static void on_readable(int fd, int what, void *arg);
static void on_flush(void *arg);
static void req_free(struct ctl_req *r);

/* ---- life ---- */

int
ctl_server_open(struct ctl_server **out, struct loop *l, const char *path,
    const char *group, const struct ctl_cmd *cmds, size_t num_cmds, void *arg)
{
	struct ctl_server *s;
	struct stat st;
	int err;

	if ((s = calloc(1, sizeof(*s))) == NULL)
		return ENOMEM;
	s->l = l;
	s->fd = -1;
	s->cmds = cmds;
	s->num_cmds = num_cmds;
	s->arg = arg;
	TAILQ_INIT(&s->clients);
	LIST_INIT(&s->orphans);
	err = ENOMEM;
	if ((s->path = strdup(path)) == NULL)
		goto out;
	if ((err = ctl_sock_listen(path, group, &s->fd)) != 0)
		goto out;
	if (lstat(path, &st) == 0) {
		s->dev = st.st_dev;
		s->ino = st.st_ino;
	}
	err = io_start(&s->accept, l, s->fd, IO_READ, on_acceptable, s);
	if (err != 0)
		goto out;
	*out = s;
	s = NULL;
out:
	ctl_server_free(s);
	return err;
}

void
ctl_server_free(struct ctl_server *s)
{
	struct client *c;
	struct ctl_req *r;
	struct stat st;

	if (s == NULL)
		return;
	io_stop(&s->accept);
	timer_stop(&s->pause);
	while ((c = TAILQ_FIRST(&s->clients)) != NULL) {
		if (!c->doomed)
			ignore_err(client_send(c), "last words");
		client_free(c);
	}
	while ((r = LIST_FIRST(&s->orphans)) != NULL)
		req_free(r);
	if (s->fd >= 0) {
		close(s->fd);
		if (lstat(s->path, &st) == 0 && st.st_dev == s->dev &&
		    st.st_ino == s->ino)
			(void)unlink(s->path);
	}
	ctl_ring_clear(&s->ring);
	free(s->path);
	free(s);
}

/* ---- replies ---- */

/* Sends one object as a line; takes it. */
static void
send_obj(struct client *c, struct jv *o)
{
	struct buf b;

	buf_init(&b, CTL_UNSENT_MAX);
	if (o == NULL || jv_print(o, false, &b) != 0 ||
	    buf_add(&b, "\n", 1) != 0)
		client_doom(c, "no memory for a reply, or it is too long");
	else
		client_queue(c, b.p, b.n);
	buf_clear(&b);
	jv_free(o);
}

/* The frame of a reply. */
static struct jv *
reply_obj(struct jv *id, bool ok)
{
	struct jv *o = jv_obj();

	jv_set(o, "id", id != NULL ? jv_ref(id) : jv_null());
	jv_set_bool(o, "ok", ok);
	return o;
}

/* {"id","ok":false,"exit","error","detail"}; takes `detail`. */
static struct jv *
fail_obj(
    struct jv *id, enum ctl_exit code, const char *message, struct jv *detail)
{
	struct jv *o = reply_obj(id, false);

	jv_set_int(o, "exit", code);
	jv_set_str(o, "error", message);
	if (detail != NULL)
		jv_set(o, "detail", detail);
	return o;
}

/* Ends a request whose reply is `o` (taken). */
static void
req_finish(struct ctl_req *r, struct jv *o)
{
	struct client *c = r->c;

	if (c != NULL && !c->doomed)
		send_obj(c, o);
	else
		jv_free(o);
	req_free(r);
}

void
ctl_reply(struct ctl_req *r, struct jv *result)
{
	struct jv *o = reply_obj(r->id, true);

	jv_set(o, "result", result);
	req_finish(r, o);
}

void
ctl_fail(struct ctl_req *r, enum ctl_exit code, const char *message,
    struct jv *detail)
{
	assert(code != CTL_OK);
	req_finish(r, fail_obj(r->id, code, message, detail));
}

void
ctl_req_on_gone(
    struct ctl_req *r, void (*fn)(struct ctl_req *r, void *arg), void *arg)
{
	r->on_gone = fn;
	r->arg = arg;
}

int
ctl_req_take_fd(struct ctl_req *r, size_t i)
{
	int fd;

	if (i >= r->num_fds)
		return -1;
	fd = r->fds[i];
	r->fds[i] = -1;
	return fd;
}

/* Closes what was not taken. */
static void
fds_close(int *fds, size_t *n)
{
	for (size_t i = 0; i < *n; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	*n = 0;
}

/* Forgets a request. */
static void
req_free(struct ctl_req *r)
{
	struct client *c = r->c;

	LIST_REMOVE(r, link);
	if (c != NULL) {
		c->num_reqs--;
		if (c->eof && !c->doomed)
			loop_defer(c->s->l, &c->flush, on_flush, c);
	}
	fds_close(r->fds, &r->num_fds);
	jv_free(r->id);
	free(r);
}

/* ---- events ---- */

void
ctl_event(struct ctl_server *s, const char *event, struct jv *fields)
{
	const struct ctl_ring_line *l;
	struct client *c;

	/* No log line here: it would become an event itself. */
	if (ctl_ring_add(&s->ring, event, fields, &l) != 0)
		return;
	TAILQ_FOREACH (c, &s->clients, link)
		if (c->subscribed && !c->doomed)
			client_queue(c, l->text, l->n);
}

uint64_t
ctl_event_seq(const struct ctl_server *s)
{
	return s->ring.seq;
}

/* The one command that is ours. */
static void
cmd_events(struct ctl_req *r, const struct jv *args)
{
	struct client *c = r->c;
	struct ctl_ring *ring = &c->s->ring;
	const struct ctl_ring_line *l;
	uint64_t seq = ring->seq;
	int64_t since = jv_get_int(args, "since", -1);
	struct jv *o = jv_obj();

	jv_set_int(o, "seq", (int64_t)seq);
	c->subscribed = true;
	ctl_reply(r, o); /* ends r, not c */
	if (since < 0)
		return;
	seq = (uint64_t)since;
	while (!c->doomed && (l = ctl_ring_next(ring, seq)) != NULL) {
		client_queue(c, l->text, l->n);
		seq = l->seq;
	}
}

/* ---- commands ---- */

/* A line that cannot be answered by a command: says why. */
static void
line_refuse(struct client *c, struct jv *id, const char *why)
{
	send_obj(c, fail_obj(id, CTL_USAGE, why, NULL));
}

/* Hands one request to whoever serves it; `r` may be gone afterwards. */
static void
req_run(struct ctl_req *r, const char *name, const struct jv *args)
{
	struct ctl_server *s = r->c->s;
	char why[160];
	struct buf b;

	if (strcmp(name, "events") == 0) {
		cmd_events(r, args);
		return;
	}
	for (size_t i = 0; i < s->num_cmds; i++)
		if (strcmp(s->cmds[i].name, name) == 0) {
			s->cmds[i].fn(r, args, s->arg);
			return;
		}
	buf_init(&b, sizeof(why));
	buf_printf(&b, "unknown command \"%s\"", esc(name));
	ctl_fail(r, CTL_USAGE, buf_str(&b), NULL);
	buf_clear(&b);
}

/* Makes a request of a parsed line; moves the descriptors into it. */
static struct ctl_req *
req_new(struct client *c, struct jv *o, bool with_fds)
{
	struct ctl_req *r = calloc(1, sizeof(*r));
	struct jv *id = jv_get(o, "id");

	if (r == NULL)
		return NULL;
	r->c = c;
	r->id = id != NULL ? jv_ref(id) : NULL;
	if (with_fds) {
		memcpy(r->fds, c->fds, sizeof(r->fds));
		r->num_fds = c->num_fds;
		c->num_fds = 0;
	}
	LIST_INSERT_HEAD(&c->reqs, r, link);
	c->num_reqs++;
	return r;
}

/* One line, without its newline. */
static void
client_line(struct client *c, struct slice line, bool with_fds)
{
	char why[128] = "";
	const char *name;
	struct ctl_req *r;
	struct jv *o = NULL, *empty = NULL, *args;

	line = slice_trim(line);
	if (line.n == 0)
		return;
	if (jv_parse(&o, line.p, line.n, why, sizeof(why)) != 0) {
		line_refuse(c, NULL, why[0] != '\0' ? why : "not JSON");
		return;
	}
	name = jv_get_str(o, "cmd");
	args = jv_get(o, "args");
	if (!jv_is_obj(o) || name == NULL) {
		line_refuse(
		    c, jv_get(o, "id"), "a command is an object with \"cmd\"");
	} else if (args != NULL && !jv_is_obj(args)) {
		line_refuse(c, jv_get(o, "id"), "\"args\" is an object");
	} else if (c->num_reqs >= PENDING_MAX) {
		send_obj(c,
		    fail_obj(jv_get(o, "id"), CTL_FAIL,
			"too many commands without a reply", NULL));
	} else if ((args == NULL && (empty = jv_obj()) == NULL) ||
	    (r = req_new(c, o, with_fds)) == NULL) {
		client_doom(c, "no memory for a command");
	} else {
		req_run(r, name, args != NULL ? args : empty);
	}
	jv_free(empty);
	jv_free(o);
}

/* Works through the whole lines that are there. */
static void
client_lines(struct client *c)
{
	size_t at = 0;
	bool with_fds;

	while (!c->doomed && c->out.n < UNSENT_PAUSE && at < c->in.n) {
		const char *p = (const char *)c->in.p + at;
		const char *nl = memchr(p, '\n', c->in.n - at);
		size_t n;

		if (nl == NULL)
			break;
		n = (size_t)(nl - p);
		if (n > CTL_LINE_MAX)
			break;
		with_fds = c->num_fds > 0 && c->fds_at <= at + n;
		client_line(c, (struct slice){ p, n }, with_fds);
		if (with_fds)
			fds_close(
			    c->fds, &c->num_fds); /* no request took them */
		at += n + 1;
	}
	buf_drain(&c->in, at);
	c->fds_at -= c->num_fds > 0 ? at : 0;
	if (c->doomed)
		return;
	if (c->out.n >= UNSENT_PAUSE) {
		io_stop(&c->rd); /* on_flush goes on */
		return;
	}
	if (c->in.n <= CTL_LINE_MAX)
		return;
	line_refuse(c, NULL, "the line is longer than 64 KiB");
	c->last = true;
	c->why = "line too long";
	io_stop(&c->rd);
}

/* ---- one client: bytes ---- */

/* Descriptors belong to the line whose bytes they came with. */
static void
fds_keep(struct client *c, const int *fds, size_t n)
{
	if (n == 0)
		return;
	fds_close(c->fds, &c->num_fds);
	memcpy(c->fds, fds, n * sizeof(*fds));
	c->num_fds = n;
	/* The kernel ends a read behind such a message: its last byte. */
	c->fds_at = c->in.n - 1;
}

/* io_cb. */
static void
on_readable(int fd, int what, void *arg)
{
	struct client *c = arg;
	struct pollfd pfd = { .fd = fd };
	int fds[CTL_FDS_MAX], err;
	char chunk[READ_CHUNK];
	size_t n = 0, num_fds = 0;

	(void)what;
	err = ctl_sock_recv(fd, chunk, sizeof(chunk), &n, fds, &num_fds);
	if (err == EAGAIN || err == EINTR)
		return;
	if (err == 0)
		err = buf_add(&c->in, chunk, n);
	if (err == 0) {
		fds_keep(c, fds, num_fds);
		client_lines(c);
		return;
	}
	fds_close(fds, &num_fds);
	/* Half closed (a script that still reads), or gone for good? */
	if (err == E_CLOSED && poll(&pfd, 1, 0) >= 0 &&
	    (pfd.revents & (POLLHUP | POLLERR)) == 0) {
		c->eof = true;
		io_stop(&c->rd);
		loop_defer(c->s->l, &c->flush, on_flush, c);
		return;
	}
	client_doom(c, err == ENOMEM ? "no memory" : NULL);
}

/* Queues bytes; a client that does not read is closed. */
static void
client_queue(struct client *c, const void *p, size_t n)
{
	if (buf_add(&c->out, p, n) != 0)
		client_doom(c, "does not read what it is sent");
	else
		loop_defer(c->s->l, &c->flush, on_flush, c);
}

/* io_cb: there is room again. */
static void
on_writable(int fd, int what, void *arg)
{
	(void)fd;
	(void)what;
	on_flush(arg);
}

/* Sends as much as the kernel takes; EAGAIN if something is left. */
static int
client_send(struct client *c)
{
	size_t sent;
	int err = 0;

	while (c->out.n > 0 && err == 0) {
		err = ctl_sock_send(c->fd, c->out.p, c->out.n, &sent, NULL, 0);
		if (err == 0)
			buf_drain(&c->out, sent);
	}
	return err;
}

/* Sends what is queued, then goes on reading if that was paused. */
static void
on_flush(void *arg)
{
	struct client *c = arg;
	int err = client_send(c);

	if (err == EAGAIN || err == EINTR)
		err =
		    io_start(&c->wr, c->s->l, c->fd, IO_WRITE, on_writable, c);
	else if (err == 0)
		io_stop(&c->wr);
	if (err != 0) {
		client_doom(c, NULL);
		return;
	}
	if (c->out.n == 0 &&
	    (c->last || (c->eof && c->num_reqs == 0 && !c->subscribed))) {
		client_doom(c, c->why);
		return;
	}
	if (c->last || c->eof || c->rd.ev != NULL || c->out.n >= UNSENT_PAUSE)
		return;
	if (io_start(&c->rd, c->s->l, c->fd, IO_READ, on_readable, c) != 0)
		client_doom(c, "no memory");
	else
		client_lines(c); /* those left when it was paused */
}

/* ---- one client: life ---- */

/* The end of a client, from the loop: nobody is inside one of its functions. */
static void
on_reap(void *arg)
{
	struct client *c = arg;

	if (c->why != NULL)
		log_warn(LOGC_CTL, 0, "control client closed: %s", c->why);
	client_free(c);
}

/* Ends a client soon; `why` (literal) is for the log, or NULL. */
static void
client_doom(struct client *c, const char *why)
{
	if (c->doomed)
		return;
	c->doomed = true;
	c->why = why;
	io_stop(&c->rd);
	io_stop(&c->wr);
	loop_undefer(&c->flush);
	loop_defer(c->s->l, &c->reap, on_reap, c);
}

/* Tells those who owe it a reply. */
static void
reqs_gone(struct client *c)
{
	struct ctl_req *r;

	while ((r = LIST_FIRST(&c->reqs)) != NULL) {
		void (*fn)(struct ctl_req *, void *) = r->on_gone;

		r->c = NULL;
		LIST_REMOVE(r, link);
		LIST_INSERT_HEAD(&c->s->orphans, r, link);
		if (fn == NULL)
			continue; /* ctl_reply() will come: it frees */
		fn(r, r->arg);
		req_free(r);
	}
}

static void
client_free(struct client *c)
{
	struct ctl_server *s = c->s;

	io_stop(&c->rd);
	io_stop(&c->wr);
	loop_undefer(&c->flush);
	loop_undefer(&c->reap);
	TAILQ_REMOVE(&s->clients, c, link);
	s->num_clients--;
	reqs_gone(c);
	fds_close(c->fds, &c->num_fds);
	buf_clear(&c->in);
	buf_clear(&c->out);
	close(c->fd);
	free(c);
}

/* Takes the descriptor in any case. */
static void
client_new(struct ctl_server *s, int fd)
{
	struct client *c;

	if (s->num_clients >= CLIENTS_MAX) {
		log_warn(LOGC_CTL, 0, "control client refused: %d are there",
		    CLIENTS_MAX);
		close(fd);
		return;
	}
	if ((c = calloc(1, sizeof(*c))) == NULL) {
		close(fd);
		return;
	}
	c->s = s;
	c->fd = fd;
	/* `args` of config set may be a password. */
	buf_init_secret(&c->in, CTL_LINE_MAX + READ_CHUNK);
	buf_init(&c->out, CTL_UNSENT_MAX);
	LIST_INIT(&c->reqs);
	TAILQ_INSERT_TAIL(&s->clients, c, link);
	s->num_clients++;
	if (io_start(&c->rd, s->l, fd, IO_READ, on_readable, c) != 0)
		client_free(c);
}

/* timer_cb: there may be descriptors again. */
static void
on_pause_over(void *arg)
{
	struct ctl_server *s = arg;

	if (io_start(&s->accept, s->l, s->fd, IO_READ, on_acceptable, s) != 0)
		ignore_err(timer_start(&s->pause, s->l, ACCEPT_PAUSE_US,
			       on_pause_over, s),
		    "without memory for a timer nothing else works either");
}

/* io_cb. */
static void
on_acceptable(int fd, int what, void *arg)
{
	struct ctl_server *s = arg;
	int c;

	(void)what;
	for (int i = 0; i < ACCEPT_BATCH; i++) {
		c = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (c >= 0) {
			client_new(s, c);
			continue;
		}
		if (errno == EINTR || errno == ECONNABORTED)
			continue;
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
		    errno == ENOBUFS) {
			log_warn(
			    LOGC_CTL, 0, "control socket: %s", err_str(errno));
			io_stop(&s->accept);
			ignore_err(timer_start(&s->pause, s->l, ACCEPT_PAUSE_US,
				       on_pause_over, s),
			    "said above; the endpoint itself goes on");
		}
		return;
	}
}
