// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Opcode linalg: which operands a kind has, where its work lies, what it may cost at most.
 *
 * Costs are bounds, proportional to the elements that the loops of ukernels/linalg*.inc walk, with every iteration
 * taking as many steps as it may: 30 for each eigenvalue or singular value.
 */
#include "part.h"

struct kjx_linalg_step {
	struct kjx_linalg_plan plan;
	struct kjx_place place[KJX_LINALG_MAX_OPERANDS];
	bool given[KJX_LINALG_MAX_OPERANDS];
};

static const struct kjx_linalg_operand_row operand_rows[] = {
#define ROW(kind, element, rows, cols) { KJX_LINALG_##kind, element, rows, cols },
	KJX_LINALG_OPERANDS(ROW)
#undef ROW
};

static const struct kjx_linalg_kind kinds[] = {
#define ROW(kind, sizes, flags, inputs, results) [KJX_LINALG_##kind] = { sizes, flags, inputs, results },
	KJX_LINALG_KINDS(ROW)
#undef ROW
};

const struct kjx_linalg_kind *kjx_linalg_kind(u32 kind)
{
	if (kind >= sizeof(kinds) / sizeof(*kinds) || !kinds[kind].n_inputs)
		return NULL;
	return &kinds[kind];
}

static const struct kjx_linalg_operand_row *row_of(u32 kind, u32 operand)
{
	const struct kjx_linalg_operand_row *row = operand_rows;

	while (row->kind != kind)
		row++;
	return row + operand;
}

static u64 size_of(const struct kjx_linalg *insn, u32 dim)
{
	if (dim == KJX_LINALG_DIM_LEFT || dim == KJX_LINALG_DIM_RIGHT)
		dim = !(insn->flags & KJX_LINALG_FLAG_FULL) ? KJX_LINALG_DIM_MIN :
		      dim == KJX_LINALG_DIM_LEFT ? KJX_LINALG_DIM_M : KJX_LINALG_DIM_N;
	switch (dim) {
	case KJX_LINALG_DIM_M:
		return insn->m;
	case KJX_LINALG_DIM_N:
		return insn->n;
	case KJX_LINALG_DIM_K:
		return insn->k;
	case KJX_LINALG_DIM_MIN:
		return kjx_min(insn->m, insn->n);
	case KJX_LINALG_DIM_N_1:
		return insn->n - 1;
	}
	return 1;
}

u64 kjx_linalg_elements(const struct kjx_linalg *insn, u32 operand)
{
	const struct kjx_linalg_operand_row *row = row_of(insn->kind, operand);

	return size_of(insn, row->rows) * size_of(insn, row->cols);
}

static bool is_complex(u32 dtype)
{
	return dtype == KJX_DTYPE_C64 || dtype == KJX_DTYPE_C128;
}

static bool is_single(u32 dtype)
{
	return dtype == KJX_DTYPE_F32 || dtype == KJX_DTYPE_C64;
}

u32 kjx_linalg_dtype(const struct kjx_linalg *insn, u32 operand)
{
	const bool single = is_single(insn->dtype);

	switch (row_of(insn->kind, operand)->element) {
	case 'r':
		return single ? KJX_DTYPE_F32 : KJX_DTYPE_F64;
	case 'c':
		return single ? KJX_DTYPE_C64 : KJX_DTYPE_C128;
	case 'i':
		return KJX_DTYPE_I32;
	}
	return insn->dtype;
}

/* ---- where the work lies ---- */

/* elements from one row to the next. Of long ones an odd number of cache lines: rows that are walked together lie in different
 * sets of a cache */
static u64 leading(u64 columns)
{
	const u64 whole = kjx_align_up(columns, 8);

	return whole >= 64 && !(whole & 8) ? whole + 8 : whole;
}

static void set_matrix(struct kjx_linalg_plan *p, u32 i, u64 rows, u64 cols)
{
	p->ld[i] = leading(cols);
	p->plane[i] = rows * p->ld[i];
}

