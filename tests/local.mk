# tests/: what the folders' unit tests share, and the rules as programs.
# Real peers are driven by tests/peer/run.py from ./check (docs/TESTING.md).
check_LIBRARIES += %D%/lib/libtest.a
%C%_lib_libtest_a_SOURCES = %D%/lib/oom.c %D%/lib/oom.h
%C%_lib_libtest_a_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) \
	-iquote $(top_srcdir)/tests/lib
TEST_LIBS = tests/lib/libtest.a $(CMOCKA_LIBS)
WRAP_ALLOC = \
	-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup
AM_TESTS_ENVIRONMENT = \
	BELLBIRD='$(abs_top_builddir)/src/bellbird'; export BELLBIRD;

LINT = %D%/lint/layers.sh %D%/lint/size.sh %D%/lint/banned.sh \
	%D%/lint/headers.sh %D%/lint/format.sh %D%/lint/openssl.sh \
	%D%/lint/names.sh
dist_check_SCRIPTS += $(LINT)
TESTS += $(LINT)
