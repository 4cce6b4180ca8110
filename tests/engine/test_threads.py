"""Threaded code: loops of random structure against Python, and what slicing and fuel may not change."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import Builder, load, store

from engine import ALL, Failed, Program
from kjax.bytecode import program as p
from kjax.isa import dtypes

VALUES = 4  # i32 variables of a random program
ALU = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "xor": np.bitwise_xor, "max": np.maximum, "min": np.minimum}
BUDGETS = (1, 37, 5000, ALL)


def scalar(build, uops, *tensors):
    build.emit(p.Nest((1,), tuple(p.Operand(t, 0, (0,)) for t in tensors), tuple(uops), n_regs=4, strip=1))


# a program: ("set", to, op, a, b), ("loop", times, program), ("case", variable, programs)
statement = st.tuples(st.just("set"), st.integers(0, VALUES - 1), st.sampled_from(sorted(ALU)), st.integers(0, VALUES - 1),
                      st.integers(0, VALUES - 1))
programs = st.recursive(
    st.lists(statement, max_size=4),
    lambda inner: st.lists(st.one_of(statement, st.tuples(st.just("loop"), st.integers(0, 3), inner),
                                     st.tuples(st.just("case"), st.integers(0, VALUES - 1), st.lists(inner, min_size=1, max_size=3))),
                           max_size=4),
    max_leaves=6)


def emit(build, program, variables, one):
    for kind, *rest in program:
        if kind == "set":
            to, op, a, b = rest
            scalar(build, [load(0, 0, "i32"), load(1, 1, "i32"), p.Uop(op, "i32", 0, 0, 1), store(2, 0, "i32")],
                   variables[a], variables[b], variables[to])
        elif kind == "loop":
            counter, limit, more = build.arena("i32", 1), build.constant(np.int32([rest[0]])), build.arena("i1", 1)
            scalar(build, [load(0, 0, "i32"), p.Uop("xor", "i32", 0, 0, 0), store(0, 0, "i32")], counter)
            build.emit(p.While(trips=rest[0]))
            scalar(build, [load(0, 0, "i32"), load(1, 1, "i32"), p.Uop("lt", "i32", 0, 0, 1), store(2, 0, "i1")],
                   counter, limit, more)
            build.emit(p.Do(more))
            emit(build, rest[1], variables, one)
            scalar(build, [load(0, 0, "i32"), load(1, 1, "i32"), p.Uop("add", "i32", 0, 0, 1), store(0, 0, "i32")],
                   counter, one)
            build.emit(p.End())
        else:
            variable, branches = rest
            build.emit(p.Case(variables[variable], len(branches)))
            for k, branch in enumerate(branches):
                if k:
                    build.emit(p.Branch())
                emit(build, branch, variables, one)
            build.emit(p.End())


def interpret(program, x):
    for kind, *rest in program:
        if kind == "set":
            to, op, a, b = rest
            x[to] = ALU[op](x[a:a + 1], x[b:b + 1])[0]
        elif kind == "loop":
            for _ in range(rest[0]):
                interpret(rest[1], x)
        else:
            variable, branches = rest
            interpret(branches[x[variable] if 0 <= x[variable] < len(branches) else -1], x)
    return x


@given(programs, st.lists(st.integers(-3, 5), min_size=VALUES, max_size=VALUES))
@settings(max_examples=120, deadline=None)
def test_random_programs(program, start):
    build = Builder()
    given, out = build.input("i32", (VALUES,)), build.output("i32", (VALUES,))
    variables, one = [build.arena("i32", 1) for _ in range(VALUES)], build.constant(np.int32([1]))
    for k, v in enumerate(variables):
        build.emit(p.Nest((1,), (p.Operand(given, k, (0,)), p.Operand(v, 0, (0,))), (load(0, 0, "i32"), store(1, 0, "i32")),
                          n_regs=1, strip=1))
    emit(build, [("loop", 2, program)], variables, one)
    for k, v in enumerate(variables):
        build.emit(p.Nest((1,), (p.Operand(v, 0, (0,)), p.Operand(out, k, (0,))), (load(0, 0, "i32"), store(1, 0, "i32")),
                          n_regs=1, strip=1))
    ready, start = Program(build.image), np.int32(start)
    with np.errstate(over="ignore"):
        want = interpret([("loop", 2, program)], start.copy())
    used = set()
    for budget in BUDGETS:
        lane = ready.lane([start])
        lane.finish(budget)
        np.testing.assert_array_equal(lane.outputs()[0], want)
        used.add(lane.vm.used)
    assert len(used) == 1 and max(used) <= ready.facts.cost


def mixed(cpu=None):
    """A loop with everything in it: vectors, a small product, a long one, a window, a reduction, a choice, an inner loop."""
    build = Builder()
    x, m, w = build.input("f32", (4,)), build.input("f32", (4, 4)), build.input("f32", (4, 300))
    rows, out, trace = build.input("f32", (20, 4)), build.output("f32", (4,)), build.output("f32", (20, 4))
    total = build.output("f32", (1,))
    i, j, three = build.arena("i32", 1), build.arena("i32", 1), build.constant(np.int32([3]))
    n, one, more = build.constant(np.int32([20])), build.constant(np.int32([1])), build.arena("i1", 1)
    state, next_, row, wide = (build.arena("f32", k) for k in (4, 4, 4, 300))

    def nest(dims, uops, *operands, **rest):
        build.emit(p.Nest(dims, tuple(operands), tuple(uops), n_regs=3, strip=512, **rest))

    def dense(t):
        return p.Operand(t, 0, (1,))

    def count(t):
        scalar(build, [load(0, 0, "i32"), load(1, 1, "i32"), p.Uop("add", "i32", 0, 0, 1), store(0, 0, "i32")], t, one)

    def loop(counter, limit):
        scalar(build, [load(0, 0, "i32"), p.Uop("xor", "i32", 0, 0, 0), store(0, 0, "i32")], counter)
        build.emit(p.While())
        scalar(build, [load(0, 0, "i32"), load(1, 1, "i32"), p.Uop("lt", "i32", 0, 0, 1), store(2, 0, "i1")],
               counter, limit, more)
        build.emit(p.Do(more))

    nest((4,), [load(0, 0, "f32"), store(1, 0, "f32")], dense(x), dense(state))
    loop(i, n)
    build.emit(p.Dot("f32", 0, 1, 0, 1, (4, 4), p.Operand(m, 0, (1, 4)), p.Operand(state, 0, (0, 1)), p.Operand(next_, 0, (1, 0))))
    build.emit(p.Gather((4,), 0, dense(rows), dense(row), (p.Index(i, 0, 19, 4, ()),)))
    nest((4,), [load(0, 0, "f32"), load(1, 1, "f32"), p.Uop("add", "f32", 0, 0, 1), p.Uop("tanh", "f32", 0, 0), store(2, 0, "f32")],
         dense(next_), dense(row), dense(state))
    build.emit(p.Dot("f32", 0, 0, 1, 1, (300, 4), p.Operand(state, 0, (0, 1)), p.Operand(w, 0, (1, 300)), p.Operand(wide, 0, (1, 0))))
    nest((300,), [load(1, 0, "f32")], dense(wide), p.Operand(total, 0, (0,)), n_acc=1, red_first=0, red_count=1,
         combine=(p.Uop("add", "f32", 0, 0, 1),), post=(store(1, 0, "f32"),))
    loop(j, three)
    nest((4,), [load(0, 0, "f32"), load(1, 1, "f32"), p.Uop("mul", "f32", 1, 1, 1), p.Uop("add", "f32", 0, 0, 1), store(0, 0, "f32")],
         dense(state), p.Operand(total, 0, (0,)))
    count(j)
    build.emit(p.End())
    build.emit(p.Case(j, 2))
    build.emit(p.Branch())
    nest((4,), [load(0, 0, "f32"), p.Uop("neg", "f32", 0, 0), store(0, 0, "f32")], dense(state))
    build.emit(p.End())
    build.emit(p.Gather((4,), 0, dense(trace), dense(state), (p.Index(i, 0, 19, 4, ()),), scatter=True))
    count(i)
    build.emit(p.End())
    nest((4,), [load(0, 0, "f32"), store(1, 0, "f32")], dense(state), dense(out))
    return Program(build.image, cpu)


def mixed_inputs():
    rng = np.random.default_rng(3)
    return [(rng.standard_normal(shape) * 0.1).astype(np.float32) for shape in ((4,), (4, 4), (4, 300), (20, 4))]


def test_a_loop_of_everything():
    x, m, w, rows = inputs = mixed_inputs()
    want, trace = x.astype(float), []
    for row in rows:
        want = np.tanh(m.T.astype(float) @ want + row)
        total = (want @ w).sum()
        want = -(want + 3 * total**2)
        trace.append(want)
    out, history, last = mixed().run(*inputs)
    np.testing.assert_allclose(out, want, rtol=2e-4, atol=2e-5)
    np.testing.assert_allclose(history, trace, rtol=2e-4, atol=2e-5)
    np.testing.assert_allclose(last[0], total, rtol=1e-3, atol=2e-5)


@pytest.mark.parametrize("cpu", ["scalar", "avx2", "avx512"])
def test_slices_change_nothing(cpu):
    flags = set(open("/proc/cpuinfo").read().split())
    if cpu != "scalar" and {"avx2": "avx2", "avx512": "avx512f"}[cpu] not in flags:
        pytest.skip(f"this processor lacks {cpu}")
    program, inputs, seen, used = mixed(cpu), mixed_inputs(), set(), set()
    for budget in BUDGETS:
        lane = program.lane(inputs)
        lane.finish(budget)
        seen.add(tuple(a.tobytes() for a in lane.outputs()))
        used.add(lane.vm.used)
    assert len(seen) == len(used) == 1


def test_fuel_runs_out_at_one_point_however_the_run_is_sliced():
    program, inputs = mixed(), mixed_inputs()
    lane = program.lane(inputs)
    lane.finish()
    for fuel in (0, 1, 500, lane.vm.used // 3, lane.vm.used // 2 + 11):
        used = set()
        for budget in BUDGETS:
            lane = program.lane(inputs, fuel=fuel)
            with pytest.raises(Failed, match="out_of_fuel"):
                lane.finish(budget)
            used.add(lane.vm.used)
        assert len(used) == 1 and fuel <= used.pop() < fuel + 65536


def test_a_long_straight_body_looks_at_the_budget():
    """Hundreds of nests between two back edges: a slice still ends within bounded work."""
    build = Builder()
    n, x = build.input("i32", ()), build.output("f32", (200,))
    i, more, one = build.arena("i32", 1), build.arena("i1", 1), build.constant(np.int32([1]))
    scalar(build, [load(0, 0, "i32"), p.Uop("xor", "i32", 0, 0, 0), store(0, 0, "i32")], i)
    build.emit(p.Nest((200,), (p.Operand(i, 0, (0,)), p.Operand(x, 0, (1,))),
                      (load(0, 0, "i32"), p.Uop("to_f32", "i32", 0, 0), store(1, 0, "f32")), n_regs=1, strip=256))
    build.emit(p.While())
    scalar(build, [load(0, 0, "i32"), load(1, 1, "i32"), p.Uop("lt", "i32", 0, 0, 1), store(2, 0, "i1")], i, n, more)
    build.emit(p.Do(more))
    for _ in range(400):
        build.emit(p.Nest((200,), (p.Operand(x, 0, (1,)),), (load(0, 0, "f32"), p.Uop("add", "f32", 1, 0, 0),
                   p.Uop("sub", "f32", 0, 1, 0), p.Uop("exp", "f32", 0, 0), p.Uop("log", "f32", 0, 0), store(0, 0, "f32")),
                   n_regs=2, strip=256))
    scalar(build, [load(0, 0, "i32"), load(1, 1, "i32"), p.Uop("add", "i32", 0, 0, 1), store(0, 0, "i32")], i, one)
    build.emit(p.End())
    lane = Program(build.image).lane([np.int32(3)])
    before, slices = 0, 0
    while lane.step(1) == "again":
        assert lane.vm.used - before < 65536
        before, slices = lane.vm.used, slices + 1
    assert slices > 3 * 400 * 200 * 20 / 65536
    np.testing.assert_allclose(lane.outputs()[0], 0, atol=1e-5)


FLOATS = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "max": np.maximum, "min": np.minimum,
          "neg": np.negative, "abs": np.abs, "sqrt": np.sqrt}
uops = st.lists(st.tuples(st.sampled_from(sorted(FLOATS)), st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), min_size=1,
                max_size=9)


@given(uops, st.sampled_from(["f32", "f64"]), st.integers(1, 4), st.sampled_from(["scalar", "avx2"]))
@settings(max_examples=120, deadline=None)
def test_scalar_floats_in_a_loop(body, dtype, lanes, cpu):
    """Results that the next operation takes from a register are those that it would load: bit for bit NumPy's."""
    start = np.array([1.5, -0.25, 3.0, 0.75], dtypes.BY_NAME[dtype].numpy)
    trips = 3
    b = Builder()
    for _ in range(4):
        b.input(dtype, (lanes,))
    results = [b.output(dtype, (lanes,), alias=k) for k in range(4)]
    counter, limit, one, more = b.arena("i32", 1), b.constant(np.int32([trips])), b.constant(np.int32([1])), b.arena("i1", 1)
    scalar(b, [load(0, 0, "i32"), p.Uop("xor", "i32", 0, 0, 0), store(0, 0, "i32")], counter)
    b.emit(p.While(trips=trips))
    scalar(b, [load(0, 0, "i32"), load(1, 1, "i32"), p.Uop("lt", "i32", 0, 0, 1), store(2, 0, "i1")], counter, limit, more)
    b.emit(p.Do(more))
    b.emit(p.Nest((lanes,), tuple(p.Operand(t, 0, (1,)) for t in results),
                  (*(load(k, k, dtype) for k in range(4)),
                   *(p.Uop(op, dtype, dst, x, y if FLOATS[op].nin == 2 else 0) for op, dst, x, y in body),
                   *(store(k, k, dtype) for k in range(4))), n_regs=4, strip=lanes))
    scalar(b, [load(0, 0, "i32"), load(1, 1, "i32"), p.Uop("add", "i32", 0, 0, 1), store(0, 0, "i32")], counter, one)
    b.emit(p.End())
    wanted = [np.full(lanes, x) * (1 + np.arange(lanes)).astype(x.dtype) for x in start]
    given_arrays = [w.copy() for w in wanted]
    with np.errstate(all="ignore"):
        for _ in range(trips):
            for op, dst, x, y in body:
                wanted[dst] = FLOATS[op](wanted[x]) if FLOATS[op].nin == 1 else FLOATS[op](wanted[x], wanted[y])
    for got, want in zip(Program(b.image, cpu).run(*given_arrays), wanted, strict=True):
        np.testing.assert_array_equal(got, want)


