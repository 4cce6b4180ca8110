/* SPDX-License-Identifier: MIT */
/*
 * kjax._engine: the engine in this Python process.
 *
 *	extension.c	the module, verify(), cpus()
 *	program_type.c	Program: open, facts, close
 *	call.c		program(*arrays) and Program.run(): the frame, the outputs, the run
 *	ask.c		traces: the values of one as arrays for the host's function, its results as bytes
 *	arguments.c	from a Python object to the bytes of an input
 *	results.c	the arrays that calls return
 *	dispatch.c	Dispatch: pytrees in, program, pytrees out
 *	known.c		a program that a Dispatch knows: which calls go to it, and how
 *	tree.c		pytrees taken apart and made
 *	raise.c		statuses as kjax.errors
 */
#ifndef KJX_EXTENSION_H
#define KJX_EXTENSION_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#define NPY_TARGET_VERSION NPY_2_0_API_VERSION
#define PY_ARRAY_UNIQUE_SYMBOL kjx_numpy
#ifndef KJX_NUMPY_HERE
#define NO_IMPORT_ARRAY
#endif
#include <numpy/arrayobject.h>

#include "program.h"

/** struct signature - an input or output as NumPy sees it
 * @type:	owned
 * @stacked:	dims with the number of lanes in front
 * @rank:	without the lanes
 */
struct signature {
	PyArray_Descr *type;
	npy_intp *stacked;
	int rank;
	const struct kjx_slot *slot;
};

/** struct program - the Python object
 * @host:	called for each trace: host(site, lane, arrays) -> results; or NULL
 * @running:	runs that use @open now; a closed program is freed by the last of them
 */
struct program {
	PyObject_HEAD
	vectorcallfunc call;
	struct kjx_program *open;
	struct signature *inputs, *outputs;
	npy_intp *dims;
	PyObject *facts, *names, *account, *host;
	u32 lanes, n_inputs, n_outputs, running;
	bool closed;
};

/** struct account - Python's view of a struct kjx_account */
struct account {
	PyObject_HEAD
	struct kjx_account account;
};

/* an int of at least 0, or None (leaves *value alone); false with an exception */
bool kjx_read_size(PyObject *object, u64 *value);

extern PyTypeObject kjx_program_type, kjx_account_type, kjx_dispatch_type, kjx_buffer_type;
extern PyArray_Descr *kjx_types[KJX_DTYPE_COUNT];

/* raise.c: both return NULL with an exception set */
PyObject *kjx_raise(enum kjx_status status, const char *sentence, u32 failed_at);
PyObject *kjx_raise_run(enum kjx_status status);

/* extension.c */
PyObject *kjx_facts_dict(const struct kjx_facts *facts);

/** kjx_bind - make input @number's bytes available
 * @stacked:	the lanes' inputs stand one after another in one array
 * @keep:	list of objects to hold until the run has ended, made when first needed
 * @data:	where they are: in @object, which the caller holds, or in a member of @keep
 * Return: false with TypeError or OverflowError set.
 */
bool kjx_bind(struct program *program, u32 number, PyObject *object, bool stacked, PyObject **keep, u8 **data);

/** kjx_is_ready - has it the exact type, shape and layout of input @number? */
bool kjx_is_ready(const struct program *program, u32 number, PyObject *object);

/** kjx_can_convert - would kjx_bind() convert it, to the very values that the caller means?
 * An array of NumPy's in another layout or, where @narrow, of the 64-bit type that stands for the program's 32-bit one; then
 * such a scalar of NumPy's, too. Never a Python number.
 */
bool kjx_can_convert(const struct program *program, u32 number, PyObject *object, bool narrow);

/** kjx_dims_match - does the array have this shape? */
static inline bool kjx_dims_match(PyArrayObject *array, const npy_intp *dims, int rank)
{
	int d;

	if (PyArray_NDIM(array) != rank)
		return false;
	for (d = 0; d < rank; d++)
		if (PyArray_DIM(array, d) != dims[d])
			return false;
	return true;
}

/** kjx_new_result - an array for a result, its content undefined; the memory of a large one is recycled
 * Return: a new reference, or NULL with MemoryError set
 */
PyObject *kjx_new_result(PyArray_Descr *type, int rank, const npy_intp *dims);

/** struct asking - how a run reaches the program's host
 * @error:	what it raised: restored when the run has ended
 */
struct asking {
	struct program *program;
	PyObject *error;
};

/* ask.c: kjx_run.ask with a struct asking; takes the GIL */
enum kjx_status kjx_ask(void *data, const struct kjx_vm *vm);

/* call.c: one call with every lane's arguments in @args; returns a tuple of new arrays */
PyObject *kjx_call(PyObject *self, PyObject *const *args, size_t n, PyObject *keywords);
PyObject *kjx_program_run(PyObject *self, PyObject *args, PyObject *keywords);

/** kjx_call_into - the same for callers that have the arguments in an array and want the outputs in one
 * @outs:	n_outputs new references on success
 * @in_place:	an argument that an output updates becomes that output; else a copy of it does
 * Return: 0, or -1 with an exception set
 */
int kjx_call_into(struct program *program, PyObject *const *args, PyObject **outs, bool in_place);

/* program_type.c: false with an exception set when the program is closed */
bool kjx_program_enter(struct program *program);
void kjx_program_leave(struct program *program);

#endif
