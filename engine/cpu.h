/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A cpu table: every routine that touches element data with vector registers, built once for each processor
 * extension set from the same sources (ukernels/ *.inc, flags differ). The vm calls only through it.
 */
#ifndef KJX_CPU_H
#define KJX_CPU_H

#include "engine.h"
#include "gemm.h"
#include "linalg.h"
#include "transform.h"
#include "quick.h"
#include "thread.h"
#include "tile.h"

/* dst[i] = op(a[i], b[i], c[i]) for i < n; operands that an operation lacks are ignored. dst may equal a, b or c. */
typedef void kjx_uop_fn(void *dst, const void *a, const void *b, const void *c, u64 n);

/* Fold @n values onto the @width accumulators (flags FIRST: there are none yet): value i onto accumulator i % @width.
 * LAST: then the upper half of the accumulators onto the lower, down to acc[0]. @width is KJX_FOLD_BYTES of elements, or
 * the length of all strips of values where that is less. */
typedef void kjx_fold_fn(void *acc, const void *values, u64 n, u64 width, u32 flags);

#define KJX_FOLD_BYTES	256
#define KJX_FOLD_FIRST	1
#define KJX_FOLD_LAST	2

struct kjx_fold {
	u32 code;				/* of the micro-operation that combines two */
	kjx_fold_fn *fn;
};

/** struct kjx_origins - how integers become (a component of) windows' origins
 * @wrap:	is added to an index below zero
 * @limit:	largest index in range
 * @step:	bytes that an index moves a window
 */
struct kjx_origins {
	s64 limit, step, wrap;
	u8 log2_size, is_signed, zero[6];
};

#define KJX_SKIPPED ((s64)(1ull << 63))		/* an origin: leave the window out. No tensor is as far away */

/* dst[i * dst_stride + origin[i]] becomes combined with src[i * src_stride], in the order of i; strides in bytes */
typedef void kjx_update_fn(void *dst, s64 dst_stride, const s64 *origin, const void *src, s64 src_stride, u64 n);

#define KJX_ELEMENTS_BLOCK 128u

/** struct kjx_elements - windows of one element that one index each says where to find; strides in bytes
 * @how, @index, @index_stride: what origins needs
 * @skip:	leave out what is out of range
 * @update:	element @origin of @windowed becomes combined with that of @plain; NULL: it is copied to @plain
 * @origin:	room for KJX_ELEMENTS_BLOCK origins
 */
struct kjx_elements {
	u8 *windowed, *plain;
	s64 windowed_stride, plain_stride;
	const struct kjx_origins *how;
	const u8 *index;
	s64 index_stride;
	kjx_update_fn *update;
	s64 *origin;
	u32 log2_size;
	bool skip;
};

/* Prefixes of a row: @n more elements, after @done (all but the last call: a multiple of 64); or element @row of each of
 * @n <= KJX_SCAN_LANES rows side by side. @work: 24 bytes for each of KJX_SCAN_LANES, kept between the calls for a row.
 * out may be in. */
typedef void kjx_scan_fn(void *out, const void *in, u64 n, u64 done, void *work);

#define KJX_SCAN_LANES 256
#define KJX_SCAN_PIECE 4096	/* most elements of one call */

struct kjx_scans {
	u32 code;			/* of the micro-operation that combines two */
	kjx_scan_fn *along, *across;
};

#define KJX_RUN_BYTES 64u

/* A contraction in one go. @scratch: as gemm's. @backwards: rhs is read from its end; no matter to the result */
typedef void kjx_product_fn(const struct kjx_gemm_plan *p, void *out, const void *lhs, const void *rhs, void *scratch, bool backwards);

#define KJX_PRODUCT_UNITS 32768u	/* multiply-adds of one at most: rhs of 128 KB and less, some microseconds */

