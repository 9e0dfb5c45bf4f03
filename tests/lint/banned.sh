#!/bin/sh
# SPDX-License-Identifier: ISC
# banned.sh -- fails on calls and words that the house does without, and says
# what to use.  Comments and strings are blanked first, so talking is free.
set -eu
cd "${srcdir:-.}"
list=$(find base tls sipcore media prov src include tests -name '*.[ch]' 2>/dev/null | sort)
[ -n "$list" ] || {
	echo "banned.sh:1: no source file found in $(pwd)"
	exit 1
}
# shellcheck disable=SC2086
awk '
function ban(names, why,    a, n, i) {
	n = split(names, a, " ")
	for (i = 1; i <= n; i++)
		reason[a[i]] = why
}
BEGIN {
	ban("strcpy strcat sprintf vsprintf gets stpcpy", "unbounded copy; use str.h or buf.h")
	ban("strncpy strncat", "truncates silently or leaves no NUL; use str.h")
	ban("atoi atol atoll atof sscanf", "no error result; use str_to_* of str.h")
	ban("strtok strtok_r", "changes its input; use struct slice")
	ban("alloca", "no bound; use an array or the heap")
	ban("signal", "use sigaction through loop.h")
	ban("system popen execl execlp execle execv execve execvp execvpe fexecve fork vfork posix_spawn posix_spawnp", "the program starts no child process")
	ban("rand srand random srandom drand48", "predictable; use tls_random")
	ban("getaddrinfo gethostbyname gethostbyaddr getnameinfo", "blocks the loop; use dns.h")
	ban("setjmp longjmp", "jumps over clean-up")
	# Also no output beside the log and the command line.
	ban("printf vprintf puts putchar", "output only in base/log.c, src/ctl/ctl_cli.c, src/ctl/ctl_text.c, src/main.c")
	split("printf vprintf puts putchar", a, " "); for (i in a) out[a[i]] = 1
	ban("time gettimeofday clock_gettime", "time only through clock.h")
	split("time gettimeofday clock_gettime", a, " "); for (i in a) tick[a[i]] = 1
	split("strcpy strcat sprintf vsprintf gets strncpy strncat sscanf atoi atol strtok alloca system popen", a, " "); for (i in a) intest[a[i]] = 1
}
# blank returns the line without comments and without what strings hold.
function blank(s,    r, i, c, two) {
	r = ""
	for (i = 1; i <= length(s); i++) {
		c = substr(s, i, 1); two = substr(s, i, 2)
		if (comment) {
			if (two == "*/") { comment = 0; i++ }
		} else if (quote != "") {
			if (c == "\\") i++
			else if (c == quote) { quote = ""; r = r c }
		} else if (two == "/*") {
			comment = 1; i++; r = r " "
		} else if (two == "//") {
			break
		} else {
			if (c == "\"" || c == "\047") quote = c
			r = r c
		}
	}
	if (quote != "" && substr(s, length(s), 1) != "\\") quote = ""
	return r
}
function say(what) { printf "%s:%d: %s\n", FILENAME, FNR, what; bad = 1 }
FNR == 1 { comment = 0; quote = ""; test = FILENAME ~ /^tests\// }
{
	raw = $0
	if (raw ~ /(^|[^A-Za-z0-9_])(TO[D]O|FIX[M]E|X[X]X)([^A-Za-z0-9_]|$)/)
		say("unfinished work is an issue, not a comment")
	code = blank(raw)
	rest = code; before = " "
	while (match(rest, /[A-Za-z_][A-Za-z0-9_]*[ \t]*\(/)) {
		prev = RSTART > 1 ? substr(rest, 1, RSTART - 1) : before
		name = substr(rest, RSTART, RLENGTH); sub(/[ \t]*\($/, "", name)
		before = substr(rest, RSTART, RLENGTH)
		rest = substr(rest, RSTART + RLENGTH)
		if (!(name in reason) || prev ~ /(\.|->)[ \t]*$/) continue
		if (test && !(name in intest)) continue
		if (name in out && FILENAME ~ /^(base\/log\.c|src\/ctl\/ctl_(cli|text)\.c|src\/main\.c)$/) continue
		if (name in tick && FILENAME ~ /^base\//) continue
		say(name "(): " reason[name])
	}
	if (code ~ /(^|[^A-Za-z0-9_])NDEBUG([^A-Za-z0-9_]|$)/)
		say("NDEBUG: asserts are never switched off")
	if (code ~ /memset[ \t]*\([^,]*(key|secret|passw|pwd|nonce)[^,]*,[ \t]*0/)
		say("memset() of a secret may be left out by the compiler; use mem_wipe()")
	if (code ~ /(^|[^A-Za-z0-9_])ignore_err[ \t]*\(/ && code !~ /#define/) { ign = FNR; text = "" }
	if (ign) {
		text = text raw
		if (code ~ /;[ \t]*$/) {
			if (text !~ /"[^"][^"][^"]+"/) say("ignore_err() without a reason")
			ign = 0
		}
	}
}
END { exit bad }' $list
