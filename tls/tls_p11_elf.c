/* SPDX-License-Identifier: ISC */
/* What a shared object would bring along, found out without loading it: once
 * OpenSSL is mapped beside BoringSSL it is too late. */
#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bellbird/buf.h"
#include "bellbird/file.h"
#include "bellbird/str.h"

#include "p11.h"

enum {
	OBJECT_MAX = 64 * 1024 * 1024, /* bytes; modules are far smaller */
	OBJECTS_MAX = 64,              /* in the closure of a module */
	NAME_SIZE = 128,
	DIRS_MAX = 16
};

/* Names in the order they were met; each is looked at once. */
struct closure {
	char names[OBJECTS_MAX][NAME_SIZE];
	bool cut; /* there are more than could be looked at */
	size_t num;
	char dirs[DIRS_MAX][PATH_MAX];
	size_t num_dirs;
};

bool
tls_p11_elf_is_openssl(const char *path)
{
	static const char *const names[] = { "libcrypto.so.", "libssl.so." };
	const char *base = strrchr(path, '/');

	base = base != NULL ? base + 1 : path;
	for (size_t i = 0; i < 2; i++) {
		size_t n = strlen(names[i]);

		/* BoringSSL of Debian is .so.0. */
		if (strncmp(base, names[i], n) == 0 && base[n] >= '1' &&
		    base[n] <= '9')
			return true;
	}
	return false;
}

/* Remembers a name, unless it is known or the list is full. */
static void
name_add(struct closure *c, const char *name)
{
	for (size_t i = 0; i < c->num; i++) {
		if (strcmp(c->names[i], name) == 0)
			return;
	}
	if (c->num < OBJECTS_MAX &&
	    str_copy(c->names[c->num], NAME_SIZE, name) == 0)
		c->num++;
	else
		c->cut = true;
}

/* Remembers the folder of a file. */
static void
dir_add(struct closure *c, const char *path)
{
	const char *end = strrchr(path, '/');
	struct slice dir = { path, end != NULL ? (size_t)(end - path) : 0 };

	if (dir.n == 0 || c->num_dirs == DIRS_MAX)
		return;
	for (size_t i = 0; i < c->num_dirs; i++) {
		if (slice_is(dir, c->dirs[i]))
			return;
	}
	if (str_copy_slice(c->dirs[c->num_dirs], PATH_MAX, dir) == 0)
		c->num_dirs++;
}

/* The folders this program's own libraries came from. */
static int
on_mapped(struct dl_phdr_info *info, size_t size, void *arg)
{
	(void)size;
	dir_add(arg, info->dlpi_name);
	return 0;
}

/* The place of an address in the file; NULL if it is not in there. */
static const char *
at_vaddr(
    const struct buf *b, const ElfW(Ehdr) * eh, ElfW(Addr) addr, size_t *room)
{
	const ElfW(Phdr) *ph = (const void *)(b->p + eh->e_phoff);

	for (unsigned int i = 0; i < eh->e_phnum; i++) {
		ElfW(Addr) in = addr - ph[i].p_vaddr;

		if (ph[i].p_type != PT_LOAD || addr < ph[i].p_vaddr ||
		    in >= ph[i].p_filesz || ph[i].p_offset > b->n ||
		    in >= b->n - ph[i].p_offset)
			continue;
		*room = b->n - ph[i].p_offset - (size_t)in;
		return (const char *)b->p + ph[i].p_offset + in;
	}
	return NULL;
}

