# prov/: settings, their files, and where they come from.
noinst_LIBRARIES += %D%/libprov.a
noinst_HEADERS += include/bellbird/prov_conf.h include/bellbird/prov_est.h \
	include/bellbird/prov_fetch.h include/bellbird/prov_http.h \
	include/bellbird/prov_key.h include/bellbird/prov_store.h
%C%_libprov_a_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS)
%C%_libprov_a_SOURCES = \
	%D%/internal.h \
	%D%/keys.def \
	%D%/prov_apply.c \
	%D%/prov_auth.c \
	%D%/prov_change.c \
	%D%/prov_check.c \
	%D%/prov_conf.c \
	%D%/prov_est.c \
	%D%/prov_explain.c \
	%D%/prov_fetch.c \
	%D%/prov_http.c \
	%D%/prov_key.c \
	%D%/prov_layer.c \
	%D%/prov_problem.c \
	%D%/prov_report.c \
	%D%/prov_set.c \
	%D%/prov_store.c \
	%D%/prov_url.c \
	%D%/prov_write.c
PROV_LIBS = prov/libprov.a $(TLS_LIBS)

if HAVE_CMOCKA
PROV_TESTS = tests/unit/test_prov_apply tests/unit/test_prov_conf \
	tests/unit/test_prov_est \
	tests/unit/test_prov_fetch tests/unit/test_prov_key \
	tests/unit/test_prov_store
check_PROGRAMS += $(PROV_TESTS)
TESTS += $(PROV_TESTS)
PROV_TEST_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) \
	-iquote $(top_srcdir)/tests/lib \
	-DTESTDATA='"$(abs_top_srcdir)/tests/data"'
tests_unit_test_prov_apply_CPPFLAGS = $(PROV_TEST_CPPFLAGS)
# The calls a power cut can fall between.
tests_unit_test_prov_apply_LDFLAGS = $(AM_LDFLAGS) \
	-Wl,--wrap=write,--wrap=rename,--wrap=fsync,--wrap=link,--wrap=unlink
tests_unit_test_prov_apply_LDADD = $(PROV_LIBS) $(TEST_LIBS)
tests_unit_test_prov_conf_CPPFLAGS = $(PROV_TEST_CPPFLAGS)
tests_unit_test_prov_conf_LDFLAGS = $(AM_LDFLAGS) $(WRAP_ALLOC)
tests_unit_test_prov_conf_LDADD = $(PROV_LIBS) $(TEST_LIBS)
tests_unit_test_prov_est_CPPFLAGS = $(PROV_TEST_CPPFLAGS)
tests_unit_test_prov_est_LDADD = $(PROV_LIBS) $(TEST_LIBS)
tests_unit_test_prov_fetch_CPPFLAGS = $(PROV_TEST_CPPFLAGS)
tests_unit_test_prov_fetch_LDADD = $(PROV_LIBS) $(TEST_LIBS)
tests_unit_test_prov_key_CPPFLAGS = $(PROV_TEST_CPPFLAGS)
tests_unit_test_prov_key_LDADD = $(PROV_LIBS) $(TEST_LIBS)
tests_unit_test_prov_store_CPPFLAGS = $(PROV_TEST_CPPFLAGS)
tests_unit_test_prov_store_LDFLAGS = $(AM_LDFLAGS) $(WRAP_ALLOC)
tests_unit_test_prov_store_LDADD = $(PROV_LIBS) $(TEST_LIBS)
endif
