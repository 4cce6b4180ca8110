// SPDX-License-Identifier: MIT
/*
 * From a Python object to the bytes of an input.
 *
 * The fast path takes an array that is already what the program reads: exact type, shape, C order, alignment. All else goes
 * through conversions that JAX would do too: arrays of other libraries (buffer protocol, __array__), NumPy scalars,
 * Python numbers for rank 0 (weakly typed), 64-bit types where the program has the 32-bit one (JAX without x64), copies of
 * strided arrays. What JAX would compile another program for is a TypeError.
 */
#include <stddef.h>
#include <stdint.h>

#include "extension.h"

#include <numpy/arrayscalars.h>

static bool is_ready(PyArrayObject *array, const struct signature *want, const npy_intp *dims, int rank)
{
	const int flags = NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED;

	return PyArray_DESCR(array) == want->type && (PyArray_FLAGS(array) & flags) == flags &&
	       kjx_dims_match(array, dims, rank) && !((uintptr_t)PyArray_DATA(array) & (want->slot->size - 1u));
}

bool kjx_is_ready(const struct program *program, u32 number, PyObject *object)
{
	const struct signature *want = &program->inputs[number];
	bool stacked = program->lanes > 1;

	/* a NumPy scalar is as strongly typed as an array of rank 0 */
	if (!stacked && !want->rank && Py_TYPE(object) == want->type->typeobj)
		return true;
	return PyArray_CheckExact(object) &&
	       is_ready((PyArrayObject *)object, want, want->stacked + !stacked, want->rank + stacked);
}

/* "args[2]", or the name that the program's owner gave */
static PyObject *name_of(const struct program *program, u32 number)
{
	if (PyTuple_Check(program->names) && number < PyTuple_GET_SIZE(program->names))
		return Py_NewRef(PyTuple_GET_ITEM(program->names, number));
	return PyUnicode_FromFormat("args[%u]", number);
}

static PyObject *type_string(PyArray_Descr *type, const npy_intp *dims, int rank)
{
	PyObject *text, *more, *dtype = PyObject_GetAttrString((PyObject *)type, "name");
	int d;

	text = dtype ? PyUnicode_FromFormat("%U[", dtype) : NULL;
	Py_XDECREF(dtype);
	for (d = 0; text && d < rank; d++) {
		more = PyUnicode_FromFormat(d ? "%U,%zd" : "%U%zd", text, (Py_ssize_t)dims[d]);
		Py_SETREF(text, more);
	}
	if (text) {
		more = PyUnicode_FromFormat("%U]", text);
		Py_SETREF(text, more);
	}
	return text;
}

static PyArrayObject *mismatch(const struct program *program, u32 number, PyArrayObject *got, const npy_intp *dims,
			       int rank)
{
	PyObject *name = name_of(program, number);
	PyObject *want = type_string(program->inputs[number].type, dims, rank);
	PyObject *have = type_string(PyArray_DESCR(got), PyArray_DIMS(got), PyArray_NDIM(got));

	if (name && want && have)
		PyErr_Format(PyExc_TypeError,
			     "Argument types differ from the types for which this computation was compiled. The mismatches "
			     "are:\nArgument '%U' compiled with %U and called with %U", name, want, have);
	Py_XDECREF(name);
	Py_XDECREF(want);
	Py_XDECREF(have);
	Py_DECREF(got);
	return NULL;
}

static PyArrayObject *not_an_array(const struct program *program, u32 number, PyObject *object)
{
	PyObject *name = name_of(program, number);

	if (name)
		PyErr_Format(PyExc_TypeError,
			     "Argument '%U' of type %R is not a valid JAX type: pass an array, or a number where the program "
			     "takes a scalar", name, (PyObject *)Py_TYPE(object));
	Py_XDECREF(name);
	return NULL;
}