static void set_matrices(struct kjx_linalg_plan *p)
{
	const u64 longer = kjx_max(p->m, p->n), shorter = kjx_min(p->m, p->n);
	const u64 columns = kjx_min(p->k, KJX_LINALG_COLUMNS);

	switch (p->kind) {
	case KJX_LINALG_SVD:
		set_matrix(p, 0, longer, shorter);
		set_matrix(p, 1, p->flags & KJX_LINALG_FLAG_FULL ? longer : shorter, longer);
		set_matrix(p, 2, shorter, shorter);
		break;
	case KJX_LINALG_EIGH:
	case KJX_LINALG_SCHUR:
	case KJX_LINALG_EIG:
		set_matrix(p, 0, p->n, p->n);
		set_matrix(p, 1, p->n, p->n);
		break;
	case KJX_LINALG_REFLECTOR_PRODUCT:
		set_matrix(p, 0, p->m, p->n);
		set_matrix(p, 1, p->m, p->n);
		break;
	case KJX_LINALG_REFLECTOR_APPLY:
		set_matrix(p, 0, p->m, p->k);
		set_matrix(p, 1, p->m, p->n);
		break;
	case KJX_LINALG_TRIANGULAR_SOLVE:
		set_matrix(p, 0, p->n, p->n);
		set_matrix(p, 1, p->n, columns);
		break;
	case KJX_LINALG_TRIDIAGONAL_SOLVE:
		set_matrix(p, 1, p->n, columns);
		break;
	case KJX_LINALG_QR:
	case KJX_LINALG_QR_PIVOTED:
	case KJX_LINALG_LU:
		set_matrix(p, 0, p->m, p->n);
		break;
	default:
		set_matrix(p, 0, p->n, p->n);
	}
}

/* rows and columns of the blocks that are worked on together; returns the bytes of what they take (ukernels/linalg_block.inc,
 * linalg_wy.inc) */
static u64 set_block(struct kjx_linalg_plan *p)
{
	const u64 parts = p->complex ? 3 : 1;

	switch (p->kind) {
	case KJX_LINALG_LU:
	case KJX_LINALG_CHOLESKY:
	case KJX_LINALG_TRIANGULAR_SOLVE:
		p->block = kjx_align_up(p->kind == KJX_LINALG_LU ? kjx_min(p->m, p->n) : p->n, 8);
		p->block = kjx_min(KJX_LINALG_BLOCK >> p->complex, p->block);
		p->block_columns = p->kind == KJX_LINALG_TRIANGULAR_SOLVE ? kjx_min(p->k, KJX_LINALG_COLUMNS) : kjx_max(p->m, p->n);
		p->block_columns = kjx_align_up(p->block_columns, KJX_LINALG_PANEL);
		return parts * p->block * (p->block + p->block_columns) * 8;
	case KJX_LINALG_QR:
	case KJX_LINALG_REFLECTOR_PRODUCT:
	case KJX_LINALG_REFLECTOR_APPLY:
		p->block = kjx_align_up(p->kind == KJX_LINALG_QR ? kjx_min(p->m, p->n) : p->k, 8);
		p->block = kjx_min(KJX_LINALG_REFLECTORS, p->block);
		p->block_columns = leading(p->m);
		return (parts * p->block * (p->block + p->block_columns) + 4 * p->block * KJX_LINALG_PANEL) * 8;
	}
	return 0;
}

/* small matrices lie in lanes: of what size, and at what cost; returns the bytes of a group (ukernels/linalg_lanes.inc) */
static u64 set_lanes(struct kjx_linalg_plan *p)
{
	const u64 n = p->n;
	u64 rows = p->m, beside, vectors;

	switch (p->kind) {
	case KJX_LINALG_CHOLESKY:
		rows = n;
		beside = n;
		break;
	case KJX_LINALG_TRIANGULAR_SOLVE:
		rows = n;
		beside = n * p->k;
		break;
	case KJX_LINALG_LU:
		beside = 0;
		break;
	case KJX_LINALG_QR:
		beside = kjx_min(rows, n);
		break;
	case KJX_LINALG_REFLECTOR_PRODUCT:
		beside = rows * n + p->k;
		break;
	default:
		return 0;
	}
	p->lanes = !p->complex && p->batch > 1 && rows && n && kjx_max(kjx_max(rows, n), p->k) <= KJX_LINALG_SMALL;
	if (!p->lanes)
		return 0;
	vectors = rows * n + beside;
	p->lane_rows = rows;
	p->lane_units = 2 * vectors + rows * n * kjx_max(kjx_min(rows, n), p->k);
	return vectors * 8 * KJX_LINALG_LANES;
}

static u64 layout(struct kjx_linalg_plan *p, const struct kjx_linalg *insn)
{
	u64 at = KJX_LINALG_STATE, bytes;
	u32 i;

	kjx_memset(p, 0, sizeof(*p));
	p->kind = insn->kind;
	p->dtype = insn->dtype;
	p->flags = insn->flags;
	p->complex = is_complex(insn->dtype);
	p->single = is_single(insn->dtype);
	p->batch = insn->batch;
	p->m = insn->m;
	p->n = insn->n;
	p->k = insn->k;
	p->n_inputs = kjx_linalg_kind(insn->kind)->n_inputs;
	p->n_operands = insn->n_operands;
	for (i = 0; i < insn->n_operands; i++) {
		p->size[i] = kjx_linalg_elements(insn, i);
		p->element[i] = (u8)kjx_linalg_dtype(insn, i);
	}
	set_matrices(p);
	bytes = set_block(p);
	for (i = 0; i < 3; i++) {
		p->at[i] = at;
		at += p->plane[i] * 8 * (1 + p->complex);
	}
	p->at[3] = at;
	p->length = kjx_align_up(kjx_max(p->m, p->n) + 2, 8);
	p->block_at = at + p->length * 16 * KJX_LINALG_VECTORS;
	p->lanes_at = kjx_align_up(p->block_at + bytes, 64);
	return p->lanes_at + set_lanes(p);
}

