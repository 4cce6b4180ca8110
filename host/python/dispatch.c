// SPDX-License-Identifier: MIT
/*
 * Dispatch: from nested tuples, lists and dicts of arrays to a program and back, without Python code on the way.
 *
 * It knows some programs, each with the tree and the types of the arguments that it was compiled for. A call that
 * fits one exactly runs it; anything else (other trees, types, layouts, keywords, registered classes) goes to the
 * fallback, which compiles, converts or complains, and may add() what it found for the next time. The guard, if there is
 * one, says under which conditions a program was compiled (JAX's configuration): only programs added under an equal
 * value are tried.
 *
 * A tree is an array of nodes in preorder, made from the JSON-able structure of kjax.api.trees: "*", None,
 * ["tuple", ...], ["list", ...], ["dict", {key: ...}].
 */
#include <stddef.h>

#include "extension.h"

#include <structmember.h>

#define MAX_LEAVES 256		/* more go to the fallback */
#define MAX_KNOWN 64

enum kind { LEAF, NOTHING, TUPLE, LIST, DICT };

struct node {
	enum kind kind;
	Py_ssize_t count;	/* children */
	PyObject *keys;		/* DICT: tuple of their keys, in order */
};

struct tree {
	struct node *nodes;
	Py_ssize_t count, room, leaves;
};

/* a program that calls may go to; @weak: for each leaf None, or the Python type (float ...) that it must have */
struct known {
	u32 references;		/* the list's, and one for each call that uses it now; under the GIL */
	struct program *program;
	PyObject *condition, *weak;
	struct tree in, out;
};

struct dispatch {
	PyObject_HEAD
	vectorcallfunc call;
	PyObject *fallback, *guard, *dict, *weak_references;
	struct known **known;
	Py_ssize_t count;
};

static void free_tree(struct tree *tree)
{
	Py_ssize_t i;

	for (i = 0; i < tree->count; i++)
		Py_XDECREF(tree->nodes[i].keys);
	PyMem_Free(tree->nodes);
	*tree = (struct tree){ 0 };
}

static void put_known(struct known *known)
{
	if (--known->references)
		return;
	Py_XDECREF(known->program);
	Py_XDECREF(known->condition);
	Py_XDECREF(known->weak);
	free_tree(&known->in);
	free_tree(&known->out);
	PyMem_Free(known);
}

static struct node *add_node(struct tree *tree, enum kind kind)
{
	Py_ssize_t room = tree->room ? tree->room * 2 : 8;
	struct node *nodes = tree->nodes;

	if (tree->count == tree->room) {
		nodes = PyMem_Realloc(nodes, (size_t)room * sizeof(*nodes));
		if (!nodes) {
			PyErr_NoMemory();
			return NULL;
		}
		tree->nodes = nodes;
		tree->room = room;
	}
	tree->nodes[tree->count] = (struct node){ .kind = kind };
	return &tree->nodes[tree->count++];
}

static int read_tree(struct tree *tree, PyObject *spec);

static int read_dict(struct tree *tree, PyObject *members)
{
	struct node *node = PyDict_CheckExact(members) ? add_node(tree, DICT) : NULL;
	PyObject *key, *value;
	Py_ssize_t at = 0, n;

	if (!node)
		return PyErr_Occurred() ? -1 : (PyErr_SetString(PyExc_ValueError, "bad dict in a tree"), -1);
	node->count = PyDict_GET_SIZE(members);
	node->keys = PySequence_Tuple(members);
	if (!node->keys)
		return -1;
	for (n = 0; PyDict_Next(members, &at, &key, &value); n++)
		if (read_tree(tree, value))
			return -1;
	return 0;
}

static int read_sequence(struct tree *tree, enum kind kind, PyObject *spec)
{
	struct node *node = add_node(tree, kind);
	Py_ssize_t i;

	if (!node)
		return -1;
	node->count = PyList_GET_SIZE(spec) - 1;
	for (i = 1; i < PyList_GET_SIZE(spec); i++)
		if (read_tree(tree, PyList_GET_ITEM(spec, i)))
			return -1;
	return 0;
}

