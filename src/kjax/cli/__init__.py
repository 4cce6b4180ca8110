"""The command ``kjax``: one file a verb. Exit status 0 done, 1 failed, 2 wrong usage; ``--json`` prints one JSON object."""

import click

from kjax.cli import compile, doctor, guest, inspect, run, verify


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kjax")
def main():
    """JAX programs inside the Linux kernel: compile, verify, run and look at them."""


for _verb in (compile, run, inspect, verify, guest, doctor):
    main.add_command(_verb.command)
