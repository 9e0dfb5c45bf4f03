# tls/: everything that touches BoringSSL.  Below it: base/.
noinst_LIBRARIES += %D%/libtls.a
noinst_HEADERS +=
%C%_libtls_a_CPPFLAGS = $(AM_CPPFLAGS) $(BSSL_CFLAGS) $(EVENT_CFLAGS)
%C%_libtls_a_SOURCES =
TLS_LIBS = tls/libtls.a base/libbase.a $(BSSL_LIBS) $(EVENT_LIBS) $(CARES_LIBS) $(JANSSON_LIBS) -lpthread
