"""Nests against NumPy: random iteration spaces, views, strips, bodies; maps in place; reductions; slicing."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import run_nest
from programs import Builder, load, store, strides_of

from engine import ALL, Program
from kjax.bytecode import program as p

DTYPES = ("i32", "i64", "u8")
NUMPY = {"i32": np.int32, "i64": np.int64, "u8": np.uint8, "i1": np.bool_}
OPS = ("add", "sub", "mul", "max", "min", "xor", "and", "copy", "neg", "lt", "select", "to", "bitcast")


class Nesting:
    """A random nest, with the arrays that it works on. Everything follows from the seed, which a failure shows."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.builder = Builder()
        self.operands, self.dtypes = [], []
        self.arrays = []  # of inputs
        self.memory = {}  # tensor -> which array, as a number; outputs too
        self.pool = []

    def pick(self, *choices):
        return self.random.choice(choices)

    def integer(self, low, high):
        return self.random.randint(low, high)

    def dims(self):
        rank = self.integer(1, 4)
        dims = [self.pick(1, 2, 3, 4, 5, 7, 8, 16, 33) for _ in range(rank)]
        while np.prod(dims) > self.pick(6, 60, 6000, 6000):
            dims[dims.index(max(dims))] = self.pick(1, 2)
        return tuple(dims)

    def strides(self, dims, injective):
        """Strides and the elements below and above the first that they reach."""
        order = list(range(len(dims)))
        if self.pick(True, False):
            self.random.shuffle(order)
        strides, step = [0] * len(dims), self.pick(1, 1, 1, 2)
        for axis in reversed(order):
            kind = self.pick("plain", "plain", "plain", "negative", "zero", "gap")
            if kind == "zero" and (not injective or dims[axis] == 1):
                continue
            step += kind == "gap"
            strides[axis] = -step if kind == "negative" else step
            step *= dims[axis]
        reach = [(d - 1) * s for d, s in zip(dims, strides, strict=True)]
        return tuple(strides), -sum(x for x in reach if x < 0), sum(x for x in reach if x > 0)

    def input_view(self, dims, dtype, strides=None):
        strides, below, above = strides or self.strides(dims, False)
        n = below + above + 1 + self.integer(0, 2)
        array = np.random.default_rng(self.integer(0, 2**31)).integers(0, 200, n).astype(NUMPY[dtype])
        if self.pick(True, True, False):
            tensor = self.builder.input(dtype, (n,))
            self.arrays.append(array)
        else:
            tensor = self.builder.constant(array)
        self.memory[tensor] = array
        return self.add(p.Operand(tensor, below, strides), dtype)

    def output_view(self, dims, dtype, strides=None, aliased=False):
        strides, below, above = strides or self.strides(dims, True)
        n = below + above + 1
        if aliased:
            array = np.random.default_rng(self.integer(0, 99)).integers(0, 200, n).astype(NUMPY[dtype])
            tensor = self.builder.input(dtype, (n,))
            self.arrays.append(array)
            out = self.builder.output(dtype, (n,), alias=len(self.arrays) - 1)
            self.memory[tensor] = self.memory[out] = array.copy()
            return self.add(p.Operand(out, below, strides), dtype), self.add(p.Operand(tensor, below, strides), dtype)
        out = self.builder.output(dtype, (n,))
        self.memory[out] = np.full(n * NUMPY[dtype]().itemsize, 0x5A, np.uint8).view(NUMPY[dtype])
        return self.add(p.Operand(out, below, strides), dtype)

    def add(self, operand, dtype):
        self.operands.append(operand)
        self.dtypes.append(dtype)
        return len(self.operands) - 1

    def iota_view(self, dims):
        strides = tuple(self.integer(-3, 3) for _ in dims)
        return self.add(p.Operand(None, self.integer(-5, 5), strides), "iota")

    def ops(self, n, low, high, held):
        """``n`` random operations on registers [low, high); ``held``: register -> dtype, updated."""
        out = []
        while len(out) < n:
            op, dst = self.pick(*OPS), self.integer(low, high - 1)
            a = self.pick(*sorted(held))
            dtype = held[a]
            same = [r for r in held if held[r] == dtype]
            b = self.pick(*same)
            bools = [r for r in held if held[r] == "i1"]
            if op == "select" and bools:
                out.append(p.Uop("select", dtype, dst, self.pick(*bools), a, b))
            elif op == "to" and dtype != "i1":
                to = self.pick(*(t for t in DTYPES if t != dtype))
                out.append(p.Uop("to_" + to, dtype, dst, a))
                dtype = to
            elif op == "bitcast" and dtype in ("i32", "i64"):
                out.append(p.Uop("bitcast", dtype, dst, a, imm=dtype))
            elif op == "lt":
                out.append(p.Uop("lt", dtype, dst, a, b))
                dtype = "i1"
            elif op == "copy" or (op == "neg" and dtype in ("i32", "i64")):
                out.append(p.Uop(op, dtype, dst, a))
            elif dtype == "i1" and op not in ("xor", "and", "max", "min"):
                continue
            elif op in ("add", "sub", "mul", "max", "min", "xor", "and"):
                out.append(p.Uop(op, dtype, dst, a, b))
            else:
                continue
            held[dst] = dtype
        return out

    def check(self, nest):
        self.builder.emit(nest)
        program = Program(self.builder.image)
        memory = dict(self.memory)
        run_nest(nest, memory)
        lane = program.lane(self.arrays)
        lane.finish()
        whole = lane.outputs()
        expected = [memory[o.tensor] for o in self.builder.image.outputs]
        for got, want in zip(whole, expected, strict=True):
            np.testing.assert_array_equal(got, want)
        assert 0 < lane.vm.used <= program.facts.cost
        sliced = program.lane(self.arrays)
        sliced.finish(1)
        assert sliced.vm.used == lane.vm.used
        for got, want in zip(sliced.outputs(), expected, strict=True):
            np.testing.assert_array_equal(got, want)
        self.check_in_loop(nest, expected)

    def check_in_loop(self, nest, expected):
        """The same from threaded code: the body of a loop of one iteration."""
        b = self.builder
        more, true = b.arena("i1", 1), b.constant(np.bool_([True]))

        def flip(uops, *tensors):
            b.emit(p.Nest((1,), tuple(p.Operand(t, 0, (0,)) for t in tensors), tuple(uops), n_regs=1, strip=1))

        b.image.code.clear()
        flip([load(0, 0, "i1"), store(1, 0, "i1")], true, more)
        b.emit(p.While())
        b.emit(p.Do(more))
        b.emit(nest)
        flip([load(0, 0, "i1"), p.Uop("xor", "i1", 0, 0, 0), store(0, 0, "i1")], more)
        b.emit(p.End())
        for budget in (1, ALL):
            for got, want in zip(Program(b.image).run(*self.arrays, budget=budget), expected, strict=True):
                np.testing.assert_array_equal(got, want)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**62))
