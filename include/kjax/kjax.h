/* SPDX-License-Identifier: MIT */
/*
 * libkjax: run compiled JAX programs in a C process. No Python, nothing but libc, no thread unless asked for.
 *
 * The short way, text in and text out:
 *
 *	load_jax_library("policy.kjl");
 *	char *gradient = execute_jax_transformation("grad", "loss", "[[0.1, 0.2], [1, 2, 3]]");
 *	if (!gradient)
 *		fprintf(stderr, "%s\n", kjax_error());
 *	free(gradient);
 *
 * The fast way, buffers in and buffers out: kjax_program_load(), kjax_program_run(). A run allocates nothing when no
 * other thread runs the same program at the same time.
 *
 * Functions that return int give 0, or a status of docs/errors (16 and up; kjax_status_string() explains) and
 * leave a sentence for kjax_error(). All functions may be called from any thread; a program may run in several at once.
 * Structs that begin with @size are filled by the caller: zero them, set @size to sizeof, then what is wanted.
 */
#ifndef KJAX_KJAX_H
#define KJAX_KJAX_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KJAX_API __attribute__((visibility("default")))
#define KJAX_NO_ALIAS UINT32_MAX

struct kjax_program;
struct kjax_buffer;
struct kjax_values;

/** kjax_version - "0.1.0" */
KJAX_API const char *kjax_version(void);

/** kjax_status_string - a status in words, without the details of one failure; never NULL */
KJAX_API const char *kjax_status_string(int status);

/** kjax_error - why the last call of this thread failed; valid until its next call */
KJAX_API const char *kjax_error(void);

/* ---- the three functions of the text interface ---- */

/** load_jax_library - bring the engine up and make a library's functions known
 * @path:	a .kjl file, or NULL: bring the engine up only
 * A function that several loaded libraries have is found in the last one. Loading a path again replaces it.
 * Return: 0, a status, or -errno when the file cannot be read.
 */
KJAX_API int load_jax_library(const char *path);

/** execute_jax_transformation - apply a transformation to a function of a loaded library, and run that
 * @transformation: "grad", "jit(vmap(grad))", ...: the library must hold it, prebuilt
 * @function:	its name in the library
 * @args:	JSON list of the arguments: nested lists of numbers of the shapes that the program takes; a list or an
 *		object where the function takes a pytree (an object's members in the order of their names)
 * Return: JSON list of the results, flat, to be freed with free(); NULL on failure.
 */
KJAX_API char *execute_jax_transformation(const char *transformation, const char *function, const char *args);

/** execute_jax_program - run a program
 * @program:	path of a .kjx file, or the name of a function in a loaded library; then, after white space, the arguments
 *		as for execute_jax_transformation(): "model.kjx [[1, 2, 3]]"
 * Return: as for execute_jax_transformation().
 */
KJAX_API char *execute_jax_program(const char *program);

/** kjax_unload - forget all loaded libraries. No run of their programs may be going on. */
KJAX_API void kjax_unload(void);

/** kjax_set_threads - threads that the text interface may use for programs with several lanes; 1 at first */
KJAX_API void kjax_set_threads(uint32_t threads);

/* ---- results of the text interface, typed ---- */

/** kjax_evaluate - execute_jax_transformation() with typed results. @values: free with kjax_values_free() */
KJAX_API int kjax_evaluate(const char *transformation, const char *function, const char *args,
			   struct kjax_values **values);
KJAX_API uint32_t kjax_values_count(const struct kjax_values *values);
/** kjax_values_at - one result; belongs to @values; NULL when @number is too large */
KJAX_API const struct kjax_buffer *kjax_values_at(const struct kjax_values *values, uint32_t number);
KJAX_API void kjax_values_free(struct kjax_values *values);

/* ---- programs ---- */

/** struct kjax_options - how to open a program
 * @size:	sizeof(struct kjax_options)
 * @memory_limit: bytes that its plan and arenas may take; 0 = no limit
 * @cpu:	"scalar", "avx2", "avx512", "avx512vnni"; NULL = the best that this machine has
 * @threads:	threads that a run may use, the caller's included, at most 64; 0 and 1: the caller's alone. Results are the same bits
 *		for any number. A program of one lane that has steps worth sharing out starts threads - 1 helpers, which all programs of
 *		the process share; they end when the last such program is closed. Close it before libkjax is unloaded.
 */
