# SPDX-License-Identifier: ISC
# Sourced by ./demo and ./check: installs what tests/packages lists.

# need_packages STAGE...: installs what is missing of these stages.
need_packages() {
	missing=
	for stage in "$@"; do
		for p in $(awk -v s="$stage" '$1 == s { print $2 }' tests/packages); do
			dpkg-query -W -f='${Status}' "$p" 2>/dev/null |
				grep -q 'ok installed' || missing="$missing $p"
		done
	done
	if [ -n "$missing" ]; then
		echo "installing:$missing"
		run=
		[ "$(id -u)" = 0 ] || run=sudo
		# Peers are started by the tests alone, never by their packages.
		if [ ! -e /usr/sbin/policy-rc.d ]; then
			printf '#!/bin/sh\nexit 101\n' | $run tee /usr/sbin/policy-rc.d >/dev/null
			$run chmod +x /usr/sbin/policy-rc.d
		fi
		$run apt-get update -qq >/dev/null || return 1
		DEBIAN_FRONTEND=noninteractive $run apt-get install -y -qq \
			--no-install-recommends $missing >/dev/null || return 1
	fi
	# Fixes for request smuggling in evhttp came with this version.
	have=$(dpkg-query -W -f='${Version}' libevent-core-2.1-7 2>/dev/null)
	if ! dpkg --compare-versions "$have" ge 2.1.12-stable-8+deb12u1; then
		echo "libevent $have is too old: 2.1.12-stable-8+deb12u1 or newer" \
			"is needed (apt-get update, then upgrade libevent)" >&2
		return 1
	fi
}
