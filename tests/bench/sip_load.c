/* SPDX-License-Identifier: ISC */
/*
 * A caller that is faster than whoever answers: one process, one socket or
 * connection, no SIP library.  It holds its own state of each call in an array
 * and finds it by a number in the Call-ID.
 *
 *   sip_load [-t udp|tcp|tls] [-m call|hold|options] [-n COUNT] [-w WINDOW]
 *	      [-r RATE] [-a ATTRIBUTE] HOST PORT
 *
 * call: COUNT times INVITE, 200, ACK, BYE, 200, with WINDOW at once, or RATE
 * begun a second whatever becomes of the others.  hold: COUNT calls stand, a
 * line is printed, and they end when standard input does.  options: COUNT times
 * OPTIONS, each in a transaction of its own.  ATTRIBUTE is a line of the SDP,
 * as "inactive"; without it audio comes and is left to the kernel.
 *
 * The last line is JSON: how many succeeded and failed, seconds, and how long
 * the first final answer of each took.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/ssl.h>

enum transport { UDP, TCP, TLS };
enum mode { CALL, HOLD, OPTIONS };
enum state { IDLE, ASKED, UP, LEFT, OVER };

enum {
	T1_US = 500000, /* RFC 3261 17.1.1.1; UDP only */
	TRIES_MAX = 7,
	GIVE_UP_US = 32000000,
	ROOM = 1 << 20,
	TAG_MAX = 64
};

struct call {
	enum state state;
	unsigned int tries;
	int64_t begun_us, sent_us;
	int32_t took_us; /* -1: no answer yet */
	char tag[TAG_MAX];
};

static struct {
	enum transport t;
	enum mode mode;
	size_t count, window, rate;
	const char *attribute, *host;
	int port, fd, media_port;
	char local[64]; /* address:port */
	unsigned int run;
	SSL *ssl;
	struct call *calls; /* `count` of them */
	size_t begun, answered, over, failed, repeats;
	char *in, *out; /* ROOM each */
	size_t in_n, out_n, out_at;
} g;

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

static int64_t
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---- the wire ---- */

/* Writes what waits as far as the peer takes it. */
static void
flush(void)
{
	ssize_t n;

	while (g.out_at < g.out_n) {
		if (g.t == TLS)
			n = SSL_write(
			    g.ssl, g.out + g.out_at, (int)(g.out_n - g.out_at));
		else
			n = send(g.fd, g.out + g.out_at, g.out_n - g.out_at,
			    MSG_NOSIGNAL);
		if (n <= 0)
			return;
		g.out_at += (size_t)n;
	}
	g.out_at = g.out_n = 0;
}

/* One message: a datagram, or more bytes of the stream. */
static void
put(const char *p, size_t n)
{
	if (g.t == UDP) {
		/* A full buffer is a lost datagram. */
		if (send(g.fd, p, n, MSG_NOSIGNAL) < 0 && errno != EAGAIN &&
		    errno != ENOBUFS && errno != ECONNREFUSED)
			die("send");
		return;
	}
	if (g.out_n + n > ROOM) {
		memmove(g.out, g.out + g.out_at, g.out_n - g.out_at);
		g.out_n -= g.out_at;
		g.out_at = 0;
	}
	if (g.out_n + n > ROOM)
		die("the peer does not read");
	memcpy(g.out + g.out_n, p, n);
	g.out_n += n;
}