static int read_list(struct tree *tree, PyObject *spec)
{
	PyObject *name = PyList_CheckExact(spec) && PyList_GET_SIZE(spec) ? PyList_GET_ITEM(spec, 0) : NULL;

	if (name && PyUnicode_Check(name)) {
		if (PyUnicode_CompareWithASCIIString(name, "tuple") == 0)
			return read_sequence(tree, TUPLE, spec);
		if (PyUnicode_CompareWithASCIIString(name, "list") == 0)
			return read_sequence(tree, LIST, spec);
		if (PyUnicode_CompareWithASCIIString(name, "dict") == 0 && PyList_GET_SIZE(spec) == 2)
			return read_dict(tree, PyList_GET_ITEM(spec, 1));
	}
	PyErr_Format(PyExc_ValueError, "not a tree: %R", spec);
	return -1;
}

static int read_tree(struct tree *tree, PyObject *spec)
{
	int result;

	if (spec == Py_None)
		return add_node(tree, NOTHING) ? 0 : -1;
	if (PyUnicode_Check(spec) && PyUnicode_CompareWithASCIIString(spec, "*") == 0) {
		tree->leaves++;
		return add_node(tree, LEAF) ? 0 : -1;
	}
	if (Py_EnterRecursiveCall(" in a tree"))
		return -1;
	result = read_list(tree, spec);
	Py_LeaveRecursiveCall();
	return result;
}

/* where a walk through a tree is */
struct walk {
	const struct node *node;
	PyObject **leaf;
};

/* collect the leaves of @object; false when it is not this tree. References are borrowed from the arguments. */
static bool flatten(struct walk *w, PyObject *object)
{
	const struct node *node = w->node++;
	PyObject **items, *item;
	Py_ssize_t i;

	switch (node->kind) {
	case LEAF:
		*w->leaf++ = object;
		return true;
	case NOTHING:
		return object == Py_None;
	case TUPLE:
		if (!PyTuple_CheckExact(object) || PyTuple_GET_SIZE(object) != node->count)
			return false;
		items = ((PyTupleObject *)object)->ob_item;
		break;
	case LIST:
		if (!PyList_CheckExact(object) || PyList_GET_SIZE(object) != node->count)
			return false;
		items = ((PyListObject *)object)->ob_item;
		break;
	default:
		if (!PyDict_CheckExact(object) || PyDict_GET_SIZE(object) != node->count)
			return false;
		for (i = 0; i < node->count; i++) {
			item = PyDict_GetItemWithError(object, PyTuple_GET_ITEM(node->keys, i));
			if (!item || !flatten(w, item)) {
				PyErr_Clear();
				return false;
			}
		}
		return true;
	}
	for (i = 0; i < node->count; i++)
		if (!flatten(w, items[i]))
			return false;
	return true;
}

/* a new object of this tree; takes the leaves' references, also on failure those that it has come to */
static PyObject *unflatten(struct walk *w)
{
	const struct node *node = w->node++;
	PyObject *object, *item;
	Py_ssize_t i;
	int failed = 0;

	switch (node->kind) {
	case LEAF:
		return *w->leaf++;
	case NOTHING:
		return Py_NewRef(Py_None);
	case TUPLE:
		object = PyTuple_New(node->count);
		break;
	case LIST:
		object = PyList_New(node->count);
		break;
	default:
		object = PyDict_New();
	}
	for (i = 0; object && i < node->count; i++) {
		item = unflatten(w);
		if (!item) {
			Py_CLEAR(object);
		} else if (node->kind == TUPLE) {
			PyTuple_SET_ITEM(object, i, item);
		} else if (node->kind == LIST) {
			PyList_SET_ITEM(object, i, item);
		} else {
			failed = PyDict_SetItem(object, PyTuple_GET_ITEM(node->keys, i), item);
			Py_DECREF(item);
			if (failed)
				Py_CLEAR(object);
		}
	}
	return object;
}

