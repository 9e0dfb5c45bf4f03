/* SPDX-License-Identifier: ISC */
/* Trust sets: where anchors lie, by the hash of their subject.  Only the
 * anchors a chain asks for are parsed; one bad file never disables others. */
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/mem.h>
#include <openssl/x509.h>

#include "bellbird/file.h"
#include "bellbird/log.h"
#include "bellbird/mem.h"
#include "bellbird/str.h"

#include "internal.h"

enum {
	/* A folder of uploaded files, not a second system bundle. */
	UPLOADED_DER_MAX = 4 * 1024 * 1024,
	FILE_MAX = 2 * 1024 * 1024,
	REFS_STEP = 16
};

void
tls_trust_init(struct trust_set *s, const char *name)
{
	memset(s, 0, sizeof(*s));
	s->name = name;
	s->fd = -1;
	buf_init(&s->der, UPLOADED_DER_MAX);
}

void
tls_trust_clear(struct trust_set *s)
{
	if (s->fd >= 0)
		close(s->fd);
	buf_clear(&s->der);
	free(s->refs);
	tls_trust_init(s, s->name);
}

/* By hash, then by place, so that the order is the same everywhere. */
static int
ref_cmp(const void *a, const void *b)
{
	const struct anchor_ref *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return x->off < y->off ? -1 : x->off > y->off;
}

void
tls_trust_sort(struct anchor_ref *refs, size_t num)
{
	if (num > 1)
		qsort(refs, num, sizeof(*refs), ref_cmp);
}

/* Appends one place; grows in steps. */
static int
ref_add(struct trust_set *s, const struct anchor_ref *r)
{
	struct anchor_ref *refs;

	if (s->num % REFS_STEP == 0) {
		refs = realloc(s->refs, (s->num + REFS_STEP) * sizeof(*refs));
		if (refs == NULL)
			return ENOMEM;
		s->refs = refs;
	}
	s->refs[s->num++] = *r;
	return 0;
}

/* True if the very same certificate is in the set already. */
static bool
has_der(const struct trust_set *s, uint32_t hash, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < s->num; i++) {
		if (s->refs[i].hash == hash && s->refs[i].len == n &&
		    memcmp(s->der.p + s->refs[i].off, p, n) == 0)
			return true;
	}
	return false;
}

/* Adds one certificate in DER. */
static int
add_der(struct trust_set *s, const uint8_t *p, size_t n)
{
	struct anchor_ref r;
	X509 *c;
	int err;

	if ((c = tls_der_cert(p, n)) == NULL)
		return E_PARSE;
	r.hash = (uint32_t)X509_NAME_hash(X509_get_subject_name(c));
	r.off = (uint32_t)s->der.n;
	r.len = (uint32_t)n;
	X509_free(c);
	if (has_der(s, r.hash, p, n))
		return 0;
	if ((err = buf_add(&s->der, p, n)) != 0)
		return err;
	if ((err = ref_add(s, &r)) != 0)
		buf_cut(&s->der, r.off);
	return err;
}

/* What reading one file gave. */
struct reading {
	struct trust_set *set;
	const char *path;
	size_t good, bad;
	int err; /* ENOMEM, E_LIMIT: ours, not the file's */
};

/* Adds the certificates of a PKCS#7 container. */
static int
add_pkcs7(struct reading *r, const uint8_t *p, size_t n)
{
	STACK_OF(X509) *sk = tls_der_pkcs7(p, n);
	uint8_t *der;
	int len, err = sk != NULL ? 0 : E_PARSE;

	for (size_t i = 0; err == 0 && i < sk_X509_num(sk); i++) {
		der = NULL;
		len = i2d_X509(sk_X509_value(sk, i), &der);
		err = len > 0 ? add_der(r->set, der, (size_t)len) : ENOMEM;
		OPENSSL_free(der);
		if (err == E_PARSE) { /* larger than any anchor is */
			r->bad++;
			err = 0;
		} else if (err == 0) {
			r->good++;
		}
	}
	sk_X509_pop_free(sk, X509_free);
	tls_err_drop();
	return err;
}

/* One PEM block of an uploaded file; keys and requests are not ours. */
static int
on_block(const struct tls_pem_block *b, void *arg)
{
	struct reading *r = arg;
	int err = E_PARSE;

	if (b->der != NULL && strcmp(b->label, "PKCS7") == 0) {
		if ((err = add_pkcs7(r, b->der, b->n)) == 0)
			return 0;
	} else if (b->der != NULL && strcmp(b->label, "CERTIFICATE") != 0 &&
	    strcmp(b->label, "X509 CERTIFICATE") != 0) {
		return 0;
	} else if (b->der != NULL) {
		err = add_der(r->set, b->der, b->n);
	}
	if (err == 0)
		r->good++;
	else if (err == E_PARSE)
		r->bad++;
	else
		r->err = err;
	return r->err;
}

