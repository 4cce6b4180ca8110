"""Write docs/surface.md from the rows of tests/surface: each public function of JAX's modules, and how it is tested or
why not.

    python tools/surface_table.py [--check] [--ask [NAME...]]

With ``--ask``: first ask JAX anew which sizes and dtypes the rows (those named, or all: a minute) take, and write
tests/surface/accepted.txt.
"""

import sys
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "surface.md"
sys.path.insert(0, str(ROOT / "tests" / "surface"))

HEAD = """# JAX's surface

Each public function that plain `jit` can lower is compiled by kjax and held against JAX on the CPU (`tests/surface`,
one row a function; `make exhaustive` runs all of them in all variants). *grad*, *vmap*: also under that transformation,
and under both. Sizes: *own* is a small one (3x5, say), *odd* crosses vectors and strips (19x67), in *one* an extent is 1,
in *empty* it is 0. Where a size or a dtype is not there, JAX itself refuses it or the row says why it makes no sense
(`untried`). Written by `tools/surface_table.py`.

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
        lines = [f"| `{n}` | {_status(rows.get(f'{module}.{n}'), module, n)} |" for n in names]
        parts.append("\n".join([f"## {title}", "", "| function | | sizes | dtypes |", "|---|---|---|---|", *lines]) + "\n")
    return "\n".join(parts)


def _status(row, module, name):
    import cases
    import public

    if row is None:
        return f"not tested: {public.reason(module, name) or 'no row yet'} | |"
    tried = (["passes", *(k for k in ("grad", "vmap") if getattr(row, k))], *cases.tried(row))
    return " | ".join((", ".join(tried[0]), *map(" ".join, tried[1:])))


def takes(row):
    """The line of accepted.txt about a row: sizes, dtypes that JAX traces it at, and lowers at its own size."""
    import cases
    import jax

    def trace(size, dtype):
        with jax.enable_x64(dtype in cases.WIDE), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                traced = jax.jit(row.fn).trace(*cases.arguments(row, size, dtype))
                if size == "own":
                    traced.lower()
            except Exception:  # whatever it is, and JAX raises all kinds: the row is not tried so
                return False
            return True

    own = cases.extents(row.kinds, "own")
    dtypes = [d for d in cases.dtypes(row) if trace("own", d)]
    sizes = [s for s in cases.SIZES if s == "own" or cases.extents(row.kinds, s) != own and all(trace(s, d) for d in dtypes)]
    return f"{row.name}: {' '.join(sizes)}; {' '.join(dtypes)}"


def ask(names):
    """Write accepted.txt."""
    import cases
    from rows import ROWS

    known = {line.partition(":")[0]: line for line in cases.ACCEPTED.read_text().splitlines()} if names else {}
    lines = [known.get(row.name) if names and row.name not in names else takes(row) for row in ROWS]
    cases.ACCEPTED.write_text("".join(line + "\n" for line in sorted(filter(None, lines))))


def main():
    if "--ask" in sys.argv[1:]:
        ask([a for a in sys.argv[1:] if not a.startswith("-")])
    text = page()
    if "--check" in sys.argv[1:]:
        if not PAGE.exists() or PAGE.read_text() != text:
            sys.exit("docs/surface.md is stale: run python tools/surface_table.py")
        return
    PAGE.write_text(text)


if __name__ == "__main__":
    main()
