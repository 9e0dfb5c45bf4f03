/* SPDX-License-Identifier: ISC */
/*
 * The table of settings, and how a name is found in it.
 */
#include <ctype.h>
#include <string.h>

#include "bellbird/prov_key.h"
#include "internal.h"

#define S_ADMIN     "Advanced Settings / Admin"
#define S_ADV_AUDIO "Advanced Settings / Advanced Audio"
#define S_ADV_MCAST "Advanced Settings / Advanced Multicast"
#define S_ADV_SIP   "Advanced Settings / Advanced SIP"
#define S_FEATURES  "Basic Settings / Features"
#define S_LOG       "System / System Log"
#define S_MAINT     "System / Maintenance"
#define S_MCAST     "Basic Settings / Multicast"
#define S_MORE      "Additional Features"
#define S_NETWORK   "Advanced Settings / Network"
#define S_PROV      "Advanced Settings / Provisioning"
#define S_SCHED     "Scheduler"
#define S_SIP       "Basic Settings / SIP"
#define S_TIME      "Advanced Settings / Time"
#define S_TLS       "Advanced Settings / TLS"

/* The words of keys.def. */
enum {
	LIVE = PROV_S_LIVE,
	REREG = PROV_S_REREGISTER,
	AUDIO = PROV_S_AUDIO,
	RESTART = PROV_S_RESTART,
	SECRET = PROV_F_SECRET,
	WARN = PROV_F_WARN_RANGE,
	LOCAL = PROV_F_LOCAL,
	EMPTY = PROV_F_EMPTY
};

