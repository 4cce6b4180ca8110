"""kjax compile: StableHLO, an exported artifact or a Python function to a .kjx."""

import importlib
import re
from pathlib import Path

import click

from kjax.cli.output import json_option, reported, show

_SHAPE = re.compile(r"(\w+)\[([\d,\s]*)\]")


def _example(text):
    """``f32[8,31]`` -> jax.ShapeDtypeStruct."""
    import jax

    from kjax.isa import dtypes

    found = _SHAPE.fullmatch(text.strip())
    if not found or found.group(1) not in dtypes.BY_NAME:
        raise click.BadParameter(f"{text!r} is not a type; write for example f32[8,31] or i32[]")
    shape = tuple(int(d) for d in found.group(2).split(",") if d.strip())
    return jax.ShapeDtypeStruct(shape, dtypes.BY_NAME[found.group(1)].numpy)


def _member(compiled, arguments, dims):
    """The program itself, or that one of a family which -a or -d choose."""
    import kjax

    if not isinstance(compiled, kjax.Family):
        if arguments or dims:
            raise click.UsageError("this module knows its own types: -a and -d go with functions and symbolic dims")
        return compiled
    if bool(arguments) == bool(dims):
        raise click.UsageError(f"the artifact has the symbolic dims {', '.join(compiled.symbols)}: give all of their sizes with "
                               "-d NAME=SIZE, or the types of all arguments with -a")
    if arguments:
        return compiled.of_types([_example(a) for a in arguments])
    pairs = [re.fullmatch(r"(\w+)=(\d+)", d) for d in dims]
    if None in pairs:
        raise click.BadParameter(f"{dims[pairs.index(None)]!r} is no NAME=SIZE")
    return compiled.at(**{p[1]: int(p[2]) for p in pairs})


@click.command("compile")
@click.argument("source")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The .kjx to write (default: beside the source).")
@click.option("-a", "--argument", "arguments", multiple=True, help="Type of an argument of a function, e.g. f32[8,31].")
@click.option("-d", "--dim", "dims", multiple=True, metavar="NAME=SIZE",
              help="Size of a symbolic dim of an artifact (or give its arguments' types with -a).")
@click.option("-t", "--transformation", default="jit", show_default=True, help='For a function, e.g. "vmap(grad)".')
@click.option("--strip", is_flag=True, help="Leave the StableHLO out.")
@json_option
@reported
def command(source, output, arguments, dims, transformation, strip, as_json):
    """Compile SOURCE: a StableHLO file (.mlir), a serialized jax.export artifact, or package.module:function."""
    import kjax
    from kjax.api import transform

    if Path(source).exists():
        data = Path(source).read_bytes()
        program = _member(kjax.compile(data, strip=strip), arguments, dims)
        output = output or Path(source).with_suffix(".kjx")
    elif ":" in source:
        importlib.invalidate_caches()
        function = transform.apply(transformation, source)
        program = kjax.compile(function, *map(_example, arguments), strip=strip)
        output = output or Path(source.rpartition(":")[2] + ".kjx")
    else:
        raise FileNotFoundError(f"{source}: no such file, and not package.module:function")
    program.save(output)
    show({"output": str(output), "bytes": len(program.image), "program": repr(program), **program.cost_analysis()}, as_json)
