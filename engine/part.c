// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Teams: several threads of the host share out the steps of one run (part.h).
 *
 * kjx_run() stops with KJX_PARTED before a step that is worth it. From then on the seats take its pieces, each as a whole: first those of their
 * own share, the same fraction of every step, which is where what the last step left is likely to lie in their processor's cache; then what is
 * left of the others'. A seat whose slice is over keeps its piece. When all pieces are done, kjx_run() goes on. Nothing here
 * waits: which threads take seats, and when, is the host's business, and one thread alone gets the step done too.
 *
 * A step for which fuel might not last is not shared out, so that fuel runs out at the same point for any number of threads.
 */
#include "part.h"

#define INDEX_PIECE 32768u	/* gather, sort, scan, linalg, transform: elements that are moved, work units */

struct kjx_seat {
	struct kjx_vm vm;
	struct kjx_part part;
	u64 next, end;			/* pieces of its share; @next is changed by all */
	u64 spent;
	u32 open, zero;
};

struct kjx_team {
	const struct kjx_step *step;	/* or NULL */
	u64 pieces;
	u64 part_bytes, links;		/* of a seat; where in it the links lie */
	u8 *memory;
	u32 seats, zero;
};

static struct kjx_seat *seat_at(const struct kjx_team *team, u32 number)
{
	return (struct kjx_seat *)((u8 *)team + kjx_align_up(sizeof(*team), 64) +
				   number * kjx_align_up(sizeof(struct kjx_seat), 64));
}

/* ---- how steps are cut ---- */

bool kjx_split_set(const struct kjx_image *image, const struct kjx_insn *insn, const struct kjx_cpu *cpu,
		   struct kjx_split *split)
{
	const void *p = insn;

	kjx_memset(split, 0, sizeof(*split));
	split->granule = split->least = 1;
	split->each = 4;
	split->piece = INDEX_PIECE;
	switch (insn->opcode) {
	case KJX_OPCODE_NEST:
		kjx_nest_split(image, p, split);
		split->cost = kjx_nest_cost(image, p);
		break;
	case KJX_OPCODE_DOT:
		if (kjx_dot_is_small(p))
			return false;
		kjx_dot_split(image, p, cpu, split);
		split->cost = kjx_dot_cost(image, p);
		break;
	case KJX_OPCODE_GATHER:
		split->units = kjx_gather_units(p);
		split->cost = kjx_gather_cost(image, p);
		break;
	case KJX_OPCODE_SORT:
		split->units = kjx_sort_rows(p);
		split->cost = kjx_sort_cost(image, p);
		break;
	case KJX_OPCODE_SCAN:
		split->units = kjx_scan_units(image, p);
		split->cost = kjx_scan_cost(image, p);
		break;
	case KJX_OPCODE_LINALG:
		split->units = ((const struct kjx_linalg *)p)->batch;
		split->cost = kjx_linalg_cost(image, p);
		break;
	case KJX_OPCODE_TRANSFORM:
		split->units = kjx_transform_units(p);
		split->cost = kjx_transform_cost(image, p);
		break;
	default:
		return false;
	}
	return kjx_split_pieces(split, KJX_MAX_THREADS) > 1;
}

u64 kjx_split_time(const struct kjx_split *split)
{
	return split->cost >> split->fast;
}

u64 kjx_split_pieces(const struct kjx_split *split, u64 threads)
{
	const u64 worth = split->cost / (split->piece >> KJX_PIECE_SHIFT);

	return kjx_min(kjx_min(split->units / split->least, worth), threads * split->each);
}

/* ---- running ---- */

u64 kjx_team_bytes(u32 threads)
{
	return kjx_align_up(sizeof(struct kjx_team), 64) + threads * kjx_align_up(sizeof(struct kjx_seat), 64);
}

void kjx_team_start(struct kjx_vm *vm, const struct kjx_facts *facts, void *memory, void *parts, u32 threads)
{
	struct kjx_team *team = memory;
	u32 i;

	team->step = NULL;
	team->part_bytes = facts->part_bytes;
	team->links = facts->part_links;
	team->memory = parts;
	team->seats = threads;
	for (i = 0; i < threads; i++) {
		struct kjx_seat *seat = seat_at(team, i);

		seat->vm.plan = vm->plan;
		seat->vm.arena = vm->arena;
		seat->vm.inputs = vm->inputs;
		seat->vm.outputs = vm->outputs;
		seat->vm.board = NULL;
		seat->vm.team = NULL;
		seat->vm.lane = vm->lane;
		seat->spent = seat->open = 0;
	}
	vm->team = team;
}

