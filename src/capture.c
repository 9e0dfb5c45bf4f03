/* SPDX-License-Identifier: ISC */
/* Captures of SIP: for a time, what is sent and received goes to a file that
 * the client opened, or to the event stream; secrets are masked before either
 * sees a byte.  Only the worker waits for the disk. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

enum {
	/* What the disk may be behind; beyond it messages are lost, and
	 * counted, rather than memory used up. */
	UNWRITTEN_MAX = 1024 * 1024,
	/* So much is written at once. */
	FLUSH_BYTES = 64 * 1024,
	/* Headers and options of a packet, and the segments of a long one. */
	PACKET_EXTRA = 512,
	FOR_DEFAULT_S = 15 * 60,
	FOR_MAX_S = 24 * 3600,
	SIZE_DEFAULT_MIB = 16,
	SIZE_MAX_MIB = 1024,
	/* A reply of the control socket holds 1 MiB. */
	SHOW_MAX = 768 * 1024,
	/* The fields of a message beside its text. */
	SHOW_EXTRA = 512
};

/* Packets of this much time are written together. */
#define FLUSH_US INT64_C(100000)

/* Which messages are meant; NULL: all. */
struct pick {
	const char *peer; /* address, or address:port */
	const char *call_id;
};

struct capture {
	struct app *a;
	bool on;      /* it listens */
	bool events;  /* it tells each message as an event */
	int fd;       /* owned; -1: no file, or all is written */
	bool writing; /* the worker has `busy` and `fd` */
	char *file;   /* owned, as the next two; what the client calls it */
	char *peer;
	char *call_id;
	const char *why; /* static: why it ended */
	struct buf fill; /* packets not handed over */
	struct buf busy; /* the worker's while `writing`, as the next two */
	size_t busy_at;  /* of it that is written */
	atomic_bool in_job;
	struct timer flush, end;
	int64_t until_s; /* wall clock */
	uint64_t messages, lost, bytes, max_bytes;
	struct ctl_req *stopper; /* waits for the last byte; or NULL */
};

static void flush_now(struct capture *c);

/* ---- messages ---- */

static bool
is_picked(const struct pick *p, const struct sip_trace_msg *m)
{
	struct sip_trace_brief b;
	char ip[ADDR_STR_MAX], at[ADDR_STR_MAX];

	if (p->peer != NULL) {
		addr_print_ip(&m->remote, ip);
		addr_print(&m->remote, at);
		if (strcmp(p->peer, ip) != 0 && strcmp(p->peer, at) != 0)
			return false;
	}
	if (p->call_id == NULL)
		return true;
	sip_trace_brief(&b, m->msg);
	return slice_is(b.call_id, p->call_id);
}

/* Sets a field from bytes of a peer. */
static void
set_slice(struct jv *o, const char *key, struct slice s)
{
	char *text = slice_dup(s);

	jv_set(o, key, text != NULL ? jv_str(text) : NULL);
	free(text);
}

/* A message as an object, without its text. */
static struct jv *
msg_json(const struct sip_trace_msg *m)
{
	struct jv *o = jv_obj();
	struct sip_trace_brief b;
	char s[ADDR_STR_MAX], when[32];

	sip_trace_brief(&b, m->msg);
	clock_iso(when, sizeof(when), m->at_us);
	jv_set_int(o, "number", (int64_t)m->seq);
	jv_set_str(o, "at", when);
	jv_set_bool(o, "sent", m->sent);
	jv_set_str(o, "transport", sip_transport_name(m->t));
	addr_print(&m->local, s);
	jv_set_str(o, "local", s);
	addr_print(&m->remote, s);
	jv_set_str(o, "remote", s);
	set_slice(o, "method", b.method);
	if (b.code != 0) {
		jv_set_int(o, "code", b.code);
		set_slice(o, "reason", b.reason);
	}
	set_slice(o, "cseq", b.cseq);
	set_slice(o, "call_id", b.call_id);
	jv_set_bool(o, "sdp", b.sdp);
	jv_set_int(o, "bytes", (int64_t)m->full_n);
	return o;
}

/* ---- writing ---- */

/* worker_job: all that was handed over. */
static int
write_job(void *arg)
{
	struct capture *c = arg;
	int err = 0;
	ssize_t n;

	c->in_job = true;
	while (err == 0 && c->busy_at < c->busy.n) {
		n = write(
		    c->fd, c->busy.p + c->busy_at, c->busy.n - c->busy_at);
		if (n >= 0)
			c->busy_at += (size_t)n;
		else if (errno != EINTR)
			err = errno;
	}
	c->in_job = false;
	return err;
}

