/* SPDX-License-Identifier: MIT */
/*
 * Pytrees as calls meet them: taken apart into leaves, and made from leaves.
 *
 * A tree is either an array of nodes in preorder, made from the JSON-able structure of kjax.ir.trees ("*", None,
 * ["tuple", ...], ["list", ...], ["dict", {key: ...}]), or, where it has classes that only JAX's registry can take apart, JAX's
 * own description of it.
 */
#ifndef KJX_TREE_H
#define KJX_TREE_H

#include "extension.h"

enum kjx_tree_kind { KJX_TREE_LEAF, KJX_TREE_NONE, KJX_TREE_TUPLE, KJX_TREE_LIST, KJX_TREE_DICT };

/** struct kjx_tree_node - @keys: of a dict, a tuple of its interned keys in order */
struct kjx_tree_node {
	enum kjx_tree_kind kind;
	Py_ssize_t count;
	PyObject *keys;
};

/** struct kjx_tree - owns all that it points to; all zero: no tree
 * @foreign:	a jax.tree_util.PyTreeDef; there are no nodes then
 */
struct kjx_tree {
	struct kjx_tree_node *nodes;
	Py_ssize_t count, room, leaves;
	PyObject *foreign;
};

/** kjx_tree_read - fill an empty tree from @spec, a structure or a PyTreeDef
 * Return: 0, or -1 with ValueError or MemoryError set; kjx_tree_free() in either case
 */
int kjx_tree_read(struct kjx_tree *tree, PyObject *spec);
void kjx_tree_free(struct kjx_tree *tree);

/** struct kjx_walk - where a walk through nodes is */
struct kjx_walk {
	const struct kjx_tree_node *node;
	PyObject **leaf;
};

/** kjx_tree_flatten - collect the leaves of @object
 * @walk:	at the node that @object is to be; afterwards behind it
 * Return: false when it is not that tree; no exception is set. References are borrowed from @object.
 */
bool kjx_tree_flatten(struct kjx_walk *walk, PyObject *object);

/** kjx_tree_flatten_keywords - the same for the keyword arguments of a call, which are to be the dict @walk is at
 * @names:	tuple of their names, or NULL
 * @values:	in the order of @names
 */
bool kjx_tree_flatten_keywords(struct kjx_walk *walk, PyObject *names, PyObject *const *values);

/** kjx_tree_unflatten - an object of this tree
 * @leaves:	tree->leaves references, which are taken, also on failure
 * Return: a new reference, or NULL with an exception set
 */
PyObject *kjx_tree_unflatten(const struct kjx_tree *tree, PyObject **leaves);

#endif
