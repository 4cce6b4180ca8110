/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Plan a contraction: out[b,m,n] = sum over k of lhs[b,m,k] * rhs[b,k,n].
 *
 * Within a group the order of the dims is free, so each group is sorted by out's (for k: rhs's) strides and
 * neighbours that step alike in every tensor are merged. What is left decides which loops the processor's
 * ukernel runs. Everything here is integer arithmetic on verified sizes; products saturate.
 */
#include "gemm.h"
#include "image.h"

/* chosen for 32 KB of L1 and at least 1 MB of L2: an lhs panel stays in the one, the rhs block in the other */
#define KC_BYTES		1536u		/* of one row of a panel */
#define RHS_BLOCK_BYTES		(640u << 10)
#define LHS_NEAR_BYTES		1024u		/* from row to row */
#define RHS_NEAR_BYTES		(256u << 10)
#define RHS_FAR_BYTES		(6u << 20)
#define FAR_KC			32u		/* points of k: rows, and pages, of rhs that are read side by side */
#define FAR_BLOCK_BYTES		8192u		/* of each of them */
#define FAR_ROWS		40u		/* so many rows of lhs are worth packing for */
#define DOTS_KC_BYTES		16384u
#define GROUPS_KC		1024u		/* points of k */
#define GROUPS_BYTES		2u		/* of a point there; less where four do */
#define LINES_KC_BYTES		2048u
#define FEW_COLUMNS		8u
#define FEW_WHERE_THEY_LIE	12u		/* columns that need no copies */
#define FEW_TURNED		16u		/* rows, where the other way is to pack all of a long rhs for them */
#define FEW_ROWS		32u		/* so many pay for copying rhs */
#define FEW_KC_BYTES		2048u
#define FEW_LEAST_BYTES		256u		/* of k: shorter sums take less time than what is left in their lanes */

static u64 size_of(s64 stride)
{
	return stride < 0 ? 0 - (u64)stride : (u64)stride;
}

/* Does dim a belong outside of dim b? */
static bool goes_before(const struct kjx_gemm_dim *a, const struct kjx_gemm_dim *b)
{
	if (size_of(a->out) != size_of(b->out))
		return size_of(a->out) > size_of(b->out);
	if (size_of(a->rhs) != size_of(b->rhs))
		return size_of(a->rhs) > size_of(b->rhs);
	return size_of(a->lhs) > size_of(b->lhs);
}

static bool follows(s64 outer, s64 inner, u64 n)
{
	return (u64)outer == (u64)inner * n;
}

/* Sort a group of count dims and merge what can be; returns the dims left, *points = their product. */
static u32 collapse(struct kjx_gemm_dim *dim, u32 count, u64 *points)
{
	u32 i, j, kept = 0;

	*points = 1;
	for (i = 0; i < count; i++) {
		struct kjx_gemm_dim d = dim[i];

		*points = kjx_sat_mul(*points, d.n);
		if (d.n == 1)
			continue;
		for (j = kept++; j > 0 && goes_before(&d, &dim[j - 1]); j--)
			dim[j] = dim[j - 1];
		dim[j] = d;
	}
	for (i = 1, j = 0; i < kept; i++) {
		const struct kjx_gemm_dim d = dim[i];
		u64 n;

		if (follows(dim[j].lhs, d.lhs, d.n) && follows(dim[j].rhs, d.rhs, d.n) &&
		    follows(dim[j].out, d.out, d.n) && !kjx_mul_overflows(dim[j].n, d.n, &n)) {
			dim[j] = d;
			dim[j].n = n;
		} else {
			dim[++j] = d;
		}
	}
	return kept ? j + 1 : 0;
}

static s64 stride_in(const struct kjx_gemm_dim *dim, u32 tensor)
{
	return tensor == 0 ? dim->lhs : tensor == 1 ? dim->rhs : dim->out;
}

