/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The program format: what the bytes of a .kjx file mean. src/kjax/isa/ holds the numbers (generated into
 * gen/isa.h); this file holds the layouts. Everything is little-endian, naturally aligned, and untrusted
 * until kjx_verify() has accepted it.
 */
#ifndef KJX_FORMAT_H
#define KJX_FORMAT_H

#include "port.h"
#include "gen/isa.h"

/** struct kjx_header - first 64 bytes of a program
 * @magic:	"KJX\x1a"
 * @major:	must equal KJX_VERSION_MAJOR
 * @minor:	must not exceed KJX_VERSION_MINOR
 * @total:	length of the whole image in bytes, a multiple of 64
 * @n_sections:	rows of the section table that follows
 * @flags:	zero
 * @lanes:	lanes that run this program together, at least 1
 * @zero:	zero
 * @arena:	bytes of arena a lane needs for its tensors (the engine adds its own scratch)
 * @hash:	XXH64 over header and section table with this field zero
 * @reserved:	zero
 */
struct kjx_header {
	u8 magic[4];
	u16 major, minor;
	u64 total;
	u32 n_sections, flags, lanes, zero;
	u64 arena, hash;
	u64 reserved[2];
};

/** struct kjx_section - a row of the section table
 * @id:		four letters, see KJX_SECTIONS for order
 * @count:	records: tensors, instructions, micro-operations; ARGS: inputs << 16 | outputs; zero for the others
 * @offset:	from the image's start, a multiple of 64; sections follow each other without gaps but padding
 * @bytes:	without padding
 * @hash:	XXH64 of those bytes
 */
struct kjx_section {
	u8 id[4];
	u32 count;
	u64 offset, bytes, hash;
};

/** struct kjx_tensor - where a buffer lives
 * @dtype:	KJX_DTYPE_*
 * @storage:	KJX_STORAGE_*
 * @index:	number of the input or output; zero for constants and arena
 * @offset:	bytes from the start of that storage, a multiple of the element size (compilers put constants and
 *		arena tensors at multiples of 64; the engine does not rely on it)
 * @bytes:	length in bytes, a multiple of the element size, not zero
 */
struct kjx_tensor {
	u8 dtype, storage;
	u16 zero0;
	u32 index;
	u64 offset, bytes, zero1;
};

/** struct kjx_argument - an input or output as the caller sees it; @rank u64 dims follow
 * @tensor:	the tensor that covers the whole buffer: storage input/output with this number, offset 0
 * @alias:	outputs: the input whose buffer it updates in place (the caller passes one buffer for both),
 *		or KJX_NO_ALIAS
 * An argument with a dim of zero has no bytes: its tensor is KJX_NO_TENSOR.
 */
struct kjx_argument {
	u32 tensor;
	u8 dtype, rank;
	u16 flags;
	u32 alias, zero;
};

/** struct kjx_uop - one micro-operation of a body: dst = op(a, b, c), registers of strips
 * @code:	operation << KJX_DTYPE_BITS | dtype (of b; of a where there is one operand)
 * @imm:	load, store, iota: number of the operand view; bitcast: the result's dtype, of the same size, i1 only from
 *		i1; else zero
 * Fields that the operation does not use are zero. A register is written before it is read, and read as what was written;
 * operands of an operation may be of any sizes, dst may be one of them.
 */
struct kjx_uop {
	u16 code;
	u8 dst, a, b, c;
	u16 imm;
};

/* Every instruction begins with this. @length in bytes, a multiple of 8, this header included. */
struct kjx_insn {
	u16 opcode, flags;
	u32 length;
};

/** struct kjx_operand - an affine view; followed by one s64 stride (in elements) for each dim it speaks of
 * @tensor:	its buffer, or KJX_NO_TENSOR for an iota operand
 * @zero:	zero
 * @offset:	elements from the tensor's start (iota: the value at index 0)
 * Every element that a view can reach lies in its tensor; strides are at most KJX_MAX_BYTES in size, those of dims of one
 * element too. The values of an iota, and index * stride, stay within 62 bits.
 *
 * A view that is written to visits no element twice (sorted by size, each stride is larger than all the smaller ones
 * reach together), and shares no bytes with another view of the same instruction (from the lowest to the highest
 * byte that they reach), unless it is the same element at every point and the instruction says that this is allowed.
 * An output that updates an input in place has that input's bytes.
 */
