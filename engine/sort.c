// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Opcode sort: row after row through phases, each in pieces that fit a slice.
 *
 *	by one key	mostly: build keys, let the cpu table sort them (quick.h)
 *	by keys		for each key, the last first: build records in the order so far and count their digits; then
 *			move them, a digit at a time. A short row does all of it in one piece, merging.
 *	by a body	number the records; then merge runs of 1, 2, 4 ...
 *	all		for each operand: write its elements in order, through a copy where it is sorted in place
 *
 * vm->at[]: row; phase; element in the phase; 1 when the records are in array b. What is done when does not
 * depend on the budget, and neither does the result.
 */
#include "part.h"
#include "sort.h"

enum { AT_ROW, AT_PHASE, AT_ELEMENT, AT_SWAPPED };

/* ---- sizes, all from the instruction ---- */

struct shape {
	u64 n, rows, array_bytes;
	u32 digits;
	bool wide, values, small, quick, has_ties;
	enum kjx_quick_form form;
};

static u32 log2_up(u64 n)
{
	u32 log2 = 0;

	while (log2 < 63 && 1ull << log2 < n)
		log2++;
	return log2;
}

static u32 dtype_of(const struct kjx_image *image, const struct kjx_sort *insn, u32 operand)
{
	return image->tensors[kjx_sort_operand(insn, operand, 0)->tensor].dtype;
}

/* one key that fits a record, or that is all there is to sort, goes the quick way */
static void choose_quick(struct shape *shape, const struct kjx_image *image, const struct kjx_sort *insn, u64 size)
{
	struct kjx_sort_key key;

	shape->values = shape->quick = shape->has_ties = false;
	if (insn->n_keys != 1)
		return;
	kjx_sort_key_set(&key, dtype_of(image, insn, 0), insn->descending & 1, insn->total & 1);
	shape->values = insn->n_operands == 1 && kjx_quick_inverts(&key, log2_up(size));
	shape->quick = shape->values || !shape->wide;
	shape->has_ties = shape->values && kjx_quick_has_ties(&key);
	shape->form = !shape->values ? KJX_QUICK_RECORDS : size == 8 ? KJX_QUICK_64 : KJX_QUICK_32;
}

static void shape_of(struct shape *shape, const struct kjx_image *image, const struct kjx_sort *insn)
{
	const u64 *dims = kjx_sort_dims(insn);
	u64 widest = 0, size;
	u32 i;

	shape->n = dims[insn->rank - 1];
	shape->rows = 1;
	for (i = 0; i + 1 < insn->rank; i++)
		shape->rows = kjx_sat_mul(shape->rows, dims[i]);
	shape->wide = !insn->n_keys || shape->n > 0xffffffffull;
	for (i = 0; i < insn->n_operands; i++) {
		size = kjx_dtype_size[dtype_of(image, insn, i)];
		widest = kjx_max(widest, size);
		if (i < insn->n_keys && size == 8)
			shape->wide = true;
	}
	choose_quick(shape, image, insn, kjx_dtype_size[dtype_of(image, insn, 0)]);
	shape->small = insn->n_keys && !shape->quick && shape->n <= (shape->wide ? 512 : 128);
	shape->digits = kjx_radix_digits(shape->wide);
	/* an array also serves as the copy of an operand that is sorted in place */
	if (shape->quick && shape->values)
		widest = shape->form == KJX_QUICK_64 ? 8 : 4;
	else
		widest = kjx_max(widest, shape->wide ? 16 : 8);
	shape->array_bytes = kjx_align_up(kjx_sat_mul(shape->n, widest), 64);
	if (shape->quick)
		shape->array_bytes = kjx_sat_add(shape->array_bytes, KJX_QUICK_SLACK);
}

u64 kjx_sort_rows(const struct kjx_sort *insn)
{
	const u64 *dims = kjx_sort_dims(insn);
	u64 rows = 1;
	u32 i;

	for (i = 0; i + 1 < insn->rank; i++)
		rows = kjx_sat_mul(rows, dims[i]);
	return rows;
}

static u64 work_bytes(const struct shape *shape, const struct kjx_sort *insn)
{
	if (!insn->n_keys)
		return kjx_sort_body_work(insn);
	if (shape->quick)
		return sizeof(struct kjx_quick);
	return shape->small ? 0 : shape->digits * 256ull * sizeof(u64);
}

u64 kjx_sort_scratch(const struct kjx_image *image, const struct kjx_sort *insn)
{
	struct shape shape;

	shape_of(&shape, image, insn);
	return kjx_sat_add(kjx_sat_mul(shape.has_ties ? 3 : 2, shape.array_bytes), kjx_align_up(work_bytes(&shape, insn), 64));
}