bool kjx_team_is_done(const struct kjx_vm *vm)
{
	const struct kjx_team *team = vm->team;
	u32 i;

	for (i = 0; i < team->seats; i++)
		if (seat_at(team, i)->open || seat_at(team, i)->next < seat_at(team, i)->end)
			return false;
	return true;
}

u64 kjx_team_cost(const struct kjx_vm *vm)
{
	return kjx_split_time(vm->team->step->split);
}

bool kjx_team_step(struct kjx_slice *s, const struct kjx_step *step, enum kjx_status *status)
{
	struct kjx_vm *vm = s->vm;
	struct kjx_team *team = vm->team;
	u32 i;

	*status = KJX_PARTED;
	if (team->step) {
		if (!kjx_team_is_done(vm))
			return true;
		team->step = NULL;
		for (i = 0; i < team->seats; i++) {
			s->spent += seat_at(team, i)->spent;
			seat_at(team, i)->spent = 0;
		}
		*status = KJX_OK;
		return true;
	}
	if (vm->at[0] | vm->at[1] | vm->at[2] | vm->at[3])	/* begun alone */
		return false;
	if (vm->fuel != ~0ull && (vm->fuel < s->spent || vm->fuel - s->spent <= step->split->cost))
		return false;
	team->pieces = kjx_split_pieces(step->split, team->seats);
	if (team->pieces < 2)
		return false;
	for (i = 0; i < team->seats; i++) {
		struct kjx_seat *seat = seat_at(team, i);

		seat->next = team->pieces * i / team->seats;
		seat->end = team->pieces * (i + 1) / team->seats;
		/* handlers in a loop may look at how often it ran */
		kjx_memcpy(seat->vm.region, vm->region, sizeof(vm->region));
	}
	team->step = step;
	return true;
}

/* where piece @number begins */
static u64 cut(const struct kjx_split *split, u64 number, u64 pieces)
{
	/* granules are spread evenly: units * number would not fit */
	const u64 n = (split->units - 1) / split->granule + 1, each = n / pieces, rest = n % pieces;
	const u64 at = (number * each + kjx_min(number, rest)) * split->granule;

	return kjx_min(at, split->units);
}

static void open_piece(struct kjx_seat *seat, const struct kjx_team *team, u64 number)
{
	const struct kjx_split *split = team->step->split;

	seat->part.from = cut(split, number, team->pieces);
	seat->part.to = cut(split, number + 1, team->pieces);
	seat->part.split = split;
	seat->part.cut = false;
	kjx_memset(seat->vm.at, 0, sizeof(seat->vm.at));
	seat->open = seat->part.from < seat->part.to;
}

/* number of the next piece for @seat; @pieces: none is left */
static u64 take(const struct kjx_team *team, u32 seat)
{
	u32 i;

	for (i = 0; i < team->seats; i++, seat = seat + 1 == team->seats ? 0 : seat + 1) {
		struct kjx_seat *whose = seat_at(team, seat);

		if (kjx_load_relaxed(&whose->next) < whose->end) {
			const u64 piece = kjx_fetch_add(&whose->next, 1);

			if (piece < whose->end)
				return piece;
		}
	}
	return team->pieces;
}

enum kjx_status kjx_team_work(struct kjx_vm *vm, u32 number, u64 budget)
{
	struct kjx_team *team = vm->team;
	struct kjx_seat *seat = seat_at(team, number);
	const struct kjx_step *step = team->step;
	struct kjx_slice s = {
		.vm = &seat->vm,
		.cpu = vm->plan->cpu,
		.limit = kjx_max(budget, 1),
		.scratch = team->memory + number * team->part_bytes,
		.bases = { (u8 *const *)&seat->vm.arena, seat->vm.inputs, seat->vm.outputs, (u8 *const *)&vm->plan->constants },
		.part = &seat->part,
	};
	enum kjx_status status = KJX_OK;

	s.bases[KJX_BASE_SCRATCH] = &s.scratch;
	s.bases[KJX_BASE_PLAN] = (u8 *const *)&vm->plan;
	s.links = s.scratch + team->links;
	if (step->opcode == KJX_OPCODE_NEST || step->opcode == KJX_STEP_ROWS)
		s.links_at = kjx_nest_link_at(step->plan);
	while (status == KJX_OK) {
		if (!seat->open) {
			const u64 next = take(team, number);

			if (next >= team->pieces)
				break;
			open_piece(seat, team, next);
			continue;
		}
		status = s.spent >= s.limit ? KJX_AGAIN : kjx_step_run(&s, step);
		if (status == KJX_OK)
			seat->open = 0;
	}
	seat->spent += s.spent;
	return status;
}
