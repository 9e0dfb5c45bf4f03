# prov/: settings, their files, and where they come from.
noinst_LIBRARIES += %D%/libprov.a
noinst_HEADERS +=
%C%_libprov_a_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS)
%C%_libprov_a_SOURCES =
PROV_LIBS = prov/libprov.a $(TLS_LIBS)
