# sipcore/: SIP; the only folder that sees libosip2's parser.
noinst_LIBRARIES += %D%/libsip.a
noinst_HEADERS += include/bellbird/sip_auth.h include/bellbird/sip_call.h include/bellbird/sip_limits.h \
	include/bellbird/sip_refer.h include/bellbird/sip_sub.h \
	include/bellbird/sip_reg.h include/bellbird/sip_stack.h include/bellbird/sip_trace.h
%C%_libsip_a_CPPFLAGS = $(AM_CPPFLAGS) $(OSIP_CFLAGS)
%C%_libsip_a_SOURCES = %D%/internal.h %D%/reg_internal.h %D%/sip_allow.c %D%/sip_auth.c \
	%D%/sip_auth_server.c %D%/sip_call.c %D%/sip_call_in.c %D%/sip_call_info.c %D%/sip_call_out.c \
	%D%/sip_call_re.c %D%/sip_call_start.c %D%/sip_dispatch.c %D%/sip_dlg.c %D%/sip_done.c %D%/sip_err.c \
	%D%/sip_frame.c %D%/sip_hash.c %D%/sip_listen.c %D%/sip_msg.c %D%/sip_ping.c %D%/sip_reg.c \
	%D%/sip_reg_conf.c %D%/sip_reg_msg.c %D%/sip_reg_poll.c %D%/sip_reg_retry.c %D%/sip_reg_way.c %D%/sip_req.c %D%/sip_route.c \
	%D%/sip_session.c %D%/sip_stack.c %D%/sip_target.c %D%/sip_tp.c %D%/sip_txn.c %D%/sip_udp.c %D%/sip_uri.c \
	%D%/sip_mask.c %D%/sip_pcap.c %D%/sip_trace.c \
	%D%/sip_write.c
%C%_libsip_a_SOURCES += %D%/sip_part.c
%C%_libsip_a_SOURCES += %D%/sip_reg_call.c %D%/sip_reg_net.c %D%/sip_stun.c
# Transfer, subscriptions, digits, text.
%C%_libsip_a_SOURCES += %D%/sip_info.c %D%/sip_refer.c %D%/sip_refer_in.c %D%/sip_replaces.c \
	%D%/sip_notify.c %D%/sip_sub.c %D%/sip_text.c

# Early dialogs, reliable answers, redirection, reasons, and a call's flow.
%C%_libsip_a_SOURCES += %D%/call_internal.h %D%/sip_call_flow.c %D%/sip_early.c %D%/sip_headers.c %D%/sip_reason.c \
	%D%/sip_redirect.c %D%/sip_rel.c

SIP_LIBS = sipcore/libsip.a -losipparser2 $(TLS_LIBS)
%C%_libsip_a_SOURCES += %D%/sip_peer.c

if HAVE_CMOCKA
SIP_TEST_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) -iquote $(top_srcdir)/tests/lib \
	-DTESTDATA='"$(abs_top_srcdir)/tests/data"'
SIP_TESTS = tests/unit/test_sip_account tests/unit/test_sip_auth tests/unit/test_sip_big tests/unit/test_sip_call tests/unit/test_sip_call_way \
	tests/unit/test_sip_dlg tests/unit/test_sip_failover tests/unit/test_sip_frame tests/unit/test_sip_msg tests/unit/test_sip_reg \
	tests/unit/test_sip_route tests/unit/test_sip_session tests/unit/test_sip_target tests/unit/test_sip_txn tests/unit/test_sip_uri
SIP_TESTS += tests/unit/test_sip_allow tests/unit/test_sip_stream tests/unit/test_sip_torture
noinst_HEADERS += tests/unit/test_sip_torture.h
EXTRA_DIST += tests/data/torture.txt
SIP_TESTS += tests/unit/test_sip_sips
SIP_TESTS += tests/unit/test_sip_trace
SIP_TESTS += tests/unit/test_sip_flow tests/unit/test_sip_outbound
SIP_TESTS += tests/unit/test_sip_flow
SIP_TESTS += tests/unit/test_sip_cut
SIP_TESTS += tests/unit/test_sip_refer tests/unit/test_sip_sub
tests_unit_test_sip_sub_CPPFLAGS = $(SIP_TEST_CPPFLAGS)
tests_unit_test_sip_sub_LDADD = $(SIP_LIBS) $(TEST_LIBS)
tests_unit_test_sip_refer_CPPFLAGS = $(SIP_TEST_CPPFLAGS)
tests_unit_test_sip_refer_LDADD = $(SIP_LIBS) $(TEST_LIBS)
SIP_TESTS += tests/unit/test_sip_way
tests_unit_test_sip_way_CPPFLAGS = $(SIP_TEST_CPPFLAGS)
tests_unit_test_sip_way_LDADD = $(SIP_LIBS) $(TEST_LIBS)
# Message flows as data.
SIP_TESTS += tests/unit/test_sip_play
noinst_HEADERS += tests/unit/test_sip_play.h
EXTRA_DIST += tests/data/flows/README.md tests/data/flows/dialog.txt tests/data/flows/early.txt \
	tests/data/flows/redirect.txt tests/data/flows/reliable.txt tests/data/flows/rfc3665.txt \
	tests/data/flows/session.txt tests/data/flows/update.txt
