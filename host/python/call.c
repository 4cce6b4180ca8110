// SPDX-License-Identifier: MIT
/*
 * One call of a program: take a frame, point it at the arguments and at new arrays, run, give the frame back.
 *
 * A short run keeps the GIL. A longer one lets go of it, and takes it back every POLL nanoseconds to look for
 * signals, so that Ctrl-C ends it. An output that updates an input gets a copy of that input first,
 * unless the caller asked for "in place".
 */
#include <math.h>
#include <string.h>

#include "extension.h"

#define POLL 50000000u

struct poll {
	PyThreadState *thread;
	u64 last;
};

static int look_for_signals(void *data)
{
	struct poll *poll = data;
	u64 now = kjx_now();
	int stop;

	if (now - poll->last < POLL)
		return 0;
	poll->last = now;
	PyEval_RestoreThread(poll->thread);
	stop = PyErr_CheckSignals();
	poll->thread = PyEval_SaveThread();
	return stop;
}

static int run_frame(struct program *program, struct kjx_frame *frame, struct kjx_run *run)
{
	struct asking asking = { .program = program };
	enum kjx_status status;
	struct poll poll;

	run->ask = program->host ? kjx_ask : NULL;
	run->ask_data = &asking;
	if (program->open->small) {
		status = kjx_execute(frame, run);
	} else {
		poll.last = kjx_now();
		poll.thread = PyEval_SaveThread();
		run->poll = look_for_signals;
		run->data = &poll;
		status = kjx_execute(frame, run);
		PyEval_RestoreThread(poll.thread);
	}
	if (status == KJX_OK)
		return 0;
	if (asking.error) {	/* several lanes may have failed: this is the first one's */
		PyErr_SetObject((PyObject *)Py_TYPE(asking.error), asking.error);
		Py_DECREF(asking.error);
		return -1;
	}
	kjx_raise_run(status);
	return -1;
}

/* the lanes whose arguments one call of bind_inputs() or make_outputs() sets */
struct span {
	u32 first, count;
};

static int bind_inputs(struct program *program, struct kjx_frame *frame, struct span lanes, PyObject *const *args,
		       PyObject **keep)
{
	u32 n = program->n_inputs, i, lane;
	u8 **at, *data;

	for (i = 0; i < n; i++) {
		if (!kjx_bind(program, i, args[i], lanes.count > 1, keep, &data))
			return -1;
		at = frame->inputs + (u64)lanes.first * n + i;
		*at = data;
		for (lane = 1; lane < lanes.count; lane++)
			at[(u64)lane * n] = data + lane * program->inputs[i].slot->bytes;
	}
	return 0;
}

/* the caller's array becomes the output; it must be one that a run can write to, and be used once */
static PyObject *output_in_place(struct program *program, struct kjx_frame *frame, u32 lane, u32 number,
				 PyObject *array)
{
	const struct kjx_slot *slot = program->outputs[number].slot;
	u64 mine = (u64)lane * program->n_inputs + slot->alias, i;
	u8 *at = frame->inputs[mine], *other;
	u64 bytes;

	if (!PyArray_Check(array) || PyArray_DATA((PyArrayObject *)array) != (void *)at ||
	    !PyArray_ISWRITEABLE((PyArrayObject *)array))
		return PyErr_Format(PyExc_TypeError, "args[%u] is updated in place: pass a writable, C-contiguous NumPy array "
				    "of the program's type", slot->alias);
	for (i = 0; i < (u64)program->lanes * program->n_inputs; i++) {
		other = frame->inputs[i];
		bytes = program->inputs[i % program->n_inputs].slot->bytes;
		if (i != mine && bytes && other < at + slot->bytes && at < other + bytes)
			return PyErr_Format(PyExc_ValueError, "attempt to donate the same buffer twice: args[%u] is updated "
					    "in place and shares memory with args[%u]", slot->alias,
					    (u32)(i % program->n_inputs));
	}
	return Py_NewRef(array);
}

static PyObject *new_output(const struct signature *want, bool stacked)
{
	return kjx_new_result(want->type, want->rank + stacked, want->stacked + !stacked);
}

