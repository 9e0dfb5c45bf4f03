#!/bin/sh
# SPDX-License-Identifier: ISC
# size.sh -- fails on a function above CC 20 or 100 lines, a file above 1,000.
set -eu
cd "${srcdir:-.}"
command -v pmccabe >/dev/null || {
	echo "size.sh: pmccabe is not installed: skipped"
	exit 77
}
bad=0
list=$(find base tls sipcore media prov src include tests -name '*.[ch]' 2>/dev/null | sort)
[ -n "$list" ] || {
	echo "size.sh:1: no source file found in $(pwd)"
	exit 1
}
# pmccabe: modified CC, CC, statements, first line, lines, file(line): function
pmccabe $list | awk -F'\t' '
	{ file = $6; sub(/\([0-9]+\):.*/, "", file); fn = $6; sub(/^.*\): /, "", fn) }
	$1 > 20 { printf "%s:%d: %s has a cyclomatic complexity of %d (20 at most)\n", file, $4, fn, $1; bad = 1 }
	$5 > 100 { printf "%s:%d: %s has %d lines (100 at most)\n", file, $4, fn, $5; bad = 1 }
	END { exit bad }' || bad=1
for f in $list; do
	n=$(wc -l <"$f")
	[ "$n" -le 1000 ] || {
		echo "$f:$n: the file has $n lines (1,000 at most)"
		bad=1
	}
done
exit $bad
