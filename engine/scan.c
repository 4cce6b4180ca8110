// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Opcode scan: each row (a line along the scanned dim) becomes its prefixes. Where the elements of another dim lie next to
 * each other and those of the row do not, strips of neighbouring rows go on together, row element by row element
 * ("across"); else one row after the other in pieces, through a dense copy where its elements are apart ("along").
 * Which of the two it is follows from the instruction, and so does every rounding.
 *
 * Progress: at[0] = 1 when begun; the rest is struct state, in the scratch, and what the cpu table keeps after it.
 */
#include "part.h"

#define CARRY_BYTES (24ull * KJX_SCAN_LANES)	/* what the routines keep: at most 24 bytes a lane */

/** struct kjx_scan_plan
 * @dim, @in_stride, @out_stride: the dims that are neither scanned nor lanes, @n_outer of them; strides in bytes
 * @n:		length of a row; @in_step and @out_step along it
 * @lanes:	rows side by side, or 0: along
 */
struct kjx_scan_plan {
	struct kjx_place in, out;
	u32 n_outer, log2_size;
	u64 n, lanes;
	s64 in_step, out_step;
	u64 dim[KJX_MAX_RANK];
	s64 in_stride[KJX_MAX_RANK], out_stride[KJX_MAX_RANK];
	const struct kjx_scans *routines;
};

/* at the beginning of the scratch */
struct state {
	u64 index[KJX_MAX_RANK];
	s64 in, out;		/* offsets of that row, or of lane 0 */
	u64 lane, done;		/* first lane of the strip; elements of the row behind us */
};

static bool follows(s64 outer, s64 inner, u64 n)
{
	return (u64)outer == (u64)inner * n;
}

/* fill in all but places and routines */
static void shape(struct kjx_scan_plan *p, const struct kjx_image *image, const struct kjx_scan *insn)
{
	const struct kjx_operand *in = kjx_scan_operand(insn, 0), *out = kjx_scan_operand(insn, 1);
	const u32 last = insn->rank - 1u, log2 = (u32)__builtin_ctz(kjx_dtype_size[image->tensors[in->tensor].dtype]);
	const s64 *a = kjx_strides(in), *b = kjx_strides(out), size = 1ll << log2;
	const u64 *dims = kjx_scan_dims(insn);
	u32 d, k = 0;

	kjx_memset(p, 0, sizeof(*p));
	p->log2_size = log2;
	p->n = dims[last];
	p->in_step = a[last] * size;
	p->out_step = b[last] * size;
	for (d = 0; d < last; d++) {
		if (dims[d] == 1)
			continue;
		if (k && follows(p->in_stride[k - 1], a[d] * size, dims[d]) &&
		    follows(p->out_stride[k - 1], b[d] * size, dims[d]))
			p->dim[--k] *= dims[d];
		else
			p->dim[k] = dims[d];
		p->in_stride[k] = a[d] * size;
		p->out_stride[k++] = b[d] * size;
	}
	p->n_outer = k;
	if (p->in_step == size && p->out_step == size)
		return;
	for (d = 0; d < k; d++)
		if (p->in_stride[d] == size && p->out_stride[d] == size && p->dim[d] >= 8)
			break;
	if (d == k)
		return;
	p->lanes = p->dim[d];
	p->n_outer--;
	for (; d < p->n_outer; d++) {
		p->dim[d] = p->dim[d + 1];
		p->in_stride[d] = p->in_stride[d + 1];
		p->out_stride[d] = p->out_stride[d + 1];
	}
}

u64 kjx_scan_plan_bytes(const struct kjx_image *image, const struct kjx_scan *insn)
{
	(void)image;
	(void)insn;
	return sizeof(struct kjx_scan_plan);
}

u64 kjx_scan_scratch(const struct kjx_image *image, const struct kjx_scan *insn)
{
	(void)image;
	(void)insn;
	return kjx_align_up(sizeof(struct state), 64) + CARRY_BYTES + 8ull * KJX_SCAN_PIECE;
}

/* an element is a unit, a call of a routine eight more */
u64 kjx_scan_cost(const struct kjx_image *image, const struct kjx_scan *insn)
{
	struct kjx_scan_plan p;
	u64 calls, elements;
	u32 d;

	shape(&p, image, insn);
	calls = p.lanes ? kjx_sat_mul(p.n, (p.lanes - 1) / KJX_SCAN_LANES + 1) : (p.n - 1) / KJX_SCAN_PIECE + 1;
	elements = p.lanes ? kjx_sat_mul(p.n, p.lanes) : p.n;
	elements = kjx_sat_add(elements, kjx_sat_mul(calls, 8));
	for (d = 0; d < p.n_outer; d++)
		elements = kjx_sat_mul(elements, p.dim[d]);
	return elements;
}