/* Is a group one progression in this tensor? Then *stride is its step. */
static bool is_affine(const struct kjx_gemm_dim *dim, u32 count, u32 tensor, s64 *stride)
{
	u32 i;

	*stride = count ? stride_in(&dim[count - 1], tensor) : 0;
	for (i = 1; i < count; i++)
		if (!follows(stride_in(&dim[i - 1], tensor), stride_in(&dim[i], tensor), dim[i].n))
			return false;
	return true;
}

static void swap_sides(struct kjx_gemm_plan *p)
{
	struct kjx_gemm_dim moved[KJX_MAX_RANK];
	u32 i, rank = p->nb + p->nm + p->nn + p->nk;
	u64 points = p->m;
	u8 count = p->nm, side;

	for (i = 0; i < rank; i++) {
		u32 from = i < p->nb || i >= (u32)p->nb + p->nm + p->nn ? i
			 : i < (u32)p->nb + p->nn ? i + p->nm : i - p->nn;

		moved[i] = p->dim[from];
		moved[i].lhs = p->dim[from].rhs;
		moved[i].rhs = p->dim[from].lhs;
	}
	for (i = 0; i < rank; i++)
		p->dim[i] = moved[i];
	p->m = p->n;
	p->nm = p->nn;
	p->n = points;
	p->nn = count;
	p->swapped ^= 1;
	side = p->side[0].dtype;
	p->side[0].dtype = p->side[1].dtype;
	p->side[1].dtype = side;
	side = p->side[0].size;
	p->side[0].size = p->side[1].size;
	p->side[1].size = side;
}

/* Columns are what vectors run along: of the longer side of a vector product, or contiguous in out. */
static bool should_swap(const struct kjx_gemm_plan *p)
{
	const struct kjx_gemm_dim *m = p->dim + p->nb, *n = m + p->nm, *k = n + p->nn;

	if (!p->nm && !p->nn)
		return p->nk && k[p->nk - 1].rhs != 1 && k[p->nk - 1].lhs == 1;
	if (!p->nm || !p->nn)
		return !p->nn;
	return n[p->nn - 1].out != 1 && m[p->nm - 1].out == 1;
}

/* k in equal chunks of at most most points that do not cross multiples of run */
static void divide_k(struct kjx_gemm_plan *p, u64 run, u64 most)
{
	u64 parts = (run - 1) / most + 1;

	p->k_run = run;
	p->kc = (run - 1) / parts + 1;
	p->chunks = kjx_sat_mul((run - 1) / p->kc + 1, p->k / run);
}

/* columns of rhs that are packed at a time: @bytes for each k of a column */
static void divide_n(struct kjx_gemm_plan *p, u32 bytes)
{
	const u64 columns = RHS_BLOCK_BYTES / (p->kc * bytes);

	p->nc = p->n;
	if (p->n > columns) {
		u64 parts = (p->n - 1) / columns + 1;

		p->nc = kjx_align_up((p->n - 1) / parts + 1, 128);
	}
}

/* both sides are packed, because that is where elements find their place in a lane */
static void plan_groups(struct kjx_gemm_plan *p, bool out_rows)
{
	p->kind = KJX_GEMM_GROUPS;
	p->flags = KJX_GEMM_PACK_LHS | KJX_GEMM_PACK_RHS | (out_rows ? KJX_GEMM_OUT_ROWS : 0);
	divide_k(p, p->k, p->m < 8 ? GROUPS_KC / 4 : GROUPS_KC);
	if (p->chunks > 1) {
		p->kc = kjx_align_up(p->kc, 4);
		p->chunks = (p->k - 1) / p->kc + 1;
	}
	divide_n(p, GROUPS_BYTES);
}

/*
 * Few rows and an rhs that no cache holds: it is read once, and what counts is how. A tile is narrow, so a tall chunk of k would touch
 * a page for each two lines. A few rows of rhs at a time, along long stretches, are what prefetchers and the TLB are made for; the sums
 * wait in the first-level cache.
 */
