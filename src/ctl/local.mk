# src/ctl/: control socket, events, verbs, and the client side of them.
noinst_LIBRARIES += %D%/libctl.a
noinst_HEADERS +=
%C%_libctl_a_CPPFLAGS = $(AM_CPPFLAGS)
%C%_libctl_a_SOURCES =
CTL_LIBS = src/ctl/libctl.a
