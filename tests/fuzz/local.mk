# tests/fuzz/: libFuzzer targets.  `make check` gives each the files of its
# corpus in every build; `make fuzzers` (--enable-fuzzers, clang) builds the
# fuzzers themselves: docs/TESTING.md.
EXTRA_DIST += %D%/corpus
noinst_HEADERS += %D%/fuzz.h %D%/seam.h
FUZZ_CPPFLAGS = $(AM_CPPFLAGS) -iquote $(top_srcdir)/%D%
FUZZ_WRAP_RANDOM = -Wl,--wrap=tls_random,--wrap=tls_random_id
FUZZ_WRAP = $(FUZZ_WRAP_RANDOM) \
	-Wl,--wrap=udp_open,--wrap=udp_free,--wrap=udp_send,--wrap=udp_local \
	-Wl,--wrap=udp_on_unreachable,--wrap=dns_naptr \
	-Wl,--wrap=addr_local_for,--wrap=dns_addr,--wrap=dns_srv,--wrap=dns_stop \
	-Wl,--wrap=tls_conn_connect,--wrap=tls_conn_set_cb,--wrap=tls_conn_free \
	-Wl,--wrap=tls_conn_write,--wrap=tls_conn_peek,--wrap=tls_conn_drain \
	-Wl,--wrap=tls_conn_remote,--wrap=tls_conn_local,--wrap=tls_conn_verdict \
	-Wl,--wrap=tls_conn_peer_has_name,--wrap=tls_listen_open \
	-Wl,--wrap=tls_listen_close,--wrap=tls_listen_local
REPLAYS = %D%/replay_digest %D%/replay_frame %D%/replay_msg %D%/replay_sdp %D%/replay_uri
check_PROGRAMS += $(REPLAYS)
TESTS += $(REPLAYS)
%C%_replay_digest_SOURCES = %D%/fuzz_digest.c %D%/replay.c
%C%_replay_digest_CPPFLAGS = $(FUZZ_CPPFLAGS) -DCORPUS='"$(abs_top_srcdir)/%D%/corpus/digest"'
%C%_replay_digest_LDADD = $(SIP_LIBS)
%C%_replay_frame_SOURCES = %D%/fuzz_frame.c %D%/replay.c
%C%_replay_frame_CPPFLAGS = $(FUZZ_CPPFLAGS) -DCORPUS='"$(abs_top_srcdir)/%D%/corpus/frame"'
%C%_replay_frame_LDADD = $(SIP_LIBS)
%C%_replay_msg_SOURCES = %D%/fuzz_msg.c %D%/replay.c %D%/seam.c %D%/seam_random.c
%C%_replay_msg_CPPFLAGS = $(FUZZ_CPPFLAGS) -DCORPUS='"$(abs_top_srcdir)/%D%/corpus/msg"'
%C%_replay_msg_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_WRAP)
%C%_replay_msg_LDADD = $(SIP_LIBS)
%C%_replay_sdp_SOURCES = %D%/fuzz_sdp.c %D%/replay.c %D%/seam_random.c
%C%_replay_sdp_CPPFLAGS = $(FUZZ_CPPFLAGS) -DCORPUS='"$(abs_top_srcdir)/%D%/corpus/sdp"'
%C%_replay_sdp_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_WRAP_RANDOM)
%C%_replay_sdp_LDADD = $(MEDIA_LIBS)
%C%_replay_uri_SOURCES = %D%/fuzz_uri.c %D%/replay.c
%C%_replay_uri_CPPFLAGS = $(FUZZ_CPPFLAGS) -DCORPUS='"$(abs_top_srcdir)/%D%/corpus/uri"'
%C%_replay_uri_LDADD = $(SIP_LIBS)

FUZZERS = %D%/fuzz_digest %D%/fuzz_frame %D%/fuzz_msg %D%/fuzz_sdp %D%/fuzz_uri
EXTRA_PROGRAMS = $(FUZZERS)
%C%_fuzz_digest_SOURCES = %D%/fuzz_digest.c
%C%_fuzz_digest_CPPFLAGS = $(FUZZ_CPPFLAGS)
%C%_fuzz_digest_LDFLAGS = $(AM_LDFLAGS) $(FUZZER_LDFLAGS)
%C%_fuzz_digest_LDADD = $(SIP_LIBS)
%C%_fuzz_frame_SOURCES = %D%/fuzz_frame.c
%C%_fuzz_frame_CPPFLAGS = $(FUZZ_CPPFLAGS)
%C%_fuzz_frame_LDFLAGS = $(AM_LDFLAGS) $(FUZZER_LDFLAGS)
%C%_fuzz_frame_LDADD = $(SIP_LIBS)
%C%_fuzz_msg_SOURCES = %D%/fuzz_msg.c %D%/seam.c %D%/seam_random.c
%C%_fuzz_msg_CPPFLAGS = $(FUZZ_CPPFLAGS)
%C%_fuzz_msg_LDFLAGS = $(AM_LDFLAGS) $(FUZZER_LDFLAGS) $(FUZZ_WRAP)
%C%_fuzz_msg_LDADD = $(SIP_LIBS)
%C%_fuzz_sdp_SOURCES = %D%/fuzz_sdp.c %D%/seam_random.c
%C%_fuzz_sdp_CPPFLAGS = $(FUZZ_CPPFLAGS)
%C%_fuzz_sdp_LDFLAGS = $(AM_LDFLAGS) $(FUZZER_LDFLAGS) $(FUZZ_WRAP_RANDOM)
%C%_fuzz_sdp_LDADD = $(MEDIA_LIBS)
%C%_fuzz_uri_SOURCES = %D%/fuzz_uri.c
%C%_fuzz_uri_CPPFLAGS = $(FUZZ_CPPFLAGS)
%C%_fuzz_uri_LDFLAGS = $(AM_LDFLAGS) $(FUZZER_LDFLAGS)
%C%_fuzz_uri_LDADD = $(SIP_LIBS)

.PHONY: fuzzers
fuzzers: $(FUZZERS)
