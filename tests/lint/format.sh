#!/bin/sh
# SPDX-License-Identifier: ISC
# format.sh -- fails where clang-format 14 would change a line.
set -eu
cd "${srcdir:-.}"
fmt=
for f in clang-format-14 clang-format; do
	command -v $f >/dev/null || continue
	case $($f --version) in
	*"version 14."*) fmt=$f && break ;;
	esac
done
[ -n "$fmt" ] || {
	echo "format.sh: clang-format 14 is not installed: skipped"
	exit 77
}
list=$(find base tls sipcore media prov src include tests -name '*.[ch]' 2>/dev/null | sort)
[ -n "$list" ] || {
	echo "format.sh:1: no source file found in $(pwd)"
	exit 1
}
bad=0
for f in $list; do
	# One line a place is enough: the tool adds the source and a caret.
	out=$($fmt --style=file --dry-run -Werror "$f" 2>&1) || bad=1
	echo "$out" | sed -n 's/^\([^:]*:[0-9]*\):[0-9]*: error: .*/\1: not as clang-format writes it/p' | sort -u -t: -k2,2n | head -5
done
exit $bad
