// SPDX-License-Identifier: MIT
/*
 * Dispatch: from pytrees of arrays to a program and back, without Python code on the way.
 *
 * It knows some programs, each with the tree and the types of the arguments that it was compiled for (known.h). A call that
 * fits one runs it; anything else (other trees, types) goes to the fallback, which compiles, converts or complains, and may add() what it found for the next time. The guard, if there is one, says under which conditions a
 * program was compiled (JAX's configuration): only programs added under an equal value are tried.
 */
#include <stddef.h>

#include "known.h"

#include <structmember.h>

#define MAX_KNOWN 64

/* @flatten, @array: struct kjx_request; None where they are not set */
struct dispatch {
	PyObject_HEAD
	vectorcallfunc call;
	PyObject *fallback, *guard, *flatten, *array, *dict, *weak_references;
	struct kjx_known **known;
	Py_ssize_t count;
};

/* the first program that fits, with a reference; NULL: none */
static struct kjx_known *find(struct dispatch *d, struct kjx_request *request)
{
	struct kjx_known *found = NULL;
	Py_ssize_t i;

	for (i = 0; i < d->count && !found; i++) {
		/* comparing may run Python code, which may change the list */
		found = d->known[i];
		found->references++;
		if (!kjx_known_fits(found, request)) {
			kjx_known_put(found);
			found = NULL;
		}
	}
	return found;
}

static PyObject *none_as_null(PyObject *object)
{
	return object == Py_None ? NULL : object;
}

/* the result of the program that fits; NULL without an exception: there is none */
static PyObject *try_known(struct dispatch *d, PyObject *const *args, Py_ssize_t n, PyObject *names)
{
	struct kjx_request request;
	struct kjx_known *known;
	PyObject *result = NULL;

	/* the leaves need no zeroes */
	request.args = args;
	request.n = n;
	request.names = names;
	request.condition = d->guard ? PyObject_CallNoArgs(d->guard) : NULL;
	request.flatten = Py_XNewRef(none_as_null(d->flatten));
	request.array = (PyTypeObject *)none_as_null(d->array);
	request.asked = false;
	request.flat = request.held = NULL;
	known = d->guard && !request.condition ? NULL : find(d, &request);
	if (known) {
		result = kjx_known_run(known, &request);
		kjx_known_put(known);
	}
	kjx_request_end(&request);
	return result;
}

static PyObject *dispatch_call(PyObject *self, PyObject *const *args, size_t nargs, PyObject *keywords)
{
	struct dispatch *d = (struct dispatch *)self;
	PyObject *result = NULL;

	if (!d->fallback)
		return PyErr_Format(PyExc_TypeError, "this Dispatch was not initialised");
	if (d->count)
		result = try_known(d, args, PyVectorcall_NARGS(nargs), keywords);
	if (!result && !PyErr_Occurred())
		result = PyObject_Vectorcall(d->fallback, args, nargs, keywords);
	return result;
}

static PyObject *dispatch_add(PyObject *self, PyObject *args, PyObject *keywords)
{
	static char *names[] = { "program", "inputs", "outputs", "keywords", "weak", "condition", "narrow", "in_place", NULL };
	struct dispatch *d = (struct dispatch *)self;
	PyObject *program, *in, *out, *named = Py_None, *weak = Py_None, *condition = Py_None;
	struct kjx_known *fresh, **room;
	int narrow = 0, in_place = 0;

	if (!PyArg_ParseTupleAndKeywords(args, keywords, "O!OO|$OOOpp:add", names, &kjx_program_type, &program, &in, &out,
					 &named, &weak, &condition, &narrow, &in_place))
		return NULL;
	fresh = kjx_known_new((struct program *)program, in, named, out, weak, d->guard ? condition : NULL);
	if (!fresh)
		return NULL;
	fresh->narrow = narrow;
	fresh->in_place = in_place;
	room = PyMem_Realloc(d->known, (size_t)(d->count + 1) * sizeof(*room));
	if (!room) {
		kjx_known_put(fresh);
		return PyErr_NoMemory();
	}
	d->known = room;
	if (d->count == MAX_KNOWN)	/* the oldest one makes room: it is found by the fallback again */
		kjx_known_put(d->known[--d->count]);
	memmove(d->known + 1, d->known, (size_t)d->count++ * sizeof(*room));
	d->known[0] = fresh;
	Py_RETURN_NONE;
}

