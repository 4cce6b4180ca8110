/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Internal header of kjax.ko.
 *
 *	owner	an open file of /dev/kjax, or the kernel itself: who pays
 *	blob	the bytes of a .kjx or .kjl, in kernel memory, never changed after they were copied
 *	program	a verified image, its plan, and a pool of runs
 *	run	everything that one execution needs, reserved at load: arenas, vms, pointers, work items
 *	buffer	memory that user space maps
 *	library	named programs that share one blob
 *
 * Inside the module a function that can refuse returns enum kjx_status; errno is made of it in the ioctl layer
 * and at the exported functions only (kjax_errno()).
 *
 * Locks, outermost first; no two of one line are ever held together:
 *	registry_mutex			changes to the names; look-ups use RCU
 *	tracer->reader			a reader copies records to user space
 *	program->lock, run->lock, tracer->lock	spinlocks, leaves; nothing is called under them
 * An FPU section (fpu.c) is innermost of all: no lock is taken, nothing sleeps and nothing faults inside it.
 */
#ifndef KJAX_MODULE_H
#define KJAX_MODULE_H

#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "engine.h"
#include "library.h"
#include "uapi/linux/kjax.h"

#define KJAX_MODULE_VERSION	"0.1.0"

/* ---- memory.c ---- */

/** struct kjax_owner - who pays for memory
 * @used:	bytes charged
 */
struct kjax_owner {
	struct kref ref;
	atomic64_t used;
};

extern struct kjax_owner kjax_kernel_owner;

struct kjax_owner *kjax_owner_new(void);
void kjax_owner_put(struct kjax_owner *owner);

/** kjax_charge - take @bytes from the owner's and the module's limits
 * Return: KJX_OK, or KJX_TOO_LARGE with nothing taken
 */
enum kjx_status kjax_charge(struct kjax_owner *owner, u64 bytes);
void kjax_uncharge(struct kjax_owner *owner, u64 bytes);

/** kjax_room - bytes that could still be charged; a hint, it may be gone at once */
u64 kjax_room(struct kjax_owner *owner);
u64 kjax_memory_used(void);
u64 kjax_memory_limit(void);
u64 kjax_owner_limit(void);
u64 kjax_image_limit(void);
void kjax_memory_init(void);

/** kjax_zalloc - zeroed, page-aligned memory, charged to the memory cgroup of the current task
 * Context: may sleep. Return: NULL when there is none, or @bytes is 0. Free with vfree().
 */
void *kjax_zalloc(u64 bytes);

/** struct kjax_blob - immutable bytes */
struct kjax_blob {
	struct kref ref;
	struct kjax_owner *owner;
	u64 bytes;
	void *data;
};

/** kjax_blob_new - room for @bytes, charged; the caller fills @data before anybody else sees the blob */
enum kjx_status kjax_blob_new(struct kjax_owner *owner, u64 bytes, struct kjax_blob **blob);
void kjax_blob_put(struct kjax_blob *blob);

/* ---- fpu.c ---- */
void kjax_fpu_init(void);
u32 kjax_fpu_cpus(void);			/* KJAX_CPU_BIT()s that can run here */
const struct kjx_cpu *kjax_fpu_cpu(u32 *which);	/* table for KJAX_CPU_*; best is resolved; NULL: not here */
bool kjax_fpu_usable(void);

/** kjax_fpu_section - run @vm for one section of about 50 us, or until it stops
 * @budget:	work units of a slice inside the section; adapted to the speed seen
 * Context: kjax_fpu_usable(). Return: KJX_AGAIN, or what ended the run
 */
enum kjx_status kjax_fpu_section(struct kjx_vm *vm, u64 *budget);

/* ---- stats.c ---- */

/** struct kjax_stats - counters of one CPU; sections are counted with preemption off, the others may miss one in a race
 * @runs:	executions begun, @failed: those that did not end with KJX_OK
 */
struct kjax_stats {
	u64 runs, failed, sections, section_ns, longest_section_ns;
};

DECLARE_PER_CPU(struct kjax_stats, kjax_stats);
extern const struct attribute_group *kjax_stats_groups[];

/* ---- program.c ---- */
u32 kjax_dtype_bytes(u32 dtype);	/* of one element; 0: no such dtype */

/** struct kjax_argument_fact - what EXECUTE checks of an argument, taken from the verified image once */
struct kjax_argument_fact {
	u64 bytes;
	u32 align;	/* element bytes */
	u32 alias;	/* outputs */
	u32 dtype;
};