/* A request of call `i` with this method. */
static void
ask(size_t i, const char *method, unsigned int cseq, char kind)
{
	static const char *const names[] = { "UDP", "TCP", "TLS" };
	struct call *c = &g.calls[i];
	bool invite = strcmp(method, "INVITE") == 0;
	char m[2048], sdp[512] = "";
	int n, k = 0;

	if (invite)
		k = snprintf(sdp, sizeof(sdp),
		    "v=0\r\no=load 1 1 IN IP4 127.0.0.1\r\ns=-\r\n"
		    "c=IN IP4 127.0.0.1\r\nt=0 0\r\n"
		    "m=audio %d RTP/AVP 0\r\n%s%s%s",
		    g.media_port, g.attribute != NULL ? "a=" : "",
		    g.attribute != NULL ? g.attribute : "",
		    g.attribute != NULL ? "\r\n" : "");
	n = snprintf(m, sizeof(m),
	    "%s sip:load@%s:%d SIP/2.0\r\n"
	    "Via: SIP/2.0/%s %s;branch=z9hG4bK%x.%zx.%c;rport\r\n"
	    "Max-Forwards: 70\r\n"
	    "From: <sip:load@%s>;tag=%zx\r\n"
	    "To: <sip:load@%s:%d>%s%s\r\n"
	    "Call-ID: %zx.%x@load\r\n"
	    "CSeq: %u %s\r\n"
	    "Contact: <sip:load@%s%s>\r\n%s"
	    "Content-Length: %d\r\n\r\n%s",
	    method, g.host, g.port, names[g.t], g.local, g.run, i, kind,
	    g.local, i, g.host, g.port, c->tag[0] != '\0' ? ";tag=" : "",
	    c->tag, i, g.run, cseq, method, g.local,
	    g.t == UDP       ? ""
		: g.t == TCP ? ";transport=tcp"
			     : ";transport=tls",
	    invite ? "Content-Type: application/sdp\r\n" : "", k, sdp);
	put(m, (size_t)n);
	c->sent_us = now_us();
}

/* ---- calls ---- */

/* Says what is to be said in this state. */
static void
say(size_t i)
{
	struct call *c = &g.calls[i];

	if (c->state == ASKED && g.mode == OPTIONS)
		ask(i, "OPTIONS", 1, 'o');
	else if (c->state == ASKED)
		ask(i, "INVITE", 1, 'i');
	else if (c->state == LEFT)
		ask(i, "BYE", 2, 'b');
}

static void
call_begin(size_t i)
{
	struct call *c = &g.calls[i];

	c->state = ASKED;
	c->took_us = -1;
	c->begun_us = now_us();
	g.begun++;
	say(i);
}

static void
call_over(struct call *c, bool good)
{
	if (c->state == OVER)
		return;
	c->state = OVER;
	g.over++;
	if (!good)
		g.failed++;
}

static void
call_leave(size_t i)
{
	if (g.calls[i].state != UP)
		return;
	g.calls[i].state = LEFT;
	g.calls[i].tries = 0;
	say(i);
}

/* The value of the field that begins with `name`, within the headers. */
static const char *
field(const char *head, const char *name)
{
	const char *p = strstr(head, name);

	return p != NULL ? p + strlen(name) : NULL;
}

/* One response, ended with a NUL. */
static void
answer(char *m)
{
	const char *id = field(m, "\r\nCall-ID: "), *to, *tag, *end;
	const char *cseq = field(m, "\r\nCSeq: ");
	struct call *c;
	size_t i, n;
	char *rest;
	int code;

	if (id == NULL || cseq == NULL || strncmp(m, "SIP/2.0 ", 8) != 0)
		return;
	i = strtoul(id, &rest, 16);
	if (*rest != '.' || strtoul(rest + 1, NULL, 16) != g.run ||
	    i >= g.begun)
		return;
	c = &g.calls[i];
	code = (int)strtol(m + 8, NULL, 10);
	if (code < 200)
		return;
	if (c->took_us < 0) {
		c->took_us = (int32_t)(now_us() - c->begun_us);
		g.answered++;
	}
	if (strstr(cseq, "INVITE") == cseq + 2 && code < 300) {
		if ((to = field(m, "\r\nTo: ")) != NULL &&
		    (tag = strstr(to, ";tag=")) != NULL &&
		    (end = strstr(tag, "\r\n")) != NULL &&
		    (n = (size_t)(end - tag) - 5) < TAG_MAX) {
			memcpy(c->tag, tag + 5, n);
			c->tag[n] = '\0';
		}
		ask(i, "ACK", 1, 'a');
		if (c->state == ASKED) {
			c->state = UP;
			if (g.mode == CALL)
				call_leave(i);
		}
		return;
	}
	if (code >= 300 && c->state == ASKED && g.mode != OPTIONS)
		ask(i, "ACK", 1, 'i');
	call_over(c, code < 300);
}

/* ---- the loop ---- */