/* are all leaves what the program was compiled for, without any conversion but of Python's numbers? */
static bool leaves_fit(const struct known *known, PyObject *const *leaves)
{
	const struct program *program = known->program;
	PyObject *weak;
	u32 i;

	for (i = 0; i < program->n_inputs; i++) {
		weak = known->weak ? PyTuple_GET_ITEM(known->weak, i) : Py_None;
		if (weak != Py_None ? (PyObject *)Py_TYPE(leaves[i]) != weak :
				      !kjx_is_ready(program, i, leaves[i]))
			return false;
	}
	return true;
}

static bool fits(const struct known *known, PyObject *const *args, Py_ssize_t n, PyObject *condition, PyObject **leaves)
{
	struct walk w = { known->in.nodes + 1, leaves };
	Py_ssize_t i;
	int equal;

	if (known->program->closed || known->in.nodes->count != n)
		return false;
	if (condition != known->condition) {
		equal = condition && known->condition ? PyObject_RichCompareBool(condition, known->condition, Py_EQ) : 0;
		if (equal <= 0) {
			PyErr_Clear();
			return false;
		}
	}
	for (i = 0; i < n; i++)
		if (!flatten(&w, args[i]))
			return false;
	return leaves_fit(known, leaves);
}

static PyObject *run_known(const struct known *known, PyObject **leaves)
{
	PyObject *outs[MAX_LEAVES], *result = NULL;
	struct walk w = { known->out.nodes, outs };
	u32 n_in = known->program->n_inputs, n = known->program->n_outputs, i;

	/* a list or dict of the caller's may change while a long run goes on without the GIL */
	for (i = 0; i < n_in; i++)
		Py_INCREF(leaves[i]);
	memset(outs, 0, n * sizeof(*outs));
	if (!kjx_call_into(known->program, leaves, outs)) {
		result = unflatten(&w);
		while (!result && w.leaf < outs + n)
			Py_DECREF(*w.leaf++);
	}
	for (i = 0; i < n_in; i++)
		Py_DECREF(leaves[i]);
	return result;
}

/* the first program that fits, with a reference; NULL: none, or an exception of the guard */
static struct known *find(struct dispatch *d, PyObject *const *args, Py_ssize_t n, PyObject **leaves)
{
	PyObject *condition = d->guard ? PyObject_CallNoArgs(d->guard) : NULL;
	struct known *found = NULL;
	Py_ssize_t i;

	if (d->guard && !condition)
		return NULL;
	for (i = 0; i < d->count && !found; i++) {
		/* comparing may run Python code, which may change the list */
		found = d->known[i];
		found->references++;
		if (!fits(found, args, n, condition, leaves)) {
			put_known(found);
			found = NULL;
		}
	}
	Py_XDECREF(condition);
	return found;
}

static PyObject *dispatch_call(PyObject *self, PyObject *const *args, size_t nargs, PyObject *keywords)
{
	struct dispatch *d = (struct dispatch *)self;
	PyObject *leaves[MAX_LEAVES], *result;
	struct known *known = NULL;

	if (!d->fallback)
		return PyErr_Format(PyExc_TypeError, "this Dispatch was not initialised");
	if (d->count && (!keywords || !PyTuple_GET_SIZE(keywords))) {
		known = find(d, args, PyVectorcall_NARGS(nargs), leaves);
		if (!known && PyErr_Occurred())
			return NULL;
	}
	if (!known)
		return PyObject_Vectorcall(d->fallback, args, nargs, keywords);
	result = run_known(known, leaves);
	put_known(known);
	return result;
}

