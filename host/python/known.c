// SPDX-License-Identifier: MIT
/* Programs that calls may go to without Python code on the way (known.h). */
#include "known.h"

void kjx_known_put(struct kjx_known *known)
{
	if (--known->references)
		return;
	Py_XDECREF(known->program);
	Py_XDECREF(known->condition);
	Py_XDECREF(known->weak);
	kjx_tree_free(&known->in);
	kjx_tree_free(&known->keywords);
	kjx_tree_free(&known->out);
	PyMem_Free(known);
}

static int read_trees(struct kjx_known *known, PyObject *in, PyObject *keywords, PyObject *out)
{
	struct kjx_tree *named = &known->keywords;
	bool right;

	if (kjx_tree_read(&known->in, in) || kjx_tree_read(&known->out, out))
		return -1;
	if (keywords != Py_None) {
		if (kjx_tree_read(named, keywords))
			return -1;
		right = named->nodes && named->nodes->kind == KJX_TREE_DICT && !known->in.foreign;
		if (!right)
			return PyErr_Format(PyExc_ValueError, "not a tree of keyword arguments: %R", keywords), -1;
	}
	return 0;
}

static int check(const struct kjx_known *known)
{
	const struct program *p = known->program;
	bool positional = known->in.foreign || known->in.nodes->kind == KJX_TREE_TUPLE;

	if (positional && p->lanes == 1 && known->in.leaves + known->keywords.leaves == p->n_inputs &&
	    known->out.leaves == p->n_outputs && p->n_inputs <= KJX_MAX_LEAVES && p->n_outputs <= KJX_MAX_LEAVES &&
	    (!known->weak || PyTuple_GET_SIZE(known->weak) == p->n_inputs))
		return 0;
	PyErr_Format(PyExc_ValueError, "a program with %u inputs, %u outputs, %u lanes does not go with these trees "
		     "(at most %d leaves, one lane)", p->n_inputs, p->n_outputs, p->lanes, KJX_MAX_LEAVES);
	return -1;
}

static void mark_updated(struct kjx_known *known)
{
	const struct program *p = known->program;
	u32 i, alias;

	for (i = 0; i < p->n_outputs; i++) {
		alias = p->outputs[i].slot->alias;
		if (alias != KJX_NO_ALIAS)
			known->updated[alias] = true;
	}
}

struct kjx_known *kjx_known_new(struct program *program, PyObject *in, PyObject *keywords, PyObject *out, PyObject *weak,
				PyObject *condition)
{
	struct kjx_known *known = PyMem_Calloc(1, sizeof(*known));

	if (!known) {
		PyErr_NoMemory();
		return NULL;
	}
	known->references = 1;
	known->program = (struct program *)Py_NewRef((PyObject *)program);
	known->condition = Py_XNewRef(condition);
	known->weak = weak == Py_None ? NULL : PySequence_Tuple(weak);
	if (PyErr_Occurred() || read_trees(known, in, keywords, out) || check(known)) {
		kjx_known_put(known);
		return NULL;
	}
	mark_updated(known);
	return known;
}

/* -- does a call fit? ----------------------------------------------------------------------------------------------- */

/* (args, keywords) as two objects */
static PyObject *pack(const struct kjx_request *r)
{
	Py_ssize_t named = r->names ? PyTuple_GET_SIZE(r->names) : 0, i;
	PyObject *args = PyTuple_New(r->n), *keywords = PyDict_New(), *both = NULL;

	for (i = 0; args && i < r->n; i++)
		PyTuple_SET_ITEM(args, i, Py_NewRef(r->args[i]));
	for (i = 0; keywords && i < named; i++)
		if (PyDict_SetItem(keywords, PyTuple_GET_ITEM(r->names, i), r->args[r->n + i]))
			Py_CLEAR(keywords);
	if (args && keywords)
		both = PyTuple_Pack(2, args, keywords);
	Py_XDECREF(args);
	Py_XDECREF(keywords);
	return both;
}

/* what the registry makes of the call, or NULL: it is asked once */
static PyObject *flat_of(struct kjx_request *r)
{
	PyObject *both;

	if (!r->asked && r->flatten) {
		both = pack(r);
		r->flat = both ? PyObject_CallOneArg(r->flatten, both) : NULL;
		Py_XDECREF(both);
		if (r->flat && !(PyTuple_Check(r->flat) && PyTuple_GET_SIZE(r->flat) == 2 &&
				 PyList_Check(PyTuple_GET_ITEM(r->flat, 0))))
			Py_CLEAR(r->flat);
		PyErr_Clear();
	}
	r->asked = true;
	return r->flat;
}

