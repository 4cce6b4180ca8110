/* SPDX-License-Identifier: MIT */
/*
 * A verified program in this process: what the CPython extension and libkjax share. Needs libc only.
 *
 *	kjx_program_open()	copy, verify, prepare, reserve the memory of one run
 *	kjx_frame_take()	the memory of one run: lanes' vms, arenas, argument pointers
 *	kjx_execute()		run it
 *	kjx_frame_give()	put the frame back for the next run
 *
 * A program is read-only once open, so any number of threads may run it, each in its own frame. Frames are kept for
 * reuse: a call allocates only when more threads than ever before run the program at once.
 */
#ifndef KJX_HOST_PROGRAM_H
#define KJX_HOST_PROGRAM_H

#include <pthread.h>

#include "engine.h"

/** struct kjx_account - memory taken by programs, and how much may be
 * @used:	bytes of images, plans and frames
 * @limit:	bytes; 0 = no limit
 * Shared by threads; changed with kjx_account_charge() and kjx_account_release().
 */
struct kjx_account {
	u64 used, limit;
};

bool kjx_account_charge(struct kjx_account *account, u64 bytes);
void kjx_account_release(struct kjx_account *account, u64 bytes);

/** struct kjx_slot - an input or output of one lane
 * @dims:	@rank of them, inside the plan
 * @bytes:	length of its buffer, may be 0
 * @size:	bytes of an element; buffers are aligned to it
 * @alias:	outputs: the input that this one is written over, or KJX_NO_ALIAS.
 *		inputs: the output that is written over this one, or KJX_NO_ALIAS
 */
struct kjx_slot {
	const u64 *dims;
	u64 bytes;
	u32 alias;
	u8 dtype, rank, size;
};

struct kjx_frame;

/** struct kjx_program - an open program; treat as read-only
 * @small:	a run is so short that it is not worth letting others go first
 * @threads:	that a run may use, the calling one included; 0: one, or with several lanes as many as there are processors
 * @parts:	runs have a team (engine.h): one lane, several threads, and something that is worth it
 */
struct kjx_program {
	const struct kjx_plan *plan;
	const struct kjx_cpu *cpu;
	const u8 *image;
	u64 image_bytes;
	struct kjx_facts facts;
	struct kjx_slot *inputs, *outputs;
	bool small, parts;
	u32 threads;
	void *listener;			/* the embedder's */
	/* the rest is private to program.c */
	struct kjx_account *account;
	u64 charged, frame_bytes;
	struct kjx_frame *spare;	/* taken and given back without the lock */
	struct kjx_frame *idle;		/* under @lock */
	pthread_mutex_t lock;
	void *memory;
};

/** struct kjx_frame - memory of one run
 * @inputs, @outputs: pointers to fill in: [lane * n_inputs + number]
 */
struct kjx_frame {
	struct kjx_frame *next;
	const struct kjx_program *program;
	u8 **inputs, **outputs;
	struct kjx_vm *vms;
	struct kjx_exchange_board *board;
	void *team;			/* where the program has @parts */
	u8 *parts;
	u8 *arenas;
};

/** struct kjx_run - how to run
 * @fuel:	work units for each lane, ~0 = no limit
 * @deadline:	CLOCK_MONOTONIC nanoseconds, 0 = none
 * @poll:	called every few milliseconds on the calling thread; not 0 stops the run with KJX_INTERRUPTED. May be NULL
 * @ask:	called for each trace, on the thread of its lane: takes the inputs and, for a call, writes the outputs
 *		(kjx_asked()). KJX_OK goes on; anything else ends the run. NULL: prints are left out, calls fail
 * @ask_data:	for @ask
 * @threads:	threads to use, the calling one included, of a program of one lane at most those it was opened with; 0 = those
 */
struct kjx_run {
	u64 fuel, deadline;
	int (*poll)(void *data);
	void *data;
	enum kjx_status (*ask)(void *ask_data, const struct kjx_vm *vm);
	void *ask_data;
	u32 threads;
};

/** kjx_program_open - bring an image up
 * @image:	untrusted bytes, copied
 * @cpu:	table to use, or NULL for the best
 * @limits:	may be NULL. @threads: what a run may use. For a program of one lane helpers are started now, where it has steps that
 *		are worth sharing out
 * @account:	charged for all that the program takes; must outlive it. May be NULL
 * @facts:	filled on refusal too, as far as known
 * @log:	may be NULL
 * @status:	set when NULL is returned: a verifier status, KJX_NO_MEMORY, or KJX_BAD_CALL for an unusable @cpu
 * Return: the program, or NULL.
 */
struct kjx_program *kjx_program_open(const void *image, u64 bytes, const char *cpu, const struct kjx_limits *limits,
				     struct kjx_account *account, struct kjx_facts *facts, struct kjx_log *log,
				     enum kjx_status *status);

/** kjx_program_close - free it; no run may be going on */
void kjx_program_close(struct kjx_program *program);

/** kjx_frame_take - a frame that nobody else uses; NULL when memory or the account does not allow another one */
struct kjx_frame *kjx_frame_take(struct kjx_program *program);
void kjx_frame_give(struct kjx_program *program, struct kjx_frame *frame);

/** kjx_execute - run once with the pointers in @frame. Return: KJX_OK or a run-time status */
enum kjx_status kjx_execute(struct kjx_frame *frame, const struct kjx_run *run);

/** kjx_slice_run - kjx_run(), and the host's part where it ends at a trace. Return: anything but KJX_ASKING */
enum kjx_status kjx_slice_run(struct kjx_vm *vm, u64 budget, const struct kjx_run *run);

/** kjx_execute_lanes - the same for more than one lane (lanes.c) */
enum kjx_status kjx_execute_lanes(struct kjx_frame *frame, const struct kjx_run *run);

/** kjx_host_features - KJX_CPU_HAS_* of this machine and its operating system */
u32 kjx_host_features(void);

/** kjx_now - CLOCK_MONOTONIC in nanoseconds */
u64 kjx_now(void);

#endif