static int read_known(struct known *known, PyObject *in, PyObject *out)
{
	const struct program *p = known->program;

	if (read_tree(&known->in, in) || read_tree(&known->out, out))
		return -1;
	if (known->in.nodes->kind != TUPLE || p->lanes != 1 || known->in.leaves != p->n_inputs ||
	    known->out.leaves != p->n_outputs || p->n_inputs > MAX_LEAVES || p->n_outputs > MAX_LEAVES ||
	    (known->weak && PyTuple_GET_SIZE(known->weak) != p->n_inputs)) {
		PyErr_Format(PyExc_ValueError, "a program with %u inputs, %u outputs, %u lanes does not go with these trees "
			     "(at most %d leaves, one lane)", p->n_inputs, p->n_outputs, p->lanes, MAX_LEAVES);
		return -1;
	}
	return 0;
}

static PyObject *dispatch_add(PyObject *self, PyObject *args, PyObject *keywords)
{
	static char *names[] = { "program", "inputs", "outputs", "weak", "condition", NULL };
	struct dispatch *d = (struct dispatch *)self;
	PyObject *program, *in, *out, *weak = Py_None, *condition = Py_None;
	struct known *fresh, **room;

	if (!PyArg_ParseTupleAndKeywords(args, keywords, "O!OO|$OO:add", names, &kjx_program_type, &program, &in, &out,
					 &weak, &condition))
		return NULL;
	fresh = PyMem_Calloc(1, sizeof(*fresh));
	if (!fresh)
		return PyErr_NoMemory();
	fresh->references = 1;
	fresh->program = (struct program *)Py_NewRef(program);
	fresh->condition = d->guard ? Py_NewRef(condition) : NULL;
	fresh->weak = weak == Py_None ? NULL : PySequence_Tuple(weak);
	if (PyErr_Occurred() || read_known(fresh, in, out))
		goto fail;
	room = PyMem_Realloc(d->known, (size_t)(d->count + 1) * sizeof(*room));
	if (!room) {
		PyErr_NoMemory();
		goto fail;
	}
	d->known = room;
	if (d->count == MAX_KNOWN)	/* the oldest one makes room: it is found by the fallback again */
		put_known(d->known[--d->count]);
	memmove(d->known + 1, d->known, (size_t)d->count++ * sizeof(*room));
	d->known[0] = fresh;
	Py_RETURN_NONE;
fail:
	put_known(fresh);
	return NULL;
}

static PyObject *dispatch_forget(PyObject *self, PyObject *unused)
{
	struct dispatch *d = (struct dispatch *)self;
	struct known **known = d->known;
	Py_ssize_t count = d->count;

	(void)unused;
	d->known = NULL;
	d->count = 0;
	while (count--)
		put_known(known[count]);
	PyMem_Free(known);
	Py_RETURN_NONE;
}

static int dispatch_clear(PyObject *self)
{
	struct dispatch *d = (struct dispatch *)self;

	Py_XDECREF(dispatch_forget(self, NULL));
	Py_CLEAR(d->fallback);
	Py_CLEAR(d->guard);
	Py_CLEAR(d->dict);
	return 0;
}

static int dispatch_traverse(PyObject *self, visitproc visit, void *arg)
{
	struct dispatch *d = (struct dispatch *)self;
	Py_ssize_t i;

	Py_VISIT(d->fallback);
	Py_VISIT(d->guard);
	Py_VISIT(d->dict);
	for (i = 0; i < d->count; i++) {
		Py_VISIT(d->known[i]->condition);
		Py_VISIT(d->known[i]->weak);
	}
	return 0;
}

static void dispatch_dealloc(PyObject *self)
{
	struct dispatch *d = (struct dispatch *)self;

	PyObject_GC_UnTrack(self);
	if (d->weak_references)
		PyObject_ClearWeakRefs(self);
	dispatch_clear(self);
	Py_TYPE(self)->tp_free(self);
}

static PyObject *dispatch_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
	struct dispatch *d = (struct dispatch *)type->tp_alloc(type, 0);

	(void)args;
	(void)keywords;
	if (d)
		d->call = dispatch_call;
	return (PyObject *)d;
}

