// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Collectives among the lanes of a program. Each lane runs on its own arena; all share one board.
 *
 * Protocol of the k-th exchange of a run, k from 1 (vm->turn counts those finished):
 *
 *	1. post:	data = address of my contribution; posted = k, released: what was written before is visible to
 *			a lane that acquires posted >= k
 *	2. read:	for each lane that I read from: wait for its posted >= k, then copy
 *	3. read = k, released
 *	4. leave:	wait until every lane that reads from me has read >= k: then my buffer may be written again
 *
 * A lane posts for k + 1 only after 4., so a reader in 2. never finds a later address. Waiting means returning
 * KJX_WAITING; at[0] is the phase, at[1] the lane that is being waited for or read from, at[2] the bytes copied of it.
 */
#include "plan.h"

#define COPY_BYTES 32768u	/* between looks at the budget */

enum phase { POST, READ, LEAVE };

struct kjx_exchange_plan {
	struct kjx_place in, out;
	u64 bytes;			/* of one contribution */
	u32 kind, group_size, lanes, zero;
	const u32 *table;		/* in the image */
};

/* does lane @to read what lane @from posts? */
static bool reads(const struct kjx_exchange_plan *p, u32 to, u32 from)
{
	if (p->kind == KJX_EXCHANGE_PERMUTE)
		return p->table[to] == from;
	return p->table[to] >> 16 == p->table[from] >> 16;
}

u64 kjx_exchange_plan_bytes(const struct kjx_image *image, const struct kjx_exchange *insn)
{
	(void)image;
	(void)insn;
	return sizeof(struct kjx_exchange_plan);
}

/* what a lane copies, as the vm counts it: an eighth of its bytes, and something for each lane */
u64 kjx_exchange_cost(const struct kjx_image *image, const struct kjx_exchange *insn)
{
	return image->tensors[insn->out].bytes / 8 + 16ull * image->header->lanes;
}

const struct kjx_exchange_plan *kjx_exchange_build(struct kjx_builder *b, const struct kjx_exchange *insn)
{
	struct kjx_exchange_plan *p = kjx_build(b, sizeof(*p));

	p->kind = insn->kind;
	p->group_size = insn->group_size;
	p->lanes = b->image->header->lanes;
	p->table = kjx_exchange_table(insn);
	kjx_place_set(b->image, &p->out, insn->out, 0);
	if (insn->in != KJX_NO_TENSOR) {
		kjx_place_set(b->image, &p->in, insn->in, 0);
		p->bytes = b->image->tensors[insn->in].bytes;
	}
	return p;
}

/* copy the next piece of a contribution; true when it is all there */
static bool copy(struct kjx_slice *s, const struct kjx_exchange_plan *p, u8 *to, const u8 *from)
{
	u64 *done = &s->vm->at[2], n = kjx_min(p->bytes - *done, COPY_BYTES);

	if (from)
		kjx_memcpy(to + *done, from + *done, n);
	else
		kjx_memset(to + *done, 0, n);
	kjx_spend(s, n / 8);
	*done += n;
	if (*done < p->bytes)
		return false;
	*done = 0;
	return true;
}

/* the board's view of whether @lane has come as far as this turn */
static enum kjx_status wait_for(const struct kjx_vm *vm, const u64 *turns)
{
	if (kjx_load_acquire(turns) > vm->turn)
		return KJX_OK;
	return kjx_load_acquire(&vm->board->failed) ? KJX_LANE_FAILED : KJX_WAITING;
}

static enum kjx_status read_lane(struct kjx_slice *s, const struct kjx_exchange_plan *p, u32 lane)
{
	struct kjx_vm *vm = s->vm;
	u8 *out = kjx_address(s, &p->out);
	const u8 *data = kjx_address(s, &p->in);
	enum kjx_status status = KJX_OK;

	if (p->kind == KJX_EXCHANGE_ALL_GATHER)
		out += (p->table[lane] & 0xffff) * p->bytes;
	if (lane != vm->lane) {
		status = wait_for(vm, &vm->board->lane[lane].posted);
		data = vm->board->lane[lane].data;
	}
	if (status != KJX_OK)
		return status;
	return copy(s, p, out, data) ? KJX_OK : KJX_AGAIN;
}

/* copy from one lane after the other, those that have not arrived yet are waited for in turn */
static enum kjx_status read_all(struct kjx_slice *s, const struct kjx_exchange_plan *p)
{
	struct kjx_vm *vm = s->vm;
	enum kjx_status status;

	if (p->kind == KJX_EXCHANGE_PERMUTE && p->table[vm->lane] == KJX_NO_LANE)
		return copy(s, p, kjx_address(s, &p->out), NULL) ? KJX_OK : KJX_AGAIN;
	while (vm->at[1] < p->lanes) {
		if (reads(p, vm->lane, (u32)vm->at[1])) {
			status = read_lane(s, p, (u32)vm->at[1]);
			if (status == KJX_AGAIN && s->spent < s->limit)
				continue;
			if (status != KJX_OK)
				return status;
		}
		vm->at[1]++;
	}
	return KJX_OK;
}

static enum kjx_status leave(struct kjx_slice *s, const struct kjx_exchange_plan *p)
{
	struct kjx_vm *vm = s->vm;
	enum kjx_status status;

	for (; vm->at[1] < p->lanes; vm->at[1]++) {
		if (vm->at[1] == vm->lane || !reads(p, (u32)vm->at[1], vm->lane))
			continue;
		status = wait_for(vm, &vm->board->lane[vm->at[1]].read);
		if (status != KJX_OK)
			return status;
	}
	return KJX_OK;
}

enum kjx_status kjx_exchange_run(struct kjx_slice *s, const struct kjx_exchange_plan *p)
{
	struct kjx_vm *vm = s->vm;
	enum kjx_status status;

	if (p->kind == KJX_EXCHANGE_LANE_ID) {
		*(u32 *)kjx_address(s, &p->out) = vm->lane;
		return KJX_OK;
	}
	if (vm->at[0] == POST) {
		if (p->lanes > 1) {
			vm->board->lane[vm->lane].data = kjx_address(s, &p->in);
			kjx_store_release(&vm->board->lane[vm->lane].posted, vm->turn + 1);
		}
		vm->at[0] = READ;
		kjx_spend(s, 16ull * p->lanes);
	}
	if (vm->at[0] == READ) {
		status = read_all(s, p);
		if (status != KJX_OK)
			return status;
		if (p->lanes > 1)
			kjx_store_release(&vm->board->lane[vm->lane].read, vm->turn + 1);
		vm->at[0] = LEAVE;
		vm->at[1] = 0;
	}
	if (p->lanes > 1) {
		status = leave(s, p);
		if (status != KJX_OK)
			return status;
	}
	vm->turn++;
	return KJX_OK;
}
