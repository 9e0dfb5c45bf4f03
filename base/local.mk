# base/: the ground floor; libevent, c-ares and jansson are seen here.
noinst_LIBRARIES += %D%/libbase.a
noinst_HEADERS += include/bellbird/addr.h include/bellbird/buf.h include/bellbird/clock.h \
	include/bellbird/dns.h include/bellbird/err.h include/bellbird/file.h include/bellbird/json.h \
	include/bellbird/log.h include/bellbird/loop.h include/bellbird/mem.h include/bellbird/pattern.h include/bellbird/str.h \
	include/bellbird/udp.h include/bellbird/worker.h
%C%_libbase_a_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS) $(CARES_CFLAGS) $(JANSSON_CFLAGS)
%C%_libbase_a_SOURCES = %D%/addr.c %D%/buf.c %D%/clock.c %D%/dns.c %D%/dns_cache.c %D%/dns_internal.h \
	%D%/dns_naptr.c %D%/dns_srv.c %D%/dns_wire.c %D%/err.c %D%/file.c %D%/internal.h %D%/json.c %D%/log.c %D%/loop.c \
	%D%/mem.c %D%/pattern.c %D%/str.c %D%/timer.c %D%/udp.c %D%/worker.c
%C%_libbase_a_SOURCES += %D%/json_text.c
noinst_HEADERS += include/bellbird/link.h
%C%_libbase_a_SOURCES += %D%/link.c
BASE_LIBS = base/libbase.a $(EVENT_LIBS) $(CARES_LIBS) $(JANSSON_LIBS) -lpthread

if HAVE_CMOCKA
BASE_TEST_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS) $(JANSSON_CFLAGS) $(CMOCKA_CFLAGS) \
	-iquote $(top_srcdir)/tests/lib -DTESTDATA='"$(abs_top_srcdir)/tests/data"'
BASE_TESTS = tests/unit/test_addr tests/unit/test_base tests/unit/test_buf tests/unit/test_dns tests/unit/test_dns_cache \
	tests/unit/test_file tests/unit/test_json tests/unit/test_log tests/unit/test_loop \
	tests/unit/test_pattern tests/unit/test_str tests/unit/test_udp tests/unit/test_worker
BASE_TESTS += tests/unit/test_link
check_PROGRAMS += $(BASE_TESTS)
TESTS += $(BASE_TESTS)
tests_unit_test_addr_CPPFLAGS = $(BASE_TEST_CPPFLAGS)
tests_unit_test_addr_LDADD = $(BASE_LIBS) $(TEST_LIBS)
tests_unit_test_base_CPPFLAGS = $(BASE_TEST_CPPFLAGS)
tests_unit_test_base_LDADD = $(BASE_LIBS) $(TEST_LIBS)
tests_unit_test_buf_CPPFLAGS = $(BASE_TEST_CPPFLAGS)
tests_unit_test_buf_LDFLAGS = $(AM_LDFLAGS) $(WRAP_ALLOC)
tests_unit_test_buf_LDADD = $(BASE_LIBS) $(TEST_LIBS)
tests_unit_test_dns_CPPFLAGS = $(BASE_TEST_CPPFLAGS)
tests_unit_test_dns_LDFLAGS = $(AM_LDFLAGS) $(WRAP_ALLOC)
tests_unit_test_dns_LDADD = $(BASE_LIBS) $(TEST_LIBS)
tests_unit_test_dns_cache_CPPFLAGS = $(BASE_TEST_CPPFLAGS)
tests_unit_test_dns_cache_LDADD = $(BASE_LIBS) $(TEST_LIBS)
tests_unit_test_file_CPPFLAGS = $(BASE_TEST_CPPFLAGS)
tests_unit_test_file_LDADD = $(BASE_LIBS) $(TEST_LIBS)
tests_unit_test_json_CPPFLAGS = $(BASE_TEST_CPPFLAGS)
tests_unit_test_json_LDFLAGS = $(AM_LDFLAGS) $(WRAP_ALLOC)
tests_unit_test_json_LDADD = $(BASE_LIBS) $(TEST_LIBS)
tests_unit_test_link_CPPFLAGS = $(BASE_TEST_CPPFLAGS)
tests_unit_test_link_LDFLAGS = $(AM_LDFLAGS) $(WRAP_ALLOC)
tests_unit_test_link_LDADD = $(BASE_LIBS) $(TEST_LIBS)
tests_unit_test_log_CPPFLAGS = $(BASE_TEST_CPPFLAGS)
tests_unit_test_log_LDADD = $(BASE_LIBS) $(TEST_LIBS)
tests_unit_test_loop_CPPFLAGS = $(BASE_TEST_CPPFLAGS)
tests_unit_test_loop_LDFLAGS = $(AM_LDFLAGS) $(WRAP_ALLOC)
tests_unit_test_loop_LDADD = $(BASE_LIBS) $(TEST_LIBS)
tests_unit_test_pattern_CPPFLAGS = $(BASE_TEST_CPPFLAGS)
tests_unit_test_pattern_LDADD = $(BASE_LIBS) $(TEST_LIBS)
tests_unit_test_str_CPPFLAGS = $(BASE_TEST_CPPFLAGS)
tests_unit_test_str_LDADD = $(BASE_LIBS) $(TEST_LIBS)
tests_unit_test_udp_CPPFLAGS = $(BASE_TEST_CPPFLAGS)
tests_unit_test_udp_LDADD = $(BASE_LIBS) $(TEST_LIBS)
tests_unit_test_worker_CPPFLAGS = $(BASE_TEST_CPPFLAGS)
tests_unit_test_worker_LDADD = $(BASE_LIBS) $(TEST_LIBS)
endif