struct kjax_options {
	size_t size;
	uint64_t memory_limit;
	const char *cpu;
	uint32_t threads;
};

/** struct kjax_argument - an input or output of one lane
 * @dtype:	"f32", "i64", "bf16", ... (isa/dtypes)
 * @dims:	@rank of them, valid as long as the program
 * @bytes:	length of its buffer, C order
 * @align:	alignment that a buffer must have, at least
 * @alias:	output: the input that it updates, or KJAX_NO_ALIAS
 */
struct kjax_argument {
	const char *dtype;
	const uint64_t *dims;
	uint64_t bytes;
	uint32_t rank, align, alias;
};

/** struct kjax_facts - what the verifier proved: bytes, and work units of one run of one lane
 * @cost:	an upper bound unless @cost_is_open, else without the loops that have no bound
 * @part_bytes:	what each thread of a run takes besides where options have several; 0: no step is worth sharing out
 */
struct kjax_facts {
	uint64_t plan_bytes, arena_bytes, constant_bytes, input_bytes, output_bytes, cost, flops;
	uint32_t cost_is_open, inputs, outputs, instructions, lanes;
	uint64_t part_bytes;
};

/** struct kjax_run - how to run
 * @size:	sizeof(struct kjax_run)
 * @fuel:	work units for each lane; 0 = no limit
 * @timeout_ns:	0 = none
 * @threads:	of a program with several lanes: threads for them, the caller's included; 0: as in its options, else the caller's alone.
 *		Of one with one lane: at most so many of those in its options; 0: all of them
 */
struct kjax_run {
	size_t size;
	uint64_t fuel, timeout_ns;
	uint32_t threads;
};

/** kjax_program_open - verify an image and make it ready
 * @image:	untrusted bytes; copied
 * @options:	may be NULL
 * @program:	set on success; close with kjax_program_close()
 */
KJAX_API int kjax_program_open(const void *image, size_t bytes, const struct kjax_options *options,
			       struct kjax_program **program);

/** kjax_program_load - the same from a file. Return: also -errno */
KJAX_API int kjax_program_load(const char *path, const struct kjax_options *options, struct kjax_program **program);

/** kjax_program_find - a program of a loaded library
 * @signature:	argument types ("f32[3],i32[]"), or NULL: the first one
 * @program:	belongs to the library: valid until kjax_unload(), or until the same path is loaded again. Do not close
 */
KJAX_API int kjax_program_find(const char *transformation, const char *function, const char *signature,
			       struct kjax_program **program);

/** kjax_program_close - NULL is fine. No run of it may be going on. */
KJAX_API void kjax_program_close(struct kjax_program *program);

/** kjax_program_facts, kjax_program_cpu - what was proved of it, and the cpu table that it runs on */
KJAX_API void kjax_program_facts(const struct kjax_program *program, struct kjax_facts *facts);
KJAX_API const char *kjax_program_cpu(const struct kjax_program *program);

/** kjax_program_input, kjax_program_output - describe one. Return: 103 (bad_call) when @number is too large */
KJAX_API int kjax_program_input(const struct kjax_program *program, uint32_t number, struct kjax_argument *argument);
KJAX_API int kjax_program_output(const struct kjax_program *program, uint32_t number, struct kjax_argument *argument);

/** kjax_program_run - run once on the caller's memory
 * @inputs:	lanes * inputs pointers, lane by lane
 * @outputs:	likewise. An output that updates an input may be that input's memory (then it is updated in place) or memory
 *		of its own (then the input is copied there first); no other overlap is allowed
 * @run:	may be NULL
 * Pointers must be aligned as kjax_argument.align says; those of zero bytes may be NULL.
 * Context: takes no lock and allocates nothing unless another thread runs the same program.
 * After a failure the outputs hold unspecified values.
 */