/* Reads a file in PEM, DER or PKCS#7 into `r->set`; E_PARSE if not all of it
 * is certificates. */
static int
file_parse(struct reading *r)
{
	struct buf b;
	int err;

	buf_init(&b, FILE_MAX);
	if ((err = file_read(r->path, &b)) != 0)
		goto out;
	if (b.n > 0 && memmem(b.p, b.n, "-----BEGIN ", 11) != NULL) {
		err = tls_pem_each(b.p, b.n, on_block, r);
	} else if ((err = add_der(r->set, b.p, b.n)) == 0) {
		r->good++;
	} else if (err == E_PARSE) {
		err = add_pkcs7(r, b.p, b.n);
	}
	if (err == 0 && (r->bad > 0 || r->good == 0))
		err = E_PARSE;
out:
	buf_clear(&b);
	return err;
}

/* What to say of a file that could not be read whole. */
static const char *
parse_str(int err)
{
	return err == E_PARSE ? "not a certificate in PEM, DER or PKCS#7"
			      : err_str(err);
}

/* Says what of a file does not count. */
static void
log_skipped(const struct reading *r, int err)
{
	log_warn(LOGC_TLS, 0,
	    "trust file skipped in part or whole set=%s file=%s good=%zu "
	    "bad=%zu reason=\"%s\"",
	    r->set->name, esc(r->path), r->good, r->bad, parse_str(err));
}

/* Reads one file; only lack of memory is an error. */
static int
file_add(struct trust_set *s, const char *path)
{
	struct reading r = { .set = s, .path = path };
	int err = file_parse(&r);

	if (err == ENOMEM)
		return err;
	if (err != 0)
		log_skipped(&r, err);
	return 0;
}

int
tls_trust_load_file(
    struct trust_set *s, const char *path, char *why, size_t why_size)
{
	struct reading r = { .set = s, .path = path };
	int err = file_parse(&r);

	if (err != 0 && err != ENOMEM && r.good > 0) {
		log_skipped(&r, err);
		err = 0;
	} else if (err != 0) {
		snprintf(why, why_size, "%s: %s", esc(path), parse_str(err));
		err = err == E_PARSE ? E_TLS_TRUST : err;
	}
	tls_trust_sort(s->refs, s->num);
	return err;
}

bool
tls_trust_is_name(const char *name)
{
	static const char *const ends[] = { ".pem", ".cer", ".crt", ".der",
		".p7b", ".p7c" };
	size_t n = strlen(name);

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		if (n > 4 && strcasecmp(name + n - 4, ends[i]) == 0)
			return true;
	}
	return false;
}

/* What reading a folder came to. */
struct folder {
	struct trust_set *set;
	int err; /* ENOMEM */
};

/* One file of the folder of uploaded anchors. */
static void
on_file(const char *path, const char *name, void *arg)
{
	struct folder *f = arg;

	if (f->err == 0 && tls_trust_is_name(name))
		f->err = file_add(f->set, path);
}

int
tls_trust_load_files(struct trust_set *s, const char *dir, const char *file)
{
	struct folder f = { .set = s };
	int err = 0;

	if (dir != NULL && (err = file_list(dir, on_file, &f)) != 0) {
		if (err == ENOMEM)
			return err;
		if (err != ENOENT)
			log_warn(LOGC_TLS, 0,
			    "trust folder unreadable set=%s dir=%s "
			    "reason=\"%s\"",
			    s->name, esc(dir), err_str(err));
	}
	if (f.err != 0)
		return f.err;
	if (file != NULL && access(file, F_OK) == 0 &&
	    (err = file_add(s, file)) != 0)
		return err;
	tls_trust_sort(s->refs, s->num);
	return 0;
}

/* Decodes the anchor at a place of the PEM bundle. */
static int
on_bundle_block(const struct tls_pem_block *b, void *arg)
{
	X509 **out = arg;

	if (b->der == NULL)
		return E_PARSE;
	*out = tls_der_cert(b->der, b->n);
	return *out != NULL ? 0 : E_PARSE;
}

/* The text of one place of the bundle, to be freed; NULL if it is not there any
 * more. */
