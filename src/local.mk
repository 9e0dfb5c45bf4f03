# src/: the program; the only place where sipcore/ and media/ meet.
bin_PROGRAMS += %D%/bellbird
noinst_HEADERS += %D%/accounts.h %D%/certs.h %D%/internal.h %D%/device.h %D%/enroll.h \
	%D%/ua.h %D%/ua_policy.h %D%/lab.h
%C%_bellbird_SOURCES = \
	%D%/account.c \
	%D%/accounts.c \
	%D%/app.c \
	%D%/capture.c \
	%D%/certs.c \
	%D%/certs_csr.c \
	%D%/certs_export.c \
	%D%/certs_import.c \
	%D%/certs_mint.c \
	%D%/certs_verify.c \
	%D%/check.c \
	%D%/device.c \
	%D%/doctor.c %D%/domains.c \
	%D%/drop.c \
	%D%/enroll.c \
	%D%/load.c \
	%D%/load.h \
	%D%/enroll_keep.c \
	%D%/expiry.c \
	%D%/guard.c \
	%D%/lab.c \
	%D%/lab_files.c \
	%D%/main.c \
	%D%/notify.c \
	%D%/paths.c \
	%D%/provision.c \
	%D%/reset.c \
	%D%/settings.c \
	%D%/snapshot.c \
	%D%/trust.c \
	%D%/ua.c \
	%D%/ua_in.c \
	%D%/ua_media.c \
	%D%/ua_offer.c \
	%D%/ua_policy.c \
	%D%/ua_refer.c \
	%D%/ua_ring.c \
	%D%/ua_words.c \
	%D%/verbs.c \
	%D%/wallclock.c \
	%D%/watch.c
%C%_bellbird_LDADD = $(LINK_FIRST) $(CTL_LIBS) $(WEB_LIBS) prov/libprov.a \
	sipcore/libsip.a -losipparser2 $(MEDIA_LIBS)

if HAVE_CMOCKA
check_PROGRAMS += tests/unit/test_ua_policy
TESTS += tests/unit/test_ua_policy
tests_unit_test_ua_policy_SOURCES = tests/unit/test_ua_policy.c \
	%D%/ua_policy.c
tests_unit_test_ua_policy_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) \
	-iquote $(top_srcdir)/src
tests_unit_test_ua_policy_LDADD = $(BASE_LIBS) $(TEST_LIBS)
endif
