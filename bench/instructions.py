"""Instructions of a call through /dev/kjax, against those of the same call in a process.

    python -m bench instructions

Both run in a guest whose clock counts instructions (QEMU's -icount), on the same cpu table, with buffers that are mapped, not
copied; results are compared bit for bit. "call" is the whole system call. "engine" is the call without what a program costs that has
the same arguments and does nothing with them: system call, arguments looked up, vector registers saved. The kernel's engine is
compiled by the kernel's rules: retpolines, general registers outside of the cpu tables.

The clock's nanosecond is one instruction; a processor runs about eight in that time. So sections, which end by the clock,
are eight times as long here as elsewhere.
"""

import os
import subprocess
import tempfile
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

import kjax
from bench import growth
from kjax.runtime.guest import guest
from kjax.runtime.guest.machine import Config, Machine
from kjax.runtime.guest.port import GuestPort

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
LOADER = Path("/lib64/ld-linux-x86-64.so.2")
CALLS = 9
SECTION_US = 8 * 50


def transformer_block(tokens=128, width=256, heads=8):
    """Attention and a GELU MLP, each behind a layer norm: f32[tokens, width] -> the same."""
    def norm(x):
        x = x - x.mean(-1, keepdims=True)
        return x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-5)

    def fn(qkv, out, up, down, x):
        q, k, v = (a.reshape(tokens, heads, -1).swapaxes(0, 1) for a in jnp.split(norm(x) @ qkv, 3, -1))
        weights = jax.nn.softmax(q @ k.swapaxes(1, 2) * q.shape[-1] ** -0.5, -1)
        x = x + (weights @ v).swapaxes(0, 1).reshape(tokens, width) @ out
        return x + jax.nn.gelu(norm(x) @ up) @ down

    shapes = ((width, 3 * width), (width, width), (width, 4 * width), (4 * width, width))
    return fn, (*(growth.f32(*s) / s[0] ** 0.5 for s in shapes), growth.f32(tokens, width))


PROGRAMS = {
    "scalar x + 1": lambda: (lambda x: x + 1, (np.float32(1).reshape(()),)),
    "MLP 31-256-2, batch 1": lambda: growth.mlp(256),
    "Black-Scholes with greeks, 1000": lambda: growth.black_scholes(1000),
    "LSTM, 100 steps": lambda: growth.lstm(100),
    "transformer block, 128 x 256": transformer_block,
}


def boot():
    """A port of a guest with the module, one processor, whose time-stamp counter counts instructions."""
    kernel, module, initramfs = guest.setup(lambda message, fraction: None)
    machine = Machine(Config(str(kernel.image), str(initramfs), "tcg,thread=single", cpus=1,
                             devices=("-icount", "shift=0,sleep=off"), boot_seconds=600))
    port = GuestPort(machine)
    port.insert_module(module.read_bytes(), f"section_us={SECTION_US}")
    return port


def build(folder):
    """The measuring program and the libraries that it needs, as {path in the guest: bytes}."""
    (folder / "linux").mkdir()
    (folder / "linux/kjax.h").symlink_to(ROOT / "include/uapi/linux/kjax.h")
    library = Path(kjax.__file__).parent / "lib" / "libkjax.so.0"
    subprocess.run(["gcc", "-O2", "-Wall", f"-I{folder}", f"-I{ROOT / 'include'}", HERE / "instructions.c", library, "-o",
                    folder / "instructions", f"-Wl,--dynamic-linker=/{LOADER.name},-rpath,/"], check=True)
    files = {"/instructions": folder / "instructions", "/libkjax.so.0": library, f"/{LOADER.name}": LOADER.resolve()}
    needed = subprocess.run(["ldd", library], check=True, capture_output=True, text=True).stdout
    for line in needed.splitlines():
        words = line.split()
        if "=>" in words:
            files["/" + words[0]] = Path(words[words.index("=>") + 1])
    return {name: path.read_bytes() for name, path in files.items()}


def packed(arrays):
    return b"".join(a.tobytes() + bytes(-a.nbytes % 64) for a in map(np.asarray, arrays))


def empty(fn, args):
    """A program with the arguments and results of ``fn`` that computes nothing: results are zero."""
    outs = jax.eval_shape(fn, *args)
    nothing = jax.jit(lambda *args: jax.tree.map(lambda o: jnp.zeros(o.shape, o.dtype).ravel()[:1], outs), keep_unused=True)
    return kjax.compile(nothing.lower(*args).as_text())


def count(port, program, inputs):
    """Instructions of a call (in the process, in the kernel)."""
    port.write_file("/image", program.image, 0o644)
    port.write_file("/inputs", inputs, 0o644)
    status, said = port.spawn("/instructions", "/image", "/inputs", str(CALLS), timeout=3000)
    if status:
        raise SystemExit(said.decode())
    return tuple(map(int, said.split()))


def main():
    table = Table(title="instructions of one call, avx2")
    for name in ("program", "process", "kernel: call", "kernel: engine", "call / process", "engine / process"):
        table.add_column(name, justify="left" if name == "program" else "right", no_wrap=True)
    port = boot()
    with tempfile.TemporaryDirectory() as folder:
        for name, data in build(Path(folder)).items():
            port.write_file(name, data)
    for name, make in PROGRAMS.items():
        fn, args = make()
        program = kjax.compile(fn, *args)
        inputs = packed(program.signature.flatten(args, {}))
        process, call = count(port, program, inputs)
        nothing, around = count(port, empty(fn, args), inputs)
        engine = call - (around - nothing)
        table.add_row(name, *(f"{n:,}" for n in (process, call, engine)), f"{call / process:.3f}", f"{engine / process:.3f}")
    Console(width=120).print(table)
    port.machine.stop()