/* Takes whole messages off the stream. */
static void
frames(void)
{
	char *p = g.in, *end = g.in + g.in_n, *body, save;
	const char *len;
	size_t n;

	for (;;) {
		*end = '\0';
		while (p < end && (*p == '\r' || *p == '\n'))
			p++;
		if ((body = strstr(p, "\r\n\r\n")) == NULL)
			break;
		body += 4;
		save = *body;
		*body = '\0';
		len = field(p, "\r\nContent-Length: ");
		n = len != NULL ? strtoul(len, NULL, 10) : 0;
		if (body + n <= end)
			answer(p);
		*body = save;
		if (body + n > end)
			break;
		p = body + n;
	}
	g.in_n = (size_t)(end - p);
	memmove(g.in, p, g.in_n);
}

/* Reads all there is. */
static void
input(void)
{
	ssize_t n;

	for (;;) {
		if (g.t == TLS)
			n = SSL_read(
			    g.ssl, g.in + g.in_n, (int)(ROOM - 1 - g.in_n));
		else
			n = recv(g.fd, g.in + g.in_n, ROOM - 1 - g.in_n,
			    MSG_DONTWAIT);
		if (n == 0 && g.t != UDP)
			die("the peer closed");
		if (n <= 0)
			return;
		if (g.t == UDP) {
			g.in[n] = '\0';
			answer(g.in);
			continue;
		}
		g.in_n += (size_t)n;
		frames();
		flush();
	}
}

/* UDP loses; all give up some time. */
static void
retries(int64_t now)
{
	struct call *c;

	for (size_t i = 0; i < g.begun; i++) {
		c = &g.calls[i];
		if (c->state != ASKED && c->state != LEFT)
			continue;
		if (now - c->begun_us > GIVE_UP_US && g.mode != HOLD) {
			call_over(c, false);
			continue;
		}
		if (g.t != UDP || now - c->sent_us < T1_US << c->tries)
			continue;
		if (++c->tries > TRIES_MAX) {
			call_over(c, false);
			continue;
		}
		g.repeats++;
		say(i);
	}
}

/* Begins as many as may be under way. */
static void
begin(int64_t begun_us)
{
	size_t most = g.count;

	if (g.rate > 0)
		most =
		    (size_t)((now_us() - begun_us) * (int64_t)g.rate / 1000000);
	for (int burst = 0; burst < 64 && g.begun < g.count && g.begun < most;
	     burst++) {
		if (g.rate == 0 &&
		    g.begun - (g.mode == HOLD ? g.answered : g.over) >=
			g.window)
			break;
		call_begin(g.begun);
	}
	flush();
}

/* Runs until `*counter` has reached `count`. */
static void
run(const size_t *counter, size_t count)
{
	struct pollfd p = { .fd = g.fd };
	int64_t from = now_us(), looked = from, now;

	while (*counter < count) {
		begin(from);
		p.events = POLLIN;
		if (g.out_at < g.out_n)
			p.events |= POLLOUT;
		if (poll(&p, 1, g.rate > 0 ? 1 : 50) < 0 && errno != EINTR)
			die("poll");
		input();
		flush();
		now = now_us();
		if (now - looked > 100000) {
			retries(now);
			looked = now;
		}
	}
}

static int
by_size(const void *a, const void *b)
{
	int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;

	return (x > y) - (x < y);
}

/* The last line. */
static void
report(double seconds)
{
	int32_t *v = malloc(g.count * sizeof(*v));
	size_t n = 0;

	if (v == NULL)
		die("malloc");
	for (size_t i = 0; i < g.begun; i++) {
		if (g.calls[i].took_us >= 0)
			v[n++] = g.calls[i].took_us;
	}
	qsort(v, n, sizeof(*v), by_size);
	printf("{\"good\":%zu,\"failed\":%zu,\"repeats\":%zu,\"seconds\":%.6f,"
	       "\"p50_us\":%d,\"p99_us\":%d,\"max_us\":%d}\n",
	    g.over - g.failed, g.failed, g.repeats, seconds,
	    n > 0 ? v[n / 2] : -1, n > 0 ? v[n * 99 / 100] : -1,
	    n > 0 ? v[n - 1] : -1);
	free(v);
}

