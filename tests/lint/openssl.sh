#!/bin/sh
# SPDX-License-Identifier: ISC
# openssl.sh -- fails if OpenSSL is linked into the program: its symbols clash
# with BoringSSL's, which must be there (shared, or inside the program).
set -eu
bin=${BELLBIRD:-src/bellbird}
[ -f "$bin" ] || {
	echo "openssl.sh:1: $bin does not exist; set BELLBIRD"
	exit 1
}
# libtool leaves a script where the program should be.
case $(head -c 2 "$bin") in
'#!') bin=${bin%/*}/.libs/${bin##*/} ;;
esac
bad=0
libs=$(ldd "$bin") || {
	echo "$bin:1: ldd fails"
	exit 1
}
echo "$libs" | grep -q 'not found' && {
	echo "$bin:1: $(echo "$libs" | grep 'not found' | tr -s '\t ' ' ')"
	bad=1
}
# libevent_openssl, libcurl and libldap-like helpers pull it in as well.
wrong=$(echo "$libs" | grep -E 'lib(ssl|crypto)\.so\.([1-9]|81)|libevent_openssl|libgnutls-openssl') && {
	echo "$bin:1: OpenSSL in the process: $(echo "$wrong" | tr -s '\t\n ' ' ')"
	bad=1
}
mark='BORINGSSL_self_test\|BoringCrypto'
found=
for f in "$bin" $(echo "$libs" | sed -n 's/.*=> \([^ ]*lib\(crypto\|ssl\)[^ ]*\) .*/\1/p'); do
	LC_ALL=C grep -aq "$mark" "$f" && found=$f && break
done
[ -n "$found" ] || {
	echo "$bin:1: no BoringSSL in the program or its libraries"
	bad=1
}
exit $bad