#define KEY(n, t, d, r, u, s, f, sec, l, a, h) \
	{ n, PROV_T_##t, d, r, u, s, f, S_##sec, l, a, h, "" },
#define GUARD(n, t, d, r, u, s, f, w, sec, l, a, h) \
	{ n, PROV_T_##t, d, r, u, s, f, S_##sec, l, a, h, w },
#define FAM(n, t, d, r, u, s, f, sec, l, h)                                  \
	{ n, PROV_T_##t, d, r, u, s, (f) | PROV_F_LATER | PROV_F_WARN_RANGE, \
		S_##sec, l, "", "On the device family: " h, "" },
#define NA(n, d, f, sec, h)                                                   \
	{ n, PROV_T_STR, d, "", "", PROV_S_LIVE, (f) | PROV_F_NA, S_##sec, n, \
		"", "On the device family: " h, "" },

static const struct prov_key keys[] = {
#include "keys.def"
};

enum { NUM_KEYS = sizeof(keys) / sizeof(keys[0]), INDEX_MAX = 99 };

/* row_find looks for a name exactly as it stands in the table. */
static const struct prov_key *
row_find(const char *name)
{
	size_t lo = 0, hi = NUM_KEYS, mid;
	int d;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		d = strcmp(name, keys[mid].name);
		if (d == 0)
			return &keys[mid];
		if (d < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

/* alias_find looks for a name of the reference device. */
static const struct prov_key *
alias_find(const char *name)
{
	for (size_t i = 0; i < NUM_KEYS; i++)
		if (keys[i].alias[0] != '\0' &&
		    strcmp(keys[i].alias, name) == 0)
			return &keys[i];
	return NULL;
}

/* index_at reads the index at `p`, which ends a label; its length, or 0. */
static size_t
index_at(const char *name, size_t at, unsigned int *index)
{
	const char *p = name + at;
	size_t n = 0;

	if (at > 0 && isdigit((unsigned char)p[-1]))
		return 0;
	while (isdigit((unsigned char)p[n]))
		n++;
	if (n == 0 || n > 2 || p[0] == '0' || (p[n] != '\0' && p[n] != '.'))
		return 0;
	*index = (unsigned int)(p[0] - '0');
	if (n == 2)
		*index = *index * 10 + (unsigned int)(p[1] - '0');
	return n;
}

/* indexed_find tries each number of the name as the N of a row. */
static const struct prov_key *
indexed_find(const char *name, unsigned int *index)
{
	char row[KEY_NAME_MAX];
	const struct prov_key *k;
	size_t len = strlen(name), n;

	for (size_t at = 0; at < len; at++) {
		if ((n = index_at(name, at, index)) == 0)
			continue;
		memcpy(row, name, at);
		row[at] = 'N';
		memcpy(row + at + 1, name + at + n, len - at - n + 1);
		if ((k = row_find(row)) != NULL)
			return k;
	}
	return NULL;
}

int
key_resolve(struct slice name, struct key_ref *out)
{
	struct key_ref r = { 0 };

	/* Rows have no other capital than N: sip.alertN.user is no key. */
	if (name.n == 0 || memchr(name.p, 'N', name.n) != NULL ||
	    str_copy_slice(r.name, sizeof(r.name), name) != 0 ||
	    strlen(r.name) != name.n)
		return ENOENT;
	if ((r.k = row_find(r.name)) == NULL &&
	    (r.k = indexed_find(r.name, &r.index)) == NULL) {
		r.index = 0;
		if ((r.k = alias_find(r.name)) == NULL)
			return ENOENT;
		ignore_err(str_copy(r.name, sizeof(r.name), r.k->name),
		    "the test of the table knows that names fit");
	}
	*out = r;
	return 0;
}

/* run_of: how many characters of a key a text begins with. */
static size_t
run_of(struct slice t)
{
	size_t n = 0;

	while (n < t.n &&
	    (isalnum((unsigned char)t.p[n]) ||
		(t.p[n] != '\0' && strchr("._-", t.p[n]) != NULL)))
		n++;
	return n;
}

void
key_leads(struct slice t, char out[static KEY_NAME_MAX])
{
	struct slice run = { t.p, run_of(t) };
	struct key_ref r;

	out[0] = '\0';
	if (key_resolve(run, &r) == 0)
		ignore_err(str_copy_slice(out, KEY_NAME_MAX, run),
		    "a key that was found fits");
}

bool
key_secret_in(struct slice t)
{
	struct key_ref r;
	size_t n;

	for (; t.n > 0; t.p += n, t.n -= n) {
		if ((n = run_of(t)) == 0) {
			n = 1;
			continue;
		}
		if (key_resolve((struct slice){ t.p, n }, &r) == 0 &&
		    (r.k->flags & PROV_F_SECRET))
			return true;
	}
	return false;
}

const struct prov_key *
prov_key_find(struct slice name)
{
	struct key_ref r;

	return key_resolve(name, &r) == 0 ? r.k : NULL;
}

const struct prov_key *
prov_key_at(size_t i)
{
	return i < NUM_KEYS ? &keys[i] : NULL;
}

size_t
key_count(void)
{
	return NUM_KEYS;
}

size_t
key_pos(const struct prov_key *k)
{
	return (size_t)(k - keys);
}

bool
prov_key_weakens(const struct prov_key *k, const char *value)
{
	struct slice rest = slice_of(k->weaker), word;
	bool more;

	if (value[0] == '\0' || rest.n == 0)
		return false; /* the default is the safe value */
	do {
		more = slice_cut(rest, '|', &word, &rest);
		if (slice_is(word, "*") || slice_is(word, value))
			return true;
	} while (more);
	return false;
}

const char *
prov_type_name(enum prov_type t)
{
	static const char *const names[] = { "string", "integer", "boolean",
		"word", "list", "host", "address", "volume", "path" };

	return (size_t)t < sizeof(names) / sizeof(names[0]) ? names[t] : "?";
}

/* candidate writes a row's name with the number of the searched one for N. */
static void
candidate(const char *row, const char *number, char out[static KEY_NAME_MAX])
{
	const char *n = strchr(row, 'N');
	size_t head = n ? (size_t)(n - row) : strlen(row);

	memcpy(out, row, head);
	out[head] = '\0';
	if (n == NULL)
		return;
	ignore_err(str_copy(out + head, KEY_NAME_MAX - head, number),
	    "rows are shorter by far");
	ignore_err(
	    str_copy(out + strlen(out), KEY_NAME_MAX - strlen(out), n + 1),
	    "rows are shorter by far");
}

/* first_number copies the first index in a name, "1" if it has none. */
static void
first_number(const char *name, char out[static 3])
{
	unsigned int index;
	size_t n;

	out[0] = '1';
	out[1] = out[2] = '\0';
	for (size_t at = 0; name[at] != '\0'; at++) {
		if ((n = index_at(name, at, &index)) == 0)
			continue;
		memcpy(out, name + at, n);
		out[n] = '\0';
		return;
	}
}

void
prov_key_near(const char *name, char *out, size_t size)
{
	/* Three slips of the finger; beyond it a guess is a riddle. */
	enum { SLIPS_MAX = 3 };
	char low[KEY_NAME_MAX], cand[KEY_NAME_MAX], number[3];
	const char *alias;
	size_t len = strlen(name);
	unsigned int best, d;

	if (size > 0)
		out[0] = '\0';
	if (len < 3 || len >= sizeof(low))
		return;
	for (size_t i = 0; i <= len; i++)
		low[i] = (char)tolower((unsigned char)name[i]);
	first_number(low, number);

	best = (unsigned int)(len / 3 < SLIPS_MAX ? len / 3 : SLIPS_MAX) + 1;
	for (size_t i = 0; i < NUM_KEYS && best > 0; i++) {
		candidate(keys[i].name, number, cand);
		d = str_distance(low, cand, best - 1);
		if (d < best) {
			best = d;
			ignore_err(str_copy(out, size, cand), "cut is fine");
		}
		alias = keys[i].alias;
		if (alias[0] == '\0' || best == 0)
			continue;
		d = str_distance(low, alias, best - 1);
		if (d < best) {
			best = d;
			ignore_err(str_copy(out, size, alias), "cut is fine");
		}
	}
}