u64 kjx_sort_cost(const struct kjx_image *image, const struct kjx_sort *insn)
{
	struct shape shape;
	u64 each, levels;

	shape_of(&shape, image, insn);
	levels = log2_up(shape.n);
	if (!insn->n_keys)	/* bisection of runs of 1, 2, 4 ...: 1, 2, 3 ... rounds */
		each = 1 + levels * (levels + 1) / 2 * kjx_sort_body_unit(image, insn);
	else if (shape.quick)	/* keys, copies, network; parting what is allowed, by eights; a heap's sifts at worst */
		each = 4 + (levels + 8) / 6 + 2 * (levels + 2);
	else
		each = insn->n_keys * (1 + (shape.small ? levels : shape.digits));
	each += 2ull * insn->n_operands;
	return kjx_sat_mul(kjx_sat_mul(shape.rows, shape.n), each);
}

/* ---- decoding ---- */

u64 kjx_sort_plan_bytes(const struct kjx_image *image, const struct kjx_sort *insn)
{
	(void)image;
	return sizeof(struct kjx_sort_plan) + insn->n_keys * sizeof(struct kjx_sort_key) +
	       insn->n_operands * (sizeof(struct kjx_sort_operand) + 16ull * insn->rank) + 64 +
	       (insn->n_keys ? 0 : kjx_body_plan_bytes(insn->n_uops) + 64);
}

static const s64 *byte_strides(struct kjx_builder *b, const struct kjx_operand *view, u32 rank, u32 log2_size, s64 *last)
{
	const s64 *strides = kjx_strides(view);
	s64 *bytes = kjx_build(b, 8ull * (rank - 1));
	u32 i;

	for (i = 0; i + 1 < rank; i++)
		bytes[i] = strides[i] * (s64)(1u << log2_size);
	*last = strides[rank - 1] * (s64)(1u << log2_size);
	return bytes;
}

const struct kjx_sort_plan *kjx_sort_build(struct kjx_builder *b, const struct kjx_sort *insn)
{
	struct kjx_sort_plan *p = kjx_build(b, sizeof(*p));
	u8 dtypes[2 * KJX_MAX_SORT_OPERANDS];
	struct shape shape;
	u32 i;

	shape_of(&shape, b->image, insn);
	p->n = shape.n;
	p->rows = shape.rows;
	p->wide = shape.wide;
	p->values = shape.values;
	p->small = shape.small;
	p->quick = shape.quick;
	p->has_ties = shape.has_ties;
	p->form = shape.form;
	p->allowance = kjx_sat_mul(shape.n, log2_up(shape.n) + 2ull);
	p->b = shape.array_bytes;
	p->ties = 2 * shape.array_bytes;
	p->work = p->ties + (shape.has_ties ? shape.array_bytes : 0);
	p->rank = insn->rank;
	p->n_keys = insn->n_keys;
	p->n_operands = insn->n_operands;
	p->dims = kjx_sort_dims(insn);
	p->key = kjx_build(b, insn->n_keys * sizeof(*p->key));
	p->operand = kjx_build(b, insn->n_operands * sizeof(*p->operand));
	for (i = 0; i < insn->n_operands; i++) {
		const struct kjx_operand *in = kjx_sort_operand(insn, i, 0), *out = kjx_sort_operand(insn, i, 1);
		struct kjx_sort_operand *o = &p->operand[i];

		dtypes[2 * i] = dtypes[2 * i + 1] = (u8)dtype_of(b->image, insn, i);
		kjx_place_set(b->image, &o->in, in->tensor, in->offset);
		kjx_place_set(b->image, &o->out, out->tensor, out->offset);
		o->log2_size = log2_up(kjx_dtype_size[dtypes[2 * i]]);
		o->in_strides = byte_strides(b, in, insn->rank, o->log2_size, &o->in_step);
		o->out_strides = byte_strides(b, out, insn->rank, o->log2_size, &o->out_step);
		o->in_place = kjx_may_overlap(b, out->tensor, in->tensor);
	}
	for (i = 0; i < insn->n_keys; i++)
		kjx_sort_key_set(&p->key[i], dtypes[2 * i], insn->descending >> i & 1, insn->total >> i & 1);
	if (!insn->n_keys) {
		p->unit = kjx_sort_body_unit(b->image, insn);
		kjx_body_build(b, &p->body, insn->body, insn->n_uops, insn->n_regs, dtypes, 2 * insn->n_operands,
			       KJX_SORT_STRIP);
	}
	return p;
}

/* ---- running ---- */

