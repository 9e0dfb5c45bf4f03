/* SPDX-License-Identifier: ISC */
/* Gives every file of a corpus to a fuzz target: regressions, in every build
 * and without libFuzzer. */
#include <dirent.h>
#include <sys/stat.h>

#include "fuzz.h"

enum { INPUT_MAX = 1 << 20 };

/* Runs one file, from memory of its exact size: ASan sees a byte too many. */
static int
run_file(const char *path)
{
	static uint8_t room[INPUT_MAX];
	FILE *f = fopen(path, "rb");
	uint8_t *p;
	size_t n;

	if (f == NULL) {
		perror(path);
		return -1;
	}
	n = fread(room, 1, sizeof(room), f);
	fclose(f);
	if ((p = malloc(n > 0 ? n : 1)) == NULL)
		return -1;
	memcpy(p, room, n);
	/* It stays in the log if this one is the last. */
	printf("%s\n", path);
	fflush(stdout);
	(void)LLVMFuzzerTestOneInput(p, n);
	free(p);
	return 1;
}

/* Runs a file, or the files of a folder; how many, or -1. */
static int
run_path(const char *path)
{
	char name[4096];
	struct dirent *e;
	struct stat st;
	int n = 0, k = 0;
	DIR *d;

	if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
		return run_file(path);
	if ((d = opendir(path)) == NULL) {
		perror(path);
		return -1;
	}
	while (k >= 0 && (e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		k = run_file(name);
		n += k;
	}
	closedir(d);
	return k < 0 ? -1 : n;
}

int
main(int argc, char **argv)
{
	int n = 0, k;

	if (argc < 2) {
		n = run_path(CORPUS);
	} else {
		for (int i = 1; i < argc; i++) {
			if ((k = run_path(argv[i])) < 0)
				return 1;
			n += k;
		}
	}
	printf("%d inputs\n", n);
	return n > 0 ? 0 : 1;
}