def test_maps(seed):
    n = Nesting(seed)
    dims = n.dims()
    held, body = {}, []
    for r in range(n.integer(1, 3)):
        if n.pick(True, True, True, False):
            dtype = n.pick(*DTYPES)
            body.append(load(r, n.input_view(dims, dtype), dtype))
        else:
            dtype = n.pick("i32", "i64")
            body.append(p.Uop("iota", dtype, r, imm=n.iota_view(dims)))
        held[r] = dtype
    for _ in range(n.integer(1, 3)):
        body += n.ops(n.integer(0, 5), 0, 5, held)
        r = n.pick(*held)
        body.append(store(n.output_view(dims, held[r]), r, held[r]))
    n.check(p.Nest(dims, tuple(n.operands), tuple(body), n_regs=5, strip=n.pick(1, 3, 16, 64, 256)))


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**62))
def test_in_place(seed):
    """One or two tensors are loaded and stored through the same view, in any order with other work."""
    n = Nesting(seed)
    dims = n.dims()
    views = []
    for _ in range(n.integer(1, 2)):
        dtype = n.pick(*DTYPES)
        dense = (strides_of(dims), 0, int(np.prod(dims)) - 1) if n.pick(True, True, False) else None
        out, again = n.output_view(dims, dtype, dense, aliased=True)
        views.append((n.pick(out, again), out, dtype))
    held, body = {}, []
    for k, (source, _, dtype) in enumerate(views):
        body.append(load(k, source, dtype))
        held[k] = dtype
    for _ in range(n.integer(1, 6)):
        source, out, dtype = n.pick(*views)
        what = n.pick("load", "store", "ops", "ops")
        if what == "load":
            r = n.integer(0, 4)
            body.append(load(r, n.pick(source, out), dtype))
            held[r] = dtype
        elif what == "store" and (same := [r for r in held if held[r] == dtype]):
            body.append(store(out, n.pick(*same), dtype))
        else:
            body += n.ops(n.integer(1, 3), 0, 5, held)
    if not any(u.op == "store" for u in body):
        same = [r for r in held if held[r] == views[0][2]]
        if not same:
            body.append(load(0, views[0][0], views[0][2]))
            held[0], same = views[0][2], [0]
        body.append(store(views[0][1], same[0], views[0][2]))
    for r in n.random.sample(sorted(held), n.integer(0, min(3, len(held)))):  # so that what was made in between is seen
        body.append(store(n.output_view(dims, held[r]), r, held[r]))
    n.check(p.Nest(dims, tuple(n.operands), tuple(body), n_regs=5, strip=n.pick(1, 3, 16, 256)))


