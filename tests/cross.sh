#!/bin/bash
# SPDX-License-Identifier: ISC
# ./check --cross: builds for arm64 and armhf against sysroots made by
# mmdebstrap and runs the unit tests under qemu-user.  No foreign architecture
# is added to the machine: that would remove native -dev packages.
set -u
cd "$(dirname "$0")/.."
. tests/packages.sh
passed=0 failed=0 skipped=0
# What qemu-user itself does otherwise: it receives descriptors beyond the room
# for them, and has no multicast on 32-bit guests.
emulator="descriptors_reach_their_command_and_the_rest_is_closed
 multicast_groups_share_a_port"
emulator=$(echo $emulator)

need_packages build check || exit 1
missing=
for p in mmdebstrap qemu-user-static gcc-aarch64-linux-gnu \
	gcc-arm-linux-gnueabihf libc6-dev-arm64-cross libc6-dev-armhf-cross; do
	dpkg-query -W -f='${Status}' $p 2>/dev/null | grep -q 'ok installed' ||
		missing="$missing $p"
done
[ -z "$missing" ] || DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
	--no-install-recommends $missing >/dev/null || exit 1

# sysroot ARCH DIR: a Debian 12 with our -dev packages in it.
sysroot() {
	[ -e "$2/usr/include/osip2" ] && return 0
	include=$(awk '$1 == "build" && $2 ~ /-dev$/ { print $2 }' tests/packages |
		tr '\n' ',')libc6-dev,libcmocka-dev
	# The machine's own mirrors; the archive proper is enough for -dev.
	apt-get indextargets \
		--format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' \
		'Created-By: Packages' | grep -v security | sort -u |
		mmdebstrap --mode=root --variant=extract --architectures="$1" \
			--include="$include" bookworm "$2" - || {
		rm -rf "$2"
		return 1
	}
	# Links in the sysroot point at /...: make them relative to it.
	find "$2/usr/lib" -type l -lname '/*' | while read -r l; do
		ln -sf "$2$(readlink "$l")" "$l"
	done
}

# cross ARCH TRIPLET QEMU
cross() {
	arch=$1 host=$2 qemu=$3
	root=$PWD/build/cross/$arch-root
	dir=$PWD/build/cross/$arch
	mkdir -p "$dir"
	sysroot "$arch" "$root" >"$dir/sysroot.log" 2>&1 || {
		tail "$dir/sysroot.log"
		return 1
	}
	(
		cd "$dir" || exit 1
		export PKG_CONFIG_SYSROOT_DIR=$root
		export PKG_CONFIG_LIBDIR=$root/usr/lib/$host/pkgconfig:$root/usr/share/pkgconfig
		../../../configure --host="$host" BELLBIRD_SYSROOT="$root" \
			CC="$host-gcc --sysroot=$root" CFLAGS="-O2 -g" \
			LDFLAGS="-Wl,-rpath-link,$root/usr/lib/$host" &&
			make -j2 &&
			make -j2 check TESTS= &&
			for t in tests/unit/test_*; do
				[ -x "$t" ] && [ ! -d "$t" ] || continue
				echo "== $t"
				# Its statx() forgets -L, and the loader then
				# gives up the folder of the run path.
				$qemu -E LD_LIBRARY_PATH="$root/usr/lib/$host/android" \
					-L "$root" "$t" || echo "FAILED $t"
			done
	) >"$dir/build.log" 2>&1 || {
		tail -n 40 "$dir/build.log"
		return 1
	}
	grep -q '^== tests' "$dir/build.log" || return 1
	# A program fails by tests that fail; one that fails without is broken.
	failed_tests=$(sed -n 's/^\[  FAILED  \] \([a-z0-9_]*\)$/\1/p' "$dir/build.log" |
		sort -u)
	n=0
	for t in $failed_tests; do
		case " $emulator " in
		*" $t "*)
			echo "skip - $arch: $t: not emulated"
			skipped=$((skipped + 1))
			;;
		*)
			echo "failed: $t"
			n=$((n + 1))
			;;
		esac
	done
	[ "$(grep -c '^FAILED' "$dir/build.log")" -le "$(grep -c '^\[  FAILED  \] [0-9]* test' "$dir/build.log")" ] ||
		{ grep '^FAILED' "$dir/build.log"; n=$((n + 1)); }
	[ $n = 0 ] || return 1
	echo "$(grep -c '^== tests' "$dir/build.log") programs ran"
}

[ -x configure ] || autoreconf -fi
for row in "arm64 aarch64-linux-gnu qemu-aarch64-static" \
	"armhf arm-linux-gnueabihf qemu-arm-static"; do
	set -- $row
	if cross "$@"; then
		echo "ok - $1: builds, unit tests pass under $3"
		passed=$((passed + 1))
	else
		echo "not ok - $1"
		failed=$((failed + 1))
	fi
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
