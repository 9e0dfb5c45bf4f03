/* SPDX-License-Identifier: ISC */
/* bellbird: the command line.  The verbs are in src/ctl/ctl_verb.c; those
 * served in this process are named here. */
#include "internal.h"

int
main(int argc, char **argv)
{
	static const struct ctl_local locals[] = {
		{ "run", app_run },
		{ "lab", lab_run },
		{ "doctor", doctor_run },
		{ "cert ca-init", certs_ca_init },
		{ "cert csr", certs_csr },
		{ "cert export-ca", certs_export_ca },
		{ "cert import", certs_import },
		{ "cert mint", certs_mint },
		{ "cert show", certs_show },
		{ "cert verify", certs_verify },
		{ "reset", reset_local },
		{ "config check", check_config },
		{ "config get", check_get },
		{ "config explain", check_explain },
		{ "config export", check_export },
	};

	return ctl_main(argc, argv, locals, sizeof(locals) / sizeof(locals[0]));
}
