# tests/: what the folders' unit tests share, and the rules as programs.
# Real peers are driven by tests/peer/run.py from ./check (docs/TESTING.md).
check_LIBRARIES += %D%/lib/libtest.a
%C%_lib_libtest_a_SOURCES = %D%/lib/oom.c %D%/lib/oom.h \
	%D%/lib/turn.h
%C%_lib_libtest_a_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) \
	-iquote $(top_srcdir)/tests/lib
TEST_LIBS = tests/lib/libtest.a $(CMOCKA_LIBS)
WRAP_ALLOC = \
	-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup
AM_TESTS_ENVIRONMENT = \
	BELLBIRD='$(abs_top_builddir)/src/bellbird'; export BELLBIRD;

LINT = %D%/lint/layers.sh %D%/lint/size.sh %D%/lint/banned.sh \
	%D%/lint/headers.sh %D%/lint/format.sh %D%/lint/openssl.sh \
	%D%/lint/names.sh %D%/lint/docs.sh %D%/lint/classes.sh %D%/lint/sabotage.sh
dist_check_SCRIPTS += $(LINT)
TESTS += $(LINT)
EXTRA_DIST += %D%/peer/test_trace.py
EXTRA_DIST += %D%/peer/test_est.py %D%/peer/test_pkcs11.py
EXTRA_DIST += %D%/bench/bench_back.py %D%/peer/test_edges.py %D%/peer/test_outage.py
EXTRA_DIST += %D%/packages %D%/packages.sh %D%/demo.sh %D%/demo_report.py \
	%D%/cross.sh %D%/mutants.py %D%/bench/run.py %D%/bench/bench_speed.py \
	%D%/bench/bench_tls.py \
	%D%/peer/registrar.py %D%/peer/bb.py %D%/peer/peers.py \
	%D%/peer/run.py %D%/peer/kill_shim.c %D%/peer/clock_shim.c \
	%D%/peer/servers.py %D%/peer/test_badconf.py \
	%D%/peer/test_baresip.py %D%/peer/test_certs.py %D%/peer/test_chains.py \
	%D%/peer/test_classes.py %D%/peer/test_doctor.py %D%/peer/test_kamailio.py \
	%D%/peer/test_kill.py %D%/peer/test_names.py %D%/peer/test_nginx.py \
	%D%/peer/test_calls.py \
	%D%/peer/test_peers.py %D%/peer/test_program.py %D%/peer/test_scan.py %D%/peer/test_sipp.py \
	%D%/peer/test_docs.py %D%/peer/test_rotate.py %D%/peer/test_route.py %D%/peer/test_trust.py \
	%D%/peer/test_accounts.py %D%/peer/test_ring.py %D%/peer/test_srtp_policy.py \
	%D%/peer/test_tls.py %D%/peer/test_torture.py

EXTRA_DIST += %D%/peer/test_load.py %D%/bench/bench_sip.py

# The handshake benches (tests/bench/bench_tls.py); never installed.
check_PROGRAMS += %D%/bench/our_tls %D%/bench/raw_tls %D%/bench/sip_load
noinst_HEADERS += %D%/bench/bench.h
%C%_bench_our_tls_CPPFLAGS = $(AM_CPPFLAGS) $(BSSL_CFLAGS) $(EVENT_CFLAGS)
%C%_bench_our_tls_LDADD = $(TLS_LIBS)
%C%_bench_raw_tls_CPPFLAGS = $(AM_CPPFLAGS) $(BSSL_CFLAGS)
%C%_bench_raw_tls_LDADD = $(BSSL_LIBS)
%C%_bench_sip_load_CPPFLAGS = $(AM_CPPFLAGS) $(BSSL_CFLAGS)
%C%_bench_sip_load_LDADD = $(BSSL_LIBS)

# Speed is reported, not tested: docs/TESTING.md.
.PHONY: bench
bench: all %D%/bench/our_tls %D%/bench/raw_tls %D%/bench/sip_load
	BELLBIRD='$(abs_top_builddir)/src/bellbird' \
	    python3 $(top_srcdir)/%D%/bench/run.py

# The test of the policy misses each rule that is taken away: docs/TESTING.md.
.PHONY: mutants
mutants: tests/unit/test_tls_policy
	CC='$(CC)' FLAGS='$(DEFS) $(DEFAULT_INCLUDES) $(TLS_TEST_CPPFLAGS)' \
	    LIBS='$(TLS_LIBS) $(TEST_LIBS)' \
	    python3 $(top_srcdir)/%D%/mutants.py \
	    $(top_srcdir)/tls/tls_policy.c \
	    tests/unit/test_tls_policy-test_tls_policy.o
EXTRA_DIST += %D%/peer/test_transfer.py %D%/peer/test_notify.py
