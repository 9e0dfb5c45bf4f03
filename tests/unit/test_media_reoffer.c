/* SPDX-License-Identifier: ISC */
/* Offer and answer in the life of a call: made again, refused, out of memory;
 * what was agreed stays, and above all its keys. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "oom.h"
#include "test_media_offer.h"

static void
an_answer_needs_an_offer(void **state)
{
	struct end e;

	(void)state;
	end_open(&e, MEDIA_SRTP_DISABLED, false, NULL, NULL);
	assert_int_equal(accept_answer(&e, peer(AVP)), E_MEDIA_SDP);
	assert_non_null(offer(&e));
	assert_non_null(answer(&e, peer(AVP)));
	/* Their offer has taken the place of ours. */
	assert_int_equal(accept_answer(&e, peer(AVP)), E_MEDIA_SDP);
	end_close(&e);
}

static void
the_same_session_has_one_id_and_rising_versions(void **state)
{
	uint64_t id, version;
	struct end e;

	(void)state;
	end_open(&e, MEDIA_SRTP_DISABLED, false, NULL, NULL);
	id = e.n.id;
	for (int i = 0; i < 3; i++) {
		char want[80];

		version = e.n.version;
		if (i == 1)
			assert_non_null(answer(&e, peer(AVP)));
		else
			assert_non_null(offer(&e));
		assert_int_equal(e.n.version, version + 1);
		(void)snprintf(want, sizeof(want), "o=- %llu %llu IN IP4 ",
		    (unsigned long long)id, (unsigned long long)e.n.version);
		assert_non_null(strstr(buf_str(&e.out), want));
		assert_true(id >> 62 == 0);
	}
	end_close(&e);
}

static void
keys_stay_until_the_peer_changes_its_own(void **state)
{
	struct media_crypto ours;
	struct end e;

	(void)state;
	end_open(&e, MEDIA_SRTP_STANDARD, true, NULL, NULL);
	assert_non_null(answer(&e, peer(SAVP GOOD)));
	ours = e.n.now.tx;
	/* Hold and resume do not disturb the stream. */
	assert_non_null(answer(&e, peer(SAVP GOOD "a=sendonly\r\n")));
	assert_true(media_crypto_same_key(&ours, &e.n.now.tx));
	assert_non_null(offer(&e));
	assert_true(media_crypto_same_key(&ours, &e.n.cryptos[0]));
	assert_int_equal(accept_answer(&e, peer(SAVP GOOD)), 0);
	assert_true(media_crypto_same_key(&ours, &e.n.now.tx));
	/* A new key of theirs gets a new one of ours. */
	assert_non_null(answer(&e, peer(SAVP OTHER_KEY)));
	assert_false(media_crypto_same_key(&ours, &e.n.now.tx));
	end_close(&e);
}

static void
what_was_agreed_survives_a_failure(void **state)
{
	struct media_agreed before;
	struct end e;

	(void)state;
	end_open(&e, MEDIA_SRTP_STANDARD, true, NULL, NULL);
	assert_non_null(answer(&e, peer(SAVP GOOD)));
	before = e.n.now;
	answer(&e, peer(AVP)); /* a downgrade */
	assert_int_equal(e.err, E_MEDIA_SRTP_REQUIRED);
	answer(&e, peer("m=audio 1 RTP/SAVP 18\r\n" GOOD));
	assert_int_equal(e.err, E_MEDIA_NO_COMMON);
	answer(&e, slice_of("nothing"));
	assert_int_equal(e.err, E_MEDIA_SDP);
	assert_non_null(offer(&e));
	assert_int_equal(accept_answer(&e, peer(AVP)), E_MEDIA_SRTP_REQUIRED);
	assert_memory_equal(&before, &e.n.now, sizeof(before));
	end_close(&e);
}

/* Whoever offers RTP/SAVP has not offered to talk in clear, even where the
 * setting would have allowed it at the start. */
static void
a_secure_offer_is_not_answered_in_clear(void **state)
{
	struct end e;

	(void)state;
	end_open(&e, MEDIA_SRTP_OPTIONAL, true, NULL, NULL);
	assert_non_null(answer(&e, peer(SAVP GOOD)));
	assert_int_equal(offer(&e)->proto, MEDIA_PROTO_SAVP);
	assert_int_equal(accept_answer(&e, peer(AVP)), E_MEDIA_SRTP_REQUIRED);
	assert_non_null(e.n.now.tx.suite);
	end_close(&e);
}

/* Who was told that the call is encrypted would not learn that it no longer
 * is: `optional` decides at the start, and then it stays. */
