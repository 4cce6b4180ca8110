// SPDX-License-Identifier: MIT
/* Runs of one program in a row, timed; the engine's functions come from the caller. */
#define _GNU_SOURCE
#include <time.h>

typedef void start_fn(void *vm, const void *plan, void *arena, void *const *inputs, void *const *outputs, void *board,
		      unsigned int lane, unsigned long long fuel);
typedef unsigned int run_fn(void *vm, unsigned long long budget);

/** time_runs - best of @rounds: nanoseconds of a run, from a block of @runs */
double time_runs(start_fn *start, run_fn *run, void *vm, const void *plan, void *arena, void *const *inputs,
		 void *const *outputs, long runs, int rounds)
{
	double best = 1e30;

	while (rounds--) {
		struct timespec begin, end;
		double ns;

		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
		for (long i = 0; i < runs; i++) {
			start(vm, plan, arena, inputs, outputs, 0, 0, ~0ull);
			run(vm, ~0ull);
		}
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
		ns = ((end.tv_sec - begin.tv_sec) * 1e9 + (end.tv_nsec - begin.tv_nsec)) / runs;
		if (ns < best)
			best = ns;
	}
	return best;
}
