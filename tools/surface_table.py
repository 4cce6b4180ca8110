"""Write docs/surface.md from the rows of tests/surface: each public function of JAX's modules, and how it is tested or
why not.

    python tools/surface_table.py [--check]
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "surface.md"
sys.path.insert(0, str(ROOT / "tests" / "surface"))

HEAD = """# JAX's surface

Each public function that plain `jit` can lower is compiled by kjax and held against JAX on the CPU (`tests/surface`,
one row a function; `make exhaustive` runs all of them in all variants). *grad*, *vmap*, *f64*: also under that
transformation, in that precision. Written by `tools/surface_table.py`.

Edge semantics are in `tests/spec`, a row a rule of StableHLO's specification. Of StableHLO's own test data (1757 files
that can be run) 1753 pass. Three of the others have values of complex `power` and `sine` and of a complex product in f32
that are farther from the truth than kjax's (up to 9107, 3.5 and 2.9 units in the last place; kjax: 0.5, 2.3 and 1.7):
`tests/spec/test_accuracy.py` holds the functions against 60 digits. The fourth is a `triangular_solve` in f32.
"""
TITLES = {
    "jnp": "jax.numpy",
    "lax": "jax.lax",
    "nn": "jax.nn",
    "linalg": "jax.numpy.linalg",
    "fft": "jax.numpy.fft",
    "random": "jax.random",
    "special": "jax.scipy.special",
    "ops": "jax.ops",
    "image": "jax.image",
    "signal": "jax.scipy.signal",
    "ndimage": "jax.scipy.ndimage",
    "sfft": "jax.scipy.fft",
    "integrate": "jax.scipy.integrate",
    "stats": "jax.scipy.stats",
    "jsl": "jax.scipy.linalg",
}


def page():
    """The page's text."""
    import public
    from rows import ROWS

    rows = {row.name: row for row in ROWS}
    parts = [HEAD]
    for module, title in TITLES.items():
        names = public.functions(module) if module in public.MODULES else []
        names = sorted({*names, *(n.split(".", 1)[1] for n in rows if n.startswith(module + "."))}, key=str.lower)
        lines = [f"| `{n}` | {_status(rows.get(f'{module}.{n}'), module, n, public)} |" for n in names]
        parts.append("\n".join([f"## {title}", "", "| function | |", "|---|---|", *lines]) + "\n")
    return "\n".join(parts)


def _status(row, module, name, public):
    if row is None:
        return "not tested: " + (public.reason(module, name) or "no row yet")
    return ", ".join(["passes", *(k for k in ("grad", "vmap", "f64") if getattr(row, k))])


def main():
    text = page()
    if "--check" in sys.argv[1:]:
        if not PAGE.exists() or PAGE.read_text() != text:
            sys.exit("docs/surface.md is stale: run python tools/surface_table.py")
        return
    PAGE.write_text(text)


if __name__ == "__main__":
    main()
