/* SPDX-License-Identifier: ISC */
/*
 * What changes when layers change: values before and after, and the observer.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "bellbird/mem.h"
#include "internal.h"

/* by_name orders settings. */
static int
by_name(const void *a, const void *b)
{
	const struct setting *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* collect appends the names of a layer. */
static void
collect(const struct layer *l, struct setting *v, size_t *n)
{
	for (size_t i = 0; i < l->n; i++)
		v[(*n)++] = (struct setting){ l->v[i].name, l->v[i].k };
}

int
store_settings(const struct prov_store *s, const struct layer *more,
    size_t num_more, struct setting **out, size_t *n)
{
	struct setting *v;
	size_t total = 0, used = 0, kept = 0;

	for (size_t i = 0; i < PROV_LAYERS; i++)
		total += s->layers[i].n;
	for (size_t i = 0; i < num_more; i++)
		total += more[i].n;
	if ((v = mem_array(total + 1, sizeof(*v))) == NULL)
		return ENOMEM;
	for (size_t i = 0; i < PROV_LAYERS; i++)
		collect(&s->layers[i], v, &used);
	for (size_t i = 0; i < num_more; i++)
		collect(&more[i], v, &used);
	qsort(v, used, sizeof(*v), by_name);
	for (size_t i = 0; i < used; i++)
		if (kept == 0 || strcmp(v[kept - 1].name, v[i].name) != 0)
			v[kept++] = v[i];
	*out = v;
	*n = kept;
	return 0;
}

void
change_cancel(struct change *c)
{
	for (size_t i = 0; c->old != NULL && i < c->n; i++)
		mem_free_str(c->old[i]);
	free(c->old);
	free(c->room);
	free(c->v);
	memset(c, 0, sizeof(*c));
}

/* room_use gives the store the room of a change.  Until then the observer may
 * have taken the store's; the list is never longer than it was at the begin. */
static void
room_use(struct prov_store *s, struct change *c)
{
	if (s->num_changed + c->n <= s->cap_changed)
		return;
	assert(s->num_changed + c->n <= c->room_cap);
	if (s->num_changed > 0)
		memcpy(c->room, s->changed, s->num_changed * sizeof(*c->room));
	free(s->changed);
	s->changed = c->room;
	s->cap_changed = c->room_cap;
	c->room = NULL;
}

int
change_begin(struct prov_store *s, struct change *c, const struct layer *more,
    size_t num_more)
{
	struct change ch = { 0 };
	enum prov_layer l;
	int err;

	if ((err = store_settings(s, more, num_more, &ch.v, &ch.n)) != 0)
		return err;
	err = ENOMEM;
	if ((ch.old = mem_array(ch.n + 1, sizeof(*ch.old))) == NULL)
		goto out;
	for (size_t i = 0; i < ch.n; i++) {
		ch.old[i] =
		    strdup(store_effective(s, ch.v[i].name, ch.v[i].k, &l));
		if (ch.old[i] == NULL)
			goto out;
	}
	ch.room_cap = s->num_changed + ch.n;
	if ((ch.room = mem_array(ch.room_cap + 1, sizeof(*ch.room))) == NULL)
		goto out;
	err = 0;
	*c = ch;
	memset(&ch, 0, sizeof(ch));
out:
	change_cancel(&ch);
	return err;
}

/* on_change hands the collected names to the observer. */
static void
on_change(void *arg)
{
	struct prov_store *s = arg;
	const char **names = s->changed;
	size_t n = s->num_changed;
	unsigned int scopes = s->scopes;
	prov_change_cb *cb = s->cb;
	void *cb_arg = s->cb_arg;

	s->changed = NULL;
	s->num_changed = s->cap_changed = 0;
	s->scopes = 0;
	/* The observer may change settings again, or free the store. */
	if (cb != NULL && n > 0)
		cb(names, n, scopes, cb_arg);
	free(names);
}

/* changed_add notes one name, once. */
static void
changed_add(struct prov_store *s, const struct setting *e)
{
	s->scopes |= e->k->scope;
	for (size_t i = 0; i < s->num_changed; i++)
		if (s->changed[i] == e->name)
			return;
	s->changed[s->num_changed++] = e->name;
}

size_t
change_end(struct prov_store *s, struct change *c)
{
	enum prov_layer l;
	const char *now;
	size_t n = 0;

	store_judge(s);
	room_use(s, c);
	for (size_t i = 0; i < c->n; i++) {
		now = store_effective(s, c->v[i].name, c->v[i].k, &l);
		if (strcmp(now, c->old[i]) == 0)
			continue;
		n++;
		if (s->loop != NULL && s->cb != NULL)
			changed_add(s, &c->v[i]);
	}
	if (s->num_changed > 0 && !s->deferred.queued)
		loop_defer(s->loop, &s->deferred, on_change, s);
	change_cancel(c);
	return n;
}

void
change_stop(struct prov_store *s)
{
	if (s->deferred.queued)
		loop_undefer(&s->deferred);
	free(s->changed);
	s->changed = NULL;
	s->num_changed = s->cap_changed = 0;
}

void
prov_on_change(struct prov_store *s, prov_change_cb *cb, void *arg)
{
	s->cb = cb;
	s->cb_arg = arg;
}
