/* SPDX-License-Identifier: MIT */
/*
 * Contractions of one cpu table on one core: nanoseconds of processor time (the best of many runs) and GFLOP/s, beside the
 * share of the multiply-add peak, the median of what each run had of the peak measured just before it: on a shared
 * machine the two only compare when taken together. The peak is that of f32; of bytes that of the instruction which
 * multiplies them, in pairs (vpmaddwd and an addition) or in fours (vpdpbusd).
 *
 *	make -f bench/gemm.mk && build/bench/gemm [scalar|avx2|avx512|avx512vnni] [seconds for each] [words of the name]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cpu.h"
#include "image.h"
#include "program.h"

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

/* f32 operations a nanosecond: 12 independent chains, enough for a latency of 4 to 6 cycles on two ports */
#define CHAINS(op) op "0\n" op "1\n" op "2\n" op "3\n" op "4\n" op "5\n" op "6\n" op "7\n" op "8\n" op "9\n" op "10\n" op "11\n"
#define CLOBBERS "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11"
static double peak(const char *cpu, bool narrow)
{
	const bool vnni = !strcmp(cpu, "avx512vnni"), avx512 = vnni || !strcmp(cpu, "avx512"), avx2 = !strcmp(cpu, "avx2");
	const int n = 20000;
	int lanes;
	double t;

	/* what the registers hold must not be denormal */
	__asm__ volatile("xorps %%xmm14, %%xmm14\n xorps %%xmm15, %%xmm15\n" CHAINS("andps %%xmm14, %%xmm") : : :
			 CLOBBERS, "xmm14", "xmm15");
	t = now();
#define REPEAT(...) for (int i = 0; i < n; i++) __asm__ volatile(__VA_ARGS__ : : : CLOBBERS)
	if (narrow && vnni) {
		REPEAT(CHAINS("vpdpbusd %%zmm14, %%zmm15, %%zmm"));
		lanes = 64;
	} else if (narrow && avx512) {
		REPEAT(CHAINS("vpmaddwd %%zmm14, %%zmm15, %%zmm") CHAINS("vpaddd %%zmm15, %%zmm14, %%zmm"));
		lanes = 32;
	} else if (narrow && avx2) {
		REPEAT(CHAINS("vpmaddwd %%ymm14, %%ymm15, %%ymm") CHAINS("vpaddd %%ymm15, %%ymm14, %%ymm"));
		lanes = 16;
	} else if (narrow) {
		REPEAT(CHAINS("pmaddwd %%xmm14, %%xmm") CHAINS("paddd %%xmm15, %%xmm"));
		lanes = 8;
	} else if (avx512) {
		REPEAT(CHAINS("vfmadd231ps %%zmm14, %%zmm15, %%zmm"));
		lanes = 16;
	} else if (avx2) {
		REPEAT(CHAINS("vfmadd231ps %%ymm14, %%ymm15, %%ymm"));
		lanes = 8;
	} else {	/* the scalar table multiplies, then adds, four lanes at a time: two instructions an operation pair */
		REPEAT(CHAINS("mulps %%xmm14, %%xmm"));
		lanes = 2;
	}
	return n * 12. * 2 * lanes / (now() - t);
}

struct problem {
	const char *what;
	u32 dtype;
	u64 b, m, k, n;
	int lhs_t, rhs_t;
	u32 rhs_dtype;		/* 0: as lhs; result i32 where they are narrower */
};

