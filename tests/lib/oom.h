/* SPDX-License-Identifier: ISC */
#ifndef BELLBIRD_TESTS_OOM_H
#define BELLBIRD_TESTS_OOM_H

/*
 * oom_each runs `fn(arg)` again and again with the 1st, 2nd, 3rd .. allocation
 * failing until it returns 0, and returns how many times it had to.  Anything
 * but 0 and ENOMEM fails the test.  Link with -Wl,--wrap=malloc and friends;
 * only calls from our own objects are counted.
 */
int oom_each(int (*fn)(void *arg), void *arg);

#endif
