// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Decoding of gather and scatter, and their sizes and costs. Batch dims merge when the windowed view, the plain view
 * and all index views step alike; window dims when the first two do.
 */
#include "gather.h"
#include "part.h"

#define BODY_STRIP 256u
#define BODY_UNITS 32768u

static u32 strip_of(u32 weight)
{
	u32 strip = BODY_UNITS / weight;

	return strip > BODY_STRIP ? BODY_STRIP : strip < 4 ? 4 : strip;
}

static u32 weight_of(const struct kjx_image *image, const struct kjx_gather *g)
{
	return g->n_uops ? kjx_body_weight(image, g->body, g->n_uops) : 1;
}

static u32 run_of(const struct kjx_gather *g, u32 weight)
{
	return g->n_uops ? strip_of(weight) : KJX_GATHER_RUN;
}

u64 kjx_gather_plan_bytes(const struct kjx_image *image, const struct kjx_gather *g)
{
	(void)image;
	return sizeof(struct kjx_gather_plan) + g->n_index * sizeof(struct kjx_component) +
	       g->n_splats * sizeof(struct kjx_place) +
	       (g->n_uops ? kjx_body_plan_bytes(g->n_uops) : 0) + 8;
}

/* the body's slots, and one more for each operand that does not lie in one piece */
u64 kjx_gather_scratch(const struct kjx_image *image, const struct kjx_gather *g)
{
	u64 bytes = kjx_align_up(sizeof(struct kjx_gather_state), 64);
	u32 strip;

	if (!g->n_uops)
		return bytes;
	strip = strip_of(weight_of(image, g));
	return bytes + kjx_body_scratch(g->n_uops, g->n_regs, strip) + (2ull + g->n_splats) * kjx_align_up(16ull * strip, 64);
}

u64 kjx_gather_cost(const struct kjx_image *image, const struct kjx_gather *g)
{
	const u64 *dims = kjx_gather_dims(g);
	u32 weight = weight_of(image, g), run = run_of(g, weight), rank = kjx_gather_rank(g), i;
	u64 batch = 1, pieces = 1, elements = 1, cost;

	for (i = 0; i < g->n_batch; i++)
		batch = kjx_sat_mul(batch, dims[i]);
	for (; i < rank; i++) {
		elements = kjx_sat_mul(elements, dims[i]);
		pieces = kjx_sat_mul(pieces, i + 1 < rank ? dims[i] : (dims[i] - 1) / run + 1);
	}
	cost = kjx_sat_add(kjx_sat_mul(pieces, 8), elements);
	cost = kjx_sat_mul(cost, weight);
	cost = kjx_sat_mul(batch, kjx_sat_add(cost, 4 + 2ull * g->n_index));
	return kjx_sat_add(cost, (u64)g->n_splats * run);
}

/* does batch or window dim @d continue the one before it, in all views? */
static bool continues(const struct kjx_gather *g, u32 outer, u32 d)
{
	const u64 *dims = kjx_gather_dims(g);
	u32 i;

	for (i = 0; i < 2; i++) {
		const s64 *s = kjx_strides(kjx_gather_operand(g, i));

		if ((u64)s[outer] != (u64)s[d] * dims[d])
			return false;
	}
	for (i = 0; i < g->n_index && d < g->n_batch; i++) {
		const s64 *s = kjx_index_strides(kjx_gather_index(g, i));

		if ((u64)s[outer] != (u64)s[d] * dims[d])
			return false;
	}
	return true;
}

/* the plan's outermost batch dim */
u64 kjx_gather_units(const struct kjx_gather *g)
{
	const u64 *dims = kjx_gather_dims(g);
	u64 units = 1;
	u32 d, last = 0;

	for (d = 0; d < g->n_batch; d++) {
		if (dims[d] == 1)
			continue;
		if (units > 1 && !continues(g, last, d))
			break;
		units *= dims[d];
		last = d;
	}
	return units;
}

static s64 scaled(s64 elements, u32 log2)
{
	return (s64)((u64)elements << log2);
}

/* append the dims [from, to), merged; returns how many are left. @at: where the first goes. */
static u32 merge(struct kjx_gather_plan *p, struct kjx_component *index, const struct kjx_gather *g, u32 from, u32 to,
		 u32 at)
{
	const s64 *windowed = kjx_strides(kjx_gather_operand(g, 0)), *plain = kjx_strides(kjx_gather_operand(g, 1));
	const u64 *dims = kjx_gather_dims(g);
	u32 d, i, n = 0, last = 0;

	for (d = from; d < to; d++) {
		u32 k;

		if (dims[d] == 1)
			continue;
		if (n && continues(g, last, d))
			p->dim[at + n - 1] *= dims[d];
		else
			p->dim[at + n++] = dims[d];
		k = at + n - 1;
		p->windowed_stride[k] = scaled(windowed[d], p->log2_size);
		p->plain_stride[k] = scaled(plain[d], p->log2_size);
		for (i = 0; i < g->n_index && d < g->n_batch; i++)
			index[i].stride[k] = scaled(kjx_index_strides(kjx_gather_index(g, i))[d],
						    index[i].place.log2_size);
		last = d;
	}
	return n;
}

