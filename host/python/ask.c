// SPDX-License-Identifier: MIT
/*
 * Traces: host(site, lane, arrays) for each, on whichever thread runs the lane.
 *
 * The arrays are copies, so that the host may keep them; the results of a call are copied where the program wants them.
 * Results of another number, type or shape are a TypeError. The first exception of a run is kept and raised when
 * the run has ended.
 */
#include <string.h>

#include "extension.h"

static PyArray_Descr *type_of(const struct kjx_value *v)
{
	PyArray_Descr *type = kjx_types[v->dtype % KJX_DTYPE_COUNT];

	Py_INCREF(type);
	return type;
}

static void set_dims(npy_intp *dims, const struct kjx_value *v)
{
	u32 d;

	for (d = 0; d < v->rank; d++)
		dims[d] = (npy_intp)kjx_value_dims(v)[d];
}

static PyObject *copy_of(const struct kjx_value *v, const u8 *at)
{
	npy_intp dims[KJX_MAX_RANK];
	PyObject *array;

	set_dims(dims, v);
	array = PyArray_NewFromDescr(&PyArray_Type, type_of(v), v->rank, dims, NULL, NULL, 0, NULL);
	if (array && at)
		memcpy(PyArray_DATA((PyArrayObject *)array), at, (size_t)PyArray_NBYTES((PyArrayObject *)array));
	return array;
}

static int take_result(const struct kjx_value *v, u8 *at, PyObject *result, u32 number)
{
	npy_intp dims[KJX_MAX_RANK];
	PyArrayObject *array;
	PyArray_Descr *want;

	set_dims(dims, v);
	if (!PyArray_Check(result)) {
		PyErr_Format(PyExc_TypeError, "result %u of a callback is a %s, not an array", number,
			     Py_TYPE(result)->tp_name);
		return -1;
	}
	want = kjx_types[v->dtype % KJX_DTYPE_COUNT];
	array = (PyArrayObject *)result;
	if (!PyArray_EquivTypes(PyArray_DESCR(array), want) || !kjx_dims_match(array, dims, v->rank)) {
		PyErr_Format(PyExc_TypeError, "result %u of a callback has another type or shape than was declared", number);
		return -1;
	}
	array = (PyArrayObject *)PyArray_FROM_OF(result, NPY_ARRAY_C_CONTIGUOUS);
	if (!array)
		return -1;
	if (at)
		memcpy(at, PyArray_DATA(array), (size_t)PyArray_NBYTES(array));
	Py_DECREF(array);
	return 0;
}

static int take_results(const struct kjx_vm *vm, const struct kjx_trace *t, const struct kjx_value *v, PyObject *results)
{
	PyObject *list;
	int failed = 0;
	u32 i;

	if (!t->n_outputs)
		return 0;
	list = PySequence_Fast(results, "a callback with results returns a sequence of arrays");
	if (!list)
		return -1;
	if (PySequence_Fast_GET_SIZE(list) != t->n_outputs) {
		PyErr_Format(PyExc_TypeError, "a callback returned %zd arrays, %u were declared",
			     PySequence_Fast_GET_SIZE(list), t->n_outputs);
		failed = -1;
	}
	for (i = 0; !failed && i < t->n_outputs; i++, v = kjx_value_next(v))
		failed = take_result(v, kjx_asked_at(vm, t->n_inputs + i), PySequence_Fast_GET_ITEM(list, i), i);
	Py_DECREF(list);
	return failed;
}

static int ask(const struct program *program, const struct kjx_vm *vm)
{
	const struct kjx_trace *t = kjx_asked(vm);
	const struct kjx_value *v = kjx_value_first(t);
	PyObject *arrays = PyTuple_New(t->n_inputs), *array, *results;
	int failed = -1;
	u32 i;

	for (i = 0; arrays && i < t->n_inputs; i++, v = kjx_value_next(v)) {
		array = copy_of(v, kjx_asked_at(vm, i));
		if (array)
			PyTuple_SET_ITEM(arrays, i, array);
		else
			Py_CLEAR(arrays);
	}
	if (!arrays)
		return -1;
	results = PyObject_CallFunction(program->host, "IIO", t->site, vm->lane, arrays);
	if (results)
		failed = take_results(vm, t, v, results);
	Py_XDECREF(results);
	Py_DECREF(arrays);
	return failed;
}

enum kjx_status kjx_ask(void *data, const struct kjx_vm *vm)
{
	struct asking *asking = data;
	PyGILState_STATE gil = PyGILState_Ensure();
	enum kjx_status status = KJX_OK;

	if (ask(asking->program, vm)) {
		PyObject *type, *error, *traceback;

		PyErr_Fetch(&type, &error, &traceback);
		PyErr_NormalizeException(&type, &error, &traceback);
		if (traceback)
			PyException_SetTraceback(error, traceback);
		Py_XDECREF(type);
		Py_XDECREF(traceback);
		if (asking->error)
			Py_XDECREF(error);
		else
			asking->error = error;
		status = KJX_HOST_FAILED;
	}
	PyGILState_Release(gil);
	return status;
}
