// SPDX-License-Identifier: MIT
/* The module kjax._engine: verify(), cpus(), Program, Account, Dispatch. */
#define KJX_NUMPY_HERE
#include "extension.h"

PyArray_Descr *kjx_types[KJX_DTYPE_COUNT];

PyObject *kjx_facts_dict(const struct kjx_facts *f)
{
	return Py_BuildValue("{sK sK sK sK sK sK sK sK sN sI sI sI sI sI sI}",
			     "plan_bytes", f->plan_bytes, "arena_bytes", f->arena_bytes,
			     "constant_bytes", f->constant_bytes, "input_bytes", f->input_bytes,
			     "output_bytes", f->output_bytes, "cost", f->cost, "flops", f->flops,
			     "part_bytes", f->part_bytes,
			     "cost_is_open", PyBool_FromLong(f->cost_is_open), "n_inputs", f->n_inputs,
			     "n_outputs", f->n_outputs, "n_instructions", f->n_instructions, "lanes", f->lanes,
			     "n_traces", f->n_traces, "n_calls", f->n_calls);
}

static PyObject *verify(PyObject *module, PyObject *args, PyObject *keywords)
{
	static char *words[] = { "image", "memory_limit", "cost_limit", "no_calls", NULL };
	PyObject *object, *memory_limit = Py_None, *cost_limit = Py_None;
	struct kjx_limits limits = { 0 };
	int no_calls = 0;
	struct kjx_facts facts = { .failed_at = ~0u };
	char text[512] = "";
	struct kjx_log log = { .text = text, .capacity = sizeof(text) };
	enum kjx_status status = KJX_NO_MEMORY;
	Py_buffer image;
	void *copy;

	(void)module;
	if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|$OOp:verify", words, &object, &memory_limit, &cost_limit,
					 &no_calls) ||
	    !kjx_read_size(memory_limit, &limits.memory) || !kjx_read_size(cost_limit, &limits.cost) ||
	    PyObject_GetBuffer(object, &image, PyBUF_SIMPLE) < 0)
		return NULL;
	limits.no_calls = (u32)no_calls;
	/* the bytes may be anywhere and may be written to meanwhile */
	copy = PyMem_RawMalloc(image.len ? (size_t)image.len : 1);
	if (copy) {
		Py_BEGIN_ALLOW_THREADS
		memcpy(copy, image.buf, (size_t)image.len);
		status = kjx_verify(copy, (u64)image.len, &limits, &facts, &log);
		Py_END_ALLOW_THREADS
	}
	PyMem_RawFree(copy);
	PyBuffer_Release(&image);
	if (status != KJX_OK)
		return kjx_raise(status, *text ? text : kjx_status_meaning(status), facts.failed_at);
	return kjx_facts_dict(&facts);
}

static PyObject *cpus(PyObject *module, PyObject *unused)
{
	static const char *const names[] = { "scalar", "avx2", "avx512", "avx512vnni" };
	PyObject *list = PyList_New(0), *name, *tuple;
	size_t i;

	(void)module;
	(void)unused;
	for (i = 0; list && i < sizeof(names) / sizeof(*names); i++) {
		if (!kjx_cpu_select(kjx_host_features(), names[i]))
			continue;
		name = PyUnicode_FromString(names[i]);
		if (!name || PyList_Append(list, name) < 0)
			Py_CLEAR(list);
		Py_XDECREF(name);
	}
	tuple = list ? PyList_AsTuple(list) : NULL;
	Py_XDECREF(list);
	return tuple;
}

static PyMethodDef methods[] = {
	{ "verify", (PyCFunction)(void (*)(void))verify, METH_VARARGS | METH_KEYWORDS,
	  "verify(image, *, memory_limit=None, cost_limit=None, no_calls=False)\n--\n\nWhat the verifier proves about an image "
	  "(bytes), as a dict; raises VerifyError, or LimitError when it needs more bytes or work units than the limits. "
	  "no_calls: refuse programs that call their host." },
	{ "cpus", cpus, METH_NOARGS, "cpus()\n--\n\nNames of the cpu tables that this machine can run, best last." },
	{ NULL }
};

static struct PyModuleDef definition = {
	PyModuleDef_HEAD_INIT,
	.m_name = "kjax._engine",
	.m_doc = "The engine in this process.",
	.m_size = -1,
	.m_methods = methods,
};

/* NumPy's type objects by the engine's numbers, from the one table */
static int read_types(void)
{
	PyObject *dtypes = PyImport_ImportModule("kjax.isa.dtypes");
	PyObject *table = dtypes ? PyObject_GetAttrString(dtypes, "BY_NUMBER") : NULL, *number, *row, *type;
	Py_ssize_t at = 0;
	long index;

	while (table && PyDict_Next(table, &at, &number, &row)) {
		index = PyLong_AsLong(number);
		type = PyObject_GetAttrString(row, "numpy");
		if (!type || !PyArray_DescrCheck(type) || index <= 0 || index >= KJX_DTYPE_COUNT)
			break;
		kjx_types[index] = (PyArray_Descr *)type;
	}
	Py_XDECREF(table);
	Py_XDECREF(dtypes);
	if (!PyErr_Occurred() && kjx_types[KJX_DTYPE_F6E3M2FN])
		return 0;
	if (!PyErr_Occurred())
		PyErr_SetString(PyExc_ImportError, "kjax.isa.dtypes does not fit this build of the engine");
	return -1;
}

PyMODINIT_FUNC PyInit__engine(void)
{
	PyObject *module;

	import_array();
	if (PyType_Ready(&kjx_buffer_type) < 0 || read_types() < 0)
		return NULL;
	module = PyModule_Create(&definition);
	if (module && (PyModule_AddType(module, &kjx_program_type) < 0 ||
		       PyModule_AddType(module, &kjx_account_type) < 0 ||
		       PyModule_AddType(module, &kjx_dispatch_type) < 0))
		Py_CLEAR(module);
	return module;
}