const struct kjx_scan_plan *kjx_scan_build(struct kjx_builder *b, const struct kjx_scan *insn)
{
	struct kjx_scan_plan *p = kjx_build(b, sizeof(*p));
	const struct kjx_operand *in = kjx_scan_operand(insn, 0), *out = kjx_scan_operand(insn, 1);

	shape(p, b->image, insn);
	kjx_place_set(b->image, &p->in, in->tensor, in->offset);
	kjx_place_set(b->image, &p->out, out->tensor, out->offset);
	p->routines = b->cpu->scan(insn->code);
	return p;
}

/* rows along the outermost dim that is neither scanned nor lanes, else strips of lanes */
u64 kjx_scan_units(const struct kjx_image *image, const struct kjx_scan *insn)
{
	struct kjx_scan_plan p;

	shape(&p, image, insn);
	return p.n_outer ? p.dim[0] : p.lanes ? (p.lanes - 1) / KJX_SCAN_LANES + 1 : 1;
}

static void seek(const struct kjx_scan_plan *p, struct state *st, u64 from)
{
	if (p->n_outer) {
		st->index[0] = from;
		st->in = (s64)from * p->in_stride[0];
		st->out = (s64)from * p->out_stride[0];
	} else {
		st->lane = from * KJX_SCAN_LANES;
	}
}

/* the next piece of the row at hand; returns the work units */
static u64 along(struct kjx_slice *s, const struct kjx_scan_plan *p, struct state *st, u8 *carry)
{
	const u64 n = kjx_min(p->n - st->done, KJX_SCAN_PIECE);
	const s64 size = 1ll << p->log2_size;
	const u8 *in = kjx_address(s, &p->in) + st->in + (s64)st->done * p->in_step;
	u8 *out = kjx_address(s, &p->out) + st->out + (s64)st->done * p->out_step, *copy = carry + CARRY_BYTES;

	if (p->in_step != size) {
		s->cpu->move(copy, size, in, p->in_step, n, p->log2_size);
		in = copy;
	}
	p->routines->along(p->out_step == size ? out : copy, in, n, st->done, carry);
	if (p->out_step != size)
		s->cpu->move(out, p->out_step, copy, size, n, p->log2_size);
	st->done += n;
	return n + 8;
}

/* some more elements of a strip of rows; returns the work units */
static u64 across(struct kjx_slice *s, const struct kjx_scan_plan *p, struct state *st, u8 *carry)
{
	const u64 n = kjx_min(p->lanes - st->lane, KJX_SCAN_LANES);
	const u64 first = st->done, end = kjx_min(p->n, first + KJX_SCAN_PIECE / KJX_SCAN_LANES);
	const s64 at = (s64)(st->lane << p->log2_size);
	const u8 *in = kjx_address(s, &p->in) + st->in + at + (s64)first * p->in_step;
	u8 *out = kjx_address(s, &p->out) + st->out + at + (s64)first * p->out_step;

	for (; st->done < end; st->done++, in += p->in_step, out += p->out_step)
		p->routines->across(out, in, n, st->done, carry);
	return (end - first) * (n + 8);
}

/* a row or a strip is through: on to the next; false after the last */
static bool next(const struct kjx_slice *s, const struct kjx_scan_plan *p, struct state *st)
{
	u64 lanes = p->lanes;
	u32 d;

	if (s->part && !p->n_outer)
		lanes = kjx_min(lanes, s->part->to * KJX_SCAN_LANES);
	st->done = 0;
	if (p->lanes) {
		st->lane += KJX_SCAN_LANES;
		if (st->lane < lanes)
			return true;
		st->lane = 0;
	}
	for (d = p->n_outer; d--;) {
		st->in += p->in_stride[d];
		st->out += p->out_stride[d];
		if (++st->index[d] < (s->part && !d ? s->part->to : p->dim[d]))
			return true;
		st->in -= (s64)p->dim[d] * p->in_stride[d];
		st->out -= (s64)p->dim[d] * p->out_stride[d];
		st->index[d] = 0;
	}
	return false;
}

enum kjx_status kjx_scan_run(struct kjx_slice *s, const struct kjx_scan_plan *p)
{
	struct state *st = (struct state *)s->scratch;
	u8 *carry = s->scratch + kjx_align_up(sizeof(*st), 64);

	if (!s->vm->at[0]) {
		s->vm->at[0] = 1;
		kjx_memset(st, 0, sizeof(*st));
		if (s->part)
			seek(p, st, s->part->from);
	}
	for (;;) {
		const bool over = kjx_spend(s, p->lanes ? across(s, p, st, carry) : along(s, p, st, carry));

		if (st->done == p->n && !next(s, p, st))
			return KJX_OK;
		if (over)
			return KJX_AGAIN;
	}
}