COMBINES = {  # name -> number of accumulators, body on registers (i, n + i), scratch register 6
    "add": (1, lambda t: (p.Uop("add", t[0], 0, 0, 1),)),
    "max": (1, lambda t: (p.Uop("max", t[0], 0, 0, 1),)),
    "two": (2, lambda t: (p.Uop("add", t[0], 0, 0, 2), p.Uop("min", t[1], 1, 1, 3))),
    "argmax": (2, lambda t: (  # the larger value, of equal ones the smaller index
        p.Uop("gt", t[0], 6, 0, 2), p.Uop("eq", t[0], 7, 0, 2), p.Uop("lt", t[1], 8, 1, 3), p.Uop("and", "i1", 7, 7, 8),
        p.Uop("or", "i1", 6, 6, 7), p.Uop("select", t[0], 0, 6, 0, 2), p.Uop("select", t[1], 1, 6, 1, 3))),
    "max through a copy": (1, lambda t: (p.Uop("copy", t[0], 6, 0), p.Uop("copy", t[0], 0, 1),
                                         p.Uop("max", t[0], 0, 0, 6))),
    "sum and sum of products of pairs": (2, lambda t: (p.Uop("add", t[0], 6, 0, 2), p.Uop("mul", t[0], 7, 0, 2),
                                                       p.Uop("add", t[0], 1, 1, 3), p.Uop("add", t[0], 1, 1, 7),
                                                       p.Uop("copy", t[0], 0, 6))),
    "sums that lean on each other": (2, lambda t: (p.Uop("add", t[0], 6, 0, 2), p.Uop("add", t[1], 1, 1, 3),
                                                   p.Uop("copy", t[0], 0, 6))),
}


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**62))
def test_reductions(seed):
    n = Nesting(seed)
    dims = n.dims()
    first = n.integer(0, len(dims) - 1)
    count = n.integer(1, len(dims) - first)
    name = n.pick(*COMBINES)
    n_acc, combine = COMBINES[name]
    types = [n.pick("i32", "i64") for _ in range(n_acc)]
    if "products" in name:
        types[1] = types[0]
    held, body = {}, []
    for i in range(n_acc):
        r = n_acc + i
        if n.pick(True, True, False):
            body.append(load(r, n.input_view(dims, types[i]), types[i]))
        else:
            body.append(p.Uop("iota", types[i], r, imm=n.iota_view(dims)))
        held[r] = types[i]
    extra = n.ops(n.integer(0, 3), 2 * n_acc, 9, held)
    body += extra
    for i in range(n_acc):
        if same := [r for r in held if held[r] == types[i] and r >= 2 * n_acc]:
            body.append(p.Uop("add", types[i], n_acc + i, n_acc + i, n.pick(*same)))
    if n.pick(True, False, False):
        body.append(store(n.output_view(dims, types[0]), n_acc, types[0]))
    post, held = [], {i: types[i] for i in range(n_acc)}
    kept = tuple(1 if first <= k < first + count else d for k, d in enumerate(dims))

    def still(found):
        strides, below, above = found
        return tuple(0 if first <= k < first + count else s for k, s in enumerate(strides)), below, above

    if n.pick(True, False):
        dtype = n.pick("i32", "i64")
        post.append(load(8, n.input_view(kept, dtype, still(n.strides(kept, False))), dtype))
        held[8] = dtype
    post += n.ops(n.integer(0, 3), 0, 9, held)
    for r in n.random.sample(sorted(held), min(len(held), n.integer(1, 2))):
        post.append(store(n.output_view(kept, held[r], still(n.strides(kept, True))), r, held[r]))
    n.check(p.Nest(dims, tuple(n.operands), tuple(body), combine(types), tuple(post), n_acc, 9, first, count,
                   n.pick(1, 3, 16, 64, 256)))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**62))
