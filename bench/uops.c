/* SPDX-License-Identifier: MIT */
/*
 * Strip routines on one core: nanoseconds of processor time an element, strips of 256 in the first-level cache, the best of
 * many runs. Operands lie in [-4, 4) (integers: in [-100, 100), the second one not zero; "log" and "pow": positive).
 *
 *	make -f bench/uops.mk && build/bench/uops [op:dtype ...]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "cpu.h"

#define N 256
#define CALLS 400	/* between two looks at the clock, which costs as much as several calls */

static const struct {
	const char *name;
	u32 number;
} ops[] = {
#define OP(NAME, arity, FORM) { #NAME, KJX_OP_##NAME },
	KJX_OPS(OP)
};

static const struct {
	const char *name;
	u32 number, size;
	char kind;
} dtypes[] = {
#define DTYPE(NAME, size, kind) { #NAME, KJX_DTYPE_##NAME, size, kind },
	KJX_DTYPES(DTYPE)
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static void fill(void *at, char kind, u32 size, int positive)
{
	const u32 part = kind == 'c' ? size / 2 : size, n = kind == 'c' ? 2 * N : N;

	for (u32 i = 0; i < n; i++) {
		double x = rand() / (double)RAND_MAX * 8 - 4;
		s64 k = (s64)(x * 25);

		if (positive) {
			x = x < 0 ? 0.01 - x : x + 0.01;
			k = k < 0 ? -k : k + 1;
		}
		if ((kind == 'f' || kind == 'c') && part == 4)
			((float *)at)[i] = (float)x;
		else if ((kind == 'f' || kind == 'c') && part == 8)
			((double *)at)[i] = x;
		else if (kind == 'b')
			((u8 *)at)[i] = k & 1;
		else
			memcpy((u8 *)at + i * part, &k, part);
	}
}

static double measure(kjx_uop_fn *fn, void *dst, const void *a, const void *b)
{
	double best = 1e30;

	for (u32 run = 0; run < 100; run++) {
		double start = now(), took;

		for (u32 i = 0; i < CALLS; i++)
			fn(dst, a, b, a, N);
		took = (now() - start) / CALLS / N;
		best = took < best ? took : best;
	}
	return best;
}

static int bench(const char *what)
{
	static u8 dst[N * 16] __attribute__((aligned(64))), a[N * 16] __attribute__((aligned(64))),
		b[N * 16] __attribute__((aligned(64)));
	const struct kjx_cpu *cpus[] = { &kjx_cpu_scalar, &kjx_cpu_avx2, &kjx_cpu_avx512 };
	const char *colon = strchr(what, ':');
	u32 op = 0, d;

	for (u32 i = 0; colon && i < sizeof(ops) / sizeof(*ops); i++)
		if (strlen(ops[i].name) == (size_t)(colon - what) && !strncasecmp(ops[i].name, what, (size_t)(colon - what)))
			op = ops[i].number;
	for (d = 0; colon && d < sizeof(dtypes) / sizeof(*dtypes); d++)
		if (!strcasecmp(dtypes[d].name, colon + 1))
			break;
	if (!op || d == sizeof(dtypes) / sizeof(*dtypes)) {
		fprintf(stderr, "%s: not op:dtype\n", what);
		return 1;
	}
	fill(a, dtypes[d].kind, dtypes[d].size, op == KJX_OP_LOG || op == KJX_OP_POW);
	fill(b, dtypes[d].kind, dtypes[d].size, dtypes[d].kind != 'f' && dtypes[d].kind != 'c');
	printf("%-18s", what);
	for (u32 i = 0; i < 3; i++) {
		kjx_uop_fn *fn = cpus[i]->uops[op << KJX_DTYPE_BITS | dtypes[d].number];

		if (i == 1 ? !__builtin_cpu_supports("avx2") : i == 2 && !__builtin_cpu_supports("avx512vl"))
			fn = NULL;
		if (fn)
			printf("  %s %8.3f", cpus[i]->name, measure(fn, dst, a, b));
	}
	putchar('\n');
	return 0;
}

int main(int argc, char **argv)
{
	static char *usual[] = { "add:f32", "mul:f32", "exp:f32", "tanh:f32", "logistic:f32", "erf:f32", "log:f32", "sin:f32",
				 "exp:f64", "tanh:f64", "log:f64", "sin:f64", "pow:f64", "mul:c64", "exp:c64", "exp:c128" };
	char **names = argc > 1 ? argv + 1 : usual;
	int failed = 0;

	for (u32 i = 0; i < (argc > 1 ? (u32)argc - 1 : sizeof(usual) / sizeof(*usual)); i++)
		failed |= bench(names[i]);
	return failed;
}