static const struct problem problems[] = {
	{ "f32 square", KJX_DTYPE_F32, 1, 512, 512, 512, 0, 0 },
	{ "f32 square", KJX_DTYPE_F32, 1, 1024, 1024, 1024, 0, 0 },
	{ "f32 rhs transposed", KJX_DTYPE_F32, 1, 512, 512, 512, 0, 1 },
	{ "f32 lhs transposed", KJX_DTYPE_F32, 1, 512, 512, 512, 1, 0 },
	{ "f32 square", KJX_DTYPE_F32, 1, 256, 256, 256, 0, 0 },
	{ "f32 square", KJX_DTYPE_F32, 1, 128, 128, 128, 0, 0 },
	{ "f32 square", KJX_DTYPE_F32, 1, 64, 64, 64, 0, 0 },
	{ "f32 square", KJX_DTYPE_F32, 1, 32, 32, 32, 0, 0 },
	{ "f32 square", KJX_DTYPE_F32, 1, 16, 16, 16, 0, 0 },
	{ "f32 square", KJX_DTYPE_F32, 1, 4, 4, 4, 0, 0 },
	{ "f32 batch of 4x4", KJX_DTYPE_F32, 1000, 4, 4, 4, 0, 0 },
	{ "f32 batch of 4x4", KJX_DTYPE_F32, 1000, 4, 4, 4, 0, 1 },
	{ "f32 layer 1", KJX_DTYPE_F32, 1, 1, 31, 256, 0, 0 },
	{ "f32 layer 2", KJX_DTYPE_F32, 1, 1, 256, 2, 0, 0 },
	{ "f32 layer, narrow", KJX_DTYPE_F32, 1, 1, 256, 10, 0, 0 },
	{ "f32 layer, tiny", KJX_DTYPE_F32, 1, 1, 8, 16, 0, 0 },
	{ "f32 batched layer 1", KJX_DTYPE_F32, 1, 64, 31, 256, 0, 0 },
	{ "f32 batched layer 1", KJX_DTYPE_F32, 1, 1024, 31, 256, 0, 0 },
	{ "f32 batched layer 2", KJX_DTYPE_F32, 1, 64, 256, 2, 0, 0 },
	{ "f32 batched layer 2", KJX_DTYPE_F32, 1, 1024, 256, 2, 0, 0 },
	{ "f32 few rows", KJX_DTYPE_F32, 1, 4, 1024, 1024, 0, 1 },
	{ "f32 few rows", KJX_DTYPE_F32, 1, 12, 1024, 1024, 0, 1 },
	{ "f32 few rows", KJX_DTYPE_F32, 1, 16, 1024, 1024, 0, 1 },
	{ "f32 few rows", KJX_DTYPE_F32, 1, 16, 256, 256, 0, 1 },
	{ "f32 few rows", KJX_DTYPE_F32, 1, 1024, 256, 16, 0, 1 },
	{ "f32 few rows", KJX_DTYPE_F32, 1, 1024, 256, 10, 0, 1 },
	{ "f32 few rows", KJX_DTYPE_F32, 1, 4, 256, 256, 0, 1 },
	{ "f32 few rows", KJX_DTYPE_F32, 1, 8, 1024, 1024, 0, 1 },
	{ "f32 few rows", KJX_DTYPE_F32, 1, 8, 1024, 1024, 0, 0 },
	{ "f32 few rows", KJX_DTYPE_F32, 1, 1, 512, 512, 0, 0 },
	{ "f32 batched layer 2", KJX_DTYPE_F32, 1, 32, 256, 2, 0, 0 },
	{ "f32 batched layer 2", KJX_DTYPE_F32, 1, 1024, 256, 5, 0, 0 },
	{ "f32 batched layer 2", KJX_DTYPE_F32, 1, 1024, 256, 8, 0, 0 },
	{ "f32 batched layer 2", KJX_DTYPE_F32, 1, 1024, 256, 3, 0, 1 },
	{ "f32 gradient", KJX_DTYPE_F32, 1, 31, 64, 256, 1, 0 },
	{ "f32 matrix vector", KJX_DTYPE_F32, 1, 1024, 1024, 1, 0, 0 },
	{ "f32 vector matrix", KJX_DTYPE_F32, 1, 1, 1024, 1024, 0, 0 },
	{ "f32 inner product", KJX_DTYPE_F32, 1, 1, 1024, 1, 0, 0 },
	{ "f32 outer product", KJX_DTYPE_F32, 1, 256, 1, 256, 0, 0 },
	{ "f64 square", KJX_DTYPE_F64, 1, 512, 512, 512, 0, 0 },
	{ "i32 square", KJX_DTYPE_I32, 1, 512, 512, 512, 0, 0 },
	{ "i8 square", KJX_DTYPE_I8, 1, 512, 512, 512, 0, 0 },
	{ "i8 rhs transposed", KJX_DTYPE_I8, 1, 512, 512, 512, 0, 1 },
	{ "i8 lhs transposed", KJX_DTYPE_I8, 1, 512, 512, 512, 1, 0 },
	{ "u8 with i8", KJX_DTYPE_U8, 1, 512, 512, 512, 0, 0, KJX_DTYPE_I8 },
	{ "i8 square", KJX_DTYPE_I8, 1, 1024, 1024, 1024, 0, 0 },
	{ "i8 square", KJX_DTYPE_I8, 1, 64, 64, 64, 0, 0 },
	{ "i8 layer 1", KJX_DTYPE_I8, 1, 1, 31, 256, 0, 0 },
	{ "i8 layer 2", KJX_DTYPE_I8, 1, 1, 256, 2, 0, 0 },
	{ "i8 vector matrix", KJX_DTYPE_I8, 1, 1, 1024, 1024, 0, 0 },
	{ "i8 matrix vector", KJX_DTYPE_I8, 1, 1024, 1024, 1, 0, 0 },
	{ "i16 square", KJX_DTYPE_I16, 1, 512, 512, 512, 0, 0 },
	{ "i64 square", KJX_DTYPE_I64, 1, 256, 256, 256, 0, 0 },
	{ "c64 square", KJX_DTYPE_C64, 1, 256, 256, 256, 0, 0 },
	{ "c128 square", KJX_DTYPE_C128, 1, 256, 256, 256, 0, 0 },
};