/* What became of it. */
static struct jv *
end_json(const struct capture *c)
{
	struct jv *o = jv_obj();

	jv_set_str(o, "file", c->file != NULL ? c->file : "");
	jv_set_int(o, "messages", (int64_t)c->messages);
	jv_set_int(o, "lost", (int64_t)c->lost);
	jv_set_int(o, "bytes", (int64_t)c->bytes);
	jv_set_str(o, "reason", c->why);
	return o;
}

/* The last byte is written, or never will be. */
static void
ended(struct capture *c)
{
	struct ctl_req *r = c->stopper;

	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	buf_clear(&c->fill);
	buf_clear(&c->busy);
	log_warn(LOGC_SIP, 0,
	    "capture ended: %s; messages=%llu lost=%llu bytes=%llu file=%s",
	    c->why, (unsigned long long)c->messages,
	    (unsigned long long)c->lost, (unsigned long long)c->bytes,
	    esc(c->file != NULL ? c->file : "none"));
	app_event(c->a, "capture.ended", end_json(c));
	c->stopper = NULL;
	if (r != NULL)
		ctl_reply(r, end_json(c));
}

/* Listens no more; what is not written yet still will be. */
static void
finish(struct capture *c, const char *why)
{
	if (!c->on)
		return;
	c->on = false;
	c->why = why;
	timer_stop(&c->end);
	sip_stack_trace(c->a->sip, NULL, NULL);
	if (c->fd >= 0 && c->fill.n > 0)
		flush_now(c);
	else if (!c->writing)
		ended(c);
}

/* worker_done. */
static void
on_written(int err, void *arg)
{
	struct capture *c = arg;

	c->writing = false;
	buf_reset(&c->busy);
	if (err != 0) {
		log_err(LOGC_SIP, 0, "capture %s: %s",
		    esc(c->file != NULL ? c->file : ""), err_str(err));
		buf_reset(&c->fill);
		c->why = err_str(err);
		if (c->on)
			finish(c, c->why);
		else
			ended(c);
	} else if (c->fill.n > 0 && !c->on) {
		flush_now(c);
	} else if (!c->on) {
		ended(c);
	}
}

/* Hands over what is there. */
static void
flush_now(struct capture *c)
{
	struct buf b = c->busy;

	timer_stop(&c->flush);
	if (c->writing)
		return; /* on_written goes on */
	c->busy = c->fill;
	c->fill = b;
	c->busy_at = 0;
	c->writing = true;
	if (worker_run(c->a->worker, write_job, on_written, c) != 0)
		on_written(ENOMEM, c);
}

/* timer_cb. */
static void
on_flush(void *arg)
{
	struct capture *c = arg;

	if (c->fill.n > 0)
		flush_now(c);
}

/* A packet for the file. */
static void
write_msg(struct capture *c, const struct sip_trace_msg *m)
{
	size_t before = c->fill.n;

	if (before + m->msg.n + PACKET_EXTRA > UNWRITTEN_MAX) {
		c->lost++;
		return;
	}
	sip_pcap_add(&c->fill, m);
	if (c->fill.err != 0) {
		buf_cut(&c->fill, before);
		c->fill.err = 0;
		c->lost++;
		return;
	}
	c->bytes += c->fill.n - before;
	if (c->fill.n >= FLUSH_BYTES)
		flush_now(c);
	else if (!timer_is_armed(&c->flush) &&
	    timer_start(&c->flush, c->a->loop, FLUSH_US, on_flush, c) != 0)
		flush_now(c);
}

/* sip_trace_cb. */
static void
on_message(const struct sip_trace_msg *m, void *arg)
{
	struct capture *c = arg;
	struct pick p = { c->peer, c->call_id };

	if (!is_picked(&p, m))
		return;
	c->messages++;
	if (c->events)
		app_event(c->a, "sip.message", msg_json(m));
	if (c->fd >= 0)
		write_msg(c, m);
	if (c->bytes >= c->max_bytes)
		finish(c, "size");
}

/* ---- starting and stopping ---- */

/* timer_cb. */
static void
on_end(void *arg)
{
	finish(arg, "time");
}

/* Copies an argument that may be absent. */
static int
take_str(char **out, const struct jv *args, const char *key)
{
	const char *s = jv_get_str(args, key);

	free(*out);
	*out = s != NULL ? strdup(s) : NULL;
	return s != NULL && *out == NULL ? ENOMEM : 0;
}

