"""kjax run: a .kjx on arrays from .npy files."""

import contextlib
import sys
from pathlib import Path

import click
import numpy as np

from kjax.cli.output import json_option, read_arrays, reported, show


@click.command("run")
@click.argument("program", type=click.Path(exists=True, path_type=Path))
@click.argument("inputs", nargs=-1, type=click.Path(exists=True))
@click.option("-e", "--environment", default="embedded", show_default=True,
              type=click.Choice(["embedded", "device", "guest"]))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the results to this .npz instead of printing.")
@click.option("--random", type=int, metavar="SEED", help="Make up the inputs.")
@click.option("--deadline", type=float, help="Seconds.")
@click.option("--fuel", type=int, help="Work units.")
@click.option("--threads", type=click.IntRange(1), help="Threads that a run may use; one, unless asked.")
@json_option
@reported
def command(program, inputs, environment, output, random, deadline, fuel, threads, as_json):
    """Run PROGRAM on INPUTS (.npy or .npz, in the order of the program's arguments)."""
    import kjax

    loaded = kjax.load(program)
    leaves = loaded.signature.inputs
    arrays = read_arrays(inputs)
    if random is not None:
        rng = np.random.default_rng(random)
        arrays = [(rng.standard_normal(leaf.shape) * 2).astype(leaf.numpy) for leaf in leaves]
    if len(arrays) != len(leaves):
        raise TypeError(f"the program takes {len(leaves)} arrays ({', '.join(f'{x.path}: {x}' for x in leaves)}), "
                        f"got {len(arrays)}")
    arrays = [loaded.signature.convert(a, leaf) for a, leaf in zip(arrays, leaves)]
    with contextlib.redirect_stdout(sys.stderr if as_json else sys.stdout):  # what the program prints is not the JSON
        results = loaded.run_flat(arrays, environment=environment, deadline=deadline, fuel=fuel, threads=threads)
    if output:
        np.savez(output, *results)
    data = {f"[{k}]": r.tolist() if as_json else r for k, r in enumerate(results)}
    text = None if as_json else "\n".join(f"{leaf}\n{r}" for leaf, r in zip(loaded.signature.outputs, results))
    if not output or as_json:
        show(data, as_json, text)