/* point the lanes' output @number at @data; what it updates is copied there, unless it is there already */
static void set_output(struct program *program, struct kjx_frame *frame, struct span lanes, u32 number, u8 *data)
{
	const struct kjx_slot *slot = program->outputs[number].slot;
	u8 **input;
	u32 lane;

	for (lane = lanes.first; lane < lanes.first + lanes.count; lane++, data += slot->bytes) {
		frame->outputs[(u64)lane * program->n_outputs + number] = data;
		if (slot->alias == KJX_NO_ALIAS)
			continue;
		input = &frame->inputs[(u64)lane * program->n_inputs + slot->alias];
		if (*input != data)
			memcpy(data, *input, slot->bytes);
		*input = data;
	}
}

/* @args: the lane's arguments, where outputs are to be made in place; else NULL */
static int make_outputs(struct program *program, struct kjx_frame *frame, struct span lanes, PyObject *const *args,
			PyObject **outs)
{
	u32 i, alias;

	for (i = 0; i < program->n_outputs; i++) {
		alias = program->outputs[i].slot->alias;
		if (args && alias != KJX_NO_ALIAS)
			outs[i] = output_in_place(program, frame, lanes.first, i, args[alias]);
		else
			outs[i] = new_output(&program->outputs[i], lanes.count > 1);
		if (!outs[i])
			return -1;
		set_output(program, frame, lanes, i, PyArray_DATA((PyArrayObject *)outs[i]));
	}
	return 0;
}

static struct kjx_frame *enter(struct program *program)
{
	struct kjx_frame *frame;

	if (!kjx_program_enter(program))
		return NULL;
	frame = kjx_frame_take(program->open);
	if (!frame) {
		kjx_program_leave(program);
		kjx_raise(KJX_NO_MEMORY, "no memory for one more run of this program at the same time", ~0u);
	}
	return frame;
}

static void leave(struct program *program, struct kjx_frame *frame)
{
	kjx_frame_give(program->open, frame);
	kjx_program_leave(program);
}

int kjx_call_into(struct program *program, PyObject *const *args, PyObject **outs, bool in_place)
{
	struct kjx_run run = { .fuel = ~0ull };
	struct span lanes = { 0, program->lanes };
	struct kjx_frame *frame = enter(program);
	PyObject *keep = NULL;
	int result;
	u32 i;

	if (!frame)
		return -1;
	result = bind_inputs(program, frame, lanes, args, &keep);
	if (!result)
		result = make_outputs(program, frame, lanes, in_place ? args : NULL, outs);
	if (!result)
		result = run_frame(program, frame, &run);
	leave(program, frame);
	Py_XDECREF(keep);
	for (i = 0; result && i < program->n_outputs; i++)
		Py_CLEAR(outs[i]);
	return result;
}

PyObject *kjx_call(PyObject *self, PyObject *const *args, size_t n, PyObject *keywords)
{
	struct program *program = (struct program *)self;
	Py_ssize_t given = PyVectorcall_NARGS(n);
	PyObject *result;

	if (keywords && PyTuple_GET_SIZE(keywords))
		return PyErr_Format(PyExc_TypeError, "a program takes no keyword arguments; run() has options");
	if (given != program->n_inputs)
		return PyErr_Format(PyExc_TypeError, "this program takes %u arrays, and was called with %zd",
				    program->n_inputs, given);
	result = PyTuple_New(program->n_outputs);
	if (result && kjx_call_into(program, args, ((PyTupleObject *)result)->ob_item, false))
		Py_CLEAR(result);
	return result;
}

/* Program.run(): the arguments of each lane as a sequence, held in @lanes until the run has ended */
struct request {
	struct kjx_run run;
	bool in_place;
	PyObject *lanes, *keep;
};

/* a tuple of one tuple of arguments for each lane */
static PyObject *lanes_of(struct program *program, PyObject *inputs)
{
	PyObject *lanes, *one;
	u32 lane;

	if (program->lanes == 1) {
		one = PySequence_Tuple(inputs);
		lanes = one ? PyTuple_Pack(1, one) : NULL;
		Py_XDECREF(one);
	} else {
		lanes = PySequence_Tuple(inputs);
		if (lanes && PyTuple_GET_SIZE(lanes) != program->lanes) {
			PyErr_Format(PyExc_TypeError, "this program runs on %u lanes, and was called with arguments for %zd",
				     program->lanes, PyTuple_GET_SIZE(lanes));
			Py_CLEAR(lanes);
		}
		for (lane = 0; lanes && lane < program->lanes; lane++) {
			one = PySequence_Tuple(PyTuple_GET_ITEM(lanes, lane));
			if (!one)
				Py_CLEAR(lanes);
			else
				Py_SETREF(((PyTupleObject *)lanes)->ob_item[lane], one);
		}
	}
	for (lane = 0; lanes && lane < program->lanes; lane++) {
		one = PyTuple_GET_ITEM(lanes, lane);
		if (PyTuple_GET_SIZE(one) != program->n_inputs) {
			PyErr_Format(PyExc_TypeError, "this program takes %u arrays, and was called with %zd",
				     program->n_inputs, PyTuple_GET_SIZE(one));
			Py_CLEAR(lanes);
		}
	}
	return lanes;
}

