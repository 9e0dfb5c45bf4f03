# SPDX-License-Identifier: ISC
# BELLBIRD_BORINGSSL: Debian's android-libboringssl or --with-boringssl=PREFIX.
# libssl.pc belongs to OpenSSL and is never asked; the link test below tells
# the two libraries apart.  Sets BSSL_CFLAGS, BSSL_LIBS.
AC_DEFUN([BELLBIRD_BORINGSSL], [
AC_ARG_WITH([boringssl], [AS_HELP_STRING([--with-boringssl=PREFIX],
  [BoringSSL below PREFIX/include and PREFIX/lib (default: Debian's android-libboringssl)])],
  [], [with_boringssl=auto])
multiarch=`$CC -print-multiarch 2>/dev/null`
AS_CASE([$with_boringssl],
  [no], [AC_MSG_ERROR([bellbird cannot be built without BoringSSL])],
  [auto|yes], [
    bssl_where="Debian android-libboringssl"
    bssl_root=${BELLBIRD_SYSROOT}
    BSSL_CFLAGS="-isystem $bssl_root/usr/include/android"
    BSSL_LIBS="-L$bssl_root/usr/lib/$multiarch/android -Wl,-rpath,/usr/lib/$multiarch/android -Wl,-rpath-link,$bssl_root/usr/lib/$multiarch/android -lssl -lcrypto"],
  [
    bssl_where=$with_boringssl
    BSSL_CFLAGS="-isystem $with_boringssl/include"
    AS_IF([test -f "$with_boringssl/lib/libssl.a"],
      [BSSL_LIBS="$with_boringssl/lib/libssl.a $with_boringssl/lib/libcrypto.a -lstdc++ -lpthread -Wl,--exclude-libs,libssl.a:libcrypto.a"],
      [BSSL_LIBS="-L$with_boringssl/lib -Wl,-rpath,$with_boringssl/lib -lssl -lcrypto"])])
save_CFLAGS=$CFLAGS
save_LIBS=$LIBS
CFLAGS="$CFLAGS $BSSL_CFLAGS"
LIBS="$BSSL_LIBS $LIBS"
AC_MSG_CHECKING([for BoringSSL (not OpenSSL), API 17 or later])
AC_LINK_IFELSE([AC_LANG_PROGRAM([[
#include <openssl/ssl.h>
#if !defined(OPENSSL_IS_BORINGSSL) || BORINGSSL_API_VERSION < 17
#error this is not BoringSSL, or too old
#endif]], [[
SSL_CTX *ctx = SSL_CTX_new(TLS_method());
SSL_CTX_set_custom_verify(ctx, SSL_VERIFY_PEER, 0);
SSL_CTX_free(ctx);]])],
  [AC_MSG_RESULT([$bssl_where])],
  [AC_MSG_RESULT([no])
   AC_MSG_ERROR([no usable BoringSSL at $bssl_where. Install android-libboringssl-dev, or give --with-boringssl=PREFIX (OpenSSL will not do)])])
bssl_api=`printf '#include <openssl/base.h>\nBSSL_API_IS BORINGSSL_API_VERSION\n' | $CC -xc $CPPFLAGS $BSSL_CFLAGS -E -P - 2>/dev/null | sed -n 's/^BSSL_API_IS //p'`
CFLAGS=$save_CFLAGS
LIBS=$save_LIBS
AC_SUBST([BSSL_CFLAGS])
AC_SUBST([BSSL_LIBS])
# The program binds 9,400 symbols when it starts, and the dynamic linker looks
# for each of them in the libraries in the order they were linked: those with
# most of them first.  --as-needed would drop what no object before it needs.
LINK_FIRST=
AS_CASE([$BSSL_LIBS], [*libssl.a*], [],
  [LINK_FIRST="-Wl,--push-state,--no-as-needed -lc $BSSL_LIBS -Wl,--pop-state"])
AC_SUBST([LINK_FIRST])
])
