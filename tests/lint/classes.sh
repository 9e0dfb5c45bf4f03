#!/bin/sh
# SPDX-License-Identifier: ISC
# classes.sh -- fails if a failure class in the code has no entry in
# docs/TROUBLESHOOTING.md, or if an entry names no class in the code; and if
# that page, docs/TLS.md or docs/COMPATIBILITY.md names a setting that
# prov/keys.def does not have.
#
# A class is a literal that starts with a word only classes start with, one that
# is given to a function that takes a class or to something called so, or what
# stands in brackets in a text.
set -eu
cd "${srcdir:-.}"
doc=docs/TROUBLESHOOTING.md
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# file:line:class of every class in the code.
find base tls sipcore media prov src -name '*.c' 2>/dev/null | LC_ALL=C sort | xargs awk '
function say(s) {
	if (match(s, /\[[a-z]+\.[a-z_]+\]/))
		print FILENAME ":" FNR ":" substr(s, RSTART + 1, RLENGTH - 2)
	if (s == "http.%d")
		s = "http.nnn"
	if (s !~ /^[a-z]+(\.[a-z0-9_]+)*$/ || s == "class" ||
	    stmt ~ /" *$|app_event\([^"]*$/) # the rest of a text, an event
		return
	if (s ~ /^(auth|body|cert|conf|dns|hs|http|key|mtls|srtp|tcp|trust)\.[a-z]/ ||
	    stmt ~ takes)
		print FILENAME ":" FNR ":" s
}
BEGIN {
	takes = "(^|[^a-z_])(report_fail|call_fail|est_fail|tls_explain|tls_finding|weak)\\([^\"]*$|" \
	    "(^|[^a-z_])class (=[^=]|!= NULL \\? class)|\\([^()]*\"class\",[^()]*$"
	token = "\"([^\"\\\\]|\\\\.)*\"|\047([^\047\\\\]|\\\\.)\047|/[*]|[;{}]"
}
FNR == 1 { stmt = ""; comment = 0 }
{
	rest = $0 " "
	while (rest != "") {
		if (comment) {
			if (!(i = index(rest, "*/")))
				break
			rest = substr(rest, i + 2)
			comment = 0
		}
		if (!match(rest, token)) {
			stmt = stmt rest
			break
		}
		t = substr(rest, RSTART, RLENGTH)
		stmt = stmt substr(rest, 1, RSTART - 1)
		rest = substr(rest, RSTART + RLENGTH)
		if (t == "/*")
			comment = 1
		else if (t ~ /^[;{}]$/)
			stmt = ""
		else if (t ~ /^"/) {
			say(substr(t, 2, length(t) - 2))
			stmt = stmt t
		}
	}
	gsub(/[ \t]+/, " ", stmt)
}
# The statuses with words of their own: { 404, "..., in the report.
FILENAME ~ /prov_report\.c$/ && match($0, /^\t\{ [1-5][0-9][0-9], "/) {
	print FILENAME ":" FNR ":http." substr($0, 4, 3)
}' >"$tmp/code"

# file:line:class of every entry: ### <a id="cert.expired"></a>cert.expired
[ ! -f $doc ] || page=$doc
awk -v doc=$doc '/^### / {
	while (match($0, /<a id="[^"]*"><\/a>[^ ]*/)) {
		split(substr($0, RSTART, RLENGTH), p, /"|<\/a>/)
		print doc ":" FNR ":" (p[2] == p[4] ? p[2] : p[2] " is headed " p[4])
		$0 = substr($0, RSTART + RLENGTH)
		n++
	}
	if (!n)
		print doc ":" FNR ":without an anchor"
	n = 0
}' ${page:-/dev/null} >"$tmp/doc"

awk -F: -v doc=$doc '
FILENAME ~ /code$/ { code[$3] = $1 ":" $2; next }
{
	if (!($3 in code))
		print $1 ":" $2 ": no class in the code: " $3
	if ($3 in entry)
		print $1 ":" $2 ": a second entry of " $3
	else if ($3 < last)
		print $1 ":" $2 ": not in the order of classes: " $3
	entry[$3] = 1
	last = $3
}
END {
	for (c in code)
		if (!(c in entry))
			print code[c] ": no entry in " doc ": " c
}' "$tmp/code" "$tmp/doc" >"$tmp/bad"

# Settings that these pages name; hosts and files are no settings.
[ ! -f prov/keys.def ] || keys=prov/keys.def
for f in $doc docs/TLS.md docs/COMPATIBILITY.md; do
	[ ! -f $f ] || awk -v f=$f '
	FILENAME ~ /keys\.def$/ {
		if (match($0, /^(KEY|GUARD|FAM|NA)\("[^"]*"/) && split($0, p, "\""))
			key[p[2]] = 1
		if (match($0, /^\t(KEY|GUARD)\(a "[^"]*"/) && split($0, p, "\""))
			tail[p[2]] = 1 # of ACCOUNT_TLS
		if (match($0, /^ACCOUNT_TLS\("[^"]*"/) && split($0, p, "\""))
			for (i in tail)
				key[p[2] i] = 1
		for (i = split($0, p, "\""); i > 1; i--)
			if (p[i] ~ /^[a-z0-9]+(\.[a-z0-9]+)+$/)
				key[p[i]] = 1 # an alias too
		next
	}
	FILENAME ~ /code$/ { split($0, p, ":"); key[p[3]] = 1; next }
	{
		while (match($0, /(^|[^A-Za-z0-9._\/@:-])(sip|prov|est|web|clock|media|device)\.[a-z0-9._]*N?[a-z0-9._]*[a-z0-9_*]/)) {
			k = substr($0, RSTART, RLENGTH)
			sub(/^[^a-z]/, "", k)
			$0 = substr($0, RSTART + RLENGTH)
			row = k # sip.alert3.user is of the row sip.alertN.user
			sub(/[0-9]+/, "N", row)
			if (!(k in key) && !(row in key) && k !~ /\*$/ && k !~ /example|\.(pem|crt|key|conf)$/)
				print f ":" FNR ": no such setting: " k
		}
	}' ${keys:-/dev/null} "$tmp/code" $f >>"$tmp/bad"
done
[ ! -s "$tmp/bad" ] || {
	LC_ALL=C sort -t: -k1,1 -k2,2n "$tmp/bad"
	exit 1
}
exit 0