static u8 *numbers(u64 n, u32 dtype)
{
	const u32 size = kjx_dtype_size[dtype], kind = kjx_dtype_kind[dtype];
	const bool is_integer = kind == 'i' || kind == 'u';
	const bool wide = size / (kind == 'c' ? 2 : 1) == 8;
	u8 *bytes = aligned_alloc(64, kjx_align_up(n * size, 64) + 64);
	u64 i, lanes = (n * size + 7) / (wide ? 8 : 4);

	for (i = 0; i < lanes; i++) {
		const double x = (double)(i * 7919 % 1000) / 1000;

		if (is_integer)
			wide ? (((u64 *)bytes)[i] = i) : (((u32 *)bytes)[i] = (u32)i * 2654435761u);
		else
			wide ? (((double *)bytes)[i] = x) : (((float *)bytes)[i] = (float)x);
	}
	return bytes;
}

static int ascending(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(const struct kjx_cpu *cpu, const struct problem *q, double seconds)
{
	const s64 m = (s64)q->m, k = (s64)q->k, n = (s64)q->n;
	const u8 groups[4] = { 1, 1, 1, 1 };
	const u64 dims[4] = { q->b, q->m, q->n, q->k };
	const s64 lhs[4] = { m * k, q->lhs_t ? 1 : k, 0, q->lhs_t ? m : 1 };
	const s64 rhs[4] = { k * n, 0, q->rhs_t ? k : 1, q->rhs_t ? 1 : n };
	const s64 out[4] = { m * n, n, 1, 0 };
	const bool narrow = kjx_dtype_size[q->dtype] < 4;
	const u8 dtypes[3] = { (u8)q->dtype, (u8)(q->rhs_dtype ? q->rhs_dtype : q->dtype), narrow ? KJX_DTYPE_I32 : (u8)q->dtype };
	const double products = (double)q->b * q->m * q->k * q->n;
	const u64 calls = 1 + (u64)(1e6 / products);
	struct kjx_gemm_plan plan;
	double best = 1e30, end, share[4096];
	int runs = 0;
	u8 *a, *b, *c, *scratch;
	u64 i;

	kjx_gemm_plan(&plan, dtypes, groups, dims, lhs, rhs, out);
	a = numbers(q->b * q->m * q->k, q->dtype);
	b = numbers(q->b * q->k * q->n, q->dtype);
	c = numbers(q->b * q->m * q->n, dtypes[2]);
	scratch = aligned_alloc(64, kjx_gemm_scratch(&plan) + 64);

	const struct kjx_gemm g = {
		.plan = &plan, .lhs = plan.swapped ? b : a, .rhs = plan.swapped ? a : b, .out = c, .scratch = scratch, .whole = &plan,
		.to = plan.m,
	};

	for (end = now() + seconds * 1e9; now() < end && runs < 4096;) {
		const double f = peak(kjx_cpu_name(cpu), narrow);
		double t = now();

		for (i = 0; i < calls; i++) {
			u64 at[4] = { 0 };
			u32 done = 0;

			cpu->gemm(&g, at, ~0ull, &done);
		}
		t = (now() - t) / calls;
		best = t < best ? t : best;
		share[runs++] = 2 * products / t / f;
	}
	qsort(share, runs, sizeof(*share), ascending);
	printf("%-20s %5llu x %5llu x %5llu x %5llu%s%s %12.1f ns %7.1f GFLOP/s %4.0f%% of peak\n", q->what, q->b, q->m,
	       q->k, q->n, q->lhs_t ? " T." : "   ", q->rhs_t ? ".T" : "  ", best, 2 * products / best,
	       100 * share[runs / 2]);
	fflush(stdout);
	free(a);
	free(b);
	free(c);
	free(scratch);
}

int main(int argc, char **argv)
{
	const struct kjx_cpu *cpu = kjx_cpu_select(kjx_host_features(), argc > 1 ? argv[1] : NULL);
	const double seconds = argc > 2 ? atof(argv[2]) : 0.3;

	if (!cpu)
		return fprintf(stderr, "no such cpu table, or not on this processor\n"), 1;
	printf("table %s; batch x m x k x n\n", kjx_cpu_name(cpu));
	for (u32 i = 0; i < sizeof(problems) / sizeof(*problems); i++)
		if (argc < 4 || strstr(problems[i].what, argv[3]))
			measure(cpu, &problems[i], seconds);
	return 0;
}
