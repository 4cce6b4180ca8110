"""What compiling, verifying and running cost as programs and their data grow.

    python -m bench.growth [--out DIR] [--quick]        writes DIR/growth.json and one SVG a subject; prints slopes

Subjects: the hidden width of an MLP, the number of Black-Scholes options, the steps of an LSTM, the number of instructions of a
chain of products. Each figure is the median of repeats. The slope of the last two sizes in a log-log plot is
printed: 1 is linear, 2 quadratic. Plots need matplotlib.
"""

import argparse
import json
import math
import os
import statistics
import time
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np

import kjax
from kjax import _engine

RNG = np.random.default_rng(0)


def f32(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def mlp(hidden):
    def fn(w1, b1, w2, b2, x):
        return jnp.maximum(x @ w1 + b1, 0) @ w2 + b2
    return fn, (f32(31, hidden), f32(hidden), f32(hidden, 2), f32(2), f32(1, 31))


def black_scholes(n):
    def price(s, k, t, sigma, r):
        sq = sigma * jnp.sqrt(t)
        d1 = (jnp.log(s / k) + (r + 0.5 * sigma * sigma) * t) / sq

        def cdf(x):
            return 0.5 * (1 + jax.lax.erf(x * np.float32(0.5**0.5)))
        return s * cdf(d1) - k * jnp.exp(-r * t) * cdf(d1 - sq)
    greeks = jax.vmap(jax.value_and_grad(price, argnums=(0, 2, 3, 4)), in_axes=(0, 0, 0, 0, None))
    low_high = ((50, 150), (50, 150), (0.1, 2.0), (0.1, 0.6))
    return greeks, (*(RNG.uniform(*b, n).astype(np.float32) for b in low_high), np.float32(0.03).reshape(()))


def lstm(steps):
    def fn(wx, wh, b, xs):
        def step(carry, x):
            h, c = carry
            i, f, g, o = jnp.split(x @ wx + h @ wh + b, 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h
        zero = jnp.zeros((1, 64), xs.dtype)
        return jax.lax.scan(step, (zero, zero), xs)[1]
    return fn, (f32(64, 256) / 10, f32(64, 256) / 10, f32(256) / 10, f32(steps, 1, 64))


def chain(instructions):
    def fn(w, x):
        for _ in range(instructions):
            x = x @ w
        return x
    return fn, (np.eye(8, dtype=np.float32), f32(8, 8))


SUBJECTS = {
    "hidden width of the MLP 31-h-2": (mlp, (16, 64, 256, 1024, 4096)),
    "options of Black-Scholes with greeks": (black_scholes, (100, 1000, 10_000, 100_000, 1_000_000)),
    "steps of the LSTM": (lstm, (10, 100, 1000, 10_000)),
    "instructions of a chain": (chain, (10, 100, 1000, 10_000)),
}


def median_us(call, seconds=0.3, least=2):
    call()
    times, start = [], time.perf_counter()
    while len(times) < least or (time.perf_counter() - start < seconds and len(times) < 2000):
        t = time.perf_counter()
        call()
        times.append((time.perf_counter() - t) * 1e6)
    return statistics.median(times)


def measure(make, size):
    fn, args = make(size)
    lowered = jax.jit(fn).trace(*args).lower(lowering_platforms=("cpu",)).as_text()
    program = kjax.compile(lowered)
    flat, arrays = program.load().call, jax.tree.leaves(args)
    return {"size": size, "instructions": program.as_text().split(" instructions", 1)[0].rsplit(" ", 1)[-1],
            "compile": median_us(lambda: kjax.compile(lowered)), "verify": median_us(lambda: _engine.verify(program.image)),
            "run": median_us(lambda: flat(*arrays))}


def slopes(rows):
    a, b = rows[-2:]
    return {k: math.log(b[k] / a[k]) / math.log(b["size"] / a["size"]) for k in ("compile", "verify", "run")}


def plot(name, rows, path):
    import matplotlib
    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5, 3.5))
    for k, marker in (("compile", "s"), ("verify", "^"), ("run", "o")):
        axes.loglog([r["size"] for r in rows], [r[k] for r in rows], marker=marker, label=k)
    axes.set_xlabel(name)
    axes.set_ylabel("microseconds")
    axes.grid(True, which="major", alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("build/bench"))
    parser.add_argument("--quick", action="store_true", help="without the largest sizes")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    doc = {}
    for name, (make, sizes) in SUBJECTS.items():
        rows = doc[name] = [measure(make, size) for size in (sizes[:-1] if options.quick else sizes)]
        print(f"\n| {name} | compile us | verify us | run us |\n|---|---|---|---|")
        for r in rows:
            print(f"| {r['size']} | {r['compile']:.0f} | {r['verify']:.1f} | {r['run']:.2f} |")
        print("| slope at the end | " + " | ".join(f"{s:.2f}" for s in slopes(rows).values()) + " |", flush=True)
        try:
            plot(name, rows, options.out / ("growth-" + "-".join(name.split()[:2]) + ".svg"))
        except ImportError:
            print("no matplotlib: no plot")
    (options.out / "growth.json").write_text(json.dumps(doc, indent=1))


if __name__ == "__main__":
    main()
