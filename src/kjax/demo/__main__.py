"""Train in JAX, run and train in ring 0, print the table."""

import argparse
import os
import sys
import time

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: E402
from rich.table import Table  # noqa: E402

import kjax  # noqa: E402
from kjax.demo import data, model  # noqa: E402

BATCH, STEPS, STEP_ROWS = 4096, 100, 64


def ulps(a, b):
    """Worst distance of two float32 arrays in units of the last place."""
    a, b = (np.asarray(x, np.float32).reshape(-1).view(np.int32).astype(np.int64) for x in (a, b))
    a, b = (np.where(x < 0, -(x & 0x7FFFFFFF), x) for x in (a, b))
    return int(np.abs(a - b).max(initial=0))


def worst(a, b):
    return max(map(ulps, jax.tree_util.tree_leaves(a), jax.tree_util.tree_leaves(b)))


def inference(lib, params, rows):
    """Scores of all rows by a compiled program in ``lib``'s environment; returns (scores, program, seconds to load)."""
    count = len(rows) // BATCH * BATCH
    program = kjax.compile(model.score, params, rows[:BATCH])
    start = time.perf_counter()
    program.load(lib.environment)
    load = time.perf_counter() - start
    scores = [program(params, rows[k:k + BATCH], environment=lib.environment) for k in range(0, count, BATCH)]
    return np.concatenate(scores), program, load


def training(lib, params, rows, rate):
    """STEPS on-line steps in ``lib``'s environment, state donated; returns (params, program)."""
    batches = rows[: STEPS * STEP_ROWS].reshape(STEPS, STEP_ROWS, -1)
    step = kjax.jit(model.sgd_step, donate_argnums=0, environment=lib.environment)
    state = jax.tree_util.tree_map(np.array, params)
    for x in batches:
        state, _ = step(state, x, rate)
    return state, step.program_for(state, batches[0], rate)


def reference_training(params, rows, rate):
    batches = rows[: STEPS * STEP_ROWS].reshape(STEPS, STEP_ROWS, -1)
    step = jax.jit(model.sgd_step)
    for x in batches:
        params, _ = step(params, x, rate)
    return params


def transformations(lib, params, rows, console):
    """One line each for grad, jit, vmap and pmap, through ``execute_jax_transformation``."""
    x = rows[:8]

    def row_score(p, r):
        return model.score(p, r[None])[0]

    def normalised(r):
        return r / jax.lax.psum(jnp.sum(jnp.abs(r)), "lanes")

    cases = [
        ("grad", model.loss, (params, x), {}, jax.grad(model.loss)),
        ("jit", model.score, (params, x), {}, jax.jit(model.score)),
        ("vmap", row_score, (params, x), {"in_axes": (None, 0)}, jax.vmap(row_score, (None, 0))),
        ("pmap", normalised, (x[:2],), {"axis_name": "lanes"}, jax.vmap(normalised, axis_name="lanes")),
    ]
    for name, fun, args, options, oracle in cases:
        got = lib.execute_jax_transformation(name, fun, args, **options)
        want = oracle(*args)
        error = max(float(np.max(np.abs(np.asarray(g) - np.asarray(w)))) for g, w in
                    zip(jax.tree_util.tree_leaves(got), jax.tree_util.tree_leaves(want)))
        console.print(f"  execute_jax_transformation({name!r}, ...) in {lib.environment.name}: "
                      f"{len(jax.tree_util.tree_leaves(got))} arrays, worst difference from jax.{name} {error:.2g} "
                      f"({worst(got, want)} ulp)")
        if error > 1e-5:
            raise SystemExit(f"{name} disagrees with JAX by {error}")


def report(console, place, scores, reference, labels, program, load, step, state, expected):
    memory, cost = program.memory_analysis(), program.cost_analysis()
    table = Table(title=f"NASA shuttle readings: detector 9-6-3-6-9 in {place}, held against JAX on the CPU")
    for name in ("", place, "JAX"):
        table.add_column(name, justify="left" if not name else "right")
    table.add_row("rows scored", f"{len(scores):,}", f"{len(reference):,}")
    table.add_row("AUC", f"{model.auc(scores, labels):.5f}", f"{model.auc(reference, labels):.5f}")
    table.add_row("worst difference of a score", f"{ulps(scores, reference)} ulp", "")
    table.add_row("worst relative difference", f"{np.max(np.abs(scores - reference) / np.abs(reference)):.1e}", "")
    table.add_row(f"loss after {STEPS} on-line steps", f"{float(model.loss(state, expected[1])):.6f}",
                  f"{float(model.loss(expected[0], expected[1])):.6f}")
    table.add_row("worst difference of a weight", f"{worst(state, expected[0])} ulp", "")
    table.add_row("verified memory peak, scoring", f"{memory.peak_memory_in_bytes:,} B", "")
    table.add_row("verified budget, scoring", f"{cost['cost']:,} units", "")
    table.add_row("verified memory peak, a step", f"{step.memory_analysis().peak_memory_in_bytes:,} B", "")
    table.add_row("verified budget, a step", f"{step.cost_analysis()['cost']:,} units", "")
    table.add_row("program size, scoring / step", f"{len(program.image):,} / {len(step.image):,} B", "")
    table.add_row("load (copy, verify, prepare)", f"{load * 1e3:.1f} ms", "")
    console.print(table)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--environment", default="guest", choices=["guest", "embedded", "device"])
    args = parser.parse_args()
    console = Console()
    start = time.perf_counter()
    with Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console) as progress:
        task = progress.add_task("reading the shuttle data")
        shuttle = data.load()
        params = model.train(model.initial(), shuttle.train, progress=lambda n, m: progress.update(
            task, description=f"training in JAX, epoch {n} of {m}"))
        progress.update(task, description=f"bringing up environment {args.environment!r}")
        try:
            lib = kjax.load_jax_library(environment=args.environment)
            lib.environment.memory()
        except kjax.DeviceError as error:
            console.print(f"[yellow]{error}\nCarrying on in this process.[/]")
            lib = kjax.load_jax_library(environment="embedded")
        with lib:
            rows = shuttle.held_out
            progress.update(task, description=f"scoring in {lib.environment.name}")
            scores, program, load = inference(lib, params, rows)
            reference = np.concatenate([jax.jit(model.score)(params, rows[k:k + BATCH])
                                        for k in range(0, len(scores), BATCH)])
            progress.update(task, description=f"training on line in {lib.environment.name}")
            rate = np.float32(0.01)
            state, step = training(lib, params, shuttle.train, rate)
            expected = reference_training(params, shuttle.train, rate)
            place = {"guest": "ring 0 (guest)", "device": "ring 0", "embedded": "this process"}[lib.environment.name]
            progress.update(task, description="done")
            progress.stop()
            report(console, place, scores, reference, shuttle.labels[:len(scores)], program, load, step, state,
                   (expected, shuttle.train[:BATCH]))
            transformations(lib, params, rows, console)
            for device in lib.devices:
                console.print(f"  device {device.id}: {device.name} {'usable' if device.usable else device.why}")
    console.print(f"done in {time.perf_counter() - start:.0f} s")
    if np.max(np.abs(scores - reference) / np.abs(reference)) > 1e-4 or abs(
            model.auc(scores, shuttle.labels[:len(scores)]) - model.auc(reference, shuttle.labels[:len(scores)])) > 1e-4:
        sys.exit("the kernel's results are not JAX's")


if __name__ == "__main__":
    main()
