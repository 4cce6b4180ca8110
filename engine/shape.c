// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * How an iteration space is run (nest.h): mode, order of dims, strip; and from that the size of a nest's plan and
 * scratch and its cost. Integer functions of the instruction alone.
 */
#include "nest.h"

#define STRIP_UNITS	32768u	/* most work units of a strip: the vm looks at its budget in between */
#define WHOLE_TILES	128u
#define TINY_ROW	16u	/* rows of no more points than this are not worth a strip of their own */
#define MANY_ROWS	8u
#define LONG_ROW	256u	/* a map goes row by row where that makes an operand a single value */
#define SIMPLE_ROW	64u	/* likewise, of a few cheap operations that are tiles wherever there are any */
#define SIMPLE_WEIGHT	12u

static u64 points(const u64 *dims, u32 from, u32 to)
{
	u64 n = 1;

	for (; from < to; from++)
		n = kjx_sat_mul(n, dims[from]);
	return n;
}

/* append the dims [from, to) to the order; returns how many have more than one point */
static u32 put(struct kjx_shape *shape, u32 at, const u64 *dims, u32 from, u32 to)
{
	u32 n = 0;

	for (; from < to; from++)
		if (dims[from] > 1)
			shape->order[at + n++] = (u8)from;
	return n;
}

static bool is_simple_op(u32 op, u32 dtype)
{
	const bool floats = dtype == KJX_DTYPE_F32 || dtype == KJX_DTYPE_F64;

	switch (op) {
	case KJX_OP_LOAD:
	case KJX_OP_STORE:
	case KJX_OP_IOTA:
	case KJX_OP_SELECT:
	case KJX_OP_ADD:
	case KJX_OP_SUB:
	case KJX_OP_MUL:
	case KJX_OP_MAX:
	case KJX_OP_MIN:
	case KJX_OP_EQ:
	case KJX_OP_NE:
	case KJX_OP_LT:
	case KJX_OP_LE:
	case KJX_OP_GT:
	case KJX_OP_GE:
		return true;
	case KJX_OP_DIV:
	case KJX_OP_NEG:
	case KJX_OP_ABS:
		return floats;
	case KJX_OP_AND:
	case KJX_OP_OR:
	case KJX_OP_XOR:
	case KJX_OP_NOT:
	case KJX_OP_TO_F32:
	case KJX_OP_TO_I32:
		return dtype == KJX_DTYPE_I1;
	}
	return false;
}

/* a map of few sums, products, comparisons, selections ... of elements of 4 bytes or 8, and masks */
static bool is_simple(const struct kjx_image *image, const struct kjx_nest *insn, u32 weight)
{
	const struct kjx_uop *u = image->uops + insn->body, *end = u + insn->n_map;
	u32 log2 = 0;

	if (weight > SIMPLE_WEIGHT)
		return false;
	for (; u != end; u++) {
		const u32 dtype = kjx_uop_dtype(u), size = dtype == KJX_DTYPE_I1 ? 0 : kjx_log2_size(dtype);
		const bool right = dtype == KJX_DTYPE_F32 || dtype == KJX_DTYPE_F64 || dtype == KJX_DTYPE_I32 || dtype == KJX_DTYPE_U32 ||
				   dtype == KJX_DTYPE_I1;

		if (!right || !is_simple_op(kjx_uop_op(u), dtype) || (size && log2 && size != log2))
			return false;
		log2 = size ? size : log2;
	}
	return true;
}

/* how many dims of a map are loops: all but the last where an operand has one value a row, or each row reads it at the beginning again */
static u32 map_loops(const struct kjx_image *image, const struct kjx_nest *insn, u32 weight, u64 strip)
{
	const u32 last = insn->rank - 1u, least = is_simple(image, insn, weight) ? SIMPLE_ROW : LONG_ROW;
	const u64 row = kjx_nest_dims(insn)[last];
	u32 i, k;

	for (i = 0; last && row >= least && i < insn->n_operands; i++) {
		const s64 *strides = kjx_strides(kjx_nest_operand(insn, i));

		for (k = 0; k < last && !strides[k]; k++)
			;
		if (strides[last] ? k == last && strip % row && row >= LONG_ROW : k < last)
			return last;
	}
	return insn->rows ? 1 : 0;
}