static int dispatch_init(PyObject *self, PyObject *args, PyObject *keywords)
{
	static char *names[] = { "fallback", "guard", NULL };
	struct dispatch *d = (struct dispatch *)self;
	PyObject *fallback, *guard = Py_None;

	if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|O:Dispatch", names, &fallback, &guard))
		return -1;
	Py_XSETREF(d->fallback, Py_NewRef(fallback));
	Py_XSETREF(d->guard, guard == Py_None ? NULL : Py_NewRef(guard));
	return 0;
}

/* a jitted function in a class is a method */
static PyObject *dispatch_bind(PyObject *self, PyObject *object, PyObject *type)
{
	(void)type;
	return object && object != Py_None ? PyMethod_New(self, object) : Py_NewRef(self);
}

static PyObject *dispatch_known(PyObject *self, void *unused)
{
	(void)unused;
	return PyLong_FromSsize_t(((struct dispatch *)self)->count);
}

static PyObject *dispatch_guard(PyObject *self, void *unused)
{
	struct dispatch *d = (struct dispatch *)self;

	(void)unused;
	return Py_NewRef(d->guard ? d->guard : Py_None);
}

static int dispatch_set_guard(PyObject *self, PyObject *value, void *unused)
{
	struct dispatch *d = (struct dispatch *)self;

	(void)unused;
	Py_XSETREF(d->guard, !value || value == Py_None ? NULL : Py_NewRef(value));
	return 0;
}

static PyMethodDef dispatch_methods[] = {
	{ "add", (PyCFunction)(void (*)(void))dispatch_add, METH_VARARGS | METH_KEYWORDS,
	  "add(program, inputs, outputs, *, weak=None, condition=None)\n--\n\n"
	  "Calls whose positional arguments have the tree `inputs` (a tuple's) and the program's types run `program`; `outputs` is "
	  "the result's tree. weak: for each leaf None, or the Python type that it must have (float, int, bool, complex). "
	  "condition: what the guard must return. Raises ValueError." },
	{ "forget", dispatch_forget, METH_NOARGS, "forget()\n--\n\nDrop all programs." },
	{ NULL }
};

static PyMemberDef dispatch_members[] = {
	{ "__dictoffset__", T_PYSSIZET, offsetof(struct dispatch, dict), READONLY, NULL },
	{ "fallback", T_OBJECT, offsetof(struct dispatch, fallback), READONLY, "called where no program fits" },
	{ NULL }
};

static PyGetSetDef dispatch_getset[] = {
	{ "__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL },
	{ "known", dispatch_known, NULL, "number of programs that calls may go to", NULL },
	{ "guard", dispatch_guard, dispatch_set_guard, "what a call asks first: programs are tried whose condition equals its answer", NULL },
	{ NULL }
};

PyTypeObject kjx_dispatch_type = {
	PyVarObject_HEAD_INIT(NULL, 0)
	.tp_name = "kjax._engine.Dispatch",
	.tp_basicsize = sizeof(struct dispatch),
	.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
	.tp_doc = "Dispatch(fallback, guard=None)\n--\n\n"
		  "A callable that takes pytrees of arrays to the program that was compiled for them, or to fallback(*args, **kw).",
	.tp_new = dispatch_new,
	.tp_init = dispatch_init,
	.tp_dealloc = dispatch_dealloc,
	.tp_traverse = dispatch_traverse,
	.tp_clear = dispatch_clear,
	.tp_vectorcall_offset = offsetof(struct dispatch, call),
	.tp_call = PyVectorcall_Call,
	.tp_dictoffset = offsetof(struct dispatch, dict),
	.tp_weaklistoffset = offsetof(struct dispatch, weak_references),
	.tp_descr_get = dispatch_bind,
	.tp_methods = dispatch_methods,
	.tp_members = dispatch_members,
	.tp_getset = dispatch_getset,
};