static char kind_of(const struct signature *want)
{
	static const char kinds[KJX_DTYPE_COUNT] = {
#define KJX_ROW(name, bytes, kind) [KJX_DTYPE_##name] = kind,
		KJX_DTYPES(KJX_ROW)
#undef KJX_ROW
	};

	return kinds[want->slot->dtype];
}

/* Python numbers are weakly typed: they take on the program's type where its kind can hold them */
static bool weakly_fits(PyObject *object, char kind)
{
	if (PyBool_Check(object))
		return kind == 'b';
	if (PyLong_CheckExact(object))
		return kind != 'b';
	if (PyFloat_CheckExact(object))
		return kind == 'f' || kind == 'c';
	return PyComplex_CheckExact(object) && kind == 'c';
}

static bool is_python_number(PyObject *object)
{
	return PyBool_Check(object) || PyLong_CheckExact(object) || PyFloat_CheckExact(object) ||
	       PyComplex_CheckExact(object);
}

/* JAX without x64 takes 64-bit arguments as their 32-bit type */
static bool canonicalises(PyArray_Descr *have, u8 dtype)
{
	switch (have->type_num) {
	case NPY_DOUBLE:	return dtype == KJX_DTYPE_F32;
	case NPY_CDOUBLE:	return dtype == KJX_DTYPE_C64;
	case NPY_LONG:
	case NPY_LONGLONG:	return dtype == KJX_DTYPE_I32;
	case NPY_ULONG:
	case NPY_ULONGLONG:	return dtype == KJX_DTYPE_U32;
	}
	return false;
}

bool kjx_can_convert(const struct program *program, u32 number, PyObject *object, bool narrow)
{
	const struct signature *want = &program->inputs[number];
	bool stacked = program->lanes > 1, right = false;
	PyArray_Descr *have;

	if (PyArray_CheckExact(object)) {
		have = PyArray_DESCR((PyArrayObject *)object);
		return PyArray_ISNBO(have->byteorder) &&
		       kjx_dims_match((PyArrayObject *)object, want->stacked + !stacked, want->rank + stacked) &&
		       (have == want->type || (narrow && canonicalises(have, want->slot->dtype)));
	}
	if (narrow && !stacked && !want->rank && PyArray_IsScalar(object, Generic)) {
		have = PyArray_DescrFromScalar(object);
		right = have && canonicalises(have, want->slot->dtype);
		Py_XDECREF(have);
		PyErr_Clear();
	}
	return right;
}

/* any array-like as an array of whatever type and shape it has; NULL without an exception: it is none */
static PyArrayObject *as_array(PyObject *object)
{
	PyObject *inner, *result;

	if (PyArray_Check(object))
		return (PyArrayObject *)Py_NewRef(object);
	if (PyArray_CheckScalar(object))
		return (PyArrayObject *)PyArray_FromScalar(object, NULL);
	if (PyObject_HasAttrString(object, "__jax_array__")) {
		inner = PyObject_CallMethod(object, "__jax_array__", NULL);
		if (!inner)
			return NULL;
		result = PyArray_FROM_O(inner);
		Py_DECREF(inner);
		return (PyArrayObject *)result;
	}
	if (PyObject_HasAttrString(object, "__array__") ||
	    (PyObject_CheckBuffer(object) && !PyBytes_Check(object) && !PyByteArray_Check(object)))
		return (PyArrayObject *)PyArray_FROM_O(object);
	return NULL;
}

/* may values of this type be taken for the program's? 1, 0, or -1 with an exception set */
static int type_fits(PyArray_Descr *have, const struct signature *want)
{
	PyArray_Descr *native;
	int fits;

	if (PyArray_EquivTypes(have, want->type) || canonicalises(have, want->slot->dtype))
		return 1;
	if (PyArray_ISNBO(have->byteorder))
		return 0;
	native = PyArray_DescrNewByteorder(have, NPY_NATIVE);
	if (!native)
		return -1;
	fits = PyArray_EquivTypes(native, want->type) || canonicalises(native, want->slot->dtype);
	Py_DECREF(native);
	return fits;
}

