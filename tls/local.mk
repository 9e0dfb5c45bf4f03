# tls/: everything that touches BoringSSL.  Below it: base/.
noinst_LIBRARIES += %D%/libtls.a
noinst_HEADERS += include/bellbird/tls_cert.h include/bellbird/tls_conn.h \
	include/bellbird/tls_hash.h include/bellbird/tls_policy.h \
	include/bellbird/tls_verdict.h %D%/internal.h \
	%D%/p11.h
%C%_libtls_a_CPPFLAGS = $(AM_CPPFLAGS) $(BSSL_CFLAGS) $(EVENT_CFLAGS)
%C%_libtls_a_SOURCES = \
	%D%/tls_bev.c \
	%D%/tls_cert.c \
	%D%/tls_conn.c \
	%D%/tls_csr.c \
	%D%/tls_ctx.c \
	%D%/tls_env.c \
	%D%/tls_err.c \
	%D%/tls_explain.c \
	%D%/tls_hash.c \
	%D%/tls_hs.c \
	%D%/tls_import.c \
	%D%/tls_index.c \
	%D%/tls_issuers.c \
	%D%/tls_key.c \
	%D%/tls_p12.c \
	%D%/tls_keylog.c \
	%D%/tls_listen.c \
	%D%/tls_mint.c \
	%D%/tls_p11_elf.c \
	%D%/tls_p11_uri.c \
	%D%/tls_peer.c \
	%D%/tls_pem.c \
	%D%/tls_policy.c \
	%D%/tls_ring.c \
	%D%/tls_sess.c \
	%D%/tls_trust.c \
	%D%/tls_verdict.c \
	%D%/tls_verify.c \
	%D%/tls_words.c \
	%D%/tls_x509.c
if HAVE_PKCS11
%C%_libtls_a_CPPFLAGS += $(P11KIT_CFLAGS)
%C%_libtls_a_SOURCES += %D%/tls_p11.c %D%/tls_p11_mod.c
else
%C%_libtls_a_SOURCES += %D%/tls_p11_none.c
endif
# Certificates that a CA issues for our keys.
noinst_HEADERS += include/bellbird/tls_issue.h
%C%_libtls_a_SOURCES += %D%/tls_issue.c
TLS_LIBS = tls/libtls.a base/libbase.a $(BSSL_LIBS) $(EVENT_LIBS) \
	$(CARES_LIBS) $(JANSSON_LIBS) -lpthread

if HAVE_CMOCKA
TLS_TESTS = tests/unit/test_tls_again \
	tests/unit/test_tls_bev tests/unit/test_tls_bev_end \
	tests/unit/test_tls_cert tests/unit/test_tls_churn \
	tests/unit/test_tls_conn tests/unit/test_tls_hash \
	tests/unit/test_tls_key tests/unit/test_tls_p11_uri tests/unit/test_tls_peer \
	tests/unit/test_tls_policy tests/unit/test_tls_sess \
	tests/unit/test_tls_stall tests/unit/test_tls_trust
check_PROGRAMS += $(TLS_TESTS)
TESTS += $(TLS_TESTS)
noinst_HEADERS += tests/unit/test_tls.h tests/unit/test_tls_bev.h \
	tests/unit/test_tls_conn.h
TLS_TEST_CPPFLAGS = $(AM_CPPFLAGS) $(BSSL_CFLAGS) $(EVENT_CFLAGS) \
	$(CMOCKA_CFLAGS) -iquote $(top_srcdir)/tests/lib
tests_unit_test_tls_again_CPPFLAGS = $(TLS_TEST_CPPFLAGS)
tests_unit_test_tls_again_LDADD = $(TLS_LIBS) $(TEST_LIBS)
tests_unit_test_tls_bev_CPPFLAGS = $(TLS_TEST_CPPFLAGS)
tests_unit_test_tls_bev_LDADD = $(TLS_LIBS) $(TEST_LIBS)
tests_unit_test_tls_bev_end_CPPFLAGS = $(TLS_TEST_CPPFLAGS)
tests_unit_test_tls_bev_end_LDADD = $(TLS_LIBS) $(TEST_LIBS)
tests_unit_test_tls_cert_CPPFLAGS = $(TLS_TEST_CPPFLAGS)
tests_unit_test_tls_cert_LDFLAGS = $(AM_LDFLAGS) $(WRAP_ALLOC)
tests_unit_test_tls_cert_LDADD = $(TLS_LIBS) $(TEST_LIBS)
tests_unit_test_tls_churn_CPPFLAGS = $(TLS_TEST_CPPFLAGS)
tests_unit_test_tls_churn_LDADD = $(TLS_LIBS) $(TEST_LIBS)
tests_unit_test_tls_conn_CPPFLAGS = $(TLS_TEST_CPPFLAGS)
tests_unit_test_tls_conn_LDADD = $(TLS_LIBS) $(TEST_LIBS)
tests_unit_test_tls_hash_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) \
	-iquote $(top_srcdir)/tests/lib
tests_unit_test_tls_hash_LDFLAGS = $(AM_LDFLAGS) $(WRAP_ALLOC)
tests_unit_test_tls_hash_LDADD = $(TLS_LIBS) $(TEST_LIBS)
TLS_TESTS += tests/unit/test_tls_issue
tests_unit_test_tls_issue_CPPFLAGS = $(TLS_TEST_CPPFLAGS)
tests_unit_test_tls_issue_LDADD = $(TLS_LIBS) $(TEST_LIBS)
tests_unit_test_tls_key_CPPFLAGS = $(TLS_TEST_CPPFLAGS)
tests_unit_test_tls_key_LDFLAGS = $(AM_LDFLAGS) $(WRAP_ALLOC)
tests_unit_test_tls_key_LDADD = $(TLS_LIBS) $(TEST_LIBS)
tests_unit_test_tls_p11_uri_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS)
tests_unit_test_tls_p11_uri_LDADD = $(TLS_LIBS) $(TEST_LIBS)
tests_unit_test_tls_peer_CPPFLAGS = $(TLS_TEST_CPPFLAGS)
tests_unit_test_tls_peer_LDADD = $(TLS_LIBS) $(TEST_LIBS)
tests_unit_test_tls_policy_CPPFLAGS = $(TLS_TEST_CPPFLAGS)
tests_unit_test_tls_policy_LDADD = $(TLS_LIBS) $(TEST_LIBS)
tests_unit_test_tls_sess_CPPFLAGS = $(TLS_TEST_CPPFLAGS)
tests_unit_test_tls_sess_LDADD = $(TLS_LIBS) $(TEST_LIBS)
tests_unit_test_tls_stall_CPPFLAGS = $(TLS_TEST_CPPFLAGS)
tests_unit_test_tls_stall_LDADD = $(TLS_LIBS) $(TEST_LIBS)
tests_unit_test_tls_trust_CPPFLAGS = $(TLS_TEST_CPPFLAGS)
tests_unit_test_tls_trust_LDFLAGS = $(AM_LDFLAGS) $(WRAP_ALLOC)
tests_unit_test_tls_trust_LDADD = $(TLS_LIBS) $(TEST_LIBS)
endif
