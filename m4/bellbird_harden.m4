# SPDX-License-Identifier: ISC
# BELLBIRD_TRY_CFLAG(FLAG): adds FLAG to HARDEN_CFLAGS where the compiler takes it.
AC_DEFUN([BELLBIRD_TRY_CFLAG], [
save_CFLAGS=$CFLAGS
CFLAGS="$CFLAGS -Werror $1"
AC_MSG_CHECKING([whether $CC takes $1])
AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])],
  [HARDEN_CFLAGS="$HARDEN_CFLAGS $1"; AC_MSG_RESULT([yes])], [AC_MSG_RESULT([no])])
CFLAGS=$save_CFLAGS
])

# BELLBIRD_HARDEN: PIE, full RELRO, FORTIFY, stack protector, CET; on by default.
AC_DEFUN([BELLBIRD_HARDEN], [
AC_ARG_ENABLE([hardening], [AS_HELP_STRING([--disable-hardening],
  [leave out PIE, RELRO, FORTIFY, stack protector, CET])], [], [enable_hardening=yes])
HARDEN_CFLAGS=
HARDEN_LDFLAGS=
AS_IF([test "x$enable_hardening" = xyes], [
  BELLBIRD_TRY_CFLAG([-fPIE])
  BELLBIRD_TRY_CFLAG([-fstack-protector-strong])
  BELLBIRD_TRY_CFLAG([-fstack-clash-protection])
  BELLBIRD_TRY_CFLAG([-fcf-protection=full])
  BELLBIRD_TRY_CFLAG([-fno-strict-overflow])
  HARDEN_LDFLAGS="-pie -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--as-needed"
  # FORTIFY needs the optimizer, and the sanitizers intercept the same calls.
  AS_IF([test "x${enable_sanitizers:-no}" = xno],
    [HARDEN_CFLAGS="$HARDEN_CFLAGS -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2"])
])
AC_SUBST([HARDEN_CFLAGS])
AC_SUBST([HARDEN_LDFLAGS])
])
