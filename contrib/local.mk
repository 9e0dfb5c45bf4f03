# contrib/: units, init scripts, sample configuration.
EXTRA_DIST += %D%/bellbird.service.in %D%/bellbird.sysusers \
	%D%/init/bellbird.sysv %D%/init/bellbird.procd
%D%/bellbird.service: $(srcdir)/%D%/bellbird.service.in Makefile
	$(AM_V_GEN)$(MKDIR_P) %D% && \
	sed 's,[@]bindir[@],$(bindir),' $(srcdir)/%D%/bellbird.service.in > $@
CLEANFILES += %D%/bellbird.service
if WITH_SYSTEMD
systemdsystemunit_DATA = %D%/bellbird.service
sysusersdir = $(prefix)/lib/sysusers.d
nodist_sysusers_DATA = %D%/bellbird.conf
%D%/bellbird.conf: $(srcdir)/%D%/bellbird.sysusers
	$(AM_V_GEN)$(MKDIR_P) %D% && cp $(srcdir)/%D%/bellbird.sysusers $@
CLEANFILES += %D%/bellbird.conf
endif
dist_doc_DATA = %D%/bellbird.conf.sample
