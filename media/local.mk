# media/: RTP, SRTP, codecs, devices; the only folder that sees libsrtp2 and Opus.
noinst_LIBRARIES += %D%/libmedia.a
noinst_HEADERS +=
%C%_libmedia_a_CPPFLAGS = $(AM_CPPFLAGS) $(SRTP_CFLAGS) $(OPUS_CFLAGS) $(SPEEXDSP_CFLAGS) $(ALSA_CFLAGS)
%C%_libmedia_a_SOURCES =
MEDIA_LIBS = media/libmedia.a $(SRTP_LIBS) $(OPUS_LIBS) $(SPEEXDSP_LIBS) $(ALSA_LIBS) $(TLS_LIBS) -lm
