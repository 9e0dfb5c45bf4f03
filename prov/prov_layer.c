/* SPDX-License-Identifier: ISC */
/*
 * The settings of one layer, and the pool of indexed names.
 */
#include <stdlib.h>
#include <string.h>

#include "bellbird/mem.h"
#include "internal.h"

static const char macro[] = "$MAC$";

bool
has_mac_macro(const char *v)
{
	return strstr(v, macro) != NULL;
}

int
mac_expand(const char *v, const char *mac, char *out, size_t size)
{
	const char *m;
	size_t n = 0, len = strlen(mac), head;

	for (; (m = strstr(v, macro)) != NULL; v = m + sizeof(macro) - 1) {
		head = (size_t)(m - v);
		if (n + head + len >= size)
			return E_LIMIT;
		memcpy(out + n, v, head);
		memcpy(out + n + head, mac, len);
		n += head + len;
	}
	if (n + strlen(v) >= size)
		return E_LIMIT;
	memcpy(out + n, v, strlen(v) + 1);
	return 0;
}

/* entry_clear wipes: any value may be a password. */
static void
entry_clear(struct entry *e)
{
	mem_free_str(e->value);
	mem_free_str(e->expanded);
}

void
layer_clear(struct layer *l)
{
	for (size_t i = 0; i < l->n; i++)
		entry_clear(&l->v[i]);
	for (size_t i = 0; i < l->num_files; i++)
		free(l->files[i]);
	free(l->v);
	memset(l, 0, sizeof(*l));
}

/* layer_pos finds where a name is, or where it would go; true: it is there. */
static bool
layer_pos(const struct layer *l, const char *name, size_t *pos)
{
	size_t lo = 0, hi = l->n, mid;
	int d;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		d = strcmp(name, l->v[mid].name);
		if (d == 0) {
			*pos = mid;
			return true;
		}
		if (d < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	*pos = lo;
	return false;
}

struct entry *
layer_find(const struct layer *l, const char *name)
{
	size_t pos;

	return layer_pos(l, name, &pos) ? &l->v[pos] : NULL;
}

/* layer_grow makes room for one more. */
static int
layer_grow(struct layer *l)
{
	struct entry *v;
	size_t cap = l->cap + l->cap / 2 + 8;

	if (l->n < l->cap)
		return 0;
	if ((v = realloc(l->v, cap * sizeof(*v))) == NULL)
		return ENOMEM;
	l->v = v;
	l->cap = cap;
	return 0;
}

int
layer_put(struct layer *l, const char *name, const struct prov_key *k,
    const char *value)
{
	struct entry *e;
	char *copy;
	size_t pos;

	if ((copy = strdup(value)) == NULL)
		return ENOMEM;
	if (!layer_pos(l, name, &pos)) {
		if (layer_grow(l) != 0) {
			mem_free_str(copy);
			return ENOMEM;
		}
		e = &l->v[pos];
		memmove(e + 1, e, (l->n - pos) * sizeof(*e));
		memset(e, 0, sizeof(*e));
		l->n++;
	}
	e = &l->v[pos];
	entry_clear(e);
	*e = (struct entry){ .name = name, .k = k, .value = copy };
	return 0;
}

void
layer_del(struct layer *l, const char *name)
{
	size_t pos;

	if (!layer_pos(l, name, &pos))
		return;
	entry_clear(&l->v[pos]);
	memmove(&l->v[pos], &l->v[pos + 1], (l->n - pos - 1) * sizeof(*l->v));
	l->n--;
}

int
layer_file(struct layer *l, const char *name, uint8_t *idx)
{
	char *copy;

	if (l->num_files == LAYER_FILES_MAX)
		return E_LIMIT;
	if ((copy = strdup(name)) == NULL)
		return ENOMEM;
	*idx = (uint8_t)l->num_files;
	l->files[l->num_files++] = copy;
	return 0;
}

int
layer_copy(struct layer *out, const struct layer *l)
{
	struct layer c = { 0 };
	uint8_t idx;
	int err = 0;

	for (size_t i = 0; err == 0 && i < l->num_files; i++)
		err = layer_file(&c, l->files[i], &idx);
	for (size_t i = 0; err == 0 && i < l->n; i++) {
		err = layer_put(&c, l->v[i].name, l->v[i].k, l->v[i].value);
		if (err != 0)
			break;
		c.v[i].line = l->v[i].line;
		c.v[i].file = l->v[i].file;
	}
	if (err != 0) {
		layer_clear(&c);
		return err;
	}
	*out = c;
	return 0;
}

int
layer_expand(struct layer *l, const char *mac)
{
	char full[PROV_VALUE_MAX], why[8], norm[PROV_VALUE_MAX];
	struct entry *e;
	char *copy;

	for (size_t i = 0; i < l->n; i++) {
		e = &l->v[i];
		if (!has_mac_macro(e->value))
			continue;
		/* The address of before must not stay in names and URLs. */
		if (mac[0] == '\0') {
			mem_free_str(e->expanded);
			e->expanded = NULL;
			continue;
		}
		/* Both were judged with a sample address when parsed. */
		if (mac_expand(e->value, mac, full, sizeof(full)) != 0 ||
		    prov_key_check(e->k, slice_of(full), norm, sizeof(norm),
			why, sizeof(why)) != 0)
			continue;
		if ((copy = strdup(norm)) == NULL)
			return ENOMEM;
		mem_free_str(e->expanded);
		e->expanded = copy;
	}
	return 0;
}

void
names_clear(struct names *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->v[i]);
	free(p->v);
	memset(p, 0, sizeof(*p));
}

int
names_intern(struct names *p, const struct key_ref *ref, const char **out)
{
	size_t lo = 0, hi = p->n, mid, cap = p->cap + 32;
	char **v, *copy;
	int d;

	if (ref->index == 0) {
		*out = ref->k->name;
		return 0;
	}
	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if ((d = strcmp(ref->name, p->v[mid])) == 0) {
			*out = p->v[mid];
			return 0;
		}
		if (d < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	if (p->n == p->cap) {
		if ((v = realloc(p->v, cap * sizeof(*v))) == NULL)
			return ENOMEM;
		p->v = v;
		p->cap = cap;
	}
	if ((copy = strdup(ref->name)) == NULL)
		return ENOMEM;
	memmove(&p->v[lo + 1], &p->v[lo], (p->n - lo) * sizeof(*p->v));
	p->v[lo] = copy;
	p->n++;
	*out = copy;
	return 0;
}
