/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * kjax for kernel code. Symbols are exported GPL-only by kjax.ko.
 *
 * By name, with arguments and results as text (may sleep, allocates; for control paths):
 *
 *	library = load_jax_library("/lib/firmware/kjax/policy.kjl");
 *	result = execute_jax_transformation("grad", "loss", "[[0.5, 0.25], 3.0]");
 *	pr_info("%s\n", result->text);			"[[0.1, 0.2]]"
 *	kjax_result_free(result);
 *
 * By reference, on the caller's own memory (allocates nothing; for hot paths):
 *
 *	program = kjax_program_find("jit", "policy", NULL);
 *	kjax_program_execute(program, inputs, 1, outputs, 1, NULL);
 *	kjax_program_release(program);
 *
 * What a program prints (jax.debug.print) stays in a ring that user space reads from a file descriptor of the program
 * (KJAX_IOC_TRACE); with the module parameter trace_log it goes to the kernel's log as well.
 *
 * Functions that return int return 0 or a negative errno; those that return a pointer, an ERR_PTR(). The errnos
 * are those of include/uapi/linux/kjax.h.
 */
#ifndef KJAX_KERNEL_H
#define KJAX_KERNEL_H

#include <linux/types.h>

struct kjax_library;
struct kjax_program;

/** struct kjax_result - what an execution by name gave
 * @text:	JSON list of the outputs, NUL-terminated
 * @bytes:	its length without the NUL
 * @used:	work units
 * @time:	nanoseconds
 */
struct kjax_result {
	const char *text;
	size_t bytes;
	u64 used, time;
};

/** struct kjax_value - an array of the caller's
 * @data:	aligned to its element, resident (kernel memory)
 * @bytes:	its length, exactly what the program says
 * @dtype:	KJX_DTYPE_* (gen/isa.h); 0: not checked
 */
struct kjax_value {
	void *data;
	size_t bytes;
	u32 dtype;
};

/** struct kjax_bounds - what ends a run early; zero fields: nothing
 * @fuel:	work units a lane
 * @deadline:	CLOCK_MONOTONIC nanoseconds
 */
struct kjax_bounds {
	u64 fuel, deadline;
};

/** load_jax_library - load a library (.kjl) from a file
 * @path:	absolute; the functions in it are found by name from now on. The last component is the library's own
 *		name; one of that name is replaced. A function that several libraries have is found in the last one.
 * Context: process, may sleep. Return: the library, for unload_jax_library()
 */
struct kjax_library *load_jax_library(const char *path);

/** load_jax_library_from - the same from memory; @bytes are copied, @name is its own name */
struct kjax_library *load_jax_library_from(const char *name, const void *bytes, size_t n);

/** unload_jax_library - its functions are not found any more; programs in use stay until they are released */
void unload_jax_library(struct kjax_library *library);

/** execute_jax_transformation - run a prebuilt variant of a function
 * @transformation: "jit", "grad", "vmap[in_axes=0](grad)", ... in any spelling
 * @function:	its name in a loaded library
 * @args:	JSON list of the flattened arguments, each a nested list of numbers; NULL: none. With several variants the
 *		first whose types fit is run. A program of several lanes takes a leading dim of that many.
 * Context: process, may sleep. Signals end the run with -EINTR.
 * Return: the result, for kjax_result_free(); -ENOENT: no such variant loaded; -EINVAL: no variant takes such arguments;
 * -EOPNOTSUPP: a type that has no text (complex, narrow floats)
 */
struct kjax_result *execute_jax_transformation(const char *transformation, const char *function, const char *args);

/** execute_jax_program - run a program
 * @program:	the name under which it is pinned, or an absolute path of a .kjx, which is loaded for this call; then, after
 *		white space, the arguments as for execute_jax_transformation(): "policy [[1, 2, 3]]"
 */
struct kjax_result *execute_jax_program(const char *program);

void kjax_result_free(struct kjax_result *result);

/** kjax_program_find - take a reference to a program that is loaded
 * @transformation: NULL or "": @function is the name of a pinned program
 * @signature:	"f32[31],i32[]", or NULL for the first
 * Context: any but NMI. Return: -ENOENT when there is none
 */
struct kjax_program *kjax_program_find(const char *transformation, const char *function, const char *signature);

/** kjax_program_release - give the reference back. Context: may sleep. */
void kjax_program_release(struct kjax_program *program);

/** kjax_program_execute - run on the caller's memory
 * @inputs, @outputs: for each lane the program's inputs and outputs in order. An output that updates an input in place
 *		names the same memory, or has data NULL.
 * @bounds:	may be NULL
 * Context: process, may sleep.
 */
int kjax_program_execute(struct kjax_program *program, const struct kjax_value *inputs, u32 n_inputs,
			 const struct kjax_value *outputs, u32 n_outputs, const struct kjax_bounds *bounds);

/** kjax_program_execute_atomic - the same where sleeping is forbidden: softirq, spinlocks held, interrupts off
 * Only for programs of one lane whose proved cost is bounded and at most the module parameter atomic_cost (-EFBIG).
 * Return: -EAGAIN when the FPU cannot be used here and now (NMI, or an FPU section was interrupted); -EBUSY when
 * all runs of the program are in use (load it with as many as CPUs)
 */
int kjax_program_execute_atomic(struct kjax_program *program, const struct kjax_value *inputs, u32 n_inputs,
				const struct kjax_value *outputs, u32 n_outputs);

#endif
