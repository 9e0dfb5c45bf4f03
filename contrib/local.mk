# contrib/: units, init scripts, sample configuration, CAs.
EXTRA_DIST += %D%/bellbird.service.in %D%/bellbird.sysusers \
	%D%/init/bellbird.sysv %D%/init/bellbird.procd \
	%D%/init/bellbird-p11-kit.service
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
if WITH_CA_BUNDLE
# The day is that of the file: its age counts, not that of the build.
nodist_pkgdata_DATA = %D%/ca-bundle.pem
%D%/ca-bundle.pem: $(CA_BUNDLE)
	$(AM_V_GEN)$(MKDIR_P) %D% && { \
	date -u -r "$(CA_BUNDLE)" "+# bellbird CA snapshot %Y-%m-%d" && \
	cat "$(CA_BUNDLE)"; } > $@
CLEANFILES += %D%/ca-bundle.pem
endif