/* Reads --for and --size; false if they are out of range. */
static bool
limits_read(const struct jv *args, int64_t *seconds, int64_t *mib)
{
	const char *time = jv_get_str(args, "for");
	const char *size = jv_get_str(args, "size");
	int64_t ms = (int64_t)FOR_DEFAULT_S * 1000;

	*mib = SIZE_DEFAULT_MIB;
	if (time != NULL && str_duration_ms(slice_of(time), &ms) != 0)
		return false;
	*seconds = ms / 1000;
	if (size != NULL && str_int(slice_of(size), 1, SIZE_MAX_MIB, mib) != 0)
		return false;
	return *seconds >= 1 && *seconds <= FOR_MAX_S;
}

/* Everything has been checked. */
static int
begin(struct capture *c, const struct jv *args, int fd, int64_t seconds,
    int64_t mib)
{
	int err;

	if ((err = take_str(&c->file, args, "out")) != 0 ||
	    (err = take_str(&c->peer, args, "peer")) != 0 ||
	    (err = take_str(&c->call_id, args, "call-id")) != 0 ||
	    (err = timer_start(
		 &c->end, c->a->loop, seconds * 1000000, on_end, c)) != 0)
		return err;
	c->fd = fd;
	c->on = true;
	c->why = "";
	c->events = jv_get_bool(args, "events", false);
	c->until_s = clock_wall_s() + seconds;
	c->messages = c->lost = 0;
	c->max_bytes = (uint64_t)mib << 20;
	if (fd >= 0)
		sip_pcap_begin(&c->fill);
	c->bytes = c->fill.n;
	if (jv_get_bool(args, "past", false))
		sip_stack_kept(c->a->sip, on_message, c);
	if (c->on) /* else the past filled it */
		sip_stack_trace(c->a->sip, on_message, c);
	if (c->on && c->fill.n > 0 && !timer_is_armed(&c->flush))
		flush_now(c); /* a file with a head is better than none */
	return 0;
}

void
capture_on_start(struct ctl_req *r, const struct jv *args, void *arg)
{
	struct app *a = arg;
	struct capture *c = a->capture;
	int fd = ctl_req_take_fd(r, 0), err = 0;
	enum ctl_exit code = CTL_USAGE;
	const char *why = NULL;
	int64_t seconds, mib;
	struct stat st;

	if (c->on || c->fd >= 0 || c->writing) {
		why = "a capture runs already: bellbird capture stop";
		code = CTL_FAIL;
	} else if (fd < 0 && !jv_get_bool(args, "events", false))
		why = "capture start wants --out FILE, or --events";
	else if (!limits_read(args, &seconds, &mib))
		why = "--for wants 1s to 24h, --size 1 to 1024 (MiB)";
	else if (fd >= 0 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)))
		why = "--out: only a regular file will do";
	else if ((err = begin(c, args, fd, seconds, mib)) != 0) {
		why = err_str(err);
		code = CTL_FAIL;
	}
	if (why != NULL) {
		if (fd >= 0)
			close(fd);
		ctl_fail(r, code, why, NULL);
		return;
	}
	log_warn(LOGC_SIP, 0,
	    "capture: SIP messages, secrets masked, are recorded for %lld s; "
	    "file=%s",
	    (long long)seconds, esc(c->file != NULL ? c->file : "none"));
	app_event(a, "capture.started", capture_json(c));
	ctl_reply(r, capture_json(c));
}

/* The client of `capture stop` went away. */
static void
on_gone(struct ctl_req *r, void *arg)
{
	struct capture *c = arg;

	(void)r;
	c->stopper = NULL;
}

void
capture_on_stop(struct ctl_req *r, const struct jv *args, void *arg)
{
	struct app *a = arg;
	struct capture *c = a->capture;

	(void)args;
	if (!c->on) {
		ctl_fail(r, CTL_FAIL, "no capture runs", NULL);
		return;
	}
	c->stopper = r;
	ctl_req_on_gone(r, on_gone, c);
	finish(c, "stopped");
}

struct jv *
capture_json(const struct capture *c)
{
	struct jv *o = jv_obj();
	char when[32] = "";

	jv_set_bool(o, "running", c->on);
	if (!c->on)
		return o;
	clock_iso(when, sizeof(when), c->until_s * 1000000);
	jv_set_str(o, "file", c->file != NULL ? c->file : "");
	jv_set_bool(o, "events", c->events);
	jv_set_str(o, "until", when);
	jv_set_int(o, "messages", (int64_t)c->messages);
	jv_set_int(o, "lost", (int64_t)c->lost);
	jv_set_int(o, "bytes", (int64_t)c->bytes);
	jv_set_int(o, "max_bytes", (int64_t)c->max_bytes);
	return o;
}

