// SPDX-License-Identifier: MIT
/*
 * Callers at the same time on programs with several threads, for the thread sanitizer (test_crew_races.py):
 *
 *	crew_stress CALLERS CALLS PROGRAM.kjx ...
 *
 * Each caller opens programs of its own and shares others, runs them with deadlines that pass and that do not, and compares bytes with
 * those of a run on one thread.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "program.h"

#define MOST 16

struct file {
	void *bytes;
	u64 n;
	struct kjx_program *shared;
	u8 *in[MOST], *out[MOST];
};

static struct file files[MOST];
static int n_files, calls;

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "%s\n", what);
	exit(1);
}

static struct kjx_program *open_program(const struct file *file, u32 threads)
{
	const struct kjx_limits limits = { .threads = threads };
	struct kjx_facts facts;
	enum kjx_status status;
	struct kjx_program *program = kjx_program_open(file->bytes, file->n, NULL, &limits, NULL, &facts, NULL, &status);

	check(program && facts.n_inputs <= MOST && facts.n_outputs <= MOST && facts.part_bytes, "program");
	return program;
}

static enum kjx_status run(struct kjx_program *program, u8 *const *in, u8 *const *out, u64 deadline, u32 threads)
{
	const struct kjx_run run = { .fuel = ~0ull, .deadline = deadline, .threads = threads };
	struct kjx_frame *frame = kjx_frame_take(program);
	enum kjx_status status;

	check(frame, "frame");
	memcpy(frame->inputs, in, program->facts.n_inputs * sizeof(*in));
	memcpy(frame->outputs, out, program->facts.n_outputs * sizeof(*out));
	status = kjx_execute(frame, &run);
	kjx_frame_give(program, frame);
	return status;
}

static void fill(u8 *bytes, u64 n)
{
	float *at = (float *)bytes;
	u64 i;

	for (i = 0; i < n / 4; i++)
		at[i] = (float)((i * 2654435761u >> 7) % 2001) / 1000 - 1;
}

static void read_file(struct file *file, const char *path)
{
	FILE *f = fopen(path, "rb");
	struct kjx_program *alone;
	u32 i;

	check(f && !fseek(f, 0, SEEK_END), "file");
	file->n = (u64)ftell(f);
	file->bytes = malloc(file->n);
	rewind(f);
	check(fread(file->bytes, 1, file->n, f) == file->n, "file");
	fclose(f);
	alone = open_program(file, 1);
	for (i = 0; i < alone->facts.n_inputs; i++) {
		file->in[i] = aligned_alloc(64, (alone->inputs[i].bytes + 127) & ~63ull);
		fill(file->in[i], alone->inputs[i].bytes);
	}
	for (i = 0; i < alone->facts.n_outputs; i++)
		file->out[i] = aligned_alloc(64, (alone->outputs[i].bytes + 127) & ~63ull);
	check(run(alone, file->in, file->out, 0, 1) == KJX_OK, "alone");
	kjx_program_close(alone);
	file->shared = open_program(file, 3);
}

static void call(const struct file *file, struct kjx_program *program, u64 deadline, u32 threads)
{
	u8 *out[MOST];
	enum kjx_status status;
	u32 i;

	for (i = 0; i < program->facts.n_outputs; i++)
		out[i] = aligned_alloc(64, (program->outputs[i].bytes + 127) & ~63ull);
	status = run(program, file->in, out, deadline, threads);
	check(status == KJX_OK || (deadline && status == KJX_DEADLINE), "status");
	for (i = 0; i < program->facts.n_outputs; i++) {
		check(status != KJX_OK || !memcmp(out[i], file->out[i], program->outputs[i].bytes), "other bytes");
		free(out[i]);
	}
}

static void *caller(void *data)
{
	u64 seed = (u64)(size_t)data * 977 + 1;
	int n;

	for (n = 0; n < calls; n++) {
		const struct file *file;
		struct kjx_program *own;
		u64 deadline;

		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		file = &files[(seed >> 33) % (u64)n_files];
		deadline = n % 3 == 2 ? kjx_now() + (seed >> 40) % 3000000 : 0;
		if (n % 8 == 7) {
			own = open_program(file, 2);
			call(file, own, deadline, 0);
			kjx_program_close(own);
		} else {
			call(file, file->shared, deadline, (u32)(seed >> 50) % 4);
		}
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread[MOST];
	int callers, i;

	check(argc > 3, "crew_stress CALLERS CALLS PROGRAM.kjx ...");
	callers = atoi(argv[1]);
	calls = atoi(argv[2]);
	check(callers <= MOST && argc - 3 <= MOST, "too many");
	for (i = 3; i < argc; i++)
		read_file(&files[n_files++], argv[i]);
	for (i = 0; i < callers; i++)
		check(!pthread_create(&thread[i], NULL, caller, (void *)(size_t)i), "thread");
	for (i = 0; i < callers; i++)
		pthread_join(thread[i], NULL);
	for (i = 0; i < n_files; i++)
		kjx_program_close(files[i].shared);
	return 0;
}
