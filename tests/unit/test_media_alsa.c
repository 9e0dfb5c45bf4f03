/* SPDX-License-Identifier: ISC */
/* The sound card: the library comes when it is asked for, ALSA's own null
 * device works, and a card that is not there is told in words. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "../../media/internal.h"

enum { RATE_HZ = 8000, FRAME = 160 };

static char why[64];
static int told;

static void
on_opened(const char *w, void *arg)
{
	(void)arg;
	told++;
	(void)snprintf(why, sizeof(why), "%s", w != NULL ? w : "");
}

/* Is the library in this process? */
static bool
is_loaded(void)
{
	void *so = dlopen("libasound.so.2", RTLD_LAZY | RTLD_NOLOAD);

	if (so != NULL)
		dlclose(so);
	return so != NULL;
}

static void
a_card_is_opened_when_it_is_asked_for(void **state)
{
	int16_t pcm[FRAME] = { 1, 2, 3 };
	struct media_alsa *a;

	(void)state;
	assert_false(is_loaded());
	told = 0;
	assert_int_equal(
	    media_alsa_new(&a, "null", RATE_HZ, on_opened, NULL), 0);
	assert_int_equal(told, 1);
	assert_string_equal(why, "");
	assert_true(is_loaded());
	for (int i = 0; i < 5; i++)
		assert_int_equal(media_alsa_write(a, pcm, FRAME), 0);
	/* It gives silence, or nothing yet; never what lay in memory. */
	if (media_alsa_read(a, pcm, FRAME) == 0)
		assert_int_equal(pcm[0], 0);
	media_alsa_free(a);
}

static void
a_card_that_is_not_there_is_told(void **state)
{
	int16_t pcm[FRAME] = { 0 };
	struct media_alsa *a;

	(void)state;
	told = 0;
	assert_int_equal(
	    media_alsa_new(&a, "no-such-card", RATE_HZ, on_opened, NULL), 0);
	assert_int_equal(told, 1);
	assert_string_equal(why, "No such file or directory");
	assert_int_equal(media_alsa_write(a, pcm, FRAME), EAGAIN);
	assert_int_equal(media_alsa_read(a, pcm, FRAME), EAGAIN);
	media_alsa_free(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_card_is_opened_when_it_is_asked_for),
		cmocka_unit_test(a_card_that_is_not_there_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