s64 kjx_sort_row(const struct kjx_sort_plan *p, const s64 *strides, u64 row)
{
	s64 offset = 0;
	u32 d;

	for (d = p->rank - 1; d-- && row; row /= p->dims[d]) {
		if (!d)
			return offset + (s64)row * strides[0];
		offset += (s64)(row % p->dims[d]) * strides[d];
	}
	return offset;
}

static const u8 *row_in(struct kjx_slice *s, const struct kjx_sort_plan *p, const struct kjx_sort_operand *o)
{
	return kjx_address(s, &o->in) + kjx_sort_row(p, o->in_strides, s->vm->at[AT_ROW]);
}

static u64 *array(struct kjx_slice *s, const struct kjx_sort_plan *p, bool b)
{
	return (u64 *)(s->scratch + (b ? p->b : p->a));
}

static struct kjx_quick *progress(struct kjx_slice *s, const struct kjx_sort_plan *p)
{
	return (struct kjx_quick *)(s->scratch + p->work);
}

static struct kjx_quick_row quick_row(struct kjx_slice *s, const struct kjx_sort_plan *p)
{
	return (struct kjx_quick_row){
		.key = p->key, .a = s->scratch + p->a, .b = s->scratch + p->b,
		.ties = p->has_ties ? s->scratch + p->ties : NULL,
		.n = p->n, .log2_size = p->operand[0].log2_size, .form = p->form,
	};
}

static void build(struct kjx_slice *s, const struct kjx_sort_plan *p, u32 key, u64 *records, u64 first, u64 n)
{
	const struct kjx_sort_operand *o = &p->operand[key];

	kjx_sort_records(&p->key[key], records, p->wide, row_in(s, p, o), o->in_step, o->log2_size, first, n,
			 key + 1 < p->n_keys);
}

/* write elements [first, first + n) of an operand; back: from the copy, the second half of a sort in place */
static void output(struct kjx_slice *s, const struct kjx_sort_plan *p, u32 operand, bool back, u64 first, u64 n)
{
	const struct kjx_sort_operand *o = &p->operand[operand];
	const u64 *records = array(s, p, s->vm->at[AT_SWAPPED]);
	u8 *copy = (u8 *)array(s, p, !s->vm->at[AT_SWAPPED]);
	u8 *out = kjx_address(s, &o->out) + kjx_sort_row(p, o->out_strides, s->vm->at[AT_ROW]);

	if (p->values) {
		const struct kjx_quick_row quick = quick_row(s, p);

		s->cpu->quick->put(progress(s, p), &quick, out, o->out_step, first, n);
	} else if (back)
		kjx_sort_copy(out, o->out_step, copy, o->log2_size, first, n);
	else if (o->in_place)
		kjx_sort_gather(copy, 1 << o->log2_size, row_in(s, p, o), o->in_step, o->log2_size, records, p->wide,
				first, n);
	else
		kjx_sort_gather(out, o->out_step, row_in(s, p, o), o->in_step, o->log2_size, records, p->wide, first, n);
}

static u64 small_row(struct kjx_slice *s, const struct kjx_sort_plan *p)
{
	u64 *a = array(s, p, false), *b = array(s, p, true), *records = a;
	u32 i;

	for (i = p->n_keys; i--;) {
		build(s, p, i, records, 0, p->n);
		records = kjx_sort_merge(records, records == a ? b : a, p->n, p->wide);
	}
	s->vm->at[AT_SWAPPED] = records == b;
	for (i = 0; i < p->n_operands; i++) {
		output(s, p, i, false, 0, p->n);
		if (p->operand[i].in_place)
			output(s, p, i, true, 0, p->n);
	}
	return p->n * (p->n_keys * (1 + (u64)log2_up(p->n)) + 2ull * p->n_operands);
}

static void next_phase(u64 *at)
{
	at[AT_PHASE]++;
	at[AT_ELEMENT] = 0;
}

/* One piece of phase 0, keys, or 1, sorting them. Returns the work units. */
static u64 quick_step(struct kjx_slice *s, const struct kjx_sort_plan *p)
{
	const struct kjx_quick_row row = quick_row(s, p);
	const struct kjx_sort_operand *o = &p->operand[0];
	struct kjx_quick *q = progress(s, p);
	u64 *at = s->vm->at, first = at[AT_ELEMENT], n;

	if (at[AT_PHASE]) {
		n = s->cpu->quick->sort(q, &row, s->limit - s->spent);
		if (!q->depth)
			next_phase(at);
		return n;
	}
	if (!first) {
		kjx_memset(q, 0, offsetof(struct kjx_quick, segment));
		q->allowance = p->allowance;
		q->segment[q->depth++] = (struct kjx_quick_segment){ .n = p->n };
	}
	n = kjx_min(p->n - first, KJX_SORT_CHUNK);
	s->cpu->quick->build(q, &row, row_in(s, p, o), o->in_step, first, n);
	at[AT_ELEMENT] += n;
	if (at[AT_ELEMENT] == p->n)
		next_phase(at);
	return n;
}

