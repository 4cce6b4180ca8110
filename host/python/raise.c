// SPDX-License-Identifier: MIT
/* The engine's statuses as exceptions of kjax.errors, which is imported when the first one is needed. */
#include "extension.h"

PyObject *kjx_raise(enum kjx_status status, const char *sentence, u32 failed_at)
{
	PyObject *errors, *make, *args, *keywords = NULL, *error = NULL;

	errors = PyImport_ImportModule("kjax.errors");
	make = errors ? PyObject_GetAttrString(errors, "for_status") : NULL;
	args = Py_BuildValue("is", (int)status, sentence);
	if (args)
		keywords = failed_at == ~0u ? Py_BuildValue("{sO}", "instruction", Py_None) :
					      Py_BuildValue("{sI}", "instruction", failed_at);
	if (make && keywords)
		error = PyObject_Call(make, args, keywords);
	if (error)
		PyErr_SetObject((PyObject *)Py_TYPE(error), error);
	Py_XDECREF(error);
	Py_XDECREF(keywords);
	Py_XDECREF(args);
	Py_XDECREF(make);
	Py_XDECREF(errors);
	return NULL;
}

PyObject *kjx_raise_run(enum kjx_status status)
{
	if (PyErr_Occurred())	/* a signal handler's own exception: KeyboardInterrupt */
		return NULL;
	return kjx_raise(status, kjx_status_meaning(status), ~0u);
}