struct kjx_operand {
	u32 tensor, zero;
	s64 offset;
};

/** struct kjx_nest - opcode nest
 * @rank:	dims of the iteration space, 1 to KJX_MAX_RANK
 * @n_operands:	views, each with @rank strides, in the order that load/store/iota name them
 * @n_acc:	values reduced: 0 for a map
 * @n_regs:	registers of the bodies
 * @red_first:	with n_acc > 0, dims [red_first, red_first + red_count) are reduced.
 * @red_count:	Dims before them are the outer kept dims, dims after them the inner kept dims.
 * @strip:	most elements that one strip may hold, 1 to KJX_MAX_STRIP
 * @body:	first micro-operation in BODY; @n_map, then @n_combine, then @n_post micro-operations
 * @rows:	KJX_ROWS_*
 * followed by u64 dims[rank], then @n_operands times { struct kjx_operand, s64 strides[rank] }
 *
 * Map (n_acc = 0; n_combine = n_post = 0): the map body runs over the flat row-major iteration space in strips.
 *
 * Reduce: for each point of the kept dims, over all points of the reduced dims, the map body leaves
 * value i in register n_acc + i; the combine body takes accumulator i in register i and another
 * value in register n_acc + i and leaves the new accumulator in register i. It must be associative and
 * commutative: values are combined in an order of the engine's choosing, which depends on
 * nothing but the instruction. After that the post body runs with the accumulators in registers 0..n_acc-1.
 * A value is combined with nothing but values: the initial value, if any, is the post body's business.
 * Whether a strip runs along the reduced dims, the inner kept dims or both is the engine's choice (engine/nest.h).
 * Stores in the map body cover every point; operands used in the post body have stride 0 on reduced dims.
 * The map body must not read or write registers 0..n_acc-1. The combine body has no load, store or iota.
 * The bodies store something; a view that is stored to may be the same view as another operand.
 *
 * Neighbouring nests with KJX_ROWS_OWN in the first and KJX_ROWS_OWN | KJX_ROWS_JOINED in the others run together: for each point of
 * dim 0, which is of one size of at least two in all of them and reduced in none, one nest after the other. So what one leaves for the
 * next is still in a cache. That this is what the program means is up to its compiler. Not inside a while.
 */
#define KJX_ROWS_OWN	1u
#define KJX_ROWS_JOINED	2u

struct kjx_nest {
	struct kjx_insn insn;
	u8 rank, n_operands, n_acc, n_regs;
	u8 red_first, red_count;
	u16 strip;
	u32 body;
	u16 n_map, n_combine, n_post, rows;
	u32 source;	/* row of META's source table, not read by the vm; 0 = none */
};

/** struct kjx_dot - opcode dot: out[b,m,n] = sum over k of lhs[b,m,k] * rhs[b,k,n]
 * @dtype:	KJX_DTYPE_F32, F64, I32, I64, U32, U64, C64 or C128: of out and of the sums. lhs and rhs have it too; or, where it
 *		is I32 or U32, each an integer type of one byte or I16: products and sums are as if they had been converted
 * @nb, @nm, @nn, @nk: number of dims in each group; their sum is the rank, at most KJX_MAX_RANK.
 * followed by u64 dims[rank] (groups in that order) and three operands (lhs, rhs, out) with rank
 * strides each: lhs has stride 0 on n dims, rhs on m dims, out on k dims. Overlapping lhs views are
 * allowed: a convolution is a dot. out must not overlap lhs or rhs.
 */
struct kjx_dot {
	struct kjx_insn insn;
	u8 dtype, nb, nm, nn, nk, zero0;
	u16 zero1;
	u32 zero2, source;
};

/** struct kjx_index - one component of a window's origin
 * @tensor:	integer tensor; its value at a batch point is offset + sum(batch index * stride)
 * @wrap:	is added to an index below zero, before anything else; zero where the integers have no sign
 * @limit:	largest origin that keeps the window inside (>= 0)
 * @step:	elements of the windowed tensor that one step of this component moves
 * followed by s64 strides[n_batch]
 */
struct kjx_index {
	u32 tensor, wrap;
	s64 offset;
	u64 limit;
	s64 step;
};

