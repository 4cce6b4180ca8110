/* SPDX-License-Identifier: MIT */
/*
 * The MLP 31-256-2 (relu, batch 1) by libkjax and by a loop written for it, timed alternately in one process.
 * Usage: mlp PROGRAM.kjx (arguments w1 [31,256], b1 [256], w2 [256,2], b2 [2], x [1,31]); prints two medians in nanoseconds.
 */
#include <kjax/kjax.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { IN = 31, HIDDEN = 256, OUT = 2, ROUNDS = 201, CALLS = 2000 };

typedef float wide __attribute__((vector_size(64), aligned(4), may_alias));
typedef int lanes __attribute__((vector_size(64)));

static float w1[IN * HIDDEN], b1[HIDDEN], w2[HIDDEN * OUT], b2[OUT], x[IN], mine[OUT], theirs[OUT];

/* sixteen accumulators of sixteen lanes each hold the hidden layer; w2's two columns stay interleaved */
static void __attribute__((noinline)) by_hand(void)
{
	wide h[HIDDEN / 16], even = { 0 }, odd = { 0 };
	int i, j;

	memcpy(h, b1, sizeof(h));
	for (i = 0; i < IN; i++)
		for (j = 0; j < HIDDEN / 16; j++)
			h[j] += x[i] * *(const wide *)(w1 + i * HIDDEN + 16 * j);
	for (j = 0; j < HIDDEN / 16; j++) {
		const lanes lo = { 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7 };
		wide r = (wide)((lanes)h[j] & (h[j] > 0));

		even += __builtin_shuffle(r, lo) * *(const wide *)(w2 + 32 * j);
		odd += __builtin_shuffle(r, lo + 8) * *(const wide *)(w2 + 32 * j + 16);
	}
	even += odd;
	mine[0] = b2[0];
	mine[1] = b2[1];
	for (i = 0; i < 16; i++)
		mine[i & 1] += even[i];
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
	double d = *(const double *)a - *(const double *)b;

	return (d > 0) - (d < 0);
}

static void fill(float *to, int n, float scale)
{
	for (int i = 0; i < n; i++)
		to[i] = scale * ((float)rand() / RAND_MAX - 0.5f);
}

int main(int argc, char **argv)
{
	const void *inputs[] = { w1, b1, w2, b2, x };
	void *outputs[] = { theirs };
	static double hand[ROUNDS], kjax[ROUNDS];
	struct kjax_program *program;

	if (argc != 2 || kjax_program_load(argv[1], NULL, &program)) {
		fprintf(stderr, "usage: mlp PROGRAM.kjx (%s)\n", kjax_error());
		return 2;
	}
	fill(w1, IN * HIDDEN, 0.5f);
	fill(b1, HIDDEN, 0.2f);
	fill(w2, HIDDEN * OUT, 0.2f);
	fill(b2, OUT, 0.2f);
	fill(x, IN, 2.0f);
	for (int r = 0; r < ROUNDS; r++) {
		double t = now();

		for (int i = 0; i < CALLS; i++) {
			by_hand();
			__asm__ volatile("" ::: "memory");
		}
		hand[r] = (now() - t) / CALLS;
		t = now();
		for (int i = 0; i < CALLS; i++)
			if (kjax_program_run(program, inputs, outputs, NULL))
				return 1;
		kjax[r] = (now() - t) / CALLS;
	}
	if (fabsf(mine[0] - theirs[0]) > 1e-4f || fabsf(mine[1] - theirs[1]) > 1e-4f) {
		fprintf(stderr, "results differ: %g %g, %g %g\n", mine[0], mine[1], theirs[0], theirs[1]);
		return 1;
	}
	qsort(hand, ROUNDS, sizeof(double), ascending);
	qsort(kjax, ROUNDS, sizeof(double), ascending);
	printf("%.1f %.1f\n", hand[ROUNDS / 2], kjax[ROUNDS / 2]);
	kjax_program_close(program);
	return 0;
}
