/* SPDX-License-Identifier: ISC */
/* SIP messages as a ladder: a column for each peer, a line for each message. */
#include <stdio.h>
#include <string.h>

#include "internal.h"

enum {
	/* Three peers fit in 96 characters; one column more is for the rest. */
	PEERS_MAX = 4,
	WIDTH = 26,
	TIME_LEN = 12, /* 13:37:54.123 */
	FIRST = TIME_LEN + 2,
	LINE_SIZE = FIRST + WIDTH * PEERS_MAX + 2,
	KEY_SIZE = 80
};

struct ladder {
	struct buf *b;
	size_t num;  /* columns */
	bool others; /* the last column is shared by several */
	char peer[PEERS_MAX][KEY_SIZE];
};

/* "tls 192.0.2.1:5061". */
static void
key_of(const struct jv *m, char out[static KEY_SIZE])
{
	const char *t = jv_get_str(m, "transport");
	const char *r = jv_get_str(m, "remote");

	(void)snprintf(out, KEY_SIZE, "%.8s %.64s", t != NULL ? t : "",
	    r != NULL ? r : "");
}

/* The column of a message. */
static size_t
column(const struct ladder *l, const struct jv *m)
{
	char key[KEY_SIZE];

	key_of(m, key);
	for (size_t i = 0; i < l->num; i++)
		if (strcmp(l->peer[i], key) == 0)
			return i;
	return PEERS_MAX - 1;
}

/* Finds the peers, in the order in which they appear. */
static void
columns_find(struct ladder *l, const struct jv *ms)
{
	char key[KEY_SIZE];

	for (size_t i = 0; i < jv_len(ms) && !l->others; i++) {
		size_t k = 0;

		key_of(jv_at(ms, i), key);
		while (k < l->num && strcmp(l->peer[k], key) != 0)
			k++;
		if (k < l->num)
			continue;
		if (l->num < PEERS_MAX)
			memcpy(l->peer[l->num++], key, KEY_SIZE);
		else
			l->others = true;
	}
	if (l->others)
		(void)snprintf(l->peer[PEERS_MAX - 1], KEY_SIZE, "others");
}

static size_t
bar(size_t col)
{
	return FIRST + WIDTH * col;
}

/* What stands on the arrow: only plain characters, each one wide. */
static void
label_of(const struct jv *m, char *out, size_t size)
{
	const char *method = jv_get_str(m, "method");
	const char *cseq = jv_get_str(m, "cseq");
	char code[8] = "";

	if (jv_get(m, "code") != NULL)
		(void)snprintf(
		    code, sizeof(code), "%d ", (int)jv_get_int(m, "code", 0));
	(void)snprintf(out, size, "%s%.16s %.10s%s", code,
	    method != NULL ? method : "?", cseq != NULL ? cseq : "",
	    jv_get_bool(m, "sdp", false) ? " sdp" : "");
	for (; *out != '\0'; out++)
		if (*out < ' ' || *out > '~')
			*out = '?';
}

/* Ends a line without the blanks at its end. */
static void
line_put(struct ladder *l, char line[static LINE_SIZE])
{
	size_t n = LINE_SIZE;

	while (n > 0 && line[n - 1] == ' ')
		n--;
	buf_add(l->b, line, n);
}

/* Who the columns are: a line for each, then their numbers. */
static void
head_put(struct ladder *l, const struct jv *first)
{
	char line[LINE_SIZE];
	const char *at = jv_get_str(first, "at");

	for (size_t i = 0; i < l->num; i++) {
		buf_printf(l->b, "%zu  ", i + 1);
		ctl_put(l->b, l->peer[i]);
		buf_puts(l->b, "\n");
	}
	memset(line, ' ', sizeof(line));
	if (at != NULL && strlen(at) > 10)
		memcpy(line, at, 10);
	memcpy(line + FIRST, "endpoint", 8);
	for (size_t i = 0; i < l->num; i++)
		line[bar(i + 1)] = (char)('1' + i);
	line_put(l, line);
	buf_puts(l->b, "\n");
}

/* One message. */
static void
arrow_put(struct ladder *l, const struct jv *m)
{
	const char *at = jv_get_str(m, "at");
	bool sent = jv_get_bool(m, "sent", false);
	size_t col = column(l, m), from = bar(0), to = bar(col + 1), n;
	char line[LINE_SIZE], label[64];

	memset(line, ' ', sizeof(line));
	if (at != NULL && strlen(at) >= 11 + TIME_LEN)
		memcpy(line, at + 11, TIME_LEN);
	for (size_t i = 0; i <= l->num; i++)
		line[bar(i)] = '|';
	memset(line + from + 1, '-', to - from - 1);
	line[sent ? to - 1 : from + 1] = sent ? '>' : '<';
	label_of(m, label, sizeof(label));
	n = strlen(label);
	if (n > WIDTH - 5)
		n = WIDTH - 5;
	memcpy(line + from + 3, label, n);
	line_put(l, line);
	if (l->others && col == PEERS_MAX - 1) {
		char key[KEY_SIZE];

		key_of(m, key);
		buf_puts(l->b, "  ");
		ctl_put(l->b, key);
	}
	buf_puts(l->b, "\n");
}

/* The whole text, moved in. */
static void
text_put(struct ladder *l, const struct jv *m)
{
	struct slice rest = slice_of(jv_get_str(m, "text")), line;
	char piece[256];

	while (slice_line(&rest, &line)) {
		buf_puts(l->b, "    ");
		while (line.n > 0) {
			size_t n =
			    line.n < sizeof(piece) ? line.n : sizeof(piece) - 1;

			memcpy(piece, line.p, n);
			piece[n] = '\0';
			ctl_put(l->b, piece);
			line.p += n;
			line.n -= n;
		}
		buf_puts(l->b, "\n");
	}
}

void
ctl_page_ladder(struct buf *b, const struct jv *o)
{
	const struct jv *ms = jv_get(o, "messages");
	struct ladder l = { .b = b };

	if (jv_len(ms) == 0) {
		buf_puts(b,
		    jv_get_int(o, "keep_kib", 1) == 0
			? "nothing is kept: sip.trace.keep = 0\n"
			: "no message yet\n");
		return;
	}
	columns_find(&l, ms);
	head_put(&l, jv_at(ms, 0));
	for (size_t i = 0; i < jv_len(ms); i++) {
		arrow_put(&l, jv_at(ms, i));
		if (jv_get_bool(o, "full", false))
			text_put(&l, jv_at(ms, i));
	}
}
