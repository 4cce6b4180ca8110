"""What the engine itself costs: nanoseconds of a run, a nest, a loop's iteration. Usage: overhead.py [cpu table]

Builds the engine like ``tests/engine`` does. A slope between programs of different lengths separates an
instruction from the run around it. Times are CPU time, the best of several blocks.
"""

import ctypes as c
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests" / "engine"))
from programs import Builder, load, store  # noqa: E402

from engine import Program  # noqa: E402
from kjax.bytecode import program as p  # noqa: E402

CPU = sys.argv[1] if len(sys.argv) > 1 else "avx2"


def timer():
    with tempfile.TemporaryDirectory() as folder:
        target = pathlib.Path(folder) / "overhead.so"
        subprocess.run(["gcc", "-O2", "-shared", "-fPIC", str(pathlib.Path(__file__).with_suffix(".c")), "-o", target],
                       check=True)
        lib = c.CDLL(str(target))
    lib.time_runs.restype = c.c_double
    lib.time_runs.argtypes = [c.c_void_p] * 7 + [c.c_long, c.c_int]
    return lib.time_runs


TIME = timer()


def nanoseconds(image, inputs, runs=2000):
    program = Program(image, CPU)
    lane = program.lane(inputs)
    address = lambda f: c.cast(f, c.c_void_p)  # noqa: E731
    return TIME(address(program.lib.kjx_start), address(program.lib.kjx_run), c.byref(lane.vm), program.plan,
                lane.arena.address, lane.in_pointers, lane.out_pointers, max(runs // 10, 5), 200)


def nests(n, count, body, operands, dtype="f32", dims=None, **more):
    b = Builder()
    x, y = b.input(dtype, (max(n, 1),)), b.input(dtype, (max(n, 1),))
    k, out = b.constant(np.ones(1, np.float32)), b.output(dtype, (max(n, 1),))
    for _ in range(count):
        b.emit(p.Nest(dims or (n,), operands(x, y, k, out), body, n_regs=4, **more))
    return b.image, [np.ones(n, np.float32)] * 2


def per_nest(n, body, operands, **more):
    few, many = (nanoseconds(*nests(n, count, body, operands, **more)) for count in (1, 21))
    return few, (many - few) / 20


def dense(*which):
    return lambda x, y, k, out: tuple(p.Operand({"x": x, "y": y, "k": k, "o": out}[w], 0, (0,) if w == "k" else (1,))
                                      for w in which)


ADD = (load(0, 0, "f32"), load(1, 1, "f32"), p.Uop("add", "f32", 0, 0, 1), store(2, 0, "f32"))
RELU = (load(0, 0, "f32"), load(1, 1, "f32"), load(2, 2, "f32"), p.Uop("add", "f32", 0, 0, 1),
        p.Uop("max", "f32", 0, 0, 2), store(3, 0, "f32"))


def counting(n_adds, iterations):
    """A loop to an input; the body adds the counter to ``n_adds`` scalars, one nest for all."""
    b = Builder()
    n, out = b.input("i32", ()), b.output("i32", ())
    i, predicate, sums = b.arena("i32", 1), b.arena("i1", 1), [b.arena("i32", 1) for _ in range(n_adds)]
    one, zero = b.constant(np.int32([1])), b.constant(np.int32([0]))

    def nest(body, tensors):
        b.emit(p.Nest((1,), tuple(p.Operand(t, 0, (0,)) for t in tensors), tuple(body), n_regs=8, strip=1))

    for t in (i, *sums):
        nest((load(0, 0, "i32"), store(1, 0, "i32")), (zero, t))
    b.emit(p.While())
    nest((load(0, 0, "i32"), load(1, 1, "i32"), p.Uop("lt", "i32", 0, 0, 1), store(2, 0, "i1")), (i, n, predicate))
    b.emit(p.Do(predicate))
    body = [load(0, 0, "i32"), load(1, 1, "i32"), p.Uop("add", "i32", 2, 0, 1), store(0, 2, "i32")]
    for k, _ in enumerate(sums):
        body += [load(3, 2 + k, "i32"), p.Uop("add", "i32", 3, 3, 0), store(2 + k, 3, "i32")]
    nest(body, (i, one, *sums))
    b.emit(p.End())
    nest((load(0, 0, "i32"), store(1, 0, "i32")), (sums[0] if sums else i, out))
    return b.image, [np.int32(iterations)]


def mlp():
    """31-256-2: two dots, bias and relu, bias."""
    b = Builder()
    rng = np.random.default_rng(0)
    f = lambda *s: rng.standard_normal(s).astype(np.float32)  # noqa: E731
    x, out = b.input("f32", (31,)), b.output("f32", (2,))
    w1, b1, w2, b2 = (b.constant(a) for a in (f(31, 256), f(256), f(256, 2), f(2)))
    zero = b.constant(np.zeros(1, np.float32))
    h, y = b.arena("f32", 256), b.arena("f32", 2)
    b.emit(p.Dot("f32", 0, 0, 1, 1, (256, 31), p.Operand(x, 0, (0, 1)), p.Operand(w1, 0, (1, 256)), p.Operand(h, 0, (1, 0))))
    b.emit(p.Nest((256,), (p.Operand(h, 0, (1,)), p.Operand(b1, 0, (1,)), p.Operand(zero, 0, (0,)), p.Operand(h, 0, (1,))),
                  RELU, n_regs=3))
    b.emit(p.Dot("f32", 0, 0, 1, 1, (2, 256), p.Operand(h, 0, (0, 1)), p.Operand(w2, 0, (1, 2)), p.Operand(y, 0, (1, 0))))
    b.emit(p.Nest((2,), (p.Operand(y, 0, (1,)), p.Operand(b2, 0, (1,)), p.Operand(out, 0, (1,))), ADD, n_regs=2))
    return b.image, [f(31)]


def reduction(rows, columns):
    b = Builder()
    x, out = b.input("f32", (rows, columns)), b.output("f32", (rows,))
    b.emit(p.Nest((rows, columns), (p.Operand(x, 0, (columns, 1)), p.Operand(out, 0, (1, 0))), (load(1, 0, "f32"),),
                  (p.Uop("add", "f32", 0, 0, 1),), (store(1, 0, "f32"),), 1, 2, 1, 1, 256))
    return b.image, [np.ones((rows, columns), np.float32)]


def main():
    print(f"cpu table {CPU}, nanoseconds")
    for n in (1, 16, 256, 4096):
        run, nest = per_nest(n, ADD, dense("x", "y", "o"))
        print(f"x + y, {n} elements: run of one nest {run:.1f}, each further nest {nest:.1f}")
    for n in (1, 256):
        _, nest = per_nest(n, RELU, dense("x", "y", "k", "o"))
        print(f"relu(x + y), {n} elements: {nest:.1f}")
    for n_adds in (0, 1, 4):
        few, many = (nanoseconds(*counting(n_adds, k), runs=200) for k in (10, 1010))
        print(f"a while iteration with {2 + n_adds} operations on scalars: {(many - few) / 1000:.1f}")
    print(f"MLP 31-256-2: {nanoseconds(*mlp()):.1f}")
    for shape in ((1, 256), (100, 8), (100, 64), (100, 256), (1, 65536)):
        print(f"sums of rows {shape}: {nanoseconds(*reduction(*shape), runs=100):.1f}")


if __name__ == "__main__":
    main()
