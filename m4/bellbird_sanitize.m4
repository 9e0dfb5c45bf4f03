# SPDX-License-Identifier: ISC
# BELLBIRD_SANITIZE: --enable-sanitizers[=LIST], default list address,undefined.
AC_DEFUN([BELLBIRD_SANITIZE], [
AC_ARG_ENABLE([sanitizers], [AS_HELP_STRING([--enable-sanitizers@<:@=LIST@:>@],
  [build with sanitizers (default list: address,undefined)])], [], [enable_sanitizers=no])
SAN_FLAGS=
AS_CASE([$enable_sanitizers],
  [no], [],
  [yes], [SAN_FLAGS="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"],
  [SAN_FLAGS="-fsanitize=$enable_sanitizers -fno-sanitize-recover=all -fno-omit-frame-pointer"])
AC_SUBST([SAN_FLAGS])
])
