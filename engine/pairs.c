// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Pairs: an operation whose result has a single use, right in another one, is done by that one's routine. A strip
 * routine of cheap operations is bound by its loads and stores and by being called, so a pair costs what one costs.
 *
 * The inner operation's operands then live until the outer one: each pair may need a slot more between the two. At
 * most KJX_PAIR_SLOTS pairs overlap, and the scratch of a nest counts that many slots more.
 */
#include "ssa.h"

#define REACH 32	/* micro-operations between the two of a pair, at most: keeps this linear */

static const struct {
	u8 inner, outer, side;
} rows[] = {
#define KJX_PAIR(inner, INNER, outer, OUTER, side) { KJX_OP_##INNER, KJX_OP_##OUTER, side },
#include "pairs.def"
#undef KJX_PAIR
};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

static const u8 dtypes[] = { KJX_DTYPE_F32, KJX_DTYPE_F64 };

/* the operation that a routine does, one of those in pairs; 0: none */
static u32 op_of(const struct kjx_cpu *cpu, kjx_uop_fn *fn, u32 dtype)
{
	static const u8 ops[] = {
		KJX_OP_ADD, KJX_OP_SUB, KJX_OP_MUL, KJX_OP_DIV, KJX_OP_MAX, KJX_OP_MIN, KJX_OP_NEG,
	};
	u32 i;

	for (i = 0; i < sizeof(ops); i++)
		if (fn == cpu->uops[(u32)ops[i] << KJX_DTYPE_BITS | dtype])
			return ops[i];
	return 0;
}

static bool commutes(u32 op)
{
	return op == KJX_OP_ADD || op == KJX_OP_MUL || op == KJX_OP_MAX || op == KJX_OP_MIN;
}

static bool reads(const struct kjx_micro *m, u32 def)
{
	if (!m->fn)
		return m->c >= KJX_MICRO_STORE && m->a == def;
	return m->a == def || m->b == def || m->c == def;
}

/* the micro-operation that makes @def for micro-operation @at and nothing else, or NULL */
static struct kjx_micro *sole_maker(const struct kjx_ssa *s, u32 first, u32 def, u32 at)
{
	const struct kjx_def *d = &s->def[def];
	u32 i;

	if (!d->wants_slot || d->at < first || d->at >= at || d->last != at || at - d->at > REACH)
		return NULL;
	if (s->micro[d->at].dst != def || !s->micro[d->at].fn)
		return NULL;
	for (i = d->at + 1u; i < at; i++)
		if (reads(&s->micro[i], def))
			return NULL;
	return &s->micro[d->at];
}

static void lengthen(struct kjx_ssa *s, u32 def, u32 at)
{
	if (s->def[def].last != KJX_LIVE_OUT && s->def[def].last < at)
		s->def[def].last = (u16)at;
}

static u32 row_of(u32 inner, u32 outer, u32 side)
{
	u32 i;

	for (i = 0; i < N_ROWS; i++)
		if (rows[i].inner == inner && rows[i].outer == outer && rows[i].side == side)
			break;
	return i;
}

/* join the operation at @at with the one that makes its first (second: @side) operand, if that is after @open */
static bool join(struct kjx_ssa *s, u32 first, u32 at, u32 dtype, u32 outer, u32 side, u32 open)
{
	struct kjx_micro *m = &s->micro[at];
	u32 def = side ? m->b : m->a, other = side ? m->a : m->b, row;
	struct kjx_micro *maker = sole_maker(s, first, def, at);

	if (!maker || (outer != KJX_OP_NEG && other == def) || maker < &s->micro[open])
		return false;
	row = row_of(op_of(s->cpu, maker->fn, dtypes[dtype]), outer, side && !commutes(outer));
	if (row == N_ROWS)
		return false;
	m->fn = s->cpu->pairs[row][dtype];
	m->cell = s->cpu->pair_cells[row][dtype];
	m->a = maker->a;
	m->b = maker->b;
	m->c = outer == KJX_OP_NEG ? maker->a : (u16)other;
	lengthen(s, m->a, at);
	lengthen(s, m->b, at);
	maker->fn = NULL;
	maker->c = KJX_MICRO_NONE;
	return true;
}

void kjx_ssa_pairs(struct kjx_ssa *s, u32 first)
{
	u32 ends[KJX_PAIR_SLOTS] = { 0 }, n = 0, at, dtype;

	for (at = first + 1; at < s->n_micro; at++) {
		u32 outer = 0, open = ends[n % KJX_PAIR_SLOTS];

		for (dtype = 0; s->micro[at].fn && dtype < 2; dtype++) {
			outer = op_of(s->cpu, s->micro[at].fn, dtypes[dtype]);
			if (outer)
				break;
		}
		/* they are found in the order of their ends: what overlaps the oldest of the last ones overlaps all */
		if (outer && (join(s, first, at, dtype, outer, 0, open) ||
			      (outer != KJX_OP_NEG && join(s, first, at, dtype, outer, 1, open))))
			ends[n++ % KJX_PAIR_SLOTS] = at;
	}
}
