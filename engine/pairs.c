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

#define BOTH_SIDES 2	/* shifts of one operand */

enum { FLOATS, BITS };

static const struct {
	u8 inner, outer, side, kind;
} rows[] = {
#define KJX_PAIR(inner, INNER, outer, OUTER, side) { KJX_OP_##INNER, KJX_OP_##OUTER, side, FLOATS },
#define KJX_BIT_PAIR(inner, INNER, outer, OUTER, side) { KJX_OP_##INNER, KJX_OP_##OUTER, side, BITS },
#define KJX_SHIFTS(outer, OUTER) { KJX_OP_SHL, KJX_OP_##OUTER, BOTH_SIDES, BITS },
#include "pairs.def"
#undef KJX_PAIR
#undef KJX_BIT_PAIR
#undef KJX_SHIFTS
};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

/* two of each kind, in the order of the columns of kjx_cpu.pairs */
static const u8 dtypes[] = { KJX_DTYPE_F32, KJX_DTYPE_F64, KJX_DTYPE_I32, KJX_DTYPE_U32 };

#define N_DTYPES sizeof(dtypes)

/* the operation that a routine does on dtypes[@type], one of those in pairs; 0: none */
static u32 op_of(const struct kjx_cpu *cpu, kjx_uop_fn *fn, u32 type)
{
	static const u8 ops[2][9] = {
		{ KJX_OP_ADD, KJX_OP_SUB, KJX_OP_MUL, KJX_OP_DIV, KJX_OP_MAX, KJX_OP_MIN, KJX_OP_NEG },
		{ KJX_OP_ADD, KJX_OP_MUL, KJX_OP_AND, KJX_OP_OR, KJX_OP_XOR, KJX_OP_SHL, KJX_OP_SHR_LOGICAL, KJX_OP_SHR_ARITHMETIC },
	};
	const u8 *op;

	for (op = ops[type / 2]; *op; op++)
		if (fn == cpu->uops[(u32)*op << KJX_DTYPE_BITS | dtypes[type]])
			return *op;
	return 0;
}

static bool commutes(u32 op)
{
	return op == KJX_OP_ADD || op == KJX_OP_MUL || op == KJX_OP_MAX || op == KJX_OP_MIN || op == KJX_OP_AND || op == KJX_OP_OR ||
	       op == KJX_OP_XOR;
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

static u32 row_of(u32 inner, u32 outer, u32 side, u32 kind)
{
	u32 i;

	for (i = 0; i < N_ROWS; i++)
		if (rows[i].inner == inner && rows[i].outer == outer && rows[i].side == side && rows[i].kind == kind)
			break;
	return i;
}

static void take(struct kjx_ssa *s, struct kjx_micro *m, u32 row, u32 type, u32 a, u32 b, u32 c)
{
	u32 at = (u32)(m - s->micro);

	m->fn = s->cpu->pairs[row][type % 2];
	m->cell = s->cpu->pair_cells[row][type % 2];
	m->a = (u16)a;
	m->b = (u16)b;
	m->c = (u16)c;
	lengthen(s, a, at);
	lengthen(s, b, at);
	lengthen(s, c, at);
}

static void drop(struct kjx_micro *m)
{
	m->fn = NULL;
	m->c = KJX_MICRO_NONE;
}

/* an element that stays where it is */
static bool is_still(const struct kjx_ssa *s, u32 def)
{
	return s->def[def].one && !s->def[def].wants_slot;
}

/*
 * Likewise for both operands, shifts of one value to the left and to the right. Three operands live until @at instead of two
 * results: one slot more, as with a pair. @tiled: by single elements only, which tiles have a step for
 */
static bool join_shifts(struct kjx_ssa *s, u32 first, u32 at, u32 type, u32 outer, u32 open, bool tiled)
{
	struct kjx_micro *m = &s->micro[at], *left, *right, *other;
	u32 row = row_of(KJX_OP_SHL, outer, BOTH_SIDES, type / 2);

	if (row == N_ROWS || m->a == m->b)
		return false;
	left = sole_maker(s, first, m->a, at);
	right = sole_maker(s, first, m->b, at);
	if (!left || !right || left < &s->micro[open] || right < &s->micro[open])
		return false;
	if (op_of(s->cpu, left->fn, type) != KJX_OP_SHL) {
		other = left;
		left = right;
		right = other;
	}
	if (op_of(s->cpu, left->fn, type) != KJX_OP_SHL || op_of(s->cpu, right->fn, type) != KJX_OP_SHR_LOGICAL || left->a != right->a)
		return false;
	if (tiled && !(is_still(s, left->b) && is_still(s, right->b)))
		return false;
	take(s, m, row, type, left->a, left->b, right->b);
	drop(left);
	drop(right);
	return true;
}

/* join the operation at @at with the one that makes its first (second: @side) operand, if that is after @open */
static bool join(struct kjx_ssa *s, u32 first, u32 at, u32 type, u32 outer, u32 side, u32 open)
{
	struct kjx_micro *m = &s->micro[at];
	u32 def = side ? m->b : m->a, other = side ? m->a : m->b, row;
	struct kjx_micro *maker = sole_maker(s, first, def, at);

	if (!maker || (outer != KJX_OP_NEG && other == def) || maker < &s->micro[open])
		return false;
	row = row_of(op_of(s->cpu, maker->fn, type), outer, side && !commutes(outer), type / 2);
	if (row == N_ROWS)
		return false;
	take(s, m, row, type, maker->a, maker->b, outer == KJX_OP_NEG ? maker->a : other);
	drop(maker);
	return true;
}

void kjx_ssa_pairs(struct kjx_ssa *s, u32 first, bool tiled)
{
	u32 ends[KJX_PAIR_SLOTS] = { 0 }, n = 0, at, type;

	for (at = first + 1; at < s->n_micro; at++) {
		u32 outer = 0, open = ends[n % KJX_PAIR_SLOTS];

		for (type = tiled ? 2 * BITS : 0; s->micro[at].fn && type < N_DTYPES; type++) {
			outer = op_of(s->cpu, s->micro[at].fn, type);
			if (outer)
				break;
		}
		/* they are found in the order of their ends: what overlaps the oldest of the last ones overlaps all */
		if (outer && (join_shifts(s, first, at, type, outer, open, tiled) ||
			      (!tiled && (join(s, first, at, type, outer, 0, open) ||
					  (outer != KJX_OP_NEG && join(s, first, at, type, outer, 1, open))))))
			ends[n++ % KJX_PAIR_SLOTS] = at;
	}
}