static PyObject *run_lanes(struct program *program, struct kjx_frame *frame, struct request *request)
{
	PyObject *results = PyTuple_New(program->lanes), *outs;
	PyObject *const *args;
	u32 lane;

	for (lane = 0; results && lane < program->lanes; lane++) {
		args = ((PyTupleObject *)PyTuple_GET_ITEM(request->lanes, lane))->ob_item;
		if (bind_inputs(program, frame, (struct span){ lane, 1 }, args, &request->keep))
			Py_CLEAR(results);
	}
	for (lane = 0; results && lane < program->lanes; lane++) {
		args = ((PyTupleObject *)PyTuple_GET_ITEM(request->lanes, lane))->ob_item;
		outs = PyTuple_New(program->n_outputs);
		if (outs)
			PyTuple_SET_ITEM(results, lane, outs);
		if (!outs || make_outputs(program, frame, (struct span){ lane, 1 }, request->in_place ? args : NULL,
					  ((PyTupleObject *)outs)->ob_item))
			Py_CLEAR(results);
	}
	if (results && run_frame(program, frame, &request->run))
		Py_CLEAR(results);
	return results;
}

/* [[...], ...], or the only lane's list */
static PyObject *as_lists(struct program *program, PyObject *results)
{
	PyObject *lists, *one;
	u32 lane;

	if (program->lanes == 1)
		return PySequence_List(PyTuple_GET_ITEM(results, 0));
	lists = PyList_New(program->lanes);
	for (lane = 0; lists && lane < program->lanes; lane++) {
		one = PySequence_List(PyTuple_GET_ITEM(results, lane));
		if (one)
			PyList_SET_ITEM(lists, lane, one);
		else
			Py_CLEAR(lists);
	}
	return lists;
}

static bool read_options(PyObject *deadline, PyObject *fuel, struct kjx_run *run)
{
	double seconds;

	if (deadline != Py_None) {
		seconds = PyFloat_AsDouble(deadline);
		if (seconds == -1 && PyErr_Occurred())
			return false;
		if (isnan(seconds) || seconds < 0) {
			PyErr_SetString(PyExc_ValueError, "deadline must be seconds from now, not negative");
			return false;
		}
		if (seconds < 1e9)	/* 30 years are as good as none */
			run->deadline = kjx_now() + (u64)(seconds * 1e9);
	}
	if (fuel != Py_None) {
		run->fuel = PyLong_AsUnsignedLongLong(fuel);
		if (run->fuel == ~0ull && PyErr_Occurred())
			return false;
	}
	return true;
}

PyObject *kjx_program_run(PyObject *self, PyObject *args, PyObject *keywords)
{
	static char *names[] = { "inputs", "deadline", "fuel", "in_place", NULL };
	struct program *program = (struct program *)self;
	struct request request = { .run.fuel = ~0ull };
	PyObject *inputs, *deadline = Py_None, *fuel = Py_None, *results = NULL, *lists = NULL;
	struct kjx_frame *frame;
	int in_place = 0;

	if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|$OOp:run", names, &inputs, &deadline, &fuel, &in_place) ||
	    !read_options(deadline, fuel, &request.run))
		return NULL;
	request.in_place = in_place;
	request.lanes = lanes_of(program, inputs);
	if (!request.lanes)
		return NULL;
	frame = enter(program);
	if (frame) {
		results = run_lanes(program, frame, &request);
		leave(program, frame);
	}
	if (results)
		lists = as_lists(program, results);
	Py_XDECREF(results);
	Py_XDECREF(request.keep);
	Py_DECREF(request.lanes);
	return lists;
}
