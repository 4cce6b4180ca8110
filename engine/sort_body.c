// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Sorting by a comparator, with many comparisons in one run of the body. A merge of two runs is done without walking
 * them: each record finds its place by bisection in the other run, so that all records of a strip compare at once.
 * A record of the left run goes after those of the right that are before it; one of the right run goes after those of
 * the left that it is not before: that keeps equal ones in their order.
 *
 * A comparator may contradict itself. Then two records may claim one place and another keeps what it held: some
 * earlier payload, for both arrays start out as numbers of elements. So every payload is always a valid number.
 */
#include "sort.h"

struct search {
	u64 low[KJX_SORT_STRIP], high[KJX_SORT_STRIP], middle[KJX_SORT_STRIP];
};

static u64 register_bytes(void)
{
	return 16ull * KJX_SORT_STRIP + 64;
}

u64 kjx_sort_body_work(const struct kjx_sort *insn)
{
	return sizeof(struct search) + 2ull * insn->n_operands * register_bytes() +
	       kjx_body_scratch(insn->n_uops, insn->n_regs, KJX_SORT_STRIP);
}

u64 kjx_sort_body_unit(const struct kjx_image *image, const struct kjx_sort *insn)
{
	return (u64)kjx_body_weight(image, insn->body, insn->n_uops) + insn->n_operands;
}

void kjx_sort_body_start(u64 *a, u64 *b, u64 first, u64 n)
{
	u64 i;

	for (i = first; i < first + n; i++) {
		a[2 * i] = b[2 * i] = 0;
		a[2 * i + 1] = b[2 * i + 1] = i;
	}
}

static bool is_left(u64 i, u64 width)
{
	return !(i & width);
}

/* element number of each lane to the left (side 0) or right (1) register of operand o, where @here says so */
static void fetch(const struct kjx_sort_operand *o, const u8 *in, u8 *const cells[2], const u64 *from, const u64 *record,
		  u64 first, u64 n, u64 width, bool mine)
{
	u64 i;

	for (i = 0; i < n; i++) {
		const u64 at = record ? record[i] : first + i;
		const u8 *element = in + (s64)kjx_record_payload(from, at, true) * o->in_step;
		u8 *to = cells[is_left(first + i, width) == mine] + (i << o->log2_size);

		if (o->log2_size < 4)
			switch (o->log2_size) {
			case 0:
				*to = *element;
				break;
			case 1:
				*(u16 *)to = *(const u16 *)element;
				break;
			case 2:
				*(u32 *)to = *(const u32 *)element;
				break;
			default:
				*(u64 *)to = *(const u64 *)element;
			}
		else
			kjx_memcpy(to, element, 16);
	}
}

u64 kjx_sort_body_merge(struct kjx_slice *s, const struct kjx_sort_plan *p, u64 row, u64 width, u64 first, u64 n,
			u64 *to, const u64 *from)
{
	struct search *at = (struct search *)(s->scratch + p->work);
	u8 *registers = (u8 *)(at + 1);
	void **cells = (void **)(registers + 2ull * p->n_operands * register_bytes());
	const u64 mask = ~(2 * width - 1);
	u64 i, rounds = 0;
	bool open = true;
	const u8 *verdict;
	u32 k;

	kjx_body_link(&p->body, cells, (u8 *)cells + kjx_align_up(p->body.n_cells * sizeof(void *), 64));
	for (k = 0; k < 2 * p->n_operands; k++)
		cells[k] = registers + k * register_bytes();
	verdict = cells[p->body.result];
	for (i = 0; i < n; i++) {
		const u64 start = (first + i) & mask, middle = kjx_min(start + width, p->n);
		const bool left = is_left(first + i, width);

		at->low[i] = left ? middle : start;
		at->high[i] = left ? kjx_min(start + 2 * width, p->n) : middle;
	}
	for (k = 0; k < p->n_operands; k++) {
		const struct kjx_sort_operand *o = &p->operand[k];

		fetch(o, kjx_address(s, &o->in) + kjx_sort_row(p, o->in_strides, row), (u8 **)cells + 2 * k, from, NULL,
		      first, n, width, true);
	}
	while (open) {
		open = false;
		for (i = 0; i < n; i++)
			at->middle[i] = kjx_min((at->low[i] + at->high[i]) / 2, p->n - 1);
		for (k = 0; k < p->n_operands; k++) {
			const struct kjx_sort_operand *o = &p->operand[k];

			fetch(o, kjx_address(s, &o->in) + kjx_sort_row(p, o->in_strides, row), (u8 **)cells + 2 * k,
			      from, at->middle, first, n, width, false);
		}
		kjx_body_run(&p->body, cells, n);
		for (i = 0; i < n; i++) {
			const bool passed = !!verdict[i] == is_left(first + i, width);

			if (at->low[i] >= at->high[i])
				continue;
			if (passed)
				at->low[i] = at->middle[i] + 1;
			else
				at->high[i] = at->middle[i];
			open |= at->low[i] < at->high[i];
		}
		rounds++;
	}
	for (i = 0; i < n; i++) {
		const u64 start = (first + i) & mask, middle = kjx_min(start + width, p->n);
		const bool left = is_left(first + i, width);
		const u64 place = left ? first + i + at->low[i] - middle : first + i - width + at->low[i] - start;

		to[2 * place + 1] = kjx_record_payload(from, first + i, true);
	}
	return rounds;
}
