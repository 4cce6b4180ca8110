"""Small programs called from Python, and an MLP called from C, against jax.jit and a hand-written loop in the same run.

Medians of repeated batches; every figure's result is compared with JAX's first.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

import kjax

HERE = Path(__file__).resolve().parent


def mlp(params, x):
    """relu MLP; the last layer is linear."""
    for w, b in params[:-1]:
        x = jnp.maximum(x @ w + b, 0)
    w, b = params[-1]
    return x @ w + b


def dense(rng, *widths):
    return tuple((rng.standard_normal((i, o)).astype(np.float32) / i**0.5, np.zeros(o, np.float32))
                 for i, o in zip(widths, widths[1:]))


def programs():
    """name -> (function, NumPy arguments)."""
    rng = np.random.default_rng(0)

    def f32(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    return {
        "scalar x + 1": (lambda x: x + 1, (np.float32(1).reshape(()),)),
        "MLP 31-256-2, batch 1": (mlp, (dense(rng, 31, 256, 2), f32(1, 31))),
        "MLP 8-16-16-4, batch 1": (mlp, (dense(rng, 8, 16, 16, 4), f32(1, 8))),
        "SGD gradient of MLP 31-256-2, batch 32": (jax.grad(lambda p, x: jnp.mean(mlp(p, x) ** 2)),
                                                  (dense(rng, 31, 256, 2), f32(32, 31))),
        "softmax 64x64": (lambda x: jax.nn.softmax(x, -1), (f32(64, 64),)),
        "matmul 256": (jnp.matmul, (f32(256, 256), f32(256, 256))),
        "sort 10,000": (jnp.sort, (f32(10_000),)),
    }


def median(call, *, batches=25, seconds=0.004):
    """Median microseconds of a call, over batches of about ``seconds`` each."""
    call()
    n, start = 1, time.perf_counter()
    while time.perf_counter() - start < seconds:
        call()
        n += 1
    out = []
    for _ in range(batches):
        start = time.perf_counter()
        for _ in range(n):
            call()
        out.append((time.perf_counter() - start) / n * 1e6)
    return statistics.median(out)


def from_python(table):
    for name, (fn, args) in programs().items():
        program = kjax.compile(fn, *args)
        engine = program.load().call
        arrays = program.signature.flatten(args, {})
        jitted, placed = jax.jit(fn), jax.device_put(args)
        mine = kjax.jit(fn)
        for got, want in zip(jax.tree_util.tree_leaves(mine(*args)), jax.tree_util.tree_leaves(jitted(*args))):
            np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-5)
        times = [median(f) for f in (lambda f=jitted, a=placed: jax.block_until_ready(f(*a)), lambda f=mine, a=args: f(*a),
                                     lambda f=engine, a=arrays: f(*a))]
        table.add_row(name, *(f"{t:.2f}" for t in times), f"{times[0] / times[1]:.1f}x", f"{times[0] / times[2]:.1f}x")


def from_c(console):
    """The MLP by libkjax and by hand, both called from C."""
    if not shutil.which("gcc"):
        return console.print("no gcc: the C comparison is left out")
    rng = np.random.default_rng(0)
    (w1, b1), (w2, b2) = dense(rng, 31, 256, 2)
    program = kjax.compile(lambda a, b, c, d, x: mlp(((a, b), (c, d)), x), w1, b1, w2, b2, np.zeros((1, 31), np.float32))
    flags = subprocess.run([sys.executable, "-m", "kjax.config", "--cflags", "--libs"], capture_output=True, text=True,
                           check=True).stdout.split()
    with tempfile.TemporaryDirectory() as folder:
        program.save(Path(folder) / "mlp.kjx")
        subprocess.run(["gcc", "-O3", "-march=native", "-mprefer-vector-width=512", "-ffast-math", str(HERE / "mlp.c"), "-o",
                        f"{folder}/mlp", *flags, "-lm"], check=True)
        out = subprocess.run([f"{folder}/mlp", f"{folder}/mlp.kjx"], capture_output=True, text=True, check=True).stdout
    hand, engine = map(float, out.split())
    console.print(f"MLP 31-256-2 called from C: by hand {hand:.0f} ns, kjax {engine:.0f} ns: {engine / hand:.2f}x")


def main():
    console = Console()
    table = Table(title="microseconds a call (median), and how many times faster than jax.jit")
    for name in ("program", "jax.jit", "kjax.jit", "kjax program, flat", "kjax.jit is", "flat is"):
        table.add_column(name, justify="left" if name == "program" else "right")
    from_python(table)
    console.print(table)
    from_c(console)


if __name__ == "__main__":
    if sys.argv[1:2] == ["compile"]:
        from bench import compile as compile_times

        compile_times.main(sys.argv[2:])
    elif sys.argv[1:2] == ["cold"]:
        from bench import cold

        cold.main()
    elif sys.argv[1:2] == ["instructions"]:
        from bench import instructions

        instructions.main()
    else:
        main()
