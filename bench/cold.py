"""Cold start: what a fresh process pays until a saved program has run once.

    python -m bench cold

Python: importing kjax, loading the program and running it, on top of importing NumPy; and what importing JAX and jitting the same
function take. C: from main() to the first result, and the memory that is resident then. Medians of fresh processes, all files
in the page cache, modules compiled to bytecode as an installer leaves them.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")

from rich.console import Console
from rich.table import Table

import kjax
from bench import growth

HERE = Path(__file__).resolve().parent
RUNS = 15

BY_KJAX = """
import sys, time
import numpy as np
args = [np.zeros(s, np.float32) for s in {shapes}]
start = time.perf_counter()
import kjax
program = kjax.load(sys.argv[1])
program(*args)
spent = time.perf_counter() - start
"""
BY_JAX = """
import sys, time
import numpy as np
args = [np.zeros(s, np.float32) for s in {shapes}]
start = time.perf_counter()
import jax, jax.numpy as jnp
jax.jit(lambda w1, b1, w2, b2, x: jnp.maximum(x @ w1 + b1, 0) @ w2 + b2)(*args).block_until_ready()
spent = time.perf_counter() - start
"""
SAY = """
rss = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS"))
print(spent * 1e6, rss)
"""


def medians(command):
    """Median (microseconds, resident kilobytes) of what the command prints, over fresh processes."""
    options = {"check": True, "capture_output": True, "text": True,
               "env": {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}}
    subprocess.run(command, **options)  # writes the bytecode that is missing
    said = [subprocess.run(command, **options).stdout.split() for _ in range(RUNS)]
    return [statistics.median(float(words[k]) for words in said) for k in (0, 1)]


def main():
    fn, args = growth.mlp(256)
    shapes = [a.shape for a in args]
    table = Table(title="MLP 31-256-2, until its first result, in a fresh process")
    for name in ("", "milliseconds", "resident MiB"):
        table.add_column(name, justify="right" if name else "left")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mlp.kjx"
        kjax.compile(fn, *args).save(path)
        rows = [("kjax, beyond importing NumPy", [sys.executable, "-c", BY_KJAX.format(shapes=shapes) + SAY, path]),
                ("JAX, beyond importing NumPy", [sys.executable, "-c", BY_JAX.format(shapes=shapes) + SAY])]
        if shutil.which("gcc"):
            flags = subprocess.run([sys.executable, "-m", "kjax.config", "--cflags", "--libs"], capture_output=True, text=True,
                                   check=True).stdout.split()
            subprocess.run(["gcc", "-O2", HERE / "cold.c", "-o", f"{folder}/cold", *flags], check=True)
            rows.append(("kjax from C, beyond main()", [f"{folder}/cold", path]))
        for name, command in rows:
            us, rss = medians(command)
            table.add_row(name, f"{us / (1e6 if name.endswith('main()') else 1e3):.2f}", f"{rss / 1024:.1f}")
    Console().print(table)
