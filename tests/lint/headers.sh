#!/bin/sh
# SPDX-License-Identifier: ISC
# headers.sh -- each shared header compiles alone, has the guard of its name, and
# a comment above (or beside) each prototype or each group of prototypes.
set -eu
cd "${srcdir:-.}"
cc=${CC:-gcc}
bad=0
seen=0
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
for f in include/bellbird/*.h; do
	[ -f "$f" ] || continue
	seen=$((seen + 1))
	name=${f##*/}
	guard=BELLBIRD_$(echo "${name%.h}" | tr '[:lower:].-' '[:upper:]__')_H
	grep -q "^#ifndef $guard\$" "$f" && grep -q "^#define $guard\$" "$f" || {
		echo "$f:1: the guard is not $guard"
		bad=1
	}
	# Through a file of its own: a header as main file would hide a missing guard.
	printf '#include "bellbird/%s"\n#include "bellbird/%s"\n' "$name" "$name" >"$tmp/alone.c"
	$cc -std=gnu11 -Wall -Wextra -Werror -fsyntax-only -iquote include "$tmp/alone.c" 2>"$tmp/err" || {
		sed -n 's/^\([^:]*:[0-9]*\):[0-9]*: \(error.*\)/\1: does not compile alone: \2/p' "$tmp/err" | head -5
		grep -q error "$tmp/err" || cat "$tmp/err"
		bad=1
	}
	awk '
	function strip(s) { gsub(/\/\*([^*]|\*+[^*\/])*\*+\//, "", s); return s }
	# A paragraph is a run of lines without a blank one; one comment serves it.
	/^[ \t]*$/ && !incomment { documented = 0; next }
	incomment { if (/\*\//) incomment = 0; if (depth == 0 && stmt == "") documented = 1; next }
	/^[ \t]*#/ { while (/\\$/) if ((getline) <= 0) break; next }
	{
		line = $0
		if (line ~ /^[ \t]*\/\*/ && depth == 0 && stmt == "") documented = 1
		else if (line ~ /\/\*/ && depth == 0) beside = 1
		s = strip(line)
		if (s ~ /\/\*/) { incomment = 1; sub(/\/\*.*/, "", s) }
		line = s
		if (line ~ /^[ \t]*$/) next
		if (stmt == "" && depth == 0) first = FNR
		stmt = stmt " " line
		depth += gsub(/\{/, "{", line) - gsub(/\}/, "}", line)
		if (depth > 0 || line !~ /[;}][ \t]*$/) next
		s = stmt; stmt = ""; b = beside; beside = 0
		if (s ~ /^ *static/ || s ~ /\{/ || s !~ /\(/ || s ~ /^ *(typedef|enum)/) next
		if (b) documented = 1
		if (!documented) {
			gsub(/[ \t]+/, " ", s)
			printf "%s:%d: no comment above%s\n", FILENAME, first, substr(s, 1, 70); bad = 1
		}
	}
	END { exit bad }' "$f" || bad=1
done
[ $seen -gt 0 ] || {
	echo "headers.sh:1: no header found in $(pwd)/include/bellbird"
	bad=1
}
exit $bad