static char *
ref_text(const struct trust_set *s, const struct anchor_ref *r)
{
	char *text = malloc(r->len);

	if (text != NULL &&
	    pread(s->fd, text, r->len, r->off) != (ssize_t)r->len) {
		free(text);
		text = NULL;
	}
	return text;
}

/* Parses the anchor of one place; NULL if it is not there any more. */
static X509 *
ref_load(const struct trust_set *s, const struct anchor_ref *r)
{
	X509 *c = NULL;
	char *text;

	if (s->fd < 0)
		return tls_der_cert(s->der.p + r->off, r->len);
	if ((text = ref_text(s, r)) == NULL)
		return NULL;
	if (tls_pem_each(text, r->len, on_bundle_block, &c) != 0) {
		X509_free(c);
		c = NULL;
	}
	free(text);
	return c;
}

/* The first place whose hash is not below this one. */
static size_t
ref_first(const struct trust_set *s, uint32_t hash)
{
	size_t lo = 0, hi = s->num, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (s->refs[mid].hash < hash)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

void
tls_trust_find(
    const struct trust_set *s, X509_NAME *subject, STACK_OF(X509) * out)
{
	uint32_t hash = (uint32_t)X509_NAME_hash(subject);
	size_t lo = ref_first(s, hash);
	X509 *c;

	for (; lo < s->num && s->refs[lo].hash == hash; lo++) {
		if ((c = ref_load(s, &s->refs[lo])) == NULL)
			continue;
		/* The hash is a hint, the name decides. */
		if (X509_NAME_cmp(X509_get_subject_name(c), subject) != 0 ||
		    !sk_X509_push(out, c))
			X509_free(c);
	}
	tls_err_drop();
}

/* Are these the bytes of the bundle's certificate? */
static int
on_same_block(const struct tls_pem_block *b, void *arg)
{
	const struct slice *want = arg;

	return b->der != NULL && b->n == want->n &&
		memcmp(b->der, want->p, b->n) == 0
	    ? EEXIST
	    : 0;
}

/* Is the anchor of one place this certificate, in every byte? */
static bool
ref_is(const struct trust_set *s, const struct anchor_ref *r, struct slice der)
{
	char *text;
	bool same;

	if (s->fd < 0)
		return r->len == der.n &&
		    memcmp(s->der.p + r->off, der.p, der.n) == 0;
	text = ref_text(s, r);
	same = text != NULL &&
	    tls_pem_each(text, r->len, on_same_block, &der) == EEXIST;
	free(text);
	return same;
}

bool
tls_trust_has(const struct trust_set *s, X509 *c)
{
	uint32_t hash = (uint32_t)X509_NAME_hash(X509_get_subject_name(c));
	uint8_t *der = NULL;
	int n = s->num > 0 ? i2d_X509(c, &der) : -1;
	bool has = false;

	for (size_t i = ref_first(s, hash);
	     n > 0 && !has && i < s->num && s->refs[i].hash == hash; i++)
		has = ref_is(
		    s, &s->refs[i], (struct slice){ (char *)der, (size_t)n });
	OPENSSL_free(der);
	tls_err_drop();
	return has;
}

/* A bundle that is open, and the file of its index. */
struct bundle {
	int64_t size, mtime_ns;
	char path[4096]; /* "": none is kept */
	bool has_index;  /* it is loaded */
};

/* Scans a PEM bundle for certificates and notes their places. */
static int
bundle_scan(struct trust_set *s, const char *text, size_t size, size_t *bad)
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----";
	static const char end[] = "-----END CERTIFICATE-----";
	const char *at, *eof = text + size, *next, *stop;
	struct anchor_ref r;
	X509 *c;
	int err;

	at = memmem(text, size, begin, sizeof(begin) - 1);
	for (; at != NULL; at = next) {
		/* One that was cut off must not swallow the next one. */
		next = memmem(
		    at + 1, (size_t)(eof - at - 1), begin, sizeof(begin) - 1);
		stop = memmem(at, (size_t)((next != NULL ? next : eof) - at),
		    end, sizeof(end) - 1);
		if (stop == NULL) {
			++*bad;
			continue;
		}
		stop += sizeof(end) - 1;
		r.off = (uint32_t)(at - text);
		r.len = (uint32_t)(stop - at);
		c = NULL;
		err = tls_pem_each(at, r.len, on_bundle_block, &c);
		if (c == NULL) {
			if (err == ENOMEM)
				return ENOMEM;
			++*bad;
			continue;
		}
		r.hash = (uint32_t)X509_NAME_hash(X509_get_subject_name(c));
		X509_free(c);
		if ((err = ref_add(s, &r)) != 0)
			return err;
	}
	tls_trust_sort(s->refs, s->num);
	return 0;
}

