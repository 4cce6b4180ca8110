"""Loops, choices, fuel and trips; scalars, so that every instruction is a nest of one point."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import Builder, load, store

from engine import ALL, Failed, Program
from kjax.bytecode import program as p


def scalar_nest(builder, uops, tensors, regs=4):
    builder.emit(p.Nest((1,), tuple(p.Operand(t, o, (0,)) for t, o in tensors), tuple(uops), n_regs=regs, strip=1))


def copy(builder, to, source, dtype="i32"):
    scalar_nest(builder, [load(0, 0, dtype), store(1, 0, dtype)], [(source, 0), (to, 0)])


class Counter:
    """A tensor that counts from 0 and a loop ``while counter < limit``; the limit is a tensor."""

    def __init__(self, builder, limit, trips=0):
        self.b, self.limit, self.trips = builder, limit, trips
        self.tensor, self.predicate = builder.arena("i32", 1), builder.arena("i1", 1)
        self.zero, self.one = builder.constant(np.int32([0])), builder.constant(np.int32([1]))

    def __enter__(self):
        copy(self.b, self.tensor, self.zero)
        self.b.emit(p.While(trips=self.trips))
        scalar_nest(self.b, [load(0, 0, "i32"), load(1, 1, "i32"), p.Uop("lt", "i32", 0, 0, 1), store(2, 0, "i1")],
                    [(self.tensor, 0), (self.limit, 0), (self.predicate, 0)])
        self.b.emit(p.Do(self.predicate))
        return self.tensor

    def __exit__(self, *_):
        self.add(self.tensor, self.one)
        self.b.emit(p.End())

    def add(self, to, what):
        """to += what, in place."""
        scalar_nest(self.b, [load(0, 0, "i32"), load(1, 1, "i32"), p.Uop("add", "i32", 0, 0, 1), store(2, 0, "i32")],
                    [(to, 0), (what, 0), (to, 0)])


def nested(depth, trips=0):
    """out = the sum of all counters over all iterations of ``depth`` loops, each up to its input."""
    b = Builder()
    limits = [b.input("i32", ()) for _ in range(depth)]
    out = b.output("i32", ())
    total = b.arena("i32", 1)
    copy(b, total, b.constant(np.int32([0])))
    loops = [Counter(b, limit, trips) for limit in limits]
    counters = [loop.__enter__() for loop in loops]
    for counter in counters:
        loops[0].add(total, counter)
    for loop in reversed(loops):
        loop.__exit__()
    copy(b, out, total)
    return b.image


def expected(limits):
    if not all(limits):
        return 0
    grid = np.indices(limits)
    return int(grid.sum())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=4), st.lists(st.integers(1, 60), min_size=1, max_size=5))
def test_nested_loops(limits, budgets):
    program = Program(nested(len(limits)))
    lane = program.lane([np.int32(x) for x in limits])
    lane.finish()
    assert lane.outputs()[0] == expected(limits)
    sliced = program.lane([np.int32(x) for x in limits])

    def forever():
        while True:
            yield from budgets

    sliced.finish(forever())
    assert sliced.outputs()[0] == expected(limits)
    assert sliced.vm.used == lane.vm.used


def test_a_bound_on_trips_is_enforced():
    program = Program(nested(1, trips=5))
    assert not program.facts.cost_is_open
    lane = program.lane([np.int32(5)])
    lane.finish()
    assert lane.outputs()[0] == 10
    assert lane.vm.used <= program.facts.cost
    with pytest.raises(Failed, match="too_many_trips"):
        program.run(np.int32(6))
    lane = program.lane([np.int32(6)])
    assert lane.step(ALL) == "too_many_trips"
    assert lane.step(ALL) == "too_many_trips"


def test_the_bound_counts_each_entry_of_an_inner_loop_anew():
    program = Program(nested(2, trips=4))
    assert program.run(np.int32(4), np.int32(4))[0] == expected([4, 4])


@pytest.mark.parametrize("budget", [1, 7, 1000, ALL])
def test_fuel(budget):
    program = Program(nested(2))
    assert program.facts.cost_is_open
    inputs = [np.int32(30), np.int32(30)]
    lane = program.lane(inputs)
    lane.finish()
    used = lane.vm.used
    assert program.run(*inputs, fuel=used, budget=budget)[0] == expected([30, 30])
    for fuel in (0, 1, used // 2, used - 100):  # the last instruction, once begun, is finished
        lane = program.lane(inputs, fuel=fuel)
        with pytest.raises(Failed, match="out_of_fuel"):
            lane.finish(budget)
        assert lane.vm.used >= fuel
        assert lane.step(budget) == "out_of_fuel"


def test_an_endless_loop_is_stopped_by_fuel():
    b = Builder()
    out = b.output("i32", ())
    true = b.constant(np.bool_([1]))
    b.emit(p.While())
    b.emit(p.Do(true))
    b.emit(p.End())
    copy(b, out, b.constant(np.int32([0])))
    with pytest.raises(Failed, match="out_of_fuel"):
        Program(b.image).run(fuel=100_000)


@pytest.mark.parametrize("index, branch", [(0, 0), (1, 1), (2, 2), (3, 2), (-1, 2), (2**31 - 1, 2), (-2**31, 2)])
def test_case(index, branch):
    b = Builder()
    x = b.input("i32", (3,))
    out, after = b.output("i32", ()), b.output("i32", ())
    b.emit(p.Case(x, 3, offset=1))
    for k in range(3):
        if k:
            b.emit(p.Branch())
        copy(b, out, b.constant(np.int32([10 + k])))
    b.emit(p.End())
    copy(b, after, b.constant(np.int32([7])))
    for budget in (1, ALL):
        got = Program(b.image).run(np.int32([9, index, 9]), budget=budget)
        assert got == [10 + branch, 7]


def test_a_case_in_a_loop_in_a_case():
    """Collatz steps, in a branch."""
    b = Builder()
    x, out = b.input("i32", ()), b.output("i32", ())
    n, steps, predicate, odd = b.arena("i32", 1), b.arena("i32", 1), b.arena("i1", 1), b.arena("i32", 1)
    zero, one, three = (b.constant(np.int32([k])) for k in (0, 1, 3))
    copy(b, steps, zero)
    b.emit(p.Case(zero, 2))
    copy(b, n, x)
    b.emit(p.While())
    scalar_nest(b, [load(0, 0, "i32"), load(1, 1, "i32"), p.Uop("ne", "i32", 0, 0, 1), store(2, 0, "i1")],
                [(n, 0), (one, 0), (predicate, 0)])
    b.emit(p.Do(predicate))
    scalar_nest(b, [load(0, 0, "i32"), load(1, 1, "i32"), p.Uop("and", "i32", 0, 0, 1), store(2, 0, "i32")],
                [(n, 0), (one, 0), (odd, 0)])
    b.emit(p.Case(odd, 2))
    scalar_nest(b, [load(0, 0, "i32"), load(1, 1, "i32"), p.Uop("shr_arithmetic", "i32", 0, 0, 1), store(2, 0, "i32")],
                [(n, 0), (one, 0), (n, 0)])
    b.emit(p.Branch())
    scalar_nest(b, [load(0, 0, "i32"), load(1, 1, "i32"), load(2, 2, "i32"), p.Uop("mul", "i32", 0, 0, 1),
                    p.Uop("add", "i32", 0, 0, 2), store(3, 0, "i32")], [(n, 0), (three, 0), (one, 0), (n, 0)])
    b.emit(p.End())
    scalar_nest(b, [load(0, 0, "i32"), load(1, 1, "i32"), p.Uop("add", "i32", 0, 0, 1), store(2, 0, "i32")],
                [(steps, 0), (one, 0), (steps, 0)])
    b.emit(p.End())
    b.emit(p.Branch())
    b.emit(p.End())
    copy(b, out, steps)
    program = Program(b.image)
    for budget in (1, 13, ALL):
        assert program.run(np.int32(27), budget=budget)[0] == 111


def test_wide_nests_in_a_loop():
    """A vector state that is updated in place, with a splat that changes in every iteration."""
    b = Builder()
    b.input("f32", (300,))
    n, y = b.input("i32", ()), b.output("f32", (300,), alias=0)
    loop = Counter(b, n)
    with loop as i:
        b.emit(p.Nest((300,), (p.Operand(y, 0, (1,)), p.Operand(i, 0, (0,))),
                      (load(0, 0, "f32"), load(1, 1, "i32"), p.Uop("to_f32", "i32", 1, 1), p.Uop("add", "f32", 0, 0, 1),
                       store(0, 0, "f32")), n_regs=2, strip=128))
    X = np.arange(300, dtype=np.float32)
    for budget in (1, ALL):
        np.testing.assert_array_equal(Program(b.image).run(X, np.int32(10), budget=budget)[0], X + 45)


def test_the_work_between_looks_at_the_budget_is_bounded():
    """A body of thousands of operations runs on short strips."""
    b = Builder()
    x, y = b.input("f32", (100_000,)), b.output("f32", (100_000,))
    body = [load(0, 0, "f32"), *[p.Uop("add", "f32", 1, 0, 0), p.Uop("mul", "f32", 0, 1, 0)] * 900, store(1, 1, "f32")]
    b.emit(p.Nest((100_000,), (p.Operand(x, 0, (1,)), p.Operand(y, 0, (1,))), tuple(body), n_regs=2, strip=1024))
    lane = Program(b.image).lane([np.zeros(100_000, np.float32)])
    before = 0
    while lane.step(1) == "again":
        assert lane.vm.used - before < 65536
        before = lane.vm.used