/** struct kjx_gather - opcodes gather and scatter
 * @n_batch:	dims over which windows are enumerated
 * @n_window:	dims of a window; n_batch + n_window <= KJX_MAX_RANK, at least 1
 * @n_index:	components of an origin
 * @mode:	KJX_INDEX_CLAMP, or KJX_INDEX_SKIP (scatter only: a window whose origin is out of range is left out)
 * @n_regs, @body, @n_uops: scatter: the update body: register 0 holds the current elements, register 1 the
 *		updates, register 2 + i splat i; the result is left in register 0. n_uops = 0 means: replace. gather: zero.
 * @n_splats:	with a body: elements that it reads besides, each the same at every point (constants, say)
 * followed by u64 dims[n_batch + n_window], operand windowed { struct kjx_operand, strides[rank] },
 * operand plain { struct kjx_operand, strides[rank] }, then n_index times { struct kjx_index, strides[n_batch] },
 * then n_splats times struct kjx_operand (without strides); what is scattered into must not overlap them.
 * gather: plain[b, w] = windowed[origin(b) + b + w]. scatter: windowed[origin(b) + b + w] = body(that, plain[b, w]),
 * batch points in row-major order. windowed and plain have one dtype and must not overlap.
 */
struct kjx_gather {
	struct kjx_insn insn;
	u8 n_batch, n_window, n_index, mode;
	u8 n_regs, n_splats;
	u16 n_uops;
	u32 body, source;
};

/** struct kjx_sort - opcode sort: stable, along one dim
 * @n_operands:	tensors sorted together; each has an input view and an output view
 * @n_keys:	0: compare by body; else compare operand 0, then 1, ... n_keys-1 lexicographically
 * @n_regs, @body, @n_uops: comparator body: registers 2i and 2i+1 hold operand i of the left and of the
 *		right element (strips); leaves i1 "left goes before right" in register 0
 * @descending:	with n_keys: bit i set: larger values of key i first
 * @total:	with n_keys: bit i set: float key i by IEEE total order (-NaN < -inf < -0 < +0 < inf < NaN);
 *		clear: -0 equals +0 and every NaN sorts as the largest value
 * followed by u64 dims[rank] (rank <= KJX_MAX_RANK; the last dim is sorted), then for each operand
 * { input operand, strides[rank], output operand, strides[rank] }. An output may be the same view as its input; else
 * they must not overlap.
 */
struct kjx_sort {
	struct kjx_insn insn;
	u8 rank, n_operands, n_keys, n_regs;
	u16 n_uops, zero;
	u32 body, source;
	u32 descending, total;
};

/** struct kjx_linalg - opcode linalg: a batch of dense matrices
 * @kind:	KJX_LINALG_*: what is computed; isa/linalg.py says which operands, results and sizes it has
 * @dtype:	KJX_DTYPE_F32, F64, C64 or C128; that of an operand follows from it
 * @flags:	KJX_LINALG_FLAG_* that the kind has
 * @n_operands:	of the kind: operands read, then results
 * @batch:	matrices, at least 1
 * @m, @n, @k:	sizes, 1 to KJX_LINALG_MAX_SIZE (@k: KJX_LINALG_MAX_COLUMNS); zero where the kind does not have it
 * followed by n_operands times struct kjx_operand: dense from @offset on, batch member after batch member. An operand
 * without elements, and a result that is not wanted, is KJX_NO_TENSOR with offset zero; one result is wanted. A result
 * overlaps nothing.
 */
struct kjx_linalg {
	struct kjx_insn insn;
	u8 kind, dtype, flags, n_operands;
	u32 source;
	u64 batch;
	u32 m, n, k, zero;
};