/* the routine for a scatter of elements, where the cpu table has one */
static kjx_update_fn *update_of(const struct kjx_builder *b, const struct kjx_gather *g, u32 log2_size)
{
	const struct kjx_uop *u = b->image->uops + g->body;

	if (!g->n_uops)
		return b->cpu->update(0, log2_size);
	/* which operand is which does not matter to them */
	if (g->n_uops > 1 || u->dst || u->a + u->b != 1)
		return NULL;
	return b->cpu->update(u->code, log2_size);
}

static u8 kind_of(u32 dtype, u32 log2_size)
{
	if (dtype == KJX_DTYPE_F32 || dtype == KJX_DTYPE_F64)
		return dtype == KJX_DTYPE_F32 ? KJX_KIND_F32 : KJX_KIND_F64;
	return (u8)(log2_size < 4 ? KJX_KIND_8 + log2_size : KJX_KINDS);
}

/* the special cases that gather.c has loops for */
static void choose(const struct kjx_builder *b, const struct kjx_gather *g, struct kjx_gather_plan *p)
{
	const u32 first = p->n_batch;
	const s64 size = 1ll << p->log2_size;
	u64 elements = 1;
	u32 i;

	if (p->scatter && !p->n_window)
		p->update = update_of(b, g, p->log2_size);
	p->elements = p->n_index == 1 && !p->n_window && (p->update || !p->scatter);
	p->rows = p->n_window == 1 && p->dim[first] <= p->run && p->windowed_stride[first] == size && p->plain_stride[first] == size;
	if (p->has_body) {
		p->rows = p->rows && p->in_place && !p->n_splats;
		return;
	}
	for (i = 0; i < p->n_window; i++)
		elements = kjx_sat_mul(elements, p->dim[first + i]);
	if (p->n_batch == 1 && p->dim[0] == 1 && p->n_window <= 2 && elements <= KJX_GATHER_RUN)
		p->one_window = 12 + 2ull * p->n_index + elements;
}

const struct kjx_gather_plan *kjx_gather_build(struct kjx_builder *b, const struct kjx_gather *g)
{
	struct kjx_gather_plan *p = kjx_build(b, sizeof(*p));
	struct kjx_component *index = kjx_build(b, g->n_index * sizeof(*index));
	const struct kjx_operand *windowed = kjx_gather_operand(g, 0), *plain = kjx_gather_operand(g, 1);
	u8 dtype = b->image->tensors[windowed->tensor].dtype;
	u32 i;

	kjx_place_set(b->image, &p->windowed, windowed->tensor, windowed->offset);
	kjx_place_set(b->image, &p->plain, plain->tensor, plain->offset);
	p->log2_size = p->plain.log2_size;
	p->kind = kind_of(dtype, p->log2_size);
	p->n_index = g->n_index;
	p->scatter = g->insn.opcode == KJX_OPCODE_SCATTER;
	p->skip = g->mode == KJX_INDEX_SKIP;
	p->has_body = g->n_uops != 0;
	p->weight = weight_of(b->image, g);
	p->run = run_of(g, p->weight);
	for (i = 0; i < g->n_index; i++) {
		const struct kjx_index *x = kjx_gather_index(g, i);

		kjx_place_set(b->image, &index[i].place, x->tensor, x->offset);
		index[i].how = (struct kjx_origins){
			.limit = (s64)x->limit, .step = scaled(x->step, p->log2_size),
			.wrap = x->wrap, .log2_size = index[i].place.log2_size,
			.is_signed = kjx_dtype_kind[b->image->tensors[x->tensor].dtype] == 'i',
		};
	}
	p->index = index;
	p->n_batch = (u8)merge(p, index, g, 0, g->n_batch, 0);
	if (!p->n_batch)
		p->dim[p->n_batch++] = 1;
	p->n_window = (u8)merge(p, index, g, g->n_batch, kjx_gather_rank(g), p->n_batch);
	if (p->has_body) {
		struct kjx_place *splat = kjx_build(b, g->n_splats * sizeof(*splat));
		u8 dtypes[KJX_MAX_REGISTERS] = { dtype, dtype };

		for (i = 0; i < g->n_splats; i++) {
			const struct kjx_operand *o = kjx_gather_splat(g, i);

			kjx_place_set(b->image, &splat[i], o->tensor, o->offset);
			dtypes[2 + i] = b->image->tensors[o->tensor].dtype;
		}
		p->splat = splat;
		p->n_splats = g->n_splats;
		kjx_body_build(b, &p->body, g->body, g->n_uops, g->n_regs, dtypes, 2u + g->n_splats, p->run);
		p->in_place = p->body.n_micro == 1 && p->body.result == 2u + g->n_splats;
		p->slots = (u32)(kjx_align_up(sizeof(struct kjx_gather_state), 64) +
				 kjx_align_up(p->body.n_cells * sizeof(void *), 64));
	}
	choose(b, g, p);
	return p;
}
