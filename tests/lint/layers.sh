#!/bin/sh
# SPDX-License-Identifier: ISC
# layers.sh -- fails if a file includes a header that its folder may not see.
# A shared header's folder is its prefix: include/bellbird/tls_policy.h belongs
# to tls/.  A quoted name without a slash is private to its folder.
set -eu
cd "${srcdir:-.}"

BASE="addr buf clock dhcp dns err esc file json link list log loop mem pattern str udp worker"
may() { # folder -> prefixes of shared headers
	case $1 in
	base) echo "$BASE" ;;
	tls) echo "$BASE tls" ;;
	sipcore) echo "$BASE tls sip" ;;
	media) echo "$BASE tls media" ;;
	prov) echo "$BASE tls prov" ;;
	src/web) echo "$BASE tls sip media prov web" ;;
	src/ctl) echo "$BASE tls sip media prov ctl" ;;
	src) echo "$BASE tls sip media prov web ctl" ;;
	esac
}
fence() { # vendor header -> folders, or single files
	case $1 in
	openssl/* | p11-kit/*) echo tls ;;
	event2/http.h | event2/http_struct.h)
		echo prov/prov_http.c src/web/web_server.c ;;
	event2/buffer.h | event2/bufferevent.h | event2/keyvalq_struct.h)
		echo base tls prov/prov_http.c src/web/web_server.c ;;
	event2/* | event.h | evhttp.h) echo base tls ;;
	jansson* | ares*) echo base ;;
	osip*) echo sipcore ;;
	srtp2/* | opus/* | opus.h | spandsp* | speex/* | alsa/*) echo media ;;
	*) echo base tls sipcore media prov src/web src/ctl src ;;
	esac
}
owner() { # path -> folder
	case $1 in
	include/bellbird/sip_*) echo sipcore ;;
	include/bellbird/media_*) echo media ;;
	include/bellbird/prov_*) echo prov ;;
	include/bellbird/tls_*) echo tls ;;
	include/bellbird/web_*) echo src/web ;;
	include/bellbird/ctl_*) echo src/ctl ;;
	include/bellbird/*) echo base ;;
	*) echo "${1%/*}" ;;
	esac
}

bad=0
seen=0
fail() {
	echo "$*"
	bad=1
}
# Reads "line:kind:header" of one file; kind is q (quoted) or a (angle).
includes() {
	sed -n -e 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*"\([^"]*\)".*/q:\1/p' \
	    -e 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*<\([^>]*\)>.*/a:\1/p' \
	    -e 's/^.*$//' -e '=' "$1" |
	    awk '/^[qa]:/ { k = $0; next } { if (k != "") print $0 ":" k; k = "" }'
}

for f in include/bellbird/*.[ch] base/*.[ch] tls/*.[ch] sipcore/*.[ch] \
    media/*.[ch] prov/*.[ch] src/web/*.[ch] src/ctl/*.[ch] src/*.[ch]; do
	[ -f "$f" ] || continue
	seen=$((seen + 1))
	d=$(owner "$f")
	ok=" $(may "$d") "
	met=
	for i in $(includes "$f"); do
		n=${i%%:*}
		i=${i#*:}
		h=${i#?:}
		case $i in
		q:bellbird/*)
			p=${h#bellbird/}
			p=${p%%_*}
			p=${p%.h}
			case $ok in
			*" $p "*) ;;
			*) fail "$f:$n: $d/ may not include $h" ;;
			esac
			case $p in
			sip | media) case $met in *$p*) ;; *) met="$met $p" ;; esac ;;
			esac ;;
		q:*/* )
			fail "$f:$n: \"$h\" reaches into another folder: shared headers are bellbird/..." ;;
		q:*)
			# Generated headers lie beside their source in the build folder.
			[ -f "$d/$h" ] || [ "$h" = config.h ] ||
			    fail "$f:$n: \"$h\" is not private to $d/"
			case $f in
			include/*) fail "$f:$n: a shared header includes bellbird/ headers and libc only" ;;
			esac ;;
		a:bellbird/*)
			fail "$f:$n: <$h>: our headers are quoted (-iquote)" ;;
		a:*)
			where=" $(fence "$h") "
			case $where in
			*" $d "* | *" $f "*) ;;
			*) fail "$f:$n: <$h> is fenced off from $d/" ;;
			esac
			case $f in
			include/*) case $h in
				openssl/* | p11-kit/* | event2/* | jansson* | ares* | osip* | srtp2/* | opus/* | speex/* | alsa/* | spandsp*)
					fail "$f:$n: <$h>: vendor types are forward declarations in shared headers" ;;
				esac ;;
			esac ;;
		esac
	done
	case $d:$met in
	src:* | *:' sip' | *:' media' | *:) ;;
	*) fail "$f:1: sipcore/ and media/ meet only in src/" ;;
	esac
done
[ $seen -gt 0 ] || fail "layers.sh:1: no source file found in $(pwd)"
exit $bad
