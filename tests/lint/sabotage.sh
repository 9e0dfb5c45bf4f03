#!/bin/sh
# SPDX-License-Identifier: ISC
# sabotage.sh -- each of the other lint scripts must find a planted fault, with
# its file and line; a check that cannot fail proves nothing.
set -eu
here=$(cd "${srcdir:-.}/tests/lint" && pwd)
top=$(cd "${srcdir:-.}" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
bad=0
tree() { # a small clean tree
	rm -rf "$tmp/t" && mkdir -p "$tmp/t/include/bellbird" "$tmp/t/base" "$tmp/t/sipcore" "$tmp/t/src"
	cp "$top/.clang-format" "$tmp/t/"
	printf '/* SPDX-License-Identifier: ISC */\n#ifndef BELLBIRD_SIP_ONE_H\n#define BELLBIRD_SIP_ONE_H\n\n/* sip_one returns one. */\nint sip_one(void);\n\n#endif\n' >"$tmp/t/include/bellbird/sip_one.h"
	printf '#include "bellbird/sip_one.h"\n\nint\nsip_one(void)\n{\n\treturn 1;\n}\n' >"$tmp/t/sipcore/sip_one.c"
	printf 'int log_one;\n' >"$tmp/t/base/log.c"
}
check() { # script, expected line ("" = clean), what
	rc=0
	out=$(cd "$tmp/t" && srcdir=. BELLBIRD="${bin:-}" sh "$here/$1" 2>&1) || rc=$?
	if [ $rc = 77 ]; then
		echo "skipped: $1: $out"
	elif [ -z "$2" ] && [ $rc != 0 ]; then
		echo "tests/lint/$1:1: fails on a clean tree: $out" && bad=1
	elif [ -n "$2" ] && { [ $rc = 0 ] || ! echo "$out" | grep -q "^$2"; }; then
		echo "tests/lint/$1:1: does not find: $3 (said: $out)" && bad=1
	fi
}
plant() { # file, text
	mkdir -p "$tmp/t/${1%/*}"
	printf "$2" >>"$tmp/t/$1"
}
for s in layers size banned headers format names classes; do
	tree
	check $s.sh "" ""
done
tree && plant base/up.c '#include <string.h>\n#include "bellbird/sip_one.h"\n'
check layers.sh base/up.c:2 "base includes sipcore"
tree && plant sipcore/x.c '#include <openssl/ssl.h>\n'
check layers.sh sipcore/x.c:1 "openssl outside tls"
tree && plant src/web/web_page.c '#include <event2/http.h>\n'
check layers.sh src/web/web_page.c:1 "evhttp outside web_server.c"
tree && plant src/ctl/y.c '#include "bellbird/sip_one.h"\n#include "bellbird/media_x.h"\n'
check layers.sh src/ctl/y.c:1 "sip and media in one file below src"
tree && plant sipcore/z.c '#include "../base/internal.h"\n'
check layers.sh sipcore/z.c:1 "a private header of another folder"
tree && plant base/long.c 'void f(void);\nvoid\nf(void)\n{\n' && {
	for i in $(seq 101); do plant base/long.c '\tg();\n'; done
	plant base/long.c '}\n'
}
check size.sh base/long.c: "a function of 104 lines"
tree && plant base/cc.c 'int\nf(int a)\n{\n' && {
	for i in $(seq 21); do plant base/cc.c "\\tif (a == $i)\\n\\t\\ta++;\\n"; done
	plant base/cc.c '\treturn a;\n}\n'
}
check size.sh base/cc.c: "a complexity of 22"
tree && for i in $(seq 1001); do echo "int x$i;"; done >"$tmp/t/base/file.c"
check size.sh base/file.c:1001 "a file of 1,001 lines"
for f in 'strcpy(a, b)' 'x = atoi(b)' 'system("ls")' 'printf("x")' 'getaddrinfo(a, b, c, d)' 'execve(a, b, c)' \
    'memset(key, 0, 16)' 'ignore_err(f())' 't = time(NULL)' '/* XX''X later */'; do
	tree && plant sipcore/b.c "int a;\n/* strcpy( in a comment */ const char *s = \"atoi(\";\n$f;\n"
	check banned.sh sipcore/b.c:3 "$f"
done
tree && plant base/log.c 'printf("x");\n'
check banned.sh "" "printf in base/log.c is allowed"
tree && plant include/bellbird/two.h '#ifndef BELLBIRD_TWO_H\n#define BELLBIRD_TWO_H\n\nint two(void);\n\n#endif\n'
check headers.sh include/bellbird/two.h:4 "a prototype without a comment"
tree && plant include/bellbird/two.h '#ifndef BELLBIRD_2_H\n#define BELLBIRD_2_H\n#endif\n'
check headers.sh include/bellbird/two.h:1 "a wrong guard"
tree && plant include/bellbird/two.h '#ifndef BELLBIRD_TWO_H\n#define BELLBIRD_TWO_H\n/* two */\nsize_t two(void);\n#endif\n'
check headers.sh include/bellbird/two.h:4 "a header that does not compile alone"
tree && plant base/f.c 'int  x;\n'
check format.sh base/f.c:1 "a line clang-format would change"
tree && plant docs/a.md 'see\n/wor''k/main/x\n'
check names.sh docs/a.md:2 "a path of one machine"
tree && plant docs/a.md 'pip from pyp''i.org\n'
check names.sh docs/a.md:1 "a registry"
tree && plant tls/c.c 'int a;\n/* "cert.no" */\ntls_explain(v, "cert.odd", "is odd");\n'
check classes.sh tls/c.c:3 "a class without an entry"
tree && plant src/c.c 'report_fail(r, E_X,\n    "odd", "it is odd", "try again");\n'
check classes.sh src/c.c:2 "a class of one word without an entry"
tree && plant tls/c.c 'return "the key is odd "\n       "[key.odd]";\n'
check classes.sh tls/c.c:2 "a class in a text without an entry"
tree && plant docs/TROUBLESHOOTING.md '# T\n### <a id="cert.gone"></a>cert.gone\n'
check classes.sh docs/TROUBLESHOOTING.md:2 "an entry without a class"
tree && plant tls/c.c 'class = "hs.b";\nclass = "hs.a";\n' && plant docs/TROUBLESHOOTING.md \
    '### <a id="hs.b"></a>hs.b\n### <a id="hs.a"></a>hs.a\n'
check classes.sh docs/TROUBLESHOOTING.md:2 "entries out of order"
tree && plant prov/keys.def 'KEY("sip.tls.trust", LIST)\n' && plant docs/TLS.md '`sip.tls.trust`\n`sip.tls.thrust`\n'
check classes.sh docs/TLS.md:2 "a setting that is none"
# Programs: OpenSSL inside, and no BoringSSL at all.
for pair in /usr/bin/openssl:'OpenSSL in the process' /bin/true:'no BoringSSL'; do
	bin=${pair%%:*}
	[ -f "$bin" ] || continue
	tree
	check openssl.sh "$bin:1: .*${pair#*:}" "$pair"
done
exit $bad
