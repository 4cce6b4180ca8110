/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Views of a nest, decoded. The dims of a nest are split into loop dims, over which the vm counts, and lane dims,
 * which in row-major order make up the lanes of strips. A view has a cursor for the loop dims (the address, or the
 * iota's value, of lane 0) and a class for its lanes.
 */
#ifndef KJX_VIEW_H
#define KJX_VIEW_H

#include "plan.h"

enum kjx_lanes {
	KJX_LANES_DENSE,	/* lane l is element l */
	KJX_LANES_SCALAR,	/* all lanes are one element */
	KJX_LANES_STRIDED,	/* lane l is at l * stride */
	KJX_LANES_RUNS,		/* several dims: an odometer counts runs along the innermost */
};

/** struct kjx_view
 * @dim, @stride: lane dims after merging, innermost last; strides in bytes (iota: in values)
 * @delta:	by loop dim: what its step adds to the cursor, the wrapping of the dims inside it included;
 *		then for each of the two loop groups what its last step adds
 * @odometer:	offset of its struct kjx_odometer in the link, for KJX_LANES_RUNS
 */
struct kjx_view {
	struct kjx_place place;		/* iota: offset = value at index 0 */
	u8 lanes, n_dims, is_iota, in_loops;
	u32 odometer;
	const u64 *dim;
	const s64 *stride;
	const s64 *delta;
};

/* where the next lane of a view with KJX_LANES_RUNS is */
struct kjx_odometer {
	u64 lane;			/* number of that lane; ~0: unknown */
	u64 inner;			/* its index along the innermost dim */
	s64 run;			/* offset of the run from the cursor */
	u64 index[KJX_MAX_RANK - 1];	/* of the other dims */
};

/* a cursor: an address, or the value of an iota (modulo 2^64) */
union kjx_cursor {
	u8 *at;
	u64 value;
};

/* fill in the lane part from the dims @order[0..n) of an operand's @strides (in elements) */
void kjx_view_lanes(struct kjx_builder *b, struct kjx_view *v, const u64 *dims, const s64 *strides, const u8 *order,
		    u32 n);

/** kjx_view_run - the longest piece of the lanes [lane, lane + n) that lies along one stride
 * @offset:	set to its first lane's offset from the cursor
 * @stride:	set to the stride
 * Return: its length; the odometer has moved behind it.
 */
static inline u64 kjx_view_run(const struct kjx_view *v, struct kjx_odometer *o, u64 lane, u64 n, s64 *offset,
			       s64 *stride);

void kjx_odometer_seek(const struct kjx_view *v, struct kjx_odometer *o, u64 lane);
void kjx_odometer_carry(const struct kjx_view *v, struct kjx_odometer *o);

static inline u64 kjx_view_run(const struct kjx_view *v, struct kjx_odometer *o, u64 lane, u64 n, s64 *offset,
			       s64 *stride)
{
	s64 s = v->stride[v->n_dims - 1];
	u64 left;

	*stride = s;
	if (v->lanes != KJX_LANES_RUNS) {
		*offset = (s64)(lane * (u64)s);
		return n;
	}
	if (o->lane != lane)
		kjx_odometer_seek(v, o, lane);
	*offset = (s64)((u64)o->run + o->inner * (u64)s);
	left = v->dim[v->n_dims - 1] - o->inner;
	if (n < left) {
		o->inner += n;
		o->lane += n;
		return n;
	}
	o->lane += left;
	kjx_odometer_carry(v, o);
	return left;
}

/* lanes after which those of a view that repeats itself begin again; 0: it does not */
u64 kjx_view_period(const struct kjx_view *v);

/* copy lanes between the view and consecutive elements */
void kjx_view_gather(const struct kjx_cpu *cpu, const struct kjx_view *v, struct kjx_odometer *o, const u8 *cursor,
		     u64 lane, u64 n, void *to);
void kjx_view_scatter(const struct kjx_cpu *cpu, const struct kjx_view *v, struct kjx_odometer *o, u8 *cursor,
		      u64 lane, u64 n, const void *from);
void kjx_view_iota(const struct kjx_cpu *cpu, const struct kjx_view *v, struct kjx_odometer *o, u64 cursor, u64 lane,
		   u64 n, u32 log2_size, void *to);

/* the first lane's element in all lanes */
void kjx_splat(const struct kjx_cpu *cpu, void *to, const void *from, u64 n, u32 log2_size);

#endif