static bool flatten_foreign(const struct kjx_known *known, struct kjx_request *r)
{
	PyObject *flat = flat_of(r), *list;
	Py_ssize_t i;

	if (!flat)
		return false;
	if (PyObject_RichCompareBool(PyTuple_GET_ITEM(flat, 1), known->in.foreign, Py_EQ) <= 0) {
		PyErr_Clear();
		return false;
	}
	list = PyTuple_GET_ITEM(flat, 0);
	if (PyList_GET_SIZE(list) != known->in.leaves)
		return false;
	for (i = 0; i < known->in.leaves; i++)
		r->leaves[i] = PyList_GET_ITEM(list, i);
	return true;
}

static bool flatten(const struct kjx_known *known, struct kjx_request *r)
{
	struct kjx_walk w = { known->in.nodes + 1, r->leaves };
	Py_ssize_t i;

	if (known->in.foreign)
		return flatten_foreign(known, r);
	if (known->in.nodes->count != r->n)
		return false;
	for (i = 0; i < r->n; i++)
		if (!kjx_tree_flatten(&w, r->args[i]))
			return false;
	if (!known->keywords.nodes)
		return !r->names || !PyTuple_GET_SIZE(r->names);
	w.node = known->keywords.nodes;
	return kjx_tree_flatten_keywords(&w, r->names, r->args + r->n);
}

/* one of JAX's arrays as NumPy's; a weakly typed one may want another program */
static bool view_array(struct kjx_request *r, PyObject **leaf, PyObject *wanted)
{
	PyObject *weak = PyObject_GetAttrString(*leaf, "weak_type"), *array = NULL;

	if (weak == wanted)
		array = PyArray_FROM_O(*leaf);
	if (array && !r->held)
		r->held = PyList_New(0);
	if (!array || !r->held || PyList_Append(r->held, array))
		Py_CLEAR(array);
	Py_XDECREF(array);	/* the list holds it */
	Py_XDECREF(weak);
	PyErr_Clear();
	if (array)
		*leaf = array;
	return array != NULL;
}

/* @weak: the type that the leaf must have, or None: it is an array of the program's own type, or one that stands for it */
static bool leaf_fits(const struct kjx_known *known, struct kjx_request *r, u32 number, PyObject *weak)
{
	const struct program *program = known->program;
	PyObject **leaf = &r->leaves[number];

	if (known->in_place && known->updated[number])
		return PyArray_CheckExact(*leaf) && PyArray_ISWRITEABLE((PyArrayObject *)*leaf) && kjx_is_ready(program, number, *leaf);
	if (weak == Py_None && kjx_is_ready(program, number, *leaf))
		return true;
	if (weak != Py_None && (PyObject *)Py_TYPE(*leaf) != weak)
		return false;
	if (r->array && Py_TYPE(*leaf) == r->array)
		return view_array(r, leaf, weak == Py_None ? Py_False : Py_True) && kjx_is_ready(program, number, *leaf);
	return weak != Py_None || kjx_can_convert(program, number, *leaf, known->narrow);
}

/* do all leaves have the types that the program was compiled for? */
static bool leaves_fit(const struct kjx_known *known, struct kjx_request *r)
{
	u32 i;

	for (i = 0; i < known->program->n_inputs; i++)
		if (!leaf_fits(known, r, i, known->weak ? PyTuple_GET_ITEM(known->weak, i) : Py_None))
			return false;
	return true;
}

bool kjx_known_fits(const struct kjx_known *known, struct kjx_request *r)
{
	int equal;

	if (known->program->closed)
		return false;
	if (r->condition != known->condition) {
		equal = r->condition && known->condition ? PyObject_RichCompareBool(r->condition, known->condition, Py_EQ) : 0;
		if (equal <= 0) {
			PyErr_Clear();
			return false;
		}
	}
	return flatten(known, r) && leaves_fit(known, r);
}

/* -- running ---------------------------------------------------------------------------------------------------------- */

PyObject *kjx_known_run(const struct kjx_known *known, struct kjx_request *r)
{
	PyObject *outs[KJX_MAX_LEAVES], *result = NULL;
	u32 n_in = known->program->n_inputs, i;

	/* a list or dict of the caller's may change while a long run goes on without the GIL */
	for (i = 0; i < n_in; i++)
		Py_INCREF(r->leaves[i]);
	memset(outs, 0, known->program->n_outputs * sizeof(*outs));
	if (!kjx_call_into(known->program, r->leaves, outs, known->in_place))
		result = kjx_tree_unflatten(&known->out, outs);
	for (i = 0; i < n_in; i++)
		Py_DECREF(r->leaves[i]);
	return result;
}

void kjx_request_end(struct kjx_request *r)
{
	Py_CLEAR(r->condition);
	Py_CLEAR(r->flatten);
	Py_CLEAR(r->flat);
	Py_CLEAR(r->held);
}