void kjx_nest_shape(const struct kjx_image *image, const struct kjx_nest *insn, struct kjx_shape *shape)
{
	const u64 *dims = kjx_nest_dims(insn);
	u32 red = insn->red_first, inner = red + insn->red_count, at, loops;
	u64 strip, n_outer, n_red, n_inner;

	kjx_memset(shape, 0, sizeof(*shape));
	shape->w_map = kjx_body_weight(image, insn->body, insn->n_map);
	shape->w_combine = kjx_body_weight(image, insn->body + insn->n_map, insn->n_combine);
	shape->w_post = kjx_body_weight(image, insn->body + insn->n_map + insn->n_combine, insn->n_post);
	strip = STRIP_UNITS / (shape->w_map + shape->w_combine);
	if (strip >= WHOLE_TILES)		/* then strips begin where cache lines do, and are whole tiles */
		strip -= strip % WHOLE_TILES;
	strip = kjx_min(insn->strip, strip < 4 ? 4 : strip);
	shape->rows = shape->red = shape->unit = 1;

	if (!insn->n_acc) {
		shape->mode = KJX_NEST_MAP;
		loops = map_loops(image, insn, shape->w_map, strip);
		at = shape->n_kept = (u8)put(shape, 0, dims, 0, loops);
		shape->rows = points(dims, 0, loops);
		shape->n_lane = (u8)put(shape, at, dims, loops, insn->rank);
		shape->lanes = points(dims, loops, insn->rank);
		shape->strip = (u32)kjx_min(strip, shape->lanes);
		return;
	}
	n_outer = points(dims, 0, red);
	n_red = points(dims, red, inner);
	n_inner = points(dims, inner, insn->rank);
	if (!insn->rows && n_outer >= MANY_ROWS && kjx_sat_mul(n_red, n_inner) <= TINY_ROW) {
		shape->mode = KJX_NEST_INNER;
		at = shape->n_red = (u8)put(shape, 0, dims, red, inner);
		at += put(shape, at, dims, 0, red);
		at += put(shape, at, dims, inner, insn->rank);
		shape->n_lane = (u8)(at - shape->n_red);
		shape->red = n_red;
		shape->lanes = kjx_sat_mul(n_outer, n_inner);
		shape->strip = (u32)kjx_min(strip, shape->lanes);
		return;
	}
	at = shape->n_kept = (u8)put(shape, 0, dims, 0, red);
	shape->rows = n_outer;
	if (n_inner == 1 || n_inner <= strip / 2) {
		shape->mode = KJX_NEST_FLAT;
		shape->n_lane = (u8)put(shape, at, dims, red, insn->rank);
		shape->unit = n_inner;
		shape->lanes = kjx_sat_mul(n_red, n_inner);
		shape->strip = (u32)kjx_min(strip / n_inner * n_inner, shape->lanes);
		return;
	}
	shape->mode = KJX_NEST_INNER;
	shape->n_red = (u8)put(shape, at, dims, red, inner);
	at += shape->n_red;
	shape->n_lane = (u8)put(shape, at, dims, inner, insn->rank);
	shape->red = n_red;
	shape->lanes = n_inner;
	shape->strip = (u32)kjx_min(strip, n_inner);
}

u64 kjx_strips_cost(const struct kjx_shape *shape, u32 weight)
{
	u64 whole = shape->lanes / shape->strip, rest = shape->lanes % shape->strip;
	u64 cost = kjx_sat_mul(whole, kjx_strip_cost(shape->strip, weight));

	return rest ? kjx_sat_add(cost, kjx_strip_cost(rest, weight)) : cost;
}

u64 kjx_nest_cost(const struct kjx_image *image, const struct kjx_nest *insn)
{
	struct kjx_shape shape;
	u64 row;

	kjx_nest_shape(image, insn, &shape);
	if (shape.mode == KJX_NEST_MAP)
		return kjx_sat_mul(shape.rows, kjx_strips_cost(&shape, shape.w_map));
	row = kjx_strips_cost(&shape, shape.w_map + shape.w_combine);
	if (shape.mode == KJX_NEST_FLAT) {
		row = kjx_sat_add(row, kjx_halving_cost(shape.strip, shape.w_combine));
		row = kjx_sat_add(row, kjx_strip_cost(shape.unit, shape.w_post));
	} else {
		row = kjx_sat_add(kjx_sat_mul(row, shape.red), kjx_strips_cost(&shape, shape.w_post));
	}
	return kjx_sat_mul(row, shape.rows);
}

