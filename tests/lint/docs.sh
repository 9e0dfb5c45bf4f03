#!/bin/sh
# SPDX-License-Identifier: ISC
# docs.sh -- fails if docs/RFC.md names a file that is not there, or if a verb
# of the command line (src/ctl/ctl_verb.c) is not in man/bellbird.8.
set -eu
cd "${srcdir:-.}"
bad=0

for f in $(grep -o '`[a-z]*/[a-z0-9_/]*\.[a-z]*`' docs/RFC.md | tr -d '`' |
	sort -u); do
	if [ ! -f "$f" ]; then
		echo "docs/RFC.md: there is no $f"
		bad=1
	fi
done
[ "$(grep -c '^| RFC' docs/RFC.md)" -ge 20 ] || {
	echo "docs/RFC.md: fewer than 20 rows"
	bad=1
}

verbs=$(sed -n 's/^	{ "\([a-z -]*\)", CTL_[A-Z]*,.*/\1/p' src/ctl/ctl_verb.c)
[ -n "$verbs" ] || {
	echo "src/ctl/ctl_verb.c: no verb found"
	exit 1
}
echo "$verbs" | while IFS= read -r verb; do
	grep -q "^\.\(It \)\{0,1\}Cm $verb\( \|\$\)" man/bellbird.8 ||
		echo "man/bellbird.8: the verb $verb is not explained"
done >"${TMPDIR:-/tmp}/docs.$$"
cat "${TMPDIR:-/tmp}/docs.$$"
[ -s "${TMPDIR:-/tmp}/docs.$$" ] && bad=1
rm -f "${TMPDIR:-/tmp}/docs.$$"
exit $bad
