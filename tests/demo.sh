#!/bin/bash
# SPDX-License-Identifier: ISC
# demo.sh DIR: the --break forms of DIR/demo end as the README says.
set -u
cd "$1"
fails=0

# expect CODE WORD ARGS...: exit code, and a word of the sentence.
expect() {
	want=$1 word=$2
	shift 2
	text=$(./demo "$@" 2>&1)
	code=$?
	if [ $code != "$want" ] || ! echo "$text" | grep -q "$word"; then
		echo "demo $*: exit $code (want $want), and want '$word' in:"
		echo "$text"
		fails=$((fails + 1))
	fi
}

began=$(date +%s)
expect 0 "all as it should be"
took=$(($(date +%s) - began))
if [ $took -gt 60 ]; then
	echo "demo took $took s after the build, at most 60 are allowed"
	fails=$((fails + 1))
fi
expect 7 "a CA of somebody else" --break=ca
expect 10 "a CA of somebody else" --break=prov-ca
exit $fails