static u64 uops_of(const struct kjx_nest *insn)
{
	return (u64)insn->n_map + insn->n_combine + insn->n_post;
}

u64 kjx_nest_cells(const struct kjx_nest *insn)
{
	/* a load or store that copies takes two; a list of steps takes one, and a few for all */
	return 2 * uops_of(insn) + 3ull * insn->n_acc + insn->n_map + 2 + KJX_TILES_KEPT;
}

u64 kjx_nest_plan_bytes(const struct kjx_image *image, const struct kjx_nest *insn)
{
	u64 uops = uops_of(insn), cells = kjx_nest_cells(insn), views = insn->n_operands, rank = insn->rank;
	u64 bytes = sizeof(struct kjx_nest_plan) + 8 * rank;
	struct kjx_shape shape;
	u64 i;

	bytes += (uops + 2ull * insn->n_acc) * sizeof(struct kjx_micro) + cells * sizeof(struct kjx_def);
	bytes += (uops + cells) * sizeof(struct kjx_pair) + cells * (sizeof(struct kjx_place) + 1);
	bytes += views * (sizeof(struct kjx_fixed) + sizeof(struct kjx_splat) + sizeof(struct kjx_view) + 32);
	bytes += views * (16 * (rank + 1) + 8 * (rank + 2));
	bytes += insn->n_map * (sizeof(struct kjx_fixed) + sizeof(struct kjx_pair)) + (uops + 1) * sizeof(struct kjx_move);
	bytes += 20 * 8 + views * 24;			/* rounding of each piece to 8 */
	kjx_nest_shape(image, insn, &shape);
	if (shape.lanes >= KJX_TILE_LANES)
		bytes += 2 * kjx_tile_steps(insn->n_map) * sizeof(struct kjx_tile_step);
	for (i = 0; i < views; i++) {
		u32 tensor = kjx_nest_operand(insn, (u32)i)->tensor;

		if (tensor == KJX_NO_TENSOR)
			bytes += shape.strip * 8ull + 64;
		else if (image->tensors[tensor].storage == KJX_STORAGE_CONSTANT)
			bytes += ((u64)shape.strip << kjx_log2_size(image->tensors[tensor].dtype)) + 64;
	}
	return bytes;
}

u64 kjx_nest_ops(const struct kjx_image *image, const struct kjx_nest *insn)
{
	struct kjx_shape shape;

	kjx_nest_shape(image, insn, &shape);
	if (shape.mode != KJX_NEST_MAP || shape.strip != shape.lanes || shape.n_kept)
		return 2;
	if (shape.lanes <= KJX_LANES_APART)
		return insn->n_map * shape.lanes + 1;
	return (u64)insn->n_map + insn->n_operands + 1;		/* splats */
}

u64 kjx_nest_tables(const struct kjx_image *image, const struct kjx_nest *insn)
{
	struct kjx_shape shape;

	kjx_nest_shape(image, insn, &shape);
	return shape.lanes > KJX_LANES_APART && shape.lanes <= KJX_LANE_TABLE ? insn->n_map * shape.lanes * sizeof(s64) : 0;
}

u64 kjx_nest_link_bytes(const struct kjx_image *image, const struct kjx_nest *insn)
{
	u64 bytes = kjx_nest_cells(insn) * sizeof(void *) + 8ull * KJX_MAX_RANK;

	(void)image;
	bytes += insn->n_operands * (sizeof(union kjx_cursor) + sizeof(struct kjx_odometer));
	return kjx_align_up(bytes, 64);
}

u64 kjx_nest_scratch(const struct kjx_image *image, const struct kjx_nest *insn)
{
	u32 log2 = kjx_uops_log2(image->uops + insn->body, (u32)uops_of(insn));
	u64 slots = insn->n_regs + 1ull + KJX_PAIR_SLOTS + 2ull * insn->n_acc + insn->n_operands;
	struct kjx_shape shape;

	kjx_nest_shape(image, insn, &shape);
	return kjx_nest_link_bytes(image, insn) + slots * kjx_slot_bytes(shape.strip, log2) +
	       (shape.strip * 8ull < KJX_FOLD_BYTES ? 0 : (KJX_TILES_KEPT + KJX_MASKS_TILES) * KJX_TILE_BYTES) +
	       (shape.mode == KJX_NEST_FLAT && insn->n_acc == 1 ? KJX_ENDS * KJX_FOLD_BYTES : 0);
}
