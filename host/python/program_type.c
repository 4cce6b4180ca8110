// SPDX-License-Identifier: MIT
/*
 * Program: an open program as a Python object. Account: where the memory of programs is counted.
 *
 * close() may come from another thread while a run goes on without the GIL: the program is then closed for new
 * runs at once, and freed by the last run that leaves.
 */
#include <stddef.h>

#include "extension.h"

#include <structmember.h>

static void free_signature(struct signature *rows, u32 n)
{
	u32 i;

	for (i = 0; rows && i < n; i++)
		Py_XDECREF(rows[i].type);
	PyMem_Free(rows);
}

static void free_open(struct program *program)
{
	kjx_program_close(program->open);
	program->open = NULL;
}

bool kjx_program_enter(struct program *program)
{
	if (program->closed || !program->open) {
		PyErr_SetString(PyExc_ValueError, "this program is closed");
		return false;
	}
	program->running++;
	return true;
}

void kjx_program_leave(struct program *program)
{
	if (!--program->running && program->closed)
		free_open(program);
}

static struct signature *make_signature(const struct kjx_slot *slots, u32 n, u32 lanes, npy_intp **dims)
{
	struct signature *rows = PyMem_Calloc(n ? n : 1, sizeof(*rows));
	u32 i, d;

	for (i = 0; rows && i < n; i++) {
		rows[i].type = kjx_types[slots[i].dtype % KJX_DTYPE_COUNT];
		Py_INCREF(rows[i].type);
		rows[i].slot = &slots[i];
		rows[i].rank = slots[i].rank;
		rows[i].stacked = *dims;
		*(*dims)++ = lanes;
		for (d = 0; d < slots[i].rank; d++)
			*(*dims)++ = (npy_intp)slots[i].dims[d];
	}
	return rows;
}

static bool describe(struct program *program)
{
	const struct kjx_program *open = program->open;
	const struct kjx_facts *f = &open->facts;
	u64 room = (u64)f->n_inputs + f->n_outputs, i;
	npy_intp *dims;

	for (i = 0; i < f->n_inputs; i++)
		room += open->inputs[i].rank;
	for (i = 0; i < f->n_outputs; i++)
		room += open->outputs[i].rank;
	program->n_inputs = f->n_inputs;
	program->n_outputs = f->n_outputs;
	program->lanes = f->lanes;
	program->dims = dims = PyMem_Calloc(room ? room : 1, sizeof(*dims));
	if (!dims)
		return false;
	program->inputs = make_signature(open->inputs, f->n_inputs, f->lanes, &dims);
	program->outputs = make_signature(open->outputs, f->n_outputs, f->lanes, &dims);
	return program->inputs && program->outputs;
}

bool kjx_read_size(PyObject *object, u64 *value)
{
	if (object == Py_None)
		return true;
	*value = PyLong_AsUnsignedLongLong(object);
	return *value != ~0ull || !PyErr_Occurred();
}

static struct kjx_program *open_image(const Py_buffer *image, const char *cpu, const struct kjx_limits *limits,
				      struct account *account)
{
	struct kjx_facts facts;
	struct kjx_program *open;
	enum kjx_status status;
	char text[512] = "";
	struct kjx_log log = { .text = text, .capacity = sizeof(text) };

	Py_BEGIN_ALLOW_THREADS
	open = kjx_program_open(image->buf, (u64)image->len, cpu, limits, account ? &account->account : NULL, &facts, &log,
				&status);
	Py_END_ALLOW_THREADS
	if (open)
		return open;
	if (status == KJX_BAD_CALL) {
		PyErr_Format(PyExc_ValueError, "no cpu table %s on this machine: see kjax._engine.cpus()", cpu);
		return NULL;
	}
	kjx_raise(status, *text ? text : kjx_status_meaning(status), facts.failed_at);
	return NULL;
}