/* ---- the way there ---- */

/* A port for audio that nobody reads. */
static void
media_open(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_DGRAM, 0), small = 1;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &len) != 0)
		die("media socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	g.media_port = ntohs(a.sin_port);
}

static void
way_open(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	int one = 1, room = 4 << 20;
	char ip[INET_ADDRSTRLEN];
	SSL_CTX *ctx;

	a.sin_port = htons((uint16_t)g.port);
	g.fd = socket(AF_INET, g.t == UDP ? SOCK_DGRAM : SOCK_STREAM, 0);
	if (g.fd < 0 || inet_pton(AF_INET, g.host, &a.sin_addr) != 1 ||
	    connect(g.fd, (struct sockaddr *)&a, sizeof(a)) != 0 ||
	    getsockname(g.fd, (struct sockaddr *)&a, &len) != 0)
		die("connect");
	setsockopt(g.fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	if (g.t != UDP)
		setsockopt(g.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (g.t == TLS) {
		if ((ctx = SSL_CTX_new(TLS_method())) == NULL ||
		    (g.ssl = SSL_new(ctx)) == NULL ||
		    !SSL_set_fd(g.ssl, g.fd) || SSL_connect(g.ssl) != 1)
			die("TLS handshake");
		SSL_set_mode(g.ssl,
		    SSL_MODE_ENABLE_PARTIAL_WRITE |
			SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	}
	fcntl(g.fd, F_SETFL, fcntl(g.fd, F_GETFL) | O_NONBLOCK);
	snprintf(g.local, sizeof(g.local), "%s:%d",
	    inet_ntop(AF_INET, &a.sin_addr, ip, sizeof(ip)), ntohs(a.sin_port));
}

/* The place of `word` in a list of names. */
static int
word_of(const char *word, const char *const *names, int n)
{
	for (int i = 0; i < n; i++) {
		if (strcmp(word, names[i]) == 0)
			return i;
	}
	fprintf(stderr, "sip_load: %s?\n", word);
	exit(2);
}

static void
options(int argc, char **argv)
{
	static const char *const ts[] = { "udp", "tcp", "tls" };
	static const char *const modes[] = { "call", "hold", "options" };
	int c;

	g.count = 1000;
	g.window = 16;
	while ((c = getopt(argc, argv, "t:m:n:w:r:a:")) != -1) {
		if (c == 't')
			g.t = (enum transport)word_of(optarg, ts, 3);
		else if (c == 'm')
			g.mode = (enum mode)word_of(optarg, modes, 3);
		else if (c == 'n')
			g.count = strtoul(optarg, NULL, 10);
		else if (c == 'w')
			g.window = strtoul(optarg, NULL, 10);
		else if (c == 'r')
			g.rate = strtoul(optarg, NULL, 10);
		else if (c == 'a')
			g.attribute = optarg;
		else
			exit(2);
	}
	if (argc - optind != 2 || g.count == 0 || g.window == 0) {
		fprintf(stderr, "sip_load: see the head of its source\n");
		exit(2);
	}
	g.host = argv[optind];
	g.port = (int)strtol(argv[optind + 1], NULL, 10);
}

int
main(int argc, char **argv)
{
	int64_t from;
	char c;

	options(argc, argv);
	g.run = (unsigned int)getpid();
	g.calls = calloc(g.count, sizeof(*g.calls));
	g.in = malloc(ROOM);
	g.out = malloc(ROOM);
	if (g.calls == NULL || g.in == NULL || g.out == NULL)
		die("malloc");
	media_open();
	way_open();
	from = now_us();
	if (g.mode == HOLD) {
		run(&g.answered, g.count);
		printf(
		    "held %zu failed %zu\n", g.answered - g.failed, g.failed);
		fflush(stdout);
		while (read(0, &c, 1) > 0)
			;
		for (size_t i = 0; i < g.begun; i++) {
			call_leave(i);
			g.calls[i].begun_us = now_us();
			flush();
			input();
		}
	}
	run(&g.over, g.count);
	report((double)(now_us() - from) / 1e6);
	return g.failed > 0;
}
