/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A cpu table: every routine that touches element data with vector registers, built once for each processor
 * extension set from the same sources (ukernels/ *.inc, flags differ). The vm calls only through it.
 */
#ifndef KJX_CPU_H
#define KJX_CPU_H

#include "engine.h"
#include "gemm.h"

/* dst[i] = op(a[i], b[i], c[i]) for i < n; operands that an operation lacks are ignored. dst may equal a, b or c. */
typedef void kjx_uop_fn(void *dst, const void *a, const void *b, const void *c, u64 n);

struct kjx_cpu {
	const char *name;
	u32 needs;				/* KJX_CPU_HAS_* */
	kjx_uop_fn *const *uops;		/* by code, KJX_UOP_CODES entries, NULL where isa/ops.py has no row */
	kjx_uop_fn *const (*pairs)[2];		/* rows of pairs.def, f32 and f64 */
	/* strided moves of elements of 1 << log2_size bytes: a run of n elements, byte strides */
	void (*move)(void *dst, s64 dst_stride, const void *src, s64 src_stride, u64 n, u32 log2_size);
	/* iota: dst[i] = first + i * step, as i32 or i64 */
	void (*iota32)(s32 *dst, s64 first, s64 step, u64 n);
	void (*iota64)(s64 *dst, s64 first, s64 step, u64 n);
	/* go on with a contraction from state @at (zero at first) for about @budget multiply-adds;
	 * returns the multiply-adds done; *done is set when the whole contraction is finished */
	u64 (*gemm)(const struct kjx_gemm *g, u64 *at, u64 budget, u32 *done);
};

extern const struct kjx_cpu kjx_cpu_scalar;
#if defined(__x86_64__)
extern const struct kjx_cpu kjx_cpu_avx2, kjx_cpu_avx512;
#endif

#endif
