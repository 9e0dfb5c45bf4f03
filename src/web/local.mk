# src/web/: the HTTPS server.
noinst_LIBRARIES += %D%/libweb.a
noinst_HEADERS +=
%C%_libweb_a_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS)
%C%_libweb_a_SOURCES =
WEB_LIBS = src/web/libweb.a
