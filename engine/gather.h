/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/* Gather and scatter, decoded. Dims are merged where all views allow it; offsets and strides are in bytes. */
#ifndef KJX_GATHER_H
#define KJX_GATHER_H

#include "plan.h"

#define KJX_GATHER_BLOCK 512	/* batch points whose origins are computed at a time */
#define KJX_GATHER_ELEMENTS 1024 /* or at a time, where the cpu table does that as it goes */
#define KJX_GATHER_RUN 8192	/* most elements copied between looks at the budget */

/** struct kjx_component - one component of the origins */
struct kjx_component {
	struct kjx_place place;		/* of its integers */
	struct kjx_origins how;
	s64 stride[KJX_MAX_RANK + 1];	/* by batch dim */
};

/** struct kjx_gather_plan
 * @dim, @windowed_stride, @plain_stride: batch dims (at least one), then window dims
 * @run:	most elements of one piece
 * @weight:	work units of an element
 * @in_place:	scatter: the body is one micro-operation whose result goes right into the tensor
 * @rows:	windows are dense runs, in both tensors, to be copied; or to be combined with, by a body of one micro-operation
 * @one_window:	not zero: work units of the whole, which is one window of at most two dims, to be copied
 * @update:	scatter of elements: the routine that does all of it, or NULL
 * @elements:	windows of one element, one index each: for the cpu table's routine of that name
 * @kind:	KJX_KIND_* of an element, or KJX_KINDS where threaded code has no operations on it
 */
struct kjx_gather_plan {
	u8 n_batch, n_window, n_index, log2_size;
	u8 scatter, has_body, skip, in_place, elements, kind;
	u32 n_splats;
	u32 run, weight, slots, rows;	/* slots: offset in the scratch */
	u64 one_window;
	kjx_update_fn *update;
	struct kjx_place windowed, plain;
	u64 dim[KJX_MAX_RANK + 1];
	s64 windowed_stride[KJX_MAX_RANK + 1], plain_stride[KJX_MAX_RANK + 1];
	const struct kjx_component *index;
	const struct kjx_place *splat;
	struct kjx_body body;
};

/* progress, in the scratch; cells and slots of the body follow, then two runs for moves, then one for each splat */
struct kjx_gather_state {
	u64 batch[KJX_MAX_RANK + 1];	/* batch index */
	s64 windowed, plain;		/* offset of this batch point, origin left out */
	s64 component[KJX_MAX_INDEX_COMPONENTS];
	u64 points, point;		/* of the block, and those done */
	u64 window[KJX_MAX_RANK];	/* index in the window of this point */
	s64 in_windowed, in_plain;	/* and offsets */
	s64 origin[KJX_GATHER_BLOCK];	/* see cpu.h */
};

#endif
