# docs/ and man/: shipped texts.
EXTRA_DIST += %D%/ARCHITECTURE.md %D%/COMPATIBILITY.md %D%/DEPENDENCIES.md %D%/RFC.md %D%/STABILITY.md \
	%D%/TESTING.md %D%/TLS.md %D%/TROUBLESHOOTING.md
dist_man_MANS += man/bellbird.8
