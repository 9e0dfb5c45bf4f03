# src/: the program; the only place where sipcore/ and media/ meet.
bin_PROGRAMS += %D%/bellbird
%C%_bellbird_SOURCES = %D%/main.c
%C%_bellbird_LDADD = $(CTL_LIBS) $(WEB_LIBS) prov/libprov.a sipcore/libsip.a -losipparser2 \
	$(MEDIA_LIBS)