static PyObject *program_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
	static char *words[] = { "image", "cpu", "memory_limit", "account", "names", "host", "threads", NULL };
	PyObject *memory_limit = Py_None, *account = Py_None, *names = Py_None, *host = Py_None;
	struct kjx_limits limits = { 0 };
	unsigned int threads = 0;
	struct program *program;
	const char *cpu = NULL;
	Py_buffer image;

	if (!PyArg_ParseTupleAndKeywords(args, keywords, "y*|$zOOOOI:Program", words, &image, &cpu, &memory_limit, &account,
					 &names, &host, &threads))
		return NULL;
	limits.threads = threads;
	if (threads > KJX_MAX_THREADS) {
		PyErr_Format(PyExc_ValueError, "%u threads: there may be 1 to %u", threads, KJX_MAX_THREADS);
		goto fail;
	}
	if (!kjx_read_size(memory_limit, &limits.memory))
		goto fail;
	if (account != Py_None && !PyObject_TypeCheck(account, &kjx_account_type)) {
		PyErr_SetString(PyExc_TypeError, "account must be an Account");
		goto fail;
	}
	program = (struct program *)type->tp_alloc(type, 0);
	if (!program)
		goto fail;
	program->call = (vectorcallfunc)kjx_call;
	program->names = names == Py_None ? Py_NewRef(names) : PySequence_Tuple(names);
	program->account = Py_NewRef(account);
	program->host = host == Py_None ? NULL : Py_NewRef(host);
	if (program->names)
		program->open = open_image(&image, cpu, &limits, account == Py_None ? NULL : (struct account *)account);
	PyBuffer_Release(&image);
	if (program->open) {
		program->facts = kjx_facts_dict(&program->open->facts);
		if (!describe(program))
			PyErr_NoMemory();
	}
	if (PyErr_Occurred())
		Py_CLEAR(program);
	return (PyObject *)program;
fail:
	PyBuffer_Release(&image);
	return NULL;
}

static void program_dealloc(PyObject *self)
{
	struct program *program = (struct program *)self;

	free_open(program);
	free_signature(program->inputs, program->n_inputs);
	free_signature(program->outputs, program->n_outputs);
	PyMem_Free(program->dims);
	Py_XDECREF(program->facts);
	Py_XDECREF(program->names);
	Py_XDECREF(program->account);
	Py_XDECREF(program->host);
	Py_TYPE(self)->tp_free(self);
}

static PyObject *program_close(PyObject *self, PyObject *unused)
{
	struct program *program = (struct program *)self;

	(void)unused;
	program->closed = true;
	if (!program->running)
		free_open(program);
	Py_RETURN_NONE;
}

static PyObject *program_cpu(PyObject *self, void *unused)
{
	struct program *program = (struct program *)self;
	PyObject *name;

	(void)unused;
	if (!kjx_program_enter(program))
		return NULL;
	name = PyUnicode_FromString(kjx_cpu_name(program->open->cpu));
	kjx_program_leave(program);
	return name;
}

static PyObject *program_closed(PyObject *self, void *unused)
{
	(void)unused;
	return PyBool_FromLong(((struct program *)self)->closed);
}

/* ((dtype, shape, alias), ...) without the lanes */
static PyObject *rows_of(const struct program *program, const struct signature *rows, u32 n)
{
	PyObject *all = PyTuple_New(n), *shape, *row;
	u32 i;
	int d;

	for (i = 0; all && i < n; i++) {
		shape = PyTuple_New(rows[i].rank);
		for (d = 0; shape && d < rows[i].rank; d++)
			PyTuple_SET_ITEM(shape, d, PyLong_FromSsize_t(rows[i].stacked[d + 1]));
		row = NULL;
		if (shape && program->open && rows[i].slot->alias != KJX_NO_ALIAS)
			row = Py_BuildValue("ONI", (PyObject *)rows[i].type, shape, rows[i].slot->alias);
		else if (shape)
			row = Py_BuildValue("ONO", (PyObject *)rows[i].type, shape, Py_None);
		if (row)
			PyTuple_SET_ITEM(all, i, row);
		else
			Py_CLEAR(all);
	}
	return all;
}

static PyObject *program_inputs(PyObject *self, void *unused)
{
	struct program *program = (struct program *)self;

	(void)unused;
	return rows_of(program, program->inputs, program->n_inputs);
}

