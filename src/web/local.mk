# src/web/: the HTTPS server.
noinst_LIBRARIES += %D%/libweb.a
noinst_HEADERS += include/bellbird/web_server.h
%C%_libweb_a_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS)
%C%_libweb_a_SOURCES = \
	%D%/internal.h \
	%D%/web_conns.c \
	%D%/web_path.c \
	%D%/web_server.c
WEB_LIBS = src/web/libweb.a

if HAVE_CMOCKA
WEB_TEST_CPPFLAGS = \
	$(AM_CPPFLAGS) $(EVENT_CFLAGS) $(CMOCKA_CFLAGS) \
	-iquote $(top_srcdir)/tests/lib \
	-DTESTDATA='"$(abs_top_srcdir)/tests/data"'
check_PROGRAMS += tests/unit/test_web_server tests/unit/test_web_tls
TESTS += tests/unit/test_web_server tests/unit/test_web_tls
tests_unit_test_web_server_CPPFLAGS = $(WEB_TEST_CPPFLAGS)
tests_unit_test_web_server_SOURCES = \
	tests/unit/test_web_server.c tests/unit/test_web.h
tests_unit_test_web_server_LDFLAGS = $(AM_LDFLAGS) $(WRAP_ALLOC)
tests_unit_test_web_server_LDADD = $(WEB_LIBS) $(TLS_LIBS) $(TEST_LIBS)
tests_unit_test_web_tls_CPPFLAGS = $(WEB_TEST_CPPFLAGS)
tests_unit_test_web_tls_SOURCES = \
	tests/unit/test_web_tls.c tests/unit/test_web.h
tests_unit_test_web_tls_LDADD = $(WEB_LIBS) $(TLS_LIBS) $(TEST_LIBS)
endif
