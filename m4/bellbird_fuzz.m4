# SPDX-License-Identifier: ISC
# BELLBIRD_FUZZ: --enable-fuzzers, for `make fuzzers` alone: all objects get
# the coverage that libFuzzer (of clang) goes by, and the sanitizers.
AC_DEFUN([BELLBIRD_FUZZ], [
AC_REQUIRE([BELLBIRD_SANITIZE])
AC_ARG_ENABLE([fuzzers], [AS_HELP_STRING([--enable-fuzzers],
  [build tests/fuzz with libFuzzer by "make fuzzers" (clang)])], [], [enable_fuzzers=no])
FUZZER_LDFLAGS=
AS_IF([test "x$enable_fuzzers" = xyes], [
  SAN_FLAGS="-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
  FUZZER_LDFLAGS="-fsanitize=fuzzer"
  fuzz_save_CFLAGS=$CFLAGS
  CFLAGS="$CFLAGS $SAN_FLAGS"
  AC_COMPILE_IFELSE([AC_LANG_PROGRAM()], [],
    [AC_MSG_ERROR([--enable-fuzzers needs a compiler with libFuzzer: CC=clang])])
  CFLAGS=$fuzz_save_CFLAGS
])
AC_SUBST([FUZZER_LDFLAGS])
])