static void
an_encrypted_call_stays_so(void **state)
{
	static const char *const clear[] = { AVP, AVP UNKNOWN, AVP MALFORMED,
		AVP "a=sendonly\r\n" };
	struct media_agreed before;
	struct end e;

	(void)state;
	for (int ours = 0; ours < 2; ours++) {
		end_open(&e, MEDIA_SRTP_OPTIONAL, true, NULL, NULL);
		if (ours) {
			assert_non_null(offer(&e));
			/* An answer ahead of the 200 may come from elsewhere:
			 * the last one counts. */
			assert_int_equal(
			    accept_answer(&e, peer(AVP GOOD_1)), 0);
			assert_int_equal(accept_answer(&e, peer(AVP)), 0);
			assert_null(e.n.now.rx.suite);
			assert_int_equal(
			    accept_answer(&e, peer(AVP GOOD_1)), 0);
		} else {
			assert_non_null(answer(&e, peer(AVP GOOD)));
		}
		before = e.n.now;
		assert_non_null(before.rx.suite);
		for (size_t i = 0; i < sizeof(clear) / sizeof(clear[0]); i++) {
			answer(&e, peer(clear[i]));
			assert_int_equal(e.err, E_MEDIA_SRTP_REQUIRED);
			assert_non_null(strstr(e.why, "encrypted"));
			assert_memory_equal(&before, &e.n.now, sizeof(before));
		}
		/* Nor by an answer to a new offer of ours. */
		assert_int_equal(offer(&e)->num_crypto, 1);
		assert_int_equal(
		    accept_answer(&e, peer(AVP)), E_MEDIA_SRTP_REQUIRED);
		assert_memory_equal(&before, &e.n.now, sizeof(before));
		/* With a key it goes on, under either profile. */
		assert_non_null(answer(&e, peer(SAVP OTHER_KEY)));
		assert_non_null(answer(&e, peer(AVP GOOD)));
		end_close(&e);
	}
	/* What began in clear may become secure. */
	end_open(&e, MEDIA_SRTP_OPTIONAL, true, NULL, NULL);
	assert_non_null(answer(&e, peer(AVP)));
	assert_non_null(answer(&e, peer(AVP)));
	assert_non_null(answer(&e, peer(AVP GOOD)));
	assert_non_null(e.n.now.rx.suite);
	end_close(&e);
}

static void
a_full_buffer_is_left_as_it_was(void **state)
{
	struct end e;
	struct buf small;

	(void)state;
	end_open(&e, MEDIA_SRTP_OPTIONAL, true, NULL, NULL);
	for (int i = 0; i < 2; i++) {
		buf_init(&small, 60);
		buf_puts(&small, "before");
		if (i == 0)
			assert_int_equal(
			    media_neg_offer(&e.n, &small), E_LIMIT);
		else
			assert_int_equal(media_neg_answer(&e.n, peer(AVP GOOD),
					     &small, e.why, sizeof(e.why)),
			    E_LIMIT);
		assert_string_equal(buf_str(&small), "before");
		assert_false(e.n.has_next);
		assert_null(e.n.now.codec);
		buf_clear(&small);
	}
	end_close(&e);
}

/* A call with lines to refuse: answer, offer, accept. */
static int
call(void *arg)
{
	static const char other[] = "m=video 1 RTP/AVP 99\r\n";
	struct end e;
	char lines[400];
	int err;

	(void)arg;
	(void)snprintf(
	    lines, sizeof(lines), "%s%s%s%s", other, AVP, GOOD, other);
	end_open(&e, MEDIA_SRTP_OPTIONAL, true, NULL, NULL);
	if ((err = media_neg_answer(
		 &e.n, peer(lines), &e.out, e.why, sizeof(e.why))) != 0)
		goto out;
	media_neg_commit(&e.n);
	buf_reset(&e.out);
	if ((err = media_neg_offer(&e.n, &e.out)) != 0 ||
	    (err = media_neg_accept(&e.n, peer(lines), e.why, sizeof(e.why))) !=
		0)
		goto out;
	media_neg_commit(&e.n);
out:
	end_close(&e);
	return err;
}

static void
survives_every_oom(void **state)
{
	(void)state;
	assert_true(oom_each(call, NULL) >= 4);
}

int
main(void)
{
#define T(f) cmocka_unit_test(f)
	const struct CMUnitTest tests[] = {
		T(an_answer_needs_an_offer),
		T(the_same_session_has_one_id_and_rising_versions),
		T(keys_stay_until_the_peer_changes_its_own),
		T(what_was_agreed_survives_a_failure),
		T(a_secure_offer_is_not_answered_in_clear),
		T(an_encrypted_call_stays_so),
		T(a_full_buffer_is_left_as_it_was),
		T(survives_every_oom),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