static bool is_far(const struct kjx_gemm_plan *p, u32 bytes, u64 rhs_bytes, bool rhs_n)
{
	return rhs_bytes > RHS_FAR_BYTES && p->m < FAR_ROWS && p->nk == 1 && rhs_n && p->rhs_n == 1 && p->n >= FAR_BLOCK_BYTES / 4 / bytes;
}

static void plan_far(struct kjx_gemm_plan *p, u32 bytes, bool lhs_m, bool out_rows)
{
	p->flags = KJX_GEMM_STREAM_RHS | (!lhs_m || p->m > 8 ? KJX_GEMM_PACK_LHS : 0) | (out_rows ? KJX_GEMM_OUT_ROWS : 0);
	divide_k(p, p->k, FAR_KC);
	p->nc = kjx_min(p->n, FAR_BLOCK_BYTES / bytes);
}

static void plan_tile(struct kjx_gemm_plan *p, u32 bytes, bool lhs_m, bool rhs_n, bool out_rows)
{
	const bool one_k = p->nk <= 1;
	const u64 k_inner = p->nk ? p->dim[p->nb + p->nm + p->nn + p->nk - 1].n : 1;
	const u64 rhs_bytes = kjx_sat_mul(kjx_sat_mul(p->k, p->n), bytes);
	const bool short_k = !one_k && k_inner < 16;
	/* the rows of a tile lie near each other and are used by few tiles: they cost less where they are than to copy */
	const bool lhs_is_near = size_of(p->lhs_m) <= LHS_NEAR_BYTES / bytes && p->n <= 256;
	u64 most = KC_BYTES / bytes;

	if (is_far(p, bytes, rhs_bytes, rhs_n)) {
		plan_far(p, bytes, lhs_m, out_rows);
		return;
	}

	if (!lhs_m || short_k || (p->m >= 32 && p->n >= 64 && !lhs_is_near) || (p->m >= 8 && p->n >= 32 && p->lhs_k != 1))
		p->flags |= KJX_GEMM_PACK_LHS;
	if (!rhs_n || p->rhs_n != 1 || short_k || (p->m >= (rhs_bytes > RHS_FAR_BYTES ? FAR_ROWS : 96) && rhs_bytes > RHS_NEAR_BYTES))
		p->flags |= KJX_GEMM_PACK_RHS;
	if (p->flags & KJX_GEMM_PACK_RHS && p->m < 8)
		most /= 4;	/* packing is most of the work: keep the unit of work short */
	if (out_rows)
		p->flags |= KJX_GEMM_OUT_ROWS;
	if (one_k || (p->flags & KJX_GEMM_PACK_LHS && p->flags & KJX_GEMM_PACK_RHS))
		divide_k(p, p->k, most);
	else
		divide_k(p, k_inner, most);
	p->nc = p->n;
	if (p->flags & KJX_GEMM_PACK_RHS)
		divide_n(p, bytes);
}

/* many rows, few columns: rows, and columns where they lie, along k */
static bool is_few(const struct kjx_gemm_plan *p, u32 bytes)
{
	const u64 most = p->rhs_k == 1 ? FEW_WHERE_THEY_LIE : FEW_COLUMNS;

	return p->n >= 2 && p->n <= most && p->m >= FEW_ROWS && p->lhs_k == 1 && p->k >= FEW_LEAST_BYTES / bytes;
}

static void exchange(s64 *a, s64 *b)
{
	s64 kept = *a;

	*a = *b;
	*b = kept;
}

/* few rows, many columns, both along k: the transposed product */
static void turn(struct kjx_gemm_plan *p)
{
	swap_sides(p);
	exchange(&p->lhs_m, &p->rhs_n);
	exchange(&p->lhs_k, &p->rhs_k);
	exchange(&p->out_m, &p->out_n);
	p->flags = 0;
}

static void plan_few(struct kjx_gemm_plan *p, u32 bytes)
{
	p->kind = KJX_GEMM_FEW;
	p->nc = p->n;
	divide_k(p, p->k, FEW_KC_BYTES / bytes);
}

