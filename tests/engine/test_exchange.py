"""Exchanges: lanes run in any order and in any slices, alone on one thread or each on its own."""

import ctypes
import random
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs import Builder, load, store

from engine import ALL, Buffer, Program
from kjax.bytecode import program as p

BOARD_BYTES = 8 + 64 * 64


def rounds(lanes, n, kinds, groups):
    """Per round: out = exchange(x); x is then overwritten by it, so a buffer that is reused too early shows."""
    b = Builder(lanes)
    x = b.input("i32", (n,))
    outs = []
    state = b.arena("i32", n)
    copy = (load(0, 0, "i32"), store(1, 0, "i32"))
    b.emit(p.Nest((n,), (p.Operand(x, 0, (1,)), p.Operand(state, 0, (1,))), copy, n_regs=1))
    for kind, table in zip(kinds, groups, strict=True):
        size = max(place for _, place in table) + 1 if kind == "all_gather" else 1
        got = b.arena("i32", n * size)
        b.emit(p.Exchange(kind, got, table, state, size))
        out = b.output("i32", (size, n))
        outs.append(out)
        b.emit(p.Nest((size * n,), (p.Operand(got, 0, (1,)), p.Operand(out, 0, (1,))), copy, n_regs=1))
        # state = 3 * the last row + 1
        three, one = b.constant(np.int32([3])), b.constant(np.int32([1]))
        b.emit(p.Nest((n,), (p.Operand(got, (size - 1) * n, (1,)), p.Operand(three, 0, (0,)), p.Operand(one, 0, (0,)),
                             p.Operand(state, 0, (1,))),
                      (load(0, 0, "i32"), load(1, 1, "i32"), load(2, 2, "i32"), p.Uop("mul", "i32", 0, 0, 1),
                       p.Uop("add", "i32", 0, 0, 2), store(3, 0, "i32")), n_regs=3))
    lane = b.output("u32", ())
    b.emit(p.Exchange("lane_id", lane, (0,) * lanes))
    return b.image


def expected(xs, kinds, groups):
    lanes, states = len(xs), [x.copy() for x in xs]
    outs = [[] for _ in xs]
    for kind, table in zip(kinds, groups, strict=True):
        results = []
        for lane in range(lanes):
            if kind == "permute":
                got = states[table[lane]] if table[lane] is not None else np.zeros_like(states[lane])
                results.append(got[None])
            else:
                mine = sorted((place, k) for k, (group, place) in enumerate(table) if group == table[lane][0])
                results.append(np.stack([states[k] for _, k in mine]))
        for lane in range(lanes):
            outs[lane].append(results[lane])
            states[lane] = 3 * results[lane][-1] + 1
    return outs


def random_rounds(r, lanes):
    kinds, groups = [], []
    for _ in range(r.randint(1, 5)):
        if r.random() < 0.5:
            size = r.choice([s for s in range(1, lanes + 1) if lanes % s == 0])
            seats = [(k // size, k % size) for k in range(lanes)]
            r.shuffle(seats)
            kinds.append("all_gather")
            groups.append(tuple(seats))
        else:
            kinds.append("permute")
            groups.append(tuple(r.choice([None, *range(lanes)]) for _ in range(lanes)))
    return kinds, groups


def check(lane, want):
    got = lane.outputs()
    for a, b in zip(got[:-1], want, strict=True):
        np.testing.assert_array_equal(a, b)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**62))
def test_any_schedule(seed):
    r = random.Random(seed)
    lanes, n = r.choice((1, 2, 3, 6)), r.choice((1, 5, 20_000))
    kinds, groups = random_rounds(r, lanes)
    program = Program(rounds(lanes, n, kinds, groups))
    xs = [np.random.default_rng(seed + k).integers(0, 99, n).astype(np.int32) for k in range(lanes)]
    board = Buffer(BOARD_BYTES)
    running = {k: program.lane([xs[k]], k, board.address) for k in range(lanes)}
    all_lanes = dict(running)
    steps = 0
    while running:
        k = r.choice(list(running))
        got = running[k].step(r.choice((1, 100, ALL)))
        assert got in ("ok", "again", "waiting")
        if got == "ok":
            del running[k]
        steps += 1
        assert steps < 100_000
    for k, want in enumerate(expected(xs, kinds, groups)):
        check(all_lanes[k], want)
        assert all_lanes[k].outputs()[-1] == k
        assert all_lanes[k].vm.used <= program.facts.cost


def test_threads():
    r = random.Random(5)
    lanes, n = 4, 1000
    kinds, groups = [], []
    for _ in range(30):
        a, b = random_rounds(r, lanes)
        kinds += a
        groups += b
    program = Program(rounds(lanes, n, kinds, groups))
    xs = [np.arange(n, dtype=np.int32) * (k + 1) for k in range(lanes)]
    board = Buffer(BOARD_BYTES)
    running = [program.lane([xs[k]], k, board.address) for k in range(lanes)]
    seen = [None] * lanes

    def work(k):
        while seen[k] in (None, "again", "waiting"):
            seen[k] = running[k].step(5000)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(lanes)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert seen == ["ok"] * lanes
    for lane, want in zip(running, expected(xs, kinds, groups), strict=True):
        check(lane, want)


def test_a_lane_that_does_not_come():
    program = Program(rounds(2, 4, ["permute"], [(1, 0)]))
    board = Buffer(BOARD_BYTES)
    lane = program.lane([np.int32([1, 2, 3, 4])], 0, board.address)
    assert lane.step(ALL) == "waiting"
    assert lane.step(ALL) == "waiting"
    ctypes.c_uint32.from_address(board.address).value = 1
    assert lane.step(ALL) == "lane_failed"
    assert lane.step(ALL) == "lane_failed"


@pytest.mark.parametrize("schedule", ["0 waiting, 1 waiting, 0 ok, 1 ok", "1 waiting, 0 ok, 1 ok"])
def test_who_only_gives_waits_until_it_is_taken(schedule):
    """Lane 1 receives nothing, but its buffer may not change before lane 0 has read it."""
    program = Program(rounds(2, 4, ["permute"], [(1, None)]))
    board = Buffer(BOARD_BYTES)
    lanes = [program.lane([np.int32([1, 2, 3, 4]) * (k + 1)], k, board.address) for k in range(2)]
    for step in schedule.split(", "):
        lane, status = step.split()
        assert lanes[int(lane)].step(ALL) == status
    np.testing.assert_array_equal(lanes[0].outputs()[0], [[2, 4, 6, 8]])
    np.testing.assert_array_equal(lanes[1].outputs()[0], [[0, 0, 0, 0]])
