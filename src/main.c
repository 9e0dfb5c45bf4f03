/* SPDX-License-Identifier: ISC */
/* bellbird: the command line; everything else is app.c and src/ctl/. */
int
main(void)
{
	return 0;
}
