"""kjax verify: the verifier's verdict on a .kjx."""

from pathlib import Path

import click

from kjax.cli.output import json_option, reported, show


@click.command("verify")
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@json_option
@reported
def command(path, as_json):
    """Verify a program; exit status 1 and the reason when it is refused."""
    from kjax import _engine

    facts = _engine.verify(path.read_bytes())
    show({"verdict": "accepted", **facts}, as_json)
