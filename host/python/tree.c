// SPDX-License-Identifier: MIT
/* Pytrees without Python code on the way (tree.h). */
#include "tree.h"

void kjx_tree_free(struct kjx_tree *tree)
{
	Py_ssize_t i;

	for (i = 0; i < tree->count; i++)
		Py_XDECREF(tree->nodes[i].keys);
	PyMem_Free(tree->nodes);
	Py_XDECREF(tree->foreign);
	*tree = (struct kjx_tree){ 0 };
}

/* -- reading a structure ------------------------------------------------------------------------------------------ */

static struct kjx_tree_node *add_node(struct kjx_tree *tree, enum kjx_tree_kind kind)
{
	Py_ssize_t room = tree->room ? tree->room * 2 : 8;
	struct kjx_tree_node *nodes = tree->nodes;

	if (tree->count == tree->room) {
		nodes = PyMem_Realloc(nodes, (size_t)room * sizeof(*nodes));
		if (!nodes) {
			PyErr_NoMemory();
			return NULL;
		}
		tree->nodes = nodes;
		tree->room = room;
	}
	tree->nodes[tree->count] = (struct kjx_tree_node){ .kind = kind };
	return &tree->nodes[tree->count++];
}

/* names of keyword arguments are interned: equal ones are then mostly the same object */
static PyObject *interned_keys(PyObject *members)
{
	PyObject *keys = PySequence_Tuple(members);
	Py_ssize_t i;

	for (i = 0; keys && i < PyTuple_GET_SIZE(keys); i++)
		if (PyUnicode_CheckExact(PyTuple_GET_ITEM(keys, i)))
			PyUnicode_InternInPlace(&((PyTupleObject *)keys)->ob_item[i]);
	return keys;
}

static int read_any(struct kjx_tree *tree, PyObject *spec);

static int read_dict(struct kjx_tree *tree, PyObject *members)
{
	struct kjx_tree_node *node = PyDict_CheckExact(members) ? add_node(tree, KJX_TREE_DICT) : NULL;
	PyObject *key, *value;
	Py_ssize_t at = 0;

	if (!node)
		return PyErr_Occurred() ? -1 : (PyErr_SetString(PyExc_ValueError, "bad dict in a tree"), -1);
	node->count = PyDict_GET_SIZE(members);
	node->keys = interned_keys(members);
	if (!node->keys)
		return -1;
	while (PyDict_Next(members, &at, &key, &value))
		if (read_any(tree, value))
			return -1;
	return 0;
}

static int read_sequence(struct kjx_tree *tree, enum kjx_tree_kind kind, PyObject *spec)
{
	struct kjx_tree_node *node = add_node(tree, kind);
	Py_ssize_t i;

	if (!node)
		return -1;
	node->count = PyList_GET_SIZE(spec) - 1;
	for (i = 1; i < PyList_GET_SIZE(spec); i++)
		if (read_any(tree, PyList_GET_ITEM(spec, i)))
			return -1;
	return 0;
}

static int read_list(struct kjx_tree *tree, PyObject *spec)
{
	PyObject *name = PyList_CheckExact(spec) && PyList_GET_SIZE(spec) ? PyList_GET_ITEM(spec, 0) : NULL;

	if (name && PyUnicode_Check(name)) {
		if (PyUnicode_CompareWithASCIIString(name, "tuple") == 0)
			return read_sequence(tree, KJX_TREE_TUPLE, spec);
		if (PyUnicode_CompareWithASCIIString(name, "list") == 0)
			return read_sequence(tree, KJX_TREE_LIST, spec);
		if (PyUnicode_CompareWithASCIIString(name, "dict") == 0 && PyList_GET_SIZE(spec) == 2)
			return read_dict(tree, PyList_GET_ITEM(spec, 1));
	}
	PyErr_Format(PyExc_ValueError, "not a tree: %R", spec);
	return -1;
}

static int read_any(struct kjx_tree *tree, PyObject *spec)
{
	int result;

	if (spec == Py_None)
		return add_node(tree, KJX_TREE_NONE) ? 0 : -1;
	if (PyUnicode_Check(spec) && PyUnicode_CompareWithASCIIString(spec, "*") == 0) {
		tree->leaves++;
		return add_node(tree, KJX_TREE_LEAF) ? 0 : -1;
	}
	if (Py_EnterRecursiveCall(" in a tree"))
		return -1;
	result = read_list(tree, spec);
	Py_LeaveRecursiveCall();
	return result;
}

