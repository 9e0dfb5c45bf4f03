#!/bin/sh
# SPDX-License-Identifier: ISC
# names.sh -- fails on paths of one machine and on package registries' hosts in
# tracked files: a clone builds from the distribution's packages alone.
set -eu
cd "${srcdir:-.}"
if [ -e .git ] && command -v git >/dev/null; then
	list() { git -c safe.directory='*' ls-files -z --cached --others --exclude-standard; }
else
	list() { find . -type f ! -path './.git/*' ! -path './build/*' ! -path './_[bi]*/*' ! -name '*.[oa]' \
	    ! -name '*.log' ! -name '*.trs' ! -name config.status -print0 | sed -z 's,^./,,'; }
fi
# Brackets keep this file from finding itself.
paths='(^|[^A-Za-z0-9_.$}])/(wor[k]|tmp/b[b]|roo[t]|home/[a-z][a-z0-9_-]*|User[s])/'
hosts='pyp[i]\.org|pythonhoste[d]\.org|npmj[s]\.(org|com)|crate[s]\.io|rubygem[s]\.org|prox[y]\.golang\.org|docke[r]\.io|ghc[r]\.io|qua[y]\.io|deb\.debia[n]\.org|snapsho[t]\.debian\.org|huggingfac[e]\.co'
found=$(list | xargs -0 grep -InE -e "$paths" -e "$hosts" -- /dev/null) || {
	[ $? -le 123 ] || exit 1
	found=
}
[ -z "$found" ] || {
	echo "$found" | awk '{ split($0, p, ":"); sub(/^[^:]*:[^:]*:/, ""); printf "%s:%s: a path of one machine or a registry: %s\n", p[1], p[2], substr($0, 1, 100) }'
	exit 1
}
n=$(list | tr -cd '\000' | wc -c)
[ "$n" -gt 0 ] || {
	echo "names.sh:1: no file found in $(pwd)"
	exit 1
}
exit 0
