"""kjax among its peers: the workloads and drivers of a folder with ``peers_bench.py`` and ``workloads.py``, in one run.

    python bench/peers.py FOLDER [options of peers_bench.py]      e.g. -w W1,W5 -e kjax,jax,torch,ort,numpy,c -t 1 -r 3
    python bench/peers.py --ratios OUT.json                       ratios of a finished run, to jax.jit and to the best peer

A peers' driver is a generator ``eng_NAME(workload, threads, only)`` that yields ``(column, Py(call, out=leaves))``; each runs
in processes of its own, in rounds, and its results are held against jax.jit's. Columns here: ``kjax`` is kjax.jit called with
NumPy arrays, ``kjax_flat`` the loaded program called with its flat list of arrays.
"""

import importlib.util
import json
import math
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve()
FOLDER = "KJAX_PEERS_FOLDER"
OURS = ("kjax", "kjax_flat")
NOT_PEERS = {*OURS, "np", "aot", "tput", "loop", "iree_c", "iree_dt", "c", "c_libm", "c_py"}  # not what a Python user calls
TENSOR_ENGINES = ("jit", "iree_py", "ort", "torch", "numpy")  # numba's loops are written by hand, LiteRT has a few workloads


def peers_module(folder):
    spec = importlib.util.spec_from_file_location("peers_bench", Path(folder) / "peers_bench.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.__file__ = str(HERE)  # children run this file
    module.GROUPS = {"kjax": list(OURS), **module.GROUPS}
    return module


def eng_kjax(workload, threads, only):
    from peers_bench import Py

    import kjax

    args = workload.args()
    threads = 1 if threads == "1" else len(os.sched_getaffinity(0))
    call = kjax.jit(workload.fn, threads=threads)
    yield "kjax", Py(lambda: call(*args), out=_leaves(call(*args)))
    program = kjax.compile(workload.fn, *args)
    flat, arrays = program.load(threads=threads).call, program.signature.flatten(args, {})
    yield "kjax_flat", Py(lambda: flat(*arrays), out=list(flat(*arrays)))


def _leaves(tree):
    import jax

    return jax.tree.leaves(tree)


def ratios(path):
    """Print, a workload: how many times faster than jax.jit, than the best of TENSOR_ENGINES and than the best peer; then the means."""
    figures = {(r["workload"], r["engine"], r["threads"]): r["median_us"] for r in json.loads(Path(path).read_text())["summary"]}
    for th in sorted({t for _, _, t in figures}):
        rows = []
        for w in dict.fromkeys(w for w, _, t in figures if t == th):
            mine = figures.get((w, "kjax", th))
            others = {e: us for (name, e, t), us in figures.items() if name == w and t == th and e not in NOT_PEERS}
            if mine is None or not others:
                continue
            engines = {e: us for e, us in others.items() if e in TENSOR_ENGINES}
            bests = [min(some, key=some.get, default="") for some in (engines, others)]
            c = figures.get((w, "c", th))
            rows.append((w, mine, others.get("jit", math.nan) / mine, *(x for e in bests for x in (e, others.get(e, math.nan) / mine)),
                         c and mine / c))
        print(f"\nthreads: {th}\n| workload | kjax us | times faster than jit | best engine | times faster than it | best peer | "
              "times faster than it | times C |\n|---|---|---|---|---|---|---|---|")
        for w, mine, jit, engine, ahead, best, of_all, c in rows:
            print(f"| {w} | {mine:.2f} | {jit:.2f} | {engine} | {ahead:.2f} | {best} | {of_all:.2f} | {f'{c:.2f}' if c else ''} |")
        for title, k in (("jax.jit", 2), (f"the best of {', '.join(TENSOR_ENGINES)}", 4), ("the best peer", 6)):
            logs = [math.log(r[k]) for r in rows if not math.isnan(r[k])]
            if logs:
                print(f"\ngeometric mean of {len(logs)} against {title}: {math.exp(sum(logs) / len(logs)):.2f}")


def main():
    if sys.argv[1:2] == ["--ratios"]:
        return ratios(sys.argv[2])
    if FOLDER not in os.environ:
        if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
            sys.exit(__doc__)
        os.environ[FOLDER] = str(Path(sys.argv.pop(1)).resolve())
    source = HERE.parent.parent / "src"
    if source.is_dir():
        sys.path.insert(0, str(source))
    sys.path.insert(0, os.environ[FOLDER])
    peers = sys.modules["peers_bench"] = peers_module(os.environ[FOLDER])
    if "--child" in sys.argv and sys.argv[sys.argv.index("--child") + 1] == "kjax":
        # the driver looks its engines up by group: ours takes the place of one in this process
        peers.eng_numpy = eng_kjax
        sys.argv[sys.argv.index("--child") + 1] = "numpy"
    return peers.main()


if __name__ == "__main__":
    main()
