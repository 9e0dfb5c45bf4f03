# src/ctl/: control socket, events, verbs, and the client side of them.
noinst_LIBRARIES += %D%/libctl.a
noinst_HEADERS += \
	include/bellbird/ctl_server.h \
	include/bellbird/ctl_verb.h
%C%_libctl_a_CPPFLAGS = $(AM_CPPFLAGS)
%C%_libctl_a_SOURCES = \
	%D%/internal.h \
	%D%/ctl_call.c \
	%D%/ctl_cli.c \
	%D%/ctl_client.c \
	%D%/ctl_event.c \
	%D%/ctl_ladder.c \
	%D%/ctl_opt.c \
	%D%/ctl_page.c \
	%D%/ctl_path.c \
	%D%/ctl_remote.c \
	%D%/ctl_server.c \
	%D%/ctl_sock.c \
	%D%/ctl_text.c \
	%D%/ctl_verb.c \
	%D%/ctl_wait.c
CTL_LIBS = src/ctl/libctl.a

if HAVE_CMOCKA
CTL_TEST_CPPFLAGS = \
	$(AM_CPPFLAGS) $(CMOCKA_CFLAGS) -iquote $(top_srcdir)/tests/lib
CTL_TESTS = \
	tests/unit/test_ctl_server \
	tests/unit/test_ctl_event \
	tests/unit/test_ctl_cli
check_PROGRAMS += $(CTL_TESTS)
TESTS += $(CTL_TESTS)
tests_unit_test_ctl_server_CPPFLAGS = $(CTL_TEST_CPPFLAGS)
tests_unit_test_ctl_server_SOURCES = \
	tests/unit/test_ctl_server.c tests/unit/test_ctl.h
tests_unit_test_ctl_server_LDFLAGS = $(AM_LDFLAGS) $(WRAP_ALLOC)
tests_unit_test_ctl_server_LDADD = $(CTL_LIBS) $(BASE_LIBS) $(TEST_LIBS)
tests_unit_test_ctl_event_CPPFLAGS = $(CTL_TEST_CPPFLAGS)
tests_unit_test_ctl_event_SOURCES = \
	tests/unit/test_ctl_event.c tests/unit/test_ctl.h
tests_unit_test_ctl_event_LDADD = $(CTL_LIBS) $(BASE_LIBS) $(TEST_LIBS)
tests_unit_test_ctl_cli_CPPFLAGS = $(CTL_TEST_CPPFLAGS)
tests_unit_test_ctl_cli_SOURCES = \
	tests/unit/test_ctl_cli.c tests/unit/test_ctl.h
tests_unit_test_ctl_cli_LDADD = $(CTL_LIBS) $(BASE_LIBS) $(TEST_LIBS)
endif