struct kjax_program {
	struct kref ref;
	struct kjax_owner *owner;
	u64 charged;
	struct kjax_blob *blob;
	const void *image;
	u64 image_bytes;
	struct kjx_facts facts;
	void *plan_memory;
	const struct kjx_plan *plan;
	u32 cpu;
	u64 budget;			/* slice size that suited last time; a hint, racy */
	struct kjax_argument_fact *arguments;	/* inputs, then outputs */
	struct kjax_tracer *tracer;	/* NULL: it prints nothing */
	spinlock_t lock;		/* @idle */
	struct list_head idle;		/* runs not in use */
	wait_queue_head_t freed;
	u32 n_runs;
	struct kjax_run **runs;
};

/** struct kjax_load_options - as in struct kjax_load; zero means the default */
struct kjax_load_options {
	u64 memory_limit, cost_limit;
	u32 cpu, runs, trace_bytes;
	bool trace_log;
};

/** kjax_program_load - verify @bytes at @image inside @blob, reserve all memory
 * @log:	may be NULL
 * @failed_at:	set to the instruction that the verifier refused
 * Context: may sleep. Return: KJX_OK and *@program with one reference, or the refusal with nothing kept
 */
enum kjx_status kjax_program_load(struct kjax_owner *owner, struct kjax_blob *blob, const void *image, u64 bytes,
				  const struct kjax_load_options *options, struct kjx_log *log, u32 *failed_at,
				  struct kjax_program **program);
void kjax_program_put(struct kjax_program *program);	/* may sleep */

/** kjax_run_take - an idle run of the program
 * @nowait:	KJX_AGAIN when there is none. Safe in any context.
 * @deadline:	as in struct kjax_execute
 */
enum kjx_status kjax_run_take(struct kjax_program *program, bool nowait, u64 deadline, struct kjax_run **run);
void kjax_run_give(struct kjax_run *run);

/* ---- run.c ---- */
struct kjax_buffer_object;

/** struct kjax_lane - a lane of a run
 * @taken:	a thread runs it, or it has ended
 * @waiting:	its last slice ended with KJX_WAITING
 * @seen:	progress of the board before that slice: while it is the same, running the lane again is useless
 */
struct kjax_lane {
	struct kjx_vm vm;
	void *arena;
	u64 seen;
	bool taken, waiting;
};

struct kjax_job {
	struct kthread_work work;
	struct kjax_run *run;
};

/** struct kjax_run - one execution
 * @pointers:	for each lane its inputs, then its outputs
 * @buffers:	references that keep what @pointers name alive; NULL entries for kernel callers
 * @stop:	KJX_OK, or the status that ended the run early
 */
struct kjax_run {
	struct list_head idle;
	struct kjax_program *program;
	struct kjax_lane *lanes;
	struct kjx_exchange_board *board;
	struct kjax_job *jobs;
	u8 **pointers;
	struct kjax_buffer_object **buffers;
	void *arenas;
	u32 n_jobs;
	/* of the execution in flight */
	struct task_struct *caller;
	u64 deadline, number;
	spinlock_t lock;		/* lanes' @taken, @left, @stop, @failed_lane */
	u32 left;
	u32 stop;
	u32 failed_lane;
	wait_queue_head_t progress;
};

/** struct kjax_outcome - what an execution used */
struct kjax_outcome {
	u64 used, time;
	u32 failed_lane;
};

/** kjax_run_execute - run all lanes to their end
 * The run's @pointers are set. @fuel: work units a lane, ~0 for no limit. @deadline: 0 for none.
 * Context: may sleep.
 */
enum kjx_status kjax_run_execute(struct kjax_run *run, u64 fuel, u64 deadline, struct kjax_outcome *outcome);

/** kjax_run_execute_atomic - one lane, one FPU section, to its end; the caller has looked at the cost */
enum kjx_status kjax_run_execute_atomic(struct kjax_run *run, u64 fuel);

int kjax_lanes_init(void);
void kjax_lanes_exit(void);
u32 kjax_lanes_count(void);
void kjax_lanes_queue(struct kjax_run *run);	/* ask workers to join, one for each job */
void kjax_lanes_cancel(struct kjax_run *run);	/* take back; returns when none is in the run any more */
void kjax_run_join(struct kjax_run *run);	/* a worker's part */

/* ---- trace.c ---- */
struct kjax_tracer;