static bool is_narrow(u32 dtype)
{
	const u32 kind = kjx_dtype_kind[dtype];

	return (kind == 'i' && kjx_dtype_size[dtype] <= 2) || (kind == 'u' && kjx_dtype_size[dtype] == 1);
}

bool kjx_gemm_multiplies(u32 lhs, u32 rhs, u32 dtype)
{
	switch (dtype) {
	case KJX_DTYPE_I32:
	case KJX_DTYPE_U32:
		if (is_narrow(lhs) && is_narrow(rhs))
			return true;
		break;
	case KJX_DTYPE_F32:
	case KJX_DTYPE_F64:
	case KJX_DTYPE_I64:
	case KJX_DTYPE_U64:
	case KJX_DTYPE_C64:
	case KJX_DTYPE_C128:
		break;
	default:
		return false;
	}
	return lhs == dtype && rhs == dtype;
}

/* Windows that overlap, or few columns: to copy lhs to panels would take about as long as to multiply. */
static bool is_lines(const struct kjx_gemm_plan *p, bool lhs_m, u64 k_inner)
{
	const bool strided = size_of(p->lhs_k) > 2;

	if (lhs_m && (p->nk <= 1 || k_inner >= 16))
		return false;
	return p->m >= 4 && p->n > 1 && (!strided || p->n <= 32);
}

static void plan_lines(struct kjx_gemm_plan *p, u32 bytes, u64 k_inner, bool rhs_n, bool out_n)
{
	const u64 most = LINES_KC_BYTES / bytes;

	p->kind = KJX_GEMM_LINES;
	if (out_n && p->out_n == 1)
		p->flags |= KJX_GEMM_OUT_ROWS;
	if (!rhs_n || p->rhs_n != 1 || p->m >= 96)
		p->flags |= KJX_GEMM_PACK_RHS;
	if (k_inner > most) {
		divide_k(p, k_inner, most);
	} else {
		const u64 runs = p->k / k_inner, in_chunk = kjx_min(most / k_inner, KJX_GEMM_RUNS);
		const u64 parts = (runs - 1) / in_chunk + 1;

		p->k_run = p->k;
		p->kc = ((runs - 1) / parts + 1) * k_inner;
		p->chunks = (p->k - 1) / p->kc + 1;
	}
	p->nc = p->n;
	if (p->flags & KJX_GEMM_PACK_RHS)
		divide_n(p, bytes);
}