int kjx_tree_read(struct kjx_tree *tree, PyObject *spec)
{
	PyObject *leaves;

	if (!PyObject_HasAttrString(spec, "unflatten"))
		return read_any(tree, spec);
	leaves = PyObject_GetAttrString(spec, "num_leaves");
	tree->leaves = leaves ? PyLong_AsSsize_t(leaves) : -1;
	Py_XDECREF(leaves);
	tree->foreign = Py_NewRef(spec);
	return PyErr_Occurred() ? -1 : 0;
}

/* -- taking apart --------------------------------------------------------------------------------------------------- */

bool kjx_tree_flatten(struct kjx_walk *w, PyObject *object)
{
	const struct kjx_tree_node *node = w->node++;
	PyObject **items, *item;
	Py_ssize_t i;

	switch (node->kind) {
	case KJX_TREE_LEAF:
		*w->leaf++ = object;
		return true;
	case KJX_TREE_NONE:
		return object == Py_None;
	case KJX_TREE_TUPLE:
		if (!PyTuple_CheckExact(object) || PyTuple_GET_SIZE(object) != node->count)
			return false;
		items = ((PyTupleObject *)object)->ob_item;
		break;
	case KJX_TREE_LIST:
		if (!PyList_CheckExact(object) || PyList_GET_SIZE(object) != node->count)
			return false;
		items = ((PyListObject *)object)->ob_item;
		break;
	default:
		if (!PyDict_CheckExact(object) || PyDict_GET_SIZE(object) != node->count)
			return false;
		for (i = 0; i < node->count; i++) {
			item = PyDict_GetItemWithError(object, PyTuple_GET_ITEM(node->keys, i));
			if (!item || !kjx_tree_flatten(w, item)) {
				PyErr_Clear();
				return false;
			}
		}
		return true;
	}
	for (i = 0; i < node->count; i++)
		if (!kjx_tree_flatten(w, items[i]))
			return false;
	return true;
}

/* the place of @key in @names, or their number */
static Py_ssize_t find_name(PyObject *names, PyObject *key)
{
	Py_ssize_t n = PyTuple_GET_SIZE(names), i;

	for (i = 0; i < n; i++)
		if (PyTuple_GET_ITEM(names, i) == key)
			return i;
	for (i = 0; i < n; i++)
		if (PyUnicode_Check(key) && PyUnicode_Compare(PyTuple_GET_ITEM(names, i), key) == 0)
			return i;
	return n;
}

bool kjx_tree_flatten_keywords(struct kjx_walk *w, PyObject *names, PyObject *const *values)
{
	const struct kjx_tree_node *node = w->node++;
	Py_ssize_t n = names ? PyTuple_GET_SIZE(names) : 0, i, at;

	if (node->count != n)
		return false;
	for (i = 0; i < n; i++) {
		at = find_name(names, PyTuple_GET_ITEM(node->keys, i));
		if (at == n || !kjx_tree_flatten(w, values[at]))
			return false;
	}
	return true;
}

/* -- making ----------------------------------------------------------------------------------------------------------- */

/* takes the leaves' references, also on failure those that it has come to */
static PyObject *unflatten(struct kjx_walk *w)
{
	const struct kjx_tree_node *node = w->node++;
	PyObject *object, *item;
	Py_ssize_t i;
	int failed = 0;

	switch (node->kind) {
	case KJX_TREE_LEAF:
		return *w->leaf++;
	case KJX_TREE_NONE:
		return Py_NewRef(Py_None);
	case KJX_TREE_TUPLE:
		object = PyTuple_New(node->count);
		break;
	case KJX_TREE_LIST:
		object = PyList_New(node->count);
		break;
	default:
		object = PyDict_New();
	}
	for (i = 0; object && i < node->count; i++) {
		item = unflatten(w);
		if (!item) {
			Py_CLEAR(object);
		} else if (node->kind == KJX_TREE_TUPLE) {
			PyTuple_SET_ITEM(object, i, item);
		} else if (node->kind == KJX_TREE_LIST) {
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

static PyObject *unflatten_foreign(const struct kjx_tree *tree, PyObject **leaves)
{
	PyObject *list = PyList_New(tree->leaves), *result;
	Py_ssize_t i;

	for (i = 0; i < tree->leaves; i++) {
		if (list)
			PyList_SET_ITEM(list, i, leaves[i]);
		else
			Py_DECREF(leaves[i]);
	}
	result = list ? PyObject_CallMethod(tree->foreign, "unflatten", "O", list) : NULL;
	Py_XDECREF(list);
	return result;
}

PyObject *kjx_tree_unflatten(const struct kjx_tree *tree, PyObject **leaves)
{
	struct kjx_walk w = { tree->nodes, leaves };
	PyObject *result;

	if (tree->foreign)
		return unflatten_foreign(tree, leaves);
	result = unflatten(&w);
	while (!result && w.leaf < leaves + tree->leaves)
		Py_DECREF(*w.leaf++);
	return result;
}
