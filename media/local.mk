# media/: RTP, SRTP, codecs, devices; the only folder that sees libsrtp2 and
# Opus.  Below it: tls/, base/.
noinst_LIBRARIES += %D%/libmedia.a
noinst_HEADERS += include/bellbird/media_ring.h include/bellbird/media_sess.h include/bellbird/media_wav.h \
	%D%/internal.h tests/unit/test_media_offer.h \
	tests/unit/test_media_peer.h
%C%_libmedia_a_CPPFLAGS = $(AM_CPPFLAGS) $(SRTP_CFLAGS) $(OPUS_CFLAGS) \
	$(SPEEXDSP_CFLAGS) $(ALSA_CFLAGS)
%C%_libmedia_a_SOURCES = \
	%D%/media_agree.c \
	%D%/media_alsa.c \
	%D%/media_codec.c \
	%D%/media_crypto.c \
	%D%/media_dev.c \
	%D%/media_disk.c \
	%D%/media_dtmf.c \
	%D%/media_file.c \
	%D%/media_g711.c \
	%D%/media_jitter.c \
	%D%/media_net.c \
	%D%/media_offer.c \
	%D%/media_opus.c \
	%D%/media_plc.c \
	%D%/media_ring.c \
	%D%/media_rtcp.c \
	%D%/media_rtp.c \
	%D%/media_rx.c \
	%D%/media_sdp.c \
	%D%/media_sess.c \
	%D%/media_srtp.c \
	%D%/media_srtp_cipher.c \
	%D%/media_tone.c \
	%D%/media_tx.c \
	%D%/media_wav.c
MEDIA_LIBS = media/libmedia.a $(SRTP_LIBS) $(OPUS_LIBS) $(SPEEXDSP_LIBS) \
	$(TLS_LIBS) -lm

if HAVE_CMOCKA
MEDIA_TESTS = tests/unit/test_media_disk \
	tests/unit/test_media_g711 \
	tests/unit/test_media_jitter \
	tests/unit/test_media_offer \
	tests/unit/test_media_oom \
	tests/unit/test_media_opus \
	tests/unit/test_media_reoffer \
	tests/unit/test_media_ring \
	tests/unit/test_media_rtp \
	tests/unit/test_media_sdp \
	tests/unit/test_media_sess \
	tests/unit/test_media_srtp \
	tests/unit/test_media_tone \
	tests/unit/test_media_wav
check_PROGRAMS += $(MEDIA_TESTS)
TESTS += $(MEDIA_TESTS)
tests_unit_test_media_disk_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) \
	-iquote $(top_srcdir)/tests/lib -iquote $(top_srcdir)/media
tests_unit_test_media_disk_LDFLAGS = $(AM_LDFLAGS) $(WRAP_ALLOC)
tests_unit_test_media_disk_LDADD = $(MEDIA_LIBS) $(TEST_LIBS)
tests_unit_test_media_g711_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) \
	-iquote $(top_srcdir)/tests/lib -iquote $(top_srcdir)/media
tests_unit_test_media_g711_LDADD = $(MEDIA_LIBS) $(TEST_LIBS)
tests_unit_test_media_jitter_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) \
	-iquote $(top_srcdir)/tests/lib -iquote $(top_srcdir)/media
tests_unit_test_media_jitter_LDADD = $(MEDIA_LIBS) $(TEST_LIBS)
tests_unit_test_media_offer_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) \
	-iquote $(top_srcdir)/tests/lib -iquote $(top_srcdir)/media
tests_unit_test_media_offer_LDADD = $(MEDIA_LIBS) $(TEST_LIBS)
tests_unit_test_media_oom_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) \
	-iquote $(top_srcdir)/tests/lib -iquote $(top_srcdir)/media
tests_unit_test_media_oom_LDFLAGS = $(AM_LDFLAGS) $(WRAP_ALLOC)
tests_unit_test_media_oom_LDADD = $(MEDIA_LIBS) $(TEST_LIBS)
tests_unit_test_media_opus_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) \
	-iquote $(top_srcdir)/tests/lib -iquote $(top_srcdir)/media
tests_unit_test_media_opus_LDADD = $(MEDIA_LIBS) $(TEST_LIBS)
tests_unit_test_media_reoffer_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) \
	-iquote $(top_srcdir)/tests/lib -iquote $(top_srcdir)/media
tests_unit_test_media_reoffer_LDFLAGS = $(AM_LDFLAGS) $(WRAP_ALLOC)
tests_unit_test_media_reoffer_LDADD = $(MEDIA_LIBS) $(TEST_LIBS)
tests_unit_test_media_ring_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) \
	-iquote $(top_srcdir)/tests/lib -iquote $(top_srcdir)/media
tests_unit_test_media_ring_LDADD = $(MEDIA_LIBS) $(TEST_LIBS)
tests_unit_test_media_rtp_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) \
	-iquote $(top_srcdir)/tests/lib -iquote $(top_srcdir)/media
tests_unit_test_media_rtp_LDADD = $(MEDIA_LIBS) $(TEST_LIBS)
tests_unit_test_media_sdp_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) \
	-iquote $(top_srcdir)/tests/lib -iquote $(top_srcdir)/media
tests_unit_test_media_sdp_LDADD = $(MEDIA_LIBS) $(TEST_LIBS)
tests_unit_test_media_sess_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) \
	-iquote $(top_srcdir)/tests/lib -iquote $(top_srcdir)/media
tests_unit_test_media_sess_LDADD = $(MEDIA_LIBS) $(TEST_LIBS)
tests_unit_test_media_srtp_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) \
	-iquote $(top_srcdir)/tests/lib -iquote $(top_srcdir)/media
tests_unit_test_media_srtp_LDADD = $(MEDIA_LIBS) $(TEST_LIBS)
tests_unit_test_media_tone_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) \
	-iquote $(top_srcdir)/tests/lib -iquote $(top_srcdir)/media
tests_unit_test_media_tone_LDADD = $(MEDIA_LIBS) $(TEST_LIBS)
tests_unit_test_media_wav_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) \
	-iquote $(top_srcdir)/tests/lib -iquote $(top_srcdir)/media
tests_unit_test_media_wav_LDADD = $(MEDIA_LIBS) $(TEST_LIBS)
if HAVE_ALSA
check_PROGRAMS += tests/unit/test_media_alsa
TESTS += tests/unit/test_media_alsa
tests_unit_test_media_alsa_CPPFLAGS = $(AM_CPPFLAGS) $(CMOCKA_CFLAGS) \
	-iquote $(top_srcdir)/tests/lib -iquote $(top_srcdir)/media
tests_unit_test_media_alsa_LDADD = $(MEDIA_LIBS) $(TEST_LIBS)
endif
endif
