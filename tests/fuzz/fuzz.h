/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_TESTS_FUZZ_H
#define BELLBIRD_TESTS_FUZZ_H

/* A fuzz target is one function (libFuzzer's name for it) that must come back
 * whatever the bytes are, each time in the same way: no network, no clock, no
 * randomness of its own.  What may never be is an assert. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
