"""kjax inspect: what is in a .kjx or .kjl."""

from pathlib import Path

import click

from kjax.cli.output import json_option, reported, show


def _library(path, as_json):
    from kjax.bytecode import library

    entries = library.unpack(path.read_bytes())
    rows = [{"function": e.function, "transformation": e.transformation, "arguments": e.signature, "bytes": len(e.image)}
            for e in entries]
    show({"library": str(path), "programs": rows}, as_json,
         "\n".join(f"{r['transformation']}  {r['function']}({r['arguments']})  {r['bytes']} bytes" for r in rows))


@click.command("inspect")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@json_option
@reported
def command(path, as_json):
    """Show a program's signature, memory, cost and listing, or the programs of a library."""
    import dataclasses

    import kjax
    from kjax.bytecode import library

    if path.read_bytes()[:4] == library.MAGIC:
        return _library(path, as_json)
    program = kjax.load(path)
    data = {"program": program.name, "inputs": {x.path: str(x) for x in program.signature.inputs},
            "outputs": [str(x) for x in program.signature.outputs], "lanes": program.lanes,
            "memory": dataclasses.asdict(program.memory_analysis()), "cost": program.cost_analysis()}
    return show(data, as_json, f"{program!r}\nmemory {data['memory']}\ncost {data['cost']}\n\n{program.as_text()}")
