/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The engine: verify a program, prepare it for a processor, run it in slices.
 *
 *	kjx_verify()   image -> facts (memory, cost, arguments). Linear in the image, no memory, no floats.
 *	kjx_prepare()  verified image -> plan: instructions decoded for one cpu table, in memory of the caller's
 *	kjx_start()    plan + arena + argument buffers -> a vm, ready at the first instruction
 *	kjx_run()      runs for at most about @budget units of work; KJX_AGAIN until done
 *
 * The engine allocates nothing, takes no lock, has no mutable globals and calls nothing but port.h.
 * Only kjx_run() uses vector registers: in the kernel it is called inside an FPU section.
 */
#ifndef KJX_ENGINE_H
#define KJX_ENGINE_H

#include "format.h"

struct kjx_cpu;
struct kjx_plan;
struct kjx_team;

/** struct kjx_limits - what a program may need at most; zero fields mean "as far as the format goes"
 * @memory:	bytes of plan + lanes * arena; with several @threads also those of their parts
 * @cost:	work units of one run (loops without a bound count once)
 * @no_calls:	1: refuse programs that call their host (KJX_TRACE_CALL)
 * @threads:	of a run; 0 and 1: one
 */
struct kjx_limits {
	u64 memory, cost;
	u32 no_calls, threads;
};

/** struct kjx_log - where a refusal explains itself
 * @text:	buffer for a NUL-terminated English sentence, may be NULL
 * @capacity:	bytes of @text
 * @needed:	set to the bytes that the whole text needs, NUL included (like a BPF log's true size)
 */
struct kjx_log {
	char *text;
	u32 capacity, needed;
};

/** struct kjx_facts - what the verifier proved
 * @plan_bytes:	memory that kjx_prepare() fills, shared by all runs of the program
 * @arena_bytes: memory of one lane, tensors and scratch; 64-byte aligned, all zero at first use
 * @constant_bytes: read-only bytes of CNST
 * @cost:	work units of a run; an upper bound if !@cost_is_open, else what is bounded without the open loops
 * @cost_is_open: 1 when a loop without a trip bound is in it: fuel bounds such a run
 * @flops:	arithmetic operations of one run, counted like @cost
 * @part_bytes: memory of each thread of a run in parts (kjx_team_start()), 64-byte aligned; 0: too little of it is worth sharing out.
 *		What lies from @part_links on are links (plan.h)
 * @part_cost:	work units of a run in such steps, a multiply-add of a contraction as a quarter
 * @n_inputs, @n_outputs, @n_instructions, @lanes: as named
 * @n_traces, @n_calls: instructions that stop for the host, and those of them that are calls
 * @failed_at:	on refusal, the instruction (its number), else 0xffffffff
 */
struct kjx_facts {
	u64 plan_bytes, arena_bytes, constant_bytes, input_bytes, output_bytes;
	u64 cost, flops;
	u64 part_bytes, part_links, part_cost;
	u32 cost_is_open, n_inputs, n_outputs, n_instructions, lanes, n_traces, n_calls, failed_at;
};

/** kjx_verify - decide whether an image may run
 * @image:	untrusted bytes, 8-byte aligned, must not change during the call nor afterwards
 * @bytes:	their number
 * @limits:	may be NULL
 * @facts:	filled on success, and as far as known on refusal
 * @log:	may be NULL
 * Context: any that may run for a time linear in @bytes. No floating point.
 * Return: KJX_OK, or why not (isa/status.py, 16 to 81).
 */
enum kjx_status kjx_verify(const void *image, u64 bytes, const struct kjx_limits *limits, struct kjx_facts *facts,
			   struct kjx_log *log);

/** kjx_prepare - decode a verified image
 * @image:	the bytes that kjx_verify() accepted; must outlive the plan (constants are read in place)
 * @cpu:	table to run on, from kjx_cpu_select()
 * @memory:	@facts->plan_bytes bytes, 64-byte aligned
 * Return: the plan (at @memory). Cannot fail.
 */
const struct kjx_plan *kjx_prepare(const void *image, const struct kjx_facts *facts, const struct kjx_cpu *cpu,
				   void *memory);

/** kjx_argument_at - describe input (@output = 0) or output @number of a plan; *@dims points at its u64 dims */
const struct kjx_argument *kjx_argument_at(const struct kjx_plan *plan, u32 output, u32 number, const u64 **dims);

/**
 * struct kjx_exchange_board - the meeting place of a program's lanes, zero at first; one for each concurrent run
 * @failed:	set by the host when a lane will not come any more: the others end with KJX_LANE_FAILED
 * Each lane posts the address of its contribution with a release store of its turn, and reads the others' with an
 * acquire load; see exchange.c for the protocol. The engine never blocks: it returns KJX_WAITING.
 */
struct kjx_exchange_board {
	u32 failed, zero;
	struct {
		u64 posted, read;	/* turns finished */
		const void *data;
		u64 pad[5];		/* a cache line a lane */
	} lane[KJX_MAX_LANES];
};

/** struct kjx_vm - the state of one lane's run; the caller's memory, about 2 kB, no pointer into itself
 * @runs:	begun in this memory, which is zero before the first one. Every other one reads what a cache holds some of from its end
 */