/* One piece of a phase of sorting by keys, phase < n_keys * (1 + digits). Returns the work units. */
static u64 radix_step(struct kjx_slice *s, const struct kjx_sort_plan *p, u32 digits)
{
	u64 *at = s->vm->at, first = at[AT_ELEMENT], n = kjx_min(p->n - first, KJX_SORT_CHUNK);
	const u32 key = p->n_keys - 1 - (u32)(at[AT_PHASE] / (1 + digits)), stage = (u32)(at[AT_PHASE] % (1 + digits));
	u64 (*counts)[256] = (u64 (*)[256])(s->scratch + p->work);
	u64 *records = array(s, p, at[AT_SWAPPED]), *other = array(s, p, !at[AT_SWAPPED]);

	if (!stage) {
		if (!first)
			kjx_memset(counts, 0, digits * sizeof(*counts));
		build(s, p, key, records, first, n);
		kjx_radix_count(counts, records, first, n, p->wide);
	} else {
		if (!first && !kjx_radix_places(counts[stage - 1], p->n)) {
			next_phase(at);
			return 0;
		}
		kjx_radix_move(counts[stage - 1], other, records, first, n, stage - 1, p->wide);
	}
	at[AT_ELEMENT] += n;
	if (at[AT_ELEMENT] == p->n) {
		at[AT_SWAPPED] ^= !!stage;
		next_phase(at);
	}
	return n;
}

/* One piece of a phase of sorting by the body: phase 0, then one for each width of runs */
static u64 body_step(struct kjx_slice *s, const struct kjx_sort_plan *p)
{
	u64 *at = s->vm->at, first = at[AT_ELEMENT], n, units;
	u64 *records = array(s, p, at[AT_SWAPPED]), *other = array(s, p, !at[AT_SWAPPED]);

	if (!at[AT_PHASE]) {
		n = units = kjx_min(p->n - first, KJX_SORT_CHUNK);
		kjx_sort_body_start(records, other, first, n);
	} else {
		n = kjx_min(p->n - first, KJX_SORT_STRIP);
		units = n * p->unit * kjx_sort_body_merge(s, p, at[AT_ROW], 1ull << (at[AT_PHASE] - 1), first, n, other,
							  records);
	}
	at[AT_ELEMENT] += n;
	if (at[AT_ELEMENT] == p->n) {
		at[AT_SWAPPED] ^= !!at[AT_PHASE];
		next_phase(at);
	}
	return units;
}

static u64 output_step(struct kjx_slice *s, const struct kjx_sort_plan *p, u64 phase)
{
	u64 *at = s->vm->at, first = at[AT_ELEMENT], n = kjx_min(p->n - first, KJX_SORT_CHUNK);
	const u32 operand = (u32)(phase / 2);
	const bool back = phase % 2;

	if (back && (!p->operand[operand].in_place || p->values)) {
		next_phase(at);
		return 0;
	}
	output(s, p, operand, back, first, n);
	at[AT_ELEMENT] += n;
	if (at[AT_ELEMENT] == p->n)
		next_phase(at);
	return n;
}

enum kjx_status kjx_sort_run(struct kjx_slice *s, const struct kjx_sort_plan *p)
{
	const u32 digits = kjx_radix_digits(p->wide);
	const u64 by_keys = p->quick ? 2 : p->n_keys * (1ull + digits);
	const u64 sorting = p->n_keys ? by_keys : 1ull + log2_up(p->n);
	const u64 rows = s->part ? s->part->to : p->rows;
	u64 *at = s->vm->at, units;

	if (s->part && at[AT_ROW] < s->part->from)
		at[AT_ROW] = s->part->from;
	while (at[AT_ROW] < rows) {
		if (p->small)
			units = small_row(s, p);
		else if (at[AT_PHASE] >= sorting)
			units = output_step(s, p, at[AT_PHASE] - sorting);
		else
			units = p->quick ? quick_step(s, p) : p->n_keys ? radix_step(s, p, digits) : body_step(s, p);
		if (p->small || at[AT_PHASE] == sorting + 2ull * p->n_operands) {
			at[AT_ROW]++;
			at[AT_PHASE] = at[AT_ELEMENT] = at[AT_SWAPPED] = 0;
		}
		if (kjx_spend(s, units) && at[AT_ROW] < rows)
			return KJX_AGAIN;
	}
	return KJX_OK;
}
