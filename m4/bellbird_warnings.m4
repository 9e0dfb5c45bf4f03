# SPDX-License-Identifier: ISC
# BELLBIRD_WARNINGS: the warnings that both gcc and clang know.
AC_DEFUN([BELLBIRD_WARNINGS], [
WARN_CFLAGS="-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes dnl
-Wpointer-arith -Wcast-qual -Wwrite-strings -Wundef -Wvla -Wformat=2 dnl
-Wnull-dereference -Wimplicit-fallthrough -Werror=unused-result dnl
-Werror=implicit-function-declaration -Werror=incompatible-pointer-types"
AC_SUBST([WARN_CFLAGS])
])