tests_unit_test_sip_play_CPPFLAGS = $(SIP_TEST_CPPFLAGS)
tests_unit_test_sip_play_LDADD = $(SIP_LIBS) $(TEST_LIBS)
check_PROGRAMS += $(SIP_TESTS) tests/unit/test_sip_scale
TESTS += $(SIP_TESTS) tests/unit/test_sip_scale
noinst_HEADERS += tests/unit/test_sip.h tests/unit/test_sip_call.h tests/unit/test_sip_tls.h
tests_unit_test_sip_account_CPPFLAGS = $(SIP_TEST_CPPFLAGS)
tests_unit_test_sip_account_LDADD = $(SIP_LIBS) $(TEST_LIBS)
tests_unit_test_sip_auth_CPPFLAGS = $(SIP_TEST_CPPFLAGS)
tests_unit_test_sip_auth_LDADD = $(SIP_LIBS) $(TEST_LIBS)
tests_unit_test_sip_big_CPPFLAGS = $(SIP_TEST_CPPFLAGS)
tests_unit_test_sip_big_LDADD = $(SIP_LIBS) $(TEST_LIBS)
tests_unit_test_sip_call_CPPFLAGS = $(SIP_TEST_CPPFLAGS)
tests_unit_test_sip_call_LDFLAGS = $(AM_LDFLAGS) $(WRAP_ALLOC)
tests_unit_test_sip_call_LDADD = $(SIP_LIBS) $(TEST_LIBS)
tests_unit_test_sip_cut_CPPFLAGS = $(SIP_TEST_CPPFLAGS)
tests_unit_test_sip_cut_LDADD = $(SIP_LIBS) $(TEST_LIBS)
tests_unit_test_sip_call_way_CPPFLAGS = $(SIP_TEST_CPPFLAGS)
tests_unit_test_sip_call_way_LDADD = $(SIP_LIBS) $(TEST_LIBS)
tests_unit_test_sip_dlg_CPPFLAGS = $(SIP_TEST_CPPFLAGS)
tests_unit_test_sip_dlg_LDADD = $(SIP_LIBS) $(TEST_LIBS)
tests_unit_test_sip_failover_CPPFLAGS = $(SIP_TEST_CPPFLAGS)
tests_unit_test_sip_failover_LDADD = $(SIP_LIBS) $(TEST_LIBS)
tests_unit_test_sip_outbound_CPPFLAGS = $(SIP_TEST_CPPFLAGS)
tests_unit_test_sip_outbound_LDADD = $(SIP_LIBS) $(TEST_LIBS)
tests_unit_test_sip_flow_CPPFLAGS = $(SIP_TEST_CPPFLAGS)
tests_unit_test_sip_flow_LDADD = $(SIP_LIBS) $(TEST_LIBS)
tests_unit_test_sip_frame_CPPFLAGS = $(SIP_TEST_CPPFLAGS)
tests_unit_test_sip_frame_LDADD = $(SIP_LIBS) $(TEST_LIBS)
tests_unit_test_sip_msg_CPPFLAGS = $(SIP_TEST_CPPFLAGS)
tests_unit_test_sip_msg_LDFLAGS = $(AM_LDFLAGS) $(WRAP_ALLOC)
tests_unit_test_sip_msg_LDADD = $(SIP_LIBS) $(TEST_LIBS)
tests_unit_test_sip_reg_CPPFLAGS = $(SIP_TEST_CPPFLAGS)
tests_unit_test_sip_reg_LDFLAGS = $(AM_LDFLAGS) $(WRAP_ALLOC)
tests_unit_test_sip_reg_LDADD = $(SIP_LIBS) $(TEST_LIBS)
tests_unit_test_sip_route_CPPFLAGS = $(SIP_TEST_CPPFLAGS)
tests_unit_test_sip_route_LDADD = $(SIP_LIBS) $(TEST_LIBS)
tests_unit_test_sip_session_CPPFLAGS = $(SIP_TEST_CPPFLAGS)
tests_unit_test_sip_session_LDADD = $(SIP_LIBS) $(TEST_LIBS)
tests_unit_test_sip_sips_CPPFLAGS = $(SIP_TEST_CPPFLAGS)
tests_unit_test_sip_sips_LDADD = $(SIP_LIBS) $(TEST_LIBS)
tests_unit_test_sip_target_CPPFLAGS = $(SIP_TEST_CPPFLAGS)
tests_unit_test_sip_target_LDADD = $(SIP_LIBS) $(TEST_LIBS)
tests_unit_test_sip_allow_CPPFLAGS = $(SIP_TEST_CPPFLAGS)
tests_unit_test_sip_allow_LDADD = $(SIP_LIBS) $(TEST_LIBS)
tests_unit_test_sip_stream_CPPFLAGS = $(SIP_TEST_CPPFLAGS)
tests_unit_test_sip_stream_LDADD = $(SIP_LIBS) $(TEST_LIBS)
tests_unit_test_sip_torture_CPPFLAGS = $(SIP_TEST_CPPFLAGS)
tests_unit_test_sip_torture_LDADD = $(SIP_LIBS) $(TEST_LIBS)
tests_unit_test_sip_scale_CPPFLAGS = $(SIP_TEST_CPPFLAGS)
tests_unit_test_sip_scale_LDADD = $(SIP_LIBS) $(TEST_LIBS)
tests_unit_test_sip_trace_CPPFLAGS = $(SIP_TEST_CPPFLAGS)
tests_unit_test_sip_trace_LDFLAGS = $(AM_LDFLAGS) $(WRAP_ALLOC)
tests_unit_test_sip_trace_LDADD = $(SIP_LIBS) $(TEST_LIBS)
tests_unit_test_sip_txn_CPPFLAGS = $(SIP_TEST_CPPFLAGS)
tests_unit_test_sip_txn_LDFLAGS = $(AM_LDFLAGS) $(WRAP_ALLOC)
tests_unit_test_sip_txn_LDADD = $(SIP_LIBS) $(TEST_LIBS)
tests_unit_test_sip_uri_CPPFLAGS = $(SIP_TEST_CPPFLAGS)
tests_unit_test_sip_uri_LDADD = $(SIP_LIBS) $(TEST_LIBS)
endif