struct kjx_vm {
	const struct kjx_plan *plan;
	u8 *arena;
	u8 *const *inputs;
	u8 *const *outputs;
	struct kjx_exchange_board *board;
	struct kjx_team *team;		/* or NULL: one thread */
	u64 fuel;			/* work units left for the whole run; ~0 = no limit */
	u64 used;			/* work units used so far */
	u32 lane, pc;
	u32 op;				/* in a loop: the operation to go on with, plus one; 0: at its beginning */
	u32 status;
	u64 turn;			/* exchanges done */
	u64 at[4];			/* progress inside the current instruction */
	struct {
		u64 trips;
	} region[KJX_MAX_DEPTH];
	u64 runs;
};

/** kjx_start - begin a run
 * @vm:		zero before its first use; filled in
 * @arena:	facts.arena_bytes, 64-byte aligned, zero before its first use, not shared with a concurrent run
 * @inputs:	one pointer for each input, aligned to its element; read only, except where an output aliases it
 * @outputs:	likewise; an aliased output's pointer equals its input's
 * @board:	may be NULL for a program of one lane
 * @lane:	0 .. lanes-1
 * @fuel:	work units after which the run ends with KJX_OUT_OF_FUEL; ~0 for none
 * The pointers must stay valid until the run ends. Buffers of zero bytes may be NULL.
 */
void kjx_start(struct kjx_vm *vm, const struct kjx_plan *plan, void *arena, u8 *const *inputs, u8 *const *outputs,
	       struct kjx_exchange_board *board, u32 lane, u64 fuel);

/** kjx_run - go on for about @budget work units (~0: to the end)
 * A unit is roughly one element through one micro-operation, or one multiply-add; the engine looks at the
 * budget after every strip batch or tile (at most some tens of thousands of units apart).
 * Context: vector registers must be usable; no sleeping, no locks, no faults if the buffers are resident.
 * Return: KJX_OK when finished, KJX_AGAIN, KJX_WAITING, KJX_ASKING, KJX_PARTED, or a run-time status (96 ...). After those last
 * the vm is over; the plan and the arena stay usable for the next run.
 */
enum kjx_status kjx_run(struct kjx_vm *vm, u64 budget);

/* ---- several threads in one run: a team (part.c) ---- */

/** kjx_team_bytes - memory of a team's book-keeping */
u64 kjx_team_bytes(u32 threads);

/** kjx_team_start - after kjx_start(): let steps that are worth it be done in parts
 * @memory:	kjx_team_bytes() bytes, 64-byte aligned
 * @parts:	@threads times facts.part_bytes (not 0), 64-byte aligned
 * @threads:	2 to KJX_MAX_THREADS
 * kjx_run() then returns KJX_PARTED before such a step. The host has it done by kjx_team_work(), on as many threads as it
 * pleases, and calls kjx_run() again when kjx_team_is_done(). Results, and what is counted, are the same bits for any number.
 */
void kjx_team_start(struct kjx_vm *vm, const struct kjx_facts *facts, void *memory, void *parts, u32 threads);

/** kjx_team_work - do pieces of the step at which kjx_run() returned KJX_PARTED
 * @seat:	0 to threads - 1; one thread at a time has a seat. A seat that was left amid a piece goes on with it.
 * @budget:	as for kjx_run()
 * Threads that come and go are the host's to synchronise: all that the others have written must be visible.
 * Return: KJX_OK: nothing is left for this seat to begin; KJX_AGAIN: the budget is used up.
 */
enum kjx_status kjx_team_work(struct kjx_vm *vm, u32 seat, u64 budget);

/** kjx_team_is_done - has all of the step been done? Asked while no thread is in kjx_team_work() */
bool kjx_team_is_done(const struct kjx_vm *vm);

/** kjx_team_cost - work units of that step, at most, a multiply-add of a contraction as a quarter */
u64 kjx_team_cost(const struct kjx_vm *vm);

/** kjx_asked - the trace at which kjx_run() returned KJX_ASKING
 * The host reads the inputs, writes the outputs if there are any, and calls kjx_run() again. It may do so at any later time, or
 * never. Values follow the fixed part: kjx_value_first(), kjx_value_next().
 */
const struct kjx_trace *kjx_asked(const struct kjx_vm *vm);

/** kjx_asked_at - where value @number (inputs, then outputs) of that trace is; NULL when it has no bytes. Any context. */
u8 *kjx_asked_at(const struct kjx_vm *vm, u32 number);

static inline const struct kjx_value *kjx_value_first(const struct kjx_trace *t)
{
	return (const struct kjx_value *)(t + 1);
}

static inline const u64 *kjx_value_dims(const struct kjx_value *v)
{
	return (const u64 *)(v + 1);
}

static inline const struct kjx_value *kjx_value_next(const struct kjx_value *v)
{
	return (const struct kjx_value *)(kjx_value_dims(v) + v->rank);
}

/** kjx_cpu_select - the best table for this processor, or the one named 
 * ("scalar", "avx2", "avx512", "avx512vnni")
 * @features:	KJX_CPU_HAS_* bits that the host found usable (processor and operating system)
 * @name:	NULL for the best. Return: NULL when the named table is unknown or needs more than @features.
 */
const struct kjx_cpu *kjx_cpu_select(u32 features, const char *name);
const char *kjx_cpu_name(const struct kjx_cpu *cpu);

#define KJX_CPU_HAS_AVX2	1u	/* AVX2, FMA, F16C, BMI1/2 and the OS saves YMM */
#define KJX_CPU_HAS_AVX512	2u	/* F, BW, CD, DQ, VL and the OS saves ZMM */
#define KJX_CPU_HAS_VNNI	4u	/* AVX512-VNNI */

const char *kjx_status_name(enum kjx_status status);
const char *kjx_status_meaning(enum kjx_status status);

#endif