static PyObject *dispatch_forget(PyObject *self, PyObject *unused)
{
	struct dispatch *d = (struct dispatch *)self;
	struct kjx_known **known = d->known;
	Py_ssize_t count = d->count;

	(void)unused;
	d->known = NULL;
	d->count = 0;
	while (count--)
		kjx_known_put(known[count]);
	PyMem_Free(known);
	Py_RETURN_NONE;
}

static int dispatch_clear(PyObject *self)
{
	struct dispatch *d = (struct dispatch *)self;

	Py_XDECREF(dispatch_forget(self, NULL));
	Py_CLEAR(d->fallback);
	Py_CLEAR(d->guard);
	Py_CLEAR(d->flatten);
	Py_CLEAR(d->array);
	Py_CLEAR(d->dict);
	return 0;
}

static int dispatch_traverse(PyObject *self, visitproc visit, void *arg)
{
	struct dispatch *d = (struct dispatch *)self;
	Py_ssize_t i;

	Py_VISIT(d->fallback);
	Py_VISIT(d->guard);
	Py_VISIT(d->flatten);
	Py_VISIT(d->array);
	Py_VISIT(d->dict);
	for (i = 0; i < d->count; i++) {
		Py_VISIT(d->known[i]->condition);
		Py_VISIT(d->known[i]->weak);
		Py_VISIT(d->known[i]->in.foreign);
		Py_VISIT(d->known[i]->out.foreign);
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
	if (d) {
		d->call = dispatch_call;
		d->flatten = Py_NewRef(Py_None);
		d->array = Py_NewRef(Py_None);
	}
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

static PyObject *dispatch_array(PyObject *self, void *unused)
{
	(void)unused;
	return Py_NewRef(((struct dispatch *)self)->array);
}

static int dispatch_set_array(PyObject *self, PyObject *value, void *unused)
{
	(void)unused;
	if (value && value != Py_None && !PyType_Check(value)) {
		PyErr_SetString(PyExc_TypeError, "array must be a type or None");
		return -1;
	}
	Py_XSETREF(((struct dispatch *)self)->array, Py_NewRef(value ? value : Py_None));
	return 0;
}

static PyMethodDef dispatch_methods[] = {
	{ "add", (PyCFunction)(void (*)(void))dispatch_add, METH_VARARGS | METH_KEYWORDS,
	  "add(program, inputs, outputs, *, keywords=None, weak=None, condition=None, narrow=False, in_place=False)\n--\n\n"
	  "Calls whose positional arguments have the tree `inputs` (a tuple's), whose keyword arguments have the tree `keywords` (a "
	  "dict's; None: there are none), and whose leaves have the program's types run `program`; `outputs` is the result's tree. "
	  "Trees are structures as kjax.ir.trees makes them, or PyTreeDefs: `inputs` is then that of (arguments, keywords). weak: for "
	  "each leaf None, or the type that it must have: float, int, bool, complex, or the type of JAX's arrays for a weakly typed one. "
	  "condition: what the guard must return. narrow: 64-bit types stand for the program's 32-bit ones. in_place: arguments "
	  "that results update become them; such calls go to the fallback where those are no writable arrays of NumPy. Raises ValueError." },
	{ "forget", dispatch_forget, METH_NOARGS, "forget()\n--\n\nDrop all programs." },
	{ NULL }
};

static PyMemberDef dispatch_members[] = {
	{ "__dictoffset__", T_PYSSIZET, offsetof(struct dispatch, dict), READONLY, NULL },
	{ "fallback", T_OBJECT, offsetof(struct dispatch, fallback), READONLY, "called where no program fits" },
	{ "flatten", T_OBJECT, offsetof(struct dispatch, flatten), 0,
	  "flatten((arguments, keywords)) -> (leaves, treedef), for programs added with PyTreeDefs; or None" },
	{ NULL }
};

static PyGetSetDef dispatch_getset[] = {
	{ "__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL },
	{ "known", dispatch_known, NULL, "number of programs that calls may go to", NULL },
	{ "array", dispatch_array, dispatch_set_array, "type of JAX's arrays, which are leaves where they are not weakly typed; or None", NULL },
	{ "guard", dispatch_guard, dispatch_set_guard, "what a call asks first: programs are tried whose condition equals its answer", NULL },
	{ NULL }
};

PyTypeObject kjx_dispatch_type = {
	PyVarObject_HEAD_INIT(NULL, 0)
	.tp_name = "kjax._engine.Dispatch",
	.tp_basicsize = sizeof(struct dispatch),
	.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
	.tp_doc = "Dispatch(fallback, guard=None)\n--\n\n"
		  "A callable that takes pytrees of arrays to the program that was compiled for them, or to fallback(*args, **keywords).",
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