/* The dynamic section of an object of this machine's kind; NULL if none. */
static const ElfW(Dyn) * dynamic_of(const struct buf *b, size_t *num)
{
	const ElfW(Ehdr) *eh = (const void *)b->p;
	const ElfW(Phdr) * ph;
	/* The kind of the program itself. */
	unsigned int class = sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32;

	if (b->n < sizeof(*eh) || memcmp(eh->e_ident, ELFMAG, SELFMAG) != 0 ||
	    eh->e_ident[EI_CLASS] != class || eh->e_phentsize != sizeof(*ph) ||
	    eh->e_phoff > b->n || eh->e_phoff % sizeof(void *) != 0 ||
	    eh->e_phnum > (b->n - eh->e_phoff) / sizeof(*ph))
		return NULL;
	ph = (const void *)(b->p + eh->e_phoff);
	for (unsigned int i = 0; i < eh->e_phnum; i++) {
		if (ph[i].p_type != PT_DYNAMIC || ph[i].p_offset > b->n ||
		    ph[i].p_offset % sizeof(void *) != 0 ||
		    ph[i].p_filesz > b->n - ph[i].p_offset)
			continue;
		*num = ph[i].p_filesz / sizeof(ElfW(Dyn));
		return (const void *)(b->p + ph[i].p_offset);
	}
	return NULL;
}

/* Adds what an object needs, and where it wants that looked for. */
static void
object_read(struct closure *c, const struct buf *b)
{
	const ElfW(Dyn) * d;
	const char *str = NULL;
	size_t num = 0, room = 0;

	if ((d = dynamic_of(b, &num)) == NULL)
		return;
	for (size_t i = 0; i < num; i++) {
		if (d[i].d_tag == DT_STRTAB)
			str = at_vaddr(b, (const void *)b->p,
			    (ElfW(Addr))d[i].d_un.d_ptr, &room);
	}
	for (size_t i = 0; str != NULL && i < num; i++) {
		size_t off = (size_t)d[i].d_un.d_val;
		char one[PATH_MAX];

		if (d[i].d_tag != DT_NEEDED && d[i].d_tag != DT_RUNPATH &&
		    d[i].d_tag != DT_RPATH)
			continue;
		if (off >= room || memchr(str + off, '\0', room - off) == NULL)
			continue;
		if (d[i].d_tag == DT_NEEDED) {
			name_add(c, str + off);
			continue;
		}
		for (struct slice dir, rest = slice_of(str + off);
		     rest.n > 0;) {
			slice_cut(rest, ':', &dir, &rest);
			snprintf(
			    one, sizeof(one), SLICE_FMT "/", SLICE_ARG(dir));
			dir_add(c, one);
		}
	}
}

/* Reads the object of a path; ENOENT and the like if it cannot be. */
static int
object_load(struct closure *c, const char *path)
{
	struct buf b;
	int err;

	buf_init(&b, OBJECT_MAX);
	if ((err = file_read(path, &b)) == 0)
		object_read(c, &b);
	buf_clear(&b);
	return err;
}

bool
tls_p11_elf_clash(const char *path, char *name, size_t size)
{
	static const char *const usual[] = { "/usr/local/lib/", "/lib/",
		"/usr/lib/", "/lib64/", "/usr/lib64/" };
	struct closure *c;
	char at[PATH_MAX];
	bool clash = false;

	if ((c = calloc(1, sizeof(*c))) == NULL) {
		ignore_err(
		    str_copy(name, size, "(no memory to look)"), "a word");
		return true; /* what cannot be looked at is not loaded */
	}
	dir_add(c, path);
	(void)dl_iterate_phdr(on_mapped, c);
	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
		dir_add(c, usual[i]);
	if (object_load(c, path) == 0 && tls_p11_elf_is_openssl(path))
		name_add(c, path);
	for (size_t i = 0; i < c->num && !clash; i++) {
		if (tls_p11_elf_is_openssl(c->names[i])) {
			ignore_err(str_copy(name, size, c->names[i]),
			    "a cut name is still a name");
			clash = true;
		}
		for (size_t k = 0; k < c->num_dirs && !clash; k++) {
			if (path_join(
				at, sizeof(at), c->dirs[k], c->names[i]) == 0 &&
			    object_load(c, at) == 0)
				break;
		}
	}
	if (c->cut && !clash) {
		ignore_err(
		    str_copy(name, size, "(more libraries than are looked at)"),
		    "a word");
		clash = true;
	}
	free(c);
	return clash;
}
