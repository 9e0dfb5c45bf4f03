/* SPDX-License-Identifier: ISC */
/* THE table of codecs: by the names of the settings and of rtpmap.
 * G.722 needs a library that costs 3.4 MB, and is not here. */
#include "bellbird/log.h"
#include "internal.h"

/* In the built-in order of an offer. */
static const struct media_codec *const codecs[MEDIA_CODECS_MAX] = { &media_opus,
	&media_pcmu, &media_pcma };

/* Adds a codec unless it is there already. */
static size_t
add(const struct media_codec **out, size_t num, const struct media_codec *c)
{
	for (size_t i = 0; i < num; i++)
		if (out[i] == c)
			return num;
	out[num] = c;
	return num + 1;
}

size_t
media_codec_list(
    const char *names, const struct media_codec *out[static MEDIA_CODECS_MAX])
{
	struct slice rest = slice_of(names), word;
	size_t num = 0;
	bool more = rest.n != 0;

	while (more) {
		more = slice_cut(rest, ',', &word, &rest);
		word = slice_trim(word);
		for (size_t i = 0; i < MEDIA_CODECS_MAX; i++)
			if (slice_case_is(word, codecs[i]->key))
				num = add(out, num, codecs[i]);
	}
	if (num != 0)
		return num;
	for (size_t i = 0; i < MEDIA_CODECS_MAX; i++)
		out[i] = codecs[i];
	return MEDIA_CODECS_MAX;
}

const struct media_codec *
media_codec_find(
    struct slice name, unsigned int clock_hz, unsigned int channels)
{
	for (size_t i = 0; i < MEDIA_CODECS_MAX; i++)
		if (slice_case_is(name, codecs[i]->name) &&
		    clock_hz == codecs[i]->clock_hz &&
		    channels == codecs[i]->channels)
			return codecs[i];
	return NULL;
}