void
capture_warnings(const struct capture *c, struct jv *out)
{
	char line[320], when[32];

	if (!c->on)
		return;
	clock_iso(when, sizeof(when), c->until_s * 1000000);
	(void)snprintf(line, sizeof(line),
	    "capture: SIP messages are being recorded until %s (%.200s)", when,
	    c->file != NULL ? esc(c->file) : "events");
	jv_add(out, jv_str(line));
}

int
capture_new(struct app *a)
{
	struct capture *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return ENOMEM;
	c->a = a;
	c->fd = -1;
	c->why = "";
	buf_init(&c->fill, UNWRITTEN_MAX + PACKET_EXTRA);
	buf_init(&c->busy, UNWRITTEN_MAX + PACKET_EXTRA);
	a->capture = c;
	return 0;
}

void
capture_stop(struct capture *c)
{
	if (c == NULL)
		return;
	timer_stop(&c->flush);
	timer_stop(&c->end);
	if (c->on)
		sip_stack_trace(c->a->sip, NULL, NULL);
	c->on = false;
}

void
capture_free(struct capture *c)
{
	int err = 0;

	if (c == NULL)
		return;
	/* A job that does not end is left behind, with all that it has. */
	if (c->in_job)
		return;
	/* The worker is gone: the rest is written here. */
	if (c->fd >= 0 && (err = write_job(c)) == 0) {
		buf_clear(&c->busy);
		c->busy = c->fill;
		c->busy_at = 0;
		buf_init(&c->fill, 1);
		err = write_job(c);
	}
	if (err != 0)
		log_err(LOGC_SIP, 0, "capture: %s", err_str(err));
	if (c->fd >= 0)
		close(c->fd);
	buf_clear(&c->fill);
	buf_clear(&c->busy);
	free(c->file);
	free(c->peer);
	free(c->call_id);
	free(c);
}

/* ---- what is kept ---- */

struct show {
	struct pick pick;
	size_t bytes, n; /* of all that are picked; then of those to come */
	size_t last;
	struct jv *out;
};

/* Bytes of a text as JSON, at most: what is no plain ASCII is escaped. */
static size_t
json_bytes(struct slice s)
{
	size_t n = SHOW_EXTRA;

	for (size_t i = 0; i < s.n; i++)
		n += s.p[i] >= ' ' && s.p[i] < 0x7f && s.p[i] != '"' &&
			s.p[i] != '\\'
		    ? 1
		    : 6;
	return n;
}

/* sip_trace_cb: first how much it is, then the newest of it that fit. */
static void
show_count(const struct sip_trace_msg *m, void *arg)
{
	struct show *s = arg;

	if (!is_picked(&s->pick, m))
		return;
	s->n++;
	s->bytes += json_bytes(m->msg);
}

static void
show_add(const struct sip_trace_msg *m, void *arg)
{
	struct show *s = arg;
	struct jv *o;

	if (!is_picked(&s->pick, m))
		return;
	if (s->n <= s->last && s->bytes <= SHOW_MAX) {
		o = msg_json(m);
		set_slice(o, "text", m->msg);
		jv_add(s->out, o);
	}
	s->n--;
	s->bytes -= json_bytes(m->msg);
}

void
capture_on_show(struct ctl_req *r, const struct jv *args, void *arg)
{
	struct app *a = arg;
	const char *last = jv_get_str(args, "last");
	struct show s = { .pick = { jv_get_str(args, "peer"),
			      jv_get_str(args, "call-id") },
		.last = SIZE_MAX };
	int64_t n;
	struct jv *o;

	if (last != NULL) {
		if (str_int(slice_of(last), 1, 1000000, &n) != 0) {
			ctl_fail(r, CTL_USAGE, "--last wants a number", NULL);
			return;
		}
		s.last = (size_t)n;
	}
	s.out = jv_arr();
	sip_stack_kept(a->sip, show_count, &s);
	sip_stack_kept(a->sip, show_add, &s);
	o = jv_obj();
	jv_set(o, "messages", s.out);
	jv_set_int(o, "keep_kib", a->trace_kib);
	jv_set_bool(o, "full", jv_get_bool(args, "full", false));
	ctl_reply(r, o);
}
