# base/: the ground floor; libevent, c-ares and jansson are seen here.
noinst_LIBRARIES += %D%/libbase.a
noinst_HEADERS += include/bellbird/addr.h include/bellbird/buf.h include/bellbird/clock.h \
	include/bellbird/dns.h include/bellbird/err.h include/bellbird/file.h include/bellbird/json.h \
	include/bellbird/log.h include/bellbird/loop.h include/bellbird/mem.h include/bellbird/str.h \
	include/bellbird/udp.h include/bellbird/worker.h
%C%_libbase_a_CPPFLAGS = $(AM_CPPFLAGS) $(EVENT_CFLAGS) $(CARES_CFLAGS) $(JANSSON_CFLAGS)
%C%_libbase_a_SOURCES =
BASE_LIBS = base/libbase.a $(EVENT_LIBS) $(CARES_LIBS) $(JANSSON_LIBS) -lpthread
