/* SPDX-License-Identifier: MIT */
/*
 * The arrays that calls return. The memory of large ones comes from a pool of what earlier results have left: fresh
 * pages are zeroed and mapped by the kernel one by one, which often takes longer than to compute what goes into them.
 *
 * The GIL guards the pool. A block belongs to one Buffer object, the base of its array, and comes back when that goes.
 */
#include <sys/mman.h>

#include "extension.h"

#define POOLED		(64u << 10)	/* bytes from which on a result is worth it: malloc recycles smaller ones */
#define POOL_BYTES	(64u << 20)	/* kept at most */
#define POOL_BLOCKS	32u
#define PAGE		4096u
#define HUGE_PAGE	(2u << 20)

struct block {
	void *memory;
	size_t bytes;
};

/* unused blocks, the latest last */
static struct {
	struct block block[POOL_BLOCKS];
	u32 n;
	size_t bytes;
} pool;

struct buffer {
	PyObject_HEAD
	struct block block;
};

static void drop(u32 at)
{
	struct block *b = &pool.block[at];

	pool.bytes -= b->bytes;
	pool.n--;
	memmove(b, b + 1, (pool.n - at) * sizeof(*b));
}

static void *take(size_t bytes)
{
	void *memory;
	u32 i;

	for (i = pool.n; i--;) {
		if (pool.block[i].bytes == bytes) {
			memory = pool.block[i].memory;
			drop(i);
			return memory;
		}
	}
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return NULL;
	if (bytes >= HUGE_PAGE)
		madvise(memory, bytes, MADV_HUGEPAGE);
	return memory;
}

static void give(struct block block)
{
	if (block.bytes > POOL_BYTES / 2) {
		munmap(block.memory, block.bytes);
		return;
	}
	while (pool.n == POOL_BLOCKS || pool.bytes + block.bytes > POOL_BYTES) {
		munmap(pool.block[0].memory, pool.block[0].bytes);
		drop(0);
	}
	pool.block[pool.n++] = block;
	pool.bytes += block.bytes;
}

static void buffer_free(PyObject *self)
{
	give(((struct buffer *)self)->block);
	Py_TYPE(self)->tp_free(self);
}

PyTypeObject kjx_buffer_type = {
	PyVarObject_HEAD_INIT(NULL, 0)
	.tp_name = "kjax._engine.Buffer",
	.tp_basicsize = sizeof(struct buffer),
	.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
	.tp_dealloc = buffer_free,
	.tp_doc = "The memory of a large result; its array's base.",
};

static PyObject *new_buffer(size_t bytes)
{
	struct buffer *buffer = PyObject_New(struct buffer, &kjx_buffer_type);

	if (!buffer)
		return NULL;
	buffer->block = (struct block) { take(bytes), bytes };
	if (!buffer->block.memory) {
		PyObject_Free(buffer);
		return PyErr_NoMemory();
	}
	return (PyObject *)buffer;
}

PyObject *kjx_new_result(PyArray_Descr *type, int rank, const npy_intp *dims)
{
	size_t bytes = (size_t)PyArray_MultiplyList(dims, rank) * (size_t)PyDataType_ELSIZE(type);
	PyObject *buffer, *array;

	Py_INCREF(type);
	if (bytes < POOLED)
		return PyArray_NewFromDescr(&PyArray_Type, type, rank, dims, NULL, NULL, 0, NULL);
	buffer = new_buffer((bytes + PAGE - 1) & ~(size_t)(PAGE - 1));
	if (!buffer) {
		Py_DECREF(type);
		return NULL;
	}
	array = PyArray_NewFromDescr(&PyArray_Type, type, rank, dims, NULL, ((struct buffer *)buffer)->block.memory,
				     NPY_ARRAY_CARRAY, NULL);
	if (!array || PyArray_SetBaseObject((PyArrayObject *)array, buffer) < 0) {
		if (!array)
			Py_DECREF(buffer);
		Py_CLEAR(array);
	}
	return array;
}