void kjx_gemm_plan(struct kjx_gemm_plan *p, const u8 *dtypes, const u8 *groups, const u64 *dims, const s64 *lhs,
		   const s64 *rhs, const s64 *out)
{
	const u32 dtype = dtypes[2], bytes = kjx_dtype_size[dtype];
	const bool is_complex = dtype == KJX_DTYPE_C64 || dtype == KJX_DTYPE_C128;
	struct kjx_gemm_dim *dim = p->dim;
	u64 *const points[4] = { &p->b, &p->m, &p->n, &p->k };
	u8 *const counts[4] = { &p->nb, &p->nm, &p->nn, &p->nk };
	bool lhs_m, rhs_n, out_m, out_n, out_rows;
	u32 i, j, from = 0, at = 0;
	u64 k_inner;

	kjx_memset(p, 0, sizeof(*p));
	p->dtype = (u8)dtype;
	for (i = 0; i < 2; i++) {
		p->side[i].dtype = dtypes[i];
		p->side[i].size = kjx_dtype_size[dtypes[i]];
	}
	for (i = 0; i < 4; i++) {
		for (j = 0; j < groups[i]; j++, from++) {
			dim[at + j].n = dims[from];
			dim[at + j].lhs = lhs[from];
			dim[at + j].rhs = rhs[from];
			dim[at + j].out = out[from];
		}
		*counts[i] = (u8)collapse(dim + at, groups[i], points[i]);
		at += *counts[i];
	}
	if (should_swap(p))
		swap_sides(p);
	dim += p->nb;
	lhs_m = is_affine(dim, p->nm, 0, &p->lhs_m);
	out_m = is_affine(dim, p->nm, 2, &p->out_m);
	dim += p->nm;
	rhs_n = is_affine(dim, p->nn, 1, &p->rhs_n);
	out_n = is_affine(dim, p->nn, 2, &p->out_n);
	dim += p->nn;
	p->lhs_k = p->nk ? dim[p->nk - 1].lhs : 0;
	p->rhs_k = p->nk ? dim[p->nk - 1].rhs : 0;
	if (!p->nn)
		p->rhs_n = p->out_n = 1;	/* one column is contiguous */

	out_rows = out_m && out_n && p->out_n == 1;
	if (p->side[0].dtype != dtype) {
		plan_groups(p, out_rows);
		return;
	}
	k_inner = p->nk ? dim[p->nk - 1].n : 1;
	if (!is_complex && is_lines(p, lhs_m, k_inner)) {
		plan_lines(p, bytes, k_inner, rhs_n, out_n);
		return;
	}
	plan_tile(p, bytes, lhs_m, rhs_n, out_rows);
	if (p->nk > 1 || is_complex || !lhs_m || !rhs_n || !out_m || !out_n || p->k < 16)
		return;
	if (is_few(p, bytes)) {
		plan_few(p, bytes);
	} else if ((p->n == 2 || p->n == 4 || (p->n == 8 && p->m < 4)) && p->rhs_n == 1 && p->rhs_k == (s64)p->n &&
	    p->lhs_k == 1) {
		p->kind = KJX_GEMM_NARROW;	/* a table of short vectors runs it as tiles */
	} else if (p->rhs_k == 1 && p->lhs_k == 1 && p->m >= 2 && p->m <= FEW_TURNED && p->n >= FEW_ROWS) {
		turn(p);
		plan_few(p, bytes);
	} else if (p->rhs_k == 1 && (p->m < 8 || p->n < 8)) {
		p->kind = KJX_GEMM_DOTS;
		p->flags = p->lhs_k == 1 ? 0 : KJX_GEMM_PACK_LHS;
		p->nc = p->n;
		divide_k(p, p->k, DOTS_KC_BYTES / bytes);
	}
}

u64 kjx_gemm_scratch(const struct kjx_gemm_plan *p)
{
	const bool groups = p->kind == KJX_GEMM_GROUPS;
	const u64 bytes = kjx_dtype_size[p->dtype], lanes = groups ? (p->kc + 1) / 2 : p->kc;	/* along k */
	const u64 width = p->m == 1 ? 1024 : p->m == 2 ? 512 : p->m < 7 ? 256 : 128;	/* of a tile, of any cpu table */
	u64 total = 0;

	if (p->kind == KJX_GEMM_LINES)
		return KJX_GEMM_LINES_HEAD +
		       (p->flags & KJX_GEMM_PACK_RHS ? p->kc * kjx_align_up(p->nc * bytes, 128) : 0);
	if (p->kind == KJX_GEMM_DOTS)
		return p->flags & KJX_GEMM_PACK_LHS ? kjx_align_up(p->kc * bytes, 64) : 0;
	if (!(p->flags & KJX_GEMM_OUT_ROWS) || p->flags & KJX_GEMM_PACK_RHS)
		total = KJX_GEMM_SPILL;
	else if (p->m == 1)	/* a product in halves: the sums of one (ukernels/gemm_product.inc) */
		total = kjx_align_up(kjx_min(p->n, KJX_GEMM_HALF_BYTES / bytes) * bytes, 64);
	if (p->flags & KJX_GEMM_PACK_LHS)
		total += kjx_align_up(KJX_GEMM_PANEL_ROWS * lanes * bytes, 64);
	if (p->flags & KJX_GEMM_PACK_RHS)
		total += (lanes + groups) * kjx_align_up(p->nc * bytes, width);	/* groups: and a row of sums */
	if (groups)
		total += KJX_GEMM_ROW_SUMS;
	if (p->kind == KJX_GEMM_FEW)
		total = kjx_max(total, p->n * kjx_gemm_few_column(p));
	return total;
}