u64 kjax_tracer_bytes(const struct kjx_facts *facts, u32 wanted);	/* to be charged; 0: it prints nothing */
bool kjax_tracer_ok(u32 wanted);
/* NULL: no memory. Free with vfree() */
struct kjax_tracer *kjax_tracer_new(const struct kjx_facts *facts, u32 wanted, bool log);
u64 kjax_tracer_begin(struct kjax_tracer *tracer);	/* a run begins: its number */

/** kjax_tracer_take - keep what @vm prints, or drop it. Context: any but inside of an FPU section. */
void kjax_tracer_take(struct kjax_tracer *tracer, const struct kjx_vm *vm, u64 run);
long kjax_ioctl_trace(struct kjax_program *program, void __user *arg);

/* ---- buffer.c ---- */
struct kjax_buffer_object {
	struct kref ref;
	struct kjax_owner *owner;
	u64 bytes;
	u8 *data;
};

long kjax_ioctl_buffer(struct kjax_owner *owner, void __user *arg);
/** kjax_buffer_get - the buffer behind a file descriptor, with a reference; NULL when it is none */
struct kjax_buffer_object *kjax_buffer_get(int fd);
void kjax_buffer_put(struct kjax_buffer_object *buffer);

/* ---- library.c, registry.c ---- */

/** struct kjax_library - all programs of an archive, each ready to run
 * @programs:	in the order of @index
 */
struct kjax_library {
	struct kref ref;
	struct kjax_owner *owner;
	u64 charged;
	struct kjax_blob *blob;
	struct kjx_library index;
	struct kjax_program **programs;
};

/** kjax_library_load - open the archive in @blob and load every program of it
 * @at:		set to the number of the program that was refused
 */
enum kjx_status kjax_library_load(struct kjax_owner *owner, struct kjax_blob *blob,
				  const struct kjax_load_options *options, struct kjx_log *log, u32 *failed_at,
				  u32 *at, struct kjax_library **library);
void kjax_library_put(struct kjax_library *library);	/* may sleep */
/** kjax_library_find - variant @nth of those that fit, with a reference, or NULL. @signature NULL: any. Any context. */
struct kjax_program *kjax_library_find(struct kjax_library *library, const char *transformation, const char *function,
				       const char *signature, u32 nth);

u32 kjax_library_count(struct kjax_library *library, const char *transformation, const char *function,
		       const char *signature);

/** kjax_registry_pin - exactly one of @program and @library; takes an own reference
 * Return: 0, -EEXIST, -ENOMEM, -EINVAL (name)
 */
int kjax_registry_pin(const char *name, struct kjax_program *program, struct kjax_library *library, bool replace);
int kjax_registry_unpin(const char *name);
/** kjax_registry_unpin_library - whatever its name is by now; nothing when it is not pinned any more */
void kjax_registry_unpin_library(const struct kjax_library *library);
/** kjax_registry_find - the same among all that is pinned. @transformation "": a pinned program's own name
 * Context: any but NMI.
 */
struct kjax_program *kjax_registry_find(const char *transformation, const char *function, const char *signature,
					u32 nth);
void kjax_registry_exit(void);

/* ---- ioctl.c: helpers for all ioctls ---- */
int kjax_errno(enum kjx_status status);
/** kjax_copy_in - read an extensible struct of @known bytes; its first field is set to the caller's size */
int kjax_copy_in(void *to, size_t known, const void __user *from);
int kjax_copy_out(void __user *to, const void *from, size_t known);
/** kjax_name_ok - 1 to KJAX_NAME_MAX - 1 visible ASCII characters, NUL-padded; a @transformation may have white space,
 * and may be ""
 */
bool kjax_name_ok(const char name[KJAX_NAME_MAX], bool transformation);

/** kjax_fd_install - make @object a new close-on-exec file and tell user space
 * @call, @known, @arg: the struct to write back, after its field *@fd is set
 * On success the file owns the object. On failure the object is the caller's still and *@fd is -1.
 */
int kjax_fd_install(const char *name, const struct file_operations *fops, void *object, void __user *arg, void *call,
		    size_t known, s32 *fd);

long kjax_ioctl_load(struct kjax_owner *owner, void __user *arg, bool library);
long kjax_ioctl_execute(struct kjax_program *program, void __user *arg);
long kjax_ioctl_devices(void __user *arg);
long kjax_ioctl_pin(void __user *arg);
long kjax_ioctl_open(void __user *arg);

extern const struct file_operations kjax_program_fops, kjax_library_fops;
struct kjax_program *kjax_program_of(int fd);		/* with a reference, or NULL */
struct kjax_library *kjax_library_of(int fd);

#endif
