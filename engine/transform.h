/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Opcode transform, between its parts: the core settles sizes and places (transform.c), a cpu table computes
 * (ukernels/transform*.inc).
 *
 * A run takes transforms in groups of up to KJX_TRANSFORM_LANES, that is one or more vectors of a cpu table, through all passes before the next
 * group. A vector's lanes are transforms, its scratch two buffers that the passes go to and fro between. Positions and
 * numbers of passes follow from verified fields; elements and roots are nothing but operands of arithmetic.
 */
#ifndef KJX_TRANSFORM_H
#define KJX_TRANSFORM_H

#include "port.h"
#include "gen/isa.h"

#define KJX_TRANSFORM_VECTOR	64	/* bytes, most of any cpu table */

/** struct kjx_transform_plan - one instruction, decoded
 * @kind:	KJX_TRANSFORM_COMPLEX, FORWARD (real to half spectrum), BACKWARD (half spectrum to real)
 * @single:	parts are f32, else f64
 * @inverse:	complex: the exponent's sign is positive
 * @turned:	results are multiplied by roots, one for each place and lane, that follow those of the passes
 * @real:	complex: the elements that are read have no imaginary part
 * @n_factors, @factors: radices, in the order of a complex transform's or of a backward real transform's passes
 * @outer, @n, @lanes: transforms, their length, transforms side by side
 * @given, @made: elements of one transform that are read, written
 * @in, @out:	bytes from one to the next: of outer, along the transform, of lanes
 * @scale:	bits of a double; results are multiplied by it
 * @groups:	of lanes, for one of outer
 */
struct kjx_transform_plan {
	u8 kind, single, inverse, turned, real, n_factors;
	u8 factors[KJX_TRANSFORM_MAX_FACTORS];
	u64 outer, n, lanes, given, made;
	s64 in[3], out[3];
	u64 scale, groups;
};

/** struct kjx_transform_run - groups up to @to, of all of outer */
struct kjx_transform_run {
	const struct kjx_transform_plan *plan;
	const u8 *in, *roots;
	u8 *out, *scratch;
	u64 to;
};

#endif