def test_reductions_of_many_shapes(seed):
    """Long rows, many short rows, wide and narrow inner dims: each mode, several strips, odd halves."""
    n = Nesting(seed)
    dims = (n.pick(1, 3, 9, 40), n.pick(1, 2, 3, 15, 16, 17, 100), n.pick(1, 2, 5, 40, 300))
    x = n.input_view(dims, "i64", (strides_of(dims), 0, int(np.prod(dims)) - 1))
    strides = (dims[2], 0, 1)
    out = n.output_view((dims[0], 1, dims[2]), "i64", (strides, 0, dims[0] * dims[2] - 1))
    n.check(p.Nest(dims, tuple(n.operands), (load(1, x, "i64"),), (p.Uop("add", "i64", 0, 0, 1),),
                   (store(out, 0, "i64"),), 1, 2, 1, 1, n.pick(4, 32, 256)))


def test_an_accumulator_in_place():
    """out[k] = (out[k] + sum of x[k, j]): the post body loads and stores one view."""
    b = Builder()
    x, old = b.input("i32", (5, 70)), b.input("i32", (5,))
    out = b.output("i32", (5,), alias=1)
    b.emit(p.Nest((5, 70), (p.Operand(x, 0, (70, 1)), p.Operand(old, 0, (1, 0)), p.Operand(out, 0, (1, 0))),
                  (load(1, 0, "i32"),), (p.Uop("add", "i32", 0, 0, 1),),
                  (load(1, 1, "i32"), p.Uop("add", "i32", 0, 0, 1), store(2, 0, "i32")), 1, 2, 1, 1, 32))
    X, start = np.arange(350, dtype=np.int32).reshape(5, 70), np.arange(5, dtype=np.int32)
    for budget in (ALL, 1):
        np.testing.assert_array_equal(Program(b.image).run(X, start, budget=budget)[0], start + X.sum(1))


@pytest.mark.parametrize("rows, reduced", [(5, 1), (300, 1), (5, 3)])
def test_a_value_that_lies_where_the_post_body_stores(rows, reduced):
    b = Builder()
    old = b.input("i32", (rows,))
    out, after = b.output("i32", (rows,), alias=0), b.output("i32", (rows,))
    view = p.Operand(old, 0, (1, 0))
    b.emit(p.Nest((rows, reduced), (view, p.Operand(out, 0, (1, 0)), p.Operand(after, 0, (1, 0))), (load(1, 0, "i32"),),
                  (p.Uop("max", "i32", 0, 0, 1),),
                  (p.Uop("add", "i32", 1, 0, 0), store(1, 1, "i32"), p.Uop("sub", "i32", 0, 1, 0), store(2, 0, "i32")),
                  1, 2, 1, 1, 32))
    start = np.arange(rows, dtype=np.int32)
    got = Program(b.image).run(start)
    np.testing.assert_array_equal(got[0], 2 * start)
    np.testing.assert_array_equal(got[1], start)
