// SPDX-License-Identifier: MIT
/*
 * From the start of main() to a program's first result, by libkjax. Usage: cold PROGRAM.kjx; inputs are zeros.
 * Prints nanoseconds, and kilobytes of resident memory.
 */
#include <kjax/kjax.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

int main(int argc, char **argv)
{
	double start = now(), end;
	struct kjax_program *program;
	struct kjax_argument a;
	struct kjax_facts facts;
	void *places[64];
	char line[256];
	unsigned int i;
	FILE *status;

	if (argc != 2 || kjax_program_load(argv[1], NULL, &program)) {
		fprintf(stderr, "usage: cold PROGRAM.kjx (%s)\n", kjax_error());
		return 2;
	}
	kjax_program_facts(program, &facts);
	for (i = 0; i < facts.inputs + facts.outputs && i < 64; i++) {
		if (i < facts.inputs ? kjax_program_input(program, i, &a) : kjax_program_output(program, i - facts.inputs, &a))
			return 2;
		places[i] = aligned_alloc(64, (a.bytes + 64) & ~63ull);
		memset(places[i], 0, a.bytes);
	}
	if (kjax_program_run(program, (const void *const *)places, places + facts.inputs, NULL)) {
		fprintf(stderr, "%s\n", kjax_error());
		return 1;
	}
	end = now();
	status = fopen("/proc/self/status", "r");
	while (status && fgets(line, sizeof(line), status))
		if (!strncmp(line, "VmRSS:", 6))
			printf("%.0f %ld\n", end - start, atol(line + 6));
	return 0;
}