static PyArrayObject *convert(struct program *program, u32 number, PyObject *object, const npy_intp *dims, int rank)
{
	const struct signature *want = &program->inputs[number];
	const int flags = NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED;
	PyArrayObject *array, *copy;
	int fits;

	if (rank == 0 && is_python_number(object) && weakly_fits(object, kind_of(want))) {
		Py_INCREF(want->type);
		return (PyArrayObject *)PyArray_FromAny(object, want->type, 0, 0, flags | NPY_ARRAY_FORCECAST, NULL);
	}
	/* a number that does not fit is reported with the type that JAX would give it */
	array = is_python_number(object) ? (PyArrayObject *)PyArray_FROM_O(object) : as_array(object);
	if (!array)
		return PyErr_Occurred() ? NULL : not_an_array(program, number, object);
	fits = kjx_dims_match(array, dims, rank) ? type_fits(PyArray_DESCR(array), want) : 0;
	if (fits < 0) {
		Py_DECREF(array);
		return NULL;
	}
	if (!fits)
		return mismatch(program, number, array, dims, rank);
	Py_INCREF(want->type);
	copy = (PyArrayObject *)PyArray_FromArray(array, want->type, flags | NPY_ARRAY_FORCECAST);
	Py_DECREF(array);
	if (copy && ((uintptr_t)PyArray_DATA(copy) & (want->slot->size - 1u))) {
		/* NumPy's idea of alignment is the C compiler's: half of ours for complex numbers */
		array = copy;
		copy = (PyArrayObject *)PyArray_NewCopy(array, NPY_CORDER);
		Py_DECREF(array);
	}
	return copy;
}

/* where NumPy's own scalars keep their value; 0: another library's */
static size_t scalar_offset(int type_num)
{
	switch (type_num) {
#define ROW(number, type) case NPY_##number: return offsetof(Py##type##ScalarObject, obval);
	ROW(BOOL, Bool) ROW(BYTE, Byte) ROW(UBYTE, UByte) ROW(SHORT, Short) ROW(USHORT, UShort) ROW(INT, Int) ROW(UINT, UInt)
	ROW(LONG, Long) ROW(ULONG, ULong) ROW(LONGLONG, LongLong) ROW(ULONGLONG, ULongLong)
	ROW(HALF, Half) ROW(FLOAT, Float) ROW(DOUBLE, Double) ROW(CFLOAT, CFloat) ROW(CDOUBLE, CDouble)
#undef ROW
	}
	return 0;
}

/* a scalar of exactly the program's type is read where it lies; NULL: it is none, or lies askew */
static u8 *scalar_bytes(const struct signature *want, PyObject *object)
{
	size_t offset = Py_TYPE(object) == want->type->typeobj ? scalar_offset(want->type->type_num) : 0;
	u8 *at = (u8 *)object + offset;

	return offset && !((uintptr_t)at & (want->slot->size - 1u)) ? at : NULL;
}

bool kjx_bind(struct program *program, u32 number, PyObject *object, bool stacked, PyObject **keep, u8 **data)
{
	const struct signature *want = &program->inputs[number];
	const npy_intp *dims = want->stacked + !stacked;
	int rank = want->rank + stacked;
	PyArrayObject *array = (PyArrayObject *)object;
	u8 *scalar;

	if (PyArray_CheckExact(object) && is_ready(array, want, dims, rank)) {
		*data = PyArray_DATA(array);
		return true;
	}
	scalar = rank ? NULL : scalar_bytes(want, object);
	if (scalar) {
		*data = scalar;
		return true;
	}
	array = convert(program, number, object, dims, rank);
	if (!array)
		return false;
	if (!*keep)
		*keep = PyList_New(0);
	if (!*keep || PyList_Append(*keep, (PyObject *)array) < 0) {
		Py_DECREF(array);
		return false;
	}
	*data = PyArray_DATA(array);
	Py_DECREF(array);	/* the list holds it */
	return true;
}