static PyObject *program_outputs(PyObject *self, void *unused)
{
	struct program *program = (struct program *)self;

	(void)unused;
	return rows_of(program, program->outputs, program->n_outputs);
}

static PyMethodDef program_methods[] = {
	{ "run", (PyCFunction)(void (*)(void))kjx_program_run, METH_VARARGS | METH_KEYWORDS,
	  "run(inputs, *, deadline=None, fuel=None, in_place=False)\n--\n\n"
	  "Run once; see kjax.runtime.base.Loaded.run. deadline in seconds from now, fuel in work units of a lane." },
	{ "close", program_close, METH_NOARGS, "close()\n--\n\nFree the program's memory; again is no error." },
	{ NULL }
};

static PyMemberDef program_members[] = {
	{ "facts", T_OBJECT, offsetof(struct program, facts), READONLY, "what the verifier proved, a dict" },
	{ "account", T_OBJECT, offsetof(struct program, account), READONLY, "the Account that is charged, or None" },
	{ "names", T_OBJECT, offsetof(struct program, names), READONLY, "names of the inputs for error messages, or None" },
	{ NULL }
};

static PyGetSetDef program_getset[] = {
	{ "cpu", program_cpu, NULL, "name of the cpu table that it runs on", NULL },
	{ "closed", program_closed, NULL, "True after close()", NULL },
	{ "inputs", program_inputs, NULL, "(dtype, shape, output that updates it or None) of each input", NULL },
	{ "outputs", program_outputs, NULL, "(dtype, shape, input that it updates or None) of each output", NULL },
	{ NULL }
};

PyTypeObject kjx_program_type = {
	PyVarObject_HEAD_INIT(NULL, 0)
	.tp_name = "kjax._engine.Program",
	.tp_basicsize = sizeof(struct program),
	.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
	.tp_doc = "Program(image, *, cpu=None, memory_limit=None, account=None, names=None, host=None, threads=0)\n--\n\n"
		  "Verify an image (bytes) and make it ready. program(*arrays) runs it and returns a tuple of new arrays; with "
		  "lanes > 1 each argument and result has the lanes as its first dim. host(site, lane, arrays) is called for each trace, "
		  "from any thread, and returns the results of a call. Raises VerifyError, LimitError.",
	.tp_new = program_new,
	.tp_dealloc = program_dealloc,
	.tp_vectorcall_offset = offsetof(struct program, call),
	.tp_call = PyVectorcall_Call,
	.tp_methods = program_methods,
	.tp_members = program_members,
	.tp_getset = program_getset,
};

static PyObject *account_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
	static char *words[] = { "limit", NULL };
	PyObject *limit = Py_None;
	struct account *account;
	u64 bytes = 0;

	if (!PyArg_ParseTupleAndKeywords(args, keywords, "|O:Account", words, &limit) || !kjx_read_size(limit, &bytes))
		return NULL;
	account = (struct account *)type->tp_alloc(type, 0);
	if (account)
		account->account.limit = bytes;
	return (PyObject *)account;
}

static PyObject *account_used(PyObject *self, void *unused)
{
	(void)unused;
	return PyLong_FromUnsignedLongLong(__atomic_load_n(&((struct account *)self)->account.used, __ATOMIC_RELAXED));
}

static PyObject *account_limit(PyObject *self, void *unused)
{
	u64 limit = ((struct account *)self)->account.limit;

	(void)unused;
	return limit ? PyLong_FromUnsignedLongLong(limit) : Py_NewRef(Py_None);
}

static PyGetSetDef account_getset[] = {
	{ "used", account_used, NULL, "bytes that programs have taken", NULL },
	{ "limit", account_limit, NULL, "bytes that they may take together, or None", NULL },
	{ NULL }
};

PyTypeObject kjx_account_type = {
	PyVarObject_HEAD_INIT(NULL, 0)
	.tp_name = "kjax._engine.Account",
	.tp_basicsize = sizeof(struct account),
	.tp_flags = Py_TPFLAGS_DEFAULT,
	.tp_doc = "Account(limit=None)\n--\n\nCounts the bytes that programs take, and refuses those over the limit.",
	.tp_new = account_new,
	.tp_getset = account_getset,
};