/* Reads the open bundle once and notes the places of its anchors. */
static int
bundle_index(struct trust_set *s, size_t size, size_t *bad)
{
	char *text;
	int err;

	if ((text = malloc(size + 1)) == NULL)
		return ENOMEM;
	if (pread(s->fd, text, size, 0) == (ssize_t)size)
		err = bundle_scan(s, text, size, bad);
	else
		err = EIO;
	free(text);
#ifdef __GLIBC__
	malloc_trim(0); /* parsing 140 roots leaves half a megabyte of holes */
#endif
	return err;
}

/* Removes index files of bundles that are gone; `arg` is the one to keep. */
static void
on_cache_file(const char *path, const char *name, void *arg)
{
	size_t n = strlen(name);

	if (n > 4 && strncmp(name, "ca-", 3) == 0 &&
	    strcmp(name + n - 4, ".idx") == 0 && strcmp(path, arg) != 0)
		ignore_err(file_remove(path), "it only takes up room");
}

/* Opens the bundle, and finds its index if there is one. */
static int
bundle_open(
    struct trust_set *s, const char *file, const char *dir, struct bundle *b)
{
	/* Five times Debian's bundle; offsets stay in 32 bits. */
	enum { BUNDLE_MAX = 1024 * 1024 };
	char name[64];
	struct stat st;

	if ((s->fd = open(file, O_RDONLY | O_CLOEXEC)) < 0)
		return errno;
	if (fstat(s->fd, &st) != 0 || !S_ISREG(st.st_mode))
		return EINVAL;
	if (st.st_size > BUNDLE_MAX)
		return E_LIMIT;
	b->size = st.st_size;
	b->mtime_ns =
	    (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
	b->path[0] = '\0';
	if (dir != NULL) {
		snprintf(name, sizeof(name), "ca-%llx-%llx.idx",
		    (unsigned long long)b->size,
		    (unsigned long long)b->mtime_ns);
		if (path_join(b->path, sizeof(b->path), dir, name) != 0)
			b->path[0] = '\0';
	}
	b->has_index = b->path[0] != '\0' &&
	    tls_index_load(s, b->path, b->size, b->mtime_ns) == 0;
	return 0;
}

/* Makes the index and stores it; `*saved` is what became of that. */
static int
bundle_make(struct trust_set *s, const char *dir, struct bundle *b, size_t *bad,
    int *saved)
{
	int err = bundle_index(s, (size_t)b->size, bad);

	*saved = 0;
	if (err != 0 || b->path[0] == '\0')
		return err;
	*saved = tls_index_save(s, b->path, b->size, b->mtime_ns);
	if (*saved == 0)
		ignore_err(file_list(dir, on_cache_file, b->path),
		    "old index files only take up room");
	return 0;
}

int
tls_trust_load_bundle(
    struct trust_set *s, const char *file, const char *cache_dir)
{
	struct bundle b;
	size_t bad = 0;
	int err, saved;

	if ((err = bundle_open(s, file, cache_dir, &b)) != 0 || b.has_index)
		return err;
	if ((err = bundle_make(s, cache_dir, &b, &bad, &saved)) != 0)
		return err;
	if (bad > 0)
		log_warn(LOGC_TLS, 0,
		    "trust bundle has unreadable certificates set=%s bad=%zu",
		    s->name, bad);
	if (saved != 0)
		log_info(LOGC_TLS, 0,
		    "trust index not stored file=%s reason=\"%s\"", esc(b.path),
		    err_str(saved));
	return 0;
}

bool
tls_index_is_made(const char *file, const char *cache_dir)
{
	struct trust_set s;
	struct bundle b;
	bool made;

	tls_trust_init(&s, "");
	made = bundle_open(&s, file, cache_dir, &b) != 0 || b.has_index;
	tls_trust_clear(&s);
	return made;
}

int
tls_index_make(const char *file, const char *cache_dir)
{
	struct trust_set s;
	struct bundle b;
	size_t bad = 0;
	int err, saved = 0;

	tls_trust_init(&s, "");
	err = bundle_open(&s, file, cache_dir, &b);
	if (err == 0 && !b.has_index)
		err = bundle_make(&s, cache_dir, &b, &bad, &saved);
	tls_trust_clear(&s);
	return err != 0 ? err : saved;
}
