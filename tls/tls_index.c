/* SPDX-License-Identifier: ISC */
/* The index of the built-in trust set on disk: start without parsing 140
 * roots.  A file that does not fit in every byte is made again. */
#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>

#include "bellbird/file.h"
#include "bellbird/mem.h"

#include "internal.h"

enum {
	INDEX_VERSION = 1,
	/* Ten times Debian's bundle. */
	INDEX_REFS_MAX = 2048
};

/* As it lies on disk; the file never leaves the machine that wrote it, so
 * byte order does not matter (another one fails the version). */
struct index_head {
	char magic[8];
	uint32_t version;
	uint32_t num;
	int64_t size;
	int64_t mtime_ns;
	uint8_t sum[SHA256_DIGEST_LENGTH]; /* of head with sum 0, and refs */
};

static const char magic[8] = "BBCAIDX";

/* The sum over a head and its places. */
static void
sum(const struct index_head *h, const void *refs, size_t n,
    uint8_t out[static SHA256_DIGEST_LENGTH])
{
	struct index_head z = *h;
	SHA256_CTX ctx;

	memset(z.sum, 0, sizeof(z.sum));
	SHA256_Init(&ctx);
	SHA256_Update(&ctx, &z, sizeof(z));
	SHA256_Update(&ctx, refs, n);
	SHA256_Final(out, &ctx);
}

/* Is every place inside the bundle, and are they in order? */
static bool
refs_fit(const struct anchor_ref *r, size_t num, int64_t size)
{
	for (size_t i = 0; i < num; i++) {
		if (r[i].len == 0 || (int64_t)r[i].off + r[i].len > size)
			return false;
		if (i > 0 && r[i].hash < r[i - 1].hash)
			return false;
	}
	return true;
}

int
tls_index_load(
    struct trust_set *s, const char *path, int64_t size, int64_t mtime_ns)
{
	uint8_t want[SHA256_DIGEST_LENGTH];
	struct anchor_ref *refs = NULL;
	struct index_head h;
	struct buf b;
	size_t n;
	int err;

	buf_init(&b, sizeof(h) + INDEX_REFS_MAX * sizeof(*refs));
	if ((err = file_read(path, &b)) != 0)
		goto out;
	err = E_PARSE;
	if (b.n < sizeof(h))
		goto out;
	memcpy(&h, b.p, sizeof(h));
	n = b.n - sizeof(h);
	if (memcmp(h.magic, magic, sizeof(magic)) != 0 ||
	    h.version != INDEX_VERSION || h.size != size ||
	    h.mtime_ns != mtime_ns || h.num == 0 ||
	    n != (size_t)h.num * sizeof(*refs))
		goto out;
	sum(&h, b.p + sizeof(h), n, want);
	if (memcmp(want, h.sum, sizeof(want)) != 0)
		goto out;
	err = ENOMEM;
	if ((refs = mem_array(h.num, sizeof(*refs))) == NULL)
		goto out;
	memcpy(refs, b.p + sizeof(h), n);
	err = E_PARSE;
	if (!refs_fit(refs, h.num, size))
		goto out;
	free(s->refs);
	s->refs = refs;
	s->num = h.num;
	refs = NULL;
	err = 0;
out:
	free(refs);
	buf_clear(&b);
	return err;
}

int
tls_index_save(
    const struct trust_set *s, const char *path, int64_t size, int64_t mtime_ns)
{
	size_t n = s->num * sizeof(*s->refs);
	int unsynced, err; /* one that a power cut takes is made again */
	struct index_head h;
	struct buf b;

	if (s->num == 0 || s->num > INDEX_REFS_MAX)
		return E_LIMIT;
	memset(&h, 0, sizeof(h));
	memcpy(h.magic, magic, sizeof(magic));
	h.version = INDEX_VERSION;
	h.num = (uint32_t)s->num;
	h.size = size;
	h.mtime_ns = mtime_ns;
	sum(&h, s->refs, n, h.sum);
	buf_init(&b, sizeof(h) + n);
	buf_add(&b, &h, sizeof(h));
	err = buf_add(&b, s->refs, n);
	if (err == 0)
		err = file_write_quiet(path, b.p, b.n, 0644, &unsynced);
	buf_clear(&b);
	return err;
}