/** struct kjx_transform - opcode transform: discrete Fourier transforms along the middle one of three dims
 * @kind:	KJX_TRANSFORM_COMPLEX; FORWARD: of real values, frequencies 0 to n / 2; BACKWARD: real values from such, where
 *		imaginary parts of frequencies 0 and n / 2 are not read
 * @dtype:	KJX_DTYPE_F32 or F64: of parts, scale and roots. in: of that type or (complex, backward) complex of such
 *		parts; out: of that type (backward), else complex
 * @flags:	of a complex transform: KJX_TRANSFORM_FLAG_INVERSE: the exponent's sign is positive; KJX_TRANSFORM_FLAG_TURNED:
 *		results are multiplied by roots, dims[2] for each place; then dims[2] is a multiple of KJX_TRANSFORM_LANES
 * @n_factors, @factors: radices of the passes, first to last: 2, 3, 4, 5, or, of complex transforms, 7, 8; of other kinds odd ones
 *		come last, and a forward transform goes from the last to the first. Their product is dims[1]. The rest is zero
 * @scale:	bits of an f64; rounded to dtype, results are multiplied by it
 * @roots, @roots_at: tensor, and the element where cos and sin of the passes begin: pass after pass, for i from 1 to
 *		m - 1 (complex; others: to (m - 1) / 2, where m is the length divided by the factors so far), for j from 1 to
 *		radix - 1, cos, sin (2 pi i j / (radix m)). Then, with TURNED, for each place dims[2] cos, dims[2] sin. Conjugates
 *		are taken unless INVERSE or BACKWARD
 * @dims:	transforms, their length (at most KJX_TRANSFORM_MAX_LENGTH), transforms
 * followed by two operands (in, out) with 3 strides each, where dims[1] may stand for dims[1] / 2 + 1. out overlaps nothing.
 */
struct kjx_transform {
	struct kjx_insn insn;
	u8 kind, dtype, flags, n_factors;
	u32 source;
	u8 factors[KJX_TRANSFORM_MAX_FACTORS];
	u64 scale;
	u32 roots, zero;
	s64 roots_at;
	u64 dims[3];
};

/** struct kjx_scan - opcode scan: out[i] = in[0] op in[1] op ... op in[i] along the last dim
 * @rank:	1 to KJX_MAX_RANK
 * @code:	as in struct kjx_uop: add, mul, max, min, and, or, xor on a type that is not complex
 * followed by u64 dims[rank] and two operands (in, out) with rank strides each. They may be the same view, else they must
 * not overlap. A scan from the end is one along negative strides. How sums and products of floats round depends on
 * dims and strides only.
 */
struct kjx_scan {
	struct kjx_insn insn;
	u16 code;
	u8 rank, zero;
	u32 source;
};

/** struct kjx_while - opcode while; the condition's instructions follow, then do
 * @trips:	bound on the number of times the body runs, enforced; 0 = unknown (fuel bounds it)
 */
struct kjx_while {
	struct kjx_insn insn;
	u64 trips;
	u32 zero, source;
};

/** struct kjx_do - opcode do (predicate: i1 tensor) and case (index: i32 tensor)
 * @n_branches:	case: 1 to KJX_MAX_BRANCHES; an index outside [0, n_branches) takes the last branch. do: 0
 * @offset:	element of the tensor that holds the value
 */
struct kjx_do {
	struct kjx_insn insn;
	u32 tensor, n_branches;
	u64 offset;
};

/* opcodes branch and end: a bare struct kjx_insn */

/** struct kjx_exchange - opcode exchange: the same one, in the same order, in every lane
 * @kind:	KJX_EXCHANGE_*
 * @group_size:	lanes of a group: lane l is in group table[l] >> 16, at place table[l] & 0xffff
 * @in, @out:	dense tensors, used whole (in = KJX_NO_TENSOR for lane_id)
 * followed by u32 table[lanes], padded with zeros to 8 bytes. permute: table[l] is the lane that l receives from,
 * or KJX_NO_LANE (zeros are received).
 */
struct kjx_exchange {
	struct kjx_insn insn;
	u32 kind, group_size;
	u32 in, out;
	u32 zero, source;
};

/** struct kjx_value - an array that a trace hands over; @rank u64 dims follow
 * @tensor:	dense, used whole: its bytes are those of an array of these dims; or KJX_NO_TENSOR where a dim is zero
 * @dtype:	KJX_DTYPE_*, the tensor's
 */
struct kjx_value {
	u32 tensor;
	u8 dtype, rank;
	u16 zero;
};

/** struct kjx_trace - opcode trace: the run stops until the host has taken the values (engine.h, kjx_asked())
 * @site:	which of META's sites this is; a number for the host, not looked at
 * @n_inputs, @n_outputs: values, at most KJX_MAX_TRACE_VALUES of each; a print has no outputs
 * @kind:	KJX_TRACE_*
 * followed by the inputs, then the outputs { struct kjx_value, u64 dims[rank] }. An output overlaps no other value.
 */
struct kjx_trace {
	struct kjx_insn insn;
	u32 site, source;
	u16 n_inputs, n_outputs;
	u32 kind;
};

#endif
