"""Time to compile whole models: kjax against XLA:CPU on the same StableHLO module, in one run.

The models are those of ``tests/models``. A time goes from the lowered module to the loaded program; what JAX does before
(tracing and lowering) both need and neither is charged for. The second table is about length: a chain of operations that do
not fuse, and a network of more and more layers; time an instruction should not grow. The third says what the arena takes,
beside the most that is alive at once, which no plan can go below, and beside all buffers one after the other.
"""

import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "models"))
import jax
import jax.numpy as jnp
import numpy as np
import zoo  # first: it sets what equinox reads from the environment
from jax._src import xla_bridge
from jax._src.interpreters import mlir
from jaxlib import _jax
from rich.console import Console
from rich.table import Table

from kjax import frontend
from kjax.api.compile import collector_paused
from kjax.api.program import Program
from kjax.bytecode.disassembler import disassemble
from kjax.compiler import arena
from kjax.compiler.lower import Lowering
from kjax.compiler.pipeline import PASSES, compile_graph
from kjax.frontend import platform
from kjax.isa.container import ALIGNMENT
from kjax.runtime.embedded import Embedded

KINDS = ("forward", "step")


def lowered(fn, args, donate=()):
    """What both compile: the module that JAX writes for kjax, in which every primitive is StableHLO."""
    return platform.lower(jax.jit(fn, keep_unused=True, donate_argnums=donate).trace(*args))


def by_kjax(module):
    """From the module to a program that can be called."""
    with collector_paused():  # as kjax.compile does
        graph, artifact = frontend.import_with_artifact(module)
        program = Program(compile_graph(graph, stablehlo=artifact))
    with Embedded() as environment:
        program.load(environment)
    return program


def instructions(program):
    return len(disassemble(program.image).code)


class XLA:
    """XLA:CPU as jax.jit uses it, without its caches."""

    def __init__(self):
        self.backend = xla_bridge.get_backend("cpu")
        self.devices = _jax.DeviceList(tuple(self.backend.local_devices()[:1]))

    def __call__(self, code):
        return self.backend.compile_and_load(code, self.devices, _jax.CompileOptions())


def median(call, *, seconds=1.0, least=3):
    """Median milliseconds of a call, over about ``seconds``, after one that does not count."""
    call()
    times = []
    while sum(times) < seconds * 1e3 and len(times) < 25 or len(times) < least:
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def models(console, pattern):
    table = Table(title="milliseconds to compile (median); kjax's part of XLA:CPU's time")
    for name in ("model", "instructions", "XLA:CPU", "kjax", "ratio"):
        table.add_column(name, justify="left" if name == "model" else "right")
    compile_by_xla = XLA()
    for name, part in zoo.PARTS.items():
        if pattern not in name or part.kind not in KINDS:
            continue
        module = lowered(*part.make(), part.donate)
        code = mlir.module_to_bytecode(module.compiler_ir("stablehlo"))
        program = by_kjax(module)
        theirs, ours = (median(call) for call in (lambda c=code: compile_by_xla(c), lambda m=module: by_kjax(m)))
        table.add_row(name, str(instructions(program)), f"{theirs:.1f}", f"{ours:.1f}", f"{ours / theirs:.3f}")
    console.print(table)


def chain(n):
    """Sorts, some of what is negated first, one after the other: about ``n`` instructions."""
    def fn(x):
        for k in range(2 * n // 3):
            x = jnp.sort(x if k % 2 else -x)
        return x
    return fn, (np.zeros(16, np.float32),)


def unrolled(n):
    """Layers of a network in a row, products and softmax: about ``n`` instructions."""
    def fn(w, x):
        for _ in range(n // 4):
            x = jax.nn.softmax(x @ w) + x
        return x
    return fn, (np.zeros((16, 16), np.float32), np.zeros((4, 16), np.float32))


def lengths(console):
    table = Table(title="microseconds an instruction, by length")
    for name in ("instructions", "chain", "network"):
        table.add_column(name, justify="right")
    for n in (10, 100, 1000, 10_000):
        row = []
        for make in (chain, unrolled):
            module = lowered(*make(n))
            start = time.perf_counter()
            count = instructions(by_kjax(module))
            once = (time.perf_counter() - start) * 1e3
            spent = once if once > 1e3 else median(lambda m=module: by_kjax(m), seconds=0.5)
            row.append(f"{spent * 1e3 / count:.0f} ({count})")
        table.add_row(str(n), *row)
    console.print(table)


def lines(buffer):
    """Bytes of the cache lines that a buffer takes: the arena's unit."""
    return buffer.bytes + -buffer.bytes % ALIGNMENT


def memory_of(module):
    """Bytes (arena, most alive at once, all buffers) of a module."""
    graph, _ = frontend.import_with_artifact(module)
    for one in PASSES:
        one(graph)
    lowering = Lowering(graph)
    lowering.run()
    _, taken = arena.assign(lowering.code)
    spans = arena.lifetimes(lowering.code)
    events = {}
    for buffer, (first, last) in spans.items():
        size = lines(buffer)
        events[first] = events.get(first, 0) + size
        events[last + 1] = events.get(last + 1, 0) - size
    now = peak = 0
    for at in sorted(events):
        now += events[at]
        peak = max(peak, now)
    return taken, peak, sum(map(lines, spans))


def memory(console, pattern):
    table = Table(title="kilobytes of arena, and of XLA:CPU's temporaries")
    for name in ("model", "all buffers", "alive", "arena", "arena/alive", "XLA:CPU"):
        table.add_column(name, justify="left" if name == "model" else "right")
    compile_by_xla = XLA()
    for name, part in zoo.PARTS.items():
        if pattern not in name or part.kind not in KINDS:
            continue
        module = lowered(*part.make(), part.donate)
        size, peak, whole = memory_of(module)
        code = mlir.module_to_bytecode(module.compiler_ir("stablehlo"))
        theirs = compile_by_xla(code).get_compiled_memory_stats().temp_size_in_bytes
        table.add_row(name, *(f"{n / 1024:.1f}" for n in (whole, peak, size)), f"{size / max(peak, 1):.2f}",
                      f"{theirs / 1024:.1f}")
    console.print(table)


def main(arguments=()):
    """``python -m bench compile [models|lengths|memory] [part of a model's name]``; all three without a word."""
    console = Console()
    tables = {"models": models, "lengths": lambda c, _: lengths(c), "memory": memory}
    words = list(arguments)
    chosen = [words.pop(0)] if words and words[0] in tables else list(tables)
    for name in chosen:
        tables[name](console, "".join(words))
