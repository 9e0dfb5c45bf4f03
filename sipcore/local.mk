# sipcore/: SIP; the only folder that sees libosip2's parser.
noinst_LIBRARIES += %D%/libsip.a
noinst_HEADERS +=
%C%_libsip_a_CPPFLAGS = $(AM_CPPFLAGS) $(OSIP_CFLAGS)
%C%_libsip_a_SOURCES =
SIP_LIBS = sipcore/libsip.a -losipparser2 $(TLS_LIBS)
