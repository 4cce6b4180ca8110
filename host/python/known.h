/* SPDX-License-Identifier: MIT */
/*
 * A program that calls may go to: which calls those are, and how they get there.
 */
#ifndef KJX_KNOWN_H
#define KJX_KNOWN_H

#include "tree.h"

#define KJX_MAX_LEAVES 256	/* a call with more goes to the fallback */

/** struct kjx_known
 * @references:	the list's, and one for each call that uses it now; under the GIL
 * @condition:	what the guard must have said; NULL: there was no guard
 * @weak:	for each leaf None, or the type that it must have: Python's (float ...), or JAX's array, weakly typed; NULL: None for all
 * @narrow:	64-bit types stand for the program's 32-bit ones
 * @in_place:	arguments that results update become them; @updated says which, one byte for each leaf: those must be arrays of NumPy
 * @in:		tree of the tuple of positional arguments; a foreign one is that of (arguments, keywords)
 * @keywords:	tree of the dict of keyword arguments; without nodes where @in is foreign
 */
struct kjx_known {
	u32 references;
	struct program *program;
	PyObject *condition, *weak;
	bool narrow, in_place;
	u8 updated[KJX_MAX_LEAVES];
	struct kjx_tree in, keywords, out;
};

/** struct kjx_request - one call, and what has been found out about it
 * @names:	of the keyword arguments, whose values follow the @n positional ones; or NULL
 * @condition:	what the guard says now, or NULL; owned, as are @flatten, @flat and @held
 * @flatten:	takes apart what has registered classes in it: flatten((args, keywords)) -> (leaves, treedef); or NULL
 * @array:	the type of JAX's arrays, or NULL: they are no leaves of calls that go the direct way
 * @flat:	what @flatten returned, once it was asked; or NULL
 * @held:	list of the NumPy views of JAX's arrays among the leaves, or NULL
 * @leaves:	borrowed from the arguments, @flat and @held
 */
struct kjx_request {
	PyObject *const *args;
	Py_ssize_t n;
	PyObject *names, *condition, *flatten;
	PyTypeObject *array;
	bool asked;
	PyObject *flat, *held;
	PyObject *leaves[KJX_MAX_LEAVES];
};

/** kjx_known_new - see dispatch.add() for the arguments; @weak and @keywords may be None. The caller sets ->narrow, ->in_place.
 * Return: one reference, or NULL with ValueError or MemoryError set
 */
struct kjx_known *kjx_known_new(struct program *program, PyObject *in, PyObject *keywords, PyObject *out, PyObject *weak,
				PyObject *condition);
void kjx_known_put(struct kjx_known *known);

/** kjx_known_fits - is it a call that @known takes? Sets @request->leaves. No exception is set. */
bool kjx_known_fits(const struct kjx_known *known, struct kjx_request *request);

/** kjx_known_run - run it on the leaves of a call that fits
 * Return: the result tree, or NULL with an exception set
 */
PyObject *kjx_known_run(const struct kjx_known *known, struct kjx_request *request);

void kjx_request_end(struct kjx_request *request);

#endif