u64 kjx_linalg_scratch(const struct kjx_image *image, const struct kjx_linalg *insn)
{
	struct kjx_linalg_plan plan;

	(void)image;
	return kjx_align_up(layout(&plan, insn), 64);
}

/* ---- cost ---- */

/* products with the vectors, twice; what makes and applies the triangle between them */
static u64 reflecting(const struct kjx_linalg *insn)
{
	return 2 * (u64)insn->m * (insn->n + 2ull) * (insn->k + 2ull) +
	       40 * (u64)insn->k * ((u64)insn->m + insn->n + 2 * KJX_LINALG_REFLECTORS);
}

u64 kjx_linalg_cost(const struct kjx_image *image, const struct kjx_linalg *insn)
{
	const u64 n = kjx_max(insn->n, 2), longer = kjx_max(insn->m, n), shorter = kjx_min(insn->m, insn->n);
	u64 cube, square = longer * longer;

	(void)image;
	switch (insn->kind) {
	case KJX_LINALG_EIGH:
		cube = 72 * n * n * n;
		break;
	case KJX_LINALG_SVD:	/* reductions and their products; 60 turns of both bases */
		cube = 16 * longer * longer * shorter + 64 * shorter * shorter * (longer + shorter + 8);
		break;
	case KJX_LINALG_SCHUR:
	case KJX_LINALG_EIG:
		cube = 300 * n * n * (n + 10);
		break;
	case KJX_LINALG_TRIANGULAR_SOLVE:
		cube = n * n * (insn->k + 2ull);
		square = n * (n + insn->k);
		break;
	case KJX_LINALG_TRIDIAGONAL_SOLVE:
		cube = 8 * n * (insn->k + 2ull);
		square = n * (4 + insn->k);
		break;
	case KJX_LINALG_REFLECTOR_APPLY:
		cube = reflecting(insn);
		square = (u64)insn->m * (insn->n + insn->k);
		break;
	case KJX_LINALG_REFLECTOR_PRODUCT:
		cube = reflecting(insn);
		break;
	default:
		cube = 6 * longer * longer * (kjx_max(shorter, insn->m ? 1 : n) + 1);
	}
	cube = kjx_sat_mul(1 + 3 * is_complex(insn->dtype), kjx_sat_add(cube, kjx_sat_add(64 * square, 64 * longer + 1024)));
	return kjx_sat_mul(insn->batch, cube);
}

/* ---- decoding and running ---- */

u64 kjx_linalg_plan_bytes(const struct kjx_image *image, const struct kjx_linalg *insn)
{
	(void)image;
	(void)insn;
	return sizeof(struct kjx_linalg_step);
}

const struct kjx_linalg_step *kjx_linalg_build(struct kjx_builder *b, const struct kjx_linalg *insn)
{
	struct kjx_linalg_step *p = kjx_build(b, sizeof(*p));
	u32 i;

	layout(&p->plan, insn);
	for (i = 0; i < insn->n_operands; i++) {
		const struct kjx_operand *o = kjx_linalg_operand(insn, i);

		p->given[i] = o->tensor != KJX_NO_TENSOR;
		if (p->given[i])
			kjx_place_set(b->image, &p->place[i], o->tensor, o->offset);
	}
	return p;
}

enum kjx_status kjx_linalg_run(struct kjx_slice *s, const struct kjx_linalg_step *p)
{
	struct kjx_linalg_run run = { .plan = &p->plan, .scratch = s->scratch };
	const u64 left = s->limit > s->spent ? s->limit - s->spent : 1;
	u32 done = 0, i;

	for (i = 0; i < p->plan.n_operands; i++)
		if (p->given[i])
			run.operand[i] = kjx_address(s, &p->place[i]);
	if (s->part) {
		if (!s->part->cut) {
			s->part->plan.linalg = p->plan;
			s->part->plan.linalg.batch = s->part->to;
			s->part->cut = true;
			s->vm->at[0] = s->part->from;
		}
		run.plan = &s->part->plan.linalg;
	}
	kjx_spend(s, s->cpu->linalg(&run, s->vm->at, left, &done));
	return done ? KJX_OK : KJX_AGAIN;
}