struct kjx_cpu {
	const char *name;
	u32 needs;				/* KJX_CPU_HAS_* */
	kjx_uop_fn *const *uops;		/* by code, KJX_UOP_CODES entries, NULL where isa/ops.py has no row */
	kjx_op_fn *const *cells;		/* the same on one element, threaded; NULL: run a strip of one */
	/* strided moves of elements of 1 << log2_size bytes: a run of n elements, byte strides */
	void (*move)(void *dst, s64 dst_stride, const void *src, s64 src_stride, u64 n, u32 log2_size);
	/* n runs of @bytes (at least 1; best up to KJX_RUN_BYTES) each, byte strides; dst and src do not overlap */
	void (*runs)(void *dst, s64 dst_stride, const void *src, s64 src_stride, u64 bytes, u64 n);
	/* n runs of @bytes each (a multiple of the element's, up to KJX_RUN_BYTES), side by side, of one element each; @log2_size 2 or 3 */
	void (*spread)(void *dst, u64 bytes, const void *src, s64 src_stride, u64 n, u32 log2_size);
	/* dst[0 .. bytes) = src: the two do not overlap */
	void (*copy)(void *dst, const void *src, u64 bytes);
	/* iota: dst[i] = first + i * step, as i32 or i64 */
	void (*iota32)(s32 *dst, s64 first, s64 step, u64 n);
	void (*iota64)(s64 *dst, s64 first, s64 step, u64 n);
	const struct kjx_quick_fns *quick;	/* sorting by one key */
	kjx_uop_fn *const (*pairs)[2];		/* rows of pairs.def, f32 and f64 or i32 and u32 */
	kjx_op_fn *const (*pair_cells)[2];	/* the same on one element */
	const struct kjx_carry *carries;
	const struct kjx_window_ops (*windows)[KJX_KINDS];	/* [KJX_BY_*] */
	const struct kjx_edges *edges;
	const struct kjx_tiles *tiles;
	const struct kjx_fold *folds;		/* the last one has no fn */
	const struct kjx_scans *(*scan)(u32 code);	/* the routines of a scan; every one that is verified has some */
	/* origins of n windows from indices @stride bytes apart, clamped without branches; @skip: KJX_SKIPPED where out of
	 * range; unless @first: added to those that are there, and what was skipped stays so */
	void (*origins)(s64 *origin, const struct kjx_origins *o, const void *at, s64 stride, u64 n, bool skip, bool first);
	/* dst[i * dst_stride] = src[i * src_stride + origin[i]]; strides in bytes */
	void (*pick)(void *dst, s64 dst_stride, const void *src, s64 src_stride, const s64 *origin, u64 n, u32 log2_size);
	/* origins, and then pick or an update, of n elements, in order */
	void (*elements)(const struct kjx_elements *e, u64 n);
	/* the routine of a scatter of elements: @code: the micro-operation that combines, or 0 = replace; NULL: none */
	kjx_update_fn *(*update)(u32 code, u32 log2_size);
	/* go on with a contraction from state @at (zero at first) for about @budget multiply-adds;
	 * returns the multiply-adds done; *done is set when the whole contraction is finished */
	u64 (*gemm)(const struct kjx_gemm *g, u64 *at, u64 budget, u32 *done);
	/* rows and columns of a tile: which products are added in what order depends on where in a tile an element of out lies */
	void (*gemm_tile)(const struct kjx_gemm_plan *p, u64 *rows, u64 *columns);
	void (*small_dot)(const struct kjx_small_dot *p, void *out, const void *lhs, const void *rhs);
	/* the routine that does all of a contraction, with gemm's sums; NULL: it is too much, or has to be packed, and is for gemm */
	kjx_product_fn *(*product)(const struct kjx_gemm_plan *p);
	/* go on with the factorization of a batch of matrices, as gemm does; the budget is in elements that are worked on */
	u64 (*linalg)(const struct kjx_linalg_run *run, u64 *at, u64 budget, u32 *done);
	/* go on with transforms, as gemm does; a unit is an element in a pass */
	u64 (*transform)(const struct kjx_transform_run *run, u64 *at, u64 budget, u32 *done);
	/* dst[i * dst_stride + j] = src[j * src_stride + i] for i < rows, j < columns: elements, strides in bytes; they do not overlap */
	void (*turn)(void *dst, s64 dst_stride, const void *src, s64 src_stride, u64 rows, u64 columns, u32 log2_size);
};

extern const struct kjx_cpu kjx_cpu_scalar;
#if defined(__x86_64__)
extern const struct kjx_cpu kjx_cpu_avx2, kjx_cpu_avx512, kjx_cpu_avx512vnni;
#endif

#endif