KJAX_API int kjax_program_run(struct kjax_program *program, const void *const *inputs, void *const *outputs,
			      const struct kjax_run *run);

/* ---- what programs print (jax.debug.print) ---- */

/** struct kjax_record - one print; @values times struct kjax_record_value follow
 * @bytes:	of the record with all that follows, a multiple of 8
 * @site:	which print of the program it is: position in "sites" of kjax_program_meta(), which has its format
 * @sequence:	prints before this one, dropped ones included
 * @run:	number of the run, from 1 on
 * @time:	CLOCK_MONOTONIC nanoseconds
 * @lane:	that printed
 */
struct kjax_record {
	uint32_t bytes, site;
	uint64_t sequence, run, time;
	uint32_t lane, values;
};

/** struct kjax_record_value - uint64_t dims[@rank] follow, then @bytes of data in C order, then zeros up to a multiple of 8
 * @dtype:	number of the element type (docs/spec/program.md)
 */
struct kjax_record_value {
	uint32_t dtype, rank;
	uint64_t bytes;
};

/** kjax_program_listen - keep what the program prints from now on
 * @bytes:	of the ring that keeps it; 0: stop keeping. What was kept before is lost.
 * No run of it may be going on. Runs never wait: what does not fit is dropped and counted. Without a listener prints
 * are left out.
 */
KJAX_API int kjax_program_listen(struct kjax_program *program, uint64_t bytes);

/** kjax_program_read - take whole records out, oldest first
 * @records, @capacity: where to, 8-byte aligned; next = (char *)record + record->bytes
 * @bytes:	bytes written; 0 when there is nothing to read
 * @dropped:	records lost since kjax_program_listen(), may be NULL
 * Return: 80 (too_large) when @capacity does not hold the next record. Any thread, also while runs go on.
 */
KJAX_API int kjax_program_read(struct kjax_program *program, void *records, size_t capacity, size_t *bytes,
			       uint64_t *dropped);

/** kjax_record_value - value @number of a record; NULL when there are fewer */
KJAX_API const struct kjax_record_value *kjax_record_value(const struct kjax_record *record, uint32_t number);

/** kjax_record_text - JSON list of a record's values, to be freed with free(); NULL on failure (a type without text) */
KJAX_API char *kjax_record_text(const struct kjax_record *record);

/** kjax_program_meta - the program's META: JSON, UTF-8, not NUL-terminated, valid as long as the program; NULL: none.
 * It is what the program's author wrote: nothing was verified.
 */
KJAX_API const char *kjax_program_meta(const struct kjax_program *program, size_t *bytes);

/* ---- buffers: memory with a type ---- */

/** kjax_buffer_new - zeroed, 64-byte aligned; NULL for an unknown dtype or no memory */
KJAX_API struct kjax_buffer *kjax_buffer_new(const char *dtype, uint32_t rank, const uint64_t *dims);
KJAX_API void kjax_buffer_free(struct kjax_buffer *buffer);
KJAX_API void *kjax_buffer_data(const struct kjax_buffer *buffer);
KJAX_API uint64_t kjax_buffer_bytes(const struct kjax_buffer *buffer);
KJAX_API const char *kjax_buffer_dtype(const struct kjax_buffer *buffer);
KJAX_API uint32_t kjax_buffer_rank(const struct kjax_buffer *buffer);
KJAX_API const uint64_t *kjax_buffer_dims(const struct kjax_buffer *buffer);

/** kjax_buffer_get - element @index (row-major) as a double; 0 where it has none (complex, or out of range) */
KJAX_API double kjax_buffer_get(const struct kjax_buffer *buffer, uint64_t index);

/** kjax_program_call - run on buffers whose types are checked
 * @inputs:	one for each input; with several lanes each has the lanes as its first dim
 * @outputs:	set to one new buffer for each output, to be freed; inputs stay as they are
 */
KJAX_API int kjax_program_call(struct kjax_program *program, struct kjax_buffer *const *inputs,
			       struct kjax_buffer **outputs, const struct kjax_run *run);

#ifdef __cplusplus
}
#endif

#endif