COMPARE = {"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal}


@pytest.mark.parametrize("dtype", ["i32", "i64", "u32", "i16"])
@pytest.mark.parametrize("name", sorted(COMPARE))
def test_a_loop_as_long_as_a_comparison_holds(name, dtype):
    """Its end compares by itself; the bound of the do, fuel and slices are as for any other condition."""
    numpy = dtypes.BY_NAME[dtype].numpy.type
    start, step, end = {"eq": (5, 1, 5), "ne": (0, 1, 7), "lt": (0, 2, 9), "le": (0, 3, 9), "gt": (9, -2, 1), "ge": (9, -3, 0)}[name]
    if dtype == "u32" and name == "ge":
        end = 3
    for trips in (0, 2, 100):
        b = Builder()
        b.input(dtype, (1,))
        limit = b.input(dtype, (1,))
        by, more = b.constant(np.array([step]).astype(numpy)), b.arena("i1", 1)
        x = b.output(dtype, (1,), alias=0)
        b.emit(p.While(trips=trips))
        scalar(b, [load(0, 0, dtype), load(1, 1, dtype), p.Uop(name, dtype, 0, 0, 1), store(2, 0, "i1")], x, limit, more)
        b.emit(p.Do(more))
        scalar(b, [load(0, 0, dtype), load(1, 1, dtype), p.Uop("add", dtype, 0, 0, 1), store(0, 0, dtype)], x, by)
        b.emit(p.End())
        want, n = np.array([start], numpy), 0
        while COMPARE[name](want, numpy(end))[0]:
            want = want + np.array([step]).astype(numpy)
            n += 1
        program, used = Program(b.image), set()
        for budget in BUDGETS:
            lane = program.lane([np.array([start], numpy), np.array([end], numpy)])
            if trips and n > trips:
                with pytest.raises(Failed, match="too_many_trips"):
                    lane.finish(budget)
            else:
                lane.finish(budget)
                assert lane.outputs()[0][0] == want[0]
            used.add(lane.vm.used)
        assert len(used) == 1
